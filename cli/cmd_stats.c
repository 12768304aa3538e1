#include "command.h"

#include "base/text.h"

static enum err_code put_json(const struct repo_info *info, const struct stats_report *s, struct err *e)
{
	struct row r = row_new(NULL);
	json_t *classes = json_array();
	char id[2 * ID16_BYTES + 1];

	text_hex(span_of(info->id.bytes, ID16_BYTES), id);
	row_cstr(&r, "repository", id);
	row_cstr(&r, "head", info->head);
	row_cstr(&r, "cache_folder", info->cache_folder ? info->cache_folder : "");
	row_number(&r, "accounts", s->accounts);
	row_number(&r, "snapshots", s->snapshots);
	row_number(&r, "snapshots_trash", s->snapshots_trash);
	row_number(&r, "records", s->records);
	row_number(&r, "packs", s->packs);
	row_number(&r, "pack_bytes", s->pack_bytes);
	row_number(&r, "objects", s->objects);
	row_number(&r, "object_bytes", s->object_bytes);
	row_number(&r, "items_latest", s->items_latest);
	row_number(&r, "bytes_latest", s->bytes_latest);
	row_number(&r, "items_all", s->items_all);
	row_number(&r, "bytes_all", s->bytes_all);
	row_number(&r, "chunks", s->chunks);
	for (size_t i = 0; i < s->class_count; i++) {
		struct row one;

		if (!s->classes[i].blocks)
			continue;
		one = row_new(NULL);
		row_cstr(&one, "name", s->classes[i].name);
		row_number(&one, "blocks", s->classes[i].blocks);
		row_number(&one, "chunks", s->classes[i].chunks);
		row_number(&one, "raw_bytes", s->classes[i].raw_bytes);
		row_number(&one, "sealed_bytes", s->classes[i].sealed_bytes);
		array_add_row(&classes, &one);
	}
	row_array(&r, "classes", classes);
	return row_put(&r, e);
}

static enum err_code put_totals(const struct repo_info *info, const struct stats_report *s, struct err *e)
{
	struct line l = line_new(e);
	char id[2 * ID16_BYTES + 1];
	enum err_code rc;

	text_hex(span_of(info->id.bytes, ID16_BYTES), id);
	line_printf(&l, "repository %.8s in ", id);
	line_safe(&l, span_cstr(info->url));
	line_printf(&l, ", head %s\n", info->head);
	line_printf(&l, "%s accounts, %s snapshots (and %s in the trash), %s ledger records\n",
	            number_text(s->accounts).text, number_text(s->snapshots).text, number_text(s->snapshots_trash).text,
	            number_text(s->records).text);
	line_printf(&l, "%s objects in the store, %s; packs among them: %s, %s\n", number_text(s->objects).text,
	            text_size(s->object_bytes).text, number_text(s->packs).text, text_size(s->pack_bytes).text);
	line_printf(&l, "latest snapshots: %s items, %s; all snapshots: %s items, %s\n",
	            number_text(s->items_latest).text, text_size(s->bytes_latest).text, number_text(s->items_all).text,
	            text_size(s->bytes_all).text);
	line_printf(&l, "%s chunks", number_text(s->chunks).text);
	if (s->object_bytes && s->bytes_all)
		line_printf(&l, "; stored in %.1f %% of what copies of all snapshots would take",
		            100.0 * (double)s->object_bytes / (double)s->bytes_all);
	rc = line_put(&l);
	line_release(&l);
	return rc;
}

static enum err_code put_classes(const struct stats_report *s, struct err *e)
{
	static const char *const titles[] = { "class", ">blocks", ">chunks", ">raw", ">sealed" };
	struct table t = table_new(titles, ARRAY_LEN(titles), e);

	for (size_t i = 0; i < s->class_count; i++) {
		if (!s->classes[i].blocks)
			continue;
		table_text(&t, s->classes[i].name);
		table_text(&t, number_text(s->classes[i].blocks).text);
		table_text(&t, number_text(s->classes[i].chunks).text);
		table_text(&t, text_size(s->classes[i].raw_bytes).text);
		table_text(&t, text_size(s->classes[i].sealed_bytes).text);
	}
	return table_put(&t);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	struct stats_report report = { 0 };
	struct repo_info info;
	enum err_code rc = cli_open(c, e);

	(void)values;
	(void)words;
	if (!rc)
		rc = engine_stats(c->repo, &report, e);
	progress_clear(&c->progress);
	if (rc)
		return rc;
	repo_describe(c->repo, &info);
	if (c->g.json)
		return put_json(&info, &report, e);
	rc = put_totals(&info, &report, e);
	return rc || !report.class_count ? rc : put_classes(&report, e);
}

const struct command command_stats = {
	.name = "stats",
	.words = "",
	.summary = "how much there is and what it takes",
	.examples = "mailhold stats\nmailhold stats --json",
	.run = run,
};
