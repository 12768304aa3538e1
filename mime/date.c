#include "base/clock.h"
#include "base/text.h"
#include "mime.h"

/* Past white space, commas and (nested) comments. */
static void skip_blanks(struct span *s)
{
	unsigned depth = 0;
	size_t i = 0;

	for (; i < s->len; i++) {
		uint8_t c = s->ptr[i];

		if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (c == '\\' && depth)
			i++;
		else if (!depth && !(c == ' ' || c == ',' || (c >= '\t' && c <= '\r')))
			break;
	}
	*s = span_skip(*s, i);
}

static bool take_char(struct span *s, uint8_t c)
{
	if (!s->len || s->ptr[0] != c)
		return false;
	*s = span_skip(*s, 1);
	return true;
}

/* A number of at most 4 digits; DIGITS tells how many. */
static bool take_number(struct span *s, int *out, size_t *digits)
{
	int value = 0;
	size_t n = 0;

	while (n < s->len && n < 5 && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		value = 10 * value + s->ptr[n++] - '0';
	if (n < 1 || n > 4)
		return false;
	*s = span_skip(*s, n);
	*out = value;
	*digits = n;
	return true;
}

static struct span take_word(struct span *s)
{
	struct span word;
	size_t n = 0;

	while (n < s->len && text_lower(s->ptr[n]) >= 'a' && text_lower(s->ptr[n]) <= 'z')
		n++;
	word = span_first(*s, n);
	*s = span_skip(*s, n);
	return word;
}

static int month_of(struct span word)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12 && word.len >= 3; i++)
		if (text_equal_nocase(span_first(word, 3), span_of(names + 3 * i, 3)))
			return i + 1;
	return 0;
}

/* "+0200", "+02:00", "GMT", "EST", "Z"; what is unknown counts as UTC (RFC 5322, 4.3). */
static int take_zone(struct span *s)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
		      { "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };
	bool east = take_char(s, '+'), west = !east && take_char(s, '-');
	struct span word;
	size_t digits;
	int number, minutes;

	if (east || west) {
		if (!take_number(s, &number, &digits))
			return 0;
		if (digits <= 2 && take_char(s, ':') && take_number(s, &minutes, &digits))
			number = 100 * number + minutes;
		if (number % 100 > 59 || number / 100 > 23)
			return 0;
		number = number / 100 * 60 + number % 100;
		return east ? number : -number;
	}
	word = take_word(s);
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (text_equal_nocase(word, span_cstr(zones[i].name)))
			return 60 * zones[i].hours;
	return 0;
}

struct civil {
	int year, month, day, hour, minute, second;
};

static bool take_time(struct span *s, struct civil *c)
{
	size_t digits;

	if (!take_number(s, &c->hour, &digits))
		return false;
	if (!take_char(s, ':') && !take_char(s, '.'))
		return false;
	if (!take_number(s, &c->minute, &digits))
		return false;
	if (take_char(s, ':') || take_char(s, '.')) {
		if (!take_number(s, &c->second, &digits))
			return false;
		if (c->second == 60)
			c->second = 59; /* a leap second; they do not exist in clock.h */
	}
	return true;
}

static bool take_year(struct span *s, int *year)
{
	size_t digits;

	if (!take_number(s, year, &digits))
		return false;
	if (digits == 2)
		*year += *year < 50 ? 2000 : 1900;
	else if (digits == 3)
		*year += 1900;
	return true;
}

static void skip_dash(struct span *s)
{
	skip_blanks(s);
	take_char(s, '-');
	skip_blanks(s);
}

/* "22 Nov 2026 20:15[:03] +0100", or as asctime writes it: "Nov 22 20:15:03 2026". */
static bool take_date(struct span *s, struct civil *c)
{
	struct span word;
	size_t digits;
	bool asctime_form;

	skip_blanks(s);
	word = take_word(s);
	skip_blanks(s);
	c->month = s->len && (s->ptr[0] < '0' || s->ptr[0] > '9') ? month_of(take_word(s)) : 0;
	if (!c->month && s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9')
		c->month = month_of(word); /* asctime without its day name */
	asctime_form = c->month != 0;
	skip_blanks(s);
	if (!take_number(s, &c->day, &digits))
		return false;
	skip_dash(s);
	if (asctime_form) {
		if (!take_time(s, c))
			return false;
		skip_blanks(s);
		return take_year(s, &c->year);
	}
	c->month = month_of(take_word(s));
	skip_dash(s);
	if (!c->month || !take_year(s, &c->year))
		return false;
	skip_blanks(s);
	return s->len == 0 || take_time(s, c); /* a bare date is its start */
}

bool mime_date(struct span value, int64_t *time_ms, int16_t *zone_minutes)
{
	struct civil c = { 0 };
	int zone;
	int64_t time;

	if (!take_date(&value, &c))
		return false;
	skip_blanks(&value);
	zone = take_zone(&value);
	if (!clock_civil(c.year, c.month, c.day, c.hour, c.minute, c.second, zone, &time))
		return false;
	*time_ms = time;
	*zone_minutes = (int16_t)zone;
	return true;
}
