#include "answer.h"
#include "base/mem.h"
#include "base/text.h"

/* Which element's text is being gathered. */
enum field { FIELD_NONE = 0, FIELD_KEY, FIELD_SIZE, FIELD_TRUNCATED, FIELD_NEXT, FIELD_CODE, FIELD_MESSAGE };

struct answer_listing {
	struct xml_reader *xml;
	answer_object object;
	void *ctx;
	unsigned depth;
	bool in_contents, truncated, told_truncated, has_size;
	enum field field;
	struct buf text;
	struct buf key;
	struct buf next;
	uint64_t size;
};

static bool is(const struct xml_name *name, const char *local)
{
	return span_equal(name->local, span_cstr(local));
}

static enum field field_of(const struct answer_listing *l, const struct xml_name *name)
{
	if (l->depth == 2 && is(name, "IsTruncated"))
		return FIELD_TRUNCATED;
	if (l->depth == 2 && is(name, "NextContinuationToken"))
		return FIELD_NEXT;
	if (l->depth == 3 && l->in_contents && is(name, "Key"))
		return FIELD_KEY;
	return l->depth == 3 && l->in_contents && is(name, "Size") ? FIELD_SIZE : FIELD_NONE;
}

static enum err_code on_start(void *ctx, const struct xml_name *name, const struct xml_attribute *attributes,
                              size_t count, struct err *e)
{
	struct answer_listing *l = ctx;

	(void)attributes;
	(void)count;
	l->depth++;
	if (l->depth == 1 && !is(name, "ListBucketResult"))
		return err_set(e, ERR_CORRUPT, "the server's answer is no listing");
	if (l->depth == 2 && is(name, "Contents")) {
		l->in_contents = true;
		l->has_size = false;
		buf_clear(&l->key);
	}
	l->field = field_of(l, name);
	buf_clear(&l->text);
	return ERR_OK;
}

static enum err_code on_text(void *ctx, struct span bytes, struct err *e)
{
	struct answer_listing *l = ctx;

	return l->field ? buf_append(&l->text, bytes, e) : ERR_OK;
}

static enum err_code take_field(struct answer_listing *l, struct err *e)
{
	struct span text = buf_span(&l->text);

	switch (l->field) {
	case FIELD_KEY:
		buf_clear(&l->key);
		return text_unpercent(&l->key, text, e); /* encoding-type=url */
	case FIELD_SIZE:
		l->has_size = text_number(text, INT64_MAX, &l->size);
		return l->has_size ? ERR_OK : err_set(e, ERR_CORRUPT, "an object in the server's listing has no size");
	case FIELD_TRUNCATED:
		l->told_truncated = true;
		l->truncated = span_equal(text, SPAN_LIT("true"));
		return ERR_OK;
	case FIELD_NEXT:
		buf_clear(&l->next);
		return buf_append(&l->next, text, e);
	default:
		return ERR_OK;
	}
}

static enum err_code on_end(void *ctx, const struct xml_name *name, struct err *e)
{
	struct answer_listing *l = ctx;
	enum err_code rc = l->field ? take_field(l, e) : ERR_OK;

	(void)name;
	l->field = FIELD_NONE;
	if (!rc && l->depth == 2 && l->in_contents) {
		l->in_contents = false;
		if (!l->key.len || !l->has_size)
			return err_set(e, ERR_CORRUPT, "an object in the server's listing has no key or no size");
		rc = l->object(l->ctx, buf_span(&l->key), l->size, e);
	}
	l->depth--;
	return rc;
}

enum err_code answer_open(answer_object object, void *ctx, struct answer_listing **out, struct err *e)
{
	struct answer_listing *l = mem_zalloc(1, sizeof *l);
	const struct xml_handler handler = { l, on_start, on_text, on_end };
	enum err_code rc;

	if (!l)
		return err_no_memory(e, sizeof *l);
	l->object = object;
	l->ctx = ctx;
	l->text = BUF_WITH_MAX(8 * KIB);
	l->key = BUF_WITH_MAX(8 * KIB);
	l->next = BUF_WITH_MAX(8 * KIB);
	rc = xml_open(&handler, LISTING_BYTES_MAX, &l->xml, e);
	if (rc)
		answer_free(&l);
	*out = l;
	return rc;
}

enum err_code answer_feed(struct answer_listing *l, struct span bytes, struct err *e)
{
	return xml_feed(l->xml, bytes, e);
}

enum err_code answer_finish(struct answer_listing *l, struct buf *next, struct err *e)
{
	enum err_code rc = xml_finish(l->xml, e);

	buf_clear(next);
	if (!rc && !l->told_truncated)
		rc = err_set(e, ERR_CORRUPT, "the server's listing does not say whether it is all");
	if (!rc && l->truncated && !l->next.len)
		rc = err_set(e, ERR_CORRUPT, "the server's listing is not all, and does not say where it goes on");
	if (!rc && l->truncated)
		rc = buf_append(next, buf_span(&l->next), e);
	return rc;
}

void answer_free(struct answer_listing **l)
{
	if (!*l)
		return;
	xml_free(&(*l)->xml);
	buf_release(&(*l)->text);
	buf_release(&(*l)->key);
	buf_release(&(*l)->next);
	mem_free(*l);
	*l = NULL;
}

/* ---- errors ---- */

struct error_reading {
	struct answer_error *out;
	unsigned depth;
	enum field field;
	bool is_error;
	size_t len; /* of what is being filled */
};

static enum err_code error_start(void *ctx, const struct xml_name *name, const struct xml_attribute *attributes,
                                 size_t count, struct err *e)
{
	struct error_reading *r = ctx;

	(void)attributes;
	(void)count;
	(void)e;
	if (++r->depth == 1)
		r->is_error = is(name, "Error");
	r->field = r->depth != 2 || !r->is_error ? FIELD_NONE
	           : is(name, "Code")            ? FIELD_CODE
	           : is(name, "Message")         ? FIELD_MESSAGE
	                                         : FIELD_NONE;
	r->len = 0;
	return ERR_OK;
}

static enum err_code error_text(void *ctx, struct span bytes, struct err *e)
{
	struct error_reading *r = ctx;
	char *to = r->field == FIELD_CODE ? r->out->code : r->out->message;
	size_t room = r->field == FIELD_CODE ? sizeof r->out->code : sizeof r->out->message;

	(void)e;
	if (!r->field)
		return ERR_OK;
	for (size_t i = 0; i < bytes.len && r->len + 1 < room; i++)
		to[r->len++] = bytes.ptr[i] >= ' ' && bytes.ptr[i] < 0x7f ? (char)bytes.ptr[i] : '?';
	to[r->len] = 0;
	return ERR_OK;
}

static enum err_code error_end(void *ctx, const struct xml_name *name, struct err *e)
{
	struct error_reading *r = ctx;

	(void)name;
	(void)e;
	r->field = FIELD_NONE;
	r->depth--;
	return ERR_OK;
}

void answer_error_parse(struct span body, struct answer_error *out)
{
	struct error_reading r = { .out = out };
	const struct xml_handler handler = { &r, error_start, error_text, error_end };
	struct xml_reader *xml = NULL;
	struct err ignored;

	*out = (struct answer_error){ "", "" };
	/* What can be read of it is enough. */
	if (!xml_open(&handler, 64 * KIB, &xml, &ignored) && !xml_feed(xml, body, &ignored))
		(void)!xml_finish(xml, &ignored);
	xml_free(&xml);
}
