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
