/*
 * Appending by rule B (docs/order.md, rules 5, 10 and 12): fold, decide, create, and read what stands there. The answer
 * of the create decides nothing: an answer may be lost, and a request may arrive long after we stopped waiting for it.
 * Only the same bytes are ever tried again at the same number while nothing else stands there.
 */
#include "engine/ledger/ledger_internal.h"

#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#define CREATE_ATTEMPTS 6
#define CREATE_WAIT_MS  10 /* before the second attempt; three times as long before each further one */
#define APPEND_ROUNDS   10000

static void wait_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) != 0)
		;
}

enum err_code ledger_check_writable(const struct ledger *l, enum record_kind kind, struct err *e)
{
	if (l->fold.unknown_count)
		return err_set(e, ERR_UNSUPPORTED,
		               "ledger record %" PRIu64
		               " was made by a newer version of mailhold; this one may only read",
		               l->fold.unknown_kind);
	if (ledger_rotated(l))
		return ledger_check_epoch(l, e);
	if (!l->fold.doubt_count || kind == RECORD_VOID)
		return ERR_OK;
	for (size_t i = 0; i < l->fold.unreadable_count; i++)
		if (!l->fold.unreadable[i].voided)
			return err_set(e, ERR_CORRUPT,
			               "ledger record %" PRIu64
			               " cannot be read, so nothing may be added; see `mailhold repair ledger`",
			               l->fold.unreadable[i].number);
	return ERR_OK;
}

/* Seals R, and opens the result as a reader would before anyone else can see it. */
static enum err_code seal_checked(struct ledger *l, const struct record *r, struct buf *out, struct err *e)
{
	struct record_signature signature;
	struct record got;
	enum err_code rc;

	buf_clear(out);
	rc = record_seal(l->keys, r, out, e);
	if (!rc)
		rc = record_open(l->keys, r->number, buf_span(out), &l->plain, &got, &signature, e);
	if (!rc && (!span_equal(got.payload, r->payload) || got.kind != r->kind))
		rc = err_set(e, ERR_CORRUPT, "ledger record %" PRIu64 " does not open to what was sealed", r->number);
	return rc;
}

/* Judges and seals the record that would follow the head. */
static enum err_code prepare(struct ledger *l, enum record_kind kind, ledger_decide decide, void *ctx,
                             struct buf *payload, struct buf *out, struct err *e)
{
	struct record r = { .number = l->next,
		            .epoch = keys_epoch(l->keys),
		            .checkpoint_number = l->fold.checkpoint_number,
		            .holder = keys_holder(l->keys),
		            .time_ms = clock_now_ms(),
		            .kind = (uint16_t)kind };
	enum err_code rc;

	rc = ledger_check_writable(l, kind, e);
	if (!rc)
		rc = ledger_make_durable(l, e);
	buf_clear(payload);
	if (!rc)
		rc = decide(l, ctx, payload, e);
	if (rc)
		return rc;
	memcpy(r.prev_hash, l->head.hash, sizeof r.prev_hash);
	memcpy(r.checkpoint_hash, l->fold.checkpoint_hash, sizeof r.checkpoint_hash);
	/* Hints that an older version may pass over; all else binds whoever wants to write. */
	if (kind != RECORD_CHECKPOINT && kind != RECORD_POLICY && kind != RECORD_VERIFIED)
		r.kind |= RECORD_CRITICAL;
	r.payload = buf_span(payload);
	rc = fold_record(&l->fold, &r, NULL, false, e);
	if (!rc)
		rc = seal_checked(l, &r, out, e);
	return rc;
}

/* An answer that means the create was refused as a whole, now and later. */
static bool is_refusal(enum err_code rc)
{
	return rc == ERR_NO_SPACE || rc == ERR_DENIED || rc == ERR_NO_MEMORY || rc == ERR_LIMIT;
}

enum outcome { OUTCOME_MINE, OUTCOME_OTHER };

/* Creates record L->next and learns by reading whose it is; leaves what stands there in L->stored and HASH. */
static enum err_code create(struct ledger *l, struct span bytes, enum outcome *out, uint8_t hash[RECORD_HASH_BYTES],
                            struct err *e)
{
	struct record_path path = record_path(l->next);
	struct err put = { 0 }, get = { 0 };
	unsigned wait = CREATE_WAIT_MS;
	bool uncertain = false; /* an earlier request may still arrive */

