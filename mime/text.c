#include "base/num.h"
#include "base/text.h"
#include "charset.h"
#include "mime.h"

#define CHARSET_BYTES_MAX 64
#define WORDS_BYTES_MAX   4096 /* decoded bytes of neighbouring encoded words that are looked at together */

/* "=?charset*lang?Q?text?=" */
struct word {
	struct span charset;
	struct span text;
	bool base64;
	size_t length; /* of the whole, with its marks */
};

static bool word_at(struct span s, struct word *out)
{
	const uint8_t *p, *end, *mark, *star;

	if (s.len < 8 || s.ptr[0] != '=' || s.ptr[1] != '?')
		return false;
	p = s.ptr + 2;
	end = s.ptr + s.len;
	mark = memchr(p, '?', num_min((size_t)(end - p), CHARSET_BYTES_MAX));
	if (!mark || mark == p || end - mark < 5 || mark[2] != '?')
		return false;
	out->charset = span_of(p, (size_t)(mark - p));
	star = memchr(p, '*', out->charset.len);
	if (star)
		out->charset.len = (size_t)(star - p);
	out->base64 = text_lower(mark[1]) == 'b';
	if (!out->base64 && text_lower(mark[1]) != 'q')
		return false;
	p = mark + 3;
	mark = memchr(p, '?', (size_t)(end - p));
	if (!mark || mark + 1 == end || mark[1] != '=')
		return false;
	out->text = span_of(p, (size_t)(mark - p));
	out->length = (size_t)(mark + 2 - s.ptr);
	return true;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = text_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t decode_q(struct span text, uint8_t *dst)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];

		if (c == '=' && text.len - i > 2 && hex_value(text.ptr[i + 1]) >= 0 &&
		    hex_value(text.ptr[i + 2]) >= 0) {
			c = (uint8_t)(hex_value(text.ptr[i + 1]) << 4 | hex_value(text.ptr[i + 2]));
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		dst[n++] = c;
	}
	return n;
}

static int base64_value_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Lenient: foreign characters are passed over, as readers do. */
static size_t decode_b(struct span text, uint8_t *dst)
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	for (size_t i = 0; i < text.len && text.ptr[i] != '='; i++) {
		int v = base64_value_of(text.ptr[i]);

		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		held += 6;
		if (held >= 8) {
			held -= 8;
			dst[n++] = (uint8_t)(bits >> held);
		}
	}
	return n;
}

static size_t blanks_at(struct span s)
{
	size_t n = 0;

	while (n < s.len && (s.ptr[n] == ' ' || (s.ptr[n] >= '\t' && s.ptr[n] <= '\r')))
		n++;
	return n;
}

/*
 * Decodes the encoded word at the start of S and its neighbours in the same charset, together: senders cut
 * characters in two. Returns how much of S was used; 0 when none begins here.
 */
static size_t decode_words(struct clean *c, struct span s)
{
	uint8_t bytes[WORDS_BYTES_MAX];
	struct word word, first;
	size_t used = 0, n = 0, gap = 0;

	while (word_at(span_skip(s, used + gap), &word)) {
		if (word.text.len > sizeof bytes - n)
			break;
		if (used && !text_equal_nocase(word.charset, first.charset))
			break;
		if (!used)
			first = word;
		n += word.base64 ? decode_b(word.text, bytes + n) : decode_q(word.text, bytes + n);
		used += gap + word.length;
		gap = blanks_at(span_skip(s, used));
	}
	if (!used)
		return 0;
	if (!clean_charset(c, first.charset, span_of(bytes, n))) {
		clean_utf8(c, span_first(s, used)); /* as written, and all of it at once: nothing is decoded twice */
		return used;
	}
	return word_at(span_skip(s, used + gap), &word) ? used + gap : used;
}

enum err_code mime_text(struct span value, size_t max, struct buf *out, struct err *e)
{
	struct clean c;
	enum err_code rc = clean_begin(&c, out, value.len, max, e);

	if (rc)
		return rc;
	while (value.len && !c.full) {
		const uint8_t *word = memchr(value.ptr, '=', value.len);
		size_t plain = word ? (size_t)(word - value.ptr) : value.len;
		size_t used;

		clean_utf8(&c, span_first(value, plain));
		value = span_skip(value, plain);
		if (!value.len)
			break;
		used = decode_words(&c, value);
		if (!used) {
			clean_code_point(&c, '=');
			used = 1;
		}
		value = span_skip(value, used);
	}
	clean_end(&c, out);
	return ERR_OK;
}
