/* Arbitrary bytes: split, join, compare; and once more fed in pieces that the first two bytes choose. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/num.h"
#include "chunker/chunker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHUNKS_MAX 70000

static size_t ends[CHUNKS_MAX];
static size_t chunk_count;

static void must(enum err_code rc, const struct err *e)
{
	if (rc) {
		fprintf(stderr, "%s\n", e->text);
		abort();
	}
}

static enum err_code keep(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e)
{
	struct buf *to = ctx;
	uint8_t mark = (uint8_t)kind;
	enum err_code rc;

	if (chunk_count == CHUNKS_MAX || bytes.len < 1 || bytes.len > CHUNKER_CHUNK_BYTES_MAX)
		abort();
	rc = buf_append(to, span_of(&mark, 1), e); /* so that kinds and places are compared, too */
	if (!rc)
		rc = buf_append(to, bytes, e);
	ends[chunk_count++] = to->len;
	return rc;
}

static enum err_code give(void *ctx, uint32_t i, struct span *bytes, struct err *e)
{
	struct buf *const *bufs = ctx;
	size_t from = i ? ends[i - 1] : 0;

	(void)e;
	if (i >= chunk_count)
		abort();
	*bytes = span_of(bufs[0]->ptr + from + 1, ends[i] - from - 1);
	return ERR_OK;
}

static enum err_code take(void *ctx, struct span bytes, struct err *e)
{
	struct buf *const *bufs = ctx;

	return buf_append(bufs[1], bytes, e);
}

static struct chunker *open_chunker(void)
{
	struct chunker_params params;
	struct chunker *c;
	struct err e;

	for (uint64_t i = 0; i < 256; i++)
		params.gear[i] = hash64(span_of(&i, sizeof i));
	must(chunker_open(&params, &c, &e), &e);
	return c;
}

static void split(struct chunker *c, struct span s, size_t piece, struct buf *chunks, struct buf *recipe)
{
	struct err e;

	chunk_count = 0;
	buf_clear(chunks);
	buf_clear(recipe);
	chunker_begin(c, keep, chunks);
	while (s.len) {
		struct span now = span_first(s, piece);

		must(chunker_feed(c, now, &e), &e);
		s = span_skip(s, now.len);
	}
	must(chunker_finish(c, recipe, &e), &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct chunker *c;
	static struct buf chunks, recipe, chunks_again, recipe_again, joined;
	struct span item = span_skip(span_of(data, size), 2);
	size_t piece = size < 2 ? 1 : 1 + (size_t)(data[0] | data[1] << 8);
	struct buf *bufs[2] = { &chunks, &joined };
	struct err e;

	if (!c)
		c = open_chunker();
	split(c, item, SIZE_MAX, &chunks, &recipe);
	buf_clear(&joined);
	must(recipe_join(buf_span(&recipe), give, take, bufs, &e), &e);
	if (!span_equal(buf_span(&joined), item))
		abort();
	split(c, item, piece, &chunks_again, &recipe_again);
	if (!span_equal(buf_span(&chunks), buf_span(&chunks_again)) ||
	    !span_equal(buf_span(&recipe), buf_span(&recipe_again)))
		abort();
	return 0;
}
