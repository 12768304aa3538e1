#include "command.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "connector/connector.h"
#include "plan_file.h"
#include "report_file.h"
#include "restore_journal.h"
#include "target.h"

enum { DATED_FOLDERS_MAX = 999 };

struct values {
	const char *to, *into, *collision, *verify;
	struct text_list map, include, exclude;
	struct maybe_text plan;
	struct target_login target;
	bool dry_run, flags_only, missing_only, repair_bytes, undo;
	const char *apply, *report;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 't', "to", OPTION_TEXT, "SINK",
	  "where to put the items: a path, maildir:PATH, mbox:PATH, files:PATH, imaps://USER@HOST, or an account",
	  AT(to) },
	{ 0, "into", OPTION_TEXT, "FOLDER", "into this folder of SINK; . for SINK itself, also when it is not empty",
	  AT(into) },
	{ 0, "collision", OPTION_TEXT, "WHAT", "when something else has an item's place: skip (default), copy, replace",
	  AT(collision) },
	{ 0, "map", OPTION_LIST, "OLD=NEW", "put collection OLD to NEW; may be repeated", AT(map) },
	{ 0, "include", OPTION_LIST, "PATTERN", "only collections like this (* and ?); may be repeated", AT(include) },
	{ 0, "exclude", OPTION_LIST, "PATTERN", "no collections like this; may be repeated", AT(exclude) },
	{ 0, "plan", OPTION_MAYBE, "FILE", "only tell what would be done, or write it to FILE as JSON lines",
	  AT(plan) },
	{ 'n', "dry-run", OPTION_FLAG, NULL, "the same as --plan", AT(dry_run) },
	{ 0, "apply", OPTION_TEXT, "FILE", "do what the plan in FILE says, and nothing else", AT(apply) },
	{ 0, "report", OPTION_TEXT, "FILE", "write what was done with every item, signed; for report verify",
	  AT(report) },
	{ 0, "missing-only", OPTION_FLAG, NULL, "at a server: leave out what is there in any folder",
	  AT(missing_only) },
	{ 0, "flags-only", OPTION_FLAG, NULL, "at a server: put nothing, give the flags back to what is there",
	  AT(flags_only) },
	{ 0, "repair-bytes", OPTION_FLAG, NULL,
	  "at a server: of mail that it refuses put a copy without NULs, bare line ends, long lines, 8-bit headers",
	  AT(repair_bytes) },
	{ 0, "undo", OPTION_FLAG, NULL, "at a server: take away again what restores of SNAP have put there", AT(undo) },
	{ 0, "verify", OPTION_TEXT, "WHAT",
	  "at a server: read back and compare, of the bodies, sample (1 %, default), full or none", AT(verify) },
	TARGET_OPTIONS(AT(target)),
};

struct restoring {
	struct cli *c;
	const struct values *v;
	struct restore_target to;
	struct place place;
	struct view *view;
	struct item_sink *sink;
	struct restore_journal journal;
	const char *world;
	char into[512];    /* "" is the sink itself */
	bool chosen;       /* by us, not by the person */
	struct buf *texts; /* decoded --map, --include, --exclude */
	size_t text_count;
	struct line line;
	FILE *plan_file;
	struct plan_file applied; /* --apply */
	struct report_file report;
	struct server_sink_options server;
	char appended[4096]; /* the journal of what was put at a server; "": none */
};

/* ---- the words of the command line ---- */

static enum err_code collision_of(const char *name, enum sink_collision *out, struct err *e)
{
	static const char *const names[] = { [SINK_SKIP] = "skip", [SINK_COPY] = "copy", [SINK_REPLACE] = "replace" };

	for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i])) {
			*out = (enum sink_collision)i;
			return ERR_OK;
		}
	return name ? err_set(e, ERR_USAGE, "--collision is skip, copy or replace") : ERR_OK;
}

/* Every part is a plain name: nothing leads out of the sink. */
static enum err_code check_into(const char *into, struct err *e)
{
	const char *part = into;

	if (!*into || strlen(into) >= sizeof((struct restoring *)0)->into)
		return err_set(e, ERR_USAGE, "--into needs a folder name of less than 512 bytes");
	while (*part) {
		size_t len = strcspn(part, "/");

		if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
			return err_set(e, ERR_USAGE, "--into names a folder inside SINK (\"Old mail\"), or is .");
		part += len + (part[len] == '/');
	}
	return ERR_OK;
}

