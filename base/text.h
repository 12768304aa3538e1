/*
 * text: hex, percent-encoding, printable names, sizes for people. Foreign bytes come in as spans and go out as
 * text that is safe on a terminal.
 */
#ifndef MAILHOLD_BASE_TEXT_H
#define MAILHOLD_BASE_TEXT_H

#include "buf.h"

/* Writes 2*LEN lower-case digits and a NUL to OUT. */
void text_hex(struct span bytes, char *out);
/* Reads exactly 2*LEN hex digits (either case). False when anything else stands there. */
bool text_unhex(struct span digits, uint8_t *out, size_t len);

/* Percent-encodes control bytes, DEL, '%', bytes that are not part of valid UTF-8, and every byte in EXTRA. */
MUST_CHECK enum err_code text_percent(struct buf *out, struct span bytes, const char *extra, struct err *e);
/* As it stands in a URL (RFC 3986): all but letters, digits, "-._~" and what is in KEEP is percent-encoded. */
MUST_CHECK enum err_code text_url(struct buf *out, struct span bytes, const char *keep, struct err *e);
/* The way back, of both. ERR_USAGE when a '%' is not followed by two hex digits. */
MUST_CHECK enum err_code text_unpercent(struct buf *out, struct span text, struct err *e);

/* CODE (a code point, no surrogate) as UTF-8; returns the length, 1 to 4. */
size_t text_utf8(uint32_t code, uint8_t out[4]);
/* True when S is valid UTF-8 (no surrogates, no overlong forms). */
bool text_is_utf8(struct span s);

/* A name made safe for a message: text_percent into a fixed array, cut with "…" when long. */
struct text_name {
	char text[300];
};
struct text_name text_name(struct span bytes);

/* "1.5 MiB", "812 B". */
struct text_size {
	char text[24];
};
struct text_size text_size(uint64_t bytes);

/* ASCII only; other bytes as they are. */
static inline uint8_t text_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}
bool text_equal_nocase(struct span a, struct span b); /* ASCII case folding */
bool text_contains_nocase(struct span hay, struct span needle);

/* A decimal number that fills all of S and is at most MAX. */
bool text_number(struct span s, uint64_t max, uint64_t *out);

#endif
