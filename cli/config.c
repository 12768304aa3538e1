#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account_name.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#define READ_STEP (64 * KIB) /* what file_read asks for at once */

struct config {
	struct buf text; /* the file; every string points into it */
	struct config_repository repository;
	struct config_tokens tokens;
	struct config_oauth *oauths;
	size_t oauth_count, oauth_capacity;
	struct account all; /* of [account] without a name: what the others begin with */
	struct account *accounts;
	size_t count, capacity;
};

/* ---- lines ---- */

enum line_kind { LINE_NOTHING = 1, LINE_COMMENT, LINE_SECTION, LINE_VALUE };

/* One line, taken apart; the spans point into it. */
struct line_parts {
	enum line_kind kind;
	struct span section, name; /* NAME as it is written, with backslashes; its PTR is NULL for [section] */
	struct span key, value;
};

/* The place of a line for messages. */
struct where {
	const char *file;
	size_t line;
};

static enum err_code bad_line(const struct where *at, const char *what, struct err *e)
{
	return err_set(e, ERR_USAGE, "%s, line %zu: %s", text_name(span_cstr(at->file)).text, at->line, what);
}

static bool is_blank(uint8_t b)
{
	return b == ' ' || b == '\t' || b == '\r';
}

static struct span trimmed(struct span s)
{
	while (s.len && is_blank(s.ptr[0]))
		s = span_skip(s, 1);
	while (s.len && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

static size_t word_length(struct span s)
{
	size_t n = 0;

	while (n < s.len && ((s.ptr[n] >= 'a' && s.ptr[n] <= 'z') || (s.ptr[n] >= 'A' && s.ptr[n] <= 'Z') ||
	                     (s.ptr[n] >= '0' && s.ptr[n] <= '9') || s.ptr[n] == '-'))
		n++;
	return n;
}

/* TEXT begins behind '['. */
static enum err_code split_section(struct span text, const struct where *at, struct line_parts *out, struct err *e)
{
	out->section = span_first(text, word_length(text));
	text = trimmed(span_skip(text, out->section.len));
	if (text.len && text.ptr[0] == '"') {
		size_t n = 1;

		while (n < text.len && text.ptr[n] != '"')
			n += text.ptr[n] == '\\' ? 2 : 1;
		if (n >= text.len)
			return bad_line(at, "the name has no closing '\"'", e);
		out->name = span_of(text.ptr + 1, n - 1);
		text = trimmed(span_skip(text, n + 1));
	}
	if (!out->section.len || !span_equal(text, SPAN_LIT("]")))
		return bad_line(at, "a section is written [name] or [name \"of what\"], on a line of its own", e);
	out->kind = LINE_SECTION;
	return ERR_OK;
}

static enum err_code split_line(struct span line, const struct where *at, struct line_parts *out, struct err *e)
{
	struct span rest;

	*out = (struct line_parts){ .kind = LINE_NOTHING };
	if (line.len > CONFIG_LINE_BYTES_MAX)
		return bad_line(at, "it is longer than 8 KiB", e);
	if (!text_is_utf8(line) || (line.len && memchr(line.ptr, 0, line.len)))
		return bad_line(at, "it is not UTF-8 text", e);
	line = trimmed(line);
	if (!line.len)
		return ERR_OK;
	if (line.ptr[0] == '#' || line.ptr[0] == ';') {
		out->kind = LINE_COMMENT;
		return ERR_OK;
	}
	if (line.ptr[0] == '[')
		return split_section(span_skip(line, 1), at, out, e);
	out->key = span_first(line, word_length(line));
	rest = trimmed(span_skip(line, out->key.len));
	if (!out->key.len || !rest.len || rest.ptr[0] != '=')
		return bad_line(at, "neither [section], nor key = value, nor a comment", e);
	out->kind = LINE_VALUE;
	out->value = trimmed(span_skip(rest, 1));
	for (size_t i = 0; i < out->value.len; i++)
		if (out->value.ptr[i] < ' ' && out->value.ptr[i] != '\t')
			return bad_line(at, "it holds a control character", e);
	return ERR_OK;
}

/* The next line of *TEXT, without its end. */
static bool next_line(struct span *text, struct span *line)
{
	const uint8_t *end;

	if (!text->len)
		return false;
	end = memchr(text->ptr, '\n', text->len);
	*line = span_of(text->ptr, end ? (size_t)(end - text->ptr) : text->len);
	*text = span_skip(*text, line->len + 1);
	return true;
}

/* A span into our own text as a string, in place: the byte behind it is an end of line, a '"' or a ']'. */
static const char *in_place(struct config *c, struct span s)
{
	char *at;

	if (!s.len)
		return ""; /* it may point nowhere */
	at = (char *)c->text.ptr + (s.ptr - c->text.ptr);
	at[s.len] = 0;
	return at;
}

/* The same for a name, without its backslashes. */
static const char *name_in_place(struct config *c, struct span s)
{
	char *at = (char *)c->text.ptr + (s.ptr - c->text.ptr);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (at[i] == '\\' && i + 1 < s.len)
			i++;
		at[n++] = at[i];
	}
	at[n] = 0;
	return at;
}

/* ---- what keys mean ---- */

enum key_kind { KEY_TEXT, KEY_LIST, KEY_BOOL };
struct key {
	const char *name;
	enum key_kind kind;
	bool secret; /* one of those that say where the secret is: a later one takes the place of a default */
	size_t offset;
};

#define OF_ACCOUNT(field) offsetof(struct account, field)
static const struct key account_keys[] = {
	{ "source", KEY_LIST, false, OF_ACCOUNT(sources) },
	{ "password-file", KEY_TEXT, true, OF_ACCOUNT(password_file) },
	{ "password-command", KEY_TEXT, true, OF_ACCOUNT(password_command) },
	{ "password", KEY_TEXT, true, OF_ACCOUNT(password) },
	{ "token-command", KEY_TEXT, true, OF_ACCOUNT(token_command) },
	{ "keyring", KEY_TEXT, true, OF_ACCOUNT(keyring) },
	{ "oauth", KEY_TEXT, true, OF_ACCOUNT(oauth) },
	{ "auth", KEY_TEXT, false, OF_ACCOUNT(auth) },
	{ "tls", KEY_TEXT, false, OF_ACCOUNT(tls) },
	{ "fingerprint", KEY_TEXT, false, OF_ACCOUNT(fingerprint) },
	{ "ca", KEY_TEXT, false, OF_ACCOUNT(ca_file) },
	{ "compress", KEY_TEXT, false, OF_ACCOUNT(compress) },
	{ "connections", KEY_TEXT, false, OF_ACCOUNT(connections) },
	{ "wait", KEY_TEXT, false, OF_ACCOUNT(wait) },
	{ "max-rate", KEY_TEXT, false, OF_ACCOUNT(max_rate) },
	{ "quiet-hours", KEY_TEXT, false, OF_ACCOUNT(quiet_hours) },
	{ "compression", KEY_TEXT, false, OF_ACCOUNT(compression) },
	{ "tag", KEY_LIST, false, OF_ACCOUNT(tags) },
	{ "paused", KEY_BOOL, false, OF_ACCOUNT(paused) },
};

#define OF_REPOSITORY(field) offsetof(struct config_repository, field)
static const struct key repository_keys[] = {
	{ "url", KEY_TEXT, false, OF_REPOSITORY(url) },
	{ "key-file", KEY_TEXT, true, OF_REPOSITORY(key_file) },
	{ "password-file", KEY_TEXT, true, OF_REPOSITORY(password_file) },
	{ "password-command", KEY_TEXT, true, OF_REPOSITORY(password_command) },
	{ "cache-folder", KEY_TEXT, false, OF_REPOSITORY(cache_folder) },
};

#define OF_OAUTH(field) offsetof(struct config_oauth, field)
static const struct key oauth_keys[] = {
	{ "preset", KEY_TEXT, false, OF_OAUTH(provider.preset) },
	{ "tenant", KEY_TEXT, false, OF_OAUTH(provider.tenant) },
	{ "client-id", KEY_TEXT, false, OF_OAUTH(provider.client_id) },
	{ "client-secret", KEY_TEXT, true, OF_OAUTH(client_secret) },
	{ "client-secret-file", KEY_TEXT, true, OF_OAUTH(client_secret_file) },
	{ "client-secret-command", KEY_TEXT, true, OF_OAUTH(client_secret_command) },
	{ "flow", KEY_TEXT, false, OF_OAUTH(provider.flow) },
	{ "scope", KEY_TEXT, false, OF_OAUTH(provider.scope) },
	{ "authorization-url", KEY_TEXT, false, OF_OAUTH(provider.authorization_url) },
	{ "token-url", KEY_TEXT, false, OF_OAUTH(provider.token_url) },
	{ "device-url", KEY_TEXT, false, OF_OAUTH(provider.device_url) },
	{ "ca", KEY_TEXT, false, OF_OAUTH(provider.ca_file) },
};

#define OF_TOKENS(field) offsetof(struct config_tokens, field)
static const struct key token_keys[] = {
	{ "key-file", KEY_TEXT, false, OF_TOKENS(key_file) },
	{ "keyring", KEY_BOOL, false, OF_TOKENS(keyring) },
};

struct key_table {
	const struct key *keys;
	size_t count;
};
static const struct key_table account_table = { account_keys, ARRAY_LEN(account_keys) };
static const struct key_table repository_table = { repository_keys, ARRAY_LEN(repository_keys) };
static const struct key_table oauth_table = { oauth_keys, ARRAY_LEN(oauth_keys) };
static const struct key_table token_table = { token_keys, ARRAY_LEN(token_keys) };

static const char *get_text(const void *values, const struct key *k)
{
	return *(const char *const *)(const void *)((const char *)values + k->offset);
}

static void set_text(void *values, const struct key *k, const char *value)
{
	*(const char **)(void *)((char *)values + k->offset) = value;
}

static const struct key *find_key(const struct key_table *t, struct span name)
{
	for (size_t i = 0; i < t->count; i++)
		if (text_equal_nocase(name, span_cstr(t->keys[i].name)))
			return &t->keys[i];
	return NULL;
}

static enum err_code unknown_key(const struct key_table *t, struct span name, const struct where *at, struct err *e)
{
	char typed[40], text[200];
	const char *near = NULL;
	size_t best = 3;

