/*
 * parity: Reed–Solomon repair data of a pack, an object of its own beside it. It is made and used without any key.
 * Format   docs/format/parity.md, version 1. The pack is cut into cells, cells into interleaved stripes; in each stripe
 *          as many cells may be lost as it has parity cells, of pack and parity together.
 * Trust    whoever can write to the store can forge parity as easily as damage a pack. What it gives is a proposal: who
 *          has keys verifies it like any bytes from outside (pack_read_block, pack_heal with keys).
 * Order    a pack's parity is durable before a record names the pack, and goes before the pack (docs/order.md 3, 16).
 * Memory   making: the parity itself and 4 MiB; an open one: 8 bytes a cell; reading: a stripe, at most 1 MiB.
 * Thread   an open struct parity does not change: any number of threads may read through it.
 */
#ifndef MAILHOLD_ENGINE_PACK_PARITY_H
#define MAILHOLD_ENGINE_PACK_PARITY_H

#include "engine/format/record.h"
#include "store/store.h"

#define PARITY_PERCENT_MAX POLICY_PARITY_MAX
#define PARITY_HASH_BYTES  16

/* "parity/xx/<session 16 hex>-<32 hex>": the pack's name under another folder. */
struct pack_path parity_path(const struct pack_name *name);
bool parity_name_of_path(const char *path, struct pack_name *out);

/*
 * Makes the parity of a pack that lies in the store, for losses of PERCENT (1 to PARITY_PERCENT_MAX). PACK_HASH is
 * XXH3-128 of the whole pack as it should be, or NULL when the caller has checked it just now. *STORED is the length of
 * the parity object. REPLACE puts it in the place of one that is there already (store_draft_put_back, nothing kept);
 * without it that is ERR_EXISTS. ERR_CORRUPT: what was read back is not what PACK_HASH says.
 */
struct parity_order {
	struct repo_id repo;
	struct pack_name name;
	uint64_t pack_bytes;
	unsigned percent;
	const uint8_t *pack_hash;
	bool replace;
};
MUST_CHECK enum err_code parity_make(struct store *s, const struct parity_order *o, uint64_t *stored, struct err *e);

/* ---- reading ---- */

struct parity;
/*
 * Reads and checks the head and the sums, which stand twice. STORE must outlive it. ERR_NOT_FOUND: the pack has none.
 * ERR_CORRUPT: no copy is good, or it is another pack's.
 */
MUST_CHECK enum err_code parity_open(struct store *s, const struct pack_name *name, struct parity **out, struct err *e);
void parity_free(struct parity **p);

struct parity_info {
	struct repo_id repo;
	uint64_t pack_bytes;
	uint64_t parity_bytes;
	unsigned percent;
	bool copies_whole; /* both copies of head and sums are good and the object has its length */
};
struct parity_info parity_describe(const struct parity *p);

/*
 * LEN bytes of the pack at OFFSET to DST, each from a cell that has the sum that the parity gives: as it lies in the
 * pack, or computed from the rest of its stripe. *MENDED (may be NULL) counts cells that were computed. ERR_CORRUPT:
 * more is lost than the parity can give back.
 */
MUST_CHECK enum err_code parity_read(const struct parity *p, uint64_t offset, size_t len, uint8_t *dst,
                                     uint64_t *mended, struct err *e);

/* What every cell of pack and parity looks like, against the sums. Damage is a finding, not an error. */
struct parity_state {
	uint64_t cells, cells_bad;               /* of the pack */
	uint64_t parity_cells, parity_cells_bad; /* of the parity */
	uint64_t stripes, stripes_lost;          /* lost: more of them bad than can be computed */
	bool pack_length_wrong;
	bool copies_damaged; /* a copy of head or sums, or the parity's length */
	struct err unread;   /* why a cell could not be read, which makes it a bad one; empty: all could be */
	uint8_t *bad;        /* a bit per cell of the pack, then of the parity: parity_state_release */
};
MUST_CHECK enum err_code parity_inspect(const struct parity *p, struct parity_state *out, struct err *e);
void parity_state_release(struct parity_state *s);
static inline bool parity_state_pack_bad(const struct parity_state *s)
{
	return s->cells_bad || s->pack_length_wrong;
}
static inline bool parity_state_parity_bad(const struct parity_state *s)
{
	return s->parity_cells_bad || s->copies_damaged;
}

/*
 * Puts the pack's right bytes in the place of the damaged ones, whole at once; the damaged object stays under
 * KEPT (empty when nothing was there; STORE_NAME_MAX + 1 bytes). STATE is parity_inspect's. ERR_CORRUPT: they cannot be
 * computed, and nothing was written.
 */
MUST_CHECK enum err_code parity_put_back(const struct parity *p, const struct parity_state *state, char *kept,
                                         struct err *e);

/* "2.30.0" of ISA-L. */
const char *parity_library_version(void);

#endif
