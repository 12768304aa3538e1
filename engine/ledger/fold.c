/*
 * Each kind of record has one function below, which decodes, judges against the state before the record, and only then
 * changes anything; `apply` false stops before the change, so that a writer is judged by the code that readers run.
 */
#include "engine/ledger/fold.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

#define ARENA_BLOCK (256 * KIB)
#define MAY(role)   (1u << (role))
#define MAY_FULL    MAY(HOLDER_FULL)
#define MAY_KEEP    (MAY(HOLDER_FULL) | MAY(HOLDER_KEEPER))
#define MAY_ALL     (MAY(HOLDER_FULL) | MAY(HOLDER_KEEPER) | MAY(HOLDER_DEPOSIT))

/* What every kind's function gets. */
struct step {
	struct fold *f;
	const struct record *r;
	const uint8_t *hash;
	const struct holder_payload *signer;
	bool apply;
	struct err *e;
};

static const struct snapshot_id no_snapshot;

struct snapshot_id_text snapshot_id_text(const struct snapshot_id *id)
{
	struct snapshot_id_text out;

	text_hex(span_of(id->bytes, sizeof id->bytes), out.text);
	return out;
}

/* Makes room for NEED rows of EACH bytes, doubling. */
enum err_code fold_rows_reserve(void *rows, size_t *cap, size_t need, size_t each, struct err *e)
{
	size_t bytes, more = num_max(16, num_max(need, *cap + *cap / 2));
	void **at = rows;
	void *grown;

	if (need <= *cap)
		return ERR_OK;
	if (!num_mul_size(more, each, &bytes))
		return err_no_memory(e, SIZE_MAX);
	grown = mem_grow(*at, bytes);
	if (!grown)
		return err_no_memory(e, bytes);
	*at = grown;
	*cap = more;
	return ERR_OK;
}

enum err_code fold_arena_copy(struct fold *f, struct span *s, struct err *e)
{
	struct fold_block *b = f->arena;

	if (!s->len) {
		*s = SPAN_EMPTY;
		return ERR_OK;
	}
	if (!b || b->cap - b->used < s->len) {
		size_t cap = num_max(ARENA_BLOCK, s->len);

		b = mem_alloc(sizeof *b + cap);
		if (!b)
			return err_no_memory(e, sizeof *b + cap);
		*b = (struct fold_block){ .next = f->arena, .cap = cap };
		f->arena = b;
	}
	memcpy(b->bytes + b->used, s->ptr, s->len);
	s->ptr = b->bytes + b->used;
	b->used += s->len;
	return ERR_OK;
}

/* Whether facts may be missing here that the writers of later records had. */
static bool in_doubt(const struct fold *f)
{
	return f->doubt_count || f->unknown_count;
}

/* ---- looking things up ---- */

struct row_key {
	uint8_t bytes[IDMAP_KEY_BYTES];
};

/* Random bytes first: the table takes them as its hash. */
static struct row_key pack_key(const struct pack_name *name)
{
	struct row_key key = { { 0 } };

	memcpy(key.bytes, name->random, sizeof name->random);
	memcpy(key.bytes + sizeof name->random, &name->session, sizeof name->session);
	return key;
}

static struct row_key snapshot_key(const struct snapshot_id *id)
{
	struct row_key key = { { 0 } };

	memcpy(key.bytes, id->bytes, sizeof id->bytes);
	return key;
}

bool fold_pack_find(const struct fold *f, const struct pack_name *name, uint32_t *ordinal)
{
	struct row_key key = pack_key(name);
	uint64_t row;

	if (!idmap_get(&f->pack_by_name, key.bytes, &row))
		return false;
	*ordinal = (uint32_t)row;
	return true;
}

struct fold_snapshot *fold_snapshot_find(const struct fold *f, const struct snapshot_id *id)
{
	struct row_key key = snapshot_key(id);
	uint64_t row;

	return idmap_get(&f->snapshot_by_id, key.bytes, &row) ? &f->snapshots[row] : NULL;
}

enum err_code fold_pack_name(struct fold *f, const struct pack_name *name, size_t row, struct err *e)
{
	return idmap_put(&f->pack_by_name, pack_key(name).bytes, row, e);
}

enum err_code fold_snapshot_name(struct fold *f, const struct snapshot_id *id, size_t row, struct err *e)
{
	return idmap_put(&f->snapshot_by_id, snapshot_key(id).bytes, row, e);
}

static struct fold_session *session_find(const struct fold *f, uint64_t number)
{
	size_t low = 0, high = f->session_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->sessions[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < f->session_count && f->sessions[low].number == number ? &f->sessions[low] : NULL;
}

enum session_state fold_session_state(const struct fold *f, uint64_t session)
{
	const struct fold_session *s = session_find(f, session);

