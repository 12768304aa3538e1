/*
 * Building: gathers the rows of the open page, cuts by the keyed hash, and makes both trees from the list of closed
 * pages. Identical pages and nodes get identical ids, so what did not change is known already and stored once.
 */
#include "engine/page/page_internal.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/wr.h"

/* A closed page: what its trees name, and the number that decides whether a node ends after it. */
struct closed_page {
	struct page_entry entry;
	uint64_t cut; /* keys_cut of its last key, level 1: each level of the trees looks at other bits of it */
};

/* One row of the open page; offsets into the arena, which may move. */
struct open_row {
	size_t key, facts, state, ids;
	uint32_t key_len, facts_len, state_len, id_count;
	bool listed;
	struct chunk_id summary_chunk; /* zeros: none, or its own (fresh) */
	size_t summary;
	uint32_t summary_len;
	uint32_t summary_slot;
	bool fresh; /* has a summary of this run */
};

struct page_builder {
	const struct chunk_io *io;
	struct closed_page *closed;
	size_t closed_count, closed_cap;
	uint64_t items; /* in closed pages */
	struct open_row rows[PAGE_ITEMS_MAX];
	uint32_t row_count;
	struct buf arena;
	size_t refs_bytes, sync_bytes; /* of the open page's columns, about */
	struct buf scratch, last_key;
	struct chunk_id summary_ids[PAGE_ITEMS_MAX];
};

enum err_code page_builder_open(const struct chunk_io *io, struct page_builder **out, struct err *e)
{
	struct page_builder *b = mem_zalloc(1, sizeof *b);

	if (!b)
		return err_no_memory(e, sizeof *b);
	b->io = io;
	b->scratch = BUF_WITH_MAX(PAGE_CHUNK_BYTES_MAX);
	*out = b;
	return ERR_OK;
}

void page_builder_free(struct page_builder **bp)
{
	struct page_builder *b = *bp;

	if (!b)
		return;
	mem_free(b->closed);
	buf_release(&b->arena);
	buf_release(&b->scratch);
	buf_release(&b->last_key);
	mem_free(b);
	*bp = NULL;
}

void page_builder_reset(struct page_builder *b)
{
	b->closed_count = 0;
	b->items = 0;
	b->row_count = 0;
	buf_clear(&b->arena);
	buf_clear(&b->last_key);
	b->refs_bytes = b->sync_bytes = 0;
}

/* Closed pages are only ever appended, so their number is enough; the open page is copied. */
struct page_mark {
	size_t closed_count;
	uint64_t items;
	struct open_row rows[PAGE_ITEMS_MAX];
	uint32_t row_count;
	struct buf arena, last_key;
	size_t refs_bytes, sync_bytes;
};

enum err_code page_builder_mark(const struct page_builder *b, struct page_mark **out, struct err *e)
{
	struct page_mark *m = mem_zalloc(1, sizeof *m);
	enum err_code rc;

	if (!m)
		return err_no_memory(e, sizeof *m);
	rc = buf_append(&m->arena, buf_span(&b->arena), e);
	if (!rc)
		rc = buf_append(&m->last_key, buf_span(&b->last_key), e);
	if (rc) {
		buf_release(&m->arena);
		mem_free(m);
		return rc;
	}
	m->closed_count = b->closed_count;
	m->items = b->items;
	memcpy(m->rows, b->rows, b->row_count * sizeof b->rows[0]);
	m->row_count = b->row_count;
	m->refs_bytes = b->refs_bytes;
	m->sync_bytes = b->sync_bytes;
	*out = m;
	return ERR_OK;
}

void page_builder_rewind(struct page_builder *b, struct page_mark **mark)
{
	struct page_mark *m = *mark;

	if (!m)
		return;
	b->closed_count = m->closed_count;
	b->items = m->items;
	memcpy(b->rows, m->rows, m->row_count * sizeof m->rows[0]);
	b->row_count = m->row_count;
	buf_release(&b->arena);
	buf_release(&b->last_key);
	b->arena = m->arena;
	b->last_key = m->last_key;
	b->refs_bytes = m->refs_bytes;
	b->sync_bytes = m->sync_bytes;
	mem_free(m);
	*mark = NULL;
}

bool page_builder_at_cut(const struct page_builder *b)
{
	return b->row_count == 0;
}

/* ---- columns of the open page ---- */

