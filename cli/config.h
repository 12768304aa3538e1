/*
 * config: the configuration file, which names the repository and the accounts: $XDG_CONFIG_HOME/mailhold/config (else
 * ~/.config/mailhold/config), or --config FILE, or MAILHOLD_CONFIG. docs/configuration.md tells every key.
 * Syntax   lines of three kinds, as git's: [section], [section "name"], key = value; '#' or ';' at a line's beginning is a
 *          comment. The value is all that stands behind the '=', without the spaces around it: commands need no quotes.
 * Errors   ERR_USAGE names file and line. A value is never repeated in an error: it may be a password.
 * Thread   a struct config does not change after it was opened.
 */
#ifndef MAILHOLD_CLI_CONFIG_H
#define MAILHOLD_CLI_CONFIG_H

#include "args.h"
#include "base/buf.h"
#include "net/oauth/oauth.h"

#define CONFIG_BYTES_MAX      (4 * MIB)
#define CONFIG_LINE_BYTES_MAX (8 * KIB)
#define CONFIG_ACCOUNTS_MAX   10000

/* Who gives tokens, and as whom they are asked for: [oauth "NAME"]. At most one of the three says where the secret is. */
struct config_oauth {
	const char *name;
	struct oauth_provider provider;
	const char *client_secret, *client_secret_file, *client_secret_command;
};

/* Where the key is that tokens are sealed with; neither: a file in the state folder. */
struct config_tokens {
	const char *key_file;
	bool keyring;
};

/*
 * One account: what it consists of and how to log in there. All strings are borrowed, from the configuration or from the
 * command line. At most one of the seven that say where the secret is, is set; none: the terminal is asked.
 */
struct account {
	const char *name;
	struct text_list sources; /* URLs or paths */
	const char *password_file, *password_command, *password, *token_command;
	const char *keyring; /* the name that the password has there; "yes": the account's */
	const char *oauth;   /* the name of PROVIDER, who gives tokens */
	const struct config_oauth *provider;
	const struct config_tokens *token_key;
	const char *auth, *ca_file, *fingerprint, *tls, *compress; /* as struct server_login has them */
	const char *connections, *wait; /* numbers, as text: connections at once; seconds to go on when it breaks off */
	const char *max_rate, *quiet_hours;
	const char *compression; /* of what is stored */
	struct text_list tags;
	bool paused; /* `snapshot --all` passes it by */
};

/* Where the repository is and what opens it; NULL: not told. */
struct config_repository {
	const char *url, *key_file, *password_file, *password_command, *cache_folder;
};

struct config;

/* Appends the path of the file that counts, NUL-terminated. ERR_USAGE when there is no home to look in. */
MUST_CHECK enum err_code config_path(const char *given, struct buf *out, struct err *e);
/* A file that is not there is an empty configuration, unless GIVEN (--config) or MAILHOLD_CONFIG named it: ERR_NOT_FOUND. */
MUST_CHECK enum err_code config_open(const char *given, struct config **out, struct err *e);
/* TEXT as a whole file; NAME for messages. PRIVATE: nobody else can read it, so that it may hold passwords. */
MUST_CHECK enum err_code config_parse(struct span text, const char *name, bool private, struct config **out,
                                      struct err *e);
void config_free(struct config **c); /* wipes */

const struct config_repository *config_repository(const struct config *c);
size_t config_account_count(const struct config *c);
const struct account *config_account(const struct config *c, size_t i);      /* in order of the file */
const struct account *config_find(const struct config *c, const char *name); /* NULL: there is none */

/* NULL: there is none. */
const struct config_oauth *config_find_oauth(const struct config *c, const char *name);
const struct config_tokens *config_tokens(const struct config *c);

/* "source" and "imaps://…": a line of a new account. */
struct config_line {
	const char *key, *value;
};
/* Appends to OUT: TEXT with one more account at its end. ERR_USAGE when a value cannot stand in a line. */
MUST_CHECK enum err_code config_add_account(struct span text, const char *name, const struct config_line *lines,
                                            size_t count, struct buf *out, struct err *e);
/* Appends to OUT: TEXT without the account's sections; comments right before a section go with it. *FOUND: any. */
MUST_CHECK enum err_code config_remove_account(struct span text, const char *name, struct buf *out, bool *found,
                                               struct err *e);

#endif
