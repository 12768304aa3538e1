#include "command.h"

#include "base/text.h"

struct totals {
	uint64_t added, removed, moved, flags, content;
};

struct comparison {
	struct cli *c;
	const char *old_id, *new_id; /* of A and of B, as printed in places */
	bool summary_only;
	struct line line;
	struct buf collection; /* the one whose lines are being printed */
	bool in_collection;
	struct totals here, all;
};

static void count(struct totals *t, enum change_kind kind)
{
	t->added += kind == CHANGE_ADDED;
	t->removed += kind == CHANGE_REMOVED;
	t->moved += kind == CHANGE_MOVED;
	t->flags += kind == CHANGE_STATE;
	t->content += kind == CHANGE_CONTENT;
}

static void line_totals(struct line *l, const struct totals *t)
{
	const struct {
		uint64_t n;
		const char *what;
	} parts[] = { { t->added, "added" },
		      { t->removed, "removed" },
		      { t->moved, "moved" },
		      { t->flags, "with other flags" },
		      { t->content, "with other content" } };
	const char *joint = "";

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].n) {
			line_printf(l, "%s%s %s", joint, number_text(parts[i].n).text, parts[i].what);
			joint = ", ";
		}
	if (!*joint)
		line_printf(l, "nothing changed");
}

static enum err_code end_collection(struct comparison *d)
{
	if (!d->in_collection)
		return ERR_OK;
	d->in_collection = false;
	line_safe(&d->line, buf_span(&d->collection));
	line_printf(&d->line, ": ");
	line_totals(&d->line, &d->here);
	d->here = (struct totals){ 0 };
	return line_put(&d->line);
}

static enum err_code begin_collection(struct comparison *d, struct span path, struct err *e)
{
	enum err_code rc;

	if (d->in_collection && span_equal(buf_span(&d->collection), path))
		return ERR_OK;
	rc = end_collection(d);
	buf_clear(&d->collection);
	if (!rc)
		rc = buf_append(&d->collection, path, e);
	d->in_collection = !rc;
	return rc;
}

static void flags_words(struct line *l, const struct view_item *item)
{
	struct span flags = item ? item_flags(item) : SPAN_EMPTY;

	if (flags.len)
		line_safe(l, flags);
	else
		line_printf(l, "none");
}

static enum err_code put_item(struct comparison *d, const struct change *ch)
{
	static const char *const signs[] = { [CHANGE_ADDED] = "+ ",
		                             [CHANGE_REMOVED] = "- ",
		                             [CHANGE_MOVED] = "> ",
		                             [CHANGE_STATE] = "~ ",
		                             [CHANGE_CONTENT] = "! " };
	const struct view_item *item = ch->after ? ch->after : ch->before;
	struct line *l = &d->line;

	line_printf(l, "%s", signs[ch->kind]);
	item_line(l, item);
	line_place(l, ch->after ? d->new_id : d->old_id, ch->collection, item->key);
	if (ch->kind == CHANGE_MOVED) {
		line_printf(l, "  from ");
		line_name(l, ch->collection_from);
	} else if (ch->kind == CHANGE_STATE) {
		line_printf(l, "  flags ");
		flags_words(l, ch->before);
		line_printf(l, " → ");
		flags_words(l, ch->after);
	}
	return line_put(l);
}

static enum err_code put_json(const struct comparison *d, const struct change *ch, struct err *e)
{
	struct row r = row_new(NULL), item = row_new(NULL), before = row_new(NULL);

	row_cstr(&r, "type", change_kind_name(ch->kind));
	row_name(&r, "collection", ch->collection);
	if (ch->kind == CHANGE_MOVED)
		row_name(&r, "collection_from", ch->collection_from);
	if (ch->before)
		item_row(&before, d->old_id, ch->kind == CHANGE_MOVED ? ch->collection_from : ch->collection,
		         ch->before);
	if (ch->after)
		item_row(&item, d->new_id, ch->collection, ch->after);
	if (ch->before)
		row_child(&r, "before", &before);
	if (ch->after)
		row_child(&r, "after", &item);
	row_drop(&before);
	row_drop(&item);
	return row_put(&r, e);
}

