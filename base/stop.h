/*
 * stop: a flag that a signal handler sets and that any thread may look at. It orders nothing else; who sees it ends what
 * it does with ERR_CANCELLED.
 */
#ifndef MAILHOLD_BASE_STOP_H
#define MAILHOLD_BASE_STOP_H

#include <signal.h>
#include <stdbool.h>

#include "err.h"

/* FLAG may be NULL: nobody ever asks. */
static inline bool stop_asked(const volatile sig_atomic_t *flag)
{
	return flag && __atomic_load_n(flag, __ATOMIC_RELAXED);
}

/* Also from a signal handler. */
static inline void stop_ask(volatile sig_atomic_t *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELAXED);
}

/* Waits for MS milliseconds (0 or less: not at all). ERR_CANCELLED soon after FLAG was set, and at once when it is. */
MUST_CHECK enum err_code stop_wait(int64_t ms, const volatile sig_atomic_t *flag, struct err *e);

#endif
