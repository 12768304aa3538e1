/*
 * jobs: what the machines do, each in a process of its own that opens the repository anew, as nightly runs do. A job
 * that finds something wrong says so and aborts.
 */
#ifndef MAILHOLD_TESTS_ENDURANCE_JOBS_H
#define MAILHOLD_TESTS_ENDURANCE_JOBS_H

#include "years.h"

typedef void (*job_fn)(struct years *y, unsigned machine);

/* Once: the repository, and a key for each machine. */
void job_init(struct years *y, unsigned machine);
/* Snapshots of the machine's accounts. */
void job_backup(struct years *y, unsigned machine);
void job_prune(struct years *y, unsigned machine);
/* Forgets by the rules. */
void job_forget(struct years *y, unsigned machine);
/* And lists what is live then. Not with a keeper's key, which reads no names of accounts. */
void job_forget_and_list(struct years *y, unsigned machine);
/* Lists what is live into SEEN. */
void job_list(struct years *y, unsigned machine);
/* Compares some snapshot of the model with the repository, item by item. */
void job_look(struct years *y, unsigned machine);
/* Restores all of one, into memory. */
void job_restore(struct years *y, unsigned machine);
/* Compares every one. */
void job_look_at_all(struct years *y, unsigned machine);
/* The structure, and a share of the data. */
void job_check(struct years *y, unsigned machine);
/* All data. */
void job_check_all(struct years *y, unsigned machine);
void job_rotate(struct years *y, unsigned machine);
/* Fills NOW: what lies there, and what a copy of what is live would take. */
void job_measure(struct years *y, unsigned machine);
/* Objects below FOLDER. Needs no key and no process of its own. */
void job_tally(struct store *s, const char *folder, uint64_t *count, uint64_t *bytes);

#endif
