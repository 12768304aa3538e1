#include "command.h"

#include <stdio.h>
#include <stdlib.h>

#include "account_name.h"
#include "account_source.h"
#include "base/mem.h"
#include "base/text.h"
#include "take.h"

struct values {
	const char *account, *compression;
	const char *password_file, *password_command, *token_command, *ca_file, *auth,
	        *compress; /* of a source at a server */
	const char *wait, *connections;
	const char *fingerprint, *tls;
	const char *jobs, *max_rate, *quiet_hours;
	struct text_list tags;
	bool rescan, dry_run, no_parent, all;
};

enum { JOBS_DEFAULT = 2 };

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 'a', "account", OPTION_TEXT, "NAME", "whose items these are (else taken from the source's path)",
	  AT(account) },
	{ 0, "all", OPTION_FLAG, NULL, "all accounts of the configuration, the longest unseen first", AT(all) },
	{ 'j', "jobs", OPTION_TEXT, "N", "so many accounts at once (else 2)", AT(jobs) },
	{ 0, "max-rate", OPTION_TEXT, "RATE", "from servers, of all accounts together: bytes a second, as 500K or 2M",
	  AT(max_rate) },
	{ 0, "quiet-hours", OPTION_TEXT, "HOURS", "begin nothing then, and stop what runs: 08:00-18:00",
	  AT(quiet_hours) },
	{ 't', "tag", OPTION_LIST, "TAG", "a word to remember the snapshot by; may be repeated", AT(tags) },
	{ 0, "rescan", OPTION_FLAG, NULL, "look inside items that seem unchanged", AT(rescan) },
	{ 'n', "dry-run", OPTION_FLAG, NULL, "read and count, store nothing", AT(dry_run) },
	{ 0, "no-parent", OPTION_FLAG, NULL, "read everything, as if there were no snapshot yet", AT(no_parent) },
	{ 0, "compression", OPTION_TEXT, "LEVEL", "fast, default or max", AT(compression) },
	{ 0, "source-password-file", OPTION_TEXT, "FILE", "first line: the password at the source's server",
	  AT(password_file) },
	{ 0, "source-password-command", OPTION_TEXT, "CMD", "prints that password", AT(password_command) },
	{ 0, "source-token-command", OPTION_TEXT, "CMD", "prints an OAuth 2 access token for it instead",
	  AT(token_command) },
	{ 0, "source-auth", OPTION_TEXT, "WAY", "how to log in there: scram-sha-256, plain …; else the best there is",
	  AT(auth) },
	{ 0, "source-ca", OPTION_TEXT, "FILE", "PEM: authorities to trust at that server instead of the system's",
	  AT(ca_file) },
	{ 0, "source-fingerprint", OPTION_TEXT, "HEX", "the SHA-256 of its certificate: trust this one and no other",
	  AT(fingerprint) },
	{ 0, "source-tls", OPTION_TEXT, "HOW", "required, or off for an imap:// or dav:// server on this machine",
	  AT(tls) },
	{ 0, "source-compress", OPTION_TEXT, "WHEN", "compress the line to it: far (the default), always or never",
	  AT(compress) },
	{ 0, "source-connections", OPTION_TEXT, "N", "at most so many connections to it at once (3)", AT(connections) },
	{ 0, "source-wait", OPTION_TEXT, "SECONDS", "how long to go on when it breaks off or says later (300)",
	  AT(wait) },
};

static enum err_code compression_level(const char *name, int *out, struct err *e)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = { { "fast", 1 }, { "default", 0 }, { "max", 19 } };

	for (size_t i = 0; i < ARRAY_LEN(levels) && name; i++)
		if (!strcmp(name, levels[i].name)) {
			*out = levels[i].level;
			return ERR_OK;
		}
	return name ? err_set(e, ERR_USAGE, "--compression is fast, default or max") : ERR_OK;
}

static enum err_code check_tags(const struct text_list *tags, struct err *e)
{
	for (size_t i = 0; i < tags->count; i++)
		if (!*tags->items[i] || strpbrk(tags->items[i], ",\n\t"))
			return err_set(e, ERR_USAGE, "a tag is one word or more, without commas");
	return ERR_OK;
}

