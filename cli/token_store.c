#include "token_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/rd.h"
#include "base/text.h"
#include "base/wr.h"
#include "command.h"
#include "keyring.h"
#include "secret_input.h"

#define MAGIC           "mailhold tokens 1\n"
#define SPARE_MS        60000 /* a token that ends sooner is not given out */
#define FILE_BYTES_MAX  (64 * KIB)
#define NAME_HASH_BYTES 16
#define KEYRING_NAME    "token key"

/* ---- where ---- */

static enum err_code state_path(const char *name, struct buf *out, struct err *e)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	enum err_code rc;

	if (state && state[0] == '/')
		rc = buf_printf(out, e, "%s/mailhold/%s", state, name);
	else if (home && home[0] == '/')
		rc = buf_printf(out, e, "%s/.local/state/mailhold/%s", home, name);
	else
		return err_set(e, ERR_USAGE, "no place for tokens: HOME is not set");
	return rc ? rc : buf_append(out, span_of("", 1), e);
}

/* tokens/HASH: names of accounts may hold anything. */
static enum err_code token_path(const struct account *a, const char *suffix, struct buf *out, struct err *e)
{
	uint8_t hash[NAME_HASH_BYTES];
	char hex[2 * NAME_HASH_BYTES + 1], name[80];

	crypto_digest(span_cstr(a->name), hash, sizeof hash);
	text_hex(span_of(hash, sizeof hash), hex);
	snprintf(name, sizeof name, "tokens/%s%s", hex, suffix);
	return state_path(name, out, e);
}

static enum err_code make_folder(struct err *e)
{
	struct buf path = BUF_EMPTY;
	enum err_code rc = state_path("tokens", &path, e);

	if (!rc)
		rc = file_make_folders((const char *)path.ptr, 0700, e);
	buf_release(&path);
	return rc;
}

/* ---- the key ---- */

static enum err_code read_key(const char *path, struct secret **out, struct err *e)
{
	struct buf text = BUF_EMPTY;
	struct stat st;
	enum err_code rc = buf_reserve(&text, 256 * KIB, e); /* it never moves, so that wiping it is enough */

	if (!rc)
		rc = file_read(path, 4 * KIB, &text, e);
	if (!rc && stat(path, &st) == 0 && (st.st_mode & 077))
		rc = err_set(e, ERR_DENIED, "%s can be read by others (chmod 600)", text_name(span_cstr(path)).text);
	if (!rc)
		rc = key_file_decode(buf_span(&text), out, e);
	buf_wipe(&text);
	return rc;
}

static enum err_code new_key(struct secret **out, char text[2 * SECRET_KEY_BYTES + 2], struct err *e)
{
	uint8_t key[SECRET_KEY_BYTES];
	enum err_code rc;

	crypto_random(key, sizeof key);
	text_hex(span_of(key, sizeof key), text);
	memcpy(text + 2 * SECRET_KEY_BYTES, "\n", 2);
	rc = secret_new(span_of(key, sizeof key), out, e);
	explicit_bzero(key, sizeof key);
	return rc;
}

/* Of two that begin at once, one wins, and both use the winner's. */
static enum err_code make_key(const char *path, struct secret **out, struct err *e)
{
	char text[2 * SECRET_KEY_BYTES + 2];
	struct secret *made = NULL;
	enum err_code rc = make_folder(e);

	if (!rc)
		rc = new_key(&made, text, e);
	if (!rc)
		rc = file_create(path, span_cstr(text), 0600, e);
	if (rc == ERR_EXISTS)
		rc = ERR_OK;
	secret_free(&made);
	explicit_bzero(text, sizeof text);
	return rc ? rc : read_key(path, out, e);
}

static enum err_code keyring_key(bool make, struct secret **out, struct err *e)
{
	char text[2 * SECRET_KEY_BYTES + 2];
	struct secret *held = NULL, *made = NULL;
	enum err_code rc = keyring_get(KEYRING_NAME, &held, e);

	if (rc == ERR_NOT_FOUND && make) {
		rc = new_key(&made, text, e);
		text[2 * SECRET_KEY_BYTES] = 0;
		if (!rc)
			rc = secret_new(span_cstr(text), &held, e);
		if (!rc)
			rc = keyring_put(KEYRING_NAME, held, e);
		explicit_bzero(text, sizeof text);
	}
	if (!rc)
		rc = key_file_decode(secret_span(held), out, e);
	secret_free(&made);
	secret_free(&held);
	return rc;
}

static enum err_code get_key(const struct account *a, bool make, struct secret **out, struct err *e)
{
	const struct config_tokens *t = a->token_key;
	struct buf path = BUF_EMPTY;
	enum err_code rc;

	if (t && t->keyring)
		return keyring_key(make, out, e);
	rc = t && t->key_file ? buf_printf(&path, e, "%s%c", t->key_file, 0) : state_path("token.key", &path, e);
	if (!rc)
		rc = read_key((const char *)path.ptr, out, e);
	if (rc == ERR_NOT_FOUND && make)
		rc = make_key((const char *)path.ptr, out, e);
	buf_release(&path);
	return rc ? err_note(e, "getting the key of the tokens") : ERR_OK;
}

