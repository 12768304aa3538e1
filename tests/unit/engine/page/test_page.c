/* Pages and trees over chunks in memory: what is built is loaded, what did not change is shared, damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/num.h"
#include "base/wr.h"
#include "engine/page/page_internal.h"
#include "unit/engine/memory_chunks.h"

static struct err err;

static void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

/* ---- rows as the tests know them ---- */

struct item {
	uint8_t key[ITEM_KEY_MAX + 1];
	size_t key_len;
	uint8_t facts[64], state[64], summary[80];
	size_t facts_len, state_len, summary_len;
	struct chunk_id ids[80];
	uint32_t id_count;
};

struct world {
	struct memory_chunks chunks;
	struct keys *keys;
	struct chunk_io io;
	struct item *items;
	size_t count;
};

static enum err_code world_put(void *ctx, enum block_class class, struct span plain, struct chunk_id *id, struct err *e)
{
	struct world *w = ctx;

	return memory_put(&w->chunks, w->keys, class, plain, id, e);
}

static enum err_code world_get(void *ctx, enum block_class class, const struct chunk_id *id, struct buf *out,
                               struct err *e)
{
	return memory_get(&((struct world *)ctx)->chunks, class, id, out, e);
}

static void world_start(struct world *w)
{
	*w = (struct world){ 0 };
	ok(crypto_start(&err));
	ok(keys_new(&w->keys, &err));
	w->io = (struct chunk_io){ .ctx = w, .keys = w->keys, .get = world_get, .put = world_put };
}

static void world_end(struct world *w)
{
	memory_release(&w->chunks);
	keys_free(&w->keys);
	free(w->items);
}

static void fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)next_random();
}

static void item_make(struct item *item, size_t number, bool with_summary)
{
	memset(item, 0, sizeof *item);
	/* Names as Maildir has them: a rising number, so that neighbours share long prefixes, and a ragged end. */
	item->key_len = (size_t)snprintf((char *)item->key, 64, "16%08zu.M%zu.host%.*s", number, number % 7,
	                                 (int)below(9), ".example");
	item->facts_len = below(sizeof item->facts + 1);
	fill(item->facts, item->facts_len);
	item->state_len = below(20);
	fill(item->state, item->state_len);
	item->summary_len = with_summary ? below(sizeof item->summary + 1) : 0;
	fill(item->summary, item->summary_len);
	item->id_count = (uint32_t)(below(20) ? 1 + below(5) : 1 + below(ARRAY_LEN(item->ids)));
	fill(item->ids[0].bytes, item->id_count * sizeof item->ids[0]);
}

static void items_make(struct world *w, size_t count, size_t step, bool with_summary)
{
	w->items = realloc(w->items, (count + 8) * sizeof *w->items);
	assert_non_null(w->items);
	w->count = count;
	for (size_t i = 0; i < count; i++)
		item_make(&w->items[i], i * step + step / 2, with_summary);
}

static struct span key_of(const struct item *i)
{
	return span_of(i->key, i->key_len);
}

static struct page_row row_of(const struct item *i)
{
	return (struct page_row){ .key = key_of(i),
		                  .facts = span_of(i->facts, i->facts_len),
		                  .state = span_of(i->state, i->state_len) };
}

static void add_item(struct page_builder *b, const struct item *i)
{
	struct page_row row = row_of(i);

	ok(page_builder_add(b, &row, i->ids, i->id_count, span_of(i->summary, i->summary_len), &err));
}

static struct page_roots build(struct world *w, size_t roots_one_in)
{
	struct page_builder *b = NULL;
	struct page_roots roots;
	uint64_t items;

	ok(page_builder_open(&w->io, &b, &err));
	for (size_t i = 0; i < w->count; i++) {
		add_item(b, &w->items[i]);
		if (roots_one_in && below(roots_one_in) == 0) {
			ok(page_builder_roots(b, &roots, &items, &err));
			assert_int_equal(items, i + 1);
		}
	}
	ok(page_builder_roots(b, &roots, &items, &err));
	assert_int_equal(items, w->count);
	page_builder_free(&b);
	return roots;
}

static void same_bytes(struct span a, const uint8_t *b, size_t len)
{
	assert_true(span_equal(a, span_of(b, len)));
}

