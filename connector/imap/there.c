#include "there.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/idmap.h"
#include "base/mem.h"
#include "base/text.h"
#include "item/item.h"
#include "message_data.h"

#define ONES_MAX ((size_t)1 << 29)

void there_release(struct there *t)
{
	buf_release(&t->ones);
	buf_release(&t->flags);
	if (t->flags_by_hash)
		idmap_release(t->flags_by_hash);
	mem_free(t->flags_by_hash);
	t->flags_by_hash = NULL;
}

struct span there_flags(const struct there *t, const struct there_one *one)
{
	return one->flags_bytes ? span_of(t->flags.ptr + one->flags, one->flags_bytes) : SPAN_EMPTY;
}

/* ---- listing ---- */

struct listing {
	struct there *t;
	struct buf flags;
};

/* Few sets of flags in a folder differ: each is held once. */
static enum err_code keep_flags(struct listing *l, struct there_one *one, struct err *e)
{
	struct there *t = l->t;
	uint8_t key[IDMAP_KEY_BYTES] = { 0 };
	uint64_t place;
	enum err_code rc;

	one->flags_bytes = (uint32_t)l->flags.len;
	if (!l->flags.len)
		return ERR_OK;
	if (!t->flags_by_hash) {
		t->flags_by_hash = mem_zalloc(1, sizeof *t->flags_by_hash);
		if (!t->flags_by_hash)
			return err_no_memory(e, sizeof *t->flags_by_hash);
	}
	hash128(buf_span(&l->flags), key);
	if (idmap_get(t->flags_by_hash, key, &place)) {
		one->flags = (uint32_t)place;
		return ERR_OK;
	}
	one->flags = (uint32_t)t->flags.len;
	rc = buf_append(&t->flags, buf_span(&l->flags), e);
	return rc ? rc : idmap_put(t->flags_by_hash, key, one->flags, e);
}

/* "BODY[HEADER.FIELDS (MESSAGE-ID)]" and its value; the words up to the ']' were begun. */
static enum err_code read_id(struct wire *w, struct there_one *one, struct err *e)
{
	struct wire_token t;
	struct span text;
	bool is_nil, closed = false;
	enum err_code rc = ERR_OK;

	while (!rc && !closed) {
		rc = wire_next(w, &t, e);
		if (!rc && t.kind == WIRE_END)
			rc = err_set(e, ERR_CORRUPT, "the server sent a header without its name");
		closed = !rc && t.kind == WIRE_ATOM && t.text.len && t.text.ptr[t.text.len - 1] == ']';
	}
	if (!rc)
		rc = wire_next(w, &t, e);
	if (rc)
		return rc;
	if (t.kind == WIRE_LITERAL && t.bytes > WIRE_WORD_BYTES_MAX)
		return wire_literal_skip(w, e); /* no Message-ID of this world */
	rc = wire_text(w, &t, &text, &is_nil, e);
	if (!rc && !is_nil)
		one->id = mail_id(text);
	return rc;
}

/* One while it is read. */
struct reading {
	struct listing *l;
	struct there_one one;
	bool flags;
};

static enum err_code read_value(void *ctx, struct wire *w, const char *name, struct err *e)
{
	struct reading *r = ctx;
	struct wire_token t;
	struct span text;
	uint64_t number = 0;
	int16_t zone;
	bool is_nil;
	enum err_code rc;

	if (!strcasecmp(name, "FLAGS")) {
		r->flags = true;
		return message_flags(w, &r->l->flags, e);
	}
	if (!strncasecmp(name, "BODY[HEADER.FIELDS", 18))
		return read_id(w, &r->one, e);
	if (!strcasecmp(name, "UID"))
		return message_uid(w, &r->one.uid, e);
	if (!strcasecmp(name, "RFC822.SIZE")) {
		rc = message_number(w, &number, e);
		r->one.bytes = (uint32_t)(number <= UINT32_MAX ? number : UINT32_MAX);
		return rc;
	}
	if (strcasecmp(name, "INTERNALDATE") != 0)
		return message_pass(w, e);
	rc = wire_next(w, &t, e);
	if (!rc)
		rc = wire_text(w, &t, &text, &is_nil, e);
	if (!rc)
		(void)message_date(text, &r->one.date_s, &zone);
	return rc;
}

