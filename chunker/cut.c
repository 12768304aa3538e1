#include "cut.h"
#include "base/num.h"

/* The top bits: they have felt all of the last 64 bytes; lower bits only the newest few. */
#define MASK_STRICT (~(uint64_t)0 << (64 - 18))
#define MASK_LOOSE  (~(uint64_t)0 << (64 - 14))

size_t cut_length(const uint64_t gear[256], const uint8_t *p, size_t n)
{
	size_t end = num_min(n, CHUNKER_CHUNK_BYTES_MAX);
	size_t normal = num_min(end, CUT_NORMAL);
	size_t i = CUT_MIN - 64; /* the hash is warm when the first cut is allowed */
	uint64_t h = 0;

	if (n <= CUT_MIN)
		return n;
	for (; i < CUT_MIN; i++)
		h = (h << 1) + gear[p[i]];
	for (; i < normal; i++) {
		h = (h << 1) + gear[p[i]];
		if (!(h & MASK_STRICT))
			return i + 1;
	}
	for (; i < end; i++) {
		h = (h << 1) + gear[p[i]];
		if (!(h & MASK_LOOSE))
			return i + 1;
	}
	return end;
}
