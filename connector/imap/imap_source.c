#include "imap_source.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/text.h"
#include "base/wr.h"
#include "fetch.h"
#include "message_data.h"

#define KEY_BYTES      21
#define CURSOR_VERSION 1
#define ENTRIES_MAX    ((size_t)1 << 30)
#define NO_DATE        INT64_MIN

struct imap_source {
	struct item_source base;
	struct session session;
	struct folders folders;
	bool has_folders;
	struct fetch fetch;
	pthread_mutex_t lock; /* over session and fetch, which the threads of fetch share */
	char *strings[4];     /* host, port, user, file of authorities */
	struct buf password;
};

struct entry {
	char key[KEY_BYTES + 1];
	int16_t zone_minutes;
	uint32_t uid;
	uint32_t bytes; /* 0: not told */
	uint32_t state; /* place in STATES */
	uint32_t state_bytes;
	int64_t date_s; /* NO_DATE: not told */
};

struct item_listing {
	struct span raw;
	uint32_t uid_validity;
	struct buf entries; /* struct entry, rising by uid */
	struct buf states;  /* each distinct one once */
	struct idmap state_by_hash;
};

static struct imap_source *own(struct item_source *s)
{
	return (struct imap_source *)s;
}

static size_t listing_count(const struct item_listing *l)
{
	return l->entries.len / sizeof(struct entry);
}

static struct entry *entry_of(const struct item_listing *l, size_t i)
{
	return (struct entry *)(void *)l->entries.ptr + i;
}

/* ---- collections ---- */

static enum err_code source_collections(struct item_source *base, const struct collection **out, size_t *count,
                                        struct err *e)
{
	struct imap_source *s = own(base);
	enum err_code rc = ERR_OK;

	if (!s->has_folders)
		rc = folders_load(s->session.client, &s->folders, e);
	if (rc)
		return rc;
	s->has_folders = true;
	*out = s->folders.outline.collections;
	*count = s->folders.outline.count;
	return ERR_OK;
}

/* ---- cursors ---- */

static enum err_code cursor_put(const struct folder_status *status, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_u8(&w, CURSOR_VERSION);
	wr_u32(&w, status->uid_validity);
	wr_u32(&w, status->uid_next);
	wr_u32(&w, status->messages);
	wr_u64(&w, status->mod_seq);
	return wr_end(&w);
}

static bool cursor_get(struct span cursor, struct folder_status *out)
{
	struct rd r = rd_of(cursor);

	*out = (struct folder_status){ 0 };
	if (rd_u8(&r) != CURSOR_VERSION)
		return false;
	out->uid_validity = rd_u32(&r);
	out->uid_next = rd_u32(&r);
	out->messages = rd_u32(&r);
	out->mod_seq = rd_u64(&r);
	return rd_done(&r);
}

/* Without HIGHESTMODSEQ flags may have changed and nothing else tells. */
static bool nothing_moved(const struct folder_status *a, const struct folder_status *b)
{
	return a->mod_seq && a->mod_seq == b->mod_seq && a->uid_validity == b->uid_validity &&
	       a->uid_next == b->uid_next && a->messages == b->messages;
}

/* ---- listing ---- */

struct listing_run {
	struct item_listing *l;
	struct buf flags; /* scratch */
	struct buf state;
	struct buf names[64];
};

/* Puts the entry's state, of which there are few different ones in a mailbox. */
static enum err_code keep_state(struct listing_run *k, struct entry *entry, struct err *e)
{
	struct item_listing *l = k->l;
	uint8_t hash[IDMAP_KEY_BYTES] = { 0 };
	uint64_t place;
	enum err_code rc = ERR_OK;

