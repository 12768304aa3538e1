/* session: who is writing into the repository, and ending a session whose writer is dead. */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

struct values {
	bool dry_run;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 'n', "dry-run", OPTION_FLAG, NULL, "fence: only tell which", AT(dry_run) },
};

/* ---- telling ---- */

static const char *role_name(unsigned role)
{
	static const char *const names[] = {
		"", [ROLE_FULL] = "full", [ROLE_DEPOSIT] = "deposit", [ROLE_KEEPER] = "keeper"
	};

	return role < ARRAY_LEN(names) && names[role] ? names[role] : "";
}

static struct span account_of(const struct session_info *s)
{
	if (!s->has_snapshot)
		return SPAN_EMPTY;
	return s->snapshot.names_hidden ? span_cstr(s->snapshot.account_id_hex) : s->snapshot.account;
}

static struct row session_row(const struct session_info *s, const char *type)
{
	struct row r = row_new(type);

	row_number(&r, "session", s->number);
	row_cstr(&r, "key", s->holder_hex);
	row_text(&r, "label", s->label);
	row_cstr(&r, "role", role_name(s->role));
	row_bool(&r, "self", s->self);
	row_time(&r, "opened", s->opened_ms);
	row_time(&r, "last", s->last_ms);
	row_text(&r, "account", account_of(s));
	row_text(&r, "host", s->has_snapshot ? s->snapshot.host : SPAN_EMPTY);
	if (s->has_snapshot)
		row_cstr(&r, "snapshot", s->snapshot.id_hex);
	row_number(&r, "packs", s->packs);
	row_number(&r, "bytes", s->bytes);
	return r;
}

/* "3h", "12d": how long ago, in the unit that tells most. */
static void ago(int64_t ms, char out[40])
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = { { 24 * 3600 * 1000, "d" }, { 3600 * 1000, "h" }, { 60 * 1000, "min" }, { 1000, "s" } };
	size_t u = 0;

	while (u + 1 < ARRAY_LEN(units) && ms < units[u].ms)
		u++;
	snprintf(out, 40, "%lld %s ago", (long long)(ms > 0 ? ms / units[u].ms : 0), units[u].unit);
}

/* ---- list ---- */

struct listing {
	struct cli *c;
	struct table table;
	json_t *array;
	uint64_t count, unnamed;
};

static enum err_code list_one(void *ctx, const struct session_info *s, struct err *e)
{
	struct listing *l = ctx;
	struct table *t = &l->table;
	char text[80];

	l->count++;
	l->unnamed += !s->has_snapshot;
	if (l->c->g.json) {
		struct row r = session_row(s, NULL);

		array_add_row(&l->array, &r);
		return l->array ? ERR_OK : err_no_memory(e, 0);
	}
	snprintf(text, sizeof text, "%llu", (unsigned long long)s->number);
	table_text(t, text);
	if (s->label.len) {
		table_cell(t, s->label);
	} else {
		snprintf(text, sizeof text, "%.8s", s->holder_hex);
		table_text(t, text);
	}
	table_text(t, role_name(s->role));
	table_text(t, s->opened_ms == INT64_MIN ? "?" : time_text(s->opened_ms).text);
	ago(l->c->now_ms - s->last_ms, text);
	table_text(t, text);
	table_cell(t, account_of(s));
	table_cell(t, s->has_snapshot ? s->snapshot.host : SPAN_EMPTY);
	snprintf(text, sizeof text, "%s packs, %s", number_text(s->packs).text, text_size(s->bytes).text);
	table_text(t, s->packs ? text : "");
	return t->rc;
}

static enum err_code list(struct cli *c, struct err *e)
{
	static const char *const titles[] = { "session",     "key",     "role", "opened",
		                              "last record", "account", "host", "not committed" };
	struct listing l = { .c = c, .table = table_new(titles, ARRAY_LEN(titles), e), .array = json_array() };
	struct row r = row_new(NULL);
	enum err_code rc = repo_sessions(c->repo, list_one, &l, e);

	if (!rc && c->g.json) {
		row_array(&r, "sessions", l.array);
		l.array = NULL;
		rc = row_put(&r, e);
	} else if (!rc && l.count) {
		rc = table_put(&l.table);
	}
	row_drop(&r);
	json_decref(l.array);
	buf_release(&l.table.cells);
	if (rc)
		return rc;
	if (!l.count)
		cli_note(c, "no session is open: nobody is writing");
	else if (l.unnamed)
		cli_note(c,
		         "account and host are told by the first thing that a session commits, after 10 minutes or at "
		         "its end; until then the key tells whose it is");
	return ERR_OK;
}

