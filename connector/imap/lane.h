/*
 * lane: one connection and the thread that carries over it what is wanted: it asks for messages as far as the window has room, reads
 * what comes and holds it until it is taken, so that the line stays full while others work. Without a thread (a login that has
 * a transport, or when none can be made) whoever takes something carries.
 * Locks    each call takes the lane's own lock, which is not held while the lane waits for the server. lane_borrow keeps the
 *          thread from the connection: the borrower alone talks over lane->session, until lane_return.
 * Thread   any, but for lane_open, lane_free and lane_aim, which are of the thread that lists.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_LANE_H
#define MAILHOLD_CONNECTOR_IMAP_LANE_H

#include <pthread.h>

#include "fetch.h"

struct lane {
	pthread_mutex_t lock;         /* over the rest; never held while a receiver is called */
	pthread_cond_t work, changed; /* for the thread; for everybody else */
	pthread_t thread;
	bool has_thread;
	bool opened, refused; /* the connection is there; it cannot be had */
	bool carrying;        /* the thread is at work, maybe without the lock */
	bool borrowed;
	bool ending;
	unsigned borrowers; /* who wait to borrow */
	unsigned waiting;   /* for CHANGED */
	struct session session;
	struct fetch fetch;
	struct span
	        raw; /* the mailbox whose messages are wanted, as it was listed; empty: none. Borrowed from the source */
	uint32_t uid_validity;
	/* What the thread does first of all: once, over the session, with the lock and as a borrower. NULL: nothing. */
	void (*errand)(void *ctx, struct lane *lane);
	void *errand_ctx;
	struct err failure; /* nothing more of this mailbox will come, and why */
};

/* Connects, and waits for that: what fails is told, and nothing is left to free. */
MUST_CHECK enum err_code lane_open(struct lane *lane, const struct imap_login *login, uint64_t window_bytes,
                                   struct err *e);
/* The same in the lane's own thread: lane_is_open tells when it is done, lane_is_refused that it will not be. */
MUST_CHECK enum err_code lane_begin(struct lane *lane, const struct imap_login *login, uint64_t window_bytes,
                                    struct err *e);
bool lane_is_open(struct lane *lane);
bool lane_is_refused(struct lane *lane);
/* Whatever is on its way is left there. */
void lane_free(struct lane *lane);

/* Forgets what is wanted and reads what is on its way; nothing is aimed at. */
void lane_clear(struct lane *lane);
/* What is wanted from now on is of mailbox RAW, which outlives that, and which had UIDVALIDITY when it was listed. */
void lane_aim(struct lane *lane, struct span raw, uint32_t uid_validity);
/* As fetch_want; carried as soon as lane_go is called. */
MUST_CHECK enum err_code lane_want(struct lane *lane, uint32_t uid, uint32_t bytes, bool head, struct err *e);
void lane_go(struct lane *lane);
/* As fetch_take; with FETCH_REFUSED, E tells why. ERR_VANISHED: the mailbox is another one by now. */
MUST_CHECK enum err_code lane_take(struct lane *lane, uint32_t uid, uint32_t bytes, bool head, enum fetch_state *state,
                                   struct buf *out, struct err *e);
/* As fetch_return and fetch_piece. */
void lane_give_back(struct lane *lane, uint32_t uid, struct buf *body);
MUST_CHECK enum err_code lane_piece(struct lane *lane, uint32_t uid, uint64_t offset, uint64_t bytes, struct buf *out,
                                    bool *last, struct err *e);

/* The thread runs ERRAND soon; false: it cannot. Whoever borrows the lane later waits for that. */
bool lane_send(struct lane *lane, void (*errand)(void *ctx, struct lane *lane), void *ctx);
/* The lane is the caller's, with its lock. */
void lane_borrow(struct lane *lane);
void lane_return(struct lane *lane);

#endif
