#include "ops.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

#define WINDOW_REQUESTS 64
#define WINDOW_BYTES    (4 * MIB)

static enum err_code told(const struct sftp_answer *a, const char *doing, const char *path, struct err *e)
{
	static const enum err_code codes[] = { [SFTP_NO_SUCH_FILE] = ERR_NOT_FOUND,
		                               [SFTP_PERMISSION_DENIED] = ERR_DENIED,
		                               [SFTP_OP_UNSUPPORTED] = ERR_UNSUPPORTED };
	enum err_code code = a->status < ARRAY_LEN(codes) && codes[a->status] ? codes[a->status] : ERR_IO;

	if (a->type != SFTP_STATUS || a->status == SFTP_OK)
		return err_set(e, ERR_CORRUPT, "cannot %s %s: the server's answer has the type %d", doing, path,
		               (int)a->type);
	return err_set(e, code, "cannot %s %s: the server says '%s' (%u)", doing, path, text_name(a->text).text,
	               a->status);
}

/* The request R's answer, a status; ERR_OK when it says so. */
static enum err_code done(struct sftp_session *s, struct sftp_request *r, const char *doing, const char *path,
                          struct err *e)
{
	struct sftp_answer a;
	uint32_t id;
	enum err_code rc = sftp_session_end(s, r, &id);

	if (!rc)
		rc = sftp_session_wait_for(s, id, &a, e);
	if (!rc && !(a.type == SFTP_STATUS && a.status == SFTP_OK))
		rc = told(&a, doing, path, e);
	return rc;
}

/* What stands for R's answer: a handle. */
static enum err_code take_handle(const struct sftp_answer *a, const char *path, struct sftp_file *out, struct err *e)
{
	if (a->type != SFTP_HANDLE || a->bytes.len == 0 || a->bytes.len > sizeof out->handle)
		return told(a, "open", path, e);
	out->len = a->bytes.len;
	memcpy(out->handle, a->bytes.ptr, a->bytes.len);
	return ERR_OK;
}

static struct span handle_of(const struct sftp_file *f)
{
	return span_of(f->handle, f->len);
}

enum err_code sftp_open(struct sftp_session *s, const char *path, uint32_t flags, struct sftp_file *out, struct err *e)
{
	struct sftp_request r = sftp_session_begin(s, SFTP_OPEN, e);
	struct sftp_answer a;
	enum err_code rc;
	uint32_t id;

	out->len = 0;
	sftp_string(&r, span_cstr(path));
	sftp_u32(&r, flags);
	sftp_mode(&r, flags & SFTP_OPEN_CREATE ? 0400 : 0);
	rc = sftp_session_end(s, &r, &id);
	if (!rc)
		rc = sftp_session_wait_for(s, id, &a, e);
	return rc ? rc : take_handle(&a, path, out, e);
}

void sftp_close(struct sftp_session *s, struct sftp_file *f)
{
	struct err ignored;
	struct sftp_request r;
	uint32_t id;

	if (!f->len)
		return;
	r = sftp_session_begin(s, SFTP_CLOSE, &ignored);
	sftp_string(&r, handle_of(f));
	if (!sftp_session_end(s, &r, &id))
		sftp_session_ignore(s, id);
	f->len = 0;
}

/* ---- writing ---- */

static uint64_t source_size(struct sftp_source from)
{
	return from.spool ? spool_size(from.spool) : from.memory.len;
}

static enum err_code source_piece(struct sftp_source from, uint64_t at, size_t len, uint8_t *room, struct span *out,
                                  struct err *e)
{
	if (!from.spool) {
		*out = span_of(from.memory.ptr + at, len);
		return ERR_OK;
	}
	*out = span_of(room, len);
	return spool_read(from.spool, at, len, room, e);
}

/* Takes in the answers to FLYING writes until at most KEEP are out; the first failure is remembered in *RC. */
static enum err_code settle(struct sftp_session *s, size_t *flying, size_t keep, enum err_code *rc, struct err *e)
{
	while (*flying > keep) {
		struct sftp_answer a;
		struct err lost;
		enum err_code got = sftp_session_wait(s, &a, &lost);

		if (got) {
			*e = lost;
			return got;
		}
		--*flying;
		if (!*rc && !(a.type == SFTP_STATUS && a.status == SFTP_OK))
			*rc = told(&a, "write to", "a file", e);
	}
	return ERR_OK;
}

