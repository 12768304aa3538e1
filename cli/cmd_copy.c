#include "command.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "snapshot_list.h"

struct values {
	const char *account, *since, *until;
	struct text_list tags;
	struct cli_to to;
	bool verify, dry_run;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 0, "to", OPTION_TEXT, "URL", "the repository to copy to, made with init before", AT(to.url) },
	{ 'a', "account", OPTION_TEXT, "NAME", "only this account's", AT(account) },
	{ 0, "since", OPTION_TEXT, "TIME", "only those of TIME or later (2026-11-22, yesterday, 3d)", AT(since) },
	{ 0, "until", OPTION_TEXT, "TIME", "only those of TIME or before", AT(until) },
	{ 't', "tag", OPTION_LIST, "TAG", "only those with this tag, or another one that is given", AT(tags) },
	{ 0, "verify", OPTION_FLAG, NULL, "read back what was copied, now or before, and compare it", AT(verify) },
	{ 'n', "dry-run", OPTION_FLAG, NULL, "tell what would be copied", AT(dry_run) },
	{ 0, "to-password-file", OPTION_TEXT, "FILE", "the password of --to is the first line of FILE",
	  AT(to.password_file) },
	{ 0, "to-password-command", OPTION_TEXT, "COMMAND",
	  "the password of --to is the first line that COMMAND prints", AT(to.password_command) },
	{ 0, "to-key-file", OPTION_TEXT, "FILE", "--to is opened with a key file", AT(to.key_file) },
};

struct copying {
	struct cli *c;
	const struct values *v;
	struct repo *to;
	int64_t since_ms, until_ms;
	struct snapshot_list ids;
	size_t cap;
	struct line line;
};

/* ---- which ones ---- */

static bool has_tag(struct span tags, const struct text_list *wanted)
{
	while (tags.len) {
		const uint8_t *end = memchr(tags.ptr, ',', tags.len);
		size_t len = end ? (size_t)(end - tags.ptr) : tags.len;

		for (size_t i = 0; i < wanted->count; i++)
			if (span_equal(span_first(tags, len), span_cstr(wanted->items[i])))
				return true;
		tags = span_skip(tags, end ? len + 1 : len);
	}
	return wanted->count == 0;
}

static enum err_code choose(void *ctx, const struct snapshot_info *s, struct err *e)
{
	struct copying *k = ctx;

	if (s->time_ms < k->since_ms || s->time_ms > k->until_ms || !has_tag(s->tags, &k->v->tags))
		return ERR_OK;
	if (k->ids.count == k->cap) {
		size_t cap = k->cap ? 2 * k->cap : 64;
		struct snapshot_id *grown = mem_grow(k->ids.ids, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		k->ids.ids = grown;
		k->cap = cap;
	}
	k->ids.ids[k->ids.count++] = s->id;
	return ERR_OK;
}

static enum err_code read_times(struct copying *k, struct err *e)
{
	enum err_code rc = ERR_OK;

	k->since_ms = INT64_MIN;
	k->until_ms = INT64_MAX;
	if (k->v->since)
		rc = clock_parse(k->v->since, k->c->now_ms, false, &k->since_ms, e);
	if (!rc && k->v->until)
		rc = clock_parse(k->v->until, k->c->now_ms, true, &k->until_ms, e);
	return rc;
}

static enum err_code choose_all(struct copying *k, const struct text_list *words, struct err *e)
{
	if (words->count)
		return snapshot_list_resolve(k->c->repo, words, SNAPSHOTS_LIVE, &k->ids, e);
	return repo_snapshots(k->c->repo, SNAPSHOTS_LIVE, k->v->account, choose, k, e);
}

/* ---- telling ---- */

static const char *verdict_name(const struct copy_step *s)
{
	switch (s->verdict) {
	case COPY_DONE:
		return "copied";
	case COPY_WOULD:
		return s->instead_of ? "would look again" : "would copy";
	case COPY_PRESENT:
		return "present";
	case COPY_LACKING:
		return "lacking";
	default:
		return "failed";
	}
}

static void id_text(const struct snapshot_id *id, char hex[2 * ID16_BYTES + 1])
{
	text_hex(span_of(id->bytes, sizeof id->bytes), hex);
}

static enum err_code tell_json(const struct copy_step *s, struct err *e)
{
	struct row row = snapshot_row(s->from, verdict_name(s));
	char hex[2 * ID16_BYTES + 1];

