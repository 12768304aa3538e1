/*
 * maildir_source: reads a Maildir, a Maildir++ with or without a root of its own, or nested Maildirs.
 *
 * Invariants
 *  1. Listing costs one readdir of cur and new; nothing is opened. A folder whose stats are as in a settled cursor
 *     is not even read.
 *  2. A key names the same bytes for ever: it is the base name, which a Maildir never gives twice. Where a folder does
 *     hold a base name twice, none of the twins gets it alone: their keys are base name '/' inode.
 *  3. Flags change a file's name while we read. A file that is not where the listing saw it is looked up once more by
 *     its base name before it counts as vanished.
 */
#include "worlds.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "dir_scan.h"
#include "feed.h"
#include "maildir_name.h"
#include "names.h"
#include "connector/outline.h"
#include "safe_name.h"
#include "stamp.h"

#define DEPTH_MAX      32
#define IN_CUR         NAME_USER_BIT
#define LOOK_AGAIN_MS  10000
#define ATTRIBUTE_FILE "maildir:file:"
#define ATTRIBUTE_STAT "maildir:stat:"

struct maildir_source {
	struct item_source base;
	int root_fd;
	bool outlined;
	struct outline outline;
};

struct item_listing {
	int cur_fd, new_fd; /* -1 when missing */
	struct names names;
	pthread_mutex_t lock; /* guards what follows */
	struct names later;   /* read again because a file was not where it was */
	int64_t later_ms;     /* when; 0 before the first time */
};

static void report(struct maildir_source *s, struct span raw, const char *part, struct span name, const struct err *why)
{
	char what[1024];

	if (!s->base.report)
		return;
	snprintf(what, sizeof what, "%s%s%s%s%s", text_name(raw).text, raw.len && *part ? "/" : "", part,
	         (raw.len || *part) && name.len ? "/" : "", text_name(name).text);
	s->base.report(s->base.report_ctx, what, why);
}

/* ---- outline: which folders there are, and the files beside the mail ---- */

static bool is_mail_folder(struct span name)
{
	return span_equal(name, SPAN_LIT("cur")) || span_equal(name, SPAN_LIT("new")) ||
	       span_equal(name, SPAN_LIT("tmp"));
}

/* Files that a server makes again from the mail, or that live only while it works. */
static bool is_passing(struct span name)
{
	return span_starts(name, SPAN_LIT("dovecot.index")) || span_starts(name, SPAN_LIT("dovecot.list.index")) ||
	       (name.len >= 5 && memcmp(name.ptr + name.len - 5, ".lock", 5) == 0);
}

static enum err_code add_prefixed(struct outline *o, const char *prefix, struct span name, struct span value,
                                  struct err *e)
{
	struct buf full = BUF_WITH_MAX(ATTRIBUTE_NAME_BYTES_MAX);
	enum err_code rc = buf_append(&full, span_cstr(prefix), e);

	if (!rc)
		rc = buf_append(&full, name, e);
	if (!rc)
		rc = outline_attribute(o, buf_span(&full), value, e);
	buf_release(&full);
	return rc;
}

static enum err_code read_small(int fd, uint64_t size, struct buf *out, struct err *e)
{
	uint8_t *at;
	ssize_t n = 1;
	enum err_code rc;

	if (size > ATTRIBUTE_VALUE_BYTES_MAX)
		return err_set(e, ERR_LIMIT, "has %llu bytes; files beside the mail are kept up to %zu MiB",
		               (unsigned long long)size, ATTRIBUTE_VALUE_BYTES_MAX / MIB);
	if (size == 0)
		return ERR_OK;
	rc = buf_extend(out, (size_t)size, &at, e);
	if (rc)
		return rc;
	out->len = 0;
	while (out->len < size && n > 0) {
		n = read(fd, at + out->len, (size_t)size - out->len);
		if (n < 0)
			return err_sys(e, errno, "cannot read it");
		out->len += (size_t)n;
	}
	return ERR_OK;
}

