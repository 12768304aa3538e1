#include "client.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "href.h"

#define REDIRECTS_MAX  5
#define TRIES_MIN      5
#define NONSENSE_TRIES 2 /* for what makes no sense */
#define PATIENCE_MS    (5 * 60 * 1000)
#define PAUSE_MS       250
#define PAUSE_MS_MAX   30000
#define ASKED_MS_MAX   (10 * 60 * 1000)

struct dav_client {
	struct http_client *http;
	struct http_said said;
	struct text_name user;
	enum err_code (*token)(void *ctx, bool refused, struct buf *out, struct err *e);
	void *token_ctx;
	bool has_token;
	bool answered; /* ever: a host that is not there is told at once */
	int64_t patience_ms, trouble_ms;
	unsigned tries;
	const volatile sig_atomic_t *stop;
	struct err death;
};

enum err_code dav_open(const struct dav_login *login, struct dav_client **out, struct err *e)
{
	const struct http_server server = { .host = login->host,
		                            .port = login->port,
		                            .clear = login->clear,
		                            .clear_anywhere = login->clear_anywhere,
		                            .ca_file = login->ca_file,
		                            .pin = login->pinned ? login->pin : NULL,
		                            .auth = login->auth,
		                            .user = login->user,
		                            .password = login->password,
		                            .pace = login->pace,
		                            .compressed = login->compressed,
		                            .stop = login->stop };
	struct dav_client *c = mem_zalloc(1, sizeof *c);
	enum err_code rc;

	if (!c)
		return err_no_memory(e, sizeof *c);
	c->user = text_name(span_cstr(login->user));
	c->token = login->token;
	c->token_ctx = login->token_ctx;
	c->patience_ms = login->patience_ms < 0 ? 0 : login->patience_ms ? login->patience_ms : PATIENCE_MS;
	c->stop = login->stop;
	rc = http_open(&server, &c->http, e);
	if (rc)
		dav_free(&c);
	*out = c;
	return rc;
}

const char *dav_origin(const struct dav_client *c)
{
	return http_origin(c->http);
}

void dav_insist(struct dav_client *c)
{
	http_insist(c->http);
}

void dav_agree(struct dav_client *c, const struct dav_client *from)
{
	http_agree(c->http, from->http);
}

void dav_answer_release(struct dav_answer *a)
{
	buf_release(&a->path);
	buf_release(&a->sync_token);
}

void dav_free(struct dav_client **c)
{
	if (!*c)
		return;
	http_free(&(*c)->http);
	http_said_release(&(*c)->said);
	mem_free(*c);
	*c = NULL;
}

static enum err_code fresh_token(struct dav_client *c, bool refused, struct err *e)
{
	struct buf token = BUF_EMPTY;
	enum err_code rc;

	if (!c->token || (c->has_token && !refused))
		return ERR_OK;
	rc = c->token(c->token_ctx, refused, &token, e);
	if (!rc)
		rc = http_set_token(c->http, buf_span(&token), e);
	c->has_token = !rc;
	buf_wipe(&token);
	return rc;
}

/* ---- one request ---- */

struct reading {
	struct dav_client *client;
	const struct dav_ask *ask;
	struct multistatus *xml;
};

static enum err_code take_bytes(void *ctx, struct span piece, struct err *e)
{
	struct reading *r = ctx;

	/* What comes is learned: patience begins anew. */
	r->client->tries = 0;
	return r->xml ? multistatus_feed(r->xml, piece, e) : r->ask->bytes(r->ask->ctx, piece, e);
}

static enum err_code said_condition(void *ctx, unsigned depth, struct span space, struct span local, struct span name,
                                    struct span text, struct err *e)
{
	struct dav_answer *out = ctx;

	(void)space;
	(void)name;
	(void)text;
	(void)e;
	if (depth == 1 && !*out->condition && local.len < sizeof out->condition)
		memcpy(out->condition, local.ptr, local.len);
	return ERR_OK;
}

/* <error><valid-sync-token/></error>, behind an XML declaration. */
static void find_condition(struct span body, struct dav_answer *out)
{
	const uint8_t *end;
	struct err ignored;

	while (body.len && body.ptr[0] <= ' ')
		body = span_skip(body, 1);
	if (span_starts(body, SPAN_LIT("<?xml"))) {
		end = memchr(body.ptr, '>', body.len);
		body = end ? span_skip(body, (size_t)(end + 1 - body.ptr)) : SPAN_EMPTY;
	}
	if (body.len)
		(void)!dav_fragment_each(body, said_condition, out, &ignored);
}

static enum err_code means(const struct dav_client *c, const struct dav_answer *out, struct err *e)
{
	struct text_name path = text_name(buf_span(&out->path)), why = text_name(span_cstr(out->condition));
	char what[1000];

	snprintf(what, sizeof what, "%s says %ld%s%s to %s", http_origin(c->http), out->status, *why.text ? " " : "",
	         why.text, path.text);
	switch (out->status) {
	case 401:
	case 407:
		return err_set(e, ERR_DENIED, "%s refuses the login of %s", http_origin(c->http), c->user.text);
	case 403:
		return err_set(e, ERR_DENIED, "%s", what);
	case 404:
	case 410:
		return err_set(e, ERR_NOT_FOUND, "%s", what);
	case 400:
	case 405:
	case 409:
	case 412:
	case 415:
	case 501:
		return err_set(e, ERR_UNSUPPORTED, "%s", what);
	case 413:
	case 507:
		return err_set(e, ERR_LIMIT, "%s", what);
	default:
		err_set(e, ERR_IO, "%s", what);
		if (out->status == 429 || (out->status >= 502 && out->status <= 504))
			e->retry = ERR_RETRY_LATER;
		return ERR_IO;
	}
}