	if (s->to) {
		id_text(s->to, hex);
		row_cstr(&row, "to", hex);
	}
	if (s->instead_of) {
		id_text(s->instead_of, hex);
		row_cstr(&row, "instead_of", hex);
		if (s->verdict == COPY_DONE)
			row_bool(&row, "instead_kept", s->instead_kept);
	}
	if (s->run) {
		row_number(&row, "items_copied", s->run->info.items);
		row_number(&row, "items_lost", s->run->info.items_skipped);
		row_number(&row, "items_unchanged", s->run->items_unchanged);
		row_number(&row, "bytes_read", s->run->bytes_read);
		row_number(&row, "bytes_stored", s->run->bytes_stored);
		row_number(&row, "chunks_new", s->run->chunks_new);
		row_number(&row, "chunks_known", s->run->chunks_known);
	}
	if (s->to)
		row_number(&row, "items_verified", s->items_verified);
	return row_put(&row, e);
}

static enum err_code tell_words(struct copying *k, const struct copy_step *s, struct err *e)
{
	struct line *l = &k->line;
	struct buf what = BUF_EMPTY;
	char hex[2 * ID16_BYTES + 1];
	enum err_code rc = snapshot_words(s->from, &what, e);

	line_printf(l, "%s ",
	            s->verdict == COPY_PRESENT   ? "there already:"
	            : s->verdict == COPY_LACKING ? "there already, not whole:"
	                                         : verdict_name(s));
	line_safe(l, buf_span(&what));
	if (s->to) {
		id_text(s->to, hex);
		line_printf(l, ", as %.8s", hex);
	}
	if (s->instead_of) {
		id_text(s->instead_of, hex);
		line_printf(l,
		            s->verdict == COPY_WOULD ? ", of which the copy %.8s lacks something"
		            : s->instead_kept        ? ", in place of %.8s, which is kept"
		                                     : ", in place of %.8s, now in the trash",
		            hex);
	}
	if (s->verdict == COPY_LACKING) {
		line_printf(l, ": %s items still cannot be read", number_text(s->run->info.items_skipped).text);
	} else if (s->run) {
		line_printf(l, ": %s items (%s), %s read, %s stored", number_text(s->run->info.items).text,
		            text_size(s->run->info.bytes).text, text_size(s->run->bytes_read).text,
		            text_size(s->run->bytes_stored).text);
		if (s->run->info.items_skipped)
			line_printf(l, ", %s could not be copied", number_text(s->run->info.items_skipped).text);
	}
	if (s->items_verified)
		line_printf(l, ", %s compared", number_text(s->items_verified).text);
	buf_release(&what);
	return rc ? rc : line_put(l);
}

static enum err_code visit(void *ctx, const struct copy_step *s, struct err *e)
{
	struct copying *k = ctx;

	progress_clear(&k->c->progress);
	if (k->c->g.json)
		return tell_json(s, e);
	/* What was there before is of no interest in a daily run. */
	if (k->c->g.quiet || (s->verdict == COPY_PRESENT && !k->c->g.verbose && !k->v->dry_run))
		return ERR_OK;
	return tell_words(k, s, e);
}

static enum err_code tell_summary(struct copying *k, const struct copy_report *r, struct err *e)
{
	struct line *l = &k->line;
	struct row row;

