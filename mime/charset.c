#include "charset.h"
#include "base/num.h"
#include "base/text.h"

#include <errno.h>
#include <iconv.h>

#define CHARSET_NAME_MAX 40
#define FOREIGN          0xfffd

enum err_code clean_begin(struct clean *c, struct buf *out, size_t input_bytes, size_t max, struct err *e)
{
	size_t limit = max;
	enum err_code rc;

	if (input_bytes < max / 4)
		limit = num_min(max, 4 * input_bytes + 16);
	rc = buf_reserve(out, limit + 1, e);
	if (rc)
		return rc;
	*c = (struct clean){ .to = out->ptr + out->len, .limit = limit };
	return ERR_OK;
}

void clean_end(struct clean *c, struct buf *out)
{
	out->len += c->len;
}

void clean_code_point(struct clean *c, uint32_t code)
{
	uint8_t bytes[4];
	size_t n;

	if (code == ' ' || (code >= '\t' && code <= '\r')) {
		c->space = c->len > 0;
		return;
	}
	if (c->full || code < 0x20 || (code >= 0x7f && code < 0xa0))
		return;
	n = text_utf8(code, bytes);
	if (c->len + c->space + n > c->limit) {
		c->full = true;
		return;
	}
	if (c->space)
		c->to[c->len++] = ' ';
	c->space = false;
	memcpy(c->to + c->len, bytes, n);
	c->len += n;
}

/* The code point at the start of S and its length; U+FFFD and 1 when there is no valid one. */
static size_t decode_utf8(struct span s, uint32_t *code)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t c = s.ptr[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	uint32_t got = n < 2 ? c : c & (0x7fu >> n);

	*code = FOREIGN;
	if (n == 0 || n > s.len)
		return 1;
	for (size_t i = 1; i < n; i++) {
		if ((s.ptr[i] & 0xc0) != 0x80)
			return 1;
		got = got << 6 | (s.ptr[i] & 63);
	}
	if (got < least[n] || got > 0x10ffff || (got >= 0xd800 && got < 0xe000))
		return 1;
	*code = got;
	return n;
}

/* The common case at once: printable ASCII behind no white space. Returns how much was taken. */
static size_t clean_ascii(struct clean *c, struct span bytes)
{
	size_t n = 0, room = num_min(bytes.len, c->limit - c->len);

	while (n < room && bytes.ptr[n] > ' ' && bytes.ptr[n] < 0x7f) {
		c->to[c->len + n] = bytes.ptr[n];
		n++;
	}
	c->len += n;
	return n;
}

void clean_utf8(struct clean *c, struct span bytes)
{
	while (bytes.len && !c->full) {
		uint32_t code;
		size_t n = c->space ? 0 : clean_ascii(c, bytes);

		if (n) {
			bytes = span_skip(bytes, n);
			continue;
		}
		n = decode_utf8(bytes, &code);
		clean_code_point(c, code);
		bytes = span_skip(bytes, n);
	}
}

/* Windows-1252, 0x80..0x9f; 0 where it has nothing. */
static const uint16_t windows_1252[32] = { 0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	                                   0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
	                                   0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	                                   0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178 };

static uint32_t latin_9(uint8_t c)
{
	switch (c) {
	case 0xa4:
		return 0x20ac;
	case 0xa6:
		return 0x160;
	case 0xa8:
		return 0x161;
	case 0xb4:
		return 0x17d;
	case 0xb8:
		return 0x17e;
	case 0xbc:
		return 0x152;
	case 0xbd:
		return 0x153;
	case 0xbe:
		return 0x178;
	default:
		return c;
	}
}

enum table { TABLE_UTF8, TABLE_ASCII, TABLE_LATIN_1, TABLE_LATIN_9, TABLE_WINDOWS_1252, TABLE_NONE };

