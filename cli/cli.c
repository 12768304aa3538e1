#include "cli.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "command.h"
#include "secret_input.h"

enum { REPORTS_TOLD = 20, PASSWORD_TRIES = 3, WAIT_MS = 10000, WAIT_SECONDS_MAX = 30 * 24 * 3600 };

volatile sig_atomic_t cli_stop;

#define GLOBAL(field) offsetof(struct cli_globals, field)
const struct option_def global_options[] = {
	{ 'r', "repository", OPTION_TEXT, "URL", "the repository (else MAILHOLD_REPOSITORY, else as configured)",
	  GLOBAL(repository) },
	{ 0, "password-file", OPTION_TEXT, "FILE", "its password is the first line of FILE", GLOBAL(password_file) },
	{ 0, "password-command", OPTION_TEXT, "COMMAND", "its password is the first line that COMMAND prints",
	  GLOBAL(password_command) },
	{ 0, "key-file", OPTION_TEXT, "FILE", "it is opened with a key file, not a password", GLOBAL(key_file) },
	{ 0, "config", OPTION_TEXT, "FILE", "the configuration (else ~/.config/mailhold/config)", GLOBAL(config) },
	{ 0, "cache-folder", OPTION_TEXT, "FOLDER", "where the local index lies (else ~/.cache/mailhold)",
	  GLOBAL(cache_folder) },
	{ 0, "expect-head", OPTION_TEXT, "HEAD", "stop when the store is older than HEAD, as a run printed it",
	  GLOBAL(expect_head) },
	{ 0, "wait", OPTION_TEXT, "SECONDS", "for another mailhold that has the local index (else 10)", GLOBAL(wait) },
	{ 0, "json", OPTION_FLAG, NULL, "results as JSON, errors as one JSON line on stderr", GLOBAL(json) },
	{ 'q', "quiet", OPTION_FLAG, NULL, "only results that were asked for, warnings and errors", GLOBAL(quiet) },
	{ 'v', "verbose", OPTION_FLAG, NULL, "tell every item that was skipped", GLOBAL(verbose) },
	{ 0, "no-progress", OPTION_FLAG, NULL, "no progress line", GLOBAL(no_progress) },
	{ 'h', "help", OPTION_FLAG, NULL, "help for the command", GLOBAL(help) },
	{ 0, "version", OPTION_FLAG, NULL, "the version", GLOBAL(version) },
};
const size_t global_option_count = ARRAY_LEN(global_options);

/* ---- errors, notes and reports: the one place that tells ---- */

enum exit_code cli_exit_code(enum err_code code)
{
	switch (code) {
	case ERR_OK:
		return EXIT_DONE;
	case ERR_USAGE:
		return EXIT_BAD_USAGE;
	case ERR_NO_REPOSITORY:
		return EXIT_NO_REPOSITORY;
	case ERR_BUSY:
		return EXIT_INDEX_BUSY;
	case ERR_WRONG_KEY:
		return EXIT_WRONG_PASSWORD;
	case ERR_FORKED:
		return EXIT_STORE_FORKED;
	case ERR_CANCELLED:
		return EXIT_INTERRUPTED;
	default:
		return EXIT_FAILED;
	}
}

