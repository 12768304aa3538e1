/*
 * token_store: OAuth 2 tokens of accounts, sealed in the state folder, and fetched anew when their time is over.
 * Files    $XDG_STATE_HOME/mailhold/tokens/HASH: magic, then XChaCha20-Poly1305 of both tokens, bound to account, client id and
 *          token URL. The key is in token.key beside the folder (mode 0600), in the file that [tokens] key-file names, or in the
 *          keyring: docs/threat_model.md says what each is worth.
 * Order    what a server gave is on the disk before it is used: a refresh may make the older refresh token worthless.
 * Thread   any; runs and threads that want the same account's token wait for each other.
 */
#ifndef MAILHOLD_CLI_TOKEN_STORE_H
#define MAILHOLD_CLI_TOKEN_STORE_H

#include "config.h"
#include "crypto/crypto.h"
#include "net/oauth/oauth.h"

/*
 * The client of A's provider. SECRET (may come out NULL: the client has none) is what C's secret refers to; free it after C.
 */
MUST_CHECK enum err_code token_client(const struct account *a, struct oauth_client *c, struct secret **secret,
                                      struct err *e);
/* Keeps what a login of A gave. */
MUST_CHECK enum err_code token_keep(const struct account *a, const struct oauth_client *c, const struct oauth_tokens *t,
                                    struct err *e);
/* Appends an access token that is good for a minute at least. REFUSED: the one that was given last is not. */
MUST_CHECK enum err_code token_get(const struct account *a, bool refused, struct buf *out, struct err *e);
/* *FOUND: there were tokens of A. */
MUST_CHECK enum err_code token_forget(const struct account *a, bool *found, struct err *e);

#endif
