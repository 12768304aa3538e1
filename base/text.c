#include "text.h"

#include <stdio.h>

static const char digits[] = "0123456789abcdef";

void text_hex(struct span bytes, char *out)
{
	for (size_t i = 0; i < bytes.len; i++) {
		*out++ = digits[bytes.ptr[i] >> 4];
		*out++ = digits[bytes.ptr[i] & 15];
	}
	*out = 0;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = text_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_unhex(struct span text, uint8_t *out, size_t len)
{
	if (text.len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(text.ptr[2 * i]), low = hex_value(text.ptr[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Length of the valid UTF-8 sequence at the start of S, 0 if there is none. */
static size_t utf8_sequence(struct span s)
{
	uint8_t c = s.ptr[0];
	size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

	if (n == 0 || n > s.len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s.ptr[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && s.ptr[1] < 0xa0) || (c == 0xed && s.ptr[1] > 0x9f) || (c == 0xf0 && s.ptr[1] < 0x90) ||
	    (c == 0xf4 && s.ptr[1] > 0x8f))
		return 0;
	return n;
}

bool text_is_utf8(struct span s)
{
	while (s.len) {
		size_t n = utf8_sequence(s);

		if (!n)
			return false;
		s = span_skip(s, n);
	}
	return true;
}

enum err_code text_percent(struct buf *out, struct span bytes, const char *extra, struct err *e)
{
	while (bytes.len) {
		uint8_t c = bytes.ptr[0];
		size_t n = utf8_sequence(bytes);
		bool c1 = n == 2 && c == 0xc2 && bytes.ptr[1] < 0xa0; /* U+0080..U+009F are controls, too */
		enum err_code rc;

		if (n == 0 || c1 || c < 0x20 || c == 0x7f || c == '%' || (c < 0x80 && strchr(extra, c))) {
			char code[3] = { '%', digits[c >> 4], digits[c & 15] };

			rc = buf_append(out, span_of(code, 3), e);
			n = 1;
		} else {
			rc = buf_append(out, span_first(bytes, n), e);
		}
		if (rc)
			return rc;
		bytes = span_skip(bytes, n);
	}
	return ERR_OK;
}

enum err_code text_url(struct buf *out, struct span bytes, const char *keep, struct err *e)
{
	static const char upper[] = "0123456789ABCDEF";
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < bytes.len; i++) {
		uint8_t c = bytes.ptr[i];
		uint8_t code[3] = { '%', (uint8_t)upper[c >> 4], (uint8_t)upper[c & 15] };
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		             (c && (strchr("-._~", c) || strchr(keep, c)));

		rc = buf_append(out, plain ? span_of(&c, 1) : span_of(code, sizeof code), e);
	}
	return rc;
}

enum err_code text_unpercent(struct buf *out, struct span text, struct err *e)
{
	while (text.len) {
		uint8_t c = text.ptr[0];
		size_t used = 1;
		enum err_code rc;

		if (c == '%') {
			if (text.len < 3 || !text_unhex(span_of(text.ptr + 1, 2), &c, 1))
				return err_set(e, ERR_USAGE,
				               "'%%' must be followed by two hex digits (write %%25 for '%%')");
			used = 3;
		}
		rc = buf_append(out, span_of(&c, 1), e);
		if (rc)
			return rc;
		text = span_skip(text, used);
	}
	return ERR_OK;
}

struct text_name text_name(struct span bytes)
{
	struct text_name name = { "" };
	struct buf b = BUF_EMPTY;
	struct err ignored;
	bool cut = bytes.len > 200;

	if (text_percent(&b, span_first(bytes, 200), "", &ignored) == ERR_OK && b.len < sizeof name.text - 4) {
		size_t len = 0;

		/* Nobody reads a message back: a '%' that was typed stays one. */
		for (size_t at = 0; at < b.len; at++) {
			name.text[len++] = (char)b.ptr[at];
			if (b.len - at >= 3 && memcmp(b.ptr + at, "%25", 3) == 0)
				at += 2;
		}
		memcpy(name.text + len, cut ? "\xe2\x80\xa6" : "\0\0\0", 4);
	} else {
		snprintf(name.text, sizeof name.text, "(a name of %zu bytes)", bytes.len);
	}
	buf_release(&b);
	return name;
}

struct text_size text_size(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	struct text_size out;
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(out.text, sizeof out.text, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}

bool text_equal_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (text_lower(a.ptr[i]) != text_lower(b.ptr[i]))
			return false;
	return true;
}

bool text_contains_nocase(struct span hay, struct span needle)
{
	for (; hay.len >= needle.len; hay = span_skip(hay, 1)) {
		if (text_equal_nocase(span_first(hay, needle.len), needle))
			return true;
		if (hay.len == 0)
			break;
	}
	return false;
}

bool text_number(struct span s, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (s.len == 0 || s.len > 20)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
			return false;
	}
	if (value > max)
		return false;
	*out = value;
	return true;
}

size_t text_utf8(uint32_t code, uint8_t out[4])
{
	if (code < 0x80) {
		out[0] = (uint8_t)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (uint8_t)(0xc0 | code >> 6);
		out[1] = (uint8_t)(0x80 | (code & 63));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (uint8_t)(0xe0 | code >> 12);
		out[1] = (uint8_t)(0x80 | (code >> 6 & 63));
		out[2] = (uint8_t)(0x80 | (code & 63));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | code >> 18);
	out[1] = (uint8_t)(0x80 | (code >> 12 & 63));
	out[2] = (uint8_t)(0x80 | (code >> 6 & 63));
	out[3] = (uint8_t)(0x80 | (code & 63));
	return 4;
}
