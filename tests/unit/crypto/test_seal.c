#include "crypto_test.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static struct seal_id golden_seal_id(void)
{
	struct seal_id id;

	for (size_t i = 0; i < sizeof id.bytes; i++)
		id.bytes[i] = (uint8_t)(0xe0 + i);
	return id;
}

static void golden_wraps_and_blocks_open(void **state)
{
	struct span wraps[] = { GOLDEN(wrapped_struct), GOLDEN(wrapped_sync) };
	enum scope scopes[] = { SCOPE_STRUCT, SCOPE_SYNC };
	struct seal_id id = golden_seal_id();
	struct keys *k = golden_keys();
	struct seal_reader *r;
	uint8_t plain[17];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wraps); i++) {
		OK(seal_reader_open(k, scopes[i], 1, &id, wraps[i], &r, &err));
		OK(seal_reader_unseal(r, 258, SPAN_LIT("about it"), GOLDEN(block), plain, &err));
		assert_memory_equal(plain, "a block of chunks", 17);
		FAILS(ERR_CORRUPT, seal_reader_unseal(r, 259, SPAN_LIT("about it"), GOLDEN(block), plain, &err));
		FAILS(ERR_CORRUPT, seal_reader_unseal(r, 258, SPAN_LIT("about me"), GOLDEN(block), plain, &err));
		seal_reader_free(&r);
		assert_null(r);
		FAILS(ERR_CORRUPT, seal_reader_open(k, scopes[!i], 1, &id, wraps[i], &r, &err));
		FAILS(ERR_CORRUPT, seal_reader_open(k, SCOPE_CONTENT, 1, &id, wraps[i], &r, &err));
	}
	keys_free(&k);
}

static void golden_boxes_open(void **state)
{
	struct span boxes[] = { SPAN_EMPTY, GOLDEN(box_ledger), GOLDEN(box_table), GOLDEN(box_names),
		                GOLDEN(box_cache) };
	struct keys *k = golden_keys();
	struct buf out = BUF_EMPTY;

	(void)state;
	for (unsigned kind = BOX_LEDGER; kind < BOX_KIND_END; kind++)
		for (unsigned as = BOX_LEDGER; as < BOX_KIND_END; as++) {
			buf_clear(&out);
			if (as == kind) {
				OK(box_open(k, as, 1, SPAN_LIT("clear"), boxes[kind], &out, &err));
				assert_true(span_equal(buf_span(&out), SPAN_LIT("a record")));
			} else {
				FAILS(ERR_CORRUPT, box_open(k, as, 1, SPAN_LIT("clear"), boxes[kind], &out, &err));
				assert_int_equal(out.len, 0);
			}
		}
	keys_free(&k);
	buf_release(&out);
}

static void what_one_seal_writes_another_process_reads(void **state)
{
	struct keys *k = golden_keys(), *again = golden_keys();

	(void)state;
	for (unsigned scope = SCOPE_CONTENT; scope < SCOPE_END; scope++) {
		struct buf wrapped = BUF_EMPTY, sealed = BUF_EMPTY;
		struct seal_writer *w;
		struct seal_reader *r;
		struct seal_id id;
		uint8_t plain[11];

		OK(seal_writer_open(k, scope, &w, &wrapped, &err));
		assert_int_equal(wrapped.len, scope == SCOPE_CONTENT ? 120 : 72);
		id = seal_writer_id(w);
		assert_int_equal(seal_writer_next(w), 0);
		assert_int_equal(seal_writer_next(w), 1);
		OK(buf_append(&sealed, SPAN_LIT("kept"), &err));
		OK(seal_writer_seal(w, 1, SPAN_LIT("ad"), SPAN_LIT("hello world"), &sealed, &err));
		assert_int_equal(sealed.len, 4 + 11 + SEAL_OVERHEAD);
		OK(seal_reader_unseal(seal_writer_reader(w), 1, SPAN_LIT("ad"), span_skip(buf_span(&sealed), 4), plain,
		                      &err));
		assert_memory_equal(plain, "hello world", 11);
		seal_writer_free(&w);
		assert_null(w);
		OK(seal_reader_open(again, scope, 1, &id, buf_span(&wrapped), &r, &err));
		memset(plain, 0, sizeof plain);
		OK(seal_reader_unseal(r, 1, SPAN_LIT("ad"), span_skip(buf_span(&sealed), 4), plain, &err));
		assert_memory_equal(plain, "hello world", 11);
		seal_reader_free(&r);
		buf_release(&wrapped);
		buf_release(&sealed);
	}
	keys_free(&k);
	keys_free(&again);
}

