/*
 * verified: when each pack's bytes were last compared, for `check --read-data=5%`, which takes the oldest first. A file
 * in the client's cache folder, no part of the repository; losing it costs only that all packs count as never verified.
 *   verified   "mhverify" 8, version 4 (= 1), count 4 | count × { random 16, session 8, milliseconds since 1970 8 } |
 *              BLAKE2b-128 of all that
 * Numbers are little-endian. It says nothing that the store's owner does not see anyway.
 */
#ifndef MAILHOLD_ENGINE_WORK_VERIFIED_H
#define MAILHOLD_ENGINE_WORK_VERIFIED_H

#include "engine/repo/repo.h"

struct verified {
	int64_t *at_ms; /* by ordinal; 0: never */
	uint32_t count;
};
/* A missing, damaged or foreign file means "never"; times that are still to come, too. */
MUST_CHECK enum err_code verified_load(const struct repo *r, struct verified *out, struct err *e);
int64_t verified_at(const struct verified *v, uint32_t ordinal);
/* AT_MS 0: not verified any more. */
MUST_CHECK enum err_code verified_set(struct verified *v, uint32_t ordinal, int64_t at_ms, struct err *e);
/* Writes down what is said of live packs. */
MUST_CHECK enum err_code verified_save(const struct repo *r, const struct verified *v, struct err *e);
/* Sums over the live packs. */
void verified_sum(const struct repo *r, const struct verified *v, struct engine_verified *out);
void verified_release(struct verified *v);

#endif
