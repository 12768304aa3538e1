#include "engine/work/copy_source.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/idmap.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/pool.h"
#include "base/rd.h"
#include "base/text.h"
#include "chunker/chunker.h"
#include "engine/work/codecs.h"

#define LISTING_BYTES_MAX ((size_t)2 << 30)

struct copy_source {
	struct item_source base;
	struct view *view;
	struct view *before[COPY_BEFORE_MAX];
	size_t before_count;
	struct collection *collections;
	struct err *damage; /* per collection: why its attributes cannot be read; code 0: they can */
	struct codecs codecs;
	uint64_t lost;
	atomic_uint_fast64_t items, bytes;
};

/* Where an entry's bytes are: key, state, then, when KNOWN, content id and facts. */
struct entry {
	size_t at;
	uint32_t page, row;
	uint16_t key_len, state_len, facts_len;
	bool known;   /* content and facts are here; else in the page */
	bool changed; /* fetch it, although the base has its key */
};

struct item_listing {
	struct copy_source *source;
	size_t collection;
	struct entry *entries;
	size_t count, cap;
	struct buf bytes;
	struct page_list pages;
	pthread_mutex_t lock; /* guards what follows */
	struct page page;     /* read again for an entry that is not known */
	size_t page_number;
};

/* ---- joining an item ---- */

struct join {
	struct repo *repo;
	struct block_codec *codec;
	const struct item_stream *stream;
	struct held_chunk held;
	const struct copy_join *to;
};

static enum err_code join_chunk(void *ctx, uint32_t i, struct span *bytes, struct err *e)
{
	struct join *j = ctx;
	enum err_code rc;

	reader_drop(j->repo->reader, &j->held);
	if (i >= j->stream->id_count)
		return err_set(e, ERR_CORRUPT, "the recipe wants chunk %u of %u", i, j->stream->id_count);
	rc = reader_get(j->repo->reader, j->codec, ITEM_PART_CLASS, &j->stream->ids[i], &j->held, e);
	*bytes = j->held.bytes;
	return rc;
}

static enum err_code join_write(void *ctx, struct span bytes, struct err *e)
{
	struct join *j = ctx;

	return j->to->write(j->to->ctx, bytes, e);
}

enum err_code copy_join_item(struct repo *r, struct block_codec *codec, const struct chunk_id *content,
                             const struct copy_join *to, struct err *e)
{
	struct join j = { .repo = r, .codec = codec, .to = to };
	struct held_chunk held = HELD_CHUNK_NONE;
	struct item_chunk item = { .count = 0 };
	struct recipe_info info;
	enum err_code rc = reader_get(r->reader, codec, CLASS_ITEM, content, &held, e);

	if (!rc)
		rc = item_chunk_decode(held.bytes, &item, e);
	for (size_t i = 0; !rc && i < item.count; i++) {
		j.stream = &item.streams[i];
		rc = recipe_check(j.stream->recipe, &info, e);
		if (!rc)
			rc = to->stream(to->ctx, j.stream->name, info.total_bytes, e);
		if (!rc)
			rc = recipe_join(j.stream->recipe, join_chunk, join_write, &j, e);
	}
	reader_drop(r->reader, &j.held);
	reader_drop(r->reader, &held);
	return rc;
}

/* ---- what earlier snapshots have ---- */

/* One row of an earlier snapshot that lies in a page which the current one has not. */
struct old_row {
	size_t at; /* key, then facts */
	uint16_t key_len, facts_len;
	struct chunk_id content;
};
struct earlier {
	const struct page_list *pages;
	struct idmap shared; /* refs id of each of its pages: its number */
	struct old_row *rows;
	size_t count, cap, next;
	struct buf bytes;
};

static void earlier_release(struct earlier *o)
{
	idmap_release(&o->shared);
	mem_free(o->rows);
	buf_release(&o->bytes);
}

/* Room for MORE entries of SIZE bytes each behind COUNT. */
static enum err_code room(void **rows, size_t *cap, size_t count, size_t more, size_t size, struct err *e)
{
	size_t want = *cap ? *cap : 64;
	void *grown;

