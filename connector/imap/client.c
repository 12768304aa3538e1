#include "client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/net.h"
#include "net/sasl/sasl.h"

#define COMMAND_BYTES_MAX (64 * KIB)
#define TOLD_MAX          100000 /* responses while waiting for a login: more is no server */
#define LITERAL_MINUS_MAX 4096   /* RFC 7888, 5 */

struct imap_client {
	struct net *net; /* NULL: TRANSPORT instead */
	const struct imap_transport *transport;
	struct wire wire;
	unsigned tags; /* given */
	unsigned done; /* come back */
	unsigned capabilities;
	uint64_t append_limit;
	unsigned mechanisms; /* of SASL */
	bool has_capabilities;
	bool changes;   /* may be made */
	void (*away)(void *ctx, bool gone); /* as login.away */
	void *away_ctx;
	bool broken;    /* nothing more can be said over it */
	char host[300]; /* printable */
};

/* ---- sending ---- */

/* What reads, logs in or asks; nothing that stores, copies, moves, creates, deletes or expunges. */
static const char *const reading_words[] = {
	"AUTHENTICATE", "CAPABILITY", "COMPRESS", "ENABLE", "EXAMINE",   "GETACL",     "GETMETADATA",
	"GETQUOTAROOT", "ID",         "LIST",     "LOGIN",  "LOGOUT",    "LSUB",       "MYRIGHTS",
	"NOOP",         "NAMESPACE",  "STARTTLS", "STATUS", "UID FETCH", "UID SEARCH", "UNSELECT",
};

/* What a sink needs besides. Nothing that renames or copies, and no EXPUNGE but that of named messages. */
static const char *const changing_words[] = {
	"APPEND", "CREATE", "DELETE", "SELECT", "SUBSCRIBE", "UID EXPUNGE", "UID STORE", "UNSUBSCRIBE",
};

static bool is_one_of(struct span command, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct span word = span_cstr(words[i]);

		if (span_starts(command, word) && (command.len == word.len || command.ptr[word.len] == ' '))
			return true;
	}
	return false;
}

static bool may_send(const struct imap_client *c, struct span command)
{
	return is_one_of(command, reading_words, ARRAY_LEN(reading_words)) ||
	       (c->changes && is_one_of(command, changing_words, ARRAY_LEN(changing_words)));
}

static enum err_code send_bytes(struct imap_client *c, struct span bytes, struct err *e)
{
	return c->net ? net_write(c->net, bytes, e) : c->transport->write(c->transport->ctx, bytes, e);
}

/* How much of LINE goes before the server has to ask for more: all of it, or up to and with a "{12}" and its line end. */
static size_t part_length(struct span line)
{
	for (size_t i = 3; i < line.len; i++)
		if (line.ptr[i] == '\n' && line.ptr[i - 2] == '}' && line.ptr[i - 3] >= '0' && line.ptr[i - 3] <= '9')
			return i + 1;
	return line.len;
}

static enum err_code await_go_ahead(struct imap_client *c, unsigned tag, struct err *e)
{
	struct imap_response r;
	enum err_code rc = ERR_OK;

	if (c->tags != c->done + 1)
		return err_set(e, ERR_STATE, "a literal while other commands are on their way");
	for (unsigned i = 0; !rc && i < TOLD_MAX; i++) {
		rc = imap_next(c, &r, e);
		if (!rc && r.kind == IMAP_CONTINUE)
			return ERR_OK;
		if (!rc && r.kind == IMAP_DONE)
			return r.tag == tag && r.status != IMAP_OK
			               ? imap_refused(&r, e)
			               : err_set(e, ERR_CORRUPT, "the server did not wait for a literal");
		if (!rc && r.kind == IMAP_DATA)
			rc = wire_skip_line(&c->wire, e);
	}
	return rc ? rc : err_set(e, ERR_CORRUPT, "the server never asks for a literal");
}

static enum err_code send_parts(struct imap_client *c, unsigned tag, struct span line, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && line.len) {
		size_t n = part_length(line);

