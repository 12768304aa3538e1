/*
 * http: requests to servers and their answers, over libcurl, whose home this is.
 * TLS      1.2 or newer, verified against the system's authorities or the given file. In clear only to this machine, unless
 *          a client is opened for more.
 * Limits   no redirects are followed, no cookies kept; an answer has a stated maximum of bytes and time.
 * Thread   any; of a client one at a time.
 */
#ifndef MAILHOLD_NET_HTTP_HTTP_H
#define MAILHOLD_NET_HTTP_HTTP_H

#include <signal.h>

#include "base/buf.h"
#include "base/pace.h"

#define HTTP_BODY_BYTES_MAX (256 * KIB)

struct http_options {
	const char *ca_file; /* PEM; NULL: the system's */
	int64_t timeout_ms;  /* 0: 30 s */
	const volatile sig_atomic_t *stop;
};
struct http_field {
	const char *name;
	struct span value; /* LEN 0 with PTR NULL: left out */
};
struct http_answer {
	long status;
	struct buf body; /* empty before; wiped by the caller when it may hold secrets */
};

/* ERR_USAGE when URL is neither https:// nor http:// to a loopback address, or holds a user or a password. */
MUST_CHECK enum err_code http_url_check(const char *url, struct err *e);
/*
 * Posts FIELDS as application/x-www-form-urlencoded and asks for JSON. Any answer is a success, whatever its status. ERR_IO with a
 * hint when to try again; ERR_DENIED when the certificate is not good; ERR_LIMIT; ERR_CANCELLED.
 */
MUST_CHECK enum err_code http_post_form(const char *url, const struct http_field *fields, size_t count,
                                        const struct http_options *o, struct http_answer *out, struct err *e);
/* Appends the fields as they stand in a query or a form. */
MUST_CHECK enum err_code http_form(const struct http_field *fields, size_t count, struct buf *out, struct err *e);

/* ---- one server, many requests over connections that stay open ---- */

enum http_auth { HTTP_AUTH_ANY = 0, HTTP_AUTH_BASIC, HTTP_AUTH_DIGEST, HTTP_AUTH_BEARER, HTTP_AUTH_NONE };
struct http_server {
	const char *host;     /* name or address, without brackets; also what the certificate must be for */
	const char *port;     /* a number; "": 443, or 80 without TLS */
	bool clear;           /* without TLS, where the server is this machine: connections to others are refused */
	bool clear_anywhere;  /* with CLEAR: to any */
	const char *ca_file;  /* PEM; NULL: the system's authorities */
	const uint8_t *pin;   /* SHA-256 of the one certificate that is good (32 bytes); NULL: by authorities */
	enum http_auth auth;  /* ANY: the better one that the server offers, Digest or Basic */
	const char *user;     /* with NONE NULL: requests bring their own proof, or none */
	struct span password; /* or the token, with BEARER */
	struct pace *pace;    /* of what is read; NULL: as it comes. Outlives the client */
	bool compressed;      /* bodies may come compressed */
	int64_t silence_ms;   /* 0: 2 minutes */
	const volatile sig_atomic_t *stop;
};
#define HTTP_SAID_BYTES_MAX  (16 * KIB) /* of the body of an answer that is no success; the rest is let go */
#define HTTP_FIELD_BYTES_MAX (4 * KIB)  /* of a header field of an answer; longer ones count as not there */
struct http_ask {
	const char *method;
	struct span target;         /* path and query as they are sent; printable ASCII, begins with a '/' */
	const char *const *headers; /* "Depth: 1" …, then NULL; may be NULL */
	struct span body;
	uint64_t answer_bytes_max; /* of a success, decompressed */
	/* Takes the body of a success (2xx) piece by piece; its error ends the request. */
	enum err_code (*take)(void *ctx, struct span bytes, struct err *e);
	void *ctx;
};
struct http_said {
	long status;
	struct buf body;                          /* when it is no success */
	struct buf location, etag, modified, dav; /* header fields; empty: not there */
	int64_t retry_after_s;                    /* -1: not told */
	int64_t length;                           /* of the body, as announced; -1: not told */
};
struct http_client;
/* Copies what S says; nothing is sent yet. */
MUST_CHECK enum err_code http_open(const struct http_server *s, struct http_client **out, struct err *e);
/*
 * Any answer is a success, whatever its status; OUT is emptied first. ERR_IO with a hint when to try again; ERR_DENIED when the
 * certificate is not good, or without TLS the server is not this machine; ERR_LIMIT; ERR_CANCELLED; what TAKE said.
 */
MUST_CHECK enum err_code http_request(struct http_client *c, const struct http_ask *ask, struct http_said *out,
                                      struct err *e);
/* The token from now on. */
MUST_CHECK enum err_code http_set_token(struct http_client *c, struct span token, struct err *e);
/* The secret is sent without being asked for from now on: to servers that also answer those who are nobody. */
void http_insist(struct http_client *c);
/* C logs in as FROM has found out that it is wanted. */
void http_agree(struct http_client *c, const struct http_client *from);
/* "http://HOST[:PORT]" or "https://…", lower case, without the usual port: what of a URL says that it is this server's. */
const char *http_origin(const struct http_client *c);
void http_said_release(struct http_said *s);
void http_free(struct http_client **c);

/* Seconds since 1970 of a date as HTTP has it. */
bool http_date(struct span text, int64_t *out);

#endif
