/* crypto_test: what the tests of crypto share: checks, and the golden keys. */
#ifndef MAILHOLD_TESTS_CRYPTO_TEST_H
#define MAILHOLD_TESTS_CRYPTO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/crypto.h"
#include "crypto/keys_internal.h"
#include "golden.h"

static struct err err;

#define OK(call)                                                                                                       \
	do {                                                                                                           \
		enum err_code got_ = (call);                                                                           \
		if (got_)                                                                                              \
			fail_msg("%s: %s (%s)", #call, err.text, err_code_name(got_));                                 \
	} while (0)
#define FAILS(want, call) assert_string_equal(err_code_name(call), err_code_name(want))
#define GOLDEN(name)      span_of(golden_##name, sizeof golden_##name)

static inline int start_crypto(void **state)
{
	(void)state;
	OK(crypto_start(&err));
	return 0;
}

/* The key file of the golden slot: 32 bytes from 0x20 upwards. */
static inline struct secret *golden_key_file(void)
{
	uint8_t raw[SLOT_KEY_FILE_BYTES];
	struct secret *s;

	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(0x20 + i);
	OK(secret_new(span_of(raw, sizeof raw), &s, &err));
	return s;
}

static inline struct holder_secret *golden_holder(void)
{
	struct secret *s = golden_key_file();
	struct holder_secret *h;

	OK(slot_open(GOLDEN(slot_key_file), s, &h, &err));
	secret_free(&s);
	return h;
}

static inline struct keys *golden_keys(void)
{
	struct holder_secret *h = golden_holder();
	struct keys *k;

	OK(bundle_open(GOLDEN(bundle), h, &k, &err));
	holder_secret_free(&h);
	return k;
}

#endif
