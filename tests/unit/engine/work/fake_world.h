/*
 * fake_world: a scriptable mail world in memory: folders of items that appear, vanish, change, cannot be read; a source
 * that lists and fetches them, and a sink that keeps what it is given. The bytes of an item follow from its seed and
 * size.
 */
#ifndef MAILHOLD_TESTS_ENGINE_FAKE_WORLD_H
#define MAILHOLD_TESTS_ENGINE_FAKE_WORLD_H

#include <signal.h>
#include <stdatomic.h>

#include "base/text.h"
#include "base/stop.h"
#include "crypto/crypto.h"
#include "item/item.h"
#include "unit/engine/memory_chunks.h"

#define FAKE_FOLDERS 8
#define FAKE_ITEMS   600

enum fake_trouble { FAKE_FINE, FAKE_UNREADABLE, FAKE_VANISHES };

struct fake_item {
	uint32_t number; /* its key */
	uint32_t seed;   /* of its bytes: equal seeds and sizes, equal bytes */
	uint32_t size;
	uint32_t version; /* STATE_VERSION */
	uint8_t flags;
	enum fake_trouble trouble;
	bool fetched; /* in this run */
};

struct fake_folder {
	bool there;
	bool failing;   /* cannot be listed */
	uint32_t stamp; /* of its attributes */
	size_t count;
	struct fake_item items[FAKE_ITEMS];
};

/* Folder N has the path "folder-N"; folder 0 is "INBOX". In path order, since 'I' < 'f'. */
struct fake_world {
	struct fake_folder folders[FAKE_FOLDERS];
};

static inline struct span fake_path(size_t folder, char out[32])
{
	if (folder == 0)
		snprintf(out, 32, "INBOX");
	else
		snprintf(out, 32, "folder-%zu", folder);
	return span_cstr(out);
}

static inline struct span fake_key(const struct fake_item *i, char out[16])
{
	snprintf(out, 16, "key%08u", i->number);
	return span_cstr(out);
}

