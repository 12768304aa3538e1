#include "command.h"

#include "base/clock.h"
#include "base/text.h"

struct values {
	const char *account, *from, *to, *subject, *date, *after, *before, *message_id, *attachment, *kind, *collection,
	        *place;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 0, "from", OPTION_TEXT, "TEXT", "in the sender or organizer", AT(from) },
	{ 0, "to", OPTION_TEXT, "TEXT", "in the recipients or attendees", AT(to) },
	{ 's', "subject", OPTION_TEXT, "TEXT", "in the subject or title", AT(subject) },
	{ 'd', "date", OPTION_TEXT, "A..B", "dated from A to B (either may be missing), or on the day A", AT(date) },
	{ 0, "after", OPTION_TEXT, "DATE", "dated DATE or later (2026-11-22, yesterday, 3d)", AT(after) },
	{ 0, "before", OPTION_TEXT, "DATE", "dated before DATE", AT(before) },
	{ 0, "message-id", OPTION_TEXT, "ID", "in the Message-ID or UID", AT(message_id) },
	{ 0, "attachment", OPTION_TEXT, "NAME", "in the name of an attachment", AT(attachment) },
	{ 'k', "kind", OPTION_TEXT, "KIND", "mail, event, task, contact, note, rule, settings or other", AT(kind) },
	{ 'c', "collection", OPTION_TEXT, "PATH", "in this collection; * and ? stand for any characters",
	  AT(collection) },
	{ 0, "place", OPTION_TEXT, "TEXT", "in the place of an event", AT(place) },
	{ 'a', "account", OPTION_TEXT, "NAME", "in this account's snapshots", AT(account) },
};

struct search {
	struct cli *c;
	const struct text_list *words;
	struct line line;
	uint64_t hits;
};

static struct span maybe(const char *s)
{
	return s ? span_cstr(s) : SPAN_EMPTY;
}

/* A, A..B, ..B, A.. with B's whole day. */
static enum err_code date_range(struct cli *c, const char *text, struct find_query *q, struct err *e)
{
	const char *dots = strstr(text, ".."), *last = dots ? dots + 2 : text;
	char first[64];
	size_t len = dots ? (size_t)(dots - text) : strlen(text);
	enum err_code rc = ERR_OK;

	if (len >= sizeof first)
		return err_set(e, ERR_USAGE, "not a range of dates: write 2026-01-01..2026-03-31");
	memcpy(first, text, len);
	first[len] = 0;
	if (len)
		rc = clock_parse(first, c->now_ms, false, &q->after_ms, e);
	if (!rc && *last)
		rc = clock_parse(last, c->now_ms, true, &q->before_ms, e);
	return rc;
}

static enum err_code query_dates(struct cli *c, const struct values *v, struct find_query *q, struct err *e)
{
	enum err_code rc = ERR_OK;

	q->after_ms = INT64_MIN;
	q->before_ms = INT64_MAX;
	if (v->date)
		rc = date_range(c, v->date, q, e);
	if (!rc && v->after)
		rc = clock_parse(v->after, c->now_ms, false, &q->after_ms, e);
	if (!rc && v->before) {
		rc = clock_parse(v->before, c->now_ms, false, &q->before_ms, e);
		q->before_ms -= !rc;
	}
	return rc;
}

static enum err_code make_query(struct cli *c, const struct values *v, const struct text_list *words,
                                struct buf *collection, struct find_query *q, struct err *e)
{
	enum err_code rc = query_dates(c, v, q, e);

	q->account = v->account;
	q->from = maybe(v->from);
	q->to = maybe(v->to);
	q->title = maybe(v->subject);
	q->message_id = maybe(v->message_id);
	q->file = maybe(v->attachment);
	q->place = maybe(v->place);
	if (!rc && v->kind && !item_kind_of_name(span_cstr(v->kind), &q->kind))
		rc = err_set(e, ERR_USAGE, "--kind is mail, event, task, contact, note, rule, settings or other");
	if (!rc && v->collection)
		rc = text_unpercent(collection, span_cstr(v->collection), e);
	q->collection = buf_span(collection);
	/* The engine looks for the longest word, which few items have; the visitor asks for the others. */
	for (size_t i = 0; i < words->count; i++)
		if (strlen(words->items[i]) > q->any.len)
			q->any = span_cstr(words->items[i]);
	return rc;
}

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
	enum err_code rc = make_query(c, values, words, &collection, &q, e);

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
