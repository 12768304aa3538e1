#include "command.h"

#include "base/text.h"

struct values {
	bool dry_run;
};

static const struct option_def options[] = {
	{ 'n', "dry-run", OPTION_FLAG, NULL, "add: tell how many packs would get one, make none",
	  offsetof(struct values, dry_run) },
};

enum err_code cli_parity_percent(const char *text, unsigned *out, struct err *e)
{
	struct span s = span_cstr(text);
	uint64_t percent = 0;

	if (s.len && s.ptr[s.len - 1] == '%')
		s.len--;
	if (strcmp(text, "off") != 0 && (!text_number(s, ENGINE_PARITY_PERCENT_MAX, &percent) || percent == 0))
		return err_set(e, ERR_USAGE, "parity is 1 to %d percent, or off; not '%s'", ENGINE_PARITY_PERCENT_MAX,
		               text_name(span_cstr(text)).text);
	*out = (unsigned)percent;
	return ERR_OK;
}

/* ---- what is told ---- */

static enum err_code put_report(struct cli *c, const struct parity_report *r, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	if (c->g.json) {
		struct row row = row_new("parity");

		row_number(&row, "percent", r->percent);
		row_number(&row, "packs", r->packs);
		row_number(&row, "pack_bytes", r->packs_bytes);
		row_number(&row, "protected", r->protected);
		row_number(&row, "parity_bytes", r->parity_bytes);
		return row_put(&row, e);
	}
	if (r->percent)
		line_printf(&l, "new packs get parity for losses of %u percent; ", r->percent);
	else
		line_printf(&l, "new packs get no parity; ");
	line_printf(&l, "%s of %s packs (%s) have it, in %s", number_text(r->protected).text,
	            number_text(r->packs).text, text_size(r->packs_bytes).text, text_size(r->parity_bytes).text);
	rc = line_put(&l);
	line_release(&l);
	return rc;
}

static enum err_code show(struct cli *c, struct err *e)
{
	struct parity_report report;
	enum err_code rc = engine_parity_show(c->repo, &report, e);

	return rc ? rc : put_report(c, &report, e);
}

static enum err_code set(struct cli *c, unsigned percent, struct err *e)
{
	struct parity_report report;
	enum err_code rc = engine_parity_set(c->repo, percent, e);

	if (!rc)
		rc = engine_parity_show(c->repo, &report, e);
	if (!rc && !c->g.quiet)
		rc = put_report(c, &report, e);
	if (!rc && percent && report.protected < report.packs)
		cli_note(c, "packs that are there already get it by `mailhold parity add`");
	return rc;
}

struct telling {
	struct cli *c;
	struct err *e;
	enum err_code rc; /* of stdout */
};

static void on_damaged(void *ctx, const struct check_problem *p)
{
	struct telling *t = ctx;
	struct line l = line_new(t->e);
	struct row r;

	progress_clear(&t->c->progress);
	if (t->rc)
		return;
	if (t->c->g.json) {
		r = row_new("problem");
		row_cstr(&r, "object", p->object);
		row_cstr(&r, "code", err_code_name(p->what->code));
		row_cstr(&r, "message", p->what->text);
		t->rc = row_put(&r, t->e);
		return;
	}
	line_safe(&l, span_cstr(p->object));
	line_printf(&l, ": ");
	line_safe(&l, span_cstr(p->what->text));
	t->rc = line_put(&l);
	line_release(&l);
}

static enum err_code put_added(struct cli *c, const struct parity_report *r, bool dry_run, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	if (c->g.json) {
		struct row row = row_new("summary");

		row_bool(&row, "dry_run", dry_run);
		row_number(&row, "packs", r->packs);
		row_number(&row, "made", r->made);
		row_number(&row, "made_bytes", r->made_bytes);
		row_number(&row, "damaged", r->damaged);
		return row_put(&row, e);
	}
	if (dry_run)
		line_printf(&l, "%s of %s packs would get parity", number_text(r->made).text,
		            number_text(r->packs).text);
	else
		line_printf(&l, "%s of %s packs got parity (%s)", number_text(r->made).text, number_text(r->packs).text,
		            text_size(r->made_bytes).text);
	if (r->damaged)
		line_printf(&l, "; %s are damaged and got none", number_text(r->damaged).text);
	rc = c->g.quiet ? ERR_OK : line_put(&l);
	line_release(&l);
	return rc;
}

static enum err_code add(struct cli *c, const struct values *v, struct err *e)
{
	struct parity_report report;
	struct err told = { 0 };
	struct telling t = { c, &told, ERR_OK };
	enum err_code rc = engine_parity_add(c->repo, v->dry_run, on_damaged, &t, &report, e);

	progress_clear(&c->progress);
	if (!rc && t.rc) {
		*e = told;
		rc = t.rc;
	}
	if (rc)
		return rc;
	c->failed |= report.damaged > 0;
	return put_added(c, &report, v->dry_run, e);
}

/* ---- repair parity: no key, so nothing is asked ---- */

