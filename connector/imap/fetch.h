/*
 * fetch: the messages of the open mailbox on their way to us. Those that will be wanted are asked for ahead, in windows of
 * bytes, so that a slow line is kept full; what has come and was not taken yet is held. A command that the server refuses is
 * taken apart until the one message that it cannot give is found.
 * Memory   about FETCH_WINDOW_BYTES, whatever is asked for. Messages above FETCH_WHOLE_MAX are read in pieces instead.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_FETCH_H
#define MAILHOLD_CONNECTOR_IMAP_FETCH_H

#include "session.h"

#define FETCH_WHOLE_MAX    (2 * MIB)
#define FETCH_WINDOW_BYTES (8 * MIB)
#define FETCH_PIECE_BYTES  MIB

enum fetch_state {
	FETCH_WANTED = 1, /* not asked for yet */
	FETCH_ASKED,
	FETCH_HERE,
	FETCH_GONE,    /* the server has it no more */
	FETCH_LARGE,   /* to be read in pieces */
	FETCH_REFUSED, /* the server cannot give it */
	FETCH_TAKEN
};

struct fetch_one {
	uint32_t uid;
	uint32_t bytes; /* expected; then what there is */
	enum fetch_state state;
	bool alone;   /* to be asked for without others */
	unsigned tag; /* of the command that asked */
	struct buf body;
};

struct fetch {
	struct session *session;
	struct fetch_one *ones; /* rising by uid */
	size_t count, cap;
	size_t first;  /* before it everything is taken */
	size_t next;   /* before it everything was asked for at least once */
	uint64_t held; /* bytes asked for or here, not taken */
	struct buf incoming;
	struct err refusal; /* the last one */
	uint32_t piece_uid; /* a piece is being read of this one; 0: none */
	struct buf piece;
	bool piece_came;
};

void fetch_init(struct fetch *f, struct session *s);
void fetch_release(struct fetch *f);
/* Forgets everything: another mailbox. Reads what is outstanding to its end, or drops the connection. */
void fetch_clear(struct fetch *f);
/* UID will be taken; uids rise from call to call. BYTES is its size, or 0. */
MUST_CHECK enum err_code fetch_want(struct fetch *f, uint32_t uid, uint32_t bytes, struct err *e);
/*
 * *OUT is the message UID, state HERE, GONE, LARGE or REFUSED (F->refusal tells); good until fetch_done, which lets it go.
 * May be called again before that. Waits, and connects again when need be.
 */
MUST_CHECK enum err_code fetch_take(struct fetch *f, uint32_t uid, uint32_t bytes, struct fetch_one **out,
                                    struct err *e);
void fetch_done(struct fetch *f, struct fetch_one *one);
/* At most FETCH_PIECE_BYTES of message UID from OFFSET on; empty behind the end. ERR_VANISHED when it is gone. */
MUST_CHECK enum err_code fetch_piece(struct fetch *f, uint32_t uid, uint64_t offset, struct span *out, struct err *e);

#endif
