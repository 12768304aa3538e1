/*
 * What comes: messages, pieces, and the ends of commands, which tell what did not come.
 */
#include <inttypes.h>
#include <strings.h>

#include "base/text.h"
#include "fetch_internal.h"
#include "message_data.h"

#define PASSED_OVER_MAX 2

struct came {
	struct fetch *fetch;
	uint32_t uid;
	bool has_body, is_nil, too_large, is_head, is_piece;
	uint64_t offset;
};

static enum err_code read_body(struct came *came, struct wire *w, struct err *e)
{
	struct fetch *f = came->fetch;
	struct wire_token t;
	struct span piece;
	enum err_code rc = wire_next(w, &t, e);

	buf_clear(&f->incoming);
	came->has_body = true;
	if (rc)
		return rc;
	if (t.kind != WIRE_LITERAL) {
		rc = wire_text(w, &t, &piece, &came->is_nil, e);
		return rc || came->is_nil ? rc : buf_append(&f->incoming, piece, e);
	}
	came->too_large = t.bytes > FETCH_INCOMING_MAX;
	if (came->too_large)
		return wire_literal_skip(w, e);
	rc = buf_reserve(&f->incoming, (size_t)t.bytes, e);
	while (!rc) {
		rc = wire_literal(w, &piece, e);
		if (rc || !piece.len)
			break;
		rc = buf_append(&f->incoming, piece, e);
	}
	return rc;
}

/* "BODY[]", "BODY[HEADER]", "BODY[]<12>"; false: something else. */
static bool is_body(struct span name, struct came *came)
{
	if (text_equal_nocase(name, SPAN_LIT("BODY[]")))
		return true;
	came->is_head = text_equal_nocase(name, SPAN_LIT("BODY[HEADER]"));
	if (came->is_head)
		return true;
	if (name.len < 9 || !text_equal_nocase(span_first(name, 7), SPAN_LIT("BODY[]<")) ||
	    name.ptr[name.len - 1] != '>')
		return false;
	came->is_piece = text_number(span_of(name.ptr + 7, name.len - 8), UINT64_MAX, &came->offset);
	return came->is_piece;
}

static enum err_code read_item(void *ctx, struct wire *w, const char *name, struct err *e)
{
	struct came *came = ctx;

	if (!strcasecmp(name, "UID"))
		return message_uid(w, &came->uid, e);
	return is_body(span_cstr(name), came) ? read_body(came, w, e) : message_pass(w, e);
}

static void settle_piece(struct fetch *f, const struct came *came, bool cut)
{
	for (size_t i = 0; i < FETCH_PIECES; i++) {
		struct fetch_piece *p = &f->pieces[i];

		if (came->uid != f->piece_uid || p->state != FETCH_ASKED || p->offset != came->offset)
			continue;
		if (came->is_nil)
			buf_clear(&f->incoming);
		p->state = FETCH_HERE;
		p->cut = cut;
		fetch_swap(&p->bytes, &f->incoming);
		f->incoming.max = FETCH_INCOMING_MAX;
		return;
	}
}

/* A message came: to whoever waits for it; unasked ones (a flag that changed) concern nobody. */
static void settle(struct fetch *f, const struct came *came)
{
	struct fetch_one *one;

	if (came->has_body && !came->is_nil)
		fetch_learned(f);
	if (came->is_piece) {
		settle_piece(f, came, false);
		return;
	}
	one = fetch_find(f, came->uid);
	if (one && one->state == FETCH_DOUBTED)
		one->present = true;
	/* NIL: there is nothing to give, as when it is gone. */
	if (!one || one->state != FETCH_ASKED || !came->has_body || one->head != came->is_head || came->is_nil)
		return;
	f->held -= fetch_weight(one);
	if (came->too_large) {
		one->state = FETCH_LARGE;
		return;
	}
	one->state = FETCH_HERE;
	fetch_swap(&one->body, &f->incoming);
	f->incoming.max = FETCH_INCOMING_MAX;
	one->bytes = (uint32_t)one->body.len;
	f->held += fetch_weight(one);
}

void fetch_refuse(struct fetch_one *one, const struct err *why)
{
	struct err e;

	one->state = FETCH_REFUSED;
	buf_clear(&one->body);
	/* Without memory for it, the last refusal is told. */
	(void)!buf_append(&one->body, span_of(why, sizeof *why), &e);
}

