#include "deflate.h"

#include <limits.h>
#include <zlib.h>

#include "base/mem.h"

#define COMPRESSED_BYTES (16 * KIB)
#define WINDOW_BITS      15
#define MEMORY_LEVEL     8

struct deflate {
	z_stream in, out;
	bool in_ready, out_ready;
	bool more;          /* inflate stopped because there was no more room, not because there was no more input */
	struct buf waiting; /* compressed bytes that IN points into */
	uint8_t packed[COMPRESSED_BYTES];
};

enum err_code deflate_open(struct span early, struct deflate **out, struct err *e)
{
	struct deflate *d = mem_zalloc(1, sizeof *d);
	enum err_code rc;

	if (!d)
		return err_no_memory(e, sizeof *d);
	rc = buf_reserve(&d->waiting, early.len > COMPRESSED_BYTES ? early.len : COMPRESSED_BYTES, e);
	if (!rc)
		rc = buf_append(&d->waiting, early, e);
	d->in_ready = !rc && inflateInit2(&d->in, -WINDOW_BITS) == Z_OK;
	d->out_ready = d->in_ready && deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS,
	                                           MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
	if (!rc && !d->out_ready)
		rc = err_no_memory(e, 256 * KIB);
	if (rc) {
		deflate_free(&d);
		return rc;
	}
	d->in.next_in = d->waiting.ptr;
	d->in.avail_in = (uInt)d->waiting.len;
	*out = d;
	return ERR_OK;
}

void deflate_free(struct deflate **d)
{
	if (!*d)
		return;
	if ((*d)->in_ready)
		(void)inflateEnd(&(*d)->in);
	if ((*d)->out_ready)
		(void)deflateEnd(&(*d)->out);
	buf_release(&(*d)->waiting);
	mem_free(*d);
	*d = NULL;
}

enum err_code deflate_read(struct deflate *d, deflate_source from, void *ctx, uint8_t *dst, size_t len, size_t *got,
                           struct err *e)
{
	enum err_code rc;

	for (*got = 0;;) {
		int result;

		if (!d->in.avail_in && !d->more) {
			rc = from(ctx, d->waiting.ptr, COMPRESSED_BYTES, &d->waiting.len, e);
			if (rc || !d->waiting.len)
				return rc;
			d->in.next_in = d->waiting.ptr;
			d->in.avail_in = (uInt)d->waiting.len;
		}
		d->in.next_out = dst;
		d->in.avail_out = len > UINT_MAX ? UINT_MAX : (uInt)len;
		result = inflate(&d->in, Z_SYNC_FLUSH);
		*got = (size_t)(d->in.next_out - dst);
		d->more = !d->in.avail_out;
		if (result == Z_STREAM_END && !*got)
			return ERR_OK;
		/* Z_BUF_ERROR: it wants more input. */
		if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END)
			return err_set(e, ERR_CORRUPT, "the server sent compressed bytes that cannot be expanded");
		if (*got)
			return ERR_OK;
	}
}

enum err_code deflate_write(struct deflate *d, deflate_target to, void *ctx, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		struct span part = span_first(bytes, 64 * KIB);

		/* zlib reads what it is given and does not change it, whatever the type says. */
		d->out.next_in = (Bytef *)(uintptr_t)part.ptr;
		d->out.avail_in = (uInt)part.len;
		do {
			d->out.next_out = d->packed;
			d->out.avail_out = COMPRESSED_BYTES;
			(void)deflate(&d->out, Z_SYNC_FLUSH);
			rc = to(ctx, span_of(d->packed, COMPRESSED_BYTES - d->out.avail_out), e);
		} while (!rc && !d->out.avail_out);
		bytes = span_skip(bytes, part.len);
	}
	return rc;
}