	for (int attempt = 0; attempt < CREATE_ATTEMPTS; attempt++, wait *= 3) {
		enum err_code put_rc, rc;

		if (attempt)
			wait_ms(wait);
		put = (struct err){ 0 };
		put_rc = store_put(l->store, path.text, bytes, &put);
		rc = ledger_fetch(l, l->next, hash, &get);
		if (!rc) {
			*out = span_equal(buf_span(&l->stored), bytes) ? OUTCOME_MINE : OUTCOME_OTHER;
			/* Only an acknowledged create is durable for sure. */
			if (*out == OUTCOME_MINE && !put_rc)
				l->durable = l->next + 1;
			return ERR_OK;
		}
		if (rc == ERR_NOT_FOUND && is_refusal(put_rc) && !uncertain) {
			*e = put;
			return err_note(e, "nothing was appended to the ledger");
		}
		uncertain = true;
	}
	return err_set(e, ERR_OUTCOME_UNKNOWN, "ledger record %" PRIu64 " may or may not have been written (%s)",
	               l->next, put.code ? put.text : get.text);
}

/* Folds what create() found. */
static enum err_code take_created(struct ledger *l, enum outcome outcome, const uint8_t hash[RECORD_HASH_BYTES],
                                  struct err *e)
{
	struct err why;
	enum err_code rc;

	rc = ledger_take(l, hash, outcome == OUTCOME_MINE, e);
	if (!rc)
		rc = fold_settle(&l->fold, e);
	if (rc)
		l->broken = true;
	if (!rc && outcome == OUTCOME_MINE)
		rc = ledger_make_durable(l, e);
	/* It stands in the ledger; that we fail now does not take it back. */
	if (rc && outcome == OUTCOME_MINE) {
		why = *e;
		return err_set(e, ERR_OUTCOME_UNKNOWN, "a ledger record was written, but then: %.400s", why.text);
	}
	return rc;
}

enum err_code ledger_append(struct ledger *l, enum record_kind kind, ledger_decide decide, void *ctx, uint64_t *number,
                            struct err *e)
{
	struct buf payload = BUF_WITH_MAX(RECORD_BYTES_MAX), bytes = BUF_WITH_MAX(RECORD_BYTES_MAX);
	uint8_t hash[RECORD_HASH_BYTES];
	enum outcome outcome = OUTCOME_OTHER;
	enum err_code rc = ERR_OK;

	for (int round = 0; round < APPEND_ROUNDS && outcome == OUTCOME_OTHER; round++) {
		rc = ledger_refresh(l, e);
		if (!rc)
			rc = prepare(l, kind, decide, ctx, &payload, &bytes, e);
		if (!rc)
			rc = create(l, buf_span(&bytes), &outcome, hash, e);
		if (!rc)
			rc = take_created(l, outcome, hash, e);
		if (rc)
			goto done;
	}
	if (outcome == OUTCOME_OTHER)
		rc = err_set(e, ERR_LIMIT, "%d times somebody else was faster to append to the ledger", APPEND_ROUNDS);
	else if (number)
		*number = l->head.number;
done:
	buf_release(&payload);
	buf_release(&bytes);
	return rc;
}

static enum err_code decide_bytes(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	(void)l;
	return buf_append(payload, *(const struct span *)ctx, e);
}

enum err_code ledger_append_bytes(struct ledger *l, enum record_kind kind, struct span payload, uint64_t *number,
                                  struct err *e)
{
	return ledger_append(l, kind, decide_bytes, &payload, number, e);
}

/* ---- the public ones ---- */

enum err_code ledger_create(struct store *s, const struct keys *k, uint32_t splitter_version, uint32_t cutter_version,
                            struct err *e)
{
	struct init_payload init = { .splitter_version = splitter_version, .cutter_version = cutter_version };
	struct record r = { .epoch = keys_epoch(k), .time_ms = clock_now_ms(), .kind = RECORD_INIT | RECORD_CRITICAL };
	struct buf payload = BUF_EMPTY, bytes = BUF_EMPTY;
	struct repo_id repo = keys_repo(k);
	uint8_t message[HOLDER_MESSAGE_BYTES], hash[RECORD_HASH_BYTES];
	enum outcome outcome = OUTCOME_OTHER;
	struct ledger *l = NULL;
	enum err_code rc;

