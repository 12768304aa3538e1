/*
 * tree_source: a tree of plain files. Each folder that holds files, or nothing at all, is a collection. Files change
 * in place, so every listing stats every file and there is no cursor; what is as it was is not read again.
 */
#include "worlds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/wr.h"
#include "dir_scan.h"
#include "feed.h"
#include "names.h"
#include "connector/outline.h"
#include "safe_name.h"

#define DEPTH_MAX     64
#define SAMPLE_FILES  8
#define SAMPLE_BYTES  (4 * KIB)
#define VERSION_BYTES 32

struct tree_source {
	struct item_source base;
	int root_fd;
	bool outlined;
	struct outline outline;
};

struct item_listing {
	int fd;
	struct names names;
};

static void report(struct tree_source *s, struct span folder, struct span name, const struct err *why)
{
	char what[700];

	if (!s->base.report)
		return;
	snprintf(what, sizeof what, "%s%s%s", text_name(folder).text, folder.len && name.len ? "/" : "",
	         text_name(name).text);
	s->base.report(s->base.report_ctx, what, why);
}

/* ---- outline ---- */

static enum err_code view_folder(struct tree_source *s, int fd, struct span raw, struct names *files,
                                 struct names *folders, struct err *e)
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
		if (entry.type == DIR_ODD || entry.name.len > NAME_LEN_MAX) {
			err_set(&why, ERR_UNSUPPORTED, "is not a regular file; links and devices are not kept");
			report(s, raw, entry.name, &why);
			continue;
		}
		rc = names_add(entry.type == DIR_FILE ? files : folders, entry.name, entry.name.len, 0, SPAN_EMPTY, e);
	}
	dir_scan_release(&scan);
	names_sort(files);
	names_sort(folders);
	return rc;
}

/* The kind of most of the first files; each item tells its own, so a wrong guess harms nothing. */
static enum item_kind sample_kind(int fd, const struct names *files)
{
	unsigned votes[KIND_OTHER + 1] = { 0 };
	enum item_kind best = KIND_OTHER;
	uint8_t head[SAMPLE_BYTES];

	for (size_t i = 0; i < files->count && i < SAMPLE_FILES; i++) {
		const char *name = (const char *)names_name(files, i).ptr;
		enum item_kind kind;
		struct stat st;
		struct err ignored;
		ssize_t n;
		int file;

		if (feed_open(fd, name, &file, &st, &ignored))
			continue;
		n = pread(file, head, sizeof head, 0);
		close(file);
		kind = item_kind_guess(names_name(files, i), span_of(head, n > 0 ? (size_t)n : 0));
		if (kind >= KIND_MAIL && kind <= KIND_OTHER)
			votes[kind]++;
	}
	for (unsigned kind = KIND_MAIL; kind <= KIND_OTHER; kind++)
		if (votes[kind] > votes[best])
			best = (enum item_kind)kind;
	return best;
}

static enum err_code add_folder(struct tree_source *s, int fd, struct span raw, const struct names *files,
                                struct err *e)
{
	char mode[8];
	enum err_code rc;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "cannot stat %s", text_name(raw).text);
	snprintf(mode, sizeof mode, "%o", (unsigned)st.st_mode & 0777);
	rc = outline_add(&s->outline, raw.len ? raw : SPAN_LIT("."), raw, sample_kind(fd, files), e);
	return rc ? rc : outline_attribute(&s->outline, SPAN_LIT("files:mode"), span_cstr(mode), e);
}

static enum err_code outline_folder(struct tree_source *s, int fd, struct span raw, unsigned depth, struct err *e);

static enum err_code outline_below(struct tree_source *s, int fd, struct span raw, const struct names *folders,
                                   unsigned depth, struct err *e)
{
	struct buf below = BUF_WITH_MAX(COLLECTION_PATH_BYTES_MAX);
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < folders->count && !rc; i++) {
		struct span name = names_name(folders, i);
		struct err why = { 0 };
		int next = -1;

		buf_clear(&below);
		rc = buf_append(&below, raw, &why);
		if (!rc && raw.len)
			rc = buf_append(&below, SPAN_LIT("/"), &why);
		if (!rc)
			rc = buf_append(&below, name, &why);
		if (!rc && depth == DEPTH_MAX)
			rc = err_set(&why, ERR_LIMIT, "more than %d folders deep", DEPTH_MAX);
		if (!rc && (next = dir_open_below(fd, (const char *)name.ptr)) < 0)
			rc = err_sys(&why, errno, "cannot open the folder");
		if (rc == ERR_NO_MEMORY) {
			*e = why;
			break;
		}
		if (rc) {
			report(s, raw, name, &why);
			rc = ERR_OK;
			continue;
		}
		rc = outline_folder(s, next, buf_span(&below), depth + 1, e);
		close(next);
	}
	buf_release(&below);
	return rc;
}

static enum err_code outline_folder(struct tree_source *s, int fd, struct span raw, unsigned depth, struct err *e)
{
	struct names files = NAMES_EMPTY, folders = NAMES_EMPTY;
	enum err_code rc = view_folder(s, fd, raw, &files, &folders, e);

	if (rc && rc != ERR_NO_MEMORY && depth) { /* one folder that cannot be read stops no other */
		report(s, raw, SPAN_EMPTY, e);
		rc = ERR_OK;
		goto done;
	}
	if (!rc && (files.count || !folders.count))
		rc = add_folder(s, fd, raw, &files, e);
	names_release(&files);
	if (!rc)
		rc = outline_below(s, fd, raw, &folders, depth, e);
done:
	names_release(&files);
	names_release(&folders);
	return rc;
}