enum err_code sftp_write_all(struct sftp_session *s, const struct sftp_file *f, struct sftp_source from, struct err *e)
{
	uint64_t size = source_size(from);
	size_t piece = sftp_session_server(s)->write_bytes;
	size_t window = num_min(WINDOW_REQUESTS, WINDOW_BYTES / piece);
	uint8_t *room = from.spool ? mem_alloc(piece) : NULL;
	enum err_code rc = ERR_OK, gone = ERR_OK;
	size_t flying = 0;

	if (from.spool && !room)
		return err_no_memory(e, piece);
	for (uint64_t at = 0; !rc && !gone && at < size;) {
		size_t n = (size_t)num_min(piece, size - at);
		struct sftp_request r;
		struct span bytes;
		uint32_t id;

		rc = source_piece(from, at, n, room, &bytes, e);
		if (rc)
			break;
		r = sftp_session_begin(s, SFTP_WRITE, e);
		sftp_string(&r, handle_of(f));
		sftp_u64(&r, at);
		sftp_string(&r, bytes);
		rc = sftp_session_end(s, &r, &id);
		flying += !rc;
		at += n;
		gone = settle(s, &flying, window - 1, &rc, e);
	}
	if (!gone && !sftp_session_broken(s))
		gone = settle(s, &flying, 0, &rc, e);
	mem_free(room);
	return gone ? gone : rc;
}

enum err_code sftp_sync(struct sftp_session *s, const struct sftp_file *f, struct err *e)
{
	struct sftp_request r;

	if (!sftp_session_server(s)->fsync)
		return ERR_OK;
	r = sftp_session_begin(s, SFTP_EXTENDED, e);
	sftp_string(&r, SPAN_LIT("fsync@openssh.com"));
	sftp_string(&r, handle_of(f));
	return done(s, &r, "sync", "a file", e);
}

/* ---- reading ---- */

struct flight {
	uint32_t id;
	size_t at, len; /* len 0: free */
};

struct reading {
	struct sftp_session *s;
	const struct sftp_file *f;
	uint64_t offset;
	uint8_t *dst;
	size_t end; /* of what there is, as far as is known */
	size_t flying;
	struct flight flights[WINDOW_REQUESTS];
};

static enum err_code ask(struct reading *r, size_t slot, size_t at, size_t len, struct err *e)
{
	struct sftp_request q = sftp_session_begin(r->s, SFTP_READ, e);
	enum err_code rc;

	sftp_string(&q, handle_of(r->f));
	sftp_u64(&q, r->offset + at);
	sftp_u32(&q, (uint32_t)len);
	rc = sftp_session_end(r->s, &q, &r->flights[slot].id);
	if (!rc) {
		r->flights[slot].at = at;
		r->flights[slot].len = len;
		r->flying++;
	}
	return rc;
}

/* Puts one answer in its place; what a server gives short is asked for again. */
static enum err_code land(struct reading *r, const struct sftp_answer *a, struct err *e)
{
	size_t slot = 0, at, len;

	while (slot < WINDOW_REQUESTS && !(r->flights[slot].len && r->flights[slot].id == a->id))
		slot++;
	if (slot == WINDOW_REQUESTS)
		return err_set(e, ERR_CORRUPT, "the server answered request %u, which was not asked", a->id);
	at = r->flights[slot].at;
	len = r->flights[slot].len;
	r->flights[slot].len = 0;
	r->flying--;
	if (a->type == SFTP_STATUS && a->status == SFTP_EOF) {
		r->end = num_min(r->end, at);
		return ERR_OK;
	}
	if (a->type != SFTP_DATA)
		return told(a, "read", "a file", e);
	if (a->bytes.len == 0 || a->bytes.len > len)
		return err_set(e, ERR_CORRUPT, "the server gave %zu bytes when %zu were asked for", a->bytes.len, len);
	memcpy(r->dst + at, a->bytes.ptr, a->bytes.len);
	return a->bytes.len < len ? ask(r, slot, at + a->bytes.len, len - a->bytes.len, e) : ERR_OK;
}

static size_t free_slot(const struct reading *r)
{
	size_t slot = 0;

	while (r->flights[slot].len)
		slot++;
	return slot;
}