	snprintf(typed, sizeof typed, "%.*s", (int)(name.len < sizeof typed ? name.len : sizeof typed - 1),
	         (const char *)name.ptr);
	for (size_t i = 0; i < t->count; i++) {
		size_t distance = text_distance(t->keys[i].name, typed);

		if (distance < best) {
			best = distance;
			near = t->keys[i].name;
		}
	}
	snprintf(text, sizeof text, "there is no key '%s' in this section%s%s%s", typed, near ? " (did you mean " : "",
	         near ? near : "", near ? "?)" : "");
	return bad_line(at, text, e);
}

static bool bool_of(const char *value, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = { { "yes", true }, { "true", true },   { "on", true },   { "1", true },
		      { "no", false }, { "false", false }, { "off", false }, { "0", false } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (text_equal_nocase(span_cstr(value), span_cstr(words[i].word))) {
			*out = words[i].value;
			return true;
		}
	return false;
}

/* One secret from the defaults gives way to one of the account's own; two of the same section contradict each other. */
static enum err_code replace_secret(const struct key_table *t, void *values, const void *defaults, const struct key *k,
                                    const struct where *at, struct err *e)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct key *other = &t->keys[i];
		const char *there = other->secret ? get_text(values, other) : NULL;

		if (!there || other == k)
			continue;
		if (!defaults || there != get_text(defaults, other))
			return bad_line(at, "this section says already where the secret is", e);
		set_text(values, other, NULL);
	}
	return ERR_OK;
}