	r.holder = init.holder = keys_holder(k);
	memcpy(init.root_public, keys_root_public(k), sizeof init.root_public);
	memcpy(init.holder_public, keys_sign_public(k), sizeof init.holder_public);
	crypto_random(init.random, sizeof init.random);
	holder_message(&repo, &init.holder, init.holder_public, HOLDER_FULL, message);
	rc = keys_root_sign(k, span_of(message, sizeof message), init.root_signature, e);
	if (!rc)
		rc = init_encode(&init, &payload, e);
	if (!rc)
		rc = ledger_new(s, k, &l, e);
	if (rc)
		goto done;
	r.payload = buf_span(&payload);
	rc = seal_checked(l, &r, &bytes, e);
	if (!rc)
		rc = create(l, buf_span(&bytes), &outcome, hash, e);
	if (!rc && outcome == OUTCOME_OTHER)
		rc = err_set(e, ERR_EXISTS, "there is a repository at %s already", store_url(s));
	if (!rc)
		rc = take_created(l, outcome, hash, e);
done:
	if (rc)
		err_note(e, "while creating the ledger");
	ledger_free(&l);
	buf_release(&payload);
	buf_release(&bytes);
	return rc;
}

enum err_code ledger_open_session(struct ledger *l, uint64_t *session, struct err *e)
{
	enum err_code rc = ledger_append_bytes(l, RECORD_OPEN, SPAN_EMPTY, session, e);

	return rc ? err_note(e, "while opening a session") : ERR_OK;
}

enum err_code ledger_end_session(struct ledger *l, uint64_t session, struct err *e)
{
	struct buf payload = BUF_EMPTY;
	enum err_code rc = session_encode(session, &payload, e);

	if (!rc)
		rc = ledger_append_bytes(l, RECORD_END, buf_span(&payload), NULL, e);
	buf_release(&payload);
	return rc ? err_note(e, "while ending session %" PRIu64, session) : ERR_OK;
}

static enum err_code decide_commit(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	struct commit c = *(const struct commit *)ctx;

	c.first_ordinal = (uint32_t)l->fold.pack_count;
	return commit_encode(&c, payload, e);
}

enum err_code ledger_commit(struct ledger *l, const struct commit *c, uint64_t *number, struct err *e)
{
	struct commit copy = *c;
	enum err_code rc = ledger_append(l, RECORD_COMMIT, decide_commit, &copy, number, e);

	return rc ? err_note(e, "while committing") : ERR_OK;
}

struct mark {
	enum record_kind kind;
	const struct snapshot_id *ids;
	size_t count;
	bool looked; /* at what holds on items need, at record HEAD */
	uint64_t head;
};

static const char *mark_refused(const struct ledger *l, const struct mark *m, const struct snapshot_fact *fact)
{
	enum record_kind kind = m->kind;

	if (kind == RECORD_UNFORGET)
		return fact->state == SNAPSHOT_TRASH ? NULL : "is not in the trash";
	if (kind == RECORD_UNPIN)
		return fact->pinned ? NULL : "is not pinned";
	if (fact->state != SNAPSHOT_LIVE)
		return "is forgotten already";
	if (fact->pinned)
		return "is pinned (`mailhold unpin` ends that)";
	if (kind == RECORD_FORGET && fold_held(&l->fold, fact, !m->looked || !ledger_we_are_full(l)))
		return "is under a hold (`mailhold hold list`)";
	return NULL;
}

bool ledger_we_are_full(const struct ledger *l)
{
	struct holder_id self = keys_holder(l->keys);
	const struct holder_payload *us = fold_signer(&l->fold, &self);

	return us && us->role == HOLDER_FULL;
}

enum err_code ledger_check_looked(const struct ledger *l, bool looked, uint64_t head, struct err *e)
{
	if (!looked || l->head.number == head || !ledger_has_query_hold(l, NULL))
		return ERR_OK;
	return err_set(e, ERR_STATE,
	               "what holds need was looked at in ledger record %" PRIu64 ", and now %" PRIu64 " is the newest",
	               head, l->head.number);
}

