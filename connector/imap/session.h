/*
 * session: one login that outlives its connections: when one breaks it is made again, after a pause that doubles, and the
 * mailbox that was open is opened again. A mailbox is opened by EXAMINE only.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_SESSION_H
#define MAILHOLD_CONNECTOR_IMAP_SESSION_H

#include "folders.h"

#define SESSION_TRIES_MAX 5 /* connections in a row without anything new learned */

struct session {
	struct imap_login login; /* its strings are the caller's */
	struct imap_client *client;
	struct buf raw;              /* name of the open mailbox; empty: none */
	struct folder_status status; /* of it, when it was opened */
	unsigned tries;              /* since the last session_progress */
	struct err death;            /* set: given up, told to whoever asks */
};

MUST_CHECK enum err_code session_open(const struct imap_login *login, struct session *out, struct err *e);
void session_release(struct session *s);
/* Opens mailbox RAW, unless it is open already and FRESH is false. */
MUST_CHECK enum err_code session_examine(struct session *s, struct span raw, bool fresh, struct err *e);
/*
 * After a failure WHY of something said over the connection: ERR_OK when there is a new connection with the same
 * mailbox open and the caller may say it again; else the error to give up with. ERR_VANISHED: the mailbox has got other
 * UIDs meanwhile.
 */
MUST_CHECK enum err_code session_again(struct session *s, const struct err *why, struct err *e);
/* Something new was learned: the tries begin anew. */
void session_progress(struct session *s);

#endif
