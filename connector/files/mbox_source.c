/*
 * mbox_source: one mbox file is one collection; a folder of them is several. A message's key is its hash, so an mbox
 * that was rewritten with one message less costs nothing but reading it.
 */
#include "worlds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "dir_scan.h"
#include "feed.h"
#include "mbox_index.h"
#include "mbox_split.h"
#include "names.h"
#include "connector/outline.h"
#include "safe_name.h"
#include "stamp.h"

#define DEPTH_MAX 64

struct mbox_source {
	struct item_source base;
	int root_fd;     /* the folder that the file or the tree lies in */
	char *file_name; /* a single file, or NULL for the whole tree */
	bool outlined;
	struct outline outline;
};

struct item_listing {
	int fd;
	struct stat then; /* before it was split */
	struct mbox_index index;
};

static void report(struct mbox_source *s, struct span folder, struct span name, const struct err *why)
{
	char what[700];

	if (!s->base.report)
		return;
	snprintf(what, sizeof what, "%s%s%s", text_name(folder).text, folder.len && name.len ? "/" : "",
	         text_name(name).text);
	s->base.report(s->base.report_ctx, what, why);
}

/* ---- outline ---- */

/* Indexes and locks that mail programs keep beside an mbox. */
static bool is_passing(struct span name)
{
	static const char *const endings[] = { ".msf", ".lock", ".index", ".cache", ".ev-summary", ".ibex.index" };

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		struct span ending = span_cstr(endings[i]);

		if (name.len > ending.len && span_equal(span_skip(name, name.len - ending.len), ending))
			return true;
	}
	return false;
}

static bool begins_as_mbox(int fd, const struct stat *st)
{
	char head[5];

	return st->st_size == 0 || (pread(fd, head, 5, 0) == 5 && memcmp(head, "From ", 5) == 0);
}

static enum err_code join(struct span folder, struct span name, struct buf *out, struct err *e)
{
	enum err_code rc = buf_append(out, folder, e);

	if (!rc && folder.len)
		rc = buf_append(out, SPAN_LIT("/"), e);
	return rc ? rc : buf_append(out, name, e);
}

/* Adds one file as a collection, or reports why not; only lack of memory is an error. */
static enum err_code add_file(struct mbox_source *s, int fd, struct span folder, struct span name, struct err *e)
{
	struct buf path = BUF_WITH_MAX(COLLECTION_PATH_BYTES_MAX);
	struct err why = { 0 };
	struct stat st;
	enum err_code rc;
	int file = -1;

	rc = feed_open(fd, (const char *)name.ptr, &file, &st, &why);
	if (!rc && !begins_as_mbox(file, &st))
		rc = err_set(&why, ERR_UNSUPPORTED, "it does not begin with \"From \", so it is not an mbox");
	if (!rc)
		rc = join(folder, name, &path, &why);
	if (!rc)
		rc = outline_add(&s->outline, buf_span(&path), buf_span(&path), KIND_MAIL, &why);
	if (!rc)
		rc = outline_attribute(&s->outline, SPAN_LIT("mbox:stat"), span_cstr(stamp_text(&st).text), &why);
	if (file >= 0)
		close(file);
	buf_release(&path);
	if (rc == ERR_NO_MEMORY || (rc && s->file_name)) {
		*e = why;
		return rc;
	}
	if (rc)
		report(s, folder, name, &why);
	return ERR_OK;
}

static enum err_code view_folder(struct mbox_source *s, int fd, struct span raw, struct names *files,
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
		} else if (entry.type == DIR_FOLDER || !is_passing(entry.name)) {
			rc = names_add(entry.type == DIR_FILE ? files : folders, entry.name, entry.name.len, 0,
			               SPAN_EMPTY, e);
		}
	}
	dir_scan_release(&scan);
	names_sort(files);
	names_sort(folders);
	return rc;
}

static enum err_code outline_folder(struct mbox_source *s, int fd, struct span raw, unsigned depth, struct err *e);