/* DEFAULTS: what VALUES began with; NULL: nothing. A list of its own takes the place of the default one. */
static enum err_code set_key(const struct key_table *t, void *values, const void *defaults, const struct key *k,
                             const char *value, const struct where *at, struct err *e)
{
	struct text_list *list = (struct text_list *)(void *)((char *)values + k->offset);
	const struct text_list *was =
	        defaults ? (const struct text_list *)(const void *)((const char *)defaults + k->offset) : NULL;

	if (!*value)
		return bad_line(at, "there is nothing behind the '='", e);
	switch (k->kind) {
	case KEY_BOOL:
		if (!bool_of(value, (bool *)((char *)values + k->offset)))
			return bad_line(at, "say yes or no", e);
		return ERR_OK;
	case KEY_LIST:
		if (was && list->items == was->items)
			*list = (struct text_list){ NULL, 0 };
		return text_list_add(list, value, e);
	default:
		if (get_text(values, k) && (!defaults || get_text(values, k) != get_text(defaults, k)))
			return bad_line(at, "this section has that key already", e);
		set_text(values, k, value);
		return k->secret ? replace_secret(t, values, defaults, k, at, e) : ERR_OK;
	}
}

/* ---- sections ---- */

/* Where the values of the section being read go. */
struct target {
	const struct key_table *table;
	void *values;
	const void *defaults;
};

