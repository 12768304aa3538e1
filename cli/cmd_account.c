#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account_name.h"
#include "account_source.h"
#include "base/file.h"
#include "base/text.h"
#include "keyring.h"
#include "secret_input.h"
#include "token_store.h"

struct values {
	const char *password_file, *password_command, *token_command, *auth, *ca_file, *fingerprint, *tls;
	const char *oauth;
	struct text_list tags;
	bool keyring, password_in_file, no_test, all;
};

#define AT(field) offsetof(struct values, field)
static const struct option_def options[] = {
	{ 0, "source-password-file", OPTION_TEXT, "FILE", "add: its first line is the password at the server",
	  AT(password_file) },
	{ 0, "source-password-command", OPTION_TEXT, "CMD",
	  "add: prints that password; MAILHOLD_ACCOUNT is the account's name", AT(password_command) },
	{ 0, "source-token-command", OPTION_TEXT, "CMD", "add: prints an OAuth 2 access token instead",
	  AT(token_command) },
	{ 0, "oauth", OPTION_TEXT, "NAME", "add: tokens from [oauth \"NAME\"] of the configuration", AT(oauth) },
	{ 0, "keyring", OPTION_FLAG, NULL, "add: ask for the password and keep it in the desktop's keyring",
	  AT(keyring) },
	{ 0, "password-in-file", OPTION_FLAG, NULL, "add: ask for it and write it into the configuration, in clear",
	  AT(password_in_file) },
	{ 0, "source-auth", OPTION_TEXT, "WAY", "add: how to log in: scram-sha-256, plain …", AT(auth) },
	{ 0, "source-ca", OPTION_TEXT, "FILE", "add: PEM: authorities to trust at that server", AT(ca_file) },
	{ 0, "source-fingerprint", OPTION_TEXT, "HEX", "add: trust the certificate with this SHA-256, and no other",
	  AT(fingerprint) },
	{ 0, "source-tls", OPTION_TEXT, "HOW", "add: required, or off for an imap:// or dav:// server on this machine",
	  AT(tls) },
	{ 't', "tag", OPTION_LIST, "TAG", "add: a word for each of its snapshots; may be repeated", AT(tags) },
	{ 0, "no-test", OPTION_FLAG, NULL, "add: do not log in to see whether it works", AT(no_test) },
	{ 0, "all", OPTION_FLAG, NULL, "test: all accounts of the configuration", AT(all) },
};

/* ---- list ---- */

static enum err_code list_json(const struct account *a, struct err *e)
{
	struct row r = row_new("account");
	json_t *sources = json_array(), *tags = json_array();

	for (size_t i = 0; i < a->sources.count; i++)
		array_add_text(&sources, span_cstr(a->sources.items[i]));
	for (size_t i = 0; i < a->tags.count; i++)
		array_add_text(&tags, span_cstr(a->tags.items[i]));
	row_cstr(&r, "name", a->name);
	row_array(&r, "sources", sources);
	row_cstr(&r, "secret", account_secret_words(a));
	row_array(&r, "tags", tags);
	row_bool(&r, "paused", a->paused);
	return row_put(&r, e);
}

/* The first source, and how many more there are. */
static const char *sources_words(const struct account *a, struct buf *words)
{
	struct err ignored;

	buf_clear(words);
	if (a->sources.count == 1 ||
	    buf_printf(words, &ignored, "%s and %zu more", a->sources.items[0], a->sources.count - 1) ||
	    buf_append(words, span_of("", 1), &ignored))
		return a->sources.items[0];
	return (const char *)words->ptr;
}

static enum err_code list(struct cli *c, struct err *e)
{
	static const char *const titles[] = { "account", "secret", "source" };
	size_t count = config_account_count(c->config);
	struct table table = table_new(titles, ARRAY_LEN(titles), e);
	struct buf words = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < count && c->g.json; i++)
		rc = list_json(config_account(c->config, i), e);
	if (c->g.json || !count)
		return rc;
	for (size_t i = 0; i < count; i++) {
		const struct account *a = config_account(c->config, i);

		table_cell(&table, span_cstr(a->name));
		table_text(&table, a->paused ? "paused" : account_secret_words(a));
		table_cell(&table, span_cstr(sources_words(a, &words)));
	}
	buf_release(&words);
	return table_put(&table);
}

/* ---- test ---- */