	return s ? s->state : SESSION_UNKNOWN;
}

static struct fold_unreadable *unreadable_find(const struct fold *f, uint64_t number)
{
	for (size_t i = 0; i < f->unreadable_count; i++)
		if (f->unreadable[i].number == number)
			return &f->unreadable[i];
	return NULL;
}

static struct holder_payload *holder_find(const struct fold *f, const struct holder_id *id)
{
	for (size_t i = 0; i < f->holder_count; i++)
		if (memcmp(f->holders[i].holder.bytes, id->bytes, sizeof id->bytes) == 0)
			return &f->holders[i];
	return NULL;
}

const struct holder_payload *fold_holder(const struct fold *f, const struct holder_id *id)
{
	return holder_find(f, id);
}

const struct holder_payload *fold_signer(const struct fold *f, const struct holder_id *holder)
{
	const struct holder_payload *h = holder_find(f, holder);

	return h && h->role != HOLDER_REMOVED ? h : NULL;
}

struct hold_fact *fold_hold_find(const struct fold *f, const struct hold_id *id)
{
	for (size_t i = 0; i < f->hold_count; i++)
		if (memcmp(f->holds[i].hold.id.bytes, id->bytes, sizeof id->bytes) == 0)
			return &f->holds[i];
	return NULL;
}

/* One list of 16-byte ids holds ID. */
static bool has_id(const void *ids, size_t count, const void *id)
{
	const uint8_t *at = ids;

	for (size_t i = 0; i < count; i++)
		if (memcmp(at + i * ID16_BYTES, id, ID16_BYTES) == 0)
			return true;
	return false;
}

const struct hold_fact *fold_held(const struct fold *f, const struct snapshot_fact *s, bool queries)
{
	for (size_t i = 0; i < f->hold_count; i++) {
		const struct hold_payload *h = &f->holds[i].hold;

		if (f->holds[i].released || (h->query && !queries))
			continue;
		if ((h->query && !h->account_count) || has_id(h->accounts, h->account_count, &s->entry.account) ||
		    has_id(h->snapshots, h->snapshot_count, &s->entry.id))
			return &f->holds[i];
	}
	return NULL;
}

/* ---- sessions ---- */

/* ERR_OK when the signer may use SESSION and it is open; *OUT is NULL for one whose OPEN was lost. */
static enum err_code session_check(const struct step *s, uint64_t session, bool own, struct fold_session **out)
{
	struct fold_session *found = session_find(s->f, session);
	const struct fold_unreadable *lost = found ? NULL : unreadable_find(s->f, session);

	*out = found;
	if (!found && ((lost && !lost->voided) || s->f->unknown_count))
		return ERR_OK;
	if (!found)
		return err_set(s->e, ERR_STATE, "rule C: there is no session %" PRIu64, session);
	if (found->state != SESSION_OPEN)
		return err_set(s->e, ERR_STATE, "rule D: session %" PRIu64 " was %s", session,
		               found->state == SESSION_FENCED ? "fenced" : "ended");
	if (own && s->signer->role != HOLDER_FULL &&
	    memcmp(found->holder.bytes, s->r->holder.bytes, sizeof found->holder.bytes) != 0)
		return err_set(s->e, ERR_DENIED, "session %" PRIu64 " is another holder's", session);
	return ERR_OK;
}

static enum err_code take_open(const struct step *s)
{
	struct fold *f = s->f;
	enum err_code rc;

	if (s->r->payload.len)
		return err_set(s->e, ERR_CORRUPT, "the record that opens a session holds %zu bytes", s->r->payload.len);
	if (!s->apply)
		return ERR_OK;
	rc = fold_rows_reserve(&f->sessions, &f->session_cap, f->session_count + 1, sizeof *f->sessions, s->e);
	if (!rc)
		f->sessions[f->session_count++] = (struct fold_session){
			.number = s->r->number, .holder = s->r->holder, .state = SESSION_OPEN, .last_ms = s->r->time_ms
		};
	return rc;
}

static enum err_code take_close(const struct step *s, enum session_state to)
{
	struct fold_session *session;
	uint64_t number;
	enum err_code rc;

	rc = session_decode(s->r->payload, &number, s->e);
	if (!rc)
		rc = session_check(s, number, to == SESSION_ENDED, &session);
	if (!rc && s->apply && session)
		session->state = to;
	return rc;
}

static enum err_code take_end(const struct step *s)
{
	return take_close(s, SESSION_ENDED);
}

static enum err_code take_fence(const struct step *s)
{
	return take_close(s, SESSION_FENCED);
}

/* ---- packs ---- */

/* Every ordinal must be of a pack in state WANT; OTHER is what a lost record may have left it in. */
static enum err_code ordinals_check(const struct step *s, const uint32_t *ordinals, size_t count, enum pack_state want)
{
	const struct fold *f = s->f;