	buf_clear(&k->state);
	if (k->flags.len)
		rc = fields_add(&k->state, STATE_FLAGS, buf_span(&k->flags), e);
	if (rc)
		return rc;
	hash128(buf_span(&k->state), hash);
	entry->state_bytes = (uint32_t)k->state.len;
	if (idmap_get(&l->state_by_hash, hash, &place)) {
		entry->state = (uint32_t)place;
		return ERR_OK;
	}
	if (l->states.len + k->state.len > UINT32_MAX)
		return err_set(e, ERR_LIMIT, "the folder has too many different flags");
	entry->state = (uint32_t)l->states.len;
	rc = buf_append(&l->states, buf_span(&k->state), e);
	return rc ? rc : idmap_put(&l->state_by_hash, hash, entry->state, e);
}

static enum err_code read_entry_item(struct listing_run *k, struct wire *w, struct span name, struct entry *entry,
                                     bool *flags, struct err *e)
{
	struct wire_token t;
	uint64_t number = 0;
	struct span text;
	bool is_nil;
	enum err_code rc;

	if (text_equal_nocase(name, SPAN_LIT("UID"))) {
		rc = message_number(w, &number, e);
		entry->uid = (uint32_t)(number <= UINT32_MAX ? number : 0);
		return rc;
	}
	if (text_equal_nocase(name, SPAN_LIT("FLAGS"))) {
		*flags = true;
		return message_flags(w, &k->flags, e);
	}
	if (text_equal_nocase(name, SPAN_LIT("RFC822.SIZE"))) {
		rc = message_number(w, &number, e);
		entry->bytes = (uint32_t)(number <= UINT32_MAX ? number : UINT32_MAX);
		return rc;
	}
	rc = wire_next(w, &t, e);
	if (rc || !text_equal_nocase(name, SPAN_LIT("INTERNALDATE")))
		return rc ? rc : wire_skip_value(w, &t, e);
	rc = wire_text(w, &t, &text, &is_nil, e);
	if (!rc)
		message_date(text, &entry->date_s, &entry->zone_minutes);
	return rc;
}

static enum err_code read_entry(struct listing_run *k, struct wire *w, struct err *e)
{
	struct entry entry = { .date_s = NO_DATE };
	bool flags = false;
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	buf_clear(&k->flags);
	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server sent a message without its list");
	while (!rc) {
		char name[32];

		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind != WIRE_ATOM)
			return err_set(e, ERR_CORRUPT, "the server sent a strange message");
		snprintf(name, sizeof name, "%.*s", (int)t.text.len, (const char *)t.text.ptr);
		rc = read_entry_item(k, w, span_cstr(name), &entry, &flags, e);
	}
	if (!rc)
		rc = wire_skip_line(w, e);
	/* Unasked news of a message whose UID is not told cannot be used. */
	if (rc || !entry.uid || !flags)
		return rc;
	if (listing_count(k->l) >= ENTRIES_MAX)
		return err_set(e, ERR_LIMIT, "the folder has too many messages");
	rc = keep_state(k, &entry, e);
	return rc ? rc : buf_append(&k->l->entries, span_of(&entry, sizeof entry), e);
}

static enum err_code take_listed(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	if (r->kind != IMAP_DATA)
		return ERR_OK;
	return strcmp(r->word, "FETCH") ? wire_skip_line(imap_wire(c), e) : read_entry(ctx, imap_wire(c), e);
}

