/*
 * command: for the room's own files: what every command gets, the table of commands, and what they share.
 * A command reads its options as a struct of plain values, opens the repository, calls the engine, and prints results
 * to stdout. Errors go up as struct err and are told in one place (cli.c).
 */
#ifndef MAILHOLD_CLI_COMMAND_H
#define MAILHOLD_CLI_COMMAND_H

#include "args.h"
#include "config.h"
#include "engine/engine.h"
#include "output.h"
#include "place.h"
#include "progress.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_BAD_USAGE = 2,
	EXIT_INCOMPLETE = 3,
	EXIT_NO_REPOSITORY = 10,
	EXIT_INDEX_BUSY = 11,
	EXIT_WRONG_PASSWORD = 12,
	EXIT_STORE_FORKED = 13,
	EXIT_INTERRUPTED = 130
};

struct cli_globals {
	const char *repository, *password_file, *password_command, *key_file, *cache_folder, *expect_head, *wait;
	const char *config;
	bool json, quiet, verbose, no_progress, help, version;
};

struct cli {
	struct cli_globals g;
	const struct command *command; /* NULL before it is known */
	struct config *config;         /* NULL before cli_config */
	const char *url;               /* of the repository */
	const char *other_url;         /* of the one that could not be opened, if it was another */
	int64_t wait_ms;               /* --wait */
	struct repo *repo;
	struct progress progress;
	int64_t now_ms;
	uint64_t reports; /* items told as skipped or failed; guarded by progress.lock */
	bool incomplete;  /* done, but not all of it: exit 3 */
	bool failed;      /* something failed and was told already: exit 1 */
	bool gone;        /* the store lacks what the ledger says it has, told already: exit 13 */
};

typedef enum err_code (*command_run)(struct cli *c, const void *values, const struct text_list *words, struct err *e);

#define COMMAND_VALUES_MAX 512
struct command {
	const char *name, *alias;
	const char *words;    /* operands, for the usage line */
	const char *summary;  /* one line */
	const char *details;  /* paragraphs, or NULL */
	const char *examples; /* lines without indentation */
	const struct option_def *options;
	size_t option_count;
	unsigned words_min, words_max;
	command_run run; /* NULL: not available in this version */
};
#define WORDS_ANY UINT32_MAX

extern const struct command command_init, command_snapshot, command_snapshots, command_ls, command_cat, command_find,
        command_diff, command_deleted, command_restore, command_copy, command_forget, command_prune, command_repair,
        command_report, command_pin, command_unpin, command_hold, command_session, command_check, command_stats,
        command_key, command_parity, command_account, command_version, command_help;
extern const struct option_def global_options[];
extern const size_t global_option_count;
/* All commands in the order of help. */
extern const struct command *const commands[];
extern const size_t command_count;
/* NULL when there is none. */
const struct command *command_find_name(const char *name);
const char *command_near(const char *name); /* NULL when nothing is near */

/* ---- help.c ---- */
MUST_CHECK enum err_code help_all(struct err *e);
MUST_CHECK enum err_code help_command(const struct command *command, struct err *e);

/* ---- what commands share ---- */

/* Set by SIGINT and SIGTERM. */
extern volatile sig_atomic_t cli_stop;

enum exit_code cli_exit_code(enum err_code code);
/* Tells E on stderr, with a remedy. */
void cli_print_error(struct cli *c, const struct err *e);
/* A line on stderr for the person: not with --quiet. */
void cli_note(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* An item_report: CTX is the struct cli. Any thread. The first 20 are told, all with --verbose. */
void cli_report(void *ctx, const char *what, const struct err *why);
/* Tells how many reports were not shown. */
void cli_reports_end(struct cli *c);
/* Goes on only while nobody has said stop; for visitors that print. */
MUST_CHECK enum err_code cli_go_on(struct err *e);

/* Reads the configuration file into c->config, once. */
MUST_CHECK enum err_code cli_config(struct cli *c, struct err *e);
/* The account of the configuration that WORD names; NULL when it is none, or could be a path or a URL. */
MUST_CHECK enum err_code cli_account(struct cli *c, const char *word, const struct account **out, struct err *e);
/* The repository's URL from -r, MAILHOLD_REPOSITORY or the configuration into c->url. */
MUST_CHECK enum err_code cli_need_url(struct cli *c, struct err *e);
struct secret_options;
/* What the configuration says of a repository goes with the URL that it gives, and with no other. */
void cli_configured_secret(const struct cli *c, struct secret_options *o);
/* Asks for the secret and opens the repository into c->repo, with progress, notices and the stop flag. */
MUST_CHECK enum err_code cli_open(struct cli *c, struct err *e);
/* A second repository, to copy to; what opens it (NULL: not given). It is the caller's to free. */
struct cli_to {
	const char *url, *key_file, *password_file, *password_command;
};
MUST_CHECK enum err_code cli_open_to(struct cli *c, const struct cli_to *to, struct repo **out, struct err *e);
/* Connects an opened c->repo to progress and the stop flag. */
void cli_attach(struct cli *c);
/* An engine_notice: warnings also with --quiet. */
void cli_notice(void *ctx, enum engine_notice_kind kind, const char *text);
/* cli_open and the snapshot that TEXT names. */
MUST_CHECK enum err_code cli_view(struct cli *c, const char *text, struct view **out, struct err *e);

/* ---- cmd_parity.c ---- */
/* "10", "10%" or "off" (0). */
MUST_CHECK enum err_code cli_parity_percent(const char *text, unsigned *out, struct err *e);
/* `repair parity`: needs the URL only. */
MUST_CHECK enum err_code cli_repair_parity(struct cli *c, struct err *e);

struct hex_short {
	char text[9];
};
struct hex_short snapshot_short(const struct snapshot_info *s);
/* "1a2b3c4d of ann, 2026-11-22 20:15" */
MUST_CHECK enum err_code snapshot_words(const struct snapshot_info *s, struct buf *out, struct err *e);
/* Its fields for --json, as docs/json.md tells. */
struct row snapshot_row(const struct snapshot_info *s, const char *type);

/* What a summary says, each a span into it. */
struct item_words {
	struct span title, from, to, message_id, files, place, contact;
};
struct item_words item_words(const struct view_item *item);
/* "2026-11-22 20:15  Ann Smith            Re: the contract    12.1 KiB  FS   " and so on; the place is the caller's. */
void item_line(struct line *l, const struct view_item *item);
/* SNAPSHOT NULL: it is in none, so it has no place and no content's name. */
void item_row(struct row *r, const char *snapshot, struct span collection, const struct view_item *item);
struct span item_flags(const struct view_item *item);

#endif