/* Keeps one file that lies beside the mail. What cannot be kept is reported; only lack of memory is an error. */
static enum err_code keep_file(struct maildir_source *s, struct span raw, int fd, struct span name, struct err *e)
{
	struct buf content = BUF_EMPTY;
	struct err why = { 0 };
	enum err_code rc;
	struct stat st;
	int file = -1;

	if (name.len + strlen(ATTRIBUTE_FILE) > ATTRIBUTE_NAME_BYTES_MAX)
		rc = err_set(&why, ERR_LIMIT, "its name is too long to keep it");
	else
		rc = feed_open(fd, (const char *)name.ptr, &file, &st, &why);
	if (!rc)
		rc = read_small(file, (uint64_t)st.st_size, &content, &why);
	if (!rc)
		rc = add_prefixed(&s->outline, ATTRIBUTE_FILE, name, buf_span(&content), &why);
	if (!rc)
		rc = add_prefixed(&s->outline, ATTRIBUTE_STAT, name, span_cstr(stamp_text(&st).text), &why);
	if (file >= 0)
		close(file);
	buf_release(&content);
	if (rc == ERR_NO_MEMORY) {
		*e = why;
		return rc;
	}
	if (rc && rc != ERR_NOT_FOUND)
		report(s, raw, "", name, &why);
	return ERR_OK;
}

static enum err_code add_modes(struct maildir_source *s, int fd, struct err *e)
{
	static const char *const folders[] = { ".", "cur", "new", "tmp" };
	char text[80];
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		struct stat st;

		if (fstatat(fd, folders[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			used += (size_t)snprintf(text + used, sizeof text - used, "%s%s=%o", used ? " " : "",
			                         folders[i], (unsigned)st.st_mode & 0777);
	}
	return outline_attribute(&s->outline, SPAN_LIT("maildir:folders"), span_of(text, used), e);
}

static enum err_code add_folder(struct maildir_source *s, int fd, struct span raw, struct err *e)
{
	struct buf path = BUF_EMPTY;
	enum err_code rc = maildir_path(raw, &path, e);
	struct span shown = buf_span(&path);

	/* A path with an empty part could not be told from its neighbours once it is taken apart. */
	if (!rc && (shown.len == 0 || shown.ptr[0] == '/' || shown.ptr[shown.len - 1] == '/' ||
	            memmem(shown.ptr, shown.len, "//", 2))) {
		buf_clear(&path);
		rc = buf_append(&path, SPAN_LIT("./"), e);
		if (!rc)
			rc = buf_append(&path, raw, e);
		shown = buf_span(&path);
	}
	if (!rc)
		rc = outline_add(&s->outline, shown, raw, KIND_MAIL, e);
	if (!rc)
		rc = outline_attribute(&s->outline, SPAN_LIT("maildir:folder"), raw, e);
	if (!rc)
		rc = add_modes(s, fd, e);
	buf_release(&path);
	return rc;
}

/* What one readdir of a folder tells; names of files and of folders to go into, in folder order. */
struct folder_view {
	bool is_maildir;
	struct names files, folders;
};

static enum err_code view_folder(struct maildir_source *s, int fd, struct span raw, struct folder_view *view,
                                 struct err *e)
{
	struct dir_scan scan;
	struct dir_entry entry;
	enum err_code rc = dir_scan_open(&scan, fd, true, e);
	struct err why;
	bool more = true;

	while (!rc) {
		rc = dir_scan_next(&scan, &entry, &more, e);
		if (rc || !more)
			break;
		if (entry.name.len > NAME_LEN_MAX) {
			err_set(&why, ERR_LIMIT, "its name has %zu bytes", entry.name.len);
			report(s, raw, "", entry.name, &why);
		} else if (entry.type == DIR_FOLDER && is_mail_folder(entry.name)) {
			view->is_maildir |= entry.name.ptr[0] != 't';
		} else if (entry.type == DIR_FOLDER) {
			rc = names_add(&view->folders, entry.name, entry.name.len, 0, SPAN_EMPTY, e);
		} else if (is_passing(entry.name)) {
			continue;
		} else if (entry.type == DIR_FILE) {
			rc = names_add(&view->files, entry.name, entry.name.len, 0, SPAN_EMPTY, e);
		} else {
			err_set(&why, ERR_UNSUPPORTED, "is not a regular file; links and devices are not kept");
			report(s, raw, "", entry.name, &why);
		}
	}
	dir_scan_release(&scan);
	names_sort(&view->files);
	names_sort(&view->folders);
	return rc;
}

static enum err_code outline_folder(struct maildir_source *s, int fd, struct span raw, unsigned depth, struct err *e);

static enum err_code outline_below(struct maildir_source *s, int fd, struct span raw, const struct names *folders,
                                   unsigned depth, struct err *e)
{
	struct buf below = BUF_WITH_MAX(COLLECTION_PATH_BYTES_MAX);
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < folders->count && !rc; i++) {
		struct span name = names_name(folders, i);
		struct err why = { 0 };
		int next;

		buf_clear(&below);
		rc = raw.len ? buf_printf(&below, &why, "%.*s/", (int)raw.len, (const char *)raw.ptr) : ERR_OK;
		if (!rc)
			rc = buf_append(&below, name, &why);
		if (!rc && depth == DEPTH_MAX)
			rc = err_set(&why, ERR_LIMIT, "more than %d folders deep", DEPTH_MAX);
		next = rc ? -1 : dir_open_below(fd, (const char *)name.ptr);
		if (!rc && next < 0)
			rc = err_sys(&why, errno, "cannot open the folder");
		if (rc == ERR_NO_MEMORY) {
			*e = why;
			break;
		}
		if (rc) {
			report(s, raw, "", name, &why);
			rc = ERR_OK;
			continue;
		}
		rc = outline_folder(s, next, buf_span(&below), depth + 1, e);
		close(next);
	}
	buf_release(&below);
	return rc;
}

static enum err_code outline_folder(struct maildir_source *s, int fd, struct span raw, unsigned depth, struct err *e)
{
	struct folder_view view = { false, NAMES_EMPTY, NAMES_EMPTY };
	size_t before = s->outline.count;
	enum err_code rc = view_folder(s, fd, raw, &view, e);
	struct err why = { 0 };