static void no_changed_wrap_opens(void **state)
{
	struct keys *k = golden_keys(), *stranger;

	(void)state;
	OK(keys_new(&stranger, &err));
	for (unsigned scope = SCOPE_CONTENT; scope < SCOPE_END; scope++) {
		struct buf wrapped = BUF_EMPTY;
		struct seal_writer *w;
		struct seal_reader *r;
		struct seal_id id, other;

		OK(seal_writer_open(k, scope, &w, &wrapped, &err));
		other = id = seal_writer_id(w);
		for (size_t bit = 0; bit < 8 * wrapped.len; bit++) {
			wrapped.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
			FAILS(ERR_CORRUPT, seal_reader_open(k, scope, 1, &id, buf_span(&wrapped), &r, &err));
			wrapped.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t len = 0; len < wrapped.len; len++)
			FAILS(ERR_CORRUPT, seal_reader_open(k, scope, 1, &id, span_of(wrapped.ptr, len), &r, &err));
		other.bytes[0] ^= 1;
		FAILS(ERR_CORRUPT, seal_reader_open(k, scope, 1, &other, buf_span(&wrapped), &r, &err));
		FAILS(ERR_WRONG_KEY, seal_reader_open(k, scope, 2, &id, buf_span(&wrapped), &r, &err));
		FAILS(ERR_CORRUPT, seal_reader_open(stranger, scope, 1, &id, buf_span(&wrapped), &r, &err));
		OK(seal_reader_open(k, scope, 1, &id, buf_span(&wrapped), &r, &err));
		seal_reader_free(&r);
		seal_writer_free(&w);
		buf_release(&wrapped);
	}
	keys_free(&k);
	keys_free(&stranger);
}

static uint64_t seed_of_run(void)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	uint64_t seed = 0;

	if (given)
		return strtoull(given, NULL, 0);
	crypto_random(&seed, sizeof seed);
	return seed;
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static void blocks_come_back_and_changed_ones_do_not(void **state)
{
	uint64_t seed = seed_of_run();
	struct keys *k = golden_keys();
	struct buf wrapped = BUF_EMPTY;
	struct seal_writer *w;

	(void)state;
	print_message("seed %llu (MAILHOLD_TEST_SEED repeats it)\n", (unsigned long long)seed);
	OK(seal_writer_open(k, SCOPE_CONTENT, &w, &wrapped, &err));
	for (int round = 0; round < 300; round++) {
		size_t len = next_random(&seed) % (round % 10 ? 300 : 70000), at;
		uint64_t counter = seal_writer_next(w);
		struct buf plain = BUF_EMPTY, sealed = BUF_EMPTY;
		uint8_t ad[32], *fill, *back = malloc(len + 1);

		assert_non_null(back);
		OK(buf_extend(&plain, len + 1, &fill, &err));
		plain.len = len;
		for (size_t i = 0; i < len; i++)
			fill[i] = (uint8_t)next_random(&seed);
		memset(ad, round, sizeof ad);
		OK(seal_writer_seal(w, counter, span_of(ad, sizeof ad), buf_span(&plain), &sealed, &err));
		OK(seal_reader_unseal(seal_writer_reader(w), counter, span_of(ad, sizeof ad), buf_span(&sealed), back,
		                      &err));
		if (len)
			assert_memory_equal(back, fill, len);
		at = next_random(&seed) % sealed.len;
		sealed.ptr[at] ^= (uint8_t)(1 << next_random(&seed) % 8);
		FAILS(ERR_CORRUPT, seal_reader_unseal(seal_writer_reader(w), counter, span_of(ad, sizeof ad),
		                                      buf_span(&sealed), back, &err));
		FAILS(ERR_CORRUPT, seal_reader_unseal(seal_writer_reader(w), counter, span_of(ad, sizeof ad),
		                                      span_of(sealed.ptr, at), back, &err));
		buf_release(&plain);
		buf_release(&sealed);
		free(back);
	}
	seal_writer_free(&w);
	keys_free(&k);
	buf_release(&wrapped);
}