/* Connects, logs in and lists; nothing is read beyond that. */
static enum err_code try_source(const struct account *a, const char *url, size_t *collections, struct err *e)
{
	const struct collection *all;
	struct item_source *from = NULL;
	enum err_code rc = account_source_open(a, url, false, NULL, &cli_stop, &from, e);

	if (!rc)
		rc = from->ops->collections(from, &all, collections, e);
	if (from)
		from->ops->free(&from);
	return rc ? err_note(e, "trying the account %s", text_name(span_cstr(a->name)).text) : ERR_OK;
}

static enum err_code tell_test(struct cli *c, const struct account *a, const char *url, size_t collections,
                               const struct err *why, struct err *e)
{
	struct line l = line_new(e);
	struct row r;
	enum err_code rc = ERR_OK;

	if (c->g.json) {
		r = row_new("account-test");
		row_cstr(&r, "name", a->name);
		row_cstr(&r, "source", url);
		row_bool(&r, "works", !why);
		if (why)
			row_cstr(&r, "message", why->text);
		else
			row_number(&r, "collections", collections);
		return row_put(&r, e);
	}
	if (why || c->g.quiet)
		return ERR_OK;
	line_safe(&l, span_cstr(a->name));
	line_printf(&l, ": works, %s folders at ", number_text(collections).text);
	line_safe(&l, span_cstr(url));
	rc = line_put(&l);
	line_release(&l);
	return rc;
}

static enum err_code test_one(struct cli *c, const struct account *a, struct err *e)
{
	struct err why = { 0 };
	enum err_code rc = account_check(a, &why);

	for (size_t i = 0; i < a->sources.count; i++) {
		size_t collections = 0;

		if (!rc)
			rc = try_source(a, a->sources.items[i], &collections, &why);
		if (rc == ERR_CANCELLED) {
			*e = why;
			return rc;
		}
		if (rc) {
			c->failed = true;
			cli_print_error(c, &why);
		}
		if (tell_test(c, a, a->sources.items[i], collections, rc ? &why : NULL, e))
			return e->code;
	}
	return ERR_OK;
}

static enum err_code test(struct cli *c, const struct values *v, const struct text_list *names, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (v->all == (names->count > 1))
		return err_set(e, ERR_USAGE, "write: mailhold account test NAME..., or --all");
	for (size_t i = 1; i < names->count; i++)
		if (!config_find(c->config, names->items[i]))
			return err_set(e, ERR_NOT_FOUND, "the configuration has no account %s",
			               text_name(span_cstr(names->items[i])).text);
	for (size_t i = 0; !rc && v->all && i < config_account_count(c->config); i++)
		rc = test_one(c, config_account(c->config, i), e);
	for (size_t i = 1; !rc && i < names->count; i++)
		rc = test_one(c, config_find(c->config, names->items[i]), e);
	return rc;
}

/* ---- changing the file ---- */

/*
 * The file being changed: read under a lock of its own, so that two changes at once do not lose one of them; replaced as a
 * whole. A symbolic link stays one: what it names is replaced.
 */
struct edit {
	char path[PATH_MAX];
	int lock;
	unsigned mode;
	struct buf text;
};

static void edit_end(struct edit *ch)
{
	if (ch->lock >= 0)
		close(ch->lock);
	buf_wipe(&ch->text);
}

static enum err_code edit_paths(const char *given, struct edit *ch, struct err *e)
{
	struct buf path = BUF_EMPTY;
	char *slash;
	enum err_code rc = config_path(given, &path, e);

	if (!rc && path.len > sizeof ch->path)
		rc = err_set(e, ERR_LIMIT, "the configuration's path is longer than %d bytes", PATH_MAX);
	if (!rc && !realpath((const char *)path.ptr, ch->path)) {
		memcpy(ch->path, path.ptr, path.len);
		slash = strrchr(ch->path, '/');
		if (slash && slash != ch->path) {
			*slash = 0;
			rc = file_make_folders(ch->path, 0700, e);
			*slash = '/';
		}
	}
	buf_release(&path);
	return rc;
}

static enum err_code edit_begin(const char *given, struct edit *ch, struct err *e)
{
	struct buf lock = BUF_EMPTY;
	struct stat st;
	enum err_code rc;

