/*
 * Attachment names. The parameters of a field are kept as spans; only the one name that is told is decoded.
 */
#include "base/num.h"
#include "base/text.h"
#include "charset.h"
#include "mime.h"

#define NAMES_MAX       64
#define NAME_BYTES_MAX  255
#define SECTIONS_MAX    32 /* RFC 2231 continuations of one name */
#define FIELD_BYTES_MAX (16 * KIB)
#define RAW_BYTES_MAX   2048 /* a name before its charset is decoded */

struct section {
	struct span value;
	bool present;
	bool quoted;
	bool extended; /* percent-encoded */
};

struct parameter {
	struct section plain;                  /* name=… */
	struct section sections[SECTIONS_MAX]; /* name*=… (as 0), name*0=…, name*1*=… */
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span trim(struct span s)
{
	while (s.len && is_blank(s.ptr[0]))
		s = span_skip(s, 1);
	while (s.len && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/* The value at the start of S: a quoted string without its quotes, or everything up to ';'. Moves S behind it. */
static struct section take_value(struct span *s)
{
	struct section got = { .present = true };
	size_t n = 0;

	*s = trim(*s);
	if (s->len && s->ptr[0] == '"') {
		for (n = 1; n < s->len && s->ptr[n] != '"'; n++)
			if (s->ptr[n] == '\\' && n + 1 < s->len)
				n++;
		got.quoted = true;
		got.value = span_of(s->ptr + 1, n - 1);
		*s = span_skip(*s, n + 1);
	}
	n = 0;
	while (n < s->len && s->ptr[n] != ';')
		n++;
	if (!got.quoted)
		got.value = trim(span_first(*s, n));
	*s = span_skip(*s, n);
	return got;
}

/* Puts a value where ATTRIBUTE ("filename", "filename*", "filename*1*") says. */
static void parameter_set(struct parameter *p, struct span suffix, struct section value)
{
	uint64_t index = 0;

	if (suffix.len == 0) {
		if (!p->plain.present)
			p->plain = value;
		return;
	}
	if (suffix.ptr[0] != '*')
		return;
	suffix = span_skip(suffix, 1);
	value.extended = suffix.len == 0 || suffix.ptr[suffix.len - 1] == '*';
	if (suffix.len && value.extended)
		suffix.len--;
	if (suffix.len && !text_number(suffix, SECTIONS_MAX - 1, &index))
		return;
	if (!p->sections[index].present)
		p->sections[index] = value;
}

/* Gathers the parameter NAME of a field value. */
static void parameter_find(struct span value, struct span name, struct parameter *out)
{
	const uint8_t *semicolon = value.len ? memchr(value.ptr, ';', value.len) : NULL;

	memset(out, 0, sizeof *out);
	value = semicolon ? span_skip(value, (size_t)(semicolon - value.ptr)) : SPAN_EMPTY;
	while (value.len) {
		struct span attribute;
		size_t n = 0;

		value = trim(span_skip(value, 1)); /* the ';' */
		while (n < value.len && value.ptr[n] != '=' && value.ptr[n] != ';')
			n++;
		attribute = trim(span_first(value, n));
		value = span_skip(value, n);
		if (!value.len || value.ptr[0] == ';')
			continue;
		value = span_skip(value, 1); /* the '=' */
		struct section got = take_value(&value);

		if (attribute.len >= name.len && text_equal_nocase(span_first(attribute, name.len), name))
			parameter_set(out, span_skip(attribute, name.len), got);
	}
}

static size_t unescape(struct section s, uint8_t *dst, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < s.value.len && n < room; i++) {
		uint8_t c = s.value.ptr[i], byte;

		if (s.quoted && c == '\\' && i + 1 < s.value.len) {
			c = s.value.ptr[++i];
		} else if (s.extended && c == '%' && s.value.len - i > 2 &&
		           text_unhex(span_of(s.value.ptr + i + 1, 2), &byte, 1)) {
			c = byte;
			i += 2;
		}
		dst[n++] = c;
	}
	return n;
}

/* "utf-8'de'…": takes charset and language off the first section. */
static struct span take_charset(struct section *first)
{
	struct span v = first->value, charset;
	const uint8_t *one = v.len ? memchr(v.ptr, '\'', v.len) : NULL, *two;

	if (!one)
		return SPAN_EMPTY;
	charset = span_first(v, (size_t)(one - v.ptr));
	v = span_skip(v, charset.len + 1);
	two = v.len ? memchr(v.ptr, '\'', v.len) : NULL;
	if (!two)
		return SPAN_EMPTY;
	first->value = span_skip(v, (size_t)(two + 1 - v.ptr));
	return charset;
}

/* Decodes a gathered parameter to OUT, which is cleared; empty when there is none. */
static enum err_code parameter_decode(struct parameter *p, struct buf *out, struct err *e)
{
	uint8_t raw[RAW_BYTES_MAX];
	struct span charset = SPAN_EMPTY;
	struct clean c;
	size_t n = 0;
	enum err_code rc;

	buf_clear(out);
	if (!p->sections[0].present) {
		if (!p->plain.present)
			return ERR_OK;
		n = unescape(p->plain, raw, sizeof raw);
		return mime_text(span_of(raw, n), NAME_BYTES_MAX, out, e);
	}
	if (p->sections[0].extended)
		charset = take_charset(&p->sections[0]);
	for (size_t i = 0; i < SECTIONS_MAX && p->sections[i].present; i++)
		n += unescape(p->sections[i], raw + n, sizeof raw - n);
	rc = clean_begin(&c, out, n, NAME_BYTES_MAX, e);
	if (rc)
		return rc;
	if (!charset.len || !clean_charset(&c, charset, span_of(raw, n)))
		clean_utf8(&c, span_of(raw, n));
	clean_end(&c, out);
	return ERR_OK;
}

/* The name of the part whose header is being read. */
struct naming {
	mime_name_found found;
	void *ctx;
	size_t count;
	bool from_disposition; /* filename= wins over name= */
	struct buf name;
	struct buf other;
};

static enum err_code naming_tell(struct naming *n, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (n->name.len && n->count < NAMES_MAX) {
		n->count++;
		rc = n->found(n->ctx, buf_span(&n->name), e);
	}
	buf_clear(&n->name);
	n->from_disposition = false;
	return rc;
}

static bool starts_nocase(struct span s, struct span prefix)
{
	return s.len >= prefix.len && text_equal_nocase(span_first(s, prefix.len), prefix);
}

static enum err_code naming_field(struct naming *n, struct span field, struct err *e)
{
	bool disposition = starts_nocase(field, SPAN_LIT("content-disposition:"));
	struct parameter parameter;
	struct buf swap;
	enum err_code rc;

	if ((!disposition && !starts_nocase(field, SPAN_LIT("content-type:"))) || n->from_disposition)
		return ERR_OK;
	parameter_find(span_first(field, FIELD_BYTES_MAX), disposition ? SPAN_LIT("filename") : SPAN_LIT("name"),
	               &parameter);
	rc = parameter_decode(&parameter, &n->other, e);
	if (rc || !n->other.len)
		return rc;
	swap = n->name;
	n->name = n->other;
	n->other = swap;
	n->from_disposition = disposition;
	return ERR_OK;
}

/* The length of the line at the start of S with the folded lines behind it. */
static size_t field_length(struct span s)
{
	size_t n = 0;

	do {
		const uint8_t *lf = memchr(s.ptr + n, '\n', s.len - n);

		n = lf ? (size_t)(lf + 1 - s.ptr) : s.len;
	} while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '\t'));
	return n;
}

enum err_code mime_part_names(struct span text, mime_name_found found, void *ctx, struct err *e)
{
	struct naming n = { .found = found, .ctx = ctx };
	enum err_code rc = ERR_OK;

	while (!rc && text.len && n.count < NAMES_MAX) {
		const uint8_t *lf;
		size_t length;

		if (text_lower(text.ptr[0]) == 'c' && starts_nocase(text, SPAN_LIT("content-"))) {
			length = field_length(text);
			rc = naming_field(&n, span_first(text, length), e);
		} else {
			lf = memchr(text.ptr, '\n', text.len);
			length = lf ? (size_t)(lf + 1 - text.ptr) : text.len;
			if (length <= 2 || text.ptr[0] == '-')
				rc = naming_tell(&n, e); /* the header of this part, or the part, has ended */
		}
		text = span_skip(text, length);
	}
	if (!rc)
		rc = naming_tell(&n, e);
	buf_release(&n.name);
	buf_release(&n.other);
	return rc;
}
