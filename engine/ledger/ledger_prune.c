/*
 * Appending what takes away: EXPIRE, CONDEMN, REPACK, DROP, FENCE. What nothing reaches is the caller's to know, and it
 * knows it for one head only: the decision looks at the head again each time that somebody else was faster.
 */
#include "engine/ledger/ledger_internal.h"

#include <inttypes.h>

#include "base/mem.h"

/* ---- expire ---- */

struct expire {
	int64_t forgotten_ms;
	struct snapshot_id *ids;
	size_t count;
	bool looked; /* at what holds on items need, at record HEAD: STAY */
	uint64_t head;
	const struct snapshot_id *stay;
	size_t stay_count;
};

static bool may_expire(const struct ledger *l, const struct expire *x, const struct fold_snapshot *row)
{
	if (row->hidden || row->fact.state != SNAPSHOT_TRASH || row->fact.forgotten_ms > x->forgotten_ms ||
	    row->fact.pinned || fold_held(&l->fold, &row->fact, !x->looked || !ledger_we_are_full(l)))
		return false;
	for (size_t i = 0; i < x->stay_count; i++)
		if (memcmp(x->stay[i].bytes, row->fact.entry.id.bytes, sizeof x->stay[i].bytes) == 0)
			return false;
	return true;
}

static enum err_code decide_expire(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	struct expire *x = ctx;
	enum err_code rc = ledger_check_looked(l, x->looked, x->head, e);

	x->count = 0;
	if (rc)
		return rc;
	for (size_t i = 0; i < l->fold.snapshot_count && x->count < COMMIT_SNAPSHOTS_MAX; i++)
		if (may_expire(l, x, &l->fold.snapshots[i]))
			x->ids[x->count++] = l->fold.snapshots[i].fact.entry.id;
	if (!x->count)
		return err_set(e, ERR_NOT_FOUND, "nothing in the trash is that old");
	return snapshot_ids_encode(x->ids, x->count, payload, e);
}

static enum err_code expire(struct ledger *l, struct expire *x, size_t *count, struct err *e)
{
	enum err_code rc = ERR_OK;

	*count = 0;
	x->ids = mem_zalloc(COMMIT_SNAPSHOTS_MAX, sizeof *x->ids);
	if (!x->ids)
		return err_no_memory(e, COMMIT_SNAPSHOTS_MAX * sizeof *x->ids);
	while (!rc) {
		/* What we end ourselves changes nothing about what is needed. */
		rc = ledger_append(l, RECORD_EXPIRE, decide_expire, x, &x->head, e);
		*count += rc ? 0 : x->count;
	}
	mem_free(x->ids);
	return rc == ERR_NOT_FOUND ? ERR_OK : err_note(e, "while emptying the trash");
}

enum err_code ledger_expire(struct ledger *l, int64_t forgotten_ms, size_t *count, struct err *e)
{
	struct expire x = { .forgotten_ms = forgotten_ms };

	return expire(l, &x, count, e);
}

enum err_code ledger_expire_at(struct ledger *l, int64_t forgotten_ms, uint64_t head, const struct snapshot_id *stay,
                               size_t stay_count, size_t *count, struct err *e)
{
	struct expire x = {
		.forgotten_ms = forgotten_ms, .looked = true, .head = head, .stay = stay, .stay_count = stay_count
	};

	return expire(l, &x, count, e);
}

/* ---- condemn and repack ---- */

static enum err_code check_head(const struct ledger *l, uint64_t head, struct err *e)
{
	if (l->head.number == head)
		return ERR_OK;
	return err_set(e, ERR_STATE, "rule E: marked at ledger record %" PRIu64 ", and now %" PRIu64 " is the newest",
	               head, l->head.number);
}

struct condemn {
	uint64_t head;
	const uint32_t *ordinals;
	size_t count;
};

static enum err_code decide_condemn(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	const struct condemn *c = ctx;
	enum err_code rc = check_head(l, c->head, e);

	return rc ? rc : ordinals_encode(c->ordinals, c->count, payload, e);
}

enum err_code ledger_condemn(struct ledger *l, uint64_t head, const uint32_t *ordinals, size_t count, uint64_t *number,
                             struct err *e)
{
	struct condemn c = { head, ordinals, count };
	enum err_code rc = ledger_append(l, RECORD_CONDEMN, decide_condemn, &c, number, e);

	return rc ? err_note(e, "while condemning packs") : ERR_OK;
}

struct repack {
	uint64_t head;
	struct commit commit;
};

static enum err_code decide_repack(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	struct repack *r = ctx;
	enum err_code rc = check_head(l, r->head, e);

	r->commit.first_ordinal = (uint32_t)l->fold.pack_count;
	return rc ? rc : commit_encode(&r->commit, payload, e);
}

enum err_code ledger_repack(struct ledger *l, uint64_t head, const struct commit *c, uint64_t *number, struct err *e)
{
	struct repack r = { head, *c };
	enum err_code rc = ledger_append(l, RECORD_REPACK, decide_repack, &r, number, e);

	return rc ? err_note(e, "while recording repacked packs") : ERR_OK;
}

/* ---- drop ---- */

struct drop {
	const uint32_t *ordinals;
	size_t count;
	uint32_t *left; /* of them, those that nobody dropped yet */
};

static enum err_code decide_drop(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	struct drop *d = ctx;
	size_t n = 0;

	for (size_t i = 0; i < d->count; i++)
		if (d->ordinals[i] < l->fold.pack_count && l->fold.packs[d->ordinals[i]].state == PACK_CONDEMNED)
			d->left[n++] = d->ordinals[i];
	if (!n)
		return err_set(e, ERR_NOT_FOUND, "somebody else dropped them all");
	return ordinals_encode(d->left, n, payload, e);
}

enum err_code ledger_drop(struct ledger *l, const uint32_t *ordinals, size_t count, struct err *e)
{
	struct drop d = { ordinals, count, mem_zalloc(count, sizeof *d.left) };
	enum err_code rc;

	if (!d.left)
		return err_no_memory(e, count * sizeof *d.left);
	rc = count ? ledger_append(l, RECORD_DROP, decide_drop, &d, NULL, e) : ERR_OK;
	mem_free(d.left);
	if (rc && rc != ERR_NOT_FOUND)
		return err_note(e, "while recording deleted packs");
	return ERR_OK;
}

/* ---- fence, and leave to delete ---- */

enum err_code ledger_fence(struct ledger *l, uint64_t session, struct err *e)
{
	struct buf payload = BUF_EMPTY;
	enum err_code rc = session_encode(session, &payload, e);

	if (!rc)
		rc = ledger_append_bytes(l, RECORD_FENCE, buf_span(&payload), NULL, e);
	buf_release(&payload);
	return rc ? err_note(e, "while fencing session %" PRIu64, session) : ERR_OK;
}

enum err_code ledger_may_delete(struct ledger *l, struct err *e)
{
	enum err_code rc = ledger_check_writable(l, RECORD_DROP, e);

	return rc ? rc : ledger_make_durable(l, e);
}
