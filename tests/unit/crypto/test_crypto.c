/* What libsodium gives us is what the standards say, called the way we call it. */
#include <sodium.h>

#include "crypto_test.h"
#include "base/text.h"

#include <sys/prctl.h>
#include <sys/resource.h>

static void is_hex(const uint8_t *got, size_t len, const char *hex)
{
	char text[2 * 256 + 1];

	assert_true(len <= 256);
	text_hex(span_of(got, len), text);
	assert_string_equal(text, hex);
}

static void count_up(uint8_t *out, size_t len, unsigned first)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(first + i);
}

/* The reference implementation (argon2-cffi 20190702) gave the digests; RFC 9106's own vector needs four lanes. */
static void argon2id_agrees_with_the_reference(void **state)
{
	uint8_t salt[16], out[32];

	(void)state;
	count_up(salt, sizeof salt, 0);
	assert_int_equal(crypto_pwhash(out, 32, "correct horse", 13, salt, 3, 64 << 10, crypto_pwhash_ALG_ARGON2ID13),
	                 0);
	is_hex(out, 32, "a1dc6a57c61d5fb470584e24085ea3216fd369c61bcd5f845745f9cb0ed02fca");
	assert_int_equal(crypto_pwhash(out, 32, "password", 8, (const uint8_t *)"somesaltsomesalt", 2, 64 << 20,
	                               crypto_pwhash_ALG_ARGON2ID13),
	                 0);
	is_hex(out, 32, "fc33b78139231d34b71626bd6245c1d72efa190ad605c3d8166a72adcedfa2c2");
}

/* RFC 7693, appendix A, and a keyed digest of Python's hashlib. */
static void blake2b_agrees_with_rfc_7693(void **state)
{
	uint8_t key[32], out[64];

	(void)state;
	crypto_digest(SPAN_LIT("abc"), out, 64);
	is_hex(out, 64,
	       "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
	       "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
	count_up(key, sizeof key, 0);
	crypto_generichash(out, 32, (const uint8_t *)"abc", 3, key, 32);
	is_hex(out, 32, "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f");
}

/* BLAKE2b with the number as salt and the context as personalisation, computed by Python's hashlib. */
static void subkeys_agree_with_another_blake2b(void **state)
{
	uint8_t key[32], out[32];

	(void)state;
	count_up(key, sizeof key, 0);
	derive(out, key, 7, "mh_chunk");
	is_hex(out, 32, "25536c435ca72ed57144383c72addda226196be01586b88897e8c0010f91eb05");
}

/* draft-irtf-cfrg-xchacha, appendix A.3.1. */
static void xchacha20_poly1305_agrees_with_the_draft(void **state)
{
	static const struct span plain = SPAN_LIT("Ladies and Gentlemen of the class of '99: If I could offer you only "
	                                          "one tip for the future, sunscreen would be it.");
	static const uint8_t ad[12] = { 0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7 };
	uint8_t key[32], nonce[24], out[114 + 16], back[114];

	(void)state;
	count_up(key, sizeof key, 0x80);
	count_up(nonce, sizeof nonce, 0x40);
	aead_seal(key, nonce, span_of(ad, sizeof ad), plain, out);
	is_hex(out, sizeof out,
	       "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
	       "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
	       "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
	       "21f9664c97637da9768812f615c68b13b52e"
	       "c0875924c1c7987947deafd8780acf49");
	assert_true(aead_open(key, nonce, span_of(ad, sizeof ad), span_of(out, sizeof out), back));
	assert_memory_equal(back, plain.ptr, plain.len);
	assert_false(aead_open(key, nonce, span_of(ad, sizeof ad - 1), span_of(out, sizeof out), back));
}

/* RFC 8032, section 7.1, tests 1 and 2. */
static void ed25519_agrees_with_rfc_8032(void **state)
{
	uint8_t seed[32], public_key[32], secret[64], signature[64];

	(void)state;
	assert_true(text_unhex(SPAN_LIT("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"), seed, 32));
	crypto_sign_seed_keypair(public_key, secret, seed);
	is_hex(public_key, 32, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
	crypto_sign_detached(signature, NULL, NULL, 0, secret);
	is_hex(signature, 64,
	       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	       "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
	assert_true(sign_verify(public_key, SPAN_EMPTY, signature));
	assert_true(text_unhex(SPAN_LIT("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"), seed, 32));
	crypto_sign_seed_keypair(public_key, secret, seed);
	crypto_sign_detached(signature, NULL, (const uint8_t *)"\x72", 1, secret);
	is_hex(signature, 64,
	       "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	       "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
	assert_true(sign_verify(public_key, SPAN_LIT("\x72"), signature));
	assert_false(sign_verify(public_key, SPAN_LIT("\x73"), signature));
}

static void starting_forbids_core_dumps(void **state)
{
	struct rlimit limit;

	(void)state;
	OK(crypto_start(&err));
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
	assert_int_equal(limit.rlim_cur, 0);
	assert_int_equal(limit.rlim_max, 0);
}

static void a_secret_keeps_its_bytes(void **state)
{
	struct secret *s;

	(void)state;
	for (size_t len = 0; len < 300; len++) {
		uint8_t bytes[300];

		memset(bytes, (int)len, sizeof bytes);
		OK(secret_new(span_of(bytes, len), &s, &err));
		assert_true(span_equal(secret_span(s), span_of(bytes, len)));
		secret_free(&s);
		assert_null(s);
		secret_free(&s);
	}
	OK(secret_new(SPAN_EMPTY, &s, &err));
	assert_int_equal(secret_span(s).len, 0);
	secret_free(&s);
}

static void equality_looks_at_every_byte(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	(void)state;
	assert_true(crypto_equal(a, b, sizeof a));
	for (size_t i = 0; i < sizeof a; i++) {
		b[i] = 1;
		assert_false(crypto_equal(a, b, sizeof a));
		b[i] = 0;
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(argon2id_agrees_with_the_reference),
		cmocka_unit_test(blake2b_agrees_with_rfc_7693),
		cmocka_unit_test(subkeys_agree_with_another_blake2b),
		cmocka_unit_test(xchacha20_poly1305_agrees_with_the_draft),
		cmocka_unit_test(ed25519_agrees_with_rfc_8032),
		cmocka_unit_test(starting_forbids_core_dumps),
		cmocka_unit_test(a_secret_keeps_its_bytes),
		cmocka_unit_test(equality_looks_at_every_byte),
	};

	return cmocka_run_group_tests(tests, start_crypto, NULL);
}
