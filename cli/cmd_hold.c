/* hold: what stays whatever the rules say. What it means for whom is docs/retention.md. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "query.h"
#include "snapshot_list.h"

struct values {
	const char *label, *until;
	bool by_query;
	struct query_values query;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 'l', "label", OPTION_TEXT, "TEXT", "add: why, for whoever meets it in some years", AT(label) },
	{ 0, "until", OPTION_TEXT, "DATE", "add: when to look at it again; it does not end by itself", AT(until) },
	{ 'q', "query", OPTION_FLAG, NULL, "add: hold the items that the options below find, wherever they are",
	  AT(by_query) },
	QUERY_OPTIONS(struct values, query),
};

/* ---- list ---- */

static void say_text(struct line *l, const char *name, struct span value)
{
	if (!value.len)
		return;
	line_printf(l, " %s ", name);
	line_safe(l, value);
}

static void say_day(struct line *l, const char *name, int64_t ms, int64_t none)
{
	if (ms != none)
		line_printf(l, " %s %.10s", name, time_text(ms).text);
}

static void say_query(struct line *l, const struct find_query *q)
{
	say_text(l, "with", q->any);
	say_text(l, "from", q->from);
	say_text(l, "to", q->to);
	say_text(l, "subject", q->title);
	say_text(l, "message-id", q->message_id);
	say_text(l, "attachment", q->file);
	say_text(l, "place", q->place);
	say_text(l, "in", q->collection);
	if (q->kind)
		line_printf(l, " kind %s", item_kind_name(q->kind));
	say_day(l, "after", q->after_ms, INT64_MIN);
	say_day(l, "before", q->before_ms == INT64_MAX ? INT64_MAX : q->before_ms + 1, INT64_MAX);
}

/* "snapshots 1a2b3c4d", "account ann", "items of ann from smith after 2025-01-01" */
static void say_what(struct line *l, const struct hold_info *h)
{
	char id[2 * ID16_BYTES + 1];

	if (h->by_query) {
		line_printf(l, "items");
		say_text(l, "of", h->account);
		say_query(l, &h->query);
	} else if (h->snapshot_count) {
		line_printf(l, "snapshots");
		for (size_t i = 0; i < h->snapshot_count; i++) {
			text_hex(span_of(h->snapshots[i].bytes, ID16_BYTES), id);
			line_printf(l, " %.8s", id);
		}
	} else {
		line_printf(l, "account");
		if (h->account.len) {
			line_printf(l, " ");
			line_safe(l, h->account);
		}
	}
}

struct listing {
	struct cli *c;
	struct table table;
	json_t *array;
	uint64_t overdue;
};

static json_t *snapshot_array(const struct hold_info *h)
{
	char id[2 * ID16_BYTES + 1];
	json_t *array = json_array();

	for (size_t i = 0; array && i < h->snapshot_count; i++) {
		text_hex(span_of(h->snapshots[i].bytes, ID16_BYTES), id);
		json_array_append_new(array, json_string(id));
	}
	return array;
}

static struct row hold_row(const struct hold_info *h, const char *type, struct err *e)
{
	struct row r = row_new(type);
	struct line what = line_new(e);

	say_what(&what, h);
	row_cstr(&r, "id", h->id_hex);
	row_text(&r, "label", h->label);
	row_text(&r, "who", h->who);
	row_time(&r, "added", h->added_ms);
	row_time(&r, "until", h->until_ms);
	row_text(&r, "account", h->account);
	row_array(&r, "snapshots", snapshot_array(h));
	row_bool(&r, "by_query", h->by_query);
	row_text(&r, "what", buf_span(&what.text));
	row_number(&r, "covered", h->covered);
	line_release(&what);
	return r;
}

static enum err_code list_one(void *ctx, const struct hold_info *h, struct err *e)
{
	struct listing *l = ctx;
	struct table *t = &l->table;
	struct line what;
	char id[9];

