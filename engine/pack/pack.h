/*
 * pack: a stored object of many blocks.
 * Format   docs/format/pack.md, version 1: clear header 64 | blocks | one sealed id list per block | directory | footer
 * 160 | zeros to a Padmé size, at least 4 KiB | the directory again | the footer again.
 * Order    a pack is durable
 * before any ledger record names it (docs/order.md 1).
 */
#ifndef MAILHOLD_ENGINE_PACK_PACK_H
#define MAILHOLD_ENGINE_PACK_PACK_H

#include "engine/format/record.h"
#include "engine/object/block.h"
#include "store/store.h"

#define PACK_BYTES_TARGET (32 * MIB)
#define PACK_BYTES_MAX    ((uint64_t)256 << 20)
#define PACK_BLOCKS_MAX   65536
#define PACK_SEALS_MAX    1024

/* ---- writing: one thread at a time; hand a writer over, never share it ---- */

struct pack_writer;
/*
 * Starts a pack of SESSION with fresh seals for the scopes that K may write (a keeper: struct alone); written into an
 * unnamed draft of STORE.
 */
MUST_CHECK enum err_code pack_writer_open(struct store *store, const struct keys *k, uint64_t session,
                                          struct pack_writer **out, struct err *e);
/*
 * The seal for CLASS; counters are drawn from it with seal_writer_next, in the order of submission. NULL: K may not
 * write it.
 */
struct seal_writer *pack_writer_seal(struct pack_writer *w, enum block_class class);
/* Appends one sealed block (INFO from block_seal) with the ids of its chunks. Gives its number in the pack. */
MUST_CHECK enum err_code pack_writer_add(struct pack_writer *w, const struct block_info *info, struct span sealed,
                                         const struct chunk_id *ids, uint32_t *block, struct err *e);
/*
 * Appends block BLOCK of FROM as it lies there, under the seal that it has, whose wrapped key comes along: nothing is
 * opened and no key but K_struct needed. SEALED: the block's bytes; ERR_CORRUPT when they do not have the hash that
 * FROM's directory gives. IDS: of its chunks, as FROM's list says. ERR_LIMIT: the pack is full of bytes, blocks or
 * seals. After both the writer is as good as before. Gives the block's number here.
 */
struct pack;
MUST_CHECK enum err_code pack_writer_carry(struct pack_writer *w, const struct pack *from, uint32_t block,
                                           struct span sealed, const struct chunk_id *ids, uint32_t *number,
                                           struct err *e);
uint64_t pack_writer_bytes(const struct pack_writer *w); /* so far */
uint32_t pack_writer_blocks(const struct pack_writer *w);
/* Writes lists, directories and footer, makes the pack durable and tells its name. Consumes *W, also on failure. */
MUST_CHECK enum err_code pack_writer_finish(struct pack_writer **w, struct pack_added *out, struct err *e);
void pack_writer_free(struct pack_writer **w); /* nothing remains of an unfinished pack */

/* ---- reading: a pack does not change; any number of threads may read from one reader ---- */

/*
 * Reads and checks footer and directory, normally the copies at the end with one request, the other copies when those
 * are damaged (told in *USED_SECOND if not NULL). STORE and K must outlive the reader. The clear header is checked by
 * pack_check_bytes: what it says is known from WHAT, so a damaged one hurts nobody. ERR_CORRUPT also when the directory
 * is not the one of WHAT->header_hash. ERR_WRONG_KEY: our role lacks the pack's epoch.
 */
MUST_CHECK enum err_code pack_open(struct store *store, const struct keys *k, const struct pack_added *what,
                                   struct pack **out, bool *used_second, struct err *e);
void pack_free(struct pack **p);
uint32_t pack_block_count(const struct pack *p);
const struct block_info *pack_block(const struct pack *p, uint32_t block);
/* Reads one id list; when it is damaged and our role opens the block, recomputes it from the block. OUT gets struct
 * chunk_id each. */
MUST_CHECK enum err_code pack_ids(struct pack *p, uint32_t block, struct block_codec *c, struct buf *out,
                                  struct err *e);
/*
 * The id lists of all blocks in order, many with one request. IDS is borrowed for the call; it is NULL, and WHAT tells
 * why, when neither list nor block could be read. An error from VISIT ends the walk.
 */
typedef enum err_code (*pack_ids_visit)(void *ctx, uint32_t block, const struct chunk_id *ids, uint32_t count,
                                        const struct err *what, struct err *e);
MUST_CHECK enum err_code pack_each_ids(struct pack *p, struct block_codec *c, pack_ids_visit visit, void *ctx,
                                       struct err *e);
/* Reads and decodes one block. ERR_WRONG_KEY when our role does not open its scope. */
MUST_CHECK enum err_code pack_read_block(struct pack *p, uint32_t block, struct block_codec *c, struct block *out,
                                         struct err *e);
/* Appends the sealed bytes of COUNT blocks in a row, from BLOCK on, with one request. Nothing is compared. */
MUST_CHECK enum err_code pack_read_sealed(struct pack *p, uint32_t block, uint32_t count, struct buf *out,
                                          struct err *e);
/* As pack_read_block, from sealed bytes that were read before. */
MUST_CHECK enum err_code pack_open_sealed(struct pack *p, uint32_t block, struct span sealed, struct block_codec *c,
                                          struct block *out, struct err *e);
/* Compares every byte with the hashes of the directory, both directories with each other, and padding with zeros; opens
 * no content. */
typedef void (*pack_problem)(void *ctx, uint32_t block, const struct err *what); /* UINT32_MAX: not one block */
MUST_CHECK enum err_code pack_check_bytes(struct pack *p, pack_problem problem, void *ctx, struct err *e);

#endif
