/*
 * wire: what an IMAP server sends (RFC 9051, RFC 3501), taken apart piece by piece: words, strings, lists, literals. Literals
 * of any size are handed on as they come, everything else meets a limit first. Tolerant where servers are known to stray:
 * a lone LF ends a line, 8-bit bytes may stand in strings, a literal may be a literal8.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_WIRE_H
#define MAILHOLD_CONNECTOR_IMAP_WIRE_H

#include "base/buf.h"

#define WIRE_WORD_BYTES_MAX MIB /* of an atom, a quoted string, a line of text, a literal that is not a body */
#define WIRE_DEPTH_MAX      32  /* of lists in lists, when skipping */

/* At least one byte, 0 at the end; as net_read. */
typedef enum err_code (*wire_read)(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e);

struct wire {
	wire_read read;
	void *ctx;
	struct buf in; /* bytes that came and were not looked at begin at AT */
	size_t at;
	struct buf word;
	uint64_t literal_left; /* of the literal that was announced last */
	uint64_t received;     /* bytes since the start */
};

enum wire_kind {
	WIRE_ATOM = 1, /* anything up to a space, a bracket of a list or the line's end; NIL is one */
	WIRE_QUOTED,   /* without its quotes and backslashes */
	WIRE_LITERAL,  /* announced: its bytes come by wire_literal */
	WIRE_OPEN,
	WIRE_CLOSE,
	WIRE_END /* of the line */
};
struct wire_token {
	enum wire_kind kind;
	struct span text; /* of atoms and quoted strings; good until the next call */
	uint64_t bytes;   /* of a literal */
};

void wire_init(struct wire *w, wire_read read, void *ctx);
void wire_release(struct wire *w);
/* True when everything that came was used: nothing stands between what came and what will. */
bool wire_is_empty(const struct wire *w);
/* Takes out what came and was not used; good until the next read. */
struct span wire_waiting(struct wire *w);

/* The next piece; spaces between are passed over. ERR_IO at the end of the connection, ERR_CORRUPT for what is no IMAP. */
MUST_CHECK enum err_code wire_next(struct wire *w, struct wire_token *out, struct err *e);
/* The next bytes of the announced literal; *PIECE is empty at its end. Must be read to the end, or skipped. */
MUST_CHECK enum err_code wire_literal(struct wire *w, struct span *piece, struct err *e);
MUST_CHECK enum err_code wire_literal_skip(struct wire *w, struct err *e);
/* T, or the whole of the literal that it announces, as text; NIL gives *IS_NIL. ERR_CORRUPT for lists and line ends. */
MUST_CHECK enum err_code wire_text(struct wire *w, const struct wire_token *t, struct span *out, bool *is_nil,
                                   struct err *e);
/* The rest of the line as it stands, without its end. */
MUST_CHECK enum err_code wire_line(struct wire *w, struct span *out, struct err *e);
/* Passes over what follows T (which was read) up to the end of its list, if it opens one, literals included. */
MUST_CHECK enum err_code wire_skip_value(struct wire *w, const struct wire_token *t, struct err *e);
/* Passes over everything up to the line's end, lists and literals included. */
MUST_CHECK enum err_code wire_skip_line(struct wire *w, struct err *e);

#endif
