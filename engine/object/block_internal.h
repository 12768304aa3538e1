/*
 * block_internal: what is inside of a block's seal: packing it, and the two decoders, for block.c, tests and benchmarks.
 */
#ifndef MAILHOLD_ENGINE_OBJECT_BLOCK_INTERNAL_H
#define MAILHOLD_ENGINE_OBJECT_BLOCK_INTERNAL_H

#include "engine/object/block.h"

/*
 * Lays out DRAFT, its chunk table of *TABLE_BYTES first, and compresses that as its class is compressed: what is to be
 * sealed is *PACKED, until C is used again. *SMALLER: it is a zstd frame; else it did not pay, and they are the bytes.
 */
MUST_CHECK enum err_code block_pack(struct block_codec *c, const struct block_draft *draft, size_t *table_bytes,
                                    struct span *packed, bool *smaller, struct err *e);
/*
 * Decompresses the one zstd frame that FRAME must be into exactly RAW_BYTES at DST. CONTEXT is a ZSTD_DCtx.
 * ERR_CORRUPT: no frame, another content size, a window above 8 MiB, bytes behind the frame. ERR_UNSUPPORTED: a
 * dictionary.
 */
MUST_CHECK enum err_code block_unpack(void *context, struct span frame, uint8_t *dst, size_t raw_bytes, struct err *e);
/* Reads the chunk table at the front of RAW: CHUNK_COUNT + 1 offsets into RAW. Lengths must fill RAW exactly. */
MUST_CHECK enum err_code block_table_decode(struct span raw, uint32_t chunk_count, uint32_t *starts, struct err *e);

#endif
