/*
 * pool: a fixed number of workers and a bounded queue of jobs. Whoever waits for a job helps with the queue
 * meanwhile, so a pool of N threads keeps N+1 cores busy at most and a pool of 0 runs everything in the waiter.
 * A job is the caller's memory (embed struct pool_job); errors ride in it.
 */
#ifndef MAILHOLD_BASE_POOL_H
#define MAILHOLD_BASE_POOL_H

#include <stdatomic.h>

#include "err.h"

struct pool;

struct pool_job {
	void (*run)(struct pool_job *job); /* called once, in any thread */
	struct pool_job *next;             /* the pool's */
	atomic_int state;                  /* the pool's */
};

/* Cores this process may use, at least 1. */
unsigned pool_cores(void);

/* At most 256 threads. */
MUST_CHECK enum err_code pool_open(unsigned threads, struct pool **out, struct err *e);

/* Queues JOB, which must stay in place until pool_wait returned. The caller bounds how many are in flight. */
void pool_submit(struct pool *p, struct pool_job *job);
/* Returns when JOB has run; runs other queued jobs meanwhile. Every submitted job must be waited for, once. */
void pool_wait(struct pool *p, struct pool_job *job);
/* True when JOB has run; never blocks. pool_wait is still due. */
bool pool_is_done(const struct pool_job *job);

/* Runs what is queued, then ends the threads. */
void pool_free(struct pool **p);

#endif
