/* keep: the --keep-... options, shared by forget and prune, and how their verdicts are told. */
#ifndef MAILHOLD_CLI_KEEP_H
#define MAILHOLD_CLI_KEEP_H

#include "command.h"

struct keep_values {
	const char *count[KEEP_PERIODS];
	const char *within[KEEP_PERIODS];
	struct text_list tags;
	const char *account;
	bool force;
};

#define KEEP_AT(type, field, member) offsetof(type, field.member)
/* Rows for a table of options; FIELD of TYPE is a struct keep_values. */
#define KEEP_OPTIONS(type, field)                                                                                      \
	{ 0,                                                                                                           \
	  "keep-last",                                                                                                 \
	  OPTION_TEXT,                                                                                                 \
	  "N",                                                                                                         \
	  "keep the last N snapshots of each account",                                                                 \
	  KEEP_AT(type, field, count[KEEP_LAST]) },                                                                    \
	        { 0,                                                                                                   \
		  "keep-hourly",                                                                                       \
		  OPTION_TEXT,                                                                                         \
		  "N",                                                                                                 \
		  "keep the last of each of N hours",                                                                  \
		  KEEP_AT(type, field, count[KEEP_HOURLY]) },                                                          \
	        { 0,                                                                                                   \
		  "keep-daily",                                                                                        \
		  OPTION_TEXT,                                                                                         \
		  "N",                                                                                                 \
		  "keep the last of each of N days",                                                                   \
		  KEEP_AT(type, field, count[KEEP_DAILY]) },                                                           \
	        { 0,                                                                                                   \
		  "keep-weekly",                                                                                       \
		  OPTION_TEXT,                                                                                         \
		  "N",                                                                                                 \
		  "keep the last of each of N weeks (from Monday)",                                                    \
		  KEEP_AT(type, field, count[KEEP_WEEKLY]) },                                                          \
	        { 0,                                                                                                   \
		  "keep-monthly",                                                                                      \
		  OPTION_TEXT,                                                                                         \
		  "N",                                                                                                 \
		  "keep the last of each of N months",                                                                 \
		  KEEP_AT(type, field, count[KEEP_MONTHLY]) },                                                         \
	        { 0,                                                                                                   \
		  "keep-quarterly",                                                                                    \
		  OPTION_TEXT,                                                                                         \
		  "N",                                                                                                 \
		  "keep the last of each of N quarters",                                                               \
		  KEEP_AT(type, field, count[KEEP_QUARTERLY]) },                                                       \
	        { 0,                                                                                                   \
		  "keep-yearly",                                                                                       \
		  OPTION_TEXT,                                                                                         \
		  "N",                                                                                                 \
		  "keep the last of each of N years",                                                                  \
		  KEEP_AT(type, field, count[KEEP_YEARLY]) },                                                          \
	        { 0,                                                                                                   \
		  "keep-within",                                                                                       \
		  OPTION_TEXT,                                                                                         \
		  "TIME",                                                                                              \
		  "keep all so long before the newest (12h, 3d, 2w, 6m, 1y)",                                          \
		  KEEP_AT(type, field, within[KEEP_LAST]) },                                                           \
	        { 0,                                                                                                   \
		  "keep-within-hourly",                                                                                \
		  OPTION_TEXT,                                                                                         \
		  "TIME",                                                                                              \
		  "keep hourly ones so long before the newest",                                                        \
		  KEEP_AT(type, field, within[KEEP_HOURLY]) },                                                         \
	        { 0,      "keep-within-daily",    OPTION_TEXT,                                                         \
		  "TIME", "likewise, daily ones", KEEP_AT(type, field, within[KEEP_DAILY]) },                          \
	        { 0,      "keep-within-weekly",    OPTION_TEXT,                                                        \
		  "TIME", "likewise, weekly ones", KEEP_AT(type, field, within[KEEP_WEEKLY]) },                        \
	        { 0,      "keep-within-monthly",    OPTION_TEXT,                                                       \
		  "TIME", "likewise, monthly ones", KEEP_AT(type, field, within[KEEP_MONTHLY]) },                      \
	        { 0,      "keep-within-quarterly",    OPTION_TEXT,                                                     \
		  "TIME", "likewise, quarterly ones", KEEP_AT(type, field, within[KEEP_QUARTERLY]) },                  \
	        { 0,      "keep-within-yearly",    OPTION_TEXT,                                                        \
		  "TIME", "likewise, yearly ones", KEEP_AT(type, field, within[KEEP_YEARLY]) },                        \
	        { 0,                                                                                                   \
		  "keep-tag",                                                                                          \
		  OPTION_LIST,                                                                                         \
		  "TAG",                                                                                               \
		  "keep snapshots with this tag (may be given again)",                                                 \
		  KEEP_AT(type, field, tags) },                                                                        \
	        { 'a', "account", OPTION_TEXT, "NAME", "judge this account only", KEEP_AT(type, field, account) },     \
	{                                                                                                              \
		0, "force", OPTION_FLAG, NULL, "forget even if it is much at once", KEEP_AT(type, field, force)        \
	}

/* Is there any rule? */
bool keep_given(const struct keep_values *v);
/*
 * Reads the options, judges, tells (those that stay only with --dry-run or --json) and, unless DRY_RUN, forgets. What
 * would go is appended to GONE (struct snapshot_id each) if it is not NULL. ERR_USAGE names an option that makes no
 * sense.
 */
MUST_CHECK enum err_code keep_apply(struct cli *c, const struct keep_values *v, bool dry_run, struct buf *gone,
                                    struct err *e);
/* "12h", "3d" … as milliseconds; "0" is 0. NAME is the option's, for the message. */
MUST_CHECK enum err_code read_duration(struct cli *c, const char *name, const char *text, int64_t *out, struct err *e);

#endif