static void remedy(const struct cli *c, enum err_code code, char *out, size_t max)
{
	const char *name = c->command ? c->command->name : NULL;

	*out = 0;
	switch (code) {
	case ERR_USAGE:
		snprintf(out, max, "mailhold help%s%s", name ? " " : "", name ? name : "");
		break;
	case ERR_NO_REPOSITORY:
		snprintf(out, max, "mailhold init -r %.200s", c->other_url ? c->other_url : c->url ? c->url : "URL");
		break;
	case ERR_WRONG_KEY:
		snprintf(out, max, "the password or key file of somebody who may open this repository");
		break;
	case ERR_BUSY:
		snprintf(out, max,
		         "the same command when the other mailhold has ended, with a longer --wait, or beside it with "
		         "an "
		         "index of its own: --cache-folder FOLDER");
		break;
	case ERR_FORKED:
		snprintf(out, max, "asking whoever runs the store what was put back; nothing was changed here");
		break;
	case ERR_NO_SPACE:
		snprintf(out, max, "free space and run the same command again; what was committed is safe");
		break;
	case ERR_CORRUPT:
		snprintf(out, max, "mailhold check --read-data, to see everything that is damaged");
		break;
	case ERR_OUTCOME_UNKNOWN:
		snprintf(out, max, "the same command again; nothing is stored twice");
		break;
	case ERR_UNSUPPORTED:
		snprintf(out, max, "a newer mailhold, if a newer one wrote this");
		break;
	default:
		break;
	}
}

static void print_error_json(const struct err *e, const char *hint)
{
	struct row r = row_new(NULL), error = row_new(NULL);

	row_cstr(&error, "code", err_code_name(e->code));
	row_cstr(&error, "message", e->text);
	row_number(&error, "exit", cli_exit_code(e->code));
	if (*hint)
		row_cstr(&error, "try", hint);
	row_child(&r, "error", &error);
	row_put_stderr(&r);
}

/* An error may quote names from outside; they are printable already, but a terminal gets nothing unseen. */
static void say_safe(struct cli *c, const char *before, const char *text)
{
	struct buf line = BUF_EMPTY;
	struct err ignored;
	enum err_code rc = buf_printf(&line, &ignored, "%s", before);

	if (!rc)
		rc = output_safe(&line, span_cstr(text), 0, NULL, &ignored);
	if (!rc)
		rc = buf_append(&line, span_of("", 1), &ignored);
	progress_say(&c->progress, rc ? "mailhold: out of memory" : (const char *)line.ptr);
	buf_release(&line);
}

void cli_print_error(struct cli *c, const struct err *e)
{
	char hint[300];

	progress_clear(&c->progress);
	if (e->code == ERR_CANCELLED && output_pipe_closed())
		return;
	remedy(c, e->code, hint, sizeof hint);
	if (e->code == ERR_CANCELLED)
		snprintf(hint, sizeof hint, "the same command again, to go on; what was committed stays");
	if (c->g.json) {
		print_error_json(e, hint);
		return;
	}
	if (e->code == ERR_CANCELLED) {
		progress_say(&c->progress,
		             "mailhold: interrupted; what was committed stays, run the same command again to go on");
		return;
	}
	say_safe(c, "mailhold: ", e->text);
	if (*hint)
		say_safe(c, "  try: ", hint);
}

static void say_note(struct cli *c, const char *text)
{
	if (c->g.json) {
		struct row r = row_new(NULL);

		row_cstr(&r, "note", text);
		row_put_stderr(&r);
	} else {
		say_safe(c, "mailhold: ", text);
	}
}

void cli_note(struct cli *c, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;

	if (c->g.quiet)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	say_note(c, text);
}

void cli_notice(void *ctx, enum engine_notice_kind kind, const char *text)
{
	struct cli *c = ctx;

	if (kind == ENGINE_WARNING || !c->g.quiet)
		say_note(c, text);
}

void cli_report(void *ctx, const char *what, const struct err *why)
{
	struct cli *c = ctx;
	char text[ERR_TEXT_MAX + 400];
	uint64_t number;

	pthread_mutex_lock(&c->progress.lock);
	number = ++c->reports;
	c->incomplete = true;
	pthread_mutex_unlock(&c->progress.lock);
	if (c->g.json) {
		struct row r = row_new(NULL), skipped = row_new(NULL);

		row_cstr(&skipped, "what", what);
		row_cstr(&skipped, "code", err_code_name(why->code));
		row_cstr(&skipped, "message", why->text);
		row_child(&r, "skipped", &skipped);
		row_put_stderr(&r);
	} else if (number <= REPORTS_TOLD || c->g.verbose) {
		snprintf(text, sizeof text, "%s: %s", what, why->text);
		say_safe(c, "mailhold: skipped ", text);
	}
}