/* ---- fence ---- */

/* What is told of a session, made before it is over. */
struct telling {
	struct cli *c;
	const char *type;
	uint64_t number;
	struct line line;
	struct row row;
};

static enum err_code remember(void *ctx, const struct session_info *s, struct err *e)
{
	struct telling *t = ctx;
	char text[40];

	(void)e;
	if (s->number != t->number)
		return ERR_OK;
	if (t->c->g.json) {
		t->row = session_row(s, t->type);
		return ERR_OK;
	}
	line_printf(&t->line, "%s session %llu, of the key %.8s", t->type, (unsigned long long)s->number,
	            s->holder_hex);
	if (s->label.len) {
		line_printf(&t->line, " (");
		line_safe(&t->line, s->label);
		line_printf(&t->line, ")");
	}
	if (s->has_snapshot && !s->snapshot.names_hidden) {
		line_printf(&t->line, ", for ");
		line_safe(&t->line, s->snapshot.account);
		line_printf(&t->line, " on ");
		line_safe(&t->line, s->snapshot.host);
	}
	ago(t->c->now_ms - s->last_ms, text);
	line_printf(&t->line, ", last heard of %s", text);
	if (s->packs)
		line_printf(&t->line, "; %s packs (%s) were not committed", number_text(s->packs).text,
		            text_size(s->bytes).text);
	return t->line.rc;
}

static enum err_code fence_one(struct cli *c, uint64_t number, bool dry_run, struct err *e)
{
	struct telling t = {
		.c = c, .type = dry_run ? "would fence" : "fenced", .number = number, .line = line_new(e)
	};
	enum err_code rc = repo_sessions(c->repo, remember, &t, e);

	if (!rc)
		rc = engine_session_fence(c->repo, number, dry_run, e);
	if (rc)
		row_drop(&t.row);
	else if (c->g.json)
		rc = t.row.object ? row_put(&t.row, e) : ERR_OK;
	else if (!c->g.quiet)
		rc = line_put(&t.line);
	line_release(&t.line);
	return rc;
}

static enum err_code fence(struct cli *c, const struct values *v, const struct text_list *words, struct err *e)
{
	uint64_t *numbers = mem_zalloc(words->count, sizeof *numbers);
	enum err_code rc = numbers ? ERR_OK : err_no_memory(e, words->count * sizeof *numbers);

	for (size_t i = 1; !rc && i < words->count; i++)
		if (!text_number(span_cstr(words->items[i]), UINT64_MAX, &numbers[i]))
			rc = err_set(e, ERR_USAGE, "a session is named by its number, not '%s' (mailhold session list)",
			             text_name(span_cstr(words->items[i])).text);
	if (!rc)
		rc = cli_open(c, e);
	if (!rc)
		rc = repo_need_keep(c->repo, "fence sessions", e);
	for (size_t i = 1; !rc && i < words->count; i++)
		rc = fence_one(c, numbers[i], v->dry_run, e);
	mem_free(numbers);
	if (!rc && !v->dry_run)
		cli_note(c,
		         "what was not committed goes with the next prune; a run that lives after all begins again by "
		         "itself");
	return rc;
}

/* ---- dispatch ---- */

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	const char *action = words->items[0];
	enum err_code rc;

	if (!strcmp(action, "fence"))
		return words->count > 1 ? fence(c, v, words, e)
		                        : err_set(e, ERR_USAGE, "write: mailhold session fence NUMBER...");
	if (strcmp(action, "list") != 0)
		return err_set(e, ERR_USAGE, "session does not know '%s': list or fence",
		               text_name(span_cstr(action)).text);
	if (words->count != 1)
		return err_set(e, ERR_USAGE, "write: mailhold session list");
	if (v->dry_run)
		return err_set(e, ERR_USAGE, "--dry-run goes with session fence");
	rc = cli_open(c, e);
	return rc ? rc : list(c, e);
}

const struct command command_session = {
	.name = "session",
	.words = "list | fence NUMBER...",
	.summary = "who is writing into the repository, and ending what is dead",
	.details =
	        "list    the sessions that are open: whoever uploads has one, prune included. Times are those of the\n"
	        "        writers' clocks\n"
	        "fence   end the session of a run that died or is stuck, on whatever machine, so that prune can take\n"
	        "        away what it uploaded; after 7 days of silence prune does that by itself. Nothing that was\n"
	        "        committed is lost, and a run that lives after all begins again\n",
	.examples = "mailhold session list\nmailhold session fence 1742",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = 1000,
	.run = run,
};
