#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"
#include "lanes.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>

_Static_assert(KEY_BYTES == crypto_kdf_KEYBYTES, "kdf key");
_Static_assert(KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "aead key");
_Static_assert(NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "aead nonce");
_Static_assert(TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "aead tag");
_Static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "signature");
_Static_assert(SIGN_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "signing key");

static const struct lanes_kernel *_Atomic kernel = &lanes_plain;

/*
 * The widest kernel that gives what libsodium gives. A processor or a compiler that gets one of them wrong would give
 * chunks names that nobody else finds again.
 */
static enum err_code choose_kernel(struct err *e)
{
	const struct lanes_kernel *all[LANES_KERNELS_MAX];
	size_t count = lanes_kernels(all);

	for (size_t i = 0; i < count; i++) {
		if (!lanes_agrees(all[i]))
			continue;
		atomic_store_explicit(&kernel, all[i], memory_order_relaxed);
		return ERR_OK;
	}
	return err_set(e, ERR_STATE,
	               "this machine computes BLAKE2b in two ways with two results; nothing it does can be "
	               "trusted");
}

void hash_many(const uint8_t *key, const struct span *in, size_t count, uint8_t *out, size_t bytes)
{
	lanes_hash(atomic_load_explicit(&kernel, memory_order_relaxed), key, in, count, out, bytes);
}

const char *crypto_hash_kernel(void)
{
	return atomic_load_explicit(&kernel, memory_order_relaxed)->name;
}

enum err_code crypto_start(struct err *e)
{
	struct rlimit none = { 0, 0 };

	if (sodium_init() < 0)
		return err_set(e, ERR_STATE, "libsodium cannot be prepared");
	/* A core dump would put keys and mail on a disk that nobody thinks of. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_sys(e, errno, "cannot forbid core dumps");
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return err_sys(e, errno, "cannot set the size of core dumps to 0");
	return choose_kernel(e);
}

const char *crypto_library_version(void)
{
	return sodium_version_string();
}

void crypto_random(void *out, size_t len)
{
	randombytes_buf(out, len);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void crypto_digest(struct span bytes, uint8_t *out, size_t out_len)
{
	assert(out_len >= crypto_generichash_BYTES_MIN && out_len <= crypto_generichash_BYTES_MAX);
	hash_many(NULL, &bytes, 1, out, out_len);
}

bool sign_verify(const uint8_t public_key[32], struct span message, const uint8_t signature[SIGNATURE_BYTES])
{
	return crypto_sign_verify_detached(signature, message.ptr, message.len, public_key) == 0;
}

void derive(uint8_t out[KEY_BYTES], const uint8_t key[KEY_BYTES], uint64_t number, const char context[8])
{
	crypto_kdf_derive_from_key(out, KEY_BYTES, number, context, key);
}

void aead_seal(const uint8_t key[KEY_BYTES], const uint8_t nonce[NONCE_BYTES], struct span ad, struct span plain,
               uint8_t *dst)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(dst, NULL, plain.ptr, plain.len, ad.ptr, ad.len, NULL, nonce, key);
}

bool aead_open(const uint8_t key[KEY_BYTES], const uint8_t nonce[NONCE_BYTES], struct span ad, struct span sealed,
               uint8_t *dst)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(dst, NULL, NULL, sealed.ptr, sealed.len, ad.ptr, ad.len,
	                                                  nonce, key) == 0;
}
