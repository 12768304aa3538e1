/*
 * plan_file: a plan that `restore --plan=FILE` wrote, read again to be applied: which items are to be put, of which snapshot, and
 * where to. JSON lines as docs/json.md has them; lines may have been taken out since.
 */
#ifndef MAILHOLD_CLI_PLAN_FILE_H
#define MAILHOLD_CLI_PLAN_FILE_H

#include "base/buf.h"
#include "base/idmap.h"

#define PLAN_LINE_BYTES_MAX (64 * KIB)

struct plan_file {
	struct idmap wanted; /* hash of a collection, or of it and a key */
	char snapshot[33];
	struct buf to, into; /* NUL-terminated */
	uint64_t items;      /* to be put, or to get their flags */
	uint64_t met;        /* of them, so far */
};

/* ERR_USAGE: it is no plan, or not a whole one. After a failure OUT is to be released all the same. */
MUST_CHECK enum err_code plan_file_load(const char *path, struct plan_file *out, struct err *e);
void plan_file_release(struct plan_file *p);
/* As struct restore_options has it; CTX is the struct plan_file. Counts those that it was asked for. */
bool plan_file_wants(void *ctx, struct span collection, struct span key);

#endif