/* Patterns and names may be pasted from ls, so they are percent-decoded. LIST's strings are replaced. */
static enum err_code decode_list(struct restoring *r, struct text_list *list, struct err *e)
{
	for (size_t i = 0; i < list->count; i++) {
		struct buf *text = &r->texts[r->text_count++];
		enum err_code rc = text_unpercent(text, span_cstr(list->items[i]), e);

		if (!rc && text->len && memchr(text->ptr, 0, text->len))
			rc = err_set(e, ERR_USAGE, "a pattern cannot hold %%00");
		if (!rc)
			rc = buf_append(text, span_of("", 1), e);
		if (rc)
			return rc;
		list->items[i] = (const char *)text->ptr;
	}
	return ERR_OK;
}

static enum err_code server_options(struct restoring *r, struct err *e)
{
	static const struct {
		const char *name;
		unsigned percent;
	} known[] = { { "sample", 1 }, { "full", 100 }, { "none", 0 } };
	const struct values *v = r->v;
	const char *verify = v->verify ? v->verify : "sample";
	bool server = connector_is_server(r->to.url), found = false;

	if (!server && (v->flags_only || v->missing_only || v->repair_bytes || v->verify || v->undo))
		return err_set(e, ERR_USAGE, "--%s is for a restore to a server",
		               v->undo           ? "undo"
		               : v->flags_only   ? "flags-only"
		               : v->missing_only ? "missing-only"
		               : v->repair_bytes ? "repair-bytes"
		                                 : "verify");
	if (v->flags_only && v->missing_only)
		return err_set(e, ERR_USAGE, "--flags-only puts nothing, --missing-only puts what is missing: choose");
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i].name, verify)) {
			r->server.verify_percent = known[i].percent;
			found = true;
		}
	r->server.flags_only = v->flags_only;
	r->server.missing_only = v->missing_only;
	r->server.mends = v->repair_bytes;
	if (!found)
		return err_set(e, ERR_USAGE, "--verify is sample, full or none");
	return server ? connector_server_target_check(r->to.url, e) : ERR_OK;
}

static enum err_code decode_options(struct restoring *r, struct restore_options *o, struct err *e)
{
	struct text_list map = r->v->map, include = r->v->include, exclude = r->v->exclude;
	size_t all = map.count + include.count + exclude.count;
	enum err_code rc = collision_of(r->v->collision, &o->collision, e);

	if (rc)
		return rc;
	r->texts = mem_zalloc(all + 1, sizeof *r->texts);
	if (!r->texts)
		return err_no_memory(e, all * sizeof *r->texts);
	for (size_t i = 0; i < map.count; i++)
		if (!strchr(map.items[i], '='))
			return err_set(e, ERR_USAGE, "--map needs OLD=NEW");
	rc = decode_list(r, &map, e);
	if (!rc)
		rc = decode_list(r, &include, e);
	if (!rc)
		rc = decode_list(r, &exclude, e);
	o->map = map.items;
	o->map_count = map.count;
	o->include = include.items;
	o->include_count = include.count;
	o->exclude = exclude.items;
	o->exclude_count = exclude.count;
	o->plan_only = r->v->plan.given || r->v->dry_run;
	o->wanted = r->v->apply ? plan_file_wants : NULL;
	o->wanted_ctx = &r->applied;
	o->tell_all = r->v->report != NULL;
	if (!rc && o->tell_all && (o->plan_only || r->v->undo))
		rc = err_set(e, ERR_USAGE,
		             "--report tells what was done with the items of a restore; a plan goes to --plan=FILE");
	r->server.plan_only = o->plan_only;
	return rc ? rc : server_options(r, e);
}

/* ---- where to ---- */

static enum err_code note_world(void *ctx, size_t collection, const struct view_item *item, struct err *e)
{
	const char **world = ctx;
	struct span ignored;

	(void)collection;
	if (fields_get(item->state, STATE_PLACE, &ignored) || fields_get(item->state, STATE_SUFFIX, &ignored))
		*world = "maildir";
	else if (fields_get(item->state, STATE_POSITION, &ignored) || fields_get(item->facts, FACT_MBOX_FROM, &ignored))
		*world = "mbox";
	else
		*world = "files";
	return err_set(e, ERR_CANCELLED, "seen enough");
}

