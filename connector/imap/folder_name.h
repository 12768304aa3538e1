/*
 * folder_name: mailbox names as servers write them (RFC 3501, 5.1.3: modified UTF-7; or UTF-8 where servers send that)
 * and the paths that people read.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_FOLDER_NAME_H
#define MAILHOLD_CONNECTOR_IMAP_FOLDER_NAME_H

#include "base/buf.h"

/*
 * Appends NAME as a path: UTF-8, levels joined by '/' for DELIMITER (0: no levels), a '/' that is part of a level's name
 * as "%2F". "inbox" in any case is INBOX. A name that is no modified UTF-7 stays as it is, byte for byte.
 */
MUST_CHECK enum err_code folder_path(struct span name, char delimiter, struct buf *out, struct err *e);

/*
 * The way back: appends PATH as a mailbox name in modified UTF-7, DELIMITER (0: no levels) between the levels. What a name of
 * that server cannot hold becomes '_': its delimiter within a level, control characters, '*' and '%' (which its own lists take
 * for patterns). A path that is no UTF-8 goes through byte for byte. *CHANGED: a '_' was put.
 */
MUST_CHECK enum err_code folder_raw(struct span path, char delimiter, struct buf *out, bool *changed, struct err *e);

#endif
