/*
 * The fold as bytes: what a checkpoint and the client's cache hold instead of the records it adds up from. It comes in
 * segments of whole rows, so that neither side needs more memory than the fold itself and one segment.
 * Format   docs/format/ledger.md, section 8. Decoding checks counts and ranges; whether it is the truth is for the
 * signature around it to say.
 */
#include "engine/ledger/fold.h"

#include <inttypes.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/wr.h"

#define STATE_FLAG_PINNED  1
#define STATE_FLAG_HIDDEN  2
#define STATE_SEGMENT_ROWS 16384
#define ZONE_MINUTES_MAX   1440
#define STATE_SEALED_MAX   SNAPSHOT_SEALED_MAX
#define HOLD_PAYLOAD_MAX   (COMMIT_SNAPSHOTS_MAX * ID16_BYTES + HOLDER_ACCOUNTS_MAX * ID16_BYTES + HOLD_SEALED_MAX + 64)
#define HOLDER_PAYLOAD_MAX (HOLDER_ACCOUNTS_MAX * ID16_BYTES + 128)
#define EPOCH_PAYLOAD_MAX  (EPOCH_HOLDERS_MAX * (ID16_BYTES + EPOCH_SEALED_BYTES) + 16)

enum state_kind {
	STATE_HEAD = 1,
	STATE_HOLDERS,
	STATE_SESSIONS,
	STATE_PACKS,
	STATE_SNAPSHOTS,
	STATE_HOLDS,
	STATE_UNREADABLE,
	STATE_POLICY,
	STATE_EPOCHS,
	STATE_KIND_END
};

/* ---- rows as bytes ---- */

static void wr_ms(struct wr *w, int64_t ms)
{
	wr_u64(w, (uint64_t)ms);
}

static void wr_holder(struct wr *w, const struct fold *f, size_t i, struct buf *scratch)
{
	buf_clear(scratch);
	if (!w->rc)
		w->rc = holder_encode(&f->holders[i], scratch, w->e);
	wr_blob(w, buf_span(scratch));
}

static void wr_session(struct wr *w, const struct fold *f, size_t i, struct buf *scratch)
{
	const struct fold_session *s = &f->sessions[i];

	(void)scratch;
	wr_var(w, s->number);
	wr_bytes(w, span_of(s->holder.bytes, ID16_BYTES));
	wr_u8(w, (uint8_t)s->state);
	wr_ms(w, s->last_ms);
}

static void wr_pack(struct wr *w, const struct fold *f, size_t i, struct buf *scratch)
{
	const struct pack_fact *p = &f->packs[i];

	(void)scratch;
	wr_bytes(w, span_of(p->pack.name.random, sizeof p->pack.name.random));
	wr_bytes(w, span_of(p->pack.header_hash, sizeof p->pack.header_hash));
	wr_var(w, p->pack.name.session);
	wr_var(w, p->pack.bytes);
	wr_u8(w, (uint8_t)p->state);
	wr_u8(w, p->trusted);
	wr_bytes(w, span_of(p->maker.bytes, ID16_BYTES));
	wr_var(w, p->committed_at);
	wr_ms(w, p->condemned_ms);
}

static void wr_snapshot(struct wr *w, const struct fold *f, size_t i, struct buf *scratch)
{
	const struct snapshot_fact *s = &f->snapshots[i].fact;
	const struct snapshot_entry *entry = &s->entry;

	(void)scratch;
	wr_bytes(w, span_of(entry->id.bytes, ID16_BYTES));
	wr_bytes(w, span_of(entry->account.bytes, ID16_BYTES));
	wr_bytes(w, span_of(entry->holder.bytes, ID16_BYTES));
	wr_u8(w, (uint8_t)s->maker_role);
	wr_u32(w, entry->epoch);
	wr_bytes(w, span_of(entry->base.bytes, ID16_BYTES));
	wr_bytes(w, span_of(entry->replaces.bytes, ID16_BYTES));
	wr_bytes(w, span_of(entry->spine_root.bytes, ID_BYTES));
	wr_bytes(w, span_of(entry->state_root.bytes, ID_BYTES));
	wr_ms(w, entry->time_ms);
	wr_u16(w, (uint16_t)entry->zone_minutes);
	wr_u8(w, (uint8_t)entry->flags);
	wr_u8(w, (uint8_t)s->state);
	wr_u8(w, (uint8_t)((s->pinned ? STATE_FLAG_PINNED : 0) | (f->snapshots[i].hidden ? STATE_FLAG_HIDDEN : 0)));
	wr_ms(w, s->committed_ms);
	wr_ms(w, s->forgotten_ms);
	wr_var(w, s->committed_at);
	wr_var(w, entry->item_count);
	wr_var(w, entry->item_bytes);
	wr_blob(w, entry->sealed);
}

