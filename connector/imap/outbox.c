#include "outbox_internal.h"

#include "base/mem.h"
#include "base/text.h"

static void empty(struct batch *b)
{
	buf_clear(&b->bodies);
	buf_clear(&b->texts);
	b->count = 0;
}

void outbox_folder_release(struct outbox_folder *f)
{
	buf_release(&f->raw);
	buf_release(&f->permanent);
	buf_release(&f->placed);
	buf_release(&f->texts);
	there_release(&f->there);
}

enum err_code outbox_open(const struct outbox_options *options, struct outbox **out, struct err *e)
{
	struct outbox *o = mem_zalloc(1, sizeof *o);

	if (!o)
		return err_no_memory(e, sizeof *o);
	o->o = *options;
	o->batches = mem_zalloc(2, sizeof *o->batches);
	if (!o->batches) {
		mem_free(o);
		return err_no_memory(e, 2 * sizeof *o->batches);
	}
	*out = o;
	return ERR_OK;
}

void outbox_free(struct outbox **o)
{
	if (!*o)
		return;
	for (size_t i = 0; i < 2; i++) {
		buf_release(&(*o)->batches[i].bodies);
		buf_release(&(*o)->batches[i].texts);
	}
	buf_release(&(*o)->staging);
	mem_free((*o)->batches);
	mem_free(*o);
	*o = NULL;
}

static size_t count_put(const struct batch *b, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		n += b->mails[i].stage == STAGE_PUT;
	return n;
}

/* Sends FROM to TO in one go and waits for what becomes of it. */
static enum err_code try_range(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	enum err_code rc;

	b->refusal = (struct err){ 0 };
	rc = outbox_send(o, b, from, to, e);
	if (!rc)
		rc = outbox_collect(o, b, e);
	return rc ? outbox_recover(o, e) : ERR_OK;
}

/* A refused command should have put nothing, but not every server takes back what it had put when it said so. */
static enum err_code look_what_stayed(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	enum err_code rc;

	for (size_t i = from; i < to; i++)
		if (b->mails[i].stage == STAGE_PUT)
			b->mails[i].stage = STAGE_SENT;
	rc = outbox_look_for_landed(o, 0, e);
	return rc ? outbox_recover(o, e) : ERR_OK;
}

/* Tries FROM to TO until it is done or refused for good. What was refused already, on its way with others, is not tried again. */
static enum err_code try_until_judged(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && count_put(b, from, to)) {
		if (!b->refusal.code)
			rc = try_range(o, b, from, to, e);
		if (rc || !b->refusal.code)
			continue; /* done, or the connection was lost and there is a new one */
		if (b->refusal.retry != ERR_RETRY_LATER || sink_line_again(o->o.line, &b->refusal, e) != ERR_OK)
			return o->o.line->death.code;
		b->refusal = (struct err){ 0 };
	}
	return rc;
}

/* From now on it is the mended copy that is put. */
static enum err_code turn_to_mended(struct outbox *o, struct mail *m, struct err *e)
{
	enum err_code rc = m->noted ? journal_refused(o->o.journal, m->number, e) : ERR_OK;

	m->noted = false;
	m->may_mend = false;
	m->mends = true;
	m->print = m->mended_print;
	m->body = m->mended_body;
	m->body_bytes = m->mended_bytes;
	m->note = m->mended_note;
	m->has_nul = false;
	m->changes |= SINK_MENDED;
	return rc;
}

/* What is refused for good: as the mended copy, when there is one; else that is told. */
static enum err_code judge(struct outbox *o, struct batch *b, size_t i, struct err *e)
{
	struct mail *m = &b->mails[i];
	enum err_code rc;

	if (m->may_mend && b->refusal.code != ERR_NO_SPACE) {
		struct err original = b->refusal;

		rc = turn_to_mended(o, m, e);
		b->refusal = (struct err){ 0 };
		if (!rc)
			rc = try_until_judged(o, b, i, i + 1, e);
		if (rc || m->stage != STAGE_PUT)
			return rc;
		if (b->refusal.code != ERR_NO_SPACE)
			b->refusal = original;
	}
	if (b->refusal.code == ERR_NO_SPACE) {
		*e = b->refusal;
		return ERR_NO_SPACE;
	}
	outbox_tell(o, b, m, SINK_PUT, &b->refusal);
	return m->noted ? journal_refused(o->o.journal, m->number, e) : ERR_OK;
}

/* Every mail of FROM to TO is settled afterwards. What is refused is narrowed down to the one that is. */
static enum err_code deliver(struct outbox *o, struct batch *b, size_t from, size_t to, struct err *e)
{
	size_t middle = from + (to - from) / 2;
	enum err_code rc = try_until_judged(o, b, from, to, e);

	if (!rc && count_put(b, from, to) > 1) {
		rc = look_what_stayed(o, b, from, to, e);
		b->refusal = (struct err){ 0 };
		if (!rc)
			rc = deliver(o, b, from, middle, e);
		b->refusal = (struct err){ 0 };
		return rc ? rc : deliver(o, b, middle, to, e);
	}
	for (size_t i = from; !rc && i < to; i++)
		if (b->mails[i].stage == STAGE_PUT)
			rc = judge(o, b, i, e);
	return rc;
}