	if (rc && rc != ERR_NO_MEMORY && depth) { /* one folder that cannot be read stops no other */
		report(s, raw, "", SPAN_EMPTY, e);
		rc = ERR_OK;
		goto done;
	}
	/* A root without mail of its own still carries subscriptions and the like. */
	if (!rc && (view.is_maildir || (depth == 0 && view.files.count))) {
		rc = add_folder(s, fd, raw, e);
		for (size_t i = 0; i < view.files.count && !rc; i++)
			rc = keep_file(s, raw, fd, names_name(&view.files, i), e);
	}
	if (!rc)
		rc = outline_below(s, fd, raw, &view.folders, depth, e);
	if (!rc && depth && s->outline.count == before) {
		err_set(&why, ERR_UNSUPPORTED,
		        "is not a Maildir and holds none; it is left out (files: keeps any tree)");
		report(s, raw, "", SPAN_EMPTY, &why);
	}
done:
	names_release(&view.files);
	names_release(&view.folders);
	return rc;
}

static enum err_code source_collections(struct item_source *base, const struct collection **out, size_t *count,
                                        struct err *e)
{
	struct maildir_source *s = (struct maildir_source *)base;
	enum err_code rc = ERR_OK;

	if (!s->outlined) {
		rc = outline_folder(s, s->root_fd, SPAN_EMPTY, 0, e);
		if (!rc)
			rc = outline_finish(&s->outline, e);
		if (rc)
			return rc;
		s->outlined = true;
	}
	*out = s->outline.collections;
	*count = s->outline.count;
	return ERR_OK;
}

/* ---- listing ---- */

static enum err_code add_state(struct buf *state, struct span suffix, bool in_cur, struct err *e)
{
	struct span flags = maildir_flags(suffix);
	enum err_code rc = ERR_OK;

