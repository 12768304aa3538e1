/*
 * maildir_sink: writes items as a Maildir. What comes from a Maildir gets its very folder, name, time and mode back;
 * what comes from elsewhere gets a name made from its key, so that a second run finds it again.
 */
#include "worlds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "dir_scan.h"
#include "maildir_name.h"
#include "names.h"
#include "connector/outline.h"
#include "put_file.h"
#include "safe_name.h"
#include "stamp.h"
#include "target.h"

#define COPIES_MAX 1000
#define IN_CUR     NAME_USER_BIT

enum part { PART_SELF, PART_CUR, PART_NEW, PART_TMP, PART_COUNT };
static const char *const part_names[PART_COUNT] = { ".", "cur", "new", "tmp" };

struct maildir_folder {
	char *path; /* relative to the target, "" for itself */
	bool exact; /* from a Maildir: names are kept */
	int fd[PART_COUNT];
	bool made[PART_COUNT];     /* by us: its mode is set at the end */
	unsigned mode[PART_COUNT]; /* 0 when unknown */
	bool wanted[PART_COUNT];
	struct names there; /* what cur and new held when we came */
};

struct maildir_sink {
	struct item_sink base;
	struct target target;
};

static void folder_free(struct maildir_folder *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < PART_COUNT; i++)
		if (f->fd[i] >= 0)
			close(f->fd[i]);
	names_release(&f->there);
	mem_free(f->path);
	mem_free(f);
}

/* ---- collections ---- */

/* "INBOX" into "old/x": ".old.x"; ".a.b": ".old.x.a.b"; nested "a/b": "old/x/a/b". */
static enum err_code put_below(const char *into, struct span raw, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;
	bool nested = raw.len && raw.ptr[0] != '.';

	if (*into && !nested)
		rc = maildir_raw(span_cstr(into), out, e);
	else if (*into)
		rc = buf_printf(out, e, "%s/", into);
	return rc ? rc : buf_append(out, raw, e);
}

static enum err_code folder_path(struct maildir_sink *s, const struct collection *c, struct maildir_folder *f,
                                 struct err *e)
{
	struct buf raw = BUF_EMPTY, whole = BUF_EMPTY, safe = BUF_EMPTY;
	struct span given;
	enum err_code rc;

	f->exact = outline_find(c, SPAN_LIT("maildir:folder"), &given);
	rc = f->exact ? buf_append(&raw, given, e) : maildir_raw(c->path, &raw, e);
	if (!rc)
		rc = put_below(s->target.into, buf_span(&raw), &whole, e);
	if (!rc)
		rc = safe_path(buf_span(&whole), NAME_EXACT, &safe, e);
	if (!rc)
		rc = buf_append(&safe, span_of("", 1), e);
	if (!rc) {
		f->path = (char *)safe.ptr; /* handed over */
		safe = BUF_EMPTY;
	}
	buf_release(&raw);
	buf_release(&whole);
	buf_release(&safe);
	return rc;
}

/* Reads "maildir:folders": which of cur, new and tmp there were, and their modes. All three when unknown. */
static void read_parts(const struct collection *c, struct maildir_folder *f)
{
	struct span text, word;

	if (!outline_find(c, SPAN_LIT("maildir:folders"), &text)) {
		f->wanted[PART_CUR] = f->wanted[PART_NEW] = f->wanted[PART_TMP] = true;
		return;
	}
	for (; text.len; text = span_skip(text, word.len + 1)) {
		const uint8_t *space = memchr(text.ptr, ' ', text.len);

		word = span_first(text, space ? (size_t)(space - text.ptr) : text.len);
		for (size_t i = 0; i < PART_COUNT; i++) {
			size_t n = strlen(part_names[i]);

			if (word.len > n && memcmp(word.ptr, part_names[i], n) == 0 && word.ptr[n] == '=') {
				f->wanted[i] = true;
				if (!stamp_parse_mode(span_skip(word, n + 1), &f->mode[i]))
					f->mode[i] = 0;
			}
		}
	}
}

static enum err_code open_part(struct maildir_folder *f, enum part part, bool make, struct err *e)
{
	enum err_code rc;

	if (f->fd[part] >= 0)
		return ERR_OK;
	rc = folder_open(f->fd[PART_SELF], part_names[part], make, &f->fd[part], &f->made[part], e);
	return rc == ERR_NOT_FOUND && !make ? ERR_OK : rc;
}

