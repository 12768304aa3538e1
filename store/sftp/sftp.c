/*
 * sftp: the store. A few connections, each used by one thread at a time; a file that was read stays open on its
 * connection for the next range.
 */
#include "sftp.h"
#include "ops.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "net/net.h"
#include "store/contract/lines.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#define LINES            4
#define OPEN_FILES       16
#define ROOT_MAX         1024 /* as net_url has it, and a '/' */
#define PATH_BYTES       (ROOT_MAX + STORE_NAME_MAX + 2)
#define FIRST_READ_BYTES SFTP_DATA_BYTES

/* How the server creates a name that nobody had. */
enum way { WAY_UNKNOWN = 0, WAY_LINK, WAY_RENAME };

struct open_file {
	struct sftp_file file; /* len 0: free */
	uint64_t used;
	char name[STORE_NAME_MAX + 1];
};

/* A connection and what is open on it. */
struct line {
	struct sftp_session *session; /* NULL: not connected */
	unsigned deletes;             /* how many objects had been deleted when its files were opened */
	uint64_t tick;
	struct open_file files[OPEN_FILES];
};

struct sftp_store {
	struct store base;
	const char *url;
	struct net_url at;
	char root[ROOT_MAX + 1];
	atomic_int way;
	atomic_uint deletes;
	struct lines who; /* has which of these */
	struct line lines[LINES];
};

static struct sftp_store *sftp_of(struct store *s)
{
	return (struct sftp_store *)s;
}

/* ---- lines ---- */

static void close_files(struct line *l)
{
	for (size_t i = 0; i < OPEN_FILES; i++) {
		if (!sftp_session_broken(l->session))
			sftp_close(l->session, &l->files[i].file);
		l->files[i].file.len = 0;
	}
}

static void give_back(struct sftp_store *s, struct line *l)
{
	if (l->session && sftp_session_broken(l->session)) {
		close_files(l);
		sftp_session_free(&l->session);
	}
	lines_give(&s->who, (unsigned)(l - s->lines), l->session != NULL);
}

static enum err_code take(struct sftp_store *s, struct line **out, struct err *e)
{
	const struct sftp_place place = { s->at.host, s->at.user, s->at.port };
	bool open;
	struct line *l = &s->lines[lines_take(&s->who, &open)];
	unsigned deletes = atomic_load(&s->deletes);
	enum err_code rc = open ? ERR_OK : sftp_session_open(&place, &l->session, e);

	if (rc) {
		give_back(s, l);
		return rc;
	}
	/* An open file would keep the room on the disk taken. */
	if (l->deletes != deletes)
		close_files(l);
	l->deletes = deletes;
	*out = l;
	return ERR_OK;
}

/* ---- names ---- */

struct path {
	char text[PATH_BYTES];
};

static struct path path_of(const struct sftp_store *s, const char *name)
{
	struct path p;

	snprintf(p.text, sizeof p.text, "%s%s%s", s->root, *name ? "/" : "", name);
	return p;
}

/* The folders above NAME are made. */
static enum err_code make_room(struct sftp_store *s, struct line *l, const char *name, struct err *e)
{
	struct path above = path_of(s, name);
	char *slash = strrchr(above.text, '/');

	if (slash)
		*slash = 0;
	return slash && slash != above.text ? sftp_make_folders(l->session, above.text, e) : ERR_OK;
}

/* ---- creating ---- */

struct fresh {
	struct sftp_file file;
	char temp[STORE_TEMP_NAME_MAX];
};

static void remove_temp(struct sftp_store *s, struct line *l, const char *temp)
{
	struct err ignored;

	if (!sftp_session_broken(l->session))
		(void)!sftp_simple(l->session, SFTP_REMOVE, path_of(s, temp).text, &ignored);
}

/* A file in tmp/ with the bytes of FROM, synced and still open. */
static enum err_code fresh_write(struct sftp_store *s, struct line *l, struct sftp_source from, struct fresh *out,
                                 struct err *e)
{
	const uint32_t flags = SFTP_OPEN_WRITE | SFTP_OPEN_CREATE | SFTP_OPEN_EXCL;
	enum err_code rc;