static int by_uid(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* Orders, drops what came twice (the later one counts), and makes the keys. */
static void finish_listing(struct item_listing *l)
{
	size_t count = listing_count(l), kept = 0;
	struct entry *all;

	if (!count)
		return;
	all = entry_of(l, 0);
	qsort(all, count, sizeof *all, by_uid);
	for (size_t i = 0; i < count; i++) {
		if (kept && all[kept - 1].uid == all[i].uid) {
			int64_t date_s = all[kept - 1].date_s;

			if (!all[i].bytes)
				all[i].bytes = all[kept - 1].bytes;
			if (all[i].date_s == NO_DATE && date_s != NO_DATE) {
				all[i].date_s = date_s;
				all[i].zone_minutes = all[kept - 1].zone_minutes;
			}
			kept--;
		}
		all[kept] = all[i];
		snprintf(all[kept].key, sizeof all[kept].key, "%010" PRIu32 ".%010" PRIu32, l->uid_validity,
		         all[kept].uid);
		kept++;
	}
	l->entries.len = kept * sizeof *all;
}

/* Asks for what is to be known of messages FROM to TO (0: the last). */
static enum err_code list_range(struct imap_source *s, struct listing_run *k, uint32_t from, uint32_t to, bool all,
                                struct err *e)
{
	char end[16] = "*";
	unsigned tag;
	enum err_code rc;

	if (to)
		snprintf(end, sizeof end, "%" PRIu32, to);
	rc = imap_send(s->session.client, &tag, e, "UID FETCH %" PRIu32 ":%s (UID FLAGS%s)", from, end,
	               all ? " INTERNALDATE RFC822.SIZE" : "");
	return rc ? rc : imap_wait(s->session.client, tag, take_listed, k, e);
}

/* Dates and sizes are asked for only of messages that came since the cursor: the others are known. */
static enum err_code list_messages(struct imap_source *s, struct listing_run *k, const struct folder_status *known,
                                   struct err *e)
{
	const struct folder_status *now = &s->session.status;
	uint32_t new_from = known && known->uid_validity == now->uid_validity && known->uid_next ? known->uid_next : 1;
	enum err_code rc = ERR_OK;

	buf_clear(&k->l->entries);
	k->l->uid_validity = now->uid_validity;
	if (!now->messages)
		return ERR_OK;
	if (new_from > 1)
		rc = list_range(s, k, 1, new_from - 1, false, e);
	if (!rc && (new_from == 1 || !now->uid_next || now->uid_next > new_from))
		rc = list_range(s, k, new_from, 0, true, e);
	return rc;
}

static enum err_code list_open(struct imap_source *s, struct listing_run *k, const struct folder_status *known,
                               struct err *e)
{
	struct err why;
	enum err_code rc = session_examine(&s->session, k->l->raw, true, e);

	while (!rc) {
		rc = list_messages(s, k, known, e);
		if (rc != ERR_IO)
			break;
		why = *e;
		rc = session_again(&s->session, &why, e);
	}
	if (!rc)
		finish_listing(k->l);
	return rc;
}

static void listing_free(struct item_listing **l)
{
	if (!*l)
		return;
	buf_release(&(*l)->entries);
	buf_release(&(*l)->states);
	idmap_release(&(*l)->state_by_hash);
	mem_free(*l);
	*l = NULL;
}

/* Fewer than the server itself counts: what is missing is not gone, so no cursor says that all was seen. */
static bool is_complete(struct imap_source *s, size_t c, const struct item_listing *l)
{
	uint32_t said = s->session.status.messages;
	struct err why;

	if (listing_count(l) >= said)
		return true;
	err_set(&why, ERR_CORRUPT, "the server counts %" PRIu32 " messages and lists %zu", said, listing_count(l));
	if (s->base.report)
		s->base.report(s->base.report_ctx, text_name(s->folders.outline.collections[c].path).text, &why);
	return false;
}

static enum err_code moved_since(struct imap_source *s, struct span raw, const struct folder_status *known, bool *moved,
                                 struct err *e)
{
	struct folder_status now;
	enum err_code rc = ERR_OK;

	*moved = true;
	if (!known->mod_seq)
		return ERR_OK;
	if (!folders_status(&s->folders, raw, &now))
		rc = folder_ask_status(s->session.client, raw, &now, e);
	if (!rc)
		*moved = !nothing_moved(known, &now);
	return rc;
}

static enum err_code source_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                 struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct imap_source *s = own(base);
	struct span raw = s->folders.outline.raws[c];
	struct listing_run k = { 0 };
	struct folder_status known;
	bool has_known = cursor_get(cursor, &known), moved = true;
	enum err_code rc = ERR_OK;

	*out = NULL;
	buf_clear(new_cursor);
	fetch_clear(&s->fetch);
	if (s->session.death.code) {
		*e = s->session.death;
		return e->code;
	}
	if (has_known && !rescan)
		rc = moved_since(s, raw, &known, &moved, e);
	if (rc || !moved)
		return rc;
	k.l = mem_zalloc(1, sizeof *k.l);
	if (!k.l)
		return err_no_memory(e, sizeof *k.l);
	k.l->raw = raw;
	k.state.max = ITEM_STATE_BYTES_MAX;
	rc = list_open(s, &k, has_known && !rescan ? &known : NULL, e);
	if (!rc && is_complete(s, c, k.l))
		rc = cursor_put(&s->session.status, new_cursor, e);
	buf_release(&k.flags);
	buf_release(&k.state);
	if (rc)
		listing_free(&k.l);
	*out = k.l;
	return rc;
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	const struct entry *entry = entry_of(l, i);

	*out = (struct item_entry){ span_of(entry->key, KEY_BYTES),
		                    span_of(l->states.ptr ? l->states.ptr + entry->state : NULL, entry->state_bytes),
		                    i };
}

