/* Arbitrary recipes, joined with made-up chunks of lengths that fit as often as not. */
#include <stdlib.h>

#include "base/num.h"
#include "chunker/chunker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WRITTEN_MAX (8 * MIB)

struct joining {
	uint64_t written;
	uint64_t total;
	size_t chunk_bytes;
};

static enum err_code give(void *ctx, uint32_t i, struct span *bytes, struct err *e)
{
	static uint8_t zeros[CHUNKER_CHUNK_BYTES_MAX + 1];
	struct joining *j = ctx;

	(void)i;
	(void)e;
	*bytes = span_of(zeros, num_min(j->chunk_bytes, sizeof zeros));
	return ERR_OK;
}

static enum err_code take(void *ctx, struct span bytes, struct err *e)
{
	struct joining *j = ctx;

	j->written += bytes.len;
	if (j->written > j->total)
		abort();
	return j->written > WRITTEN_MAX ? err_set(e, ERR_LIMIT, "enough") : ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct joining j = { 0 };
	struct recipe_info info;
	struct span recipe;
	struct err e;

	if (size < 3)
		return 0;
	recipe = span_of(data + 3, size - 3);
	j.chunk_bytes = (size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;
	if (recipe_check(recipe, &info, &e)) {
		if (!recipe_join(recipe, give, take, &j, &e) || j.written)
			abort(); /* join must refuse what check refuses, before the first byte */
		return 0;
	}
	j.total = info.total_bytes;
	if (!recipe_join(recipe, give, take, &j, &e) && j.written != j.total)
		abort();
	return 0;
}
