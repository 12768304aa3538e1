#include "print_fetch.h"

#include <strings.h>

#include "message_data.h"

static enum err_code read_print(struct wire *w, struct mail_print *print, bool *has, struct err *e)
{
	struct mail_printer printer;
	struct wire_token t;
	struct span piece;
	bool is_nil = false;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc)
		rc = mail_printer_init(&printer, e);
	if (rc)
		return rc;
	if (t.kind == WIRE_LITERAL) {
		do {
			rc = wire_literal(w, &piece, e);
			if (!rc)
				mail_printer_add(&printer, piece);
		} while (!rc && piece.len);
	} else {
		rc = wire_text(w, &t, &piece, &is_nil, e);
		if (!rc)
			mail_printer_add(&printer, piece);
	}
	*has = !rc && !is_nil;
	mail_printer_end(&printer, print);
	return rc;
}

#define HEAD_BYTES_MAX (256 * KIB) /* a longer one is cut */

/* Reads a value and keeps its beginning. */
static enum err_code read_head(struct wire *w, struct buf *head, struct err *e)
{
	struct wire_token t;
	struct span piece;
	bool is_nil = false;
	enum err_code rc = wire_next(w, &t, e);

	buf_clear(head);
	if (rc || t.kind != WIRE_LITERAL) {
		if (!rc)
			rc = wire_text(w, &t, &piece, &is_nil, e);
		return rc ? rc : buf_append(head, span_first(piece, HEAD_BYTES_MAX), e);
	}
	do {
		rc = wire_literal(w, &piece, e);
		if (!rc)
			rc = buf_append(head, span_first(piece, HEAD_BYTES_MAX - head->len), e);
	} while (!rc && piece.len);
	return rc;
}

struct printing {
	print_visit visit;
	head_visit visit_head; /* instead */
	void *ctx;
	/* Of the message at hand. */
	uint32_t uid;
	bool has;
	struct mail_print print;
	struct buf head;
};

static enum err_code read_item(void *ctx, struct wire *w, const char *name, struct err *e)
{
	struct printing *p = ctx;

	if (!strcasecmp(name, "UID"))
		return message_uid(w, &p->uid, e);
	if (!strcasecmp(name, "BODY[]"))
		return read_print(w, &p->print, &p->has, e);
	if (strcasecmp(name, "BODY[HEADER]") != 0)
		return message_pass(w, e);
	p->has = true;
	return read_head(w, &p->head, e);
}

static enum err_code take_print(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct printing *p = ctx;
	struct wire *w = imap_wire(c);
	enum err_code rc;

	if (r->kind != IMAP_DATA)
		return ERR_OK;
	if (strcmp(r->word, "FETCH") != 0)
		return wire_skip_line(w, e);
	p->uid = 0;
	p->has = false;
	p->print = (struct mail_print){ 0 };
	rc = message_read(w, read_item, p, e);
	if (rc || !p->uid || !p->has)
		return rc;
	return p->visit_head ? p->visit_head(p->ctx, p->uid, buf_span(&p->head), e)
	                     : p->visit(p->ctx, p->uid, &p->print, e);
}

enum err_code fetch_prints(struct imap_client *c, struct span set, print_visit visit, void *ctx, struct err *e)
{
	struct printing p = { .visit = visit, .ctx = ctx };
	unsigned tag;
	enum err_code rc =
	        imap_send(c, &tag, e, "UID FETCH %.*s (UID BODY.PEEK[])", (int)set.len, (const char *)set.ptr);

	return rc ? rc : imap_wait(c, tag, take_print, &p, e);
}

enum err_code fetch_heads(struct imap_client *c, struct span set, head_visit visit, void *ctx, struct err *e)
{
	struct printing p = { .visit_head = visit, .ctx = ctx };
	unsigned tag;
	enum err_code rc =
	        imap_send(c, &tag, e, "UID FETCH %.*s (UID BODY.PEEK[HEADER])", (int)set.len, (const char *)set.ptr);

	if (!rc)
		rc = imap_wait(c, tag, take_print, &p, e);
	buf_release(&p.head);
	return rc;
}