static void wr_hold(struct wr *w, const struct fold *f, size_t i, struct buf *scratch)
{
	const struct hold_fact *h = &f->holds[i];

	buf_clear(scratch);
	if (!w->rc)
		w->rc = hold_encode(&h->hold, scratch, w->e);
	wr_bytes(w, span_of(h->holder.bytes, ID16_BYTES));
	wr_var(w, h->number);
	wr_ms(w, h->added_ms);
	wr_u8(w, h->released);
	wr_blob(w, buf_span(scratch));
}

static void wr_unreadable(struct wr *w, const struct fold *f, size_t i, struct buf *scratch)
{
	(void)scratch;
	wr_var(w, f->unreadable[i].number);
	wr_bytes(w, span_of(f->unreadable[i].hash, RECORD_HASH_BYTES));
	wr_u8(w, f->unreadable[i].voided);
}

static void wr_policy(struct wr *w, const struct fold *f, size_t i, struct buf *scratch)
{
	(void)i;
	(void)scratch;
	wr_blob(w, f->policy);
}

static void wr_epoch(struct wr *w, const struct fold *f, size_t i, struct buf *scratch)
{
	(void)scratch;
	wr_u32(w, f->epochs[i].number);
	wr_blob(w, f->epochs[i].payload);
}

typedef void (*row_writer)(struct wr *w, const struct fold *f, size_t i, struct buf *scratch);

struct saving {
	const struct fold *f;
	fold_segment sink;
	void *ctx;
	struct buf segment, scratch;
	struct err *e;
};

/* COUNT rows of KIND, in as many segments as they need; none for no rows. */
static enum err_code save_rows(struct saving *s, enum state_kind kind, size_t count, row_writer write)
{
	size_t i = 0;
	enum err_code rc = ERR_OK;

	while (i < count && !rc) {
		struct wr w = wr_to(&s->segment, s->e);

		buf_clear(&s->segment);
		wr_u8(&w, (uint8_t)kind);
		for (size_t rows = 0;
		     i < count && rows < STATE_SEGMENT_ROWS && !w.rc && s->segment.len < FOLD_SEGMENT_TARGET; rows++)
			write(&w, s->f, i++, &s->scratch);
		rc = wr_end(&w);
		if (!rc)
			rc = s->sink(s->ctx, buf_span(&s->segment), s->e);
	}
	return rc;
}

static enum err_code save_head(struct saving *s)
{
	const struct fold *f = s->f;
	struct wr w = wr_to(&s->segment, s->e);
	enum err_code rc;

	buf_clear(&s->scratch);
	rc = init_encode(&f->init, &s->scratch, s->e);
	wr_u8(&w, STATE_HEAD);
	wr_bytes(&w, buf_span(&s->scratch));
	wr_u64(&w, f->checkpoint_number);
	wr_bytes(&w, span_of(f->checkpoint_hash, sizeof f->checkpoint_hash));
	if (!rc)
		rc = wr_end(&w);
	return rc ? rc : s->sink(s->ctx, buf_span(&s->segment), s->e);
}

enum err_code fold_save(const struct fold *f, fold_segment sink, void *ctx, struct err *e)
{
	struct saving s = { .f = f,
		            .sink = sink,
		            .ctx = ctx,
		            .segment = BUF_WITH_MAX(FOLD_SEGMENT_MAX),
		            .scratch = BUF_WITH_MAX(FOLD_SEGMENT_MAX),
		            .e = e };
	enum err_code rc = save_head(&s);