	out->file.len = 0;
	if (!store_temp_name(out->temp))
		return err_set(e, ERR_IO, "the system has no random numbers");
	rc = sftp_open(l->session, path_of(s, out->temp).text, flags, &out->file, e);
	if (rc == ERR_NOT_FOUND) {
		rc = make_room(s, l, out->temp, e);
		if (!rc)
			rc = sftp_open(l->session, path_of(s, out->temp).text, flags, &out->file, e);
	}
	if (rc)
		return rc == ERR_NOT_FOUND ? (e->code = ERR_IO) : rc; /* no folder is no missing object */
	rc = sftp_write_all(l->session, &out->file, from, e);
	if (!rc)
		rc = sftp_sync(l->session, &out->file, e);
	if (rc) {
		sftp_close(l->session, &out->file);
		remove_temp(s, l, out->temp);
	}
	return rc;
}

/* A rename counts only when it was seen to refuse a name that is taken: some servers replace. */
static enum err_code probe_rename(struct sftp_store *s, struct line *l, bool *works, struct err *e)
{
	struct fresh one, two;
	struct sftp_attrs attrs;
	struct err refused;
	enum err_code rc = fresh_write(s, l, (struct sftp_source){ SPAN_LIT("one"), NULL }, &one, e);

	if (rc)
		return rc;
	rc = fresh_write(s, l, (struct sftp_source){ SPAN_LIT("two"), NULL }, &two, e);
	if (!rc) {
		sftp_close(l->session, &two.file);
		*works = sftp_name(l->session, SFTP_BY_RENAME, path_of(s, one.temp).text, path_of(s, two.temp).text,
		                   &refused) != ERR_OK &&
		         sftp_stat(l->session, path_of(s, one.temp).text, &attrs, &refused) == ERR_OK;
		remove_temp(s, l, two.temp);
	}
	sftp_close(l->session, &one.file);
	remove_temp(s, l, one.temp);
	if (!rc && sftp_session_broken(l->session)) {
		rc = err_set(e, ERR_IO, "%s: the connection broke while it was tried how it renames", s->url);
		e->retry = ERR_RETRY_LATER;
	}
	return rc;
}

static enum err_code find_way(struct sftp_store *s, struct line *l, enum way *out, struct err *e)
{
	bool works = false;
	enum err_code rc;

	*out = (enum way)atomic_load(&s->way);
	if (*out == WAY_UNKNOWN && sftp_session_server(l->session)->hardlink)
		*out = WAY_LINK;
	if (*out != WAY_UNKNOWN)
		return ERR_OK;
	rc = probe_rename(s, l, &works, e);
	if (rc)
		return rc;
	if (!works)
		return err_set(e, ERR_UNSUPPORTED,
		               "the server of %s can neither link nor rename without replacing, so two writers could "
		               "destroy each other's objects",
		               s->url);
	*out = WAY_RENAME;
	atomic_store(&s->way, (int)WAY_RENAME);
	return ERR_OK;
}

/* Gives TEMP the name NAME. Most servers say "failure" for a name that is taken, so the name is looked at. */
static enum err_code give_name(struct sftp_store *s, struct line *l, enum way way, const char *temp, const char *name,
                               struct err *e)
{
	const enum sftp_naming how = way == WAY_LINK ? SFTP_BY_LINK : SFTP_BY_RENAME;
	struct path from = path_of(s, temp), to = path_of(s, name);
	enum err_code rc = sftp_name(l->session, how, from.text, to.text, e);
	struct sftp_attrs attrs;
	struct err why;

	if (rc == ERR_NOT_FOUND) {
		rc = make_room(s, l, name, e);
		if (!rc)
			rc = sftp_name(l->session, how, from.text, to.text, e);
	}
	if (!rc || sftp_session_broken(l->session))
		return rc;
	why = *e;
	if (sftp_stat(l->session, to.text, &attrs, e) == ERR_OK)
		return err_set(e, ERR_EXISTS, "%s/%s exists already", s->url, name);
	*e = why;
	/* While writing, a missing folder is a broken store, not an absent object. */
	if (e->code == ERR_NOT_FOUND)
		e->code = ERR_IO;
	return e->code;
}