static void same_summary(struct world *w, const struct page *p, const struct page_row *row, const struct item *item)
{
	struct buf chunk = BUF_EMPTY;

	if (item->summary_len == 0) {
		assert_int_equal(row->summary_chunk, SUMMARY_NONE);
		return;
	}
	assert_true(row->summary_chunk < p->summary_count);
	ok(w->io.get(w->io.ctx, CLASS_SUMMARY, &p->summary_ids[row->summary_chunk], &chunk, &err));
	same_bytes(summary_chunk_get(buf_span(&chunk), row->summary_slot), item->summary, item->summary_len);
	buf_release(&chunk);
}

static void same_row(struct world *w, const struct page *p, uint32_t number, const struct item *item)
{
	const struct page_row *row = &p->rows[number];
	struct buf ids = BUF_EMPTY;

	same_bytes(row->key, item->key, item->key_len);
	same_bytes(row->facts, item->facts, item->facts_len);
	same_bytes(row->state, item->state, item->state_len);
	assert_int_equal(row->listed, item->id_count > REFS_INLINE_MAX);
	ok(page_ids_expand(&w->io, row, &ids, &err));
	same_bytes(buf_span(&ids), item->ids[0].bytes, item->id_count * sizeof item->ids[0]);
	buf_release(&ids);
	same_summary(w, p, row, item);
}

/* Everything under ROOTS is what the world's items say, in order, and the pages keep their limits. */
static void same_items(struct world *w, const struct page_roots *roots)
{
	struct page_list list = PAGE_LIST_EMPTY;
	struct page page = PAGE_EMPTY;
	size_t at = 0;

	ok(page_list_load(&w->io, roots, &list, &err));
	assert_int_equal(list.items, w->count);
	for (size_t p = 0; p < list.count; p++) {
		assert_int_equal(list.entries[p].first, at);
		assert_true(list.entries[p].count <= PAGE_ITEMS_MAX);
		ok(page_load(&w->io, &list.entries[p], PAGE_ALL, &page, &err));
		assert_true(page.count >= PAGE_ITEMS_MIN || p + 1 == list.count);
		for (uint32_t i = 0; i < page.count; i++)
			same_row(w, &page, i, &w->items[at++]);
	}
	assert_int_equal(at, w->count);
	page_release(&page);
	page_list_release(&list);
}

/* ---- building and loading ---- */

static void what_is_built_is_loaded(void **state)
{
	static const size_t counts[] = { 0, 1, 31, 32, 33, 97, 1000, 5000 };
	struct world w;

	(void)state;
	random_start("what_is_built_is_loaded");
	world_start(&w);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct page_roots roots;

		items_make(&w, counts[i], 3, i % 2);
		roots = build(&w, 0);
		assert_int_equal(chunk_id_is_zero(&roots.spine), counts[i] == 0);
		same_items(&w, &roots);
	}
	world_end(&w);
}

static void roots_in_the_middle_change_nothing(void **state)
{
	struct world w;

	(void)state;
	random_start("roots_in_the_middle_change_nothing");
	world_start(&w);
	for (int round = 0; round < 4; round++) {
		struct page_roots plain, with_middle;

		items_make(&w, 200 + below(2000), 2, true);
		plain = build(&w, 0);
		with_middle = build(&w, 20);
		assert_memory_equal(&plain, &with_middle, sizeof plain);
		same_items(&w, &with_middle);
	}
	world_end(&w);
}

/* ---- incremental building, as a run does it: whole old pages where they fit, old rows elsewhere ---- */

struct old {
	struct page_list list;
	struct page page;
	size_t loaded;
};

/* The old page and row of KEY; false when there is none. A scan: the model is plain. */
static bool old_find(struct world *w, struct old *o, struct span key, size_t *page, uint32_t *row)
{
	for (size_t p = 0; p < o->list.count; p++) {
		if (o->loaded != p) {
			ok(page_load(&w->io, &o->list.entries[p], PAGE_KEYS | PAGE_FACTS | PAGE_REFS, &o->page, &err));
			o->loaded = p;
		}
		if (span_compare(o->page.rows[o->page.count - 1].key, key) < 0)
			continue;
		for (uint32_t i = 0; i < o->page.count; i++)
			if (span_equal(o->page.rows[i].key, key)) {
				*page = p;
				*row = i;
				return true;
			}
		return false;
	}
	return false;
}