	buf_clear(state);
	if (flags.len)
		rc = fields_add(state, STATE_FLAGS, flags, e);
	if (!rc)
		rc = fields_add_u64(state, STATE_PLACE, in_cur, 1, e);
	if (!rc && suffix.len)
		rc = fields_add(state, STATE_SUFFIX, suffix, e);
	return rc;
}

/* Adds one entry of cur or new, or says why not. S may be NULL: then nothing is reported (a second look). */
static enum err_code list_entry(struct maildir_source *s, struct span raw, struct names *names,
                                const struct dir_entry *entry, bool in_cur, struct buf *state, struct err *e)
{
	size_t base = maildir_base_length(entry->name);
	enum err_code rc;
	struct err why;

	if (span_starts(entry->name, SPAN_LIT(".nfs")))
		return ERR_OK; /* a deleted file that an NFS client still holds open */
	if (entry->type != DIR_FILE || entry->name.len > NAME_LEN_MAX) {
		err_set(&why, ERR_UNSUPPORTED, "is not a regular file with a name of at most %d bytes", NAME_LEN_MAX);
		if (s)
			report(s, raw, in_cur ? "cur" : "new", entry->name, &why);
		return ERR_OK;
	}
	rc = add_state(state, span_skip(entry->name, base), in_cur, e);
	return rc ? rc : names_add(names, entry->name, base, in_cur ? IN_CUR : 0, buf_span(state), e);
}

static enum err_code list_folder(struct maildir_source *s, struct span raw, struct names *names, int fd, bool in_cur,
                                 struct err *e)
{
	struct buf state = BUF_EMPTY;
	struct dir_scan scan;
	struct dir_entry entry;
	enum err_code rc;
	bool more = true;

	if (fd < 0)
		return ERR_OK;
	rc = dir_scan_open(&scan, fd, false, e);
	while (!rc) {
		rc = dir_scan_next(&scan, &entry, &more, e);
		if (rc || !more)
			break;
		rc = list_entry(s, raw, names, &entry, in_cur, &state, e);
	}
	dir_scan_release(&scan);
	buf_release(&state);
	return rc;
}

/* Invariant 2: twins get keys of their own. A twin that went away meanwhile keeps inode 0 until its fetch tells. */
static enum err_code part_twins(struct names *names, int cur_fd, int new_fd, struct err *e)
{
	struct buf key = BUF_EMPTY;
	enum err_code rc = ERR_OK;
	bool any = false;

	for (size_t i = 0, end; i < names->count && !rc; i = end) {
		for (end = i + 1; end < names->count && span_equal(names_key(names, i), names_key(names, end));)
			end++;
		for (size_t twin = i; twin < end && end - i > 1 && !rc; twin++) {
			struct stat st = { 0 };
			int fd = names->refs[twin].mark & IN_CUR ? cur_fd : new_fd;
			bool gone =
			        fstatat(fd, (const char *)names_name(names, twin).ptr, &st, AT_SYMLINK_NOFOLLOW) != 0;

			buf_clear(&key);
			rc = buf_append(
			        &key, span_first(names_name(names, twin), maildir_base_length(names_name(names, twin))),
			        e);
			/* The ordinal tells hard links of one file apart: their bytes are the same anyway. */
			if (!rc)
				rc = buf_printf(&key, e, "/%llu.%zu", gone ? 0 : (unsigned long long)st.st_ino,
				                twin - i);
			if (!rc)
				rc = names_own_key(names, twin, buf_span(&key), e);
			any = true;
		}
	}
	if (any && !rc)
		names_sort(names);
	buf_release(&key);
	return rc;
}

static enum err_code read_names(struct maildir_source *s, struct span raw, int cur_fd, int new_fd, struct names *names,
                                struct err *e)
{
	enum err_code rc = list_folder(s, raw, names, new_fd, false, e);

	if (!rc)
		rc = list_folder(s, raw, names, cur_fd, true, e);
	if (rc)
		return rc;
	names_sort(names);
	return part_twins(names, cur_fd, new_fd, e);
}

static void listing_free(struct item_listing **l)
{
	if (!*l)
		return;
	if ((*l)->cur_fd >= 0)
		close((*l)->cur_fd);
	if ((*l)->new_fd >= 0)
		close((*l)->new_fd);
	names_release(&(*l)->names);
	names_release(&(*l)->later);
	pthread_mutex_destroy(&(*l)->lock);
	mem_free(*l);
	*l = NULL;
}

/* Stats cur and new below FD: what a no-change run costs. A missing one is all zero. */
static enum err_code stat_both(int fd, struct stat both[2], struct err *e)
{
	static const char *const folders[2] = { "cur", "new" };

