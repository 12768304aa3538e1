/*
 * run: one snapshot run. Shared by snapshot_run.c (the flow, commits) and collect.c (one collection).
 */
#ifndef MAILHOLD_ENGINE_WORK_RUN_H
#define MAILHOLD_ENGINE_WORK_RUN_H

#include "engine/snapshot/snapshot.h"
#include "engine/work/last.h"
#include "engine/work/prepare.h"

#define RUN_RING 32 /* items in work */

/* What became of one collection of the source. */
struct collected {
	bool kept;   /* as the base has it; nothing below but cursor is set */
	bool failed; /* could not be read: the base's row stays, if there is one */
	bool gaps;   /* some items could not be read: no cursor is kept, so that the next run looks again */
	struct page_roots roots;
	uint64_t items, bytes;
	struct buf cursor; /* to save with the snapshot */
	struct chunk_id facts_id;
};

/*
 * A run whose source is a snapshot of another repository: what that one says of itself, in place of what a run finds
 * out. Nothing of the base stands in for what cannot be read: the copy lacks it.
 */
struct copied {
	struct snapshot_details details; /* of the origin, with ORIGIN; its spans are borrowed */
	struct snapshot_origin rest;     /* what BASE is a copy of; zeros: no base */
	int64_t time_ms;
	int16_t zone_minutes;
	uint32_t flags;                    /* enum snapshot_flag */
	const struct snapshot_entry *base; /* NULL: none. Borrowed */
	struct snapshot_id replaces;       /* a partial snapshot of this repository; zeros: none */
	/*
	 * BASE is a copy of this very snapshot, without some of it: what it has stays, also where it cannot be read now, and
	 * nothing is committed (the report's id is zeros) unless something came.
	 */
	bool completes;
	/* Collection C, which the base has with so many ITEMS and BYTES, is the same there; it need not be listed. */
	bool (*same)(const struct item_source *s, size_t c, uint64_t items, uint64_t bytes);
	/* Entry I of a listing has other bytes or facts than the base's item with its key. */
	bool (*changed)(const struct item_listing *l, size_t i);
	const uint64_t *lost; /* items that could not even be listed, so far; the source has told of them */
};

struct twins;

struct run {
	struct repo *repo;
	const struct copied *copied; /* NULL: a snapshot of a source */
	struct item_source *source;
	const struct snapshot_options *options;
	struct snapshot_report *report;

	const struct collection *collections;
	size_t collection_count;
	struct collected *collected;

	struct span account_name;
	struct account_id account;
	struct snapshot_id id;
	int64_t started_ms, started_monotonic_ms;
	bool has_base;
	struct snapshot_entry base; /* its spans are not used */
	int64_t base_time_ms;       /* when what the run builds on was begun */
	struct last last;           /* the base, remembered */
	bool has_last;
	struct collection_table table; /* the base, read; only when needed */
	bool has_table;
	uint64_t complete_items;     /* of the newest complete snapshot; 0: there is none */
	struct snapshot_id replaces; /* the newest partial snapshot, ours or an interrupted run's */
	struct page_roots base_roots;

	/* From the first collection on that differs. */
	struct pool *pool;
	size_t threads; /* of the pool, and ours */
	struct writer *writer;
	struct chunk_io io;
	struct prepare_shared shared;
	struct page_builder *pages, *list; /* of a collection; of the collection list */
	struct item_job *jobs;             /* RUN_RING of them, and one for what must be read at once */
	struct twins *twins;               /* NULL: the source tells nothing to find them by, or all is to be read */
	size_t expected;                   /* collection that the source was told of last; it knows no more */
	uint64_t skipped;
	bool unfinished;       /* the copy being committed is a part of it */
	uint64_t bytes_safe;   /* bytes read that the last commit covers */
	int64_t partial_at_ms; /* monotonic: when the next partial snapshot is due */
};

/*
 * A run in REPO failed with E: true when somebody else's work can be the reason, so that it should begin again. The
 * ledger was refreshed then, and a notice tells.
 */
bool run_may_begin_again(struct repo *repo, const struct err *e);

/* One run for a copy; never begins again by itself. ERR_STATE: the base is gone, or was condemned in part. */
MUST_CHECK enum err_code run_copy(struct repo *repo, struct item_source *source, const struct snapshot_options *o,
                                  const struct copied *copied, struct snapshot_report *out, struct err *e);

/* Opens index, writer and the rest; once. */
MUST_CHECK enum err_code run_need_writer(struct run *r, enum index_mode mode, struct err *e);
/* Is it time to make safe what we have? */
bool run_partial_due(const struct run *r);
/* Is there anything new to make safe? Also plans when to ask next. */
bool run_partial_wanted(struct run *r);
/*
 * Commits what is safe so far as a partial snapshot: collections done, the current one (number C, with what R->pages
 * holds), and the base's for the rest. ENDING: nothing follows, the session ends with it.
 */
MUST_CHECK enum err_code run_commit_partial(struct run *r, size_t c, uint64_t bytes, bool ending, struct err *e);
void run_skip(struct run *r, size_t c, struct span key, const struct err *why);
void run_tell(struct run *r, size_t c, uint64_t done, uint64_t total);

/* Brings collection C up to date with LISTING; fills R->collected[C]. _failed: a copy that completes would lose items. */
MUST_CHECK enum err_code run_collect(struct run *r, size_t c, const struct item_listing *listing, struct err *e);

#endif
