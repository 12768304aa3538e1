#include "namespace.h"

struct asked {
	struct buf *prefix;
	char *delimiter;
};

/* "* NAMESPACE (("INBOX." ".")) NIL NIL": the first personal one. */
static enum err_code take_namespace(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct asked *t = ctx;
	struct wire *w = imap_wire(c);
	struct wire_token token;
	struct span text;
	bool is_nil;
	enum err_code rc = ERR_OK;

	if (r->kind != IMAP_DATA)
		return ERR_OK;
	if (strcmp(r->word, "NAMESPACE") != 0)
		return wire_skip_line(w, e);
	for (int depth = 0; !rc && depth < 2; depth++) {
		rc = wire_next(w, &token, e);
		if (!rc && token.kind != WIRE_OPEN)
			return token.kind == WIRE_END ? ERR_OK : wire_skip_line(w, e);
	}
	if (!rc)
		rc = wire_next(w, &token, e);
	if (!rc)
		rc = wire_text(w, &token, &text, &is_nil, e);
	buf_clear(t->prefix);
	if (!rc && !is_nil)
		rc = buf_append(t->prefix, text, e);
	if (!rc)
		rc = wire_next(w, &token, e);
	if (!rc)
		rc = wire_text(w, &token, &text, &is_nil, e);
	if (!rc && !is_nil && text.len == 1)
		*t->delimiter = (char)text.ptr[0];
	return rc ? rc : wire_skip_line(w, e);
}

enum err_code namespace_ask(struct imap_client *c, struct buf *prefix, char *delimiter, struct err *e)
{
	struct asked asked = { prefix, delimiter };
	unsigned tag;
	enum err_code rc;

	buf_clear(prefix);
	*delimiter = 0;
	if (!(imap_capabilities(c) & IMAP_NAMESPACE))
		return ERR_OK;
	rc = imap_send(c, &tag, e, "NAMESPACE");
	if (!rc)
		rc = imap_wait(c, tag, take_namespace, &asked, e);
	return rc && !imap_is_broken(c) ? ERR_OK : rc; /* refused: it has none after all */
}