	for (size_t i = 0; i < 2; i++) {
		both[i] = (struct stat){ 0 };
		if (fstatat(fd, folders[i], &both[i], AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
			return err_sys(e, errno, "cannot stat %s", folders[i]);
	}
	return ERR_OK;
}

static enum err_code open_both(int fd, const struct stat both[2], struct item_listing *l, struct err *e)
{
	if (S_ISDIR(both[0].st_mode)) {
		l->cur_fd = dir_open_below(fd, "cur");
		if (l->cur_fd < 0)
			return err_sys(e, errno, "cannot open cur");
	}
	if (S_ISDIR(both[1].st_mode)) {
		l->new_fd = dir_open_below(fd, "new");
		if (l->new_fd < 0)
			return err_sys(e, errno, "cannot open new");
	}
	return ERR_OK;
}

static enum err_code listing_open(struct maildir_source *s, struct span raw, int fd, const struct stat both[2],
                                  struct item_listing **out, struct err *e)
{
	struct item_listing *l = mem_zalloc(1, sizeof *l);
	enum err_code rc;

	if (!l)
		return err_no_memory(e, sizeof *l);
	l->cur_fd = l->new_fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	rc = open_both(fd, both, l, e);
	if (!rc)
		rc = read_names(s, raw, l->cur_fd, l->new_fd, &l->names, e);
	if (rc)
		listing_free(&l);
	*out = l;
	return rc;
}

static enum err_code source_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                 struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct maildir_source *s = (struct maildir_source *)base;
	struct item_listing *l = NULL;
	struct span raw = s->outline.raws[c];
	struct buf path = BUF_EMPTY;
	struct stat both[2];
	enum err_code rc;
	bool made;
	int fd = -1;

	rc = buf_append(&path, raw, e);
	if (!rc)
		rc = buf_append(&path, span_of("", 1), e);
	if (!rc)
		rc = folder_open(s->root_fd, (const char *)path.ptr, false, &fd, &made, e);
	if (!rc)
		rc = stat_both(fd, both, e);
	if (!rc && !rescan && stamp_unchanged(cursor, both, 2))
		goto done;
	buf_clear(new_cursor);
	if (!rc)
		rc = stamp_encode(both, 2, stamp_now_ns(), new_cursor, e);
	if (!rc)
		rc = listing_open(s, raw, fd, both, &l, e);
done:
	if (rc)
		err_note(e, "while listing %s", text_name(s->outline.collections[c].path).text);
	else
		*out = l;
	if (fd >= 0)
		close(fd);
	buf_release(&path);
	return rc;
}

static size_t listing_count(const struct item_listing *l)
{
	return l->names.count;
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	*out = (struct item_entry){ names_key(&l->names, i), names_state(&l->names, i), i };
}

/* ---- fetch ---- */

/* Invariant 3. Copies what the file with KEY is called now. */
static enum err_code look_again(struct item_listing *l, struct span key, char name[NAME_LEN_MAX + 1], bool *in_cur,
                                struct err *e)
{
	enum err_code rc = ERR_OK;
	size_t at;

