/*
 * fuzz_dav: whatever a DAV server answers with, the reader of multistatus reads it to an end; in pieces it tells the same as at
 * once; each fragment that it makes can be read again; and no href leads out of a request line. The first byte is the size of pieces.
 */
#include <stdlib.h>

#include "connector/dav/href.h"
#include "connector/dav/multistatus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code see_element(void *ctx, unsigned depth, struct span space, struct span local, struct span name,
                                 struct span text, struct err *e)
{
	(void)ctx;
	(void)depth;
	(void)space;
	(void)name;
	(void)text;
	(void)e;
	if (!local.len)
		abort();
	return ERR_OK;
}

static void check_href(struct span href)
{
	struct buf path = BUF_EMPTY, once = BUF_EMPTY;
	struct err e;

	if (!href_resolve("https://host", SPAN_LIT("/dav/a/"), href, &path, &e)) {
		if (!path.len || path.ptr[0] != '/')
			abort();
		for (size_t i = 0; i < path.len; i++)
			if (path.ptr[i] <= ' ' || path.ptr[i] >= 0x7f)
				abort();
		if (href_canonical(buf_span(&path), &once, &e) || memchr(once.ptr, 0, once.len))
			abort();
	}
	buf_release(&path);
	buf_release(&once);
}

static enum err_code write_down(void *ctx, const struct dav_response *r, struct err *e)
{
	struct buf *out = ctx;
	enum err_code rc = buf_append(out, r->href, e);

	check_href(r->href);
	for (size_t i = 0; !rc && i < r->count; i++) {
		const struct dav_property *p = &r->properties[i];

		rc = buf_printf(out, e, "\n%u %d ", r->status, p->markup);
		if (!rc)
			rc = buf_append(out, p->local, e);
		if (!rc)
			rc = buf_append(out, p->value, e);
		if (!rc && p->markup && dav_fragment_each(p->value, see_element, NULL, e) == ERR_CORRUPT)
			abort();
	}
	return rc;
}

static enum err_code read_pieces(struct span left, size_t piece, struct buf *out)
{
	struct multistatus *m = NULL;
	struct err e;
	enum err_code rc = multistatus_open(write_down, out, MIB, &m, &e);

	for (; !rc && left.len; left = span_skip(left, piece))
		rc = multistatus_feed(m, span_first(left, piece), &e);
	if (!rc)
		rc = multistatus_finish(m, &e);
	multistatus_free(&m);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data + (size > 0), size - (size > 0));
	struct buf whole = BUF_EMPTY, pieces = BUF_EMPTY;
	enum err_code a = read_pieces(rest, MIB, &whole), b = read_pieces(rest, size && data[0] ? data[0] : 1, &pieces);

	if (a != b || (!a && !span_equal(buf_span(&whole), buf_span(&pieces))))
		abort();
	buf_release(&whole);
	buf_release(&pieces);
	return 0;
}
