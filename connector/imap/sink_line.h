/*
 * sink_line: a login that writes, and outlives its connections. A folder is opened by SELECT where changes are allowed, else by
 * EXAMINE. Unlike a source, which may simply ask again, who writes has to find out first what arrived: so a new
 * connection has no folder open, and nothing is said again here.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_SINK_LINE_H
#define MAILHOLD_CONNECTOR_IMAP_SINK_LINE_H

#include "client.h"

#define SINK_LINE_TRIES_MAX 6 /* connections in a row without any success between them */

struct sink_line {
	struct imap_login login; /* its strings are the caller's */
	struct imap_client *client;
	struct buf open; /* the open folder's name as the server writes it; empty: none */
	/* Of it, when it was opened; 0 where the server does not say. */
	uint32_t uid_validity, uid_next, messages;
	struct buf permanent; /* PERMANENTFLAGS, as written; empty: not told */
	unsigned tries;
	struct err death; /* set: given up, told to whoever asks */
};

MUST_CHECK enum err_code sink_line_open(const struct imap_login *login, struct sink_line *out, struct err *e);
void sink_line_release(struct sink_line *l);
/* Opens folder RAW, unless it is open already. What the server refuses leaves the connection good. */
MUST_CHECK enum err_code sink_line_select(struct sink_line *l, struct span raw, struct err *e);
/*
 * After failure WHY of something that was said: ERR_OK when it may be said again, over the same connection after a pause (the
 * server was busy) or over a new one. Else WHY, or what came of trying, in E; a server that is gone is remembered in DEATH.
 */
MUST_CHECK enum err_code sink_line_again(struct sink_line *l, const struct err *why, struct err *e);
/* Waits a moment: ERR_CANCELLED when it is to stop. */
MUST_CHECK enum err_code sink_line_pause(struct sink_line *l, int64_t ms, struct err *e);
/* Something succeeded: the tries begin anew. */
void sink_line_progress(struct sink_line *l);

#endif
