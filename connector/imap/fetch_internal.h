/*
 * fetch_internal: what the files of fetch share: who is wanted and asked for (fetch.c), what comes (fetch_answer.c), large
 * messages (fetch_pieces.c).
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_FETCH_INTERNAL_H
#define MAILHOLD_CONNECTOR_IMAP_FETCH_INTERNAL_H

#include "fetch.h"

#define FETCH_INCOMING_MAX (16 * MIB) /* of one that is larger than the server said */
#define FETCH_BREAKS_MAX   2          /* then in pieces; so often again, then not at all */

/* NULL: not wanted. */
struct fetch_one *fetch_find(struct fetch *f, uint32_t uid);
/* What ONE counts for in the window. */
uint32_t fetch_weight(const struct fetch_one *one);
/* What was asked for over a connection that is no more has to be asked for again. */
void fetch_ask_again(struct fetch *f);
/* Asks after those that command TAG passed over. The server may first have to tell that they are gone. */
MUST_CHECK enum err_code fetch_ask_after(struct fetch *f, unsigned tag, struct err *e);
/* Reads one response. */
MUST_CHECK enum err_code fetch_read_one(struct fetch *f, struct err *e);
/* Message UID cannot be had, because of WHY; an error when that is so of too many in a row. */
MUST_CHECK enum err_code fetch_give_up(struct fetch *f, uint32_t uid, const struct err *why, struct err *e);
/* ONE cannot be had, because of WHY. */
void fetch_refuse(struct fetch_one *one, const struct err *why);
/* May what failed with RC work over another connection, or later? */
bool fetch_may_recover(enum err_code rc);

static inline void fetch_swap(struct buf *a, struct buf *b)
{
	struct buf keep = *a;

	*a = *b;
	*b = keep;
}

/* The server gave something: patience begins anew. */
static inline void fetch_learned(struct fetch *f)
{
	session_progress(f->session);
	f->given_up = 0;
}

#endif