static enum err_code put_json(const struct snapshot_report *r, const char *account, const char *source, bool dry_run,
                              uint64_t skipped, struct err *e)
{
	struct row row = row_new("snapshot");

	if (dry_run)
		row_array(&row, "id", json_null());
	else
		row_cstr(&row, "id", r->info.id_hex);
	row_cstr(&row, "account", account);
	row_cstr(&row, "source", source);
	row_bool(&row, "dry_run", dry_run);
	row_number(&row, "items", r->info.items);
	row_number(&row, "bytes", r->info.bytes);
	row_number(&row, "collections", r->info.collections);
	row_number(&row, "items_new", r->items_new);
	row_number(&row, "items_moved", r->items_moved);
	row_number(&row, "items_changed", r->items_changed);
	row_number(&row, "items_state_changed", r->items_state_changed);
	row_number(&row, "items_removed", r->items_removed);
	row_number(&row, "items_unchanged", r->items_unchanged);
	row_number(&row, "items_skipped", skipped);
	row_number(&row, "collections_unchanged", r->collections_unchanged);
	row_number(&row, "bytes_read", r->bytes_read);
	row_number(&row, "bytes_stored", r->bytes_stored);
	row_number(&row, "chunks_new", r->chunks_new);
	row_number(&row, "chunks_known", r->chunks_known);
	row_number(&row, "duration_ms", r->info.duration_ms < 0 ? 0 : (uint64_t)r->info.duration_ms);
	row_bool(&row, "resumed", r->resumed);
	row_bool(&row, "shrunk", r->info.flags & ENGINE_SNAPSHOT_SHRUNK);
	row_cstr(&row, "head", r->head);
	return row_put(&row, e);
}

static void count_of(struct line *l, uint64_t n, const char *what)
{
	if (n)
		line_printf(l, ", %s %s", number_text(n).text, what);
}

static enum err_code put_words(const struct snapshot_report *r, const char *account, bool dry_run, uint64_t skipped,
                               struct err *e)
{
	struct line l = line_new(e);
	enum err_code rc;

	if (dry_run)
		line_printf(&l, "dry run of ");
	else
		line_printf(&l, "snapshot %s of ", snapshot_short(&r->info).text);
	line_safe(&l, span_cstr(account));
	line_printf(&l, ": %s items (%s)", number_text(r->info.items).text, text_size(r->info.bytes).text);
	count_of(&l, r->items_new, "new");
	count_of(&l, r->items_moved, "moved");
	count_of(&l, r->items_changed, "changed");
	count_of(&l, r->items_state_changed, "with other flags");
	count_of(&l, r->items_removed, "removed");
	if (!r->items_new && !r->items_moved && !r->items_changed && !r->items_state_changed && !r->items_removed)
		line_printf(&l, ", nothing changed");
	count_of(&l, skipped, "skipped");
	if (dry_run)
		line_printf(&l, "; nothing was stored");
	else
		line_printf(&l, ", %s stored; head %s", text_size(r->bytes_stored).text, r->head);
	rc = line_put(&l);
	line_release(&l);
	return rc;
}

/* ---- several accounts: a table at the end ---- */

struct totals {
	struct cli *c;
	struct err e; /* the first failure to print */
	bool many;
};

/* Of a take that has ended; printing is at its end for many accounts, except for --json and failures. */
static enum err_code tell_done(struct cli *c, struct take *t, bool many, struct err *e)
{
	const struct snapshot_report *r = &t->report;

	if (r->info.flags & ENGINE_SNAPSHOT_GAPS || t->skipped)
		c->incomplete = true;
	if (r->info.flags & ENGINE_SNAPSHOT_SHRUNK)
		cli_note(c,
		         "warning: %s has less than half of the items that it had before; the earlier snapshots stay",
		         t->options.account);
	if (c->g.json)
		return put_json(r, t->options.account, t->source, t->options.dry_run, t->skipped, e);
	return c->g.quiet || many ? ERR_OK : put_words(r, t->options.account, t->options.dry_run, t->skipped, e);
}

static enum err_code tell_failed(struct cli *c, const struct take *t, struct err *e)
{
	struct row r;

	c->failed = true;
	cli_print_error(c, &t->why);
	if (!c->g.json)
		return ERR_OK;
	r = row_new("failed");
	row_cstr(&r, "account", t->options.account);
	row_cstr(&r, "source", t->source);
	row_cstr(&r, "code", err_code_name(t->why.code));
	row_cstr(&r, "message", t->why.text);
	return row_put(&r, e);
}