static inline bool fake_key_number(struct span key, uint32_t *out)
{
	uint64_t n;

	if (!span_starts(key, SPAN_LIT("key")) || !text_number(span_skip(key, 3), UINT32_MAX, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

static inline unsigned fake_topic(uint32_t seed)
{
	return seed % 7;
}

static inline bool fake_has_header(const struct fake_item *i)
{
	return i->size >= 200;
}

/* The bytes of an item: a header, then text, base64 or noise by its seed. */
static inline enum err_code fake_bytes(const struct fake_item *i, struct buf *out, struct err *e)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t x = i->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	char head[200] = "";
	uint8_t *at;
	enum err_code rc;

	buf_clear(out);
	out->max = 64 * MIB;
	rc = buf_extend(out, i->size, &at, e);
	if (rc)
		return rc;
	if (fake_has_header(i))
		snprintf(
		        head, sizeof head,
		        "From: someone%u@example.org\r\nSubject: topic%u of %u\r\nMessage-ID: <%u@example.org>\r\n\r\n",
		        i->seed % 5, fake_topic(i->seed), i->seed, i->seed);
	for (size_t n = 0; n < i->size; n++) {
		if (n < strlen(head)) {
			at[n] = (uint8_t)head[n];
			continue;
		}
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
		if (i->seed % 3 == 0)
			at[n] = n % 78 == 76 ? '\r' : n % 78 == 77 ? '\n' : (uint8_t)alphabet[x >> 58];
		else
			at[n] = i->seed % 3 == 1 ? (uint8_t)(x >> 56) : (uint8_t)("aeiou nrst\n"[(x >> 40) % 11]);
	}
	return ERR_OK;
}

static inline enum err_code fake_state(const struct fake_item *i, struct buf *out, struct err *e)
{
	enum err_code rc;

	buf_clear(out);
	rc = fields_add(out, STATE_FLAGS, span_of(&i->flags, 1), e);
	return rc ? rc : fields_add_u64(out, STATE_VERSION, i->version, 4, e);
}

/* ---- the source ---- */

struct fake_source {
	struct item_source base;
	struct fake_world *world;
	struct collection collections[FAKE_FOLDERS];
	size_t folder_of[FAKE_FOLDERS];
	size_t count;
	char paths[FAKE_FOLDERS][16];
	char stamps[FAKE_FOLDERS][16];
	struct attribute attributes[FAKE_FOLDERS][2];
	uint8_t long_values[FAKE_FOLDERS][2000];
	bool with_cursors;
	atomic_int fetches, at_once, most_at_once;
	int stop_after; /* fetches until *stop is set; 0: never */
	volatile sig_atomic_t *stop;
	int reports;
};

struct item_listing {
	struct fake_folder *folder;
	struct buf states[FAKE_ITEMS];
	char keys[FAKE_ITEMS][16];
};

static inline enum err_code fake_collections(struct item_source *base, const struct collection **out, size_t *count,
                                             struct err *e)
{
	struct fake_source *s = (struct fake_source *)base;

	(void)e;
	s->count = 0;
	for (size_t f = 0; f < FAKE_FOLDERS; f++) {
		size_t n = s->count;

		if (!s->world->folders[f].there)
			continue;
		s->folder_of[n] = f;
		snprintf(s->stamps[n], sizeof s->stamps[n], "stamp %u", s->world->folders[f].stamp);
		memset(s->long_values[n], (int)s->world->folders[f].stamp, sizeof s->long_values[n]);
		s->attributes[n][0] =
		        (struct attribute){ SPAN_LIT("fake:long"), span_of(s->long_values[n], 600 + 100 * f) };
		s->attributes[n][1] = (struct attribute){ SPAN_LIT("fake:stamp"), span_cstr(s->stamps[n]) };
		s->collections[n] = (struct collection){ .path = fake_path(f, s->paths[n]),
			                                 .kind = KIND_MAIL,
			                                 .role = f == 0 ? ROLE_INBOX : ROLE_NONE,
			                                 .attributes = s->attributes[n],
			                                 .attribute_count = 2 };
		s->count++;
	}
	*out = s->collections;
	*count = s->count;
	return ERR_OK;
}

static inline enum err_code fake_cursor(const struct fake_folder *f, uint8_t out[16], struct err *e)
{
	struct buf all = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < f->count; i++)
		rc = buf_printf(&all, e, "%u %u %u,", f->items[i].number, f->items[i].version, f->items[i].flags);
	crypto_digest(buf_span(&all), out, 16);
	buf_release(&all);
	return rc;
}

static inline size_t fake_listing_count(const struct item_listing *l)
{
	return l->folder->count;
}

static inline void fake_listing_free(struct item_listing **l)
{
	for (size_t i = 0; *l && i < (*l)->folder->count; i++)
		buf_release(&(*l)->states[i]);
	free(*l);
	*l = NULL;
}

static inline enum err_code fake_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                      struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct fake_source *s = (struct fake_source *)base;
	struct fake_folder *f = &s->world->folders[s->folder_of[c]];
	enum err_code rc;
	uint8_t now[16];

	buf_clear(new_cursor);
	*out = NULL;
	if (f->failing)
		return err_set(e, ERR_DENIED, "this folder is closed");
	rc = fake_cursor(f, now, e);
	if (rc)
		return rc;
	if (s->with_cursors && !rescan && span_equal(cursor, span_of(now, sizeof now)))
		return ERR_OK;
	*out = calloc(1, sizeof **out);
	if (!*out)
		abort();
	(*out)->folder = f;
	for (size_t i = 0; !rc && i < f->count; i++) {
		fake_key(&f->items[i], (*out)->keys[i]);
		rc = fake_state(&f->items[i], &(*out)->states[i], e);
	}
	if (!rc && s->with_cursors)
		rc = buf_append(new_cursor, span_of(now, sizeof now), e);
	if (rc)
		fake_listing_free(out);
	return rc;
}

