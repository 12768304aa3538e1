#include "account_name.h"

#include <stdlib.h>

#include "base/text.h"

/* Names that tell what is in a folder and not whose it is. */
static const char *const says_nothing[] = { "maildir", ".maildir", "mail", ".mail", "mbox",    ".mbox",
	                                    "inbox",   "cur",      "new",  "mails", "messages" };

static bool tells_nobody(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(says_nothing); i++)
		if (text_equal_nocase(name, span_cstr(says_nothing[i])))
			return true;
	return name.len == 0;
}

/* The last part of PATH, which gets shorter by it. */
static struct span take_last(struct span *path)
{
	size_t end, start;

	while (path->len && path->ptr[path->len - 1] == '/')
		path->len--;
	end = start = path->len;
	while (start && path->ptr[start - 1] != '/')
		start--;
	path->len = start;
	return span_of(path->ptr + start, end - start);
}

enum err_code account_name_of_path(const char *path, struct buf *out, struct err *e)
{
	struct span left = span_cstr(path), last = take_last(&left), name = last;
	enum err_code rc = ERR_OK;

	while (tells_nobody(name) && left.len)
		name = take_last(&left);
	if (name.len == 0)
		name = last.len ? last : SPAN_LIT("mail");
	name = span_first(name, ACCOUNT_NAME_BYTES_MAX);
	for (size_t i = 0; i < name.len && !rc; i++) {
		uint8_t byte = name.ptr[i];

		if (byte < 0x20 || byte == 0x7f || byte == ':' || byte == '#' || byte == ' ')
			byte = '_';
		rc = buf_append(out, span_of(&byte, 1), e);
	}
	if (!rc)
		rc = buf_append(out, span_of("", 1), e);
	if (!rc)
		out->len--;
	return rc;
}

enum err_code account_name_of_source(const char *source, struct buf *out, struct err *e)
{
	static const char *const schemes[] = { "maildir:", "mbox:", "files:" };
	const char *path = source;
	enum err_code rc;
	const char *at = strchr(source, '@'), *user = strstr(source, "://");
	struct buf plain = BUF_WITH_MAX(ACCOUNT_NAME_BYTES_MAX);
	char *real;

	/* At a server it is whoever logs in; what a ':' is doing there is told when the source is opened. */
	if (user && at && at > user + 3) {
		rc = text_unpercent(&plain, span_of(user + 3, strcspn(user + 3, ":@")), e);
		if (!rc)
			rc = buf_append(out, buf_span(&plain), e);
		if (!rc)
			rc = buf_append(out, span_of("", 1), e);
		if (!rc)
			out->len--;
		buf_release(&plain);
		return rc ? rc : account_name_check((const char *)out->ptr, e);
	}
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (!strncmp(source, schemes[i], strlen(schemes[i])))
			path = source + strlen(schemes[i]);
	real = realpath(path, NULL);
	rc = account_name_of_path(real ? real : path, out, e);
	free(real);
	return rc;
}

enum err_code account_name_check(const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (len == 0 || len > ACCOUNT_NAME_BYTES_MAX)
		return err_set(e, ERR_USAGE, "an account name has 1 to %d bytes", ACCOUNT_NAME_BYTES_MAX);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == ':' || name[i] == '#')
			return err_set(e, ERR_USAGE, "an account name holds no ':', no '#' and no control bytes");
	return ERR_OK;
}