/* A server that offers links may have a disk that has none (FAT). */
static bool no_links(struct sftp_store *s, struct line *l, enum err_code rc, enum way way)
{
	return way == WAY_LINK && (rc == ERR_IO || rc == ERR_UNSUPPORTED) && !sftp_session_broken(l->session) &&
	       atomic_load(&s->way) == WAY_UNKNOWN;
}

static enum err_code create(struct sftp_store *s, struct line *l, struct sftp_source from, const char *name,
                            struct err *e)
{
	struct fresh f;
	enum way way;
	enum err_code rc = find_way(s, l, &way, e);

	if (!rc)
		rc = fresh_write(s, l, from, &f, e);
	if (rc)
		return rc;
	rc = give_name(s, l, way, f.temp, name, e);
	if (no_links(s, l, rc, way)) {
		struct err linking = *e;
		bool works = false;

		rc = probe_rename(s, l, &works, e);
		if (!rc && works)
			rc = give_name(s, l, way = WAY_RENAME, f.temp, name, e);
		else if (!rc) {
			*e = linking;
			rc = e->code;
		}
	}
	if (!rc)
		atomic_store(&s->way, (int)way);
	/* Again, for the name: on Linux this brings the folder's entry to the disk as well. */
	if (!rc)
		rc = sftp_sync(l->session, &f.file, e);
	if (sftp_session_broken(l->session))
		return rc;
	sftp_close(l->session, &f.file);
	if (way == WAY_LINK || rc)
		remove_temp(s, l, f.temp);
	return rc;
}

static enum err_code sftp_put(struct store *base, const char *name, struct span bytes, struct err *e)
{
	struct sftp_store *s = sftp_of(base);
	struct line *l;
	enum err_code rc = take(s, &l, e);

	if (rc)
		return rc;
	rc = create(s, l, (struct sftp_source){ bytes, NULL }, name, e);
	give_back(s, l);
	return rc;
}

/* ---- reading ---- */

static bool is_folder(struct sftp_store *s, struct line *l, const char *name)
{
	struct sftp_attrs attrs;
	struct err ignored;

	return !sftp_session_broken(l->session) && !sftp_stat(l->session, path_of(s, name).text, &attrs, &ignored) &&
	       attrs.has_mode && S_ISDIR(attrs.mode);
}

/* A folder is no object, whatever the server says of its being opened. */
static enum err_code no_object(struct sftp_store *s, struct line *l, const char *name, enum err_code rc, struct err *e)
{
	if (rc == ERR_IO && is_folder(s, l, name))
		return err_set(e, ERR_NOT_FOUND, "%s/%s is a folder, not an object", s->url, name);
	return rc;
}

static void forget_file(struct line *l, const char *name)
{
	for (size_t i = 0; i < OPEN_FILES; i++)
		if (l->files[i].file.len && strcmp(l->files[i].name, name) == 0)
			sftp_close(l->session, &l->files[i].file);
}

/* The object NAME open on L; what was used longest ago makes room. */
static enum err_code open_object(struct sftp_store *s, struct line *l, const char *name, struct open_file **out,
                                 struct err *e)
{
	struct open_file *oldest = &l->files[0];
	enum err_code rc;

	for (size_t i = 0; i < OPEN_FILES; i++) {
		struct open_file *f = &l->files[i];

		if (f->file.len && strcmp(f->name, name) == 0) {
			f->used = ++l->tick;
			*out = f;
			return ERR_OK;
		}
		if (!f->file.len || (oldest->file.len && f->used < oldest->used))
			oldest = f;
	}
	sftp_close(l->session, &oldest->file);
	rc = sftp_open(l->session, path_of(s, name).text, SFTP_OPEN_READ, &oldest->file, e);
	if (rc)
		return no_object(s, l, name, rc, e);
	memcpy(oldest->name, name, strlen(name) + 1);
	oldest->used = ++l->tick;
	*out = oldest;
	return ERR_OK;
}

