/*
 * block_internal: the two decoders of a block's plaintext, apart from the seal, for block.c and its tests.
 */
#ifndef MAILHOLD_ENGINE_OBJECT_BLOCK_INTERNAL_H
#define MAILHOLD_ENGINE_OBJECT_BLOCK_INTERNAL_H

#include "base/buf.h"

/*
 * Decompresses the one zstd frame that FRAME must be into exactly RAW_BYTES at DST. CONTEXT is a ZSTD_DCtx.
 * ERR_CORRUPT: no frame, another content size, a window above 8 MiB, bytes behind the frame. ERR_UNSUPPORTED: a
 * dictionary.
 */
MUST_CHECK enum err_code block_unpack(void *context, struct span frame, uint8_t *dst, size_t raw_bytes, struct err *e);
/* Reads the chunk table at the front of RAW: CHUNK_COUNT + 1 offsets into RAW. Lengths must fill RAW exactly. */
MUST_CHECK enum err_code block_table_decode(struct span raw, uint32_t chunk_count, uint32_t *starts, struct err *e);

#endif
