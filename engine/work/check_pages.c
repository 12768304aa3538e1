/*
 * Snapshots, every page once: what is in a page does not change, so what was found of it holds for each snapshot that
 * has it. Items that are affected are gathered by page and told in the end, with the snapshots that have them.
 */
#include "engine/work/check.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"

#define AFFECTED_BYTES_MAX (64 * MIB) /* of what is gathered; beyond it items are told at once, with one snapshot */

/* A page with affected items. */
struct bad_page {
	struct snapshot_id first, last;
	uint64_t snapshots;
};

/* An affected item. Its names stand in check.names: collection, key, title, one behind the other. */
struct bad_item {
	uint32_t page;
	uint64_t missing; /* chunks; 0: the page itself is damaged */
	size_t at;
	uint32_t collection_len, key_len, title_len;
};

static void name_snapshot(const struct snapshot_id *id, char out[32])
{
	char hex[16];

	text_hex(span_of(id->bytes, 4), hex);
	snprintf(out, 32, "snapshot %s", hex);
}

/* ---- telling ---- */

static void tell_item(struct check *c, const struct bad_page *page, const struct bad_item *item, const uint8_t *names)
{
	struct check_problem p = {
		.snapshots = page->snapshots,
		.first = page->first,
		.last = page->last,
		.collection = span_of(names, item->collection_len),
		.key = span_of(names + item->collection_len, item->key_len),
		.title = span_of(names + item->collection_len + item->key_len, item->title_len),
	};
	char object[32];
	struct err what;

	name_snapshot(&page->first, object);
	p.object = object;
	p.what = &what;
	if (item->missing)
		err_set(&what, ERR_CORRUPT, "item '%s' of '%s' needs %" PRIu64 " chunks that cannot be read",
		        text_name(p.key).text, text_name(p.collection).text, item->missing);
	else
		err_set(&what, ERR_CORRUPT, "item '%s' of '%s' stands in a page that cannot be read",
		        text_name(p.key).text, text_name(p.collection).text);
	c->report->problems++;
	if (c->visit)
		c->visit(c->ctx, &p);
}

static void tell_all(struct check *c)
{
	const struct bad_item *items = (const struct bad_item *)(const void *)c->items.ptr;
	const struct bad_page *pages = (const struct bad_page *)(const void *)c->pages.ptr;

	for (size_t i = 0; i < c->items.len / sizeof *items; i++)
		tell_item(c, &pages[items[i].page], &items[i], c->names.ptr + items[i].at);
}

/* ---- gathering ---- */

struct place_of {
	struct view *view;
	size_t collection;
	const struct page_entry *entry;
	uint64_t page; /* 1 + its place in check.pages; 0: nothing in it is affected yet */
};

static enum err_code keep_item(struct check *c, struct place_of *p, struct span key, struct span title,
                               uint64_t missing, struct err *e)
{
	struct span path = p->view->table.rows[p->collection].shown.c.path;
	struct bad_item item = { .missing = missing,
		                 .at = c->names.len,
		                 .collection_len = (uint32_t)path.len,
		                 .key_len = (uint32_t)key.len,
		                 .title_len = (uint32_t)title.len };
	struct bad_page page = { c->snapshot, c->snapshot, 1 };
	enum err_code rc = ERR_OK;

	c->report->items_affected++;
	c->trouble++;
	if (!p->page) {
		rc = buf_append(&c->pages, span_of(&page, sizeof page), e);
		p->page = c->pages.len / sizeof page;
	}
	item.page = (uint32_t)p->page - 1;
	if (!rc)
		rc = buf_append(&c->names, path, e);
	if (!rc)
		rc = buf_append(&c->names, key, e);
	if (!rc)
		rc = buf_append(&c->names, title, e);
	if (!rc && c->names.len + c->items.len > AFFECTED_BYTES_MAX) {
		tell_item(c, &page, &item, c->names.ptr + item.at);
		c->names.len = item.at;
		return ERR_OK;
	}
	return rc ? rc : buf_append(&c->items, span_of(&item, sizeof item), e);
}

