/*
 * ops: what a store asks of an SFTP server, each in as few round trips as the protocol has. Requests are in flight
 * together, up to a window, so that a line of 100 ms is filled as well as one of 1 ms.
 * Errors   say what the server said; ERR_NOT_FOUND and ERR_DENIED are told apart, the rest is ERR_IO. After a failure that is
 *          not the connection's the session is good for the next call.
 * Thread   as the session.
 */
#ifndef MAILHOLD_STORE_SFTP_OPS_H
#define MAILHOLD_STORE_SFTP_OPS_H

#include "session.h"
#include "store/spool/spool.h"

struct sftp_file {
	size_t len; /* 0: none is open */
	uint8_t handle[SFTP_HANDLE_MAX];
};

/* The bytes of an object, from memory or from a spool that was ended. */
struct sftp_source {
	struct span memory;
	const struct spool *spool; /* NULL: MEMORY */
};

MUST_CHECK enum err_code sftp_open(struct sftp_session *s, const char *path, uint32_t flags, struct sftp_file *out,
                                   struct err *e);
/* Nobody waits for the answer. */
void sftp_close(struct sftp_session *s, struct sftp_file *f);
MUST_CHECK enum err_code sftp_write_all(struct sftp_session *s, const struct sftp_file *f, struct sftp_source from,
                                        struct err *e);
/* Nothing when the server offers no fsync. */
MUST_CHECK enum err_code sftp_sync(struct sftp_session *s, const struct sftp_file *f, struct err *e);
/* Reads at most LEN bytes at OFFSET; *GOT is less only at the end of the file. */
MUST_CHECK enum err_code sftp_read(struct sftp_session *s, const struct sftp_file *f, uint64_t offset, size_t len,
                                   uint8_t *dst, size_t *got, struct err *e);
/* The first LEN bytes and the size of the file, in one round trip; *GOT is less than both when the server gave less. */
MUST_CHECK enum err_code sftp_read_first(struct sftp_session *s, const struct sftp_file *f, size_t len, uint8_t *dst,
                                         size_t *got, uint64_t *size, struct err *e);
MUST_CHECK enum err_code sftp_stat(struct sftp_session *s, const char *path, struct sftp_attrs *out, struct err *e);
/* REMOVE, RMDIR or MKDIR. */
MUST_CHECK enum err_code sftp_simple(struct sftp_session *s, enum sftp_type what, const char *path, struct err *e);
enum sftp_naming { SFTP_BY_LINK, SFTP_BY_RENAME, SFTP_BY_REPLACING /* posix-rename */ };
MUST_CHECK enum err_code sftp_name(struct sftp_session *s, enum sftp_naming how, const char *from, const char *to,
                                   struct err *e);
/* MKDIR for every missing folder of PATH, its last part included. Those that are there are fine. */
MUST_CHECK enum err_code sftp_make_folders(struct sftp_session *s, const char *path, struct err *e);

/* Reads COUNT folders at once. VISIT gets each entry, with the number of its folder; "." and ".." are left out. */
#define SFTP_FOLDERS_AT_ONCE 16
typedef enum err_code (*sftp_visit)(void *ctx, size_t folder, struct span name, const struct sftp_attrs *attrs,
                                    struct err *e);
/* A folder that is missing is empty. */
MUST_CHECK enum err_code sftp_read_folders(struct sftp_session *s, const char *const *paths, size_t count,
                                           sftp_visit visit, void *ctx, struct err *e);

#endif
