#include "command.h"

#include <stdio.h>
#include <stdlib.h>

#include "account_name.h"
#include "base/text.h"
#include "connector/connector.h"
#include "secret_input.h"

struct values {
	const char *account, *compression;
	const char *password_file, *password_command, *token_command, *ca_file, *auth,
	        *compress; /* of a source at a server */
	const char *wait, *connections;
	struct text_list tags;
	bool rescan, dry_run, no_parent;
};

#define NET_PROMPT_BYTES 400

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 'a', "account", OPTION_TEXT, "NAME", "whose items these are (else taken from the source's path)",
	  AT(account) },
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

static enum err_code put_report(struct cli *c, const struct snapshot_report *r, const char *account, const char *source,
                                bool dry_run, uint64_t skipped, struct err *e)
{
	progress_clear(&c->progress);
	if (r->info.flags & ENGINE_SNAPSHOT_GAPS)
		c->incomplete = true;
	if (r->info.flags & ENGINE_SNAPSHOT_SHRUNK)
		cli_note(c,
		         "warning: %s has less than half of the items that it had before; the earlier snapshots stay",
		         account);
	if (c->g.json)
		return put_json(r, account, source, dry_run, skipped, e);
	if (c->g.quiet)
		return ERR_OK;
	return put_words(r, account, dry_run, skipped, e);
}

/* A number from LEAST to MOST; NULL leaves *OUT alone. */
static enum err_code number_of(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *out,
                               struct err *e)
{
	if (!text || (text_number(span_cstr(text), most, out) && *out >= least))
		return ERR_OK;
	return err_set(e, ERR_USAGE, "%s takes a number from %llu to %llu", option, (unsigned long long)least,
	               (unsigned long long)most);
}

/* Opens SOURCE, and logs in where it is a server. */
static enum err_code open_source(const struct values *v, const char *source, struct item_source **out, struct err *e)
{
	struct secret_options given = { .password_file = v->password_file,
		                        .password_command = v->token_command ? v->token_command : v->password_command,
		                        .stop = &cli_stop };
	struct server_login login = { .is_token = v->token_command,
		                      .mechanism = v->auth,
		                      .ca_file = v->ca_file,
		                      .compress = v->compress,
		                      .stop = &cli_stop };
	struct secret *secret = NULL;
	char prompt[NET_PROMPT_BYTES];
	uint64_t connections = 0, wait_s = 0;
	enum err_code rc;

	if (!connector_is_server(source))
		return connector_source_open(source, out, e);
	if (v->token_command && v->password_command)
		given.password_file = given.password_command; /* too many: told there */
	snprintf(prompt, sizeof prompt, "Password at %s: ", text_name(span_cstr(source)).text);
	rc = connector_server_check(source, e);
	if (!rc)
		rc = number_of("--source-connections", v->connections, 1, 8, &connections, e);
	if (!rc)
		rc = number_of("--source-wait", v->wait, 0, 86400, &wait_s, e);
	login.connections = (unsigned)connections;
	login.patience_ms = v->wait ? (wait_s ? (int64_t)wait_s * 1000 : -1) : 0;
	if (!rc)
		rc = secret_input_source(&given, prompt, &secret, e);
	if (!rc) {
		login.password = secret_span(secret);
		rc = connector_server_open(source, &login, out, e);
	}
	secret_free(&secret);
	return rc;
}

static enum err_code take_one(struct cli *c, const struct values *v, const char *source, const char *account,
                              const struct snapshot_options *base, struct err *e)
{
	struct snapshot_options o = *base;
	struct snapshot_report report = { 0 };
	struct item_source *from = NULL;
	uint64_t before = c->reports;
	enum err_code rc = open_source(v, source, &from, e);

	if (rc)
		return rc;
	from->report = cli_report;
	from->report_ctx = c;
	o.account = account;
	o.source = source;
	rc = engine_snapshot(c->repo, from, &o, &report, e);
	if (!rc)
		rc = put_report(c, &report, account, source, o.dry_run, c->reports - before, e);
	from->ops->free(&from);
	return rc ? err_note(e, "taking a snapshot of %s", text_name(span_cstr(source)).text) : ERR_OK;
}

