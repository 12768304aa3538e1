/* Reading: nodes, columns, lists. Bytes as docs/format/page.md says. */
#include "engine/page/page_internal.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/rd.h"

/* ---- nodes ---- */

enum err_code node_decode(struct span bytes, struct node *out, struct err *e)
{
	struct rd r = rd_of(bytes);
	uint8_t version = rd_u8(&r);

	out->level = rd_u8(&r);
	out->ids_per_entry = rd_u8(&r);
	out->count = rd_u8(&r);
	if (r.bad || version != PAGE_VERSION)
		return err_set(e, r.bad ? ERR_CORRUPT : ERR_UNSUPPORTED, "tree node has version %u", version);
	if (out->level >= NODE_LEVELS_MAX || out->count == 0 || out->count > NODE_ENTRIES_MAX ||
	    (out->ids_per_entry != 1 && out->ids_per_entry != 3) || (out->level > 0 && out->ids_per_entry != 1))
		return err_set(e, ERR_CORRUPT, "tree node claims level %u with %u entries of %u ids", out->level,
		               out->count, out->ids_per_entry);
	for (uint32_t i = 0; i < out->count; i++) {
		struct node_entry *entry = &out->entries[i];

		entry->count = rd_var(&r);
		rd_copy(&r, entry->ids, out->ids_per_entry * sizeof entry->ids[0]);
		if (entry->count == 0)
			r.bad = true;
	}
	if (!rd_done(&r))
		return err_set(e, ERR_CORRUPT, "tree node of %zu bytes does not hold its %u entries", bytes.len,
		               out->count);
	return ERR_OK;
}

static enum err_code list_append(struct page_list *l, const struct page_entry *entry, struct err *e)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct page_entry *grown = mem_grow(l->entries, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		l->entries = grown;
		l->cap = cap;
	}
	l->entries[l->count++] = *entry;
	return ERR_OK;
}

struct walk {
	const struct chunk_io *io;
	struct page_list *list;
	bool state; /* walking the state tree: fills in what the spine began */
	size_t at;  /* next page, in the state walk */
	struct buf scratch;
};

static enum err_code walk_leaf(struct walk *w, const struct node_entry *entry, struct err *e)
{
	struct page_entry page = { .count = (uint32_t)entry->count, .first = w->list->items };

	if (entry->count > PAGE_ITEMS_MAX)
		return err_set(e, ERR_CORRUPT, "a page claims %llu items", (unsigned long long)entry->count);
	if (w->state) {
		if (w->at >= w->list->count || w->list->entries[w->at].count != entry->count)
			return err_set(e, ERR_CORRUPT, "the state tree does not match its spine at page %zu", w->at);
		w->list->entries[w->at++].state = entry->ids[0];
		return ERR_OK;
	}
	page.refs = entry->ids[0];
	page.keys = entry->ids[1];
	page.facts = entry->ids[2];
	w->list->items += entry->count;
	return list_append(w->list, &page, e);
}

/* Depth is bounded by NODE_LEVELS_MAX: a child must be one level below its parent. */
static enum err_code walk_node(struct walk *w, const struct chunk_id *id, int level, uint64_t count, struct err *e)
{
	struct node *node = mem_alloc(sizeof *node);
	enum err_code rc;
	uint64_t sum = 0;

	if (!node)
		return err_no_memory(e, sizeof *node);
	rc = w->io->get(w->io->ctx, CLASS_NODE, id, &w->scratch, e);
	if (!rc)
		rc = node_decode(buf_span(&w->scratch), node, e);
	if (!rc &&
	    ((level >= 0 && node->level != level) || (node->level == 0 && node->ids_per_entry != (w->state ? 1 : 3))))
		rc = err_set(e, ERR_CORRUPT, "tree node of level %u stands where another belongs", node->level);
	for (uint32_t i = 0; !rc && i < node->count; i++) {
		if (!num_add(sum, node->entries[i].count, &sum))
			rc = err_set(e, ERR_CORRUPT, "tree node counts overflow");
		else if (node->level == 0)
			rc = walk_leaf(w, &node->entries[i], e);
		else
			rc = walk_node(w, &node->entries[i].ids[0], node->level - 1, node->entries[i].count, e);
	}
	if (!rc && level >= 0 && sum != count)
		rc = err_set(e, ERR_CORRUPT, "tree node holds %llu items, its parent says %llu",
		             (unsigned long long)sum, (unsigned long long)count);
	mem_free(node);
	return rc;
}

