/*
 * credentials: who one is at an S3 server, as every other program finds it: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and
 * AWS_SESSION_TOKEN); else the profile AWS_PROFILE, or "default", of AWS_SHARED_CREDENTIALS_FILE, or of ~/.aws/credentials.
 */
#ifndef MAILHOLD_STORE_S3_CREDENTIALS_H
#define MAILHOLD_STORE_S3_CREDENTIALS_H

#include "base/buf.h"

struct credentials {
	struct buf id, secret, token; /* NUL-terminated, the NUL counted; token empty: none */
};

/* ERR_DENIED when none are found, with where they were looked for. */
MUST_CHECK enum err_code credentials_find(struct credentials *out, struct err *e);
void credentials_wipe(struct credentials *c);

#endif
