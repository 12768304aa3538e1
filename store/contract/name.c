/* name: which names objects may have, names that nobody else draws, and names that were found. */
#include "contract.h"
#include "base/text.h"

#include <stdio.h>
#include <unistd.h>

bool store_name_part_ok(struct span part)
{
	if (part.len == 0 || part.len > STORE_PART_MAX || part.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < part.len; i++) {
		uint8_t c = part.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}

bool store_name_ok(const char *name)
{
	const char *part = name;

	if (strnlen(name, STORE_NAME_MAX + 1) > STORE_NAME_MAX)
		return false;
	for (;;) {
		const char *end = strchrnul(part, '/');

		if (!store_name_part_ok(span_of(part, (size_t)(end - part))))
			return false;
		/* What lies in tmp/ is no object, so no object may be asked for there. */
		if (part == name && span_equal(span_of(part, (size_t)(end - part)), SPAN_LIT(STORE_TEMP_FOLDER)))
			return false;
		if (!*end)
			return true;
		part = end + 1;
	}
}

bool store_temp_name(char out[STORE_TEMP_NAME_MAX])
{
	uint8_t random[12];
	char digits[2 * sizeof random + 1];

	if (getentropy(random, sizeof random) != 0)
		return false;
	text_hex(span_of(random, sizeof random), digits);
	digits[2 * sizeof random] = 0;
	snprintf(out, STORE_TEMP_NAME_MAX, STORE_TEMP_FOLDER "/%s", digits);
	return true;
}

enum err_code store_damaged_name(const char *name, char out[STORE_NAME_MAX + 1], struct err *e)
{
	char random[STORE_TEMP_NAME_MAX];
	int used;

	if (!store_temp_name(random))
		return err_set(e, ERR_IO, "the system has no random numbers");
	used = snprintf(out, STORE_NAME_MAX + 1, STORE_DAMAGED_FOLDER "/%s.%.8s", name,
	                random + sizeof STORE_TEMP_FOLDER);
	if (used > STORE_NAME_MAX)
		return err_set(e, ERR_LIMIT, "the name of %s is too long to keep its damaged object", name);
	return ERR_OK;
}

enum err_code store_found_add(struct buf *found, const char *name, uint64_t bytes, struct err *e)
{
	enum err_code rc = buf_append(found, span_of(name, strlen(name) + 1), e);

	return rc ? rc : buf_append(found, span_of(&bytes, sizeof bytes), e);
}

enum err_code store_found_visit(const struct buf *found, store_visit visit, void *ctx, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t at = 0; !rc && at < found->len;) {
		const char *name = (const char *)found->ptr + at;
		uint64_t bytes;

		at += strlen(name) + 1;
		memcpy(&bytes, found->ptr + at, sizeof bytes);
		at += sizeof bytes;
		rc = visit(ctx, name, bytes, e);
	}
	return rc;
}
