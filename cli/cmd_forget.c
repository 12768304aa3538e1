#include "keep.h"

#include "base/text.h"
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

/* ---- the last one of an account goes only when its own id is given: `latest` again and again takes all ---- */

struct last_ones {
	struct cli *c;
	const struct text_list *words;
};

static bool has_id(const struct text_list *words, const struct snapshot_info *s)
{
	for (size_t i = 0; i < words->count; i++) {
		const char *at = strrchr(words->items[i], '@'), *typed = at ? at + 1 : words->items[i];
		size_t len = strlen(typed);

		if (len <= strlen(s->id_hex) && text_equal_nocase(span_of(s->id_hex, len), span_of(typed, len)))
			return true;
	}
	return false;
}

static enum err_code last_one(void *ctx, const struct snapshot_info *s, struct err *e)
{
	struct last_ones *l = ctx;
	struct buf words = BUF_EMPTY;
	enum err_code rc = snapshot_words(s, &words, e);

	if (!rc)
		rc = buf_append(&words, span_of("", 1), e);
	if (!rc && !has_id(l->words, s))
		rc = err_set(e, ERR_STATE,
		             "nothing is forgotten: %s is the last one of its account. To forget it all the same, name "
		             "it by its id: mailhold forget %.8s",
		             (const char *)words.ptr, s->id_hex);
	else if (!rc)
		cli_note(l->c, "%s is the last one of its account; until the trash is emptied --undo brings it back",
		         (const char *)words.ptr);
	buf_release(&words);
	return rc;
}

static enum err_code forget(struct cli *c, const struct values *v, const struct text_list *words,
                            const struct snapshot_list *l, struct err *e)
{
	struct last_ones last = { c, words };
	enum err_code rc = v->undo ? ERR_OK : engine_last_ones(c->repo, l->ids, l->count, last_one, &last, e);

	if (rc)
		return rc;
	if (v->dry_run)
		return snapshot_list_tell(c, l, v->undo ? SNAPSHOTS_TRASH : SNAPSHOTS_LIVE,
		                          v->undo ? "would bring back" : "would forget", e);
	rc = engine_forget(c->repo, l->ids, l->count, v->undo, e);
	if (!rc)
		rc = snapshot_list_tell(c, l, v->undo ? SNAPSHOTS_LIVE : SNAPSHOTS_TRASH,
		                        v->undo ? "brought back" : "forgot", e);
	if (!rc && !v->undo && l->count == 1) {
		char id[9];

		text_hex(span_of(l->ids[0].bytes, 4), id);
		id[8] = 0;
		cli_note(c, "it stays in the trash for now; mailhold forget --undo %s brings it back", id);
	}
	if (!rc && !v->undo && l->count > 1)
		cli_note(c,
		         "they stay in the trash for now (mailhold snapshots --trash lists it); mailhold forget --undo "
		         "SNAP... brings them back");
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
		               by_rules  ? "either snapshots or --keep rules, not both"
		               : v->undo ? "name snapshots of the trash (mailhold snapshots --trash lists it)"
		                         : "name snapshots, or say with --keep-daily 30 and the like what to keep");
	if (by_rules)
		return keep_apply(c, &v->keep, v->dry_run, NULL, e);
	if (v->keep.account || v->keep.force)
		return err_set(e, ERR_USAGE, "--account and --force go with --keep rules");
	rc = cli_open(c, e);
	if (!rc)
		rc = snapshot_list_resolve(c->repo, words, v->undo ? SNAPSHOTS_TRASH : SNAPSHOTS_LIVE, &l, e);
	if (!rc)
		rc = forget(c, v, words, &l, e);
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
	        "time cannot be true. When of 8 or more snapshots more than half would go, or 8 that stayed the last "
	        "time, or a\n"
	        "burst of new ones pushes out old ones, nothing of that account is forgotten without --force, and the "
	        "exit code\n"
	        "is 3.\n"
	        "The last snapshot of an account goes only when it is named by its id.\n"
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