static void boxes_come_back_and_changed_ones_do_not(void **state)
{
	struct buf sealed = BUF_EMPTY, twice = BUF_EMPTY, out = BUF_EMPTY;
	struct keys *k = golden_keys();

	(void)state;
	OK(box_seal(k, BOX_LEDGER, 1, SPAN_LIT("head"), SPAN_LIT("body"), &sealed, &err));
	OK(box_seal(k, BOX_LEDGER, 1, SPAN_LIT("head"), SPAN_LIT("body"), &twice, &err));
	assert_int_equal(sealed.len, 4 + BOX_OVERHEAD);
	assert_memory_not_equal(sealed.ptr, twice.ptr, BOX_NONCE_BYTES);
	OK(buf_append(&out, SPAN_LIT("kept"), &err));
	for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
		sealed.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
		FAILS(ERR_CORRUPT, box_open(k, BOX_LEDGER, 1, SPAN_LIT("head"), buf_span(&sealed), &out, &err));
		sealed.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < sealed.len; len++)
		FAILS(ERR_CORRUPT, box_open(k, BOX_LEDGER, 1, SPAN_LIT("head"), span_of(sealed.ptr, len), &out, &err));
	FAILS(ERR_CORRUPT, box_open(k, BOX_LEDGER, 1, SPAN_LIT("heaD"), buf_span(&sealed), &out, &err));
	FAILS(ERR_WRONG_KEY, box_open(k, BOX_LEDGER, 7, SPAN_LIT("head"), buf_span(&sealed), &out, &err));
	FAILS(ERR_WRONG_KEY, box_seal(k, BOX_LEDGER, 7, SPAN_EMPTY, SPAN_EMPTY, &out, &err));
	assert_int_equal(out.len, 4);
	OK(box_open(k, BOX_LEDGER, 1, SPAN_LIT("head"), buf_span(&sealed), &out, &err));
	assert_true(span_equal(buf_span(&out), SPAN_LIT("keptbody")));
	buf_clear(&sealed);
	OK(box_seal(k, BOX_CACHE, 1, SPAN_EMPTY, SPAN_EMPTY, &sealed, &err));
	OK(box_open(k, BOX_CACHE, 1, SPAN_EMPTY, buf_span(&sealed), &out, &err));
	assert_int_equal(out.len, 8);
	buf_release(&out);
	OK(box_open(k, BOX_CACHE, 1, SPAN_EMPTY, buf_span(&sealed), &out, &err));
	sealed.ptr[30] ^= 1;
	FAILS(ERR_CORRUPT, box_open(k, BOX_CACHE, 1, SPAN_EMPTY, buf_span(&sealed), &out, &err));
	assert_int_equal(out.len, 0);
	keys_free(&k);
	buf_release(&sealed);
	buf_release(&twice);
	buf_release(&out);
}

/* What other roles will hold: the same keys with fields taken away. */
static struct keys *keys_of_role(enum role role, unsigned flags, uint32_t present)
{
	struct keys *full = golden_keys(), *k;

	OK(keys_alloc((struct keys_shape){ .epochs = 1 }, &k, &err));
	memcpy(k->holder_key, full->holder_key, KEY_BYTES);
	memcpy(k->root_public, full->root_public, KEY_BYTES);
	if (flags & HAS_ID_KEY)
		memcpy(k->id_key, full->id_key, KEY_BYTES);
	k->holder = full->holder;
	k->role = role;
	k->flags = flags;
	k->epochs[0].number = 1;
	k->epochs[0].present = present;
	for (unsigned f = 0; f < EPOCH_FIELD_END; f++)
		if (present >> f & 1)
			memcpy(k->epochs[0].field[f], full->epochs[0].field[f], KEY_BYTES);
	keys_settle(k);
	keys_free(&full);
	return k;
}

static void a_role_is_what_its_bundle_holds(void **state)
{
	struct keys *full = golden_keys();
	struct keys *deposit = keys_of_role(ROLE_DEPOSIT, HAS_ID_KEY, 0x0f);
	struct keys *keeper = keys_of_role(ROLE_KEEPER, 0, 0x01);
	struct holder_secret *h = golden_holder();
	struct buf wrapped = BUF_EMPTY, box = BUF_EMPTY;
	struct seal_writer *w;
	struct seal_reader *r;
	struct keys *back;
	struct seal_id id;

	(void)state;
	/* A depositor writes content that it cannot read, and full can. */
	OK(seal_writer_open(deposit, SCOPE_CONTENT, &w, &wrapped, &err));
	id = seal_writer_id(w);
	FAILS(ERR_WRONG_KEY, seal_reader_open(deposit, SCOPE_CONTENT, 1, &id, buf_span(&wrapped), &r, &err));
	OK(seal_reader_open(full, SCOPE_CONTENT, 1, &id, buf_span(&wrapped), &r, &err));
	seal_reader_free(&r);
	seal_writer_free(&w);
	/* A keeper has structure and nothing else. */
	FAILS(ERR_WRONG_KEY, seal_writer_open(keeper, SCOPE_CONTENT, &w, &wrapped, &err));
	FAILS(ERR_WRONG_KEY, seal_writer_open(keeper, SCOPE_SYNC, &w, &wrapped, &err));
	FAILS(ERR_WRONG_KEY, seal_reader_open(keeper, SCOPE_SYNC, 1, &id, buf_span(&wrapped), &r, &err));
	FAILS(ERR_WRONG_KEY, seal_reader_open(keeper, SCOPE_CONTENT, 1, &id, buf_span(&wrapped), &r, &err));
	FAILS(ERR_WRONG_KEY, box_seal(keeper, BOX_NAMES, 1, SPAN_EMPTY, SPAN_EMPTY, &box, &err));
	OK(box_seal(keeper, BOX_LEDGER, 1, SPAN_EMPTY, SPAN_EMPTY, &box, &err));
	/* Their bundles are sealed and read like full's. */
	buf_clear(&box);
	OK(bundle_seal(deposit, &box, &err));
	OK(bundle_open(buf_span(&box), h, &back, &err));
	assert_int_equal(keys_role(back), ROLE_DEPOSIT);
	keys_free(&back);
	buf_clear(&box);
	OK(bundle_seal(keeper, &box, &err));
	OK(bundle_open(buf_span(&box), h, &back, &err));
	assert_int_equal(keys_role(back), ROLE_KEEPER);
	keys_free(&back);
	keys_free(&full);
	keys_free(&deposit);
	keys_free(&keeper);
	holder_secret_free(&h);
	buf_release(&wrapped);
	buf_release(&box);
}

