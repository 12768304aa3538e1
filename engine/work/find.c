/*
 * Find: every distinct page of every live snapshot is looked at once, by keys, facts and summaries; bodies stay closed.
 * What was found in a page counts for every snapshot that has the page.
 */
#include "engine/work/hold.h"
#include "engine/work/loose.h"

#include <fnmatch.h>

#include "base/idmap.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/wr.h"

struct hit {
	struct loose_item copy;
	struct buf collection;
	struct account_id account;
	size_t first, last; /* snapshot numbers in the ledger */
};

/* Runs of hit numbers: a count, then that many numbers. Run 0 is the empty one. */
struct runs {
	uint32_t *values;
	size_t len, cap;
};

struct find {
	struct repo *repo;
	const struct find_query *query;
	struct hit *hits;
	size_t hit_count, hit_cap;
	struct idmap by_identity;  /* account, path, key, content → hit */
	struct idmap pages, roots; /* page or spine root, under account and path → its run */
	struct runs page_runs, root_runs;
	struct view *view;
	size_t number; /* of the snapshot looked at */
	bool counting; /* hits are told apart, and nothing of them is kept */
};

/* ---- the query ---- */

static bool field_has(struct span summary, uint32_t tag, struct span needle)
{
	struct span value;

	return fields_get(summary, tag, &value) && text_contains_nocase(value, needle);
}

static bool text_matches(const struct find_query *q, struct span s)
{
	static const uint32_t searched[] = { SUMMARY_TITLE, SUMMARY_FROM,  SUMMARY_TO,     SUMMARY_MESSAGE_ID,
		                             SUMMARY_FILES, SUMMARY_PLACE, SUMMARY_CONTACT };
	bool any = q->any.len == 0;

	for (size_t i = 0; !any && i < ARRAY_LEN(searched); i++)
		any = field_has(s, searched[i], q->any);
	return any && (!q->from.len || field_has(s, SUMMARY_FROM, q->from)) &&
	       (!q->to.len || field_has(s, SUMMARY_TO, q->to) || field_has(s, SUMMARY_CONTACT, q->to)) &&
	       (!q->title.len || field_has(s, SUMMARY_TITLE, q->title)) &&
	       (!q->message_id.len || field_has(s, SUMMARY_MESSAGE_ID, q->message_id)) &&
	       (!q->file.len || field_has(s, SUMMARY_FILES, q->file)) &&
	       (!q->place.len || field_has(s, SUMMARY_PLACE, q->place));
}

static bool item_matches(const struct find_query *q, const struct view_item *item)
{
	int64_t when = item->time_ms;
	uint64_t date;

	if (q->kind && item->kind != q->kind)
		return false;
	if (fields_get_u64(item->summary, SUMMARY_DATE, &date))
		when = (int64_t)date;
	if (when < q->after_ms || when > q->before_ms)
		return false;
	return text_matches(q, item->summary);
}

static bool collection_matches(const struct find_query *q, struct span path)
{
	char pattern[COLLECTION_PATH_BYTES_MAX + 1], name[COLLECTION_PATH_BYTES_MAX + 1];

	if (q->collection.len == 0 || span_equal(q->collection, path))
		return true;
	if (path.len >= sizeof name || q->collection.len >= sizeof pattern)
		return false;
	memcpy(pattern, q->collection.ptr, q->collection.len);
	pattern[q->collection.len] = 0;
	memcpy(name, path.ptr, path.len);
	name[path.len] = 0;
	return fnmatch(pattern, name, 0) == 0;
}

/* ---- runs ---- */

static enum err_code runs_push(struct runs *r, uint32_t value, struct err *e)
{
	if (r->len == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 256;
		uint32_t *grown = mem_grow(r->values, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		r->values = grown;
		r->cap = cap;
	}
	r->values[r->len++] = value;
	return ERR_OK;
}

/* An id under this account and collection: equal pages of two collections are two finds. */
static enum err_code scoped_id(struct find *f, size_t c, const struct chunk_id *id, struct span more,
                               struct chunk_id *out, struct err *e)
{
	struct buf all = BUF_EMPTY;
	struct wr w = wr_to(&all, e);