static inline void fake_listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	*out = (struct item_entry){ span_cstr(l->keys[i]), buf_span(&l->states[i]), i };
}

static inline enum err_code fake_give(const struct fake_item *i, const struct item_receiver *to, struct err *e)
{
	struct buf bytes = BUF_EMPTY;
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, i->size, e);
	size_t at = 0;

	if (!rc)
		rc = fake_bytes(i, &bytes, e);
	while (!rc && at < bytes.len) {
		size_t room, n;
		uint8_t *dst;

		rc = to->space(to->ctx, bytes.len - at, &dst, &room, e);
		if (rc)
			break;
		/* As files do: not always as much as there is room for. */
		n = bytes.len - at < room ? bytes.len - at : room;
		n = n > 3000 ? n - n / 3 : n;
		memcpy(dst, bytes.ptr + at, n);
		rc = to->add(to->ctx, n, e);
		at += n;
	}
	buf_release(&bytes);
	return rc;
}

static inline enum err_code fake_fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                       const struct item_receiver *to, struct buf *facts, struct err *e)
{
	struct fake_source *s = (struct fake_source *)base;
	struct fake_item *i = &l->folder->items[place];
	int at_once = atomic_fetch_add(&s->at_once, 1) + 1;
	enum err_code rc;

	(void)c;
	if (at_once > atomic_load(&s->most_at_once))
		atomic_store(&s->most_at_once, at_once);
	i->fetched = true;
	if (s->stop_after && atomic_fetch_add(&s->fetches, 1) + 1 == s->stop_after)
		stop_ask(s->stop);
	if (i->trouble == FAKE_UNREADABLE)
		rc = err_set(e, ERR_IO, "this item cannot be read");
	else if (i->trouble == FAKE_VANISHES)
		rc = err_set(e, ERR_VANISHED, "it was there a moment ago");
	else
		rc = fake_give(i, to, e);
	if (!rc)
		rc = fields_add_u64(facts, FACT_SIZE, i->size, 8, e);
	if (!rc)
		rc = fields_add_u64(facts, FACT_TIME, UINT64_C(1700000000000000000) + i->seed, 8, e);
	atomic_fetch_sub(&s->at_once, 1);
	return rc;
}

static inline void fake_source_free(struct item_source **s)
{
	*s = NULL;
}

static inline void fake_report(void *ctx, const char *what, const struct err *why)
{
	(void)what;
	(void)why;
	((struct fake_source *)ctx)->reports++;
}

static inline void fake_source_init(struct fake_source *s, struct fake_world *w)
{
	static const struct item_source_ops ops = { .collections = fake_collections,
		                                    .list = fake_list,
		                                    .listing_count = fake_listing_count,
		                                    .listing_get = fake_listing_get,
		                                    .listing_free = fake_listing_free,
		                                    .fetch = fake_fetch,
		                                    .free = fake_source_free };

	memset(s, 0, sizeof *s);
	s->base = (struct item_source){
		.ops = &ops, .world = "fake", .parallel_fetch = true, .report = fake_report, .report_ctx = s
	};
	s->world = w;
	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		for (size_t i = 0; i < w->folders[f].count; i++)
			w->folders[f].items[i].fetched = false;
}

/* ---- the sink ---- */

struct fake_put {
	size_t handle;
	uint32_t number;
	uint8_t flags;
	struct buf bytes;
};

struct fake_sink {
	struct item_sink base;
	char paths[FAKE_FOLDERS][32];
	size_t count;
	struct fake_put *puts;
	size_t put_count;
	uint32_t refuse_one_in; /* items whose number is a multiple of it cannot be put; 0: none */
	size_t calls_that_change;
	bool finished;
};

static inline enum err_code fake_occupied(struct item_sink *s, bool *out, struct err *e)
{
	(void)e;
	*out = ((struct fake_sink *)s)->put_count > 0;
	return ERR_OK;
}

