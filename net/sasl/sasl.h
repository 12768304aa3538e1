/*
 * sasl: the client's side of a login (RFC 4422), for any protocol that carries base64 back and forth: PLAIN (RFC 4616),
 * LOGIN, SCRAM-SHA-256 and SCRAM-SHA-1 (RFC 7677, 5802) by libgsasl, whose home this is; OAUTHBEARER (RFC 7628) and XOAUTH2
 * by hand, since the library has neither.
 * Secrets  what is sent holds them: the caller wipes it. Copies that the library keeps are wiped with the login.
 * Thread   one at a time per login.
 */
#ifndef MAILHOLD_NET_SASL_SASL_H
#define MAILHOLD_NET_SASL_SASL_H

#include "base/buf.h"

/* One bit each, so that what a server offers is a set of them. */
enum sasl_mechanism {
	SASL_PLAIN = 1 << 0,
	SASL_LOGIN = 1 << 1,
	SASL_SCRAM_SHA_1 = 1 << 2,
	SASL_SCRAM_SHA_256 = 1 << 3,
	SASL_XOAUTH2 = 1 << 4,
	SASL_OAUTHBEARER = 1 << 5
};
#define SASL_NAMES "scram-sha-256, scram-sha-1, plain, login, oauthbearer, xoauth2"

/* Rounds of hashing that a server may ask of us; real ones want 4,096 to some 100,000. */
#define SASL_SCRAM_ROUNDS_MAX    2000000
#define SASL_CHALLENGE_BYTES_MAX (64 * KIB)

/* By its registered name, in any case; 0: one that we do not speak. */
unsigned sasl_named(struct span name);
const char *sasl_name(unsigned mechanism); /* of one */
bool sasl_takes_token(unsigned mechanism);
/* The best of OFFERED for a password, or for an OAuth 2 access token; 0: none. What hides the password comes first. */
unsigned sasl_best(unsigned offered, bool is_token);
/* Whether the client speaks first, so that its first message may go with the command. */
bool sasl_client_first(unsigned mechanism);

struct sasl_login {
	const char *user;
	struct span secret;      /* password or token; copied */
	const char *host, *port; /* the server's, as the user named it: OAUTHBEARER tells them; may be NULL */
};

struct sasl;
/* ERR_USAGE when user or secret cannot be said in MECHANISM (a NUL; for tokens, a control character). */
MUST_CHECK enum err_code sasl_open(unsigned mechanism, const struct sasl_login *login, struct sasl **out,
                                   struct err *e);
/*
 * Answers CHALLENGE (base64; empty for the first message of a client that speaks first) by appending ANSWER (base64, may be
 * empty). ERR_CORRUPT when the challenge is none, ERR_LIMIT for more rounds than SASL_SCRAM_ROUNDS_MAX, ERR_DENIED
 * when the server has proven not to know the password.
 */
MUST_CHECK enum err_code sasl_step(struct sasl *s, struct span challenge, struct buf *answer, struct err *e);
/* After the server said that we are logged in. ERR_DENIED when it owes the proof that it knows the password (SCRAM). */
MUST_CHECK enum err_code sasl_finish(struct sasl *s, struct err *e);
/* What an OAuth mechanism told about a refused token ({"status":"401",…}); empty: nothing. Foreign bytes, borrowed. */
struct span sasl_refusal(const struct sasl *s);
void sasl_free(struct sasl **s);

#endif
