#include "fetch.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"

#define COMMAND_MESSAGES_MAX 100
#define COMMAND_BYTES_MAX    (512 * KIB)
#define INCOMING_BYTES_MAX   (16 * MIB) /* of one that is larger than the server said */
#define UNKNOWN_BYTES        (64 * KIB) /* counted for one whose size we were not told */

void fetch_init(struct fetch *f, struct session *s)
{
	*f = (struct fetch){ .session = s, .incoming = BUF_WITH_MAX(INCOMING_BYTES_MAX), .piece = BUF_EMPTY };
}

static void drop_ones(struct fetch *f)
{
	for (size_t i = 0; i < f->count; i++)
		buf_release(&f->ones[i].body);
	f->count = f->first = f->next = 0;
	f->held = 0;
}

void fetch_release(struct fetch *f)
{
	drop_ones(f);
	mem_free(f->ones);
	buf_release(&f->incoming);
	buf_release(&f->piece);
	*f = (struct fetch){ 0 };
}

/* ---- who is wanted ---- */

static struct fetch_one *find(struct fetch *f, uint32_t uid)
{
	size_t low = f->first, high = f->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->ones[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < f->count && f->ones[low].uid == uid ? &f->ones[low] : NULL;
}

/* Moves what is left to the front once most of the list is behind us. */
static void compact(struct fetch *f)
{
	if (f->first < 1024 || f->first < f->count / 2)
		return;
	memmove(f->ones, f->ones + f->first, (f->count - f->first) * sizeof *f->ones);
	f->count -= f->first;
	f->next -= f->first;
	f->first = 0;
}

enum err_code fetch_want(struct fetch *f, uint32_t uid, uint32_t bytes, struct err *e)
{
	struct fetch_one one = { .uid = uid, .bytes = bytes, .state = FETCH_WANTED, .body = BUF_EMPTY };

	if (f->count > f->first && f->ones[f->count - 1].uid >= uid)
		return err_set(e, ERR_STATE, "message %" PRIu32 " is wanted out of order", uid);
	compact(f);
	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 256;
		struct fetch_one *grown = mem_grow(f->ones, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		f->ones = grown;
		f->cap = cap;
	}
	if (bytes > FETCH_WHOLE_MAX)
		one.state = FETCH_LARGE;
	f->ones[f->count++] = one;
	return ERR_OK;
}

static uint32_t weight(const struct fetch_one *one)
{
	return one->bytes ? one->bytes : UNKNOWN_BYTES;
}

/* ---- asking ---- */

static enum err_code ask(struct fetch *f, struct span set, unsigned *tag, struct err *e)
{
	return imap_send(f->session->client, tag, e, "UID FETCH %.*s (UID BODY.PEEK[])", (int)set.len,
	                 (const char *)set.ptr);
}

/* One command for what is wanted from NEXT on: some messages, of some bytes. */
static enum err_code ask_some(struct fetch *f, struct err *e)
{
	struct buf set = BUF_EMPTY;
	size_t from = f->next, to = from, count = 0;
	uint64_t bytes = 0;
	unsigned tag = 0;
	enum err_code rc = ERR_OK;

	for (; !rc && to < f->count && count < COMMAND_MESSAGES_MAX && bytes < COMMAND_BYTES_MAX; to++) {
		struct fetch_one *one = &f->ones[to];

		if (one->state != FETCH_WANTED)
			continue;
		if (one->alone && count)
			break;
		rc = buf_printf(&set, e, "%s%" PRIu32, count ? "," : "", one->uid);
		bytes += weight(one);
		count++;
		if (one->alone) {
			to++;
			break;
		}
	}
	if (!rc && count)
		rc = ask(f, buf_span(&set), &tag, e);
	buf_release(&set);
	if (rc)
		return rc;
	for (size_t i = from; i < to; i++)
		if (f->ones[i].state == FETCH_WANTED) {
			f->ones[i].state = FETCH_ASKED;
			f->ones[i].tag = tag;
			f->held += weight(&f->ones[i]);
		}
	f->next = to;
	return ERR_OK;
}

static enum err_code keep_asking(struct fetch *f, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && f->next < f->count && f->held < FETCH_WINDOW_BYTES)
		rc = ask_some(f, e);
	return rc;
}

