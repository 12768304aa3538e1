/*
 * parity_format: the bytes and the arithmetic of a parity object, and the code over GF(2^8).
 * Format   docs/format/parity.md, version 1. All numbers little-endian.
 * Thread   no state; call from anywhere.
 */
#ifndef MAILHOLD_ENGINE_PACK_PARITY_FORMAT_H
#define MAILHOLD_ENGINE_PACK_PARITY_FORMAT_H

#include "engine/pack/parity.h"

#define PARITY_VERSION      1
#define PARITY_HEAD_BYTES   128
#define PARITY_SUM_BYTES    8
#define PARITY_CELL_MIN     512
#define PARITY_CELL_MAX     4096
#define PARITY_ROWS_MAX     255 /* k + m */
#define PARITY_PERCENT_NONE 0

/*
 * How a pack is cut. Cell c stands at offset c × cell_bytes of the pack and is cell c ÷ stripes (its row) of stripe
 * c mod stripes. Rows k and on are parity; cells behind the pack's end count as zeros and are stored nowhere.
 * Invariants: 1. cells = ceil(pack_bytes ÷ cell_bytes). 2. k = ceil(cells ÷ stripes). 3. 1 ≤ m ≤ k, k + m ≤ 255.
 */
struct parity_shape {
	uint64_t pack_bytes;
	uint32_t cell_bytes;
	uint32_t cells;
	uint32_t stripes;
	unsigned k, m;
};
/* As writers cut: PACK_BYTES as a pack may have, PERCENT 1 to PARITY_PERCENT_MAX. */
struct parity_shape parity_shape_for(uint64_t pack_bytes, unsigned percent);
static inline uint32_t parity_cells_all(const struct parity_shape *s)
{
	return s->cells + s->m * s->stripes;
}
static inline size_t parity_sums_bytes(const struct parity_shape *s)
{
	return (size_t)parity_cells_all(s) * PARITY_SUM_BYTES;
}
/* Offset of parity cell I (row-major) in the object. */
static inline uint64_t parity_cell_at(const struct parity_shape *s, uint32_t i)
{
	return PARITY_HEAD_BYTES + parity_sums_bytes(s) + (uint64_t)i * s->cell_bytes;
}
/* Length of the whole object: head, sums, parity cells, sums, head. */
static inline uint64_t parity_object_bytes(const struct parity_shape *s)
{
	return parity_cell_at(s, s->m * s->stripes) + parity_sums_bytes(s) + PARITY_HEAD_BYTES;
}

struct parity_head {
	struct repo_id repo;
	struct pack_name name;
	struct parity_shape shape;
	unsigned percent; /* as it was asked for; of no consequence */
	uint8_t pack_hash[PARITY_HASH_BYTES];
	uint8_t sums_hash[PARITY_HASH_BYTES];
};
MUST_CHECK enum err_code parity_head_encode(const struct parity_head *h, struct buf *out, struct err *e);
/* ERR_CORRUPT also when its own hash is wrong; ERR_UNSUPPORTED for another version, flags or code. */
MUST_CHECK enum err_code parity_head_decode(struct span bytes, struct parity_head *out, struct err *e);

/* XXH3-64 of a cell, zeros up to its length included. */
void parity_sum(struct span cell, uint8_t out[PARITY_SUM_BYTES]);

/* ---- the code: Cauchy, parity row i of data row j has the coefficient 1 ÷ ((k + i) XOR j) ---- */

struct parity_code; /* tables for encoding K rows to M */
MUST_CHECK enum err_code parity_code_open(unsigned k, unsigned m, struct parity_code **out, struct err *e);
void parity_code_free(struct parity_code **c);
/* OUT[i], i < m, from DATA[j], j < k, LEN bytes each. */
void parity_code_encode(const struct parity_code *c, size_t len, uint8_t **data, uint8_t **out);
/*
 * Computes the COUNT rows LOST (rising, below k) of DATA, where they must be zeros, from the others and from parity
 * rows ROWS; PARITY[i] is row ROWS[i] and is overwritten. SCRATCH has room for COUNT × LEN bytes.
 */
MUST_CHECK enum err_code parity_code_recover(unsigned k, size_t len, uint8_t **data, const uint8_t *lost,
                                             const uint8_t *rows, uint8_t **parity, unsigned count, uint8_t *scratch,
                                             struct err *e);

#endif
