#include "base/text.h"
#include "query.h"

struct values {
	struct query_values query;
};

static const struct option_def options[] = { QUERY_OPTIONS(struct values, query) };

struct search {
	struct cli *c;
	const struct text_list *words;
	struct line line;
	uint64_t hits;
};

static bool has_word(const struct item_words *w, struct span word)
{
	const struct span all[] = { w->title, w->from, w->to, w->message_id, w->files, w->place, w->contact };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (text_contains_nocase(all[i], word))
			return true;
	return false;
}

static bool has_all_words(const struct search *s, const struct view_item *item)
{
	struct item_words w = item_words(item);

	if (s->words->count < 2)
		return true; /* the engine has seen to one word */
	for (size_t i = 0; i < s->words->count; i++)
		if (!has_word(&w, span_cstr(s->words->items[i])))
			return false;
	return true;
}

static enum err_code put_json(const struct find_hit *hit, struct err *e)
{
	struct row r = row_new("hit");

	row_text(&r, "account", hit->account);
	item_row(&r, hit->last->id_hex, hit->collection, hit->item);
	row_cstr(&r, "snapshot", hit->last->id_hex);
	row_time(&r, "first_seen", hit->first->time_ms);
	row_time(&r, "last_seen", hit->last->time_ms);
	row_bool(&r, "still_there", hit->in_latest);
	return row_put(&r, e);
}

static enum err_code visit(void *ctx, const struct find_hit *hit, struct err *e)
{
	struct search *s = ctx;
	enum err_code rc = cli_go_on(e);

	if (rc || !has_all_words(s, hit->item))
		return rc;
	s->hits++;
	progress_clear(&s->c->progress);
	if (s->c->g.json)
		return put_json(hit, e);
	item_line(&s->line, hit->item);
	line_place(&s->line, snapshot_short(hit->last).text, hit->collection, hit->item->key);
	line_printf(&s->line, "  %.10s … ", time_text(hit->first->time_ms).text);
	if (hit->in_latest)
		line_printf(&s->line, "still there");
	else
		line_printf(&s->line, "%.10s", time_text(hit->last->time_ms).text);
	return line_put(&s->line);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	struct search s = { .c = c, .words = words, .line = line_new(e) };
	struct find_query q = { 0 };
	struct buf collection = BUF_EMPTY;
	enum err_code rc = query_read(c, &((const struct values *)values)->query, &collection, &q, e);

	/* The engine looks for the longest word, which few items have; the visitor asks for the others. */
	for (size_t i = 0; i < words->count; i++)
		if (strlen(words->items[i]) > q.any.len)
			q.any = span_cstr(words->items[i]);
	if (!rc)
		rc = cli_open(c, e);
	if (!rc)
		rc = engine_find(c->repo, &q, visit, &s, e);
	progress_clear(&c->progress);
	if (!rc && s.hits == 0)
		cli_note(c, "nothing was found");
	line_release(&s.line);
	buf_release(&collection);
	return rc;
}

const struct command command_find = {
	.name = "find",
	.words = "[WORD...]",
	.summary = "search all snapshots, also for what is gone",
	.details = "An item is found when every WORD stands in its sender, recipients, title, Message-ID, attachment "
	           "names,\n"
	           "place or addresses, and when every option fits. Upper and lower case of A-Z are the same. Each hit "
	           "is told\n"
	           "once, with its place in the newest snapshot that has it and the days between which it was seen.\n",
	.examples = "mailhold find contract --from smith --date 2025-01-01..2025-12-31\n"
	            "mailhold find --attachment invoice.pdf --account ann",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_max = WORDS_ANY,
	.run = run,
};