void cli_reports_end(struct cli *c)
{
	if (c->reports > REPORTS_TOLD && !c->g.verbose && !c->g.json)
		cli_note(c, "%s more were skipped; -v tells all of them", number_text(c->reports - REPORTS_TOLD).text);
}

enum err_code cli_go_on(struct err *e)
{
	return stop_asked(&cli_stop) ? err_set(e, ERR_CANCELLED, "interrupted") : ERR_OK;
}

/* ---- the repository ---- */

enum err_code cli_config(struct cli *c, struct err *e)
{
	return c->config ? ERR_OK : config_open(c->g.config, &c->config, e);
}

enum err_code cli_account(struct cli *c, const char *word, const struct account **out, struct err *e)
{
	enum err_code rc = ERR_OK;

	*out = NULL;
	if (!strpbrk(word, "/:"))
		rc = cli_config(c, e);
	if (!rc && c->config)
		*out = config_find(c->config, word);
	return rc;
}

enum err_code cli_need_url(struct cli *c, struct err *e)
{
	enum err_code rc;

	c->url = c->g.repository ? c->g.repository : getenv("MAILHOLD_REPOSITORY");
	if (c->url && *c->url)
		return ERR_OK;
	rc = cli_config(c, e);
	if (rc)
		return rc;
	c->url = config_repository(c->config)->url;
	if (c->url)
		return ERR_OK;
	return err_set(e, ERR_USAGE,
	               "no repository was named (write -r URL, set MAILHOLD_REPOSITORY, or configure one)");
}

void cli_configured_secret(const struct cli *c, struct secret_options *o)
{
	const struct config_repository *r = c->config ? config_repository(c->config) : NULL;

	if (!r || c->url != r->url)
		return;
	o->configured_key_file = r->key_file;
	o->configured_password_file = r->password_file;
	o->configured_password_command = r->password_command;
}

static void attach(struct cli *c, struct repo *repo)
{
	engine_stop_flag(repo, &cli_stop);
	engine_set_progress(repo, progress_update, &c->progress);
}

void cli_attach(struct cli *c)
{
	attach(c, c->repo);
}

/* How a repository is opened; INPUT asks for its secret. */
struct opening {
	const char *url, *expect_head;
	enum err_code (*input)(const struct secret_options *o, struct secret_got *out, struct err *e);
	struct secret_options secret;
};

static const char *cache_folder(const struct cli *c)
{
	const struct config_repository *r = c->config ? config_repository(c->config) : NULL;

	return c->g.cache_folder || !r || c->url != r->url ? c->g.cache_folder : r->cache_folder;
}

static enum err_code open_once(struct cli *c, const struct opening *from, struct repo **out, bool *again, struct err *e)
{
	struct repo_options o = { .url = from->url,
		                  .stop = &cli_stop,
		                  .cache_folder = cache_folder(c),
		                  .expect_head = from->expect_head,
		                  .wait_ms = c->wait_ms,
		                  .notice = cli_notice,
		                  .notice_ctx = c };
	struct secret_got got;
	enum err_code rc = from->input(&from->secret, &got, e);

	if (!rc) {
		o.secret = got.secret;
		o.secret_kind = got.kind;
		rc = repo_open(&o, out, e);
	}
	/* Ctrl-C reaches the password command, too, which then fails in its own way. */
	if (rc && stop_asked(&cli_stop))
		rc = err_set(e, ERR_CANCELLED, "interrupted");
	*again = rc == ERR_WRONG_KEY && got.asked;
	secret_free(&got.secret);
	return rc;
}

static enum err_code read_wait(struct cli *c, struct err *e)
{
	uint64_t seconds;

