/*
 * namespace: what a server puts in front of all names of one's own folders (RFC 2342): "INBOX." at Courier and many hosters.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_NAMESPACE_H
#define MAILHOLD_CONNECTOR_IMAP_NAMESPACE_H

#include "client.h"

/* The first personal namespace: PREFIX (cleared before) as the server writes it, and its DELIMITER (0: not told). */
MUST_CHECK enum err_code namespace_ask(struct imap_client *c, struct buf *prefix, char *delimiter, struct err *e);

#endif
