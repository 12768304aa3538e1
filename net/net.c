/*
 * The socket never blocks; whoever has to wait polls, so that silence ends and Ctrl-C is heard. OpenSSL lives here and
 * nowhere else.
 */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "deflate.h"

/* OpenSSL has a type of this name; nobody here needs it. */
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#define SILENCE_MS 60000
#define TLS_BYTES  (64 * KIB) /* read from the socket at once, records whole or in part */
#define LOOK_MS    250        /* how often the stop flag is looked at, should a signal come between look and poll */

struct net {
	int fd;
	SSL_CTX *context;
	SSL *tls;                /* NULL: plain */
	struct deflate *deflate; /* NULL: not compressed */
	char *host, *ca_file;
	bool pinned;
	uint8_t pin[NET_PIN_BYTES];
	struct pace *pace;
	int64_t silence_ms;
	const volatile sig_atomic_t *stop;
};

static enum err_code io_error(struct err *e, enum err_retry retry, const char *host, const char *what)
{
	err_set(e, ERR_IO, "%s: %s", text_name(span_cstr(host)).text, what);
	e->retry = retry;
	return ERR_IO;
}

/* Waits until FD is ready for EVENTS. */
static enum err_code wait_for(struct net *n, short events, struct err *e)
{
	int64_t end = clock_monotonic_ms() + n->silence_ms;

	for (;;) {
		struct pollfd p = { .fd = n->fd, .events = events };
		int64_t left = end - clock_monotonic_ms();
		int ready;

		if (stop_asked(n->stop))
			return err_set(e, ERR_CANCELLED, "interrupted");
		if (left <= 0)
			return io_error(e, ERR_RETRY_LATER, n->host, "the server has gone silent");
		ready = poll(&p, 1, (int)(left < LOOK_MS ? left : LOOK_MS));
		if (ready > 0)
			return ERR_OK;
		if (ready < 0 && errno != EINTR)
			return err_sys(e, errno, "cannot wait for %s", text_name(span_cstr(n->host)).text);
	}
}

/* ---- connecting ---- */

static enum err_code connect_one(struct net *n, const struct addrinfo *a, struct err *e)
{
	int yes = 1, failure = 0;
	socklen_t len = sizeof failure;
	enum err_code rc = ERR_OK;