static enum err_code outline_below(struct mbox_source *s, int fd, struct span raw, const struct names *folders,
                                   unsigned depth, struct err *e)
{
	struct buf below = BUF_WITH_MAX(COLLECTION_PATH_BYTES_MAX);
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < folders->count && !rc; i++) {
		struct span name = names_name(folders, i);
		struct err why = { 0 };
		int next = -1;

		buf_clear(&below);
		rc = join(raw, name, &below, &why);
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

static enum err_code outline_folder(struct mbox_source *s, int fd, struct span raw, unsigned depth, struct err *e)
{
	struct names files = NAMES_EMPTY, folders = NAMES_EMPTY;
	enum err_code rc = view_folder(s, fd, raw, &files, &folders, e);

	for (size_t i = 0; i < files.count && !rc; i++)
		rc = add_file(s, fd, raw, names_name(&files, i), e);
	names_release(&files);
	if (!rc)
		rc = outline_below(s, fd, raw, &folders, depth, e);
	names_release(&folders);
	if (rc && rc != ERR_NO_MEMORY && depth) { /* one folder that cannot be read stops no other */
		report(s, raw, SPAN_EMPTY, e);
		rc = ERR_OK;
	}
	return rc;
}

static enum err_code source_collections(struct item_source *base, const struct collection **out, size_t *count,
                                        struct err *e)
{
	struct mbox_source *s = (struct mbox_source *)base;
	enum err_code rc = ERR_OK;

	if (!s->outlined) {
		rc = s->file_name ? add_file(s, s->root_fd, SPAN_EMPTY, span_cstr(s->file_name), e)
		                  : outline_folder(s, s->root_fd, SPAN_EMPTY, 0, e);
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

static void listing_free(struct item_listing **l)
{
	if (!*l)
		return;
	if ((*l)->fd >= 0)
		close((*l)->fd);
	mbox_index_release(&(*l)->index);
	mem_free(*l);
	*l = NULL;
}

/* Opens a collection's file below the root, folder by folder. */
static enum err_code open_file(struct mbox_source *s, struct span raw, int *fd, struct stat *st, struct err *e)
{
	struct buf folder = BUF_EMPTY, name = BUF_EMPTY;
	const uint8_t *slash = memrchr(raw.ptr, '/', raw.len);
	size_t folder_len = slash ? (size_t)(slash - raw.ptr) : 0;
	enum err_code rc;
	bool made;
	int at = -1;

	rc = buf_append(&folder, span_first(raw, folder_len), e);
	if (!rc)
		rc = buf_append(&folder, span_of("", 1), e);
	if (!rc)
		rc = buf_append(&name, span_skip(raw, slash ? folder_len + 1 : 0), e);
	if (!rc)
		rc = buf_append(&name, span_of("", 1), e);
	if (!rc)
		rc = folder_open(s->root_fd, (const char *)folder.ptr, false, &at, &made, e);
	if (!rc)
		rc = feed_open(at, (const char *)name.ptr, fd, st, e);
	if (at >= 0)
		close(at);
	buf_release(&folder);
	buf_release(&name);
	return rc;
}

static enum err_code source_list(struct item_source *base, size_t c, struct span cursor, bool rescan,
                                 struct item_listing **out, struct buf *new_cursor, struct err *e)
{
	struct mbox_source *s = (struct mbox_source *)base;
	struct item_listing *l = mem_zalloc(1, sizeof *l);
	bool unchanged = false;
	enum err_code rc;

	if (!l)
		return err_no_memory(e, sizeof *l);
	l->fd = -1;
	rc = open_file(s, s->outline.raws[c], &l->fd, &l->then, e);
	if (!rc)
		unchanged = !rescan && stamp_unchanged(cursor, &l->then, 1);
	if (!rc && !unchanged) {
		buf_clear(new_cursor);
		rc = stamp_encode(&l->then, 1, stamp_now_ns(), new_cursor, e);
		if (!rc)
			rc = mbox_index_read(&l->index, l->fd, e);
	}
	if (rc)
		err_note(e, "while listing %s", text_name(s->outline.collections[c].path).text);
	if (rc || unchanged)
		listing_free(&l);
	if (!rc)
		*out = l;
	return rc;
}

static size_t listing_count(const struct item_listing *l)
{
	return l->index.count;
}

static void listing_get(const struct item_listing *l, size_t i, struct item_entry *out)
{
	const struct mbox_entry *entry = &l->index.entries[i];

	*out = (struct item_entry){ span_of(entry->key, entry->key_len), span_of(entry->state, sizeof entry->state),
		                    i };
}

/* ---- fetch ---- */

static bool same_stat(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The file changed since it was split: is the message still where it was? New mail at the end harms nobody. */
static enum err_code check_message(const struct item_listing *l, const struct mbox_entry *entry, struct err *e)
{
	uint64_t left = entry->from_bytes + entry->body_bytes, at = entry->offset;
	struct hash_stream *hash = hash_stream_open();
	uint8_t got_hash[16], *piece = mem_alloc(64 * KIB);
	enum err_code rc = hash && piece ? ERR_OK : err_no_memory(e, 64 * KIB);
	char key[MBOX_KEY_BYTES_MAX];

	while (!rc && left) {
		size_t want = left < 64 * KIB ? (size_t)left : 64 * KIB, got;
		int fd = l->fd;

		rc = mbox_read_fd(&fd, at, piece, want, &got, e);
		if (!rc && got < want)
			rc = err_set(e, ERR_VANISHED, "the mbox became shorter while it was read");
		if (!rc)
			hash_stream_add(hash, span_of(piece, got));
		at += got;
		left -= got;
	}
	if (!rc) {
		hash_stream_end(hash, got_hash);
		mbox_key(got_hash, 1, key);
		if (memcmp(key, entry->key, 32) != 0)
			rc = err_set(e, ERR_VANISHED, "the mbox was changed while it was read");
	}
	hash_stream_free(&hash);
	mem_free(piece);
	return rc;
}

static enum err_code add_facts(const struct item_listing *l, const struct mbox_entry *entry, struct buf *facts,
                               struct err *e)
{
	uint8_t from[MBOX_FROM_BYTES_MAX], tail[2];
	enum err_code rc = fields_add_u64(facts, FACT_SIZE, entry->body_bytes, 8, e);

	if (!rc)
		rc = file_read_at(l->fd, "the mbox", entry->offset, from, entry->from_bytes, e);
	if (!rc)
		rc = file_read_at(l->fd, "the mbox", entry->offset + entry->from_bytes + entry->body_bytes, tail,
		                  entry->tail_bytes, e);
	if (!rc)
		rc = fields_add(facts, FACT_MBOX_FROM, span_of(from, entry->from_bytes), e);
	if (!rc)
		rc = fields_add(facts, FACT_MBOX_TAIL, span_of(tail, entry->tail_bytes), e);
	return rc;
}

static enum err_code source_fetch(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                  const struct item_receiver *to, struct buf *facts, struct err *e)
{
	const struct mbox_entry *entry = &l->index.entries[place];
	struct stat now;
	enum err_code rc;

	(void)base;
	(void)c;
	rc = feed_range(l->fd, entry->offset + entry->from_bytes, entry->body_bytes, to, e);
	if (!rc)
		rc = add_facts(l, entry, facts, e);
	if (!rc && fstat(l->fd, &now) < 0)
		rc = err_sys(e, errno, "cannot stat the mbox");
	if (!rc && !same_stat(&l->then, &now))
		rc = check_message(l, entry, e);
	return rc;
}

static void source_free(struct item_source **base)
{
	struct mbox_source *s = (struct mbox_source *)*base;

	if (!s)
		return;
	outline_release(&s->outline);
	if (s->root_fd >= 0)
		close(s->root_fd);
	mem_free(s->file_name);
	mem_free(s);
	*base = NULL;
}

static const struct item_source_ops mbox_ops = {
	.collections = source_collections,
	.list = source_list,
	.listing_count = listing_count,
	.listing_get = listing_get,
	.listing_free = listing_free,
	.fetch = source_fetch,
	.free = source_free,
};

/* PATH is a file: opens the folder it lies in and keeps its name. */
static enum err_code open_parent(struct mbox_source *s, const char *path, struct err *e)
{
	char *real = realpath(path, NULL); /* a link to an mbox is followed here, and only here */
	enum err_code rc = ERR_OK;
	char *slash = real ? strrchr(real, '/') : NULL;

	if (!slash) {
		rc = err_sys(e, errno, "cannot find %s", path);
		goto done;
	}
	s->file_name = mem_alloc(strlen(slash + 1) + 1);
	if (!s->file_name) {
		rc = err_no_memory(e, strlen(slash));
		goto done;
	}
	memcpy(s->file_name, slash + 1, strlen(slash + 1) + 1);
	slash[slash == real] = 0;
	s->root_fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root_fd < 0)
		rc = err_sys(e, errno, "cannot open folder %s", real);
done:
	free(real);
	return rc;
}

enum err_code mbox_source_open(const char *path, struct item_source **out, struct err *e)
{
	struct mbox_source *s = mem_zalloc(1, sizeof *s);
	enum err_code rc = ERR_OK;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->base = (struct item_source){
		.ops = &mbox_ops, .world = "mbox", .parallel_fetch = true, .keys_immutable = true
	};
	s->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root_fd < 0)
		rc = errno == ENOTDIR ? open_parent(s, path, e) : err_sys(e, errno, "cannot open %s", path);
	*out = &s->base;
	if (rc)
		source_free(out);
	return rc;
}

bool mbox_looks_like(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	bool yes;

	if (fd < 0)
		return false;
	yes = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && begins_as_mbox(fd, &st);
	close(fd);
	return yes;
}
