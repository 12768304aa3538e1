/*
 * Check: the ledger's chain, every live pack's tables (and with read_data every block and chunk), every page and
 * reference of every live snapshot. One damaged thing is told and the rest goes on.
 */
#include "engine/repo/holders.h"
#include "engine/snapshot/snapshot.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/idmap.h"
#include "base/mem.h"
#include "base/text.h"

struct check {
	struct repo *repo;
	const struct check_options *options;
	check_visit visit;
	void *ctx;
	struct check_report *report;
	struct idmap pages_seen;
	struct idmap damaged; /* chunk ids that cannot be read */
	const char *object;   /* what is looked at */
	struct err ours;      /* ERR_NO_MEMORY: says nothing about the repository, and ends the check */
};

static void problem(struct check *c, const char *object, const struct err *what)
{
	struct check_problem p = { object, what };

	if (what->code == ERR_NO_MEMORY) {
		c->ours = *what;
		return;
	}
	c->report->problems++;
	if (c->visit)
		c->visit(c->ctx, &p);
}

static void ledger_trouble(void *ctx, uint64_t number, const struct err *what)
{
	char object[48];

	snprintf(object, sizeof object, "ledger record %" PRIu64, number);
	problem(ctx, object, what);
}

/* ---- key objects: what can be told of them without their secrets ---- */

static enum err_code check_key(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct check *c = ctx;
	struct buf object = BUF_EMPTY;
	struct holder_id holder = { 0 }, told = { 0 };
	struct repo_id repo = keys_repo(c->repo->keys), told_repo = repo;
	struct slot_info info;
	struct label label;
	struct err what;
	enum err_code rc;

	(void)bytes;
	(void)e;
	rc = store_get(c->repo->store, name, BUNDLE_BYTES_MAX, &object, &what);
	switch (rc ? KEY_OTHER : key_path_parse(name, &holder)) {
	case KEY_SLOT:
	case KEY_SLOT_LATER:
		rc = slot_inspect(buf_span(&object), &info, &what);
		told = info.holder;
		told_repo = info.repo;
		break;
	case KEY_BUNDLE:
		rc = bundle_inspect(buf_span(&object), &told, &told_repo, &what);
		break;
	case KEY_LABEL:
		rc = label_open(c->repo->keys, &holder, buf_span(&object), &label, &what);
		if (rc == ERR_WRONG_KEY && !keys_read_names(c->repo->keys))
			rc = ERR_OK; /* a keeper reads no names */
		told = holder;
		break;
	default:
		break;
	}
	if (!rc && (memcmp(&told, &holder, sizeof told) != 0 || memcmp(&told_repo, &repo, sizeof repo) != 0))
		rc = err_set(&what, ERR_CORRUPT, "it is of another key or another repository");
	if (rc)
		problem(c, name, &what);
	buf_release(&object);
	return ERR_OK;
}

/* An announced key whose objects are not there. What is there was looked at by check_key. */
static enum err_code check_holder(void *ctx, const struct key_info *k, struct err *e)
{
	struct check *c = ctx;
	char object[48];
	struct err what;

	(void)e;
	if (k->state != KEY_GONE)
		return ERR_OK;
	snprintf(object, sizeof object, "key %.8s", k->id_hex);
	err_set(&what, ERR_NOT_FOUND, "its slot or its bundle is missing, so that it opens nothing any more");
	problem(c, object, &what);
	return ERR_OK;
}

static enum err_code check_keys(struct check *c, struct err *e)
{
	enum err_code rc = store_list(c->repo->store, "key", check_key, c, e);

	return rc ? rc : repo_keys(c->repo, check_holder, c, e);
}

/* ---- packs ---- */

static void pack_trouble(void *ctx, uint32_t block, const struct err *what)
{
	struct check *c = ctx;
	char object[160];

	if (block == UINT32_MAX)
		snprintf(object, sizeof object, "%s", c->object);
	else
		snprintf(object, sizeof object, "%s block %" PRIu32, c->object, block);
	problem(c, object, what);
}