	pthread_mutex_lock(&l->lock);
	if (!l->later_ms || clock_monotonic_ms() - l->later_ms > LOOK_AGAIN_MS) {
		names_release(&l->later);
		rc = read_names(NULL, SPAN_EMPTY, l->cur_fd, l->new_fd, &l->later, e);
		l->later_ms = clock_monotonic_ms() | 1;
	}
	if (!rc && names_find(&l->later, key, &at)) {
		memcpy(name, names_name(&l->later, at).ptr, names_name(&l->later, at).len + 1);
		*in_cur = l->later.refs[at].mark & IN_CUR;
	} else if (!rc) {
		rc = err_set(e, ERR_VANISHED, "%s went away while the folder was read", text_name(key).text);
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static enum err_code open_item(struct item_listing *l, size_t place, int *fd, struct stat *st, struct err *e)
{
	char name[NAME_LEN_MAX + 1];
	bool in_cur = l->names.refs[place].mark & IN_CUR;
	enum err_code rc =
	        feed_open(in_cur ? l->cur_fd : l->new_fd, (const char *)names_name(&l->names, place).ptr, fd, st, e);

	if (rc != ERR_NOT_FOUND)
		return rc;
	rc = look_again(l, names_key(&l->names, place), name, &in_cur, e);
	if (!rc)
		rc = feed_open(in_cur ? l->cur_fd : l->new_fd, name, fd, st, e);
	if (rc == ERR_NOT_FOUND)
		rc = err_set(e, ERR_VANISHED, "%s went away while it was read", text_name(span_cstr(name)).text);
	return rc;
}

static enum err_code add_facts(struct buf *facts, const struct stat *st, uint64_t bytes, bool hidden, struct err *e)
{
	enum err_code rc = fields_add_u64(facts, FACT_SIZE, bytes, 8, e);

	if (!rc)
		rc = fields_add_u64(facts, FACT_TIME, (uint64_t)feed_mtime_ns(st), 8, e);
	if (!rc && hidden) /* no mail reader shows it, but it is there */
		rc = fields_add_u64(facts, FACT_KIND, KIND_OTHER, 1, e);
	if (!rc)
		rc = fields_add_u64(facts, FACT_MODE, (uint64_t)st->st_mode & 07777, 2, e);
	return rc;
}

static enum err_code source_fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                  const struct item_receiver *to, struct buf *facts, struct err *e)
{
	struct span name = names_name(&l->names, (size_t)place);
	struct stat st;
	enum err_code rc;
	uint64_t bytes;
	int fd;

	(void)base;
	(void)c;
	/* Only its lock and the second look change; the listing as such stays as it is. */
	rc = open_item((struct item_listing *)l, (size_t)place, &fd, &st, e);
	if (rc)
		return rc;
	rc = feed_file(fd, (const char *)name.ptr, (uint64_t)st.st_size, to, &bytes, NULL, e);
	close(fd);
	return rc ? rc : add_facts(facts, &st, bytes, name.ptr[0] == '.', e);
}

static void source_free(struct item_source **base)
{
	struct maildir_source *s = (struct maildir_source *)*base;

	if (!s)
		return;
	outline_release(&s->outline);
	close(s->root_fd);
	mem_free(s);
	*base = NULL;
}

static const struct item_source_ops maildir_ops = {
	.collections = source_collections,
	.list = source_list,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = listing_free,
	.fetch = source_fetch,
	.free = source_free,
};

enum err_code maildir_source_open(const char *path, struct item_source **out, struct err *e)
{
	struct maildir_source *s = mem_zalloc(1, sizeof *s);

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root_fd < 0) {
		mem_free(s);
		return err_sys(e, errno, "cannot open Maildir %s", path);
	}
	s->base = (struct item_source){
		.ops = &maildir_ops, .world = "maildir", .parallel_fetch = true, .keys_immutable = true
	};
	*out = &s->base;
	return ERR_OK;
}

static bool has_mail_folder(int fd)
{
	struct stat st;

	return (fstatat(fd, "cur", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) ||
	       (fstatat(fd, "new", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode));
}

bool maildir_looks_like(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dir_scan scan = { 0 };
	struct dir_entry entry;
	bool more = true, found;
	struct err ignored;

	if (fd < 0)
		return false;
	found = has_mail_folder(fd);
	if (!found && dir_scan_open(&scan, fd, true, &ignored) == ERR_OK)
		while (!found && dir_scan_next(&scan, &entry, &more, &ignored) == ERR_OK && more) {
			int below = entry.type == DIR_FOLDER ? dir_open_below(fd, (const char *)entry.name.ptr) : -1;

			found = below >= 0 && has_mail_folder(below);
			if (below >= 0)
				close(below);
		}
	dir_scan_release(&scan);
	close(fd);
	return found;
}