static struct account *find(struct config *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (!strcmp(c->accounts[i].name, name))
			return &c->accounts[i];
	return NULL;
}

static enum err_code begin_account(struct config *c, const char *name, const struct where *at, struct target *out,
                                   struct err *e)
{
	struct account *grown;
	enum err_code rc = account_name_check(name, e);

	if (rc)
		return bad_line(at, "that is no name for an account: it has 1 to 255 bytes, no ':' and no '#'", e);
	if (find(c, name))
		return bad_line(at, "there is an account of this name already", e);
	if (c->count == CONFIG_ACCOUNTS_MAX)
		return bad_line(at, "there are more than 10,000 accounts", e);
	if (c->count == c->capacity) {
		c->capacity = c->capacity ? 2 * c->capacity : 16;
		grown = mem_grow(c->accounts, c->capacity * sizeof *grown);
		if (!grown)
			return err_no_memory(e, c->capacity * sizeof *grown);
		c->accounts = grown;
	}
	c->accounts[c->count] = c->all;
	c->accounts[c->count].name = name;
	*out = (struct target){ &account_table, &c->accounts[c->count], &c->all };
	c->count++;
	return ERR_OK;
}

static enum err_code begin_oauth(struct config *c, const char *name, const struct where *at, struct target *out,
                                 struct err *e)
{
	struct config_oauth *grown;

	if (!*name || config_find_oauth(c, name))
		return bad_line(at, "a provider needs a name of its own", e);
	if (c->oauth_count == c->oauth_capacity) {
		c->oauth_capacity = c->oauth_capacity ? 2 * c->oauth_capacity : 4;
		grown = mem_grow(c->oauths, c->oauth_capacity * sizeof *grown);
		if (!grown)
			return err_no_memory(e, c->oauth_capacity * sizeof *grown);
		c->oauths = grown;
	}
	c->oauths[c->oauth_count] = (struct config_oauth){ .name = name };
	*out = (struct target){ &oauth_table, &c->oauths[c->oauth_count], NULL };
	c->oauth_count++;
	return ERR_OK;
}

static enum err_code begin_section(struct config *c, const struct line_parts *p, const struct where *at,
                                   struct target *out, struct err *e)
{
	bool named = p->name.ptr != NULL;

