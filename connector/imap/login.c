/*
 * How a connection begins: the greeting, TLS, the login, compression.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "client_internal.h"
#include "net/sasl/sasl.h"

/* ---- TLS ---- */

static enum err_code start_tls(struct imap_client *c, struct err *e)
{
	unsigned tag;
	enum err_code rc = client_need_capabilities(c, e);

	if (!rc && !(c->capabilities & IMAP_START_TLS))
		rc = err_set(
		        e, ERR_UNSUPPORTED,
		        "%s offers no STARTTLS on this port; use imaps:// (port 993). Without TLS mailhold sends no "
		        "password",
		        c->host);
	if (!rc)
		rc = imap_send(c, &tag, e, "STARTTLS");
	if (!rc)
		rc = imap_wait(c, tag, client_take_capability, NULL, e);
	if (!rc && !wire_is_empty(&c->wire))
		rc = err_set(e, ERR_DENIED, "%s sent something before TLS began", c->host);
	if (!rc && c->net)
		rc = net_start_tls(c->net, e);
	/* What was said in clear counts for nothing (RFC 9051, 6.2.1). */
	c->has_capabilities = false;
	c->capabilities = c->mechanisms = 0;
	return rc;
}

/* ---- SASL ---- */

static enum err_code send_raw(struct imap_client *c, struct span line, struct err *e)
{
	enum err_code rc = client_send_bytes(c, line, e);

	return rc ? rc : client_send_bytes(c, SPAN_LIT("\r\n"), e);
}

/* Says the next thing of S (NULL: of the LOGIN command, which has nothing to say) to CHALLENGE. */
static enum err_code answer_challenge(struct imap_client *c, struct sasl *s, struct span challenge, struct err *e)
{
	struct buf answer = BUF_EMPTY;
	enum err_code rc = s ? sasl_step(s, challenge, &answer, e) : ERR_OK;

	if (!rc)
		rc = send_raw(c, buf_span(&answer), e);
	buf_wipe(&answer);
	return rc;
}

static enum err_code login_refused(const struct imap_client *c, const struct sasl *s, const struct imap_response *r,
                                   struct err *e)
{
	struct span why = s ? sasl_refusal(s) : SPAN_EMPTY;
	enum err_code rc = imap_refused(r, e);

	if ((r->code.len || e->retry == ERR_RETRY_LATER) && rc != ERR_DENIED)
		return rc;
	err_set(e, ERR_DENIED, "%s refuses the login: %s", c->host, text_name(r->text).text);
	if (why.len)
		err_note(e, "about the token it says %s", text_name(why).text);
	return ERR_DENIED;
}

/* Waits for TAG and answers each '+'. SPOKE: the first message of S is sent already. */
static enum err_code finish_login(struct imap_client *c, unsigned tag, struct sasl *s, bool spoke, struct err *e)
{
	struct imap_response r;
	enum err_code rc = ERR_OK;

	for (unsigned i = 0; !rc && i < CLIENT_TOLD_MAX; i++) {
		rc = imap_next(c, &r, e);
		if (!rc && r.kind == IMAP_CONTINUE) {
			/* What a server says before a client that speaks first has spoken means nothing. */
			rc = answer_challenge(c, s, spoke ? r.text : SPAN_EMPTY, e);
			spoke = true;
		} else if (!rc && r.kind == IMAP_DATA) {
			rc = client_take_capability(NULL, c, &r, e);
		} else if (!rc && r.kind == IMAP_DONE && r.tag == tag) {
			if (r.status != IMAP_OK)
				return login_refused(c, s, &r, e);
			return s ? sasl_finish(s, e) : ERR_OK;
		}
	}
	if (rc)
		return err_note(e, "logging in to %s", c->host);
	return err_set(e, ERR_CORRUPT, "%s never answers the login", c->host);
}

/* "AUTHENTICATE NAME", and with SASL-IR the first message at once. */
static enum err_code send_authenticate(struct imap_client *c, struct sasl *s, const char *name, bool at_once,
                                       unsigned *tag, struct err *e)
{
	struct buf line = BUF_EMPTY;
	enum err_code rc = buf_reserve(&line, CLIENT_COMMAND_MAX, e); /* it never moves, so that wiping it is enough */

	if (!rc)
		rc = buf_printf(&line, e, "AUTHENTICATE %s%s", name, at_once ? " " : "");
	if (!rc && at_once)
		rc = sasl_step(s, SPAN_EMPTY, &line, e);
	if (!rc && line.len > CLIENT_COMMAND_MAX)
		rc = err_set(e, ERR_LIMIT, "the password or token is too long for %s", c->host);
	if (!rc)
		rc = client_send_line(c, tag, buf_span(&line), e);
	buf_wipe(&line);
	return rc;
}

