#include "sink_line.h"

#include "base/stop.h"
#include "base/text.h"

#define PAUSE_MS     500 /* before the first try: what was being stored shall be stored before we look; doubles */
#define PAUSE_MS_MAX 30000

enum err_code sink_line_open(const struct imap_login *login, struct sink_line *out, struct err *e)
{
	*out = (struct sink_line){ .login = *login };
	return imap_open(&out->login, &out->client, e);
}

void sink_line_release(struct sink_line *l)
{
	imap_free(&l->client);
	buf_release(&l->open);
	buf_release(&l->permanent);
}

void sink_line_progress(struct sink_line *l)
{
	l->tries = 0;
}

/* ---- folders ---- */

static enum err_code take_opened(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct sink_line *l = ctx;
	struct span flags = SPAN_LIT("PERMANENTFLAGS ");
	uint64_t value;

	if (r->kind == IMAP_DATA) {
		if (strcmp(r->word, "EXISTS") == 0)
			l->messages = r->number;
		return wire_skip_line(imap_wire(c), e);
	}
	if (imap_code_number(r->code, "UIDVALIDITY", &value)) {
		l->uid_validity = (uint32_t)value;
	} else if (imap_code_number(r->code, "UIDNEXT", &value)) {
		l->uid_next = (uint32_t)value;
	} else if (r->code.len > flags.len && text_equal_nocase(span_first(r->code, flags.len), flags)) {
		buf_clear(&l->permanent);
		return buf_append(&l->permanent, span_skip(r->code, flags.len), e);
	}
	return ERR_OK;
}

enum err_code sink_line_select(struct sink_line *l, struct span raw, struct err *e)
{
	struct buf name = BUF_EMPTY;
	unsigned tag;
	enum err_code rc;

	if (l->open.len && span_equal(raw, buf_span(&l->open)))
		return ERR_OK;
	buf_clear(&l->open);
	buf_clear(&l->permanent);
	l->uid_validity = l->uid_next = l->messages = 0;
	rc = imap_string(l->client, raw, &name, e);
	if (!rc)
		rc = imap_send(l->client, &tag, e, "%s %.*s", l->login.changes ? "SELECT" : "EXAMINE", (int)name.len,
		               (const char *)name.ptr);
	if (!rc)
		rc = imap_wait(l->client, tag, take_opened, l, e);
	if (!rc)
		rc = buf_append(&l->open, raw, e);
	buf_release(&name);
	return rc ? err_note(e, "while opening the folder '%s'", text_name(raw).text) : ERR_OK;
}

/* ---- again ---- */

enum err_code sink_line_pause(struct sink_line *l, int64_t ms, struct err *e)
{
	return stop_wait(ms, l->login.stop, e);
}

static enum err_code pause_before(struct sink_line *l, struct err *e)
{
	int64_t ms = (int64_t)PAUSE_MS << (l->tries - 1);

	return sink_line_pause(l, ms < PAUSE_MS_MAX ? ms : PAUSE_MS_MAX, e);
}

/* Worth another try: a connection that broke or talked nonsense, and a server that said "later". */
static bool may_pass(const struct sink_line *l, const struct err *e)
{
	bool broken = !l->client || imap_is_broken(l->client);

	return e->code != ERR_CANCELLED && e->code != ERR_NO_MEMORY && e->code != ERR_DENIED &&
	       (broken || e->retry != ERR_RETRY_NEVER);
}

enum err_code sink_line_again(struct sink_line *l, const struct err *why, struct err *e)
{
	enum err_code rc = why->code;

	*e = *why;
	while (may_pass(l, e) && ++l->tries < SINK_LINE_TRIES_MAX) {
		rc = pause_before(l, e);
		if (rc)
			break;
		if (l->client && !imap_is_broken(l->client))
			return ERR_OK;
		imap_free(&l->client);
		buf_clear(&l->open);
		rc = imap_open(&l->login, &l->client, e);
		if (!rc)
			return ERR_OK;
	}
	if (!l->client || imap_is_broken(l->client))
		l->death = *e;
	return rc;
}
