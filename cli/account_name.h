/*
 * account_name: the account that a source belongs to when nobody said. The last part of its real path, or the one
 * before where the last says nothing ("/home/ann/Maildir" is "ann").
 */
#ifndef MAILHOLD_CLI_ACCOUNT_NAME_H
#define MAILHOLD_CLI_ACCOUNT_NAME_H

#include "base/buf.h"

#define ACCOUNT_NAME_BYTES_MAX 255

/* Appends the name and a NUL that is not counted. SOURCE as the user typed it. */
MUST_CHECK enum err_code account_name_of_source(const char *source, struct buf *out, struct err *e);
/* The same for a path that is absolute and clean already. */
MUST_CHECK enum err_code account_name_of_path(const char *path, struct buf *out, struct err *e);
/* ERR_USAGE for a name that could not stand before '@' in a place: empty, too long, with ':', '#' or control bytes. */
MUST_CHECK enum err_code account_name_check(const char *name, struct err *e);

#endif
