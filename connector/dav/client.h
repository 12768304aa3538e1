/*
 * client: a login at a DAV server: requests, answers, what a status means, redirects, and trying again.
 * Harm     it only ever sends PROPFIND, REPORT and GET: nothing that changes anything.
 * Redirects  to paths of the same server are followed; to another one the login is not taken along: ERR_DENIED tells its URL.
 * Again    a connection that breaks and a server that says "later" (429, 502, 503, 504) are waited for, with pauses that double,
 *          until nothing was learned for login.patience_ms (not before the first answer: who is not there is told at once); then the client is dead and says so at once to whoever asks.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_DAV_CLIENT_H
#define MAILHOLD_CONNECTOR_DAV_CLIENT_H

#include <signal.h>

#include "base/pace.h"
#include "multistatus.h"
#include "net/http/http.h"

#define DAV_LISTING_BYTES_MAX (1024 * (uint64_t)MIB) /* of an answer that is read as it comes */

struct dav_login {
	const char *host, *port;    /* port "": 443, or 80 without TLS */
	const char *path;           /* decoded, without the first '/'; "": the server's own idea of it */
	bool calendars, contacts;   /* what is wanted */
	bool clear, clear_anywhere; /* as http_server */
	const char *ca_file;
	bool pinned;
	uint8_t pin[32];
	enum http_auth auth;
	const char *user;
	struct span password;
	/* Instead of PASSWORD, as struct imap_login has it. NULL: PASSWORD. */
	enum err_code (*token)(void *ctx, bool refused, struct buf *out, struct err *e);
	void *token_ctx;
	struct pace *pace;
	bool compressed;
	unsigned connections; /* at most so many at once; 0: lanes.h's own */
	int64_t patience_ms;  /* 0: 5 minutes; < 0: only a few tries */
	const volatile sig_atomic_t *stop;
};

struct dav_ask {
	const char *method; /* PROPFIND, REPORT or GET */
	struct span path;
	const char *depth; /* "0", "1", or NULL */
	struct span body;  /* XML, or empty */
	uint64_t bytes_max;
	bool once;                /* an answer that makes no sense is not asked for again */
	void (*again)(void *ctx); /* whatever was given to the takers is forgotten: it comes anew. May be NULL */
	/* One of the two: the responses of a 207, or the bytes of a success. */
	enum err_code (*response)(void *ctx, const struct dav_response *r, struct err *e);
	enum err_code (*bytes)(void *ctx, struct span piece, struct err *e);
	void *ctx;
};
#define DAV_NO_TIME INT64_MIN
struct dav_answer {
	long status;
	struct buf path;       /* where the answer came from, after redirects */
	struct buf sync_token; /* DAV:sync-token of a 207 */
	int64_t modified_s;    /* Last-Modified; DAV_NO_TIME: not told */
	char condition[64];    /* the precondition that failed, without its namespace: "valid-sync-token" */
};

struct dav_client;
/* Nothing is sent yet. */
MUST_CHECK enum err_code dav_open(const struct dav_login *login, struct dav_client **out, struct err *e);
/*
 * ERR_NOT_FOUND: 404, 410. ERR_DENIED: 401, 403, 407, or a redirect to elsewhere. ERR_UNSUPPORTED: 400, 405, 409, 412, 415, 501, or a
 * success that is no 207 where one was asked for. ERR_LIMIT: 413, 507, or more bytes than asked for. ERR_CORRUPT: what came
 * makes no sense. ERR_IO: the rest. OUT is good as far as it was filled; release it in any case.
 */
MUST_CHECK enum err_code dav_request(struct dav_client *c, const struct dav_ask *ask, struct dav_answer *out,
                                     struct err *e);
const char *dav_origin(const struct dav_client *c);
void dav_insist(struct dav_client *c);                               /* http_insist */
void dav_agree(struct dav_client *c, const struct dav_client *from); /* http_agree */
void dav_answer_release(struct dav_answer *a);
void dav_free(struct dav_client **c);

#endif
