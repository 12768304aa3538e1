/*
 * pack_format: the bytes of a pack that are not blocks: clear header, id lists, directory, footer. Encoders and
 * decoders work on plaintext; sealing is in pack_write.c and pack_find.c.
 * Format   docs/format/pack.md, version 1. All
 * numbers little-endian.
 * Thread   no state; call from anywhere.
 */
#ifndef MAILHOLD_ENGINE_PACK_PACK_FORMAT_H
#define MAILHOLD_ENGINE_PACK_PACK_FORMAT_H

#include "engine/pack/pack.h"

#define PACK_VERSION               1
#define PACK_HEADER_BYTES          64
#define PACK_FOOTER_BYTES          160
#define PACK_FOOTER_CLEAR_BYTES    32
#define PACK_GAP_MIN               (4 * KIB) /* zeros between the two directories: more than a bad sector */
#define PACK_SEAL_FIXED_BYTES      22
#define PACK_BLOCK_ENTRY_BYTES     64
#define PACK_DIRECTORY_FIXED_BYTES 8
#define PACK_DIRECTORY_BYTES_MAX                                                                                       \
	(PACK_DIRECTORY_FIXED_BYTES + PACK_SEALS_MAX * (size_t)(PACK_SEAL_FIXED_BYTES + SEAL_WRAPPED_MAX) +            \
	 PACK_BLOCKS_MAX * (size_t)PACK_BLOCK_ENTRY_BYTES)
/* The smallest pack: header, one block with its list, two directories, two footers. */
#define PACK_BYTES_MIN (PACK_HEADER_BYTES + PACK_GAP_MIN + 2 * PACK_FOOTER_BYTES)

/* ---- clear header: also the associated data of everything sealed under BOX_TABLE ---- */

struct pack_header {
	uint8_t bytes[PACK_HEADER_BYTES];
};
struct pack_header pack_header_encode(uint32_t epoch, struct repo_id repo, const struct pack_name *name);

enum pack_part { PACK_PART_LIST = 1, PACK_PART_DIRECTORY = 2, PACK_PART_FOOTER = 3 };

#define PACK_AD_BYTES (PACK_HEADER_BYTES + 5)
struct pack_ad {
	uint8_t bytes[PACK_AD_BYTES];
};
/* BLOCK is 0 but for lists. */
struct pack_ad pack_ad(const struct pack_header *h, enum pack_part part, uint32_t block);

/* What a ledger record keeps of a pack: BLAKE2b-128 of the header and one copy of the directory as stored. */
MUST_CHECK enum err_code pack_header_hash(const struct pack_header *h, struct span directory,
                                          uint8_t out[PACK_HEADER_HASH_BYTES], struct err *e);

/* ---- directory ---- */

struct pack_seal {
	struct seal_id id;
	enum scope scope;
	uint32_t epoch;
	struct span wrapped; /* borrowed */
};

struct pack_directory {
	struct pack_seal *seals;
	uint32_t seal_count;
	struct block_info *blocks;
	uint32_t block_count;
};

MUST_CHECK enum err_code pack_directory_encode(const struct pack_directory *d, struct buf *out, struct err *e);
/*
 * Decodes into memory of OUT (pack_directory_release); wrapped keys point into PLAIN. Blocks must lie one behind the
 * other from the end of the header, the lists behind them, and end at DIRECTORY_OFFSET: no byte of a pack is outside of
 * its directory's account.
 */
MUST_CHECK enum err_code pack_directory_decode(struct span plain, uint64_t directory_offset, struct pack_directory *out,
                                               struct err *e);
void pack_directory_release(struct pack_directory *d);

/* ---- footer ---- */

struct pack_footer {
	uint64_t pack_bytes;
	uint64_t first_offset; /* of the first directory */
	uint64_t second_offset;
	uint32_t directory_bytes; /* of each, as stored */
};

/* The clear part, which is associated data of the rest. Parity fields are zero in version 1. */
struct pack_footer_clear {
	uint8_t bytes[PACK_FOOTER_CLEAR_BYTES];
};
struct pack_footer_clear pack_footer_clear_encode(uint32_t epoch);
/* True when BYTES look like the clear part of a footer of our version. */
bool pack_footer_clear_decode(struct span bytes, uint32_t *epoch);
MUST_CHECK enum err_code pack_footer_encode(const struct pack_footer *f, struct buf *out, struct err *e);
/* PACK_BYTES: as the ledger says. Every place is checked against it. */
MUST_CHECK enum err_code pack_footer_decode(struct span plain, uint64_t pack_bytes, struct pack_footer *out,
                                            struct err *e);

#endif
