/*
 * The payload of every kind of ledger record. Decoders check each count against its maximum and against the bytes that
 * are left before they allocate, and refuse trailing bytes: one meaning has one encoding.
 */
#include "engine/format/record.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/rd.h"
#include "base/wr.h"

#define COMMIT_END_SESSION   1
#define PACK_ADDED_MIN       33 /* bytes of the shortest entry */
#define ENTRY_MIN            111
#define ENTRY_HAS_BASE       0x100
#define ENTRY_HAS_REPLACES   0x200
#define ENTRY_SNAPSHOT_FLAGS 0xff

#define ENTRY_ZONE_MAX 1440 /* minutes: a day */

static const uint8_t zeros[ID_BYTES];

/* A count of things of at least EACH bytes. Zero and r->bad when it cannot be true. */
static size_t rd_count(struct rd *r, size_t max, size_t each)
{
	uint64_t count = rd_var(r);

	if (r->bad || count > max || count > r->left.len / each) {
		r->bad = true;
		return 0;
	}
	return (size_t)count;
}

static enum err_code decode_end(const struct rd *r, const char *what, struct err *e)
{
	if (!rd_done(r))
		return err_set(e, ERR_CORRUPT, "the payload of a %s record makes no sense", what);
	return ERR_OK;
}

/* ---- ordinals ---- */

static void wr_ordinals(struct wr *w, const uint32_t *ordinals, size_t count)
{
	uint64_t next = 0; /* the smallest that may follow */

	wr_var(w, count);
	for (size_t i = 0; i < count; i++) {
		if (ordinals[i] < next && !w->rc)
			w->rc = err_set(w->e, ERR_STATE, "pack ordinals do not rise");
		wr_var(w, ordinals[i] - next);
		next = (uint64_t)ordinals[i] + 1;
	}
}

/* Into *OUT, allocated when there are any. */
static enum err_code rd_ordinals(struct rd *r, uint32_t **out, size_t *count, struct err *e)
{
	size_t n = rd_count(r, ORDINALS_MAX, 1);
	uint32_t *got = NULL;
	uint64_t next = 0;

	if (n) {
		got = mem_zalloc(n, sizeof *got);
		if (!got)
			return err_no_memory(e, n * sizeof *got);
	}
	for (size_t i = 0; i < n && !r->bad; i++) {
		uint64_t step = rd_var(r);

		if (step > UINT32_MAX - 1 || next + step > UINT32_MAX - 1)
			r->bad = true;
		else
			got[i] = (uint32_t)(next + step);
		next += step + 1;
	}
	*out = got;
	*count = n;
	return ERR_OK;
}

enum err_code ordinals_encode(const uint32_t *ordinals, size_t count, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	if (count > ORDINALS_MAX)
		return err_set(e, ERR_LIMIT, "%zu packs in one record", count);
	wr_ordinals(&w, ordinals, count);
	return wr_end(&w);
}

enum err_code ordinals_decode(struct span payload, uint32_t **out, size_t *count, struct err *e)
{
	struct rd r = rd_of(payload);
	uint32_t *got = NULL;
	size_t n = 0;
	enum err_code rc = rd_ordinals(&r, &got, &n, e);

	if (!rc)
		rc = decode_end(&r, "pack list", e);
	if (rc) {
		mem_free(got);
		return rc;
	}
	*out = got;
	*count = n;
	return ERR_OK;
}

/* ---- commit ---- */

static bool is_zero(const uint8_t *bytes, size_t len)
{
	return memcmp(bytes, zeros, len) == 0;
}