static void ended(void *ctx, struct take *t)
{
	struct totals *all = ctx;
	struct err e = { 0 };
	enum err_code rc = ERR_OK;

	progress_clear(&all->c->progress);
	if (t->state == TAKE_DONE)
		rc = tell_done(all->c, t, all->many, &e);
	else if (t->state == TAKE_QUIET)
		cli_note(all->c, "%s: its quiet hours; the next run goes on", t->options.account);
	else if (all->many)
		rc = tell_failed(all->c, t, &e);
	if (rc && !all->e.code)
		all->e = e;
}

static void put_take_row(struct table *table, const struct take *t)
{
	const struct snapshot_report *r = &t->report;
	bool done = t->state == TAKE_DONE;

	table_cell(table, span_cstr(t->options.account));
	table_text(table, !done                ? (t->state == TAKE_FAILED  ? "failed"
	                                          : t->state == TAKE_QUIET ? "quiet hours"
	                                                                   : "not begun")
	                  : t->options.dry_run ? "dry run"
	                                       : snapshot_short(&r->info).text);
	table_text(table, done ? number_text(r->info.items).text : "-");
	table_text(table, done ? number_text(r->items_new + r->items_changed).text : "-");
	table_text(table, done ? number_text(r->items_removed).text : "-");
	table_text(table, done ? number_text(t->skipped).text : "-");
	table_text(table, done ? text_size(r->bytes_stored).text : "-");
	table_text(table, done ? number_text((uint64_t)(t->duration_ms + 500) / 1000).text : "-");
}

struct counts {
	size_t done, incomplete, failed, waiting, quiet;
	const char *head; /* the newest */
	uint64_t head_number;
};

static struct counts count_takes(const struct take *takes, size_t count)
{
	struct counts n = { .head = "" };

	for (size_t i = 0; i < count; i++) {
		const struct take *t = &takes[i];
		uint64_t number = strtoull(t->report.head, NULL, 10);

		n.failed += t->state == TAKE_FAILED;
		n.waiting += t->state == TAKE_WAITS;
		n.quiet += t->state == TAKE_QUIET;
		if (t->state != TAKE_DONE)
			continue;
		if (t->skipped || t->report.info.flags & ENGINE_SNAPSHOT_GAPS)
			n.incomplete++;
		else
			n.done++;
		if (number >= n.head_number) {
			n.head_number = number;
			n.head = t->report.head;
		}
	}
	return n;
}

static enum err_code put_summary_json(const struct counts *n, size_t count, struct err *e)
{
	struct row r = row_new("summary");

	row_number(&r, "accounts", count);
	row_number(&r, "complete", n->done);
	row_number(&r, "incomplete", n->incomplete);
	row_number(&r, "failed", n->failed);
	row_number(&r, "not_begun", n->waiting);
	row_number(&r, "quiet", n->quiet);
	row_cstr(&r, "head", n->head);
	return row_put(&r, e);
}

static enum err_code put_summary(struct cli *c, const struct take *takes, size_t count, struct err *e)
{
	static const char *const titles[] = { "account",  "snapshot", ">items",  ">new",
		                              ">removed", ">skipped", ">stored", ">seconds" };
	struct counts n = count_takes(takes, count);
	struct table table = table_new(titles, ARRAY_LEN(titles), e);
	struct line l = line_new(e);
	enum err_code rc;

	if (c->g.json)
		return put_summary_json(&n, count, e);
	for (size_t i = 0; i < count; i++)
		put_take_row(&table, &takes[i]);
	rc = table_put(&table);
	line_printf(&l, "%s accounts: %s complete", number_text(count).text, number_text(n.done).text);
	count_of(&l, n.incomplete, "with items left out");
	count_of(&l, n.failed, "failed");
	count_of(&l, n.waiting, "not begun");
	count_of(&l, n.quiet, "in their quiet hours");
	if (*n.head)
		line_printf(&l, "; head %s", n.head);
	if (!rc)
		rc = line_put(&l);
	line_release(&l);
	return rc;
}

