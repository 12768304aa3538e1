/*
 * sign: Signature Version 4 of Amazon ("Authenticating Requests: Using the Authorization Header", API 2006-03-01). Bytes only.
 */
#ifndef MAILHOLD_STORE_S3_SIGN_H
#define MAILHOLD_STORE_S3_SIGN_H

#include "base/buf.h"

struct sign_keys {
	const char *id, *secret;
	const char *token; /* of a session; NULL: none */
};

#define SIGN_HEADERS_MAX 12
struct sign_request {
	const char *method, *region;
	const char *host;  /* as the header Host has it */
	struct span path;  /* percent-encoded, as it is sent */
	struct span query; /* sorted, encoded, "a=b&c="; without '?' */
	const char *const
	        *headers;    /* further "name: value", names in lower case and sorted after "host"; NULL at the end */
	uint8_t payload[32]; /* SHA-256 of the body */
	int64_t time_ms;
};

/*
 * Appends the headers of the request to OUT, each "Name: value" and a NUL, the further ones first: then
 * x-amz-content-sha256, x-amz-date, x-amz-security-token, Authorization.
 */
MUST_CHECK enum err_code sign_request(const struct sign_request *r, const struct sign_keys *keys, struct buf *out,
                                      struct err *e);

#endif