static enum err_code read_part(struct maildir_folder *f, enum part part, struct err *e)
{
	struct dir_scan scan = { 0 };
	struct dir_entry entry;
	enum err_code rc;
	bool more = true;

	if (f->fd[part] < 0 || f->made[part])
		return ERR_OK;
	rc = dir_scan_open(&scan, f->fd[part], false, e);
	while (!rc) {
		rc = dir_scan_next(&scan, &entry, &more, e);
		if (rc || !more)
			break;
		if (entry.name.len <= NAME_LEN_MAX)
			rc = names_add(&f->there, entry.name, maildir_base_length(entry.name),
			               part == PART_CUR ? IN_CUR : 0, SPAN_EMPTY, e);
	}
	dir_scan_release(&scan);
	return rc;
}

static enum err_code open_folder(struct maildir_sink *s, struct maildir_folder *f, bool make, struct err *e)
{
	enum err_code rc;
	bool found;

	rc = target_open(&s->target, make, &found, e);
	if (rc || !found)
		return rc;
	rc = folder_open(s->target.fd, f->path, make, &f->fd[PART_SELF], &f->made[PART_SELF], e);
	if (rc)
		return rc == ERR_NOT_FOUND && !make ? ERR_OK : rc;
	for (enum part part = PART_CUR; part < PART_COUNT && !rc; part++)
		rc = open_part(f, part, make && f->wanted[part], e);
	if (!rc)
		rc = read_part(f, PART_CUR, e);
	if (!rc)
		rc = read_part(f, PART_NEW, e);
	names_sort(&f->there);
	return rc;
}

static void report(struct maildir_sink *s, const char *folder, struct span name, const struct err *why)
{
	char what[700];

	if (!s->base.report)
		return;
	snprintf(what, sizeof what, "%s%s%s", text_name(span_cstr(folder)).text, *folder ? "/" : "",
	         text_name(name).text);
	s->base.report(s->base.report_ctx, what, why);
}

/* Puts back one file that lay beside the mail. What is there already stays: it is the living server's. */
static enum err_code put_aside(struct maildir_sink *s, const struct collection *c, const struct maildir_folder *f,
                               struct span name, struct span content, struct err *e)
{
	struct buf key = BUF_EMPTY, safe = BUF_EMPTY;
	bool changed, other = false, timed;
	struct span stat_text;
	unsigned mode = 0600;
	int64_t mtime = 0;
	struct err why;
	enum err_code rc;

	rc = safe_name(name, SPAN_EMPTY, NAME_EXACT, &safe, &changed, e);
	if (!rc)
		rc = buf_append(&safe, span_of("", 1), e);
	if (!rc)
		rc = buf_append(&key, SPAN_LIT("maildir:stat:"), e);
	if (!rc)
		rc = buf_append(&key, name, e);
	if (rc)
		goto done;
	timed = outline_find(c, buf_span(&key), &stat_text) && stamp_parse(stat_text, &mode, &mtime);
	rc = put_small(f->fd[PART_SELF], (const char *)safe.ptr, content, mode, timed ? &mtime : NULL, &other, e);
	if (!rc && other) {
		err_set(&why, ERR_EXISTS, "another file of this name is there; it was left alone");
		report(s, f->path, name, &why);
	}
done:
	buf_release(&key);
	buf_release(&safe);
	return rc;
}

static enum err_code put_all_aside(struct maildir_sink *s, const struct collection *c, const struct maildir_folder *f,
                                   struct err *e)
{
	struct span prefix = SPAN_LIT("maildir:file:");
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < c->attribute_count && !rc; i++)
		if (span_starts(c->attributes[i].name, prefix))
			rc = put_aside(s, c, f, span_skip(c->attributes[i].name, prefix.len), c->attributes[i].value,
			               e);
	return rc;
}

static enum err_code sink_collection(struct item_sink *base, const struct collection *c, bool plan, size_t *handle,
                                     struct err *e)
{
	struct maildir_sink *s = (struct maildir_sink *)base;
	struct maildir_folder *f = mem_zalloc(1, sizeof *f);
	enum err_code rc;

	if (!f)
		return err_no_memory(e, sizeof *f);
	for (size_t i = 0; i < PART_COUNT; i++)
		f->fd[i] = -1;
	read_parts(c, f);
	rc = folder_path(s, c, f, e);
	if (!rc)
		rc = open_folder(s, f, !plan, e);
	if (!rc && !plan)
		rc = put_all_aside(s, c, f, e);
	if (!rc)
		rc = target_add(&s->target, f, handle, e);
	if (rc) {
		err_note(e, "while making folder %s", text_name(c->path).text);
		folder_free(f);
	}
	return rc;
}

