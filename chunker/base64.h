/*
 * base64: RFC 4648 section 4, alphabet with '+' and '/', over runs of characters without line ends. The splitter
 * decides what is a line; this only turns characters into bytes and back.
 * Thread   no state; call from anywhere.
 */
#ifndef MAILHOLD_CHUNKER_BASE64_H
#define MAILHOLD_CHUNKER_BASE64_H

#include "base/span.h"

#define BASE64_SLACK 8 /* base64_decode may scribble so many bytes behind its result */

/* The value 0..63 of each alphabet character, 0xff for every other byte. '=' is not a character here. */
extern const uint8_t base64_value[256];

/* How many bytes at the start of P[0..N) are alphabet characters. */
size_t base64_span(const uint8_t *p, size_t n);

/*
 * Decodes up to QUADS groups of 4 characters to 3 bytes each, ends at the first group that holds anything else, and
 * returns the number of groups decoded. DST has room for 3 * QUADS + BASE64_SLACK bytes.
 */
size_t base64_decode(const uint8_t *src, size_t quads, uint8_t *dst);
/* The same without vector instructions, for other machines and to compare with. */
size_t base64_decode_plain(const uint8_t *src, size_t quads, uint8_t *dst);

/*
 * The last group of an encoding: CHARS (2 or 3) characters, then padding up to 4. Writes 1 or 2 bytes and returns
 * how many; 0 when a character is foreign or the spare bits are not zero, so that encoding would not give it back.
 */
size_t base64_decode_last(const uint8_t *src, size_t chars, uint8_t dst[2]);

/* Encodes N bytes with padding; returns the number of characters, 4 for each 3 bytes or part of them. */
size_t base64_encode(const uint8_t *src, size_t n, uint8_t *dst);

#endif