static struct span at(const struct page_builder *b, size_t offset, uint32_t len)
{
	return span_first(span_skip(buf_span(&b->arena), offset), len);
}

static struct wr column_begin(struct page_builder *b, struct err *e)
{
	struct wr w;

	buf_clear(&b->scratch);
	w = wr_to(&b->scratch, e);
	wr_u8(&w, PAGE_VERSION);
	wr_var(&w, b->row_count);
	return w;
}

static enum err_code column_put(struct page_builder *b, const struct wr *w, enum block_class class, struct chunk_id *id,
                                struct err *e)
{
	enum err_code rc = wr_end(w);

	return rc ? rc : b->io->put(b->io->ctx, class, buf_span(&b->scratch), id, e);
}

/* The summaries of this run's new rows become one chunk; gives each of them its slot. */
static enum err_code put_summaries(struct page_builder *b, struct chunk_id *id, bool *any, struct err *e)
{
	struct wr w;
	uint32_t slots = 0;

	*any = false;
	for (uint32_t i = 0; i < b->row_count; i++)
		if (b->rows[i].fresh)
			b->rows[i].summary_slot = slots++;
	if (!slots)
		return ERR_OK;
	*any = true;
	buf_clear(&b->scratch);
	w = wr_to(&b->scratch, e);
	wr_u8(&w, PAGE_VERSION);
	wr_var(&w, slots);
	for (uint32_t i = 0; i < b->row_count; i++)
		if (b->rows[i].fresh)
			wr_blob(&w, at(b, b->rows[i].summary, b->rows[i].summary_len));
	return column_put(b, &w, CLASS_SUMMARY, id, e);
}

/* Numbers the distinct summary chunks of the open page in order of first use. */
static uint32_t summary_number(struct page_builder *b, uint32_t *count, const struct chunk_id *id)
{
	for (uint32_t i = *count; i-- > 0;)
		if (chunk_id_equal(&b->summary_ids[i], id))
			return i;
	b->summary_ids[*count] = *id;
	return (*count)++;
}

static enum err_code put_keys(struct page_builder *b, const uint32_t *numbers, uint32_t summary_count,
                              struct chunk_id *id, struct err *e)
{
	struct wr w = column_begin(b, e);
	struct span before = SPAN_EMPTY;

	wr_var(&w, summary_count);
	wr_bytes(&w, span_of(b->summary_ids, summary_count * sizeof b->summary_ids[0]));
	for (uint32_t i = 0; i < b->row_count; i++) {
		const struct open_row *row = &b->rows[i];
		struct span key = at(b, row->key, row->key_len);
		size_t shared = 0, most = num_min(before.len, key.len);

		while (shared < most && before.ptr[shared] == key.ptr[shared])
			shared++;
		wr_var(&w, shared);
		wr_blob(&w, span_skip(key, shared));
		wr_var(&w, numbers[i] == SUMMARY_NONE ? 0 : (uint64_t)numbers[i] + 1);
		wr_var(&w, numbers[i] == SUMMARY_NONE ? 0 : row->summary_slot);
		before = key;
	}
	return column_put(b, &w, CLASS_KEYS, id, e);
}

static enum err_code put_refs(struct page_builder *b, uint32_t summary_count, struct chunk_id *id, struct err *e)
{
	struct wr w = column_begin(b, e);

	wr_var(&w, summary_count);
	wr_bytes(&w, span_of(b->summary_ids, summary_count * sizeof b->summary_ids[0]));
	for (uint32_t i = 0; i < b->row_count; i++) {
		const struct open_row *row = &b->rows[i];

		wr_var(&w, (uint64_t)row->id_count << 1 | row->listed);
		wr_bytes(&w, at(b, row->ids, row->id_count * (uint32_t)sizeof(struct chunk_id)));
	}
	return column_put(b, &w, CLASS_REFS, id, e);
}

static enum err_code put_blobs(struct page_builder *b, enum block_class class, struct chunk_id *id, struct err *e)
{
	struct wr w = column_begin(b, e);

	for (uint32_t i = 0; i < b->row_count; i++) {
		const struct open_row *row = &b->rows[i];

		wr_blob(&w,
		        class == CLASS_FACTS ? at(b, row->facts, row->facts_len) : at(b, row->state, row->state_len));
	}
	return column_put(b, &w, class, id, e);
}

