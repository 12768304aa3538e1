#include "command.h"

#include "base/text.h"
#include "connector/connector.h"
#include "other_repository.h"
#include "problem.h"

struct values {
	bool dry_run;
	struct other_repository from;
};

static const struct option_def options[] = {
	{ 'n', "dry-run", OPTION_FLAG, NULL, "packs: tell what is damaged and what would be lost, change nothing",
	  offsetof(struct values, dry_run) },
	OTHER_REPOSITORY_OPTIONS(struct values, from, "from", "SOURCE|URL",
	                         "packs: take lost items again from there: a source, or another repository"),
};

static enum err_code tell(struct cli *c, const char *what, uint64_t count, const char *done, const char *nothing,
                          struct err *e)
{
	struct line l = line_new(e);
	struct row r;
	enum err_code rc;

	if (c->g.json) {
		r = row_new("repair");
		row_cstr(&r, "what", what);
		row_number(&r, "count", count);
		return row_put(&r, e);
	}
	if (count)
		line_printf(&l, "%llu %s", (unsigned long long)count, done);
	else
		line_printf(&l, "%s", nothing);
	rc = line_put(&l);
	line_release(&l);
	return rc;
}

static enum err_code repair_ledger(struct cli *c, struct err *e)
{
	uint64_t count = 0;
	enum err_code rc = engine_repair_ledger(c->repo, &count, e);

	return rc ? rc
	          : tell(c, "ledger", count,
	                 "ledger records that cannot be read are passed over from now on; what they said is lost.\n"
	                 "Run `mailhold check` to see what that costs; `mailhold snapshot --rescan SOURCE` stores "
	                 "again what is missing",
	                 "every ledger record can be read; nothing to do", e);
}

static enum err_code repair_index(struct cli *c, struct err *e)
{
	uint64_t count = 0;
	enum err_code rc = engine_repair_index(c->repo, &count, e);

	return rc ? rc
	          : tell(c, "index", count, "chunks indexed anew", "the index is made anew; there are no chunks yet",
	                 e);
}

/* ---- packs ---- */

struct telling {
	struct cli *c;
	struct err *e;
	enum err_code rc; /* of stdout */
};

static void visit(void *ctx, const struct check_problem *p)
{
	struct telling *t = ctx;

	progress_clear(&t->c->progress);
	if (!t->rc)
		t->rc = problem_put(t->c, p, t->e);
}

static enum err_code put_json(const struct repair_report *r, bool dry_run, struct err *e)
{
	struct row row = row_new("repair");

	row_cstr(&row, "what", "packs");
	row_number(&row, "count", r->packs_damaged + r->packs_gone);
	row_bool(&row, "dry_run", dry_run);
	row_number(&row, "packs", r->packs);
	row_number(&row, "packs_damaged", r->packs_damaged);
	row_number(&row, "packs_gone", r->packs_gone);
	row_number(&row, "chunks_saved", r->chunks_saved);
	row_number(&row, "chunks_known", r->chunks_known);
	row_number(&row, "chunks_lost", r->chunks_lost);
	row_number(&row, "chunks_restored", r->chunks_restored);
	row_number(&row, "bytes_added", r->bytes_added);
	row_number(&row, "items_affected", r->items_affected);
	row_cstr(&row, "head", r->head);
	return row_put(&row, e);
}

static void packs_line(struct line *l, const struct repair_report *r, bool dry_run)
{
	uint64_t bad = r->packs_damaged + r->packs_gone;

	if (!bad) {
		line_printf(l, "all %s packs are whole", number_text(r->packs).text);
		return;
	}
	line_printf(l, "of %s packs %s are damaged and %s gone", number_text(r->packs).text,
	            number_text(r->packs_damaged).text, number_text(r->packs_gone).text);
	if (dry_run)
		line_printf(l, "; nothing was changed");
	else
		line_printf(
		        l, "; %s chunks of them were saved into new packs (%s), and damaged packs are kept in damaged/",
		        number_text(r->chunks_saved).text, text_size(r->bytes_added).text);
}