	*ch = (struct edit){ .lock = -1, .mode = 0600, .text = BUF_WITH_MAX(CONFIG_BYTES_MAX + 64 * KIB) };
	rc = edit_paths(given, ch, e);
	if (!rc)
		rc = buf_printf(&lock, e, "%s.lock", ch->path);
	if (!rc)
		rc = buf_append(&lock, span_of("", 1), e);
	if (!rc) {
		ch->lock = open((const char *)lock.ptr, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (ch->lock < 0 || flock(ch->lock, LOCK_EX) != 0)
			rc = err_sys(e, errno, "cannot lock %s", (const char *)lock.ptr);
	}
	buf_release(&lock);
	if (!rc && stat(ch->path, &st) == 0)
		ch->mode = st.st_mode & 0777;
	if (!rc)
		rc = buf_reserve(&ch->text, CONFIG_BYTES_MAX / 4, e); /* grows rarely: what it held is wiped */
	if (!rc) {
		rc = file_read(ch->path, CONFIG_BYTES_MAX, &ch->text, e);
		if (rc == ERR_NOT_FOUND)
			rc = ERR_OK;
	}
	return rc;
}

/* Only what can be read again is written. */
static enum err_code edit_finish(struct edit *ch, const struct buf *text, struct err *e)
{
	struct config *check = NULL;
	enum err_code rc = config_parse(buf_span(text), ch->path, !(ch->mode & 077), &check, e);

	config_free(&check);
	return rc ? rc : file_replace(ch->path, buf_span(text), ch->mode, true, e);
}

/* ---- login ---- */

enum { BROWSER_WAIT_MS = 10 * 60 * 1000 };

/* What the person is to do: at once, and also with --quiet. CODE may be NULL. */
static enum err_code put_task(struct cli *c, const struct account *a, const char *url, const char *code, struct err *e)
{
	struct line l = line_new(e);
	struct row r;
	enum err_code rc;

	if (c->g.json) {
		r = row_new("login");
		row_cstr(&r, "name", a->name);
		row_cstr(&r, "url", url);
		if (code)
			row_cstr(&r, "code", code);
		rc = row_put(&r, e);
	} else {
		line_printf(&l, "to let mailhold in to ");
		line_safe(&l, span_cstr(a->name));
		line_printf(&l, ", open in a browser%s\n  ", code ? ", on any computer," : " of this computer");
		line_safe(&l, span_cstr(url));
		if (code) {
			line_printf(&l, "\nand enter the code\n  ");
			line_safe(&l, span_cstr(code));
		}
		rc = line_put(&l);
	}
	line_release(&l);
	return rc ? rc : output_finish(e);
}

static enum err_code login_by_device(struct cli *c, const struct account *a, const struct oauth_client *client,
                                     struct oauth_tokens *out, struct err *e)
{
	struct oauth_device device;
	enum err_code rc = oauth_device_begin(client, &device, e);

	if (rc)
		return rc;
	rc = put_task(c, a, device.url, device.user_code, e);
	if (!rc)
		rc = oauth_device_wait(client, &device, out, e);
	oauth_device_wipe(&device);
	return rc;
}

static enum err_code login_by_browser(struct cli *c, const struct account *a, const struct oauth_client *client,
                                      struct oauth_tokens *out, struct err *e)
{
	struct oauth_browser *browser = NULL;
	enum err_code rc = oauth_browser_begin(client, &browser, e);

	if (!rc)
		rc = put_task(c, a, oauth_browser_url(browser), NULL, e);
	if (!rc)
		rc = oauth_browser_wait(browser, BROWSER_WAIT_MS, out, e);
	oauth_browser_free(&browser);
	return rc;
}

/* Gets tokens for A, which has a provider, and keeps them. */
static enum err_code log_in(struct cli *c, const struct account *a, struct err *e)
{
	struct oauth_tokens tokens = { 0 };
	struct secret *secret = NULL;
	struct oauth_client client;
	enum err_code rc = token_client(a, &client, &secret, e);

	if (!rc)
		rc = client.flow == OAUTH_DEVICE    ? login_by_device(c, a, &client, &tokens, e)
		     : client.flow == OAUTH_BROWSER ? login_by_browser(c, a, &client, &tokens, e)
		                                    : oauth_client_credentials(&client, &tokens, e);
	if (!rc && !tokens.refresh.len && client.flow != OAUTH_CLIENT_CREDENTIALS)
		cli_note(c, "the server gave no refresh token: this login ends with the access token, in %lld minutes",
		         (long long)(tokens.lives_ms / 60000));
	if (!rc)
		rc = token_keep(a, &client, &tokens, e);
	oauth_tokens_wipe(&tokens);
	secret_free(&secret);
	return rc ? err_note(e, "logging in to %s", text_name(span_cstr(a->name)).text) : ERR_OK;
}

static enum err_code need_oauth(struct cli *c, const struct text_list *words, const struct account **out, struct err *e)
{
	if (words->count != 2)
		return err_set(e, ERR_USAGE, "write: mailhold account %s NAME", words->items[0]);
	*out = config_find(c->config, words->items[1]);
	if (!*out)
		return err_set(e, ERR_NOT_FOUND, "the configuration has no account %s",
		               text_name(span_cstr(words->items[1])).text);
	if (!(*out)->provider)
		return err_set(e, ERR_USAGE, "the account %s has no oauth = …: it needs no login of its own",
		               text_name(span_cstr(words->items[1])).text);
	return account_check(*out, e);
}

static enum err_code login(struct cli *c, const struct text_list *words, struct err *e)
{
	const struct account *a;
	enum err_code rc = need_oauth(c, words, &a, e);

