#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include "crypto.h"
#include "keys_internal.h"
#include "base/num.h"

struct secret {
	size_t len;
	uint8_t bytes[];
};

void *locked_new(size_t bytes)
{
	size_t rounded;
	void *got;

	/* sodium_malloc puts the end of the memory at a guard page, so only whole 64 bytes give an aligned start. */
	if (!num_add_size(bytes, 63, &rounded))
		return NULL;
	rounded &= ~(size_t)63;
	got = sodium_malloc(rounded);
	if (got)
		memset(got, 0, rounded);
	return got;
}

void locked_free(void *ptr)
{
	sodium_free(ptr);
}

enum err_code secret_new(struct span bytes, struct secret **out, struct err *e)
{
	size_t size;
	struct secret *s;

	if (!num_add_size(sizeof *s, bytes.len, &size))
		return err_no_memory(e, bytes.len);
	s = locked_new(size);
	if (!s)
		return err_no_memory(e, size);
	s->len = bytes.len;
	if (bytes.len)
		memcpy(s->bytes, bytes.ptr, bytes.len);
	*out = s;
	return ERR_OK;
}

struct span secret_span(const struct secret *s)
{
	return span_of(s->bytes, s->len);
}

void secret_free(struct secret **s)
{
	locked_free(*s);
	*s = NULL;
}

enum err_code secret_seal(const struct secret *key, struct span ad, struct span plain, struct buf *out, struct err *e)
{
	size_t size;
	uint8_t *at;
	enum err_code rc;

	if (key->len != KEY_BYTES)
		return err_set(e, ERR_USAGE, "a key has %d bytes, this one %zu", KEY_BYTES, key->len);
	if (!num_add_size(plain.len, SECRET_SEAL_OVERHEAD, &size))
		return err_set(e, ERR_LIMIT, "%zu bytes cannot be sealed", plain.len);
	rc = buf_extend(out, size, &at, e);
	if (rc)
		return rc;
	crypto_random(at, NONCE_BYTES);
	aead_seal(key->bytes, at, ad, plain, at + NONCE_BYTES);
	return ERR_OK;
}

enum err_code secret_unseal(const struct secret *key, struct span ad, struct span sealed, struct buf *out,
                            struct err *e)
{
	size_t before = out->len;
	uint8_t *at;
	enum err_code rc;

	if (key->len != KEY_BYTES)
		return err_set(e, ERR_USAGE, "a key has %d bytes, this one %zu", KEY_BYTES, key->len);
	if (sealed.len < SECRET_SEAL_OVERHEAD)
		return err_set(e, ERR_CORRUPT, "sealed bytes are cut short (%zu)", sealed.len);
	rc = buf_extend(out, sealed.len - SECRET_SEAL_OVERHEAD + 1, &at, e);
	if (rc)
		return rc;
	out->len--;
	if (aead_open(key->bytes, sealed.ptr, ad, span_skip(sealed, NONCE_BYTES), at))
		return ERR_OK;
	out->len = before;
	return err_set(e, ERR_CORRUPT, "%zu sealed bytes are damaged, or were sealed with another key", sealed.len);
}
