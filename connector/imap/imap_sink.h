/*
 * imap_sink: an account at an IMAP server as a sink. Mail is only added: nothing that is there is changed (but flags, when that is
 * asked for) or deleted.
 * Folders  with INTO empty: INBOX is INBOX; a folder with a role goes to the target's folder of that role, else to one of the same
 *          name, else one is made, with its role where the server can (CREATE-SPECIAL-USE). Else all of them below folder INTO.
 * There    a message with the same Message-ID, received date and content is the item; each answers for one item. Content is compared
 *          as mail_print.h says, because servers change line ends.
 * Bytes    go as they are, but for mail whose lines all end in LF, as files keep it: those become CRLF (SINK_LINE_ENDS).
 * Back     at the end of a collection count, size, flags and dates of all that was put are read back, and some bodies or all.
 * Thread   as item_sink.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_IMAP_SINK_H
#define MAILHOLD_CONNECTOR_IMAP_IMAP_SINK_H

#include "client.h"
#include "item/item.h"

struct imap_sink_options {
	const char *into;  /* "" or NULL: the account itself */
	bool flags_only;   /* nothing is put; what is there gets the items' flags */
	bool missing_only; /* what is in any other folder of the account (elsewhere.h) is not put, either */
	bool mends;        /* of what the server refuses a copy with other bytes is put (mime/mend.h), if that helps */
	unsigned verify_percent; /* of the bodies; 0: none, 100: all */
	const char *journal;     /* the file of this restore's journal (journal.h), or NULL */
};

/* Connects and logs in. LOGIN is copied. Without LOGIN->changes only plans can be made. */
MUST_CHECK enum err_code imap_sink_open(const struct imap_login *login, const struct imap_sink_options *o,
                                        struct item_sink **out, struct err *e);
/* Another folder to put everything in; before the first collection. */
MUST_CHECK enum err_code imap_sink_into(struct item_sink *s, const char *into, struct err *e);

#endif
