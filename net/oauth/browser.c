/*
 * The authorisation code flow of a program on the user's own computer (RFC 8252): a port on the loopback address, a random
 * state, and a verifier (RFC 7636) that makes the code worthless to whoever else sees it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/net.h"
#include "oauth_internal.h"

#define SECRET_TEXT_BYTES 43 /* 32 bytes in base64url, without padding */
#define REQUEST_BYTES_MAX (16 * KIB)
#define GUEST_WAIT_MS     5000
#define LOOK_MS           200

struct oauth_browser {
	const struct oauth_client *client;
	int fd;
	char redirect[64];
	char state[SECRET_TEXT_BYTES + 1], verifier[SECRET_TEXT_BYTES + 1];
	struct buf url;
};

/* Base64url of 32 bytes. */
static void put_base64url(const uint8_t bytes[32], char out[SECRET_TEXT_BYTES + 1])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t held = 0;
	unsigned bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < 32; i++) {
		held = held << 8 | bytes[i];
		for (bits += 8; bits >= 6; bits -= 6)
			out[n++] = digits[held >> (bits - 6) & 63];
	}
	if (bits)
		out[n++] = digits[held << (6 - bits) & 63];
	out[n] = 0;
}

static enum err_code draw(char out[SECRET_TEXT_BYTES + 1], struct err *e)
{
	uint8_t bytes[32];

	if (!net_random(bytes, sizeof bytes))
		return err_set(e, ERR_IO, "there are no random numbers to be had");
	put_base64url(bytes, out);
	explicit_bzero(bytes, sizeof bytes);
	return ERR_OK;
}

static enum err_code listen_here(struct oauth_browser *b, struct err *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;

	b->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (b->fd < 0 || bind(b->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(b->fd, 8) != 0 ||
	    getsockname(b->fd, (struct sockaddr *)&at, &len) != 0)
		return err_sys(e, errno, "cannot listen on the loopback address");
	snprintf(b->redirect, sizeof b->redirect, "http://127.0.0.1:%u/", ntohs(at.sin_port));
	return ERR_OK;
}

/* The challenge is the verifier's hash: it may be seen. */
static enum err_code put_query(const struct oauth_browser *b, const char *challenge, struct buf *out, struct err *e)
{
	const struct http_field fields[] = { oauth_text_field("response_type", "code"),
		                             oauth_text_field("client_id", b->client->client_id),
		                             oauth_text_field("redirect_uri", b->redirect),
		                             oauth_text_field("scope", b->client->scope),
		                             oauth_text_field("state", b->state),
		                             oauth_text_field("code_challenge", challenge),
		                             oauth_text_field("code_challenge_method", "S256") };

	return http_form(fields, ARRAY_LEN(fields), out, e);
}

static enum err_code make_url(struct oauth_browser *b, struct err *e)
{
	const char *url = b->client->authorization_url;
	char challenge[SECRET_TEXT_BYTES + 1];
	uint8_t hash[32];
	enum err_code rc;

	net_sha256(span_cstr(b->verifier), hash);
	put_base64url(hash, challenge);
	rc = buf_printf(&b->url, e, "%s%s", url, strchr(url, '?') ? "&" : "?");
	if (!rc)
		rc = put_query(b, challenge, &b->url, e);
	if (!rc)
		rc = buf_printf(&b->url, e, "%s", b->client->extra);
	return rc ? rc : buf_append(&b->url, span_of("", 1), e);
}

enum err_code oauth_browser_begin(const struct oauth_client *c, struct oauth_browser **out, struct err *e)
{
	struct oauth_browser *b = mem_zalloc(1, sizeof *b);
	enum err_code rc;

	if (!b)
		return err_no_memory(e, sizeof *b);
	b->client = c;
	b->fd = -1;
	rc = draw(b->state, e);
	if (!rc)
		rc = draw(b->verifier, e);
	if (!rc)
		rc = listen_here(b, e);
	if (!rc)
		rc = make_url(b, e);
	if (rc) {
		oauth_browser_free(&b);
		return rc;
	}
	*out = b;
	return ERR_OK;
}

const char *oauth_browser_url(const struct oauth_browser *b)
{
	return (const char *)b->url.ptr;
}

void oauth_browser_free(struct oauth_browser **b)
{
	if (!*b)
		return;
	if ((*b)->fd >= 0)
		close((*b)->fd);
	buf_release(&(*b)->url);
	explicit_bzero(*b, sizeof **b);
	mem_free(*b);
	*b = NULL;
}

/* ---- who comes ---- */

/* True when FD can be read before END. */
static enum err_code wait_until(const struct oauth_browser *b, int fd, int64_t end, bool *ready, struct err *e)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end - clock_monotonic_ms();
		int n;

		if (b->client->stop && *b->client->stop)
			return err_set(e, ERR_CANCELLED, "interrupted");
		*ready = false;
		if (left <= 0)
			return ERR_OK;
		n = poll(&p, 1, (int)(left < LOOK_MS ? left : LOOK_MS));
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "cannot wait for the browser");
		if (n > 0) {
			*ready = true;
			return ERR_OK;
		}
	}
}

