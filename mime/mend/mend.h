/*
 * mend: a copy of a message with nothing in it that a mail server may refuse (RFC 5322, 2.1 and 2.3; RFC 3501, 4.3): lines end in
 * CRLF and have at most 998 bytes, there is no NUL, the header is of ASCII and has nothing but fields. It reads well and is
 * not the original: only for places that do not take that one.
 *   NUL            a space in the header, 0x80 in the body (as Dovecot does)
 *   bare CR or LF  CRLF; in the header a CR inside a line becomes a space; CRs before an LF are one line end with it
 *   long lines     are broken: behind a blank where there is one; in the header so that the field goes on
 *   8-bit header   words with such bytes become encoded words (RFC 2047): UTF-8 where the line is that, else ISO-8859-1
 *   no field       a header line that has no name and colon, and goes on nothing, becomes a field X-Mended
 * What is good comes out as it went in. Mending what was mended changes nothing.
 * Thread   no state but the object's.
 */
#ifndef MAILHOLD_MIME_MEND_H
#define MAILHOLD_MIME_MEND_H

#include "base/buf.h"

#define MEND_LINE_BYTES_MAX 998

/* How many of each were mended. */
struct mend_report {
	uint64_t nuls, line_ends, long_lines, eight_bit, no_fields;
};

struct mend {
	struct mend_report did;
	struct buf line;    /* of the current line, what was not written yet */
	struct buf scratch; /* a header line with encoded words */
	bool in_body;
	bool field_before; /* a line of the header was there, which the next may go on */
	bool broken;       /* the current line was broken already */
	unsigned crs;      /* that wait for what comes next */
};
#define MEND_EMPTY ((struct mend){ .line = BUF_EMPTY, .scratch = BUF_EMPTY })

/* Appends to OUT what is certain of the copy after BYTES, which may come in pieces of any size. */
MUST_CHECK enum err_code mend_add(struct mend *m, struct span bytes, struct buf *out, struct err *e);
/* Appends the rest. M is then ready for another message, but for its report. */
MUST_CHECK enum err_code mend_end(struct mend *m, struct buf *out, struct err *e);
void mend_release(struct mend *m);

static inline bool mend_did(const struct mend_report *r)
{
	return r->nuls || r->line_ends || r->long_lines || r->eight_bit || r->no_fields;
}
/* Appends "2 NULs, 1 long line": what was mended, for people. */
MUST_CHECK enum err_code mend_words(const struct mend_report *r, struct buf *out, struct err *e);

#endif
