/* Looking into a snapshot: collections, items, bodies. */
#include "engine/snapshot/snapshot.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "chunker/chunker.h"

enum err_code view_open(struct repo *r, const struct snapshot_id *id, struct view **out, struct err *e)
{
	const struct snapshot_fact *fact = snapshot_find(r, id);
	struct view *v;
	enum err_code rc;

	rc = repo_need_names(r, "look into snapshots", e);
	if (rc)
		return rc;
	if (!fact)
		return err_set(e, ERR_NOT_FOUND, "there is no such snapshot");
	v = mem_zalloc(1, sizeof *v);
	if (!v)
		return err_no_memory(e, sizeof *v);
	v->repo = r;
	v->io = repo_chunk_io(r);
	v->roots = (struct page_roots){ fact->entry.spine_root, fact->entry.state_root };
	rc = snapshot_show(r, fact, &v->info_hold, &v->info, e);
	if (!rc)
		rc = collection_table_load(&v->io, &v->roots, &v->table, e);
	if (rc) {
		view_free(&v);
		return rc;
	}
	*out = v;
	return ERR_OK;
}

void view_free(struct view **vp)
{
	struct view *v = *vp;

	if (!v)
		return;
	collection_table_release(&v->table);
	page_release(&v->page);
	buf_release(&v->info_hold);
	buf_release(&v->summary);
	buf_release(&v->row_ids);
	mem_free(v);
	*vp = NULL;
}

const struct snapshot_info *view_snapshot(const struct view *v)
{
	return &v->info;
}

size_t view_collection_count(const struct view *v)
{
	return v->table.count;
}

enum err_code view_collection(struct view *v, size_t i, const struct view_collection **out, struct err *e)
{
	enum err_code rc = collection_attributes_load(&v->io, &v->table, i, e);

	if (!rc)
		*out = &v->table.rows[i].shown;
	return rc;
}

/* For a message: a collection whose path holds PATH or the other way round, ASCII case folded. */
static const struct collection_row *similar(const struct view *v, struct span path)
{
	for (size_t i = 0; i < v->table.count; i++) {
		struct span other = v->table.rows[i].shown.c.path;

		if (path.len && (text_contains_nocase(other, path) || text_contains_nocase(path, other)))
			return &v->table.rows[i];
	}
	return NULL;
}

enum err_code view_find_collection(struct view *v, struct span path, size_t *out, struct err *e)
{
	const struct collection_row *row = collection_table_find(&v->table, path), *near;

	if (row) {
		*out = (size_t)(row - v->table.rows);
		return ERR_OK;
	}
	near = similar(v, path);
	if (near)
		return err_set(e, ERR_NOT_FOUND, "snapshot %.8s has no collection '%s'; there is '%s'", v->info.id_hex,
		               text_name(path).text, text_name(near->shown.c.path).text);
	return err_set(e, ERR_NOT_FOUND, "snapshot %.8s has no collection '%s'", v->info.id_hex, text_name(path).text);
}

enum err_code view_pages(struct view *v, size_t c, struct page_list *out, struct err *e)
{
	enum err_code rc = page_list_load(&v->io, &v->table.rows[c].roots, out, e);

	return rc ? err_note(e, "in collection '%s'", text_name(v->table.rows[c].shown.c.path).text) : ERR_OK;
}

/* A summary only shows what the item says itself: without it the item is listed and restored no less. */
static enum err_code summary_lost(struct view *v, const struct err *why)
{
	if (!v->told_lost_summaries)
		repo_notice(v->repo, ENGINE_WARNING,
		            "some summaries are damaged; their items are shown without, and find cannot see them: %s",
		            why->text);
	v->told_lost_summaries = true;
	v->summary_id = (struct chunk_id){ { 0 } };
	buf_clear(&v->summary);
	return ERR_OK;
}

static enum err_code load_summary(struct view *v, const struct page *p, const struct page_row *row,
                                  struct view_item *out, struct err *e)
{
	const struct chunk_id *id;
	enum err_code rc = ERR_OK;