/* ---- fetching ---- */

static enum err_code source_ahead(struct item_source *base, size_t c, const struct item_listing *l,
                                  const uint64_t *places, size_t count, struct err *e)
{
	struct imap_source *s = own(base);
	enum err_code rc = ERR_OK;

	(void)c;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; !rc && i < count; i++) {
		const struct entry *entry = entry_of(l, (size_t)places[i]);

		rc = fetch_want(&s->fetch, entry->uid, entry->bytes, e);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static enum err_code give(const struct item_receiver *to, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		uint8_t *dst;
		size_t got;

		rc = to->space(to->ctx, bytes.len, &dst, &got, e);
		if (rc)
			break;
		if (got > bytes.len)
			got = bytes.len;
		memcpy(dst, bytes.ptr, got);
		rc = to->add(to->ctx, got, e);
		bytes = span_skip(bytes, got);
	}
	return rc;
}

static enum err_code give_pieces(struct imap_source *s, const struct entry *entry, const struct item_receiver *to,
                                 uint64_t *bytes, struct err *e)
{
	enum err_code rc = to->stream(to->ctx, SPAN_EMPTY, entry->bytes ? entry->bytes : 2 * FETCH_WHOLE_MAX, e);
	struct span piece;

	*bytes = 0;
	while (!rc) {
		rc = fetch_piece(&s->fetch, entry->uid, *bytes, &piece, e);
		if (rc || !piece.len)
			break;
		rc = give(to, piece, e);
		*bytes += piece.len;
		if (piece.len < FETCH_PIECE_BYTES && *bytes >= entry->bytes)
			break;
	}
	return rc;
}

static enum err_code give_message(struct imap_source *s, const struct entry *entry, const struct item_receiver *to,
                                  uint64_t *bytes, struct err *e)
{
	struct fetch_one *one = NULL;
	enum err_code rc = fetch_take(&s->fetch, entry->uid, entry->bytes, &one, e);

	if (rc)
		return rc;
	switch (one->state) {
	case FETCH_HERE:
		*bytes = one->body.len;
		rc = to->stream(to->ctx, SPAN_EMPTY, one->body.len, e);
		if (!rc)
			rc = give(to, buf_span(&one->body), e);
		break;
	case FETCH_LARGE:
		rc = give_pieces(s, entry, to, bytes, e);
		break;
	case FETCH_GONE:
		rc = err_set(e, ERR_VANISHED, "message %s went away while the folder was read", entry->key);
		break;
	default:
		*e = s->fetch.refusal;
		rc = e->code ? e->code : err_set(e, ERR_IO, "the server refuses message %s", entry->key);
		break;
	}
	/* Whoever has no room for it now comes again for it. */
	if (rc != ERR_LIMIT)
		fetch_done(&s->fetch, one);
	return rc;
}