/*
 * Every chunk of a block against its id in the list. A keeper opens blocks of structure only and makes no ids; the
 * bytes of all blocks were compared with the hashes in the directory (pack_check_bytes).
 */
static enum err_code check_block(struct check *c, struct pack *pack, uint32_t number, struct err *e)
{
	const struct block_info *info = pack_block(pack, number);
	bool names = keys_read_names(c->repo->keys);
	bool opens = names || block_class_scope(info->class) == SCOPE_STRUCT;
	struct block block = { 0 };
	struct buf ids = BUF_EMPTY;
	enum err_code rc = pack_ids(pack, number, c->repo->codec, &ids, e);

	if (!rc && opens)
		rc = pack_read_block(pack, number, c->repo->codec, &block, e);
	for (uint32_t i = 0; !rc && names && i < info->chunk_count; i++) {
		struct chunk_id found;

		keys_chunk_id(c->repo->keys, block_class_scope(info->class), block_chunk(&block, i), &found);
		if (memcmp(&found, ids.ptr + i * sizeof found, sizeof found) != 0)
			rc = err_set(e, ERR_CORRUPT, "chunk %u is not what its id says", i);
		c->report->chunks++;
	}
	if (rc && ids.len)
		for (size_t at = 0; at < ids.len; at += sizeof(struct chunk_id))
			if (idmap_put(&c->damaged, ids.ptr + at, 0, &c->ours))
				break;
	c->report->blocks++;
	c->report->bytes_read += info->sealed_bytes;
	block_release(&block);
	buf_release(&ids);
	return rc;
}

static enum err_code check_pack(struct check *c, const struct pack_fact *fact, struct err *e)
{
	struct pack_path path = pack_path(&fact->pack.name);
	struct pack *pack = NULL;
	bool used_second = false;
	struct err what;

	c->object = path.text;
	c->report->packs++;
	if (pack_open(c->repo->store, c->repo->keys, &fact->pack, &pack, &used_second, &what)) {
		problem(c, path.text, &what);
		return ERR_OK;
	}
	if (used_second) {
		err_set(&what, ERR_CORRUPT, "the first directory is damaged; its copy is fine, nothing is lost");
		problem(c, path.text, &what);
	}
	if (c->options->read_data && pack_check_bytes(pack, pack_trouble, c, &what))
		problem(c, path.text, &what);
	for (uint32_t b = 0; c->options->read_data && b < pack_block_count(pack); b++) {
		if (repo_stopped(c->repo)) {
			pack_free(&pack);
			return repo_cancelled(e);
		}
		if (check_block(c, pack, b, &what))
			pack_trouble(c, b, &what);
	}
	pack_free(&pack);
	return ERR_OK;
}

/* ---- pages ---- */

/* True when this chunk can be had, as far as we know: some live pack lists it, and it was not found damaged. */
static enum err_code chunk_there(struct check *c, const struct chunk_id *ids, size_t count, uint64_t *missing,
                                 struct err *e)
{
	struct place places[64];
	bool found[64];
	uint64_t ignored;
	enum err_code rc = ERR_OK;

	for (size_t at = 0; !rc && at < count; at += ARRAY_LEN(places)) {
		size_t n = count - at < ARRAY_LEN(places) ? count - at : ARRAY_LEN(places);

		rc = index_find(c->repo->index, ids + at, n, places, found, e);
		for (size_t i = 0; !rc && i < n; i++)
			*missing += !found[i] || idmap_get(&c->damaged, ids[at + i].bytes, &ignored);
	}
	return rc;
}

static enum err_code check_page(struct check *c, struct view *v, size_t collection, const struct page_entry *entry,
                                struct err *e)
{
	uint64_t ignored, missing = 0;
	struct err what;
	enum err_code rc;

