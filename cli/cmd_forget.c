#include "keep.h"
#include "snapshot_list.h"

struct values {
	bool undo, dry_run;
	struct keep_values keep;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 'u', "undo", OPTION_FLAG, NULL, "bring forgotten snapshots back", AT(undo) },
	{ 'n', "dry-run", OPTION_FLAG, NULL, "tell what would be forgotten, and why; change nothing", AT(dry_run) },
	KEEP_OPTIONS(struct values, keep),
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
	bool by_rules = keep_given(&v->keep);
	enum err_code rc;

	if (by_rules == (words->count > 0) || (by_rules && v->undo))
		return err_set(e, ERR_USAGE,
		               by_rules ? "either snapshots or --keep rules, not both"
		                        : "name snapshots, or say with --keep-daily 30 and the like what to keep");
	if (by_rules)
		return keep_apply(c, &v->keep, v->dry_run, NULL, e);
	if (v->keep.account || v->keep.force)
		return err_set(e, ERR_USAGE, "--account and --force go with --keep rules");
	rc = cli_open(c, e);

	if (!rc)
		rc = snapshot_list_resolve(c->repo, words, v->undo ? SNAPSHOTS_TRASH : SNAPSHOTS_LIVE, &l, e);
	if (!rc)
		rc = forget(c, v, &l, e);
	snapshot_list_release(&l);
	return rc;
}

const struct command command_forget = {
	.name = "forget",
	.words = "SNAP... | --keep-...",
	.summary = "move snapshots to the trash, or bring them back",
	.details =
	        "Names snapshots, or gives rules for what to keep: then each account is judged on its own, and "
	        "whatever no "
	        "rule\n"
	        "keeps goes to the trash. Of each hour, day, week, month, quarter and year the newest snapshot stands "
	        "for it, in the\n"
	        "local time of the machine that made it. Never forgotten by rules: the newest complete snapshot of an "
	        "account,\n"
	        "pinned ones, one whose account suddenly lost more than half of its items and the one before it, and "
	        "one "
	        "whose\n"
	        "time cannot be true. When of 8 or more snapshots more than half would go, or a burst of new ones "
	        "would "
	        "push out\n"
	        "old ones, nothing of that account is forgotten without --force, and the exit code is 3.\n"
	        "Nothing is lost at once: mailhold prune empties the trash, by default after 7 days, and until then "
	        "--undo "
	        "helps.\n"
	        "mailhold snapshots --trash lists it.\n",
	.examples = "mailhold forget 1a2b3c4d latest~3\nmailhold forget --undo 1a2b3c4d\n"
	            "mailhold forget --keep-daily 30 --keep-monthly 24 --keep-yearly all --dry-run",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_max = 1000,
	.run = run,
};
