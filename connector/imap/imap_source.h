/*
 * imap_source: an account at an IMAP server as a source. Each selectable mailbox is a collection of kind mail.
 * Key      "VALIDITY.UID" in decimal with ten digits each: never names other bytes, in all the server's life (see
 *          listing_cursor for servers that break their word, and STATE_VERSION for those without UIDVALIDITY).
 * Harm     nothing is changed at the server: EXAMINE, BODY.PEEK[], and no command that could (client.h).
 * Cursor   UIDVALIDITY, UIDNEXT, count and HIGHESTMODSEQ of the mailbox. Where a server has CONDSTORE, a mailbox in which
 *          nothing moved is not opened; elsewhere its flags are listed every time.
 * Lines    up to login.connections of them, 3 by default; the first does everything, others are made when there is much to
 *          fetch, and done without where the server allows no more.
 * Thread   as item_source; fetches may come from several threads.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_IMAP_SOURCE_H
#define MAILHOLD_CONNECTOR_IMAP_IMAP_SOURCE_H

#include "client.h"
#include "item/item.h"

/* Connects and logs in. LOGIN is copied. */
MUST_CHECK enum err_code imap_source_open(const struct imap_login *login, struct item_source **out, struct err *e);

#endif
