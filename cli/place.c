#include "place.h"

#include "base/text.h"
#include "item/item.h"

/* Everything that a POSIX shell, bash or zsh would not take literally in the middle of a word. */
static const char shell_special[] = " !\"$&'()*;<=>?[\\]^`{|}~";

static bool digits_at(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return true;
}

/* S begins a zone? Z, +01:00, +0100, with a space before it or not: its length, else 0. */
static size_t zone_length(const char *s)
{
	size_t n = *s == ' ' ? 1 : 0;

	if (n == 0 && (*s == 'Z' || *s == 'z'))
		return 1;
	if (s[n] != '+' && s[n] != '-')
		return 0;
	n++;
	if (!digits_at(s + n, 2))
		return 0;
	n += 2;
	if (s[n] == ':' && digits_at(s + n + 1, 2))
		return n + 3;
	return digits_at(s + n, 2) ? n + 2 : 0;
}

/* S begins with "2026-11-22T20:15"? The length of the date and time, 0 when there is no time in it. */
static size_t time_length(const char *s)
{
	size_t n = 16;

	if (!digits_at(s, 4) || s[4] != '-' || !digits_at(s + 5, 2) || s[7] != '-' || !digits_at(s + 8, 2))
		return 0;
	if ((s[10] != 'T' && s[10] != 't' && s[10] != ' ') || !digits_at(s + 11, 2) || s[13] != ':' ||
	    !digits_at(s + 14, 2))
		return 0;
	if (s[n] == ':' && digits_at(s + n + 1, 2) && (s[n + 3] < '0' || s[n + 3] > '9')) {
		n += 3;
		if (s[n] == '.')
			for (n++; s[n] >= '0' && s[n] <= '9'; n++)
				;
	}
	return n + zone_length(s + n);
}

/* Where SNAP ends: its ':' or the end of the text. An account before it may hold '@' itself. */
static size_t snapshot_length(const char *text)
{
	size_t plain = strcspn(text, ":"), start = 0;

	for (size_t i = 0; i < plain; i++)
		if (text[i] == '@')
			start = i + 1;
	return start + time_length(text + start) + strcspn(text + start + time_length(text + start), ":");
}

static enum err_code decode(struct span text, size_t max, const char *what, struct buf *out, struct err *e)
{
	enum err_code rc = text_unpercent(out, text, e);

	if (rc)
		return err_note(e, "in the %s", what);
	if (out->len > max)
		return err_set(e, ERR_USAGE, "the %s is longer than %zu bytes", what, max);
	return ERR_OK;
}

enum err_code place_parse(const char *text, struct place *out, struct err *e)
{
	size_t snapshot_len = snapshot_length(text);
	const char *rest = text + snapshot_len, *hash;
	enum err_code rc;

	if (snapshot_len == 0)
		return err_set(e, ERR_USAGE, "a snapshot is missing before ':' (write latest:COLLECTION, or an id)");
	rc = buf_append(&out->snapshot, span_of(text, snapshot_len), e);
	if (!rc)
		rc = buf_append(&out->snapshot, span_of("", 1), e);
	if (rc)
		return rc;
	out->snapshot.len--;
	if (!*rest || !rest[1])
		return ERR_OK;
	rest++;
	hash = strchr(rest, '#');
	out->has_collection = true;
	rc = decode(span_of(rest, hash ? (size_t)(hash - rest) : strlen(rest)), COLLECTION_PATH_BYTES_MAX, "collection",
	            &out->collection, e);
	if (rc || !hash)
		return rc;
	if (out->collection.len == 0 || !hash[1])
		return err_set(e, ERR_USAGE,
		               "a %s is missing beside '#' (write SNAP:COLLECTION#KEY, or %%23 for a '#')",
		               hash[1] ? "collection" : "key");
	out->has_key = true;
	return decode(span_cstr(hash + 1), ITEM_KEY_BYTES_MAX, "key", &out->key, e);
}

void place_release(struct place *p)
{
	buf_release(&p->snapshot);
	buf_release(&p->collection);
	buf_release(&p->key);
	p->has_collection = p->has_key = false;
}

enum err_code place_print_name(struct buf *out, struct span name, struct err *e)
{
	char extra[sizeof shell_special + 2];

	memcpy(extra, shell_special, sizeof shell_special - 1);
	memcpy(extra + sizeof shell_special - 1, "#:", 3);
	return text_percent(out, name, extra, e);
}

enum err_code place_print(struct buf *out, const char *snapshot, struct span collection, struct span key, struct err *e)
{
	enum err_code rc = buf_printf(out, e, "%s:", snapshot);

	if (!rc)
		rc = place_print_name(out, collection, e);
	if (!rc && key.ptr) {
		rc = buf_append(out, SPAN_LIT("#"), e);
		if (!rc)
			rc = place_print_name(out, key, e);
	}
	return rc;
}

enum err_code shell_quote(struct buf *out, struct span text, struct err *e)
{
	bool plain = text.len > 0 && text.ptr[0] != '#';
	enum err_code rc;

	for (size_t i = 0; i < text.len && plain; i++)
		plain = text.ptr[i] > ' ' && text.ptr[i] != 0x7f && !strchr(shell_special, text.ptr[i]);
	if (plain)
		return buf_append(out, text, e);
	rc = buf_append(out, SPAN_LIT("'"), e);
	for (size_t i = 0; i < text.len && !rc; i++)
		rc = text.ptr[i] == '\'' ? buf_append(out, SPAN_LIT("'\\''"), e)
		                         : buf_append(out, span_of(text.ptr + i, 1), e);
	return rc ? rc : buf_append(out, SPAN_LIT("'"), e);
}