static enum err_code run_takes(struct cli *c, struct take *takes, size_t count, unsigned jobs, bool many, struct err *e)
{
	struct totals all = { .c = c, .many = many };
	struct err told = { 0 };
	enum err_code rc = takes_run(c, takes, count, jobs, ended, &all, e);

	progress_clear(&c->progress);
	if (many && (!c->g.quiet || c->g.json) && put_summary(c, takes, count, &told) && !all.e.code)
		all.e = told;
	cli_reports_end(c);
	/* One account alone tells its failure as a command does. */
	if (!many && takes[0].state == TAKE_FAILED)
		*e = takes[0].why;
	if (!many && takes[0].state == TAKE_FAILED)
		return e->code;
	if (!rc && all.e.code)
		*e = all.e;
	return rc ? rc : all.e.code;
}

/* ---- which ones ---- */

struct wanted {
	struct take *takes;
	size_t count;
	struct pace *pace;
	struct account given;   /* of sources on the command line: how to log in there */
	struct buf *names;      /* COUNT of them; empty for accounts of the configuration */
	struct text_list *tags; /* the same */
};

static void wanted_release(struct wanted *w)
{
	for (size_t i = 0; i < w->count; i++) {
		buf_release(&w->names[i]);
		text_list_release(&w->tags[i]);
	}
	pace_free(&w->pace);
	mem_free(w->takes);
	mem_free(w->names);
	mem_free(w->tags);
}

static enum err_code wanted_init(struct wanted *w, size_t count, struct err *e)
{
	w->takes = mem_zalloc(count + 1, sizeof *w->takes);
	w->names = mem_zalloc(count + 1, sizeof *w->names);
	w->tags = mem_zalloc(count + 1, sizeof *w->tags);
	if (!w->takes || !w->names || !w->tags)
		return err_no_memory(e, count * sizeof *w->takes);
	w->count = count;
	return ERR_OK;
}

static bool has_source_options(const struct values *v)
{
	return v->password_file || v->password_command || v->token_command || v->ca_file || v->auth || v->compress ||
	       v->fingerprint || v->tls || v->connections || v->wait;
}

/* What the account says counts where the command line says nothing; tags of both. */
static enum err_code want_account(struct wanted *w, size_t i, const struct values *v, const struct account *a,
                                  const struct snapshot_options *base, struct err *e)
{
	struct take *t = &w->takes[i];
	enum err_code rc = account_check(a, e);

	if (rc)
		return rc;
	if (has_source_options(v) || v->account)
		return err_set(e, ERR_USAGE,
		               "--account and --source-… go with a source; %s is an account of the configuration",
		               a->name);
	*t = (struct take){ .account = a,
		            .source = a->sources.items[0],
		            .quiet_hours = v->quiet_hours ? v->quiet_hours : a->quiet_hours,
		            .options = *base };
	for (size_t j = 0; !rc && a->sources.count > 1 && j < a->sources.count; j++)
		rc = buf_printf(&w->names[i], e, "%s%s", j ? " " : "", a->sources.items[j]);
	if (!rc && w->names[i].len)
		rc = buf_append(&w->names[i], span_of("", 1), e);
	if (!rc && w->names[i].len)
		t->source = (const char *)w->names[i].ptr;
	for (size_t j = 0; !rc && j < v->tags.count; j++)
		rc = text_list_add(&w->tags[i], v->tags.items[j], e);
	for (size_t j = 0; !rc && j < a->tags.count; j++)
		rc = text_list_add(&w->tags[i], a->tags.items[j], e);
	if (!rc && !v->compression)
		rc = compression_level(a->compression, &t->options.compression_level, e);
	t->options.account = a->name;
	t->options.source = t->source;
	t->options.tags = w->tags[i].items;
	t->options.tag_count = w->tags[i].count;
	return rc ? rc : check_tags(&w->tags[i], e);
}

static enum err_code want_source(struct wanted *w, size_t i, const struct values *v, const char *source,
                                 const struct snapshot_options *base, struct err *e)
{
	struct take *t = &w->takes[i];
	enum err_code rc;

	*t = (struct take){ .account = &w->given,
		            .source = source,
		            .environment = true,
		            .quiet_hours = v->quiet_hours,
		            .options = *base };
	rc = v->account ? account_name_check(v->account, e) : ERR_OK;
	if (!rc)
		rc = v->account ? buf_append(&w->names[i], span_of(v->account, strlen(v->account) + 1), e)
		                : account_name_of_source(source, &w->names[i], e);
	t->options.source = source;
	t->options.account = rc ? NULL : (const char *)w->names[i].ptr;
	t->options.tags = v->tags.items;
	t->options.tag_count = v->tags.count;
	return rc;
}

