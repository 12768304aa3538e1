#include "command.h"

#include "base/clock.h"
#include "base/text.h"
#include "problem.h"

struct values {
	struct maybe_text read_data;
};

static const struct option_def options[] = {
	{ 0, "read-data", OPTION_MAYBE, "5%|2GiB|10m",
	  "compare every byte, too; with a percentage, size or time: of so much, longest unverified first",
	  offsetof(struct values, read_data) },
};

/* ---- how much ---- */

static enum err_code read_amount(const char *text, struct check_options *o, struct err *e)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
		int64_t ms;
	} units[] = { { "%", 0, 0 },          { "KiB", KIB, 0 },        { "KB", KIB, 0 },
		      { "K", KIB, 0 },        { "MiB", MIB, 0 },        { "MB", MIB, 0 },
		      { "M", MIB, 0 },        { "GiB", 1024 * MIB, 0 }, { "GB", 1024 * MIB, 0 },
		      { "G", 1024 * MIB, 0 }, { "TiB", MIB * MIB, 0 },  { "TB", MIB * MIB, 0 },
		      { "T", MIB * MIB, 0 },  { "s", 0, 1000 },         { "m", 0, 60000 },
		      { "min", 0, 60000 },    { "h", 0, 3600000 } };
	size_t digits = strspn(text, "0123456789");
	uint64_t n;

	if (text_number(span_of(text, digits), 1000000, &n) && n)
		for (size_t i = 0; i < ARRAY_LEN(units); i++) {
			if (strcmp(text + digits, units[i].unit) != 0 || (i == 0 && n > 100))
				continue;
			o->data_percent = i == 0 ? (unsigned)n : 0;
			o->data_bytes = n * units[i].bytes;
			o->data_ms = (int64_t)n * units[i].ms;
			return ERR_OK;
		}
	return err_set(e, ERR_USAGE,
	               "--read-data wants a percentage (5%%), a size (500MiB, 2GiB) or a time (30s, 10m, 2h), not '%s'",
	               text_name(span_cstr(text)).text);
}

struct checking {
	struct cli *c;
	struct err *e;
	enum err_code rc; /* of stdout */
};

static void visit(void *ctx, const struct check_problem *p)
{
	struct checking *k = ctx;

	progress_clear(&k->c->progress);
	if (!k->rc)
		k->rc = problem_put(k->c, p, k->e);
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
	row_number(&row, "packs_data", r->packs_data);
	row_number(&row, "objects_gone", r->objects_gone);
	verified_row(&row, &r->verified);
	return row_put(&row, e);
}

static enum err_code put_words(struct cli *c, const struct check_report *r, bool read_data, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	if (c->g.quiet)
		return ERR_OK;
	line_printf(&l, "checked %s snapshots, %s ledger records, ", number_text(r->snapshots).text,
	            number_text(r->records).text);
	if (read_data)
		line_printf(&l, "%s packs, %s blocks, %s chunks (%s read): ", number_text(r->packs).text,
		            number_text(r->blocks).text, number_text(r->chunks).text, text_size(r->bytes_read).text);
	else
		line_printf(&l, "the directories of %s packs, and all that snapshots refer to: ",
		            number_text(r->packs).text);
	if (r->problems && !r->items_affected)
		line_printf(&l, "%s problems, no item of a snapshot is affected", number_text(r->problems).text);
	else if (r->problems)
		line_printf(&l, "%s problems, %s items of live snapshots are affected", number_text(r->problems).text,
		            number_text(r->items_affected).text);
	else
		line_printf(&l, "no problems%s",
		            read_data ? "" : "; --read-data compares every byte of the items, too");
	rc = line_put(&l);
	line_release(&l);
	l = line_new(e);
	if (verified_words(&l, c->now_ms, &r->verified) && !rc)
		rc = line_put(&l);
	line_release(&l);
	if (!rc && r->items_affected)
		cli_note(c, "`mailhold repair packs` saves what can be saved and tells what is lost");
	return rc;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct check_options o = { .read_data = v->read_data.given };
	struct check_report report = { 0 };
	struct err told = { 0 };
	struct checking k = { c, &told, ERR_OK };
	/* "--read-data 5%" is what people type. */
	const char *amount = v->read_data.text ? v->read_data.text : words->count ? words->items[0] : NULL;
	enum err_code rc = ERR_OK;

	if (words->count && (!v->read_data.given || v->read_data.text))
		rc = err_set(e, ERR_USAGE, "check does not take '%s'; an amount goes with --read-data",
		             text_name(span_cstr(words->items[0])).text);
	else if (amount)
		rc = read_amount(amount, &o, e);
	if (!rc)
		rc = cli_open(c, e);
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
	c->gone = report.objects_gone > 0;
	return c->g.json ? put_json(&report, o.read_data, e) : put_words(c, &report, o.read_data, e);
}

const struct command command_check = {
	.name = "check",
	.words = "",
	.summary = "prove that the repository is whole",
	.details =
	        "Without --read-data: the ledger, every pack's directory, and that everything that snapshots need "
	        "is there.\n"
	        "With it, every byte, too. A part of it every day goes round the repository: this computer remembers "
	        "what was\n"
	        "verified when, and takes the oldest first.\n"
	        "The exit code is 1 when something is damaged, and 13 when something that must be there is gone: "
	        "records or packs.\n",
	.examples = "mailhold check\nmailhold check --read-data\nmailhold check --read-data=5%",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_max = 1,
	.run = run,
};
