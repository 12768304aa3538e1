#include "engine/work/loose.h"

enum err_code loose_copy(const struct view_item *item, struct loose_item *out, struct err *e)
{
	const struct span parts[] = { item->key, item->facts, item->state, item->summary };
	enum err_code rc = ERR_OK;

	*out = (struct loose_item){ .item = *item };
	for (size_t i = 0; !rc && i < ARRAY_LEN(parts); i++) {
		rc = buf_append(&out->bytes, parts[i], e);
		out->ends[i] = out->bytes.len;
	}
	if (rc)
		buf_release(&out->bytes);
	return rc;
}

const struct view_item *loose_get(struct loose_item *l)
{
	struct span *parts[] = { &l->item.key, &l->item.facts, &l->item.state, &l->item.summary };
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		*parts[i] = span_skip(span_first(buf_span(&l->bytes), l->ends[i]), at);
		at = l->ends[i];
	}
	return &l->item;
}

void loose_release(struct loose_item *l)
{
	buf_release(&l->bytes);
}