	if (count + more <= *cap)
		return ERR_OK;
	while (want < count + more)
		want *= 2;
	grown = mem_grow(*rows, want * size);
	if (!grown)
		return err_no_memory(e, want * size);
	*rows = grown;
	*cap = want;
	return ERR_OK;
}

/* True when PAGE, state aside, is one of LIST, whose pages MAP knows. */
static bool has_page(const struct idmap *map, const struct page_list *list, const struct page_entry *page)
{
	uint64_t number;

	return idmap_get(map, page->refs.bytes, &number) && chunk_id_equal(&list->entries[number].keys, &page->keys) &&
	       chunk_id_equal(&list->entries[number].facts, &page->facts);
}

static enum err_code map_pages(const struct page_list *list, struct idmap *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t p = 0; !rc && p < list->count; p++)
		rc = idmap_put(out, list->entries[p].refs.bytes, p, e);
	return rc;
}

static enum err_code content_of(struct view *v, const struct page_row *row, struct chunk_id *out, struct err *e)
{
	const struct chunk_id *ids;
	uint32_t count;
	enum err_code rc = view_row_ids(v, row, &ids, &count, e);

	if (!rc && count == 0)
		rc = err_set(e, ERR_CORRUPT, "the item names no chunks");
	if (!rc)
		*out = ids[0];
	return rc;
}

static enum err_code keep_row(struct earlier *o, const struct page_row *row, const struct chunk_id *content,
                              struct err *e)
{
	enum err_code rc = room((void **)&o->rows, &o->cap, o->count, 1, sizeof *o->rows, e);
	struct old_row *kept = &o->rows[o->count];

	if (rc)
		return rc;
	*kept = (struct old_row){ .at = o->bytes.len,
		                  .key_len = (uint16_t)row->key.len,
		                  .facts_len = (uint16_t)row->facts.len,
		                  .content = *content };
	rc = buf_append(&o->bytes, row->key, e);
	if (!rc)
		rc = buf_append(&o->bytes, row->facts, e);
	o->count += !rc;
	return rc;
}

static bool is_damage(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_NOT_FOUND;
}

/* Rows of V's pages that NOW has not. What cannot be read is left out, and its items are fetched. */
static enum err_code load_earlier(struct view *v, const struct page_list *pages, const struct page_list *now,
                                  const struct idmap *now_map, struct earlier *o, struct err *e)
{
	struct page page = PAGE_EMPTY;
	struct chunk_id content;
	enum err_code rc;

	o->pages = pages;
	o->bytes = BUF_WITH_MAX(LISTING_BYTES_MAX);
	rc = map_pages(pages, &o->shared, e);
	for (size_t p = 0; !rc && p < pages->count; p++) {
		if (has_page(now_map, now, &pages->entries[p]))
			continue;
		rc = page_load(&v->io, &pages->entries[p], PAGE_KEYS | PAGE_FACTS | PAGE_REFS, &page, e);
		if (is_damage(rc)) {
			rc = ERR_OK;
			continue;
		}
		for (uint32_t i = 0; !rc && i < page.count; i++) {
			rc = content_of(v, &page.rows[i], &content, e);
			if (!rc)
				rc = keep_row(o, &page.rows[i], &content, e);
			else if (is_damage(rc))
				rc = ERR_OK;
		}
	}
	page_release(&page);
	return rc;
}

enum was { WAS_ABSENT, WAS_SAME, WAS_OTHER };

/* What O has under ROW's key; rows are asked for in key order. */
static enum was was(struct earlier *o, bool page_shared, const struct page_row *row, const struct chunk_id *content)
{
	if (page_shared)
		return WAS_SAME;
	for (; o->next < o->count; o->next++) {
		const struct old_row *old = &o->rows[o->next];
		int order = span_compare(span_of(o->bytes.ptr + old->at, old->key_len), row->key);

		if (order > 0)
			break;
		if (order < 0)
			continue;
		return chunk_id_equal(&old->content, content) &&
		                       span_equal(span_of(o->bytes.ptr + old->at + old->key_len, old->facts_len),
		                                  row->facts)
		               ? WAS_SAME
		               : WAS_OTHER;
	}
	return WAS_ABSENT;
}