static void put_step_words(struct telling *t, const struct repair_parity_step *s)
{
	struct line l = line_new(t->e);

	line_safe(&l, span_cstr(s->object));
	if (s->failed) {
		line_printf(&l, ": not repaired: ");
		line_safe(&l, span_cstr(s->failed->text));
	} else {
		line_printf(&l, ": %s%s%s put right, %s damaged pieces", s->pack_mended ? "pack" : "",
		            s->pack_mended && s->parity_mended ? " and " : "", s->parity_mended ? "parity" : "",
		            number_text(s->cells).text);
		if (*s->kept)
			line_printf(&l, "; as it was it lies in %s", s->kept);
	}
	t->rc = line_put(&l);
	line_release(&l);
}

static void on_repaired(void *ctx, const struct repair_parity_step *s)
{
	struct telling *t = ctx;
	struct row r;

	progress_clear(&t->c->progress);
	if (t->rc)
		return;
	if (!t->c->g.json) {
		put_step_words(t, s);
		return;
	}
	r = row_new("repaired");
	row_cstr(&r, "object", s->object);
	row_bool(&r, "pack", s->pack_mended);
	row_bool(&r, "parity", s->parity_mended);
	row_number(&r, "pieces", s->cells);
	if (*s->kept)
		row_cstr(&r, "kept", s->kept);
	if (s->failed) {
		row_cstr(&r, "code", err_code_name(s->failed->code));
		row_cstr(&r, "message", s->failed->text);
	}
	t->rc = row_put(&r, t->e);
}

static enum err_code put_repaired(struct cli *c, const struct repair_parity_report *r, struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	if (c->g.json) {
		struct row row = row_new("summary");

		row_number(&row, "packs", r->packs);
		row_number(&row, "bytes_read", r->bytes_read);
		row_number(&row, "packs_repaired", r->packs_mended);
		row_number(&row, "parities_repaired", r->parities_mended);
		row_number(&row, "failed", r->failed);
		row_number(&row, "without_parity", r->without);
		return row_put(&row, e);
	}
	line_printf(&l, "compared %s packs (%s) with their parity: ", number_text(r->packs).text,
	            text_size(r->bytes_read).text);
	if (r->packs_mended || r->parities_mended || r->failed)
		line_printf(&l, "%s packs and %s parities put right, %s cannot be repaired",
		            number_text(r->packs_mended).text, number_text(r->parities_mended).text,
		            number_text(r->failed).text);
	else
		line_printf(&l, "nothing is damaged");
	rc = c->g.quiet ? ERR_OK : line_put(&l);
	line_release(&l);
	if (r->without)
		cli_note(c, "%s packs have no parity; `mailhold parity add` makes it, with a key",
		         number_text(r->without).text);
	return rc;
}

enum err_code cli_repair_parity(struct cli *c, struct err *e)
{
	struct repair_parity_report report;
	struct err told = { 0 };
	struct telling t = { c, &told, ERR_OK };
	struct repair_parity_options o = { .stop = &cli_stop,
		                           .progress = progress_update,
		                           .progress_ctx = &c->progress };
	enum err_code rc = cli_need_url(c, e);

	if (rc)
		return rc;
	o.url = c->url;
	rc = engine_repair_parity(&o, on_repaired, &t, &report, e);
	progress_clear(&c->progress);
	if (!rc && t.rc) {
		*e = told;
		rc = t.rc;
	}
	if (rc)
		return rc;
	c->failed |= report.failed > 0;
	return put_repaired(c, &report, e);
}

/* ---- dispatch ---- */

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	const char *action = words->count ? words->items[0] : "show";
	bool sets = !strcmp(action, "set"), adds = !strcmp(action, "add");
	unsigned percent = 0;
	enum err_code rc = ERR_OK;

	if (words->count && !sets && !adds)
		return err_set(e, ERR_USAGE, "parity does not know '%s': set PERCENT, set off, or add",
		               text_name(span_cstr(action)).text);
	if (words->count && words->count != (sets ? 2U : 1U))
		return err_set(e, ERR_USAGE, "write: mailhold parity %s", sets ? "set PERCENT|off" : "add");
	if (v->dry_run && !adds)
		return err_set(e, ERR_USAGE, "--dry-run goes with parity add");
	if (sets)
		rc = cli_parity_percent(words->items[1], &percent, e);
	if (!rc)
		rc = cli_open(c, e);
	if (rc)
		return rc;
	return sets ? set(c, percent, e) : adds ? add(c, v, e) : show(c, e);
}

const struct command command_parity = {
	.name = "parity",
	.words = "[set PERCENT|off | add]",
	.summary = "repair data, so that damaged packs mend themselves",
	.details = "Without a word: what is set, and how many packs have it.\n"
	           "set   new packs get parity: of each pack PERCENT (1 to 50; 5 or 10 is usual) may be damaged, in "
	           "one run or in\n"
	           "      many places, and everything can still be read. It takes as much room. Packs that are there "
	           "stay as they are\n"
	           "add   gives it to them, too, after comparing every byte\n"
	           "Damage is mended while reading, with a notice; `mailhold repair parity` puts it right on the disk, "
	           "without any key.\n",
	.examples = "mailhold parity set 5\nmailhold parity add\nmailhold repair parity -r /mnt/disk/mail",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_max = 2,
	.run = run,
};
