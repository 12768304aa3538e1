#include "http_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "net/net.h"

#define CONNECT_TIMEOUT_MS 30000
#define SILENCE_MS         120000
#define ORIGIN_BYTES       320

struct http_client {
	CURL *curl;
	curl_socket_t fd; /* the connection that was made last, while it is open */
	char origin[ORIGIN_BYTES];
	char error[CURL_ERROR_SIZE];
	bool clear, clear_anywhere, pinned;
	bool far_refused; /* a connection that would have left this machine */
	uint8_t pin[NET_PIN_BYTES];
	enum http_auth auth;
	bool decided;            /* auth is what the server has asked for */
	struct buf user, secret; /* with a NUL behind */
	struct pace *pace;
	const volatile sig_atomic_t *stop;
};

/* One request on its way. */
struct flight {
	struct http_client *client;
	const struct http_ask *ask;
	struct http_said *said;
	uint64_t taken;
	struct err *e;
	enum err_code rc;
};

/* ---- what comes ---- */

static enum err_code take_piece(struct flight *f, struct span piece)
{
	long status = 0;
	enum err_code rc =
	        stop_wait(pace_take(f->client->pace, piece.len, clock_monotonic_ms()), f->client->stop, f->e);

	if (rc)
		return rc;
	(void)curl_easy_getinfo(f->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299) {
		size_t room = HTTP_SAID_BYTES_MAX - f->said->body.len;

		return buf_append(&f->said->body, span_first(piece, room), f->e);
	}
	if (piece.len > f->ask->answer_bytes_max - f->taken)
		return err_set(f->e, ERR_LIMIT, "the answer has more than %llu bytes",
		               (unsigned long long)f->ask->answer_bytes_max);
	f->taken += piece.len;
	return f->ask->take ? f->ask->take(f->ask->ctx, piece, f->e) : ERR_OK;
}

/*
 * A server that sends an answer in small pieces waits for each to be acknowledged (Nagle), and this side waits with that for 40 ms:
 * an answer of a few milliseconds takes ten times as long. The option is forgotten by the system, so it is set as pieces come.
 */
static void acknowledge(const struct http_client *c)
{
	int yes = 1;

	if (c->fd != CURL_SOCKET_BAD)
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof yes);
}

static size_t see_header(char *bytes, size_t size, size_t count, void *ctx)
{
	/* The first line, and the empty one behind the last. */
	if (size * count <= 2 || !memcmp(bytes, "HTTP", 4))
		acknowledge(((struct flight *)ctx)->client);
	return size * count;
}

static size_t take(char *bytes, size_t size, size_t count, void *ctx)
{
	struct flight *f = ctx;

	acknowledge(f->client);
	f->rc = take_piece(f, span_of(bytes, size * count));
	return f->rc ? 0 : size * count;
}

static int look(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct http_client *client = ctx;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return stop_asked(client->stop);
}

static enum err_code keep_field(CURL *curl, const char *name, struct buf *out, struct err *e)
{
	struct curl_header *field;
	size_t len;

	if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &field) != CURLHE_OK)
		return ERR_OK;
	len = strlen(field->value);
	return len > HTTP_FIELD_BYTES_MAX ? ERR_OK : buf_append(out, span_of(field->value, len), e);
}

static enum err_code keep_fields(CURL *curl, struct http_said *out, struct err *e)
{
	curl_off_t after = 0, length = -1;
	enum err_code rc = keep_field(curl, "Location", &out->location, e);

	if (!rc)
		rc = keep_field(curl, "ETag", &out->etag, e);
	if (!rc)
		rc = keep_field(curl, "Last-Modified", &out->modified, e);
	if (!rc)
		rc = keep_field(curl, "DAV", &out->dav, e);
	out->length = -1;
	if (curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK)
		out->length = length;
	out->retry_after_s = -1;
	if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
		out->retry_after_s = after;
	return rc;
}

/* ---- the connection ---- */

