/*
 * diff_report: tells what changed between a snapshot and another one, or what a server has: lines for people with totals for each
 * collection and of everything, or JSON lines.
 */
#ifndef MAILHOLD_CLI_DIFF_REPORT_H
#define MAILHOLD_CLI_DIFF_REPORT_H

#include "command.h"

struct diff_totals {
	uint64_t added, removed, moved, flags, content;
};

struct comparison {
	struct cli *c;
	const char *old_id, *new_id; /* of A and of B, as printed in places */
	const char *url, *url_word;  /* B is what a server has: its URL, and the word for it; NULL: B is a snapshot */
	uint64_t bytes_removed;
	bool summary_only;
	struct line line;
	struct buf collection; /* the one whose lines are being printed */
	bool in_collection;
	struct diff_totals here, all;
};

/* A change_visit; CTX is the struct comparison. Changes of one collection come together. */
MUST_CHECK enum err_code diff_visit(void *ctx, const struct change *ch, struct err *e);
/* The totals, at the end. */
MUST_CHECK enum err_code diff_summary(struct comparison *d, struct err *e);

#endif
