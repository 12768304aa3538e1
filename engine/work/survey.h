/*
 * survey: goes over packs with all cores and tells what was found of each block, in order. Shared by check and repair.
 * Memory   at most SURVEY_RUNS_MAX runs of blocks at once, each with a verifier of its own (about 5 MiB).
 * Thread   one thread calls; the pool does the heavy part; callbacks come in the caller's thread.
 */
#ifndef MAILHOLD_ENGINE_WORK_SURVEY_H
#define MAILHOLD_ENGINE_WORK_SURVEY_H

#include "engine/repo/repo.h"

#define SURVEY_RUNS_MAX 8

/* How a pack was found, told when all of it was looked at. */
struct survey_pack {
	uint32_t ordinal;
	bool missing;    /* the store does not have it */
	bool unreadable; /* it has no directory that can be read: nothing in it can be had */
	bool damaged;    /* anything is wrong with it, also what costs nothing */
	bool data;       /* every byte was looked at */
	bool beyond_us; /* some problem is no damage: a newer version, no permission, a disk that reads nothing of it */
	uint64_t problems; /* told */
};

struct survey_block {
	uint32_t ordinal, block;
	const struct chunk_id *ids; /* of COUNT chunks; NULL: nobody knows */
	uint32_t count;
	bool whole, data;
	uint32_t sealed_bytes;
};

struct survey_ops {
	void *ctx;
	/* Asked when a pack is begun: is every byte of it wanted, or its tables only? */
	bool (*wants_data)(void *ctx, uint32_t ordinal);
	/* A problem of a pack, or of one of its blocks. OBJECT is "pack/ab/…" or "pack/ab/… block 12". */
	void (*problem)(void *ctx, const char *object, const struct err *what);
	enum err_code (*block)(void *ctx, const struct survey_block *b, struct err *e);
	enum err_code (*pack)(void *ctx, const struct survey_pack *p, struct err *e);
};

/*
 * Looks at the packs ORDINALS, in that order. One that is not live any more when it is looked for in vain (somebody
 * pruned: the ledger is read on for that) is passed over without a word. ERR_CANCELLED; damage is no error.
 */
MUST_CHECK enum err_code survey(struct repo *r, const uint32_t *ordinals, size_t count, const struct survey_ops *ops,
                                struct err *e);
/* Ordinals (uint32_t) of live packs from FIRST on, appended to OUT. */
MUST_CHECK enum err_code survey_live(const struct repo *r, uint32_t first, struct buf *out, struct err *e);

#endif