/* Takes the old page that starts with item I whole if the contract allows it; gives how many items it took. */
static size_t take_whole(struct world *w, struct page_builder *b, struct old *o, size_t i, size_t page, uint32_t row)
{
	const struct page_entry *entry = &o->list.entries[page];
	struct span states[PAGE_ITEMS_MAX];

	if (row != 0 || !page_builder_at_cut(b) || entry->count > w->count - i)
		return 0;
	if (page + 1 == o->list.count && i + entry->count != w->count)
		return 0;
	for (uint32_t k = 0; k < entry->count; k++) {
		const struct item *item = &w->items[i + k];

		if (!span_equal(o->page.rows[k].key, key_of(item)))
			return 0;
		states[k] = span_of(item->state, item->state_len);
	}
	ok(page_builder_take(b, entry, key_of(&w->items[i + entry->count - 1]), states, &err));
	return entry->count;
}

static struct page_roots build_on(struct world *w, const struct page_roots *base, size_t *taken)
{
	struct old o = { .page = PAGE_EMPTY, .loaded = SIZE_MAX };
	struct page_builder *b = NULL;
	struct page_roots roots;
	uint64_t items;

	*taken = 0;
	ok(page_list_load(&w->io, base, &o.list, &err));
	ok(page_builder_open(&w->io, &b, &err));
	for (size_t i = 0; i < w->count;) {
		const struct item *item = &w->items[i];
		size_t page, whole;
		uint32_t row;

		if (!old_find(w, &o, key_of(item), &page, &row)) {
			add_item(b, item);
			i++;
			continue;
		}
		whole = take_whole(w, b, &o, i, page, row);
		if (!whole)
			ok(page_builder_add_old(b, &o.page, row, span_of(item->state, item->state_len), &err));
		*taken += whole != 0;
		i += whole ? whole : 1;
	}
	ok(page_builder_roots(b, &roots, &items, &err));
	assert_int_equal(items, w->count);
	page_builder_free(&b);
	page_release(&o.page);
	page_list_release(&o.list);
	return roots;
}

static int by_key(const void *a, const void *b)
{
	return span_compare(key_of(a), key_of(b));
}

/* Removes some items, adds some, changes the state of some. */
static void change_items(struct world *w, size_t changes, bool with_summary)
{
	for (size_t i = 0; i < changes; i++) {
		size_t at = w->count ? below(w->count) : 0;

		switch (w->count ? below(3) : 0) {
		case 0:
			w->items = realloc(w->items, (w->count + 1) * sizeof *w->items);
			assert_non_null(w->items);
			/* Even numbers: items_make() gave odd ones. Never one twice. */
			item_make(&w->items[w->count],
			          2 * (500000 + i) * (below(2) ? 1 : 0) + 2 * (i * 131 + below(131)), with_summary);
			for (size_t k = 0; k < w->count; k++)
				if (span_equal(key_of(&w->items[k]), key_of(&w->items[w->count])))
					return;
			w->count++;
			break;
		case 1:
			memmove(&w->items[at], &w->items[at + 1], (w->count - at - 1) * sizeof *w->items);
			w->count--;
			break;
		default:
			w->items[at].state_len = 1 + below(20);
			fill(w->items[at].state, w->items[at].state_len);
		}
		qsort(w->items, w->count, sizeof *w->items, by_key);
	}
}

static void built_on_a_base_equals_built_anew(void **state)
{
	size_t taken_at_all = 0;
	struct world w;

	(void)state;
	random_start("built_on_a_base_equals_built_anew");
	world_start(&w);
	for (int round = 0; round < 12; round++) {
		/* Summaries belong to the run that made them, so only rows without can be the very same bytes. */
		bool with_summary = round % 3 == 2;
		struct page_roots base, anew, on_base;
		size_t taken;

		items_make(&w, below(3000), 2, with_summary);
		base = build(&w, 0);
		change_items(&w, below(40), with_summary);
		on_base = build_on(&w, &base, &taken);
		anew = build(&w, 0);
		if (!with_summary)
			assert_memory_equal(&on_base, &anew, sizeof anew);
		same_items(&w, &on_base);
		same_items(&w, &anew);
		taken_at_all += taken;
	}
	assert_true(taken_at_all > 50);
	world_end(&w);
}

