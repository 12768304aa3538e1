#include "elsewhere.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "print_fetch.h"

#define WINDOW_MAX       64
#define WINDOW_BYTES_MAX (4 * MIB)

struct other_folder {
	struct buf raw, path;
	uint32_t uid_validity;
	struct there there;
	uint32_t *by_uid; /* places in THERE */
	/* How many are read at once: those that moved stand together, so it grows while that is of use. */
	size_t window, read, used;
};

struct elsewhere {
	struct sink_line line;
	struct imap_login login;
	struct other_folder *folders;
	size_t count;
};

static void folder_release(struct other_folder *f)
{
	buf_release(&f->raw);
	buf_release(&f->path);
	there_release(&f->there);
	mem_free(f->by_uid);
}

enum err_code elsewhere_open(const struct imap_login *login, struct elsewhere **out, struct err *e)
{
	struct elsewhere *w = mem_zalloc(1, sizeof *w);
	enum err_code rc;

	if (!w)
		return err_no_memory(e, sizeof *w);
	w->login = *login;
	w->login.changes = false;
	rc = sink_line_open(&w->login, &w->line, e);
	if (rc) {
		mem_free(w);
		return rc;
	}
	*out = w;
	return ERR_OK;
}

void elsewhere_free(struct elsewhere **w)
{
	if (!*w)
		return;
	for (size_t i = 0; i < (*w)->count; i++)
		folder_release(&(*w)->folders[i]);
	mem_free((*w)->folders);
	sink_line_release(&(*w)->line);
	mem_free(*w);
	*w = NULL;
}

/* ---- listing ---- */

/* qsort has no context, and folders are listed one at a time. */
struct uid_place {
	uint32_t uid, place;
};

