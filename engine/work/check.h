/*
 * check: for the room: what check and repair share: packs first (which chunks can be had), then everything that snapshots
 * need. One damaged thing is told and the rest goes on.
 * Memory   64 bits for each chunk up to 32 MiB (known.h), 40 bytes for each distinct page, what is affected.
 */
#ifndef MAILHOLD_ENGINE_WORK_CHECK_H
#define MAILHOLD_ENGINE_WORK_CHECK_H

#include "base/idmap.h"
#include "engine/snapshot/snapshot.h"
#include "engine/work/known.h"
#include "engine/work/survey.h"
#include "engine/work/verified.h"

struct check {
	struct repo *repo;
	const struct check_options *options;
	check_visit visit;
	void *ctx;
	struct check_report *report;
	struct known known;    /* chunks that can be had */
	struct idmap damaged;  /* chunk ids in blocks that are damaged; asked only when KNOWN gave up */
	struct idmap *missing; /* collects needed ids that cannot be had, once each; may be NULL */
	struct buf *accounts;  /* collects struct account_id of snapshots that lack something; may be NULL */
	struct buf *bad_packs; /* collects struct survey_pack of damaged ones; may be NULL */
	uint32_t packs_seen;   /* live packs below this ordinal were looked at */
	const char *object;    /* what is looked at */

	/* data: which packs, and since when */
	struct verified verified;
	struct buf vouched;    /* ordinals of packs that were read whole and are good */
	uint64_t data_left;    /* bytes that may still be chosen */
	int64_t data_until_ms; /* monotonic; INT64_MAX: no bound */
	int64_t saved_ms;      /* monotonic: when VERIFIED was last written down */

	/* snapshots */
	struct snapshot_id snapshot;    /* the one that is walked */
	struct idmap pages_seen;        /* page → 0, or 1 + its place in PAGES */
	struct idmap trees_seen;        /* roots of which nothing is wrong → items below */
	struct buf pages, items, names; /* of affected items: see check_pages.c */
	struct buf ids, have;           /* scratch: of one page */
	struct err ours;                /* ERR_NO_MEMORY: says nothing about the repository, and ends the check */
	uint64_t trouble;               /* counts what was found wrong, to see whether anything was */
};

void check_init(struct check *c, struct repo *r, const struct check_options *o, check_visit visit, void *ctx,
                struct check_report *report);
void check_release(struct check *c);
void check_problem(struct check *c, const char *object, const struct err *what);
/* RC, or what failed on our side meanwhile. */
enum err_code check_end(const struct check *c, enum err_code rc, struct err *e);
/* All live packs that were not looked at yet; the ledger is not read for it. */
MUST_CHECK enum err_code check_packs(struct check *c, struct err *e);
/* Every snapshot that is live or in the trash; then tells the affected items. Index and packs must have been looked at. */
MUST_CHECK enum err_code check_snapshots(struct check *c, struct err *e);
/* As a keeper sees it: trees and references only. */
MUST_CHECK enum err_code check_spine(struct check *c, const struct snapshot_fact *fact, struct err *e);

/*
 * HAVE[i] tells whether chunk IDS[i] can be had. When one cannot, somebody may have moved it while we looked: the ledger
 * is read on and new packs are looked at before that is believed.
 */
MUST_CHECK enum err_code check_have(struct check *c, const struct chunk_id *ids, size_t count, bool *have,
                                    struct err *e);
/* Adds to *MISSING how many cannot be had. */
MUST_CHECK enum err_code check_count_missing(struct check *c, const struct chunk_id *ids, size_t count,
                                             uint64_t *missing, struct err *e);

#endif
