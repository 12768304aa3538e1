#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#define FIRST_LINE SPAN_LIT("mailhold imap journal 1")
#define MAILS_MAX  ((size_t)1 << 27)

/* ---- reading ---- */

static struct span take_word(struct span *line)
{
	const uint8_t *space = line->len ? memchr(line->ptr, ' ', line->len) : NULL;
	struct span word = span_first(*line, space ? (size_t)(space - line->ptr) : line->len);

	*line = span_skip(*line, word.len + 1);
	return word;
}

static bool take_number(struct span *line, uint64_t max, uint64_t *out)
{
	return text_number(take_word(line), max, out);
}

static bool take_date(struct span *line, int64_t *out)
{
	uint64_t value;

	if (!take_number(line, UINT64_MAX, &value))
		return false;
	*out = (int64_t)value;
	return true;
}

static enum err_code add_folder(struct journal *j, struct span raw, struct err *e)
{
	if (j->folder_count == j->folder_cap) {
		size_t cap = j->folder_cap ? j->folder_cap * 2 : 16;
		struct journal_folder *grown = mem_grow(j->folders, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		j->folders = grown;
		j->folder_cap = cap;
	}
	j->folders[j->folder_count] = (struct journal_folder){ .raw = BUF_EMPTY };
	return buf_append(&j->folders[j->folder_count++].raw, raw, e);
}

static enum err_code read_folder(struct journal *j, struct span line, bool *good, struct err *e)
{
	struct buf raw = BUF_EMPTY;
	uint64_t number;
	enum err_code rc = ERR_OK;

	*good = take_number(&line, UINT32_MAX, &number) && number == j->folder_count && line.len &&
	        text_unpercent(&raw, line, e) == ERR_OK;
	if (*good)
		rc = add_folder(j, buf_span(&raw), e);
	buf_release(&raw);
	return rc;
}

static enum err_code read_send(struct journal *j, struct span line, bool *good, struct err *e)
{
	struct journal_mail m = { .folder = 0 };
	uint64_t k, folder, validity, next;

	*good = take_number(&line, MAILS_MAX, &k) && k == journal_count(j) && take_number(&line, UINT32_MAX, &folder) &&
	        folder < j->folder_count && take_number(&line, UINT32_MAX, &validity) &&
	        take_number(&line, UINT32_MAX, &next) && take_number(&line, UINT64_MAX, &m.id) &&
	        take_date(&line, &m.date_s) && line.len == 2 * sizeof m.content &&
	        text_unhex(line, m.content, sizeof m.content);
	if (!*good)
		return ERR_OK;
	m.folder = (uint32_t)folder;
	m.uid_validity = (uint32_t)validity;
	m.uid_next = (uint32_t)next;
	return buf_append(&j->mails, span_of(&m, sizeof m), e);
}

static bool read_outcome(struct journal *j, bool put, struct span line)
{
	uint64_t k, uid = 0;

	if (!take_number(&line, MAILS_MAX, &k) || k >= journal_count(j) ||
	    (put && !take_number(&line, UINT32_MAX, &uid)))
		return false;
	journal_at(j, (size_t)k)->uid = (uint32_t)uid;
	journal_at(j, (size_t)k)->refused = !put;
	return true;
}

static enum err_code read_line(struct journal *j, struct span line, bool *good, struct err *e)
{
	struct span word = take_word(&line);
	uint64_t number;

	*good = false;
	if (span_equal(word, SPAN_LIT("send")))
		return read_send(j, line, good, e);
	if (span_equal(word, SPAN_LIT("folder")))
		return read_folder(j, line, good, e);
	if (span_equal(word, SPAN_LIT("made"))) {
		*good = take_number(&line, UINT32_MAX, &number) && number < j->folder_count;
		if (*good)
			j->folders[number].made = true;
	} else if (span_equal(word, SPAN_LIT("put")) || span_equal(word, SPAN_LIT("refused"))) {
		*good = read_outcome(j, word.len == 3, line);
	}
	return ERR_OK;
}

/* What is whole; *KEPT bytes of it make sense. */
static enum err_code read_all(struct journal *j, struct span text, size_t *kept, struct err *e)
{
	struct span left = text;
	bool good = true, first = true;
	enum err_code rc = ERR_OK;

