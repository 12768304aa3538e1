/*
 * years: a simulated stretch of time: three mailboxes that change from day to day, two machines that take snapshots of
 * them, a third that only looks after the repository, and a plain model of what must be there. All of it lies in memory
 * that the driver shares with the processes which do the work (jobs.h): the driver itself never opens a repository.
 */
#ifndef MAILHOLD_TESTS_ENDURANCE_YEARS_H
#define MAILHOLD_TESTS_ENDURANCE_YEARS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/engine/work/lab.h"

#define DAY_MS    ((int64_t)24 * 3600 * 1000)
#define HOUR_MS   ((int64_t)3600 * 1000)
#define TAKEN_MAX 600 /* snapshots that the rules keep at once */
#define SEEN_MAX  700

/* Two writers, each with a key and a cache of its own; and a keeper, who cannot read. */
enum { ANN, BOB, KEEPER, MACHINES };
#define WRITERS 2
/* A mailbox of each writer, and one that both take by turns. */
enum { MAIL_ANN, MAIL_BOB, MAIL_TEAM, ACCOUNTS };
extern const char *const account_names[ACCOUNTS];

/* Of each account, as each writer takes it. */
extern const uint32_t keep_rules[KEEP_PERIODS];

struct machine {
	int64_t skew_ms;    /* its clock is so much ahead */
	unsigned off_until; /* day on which it is switched on again */
};

/* One that is live in the model. */
struct taken {
	bool live;
	struct snapshot_id id;
	unsigned account, machine;
	int64_t time_ms;
	struct fake_world world;
};

/* A snapshot as a job told of it, or as a listing shows it. */
struct seen {
	struct snapshot_id id;
	unsigned account;
	int64_t time_ms;
};

/* What a process leaves behind for the driver. */
struct outcome {
	bool ended;                /* it came to its end, so all of the following counts */
	bool took[ACCOUNTS];       /* a snapshot was committed and told of */
	struct seen run[ACCOUNTS]; /* that one */
	uint64_t records_void;     /* notices of the fold */
	struct prune_report prune;
	struct forget_report forget;
};

/* The repository as it lies there, and a copy of what is live. */
struct figures {
	uint64_t live_packs, live_bytes; /* that are not condemned; the trash has its share in them */
	uint64_t records, record_bytes;
	uint64_t checkpoints, checkpoint_bytes;
	uint64_t compact_packs, compact_bytes; /* of the copy, pruned to the last byte */
	uint64_t cache_bytes;                  /* of ann's machine */
	double open_warm_s, open_fresh_s; /* CPU; without the index, as a run that finds nothing changed opens it */
};

struct years {
	char folder[64], url[80];
	unsigned day;
	int64_t today_ms; /* midnight */
	uint64_t job_seed;
	struct machine machines[MACHINES];
	struct lab mail[ACCOUNTS]; /* only the worlds and their numbers are used */
	unsigned team_machine;     /* who takes the team's snapshot today */
	struct taken taken[TAKEN_MAX];
	struct seen seen[SEEN_MAX]; /* by the last listing */
	size_t seen_count;
	struct outcome outcomes[MACHINES];
	struct figures now;
	uint64_t snapshots, unchanged, kills, stops, prunes, forgotten, restored, looked_at;
};

void years_start(struct years *y, uint64_t seed);
/* The next day: mail comes, goes, is moved and flagged; machines go on holiday; clocks drift. */
void years_next_day(struct years *y);
/* Puts a snapshot of ACCOUNT by MACHINE as it is now into the model. */
void years_took(struct years *y, unsigned machine, const struct seen *s);
/* What the rules leave of the model. */
void years_forget(struct years *y);
size_t years_live(const struct years *y);
/* The live one with this id, or NULL. */
struct taken *years_find(struct years *y, const struct snapshot_id *id);
/* One live snapshot in so many is picked by N. */
struct taken *years_pick(struct years *y, size_t n);

#endif
