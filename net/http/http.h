/*
 * http: one request to a server and its answer, over libcurl, whose home this is.
 * TLS      1.2 or newer, verified against the system's authorities or the given file. In clear only to this machine.
 * Limits   no redirects, no cookies; an answer has at most HTTP_BODY_BYTES_MAX bytes, a request takes at most TIMEOUT_MS.
 * Thread   any.
 */
#ifndef MAILHOLD_NET_HTTP_HTTP_H
#define MAILHOLD_NET_HTTP_HTTP_H

#include <signal.h>

#include "base/buf.h"

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

#endif