static enum err_code decide_mark(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	const struct mark *m = ctx;
	enum err_code rc = ledger_check_looked(l, m->looked, m->head, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < m->count; i++) {
		const struct fold_snapshot *row = fold_snapshot_find(&l->fold, &m->ids[i]);
		const char *why = row && !row->hidden ? mark_refused(l, m, &row->fact) : "is not there";

		if (why)
			return err_set(e, ERR_NOT_FOUND, "snapshot %s %s", snapshot_id_text(&m->ids[i]).text, why);
	}
	return snapshot_ids_encode(m->ids, m->count, payload, e);
}

enum err_code ledger_mark(struct ledger *l, enum record_kind kind, const struct snapshot_id *ids, size_t count,
                          struct err *e)
{
	struct mark m = { .kind = kind, .ids = ids, .count = count };

	if (kind != RECORD_FORGET && kind != RECORD_UNFORGET && kind != RECORD_PIN && kind != RECORD_UNPIN)
		return err_set(e, ERR_USAGE, "a record of kind %d marks no snapshots", kind);
	if (!count)
		return ERR_OK;
	return ledger_append(l, kind, decide_mark, &m, NULL, e);
}

enum err_code ledger_forget_at(struct ledger *l, uint64_t head, const struct snapshot_id *ids, size_t count,
                               struct err *e)
{
	struct mark m = { .kind = RECORD_FORGET, .ids = ids, .count = count, .looked = true, .head = head };

	return count ? ledger_append(l, RECORD_FORGET, decide_mark, &m, NULL, e) : ERR_OK;
}

static enum err_code decide_hold(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	const struct hold_payload *p = ctx;

	for (size_t i = 0; i < p->snapshot_count; i++) {
		const struct fold_snapshot *row = fold_snapshot_find(&l->fold, &p->snapshots[i]);

		if (!row || row->hidden || row->fact.state == SNAPSHOT_EXPIRED)
			return err_set(e, ERR_NOT_FOUND, "snapshot %s is not there",
			               snapshot_id_text(&p->snapshots[i]).text);
	}
	return hold_encode(p, payload, e);
}

enum err_code ledger_hold_add(struct ledger *l, const struct hold_payload *p, struct err *e)
{
	struct hold_payload copy = *p;
	enum err_code rc = ledger_append(l, RECORD_HOLD, decide_hold, &copy, NULL, e);

	return rc ? err_note(e, "while adding a hold") : ERR_OK;
}

enum err_code ledger_hold_release(struct ledger *l, const struct hold_id *id, struct err *e)
{
	struct buf payload = BUF_EMPTY;
	enum err_code rc = unhold_encode(id, &payload, e);

	if (!rc)
		rc = ledger_append_bytes(l, RECORD_UNHOLD, buf_span(&payload), NULL, e);
	buf_release(&payload);
	return rc ? err_note(e, "while releasing a hold") : ERR_OK;
}

enum err_code ledger_put_holder(struct ledger *l, const struct holder_payload *p, struct err *e)
{
	struct buf payload = BUF_EMPTY;
	enum err_code rc = holder_encode(p, &payload, e);

	if (!rc)
		rc = ledger_append_bytes(l, RECORD_HOLDER, buf_span(&payload), NULL, e);
	buf_release(&payload);
	return rc ? err_note(e, p->role == HOLDER_REMOVED ? "while removing a key" : "while announcing a key") : ERR_OK;
}

unsigned ledger_parity_percent(const struct ledger *l)
{
	return l->fold.parity_percent;
}

static enum err_code decide_parity(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	uint8_t percent = *(const uint8_t *)ctx;

	return policy_put(l->fold.policy, POLICY_PARITY, span_of(&percent, percent ? 1 : 0), payload, e);
}

enum err_code ledger_set_parity(struct ledger *l, unsigned percent, struct err *e)
{
	uint8_t value = (uint8_t)percent;
	enum err_code rc;

	if (percent > POLICY_PARITY_MAX)
		return err_set(e, ERR_USAGE, "parity is for 1 to %d percent", POLICY_PARITY_MAX);
	rc = ledger_refresh(l, e);
	if (!rc && ledger_parity_percent(l) == percent)
		return ERR_OK;
	if (!rc)
		rc = ledger_append(l, RECORD_POLICY, decide_parity, &value, NULL, e);
	return rc ? err_note(e, "while changing the policy") : ERR_OK;
}