	if (text_equal_nocase(p->section, SPAN_LIT("repository")) && !named)
		*out = (struct target){ &repository_table, &c->repository, NULL };
	else if (text_equal_nocase(p->section, SPAN_LIT("tokens")) && !named)
		*out = (struct target){ &token_table, &c->tokens, NULL };
	else if (text_equal_nocase(p->section, SPAN_LIT("oauth")) && named)
		return begin_oauth(c, name_in_place(c, p->name), at, out, e);
	else if (text_equal_nocase(p->section, SPAN_LIT("account")) && named)
		return begin_account(c, name_in_place(c, p->name), at, out, e);
	else if (text_equal_nocase(p->section, SPAN_LIT("account")) && c->count)
		return bad_line(at, "[account] says what all accounts begin with: it stands before the first of them",
		                e);
	else if (text_equal_nocase(p->section, SPAN_LIT("account")))
		*out = (struct target){ &account_table, &c->all, NULL };
	else
		return bad_line(
		        at, "the sections are [repository], [account], [account \"NAME\"], [oauth \"NAME\"], [tokens]",
		        e);
	return ERR_OK;
}

static enum err_code take_value(struct config *c, const struct line_parts *p, const struct target *to, bool private,
                                const struct where *at, struct err *e)
{
	const struct key *k;

	if (!to->table)
		return bad_line(at, "it stands before the first [section]", e);
	k = find_key(to->table, p->key);
	if (!k)
		return unknown_key(to->table, p->key, at, e);
	if ((!strcmp(k->name, "password") || !strcmp(k->name, "client-secret")) && !private)
		return bad_line(at,
		                "a password in a file that others can read; chmod 600 it, and better keep the password "
		                "elsewhere (password-command, password-file, keyring)",
		                e);
	if (k->kind == KEY_LIST && to->values == &c->all && k->offset == OF_ACCOUNT(sources))
		return bad_line(at, "what all accounts begin with has no source", e);
	return set_key(to->table, to->values, to->defaults, k, in_place(c, p->value), at, e);
}

/* What can only be judged when the file is read. */
static enum err_code finish_account(const struct config *c, struct account *a, const char *file, struct err *e)
{
	a->token_key = &c->tokens;
	a->provider = a->oauth ? config_find_oauth(c, a->oauth) : NULL;
	if (a->oauth && !a->provider)
		return err_set(e, ERR_USAGE, "%s: the account %s has oauth = %s, and there is no [oauth \"%s\"]",
		               text_name(span_cstr(file)).text, text_name(span_cstr(a->name)).text,
		               text_name(span_cstr(a->oauth)).text, text_name(span_cstr(a->oauth)).text);
	if (!a->sources.count)
		return err_set(e, ERR_USAGE, "%s: the account %s has no source", text_name(span_cstr(file)).text,
		               text_name(span_cstr(a->name)).text);
	return ERR_OK;
}

enum err_code config_parse(struct span text, const char *name, bool private, struct config **out, struct err *e)
{
	struct config *c = mem_zalloc(1, sizeof *c);
	struct where at = { name, 0 };
	struct target to = { NULL, NULL, NULL };
	struct span left, line;
	enum err_code rc;

	if (!c)
		return err_no_memory(e, sizeof *c);
	c->text.max = CONFIG_BYTES_MAX + READ_STEP;
	rc = buf_reserve(&c->text, text.len + 1, e);
	if (!rc && text.len)
		rc = buf_append(&c->text, text, e);
	left = buf_span(&c->text);
	while (!rc && next_line(&left, &line)) {
		struct line_parts p;

		at.line++;
		rc = split_line(line, &at, &p, e);
		if (!rc && p.kind == LINE_SECTION)
			rc = begin_section(c, &p, &at, &to, e);
		else if (!rc && p.kind == LINE_VALUE)
			rc = take_value(c, &p, &to, private, &at, e);
	}
	for (size_t i = 0; !rc && i < c->count; i++)
		rc = finish_account(c, &c->accounts[i], name, e);
	if (rc) {
		config_free(&c);
		return rc;
	}
	*out = c;
	return ERR_OK;
}

