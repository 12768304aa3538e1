#include "net.h"

#include <stdio.h>

#include "base/text.h"

/* Percent-decodes TEXT into a NUL-terminated field of SIZE bytes. */
static enum err_code take_part(struct span text, char *out, size_t size, const char *what, struct err *e)
{
	struct buf plain = BUF_WITH_MAX(NET_URL_BYTES_MAX);
	enum err_code rc = text_unpercent(&plain, text, e);

	if (!rc && (plain.len >= size || memchr(plain.ptr ? (const char *)plain.ptr : "", 0, plain.len)))
		rc = err_set(e, ERR_USAGE, "the %s in the URL is longer than %zu bytes, or holds a NUL", what,
		             size - 1);
	if (!rc) {
		if (plain.len)
			memcpy(out, plain.ptr, plain.len);
		out[plain.len] = 0;
	}
	buf_release(&plain);
	return rc;
}

static struct span until(struct span *rest, const char *stops)
{
	struct span found = span_of(rest->ptr, 0);

	while (found.len < rest->len && (!rest->ptr[found.len] || !strchr(stops, rest->ptr[found.len])))
		found.len++;
	*rest = span_skip(*rest, found.len);
	return found;
}

static enum err_code take_user(struct span *rest, struct net_url *out, struct err *e)
{
	struct span look = *rest;
	struct span authority = until(&look, "/");
	const uint8_t *at = NULL;

	for (size_t i = 0; i < authority.len; i++)
		if (authority.ptr[i] == '@')
			at = authority.ptr + i;
	if (!at)
		return ERR_OK;
	authority.len = (size_t)(at - authority.ptr);
	if (memchr(authority.ptr, ':', authority.len))
		return err_set(e, ERR_USAGE,
		               "there is a password in the URL, where every user of this machine sees it; leave it out "
		               "and say where it can be read from (a ':' that belongs to the name is written %%3A)");
	*rest = span_skip(*rest, authority.len + 1);
	return take_part(authority, out->user, sizeof out->user, "user", e);
}

static enum err_code take_host(struct span *rest, struct net_url *out, struct err *e)
{
	struct span host;
	uint64_t port;

	if (rest->len && rest->ptr[0] == '[') {
		*rest = span_skip(*rest, 1);
		host = until(rest, "]");
		if (!rest->len)
			return err_set(e, ERR_USAGE, "the URL's address has no ']'");
		*rest = span_skip(*rest, 1);
	} else {
		host = until(rest, ":/");
	}
	if (!host.len)
		return err_set(e, ERR_USAGE, "the URL names no host");
	if (take_part(host, out->host, sizeof out->host, "host", e))
		return e->code;
	if (rest->len && rest->ptr[0] == ':') {
		struct span digits;

		*rest = span_skip(*rest, 1);
		digits = until(rest, "/");
		if (!text_number(digits, 65535, &port) || !port)
			return err_set(e, ERR_USAGE, "the URL's port is no number from 1 to 65535");
		snprintf(out->port, sizeof out->port, "%u", (unsigned)port);
	}
	if (rest->len && rest->ptr[0] != '/')
		return err_set(e, ERR_USAGE, "the URL has something between host and path");
	return ERR_OK;
}

enum err_code net_url_parse(const char *text, struct net_url *out, struct err *e)
{
	struct span rest = span_cstr(text), scheme;
	enum err_code rc;

	*out = (struct net_url){ 0 };
	if (rest.len > NET_URL_BYTES_MAX)
		return err_set(e, ERR_USAGE, "the URL is longer than %d bytes", NET_URL_BYTES_MAX);
	scheme = until(&rest, ":");
	if (!scheme.len || scheme.len >= sizeof out->scheme || !span_starts(rest, SPAN_LIT("://")))
		return err_set(e, ERR_USAGE, "a URL is SCHEME://[USER@]HOST[:PORT][/PATH]");
	for (size_t i = 0; i < scheme.len; i++)
		out->scheme[i] = (char)text_lower(scheme.ptr[i]);
	rest = span_skip(rest, 3);
	rc = take_user(&rest, out, e);
	if (!rc)
		rc = take_host(&rest, out, e);
	if (!rc && rest.len)
		rc = take_part(span_skip(rest, 1), out->path, sizeof out->path, "path", e);
	return rc;
}