	if (!rc)
		rc = log_in(c, a, e);
	return rc ? rc : test_one(c, a, e);
}

static enum err_code logout(struct cli *c, const struct text_list *words, struct err *e)
{
	const struct account *a;
	bool found;
	enum err_code rc = need_oauth(c, words, &a, e);

	if (!rc)
		rc = token_forget(a, &found, e);
	if (!rc)
		cli_note(c, found ? "the tokens are gone from this computer; the provider's own page takes the "
		                    "permission back"
		                  : "there were no tokens");
	return rc;
}

/* ---- add ---- */

#define LINES_MAX 64

/* The lines of the account that the command line describes; PASSWORD (may be NULL) goes into the file. */
static enum err_code lines_of(const struct account *a, const char *password, struct config_line *lines, size_t *count,
                              struct err *e)
{
	const struct config_line fixed[] = { { "password-file", a->password_file },
		                             { "password-command", a->password_command },
		                             { "token-command", a->token_command },
		                             { "keyring", a->keyring },
		                             { "oauth", a->oauth },
		                             { "password", password },
		                             { "auth", a->auth },
		                             { "ca", a->ca_file },
		                             { "fingerprint", a->fingerprint },
		                             { "tls", a->tls } };
	size_t n = 0;

	if (a->sources.count + a->tags.count + ARRAY_LEN(fixed) > LINES_MAX)
		return err_set(e, ERR_USAGE, "these are too many sources and tags for one account");
	for (size_t i = 0; i < a->sources.count; i++)
		lines[n++] = (struct config_line){ "source", a->sources.items[i] };
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (fixed[i].value)
			lines[n++] = fixed[i];
	for (size_t i = 0; i < a->tags.count; i++)
		lines[n++] = (struct config_line){ "tag", a->tags.items[i] };
	*count = n;
	return ERR_OK;
}

static enum err_code write_account(struct cli *c, const struct account *a, const char *password, struct err *e)
{
	struct config_line lines[LINES_MAX];
	struct buf text = BUF_WITH_MAX(CONFIG_BYTES_MAX);
	struct edit ch;
	size_t count = 0;
	enum err_code rc = edit_begin(c->g.config, &ch, e);

	if (!rc)
		rc = lines_of(a, password, lines, &count, e);
	if (!rc)
		rc = buf_reserve(&text, ch.text.len + 64 * KIB, e);
	if (!rc)
		rc = config_add_account(buf_span(&ch.text), a->name, lines, count, &text, e);
	if (!rc && password)
		ch.mode &= 0700;
	if (!rc)
		rc = edit_finish(&ch, &text, e);
	if (!rc)
		cli_note(c, "written to %s", text_name(span_cstr(ch.path)).text);
	buf_wipe(&text);
	edit_end(&ch);
	return rc;
}

/* A path is written down as it is found from everywhere. */
static enum err_code absolute(const char *source, struct buf *out, struct err *e)
{
	static const char *const schemes[] = { "", "maildir:", "mbox:", "files:" };
	char real[PATH_MAX];
	const char *path = source, *scheme = "";
	enum err_code rc;

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (!strncmp(source, schemes[i], strlen(schemes[i]))) {
			scheme = schemes[i];
			path = source + strlen(scheme);
		}
	if (connector_is_server(source) || !realpath(path, real))
		rc = buf_printf(out, e, "%s", source);
	else
		rc = buf_printf(out, e, "%s%s", scheme, real);
	return rc ? rc : buf_append(out, span_of("", 1), e);
}

/* Asks for the password that the keyring or the file is to keep, and tries it. */
static enum err_code ask_password(const struct account *a, struct secret **out, struct err *e)
{
	char prompt[400];
	const struct source_secret from = { .environment = true, .prompt = prompt, .stop = &cli_stop };

