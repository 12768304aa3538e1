#include "mend.h"

#include <inttypes.h>

#include "base/text.h"

#define WORD_BYTES_MAX    75         /* of an encoded word (RFC 2047, 2) */
#define HEAD_LINE_MAX     (16 * KIB) /* longer ones are mended in parts of this size */
#define FIELD_FOR_NOTHING "X-Mended: "

void mend_release(struct mend *m)
{
	buf_release(&m->line);
	buf_release(&m->scratch);
}

/* ---- long lines ---- */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Where LINE, which is too long, is broken: behind a blank in its second half, else before a UTF-8 character ends badly. */
static size_t break_at(struct span line, size_t most)
{
	size_t at = most;

	for (size_t i = most; i > most / 2; i--)
		if (is_blank(line.ptr[i - 1]))
			return i;
	for (size_t i = 0; i < 3 && (line.ptr[at] & 0xc0) == 0x80; i++)
		at--;
	return at;
}

static enum err_code put_break(struct mend *m, struct buf *out, struct err *e)
{
	m->did.long_lines += !m->broken;
	m->broken = true;
	return buf_append(out, SPAN_LIT("\r\n"), e);
}

/* ---- the header ---- */

/* Length of "Name:" at the beginning; 0: the line is no field. */
static size_t name_length(struct span line)
{
	size_t i = 0;

	while (i < line.len && line.ptr[i] > ' ' && line.ptr[i] < 0x7f && line.ptr[i] != ':')
		i++;
	if (!i)
		return 0;
	while (i < line.len && is_blank(line.ptr[i]))
		i++;
	return i < line.len && line.ptr[i] == ':' ? i + 1 : 0;
}

static bool has_eight_bit(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] >= 0x80)
			return true;
	return false;
}

