#include "account_source.h"

#include <stdio.h>

#include "base/text.h"
#include "command.h"
#include "keyring.h"
#include "secret_input.h"

enum { PROMPT_BYTES = 400 };

static struct server_login login_of(const struct account *a)
{
	return (struct server_login){ .is_token = a->token_command != NULL,
		                      .mechanism = a->auth,
		                      .tls = a->tls,
		                      .fingerprint = a->fingerprint,
		                      .ca_file = a->ca_file,
		                      .compress = a->compress,
		                      .connections = a->connections,
		                      .patience_ms = a->patience_ms,
		                      .stop = &cli_stop };
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
	                           : "asked for";
}

enum err_code account_check(const struct account *a, struct err *e)
{
	struct server_login login = login_of(a);
	enum err_code rc = ERR_OK;

	if (a->sources.count > 1)
		rc = err_set(e, ERR_UNSUPPORTED,
		             "an account of several sources comes with calendars and contacts; give each an account of "
		             "its own");
	for (size_t i = 0; !rc && i < a->sources.count; i++)
		if (connector_is_server(a->sources.items[i]))
			rc = connector_login_check(a->sources.items[i], &login, e);
	return rc ? err_note(e, "in the account %s", text_name(span_cstr(a->name)).text) : ERR_OK;
}

enum err_code account_source_open(const struct account *a, const char *url, bool environment, struct item_source **out,
                                  struct err *e)
{
	struct server_login login = login_of(a);
	struct secret *secret = NULL;
	enum err_code rc;

	if (!connector_is_server(url))
		return connector_source_open(url, out, e);
	rc = connector_login_check(url, &login, e);
	if (!rc)
		rc = get_secret(a, url, environment, &secret, e);
	if (!rc) {
		login.password = secret_span(secret);
		rc = connector_server_open(url, &login, out, e);
	}
	secret_free(&secret);
	return rc;
}