static bool is_here(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	return a->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_client *c = ctx;

	(void)purpose;
	if (c->clear && !c->clear_anywhere && !is_here(&a->addr)) {
		c->far_refused = true;
		return CURL_SOCKET_BAD;
	}
	c->fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	return c->fd;
}

static int close_socket(void *ctx, curl_socket_t fd)
{
	struct http_client *c = ctx;

	if (c->fd == fd)
		c->fd = CURL_SOCKET_BAD;
	return close(fd);
}

static CURLcode pin_context(CURL *curl, void *context, void *ctx)
{
	(void)curl;
	net_pin_context(context, ((struct http_client *)ctx)->pin);
	return CURLE_OK;
}

/* All options are checked at once: the first that fails stays in CODE. */
#define SET(option, value)                                                                                             \
	do {                                                                                                           \
		if (code == CURLE_OK)                                                                                  \
			code = curl_easy_setopt(curl, option, value);                                                  \
	} while (0)

static CURLcode set_connection(struct http_client *c, const struct http_server *s)
{
	int64_t silence_ms = s->silence_ms ? s->silence_ms : SILENCE_MS;
	CURL *curl = c->curl;
	CURLcode code = CURLE_OK;

	SET(CURLOPT_PROTOCOLS_STR, s->clear ? "http" : "https");
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (s->ca_file)
		SET(CURLOPT_CAINFO, s->ca_file);
	if (s->pin) {
		SET(CURLOPT_SSL_CTX_FUNCTION, pin_context);
		SET(CURLOPT_SSL_CTX_DATA, c);
		SET(CURLOPT_SSL_VERIFYHOST, 0L); /* the pinned certificate may be for any name */
	}
	if (s->clear)
		SET(CURLOPT_PROXY, "");
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, c);
	SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	SET(CURLOPT_CLOSESOCKETDATA, c);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, look);
	SET(CURLOPT_XFERINFODATA, c);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(CURLOPT_LOW_SPEED_TIME, (long)((silence_ms + 999) / 1000));
	SET(CURLOPT_USERAGENT, "mailhold");
	SET(CURLOPT_ERRORBUFFER, c->error);
	SET(CURLOPT_WRITEFUNCTION, take);
	SET(CURLOPT_HEADERFUNCTION, see_header);
	if (s->compressed)
		SET(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
	return code;
}

static CURLcode set_secret(struct http_client *c)
{
	static const unsigned long ways[] = { [HTTP_AUTH_ANY] = CURLAUTH_BASIC | CURLAUTH_DIGEST,
		                              [HTTP_AUTH_BASIC] = CURLAUTH_BASIC,
		                              [HTTP_AUTH_DIGEST] = CURLAUTH_DIGEST,
		                              [HTTP_AUTH_BEARER] = CURLAUTH_BEARER,
		                              [HTTP_AUTH_NONE] = CURLAUTH_NONE };
	CURL *curl = c->curl;
	CURLcode code = CURLE_OK;

	SET(CURLOPT_HTTPAUTH, (long)ways[c->auth]);
	if (c->auth == HTTP_AUTH_NONE)
		return code;
	if (c->auth == HTTP_AUTH_BEARER) {
		SET(CURLOPT_XOAUTH2_BEARER, (const char *)c->secret.ptr);
	} else {
		SET(CURLOPT_USERNAME, (const char *)c->user.ptr);
		SET(CURLOPT_PASSWORD, (const char *)c->secret.ptr);
	}
	return code;
}

static enum err_code keep_text(struct buf *out, struct span text, const char *what, struct err *e)
{
	enum err_code rc;

	if (memchr(text.ptr ? (const char *)text.ptr : "", 0, text.len))
		return err_set(e, ERR_USAGE, "the %s holds a NUL", what);
	rc = buf_reserve(out, text.len + 1, e);
	if (!rc)
		rc = buf_append(out, text, e);
	return rc ? rc : buf_append(out, span_of("", 1), e);
}

