/*
 * mime: reading outside text formats far enough to list and search them. Reads, never repairs: the store keeps the
 * original bytes. All of it works on spans, is linear, and says nothing instead of guessing.
 * Sources  RFC 5322 (header fields, dates, addresses), RFC 2047 and 2231 (encoded words, parameters),
 *          RFC 5545 and 6350 (content lines).
 * Thread   no state; call from anywhere.
 */
#ifndef MAILHOLD_MIME_MIME_H
#define MAILHOLD_MIME_MIME_H

#include "base/buf.h"

/* Length of the header block at the start of S: up to and with the empty line that ends it (LF or CRLF), or all of S.
 */
size_t mime_header_length(struct span s);

/* Walks header fields in order. NAME and VALUE point into the header; VALUE is raw and may be folded. */
struct mime_field {
	struct span name;
	struct span value;
};
struct mime_fields {
	struct span left;
};
struct mime_fields mime_fields_of(struct span header);
bool mime_fields_next(struct mime_fields *it, struct mime_field *out);

/*
 * Unfolds, decodes encoded words (UTF-8, US-ASCII, ISO-8859-1/-15 and Windows-1252 by tables; other charsets that mail
 * uses through iconv; unknown ones stay as written), squeezes white space, drops control characters, and appends valid
 * UTF-8 of at most MAX bytes. Bytes that are no UTF-8 become U+FFFD.
 */
MUST_CHECK enum err_code mime_text(struct span value, size_t max, struct buf *out, struct err *e);

/* Date field to milliseconds since 1970 and zone minutes; obsolete forms included. */
bool mime_date(struct span value, int64_t *time_ms, int16_t *zone_minutes);

/*
 * Calls FOUND with the decoded file name of each MIME part header in TEXT (name= or filename= parameters of
 * Content-Type and Content-Disposition, RFC 2231 continuations joined, RFC 2047 decoded). At most 64 names of at
 * most 255 bytes.
 */
typedef enum err_code (*mime_name_found)(void *ctx, struct span name, struct err *e);
MUST_CHECK enum err_code mime_part_names(struct span text, mime_name_found found, void *ctx, struct err *e);

/*
 * Walks the unfolded content lines of an iCalendar or vCard stream: name, parameters, value. The spans are
 * borrowed from SCRATCH and good until the next call.
 */
struct vobject_line {
	struct span name;   /* upper-cased, group prefix removed */
	struct span params; /* raw, without the leading ';' */
	struct span value;  /* raw, backslash escapes kept */
};
struct vobject_lines {
	struct span left;
	struct buf scratch;
};
struct vobject_lines vobject_lines_of(struct span s);
/* False at the end. A line over 64 KiB is cut there. */
MUST_CHECK enum err_code vobject_lines_next(struct vobject_lines *it, struct vobject_line *out, bool *more,
                                            struct err *e);
void vobject_lines_release(struct vobject_lines *it);
/* A DATE or DATE-TIME value to milliseconds; floating times count as UTC. */
bool vobject_time(struct span value, int64_t *time_ms);

#endif