static enum err_code source_fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                  const struct item_receiver *to, struct buf *facts, struct err *e)
{
	struct imap_source *s = own(base);
	const struct entry *entry = entry_of(l, (size_t)place);
	uint64_t bytes = 0;
	enum err_code rc;

	(void)c;
	pthread_mutex_lock(&s->lock);
	rc = session_examine(&s->session, l->raw, false, e);
	if (!rc && s->session.status.uid_validity != l->uid_validity)
		rc = err_set(e, ERR_VANISHED, "the folder '%s' was made anew meanwhile", text_name(l->raw).text);
	if (!rc)
		rc = give_message(s, entry, to, &bytes, e);
	pthread_mutex_unlock(&s->lock);
	if (!rc)
		rc = fields_add_u64(facts, FACT_SIZE, bytes, 8, e);
	if (!rc && entry->date_s != NO_DATE)
		rc = fields_add_u64(facts, FACT_TIME, (uint64_t)entry->date_s * 1000000000u, 8, e);
	if (!rc && entry->date_s != NO_DATE)
		rc = fields_add_u64(facts, FACT_ZONE, (uint16_t)entry->zone_minutes, 2, e);
	return rc;
}

/* ---- the source ---- */

static void source_free(struct item_source **base)
{
	struct imap_source *s = own(*base);

	if (!s)
		return;
	fetch_release(&s->fetch);
	folders_release(&s->folders);
	session_release(&s->session);
	pthread_mutex_destroy(&s->lock);
	for (size_t i = 0; i < ARRAY_LEN(s->strings); i++)
		mem_free(s->strings[i]);
	buf_wipe(&s->password);
	mem_free(s);
	*base = NULL;
}

static const struct item_source_ops imap_ops = {
	.collections = source_collections,
	.list = source_list,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = listing_free,
	.ahead = source_ahead,
	.fetch = source_fetch,
	.free = source_free,
};

static enum err_code keep_string(char **to, const char *from, struct err *e)
{
	size_t n = strlen(from) + 1;

	*to = mem_alloc(n);
	if (!*to)
		return err_no_memory(e, n);
	memcpy(*to, from, n);
	return ERR_OK;
}

static enum err_code keep_login(struct imap_source *s, const struct imap_login *from, struct imap_login *own,
                                struct err *e)
{
	enum err_code rc = keep_string(&s->strings[0], from->host, e);

	*own = *from;
	if (!rc)
		rc = keep_string(&s->strings[1], from->port, e);
	if (!rc)
		rc = keep_string(&s->strings[2], from->user, e);
	if (!rc && from->ca_file)
		rc = keep_string(&s->strings[3], from->ca_file, e);
	if (!rc)
		rc = buf_append(&s->password, from->password, e);
	own->host = s->strings[0];
	own->port = s->strings[1];
	own->user = s->strings[2];
	own->ca_file = s->strings[3];
	own->password = buf_span(&s->password);
	return rc;
}

enum err_code imap_source_open(const struct imap_login *login, struct item_source **out, struct err *e)
{
	struct imap_source *s = mem_zalloc(1, sizeof *s);
	struct item_source *base = s ? &s->base : NULL;
	struct imap_login own_login;
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->base = (struct item_source){
		.ops = &imap_ops, .world = "imap", .parallel_fetch = true, .keys_immutable = true
	};
	pthread_mutex_init(&s->lock, NULL);
	fetch_init(&s->fetch, &s->session);
	rc = keep_login(s, login, &own_login, e);
	if (!rc)
		rc = session_open(&own_login, &s->session, e);
	if (rc) {
		source_free(&base);
		return rc;
	}
	*out = &s->base;
	return ERR_OK;
}
