/*
 * What an authorisation server answers: JSON that is small, flat and ours to distrust.
 */
#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "oauth.h"

#define LIVES_DEFAULT_S    300 /* RFC 6749 only recommends telling */
#define LIVES_MAX_S        (366 * 24 * 3600)
#define INTERVAL_DEFAULT_S 5 /* RFC 8628, 3.5 */
#define INTERVAL_MAX_S     300

static enum err_code parse(long status, struct span body, json_t **out, struct err *e)
{
	json_error_t ignored;

	*out = json_loadb(body.len ? (const char *)body.ptr : "", body.len, JSON_REJECT_DUPLICATES, &ignored);
	if (json_is_object(*out))
		return ERR_OK;
	json_decref(*out);
	*out = NULL;
	if (status >= 500 || status == 429) {
		err_set(e, ERR_IO, "the authorisation server answers with status %ld", status);
		e->retry = ERR_RETRY_LATER;
		return ERR_IO;
	}
	return err_set(e, ERR_CORRUPT, "the authorisation server's answer (status %ld) is no JSON object", status);
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s && strlen(s) == json_string_length(json_object_get(object, name)) ? s : NULL;
}

/* Some servers write numbers as strings. */
static int64_t seconds_of(const json_t *object, const char *name, int64_t otherwise, int64_t max)
{
	const json_t *value = json_object_get(object, name);
	uint64_t n;

	if (json_is_integer(value))
		return json_integer_value(value) < 0     ? otherwise
		       : json_integer_value(value) > max ? max
		                                         : json_integer_value(value);
	if (json_is_string(value) && text_number(span_cstr(json_string_value(value)), (uint64_t)max, &n))
		return (int64_t)n;
	return otherwise;
}

/* The error of RFC 6749, 5.2, if it is one. */
static enum err_code refusal(long status, const json_t *object, char code[64], struct err *e)
{
	const char *error = text_of(object, "error"), *why = text_of(object, "error_description");

	if (error)
		snprintf(code, 64, "%s", error);
	else if (status == 200)
		return ERR_OK;
	if (status >= 500 || status == 429) {
		err_set(e, ERR_IO, "the authorisation server answers with status %ld", status);
		e->retry = ERR_RETRY_LATER;
		return ERR_IO;
	}
	if (!error)
		return err_set(e, ERR_DENIED, "the authorisation server answers with status %ld", status);
	return err_set(e, ERR_DENIED, "the authorisation server says %s%s%s", text_name(span_cstr(error)).text,
	               why ? ": " : "", why ? text_name(span_cstr(why)).text : "");
}

static enum err_code put_token(const char *token, struct buf *out, const char *what, struct err *e)
{
	size_t len = strlen(token);
	enum err_code rc;

	if (!len || len > OAUTH_TOKEN_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "the authorisation server's %s has %zu bytes", what, len);
	/* VSCHAR of RFC 6749, appendix A; a token is put into lines of other protocols. */
	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return err_set(e, ERR_CORRUPT, "the authorisation server's %s holds odd characters", what);
	rc = buf_reserve(out, len + 1, e);
	if (!rc)
		rc = buf_append(out, span_of(token, len + 1), e);
	if (!rc)
		out->len--;
	return rc;
}

/* The strings of a json_t lie on its heap: wiped before they go. */
static void wipe(json_t *object)
{
	static const char *const secrets[] = { "access_token", "refresh_token", "device_code", "id_token" };

	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		json_t *value = json_object_get(object, secrets[i]);

		if (json_is_string(value))
			explicit_bzero((void *)(uintptr_t)json_string_value(value), json_string_length(value));
	}
	json_decref(object);
}

static enum err_code take_tokens(const json_t *object, struct oauth_tokens *out, struct err *e)
{
	const char *access = text_of(object, "access_token"), *refresh = text_of(object, "refresh_token");
	const char *type = text_of(object, "token_type");
	enum err_code rc;

	if (!access)
		return err_set(e, ERR_CORRUPT, "the authorisation server's answer has no access_token");
	if (!type || !text_equal_nocase(span_cstr(type), SPAN_LIT("Bearer")))
		return err_set(e, ERR_UNSUPPORTED, "the authorisation server gives tokens of type '%s', not Bearer",
		               type ? text_name(span_cstr(type)).text : "");
	rc = put_token(access, &out->access, "access token", e);
	if (!rc && refresh)
		rc = put_token(refresh, &out->refresh, "refresh token", e);
	out->lives_ms = 1000 * seconds_of(object, "expires_in", LIVES_DEFAULT_S, LIVES_MAX_S);
	return rc;
}

enum err_code oauth_token_parse(long status, struct span body, struct oauth_tokens *out, char code[64], struct err *e)
{
	json_t *object;
	enum err_code rc = parse(status, body, &object, e);

	*code = 0;
	if (rc)
		return rc;
	rc = refusal(status, object, code, e);
	if (!rc)
		rc = take_tokens(object, out, e);
	if (rc)
		oauth_tokens_wipe(out);
	wipe(object);
	return rc;
}

static enum err_code copy_text(const char *from, char *to, size_t max, const char *what, struct err *e)
{
	if (!from || strlen(from) >= max)
		return err_set(e, ERR_CORRUPT, "the authorisation server's answer has no %s, or one that is too long",
		               what);
	snprintf(to, max, "%s", from);
	return ERR_OK;
}

static enum err_code take_device(const json_t *object, struct oauth_device *out, struct err *e)
{
	const char *url = text_of(object, "verification_uri"), *whole = text_of(object, "verification_uri_complete");
	const char *device = text_of(object, "device_code");
	enum err_code rc;

	/* Google's name for it is older than the RFC. */
	if (!url)
		url = text_of(object, "verification_url");
	rc = device ? put_token(device, &out->device_code, "device code", e)
	            : err_set(e, ERR_CORRUPT, "the authorisation server's answer has no device_code");
	if (!rc)
		rc = copy_text(text_of(object, "user_code"), out->user_code, sizeof out->user_code, "user_code", e);
	if (!rc)
		rc = copy_text(url, out->url, sizeof out->url, "verification_uri", e);
	if (whole && strlen(whole) < sizeof out->whole_url)
		snprintf(out->whole_url, sizeof out->whole_url, "%s", whole);
	out->interval_ms = 1000 * seconds_of(object, "interval", INTERVAL_DEFAULT_S, INTERVAL_MAX_S);
	out->lives_ms = 1000 * seconds_of(object, "expires_in", LIVES_DEFAULT_S, LIVES_MAX_S);
	return rc;
}

enum err_code oauth_device_parse(long status, struct span body, struct oauth_device *out, struct err *e)
{
	char code[64] = "";
	json_t *object;
	enum err_code rc = parse(status, body, &object, e);

	if (rc)
		return rc;
	*out = (struct oauth_device){ 0 };
	rc = refusal(status, object, code, e);
	if (!rc)
		rc = take_device(object, out, e);
	if (rc)
		oauth_device_wipe(out);
	wipe(object);
	return rc;
}

void oauth_tokens_wipe(struct oauth_tokens *t)
{
	buf_wipe(&t->access);
	buf_wipe(&t->refresh);
}

void oauth_device_wipe(struct oauth_device *d)
{
	buf_wipe(&d->device_code);
}
