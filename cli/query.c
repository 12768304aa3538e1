#include "query.h"

#include "base/clock.h"
#include "base/text.h"

static struct span maybe(const char *s)
{
	return s ? span_cstr(s) : SPAN_EMPTY;
}

/* A, A..B, ..B, A.. with B's whole day. */
static enum err_code date_range(struct cli *c, const char *text, struct find_query *q, struct err *e)
{
	const char *dots = strstr(text, ".."), *last = dots ? dots + 2 : text;
	char first[64];
	size_t len = dots ? (size_t)(dots - text) : strlen(text);
	enum err_code rc = ERR_OK;

	if (len >= sizeof first)
		return err_set(e, ERR_USAGE, "not a range of dates: write 2026-01-01..2026-03-31");
	memcpy(first, text, len);
	first[len] = 0;
	if (len)
		rc = clock_parse(first, c->now_ms, false, &q->after_ms, e);
	if (!rc && *last)
		rc = clock_parse(last, c->now_ms, true, &q->before_ms, e);
	return rc;
}

static enum err_code query_dates(struct cli *c, const struct query_values *v, struct find_query *q, struct err *e)
{
	enum err_code rc = ERR_OK;

	q->after_ms = INT64_MIN;
	q->before_ms = INT64_MAX;
	if (v->date)
		rc = date_range(c, v->date, q, e);
	if (!rc && v->after)
		rc = clock_parse(v->after, c->now_ms, false, &q->after_ms, e);
	if (!rc && v->before) {
		rc = clock_parse(v->before, c->now_ms, false, &q->before_ms, e);
		q->before_ms -= !rc;
	}
	return rc;
}

bool query_given(const struct query_values *v)
{
	return v->from || v->to || v->subject || v->date || v->after || v->before || v->message_id || v->attachment ||
	       v->kind || v->collection || v->place;
}

enum err_code query_read(struct cli *c, const struct query_values *v, struct buf *collection, struct find_query *q,
                         struct err *e)
{
	enum err_code rc = query_dates(c, v, q, e);

	q->account = v->account;
	q->from = maybe(v->from);
	q->to = maybe(v->to);
	q->title = maybe(v->subject);
	q->message_id = maybe(v->message_id);
	q->file = maybe(v->attachment);
	q->place = maybe(v->place);
	if (!rc && v->kind && !item_kind_of_name(span_cstr(v->kind), &q->kind))
		rc = err_set(e, ERR_USAGE, "--kind is mail, event, task, contact, note, rule, settings or other");
	if (!rc && v->collection)
		rc = text_unpercent(collection, span_cstr(v->collection), e);
	q->collection = buf_span(collection);
	return rc;
}
