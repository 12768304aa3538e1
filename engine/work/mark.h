/*
 * mark: which chunks of which packs the snapshots need, by reading tree nodes and refs only (docs/format/page.md):
 * never an item, a name or a flag. One bit per chunk in memory. Roots    snapshots that are live or in the trash. Only
 * the first committed place of a chunk is marked: further copies are spare. Growing  marks are only ever added. Brought
 * up to a newer head, they hold what any snapshot since the first head needed, which is more than is needed, never
 * less.
 * Thread   one thread at a time.
 */
#ifndef MAILHOLD_ENGINE_WORK_MARK_H
#define MAILHOLD_ENGINE_WORK_MARK_H

#include "engine/repo/repo.h"

/* One pack, by ledger ordinal. Bits are numbered by chunk, block after block. */
struct mark_pack {
	uint32_t block_count;
	uint32_t *starts; /* of each block, and behind the last: block_count + 1 */
	uint32_t *sealed; /* bytes of each block */
	uint32_t *raw;    /* of each block, decompressed */
	uint8_t *classes; /* of each block */
	uint8_t *live;    /* bits: needed */
	uint8_t *moved;   /* bits: copied elsewhere by the repacking; mark never looks at them */
	bool damaged;     /* cannot be read, and nothing that is needed was found in it */
};

struct mark {
	struct repo *repo;
	struct mark_pack *packs;
	uint32_t pack_count;
	uint64_t head;                     /* ledger record that the marks are good for */
	const struct snapshot_id *without; /* not roots, for a dry run; may be NULL */
	size_t without_count;
	uint64_t chunks_live;
	struct mark_seen *seen; /* ids that are marked or wait in LEAVES; a bounded memory, NULL between updates */
	uint32_t seen_mask;
	struct buf leaves; /* struct chunk_id: nothing hangs below; looked up many at once */
};

/* Nothing is marked yet. The index must be open. */
void mark_init(struct mark *m, struct repo *r);
/*
 * Folds what came to the ledger since, and marks from all roots. ERR_CORRUPT: something that a snapshot needs is not
 * there or damaged, so that nothing can be said about the rest.
 */
MUST_CHECK enum err_code mark_update(struct mark *m, struct err *e);
void mark_release(struct mark *m);

static inline bool mark_bit(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

static inline void mark_set(uint8_t *bits, uint32_t i)
{
	bits[i / 8] |= (uint8_t)(1 << i % 8);
}

/* Stored bytes of what is needed and of all, by the share of chunks in each block; manifests are no part of either. */
struct mark_sum {
	uint64_t live_bytes, bytes;
	uint32_t live_chunks, chunks;
};
struct mark_sum mark_sum(const struct mark *m, uint32_t ordinal);

#endif
