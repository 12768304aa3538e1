/*
 * child: one other program, run to its end: what it is told comes on its standard input, what it prints is the answer.
 * Secrets  nothing goes through arguments; OUT is the caller's to wipe.
 * Thread   any.
 */
#ifndef MAILHOLD_CLI_CHILD_H
#define MAILHOLD_CLI_CHILD_H

#include "base/buf.h"

struct child {
	const char *const *argv; /* NULL-terminated; argv[0] is looked for in PATH */
	const char *account;     /* MAILHOLD_ACCOUNT in its environment; NULL: not set */
	bool told;               /* standard input is INPUT; else it is ours */
	struct span input;
	bool silent; /* its standard error goes nowhere */
};
/*
 * Fills at most MAX bytes of OUT; what is beyond is read and dropped. *STATUS: its exit code, 128 + the number of the signal
 * that killed it, 127 when it could not be started.
 */
MUST_CHECK enum err_code child_run(const struct child *c, uint8_t *out, size_t max, size_t *len, int *status,
                                   struct err *e);

#endif
