/*
 * take: snapshots of several accounts in one process: a queue that so many threads work on. Each account is a run of its own
 * with a commit of its own; what fails in one is told, and the others go on.
 */
#ifndef MAILHOLD_CLI_TAKE_H
#define MAILHOLD_CLI_TAKE_H

#include <stdatomic.h>

#include "command.h"
#include "quiet_hours.h"

#define TAKE_JOBS_MAX 64

enum take_state {
	TAKE_WAITS,
	TAKE_DONE,
	TAKE_FAILED,
	TAKE_QUIET /* its quiet hours: not begun, or stopped with a partial snapshot */
};

struct take {
	/* What is to be done; all borrowed. */
	const struct account *account; /* how to log in */
	const char *source;            /* its source; of several, all of them, for people */
	bool environment;              /* as account_source_open has it */
	struct snapshot_options options;
	const char *quiet_hours; /* NULL: none */
	struct pace *pace;       /* of all that comes from servers; may be NULL */
	int64_t last_ms;         /* of the account's newest snapshot; the caller's */
	size_t at;               /* the caller's */
	/* What became of it. */
	enum take_state state;
	struct snapshot_report report; /* TAKE_DONE */
	struct err why;                /* TAKE_FAILED */
	atomic_uint_fast64_t skipped;
	int64_t duration_ms;
	/* For the room. */
	struct cli *cli;
	bool named;                 /* reports name the account */
	volatile sig_atomic_t stop; /* looked at by the run of an account with quiet hours; set by its watcher */
	atomic_bool over;           /* the watcher may go */
	struct quiet_hours quiet;
};

/* Told of each take when it has ended; one call at a time, in any thread. */
typedef void (*take_ended)(void *ctx, struct take *t);
/*
 * Takes all snapshots into c->repo, JOBS at a time, in order; with more than one the handles are beside c->repo. Those that
 * were not begun, because the user stopped it or nothing more can succeed (no space, no memory, a store that
 * went back), stay TAKE_WAITS: the error is that one's then.
 */
MUST_CHECK enum err_code takes_run(struct cli *c, struct take *takes, size_t count, unsigned jobs, take_ended ended,
                                   void *ctx, struct err *e);

#endif