	l->overdue += h->until_ms != INT64_MIN && h->until_ms < l->c->now_ms;
	if (l->c->g.json) {
		struct row r = hold_row(h, NULL, e);

		return r.bad || json_array_append_new(l->array, r.object) != 0 ? err_no_memory(e, 0) : ERR_OK;
	}
	what = line_new(e);
	say_what(&what, h);
	snprintf(id, sizeof id, "%.8s", h->id_hex);
	table_text(t, id);
	table_cell(t, h->label);
	table_cell(t, buf_span(&what.text));
	table_text(t, number_text(h->covered).text);
	table_text(t, time_text(h->added_ms).text);
	table_cell(t, h->who);
	table_text(t, h->until_ms == INT64_MIN ? "" : time_text(h->until_ms).text);
	line_release(&what);
	return t->rc;
}

static enum err_code list(struct cli *c, struct err *e)
{
	static const char *const titles[] = { "id", "label", "holds", "covers", "since", "made by", "until" };
	struct listing l = { c, table_new(titles, ARRAY_LEN(titles), e), json_array(), 0 };
	struct row r = row_new(NULL);
	enum err_code rc = engine_holds(c->repo, list_one, &l, e);

	if (!rc && c->g.json) {
		row_array(&r, "holds", l.array);
		l.array = NULL;
		rc = row_put(&r, e);
	} else if (!rc) {
		rc = table_put(&l.table);
	}
	if (!rc && l.overdue)
		cli_note(c, "%s are past their day and hold on all the same; mailhold hold remove ends one",
		         number_text(l.overdue).text);
	row_drop(&r);
	json_decref(l.array);
	buf_release(&l.table.cells);
	return rc;
}

/* ---- add, remove ---- */

/* What is told of one hold, made before it is gone. */
struct telling {
	struct cli *c;
	struct hold_id id;
	const char *type;
	struct line line;
	struct row row;
};

static enum err_code remember(void *ctx, const struct hold_info *h, struct err *e)
{
	struct telling *t = ctx;

	if (memcmp(&h->id, &t->id, sizeof h->id) != 0)
		return ERR_OK;
	if (t->c->g.json) {
		t->row = hold_row(h, t->type, e);
		return ERR_OK;
	}
	line_printf(&t->line, "%s %.8s (", t->type, h->id_hex);
	line_safe(&t->line, h->label);
	line_printf(&t->line, "): ");
	say_what(&t->line, h);
	return t->line.rc;
}

static enum err_code tell(struct telling *t, struct err *e)
{
	if (t->c->g.json)
		return t->row.object ? row_put(&t->row, e) : ERR_OK;
	return t->c->g.quiet || !t->line.text.len ? ERR_OK : line_put(&t->line);
}

/* "ann@host", as this machine claims. */
static void who(char *out, size_t size)
{
	const char *user = getenv("USER");
	char host[200] = "";

	if (gethostname(host, sizeof host - 1) != 0)
		host[0] = 0;
	snprintf(out, size, "%.60s@%s", user && *user ? user : "?", host);
}

static enum err_code check_words(const struct values *v, const struct text_list *words, struct err *e)
{
	if (!v->label)
		return err_set(e, ERR_USAGE, "say with --label why it is held");
	if (!v->by_query && query_given(&v->query))
		return err_set(e, ERR_USAGE, "these options say which items to hold: write --query with them");
	if (v->by_query && !query_given(&v->query) && words->count < 2)
		return err_set(e, ERR_USAGE,
		               "--query wants a WORD or options that say which items; a whole account is "
		               "held with --account alone");
	if (v->by_query && words->count > 2)
		return err_set(e, ERR_USAGE,
		               "--query takes one WORD; put several in quotes to look for them as a phrase");
	if (!v->by_query && !v->query.account && words->count < 2)
		return err_set(e, ERR_USAGE, "name snapshots, or --account, or --query, to say what to hold");
	if (!v->by_query && v->query.account && words->count > 1)
		return err_set(e, ERR_USAGE, "either snapshots or --account, not both");
	return ERR_OK;
}