/* Encodes and keeps the columns of the open page; does not change what is gathered. */
static enum err_code encode_open_page(struct page_builder *b, struct page_entry *out, struct err *e)
{
	uint32_t numbers[PAGE_ITEMS_MAX], summary_count = 0;
	struct chunk_id fresh;
	bool any;
	enum err_code rc = put_summaries(b, &fresh, &any, e);

	if (rc)
		return rc;
	for (uint32_t i = 0; i < b->row_count; i++) {
		const struct open_row *row = &b->rows[i];
		const struct chunk_id *id = row->fresh ? &fresh : &row->summary_chunk;

		numbers[i] = chunk_id_is_zero(id) ? SUMMARY_NONE : summary_number(b, &summary_count, id);
	}
	out->count = b->row_count;
	out->first = b->items;
	rc = put_keys(b, numbers, summary_count, &out->keys, e);
	if (!rc)
		rc = put_refs(b, summary_count, &out->refs, e);
	if (!rc)
		rc = put_blobs(b, CLASS_FACTS, &out->facts, e);
	if (!rc)
		rc = put_blobs(b, CLASS_STATE, &out->state, e);
	return rc;
}

static enum err_code append_closed(struct page_builder *b, const struct page_entry *entry, struct span last_key,
                                   struct err *e)
{
	struct closed_page *page;

	if (b->closed_count == b->closed_cap) {
		size_t cap = b->closed_cap ? b->closed_cap * 2 : 16;
		struct closed_page *grown = mem_grow(b->closed, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		b->closed = grown;
		b->closed_cap = cap;
	}
	page = &b->closed[b->closed_count++];
	page->entry = *entry;
	page->entry.first = b->items;
	page->cut = keys_cut(b->io->keys, 1, last_key);
	b->items += entry->count;
	return ERR_OK;
}

static enum err_code close_page(struct page_builder *b, struct span last_key, struct err *e)
{
	struct page_entry entry;
	enum err_code rc = encode_open_page(b, &entry, e);

	if (!rc)
		rc = append_closed(b, &entry, last_key, e);
	if (rc)
		return rc;
	b->row_count = 0;
	buf_clear(&b->arena);
	b->refs_bytes = b->sync_bytes = 0;
	return ERR_OK;
}

/* ---- adding rows ---- */

static enum err_code keep(struct page_builder *b, struct span bytes, size_t *offset, uint32_t *len, struct err *e)
{
	*offset = b->arena.len;
	*len = (uint32_t)bytes.len;
	return buf_append(&b->arena, bytes, e);
}

/* Changes nothing but the room for the key: a row that is refused for another reason may be followed by its equal. */
static enum err_code check_order(struct page_builder *b, struct span key, struct err *e)
{
	if (key.len > ITEM_KEY_MAX)
		return err_set(e, ERR_LIMIT, "an item key of %zu bytes is longer than %d", key.len, ITEM_KEY_MAX);
	if ((b->items || b->row_count) && span_compare(buf_span(&b->last_key), key) >= 0)
		return err_set(e, ERR_STATE, "item keys are out of order");
	return buf_reserve(&b->last_key, key.len, e);
}

static enum err_code end_row(struct page_builder *b, struct span key, size_t refs_bytes, size_t sync_bytes,
                             struct err *e)
{
	enum err_code rc;

	buf_clear(&b->last_key);
	rc = buf_append(&b->last_key, key, e);
	if (rc)
		return rc;
	b->row_count++;
	b->refs_bytes += refs_bytes;
	b->sync_bytes += sync_bytes;
	if (b->row_count == PAGE_ITEMS_MAX || b->refs_bytes >= PAGE_COLUMN_BYTES_MAX ||
	    b->sync_bytes >= PAGE_COLUMN_BYTES_MAX ||
	    (b->row_count >= PAGE_ITEMS_MIN && keys_cut(b->io->keys, 0, key) % PAGE_CUT_ONE_IN == 0))
		return close_page(b, key, e);
	return ERR_OK;
}

/* Above REFS_INLINE_MAX ids go out as list chunks of at most 64 Ki ids, whose ids stand in the page instead. */
static enum err_code keep_ids(struct page_builder *b, struct open_row *row, const struct chunk_id *ids, uint32_t count,
                              struct err *e)
{
	const uint32_t per_list = 65536;
	struct chunk_id lists[REFS_PER_ITEM_MAX / 65536];
	uint32_t list_count = 0, bytes;
	enum err_code rc;

