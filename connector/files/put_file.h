/*
 * put_file: writes one item as one file, so that a file under its final name is either whole or recognisably torn.
 * It is made under its final name (one system call less per item than by renaming) with mode 0200, filled, read back
 * and compared, given its time, and last its mode. A process that is killed leaves mode 0200; a power cut may leave
 * the right time and mode over missing bytes. A later run replaces a file that is a beginning of the item, the rest
 * missing or zeros, and has mode 0200 or the item's exact time: that is our torn copy and nobody's work.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_PUT_FILE_H
#define MAILHOLD_CONNECTOR_FILES_PUT_FILE_H

#include <sys/stat.h>

#include "item/item.h"

enum put_outcome {
	PUT_WROTE, /* written, or healed */
	PUT_SAME,  /* the same bytes are there under this name */
	PUT_OTHER  /* something else is there */
};

/* Thread-safe. REPLACE: what else is there gives way (written beside it, then renamed over it). */
MUST_CHECK enum err_code put_file(int folder_fd, const char *name, bool replace, const struct item_out *item,
                                  const struct item_body *body, enum put_outcome *outcome, struct err *e);
/* Compares file NAME with the body. *SAME false also when it is gone or is not a file. Rewinds BODY first. */
MUST_CHECK enum err_code put_compare(int folder_fd, const char *name, const struct item_body *body, bool *same,
                                     struct err *e);
/* True when a file with these stats may be our torn copy of ITEM: put_file then looks at its bytes. */
bool put_may_be_torn(const struct stat *st, const struct item_out *item);
/* Writes CONTENT to NAME unless something is there; *OTHER tells that it differs and was left alone. */
MUST_CHECK enum err_code put_small(int folder_fd, const char *name, struct span content, unsigned mode,
                                   const int64_t *mtime_ns, bool *other, struct err *e);
/* Compares LEN-unknown BODY with what FD holds from OFFSET on; for sinks that write many items to one file. */
MUST_CHECK enum err_code put_check_bytes(int fd, uint64_t offset, struct span want, bool *same, struct err *e);

#endif