/* ---- the files ---- */

/* What a token file is for: of another client or server it does not open. */
static enum err_code put_binding(const struct account *a, const struct oauth_client *c, struct buf *out, struct err *e)
{
	const char *const parts[] = { MAGIC, a->name, c->client_id, c->token_url, c->scope };
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < ARRAY_LEN(parts); i++)
		rc = buf_append(out, span_of(parts[i], strlen(parts[i]) + 1), e);
	return rc;
}

struct kept {
	struct oauth_tokens tokens;
	int64_t ends_ms; /* wall time at which the access token's time is over */
};

static enum err_code encode(const struct kept *k, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);
	enum err_code rc = buf_reserve(out, k->tokens.access.len + k->tokens.refresh.len + 64, e);

	if (rc)
		return rc;
	wr_u64(&w, (uint64_t)k->ends_ms);
	wr_blob(&w, buf_span(&k->tokens.access));
	wr_blob(&w, buf_span(&k->tokens.refresh));
	return w.rc;
}

static enum err_code decode(struct span plain, struct kept *out, struct err *e)
{
	struct rd r = rd_of(plain);
	struct span access, refresh;
	enum err_code rc;

	out->ends_ms = (int64_t)rd_u64(&r);
	access = rd_blob(&r, OAUTH_TOKEN_BYTES_MAX);
	refresh = rd_blob(&r, OAUTH_TOKEN_BYTES_MAX);
	if (!rd_done(&r))
		return err_set(e, ERR_CORRUPT, "the tokens do not have the form that they were written in");
	rc = buf_append(&out->tokens.access, access, e);
	return rc ? rc : buf_append(&out->tokens.refresh, refresh, e);
}

static enum err_code save(const struct account *a, const struct oauth_client *c, const struct kept *k, struct err *e)
{
	struct buf path = BUF_EMPTY, ad = BUF_EMPTY, plain = BUF_WITH_MAX(FILE_BYTES_MAX), sealed = BUF_EMPTY;
	struct secret *key = NULL;
	enum err_code rc = make_folder(e);

	if (!rc)
		rc = get_key(a, true, &key, e);
	if (!rc)
		rc = put_binding(a, c, &ad, e);
	if (!rc)
		rc = encode(k, &plain, e);
	if (!rc)
		rc = buf_append(&sealed, SPAN_LIT(MAGIC), e);
	if (!rc)
		rc = secret_seal(key, buf_span(&ad), buf_span(&plain), &sealed, e);
	if (!rc)
		rc = token_path(a, "", &path, e);
	if (!rc)
		rc = file_replace((const char *)path.ptr, buf_span(&sealed), 0600, true, e);
	secret_free(&key);
	buf_wipe(&plain);
	buf_release(&ad);
	buf_release(&sealed);
	buf_release(&path);
	return rc ? err_note(e, "keeping the tokens of %s", text_name(span_cstr(a->name)).text) : ERR_OK;
}

/* ERR_NOT_FOUND: there are none. */
static enum err_code load(const struct account *a, const struct oauth_client *c, struct kept *out, struct err *e)
{
	struct buf path = BUF_EMPTY, ad = BUF_EMPTY, plain = BUF_WITH_MAX(FILE_BYTES_MAX), sealed = BUF_EMPTY;
	struct secret *key = NULL;
	struct span body;
	enum err_code rc = token_path(a, "", &path, e);

	if (!rc)
		rc = file_read((const char *)path.ptr, FILE_BYTES_MAX, &sealed, e);
	body = buf_span(&sealed);
	if (!rc && !span_starts(body, SPAN_LIT(MAGIC)))
		rc = err_set(e, ERR_UNSUPPORTED, "the tokens were written by another version");
	if (!rc)
		rc = get_key(a, false, &key, e);
	if (rc == ERR_NOT_FOUND && key == NULL && sealed.len)
		e->code = rc = ERR_CORRUPT; /* tokens without their key are damage, not absence */
	if (!rc)
		rc = put_binding(a, c, &ad, e);
	if (!rc)
		rc = secret_unseal(key, buf_span(&ad), span_skip(body, sizeof MAGIC - 1), &plain, e);
	if (!rc)
		rc = decode(buf_span(&plain), out, e);
	secret_free(&key);
	buf_wipe(&plain);
	buf_release(&ad);
	buf_release(&sealed);
	buf_release(&path);
	return rc;
}

/* Held while an account's tokens are read and may be replaced. */
static enum err_code lock_tokens(const struct account *a, int *out, struct err *e)
{
	struct buf path = BUF_EMPTY;
	enum err_code rc = make_folder(e);

	*out = -1;
	if (!rc)
		rc = token_path(a, ".lock", &path, e);
	if (!rc) {
		*out = open((const char *)path.ptr, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		while (*out >= 0 && flock(*out, LOCK_EX) != 0 && errno == EINTR && !cli_stop)
			;
		if (*out < 0 || cli_stop)
			rc = cli_stop ? err_set(e, ERR_CANCELLED, "interrupted")
			              : err_sys(e, errno, "cannot lock the tokens");
	}
	buf_release(&path);
	return rc;
}

/* ---- the door ---- */

enum err_code token_client(const struct account *a, struct oauth_client *c, struct secret **secret, struct err *e)
{
	const struct config_oauth *p = a->provider;
	const struct source_secret from = { .password_file = p->client_secret_file,
		                            .password_command = p->client_secret_command,
		                            .account = a->name };
	enum err_code rc = oauth_client_of(&p->provider, c, e);