	progress_clear(&k->c->progress);
	cli_reports_end(k->c);
	if (r->failed || r->lacking || r->items_skipped)
		k->c->incomplete = true;
	if (k->c->g.json) {
		row = row_new("summary");
		row_cstr(&row, "to", k->v->to.url);
		row_bool(&row, "dry_run", k->v->dry_run);
		row_number(&row, "copied", r->copied);
		row_number(&row, "present", r->present);
		row_number(&row, "lacking", r->lacking);
		row_number(&row, "failed", r->failed);
		row_number(&row, "items_read", r->items_read);
		row_number(&row, "bytes_read", r->bytes_read);
		row_number(&row, "items_skipped", r->items_skipped);
		row_number(&row, "items_verified", r->items_verified);
		row_number(&row, "bytes_stored", r->bytes_stored);
		row_number(&row, "chunks_new", r->chunks_new);
		row_number(&row, "chunks_known", r->chunks_known);
		row_cstr(&row, "head", r->head);
		return row_put(&row, e);
	}
	if (k->c->g.quiet)
		return ERR_OK;
	line_printf(l, "%s %s snapshots to ", k->v->dry_run ? "would copy" : "copied", number_text(r->copied).text);
	line_safe(l, span_cstr(k->v->to.url));
	if (r->present)
		line_printf(l, ", %s were there already", number_text(r->present).text);
	if (r->lacking)
		line_printf(l, ", %s are there and still lack something", number_text(r->lacking).text);
	if (r->failed)
		line_printf(l, ", %s could not be read", number_text(r->failed).text);
	if (k->v->verify && !k->v->dry_run)
		line_printf(l, "; %s items compared with their origins", number_text(r->items_verified).text);
	if (!k->v->dry_run)
		line_printf(l, "; %s items (%s) read, %s stored; head %s", number_text(r->items_read).text,
		            text_size(r->bytes_read).text, text_size(r->bytes_stored).text, r->head);
	return line_put(l);
}

/* ---- the run ---- */

/* For tests of crashes: partial snapshots so often that a short run has several. */
static int64_t partial_every_ms(void)
{
	const char *given = getenv("MAILHOLD_PARTIAL_MS");
	uint64_t ms = 0;

	return given && text_number(span_cstr(given), 1000000000, &ms) ? (int64_t)ms : 0;
}

static enum err_code copy(struct copying *k, const struct text_list *words, struct err *e)
{
	struct copy_options o = { .verify = k->v->verify,
		                  .dry_run = k->v->dry_run,
		                  .partial_every_ms = partial_every_ms(),
		                  .skipped = cli_report,
		                  .skipped_ctx = k->c };
	struct copy_report report;
	enum err_code rc = read_times(k, e);

	if (!rc)
		rc = cli_open(k->c, e);
	if (!rc)
		rc = choose_all(k, words, e);
	if (!rc && k->ids.count == 0)
		rc = err_set(e, ERR_NOT_FOUND, "there is no such snapshot to copy");
	if (!rc)
		rc = cli_open_to(k->c, &k->v->to, &k->to, e);
	if (rc)
		return rc;
	o.ids = k->ids.ids;
	o.count = k->ids.count;
	rc = engine_copy(k->c->repo, k->to, &o, visit, k, &report, e);
	return rc ? rc : tell_summary(k, &report, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	struct copying k = { .c = c, .v = values, .line = line_new(e) };
	enum err_code rc;

	if (!k.v->to.url)
		return err_set(e, ERR_USAGE, "copy needs --to URL, the repository to copy to");
	if (words->count && (k.v->account || k.v->since || k.v->until || k.v->tags.count))
		return err_set(e, ERR_USAGE,
		               "name the snapshots, or choose them with --account, --since, --until and "
		               "--tag: not both (ACCOUNT@latest is one account's)");
	rc = copy(&k, words, e);
	repo_free(&k.to);
	snapshot_list_release(&k.ids);
	line_release(&k.line);
	return rc;
}

const struct command command_copy = {
	.name = "copy",
	.words = "[SNAP...] --to URL",
	.summary = "copy snapshots to another repository",
	.details =
	        "Without SNAP all snapshots are copied, or those that the options choose. What the other repository "
	        "has already\n"
	        "is passed over, so the same command may be run every day, and again after an interruption; only "
	        "what is new\n"
	        "is read, and what an earlier run could not read. A copy keeps its account, time, host, source, tags "
	        "and flags;\n"
	        "the other repository has keys of its own.\n"
	        "Its password comes from the --to-... options, from MAILHOLD_TO_PASSWORD_FILE, "
	        "MAILHOLD_TO_PASSWORD_COMMAND,\n"
	        "MAILHOLD_TO_KEY_FILE or MAILHOLD_TO_PASSWORD, or is asked for. The exit code is 3 when something "
	        "could not be copied.\n",
	.examples = "mailhold copy --to /mnt/second/mail\n"
	            "mailhold copy ann@latest --to /mnt/second/mail --to-key-file ~/second.key --verify",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_max = WORDS_ANY,
	.run = run,
};
