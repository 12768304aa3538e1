#include "session.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/stop.h"
#include "base/text.h"

#define PAUSE_MS       250 /* before the second try; doubles */
#define PAUSE_MS_MAX   30000
#define BACKOFF_MS_MAX (10 * 60 * 1000) /* that a server may ask for */
#define LOOK_MS        50
#define OPEN_BYTES_MAX 4096

/* QRESYNC has to be asked for once. Nobody needs the answer, but where literals wait nothing may be on its way. */
static enum err_code enable(struct session *s, struct err *e)
{
	unsigned have = imap_capabilities(s->client), tag;
	enum err_code rc;

	if (!(have & IMAP_QRESYNC) || !(have & IMAP_ENABLE))
		return ERR_OK;
	rc = imap_send(s->client, &tag, e, "ENABLE QRESYNC");
	if (rc || (have & (IMAP_LITERAL_PLUS | IMAP_LITERAL_MINUS)))
		return rc;
	rc = imap_wait(s->client, tag, NULL, NULL, e);
	if (!rc || imap_is_broken(s->client))
		return rc;
	imap_cannot(s->client, IMAP_QRESYNC);
	return ERR_OK;
}

static enum err_code connect_anew(struct session *s, struct err *e)
{
	enum err_code rc = imap_open(&s->login, &s->client, e);

	return rc ? rc : enable(s, e);
}

enum err_code session_open(const struct imap_login *login, struct session *out, struct err *e)
{
	enum err_code rc;

	memset(out, 0, sizeof *out);
	out->login = *login;
	rc = connect_anew(out, e);
	if (rc)
		session_release(out);
	return rc;
}

void session_release(struct session *s)
{
	imap_free(&s->client);
	buf_release(&s->raw);
}

void session_end(struct session *s)
{
	s->ending = true;
	if (s->client)
		imap_hang_up(s->client);
}

void session_progress(struct session *s)
{
	s->tries = 0;
}

/* ---- EXAMINE ---- */

struct examining {
	struct folder_status *status;
	imap_handler handler;
	void *ctx;
	const char *behind; /* a command to send right behind; NULL: none */
	unsigned tag;       /* of that; 0: not sent */
};

static enum err_code take_examined(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct examining *x = ctx;
	struct folder_status *s = x->status;
	uint64_t value;

	if (r->kind == IMAP_DATA) {
		if (strcmp(r->word, "EXISTS") == 0)
			s->messages = r->number;
		if (x->handler && (!strcmp(r->word, "FETCH") || !strcmp(r->word, "VANISHED")))
			return x->handler(x->ctx, c, r, e);
		return wire_skip_line(imap_wire(c), e);
	}
	if (imap_code_number(r->code, "UIDVALIDITY", &value))
		s->uid_validity = (uint32_t)value;
	else if (imap_code_number(r->code, "UIDNEXT", &value))
		s->uid_next = (uint32_t)value;
	else if (imap_code_number(r->code, "HIGHESTMODSEQ", &value))
		s->mod_seq = value;
	return ERR_OK;
}

static enum err_code examine(struct session *s, struct span raw, const struct folder_status *since, struct examining *x,
                             struct err *e)
{
	struct buf line = BUF_WITH_MAX(OPEN_BYTES_MAX + 2 * WIRE_WORD_BYTES_MAX);
	unsigned have = imap_capabilities(s->client), tag;
	bool awaited;
	enum err_code rc = buf_printf(&line, e, "EXAMINE ");

	*x->status = (struct folder_status){ 0 };
	x->tag = 0;
	if (!rc)
		rc = imap_string(s->client, raw, &line, e);
	/* Where a literal has to be asked for, nothing else may be on its way. */
	awaited = line.len && line.ptr[line.len - 1] != '"';
	if (!rc && since)
		rc = buf_printf(&line, e, " (QRESYNC (%" PRIu32 " %" PRIu64 "))", since->uid_validity, since->mod_seq);
	else if (!rc && (have & IMAP_CONDSTORE))
		rc = buf_printf(&line, e, " (CONDSTORE)");
	if (!rc)
		rc = imap_send(s->client, &tag, e, "%.*s", (int)line.len, (const char *)line.ptr);
	if (!rc && x->behind && !awaited)
		rc = imap_send(s->client, &x->tag, e, "%s", x->behind);
	if (!rc)
		rc = imap_wait(s->client, tag, take_examined, x, e);
	/* Refused, so what is behind it will be, too. */
	if (rc && x->tag && !imap_is_broken(s->client)) {
		struct err refused;

		(void)!imap_wait(s->client, x->tag, NULL, NULL, &refused);
		x->tag = 0;
	}
	buf_release(&line);
	return rc ? err_note(e, "while opening the folder '%s'", text_name(raw).text) : ERR_OK;
}

static bool may_pass(const struct session *s, enum err_code rc, const struct err *e)
{
	return (rc == ERR_IO && e->retry != ERR_RETRY_NEVER) || (rc == ERR_CORRUPT && imap_is_broken(s->client));
}

static enum err_code open_mailbox(struct session *s, struct span raw, const struct folder_status *since,
                                  struct examining *x, bool *restarted, struct err *e)
{
	struct err why;
	enum err_code rc;