enum err_code sftp_read(struct sftp_session *s, const struct sftp_file *f, uint64_t offset, size_t len, uint8_t *dst,
                        size_t *got, struct err *e)
{
	struct reading r = { .s = s, .f = f, .offset = offset, .dst = dst, .end = len };
	size_t piece = sftp_session_server(s)->read_bytes;
	size_t window = num_min(WINDOW_REQUESTS, WINDOW_BYTES / piece);
	enum err_code rc = ERR_OK;
	struct sftp_answer a;
	struct err first;
	size_t at = 0;

	while ((!rc && at < r.end) || r.flying) {
		while (!rc && at < r.end && r.flying < window) {
			size_t n = num_min(piece, r.end - at);

			rc = ask(&r, free_slot(&r), at, n, e);
			at += n;
		}
		if (!r.flying)
			break;
		first = *e;
		if (sftp_session_wait(s, &a, e))
			return e->code;
		if (!rc)
			rc = land(&r, &a, e);
		else {
			/* What else is in the air comes down unseen. */
			(void)!land(&r, &a, e);
			*e = first;
		}
	}
	*got = r.end;
	return rc;
}

enum err_code sftp_read_first(struct sftp_session *s, const struct sftp_file *f, size_t len, uint8_t *dst, size_t *got,
                              uint64_t *size, struct err *e)
{
	struct sftp_request r = sftp_session_begin(s, SFTP_FSTAT, e);
	struct sftp_answer a;
	enum err_code rc, told_rc = ERR_OK;
	uint32_t stat_id, read_id;

	*got = 0;
	*size = UINT64_MAX;
	sftp_string(&r, handle_of(f));
	rc = sftp_session_end(s, &r, &stat_id);
	if (rc)
		return rc;
	r = sftp_session_begin(s, SFTP_READ, e);
	sftp_string(&r, handle_of(f));
	sftp_u64(&r, 0);
	sftp_u32(&r, (uint32_t)len);
	rc = sftp_session_end(s, &r, &read_id);
	for (int i = 0; !rc && i < 2; i++) {
		struct err here;

		rc = sftp_session_wait(s, &a, e);
		if (rc || told_rc)
			continue;
		if (a.id == stat_id && a.type == SFTP_ATTRS && a.attrs.has_size)
			*size = a.attrs.size;
		else if (a.id == read_id && a.type == SFTP_DATA && a.bytes.len <= len) {
			memcpy(dst, a.bytes.ptr, a.bytes.len);
			*got = a.bytes.len;
		} else if (!(a.id == read_id && a.type == SFTP_STATUS && a.status == SFTP_EOF))
			told_rc = told(&a, "read", "a file", &here);
		if (told_rc)
			*e = here;
	}
	return rc ? rc : told_rc;
}

/* ---- names ---- */

enum err_code sftp_stat(struct sftp_session *s, const char *path, struct sftp_attrs *out, struct err *e)
{
	struct sftp_request r = sftp_session_begin(s, SFTP_LSTAT, e);
	struct sftp_answer a;
	enum err_code rc;
	uint32_t id;

	sftp_string(&r, span_cstr(path));
	rc = sftp_session_end(s, &r, &id);
	if (!rc)
		rc = sftp_session_wait_for(s, id, &a, e);
	if (!rc && a.type != SFTP_ATTRS)
		rc = told(&a, "look at", path, e);
	if (!rc)
		*out = a.attrs;
	return rc;
}

enum err_code sftp_simple(struct sftp_session *s, enum sftp_type what, const char *path, struct err *e)
{
	struct sftp_request r = sftp_session_begin(s, what, e);

	sftp_string(&r, span_cstr(path));
	if (what == SFTP_MKDIR)
		sftp_mode(&r, 0700);
	return done(s, &r, what == SFTP_MKDIR ? "create folder" : "delete", path, e);
}

enum err_code sftp_name(struct sftp_session *s, enum sftp_naming how, const char *from, const char *to, struct err *e)
{
	struct sftp_request r = sftp_session_begin(s, how == SFTP_BY_RENAME ? SFTP_RENAME : SFTP_EXTENDED, e);

	if (how == SFTP_BY_LINK)
		sftp_string(&r, SPAN_LIT("hardlink@openssh.com"));
	if (how == SFTP_BY_REPLACING)
		sftp_string(&r, SPAN_LIT("posix-rename@openssh.com"));
	sftp_string(&r, span_cstr(from));
	sftp_string(&r, span_cstr(to));
	return done(s, &r, "create", to, e);
}

enum err_code sftp_make_folders(struct sftp_session *s, const char *path, struct err *e)
{
	size_t len = strlen(path);
	char *part = mem_alloc(len + 1);
	struct sftp_attrs attrs;
	enum err_code rc = ERR_OK;

