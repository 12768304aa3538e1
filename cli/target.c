#include "target.h"

#include <stdio.h>

#include "account_source.h"
#include "base/pace.h"
#include "base/text.h"
#include "command.h"
#include "secret_input.h"

#define PROMPT_BYTES 400

static bool any_given(const struct target_login *t)
{
	return t->password_file || t->password_command || t->token_command || t->ca_file;
}

enum err_code restore_target_find(struct cli *c, const char *word, const struct target_login *t,
                                  struct restore_target *out, struct err *e)
{
	const struct account *a;
	uint64_t rate = 0;
	enum err_code rc = cli_account(c, word, &a, e);

	*out = (struct restore_target){ .url = word };
	if (rc || !a)
		return rc;
	rc = account_check(a, e);
	if (!rc && any_given(t))
		rc = err_set(e, ERR_USAGE, "--target-… goes with a URL; %s is an account of the configuration",
		             a->name);
	if (!rc && a->max_rate)
		rc = rate_parse(a->max_rate, &rate, e);
	if (!rc && rate)
		rc = pace_open(rate, NULL, &out->pace, e);
	out->account = a;
	out->url = a->sources.items[0];
	return rc;
}

void restore_target_release(struct restore_target *t)
{
	pace_free(&t->pace);
}

/* The secret is the caller's to free; LOGIN borrows from it. */
static enum err_code log_in(const struct restore_target *to, const struct target_login *t, struct secret **secret,
                            struct server_login *login, struct err *e)
{
	char prompt[PROMPT_BYTES];
	const struct source_secret from = { .password_file = t->password_file,
		                            .password_command = t->password_command,
		                            .token_command = t->token_command,
		                            .environment = true,
		                            .prompt = prompt,
		                            .stop = &cli_stop };
	enum err_code rc = connector_server_target_check(to->url, e);

	if (!rc && to->account)
		rc = account_login(to->account, to->url, false, login, secret, e);
	if (to->account) {
		login->pace = to->pace;
		return rc;
	}
	*login = (struct server_login){ .is_token = t->token_command, .ca_file = t->ca_file, .stop = &cli_stop };
	snprintf(prompt, sizeof prompt, "Password at %s: ", text_name(span_cstr(to->url)).text);
	if (!rc)
		rc = secret_input_target(&from, secret, e);
	if (!rc)
		login->password = secret_span(*secret);
	return rc;
}

enum err_code restore_target_open(const struct restore_target *to, const struct target_login *t,
                                  const struct server_sink_options *o, struct item_sink **out, struct err *e)
{
	struct server_login login;
	struct secret *secret = NULL;
	enum err_code rc = log_in(to, t, &secret, &login, e);

	if (!rc)
		rc = connector_server_sink_open(to->url, &login, o, out, e);
	secret_free(&secret);
	return rc;
}

enum err_code restore_target_undo(const struct restore_target *to, const struct target_login *t, const char *journal,
                                  bool plan_only, item_report report, void *ctx, struct server_undo *out, struct err *e)
{
	struct server_login login;
	struct secret *secret = NULL;
	enum err_code rc = log_in(to, t, &secret, &login, e);

	if (!rc)
		rc = connector_server_undo(to->url, &login, journal, plan_only, report, ctx, out, e);
	secret_free(&secret);
	return rc;
}
