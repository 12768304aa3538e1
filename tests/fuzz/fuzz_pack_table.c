/*
 * The first byte chooses the decoder: directory, footer, or the clear part of a footer. What decodes is encoded again
 * and must be the same bytes (but for those that are kept free).
 */
#include <assert.h>

#include "base/rd.h"
#include "engine/pack/pack_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void directory(struct span bytes)
{
	struct rd r = rd_of(bytes);
	uint64_t end = rd_u32(&r);
	struct pack_directory d;
	struct buf again = BUF_EMPTY;
	struct err e;

	if (pack_directory_decode(r.left, end, &d, &e))
		return;
	assert(!pack_directory_encode(&d, &again, &e));
	assert(span_equal(buf_span(&again), r.left));
	buf_release(&again);
	pack_directory_release(&d);
}

static void footer(struct span bytes)
{
	struct rd r = rd_of(bytes);
	uint64_t pack_bytes = rd_u32(&r);
	struct pack_footer f;
	struct buf again = BUF_EMPTY;
	struct err e;

	if (pack_footer_decode(r.left, pack_bytes, &f, &e))
		return;
	assert(f.first_offset + f.directory_bytes + PACK_FOOTER_BYTES + PACK_GAP_MIN <= f.second_offset);
	assert(f.second_offset + f.directory_bytes + PACK_FOOTER_BYTES == pack_bytes);
	assert(!pack_footer_encode(&f, &again, &e));
	assert(again.len == r.left.len && memcmp(again.ptr, r.left.ptr, 28) == 0);
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data + 1, size ? size - 1 : 0);
	uint32_t epoch;

	if (!size)
		return 0;
	if (data[0] % 3 == 0)
		directory(rest);
	else if (data[0] % 3 == 1)
		footer(rest);
	else
		pack_footer_clear_decode(rest, &epoch);
	return 0;
}
