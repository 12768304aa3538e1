/*
 * session: one login that outlives its connections: when one breaks it is made again, after a pause that doubles, and the
 * mailbox that was open is opened again. A mailbox is opened by EXAMINE only. A server that says "later" is waited for; the
 * connection, if it is still good, is kept.
 * Patience ends when nothing new was learned for login.patience_ms and for SESSION_TRIES_MIN tries; then the session is dead and
 *          says so at once to whoever asks: nobody shall wait for each message of a server that is gone.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_SESSION_H
#define MAILHOLD_CONNECTOR_IMAP_SESSION_H

#include <stdatomic.h>

#include "folders.h"

#define SESSION_TRIES_MIN   5
#define SESSION_PATIENCE_MS (5 * 60 * 1000)

struct session {
	struct imap_login login; /* its strings are the caller's */
	struct imap_client *client;
	struct buf raw;              /* name of the open mailbox; empty: none */
	struct folder_status status; /* of it, when it was opened */
	unsigned tries;              /* since the last session_progress */
	int64_t trouble_ms;          /* monotonic: when the first of them was */
	struct err death;            /* set: given up, told to whoever asks */
	atomic_bool ending;          /* nobody wants to wait any more */
};

MUST_CHECK enum err_code session_open(const struct imap_login *login, struct session *out, struct err *e);
void session_release(struct session *s);
/* Opens mailbox RAW, unless it is open already and FRESH is false. */
MUST_CHECK enum err_code session_examine(struct session *s, struct span raw, bool fresh, struct err *e);
/*
 * The same, fresh, asking for what changed since KNOWN (QRESYNC, RFC 7162): HANDLER gets the responses FETCH and VANISHED. The
 * caller begins anew when HANDLER is called after *RESTARTED was set. BEHIND: a command that is sent right behind it, to save a turn;
 * NULL: none. *TAG names it, and it is the caller's to wait for; 0: it was not sent. ERR_UNSUPPORTED: the server cannot do it
 * after all; nothing is open.
 */
MUST_CHECK enum err_code session_resync(struct session *s, struct span raw, const struct folder_status *known,
                                        const char *behind, imap_handler handler, void *ctx, bool *restarted,
                                        unsigned *tag, struct err *e);
/*
 * After a failure WHY of something said over the connection: ERR_OK when the caller may say it again, over the same connection
 * (*SAME, which may be NULL) or a new one with the same mailbox open; else the error to give up with. What makes no sense
 * (ERR_CORRUPT) counts as a broken connection: the stream cannot be trusted any more. ERR_VANISHED: the mailbox has got other
 * UIDs meanwhile.
 */
MUST_CHECK enum err_code session_again(struct session *s, const struct err *why, bool *same, struct err *e);
/* Ends all waiting, in whatever thread that is, with an error. The caller keeps S->client from being freed meanwhile. */
void session_end(struct session *s);
/* Something new was learned: patience begins anew. */
void session_progress(struct session *s);

#endif
