#include "outbox_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/pace.h"
#include "base/text.h"
#include "mime/mend/mend.h"

#define STAGING_BYTES     (64 * KIB)
#define LITERAL_MINUS_MAX 4096 /* RFC 7888, 5 */

/* ---- sending ---- */

/* Small pieces are gathered: each write is a record of TLS, and maybe a packet. */
static enum err_code push(struct outbox *o, struct err *e)
{
	size_t bytes = o->staging.len;
	enum err_code rc = bytes ? imap_send_more(outbox_client(o), buf_span(&o->staging), e) : ERR_OK;
	int64_t wait_ms;

	buf_clear(&o->staging);
	if (rc || !bytes)
		return rc;
	wait_ms = pace_take(o->o.line->login.pace, bytes, clock_monotonic_ms());
	return wait_ms ? sink_line_pause(o->o.line, wait_ms, e) : ERR_OK;
}

static enum err_code stage_bytes(struct outbox *o, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		size_t n = num_min(STAGING_BYTES - o->staging.len, bytes.len);

		rc = buf_append(&o->staging, span_first(bytes, n), e);
		bytes = span_skip(bytes, n);
		if (!rc && o->staging.len == STAGING_BYTES)
			rc = push(o, e);
	}
	return rc;
}

static enum err_code stage_stream(struct outbox *o, const struct mail *m, struct err *e)
{
	const struct item_body *body = m->stream;
	struct buf converted = BUF_EMPTY;
	struct mend mend = MEND_EMPTY;
	struct span piece;
	enum err_code rc = body->rewind(body->ctx, e);

	while (!rc) {
		rc = body->next(body->ctx, &piece, e);
		if (rc || !piece.len)
			break;
		buf_clear(&converted);
		if (m->mends)
			rc = mend_add(&mend, piece, &converted, e);
		else if (m->converts)
			rc = line_ends_convert(piece, &converted, e);
		if (m->mends || m->converts)
			piece = buf_span(&converted);
		if (!rc)
			rc = stage_bytes(o, piece, e);
	}
	buf_clear(&converted);
	if (!rc && m->mends)
		rc = mend_end(&mend, &converted, e);
	if (!rc && m->mends)
		rc = stage_bytes(o, buf_span(&converted), e);
	mend_release(&mend);
	buf_release(&converted);
	return rc;
}

static void date_words(int64_t date_s, int16_t zone_minutes, char out[40])
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
		                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t local = (time_t)(date_s + (int64_t)zone_minutes * 60);
	int zone = zone_minutes < 0 ? -zone_minutes : zone_minutes;
	struct tm t = { 0 };

	out[0] = 0;
	if (date_s == THERE_NO_DATE || !gmtime_r(&local, &t) || t.tm_year > 9999 - 1900)
		return;
	snprintf(out, 40, " \"%2d-%s-%04d %02d:%02d:%02d %c%02d%02d\"", t.tm_mday, months[t.tm_mon], t.tm_year + 1900,
	         t.tm_hour, t.tm_min, t.tm_sec, zone_minutes < 0 ? '-' : '+', zone / 60 % 100, zone % 60);
}

bool outbox_at_once(const struct outbox *o, const struct mail *m)
{
	unsigned have = imap_capabilities(outbox_client(o));

	return (have & IMAP_LITERAL_PLUS) || ((have & IMAP_LITERAL_MINUS) && m->print.bytes <= LITERAL_MINUS_MAX);
}

/* " (\Seen) "date" {12+}": what stands before a mail's bytes. */
static enum err_code introduction(const struct outbox *o, const struct batch *b, const struct mail *m, struct buf *out,
                                  struct err *e)
{
	struct span flags = batch_text(b, m->flags, m->flags_bytes);
	bool binary = m->has_nul && (imap_capabilities(outbox_client(o)) & IMAP_BINARY);
	char date[40];

