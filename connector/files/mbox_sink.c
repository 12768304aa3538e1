/*
 * mbox_sink: writes collections as mbox files. What comes from an mbox goes back byte for byte: From_ line, body,
 * tail. What comes from elsewhere is converted on the way out: it gets a From_ line made from its date, its lines
 * that begin with "From " (after any number of '>') get one '>' more (mboxrd), its last line a line end if it lacks
 * one, and an empty line follows.
 *
 * A collection is written to a temporary file beside its place: what was there, then what is new. It takes the place
 * at collection_done, after an fsync, so that a crash leaves the old file or the whole new one.
 */
#include "worlds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "mbox_index.h"
#include "connector/outline.h"
#include "put_file.h"
#include "safe_name.h"
#include "stamp.h"
#include "target.h"

#define PIECE_BYTES (64 * KIB)

struct mbox_file {
	char *folder; /* relative to the target */
	char *name;
	char beside[64];
	int folder_fd; /* -1 when only planned and missing */
	int fd;        /* the temporary file, -1 before the first put */
	bool exact;    /* from an mbox */
	bool existed;
	unsigned mode;
	int64_t mtime_ns;
	bool timed;
	struct mbox_index there; /* what the file held when we came */
	uint64_t end;            /* bytes in the temporary file */
	uint8_t last[3];         /* its last bytes, zeros before it has three */
};

struct mbox_sink {
	struct item_sink base;
	struct target target;
	uint8_t *piece; /* output gathered before it is written */
};

static void file_free(struct mbox_file *f)
{
	if (!f)
		return;
	if (f->fd >= 0) { /* never finished */
		close(f->fd);
		unlinkat(f->folder_fd, f->beside, 0);
	}
	if (f->folder_fd >= 0)
		close(f->folder_fd);
	mbox_index_release(&f->there);
	mem_free(f->folder);
	mem_free(f->name);
	mem_free(f);
}

/* ---- collections ---- */

static enum err_code copy_text(struct span s, char **out, struct err *e)
{
	*out = mem_alloc(s.len + 1);
	if (!*out)
		return err_no_memory(e, s.len + 1);
	if (s.len)
		memcpy(*out, s.ptr, s.len);
	(*out)[s.len] = 0;
	return ERR_OK;
}

/* From elsewhere a folder may hold mail and folders: its mail goes to "name.mbox", so that "name/" stays free. */
static enum err_code file_place(struct mbox_sink *s, const struct collection *c, struct mbox_file *f, struct err *e)
{
	enum name_rule rule = f->exact ? NAME_EXACT : NAME_PORTABLE;
	struct span path = span_equal(c->path, SPAN_LIT(".")) ? SPAN_LIT("INBOX") : c->path, whole;
	struct buf named = BUF_EMPTY, safe = BUF_EMPTY;
	const uint8_t *slash;
	size_t folder_len;
	enum err_code rc;

	rc = buf_append(&named, path, e);
	if (!rc && !f->exact)
		rc = buf_append(&named, SPAN_LIT(".mbox"), e);
	if (!rc)
		rc = buf_append(&safe, span_cstr(s->target.into), e);
	if (!rc && safe.len)
		rc = buf_append(&safe, SPAN_LIT("/"), e);
	if (!rc)
		rc = safe_path(buf_span(&named), rule, &safe, e);
	whole = buf_span(&safe);
	if (!rc && (whole.len == 0 || whole.ptr[whole.len - 1] == '/'))
		rc = err_set(e, ERR_CORRUPT, "a collection has no name");
	if (rc)
		goto done;
	slash = memrchr(whole.ptr, '/', whole.len);
	folder_len = slash ? (size_t)(slash - whole.ptr) : 0;
	rc = copy_text(span_first(whole, folder_len), &f->folder, e);
	if (!rc)
		rc = copy_text(span_skip(whole, slash ? folder_len + 1 : 0), &f->name, e);
	if (!rc)
		snprintf(f->beside, sizeof f->beside, ".mailhold-%016llx.tmp",
		         (unsigned long long)hash64(span_cstr(f->name)));
done:
	buf_release(&named);
	buf_release(&safe);
	return rc;
}