/* Asks once, where PATH says. *MOVED: the answer is a redirect, and out->path where to. */
static enum err_code ask_once(struct dav_client *c, const struct dav_ask *ask, struct dav_answer *out, bool *moved,
                              struct err *e)
{
	char depth[16];
	const char *headers[3] = { NULL };
	struct reading reading = { c, ask, NULL };
	struct http_ask http = { .method = ask->method,
		                 .target = buf_span(&out->path),
		                 .headers = headers,
		                 .body = ask->body,
		                 .answer_bytes_max = ask->bytes_max,
		                 .take = take_bytes,
		                 .ctx = &reading };
	size_t count = 0;
	enum err_code rc = fresh_token(c, false, e);

	if (ask->depth) {
		snprintf(depth, sizeof depth, "Depth: %s", ask->depth);
		headers[count++] = depth;
	}
	if (ask->body.len)
		headers[count++] = "Content-Type: application/xml; charset=utf-8";
	*moved = false;
	*out->condition = 0;
	if (!rc && ask->response)
		rc = multistatus_open(ask->response, ask->ctx, ask->bytes_max, &reading.xml, e);
	if (!rc)
		rc = http_request(c->http, &http, &c->said, e);
	c->answered |= c->said.status != 0;
	out->status = c->said.status;
	if (!http_date(buf_span(&c->said.modified), &out->modified_s))
		out->modified_s = DAV_NO_TIME;
	if (!rc && c->said.status >= 300 && c->said.status < 400 && c->said.location.len) {
		struct buf to = BUF_EMPTY;

		rc = href_resolve(http_origin(c->http), buf_span(&out->path), buf_span(&c->said.location), &to, e);
		*moved = !rc;
		buf_release(&out->path);
		out->path = to;
		if (rc == ERR_DENIED)
			err_note(e, "it sends us on to another server, which does not get this login: name that one");
	} else if (!rc && (c->said.status < 200 || c->said.status > 299)) {
		find_condition(buf_span(&c->said.body), out);
		rc = means(c, out, e);
	} else if (!rc && ask->response && c->said.status != 207) {
		rc = err_set(e, ERR_UNSUPPORTED, "%s is no DAV server: it answers %s with %ld", http_origin(c->http),
		             ask->method, c->said.status);
	} else if (!rc && reading.xml) {
		rc = multistatus_finish(reading.xml, e);
		if (!rc) {
			buf_clear(&out->sync_token);
			rc = buf_append(&out->sync_token, multistatus_sync_token(reading.xml), e);
		}
	}
	multistatus_free(&reading.xml);
	return rc;
}

static enum err_code ask_following(struct dav_client *c, const struct dav_ask *ask, struct dav_answer *out,
                                   struct err *e)
{
	bool moved = false, refused = false;
	enum err_code rc = ERR_OK;

	buf_clear(&out->path);
	rc = buf_append(&out->path, ask->path, e);
	for (unsigned i = 0; !rc && i <= REDIRECTS_MAX; i++) {
		rc = ask_once(c, ask, out, &moved, e);
		/* A token that has run out meanwhile: once more with a new one. */
		if (rc == ERR_DENIED && out->status == 401 && c->token && !refused) {
			refused = true;
			rc = fresh_token(c, true, e);
			moved = !rc;
		}
		if (!rc && !moved)
			return ERR_OK;
	}
	return rc ? rc : err_set(e, ERR_IO, "%s sends us on more than %d times", http_origin(c->http), REDIRECTS_MAX);
}

/* ---- again ---- */

static int64_t pause_ms(const struct dav_client *c)
{
	unsigned doublings = c->tries < 2 ? 0 : c->tries - 2;
	int64_t most = c->patience_ms / 8 < PAUSE_MS_MAX ? c->patience_ms / 8 : PAUSE_MS_MAX;
	int64_t ms = doublings < 12 ? (int64_t)PAUSE_MS << doublings : most;
	int64_t asked = c->said.status >= 400 && c->said.retry_after_s > 0 ? c->said.retry_after_s * 1000 : 0;

	asked = asked < ASKED_MS_MAX ? asked : ASKED_MS_MAX;
	if (c->tries < 2 && !asked)
		return 0;
	ms = ms < most ? ms : most;
	return asked > ms && c->patience_ms ? asked : ms;
}

/* After the failure in E: ERR_OK when it may be asked again. */
static enum err_code try_again(struct dav_client *c, const struct dav_ask *ask, unsigned nonsense, struct err *e)
{
	int64_t now = clock_monotonic_ms();
	struct err why = *e;

	if (e->code == ERR_CORRUPT && !ask->once && nonsense < NONSENSE_TRIES)
		return ERR_OK;
	if (e->code != ERR_IO || e->retry == ERR_RETRY_NEVER || !c->answered)
		return e->code;
	if (!c->tries++)
		c->trouble_ms = now;
	if (c->tries < TRIES_MIN || now - c->trouble_ms < c->patience_ms)
		return stop_wait(pause_ms(c), c->stop, e);
	c->death = why;
	return e->code;
}

enum err_code dav_request(struct dav_client *c, const struct dav_ask *ask, struct dav_answer *out, struct err *e)
{
	enum err_code rc;

	if (c->death.code) {
		*e = c->death;
		return e->code;
	}
	for (unsigned nonsense = 0;; nonsense++) {
		if (stop_asked(c->stop))
			return err_set(e, ERR_CANCELLED, "interrupted");
		rc = ask_following(c, ask, out, e);
		if (!rc) {
			c->tries = 0;
			return ERR_OK;
		}
		rc = try_again(c, ask, nonsense, e);
		if (rc)
			return rc;
		if (ask->again)
			ask->again(ask->ctx);
	}
}