	if (in_doubt(f))
		return ERR_OK;
	for (size_t i = 0; i < count; i++) {
		if (ordinals[i] >= f->pack_count)
			return err_set(s->e, ERR_STATE, "rule D: there is no pack %" PRIu32, ordinals[i]);
		if (f->packs[ordinals[i]].state != want)
			return err_set(s->e, ERR_STATE, "rule %s: pack %" PRIu32 " is %s",
			               want == PACK_LIVE ? "D" : "E", ordinals[i],
			               f->packs[ordinals[i]].state == PACK_LIVE      ? "live"
			               : f->packs[ordinals[i]].state == PACK_DROPPED ? "dropped"
			                                                             : "condemned");
	}
	return ERR_OK;
}

/* States only ever go forward: condemned is final, and so is dropped. */
static void ordinals_set(const struct step *s, const uint32_t *ordinals, size_t count, enum pack_state to)
{
	struct fold *f = s->f;

	for (size_t i = 0; i < count; i++) {
		if (ordinals[i] >= f->pack_count || f->packs[ordinals[i]].state >= to)
			continue;
		f->packs[ordinals[i]].state = to;
		if (to == PACK_CONDEMNED)
			f->packs[ordinals[i]].condemned_ms = s->r->time_ms;
	}
}

static enum err_code take_ordinals(const struct step *s, enum pack_state want, enum pack_state to)
{
	uint32_t *ordinals = NULL;
	size_t count = 0;
	enum err_code rc;

	rc = ordinals_decode(s->r->payload, &ordinals, &count, s->e);
	if (!rc)
		rc = ordinals_check(s, ordinals, count, want);
	if (!rc && s->apply)
		ordinals_set(s, ordinals, count, to);
	mem_free(ordinals);
	return rc;
}

static enum err_code take_condemn(const struct step *s)
{
	return take_ordinals(s, PACK_LIVE, PACK_CONDEMNED);
}

static enum err_code take_drop(const struct step *s)
{
	return take_ordinals(s, PACK_CONDEMNED, PACK_DROPPED);
}

static enum err_code take_verified(const struct step *s)
{
	struct fold *f = s->f;
	uint32_t *ordinals = NULL;
	size_t count = 0;
	enum err_code rc;

	rc = ordinals_decode(s->r->payload, &ordinals, &count, s->e);
	if (!rc)
		rc = ordinals_check(s, ordinals, count, PACK_LIVE);
	for (size_t i = 0; !rc && s->apply && i < count; i++)
		if (ordinals[i] < f->pack_count)
			f->packs[ordinals[i]].trusted = true;
	mem_free(ordinals);
	return rc;
}

/* Names are never reused (rule G), so none may be known already nor stand twice. */
static enum err_code added_check(const struct step *s, const struct commit *c)
{
	const struct fold *f = s->f;
	struct idmap seen = IDMAP_EMPTY;
	enum err_code rc = ERR_OK;

	if (c->first_ordinal < f->pack_count || (c->first_ordinal > f->pack_count && !in_doubt(f)))
		return err_set(s->e, ERR_STATE, "rule D: counts %" PRIu32 " packs before it where there are %zu",
		               c->first_ordinal, f->pack_count);
	if (c->first_ordinal - f->pack_count > (f->doubt_count + f->unknown_count) * COMMIT_PACKS_MAX ||
	    c->first_ordinal + c->added_count > UINT32_MAX - 1)
		return err_set(s->e, ERR_STATE, "rule D: counts %" PRIu32 " packs before it", c->first_ordinal);
	for (size_t i = 0; i < c->added_count && !rc; i++) {
		struct row_key key = pack_key(&c->added[i].name);
		uint64_t other;

		if (idmap_get(&f->pack_by_name, key.bytes, &other) || idmap_get(&seen, key.bytes, &other))
			rc = err_set(s->e, ERR_STATE, "rule G: the pack name %s is taken",
			             pack_path(&c->added[i].name).text);
		else if (c->added_count > 1)
			rc = idmap_put(&seen, key.bytes, i, s->e);
	}
	idmap_release(&seen);
	return rc;
}

/* Who answers for the chunks of packs that a record adds. */
struct origin {
	bool trusted;
	struct holder_id maker;
};

static struct origin commit_origin(const struct step *s)
{
	return (struct origin){ s->signer->role == HOLDER_FULL, s->r->holder };
}

/*
 * A full holder compares what it copies with its id. A keeper moves blocks that it cannot open: the copies are worth what
 * the originals were, and those that it names no original for are worth nothing.
 */
static struct origin repack_origin(const struct step *s, const struct commit *c)
{
	struct origin out = { .trusted = c->against_count > 0 };
	bool first = true;

	if (s->signer->role == HOLDER_FULL)
		return commit_origin(s);
	for (size_t i = 0; i < c->against_count; i++) {
		const struct pack_fact *p = c->against[i] < s->f->pack_count ? &s->f->packs[c->against[i]] : NULL;
		struct holder_id maker = p ? p->maker : (struct holder_id){ { 0 } };

		if (p && p->trusted)
			continue;
		out.trusted = false;
		if (first)
			out.maker = maker;
		else if (memcmp(&out.maker, &maker, sizeof maker) != 0)
			out.maker = (struct holder_id){ { 0 } };
		first = false;
	}
	return out;
}

static enum err_code added_apply(const struct step *s, const struct commit *c, struct origin origin)
{
	struct fold *f = s->f;
	size_t gap = c->first_ordinal - f->pack_count;
	enum err_code rc;