static enum err_code read_one(struct listing *l, struct wire *w, struct err *e)
{
	struct reading r = { .l = l, .one = { .date_s = THERE_NO_DATE } };
	enum err_code rc = message_read(w, read_value, &r, e);

	if (rc || !r.one.uid || !r.flags)
		return rc; /* news nobody asked for */
	if (there_count(l->t) >= ONES_MAX)
		return err_set(e, ERR_LIMIT, "the folder has too many messages");
	rc = keep_flags(l, &r.one, e);
	return rc ? rc : buf_append(&l->t->ones, span_of(&r.one, sizeof r.one), e);
}

static enum err_code take_listed(void *ctx, struct imap_client *c, const struct imap_response *r, struct err *e)
{
	if (r->kind != IMAP_DATA)
		return ERR_OK;
	return strcmp(r->word, "FETCH") ? wire_skip_line(imap_wire(c), e) : read_one(ctx, imap_wire(c), e);
}

/* ---- order ---- */

static int by_uid(const void *a, const void *b)
{
	const struct there_one *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

static int by_id(const void *a, const void *b)
{
	const struct there_one *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->date_s != y->date_s)
		return x->date_s < y->date_s ? -1 : 1;
	return by_uid(a, b);
}

/* Of what came twice one stays: with the state of what was known, the rest of the one that has more to say. */
static void drop_twins(struct there *t)
{
	size_t count = there_count(t), kept = 0;
	struct there_one *all = there_at(t, 0);

	for (size_t i = 0; i < count; i++) {
		if (kept && all[kept - 1].uid == all[i].uid) {
			struct there_one *first = &all[kept - 1];

			if (all[i].state == THERE_FREE && !all[i].known) {
				first->flags = all[i].flags;
				first->flags_bytes = all[i].flags_bytes;
				continue;
			}
			all[i].flags = first->flags;
			all[i].flags_bytes = first->flags_bytes;
			kept--;
		}
		all[kept++] = all[i];
	}
	t->ones.len = kept * sizeof *all;
}

enum err_code there_load(struct imap_client *c, uint32_t from, struct there *t, struct err *e)
{
	struct listing l = { .t = t, .flags = BUF_EMPTY };
	unsigned tag;
	enum err_code rc = imap_send(c, &tag, e,
	                             "UID FETCH %" PRIu32 ":* (UID FLAGS INTERNALDATE RFC822.SIZE "
	                             "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])",
	                             from ? from : 1);

	if (!rc)
		rc = imap_wait(c, tag, take_listed, &l, e);
	buf_release(&l.flags);
	if (!there_count(t))
		return rc;
	qsort(there_at(t, 0), there_count(t), sizeof(struct there_one), by_uid);
	drop_twins(t);
	qsort(there_at(t, 0), there_count(t), sizeof(struct there_one), by_id);
	return rc;
}

enum err_code there_load_again(struct imap_client *c, uint32_t from, struct there *t, struct err *e)
{
	unsigned tag;
	enum err_code rc = imap_send(c, &tag, e, "NOOP");

	if (!rc)
		rc = imap_wait(c, tag, NULL, NULL, e);
	return rc ? rc : there_load(c, from, t, e);
}

/* ---- finding ---- */

static size_t first_of_id(const struct there *t, uint64_t id)
{
	size_t low = 0, high = there_count(t);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (there_at(t, middle)->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct there_one *there_find(const struct there *t, const struct there_wish *wish, size_t try)
{
	bool others = wish->any_size || wish->id;
	size_t first = first_of_id(t, wish->id);

	for (int same_size = 1; same_size >= 0; same_size--) {
		for (size_t i = first; i < there_count(t) && there_at(t, i)->id == wish->id; i++) {
			struct there_one *one = there_at(t, i);

			if (one->state == THERE_TAKEN || one->uid < wish->uid_from ||
			    (one->bytes == wish->bytes) != (same_size == 1) || (!same_size && !others && !one->known))
				continue;
			if (wish->date_s != THERE_NO_DATE && one->date_s != THERE_NO_DATE &&
			    one->date_s != wish->date_s)
				continue;
			if (!try--)
				return one;
		}
	}
	return NULL;
}
