/*
 * maildir_name: what the names of a Maildir say. Raw folder names are relative to the root, "" for the root itself:
 * ".a.b" (Maildir++) or "a/b" (nested, "fs layout").
 */
#ifndef MAILHOLD_CONNECTOR_FILES_MAILDIR_NAME_H
#define MAILHOLD_CONNECTOR_FILES_MAILDIR_NAME_H

#include "base/buf.h"

/*
 * Length of the base name: up to the first ":2,", else ";2,", else "!2,", else the last ':'. All of NAME when there is
 * none of them or nothing before it.
 */
size_t maildir_base_length(struct span name);
/* The letters behind "2," in what follows the base name. */
struct span maildir_flags(struct span suffix);

/* Appends the path to show for a raw folder name: "INBOX" for "", dots of Maildir++ as '/'. */
MUST_CHECK enum err_code maildir_path(struct span raw, struct buf *out, struct err *e);
/* Appends the raw folder name for the path of a collection that comes from another world: "INBOX" is "", else
 * Maildir++. */
MUST_CHECK enum err_code maildir_raw(struct span path, struct buf *out, struct err *e);

#endif