		rc = send_bytes(c, span_first(line, n), e);
		line = span_skip(line, n);
		if (!rc && line.len)
			rc = await_go_ahead(c, tag, e);
	}
	return rc;
}

static enum err_code send_line(struct imap_client *c, unsigned *tag, struct span command, struct err *e)
{
	struct buf line = BUF_WITH_MAX(COMMAND_BYTES_MAX + 64);
	enum err_code rc;

	if (!may_send(c, command))
		return err_set(e, ERR_STATE, "not a reading command");
	if (c->broken) {
		err_set(e, ERR_IO, "%s: the connection is broken", c->host);
		e->retry = ERR_RETRY_NOW;
		return ERR_IO;
	}
	*tag = ++c->tags;
	rc = buf_printf(&line, e, "A%u ", *tag);
	if (!rc)
		rc = buf_append(&line, command, e);
	if (!rc)
		rc = buf_append(&line, SPAN_LIT("\r\n"), e);
	if (!rc)
		rc = send_parts(c, *tag, buf_span(&line), e);
	c->broken |= rc != ERR_OK;
	buf_wipe(&line);
	return rc;
}

enum err_code imap_send(struct imap_client *c, unsigned *tag, struct err *e, const char *fmt, ...)
{
	char *text = mem_alloc(COMMAND_BYTES_MAX);
	enum err_code rc;
	va_list args;
	int n;

	if (!text)
		return err_no_memory(e, COMMAND_BYTES_MAX);
	va_start(args, fmt);
	n = vsnprintf(text, COMMAND_BYTES_MAX, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= COMMAND_BYTES_MAX)
		rc = err_set(e, ERR_LIMIT, "a command of more than %u bytes", (unsigned)COMMAND_BYTES_MAX);
	else
		rc = send_line(c, tag, span_of(text, (size_t)n), e);
	mem_free(text);
	return rc;
}

enum err_code imap_send_more(struct imap_client *c, struct span bytes, struct err *e)
{
	enum err_code rc;

	if (!c->changes)
		return err_set(e, ERR_STATE, "not a reading command");
	rc = send_bytes(c, bytes, e);
	c->broken |= rc != ERR_OK;
	return rc;
}

enum err_code imap_string(const struct imap_client *c, struct span name, struct buf *out, struct err *e)
{
	bool quotable = true, at_once = (c->capabilities & IMAP_LITERAL_PLUS) ||
	                                ((c->capabilities & IMAP_LITERAL_MINUS) && name.len <= LITERAL_MINUS_MAX);
	enum err_code rc;

	for (size_t i = 0; i < name.len; i++) {
		uint8_t b = name.ptr[i];

		if (b == 0)
			return err_set(e, ERR_UNSUPPORTED, "a name with a NUL cannot be asked for");
		quotable &= b >= ' ' && b < 0x7f;
	}
	if (!quotable) {
		rc = buf_printf(out, e, "{%zu%s}\r\n", name.len, at_once ? "+" : "");
		return rc ? rc : buf_append(out, name, e);
	}
	rc = buf_append(out, SPAN_LIT("\""), e);
	for (size_t i = 0; !rc && i < name.len; i++) {
		if (name.ptr[i] == '"' || name.ptr[i] == '\\')
			rc = buf_append(out, SPAN_LIT("\\"), e);
		if (!rc)
			rc = buf_append(out, span_of(name.ptr + i, 1), e);
	}
	return rc ? rc : buf_append(out, SPAN_LIT("\""), e);
}

/* ---- reading ---- */

static enum err_code read_net(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	struct imap_client *c = ctx;
	enum err_code rc;

	if (c->away)
		c->away(c->away_ctx, true);
	rc = c->net ? net_read(c->net, dst, len, got, e) : c->transport->read(c->transport->ctx, dst, len, got, e);
	if (c->away)
		c->away(c->away_ctx, false);
	return rc;
}

