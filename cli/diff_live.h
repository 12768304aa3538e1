/*
 * diff_live: compares a snapshot with what an account at a server has now, without reading a body: messages are known by
 * Message-ID, received date and size, as the plan of a restore knows them.
 */
#ifndef MAILHOLD_CLI_DIFF_LIVE_H
#define MAILHOLD_CLI_DIFF_LIVE_H

#include "diff_report.h"
#include "target.h"

/* SNAPSHOT against LIVE, which WORD named. Opens D->c's repository. */
MUST_CHECK enum err_code diff_live(struct comparison *d, const char *snapshot, const char *word,
                                   const struct restore_target *live, const struct target_login *login, struct err *e);

#endif