static enum err_code visit(void *ctx, const struct change *ch, struct err *e)
{
	struct comparison *d = ctx;
	bool whole = ch->kind == CHANGE_COLLECTION_ADDED || ch->kind == CHANGE_COLLECTION_REMOVED;
	enum err_code rc = cli_go_on(e);

	if (rc)
		return rc;
	progress_clear(&d->c->progress);
	count(&d->all, ch->kind);
	if (d->c->g.json)
		return d->summary_only ? ERR_OK : put_json(d, ch, e);
	rc = begin_collection(d, ch->collection, e);
	if (rc)
		return rc;
	count(&d->here, ch->kind);
	if (whole) {
		line_printf(&d->line, "%s collection ", ch->kind == CHANGE_COLLECTION_ADDED ? "+" : "-");
		line_name(&d->line, ch->collection);
		return line_put(&d->line);
	}
	return d->summary_only ? ERR_OK : put_item(d, ch);
}

static enum err_code put_summary_json(struct comparison *d, struct err *e)
{
	struct row r = row_new("summary");

	row_cstr(&r, "a", d->old_id);
	row_cstr(&r, "b", d->new_id);
	row_number(&r, "added", d->all.added);
	row_number(&r, "removed", d->all.removed);
	row_number(&r, "moved", d->all.moved);
	row_number(&r, "state", d->all.flags);
	row_number(&r, "content", d->all.content);
	return row_put(&r, e);
}

static enum err_code put_summary(struct comparison *d, struct err *e)
{
	enum err_code rc;

	if (d->c->g.json)
		return put_summary_json(d, e);
	rc = end_collection(d);
	if (rc)
		return rc;
	line_printf(&d->line, "from %s to %s: ", d->old_id, d->new_id);
	line_totals(&d->line, &d->all);
	return line_put(&d->line);
}

static enum err_code compare(struct comparison *d, const struct snapshot_id *a, const struct snapshot_id *b,
                             struct err *e)
{
	char hex_a[2 * ID16_BYTES + 1], hex_b[2 * ID16_BYTES + 1];
	enum err_code rc;

	text_hex(span_of(a->bytes, ID16_BYTES), hex_a);
	text_hex(span_of(b->bytes, ID16_BYTES), hex_b);
	if (!d->c->g.json)
		hex_a[8] = hex_b[8] = 0;
	d->old_id = hex_a;
	d->new_id = hex_b;
	rc = engine_diff(d->c->repo, a, b, visit, d, e);
	progress_clear(&d->c->progress);
	return rc ? rc : put_summary(d, e);
}

struct values {
	bool summary_only;
};

static const struct option_def options[] = {
	{ 0, "summary", OPTION_FLAG, NULL, "only the totals", offsetof(struct values, summary_only) },
};

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct comparison d = { .c = c, .line = line_new(e), .summary_only = v->summary_only };
	struct snapshot_id ids[2];
	enum err_code rc = cli_open(c, e);

	for (size_t i = 0; i < 2 && !rc; i++)
		rc = repo_resolve(c->repo, words->items[i], SNAPSHOTS_LIVE, &ids[i], e);
	if (!rc)
		rc = compare(&d, &ids[0], &ids[1], e);
	line_release(&d.line);
	buf_release(&d.collection);
	return rc;
}

const struct command command_diff = {
	.name = "diff",
	.words = "A B",
	.summary = "what changed between two snapshots",
	.details =
	        "A line for every item: + added, - removed, > moved from another collection, ~ other flags, ! other\n"
	        "content under the same key; then the totals of the collection and of everything.\n",
	.examples = "mailhold diff latest~1 latest\nmailhold diff ann@2026-11-01 ann@yesterday",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 2,
	.words_max = 2,
	.run = run,
};
