#include "command.h"

#include "base/text.h"

struct listing {
	struct cli *c;
	struct line line;
	const struct view_collection *collection;
	const char *snapshot;
	bool whole_places; /* print SNAP:COLLECTION#KEY rather than the key */
};

static enum err_code put_collection_json(const char *snapshot, const struct view_collection *col, struct err *e)
{
	struct row r = row_new("collection");
	json_t *attributes = json_array();

	row_place(&r, "place", snapshot, col->c.path, SPAN_EMPTY);
	row_name(&r, "collection", col->c.path);
	row_cstr(&r, "kind", item_kind_name(col->c.kind));
	row_cstr(&r, "role", collection_role_name(col->c.role));
	row_number(&r, "items", col->items);
	row_number(&r, "bytes", col->bytes);
	for (size_t i = 0; i < col->c.attribute_count; i++) {
		struct row one = row_new(NULL);

		row_text(&one, "name", col->c.attributes[i].name);
		row_number(&one, "bytes", col->c.attributes[i].value.len);
		array_add_row(&attributes, &one);
	}
	row_array(&r, "attributes", attributes);
	return row_put(&r, e);
}

static void cell_name(struct table *t, struct span name)
{
	struct buf text = BUF_EMPTY;

	if (!t->rc)
		t->rc = text_percent(&text, name, "#:", t->e);
	table_cell(t, buf_span(&text));
	buf_release(&text);
}

static enum err_code list_collections(struct cli *c, struct view *v, struct err *e)
{
	static const char *const titles[] = { ">items", ">size", "kind", "role", "collection" };
	struct table t = table_new(titles, ARRAY_LEN(titles), e);
	const struct view_collection *col;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < view_collection_count(v) && !rc; i++) {
		rc = view_collection(v, i, &col, e);
		if (!rc)
			rc = cli_go_on(e);
		if (rc)
			break;
		if (c->g.json) {
			rc = put_collection_json(view_snapshot(v)->id_hex, col, e);
			continue;
		}
		table_text(&t, number_text(col->items).text);
		table_text(&t, text_size(col->bytes).text);
		table_text(&t, item_kind_name(col->c.kind));
		table_text(&t, collection_role_name(col->c.role));
		cell_name(&t, col->c.path);
		rc = t.rc;
	}
	if (!rc && !c->g.json && t.cell_count)
		rc = table_put(&t);
	buf_release(&t.cells);
	return rc;
}

static enum err_code visit(void *ctx, size_t collection, const struct view_item *item, struct err *e)
{
	struct listing *l = ctx;
	enum err_code rc = cli_go_on(e);

	(void)collection;
	if (rc)
		return rc;
	if (l->c->g.json) {
		struct row r = row_new("item");

		item_row(&r, l->snapshot, l->collection->c.path, item);
		return row_put(&r, e);
	}
	item_line(&l->line, item);
	if (l->whole_places)
		line_place(&l->line, l->snapshot, l->collection->c.path, item->key);
	else
		line_name(&l->line, item->key);
	return line_put(&l->line);
}

static enum err_code list_items(struct cli *c, struct view *v, const struct place *p, bool long_places, struct err *e)
{
	struct hex_short id = snapshot_short(view_snapshot(v));
	struct listing l = { .c = c, .line = line_new(e), .whole_places = long_places };
	size_t at;
	enum err_code rc = view_find_collection(v, buf_span(&p->collection), &at, e);

	l.snapshot = c->g.json ? view_snapshot(v)->id_hex : id.text;
	if (!rc)
		rc = view_collection(v, at, &l.collection, e);
	if (!rc && p->has_key)
		rc = view_item(v, at, buf_span(&p->key), visit, &l, e);
	else if (!rc)
		rc = view_items(v, at, true, visit, &l, e);
	line_release(&l.line);
	return rc;
}

struct values {
	bool places;
};

static const struct option_def options[] = {
	{ 'l', "long", OPTION_FLAG, NULL, "items with their whole place, to paste into cat or restore",
	  offsetof(struct values, places) },
};

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *o = values;
	struct place p = PLACE_EMPTY;
	struct view *v = NULL;
	enum err_code rc = place_parse(words->count ? words->items[0] : "latest", &p, e);

	if (!rc)
		rc = cli_view(c, (const char *)p.snapshot.ptr, &v, e);
	if (!rc)
		rc = p.has_collection ? list_items(c, v, &p, o->places, e) : list_collections(c, v, e);
	view_free(&v);
	place_release(&p);
	return rc;
}

const struct command command_ls = {
	.name = "ls",
	.words = "[SNAP[:COLLECTION[#KEY]]]",
	.summary = "list the collections of a snapshot, or the items of a collection",
	.details = "Items are told with date, sender, title, size, flags and key. SNAP alone lists the collections; "
	           "nothing\n"
	           "at all is latest.\n",
	.examples = "mailhold ls latest\nmailhold ls \"2026-11-22 20:15:Sent Items\"",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_max = 1,
	.run = run,
};
