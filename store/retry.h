/*
 * retry: when a call to a store that is far away is made again. Which failures may pass by themselves is said where
 * they are seen (struct err, RETRY); here is only how long one waits: a moment at first, twice as long each time up to half a
 * minute, each wait drawn between half and all of it, so that a hundred machines do not come back at once.
 */
#ifndef MAILHOLD_STORE_RETRY_H
#define MAILHOLD_STORE_RETRY_H

#include <signal.h>

#include "base/err.h"

/* From the first failure on, for a store that has been met. MAILHOLD_STORE_PATIENCE, in seconds, says otherwise. */
#define RETRY_PATIENCE_SECONDS 300

struct retry {
	bool far; /* else nothing is tried again */
	bool met; /* it has answered before; a name that was mistyped is told after some seconds */
	const volatile sig_atomic_t *stop; /* NULL: nobody could end the wait, which is short, too */
	unsigned tries;                    /* that failed */
	int64_t since;
};

/*
 * After a failure: waits and says true when the call shall be made again. Else E says what to tell: the failure, with how often it
 * was tried, or ERR_CANCELLED.
 */
bool retry_again(struct retry *r, struct err *e);

#endif