static void wr_entry(struct wr *w, const struct snapshot_entry *s)
{
	bool base = !is_zero(s->base.bytes, sizeof s->base.bytes);
	bool replaces = !is_zero(s->replaces.bytes, sizeof s->replaces.bytes);

	if (!w->rc && s->sealed.len > SNAPSHOT_SEALED_MAX)
		w->rc = err_set(w->e, ERR_LIMIT, "snapshot details of %zu bytes", s->sealed.len);
	if (!w->rc && s->flags > ENTRY_SNAPSHOT_FLAGS)
		w->rc = err_set(w->e, ERR_STATE, "snapshot flags %" PRIx32, s->flags);
	if (!w->rc && (s->zone_minutes < -ENTRY_ZONE_MAX || s->zone_minutes > ENTRY_ZONE_MAX))
		w->rc = err_set(w->e, ERR_STATE, "a zone of %d minutes", s->zone_minutes);
	wr_bytes(w, span_of(s->id.bytes, sizeof s->id.bytes));
	wr_bytes(w, span_of(s->account.bytes, sizeof s->account.bytes));
	wr_u64(w, (uint64_t)s->time_ms);
	wr_u16(w, (uint16_t)s->zone_minutes);
	wr_u16(w, (uint16_t)(s->flags | (base ? ENTRY_HAS_BASE : 0) | (replaces ? ENTRY_HAS_REPLACES : 0)));
	if (base)
		wr_bytes(w, span_of(s->base.bytes, sizeof s->base.bytes));
	if (replaces)
		wr_bytes(w, span_of(s->replaces.bytes, sizeof s->replaces.bytes));
	wr_bytes(w, span_of(s->spine_root.bytes, sizeof s->spine_root.bytes));
	wr_bytes(w, span_of(s->state_root.bytes, sizeof s->state_root.bytes));
	wr_var(w, s->item_count);
	wr_var(w, s->item_bytes);
	wr_blob(w, s->sealed);
}

static void rd_entry(struct rd *r, struct snapshot_entry *s)
{
	unsigned flags;

	rd_copy(r, s->id.bytes, sizeof s->id.bytes);
	rd_copy(r, s->account.bytes, sizeof s->account.bytes);
	s->time_ms = (int64_t)rd_u64(r);
	s->zone_minutes = (int16_t)rd_u16(r);
	if (s->zone_minutes < -ENTRY_ZONE_MAX || s->zone_minutes > ENTRY_ZONE_MAX)
		r->bad = true;
	flags = rd_u16(r);
	s->flags = flags & ENTRY_SNAPSHOT_FLAGS;
	if (flags & ~(unsigned)(ENTRY_SNAPSHOT_FLAGS | ENTRY_HAS_BASE | ENTRY_HAS_REPLACES))
		r->bad = true;
	if (flags & ENTRY_HAS_BASE) {
		rd_copy(r, s->base.bytes, sizeof s->base.bytes);
		r->bad = r->bad || is_zero(s->base.bytes, sizeof s->base.bytes);
	}
	if (flags & ENTRY_HAS_REPLACES) {
		rd_copy(r, s->replaces.bytes, sizeof s->replaces.bytes);
		r->bad = r->bad || is_zero(s->replaces.bytes, sizeof s->replaces.bytes);
	}
	rd_copy(r, s->spine_root.bytes, sizeof s->spine_root.bytes);
	rd_copy(r, s->state_root.bytes, sizeof s->state_root.bytes);
	s->item_count = rd_var(r);
	s->item_bytes = rd_var(r);
	s->sealed = rd_blob(r, SNAPSHOT_SEALED_MAX);
}

static void wr_added(struct wr *w, const struct commit *c)
{
	wr_var(w, c->added_count);
	for (size_t i = 0; i < c->added_count; i++) {
		const struct pack_added *p = &c->added[i];

		if (!w->rc && p->name.session != c->session)
			w->rc = err_set(w->e, ERR_STATE,
			                "a pack of session %" PRIu64 " in a commit of session %" PRIu64,
			                p->name.session, c->session);
		if (!w->rc && p->bytes > PACK_STORED_BYTES_MAX)
			w->rc = err_set(w->e, ERR_LIMIT, "a pack of %" PRIu64 " bytes", p->bytes);
		wr_bytes(w, span_of(p->name.random, sizeof p->name.random));
		wr_bytes(w, span_of(p->header_hash, sizeof p->header_hash));
		wr_var(w, p->bytes);
	}
}

enum err_code commit_encode(const struct commit *c, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	if (c->added_count > COMMIT_PACKS_MAX || c->snapshot_count > COMMIT_SNAPSHOTS_MAX ||
	    c->against_count > ORDINALS_MAX)
		return err_set(e, ERR_LIMIT, "%zu packs, %zu snapshots and %zu references in one commit",
		               c->added_count, c->snapshot_count, c->against_count);
	wr_var(&w, c->session);
	wr_u8(&w, c->end_session ? COMMIT_END_SESSION : 0);
	wr_var(&w, c->first_ordinal);
	wr_added(&w, c);
	wr_ordinals(&w, c->against, c->against_count);
	wr_var(&w, c->snapshot_count);
	for (size_t i = 0; i < c->snapshot_count; i++)
		wr_entry(&w, &c->snapshots[i]);
	return wr_end(&w);
}

