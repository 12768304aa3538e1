#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "client_internal.h"
#include "net/sasl/sasl.h"

#define LITERAL_MINUS_MAX 4096 /* RFC 7888, 5 */

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

enum err_code client_send_bytes(struct imap_client *c, struct span bytes, struct err *e)
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
	for (unsigned i = 0; !rc && i < CLIENT_TOLD_MAX; i++) {
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

		rc = client_send_bytes(c, span_first(line, n), e);
		line = span_skip(line, n);
		if (!rc && line.len)
			rc = await_go_ahead(c, tag, e);
	}
	return rc;
}

enum err_code client_send_line(struct imap_client *c, unsigned *tag, struct span command, struct err *e)
{
	struct buf line = BUF_WITH_MAX(CLIENT_COMMAND_MAX + 64);
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
	char *text = mem_alloc(CLIENT_COMMAND_MAX);
	enum err_code rc;
	va_list args;
	int n;

	if (!text)
		return err_no_memory(e, CLIENT_COMMAND_MAX);
	va_start(args, fmt);
	n = vsnprintf(text, CLIENT_COMMAND_MAX, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= CLIENT_COMMAND_MAX)
		rc = err_set(e, ERR_LIMIT, "a command of more than %u bytes", (unsigned)CLIENT_COMMAND_MAX);
	else
		rc = client_send_line(c, tag, span_of(text, (size_t)n), e);
	mem_free(text);
	return rc;
}

enum err_code imap_send_more(struct imap_client *c, struct span bytes, struct err *e)
{
	enum err_code rc;

	if (!c->changes)
		return err_set(e, ERR_STATE, "not a reading command");
	rc = client_send_bytes(c, bytes, e);
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

enum err_code client_read(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e)
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

/* ---- what it can ---- */

enum err_code client_take_capability(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
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

enum err_code client_need_capabilities(struct imap_client *c, struct err *e)
{
	unsigned tag;
	enum err_code rc;

	if (c->has_capabilities)
		return ERR_OK;
	rc = imap_send(c, &tag, e, "CAPABILITY");
	return rc ? rc : imap_wait(c, tag, client_take_capability, NULL, e);
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

bool imap_is_far(const struct imap_client *c)
{
	return c->net && net_round_trip_us(c->net) >= IMAP_FAR_US;
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
