/*
 * pace: so many bytes a second, for all who share it; what was not used for half a second is not saved up. A pace may stand
 * under another one, which counts the same bytes.
 * Thread   any.
 */
#ifndef MAILHOLD_BASE_PACE_H
#define MAILHOLD_BASE_PACE_H

#include "err.h"

#define PACE_RATE_MAX ((uint64_t)1 << 40)

struct pace;
/* RATE 1 to PACE_RATE_MAX. ABOVE (may be NULL) outlives it. */
MUST_CHECK enum err_code pace_open(uint64_t bytes_per_s, struct pace *above, struct pace **out, struct err *e);
/* BYTES have passed at NOW_MS (monotonic): how many milliseconds to wait before the next ones. P may be NULL: 0. */
int64_t pace_take(struct pace *p, uint64_t bytes, int64_t now_ms);
void pace_free(struct pace **p);

#endif
