#include "keyring.h"

#include <stdio.h>

#include "account_name.h"
#include "base/text.h"
#include "child.h"
#include "secret_input.h"

enum { NOT_STARTED = 127 };

static enum err_code ask(const struct child *c, uint8_t *out, size_t max, size_t *len, int *status, struct err *e)
{
	enum err_code rc = child_run(c, out, max, len, status, e);

	if (!rc && *status == NOT_STARTED)
		rc = err_set(e, ERR_UNSUPPORTED,
		             "the keyring is asked through secret-tool, which cannot be started (Debian: package "
		             "libsecret-tools)");
	return rc;
}

enum err_code keyring_get(const char *name, struct secret **out, struct err *e)
{
	const char *const argv[] = { "secret-tool", "lookup", "service", "mailhold", "account", name, NULL };
	const struct child c = { .argv = argv, .told = true };
	uint8_t text[PASSWORD_BYTES_MAX + 64];
	size_t len;
	int status;
	enum err_code rc = ask(&c, text, sizeof text, &len, &status, e);

	if (!rc && (status || !len))
		rc = err_set(e, ERR_NOT_FOUND, "the keyring has no password for the account %s, or is locked",
		             text_name(span_cstr(name)).text);
	if (!rc)
		rc = password_first_line(span_of(text, len), out, e);
	explicit_bzero(text, sizeof text);
	return rc;
}

enum err_code keyring_put(const char *name, const struct secret *secret, struct err *e)
{
	char label[ACCOUNT_NAME_BYTES_MAX + 40];
	const char *const argv[] = { "secret-tool", "store",   "--label", label, "service",
		                     "mailhold",    "account", name,      NULL };
	const struct child c = { .argv = argv, .told = true, .input = secret_span(secret) };
	uint8_t nothing[1];
	size_t len;
	int status;
	enum err_code rc;

	snprintf(label, sizeof label, "mailhold: account %s", name);
	rc = ask(&c, nothing, sizeof nothing, &len, &status, e);
	if (!rc && status)
		rc = err_set(e, ERR_IO, "secret-tool could not store the password (status %d)", status);
	return rc;
}

enum err_code keyring_remove(const char *name, struct err *e)
{
	const char *const argv[] = { "secret-tool", "clear", "service", "mailhold", "account", name, NULL };
	const struct child c = { .argv = argv, .told = true, .silent = true };
	uint8_t nothing[1];
	size_t len;
	int status;

	return ask(&c, nothing, sizeof nothing, &len, &status, e);
}
