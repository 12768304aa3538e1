#include "restore_tell.h"

#include "base/text.h"
#include "connector/connector.h"

static const char *verdict_name(const struct restore_step *s)
{
	static const char *const names[] = {
		[SINK_PUT] = "put",         [SINK_PRESENT] = "present", [SINK_CLASH] = "clash",
		[SINK_RENAMED] = "renamed", [SINK_LATER] = "put",       [SINK_MISSING] = "missing"
	};

	return s->failed ? "failed" : s->item ? names[s->verdict] : "collection";
}

static json_t *change_names(unsigned changes)
{
	static const char *const names[] = { "line-ends", "mended", "flags-lost", "flags-set", "elsewhere" };
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (changes & 1u << i)
			array_add(&list, json_string(names[i]));
	return list;
}

static struct row step_row(const struct restoring *r, const struct restore_step *s)
{
	struct row row = row_new(verdict_name(s));

	row_name(&row, "collection", s->collection);
	if (s->item) {
		row_place(&row, "place", view_snapshot(r->view)->id_hex, s->collection, s->item->key);
		row_name(&row, "key", s->item->key);
		row_number(&row, "bytes", s->item->bytes);
	}
	if (s->target.len)
		row_text(&row, "target", s->target);
	if (s->changes)
		row_array(&row, "changes", change_names(s->changes));
	if (s->changes & SINK_FLAGS_SET && r->server.plan_only) {
		row_text(&row, "flags_there", s->flags_there);
		row_text(&row, "flags", s->flags);
	}
	if (s->note && *s->note)
		row_cstr(&row, "note", s->note);
	if (s->failed) {
		row_cstr(&row, "code", err_code_name(s->failed->code));
		row_cstr(&row, "message", s->failed->text);
	}
	return row;
}

static void line_flags(struct line *l, struct span flags)
{
	line_safe(l, flags.len ? flags : SPAN_LIT("none"));
}

static enum err_code tell_plan(struct restoring *r, const struct restore_step *s, struct err *e)
{
	struct line *l = &r->line;

	if (r->plan_file || r->c->g.json) {
		struct row row = step_row(r, s);

		return r->plan_file ? row_put_file(&row, r->plan_file, r->v->plan.text, e) : row_put(&row, e);
	}
	line_printf(l, "%-10s ", verdict_name(s));
	if (s->item)
		line_place(l, snapshot_short(view_snapshot(r->view)).text, s->collection, s->item->key);
	else
		line_name(l, s->collection);
	if (s->target.len) {
		line_printf(l, " → ");
		line_safe(l, s->target);
	}
	if (s->changes & SINK_FLAGS_SET) {
		line_printf(l, "  flags ");
		line_flags(l, s->flags_there);
		line_printf(l, " → ");
		line_flags(l, s->flags);
	}
	if (s->failed) {
		line_printf(l, ": ");
		line_safe(l, span_cstr(s->failed->text));
	}
	return line_put(l);
}

/* Something that did not simply work. */
static enum err_code tell_trouble(struct restoring *r, const struct restore_step *s, struct err *e)
{
	struct buf place = BUF_EMPTY;
	struct err why;
	enum err_code rc;

	if (r->c->g.json) {
		struct row row = step_row(r, s);

		return row_put(&row, e);
	}
	if (!s->failed && (s->verdict == SINK_RENAMED || s->changes == SINK_FLAGS_LOST) && !r->c->g.verbose)
		return ERR_OK;
	rc = place_print(&place, snapshot_short(view_snapshot(r->view)).text, s->collection,
	                 s->item ? s->item->key : SPAN_EMPTY, e);
	if (!rc)
		rc = buf_append(&place, span_of("", 1), e);
	if (!rc && !s->failed && s->verdict == SINK_RENAMED) {
		cli_note(r->c, "%s got another name: %.*s", (const char *)place.ptr, (int)s->target.len,
		         s->target.len ? (const char *)s->target.ptr : "");
	} else if (!rc && !s->failed && s->changes) {
		cli_note(r->c, "%s: %s", (const char *)place.ptr,
		         s->changes & SINK_MENDED ? s->note : "the server keeps not all of its flags");
	} else if (!rc) {
		err_set(&why, ERR_EXISTS, "something else has its place (--collision copy or replace decides)");
		cli_report(r->c, (const char *)place.ptr, s->failed ? s->failed : &why);
	}
	buf_release(&place);
	return rc;
}

