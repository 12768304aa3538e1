/*
 * report_file: what a restore did, line by line, signed at the end by the key that opened the repository.
 * Format   docs/format/report.md, version 1.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_CLI_REPORT_FILE_H
#define MAILHOLD_CLI_REPORT_FILE_H

#include <stdio.h>

#include "engine/engine.h"
#include "output.h"

#define REPORT_LINE_BYTES_MAX MIB

struct report_file {
	const char *path; /* NULL: no report is wanted, and nothing is written */
	FILE *file;
	uint64_t lines;
	uint8_t digest[STATEMENT_DIGEST_BYTES];
	struct err failed; /* the first failure; report_file_sign tells it */
};

/* Makes PATH (may be NULL). ERR_EXISTS: a report is never written over. */
MUST_CHECK enum err_code report_file_open(const char *path, struct report_file *out, struct err *e);
/* Adds a line. Consumes R. */
void report_file_add(struct report_file *f, struct row *r);
/* Ends it with its signature and makes it durable. */
MUST_CHECK enum err_code report_file_sign(struct report_file *f, const struct repo *repo, struct err *e);
/* Closes what was not signed; a file without a line is removed. */
void report_file_release(struct report_file *f);

struct report_checked {
	struct holder_id holder;
	uint64_t lines;         /* before the signature */
	struct buf first, last; /* of them: what it is about, and what came of it */
};
/*
 * ERR_CORRUPT: a byte of it is not as it was signed, or it was never ended. ERR_NOT_FOUND: the file is not there, or its key is none
 * of the repository's. ERR_WRONG_KEY: it is of another repository.
 */
MUST_CHECK enum err_code report_file_verify(const char *path, const struct repo *repo, struct report_checked *out,
                                            struct err *e);
void report_checked_release(struct report_checked *c);

#endif