	rc = fold_rows_reserve(&f->packs, &f->pack_cap, f->pack_count + gap + c->added_count, sizeof *f->packs, s->e);
	if (rc)
		return rc;
	/* Packs of a lost record: nameless, and nothing may refer to them any more. */
	for (size_t i = 0; i < gap; i++)
		f->packs[f->pack_count++] = (struct pack_fact){ .state = PACK_DROPPED, .committed_at = s->r->number };
	for (size_t i = 0; i < c->added_count && !rc; i++) {
		struct row_key key = pack_key(&c->added[i].name);

		rc = idmap_put(&f->pack_by_name, key.bytes, f->pack_count, s->e);
		f->packs[f->pack_count++] = (struct pack_fact){ .pack = c->added[i],
			                                        .state = PACK_LIVE,
			                                        .trusted = origin.trusted,
			                                        .maker = origin.maker,
			                                        .committed_at = s->r->number };
	}
	return rc;
}

/* ---- commits ---- */

bool fold_account_granted(const struct holder_payload *h, const struct account_id *account)
{
	if (h->role != HOLDER_DEPOSIT || !h->account_count)
		return true;
	for (size_t i = 0; i < h->account_count; i++)
		if (memcmp(h->accounts[i].bytes, account->bytes, sizeof account->bytes) == 0)
			return true;
	return false;
}

static bool is_none(const struct snapshot_id *id)
{
	return memcmp(id->bytes, no_snapshot.bytes, sizeof id->bytes) == 0;
}

static enum err_code base_check(const struct step *s, const struct snapshot_id *base)
{
	const struct fold_snapshot *row;

	if (is_none(base))
		return ERR_OK;
	row = fold_snapshot_find(s->f, base);
	if (row ? row->fact.state != SNAPSHOT_EXPIRED : in_doubt(s->f))
		return ERR_OK;
	return err_set(s->e, ERR_STATE, "rule D: the base snapshot %s is gone", snapshot_id_text(base).text);
}

static enum err_code entries_check(const struct step *s, const struct commit *c)
{
	struct idmap seen = IDMAP_EMPTY;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < c->snapshot_count && !rc; i++) {
		const struct snapshot_entry *entry = &c->snapshots[i];
		struct row_key key = snapshot_key(&entry->id);
		uint64_t other;

		if (is_none(&entry->id) || idmap_get(&s->f->snapshot_by_id, key.bytes, &other) ||
		    idmap_get(&seen, key.bytes, &other))
			rc = err_set(s->e, ERR_STATE, "the snapshot id %s is taken", snapshot_id_text(&entry->id).text);
		else if (!fold_account_granted(s->signer, &entry->account))
			rc = err_set(s->e, ERR_DENIED, "its key is not for this account");
		else
			rc = base_check(s, &entry->base);
		if (!rc && c->snapshot_count > 1)
			rc = idmap_put(&seen, key.bytes, i, s->e);
	}
	idmap_release(&seen);
	return rc;
}

/*
 * Only a partial snapshot of the same account gives way, and not one that somebody pinned or holds. A writer does not
 * look which items a hold wants: where there is one, the partial snapshot waits for the retention. A depositor, who may
 * not forget, ends nobody else's.
 */
static void replace_partial(const struct step *s, const struct snapshot_entry *entry)
{
	struct fold *f = s->f;
	struct fold_snapshot *old = is_none(&entry->replaces) ? NULL : fold_snapshot_find(f, &entry->replaces);

	if (!old || old->hidden || !(old->fact.entry.flags & SNAPSHOT_PARTIAL) || old->fact.pinned ||
	    fold_held(f, &old->fact, true) ||
	    memcmp(old->fact.entry.account.bytes, entry->account.bytes, sizeof entry->account.bytes) != 0)
		return;
	if (s->signer->role != HOLDER_FULL && memcmp(&old->fact.entry.holder, &s->r->holder, sizeof s->r->holder) != 0)
		return;
	old->hidden = true;
	f->visible_stale = true;
	old->fact.state = SNAPSHOT_EXPIRED;
}

static enum err_code entries_apply(const struct step *s, const struct commit *c)
{
	struct fold *f = s->f;
	enum err_code rc;

	rc = fold_rows_reserve(&f->snapshots, &f->snapshot_cap, f->snapshot_count + c->snapshot_count,
	                       sizeof *f->snapshots, s->e);
	for (size_t i = 0; i < c->snapshot_count && !rc; i++) {
		struct fold_snapshot *row = &f->snapshots[f->snapshot_count];
		struct row_key key = snapshot_key(&c->snapshots[i].id);

		replace_partial(s, &c->snapshots[i]);
		*row = (struct fold_snapshot){ .fact = { .entry = c->snapshots[i],
			                                 .state = SNAPSHOT_LIVE,
			                                 .maker_role = s->signer->role,
			                                 .committed_at = s->r->number,
			                                 .committed_ms = s->r->time_ms } };
		row->fact.entry.holder = s->r->holder;
		row->fact.entry.epoch = f->epoch;
		rc = fold_arena_copy(f, &row->fact.entry.sealed, s->e);
		if (!rc)
			rc = idmap_put(&f->snapshot_by_id, key.bytes, f->snapshot_count, s->e);
		f->snapshot_count++;
	}
	return rc;
}

