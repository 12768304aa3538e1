/*
 * last: what a client remembers of an account's newest snapshot, so that a run in which nothing changed needs neither
 * index nor pages. A sealed file in the cache folder; only a hint: when it is missing, damaged or not about the
 * snapshot that the ledger calls the newest, the snapshot itself is read.
 */
#ifndef MAILHOLD_ENGINE_WORK_LAST_H
#define MAILHOLD_ENGINE_WORK_LAST_H

#include "engine/repo/repo.h"

struct last_collection {
	struct span path;
	struct chunk_id facts_id; /* names the row's facts and attributes */
	struct span cursor;
	uint64_t items, bytes;
};
struct last {
	struct last_collection *rows;
	size_t count;
	struct buf plain;
};
#define LAST_EMPTY ((struct last){ NULL, 0, BUF_EMPTY })
/* True when there is one for exactly this snapshot. */
bool last_load(struct repo *r, const struct account_id *account, const struct snapshot_id *snapshot, struct last *out);
/* A failure is a notice. */
void last_save(struct repo *r, const struct account_id *account, const struct snapshot_id *snapshot,
               const struct last_collection *rows, size_t count);
void last_release(struct last *l);
/* Rows are in path order. NULL: not there. */
const struct last_collection *last_find(const struct last *l, struct span path);

/*
 * A repair found that items of ACCOUNT lack chunks: the next run of it looks into every item again, and stores what the
 * source still has. A file in the cache folder; a failure is a notice.
 */
void lost_note(struct repo *r, const struct account_id *account);
bool lost_noted(struct repo *r, const struct account_id *account);
void lost_clear(struct repo *r, const struct account_id *account);

#endif
