#include "outbox_internal.h"

static enum err_code keep_text(struct outbox_folder *f, struct span text, uint32_t *at, uint32_t *bytes, struct err *e)
{
	if (f->texts.len + text.len > UINT32_MAX)
		return err_set(e, ERR_LIMIT, "too many messages for one folder");
	*at = (uint32_t)f->texts.len;
	*bytes = (uint32_t)text.len;
	return buf_append(&f->texts, text, e);
}

/* Remembers M, so that it can be read back. */
static enum err_code add_placed(struct outbox *o, const struct batch *b, const struct mail *m, uint32_t uid,
                                bool was_there, struct err *e)
{
	struct outbox_folder *f = o->folder;
	struct placed p = { .uid = uid,
		            .was_there = was_there,
		            .noted = m->noted,
		            .number = m->number,
		            .date_s = m->date_s,
		            .print = m->print };
	struct span flags = batch_text(b, m->flags, m->flags_bytes);
	struct placed *last = placed_count(f) ? placed_at(f, placed_count(f) - 1) : NULL;
	enum err_code rc = ERR_OK;

	if (last && last->flags_bytes == flags.len &&
	    (!flags.len || !memcmp(f->texts.ptr + last->flags, flags.ptr, flags.len))) {
		p.flags = last->flags;
		p.flags_bytes = last->flags_bytes;
	} else {
		rc = keep_text(f, flags, &p.flags, &p.flags_bytes, e);
	}
	if (!rc)
		rc = keep_text(f, batch_text(b, m->key, m->key_bytes), &p.key, &p.key_bytes, e);
	return rc ? rc : buf_append(&f->placed, span_of(&p, sizeof p), e);
}

void outbox_tell(struct outbox *o, const struct batch *b, struct mail *m, enum sink_verdict verdict,
                 const struct err *failed)
{
	struct item_outcome out = { .ticket = m->ticket,
		                    .verdict = verdict,
		                    .changes = m->changes,
		                    .note = (const char *)b->texts.ptr + m->note,
		                    .failed = failed };

	m->stage = STAGE_SETTLED;
	if (o->o.sink->settled)
		o->o.sink->settled(o->o.sink->settled_ctx, &out);
}

enum err_code outbox_settle_put(struct outbox *o, const struct batch *b, struct mail *m, uint32_t uid, struct err *e)
{
	enum err_code rc = add_placed(o, b, m, uid, false, e);

	if (!rc && m->noted)
		rc = journal_put(o->o.journal, m->number, uid, e);
	if (uid && uid >= o->folder->uid_next && uid < UINT32_MAX)
		o->folder->uid_next = uid + 1;
	outbox_tell(o, b, m, SINK_PUT, NULL);
	sink_line_progress(o->o.line);
	return rc;
}

enum err_code outbox_settle_present(struct outbox *o, const struct batch *b, struct mail *m, struct err *e)
{
	struct there_one *one = m->candidate;
	enum err_code rc = add_placed(o, b, m, one->uid, true, e);

	one->state = THERE_TAKEN;
	m->candidate = NULL;
	if (!(m->changes & SINK_FLAGS_SET))
		m->changes = 0; /* nothing was sent */
	outbox_tell(o, b, m, SINK_PRESENT, NULL);
	sink_line_progress(o->o.line);
	return rc;
}