	*kept = 0;
	while (!rc && good && left.len) {
		const uint8_t *end = memchr(left.ptr, '\n', left.len);
		struct span line = span_first(left, end ? (size_t)(end - left.ptr) : left.len);

		if (!end)
			break;
		if (first)
			good = span_equal(line, FIRST_LINE);
		else
			rc = read_line(j, line, &good, e);
		first = false;
		left = span_skip(left, line.len + 1);
		if (good)
			*kept = text.len - left.len;
	}
	return rc;
}

static enum err_code load(struct journal *j, struct err *e)
{
	struct buf text = BUF_WITH_MAX(JOURNAL_BYTES_MAX);
	size_t kept = 0;
	enum err_code rc = file_read(j->path, JOURNAL_BYTES_MAX, &text, e);

	if (!rc)
		rc = read_all(j, buf_span(&text), &kept, e);
	if (!rc && text.len && !kept)
		rc = err_set(e, ERR_UNSUPPORTED,
		             "%s is no journal of this version; move it away to go on (what is there is then compared)",
		             j->path);
	/* A half line would swallow the next one. */
	if (!rc && kept < text.len && ftruncate(j->fd, (off_t)kept) < 0)
		rc = err_sys(e, errno, "cannot mend %s", j->path);
	if (!rc && !kept) {
		rc = buf_append(&j->lines, FIRST_LINE, e);
		if (!rc)
			rc = buf_append(&j->lines, SPAN_LIT("\n"), e);
	}
	buf_release(&text);
	return rc;
}

static enum err_code open_file(struct journal *j, struct err *e)
{
	char *slash = strrchr(j->path, '/');
	struct stat st;
	enum err_code rc = ERR_OK;

	if (slash && slash != j->path) {
		*slash = 0;
		rc = file_make_folders(j->path, 0700, e);
		*slash = '/';
	}
	if (rc)
		return rc;
	j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return err_sys(e, errno, "cannot open %s", j->path);
	if (flock(j->fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, ERR_STATE, "another restore of this snapshot to this account is running");
	if (fstat(j->fd, &st) == 0 && st.st_size)
		j->left_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	return load(j, e);
}

enum err_code journal_open(const char *path, struct journal *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	*out = (struct journal){ .fd = -1, .mails = { .max = MAILS_MAX * sizeof(struct journal_mail) } };
	if (!path)
		return ERR_OK;
	out->path = mem_alloc(strlen(path) + 1);
	if (!out->path)
		return err_no_memory(e, strlen(path) + 1);
	memcpy(out->path, path, strlen(path) + 1);
	rc = open_file(out, e);
	if (rc)
		journal_release(out);
	return rc ? err_note(e, "opening the journal of this restore") : ERR_OK;
}

void journal_release(struct journal *j)
{
	if (j->path && j->fd >= 0)
		close(j->fd);
	j->fd = -1;
	for (size_t i = 0; i < j->folder_count; i++)
		buf_release(&j->folders[i].raw);
	mem_free(j->folders);
	j->folders = NULL;
	j->folder_count = j->folder_cap = 0;
	buf_release(&j->mails);
	buf_release(&j->lines);
	mem_free(j->path);
	j->path = NULL;
}

enum err_code journal_remove(struct journal *j, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (j->path && unlink(j->path) < 0 && errno != ENOENT)
		rc = err_sys(e, errno, "cannot remove %s", j->path);
	journal_release(j);
	return rc;
}

/* ---- writing ---- */

enum err_code journal_folder(struct journal *j, struct span raw, uint32_t *number, struct err *e)
{
	struct buf name = BUF_EMPTY;
	enum err_code rc;

	for (size_t i = 0; i < j->folder_count; i++)
		if (span_equal(buf_span(&j->folders[i].raw), raw)) {
			*number = (uint32_t)i;
			return ERR_OK;
		}
	rc = text_percent(&name, raw, "", e);
	if (!rc)
		rc = buf_printf(&j->lines, e, "folder %zu %.*s\n", j->folder_count, (int)name.len,
		                (const char *)name.ptr);
	if (!rc)
		rc = add_folder(j, raw, e);
	*number = (uint32_t)(j->folder_count - !rc);
	buf_release(&name);
	return rc;
}

enum err_code journal_made(struct journal *j, struct span raw, struct err *e)
{
	uint32_t number = 0;
	enum err_code rc = journal_folder(j, raw, &number, e);