static enum err_code rd_added(struct rd *r, struct commit_hold *hold, struct err *e)
{
	size_t n = rd_count(r, COMMIT_PACKS_MAX, PACK_ADDED_MIN);

	if (n) {
		hold->added = mem_zalloc(n, sizeof *hold->added);
		if (!hold->added)
			return err_no_memory(e, n * sizeof *hold->added);
	}
	for (size_t i = 0; i < n; i++) {
		struct pack_added *p = &hold->added[i];

		p->name.session = hold->commit.session;
		rd_copy(r, p->name.random, sizeof p->name.random);
		rd_copy(r, p->header_hash, sizeof p->header_hash);
		p->bytes = rd_var(r);
		if (p->bytes > PACK_STORED_BYTES_MAX)
			r->bad = true;
	}
	hold->commit.added = hold->added;
	hold->commit.added_count = n;
	return ERR_OK;
}

static enum err_code rd_snapshots(struct rd *r, struct commit_hold *hold, struct err *e)
{
	size_t n = rd_count(r, COMMIT_SNAPSHOTS_MAX, ENTRY_MIN);

	if (n) {
		hold->snapshots = mem_zalloc(n, sizeof *hold->snapshots);
		if (!hold->snapshots)
			return err_no_memory(e, n * sizeof *hold->snapshots);
	}
	for (size_t i = 0; i < n && !r->bad; i++)
		rd_entry(r, &hold->snapshots[i]);
	hold->commit.snapshots = hold->snapshots;
	hold->commit.snapshot_count = n;
	return ERR_OK;
}

enum err_code commit_decode(struct span payload, struct commit_hold *out, struct err *e)
{
	struct commit_hold hold = { 0 };
	struct commit *c = &hold.commit;
	struct rd r = rd_of(payload);
	unsigned flags;
	uint64_t first;
	enum err_code rc;

	c->session = rd_var(&r);
	flags = rd_u8(&r);
	c->end_session = flags & COMMIT_END_SESSION;
	first = rd_var(&r);
	if (flags > COMMIT_END_SESSION || first > UINT32_MAX - 1)
		r.bad = true;
	c->first_ordinal = (uint32_t)first;
	rc = rd_added(&r, &hold, e);
	if (!rc)
		rc = rd_ordinals(&r, &hold.against, &c->against_count, e);
	c->against = hold.against;
	if (!rc)
		rc = rd_snapshots(&r, &hold, e);
	if (!rc)
		rc = decode_end(&r, "commit", e);
	if (rc)
		commit_release(&hold);
	else
		*out = hold;
	return rc;
}

void commit_release(struct commit_hold *hold)
{
	mem_free(hold->added);
	mem_free(hold->against);
	mem_free(hold->snapshots);
	*hold = (struct commit_hold){ 0 };
}

/* ---- the small ones ---- */

enum err_code init_encode(const struct init_payload *p, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_bytes(&w, span_of(p->root_public, sizeof p->root_public));
	wr_bytes(&w, span_of(p->holder.bytes, sizeof p->holder.bytes));
	wr_bytes(&w, span_of(p->holder_public, sizeof p->holder_public));
	wr_bytes(&w, span_of(p->root_signature, sizeof p->root_signature));
	wr_u32(&w, p->splitter_version);
	wr_u32(&w, p->cutter_version);
	wr_bytes(&w, span_of(p->random, sizeof p->random));
	return wr_end(&w);
}

enum err_code init_decode(struct span payload, struct init_payload *out, struct err *e)
{
	struct init_payload got;
	struct rd r = rd_of(payload);
	enum err_code rc;

	rd_copy(&r, got.root_public, sizeof got.root_public);
	rd_copy(&r, got.holder.bytes, sizeof got.holder.bytes);
	rd_copy(&r, got.holder_public, sizeof got.holder_public);
	rd_copy(&r, got.root_signature, sizeof got.root_signature);
	got.splitter_version = rd_u32(&r);
	got.cutter_version = rd_u32(&r);
	rd_copy(&r, got.random, sizeof got.random);
	rc = decode_end(&r, "first", e);
	if (!rc)
		*out = got;
	return rc;
}