static enum err_code read_whole(struct sftp_store *s, struct line *l, const char *name, size_t max, struct buf *out,
                                struct err *e)
{
	size_t start = out->len, got = 0, more = 0, want = num_min(FIRST_READ_BYTES, max ? max : 1);
	uint64_t size = 0;
	uint8_t *at = NULL;
	struct sftp_file f;
	enum err_code rc = sftp_open(l->session, path_of(s, name).text, SFTP_OPEN_READ, &f, e);

	if (rc)
		return rc;
	/* Most objects that are read whole are small, and come with their size. */
	rc = buf_extend(out, want, &at, e);
	if (!rc)
		rc = sftp_read_first(l->session, &f, want, at, &got, &size, e);
	if (!rc && size > max)
		rc = err_set(e, ERR_LIMIT, "%s/%s has %llu bytes, more than %zu", s->url, name,
		             (unsigned long long)size, max);
	if (!rc && got < size) {
		out->len = start + got;
		rc = buf_extend(out, (size_t)size - got, &at, e);
		if (!rc)
			rc = sftp_read(l->session, &f, got, (size_t)size - got, at, &more, e);
		if (!rc && got + more < size)
			rc = err_set(e, ERR_CORRUPT, "%s/%s ends at byte %zu of %llu", s->url, name, got + more,
			             (unsigned long long)size);
	}
	if (!rc)
		out->len = start + (size_t)size;
	if (!sftp_session_broken(l->session))
		sftp_close(l->session, &f);
	return rc;
}

static enum err_code sftp_get(struct store *base, const char *name, size_t max, struct buf *out, struct err *e)
{
	struct sftp_store *s = sftp_of(base);
	struct line *l;
	enum err_code rc = take(s, &l, e);

	if (rc)
		return rc;
	rc = no_object(s, l, name, read_whole(s, l, name, max, out, e), e);
	give_back(s, l);
	return rc;
}

static enum err_code sftp_get_range(struct store *base, const char *name, uint64_t offset, size_t len, uint8_t *dst,
                                    struct err *e)
{
	struct sftp_store *s = sftp_of(base);
	struct open_file *f;
	struct line *l;
	size_t got = 0;
	enum err_code rc;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return err_set(e, ERR_CORRUPT, "%s/%s cannot hold byte %llu", s->url, name, (unsigned long long)offset);
	rc = take(s, &l, e);
	if (rc)
		return rc;
	rc = open_object(s, l, name, &f, e);
	if (!rc)
		rc = sftp_read(l->session, &f->file, offset, len, dst, &got, e);
	if (!rc && got < len)
		rc = err_set(e, ERR_CORRUPT, "%s/%s ends at byte %llu, before %llu", s->url, name,
		             (unsigned long long)(offset + got), (unsigned long long)(offset + len));
	give_back(s, l);
	return rc;
}

static enum err_code sftp_size(struct store *base, const char *name, uint64_t *bytes, struct err *e)
{
	struct sftp_store *s = sftp_of(base);
	struct sftp_attrs attrs;
	struct line *l;
	enum err_code rc = take(s, &l, e);

	if (rc)
		return rc;
	rc = sftp_stat(l->session, path_of(s, name).text, &attrs, e);
	give_back(s, l);
	if (!rc && attrs.has_mode && S_ISDIR(attrs.mode))
		rc = err_set(e, ERR_NOT_FOUND, "%s/%s is a folder, not an object", s->url, name);
	else if (!rc && (!attrs.has_size || (attrs.has_mode && !S_ISREG(attrs.mode))))
		rc = err_set(e, ERR_CORRUPT, "%s/%s is not a plain file", s->url, name);
	if (!rc)
		*bytes = attrs.size;
	return rc;
}

static enum err_code sftp_delete(struct store *base, const char *name, struct err *e)
{
	struct sftp_store *s = sftp_of(base);
	struct line *l;
	enum err_code rc = take(s, &l, e);

