#include "command.h"

#include "base/text.h"

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

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const char *what = words->items[0];
	enum err_code rc;

	(void)values;
	if (!strcmp(what, "parity"))
		return cli_repair_parity(c, e);
	if (strcmp(what, "ledger") != 0 && strcmp(what, "index") != 0)
		return err_set(e, ERR_USAGE,
		               "this version repairs the ledger or the index, or packs by their parity; not '%s'",
		               text_name(span_cstr(what)).text);
	rc = cli_open(c, e);
	if (rc)
		return rc;
	return *what == 'l' ? repair_ledger(c, e) : repair_index(c, e);
}

const struct command command_repair = {
	.name = "repair",
	.words = "ledger|index|parity",
	.summary = "pass over unreadable ledger records, make the local index anew, or mend packs by their parity",
	.details =
	        "ledger: appends a record that passes over each one that cannot be read, so that snapshots can be "
	        "added\n"
	        "again. What such a record said stays lost: put it back from a copy first, if there is one.\n"
	        "index: throws the local index away and makes it anew from the packs. It is a cache; nothing is lost.\n"
	        "parity: compares every pack that has parity with it, and puts damaged packs and parities right; "
	        "without any key.\n"
	        "A damaged pack is kept under damaged/ in the repository, and may be deleted there once all is well.",
	.examples = "mailhold repair ledger\nmailhold repair index\nmailhold repair parity -r /mnt/disk/mail",
	.words_min = 1,
	.words_max = 1,
	.run = run,
};