static bool status_of(struct span word, enum imap_status *out)
{
	static const char *const names[] = {
		[IMAP_OK] = "OK", [IMAP_NO] = "NO", [IMAP_BAD] = "BAD", [IMAP_BYE] = "BYE", [IMAP_PREAUTH] = "PREAUTH"
	};

	for (enum imap_status s = IMAP_OK; s <= IMAP_PREAUTH; s++)
		if (text_equal_nocase(word, span_cstr(names[s]))) {
			*out = s;
			return true;
		}
	return false;
}

/* "[CODE …] text": a code may hold anything but a line end; the first ']' ends it. */
static enum err_code take_told(struct imap_client *c, struct imap_response *r, struct err *e)
{
	const uint8_t *end;
	enum err_code rc = wire_line(&c->wire, &r->text, e);

	if (rc || !r->text.len || r->text.ptr[0] != '[')
		return rc;
	end = memchr(r->text.ptr, ']', r->text.len);
	if (!end)
		return ERR_OK;
	r->code = span_of(r->text.ptr + 1, (size_t)(end - r->text.ptr) - 1);
	r->text = span_skip(r->text, r->code.len + 2);
	if (r->text.len && r->text.ptr[0] == ' ')
		r->text = span_skip(r->text, 1);
	return ERR_OK;
}

static const struct {
	const char *name;
	enum imap_capability bit;
} capability_names[] = {
	{ "SASL-IR", IMAP_SASL_IR },
	{ "SPECIAL-USE", IMAP_SPECIAL_USE },
	{ "LIST-EXTENDED", IMAP_LIST_EXTENDED },
	{ "LIST-STATUS", IMAP_LIST_STATUS },
	{ "CONDSTORE", IMAP_CONDSTORE },
	{ "QRESYNC", IMAP_QRESYNC },
	{ "ENABLE", IMAP_ENABLE },
	{ "ESEARCH", IMAP_ESEARCH },
	{ "OBJECTID", IMAP_OBJECTID },
	{ "X-GM-EXT-1", IMAP_GMAIL },
	{ "STARTTLS", IMAP_START_TLS },
	{ "LOGINDISABLED", IMAP_LOGIN_DISABLED },
	{ "LITERAL+", IMAP_LITERAL_PLUS },
	{ "LITERAL-", IMAP_LITERAL_MINUS },
	{ "MULTIAPPEND", IMAP_MULTIAPPEND },
	{ "UIDPLUS", IMAP_UIDPLUS },
	{ "CREATE-SPECIAL-USE", IMAP_CREATE_SPECIAL_USE },
	{ "NAMESPACE", IMAP_NAMESPACE },
	{ "COMPRESS=DEFLATE", IMAP_COMPRESS_DEFLATE },
	{ "ACL", IMAP_ACL },
	{ "QUOTA", IMAP_QUOTA },
	{ "METADATA", IMAP_METADATA },
	{ "BINARY", IMAP_BINARY },
};

static void add_capabilities(struct imap_client *c, struct span list)
{
	while (list.len) {
		struct span word = list;

		word.len = 0;
		while (word.len < list.len && list.ptr[word.len] != ' ')
			word.len++;
		for (size_t i = 0; i < ARRAY_LEN(capability_names); i++)
			if (text_equal_nocase(word, span_cstr(capability_names[i].name)))
				c->capabilities |= capability_names[i].bit;
		if (word.len > 12 && text_equal_nocase(span_first(word, 12), SPAN_LIT("APPENDLIMIT=")))
			(void)text_number(span_skip(word, 12), UINT64_MAX, &c->append_limit);
		if (word.len > 5 && text_equal_nocase(span_first(word, 5), SPAN_LIT("AUTH=")))
			c->mechanisms |= sasl_named(span_skip(word, 5));
		list = span_skip(list, word.len + (word.len < list.len));
	}
	c->has_capabilities = true;
}

static void new_capabilities(struct imap_client *c, struct span list)
{
	c->capabilities = c->mechanisms = 0;
	c->append_limit = 0;
	add_capabilities(c, list);
}

static enum err_code take_untagged(struct imap_client *c, struct imap_response *r, struct err *e)
{
	struct wire_token t;
	uint64_t number;
	enum err_code rc = wire_next(&c->wire, &t, e);

