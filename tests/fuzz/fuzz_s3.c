/*
 * fuzz_s3: what an S3 server may say in XML. The first byte is the size of the pieces in which a listing comes; however it is cut, it
 * names the same objects. The same bytes as an error keep inside of what holds one.
 */
#include <stdlib.h>

#include "store/s3/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t sum;
	unsigned count;
};

static enum err_code see(void *ctx, struct span key, uint64_t bytes, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	if (!key.len)
		abort();
	for (size_t i = 0; i < key.len; i++)
		s->sum = s->sum * 31 + key.ptr[i];
	s->sum = s->sum * 31 + bytes;
	s->count++;
	return ERR_OK;
}

static enum err_code read_in(size_t piece, struct span all, struct seen *seen, struct buf *next)
{
	struct answer_listing *l;
	struct err e;
	enum err_code rc = answer_open(see, seen, &l, &e);

	while (!rc && all.len) {
		struct span now = span_first(all, piece < all.len ? piece : all.len);

		rc = answer_feed(l, now, &e);
		all = span_skip(all, now.len);
	}
	if (!rc)
		rc = answer_finish(l, next, &e);
	answer_free(&l);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = size ? (size_t)data[0] + 1 : 1;
	struct span all = span_of(data + (size > 0), size - (size > 0));
	struct seen whole = { 0 }, pieces = { 0 };
	struct buf next = BUF_EMPTY, other = BUF_EMPTY;
	struct answer_error error;
	enum err_code rc = read_in(SIZE_MAX, all, &whole, &next), cut = read_in(piece, all, &pieces, &other);

	if (!rc != !cut)
		abort();
	if (!rc && (whole.sum != pieces.sum || whole.count != pieces.count || next.len != other.len))
		abort();
	answer_error_parse(all, &error);
	if (!memchr(error.code, 0, sizeof error.code) || !memchr(error.message, 0, sizeof error.message))
		abort();
	buf_release(&next);
	buf_release(&other);
	return 0;
}
