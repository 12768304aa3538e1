#include "session.h"

#include <time.h>

#include "base/text.h"

#define PAUSE_MS     500 /* before the second try; doubles */
#define PAUSE_MS_MAX 30000
#define LOOK_MS      100

enum err_code session_open(const struct imap_login *login, struct session *out, struct err *e)
{
	*out = (struct session){ .login = *login };
	return imap_open(&out->login, &out->client, e);
}

void session_release(struct session *s)
{
	imap_free(&s->client);
	buf_release(&s->raw);
}

void session_progress(struct session *s)
{
	s->tries = 0;
}

/* ---- EXAMINE ---- */

static enum err_code take_examined(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct folder_status *s = ctx;
	uint64_t value;

	if (r->kind == IMAP_DATA) {
		if (strcmp(r->word, "EXISTS") == 0)
			s->messages = r->number;
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

static enum err_code examine(struct session *s, struct span raw, struct folder_status *out, struct err *e)
{
	struct buf name = BUF_EMPTY;
	unsigned tag;
	enum err_code rc = imap_string(s->client, raw, &name, e);

	*out = (struct folder_status){ 0 };
	if (!rc)
		rc = imap_send(s->client, &tag, e, "EXAMINE %.*s%s", (int)name.len, (const char *)name.ptr,
		               imap_capabilities(s->client) & IMAP_CONDSTORE ? " (CONDSTORE)" : "");
	if (!rc)
		rc = imap_wait(s->client, tag, take_examined, out, e);
	buf_release(&name);
	return rc ? err_note(e, "while opening the folder '%s'", text_name(raw).text) : ERR_OK;
}

enum err_code session_examine(struct session *s, struct span raw, bool fresh, struct err *e)
{
	struct folder_status status;
	enum err_code rc;

	if (s->death.code) {
		*e = s->death;
		return e->code;
	}
	if (!fresh && s->raw.len && span_equal(raw, buf_span(&s->raw)))
		return ERR_OK;
	buf_clear(&s->raw);
	for (;;) {
		struct err why;

		rc = examine(s, raw, &status, e);
		if (!rc || rc != ERR_IO || e->retry == ERR_RETRY_NEVER)
			break;
		why = *e;
		rc = session_again(s, &why, e);
		if (rc)
			break;
	}
	if (!rc)
		rc = buf_append(&s->raw, raw, e);
	if (!rc)
		s->status = status;
	return rc;
}

/* ---- again ---- */

static enum err_code pause_before(struct session *s, struct err *e)
{
	int64_t left = s->tries < 2 ? 0 : (int64_t)PAUSE_MS << (s->tries - 2);

	for (left = left < PAUSE_MS_MAX ? left : PAUSE_MS_MAX; left > 0; left -= LOOK_MS) {
		struct timespec t = { .tv_nsec = LOOK_MS * 1000000L };

		if (s->login.stop && *s->login.stop)
			return err_set(e, ERR_CANCELLED, "interrupted");
		nanosleep(&t, NULL);
	}
	return ERR_OK;
}

static enum err_code reopen(struct session *s, struct err *e)
{
	struct folder_status status;
	enum err_code rc = pause_before(s, e);

	imap_free(&s->client);
	if (!rc)
		rc = imap_open(&s->login, &s->client, e);
	if (rc || !s->raw.len)
		return rc;
	rc = examine(s, buf_span(&s->raw), &status, e);
	if (!rc && status.uid_validity != s->status.uid_validity) {
		rc = err_set(e, ERR_VANISHED, "the folder '%s' was made anew meanwhile",
		             text_name(buf_span(&s->raw)).text);
		buf_clear(&s->raw);
	}
	return rc;
}

enum err_code session_again(struct session *s, const struct err *why, struct err *e)
{
	enum err_code rc = why->code;

	*e = *why;
	while (rc == ERR_IO && e->retry != ERR_RETRY_NEVER && ++s->tries < SESSION_TRIES_MAX)
		if (!(rc = reopen(s, e)))
			return ERR_OK;
	/* A server that is gone is gone for every message: nobody shall wait for each of them. */
	if (rc == ERR_IO || !s->client)
		s->death = *e;
	return rc;
}
