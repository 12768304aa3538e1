/*
 * cut: where a large part is cut, from its bytes alone (docs/format/item.md, cutter version 1). Gear hash over the
 * last 64 bytes with a keyed table; a strict mask up to CUT_NORMAL, a loose one behind it, so that most chunks are
 * about as long; never under CUT_MIN (but for the last) nor over CHUNKER_CHUNK_BYTES_MAX.
 */
#ifndef MAILHOLD_CHUNKER_CUT_H
#define MAILHOLD_CHUNKER_CUT_H

#include "chunker.h"

#define CUT_MIN    (32 * KIB)
#define CUT_NORMAL (96 * KIB)

/* Length of the first chunk of P[0..N). N is at least CHUNKER_CHUNK_BYTES_MAX, or all that is left of the part. */
size_t cut_length(const uint64_t gear[256], const uint8_t *p, size_t n);

#endif
