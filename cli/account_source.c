#include "account_source.h"

#include <stdio.h>

#include "base/text.h"
#include "command.h"
#include "keyring.h"
#include "quiet_hours.h"
#include "secret_input.h"
#include "token_store.h"

enum { PROMPT_BYTES = 400, ACCOUNT_SOURCES_MAX = 16 };

/* A number from LEAST to MOST; NULL leaves *OUT alone. */
static enum err_code number_of(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *out,
                               struct err *e)
{
	if (!text || (text_number(span_cstr(text), most, out) && *out >= least))
		return ERR_OK;
	return err_set(e, ERR_USAGE, "%s takes a number from %llu to %llu", name, (unsigned long long)least,
	               (unsigned long long)most);
}

static enum err_code give_token(void *ctx, bool refused, struct buf *out, struct err *e)
{
	return token_get(ctx, refused, out, e);
}

/* All but the secret. The token's account is A, which outlives what is opened. */
static enum err_code login_of(const struct account *a, struct server_login *out, struct err *e)
{
	uint64_t connections = 0, wait_s = 0;
	enum err_code rc = number_of("connections", a->connections, 1, 8, &connections, e);

	if (!rc)
		rc = number_of("wait", a->wait, 0, 86400, &wait_s, e);
	*out = (struct server_login){ .is_token = a->token_command || a->oauth,
		                      .token = a->oauth ? give_token : NULL,
		                      .token_ctx = (void *)(uintptr_t)a,
		                      .mechanism = a->auth,
		                      .tls = a->tls,
		                      .fingerprint = a->fingerprint,
		                      .ca_file = a->ca_file,
		                      .compress = a->compress,
		                      .connections = (unsigned)connections,
		                      .patience_ms = !a->wait ? 0
		                                     : wait_s ? (int64_t)wait_s * 1000
		                                              : -1,
		                      .stop = &cli_stop };
	return rc;
}

static enum err_code get_secret(const struct account *a, const char *url, bool environment, struct secret **out,
                                struct err *e)
{
	char prompt[PROMPT_BYTES];
	struct source_secret from = { .password_file = a->password_file,
		                      .password_command = a->password_command,
		                      .token_command = a->token_command,
		                      .environment = environment,
		                      .account = a->name,
		                      .prompt = prompt,
		                      .stop = &cli_stop };

	if (a->password)
		return password_first_line(span_cstr(a->password), out, e);
	if (a->keyring)
		return keyring_get(strcmp(a->keyring, "yes") ? a->keyring : a->name, out, e);
	snprintf(prompt, sizeof prompt, "Password at %s: ", text_name(span_cstr(url)).text);
	return secret_input_source(&from, out, e);
}

const char *account_secret_words(const struct account *a)
{
	bool server = false;

	for (size_t i = 0; i < a->sources.count; i++)
		server |= connector_is_server(a->sources.items[i]);
	if (!server)
		return "none needed";
	return a->password_command ? "password command"
	       : a->password_file  ? "password file"
	       : a->password       ? "in the configuration"
	       : a->token_command  ? "token command"
	       : a->keyring        ? "keyring"
	       : a->oauth          ? "OAuth 2"
	                           : "asked for";
}

enum err_code account_check(const struct account *a, struct err *e)
{
	struct server_login login;
	struct oauth_client client;
	struct quiet_hours quiet;
	uint64_t rate;
	enum err_code rc = login_of(a, &login, e);

	if (!rc && a->sources.count > ACCOUNT_SOURCES_MAX)
		rc = err_set(e, ERR_USAGE, "an account has at most %d sources", ACCOUNT_SOURCES_MAX);
	if (!rc && a->max_rate)
		rc = rate_parse(a->max_rate, &rate, e);
	if (!rc && a->quiet_hours)
		rc = quiet_hours_parse(a->quiet_hours, &quiet, e);
	if (!rc && a->provider)
		rc = oauth_client_of(&a->provider->provider, &client, e);
	for (size_t i = 0; !rc && i < a->sources.count; i++)
		if (connector_is_server(a->sources.items[i]))
			rc = connector_login_check(a->sources.items[i], &login, e);
	return rc ? err_note(e, "in the account %s", text_name(span_cstr(a->name)).text) : ERR_OK;
}

enum err_code rate_parse(const char *text, uint64_t *out, struct err *e)
{
	static const char units[] = "KMG";
	size_t len = strlen(text);
	const char *unit = len ? strchr(units, text[len - 1]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (!text_number(span_of(text, len - (unit != NULL)), PACE_RATE_MAX >> shift, out) || !*out)
		return err_set(e, ERR_USAGE, "a rate is bytes a second, such as 500K or 2M");
	*out <<= shift;
	return ERR_OK;
}

enum err_code account_login(const struct account *a, const char *url, bool environment, struct server_login *login,
                            struct secret **secret, struct err *e)
{
	enum err_code rc = login_of(a, login, e);

	if (!rc)
		rc = connector_login_check(url, login, e);
	if (!rc && !login->token)
		rc = get_secret(a, url, environment, secret, e);
	if (!rc)
		login->password = *secret ? secret_span(*secret) : SPAN_EMPTY;
	return rc;
}

enum err_code account_source_open(const struct account *a, const char *url, bool environment, struct pace *pace,
                                  const volatile sig_atomic_t *stop, struct item_source **out, struct err *e)
{
	struct server_login login;
	struct secret *secret = NULL;
	enum err_code rc;

	if (!connector_is_server(url))
		return connector_source_open(url, out, e);
	rc = account_login(a, url, environment, &login, &secret, e);
	if (!rc) {
		login.pace = pace;
		login.stop = stop;
		rc = connector_server_open(url, &login, out, e);
	}
	secret_free(&secret);
	return rc;
}

enum err_code account_sources_open(const struct account *a, struct pace *pace, const volatile sig_atomic_t *stop,
                                   struct item_source **out, struct err *e)
{
	struct item_source *parts[ACCOUNT_SOURCES_MAX] = { NULL };
	size_t count = 0;
	enum err_code rc = ERR_OK;

	for (; !rc && count < a->sources.count; count += !rc)
		rc = account_source_open(a, a->sources.items[count], false, pace, stop, &parts[count], e);
	if (!rc && count == 1)
		*out = parts[0];
	else if (!rc)
		return connector_join(parts, count, out, e);
	for (size_t i = 0; rc && i < count; i++)
		parts[i]->ops->free(&parts[i]);
	/* Without one of them the snapshot would look as if its items had gone. */
	return rc ? err_note(e, "opening %s", text_name(span_cstr(a->sources.items[count])).text) : ERR_OK;
}
