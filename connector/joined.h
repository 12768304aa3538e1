/*
 * joined: several sources as one, for an account whose mail, calendars and files lie in different places. The collections of the
 * first keep their paths; those of every other one stand below the name of its world ("files/Bills"), so that a path does not
 * depend on what else there is. Each source goes on as if it were alone: cursors, listings and fetches are its own.
 * Thread   as item_source; parallel when all of them are.
 */
#ifndef MAILHOLD_CONNECTOR_JOINED_H
#define MAILHOLD_CONNECTOR_JOINED_H

#include "item/item.h"

#define JOINED_SOURCES_MAX 16

/* Takes all COUNT of PARTS, also on failure (they are NULL afterwards). */
MUST_CHECK enum err_code joined_source_open(struct item_source **parts, size_t count, struct item_source **out,
                                            struct err *e);

#endif
