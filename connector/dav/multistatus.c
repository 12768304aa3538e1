#include "multistatus.h"

#include "base/mem.h"
#include "base/text.h"
#include "net/xml/xml.h"

#define SHORT_TEXT_MAX     4096 /* of a href, a status, a token */
#define FRAGMENT_BYTES_MAX (4 * MIB)

/* Where one stands in the document. IN_OTHER is below something that is not read. */
enum where {
	IN_NOTHING,
	IN_ROOT,
	IN_TOKEN,
	IN_RESPONSE,
	IN_HREF,
	IN_STATUS,
	IN_PROPSTAT,
	IN_PROPSTAT_STATUS,
	IN_PROP,
	IN_PROPERTY
};

/* Places in ARENA, which moves as it grows. */
struct piece {
	size_t from, len;
};
struct kept_property {
	struct piece space, local, value;
	bool markup;
};

struct multistatus {
	struct xml_reader *xml;
	enum err_code (*take)(void *ctx, const struct dav_response *r, struct err *e);
	void *ctx;
	enum where where;
	unsigned skip;     /* elements that are open below one that is not read */
	unsigned inside;   /* elements that are open in a property */
	bool told_nothing; /* no text but blanks since the last tag in a property with markup */
	struct buf text;   /* of href, status, token */
	struct buf token;
	struct buf arena; /* of one response */
	struct piece hrefs[MULTISTATUS_PROPERTIES_MAX];
	size_t href_count;
	unsigned status, propstat_status;
	struct kept_property kept[MULTISTATUS_PROPERTIES_MAX];
	size_t count;
	size_t propstat_first;
};

static bool is(const struct xml_name *n, const char *local)
{
	return span_equal(n->space, NS_DAV) && span_equal(n->local, span_cstr(local));
}

static enum err_code keep(struct multistatus *m, struct span bytes, struct piece *out, struct err *e)
{
	*out = (struct piece){ m->arena.len, bytes.len };
	return buf_append(&m->arena, bytes, e);
}

static struct span kept(const struct multistatus *m, struct piece p)
{
	return p.len ? span_of(m->arena.ptr + p.from, p.len) : SPAN_EMPTY;
}

/* ---- inside of a property ---- */

static bool all_blank(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!strchr(" \t\r\n", s.ptr[i]) || !s.ptr[i])
			return false;
	return true;
}

/* The first element in a property: what was text so far becomes a part of a fragment. */
static enum err_code begin_markup(struct multistatus *m, struct kept_property *p, struct err *e)
{
	struct span so_far = span_of(m->arena.ptr ? m->arena.ptr + p->value.from : NULL, m->arena.len - p->value.from);
	struct buf escaped = BUF_WITH_MAX(MULTISTATUS_RESPONSE_BYTES_MAX);
	enum err_code rc = ERR_OK;

	p->markup = true;
	if (!all_blank(so_far))
		rc = xml_escape(so_far, &escaped, e);
	if (!rc) {
		m->arena.len = p->value.from;
		rc = buf_append(&m->arena, buf_span(&escaped), e);
	}
	buf_release(&escaped);
	return rc;
}

static enum err_code put_attribute(struct multistatus *m, struct span name, struct span value, struct err *e)
{
	enum err_code rc = buf_append(&m->arena, SPAN_LIT(" "), e);

	if (!rc)
		rc = buf_append(&m->arena, name, e);
	if (!rc)
		rc = buf_append(&m->arena, SPAN_LIT("=\""), e);
	if (!rc)
		rc = xml_escape(value, &m->arena, e);
	return rc ? rc : buf_append(&m->arena, SPAN_LIT("\""), e);
}

/* Two namespaces cannot be declared again; none of these protocols has elements in them. */
static struct span declarable(struct span space)
{
	if (span_equal(space, SPAN_LIT("http://www.w3.org/XML/1998/namespace")) ||
	    span_equal(space, SPAN_LIT("http://www.w3.org/2000/xmlns/")))
		return SPAN_EMPTY;
	return space;
}