/* ---- names ---- */

/* Where an item goes. */
struct seat {
	enum part part;
	bool renamed;    /* its own name is impossible here */
	bool own_key;    /* a twin: only the whole name tells it from its twin */
	size_t base_len; /* of name */
	char name[NAME_LEN_MAX + 1];
};

/* IMAP's system flags as Maildir letters, in ASCII order as Maildir wants them. */
static void letters_of(struct span flags, char out[8])
{
	static const struct {
		const char *flag;
		char letter;
	} known[] = { { "\\Draft", 'D' },    { "\\Flagged", 'F' }, { "$Forwarded", 'P' },
		      { "\\Answered", 'R' }, { "\\Seen", 'S' },    { "\\Deleted", 'T' } };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (text_contains_nocase(flags, span_cstr(known[i].flag)))
			out[n++] = known[i].letter;
	out[n] = 0;
}

/* "1234567890.H<key's hash>.mailhold:2,FS", the same for the same item every time. */
static enum err_code made_name(const struct item_out *item, struct buf *out, struct err *e)
{
	struct span flags = SPAN_EMPTY;
	uint64_t time = 0;
	uint8_t hash[16];
	char hex[33], letters[8];

	fields_get(item->state, STATE_FLAGS, &flags);
	letters_of(flags, letters);
	if (fields_get_u64(item->facts, FACT_TIME, &time))
		time = (int64_t)time < 0 ? 0 : time / 1000000000u;
	hash128(item->key, hash);
	text_hex(span_of(hash, 16), hex);
	return buf_printf(out, e, "%llu.H%s.mailhold:2,%s", (unsigned long long)time, hex, letters);
}

static enum err_code find_seat(const struct maildir_folder *f, const struct item_out *item, struct seat *seat,
                               struct err *e)
{
	const uint8_t *slash = item->key.len ? memchr(item->key.ptr, '/', item->key.len) : NULL;
	struct span suffix = SPAN_EMPTY, key = item->key;
	struct buf name = BUF_EMPTY;
	uint64_t place = 1;
	enum err_code rc;

	*seat = (struct seat){ .part = PART_CUR };
	if (f->exact && fields_get_u64(item->state, STATE_PLACE, &place)) {
		fields_get(item->state, STATE_SUFFIX, &suffix);
		seat->own_key = slash != NULL;
		if (slash)
			key = span_first(key, (size_t)(slash - key.ptr));
		rc = safe_name(key, suffix, NAME_EXACT, &name, &seat->renamed, e);
	} else {
		rc = made_name(item, &name, e);
	}
	if (!rc) {
		seat->part = place == 0 ? PART_NEW : PART_CUR;
		memcpy(seat->name, name.ptr, name.len);
		seat->name[name.len] = 0;
		seat->base_len = maildir_base_length(buf_span(&name));
	}
	buf_release(&name);
	return rc;
}

/* The name of copy number N: the base name gets ".copyN". */
static void copy_name(const struct seat *seat, unsigned n, char out[NAME_LEN_MAX + 16])
{
	snprintf(out, NAME_LEN_MAX + 16, "%.*s.copy%u%s", (int)seat->base_len, seat->name, n,
	         seat->name + seat->base_len);
}

/*
 * Finds a file with the seat's base name among what was there before us: the very name first, then one with other
 * flags. Files of this run are found by O_EXCL.
 */
static bool find_there(const struct maildir_folder *f, const struct seat *seat, size_t *at)
{
	struct span base = span_of(seat->name, seat->base_len), whole = span_cstr(seat->name);
	size_t first;

	if (!names_find(&f->there, base, &first))
		return false;
	for (size_t i = first; i < f->there.count && span_equal(names_key(&f->there, i), base); i++)
		if (span_equal(names_name(&f->there, i), whole) &&
		    (seat->part == PART_CUR) == !!(f->there.refs[i].mark & IN_CUR)) {
			*at = i;
			return true;
		}
	*at = first;
	return !seat->own_key;
}

static int there_fd(const struct maildir_folder *f, size_t at)
{
	return f->fd[f->there.refs[at].mark & IN_CUR ? PART_CUR : PART_NEW];
}

