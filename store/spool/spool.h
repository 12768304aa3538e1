/*
 * spool: the draft of a store that is far away. It gathers in a local file without a name, so that a connection that
 * breaks costs the sending and not the making, and so that its size and digest are known before the first byte leaves.
 * Place    TMPDIR, else /var/tmp. Objects are sealed before they come here; what remains after a crash is nothing.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_STORE_SPOOL_SPOOL_H
#define MAILHOLD_STORE_SPOOL_SPOOL_H

#include "store/contract/contract.h"

struct spool;

MUST_CHECK enum err_code spool_open(struct spool **out, struct err *e);
MUST_CHECK enum err_code spool_write(struct spool *s, struct span bytes, struct err *e);
uint64_t spool_size(const struct spool *s);
/* Exactly LEN bytes at OFFSET; the last write must have been flushed by spool_end. */
MUST_CHECK enum err_code spool_read(const struct spool *s, uint64_t offset, size_t len, uint8_t *dst, struct err *e);
/* All bytes of a spool that was ended; good until it is freed. */
MUST_CHECK enum err_code spool_map(struct spool *s, struct span *out, struct err *e);
/* Nothing more is written. ERR_STATE when a write had failed. */
MUST_CHECK enum err_code spool_end(struct spool *s, struct err *e);
void spool_free(struct spool **s);

/* ---- a draft that is a spool: for the table of a kind; the kind itself commits and puts back ---- */

struct spool_draft {
	struct store_draft base;
	struct spool *spool;
};
/* That of D, ended. */
MUST_CHECK enum err_code spool_draft_end(struct store_draft *d, struct spool **out, struct err *e);
enum err_code spool_draft_open(struct store *s, struct store_draft **out, struct err *e);
enum err_code spool_draft_write(struct store_draft *d, struct span bytes, struct err *e);
uint64_t spool_draft_size(const struct store_draft *d);
enum err_code spool_draft_read(const struct store_draft *d, uint64_t offset, size_t len, uint8_t *dst, struct err *e);
void spool_draft_free(struct store_draft *d);

#endif