static enum err_code put_words(struct cli *c, const struct repair_report *r, bool dry_run, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	packs_line(&l, r, dry_run);
	if (r->chunks_lost)
		line_printf(&l, "\n%s chunks that snapshots need %s lost; %s of them were taken from elsewhere",
		            number_text(r->chunks_lost).text, dry_run ? "would be" : "were",
		            number_text(r->chunks_restored).text);
	if (r->items_affected)
		line_printf(&l, "\n%s items cannot be read whole, as told above", number_text(r->items_affected).text);
	else
		line_printf(&l, "\nno item of a snapshot is affected");
	rc = line_put(&l);
	line_release(&l);
	if (!rc && r->items_affected && !dry_run)
		cli_note(c, "what still exists comes back with --from SOURCE or --from REPOSITORY, or with "
		            "`mailhold snapshot --rescan SOURCE`");
	return rc;
}

/* SOURCE or repository, by what lies there. */
static enum err_code open_from(struct cli *c, const struct other_repository *from, struct item_source **source,
                               struct repo **repo, struct err *e)
{
	enum err_code rc;

	if (!from->url)
		return ERR_OK;
	if (other_repository_is(from->url))
		return other_repository_open(c, from, "from", repo, e);
	rc = connector_source_open(from->url, source, e);
	if (rc)
		return err_note(e, "while opening what --from names");
	(*source)->report = cli_report;
	(*source)->report_ctx = c;
	return ERR_OK;
}

static enum err_code repair_packs(struct cli *c, const struct values *v, struct err *e)
{
	struct repair_options o = { .dry_run = v->dry_run };
	struct repair_report report = { 0 };
	struct err told = { 0 };
	struct telling t = { c, &told, ERR_OK };
	enum err_code rc = open_from(c, &v->from, &o.source, &o.from, e);

	if (!rc)
		rc = engine_repair_packs(c->repo, &o, visit, &t, &report, e);
	progress_clear(&c->progress);
	cli_reports_end(c);
	if (o.source)
		o.source->ops->free(&o.source);
	repo_free(&o.from);
	if (rc)
		return rc;
	if (t.rc) {
		*e = told;
		return t.rc;
	}
	c->incomplete = report.items_affected > 0 || (v->dry_run && report.problems);
	return c->g.json ? put_json(&report, v->dry_run, e) : put_words(c, &report, v->dry_run, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	const char *what = words->items[0];
	enum err_code rc;

	if (strcmp(what, "ledger") != 0 && strcmp(what, "index") != 0 && strcmp(what, "packs") != 0)
		return err_set(e, ERR_USAGE, "this version repairs the ledger, the index or packs, not '%s'",
		               text_name(span_cstr(what)).text);
	if (*what != 'p' && (v->dry_run || v->from.url))
		return err_set(e, ERR_USAGE, "--dry-run and --from go with `repair packs`");
	rc = other_repository_check(&v->from, "from", e);
	if (!rc)
		rc = cli_open(c, e);
	if (rc)
		return rc;
	return *what == 'p' ? repair_packs(c, v, e) : *what == 'l' ? repair_ledger(c, e) : repair_index(c, e);
}

const struct command command_repair = {
	.name = "repair",
	.words = "ledger|index|packs",
	.summary = "mend what check found: unreadable records, the local index, damaged packs",
	.details =
	        "ledger: appends a record that passes over each one that cannot be read, so that snapshots can be "
	        "added\n"
	        "again. What such a record said stays lost: put it back from a copy first, if there is one.\n"
	        "index: throws the local index away and makes it anew from the packs. It is a cache; nothing is lost.\n"
	        "packs: reads all packs. Damaged ones are copied to damaged/ in the store and replaced by new packs "
	        "with "
	        "all that\n"
	        "can still be read of them; then it tells which items of which snapshots are affected. With --from, "
	        "lost "
	        "items are\n"
	        "taken again from a source or another repository where they still are. The exit code is 3 when some "
	        "cannot.\n",
	.examples = "mailhold repair packs --dry-run\nmailhold repair packs --from ~/Maildir\n"
	            "mailhold repair packs --from /mnt/other --from-password-file ~/other.pw\nmailhold repair index",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = 1,
	.run = run,
};