	if (count > REFS_PER_ITEM_MAX)
		return err_set(e, ERR_LIMIT, "an item needs %u chunks, more than %u", count, REFS_PER_ITEM_MAX);
	row->listed = count > REFS_INLINE_MAX;
	if (row->listed) {
		for (uint32_t done = 0; done < count; done += per_list) {
			struct wr w;

			buf_clear(&b->scratch);
			w = wr_to(&b->scratch, e);
			wr_u8(&w, PAGE_VERSION);
			wr_bytes(&w, span_of(ids + done, num_min(per_list, count - done) * sizeof *ids));
			rc = column_put(b, &w, CLASS_REFS, &lists[list_count], e);
			if (rc)
				return rc;
			list_count++;
		}
		ids = lists;
		count = list_count;
	}
	row->id_count = count;
	return keep(b, span_of(ids, count * sizeof *ids), &row->ids, &bytes, e);
}

enum err_code page_builder_add(struct page_builder *b, const struct page_row *in, const struct chunk_id *ids,
                               uint32_t id_count, struct span summary, struct err *e)
{
	struct open_row *row = &b->rows[b->row_count];
	enum err_code rc = check_order(b, in->key, e);

	memset(row, 0, sizeof *row);
	row->fresh = summary.len > 0;
	if (!rc)
		rc = keep_ids(b, row, ids, id_count, e);
	if (!rc)
		rc = keep(b, in->key, &row->key, &row->key_len, e);
	if (!rc)
		rc = keep(b, in->facts, &row->facts, &row->facts_len, e);
	if (!rc)
		rc = keep(b, in->state, &row->state, &row->state_len, e);
	if (!rc)
		rc = keep(b, summary, &row->summary, &row->summary_len, e);
	if (rc)
		return rc;
	return end_row(b, in->key, row->id_count * sizeof *ids, in->key.len + in->facts.len + in->state.len, e);
}

enum err_code page_builder_add_as(struct page_builder *b, const struct page *old, uint32_t number, struct span key,
                                  struct span facts, struct span state, struct err *e)
{
	const struct page_row *from = &old->rows[number];
	struct open_row *row = &b->rows[b->row_count];
	uint32_t bytes;
	enum err_code rc = check_order(b, key, e);

	memset(row, 0, sizeof *row);
	row->listed = from->listed;
	row->id_count = from->id_count;
	if (from->summary_chunk != SUMMARY_NONE) {
		row->summary_chunk = old->summary_ids[from->summary_chunk];
		row->summary_slot = from->summary_slot;
	}
	if (!rc)
		rc = keep(b, span_of(from->ids, from->id_count * sizeof *from->ids), &row->ids, &bytes, e);
	if (!rc)
		rc = keep(b, key, &row->key, &row->key_len, e);
	if (!rc)
		rc = keep(b, facts, &row->facts, &row->facts_len, e);
	if (!rc)
		rc = keep(b, state, &row->state, &row->state_len, e);
	if (rc)
		return rc;
	return end_row(b, key, row->id_count * sizeof *from->ids, key.len + facts.len + state.len, e);
}

enum err_code page_builder_add_old(struct page_builder *b, const struct page *old, uint32_t number, struct span state,
                                   struct err *e)
{
	const struct page_row *from = &old->rows[number];

