#include "outbox_internal.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"

#define GRACE_MS      3000
#define GRACE_LOOK_MS 500

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* What was put by us and settled answers for no other mail. */
static enum err_code take_placed(struct outbox_folder *f, struct err *e)
{
	size_t count = placed_count(f);
	uint32_t *uids = mem_zalloc(count + 1, sizeof *uids);

	if (!uids)
		return err_no_memory(e, count * sizeof *uids);
	for (size_t i = 0; i < count; i++)
		uids[i] = placed_at(f, i)->uid;
	qsort(uids, count, sizeof *uids, by_number);
	for (size_t i = 0; i < there_count(&f->there); i++)
		if (bsearch(&there_at(&f->there, i)->uid, uids, count, sizeof *uids, by_number))
			there_at(&f->there, i)->state = THERE_TAKEN;
	mem_free(uids);
	return ERR_OK;
}

/* Where a server does not tell UIDs (it has no UIDPLUS), what we put is found by what it looks like. */
static enum err_code name_placed(struct outbox_folder *f, struct journal *j, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < placed_count(f); i++) {
		struct placed *p = placed_at(f, i);
		struct there_wish wish = { .id = p->print.id,
			                   .date_s = p->date_s,
			                   .bytes = p->print.bytes,
			                   .any_size = p->date_s != THERE_NO_DATE };
		struct there_one *one = p->uid ? NULL : there_find(&f->there, &wish, 0);

		if (!one)
			continue;
		one->state = THERE_TAKEN;
		p->uid = one->uid;
		if (p->noted)
			rc = journal_put(j, p->number, p->uid, e);
	}
	return rc;
}

enum err_code outbox_look_back(struct imap_client *c, struct outbox_folder *f, uint32_t from, struct journal *j,
                               struct err *e)
{
	enum err_code rc = there_load_again(c, from, &f->there, e);

	if (!rc)
		rc = take_placed(f, e);
	return rc ? rc : name_placed(f, j, e);
}

/* Places in the list of what is there are about to change. */
static void forget_candidates(struct outbox *o)
{
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < o->batches[k].count; i++) {
			struct mail *m = &o->batches[k].mails[i];

			if (!m->candidate)
				continue;
			m->candidate->state = THERE_FREE;
			m->candidate = NULL;
			m->stage = STAGE_LOOK;
		}
}

/* Those of B that were sent and arrived, though the answer did not. *MISSING counts the others, which stay as they are. */
static enum err_code find_landed(struct outbox *o, struct batch *b, size_t *missing, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < b->count; i++) {
		struct mail *m = &b->mails[i];
		struct there_wish wish = { .id = m->print.id,
			                   .date_s = m->date_s,
			                   .bytes = m->print.bytes,
			                   .uid_from = b->uid_next,
			                   .any_size = m->date_s != THERE_NO_DATE };
		struct there_one *one;

		if (m->stage != STAGE_SENT)
			continue;
		one = there_find(&o->folder->there, &wish, 0);
		if (!one) {
			++*missing;
			continue;
		}
		one->state = THERE_TAKEN;
		rc = outbox_settle_put(o, b, m, one->uid, e);
	}
	return rc;
}

enum err_code outbox_look_for_landed(struct outbox *o, int64_t grace_ms, struct err *e)
{
	struct outbox_folder *f = o->folder;
	uint32_t from = f->uid_next;
	size_t missing = 0;
	enum err_code rc;

	forget_candidates(o);
	for (size_t k = 0; k < 2; k++)
		if (batch_has(&o->batches[k], STAGE_SENT) && o->batches[k].uid_next < from)
			from = o->batches[k].uid_next;
	rc = sink_line_select(o->o.line, buf_span(&f->raw), e);
	if (!rc && o->o.line->uid_validity != f->uid_validity)
		rc = err_set(e, ERR_VANISHED, "the folder '%s' was made anew meanwhile",
		             text_name(buf_span(&f->raw)).text);
	while (!rc) {
		rc = outbox_look_back(outbox_client(o), f, from, o->o.journal, e);
		missing = 0;
		for (size_t k = 0; !rc && k < 2; k++)
			rc = find_landed(o, &o->batches[k], &missing, e);
		if (rc || !missing || grace_ms <= 0)
			break;
		rc = sink_line_pause(o->o.line, GRACE_LOOK_MS, e);
		grace_ms -= GRACE_LOOK_MS;
	}
	for (size_t k = 0; !rc && k < 2; k++)
		for (size_t i = 0; i < o->batches[k].count; i++)
			if (o->batches[k].mails[i].stage == STAGE_SENT)
				o->batches[k].mails[i].stage = STAGE_PUT;
	return rc;
}

enum err_code outbox_recover(struct outbox *o, struct err *e)
{
	enum err_code rc;

	do {
		struct err why = *e;

		rc = sink_line_again(o->o.line, &why, e);
		if (rc) {
			o->o.sink->gone = true;
			return rc;
		}
		rc = outbox_look_for_landed(o, GRACE_MS, e);
	} while (rc && rc != ERR_VANISHED && rc != ERR_CANCELLED && rc != ERR_NO_MEMORY);
	o->o.sink->gone |= rc != ERR_OK;
	return rc;
}
