/*
 * account_source: an account's places opened as sources: finds the secret, connects, logs in.
 * Thread   any; one account's in one thread.
 */
#ifndef MAILHOLD_CLI_ACCOUNT_SOURCE_H
#define MAILHOLD_CLI_ACCOUNT_SOURCE_H

#include "config.h"
#include "connector/connector.h"
#include "crypto/crypto.h"

/* What can be judged without asking for a secret and without connecting. ERR_USAGE names the account. */
MUST_CHECK enum err_code account_check(const struct account *a, struct err *e);
/*
 * Opens URL, one of A's sources. ENVIRONMENT: MAILHOLD_SOURCE_PASSWORD_FILE and _COMMAND count, too: for a source of the
 * command line, not for accounts, of which there may be many. PACE (may be NULL) is kept by what comes from a server.
 */
MUST_CHECK enum err_code account_source_open(const struct account *a, const char *url, bool environment,
                                             struct pace *pace, const volatile sig_atomic_t *stop,
                                             struct item_source **out, struct err *e);
/*
 * What logs in to URL, a server, as A says; asks for the secret. LOGIN borrows from *SECRET, which is the caller's to free also after
 * a failure, and from A.
 */
MUST_CHECK enum err_code account_login(const struct account *a, const char *url, bool environment,
                                       struct server_login *login, struct secret **secret, struct err *e);
/* All of A's sources as one (connector_join), when there are several; else as account_source_open. */
MUST_CHECK enum err_code account_sources_open(const struct account *a, struct pace *pace,
                                              const volatile sig_atomic_t *stop, struct item_source **out,
                                              struct err *e);
/* "500K", "2M": bytes a second. */
MUST_CHECK enum err_code rate_parse(const char *text, uint64_t *out, struct err *e);
/* "password command", "keyring" …: for people. */
const char *account_secret_words(const struct account *a);

#endif
