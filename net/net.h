/*
 * net: one connection to a server, plain or with TLS, with limits of time; and the URLs that name servers. Knows no
 * protocol that is spoken over it.
 * TLS      1.2 or newer, the certificate is verified for the host against the system's authorities or the given file.
 *          A pinned certificate is verified by being that one, whoever signed it. There is no way to leave the
 *          verification out.
 * Time     connecting and every wait for the other side end with ERR_IO after the given silence. The stop flag is
 *          looked at while waiting: ERR_CANCELLED.
 * Thread   one thread at a time per connection.
 */
#ifndef MAILHOLD_NET_NET_H
#define MAILHOLD_NET_NET_H

#include <signal.h>

#include "base/buf.h"
#include "base/pace.h"

struct net;

#define NET_PIN_BYTES 32
struct net_options {
	const char *host;                  /* name or address; also what the certificate must be for */
	const char *port;                  /* number or service name */
	bool tls;                          /* from the first byte; else see net_start_tls */
	const char *ca_file;               /* PEM; NULL: the system's authorities (or SSL_CERT_FILE) */
	const uint8_t *pin;                /* SHA-256 of the one certificate that is good; NULL: by authorities */
	struct pace *pace;                 /* of what is read; NULL: as it comes. Outlives the connection */
	int64_t silence_ms;                /* 0: 60 s */
	const volatile sig_atomic_t *stop; /* may be NULL */
};

/* ERR_IO (with a hint when to try again in RETRY), ERR_DENIED when the certificate is not good, ERR_CANCELLED. */
MUST_CHECK enum err_code net_open(const struct net_options *o, struct net **out, struct err *e);
/* Goes on with TLS, for STARTTLS. ERR_DENIED when bytes had come already that were not asked for (injection). */
MUST_CHECK enum err_code net_start_tls(struct net *n, struct err *e);
/* At least one byte to DST, at most LEN; *GOT 0: the other side has closed. */
MUST_CHECK enum err_code net_read(struct net *n, uint8_t *dst, size_t len, size_t *got, struct err *e);
/* All of BYTES. */
MUST_CHECK enum err_code net_write(struct net *n, struct span bytes, struct err *e);
/* From now on both directions are raw DEFLATE (RFC 4978). EARLY: bytes that were read already and are compressed. */
MUST_CHECK enum err_code net_start_deflate(struct net *n, struct span early, struct err *e);
/* How long a round trip takes, as the system measured it; -1: it does not know. */
int64_t net_round_trip_us(const struct net *n);
bool net_is_secure(const struct net *n);
/* The other side is this machine: what is said is heard by nobody else. */
bool net_is_local(const struct net *n);
/* Closes without waiting for the other side. */
/* Ends the connection for whoever waits on it in another thread, which gets an error or an end. */
void net_hang_up(struct net *n);
void net_free(struct net **n);

/* "SHA256:AB:CD…", with or without prefix and colons, as openssl x509 -fingerprint -sha256 tells it. */
bool net_pin_parse(const char *text, uint8_t out[NET_PIN_BYTES]);

/* For a room that leaves TLS to a library over OpenSSL: CONTEXT (an SSL_CTX) takes the certificate with PIN, which outlives it, and
 * no other, whoever signed it, for any name. */
void net_pin_context(void *context, const uint8_t pin[NET_PIN_BYTES]);

/* From OpenSSL, for the rooms around this one. False: there are no random numbers to be had. */
bool net_random(uint8_t *out, size_t len);
void net_sha256(struct span bytes, uint8_t out[32]);
void net_hmac_sha256(struct span key, struct span bytes, uint8_t out[32]);

/* ---- URLs: SCHEME://[USER@]HOST[:PORT][/PATH] ---- */

#define NET_URL_BYTES_MAX 2048

/* Parts are decoded and NUL-terminated; PORT is empty when the URL names none. */
struct net_url {
	char scheme[16];
	char user[256];
	char host[256]; /* without the brackets of an IPv6 address */
	char port[8];
	char path[1024]; /* without the leading '/' */
};
/* ERR_USAGE says what is wrong with it. A password in it is refused: URLs are seen by everybody (ps, history, logs). */
MUST_CHECK enum err_code net_url_parse(const char *text, struct net_url *out, struct err *e);

#endif
