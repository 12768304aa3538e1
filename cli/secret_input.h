/*
 * secret_input: where the password or the key comes from. Never from an argument. On the command line: --key-file,
 * --password-file, --password-command (one of them). Else from the environment: MAILHOLD_KEY_FILE,
 * MAILHOLD_PASSWORD_FILE, MAILHOLD_PASSWORD_COMMAND, MAILHOLD_PASSWORD, the first that is set. Else what the
 * configuration says. Else the terminal is asked, without echo. Every buffer that held it is wiped.
 */
#ifndef MAILHOLD_CLI_SECRET_INPUT_H
#define MAILHOLD_CLI_SECRET_INPUT_H

#include <signal.h>

#include "crypto/crypto.h"

#define PASSWORD_BYTES_MAX 1024
#define TOKEN_BYTES_MAX    (16 * KIB) /* an OAuth 2 access token; real ones have up to some 4 KiB */

struct secret_options {
	const char *key_file, *password_file, *password_command; /* NULL: not given */
	const char *configured_key_file, *configured_password_file,
	        *configured_password_command; /* count when neither options nor the environment say anything */
	bool create;                          /* for init: ask twice, make a key file that does not exist */
	const volatile sig_atomic_t
	        *stop; /* set by a signal handler: the prompt ends with ERR_CANCELLED; may be NULL */
};
struct secret_got {
	struct secret *secret;
	enum slot_kind kind;
	bool asked;            /* typed by a person: a wrong one may be asked for again */
	bool key_file_created; /* the person must keep a copy */
	const char *key_file;  /* borrowed */
};
/*
 * The same for a second repository, that copy writes to: options --to-key-file …, environment MAILHOLD_TO_KEY_FILE …
 */
MUST_CHECK enum err_code secret_input_to(const struct secret_options *o, struct secret_got *out, struct err *e);
/* ERR_USAGE when nothing was given and there is no terminal, or when the two new passwords differ or are empty. */
MUST_CHECK enum err_code secret_input(const struct secret_options *o, struct secret_got *out, struct err *e);

/*
 * A new secret, for a key that is to be made: from O, whose create must be set, else the terminal is asked twice. The
 * environment is not looked at: what stands there opens the repository already.
 */
MUST_CHECK enum err_code secret_input_new(const struct secret_options *o, struct secret_got *out, struct err *e);

/* Where the secret that logs in to a source comes from: at most one; none: the terminal is asked with PROMPT. */
struct source_secret {
	const char *password_file, *password_command, *token_command;
	bool environment;    /* MAILHOLD_SOURCE_PASSWORD_FILE and MAILHOLD_SOURCE_PASSWORD_COMMAND count, too */
	const char *account; /* MAILHOLD_ACCOUNT for commands; NULL: not set */
	const char *prompt;
	const volatile sig_atomic_t *stop;
};
/* Any thread; the terminal is asked for one thing at a time. */
MUST_CHECK enum err_code secret_input_source(const struct source_secret *from, struct secret **out, struct err *e);

/*
 * What logs in to the server that a restore goes to: as secret_input_source, with MAILHOLD_TARGET_PASSWORD_FILE and
 * MAILHOLD_TARGET_PASSWORD_COMMAND. What opens the source is never shown to the target.
 */
MUST_CHECK enum err_code secret_input_target(const struct source_secret *from, struct secret **out, struct err *e);

/* Reads MAILHOLD_PASSWORD and MAILHOLD_TO_PASSWORD out of the environment and wipes them there: once, early, before any child is started. */
MUST_CHECK enum err_code secret_take_environment(struct err *e);
void secret_drop_environment(void);

/* The first line of TEXT as a password; ERR_USAGE when it is empty, ERR_LIMIT when too long. For tests, too. */
MUST_CHECK enum err_code password_first_line(struct span text, struct secret **out, struct err *e);
/* 64 hex digits with or without a line end, 32 raw bytes, or the lines of a recovery sheet. ERR_USAGE for anything
 * else. */
MUST_CHECK enum err_code key_file_decode(struct span text, struct secret **out, struct err *e);

#endif