/* A record of SESSION (NULL: none, or one whose OPEN was lost) was applied. */
static void session_touch(const struct step *s, struct fold_session *session, bool ended)
{
	if (!session)
		return;
	session->last_ms = s->r->time_ms;
	if (ended)
		session->state = SESSION_ENDED;
}

/* Rule D. *SESSION is NULL when there is none to end. */
static enum err_code commit_check(const struct step *s, const struct commit *c, struct fold_session **session)
{
	enum err_code rc = ERR_OK;

	*session = NULL;
	if (c->session)
		rc = session_check(s, c->session, true, session);
	else if (c->added_count || c->end_session)
		rc = err_set(s->e, ERR_STATE, "rule C: packs without a session");
	if (!rc)
		rc = added_check(s, c);
	if (!rc)
		rc = ordinals_check(s, c->against, c->against_count, PACK_LIVE);
	if (!rc)
		rc = entries_check(s, c);
	return rc;
}

static enum err_code take_commit(const struct step *s)
{
	struct commit_hold hold = { 0 };
	struct fold_session *session;
	enum err_code rc;

	rc = commit_decode(s->r->payload, &hold, s->e);
	if (!rc)
		rc = commit_check(s, &hold.commit, &session);
	if (rc || !s->apply)
		goto done;
	rc = added_apply(s, &hold.commit, commit_origin(s));
	if (!rc)
		rc = entries_apply(s, &hold.commit);
	session_touch(s, session, hold.commit.end_session);
done:
	commit_release(&hold);
	return rc;
}

static enum err_code take_repack(const struct step *s)
{
	struct commit_hold hold = { 0 };
	struct fold_session *session;
	enum err_code rc;

	rc = commit_decode(s->r->payload, &hold, s->e);
	if (!rc && (hold.commit.snapshot_count || !hold.commit.session))
		rc = err_set(s->e, ERR_CORRUPT, "a repack with %zu snapshots in session %" PRIu64,
		             hold.commit.snapshot_count, hold.commit.session);
	if (!rc)
		rc = commit_check(s, &hold.commit, &session);
	if (rc || !s->apply)
		goto done;
	rc = added_apply(s, &hold.commit, repack_origin(s, &hold.commit));
	ordinals_set(s, hold.commit.against, hold.commit.against_count, PACK_CONDEMNED);
	session_touch(s, session, hold.commit.end_session);
done:
	commit_release(&hold);
	return rc;
}

/* ---- marks on snapshots ---- */

/*
 * A hold stands above every rule. Which snapshots a hold on items needs is for those to say who read summaries: full
 * holders; nobody else takes anything from an account that it looks at.
 */
static bool is_kept(const struct step *s, const struct snapshot_fact *fact)
{
	return fact->pinned || fold_held(s->f, fact, s->signer->role != HOLDER_FULL);
}

/* One id that is not in the right state any more (somebody was faster) is passed over; the others still count. */
static void mark_apply(const struct step *s, struct fold_snapshot *row, enum record_kind kind)
{
	struct snapshot_fact *fact = &row->fact;

	if (kind == RECORD_FORGET && fact->state == SNAPSHOT_LIVE && !is_kept(s, fact)) {
		fact->state = SNAPSHOT_TRASH;
		fact->forgotten_ms = s->r->time_ms;
	} else if (kind == RECORD_UNFORGET && fact->state == SNAPSHOT_TRASH) {
		fact->state = SNAPSHOT_LIVE;
		fact->forgotten_ms = 0;
	} else if (kind == RECORD_EXPIRE &&
	           (fact->state == SNAPSHOT_TRASH || (fact->state == SNAPSHOT_LIVE && in_doubt(s->f))) &&
	           !is_kept(s, fact)) {
		fact->state = SNAPSHOT_EXPIRED;
	} else if (kind == RECORD_PIN && fact->state == SNAPSHOT_LIVE) {
		fact->pinned = true;
	} else if (kind == RECORD_UNPIN) {
		fact->pinned = false;
	}
}

static enum err_code take_mark(const struct step *s)
{
	struct snapshot_id *ids = NULL;
	size_t count = 0;
	enum err_code rc;

	rc = snapshot_ids_decode(s->r->payload, &ids, &count, s->e);
	for (size_t i = 0; i < count && !rc && s->apply; i++) {
		struct fold_snapshot *row = fold_snapshot_find(s->f, &ids[i]);

		if (row && !row->hidden)
			mark_apply(s, row, (enum record_kind)(s->r->kind & ~RECORD_CRITICAL));
	}
	mem_free(ids);
	return rc;
}

/* ---- holds ---- */

/* What is held is live. */
static void hold_brings_back(struct fold *f, const struct hold_fact *hold)
{
	for (size_t i = 0; i < f->snapshot_count && !hold->hold.query; i++) {
		struct fold_snapshot *row = &f->snapshots[i];
		const struct hold_payload *h = &hold->hold;

		if (row->hidden || row->fact.state != SNAPSHOT_TRASH ||
		    !(has_id(h->accounts, h->account_count, &row->fact.entry.account) ||
		      has_id(h->snapshots, h->snapshot_count, &row->fact.entry.id)))
			continue;
		row->fact.state = SNAPSHOT_LIVE;
		row->fact.forgotten_ms = 0;
	}
}

