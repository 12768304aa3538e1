/*
 * undo: takes away from an account what restores have put there, by their journal: these messages and no others, and the folders that
 * they made, when nothing is left in them.
 */
#ifndef MAILHOLD_CONNECTOR_IMAP_UNDO_H
#define MAILHOLD_CONNECTOR_IMAP_UNDO_H

#include "client.h"
#include "item/item.h"

struct undo_report {
	uint64_t removed; /* messages */
	uint64_t gone;    /* that were there no more, or had been moved */
	uint64_t kept;    /* each told: it cannot be removed */
	uint64_t folders; /* that we had made, and that are empty */
};
/*
 * JOURNAL: its file; it is removed when nothing was kept. With PLAN nothing is changed. REPORT (may be NULL) is told of what is kept.
 * ERR_NOT_FOUND: there is no journal, or nothing in it.
 */
MUST_CHECK enum err_code imap_undo(const struct imap_login *login, const char *journal, bool plan, item_report report,
                                   void *ctx, struct undo_report *out, struct err *e);

#endif