/* Reads which messages are there already. */
static enum err_code read_there(struct mbox_file *f, struct err *e)
{
	int fd = openat(f->folder_fd, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	enum err_code rc = ERR_OK;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? ERR_OK
		                       : err_sys(e, errno, "cannot open %s", text_name(span_cstr(f->name)).text);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		rc = err_set(e, ERR_EXISTS, "%s is there and is not a file", text_name(span_cstr(f->name)).text);
	} else {
		f->existed = true;
		f->mode = (unsigned)st.st_mode & 0777;
		rc = mbox_index_read(&f->there, fd, e);
	}
	close(fd);
	return rc;
}

static enum err_code sink_collection(struct item_sink *base, const struct collection *c, bool plan, size_t *handle,
                                     struct err *e)
{
	struct mbox_sink *s = (struct mbox_sink *)base;
	struct mbox_file *f = mem_zalloc(1, sizeof *f);
	struct span stat_text;
	bool found, made;
	enum err_code rc;

	if (!f)
		return err_no_memory(e, sizeof *f);
	f->fd = f->folder_fd = -1;
	f->mode = 0600;
	f->exact = outline_find(c, SPAN_LIT("mbox:stat"), &stat_text);
	f->timed = f->exact && stamp_parse(stat_text, &f->mode, &f->mtime_ns);
	rc = file_place(s, c, f, e);
	if (!rc)
		rc = target_open(&s->target, !plan, &found, e);
	if (!rc && found)
		rc = folder_open(s->target.fd, f->folder, !plan, &f->folder_fd, &made, e);
	if (rc == ERR_NOT_FOUND && plan)
		rc = ERR_OK;
	if (!rc && f->folder_fd >= 0)
		rc = read_there(f, e);
	if (!rc)
		rc = target_add(&s->target, f, handle, e);
	if (rc) {
		err_note(e, "while making mbox %s", text_name(c->path).text);
		file_free(f);
	}
	return rc;
}

/* ---- output: the same bytes are made twice, to write them and to compare them with what the file then holds ---- */

struct outlet {
	struct mbox_file *file;
	uint8_t *piece;
	size_t used;
	uint64_t at;              /* offset of the piece in the file */
	bool compare;             /* compare instead of write */
	struct hash_stream *hash; /* or only hash, when set */
	struct err *e;
	enum err_code rc;
};

static void flush(struct outlet *o)
{
	bool same = true;

	if (o->rc || !o->used)
		return;
	if (o->hash)
		hash_stream_add(o->hash, span_of(o->piece, o->used));
	else if (o->compare)
		o->rc = put_check_bytes(o->file->fd, o->at, span_of(o->piece, o->used), &same, o->e);
	else
		o->rc = file_write(o->file->fd, "the new mbox", span_of(o->piece, o->used), o->e);
	if (!o->rc && !same)
		o->rc = err_set(o->e, ERR_IO, "%s: what was written does not read back the same",
		                text_name(span_cstr(o->file->name)).text);
	o->at += o->used;
	o->used = 0;
}

static void emit(struct outlet *o, struct span s)
{
	while (s.len && !o->rc) {
		size_t n = s.len < PIECE_BYTES - o->used ? s.len : PIECE_BYTES - o->used;

		memcpy(o->piece + o->used, s.ptr, n);
		o->used += n;
		s = span_skip(s, n);
		if (o->used == PIECE_BYTES)
			flush(o);
	}
}

/* Where in a line the quoting is: before it, in its '>'s or "From " (how much of it was seen), or past them. */
struct quoting {
	size_t matched; /* of "From " */
	bool line_start;
	bool ended; /* the last byte was a line end */
};

