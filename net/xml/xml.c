#include "xml.h"

#include <expat.h>

#include "base/mem.h"

#define SEPARATOR '\n' /* between a name's URI and its local part: neither can hold one */
#define PIECE_MAX (1 * MIB)

struct xml_reader {
	XML_Parser parser;
	struct xml_handler handler;
	uint64_t bytes_left;
	unsigned depth;
	enum err_code rc; /* of a handler; kept beside ERR, which is the caller's of the moment */
	struct err *err;
};

static void stop(struct xml_reader *r, enum err_code rc)
{
	if (!rc || r->rc)
		return;
	r->rc = rc;
	XML_StopParser(r->parser, XML_FALSE);
}

static struct xml_name name_of(const char *joined)
{
	const char *cut = strchr(joined, SEPARATOR);

	if (!cut)
		return (struct xml_name){ SPAN_EMPTY, span_cstr(joined) };
	return (struct xml_name){ span_of(joined, (size_t)(cut - joined)), span_cstr(cut + 1) };
}

static void XMLCALL on_start(void *ctx, const char *joined, const char **pairs)
{
	struct xml_attribute attributes[XML_ATTRIBUTES_MAX];
	struct xml_name name = name_of(joined);
	struct xml_reader *r = ctx;
	size_t count = 0;

	if (r->rc)
		return;
	if (++r->depth > XML_DEPTH_MAX) {
		stop(r, err_set(r->err, ERR_LIMIT, "XML with more than %d elements in each other", XML_DEPTH_MAX));
		return;
	}
	for (; pairs[0] && count < XML_ATTRIBUTES_MAX; pairs += 2)
		attributes[count++] = (struct xml_attribute){ name_of(pairs[0]), span_cstr(pairs[1]) };
	stop(r, r->handler.start(r->handler.ctx, &name, attributes, count, r->err));
}

static void XMLCALL on_end(void *ctx, const char *joined)
{
	struct xml_name name = name_of(joined);
	struct xml_reader *r = ctx;

	if (r->rc)
		return;
	r->depth--;
	stop(r, r->handler.end(r->handler.ctx, &name, r->err));
}

/* What expat tells as one LF, and is more than a LF in the document, is a line end that it has translated. */
static struct span untranslated(const struct xml_reader *r, struct span bytes)
{
	int offset = 0, size = 0;
	const char *raw;

	if (bytes.len != 1 || bytes.ptr[0] != '\n')
		return bytes;
	if (XML_GetCurrentByteCount(r->parser) == 2)
		return SPAN_LIT("\r\n");
	raw = XML_GetInputContext(r->parser, &offset, &size);
	return raw && offset >= 0 && offset < size && raw[offset] == '\r' ? SPAN_LIT("\r") : bytes;
}

static void XMLCALL on_text(void *ctx, const char *bytes, int len)
{
	struct xml_reader *r = ctx;

	if (!r->rc && len > 0)
		stop(r, r->handler.text(r->handler.ctx, untranslated(r, span_of(bytes, (size_t)len)), r->err));
}

static void XMLCALL on_doctype(void *ctx, const char *name, const char *system, const char *public, int inside)
{
	struct xml_reader *r = ctx;

	(void)name;
	(void)system;
	(void)public;
	(void)inside;
	stop(r, err_set(r->err, ERR_CORRUPT, "XML with a document type declaration, which is not read"));
}

static void *grow(void *old, size_t bytes)
{
	return mem_grow(old, bytes);
}

enum err_code xml_open(const struct xml_handler *handler, uint64_t bytes_max, struct xml_reader **out, struct err *e)
{
	static const XML_Memory_Handling_Suite memory = { mem_alloc, grow, mem_free };
	static const char separator[] = { SEPARATOR, 0 };
	struct xml_reader *r = mem_zalloc(1, sizeof *r);

	if (!r)
		return err_no_memory(e, sizeof *r);
	r->handler = *handler;
	r->bytes_left = bytes_max;
	r->parser = XML_ParserCreate_MM(NULL, &memory, separator);
	if (!r->parser) {
		mem_free(r);
		return err_no_memory(e, sizeof *r);
	}
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	*out = r;
	return ERR_OK;
}

static enum err_code failed(struct xml_reader *r, struct err *e)
{
	enum XML_Error code = XML_GetErrorCode(r->parser);

	if (r->rc)
		return r->rc;
	if (code == XML_ERROR_NO_MEMORY)
		return r->rc = err_no_memory(e, 0);
	return r->rc = err_set(e, ERR_CORRUPT, "no well-formed XML: %s, in line %llu", XML_ErrorString(code),
	                       (unsigned long long)XML_GetCurrentLineNumber(r->parser));
}

enum err_code xml_feed(struct xml_reader *r, struct span bytes, struct err *e)
{
	if (r->rc)
		return err_set(e, ERR_STATE, "the reading of this XML has ended already");
	if (bytes.len > r->bytes_left)
		return r->rc = err_set(e, ERR_LIMIT, "more XML than is read of an answer");
	r->bytes_left -= bytes.len;
	r->err = e;
	while (bytes.len) {
		struct span piece = span_first(bytes, PIECE_MAX);

		if (XML_Parse(r->parser, (const char *)piece.ptr, (int)piece.len, 0) != XML_STATUS_OK)
			return failed(r, e);
		bytes = span_skip(bytes, piece.len);
	}
	return ERR_OK;
}

enum err_code xml_finish(struct xml_reader *r, struct err *e)
{
	if (r->rc)
		return err_set(e, ERR_STATE, "the reading of this XML has ended already");
	r->err = e;
	return XML_Parse(r->parser, "", 0, 1) == XML_STATUS_OK ? ERR_OK : failed(r, e);
}

void xml_free(struct xml_reader **r)
{
	if (!*r)
		return;
	XML_ParserFree((*r)->parser);
	mem_free(*r);
	*r = NULL;
}

enum err_code xml_escape(struct span bytes, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;
	size_t from = 0;

	for (size_t i = 0; !rc && i < bytes.len; i++) {
		uint8_t c = bytes.ptr[i];
		const char *as = c == '&'    ? "&amp;"
		                 : c == '<'  ? "&lt;"
		                 : c == '>'  ? "&gt;"
		                 : c == '"'  ? "&quot;"
		                 : c == '\r' ? "&#13;"
		                             : NULL;

		if (!as)
			continue;
		rc = buf_append(out, span_of(bytes.ptr + from, i - from), e);
		if (!rc)
			rc = buf_append(out, span_cstr(as), e);
		from = i + 1;
	}
	return rc ? rc : buf_append(out, span_skip(bytes, from), e);
}
