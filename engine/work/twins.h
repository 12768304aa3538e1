/*
 * twins: for an item that is new under its key, an item whose content is the same and is stored already: in the base, wherever it
 * lay there (it moved, its folder was renamed, or got another UIDVALIDITY), or in what this run collected (it is in two places).
 * Found by the provider's own object id, or by size and time; with the latter alone the header block must be the same, too.
 * Memory   16 bytes for each item of the base once the first item comes that may have a twin there; the same for each item of
 *          this run that has an object id.
 * Thread   the owner's.
 */
#ifndef MAILHOLD_ENGINE_WORK_TWINS_H
#define MAILHOLD_ENGINE_WORK_TWINS_H

#include "engine/work/run.h"

struct twins;

MUST_CHECK enum err_code twins_open(struct run *r, struct twins **out, struct err *e);
void twins_free(struct twins **t);

enum twins_verdict {
	TWINS_NONE = 0,
	TWINS_LIKELY, /* size and time are an item's: look at its header */
	TWINS_SURE    /* the object id is an item's */
};
/* FACTS: what the source tells of the item without reading it. */
MUST_CHECK enum err_code twins_ask(struct twins *t, struct span facts, enum twins_verdict *out, struct err *e);
/*
 * The twin of the item with FACTS and, unless its object id decides, with ANCHOR (NULL: not known). *PAGE is NULL when there is
 * none after all; else it is good until the next call.
 */
MUST_CHECK enum err_code twins_find(struct twins *t, struct span facts, const uint8_t *anchor, const struct page **page,
                                    uint32_t *row, struct err *e);
/* Row number ROW of collection C of this run has FACTS. Counts once that collection's roots are known. */
MUST_CHECK enum err_code twins_note(struct twins *t, size_t c, uint64_t row, struct span facts, struct err *e);

#endif
