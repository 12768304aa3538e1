#include "undo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "journal.h"
#include "sink_line.h"
#include "target_folder.h"

enum { SET_MAX = 500 };

struct undoing {
	struct sink_line line;
	struct journal journal;
	struct target_names names;
	bool *removed;      /* by place among the names: a folder that was */
	uint64_t *messages; /* by number in the journal: how many were taken out of it */
	bool plan;
	item_report report;
	void *ctx;
	struct undo_report *out;
};

static void keep(struct undoing *u, struct span raw, uint64_t messages, const struct err *why)
{
	u->out->kept += messages;
	if (u->report)
		u->report(u->ctx, text_name(raw).text, why);
}

/* ---- messages ---- */

static enum err_code simple(struct undoing *u, const char *before, struct span set, const char *after, struct err *e)
{
	unsigned tag;
	enum err_code rc =
	        imap_send(u->line.client, &tag, e, "%s%.*s%s", before, (int)set.len, (const char *)set.ptr, after);

	return rc ? rc : imap_wait(u->line.client, tag, NULL, NULL, e);
}

static enum err_code remove_set(struct undoing *u, struct span set, struct err *e)
{
	enum err_code rc = simple(u, "UID STORE ", set, " +FLAGS.SILENT (\\Deleted)", e);

	return rc ? rc : simple(u, "UID EXPUNGE ", set, "", e);
}

static int by_uid(const void *a, const void *b)
{
	const struct there_one *const *x = a, *const *y = b;

	return ((*x)->uid > (*y)->uid) - ((*x)->uid < (*y)->uid);
}

/* The message of T that M is, if it is still there. */
static const struct there_one *find(struct there_one **sorted, size_t count, const struct journal_mail *m)
{
	struct there_one key = { .uid = m->uid }, *wanted = &key, **at;

	at = bsearch(&wanted, sorted, count, sizeof(void *), by_uid);
	return at && (*at)->id == m->id ? *at : NULL;
}

static enum err_code remove_listed(struct undoing *u, uint32_t folder, const struct there *t, struct err *e)
{
	size_t count = there_count(t), in_set = 0;
	struct there_one **sorted = mem_zalloc(count + 1, sizeof(void *));
	struct buf set = BUF_EMPTY;
	enum err_code rc = sorted ? ERR_OK : err_no_memory(e, count * sizeof(void *));

	for (size_t i = 0; !rc && i < count; i++)
		sorted[i] = there_at(t, i);
	if (!rc)
		qsort(sorted, count, sizeof(void *), by_uid);
	for (size_t k = 0; !rc && k < journal_count(&u->journal); k++) {
		const struct journal_mail *m = journal_at(&u->journal, k);

		if (m->folder != folder || m->refused || m->uid_validity != u->line.uid_validity)
			continue;
		if (!m->uid || !find(sorted, count, m)) {
			u->out->gone++;
			continue;
		}
		rc = buf_printf(&set, e, "%s%" PRIu32, in_set ? "," : "", m->uid);
		u->out->removed++;
		u->messages[folder]++;
		if (!rc && ++in_set == SET_MAX) {
			rc = u->plan ? ERR_OK : remove_set(u, buf_span(&set), e);
			buf_clear(&set);
			in_set = 0;
		}
	}
	if (!rc && in_set && !u->plan)
		rc = remove_set(u, buf_span(&set), e);
	buf_release(&set);
	mem_free(sorted);
	return rc;
}

static uint64_t count_of(const struct undoing *u, uint32_t folder)
{
	uint64_t n = 0;

	for (size_t k = 0; k < journal_count(&u->journal); k++)
		n += journal_at(&u->journal, k)->folder == folder && !journal_at(&u->journal, k)->refused;
	return n;
}

static enum err_code undo_folder(struct undoing *u, uint32_t folder, struct err *e)
{
	struct span raw = buf_span(&u->journal.folders[folder].raw);
	struct there there = THERE_EMPTY;
	struct undo_report before = *u->out;
	enum err_code rc;

	if (!count_of(u, folder))
		return ERR_OK;
	rc = sink_line_select(&u->line, raw, e);
	if (rc == ERR_NOT_FOUND) {
		u->out->gone += count_of(u, folder);
		return ERR_OK;
	}
	if (!rc && u->line.messages)
		rc = there_load(u->line.client, 1, &there, e);
	if (!rc)
		rc = journal_recognise(&u->journal, raw, u->line.uid_validity, &there, NULL, e);
	if (!rc && !(imap_capabilities(u->line.client) & IMAP_UIDPLUS))
		rc = err_set(e, ERR_UNSUPPORTED, "the server cannot remove single messages (it has no UIDPLUS)");
	if (!rc)
		rc = remove_listed(u, folder, &there, e);
	there_release(&there);
	/* What it refuses in one folder it may allow in the next. */
	if (rc && !imap_is_broken(u->line.client) && rc != ERR_CANCELLED && rc != ERR_NO_MEMORY) {
		*u->out = before;
		u->messages[folder] = 0;
		keep(u, raw, count_of(u, folder), e);
		return ERR_OK;
	}
	return rc;
}