	if (rc)
		return rc;
	rc = sftp_simple(l->session, SFTP_REMOVE, path_of(s, name).text, e);
	if (rc == ERR_NOT_FOUND || (rc == ERR_IO && is_folder(s, l, name)))
		rc = ERR_OK;
	if (!sftp_session_broken(l->session))
		forget_file(l, name);
	atomic_fetch_add(&s->deletes, 1);
	give_back(s, l);
	return rc;
}

static void sftp_drop_empty_folder(struct store *base, const char *folder)
{
	struct sftp_store *s = sftp_of(base);
	struct err ignored;
	struct line *l;

	if (take(s, &l, &ignored))
		return;
	(void)!sftp_simple(l->session, SFTP_RMDIR, path_of(s, folder).text, &ignored);
	give_back(s, l);
}

static enum err_code sftp_sync_object(struct store *base, const char *name, struct err *e)
{
	struct sftp_store *s = sftp_of(base);
	struct sftp_file f;
	struct line *l;
	enum err_code rc = take(s, &l, e);

	if (rc)
		return rc;
	rc = sftp_open(l->session, path_of(s, name).text, SFTP_OPEN_READ, &f, e);
	if (!rc)
		rc = sftp_sync(l->session, &f, e);
	if (!rc)
		sftp_close(l->session, &f);
	give_back(s, l);
	return rc;
}

/* ---- listing ---- */

struct listing {
	struct buf folders; /* names that are still to be read, each NUL-terminated */
	size_t next;        /* the first of them */
	struct buf objects;
	const char *now[SFTP_FOLDERS_AT_ONCE];
};

static enum err_code note_entry(void *ctx, size_t folder, struct span name, const struct sftp_attrs *attrs,
                                struct err *e)
{
	struct listing *g = ctx;
	const char *above = g->now[folder];
	char whole[STORE_NAME_MAX + 1];
	int len;

	/* Not ours: other programs leave files in a folder, and that is no damage. */
	if (!store_name_part_ok(name))
		return ERR_OK;
	len = snprintf(whole, sizeof whole, "%s%s%.*s", above, *above ? "/" : "", (int)name.len,
	               (const char *)name.ptr);
	if (len > STORE_NAME_MAX || !store_name_ok(whole))
		return ERR_OK;
	if (attrs->has_mode && S_ISDIR(attrs->mode))
		return buf_append(&g->folders, span_of(whole, (size_t)len + 1), e);
	if (attrs->has_mode && !S_ISREG(attrs->mode))
		return ERR_OK;
	return store_found_add(&g->objects, whole, attrs->size, e);
}

/* The next folders; the names are copied, as more come in while they are read. */
static enum err_code read_some(struct sftp_store *s, struct line *l, struct listing *g, struct err *e)
{
	struct path *paths = mem_alloc(SFTP_FOLDERS_AT_ONCE * sizeof *paths);
	char(*names)[STORE_NAME_MAX + 1] = mem_alloc(SFTP_FOLDERS_AT_ONCE * sizeof *names);
	const char *texts[SFTP_FOLDERS_AT_ONCE];
	size_t count = 0;
	enum err_code rc = ERR_OK;

	if (!paths || !names)
		rc = err_no_memory(e, SFTP_FOLDERS_AT_ONCE * sizeof *paths);
	for (; !rc && count < SFTP_FOLDERS_AT_ONCE && g->next < g->folders.len; count++) {
		const char *name = (const char *)g->folders.ptr + g->next;

		g->next += strlen(name) + 1;
		memcpy(names[count], name, strlen(name) + 1);
		paths[count] = path_of(s, name);
		g->now[count] = names[count];
		texts[count] = paths[count].text;
	}
	if (!rc)
		rc = sftp_read_folders(l->session, texts, count, note_entry, g, e);
	mem_free(paths);
	mem_free(names);
	return rc;
}

static enum err_code sftp_list(struct store *base, const char *folder, store_visit visit, void *ctx, struct err *e)
{
	struct sftp_store *s = sftp_of(base);
	struct listing g = { .folders = BUF_EMPTY, .objects = STORE_FOUND };
	struct line *l;
	enum err_code rc = take(s, &l, e);