	c->wait_ms = WAIT_MS;
	if (!c->g.wait)
		return ERR_OK;
	if (!text_number(span_cstr(c->g.wait), WAIT_SECONDS_MAX, &seconds))
		return err_set(e, ERR_USAGE, "--wait is a number of seconds, 0 for not at all");
	c->wait_ms = (int64_t)seconds * 1000;
	return ERR_OK;
}

static enum err_code open_asking(struct cli *c, const struct opening *from, struct repo **out, struct err *e)
{
	enum err_code rc = read_wait(c, e);
	bool again = !rc;

	for (int i = 0; i < PASSWORD_TRIES && again; i++) {
		if (i)
			cli_note(c, "wrong password, try again");
		rc = open_once(c, from, out, &again, e);
	}
	if (!rc)
		attach(c, *out);
	return rc;
}

enum err_code cli_open(struct cli *c, struct err *e)
{
	enum err_code rc = cli_need_url(c, e);
	struct opening from = { .url = c->url,
		                .expect_head = c->g.expect_head,
		                .input = secret_input,
		                .secret = { .key_file = c->g.key_file,
		                            .password_file = c->g.password_file,
		                            .password_command = c->g.password_command,
		                            .stop = &cli_stop } };

	cli_configured_secret(c, &from.secret);
	return rc ? rc : open_asking(c, &from, &c->repo, e);
}

enum err_code cli_open_to(struct cli *c, const struct cli_to *to, struct repo **out, struct err *e)
{
	struct opening from = { .url = to->url,
		                .input = secret_input_to,
		                .secret = { .key_file = to->key_file,
		                            .password_file = to->password_file,
		                            .password_command = to->password_command,
		                            .stop = &cli_stop } };
	enum err_code rc = open_asking(c, &from, out, e);

	if (!rc)
		return ERR_OK;
	c->other_url = to->url;
	return err_note(e, "opening %s, the repository to copy to%s", text_name(span_cstr(to->url)).text,
	                rc == ERR_USAGE ? " (--to-password-file, --to-password-command or --to-key-file)" : "");
}

enum err_code cli_view(struct cli *c, const char *text, struct view **out, struct err *e)
{
	struct snapshot_id id;
	enum err_code rc = ERR_OK;

	if (!c->repo)
		rc = cli_open(c, e);
	if (!rc)
		rc = repo_resolve(c->repo, text, SNAPSHOTS_LIVE, &id, e);
	return rc ? rc : view_open(c->repo, &id, out, e);
}

/* ---- signals ---- */

static void on_signal(int number)
{
	(void)number;
	if (stop_asked(&cli_stop)) {
		static const char wipe[] = "\r\x1b[K";

		if (isatty(STDERR_FILENO) && write(STDERR_FILENO, wipe, sizeof wipe - 1) < 0)
			_exit(EXIT_INTERRUPTED);
		_exit(EXIT_INTERRUPTED);
	}
	stop_ask(&cli_stop);
}