	if (!rc && t.kind == WIRE_ATOM && text_number(t.text, UINT32_MAX, &number)) {
		r->number = (uint32_t)number;
		rc = wire_next(&c->wire, &t, e);
	}
	if (rc)
		return rc;
	if (t.kind != WIRE_ATOM || t.text.len >= sizeof r->word)
		return err_set(e, ERR_CORRUPT, "the server sent a response without a name");
	if (status_of(t.text, &r->status)) {
		r->kind = IMAP_TOLD;
		return take_told(c, r, e);
	}
	r->kind = IMAP_DATA;
	for (size_t i = 0; i < t.text.len; i++) {
		uint8_t b = t.text.ptr[i];

		r->word[i] = (char)(b >= 'a' && b <= 'z' ? b - 'a' + 'A' : b);
	}
	return ERR_OK;
}

static enum err_code take_tagged(struct imap_client *c, struct span tag, struct imap_response *r, struct err *e)
{
	struct wire_token t;
	uint64_t number;
	enum err_code rc;

	if (tag.len < 2 || tag.ptr[0] != 'A' || !text_number(span_skip(tag, 1), c->tags, &number))
		return err_set(e, ERR_CORRUPT, "the server sent '%s' where a response belongs", text_name(tag).text);
	r->kind = IMAP_DONE;
	r->tag = (unsigned)number;
	rc = wire_next(&c->wire, &t, e);
	if (rc)
		return rc;
	if (t.kind != WIRE_ATOM || !status_of(t.text, &r->status))
		return err_set(e, ERR_CORRUPT, "the server ended a command with '%s'", text_name(t.text).text);
	c->done++;
	return take_told(c, r, e);
}

static enum err_code read_response(struct imap_client *c, struct imap_response *r, struct err *e)
{
	struct wire_token t;
	enum err_code rc;

	do
		rc = wire_next(&c->wire, &t, e);
	while (!rc && t.kind == WIRE_END); /* an empty line harms nobody */
	if (rc)
		return rc;
	if (t.kind != WIRE_ATOM)
		return err_set(e, ERR_CORRUPT, "the server sent no response");
	if (span_equal(t.text, SPAN_LIT("*")))
		return take_untagged(c, r, e);
	if (span_equal(t.text, SPAN_LIT("+"))) {
		r->kind = IMAP_CONTINUE;
		return wire_line(&c->wire, &r->text, e);
	}
	return take_tagged(c, t.text, r, e);
}

enum err_code imap_next(struct imap_client *c, struct imap_response *out, struct err *e)
{
	enum err_code rc;

	*out = (struct imap_response){ 0 };
	rc = read_response(c, out, e);
	if (!rc && (out->kind == IMAP_DONE || out->kind == IMAP_TOLD) &&
	    span_starts(out->code, SPAN_LIT("CAPABILITY ")))
		new_capabilities(c, span_skip(out->code, 11));
	if (!rc && out->kind == IMAP_TOLD && out->status == IMAP_BYE) {
		err_set(e, ERR_IO, "%s: the server says goodbye: %s", c->host, text_name(out->text).text);
		e->retry = ERR_RETRY_LATER;
		rc = ERR_IO;
	}
	c->broken |= rc != ERR_OK;
	return rc;
}

/* Servers that send no code say it in words: Exchange, Gmail, Yahoo, Dovecot's limits. */
static bool sounds_like_later(struct span text)
{
	static const char *const signs[] = { "throttl",     "try again",     "try later",  "too many", "temporar",
		                             "unavailable", "backoff time",  "rate limit", "timeout",  "timed out",
		                             "overloaded",  "not connected", "busy" };

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		struct span sign = span_cstr(signs[i]);

		for (size_t at = 0; at + sign.len <= text.len; at++)
			if (text_equal_nocase(span_of(text.ptr + at, sign.len), sign))
				return true;
	}
	return false;
}

