#include "command.h"

#include "base/text.h"
#include "diff_live.h"

static enum err_code compare(struct comparison *d, const struct snapshot_id *a, const struct snapshot_id *b,
                             struct err *e)
{
	char hex_a[2 * ID16_BYTES + 1], hex_b[2 * ID16_BYTES + 1];
	enum err_code rc;

	text_hex(span_of(a->bytes, ID16_BYTES), hex_a);
	text_hex(span_of(b->bytes, ID16_BYTES), hex_b);
	if (!d->c->g.json)
		hex_a[8] = hex_b[8] = 0;
	d->old_id = hex_a;
	d->new_id = hex_b;
	rc = engine_diff(d->c->repo, a, b, diff_visit, d, e);
	progress_clear(&d->c->progress);
	return rc ? rc : diff_summary(d, e);
}

struct values {
	bool summary_only;
	struct target_login target;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 0, "summary", OPTION_FLAG, NULL, "only the totals", AT(summary_only) },
	TARGET_OPTIONS(AT(target)),
};

static enum err_code two_snapshots(struct comparison *d, const struct text_list *words, struct err *e)
{
	struct snapshot_id ids[2];
	enum err_code rc = cli_open(d->c, e);

	for (size_t i = 0; i < 2 && !rc; i++)
		rc = repo_resolve(d->c->repo, words->items[i], SNAPSHOTS_LIVE, &ids[i], e);
	return rc ? rc : compare(d, &ids[0], &ids[1], e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct comparison d = { .c = c, .line = line_new(e), .summary_only = v->summary_only };
	struct restore_target live = { 0 };
	const struct account *first = NULL;
	enum err_code rc = restore_target_find(c, words->items[1], &v->target, &live, e);

	if (!rc)
		rc = cli_account(c, words->items[0], &first, e);
	if (!rc && (first || connector_is_server(words->items[0])))
		rc = err_set(e, ERR_USAGE, "the snapshot comes first: diff SNAP %s", words->items[0]);
	if (!rc && live.account && !connector_is_server(live.url))
		rc = err_set(e, ERR_UNSUPPORTED, "%s is no account at a server; take a snapshot of it and compare that",
		             live.account->name);
	if (!rc && connector_is_server(live.url))
		rc = diff_live(&d, words->items[0], words->items[1], &live, &v->target, e);
	else if (!rc)
		rc = two_snapshots(&d, words, e);
	restore_target_release(&live);
	line_release(&d.line);
	buf_release(&d.collection);
	return rc;
}

const struct command command_diff = {
	.name = "diff",
	.words = "A B",
	.summary = "what changed between two snapshots, or since one at a server",
	.details =
	        "A line for every item: + added, - removed, > moved from another collection, ~ other flags, ! other\n"
	        "content under the same key; then the totals of the collection and of everything. B may be an account "
	        "at a\n"
	        "server, imaps://USER@HOST or the name of one of the configuration: then - is what is there no more, "
	        "and\n"
	        "what a restore would put back, + what came since, > what lies in another folder now.\n",
	.examples = "mailhold diff latest~1 latest\nmailhold diff ann@2026-11-01 ann@yesterday\n"
	            "mailhold diff ann@latest imaps://ann@imap.example.org",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 2,
	.words_max = 2,
	.run = run,
};
