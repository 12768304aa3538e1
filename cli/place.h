/*
 * place: SNAP[:COLLECTION[#KEY]], how a person names a snapshot, a collection in it, an item in that.
 * SNAP ends at the first ':' that is not part of its time; "ACCOUNT@" may stand before it. COLLECTION and KEY are
 * percent-encoded where they hold '#', ':', '%' or control bytes; what place_print writes needs no quotes in a shell.
 */
#ifndef MAILHOLD_CLI_PLACE_H
#define MAILHOLD_CLI_PLACE_H

#include "base/buf.h"

struct place {
	struct buf snapshot;   /* as typed; NUL-terminated, the NUL not counted */
	struct buf collection; /* decoded */
	struct buf key;        /* decoded */
	bool has_collection, has_key;
};
#define PLACE_EMPTY ((struct place){ BUF_EMPTY, BUF_EMPTY, BUF_EMPTY, false, false })

/* OUT must be PLACE_EMPTY or released. ERR_USAGE; OUT may be filled in part then and must be released in any case. */
MUST_CHECK enum err_code place_parse(const char *text, struct place *out, struct err *e);
void place_release(struct place *p);

/* Appends SNAPSHOT (hex digits):COLLECTION[#KEY]. KEY with ptr NULL is left out. */
MUST_CHECK enum err_code place_print(struct buf *out, const char *snapshot, struct span collection, struct span key,
                                     struct err *e);
/* One name as it stands inside a place: percent-encoded, safe in a shell without quotes. */
MUST_CHECK enum err_code place_print_name(struct buf *out, struct span name, struct err *e);
/* Appends TEXT so that a POSIX shell reads it as one word: as it is, or in single quotes. */
MUST_CHECK enum err_code shell_quote(struct buf *out, struct span text, struct err *e);

#endif
