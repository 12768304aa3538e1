#include "readback.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "print_fetch.h"

enum { SET_MAX = 100 };

struct reading {
	const struct readback *r;
	struct outbox_folder *f;
	struct sink_check *check;
	struct placed **by_uid; /* those that were put and are known by uid, rising */
	size_t count;
	bool *wants_body;
};

static void differs(struct reading *k, const struct placed *p, const struct err *why)
{
	struct buf what = BUF_EMPTY;
	struct span key = span_of(k->f->texts.ptr + p->key, p->key_bytes);
	struct err ignored;

	k->check->differ++;
	if (k->r->report && !buf_printf(&what, &ignored, "%s#%s", k->r->folder, text_name(key).text))
		k->r->report(k->r->report_ctx, (const char *)what.ptr, why);
	buf_release(&what);
}

/* ---- flags ---- */

static struct span next_word(struct span *list)
{
	const uint8_t *space = list->len ? memchr(list->ptr, ' ', list->len) : NULL;
	struct span word = span_first(*list, space ? (size_t)(space - list->ptr) : list->len);

	*list = span_skip(*list, word.len + 1);
	return word;
}

static bool has_word(struct span list, struct span word)
{
	while (list.len)
		if (text_equal_nocase(next_word(&list), word))
			return true;
	return false;
}

static bool has_all(struct span list, struct span words)
{
	while (words.len)
		if (!has_word(list, next_word(&words)))
			return false;
	return true;
}

/* ---- size, flags and date ---- */

static int by_uid(const void *a, const void *b)
{
	const struct placed *const *x = a, *const *y = b;

	return ((*x)->uid > (*y)->uid) - ((*x)->uid < (*y)->uid);
}

static enum err_code gather(struct reading *k, struct err *e)
{
	size_t all = placed_count(k->f);
	struct err why;

	k->by_uid = mem_zalloc(all + 1, sizeof(void *));
	k->wants_body = mem_zalloc(all + 1, sizeof *k->wants_body);
	if (!k->by_uid || !k->wants_body)
		return err_no_memory(e, all * sizeof(void *));
	for (size_t i = 0; i < all; i++) {
		struct placed *p = placed_at(k->f, i);

		if (p->was_there)
			continue;
		k->check->items++;
		if (p->uid) {
			k->by_uid[k->count++] = p;
			continue;
		}
		err_set(&why, ERR_NOT_FOUND, "it was put, but is not in the folder");
		differs(k, p, &why);
	}
	qsort(k->by_uid, k->count, sizeof(void *), by_uid);
	return ERR_OK;
}

static bool date_differs(const struct placed *p, const struct there_one *one, struct err *why)
{
	if (p->date_s == THERE_NO_DATE || one->date_s == p->date_s)
		return false;
	err_set(why, ERR_CORRUPT, "the server has another received date (%" PRId64 " s of 1970 instead of %" PRId64 ")",
	        one->date_s == THERE_NO_DATE ? 0 : one->date_s, p->date_s);
	return true;
}

static bool flags_differ(const struct reading *k, const struct placed *p, const struct there_one *one, struct err *why)
{
	struct span want = p->flags_bytes ? span_of(k->f->texts.ptr + p->flags, p->flags_bytes) : SPAN_EMPTY;
	struct span have = there_flags(&k->f->there, one);

	if (has_all(have, want) && has_all(want, have))
		return false;
	err_set(why, ERR_CORRUPT, "the server has the flags '%s' instead of '%s'", text_name(have).text,
	        text_name(want).text);
	return true;
}

/* Compares lists; a body whose size is not what was sent has to be looked at. */
static enum err_code compare_lists(struct reading *k, struct err *e)
{
	bool *seen = mem_zalloc(k->count + 1, sizeof *seen);
	struct err why;

	if (!seen)
		return err_no_memory(e, k->count);
	for (size_t i = 0; i < there_count(&k->f->there); i++) {
		const struct there_one *one = there_at(&k->f->there, i);
		struct placed key = { .uid = one->uid }, *wanted = &key, **at;

		at = bsearch(&wanted, k->by_uid, k->count, sizeof(void *), by_uid);
		if (!at)
			continue;
		seen[at - k->by_uid] = true;
		if (date_differs(*at, one, &why) || flags_differ(k, *at, one, &why))
			differs(k, *at, &why);
		k->wants_body[at - k->by_uid] = k->r->percent && one->bytes != (*at)->print.bytes;
	}
	for (size_t i = 0; i < k->count; i++)
		if (!seen[i]) {
			err_set(&why, ERR_NOT_FOUND, "it was put, but is in the folder no more");
			differs(k, k->by_uid[i], &why);
		}
	mem_free(seen);
	return ERR_OK;
}