/* The world that the items came from, by the source's scheme, the collections' attributes, or the first item. */
static const char *world_of(struct view *v)
{
	static const char *const worlds[] = { "maildir", "mbox", "files" };
	struct span source = view_snapshot(v)->source;
	const struct view_collection *col;
	const char *world = NULL;
	struct err ignored;

	for (size_t w = 0; w < ARRAY_LEN(worlds); w++) {
		struct span name = span_cstr(worlds[w]);

		if (span_starts(source, name) && source.len > name.len && source.ptr[name.len] == ':')
			return worlds[w];
	}
	for (size_t i = 0; i < view_collection_count(v) && !world; i++) {
		if (view_collection(v, i, &col, &ignored) != ERR_OK || col->items == 0)
			continue;
		/* The visitor stops at the first item by an error of its own. */
		if (view_items(v, i, false, note_world, &world, &ignored) != ERR_OK && !world)
			return NULL;
	}
	return world;
}

/* Something that the sink has to say of its own: at a server what reading back found. */
static void tell_remark(void *ctx, const char *what, const struct err *why)
{
	struct restoring *r = ctx;
	struct row row = row_new(connector_is_server(r->to.url) ? "differs" : "remark");

	cli_report(r->c, what, why);
	row_text(&row, "what", span_cstr(what));
	row_cstr(&row, "code", err_code_name(why->code));
	row_text(&row, "message", span_cstr(why->text));
	report_file_add(&r->report, &row);
}

static enum err_code open_sink(struct restoring *r, const char *into, struct err *e)
{
	struct sink_options o = { .into = into && *into ? into : NULL, .world_hint = r->world };
	bool server = connector_is_server(r->to.url);
	enum err_code rc;

	if (r->sink && server)
		return connector_server_sink_into(r->sink, into, e);
	if (r->sink)
		r->sink->ops->free(&r->sink);
	r->server.into = o.into;
	rc = server ? restore_target_open(&r->to, &r->v->target, &r->server, &r->sink, e)
	            : connector_sink_open(r->to.url, &o, &r->sink, e);
	if (rc)
		return rc;
	r->sink->report = tell_remark;
	r->sink->report_ctx = r;
	return ERR_OK;
}

/* Does the target hold NAME, as a folder or (Maildir++) as .NAME or .NAME.more? */
static bool name_taken(const char *target, const char *name)
{
	const char *path = restore_target_path(target);
	DIR *folder = path ? opendir(path) : NULL;
	const struct dirent *entry;
	size_t len = strlen(name);
	bool taken = false;

	while (folder && !taken && (entry = readdir(folder)) != NULL) {
		const char *have = entry->d_name + (entry->d_name[0] == '.');

		taken = !strncmp(have, name, len) && (!have[len] || have[len] == '.');
	}
	if (folder)
		closedir(folder);
	return taken;
}

/* The sink knows its own layout; a Maildir++ that holds only .NAME.more has no NAME of its own, so names are asked,
 * too. */
static enum err_code folder_taken(struct restoring *r, bool *out, struct err *e)
{
	enum err_code rc = open_sink(r, r->into, e);

	if (!rc)
		rc = r->sink->ops->occupied(r->sink, out, e);
	*out = *out || name_taken(r->to.url, r->into);
	return rc;
}

/* "Restored 2026-11-22", with a number behind it when an earlier restore of something else has that. */
static enum err_code dated_folder(struct restoring *r, struct err *e)
{
	struct clock_text now = clock_format(r->c->now_ms, clock_zone_minutes(r->c->now_ms));

	snprintf(r->into, sizeof r->into, "Restored %.10s", now.text);
	for (int i = 2;; i++) {
		bool taken = false;
		enum err_code rc = folder_taken(r, &taken, e);

		if (rc || !taken)
			return rc;
		if (i > DATED_FOLDERS_MAX)
			return err_set(e, ERR_EXISTS, "there are %d folders '%s' already; name one with --into",
			               DATED_FOLDERS_MAX, r->into);
		snprintf(r->into, sizeof r->into, "Restored %.10s (%d)", now.text, i);
	}
}