static void one_new_item_costs_a_page_and_a_path(void **state)
{
	struct world w;
	struct page_roots base, now;
	size_t before[CLASS_END], taken;

	(void)state;
	random_start("one_new_item_costs_a_page_and_a_path");
	world_start(&w);
	for (int round = 0; round < 5; round++) {
		size_t made = 0;

		items_make(&w, 20000, 2, true);
		base = build(&w, 0);
		memcpy(before, w.chunks.made, sizeof before);
		w.items = realloc(w.items, (w.count + 1) * sizeof *w.items);
		assert_non_null(w.items);
		item_make(&w.items[w.count++], 2 * below(20000), true);
		qsort(w.items, w.count, sizeof *w.items, by_key);
		now = build_on(&w, &base, &taken);
		same_items(&w, &now);
		/* A cut at a limit moves until the next keyed cut: a few pages at worst, of 200. Levels: two or three.
		 */
		assert_true(w.chunks.made[CLASS_KEYS] - before[CLASS_KEYS] <= 6);
		assert_true(w.chunks.made[CLASS_FACTS] - before[CLASS_FACTS] <= 6);
		assert_true(w.chunks.made[CLASS_STATE] - before[CLASS_STATE] <= 6);
		assert_true(w.chunks.made[CLASS_SUMMARY] - before[CLASS_SUMMARY] <= 6);
		made = w.chunks.made[CLASS_NODE] - before[CLASS_NODE];
		assert_in_range(made, 2, 16);
		assert_true(memcmp(&base, &now, sizeof base) != 0);
	}
	world_end(&w);
}

static void other_states_alone_leave_the_spine(void **state)
{
	struct world w;
	struct page_roots base, now;
	size_t before[CLASS_END], taken;

	(void)state;
	random_start("other_states_alone_leave_the_spine");
	world_start(&w);
	items_make(&w, 3000, 2, true);
	base = build(&w, 0);
	memcpy(before, w.chunks.made, sizeof before);
	w.items[1500].state_len = 3;
	memcpy(w.items[1500].state, "\1\2\3", 3);
	now = build_on(&w, &base, &taken);
	assert_memory_equal(&base.spine, &now.spine, sizeof now.spine);
	assert_memory_not_equal(&base.state, &now.state, sizeof now.state);
	assert_int_equal(w.chunks.made[CLASS_STATE] - before[CLASS_STATE], 1);
	assert_int_equal(w.chunks.made[CLASS_KEYS], before[CLASS_KEYS]);
	assert_true(w.chunks.made[CLASS_NODE] - before[CLASS_NODE] <= 3);
	same_items(&w, &now);
	world_end(&w);
}

/* ---- limits ---- */

static void many_ids_go_through_lists(void **state)
{
	static const uint32_t counts[] = {
		REFS_INLINE_MAX, REFS_INLINE_MAX + 1, 65536, 65537, 200000, REFS_PER_ITEM_MAX
	};
	struct chunk_id *ids = malloc((REFS_PER_ITEM_MAX + 1) * sizeof *ids);
	struct world w;

	(void)state;
	assert_non_null(ids);
	world_start(&w);
	random_start("many_ids_go_through_lists");
	for (size_t i = 0; i <= REFS_PER_ITEM_MAX; i++)
		memcpy(ids[i].bytes, &(uint64_t[4]){ i, next_random(), 0, 0 }, sizeof ids[i]);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct page_builder *b = NULL;
		struct page_list list = PAGE_LIST_EMPTY;
		struct page page = PAGE_EMPTY;
		struct page_roots roots;
		struct buf all = BUF_EMPTY;
		uint64_t items;

		ok(page_builder_open(&w.io, &b, &err));
		ok(page_builder_add(b, &(struct page_row){ .key = SPAN_LIT("one") }, ids, counts[i], SPAN_EMPTY, &err));
		assert_int_equal(page_builder_add(b, &(struct page_row){ .key = SPAN_LIT("two") }, ids,
		                                  REFS_PER_ITEM_MAX + 1, SPAN_EMPTY, &err),
		                 ERR_LIMIT);
		/* Refused, and the builder is still good. */
		ok(page_builder_add(b, &(struct page_row){ .key = SPAN_LIT("two") }, ids, 1, SPAN_EMPTY, &err));
		ok(page_builder_roots(b, &roots, &items, &err));
		ok(page_list_load(&w.io, &roots, &list, &err));
		ok(page_load(&w.io, &list.entries[0], PAGE_ALL, &page, &err));
		assert_int_equal(page.count, 2);
		assert_int_equal(page.rows[0].listed, counts[i] > REFS_INLINE_MAX);
		ok(page_ids_expand(&w.io, &page.rows[0], &all, &err));
		assert_true(span_equal(buf_span(&all), span_of(ids, counts[i] * sizeof *ids)));
		buf_release(&all);
		page_release(&page);
		page_list_release(&list);
		page_builder_free(&b);
	}
	free(ids);
	world_end(&w);
}

