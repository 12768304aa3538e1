#include "imap_sink_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "print_fetch.h"

enum { SET_MAX = 100 };

bool imap_sink_other_flags(const struct item_sink *base, struct span *there, struct span *wanted)
{
	const struct imap_sink *s = (const struct imap_sink *)(const void *)base;

	*there = s->flags_there;
	*wanted = buf_span(&s->flags);
	return s->flags_differ;
}

bool imap_sink_exists(const struct item_sink *base, size_t handle)
{
	return ((const struct imap_sink *)(const void *)base)->folders[handle]->target.exists;
}

enum err_code imap_sink_unclaimed(struct item_sink *base, bool *found, struct buf *path, size_t *handle, struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);
	struct sink_folder *f;
	enum err_code rc;

	*found = false;
	f = mem_zalloc(1, sizeof *f);
	if (!f)
		return err_no_memory(e, sizeof *f);
	f->box.there = THERE_EMPTY;
	rc = target_folder_rest(&s->names, found, &f->target, e);
	if (rc || !*found)
		goto done;
	rc = buf_append(&f->box.raw, buf_span(&f->target.raw), e);
	if (!rc)
		rc = buf_append(path, buf_span(&f->target.path), e);
	if (!rc)
		rc = imap_sink_need_folder(s, f, true, e);
	if (!rc)
		rc = imap_sink_add_folder(s, f, handle, e);
	if (!rc)
		return ERR_OK;
done:
	imap_sink_folder_free(f);
	return rc;
}

enum err_code imap_sink_elsewhere(struct item_sink *base, size_t handle, const struct item_out *item, bool *found,
                                  size_t *where, struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);
	struct there_wish wish = imap_sink_wish(item);

	(void)e;
	*found = false;
	/* Without a Message-ID, size and time alone would pair what has nothing to do with each other. */
	for (size_t i = 0; wish.id && !*found && i < s->count; i++) {
		struct there_one *one = i == handle ? NULL : there_find(&s->folders[i]->box.there, &wish, 0);

		if (!one)
			continue;
		one->state = THERE_TAKEN;
		*found = true;
		*where = i;
	}
	return ERR_OK;
}

/* ---- what is there besides ---- */

struct telling {
	struct there *there;
	struct there_one **list; /* those that are to be told, by uid */
	size_t count;
	item_other visit;
	void *ctx;
	struct buf facts, state, summary;
	struct err visit_failed;
};

static enum err_code tell(struct telling *k, struct there_one *one, struct span head, struct err *e)
{
	char key[12];
	struct item_out out = { .kind = KIND_MAIL, .bytes = one->bytes };
	enum err_code rc = ERR_OK;

	one->state = THERE_TAKEN;
	snprintf(key, sizeof key, "%" PRIu32, one->uid);
	buf_clear(&k->facts);
	buf_clear(&k->state);
	buf_clear(&k->summary);
	if (one->date_s != THERE_NO_DATE)
		rc = fields_add_u64(&k->facts, FACT_TIME, (uint64_t)(one->date_s * 1000000000), 8, e);
	if (!rc)
		rc = fields_add(&k->state, STATE_FLAGS, there_flags(k->there, one), e);
	if (!rc && head.len)
		rc = summary_make(KIND_MAIL, head, head, &k->summary, e);
	out.key = span_cstr(key);
	out.facts = buf_span(&k->facts);
	out.state = buf_span(&k->state);
	out.summary = buf_span(&k->summary);
	return rc ? rc : k->visit(k->ctx, &out, e);
}

static int by_uid(const void *a, const void *b)
{
	const struct there_one *const *x = a, *const *y = b;

	return ((*x)->uid > (*y)->uid) - ((*x)->uid < (*y)->uid);
}

static enum err_code take_head(void *ctx, uint32_t uid, struct span head, struct err *e)
{
	struct telling *k = ctx;
	struct there_one key = { .uid = uid }, *wanted = &key,
	                 **at = bsearch(&wanted, k->list, k->count, sizeof(void *), by_uid);

	if (k->visit_failed.code || !at || (*at)->state == THERE_TAKEN)
		return ERR_OK;
	/* What the visitor says is no failure of the connection: the answer is read to its end. */
	if (tell(k, *at, head, e))
		k->visit_failed = *e;
	return ERR_OK;
}

static enum err_code tell_with_heads(struct imap_sink *s, struct sink_folder *f, struct telling *k, struct err *e)
{
	enum err_code rc = sink_line_select(&s->line, buf_span(&f->target.raw), e);

	for (size_t i = 0; !rc && !k->visit_failed.code && i < k->count;) {
		struct buf set = BUF_EMPTY;

		for (size_t n = 0; !rc && i < k->count && n < SET_MAX; i++)
			if (k->list[i]->state != THERE_TAKEN) {
				rc = buf_printf(&set, e, "%s%" PRIu32, n ? "," : "", k->list[i]->uid);
				n++;
			}
		if (!rc && set.len)
			rc = fetch_heads(s->line.client, buf_span(&set), take_head, k, e);
		if (!rc)
			sink_line_progress(&s->line);
		buf_release(&set);
	}
	return rc;
}

static enum err_code list_others(struct telling *k, struct err *e)
{
	size_t all = there_count(k->there);

	k->list = mem_zalloc(all + 1, sizeof(void *));
	if (!k->list)
		return err_no_memory(e, all * sizeof(void *));
	for (size_t i = 0; i < all; i++)
		if (there_at(k->there, i)->state != THERE_TAKEN)
			k->list[k->count++] = there_at(k->there, i);
	if (k->count)
		qsort(k->list, k->count, sizeof(void *), by_uid);
	return ERR_OK;
}

enum err_code imap_sink_others(struct item_sink *base, size_t handle, bool summaries, item_other visit, void *ctx,
                               struct err *e)
{
	struct imap_sink *s = imap_sink_own(base);
	struct sink_folder *f = s->folders[handle];
	struct telling k = { .there = &f->box.there, .visit = visit, .ctx = ctx };
	enum err_code rc = list_others(&k, e);

	if (!rc && summaries && k.count)
		AGAIN(s, rc, tell_with_heads(s, f, &k, e));
	if (!rc && k.visit_failed.code) {
		*e = k.visit_failed;
		rc = e->code;
	}
	/* Those whose header did not come, too. */
	for (size_t i = 0; !rc && i < k.count; i++)
		if (k.list[i]->state != THERE_TAKEN)
			rc = tell(&k, k.list[i], SPAN_EMPTY, e);
	mem_free(k.list);
	buf_release(&k.facts);
	buf_release(&k.state);
	buf_release(&k.summary);
	return rc;
}
