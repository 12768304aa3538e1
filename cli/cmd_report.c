/* report: the signed reports of restores. */
#include "command.h"

#include <jansson.h>

#include "base/text.h"
#include "report_file.h"

struct telling {
	const struct report_checked *report;
	struct line *line;
	bool told;
};

static enum err_code tell_key(void *ctx, const struct key_info *k, struct err *e)
{
	struct telling *t = ctx;

	(void)e;
	if (memcmp(&k->id, &t->report->holder, sizeof k->id) != 0)
		return ERR_OK;
	line_printf(t->line, "%.8s", k->id_hex);
	if (k->label.len) {
		line_printf(t->line, " (");
		line_safe(t->line, k->label);
		line_printf(t->line, ")");
	}
	t->told = true;
	return ERR_OK;
}

static const char *member(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "?";
}

static void line_number(struct line *l, const json_t *row, const char *name, const char *what)
{
	json_int_t n = json_integer_value(json_object_get(row, name));

	if (n > 0)
		line_printf(l, ", %s %s", number_text((uint64_t)n).text, what);
}

/* What the lines say is true now that they are known to be genuine. */
static enum err_code tell_words(struct cli *c, const struct report_checked *report, const json_t *first,
                                const json_t *last, struct err *e)
{
	struct line l = line_new(e);
	struct telling t = { .report = report, .line = &l };
	enum err_code rc;

	line_printf(&l, "genuine: signed by ");
	rc = repo_keys(c->repo, tell_key, &t, e);
	line_printf(&l, "; every one of its %s lines is as it was written", number_text(report->lines).text);
	if (!rc)
		rc = line_put(&l);
	if (!rc) {
		line_printf(&l, "%.19s: snapshot %.8s of ", member(first, "time"), member(first, "snapshot"));
		line_safe(&l, span_cstr(member(first, "account")));
		line_printf(&l, " to ");
		line_safe(&l, span_cstr(member(first, "to")));
		line_number(&l, last, "items_put", "put");
		line_number(&l, last, "items_present", "there already");
		line_number(&l, last, "items_mended", "of them mended");
		line_number(&l, last, "items_failed", "failed");
		line_number(&l, last, "items_differ", "differ from what was put");
		if (strcmp(member(last, "type"), "summary") != 0) {
			line_printf(&l, ", broken off: ");
			line_safe(&l, span_cstr(member(last, "message")));
		}
		rc = line_put(&l);
	}
	line_release(&l);
	return rc;
}

static enum err_code tell_json(const struct report_checked *report, struct err *e)
{
	char holder[2 * ID16_BYTES + 1];
	struct row row = row_new("report");

	text_hex(span_of(report->holder.bytes, ID16_BYTES), holder);
	row_bool(&row, "genuine", true);
	row_cstr(&row, "holder", holder);
	row_number(&row, "lines", report->lines);
	return row_put(&row, e);
}

static enum err_code verify(struct cli *c, const char *path, struct err *e)
{
	struct report_checked report = { .lines = 0 };
	json_t *first = NULL, *last = NULL;
	enum err_code rc = cli_open(c, e);

	if (!rc)
		rc = report_file_verify(path, c->repo, &report, e);
	if (!rc && c->g.json)
		rc = tell_json(&report, e);
	if (!rc && !c->g.json && !c->g.quiet) {
		first = json_loadb((const char *)report.first.ptr, report.first.len, 0, NULL);
		last = json_loadb((const char *)report.last.ptr, report.last.len, 0, NULL);
		rc = tell_words(c, &report, first, last, e);
	}
	json_decref(first);
	json_decref(last);
	report_checked_release(&report);
	return rc;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	(void)values;
	if (strcmp(words->items[0], "verify") != 0)
		return err_set(e, ERR_USAGE, "report can verify; '%s' is unknown",
		               text_name(span_cstr(words->items[0])).text);
	return verify(c, words->items[1], e);
}

const struct command command_report = {
	.name = "report",
	.words = "verify FILE",
	.summary = "whether a restore's report is genuine",
	.details = "verify  compare every byte of the report that restore --report wrote with its signature: made by a "
	           "key "
	           "of this\n"
	           "        repository, and not changed since. The exit code is 0 only then.\n",
	.examples = "mailhold restore ann@latest --to imaps://ann@imap.example.net --report ann.report\n"
	            "mailhold report verify ann.report",
	.words_min = 2,
	.words_max = 2,
	.run = run,
};
