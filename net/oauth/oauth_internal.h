/* oauth_internal: what the flows share. */
#ifndef MAILHOLD_NET_OAUTH_OAUTH_INTERNAL_H
#define MAILHOLD_NET_OAUTH_OAUTH_INTERNAL_H

#include "net/http/http.h"
#include "oauth.h"

#define OAUTH_FIELDS_MAX 8

/* Left out when VALUE is NULL or empty. */
struct http_field oauth_text_field(const char *name, const char *value);
/* Asks the token endpoint with client_id, client_secret and OWN fields. CODE: as oauth_token_parse. */
MUST_CHECK enum err_code oauth_ask_tokens(const struct oauth_client *c, const struct http_field *own, size_t count,
                                          struct oauth_tokens *out, char code[64], struct err *e);

/* After an answer that is no token: ERR_OK, goes on waiting, *INTERVAL apart; or RC. */
enum err_code oauth_device_go_on(enum err_code rc, const char *code, int64_t *interval, const struct err *e);

#endif