enum err_code snapshot_ids_encode(const struct snapshot_id *ids, size_t count, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	if (count > COMMIT_SNAPSHOTS_MAX)
		return err_set(e, ERR_LIMIT, "%zu snapshots in one record, at most %d", count, COMMIT_SNAPSHOTS_MAX);
	wr_var(&w, count);
	for (size_t i = 0; i < count; i++)
		wr_bytes(&w, span_of(ids[i].bytes, sizeof ids[i].bytes));
	return wr_end(&w);
}

enum err_code snapshot_ids_decode(struct span payload, struct snapshot_id **out, size_t *count, struct err *e)
{
	struct rd r = rd_of(payload);
	size_t n = rd_count(&r, COMMIT_SNAPSHOTS_MAX, ID16_BYTES);
	struct snapshot_id *got = mem_zalloc(n, sizeof *got);
	enum err_code rc;

	if (!got)
		return err_no_memory(e, n * sizeof *got);
	for (size_t i = 0; i < n; i++)
		rd_copy(&r, got[i].bytes, sizeof got[i].bytes);
	rc = decode_end(&r, "snapshot list", e);
	if (rc) {
		mem_free(got);
		return rc;
	}
	*out = got;
	*count = n;
	return ERR_OK;
}

enum err_code session_encode(uint64_t session, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_var(&w, session);
	return wr_end(&w);
}

enum err_code session_decode(struct span payload, uint64_t *out, struct err *e)
{
	struct rd r = rd_of(payload);
	uint64_t session = rd_var(&r);
	enum err_code rc;

	if (!session)
		r.bad = true;
	rc = decode_end(&r, "session", e);
	if (!rc)
		*out = session;
	return rc;
}

enum err_code void_encode(const struct void_payload *p, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_var(&w, p->number);
	wr_bytes(&w, span_of(p->hash, sizeof p->hash));
	return wr_end(&w);
}

enum err_code void_decode(struct span payload, struct void_payload *out, struct err *e)
{
	struct void_payload got;
	struct rd r = rd_of(payload);
	enum err_code rc;

	got.number = rd_var(&r);
	rd_copy(&r, got.hash, sizeof got.hash);
	rc = decode_end(&r, "void", e);
	if (!rc)
		*out = got;
	return rc;
}

enum err_code holder_encode(const struct holder_payload *p, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	if (p->account_count > HOLDER_ACCOUNTS_MAX)
		return err_set(e, ERR_LIMIT, "%zu accounts for one holder", p->account_count);
	wr_bytes(&w, span_of(p->holder.bytes, sizeof p->holder.bytes));
	wr_bytes(&w, span_of(p->public_key, sizeof p->public_key));
	wr_u8(&w, (uint8_t)p->role);
	wr_var(&w, p->account_count);
	for (size_t i = 0; i < p->account_count; i++)
		wr_bytes(&w, span_of(p->accounts[i].bytes, sizeof p->accounts[i].bytes));
	return wr_end(&w);
}

enum err_code holder_decode(struct span payload, struct holder_payload *out, struct err *e)
{
	struct holder_payload got = { 0 };
	struct account_id *accounts;
	struct rd r = rd_of(payload);
	unsigned role;
	enum err_code rc;

	rd_copy(&r, got.holder.bytes, sizeof got.holder.bytes);
	rd_copy(&r, got.public_key, sizeof got.public_key);
	role = rd_u8(&r);
	if (role >= HOLDER_ROLE_END)
		r.bad = true;
	got.role = (enum holder_role)role;
	got.account_count = rd_count(&r, HOLDER_ACCOUNTS_MAX, ID16_BYTES);
	accounts = mem_zalloc(got.account_count, sizeof *accounts);
	if (!accounts)
		return err_no_memory(e, got.account_count * sizeof *accounts);
	for (size_t i = 0; i < got.account_count; i++)
		rd_copy(&r, accounts[i].bytes, sizeof accounts[i].bytes);
	got.accounts = accounts;
	rc = decode_end(&r, "holder", e);
	if (rc)
		holder_release(&got);
	else
		*out = got;
	return rc;
}

void holder_release(struct holder_payload *p)
{
	mem_free((void *)(uintptr_t)p->accounts);
	*p = (struct holder_payload){ 0 };
}