void config_free(struct config **c)
{
	if (!*c)
		return;
	for (size_t i = 0; i < (*c)->count; i++) {
		text_list_release(&(*c)->accounts[i].sources);
		if ((*c)->accounts[i].tags.items != (*c)->all.tags.items)
			text_list_release(&(*c)->accounts[i].tags);
	}
	text_list_release(&(*c)->all.tags);
	mem_free((*c)->accounts);
	mem_free((*c)->oauths);
	buf_wipe(&(*c)->text);
	mem_free(*c);
	*c = NULL;
}

const struct config_repository *config_repository(const struct config *c)
{
	return &c->repository;
}

size_t config_account_count(const struct config *c)
{
	return c->count;
}

const struct account *config_account(const struct config *c, size_t i)
{
	return &c->accounts[i];
}

const struct account *config_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (!strcmp(c->accounts[i].name, name))
			return &c->accounts[i];
	return NULL;
}

const struct config_oauth *config_find_oauth(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->oauth_count; i++)
		if (!strcmp(c->oauths[i].name, name))
			return &c->oauths[i];
	return NULL;
}

const struct config_tokens *config_tokens(const struct config *c)
{
	return &c->tokens;
}

/* ---- the file ---- */

enum err_code config_path(const char *given, struct buf *out, struct err *e)
{
	const char *from = given ? given : getenv("MAILHOLD_CONFIG");
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	enum err_code rc;

	if (from && *from)
		rc = buf_printf(out, e, "%s", from);
	else if (xdg && xdg[0] == '/')
		rc = buf_printf(out, e, "%s/mailhold/config", xdg);
	else if (home && home[0] == '/')
		rc = buf_printf(out, e, "%s/.config/mailhold/config", home);
	else
		return err_set(e, ERR_USAGE,
		               "there is no place for a configuration file: HOME is not set (use --config)");
	return rc ? rc : buf_append(out, span_of("", 1), e);
}

enum err_code config_open(const char *given, struct config **out, struct err *e)
{
	const char *named = given ? given : getenv("MAILHOLD_CONFIG");
	struct buf path = BUF_EMPTY, text = BUF_WITH_MAX(CONFIG_BYTES_MAX + READ_STEP);
	struct stat st = { 0 };
	const char *file;
	enum err_code rc = config_path(given, &path, e);

	if (rc) {
		/* Nobody needs a file that nobody named. */
		buf_release(&path);
		return rc == ERR_USAGE ? config_parse(SPAN_EMPTY, "", true, out, e) : rc;
	}
	file = (const char *)path.ptr;
	/* One reservation: what the file holds is not left behind by growing. */
	if (stat(file, &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size < CONFIG_BYTES_MAX)
		rc = buf_reserve(&text, (size_t)st.st_size + 2 * READ_STEP, e);
	if (!rc)
		rc = file_read(file, CONFIG_BYTES_MAX, &text, e);
	if (rc == ERR_NOT_FOUND && !(named && *named))
		rc = ERR_OK;
	else if (rc)
		err_note(e, "reading the configuration");
	if (!rc)
		rc = config_parse(buf_span(&text), file, !(st.st_mode & 077), out, e);
	buf_wipe(&text);
	buf_release(&path);
	return rc;
}

/* ---- changing it ---- */

static enum err_code put_quoted(struct buf *out, const char *name, struct err *e)
{
	enum err_code rc = buf_append(out, SPAN_LIT("\""), e);

	for (; !rc && *name; name++) {
		if (*name == '"' || *name == '\\')
			rc = buf_append(out, SPAN_LIT("\\"), e);
		if (!rc)
			rc = buf_append(out, span_of(name, 1), e);
	}
	return rc ? rc : buf_append(out, SPAN_LIT("\""), e);
}

static bool fits_a_line(const char *value)
{
	struct span s = span_cstr(value);

	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < ' ')
			return false;
	return s.len && s.len < CONFIG_LINE_BYTES_MAX - 64 && text_is_utf8(s) && !is_blank(s.ptr[0]) &&
	       !is_blank(s.ptr[s.len - 1]);
}

