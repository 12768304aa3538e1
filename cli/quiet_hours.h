/*
 * quiet_hours: "08:00-18:00", "22:30-06:00" (over midnight), local time, from the first minute up to the last one, which is not
 * in it any more.
 */
#ifndef MAILHOLD_CLI_QUIET_HOURS_H
#define MAILHOLD_CLI_QUIET_HOURS_H

#include "base/err.h"

struct quiet_hours {
	int16_t from, to; /* minutes of the day; equal: none */
};
MUST_CHECK enum err_code quiet_hours_parse(const char *text, struct quiet_hours *out, struct err *e);
bool quiet_hours_at(const struct quiet_hours *q, int minute_of_day);
bool quiet_hours_now(const struct quiet_hours *q);

#endif