static enum err_code hold_apply(const struct step *s, struct hold_payload *p)
{
	struct fold *f = s->f;
	enum err_code rc;

	rc = fold_rows_reserve(&f->holds, &f->hold_cap, f->hold_count + 1, sizeof *f->holds, s->e);
	if (!rc)
		rc = fold_arena_copy(f, &p->sealed, s->e);
	if (rc)
		return rc;
	f->holds[f->hold_count] = (struct hold_fact){
		.hold = *p, .holder = s->r->holder, .number = s->r->number, .added_ms = s->r->time_ms
	};
	*p = (struct hold_payload){ 0 };
	hold_brings_back(f, &f->holds[f->hold_count++]);
	return ERR_OK;
}

static enum err_code take_hold(const struct step *s)
{
	struct hold_payload p = { 0 };
	enum err_code rc;

	rc = hold_decode(s->r->payload, &p, s->e);
	if (!rc && fold_hold_find(s->f, &p.id))
		rc = err_set(s->e, ERR_STATE, "the id of the hold is taken");
	if (!rc && s->apply)
		rc = hold_apply(s, &p);
	hold_release(&p);
	return rc;
}

static enum err_code take_unhold(const struct step *s)
{
	struct hold_fact *hold;
	struct hold_id id;
	enum err_code rc;

	rc = unhold_decode(s->r->payload, &id, s->e);
	if (rc)
		return rc;
	hold = fold_hold_find(s->f, &id);
	/* A lost record may have made it. */
	if (!hold && in_doubt(s->f))
		return ERR_OK;
	if (!hold || hold->released)
		return err_set(s->e, ERR_NOT_FOUND, "there is no such hold, or it was released before");
	if (s->apply)
		hold->released = true;
	return ERR_OK;
}

/* ---- holders, voids, the rest ---- */

static enum err_code holder_put(struct fold *f, struct holder_payload *p, struct err *e)
{
	struct holder_payload *old = holder_find(f, &p->holder);
	enum err_code rc = ERR_OK;

	if (old) {
		holder_release(old);
	} else {
		rc = fold_rows_reserve(&f->holders, &f->holder_cap, f->holder_count + 1, sizeof *f->holders, e);
		if (rc)
			return rc;
		old = &f->holders[f->holder_count++];
	}
	*old = *p;
	*p = (struct holder_payload){ 0 };
	return rc;
}

/* A repository that nobody holds in full could never change its keys again. */
static bool leaves_no_full(const struct fold *f, const struct holder_payload *p)
{
	if (p->role == HOLDER_FULL)
		return false;
	for (size_t i = 0; i < f->holder_count; i++)
		if (f->holders[i].role == HOLDER_FULL &&
		    memcmp(f->holders[i].holder.bytes, p->holder.bytes, sizeof p->holder.bytes) != 0)
			return false;
	return true;
}

static enum err_code take_holder(const struct step *s)
{
	struct holder_payload p = { 0 };
	enum err_code rc;

	rc = holder_decode(s->r->payload, &p, s->e);
	if (!rc && leaves_no_full(s->f, &p))
		rc = err_set(s->e, ERR_STATE, "no holder with the full role would be left");
	if (!rc && s->apply)
		rc = holder_put(s->f, &p, s->e);
	holder_release(&p);
	return rc;
}

/* Every entry must be for a holder who counts, and somebody must be left who can do this again. */
static enum err_code epoch_check(const struct step *s, const struct epoch_payload *p)
{
	bool full = false;

	if (p->number != s->f->epoch + 1)
		return err_set(s->e, ERR_STATE, "keys of epoch %" PRIu32 " where %" PRIu32 " counts", p->number,
		               s->f->epoch);
	for (size_t i = 0; i < p->count; i++) {
		const struct holder_payload *h = fold_signer(s->f, &p->entries[i].holder);

		if (!h)
			return err_set(s->e, ERR_STATE, "new keys for a holder that is unknown or removed");
		full |= h->role == HOLDER_FULL;
	}
	return full ? ERR_OK : err_set(s->e, ERR_STATE, "no holder with the full role would have the new keys");
}

static enum err_code take_epoch(const struct step *s)
{
	struct epoch_payload p = { 0 };
	enum err_code rc = epoch_decode(s->r->payload, &p, s->e);

	if (!rc)
		rc = epoch_check(s, &p);
	if (!rc && s->apply)
		rc = fold_epoch_add(s->f, p.number, s->r->payload, s->e);
	epoch_payload_release(&p);
	return rc;
}

enum err_code fold_epoch_add(struct fold *f, uint32_t number, struct span payload, struct err *e)
{
	enum err_code rc = fold_rows_reserve(&f->epochs, &f->epoch_cap, f->epoch_count + 1, sizeof *f->epochs, e);

	if (!rc)
		rc = fold_arena_copy(f, &payload, e);
	if (rc)
		return rc;
	f->epochs[f->epoch_count++] = (struct fold_epoch){ number, payload };
	f->epoch = number;
	return ERR_OK;
}

