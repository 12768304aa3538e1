/*
 * safe_name: names and paths from a repository are foreign bytes; here they become names that cannot leave the
 * target. Folders are opened one component at a time below a descriptor, never through a symbolic link.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_SAFE_NAME_H
#define MAILHOLD_CONNECTOR_FILES_SAFE_NAME_H

#include "base/buf.h"

enum name_rule {
	NAME_EXACT, /* from the same world: only what no folder can hold is changed ('/', NUL, "", ".", "..", length) */
	NAME_PORTABLE /* from another world: control bytes, invalid UTF-8, \ : * ? " < > | and a trailing dot or space,
	                 too */
};

/*
 * Appends one file name made from NAME followed by SUFFIX, at most 255 bytes; *CHANGED tells whether it differs from
 * NAME and SUFFIX as given. Bad bytes are percent-encoded; a long name is cut, with a hash of the whole behind it,
 * so that different names stay different.
 */
MUST_CHECK enum err_code safe_name(struct span name, struct span suffix, enum name_rule rule, struct buf *out,
                                   bool *changed, struct err *e);
/* Appends PATH with every component made safe; empty ones and a leading '/' are dropped. At most 64 components. */
MUST_CHECK enum err_code safe_path(struct span path, enum name_rule rule, struct buf *out, struct err *e);

/*
 * Opens folder PATH (safe, NUL-terminated, "" for ROOT_FD itself) below ROOT_FD. With MAKE, missing folders are made
 * with mode 0700 and *MADE tells whether the last one was. ERR_NOT_FOUND when it is missing and not to be made.
 */
MUST_CHECK enum err_code folder_open(int root_fd, const char *path, bool make, int *fd, bool *made, struct err *e);

#endif