static enum err_code set_origin(struct http_client *c, const struct http_server *s, struct err *e)
{
	bool usual = !*s->port || !strcmp(s->port, s->clear ? "80" : "443"), v6 = strchr(s->host, ':') != NULL;
	int n = snprintf(c->origin, sizeof c->origin, "%s://%s%s%s%s%s", s->clear ? "http" : "https", v6 ? "[" : "",
	                 s->host, v6 ? "]" : "", usual ? "" : ":", usual ? "" : s->port);

	if (n < 0 || (size_t)n >= sizeof c->origin)
		return err_set(e, ERR_USAGE, "the host's name is too long");
	for (const char *at = s->host; *at; at++)
		if ((unsigned char)*at <= ' ' || strchr("/?#@\\", *at) || (unsigned char)*at >= 0x7f)
			return err_set(e, ERR_USAGE, "%s is no name of a host", text_name(span_cstr(s->host)).text);
	for (char *at = c->origin; *at; at++)
		*at = (char)text_lower((uint8_t)*at);
	return ERR_OK;
}

enum err_code http_open(const struct http_server *s, struct http_client **out, struct err *e)
{
	struct http_client *c = mem_zalloc(1, sizeof *c);
	enum err_code rc;

	if (!c)
		return err_no_memory(e, sizeof *c);
	c->fd = CURL_SOCKET_BAD;
	c->clear = s->clear;
	c->clear_anywhere = s->clear_anywhere;
	c->pinned = s->pin != NULL;
	if (s->pin)
		memcpy(c->pin, s->pin, sizeof c->pin);
	c->auth = s->auth;
	c->decided = s->auth != HTTP_AUTH_ANY;
	c->pace = s->pace;
	c->stop = s->stop;
	rc = set_origin(c, s, e);
	if (!rc)
		rc = keep_text(&c->user, span_cstr(s->user ? s->user : ""), "user's name", e);
	if (!rc)
		rc = keep_text(&c->secret, s->password, "password", e);
	if (!rc) {
		c->curl = http_easy();
		rc = c->curl && set_connection(c, s) == CURLE_OK && set_secret(c) == CURLE_OK ? ERR_OK
		                                                                              : err_no_memory(e, 0);
	}
	if (rc)
		http_free(&c);
	*out = c;
	return rc;
}

enum err_code http_set_token(struct http_client *c, struct span token, struct err *e)
{
	struct buf kept = BUF_EMPTY;
	enum err_code rc = keep_text(&kept, token, "token", e);

	if (rc) {
		buf_wipe(&kept);
		return rc;
	}
	buf_wipe(&c->secret);
	c->secret = kept;
	return set_secret(c) == CURLE_OK ? ERR_OK : err_no_memory(e, 0);
}

void http_insist(struct http_client *c)
{
	if (c->auth != HTTP_AUTH_ANY)
		return;
	c->auth = HTTP_AUTH_BASIC;
	(void)set_secret(c);
}

void http_agree(struct http_client *c, const struct http_client *from)
{
	c->auth = from->auth;
	c->decided = from->decided;
	(void)set_secret(c);
}

const char *http_origin(const struct http_client *c)
{
	return c->origin;
}

void http_said_release(struct http_said *s)
{
	buf_release(&s->body);
	buf_release(&s->location);
	buf_release(&s->etag);
	buf_release(&s->modified);
	buf_release(&s->dav);
}

void http_free(struct http_client **c)
{
	if (!*c)
		return;
	if ((*c)->curl)
		curl_easy_cleanup((*c)->curl);
	buf_release(&(*c)->user);
	buf_wipe(&(*c)->secret);
	mem_free(*c);
	*c = NULL;
}

/* ---- a request ---- */

/* What the server asks for is given at once from now on, without asking what it is each time. */
static void decide_auth(struct http_client *c)
{
	long offered = 0;

	if (c->decided || curl_easy_getinfo(c->curl, CURLINFO_HTTPAUTH_AVAIL, &offered) != CURLE_OK || !offered)
		return;
	c->auth = offered & CURLAUTH_DIGEST ? HTTP_AUTH_DIGEST : HTTP_AUTH_BASIC;
	c->decided = true;
	(void)set_secret(c);
}