	if (!rc)
		rc = save_rows(&s, STATE_HOLDERS, f->holder_count, wr_holder);
	if (!rc)
		rc = save_rows(&s, STATE_SESSIONS, f->session_count, wr_session);
	if (!rc)
		rc = save_rows(&s, STATE_PACKS, f->pack_count, wr_pack);
	if (!rc)
		rc = save_rows(&s, STATE_SNAPSHOTS, f->snapshot_count, wr_snapshot);
	if (!rc)
		rc = save_rows(&s, STATE_HOLDS, f->hold_count, wr_hold);
	if (!rc)
		rc = save_rows(&s, STATE_UNREADABLE, f->unreadable_count, wr_unreadable);
	if (!rc)
		rc = save_rows(&s, STATE_POLICY, f->policy.len > 0, wr_policy);
	if (!rc)
		rc = save_rows(&s, STATE_EPOCHS, f->epoch_count, wr_epoch);
	buf_release(&s.segment);
	buf_release(&s.scratch);
	return rc;
}

/* ---- bytes as rows ---- */

static enum err_code load_head(struct fold *f, struct rd *r, struct err *e)
{
	enum err_code rc = init_decode(rd_take(r, FOLD_INIT_BYTES), &f->init, e);

	f->epoch = FOLD_FIRST_EPOCH;
	f->checkpoint_number = rd_u64(r);
	rd_copy(r, f->checkpoint_hash, sizeof f->checkpoint_hash);
	return rc;
}

static enum err_code load_holder(struct fold *f, struct rd *r, struct err *e)
{
	struct holder_payload p = { 0 };
	enum err_code rc = holder_decode(rd_blob(r, HOLDER_PAYLOAD_MAX), &p, e);

	if (!rc)
		rc = fold_rows_reserve(&f->holders, &f->holder_cap, f->holder_count + 1, sizeof *f->holders, e);
	if (rc) {
		holder_release(&p);
		return rc;
	}
	f->holders[f->holder_count++] = p;
	return ERR_OK;
}

static enum err_code load_session(struct fold *f, struct rd *r, struct err *e)
{
	struct fold_session s = { 0 };
	unsigned state;
	enum err_code rc;

	s.number = rd_var(r);
	rd_copy(r, s.holder.bytes, ID16_BYTES);
	state = rd_u8(r);
	s.last_ms = (int64_t)rd_u64(r);
	if (state < SESSION_OPEN || state > SESSION_FENCED ||
	    (f->session_count && s.number <= f->sessions[f->session_count - 1].number))
		r->bad = true;
	s.state = (enum session_state)state;
	rc = fold_rows_reserve(&f->sessions, &f->session_cap, f->session_count + 1, sizeof *f->sessions, e);
	if (!rc && !r->bad)
		f->sessions[f->session_count++] = s;
	return rc;
}

static bool is_named(const struct pack_name *name)
{
	static const struct pack_name none;

	return memcmp(name->random, none.random, sizeof none.random) != 0 || name->session != 0;
}

static enum err_code load_pack(struct fold *f, struct rd *r, struct err *e)
{
	struct pack_fact p = { 0 };
	unsigned state, trusted;
	uint32_t other;
	enum err_code rc;

	rd_copy(r, p.pack.name.random, sizeof p.pack.name.random);
	rd_copy(r, p.pack.header_hash, sizeof p.pack.header_hash);
	p.pack.name.session = rd_var(r);
	p.pack.bytes = rd_var(r);
	state = rd_u8(r);
	trusted = rd_u8(r);
	rd_copy(r, p.maker.bytes, ID16_BYTES);
	p.trusted = trusted;
	p.committed_at = rd_var(r);
	p.condemned_ms = (int64_t)rd_u64(r);
	if (state < PACK_LIVE || state > PACK_DROPPED || trusted > 1 || p.pack.bytes > PACK_STORED_BYTES_MAX ||
	    f->pack_count >= UINT32_MAX - 1 || (is_named(&p.pack.name) && fold_pack_find(f, &p.pack.name, &other)))
		r->bad = true;
	if (r->bad)
		return ERR_OK;
	p.state = (enum pack_state)state;
	rc = fold_rows_reserve(&f->packs, &f->pack_cap, f->pack_count + 1, sizeof *f->packs, e);
	/* A gap's row has no name (docs/format/ledger.md, section 3). */
	if (!rc && is_named(&p.pack.name))
		rc = fold_pack_name(f, &p.pack.name, f->pack_count, e);
	if (!rc)
		f->packs[f->pack_count++] = p;
	return rc;
}