static enum table table_of(struct span charset)
{
	static const struct {
		const char *name;
		enum table table;
	} names[] = {
		{ "utf-8", TABLE_UTF8 },          { "utf8", TABLE_UTF8 },
		{ "us-ascii", TABLE_ASCII },      { "ascii", TABLE_ASCII },
		{ "iso-8859-1", TABLE_LATIN_1 },  { "latin1", TABLE_LATIN_1 },
		{ "iso8859-1", TABLE_LATIN_1 },   { "iso-8859-15", TABLE_LATIN_9 },
		{ "iso8859-15", TABLE_LATIN_9 },  { "windows-1252", TABLE_WINDOWS_1252 },
		{ "cp1252", TABLE_WINDOWS_1252 },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (text_equal_nocase(charset, span_cstr(names[i].name)))
			return names[i].table;
	return TABLE_NONE;
}

static uint32_t table_code(enum table table, uint8_t c)
{
	switch (table) {
	case TABLE_ASCII:
		return c < 0x80 ? c : FOREIGN;
	case TABLE_LATIN_9:
		return latin_9(c);
	case TABLE_LATIN_1: /* what says so is mostly Windows-1252, which only gives names to control characters */
	case TABLE_WINDOWS_1252:
		if (c >= 0x80 && c < 0xa0)
			return windows_1252[c - 0x80] ? windows_1252[c - 0x80] : FOREIGN;
		return c;
	default:
		return FOREIGN;
	}
}

/*
 * The charsets that mail really uses and that iconv may be asked for. Not "whatever the sender names": each of
 * glibc's exotic converters is code that hostile mail could choose to run.
 */
static bool may_ask_iconv(struct span charset)
{
	static const char *const starts[] = { "iso-8859-",   "windows-12", "windows-874", "cp125",     "koi8-",
		                              "gb",          "big5",       "shift_jis",   "sjis",      "euc-",
		                              "iso-2022-jp", "ks_c_5601",  "tis-620",     "macintosh", "ibm8",
		                              "cp8",         "viscii" };

	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		struct span start = span_cstr(starts[i]);

		if (charset.len >= start.len && text_equal_nocase(span_first(charset, start.len), start))
			return true;
	}
	return false;
}

static void convert(struct clean *c, iconv_t cd, struct span bytes)
{
	char out[512];
	char *in = (char *)(uintptr_t)bytes.ptr;
	size_t left = bytes.len;

	while (left && !c->full) {
		char *to = out;
		size_t room = sizeof out;
		size_t rc = iconv(cd, &in, &left, &to, &room);
		int why = errno;

		clean_utf8(c, span_of(out, sizeof out - room));
		if (rc == (size_t)-1 && why != E2BIG) {
			clean_code_point(c, FOREIGN);
			in++;
			left--;
		} else if (rc == (size_t)-1 && room == sizeof out) {
			return; /* no progress: cannot happen with 512 bytes of room, and must not loop */
		}
	}
}

static bool clean_by_iconv(struct clean *c, struct span charset, struct span bytes)
{
	char name[CHARSET_NAME_MAX + 1];
	iconv_t cd;

	if (charset.len > CHARSET_NAME_MAX || !may_ask_iconv(charset))
		return false;
	for (size_t i = 0; i < charset.len; i++) {
		uint8_t b = text_lower(charset.ptr[i]);

		if (!((b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') || b == '-' || b == '_'))
			return false;
		name[i] = (char)b;
	}
	name[charset.len] = 0;
	cd = iconv_open("UTF-8", name);
	if (cd == (iconv_t)-1)
		return false;
	convert(c, cd, bytes);
	iconv_close(cd);
	return true;
}

bool clean_charset(struct clean *c, struct span charset, struct span bytes)
{
	enum table table = table_of(charset);

	if (table == TABLE_NONE)
		return clean_by_iconv(c, charset, bytes);
	if (table == TABLE_UTF8) {
		clean_utf8(c, bytes);
		return true;
	}
	for (size_t i = 0; i < bytes.len && !c->full; i++)
		clean_code_point(c, table_code(table, bytes.ptr[i]));
	return true;
}