/* Nobody said into which folder: the one of an earlier run, the sink itself when it is empty, else a dated one. */
static enum err_code choose_folder(struct restoring *r, struct err *e)
{
	bool occupied = false;
	enum err_code rc;

	if (r->journal.found && r->journal.into.len <= sizeof r->into) {
		memcpy(r->into, r->journal.into.ptr, r->journal.into.len);
		return ERR_OK;
	}
	rc = open_sink(r, NULL, e);
	if (!rc)
		rc = r->sink->ops->occupied(r->sink, &occupied, e);
	if (!rc && occupied)
		rc = dated_folder(r, e);
	return rc;
}

/* A server's journal lies beside the one that remembers the folder. */
static enum err_code find_journal(struct restoring *r, struct err *e)
{
	struct repo_info info;
	size_t len;
	enum err_code rc;

	repo_describe(r->c->repo, &info);
	rc = restore_journal_open(&r->journal, &info.id, &view_snapshot(r->view)->id, r->to.url, e);
	len = strlen(r->journal.file);
	if (rc || len < 5 || !connector_is_server(r->to.url))
		return rc;
	snprintf(r->appended, sizeof r->appended, "%.*s.imap", (int)(len - 5), r->journal.file);
	r->server.journal = r->appended;
	return ERR_OK;
}

static enum err_code find_target(struct restoring *r, bool plan_only, struct err *e)
{
	enum err_code rc = ERR_OK;

	r->world = world_of(r->view);
	if (r->v->apply && !r->v->into) {
		/* Into which folder is part of the plan. */
		memcpy(r->into, r->applied.into.ptr, r->applied.into.len);
		if (!plan_only)
			rc = restore_journal_save(&r->journal, r->into, e);
	} else if (!r->v->into) {
		rc = choose_folder(r, e);
		if (!rc && *r->into)
			cli_note(r->c,
			         "%s is not empty, so the items %s into its folder '%s' (--into . puts them there "
			         "itself)",
			         text_name(span_cstr(r->to.url)).text, plan_only ? "would go" : "go", r->into);
		if (!rc && !plan_only)
			rc = restore_journal_save(&r->journal, r->into, e);
	} else if (strcmp(r->v->into, ".") != 0) {
		snprintf(r->into, sizeof r->into, "%s", r->v->into);
	}
	return rc ? rc : open_sink(r, r->into, e);
}

/* ---- telling ---- */

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

static enum err_code visit(void *ctx, const struct restore_step *s, struct err *e)
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

