/*
 * tree_sink: writes items as plain files. What comes from a tree of files gets its very name back; what comes from
 * elsewhere is named after its key, made safe for any file system, with an ending that tells its kind.
 */
#include "worlds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "connector/outline.h"
#include "put_file.h"
#include "safe_name.h"
#include "stamp.h"
#include "target.h"

#define COPIES_MAX 1000
#define NAME_ROOM  272

struct tree_folder {
	char *path;
	bool exact;
	int fd; /* -1 when only planned */
	bool made;
	unsigned mode; /* 0 when unknown */
};

struct tree_sink {
	struct item_sink base;
	struct target target;
};

static void folder_free(struct tree_folder *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	mem_free(f->path);
	mem_free(f);
}

static enum err_code folder_path(struct tree_sink *s, const struct collection *c, struct tree_folder *f, struct err *e)
{
	struct span path = span_equal(c->path, SPAN_LIT(".")) ? SPAN_EMPTY : c->path;
	struct buf safe = BUF_EMPTY;
	enum err_code rc = buf_append(&safe, span_cstr(s->target.into), e);

	if (!rc && safe.len && path.len)
		rc = buf_append(&safe, SPAN_LIT("/"), e);
	if (!rc)
		rc = safe_path(path, f->exact ? NAME_EXACT : NAME_PORTABLE, &safe, e);
	if (!rc)
		rc = buf_append(&safe, span_of("", 1), e);
	if (rc)
		buf_release(&safe);
	else
		f->path = (char *)safe.ptr; /* handed over */
	return rc;
}

static enum err_code sink_collection(struct item_sink *base, const struct collection *c, bool plan, size_t *handle,
                                     struct err *e)
{
	struct tree_sink *s = (struct tree_sink *)base;
	struct tree_folder *f = mem_zalloc(1, sizeof *f);
	struct span mode;
	enum err_code rc;
	bool found;

	if (!f)
		return err_no_memory(e, sizeof *f);
	f->fd = -1;
	f->exact = outline_find(c, SPAN_LIT("files:mode"), &mode);
	if (f->exact && !stamp_parse_mode(mode, &f->mode))
		f->mode = 0;
	rc = folder_path(s, c, f, e);
	if (!rc)
		rc = target_open(&s->target, !plan, &found, e);
	if (!rc && found)
		rc = folder_open(s->target.fd, f->path, !plan, &f->fd, &f->made, e);
	if (rc == ERR_NOT_FOUND && plan)
		rc = ERR_OK;
	if (!rc)
		rc = target_add(&s->target, f, handle, e);
	if (rc) {
		err_note(e, "while making folder %s", text_name(c->path).text);
		folder_free(f);
	}
	return rc;
}

static const char *ending_of(enum item_kind kind)
{
	switch (kind) {
	case KIND_MAIL:
		return ".eml";
	case KIND_EVENT:
	case KIND_TASK:
	case KIND_NOTE:
		return ".ics";
	case KIND_CONTACT:
		return ".vcf";
	case KIND_RULE:
		return ".sieve";
	default:
		return "";
	}
}

/* The file name of an item; COPY above 0 puts ".copyN" before the last dot. */
static enum err_code find_name(const struct tree_folder *f, const struct item_out *item, char name[NAME_ROOM],
                               bool *renamed, struct err *e)
{
	struct buf safe = BUF_EMPTY;
	struct span ending = span_cstr(ending_of(item->kind));
	enum err_code rc;

	if (f->exact || (item->key.len >= ending.len &&
	                 text_equal_nocase(span_skip(item->key, item->key.len - ending.len), ending)))
		ending = SPAN_EMPTY;
	rc = safe_name(item->key, ending, f->exact ? NAME_EXACT : NAME_PORTABLE, &safe, renamed, e);
	*renamed = *renamed && f->exact; /* from elsewhere any name is as good as another */
	if (!rc) {
		memcpy(name, safe.ptr, safe.len);
		name[safe.len] = 0;
	}
	buf_release(&safe);
	return rc;
}

static void copy_name(const char *name, unsigned n, char out[NAME_ROOM + 16])
{
	const char *dot = strrchr(name, '.');
	size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);

	snprintf(out, NAME_ROOM + 16, "%.*s.copy%u%s", (int)stem, name, n, name + stem);
}

static enum err_code tell_target(const struct tree_sink *s, const struct tree_folder *f, const char *name,
                                 struct buf *target, struct err *e)
{
	enum err_code rc = text_percent(target, span_cstr(s->target.path), "", e);

	if (!rc && *f->path)
		rc = buf_append(target, SPAN_LIT("/"), e);
	if (!rc)
		rc = text_percent(target, span_cstr(f->path), "", e);
	if (!rc)
		rc = buf_append(target, SPAN_LIT("/"), e);
	return rc ? rc : text_percent(target, span_cstr(name), "", e);
}

static enum err_code sink_decide(struct item_sink *base, size_t handle, const struct item_out *item,
                                 enum sink_collision collision, enum sink_verdict *verdict, struct buf *target,
                                 struct err *e)
{
	struct tree_sink *s = (struct tree_sink *)base;
	struct tree_folder *f = target_get(&s->target, handle);
	char name[NAME_ROOM], copy[NAME_ROOM + 16];
	struct stat st;
	bool renamed;
	enum err_code rc = find_name(f, item, name, &renamed, e);