static void emit_quoted(struct outlet *o, struct quoting *q, struct span s)
{
	static const char from[] = "From ";

	while (s.len && !o->rc) {
		const uint8_t *end;
		size_t n;

		if (q->line_start && s.ptr[0] == '>' && q->matched == 0) {
			emit(o, span_first(s, 1));
			n = 1;
		} else if (q->line_start && s.ptr[0] == (uint8_t)from[q->matched]) {
			n = 1;
			if (++q->matched == 5) { /* one '>' more in a row of them is the same wherever it stands */
				emit(o, SPAN_LIT(">From "));
				*q = (struct quoting){ 0 };
			}
		} else {
			if (q->line_start)
				emit(o, span_of(from, q->matched));
			end = memchr(s.ptr, '\n', s.len);
			n = end ? (size_t)(end - s.ptr) + 1 : s.len;
			emit(o, span_first(s, n));
			*q = (struct quoting){ .line_start = end, .ended = end };
			s = span_skip(s, n);
			continue;
		}
		q->ended = false;
		s = span_skip(s, n);
	}
}

/* "From MAILER-DAEMON Sat Jan  3 01:05:34 1996", of the item's time in UTC. */
static void made_from_line(const struct item_out *item, char out[64])
{
	uint64_t ns = 0;
	struct tm tm;
	time_t t;

	fields_get_u64(item->facts, FACT_TIME, &ns);
	t = (time_t)((int64_t)ns / 1000000000);
	if (!gmtime_r(&t, &tm) || tm.tm_year < 0 || tm.tm_year > 8099)
		tm = (struct tm){ .tm_year = 70, .tm_mday = 1, .tm_wday = 4 };
	strftime(out, 64, "From MAILER-DAEMON %a %b %e %H:%M:%S %Y\n", &tm);
}

static void emit_body(struct outlet *o, const struct item_body *body, struct quoting *q)
{
	struct span piece;

	if (!o->rc)
		o->rc = body->rewind(body->ctx, o->e);
	do {
		piece = SPAN_EMPTY;
		if (!o->rc)
			o->rc = body->next(body->ctx, &piece, o->e);
		if (q)
			emit_quoted(o, q, piece);
		else
			emit(o, piece);
	} while (!o->rc && piece.len);
}

/* From_ line and body as they go into the file, without the tail. */
static void emit_message(struct outlet *o, const struct item_out *item, const struct item_body *body)
{
	struct quoting q = { .line_start = true, .ended = true };
	char made[64];
	struct span from;

	if (fields_get(item->facts, FACT_MBOX_FROM, &from)) {
		emit(o, from);
		emit_body(o, body, NULL);
		return;
	}
	made_from_line(item, made);
	emit(o, span_cstr(made));
	emit_body(o, body, &q);
	emit(o, span_of("From ", q.matched)); /* the text ended within a "From " */
	if (!q.ended)
		emit(o, SPAN_LIT("\n"));
}

static void emit_tail(struct outlet *o, const struct item_out *item)
{
	struct span from, tail = SPAN_EMPTY;

	if (fields_get(item->facts, FACT_MBOX_FROM, &from))
		fields_get(item->facts, FACT_MBOX_TAIL, &tail);
	else
		tail = SPAN_LIT("\n");
	emit(o, tail);
}

/* What must stand before ITEM, so that its From_ line is one: nothing when everything comes back in order. */
static struct span gap_before(const struct mbox_file *f, const struct item_out *item)
{
	const uint8_t *last = f->last;
	struct span from;

	if (f->end == 0)
		return SPAN_EMPTY;
	if (last[2] != '\n')
		return SPAN_LIT("\n\n");
	if (last[1] == '\n' || (last[1] == '\r' && last[0] == '\n'))
		return SPAN_EMPTY;
	if (fields_get(item->facts, FACT_MBOX_FROM, &from) && mbox_line_is_dated(from))
		return SPAN_EMPTY;
	return SPAN_LIT("\n");
}

/* ---- put ---- */

/* The key that ITEM has, or will have, in an mbox. */
static enum err_code key_in_mbox(struct mbox_sink *s, struct mbox_file *f, const struct item_out *item,
                                 const struct item_body *body, char key[MBOX_KEY_BYTES_MAX], struct span *out,
                                 struct err *e)
{
	struct outlet o = { .file = f, .piece = s->piece, .e = e };
	uint8_t hash[16];

