/*
 * other_repository: a second repository that a command works with, and where its secret comes from: --from URL with
 * --from-password-file, --from-password-command or --from-key-file; the same with another prefix for other commands.
 */
#ifndef MAILHOLD_CLI_OTHER_REPOSITORY_H
#define MAILHOLD_CLI_OTHER_REPOSITORY_H

#include "command.h"

struct other_repository {
	const char *url, *password_file, *password_command, *key_file;
};

/* Rows of a table of options: FIELD of TYPE is a struct other_repository. */
#define OTHER_REPOSITORY_OPTIONS(type, field, prefix, value, help)                                                     \
	{ 0, prefix, OPTION_TEXT, value, help, offsetof(type, field.url) },                                            \
	        { 0,                                                                                                   \
		  prefix "-password-file",                                                                             \
		  OPTION_TEXT,                                                                                         \
		  "FILE",                                                                                              \
		  "the password of that repository is the first line of FILE",                                         \
		  offsetof(type, field.password_file) },                                                               \
	        { 0,                                                                                                   \
		  prefix "-password-command",                                                                          \
		  OPTION_TEXT,                                                                                         \
		  "COMMAND",                                                                                           \
		  "its password is the first line that COMMAND prints",                                                \
		  offsetof(type, field.password_command) },                                                            \
	{                                                                                                              \
		0, prefix "-key-file", OPTION_TEXT, "FILE", "it is opened with a key file",                            \
		        offsetof(type, field.key_file)                                                                 \
	}

/* True when a repository lies at URL, as far as can be told without its keys. */
bool other_repository_is(const char *url);
/* ERR_USAGE when a secret was given without a URL. */
MUST_CHECK enum err_code other_repository_check(const struct other_repository *o, const char *prefix, struct err *e);
/* Opens it with the stop flag of C. Without a secret option the one of the main repository's options or environment is tried. */
MUST_CHECK enum err_code other_repository_open(struct cli *c, const struct other_repository *o, const char *prefix,
                                               struct repo **out, struct err *e);

#endif