/* Worth a word even where nobody keeps a report: as struct restore_options has it. */
static bool is_trouble(const struct restore_step *s)
{
	return s->failed || s->verdict == SINK_CLASH || s->verdict == SINK_RENAMED ||
	       (s->changes & (SINK_MENDED | SINK_FLAGS_LOST));
}

enum err_code restore_tell_step(void *ctx, const struct restore_step *s, struct err *e)
{
	struct restoring *r = ctx;
	enum err_code rc = cli_go_on(e);

	if (rc)
		return rc;
	if (r->report.file) {
		struct row row = step_row(r, s);

		report_file_add(&r->report, &row);
		if (!is_trouble(s))
			return ERR_OK;
	}
	if (!r->v->plan.given && !r->v->dry_run)
		return tell_trouble(r, s, e);
	progress_clear(&r->c->progress);
	return tell_plan(r, s, e);
}

static struct row summary_row(const struct restoring *r, const struct restore_report *report, bool plan_only)
{
	struct row row = row_new("summary");

	row_cstr(&row, "snapshot", view_snapshot(r->view)->id_hex);
	row_cstr(&row, "to", r->to.url);
	row_cstr(&row, "into", r->into);
	row_bool(&row, "plan", plan_only);
	row_number(&row, "items_wanted", r->v->apply ? r->applied.items : report->items_wanted);
	row_number(&row, "collections", report->collections);
	row_number(&row, "items_put", report->items_put);
	row_number(&row, "bytes_put", report->bytes_put);
	row_number(&row, "items_present", report->items_present);
	row_number(&row, "items_renamed", report->items_renamed);
	row_number(&row, "items_clashed", report->items_clashed);
	row_number(&row, "items_failed", report->items_failed);
	if (connector_is_server(r->to.url)) {
		row_number(&row, "items_missing", report->items_missing);
		row_number(&row, "items_elsewhere", report->items_elsewhere);
		row_number(&row, "items_line_ends", report->items_line_ends);
		row_number(&row, "items_mended", report->items_mended);
		row_number(&row, "items_flags_lost", report->items_flags_lost);
		row_number(&row, "items_flags_set", report->items_flags_set);
		row_number(&row, "items_read_back", report->checked.items);
		row_number(&row, "bodies_read_back", report->checked.bodies);
		row_number(&row, "items_differ", report->checked.differ);
		row_number(&row, "bodies_altered", report->checked.altered);
	}
	return row;
}

static enum err_code summary_json(const struct restoring *r, const struct restore_report *report, bool plan_only,
                                  struct err *e)
{
	struct row row = summary_row(r, report, plan_only);

	return r->plan_file ? row_put_file(&row, r->plan_file, r->v->plan.text, e) : row_put(&row, e);
}

/* What the server made of it. */
static enum err_code server_words(struct line *l, const struct restore_report *report)
{
	const struct sink_check *c = &report->checked;
	const struct {
		uint64_t n;
		const char *what;
	} parts[] = { { report->items_flags_set, "got their flags back" },
		      { report->items_missing, "are not there" },
		      { report->items_line_ends, "had LF at their line ends and have CRLF there" },
		      { report->items_mended, "were changed because the server refuses their bytes" },
		      { report->items_flags_lost, "lost keywords that the server does not keep" },
		      { c->altered, "of those read back whole differ in line ends only" },
		      { c->differ, "differ from what was put" } };
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < ARRAY_LEN(parts); i++)
		if (parts[i].n) {
			line_printf(l, "%s %s", number_text(parts[i].n).text, parts[i].what);
			rc = line_put(l);
		}
	if (rc || !c->items)
		return rc;
	line_printf(l, "read back: size, flags and date of %s, every byte of %s: %s", number_text(c->items).text,
	            number_text(c->bodies).text, c->differ ? "see above" : "all as they should be");
	return line_put(l);
}

static enum err_code summary_words(struct restoring *r, const struct restore_report *report, bool plan_only,
                                   struct err *e)
{
	struct line *l = &r->line;
	enum err_code rc;

	(void)e;
	line_printf(l, "%s %s items (%s) to ", plan_only ? "would restore" : "restored",
	            number_text(report->items_put).text, text_size(report->bytes_put).text);
	line_safe(l, span_cstr(r->to.url));
	if (*r->into) {
		line_printf(l, ", folder '");
		line_safe(l, span_cstr(r->into));
		line_printf(l, "'");
	}
	line_printf(l, "; %s were there already", number_text(report->items_present).text);
	if (report->items_elsewhere)
		line_printf(l, " (%s of them in other folders)", number_text(report->items_elsewhere).text);
	if (plan_only && report->items_flags_set)
		line_printf(l, "; %s would get their flags back", number_text(report->items_flags_set).text);
	if (report->items_renamed)
		line_printf(l, ", %s under another name", number_text(report->items_renamed).text);
	if (report->items_clashed)
		line_printf(l, ", %s left out because something else has their place",
		            number_text(report->items_clashed).text);
	if (report->items_failed)
		line_printf(l, ", %s failed", number_text(report->items_failed).text);
	rc = line_put(l);
	return rc || plan_only || !connector_is_server(r->to.url) ? rc : server_words(l, report);
}

