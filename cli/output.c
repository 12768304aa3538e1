#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/text.h"
#include "place.h"

static bool pipe_closed;

void output_begin(void)
{
	static char room[64 * 1024];

	setvbuf(stdout, room, _IOFBF, sizeof room);
}

bool output_pipe_closed(void)
{
	return pipe_closed;
}

static enum err_code output_failed(int seen, struct err *e)
{
	if (seen != EPIPE)
		return err_sys(e, seen, "cannot write to standard output");
	pipe_closed = true;
	err_set(e, ERR_CANCELLED, "nobody reads standard output any more");
	e->sys_errno = EPIPE;
	return ERR_CANCELLED;
}

enum err_code output_bytes(struct span bytes, struct err *e)
{
	if (bytes.len == 0 || fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len)
		return ERR_OK;
	return output_failed(errno, e);
}

enum err_code output_finish(struct err *e)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return ERR_OK;
	return output_failed(errno ? errno : EIO, e);
}

/* ---- safe text ---- */

/* Takes one character off S; 0xFFFD for a byte that is not UTF-8. */
static uint32_t utf8_take(struct span *s)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t c = s->ptr[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	uint32_t code = n == 1 ? c : n ? c & (0x7fu >> n) : 0;

	if (n > s->len)
		n = 0;
	for (size_t i = 1; i < n; i++) {
		if ((s->ptr[i] & 0xc0) != 0x80) {
			n = 0;
			break;
		}
		code = code << 6 | (s->ptr[i] & 0x3f);
	}
	if (n == 0 || code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
		*s = span_skip(*s, 1);
		return 0xfffd;
	}
	*s = span_skip(*s, n);
	return code;
}

/* Characters that move the cursor, start a line or turn the direction of what follows. */
static bool is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0x061c || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c < 0xe1000);
}

static size_t width_of(uint32_t c)
{
	int width = c < 0x7f ? 1 : wcwidth((wchar_t)c);

	return width < 0 ? 1 : (size_t)width; /* -1: the locale does not know it */
}

enum err_code output_safe(struct buf *out, struct span s, size_t columns, size_t *used, struct err *e)
{
	size_t width = 0, start = out->len, cut_at = out->len, cut_width = 0, marks = 0;
	enum err_code rc = ERR_OK;

	while (s.len && !rc) {
		struct span left = s;
		uint32_t c = utf8_take(&left);
		struct span bytes = span_of(s.ptr, s.len - left.len);
		size_t w;

		if (c == '\t' || c == '\n' || c == '\r')
			bytes = SPAN_LIT(" ");
		else if (is_unsafe(c) || c == 0xfffd)
			bytes = SPAN_LIT("\xef\xbf\xbd");
		w = is_unsafe(c) ? 1 : width_of(c);
		/* A long run of combining marks has no width and would never meet the limit. */
		marks = w ? 0 : marks + 1;
		s = left;
		if (marks > 4)
			continue;
		if (columns && width + w > columns) {
			out->len = cut_at;
			width = cut_width + 1;
			rc = buf_append(out, SPAN_LIT("\xe2\x80\xa6"), e);
			break;
		}
		width += w;
		rc = buf_append(out, bytes, e);
		if (width + 1 <= columns) {
			cut_at = out->len;
			cut_width = width;
		}
	}
	if (used)
		*used = width;
	if (rc)
		out->len = start;
	return rc;
}

struct number_text number_text(uint64_t n)
{
	struct number_text out;
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
	char *to = out.text;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = 0;
	return out;
}

struct number_text time_text(int64_t time_ms)
{
	struct number_text out = { "-" };

	if (time_ms != INT64_MIN)
		snprintf(out.text, sizeof out.text, "%.16s", clock_format(time_ms, clock_zone_minutes(time_ms)).text);
	return out;
}

/* ---- lines ---- */

struct line line_new(struct err *e)
{
	return (struct line){ BUF_EMPTY, e, ERR_OK };
}

void line_printf(struct line *l, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (!l->rc)
		l->rc = buf_append(&l->text, span_cstr(text), l->e);
}

void line_safe(struct line *l, struct span s)
{
	if (!l->rc)
		l->rc = output_safe(&l->text, s, 0, NULL, l->e);
}

static void pad(struct line *l, size_t n)
{
	static const char spaces[] = "                                ";

	while (n && !l->rc) {
		size_t take = n < sizeof spaces - 1 ? n : sizeof spaces - 1;

		l->rc = buf_append(&l->text, span_of(spaces, take), l->e);
		n -= take;
	}
}

void line_cell(struct line *l, struct span s, size_t columns)
{
	size_t used = 0;

	if (!l->rc)
		l->rc = output_safe(&l->text, s, columns, &used, l->e);
	pad(l, columns - used + 2);
}

