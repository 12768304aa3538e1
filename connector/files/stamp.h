/*
 * stamp: tells from a few stats whether files or folders are as they were. A stamp is trusted only if it was taken
 * at least two seconds after the last change that it shows: file times are coarse, and a change in the same tick
 * would stay unseen.
 *
 * Cursor   u8 version 1 | u8 settled | u8 count | count × (u64 dev, u64 ino, i64 mtime ns, i64 ctime ns, u64 size)
 *          little-endian; a file or folder that is missing has all fields zero
 */
#ifndef MAILHOLD_CONNECTOR_FILES_STAMP_H
#define MAILHOLD_CONNECTOR_FILES_STAMP_H

#include <sys/stat.h>

#include "base/buf.h"

/* Appends the cursor of COUNT (at most 8) stats, taken before what they describe was read, at NOW_NS. */
MUST_CHECK enum err_code stamp_encode(const struct stat *stats, size_t count, int64_t now_ns, struct buf *out,
                                      struct err *e);
/* True when CURSOR was settled and shows the very same stats. */
bool stamp_unchanged(struct span cursor, const struct stat *stats, size_t count);
int64_t stamp_now_ns(void);

/* "644 1700000000123456789": permission bits and mtime, the text of the attributes "*:stat". */
struct stamp_text {
	char text[48];
};
struct stamp_text stamp_text(const struct stat *st);
bool stamp_parse(struct span text, unsigned *mode, int64_t *mtime_ns);
/* "755": permission bits alone, at most 0777. */
bool stamp_parse_mode(struct span text, unsigned *mode);

/* Sets mtime and then the mode of an open file or folder. */
MUST_CHECK enum err_code stamp_apply(int fd, const char *name, unsigned mode, const int64_t *mtime_ns, struct err *e);

#endif
