/*
 * parity_internal: an opened parity object, as parity_read.c makes it and parity_mend.c uses it.
 */
#ifndef MAILHOLD_ENGINE_PACK_PARITY_INTERNAL_H
#define MAILHOLD_ENGINE_PACK_PARITY_INTERNAL_H

#include "engine/pack/pack_format.h"
#include "engine/pack/parity_format.h"

#define PARITY_PIECE_BYTES (256 * KIB) /* read at once: a multiple of every cell's length */

/* Nothing of it changes after parity_open. */
struct parity {
	struct store *store;
	char pack[80], path[80];
	struct parity_head head;
	struct buf sums;
	bool copies_whole;
};

/* Room for one stripe, its rows' places in it, and which of them are lost. */
struct parity_stripe {
	uint8_t *bytes;
	uint8_t *rows[PARITY_ROWS_MAX];
	uint8_t lost[PARITY_ROWS_MAX]; /* data rows that were computed, rising */
	unsigned lost_count;
	struct err unread; /* why the first cell that could not be read was not; empty: all could be */
};
MUST_CHECK enum err_code parity_stripe_init(const struct parity *p, struct parity_stripe *s, struct err *e);
void parity_stripe_release(struct parity_stripe *s);
/* Reads stripe NUMBER and computes its lost data rows. ERR_CORRUPT: too many are; ERR_IO: and some could not be read. */
MUST_CHECK enum err_code parity_stripe_load(const struct parity *p, uint32_t number, struct parity_stripe *s,
                                            struct err *e);

/* True when CELL (of the pack, then of the parity) has its sum. */
bool parity_cell_good(const struct parity *p, uint32_t cell, const uint8_t *bytes);
/* Codes that mean: this part of an object is lost. Any other failure is not the object's. */
static inline bool parity_is_loss(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_IO || rc == ERR_NOT_FOUND;
}
/*
 * COUNT cells from FIRST on, all of the pack or all of the parity, to DST; what cannot be read is zeros, and so is what
 * lies behind the pack's end. One request, and one for each cell when that fails. Cells that could not be read are no
 * failure; E tells of the last one.
 */
MUST_CHECK enum err_code parity_cells_read(const struct parity *p, uint32_t first, uint32_t count, uint8_t *dst,
                                           struct err *e);

#endif
