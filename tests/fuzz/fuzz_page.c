/* Columns, nodes and summary chunks. First byte: which; for columns two bytes say how long the keys column before them
 * is. */
#include <stdlib.h>

#include "engine/page/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touched; /* what was read must be readable */

static void touch(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		touched += s.ptr[i];
}

static void look_at_rows(const struct page *p, bool keys, bool refs, bool blobs)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct page_row *row = &p->rows[i];

		if (keys) {
			touch(row->key);
			if (i && span_compare(p->rows[i - 1].key, row->key) >= 0)
				abort();
			if (row->summary_chunk != SUMMARY_NONE)
				touch(span_of(&p->summary_ids[row->summary_chunk], sizeof p->summary_ids[0]));
		}
		if (refs && row->id_count > REFS_INLINE_MAX)
			abort();
		if (refs && row->id_count)
			touch(span_of(row->ids, row->id_count * sizeof *row->ids));
		if (blobs) {
			touch(row->facts);
			touch(row->state);
		}
	}
}

static void columns(unsigned which, struct span data)
{
	struct page page = PAGE_EMPTY;
	struct span keys, column;
	struct err e;
	size_t split;

	if (data.len < 2)
		return;
	split = data.ptr[0] | (size_t)data.ptr[1] << 8;
	keys = span_first(span_skip(data, 2), split);
	column = span_skip(span_skip(data, 2), keys.len);
	if (!page_decode_keys(keys, &page, &e)) {
		look_at_rows(&page, true, false, false);
		if (which == 1 && !page_decode_blobs(column, &page, PAGE_FACTS, &e))
			look_at_rows(&page, true, false, true);
		else if (which == 2 && !page_decode_blobs(column, &page, PAGE_STATE, &e))
			look_at_rows(&page, true, false, true);
		else if (which == 3 && !page_decode_refs(column, &page, &e))
			look_at_rows(&page, true, true, false);
	}
	page_release(&page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct node node;
	struct span rest;
	struct err e;

	if (size < 1)
		return 0;
	rest = span_of(data + 1, size - 1);
	switch (data[0] % 6) {
	case 4:
		if (!node_decode(rest, &node, &e) && (node.count == 0 || node.count > NODE_ENTRIES_MAX))
			abort();
		break;
	case 5:
		for (uint32_t slot = 0; slot < 600; slot += 7)
			touch(summary_chunk_get(rest, slot));
		break;
	default:
		columns(data[0] % 6, rest);
	}
	return 0;
}