static void keys_that_do_not_fit_are_refused(void **state)
{
	static uint8_t long_key[ITEM_KEY_MAX + 1];
	struct page_builder *b = NULL;
	struct page_roots roots;
	struct world w;
	uint64_t items;

	(void)state;
	world_start(&w);
	ok(page_builder_open(&w.io, &b, &err));
	assert_int_equal(page_builder_add(b, &(struct page_row){ .key = span_of(long_key, sizeof long_key) }, NULL, 0,
	                                  SPAN_EMPTY, &err),
	                 ERR_LIMIT);
	ok(page_builder_add(b, &(struct page_row){ .key = SPAN_LIT("b") }, NULL, 0, SPAN_EMPTY, &err));
	assert_int_equal(page_builder_add(b, &(struct page_row){ .key = SPAN_LIT("b") }, NULL, 0, SPAN_EMPTY, &err),
	                 ERR_STATE);
	assert_int_equal(page_builder_add(b, &(struct page_row){ .key = SPAN_LIT("a") }, NULL, 0, SPAN_EMPTY, &err),
	                 ERR_STATE);
	ok(page_builder_add(b, &(struct page_row){ .key = SPAN_LIT("b\0") }, NULL, 0, SPAN_EMPTY, &err));
	assert_int_equal(page_builder_take(b, &(struct page_entry){ .count = 1 }, SPAN_LIT("c"), &SPAN_LIT("s"), &err),
	                 ERR_STATE);
	ok(page_builder_roots(b, &roots, &items, &err));
	assert_int_equal(items, 2);
	page_builder_reset(b);
	ok(page_builder_roots(b, &roots, &items, &err));
	assert_int_equal(items, 0);
	assert_true(chunk_id_is_zero(&roots.spine) && chunk_id_is_zero(&roots.state));
	page_builder_free(&b);
	world_end(&w);
}

static void wide_rows_end_a_page_early(void **state)
{
	static uint8_t wide[8000];
	struct page_builder *b = NULL;
	struct page_list list = PAGE_LIST_EMPTY;
	struct page_roots roots;
	struct world w;
	uint64_t items;

	(void)state;
	world_start(&w);
	ok(page_builder_open(&w.io, &b, &err));
	for (int i = 0; i < 100; i++) {
		char key[16];

		snprintf(key, sizeof key, "%04d", i);
		ok(page_builder_add(b, &(struct page_row){ .key = span_cstr(key), .facts = span_of(wide, sizeof wide) },
		                    NULL, 0, SPAN_EMPTY, &err));
	}
	ok(page_builder_roots(b, &roots, &items, &err));
	ok(page_list_load(&w.io, &roots, &list, &err));
	/* 9 rows of 8,004 bytes reach 64 KiB. */
	assert_int_equal(list.count, 12);
	assert_int_equal(list.entries[0].count, 9);
	page_list_release(&list);
	page_builder_free(&b);
	world_end(&w);
}

/* ---- damage ---- */

struct walked {
	const struct page *page; /* NULL: nothing to compare with */
	uint32_t rows;
	unsigned sum; /* of every byte: a sanitizer sees one too far */
};

static enum err_code same_refs(void *ctx, uint32_t row, const struct chunk_id *ids, uint32_t count, bool listed,
                               struct err *e)
{
	struct walked *w = ctx;
	const struct page_row *want = w->page && row < w->page->count ? &w->page->rows[row] : NULL;

	(void)e;
	for (uint32_t i = 0; i < count; i++)
		for (size_t b = 0; b < sizeof *ids; b++)
			w->sum += ids[i].bytes[b];
	if (!w->page)
		return ERR_OK;
	if (row != PAGE_ITEMS_MAX)
		assert_int_equal(row, w->rows++);
	assert_int_equal(listed, want && want->listed);
	assert_int_equal(count, want ? want->id_count : w->page->summary_count);
	/* The page's summaries are those of its keys column, which has them, too. */
	if (count && want)
		assert_memory_equal(ids, want->ids, count * sizeof *ids);
	return ERR_OK;
}

