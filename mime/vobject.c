#include "base/clock.h"
#include "base/num.h"
#include "base/text.h"
#include "mime.h"

#define LINE_BYTES_MAX (64 * KIB)

struct vobject_lines vobject_lines_of(struct span s)
{
	return (struct vobject_lines){ s, BUF_WITH_MAX(LINE_BYTES_MAX) };
}

void vobject_lines_release(struct vobject_lines *it)
{
	buf_release(&it->scratch);
}

/* One unfolded line into SCRATCH, cut at its limit. */
static enum err_code unfold(struct vobject_lines *it, struct err *e)
{
	bool more;

	buf_clear(&it->scratch);
	do {
		const uint8_t *lf = it->left.len ? memchr(it->left.ptr, '\n', it->left.len) : NULL;
		size_t n = lf ? (size_t)(lf - it->left.ptr) : it->left.len;
		struct span line = span_first(it->left, n);
		enum err_code rc;

		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		rc = buf_append(&it->scratch, span_first(line, LINE_BYTES_MAX - it->scratch.len), e);
		if (rc)
			return rc;
		it->left = span_skip(it->left, n + 1);
		more = it->left.len && (it->left.ptr[0] == ' ' || it->left.ptr[0] == '\t');
		if (more)
			it->left = span_skip(it->left, 1);
	} while (more);
	return ERR_OK;
}

/* "item1.TEL;TYPE="a:b":123": NAME ends at ';' or ':', the parameters at the first ':' outside quotes. */
static bool split_line(struct buf *line, struct vobject_line *out)
{
	struct span s = buf_span(line);
	size_t name = 0, colon, group = 0;
	bool quoted = false;

	while (name < s.len && s.ptr[name] != ':' && s.ptr[name] != ';') {
		if (s.ptr[name] == '.')
			group = name + 1;
		name++;
	}
	for (colon = name; colon < s.len && (quoted || s.ptr[colon] != ':'); colon++)
		quoted ^= s.ptr[colon] == '"';
	if (colon == s.len || name == group)
		return false;
	for (size_t i = group; i < name; i++)
		if (line->ptr[i] >= 'a' && line->ptr[i] <= 'z')
			line->ptr[i] = (uint8_t)(line->ptr[i] - 32);
	out->name = span_of(s.ptr + group, name - group);
	out->params = colon > name ? span_of(s.ptr + name + 1, colon - name - 1) : SPAN_EMPTY;
	out->value = span_skip(s, colon + 1);
	return true;
}

enum err_code vobject_lines_next(struct vobject_lines *it, struct vobject_line *out, bool *more, struct err *e)
{
	*more = false;
	while (it->left.len && !*more) {
		enum err_code rc = unfold(it, e);

		if (rc)
			return rc;
		*more = split_line(&it->scratch, out);
	}
	return ERR_OK;
}

static bool digits(struct span s, size_t at, size_t n, int *out)
{
	uint64_t value;

	if (!text_number(span_of(s.ptr + at, n), 9999, &value))
		return false;
	*out = (int)value;
	return true;
}

bool vobject_time(struct span value, int64_t *time_ms)
{
	int year, month, day, hour = 0, minute = 0, second = 0;

	while (value.len && value.ptr[0] == ' ')
		value = span_skip(value, 1);
	while (value.len && value.ptr[value.len - 1] == ' ')
		value.len--;
	if (value.len < 8 || !digits(value, 0, 4, &year) || !digits(value, 4, 2, &month) || !digits(value, 6, 2, &day))
		return false;
	if (value.len > 8) {
		if (value.len < 15 || value.len > 16 || value.ptr[8] != 'T' || !digits(value, 9, 2, &hour) ||
		    !digits(value, 11, 2, &minute) || !digits(value, 13, 2, &second))
			return false;
		if (value.len == 16 && value.ptr[15] != 'Z')
			return false;
		second = second == 60 ? 59 : second;
	}
	return clock_civil(year, month, day, hour, minute, second, 0, time_ms);
}