/* ---- bodies ---- */

/* Which bodies are a sample follows from their bytes: as good as chance, and the same every time. */
static void choose_bodies(struct reading *k)
{
	for (size_t i = 0; i < k->count; i++) {
		const uint8_t *h = k->by_uid[i]->print.exact;

		if ((unsigned)(h[0] << 8 | h[1]) % 100 < k->r->percent || (k->r->percent && i + 1 == k->count))
			k->wants_body[i] = true;
	}
}

static enum err_code compare_body(void *ctx, uint32_t uid, const struct mail_print *print, struct err *e)
{
	struct reading *k = ctx;
	struct placed key = { .uid = uid }, *wanted = &key, **at;
	struct err why;

	(void)e;
	at = bsearch(&wanted, k->by_uid, k->count, sizeof(void *), by_uid);
	if (!at || !k->wants_body[at - k->by_uid])
		return ERR_OK;
	k->wants_body[at - k->by_uid] = false;
	k->check->bodies++;
	if (!memcmp(print->exact, (*at)->print.exact, sizeof print->exact))
		return ERR_OK;
	if (!memcmp(print->content, (*at)->print.content, sizeof print->content)) {
		k->check->altered++;
		return ERR_OK;
	}
	err_set(&why, ERR_CORRUPT,
	        "the server keeps other bytes than it was given (%" PRIu64 " instead of %" PRIu64 ")", print->bytes,
	        (*at)->print.bytes);
	differs(k, *at, &why);
	return ERR_OK;
}

static enum err_code compare_bodies(struct reading *k, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < k->count;) {
		struct buf set = BUF_EMPTY;

		for (size_t n = 0; !rc && i < k->count && n < SET_MAX; i++)
			if (k->wants_body[i]) {
				rc = buf_printf(&set, e, "%s%" PRIu32, n ? "," : "", k->by_uid[i]->uid);
				n++;
			}
		if (!rc && set.len)
			rc = fetch_prints(k->r->line->client, buf_span(&set), compare_body, k, e);
		buf_release(&set);
	}
	return rc;
}

/* ---- a folder ---- */

static uint32_t lowest_uid(const struct outbox_folder *f)
{
	uint32_t lowest = UINT32_MAX;

	for (size_t i = 0; i < placed_count(f); i++)
		if (!placed_at(f, i)->was_there && placed_at(f, i)->uid < lowest)
			lowest = placed_at(f, i)->uid;
	return lowest;
}

static enum err_code once(const struct readback *r, struct outbox_folder *f, struct sink_check *check, struct err *e)
{
	struct reading k = { .r = r, .f = f, .check = check };
	enum err_code rc = sink_line_select(r->line, buf_span(&f->raw), e);

	if (!rc)
		rc = outbox_look_back(r->line->client, f, lowest_uid(f), r->journal, e);
	if (!rc)
		rc = journal_sync(r->journal, e);
	if (!rc)
		rc = gather(&k, e);
	if (!rc)
		rc = compare_lists(&k, e);
	if (!rc) {
		choose_bodies(&k);
		rc = compare_bodies(&k, e);
	}
	mem_free(k.by_uid);
	mem_free(k.wants_body);
	return rc;
}

enum err_code readback_folder(const struct readback *r, struct outbox_folder *f, struct sink_check *check,
                              struct err *e)
{
	enum err_code rc = ERR_OK;

	if (lowest_uid(f) == UINT32_MAX)
		return ERR_OK;
	for (;;) {
		struct sink_check found = *check;
		struct err why;

		rc = once(r, f, &found, e);
		if (!rc) {
			*check = found;
			sink_line_progress(r->line);
			return ERR_OK;
		}
		why = *e;
		rc = sink_line_again(r->line, &why, e);
		if (rc)
			return rc;
	}
}