enum err_code config_add_account(struct span text, const char *name, const struct config_line *lines, size_t count,
                                 struct buf *out, struct err *e)
{
	bool ended = !text.len || text.ptr[text.len - 1] == '\n';
	enum err_code rc = buf_append(out, text, e);

	if (!rc)
		rc = buf_printf(out, e, "%s%s[account ", ended ? "" : "\n", text.len ? "\n" : "");
	if (!rc)
		rc = put_quoted(out, name, e);
	if (!rc)
		rc = buf_append(out, SPAN_LIT("]\n"), e);
	for (size_t i = 0; !rc && i < count; i++) {
		if (!fits_a_line(lines[i].value))
			rc = err_set(
			        e, ERR_USAGE,
			        "the value of %s cannot stand in the configuration: it is empty, too long, no UTF-8, "
			        "or holds a line end or spaces at an end",
			        lines[i].key);
		if (!rc)
			rc = buf_printf(out, e, "\t%s = %s\n", lines[i].key, lines[i].value);
	}
	return rc;
}

/* NAME as it stands between the quotes, with backslashes. */
static bool is_named(struct span written, const char *name)
{
	for (size_t i = 0; i < written.len; i++, name++) {
		if (written.ptr[i] == '\\' && i + 1 < written.len)
			i++;
		if ((uint8_t)*name != written.ptr[i] || !*name)
			return false;
	}
	return !*name;
}

/* What a removal has seen so far. */
struct removal {
	const char *name;
	struct buf *out;
	bool inside;          /* of a section that goes */
	size_t comments;      /* where in OUT the comments begin that stand right before this line; SIZE_MAX: none */
	struct span trailing; /* comments at the end of the section that goes: they may belong to the next one */
};

static enum err_code remove_line(struct removal *r, struct span line, const struct line_parts *p, bool *found,
                                 struct err *e)
{
	enum err_code rc = ERR_OK;

	if (p->kind == LINE_SECTION) {
		bool goes =
		        text_equal_nocase(p->section, SPAN_LIT("account")) && p->name.ptr && is_named(p->name, r->name);

		if (r->inside && !goes)
			rc = buf_append(r->out, r->trailing, e);
		else if (goes && r->comments != SIZE_MAX)
			r->out->len = r->comments;
		r->inside = goes;
		r->trailing = SPAN_EMPTY;
		*found |= goes;
	} else if (r->inside && p->kind == LINE_VALUE) {
		r->trailing = SPAN_EMPTY;
	} else if (r->inside && (r->trailing.len || p->kind == LINE_COMMENT)) {
		r->trailing = r->trailing.len ? span_of(r->trailing.ptr, r->trailing.len + line.len) : line;
	}
	if (p->kind != LINE_COMMENT)
		r->comments = SIZE_MAX;
	else if (r->comments == SIZE_MAX)
		r->comments = r->out->len;
	return rc || r->inside ? rc : buf_append(r->out, line, e);
}

enum err_code config_remove_account(struct span text, const char *name, struct buf *out, bool *found, struct err *e)
{
	struct removal r = { .name = name, .out = out, .comments = SIZE_MAX };
	struct where at = { "the configuration", 0 };
	struct span left = text, line;
	enum err_code rc = ERR_OK;

	*found = false;
	while (!rc && next_line(&left, &line)) {
		struct line_parts p;

		at.line++;
		rc = split_line(line, &at, &p, e);
		line.len += line.ptr + line.len < text.ptr + text.len; /* its end */
		if (!rc)
			rc = remove_line(&r, line, &p, found, e);
	}
	if (!rc && r.inside)
		rc = buf_append(out, r.trailing, e);
	return rc;
}