void line_place(struct line *l, const char *snapshot, struct span collection, struct span key)
{
	if (!l->rc)
		l->rc = place_print(&l->text, snapshot, collection, key, l->e);
}

void line_name(struct line *l, struct span name)
{
	if (!l->rc)
		l->rc = place_print_name(&l->text, name, l->e);
}

enum err_code line_put(struct line *l)
{
	if (!l->rc)
		l->rc = buf_append(&l->text, SPAN_LIT("\n"), l->e);
	if (!l->rc)
		l->rc = output_bytes(buf_span(&l->text), l->e);
	buf_clear(&l->text);
	return l->rc;
}

void line_release(struct line *l)
{
	buf_release(&l->text);
}

/* ---- tables ---- */

static const char *title_of(const struct table *t, size_t column)
{
	return t->titles[column] + (t->titles[column][0] == '>');
}

struct table table_new(const char *const *titles, size_t columns, struct err *e)
{
	struct table t = { .titles = titles, .columns = columns, .cells = BUF_EMPTY, .e = e };

	for (size_t i = 0; i < columns; i++)
		t.widths[i] = strlen(title_of(&t, i));
	return t;
}

void table_cell(struct table *t, struct span s)
{
	size_t used = 0, column = t->cell_count % t->columns;

	if (!t->rc)
		t->rc = output_safe(&t->cells, s, 0, &used, t->e);
	if (!t->rc)
		t->rc = buf_append(&t->cells, span_of("", 1), t->e);
	if (used > t->widths[column])
		t->widths[column] = used;
	t->cell_count++;
}

void table_text(struct table *t, const char *text)
{
	table_cell(t, span_cstr(text));
}

static void put_cell(struct line *l, const struct table *t, size_t column, struct span text)
{
	bool last = column + 1 == t->columns, right = t->titles[column][0] == '>';
	size_t used = 0, start = l->text.len;

	if (l->rc)
		return;
	l->rc = output_safe(&l->text, text, 0, &used, l->e);
	if (right && !l->rc) {
		l->text.len = start;
		pad(l, t->widths[column] - used);
		if (!l->rc)
			l->rc = output_safe(&l->text, text, 0, NULL, l->e);
	} else if (!last) {
		pad(l, t->widths[column] - used);
	}
	if (!last)
		pad(l, 2);
}

enum err_code table_put(struct table *t)
{
	struct span left = buf_span(&t->cells);
	struct line l = line_new(t->e);

	l.rc = t->rc;
	for (size_t i = 0; i < t->columns; i++)
		put_cell(&l, t, i, span_cstr(title_of(t, i)));
	t->rc = line_put(&l);
	for (size_t i = 0; i < t->cell_count && !t->rc; i++) {
		size_t len = strlen((const char *)left.ptr), column = i % t->columns;

		put_cell(&l, t, column, span_of(left.ptr, len));
		left = span_skip(left, len + 1);
		if (column + 1 == t->columns)
			t->rc = line_put(&l);
	}
	line_release(&l);
	buf_release(&t->cells);
	return t->rc;
}

/* ---- JSON ---- */

struct row row_new(const char *type)
{
	struct row r = { json_object(), false };

	if (!r.object)
		r.bad = true;
	else if (type)
		row_cstr(&r, "type", type);
	return r;
}

static void set(struct row *r, const char *name, json_t *value)
{
	/* NAME is a literal of ours: no need to look whether it is UTF-8. */
	if (r->bad || json_object_set_new_nocheck(r->object, name, value) != 0) {
		/* set_new has taken VALUE in any case, unless it was never called. */
		if (r->bad)
			json_decref(value);
		r->bad = true;
	}
}

/* S with U+FFFD for what is not UTF-8. */
static json_t *repaired_string(struct span s)
{
	struct buf clean = BUF_EMPTY;
	json_t *value = NULL;
	struct err ignored;
	enum err_code rc = ERR_OK;

	while (s.len && !rc) {
		struct span left = s;
		bool replaced = utf8_take(&left) == 0xfffd;

		rc = buf_append(&clean, replaced ? SPAN_LIT("\xef\xbf\xbd") : span_of(s.ptr, s.len - left.len),
		                &ignored);
		s = left;
	}
	if (!rc)
		value = json_stringn((const char *)clean.ptr, clean.len);
	buf_release(&clean);
	return value;
}

/* NULL when memory is short. */
static json_t *text_value(struct span s)
{
	/* jansson looks whether it is UTF-8, as nearly all text is. */
	json_t *value = json_stringn(s.len ? (const char *)s.ptr : "", s.len);

	return value ? value : repaired_string(s);
}

void row_text(struct row *r, const char *name, struct span s)
{
	set(r, name, text_value(s));
}

void row_cstr(struct row *r, const char *name, const char *s)
{
	row_text(r, name, span_cstr(s));
}