static enum err_code authenticate(struct imap_client *c, const struct imap_login *l, unsigned mechanism, struct err *e)
{
	struct sasl_login login = { .user = l->user, .secret = l->password, .host = l->host, .port = l->port };
	bool client_first = sasl_client_first(mechanism), at_once = client_first && (c->capabilities & IMAP_SASL_IR);
	struct sasl *s = NULL;
	unsigned tag = 0;
	enum err_code rc = sasl_open(mechanism, &login, &s, e);

	if (!rc)
		rc = send_authenticate(c, s, sasl_name(mechanism), at_once, &tag, e);
	if (!rc)
		rc = finish_login(c, tag, s, at_once || !client_first, e);
	sasl_free(&s);
	if (rc == ERR_DENIED && (mechanism & (SASL_SCRAM_SHA_1 | SASL_SCRAM_SHA_256)))
		err_note(e, "by %s (a server that offers it without having what it takes lets in by PLAIN)",
		         sasl_name(mechanism));
	return rc;
}

/* The oldest way, for servers that offer no mechanism that takes a password. */
static enum err_code login_command(struct imap_client *c, const struct imap_login *l, struct err *e)
{
	struct buf line = BUF_EMPTY;
	unsigned tag = 0;
	enum err_code rc = buf_append(&line, SPAN_LIT("LOGIN "), e);

	if (!rc)
		rc = imap_string(c, span_cstr(l->user), &line, e);
	if (!rc)
		rc = buf_append(&line, SPAN_LIT(" "), e);
	if (!rc)
		rc = imap_string(c, l->password, &line, e);
	if (rc == ERR_UNSUPPORTED)
		rc = err_set(e, ERR_UNSUPPORTED, "%s cannot take a user or password with such characters", c->host);
	if (!rc)
		rc = client_send_line(c, &tag, buf_span(&line), e);
	if (!rc)
		rc = finish_login(c, tag, NULL, true, e);
	buf_wipe(&line);
	return rc;
}

/* 0: the LOGIN command. */
static enum err_code choose_mechanism(const struct imap_client *c, const struct imap_login *l, unsigned *out,
                                      struct err *e)
{
	*out = l->mechanism ? l->mechanism & c->mechanisms : sasl_best(c->mechanisms, l->is_token);
	if (*out || (!l->mechanism && !l->is_token && !(c->capabilities & IMAP_LOGIN_DISABLED)))
		return ERR_OK;
	if (l->mechanism)
		return err_set(e, ERR_UNSUPPORTED, "%s offers no login by %s", c->host, sasl_name(l->mechanism));
	if (l->is_token)
		return err_set(e, ERR_UNSUPPORTED, "%s takes no OAuth 2 tokens", c->host);
	return err_set(e, ERR_UNSUPPORTED, "%s takes no passwords; an OAuth 2 token may do", c->host);
}

static enum err_code log_in_with(struct imap_client *c, const struct imap_login *l, struct err *e)
{
	unsigned mechanism;
	enum err_code rc = client_need_capabilities(c, e);

	if (!rc)
		rc = choose_mechanism(c, l, &mechanism, e);
	if (rc)
		return rc;
	c->has_capabilities = false;
	rc = mechanism ? authenticate(c, l, mechanism, e) : login_command(c, l, e);
	/* After the login it offers other things; most servers tell unasked. */
	return rc ? rc : client_need_capabilities(c, e);
}

/* A token may be refused although its time is not over: then one more is asked for, once. */
static enum err_code log_in(struct imap_client *c, const struct imap_login *l, struct err *e)
{
	struct imap_login with = *l;
	enum err_code rc = ERR_DENIED;

	if (!l->token)
		return log_in_with(c, l, e);
	for (int try = 0; try < 2 && rc == ERR_DENIED && !c->broken; try++) {
		struct buf token = BUF_EMPTY;

		rc = l->token(l->token_ctx, try > 0, &token, e);
		if (rc)
			return rc;
		with.password = buf_span(&token);
		rc = log_in_with(c, &with, e);
		buf_wipe(&token);
	}
	return rc;
}

/* ---- the connection ---- */

/* Compressing costs both sides more than a near line costs. */
static enum err_code begin_compression(struct imap_client *c, const struct imap_login *l, struct err *e)
{
	struct span early;
	unsigned tag;
	enum err_code rc;

