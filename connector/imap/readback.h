/*
 * readback: compares what was put into a folder with what its server says of it, and some of it byte for byte.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_READBACK_H
#define MAILHOLD_CONNECTOR_IMAP_READBACK_H

#include "outbox.h"

struct readback {
	struct sink_line *line;
	struct journal *journal;
	unsigned percent;   /* of the bodies */
	const char *folder; /* for reports; printable */
	item_report report; /* may be NULL */
	void *report_ctx;
};
/* F is settled. Adds to CHECK. An error is the connection's. */
MUST_CHECK enum err_code readback_folder(const struct readback *r, struct outbox_folder *f, struct sink_check *check,
                                         struct err *e);

#endif