static void set_buf(struct row *r, const char *name, enum err_code rc, struct buf *b)
{
	if (rc)
		r->bad = true;
	else
		row_text(r, name, buf_span(b));
	buf_release(b);
}

void row_name(struct row *r, const char *name, struct span s)
{
	struct buf b = BUF_EMPTY;
	struct err ignored;
	enum err_code rc = place_print_name(&b, s, &ignored);

	set_buf(r, name, rc, &b);
}

void row_place(struct row *r, const char *name, const char *snapshot, struct span collection, struct span key)
{
	struct buf b = BUF_EMPTY;
	struct err ignored;
	enum err_code rc = place_print(&b, snapshot, collection, key, &ignored);

	set_buf(r, name, rc, &b);
}

void row_number(struct row *r, const char *name, uint64_t n)
{
	set(r, name, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

void row_bool(struct row *r, const char *name, bool b)
{
	set(r, name, json_boolean(b));
}

void row_time_zone(struct row *r, const char *name, int64_t time_ms, int16_t zone_minutes)
{
	if (time_ms == INT64_MIN)
		set(r, name, json_null());
	else
		row_cstr(r, name, clock_format_rfc3339(time_ms, zone_minutes).text);
}

void row_time(struct row *r, const char *name, int64_t time_ms)
{
	row_time_zone(r, name, time_ms, time_ms == INT64_MIN ? 0 : clock_zone_minutes(time_ms));
}

void row_child(struct row *r, const char *name, struct row *child)
{
	r->bad = r->bad || child->bad;
	set(r, name, child->object);
	child->object = NULL;
}

void row_array(struct row *r, const char *name, json_t *array)
{
	set(r, name, array);
}

void array_add(json_t **array, json_t *value)
{
	/* append_new takes VALUE in any case, and says no to one that is NULL. */
	if (json_array_append_new(*array, value) != 0) {
		json_decref(*array);
		*array = NULL;
	}
}

void array_add_text(json_t **array, struct span text)
{
	array_add(array, text_value(text));
}

void array_add_row(json_t **array, struct row *row)
{
	if (row->bad)
		row_drop(row);
	array_add(array, row->object);
	row->object = NULL;
}

struct dump {
	struct buf *out;
	struct err *e;
	enum err_code rc;
};

static int dump_piece(const char *bytes, size_t count, void *ctx)
{
	struct dump *d = ctx;

	if (!d->rc)
		d->rc = buf_append(d->out, span_of(bytes, count), d->e);
	return d->rc ? -1 : 0;
}

enum err_code json_text(const json_t *json, size_t flags, struct buf *out, struct err *e)
{
	/* jansson 2.14 goes on when the name of a member could not be written; what was refused once is remembered. */
	struct dump d = { out, e, ERR_OK };
	int failed = json ? json_dump_callback(json, dump_piece, &d, flags) : -1;

	if (d.rc)
		return d.rc;
	return failed ? err_no_memory(e, 0) : ERR_OK;
}

/* A list of all snapshots is one line. */
#define LINE_BYTES_MAX ((size_t)1024 * MIB)

/* One line, ASCII only, so that no byte of a mail can act on a terminal. */
static enum err_code row_dump(struct row *r, struct buf *out, struct err *e)
{
	enum err_code rc =
	        r->bad ? err_no_memory(e, 0) : json_text(r->object, JSON_COMPACT | JSON_ENSURE_ASCII, out, e);

	row_drop(r);
	return rc ? rc : buf_append(out, SPAN_LIT("\n"), e);
}

enum err_code row_put(struct row *r, struct err *e)
{
	struct buf line = BUF_WITH_MAX(LINE_BYTES_MAX);
	enum err_code rc = row_dump(r, &line, e);

	if (!rc)
		rc = output_bytes(buf_span(&line), e);
	buf_release(&line);
	return rc;
}

enum err_code row_put_file(struct row *r, FILE *file, const char *name, struct err *e)
{
	struct buf line = BUF_WITH_MAX(LINE_BYTES_MAX);
	enum err_code rc = row_dump(r, &line, e);

	if (!rc && fwrite(line.ptr, 1, line.len, file) != line.len)
		rc = err_sys(e, errno, "cannot write %s", name);
	buf_release(&line);
	return rc;
}

enum err_code row_text_line(struct row *r, struct buf *out, struct err *e)
{
	return row_dump(r, out, e);
}

void row_put_stderr(struct row *r)
{
	struct buf line = BUF_WITH_MAX(LINE_BYTES_MAX);
	struct err e;

	if (!row_dump(r, &line, &e))
		fwrite(line.ptr, 1, line.len, stderr);
	else
		fprintf(stderr, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n", err_code_name(e.code), e.text);
	buf_release(&line);
}

void row_drop(struct row *r)
{
	json_decref(r->object);
	r->object = NULL;
}