	if (!c->net || !(c->capabilities & IMAP_COMPRESS_DEFLATE) || l->compress == IMAP_COMPRESS_NEVER ||
	    (l->compress == IMAP_COMPRESS_FAR && !imap_is_far(c)))
		return ERR_OK;
	rc = imap_send(c, &tag, e, "COMPRESS DEFLATE");
	if (!rc)
		rc = imap_wait(c, tag, NULL, NULL, e);
	if (rc)
		return c->broken ? rc : ERR_OK; /* refused: then not */
	early = wire_waiting(&c->wire);
	return net_start_deflate(c->net, early, e);
}

static enum err_code greet(struct imap_client *c, bool *logged_in, struct err *e)
{
	struct imap_response r;
	enum err_code rc = imap_next(c, &r, e);

	if (!rc && (r.kind != IMAP_TOLD || (r.status != IMAP_OK && r.status != IMAP_PREAUTH)))
		rc = err_set(e, ERR_UNSUPPORTED, "%s does not greet like an IMAP server", c->host);
	*logged_in = !rc && r.status == IMAP_PREAUTH;
	return rc;
}

static enum err_code connect_to(struct imap_client *c, const struct net_options *o, struct err *e)
{
	enum err_code rc;

	if (c->away)
		c->away(c->away_ctx, true);
	rc = net_open(o, &c->net, e);
	if (c->away)
		c->away(c->away_ctx, false);
	return rc;
}

enum err_code imap_open(const struct imap_login *l, struct imap_client **out, struct err *e)
{
	const char *port = *l->port ? l->port : l->start_tls ? "143" : "993";
	struct net_options o = { .host = l->host,
		                 .port = port,
		                 .tls = !l->start_tls,
		                 .ca_file = l->ca_file,
		                 .pin = l->pinned ? l->pin : NULL,
		                 .pace = l->pace,
		                 .silence_ms = l->silence_ms,
		                 .stop = l->stop };
	struct imap_client *c = mem_zalloc(1, sizeof *c);
	bool logged_in = false;
	enum err_code rc;

	if (!c)
		return err_no_memory(e, sizeof *c);
	snprintf(c->host, sizeof c->host, "%s", text_name(span_cstr(l->host)).text);
	wire_init(&c->wire, client_read, c);
	c->transport = l->transport;
	c->changes = l->changes;
	c->away = l->away;
	c->away_ctx = l->away_ctx;
	rc = l->transport ? ERR_OK : connect_to(c, &o, e);
	if (!rc)
		rc = greet(c, &logged_in, e);
	if (!rc && l->clear && !l->clear_anywhere && c->net && !net_is_local(c->net))
		rc = err_set(e, ERR_DENIED,
		             "%s is another machine: without TLS everybody on the way reads the password and the mail; "
		             "tls = "
		             "off-anywhere if it has to be",
		             c->host);
	if (!rc && l->start_tls && !l->clear && logged_in)
		rc = err_set(e, ERR_DENIED, "%s logs in without TLS", c->host);
	if (!rc && l->start_tls && !l->clear)
		rc = start_tls(c, e);
	if (!rc)
		rc = logged_in ? client_need_capabilities(c, e) : log_in(c, l, e);
	if (!rc)
		rc = begin_compression(c, l, e);
	if (rc) {
		c->broken = true;
		imap_free(&c);
		return rc;
	}
	*out = c;
	return ERR_OK;
}

static enum err_code keep_string(char **to, const char *from, struct err *e)
{
	size_t n = strlen(from) + 1;

	*to = mem_alloc(n);
	if (!*to)
		return err_no_memory(e, n);
	memcpy(*to, from, n);
	return ERR_OK;
}

enum err_code imap_login_keep(const struct imap_login *from, char *strings[4], struct buf *password,
                              struct imap_login *own, struct err *e)
{
	enum err_code rc = keep_string(&strings[0], from->host, e);

	*own = *from;
	if (!rc)
		rc = keep_string(&strings[1], from->port, e);
	if (!rc)
		rc = keep_string(&strings[2], from->user, e);
	if (!rc && from->ca_file)
		rc = keep_string(&strings[3], from->ca_file, e);
	if (!rc)
		rc = buf_append(password, from->password, e);
	own->host = strings[0];
	own->port = strings[1];
	own->user = strings[2];
	own->ca_file = strings[3];
	own->password = buf_span(password);
	return rc;
}
