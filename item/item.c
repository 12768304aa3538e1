#include "item.h"

#include <assert.h>

#include "base/rd.h"
#include "base/wr.h"

static const char *const kind_names[] = {
	NULL, "mail", "event", "task", "contact", "note", "rule", "settings", "other"
};
static const char *const role_names[] = { "", "inbox", "sent", "drafts", "trash", "junk", "archive" };

const char *item_kind_name(enum item_kind kind)
{
	return kind >= KIND_MAIL && kind <= KIND_OTHER ? kind_names[kind] : "other";
}

bool item_kind_of_name(struct span name, enum item_kind *out)
{
	for (unsigned kind = KIND_MAIL; kind <= KIND_OTHER; kind++)
		if (span_equal(name, span_cstr(kind_names[kind]))) {
			*out = (enum item_kind)kind;
			return true;
		}
	return false;
}

const char *collection_role_name(enum collection_role role)
{
	return (size_t)role < ARRAY_LEN(role_names) ? role_names[role] : "";
}

/* Reads the next field. LEAST is the lowest tag that may come; false at the end, or when damaged (R is then bad). */
static bool field_next(struct rd *r, uint64_t *least, uint32_t *tag, struct span *value)
{
	uint64_t got;

	if (r->bad || !r->left.len)
		return false;
	got = rd_var(r);
	if (got < *least || got > UINT32_MAX)
		r->bad = true;
	*value = rd_blob(r, SIZE_MAX);
	*tag = (uint32_t)got;
	*least = got + 1;
	return !r->bad;
}

bool fields_get(struct span fields, uint32_t tag, struct span *out)
{
	struct rd r = rd_of(fields);
	uint64_t least = 0;
	struct span value;
	uint32_t got;

	while (field_next(&r, &least, &got, &value) && got <= tag)
		if (got == tag) {
			*out = value;
			return true;
		}
	return false;
}

bool fields_get_u64(struct span fields, uint32_t tag, uint64_t *out)
{
	struct span value;
	struct rd r;

	if (!fields_get(fields, tag, &value) || value.len < 1 || value.len > 8)
		return false;
	r = rd_of(value);
	*out = rd_uint(&r, value.len);
	return true;
}

enum err_code fields_add(struct buf *fields, uint32_t tag, struct span value, struct err *e)
{
	struct wr w = wr_to(fields, e);
	size_t before = fields->len;
	enum err_code rc;

	wr_var(&w, tag);
	wr_blob(&w, value);
	rc = wr_end(&w);
	if (rc)
		fields->len = before; /* never half a field */
	return rc;
}

enum err_code fields_add_u64(struct buf *fields, uint32_t tag, uint64_t value, size_t bytes, struct err *e)
{
	uint8_t le[8];

	assert(bytes >= 1 && bytes <= 8);
	for (size_t i = 0; i < bytes; i++)
		le[i] = (uint8_t)(value >> (8 * i));
	return fields_add(fields, tag, span_of(le, bytes), e);
}

bool fields_check(struct span fields)
{
	struct rd r = rd_of(fields);
	uint64_t least = 0;
	struct span value;
	uint32_t tag;

	while (field_next(&r, &least, &tag, &value))
		;
	return rd_done(&r);
}

enum err_code item_give(const struct item_receiver *r, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && bytes.len) {
		uint8_t *dst;
		size_t room;

		rc = r->space(r->ctx, bytes.len, &dst, &room, e);
		if (rc)
			break;
		room = room < bytes.len ? room : bytes.len;
		memcpy(dst, bytes.ptr, room);
		rc = r->add(r->ctx, room, e);
		bytes = span_skip(bytes, room);
	}
	return rc;
}