struct span fold_epoch_entry(const struct fold *f, uint32_t number, const struct holder_id *holder)
{
	struct epoch_payload p = { 0 };
	struct span found = SPAN_EMPTY;
	size_t at = number - FOLD_FIRST_EPOCH - 1;

	if (at >= f->epoch_count || epoch_decode(f->epochs[at].payload, &p, &(struct err){ 0 }))
		return SPAN_EMPTY;
	for (size_t i = 0; i < p.count; i++)
		if (!memcmp(&p.entries[i].holder, holder, sizeof *holder))
			found = p.entries[i].sealed;
	epoch_payload_release(&p);
	return found;
}

static enum err_code take_void(const struct step *s)
{
	struct fold_unreadable *lost;
	struct void_payload p;
	enum err_code rc;

	rc = void_decode(s->r->payload, &p, s->e);
	if (rc)
		return rc;
	if (p.number == 0 || p.number >= s->r->number)
		return err_set(s->e, ERR_STATE, "record %" PRIu64 " cannot be passed over", p.number);
	lost = unreadable_find(s->f, p.number);
	if (!lost && !s->apply)
		return err_set(s->e, ERR_STATE, "record %" PRIu64 " can be read", p.number);
	if (lost && (lost->voided || memcmp(lost->hash, p.hash, sizeof p.hash) != 0))
		return err_set(s->e, ERR_STATE, "record %" PRIu64 " is passed over already, or has changed", p.number);
	if (!s->apply)
		return ERR_OK;
	if (lost) {
		lost->voided = true;
		s->f->doubt_count--;
	} else {
		s->f->void_wanted = p;
		s->f->has_void_wanted = true;
	}
	return ERR_OK;
}

static enum err_code take_opaque(const struct step *s)
{
	if (s->r->payload.len > OPAQUE_PAYLOAD_MAX)
		return err_set(s->e, ERR_CORRUPT, "a payload of %zu bytes", s->r->payload.len);
	return ERR_OK;
}

/* A percentage that we cannot make (a later version's) is as good as the highest that we can. */
enum err_code fold_set_policy(struct fold *f, struct span payload, struct err *e)
{
	struct span parity;
	enum err_code rc = policy_get(payload, POLICY_PARITY, &parity, e);

	if (!rc)
		rc = fold_arena_copy(f, &payload, e);
	if (rc)
		return rc;
	f->policy = payload;
	f->parity_percent = parity.len ? (unsigned)num_min(parity.ptr[0], POLICY_PARITY_MAX) : 0;
	return ERR_OK;
}

/* Legal whatever it holds, as for versions that passed over it; what makes no sense changes nothing. */
static enum err_code take_policy(const struct step *s)
{
	enum err_code rc = take_opaque(s);

	if (rc || !s->apply)
		return rc;
	rc = fold_set_policy(s->f, s->r->payload, s->e);
	return rc == ERR_CORRUPT ? ERR_OK : rc;
}

static enum err_code take_checkpoint(const struct step *s)
{
	enum err_code rc = take_opaque(s);

	if (!rc && s->apply) {
		s->f->checkpoint_number = s->r->number;
		memcpy(s->f->checkpoint_hash, s->hash, sizeof s->f->checkpoint_hash);
	}
	return rc;
}

static enum err_code take_init(const struct step *s)
{
	return err_set(s->e, ERR_STATE, "a repository begins once");
}

struct rule {
	unsigned roles;
	enum err_code (*take)(const struct step *s);
};

static const struct rule rules[RECORD_KIND_END] = {
	[RECORD_INIT] = { MAY_FULL, take_init },
	[RECORD_OPEN] = { MAY_ALL, take_open },
	[RECORD_COMMIT] = { MAY(HOLDER_FULL) | MAY(HOLDER_DEPOSIT), take_commit },
	[RECORD_END] = { MAY_ALL, take_end },
	[RECORD_FORGET] = { MAY_KEEP, take_mark },
	[RECORD_UNFORGET] = { MAY_KEEP, take_mark },
	[RECORD_EXPIRE] = { MAY_KEEP, take_mark },
	[RECORD_CONDEMN] = { MAY_KEEP, take_condemn },
	[RECORD_DROP] = { MAY_KEEP, take_drop },
	[RECORD_FENCE] = { MAY_KEEP, take_fence },
	[RECORD_REPACK] = { MAY_KEEP, take_repack },
	[RECORD_CHECKPOINT] = { MAY_KEEP, take_checkpoint },
	[RECORD_VOID] = { MAY_KEEP, take_void },
	[RECORD_HOLDER] = { MAY_FULL, take_holder },
	[RECORD_EPOCH] = { MAY_FULL, take_epoch },
	[RECORD_POLICY] = { MAY_FULL, take_policy },
	[RECORD_PIN] = { MAY_KEEP, take_mark },
	[RECORD_UNPIN] = { MAY_KEEP, take_mark },
	[RECORD_VERIFIED] = { MAY_FULL, take_verified },
	[RECORD_HOLD] = { MAY_FULL, take_hold },
	[RECORD_UNHOLD] = { MAY_FULL, take_unhold },
};

static const char *role_word(enum holder_role role)
{
	static const char *const words[HOLDER_ROLE_END] = { "removed", "full", "deposit", "keeper" };

	return words[role];
}