static enum err_code source_collections(struct item_source *base, const struct collection **out, size_t *count,
                                        struct err *e)
{
	struct tree_source *s = (struct tree_source *)base;
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

/* ---- listing and fetch ---- */

static void listing_free(struct item_listing **l)
{
	if (!*l)
		return;
	if ((*l)->fd >= 0)
		close((*l)->fd);
	names_release(&(*l)->names);
	mem_free(*l);
	*l = NULL;
}

static enum err_code list_file(struct item_listing *l, struct span name, struct buf *state, struct err *e)
{
	struct wr w = wr_to(state, e);
	struct stat st;

	if (fstatat(l->fd, (const char *)name.ptr, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? ERR_OK : err_sys(e, errno, "cannot stat %s", text_name(name).text);
	buf_clear(state);
	wr_var(&w, STATE_VERSION);
	wr_var(&w, VERSION_BYTES);
	wr_u64(&w, (uint64_t)st.st_ino);
	wr_u64(&w, (uint64_t)feed_mtime_ns(&st));
	wr_u64(&w, (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec);
	wr_u64(&w, (uint64_t)st.st_size);
	if (wr_end(&w))
		return wr_end(&w);
	return names_add(&l->names, name, name.len, 0, buf_span(state), e);
}

static enum err_code list_files(struct item_listing *l, struct err *e)
{
	struct buf state = BUF_EMPTY;
	struct dir_scan scan;
	struct dir_entry entry;
	bool more = true;
	enum err_code rc = dir_scan_open(&scan, l->fd, false, e);

	while (!rc) {
		rc = dir_scan_next(&scan, &entry, &more, e);
		if (rc || !more)
			break;
		if (entry.type == DIR_FILE && entry.name.len <= NAME_LEN_MAX) /* others were reported by the outline */
			rc = list_file(l, entry.name, &state, e);
	}
	dir_scan_release(&scan);
	buf_release(&state);
	names_sort(&l->names);
	return rc;
}

static enum err_code source_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                 struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct tree_source *s = (struct tree_source *)base;
	struct item_listing *l = mem_zalloc(1, sizeof *l);
	struct buf path = BUF_EMPTY;
	enum err_code rc;
	bool made;

	(void)cursor;
	(void)rescan;
	if (!l)
		return err_no_memory(e, sizeof *l);
	l->fd = -1;
	buf_clear(new_cursor);
	rc = buf_append(&path, s->outline.raws[c], e);
	if (!rc)
		rc = buf_append(&path, span_of("", 1), e);
	if (!rc)
		rc = folder_open(s->root_fd, (const char *)path.ptr, false, &l->fd, &made, e);
	if (!rc)
		rc = list_files(l, e);
	buf_release(&path);
	if (rc) {
		err_note(e, "while listing %s", text_name(s->outline.collections[c].path).text);
		listing_free(&l);
		return rc;
	}
	*out = l;
	return ERR_OK;
}

static size_t listing_count(const struct item_listing *l)
{
	return l->names.count;
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	*out = (struct item_entry){ names_key(&l->names, i), names_state(&l->names, i), i };
}

static enum err_code source_fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                  const struct item_receiver *to, struct buf *facts, struct err *e)
{
	const char *name = (const char *)names_name(&l->names, (size_t)place).ptr;
	enum item_kind kind;
	struct stat st;
	enum err_code rc;
	uint64_t bytes;
	int fd;

	(void)base;
	(void)c;
	rc = feed_open(l->fd, name, &fd, &st, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, ERR_VANISHED, "%s went away while the folder was read",
		               text_name(span_cstr(name)).text);
	if (rc)
		return rc;
	rc = feed_file(fd, name, (uint64_t)st.st_size, to, &bytes, &kind, e);
	close(fd);
	if (!rc)
		rc = fields_add_u64(facts, FACT_SIZE, bytes, 8, e);
	if (!rc)
		rc = fields_add_u64(facts, FACT_TIME, (uint64_t)feed_mtime_ns(&st), 8, e);
	/* Always told: the collection's kind may be another one at the next run, and facts stay as they are. */
	if (!rc)
		rc = fields_add_u64(facts, FACT_KIND, kind, 1, e);
	if (!rc)
		rc = fields_add_u64(facts, FACT_MODE, (uint64_t)st.st_mode & 07777, 2, e);
	return rc;
}

static void source_free(struct item_source **base)
{
	struct tree_source *s = (struct tree_source *)*base;

	if (!s)
		return;
	outline_release(&s->outline);
	close(s->root_fd);
	mem_free(s);
	*base = NULL;
}

static const struct item_source_ops tree_ops = {
	.collections = source_collections,
	.list = source_list,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = listing_free,
	.fetch = source_fetch,
	.free = source_free,
};

enum err_code tree_source_open(const char *path, struct item_source **out, struct err *e)
{
	struct tree_source *s = mem_zalloc(1, sizeof *s);

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root_fd < 0) {
		mem_free(s);
		return err_sys(e, errno, "cannot open folder %s", path);
	}
	s->base = (struct item_source){ .ops = &tree_ops, .world = "files", .parallel_fetch = true };
	*out = &s->base;
	return ERR_OK;
}
