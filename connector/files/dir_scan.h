/*
 * dir_scan: walks the entries of an open folder with few system calls (getdents64 into a large buffer) and without
 * a stat per entry wherever the file system tells the type. "." and ".." are left out.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_DIR_SCAN_H
#define MAILHOLD_CONNECTOR_FILES_DIR_SCAN_H

#include "base/err.h"

enum dir_type { DIR_FILE, DIR_FOLDER, DIR_ODD }; /* odd: symbolic link, fifo, socket, device */

struct dir_entry {
	struct span name; /* followed by a NUL; good until the next call */
	enum dir_type type;
};

struct dir_scan {
	int fd;
	uint8_t *block;
	size_t at, end;
	size_t block_bytes;
};

/* Starts at the first entry. FD stays the caller's and is moved to its start. SMALL: only a few entries expected. */
MUST_CHECK enum err_code dir_scan_open(struct dir_scan *s, int fd, bool small, struct err *e);
/* *MORE false at the end. The error does not name the folder: the caller does. */
MUST_CHECK enum err_code dir_scan_next(struct dir_scan *s, struct dir_entry *out, bool *more, struct err *e);
void dir_scan_release(struct dir_scan *s);

/* Opens folder NAME below FOLDER_FD for reading, never through a symbolic link. Returns -1 and errno. */
int dir_open_below(int folder_fd, const char *name);

#endif
