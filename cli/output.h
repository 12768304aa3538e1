/*
 * output: what goes to stdout. Lines and tables for people, objects for --json. Nothing from mail reaches a terminal
 * unchanged: text is valid UTF-8 without control, direction or line-separator characters (U+FFFD stands for them).
 * Writing to a closed pipe is ERR_CANCELLED with sys_errno EPIPE (`mailhold ls … | head` ends quietly); any other
 * failure of stdout is ERR_IO or ERR_NO_SPACE.
 * Thread   one thread.
 */
#ifndef MAILHOLD_CLI_OUTPUT_H
#define MAILHOLD_CLI_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"

/* Gives stdout a large buffer. */
void output_begin(void);
MUST_CHECK enum err_code output_bytes(struct span bytes, struct err *e);
/* Flushes; the last chance to hear that the disk is full. */
MUST_CHECK enum err_code output_finish(struct err *e);
bool output_pipe_closed(void);

/* Appends S made safe, at most COLUMNS columns wide (0: all of it), cut with "…". *USED (may be NULL) is its width. */
MUST_CHECK enum err_code output_safe(struct buf *out, struct span s, size_t columns, size_t *used, struct err *e);

/* "8,146" */
struct number_text {
	char text[32];
};
struct number_text number_text(uint64_t n);
/* "2026-11-22 20:15" in the local zone; "-" for INT64_MIN. */
struct number_text time_text(int64_t time_ms);

/* ---- one line, put together piece by piece; the first failure is kept and told by line_put ---- */

struct line {
	struct buf text;
	struct err *e;
	enum err_code rc;
};
struct line line_new(struct err *e);
void line_printf(struct line *l, const char *fmt, ...) PRINTF_LIKE(2, 3); /* text of ours only */
void line_safe(struct line *l, struct span s);
void line_cell(struct line *l, struct span s, size_t columns); /* safe, cut and padded, two spaces behind */
void line_place(struct line *l, const char *snapshot, struct span collection, struct span key);
void line_name(struct line *l, struct span name);  /* percent-encoded */
MUST_CHECK enum err_code line_put(struct line *l); /* writes it with "\n" and empties it */
void line_release(struct line *l);

/* ---- tables: all rows are held until the widths are known ---- */

#define TABLE_COLUMNS_MAX 10
struct table {
	const char *const *titles; /* a title that begins with '>' is a right-aligned column */
	size_t columns;
	size_t widths[TABLE_COLUMNS_MAX];
	struct buf cells; /* each NUL-terminated, row by row */
	size_t cell_count;
	struct err *e;
	enum err_code rc;
};
struct table table_new(const char *const *titles, size_t columns, struct err *e);
void table_cell(struct table *t, struct span s);     /* made safe */
void table_text(struct table *t, const char *text);  /* of ours */
MUST_CHECK enum err_code table_put(struct table *t); /* prints and releases */

/* ---- objects for --json; the first failure is kept and told by row_put ---- */

struct row {
	json_t *object;
	bool bad;
};
struct row row_new(const char *type);                          /* {"type": TYPE}; none with NULL */
void row_text(struct row *r, const char *name, struct span s); /* UTF-8; other bytes become U+FFFD */
void row_cstr(struct row *r, const char *name, const char *s);
void row_name(struct row *r, const char *name, struct span s); /* percent-encoded as in a place */
void row_number(struct row *r, const char *name, uint64_t n);
void row_bool(struct row *r, const char *name, bool b);
void row_time(struct row *r, const char *name, int64_t time_ms); /* RFC 3339, local zone; null for INT64_MIN */
void row_time_zone(struct row *r, const char *name, int64_t time_ms, int16_t zone_minutes);
void row_place(struct row *r, const char *name, const char *snapshot, struct span collection, struct span key);
void row_child(struct row *r, const char *name, struct row *child); /* consumes CHILD */
void row_array(struct row *r, const char *name, json_t *array);     /* consumes ARRAY; NULL: memory was short */
/*
 * Append to *ARRAY; VALUE and what ROW holds are consumed. When memory is short *ARRAY is freed and becomes NULL, which
 * stays so: a list that lacks something must not look like a whole one.
 */
void array_add(json_t **array, json_t *value);
void array_add_text(json_t **array, struct span text); /* UTF-8; other bytes become U+FFFD */
void array_add_row(json_t **array, struct row *row);
/* One line on stdout. Consumes R. */
MUST_CHECK enum err_code row_put(struct row *r, struct err *e);
/* One line in FILE, NAME for the message. Consumes R. */
MUST_CHECK enum err_code row_put_file(struct row *r, FILE *file, const char *name, struct err *e);
/* The same line appended to OUT. Consumes R. */
MUST_CHECK enum err_code row_text_line(struct row *r, struct buf *out, struct err *e);
/* One line on stderr; when memory is short it says so instead. Consumes R. */
void row_put_stderr(struct row *r);
void row_drop(struct row *r);
/* Appends JSON as text; FLAGS are json_dumps's. JSON may be NULL: memory was short. */
MUST_CHECK enum err_code json_text(const json_t *json, size_t flags, struct buf *out, struct err *e);

#endif
