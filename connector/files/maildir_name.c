#include "maildir_name.h"

#include "base/text.h"
#include "safe_name.h"

size_t maildir_base_length(struct span name)
{
	static const char *const marks[] = { ":2,", ";2,", "!2," };
	const uint8_t *at;

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		at = name.len ? memmem(name.ptr, name.len, marks[i], 3) : NULL;
		if (at && at != name.ptr)
			return (size_t)(at - name.ptr);
	}
	at = name.len ? memrchr(name.ptr, ':', name.len) : NULL;
	return at && at != name.ptr ? (size_t)(at - name.ptr) : name.len;
}

struct span maildir_flags(struct span suffix)
{
	if (suffix.len >= 3 && suffix.ptr[1] == '2' && suffix.ptr[2] == ',')
		return span_skip(suffix, 3);
	return SPAN_EMPTY;
}

enum err_code maildir_path(struct span raw, struct buf *out, struct err *e)
{
	bool at_start = true, dotted = false;

	if (raw.len == 0)
		return buf_append(out, SPAN_LIT("INBOX"), e);
	for (size_t i = 0; i < raw.len; i++) {
		uint8_t c = raw.ptr[i];
		enum err_code rc = ERR_OK;

		if (at_start && c == '.') {
			dotted = true;
			at_start = false;
			continue;
		}
		if (c == '/')
			dotted = false;
		at_start = c == '/';
		if (dotted && c == '.')
			c = '/';
		rc = buf_append(out, span_of(&c, 1), e);
		if (rc)
			return rc;
	}
	return ERR_OK;
}

enum err_code maildir_raw(struct span path, struct buf *out, struct err *e)
{
	struct buf safe = BUF_EMPTY;
	enum err_code rc;
	struct span left;

	rc = safe_path(path, NAME_PORTABLE, &safe, e);
	left = buf_span(&safe);
	if (text_equal_nocase(left, SPAN_LIT("INBOX")) || left.len == 0 || span_equal(left, SPAN_LIT("%2e")))
		left = SPAN_EMPTY; /* "." is the root of a tree of files */
	for (size_t i = 0; i < left.len && !rc; i++) {
		uint8_t c = left.ptr[i];

		if (i == 0)
			rc = buf_append(out, SPAN_LIT("."), e);
		if (!rc && c == '.')
			rc = buf_append(out, SPAN_LIT("%2e"), e);
		else if (!rc)
			rc = buf_append(out, c == '/' ? SPAN_LIT(".") : span_of(&c, 1), e);
	}
	buf_release(&safe);
	return rc;
}
