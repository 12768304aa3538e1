#include "clock.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int16_t clock_zone_minutes(int64_t time_ms)
{
	time_t seconds = (time_t)floor_div(time_ms, 1000);
	struct tm local;

	return localtime_r(&seconds, &local) ? (int16_t)(local.tm_gmtoff / 60) : 0;
}

static struct clock_text format(int64_t time_ms, int16_t zone_minutes, bool rfc3339)
{
	struct clock_text out;
	time_t seconds = (time_t)floor_div(time_ms, 1000) + zone_minutes * 60;
	int ms = (int)(time_ms - floor_div(time_ms, 1000) * 1000);
	int zone = zone_minutes < 0 ? -zone_minutes : zone_minutes;
	char date[14] = "", hour[9] = "", fraction[6] = "";
	struct tm t;

	if (!gmtime_r(&seconds, &t)) {
		snprintf(out.text, sizeof out.text, "(time %lld ms)", (long long)time_ms);
		return out;
	}
	strftime(date, sizeof date, "%Y-%m-%d", &t);
	strftime(hour, sizeof hour, "%H:%M:%S", &t);
	if (rfc3339)
		snprintf(fraction, sizeof fraction, ".%03d", ms % 1000);
	snprintf(out.text, sizeof out.text, "%s%c%s%s%s%c%02d:%02d", date, rfc3339 ? 'T' : ' ', hour, fraction,
	         rfc3339 ? "" : " ", zone_minutes < 0 ? '-' : '+', zone / 60 % 100, zone % 60);
	return out;
}

struct clock_text clock_format(int64_t time_ms, int16_t zone_minutes)
{
	return format(time_ms, zone_minutes, false);
}

struct clock_text clock_format_rfc3339(int64_t time_ms, int16_t zone_minutes)
{
	return format(time_ms, zone_minutes, true);
}

int64_t clock_days(int year, int month, int day)
{
	/* Days from civil, H. Hinnant's derivation: years start in March, eras are 400 years. */
	int64_t y = year - (month <= 2);
	int64_t era = floor_div(y, 400);
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

bool clock_civil(int year, int month, int day, int hour, int minute, int second, int zone_minutes, int64_t *out)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (year < -9999 || year > 9999 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 ||
	    minute > 59 || second < 0 || second > 60 || zone_minutes < -1439 || zone_minutes > 1439)
		return false;
	if (day > lengths[month - 1] + (month == 2 && leap))
		return false;
	*out = (clock_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone_minutes * 60) * 1000;
	return true;
}

/* Local civil time to UTC; mktime knows the rules of daylight saving. */
static int64_t local_ms(int year, int month, int day, int hour, int minute, int second)
{
	struct tm t = { .tm_year = year - 1900,
		        .tm_mon = month - 1,
		        .tm_mday = day,
		        .tm_hour = hour,
		        .tm_min = minute,
		        .tm_sec = second,
		        .tm_isdst = -1 };

	return (int64_t)mktime(&t) * 1000;
}

static bool parse_span_back(const char *text, int64_t now_ms, int64_t *out)
{
	int count, used = 0;
	char unit;
	int64_t day = 86400000;

	if (sscanf(text, "%6d%c%n", &count, &unit, &used) != 2 || text[used] || count < 0)
		return false;
	switch (unit) {
	case 'h':
		*out = now_ms - (int64_t)count * 3600000;
		return true;
	case 'd':
		*out = now_ms - count * day;
		return true;
	case 'w':
		*out = now_ms - count * 7 * day;
		return true;
	case 'm':
		*out = now_ms - count * 30 * day;
		return true;
	case 'y':
		*out = now_ms - count * 365 * day;
		return true;
	default:
		return false;
	}
}

static bool parse_zone(const char *text, bool *local, int *minutes)
{
	int hours, mins, used = 0;
	char sign;

	*local = false;
	*minutes = 0;
	if (!*text) {
		*local = true;
		return true;
	}
	if (!strcmp(text, "Z") || !strcmp(text, "z"))
		return true;
	while (*text == ' ')
		text++;
	if ((sscanf(text, "%c%2d:%2d%n", &sign, &hours, &mins, &used) == 3 ||
	     sscanf(text, "%c%2d%2d%n", &sign, &hours, &mins, &used) == 3) &&
	    !text[used] && (sign == '+' || sign == '-') && hours >= 0 && hours < 24 && mins >= 0 && mins < 60) {
		*minutes = (hours * 60 + mins) * (sign == '-' ? -1 : 1);
		return true;
	}
	return false;
}

enum err_code clock_parse(const char *text, int64_t now_ms, bool end_of_day, int64_t *out, struct err *e)
{
	int year, month, day, hour = 0, minute = 0, second = 0, used = 0, zone, matched;
	bool local, whole_day;
	int64_t value;
	char joint;

	if (!strcmp(text, "now")) {
		*out = now_ms;
		return ERR_OK;
	}
	if (!strcmp(text, "today") || !strcmp(text, "yesterday")) {
		int16_t offset = clock_zone_minutes(now_ms);
		int64_t start = floor_div(now_ms + offset * 60000, 86400000) * 86400000 - offset * 60000;

		if (text[0] == 'y')
			start -= 86400000;
		*out = end_of_day ? start + 86399999 : start;
		return ERR_OK;
	}
	if (parse_span_back(text, now_ms, out))
		return ERR_OK;
	if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3)
		goto unknown;
	text += used;
	whole_day = !*text;
	if (!whole_day) {
		used = 0;
		matched = sscanf(text, "%c%2d:%2d%n", &joint, &hour, &minute, &used);
		if (matched != 3 || !used || (joint != 'T' && joint != 't' && joint != ' '))
			goto unknown;
		text += used;
		if (*text == ':') {
			used = 0;
			if (sscanf(text, ":%2d%n", &second, &used) != 1)
				goto unknown;
			text += used;
			if (*text == '.')
				for (text++; isdigit((unsigned char)*text); text++)
					;
		}
	}
	if (!parse_zone(text, &local, &zone) ||
	    !clock_civil(year, month, day, hour, minute, second, local ? 0 : zone, &value))
		goto unknown;
	if (local)
		value = local_ms(year, month, day, hour, minute, second);
	*out = whole_day && end_of_day ? value + 86399999 : value;
	return ERR_OK;
unknown:
	return err_set(e, ERR_USAGE,
	               "not a date or time (write 2026-11-22, \"2026-11-22 20:15\", 2026-11-22T20:15:03+01:00, "
	               "yesterday or 3d)");
}
