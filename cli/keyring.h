/*
 * keyring: passwords of accounts in the desktop's keyring (the Secret Service), through the program secret-tool of libsecret,
 * which is asked when it is there. Each lies under the attributes service=mailhold, account=NAME.
 */
#ifndef MAILHOLD_CLI_KEYRING_H
#define MAILHOLD_CLI_KEYRING_H

#include "crypto/crypto.h"

/* ERR_NOT_FOUND: the keyring has none; ERR_UNSUPPORTED: there is no secret-tool. */
MUST_CHECK enum err_code keyring_get(const char *name, struct secret **out, struct err *e);
MUST_CHECK enum err_code keyring_put(const char *name, const struct secret *secret, struct err *e);
/* Fine when there is none. */
MUST_CHECK enum err_code keyring_remove(const char *name, struct err *e);

#endif
