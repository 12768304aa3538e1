#include "outline.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

#define BLOCK_BYTES (64 * KIB)

struct outline_block {
	struct outline_block *next;
	size_t used, cap;
	uint8_t bytes[];
};

static enum err_code keep(struct outline *o, struct span s, struct span *out, struct err *e)
{
	struct outline_block *block = o->blocks;

	if (s.len > OUTLINE_BYTES_MAX - o->bytes)
		return err_set(e, ERR_LIMIT, "folder names and settings take more than %zu MiB",
		               OUTLINE_BYTES_MAX / MIB);
	if (!block || block->cap - block->used < s.len) {
		size_t cap = num_max(BLOCK_BYTES, s.len);

		block = mem_alloc(sizeof *block + cap);
		if (!block)
			return err_no_memory(e, sizeof *block + cap);
		*block = (struct outline_block){ .next = o->blocks, .cap = cap };
		o->blocks = block;
	}
	if (s.len)
		memcpy(block->bytes + block->used, s.ptr, s.len);
	*out = span_of(block->bytes + block->used, s.len);
	block->used += s.len;
	o->bytes += s.len;
	return ERR_OK;
}

static enum err_code grow_list(struct outline *o, struct err *e)
{
	size_t cap = o->cap ? o->cap * 2 : 16;
	struct collection *collections;
	struct span *raws;

	if (o->count < o->cap)
		return ERR_OK;
	if (o->count >= OUTLINE_COUNT_MAX)
		return err_set(e, ERR_LIMIT, "more than %u folders", OUTLINE_COUNT_MAX);
	collections = mem_grow(o->collections, cap * sizeof *collections);
	if (!collections)
		return err_no_memory(e, cap * sizeof *collections);
	o->collections = collections;
	raws = mem_grow(o->raws, cap * sizeof *raws);
	if (!raws)
		return err_no_memory(e, cap * sizeof *raws);
	o->raws = raws;
	o->cap = cap;
	return ERR_OK;
}

enum err_code outline_add(struct outline *o, struct span path, struct span raw, enum item_kind kind, struct err *e)
{
	struct collection c = { .kind = kind, .role = outline_role(path) };
	enum err_code rc;
	struct span own;

	rc = grow_list(o, e);
	if (!rc)
		rc = keep(o, path, &c.path, e);
	if (!rc)
		rc = keep(o, raw, &own, e);
	if (rc)
		return rc;
	o->collections[o->count] = c;
	o->raws[o->count++] = own;
	return ERR_OK;
}

enum err_code outline_attribute(struct outline *o, struct span name, struct span value, struct err *e)
{
	return outline_attribute_of(o, o->count - 1, name, value, e);
}

enum err_code outline_attribute_of(struct outline *o, size_t i, struct span name, struct span value, struct err *e)
{
	struct collection *c = &o->collections[i];
	struct attribute *list = (struct attribute *)c->attributes;
	struct attribute got;
	enum err_code rc;

	/* Grown at powers of two: the count alone tells when it is full. */
	if ((c->attribute_count & (c->attribute_count - 1)) == 0) {
		size_t cap = c->attribute_count ? c->attribute_count * 2 : 1;

		list = mem_grow(list, cap * sizeof *list);
		if (!list)
			return err_no_memory(e, cap * sizeof *list);
		c->attributes = list;
	}
	rc = keep(o, name, &got.name, e);
	if (!rc)
		rc = keep(o, value, &got.value, e);
	if (!rc)
		list[c->attribute_count++] = got;
	return rc;
}

struct outline_pair {
	struct collection c;
	struct span raw;
};

static int compare_pairs(const void *a, const void *b)
{
	const struct outline_pair *x = a, *y = b;
	int order = span_compare(x->c.path, y->c.path);

	return order ? order : span_compare(x->raw, y->raw);
}

static enum err_code sort(struct outline *o, struct err *e)
{
	struct outline_pair *pairs = mem_zalloc(o->count, sizeof *pairs);

	if (!pairs)
		return err_no_memory(e, o->count * sizeof *pairs);
	for (size_t i = 0; i < o->count; i++)
		pairs[i] = (struct outline_pair){ o->collections[i], o->raws[i] };
	qsort(pairs, o->count, sizeof *pairs, compare_pairs);
	for (size_t i = 0; i < o->count; i++) {
		o->collections[i] = pairs[i].c;
		o->raws[i] = pairs[i].raw;
	}
	mem_free(pairs);
	return ERR_OK;
}

/* Raw names are unique and no plain path begins with "./", so one round is enough. */
static enum err_code part_twins(struct outline *o, bool *changed, struct err *e)
{
	struct buf path = BUF_EMPTY;
	struct span first = SPAN_EMPTY;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < o->count && !rc; i++) {
		if (i == 0 || !span_equal(o->collections[i].path, first)) {
			first = o->collections[i].path;
			continue;
		}
		buf_clear(&path);
		rc = buf_append(&path, SPAN_LIT("./"), e);
		if (!rc)
			rc = buf_append(&path, o->raws[i], e);
		if (!rc)
			rc = keep(o, buf_span(&path), &o->collections[i].path, e);
		*changed = true;
	}
	buf_release(&path);
	return rc;
}

enum err_code outline_finish(struct outline *o, struct err *e)
{
	bool changed = false;
	enum err_code rc = sort(o, e);

	if (!rc)
		rc = part_twins(o, &changed, e);
	if (!rc && changed)
		rc = sort(o, e);
	return rc;
}

void outline_release(struct outline *o)
{
	while (o->blocks) {
		struct outline_block *next = o->blocks->next;

		mem_free(o->blocks);
		o->blocks = next;
	}
	for (size_t i = 0; i < o->count; i++)
		mem_free((void *)o->collections[i].attributes);
	mem_free(o->collections);
	mem_free(o->raws);
	*o = OUTLINE_EMPTY;
}

bool outline_find(const struct collection *c, struct span name, struct span *value)
{
	for (size_t i = 0; i < c->attribute_count; i++)
		if (span_equal(c->attributes[i].name, name)) {
			*value = c->attributes[i].value;
			return true;
		}
	return false;
}

enum collection_role outline_role(struct span path)
{
	static const struct {
		const char *name;
		enum collection_role role;
	} known[] = {
		{ "INBOX", ROLE_INBOX },         { "Sent", ROLE_SENT },
		{ "Sent Items", ROLE_SENT },     { "Sent Messages", ROLE_SENT },
		{ "Drafts", ROLE_DRAFTS },       { "Trash", ROLE_TRASH },
		{ "Deleted Items", ROLE_TRASH }, { "Deleted Messages", ROLE_TRASH },
		{ "Junk", ROLE_JUNK },           { "Spam", ROLE_JUNK },
		{ "Junk E-mail", ROLE_JUNK },    { "Archive", ROLE_ARCHIVE },
		{ "Archives", ROLE_ARCHIVE },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (text_equal_nocase(path, span_cstr(known[i].name)))
			return known[i].role;
	return ROLE_NONE;
}
