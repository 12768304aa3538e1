/*
 * mail_print: what a message is recognised by at another server, and what has to become of its line ends on the way there.
 * Servers keep a message almost as it came: some add a last line end, some turn a lone LF into CRLF, Dovecot puts 0x80 for
 * NUL. CONTENT is the same for all of these, so that a copy that was changed in this way is still found; EXACT is not.
 * Thread   no state but the printer's.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_MAIL_PRINT_H
#define MAILHOLD_CONNECTOR_IMAP_MAIL_PRINT_H

#include "base/buf.h"
#include "base/hash.h"

struct mail_print {
	uint64_t id;         /* of its Message-ID; 0: it has none */
	uint8_t content[16]; /* of its bytes with every line end an LF, none at the end, and 0x80 for NUL */
	uint8_t exact[16];   /* of its bytes */
	uint64_t bytes;
};

struct mail_printer {
	struct hash_stream *content, *exact;
	uint8_t scratch[4096];
	size_t used;
	uint64_t ends; /* LFs that wait for something behind them */
	bool after_cr;
	uint64_t bytes;
};
MUST_CHECK enum err_code mail_printer_init(struct mail_printer *p, struct err *e);
void mail_printer_add(struct mail_printer *p, struct span bytes);
/* Fills all of OUT but its id, and is ready for another message: init comes first again. */
void mail_printer_end(struct mail_printer *p, struct mail_print *out);
void mail_printer_release(struct mail_printer *p);

/* The id of the first Message-ID field in HEAD, which is a message's start; 0 when there is none. */
uint64_t mail_id(struct span head);
/* The same of the field's value alone. */
uint64_t mail_id_of_value(struct span value);

/* How a message ends its lines, seen piece by piece. */
struct line_ends {
	uint64_t crlf, lf; /* LF: without a CR before it */
	bool after_cr;
};
void line_ends_add(struct line_ends *l, struct span bytes);
/* Lines ended by LF alone, all of them: mail as files keep it, which becomes CRLF on its way to a server. */
static inline bool line_ends_are_local(const struct line_ends *l)
{
	return l->lf && !l->crlf;
}
/* Appends BYTES with CRLF for each LF; only for local ends. */
MUST_CHECK enum err_code line_ends_convert(struct span bytes, struct buf *out, struct err *e);

#endif
