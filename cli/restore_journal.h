/*
 * restore_journal: remembers into which folder a restore of one snapshot to one target went, so that the same command
 * a second time, or after a crash, goes into the same folder and finds what is there already. One small JSON file per
 * (repository, snapshot, target) in $XDG_STATE_HOME/mailhold/restore, else ~/.local/state/mailhold/restore.
 * Losing it loses nothing: the next run starts a new dated folder.
 */
#ifndef MAILHOLD_CLI_RESTORE_JOURNAL_H
#define MAILHOLD_CLI_RESTORE_JOURNAL_H

#include "crypto/crypto.h"

struct restore_journal {
	char file[4096];   /* its path; "" when there is no home to keep it in */
	char target[4096]; /* the target's real path, or its URL */
	char repo[33], snapshot[33];
	bool found;      /* an earlier run left it */
	struct buf into; /* what it used; NUL-terminated, empty for the root */
};

/* Finds and reads the journal of this restore. TARGET as the user typed it. A damaged journal counts as none. */
MUST_CHECK enum err_code restore_journal_open(struct restore_journal *j, const struct repo_id *repo,
                                              const struct snapshot_id *snapshot, const char *target, struct err *e);
/* Makes INTO durable, before anything is written to the target. */
MUST_CHECK enum err_code restore_journal_save(struct restore_journal *j, const char *into, struct err *e);
void restore_journal_release(struct restore_journal *j);

/* The path in TARGET (its scheme maildir:, mbox: or files: taken off), or NULL when it is no path. */
const char *restore_target_path(const char *target);

#endif
