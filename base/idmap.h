/*
 * idmap: a table from 32-byte ids to 64-bit values. Ids must be uniform already (keyed hashes): their first
 * bytes are the hash. 40 bytes an entry, at most 3/4 full. Not thread-safe.
 */
#ifndef MAILHOLD_BASE_IDMAP_H
#define MAILHOLD_BASE_IDMAP_H

#include "err.h"

#define IDMAP_KEY_BYTES 32

struct idmap_slot {
	uint8_t key[IDMAP_KEY_BYTES];
	uint64_t value; /* the caller's value + 1; 0 marks a free slot */
};

struct idmap {
	struct idmap_slot *slots;
	size_t slot_count; /* 0 or a power of two */
	size_t used;
};

#define IDMAP_EMPTY ((struct idmap){ NULL, 0, 0 })

/* VALUE is at most UINT64_MAX - 1. An entry that is there is overwritten. */
MUST_CHECK enum err_code idmap_put(struct idmap *m, const uint8_t key[IDMAP_KEY_BYTES], uint64_t value, struct err *e);
bool idmap_get(const struct idmap *m, const uint8_t key[IDMAP_KEY_BYTES], uint64_t *value);
void idmap_clear(struct idmap *m); /* empties it, keeps the memory */
void idmap_release(struct idmap *m);

#endif
