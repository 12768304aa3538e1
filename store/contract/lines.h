/*
 * lines: a few connections that serve any number of threads, each one thread at a time. Only who has which is kept here; the
 * connections are the kind's.
 */
#ifndef MAILHOLD_STORE_CONTRACT_LINES_H
#define MAILHOLD_STORE_CONTRACT_LINES_H

#include <pthread.h>
#include <stdbool.h>

#define LINES_MAX 8

struct lines {
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	unsigned count;
	bool busy[LINES_MAX], open[LINES_MAX];
};

/* COUNT at most LINES_MAX. */
void lines_init(struct lines *l, unsigned count);
void lines_release(struct lines *l);
/* One that nobody has, an open one if there is; waits for it. *OPEN: whether it is connected. */
unsigned lines_take(struct lines *l, bool *open);
void lines_give(struct lines *l, unsigned which, bool open);

#endif
