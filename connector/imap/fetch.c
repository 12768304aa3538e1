#include "fetch_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

#define COMMANDS_MAX         64 /* on their way: who only writes while the other only writes waits for ever */
#define COMMAND_MESSAGES_MAX 100
#define COMMAND_BYTES_MAX    (512 * KIB)
#define UNKNOWN_BYTES        (64 * KIB) /* counted for one whose size we were not told */
#define HEAD_BYTES           (4 * KIB)  /* counted for a header block */
#define GIVEN_UP_MAX         3          /* in a row: it is not the messages, it is the server */

void fetch_init(struct fetch *f, struct session *s, uint64_t window_bytes)
{
	*f = (struct fetch){ .session = s, .window_bytes = window_bytes, .incoming = BUF_WITH_MAX(FETCH_INCOMING_MAX) };
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
	f->hungry = false;
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

struct fetch_one *fetch_find(struct fetch *f, uint32_t uid)
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

uint32_t fetch_weight(const struct fetch_one *one)
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
		bytes += fetch_weight(one);
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
			f->held += fetch_weight(&f->ones[i]);
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
void fetch_ask_again(struct fetch *f)
{
	for (size_t i = f->first; i < f->count; i++) {
		struct fetch_one *one = &f->ones[i];

		if (one->state == FETCH_ASKED)
			f->held -= fetch_weight(one);
		if (one->state == FETCH_ASKED || one->state == FETCH_DOUBTED)
			one->state = FETCH_WANTED;
	}
	f->next = f->first;
	for (size_t i = 0; i < FETCH_PIECES; i++)
		if (f->pieces[i].state == FETCH_ASKED)
			f->pieces[i] = (struct fetch_piece){ .bytes = f->pieces[i].bytes };
}

/* Asks after those that command TAG passed over. The server may first have to tell that they are gone. */
enum err_code fetch_ask_after(struct fetch *f, unsigned tag, struct err *e)
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
		f->held -= fetch_weight(one);
		one->state = FETCH_DOUBTED;
		one->present = false;
		one->tag = asked;
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

enum err_code fetch_give_up(struct fetch *f, uint32_t uid, const struct err *why, struct err *e)
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
	if (++one->breaks < FETCH_BREAKS_MAX)
		return ERR_OK;
	f->held -= fetch_weight(one);
	if (!one->head) {
		one->state = FETCH_LARGE;
		return ERR_OK;
	}
	if (fetch_give_up(f, one->uid, why, e))
		return e->code;
	fetch_refuse(one, &f->refusal);
	return ERR_OK;
}

/* After a failure in E: over to a new connection, or on over the old one after a pause. */
static enum err_code recover(struct fetch *f, struct err *e)
{
	struct err why = *e;
	bool same = false;
	enum err_code rc = session_again(f->session, &why, &same, e);

	f->later.code = ERR_OK;
	if (rc) {
		fetch_ask_again(f);
		return rc;
	}
	if (same)
		return ERR_OK;
	rc = blame(f, suspect(f), &why, e);
	fetch_ask_again(f);
	return rc;
}

bool fetch_may_recover(enum err_code rc)
{
	return rc == ERR_IO || rc == ERR_CORRUPT;
}

/* ---- carrying ---- */

bool fetch_has_work(const struct fetch *f)
{
	return f->later.code || (f->session->client && imap_outstanding(f->session->client)) ||
	       (f->next < f->count && (f->hungry || f->held < f->window_bytes));
}

enum err_code fetch_carry(struct fetch *f, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (f->session->death.code) {
		*e = f->session->death;
		return e->code;
	}
	if (f->later.code) {
		*e = f->later;
		rc = e->code;
	}
	if (!rc)
		rc = fetch_ahead(f, e);
	if (!rc && f->hungry) {
		f->hungry = false;
		rc = ask_some(f, e);
	}
	if (!rc && imap_outstanding(f->session->client))
		rc = fetch_read_one(f, e);
	return fetch_may_recover(rc) ? recover(f, e) : rc;
}

/* ---- taking ---- */

/* UID is wanted from now on. */
static enum err_code need(struct fetch *f, uint32_t uid, uint32_t bytes, bool head, struct err *e)
{
	const struct fetch_one *one = fetch_find(f, uid);

	return one && one->state != FETCH_TAKEN && one->head == head ? ERR_OK : fetch_want(f, uid, bytes, head, e);
}

static bool is_settled(const struct fetch_one *one)
{
	return one->state != FETCH_WANTED && one->state != FETCH_ASKED && one->state != FETCH_DOUBTED;
}

enum err_code fetch_is_pending(struct fetch *f, uint32_t uid, uint32_t bytes, bool head, bool *pending, struct err *e)
{
	enum err_code rc = need(f, uid, bytes, head, e);
	const struct fetch_one *one = rc ? NULL : fetch_find(f, uid);

	if (!one)
		return rc;
	*pending = !is_settled(one);
	/* The window may be full of others that nobody takes before this one. */
	f->hungry |= one->state == FETCH_WANTED && f->held >= f->window_bytes;
	return ERR_OK;
}

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
	return rc ? rc : fetch_read_one(f, e);
}

enum err_code fetch_take(struct fetch *f, uint32_t uid, uint32_t bytes, bool head, enum fetch_state *state,
                         struct buf *out, struct err *e)
{
	struct fetch_one *one;
	enum err_code rc;

	if (f->session->death.code) {
		*e = f->session->death;
		return e->code;
	}
	rc = need(f, uid, bytes, head, e);
	one = rc ? NULL : fetch_find(f, uid);
	while (!rc && !is_settled(one)) {
		rc = step(f, one->state == FETCH_WANTED, e);
		if (fetch_may_recover(rc))
			rc = recover(f, e);
	}
	if (rc)
		return rc;
	*state = one->state;
	if (one->state == FETCH_HERE) {
		f->held -= fetch_weight(one);
		fetch_swap(out, &one->body);
	}
	if (one->state == FETCH_REFUSED && one->body.len == sizeof f->refusal)
		memcpy(&f->refusal, one->body.ptr, sizeof f->refusal);
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
	one = fetch_find(f, uid);
	one->state = FETCH_HERE;
	one->bytes = (uint32_t)body->len;
	fetch_swap(&one->body, body);
	f->held += fetch_weight(one);
}

void fetch_clear(struct fetch *f)
{
	struct session *s = f->session;
	struct err why;
	enum err_code rc = ERR_OK;

	while (!rc && s->client && !s->death.code && !imap_is_broken(s->client) && imap_outstanding(s->client))
		rc = fetch_read_one(f, &why);
	drop_ones(f);
}