/* After these the next source would only fail the same way. */
static bool ends_run(enum err_code rc)
{
	return rc == ERR_CANCELLED || rc == ERR_NO_SPACE || rc == ERR_NO_MEMORY || rc == ERR_FORKED || rc == ERR_BUSY ||
	       rc == ERR_OUTCOME_UNKNOWN;
}

static enum err_code take_all(struct cli *c, const struct values *v, const struct text_list *sources,
                              const struct buf *accounts, const struct snapshot_options *o, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < sources->count; i++) {
		rc = take_one(c, v, sources->items[i], (const char *)accounts[i].ptr, o, e);
		if (!rc)
			continue;
		if (ends_run(rc) || i + 1 == sources->count)
			break;
		/* One bad source stops one source. */
		cli_print_error(c, e);
		c->failed = true;
		rc = ERR_OK;
	}
	cli_reports_end(c);
	return rc;
}

/* One account per source; two sources in one account would each look like the loss of the other. */
static enum err_code name_accounts(const struct text_list *sources, const char *given, struct buf *accounts,
                                   struct err *e)
{
	enum err_code rc = ERR_OK;

	if (given && sources->count > 1)
		return err_set(e, ERR_USAGE,
		               "--account names one account, and every source needs its own: "
		               "run mailhold once for each source");
	if (given)
		rc = account_name_check(given, e);
	for (size_t i = 0; i < sources->count && !rc; i++) {
		rc = given ? buf_append(&accounts[i], span_of(given, strlen(given) + 1), e)
		           : account_name_of_source(sources->items[i], &accounts[i], e);
		for (size_t j = 0; j < i && !rc; j++)
			if (!strcmp((const char *)accounts[i].ptr, (const char *)accounts[j].ptr))
				rc = err_set(e, ERR_USAGE,
				             "%s and %s would both be the account %s: run mailhold once for each, "
				             "with --account NAME",
				             text_name(span_cstr(sources->items[j])).text,
				             text_name(span_cstr(sources->items[i])).text,
				             (const char *)accounts[i].ptr);
	}
	return rc;
}

#define SOURCES_MAX 64

/* For tests of crashes: partial snapshots so often that a short run has several. */
static int64_t partial_every_ms(void)
{
	const char *given = getenv("MAILHOLD_PARTIAL_MS");
	uint64_t ms = 0;

	return given && text_number(span_cstr(given), 1000000000, &ms) ? (int64_t)ms : 0;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	const struct values *v = values;
	struct snapshot_options o = { .tags = v->tags.items,
		                      .tag_count = v->tags.count,
		                      .rescan = v->rescan,
		                      .partial_every_ms = partial_every_ms(),
		                      .dry_run = v->dry_run,
		                      .no_parent = v->no_parent };
	struct buf accounts[SOURCES_MAX] = { 0 };
	enum err_code rc = compression_level(v->compression, &o.compression_level, e);

	if (!rc)
		rc = check_tags(&v->tags, e);
	if (!rc)
		rc = name_accounts(words, v->account, accounts, e);
	if (!rc)
		rc = cli_open(c, e);
	if (!rc)
		rc = take_all(c, v, words, accounts, &o, e);
	for (size_t i = 0; i < SOURCES_MAX; i++)
		buf_release(&accounts[i]);
	return rc;
}

const struct command command_snapshot = {
	.name = "snapshot",
	.alias = "backup",
	.words = "SOURCE...",
	.summary = "take what a source holds now into the repository",
	.details =
	        "SOURCE is a path, whose kind is found out (a Maildir, an mbox file or a folder of them, a tree of "
	        ".eml,\n"
	        ".ics, .vcf and .sieve files), or maildir:PATH, mbox:PATH, files:PATH, or imaps://USER@HOST[:PORT]\n"
	        "(imap:// with STARTTLS). It is only read. Only what changed since the account's last snapshot is\n"
	        "read and stored. Without --account the account is named after the last part of the path, or the one\n"
	        "before for names like Maildir: /home/ann/Maildir is ann; at a server after its user.\n"
	        "Items that cannot be read are told and left out, and the exit code is 3.\n",
	.examples = "mailhold snapshot ~/Maildir\nmailhold snapshot --account ann@example.org --tag monthly "
	            "maildir:/var/mail/ann",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = SOURCES_MAX,
	.run = run,
};
