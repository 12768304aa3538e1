#include "oauth.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/stop.h"
#include "net/http/http.h"
#include "oauth_internal.h"

#define SLOWER_MS 5000 /* RFC 8628, 3.5 */
#define RETRY_MS  5000

/* ---- providers ---- */

struct preset {
	const char *name;
	enum oauth_flow flow;
	const char *authorization_url, *token_url, *device_url; /* "%s": the tenant */
	const char *scope, *application_scope;                  /* of a person, and of client credentials */
	const char *extra;
};

/*
 * Microsoft: learn.microsoft.com, "Authenticate an IMAP, POP or SMTP connection using OAuth". Google: developers.google.com,
 * "OAuth 2.0 for Mobile & Desktop Apps"; its device flow gives no access to mail.
 */
static const struct preset presets[] = {
	{ "microsoft", OAUTH_DEVICE, "https://login.microsoftonline.com/%s/oauth2/v2.0/authorize",
	  "https://login.microsoftonline.com/%s/oauth2/v2.0/token",
	  "https://login.microsoftonline.com/%s/oauth2/v2.0/devicecode",
	  "https://outlook.office.com/IMAP.AccessAsUser.All offline_access", "https://outlook.office365.com/.default",
	  "" },
	{ "google", OAUTH_BROWSER, "https://accounts.google.com/o/oauth2/v2/auth",
	  "https://oauth2.googleapis.com/token", "", "https://mail.google.com/", "",
	  "&access_type=offline&prompt=consent" },
};

static const struct preset *preset_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(presets); i++)
		if (!strcmp(presets[i].name, name))
			return &presets[i];
	return NULL;
}

static enum err_code choose_flow(const char *name, const struct preset *preset, enum oauth_flow *out, struct err *e)
{
	static const char *const names[] = { [OAUTH_DEVICE] = "device",
		                             [OAUTH_BROWSER] = "browser",
		                             [OAUTH_CLIENT_CREDENTIALS] = "client-credentials" };

	*out = preset ? preset->flow : OAUTH_DEVICE;
	for (enum oauth_flow f = OAUTH_DEVICE; name && f <= OAUTH_CLIENT_CREDENTIALS; f++)
		if (!strcmp(names[f], name)) {
			*out = f;
			return ERR_OK;
		}
	return name ? err_set(e, ERR_USAGE, "flow is device, browser or client-credentials") : ERR_OK;
}

/* GIVEN, else the preset's with the tenant in it. */
static enum err_code choose_url(const char *given, const char *from_preset, const char *tenant, char *out, size_t max,
                                struct err *e)
{
	const char *gap = from_preset ? strstr(from_preset, "%s") : NULL;
	int n;

	if (given || !from_preset)
		n = snprintf(out, max, "%s", given ? given : "");
	else if (gap)
		n = snprintf(out, max, "%.*s%s%s", (int)(gap - from_preset), from_preset, tenant, gap + 2);
	else
		n = snprintf(out, max, "%s", from_preset);
	if (n < 0 || (size_t)n >= max)
		return err_set(e, ERR_USAGE, "a URL of the authorisation server is too long");
	return *out ? http_url_check(out, e) : ERR_OK;
}

static bool is_tenant(const char *s)
{
	return *s && strlen(s) < 200 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == strlen(s);
}

static enum err_code check_client(const struct oauth_client *c, struct err *e)
{
	if (!c->client_id || !*c->client_id)
		return err_set(e, ERR_USAGE,
		               "client-id is missing: the application that you registered with the provider");
	if (!*c->token_url)
		return err_set(e, ERR_USAGE, "token-url is missing");
	if (c->flow == OAUTH_DEVICE && !*c->device_url)
		return err_set(e, ERR_USAGE, "there is no device-url, so flow = device cannot be");
	if (c->flow == OAUTH_BROWSER && !*c->authorization_url)
		return err_set(e, ERR_USAGE, "authorization-url is missing");
	return ERR_OK;
}

enum err_code oauth_client_of(const struct oauth_provider *p, struct oauth_client *out, struct err *e)
{
	const struct preset *preset = p->preset ? preset_named(p->preset) : NULL;
	const char *tenant = p->tenant ? p->tenant : "common", *scope = p->scope;
	enum err_code rc;

	*out = (struct oauth_client){ .client_id = p->client_id, .ca_file = p->ca_file };
	if (p->preset && !preset)
		return err_set(e, ERR_USAGE, "preset is microsoft or google");
	if (!is_tenant(tenant))
		return err_set(e, ERR_USAGE, "a tenant is a domain or an id");
	rc = choose_flow(p->flow, preset, &out->flow, e);
	if (!rc)
		rc = choose_url(p->authorization_url, preset ? preset->authorization_url : NULL, tenant,
		                out->authorization_url, sizeof out->authorization_url, e);
	if (!rc)
		rc = choose_url(p->token_url, preset ? preset->token_url : NULL, tenant, out->token_url,
		                sizeof out->token_url, e);
	if (!rc)
		rc = choose_url(p->device_url, preset ? preset->device_url : NULL, tenant, out->device_url,
		                sizeof out->device_url, e);
	if (!scope && preset)
		scope = out->flow == OAUTH_CLIENT_CREDENTIALS ? preset->application_scope : preset->scope;
	if (scope && strlen(scope) >= sizeof out->scope)
		return err_set(e, ERR_USAGE, "scope is too long");
	snprintf(out->scope, sizeof out->scope, "%s", scope ? scope : "");
	out->extra = preset ? preset->extra : "";
	return rc ? rc : check_client(out, e);
}

