/*
 * A large message comes in pieces, a few of which are on their way at once.
 */
#include <inttypes.h>

#include "fetch_internal.h"

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
			rc = fetch_read_one(f, e);
	}
	if (!fetch_may_recover(rc))
		return rc;
	p = piece_at(f, offset);
	why = *e;
	rc = session_again(f->session, &why, &same, e);
	f->later.code = ERR_OK;
	if (!same)
		fetch_ask_again(f);
	if (rc || same || (p && p->state == FETCH_HERE))
		return rc;
	if (++*breaks < FETCH_BREAKS_MAX)
		return ERR_OK;
	rc = fetch_give_up(f, f->piece_uid, &why, e);
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
		fetch_swap(out, &p->bytes);
		*last = !out->len || (!p->cut && out->len < FETCH_PIECE_BYTES && offset + out->len >= bytes);
	}
	p->stale = true;
	return rc;
}
