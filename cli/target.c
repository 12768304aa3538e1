#include "target.h"

#include <stdio.h>

#include "base/text.h"
#include "command.h"
#include "secret_input.h"

#define PROMPT_BYTES 400

enum err_code target_sink_open(const struct target_login *t, const char *url, const struct server_sink_options *o,
                               struct item_sink **out, struct err *e)
{
	char prompt[PROMPT_BYTES];
	const struct source_secret from = { .password_file = t->password_file,
		                            .password_command = t->password_command,
		                            .token_command = t->token_command,
		                            .environment = true,
		                            .prompt = prompt,
		                            .stop = &cli_stop };
	struct server_login login = { .is_token = t->token_command, .ca_file = t->ca_file, .stop = &cli_stop };
	struct secret *secret = NULL;
	enum err_code rc = connector_server_check(url, e);

	snprintf(prompt, sizeof prompt, "Password at %s: ", text_name(span_cstr(url)).text);
	if (!rc)
		rc = secret_input_target(&from, &secret, e);
	if (!rc) {
		login.password = secret_span(secret);
		rc = connector_server_sink_open(url, &login, o, out, e);
	}
	secret_free(&secret);
	return rc;
}
