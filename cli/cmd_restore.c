#include "command.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "connector/connector.h"
#include "restore_tell.h"

enum { DATED_FOLDERS_MAX = 999 };

#define AT(field) offsetof(struct restore_values, field)
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
	const struct restore_values *v = r->v;
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
	r->sink->report = restore_remark;
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

/* ---- the run ---- */

static enum err_code close_plan(struct restoring *r, enum err_code rc, struct err *e)
{
	if (r->plan_file && fclose(r->plan_file) != 0 && !rc)
		rc = err_sys(e, errno, "cannot write %s", r->v->plan.text);
	r->plan_file = NULL;
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
	restore_begin_report(r);
	rc = engine_restore(r->view, r->sink, o, restore_tell_step, r, &report, e);
	rc = restore_end_report(r, &report, rc, e);
	if (!rc)
		rc = restore_tell_summary(r, &report, o->plan_only, e);
	return close_plan(r, rc, e);
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
	return rc || r->c->g.quiet ? rc : restore_tell_undo(r, &did, e);
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