	buf_clear(&s->raw);
	for (;;) {
		rc = examine(s, raw, since, x, e);
		if (!rc)
			break;
		if (since && !imap_is_broken(s->client) && e->retry != ERR_RETRY_LATER)
			return err_set(e, ERR_UNSUPPORTED, "the server has no QRESYNC after all");
		if (!may_pass(s, rc, e))
			return rc;
		why = *e;
		rc = session_again(s, &why, NULL, e);
		if (rc)
			return rc;
		if (restarted)
			*restarted = true;
	}
	s->status = *x->status;
	return buf_append(&s->raw, raw, e);
}

enum err_code session_examine(struct session *s, struct span raw, bool fresh, struct err *e)
{
	struct folder_status status;

	if (s->death.code) {
		*e = s->death;
		return e->code;
	}
	if (!fresh && s->raw.len && span_equal(raw, buf_span(&s->raw)))
		return ERR_OK;
	return open_mailbox(s, raw, NULL, &(struct examining){ .status = &status }, NULL, e);
}

enum err_code session_resync(struct session *s, struct span raw, const struct folder_status *known, const char *behind,
                             imap_handler handler, void *ctx, bool *restarted, unsigned *tag, struct err *e)
{
	struct folder_status status;
	struct examining x = { &status, handler, ctx, behind, 0 };
	enum err_code rc;

	if (s->death.code) {
		*e = s->death;
		return e->code;
	}
	if (!(imap_capabilities(s->client) & IMAP_QRESYNC))
		return err_set(e, ERR_UNSUPPORTED, "the server has no QRESYNC");
	rc = open_mailbox(s, raw, known, &x, restarted, e);
	*tag = rc ? 0 : x.tag;
	/* It may have hung up over it; the next connection is asked again. */
	if (rc == ERR_UNSUPPORTED && s->client)
		imap_cannot(s->client, IMAP_QRESYNC);
	return rc;
}

/* ---- again ---- */

static int64_t patience(const struct session *s)
{
	int64_t ms = s->login.patience_ms;

	return ms < 0 ? 0 : ms ? ms : SESSION_PATIENCE_MS;
}

/* "Suggested Backoff Time: 299499 milliseconds", as Exchange says it; 0: nothing of the kind. */
static int64_t asked_for(const char *text)
{
	const char *at = strstr(text, "Backoff Time:");
	long long ms;

	if (!at)
		return 0;
	for (at += 13; *at == ' '; at++)
		;
	if (!isdigit((unsigned char)*at))
		return 0;
	ms = strtoll(at, NULL, 10);
	return ms < BACKOFF_MS_MAX ? ms : BACKOFF_MS_MAX;
}

/* How long to wait before try number s->tries. */
static int64_t pause_ms(const struct session *s, const struct err *why)
{
	unsigned doublings = s->tries < 2 ? 0 : s->tries - 2;
	int64_t most = patience(s) / 8 < PAUSE_MS_MAX ? patience(s) / 8 : PAUSE_MS_MAX;
	int64_t ms = doublings < 12 ? (int64_t)PAUSE_MS << doublings : most;

	if (s->tries < 2 && why->retry != ERR_RETRY_LATER)
		return 0;
	ms = ms < most ? ms : most;
	return asked_for(why->text) > ms ? asked_for(why->text) : ms;
}

static enum err_code pause_for(const struct session *s, int64_t left, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (left > 0 && s->login.away)
		s->login.away(s->login.away_ctx, true);
	for (int64_t rest = left; rest > 0 && !rc; rest -= LOOK_MS) {
		if (s->ending)
			rc = err_set(e, ERR_CANCELLED, "interrupted");
		else
			rc = stop_wait(rest < LOOK_MS ? rest : LOOK_MS, s->login.stop, e);
	}
	if (left > 0 && s->login.away)
		s->login.away(s->login.away_ctx, false);
	return rc;
}

static enum err_code reopen(struct session *s, struct err *e)
{
	struct folder_status status;
	struct examining x = { .status = &status };
	enum err_code rc;

	imap_free(&s->client);
	rc = connect_anew(s, e);
	if (rc || !s->raw.len)
		return rc;
	rc = examine(s, buf_span(&s->raw), NULL, &x, e);
	if (!rc && status.uid_validity != s->status.uid_validity) {
		rc = err_set(e, ERR_VANISHED, "the folder '%s' was made anew meanwhile",
		             text_name(buf_span(&s->raw)).text);
		buf_clear(&s->raw);
	}
	return rc;
}

/* A login that worked before and is refused now is another way to say "too many", up to a point. */
static bool worth_a_try(const struct err *e)
{
	return (e->code == ERR_IO && e->retry != ERR_RETRY_NEVER) || e->code == ERR_CORRUPT;
}

enum err_code session_again(struct session *s, const struct err *why, bool *same, struct err *e)
{
	bool kept = s->client && !imap_is_broken(s->client) && why->code == ERR_IO;
	enum err_code rc = why->code;

	*e = *why;
	while (worth_a_try(e) && !s->ending) {
		int64_t now = clock_monotonic_ms();

		if (!s->tries++)
			s->trouble_ms = now;
		if (s->tries >= SESSION_TRIES_MIN && now - s->trouble_ms >= patience(s))
			break;
		rc = pause_for(s, pause_ms(s, e), e);
		if (!rc && !kept)
			rc = reopen(s, e);
		if (!rc) {
			if (same)
				*same = kept;
			return ERR_OK;
		}
		kept = false;
	}
	if (rc == ERR_IO || rc == ERR_CORRUPT || !s->client)
		s->death = *e;
	return rc;
}