enum err_code page_list_load(const struct chunk_io *io, const struct page_roots *roots, struct page_list *out,
                             struct err *e)
{
	struct page_list list = PAGE_LIST_EMPTY;
	struct walk w = { .io = io, .list = &list, .scratch = BUF_EMPTY };
	enum err_code rc = ERR_OK;

	if (!chunk_id_is_zero(&roots->spine)) {
		rc = walk_node(&w, &roots->spine, -1, 0, e);
		w.state = true;
		if (!rc)
			rc = walk_node(&w, &roots->state, -1, 0, e);
		if (!rc && w.at != list.count)
			rc = err_set(e, ERR_CORRUPT, "the state tree ends at page %zu of %zu", w.at, list.count);
	}
	buf_release(&w.scratch);
	if (rc) {
		page_list_release(&list);
		return rc;
	}
	*out = list;
	return ERR_OK;
}

void page_list_release(struct page_list *l)
{
	mem_free(l->entries);
	*l = PAGE_LIST_EMPTY;
}

/* ---- columns ---- */

static enum err_code column_start(struct rd *r, const char *name, uint32_t *count, struct err *e)
{
	uint8_t version = rd_u8(r);
	uint64_t n = rd_var(r);

	if (!r->bad && version != PAGE_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "%s column has version %u", name, version);
	if (r->bad || n == 0 || n > PAGE_ITEMS_MAX)
		return err_set(e, ERR_CORRUPT, "%s column is damaged at its start", name);
	*count = (uint32_t)n;
	return ERR_OK;
}

static enum err_code rows_make(struct page *p, uint32_t count, struct err *e)
{
	enum err_code rc;
	uint8_t *at;

	buf_clear(&p->rows_memory);
	rc = buf_extend(&p->rows_memory, count * sizeof *p->rows, &at, e);
	if (rc)
		return rc;
	memset(at, 0, count * sizeof *p->rows);
	p->rows = (struct page_row *)(void *)p->rows_memory.ptr;
	p->count = count;
	return ERR_OK;
}

static enum err_code cut_short(struct err *e, const char *name)
{
	return err_set(e, ERR_CORRUPT, "%s column is cut short or damaged", name);
}

enum err_code page_decode_keys(struct span column, struct page *out, struct err *e)
{
	struct rd r = rd_of(column);
	uint32_t count, summaries;
	size_t total = 0;
	enum err_code rc = column_start(&r, "keys", &count, e);
	struct span ids, before = SPAN_EMPTY;
	struct rd measure;
	uint8_t *at;

	if (!rc)
		rc = rows_make(out, count, e);
	if (rc)
		return rc;
	summaries = (uint32_t)num_min(rd_var(&r), PAGE_ITEMS_MAX + 1);
	ids = rd_take(&r, summaries * sizeof(struct chunk_id));
	if (r.bad || summaries > PAGE_ITEMS_MAX)
		return cut_short(e, "keys");
	/* One pass to know how much the whole keys need, so that the arena never moves under the rows. */
	measure = r;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t shared = rd_var(&measure);
		struct span rest = rd_blob(&measure, ITEM_KEY_MAX);

		if (measure.bad || shared > ITEM_KEY_MAX || shared + rest.len > ITEM_KEY_MAX)
			return cut_short(e, "keys");
		total += shared + rest.len;
		(void)rd_var(&measure);
		(void)rd_var(&measure);
	}
	buf_clear(&out->arena);
	/* A byte more: without it keys without bytes would have no place at all. */
	rc = buf_extend(&out->arena, summaries * sizeof(struct chunk_id) + total + 1, &at, e);
	if (rc)
		return rc;
	if (ids.len)
		memcpy(at, ids.ptr, ids.len);
	out->summary_ids = (struct chunk_id *)(void *)at;
	out->summary_count = summaries;
	at += ids.len;
	for (uint32_t i = 0; i < count; i++) {
		struct page_row *row = &out->rows[i];
		uint64_t shared = rd_var(&r);
		struct span rest = rd_blob(&r, ITEM_KEY_MAX);
		uint64_t summary = rd_var(&r), slot = rd_var(&r);

		if (r.bad || shared > before.len || summary > summaries || slot >= PAGE_ITEMS_MAX)
			return cut_short(e, "keys");
		row->key = span_of(at, shared + rest.len);
		if (shared)
			memcpy(at, before.ptr, shared);
		if (rest.len)
			memcpy(at + shared, rest.ptr, rest.len);
		at += row->key.len;
		if (i && span_compare(before, row->key) >= 0)
			return err_set(e, ERR_CORRUPT, "keys column is out of order at item %u", i);
		before = row->key;
		row->summary_chunk = summary ? (uint32_t)summary - 1 : SUMMARY_NONE;
		row->summary_slot = (uint32_t)slot;
	}
	return rd_done(&r) ? ERR_OK : cut_short(e, "keys");
}

