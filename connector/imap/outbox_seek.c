#include "outbox_internal.h"

#include <inttypes.h>

#include "base/text.h"
#include "print_fetch.h"

/* The content of what may be the same is equal, or it is taken for this one because its journal says so. */
static enum err_code found(struct outbox *o, struct batch *b, struct mail *m, struct err *e)
{
	struct span flags = batch_text(b, m->flags, m->flags_bytes);

	if (o->o.flags_only && !span_equal(flags, there_flags(&o->folder->there, m->candidate))) {
		m->candidate->state = THERE_TAKEN;
		m->stage = STAGE_STORE;
		return ERR_OK;
	}
	return outbox_settle_present(o, b, m, e);
}

/* It lies in another folder: that will do. */
static enum err_code settle_elsewhere(struct outbox *o, struct batch *b, struct mail *m, struct span path,
                                      struct err *e)
{
	enum err_code rc;

	m->note = b->texts.len;
	rc = text_percent(&b->texts, path, "", e);
	if (!rc)
		rc = buf_append(&b->texts, span_of("", 1), e);
	if (rc)
		return rc;
	m->changes = SINK_ELSEWHERE;
	outbox_tell(o, b, m, SINK_PRESENT, NULL);
	return ERR_OK;
}

static enum err_code not_there(struct outbox *o, struct batch *b, struct mail *m, struct err *e)
{
	struct there_wish wish = { .id = m->print.id, .date_s = m->date_s, .bytes = m->print.bytes };
	struct span path = SPAN_EMPTY;
	enum err_code rc = ERR_OK;

	m->candidate = NULL;
	m->stage = STAGE_PUT;
	if (o->o.flags_only)
		outbox_tell(o, b, m, SINK_MISSING, NULL);
	else if (o->o.elsewhere && *o->o.elsewhere)
		rc = elsewhere_find(*o->o.elsewhere, buf_span(&o->folder->raw), &wish, m->print.content, &path, e);
	return rc || !path.len ? rc : settle_elsewhere(o, b, m, path, e);
}

/* CONTENT is M's, or that of its mended copy, which an earlier run may have put. */
static bool is_content(const struct mail *m, const uint8_t *content)
{
	return !memcmp(content, m->print.content, sizeof m->print.content) ||
	       (m->may_mend && !memcmp(content, m->mended_print.content, sizeof m->mended_print.content));
}

/* As outbox_seek, among what looks like PRINT; *DONE: nothing more is to be looked for now. */
static enum err_code seek(struct outbox *o, struct batch *b, struct mail *m, const struct mail_print *print, bool *done,
                          struct err *e)
{
	struct there_wish wish = { .id = print->id, .date_s = m->date_s, .bytes = print->bytes };
	struct there_one *one;

	*done = true;
	for (size_t i = 0; (one = there_find(&o->folder->there, &wish, i)) != NULL; i++) {
		if (one->state == THERE_ASKED)
			return ERR_OK;
		if (one->known && !is_content(m, one->content))
			continue;
		m->candidate = one;
		if (one->known)
			return found(o, b, m, e);
		one->state = THERE_ASKED;
		m->stage = STAGE_COMPARE;
		return ERR_OK;
	}
	*done = false;
	return ERR_OK;
}

enum err_code outbox_seek(struct outbox *o, struct batch *b, struct mail *m, struct err *e)
{
	bool done;
	enum err_code rc = seek(o, b, m, &m->print, &done, e);

	if (!rc && !done && m->may_mend)
		rc = seek(o, b, m, &m->mended_print, &done, e);
	return rc || done ? rc : not_there(o, b, m, e);
}

struct comparing {
	struct outbox *o;
	struct batch *b;
};

static enum err_code compare(void *ctx, uint32_t uid, const struct mail_print *print, struct err *e)
{
	struct comparing *k = ctx;

	for (size_t i = 0; i < k->b->count; i++) {
		struct mail *m = &k->b->mails[i];

		if (m->stage != STAGE_COMPARE || m->candidate->uid != uid || m->candidate->known)
			continue;
		memcpy(m->candidate->content, print->content, sizeof print->content);
		m->candidate->known = true;
		m->candidate->state = THERE_FREE;
		if (is_content(m, print->content))
			return found(k->o, k->b, m, e);
		m->stage = STAGE_LOOK;
	}
	return ERR_OK;
}

/* Asks for everything that is to be compared. Nothing else is on its way. */
static enum err_code compare_round(struct outbox *o, struct batch *b, struct err *e)
{
	struct comparing k = { o, b };
	struct buf set = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < b->count; i++)
		if (b->mails[i].stage == STAGE_COMPARE)
			rc = buf_printf(&set, e, "%s%" PRIu32, set.len ? "," : "", b->mails[i].candidate->uid);
	if (!rc && set.len)
		rc = fetch_prints(outbox_client(o), buf_span(&set), compare, &k, e);
	buf_release(&set);
	for (size_t i = 0; !rc && i < b->count; i++)
		if (b->mails[i].stage == STAGE_COMPARE) {
			/* It did not come: it is there no more. */
			b->mails[i].candidate->state = THERE_TAKEN;
			b->mails[i].candidate = NULL;
			b->mails[i].stage = STAGE_LOOK;
		}
	return rc;
}

/* Gives the flags of their items to those that are there and have others: one command for each set of flags. */
static enum err_code store_flags(struct outbox *o, struct batch *b, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && batch_has(b, STAGE_STORE)) {
		struct span flags = SPAN_EMPTY;
		struct buf set = BUF_EMPTY;
		unsigned tag;

		for (size_t i = 0; !rc && i < b->count; i++) {
			struct mail *m = &b->mails[i];

			if (m->stage != STAGE_STORE)
				continue;
			if (!set.len)
				flags = batch_text(b, m->flags, m->flags_bytes);
			if (span_equal(flags, batch_text(b, m->flags, m->flags_bytes)))
				rc = buf_printf(&set, e, "%s%" PRIu32, set.len ? "," : "", m->candidate->uid);
		}
		if (!rc)
			rc = imap_send(outbox_client(o), &tag, e, "UID STORE %.*s FLAGS.SILENT (%.*s)", (int)set.len,
			               (const char *)set.ptr, (int)flags.len, flags.len ? (const char *)flags.ptr : "");
		if (!rc)
			rc = imap_wait(outbox_client(o), tag, NULL, NULL, e);
		for (size_t i = 0; !rc && i < b->count; i++) {
			struct mail *m = &b->mails[i];

			if (m->stage != STAGE_STORE || !span_equal(flags, batch_text(b, m->flags, m->flags_bytes)))
				continue;
			m->changes |= SINK_FLAGS_SET;
			rc = outbox_settle_present(o, b, m, e);
		}
		buf_release(&set);
	}
	return rc;
}

enum err_code outbox_compare_all(struct outbox *o, struct err *e)
{
	struct batch *b = &o->batches[o->filling];
	enum err_code rc = ERR_OK;

	while (!rc && (batch_has(b, STAGE_LOOK) || batch_has(b, STAGE_COMPARE) || batch_has(b, STAGE_STORE))) {
		if (o->flying)
			rc = outbox_settle_both(o, ERR_OK, e);
		for (size_t i = 0; !rc && i < b->count; i++)
			if (b->mails[i].stage == STAGE_LOOK)
				rc = outbox_seek(o, b, &b->mails[i], e);
		if (rc)
			return rc;
		rc = compare_round(o, b, e);
		if (!rc)
			rc = store_flags(o, b, e);
		if (rc)
			rc = outbox_recover(o, e);
	}
	return rc;
}