static enum err_code put_start(struct multistatus *m, const struct xml_name *name,
                               const struct xml_attribute *attributes, size_t count, struct err *e)
{
	struct kept_property *p = &m->kept[m->count - 1];
	enum err_code rc = p->markup ? ERR_OK : begin_markup(m, p, e);

	m->inside++;
	m->told_nothing = true;
	if (!rc)
		rc = buf_append(&m->arena, SPAN_LIT("<"), e);
	if (!rc)
		rc = buf_append(&m->arena, name->local, e);
	if (!rc)
		rc = put_attribute(m, SPAN_LIT("xmlns"), declarable(name->space), e);
	/* Attributes in a namespace of their own are not used by any of these protocols. */
	for (size_t i = 0; !rc && i < count; i++)
		if (!attributes[i].name.space.len)
			rc = put_attribute(m, attributes[i].name.local, attributes[i].value, e);
	return rc ? rc : buf_append(&m->arena, SPAN_LIT(">"), e);
}

static enum err_code put_end(struct multistatus *m, const struct xml_name *name, struct err *e)
{
	enum err_code rc = buf_append(&m->arena, SPAN_LIT("</"), e);

	m->inside--;
	m->told_nothing = true;
	if (!rc)
		rc = buf_append(&m->arena, name->local, e);
	return rc ? rc : buf_append(&m->arena, SPAN_LIT(">"), e);
}

static enum err_code put_text(struct multistatus *m, struct span bytes, struct err *e)
{
	if (!m->kept[m->count - 1].markup)
		return buf_append(&m->arena, bytes, e);
	if (m->told_nothing && all_blank(bytes))
		return ERR_OK;
	m->told_nothing = false;
	return xml_escape(bytes, &m->arena, e);
}

static enum err_code begin_property(struct multistatus *m, const struct xml_name *name, struct err *e)
{
	struct kept_property p = { 0 };
	enum err_code rc;

	if (m->count == MULTISTATUS_PROPERTIES_MAX)
		return err_set(e, ERR_LIMIT, "more than %d properties of one resource", MULTISTATUS_PROPERTIES_MAX);
	rc = keep(m, name->space, &p.space, e);
	if (!rc)
		rc = keep(m, name->local, &p.local, e);
	p.value.from = m->arena.len;
	if (!rc) {
		m->kept[m->count++] = p;
		m->where = IN_PROPERTY;
		m->inside = 0;
	}
	return rc;
}

/* ---- the frame around it ---- */

static void begin_response(struct multistatus *m)
{
	m->where = IN_RESPONSE;
	m->status = 0;
	m->count = m->href_count = 0;
	buf_clear(&m->arena);
}

static void begin_propstat(struct multistatus *m)
{
	m->where = IN_PROPSTAT;
	m->propstat_status = 0;
	m->propstat_first = m->count;
}

static bool step_into(struct multistatus *m, const struct xml_name *name)
{
	buf_clear(&m->text);
	if (m->where == IN_ROOT && is(name, "response"))
		begin_response(m);
	else if (m->where == IN_ROOT && is(name, "sync-token"))
		m->where = IN_TOKEN;
	else if (m->where == IN_RESPONSE && is(name, "href"))
		m->where = IN_HREF;
	else if (m->where == IN_RESPONSE && is(name, "status"))
		m->where = IN_STATUS;
	else if (m->where == IN_RESPONSE && is(name, "propstat"))
		begin_propstat(m);
	else if (m->where == IN_PROPSTAT && is(name, "status"))
		m->where = IN_PROPSTAT_STATUS;
	else if (m->where == IN_PROPSTAT && is(name, "prop"))
		m->where = IN_PROP;
	else
		return false;
	return true;
}

static enum err_code on_start(void *ctx, const struct xml_name *name, const struct xml_attribute *attributes,
                              size_t count, struct err *e)
{
	struct multistatus *m = ctx;

	if (m->skip) {
		m->skip++;
		return ERR_OK;
	}
	if (m->where == IN_NOTHING) {
		if (!is(name, "multistatus"))
			return err_set(e, ERR_CORRUPT, "the answer is '%s' and no DAV:multistatus",
			               text_name(name->local).text);
		m->where = IN_ROOT;
		return ERR_OK;
	}
	if (m->where == IN_PROP)
		return begin_property(m, name, e);
	if (m->where == IN_PROPERTY)
		return put_start(m, name, attributes, count, e);
	if (!step_into(m, name))
		m->skip = 1;
	return ERR_OK;
}

