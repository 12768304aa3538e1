/*
 * prune: what one prune works with. Shared by prune.c (the flow, records that condemn, deletes), prune_plan.c (what is
 * worth to be rewritten) and prune_repack.c (the copies).
 */
#ifndef MAILHOLD_ENGINE_WORK_PRUNE_H
#define MAILHOLD_ENGINE_WORK_PRUNE_H

#include "engine/work/mark.h"
#include "engine/work/writer.h"

#define PRUNE_ROUNDS_MAX 200 /* a decision that others were faster than is made again so often */
#define PRUNES_AGAIN     3   /* a prune whose session was fenced begins again so often */

/* A pack to be rewritten, and how many stored bytes that gives back. */
struct prune_victim {
	uint32_t ordinal;
	uint64_t gain;
};

struct prune {
	struct repo *repo;
	const struct prune_options *options;
	struct prune_report *report;
	struct mark mark;
	int64_t now_ms, started_ms; /* civil; monotonic */
	uint32_t count;             /* packs that the plan knows */
	bool *dead;                 /* by ordinal: nothing in it is needed */
	bool *victim;               /* by ordinal: to be repacked */
	struct prune_victim *order; /* in the order to take them */
	uint32_t victim_count;
	struct pool *pool;
	struct writer *writer;
	struct buf gone; /* dry run: struct snapshot_id of what would end */
	bool fenced;     /* somebody ended our session: what was copied since the last record was in vain */
};

static inline const struct pack_fact *prune_fact(const struct prune *p, uint32_t ordinal)
{
	return ledger_pack(p->repo->ledger, ordinal);
}

/* Whether --max-duration is over. */
bool prune_is_late(const struct prune *p);

/* What a repack makes of a block. */
enum block_fate {
	BLOCK_GONE,    /* nothing in it is needed */
	BLOCK_CARRIED, /* moved as it lies there, sealed */
	BLOCK_OPENED   /* what is needed in it goes into new blocks */
};
/* Of block B of pack ORDINAL, by what is marked so far. Manifests are always opened. */
enum block_fate prune_fate(const struct prune *p, uint32_t ordinal, uint32_t b);

/* Fills DEAD, VICTIM, ORDER and the report's figures. Nothing is changed. */
MUST_CHECK enum err_code prune_plan(struct prune *p, struct err *e);
/* Rewrites the victims, group by group, each with one record (docs/order.md, rule 14). */
MUST_CHECK enum err_code prune_repack(struct prune *p, struct err *e);

#endif