static bool is_whole(struct span request)
{
	static const struct span empty_line = { (const uint8_t *)"\r\n\r\n", 4 };

	for (size_t i = 0; i + empty_line.len <= request.len; i++)
		if (span_starts(span_skip(request, i), empty_line))
			return true;
	return false;
}

/* One request, up to its empty line; a guest who is slow or says too much is not listened to. */
static enum err_code hear(const struct oauth_browser *b, int guest, struct buf *request, struct err *e)
{
	int64_t end = clock_monotonic_ms() + GUEST_WAIT_MS;

	while (!is_whole(buf_span(request)) && request->len < REQUEST_BYTES_MAX) {
		uint8_t *at;
		bool ready;
		ssize_t n;
		enum err_code rc = wait_until(b, guest, end, &ready, e);

		if (!rc && ready)
			rc = buf_extend(request, 1024, &at, e);
		if (rc || !ready)
			return rc;
		n = recv(guest, at, 1024, 0);
		request->len -= 1024 - (n > 0 ? (size_t)n : 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return ERR_OK;
	}
	return ERR_OK;
}

static void answer(int guest, enum err_code rc)
{
	static const char form[] = "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\n"
	                           "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
	                           "Content-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n%s";
	const char *body =
	        rc == ERR_OK ? "<!doctype html><title>mailhold</title><p>Done. You can close this window.</p>"
	        : rc == ERR_DENIED
	                ? "<!doctype html><title>mailhold</title><p>It was not allowed. See the terminal.</p>"
	                : "";
	char text[1024];
	int n = snprintf(text, sizeof text, form, rc == ERR_NOT_FOUND ? "404 Not Found" : "200 OK", strlen(body), body);

	(void)!send(guest, text, (size_t)n, MSG_NOSIGNAL);
}

/* One guest. ERR_NOT_FOUND: somebody else. */
static enum err_code receive(const struct oauth_browser *b, struct buf *code, struct err *e)
{
	struct buf request = BUF_WITH_MAX(REQUEST_BYTES_MAX + KIB);
	int guest = accept4(b->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	enum err_code rc;

	if (guest < 0)
		return err_set(e, ERR_NOT_FOUND, "nobody was there");
	rc = hear(b, guest, &request, e);
	if (!rc) {
		rc = oauth_redirect_parse(buf_span(&request), b->state, code, e);
		answer(guest, rc);
	}
	close(guest);
	buf_wipe(&request);
	return rc;
}

static enum err_code redeem(const struct oauth_browser *b, const struct buf *code, struct oauth_tokens *out,
                            struct err *e)
{
	const struct http_field fields[] = { oauth_text_field("grant_type", "authorization_code"),
		                             { "code", buf_span(code) },
		                             oauth_text_field("redirect_uri", b->redirect),
		                             oauth_text_field("code_verifier", b->verifier) };
	char refused[64];
	enum err_code rc = oauth_ask_tokens(b->client, fields, ARRAY_LEN(fields), out, refused, e);

	return rc ? err_note(e, "exchanging the code for a token") : ERR_OK;
}

enum err_code oauth_browser_wait(struct oauth_browser *b, int64_t wait_ms, struct oauth_tokens *out, struct err *e)
{
	int64_t end = clock_monotonic_ms() + wait_ms;
	struct buf code = BUF_EMPTY;
	bool ready = true;
	enum err_code rc = ERR_NOT_FOUND;

	while (rc == ERR_NOT_FOUND && ready) {
		rc = wait_until(b, b->fd, end, &ready, e);
		if (!rc)
			rc = ready ? receive(b, &code, e)
			           : err_set(e, ERR_DENIED, "the browser did not come back in time");
	}
	if (!rc)
		rc = redeem(b, &code, out, e);
	buf_wipe(&code);
	return rc;
}
