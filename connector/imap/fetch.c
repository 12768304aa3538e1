#include "fetch.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "message_data.h"

#define COMMANDS_MAX         64 /* on their way: who only writes while the other only writes waits for ever */
#define COMMAND_MESSAGES_MAX 100
#define COMMAND_BYTES_MAX    (512 * KIB)
#define INCOMING_BYTES_MAX   (16 * MIB) /* of one that is larger than the server said */
#define UNKNOWN_BYTES        (64 * KIB) /* counted for one whose size we were not told */
#define HEAD_BYTES           (4 * KIB)  /* counted for a header block */
#define BREAKS_MAX           2          /* then in pieces; so often again, then not at all */
#define GIVEN_UP_MAX         3          /* in a row: it is not the messages, it is the server */
#define PASSED_OVER_MAX      2

void fetch_init(struct fetch *f, struct session *s, uint64_t window_bytes)
{
	*f = (struct fetch){ .session = s, .window_bytes = window_bytes, .incoming = BUF_WITH_MAX(INCOMING_BYTES_MAX) };
}

static void drop_pieces(struct fetch *f)
{
	for (size_t i = 0; i < FETCH_PIECES; i++) {
		buf_release(&f->pieces[i].bytes);
		f->pieces[i] = (struct fetch_piece){ 0 };
	}
	f->piece_uid = 0;
}

static void drop_ones(struct fetch *f)
{
	for (size_t i = 0; i < f->count; i++)
		buf_release(&f->ones[i].body);
	f->count = f->first = f->next = 0;
	f->held = 0;
	f->later.code = ERR_OK;
	drop_pieces(f);
}

void fetch_release(struct fetch *f)
{
	drop_ones(f);
	mem_free(f->ones);
	buf_release(&f->incoming);
	*f = (struct fetch){ 0 };
}

/* ---- who is wanted ---- */

