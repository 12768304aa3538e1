#include "snapshot_list.h"

struct values {
	bool undo, dry_run;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 'u', "undo", OPTION_FLAG, NULL, "bring forgotten snapshots back", AT(undo) },
	{ 'n', "dry-run", OPTION_FLAG, NULL, "tell what would be forgotten, change nothing", AT(dry_run) },
};

static enum err_code forget(struct cli *c, const struct values *v, const struct snapshot_list *l, struct err *e)
{
	enum err_code rc;

	if (v->dry_run)
		return snapshot_list_tell(c, l, v->undo ? SNAPSHOTS_TRASH : SNAPSHOTS_LIVE,
		                          v->undo ? "would bring back" : "would forget", e);
	rc = engine_forget(c->repo, l->ids, l->count, v->undo, e);
	if (!rc)
		rc = snapshot_list_tell(c, l, v->undo ? SNAPSHOTS_LIVE : SNAPSHOTS_TRASH,
		                        v->undo ? "brought back" : "forgot", e);
	if (!rc && !v->undo)
		cli_note(c, "forgotten snapshots stay in the trash; mailhold forget --undo brings them back");
	return rc;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct snapshot_list l = { NULL, 0 };
	enum err_code rc = cli_open(c, e);

	if (!rc)
		rc = snapshot_list_resolve(c->repo, words, v->undo ? SNAPSHOTS_TRASH : SNAPSHOTS_LIVE, &l, e);
	if (!rc)
		rc = forget(c, v, &l, e);
	snapshot_list_release(&l);
	return rc;
}

const struct command command_forget = {
	.name = "forget",
	.words = "SNAP...",
	.summary = "move snapshots to the trash, or bring them back",
	.details = "Nothing is lost by it: the items stay in the repository until the trash is emptied, which this "
	           "version\n"
	           "does not do. A pinned snapshot is not forgotten. mailhold snapshots --trash lists the trash.\n",
	.examples = "mailhold forget 1a2b3c4d latest~3\nmailhold forget --undo 1a2b3c4d",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = 1000,
	.run = run,
};
