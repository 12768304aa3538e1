#include "keep.h"

#include "base/clock.h"
#include "base/text.h"

static const char *const period_names[KEEP_PERIODS] = { "last",    "hourly",    "daily", "weekly",
	                                                "monthly", "quarterly", "yearly" };

bool keep_given(const struct keep_values *v)
{
	for (int i = 0; i < KEEP_PERIODS; i++)
		if (v->count[i] || v->within[i])
			return true;
	return v->tags.count > 0;
}

enum err_code read_duration(struct cli *c, const char *name, const char *text, int64_t *out, struct err *e)
{
	size_t len = strlen(text);
	uint64_t number;
	int64_t since;
	enum err_code rc;

	if (!strcmp(text, "0")) {
		*out = 0;
		return ERR_OK;
	}
	/* Dates and "today" are times as well; a length of time is digits and one letter. */
	if (len < 2 || !strchr("hdwmy", text[len - 1]) || !text_number(span_of(text, len - 1), 100000, &number))
		return err_set(e, ERR_USAGE, "--%s wants a length of time such as 12h, 3d, 2w, 6m or 1y, not '%s'",
		               name, text_name(span_cstr(text)).text);
	rc = clock_parse(text, c->now_ms, false, &since, e);
	if (rc)
		return err_note(e, "in --%s", name);
	*out = c->now_ms - since;
	return ERR_OK;
}

static enum err_code read_count(int period, const char *text, uint32_t *out, struct err *e)
{
	uint64_t n;

	if (!strcmp(text, "all")) {
		*out = UINT32_MAX;
		return ERR_OK;
	}
	if (!text_number(span_cstr(text), 1000000, &n))
		return err_set(e, ERR_USAGE, "--keep-%s wants a number or 'all', not '%s'", period_names[period],
		               text_name(span_cstr(text)).text);
	*out = (uint32_t)n;
	return ERR_OK;
}

static enum err_code read_policy(struct cli *c, const struct keep_values *v, bool dry_run, struct forget_policy *out,
                                 struct err *e)
{
	char name[40];
	enum err_code rc = ERR_OK;

	*out = (struct forget_policy){ .account = v->account,
		                       .keep_tags = v->tags.items,
		                       .keep_tag_count = v->tags.count,
		                       .force = v->force,
		                       .dry_run = dry_run };
	for (int i = 0; !rc && i < KEEP_PERIODS; i++) {
		if (v->count[i])
			rc = read_count(i, v->count[i], &out->keep[i], e);
		snprintf(name, sizeof name, "keep-within%s%s", i == KEEP_LAST ? "" : "-",
		         i == KEEP_LAST ? "" : period_names[i]);
		if (!rc && v->within[i])
			rc = read_duration(c, name, v->within[i], &out->keep_within_ms[i], e);
	}
	return rc;
}

/* ---- telling ---- */

struct telling {
	struct cli *c;
	bool dry_run;
	struct buf *gone;
};

static const char *done_words(const struct telling *t, const struct forget_verdict *v)
{
	if (v->keep)
		return "keep";
	if (v->held)
		return "held back";
	return t->dry_run ? "would forget" : "forgot";
}

static json_t *reason_array(const char *reasons)
{
	json_t *array = json_array();

	while (array && *reasons) {
		size_t len = strcspn(reasons, ",");

		array_add_text(&array, span_of(reasons, len));
		reasons += len + strspn(reasons + len, ", ");
	}
	return array;
}

static enum err_code visit(void *ctx, const struct forget_verdict *v, struct err *e)
{
	struct telling *t = ctx;
	struct line line;
	enum err_code rc = cli_go_on(e);

	if (!rc && t->gone && !v->keep && !v->held)
		rc = buf_append(t->gone, span_of(&v->snapshot->id, sizeof v->snapshot->id), e);
	if (rc)
		return rc;
	if (t->c->g.json) {
		struct row r = snapshot_row(v->snapshot, done_words(t, v));

		if (v->hold.len)
			row_text(&r, "hold", v->hold);
		row_array(&r, "reasons", reason_array(v->reasons));
		return row_put(&r, e);
	}
	if (t->c->g.quiet || (v->keep && !t->dry_run))
		return ERR_OK;
	line = line_new(e);
	line_printf(&line, "%-12s  ", done_words(t, v));
	if (!line.rc)
		line.rc = snapshot_words(v->snapshot, &line.text, e);
	line_printf(&line, "  (%s", v->reasons);
	if (v->hold.len) {
		line_printf(&line, "; hold ");
		line_safe(&line, v->hold);
	}
	line_printf(&line, ")");
	rc = line_put(&line);
	line_release(&line);
	return rc;
}

enum err_code keep_apply(struct cli *c, const struct keep_values *v, bool dry_run, struct buf *gone, struct err *e)
{
	struct telling t = { c, dry_run, gone };
	struct forget_policy policy;
	struct forget_report report;
	enum err_code rc = read_policy(c, v, dry_run, &policy, e);

	if (!rc && !c->repo)
		rc = cli_open(c, e);
	if (!rc)
		rc = engine_forget_policy(c->repo, &policy, visit, &t, &report, e);
	if (rc)
		return rc;
	c->incomplete |= report.held > 0;
	if (!c->g.json)
		cli_note(c, "%s snapshots stay, %s %s to the trash%s", number_text(report.kept).text,
		         number_text(report.forgotten).text, dry_run ? "would go" : "went",
		         report.held ? "; accounts that were held back are told above" : "");
	return ERR_OK;
}