	snprintf(prompt, sizeof prompt, "Password at %s: ", text_name(span_cstr(a->sources.items[0])).text);
	return secret_input_source(&from, out, e);
}

static enum err_code check_add(const struct cli *c, const struct values *v, const struct account *a, struct err *e)
{
	int secrets = !!v->password_file + !!v->password_command + !!v->token_command + !!v->oauth + v->keyring +
	              v->password_in_file;

	if (secrets > 1)
		return err_set(e, ERR_USAGE,
		               "give one of --source-password-file, --source-password-command, --source-token-command, "
		               "--oauth, --keyring and --password-in-file");
	if (a->oauth && !a->provider)
		return err_set(e, ERR_USAGE, "the configuration has no [oauth \"%s\"]",
		               text_name(span_cstr(a->oauth)).text);
	if (config_find(c->config, a->name))
		return err_set(e, ERR_EXISTS,
		               "the configuration has an account %s already (mailhold account remove %s)",
		               text_name(span_cstr(a->name)).text, text_name(span_cstr(a->name)).text);
	if (strpbrk(a->name, "/"))
		return err_set(e, ERR_USAGE,
		               "an account of the configuration has no '/' in its name: it would be a path");
	return account_check(a, e);
}

/* PASSWORD: as it will be kept elsewhere, for the try. */
static enum err_code try_account(struct cli *c, const struct account *a, const struct secret *password, struct err *e)
{
	struct account tried = *a;
	struct buf text = BUF_EMPTY;
	size_t collections;
	enum err_code rc = ERR_OK;

	if (password) {
		rc = buf_reserve(&text, PASSWORD_BYTES_MAX + 1, e);
		if (!rc)
			rc = buf_append(&text, secret_span(password), e);
		if (!rc)
			rc = buf_append(&text, span_of("", 1), e);
		tried.password = (const char *)text.ptr;
		tried.keyring = NULL;
	}
	for (size_t i = 0; !rc && i < a->sources.count; i++) {
		rc = try_source(&tried, a->sources.items[i], &collections, e);
		if (!rc)
			rc = tell_test(c, a, a->sources.items[i], collections, NULL, e);
	}
	buf_wipe(&text);
	return rc ? err_note(e, "it was not added; --no-test adds it all the same") : ERR_OK;
}

static enum err_code keep_account(struct cli *c, const struct values *v, const struct account *a, struct err *e)
{
	struct secret *password = NULL;
	struct buf text = BUF_EMPTY;
	enum err_code rc = v->keyring || v->password_in_file ? ask_password(a, &password, e) : ERR_OK;

	if (!rc && a->provider)
		rc = log_in(c, a, e);
	if (!rc && !v->no_test)
		rc = try_account(c, a, password, e);
	if (!rc && v->keyring)
		rc = keyring_put(a->name, password, e);
	if (!rc && v->password_in_file) {
		rc = buf_reserve(&text, PASSWORD_BYTES_MAX + 1, e);
		if (!rc)
			rc = buf_append(&text, secret_span(password), e);
		if (!rc)
			rc = buf_append(&text, span_of("", 1), e);
	}
	if (!rc)
		rc = write_account(c, a, v->password_in_file ? (const char *)text.ptr : NULL, e);
	buf_wipe(&text);
	secret_free(&password);
	return rc;
}

static enum err_code add(struct cli *c, const struct values *v, const struct text_list *words, struct err *e)
{
	struct account a = { .name = words->count > 1 ? words->items[1] : "",
		             .password_file = v->password_file,
		             .password_command = v->password_command,
		             .token_command = v->token_command,
		             .keyring = v->keyring ? "yes" : NULL,
		             .oauth = v->oauth,
		             .provider = v->oauth ? config_find_oauth(c->config, v->oauth) : NULL,
		             .token_key = config_tokens(c->config),
		             .auth = v->auth,
		             .ca_file = v->ca_file,
		             .fingerprint = v->fingerprint,
		             .tls = v->tls,
		             .tags = v->tags };
	struct buf source = BUF_EMPTY;
	enum err_code rc;

