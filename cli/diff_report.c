#include "diff_report.h"

#include "base/text.h"

static void count(struct diff_totals *t, enum change_kind kind)
{
	t->added += kind == CHANGE_ADDED;
	t->removed += kind == CHANGE_REMOVED;
	t->moved += kind == CHANGE_MOVED;
	t->flags += kind == CHANGE_STATE;
	t->content += kind == CHANGE_CONTENT;
}

static void line_totals(struct line *l, const struct diff_totals *t)
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
	if (!d->here.added && !d->here.removed && !d->here.moved && !d->here.flags && !d->here.content)
		return ERR_OK; /* it came or went, and was empty */
	line_safe(&d->line, buf_span(&d->collection));
	line_printf(&d->line, ": ");
	line_totals(&d->line, &d->here);
	d->here = (struct diff_totals){ 0 };
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

/* Under which collection a change is told: of a server all that a collection of the snapshot lost stands together. */
static struct span home_of(const struct comparison *d, const struct change *ch)
{
	return d->url && ch->kind == CHANGE_MOVED ? ch->collection_from : ch->collection;
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
	if (d->url && ch->kind != CHANGE_ADDED)
		line_place(l, d->old_id, home_of(d, ch), item->key); /* the one that cat and restore take */
	else
		line_place(l, ch->after ? d->new_id : d->old_id, ch->collection, item->key);
	if (ch->kind == CHANGE_MOVED) {
		line_printf(l, d->url ? "  now in " : "  from ");
		line_name(l, d->url ? ch->collection : ch->collection_from);
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
		item_row(&item, d->url ? NULL : d->new_id, ch->collection, ch->after);
	if (ch->before)
		row_child(&r, "before", &before);
	if (ch->after)
		row_child(&r, "after", &item);
	row_drop(&before);
	row_drop(&item);
	return row_put(&r, e);
}

enum err_code diff_visit(void *ctx, const struct change *ch, struct err *e)
{
	struct comparison *d = ctx;
	bool whole = ch->kind == CHANGE_COLLECTION_ADDED || ch->kind == CHANGE_COLLECTION_REMOVED;
	enum err_code rc = cli_go_on(e);

	if (rc)
		return rc;
	progress_clear(&d->c->progress);
	count(&d->all, ch->kind);
	if (ch->kind == CHANGE_REMOVED)
		d->bytes_removed += ch->before->bytes;
	if (d->c->g.json)
		return d->summary_only ? ERR_OK : put_json(d, ch, e);
	rc = begin_collection(d, home_of(d, ch), e);
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
	row_cstr(&r, "b", d->url ? d->url : d->new_id);
	row_number(&r, "added", d->all.added);
	row_number(&r, "removed", d->all.removed);
	row_number(&r, "moved", d->all.moved);
	row_number(&r, "state", d->all.flags);
	row_number(&r, "content", d->all.content);
	if (d->url)
		row_number(&r, "bytes_removed", d->bytes_removed);
	return row_put(&r, e);
}

enum err_code diff_summary(struct comparison *d, struct err *e)
{
	enum err_code rc;

	if (d->c->g.json)
		return put_summary_json(d, e);
	rc = end_collection(d);
	if (rc)
		return rc;
	line_printf(&d->line, "from %s to ", d->old_id);
	line_safe(&d->line, span_cstr(d->url ? d->url : d->new_id));
	line_printf(&d->line, ": ");
	line_totals(&d->line, &d->all);
	rc = line_put(&d->line);
	if (rc || !d->url || !d->all.removed)
		return rc;
	line_printf(&d->line, "to put back what is missing (%s): mailhold restore %s --to ",
	            text_size(d->bytes_removed).text, d->old_id);
	line_safe(&d->line, span_cstr(d->url_word));
	line_printf(&d->line, " --into . --missing-only");
	return line_put(&d->line);
}
