#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static enum err_code code_of_errno(int sys_errno)
{
	switch (sys_errno) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	case ENOMEM:
		return ERR_NO_MEMORY;
	default:
		return ERR_IO;
	}
}

enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list args;

	e->code = code;
	e->retry = ERR_RETRY_NEVER;
	e->sys_errno = 0;
	va_start(args, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, args);
	va_end(args);
	return code;
}

PRINTF_LIKE(3, 0) static void append(struct err *e, const char *joint, const char *fmt, va_list args)
{
	size_t used = strnlen(e->text, sizeof e->text);
	int n = snprintf(e->text + used, sizeof e->text - used, "%s", joint);

	if (n < 0 || (size_t)n >= sizeof e->text - used)
		return;
	used += (size_t)n;
	vsnprintf(e->text + used, sizeof e->text - used, fmt, args);
}

enum err_code err_sys(struct err *e, int sys_errno, const char *fmt, ...)
{
	va_list args;
	char reason[128];

	e->code = code_of_errno(sys_errno);
	e->retry = sys_errno == EINTR || sys_errno == EAGAIN ? ERR_RETRY_NOW : ERR_RETRY_NEVER;
	e->sys_errno = sys_errno;
	va_start(args, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, args);
	va_end(args);
	snprintf(e->text + strnlen(e->text, sizeof e->text), sizeof e->text - strnlen(e->text, sizeof e->text), ": %s",
	         strerror_r(sys_errno, reason, sizeof reason));
	return e->code;
}

enum err_code err_note(struct err *e, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	append(e, ", ", fmt, args);
	va_end(args);
	return e->code;
}

enum err_code err_no_memory(struct err *e, size_t bytes)
{
	return err_set(e, ERR_NO_MEMORY, "out of memory (%zu bytes asked)", bytes);
}

const char *err_code_name(enum err_code code)
{
	static const char *const names[ERR_CODE_END] = {
		[ERR_OK] = "ok",
		[ERR_NO_MEMORY] = "no-memory",
		[ERR_LIMIT] = "limit",
		[ERR_NOT_FOUND] = "not-found",
		[ERR_EXISTS] = "exists",
		[ERR_CORRUPT] = "corrupt",
		[ERR_UNSUPPORTED] = "unsupported",
		[ERR_IO] = "io",
		[ERR_NO_SPACE] = "no-space",
		[ERR_DENIED] = "denied",
		[ERR_STATE] = "state",
		[ERR_USAGE] = "usage",
		[ERR_NO_REPOSITORY] = "no-repository",
		[ERR_WRONG_KEY] = "wrong-key",
		[ERR_BUSY] = "busy",
		[ERR_FORKED] = "forked",
		[ERR_OUTCOME_UNKNOWN] = "outcome-unknown",
		[ERR_CANCELLED] = "cancelled",
		[ERR_VANISHED] = "vanished",
	};

	return code < ERR_CODE_END ? names[code] : "unknown";
}