/* ---- decide and put ---- */

static enum err_code tell_target(const struct maildir_sink *s, const struct maildir_folder *f, const struct seat *seat,
                                 const char *name, struct buf *target, struct err *e)
{
	enum err_code rc = text_percent(target, span_cstr(s->target.path), "", e);

	if (!rc && *f->path)
		rc = buf_append(target, SPAN_LIT("/"), e);
	if (!rc)
		rc = text_percent(target, span_cstr(f->path), "", e);
	if (!rc)
		rc = buf_printf(target, e, "/%s/", part_names[seat->part]);
	return rc ? rc : text_percent(target, span_cstr(name), "", e);
}

static enum err_code sink_decide(struct item_sink *base, size_t handle, const struct item_out *item,
                                 enum sink_collision collision, enum sink_verdict *verdict, struct buf *target,
                                 struct err *e)
{
	struct maildir_sink *s = (struct maildir_sink *)base;
	struct maildir_folder *f = target_get(&s->target, handle);
	char copy[NAME_LEN_MAX + 16];
	struct seat seat;
	struct stat st;
	enum err_code rc = find_seat(f, item, &seat, e);
	size_t at;

	if (rc)
		return rc;
	*verdict = seat.renamed ? SINK_RENAMED : SINK_PUT;
	if (find_there(f, &seat, &at) &&
	    fstatat(there_fd(f, at), (const char *)names_name(&f->there, at).ptr, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		bool same_name = span_equal(names_name(&f->there, at), span_cstr(seat.name));

		if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == item->bytes)
			*verdict = SINK_PRESENT;
		else if (same_name && put_may_be_torn(&st, item))
			*verdict = SINK_PUT;
		else if (collision == SINK_SKIP)
			*verdict = SINK_CLASH;
		else if (collision == SINK_COPY)
			*verdict = SINK_RENAMED;
	}
	if (*verdict == SINK_RENAMED && !seat.renamed) {
		copy_name(&seat, 1, copy);
		return tell_target(s, f, &seat, copy, target, e);
	}
	return tell_target(s, f, &seat, seat.name, target, e);
}

/* Puts a copy beside what has the name; a copy that an earlier run made counts as present. */
static enum err_code put_copy(const struct maildir_folder *f, const struct seat *seat, const struct item_out *item,
                              const struct item_body *body, enum sink_verdict *verdict, struct err *e)
{
	char name[NAME_LEN_MAX + 16];

	for (unsigned n = 1; n <= COPIES_MAX; n++) {
		enum put_outcome outcome;
		enum err_code rc;

		copy_name(seat, n, name);
		if (strlen(name) > NAME_LEN_MAX)
			break;
		rc = put_file(f->fd[seat->part], name, false, item, body, &outcome, e);
		if (rc)
			return rc;
		if (outcome != PUT_OTHER) {
			*verdict = outcome == PUT_SAME ? SINK_PRESENT : SINK_RENAMED;
			return ERR_OK;
		}
	}
	return err_set(e, ERR_EXISTS, "no free name for a copy of %s", text_name(span_cstr(seat->name)).text);
}

static enum err_code make_part(struct maildir_sink *s, struct maildir_folder *f, enum part part, struct err *e)
{
	enum err_code rc;

	pthread_mutex_lock(&s->target.lock);
	rc = f->fd[PART_SELF] < 0 ? err_set(e, ERR_STATE, "the folder was only planned") : open_part(f, part, true, e);
	pthread_mutex_unlock(&s->target.lock);
	return rc;
}

static enum err_code put_seated(const struct maildir_folder *f, const struct seat *seat, const struct item_out *item,
                                const struct item_body *body, enum sink_collision collision, enum sink_verdict *verdict,
                                struct err *e)
{
	enum put_outcome outcome;
	bool gives_way = false;
	enum err_code rc;
	size_t at;