	if (rc)
		return rc;
	rc = buf_append(&g.folders, span_of(folder, strlen(folder) + 1), e);
	while (!rc && g.next < g.folders.len)
		rc = read_some(s, l, &g, e);
	give_back(s, l);
	if (!rc)
		rc = store_found_visit(&g.objects, visit, ctx, e);
	buf_release(&g.folders);
	buf_release(&g.objects);
	return rc;
}

/* ---- drafts ---- */

static enum err_code sftp_draft_commit(struct store_draft *base, const char *name, struct err *e)
{
	struct sftp_store *s = sftp_of(base->store);
	struct spool *spool;
	struct line *l;
	enum err_code rc = spool_draft_end(base, &spool, e);

	if (!rc)
		rc = take(s, &l, e);
	if (rc)
		return rc;
	rc = create(s, l, (struct sftp_source){ SPAN_EMPTY, spool }, name, e);
	give_back(s, l);
	return rc;
}

/* NAME keeps a second name; where links are missing it is moved, and for a moment nothing has the name. */
static enum err_code keep_damaged(struct sftp_store *s, struct line *l, const char *name, char *kept, struct err *e)
{
	char there[STORE_NAME_MAX + 1];
	struct sftp_attrs attrs;
	enum err_code rc;

	kept[0] = 0;
	rc = sftp_stat(l->session, path_of(s, name).text, &attrs, e);
	if (rc)
		return rc == ERR_NOT_FOUND ? ERR_OK : rc;
	rc = store_damaged_name(name, there, e);
	if (!rc)
		rc = make_room(s, l, there, e);
	if (!rc)
		rc = sftp_name(l->session, sftp_session_server(l->session)->hardlink ? SFTP_BY_LINK : SFTP_BY_RENAME,
		               path_of(s, name).text, path_of(s, there).text, e);
	if (!rc)
		memcpy(kept, there, strlen(there) + 1);
	return rc;
}

static enum err_code put_in_place(struct sftp_store *s, struct line *l, const char *temp, const char *name,
                                  struct err *e)
{
	struct path from = path_of(s, temp), to = path_of(s, name);
	enum err_code rc = make_room(s, l, name, e);

	if (!rc && sftp_session_server(l->session)->posix_rename)
		return sftp_name(l->session, SFTP_BY_REPLACING, from.text, to.text, e);
	if (!rc)
		rc = sftp_simple(l->session, SFTP_REMOVE, to.text, e);
	if (rc == ERR_NOT_FOUND)
		rc = ERR_OK;
	return rc ? rc : sftp_name(l->session, SFTP_BY_RENAME, from.text, to.text, e);
}

static enum err_code sftp_draft_put_back(struct store_draft *base, const char *name, char *kept, struct err *e)
{
	struct sftp_store *s = sftp_of(base->store);
	struct spool *spool;
	struct fresh f;
	struct line *l;
	enum err_code rc = spool_draft_end(base, &spool, e);

	if (!rc)
		rc = take(s, &l, e);
	if (rc)
		return rc;
	rc = fresh_write(s, l, (struct sftp_source){ SPAN_EMPTY, spool }, &f, e);
	if (!rc && kept)
		rc = keep_damaged(s, l, name, kept, e);
	if (!rc)
		rc = put_in_place(s, l, f.temp, name, e);
	if (!rc)
		rc = sftp_sync(l->session, &f.file, e);
	if (!sftp_session_broken(l->session) && f.file.len) {
		sftp_close(l->session, &f.file);
		if (rc)
			remove_temp(s, l, f.temp);
		forget_file(l, name);
	}
	/* What others have open is what stood there before. */
	atomic_fetch_add(&s->deletes, 1);
	give_back(s, l);
	return rc;
}

/* ---- opening ---- */

static void sftp_store_free(struct store *base)
{
	struct sftp_store *s = sftp_of(base);

	for (size_t i = 0; i < LINES; i++)
		sftp_session_free(&s->lines[i].session);
	lines_release(&s->who);
	mem_free(s);
}

static enum err_code find_root(struct sftp_store *s, struct err *e)
{
	const char *path = s->at.path;
	bool home = strcmp(path, "~") == 0 || strncmp(path, "~/", 2) == 0;
	size_t len;