static void start_signals(void)
{
	struct sigaction a = { .sa_handler = on_signal }; /* no SA_RESTART: the password prompt must wake up */
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;

	sigemptyset(&a.sa_mask);
	sigemptyset(&ignore.sa_mask);
	/* nohup and "&" in a script start us with SIGHUP or SIGINT ignored; that stays. */
	if (sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(SIGINT, &a, NULL);
	if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* ---- dispatch ---- */

static enum err_code check_words(const struct command *command, const struct text_list *words, struct err *e)
{
	if (words->count < command->words_min)
		return err_set(e, ERR_USAGE, "%s needs %s: mailhold %s %s", command->name,
		               command->words_min == 1 ? "a word more" : "more words", command->name, command->words);
	if (words->count > command->words_max)
		return err_set(e, ERR_USAGE, "%s does not take '%s': mailhold %s %s", command->name,
		               text_name(span_cstr(words->items[command->words_max])).text, command->name,
		               command->words);
	return ERR_OK;
}

static enum err_code unknown_command(const char *name, struct err *e)
{
	const char *near = command_near(name);

	return err_set(e, ERR_USAGE, "there is no command '%s'%s%s%s", text_name(span_cstr(name)).text,
	               near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static enum err_code run_command(struct cli *c, char **argv, size_t argc, size_t at, struct err *e)
{
	_Alignas(max_align_t) unsigned char values[COMMAND_VALUES_MAX] = { 0 };
	struct option_set sets[2] = { { c->command->options, c->command->option_count, values },
		                      { global_options, global_option_count, &c->g } };
	struct text_list words = { NULL, 0 };
	enum err_code rc;

	if (!c->command->run && at < argc && (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h")))
		return help_command(c->command, e);
	if (!c->command->run)
		return err_set(e, ERR_USAGE, "%s is not available in this version", c->command->name);
	rc = args_parse(sets, 2, c->command->name, argv, argc, &at, &words, e);
	if (!rc && c->g.help) {
		rc = help_command(c->command, e);
	} else if (!rc) {
		rc = check_words(c->command, &words, e);
		c->progress.shown = isatty(STDERR_FILENO) && !c->g.quiet && !c->g.no_progress && !c->g.json;
		if (!rc)
			rc = c->command->run(c, values, &words, e);
		progress_clear(&c->progress);
	}
	args_release(&sets[0]);
	text_list_release(&words);
	return rc;
}

/* --json must hold for errors of the command line itself, wherever it stands. */
static bool asks_json(char **argv, size_t argc)
{
	for (size_t i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

static enum err_code dispatch(struct cli *c, char **argv, size_t argc, struct err *e)
{
	struct option_set set = { global_options, global_option_count, &c->g };
	struct text_list none = { NULL, 0 };
	size_t at = 1;
	enum err_code rc = args_parse(&set, 1, NULL, argv, argc, &at, NULL, e);

	if (rc)
		return rc;
	if (c->g.version)
		return command_version.run(c, NULL, &none, e);
	if (at == argc) {
		if (c->g.help)
			return help_all(e);
		return err_set(e, ERR_USAGE, "a command is missing");
	}
	c->command = command_find_name(argv[at]);
	if (!c->command)
		return unknown_command(argv[at], e);
	return run_command(c, argv, argc, at + 1, e);
}

static int finish(struct cli *c, enum err_code rc, struct err *e)
{
	struct err at_end = { 0 };

	if (rc)
		cli_print_error(c, e);
	if (output_finish(&at_end) != ERR_OK && !output_pipe_closed() && rc == ERR_OK) {
		cli_print_error(c, &at_end);
		rc = at_end.code;
	}
	if (rc == ERR_CANCELLED && output_pipe_closed() && !stop_asked(&cli_stop))
		rc = ERR_OK;
	if (rc)
		return cli_exit_code(rc);
	return c->gone ? EXIT_STORE_FORKED : c->failed ? EXIT_FAILED : c->incomplete ? EXIT_INCOMPLETE : EXIT_DONE;
}

int cli_main(int argc, char **argv)
{
	struct cli c = { .now_ms = clock_now_ms() };
	struct err e = { 0 };
	enum err_code rc;
	int code;

	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX < 4)
		setlocale(LC_CTYPE, "C.UTF-8"); /* for the widths of characters; what we print is UTF-8 anyway */
	progress_init(&c.progress, false);
	output_begin();
	start_signals();
	c.g.json = argc > 1 && asks_json(argv, (size_t)argc);
	rc = crypto_start(&e);
	if (!rc)
		rc = secret_take_environment(&e);
	if (!rc)
		rc = dispatch(&c, argv, (size_t)argc, &e);
	secret_drop_environment();
	code = finish(&c, rc, &e);
	repo_free(&c.repo);
	config_free(&c.config);
	return code;
}
