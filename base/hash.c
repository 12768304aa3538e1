#include "hash.h"

#define XXH_STATIC_LINKING_ONLY /* the state by value */
#include <xxhash.h>

struct hash_stream {
	XXH3_state_t state;
};

static void put128(XXH128_hash_t h, uint8_t out[16])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, h);
	memcpy(out, canonical.digest, 16);
}

uint64_t hash64(struct span bytes)
{
	return XXH3_64bits(bytes.ptr, bytes.len);
}

void hash128(struct span bytes, uint8_t out[16])
{
	put128(XXH3_128bits(bytes.ptr, bytes.len), out);
}

struct hash_stream *hash_stream_open(void)
{
	struct hash_stream *h = (struct hash_stream *)XXH3_createState();

	if (h)
		XXH3_128bits_reset(&h->state);
	return h;
}

void hash_stream_add(struct hash_stream *h, struct span bytes)
{
	XXH3_128bits_update(&h->state, bytes.ptr, bytes.len);
}

void hash_stream_end(struct hash_stream *h, uint8_t out[16])
{
	put128(XXH3_128bits_digest(&h->state), out);
}

void hash_stream_free(struct hash_stream **h)
{
	if (*h)
		XXH3_freeState(&(*h)->state);
	*h = NULL;
}
