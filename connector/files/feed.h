/*
 * feed: opens source files without touching them and reads them straight into a receiver's space. A small file costs
 * open, fstat, one read (one byte more than its size, so that the end is seen), close.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_FEED_H
#define MAILHOLD_CONNECTOR_FILES_FEED_H

#include <sys/stat.h>

#include "item/item.h"

/*
 * Opens regular file NAME below FOLDER_FD: no symbolic link, no access time, never blocking on a fifo.
 * ERR_NOT_FOUND when it is gone, ERR_UNSUPPORTED when it is something else than a file.
 */
MUST_CHECK enum err_code feed_open(int folder_fd, const char *name, int *fd, struct stat *st, struct err *e);

/*
 * Gives all of FD as the primary stream. SIZE is what fstat said; BYTES what there was. GUESS, when not NULL, gets
 * the kind told by NAME and the first bytes.
 */
MUST_CHECK enum err_code feed_file(int fd, const char *name, uint64_t size, const struct item_receiver *to,
                                   uint64_t *bytes, enum item_kind *guess, struct err *e);
/* Gives LEN bytes at OFFSET as the primary stream. ERR_VANISHED when the file has become shorter. */
MUST_CHECK enum err_code feed_range(int fd, uint64_t offset, uint64_t len, const struct item_receiver *to,
                                    struct err *e);

/* Modification time in ns since 1970. */
static inline int64_t feed_mtime_ns(const struct stat *st)
{
	return (int64_t)((uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec);
}

#endif