static enum err_code add_hold(struct cli *c, const struct values *v, const struct text_list *words, struct err *e)
{
	struct text_list rest = { words->items + 1, words->count - 1 };
	struct snapshot_list l = { NULL, 0 };
	struct buf collection = BUF_EMPTY;
	struct find_query q = { 0 };
	struct hold_options o = { .label = v->label, .until_ms = INT64_MIN, .account = v->query.account };
	struct telling t = { .c = c, .type = "held", .line = line_new(e) };
	char by[280];
	enum err_code rc = query_read(c, &v->query, &collection, &q, e);

	who(by, sizeof by);
	o.who = by;
	if (!rc && v->until)
		rc = clock_parse(v->until, c->now_ms, true, &o.until_ms, e);
	if (!rc)
		rc = cli_open(c, e);
	if (v->by_query) {
		o.query = &q;
		q.any = rest.count ? span_cstr(rest.items[0]) : SPAN_EMPTY;
	} else if (!rc && rest.count) {
		rc = snapshot_list_resolve(c->repo, &rest, SNAPSHOTS_LIVE | SNAPSHOTS_TRASH, &l, e);
		o.snapshots = l.ids;
		o.snapshot_count = l.count;
	}
	if (!rc)
		rc = engine_hold_add(c->repo, &o, &t.id, e);
	progress_clear(&c->progress);
	if (!rc)
		rc = engine_holds(c->repo, remember, &t, e);
	if (!rc)
		rc = tell(&t, e);
	line_release(&t.line);
	snapshot_list_release(&l);
	buf_release(&collection);
	return rc;
}

static enum err_code remove_hold(struct cli *c, const char *text, struct err *e)
{
	struct telling t = { .c = c, .type = "released", .line = line_new(e) };
	enum err_code rc = cli_open(c, e);

	if (!rc)
		rc = engine_hold_find(c->repo, text, &t.id, e);
	if (!rc)
		rc = engine_holds(c->repo, remember, &t, e);
	if (!rc)
		rc = engine_hold_remove(c->repo, &t.id, e);
	if (rc)
		row_drop(&t.row);
	else
		rc = tell(&t, e);
	line_release(&t.line);
	if (!rc)
		cli_note(c,
		         "RELEASED: nothing keeps what it held any more but the rules, pins and other holds; the next "
		         "prune with rules may take it away. The ledger keeps on record that it was held, and that "
		         "this key released it");
	return rc;
}

/* ---- dispatch ---- */

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	const char *action = words->items[0];
	enum err_code rc;

	if (!strcmp(action, "add")) {
		rc = check_words(v, words, e);
		return rc ? rc : add_hold(c, v, words, e);
	}
	if (v->label || v->until || v->by_query || v->query.account || query_given(&v->query))
		return err_set(e, ERR_USAGE, "these options go with hold add");
	if (!strcmp(action, "remove"))
		return words->count == 2 ? remove_hold(c, words->items[1], e)
		                         : err_set(e, ERR_USAGE, "write: mailhold hold remove ID|LABEL");
	if (strcmp(action, "list") != 0)
		return err_set(e, ERR_USAGE, "hold does not know '%s': add, list or remove",
		               text_name(span_cstr(action)).text);
	if (words->count != 1)
		return err_set(e, ERR_USAGE, "write: mailhold hold list");
	rc = cli_open(c, e);
	return rc ? rc : list(c, e);
}

const struct command command_hold = {
	.name = "hold",
	.words = "add [SNAP...|WORD] | list | remove ID|LABEL",
	.summary = "keep things whatever the rules say, as for a legal case",
	.details = "add     hold snapshots; or with --account all of an account's, those to come included; or with "
	           "--query\n"
	           "        items: of each one that is found, as find does, at least one snapshot stays\n"
	           "list    what is held, why, and by whom\n"
	           "remove  release a hold, by its label or at least 4 digits of its id. Only this ends one: never a "
	           "date, a\n"
	           "        rule, --force or a keeper's key\n",
	.examples = "mailhold hold add --label \"Smith v. Jones\" --query --from smith --after 2025-01-01\n"
	            "mailhold hold add --label audit --account ann --until 2030-12-31\n"
	            "mailhold hold add --label \"before the move\" latest\nmailhold hold list\n"
	            "mailhold hold remove audit",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = 1000,
	.run = run,
};