/* One account per source; two sources in one account would each look like the loss of the other. */
static enum err_code check_distinct(const struct wanted *w, struct err *e)
{
	for (size_t i = 0; i < w->count; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(w->takes[i].options.account, w->takes[j].options.account))
				return err_set(e, ERR_USAGE,
				               "%s and %s would both be the account %s: run mailhold once for each, "
				               "with --account NAME",
				               text_name(span_cstr(w->takes[j].source)).text,
				               text_name(span_cstr(w->takes[i].source)).text,
				               w->takes[i].options.account);
	return ERR_OK;
}

static enum err_code want_words(struct cli *c, struct wanted *w, const struct values *v, const struct text_list *words,
                                const struct snapshot_options *base, struct err *e)
{
	enum err_code rc = wanted_init(w, words->count, e);

	if (!rc && v->account && words->count > 1)
		rc = err_set(e, ERR_USAGE,
		             "--account names one account, and every source needs its own: "
		             "run mailhold once for each source");
	for (size_t i = 0; !rc && i < words->count; i++) {
		const struct account *a;

		rc = cli_account(c, words->items[i], &a, e);
		if (!rc)
			rc = a ? want_account(w, i, v, a, base, e) : want_source(w, i, v, words->items[i], base, e);
	}
	return rc ? rc : check_distinct(w, e);
}

static enum err_code want_all(struct cli *c, struct wanted *w, const struct values *v,
                              const struct snapshot_options *base, struct err *e)
{
	size_t count = 0, n = 0;
	enum err_code rc = cli_config(c, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < config_account_count(c->config); i++)
		count += !config_account(c->config, i)->paused;
	if (!count)
		return err_set(e, ERR_USAGE, "the configuration has no accounts (mailhold account add NAME SOURCE)");
	rc = wanted_init(w, count, e);
	for (size_t i = 0; !rc && i < config_account_count(c->config); i++) {
		const struct account *a = config_account(c->config, i);

		if (!a->paused)
			rc = want_account(w, n++, v, a, base, e);
	}
	return rc;
}

/* ---- in which order ---- */

static int compare_names(const void *a, const void *b)
{
	const struct take *x = a, *y = b;

	return strcmp(x->options.account, y->options.account);
}

static int compare_name_to_take(const void *name, const void *take)
{
	const struct take *t = take;

	return span_compare(*(const struct span *)name, span_cstr(t->options.account));
}

