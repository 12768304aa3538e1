#include "mime.h"

/* The first line of S with its line end. */
static struct span line_of(struct span s)
{
	const uint8_t *lf = s.len ? memchr(s.ptr, '\n', s.len) : NULL;

	return span_first(s, lf ? (size_t)(lf + 1 - s.ptr) : s.len);
}

static bool is_empty_line(struct span line)
{
	return (line.len == 1 && line.ptr[0] == '\n') || (line.len == 2 && line.ptr[0] == '\r' && line.ptr[1] == '\n');
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

size_t mime_header_length(struct span s)
{
	struct span left = s;

	while (left.len) {
		struct span line = line_of(left);

		left = span_skip(left, line.len);
		if (is_empty_line(line))
			break;
	}
	return s.len - left.len;
}

struct mime_fields mime_fields_of(struct span header)
{
	return (struct mime_fields){ header };
}

/* Splits a whole folded field. False when it has no name: an mbox line, or damage. */
static bool field_split(struct span field, struct mime_field *out)
{
	size_t n = 0, value;

	while (n < field.len && field.ptr[n] > ' ' && field.ptr[n] < 0x7f && field.ptr[n] != ':')
		n++;
	value = n;
	while (value < field.len && is_blank(field.ptr[value]))
		value++;
	if (n == 0 || value == field.len || field.ptr[value] != ':')
		return false;
	out->name = span_first(field, n);
	field = span_skip(field, value + 1);
	while (field.len && is_blank(field.ptr[0]))
		field = span_skip(field, 1);
	while (field.len && (field.ptr[field.len - 1] <= ' '))
		field.len--;
	out->value = field;
	return true;
}

bool mime_fields_next(struct mime_fields *it, struct mime_field *out)
{
	while (it->left.len) {
		struct span line = line_of(it->left);
		struct span left = span_skip(it->left, line.len);
		struct span field = line;

		if (is_empty_line(line)) {
			it->left = SPAN_EMPTY;
			return false;
		}
		while (left.len && is_blank(left.ptr[0])) {
			line = line_of(left);
			field.len += line.len;
			left = span_skip(left, line.len);
		}
		it->left = left;
		if (field_split(field, out))
			return true;
	}
	return false;
}