/* The answer to fetch_ask_after is complete. */
static void judge_doubted(struct fetch *f, size_t i)
{
	struct fetch_one *one = &f->ones[i];

	if (!one->present) {
		one->state = FETCH_GONE;
	} else if (++one->passed_over >= PASSED_OVER_MAX) {
		err_set(&f->refusal, ERR_CORRUPT, "the server lists it and does not give its content");
		fetch_refuse(one, &f->refusal);
	} else {
		one->state = FETCH_WANTED;
		one->alone = true;
		if (i < f->next)
			f->next = i;
	}
}

/* The command that asked was refused: now or for good. */
static void judge_refused(struct fetch *f, size_t i)
{
	struct fetch_one *one = &f->ones[i];

	if (one->state == FETCH_ASKED)
		f->held -= fetch_weight(one);
	if (!f->later.code && one->alone) {
		fetch_refuse(one, &f->refusal);
		return;
	}
	one->state = FETCH_WANTED;
	one->alone |= !f->later.code;
	if (i < f->next)
		f->next = i;
}

/* The command that asked for a piece is done, and the piece did not come. */
static void piece_refused(struct fetch_piece *p, struct fetch *f, const struct imap_response *r, bool refused)
{
	struct err why;

	p->state = FETCH_GONE;
	if (!refused) {
		err_set(&f->refusal, ERR_CORRUPT, "it was deleted while it was read, or the server does not give it");
	} else if (imap_refused(r, &why) && why.retry == ERR_RETRY_LATER) {
		f->later = why;
		p->state = 0;
	} else {
		f->refusal = why;
	}
}

/* Command TAG is done: what it asked for and has not come will not. */
static enum err_code command_done(struct fetch *f, const struct imap_response *r, struct err *e)
{
	bool gone = span_starts(r->code, SPAN_LIT("EXPUNGEISSUED"));
	bool refused = r->status != IMAP_OK && !gone;
	size_t asked = 0, doubted = 0;
	struct err why;

	for (size_t i = f->first; i < f->count && i < f->next; i++) {
		asked += f->ones[i].state == FETCH_ASKED && f->ones[i].tag == r->tag;
		doubted += f->ones[i].state == FETCH_DOUBTED && f->ones[i].tag == r->tag;
	}
	for (size_t i = 0; i < FETCH_PIECES; i++)
		if (f->pieces[i].state == FETCH_ASKED && f->pieces[i].tag == r->tag)
			piece_refused(&f->pieces[i], f, r, refused);
	if (!asked && !doubted)
		return ERR_OK;
	if (asked && !refused)
		return fetch_ask_after(f, r->tag, e);
	if (refused && imap_refused(r, &why) && why.retry == ERR_RETRY_LATER)
		f->later = why;
	else if (refused)
		f->refusal = why;
	for (size_t i = f->first; i < f->count; i++) {
		bool mine = f->ones[i].tag == r->tag;

		if (mine && refused && (f->ones[i].state == FETCH_ASKED || f->ones[i].state == FETCH_DOUBTED))
			judge_refused(f, i);
		else if (mine && f->ones[i].state == FETCH_DOUBTED)
			judge_doubted(f, i);
	}
	return ERR_OK;
}

/*
 * The connection broke inside a piece. TLS tells a byte that was changed from one that was sent, and what came before the
 * break was sent: it is as good as a shorter piece.
 */
static void keep_cut_piece(struct fetch *f, const struct came *came)
{
	if (!came->is_piece || came->uid != f->piece_uid || !f->incoming.len)
		return;
	fetch_learned(f);
	settle_piece(f, came, true);
}

/* Reads one response. */
enum err_code fetch_read_one(struct fetch *f, struct err *e)
{
	struct imap_client *c = f->session->client;
	struct imap_response r;
	struct came came = { .fetch = f };
	enum err_code rc = imap_next(c, &r, e);

	if (rc)
		return rc;
	if (r.kind == IMAP_DATA && strcmp(r.word, "FETCH") == 0) {
		rc = message_read(imap_wire(c), read_item, &came, e);
		if (!rc)
			settle(f, &came);
		else
			imap_break(c);
		if (rc == ERR_IO)
			keep_cut_piece(f, &came);
	} else if (r.kind == IMAP_DATA) {
		rc = wire_skip_line(imap_wire(c), e);
		if (rc)
			imap_break(c);
	} else if (r.kind == IMAP_DONE) {
		rc = command_done(f, &r, e);
	}
	return rc;
}
