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