	if (idmap_get(&c->pages_seen, entry->refs.bytes, &ignored))
		return ERR_OK;
	rc = idmap_put(&c->pages_seen, entry->refs.bytes, 0, e);
	if (rc)
		return rc;
	if (page_load(&v->io, entry, PAGE_ALL, &v->page, &what)) {
		c->report->items_affected += entry->count;
		err_note(&what, "in a page of '%s'", text_name(v->table.rows[collection].shown.c.path).text);
		problem(c, c->object, &what);
		return ERR_OK;
	}
	rc = chunk_there(c, v->page.summary_ids, v->page.summary_count, &missing, e);
	if (!rc && missing) {
		err_set(&what, ERR_CORRUPT, "%" PRIu64 " summaries of '%s' are lost (items themselves are not)",
		        missing, text_name(v->table.rows[collection].shown.c.path).text);
		problem(c, c->object, &what);
	}
	for (uint32_t row = 0; !rc && row < v->page.count; row++) {
		const struct chunk_id *ids;
		uint32_t count;

		missing = 0;
		rc = view_row_ids(v, &v->page.rows[row], &ids, &count, e);
		if (!rc)
			rc = chunk_there(c, ids, count, &missing, e);
		if (!rc && missing) {
			c->report->items_affected++;
			err_set(&what, ERR_CORRUPT, "item '%s' of '%s' needs %" PRIu64 " chunks that cannot be read",
			        text_name(v->page.rows[row].key).text,
			        text_name(v->table.rows[collection].shown.c.path).text, missing);
			problem(c, c->object, &what);
		}
	}
	return rc;
}

static enum err_code check_snapshot(struct check *c, const struct snapshot_fact *fact, struct err *e)
{
	struct view *v = NULL;
	char object[64], hex[2 * ID16_BYTES + 1];
	struct err what;
	enum err_code rc = ERR_OK;

	text_hex(span_of(fact->entry.id.bytes, 4), hex);
	snprintf(object, sizeof object, "snapshot %s", hex);
	c->object = object;
	c->report->snapshots++;
	if (view_open(c->repo, &fact->entry.id, &v, &what)) {
		c->report->items_affected += fact->entry.item_count;
		problem(c, object, &what);
		return ERR_OK;
	}
	for (size_t i = 0; !rc && i < v->table.count; i++) {
		struct page_list pages = PAGE_LIST_EMPTY;

		if (view_pages(v, i, &pages, &what) || collection_attributes_load(&v->io, &v->table, i, &what)) {
			c->report->items_affected += v->table.rows[i].state.items;
			problem(c, object, &what);
			page_list_release(&pages);
			continue;
		}
		if (pages.items != v->table.rows[i].state.items) {
			err_set(&what, ERR_CORRUPT, "'%s' holds %" PRIu64 " items, its row says %" PRIu64,
			        text_name(v->table.rows[i].shown.c.path).text, pages.items,
			        v->table.rows[i].state.items);
			problem(c, object, &what);
		}
		for (size_t p = 0; !rc && p < pages.count; p++)
			rc = repo_stopped(c->repo) ? repo_cancelled(e) : check_page(c, v, i, &pages.entries[p], e);
		page_list_release(&pages);
	}
	view_free(&v);
	return rc;
}

/* ---- snapshots, as a keeper sees them: trees and references; every chunk they name must be in some pack ---- */

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
	problem(s->check, s->check->object, &why);
}

/* Loads the references of a page into PAGE and looks for its other columns and its summaries. *GOOD false: told as
 * damaged. */
static enum err_code spine_page(struct spine_check *s, const struct page_entry *entry, struct page *page, bool *good,
                                struct err *e)
{
	const struct chunk_id columns[] = { entry->keys, entry->facts, entry->state };
	uint64_t missing = 0, summaries = 0;
	struct err what;
	enum err_code rc = chunk_there(s->check, columns, ARRAY_LEN(columns), &missing, e);

