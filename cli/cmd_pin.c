#include "snapshot_list.h"

static enum err_code pin(struct cli *c, const struct text_list *words, bool unpin, struct err *e)
{
	struct snapshot_list l = { NULL, 0 };
	enum err_code rc = cli_open(c, e);

	if (!rc)
		rc = snapshot_list_resolve(c->repo, words, SNAPSHOTS_LIVE, &l, e);
	if (!rc)
		rc = engine_pin(c->repo, l.ids, l.count, unpin, e);
	if (!rc)
		rc = snapshot_list_tell(c, &l, SNAPSHOTS_LIVE, unpin ? "unpinned" : "pinned", e);
	snapshot_list_release(&l);
	return rc;
}

static enum err_code run_pin(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	(void)values;
	return pin(c, words, false, e);
}

static enum err_code run_unpin(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	(void)values;
	return pin(c, words, true, e);
}

const struct command command_pin = {
	.name = "pin",
	.words = "SNAP...",
	.summary = "keep snapshots until they are unpinned",
	.examples = "mailhold pin latest\nmailhold pin ann@2026-01-01",
	.words_min = 1,
	.words_max = 1000,
	.run = run_pin,
};

const struct command command_unpin = {
	.name = "unpin",
	.words = "SNAP...",
	.summary = "take pins away",
	.examples = "mailhold unpin latest\nmailhold unpin 1a2b3c4d",
	.words_min = 1,
	.words_max = 1000,
	.run = run_unpin,
};
