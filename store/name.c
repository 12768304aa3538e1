#include "store_internal.h"
#include "base/text.h"

bool name_part_ok(struct span part)
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

static bool name_ok(const char *name)
{
	const char *part = name;

	if (strnlen(name, STORE_NAME_MAX + 1) > STORE_NAME_MAX)
		return false;
	for (;;) {
		const char *end = strchrnul(part, '/');

		if (!name_part_ok(span_of(part, (size_t)(end - part))))
			return false;
		/* What lies in tmp/ is no object, so no object may be asked for there. */
		if (part == name && span_equal(span_of(part, (size_t)(end - part)), SPAN_LIT(TEMP_FOLDER)))
			return false;
		if (!*end)
			return true;
		part = end + 1;
	}
}

enum err_code name_check(const char *name, struct err *e)
{
	if (name_ok(name))
		return ERR_OK;
	return err_set(e, ERR_USAGE, "'%s' cannot be the name of an object",
	               text_name(span_of(name, strnlen(name, STORE_NAME_MAX + 1))).text);
}
