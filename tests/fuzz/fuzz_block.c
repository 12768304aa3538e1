/*
 * The first byte chooses: a frame that claims to hold as many bytes as the next two say, or a block's plaintext with
 * its table. What a frame opens to goes into the table's decoder as well.
 */
#include <assert.h>
#include <stdlib.h>
#include <zstd.h>

#include "engine/object/block_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void table(struct span raw, uint32_t count)
{
	uint32_t *starts = malloc(((size_t)count + 1) * sizeof *starts);
	struct err e;

	assert(starts);
	if (!block_table_decode(raw, count, starts, &e)) {
		for (uint32_t i = 0; i < count; i++)
			assert(starts[i] <= starts[i + 1]);
		assert(starts[count] == raw.len);
	}
	free(starts);
}

static void frame(struct span bytes, size_t raw_bytes)
{
	static ZSTD_DCtx *context;
	uint8_t *raw = malloc(raw_bytes + 1); /* of the exact size, so that the sanitizer sees one byte too far */
	struct err e;

	if (!context)
		context = ZSTD_createDCtx();
	assert(raw && context);
	raw[raw_bytes] = 0x5a;
	if (!block_unpack(context, bytes, raw, raw_bytes, &e) && raw_bytes >= 4)
		table(span_of(raw, raw_bytes), raw[0]);
	assert(raw[raw_bytes] == 0x5a);
	free(raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	if (data[0] & 1)
		frame(span_of(data + 3, size - 3), (size_t)data[1] << 8 | data[2]);
	else
		table(span_of(data + 3, size - 3), (uint32_t)data[1] << 8 | data[2]);
	return 0;
}