static inline enum err_code fake_sink_collection(struct item_sink *base, const struct collection *c, bool plan,
                                                 size_t *handle, struct err *e)
{
	struct fake_sink *s = (struct fake_sink *)base;

	if (s->count == FAKE_FOLDERS)
		return err_set(e, ERR_LIMIT, "too many folders");
	s->calls_that_change += !plan;
	*handle = s->count++;
	snprintf(s->paths[*handle], sizeof s->paths[0], "%.*s", (int)c->path.len, (const char *)c->path.ptr);
	return ERR_OK;
}

static inline enum err_code fake_decide(struct item_sink *s, size_t handle, const struct item_out *item,
                                        enum sink_collision collision, enum sink_verdict *verdict, struct buf *target,
                                        struct err *e)
{
	(void)s;
	(void)handle;
	(void)collision;
	*verdict = SINK_PUT;
	return buf_append(target, item->key, e);
}

static inline enum err_code fake_sink_put(struct item_sink *base, size_t handle, const struct item_out *item,
                                          const struct item_body *body, enum sink_collision collision,
                                          enum sink_verdict *verdict, struct err *e)
{
	struct fake_sink *s = (struct fake_sink *)base;
	struct fake_put put = { .handle = handle, .bytes = BUF_WITH_MAX(64 * MIB) };
	struct span piece, flags;
	enum err_code rc = ERR_OK;

	(void)collision;
	if (!fake_key_number(item->key, &put.number))
		return err_set(e, ERR_CORRUPT, "a key that was never given");
	if (s->refuse_one_in && put.number % s->refuse_one_in == 0)
		return err_set(e, ERR_IO, "this place refuses the item");
	if (fields_get(item->state, STATE_FLAGS, &flags) && flags.len == 1)
		put.flags = flags.ptr[0];
	/* Twice: what rewind gives is the same from the start. */
	for (int round = 0; !rc && round < 2; round++) {
		buf_clear(&put.bytes);
		rc = body->rewind(body->ctx, e);
		while (!rc) {
			rc = body->next(body->ctx, &piece, e);
			if (rc || piece.len == 0)
				break;
			rc = buf_append(&put.bytes, piece, e);
		}
	}
	if (!rc && put.bytes.len != item->bytes)
		rc = err_set(e, ERR_CORRUPT, "the body has another length than was said");
	if (rc) {
		buf_release(&put.bytes);
		return rc;
	}
	s->puts = realloc(s->puts, (s->put_count + 1) * sizeof *s->puts);
	if (!s->puts)
		abort();
	s->puts[s->put_count++] = put;
	s->calls_that_change++;
	*verdict = SINK_PUT;
	return ERR_OK;
}

static inline enum err_code fake_collection_done(struct item_sink *s, size_t handle, struct err *e)
{
	(void)s;
	(void)handle;
	(void)e;
	return ERR_OK;
}

static inline enum err_code fake_finish(struct item_sink *s, struct err *e)
{
	(void)e;
	((struct fake_sink *)s)->finished = true;
	return ERR_OK;
}

static inline void fake_sink_free(struct item_sink **s)
{
	*s = NULL;
}

static inline void fake_sink_init(struct fake_sink *s)
{
	static const struct item_sink_ops ops = { .occupied = fake_occupied,
		                                  .collection = fake_sink_collection,
		                                  .decide = fake_decide,
		                                  .put = fake_sink_put,
		                                  .collection_done = fake_collection_done,
		                                  .finish = fake_finish,
		                                  .free = fake_sink_free };

	memset(s, 0, sizeof *s);
	s->base = (struct item_sink){ .ops = &ops, .world = "fake" };
}

static inline void fake_sink_release(struct fake_sink *s)
{
	for (size_t i = 0; i < s->put_count; i++)
		buf_release(&s->puts[i].bytes);
	free(s->puts);
}

#endif
