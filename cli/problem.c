#include "problem.h"

#include "base/clock.h"
#include "base/text.h"

#define HOUR_MS ((int64_t)3600 * 1000)
#define DAY_MS  (24 * HOUR_MS)

static void hex_of(const struct snapshot_id *id, char out[2 * ID16_BYTES + 1])
{
	text_hex(span_of(id->bytes, sizeof id->bytes), out);
}

static enum err_code put_row(const struct check_problem *p, struct err *e)
{
	struct row r = row_new("problem");
	char hex[2 * ID16_BYTES + 1];

	row_cstr(&r, "object", p->object);
	row_cstr(&r, "code", err_code_name(p->what->code));
	row_cstr(&r, "message", p->what->text);
	if (p->snapshots) {
		row_name(&r, "collection", p->collection);
		row_name(&r, "key", p->key);
		row_text(&r, "title", p->title);
		row_number(&r, "snapshots", p->snapshots);
		hex_of(&p->first, hex);
		row_cstr(&r, "first_snapshot", hex);
		hex_of(&p->last, hex);
		row_cstr(&r, "last_snapshot", hex);
	}
	return row_put(&r, e);
}

enum err_code problem_put(struct cli *c, const struct check_problem *p, struct err *e)
{
	struct line l;
	char hex[2 * ID16_BYTES + 1];
	enum err_code rc;

	if (c->g.json)
		return put_row(p, e);
	l = line_new(e);
	line_safe(&l, span_cstr(p->object));
	if (p->snapshots > 1) {
		hex_of(&p->last, hex);
		line_printf(&l, " to %.8s (%s snapshots)", hex, number_text(p->snapshots).text);
	}
	line_printf(&l, ": ");
	line_safe(&l, span_cstr(p->what->text));
	if (p->title.len) {
		line_printf(&l, ": ");
		line_safe(&l, p->title);
	}
	rc = line_put(&l);
	line_release(&l);
	return rc;
}

static void put_age(struct line *l, int64_t ms)
{
	if (ms < 2 * HOUR_MS)
		line_printf(l, "the last two hours");
	else if (ms < 2 * DAY_MS)
		line_printf(l, "the last %s hours", number_text((uint64_t)(ms / HOUR_MS) + 1).text);
	else
		line_printf(l, "the last %s days", number_text((uint64_t)(ms / DAY_MS) + 1).text);
}

bool verified_words(struct line *l, int64_t now_ms, const struct engine_verified *v)
{
	uint64_t all = v->bytes + v->never_bytes;

	if (!v->packs)
		return false;
	if (v->never_packs)
		line_printf(l, "%u %% of the data", (unsigned)(v->bytes / (all / 100 + 1)));
	else
		line_printf(l, "all data");
	line_printf(l, " verified within ");
	put_age(l, now_ms > v->oldest_ms ? now_ms - v->oldest_ms : 0);
	if (v->never_packs)
		line_printf(l, ", %s never yet", text_size(v->never_bytes).text);
	return true;
}

void verified_row(struct row *r, const struct engine_verified *v)
{
	struct row one = row_new(NULL);

	row_number(&one, "packs", v->packs);
	row_number(&one, "bytes", v->bytes);
	row_number(&one, "never_packs", v->never_packs);
	row_number(&one, "never_bytes", v->never_bytes);
	row_time(&one, "oldest", v->oldest_ms ? v->oldest_ms : INT64_MIN);
	row_child(r, "verified", &one);
}