	/* A depositor lists items by their names. */
	if (row->summary_chunk == SUMMARY_NONE || !keys_read_content(v->repo->keys))
		return ERR_OK;
	id = &p->summary_ids[row->summary_chunk];
	if (v->summary.len == 0 || !chunk_id_equal(id, &v->summary_id)) {
		rc = v->io.get(v->io.ctx, CLASS_SUMMARY, id, &v->summary, e);
		if (rc == ERR_CORRUPT || rc == ERR_NOT_FOUND)
			return summary_lost(v, e);
		if (rc)
			return rc;
		v->summary_id = *id;
	}
	out->summary = summary_chunk_get(buf_span(&v->summary), row->summary_slot);
	return ERR_OK;
}

enum err_code view_row(struct view *v, const struct page *p, uint32_t number, enum item_kind kind, bool with_summary,
                       struct view_item *out, struct err *e)
{
	const struct page_row *row = &p->rows[number];
	enum err_code rc = ERR_OK;
	uint64_t value;

	*out = (struct view_item){
		.key = row->key, .facts = row->facts, .state = row->state, .kind = kind, .time_ms = INT64_MIN
	};
	if (fields_get_u64(row->facts, FACT_KIND, &value))
		out->kind = (enum item_kind)value;
	if (fields_get_u64(row->facts, FACT_SIZE, &value))
		out->bytes = value;
	if (row->ids && row->id_count && !row->listed)
		out->content = row->ids[0];
	else if (row->ids && row->id_count) {
		const struct chunk_id *ids;
		uint32_t count;

		rc = view_row_ids(v, row, &ids, &count, e);
		if (!rc && count)
			out->content = ids[0];
	}
	if (!rc && with_summary)
		rc = load_summary(v, p, row, out, e);
	if (fields_get_u64(row->facts, FACT_TIME, &value))
		out->time_ms = (int64_t)value / 1000000;
	else if (fields_get_u64(out->summary, SUMMARY_DATE, &value))
		out->time_ms = (int64_t)value;
	return rc;
}

enum err_code view_row_ids(struct view *v, const struct page_row *row, const struct chunk_id **ids, uint32_t *count,
                           struct err *e)
{
	enum err_code rc;

	if (!row->listed) {
		*ids = row->ids;
		*count = row->id_count;
		return ERR_OK;
	}
	buf_clear(&v->row_ids);
	rc = page_ids_expand(&v->io, row, &v->row_ids, e);
	*ids = (const struct chunk_id *)(const void *)v->row_ids.ptr;
	*count = (uint32_t)(v->row_ids.len / sizeof(struct chunk_id));
	return rc;
}

enum err_code view_items(struct view *v, size_t c, bool with_summary, item_visit visit, void *ctx, struct err *e)
{
	enum item_kind kind = v->table.rows[c].shown.c.kind;
	struct page_list pages = PAGE_LIST_EMPTY;
	struct page page = PAGE_EMPTY;
	struct view_item item;
	enum err_code rc = view_pages(v, c, &pages, e);

	for (size_t p = 0; !rc && p < pages.count; p++) {
		if (repo_stopped(v->repo)) {
			rc = repo_cancelled(e);
			break;
		}
		rc = page_load(&v->io, &pages.entries[p], PAGE_ALL, &page, e);
		for (uint32_t i = 0; !rc && i < page.count; i++) {
			rc = view_row(v, &page, i, kind, with_summary, &item, e);
			if (!rc)
				rc = visit(ctx, c, &item, e);
		}
	}
	page_release(&page);
	page_list_release(&pages);
	return rc;
}

/* ---- one item ---- */