static void rd_snapshot(struct rd *r, struct fold_snapshot *row)
{
	struct snapshot_fact *s = &row->fact;
	struct snapshot_entry *entry = &s->entry;
	unsigned state, flags, role;

	rd_copy(r, entry->id.bytes, ID16_BYTES);
	rd_copy(r, entry->account.bytes, ID16_BYTES);
	rd_copy(r, entry->holder.bytes, ID16_BYTES);
	role = rd_u8(r);
	s->maker_role = (enum holder_role)role;
	entry->epoch = rd_u32(r);
	rd_copy(r, entry->base.bytes, ID16_BYTES);
	rd_copy(r, entry->replaces.bytes, ID16_BYTES);
	rd_copy(r, entry->spine_root.bytes, ID_BYTES);
	rd_copy(r, entry->state_root.bytes, ID_BYTES);
	entry->time_ms = (int64_t)rd_u64(r);
	entry->zone_minutes = (int16_t)rd_u16(r);
	entry->flags = rd_u8(r);
	state = rd_u8(r);
	flags = rd_u8(r);
	s->committed_ms = (int64_t)rd_u64(r);
	s->forgotten_ms = (int64_t)rd_u64(r);
	s->committed_at = rd_var(r);
	entry->item_count = rd_var(r);
	entry->item_bytes = rd_var(r);
	entry->sealed = rd_blob(r, STATE_SEALED_MAX);
	s->state = (enum snapshot_state)state;
	s->pinned = flags & STATE_FLAG_PINNED;
	row->hidden = flags & STATE_FLAG_HIDDEN;
	if (role >= HOLDER_ROLE_END || state < SNAPSHOT_LIVE || state > SNAPSHOT_EXPIRED ||
	    flags > (STATE_FLAG_PINNED | STATE_FLAG_HIDDEN) || entry->zone_minutes < -ZONE_MINUTES_MAX ||
	    entry->zone_minutes > ZONE_MINUTES_MAX)
		r->bad = true;
}

static enum err_code load_snapshot(struct fold *f, struct rd *r, struct err *e)
{
	struct fold_snapshot row = { 0 };
	enum err_code rc;

	rd_snapshot(r, &row);
	if (r->bad || fold_snapshot_find(f, &row.fact.entry.id)) {
		r->bad = true;
		return ERR_OK;
	}
	rc = fold_rows_reserve(&f->snapshots, &f->snapshot_cap, f->snapshot_count + 1, sizeof *f->snapshots, e);
	if (!rc)
		rc = fold_arena_copy(f, &row.fact.entry.sealed, e);
	if (!rc)
		rc = fold_snapshot_name(f, &row.fact.entry.id, f->snapshot_count, e);
	if (!rc)
		f->snapshots[f->snapshot_count++] = row;
	return rc;
}

static enum err_code load_hold(struct fold *f, struct rd *r, struct err *e)
{
	struct hold_fact h = { 0 };
	struct span payload;
	unsigned released;
	enum err_code rc;

