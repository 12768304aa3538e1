#include "credentials.h"
#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>

#define FILE_BYTES_MAX (256 * KIB)

static enum err_code keep(struct buf *to, struct span text, struct err *e)
{
	enum err_code rc;

	buf_wipe(to);
	if (memchr(text.ptr ? (const char *)text.ptr : "", 0, text.len))
		return err_set(e, ERR_USAGE, "the credentials hold a NUL");
	rc = buf_append(to, text, e);
	return rc ? rc : buf_append(to, span_of("", 1), e);
}

static struct span trimmed(struct span s)
{
	while (s.len && strchr(" \t\r", s.ptr[0]))
		s = span_skip(s, 1);
	while (s.len && strchr(" \t\r", s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/* The lines of [PROFILE]: key = value. */
static enum err_code read_profile(struct span text, const char *profile, struct credentials *out, struct err *e)
{
	bool ours = false;
	enum err_code rc = ERR_OK;

	while (!rc && text.len) {
		const uint8_t *end = memchr(text.ptr, '\n', text.len), *equal;
		struct span line = span_first(text, end ? (size_t)(end - text.ptr) : text.len), key, value;

		text = span_skip(text, line.len + (end != NULL));
		line = trimmed(line);
		if (!line.len || line.ptr[0] == '#' || line.ptr[0] == ';')
			continue;
		if (line.ptr[0] == '[') {
			struct span name = trimmed(span_of(line.ptr + 1, line.len > 1 ? line.len - 2 : 0));

			ours = line.ptr[line.len - 1] == ']' && span_equal(name, span_cstr(profile));
			continue;
		}
		equal = memchr(line.ptr, '=', line.len);
		if (!ours || !equal)
			continue;
		key = trimmed(span_of(line.ptr, (size_t)(equal - line.ptr)));
		value = trimmed(span_skip(line, (size_t)(equal - line.ptr) + 1));
		if (span_equal(key, SPAN_LIT("aws_access_key_id")))
			rc = keep(&out->id, value, e);
		else if (span_equal(key, SPAN_LIT("aws_secret_access_key")))
			rc = keep(&out->secret, value, e);
		else if (span_equal(key, SPAN_LIT("aws_session_token")))
			rc = keep(&out->token, value, e);
	}
	return rc;
}

static enum err_code credentials_path(struct buf *out, struct err *e)
{
	const char *given = getenv("AWS_SHARED_CREDENTIALS_FILE"), *home = getenv("HOME");
	enum err_code rc;

	if (given && *given) {
		rc = buf_append(out, span_cstr(given), e);
		return rc ? rc : buf_append(out, span_of("", 1), e);
	}
	rc = buf_printf(out, e, "%s/.aws/credentials", home ? home : "");
	return rc ? rc : buf_append(out, span_of("", 1), e);
}

static enum err_code from_file(struct credentials *out, struct err *e)
{
	const char *profile = getenv("AWS_PROFILE");
	struct buf path = BUF_EMPTY, text = BUF_EMPTY;
	enum err_code rc = credentials_path(&path, e);

	profile = profile && *profile ? profile : "default";
	if (!rc)
		rc = file_read((const char *)path.ptr, FILE_BYTES_MAX, &text, e);
	if (!rc)
		rc = read_profile(buf_span(&text), profile, out, e);
	if (rc == ERR_NOT_FOUND || (!rc && (out->id.len < 2 || out->secret.len < 2)))
		rc = err_set(
		        e, ERR_DENIED,
		        "no credentials for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and %s has "
		        "no [%s] with both",
		        text_name(span_of(path.ptr, path.len - 1)).text, text_name(span_cstr(profile)).text);
	buf_release(&path);
	buf_wipe(&text);
	return rc;
}

enum err_code credentials_find(struct credentials *out, struct err *e)
{
	const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
	const char *token = getenv("AWS_SESSION_TOKEN");
	enum err_code rc;

	*out = (struct credentials){ BUF_EMPTY, BUF_EMPTY, BUF_EMPTY };
	if (!id || !*id || !secret || !*secret) {
		rc = from_file(out, e);
	} else {
		rc = keep(&out->id, span_cstr(id), e);
		if (!rc)
			rc = keep(&out->secret, span_cstr(secret), e);
		if (!rc && token && *token)
			rc = keep(&out->token, span_cstr(token), e);
	}
	if (rc)
		credentials_wipe(out);
	return rc;
}

void credentials_wipe(struct credentials *c)
{
	buf_wipe(&c->id);
	buf_wipe(&c->secret);
	buf_wipe(&c->token);
}