struct vouch {
	const uint32_t *ordinals;
	size_t count;
};

static enum err_code decide_verified(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	const struct vouch *v = ctx;
	uint32_t *live = mem_zalloc(v->count, sizeof *live);
	size_t count = 0;
	enum err_code rc;

	if (!live)
		return err_no_memory(e, v->count * sizeof *live);
	for (size_t i = 0; i < v->count; i++) {
		const struct pack_fact *p = v->ordinals[i] < l->fold.pack_count ? &l->fold.packs[v->ordinals[i]] : NULL;

		if (p && p->state == PACK_LIVE && !p->trusted)
			live[count++] = v->ordinals[i];
	}
	rc = count ? ordinals_encode(live, count, payload, e)
	           : err_set(e, ERR_NOT_FOUND, "somebody else has vouched for these packs");
	mem_free(live);
	return rc;
}

enum err_code ledger_verified(struct ledger *l, const uint32_t *ordinals, size_t count, struct err *e)
{
	struct vouch v = { ordinals, count };
	enum err_code rc = count ? ledger_append(l, RECORD_VERIFIED, decide_verified, &v, NULL, e) : ERR_OK;

	if (rc == ERR_NOT_FOUND)
		return ERR_OK;
	return rc ? err_note(e, "while recording what was verified") : ERR_OK;
}

/* A share for everybody who is announced at the head: whoever is added meanwhile is not forgotten. */
static enum err_code decide_epoch(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	const struct keys *next = ctx;
	struct epoch_payload p = { .number = keys_epoch(next) };
	struct epoch_entry *entries = mem_zalloc(l->fold.holder_count, sizeof *entries);
	struct buf sealed = BUF_WITH_MAX(EPOCH_HOLDERS_MAX * EPOCH_SEALED_BYTES);
	enum err_code rc = entries ? buf_reserve(&sealed, l->fold.holder_count * EPOCH_SEALED_BYTES, e)
	                           : err_no_memory(e, l->fold.holder_count * sizeof *entries);

	p.entries = entries;
	for (size_t i = 0; !rc && i < l->fold.holder_count; i++) {
		const struct holder_payload *h = &l->fold.holders[i];

		if (h->role == HOLDER_REMOVED)
			continue;
		if (!h->has_box)
			rc = err_set(e, ERR_STATE, "one of the holders was announced by an earlier version");
		if (!rc)
			rc = epoch_seal(next, (enum role)h->role, &h->holder, h->box_public, &sealed, e);
		entries[p.count++] = (struct epoch_entry){ h->holder, SPAN_EMPTY };
	}
	for (size_t i = 0; !rc && i < p.count; i++)
		entries[i].sealed = span_of(sealed.ptr + i * EPOCH_SEALED_BYTES, EPOCH_SEALED_BYTES);
	if (!rc)
		rc = epoch_encode(&p, payload, e);
	mem_free(entries);
	buf_release(&sealed);
	return rc;
}

enum err_code ledger_rotate(struct ledger *l, const struct keys *next, struct err *e)
{
	enum err_code rc = ledger_append(l, RECORD_EPOCH, decide_epoch, (void *)(uintptr_t)next, NULL, e);

	return rc ? err_note(e, "while rotating the keys") : ERR_OK;
}

static enum err_code decide_void(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	struct void_payload p;

	(void)ctx;
	for (size_t i = 0; i < l->fold.unreadable_count; i++) {
		if (l->fold.unreadable[i].voided)
			continue;
		p.number = l->fold.unreadable[i].number;
		memcpy(p.hash, l->fold.unreadable[i].hash, sizeof p.hash);
		return void_encode(&p, payload, e);
	}
	return err_set(e, ERR_NOT_FOUND, "every ledger record can be read");
}

enum err_code ledger_repair(struct ledger *l, size_t *count, struct err *e)
{
	size_t done = 0;
	enum err_code rc;

	rc = ledger_refresh(l, e);
	while (!rc && l->fold.doubt_count) {
		rc = ledger_append(l, RECORD_VOID, decide_void, NULL, NULL, e);
		done += !rc;
		/* Somebody else repaired it meanwhile. */
		if (rc == ERR_NOT_FOUND)
			rc = ERR_OK;
	}
	if (rc)
		return err_note(e, "while repairing the ledger");
	*count = done;
	return ERR_OK;
}