enum err_code page_decode_blobs(struct span column, struct page *out, enum page_columns which, struct err *e)
{
	const char *name = which == PAGE_FACTS ? "facts" : "state";
	struct rd r = rd_of(column);
	uint32_t count;
	enum err_code rc = column_start(&r, name, &count, e);

	if (rc)
		return rc;
	if (count != out->count)
		return err_set(e, ERR_CORRUPT, "%s column holds %u items, keys %u", name, count, out->count);
	for (uint32_t i = 0; i < count; i++) {
		struct span blob = rd_blob(&r, column.len);

		if (which == PAGE_FACTS)
			out->rows[i].facts = blob;
		else
			out->rows[i].state = blob;
	}
	return rd_done(&r) ? ERR_OK : cut_short(e, name);
}

enum err_code page_decode_refs(struct span column, struct page *out, struct err *e)
{
	struct rd r = rd_of(column);
	uint32_t count;
	uint64_t summaries;
	enum err_code rc = column_start(&r, "refs", &count, e);

	if (rc)
		return rc;
	if (count != out->count)
		return err_set(e, ERR_CORRUPT, "refs column holds %u items, keys %u", count, out->count);
	summaries = rd_var(&r);
	if (summaries != out->summary_count)
		return err_set(e, ERR_CORRUPT, "refs column names %llu summaries, keys %u",
		               (unsigned long long)summaries, out->summary_count);
	(void)rd_take(&r, out->summary_count * sizeof(struct chunk_id));
	for (uint32_t i = 0; i < count; i++) {
		struct page_row *row = &out->rows[i];
		uint64_t head = rd_var(&r), ids = head >> 1;

		if (ids > REFS_INLINE_MAX)
			return cut_short(e, "refs");
		row->listed = head & 1;
		row->id_count = (uint32_t)ids;
		/* Bytes only: struct chunk_id has no alignment. */
		row->ids = (const struct chunk_id *)(const void *)rd_take(&r, ids * sizeof(struct chunk_id)).ptr;
	}
	return rd_done(&r) ? ERR_OK : cut_short(e, "refs");
}

enum err_code page_walk_refs(struct span column, page_refs_visit visit, void *ctx, struct err *e)
{
	struct rd r = rd_of(column);
	uint32_t count;
	uint64_t summaries;
	struct span ids;
	enum err_code rc = column_start(&r, "refs", &count, e);

	if (rc)
		return rc;
	summaries = rd_var(&r);
	if (summaries > PAGE_ITEMS_MAX)
		return cut_short(e, "refs");
	ids = rd_take(&r, summaries * sizeof(struct chunk_id));
	if (r.bad)
		return cut_short(e, "refs");
	rc = visit(ctx, PAGE_ITEMS_MAX, (const struct chunk_id *)(const void *)ids.ptr, (uint32_t)summaries, false, e);
	for (uint32_t row = 0; !rc && row < count; row++) {
		uint64_t head = rd_var(&r), n = head >> 1;

		if (n > REFS_INLINE_MAX)
			return cut_short(e, "refs");
		ids = rd_take(&r, n * sizeof(struct chunk_id));
		if (r.bad)
			return cut_short(e, "refs");
		rc = visit(ctx, row, (const struct chunk_id *)(const void *)ids.ptr, (uint32_t)n, head & 1, e);
	}
	return rc || rd_done(&r) ? rc : cut_short(e, "refs");
}

enum err_code page_list_ids(struct span chunk, const struct chunk_id **ids, uint32_t *count, struct err *e)
{
	if (chunk.len < 1 || chunk.ptr[0] != PAGE_VERSION || (chunk.len - 1) % sizeof **ids != 0 ||
	    (chunk.len - 1) / sizeof **ids > REFS_PER_ITEM_MAX)
		return err_set(e, ERR_CORRUPT, "a list of chunk ids has %zu bytes", chunk.len);
	*ids = (const struct chunk_id *)(const void *)(chunk.ptr + 1);
	*count = (uint32_t)((chunk.len - 1) / sizeof **ids);
	return ERR_OK;
}

