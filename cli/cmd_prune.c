#include "keep.h"

#include "base/text.h"

struct values {
	bool dry_run, now, fence;
	const char *trash, *max_unused, *max_repack, *max_duration;
	struct keep_values keep;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 'n', "dry-run", OPTION_FLAG, NULL, "tell what would be freed, change nothing", AT(dry_run) },
	{ 0, "now", OPTION_FLAG, NULL, "empty the trash and delete at once; when no other machine reads", AT(now) },
	{ 0, "trash", OPTION_TEXT, "TIME", "how long the trash keeps forgotten snapshots (7d)", AT(trash) },
	{ 0, "max-unused", OPTION_TEXT, "LIMIT",
	  "rewrite packs until no more is unused in what is left: 5%, 500M or unlimited (5%)", AT(max_unused) },
	{ 0, "max-repack", OPTION_TEXT, "SIZE", "copy at most so much while rewriting (no limit); 0: rewrite nothing",
	  AT(max_repack) },
	{ 0, "max-duration", OPTION_TEXT, "TIME",
	  "begin nothing new after so long: 90s, 30min, 2h; the next prune goes on", AT(max_duration) },
	{ 0, "fence", OPTION_FLAG, NULL, "end sessions of dead runs without waiting 7 days", AT(fence) },
	KEEP_OPTIONS(struct values, keep),
};

/* "500M", "2GiB", "2GB" (1024 of each, as everywhere), "100000" */
static bool is_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	size_t digits = strspn(text, "0123456789"), len = strlen(text);
	const char *unit = NULL;
	uint64_t n;

	if (text[digits] &&
	    (!strcmp(text + digits + 1, "") || !strcmp(text + digits + 1, "B") || !strcmp(text + digits + 1, "iB"))) {
		unit = strchr(units, text[digits]);
		len = digits + 1;
	}
	if (!text_number(span_of(text, unit ? len - 1 : len), (uint64_t)1 << 23, &n) &&
	    (unit || !text_number(span_of(text, len), (uint64_t)1 << 62, &n)))
		return false;
	*out = unit ? n << (10 * (unit - units + 1)) : n;
	return true;
}

/* "5%", "5", "500M", "unlimited". A bare number is per cent. */
static enum err_code read_unused(const char *text, struct prune_options *o, struct err *e)
{
	size_t len = strlen(text);
	uint64_t n;

	o->max_unused_percent = 0;
	if (!strcmp(text, "unlimited")) {
		o->max_unused_percent = 100;
		return ERR_OK;
	}
	if (text_number(span_of(text, len && text[len - 1] == '%' ? len - 1 : len), 100, &n)) {
		o->max_unused_percent = (unsigned)n;
		return ERR_OK;
	}
	if (len && !strchr("0123456789", text[len - 1]) && is_size(text, &o->max_unused_bytes))
		return ERR_OK;
	return err_set(e, ERR_USAGE, "--max-unused wants 0%% to 100%%, a size such as 500M, or 'unlimited', not '%s'",
	               text_name(span_cstr(text)).text);
}

static enum err_code read_size(const char *text, uint64_t *out, struct err *e)
{
	if (is_size(text, out))
		return ERR_OK;
	return err_set(e, ERR_USAGE, "--max-repack wants a size such as 500M or 2G, not '%s'",
	               text_name(span_cstr(text)).text);
}

/* "90s", "30min", "2h". Not "30m": where days are counted, that is months. */
static enum err_code read_max_duration(const char *text, int64_t *out, struct err *e)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = { { "s", 1000 }, { "min", 60000 }, { "h", 3600000 } };
	size_t digits = strspn(text, "0123456789");
	uint64_t n;

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (!strcmp(text + digits, units[i].name) && text_number(span_of(text, digits), 1000000, &n) && n > 0) {
			*out = (int64_t)n * units[i].ms;
			return ERR_OK;
		}
	return err_set(e, ERR_USAGE, "--max-duration wants a time such as 90s, 30min or 2h, not '%s'",
	               text_name(span_cstr(text)).text);
}

static enum err_code read_options(struct cli *c, const struct values *v, struct prune_options *o, struct err *e)
{
	enum err_code rc = ERR_OK;

	*o = (struct prune_options){ .trash_ms = v->now ? 0 : PRUNE_TRASH_MS,
		                     .wait_ms = v->now ? 0 : PRUNE_WAIT_MS,
		                     .silent_ms = v->fence ? 0 : PRUNE_SILENT_MS,
		                     .max_unused_percent = PRUNE_UNUSED_PERCENT,
		                     .max_repack_bytes = UINT64_MAX,
		                     .dry_run = v->dry_run };
	if (v->trash)
		rc = read_duration(c, "trash", v->trash, &o->trash_ms, e);
	if (!rc && v->max_unused)
		rc = read_unused(v->max_unused, o, e);
	if (!rc && v->max_repack)
		rc = read_size(v->max_repack, &o->max_repack_bytes, e);
	if (!rc && v->max_duration)
		rc = read_max_duration(v->max_duration, &o->max_duration_ms, e);
	return rc;
}

static enum err_code put_json(const struct prune_report *r, bool dry_run, struct err *e)
{
	struct row row = row_new("summary");

