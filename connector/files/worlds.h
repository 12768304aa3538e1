/*
 * worlds: the sources and sinks of this folder, opened by connector.c once it knows which is which.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_WORLDS_H
#define MAILHOLD_CONNECTOR_FILES_WORLDS_H

#include "item/item.h"

/* PATH exists. ERR_UNSUPPORTED when it does not look like one. */
MUST_CHECK enum err_code maildir_source_open(const char *path, struct item_source **out, struct err *e);
MUST_CHECK enum err_code mbox_source_open(const char *path, struct item_source **out, struct err *e);
MUST_CHECK enum err_code tree_source_open(const char *path, struct item_source **out, struct err *e);

/* True when folder PATH is a Maildir, or directly holds folders that are (Maildir++ without a root of its own). */
bool maildir_looks_like(const char *path);
/* True when file PATH begins with "From ". */
bool mbox_looks_like(const char *path);

/* PATH need not exist; it is made with the first collection. INTO may be NULL. */
MUST_CHECK enum err_code maildir_sink_open(const char *path, const char *into, struct item_sink **out, struct err *e);
MUST_CHECK enum err_code mbox_sink_open(const char *path, const char *into, struct item_sink **out, struct err *e);
MUST_CHECK enum err_code tree_sink_open(const char *path, const char *into, struct item_sink **out, struct err *e);

#endif