enum err_code page_load(const struct chunk_io *io, const struct page_entry *entry, unsigned columns, struct page *out,
                        struct err *e)
{
	enum err_code rc = io->get(io->ctx, CLASS_KEYS, &entry->keys, &out->columns[0], e);

	if (!rc)
		rc = page_decode_keys(buf_span(&out->columns[0]), out, e);
	if (!rc && out->count != entry->count)
		rc = err_set(e, ERR_CORRUPT, "page holds %u items, its node says %u", out->count, entry->count);
	if (!rc && (columns & PAGE_FACTS))
		rc = io->get(io->ctx, CLASS_FACTS, &entry->facts, &out->columns[1], e);
	if (!rc && (columns & PAGE_FACTS))
		rc = page_decode_blobs(buf_span(&out->columns[1]), out, PAGE_FACTS, e);
	if (!rc && (columns & PAGE_STATE))
		rc = io->get(io->ctx, CLASS_STATE, &entry->state, &out->columns[2], e);
	if (!rc && (columns & PAGE_STATE))
		rc = page_decode_blobs(buf_span(&out->columns[2]), out, PAGE_STATE, e);
	if (!rc && (columns & PAGE_REFS))
		rc = io->get(io->ctx, CLASS_REFS, &entry->refs, &out->columns[3], e);
	if (!rc && (columns & PAGE_REFS))
		rc = page_decode_refs(buf_span(&out->columns[3]), out, e);
	return rc;
}

enum err_code page_load_refs(const struct chunk_io *io, const struct page_entry *entry, struct page *out, struct err *e)
{
	uint32_t count;
	struct rd r;
	enum err_code rc = io->get(io->ctx, CLASS_REFS, &entry->refs, &out->columns[3], e);

	if (!rc)
		rc = rows_make(out, entry->count, e);
	if (rc)
		return rc;
	/* What the keys column would have told: how many summaries, and which. */
	r = rd_of(buf_span(&out->columns[3]));
	rc = column_start(&r, "refs", &count, e);
	if (rc)
		return rc;
	out->summary_count = (uint32_t)num_min(rd_var(&r), PAGE_ITEMS_MAX + 1);
	out->summary_ids = (struct chunk_id *)(uintptr_t)rd_take(&r, out->summary_count * sizeof(struct chunk_id)).ptr;
	return r.bad || out->summary_count > PAGE_ITEMS_MAX ? cut_short(e, "refs")
	                                                    : page_decode_refs(buf_span(&out->columns[3]), out, e);
}

void page_release(struct page *p)
{
	for (size_t i = 0; i < ARRAY_LEN(p->columns); i++)
		buf_release(&p->columns[i]);
	buf_release(&p->arena);
	buf_release(&p->rows_memory);
	*p = PAGE_EMPTY;
}

enum err_code page_ids_expand(const struct chunk_io *io, const struct page_row *row, struct buf *out, struct err *e)
{
	struct buf list = BUF_EMPTY;
	const struct chunk_id *ids;
	uint32_t count;
	enum err_code rc = ERR_OK;

	out->max = REFS_PER_ITEM_MAX * sizeof(struct chunk_id);
	if (!row->listed)
		return buf_append(out, span_of(row->ids, row->id_count * sizeof *row->ids), e);
	for (uint32_t i = 0; !rc && i < row->id_count; i++) {
		rc = io->get(io->ctx, CLASS_REFS, &row->ids[i], &list, e);
		if (!rc)
			rc = page_list_ids(buf_span(&list), &ids, &count, e);
		if (!rc)
			rc = buf_append(out, span_of(ids, count * sizeof *ids), e);
	}
	buf_release(&list);
	return rc;
}

struct span summary_chunk_get(struct span chunk, uint32_t slot)
{
	struct rd r = rd_of(chunk);
	uint8_t version = rd_u8(&r);
	uint64_t count = rd_var(&r);

	if (r.bad || version != PAGE_VERSION || slot >= count || count > PAGE_ITEMS_MAX)
		return SPAN_EMPTY;
	for (uint32_t i = 0; i < slot; i++)
		(void)rd_blob(&r, chunk.len);
	return rd_blob(&r, chunk.len);
}