static struct span title_of(struct view *v, const struct page *page, uint32_t row)
{
	struct view_item shown;
	struct span title = SPAN_EMPTY;
	struct err ignored;

	v->told_lost_summaries = true; /* a lost summary is told by check itself */
	if (view_row(v, page, row, KIND_OTHER, true, &shown, &ignored) == ERR_OK)
		(void)fields_get(shown.summary, SUMMARY_TITLE, &title);
	return title;
}

/* ---- one page ---- */

/* All ids that the rows name, row after row, and what of them can be had. */
static enum err_code row_ids(struct check *c, struct view *v, struct err *e)
{
	enum err_code rc = ERR_OK;
	uint8_t *have;

	buf_clear(&c->ids);
	buf_clear(&c->have);
	c->ids.max = (size_t)PAGE_ITEMS_MAX * REFS_INLINE_MAX * sizeof(struct chunk_id);
	for (uint32_t row = 0; !rc && row < v->page.count; row++)
		rc = buf_append(&c->ids,
		                span_of(v->page.rows[row].ids, v->page.rows[row].id_count * sizeof(struct chunk_id)),
		                e);
	if (!rc)
		rc = buf_extend(&c->have, c->ids.len / sizeof(struct chunk_id), &have, e);
	if (!rc)
		rc = check_have(c, (const struct chunk_id *)(const void *)c->ids.ptr, c->have.len,
		                (bool *)(void *)c->have.ptr, e);
	return rc;
}

/* A row whose ids stand in list chunks: what those name. A list that cannot be read counts as one chunk. */
static enum err_code count_listed(struct check *c, struct view *v, const struct page_row *row, uint64_t *missing,
                                  struct err *e)
{
	const struct chunk_id *ids;
	uint32_t count;
	struct err what;
	enum err_code rc = view_row_ids(v, row, &ids, &count, &what);

	if (rc == ERR_NO_MEMORY) {
		*e = what;
		return rc;
	}
	if (rc) {
		++*missing;
		return ERR_OK;
	}
	return check_count_missing(c, ids, count, missing, e);
}

static enum err_code check_rows(struct check *c, struct place_of *p, struct err *e)
{
	struct view *v = p->view;
	size_t at = 0;
	enum err_code rc = row_ids(c, v, e);

	for (uint32_t row = 0; !rc && row < v->page.count; row++) {
		const struct page_row *r = &v->page.rows[row];
		uint64_t missing = 0;

		for (uint32_t i = 0; i < r->id_count; i++)
			missing += !((const bool *)(const void *)c->have.ptr)[at++];
		if (r->listed && !missing)
			rc = count_listed(c, v, r, &missing, e);
		if (!rc && missing)
			rc = keep_item(c, p, r->key, title_of(v, &v->page, row), missing, e);
	}
	return rc;
}

/* The page does not load. When its keys do, its items can be named at least. */
static enum err_code page_is_lost(struct check *c, struct place_of *p, struct err *what, struct err *e)
{
	const struct chunk_id columns[] = { p->entry->refs, p->entry->keys, p->entry->facts, p->entry->state };
	struct view *v = p->view;
	struct err ignored;
	uint64_t missing = 0;
	enum err_code rc = check_count_missing(c, columns, ARRAY_LEN(columns), &missing, e);

	if (rc)
		return rc;
	err_note(what, "in a page of %" PRIu32 " items of '%s'", p->entry->count,
	         text_name(v->table.rows[p->collection].shown.c.path).text);
	check_problem(c, c->object, what);
	if (page_load(&v->io, p->entry, PAGE_KEYS, &v->page, &ignored)) {
		c->report->items_affected += p->entry->count;
		return ERR_OK;
	}
	for (uint32_t row = 0; !rc && row < v->page.count; row++)
		rc = keep_item(c, p, v->page.rows[row].key, title_of(v, &v->page, row), 0, e);
	return rc;
}

