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

#endif