	date_words(m->date_s, m->zone_minutes, date);
	return buf_printf(out, e, "%s%.*s%s%s %s{%" PRIu64 "%s}", flags.len ? " (" : "", (int)flags.len,
	                  flags.len ? (const char *)flags.ptr : "", flags.len ? ")" : "", date, binary ? "~" : "",
	                  m->print.bytes, outbox_at_once(o, m) ? "+" : "");
}

static enum err_code take_done(struct outbox *o, const struct imap_response *r, struct err *e);

/* Until the server asks for the literal of TAG. *REFUSED: it does not want it. */
static enum err_code await_go_ahead(struct outbox *o, unsigned tag, bool *refused, struct err *e)
{
	struct imap_response r;
	enum err_code rc;

	*refused = false;
	for (;;) {
		rc = imap_next(outbox_client(o), &r, e);
		if (rc || r.kind == IMAP_CONTINUE)
			return rc;
		if (r.kind == IMAP_DATA)
			rc = wire_skip_line(imap_wire(outbox_client(o)), e);
		if (!rc && r.kind == IMAP_DONE)
			rc = take_done(o, &r, e);
		if (rc)
			return rc;
		if (r.kind == IMAP_DONE && r.tag == tag) {
			*refused = true;
			return ERR_OK;
		}
	}
}

/* Begins a command with the first mail's introduction, or goes on with it. */
static enum err_code begin_mail(struct outbox *o, struct batch *b, struct mail *m, unsigned *tag, struct err *e)
{
	struct buf line = BUF_EMPTY, name = BUF_EMPTY;
	enum err_code rc = introduction(o, b, m, &line, e);

	if (!rc && !*tag) {
		rc = push(o, e);
		if (!rc)
			rc = imap_string(outbox_client(o), buf_span(&o->folder->raw), &name, e);
		if (!rc)
			rc = imap_send(outbox_client(o), tag, e, "APPEND %.*s%.*s", (int)name.len,
			               (const char *)name.ptr, (int)line.len, (const char *)line.ptr);
	} else if (!rc) {
		rc = buf_append(&line, SPAN_LIT("\r\n"), e);
		if (!rc)
			rc = stage_bytes(o, buf_span(&line), e);
	}
	m->tag = *tag;
	m->stage = STAGE_SENT;
	buf_release(&line);
	buf_release(&name);
	return rc;
}

static enum err_code send_mail(struct outbox *o, struct batch *b, struct mail *m, unsigned *tag, bool *refused,
                               struct err *e)
{
	enum err_code rc = begin_mail(o, b, m, tag, e);

	*refused = false;
	if (!rc && !outbox_at_once(o, m)) {
		rc = push(o, e);
		if (!rc)
			rc = await_go_ahead(o, *tag, refused, e);
		if (rc || *refused)
			return rc;
	}
	if (!rc && m->stream)
		return stage_stream(o, m, e);
	return rc ? rc : stage_bytes(o, span_of(b->bodies.ptr + m->body, m->body_bytes), e);
}

/* What is about to be sent stands in the journal first. */
static enum err_code note_range(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	struct journal_mail note = { .uid_validity = o->folder->uid_validity, .uid_next = o->folder->uid_next };
	enum err_code rc = journal_folder(o->o.journal, buf_span(&o->folder->raw), &note.folder, e);

	for (size_t i = from; !rc && i < to; i++) {
		struct mail *m = &b->mails[i];

		if (m->stage != STAGE_PUT || m->noted)
			continue;
		note.id = m->print.id;
		note.date_s = m->date_s;
		memcpy(note.content, m->print.content, sizeof note.content);
		rc = journal_send(o->o.journal, &note, &m->number, e);
		m->noted = !rc;
	}
	return rc ? rc : journal_sync(o->o.journal, e);
}