	wr_bytes(&w, span_of(f->view->info.account_id.bytes, ID16_BYTES));
	wr_blob(&w, f->view->table.rows[c].shown.c.path);
	wr_bytes(&w, span_of(id, sizeof *id));
	wr_bytes(&w, more);
	if (!wr_end(&w))
		crypto_digest(buf_span(&all), out->bytes, sizeof out->bytes);
	buf_release(&all);
	return wr_end(&w);
}

/* ---- hits ---- */

static enum err_code add_hit(struct find *f, size_t c, const struct view_item *item, uint32_t *number, struct err *e)
{
	struct chunk_id identity;
	struct hit *hit;
	uint64_t known;
	enum err_code rc = scoped_id(f, c, &item->content, item->key, &identity, e);

	if (rc)
		return rc;
	if (idmap_get(&f->by_identity, identity.bytes, &known)) {
		*number = (uint32_t)known;
		return ERR_OK;
	}
	if (f->hit_count == f->hit_cap) {
		size_t cap = f->hit_cap ? f->hit_cap * 2 : 64;
		struct hit *grown = mem_grow(f->hits, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		f->hits = grown;
		f->hit_cap = cap;
	}
	hit = &f->hits[f->hit_count];
	*hit = (struct hit){ .account = f->view->info.account_id, .first = f->number, .last = f->number };
	if (!f->counting)
		rc = loose_copy(item, &hit->copy, e);
	if (rc)
		return rc;
	*number = (uint32_t)f->hit_count++;
	if (!f->counting)
		rc = buf_append(&hit->collection, f->view->table.rows[c].shown.c.path, e);
	return rc ? rc : idmap_put(&f->by_identity, identity.bytes, *number, e);
}

static enum err_code look_at_page(struct find *f, size_t c, const struct page_entry *entry, struct err *e)
{
	enum item_kind kind = f->view->table.rows[c].shown.c.kind;
	struct page *page = &f->view->page;
	struct view_item item;
	bool whole = false;
	enum err_code rc = page_load(&f->view->io, entry, PAGE_KEYS | PAGE_FACTS, page, e);

	for (uint32_t row = 0; !rc && row < page->count; row++) {
		uint32_t number = 0;

		rc = view_row(f->view, page, row, kind, true, &item, e);
		if (rc || !item_matches(f->query, &item))
			continue;
		if (!whole)
			rc = page_load(&f->view->io, entry, PAGE_ALL, page, e);
		whole = true;
		if (!rc)
			rc = view_row(f->view, page, row, kind, true, &item, e);
		if (!rc)
			rc = add_hit(f, c, &item, &number, e);
		if (!rc)
			rc = runs_push(&f->page_runs, number, e);
	}
	return rc;
}

/* Looks at the page unless an earlier snapshot had it; either way its hits join the collection's run. */
static enum err_code page_hits(struct find *f, size_t c, const struct page_entry *entry, struct err *e)
{
	struct chunk_id id;
	uint64_t at;
	enum err_code rc = scoped_id(f, c, &entry->keys, span_of(&entry->refs, sizeof entry->refs), &id, e);

	if (rc)
		return rc;
	if (!idmap_get(&f->pages, id.bytes, &at)) {
		at = f->page_runs.len;
		rc = runs_push(&f->page_runs, 0, e);
		if (!rc)
			rc = look_at_page(f, c, entry, e);
		if (rc)
			return rc;
		f->page_runs.values[at] = (uint32_t)(f->page_runs.len - at - 1);
		if (f->page_runs.values[at] == 0) {
			f->page_runs.len = at; /* most pages have none */
			at = 0;
		}
		rc = idmap_put(&f->pages, id.bytes, at, e);
	}
	for (uint32_t i = 0; !rc && i < f->page_runs.values[at]; i++)
		rc = runs_push(&f->root_runs, f->page_runs.values[at + 1 + i], e);
	return rc;
}

static enum err_code collection_hits(struct find *f, size_t c, struct err *e)
{
	struct page_list pages = PAGE_LIST_EMPTY;
	struct chunk_id id;
	uint64_t at;
	enum err_code rc = scoped_id(f, c, &f->view->table.rows[c].roots.spine, SPAN_EMPTY, &id, e);