/* Marking reads what the decoder takes, and the same. The decoder refuses more: it compares with the keys column. */
static enum err_code refs_both_ways(struct span bytes, struct page *page)
{
	enum err_code rc = page_decode_refs(bytes, page, &err), walked;
	struct err why = err;
	struct walked w = { .page = rc ? NULL : page };

	walked = page_walk_refs(bytes, same_refs, &w, &err);
	assert_true(walked == ERR_OK || rc != ERR_OK);
	if (!rc)
		assert_int_equal(w.rows, page->count);
	err = why;
	return rc;
}

static enum err_code decode_any(enum block_class class, struct span bytes, struct page *page, struct node *node)
{
	switch (class) {
	case CLASS_KEYS:
		return page_decode_keys(bytes, page, &err);
	case CLASS_FACTS:
		return page_decode_blobs(bytes, page, PAGE_FACTS, &err);
	case CLASS_STATE:
		return page_decode_blobs(bytes, page, PAGE_STATE, &err);
	case CLASS_REFS:
		return refs_both_ways(bytes, page);
	default:
		return node_decode(bytes, node, &err);
	}
}

/* Runs over every cut and a flip of every byte, each in a copy of its own, so that a sanitizer sees one byte too far.
 */
static void cut_and_flip(struct world *w, enum block_class class, const struct chunk_id *id, struct page *page)
{
	static struct node node;
	struct buf whole = BUF_EMPTY;

	ok(w->io.get(w->io.ctx, class, id, &whole, &err));
	ok(decode_any(class, buf_span(&whole), page, &node));
	for (size_t len = 0; len < whole.len; len++) {
		uint8_t *copy = malloc(len ? len : 1);
		enum err_code rc;

		assert_non_null(copy);
		memcpy(copy, whole.ptr, len);
		rc = decode_any(class, span_of(copy, len), page, &node);
		assert_int_equal(rc, ERR_CORRUPT);
		free(copy);
	}
	for (size_t at = 0; at < whole.len; at++) {
		uint8_t *copy = malloc(whole.len);
		enum err_code rc;

		assert_non_null(copy);
		memcpy(copy, whole.ptr, whole.len);
		copy[at] ^= (uint8_t)(1 << below(8));
		rc = decode_any(class, span_of(copy, whole.len), page, &node);
		assert_true(rc == ERR_OK || rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED);
		free(copy);
	}
	/* Whatever was half decoded, the good bytes decode again. */
	ok(decode_any(class, buf_span(&whole), page, &node));
	buf_release(&whole);
}

static void every_decoder_refuses_every_cut_and_survives_every_flip(void **state)
{
	struct page_list list = PAGE_LIST_EMPTY;
	struct page page = PAGE_EMPTY;
	struct page_roots roots;
	struct world w;

	(void)state;
	random_start("every_decoder_refuses_every_cut_and_survives_every_flip");
	world_start(&w);
	items_make(&w, 400, 2, true);
	roots = build(&w, 0);
	ok(page_list_load(&w.io, &roots, &list, &err));
	cut_and_flip(&w, CLASS_KEYS, &list.entries[0].keys, &page);
	cut_and_flip(&w, CLASS_FACTS, &list.entries[0].facts, &page);
	cut_and_flip(&w, CLASS_STATE, &list.entries[0].state, &page);
	cut_and_flip(&w, CLASS_REFS, &list.entries[0].refs, &page);
	cut_and_flip(&w, CLASS_NODE, &roots.spine, &page);
	cut_and_flip(&w, CLASS_NODE, &roots.state, &page);
	page_release(&page);
	page_list_release(&list);
	world_end(&w);
}