	return page_builder_add_as(b, old, number, from->key, from->facts, state, e);
}

enum err_code page_builder_take(struct page_builder *b, const struct page_entry *entry, struct span last_key,
                                const struct span *states, struct err *e)
{
	struct page_entry taken = *entry;
	enum err_code rc;
	struct wr w;

	if (b->row_count)
		return err_set(e, ERR_STATE, "a page was taken in the middle of another");
	buf_clear(&b->last_key);
	rc = buf_append(&b->last_key, last_key, e);
	if (rc)
		return rc;
	buf_clear(&b->scratch);
	w = wr_to(&b->scratch, e);
	wr_u8(&w, PAGE_VERSION);
	wr_var(&w, entry->count);
	for (uint32_t i = 0; i < entry->count; i++)
		wr_blob(&w, states[i]);
	rc = column_put(b, &w, CLASS_STATE, &taken.state, e);
	return rc ? rc : append_closed(b, &taken, last_key, e);
}

/* ---- trees ---- */

/* One level of a tree while it is built: entries wait until their node is cut. */
struct tree_entry {
	struct node_entry entry;
	uint64_t cut;
};

static enum err_code put_node(struct page_builder *b, uint8_t level, uint8_t ids, const struct tree_entry *entries,
                              uint32_t count, struct tree_entry *out, struct err *e)
{
	struct wr w;

	buf_clear(&b->scratch);
	w = wr_to(&b->scratch, e);
	wr_u8(&w, PAGE_VERSION);
	wr_u8(&w, level);
	wr_u8(&w, ids);
	wr_u8(&w, (uint8_t)count);
	memset(out, 0, sizeof *out);
	for (uint32_t i = 0; i < count; i++) {
		wr_var(&w, entries[i].entry.count);
		wr_bytes(&w, span_of(entries[i].entry.ids, ids * sizeof entries[i].entry.ids[0]));
		out->entry.count += entries[i].entry.count;
	}
	out->cut = entries[count - 1].cut;
	return column_put(b, &w, CLASS_NODE, &out->entry.ids[0], e);
}

/* Does a node of LEVEL end after an entry with this cut number? Each level looks at other bits. */
static bool node_ends(uint64_t cut, unsigned level)
{
	return (cut >> (8 * level)) % NODE_CUT_ONE_IN == 0;
}

/* Replaces COUNT entries by their parents in place; *COUNT becomes the number of parents. */
static enum err_code build_level(struct page_builder *b, struct tree_entry *entries, size_t *count, unsigned level,
                                 struct err *e)
{
	uint8_t ids = level == 0 && !chunk_id_is_zero(&entries[0].entry.ids[1]) ? 3 : 1;
	size_t start = 0, parents = 0;

	for (size_t i = 0; i < *count; i++) {
		size_t have = i + 1 - start;
		struct tree_entry parent;
		enum err_code rc;

		if (i + 1 < *count && have < NODE_ENTRIES_MAX &&
		    !(have >= NODE_ENTRIES_MIN && node_ends(entries[i].cut, level)))
			continue;
		rc = put_node(b, (uint8_t)level, ids, entries + start, (uint32_t)have, &parent, e);
		if (rc)
			return rc;
		entries[parents++] = parent;
		start = i + 1;
	}
	*count = parents;
	return ERR_OK;
}

static enum err_code build_tree(struct page_builder *b, struct tree_entry *entries, size_t count, struct chunk_id *root,
                                struct err *e)
{
	unsigned level = 0;

	do {
		enum err_code rc;

		if (level == NODE_LEVELS_MAX)
			return err_set(e, ERR_LIMIT, "a collection needs a tree of more than %d levels",
			               NODE_LEVELS_MAX);
		rc = build_level(b, entries, &count, level++, e);
		if (rc)
			return rc;
	} while (count > 1);
	*root = entries[0].entry.ids[0];
	return ERR_OK;
}

static void fill_tree(const struct page_builder *b, bool state, struct tree_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct closed_page *page = &b->closed[i];

		entries[i] = (struct tree_entry){ .entry.count = page->entry.count, .cut = page->cut };
		entries[i].entry.ids[0] = state ? page->entry.state : page->entry.refs;
		if (!state) {
			entries[i].entry.ids[1] = page->entry.keys;
			entries[i].entry.ids[2] = page->entry.facts;
		}
	}
}

enum err_code page_builder_roots(struct page_builder *b, struct page_roots *out, uint64_t *items, struct err *e)
{
	struct page_roots roots = { 0 };
	struct tree_entry *entries = NULL;
	struct page_entry open;
	size_t closed = b->closed_count;
	uint64_t before = b->items;
	enum err_code rc = ERR_OK;

	/* The open page joins for now; its rows stay gathered, so that building can go on after a partial snapshot. */
	if (b->row_count) {
		const struct open_row *last = &b->rows[b->row_count - 1];

		rc = encode_open_page(b, &open, e);
		if (!rc)
			rc = append_closed(b, &open, at(b, last->key, last->key_len), e);
	}
	if (!rc && b->closed_count) {
		entries = mem_alloc(b->closed_count * sizeof *entries);
		if (!entries)
			rc = err_no_memory(e, b->closed_count * sizeof *entries);
		for (int state = 0; !rc && state < 2; state++) {
			fill_tree(b, state, entries, b->closed_count);
			rc = build_tree(b, entries, b->closed_count, state ? &roots.state : &roots.spine, e);
		}
	}
	if (!rc) {
		*out = roots;
		*items = b->items;
	}
	b->closed_count = closed;
	b->items = before;
	mem_free(entries);
	return rc;
}