static int compare_times(const void *a, const void *b)
{
	const struct take *x = a, *y = b;

	if (x->last_ms != y->last_ms)
		return x->last_ms < y->last_ms ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static enum err_code note_time(void *ctx, const struct snapshot_info *s, struct err *e)
{
	struct wanted *w = ctx;
	struct take *t = bsearch(&s->account, w->takes, w->count, sizeof *w->takes, compare_name_to_take);

	(void)e;
	if (t && !(s->flags & ENGINE_SNAPSHOT_PARTIAL) && s->time_ms > t->last_ms)
		t->last_ms = s->time_ms;
	return ERR_OK;
}

/* The longest unseen first: a run that is cut short leaves out others than the one before did. */
static enum err_code sort_wanted(struct cli *c, struct wanted *w, struct err *e)
{
	enum err_code rc;

	for (size_t i = 0; i < w->count; i++)
		w->takes[i].at = i;
	qsort(w->takes, w->count, sizeof *w->takes, compare_names);
	rc = repo_snapshots(c->repo, SNAPSHOTS_LIVE, NULL, note_time, w, e);
	qsort(w->takes, w->count, sizeof *w->takes, compare_times);
	return rc;
}

/* ---- the command ---- */

/* For tests of crashes: partial snapshots so often that a short run has several. */
static int64_t partial_every_ms(void)
{
	const char *given = getenv("MAILHOLD_PARTIAL_MS");
	uint64_t ms = 0;

	return given && text_number(span_cstr(given), 1000000000, &ms) ? (int64_t)ms : 0;
}

static enum err_code read_jobs(const struct values *v, unsigned *out, struct err *e)
{
	uint64_t n = JOBS_DEFAULT;

	if (v->jobs && (!text_number(span_cstr(v->jobs), TAKE_JOBS_MAX, &n) || !n))
		return err_set(e, ERR_USAGE, "--jobs is a number from 1 to %d", TAKE_JOBS_MAX);
	*out = (unsigned)n;
	return ERR_OK;
}

static enum err_code want(struct cli *c, struct wanted *w, const struct values *v, const struct text_list *words,
                          struct err *e)
{
	struct snapshot_options base = { .rescan = v->rescan,
		                         .partial_every_ms = partial_every_ms(),
		                         .dry_run = v->dry_run,
		                         .no_parent = v->no_parent };
	uint64_t rate = 0;
	enum err_code rc = compression_level(v->compression, &base.compression_level, e);

	w->given = (struct account){ .password_file = v->password_file,
		                     .password_command = v->password_command,
		                     .token_command = v->token_command,
		                     .auth = v->auth,
		                     .ca_file = v->ca_file,
		                     .fingerprint = v->fingerprint,
		                     .tls = v->tls,
		                     .connections = v->connections,
		                     .wait = v->wait,
		                     .compress = v->compress };
	if (!rc)
		rc = check_tags(&v->tags, e);
	if (!rc && v->all && words->count)
		rc = err_set(e, ERR_USAGE, "--all takes all accounts of the configuration: name none");
	if (!rc && !v->all && !words->count)
		rc = err_set(e, ERR_USAGE, "say what of: a source, an account of the configuration, or --all");
	if (!rc && v->max_rate)
		rc = rate_parse(v->max_rate, &rate, e);
	if (!rc && rate)
		rc = pace_open(rate, NULL, &w->pace, e);
	if (!rc && v->quiet_hours)
		rc = quiet_hours_parse(v->quiet_hours, &(struct quiet_hours){ 0 }, e);
	if (rc)
		return rc;
	return v->all ? want_all(c, w, v, &base, e) : want_words(c, w, v, words, &base, e);
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct wanted w = { 0 };
	unsigned jobs = 1;
	enum err_code rc = read_jobs(v, &jobs, e);

	if (!rc)
		rc = want(c, &w, v, words, e);
	if (!rc)
		rc = cli_open(c, e);
	if (!rc && v->all)
		rc = sort_wanted(c, &w, e);
	for (size_t i = 0; i < w.count; i++)
		w.takes[i].pace = w.pace;
	if (!rc)
		rc = run_takes(c, w.takes, w.count, jobs, v->all || w.count > 1, e);
	wanted_release(&w);
	return rc;
}

const struct command command_snapshot = {
	.name = "snapshot",
	.alias = "backup",
	.words = "SOURCE|ACCOUNT...",
	.summary = "take what a source holds now into the repository",
	.details =
	        "SOURCE is a path, whose kind is found out (a Maildir, an mbox file or a folder of them, a tree of "
	        ".eml,\n"
	        ".ics, .vcf and .sieve files), or maildir:PATH, mbox:PATH, files:PATH, or imaps://USER@HOST[:PORT]\n"
	        "(imap:// with STARTTLS), or davs://USER@HOST[:PORT][/PATH] for calendars and contacts (caldavs://\n"
	        "or carddavs:// for only one of them). It is only read. Only what changed since the account's last\n"
	        "snapshot is read and stored. Without --account the account is named after the last part of the path, "
	        "or the one\n"
	        "before for names like Maildir: /home/ann/Maildir is ann; at a server after its user.\n"
	        "ACCOUNT is one of the configuration (mailhold account add); a folder of that name is written ./NAME.\n"
	        "Several are taken side by side (--jobs), each with a commit of its own; one that fails stops no "
	        "other.\n"
	        "Items that cannot be read are told and left out, and the exit code is 3.\n",
	.examples = "mailhold snapshot ~/Maildir\nmailhold snapshot --account ann@example.org --tag monthly "
	            "maildir:/var/mail/ann\nmailhold snapshot --all --jobs 4",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_max = WORDS_ANY,
	.run = run,
};