	if (rc)
		return rc;
	j->folders[number].made = true;
	rc = buf_printf(&j->lines, e, "made %" PRIu32 "\n", number);
	return rc ? rc : journal_sync(j, e);
}

enum err_code journal_send(struct journal *j, const struct journal_mail *m, uint32_t *number, struct err *e)
{
	char content[2 * sizeof m->content + 1];
	size_t k = journal_count(j);
	enum err_code rc;

	text_hex(span_of(m->content, sizeof m->content), content);
	rc = buf_printf(&j->lines, e, "send %zu %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %s\n", k,
	                m->folder, m->uid_validity, m->uid_next, m->id, (uint64_t)m->date_s, content);
	if (!rc)
		rc = buf_append(&j->mails, span_of(m, sizeof *m), e);
	*number = (uint32_t)k;
	return rc;
}

enum err_code journal_put(struct journal *j, uint32_t number, uint32_t uid, struct err *e)
{
	journal_at(j, number)->uid = uid;
	return uid ? buf_printf(&j->lines, e, "put %" PRIu32 " %" PRIu32 "\n", number, uid) : ERR_OK;
}

enum err_code journal_refused(struct journal *j, uint32_t number, struct err *e)
{
	journal_at(j, number)->refused = true;
	return buf_printf(&j->lines, e, "refused %" PRIu32 "\n", number);
}

enum err_code journal_sync(struct journal *j, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (j->path && j->lines.len) {
		rc = file_write(j->fd, j->path, buf_span(&j->lines), e);
		if (!rc && fdatasync(j->fd) < 0)
			rc = err_sys(e, errno, "cannot write %s to the disk", j->path);
	}
	buf_clear(&j->lines);
	return rc;
}

/* ---- recognising ---- */

static int by_uid(const void *a, const void *b)
{
	const struct journal_mail *const *x = a, *const *y = b;

	return ((*x)->uid > (*y)->uid) - ((*x)->uid < (*y)->uid);
}

static void know(struct there_one *one, const struct journal_mail *m)
{
	one->known = true;
	memcpy(one->content, m->content, sizeof one->content);
}

static void recognise_put(struct there *t, struct journal_mail **put, size_t count)
{
	for (size_t i = 0; i < there_count(t); i++) {
		struct journal_mail key = { .uid = there_at(t, i)->uid }, *wanted = &key, **at;

		at = bsearch(&wanted, put, count, sizeof(void *), by_uid);
		/* A server that gives one UID twice in one validity is not believed. */
		if (at && (*at)->id == there_at(t, i)->id)
			know(there_at(t, i), *at);
	}
}

static enum err_code recognise_sent(struct journal *j, uint32_t k, struct there *t, size_t *missing, struct err *e)
{
	struct journal_mail *m = journal_at(j, k);
	struct there_wish wish = { .id = m->id, .date_s = m->date_s, .uid_from = m->uid_next, .any_size = true };
	struct there_one *one;

	if (!m->id && m->date_s == THERE_NO_DATE)
		return ERR_OK; /* nothing tells it from others */
	for (size_t i = 0; (one = there_find(t, &wish, i)) != NULL; i++)
		if (!one->known) {
			know(one, m);
			return journal_put(j, k, one->uid, e);
		}
	++*missing;
	return ERR_OK;
}

enum err_code journal_recognise(struct journal *j, struct span raw, uint32_t uid_validity, struct there *t,
                                size_t *missing, struct err *e)
{
	size_t all = journal_count(j), count = 0, lost = 0;
	struct journal_mail **put = mem_zalloc(all + 1, sizeof(void *));
	enum err_code rc = ERR_OK;

	if (!put)
		return err_no_memory(e, all * sizeof(void *));
	for (size_t pass = 0; pass < 2 && !rc; pass++) {
		for (size_t k = 0; k < all && !rc; k++) {
			struct journal_mail *m = journal_at(j, k);

			if (m->refused || m->uid_validity != uid_validity ||
			    !span_equal(buf_span(&j->folders[m->folder].raw), raw))
				continue;
			if (m->uid && pass == 0)
				put[count++] = m;
			else if (!m->uid && pass == 1)
				rc = recognise_sent(j, (uint32_t)k, t, &lost, e);
		}
		if (pass == 0) {
			qsort(put, count, sizeof(void *), by_uid);
			recognise_put(t, put, count);
		}
	}
	mem_free(put);
	if (missing)
		*missing = lost;
	return rc ? rc : journal_sync(j, e);
}