/* ---- listing ---- */

static void listing_free(struct item_listing **lp)
{
	struct item_listing *l = *lp;

	if (!l)
		return;
	mem_free(l->entries);
	buf_release(&l->bytes);
	page_list_release(&l->pages);
	page_release(&l->page);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
	*lp = NULL;
}

/* CONTENT NULL: it and the facts stay in the page. */
static enum err_code add_entry(struct item_listing *l, size_t page, uint32_t number, const struct page_row *row,
                               const struct chunk_id *content, bool changed, struct err *e)
{
	enum err_code rc = room((void **)&l->entries, &l->cap, l->count, 1, sizeof *l->entries, e);
	struct entry *entry = &l->entries[l->count];

	if (rc)
		return rc;
	*entry = (struct entry){ .at = l->bytes.len,
		                 .page = (uint32_t)page,
		                 .row = number,
		                 .key_len = (uint16_t)row->key.len,
		                 .state_len = (uint16_t)row->state.len,
		                 .facts_len = content ? (uint16_t)row->facts.len : 0,
		                 .known = content != NULL,
		                 .changed = changed };
	rc = buf_append(&l->bytes, row->key, e);
	if (!rc)
		rc = buf_append(&l->bytes, row->state, e);
	if (!rc && content)
		rc = buf_append(&l->bytes, span_of(content, sizeof *content), e);
	if (!rc && content)
		rc = buf_append(&l->bytes, row->facts, e);
	l->count += !rc;
	return rc;
}

static void tell_lost(struct copy_source *s, size_t c, struct span key, const struct err *why)
{
	char what[700];
	struct span path = s->view->table.rows[c].shown.c.path;

	s->lost++;
	if (!s->base.report)
		return;
	if (key.len)
		snprintf(what, sizeof what, "%s#%s", text_name(path).text, text_name(key).text);
	else
		snprintf(what, sizeof what, "%s", text_name(path).text);
	s->base.report(s->base.report_ctx, what, why);
}

/* A page that cannot be read whole: nothing of it is copied, and each item is told, by name if its key can be read. */
static enum err_code lose_page(struct copy_source *s, size_t c, const struct page_entry *entry, struct page *page,
                               struct err *why)
{
	struct err other;

	if (!is_damage(why->code))
		return why->code;
	if (page_load(&s->view->io, entry, PAGE_KEYS, page, &other) == ERR_OK) {
		for (uint32_t i = 0; i < page->count; i++)
			tell_lost(s, c, page->rows[i].key, why);
		return ERR_OK;
	}
	err_note(why, "%u items that cannot be told by name are lost", entry->count);
	tell_lost(s, c, SPAN_EMPTY, why);
	s->lost += entry->count - 1;
	return ERR_OK;
}

struct comparing {
	struct earlier earlier[COPY_BEFORE_MAX];
	size_t count;
};

/* One page of which not all is known from before. */
static enum err_code list_page(struct item_listing *l, struct comparing *k, size_t p, struct page *page, struct err *e)
{
	struct copy_source *s = l->source;
	const struct page_entry *entry = &l->pages.entries[p];
	bool shared[COPY_BEFORE_MAX];
	struct chunk_id content;
	struct err why;
	enum err_code rc = page_load(&s->view->io, entry, PAGE_ALL, page, e);

	if (rc)
		return lose_page(s, l->collection, entry, page, e);
	for (size_t i = 0; i < k->count; i++)
		shared[i] = has_page(&k->earlier[i].shared, k->earlier[i].pages, entry);
	for (uint32_t row = 0; !rc && row < page->count; row++) {
		bool same = false, other = false;

		if (content_of(s->view, &page->rows[row], &content, &why)) {
			if (!is_damage(why.code)) {
				*e = why;
				return why.code;
			}
			tell_lost(s, l->collection, page->rows[row].key, &why);
			continue;
		}
		for (size_t i = 0; i < k->count; i++) {
			enum was w = was(&k->earlier[i], shared[i], &page->rows[row], &content);

			same |= w == WAS_SAME;
			other |= w == WAS_OTHER;
		}
		rc = add_entry(l, p, row, &page->rows[row], &content, other || !same, e);
	}
	return rc;
}