/* Length of the character at the start of S, which is UTF-8 when UTF8. */
static size_t character(struct span s, bool utf8)
{
	size_t n = 1;

	while (utf8 && n < s.len && (s.ptr[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static enum err_code put_q(struct span character, struct buf *out, struct err *e)
{
	static const char plain[] = "!*+-/";
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < character.len; i++) {
		uint8_t c = character.ptr[i];
		bool letter = (c >= '0' && c <= '9') || (text_lower(c) >= 'a' && text_lower(c) <= 'z');

		if (c == ' ')
			rc = buf_append(out, SPAN_LIT("_"), e);
		else if (letter || (c && strchr(plain, c)))
			rc = buf_append(out, span_of(&c, 1), e);
		else
			rc = buf_printf(out, e, "=%02X", c);
	}
	return rc;
}

/* RUN as one or more encoded words with a blank between, which is none of the text. */
static enum err_code put_words(struct span run, bool utf8, struct buf *out, struct err *e)
{
	const char *begin = utf8 ? "=?utf-8?Q?" : "=?iso-8859-1?Q?";
	size_t start = out->len;
	enum err_code rc = buf_append(out, span_cstr(begin), e);

	while (!rc && run.len) {
		size_t n = character(run, utf8), before = out->len;

		rc = put_q(span_first(run, n), out, e);
		if (!rc && out->len - start + 2 > WORD_BYTES_MAX) {
			out->len = before;
			rc = buf_printf(out, e, "?= %s", begin);
			start = before + 3;
			if (!rc)
				rc = put_q(span_first(run, n), out, e);
		}
		run = span_skip(run, n);
	}
	return rc ? rc : buf_append(out, SPAN_LIT("?="), e);
}

/* The end of the word that begins at AT. */
static size_t word_end(struct span s, size_t at)
{
	while (at < s.len && !is_blank(s.ptr[at]))
		at++;
	return at;
}

/* Words with 8-bit bytes that follow each other are encoded together, blanks between them included. */
static enum err_code encode_value(struct span s, struct buf *out, struct err *e)
{
	bool utf8 = text_is_utf8(s);
	size_t at = 0;
	enum err_code rc = ERR_OK;

	while (!rc && at < s.len) {
		size_t end = word_end(s, at), next = end;

		if (!has_eight_bit(span_of(s.ptr + at, end - at))) {
			end += end == at;
			rc = buf_append(out, span_of(s.ptr + at, end - at), e);
			at = end;
			continue;
		}
		for (;;) {
			while (next < s.len && is_blank(s.ptr[next]))
				next++;
			if (next == s.len || !has_eight_bit(span_of(s.ptr + next, word_end(s, next) - next)))
				break;
			end = next = word_end(s, next);
		}
		rc = put_words(span_of(s.ptr + at, end - at), utf8, out, e);
		at = end;
	}
	return rc;
}

/* Writes a header line in pieces that are short enough: each but the first begins with a blank, its own or one more. */
static enum err_code put_folded(struct mend *m, struct span line, struct buf *out, struct err *e)
{
	bool add = false;
	enum err_code rc = ERR_OK;

	while (!rc && line.len + add > MEND_LINE_BYTES_MAX) {
		size_t most = MEND_LINE_BYTES_MAX - add, at = most;

		while (at > most / 2 && !is_blank(line.ptr[at]))
			at--;
		if (!is_blank(line.ptr[at]))
			at = most;
		if (add)
			rc = buf_append(out, SPAN_LIT(" "), e);
		if (!rc)
			rc = buf_append(out, span_first(line, at), e);
		if (!rc)
			rc = put_break(m, out, e);
		line = span_skip(line, at);
		add = !is_blank(line.ptr[0]);
	}
	if (!rc && add)
		rc = buf_append(out, SPAN_LIT(" "), e);
	return rc ? rc : buf_append(out, line, e);
}

/* M->line is a line of the header, or the beginning of a very long one, without its end. */
static enum err_code put_head_line(struct mend *m, struct buf *out, struct err *e)
{
	struct span line = buf_span(&m->line);
	bool goes_on = line.len && is_blank(line.ptr[0]) && m->field_before;
	size_t name = goes_on ? 0 : name_length(line);
	bool bad = !goes_on && !name;
	enum err_code rc = ERR_OK;

	if (bad || has_eight_bit(line)) {
		m->did.no_fields += bad;
		m->did.eight_bit += has_eight_bit(line);
		buf_clear(&m->scratch);
		rc = buf_append(&m->scratch, bad ? SPAN_LIT(FIELD_FOR_NOTHING) : span_first(line, name), e);
		if (!rc && name && name < line.len && !is_blank(line.ptr[name]))
			rc = buf_append(&m->scratch, SPAN_LIT(" "), e); /* an encoded word stands alone */
		if (!rc)
			rc = encode_value(span_skip(line, name), &m->scratch, e);
		line = buf_span(&m->scratch);
	}
	if (!rc)
		rc = put_folded(m, line, out, e);
	m->field_before = true;
	buf_clear(&m->line);
	return rc;
}

/* ---- lines ---- */

static enum err_code end_line(struct mend *m, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (m->in_body) {
		rc = buf_append(out, buf_span(&m->line), e);
		buf_clear(&m->line);
	} else if (m->line.len) {
		rc = put_head_line(m, out, e);
	} else {
		m->in_body = true;
	}
	m->broken = false;
	return rc ? rc : buf_append(out, SPAN_LIT("\r\n"), e);
}

static enum err_code put_byte(struct mend *m, uint8_t c, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;
	size_t at;

	if (!c) {
		m->did.nuls++;
		c = m->in_body ? 0x80 : ' ';
	}
	if (m->in_body && m->line.len == MEND_LINE_BYTES_MAX) {
		at = break_at(buf_span(&m->line), MEND_LINE_BYTES_MAX - 1);
		rc = buf_append(out, span_first(buf_span(&m->line), at), e);
		if (!rc)
			rc = put_break(m, out, e);
		memmove(m->line.ptr, m->line.ptr + at, m->line.len - at);
		m->line.len -= at;
	} else if (!m->in_body && m->line.len == HEAD_LINE_MAX) {
		rc = put_head_line(m, out, e);
		if (!rc)
			rc = put_break(m, out, e);
		if (!rc)
			rc = buf_append(&m->line, SPAN_LIT(" "), e);
	}
	return rc ? rc : buf_append(&m->line, span_of(&c, 1), e);
}

/* CRs that no LF followed. */
static enum err_code settle_crs(struct mend *m, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (; !rc && m->crs; m->crs--) {
		m->did.line_ends++;
		rc = m->in_body ? end_line(m, out, e) : put_byte(m, ' ', out, e);
	}
	return rc;
}

/* Bytes that are as they may be, and within a line. */
static size_t plain_run(const struct mend *m, struct span bytes)
{
	size_t room = (m->in_body ? MEND_LINE_BYTES_MAX : HEAD_LINE_MAX) - m->line.len, n = 0;

	while (n < bytes.len && n < room && bytes.ptr[n] != '\r' && bytes.ptr[n] != '\n' && bytes.ptr[n])
		n++;
	return n;
}

enum err_code mend_add(struct mend *m, struct span bytes, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		uint8_t c = bytes.ptr[0];
		size_t n = m->crs ? 0 : plain_run(m, bytes);

		if (n) {
			rc = buf_append(&m->line, span_first(bytes, n), e);
			bytes = span_skip(bytes, n);
			continue;
		}
		bytes = span_skip(bytes, 1);
		if (c == '\r') {
			m->crs++;
			if (m->crs == UINT32_MAX)
				rc = err_set(e, ERR_LIMIT, "too many CRs in a row");
			continue;
		}
		if (c == '\n') {
			m->did.line_ends += m->crs != 1;
			m->crs = 0;
			rc = end_line(m, out, e);
			continue;
		}
		rc = settle_crs(m, out, e);
		if (!rc)
			rc = put_byte(m, c, out, e);
	}
	return rc;
}

enum err_code mend_end(struct mend *m, struct buf *out, struct err *e)
{
	enum err_code rc = settle_crs(m, out, e);

	if (!rc && m->line.len)
		rc = m->in_body ? buf_append(out, buf_span(&m->line), e) : put_head_line(m, out, e);
	buf_clear(&m->line);
	m->in_body = m->field_before = m->broken = false;
	return rc;
}

enum err_code mend_words(const struct mend_report *r, struct buf *out, struct err *e)
{
	const struct {
		uint64_t n;
		const char *one, *many;
	} parts[] = { { r->nuls, "NUL", "NULs" },
		      { r->line_ends, "bare line end", "bare line ends" },
		      { r->long_lines, "long line", "long lines" },
		      { r->eight_bit, "header line of 8-bit bytes", "header lines of 8-bit bytes" },
		      { r->no_fields, "header line that is no field", "header lines that are no fields" } };
	const char *joint = "";
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < ARRAY_LEN(parts); i++)
		if (parts[i].n) {
			rc = buf_printf(out, e, "%s%" PRIu64 " %s", joint, parts[i].n,
			                parts[i].n == 1 ? parts[i].one : parts[i].many);
			joint = ", ";
		}
	return rc;
}
