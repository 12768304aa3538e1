#include "command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

/* More lines than anybody reads; --json has no such limit. */
enum { GONE_MAX = 100000, COMMANDS_PER_COLLECTION = 5 };

struct values {
	const char *since, *account;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 's', "since", OPTION_TEXT, "WHEN", "gone since then: 7d, 2w, yesterday, 2026-11-22 (else: ever)", AT(since) },
	{ 'a', "account", OPTION_TEXT, "NAME", "only this account", AT(account) },
};

/* One item, its text in the listing's buffer. ORDER keeps items as they came within their snapshot and collection. */
struct gone {
	int64_t snapshot_ms;
	char snapshot[9];
	size_t collection_at, collection_len; /* raw */
	size_t line_at, line_len;             /* printable */
	size_t place_at, place_len;
	size_t order;
};

struct listing {
	struct cli *c;
	struct buf text;
	struct gone *items;
	size_t count, cap;
	uint64_t left_out, told;
	struct buf to; /* the --to of the commands */
};

static enum err_code grow(struct listing *l, struct err *e)
{
	size_t cap = l->cap ? 2 * l->cap : 256;
	struct gone *grown;

	if (l->count < l->cap)
		return ERR_OK;
	grown = mem_grow(l->items, cap * sizeof *grown);
	if (!grown)
		return err_no_memory(e, cap * sizeof *grown);
	l->items = grown;
	l->cap = cap;
	return ERR_OK;
}

static enum err_code put_json(const struct deleted_item *d, struct err *e)
{
	struct row r = row_new("deleted");

	row_text(&r, "account", d->last_in->account);
	item_row(&r, d->last_in->id_hex, d->collection, d->item);
	row_cstr(&r, "snapshot", d->last_in->id_hex);
	row_time(&r, "last_seen", d->last_in->time_ms);
	row_time(&r, "gone_by", d->gone_by_ms);
	return row_put(&r, e);
}

static enum err_code keep(struct listing *l, const struct deleted_item *d, struct err *e)
{
	struct gone g = { .snapshot_ms = d->last_in->time_ms, .collection_at = l->text.len, .order = l->count };
	struct line line = line_new(e);
	enum err_code rc = grow(l, e);

	snprintf(g.snapshot, sizeof g.snapshot, "%s", snapshot_short(d->last_in).text);
	if (!rc)
		rc = buf_append(&l->text, d->collection, e);
	g.collection_len = l->text.len - g.collection_at;
	g.line_at = l->text.len;
	item_line(&line, d->item);
	line_printf(&line, "gone by %s  ", time_text(d->gone_by_ms).text);
	if (!rc)
		rc = line.rc ? line.rc : buf_append(&l->text, buf_span(&line.text), e);
	g.line_len = l->text.len - g.line_at;
	g.place_at = l->text.len;
	if (!rc)
		rc = place_print(&l->text, g.snapshot, d->collection, d->item->key, e);
	g.place_len = l->text.len - g.place_at;
	line_release(&line);
	if (!rc)
		l->items[l->count++] = g;
	return rc;
}

/* Where the items came from, as far as it can be typed here: an absolute path or a URL. */
static enum err_code keep_target(struct listing *l, struct span source, struct err *e)
{
	const uint8_t *colon = source.len ? memchr(source.ptr, ':', source.len) : NULL;
	bool absolute = source.len && (source.ptr[0] == '/' ||
	                               (colon && (size_t)(colon - source.ptr) + 1 < source.len && colon[1] == '/'));

	if (l->to.len)
		return ERR_OK;
	if (!absolute || !text_is_utf8(source))
		return buf_append(&l->to, SPAN_LIT("FOLDER"), e);
	return shell_quote(&l->to, source, e);
}

static enum err_code visit(void *ctx, const struct deleted_item *d, struct err *e)
{
	struct listing *l = ctx;
	enum err_code rc = cli_go_on(e);

	if (rc)
		return rc;
	progress_clear(&l->c->progress);
	l->told++;
	if (l->c->g.json)
		return put_json(d, e);
	if (l->count >= GONE_MAX || l->text.len > BUF_MAX_DEFAULT / 2) {
		l->left_out++;
		return ERR_OK;
	}
	rc = keep_target(l, d->last_in->source, e);
	return rc ? rc : keep(l, d, e);
}

/* Newest snapshot first, then collections by name, then as they came. */
static int compare(const void *pa, const void *pb, void *ctx)
{
	const struct gone *a = pa, *b = pb;
	const struct listing *l = ctx;
	int order;

	if (a->snapshot_ms != b->snapshot_ms)
		return a->snapshot_ms < b->snapshot_ms ? 1 : -1;
	order = strcmp(a->snapshot, b->snapshot);
	if (!order)
		order = span_compare(span_of(l->text.ptr + a->collection_at, a->collection_len),
		                     span_of(l->text.ptr + b->collection_at, b->collection_len));
	return order ? order : a->order < b->order ? -1 : a->order > b->order;
}

