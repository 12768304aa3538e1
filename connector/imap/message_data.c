#include "message_data.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "item/item.h"

#define NAME_BYTES 48

enum err_code message_read(struct wire *w, message_item item, void *ctx, struct err *e)
{
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server sent a message without its list");
	while (!rc) {
		char name[NAME_BYTES];

		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind != WIRE_ATOM)
			return err_set(e, ERR_CORRUPT, "the server sent a strange message");
		snprintf(name, sizeof name, "%.*s", (int)t.text.len, (const char *)t.text.ptr);
		rc = item(ctx, w, name, e);
	}
	return rc ? rc : wire_skip_line(w, e);
}

enum err_code message_pass(struct wire *w, struct err *e)
{
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	return rc ? rc : wire_skip_value(w, &t, e);
}

enum err_code message_uid(struct wire *w, uint32_t *out, struct err *e)
{
	uint64_t number = 0;
	enum err_code rc = message_number(w, &number, e);

	if (!rc)
		*out = (uint32_t)(number <= UINT32_MAX ? number : 0);
	return rc;
}

static int compare_words(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return span_compare(*x, *y);
}

enum err_code message_flags(struct wire *w, struct buf *out, struct err *e)
{
	struct buf bytes = BUF_WITH_MAX(ITEM_STATE_BYTES_MAX);
	struct span words[256];
	size_t ends[256], count = 0;
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	buf_clear(out);
	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server sent flags without their list");
	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind != WIRE_ATOM)
			rc = err_set(e, ERR_CORRUPT, "the server sent a strange flag");
		else if (count < ARRAY_LEN(words) && !text_equal_nocase(t.text, SPAN_LIT("\\Recent")) &&
		         bytes.len + t.text.len < ITEM_STATE_BYTES_MAX / 2) {
			rc = buf_append(&bytes, t.text, e);
			ends[count++] = bytes.len;
		}
	}
	for (size_t i = 0; i < count; i++)
		words[i] = span_of(bytes.ptr + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0));
	if (count)
		qsort(words, count, sizeof *words, compare_words);
	for (size_t i = 0; !rc && i < count; i++) {
		if (i)
			rc = buf_append(out, SPAN_LIT(" "), e);
		if (!rc)
			rc = buf_append(out, words[i], e);
	}
	buf_release(&bytes);
	return rc;
}

enum err_code message_number(struct wire *w, uint64_t *out, struct err *e)
{
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc && (t.kind != WIRE_ATOM || !text_number(t.text, UINT64_MAX, out)))
		rc = err_set(e, ERR_CORRUPT, "the server sent '%s' where a number belongs", text_name(t.text).text);
	return rc;
}

bool message_date(struct span text, int64_t *date_s, int16_t *zone_minutes)
{
	static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
	char line[40], month[4], sign;
	unsigned day, year, hour, minute, second, zone;
	const char *at;
	int64_t ms;
	int offset;

	snprintf(line, sizeof line, "%.*s", (int)text.len, (const char *)text.ptr);
	if (sscanf(line, " %2u-%3[A-Za-z]-%4u %2u:%2u:%2u %c%4u", &day, month, &year, &hour, &minute, &second, &sign,
	           &zone) != 8 ||
	    (sign != '+' && sign != '-'))
		return false;
	for (char *c = month; *c; c++)
		*c = (char)text_lower((uint8_t)*c);
	at = strstr(months, month);
	if (!at || (at - months) % 3 || strlen(month) != 3)
		return false;
	offset = (int)(zone / 100 * 60 + zone % 100) * (sign == '-' ? -1 : 1);
	if (!clock_civil((int)year, (int)(at - months) / 3 + 1, (int)day, (int)hour, (int)minute, (int)second, offset,
	                 &ms))
		return false;
	*date_s = ms / 1000;
	*zone_minutes = (int16_t)offset;
	return true;
}