static enum err_code check_summaries(struct check *c, struct place_of *p, struct err *e)
{
	struct view *v = p->view;
	uint64_t missing = 0;
	struct err what;
	enum err_code rc = check_count_missing(c, v->page.summary_ids, v->page.summary_count, &missing, e);

	if (rc || !missing)
		return rc;
	err_set(&what, ERR_CORRUPT, "%" PRIu64 " summaries of '%s' are lost (items themselves are not)", missing,
	        text_name(v->table.rows[p->collection].shown.c.path).text);
	check_problem(c, c->object, &what);
	return ERR_OK;
}

static enum err_code look_into_page(struct check *c, struct place_of *p, struct err *e)
{
	struct err what;
	enum err_code rc = page_load(&p->view->io, p->entry, PAGE_ALL, &p->view->page, &what);

	if (rc == ERR_NO_MEMORY) {
		*e = what;
		return rc;
	}
	if (rc)
		return page_is_lost(c, p, &what, e);
	rc = check_summaries(c, p, e);
	return rc ? rc : check_rows(c, p, e);
}

static enum err_code check_page(struct check *c, struct view *v, size_t collection, const struct page_entry *entry,
                                struct err *e)
{
	const struct chunk_id ids[] = { entry->refs, entry->keys, entry->facts, entry->state };
	struct place_of p = { v, collection, entry, 0 };
	uint8_t name[IDMAP_KEY_BYTES];
	uint64_t seen;
	enum err_code rc;

	crypto_digest(span_of(ids, sizeof ids), name, sizeof name);
	if (idmap_get(&c->pages_seen, name, &seen)) {
		struct bad_page *bad = seen ? (struct bad_page *)(void *)c->pages.ptr + seen - 1 : NULL;

		if (bad && memcmp(&bad->last, &c->snapshot, sizeof bad->last) != 0) {
			bad->last = c->snapshot;
			bad->snapshots++;
		}
		c->trouble += bad != NULL;
		return ERR_OK;
	}
	rc = look_into_page(c, &p, e);
	return rc ? rc : idmap_put(&c->pages_seen, name, p.page, e);
}

/* ---- trees ---- */

static void name_tree(const struct page_roots *roots, bool list, uint8_t out[IDMAP_KEY_BYTES])
{
	uint8_t bytes[sizeof *roots + 1];

	memcpy(bytes, roots, sizeof *roots);
	bytes[sizeof *roots] = list;
	crypto_digest(span_of(bytes, sizeof bytes), out, IDMAP_KEY_BYTES);
}

/* The pages of a collection were loaded; nodes that are missing are known only by what the load says. */
static enum err_code tree_is_lost(struct check *c, const struct page_roots *roots, struct err *e)
{
	uint64_t missing = 0;
	enum err_code rc = ERR_OK;

	if (!chunk_id_is_zero(&roots->spine))
		rc = check_count_missing(c, &roots->spine, 1, &missing, e);
	if (!rc && !chunk_id_is_zero(&roots->state))
		rc = check_count_missing(c, &roots->state, 1, &missing, e);
	return rc;
}

static enum err_code walk_pages(struct check *c, struct view *v, size_t i, struct err *e)
{
	const struct collection_row *row = &v->table.rows[i];
	struct page_list pages = PAGE_LIST_EMPTY;
	struct err what;
	enum err_code rc = ERR_OK;

	if (view_pages(v, i, &pages, &what) || collection_attributes_load(&v->io, &v->table, i, &what)) {
		c->report->items_affected += row->state.items;
		check_problem(c, c->object, &what);
		page_list_release(&pages);
		return tree_is_lost(c, &row->roots, e);
	}
	if (pages.items != row->state.items) {
		err_set(&what, ERR_CORRUPT, "'%s' holds %" PRIu64 " items, its row says %" PRIu64,
		        text_name(row->shown.c.path).text, pages.items, row->state.items);
		check_problem(c, c->object, &what);
	}
	for (size_t p = 0; !rc && p < pages.count; p++)
		rc = repo_stopped(c->repo) ? repo_cancelled(e) : check_page(c, v, i, &pages.entries[p], e);
	page_list_release(&pages);
	return rc;
}

