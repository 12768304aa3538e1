#include "target.h"

#include <stdio.h>

#include "base/text.h"
#include "command.h"
#include "secret_input.h"

#define PROMPT_BYTES 400

/* The secret is the caller's to free; LOGIN borrows from it. */
static enum err_code log_in(const struct target_login *t, const char *url, struct secret **secret,
                            struct server_login *login, struct err *e)
{
	char prompt[PROMPT_BYTES];
	const struct source_secret from = { .password_file = t->password_file,
		                            .password_command = t->password_command,
		                            .token_command = t->token_command,
		                            .environment = true,
		                            .prompt = prompt,
		                            .stop = &cli_stop };
	enum err_code rc = connector_server_check(url, e);

	*login = (struct server_login){ .is_token = t->token_command, .ca_file = t->ca_file, .stop = &cli_stop };
	snprintf(prompt, sizeof prompt, "Password at %s: ", text_name(span_cstr(url)).text);
	if (!rc)
		rc = secret_input_target(&from, secret, e);
	if (!rc)
		login->password = secret_span(*secret);
	return rc;
}

enum err_code target_sink_open(const struct target_login *t, const char *url, const struct server_sink_options *o,
                               struct item_sink **out, struct err *e)
{
	struct server_login login;
	struct secret *secret = NULL;
	enum err_code rc = log_in(t, url, &secret, &login, e);

	if (!rc)
		rc = connector_server_sink_open(url, &login, o, out, e);
	secret_free(&secret);
	return rc;
}

enum err_code target_undo(const struct target_login *t, const char *url, const char *journal, bool plan_only,
                          item_report report, void *ctx, struct server_undo *out, struct err *e)
{
	struct server_login login;
	struct secret *secret = NULL;
	enum err_code rc = log_in(t, url, &secret, &login, e);

	if (!rc)
		rc = connector_server_undo(url, &login, journal, plan_only, report, ctx, out, e);
	secret_free(&secret);
	return rc;
}