/* A page that all earlier snapshots have: only the states are new, perhaps. */
static enum err_code list_known_page(struct item_listing *l, size_t p, struct page *page, struct err *e)
{
	struct copy_source *s = l->source;
	enum err_code rc = page_load(&s->view->io, &l->pages.entries[p], PAGE_KEYS | PAGE_STATE, page, e);

	if (rc)
		return lose_page(s, l->collection, &l->pages.entries[p], page, e);
	for (uint32_t row = 0; !rc && row < page->count; row++)
		rc = add_entry(l, p, row, &page->rows[row], NULL, false, e);
	return rc;
}

static enum err_code list_pages(struct item_listing *l, struct comparing *k, struct err *e)
{
	struct page page = PAGE_EMPTY;
	enum err_code rc = ERR_OK;

	for (size_t p = 0; !rc && p < l->pages.count; p++) {
		bool known = k->count > 0;

		for (size_t i = 0; i < k->count; i++)
			known = known && has_page(&k->earlier[i].shared, k->earlier[i].pages, &l->pages.entries[p]);
		rc = known ? list_known_page(l, p, &page, e) : list_page(l, k, p, &page, e);
	}
	page_release(&page);
	return rc;
}

static enum err_code compare_and_list(struct item_listing *l, struct err *e)
{
	struct copy_source *s = l->source;
	struct page_list pages[COPY_BEFORE_MAX] = { PAGE_LIST_EMPTY, PAGE_LIST_EMPTY };
	struct comparing k = { .count = 0 };
	struct idmap now = IDMAP_EMPTY;
	struct span path = s->collections[l->collection].path;
	enum err_code rc = map_pages(&l->pages, &now, e);

	for (size_t i = 0; !rc && i < s->before_count; i++) {
		const struct collection_row *row = collection_table_find(&s->before[i]->table, path);

		if (!row)
			continue;
		rc = view_pages(s->before[i], (size_t)(row - s->before[i]->table.rows), &pages[i], e);
		if (is_damage(rc)) {
			rc = ERR_OK; /* as if it were not there: all is fetched */
			continue;
		}
		if (!rc)
			rc = load_earlier(s->before[i], &pages[i], &l->pages, &now, &k.earlier[k.count++], e);
	}
	if (!rc)
		rc = list_pages(l, &k, e);
	for (size_t i = 0; i < COPY_BEFORE_MAX; i++) {
		earlier_release(&k.earlier[i]);
		page_list_release(&pages[i]);
	}
	idmap_release(&now);
	return rc;
}

/* All of its items are lost; the run that hears of it counts one. */
static void lose_collection(struct copy_source *s, size_t c)
{
	s->lost += num_max(s->view->table.rows[c].state.items, 1) - 1;
}

static enum err_code source_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                 struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct copy_source *s = (struct copy_source *)base;
	struct item_listing *l;
	enum err_code rc;

	(void)cursor;
	(void)rescan;
	if (s->damage[c].code) {
		*e = s->damage[c];
		lose_collection(s, c);
		return e->code;
	}
	l = mem_zalloc(1, sizeof *l);
	if (!l)
		return err_no_memory(e, sizeof *l);
	l->source = s;
	l->collection = c;
	l->bytes = BUF_WITH_MAX(LISTING_BYTES_MAX);
	l->page_number = SIZE_MAX;
	pthread_mutex_init(&l->lock, NULL);
	rc = view_pages(s->view, c, &l->pages, e);
	if (!rc)
		rc = compare_and_list(l, e);
	buf_clear(new_cursor);
	/* The origin's, and its state is what the copy holds: who goes on from the copy sees what changed since. */
	if (!rc)
		rc = buf_append(new_cursor, s->view->table.rows[c].state.cursor, e);
	if (rc) {
		listing_free(&l);
		lose_collection(s, c);
		return rc;
	}
	*out = l;
	return ERR_OK;
}