enum err_code imap_refused(const struct imap_response *r, struct err *e)
{
	static const struct {
		const char *code;
		enum err_code rc;
		enum err_retry retry;
	} known[] = {
		{ "NONEXISTENT", ERR_NOT_FOUND, ERR_RETRY_NEVER },
		{ "AUTHENTICATIONFAILED", ERR_DENIED, ERR_RETRY_NEVER },
		{ "AUTHORIZATIONFAILED", ERR_DENIED, ERR_RETRY_NEVER },
		{ "EXPIRED", ERR_DENIED, ERR_RETRY_NEVER },
		{ "NOPERM", ERR_DENIED, ERR_RETRY_NEVER },
		{ "LIMIT", ERR_IO, ERR_RETRY_LATER },
		{ "OVERQUOTA", ERR_LIMIT, ERR_RETRY_NEVER },
		{ "UNAVAILABLE", ERR_IO, ERR_RETRY_LATER },
		{ "INUSE", ERR_IO, ERR_RETRY_LATER },
		{ "THROTTLED", ERR_IO, ERR_RETRY_LATER },
	};
	enum err_code rc = ERR_IO;
	enum err_retry retry = ERR_RETRY_NEVER;
	bool named = false;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (text_equal_nocase(r->code, span_cstr(known[i].code))) {
			rc = known[i].rc;
			retry = known[i].retry;
			named = true;
		}
	if (!named && sounds_like_later(r->text))
		retry = ERR_RETRY_LATER;
	err_set(e, rc, "the server refuses: %s", text_name(r->text).text);
	e->retry = retry;
	return rc;
}

enum err_code imap_wait(struct imap_client *c, unsigned tag, imap_handler handler, void *ctx, struct err *e)
{
	struct imap_response r;
	enum err_code rc;

	for (;;) {
		rc = imap_next(c, &r, e);
		if (rc)
			return rc;
		if (r.kind == IMAP_DONE && r.tag == tag)
			return r.status == IMAP_OK ? ERR_OK : imap_refused(&r, e);
		if (handler && (r.kind == IMAP_DATA || r.kind == IMAP_TOLD))
			rc = handler(ctx, c, &r, e);
		else if (r.kind == IMAP_DATA)
			rc = wire_skip_line(&c->wire, e);
		if (rc) {
			c->broken = true;
			return rc;
		}
	}
}

bool imap_code_number(struct span code, const char *name, uint64_t *out)
{
	struct span want = span_cstr(name);

	return code.len > want.len + 1 && text_equal_nocase(span_first(code, want.len), want) &&
	       code.ptr[want.len] == ' ' && text_number(span_skip(code, want.len + 1), UINT64_MAX, out);
}

/* ---- login ---- */

static enum err_code take_capability(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct span list;
	enum err_code rc;

	(void)ctx;
	if (r->kind != IMAP_DATA)
		return ERR_OK;
	if (strcmp(r->word, "CAPABILITY") != 0)
		return wire_skip_line(&c->wire, e);
	rc = wire_line(&c->wire, &list, e);
	if (!rc)
		new_capabilities(c, list);
	return rc;
}

static enum err_code need_capabilities(struct imap_client *c, struct err *e)
{
	unsigned tag;
	enum err_code rc;

	if (c->has_capabilities)
		return ERR_OK;
	rc = imap_send(c, &tag, e, "CAPABILITY");
	return rc ? rc : imap_wait(c, tag, take_capability, NULL, e);
}

static enum err_code start_tls(struct imap_client *c, struct err *e)
{
	unsigned tag;
	enum err_code rc = need_capabilities(c, e);

	if (!rc && !(c->capabilities & IMAP_START_TLS))
		rc = err_set(
		        e, ERR_UNSUPPORTED,
		        "%s offers no STARTTLS on this port; use imaps:// (port 993). Without TLS mailhold sends no "
		        "password",
		        c->host);
	if (!rc)
		rc = imap_send(c, &tag, e, "STARTTLS");
	if (!rc)
		rc = imap_wait(c, tag, take_capability, NULL, e);
	if (!rc && !wire_is_empty(&c->wire))
		rc = err_set(e, ERR_DENIED, "%s sent something before TLS began", c->host);
	if (!rc && c->net)
		rc = net_start_tls(c->net, e);
	/* What was said in clear counts for nothing (RFC 9051, 6.2.1). */
	c->has_capabilities = false;
	c->capabilities = c->mechanisms = 0;
	return rc;
}

