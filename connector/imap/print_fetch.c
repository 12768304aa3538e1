#include "print_fetch.h"

#include "base/text.h"

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
	struct buf head;
};

static enum err_code take_print(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	struct printing *p = ctx;
	struct wire *w = imap_wire(c);
	struct mail_print print = { 0 };
	uint64_t uid = 0;
	bool has = false;
	struct wire_token t;
	enum err_code rc;

	if (r->kind != IMAP_DATA)
		return ERR_OK;
	if (strcmp(r->word, "FETCH") != 0)
		return wire_skip_line(w, e);
	rc = wire_next(w, &t, e);
	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server sent a message without its list");
	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind == WIRE_ATOM && text_equal_nocase(t.text, SPAN_LIT("UID"))) {
			struct wire_token number;

			rc = wire_next(w, &number, e);
			if (!rc && (number.kind != WIRE_ATOM || !text_number(number.text, UINT32_MAX, &uid)))
				rc = err_set(e, ERR_CORRUPT, "the server sent a message whose UID is no number");
		} else if (t.kind == WIRE_ATOM && text_equal_nocase(t.text, SPAN_LIT("BODY[]"))) {
			rc = read_print(w, &print, &has, e);
		} else if (t.kind == WIRE_ATOM && text_equal_nocase(t.text, SPAN_LIT("BODY[HEADER]"))) {
			rc = read_head(w, &p->head, e);
			has = true;
		} else if (t.kind == WIRE_ATOM) {
			rc = wire_next(w, &t, e);
			if (!rc)
				rc = wire_skip_value(w, &t, e);
		} else {
			rc = err_set(e, ERR_CORRUPT, "the server sent a strange message");
		}
	}
	if (!rc)
		rc = wire_skip_line(w, e);
	if (rc || !uid || !has)
		return rc;
	return p->visit_head ? p->visit_head(p->ctx, (uint32_t)uid, buf_span(&p->head), e)
	                     : p->visit(p->ctx, (uint32_t)uid, &print, e);
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