	row_bool(&row, "dry_run", dry_run);
	row_number(&row, "snapshots_expired", r->snapshots_expired);
	row_number(&row, "snapshots_held", r->snapshots_held);
	row_number(&row, "sessions_fenced", r->sessions_fenced);
	row_number(&row, "sessions_open", r->sessions_open);
	row_number(&row, "packs", r->packs);
	row_number(&row, "bytes", r->bytes);
	row_number(&row, "chunks", r->chunks);
	row_number(&row, "chunks_live", r->chunks_live);
	row_number(&row, "packs_unused", r->packs_unused);
	row_number(&row, "bytes_unused", r->bytes_unused);
	row_number(&row, "packs_repacked", r->packs_repacked);
	row_number(&row, "bytes_repacked", r->bytes_repacked);
	row_number(&row, "bytes_copied", r->bytes_copied);
	row_number(&row, "bytes_unused_left", r->bytes_unused_left);
	row_number(&row, "packs_deleted", r->packs_deleted);
	row_number(&row, "bytes_deleted", r->bytes_deleted);
	row_number(&row, "orphans_deleted", r->orphans_deleted);
	row_number(&row, "packs_waiting", r->packs_waiting);
	row_number(&row, "bytes_waiting", r->bytes_waiting);
	row_bool(&row, "out_of_time", r->out_of_time);
	row_cstr(&row, "head", r->head);
	return row_put(&row, e);
}

static enum err_code put_words(struct cli *c, const struct prune_report *r, bool dry_run, struct err *e)
{
	const char *would = dry_run ? "would be " : "";
	struct line l = line_new(e);
	enum err_code rc;

	if (c->g.quiet)
		return ERR_OK;
	line_printf(&l, "%s snapshots of the trash %sgone for good; of %s packs with %s, ",
	            number_text(r->snapshots_expired).text, would, number_text(r->packs).text,
	            text_size(r->bytes).text);
	line_printf(&l, "%s (%s) hold nothing that is needed and %s (%s) %srewritten as %s\n",
	            number_text(r->packs_unused).text, text_size(r->bytes_unused).text,
	            number_text(r->packs_repacked).text, text_size(r->bytes_repacked).text, would,
	            text_size(r->bytes_copied).text);
	line_printf(&l, "%s packs (%s) %sdeleted", number_text(r->packs_deleted).text, text_size(r->bytes_deleted).text,
	            would);
	if (r->packs_waiting)
		line_printf(&l, "; %s (%s) wait for a prune a day from now, so that nobody misses them while reading",
		            number_text(r->packs_waiting).text, text_size(r->bytes_waiting).text);
	if (r->bytes_unused_left)
		line_printf(&l, "; %s that nothing needs stay in packs that were not rewritten",
		            text_size(r->bytes_unused_left).text);
	rc = line_put(&l);
	line_release(&l);
	if (r->snapshots_held)
		cli_note(c, "%s snapshots of the trash stay there because of a hold; mailhold hold list",
		         number_text(r->snapshots_held).text);
	if (r->out_of_time)
		cli_note(c, "the time was over before all was done; the next prune goes on");
	if (r->sessions_open)
		cli_note(c,
		         "%s sessions are open, and what they uploaded was left alone; mailhold session list tells "
		         "whose, and session fence or --fence ends those of runs that died",
		         number_text(r->sessions_open).text);
	return rc;
}

static enum err_code prune(struct cli *c, const struct values *v, struct prune_options *o, struct err *e)
{
	struct prune_report report = { 0 };
	struct buf gone = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	if (keep_given(&v->keep))
		rc = keep_apply(c, &v->keep, v->dry_run, &gone, e);
	/* What was just forgotten lies in the trash, and ends at once only when the trash keeps nothing. */
	if (v->dry_run && o->trash_ms == 0) {
		o->without = (const struct snapshot_id *)(const void *)gone.ptr;
		o->without_count = gone.len / sizeof *o->without;
	}
	if (!rc)
		rc = engine_prune(c->repo, o, &report, e);
	progress_clear(&c->progress);
	buf_release(&gone);
	if (rc == ERR_NO_SPACE && o->max_repack_bytes)
		err_note(
		        e,
		        "rewriting packs needs room before it gives any: `mailhold prune --now --max-repack 0` deletes "
		        "what nothing needs and rewrites nothing");
	if (rc)
		return rc;
	return c->g.json ? put_json(&report, v->dry_run, e) : put_words(c, &report, v->dry_run, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct prune_options o;
	enum err_code rc = read_options(c, v, &o, e);

	(void)words;
	if (!rc && !keep_given(&v->keep) && (v->keep.account || v->keep.force))
		rc = err_set(e, ERR_USAGE, "--account and --force go with --keep rules");
	if (!rc)
		rc = cli_open(c, e);
	return rc ? rc : prune(c, v, &o, e);
}

const struct command command_prune = {
	.name = "prune",
	.words = "",
	.summary = "free what no snapshot needs any more",
	.details =
	        "With --keep rules it first forgets by them, as forget does. Then it ends for good what has been in "
	        "the trash\n"
	        "for 7 days, finds what the other snapshots need, gives up packs that hold nothing of it, and rewrites "
	        "those that\n"
	        "hold much else (--max-unused), or are small and many. Packs are deleted a day after the prune that "
	        "gave them\n"
	        "up: --now does all of it at once, for a repository that no other machine reads. Backups may run "
	        "meanwhile; a\n"
	        "prune that was stopped or killed is simply run again. Pinned snapshots and the trash keep what they "
	        "need.\n"
	        "A keeper's key prunes, too; what it cannot open it moves as it is, so a little more stays.\n",
	.examples = "mailhold prune --dry-run\nmailhold prune --keep-daily 30 --keep-monthly 24 --keep-yearly all\n"
	            "mailhold prune --now",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.run = run,
};
