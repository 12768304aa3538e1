/*
 * err: what went wrong, told once. A function that can fail returns enum err_code and fills the caller's struct
 * err (fixed size, never NULL, so that running out of memory can be told too). The lowest layer says what it saw,
 * with numbers; each layer above adds what it was trying to do; only cli prints. No error ever holds mail text,
 * passwords, tokens or keys. Names from outside (paths, folders) are made printable before they go in.
 */
#ifndef MAILHOLD_BASE_ERR_H
#define MAILHOLD_BASE_ERR_H

#include "span.h"

enum err_code {
	ERR_OK = 0,
	ERR_NO_MEMORY,
	ERR_LIMIT,           /* a stated maximum was met; the object is still good */
	ERR_NOT_FOUND,       /* absent; never used for damage */
	ERR_EXISTS,          /* somebody was first */
	ERR_CORRUPT,         /* damaged or forged; never used for absence */
	ERR_UNSUPPORTED,     /* written by a newer version, or a kind we do not know */
	ERR_IO,              /* the disk, the file system or the network said no */
	ERR_NO_SPACE,        /* the disk or quota is full */
	ERR_DENIED,          /* permission */
	ERR_STATE,           /* called in the wrong state */
	ERR_USAGE,           /* the user asked for something that makes no sense */
	ERR_NO_REPOSITORY,   /* nothing there that looks like a repository */
	ERR_WRONG_KEY,       /* wrong password or key file; not damage */
	ERR_BUSY,            /* the local index is in use by another process */
	ERR_FORKED,          /* the store went back or forked */
	ERR_OUTCOME_UNKNOWN, /* it may or may not have been written */
	ERR_CANCELLED,       /* Ctrl-C or SIGTERM */
	ERR_VANISHED,        /* a source item went away while it was read */
	ERR_CODE_END
};

/* May it work when tried again? Decided where the failure is seen, used by one retry wrapper. */
enum err_retry { ERR_RETRY_NEVER = 0, ERR_RETRY_NOW, ERR_RETRY_LATER };

#define ERR_TEXT_MAX 1024

struct err {
	enum err_code code;
	enum err_retry retry;
	int sys_errno; /* 0, or the errno that was seen */
	char text[ERR_TEXT_MAX];
};

/* Sets CODE and text, and returns CODE: `return err_set(e, ERR_CORRUPT, "...", ...)`. */
enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, and adds strerror(SYS_ERRNO); the code follows from the errno (ENOENT, ENOSPC, EACCES, ENOMEM …). */
enum err_code err_sys(struct err *e, int sys_errno, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Appends ": <what was being done>". Returns the code already in E. */
enum err_code err_note(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

enum err_code err_no_memory(struct err *e, size_t bytes);

/* A short fixed name such as "corrupt", for --json. */
const char *err_code_name(enum err_code code);

#endif