static void summaries_survive_every_cut_and_flip(void **state)
{
	static const char *const texts[] = { "", "one", "another summary", "x" };
	struct buf chunk = BUF_EMPTY;
	struct wr w = wr_to(&chunk, &err);

	(void)state;
	wr_u8(&w, PAGE_VERSION);
	wr_var(&w, ARRAY_LEN(texts));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		wr_blob(&w, span_cstr(texts[i]));
	ok(wr_end(&w));
	for (uint32_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_true(span_equal(summary_chunk_get(buf_span(&chunk), i), span_cstr(texts[i])));
	assert_int_equal(summary_chunk_get(buf_span(&chunk), ARRAY_LEN(texts)).len, 0);
	assert_int_equal(summary_chunk_get(buf_span(&chunk), UINT32_MAX).len, 0);
	for (size_t len = 0; len < chunk.len; len++) {
		uint8_t *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, chunk.ptr, len);
		assert_int_equal(summary_chunk_get(span_of(copy, len), 3).len, 0);
		free(copy);
	}
	for (size_t bit = 0; bit < chunk.len * 8; bit++) {
		struct span got;

		chunk.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
		got = summary_chunk_get(buf_span(&chunk), 2);
		assert_true(got.len == 0 || (got.ptr >= chunk.ptr && got.ptr + got.len <= chunk.ptr + chunk.len));
		chunk.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_release(&chunk);
}

/* Trees that lie: a page of one under the counts of another, a node where a page belongs, trees that differ in length.
 */
static void trees_that_do_not_fit_together_are_refused(void **state)
{
	struct page_roots small, large, mixed;
	struct page_list list = PAGE_LIST_EMPTY;
	struct world w;

	(void)state;
	random_start("trees_that_do_not_fit_together_are_refused");
	world_start(&w);
	items_make(&w, 300, 2, false);
	small = build(&w, 0);
	items_make(&w, 9000, 2, false);
	large = build(&w, 0);
	mixed = (struct page_roots){ large.spine, small.state };
	assert_int_equal(page_list_load(&w.io, &mixed, &list, &err), ERR_CORRUPT);
	mixed = (struct page_roots){ small.spine, large.state };
	assert_int_equal(page_list_load(&w.io, &mixed, &list, &err), ERR_CORRUPT);
	mixed = (struct page_roots){ small.state, small.spine };
	assert_int_equal(page_list_load(&w.io, &mixed, &list, &err), ERR_CORRUPT);
	mixed = (struct page_roots){ large.spine, { { 0 } } };
	assert_int_equal(page_list_load(&w.io, &mixed, &list, &err), ERR_NOT_FOUND);
	assert_int_equal(list.count, 0); /* untouched */
	world_end(&w);
}

static void a_damaged_chunk_anywhere_is_told(void **state)
{
	struct page_list list = PAGE_LIST_EMPTY;
	struct page page = PAGE_EMPTY;
	struct page_roots roots;
	struct world w;
	size_t nodes;

	(void)state;
	random_start("a_damaged_chunk_anywhere_is_told");
	world_start(&w);
	items_make(&w, 9000, 2, false);
	roots = build(&w, 0);
	nodes = w.chunks.made[CLASS_NODE];
	for (size_t n = 1; n <= nodes; n++) {
		w.chunks.fail_get_at = n;
		assert_int_equal(page_list_load(&w.io, &roots, &list, &err), ERR_CORRUPT);
	}
	w.chunks.fail_get_at = 0;
	ok(page_list_load(&w.io, &roots, &list, &err));
	for (size_t n = 1; n <= 4; n++) {
		w.chunks.fail_get_at = n;
		assert_int_equal(page_load(&w.io, &list.entries[1], PAGE_ALL, &page, &err), ERR_CORRUPT);
	}
	w.chunks.fail_get_at = 0;
	ok(page_load(&w.io, &list.entries[1], PAGE_ALL, &page, &err));
	page_release(&page);
	page_list_release(&list);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_built_is_loaded),
		cmocka_unit_test(roots_in_the_middle_change_nothing),
		cmocka_unit_test(built_on_a_base_equals_built_anew),
		cmocka_unit_test(one_new_item_costs_a_page_and_a_path),
		cmocka_unit_test(other_states_alone_leave_the_spine),
		cmocka_unit_test(many_ids_go_through_lists),
		cmocka_unit_test(keys_that_do_not_fit_are_refused),
		cmocka_unit_test(wide_rows_end_a_page_early),
		cmocka_unit_test(every_decoder_refuses_every_cut_and_survives_every_flip),
		cmocka_unit_test(summaries_survive_every_cut_and_flip),
		cmocka_unit_test(trees_that_do_not_fit_together_are_refused),
		cmocka_unit_test(a_damaged_chunk_anywhere_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
