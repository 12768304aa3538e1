#include "command.h"

#include "base/text.h"

struct values {
	bool read_data;
};

static const struct option_def options[] = {
	{ 0, "read-data", OPTION_FLAG, NULL, "open every block and compare every byte, too",
	  offsetof(struct values, read_data) },
};

struct checking {
	struct cli *c;
	struct err *e;
	enum err_code rc; /* of stdout */
};

static void visit(void *ctx, const struct check_problem *p)
{
	struct checking *k = ctx;
	struct line l = line_new(k->e);

	progress_clear(&k->c->progress);
	if (k->rc)
		return;
	if (k->c->g.json) {
		struct row r = row_new("problem");

		row_cstr(&r, "object", p->object);
		row_cstr(&r, "code", err_code_name(p->what->code));
		row_cstr(&r, "message", p->what->text);
		k->rc = row_put(&r, k->e);
		return;
	}
	line_safe(&l, span_cstr(p->object));
	line_printf(&l, ": ");
	line_safe(&l, span_cstr(p->what->text));
	k->rc = line_put(&l);
	line_release(&l);
}

static enum err_code put_json(const struct check_report *r, bool read_data, struct err *e)
{
	struct row row = row_new("summary");

	row_number(&row, "problems", r->problems);
	row_number(&row, "items_affected", r->items_affected);
	row_number(&row, "records", r->records);
	row_number(&row, "snapshots", r->snapshots);
	row_number(&row, "packs", r->packs);
	row_number(&row, "blocks", r->blocks);
	row_number(&row, "chunks", r->chunks);
	row_number(&row, "bytes_read", r->bytes_read);
	row_bool(&row, "read_data", read_data);
	return row_put(&row, e);
}

static enum err_code put_words(struct cli *c, const struct check_report *r, bool read_data, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	if (c->g.quiet)
		return ERR_OK;
	line_printf(&l, "checked %s snapshots, %s ledger records, %s packs, %s blocks, %s chunks (%s read): ",
	            number_text(r->snapshots).text, number_text(r->records).text, number_text(r->packs).text,
	            number_text(r->blocks).text, number_text(r->chunks).text, text_size(r->bytes_read).text);
	if (r->problems)
		line_printf(&l, "%s problems, %s items of live snapshots are affected", number_text(r->problems).text,
		            number_text(r->items_affected).text);
	else
		line_printf(&l, "no problems%s",
		            read_data ? "" : "; --read-data compares every byte of the items, too");
	rc = line_put(&l);
	line_release(&l);
	return rc;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct check_options o = { .read_data = v->read_data };
	struct check_report report = { 0 };
	struct err told = { 0 };
	struct checking k = { c, &told, ERR_OK };
	enum err_code rc = cli_open(c, e);

	(void)words;
	if (!rc)
		rc = engine_check(c->repo, &o, visit, &k, &report, e);
	progress_clear(&c->progress);
	if (rc)
		return rc;
	if (k.rc) {
		*e = told;
		return k.rc;
	}
	c->failed = report.problems > 0;
	return c->g.json ? put_json(&report, v->read_data, e) : put_words(c, &report, v->read_data, e);
}

const struct command command_check = {
	.name = "check",
	.words = "",
	.summary = "prove that the repository is whole",
	.details = "Without --read-data: the ledger, every pack's directory, and that everything that snapshots need "
	           "is there.\n"
	           "The exit code is 1 when something is damaged.\n",
	.examples = "mailhold check\nmailhold check --read-data",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.run = run,
};
