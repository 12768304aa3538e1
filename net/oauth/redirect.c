/*
 * The request with which a browser comes back: "GET /?code=…&state=… HTTP/1.1". Anybody on this machine can send one.
 */
#include "base/text.h"
#include "oauth.h"

#define VALUE_BYTES_MAX 4096

/* In a form a '+' is a space. */
static enum err_code decode(struct span coded, struct buf *out, struct err *e)
{
	struct buf plus = BUF_WITH_MAX(VALUE_BYTES_MAX);
	enum err_code rc = buf_append(&plus, coded, e);

	for (size_t i = 0; !rc && i < plus.len; i++)
		if (plus.ptr[i] == '+')
			plus.ptr[i] = ' ';
	if (!rc)
		rc = text_unpercent(out, buf_span(&plus), e);
	buf_wipe(&plus);
	return rc;
}

/* The value of NAME in QUERY, decoded. False: absent, twice, or not to be decoded. */
static bool value_of(struct span query, const char *name, struct buf *out)
{
	struct span want = span_cstr(name);
	struct err ignored;
	unsigned found = 0;

	out->max = VALUE_BYTES_MAX;
	while (query.len) {
		const uint8_t *end = memchr(query.ptr, '&', query.len);
		struct span part = span_of(query.ptr, end ? (size_t)(end - query.ptr) : query.len);

		if (span_starts(part, want) && part.len > want.len && part.ptr[want.len] == '=' &&
		    (++found > 1 || decode(span_skip(part, want.len + 1), out, &ignored)))
			return false;
		query = span_skip(query, part.len + 1);
	}
	return found == 1 && out->len && !memchr(out->ptr, 0, out->len);
}

/* The query of "GET /?QUERY HTTP/1.x". */
static bool query_of(struct span request, struct span *out)
{
	static const struct span lead = { (const uint8_t *)"GET /?", 6 };
	const uint8_t *end;

	if (!span_starts(request, lead))
		return false;
	*out = span_skip(request, lead.len);
	end = out->len ? memchr(out->ptr, ' ', out->len) : NULL;
	if (!end || !span_starts(span_skip(*out, (size_t)(end - out->ptr)), SPAN_LIT(" HTTP/1.")))
		return false;
	out->len = (size_t)(end - out->ptr);
	return true;
}

/* In a time that does not tell where they differ. */
static bool same(struct span a, struct span b)
{
	unsigned char differs = a.len != b.len;

	for (size_t i = 0; i < a.len && i < b.len; i++)
		differs |= a.ptr[i] ^ b.ptr[i];
	return !differs;
}

enum err_code oauth_redirect_parse(struct span request, const char *state, struct buf *code, struct err *e)
{
	struct buf given = BUF_EMPTY, error = BUF_EMPTY, got = BUF_EMPTY;
	struct span query;
	enum err_code rc;

	/* Without our state it is another page's request, or an attack; neither ends the wait. */
	if (!query_of(request, &query) || !value_of(query, "state", &given) ||
	    !same(buf_span(&given), span_cstr(state)))
		rc = err_set(e, ERR_NOT_FOUND, "that is not the answer that was asked for");
	else if (value_of(query, "error", &error))
		rc = err_set(e, ERR_DENIED, "the authorisation server says %s", text_name(buf_span(&error)).text);
	else if (!value_of(query, "code", &got))
		rc = err_set(e, ERR_DENIED, "the authorisation server sent the browser back without a code");
	else
		rc = buf_append(code, buf_span(&got), e);
	if (!rc)
		rc = buf_append(code, span_of("", 1), e);
	if (!rc)
		code->len--;
	buf_release(&given);
	buf_release(&error);
	buf_wipe(&got);
	return rc;
}
