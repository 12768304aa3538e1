#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "crypto/crypto.h"

static struct secret *key_of(uint8_t fill, size_t len)
{
	uint8_t bytes[64];
	struct secret *s = NULL;
	struct err e;

	memset(bytes, fill, sizeof bytes);
	assert_int_equal(secret_new(span_of(bytes, len), &s, &e), ERR_OK);
	return s;
}

static void what_was_sealed_opens_with_the_same_key_and_binding_only(void **state)
{
	struct secret *key = key_of(1, 32), *other = key_of(2, 32), *shorter = key_of(1, 31);
	struct buf sealed = BUF_EMPTY, again = BUF_EMPTY, plain = BUF_EMPTY;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(secret_seal(key, SPAN_LIT("ad"), SPAN_LIT("words"), &sealed, &e), ERR_OK);
	assert_int_equal(secret_seal(key, SPAN_LIT("ad"), SPAN_LIT("words"), &again, &e), ERR_OK);
	assert_int_equal(sealed.len, 5 + SECRET_SEAL_OVERHEAD);
	assert_memory_not_equal(sealed.ptr, again.ptr, sealed.len); /* never the same nonce */
	assert_int_equal(secret_unseal(key, SPAN_LIT("ad"), buf_span(&sealed), &plain, &e), ERR_OK);
	assert_true(span_equal(buf_span(&plain), SPAN_LIT("words")));
	assert_int_equal(secret_unseal(other, SPAN_LIT("ad"), buf_span(&sealed), &plain, &e), ERR_CORRUPT);
	assert_int_equal(secret_unseal(key, SPAN_LIT("AD"), buf_span(&sealed), &plain, &e), ERR_CORRUPT);
	assert_int_equal(plain.len, 5);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.ptr[i] ^= 1;
		assert_int_equal(secret_unseal(key, SPAN_LIT("ad"), buf_span(&sealed), &plain, &e), ERR_CORRUPT);
		sealed.ptr[i] ^= 1;
		assert_int_equal(secret_unseal(key, SPAN_LIT("ad"), span_first(buf_span(&sealed), i), &plain, &e),
		                 ERR_CORRUPT);
	}
	assert_int_equal(secret_seal(shorter, SPAN_LIT("ad"), SPAN_LIT("words"), &again, &e), ERR_USAGE);
	assert_int_equal(secret_unseal(shorter, SPAN_LIT("ad"), buf_span(&sealed), &plain, &e), ERR_USAGE);
	buf_release(&sealed);
	buf_release(&again);
	buf_wipe(&plain);
	secret_free(&key);
	secret_free(&other);
	secret_free(&shorter);
}

static void nothing_can_be_sealed_as_well(void **state)
{
	struct secret *key = key_of(1, 32);
	struct buf sealed = BUF_EMPTY, plain = BUF_EMPTY;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(secret_seal(key, SPAN_EMPTY, SPAN_EMPTY, &sealed, &e), ERR_OK);
	assert_int_equal(secret_unseal(key, SPAN_EMPTY, buf_span(&sealed), &plain, &e), ERR_OK);
	assert_int_equal(plain.len, 0);
	buf_release(&sealed);
	buf_release(&plain);
	secret_free(&key);
}

static int start(void **state)
{
	struct err e;

	(void)state;
	return crypto_start(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sealed_opens_with_the_same_key_and_binding_only),
		cmocka_unit_test(nothing_can_be_sealed_as_well),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
