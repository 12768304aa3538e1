#include "quiet_hours.h"

#include <time.h>

#include "base/text.h"

/* "HH:MM", 00:00 to 24:00. */
static bool minutes_of(struct span s, int16_t *out)
{
	uint64_t hours, minutes;

	if (s.len != 5 || s.ptr[2] != ':' || !text_number(span_first(s, 2), 24, &hours) ||
	    !text_number(span_skip(s, 3), 59, &minutes) || hours * 60 + minutes > 24 * 60)
		return false;
	*out = (int16_t)(hours * 60 + minutes);
	return true;
}

enum err_code quiet_hours_parse(const char *text, struct quiet_hours *out, struct err *e)
{
	struct span s = span_cstr(text);
	struct quiet_hours q;

	if (s.len != 11 || s.ptr[5] != '-' || !minutes_of(span_first(s, 5), &q.from) ||
	    !minutes_of(span_skip(s, 6), &q.to) || q.from == q.to)
		return err_set(e, ERR_USAGE, "quiet hours are written 08:00-18:00");
	*out = q;
	return ERR_OK;
}

bool quiet_hours_at(const struct quiet_hours *q, int minute_of_day)
{
	if (q->from < q->to)
		return minute_of_day >= q->from && minute_of_day < q->to;
	return q->from != q->to && (minute_of_day >= q->from || minute_of_day < q->to);
}

bool quiet_hours_now(const struct quiet_hours *q)
{
	time_t now = time(NULL);
	struct tm local;

	if (q->from == q->to || !localtime_r(&now, &local))
		return false;
	return quiet_hours_at(q, local.tm_hour * 60 + local.tm_min);
}