	if (rc)
		return rc;
	*verdict = renamed ? SINK_RENAMED : SINK_PUT;
	if (f->fd < 0 || fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return tell_target(s, f, name, target, e);
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == item->bytes)
		*verdict = SINK_PRESENT;
	else if (put_may_be_torn(&st, item))
		*verdict = SINK_PUT;
	else if (collision == SINK_SKIP)
		*verdict = SINK_CLASH;
	else if (collision == SINK_COPY) {
		*verdict = SINK_RENAMED;
		copy_name(name, 1, copy);
		return tell_target(s, f, copy, target, e);
	}
	return tell_target(s, f, name, target, e);
}

static enum err_code put_copy(const struct tree_folder *f, const char *name, const struct item_out *item,
                              const struct item_body *body, enum sink_verdict *verdict, struct err *e)
{
	char copy[NAME_ROOM + 16];

	for (unsigned n = 1; n <= COPIES_MAX; n++) {
		enum put_outcome outcome;
		enum err_code rc;

		copy_name(name, n, copy);
		if (strlen(copy) > 255)
			break;
		rc = put_file(f->fd, copy, false, item, body, &outcome, e);
		if (rc)
			return rc;
		if (outcome != PUT_OTHER) {
			*verdict = outcome == PUT_SAME ? SINK_PRESENT : SINK_RENAMED;
			return ERR_OK;
		}
	}
	return err_set(e, ERR_EXISTS, "no free name for a copy of %s", text_name(span_cstr(name)).text);
}

static enum err_code sink_put(struct item_sink *base, size_t handle, const struct item_out *item,
                              const struct item_body *body, enum sink_collision collision, enum sink_verdict *verdict,
                              struct err *e)
{
	struct tree_sink *s = (struct tree_sink *)base;
	struct tree_folder *f = target_get(&s->target, handle);
	enum put_outcome outcome;
	char name[NAME_ROOM];
	bool renamed;
	enum err_code rc = find_name(f, item, name, &renamed, e);

	if (!rc && f->fd < 0)
		rc = err_set(e, ERR_STATE, "the folder was only planned");
	if (!rc)
		rc = put_file(f->fd, name, collision == SINK_REPLACE, item, body, &outcome, e);
	if (!rc && outcome == PUT_OTHER && collision == SINK_COPY)
		rc = put_copy(f, name, item, body, verdict, e);
	else if (!rc)
		*verdict = outcome == PUT_SAME    ? SINK_PRESENT
		           : outcome == PUT_OTHER ? SINK_CLASH
		           : renamed              ? SINK_RENAMED
		                                  : SINK_PUT;
	if (!rc && (*verdict == SINK_PUT || *verdict == SINK_RENAMED))
		target_wrote(&s->target, item->bytes);
	return rc ? err_note(e, "while writing %s", text_name(item->key).text) : ERR_OK;
}

static enum err_code sink_collection_done(struct item_sink *base, size_t handle, struct err *e)
{
	struct tree_sink *s = (struct tree_sink *)base;
	struct tree_folder *f = target_get(&s->target, handle);

	/* A folder that its owner may not write would stop the folders below it: only what is harmless is set now. */
	if (f->fd >= 0 && f->made && f->mode && (f->mode & 0300) == 0300 && fchmod(f->fd, f->mode) < 0)
		return err_sys(e, errno, "cannot set the mode of %s", text_name(span_cstr(f->path)).text);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	return ERR_OK;
}

static enum err_code sink_occupied(struct item_sink *base, bool *out, struct err *e)
{
	struct tree_sink *s = (struct tree_sink *)base;

	return target_holds_anything(&s->target, s->target.into, out, e);
}

/* The modes that had to wait. */
static enum err_code sink_finish(struct item_sink *base, struct err *e)
{
	struct tree_sink *s = (struct tree_sink *)base;

	for (size_t i = s->target.handle_count; i-- > 0;) {
		struct tree_folder *f = s->target.handles[i];
		enum err_code rc = ERR_OK;
		bool made;
		int fd;

		if (!f->made || !f->mode || (f->mode & 0300) == 0300)
			continue;
		rc = folder_open(s->target.fd, f->path, false, &fd, &made, e);
		if (rc)
			return rc;
		rc = stamp_apply(fd, f->path, f->mode, NULL, e);
		close(fd);
		if (rc)
			return rc;
	}
	return target_sync(&s->target, e);
}

static void sink_free(struct item_sink **base)
{
	struct tree_sink *s = (struct tree_sink *)*base;

	if (!s)
		return;
	for (size_t i = 0; i < s->target.handle_count; i++)
		folder_free(s->target.handles[i]);
	target_release(&s->target);
	mem_free(s);
	*base = NULL;
}

static const struct item_sink_ops tree_sink_ops = {
	.occupied = sink_occupied,
	.collection = sink_collection,
	.decide = sink_decide,
	.put = sink_put,
	.collection_done = sink_collection_done,
	.finish = sink_finish,
	.free = sink_free,
};

enum err_code tree_sink_open(const char *path, const char *into, struct item_sink **out, struct err *e)
{
	struct tree_sink *s = mem_zalloc(1, sizeof *s);
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	rc = target_init(&s->target, path, into, e);
	if (rc) {
		mem_free(s);
		return rc;
	}
	s->base = (struct item_sink){ .ops = &tree_sink_ops, .world = "files" };
	*out = &s->base;
	return ERR_OK;
}