enum err_code outbox_send(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	bool several = imap_capabilities(outbox_client(o)) & IMAP_MULTIAPPEND, refused = false;
	unsigned tag = 0;
	enum err_code rc = ERR_OK;

	buf_clear(&o->staging);
	b->uid_next = o->folder->uid_next;
	if (o->o.journal->path)
		rc = note_range(o, b, from, to, e);
	for (size_t i = from; !rc && i < to && !(refused && several); i++) {
		if (b->mails[i].stage != STAGE_PUT)
			continue;
		rc = send_mail(o, b, &b->mails[i], &tag, &refused, e);
		if (!rc && !several && !refused)
			rc = stage_bytes(o, SPAN_LIT("\r\n"), e);
		if (!rc && !several) {
			rc = outbox_at_once(o, &b->mails[i]) ? ERR_OK : push(o, e);
			tag = 0;
		}
	}
	if (!rc && several && tag && !refused)
		rc = stage_bytes(o, SPAN_LIT("\r\n"), e);
	return rc ? rc : push(o, e);
}

/* ---- answers ---- */

/* "38505 3955:3957,4000": the number I of the set, or 0. */
static uint32_t uid_number(struct span set, size_t i)
{
	while (set.len) {
		const uint8_t *comma = memchr(set.ptr, ',', set.len);
		struct span one = span_first(set, comma ? (size_t)(comma - set.ptr) : set.len);
		const uint8_t *colon = memchr(one.ptr, ':', one.len);
		uint64_t a = 0, z = 0;

		if (!text_number(colon ? span_first(one, (size_t)(colon - one.ptr)) : one, UINT32_MAX, &a) ||
		    (colon && !text_number(span_skip(one, (size_t)(colon - one.ptr) + 1), UINT32_MAX, &z)))
			return 0;
		z = colon ? z : a;
		if (z < a)
			return 0;
		if (i <= z - a)
			return (uint32_t)(a + i);
		i -= (size_t)(z - a) + 1;
		set = span_skip(set, one.len + 1);
	}
	return 0;
}

/* The UIDs behind "APPENDUID VALIDITY "; empty when the server does not tell, or tells of another folder. */
static struct span appended_uids(const struct outbox *o, struct span code)
{
	struct span word = SPAN_LIT("APPENDUID "), validity;
	const uint8_t *space;
	uint64_t value;

	if (code.len <= word.len || !text_equal_nocase(span_first(code, word.len), word))
		return SPAN_EMPTY;
	code = span_skip(code, word.len);
	space = memchr(code.ptr, ' ', code.len);
	if (!space)
		return SPAN_EMPTY;
	validity = span_first(code, (size_t)(space - code.ptr));
	if (!text_number(validity, UINT32_MAX, &value) || value != o->folder->uid_validity)
		return SPAN_EMPTY;
	return span_skip(code, validity.len + 1);
}

/* A command of ours is done. */
static enum err_code take_done(struct outbox *o, const struct imap_response *r, struct err *e)
{
	struct span uids = r->status == IMAP_OK ? appended_uids(o, r->code) : SPAN_EMPTY;
	enum err_code rc = ERR_OK;
	size_t n = 0;

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; !rc && i < o->batches[k].count; i++) {
			struct batch *b = &o->batches[k];
			struct mail *m = &b->mails[i];

			if (m->stage != STAGE_SENT || m->tag != r->tag)
				continue;
			if (r->status == IMAP_OK) {
				rc = outbox_settle_put(o, b, m, uid_number(uids, n++), e);
				continue;
			}
			m->stage = STAGE_PUT;
			imap_refused(r, &b->refusal);
			if (text_equal_nocase(r->code, SPAN_LIT("OVERQUOTA")))
				b->refusal.code = ERR_NO_SPACE;
			else if (b->refusal.retry == ERR_RETRY_NEVER)
				b->refusal.code = ERR_DENIED;
		}
	return rc;
}

enum err_code outbox_collect(struct outbox *o, struct batch *b, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && batch_has(b, STAGE_SENT)) {
		struct imap_response r;

		rc = imap_next(outbox_client(o), &r, e);
		if (!rc && r.kind == IMAP_DATA)
			rc = wire_skip_line(imap_wire(outbox_client(o)), e);
		else if (!rc && r.kind == IMAP_DONE)
			rc = take_done(o, &r, e);
	}
	return rc;
}