/* What was asked for over a connection that is no more has to be asked for again. */
static void ask_again(struct fetch *f)
{
	for (size_t i = f->first; i < f->count; i++)
		if (f->ones[i].state == FETCH_ASKED) {
			f->ones[i].state = FETCH_WANTED;
			f->held -= weight(&f->ones[i]);
		}
	f->next = f->first;
}

/* ---- what comes ---- */

struct came {
	uint32_t uid;
	bool has_body, is_nil, too_large, is_piece;
};

static enum err_code read_body(struct fetch *f, struct wire *w, struct came *came, struct err *e)
{
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
	came->too_large = t.bytes > INCOMING_BYTES_MAX;
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

static enum err_code read_uid(struct wire *w, uint32_t *out, struct err *e)
{
	struct wire_token t;
	uint64_t value;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc && (t.kind != WIRE_ATOM || !text_number(t.text, UINT32_MAX, &value)))
		return err_set(e, ERR_CORRUPT, "the server sent a message whose UID is no number");
	if (!rc)
		*out = (uint32_t)value;
	return rc;
}

static enum err_code read_message(struct fetch *f, struct wire *w, struct came *came, struct err *e)
{
	struct wire_token t;
	enum err_code rc = wire_next(w, &t, e);

	*came = (struct came){ 0 };
	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server sent a message without its list");
	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind != WIRE_ATOM)
			return err_set(e, ERR_CORRUPT, "the server sent a strange message");
		if (text_equal_nocase(t.text, SPAN_LIT("UID"))) {
			rc = read_uid(w, &came->uid, e);
		} else if (t.text.len >= 6 && text_equal_nocase(span_first(t.text, 6), SPAN_LIT("BODY[]"))) {
			came->is_piece = t.text.len > 6;
			rc = read_body(f, w, came, e);
		} else {
			rc = wire_next(w, &t, e);
			if (!rc)
				rc = wire_skip_value(w, &t, e);
		}
	}
	return rc ? rc : wire_skip_line(w, e);
}

static void swap(struct buf *a, struct buf *b)
{
	struct buf keep = *a;

	*a = *b;
	*b = keep;
}

/* A message came: to whoever waits for it; unasked ones (a flag that changed) concern nobody. */
static void settle(struct fetch *f, const struct came *came)
{
	struct fetch_one *one;

	if (!came->has_body)
		return;
	session_progress(f->session);
	if (came->is_piece) {
		if (came->uid == f->piece_uid && !f->piece_came) {
			swap(&f->piece, &f->incoming);
			f->piece_came = true;
		}
		return;
	}
	one = find(f, came->uid);
	if (!one || one->state != FETCH_ASKED)
		return;
	f->held -= weight(one);
	if (came->is_nil) {
		one->state = FETCH_REFUSED;
		err_set(&f->refusal, ERR_CORRUPT, "the server has no content for it");
		return;
	}
	if (came->too_large) {
		one->state = FETCH_LARGE;
		return;
	}
	one->state = FETCH_HERE;
	swap(&one->body, &f->incoming);
	f->incoming.max = INCOMING_BYTES_MAX;
	one->bytes = (uint32_t)one->body.len;
	f->held += weight(one);
}

/* Command TAG is done: what it asked for and has not come will not. */
static void command_done(struct fetch *f, const struct imap_response *r)
{
	size_t asked = 0;
	bool refused = r->status != IMAP_OK;

	for (size_t i = f->first; i < f->count; i++)
		asked += f->ones[i].state == FETCH_ASKED && f->ones[i].tag == r->tag;
	if (refused && asked)
		imap_refused(r, &f->refusal);
	for (size_t i = f->first; i < f->count && asked; i++) {
		struct fetch_one *one = &f->ones[i];

		if (one->state != FETCH_ASKED || one->tag != r->tag)
			continue;
		f->held -= weight(one);
		one->state = !refused ? FETCH_GONE : one->alone ? FETCH_REFUSED : FETCH_WANTED;
		one->alone |= refused;
		if (one->state == FETCH_WANTED && i < f->next)
			f->next = i;
	}
}

/* Reads one response. *DONE: it ended command TAG. */
static enum err_code read_one(struct fetch *f, unsigned tag, bool *done, struct err *e)
{
	struct imap_client *c = f->session->client;
	struct imap_response r;
	struct came came;
	enum err_code rc = imap_next(c, &r, e);