	if (home)
		path += path[1] ? 2 : 1;
	len = strlen(path);
	while (len && path[len - 1] == '/')
		len--;
	if (len == 0)
		return err_set(e, ERR_USAGE,
		               "%s names no folder: sftp://HOST/FOLDER, or sftp://HOST/~/FOLDER below the home",
		               s->url);
	snprintf(s->root, sizeof s->root, "%s%.*s", home ? "" : "/", (int)len, path);
	return ERR_OK;
}

static enum err_code new_store(const char *url, struct sftp_store **out, struct err *e)
{
	struct sftp_store *s = mem_zalloc(1, sizeof *s);
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->url = url;
	lines_init(&s->who, LINES);
	rc = net_url_parse(url, &s->at, e);
	if (!rc)
		rc = find_root(s, e);
	if (rc) {
		sftp_store_free(&s->base);
		return rc;
	}
	*out = s;
	return ERR_OK;
}

static enum err_code sftp_store_open(const char *url, struct store **out, struct err *e)
{
	struct sftp_store *s;
	struct sftp_attrs attrs;
	struct line *l;
	enum err_code rc = new_store(url, &s, e);

	if (rc)
		return rc;
	rc = take(s, &l, e);
	if (!rc) {
		rc = sftp_stat(l->session, s->root, &attrs, e);
		if (rc == ERR_NOT_FOUND)
			rc = err_set(e, ERR_NO_REPOSITORY, "there is no folder %s", url);
		give_back(s, l);
	}
	if (rc) {
		sftp_store_free(&s->base);
		return rc;
	}
	*out = &s->base;
	return ERR_OK;
}

/* What may lie in a folder that counts as empty: a file system's own folder, and tmp/ of an init that was cut off. */
static enum err_code refuse_entry(void *ctx, size_t folder, struct span name, const struct sftp_attrs *attrs,
                                  struct err *e)
{
	const struct sftp_store *s = ctx;

	(void)folder;
	(void)attrs;
	if (span_equal(name, SPAN_LIT("lost+found")) || span_equal(name, SPAN_LIT(STORE_TEMP_FOLDER)))
		return ERR_OK;
	return err_set(e, ERR_EXISTS, "%s is not empty: a new repository needs a folder of its own", s->url);
}

static enum err_code sftp_store_create(const char *url, struct store **out, struct err *e)
{
	struct sftp_store *s;
	struct line *l;
	const char *root;
	enum way way;
	enum err_code rc = new_store(url, &s, e);

	if (rc)
		return rc;
	root = s->root;
	rc = take(s, &l, e);
	if (!rc) {
		rc = sftp_make_folders(l->session, root, e);
		if (!rc)
			rc = sftp_read_folders(l->session, &root, 1, refuse_entry, s, e);
		if (!rc)
			rc = sftp_make_folders(l->session, path_of(s, STORE_TEMP_FOLDER).text, e);
		if (!rc)
			rc = find_way(s, l, &way, e);
		if (rc == ERR_NOT_FOUND)
			rc = e->code = ERR_IO;
		give_back(s, l);
	}
	if (rc) {
		sftp_store_free(&s->base);
		return rc;
	}
	*out = &s->base;
	return ERR_OK;
}

const struct store_kind store_sftp = {
	.prefix = "sftp://",
	.far = true,
	.open = sftp_store_open,
	.create = sftp_store_create,
	.free = sftp_store_free,
	.put = sftp_put,
	.get = sftp_get,
	.get_range = sftp_get_range,
	.size = sftp_size,
	.delete = sftp_delete,
	.drop_empty_folder = sftp_drop_empty_folder,
	.sync = sftp_sync_object,
	.list = sftp_list,
	.draft_open = spool_draft_open,
	.draft_write = spool_draft_write,
	.draft_size = spool_draft_size,
	.draft_read = spool_draft_read,
	.draft_commit = sftp_draft_commit,
	.draft_put_back = sftp_draft_put_back,
	.draft_free = spool_draft_free,
};