	*good = !rc && !page_load_refs(&s->io, entry, page, &what);
	if (!rc && !*good) {
		s->check->report->items_affected += entry->count;
		err_note(&what, "in the references of a page");
		problem(s->check, s->check->object, &what);
	}
	if (!rc && *good)
		rc = chunk_there(s->check, page->summary_ids, page->summary_count, &summaries, e);
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
	return chunk_there(s->check, (const struct chunk_id *)(const void *)s->ids.ptr,
	                   s->ids.len / sizeof(struct chunk_id), missing, e);
}

static enum err_code spine_collection(struct spine_check *s, const struct page_roots *roots, struct err *e)
{
	struct page_list pages = PAGE_LIST_EMPTY;
	struct err what;
	enum err_code rc = ERR_OK;

	if (page_list_load(&s->io, roots, &pages, &what)) {
		problem(s->check, s->check->object, &what);
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
		problem(s->check, s->check->object, &what);
		return ERR_OK;
	}
	ids = (const struct chunk_id *)(const void *)s->ids.ptr;
	count = s->ids.len / sizeof *ids;
	if (count < COLLECTION_REFS_FIXED) {
		spine_missing(s, "a collection", 1, 0);
		return ERR_OK;
	}
	roots = (struct page_roots){ ids[0], ids[1] };
	rc = chunk_there(s->check, ids + COLLECTION_REFS_FIXED, count - COLLECTION_REFS_FIXED, &missing, e);
	spine_missing(s, "a collection's attributes", missing, 0);
	return rc ? rc : spine_collection(s, &roots, e);
}

static enum err_code check_spine(struct check *c, const struct snapshot_fact *fact, struct err *e)
{
	struct spine_check s = { .check = c, .io = repo_chunk_io(c->repo) };
	struct page_roots roots = { fact->entry.spine_root, fact->entry.state_root };
	struct page_list pages = PAGE_LIST_EMPTY;
	char object[64], hex[2 * ID16_BYTES + 1];
	struct err what;
	enum err_code rc = ERR_OK;

	text_hex(span_of(fact->entry.id.bytes, 4), hex);
	snprintf(object, sizeof object, "snapshot %s", hex);
	c->object = object;
	c->report->snapshots++;
	if (page_list_load(&s.io, &roots, &pages, &what)) {
		c->report->items_affected += fact->entry.item_count;
		problem(c, object, &what);
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

enum err_code engine_check(struct repo *r, const struct check_options *o, check_visit visit, void *ctx,
                           struct check_report *out, struct err *e)
{
	struct check c = { .repo = r, .options = o, .visit = visit, .ctx = ctx, .report = out };
	struct engine_progress p = { .phase = "checking" };
	enum err_code rc;

	memset(out, 0, sizeof *out);
	out->records = ledger_head(r->ledger).number + 1;
	p.items_total = ledger_pack_count(r->ledger) + ledger_snapshot_count(r->ledger);
	rc = ledger_check(r->ledger, ledger_trouble, &c, e);
	if (!rc)
		rc = check_keys(&c, e);
	if (!rc)
		rc = repo_need_index(r, INDEX_READ, e);
	for (uint32_t i = 0; !rc && !c.ours.code && i < ledger_pack_count(r->ledger); i++) {
		const struct pack_fact *fact = ledger_pack(r->ledger, i);

		if (fact->state == PACK_LIVE)
			rc = check_pack(&c, fact, e);
		p.items_done++;
		p.bytes_done = out->bytes_read;
		p.what = "packs";
		repo_tell(r, &p);
	}
	for (size_t i = 0; !rc && !c.ours.code && i < ledger_snapshot_count(r->ledger); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);

		if (fact->state == SNAPSHOT_LIVE || fact->state == SNAPSHOT_TRASH)
			rc = keys_read_names(r->keys) ? check_snapshot(&c, fact, e) : check_spine(&c, fact, e);
		p.items_done++;
		p.what = "snapshots";
		repo_tell(r, &p);
	}
	idmap_release(&c.pages_seen);
	idmap_release(&c.damaged);
	if (!rc && c.ours.code) {
		*e = c.ours;
		rc = e->code;
	}
	return rc;
}