	*done = false;
	if (rc)
		return rc;
	if (r.kind == IMAP_DATA && strcmp(r.word, "FETCH") == 0) {
		rc = read_message(f, imap_wire(c), &came, e);
		if (!rc)
			settle(f, &came);
	} else if (r.kind == IMAP_DATA) {
		rc = wire_skip_line(imap_wire(c), e);
	} else if (r.kind == IMAP_DONE) {
		command_done(f, &r);
		*done = r.tag == tag;
		if (*done && r.status != IMAP_OK)
			rc = imap_refused(&r, e);
	}
	return rc;
}

/* ---- taking ---- */

/* What makes no sense is answered like a broken connection: the stream cannot be trusted any more. */
static enum err_code recover(struct fetch *f, struct err *e)
{
	struct err why = *e;
	enum err_code rc;

	if (why.code == ERR_CORRUPT) {
		why.code = ERR_IO;
		why.retry = ERR_RETRY_NOW;
	}
	rc = session_again(f->session, &why, e);
	ask_again(f);
	return rc;
}

enum err_code fetch_take(struct fetch *f, uint32_t uid, uint32_t bytes, struct fetch_one **out, struct err *e)
{
	struct fetch_one *one = find(f, uid);
	enum err_code rc = ERR_OK;
	bool done;

	if (f->session->death.code) {
		*e = f->session->death;
		return e->code;
	}
	if (!one) {
		rc = fetch_want(f, uid, bytes, e);
		one = find(f, uid);
	}
	while (!rc && (one->state == FETCH_WANTED || one->state == FETCH_ASKED)) {
		rc = keep_asking(f, e);
		/* The window may be full of others that nobody takes before this one. */
		if (!rc && one->state == FETCH_WANTED)
			rc = ask_some(f, e);
		if (!rc)
			rc = read_one(f, 0, &done, e);
		if (rc == ERR_IO || rc == ERR_CORRUPT)
			rc = recover(f, e);
	}
	if (!rc)
		*out = one;
	return rc;
}

void fetch_done(struct fetch *f, struct fetch_one *one)
{
	if (one->state == FETCH_HERE)
		f->held -= weight(one);
	one->state = FETCH_TAKEN;
	buf_release(&one->body);
	while (f->first < f->count && f->ones[f->first].state == FETCH_TAKEN)
		f->first++;
	if (f->next < f->first)
		f->next = f->first;
}

static enum err_code try_piece(struct fetch *f, uint32_t uid, uint64_t offset, struct err *e)
{
	bool done = false;
	unsigned tag;
	enum err_code rc =
	        imap_send(f->session->client, &tag, e, "UID FETCH %" PRIu32 " (UID BODY.PEEK[]<%" PRIu64 ".%u>)", uid,
	                  offset, (unsigned)FETCH_PIECE_BYTES);

	f->piece_uid = uid;
	f->piece_came = false;
	buf_clear(&f->piece);
	while (!rc && !done)
		rc = read_one(f, tag, &done, e);
	f->piece_uid = 0;
	return rc;
}

enum err_code fetch_piece(struct fetch *f, uint32_t uid, uint64_t offset, struct span *out, struct err *e)
{
	enum err_code rc = try_piece(f, uid, offset, e);

	while (rc == ERR_IO || rc == ERR_CORRUPT) {
		rc = recover(f, e);
		if (!rc)
			rc = try_piece(f, uid, offset, e);
	}
	if (!rc && !f->piece_came)
		rc = err_set(e, ERR_VANISHED, "message %" PRIu32 " was deleted while it was read", uid);
	*out = rc ? SPAN_EMPTY : buf_span(&f->piece);
	return rc;
}

void fetch_clear(struct fetch *f)
{
	struct err why;
	bool done, asked = true;
	enum err_code rc = ERR_OK;

	while (!rc && asked) {
		asked = false;
		for (size_t i = f->first; i < f->count; i++)
			asked |= f->ones[i].state == FETCH_ASKED;
		if (asked && f->session->client && !f->session->death.code)
			rc = read_one(f, 0, &done, &why);
		else
			break;
	}
	drop_ones(f);
}