enum err_code fold_record(struct fold *f, const struct record *r, const uint8_t hash[RECORD_HASH_BYTES], bool apply,
                          struct err *e)
{
	struct step s = { f, r, hash, fold_signer(f, &r->holder), apply, e };
	unsigned kind = r->kind & ~(unsigned)RECORD_CRITICAL;

	if (!s.signer)
		return err_set(e, ERR_DENIED, "its holder is unknown or removed");
	if (kind >= RECORD_KIND_END || !rules[kind].take) {
		if (r->kind & RECORD_CRITICAL)
			return err_set(e, ERR_UNSUPPORTED, "it is of kind %u, made by a newer version", kind);
		return ERR_OK;
	}
	/* Whoever knew the old keys and was left out must not read on because somebody was late. 0: judged already. */
	if (r->epoch && r->epoch != f->epoch && !in_doubt(f))
		return err_set(e, ERR_STATE, "it is sealed for epoch %" PRIu32 " where %" PRIu32 " counts", r->epoch,
		               f->epoch);
	if (!(rules[kind].roles & MAY(s.signer->role)))
		return err_set(e, ERR_DENIED, "a %s key may not do that", role_word(s.signer->role));
	if (!in_doubt(f) && (r->checkpoint_number != f->checkpoint_number ||
	                     memcmp(r->checkpoint_hash, f->checkpoint_hash, sizeof r->checkpoint_hash) != 0))
		return err_set(e, ERR_STATE, "it names checkpoint %" PRIu64 " where %" PRIu64 " is the newest",
		               r->checkpoint_number, f->checkpoint_number);
	return rules[kind].take(&s);
}

enum err_code fold_unreadable(struct fold *f, uint64_t number, const uint8_t hash[RECORD_HASH_BYTES], struct err *e)
{
	struct fold_unreadable row = { .number = number };
	enum err_code rc;

	rc = fold_rows_reserve(&f->unreadable, &f->unreadable_cap, f->unreadable_count + 1, sizeof *f->unreadable, e);
	if (rc)
		return rc;
	memcpy(row.hash, hash, sizeof row.hash);
	f->unreadable[f->unreadable_count++] = row;
	f->doubt_count++;
	return ERR_OK;
}

void fold_unknown(struct fold *f, uint64_t number)
{
	if (!f->unknown_count++)
		f->unknown_kind = number;
}

/* The first holder has no record of its own to vouch for it: the root key does, and the repository id is the root
 * key's. */
enum err_code fold_start(struct fold *f, const struct repo_id *repo, const struct record *r, struct err *e)
{
	struct holder_payload first = { .role = HOLDER_FULL };
	uint8_t message[HOLDER_MESSAGE_BYTES];
	enum err_code rc;

	if ((r->kind & ~RECORD_CRITICAL) != RECORD_INIT || r->number != 0)
		return err_set(e, ERR_CORRUPT, "record 0 does not begin a repository");
	rc = init_decode(r->payload, &f->init, e);
	if (rc)
		return rc;
	holder_message(repo, &f->init.holder, f->init.holder_public, HOLDER_FULL, message);
	if (!sign_verify(f->init.root_public, span_of(message, sizeof message), f->init.root_signature))
		return err_set(e, ERR_CORRUPT, "the root key did not sign the first holder");
	if (memcmp(r->holder.bytes, f->init.holder.bytes, sizeof r->holder.bytes) != 0)
		return err_set(e, ERR_CORRUPT, "record 0 is not by the first holder");
	f->repo = *repo;
	f->epoch = FOLD_FIRST_EPOCH;
	first.holder = f->init.holder;
	memcpy(first.public_key, f->init.holder_public, sizeof first.public_key);
	return holder_put(f, &first, e);
}

enum err_code fold_settle(struct fold *f, struct err *e)
{
	enum err_code rc;

	rc = fold_rows_reserve(&f->visible, &f->visible_cap, f->snapshot_count, sizeof *f->visible, e);
	if (rc)
		return rc;
	if (f->visible_stale)
		f->visible_count = f->settled_count = 0;
	for (size_t i = f->settled_count; i < f->snapshot_count; i++)
		if (!f->snapshots[i].hidden)
			f->visible[f->visible_count++] = (uint32_t)i;
	f->settled_count = f->snapshot_count;
	f->visible_stale = false;
	return ERR_OK;
}

void fold_release(struct fold *f)
{
	for (size_t i = 0; i < f->holder_count; i++)
		holder_release(&f->holders[i]);
	for (size_t i = 0; i < f->hold_count; i++)
		hold_release(&f->holds[i].hold);
	while (f->arena) {
		struct fold_block *next = f->arena->next;

		mem_free(f->arena);
		f->arena = next;
	}
	mem_free(f->holders);
	mem_free(f->epochs);
	mem_free(f->sessions);
	mem_free(f->packs);
	mem_free(f->snapshots);
	mem_free(f->visible);
	mem_free(f->unreadable);
	mem_free(f->holds);
	idmap_release(&f->pack_by_name);
	idmap_release(&f->snapshot_by_id);
	*f = (struct fold){ 0 };
}