/* ---- requests ---- */

struct http_field oauth_text_field(const char *name, const char *value)
{
	return (struct http_field){ name, value && *value ? span_cstr(value) : SPAN_EMPTY };
}

enum err_code oauth_ask_tokens(const struct oauth_client *c, const struct http_field *own, size_t count,
                               struct oauth_tokens *out, char code[64], struct err *e)
{
	const struct http_options o = { .ca_file = c->ca_file, .stop = c->stop };
	struct http_field fields[OAUTH_FIELDS_MAX + 2] = {
		oauth_text_field("client_id", c->client_id), { "client_secret", c->secret.len ? c->secret : SPAN_EMPTY }
	};
	struct http_answer answer = { 0 };
	enum err_code rc;

	*code = 0;
	*out = (struct oauth_tokens){ 0 };
	for (size_t i = 0; i < count; i++)
		fields[2 + i] = own[i];
	rc = http_post_form(c->token_url, fields, 2 + count, &o, &answer, e);
	if (!rc)
		rc = oauth_token_parse(answer.status, buf_span(&answer.body), out, code, e);
	buf_wipe(&answer.body);
	return rc;
}

enum err_code oauth_client_credentials(const struct oauth_client *c, struct oauth_tokens *out, struct err *e)
{
	const struct http_field fields[] = { oauth_text_field("grant_type", "client_credentials"),
		                             oauth_text_field("scope", c->scope) };
	char code[64];
	enum err_code rc = oauth_ask_tokens(c, fields, ARRAY_LEN(fields), out, code, e);

	return rc ? err_note(e, "asking for a token for the application itself") : ERR_OK;
}

enum err_code oauth_refresh(const struct oauth_client *c, struct span refresh, struct oauth_tokens *out, struct err *e)
{
	const struct http_field fields[] = { oauth_text_field("grant_type", "refresh_token"),
		                             { "refresh_token", refresh } };
	char code[64];
	enum err_code rc = oauth_ask_tokens(c, fields, ARRAY_LEN(fields), out, code, e);

	return rc ? err_note(e, "refreshing the access token") : ERR_OK;
}

/* ---- device code ---- */

enum err_code oauth_device_begin(const struct oauth_client *c, struct oauth_device *out, struct err *e)
{
	const struct http_options o = { .ca_file = c->ca_file, .stop = c->stop };
	const struct http_field fields[] = { oauth_text_field("client_id", c->client_id),
		                             oauth_text_field("scope", c->scope) };
	struct http_answer answer = { 0 };
	enum err_code rc = http_post_form(c->device_url, fields, ARRAY_LEN(fields), &o, &answer, e);

	if (!rc)
		rc = oauth_device_parse(answer.status, buf_span(&answer.body), out, e);
	buf_wipe(&answer.body);
	return rc ? err_note(e, "asking for a code") : ERR_OK;
}

enum err_code oauth_device_go_on(enum err_code rc, const char *code, int64_t *interval, const struct err *e)
{
	if (rc == ERR_IO && e->retry != ERR_RETRY_NEVER) {
		*interval += RETRY_MS; /* "exponential backoff" is what the RFC suggests; lives are short */
		return ERR_OK;
	}
	if (rc == ERR_DENIED && !strcmp(code, "slow_down")) {
		*interval += SLOWER_MS;
		return ERR_OK;
	}
	return rc == ERR_DENIED && !strcmp(code, "authorization_pending") ? ERR_OK : rc;
}

enum err_code oauth_device_wait(const struct oauth_client *c, const struct oauth_device *d, struct oauth_tokens *out,
                                struct err *e)
{
	const struct http_field fields[] = {
		oauth_text_field("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
		{ "device_code", buf_span(&d->device_code) },
	};
	int64_t interval = d->interval_ms, end = clock_monotonic_ms() + d->lives_ms;
	char code[64];
	enum err_code rc = ERR_OK;

	while (!rc && clock_monotonic_ms() < end) {
		rc = stop_wait(interval, c->stop, e);
		if (rc)
			return rc;
		rc = oauth_ask_tokens(c, fields, ARRAY_LEN(fields), out, code, e);
		if (!rc)
			return ERR_OK;
		rc = oauth_device_go_on(rc, code, &interval, e);
	}
	return rc ? err_note(e, "waiting for the user's word")
	          : err_set(e, ERR_DENIED, "nobody entered the code in time");
}
