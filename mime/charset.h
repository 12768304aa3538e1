/*
 * charset: bytes in a named charset to clean UTF-8. Clean means valid, without control characters, white space
 * squeezed to single spaces and none at either end.
 */
#ifndef MAILHOLD_MIME_CHARSET_H
#define MAILHOLD_MIME_CHARSET_H

#include "base/buf.h"

/* Gathers clean text behind OUT's content. Nothing is written past LIMIT; a character that does not fit ends it. */
struct clean {
	uint8_t *to;
	size_t len;
	size_t limit;
	bool space; /* white space was seen and stands between what is there and what comes */
	bool full;
};

/* Reserves up to MAX bytes behind OUT's content, as many as INPUT_BYTES of input can become. */
MUST_CHECK enum err_code clean_begin(struct clean *c, struct buf *out, size_t input_bytes, size_t max, struct err *e);
void clean_end(struct clean *c, struct buf *out);
void clean_code_point(struct clean *c, uint32_t code);
void clean_utf8(struct clean *c, struct span bytes); /* what is not valid becomes U+FFFD */
/* False, and nothing written, when the charset is not known. */
bool clean_charset(struct clean *c, struct span charset, struct span bytes);

#endif
