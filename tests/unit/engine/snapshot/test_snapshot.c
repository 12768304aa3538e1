/* What a snapshot says beside its pages: details, rows of the collection list, item chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/wr.h"
#include "engine/snapshot/snapshot.h"
#include "unit/engine/memory_chunks.h"

static struct err err;

static void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

static bool known_answer(enum err_code rc)
{
	return rc == ERR_OK || rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED;
}

typedef enum err_code (*decode_fn)(struct span bytes);

/* Every cut is refused, every flip survived; each in a copy of its own, so that a sanitizer sees one byte too far. */
static void cut_and_flip(decode_fn decode, struct span whole)
{
	ok(decode(whole));
	for (size_t len = 0; len < whole.len; len++) {
		uint8_t *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, whole.ptr, len);
		assert_int_equal(decode(span_of(copy, len)), ERR_CORRUPT);
		free(copy);
	}
	for (size_t bit = 0; bit < whole.len * 8; bit++) {
		uint8_t *copy = malloc(whole.len);

		assert_non_null(copy);
		memcpy(copy, whole.ptr, whole.len);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(known_answer(decode(span_of(copy, whole.len))));
		free(copy);
	}
}

/* ---- details ---- */

static enum err_code decode_details(struct span bytes)
{
	struct snapshot_details d;

	return details_decode(bytes, &d, &err);
}

static void details_come_back(void **state)
{
	struct snapshot_details d = { .account = SPAN_LIT("ann"),
		                      .host = SPAN_LIT("laptop"),
		                      .source = SPAN_LIT("/home/ann/Maildir"),
		                      .tags = SPAN_LIT("weekly,before-move"),
		                      .tool = SPAN_LIT("0.1"),
		                      .duration_ms = 1234,
		                      .collections = 56,
		                      .skipped = 7 },
	                        got;
	struct buf out = BUF_EMPTY;

	(void)state;
	ok(details_encode(&d, &out, &err));
	ok(details_decode(buf_span(&out), &got, &err));
	assert_true(span_equal(got.account, d.account) && span_equal(got.host, d.host));
	assert_true(span_equal(got.source, d.source) && span_equal(got.tags, d.tags) && span_equal(got.tool, d.tool));
	assert_int_equal(got.duration_ms, 1234);
	assert_int_equal(got.collections, 56);
	assert_int_equal(got.skipped, 7);
	for (size_t len = 0; len < out.len; len++) {
		/* Fields may end after any of them; what is cut inside one is refused. */
		uint8_t *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, out.ptr, len);
		assert_int_equal(decode_details(span_of(copy, len)) == ERR_OK, fields_check(span_of(copy, len)));
		free(copy);
	}
	for (size_t bit = 0; bit < out.len * 8; bit++) {
		out.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(known_answer(decode_details(buf_span(&out))));
		out.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_release(&out);
}

/* ---- rows ---- */

struct world {
	struct memory_chunks chunks;
	struct keys *keys;
	struct chunk_io io;
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
}

static enum err_code decode_facts(struct span bytes)
{
	struct attribute *attributes = NULL;
	struct collection c = { 0 };
	uint32_t *chunks = NULL;
	enum err_code rc = collection_facts_decode(bytes, 4, &c, &attributes, &chunks, &err);

	mem_free(attributes);
	mem_free(chunks);
	return rc;
}

static enum err_code decode_state(struct span bytes)
{
	struct collection_state s;

	return collection_state_decode(bytes, &s, &err);
}