static enum err_code on_text(void *ctx, struct span bytes, struct err *e)
{
	struct multistatus *m = ctx;

	if (m->skip)
		return ERR_OK;
	if (m->where == IN_PROPERTY)
		return put_text(m, bytes, e);
	if (m->where == IN_HREF || m->where == IN_STATUS || m->where == IN_PROPSTAT_STATUS || m->where == IN_TOKEN)
		return buf_append(&m->text, bytes, e);
	return ERR_OK;
}

/* "HTTP/1.1 404 Not Found"; 0: nothing of the kind. */
static unsigned status_of(struct span line)
{
	uint64_t status;

	while (line.len && line.ptr[0] <= ' ')
		line = span_skip(line, 1);
	if (!span_starts(line, SPAN_LIT("HTTP/")))
		return 0;
	while (line.len && line.ptr[0] != ' ')
		line = span_skip(line, 1);
	line = span_first(span_skip(line, 1), 3);
	return line.len == 3 && text_number(line, 599, &status) && status >= 100 ? (unsigned)status : 0;
}

static enum err_code end_response(struct multistatus *m, struct err *e)
{
	struct dav_property properties[MULTISTATUS_PROPERTIES_MAX];
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < m->count; i++)
		properties[i] = (struct dav_property){ kept(m, m->kept[i].space), kept(m, m->kept[i].local),
			                               kept(m, m->kept[i].value), m->kept[i].markup };
	for (size_t i = 0; !rc && i < m->href_count; i++) {
		struct dav_response r = { kept(m, m->hrefs[i]), m->status, properties, m->count };

		rc = m->take(m->ctx, &r, e);
	}
	m->where = IN_ROOT;
	return rc;
}

static enum err_code end_href(struct multistatus *m, struct err *e)
{
	m->where = IN_RESPONSE;
	if (m->href_count == ARRAY_LEN(m->hrefs))
		return err_set(e, ERR_LIMIT, "more than %zu hrefs in one response", ARRAY_LEN(m->hrefs));
	return keep(m, buf_span(&m->text), &m->hrefs[m->href_count++], e);
}

static enum err_code on_end(void *ctx, const struct xml_name *name, struct err *e)
{
	struct multistatus *m = ctx;
	struct kept_property *p;

	if (m->skip) {
		m->skip--;
		return ERR_OK;
	}
	switch (m->where) {
	case IN_PROPERTY:
		if (m->inside)
			return put_end(m, name, e);
		p = &m->kept[m->count - 1];
		p->value.len = m->arena.len - p->value.from;
		m->where = IN_PROP;
		return ERR_OK;
	case IN_PROP:
		m->where = IN_PROPSTAT;
		return ERR_OK;
	case IN_PROPSTAT_STATUS:
		m->propstat_status = status_of(buf_span(&m->text));
		m->where = IN_PROPSTAT;
		return ERR_OK;
	case IN_PROPSTAT: /* its status stands behind its properties */
		if (m->propstat_status / 100 != 2)
			m->count = m->propstat_first;
		m->where = IN_RESPONSE;
		return ERR_OK;
	case IN_STATUS:
		m->status = status_of(buf_span(&m->text));
		m->where = IN_RESPONSE;
		return ERR_OK;
	case IN_HREF:
		return end_href(m, e);
	case IN_TOKEN:
		buf_clear(&m->token);
		m->where = IN_ROOT;
		return buf_append(&m->token, buf_span(&m->text), e);
	case IN_RESPONSE:
		return end_response(m, e);
	default:
		return ERR_OK;
	}
}

enum err_code multistatus_open(enum err_code (*take)(void *ctx, const struct dav_response *r, struct err *e), void *ctx,
                               uint64_t bytes_max, struct multistatus **out, struct err *e)
{
	struct multistatus *m = mem_zalloc(1, sizeof *m);
	const struct xml_handler handler = { m, on_start, on_text, on_end };
	enum err_code rc;

	if (!m)
		return err_no_memory(e, sizeof *m);
	m->take = take;
	m->ctx = ctx;
	m->arena.max = MULTISTATUS_RESPONSE_BYTES_MAX;
	m->text.max = m->token.max = SHORT_TEXT_MAX;
	rc = xml_open(&handler, bytes_max, &m->xml, e);
	if (rc)
		multistatus_free(&m);
	*out = m;
	return rc;
}