static size_t listing_count(const struct item_listing *l)
{
	return l->count;
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	const struct entry *entry = &l->entries[i];

	*out = (struct item_entry){ span_of(l->bytes.ptr + entry->at, entry->key_len),
		                    span_of(l->bytes.ptr + entry->at + entry->key_len, entry->state_len), i };
}

bool copy_source_changed(const struct item_listing *l, size_t i)
{
	return l->entries[i].changed;
}

bool copy_source_same(const struct item_source *base, size_t c, uint64_t items, uint64_t bytes)
{
	const struct copy_source *s = (const struct copy_source *)base;
	const struct collection_row *now = &s->view->table.rows[c], *row;

	if (s->before_count != 1 || s->damage[c].code || now->state.items != items || now->state.bytes != bytes)
		return false;
	row = collection_table_find(&s->before[0]->table, now->shown.c.path);
	return row && !memcmp(&row->roots, &now->roots, sizeof row->roots) &&
	       span_equal(row->state.cursor, now->state.cursor) &&
	       !((s->view->info.flags | s->before[0]->info.flags) & ENGINE_SNAPSHOT_GAPS);
}

const uint64_t *copy_source_lost(const struct item_source *s)
{
	return &((const struct copy_source *)s)->lost;
}

struct copy_source_count copy_source_count(const struct item_source *base)
{
	const struct copy_source *s = (const struct copy_source *)base;

	return (struct copy_source_count){ atomic_load(&s->items), atomic_load(&s->bytes) };
}

/* ---- fetching ---- */

/* FACTS without the anchor, which is keyed and so another one in every repository. */
static enum err_code add_facts(struct span facts, struct buf *out, struct err *e)
{
	struct rd r = rd_of(facts);
	enum err_code rc = ERR_OK;

	if (!fields_check(facts))
		return err_set(e, ERR_CORRUPT, "the item's facts are damaged");
	while (!rc && r.left.len) {
		uint64_t tag = rd_var(&r);
		struct span value = rd_blob(&r, facts.len);

		if (tag != FACT_ANCHOR)
			rc = fields_add(out, (uint32_t)tag, value, e);
	}
	return rc;
}

/* Content and facts of an entry whose page was not read for the listing. */
static enum err_code from_page(struct item_listing *l, const struct entry *entry, struct chunk_id *content,
                               struct buf *facts, struct err *e)
{
	struct copy_source *s = l->source;
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&l->lock);
	if (l->page_number != entry->page) {
		l->page_number = SIZE_MAX;
		rc = page_load(&s->view->io, &l->pages.entries[entry->page], PAGE_KEYS | PAGE_FACTS | PAGE_REFS,
		               &l->page, e);
		if (!rc)
			l->page_number = entry->page;
	}
	if (!rc)
		rc = content_of(s->view, &l->page.rows[entry->row], content, e);
	if (!rc)
		rc = add_facts(l->page.rows[entry->row].facts, facts, e);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

struct passing {
	const struct item_receiver *to;
	size_t streams;
	uint64_t left, primary, all; /* bytes: of this stream to come, of the first, of all */
};

static enum err_code pass_stream(void *ctx, struct span name, uint64_t bytes, struct err *e)
{
	struct passing *p = ctx;

	if (p->streams++ == 0)
		p->primary = bytes;
	p->left = bytes;
	p->all += bytes;
	return p->to->stream(p->to->ctx, name, bytes, e);
}

static enum err_code pass_bytes(void *ctx, struct span bytes, struct err *e)
{
	struct passing *p = ctx;

	while (bytes.len) {
		uint8_t *dst;
		size_t got, n;
		/* All that is to come is asked for: who holds items whole has room once, or refuses at once. */
		enum err_code rc = p->to->space(p->to->ctx, (size_t)p->left, &dst, &got, e);

		if (rc)
			return rc;
		n = (size_t)num_min(got, bytes.len);
		memcpy(dst, bytes.ptr, n);
		rc = p->to->add(p->to->ctx, n, e);
		if (rc)
			return rc;
		bytes = span_skip(bytes, n);
		p->left -= n;
	}
	return ERR_OK;
}

