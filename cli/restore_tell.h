/*
 * restore_tell: what a restore says, to people and programs, and in its signed report.
 */
#ifndef MAILHOLD_CLI_RESTORE_TELL_H
#define MAILHOLD_CLI_RESTORE_TELL_H

#include "command.h"
#include "plan_file.h"
#include "report_file.h"
#include "restore_journal.h"
#include "target.h"

/* Of the command line. */
struct restore_values {
	const char *to, *into, *collision, *verify;
	struct text_list map, include, exclude;
	struct maybe_text plan;
	struct target_login target;
	bool dry_run, flags_only, missing_only, repair_bytes, undo;
	const char *apply, *report;
};

/* One run. */
struct restoring {
	struct cli *c;
	const struct restore_values *v;
	struct restore_target to;
	struct place place;
	struct view *view;
	struct item_sink *sink;
	struct restore_journal journal;
	const char *world;
	char into[512];    /* "" is the sink itself */
	bool chosen;       /* by us, not by the person */
	struct buf *texts; /* decoded --map, --include, --exclude */
	size_t text_count;
	struct line line;
	FILE *plan_file;
	struct plan_file applied; /* --apply */
	struct report_file report;
	struct server_sink_options server;
	char appended[4096]; /* the journal of what was put at a server; "": none */
};

/* A restore_visit; CTX is the struct restoring. */
MUST_CHECK enum err_code restore_tell_step(void *ctx, const struct restore_step *s, struct err *e);
/* An item_report: something that the sink has to say of its own, at a server what reading back found. */
void restore_remark(void *ctx, const char *what, const struct err *why);
MUST_CHECK enum err_code restore_tell_summary(struct restoring *r, const struct restore_report *report, bool plan_only,
                                              struct err *e);
MUST_CHECK enum err_code restore_tell_undo(struct restoring *r, const struct server_undo *did, struct err *e);
/* The first line of the report, where one is wanted. */
void restore_begin_report(struct restoring *r);
/*
 * Its last lines, after the restore ended with RC and E. One that failed has a report as well: of what was done until then, and
 * why it ended. Gives RC, or what went wrong with the report.
 */
enum err_code restore_end_report(struct restoring *r, const struct restore_report *report, enum err_code rc,
                                 struct err *e);

#endif