	n->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	if (n->fd < 0)
		return err_sys(e, errno, "cannot make a socket");
	(void)setsockopt(n->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	(void)setsockopt(n->fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	if (connect(n->fd, a->ai_addr, a->ai_addrlen) < 0) {
		if (errno != EINPROGRESS)
			failure = errno;
		else
			rc = wait_for(n, POLLOUT, e);
	}
	if (!rc && !failure && getsockopt(n->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
		failure = errno;
	if (!rc && failure) {
		rc = err_sys(e, failure, "cannot connect to %s", text_name(span_cstr(n->host)).text);
		e->code = rc = ERR_IO;
		e->retry = ERR_RETRY_LATER;
	}
	if (rc) {
		close(n->fd);
		n->fd = -1;
	}
	return rc;
}

static enum err_code connect_any(struct net *n, const char *port, struct err *e)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *all = NULL;
	enum err_code rc;
	int no = getaddrinfo(n->host, port, &hints, &all);

	if (no)
		return io_error(e, no == EAI_AGAIN ? ERR_RETRY_LATER : ERR_RETRY_NEVER, n->host, gai_strerror(no));
	rc = io_error(e, ERR_RETRY_NEVER, n->host, "has no address");
	for (const struct addrinfo *a = all; a && rc && rc != ERR_CANCELLED; a = a->ai_next)
		rc = connect_one(n, a, e);
	freeaddrinfo(all);
	return rc;
}

/* ---- TLS ---- */

static enum err_code tls_failed(struct net *n, const char *doing, struct err *e)
{
	long verify = n->tls && !n->pinned ? SSL_get_verify_result(n->tls) : X509_V_OK;
	unsigned long code = ERR_peek_error();
	const char *why = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	if (verify != X509_V_OK)
		return err_set(e, ERR_DENIED,
		               "%s: its certificate is not good: %s; when it is your own authority's, name its file",
		               text_name(span_cstr(n->host)).text, X509_verify_cert_error_string(verify));
	err_set(e, ERR_IO, "%s: TLS: %s: %s", text_name(span_cstr(n->host)).text, doing,
	        why ? why : "the connection was closed");
	e->retry = ERR_RETRY_LATER;
	return ERR_IO;
}

/* After a call of OpenSSL that gave RESULT: waits for what it wants. *DONE: nothing more will come. */
static enum err_code tls_wait(struct net *n, int result, const char *doing, bool *done, struct err *e)
{
	switch (SSL_get_error(n->tls, result)) {
	case SSL_ERROR_WANT_READ:
		return wait_for(n, POLLIN, e);
	case SSL_ERROR_WANT_WRITE:
		return wait_for(n, POLLOUT, e);
	case SSL_ERROR_ZERO_RETURN:
		*done = true;
		return ERR_OK;
	default:
		return tls_failed(n, doing, e);
	}
}

static enum err_code context_open(struct net *n, struct err *e)
{
	n->context = SSL_CTX_new(TLS_client_method());
	if (!n->context)
		return err_no_memory(e, sizeof *n);
	if (!SSL_CTX_set_min_proto_version(n->context, TLS1_2_VERSION))
		return tls_failed(n, "setting it up", e);
	/* Else each record costs two calls, one for five bytes; Dovecot's have some 4 KiB. */
	SSL_CTX_set_default_read_buffer_len(n->context, TLS_BYTES);
	SSL_CTX_set_read_ahead(n->context, 1);
	/* A pinned certificate is compared as a whole before a byte is sent: check_pin. */
	SSL_CTX_set_verify(n->context, n->pinned ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (n->pinned)
		return ERR_OK;
	if (n->ca_file ? !SSL_CTX_load_verify_locations(n->context, n->ca_file, NULL)
	               : !SSL_CTX_set_default_verify_paths(n->context)) {
		ERR_clear_error();
		return err_set(e, ERR_USAGE, "cannot read certificates from %s",
		               n->ca_file ? text_name(span_cstr(n->ca_file)).text : "the system's folder");
	}
	return ERR_OK;
}

static bool is_address(const char *host)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *found = NULL;
	bool yes = !getaddrinfo(host, NULL, &hints, &found);

	if (yes)
		freeaddrinfo(found);
	return yes;
}

static bool name_host(struct net *n)
{
	if (is_address(n->host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(n->tls), n->host) == 1;
	return SSL_set1_host(n->tls, n->host) == 1 && SSL_set_tlsext_host_name(n->tls, n->host) == 1;
}

bool net_pin_parse(const char *text, uint8_t out[NET_PIN_BYTES])
{
	char digits[2 * NET_PIN_BYTES];
	size_t n = 0;

	if (!strncmp(text, "SHA256:", 7) || !strncmp(text, "sha256:", 7))
		text += 7;
	for (; *text; text++) {
		if (*text == ':' || *text == ' ')
			continue;
		if (n == sizeof digits)
			return false;
		digits[n++] = *text;
	}
	return n == sizeof digits && text_unhex(span_of(digits, n), out, NET_PIN_BYTES);
}

static enum err_code check_pin(struct net *n, struct err *e)
{
	X509 *certificate = SSL_get1_peer_certificate(n->tls);
	uint8_t found[EVP_MAX_MD_SIZE];
	char hex[2 * NET_PIN_BYTES + 1];
	unsigned len = 0;
	bool got = certificate && X509_digest(certificate, EVP_sha256(), found, &len) == 1 && len == NET_PIN_BYTES;

	X509_free(certificate);
	if (got && !CRYPTO_memcmp(found, n->pin, NET_PIN_BYTES))
		return ERR_OK;
	if (!got)
		return err_set(e, ERR_DENIED, "%s shows no certificate", text_name(span_cstr(n->host)).text);
	text_hex(span_of(found, NET_PIN_BYTES), hex);
	return err_set(
	        e, ERR_DENIED,
	        "%s: its certificate is not the pinned one: its fingerprint is SHA256:%s; nothing was sent to it",
	        text_name(span_cstr(n->host)).text, hex);
}

static int verify_pin(X509_STORE_CTX *store, void *pin)
{
	X509 *certificate = X509_STORE_CTX_get0_cert(store);
	uint8_t found[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (certificate && X509_digest(certificate, EVP_sha256(), found, &len) == 1 && len == NET_PIN_BYTES &&
	    !CRYPTO_memcmp(found, pin, NET_PIN_BYTES))
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

void net_pin_context(void *context, const uint8_t pin[NET_PIN_BYTES])
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(context, verify_pin, (void *)(uintptr_t)pin);
}

enum err_code net_start_tls(struct net *n, struct err *e)
{
	enum err_code rc = context_open(n, e);
	bool closed = false;
	uint8_t early;

	/* What came before TLS began was not protected by it: nothing may have. */
	if (!rc && recv(n->fd, &early, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && early != 0x16)
		return err_set(e, ERR_DENIED, "%s sent something before TLS began", text_name(span_cstr(n->host)).text);
	if (rc)
		return rc;
	n->tls = SSL_new(n->context);
	if (!n->tls || SSL_set_fd(n->tls, n->fd) != 1 || !name_host(n))
		return tls_failed(n, "setting it up", e);
	while (!rc && !closed) {
		int result = SSL_connect(n->tls);

		if (result == 1)
			return n->pinned ? check_pin(n, e) : ERR_OK;
		rc = tls_wait(n, result, "shaking hands", &closed, e);
	}
	return rc ? rc : tls_failed(n, "shaking hands", e);
}

/* ---- the connection ---- */

static char *copy_of(const char *s)
{
	size_t n = strlen(s) + 1;
	char *out = mem_alloc(n);

	if (out)
		memcpy(out, s, n);
	return out;
}

enum err_code net_open(const struct net_options *o, struct net **out, struct err *e)
{
	struct net *n = mem_zalloc(1, sizeof *n);
	enum err_code rc;

	if (!n)
		return err_no_memory(e, sizeof *n);
	n->fd = -1;
	n->host = copy_of(o->host);
	n->ca_file = o->ca_file ? copy_of(o->ca_file) : NULL;
	n->pinned = o->pin != NULL;
	if (o->pin)
		memcpy(n->pin, o->pin, NET_PIN_BYTES);
	n->pace = o->pace;
	n->silence_ms = o->silence_ms ? o->silence_ms : SILENCE_MS;
	n->stop = o->stop;
	rc = n->host && (n->ca_file || !o->ca_file) ? connect_any(n, o->port, e) : err_no_memory(e, strlen(o->host));
	if (!rc && o->tls)
		rc = net_start_tls(n, e);
	if (rc) {
		net_free(&n);
		return rc;
	}
	*out = n;
	return ERR_OK;
}

static enum err_code read_tls(struct net *n, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	enum err_code rc = ERR_OK;
	bool closed = false;

	while (!rc && !closed) {
		int result = SSL_read_ex(n->tls, dst, len, got);

		if (result == 1)
			return ERR_OK;
		rc = tls_wait(n, result, "reading", &closed, e);
	}
	*got = 0;
	return rc;
}

static enum err_code read_unpaced(struct net *n, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	enum err_code rc;

	if (n->tls)
		return read_tls(n, dst, len, got, e);
	for (;;) {
		ssize_t r = recv(n->fd, dst, len, 0);

		if (r >= 0) {
			*got = (size_t)r;
			return ERR_OK;
		}
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
			err_sys(e, errno, "cannot read from %s", text_name(span_cstr(n->host)).text);
			e->code = ERR_IO;
			e->retry = ERR_RETRY_NOW;
			return ERR_IO;
		}
		rc = wait_for(n, POLLIN, e);
		if (rc)
			return rc;
	}
}

/* Whoever waits here does not read, so that the other side cannot send more. */
static enum err_code read_below(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	struct net *n = ctx;
	enum err_code rc = read_unpaced(n, dst, len, got, e);
	int64_t left = rc ? 0 : pace_take(n->pace, *got, clock_monotonic_ms());

	if (!rc)
		rc = stop_wait(left, n->stop, e);
	return rc;
}

enum err_code net_read(struct net *n, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	return n->deflate ? deflate_read(n->deflate, read_below, n, dst, len, got, e) : read_below(n, dst, len, got, e);
}

static enum err_code write_some(struct net *n, struct span bytes, size_t *wrote, struct err *e)
{
	bool closed = false;
	enum err_code rc;

	*wrote = 0;
	if (n->tls) {
		int result = SSL_write_ex(n->tls, bytes.ptr, bytes.len, wrote);

		if (result == 1)
			return ERR_OK;
		*wrote = 0;
		rc = tls_wait(n, result, "writing", &closed, e);
		return closed ? tls_failed(n, "writing", e) : rc;
	}
	ssize_t r = send(n->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

	if (r >= 0) {
		*wrote = (size_t)r;
		return ERR_OK;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return wait_for(n, POLLOUT, e);
	err_sys(e, errno, "cannot write to %s", text_name(span_cstr(n->host)).text);
	e->code = ERR_IO;
	e->retry = ERR_RETRY_NOW;
	return ERR_IO;
}

static enum err_code write_below(void *ctx, struct span bytes, struct err *e)
{
	struct net *n = ctx;
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		size_t wrote;

		rc = write_some(n, bytes, &wrote, e);
		bytes = span_skip(bytes, wrote);
	}
	return rc;
}

enum err_code net_write(struct net *n, struct span bytes, struct err *e)
{
	return n->deflate ? deflate_write(n->deflate, write_below, n, bytes, e) : write_below(n, bytes, e);
}

enum err_code net_start_deflate(struct net *n, struct span early, struct err *e)
{
	return n->deflate ? err_set(e, ERR_STATE, "the connection is compressed already")
	                  : deflate_open(early, &n->deflate, e);
}

int64_t net_round_trip_us(const struct net *n)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	return getsockopt(n->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -1 : (int64_t)info.tcpi_rtt;
}

bool net_random(uint8_t *out, size_t len)
{
	return len <= INT_MAX && RAND_bytes(out, (int)len) == 1;
}

void net_sha256(struct span bytes, uint8_t out[32])
{
	SHA256(bytes.ptr ? bytes.ptr : (const uint8_t *)"", bytes.len, out);
}

void net_hmac_sha256(struct span key, struct span bytes, uint8_t out[32])
{
	unsigned len = 32;

	HMAC(EVP_sha256(), key.ptr, (int)key.len, bytes.ptr, bytes.len, out, &len);
}

bool net_is_secure(const struct net *n)
{
	return n->tls != NULL;
}

bool net_is_local(const struct net *n)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	if (getpeername(n->fd, (struct sockaddr *)&peer, &len) != 0)
		return false;
	if (peer.ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)&peer)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return peer.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&peer)->sin6_addr);
}

void net_hang_up(struct net *n)
{
	(void)shutdown(n->fd, SHUT_RDWR);
}

void net_free(struct net **n)
{
	if (!*n)
		return;
	if ((*n)->tls) {
		/* Tells the other side; whether it hears does not matter any more. */
		ERR_clear_error();
		(void)SSL_shutdown((*n)->tls);
		SSL_free((*n)->tls);
		ERR_clear_error();
	}
	deflate_free(&(*n)->deflate);
	SSL_CTX_free((*n)->context);
	if ((*n)->fd >= 0)
		close((*n)->fd);
	mem_free((*n)->host);
	mem_free((*n)->ca_file);
	mem_free(*n);
	*n = NULL;
}