static void sealing_without_memory_leaves_out_alone(void **state)
{
	struct keys *k = golden_keys();
	struct buf wrapped = BUF_EMPTY, out = BUF_EMPTY, tight = BUF_WITH_MAX(20);
	struct seal_writer *w = NULL;

	(void)state;
	mem_fail_nth(1);
	FAILS(ERR_NO_MEMORY, seal_writer_open(k, SCOPE_STRUCT, &w, &wrapped, &err));
	assert_null(w);
	mem_fail_nth(0);
	OK(seal_writer_open(k, SCOPE_STRUCT, &w, &wrapped, &err));
	mem_fail_nth(1);
	FAILS(ERR_NO_MEMORY, seal_writer_seal(w, seal_writer_next(w), SPAN_EMPTY, SPAN_LIT("x"), &out, &err));
	mem_fail_nth(1);
	FAILS(ERR_NO_MEMORY, box_seal(k, BOX_TABLE, 1, SPAN_EMPTY, SPAN_LIT("x"), &out, &err));
	mem_fail_nth(0);
	FAILS(ERR_LIMIT, seal_writer_seal(w, seal_writer_next(w), SPAN_EMPTY, SPAN_LIT("too long"), &tight, &err));
	assert_int_equal(out.len + tight.len, 0);
	seal_writer_free(&w);
	keys_free(&k);
	buf_release(&wrapped);
	buf_release(&out);
	buf_release(&tight);
}

/* Naming and sealing run for every chunk: with room in the buffer they allocate nothing. */
static void the_hot_paths_allocate_nothing(void **state)
{
	struct keys *k = golden_keys();
	struct buf wrapped = BUF_EMPTY, out = BUF_EMPTY;
	struct seal_writer *w;
	struct chunk_id id;
	uint8_t plain[64];

	(void)state;
	OK(seal_writer_open(k, SCOPE_CONTENT, &w, &wrapped, &err));
	OK(buf_reserve(&out, 4096, &err));
	mem_fail_nth(UINT64_MAX);
	for (int i = 0; i < 20; i++) {
		uint64_t counter = seal_writer_next(w);

		keys_chunk_id(k, SCOPE_CONTENT, span_of(plain, sizeof plain), &id);
		(void)keys_cut(k, 1, span_of(plain, sizeof plain));
		buf_clear(&out);
		OK(seal_writer_seal(w, counter, SPAN_EMPTY, SPAN_LIT("x"), &out, &err));
		OK(seal_reader_unseal(seal_writer_reader(w), counter, SPAN_EMPTY, buf_span(&out), plain, &err));
	}
	assert_int_equal(mem_alloc_count(), 0);
	mem_fail_nth(0);
	seal_writer_free(&w);
	keys_free(&k);
	buf_release(&wrapped);
	buf_release(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_wraps_and_blocks_open),
		cmocka_unit_test(golden_boxes_open),
		cmocka_unit_test(what_one_seal_writes_another_process_reads),
		cmocka_unit_test(no_changed_wrap_opens),
		cmocka_unit_test(blocks_come_back_and_changed_ones_do_not),
		cmocka_unit_test(boxes_come_back_and_changed_ones_do_not),
		cmocka_unit_test(a_role_is_what_its_bundle_holds),
		cmocka_unit_test(sealing_without_memory_leaves_out_alone),
		cmocka_unit_test(the_hot_paths_allocate_nothing),
	};

	return cmocka_run_group_tests(tests, start_crypto, NULL);
}