static bool same_group(const struct listing *l, const struct gone *a, const struct gone *b)
{
	return !strcmp(a->snapshot, b->snapshot) &&
	       span_equal(span_of(l->text.ptr + a->collection_at, a->collection_len),
	                  span_of(l->text.ptr + b->collection_at, b->collection_len));
}

static void line_raw(struct line *line, struct span s)
{
	if (!line->rc)
		line->rc = buf_append(&line->text, s, line->e);
}

static enum err_code put_items(const struct listing *l, struct line *line)
{
	const struct gone *before = NULL;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < l->count && !rc; i++) {
		const struct gone *g = &l->items[i];

		if (!before || strcmp(before->snapshot, g->snapshot) != 0) {
			line_printf(line, "%slast in snapshot %s (%s):", before ? "\n" : "", g->snapshot,
			            time_text(g->snapshot_ms).text);
			rc = line_put(line);
		}
		line_printf(line, "  ");
		line_raw(line, span_of(l->text.ptr + g->line_at, g->line_len));
		line_raw(line, span_of(l->text.ptr + g->place_at, g->place_len));
		if (!rc)
			rc = line_put(line);
		before = g;
	}
	return rc;
}

static enum err_code put_command(const struct listing *l, struct line *line, struct span place, const char *note)
{
	line_printf(line, "  mailhold restore ");
	if (l->c->g.repository) {
		line_printf(line, "-r ");
		if (!line->rc)
			line->rc = shell_quote(&line->text, span_cstr(l->c->g.repository), line->e);
		line_printf(line, " ");
	}
	line_raw(line, place);
	line_printf(line, " --to ");
	line_raw(line, buf_span(&l->to));
	line_printf(line, " --into .%s", note);
	return line_put(line);
}

/* A few items are named one by one; many of one collection come back with the collection as it was. */
static enum err_code put_commands(const struct listing *l, struct line *line)
{
	size_t i = 0;
	enum err_code rc;

	line_printf(line, "\nto bring them back to where they were (what is still there is left alone):");
	rc = line_put(line);
	while (i < l->count && !rc) {
		const struct gone *g = &l->items[i];
		size_t n = 1;

		while (i + n < l->count && same_group(l, g, &l->items[i + n]))
			n++;
		if (n > COMMANDS_PER_COLLECTION) {
			struct span place = span_of(l->text.ptr + g->place_at, g->place_len);
			const uint8_t *hash = memchr(place.ptr, '#', place.len);

			rc = put_command(l, line, span_first(place, (size_t)(hash - place.ptr)), "");
		}
		for (size_t j = i; j < i + n && n <= COMMANDS_PER_COLLECTION && !rc; j++)
			rc = put_command(l, line, span_of(l->text.ptr + l->items[j].place_at, l->items[j].place_len),
			                 "");
		i += n;
	}
	return rc;
}

static enum err_code put_all(struct listing *l, struct err *e)
{
	struct line line = line_new(e);
	enum err_code rc;

	if (l->count)
		qsort_r(l->items, l->count, sizeof *l->items, compare, l);
	rc = put_items(l, &line);
	if (!rc && l->count)
		rc = put_commands(l, &line);
	line_release(&line);
	if (!rc && l->left_out)
		cli_note(l->c, "%s more are gone; --since, --account or --json tell the rest",
		         number_text(l->left_out).text);
	return rc;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct listing l = { .c = c };
	int64_t since = INT64_MIN;
	enum err_code rc = ERR_OK;

	(void)words;
	if (v->since)
		rc = clock_parse(v->since, c->now_ms, false, &since, e);
	if (!rc)
		rc = cli_open(c, e);
	if (!rc)
		rc = engine_deleted(c->repo, v->account, since, visit, &l, e);
	progress_clear(&c->progress);
	if (!rc)
		rc = put_all(&l, e);
	if (!rc && l.told == 0)
		cli_note(c, v->since ? "nothing is gone since then" : "nothing is gone");
	mem_free(l.items);
	buf_release(&l.text);
	buf_release(&l.to);
	return rc;
}

const struct command command_deleted = {
	.name = "deleted",
	.words = "",
	.summary = "what was there once and is gone now, and how to bring it back",
	.details = "Items that some snapshot of an account has and its latest has not, by the newest snapshot that has "
	           "them,\n"
	           "with the commands that bring them back. An item that was only moved is not told.\n",
	.examples = "mailhold deleted --since 7d\nmailhold deleted --account ann --since 2026-11-01 --json",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.run = run,
};