static void rows_come_back(void **state)
{
	static uint8_t long_value[5000], edge[ATTRIBUTE_INLINE_MAX];
	const struct attribute attributes[] = { { SPAN_LIT("a:short"), SPAN_LIT("value") },
		                                { SPAN_LIT("b:empty"), SPAN_EMPTY },
		                                { SPAN_LIT("c:edge"), span_of(edge, sizeof edge) },
		                                { SPAN_LIT("d:long"), span_of(long_value, sizeof long_value) },
		                                { SPAN_LIT("e:longer"), span_of(long_value, 513) } };
	const struct collection c = { .path = SPAN_LIT("INBOX"),
		                      .kind = KIND_MAIL,
		                      .role = ROLE_INBOX,
		                      .attributes = attributes,
		                      .attribute_count = ARRAY_LEN(attributes) };
	const struct collection_state s = { .cursor = SPAN_LIT("cursor"), .items = 300, .bytes = 1 << 30 };
	struct buf facts = BUF_EMPTY, ids = BUF_EMPTY, dry_facts = BUF_EMPTY, dry_ids = BUF_EMPTY, encoded = BUF_EMPTY;
	struct collection_table table = COLLECTION_TABLE_EMPTY;
	struct page_builder *b = NULL;
	struct page_roots roots, own = { { { 1 } }, { { 2 } } };
	struct world w;
	uint64_t items;

	(void)state;
	world_start(&w);
	memset(long_value, 'x', sizeof long_value);
	memset(edge, 'y', sizeof edge);
	ok(buf_append(&ids, span_of(&own, sizeof own), &err));
	ok(collection_facts_encode(&w.io, w.keys, &c, &facts, &ids, &err));
	/* Without putting anything the very same bytes and ids come out: runs compare by them. */
	ok(buf_append(&dry_ids, span_of(&own, sizeof own), &err));
	ok(collection_facts_encode(NULL, w.keys, &c, &dry_facts, &dry_ids, &err));
	assert_true(span_equal(buf_span(&facts), buf_span(&dry_facts)) &&
	            span_equal(buf_span(&ids), buf_span(&dry_ids)));
	assert_int_equal(ids.len, 4 * sizeof(struct chunk_id));
	cut_and_flip(decode_facts, buf_span(&facts));
	ok(collection_state_encode(&s, &encoded, &err));
	cut_and_flip(decode_state, buf_span(&encoded));

	ok(page_builder_open(&w.io, &b, &err));
	ok(page_builder_add(b,
	                    &(struct page_row){ .key = c.path, .facts = buf_span(&facts), .state = buf_span(&encoded) },
	                    (const struct chunk_id *)(const void *)ids.ptr, 4, SPAN_EMPTY, &err));
	ok(page_builder_roots(b, &roots, &items, &err));
	ok(collection_table_load(&w.io, &roots, &table, &err));
	assert_int_equal(table.count, 1);
	assert_ptr_equal(collection_table_find(&table, SPAN_LIT("INBOX")), table.rows);
	assert_null(collection_table_find(&table, SPAN_LIT("INBO")));
	ok(collection_attributes_load(&w.io, &table, 0, &err));
	assert_int_equal(table.rows[0].shown.c.kind, KIND_MAIL);
	assert_int_equal(table.rows[0].shown.c.role, ROLE_INBOX);
	assert_int_equal(table.rows[0].shown.items, 300);
	assert_int_equal(table.rows[0].shown.bytes, 1 << 30);
	assert_true(span_equal(table.rows[0].state.cursor, s.cursor));
	assert_memory_equal(&table.rows[0].roots, &own, sizeof own);
	assert_int_equal(table.rows[0].shown.c.attribute_count, ARRAY_LEN(attributes));
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		assert_true(span_equal(table.rows[0].shown.c.attributes[i].name, attributes[i].name));
		assert_true(span_equal(table.rows[0].shown.c.attributes[i].value, attributes[i].value));
	}
	collection_table_release(&table);
	page_builder_free(&b);
	buf_release(&facts);
	buf_release(&ids);
	buf_release(&dry_facts);
	buf_release(&dry_ids);
	buf_release(&encoded);
	world_end(&w);
}

/* ---- item chunks ---- */

static enum err_code decode_item(struct span bytes)
{
	struct item_chunk c;

	return item_chunk_decode(bytes, &c, &err);
}

static void item_chunks_come_back(void **state)
{
	struct item_stream streams[ITEM_STREAMS_MAX];
	struct chunk_id ids[ITEM_STREAMS_MAX];
	struct item_chunk got;

	(void)state;
	random_start("item_chunks_come_back");
	for (size_t count = 1; count <= ITEM_STREAMS_MAX; count++) {
		struct buf out = BUF_EMPTY;

		for (size_t i = 0; i < count; i++) {
			memset(ids[i].bytes, (int)(i + 1), sizeof ids[i].bytes);
			streams[i] = (struct item_stream){ .name = i ? SPAN_LIT("native") : SPAN_EMPTY,
				                           .recipe = SPAN_LIT("some recipe"),
				                           .ids = ids,
				                           .id_count = (uint32_t)i };
		}
		ok(item_chunk_encode(streams, count, &out, &err));
		ok(item_chunk_decode(buf_span(&out), &got, &err));
		assert_int_equal(got.count, count);
		for (size_t i = 0; i < count; i++) {
			assert_true(span_equal(got.streams[i].name, streams[i].name));
			assert_true(span_equal(got.streams[i].recipe, streams[i].recipe));
			assert_int_equal(got.streams[i].id_count, i);
			if (i)
				assert_memory_equal(got.streams[i].ids, ids, i * sizeof ids[0]);
		}
		if (count < 4)
			cut_and_flip(decode_item, buf_span(&out));
		buf_release(&out);
	}
}

static void counts_that_lie_are_refused(void **state)
{
	struct buf out = BUF_EMPTY;
	struct wr w = wr_to(&out, &err);

	(void)state;
	wr_u8(&w, ITEM_CHUNK_VERSION);
	wr_u8(&w, 1);
	wr_blob(&w, SPAN_EMPTY);
	wr_var(&w, UINT64_MAX / sizeof(struct chunk_id) + 2); /* times 32 it wraps to 32 */
	wr_zeros(&w, 64);
	ok(wr_end(&w));
	assert_int_equal(decode_item(buf_span(&out)), ERR_CORRUPT);
	buf_clear(&out);
	wr_u8(&w, 1);
	wr_u8(&w, KIND_MAIL);
	wr_u8(&w, ROLE_NONE);
	wr_var(&w, COLLECTION_ATTRIBUTES_MAX + 1);
	ok(wr_end(&w));
	assert_int_equal(decode_facts(buf_span(&out)), ERR_CORRUPT);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(details_come_back),
		cmocka_unit_test(rows_come_back),
		cmocka_unit_test(item_chunks_come_back),
		cmocka_unit_test(counts_that_lie_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
