/*
 * clock: wall time in milliseconds since 1970-01-01 UTC, with a zone offset in minutes kept beside it; and a
 * monotonic time for rates and waits. Civil time follows RFC 3339; leap seconds do not exist here.
 */
#ifndef MAILHOLD_BASE_CLOCK_H
#define MAILHOLD_BASE_CLOCK_H

#include "err.h"

int64_t clock_now_ms(void);
int64_t clock_monotonic_ms(void);
/* Minutes east of UTC of the local zone at TIME_MS. */
int16_t clock_zone_minutes(int64_t time_ms);

struct clock_text {
	char text[40];
};
/* "2026-11-22 20:15:03 +01:00" in the given zone. */
struct clock_text clock_format(int64_t time_ms, int16_t zone_minutes);
/* "2026-11-22T20:15:03.123+01:00", for --json. */
struct clock_text clock_format_rfc3339(int64_t time_ms, int16_t zone_minutes);

/* Days since 1970-01-01 of a civil date; month 1..12, day 1..31, years -9999..9999. */
int64_t clock_days(int year, int month, int day);
/* Milliseconds of a civil time in a zone. False when a field is out of range. */
bool clock_civil(int year, int month, int day, int hour, int minute, int second, int zone_minutes, int64_t *out);

/*
 * Reads what a person types: "2026-11-22", "2026-11-22 20:15", "2026-11-22T20:15:03[Z|+01:00]", "today",
 * "yesterday", "3d", "12h", "2w", "6m", "1y" (that long before NOW_MS). Without a zone it is local time; a bare
 * date means its start, or its last millisecond when END_OF_DAY. ERR_USAGE names what was not understood.
 */
MUST_CHECK enum err_code clock_parse(const char *text, int64_t now_ms, bool end_of_day, int64_t *out, struct err *e);

#endif
