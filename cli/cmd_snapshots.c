#include "command.h"

#include "base/text.h"

struct values {
	const char *account;
	bool trash, all;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 'a', "account", OPTION_TEXT, "NAME", "only this account's", AT(account) },
	{ 0, "trash", OPTION_FLAG, NULL, "the forgotten ones, which forget --undo brings back", AT(trash) },
	{ 0, "all", OPTION_FLAG, NULL, "the forgotten ones, too", AT(all) },
};

struct listing {
	struct cli *c;
	struct table table;
	json_t *array;
};

static void cell_flags(struct table *t, const struct snapshot_info *s)
{
	char words[80] = "";
	const struct {
		bool on;
		const char *word;
	} flags[] = { { s->flags & ENGINE_SNAPSHOT_PARTIAL, "partial" },
		      { s->flags & ENGINE_SNAPSHOT_SHRUNK, "shrunk" },
		      { s->flags & ENGINE_SNAPSHOT_GAPS, "gaps" },
		      { s->flags & ENGINE_SNAPSHOT_COPIED, "copied" },
		      { s->pinned, "pinned" },
		      { s->forgotten_ms != 0, "forgotten" } };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (flags[i].on) {
			if (*words)
				strcat(words, " ");
			strcat(words, flags[i].word);
		}
	table_text(t, words);
}

static void cell_source(struct table *t, const struct snapshot_info *s, struct err *e)
{
	struct buf text = BUF_EMPTY;

	if (!t->rc)
		t->rc = buf_append(&text, s->host, e);
	if (!t->rc && s->host.len && s->source.len)
		t->rc = buf_append(&text, SPAN_LIT(" "), e);
	if (!t->rc)
		t->rc = buf_append(&text, s->source, e);
	table_cell(t, buf_span(&text));
	buf_release(&text);
}

static enum err_code visit(void *ctx, const struct snapshot_info *s, struct err *e)
{
	struct listing *l = ctx;
	struct table *t = &l->table;

	if (l->c->g.json) {
		struct row r = snapshot_row(s, NULL);

		array_add_row(&l->array, &r);
		return l->array ? ERR_OK : err_no_memory(e, 0);
	}
	table_text(t, snapshot_short(s).text);
	/* What a keeper can say after "@" in a snapshot's name. */
	table_cell(t, s->names_hidden ? span_of(s->account_id_hex, 8) : s->account);
	table_text(t, time_text(s->time_ms).text);
	table_text(t, number_text(s->items).text);
	table_text(t, text_size(s->bytes).text);
	table_cell(t, s->tags);
	cell_flags(t, s);
	cell_source(t, s, e);
	return t->rc;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	static const char *const titles[] = { "id",    "account", "time",  ">items",
		                              ">size", "tags",    "notes", "host, source" };
	const struct values *v = values;
	unsigned which = v->all ? SNAPSHOTS_LIVE | SNAPSHOTS_TRASH : v->trash ? SNAPSHOTS_TRASH : SNAPSHOTS_LIVE;
	struct listing l = { c, table_new(titles, ARRAY_LEN(titles), e), json_array() };
	struct row r = row_new(NULL);
	enum err_code rc = cli_open(c, e);

	(void)words;
	if (!rc)
		rc = repo_snapshots(c->repo, which, v->account, visit, &l, e);
	if (rc)
		goto done;
	if (c->g.json) {
		row_array(&r, "snapshots", l.array);
		l.array = NULL;
		rc = row_put(&r, e);
	} else if (l.table.cell_count) {
		rc = table_put(&l.table);
	} else {
		cli_note(c, v->trash ? "the trash is empty" : "there is no snapshot yet");
	}
done:
	row_drop(&r);
	json_decref(l.array);
	buf_release(&l.table.cells);
	return rc;
}

const struct command command_snapshots = {
	.name = "snapshots",
	.words = "",
	.summary = "list the snapshots, oldest first",
	.details = "Notes: partial (an interrupted run: what was safe by then), shrunk (less than half of the items of "
	           "the\n"
	           "one before), gaps (some items could not be read), copied (from another repository), pinned, "
	           "forgotten.\n",
	.examples = "mailhold snapshots\nmailhold snapshots --account ann --json",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.run = run,
};
