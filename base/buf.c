#include "buf.h"
#include "mem.h"
#include "num.h"

#include <stdarg.h>
#include <stdio.h>

enum err_code buf_reserve(struct buf *b, size_t more, struct err *e)
{
	size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
	size_t need, cap;
	uint8_t *grown;

	if (!num_add_size(b->len, more, &need) || need > max)
		return err_set(e, ERR_LIMIT, "more than %zu bytes", max);
	if (need <= b->cap)
		return ERR_OK;
	cap = b->cap < 64 ? 64 : b->cap + b->cap / 2;
	cap = num_min(num_max(cap, need), max);
	grown = mem_grow(b->ptr, cap);
	if (!grown)
		return err_no_memory(e, cap);
	b->ptr = grown;
	b->cap = cap;
	return ERR_OK;
}

enum err_code buf_extend(struct buf *b, size_t n, uint8_t **out, struct err *e)
{
	enum err_code rc = buf_reserve(b, n, e);

	if (rc)
		return rc;
	*out = b->len ? b->ptr + b->len : b->ptr; /* nothing may be added to the NULL of an empty one */
	b->len += n;
	return ERR_OK;
}

enum err_code buf_append(struct buf *b, struct span bytes, struct err *e)
{
	enum err_code rc = buf_reserve(b, bytes.len, e);

	if (rc)
		return rc;
	if (bytes.len)
		memcpy(b->ptr + b->len, bytes.ptr, bytes.len);
	b->len += bytes.len;
	return ERR_OK;
}

enum err_code buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
{
	va_list args;
	int n;
	enum err_code rc;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		return err_set(e, ERR_USAGE, "text cannot be formatted");
	rc = buf_reserve(b, (size_t)n + 1, e);
	if (rc)
		return rc;
	va_start(args, fmt);
	vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, args);
	va_end(args);
	b->len += (size_t)n;
	return ERR_OK;
}

void buf_release(struct buf *b)
{
	mem_free(b->ptr);
	b->ptr = NULL;
	b->len = b->cap = 0;
}

void buf_wipe(struct buf *b)
{
	if (b->ptr)
		explicit_bzero(b->ptr, b->cap);
	buf_release(b);
}
