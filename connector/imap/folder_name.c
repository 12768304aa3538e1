#include "folder_name.h"

#include "base/text.h"

static int base64_digit(uint8_t c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* UTF-16 units as they come out of a base64 run. */
struct units {
	uint32_t bits, high; /* HIGH: a first surrogate that waits for its second */
	unsigned count;
	bool bad;
};

static enum err_code put_unit(struct units *u, uint32_t unit, struct buf *out, struct err *e)
{
	uint32_t c = unit;
	uint8_t bytes[4];

	if (unit >= 0xd800 && unit < 0xdc00) {
		u->bad |= u->high != 0;
		u->high = unit;
		return ERR_OK;
	}
	if (unit >= 0xdc00 && unit < 0xe000) {
		u->bad |= !u->high;
		c = 0x10000 + ((u->high - 0xd800) << 10) + (unit - 0xdc00);
		u->high = 0;
	} else {
		/* Printable ASCII has no business in base64, and a NUL none anywhere. */
		u->bad |= u->high || (unit >= 0x20 && unit < 0x7f) || !unit;
	}
	return u->bad ? ERR_OK : buf_append(out, span_of(bytes, text_utf8(c, bytes)), e);
}

/* The run behind a '&' at *AT, up to and with its '-'. *GOOD false: it is none. */
static enum err_code take_run(struct span name, size_t *at, struct buf *out, bool *good, struct err *e)
{
	struct units u = { 0 };
	enum err_code rc = ERR_OK;
	size_t i = *at;

	for (; !rc && i < name.len && name.ptr[i] != '-'; i++) {
		int digit = base64_digit(name.ptr[i]);

		if (digit < 0) {
			*good = false;
			return ERR_OK;
		}
		u.bits = u.bits << 6 | (uint32_t)digit;
		u.count += 6;
		if (u.count >= 16) {
			u.count -= 16;
			rc = put_unit(&u, u.bits >> u.count & 0xffff, out, e);
			u.bits &= (1u << u.count) - 1;
		}
	}
	*good = i < name.len && !u.bad && !u.high && u.count < 6 && !u.bits;
	*at = i + 1;
	return rc;
}

static enum err_code put_byte(uint8_t c, char delimiter, struct buf *out, struct err *e)
{
	if (delimiter && c == (uint8_t)delimiter)
		return buf_append(out, SPAN_LIT("/"), e);
	if (c == '/')
		return buf_append(out, SPAN_LIT("%2F"), e);
	return buf_append(out, span_of(&c, 1), e);
}

/* The same without decoding, for names that are none. */
static enum err_code put_raw(struct span name, char delimiter, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < name.len; i++)
		rc = put_byte(name.ptr[i], delimiter, out, e);
	return rc;
}

enum err_code folder_path(struct span name, char delimiter, struct buf *out, struct err *e)
{
	size_t start = out->len;
	bool good = true;
	enum err_code rc = ERR_OK;

	if (text_equal_nocase(name, SPAN_LIT("INBOX")))
		return buf_append(out, SPAN_LIT("INBOX"), e);
	for (size_t i = 0; !rc && good && i < name.len;) {
		uint8_t c = name.ptr[i++];

		if (c != '&') {
			rc = put_byte(c, delimiter, out, e);
		} else if (i < name.len && name.ptr[i] == '-') {
			rc = buf_append(out, SPAN_LIT("&"), e);
			i++;
		} else {
			rc = take_run(name, &i, out, &good, e);
		}
	}
	if (rc || good)
		return rc;
	out->len = start;
	return put_raw(name, delimiter, out, e);
}

/* ---- the way back ---- */

/* One level's UTF-16 units as a base64 run, or its printable ASCII as it is. */
struct coder {
	struct buf *out;
	char delimiter;
	uint32_t bits;
	unsigned count;
	bool in_run, changed;
};

static enum err_code put_char(struct coder *k, char c, struct err *e)
{
	return buf_append(k->out, span_of(&c, 1), e);
}

static enum err_code put_digits(struct coder *k, bool all, struct err *e)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
	enum err_code rc = ERR_OK;

	while (!rc && k->count >= 6) {
		k->count -= 6;
		rc = put_char(k, digits[k->bits >> k->count & 0x3f], e);
	}
	if (!rc && all && k->count) {
		rc = put_char(k, digits[k->bits << (6 - k->count) & 0x3f], e);
		k->count = 0;
	}
	return rc;
}

static enum err_code put_utf16(struct coder *k, uint32_t unit, struct err *e)
{
	k->bits = k->bits << 16 | unit;
	k->count += 16;
	return put_digits(k, false, e);
}

static enum err_code end_run(struct coder *k, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (!k->in_run)
		return ERR_OK;
	rc = put_digits(k, true, e);
	k->in_run = false;
	k->bits = 0;
	return rc ? rc : put_char(k, '-', e);
}

/* A code point that is part of a level. */
static enum err_code put_code(struct coder *k, uint32_t c, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (c < ' ' || c == 0x7f || c == '*' || c == '%' || (c == (uint8_t)k->delimiter && c)) {
		k->changed = true;
		c = '_';
	}
	if (c < 0x7f) {
		rc = end_run(k, e);
		if (!rc)
			rc = put_char(k, (char)c, e);
		return rc || c != '&' ? rc : put_char(k, '-', e);
	}
	if (!k->in_run)
		rc = put_char(k, '&', e);
	k->in_run = true;
	if (!rc && c >= 0x10000) {
		rc = put_utf16(k, 0xd800 + ((c - 0x10000) >> 10), e);
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	return rc ? rc : put_utf16(k, c, e);
}

/* The code point at *AT of valid UTF-8. */
static uint32_t take_code(struct span s, size_t *at)
{
	uint8_t first = s.ptr[(*at)++];
	unsigned more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
	uint32_t c = more ? first & (0x3fu >> more) : first;

	for (; more; more--)
		c = c << 6 | (s.ptr[(*at)++] & 0x3f);
	return c;
}

/* A path that is no UTF-8: the server's own bytes, as folder_path left them. */
static enum err_code put_bytes(struct coder *k, struct span path, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < path.len; i++) {
		bool level = path.ptr[i] == '/' && k->delimiter;

		rc = put_char(k, level ? k->delimiter : (char)path.ptr[i], e);
	}
	return rc;
}

enum err_code folder_raw(struct span path, char delimiter, struct buf *out, bool *changed, struct err *e)
{
	struct coder k = { .out = out, .delimiter = delimiter };
	enum err_code rc = ERR_OK;

	*changed = false;
	if (!text_is_utf8(path))
		return put_bytes(&k, path, e);
	for (size_t at = 0; !rc && at < path.len;) {
		uint32_t c;

		if (span_starts(span_skip(path, at), SPAN_LIT("%2F"))) {
			at += 3;
			rc = put_code(&k, '/', e);
			continue;
		}
		c = take_code(path, &at);
		if (c != '/') {
			rc = put_code(&k, c, e);
			continue;
		}
		rc = end_run(&k, e);
		k.changed |= !delimiter;
		if (!rc)
			rc = put_char(&k, delimiter ? delimiter : '_', e);
	}
	if (!rc)
		rc = end_run(&k, e);
	*changed = k.changed;
	return rc;
}
