#include "crypto_test.h"

static void names_are_the_golden_ones(void **state)
{
	struct keys *k = golden_keys();
	struct chunk_id id;
	uint64_t gear[256];
	uint8_t anchor[16], longer[125], le[8];
	uint64_t cut;

	(void)state;
	keys_chunk_id(k, SCOPE_CONTENT, SPAN_LIT("abc"), &id);
	assert_memory_equal(id.bytes, golden_chunk_content, 32);
	keys_chunk_id(k, SCOPE_STRUCT, SPAN_LIT("abc"), &id);
	assert_memory_equal(id.bytes, golden_chunk_struct, 32);
	keys_chunk_id(k, SCOPE_SYNC, SPAN_LIT("abc"), &id);
	assert_memory_equal(id.bytes, golden_chunk_sync, 32);
	keys_anchor(k, SPAN_LIT("From: a\r\n\r\n"), anchor);
	assert_memory_equal(anchor, golden_anchor, 16);
	assert_memory_equal(keys_account(k, SPAN_LIT("ann@example.org")).bytes, golden_account, 16);
	cut = keys_cut(k, 3, SPAN_LIT("key"));
	for (unsigned i = 0; i < 8; i++)
		le[i] = (uint8_t)(cut >> (8 * i));
	assert_memory_equal(le, golden_cut_short, 8);
	memset(longer, 'k', sizeof longer);
	cut = keys_cut(k, 3, span_of(longer, sizeof longer));
	for (unsigned i = 0; i < 8; i++)
		le[i] = (uint8_t)(cut >> (8 * i));
	assert_memory_equal(le, golden_cut_long, 8);
	keys_gear_table(k, gear);
	for (unsigned n = 0; n < 256; n++)
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal((uint8_t)(gear[n] >> (8 * i)), golden_gear[8 * n + i]);
	keys_free(&k);
}

static void empty_bytes_have_names_too(void **state)
{
	struct keys *k = golden_keys();
	struct chunk_id a, b;
	uint8_t anchor[16];

	(void)state;
	keys_chunk_id(k, SCOPE_CONTENT, SPAN_EMPTY, &a);
	keys_chunk_id(k, SCOPE_CONTENT, span_of("", 0), &b);
	assert_memory_equal(a.bytes, b.bytes, 32);
	keys_anchor(k, SPAN_EMPTY, anchor);
	assert_true(keys_cut(k, 0, SPAN_EMPTY) != keys_cut(k, 1, SPAN_EMPTY));
	(void)keys_account(k, SPAN_EMPTY);
	keys_free(&k);
}

/* The short way (one buffer) and the long way (a running state) are one function. */
static void cuts_do_not_depend_on_how_they_are_computed(void **state)
{
	struct keys *k = golden_keys();
	uint8_t key[300];

	(void)state;
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)(i * 13);
	for (size_t len = 0; len <= sizeof key; len++) {
		uint8_t whole[304] = { 9, 0, 0, 0 }, hash[16];
		uint64_t want = 0;

		memcpy(whole + 4, key, len);
		/* keys_anchor is the same primitive under another key: borrow it for an independent sum. */
		memcpy(hash, k->cut_key, 16);
		{
			struct keys *other;

			OK(keys_alloc((struct keys_shape){ .epochs = 1 }, &other, &err));
			other->flags = HAS_ID_KEY;
			memcpy(other->anchor_key, k->cut_key, KEY_BYTES);
			keys_anchor(other, span_of(whole, len + 4), hash);
			keys_free(&other);
		}
		for (unsigned i = 8; i-- > 0;)
			want = want << 8 | hash[i];
		assert_true(keys_cut(k, 9, span_of(key, len)) == want);
	}
	keys_free(&k);
}

static void repositories_name_the_same_bytes_differently(void **state)
{
	struct keys *a, *b;
	struct chunk_id x, y;

	(void)state;
	OK(keys_new(&a, &err));
	OK(keys_new(&b, &err));
	keys_chunk_id(a, SCOPE_CONTENT, SPAN_LIT("same"), &x);
	keys_chunk_id(b, SCOPE_CONTENT, SPAN_LIT("same"), &y);
	assert_memory_not_equal(x.bytes, y.bytes, 32);
	assert_memory_not_equal(keys_repo(a).bytes, keys_repo(b).bytes, 16);
	assert_memory_not_equal(keys_holder(a).bytes, keys_holder(b).bytes, 16);
	keys_free(&a);
	keys_free(&b);
	assert_null(a);
	keys_free(&a);
}

static void signatures_are_ours_and_of_these_bytes(void **state)
{
	struct keys *k = golden_keys();
	uint8_t signature[SIGNATURE_BYTES];

	(void)state;
	keys_sign(k, SPAN_LIT("record"), signature);
	assert_true(sign_verify(keys_sign_public(k), SPAN_LIT("record"), signature));
	assert_false(sign_verify(keys_sign_public(k), SPAN_LIT("recorD"), signature));
	assert_false(sign_verify(keys_root_public(k), SPAN_LIT("record"), signature));
	for (size_t i = 0; i < 8 * sizeof signature; i++) {
		signature[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(sign_verify(keys_sign_public(k), SPAN_LIT("record"), signature));
		signature[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	keys_free(&k);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_the_golden_ones),
		cmocka_unit_test(empty_bytes_have_names_too),
		cmocka_unit_test(cuts_do_not_depend_on_how_they_are_computed),
		cmocka_unit_test(repositories_name_the_same_bytes_differently),
		cmocka_unit_test(signatures_are_ours_and_of_these_bytes),
	};

	return cmocka_run_group_tests(tests, start_crypto, NULL);
}