static enum err_code source_fetch(struct item_source *base, size_t c, const struct item_listing *listing,
                                  uint64_t place, const struct item_receiver *to, struct buf *facts, struct err *e)
{
	struct copy_source *s = (struct copy_source *)base;
	const struct entry *entry = &listing->entries[place];
	const uint8_t *at = listing->bytes.ptr + entry->at + entry->key_len + entry->state_len;
	struct passing passing = { .to = to };
	struct copy_join join = { .ctx = &passing, .stream = pass_stream, .write = pass_bytes };
	struct block_codec *codec;
	struct chunk_id content;
	uint64_t size;
	enum err_code rc;

	(void)c;
	if (entry->known) {
		memcpy(&content, at, sizeof content);
		rc = add_facts(span_of(at + sizeof content, entry->facts_len), facts, e);
	} else {
		/* The lock in the listing is what changes; nothing that others look at. */
		rc = from_page((struct item_listing *)(uintptr_t)listing, entry, &content, facts, e);
	}
	if (rc)
		return rc;
	codec = codecs_take(&s->codecs);
	rc = copy_join_item(s->view->repo, codec, &content, &join, e);
	codecs_give(&s->codecs, codec);
	if (!rc && fields_get_u64(buf_span(facts), FACT_SIZE, &size) && size != passing.primary)
		rc = err_set(e, ERR_CORRUPT, "the item has %llu bytes where its facts say %llu",
		             (unsigned long long)passing.primary, (unsigned long long)size);
	if (!rc) {
		atomic_fetch_add(&s->items, 1);
		atomic_fetch_add(&s->bytes, passing.all);
	}
	return rc;
}

/* ---- the source ---- */

static enum err_code source_collections(struct item_source *base, const struct collection **out, size_t *count,
                                        struct err *e)
{
	struct copy_source *s = (struct copy_source *)base;
	const struct view_collection *shown;

	for (size_t c = 0; c < s->view->table.count; c++) {
		enum err_code rc = view_collection(s->view, c, &shown, &s->damage[c]);

		if (rc && !is_damage(rc)) {
			*e = s->damage[c];
			return rc;
		}
		/* Without its attributes a collection would be another one: list says why it is left out. */
		s->collections[c] = s->view->table.rows[c].shown.c;
		if (rc)
			s->collections[c].attribute_count = 0;
		else
			s->damage[c].code = ERR_OK;
	}
	*out = s->collections;
	*count = s->view->table.count;
	return ERR_OK;
}

static void source_free(struct item_source **sp)
{
	struct copy_source *s = (struct copy_source *)*sp;

	if (!s)
		return;
	mem_free(s->collections);
	mem_free(s->damage);
	codecs_release(&s->codecs);
	mem_free(s);
	*sp = NULL;
}

static const struct item_source_ops source_ops = {
	.collections = source_collections,
	.list = source_list,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = listing_free,
	.fetch = source_fetch,
	.free = source_free,
};

enum err_code copy_source_open(struct view *v, struct view *const *before, size_t before_count,
                               struct item_source **out, struct err *e)
{
	struct copy_source *s = mem_zalloc(1, sizeof *s);
	struct item_source *base;
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	base = &s->base;
	s->base.ops = &source_ops;
	s->base.world = "snapshot";
	s->base.parallel_fetch = true;
	s->base.keys_immutable = true; /* what changed is told by copy_source_changed */
	s->view = v;
	s->before_count = before_count;
	for (size_t i = 0; i < before_count; i++)
		s->before[i] = before[i];
	s->collections = mem_zalloc(v->table.count, sizeof *s->collections);
	s->damage = mem_zalloc(v->table.count, sizeof *s->damage);
	rc = s->collections && s->damage ? codecs_open(&s->codecs, pool_cores() + 1, e)
	                                 : err_no_memory(e, v->table.count * sizeof *s->damage);
	if (rc)
		source_free(&base);
	else
		*out = base;
	return rc;
}
