/*
 * reader: gives chunks by id: index, pack, block, chunk, checked against the id. Decoded blocks are kept in a bounded
 * cache that all threads share; a block wanted by several at once is read once, and what a block in the cache holds is
 * found there, without the index.
 * Thread   any number of threads; each
 * brings its own block_codec.
 */
#ifndef MAILHOLD_ENGINE_REPO_READER_H
#define MAILHOLD_ENGINE_REPO_READER_H

#include "engine/index/index.h"

struct reader;
struct reader_block;

/* A chunk's plaintext, valid until reader_drop. */
struct held_chunk {
	struct span bytes;
	struct reader_block *block;
};
#define HELD_CHUNK_NONE ((struct held_chunk){ { NULL, 0 }, NULL })

/* INDEX must outlive it. CACHE_BYTES bounds decoded blocks that nobody holds at the moment. */
MUST_CHECK enum err_code reader_open(struct store *store, const struct keys *k, struct index *index, size_t cache_bytes,
                                     struct reader **out, struct err *e);
void reader_free(struct reader **r);
/*
 * Rule H: readers hold nothing, so somebody else's prune may take a pack away under our feet, its chunks copied
 * elsewhere. FOLLOW (from any thread, several at once; no lock of the reader is held) brings the index up to the newest
 * fold and tells in *ROUND how often it has done so, whoever asked. When that is more than it was before the chunk was
 * looked up, the chunk is looked up once more. A failure of it is added to what the reader tells.
 */
typedef enum err_code (*reader_follow)(void *ctx, uint64_t *round, struct err *e);
void reader_set_follow(struct reader *r, reader_follow follow, void *ctx);
/*
 * What is in the cache is given whatever became of its pack meanwhile: its bytes are what the id says.
 * ERR_NOT_FOUND: no live pack has it, or the pack that should is missing; told only after following the ledger.
 * ERR_CORRUPT: every place that has it is damaged.
 */
MUST_CHECK enum err_code reader_get(struct reader *r, struct block_codec *codec, enum block_class class,
                                    const struct chunk_id *id, struct held_chunk *out, struct err *e);
void reader_drop(struct reader *r, struct held_chunk *held); /* HELD_CHUNK_NONE is fine */
/* The next pack that was damaged and read with the help of its parity, each told once; false: no more so far. */
bool reader_next_mended(struct reader *r, struct pack_name *out);

#endif