static enum err_code send_raw(struct imap_client *c, struct span line, struct err *e)
{
	enum err_code rc = send_bytes(c, line, e);

	return rc ? rc : send_bytes(c, SPAN_LIT("\r\n"), e);
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

	for (unsigned i = 0; !rc && i < TOLD_MAX; i++) {
		rc = imap_next(c, &r, e);
		if (!rc && r.kind == IMAP_CONTINUE) {
			/* What a server says before a client that speaks first has spoken means nothing. */
			rc = answer_challenge(c, s, spoke ? r.text : SPAN_EMPTY, e);
			spoke = true;
		} else if (!rc && r.kind == IMAP_DATA) {
			rc = take_capability(NULL, c, &r, e);
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
	enum err_code rc = buf_reserve(&line, COMMAND_BYTES_MAX, e); /* it never moves, so that wiping it is enough */

	if (!rc)
		rc = buf_printf(&line, e, "AUTHENTICATE %s%s", name, at_once ? " " : "");
	if (!rc && at_once)
		rc = sasl_step(s, SPAN_EMPTY, &line, e);
	if (!rc && line.len > COMMAND_BYTES_MAX)
		rc = err_set(e, ERR_LIMIT, "the password or token is too long for %s", c->host);
	if (!rc)
		rc = send_line(c, tag, buf_span(&line), e);
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
		rc = send_line(c, &tag, buf_span(&line), e);
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
	enum err_code rc = need_capabilities(c, e);

	if (!rc)
		rc = choose_mechanism(c, l, &mechanism, e);
	if (rc)
		return rc;
	c->has_capabilities = false;
	rc = mechanism ? authenticate(c, l, mechanism, e) : login_command(c, l, e);
	/* After the login it offers other things; most servers tell unasked. */
	return rc ? rc : need_capabilities(c, e);
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

/* Compressing costs both sides more than a near line costs. */
static enum err_code begin_compression(struct imap_client *c, const struct imap_login *l, struct err *e)
{
	struct span early;
	unsigned tag;
	enum err_code rc;

	if (!c->net || !(c->capabilities & IMAP_COMPRESS_DEFLATE) || l->compress == IMAP_COMPRESS_NEVER ||
	    (l->compress == IMAP_COMPRESS_FAR && net_round_trip_us(c->net) < IMAP_FAR_US))
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
	wire_init(&c->wire, read_net, c);
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
		rc = logged_in ? need_capabilities(c, e) : log_in(c, l, e);
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

void imap_free(struct imap_client **c)
{
	unsigned tag;

	if (!*c)
		return;
	if (!(*c)->broken && (*c)->tags == (*c)->done)
		(void)!imap_send(*c, &tag, &(struct err){ 0 }, "LOGOUT");
	net_free(&(*c)->net);
	wire_release(&(*c)->wire);
	mem_free(*c);
	*c = NULL;
}

unsigned imap_capabilities(const struct imap_client *c)
{
	return c->capabilities;
}

uint64_t imap_append_limit(const struct imap_client *c)
{
	return c->append_limit;
}

bool imap_is_broken(const struct imap_client *c)
{
	return c->broken;
}

void imap_hang_up(struct imap_client *c)
{
	if (c->net)
		net_hang_up(c->net);
}

void imap_stay(struct imap_client *c)
{
	c->away = NULL;
}

void imap_break(struct imap_client *c)
{
	c->broken = true;
}

unsigned imap_outstanding(const struct imap_client *c)
{
	return c->tags - c->done;
}

void imap_cannot(struct imap_client *c, enum imap_capability which)
{
	c->capabilities &= ~(unsigned)which;
}

struct wire *imap_wire(struct imap_client *c)
{
	return &c->wire;
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