enum err_code outbox_settle_both(struct outbox *o, enum err_code rc, struct err *e)
{
	struct batch *flight = &o->batches[!o->filling], *filling = &o->batches[o->filling];

	if (!rc)
		rc = outbox_collect(o, flight, e);
	if (!rc)
		rc = outbox_collect(o, filling, e);
	if (rc)
		rc = outbox_recover(o, e);
	if (!rc)
		rc = deliver(o, flight, 0, flight->count, e);
	if (rc)
		return rc;
	empty(flight);
	o->flying = false;
	return ERR_OK;
}

static bool waits_for_each(const struct outbox *o, const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->mails[i].stage == STAGE_PUT && !outbox_at_once(o, &b->mails[i]))
			return true;
	return false;
}

/* Sends what was gathered. */
static enum err_code flush(struct outbox *o, struct err *e)
{
	struct batch *b = &o->batches[o->filling], *flight = &o->batches[!o->filling];
	enum err_code rc = outbox_compare_all(o, e);

	if (rc)
		return rc;
	if (!batch_has(b, STAGE_PUT)) {
		empty(b);
		return ERR_OK;
	}
	if (o->flying && waits_for_each(o, b))
		rc = outbox_settle_both(o, ERR_OK, e);
	if (rc)
		return rc;
	b->refusal = (struct err){ 0 };
	rc = outbox_send(o, b, 0, b->count, e);
	if (!rc)
		rc = outbox_collect(o, flight, e);
	if (rc || batch_has(flight, STAGE_PUT) || batch_has(b, STAGE_PUT)) {
		rc = outbox_settle_both(o, rc, e);
		if (!rc)
			rc = deliver(o, b, 0, b->count, e);
		if (!rc)
			empty(b);
		return rc;
	}
	empty(flight);
	o->filling = !o->filling;
	o->flying = true;
	return ERR_OK;
}

enum err_code outbox_end(struct outbox *o, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (o->failure.code) {
		*e = o->failure;
		return o->failure.code;
	}
	if (o->batches[o->filling].count)
		rc = flush(o, e);
	if (!rc && o->flying)
		rc = outbox_settle_both(o, ERR_OK, e);
	if (!rc)
		rc = journal_sync(o->o.journal, e);
	if (rc)
		o->failure = *e;
	return rc;
}

static enum err_code add_text(struct batch *b, struct span text, size_t *at, size_t *bytes, struct err *e)
{
	*at = b->texts.len;
	*bytes = text.len;
	return buf_append(&b->texts, text, e);
}

static enum err_code add_mended(struct batch *b, struct mail *m, const struct outbox_mail *from, struct err *e)
{
	size_t ignored;
	enum err_code rc =
	        add_text(b, span_of(from->mended_note, strlen(from->mended_note) + 1), &m->mended_note, &ignored, e);

	m->may_mend = true;
	m->mended_print = from->mended_print;
	m->mended_body = b->bodies.len;
	m->mended_bytes = from->mended_body.len;
	return rc ? rc : buf_append(&b->bodies, from->mended_body, e);
}

static enum err_code add(struct batch *b, const struct outbox_mail *from, struct err *e)
{
	struct mail *m = &b->mails[b->count];
	size_t ignored;
	enum err_code rc;

	*m = (struct mail){ .ticket = from->ticket,
		            .print = from->print,
		            .date_s = from->date_s,
		            .zone_minutes = from->zone_minutes,
		            .stream = from->stream,
		            .converts = from->converts,
		            .has_nul = from->has_nul,
		            .changes = from->changes,
		            .body = b->bodies.len,
		            .body_bytes = from->body.len,
		            .stage = STAGE_LOOK };
	rc = add_text(b, from->flags, &m->flags, &m->flags_bytes, e);
	if (!rc)
		rc = add_text(b, from->key, &m->key, &m->key_bytes, e);
	if (!rc)
		rc = add_text(b, span_of(from->note, strlen(from->note) + 1), &m->note, &ignored, e);
	if (!rc)
		rc = buf_append(&b->bodies, from->body, e);
	if (!rc && from->mended_note)
		rc = add_mended(b, m, from, e);
	b->count += !rc;
	return rc;
}

enum err_code outbox_put(struct outbox *o, struct outbox_folder *f, const struct outbox_mail *from, struct err *e)
{
	struct batch *b = &o->batches[o->filling];
	enum err_code rc = ERR_OK;

	if (o->failure.code || o->folder != f)
		rc = outbox_end(o, e);
	o->folder = f;
	b = &o->batches[o->filling];
	if (!rc && (b->count == OUTBOX_BATCH_ITEMS ||
	            (b->count && b->bodies.len + from->body.len + from->mended_body.len > OUTBOX_BATCH_BYTES) ||
	            (b->count && from->stream)))
		rc = flush(o, e);
	b = &o->batches[o->filling];
	if (!rc)
		rc = add(b, from, e);
	if (!rc)
		rc = outbox_seek(o, b, &b->mails[b->count - 1], e);
	if (rc && !o->failure.code)
		o->failure = *e;
	return rc || !from->stream ? rc : outbox_end(o, e);
}
