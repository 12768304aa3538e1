/*
 * Snapshots as a keeper sees them: trees and references; every chunk they name must be in some pack.
 */
#include "engine/work/check.h"

#include <inttypes.h>

struct spine_check {
	struct check *check;
	struct chunk_io io;
	struct page list; /* a page of the list of collections */
	struct page page; /* a page of one collection */
	struct buf ids;
};

static void spine_missing(struct spine_check *s, const char *what, uint64_t missing, uint64_t items)
{
	struct err why;

	if (!missing)
		return;
	s->check->report->items_affected += items;
	err_set(&why, ERR_CORRUPT, "%s needs %" PRIu64 " chunks that cannot be read", what, missing);
	check_problem(s->check, s->check->object, &why);
}

/* Loads the references of a page into PAGE and looks for its other columns and its summaries. *GOOD false: told as
 * damaged. */
static enum err_code spine_page(struct spine_check *s, const struct page_entry *entry, struct page *page, bool *good,
                                struct err *e)
{
	const struct chunk_id columns[] = { entry->keys, entry->facts, entry->state };
	uint64_t missing = 0, summaries = 0;
	struct err what;
	enum err_code rc = check_count_missing(s->check, columns, ARRAY_LEN(columns), &missing, e);

	*good = !rc && !page_load_refs(&s->io, entry, page, &what);
	if (!rc && !*good) {
		s->check->report->items_affected += entry->count;
		err_note(&what, "in the references of a page");
		check_problem(s->check, s->check->object, &what);
	}
	if (!rc && *good)
		rc = check_count_missing(s->check, page->summary_ids, page->summary_count, &summaries, e);
	spine_missing(s, "a page", missing, *good ? entry->count : 0);
	spine_missing(s, "a page's summaries", summaries, 0);
	return rc;
}

static enum err_code spine_row(struct spine_check *s, uint32_t row, uint64_t *missing, struct err *e)
{
	struct err what;

	buf_clear(&s->ids);
	if (page_ids_expand(&s->io, &s->page.rows[row], &s->ids, &what)) {
		++*missing;
		return ERR_OK;
	}
	return check_count_missing(s->check, (const struct chunk_id *)(const void *)s->ids.ptr,
	                           s->ids.len / sizeof(struct chunk_id), missing, e);
}

static enum err_code spine_collection(struct spine_check *s, const struct page_roots *roots, struct err *e)
{
	struct page_list pages = PAGE_LIST_EMPTY;
	struct err what;
	enum err_code rc = ERR_OK;

	if (page_list_load(&s->io, roots, &pages, &what)) {
		check_problem(s->check, s->check->object, &what);
		return ERR_OK;
	}
	for (size_t p = 0; !rc && p < pages.count; p++) {
		uint64_t ignored;
		bool good;

		if (repo_stopped(s->check->repo))
			rc = repo_cancelled(e);
		if (rc || idmap_get(&s->check->pages_seen, pages.entries[p].refs.bytes, &ignored))
			continue;
		rc = idmap_put(&s->check->pages_seen, pages.entries[p].refs.bytes, 0, e);
		if (!rc)
			rc = spine_page(s, &pages.entries[p], &s->page, &good, e);
		for (uint32_t row = 0; !rc && good && row < s->page.count; row++) {
			uint64_t missing = 0;

			rc = spine_row(s, row, &missing, e);
			spine_missing(s, "an item", missing, 1);
		}
	}
	page_list_release(&pages);
	return rc;
}

/* A row of the list of collections: two roots, then chunks of long attributes. */
static enum err_code spine_collection_row(struct spine_check *s, uint32_t row, struct err *e)
{
	const struct chunk_id *ids;
	uint64_t missing = 0;
	struct page_roots roots;
	struct err what;
	size_t count;
	enum err_code rc;

	buf_clear(&s->ids);
	if (page_ids_expand(&s->io, &s->list.rows[row], &s->ids, &what)) {
		check_problem(s->check, s->check->object, &what);
		return ERR_OK;
	}
	ids = (const struct chunk_id *)(const void *)s->ids.ptr;
	count = s->ids.len / sizeof *ids;
	if (count < COLLECTION_REFS_FIXED) {
		spine_missing(s, "a collection", 1, 0);
		return ERR_OK;
	}
	roots = (struct page_roots){ ids[0], ids[1] };
	rc = check_count_missing(s->check, ids + COLLECTION_REFS_FIXED, count - COLLECTION_REFS_FIXED, &missing, e);
	spine_missing(s, "a collection's attributes", missing, 0);
	return rc ? rc : spine_collection(s, &roots, e);
}

enum err_code check_spine(struct check *c, const struct snapshot_fact *fact, struct err *e)
{
	struct spine_check s = { .check = c, .io = repo_chunk_io(c->repo) };
	struct page_roots roots = { fact->entry.spine_root, fact->entry.state_root };
	struct page_list pages = PAGE_LIST_EMPTY;
	struct err what;
	enum err_code rc = ERR_OK;

	if (page_list_load(&s.io, &roots, &pages, &what)) {
		c->report->items_affected += fact->entry.item_count;
		check_problem(c, c->object, &what);
	}
	for (size_t p = 0; !rc && p < pages.count; p++) {
		bool good;

		rc = spine_page(&s, &pages.entries[p], &s.list, &good, e);
		for (uint32_t row = 0; !rc && good && row < s.list.count; row++)
			rc = spine_collection_row(&s, row, e);
	}
	page_list_release(&pages);
	page_release(&s.list);
	page_release(&s.page);
	buf_release(&s.ids);
	return rc;
}