enum err_code multistatus_feed(struct multistatus *m, struct span bytes, struct err *e)
{
	return xml_feed(m->xml, bytes, e);
}

enum err_code multistatus_finish(struct multistatus *m, struct err *e)
{
	return xml_finish(m->xml, e);
}

struct span multistatus_sync_token(const struct multistatus *m)
{
	struct span token = buf_span(&m->token);

	while (token.len && token.ptr[0] <= ' ')
		token = span_skip(token, 1);
	while (token.len && token.ptr[token.len - 1] <= ' ')
		token.len--;
	return token;
}

void multistatus_free(struct multistatus **m)
{
	if (!*m)
		return;
	xml_free(&(*m)->xml);
	buf_release(&(*m)->text);
	buf_release(&(*m)->token);
	buf_release(&(*m)->arena);
	mem_free(*m);
	*m = NULL;
}

const struct dav_property *dav_property_find(const struct dav_response *r, struct span space, const char *local)
{
	for (size_t i = 0; i < r->count; i++)
		if (span_equal(r->properties[i].local, span_cstr(local)) && span_equal(r->properties[i].space, space))
			return &r->properties[i];
	return NULL;
}

/* ---- fragments ---- */

struct fragment {
	enum err_code (*got)(void *ctx, unsigned depth, struct span space, struct span local, struct span name,
	                     struct span text, struct err *e);
	void *ctx;
	unsigned depth;
	bool waiting; /* for the text behind a start */
	struct buf space, local, name, text;
};

static enum err_code fragment_flush(struct fragment *f, struct err *e)
{
	if (!f->waiting)
		return ERR_OK;
	f->waiting = false;
	return f->got(f->ctx, f->depth - 2, buf_span(&f->space), buf_span(&f->local), buf_span(&f->name),
	              buf_span(&f->text), e);
}

static enum err_code fragment_start(void *ctx, const struct xml_name *name, const struct xml_attribute *attributes,
                                    size_t count, struct err *e)
{
	struct fragment *f = ctx;
	enum err_code rc = fragment_flush(f, e);

	if (f->depth++ == 0 || rc)
		return rc;
	buf_clear(&f->space);
	buf_clear(&f->local);
	buf_clear(&f->name);
	buf_clear(&f->text);
	f->waiting = true;
	rc = buf_append(&f->space, name->space, e);
	if (!rc)
		rc = buf_append(&f->local, name->local, e);
	for (size_t i = 0; !rc && i < count; i++)
		if (!attributes[i].name.space.len && span_equal(attributes[i].name.local, SPAN_LIT("name")))
			rc = buf_append(&f->name, attributes[i].value, e);
	return rc;
}

static enum err_code fragment_text(void *ctx, struct span bytes, struct err *e)
{
	struct fragment *f = ctx;

	return f->waiting ? buf_append(&f->text, bytes, e) : ERR_OK;
}

static enum err_code fragment_end(void *ctx, const struct xml_name *name, struct err *e)
{
	struct fragment *f = ctx;
	enum err_code rc = fragment_flush(f, e);

	(void)name;
	f->depth--;
	return rc;
}

enum err_code dav_fragment_each(struct span fragment,
                                enum err_code (*got)(void *ctx, unsigned depth, struct span space, struct span local,
                                                     struct span name, struct span text, struct err *e),
                                void *ctx, struct err *e)
{
	struct fragment f = { .got = got, .ctx = ctx };
	const struct xml_handler handler = { &f, fragment_start, fragment_text, fragment_end };
	struct xml_reader *r = NULL;
	enum err_code rc = xml_open(&handler, FRAGMENT_BYTES_MAX, &r, e);

	if (!rc)
		rc = xml_feed(r, SPAN_LIT("<x>"), e);
	if (!rc)
		rc = xml_feed(r, fragment, e);
	if (!rc)
		rc = xml_feed(r, SPAN_LIT("</x>"), e);
	if (!rc)
		rc = xml_finish(r, e);
	xml_free(&r);
	buf_release(&f.space);
	buf_release(&f.local);
	buf_release(&f.name);
	buf_release(&f.text);
	return rc;
}
