/*
 * oauth: access tokens from an authorisation server (OAuth 2.0, RFC 6749), as a public client that its user has registered:
 * device code (RFC 8628), authorisation code with PKCE over a loopback address (RFC 7636, 8252), client credentials (RFC 6749, 4.4),
 * and refreshing. Where tokens are kept is the caller's business.
 * Secrets  tokens are in buffers that oauth_tokens_wipe wipes; what a server says about them is never in an error but for
 *          its error code and description.
 * Thread   any; one at a time per object.
 */
#ifndef MAILHOLD_NET_OAUTH_OAUTH_H
#define MAILHOLD_NET_OAUTH_OAUTH_H

#include <signal.h>

#include "base/buf.h"

#define OAUTH_TOKEN_BYTES_MAX (16 * KIB)

enum oauth_flow { OAUTH_DEVICE = 1, OAUTH_BROWSER, OAUTH_CLIENT_CREDENTIALS };

/* Who is asked and as whom. What is NULL comes from the preset, if there is one. Strings are borrowed. */
struct oauth_provider {
	const char *preset; /* "microsoft", "google", or NULL */
	const char *tenant; /* of microsoft; NULL: "common" */
	const char *client_id;
	const char *scope;
	const char *authorization_url, *token_url, *device_url;
	const char *flow; /* "device", "browser", "client-credentials"; NULL: the preset's, else device */
	const char *ca_file;
};

/* A provider with its preset filled in. */
struct oauth_client {
	enum oauth_flow flow;
	char authorization_url[512], token_url[512], device_url[512]; /* empty: there is none */
	char scope[512];
	const char *client_id, *ca_file;
	const char *extra;  /* for the authorisation URL, "&name=value…", or "" */
	struct span secret; /* of the client; empty: none. Borrowed; the caller sets it */
	const volatile sig_atomic_t *stop;
};
/* ERR_USAGE when something is missing, unknown, or no https:// URL. */
MUST_CHECK enum err_code oauth_client_of(const struct oauth_provider *p, struct oauth_client *out, struct err *e);

/* Each NUL-terminated; the NUL is not counted. */
struct oauth_tokens {
	struct buf access;
	struct buf refresh; /* empty: the server gave none (this time) */
	int64_t lives_ms;   /* of the access token, from when it was asked for */
};
void oauth_tokens_wipe(struct oauth_tokens *t);

/* What the user is to do with another device. */
struct oauth_device {
	struct buf device_code; /* secret */
	char user_code[64], url[512];
	char whole_url[1024]; /* with the code in it; empty: none */
	int64_t interval_ms, lives_ms;
};
MUST_CHECK enum err_code oauth_device_begin(const struct oauth_client *c, struct oauth_device *out, struct err *e);
/* Waits until the user has decided. ERR_DENIED: no, or too late. */
MUST_CHECK enum err_code oauth_device_wait(const struct oauth_client *c, const struct oauth_device *d,
                                           struct oauth_tokens *out, struct err *e);
void oauth_device_wipe(struct oauth_device *d);

/* A browser of this machine is sent to the server, and comes back to a port of ours on the loopback address. */
struct oauth_browser;
MUST_CHECK enum err_code oauth_browser_begin(const struct oauth_client *c, struct oauth_browser **out, struct err *e);
const char *oauth_browser_url(const struct oauth_browser *b);
/* Waits for at most WAIT_MS. ERR_DENIED: the user or the server said no, or nobody came. */
MUST_CHECK enum err_code oauth_browser_wait(struct oauth_browser *b, int64_t wait_ms, struct oauth_tokens *out,
                                            struct err *e);
void oauth_browser_free(struct oauth_browser **b);

MUST_CHECK enum err_code oauth_client_credentials(const struct oauth_client *c, struct oauth_tokens *out,
                                                  struct err *e);
/* ERR_DENIED: the refresh token is good for nothing any more; the user has to log in again. */
MUST_CHECK enum err_code oauth_refresh(const struct oauth_client *c, struct span refresh, struct oauth_tokens *out,
                                       struct err *e);

/* ---- what comes from outside, taken apart: for the room and its tests ---- */

/* Of a token endpoint. ERR_DENIED with CODE (at most 63 bytes) when it is an error of RFC 6749, 5.2. */
MUST_CHECK enum err_code oauth_token_parse(long status, struct span body, struct oauth_tokens *out, char code[64],
                                           struct err *e);
MUST_CHECK enum err_code oauth_device_parse(long status, struct span body, struct oauth_device *out, struct err *e);
/*
 * REQUEST is all that a browser sent up to the empty line. ERR_NOT_FOUND: it is not for us, go on listening; ERR_DENIED: the server
 * said no. CODE gets a NUL that is not counted.
 */
MUST_CHECK enum err_code oauth_redirect_parse(struct span request, const char *state, struct buf *code, struct err *e);

#endif