	if (f->exact) {
		*out = item->key;
		return ERR_OK;
	}
	o.hash = hash_stream_open();
	if (!o.hash)
		return err_no_memory(e, 600);
	emit_message(&o, item, body);
	flush(&o);
	hash_stream_end(o.hash, hash);
	hash_stream_free(&o.hash);
	*out = span_of(key, mbox_key(hash, 1, key));
	return o.rc;
}

static enum err_code copy_there(struct mbox_sink *s, struct mbox_file *f, struct err *e)
{
	int from = openat(f->folder_fd, f->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	enum err_code rc = ERR_OK;
	size_t got = 1;

	if (from < 0)
		return err_sys(e, errno, "cannot open %s", text_name(span_cstr(f->name)).text);
	while (!rc && got) {
		rc = mbox_read_fd(&from, f->end, s->piece, PIECE_BYTES, &got, e);
		if (!rc)
			rc = file_write(f->fd, "the new mbox", span_of(s->piece, got), e);
		f->end += got;
	}
	close(from);
	return rc;
}

static enum err_code read_last(struct mbox_file *f, struct err *e)
{
	size_t n = f->end < 3 ? (size_t)f->end : 3;

	memset(f->last, 0, sizeof f->last);
	return file_read_at(f->fd, "the new mbox", f->end - n, f->last + 3 - n, n, e);
}

static enum err_code start_file(struct mbox_sink *s, struct mbox_file *f, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (f->fd >= 0)
		return ERR_OK;
	if (f->folder_fd < 0)
		return err_set(e, ERR_STATE, "the folder was only planned");
	if (unlinkat(f->folder_fd, f->beside, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "cannot remove an old temporary file");
	f->fd = openat(f->folder_fd, f->beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return err_sys(e, errno, "cannot make a temporary file beside %s", text_name(span_cstr(f->name)).text);
	if (f->existed)
		rc = copy_there(s, f, e);
	return rc ? rc : read_last(f, e);
}

/* Writes one message at the end; after a failure the file ends where it did. */
static enum err_code append(struct mbox_sink *s, struct mbox_file *f, const struct item_out *item,
                            const struct item_body *body, struct err *e)
{
	struct outlet write = { .file = f, .piece = s->piece, .at = f->end, .e = e };
	struct outlet compare = { .file = f, .piece = s->piece, .at = f->end, .compare = true, .e = e };
	struct outlet *const passes[] = { &write, &compare };
	struct span gap = gap_before(f, item);
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < ARRAY_LEN(passes) && !rc; i++) {
		emit(passes[i], gap);
		emit_message(passes[i], item, body);
		emit_tail(passes[i], item);
		flush(passes[i]);
		rc = passes[i]->rc;
	}
	if (!rc) {
		f->end = write.at;
		return read_last(f, e);
	}
	if (ftruncate(f->fd, (off_t)f->end) < 0 || lseek(f->fd, (off_t)f->end, SEEK_SET) < 0)
		err_note(e, "and the half message could not be taken back");
	return rc;
}

static enum err_code sink_put(struct item_sink *base, size_t handle, const struct item_out *item,
                              const struct item_body *body, enum sink_collision collision, enum sink_verdict *verdict,
                              struct err *e)
{
	struct mbox_sink *s = (struct mbox_sink *)base;
	struct mbox_file *f = target_get(&s->target, handle);
	char text[MBOX_KEY_BYTES_MAX];
	struct span key = SPAN_EMPTY;
	enum err_code rc = ERR_OK;

	(void)collision; /* keys are hashes: nothing else can have one's place */
	if (f->there.count)
		rc = key_in_mbox(s, f, item, body, text, &key, e);
	if (!rc && f->there.count && mbox_index_has(&f->there, key)) {
		*verdict = SINK_PRESENT;
		return ERR_OK;
	}
	if (!rc)
		rc = start_file(s, f, e);
	if (!rc)
		rc = append(s, f, item, body, e);
	if (rc)
		return err_note(e, "while writing %s", text_name(item->key).text);
	target_wrote(&s->target, item->bytes);
	*verdict = SINK_PUT;
	return ERR_OK;
}

static enum err_code sink_decide(struct item_sink *base, size_t handle, const struct item_out *item,
                                 enum sink_collision collision, enum sink_verdict *verdict, struct buf *target,
                                 struct err *e)
{
	struct mbox_sink *s = (struct mbox_sink *)base;
	struct mbox_file *f = target_get(&s->target, handle);
	enum err_code rc;

	(void)collision;
	/* For converted items only their bytes can tell; put looks at them. */
	*verdict = f->exact && mbox_index_has(&f->there, item->key) ? SINK_PRESENT : SINK_PUT;
	rc = text_percent(target, span_cstr(s->target.path), "", e);
	if (!rc)
		rc = buf_append(target, SPAN_LIT("/"), e);
	if (!rc && *f->folder)
		rc = text_percent(target, span_cstr(f->folder), "", e);
	if (!rc && *f->folder)
		rc = buf_append(target, SPAN_LIT("/"), e);
	return rc ? rc : text_percent(target, span_cstr(f->name), "", e);
}

/* An mbox without messages is still a folder of the user's. */
static enum err_code make_empty(struct mbox_file *f, struct err *e)
{
	bool other;

	return put_small(f->folder_fd, f->name, SPAN_EMPTY, f->mode, f->timed ? &f->mtime_ns : NULL, &other, e);
}

static enum err_code sink_collection_done(struct item_sink *base, size_t handle, struct err *e)
{
	struct mbox_sink *s = (struct mbox_sink *)base;
	struct mbox_file *f = target_get(&s->target, handle);
	enum err_code rc = ERR_OK;

	if (f->fd >= 0) {
		rc = stamp_apply(f->fd, f->name, f->mode, f->timed && !f->existed ? &f->mtime_ns : NULL, e);
		if (!rc && fsync(f->fd) < 0)
			rc = err_sys(e, errno, "cannot write %s to the disk", text_name(span_cstr(f->name)).text);
		if (!rc && renameat(f->folder_fd, f->beside, f->folder_fd, f->name) < 0)
			rc = err_sys(e, errno, "cannot put %s in its place", text_name(span_cstr(f->name)).text);
		if (rc)
			return rc;
		close(f->fd);
		f->fd = -1;
	} else if (f->folder_fd >= 0 && !f->existed) {
		rc = make_empty(f, e);
	}
	mbox_index_release(&f->there);
	if (f->folder_fd >= 0)
		close(f->folder_fd);
	f->folder_fd = -1;
	return rc;
}

static enum err_code sink_occupied(struct item_sink *base, bool *out, struct err *e)
{
	struct mbox_sink *s = (struct mbox_sink *)base;

	return target_holds_anything(&s->target, s->target.into, out, e);
}

static enum err_code sink_finish(struct item_sink *base, struct err *e)
{
	return target_sync(&((struct mbox_sink *)base)->target, e);
}

static void sink_free(struct item_sink **base)
{
	struct mbox_sink *s = (struct mbox_sink *)*base;

	if (!s)
		return;
	for (size_t i = 0; i < s->target.handle_count; i++)
		file_free(s->target.handles[i]);
	target_release(&s->target);
	mem_free(s->piece);
	mem_free(s);
	*base = NULL;
}

static const struct item_sink_ops mbox_sink_ops = {
	.occupied = sink_occupied,
	.collection = sink_collection,
	.decide = sink_decide,
	.put = sink_put,
	.collection_done = sink_collection_done,
	.finish = sink_finish,
	.free = sink_free,
};

enum err_code mbox_sink_open(const char *path, const char *into, struct item_sink **out, struct err *e)
{
	struct mbox_sink *s = mem_zalloc(1, sizeof *s);
	enum err_code rc = ERR_OK;

	if (!s)
		return err_no_memory(e, sizeof *s);
	s->piece = mem_alloc(PIECE_BYTES);
	if (!s->piece)
		rc = err_no_memory(e, PIECE_BYTES);
	if (!rc)
		rc = target_init(&s->target, path, into, e);
	if (rc) {
		mem_free(s->piece);
		mem_free(s);
		return rc;
	}
	s->base = (struct item_sink){ .ops = &mbox_sink_ops, .world = "mbox", .needs_position_order = true };
	*out = &s->base;
	return ERR_OK;
}
