/*
 * pack_internal: an opened pack, as pack_find.c makes it and pack_read.c and pack_check.c use it.
 */
#ifndef MAILHOLD_ENGINE_PACK_PACK_INTERNAL_H
#define MAILHOLD_ENGINE_PACK_PACK_INTERNAL_H

#include <pthread.h>

#include "engine/pack/pack_format.h"

/* A seal of the pack, unwrapped when the first of its blocks is read. */
struct pack_opened_seal {
	struct seal_reader *reader;
	bool tried;
	struct err failed; /* why READER is NULL once tried */
};

/* Invariants: all but OPENED is fixed after pack_open; OPENED is touched under LOCK only. */
struct pack {
	struct store *store;
	const struct keys *keys;
	struct pack_added what;
	char path[80];
	struct pack_header header; /* as it must be, not as it was read */
	struct pack_footer footer;
	uint32_t epoch;
	struct buf plain; /* the directory; seals' wrapped keys point into it */
	struct pack_directory directory;
	pthread_mutex_t lock;
	struct pack_opened_seal *opened; /* one per seal */
};

/* Finds the footer and fills header, footer and epoch. *DAMAGED is set when it was not the one at the end. */
MUST_CHECK enum err_code pack_find_footer(struct pack *p, struct buf *tail, bool *damaged, struct err *e);
/* Reads, checks and decodes a directory, the second unless it is damaged. */
MUST_CHECK enum err_code pack_find_directory(struct pack *p, struct span tail, bool *damaged, struct err *e);
/* Opens 160 bytes that may be a footer of P. */
MUST_CHECK enum err_code pack_footer_open(const struct pack *p, struct span stored, uint32_t *epoch,
                                          struct pack_footer *out, struct err *e);
/* The reader of one seal, unwrapped by whoever needs it first. */
MUST_CHECK enum err_code pack_seal_reader(struct pack *p, uint16_t seal, const struct seal_reader **out, struct err *e);
/* Opens a sealed id list of BLOCK; appends the ids. */
MUST_CHECK enum err_code pack_list_open(const struct pack *p, uint32_t block, struct span sealed, struct buf *out,
                                        struct err *e);
/* Appends LEN bytes at OFFSET to OUT. */
MUST_CHECK enum err_code pack_read_range(const struct pack *p, uint64_t offset, size_t len, struct buf *out,
                                         struct err *e);

#endif