/* The first that is not before UID. */
static size_t place_of(const struct fetch *f, uint32_t uid)
{
	size_t low = f->first, high = f->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->ones[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct fetch_one *find(struct fetch *f, uint32_t uid)
{
	size_t at = place_of(f, uid);

	return at < f->count && f->ones[at].uid == uid ? &f->ones[at] : NULL;
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

enum err_code fetch_want(struct fetch *f, uint32_t uid, uint32_t bytes, bool head, struct err *e)
{
	struct fetch_one one = { .uid = uid, .bytes = bytes, .state = FETCH_WANTED, .head = head, .body = BUF_EMPTY };
	size_t at;

	compact(f);
	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 256;
		struct fetch_one *grown = mem_grow(f->ones, cap * sizeof *grown);

		if (!grown)
			return err_no_memory(e, cap * sizeof *grown);
		f->ones = grown;
		f->cap = cap;
	}
	if (bytes > FETCH_WHOLE_MAX && !head)
		one.state = FETCH_LARGE;
	at = place_of(f, uid);
	if (at < f->count && f->ones[at].uid == uid) {
		/* Its header block was taken, and did not do. */
		if (f->ones[at].state != FETCH_TAKEN)
			return err_set(e, ERR_STATE, "message %" PRIu32 " is wanted twice", uid);
		f->ones[at] = one;
	} else {
		memmove(f->ones + at + 1, f->ones + at, (f->count - at) * sizeof *f->ones);
		f->ones[at] = one;
		f->count++;
		f->next += at < f->next;
	}
	if (at < f->next)
		f->next = at;
	return ERR_OK;
}

static uint32_t weight(const struct fetch_one *one)
{
	if (one->head && one->state != FETCH_HERE)
		return HEAD_BYTES;
	return one->bytes ? one->bytes : UNKNOWN_BYTES;
}

/* ---- asking ---- */

/* A set of UIDs, as it is written: "3,7:9". */
struct uid_set {
	struct buf text;
	uint32_t from, to; /* the last run, not written yet; FROM 0: none */
};

static enum err_code end_run(struct uid_set *set, struct err *e)
{
	uint32_t from = set->from, to = set->to;

	set->from = 0;
	if (!from)
		return ERR_OK;
	return to == from ? buf_printf(&set->text, e, "%s%" PRIu32, set->text.len ? "," : "", from)
	                  : buf_printf(&set->text, e, "%s%" PRIu32 ":%" PRIu32, set->text.len ? "," : "", from, to);
}

static enum err_code add_to_set(struct uid_set *set, uint32_t uid, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (!set->from || set->to + 1 != uid) {
		rc = end_run(set, e);
		set->from = uid;
	}
	set->to = uid;
	return rc;
}

/* One command for what is wanted from NEXT on: some messages, of some bytes. */
static enum err_code ask_some(struct fetch *f, struct err *e)
{
	struct uid_set set = { .text = BUF_EMPTY };
	size_t from = f->next, to = from, count = 0;
	uint64_t bytes = 0;
	bool head = false;
	unsigned tag = 0;
	enum err_code rc = ERR_OK;

	for (; !rc && to < f->count && count < COMMAND_MESSAGES_MAX && bytes < COMMAND_BYTES_MAX; to++) {
		struct fetch_one *one = &f->ones[to];

		if (one->state != FETCH_WANTED)
			continue;
		if (count && (one->alone || one->head != head))
			break;
		head = one->head;
		rc = add_to_set(&set, one->uid, e);
		bytes += weight(one);
		count++;
		if (one->alone) {
			to++;
			break;
		}
	}
	if (!rc)
		rc = end_run(&set, e);
	if (!rc && count)
		rc = imap_send(f->session->client, &tag, e, "UID FETCH %.*s (UID BODY.PEEK[%s])", (int)set.text.len,
		               (const char *)set.text.ptr, head ? "HEADER" : "");
	buf_release(&set.text);
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

enum err_code fetch_ahead(struct fetch *f, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && !f->later.code && f->next < f->count && f->held < f->window_bytes &&
	       imap_outstanding(f->session->client) < COMMANDS_MAX)
		rc = ask_some(f, e);
	return rc;
}

/* What was asked for over a connection that is no more has to be asked for again. */
static void ask_again(struct fetch *f)
{
	for (size_t i = f->first; i < f->count; i++) {
		struct fetch_one *one = &f->ones[i];

		if (one->state == FETCH_ASKED)
			f->held -= weight(one);
		if (one->state == FETCH_ASKED || one->state == FETCH_DOUBTED)
			one->state = FETCH_WANTED;
	}
	f->next = f->first;
	for (size_t i = 0; i < FETCH_PIECES; i++)
		if (f->pieces[i].state == FETCH_ASKED)
			f->pieces[i] = (struct fetch_piece){ .bytes = f->pieces[i].bytes };
}

/* Asks after those that command TAG passed over. The server may first have to tell that they are gone. */
static enum err_code ask_after(struct fetch *f, unsigned tag, struct err *e)
{
	struct uid_set set = { .text = BUF_EMPTY };
	unsigned noop, asked = 0;
	enum err_code rc = ERR_OK;

	for (size_t i = f->first; !rc && i < f->count; i++)
		if (f->ones[i].state == FETCH_ASKED && f->ones[i].tag == tag)
			rc = add_to_set(&set, f->ones[i].uid, e);
	if (!rc)
		rc = end_run(&set, e);
	if (!rc && set.text.len)
		rc = imap_send(f->session->client, &noop, e, "NOOP");
	if (!rc && set.text.len)
		rc = imap_send(f->session->client, &asked, e, "UID FETCH %.*s (UID FLAGS)", (int)set.text.len,
		               (const char *)set.text.ptr);
	buf_release(&set.text);
	for (size_t i = f->first; !rc && asked && i < f->count; i++) {
		struct fetch_one *one = &f->ones[i];

		if (one->state != FETCH_ASKED || one->tag != tag)
			continue;
		f->held -= weight(one);
		one->state = FETCH_DOUBTED;
		one->present = false;
		one->tag = asked;
	}
	return rc;
}

/* ---- what comes ---- */

struct came {
	uint32_t uid;
	bool has_body, is_nil, too_large, is_head, is_piece;
	uint64_t offset;
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

static enum err_code read_message(struct fetch *f, struct wire *w, struct came *came, struct err *e)
{
	struct wire_token t;
	uint64_t uid;
	enum err_code rc = wire_next(w, &t, e);

	if (!rc && t.kind != WIRE_OPEN)
		rc = err_set(e, ERR_CORRUPT, "the server sent a message without its list");
	while (!rc) {
		rc = wire_next(w, &t, e);
		if (rc || t.kind == WIRE_CLOSE)
			break;
		if (t.kind != WIRE_ATOM)
			return err_set(e, ERR_CORRUPT, "the server sent a strange message");
		if (text_equal_nocase(t.text, SPAN_LIT("UID"))) {
			rc = message_number(w, &uid, e);
			if (!rc)
				came->uid = uid <= UINT32_MAX ? (uint32_t)uid : 0;
		} else if (is_body(t.text, came)) {
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

static void learned(struct fetch *f)
{
	session_progress(f->session);
	f->given_up = 0;
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
		swap(&p->bytes, &f->incoming);
		f->incoming.max = INCOMING_BYTES_MAX;
		return;
	}
}

/* A message came: to whoever waits for it; unasked ones (a flag that changed) concern nobody. */
static void settle(struct fetch *f, const struct came *came)
{
	struct fetch_one *one;

	if (came->has_body && !came->is_nil)
		learned(f);
	if (came->is_piece) {
		settle_piece(f, came, false);
		return;
	}
	one = find(f, came->uid);
	if (one && one->state == FETCH_DOUBTED)
		one->present = true;
	/* NIL: there is nothing to give, as when it is gone. */
	if (!one || one->state != FETCH_ASKED || !came->has_body || one->head != came->is_head || came->is_nil)
		return;
	f->held -= weight(one);
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

static void refuse(struct fetch *f, struct fetch_one *one, const char *why)
{
	one->state = FETCH_REFUSED;
	err_set(&f->refusal, ERR_CORRUPT, "%s", why);
}

/* The answer to ask_after is complete. */
static void judge_doubted(struct fetch *f, size_t i)
{
	struct fetch_one *one = &f->ones[i];

	if (!one->present) {
		one->state = FETCH_GONE;
	} else if (++one->passed_over >= PASSED_OVER_MAX) {
		refuse(f, one, "the server lists it and does not give its content");
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
		f->held -= weight(one);
	if (!f->later.code && one->alone) {
		one->state = FETCH_REFUSED;
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
		return ask_after(f, r->tag, e);
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
	learned(f);
	settle_piece(f, came, true);
}

/* Reads one response. */
static enum err_code read_one(struct fetch *f, struct err *e)
{
	struct imap_client *c = f->session->client;
	struct imap_response r;
	struct came came = { 0 };
	enum err_code rc = imap_next(c, &r, e);

	if (rc)
		return rc;
	if (r.kind == IMAP_DATA && strcmp(r.word, "FETCH") == 0) {
		rc = read_message(f, imap_wire(c), &came, e);
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

/* ---- trouble ---- */

/* The one whose asking may have broken the connection: the first that was on its way. */
static struct fetch_one *suspect(struct fetch *f)
{
	for (size_t i = f->first; i < f->count && i < f->next; i++)
		if (f->ones[i].state == FETCH_ASKED)
			return &f->ones[i];
	return NULL;
}

static enum err_code give_up(struct fetch *f, uint32_t uid, const struct err *why, struct err *e)
{
	if (++f->given_up > GIVEN_UP_MAX) {
		f->session->death = *why;
		*e = *why;
		return e->code;
	}
	session_progress(f->session);
	err_set(&f->refusal, ERR_CORRUPT, "the connection breaks whenever message %" PRIu32 " is asked for (%s)", uid,
	        why->text);
	return ERR_OK;
}

/* The connection broke with WHY: whoever was on its way is suspected more and more. */
static enum err_code blame(struct fetch *f, struct fetch_one *one, const struct err *why, struct err *e)
{
	if (!one)
		return ERR_OK;
	one->alone = true;
	if (++one->breaks < BREAKS_MAX)
		return ERR_OK;
	f->held -= weight(one);
	if (!one->head) {
		one->state = FETCH_LARGE;
		return ERR_OK;
	}
	one->state = FETCH_REFUSED;
	return give_up(f, one->uid, why, e);
}

/* After a failure in E: over to a new connection, or on over the old one after a pause. */
static enum err_code recover(struct fetch *f, struct err *e)
{
	struct err why = *e;
	bool same = false;
	enum err_code rc = session_again(f->session, &why, &same, e);

	f->later.code = ERR_OK;
	if (rc) {
		ask_again(f);
		return rc;
	}
	if (same)
		return ERR_OK;
	rc = blame(f, suspect(f), &why, e);
	ask_again(f);
	return rc;
}

static bool may_recover(enum err_code rc)
{
	return rc == ERR_IO || rc == ERR_CORRUPT;
}

/* ---- taking ---- */

/* One step towards what is waited for. */
static enum err_code step(struct fetch *f, bool nothing_asked, struct err *e)
{
	enum err_code rc;

	if (f->later.code) {
		*e = f->later;
		return e->code;
	}
	rc = fetch_ahead(f, e);
	/* The window may be full of others that nobody takes before this one. */
	if (!rc && nothing_asked)
		rc = ask_some(f, e);
	return rc ? rc : read_one(f, e);
}

enum err_code fetch_take(struct fetch *f, uint32_t uid, uint32_t bytes, bool head, enum fetch_state *state,
                         struct buf *out, struct err *e)
{
	struct fetch_one *one = find(f, uid);
	enum err_code rc = ERR_OK;

	if (f->session->death.code) {
		*e = f->session->death;
		return e->code;
	}
	if (!one || one->state == FETCH_TAKEN || one->head != head) {
		rc = fetch_want(f, uid, bytes, head, e);
		one = find(f, uid);
	}
	while (!rc && (one->state == FETCH_WANTED || one->state == FETCH_ASKED || one->state == FETCH_DOUBTED)) {
		rc = step(f, one->state == FETCH_WANTED, e);
		if (may_recover(rc))
			rc = recover(f, e);
	}
	if (rc)
		return rc;
	*state = one->state;
	if (one->state == FETCH_HERE) {
		f->held -= weight(one);
		swap(out, &one->body);
	}
	buf_release(&one->body);
	one->state = FETCH_TAKEN;
	while (f->first < f->count && f->ones[f->first].state == FETCH_TAKEN)
		f->first++;
	if (f->next < f->first)
		f->next = f->first;
	return ERR_OK;
}

void fetch_return(struct fetch *f, uint32_t uid, struct buf *body)
{
	struct err e;
	struct fetch_one *one;

	if (fetch_want(f, uid, (uint32_t)body->len, false, &e))
		return;
	one = find(f, uid);
	one->state = FETCH_HERE;
	one->bytes = (uint32_t)body->len;
	swap(&one->body, body);
	f->held += weight(one);
}

/* ---- pieces ---- */

static struct fetch_piece *piece_at(struct fetch *f, uint64_t offset)
{
	for (size_t i = 0; i < FETCH_PIECES; i++)
		if (f->pieces[i].state && !f->pieces[i].stale && f->pieces[i].offset == offset)
			return &f->pieces[i];
	return NULL;
}

/* A slot for another piece; NULL when all are on their way or waited for. */
static struct fetch_piece *free_slot(struct fetch *f)
{
	for (size_t i = 0; i < FETCH_PIECES; i++) {
		struct fetch_piece *p = &f->pieces[i];

		if (p->stale && p->state != FETCH_ASKED)
			*p = (struct fetch_piece){ .bytes = p->bytes };
		if (!p->state)
			return p;
	}
	return NULL;
}

/* Asks for the piece at OFFSET, and for those behind it that lie before BYTES, as far as there are slots. */
static enum err_code ask_pieces(struct fetch *f, uint64_t offset, uint64_t bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (uint64_t at = offset; !rc && (at == offset || at < bytes); at += FETCH_PIECE_BYTES) {
		struct fetch_piece *p;

		if (at - offset >= (uint64_t)FETCH_PIECES * FETCH_PIECE_BYTES)
			break;
		if (piece_at(f, at))
			continue;
		p = free_slot(f);
		if (!p)
			break;
		rc = imap_send(f->session->client, &p->tag, e,
		               "UID FETCH %" PRIu32 " (UID BODY.PEEK[]<%" PRIu64 ".%u>)", f->piece_uid, at,
		               (unsigned)FETCH_PIECE_BYTES);
		if (rc)
			break;
		p->state = FETCH_ASKED;
		p->offset = at;
	}
	return rc;
}

/* Which pieces lie where one is not wanted any more. */
static void mark_stale(struct fetch *f, uint64_t offset)
{
	for (size_t i = 0; i < FETCH_PIECES; i++) {
		struct fetch_piece *p = &f->pieces[i];

		p->stale |= p->state && (p->offset < offset || (p->offset - offset) % FETCH_PIECE_BYTES);
	}
}

static enum err_code wait_for_piece(struct fetch *f, uint64_t offset, uint64_t bytes, unsigned *breaks, struct err *e)
{
	struct fetch_piece *p;
	struct err why;
	bool same = false;
	enum err_code rc = ERR_OK;

	mark_stale(f, offset);
	while (!rc && (!(p = piece_at(f, offset)) || p->state == FETCH_ASKED)) {
		if (f->later.code) {
			*e = f->later;
			rc = e->code;
		}
		if (!rc)
			rc = ask_pieces(f, offset, bytes, e);
		if (!rc)
			rc = read_one(f, e);
	}
	if (!may_recover(rc))
		return rc;
	p = piece_at(f, offset);
	why = *e;
	rc = session_again(f->session, &why, &same, e);
	f->later.code = ERR_OK;
	if (!same)
		ask_again(f);
	if (rc || same || (p && p->state == FETCH_HERE))
		return rc;
	if (++*breaks < BREAKS_MAX)
		return ERR_OK;
	rc = give_up(f, f->piece_uid, &why, e);
	if (!rc) {
		*e = f->refusal;
		rc = e->code;
	}
	return rc;
}

enum err_code fetch_piece(struct fetch *f, uint32_t uid, uint64_t offset, uint64_t bytes, struct buf *out, bool *last,
                          struct err *e)
{
	struct fetch_piece *p = NULL;
	unsigned breaks = 0;
	enum err_code rc = ERR_OK;

	if (f->session->death.code) {
		*e = f->session->death;
		return e->code;
	}
	if (f->piece_uid != uid) {
		for (size_t i = 0; i < FETCH_PIECES; i++)
			f->pieces[i].stale = f->pieces[i].state != 0;
		f->piece_uid = uid;
	}
	while (!rc && (!(p = piece_at(f, offset)) || p->state == FETCH_ASKED))
		rc = wait_for_piece(f, offset, bytes, &breaks, e);
	if (rc)
		return rc;
	buf_clear(out);
	if (p->state == FETCH_GONE) {
		*e = f->refusal;
		rc = e->code;
	} else {
		swap(out, &p->bytes);
		*last = !out->len || (!p->cut && out->len < FETCH_PIECE_BYTES && offset + out->len >= bytes);
	}
	p->stale = true;
	return rc;
}

void fetch_clear(struct fetch *f)
{
	struct session *s = f->session;
	struct err why;
	enum err_code rc = ERR_OK;

	while (!rc && s->client && !s->death.code && !imap_is_broken(s->client) && imap_outstanding(s->client))
		rc = read_one(f, &why);
	drop_ones(f);
}