	*secret = NULL;
	if (!rc && p->client_secret)
		rc = secret_new(span_cstr(p->client_secret), secret, e);
	else if (!rc && (p->client_secret_file || p->client_secret_command))
		rc = secret_input_source(&from, secret, e);
	if (!rc && !*secret && c->flow == OAUTH_CLIENT_CREDENTIALS)
		rc = err_set(e, ERR_USAGE, "client-credentials need a client-secret-file or client-secret-command");
	if (!rc && *secret)
		c->secret = secret_span(*secret);
	c->stop = &cli_stop;
	return rc ? err_note(e, "in [oauth \"%s\"]", text_name(span_cstr(p->name)).text) : ERR_OK;
}

enum err_code token_keep(const struct account *a, const struct oauth_client *c, const struct oauth_tokens *t,
                         struct err *e)
{
	const struct kept k = { *t, clock_now_ms() + t->lives_ms };
	int lock;
	enum err_code rc = lock_tokens(a, &lock, e);

	if (!rc)
		rc = save(a, c, &k, e);
	if (lock >= 0)
		close(lock);
	return rc;
}

static enum err_code log_in_again(const struct account *a, struct err *e)
{
	return err_note(e, "log in again: mailhold account login %s", text_name(span_cstr(a->name)).text);
}

/* New tokens for those in K, kept before they are used. */
static enum err_code renew(const struct account *a, const struct oauth_client *c, struct kept *k, struct err *e)
{
	struct oauth_tokens fresh = { 0 };
	int64_t asked_ms = clock_now_ms();
	enum err_code rc;

	if (c->flow == OAUTH_CLIENT_CREDENTIALS)
		rc = oauth_client_credentials(c, &fresh, e);
	else if (!k->tokens.refresh.len)
		rc = err_set(e, ERR_DENIED, "there is no refresh token for %s", text_name(span_cstr(a->name)).text);
	else
		rc = oauth_refresh(c, buf_span(&k->tokens.refresh), &fresh, e);
	if (rc == ERR_DENIED && c->flow != OAUTH_CLIENT_CREDENTIALS)
		log_in_again(a, e);
	if (rc)
		return rc;
	/* A server that gives no new one means the old one (RFC 6749, 6). */
	if (!fresh.refresh.len) {
		struct buf old = k->tokens.refresh;

		k->tokens.refresh = fresh.refresh;
		fresh.refresh = old;
	}
	oauth_tokens_wipe(&k->tokens);
	k->tokens = fresh;
	k->ends_ms = asked_ms + fresh.lives_ms;
	return save(a, c, k, e);
}

static enum err_code get_locked(const struct account *a, const struct oauth_client *c, bool refused, struct kept *k,
                                struct err *e)
{
	enum err_code rc = load(a, c, k, e);
	int64_t now = clock_now_ms();

	if (rc && c->flow == OAUTH_CLIENT_CREDENTIALS && rc != ERR_NO_MEMORY && rc != ERR_CANCELLED)
		rc = ERR_OK; /* it can be had anew without anybody */
	else if (rc == ERR_NOT_FOUND)
		rc = err_set(e, ERR_DENIED, "nobody has logged in for %s yet", text_name(span_cstr(a->name)).text);
	if (rc)
		return log_in_again(a, e);
	/* A clock that was set back must not make a token live for ever. */
	if (!refused && k->tokens.access.len && now + SPARE_MS < k->ends_ms && k->ends_ms - now < 366 * 86400000LL)
		return ERR_OK;
	return renew(a, c, k, e);
}

enum err_code token_get(const struct account *a, bool refused, struct buf *out, struct err *e)
{
	struct oauth_client c;
	struct secret *secret = NULL;
	struct kept k = { 0 };
	int lock = -1;
	enum err_code rc = token_client(a, &c, &secret, e);

	if (!rc)
		rc = lock_tokens(a, &lock, e);
	if (!rc)
		rc = get_locked(a, &c, refused, &k, e);
	if (lock >= 0)
		close(lock);
	if (!rc)
		rc = buf_append(out, buf_span(&k.tokens.access), e);
	oauth_tokens_wipe(&k.tokens);
	secret_free(&secret);
	return rc;
}

enum err_code token_forget(const struct account *a, bool *found, struct err *e)
{
	struct buf path = BUF_EMPTY;
	int lock;
	enum err_code rc = lock_tokens(a, &lock, e);

	*found = false;
	if (!rc)
		rc = token_path(a, "", &path, e);
	if (!rc && unlink((const char *)path.ptr) == 0)
		*found = true;
	else if (!rc && errno != ENOENT)
		rc = err_sys(e, errno, "cannot remove the tokens");
	if (lock >= 0)
		close(lock);
	buf_release(&path);
	return rc;
}
