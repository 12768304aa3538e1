/*
 * chunker: takes an item's bytes apart into pieces worth naming, and joins them again byte for byte.
 * Structure first: header block | text | each long base64 run, kept decoded only when encoding again gives the
 * very same bytes; then content-defined cuts inside large parts.
 * Format   docs/format/item.md (recipe), splitter version 1, cutter version 1. Versions are format: a change that
 *          moves a cut is a new version, and the old one stays in the code.
 * Cost     linear in the input, never looking at a byte more than twice; memory bounded by the constants below,
 *          whatever the item's size.
 * Thread   one thread at a time per object. The tables are shared and do not change.
 */
#ifndef MAILHOLD_CHUNKER_CHUNKER_H
#define MAILHOLD_CHUNKER_CHUNKER_H

#include "base/buf.h"

#define SPLITTER_VERSION 1
#define CUTTER_VERSION   1

#define CHUNKER_OPS_MAX            65536
#define CHUNKER_CHUNK_BYTES_MAX    (512 * KIB) /* no chunk is larger */
#define CHUNKER_CUT_PART_BYTES_MIN (256 * KIB) /* parts of at least this are cut by content */
#define CHUNKER_BASE64_DECODED_MIN KIB         /* shorter base64 runs stay text */
#define CHUNKER_RECIPE_BYTES_MAX   (8 * MIB)   /* encoded recipe with its inline literals */
#define CHUNKER_ITEM_BYTES_MAX     ((uint64_t)16 << 30)

/* What a chunk holds; the engine keeps the kinds in blocks of their own. */
enum chunk_kind { CHUNK_TEXT = 1, CHUNK_BINARY = 2 };

/* Gear numbers from the repository's keys, and the masks made from them. Make one per repository. */
struct chunker_params {
	uint64_t gear[256];
};

/*
 * Where the pieces go. Each call gives one whole part chunk, in the order in which the recipe consumes them; BYTES are
 * borrowed for the call. A failure ends the run with that error.
 */
typedef enum err_code (*chunker_emit)(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e);

struct chunker;
MUST_CHECK enum err_code chunker_open(const struct chunker_params *params, struct chunker **out, struct err *e);
/* Begins an item stream. The chunker keeps its buffers from item to item. */
void chunker_begin(struct chunker *c, chunker_emit emit, void *ctx);
/* Feeds the next bytes, cut anywhere: the result depends on the bytes alone, not on how they were fed. */
MUST_CHECK enum err_code chunker_feed(struct chunker *c, struct span bytes, struct err *e);
/* Ends the stream and appends the encoded recipe (operations, inline literals, total length) to RECIPE. */
MUST_CHECK enum err_code chunker_finish(struct chunker *c, struct buf *recipe, struct err *e);
void chunker_free(struct chunker **c);

/* ---- the way back ---- */

struct recipe_info {
	uint64_t total_bytes; /* length of the item stream */
	uint32_t chunk_count; /* part chunks that it consumes, in order */
};
/* Checks every operation and sum without any chunk. ERR_CORRUPT or ERR_UNSUPPORTED. */
MUST_CHECK enum err_code recipe_check(struct span recipe, struct recipe_info *out, struct err *e);

/* Gives the plaintext of part chunk number I (0-based) of the recipe, borrowed until the next call. */
typedef enum err_code (*recipe_chunk)(void *ctx, uint32_t i, struct span *bytes, struct err *e);
/* Takes the item's bytes in order, in pieces; borrowed for the call. */
typedef enum err_code (*recipe_write)(void *ctx, struct span bytes, struct err *e);
/* Joins. Never writes more than total_bytes; ERR_CORRUPT when the chunks do not add up to exactly that. */
MUST_CHECK enum err_code recipe_join(struct span recipe, recipe_chunk chunk, recipe_write write, void *ctx,
                                     struct err *e);

#endif
