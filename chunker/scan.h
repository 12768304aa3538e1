/*
 * scan: finds where base64 runs begin. Pure functions over a window of the item; docs/format/item.md gives the rules
 * of splitter version 1.
 *
 * Every decision looks at most SCAN_LOOK bytes ahead. A caller that gives fewer says so by FINAL: the window's end is
 * the item's end. That makes the result the same however the item was fed.
 */
#ifndef MAILHOLD_CHUNKER_SCAN_H
#define MAILHOLD_CHUNKER_SCAN_H

#include "recipe_internal.h"

#define SCAN_LOOK         (8 * KIB)
#define SCAN_PROBE        (4 * KIB) /* how much of a run is looked at before it is taken */
#define SCAN_DISTINCT_MIN 20        /* fewer different characters there are not worth decoding */

/* The window: [p, end), and whether the item ends at end. */
struct scan_window {
	const uint8_t *p;
	const uint8_t *end;
	bool final;
};

/*
 * Walks text from W->p and moves it on. True: a run begins at W->p, wrapped as *WRAP says (its crlf and tail are
 * known only at its end when line is 0). False: W->p is at the end of the window, or so near that more is needed.
 * IN_LINE tells whether W->p stands inside a line, in and out.
 */
bool scan_text(struct scan_window *w, bool *in_line, struct wrap *wrap);

/* Bytes of the line end at P: 0 (none), 1 (LF) or 2 (CR LF). */
static inline size_t scan_line_end(const uint8_t *p, const uint8_t *end)
{
	if (p < end && *p == '\n')
		return 1;
	return end - p >= 2 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

/*
 * A line that may end a run: up to MAX characters with their padding, and then a line end or the end of the item.
 * CHARS and PADS are set; false when it is none.
 */
bool scan_last_line(const uint8_t *p, const uint8_t *end, bool final, size_t max, size_t *chars, size_t *pads);

#endif
