/*
 * fuzz_mbox: whatever the bytes, the messages of a file lie one behind the other and fill it.
 */
#include <stdlib.h>

#include "connector/files/mbox_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code read_span(void *ctx, uint64_t offset, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	struct span left = span_skip(*(struct span *)ctx, (size_t)offset);

	(void)e;
	*got = left.len < len ? left.len : len;
	if (*got)
		memcpy(dst, left.ptr, *got);
	return ERR_OK;
}

static enum err_code add(void *ctx, const struct mbox_message *m, struct err *e)
{
	uint64_t *at = ctx;

	(void)e;
	if (m->offset != *at || m->tail_bytes > 2 || m->from_bytes > MBOX_FROM_BYTES_MAX)
		abort();
	*at += m->from_bytes + m->body_bytes + m->tail_bytes;
	return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span file = span_of(data, size);
	struct err e = { 0 };
	uint64_t at = 0;
	enum err_code rc = mbox_split(read_span, &file, add, &at, &e);

	if (rc == ERR_OK ? at != size : rc != ERR_UNSUPPORTED && rc != ERR_NO_MEMORY)
		abort();
	if (rc == ERR_UNSUPPORTED && (size == 0 || span_starts(file, SPAN_LIT("From "))))
		abort();
	return 0;
}