static int by_uid(const void *a, const void *b)
{
	const struct uid_place *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

static enum err_code order_by_uid(struct other_folder *f, struct err *e)
{
	size_t count = there_count(&f->there);
	struct uid_place *list = mem_zalloc(count + 1, sizeof *list);

	f->by_uid = mem_zalloc(count + 1, sizeof *f->by_uid);
	if (!list || !f->by_uid) {
		mem_free(list);
		return err_no_memory(e, count * sizeof *list);
	}
	for (size_t i = 0; i < count; i++)
		list[i] = (struct uid_place){ there_at(&f->there, i)->uid, (uint32_t)i };
	qsort(list, count, sizeof *list, by_uid);
	for (size_t i = 0; i < count; i++)
		f->by_uid[i] = list[i].place;
	mem_free(list);
	return ERR_OK;
}

/* What is not to answer for anything: taken. */
static void leave_out(struct other_folder *f)
{
	for (size_t i = 0; i < there_count(&f->there); i++) {
		struct there_one *one = there_at(&f->there, i);

		if (one->known || text_contains_nocase(there_flags(&f->there, one), SPAN_LIT("\\Deleted")))
			one->state = THERE_TAKEN;
		one->known = false;
	}
}

static enum err_code list_folder(struct elsewhere *w, struct other_folder *f, struct journal *j, struct err *e)
{
	enum err_code rc = sink_line_select(&w->line, buf_span(&f->raw), e);

	there_release(&f->there);
	f->there = THERE_EMPTY;
	if (rc)
		return rc;
	f->uid_validity = w->line.uid_validity;
	if (w->line.messages)
		rc = there_load(w->line.client, 1, &f->there, e);
	if (!rc)
		rc = journal_recognise(j, buf_span(&f->raw), f->uid_validity, &f->there, NULL, e);
	if (!rc)
		sink_line_progress(&w->line);
	return rc;
}

/* After failure E: is it worth saying again? */
static bool again(struct elsewhere *w, struct err *e)
{
	struct err why = *e;

	return sink_line_again(&w->line, &why, e) == ERR_OK;
}

enum err_code elsewhere_load(struct elsewhere *w, const struct folders *f, struct journal *j, struct err *e)
{
	const struct outline *o = &f->outline;
	enum err_code rc = ERR_OK;

	w->folders = mem_zalloc(o->count + 1, sizeof *w->folders);
	if (!w->folders)
		return err_no_memory(e, o->count * sizeof *w->folders);
	for (size_t i = 0; !rc && i < o->count; i++) {
		struct other_folder *to = &w->folders[w->count];

		if (o->collections[i].role == ROLE_TRASH || o->collections[i].role == ROLE_JUNK)
			continue;
		w->count++;
		to->there = THERE_EMPTY;
		to->window = 1;
		rc = buf_append(&to->raw, o->raws[i], e);
		if (!rc)
			rc = buf_append(&to->path, o->collections[i].path, e);
		if (!rc)
			do
				rc = list_folder(w, to, j, e);
			while (rc && again(w, e));
		if (rc && w->line.client && !imap_is_broken(w->line.client) && rc != ERR_NO_MEMORY)
			rc = ERR_OK;
		leave_out(to);
		if (!rc)
			rc = order_by_uid(to, e);
	}
	return rc;
}

/* ---- finding ---- */

static struct there_one *one_of_uid(const struct other_folder *f, uint32_t uid, size_t *place)
{
	size_t low = 0, high = there_count(&f->there);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (there_at(&f->there, f->by_uid[middle])->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	*place = low;
	if (low == there_count(&f->there) || there_at(&f->there, f->by_uid[low])->uid != uid)
		return NULL;
	return there_at(&f->there, f->by_uid[low]);
}

static enum err_code take_print(void *ctx, uint32_t uid, const struct mail_print *print, struct err *e)
{
	struct other_folder *f = ctx;
	size_t place;
	struct there_one *one = one_of_uid(f, uid, &place);

	(void)e;
	if (!one || one->known)
		return ERR_OK;
	memcpy(one->content, print->content, sizeof one->content);
	one->known = true;
	return ERR_OK;
}

static enum err_code read_window(struct elsewhere *w, struct other_folder *f, const struct there_one *first,
                                 struct err *e)
{
	struct buf set = BUF_EMPTY;
	uint64_t bytes = 0;
	size_t place, n = 0;
	enum err_code rc = sink_line_select(&w->line, buf_span(&f->raw), e);

	if (!rc && w->line.uid_validity != f->uid_validity)
		return err_set(e, ERR_VANISHED, "the folder '%s' was made anew meanwhile",
		               text_name(buf_span(&f->path)).text);
	(void)one_of_uid(f, first->uid, &place);
	for (; !rc && place < there_count(&f->there) && n < f->window; place++) {
		const struct there_one *one = there_at(&f->there, f->by_uid[place]);

		if (one->known || one->state == THERE_TAKEN)
			continue;
		if (n && bytes + one->bytes > WINDOW_BYTES_MAX)
			break;
		bytes += one->bytes;
		rc = buf_printf(&set, e, "%s%" PRIu32, n++ ? "," : "", one->uid);
	}
	if (!rc)
		rc = fetch_prints(w->line.client, buf_span(&set), take_print, f, e);
	if (!rc)
		sink_line_progress(&w->line);
	buf_release(&set);
	f->read += n;
	return rc;
}

/* ONE's content is known afterwards, or it is there no more and taken. */
static enum err_code read_content(struct elsewhere *w, struct other_folder *f, struct there_one *one, struct err *e)
{
	enum err_code rc;

	f->window = 2 * f->used >= f->read ? num_min(2 * f->window, WINDOW_MAX) : f->window / 2 + 1;
	do
		rc = read_window(w, f, one, e);
	while (rc && again(w, e));
	if (!rc && !one->known)
		one->state = THERE_TAKEN;
	return rc;
}

enum err_code elsewhere_find(struct elsewhere *w, struct span own, const struct there_wish *wish,
                             const uint8_t *content, struct span *path, struct err *e)
{
	enum err_code rc = ERR_OK;

	*path = SPAN_EMPTY;
	for (size_t i = 0; i < w->count; i++) {
		struct other_folder *f = &w->folders[i];
		struct there_one *one;
		size_t try = 0;

		if (span_equal(buf_span(&f->raw), own))
			continue;
		while ((one = there_find(&f->there, wish, try)) != NULL) {
			if (content && !one->known) {
				rc = read_content(w, f, one, e);
				if (rc)
					return rc;
				continue; /* it may be gone: ask for the same number again */
			}
			if (!content || !memcmp(content, one->content, sizeof one->content)) {
				f->used += content != NULL;
				*path = buf_span(&f->path);
				return ERR_OK;
			}
			try++;
		}
	}
	return ERR_OK;
}
