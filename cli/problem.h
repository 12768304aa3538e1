/* problem: for the commands that check and repair: how they tell what they found. */
#ifndef MAILHOLD_CLI_PROBLEM_H
#define MAILHOLD_CLI_PROBLEM_H

#include "command.h"

/* One line, or one JSON row of type "problem" (docs/json.md). */
MUST_CHECK enum err_code problem_put(struct cli *c, const struct check_problem *p, struct err *e);
/* "all data verified within the last 20 days"; false: nothing was ever verified, and nothing is said. */
bool verified_words(struct line *l, int64_t now_ms, const struct engine_verified *v);
void verified_row(struct row *r, const struct engine_verified *v);

#endif