	rd_copy(r, h.holder.bytes, ID16_BYTES);
	h.number = rd_var(r);
	h.added_ms = (int64_t)rd_u64(r);
	released = rd_u8(r);
	payload = rd_blob(r, HOLD_PAYLOAD_MAX);
	h.released = released;
	if (released > 1)
		r->bad = true;
	if (r->bad)
		return ERR_OK;
	rc = hold_decode(payload, &h.hold, e);
	if (!rc && fold_hold_find(f, &h.hold.id))
		r->bad = true;
	if (!rc && !r->bad)
		rc = fold_rows_reserve(&f->holds, &f->hold_cap, f->hold_count + 1, sizeof *f->holds, e);
	if (!rc && !r->bad)
		rc = fold_arena_copy(f, &h.hold.sealed, e);
	if (rc || r->bad)
		hold_release(&h.hold);
	else
		f->holds[f->hold_count++] = h;
	return rc;
}

static enum err_code load_unreadable(struct fold *f, struct rd *r, struct err *e)
{
	uint8_t hash[RECORD_HASH_BYTES];
	uint64_t number = rd_var(r);
	unsigned voided;
	enum err_code rc;

	rd_copy(r, hash, sizeof hash);
	voided = rd_u8(r);
	if (voided > 1 || (f->unreadable_count && number <= f->unreadable[f->unreadable_count - 1].number))
		r->bad = true;
	if (r->bad)
		return ERR_OK;
	rc = fold_unreadable(f, number, hash, e);
	if (!rc && voided) {
		f->unreadable[f->unreadable_count - 1].voided = true;
		f->doubt_count--;
	}
	return rc;
}

static enum err_code load_policy(struct fold *f, struct rd *r, struct err *e)
{
	struct span payload = rd_blob(r, OPAQUE_PAYLOAD_MAX);

	/* There is one at most. */
	if (f->policy.len || !payload.len)
		r->bad = true;
	return r->bad ? ERR_OK : fold_set_policy(f, payload, e);
}

static enum err_code load_epoch(struct fold *f, struct rd *r, struct err *e)
{
	uint32_t number = rd_u32(r);
	struct span payload = rd_blob(r, EPOCH_PAYLOAD_MAX);

	if (number != f->epoch + 1)
		r->bad = true;
	return r->bad ? ERR_OK : fold_epoch_add(f, number, payload, e);
}

enum err_code fold_load(struct fold *f, unsigned *last_kind, struct span segment, struct err *e)
{
	static enum err_code (*const loaders[STATE_KIND_END])(struct fold *, struct rd *,
	                                                      struct err *) = { [STATE_HEAD] = load_head,
		                                                                [STATE_HOLDERS] = load_holder,
		                                                                [STATE_SESSIONS] = load_session,
		                                                                [STATE_PACKS] = load_pack,
		                                                                [STATE_SNAPSHOTS] = load_snapshot,
		                                                                [STATE_HOLDS] = load_hold,
		                                                                [STATE_UNREADABLE] = load_unreadable,
		                                                                [STATE_POLICY] = load_policy,
		                                                                [STATE_EPOCHS] = load_epoch };
	struct rd r = rd_of(segment);
	unsigned kind = rd_u8(&r);
	enum err_code rc = ERR_OK;

	/* The head first and once, then tables in their order. */
	if (kind < STATE_HEAD || kind >= STATE_KIND_END || kind < *last_kind ||
	    (kind == STATE_HEAD) != (*last_kind == 0))
		return err_set(e, ERR_CORRUPT, "a folded ledger has table %u behind %u", kind, *last_kind);
	*last_kind = kind;
	do
		rc = loaders[kind](f, &r, e);
	while (!rc && !r.bad && r.left.len && kind != STATE_HEAD);
	if (!rc && !rd_done(&r))
		rc = err_set(e, ERR_CORRUPT, "table %u of a folded ledger makes no sense", kind);
	return rc;
}

/* ---- the fingerprint ---- */

static enum err_code hash_segment(void *ctx, struct span segment, struct err *e)
{
	(void)e;
	hash_stream_add(ctx, segment);
	return ERR_OK;
}

enum err_code fold_digest(const struct fold *f, uint8_t out[16], struct err *e)
{
	struct hash_stream *h = hash_stream_open();
	enum err_code rc;

	if (!h)
		return err_no_memory(e, KIB);
	rc = fold_save(f, hash_segment, h, e);
	hash_stream_end(h, out);
	hash_stream_free(&h);
	return rc;
}
