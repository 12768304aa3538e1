/*
 * parity_work: what check looks at of a pack's parity.
 */
#ifndef MAILHOLD_ENGINE_WORK_PARITY_WORK_H
#define MAILHOLD_ENGINE_WORK_PARITY_WORK_H

#include "engine/repo/repo.h"

typedef void (*parity_problem)(void *ctx, const char *object, const struct err *what);
/*
 * Tells a parity that is missing though the policy wants one, or is damaged; with READ_DATA every cell of pack and
 * parity is compared with its sum, and it is told whether the damage can be repaired. An error is no finding.
 */
MUST_CHECK enum err_code parity_look(struct repo *r, const struct pack_fact *fact, bool read_data,
                                     parity_problem problem, void *ctx, struct err *e);

#endif