	if (!part)
		return err_no_memory(e, len + 1);
	memcpy(part, path, len + 1);
	for (size_t at = 1; !rc && at <= len; at++) {
		if (path[at] != '/' && path[at])
			continue;
		part[at] = 0;
		rc = sftp_simple(s, SFTP_MKDIR, part, e);
		/* "Failure" is all that most servers say of a folder that is there. */
		if (rc && !sftp_session_broken(s)) {
			struct err ignored;

			if (!sftp_stat(s, part, &attrs, &ignored))
				rc = ERR_OK;
		}
		part[at] = path[at];
	}
	mem_free(part);
	return rc;
}

/* ---- folders ---- */

struct folder_now {
	struct sftp_file handle;
	uint32_t id; /* of what is asked of it now */
	bool asked;
};

static struct folder_now *asked_by(struct folder_now *all, size_t count, uint32_t id)
{
	for (size_t i = 0; i < count; i++)
		if (all[i].asked && all[i].id == id)
			return &all[i];
	return NULL;
}

static enum err_code visit_entries(const struct sftp_answer *a, size_t folder, sftp_visit visit, void *ctx,
                                   struct err *e)
{
	struct span left = a->bytes;
	enum err_code rc = ERR_OK;

	if (a->count == 0)
		return err_set(e, ERR_CORRUPT, "the server listed nothing, and not the end either");
	for (uint32_t i = 0; !rc && i < a->count; i++) {
		struct sftp_attrs attrs;
		struct span name;

		rc = sftp_next_entry(&left, &name, &attrs, e);
		if (!rc && !span_equal(name, SPAN_LIT(".")) && !span_equal(name, SPAN_LIT("..")))
			rc = visit(ctx, folder, name, &attrs, e);
	}
	return rc;
}

/* One round: asks each folder that is not through, and takes in what each says. */
static enum err_code round_of(struct sftp_session *s, const char *const *paths, struct folder_now *now, size_t count,
                              bool first, sftp_visit visit, void *ctx, struct err *e)
{
	enum err_code rc = ERR_OK, gone;
	size_t flying = 0;

	for (size_t i = 0; !rc && i < count; i++) {
		struct sftp_request r;

		if (!first && !now[i].handle.len)
			continue;
		r = sftp_session_begin(s, first ? SFTP_OPENDIR : SFTP_READDIR, e);
		sftp_string(&r, first ? span_cstr(paths[i]) : handle_of(&now[i].handle));
		rc = sftp_session_end(s, &r, &now[i].id);
		now[i].asked = !rc;
		flying += !rc;
	}
	for (; flying; flying--) {
		struct sftp_answer a;
		struct folder_now *folder;
		struct err here;
		enum err_code one = ERR_OK;

		gone = sftp_session_wait(s, &a, &here);
		folder = gone ? NULL : asked_by(now, count, a.id);
		if (!folder) {
			*e = here;
			return gone ? gone : err_set(e, ERR_CORRUPT, "the server answered what was not asked");
		}
		folder->asked = false;
		if (first && !(a.type == SFTP_STATUS && a.status == SFTP_NO_SUCH_FILE))
			one = take_handle(&a, paths[folder - now], &folder->handle, &here);
		else if (a.type == SFTP_STATUS && a.status == SFTP_EOF)
			sftp_close(s, &folder->handle);
		else if (a.type == SFTP_NAME && !rc)
			one = visit_entries(&a, (size_t)(folder - now), visit, ctx, &here);
		else if (!first && a.type != SFTP_NAME)
			one = told(&a, "list", paths[folder - now], &here);
		if (one && !rc) {
			rc = one;
			*e = here;
		}
	}
	return rc;
}

enum err_code sftp_read_folders(struct sftp_session *s, const char *const *paths, size_t count, sftp_visit visit,
                                void *ctx, struct err *e)
{
	struct folder_now now[SFTP_FOLDERS_AT_ONCE] = { 0 };
	enum err_code rc = round_of(s, paths, now, count, true, visit, ctx, e);
	bool open = true;

	while (!rc && open) {
		rc = round_of(s, paths, now, count, false, visit, ctx, e);
		open = false;
		for (size_t i = 0; i < count; i++)
			open = open || now[i].handle.len;
	}
	for (size_t i = 0; i < count; i++)
		if (!sftp_session_broken(s))
			sftp_close(s, &now[i].handle);
	return rc;
}