/* ---- folders ---- */

static enum err_code say(struct undoing *u, const char *word, struct span raw, struct err *e)
{
	struct buf name = BUF_EMPTY;
	unsigned tag;
	enum err_code rc = imap_string(u->line.client, raw, &name, e);

	if (!rc)
		rc = imap_send(u->line.client, &tag, e, "%s %.*s", word, (int)name.len, (const char *)name.ptr);
	if (!rc)
		rc = imap_wait(u->line.client, tag, NULL, NULL, e);
	buf_release(&name);
	return rc;
}

/* The place of RAW among the account's folders; SIZE_MAX: not there. *CHILDREN: it has some that stay. */
static size_t place_of(const struct undoing *u, struct span raw, bool *children)
{
	const struct outline *o = &u->names.folders.outline;
	size_t at = SIZE_MAX;

	*children = false;
	for (size_t i = 0; i < o->count; i++) {
		if (span_equal(o->raws[i], raw))
			at = i;
		else if (!u->removed[i] && o->raws[i].len > raw.len && span_starts(o->raws[i], raw) &&
		         o->raws[i].ptr[raw.len] == (uint8_t)u->names.delimiter && u->names.delimiter)
			*children = true;
	}
	return at;
}

/* A folder that we made, has nothing in it, and none below it. */
static enum err_code remove_folder(struct undoing *u, uint32_t folder, struct err *e)
{
	struct span raw = buf_span(&u->journal.folders[folder].raw);
	struct folder_status status;
	bool children;
	size_t place = place_of(u, raw, &children);
	enum err_code rc;

	if (place == SIZE_MAX || children)
		return ERR_OK;
	rc = folder_ask_status(u->line.client, raw, &status, e);
	if (rc || status.messages != (u->plan ? u->messages[folder] : 0))
		return rc;
	if (!u->plan)
		rc = say(u, "DELETE", raw, e);
	if (rc)
		return rc;
	u->removed[place] = true;
	u->out->folders++;
	if (!u->plan)
		(void)!say(u, "UNSUBSCRIBE", raw, &(struct err){ 0 });
	return ERR_OK;
}

static enum err_code remove_folders(struct undoing *u, struct err *e)
{
	enum err_code rc = sink_line_select(&u->line, SPAN_LIT("INBOX"), e);

	if (!rc)
		rc = target_names_load(u->line.client, &u->names, e);
	if (!rc)
		u->removed = mem_zalloc(u->names.folders.outline.count + 1, sizeof *u->removed);
	if (!rc && !u->removed)
		rc = err_no_memory(e, u->names.folders.outline.count);
	/* Those below others were made later. */
	for (size_t i = u->journal.folder_count; !rc && i-- > 0;) {
		struct err why;

		if (!u->journal.folders[i].made)
			continue;
		rc = remove_folder(u, (uint32_t)i, &why);
		if (rc && imap_is_broken(u->line.client))
			*e = why;
		else
			rc = ERR_OK; /* a folder that stays harms nobody */
	}
	return rc;
}

/* ---- all of it ---- */

static enum err_code undo(struct undoing *u, struct err *e)
{
	enum err_code rc = ERR_OK;

	u->messages = mem_zalloc(u->journal.folder_count + 1, sizeof *u->messages);
	if (!u->messages)
		return err_no_memory(e, u->journal.folder_count * sizeof *u->messages);
	for (uint32_t i = 0; !rc && i < u->journal.folder_count; i++)
		rc = undo_folder(u, i, e);
	if (!rc)
		rc = remove_folders(u, e);
	if (!rc && !u->plan && !u->out->kept)
		rc = journal_remove(&u->journal, e);
	return rc;
}

enum err_code imap_undo(const struct imap_login *login, const char *journal, bool plan, item_report report, void *ctx,
                        struct undo_report *out, struct err *e)
{
	struct undoing u = { .plan = plan, .report = report, .ctx = ctx, .out = out };
	enum err_code rc;

	*out = (struct undo_report){ 0 };
	if (!journal || access(journal, F_OK) < 0)
		return err_set(
		        e, ERR_NOT_FOUND,
		        "no restore of this snapshot to this account is known on this machine; what was 'latest' then "
		        "may be another one now: name it by its id");
	rc = journal_open(journal, &u.journal, e);
	if (rc)
		return rc;
	rc = sink_line_open(login, &u.line, e);
	if (!rc) {
		rc = undo(&u, e);
		sink_line_release(&u.line);
	}
	target_names_release(&u.names);
	mem_free(u.removed);
	mem_free(u.messages);
	journal_release(&u.journal);
	return rc;
}
