/*
 * fetch: the messages of the open mailbox on their way to us over one connection. Those that will be wanted are asked for
 * ahead, in a window of bytes, so that a slow line is kept full; what has come and was not taken yet is held. Each message
 * comes whole, or only its header block, or in pieces when it is large.
 * Trouble  a command that is refused is taken apart until the one message that cannot be had is found. So is a connection that
 *          breaks: the first message that was on its way is asked for alone, then in pieces, then given up. What the server
 *          passes over is asked after: it is gone, or refused when the server still counts it.
 * Memory   about WINDOW_BYTES and FETCH_PIECES pieces, whatever is asked for.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_FETCH_H
#define MAILHOLD_CONNECTOR_IMAP_FETCH_H

#include "session.h"

#define FETCH_WHOLE_MAX   (2 * MIB)
#define FETCH_PIECE_BYTES MIB
#define FETCH_PIECES      3 /* of one message on their way at once */

enum fetch_state {
	FETCH_WANTED = 1, /* not asked for yet */
	FETCH_ASKED,
	FETCH_DOUBTED, /* passed over; asked whether it is still there */
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
	bool head;    /* only the header block */
	bool alone;   /* to be asked for without others */
	bool present; /* doubted, and there */
	uint8_t passed_over, breaks;
	unsigned tag;    /* of the command that asked */
	struct buf body; /* REFUSED: a struct err, why */
};

struct fetch_piece {
	enum fetch_state state; /* 0: free; FETCH_ASKED, FETCH_HERE, FETCH_GONE */
	bool stale;             /* nobody wants it any more */
	bool cut;               /* the connection broke in it: there is more */
	uint64_t offset;
	unsigned tag;
	struct buf bytes;
};

struct fetch {
	struct session *session;
	uint64_t window_bytes;
	struct fetch_one *ones; /* rising by uid */
	size_t count, cap;
	size_t first;  /* before it everything is taken */
	size_t next;   /* before it everything was asked for at least once */
	uint64_t held; /* bytes asked for or here, not taken */
	bool hungry;   /* somebody waits for one that was not asked for, and the window is full of others */
	struct buf incoming;
	struct err refusal; /* the last one */
	struct err later;   /* a refusal that means later, not waited for yet */
	unsigned given_up;  /* messages in a row whose asking broke the connection */
	uint32_t piece_uid; /* pieces are of this one; 0: none */
	struct fetch_piece pieces[FETCH_PIECES];
};

void fetch_init(struct fetch *f, struct session *s, uint64_t window_bytes);
void fetch_release(struct fetch *f);
/* Forgets everything: another mailbox. Reads what is outstanding to its end, or drops the connection. */
void fetch_clear(struct fetch *f);
/* UID, or its header block, will be taken. BYTES is its size, or 0. */
MUST_CHECK enum err_code fetch_want(struct fetch *f, uint32_t uid, uint32_t bytes, bool head, struct err *e);
/* Asks for as much as the window has room for; waits for nothing. */
MUST_CHECK enum err_code fetch_ahead(struct fetch *f, struct err *e);
/* Something is on its way, or may be asked for. */
bool fetch_has_work(const struct fetch *f);
/* One step of it: asks for as much as the window has room for and reads one response. Waits, and connects again when need be. */
MUST_CHECK enum err_code fetch_carry(struct fetch *f, struct err *e);
/* *PENDING: fetch_take would wait for UID, which is wanted from now on if it was not. */
MUST_CHECK enum err_code fetch_is_pending(struct fetch *f, uint32_t uid, uint32_t bytes, bool head, bool *pending,
                                          struct err *e);
/*
 * Takes UID: HERE, with its bytes in OUT (which had none), GONE, LARGE, or REFUSED (F->refusal tells). Waits, and connects again
 * when need be.
 */
MUST_CHECK enum err_code fetch_take(struct fetch *f, uint32_t uid, uint32_t bytes, bool head, enum fetch_state *state,
                                    struct buf *out, struct err *e);
/* Gives back what fetch_take gave: whoever had no room for it will come again. */
void fetch_return(struct fetch *f, uint32_t uid, struct buf *body);
/*
 * The bytes of message UID, of which BYTES are expected, from OFFSET on: at most FETCH_PIECE_BYTES. *LAST: nothing follows.
 * The pieces behind it are asked for meanwhile.
 */
MUST_CHECK enum err_code fetch_piece(struct fetch *f, uint32_t uid, uint64_t offset, uint64_t bytes, struct buf *out,
                                     bool *last, struct err *e);

#endif
