/*
 * elsewhere: whether a message is in an account already, in whatever folder: for restores that bring back only what is missing
 * from all of it. What is in the trash or among the junk, or marked as deleted, does not count: it is about to go. Nor does
 * what restores of the same snapshot have put: that answers for its own item. What has the Message-ID and the received date is
 * the message only if its content says so; it is read over a connection of its own, which changes nothing.
 * Memory   some 72 bytes for each message of the account.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_ELSEWHERE_H
#define MAILHOLD_CONNECTOR_IMAP_ELSEWHERE_H

#include "folders.h"
#include "journal.h"
#include "sink_line.h"

struct elsewhere;
/* LOGIN's strings are borrowed until it is freed. */
MUST_CHECK enum err_code elsewhere_open(const struct imap_login *login, struct elsewhere **out, struct err *e);
void elsewhere_free(struct elsewhere **w);
/* Lists all of F's folders, as they are now. A folder that cannot be opened is passed over. */
MUST_CHECK enum err_code elsewhere_load(struct elsewhere *w, const struct folders *f, struct journal *j, struct err *e);
/*
 * Looks for WISH in all folders but the one called OWN. CONTENT: as mail_print has it; NULL: for a plan, what looks like it is it.
 * *PATH is that folder's name, or empty: there is none. Messages without a Message-ID are looked for by date and size.
 */
MUST_CHECK enum err_code elsewhere_find(struct elsewhere *w, struct span own, const struct there_wish *wish,
                                        const uint8_t *content, struct span *path, struct err *e);

#endif