	/* The same base name under other flags, or in the other folder: the same mail, or somebody else's. */
	if (find_there(f, seat, &at) && !span_equal(names_name(&f->there, at), span_cstr(seat->name))) {
		bool same;

		rc = put_compare(there_fd(f, at), (const char *)names_name(&f->there, at).ptr, body, &same, e);
		if (rc)
			return rc;
		if (same || collision == SINK_SKIP) {
			*verdict = same ? SINK_PRESENT : SINK_CLASH;
			return ERR_OK;
		}
		if (collision == SINK_COPY)
			return put_copy(f, seat, item, body, verdict, e);
		gives_way = true;
	}
	rc = put_file(f->fd[seat->part], seat->name, collision == SINK_REPLACE, item, body, &outcome, e);
	if (rc)
		return rc;
	if (outcome == PUT_OTHER && collision == SINK_COPY)
		return put_copy(f, seat, item, body, verdict, e);
	if (gives_way && unlinkat(there_fd(f, at), (const char *)names_name(&f->there, at).ptr, 0) < 0 &&
	    errno != ENOENT)
		return err_sys(e, errno, "cannot remove what was replaced");
	*verdict = outcome == PUT_SAME    ? SINK_PRESENT
	           : outcome == PUT_OTHER ? SINK_CLASH
	           : seat->renamed        ? SINK_RENAMED
	                                  : SINK_PUT;
	return ERR_OK;
}

static enum err_code sink_put(struct item_sink *base, size_t handle, const struct item_out *item,
                              const struct item_body *body, enum sink_collision collision, enum sink_verdict *verdict,
                              struct err *e)
{
	struct maildir_sink *s = (struct maildir_sink *)base;
	struct maildir_folder *f = target_get(&s->target, handle);
	struct seat seat;
	enum err_code rc = find_seat(f, item, &seat, e);

	if (!rc)
		rc = make_part(s, f, seat.part, e);
	if (!rc)
		rc = put_seated(f, &seat, item, body, collision, verdict, e);
	if (!rc && (*verdict == SINK_PUT || *verdict == SINK_RENAMED))
		target_wrote(&s->target, item->bytes);
	return rc ? err_note(e, "while writing %s", text_name(item->key).text) : ERR_OK;
}

static enum err_code sink_collection_done(struct item_sink *base, size_t handle, struct err *e)
{
	struct maildir_sink *s = (struct maildir_sink *)base;
	struct maildir_folder *f = target_get(&s->target, handle);

	for (size_t i = PART_COUNT; i-- > 0;) { /* the folder itself last */
		if (f->made[i] && f->mode[i] && fchmod(f->fd[i], f->mode[i]) < 0)
			return err_sys(e, errno, "cannot set the mode of %s", text_name(span_cstr(f->path)).text);
		if (f->fd[i] >= 0)
			close(f->fd[i]);
		f->fd[i] = -1;
	}
	names_release(&f->there);
	return ERR_OK;
}

static enum err_code sink_occupied(struct item_sink *base, bool *out, struct err *e)
{
	struct maildir_sink *s = (struct maildir_sink *)base;
	struct buf dotted = BUF_EMPTY;
	enum err_code rc;

	rc = target_holds_anything(&s->target, s->target.into, out, e);
	if (rc || *out || !*s->target.into)
		return rc;
	rc = maildir_raw(span_cstr(s->target.into), &dotted, e);
	if (!rc)
		rc = buf_append(&dotted, span_of("", 1), e);
	if (!rc)
		rc = target_holds_anything(&s->target, (const char *)dotted.ptr, out, e);
	buf_release(&dotted);
	return rc;
}

static enum err_code sink_finish(struct item_sink *base, struct err *e)
{
	return target_sync(&((struct maildir_sink *)base)->target, e);
}

static void sink_free(struct item_sink **base)
{
	struct maildir_sink *s = (struct maildir_sink *)*base;

	if (!s)
		return;
	for (size_t i = 0; i < s->target.handle_count; i++)
		folder_free(s->target.handles[i]);
	target_release(&s->target);
	mem_free(s);
	*base = NULL;
}

static const struct item_sink_ops maildir_sink_ops = {
	.occupied = sink_occupied,
	.collection = sink_collection,
	.decide = sink_decide,
	.put = sink_put,
	.collection_done = sink_collection_done,
	.finish = sink_finish,
	.free = sink_free,
};

enum err_code maildir_sink_open(const char *path, const char *into, struct item_sink **out, struct err *e)
{
	struct maildir_sink *s = mem_zalloc(1, sizeof *s);
	enum err_code rc;

	if (!s)
		return err_no_memory(e, sizeof *s);
	rc = target_init(&s->target, path, into, e);
	if (rc) {
		mem_free(s);
		return rc;
	}
	s->base = (struct item_sink){ .ops = &maildir_sink_ops, .world = "maildir" };
	*out = &s->base;
	return ERR_OK;
}