	if (rc)
		return rc;
	if (!idmap_get(&f->roots, id.bytes, &at)) {
		at = f->root_runs.len;
		rc = runs_push(&f->root_runs, 0, e);
		if (!rc)
			rc = view_pages(f->view, c, &pages, e);
		for (size_t p = 0; !rc && p < pages.count; p++)
			rc = repo_stopped(f->repo) ? repo_cancelled(e) : page_hits(f, c, &pages.entries[p], e);
		page_list_release(&pages);
		if (!rc)
			f->root_runs.values[at] = (uint32_t)(f->root_runs.len - at - 1);
		if (!rc)
			rc = idmap_put(&f->roots, id.bytes, at, e);
	}
	for (uint32_t i = 0; !rc && i < f->root_runs.values[at]; i++)
		f->hits[f->root_runs.values[at + 1 + i]].last = f->number;
	return rc;
}

static enum err_code look_at_snapshot(struct find *f, const struct snapshot_fact *fact, struct err *e)
{
	enum err_code rc = view_open(f->repo, &fact->entry.id, &f->view, e);

	for (size_t c = 0; !rc && c < f->view->table.count; c++)
		if (collection_matches(f->query, f->view->table.rows[c].shown.c.path))
			rc = collection_hits(f, c, e);
	view_free(&f->view);
	return rc;
}

static enum err_code tell_hit(struct find *f, struct hit *hit, find_visit visit, void *ctx, struct err *e)
{
	const struct snapshot_fact *latest = snapshot_latest(f->repo, &hit->account, true);
	const struct snapshot_fact *last = ledger_snapshot(f->repo->ledger, hit->last);
	struct buf hold_first = BUF_EMPTY, hold_last = BUF_EMPTY;
	struct snapshot_info info_first, info_last;
	struct find_hit out = { .collection = buf_span(&hit->collection),
		                .item = loose_get(&hit->copy),
		                .first = &info_first,
		                .last = &info_last,
		                .in_latest = latest == last };
	enum err_code rc =
	        snapshot_show(f->repo, ledger_snapshot(f->repo->ledger, hit->first), &hold_first, &info_first, e);

	if (!rc)
		rc = snapshot_show(f->repo, last, &hold_last, &info_last, e);
	if (!rc) {
		out.account = info_last.account;
		rc = visit(ctx, &out, e);
	}
	buf_release(&hold_first);
	buf_release(&hold_last);
	return rc;
}

static void find_release(struct find *f)
{
	for (size_t i = 0; i < f->hit_count; i++) {
		loose_release(&f->hits[i].copy);
		buf_release(&f->hits[i].collection);
	}
	mem_free(f->hits);
	mem_free(f->page_runs.values);
	mem_free(f->root_runs.values);
	idmap_release(&f->by_identity);
	idmap_release(&f->pages);
	idmap_release(&f->roots);
}

enum err_code engine_find(struct repo *r, const struct find_query *q, find_visit visit, void *ctx, struct err *e)
{
	struct find f = { .repo = r, .query = q };
	struct account_id only = { { 0 } };
	size_t count = ledger_snapshot_count(r->ledger);
	enum err_code rc = repo_need_names(r, "search items", e);

	if (!rc)
		rc = runs_push(&f.page_runs, 0, e);
	if (!rc && q->account)
		only = keys_account(r->keys, span_cstr(q->account));
	for (f.number = 0; !rc && f.number < count; f.number++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, f.number);

		if (fact->state == SNAPSHOT_LIVE && (!q->account || !memcmp(&fact->entry.account, &only, sizeof only)))
			rc = look_at_snapshot(&f, fact, e);
	}
	for (size_t i = 0; !rc && i < f.hit_count; i++)
		rc = tell_hit(&f, &f.hits[i], visit, ctx, e);
	find_release(&f);
	return rc;
}

enum err_code find_fresh(struct repo *r, const struct find_query *q, const size_t *rows, size_t count, bool *fresh,
                         struct err *e)
{
	struct find f = { .repo = r, .query = q, .counting = true };
	enum err_code rc = repo_need_names(r, "look at what is held", e);

	if (!rc)
		rc = runs_push(&f.page_runs, 0, e);
	for (size_t i = 0; !rc && i < count; i++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, rows[i]);
		size_t known = f.hit_count;

		f.number = rows[i];
		rc = look_at_snapshot(&f, fact, e);
		fresh[i] = f.hit_count > known;
		/* Nobody can say what a damaged one holds. */
		if (rc == ERR_CORRUPT || rc == ERR_NOT_FOUND) {
			fresh[i] = true;
			rc = ERR_OK;
		}
	}
	find_release(&f);
	return rc;
}