static CURLcode set_request(struct http_client *c, const char *url, struct flight *f, struct curl_slist *headers)
{
	bool body = f->ask->body.len > 0 || !strcmp(f->ask->method, "PUT");
	CURL *curl = c->curl;
	CURLcode code = CURLE_OK;

	SET(CURLOPT_URL, url);
	SET(CURLOPT_HTTPHEADER, headers);
	if (body) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->ask->body.len);
		SET(CURLOPT_POSTFIELDS, f->ask->body.len ? (const char *)f->ask->body.ptr : "");
	} else {
		SET(CURLOPT_POSTFIELDS, NULL);
		SET(CURLOPT_HTTPGET, 1L);
	}
	if (!strcmp(f->ask->method, "HEAD"))
		SET(CURLOPT_NOBODY, 1L);
	SET(CURLOPT_CUSTOMREQUEST, f->ask->method);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_WRITEDATA, (void *)f);
	SET(CURLOPT_HEADERDATA, (void *)f);
	return code;
}

static enum err_code add_headers(const struct http_ask *ask, struct curl_slist **out, struct err *e)
{
	static const char *const quiet[] = { "Expect:", NULL };
	const char *const *lists[] = { quiet, ask->headers };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const char *const *at = lists[i]; at && *at; at++) {
			struct curl_slist *longer = curl_slist_append(*out, *at);

			if (!longer)
				return err_no_memory(e, 0);
			*out = longer;
		}
	return ERR_OK;
}

static enum err_code target_url(const struct http_client *c, struct span target, struct buf *out, struct err *e)
{
	enum err_code rc;

	if (!target.len || target.ptr[0] != '/')
		return err_set(e, ERR_USAGE, "a request is for a path");
	for (size_t i = 0; i < target.len; i++)
		if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f)
			return err_set(e, ERR_USAGE, "a request's path is printable ASCII");
	rc = buf_append(out, span_cstr(c->origin), e);
	if (!rc)
		rc = buf_append(out, target, e);
	return rc ? rc : buf_append(out, span_of("", 1), e);
}

static enum err_code perform(struct http_client *c, const char *url, struct flight *f, struct curl_slist *headers)
{
	CURLcode code = set_request(c, url, f, headers);

	*c->error = 0;
	c->far_refused = false;
	if (code == CURLE_OK)
		code = curl_easy_perform(c->curl);
	if (f->rc)
		return f->rc;
	if (c->far_refused)
		return err_set(f->e, ERR_DENIED, "%s is not this machine: without TLS nothing is sent to it",
		               c->origin);
	if (c->pinned && code == CURLE_PEER_FAILED_VERIFICATION)
		return err_set(f->e, ERR_DENIED, "%s: its certificate is not the pinned one; nothing was sent to it",
		               c->origin);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &f->said->status);
	if (code != CURLE_OK)
		return http_failed(code, url, c->error, f->e);
	decide_auth(c);
	return keep_fields(c->curl, f->said, f->e);
}

enum err_code http_request(struct http_client *c, const struct http_ask *ask, struct http_said *out, struct err *e)
{
	struct flight f = { .client = c, .ask = ask, .said = out, .e = e };
	struct buf url = BUF_EMPTY;
	struct curl_slist *headers = NULL;
	enum err_code rc = target_url(c, ask->target, &url, e);

	buf_clear(&out->body);
	buf_clear(&out->location);
	buf_clear(&out->etag);
	buf_clear(&out->modified);
	buf_clear(&out->dav);
	out->status = 0;
	if (!rc)
		rc = add_headers(ask, &headers, e);
	if (!rc)
		rc = perform(c, (const char *)url.ptr, &f, headers);
	curl_slist_free_all(headers);
	buf_release(&url);
	return rc;
}

bool http_date(struct span text, int64_t *out)
{
	char copy[64];
	time_t got;

	if (!text.len || text.len >= sizeof copy)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = 0;
	got = curl_getdate(copy, NULL);
	*out = got;
	return got != -1;
}
