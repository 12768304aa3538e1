/*
 * target: the server that a command puts items to, or compares with: its login from options, environment or the terminal.
 */
#ifndef MAILHOLD_CLI_TARGET_H
#define MAILHOLD_CLI_TARGET_H

#include "args.h"
#include "connector/connector.h"

struct target_login {
	const char *password_file, *password_command, *token_command, *ca_file; /* NULL: not given */
};
/* Options --target-password-file and so on, whose values are a struct target_login at OFFSET. */
#define TARGET_OPTIONS(offset)                                                                                         \
	{ 0,                                                                                                           \
	  "target-password-file",                                                                                      \
	  OPTION_TEXT,                                                                                                 \
	  "FILE",                                                                                                      \
	  "first line: the password at the target's server",                                                           \
	  (offset) + offsetof(struct target_login, password_file) },                                                   \
	        { 0,     "target-password-command", OPTION_TEXT,                                                       \
		  "CMD", "prints that password",    (offset) + offsetof(struct target_login, password_command) },      \
	        { 0,                                                                                                   \
		  "target-token-command",                                                                              \
		  OPTION_TEXT,                                                                                         \
		  "CMD",                                                                                               \
		  "prints an OAuth 2 access token for it instead",                                                     \
		  (offset) + offsetof(struct target_login, token_command) },                                           \
	{                                                                                                              \
		0, "target-ca", OPTION_TEXT, "FILE",                                                                   \
		        "PEM: authorities to trust at that server instead of the system's",                            \
		        (offset) + offsetof(struct target_login, ca_file)                                              \
	}

/* What a word of the command line means as a target. */
struct restore_target {
	const char *url;               /* of a server, or whatever the word was; borrowed */
	const struct account *account; /* whose place it is, when the word named one */
	struct pace *pace;
};
struct cli;
/* An account of the configuration (with its login, and its rate), or a place. ERR_USAGE when T goes with an account. */
MUST_CHECK enum err_code restore_target_find(struct cli *c, const char *word, const struct target_login *t,
                                             struct restore_target *out, struct err *e);
void restore_target_release(struct restore_target *t);
/* Asks for the secret, connects and logs in. What is opened is not used after restore_target_release. */
MUST_CHECK enum err_code restore_target_open(const struct restore_target *to, const struct target_login *t,
                                             const struct server_sink_options *o, struct item_sink **out,
                                             struct err *e);
MUST_CHECK enum err_code restore_target_undo(const struct restore_target *to, const struct target_login *t,
                                             const char *journal, bool plan_only, item_report report, void *ctx,
                                             struct server_undo *out, struct err *e);

#endif
