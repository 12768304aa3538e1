/*
 * file: the few file system steps that everyone needs, with errors that name the path. Descriptors are opened
 * with O_CLOEXEC. Paths are C strings of ours; names from outside must have been checked by the caller.
 */
#ifndef MAILHOLD_BASE_FILE_H
#define MAILHOLD_BASE_FILE_H

#include "buf.h"

/* Reads all of PATH; ERR_LIMIT when it holds more than MAX bytes. Appends to OUT. */
MUST_CHECK enum err_code file_read(const char *path, size_t max, struct buf *out, struct err *e);
/* Reads exactly LEN bytes at OFFSET; ERR_CORRUPT when the file is shorter. NAME is for the message. */
MUST_CHECK enum err_code file_read_at(int fd, const char *name, uint64_t offset, uint8_t *dst, size_t len,
                                      struct err *e);
/*
 * Reads FD (a file, a pipe) to its end: at most MAX bytes to DST, *LEN of them; what is beyond is read and dropped. No byte of
 * it is left in memory elsewhere: it may be a secret.
 */
MUST_CHECK enum err_code file_drain(int fd, const char *name, uint8_t *dst, size_t max, size_t *len, struct err *e);
/* Writes all of BYTES at the file position. */
MUST_CHECK enum err_code file_write(int fd, const char *name, struct span bytes, struct err *e);
/* Replaces PATH by BYTES: temporary file beside it, fsync when DURABLE, rename, fsync of the folder. */
MUST_CHECK enum err_code file_replace(const char *path, struct span bytes, unsigned mode, bool durable, struct err *e);
/*
 * Makes PATH of BYTES, durably and whole: whoever sees the name sees all of it, whatever fails in between. ERR_EXISTS when
 * it is there. Where neither nameless files nor links exist, an empty file may be left when this is cut short.
 */
MUST_CHECK enum err_code file_create(const char *path, struct span bytes, unsigned mode, struct err *e);
/* mkdir -p with MODE for new folders. An existing folder is fine. */
MUST_CHECK enum err_code file_make_folders(const char *path, unsigned mode, struct err *e);
MUST_CHECK enum err_code file_sync_folder(const char *path, struct err *e);
/* Syncs the folder that holds PATH: a file that was made there keeps its name. */
MUST_CHECK enum err_code file_sync_name(const char *path, struct err *e);
/* Removes PATH and everything below it; a missing PATH is fine. Does not follow symbolic links. */
MUST_CHECK enum err_code file_remove_tree(const char *path, struct err *e);
/* PATH/NAME into OUT (NUL-terminated, the NUL not counted in len). */
MUST_CHECK enum err_code file_join(const char *folder, const char *name, struct buf *out, struct err *e);

#endif