	if (words->count != 3)
		return err_set(e, ERR_USAGE, "write: mailhold account add NAME SOURCE");
	rc = account_name_check(a.name, e);
	if (!rc)
		rc = absolute(words->items[2], &source, e);
	if (!rc)
		rc = text_list_add(&a.sources, (const char *)source.ptr, e);
	if (!rc)
		rc = check_add(c, v, &a, e);
	if (!rc)
		rc = keep_account(c, v, &a, e);
	text_list_release(&a.sources);
	buf_release(&source);
	return rc;
}

/* ---- remove ---- */

static enum err_code remove_account(struct cli *c, const struct text_list *words, struct err *e)
{
	struct buf text = BUF_WITH_MAX(CONFIG_BYTES_MAX);
	const struct account *a;
	struct edit ch;
	bool found = false;
	enum err_code rc;

	if (words->count != 2)
		return err_set(e, ERR_USAGE, "write: mailhold account remove NAME");
	a = config_find(c->config, words->items[1]);
	rc = edit_begin(c->g.config, &ch, e);
	if (!rc)
		rc = buf_reserve(&text, ch.text.len + 1, e);
	if (!rc)
		rc = config_remove_account(buf_span(&ch.text), words->items[1], &text, &found, e);
	if (!rc && !found)
		rc = err_set(e, ERR_NOT_FOUND, "the configuration has no account %s",
		             text_name(span_cstr(words->items[1])).text);
	if (!rc)
		rc = edit_finish(&ch, &text, e);
	buf_wipe(&text);
	edit_end(&ch);
	if (!rc && a && a->keyring && !strcmp(a->keyring, "yes"))
		rc = keyring_remove(a->name, e);
	if (!rc && a && a->provider)
		rc = token_forget(a, &found, e);
	if (!rc)
		cli_note(c, "the account %s is gone from the configuration; its snapshots stay as they are",
		         text_name(span_cstr(words->items[1])).text);
	return rc;
}

/* ---- dispatch ---- */

static enum err_code check_options(const char *action, const struct values *v, struct err *e)
{
	bool of_add = v->password_file || v->password_command || v->token_command || v->auth || v->ca_file ||
	              v->fingerprint || v->tls || v->oauth || v->tags.count || v->keyring || v->password_in_file ||
	              v->no_test;

	if ((of_add && strcmp(action, "add") != 0) || (v->all && strcmp(action, "test") != 0))
		return err_set(e, ERR_USAGE, "account %s does not take one of these options", action);
	return ERR_OK;
}

static enum err_code run(struct cli *c, const void *values, const struct text_list *words, struct err *e)
{
	static const char *const actions[] = { "list", "add", "test", "remove", "login", "logout" };
	const struct values *v = values;
	const char *action = words->items[0];
	size_t which = 0;
	enum err_code rc;

	while (which < ARRAY_LEN(actions) && strcmp(actions[which], action) != 0)
		which++;
	if (which == ARRAY_LEN(actions))
		return err_set(e, ERR_USAGE, "account does not know '%s': list, add, test, remove, login or logout",
		               text_name(span_cstr(action)).text);
	rc = check_options(action, v, e);
	if (!rc)
		rc = cli_config(c, e);
	if (rc)
		return rc;
	switch (which) {
	case 0:
		return words->count > 1 ? err_set(e, ERR_USAGE, "write: mailhold account list") : list(c, e);
	case 1:
		return add(c, v, words, e);
	case 2:
		return test(c, v, words, e);
	case 3:
		return remove_account(c, words, e);
	case 4:
		return login(c, words, e);
	default:
		return logout(c, words, e);
	}
}

const struct command command_account = {
	.name = "account",
	.words = "list|add NAME SOURCE|test NAME...|remove NAME|login NAME|logout NAME",
	.summary = "keep accounts in the configuration, for snapshot NAME and --all",
	.details = "list    the accounts of the configuration file, and where each one's secret comes from\n"
	           "add     one more, after logging in to see that it works. The secret stays where it is\n"
	           "        (--source-password-file, -command, --source-token-command), or goes into the keyring "
	           "(--keyring);\n"
	           "        without any of these each run asks. --password-in-file writes it into the configuration, "
	           "which nobody else may read then\n"
	           "test    logs in and counts the folders; nothing is read\n"
	           "remove  from the configuration; its snapshots stay\n",
	.examples =
	        "mailhold account add ann imaps://ann@imap.example.org --source-password-command \"pass mail/ann\"\n"
	        "mailhold account add bob ~bob/Maildir\nmailhold account test --all\nmailhold snapshot --all",
	.options = options,
	.option_count = ARRAY_LEN(options),
	.words_min = 1,
	.words_max = WORDS_ANY,
	.run = run,
};