enum err_code restore_tell_summary(struct restoring *r, const struct restore_report *report, bool plan_only,
                                   struct err *e)
{
	progress_clear(&r->c->progress);
	cli_reports_end(r->c);
	if (report->items_failed || report->items_clashed || report->items_missing || report->checked.differ)
		r->c->incomplete = true;
	if (r->v->apply && r->applied.met < r->applied.items) {
		r->c->incomplete = true;
		cli_note(r->c, "%s items of the plan were not met: this restore has no such items",
		         number_text(r->applied.items - r->applied.met).text);
	}
	if (r->c->g.json || r->plan_file)
		return summary_json(r, report, plan_only, e);
	return r->c->g.quiet ? ERR_OK : summary_words(r, report, plan_only, e);
}

/* ---- the signed report ---- */

void restore_remark(void *ctx, const char *what, const struct err *why)
{
	struct restoring *r = ctx;
	struct row row = row_new(connector_is_server(r->to.url) ? "differs" : "remark");

	cli_report(r->c, what, why);
	row_text(&row, "what", span_cstr(what));
	row_cstr(&row, "code", err_code_name(why->code));
	row_text(&row, "message", span_cstr(why->text));
	report_file_add(&r->report, &row);
}

void restore_begin_report(struct restoring *r)
{
	const struct snapshot_info *s = view_snapshot(r->view);
	struct row row = row_new("report");
	struct repo_info info;
	char id[2 * ID16_BYTES + 1];

	repo_describe(r->c->repo, &info);
	text_hex(span_of(info.id.bytes, ID16_BYTES), id);
	row_number(&row, "version", 1);
	row_cstr(&row, "program", engine_version());
	row_time(&row, "time", r->c->now_ms);
	row_cstr(&row, "repository", id);
	row_cstr(&row, "head", info.head);
	row_cstr(&row, "snapshot", s->id_hex);
	row_text(&row, "account", s->account);
	row_time(&row, "snapshot_time", s->time_ms);
	row_cstr(&row, "to", r->to.url);
	row_cstr(&row, "into", r->into);
	row_bool(&row, "missing_only", r->v->missing_only);
	row_bool(&row, "flags_only", r->v->flags_only);
	row_bool(&row, "repair_bytes", r->v->repair_bytes);
	report_file_add(&r->report, &row);
}

enum err_code restore_end_report(struct restoring *r, const struct restore_report *report, enum err_code rc,
                                 struct err *e)
{
	struct row row = rc ? row_new("ended") : summary_row(r, report, false);

	if (rc) {
		row_cstr(&row, "code", err_code_name(rc));
		row_text(&row, "message", span_cstr(e->text));
	}
	report_file_add(&r->report, &row);
	if (!rc)
		return report_file_sign(&r->report, r->c->repo, e);
	(void)!report_file_sign(&r->report, r->c->repo, &(struct err){ 0 });
	return rc;
}

/* ---- undo ---- */

enum err_code restore_tell_undo(struct restoring *r, const struct server_undo *did, struct err *e)
{
	bool plan = r->server.plan_only;
	struct line *l = &r->line;

	if (r->c->g.json) {
		struct row row = row_new("undo");

		row_cstr(&row, "snapshot", view_snapshot(r->view)->id_hex);
		row_cstr(&row, "to", r->to.url);
		row_bool(&row, "plan", plan);
		row_number(&row, "items_removed", did->removed);
		row_number(&row, "items_gone", did->gone);
		row_number(&row, "items_kept", did->kept);
		row_number(&row, "collections_removed", did->folders);
		return row_put(&row, e);
	}
	line_printf(l, "%s %s messages and %s empty folders from ", plan ? "would take" : "took",
	            number_text(did->removed).text, number_text(did->folders).text);
	line_safe(l, span_cstr(r->to.url));
	if (did->gone)
		line_printf(l, "; %s were there no more", number_text(did->gone).text);
	if (did->kept)
		line_printf(l, "; %s could not be taken away", number_text(did->kept).text);
	return line_put(l);
}