static enum err_code check_collection(struct check *c, struct view *v, size_t i, struct err *e)
{
	const struct collection_row *row = &v->table.rows[i];
	uint64_t items, trouble = c->trouble;
	uint8_t name[IDMAP_KEY_BYTES];
	enum err_code rc;

	name_tree(&row->roots, false, name);
	if (idmap_get(&c->trees_seen, name, &items) && items == row->state.items && !row->shown.c.attribute_count)
		return ERR_OK;
	rc = walk_pages(c, v, i, e);
	if (!rc && c->trouble == trouble)
		rc = idmap_put(&c->trees_seen, name, row->state.items, e);
	return rc;
}

static enum err_code check_snapshot(struct check *c, const struct snapshot_fact *fact, struct err *e)
{
	struct page_roots roots = { fact->entry.spine_root, fact->entry.state_root };
	uint64_t ignored, trouble = c->trouble;
	struct view *v = NULL;
	uint8_t name[IDMAP_KEY_BYTES];
	struct err what;
	enum err_code rc = ERR_OK;

	/* Many snapshots are the same as the one before: nothing changed at the source. */
	name_tree(&roots, true, name);
	if (idmap_get(&c->trees_seen, name, &ignored))
		return ERR_OK;
	if (view_open(c->repo, &fact->entry.id, &v, &what)) {
		c->report->items_affected += fact->entry.item_count;
		check_problem(c, c->object, &what);
		return tree_is_lost(c, &roots, e);
	}
	for (size_t i = 0; !rc && i < v->table.count; i++)
		rc = check_collection(c, v, i, e);
	view_free(&v);
	if (!rc && c->trouble == trouble)
		rc = idmap_put(&c->trees_seen, name, 0, e);
	return rc;
}

static enum err_code check_one(struct check *c, const struct snapshot_id *id, struct err *e)
{
	const struct snapshot_fact *found = snapshot_find(c->repo, id);
	uint64_t trouble = c->trouble;
	struct snapshot_fact fact;
	char object[32];
	enum err_code rc;

	if (!found)
		return ERR_OK; /* it ended while we looked at others */
	fact = *found;         /* the ledger may be read on meanwhile */
	c->snapshot = *id;
	name_snapshot(id, object);
	c->object = object;
	c->report->snapshots++;
	rc = keys_read_names(c->repo->keys) ? check_snapshot(c, &fact, e) : check_spine(c, &fact, e);
	if (!rc && c->accounts && c->trouble != trouble)
		rc = buf_append(c->accounts, span_of(&fact.entry.account, sizeof fact.entry.account), e);
	return rc;
}

enum err_code check_snapshots(struct check *c, struct err *e)
{
	struct engine_progress tell = { .phase = "checking", .what = "snapshots" };
	struct buf ids = BUF_WITH_MAX(SIZE_MAX);
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < ledger_snapshot_count(c->repo->ledger); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(c->repo->ledger, i);

		if (fact->state == SNAPSHOT_LIVE || fact->state == SNAPSHOT_TRASH)
			rc = buf_append(&ids, span_of(&fact->entry.id, sizeof fact->entry.id), e);
	}
	tell.items_total = ids.len / sizeof(struct snapshot_id);
	for (; !rc && tell.items_done < tell.items_total; tell.items_done++) {
		repo_tell(c->repo, &tell);
		rc = check_one(c, (const struct snapshot_id *)(const void *)ids.ptr + tell.items_done, e);
		rc = check_end(c, rc, e);
	}
	if (!rc)
		tell_all(c);
	buf_release(&ids);
	return rc;
}
