#include "href.h"

#include "base/text.h"

static bool hex_value(uint8_t c, unsigned *out)
{
	if (c >= '0' && c <= '9')
		*out = c - '0';
	else if (text_lower(c) >= 'a' && text_lower(c) <= 'f')
		*out = (unsigned)text_lower(c) - 'a' + 10;
	else
		return false;
	return true;
}

/* The byte that is written at S, percent-encoded or not, and the length of its writing. */
static size_t take_byte(struct span s, uint8_t *out)
{
	unsigned high, low;

	if (s.ptr[0] == '%' && s.len >= 3 && hex_value(s.ptr[1], &high) && hex_value(s.ptr[2], &low)) {
		*out = (uint8_t)(high << 4 | low);
		return 3;
	}
	*out = s.ptr[0];
	return 1;
}

static enum err_code put_percent(struct buf *out, uint8_t byte, struct err *e)
{
	static const char digits[] = "0123456789ABCDEF";
	const char coded[3] = { '%', digits[byte >> 4], digits[byte & 15] };

	return buf_append(out, span_of(coded, sizeof coded), e);
}

/* Would what stands at S, behind a '%' that means itself, make it look like one of the three that stay encoded? */
static bool looks_encoded(struct span s)
{
	uint8_t high, low;
	size_t n = s.len ? take_byte(s, &high) : 0;

	s = span_skip(s, n);
	if (!n || !s.len)
		return false;
	(void)take_byte(s, &low);
	return (high == '2' && (low == '5' || low == 'F')) || (high == '0' && low == '0');
}

enum err_code href_canonical(struct span path, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	buf_clear(out);
	while (!rc && path.len) {
		uint8_t byte;
		size_t n = take_byte(path, &byte);

		path = span_skip(path, n);
		if (!byte || (byte == '/' && n > 1) || (byte == '%' && looks_encoded(path)))
			rc = put_percent(out, byte, e);
		else
			rc = buf_append(out, span_of(&byte, 1), e);
	}
	return rc;
}

struct span href_last(struct span path)
{
	size_t start;

	while (path.len && path.ptr[path.len - 1] == '/')
		path.len--;
	for (start = path.len; start && path.ptr[start - 1] != '/';)
		start--;
	return span_of(path.ptr + start, path.len - start);
}

/* What stands before the path in HREF: "scheme://authority", "//authority" or nothing. */
static struct span authority_of(struct span href)
{
	size_t i = 0;

	while (i < href.len && ((text_lower(href.ptr[i]) >= 'a' && text_lower(href.ptr[i]) <= 'z') ||
	                        (i && strchr("0123456789+-.", href.ptr[i]) && href.ptr[i])))
		i++;
	if (i && i < href.len && href.ptr[i] == ':')
		i++;
	else
		i = 0;
	if (href.len - i < 2 || href.ptr[i] != '/' || href.ptr[i + 1] != '/')
		return span_of(href.ptr, i); /* "mailto:…" is somebody else's, too */
	for (i += 2; i < href.len && href.ptr[i] != '/' && href.ptr[i] != '?' && href.ptr[i] != '#';)
		i++;
	return span_of(href.ptr, i);
}

/* Is AUTHORITY that of ORIGIN? The usual port may stand there or not. */
static bool same_origin(const char *origin, struct span authority)
{
	struct span own = span_cstr(origin), scheme = span_of(own.ptr, strcspn(origin, ":") + 1);
	struct span port = scheme.len == 6 ? SPAN_LIT(":443") : SPAN_LIT(":80");

	if (span_starts(authority, SPAN_LIT("//")))
		own = span_skip(own, scheme.len);
	if (text_equal_nocase(authority, own))
		return true;
	return authority.len == own.len + port.len && text_equal_nocase(span_first(authority, own.len), own) &&
	       span_equal(span_skip(authority, own.len), port);
}

enum err_code href_append(struct span path, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < path.len; i++) {
		uint8_t c = path.ptr[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}#", c))
			rc = put_percent(out, c, e);
		else
			rc = buf_append(out, span_of(&c, 1), e);
	}
	return rc;
}

static bool climbs(struct span path)
{
	size_t segment = 0;
	bool dots = true;

	for (size_t n; path.len; path = span_skip(path, n)) {
		uint8_t byte;

		n = take_byte(path, &byte);
		if (byte == '/' || (byte == '?' && n == 1)) {
			if (dots && (segment == 1 || segment == 2))
				return true;
			if (byte == '?')
				return false;
			segment = 0;
			dots = true;
			continue;
		}
		dots = dots && byte == '.';
		segment++;
	}
	return dots && (segment == 1 || segment == 2);
}

enum err_code href_resolve(const char *origin, struct span base, struct span href, struct buf *out, struct err *e)
{
	struct span authority;
	enum err_code rc = ERR_OK;

	while (href.len && href.ptr[0] <= ' ')
		href = span_skip(href, 1);
	while (href.len && href.ptr[href.len - 1] <= ' ')
		href.len--;
	if (!href.len || href.len > HREF_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "a href of %zu bytes", href.len);
	authority = authority_of(href);
	if (authority.len && !same_origin(origin, authority))
		return err_set(e, ERR_DENIED, "%s is not at %s", text_name(href).text, origin);
	href = span_skip(href, authority.len);
	buf_clear(out);
	if (!href.len)
		href = SPAN_LIT("/");
	if (href.ptr[0] != '/') {
		while (base.len && base.ptr[base.len - 1] != '/')
			base.len--;
		rc = base.len ? href_append(base, out, e) : buf_append(out, SPAN_LIT("/"), e);
	}
	if (!rc)
		rc = href_append(href, out, e);
	if (!rc && climbs(buf_span(out)))
		rc = err_set(e, ERR_CORRUPT, "%s climbs out of its folder", text_name(href).text);
	return rc;
}