/* ---- holds ---- */

#define HOLD_QUERY 1

enum err_code hold_encode(const struct hold_payload *p, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	if (p->snapshot_count > COMMIT_SNAPSHOTS_MAX || p->account_count > HOLDER_ACCOUNTS_MAX ||
	    p->sealed.len > HOLD_SEALED_MAX)
		return err_set(e, ERR_LIMIT, "%zu snapshots, %zu accounts and %zu bytes of details in one hold",
		               p->snapshot_count, p->account_count, p->sealed.len);
	wr_bytes(&w, span_of(p->id.bytes, sizeof p->id.bytes));
	wr_u8(&w, p->query ? HOLD_QUERY : 0);
	wr_var(&w, p->snapshot_count);
	for (size_t i = 0; i < p->snapshot_count; i++)
		wr_bytes(&w, span_of(p->snapshots[i].bytes, sizeof p->snapshots[i].bytes));
	wr_var(&w, p->account_count);
	for (size_t i = 0; i < p->account_count; i++)
		wr_bytes(&w, span_of(p->accounts[i].bytes, sizeof p->accounts[i].bytes));
	wr_u32(&w, p->epoch);
	wr_blob(&w, p->sealed);
	return wr_end(&w);
}

/* A list of 16-byte ids, allocated; at most MAX. */
static enum err_code rd_ids(struct rd *r, size_t max, void *out, size_t *count, struct err *e)
{
	size_t n = rd_count(r, max, ID16_BYTES);
	uint8_t *got = mem_zalloc(n, ID16_BYTES);

	if (!got)
		return err_no_memory(e, n * ID16_BYTES);
	rd_copy(r, got, n * ID16_BYTES);
	*(uint8_t **)out = got;
	*count = n;
	return ERR_OK;
}

enum err_code hold_decode(struct span payload, struct hold_payload *out, struct err *e)
{
	struct hold_payload got = { 0 };
	struct rd r = rd_of(payload);
	unsigned flags;
	enum err_code rc;

	rd_copy(&r, got.id.bytes, sizeof got.id.bytes);
	flags = rd_u8(&r);
	got.query = flags & HOLD_QUERY;
	if (flags > HOLD_QUERY || is_zero(got.id.bytes, sizeof got.id.bytes))
		r.bad = true;
	rc = rd_ids(&r, COMMIT_SNAPSHOTS_MAX, &got.snapshots, &got.snapshot_count, e);
	if (!rc)
		rc = rd_ids(&r, HOLDER_ACCOUNTS_MAX, &got.accounts, &got.account_count, e);
	got.epoch = rd_u32(&r);
	got.sealed = rd_blob(&r, HOLD_SEALED_MAX);
	/* A query names no snapshots; anything else names something. */
	if (got.query ? got.snapshot_count > 0 : !got.snapshot_count && !got.account_count)
		r.bad = true;
	if (!rc)
		rc = decode_end(&r, "hold", e);
	if (rc)
		hold_release(&got);
	else
		*out = got;
	return rc;
}

void hold_release(struct hold_payload *p)
{
	mem_free((void *)(uintptr_t)p->snapshots);
	mem_free((void *)(uintptr_t)p->accounts);
	*p = (struct hold_payload){ 0 };
}

enum err_code unhold_encode(const struct hold_id *id, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_bytes(&w, span_of(id->bytes, sizeof id->bytes));
	return wr_end(&w);
}

enum err_code unhold_decode(struct span payload, struct hold_id *out, struct err *e)
{
	struct rd r = rd_of(payload);
	struct hold_id got;
	enum err_code rc;

	rd_copy(&r, got.bytes, sizeof got.bytes);
	rc = decode_end(&r, "released hold", e);
	if (!rc)
		*out = got;
	return rc;
}

void holder_message(const struct repo_id *repo, const struct holder_id *holder, const uint8_t public_key[32],
                    enum holder_role role, uint8_t out[HOLDER_MESSAGE_BYTES])
{
	static const char domain[17] = "mailhold holder 1";

	memcpy(out, domain, sizeof domain);
	memcpy(out + 17, repo->bytes, ID16_BYTES);
	memcpy(out + 33, holder->bytes, ID16_BYTES);
	memcpy(out + 49, public_key, 32);
	out[81] = (uint8_t)role;
}