static enum err_code tell_summary(struct restoring *r, const struct restore_report *report, bool plan_only,
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

/* ---- the run ---- */

static enum err_code close_plan(struct restoring *r, enum err_code rc, struct err *e)
{
	if (r->plan_file && fclose(r->plan_file) != 0 && !rc)
		rc = err_sys(e, errno, "cannot write %s", r->v->plan.text);
	r->plan_file = NULL;
	return rc;
}

static void begin_report(struct restoring *r)
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

/* A restore that fails has a report as well: of what was done until then, and why it ended. */
static enum err_code end_report(struct restoring *r, const struct restore_report *report, enum err_code rc,
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

static enum err_code apply(struct restoring *r, struct restore_options *o, struct err *e)
{
	struct restore_report report = { 0 };
	enum err_code rc;

	o->collection = r->place.has_collection ? buf_span(&r->place.collection) : SPAN_EMPTY;
	o->key = r->place.has_key ? buf_span(&r->place.key) : SPAN_EMPTY;
	if (r->v->plan.text) {
		r->plan_file = fopen(r->v->plan.text, "we");
		if (!r->plan_file)
			return err_sys(e, errno, "cannot write %s", r->v->plan.text);
	}
	begin_report(r);
	rc = engine_restore(r->view, r->sink, o, visit, r, &report, e);
	rc = end_report(r, &report, rc, e);
	if (!rc)
		rc = tell_summary(r, &report, o->plan_only, e);
	return close_plan(r, rc, e);
}

static enum err_code undo_words(struct restoring *r, const struct server_undo *did, struct err *e)
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

static enum err_code undo(struct restoring *r, struct err *e)
{
	struct server_undo did = { 0 };
	enum err_code rc;

	if (r->place.has_collection)
		return err_set(e, ERR_USAGE, "--undo takes away all that was restored of a snapshot; name it alone");
	rc = restore_target_undo(&r->to, &r->v->target, *r->appended ? r->appended : NULL, r->server.plan_only,
	                         cli_report, r->c, &did, e);
	cli_reports_end(r->c);
	r->c->incomplete |= did.kept > 0;
	return rc || r->c->g.quiet ? rc : undo_words(r, &did, e);
}

/* What was planned for another snapshot, or another place, is no plan for this. */
static enum err_code load_plan(struct restoring *r, struct err *e)
{
	enum err_code rc = r->v->undo ? err_set(e, ERR_USAGE, "--undo needs no plan") : ERR_OK;

	if (!rc)
		rc = plan_file_load(r->v->apply, &r->applied, e);
	if (rc)
		return rc;
	if (strcmp(r->applied.snapshot, view_snapshot(r->view)->id_hex) != 0)
		return err_set(e, ERR_USAGE, "%s is a plan for snapshot %.8s, not for %.8s", r->v->apply,
		               r->applied.snapshot, view_snapshot(r->view)->id_hex);
	if (strcmp((const char *)r->applied.to.ptr, r->to.url) != 0)
		return err_set(e, ERR_USAGE, "%s is a plan for %s, not for %s", r->v->apply,
		               text_name(span_cstr((const char *)r->applied.to.ptr)).text,
		               text_name(span_cstr(r->to.url)).text);
	if (r->applied.into.len > sizeof r->into)
		return err_set(e, ERR_USAGE, "%s names too long a folder", r->v->apply);
	return ERR_OK;
}

static enum err_code restore(struct restoring *r, const char *what, struct err *e)
{
	struct restore_options o = { 0 };
	enum err_code rc = decode_options(r, &o, e);

	if (!rc)
		rc = place_parse(what, &r->place, e);
	if (!rc && r->v->into && strcmp(r->v->into, ".") != 0)
		rc = check_into(r->v->into, e);
	if (!rc)
		rc = cli_view(r->c, (const char *)r->place.snapshot.ptr, &r->view, e);
	if (!rc)
		rc = find_journal(r, e);
	if (!rc && r->v->undo)
		return undo(r, e);
	if (!rc && r->v->apply)
		rc = load_plan(r, e);
	/* Before a target is made. */
	if (!rc)
		rc = repo_need_content(r->c->repo, "restore", e);
	if (!rc)
		rc = report_file_open(r->v->report, &r->report, e);
	if (!rc)
		rc = find_target(r, o.plan_only, e);
	return rc ? rc : apply(r, &o, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	struct restoring r = { .c = c, .v = values, .place = PLACE_EMPTY, .line = line_new(e) };
	enum err_code rc;

	if (!r.v->to)
		return err_set(e, ERR_USAGE, "restore needs --to SINK");
	rc = restore_target_find(c, r.v->to, &r.v->target, &r.to, e);
	if (!rc)
		rc = restore(&r, words->items[0], e);
	if (r.sink)
		r.sink->ops->free(&r.sink);
	restore_target_release(&r.to);
	view_free(&r.view);
	place_release(&r.place);
	restore_journal_release(&r.journal);
	plan_file_release(&r.applied);
	report_file_release(&r.report);
	line_release(&r.line);
	for (size_t i = 0; i < r.text_count; i++)
		buf_release(&r.texts[i]);
	mem_free(r.texts);
	return rc;
}

const struct command command_restore = {
	.name = "restore",
	.words = "SNAP[:COLLECTION[#KEY]] --to SINK",
	.summary = "give items back: a snapshot, a collection of it, or one item",
	.details = "Items go back as they were, byte for byte, with their flags and dates. What is there already is "
	           "found and\n"
	           "not put twice, so the same command may be run again, also after a crash. When SINK holds anything "
	           "and\n"
	           "--into is not given, everything goes into a new folder of it, \"Restored\" and the date; the same "
	           "command\n"
	           "again uses the same folder. The exit code is 3 when an item failed or was left out.\n",
	.examples = "mailhold restore latest --to ~/Maildir.back\n"
	            "mailhold restore ann@yesterday:INBOX#1699999999.M1P2.host --to ~/Maildir --into .",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = 1,
	.run = run,
};
