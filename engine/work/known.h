/*
 * known: which chunks can be had, as the packs' own id lists say; no index is believed for that. 64 bits of each id (keyed
 * hashes: nobody can aim at a collision) in a table of at most 32 MiB; with more chunks than fit it gives up and the
 * local index answers instead.
 */
#ifndef MAILHOLD_ENGINE_WORK_KNOWN_H
#define MAILHOLD_ENGINE_WORK_KNOWN_H

#include "crypto/crypto.h"

#define KNOWN_SLOTS_MAX (4u << 20)

struct known {
	uint64_t *slots; /* 0: free */
	size_t slot_count, used;
	bool full; /* it gave up: known_has means nothing */
};
MUST_CHECK enum err_code known_add(struct known *k, const struct chunk_id *ids, size_t count, struct err *e);
bool known_has(const struct known *k, const struct chunk_id *id);
void known_release(struct known *k);

#endif