static bool find_in_page(const struct page *p, struct span key, uint32_t *row)
{
	uint32_t low = 0, high = p->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = span_compare(p->rows[middle].key, key);

		if (order == 0) {
			*row = middle;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

enum err_code view_locate(struct view *v, size_t c, struct span key, unsigned columns, uint32_t *row, struct err *e)
{
	struct page_list pages = PAGE_LIST_EMPTY;
	enum err_code rc = view_pages(v, c, &pages, e);
	size_t low = 0, high = pages.count;
	bool found = false;

	/* Each step reads one keys column: about log2(pages) small chunks. */
	while (!rc && !found && low < high) {
		size_t middle = low + (high - low) / 2;

		rc = page_load(&v->io, &pages.entries[middle], PAGE_KEYS, &v->page, e);
		if (rc)
			break;
		if (span_compare(key, v->page.rows[0].key) < 0) {
			high = middle;
		} else if (span_compare(key, v->page.rows[v->page.count - 1].key) > 0) {
			low = middle + 1;
		} else {
			found = find_in_page(&v->page, key, row);
			if (found && columns != PAGE_KEYS)
				rc = page_load(&v->io, &pages.entries[middle], columns | PAGE_KEYS, &v->page, e);
			break;
		}
	}
	page_list_release(&pages);
	if (!rc && !found)
		rc = err_set(e, ERR_NOT_FOUND, "collection '%s' of snapshot %.8s has no item '%s'",
		             text_name(v->table.rows[c].shown.c.path).text, v->info.id_hex, text_name(key).text);
	return rc;
}

enum err_code view_item(struct view *v, size_t c, struct span key, item_visit visit, void *ctx, struct err *e)
{
	struct view_item item;
	uint32_t row;
	enum err_code rc = view_locate(v, c, key, PAGE_ALL, &row, e);

	if (!rc)
		rc = view_row(v, &v->page, row, v->table.rows[c].shown.c.kind, true, &item, e);
	return rc ? rc : visit(ctx, c, &item, e);
}

/* ---- bodies ---- */

struct body_join {
	struct repo *repo;
	const struct item_stream *stream;
	struct held_chunk held;
	body_write write;
	void *ctx;
};

static enum err_code give_chunk(void *ctx, uint32_t i, struct span *bytes, struct err *e)
{
	struct body_join *j = ctx;
	enum err_code rc;

	reader_drop(j->repo->reader, &j->held);
	if (i >= j->stream->id_count)
		return err_set(e, ERR_CORRUPT, "the recipe wants chunk %u of %u", i, j->stream->id_count);
	rc = reader_get(j->repo->reader, j->repo->codec, ITEM_PART_CLASS, &j->stream->ids[i], &j->held, e);
	*bytes = j->held.bytes;
	return rc;
}

static enum err_code pass_bytes(void *ctx, struct span bytes, struct err *e)
{
	struct body_join *j = ctx;

	return j->write(j->ctx, bytes, e);
}

static enum err_code write_stream(struct view *v, const struct item_chunk *item, struct span name, body_write write,
                                  void *ctx, struct err *e)
{
	struct body_join j = { .repo = v->repo, .write = write, .ctx = ctx };
	enum err_code rc;

	for (size_t i = 0; i < item->count; i++)
		if (span_equal(item->streams[i].name, name) || (i == 0 && name.len == 0))
			j.stream = &item->streams[i];
	if (!j.stream)
		return err_set(e, ERR_NOT_FOUND, "the item has no stream '%s'", text_name(name).text);
	rc = recipe_join(j.stream->recipe, give_chunk, pass_bytes, &j, e);
	reader_drop(v->repo->reader, &j.held);
	return rc;
}

enum err_code view_body(struct view *v, size_t c, struct span key, struct span stream, body_write write, void *ctx,
                        struct err *e)
{
	struct held_chunk held = HELD_CHUNK_NONE;
	struct item_chunk item;
	const struct chunk_id *ids;
	uint32_t row, count;
	enum err_code rc = repo_need_content(v->repo, "read items", e);

	if (rc)
		return rc;
	rc = view_locate(v, c, key, PAGE_KEYS | PAGE_REFS, &row, e);

	if (!rc)
		rc = view_row_ids(v, &v->page.rows[row], &ids, &count, e);
	if (!rc && count == 0)
		rc = err_set(e, ERR_CORRUPT, "the item names no chunks");
	if (!rc)
		rc = reader_get(v->repo->reader, v->repo->codec, CLASS_ITEM, &ids[0], &held, e);
	if (!rc)
		rc = item_chunk_decode(held.bytes, &item, e);
	if (!rc)
		rc = write_stream(v, &item, stream, write, ctx, e);
	if (v->repo->reader)
		reader_drop(v->repo->reader, &held);
	return rc ? err_note(e, "while reading item '%s'", text_name(key).text) : ERR_OK;
}
