/*
 * Reading the ledger: every record is hashed, opened, chained to the one before, its signature verified, and judged by
 * the fold. What fails on the way to being judged is *unreadable* (appends stop); what is judged illegal is *void*.
 */
#include "engine/ledger/ledger_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/wr.h"

#define REPAIR_HINT "`mailhold repair ledger` passes over it"

void ledger_tell(struct ledger *l, uint64_t number, const struct err *what, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX + 256];
	va_list args;

	if (l->problem && what)
		l->problem(l->ctx, number, what);
	if (!l->notice)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	l->notice(l->ctx, text);
}

/* Damage, a newer version or keys that we lack: the record says nothing to us. Anything else is a failure of ours. */
static bool is_unreadable(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED || rc == ERR_WRONG_KEY || rc == ERR_FORKED;
}

static bool is_illegal(enum err_code rc)
{
	return rc == ERR_STATE || rc == ERR_DENIED || rc == ERR_NOT_FOUND;
}

enum err_code ledger_fetch(struct ledger *l, uint64_t number, uint8_t hash[RECORD_HASH_BYTES], struct err *e)
{
	enum err_code rc;

	buf_clear(&l->stored);
	rc = store_get(l->store, record_path(number).text, RECORD_BYTES_MAX, &l->stored, e);
	if (rc == ERR_LIMIT) {
		buf_clear(&l->stored);
		memset(hash, 0xff, RECORD_HASH_BYTES);
		return ERR_OK;
	}
	if (rc)
		return rc;
	crypto_digest(buf_span(&l->stored), hash, RECORD_HASH_BYTES);
	return ERR_OK;
}

enum err_code ledger_record_time(struct ledger *l, uint64_t number, int64_t *time_ms, struct err *e)
{
	uint8_t hash[RECORD_HASH_BYTES];
	struct record_signature signature;
	struct record r;
	enum err_code rc = ledger_fetch(l, number, hash, e);

	if (!rc)
		rc = record_open(l->keys, number, buf_span(&l->stored), &l->plain, &r, &signature, e);
	if (rc)
		return err_note(e, "while reading ledger record %" PRIu64, number);
	*time_ms = r.time_ms;
	return ERR_OK;
}

enum err_code ledger_advance(struct ledger *l, enum take_status status, const struct record *r,
                             const uint8_t hash[RECORD_HASH_BYTES], struct err *e)
{
	enum err_code rc = ERR_OK;

	if (status == TAKE_UNREADABLE)
		rc = fold_unreadable(&l->fold, r->number, hash, e);
	else if (status == TAKE_UNKNOWN)
		fold_unknown(&l->fold, r->number);
	else if (status == TAKE_LEGAL && r->number == 0)
		rc = fold_start(&l->fold, &l->repo, r, e);
	else if (status == TAKE_LEGAL)
		rc = fold_record(&l->fold, r, hash, true, e);
	if (rc)
		return rc;
	l->head.number = r->number;
	l->head.time_ms = r->time_ms;
	memcpy(l->head.hash, hash, sizeof l->head.hash);
	l->head_unreadable = status == TAKE_UNREADABLE;
	l->next = r->number + 1;
	return ERR_OK;
}

/* One epoch more. */
static enum err_code grow_once(struct ledger *l, struct err *e)
{
	struct holder_id self = keys_holder(l->keys);
	uint32_t number = keys_epoch(l->keys) + 1;
	struct span share = fold_epoch_entry(&l->fold, number, &self);
	struct keys *grown = NULL;
	enum err_code rc;

	if (!fold_signer(&l->fold, &self))
		return err_set(e, ERR_WRONG_KEY, "this key was removed from the repository");
	if (!share.len)
		return err_set(
		        e, ERR_WRONG_KEY,
		        "this key was left out when the repository's keys were rotated; somebody with a full key "
		        "has to add another one for you");
	if (l->grown_count == EPOCHS_GROWN_MAX)
		return err_set(e, ERR_LIMIT, "keys were rotated more than %d times", EPOCHS_GROWN_MAX);
	rc = epoch_open(l->keys, share, &grown, e);
	if (rc)
		return err_note(e, "while taking the keys of epoch %" PRIu32, number);
	l->grown[l->grown_count++] = grown;
	l->keys = grown;
	return ERR_OK;
}

enum err_code ledger_grow_keys(struct ledger *l, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && l->fold.epoch > keys_epoch(l->keys))
		rc = grow_once(l, e);
	return rc;
}

const struct keys *ledger_keys(const struct ledger *l)
{
	return l->keys;
}

bool ledger_rotated(const struct ledger *l)
{
	return l->opened_epoch && l->fold.epoch != l->opened_epoch;
}

enum err_code ledger_check_epoch(const struct ledger *l, struct err *e)
{
	if (!ledger_rotated(l))
		return ERR_OK;
	return err_set(e, ERR_STATE, "the repository's keys were rotated meanwhile; run the command again");
}

/* Opens L->stored as record L->next and checks that it follows the head and is signed by a holder. */
static enum err_code take_open(struct ledger *l, bool ours, struct record *r, struct err *e)
{
	struct record_signature signature;
	const struct holder_payload *signer;
	enum err_code rc;

	rc = record_open(l->keys, l->next, buf_span(&l->stored), &l->plain, r, &signature, e);
	if (rc)
		return rc;
	if (!l->head_unreadable && memcmp(r->prev_hash, l->head.hash, sizeof r->prev_hash) != 0)
		return err_set(e, ERR_FORKED, "it does not follow from the record before it");
	signer = fold_signer(&l->fold, &r->holder);
	/* A lost record may have named this holder: then nothing can be said about the signature. */
	if (!signer && (l->fold.doubt_count || l->fold.unknown_count))
		return err_set(e, ERR_CORRUPT, "its holder is unknown");
	if (!signer)
		return err_set(e, ERR_DENIED, "its holder is unknown or removed");
	if (!ours && !sign_verify(signer->public_key, signature.message, signature.bytes))
		return err_set(e, ERR_DENIED, "its signature is wrong");
	return ERR_OK;
}

static enum err_code take_first(struct ledger *l, const uint8_t hash[RECORD_HASH_BYTES], struct err *e)
{
	static const uint8_t none[RECORD_HASH_BYTES];
	struct record_signature signature;
	struct record r;
	enum err_code rc;

	rc = record_open(l->keys, 0, buf_span(&l->stored), &l->plain, &r, &signature, e);
	if (!rc && memcmp(r.prev_hash, none, sizeof none) != 0)
		rc = err_set(e, ERR_CORRUPT, "record 0 claims one before it");
	if (!rc)
		rc = ledger_advance(l, TAKE_LEGAL, &r, hash, e);
	if (!rc && memcmp(l->fold.init.root_public, keys_root_public(l->keys), sizeof l->fold.init.root_public) != 0)
		rc = err_set(e, ERR_CORRUPT, "record 0 is by another root key than ours");
	if (!rc && !sign_verify(l->fold.init.holder_public, signature.message, signature.bytes))
		rc = err_set(e, ERR_CORRUPT, "the signature of record 0 is wrong");
	if (rc)
		return err_note(e, "while reading ledger record 0");
	cache_note(l, TAKE_LEGAL, &r, hash);
	return ERR_OK;
}

static bool is_removed(const struct ledger *l, const struct holder_id *holder)
{
	const struct holder_payload *found = ledger_holder_find(l, holder);

	return found && found->role == HOLDER_REMOVED;
}

/*
 * No honest program makes such a record, so people should hear whose key it was. SIGNED: the signature is right. A check
 * tells it as a problem until that key was taken away, and as a notice ever after: what could be done is done.
 */
static void tell_void(struct ledger *l, const struct record *r, bool signed_by, struct err *e)
{
	char key[2 * ID16_BYTES + 1], text[ERR_TEXT_MAX + 64];
	struct err why = *e;
	bool removed = l->held && is_removed(l->held, &r->holder);

	text_hex(span_of(r->holder.bytes, ID16_BYTES), key);
	err_set(e, why.code, "it is void and counts for nobody: a '%s' that %s key %.8s%s: %s",
	        record_kind_name(r->kind & ~(unsigned)RECORD_CRITICAL), signed_by ? "was signed by" : "claims to be of",
	        key, removed ? " (removed since)" : "", why.text);
	if (signed_by && !removed)
		err_note(e, "unless you know why, take that key away (`mailhold key remove %.8s`)", key);
	snprintf(text, sizeof text, "ledger record %" PRIu64 ": %s", r->number, e->text);
	if (!removed)
		ledger_tell(l, r->number, e, "%s", text);
	else if (l->held->notice)
		l->held->notice(l->held->ctx, text);
}

enum err_code ledger_take(struct ledger *l, const uint8_t hash[RECORD_HASH_BYTES], bool ours, struct err *e)
{
	struct record r = { .number = l->next };
	enum take_status status = TAKE_LEGAL;
	uint64_t number = l->next;
	bool opened;
	enum err_code rc;

	if (number == 0)
		return take_first(l, hash, e);
	rc = take_open(l, ours, &r, e);
	r.number = number;
	opened = !rc;
	if (!rc) {
		rc = ledger_advance(l, TAKE_LEGAL, &r, hash, e);
		status = rc == ERR_UNSUPPORTED ? TAKE_UNKNOWN : status;
	}
	if (status == TAKE_LEGAL && is_unreadable(rc))
		status = TAKE_UNREADABLE;
	else if (is_illegal(rc))
		status = TAKE_VOID;
	else if (rc && status == TAKE_LEGAL)
		return err_note(e, "while reading ledger record %" PRIu64, number);
	if (status == TAKE_VOID)
		tell_void(l, &r, opened, e);
	else if (status == TAKE_UNREADABLE)
		ledger_tell(l, number, NULL, "ledger record %" PRIu64 " cannot be read (%s); " REPAIR_HINT, number,
		            e->text);
	else if (status == TAKE_UNKNOWN)
		ledger_tell(l, number, e, "ledger record %" PRIu64 ": %s; reading only", number, e->text);
	if (status != TAKE_LEGAL) {
		rc = ledger_advance(l, status, &r, hash, e);
		if (rc)
			return rc;
	}
	cache_note(l, status, &r, hash);
	rc = ledger_grow_keys(l, e);
	if (rc)
		l->broken = true;
	return rc;
}

/*
 * A VOID names a record that we could read when we folded it. When the store now holds what the VOID says, the record
 * rotted (or was replaced) since: fold again from the start, as everyone else does, so that all agree. Otherwise the
 * VOID is idle.
 */
static enum err_code look_again(struct ledger *l, bool *again, struct err *e)
{
	struct void_payload wanted = l->fold.void_wanted;
	uint8_t hash[RECORD_HASH_BYTES];
	enum err_code rc;

	l->fold.has_void_wanted = false;
	*again = false;
	if (l->whole)
		return ERR_OK;
	rc = ledger_fetch(l, wanted.number, hash, e);
	if (rc)
		return rc == ERR_NOT_FOUND ? ERR_OK : rc;
	*again = memcmp(hash, wanted.hash, sizeof hash) == 0;
	return ERR_OK;
}

static void start_over(struct ledger *l)
{
	ledger_tell(l, l->head.number, NULL, "an older ledger record was passed over: reading all again");
	ledger_reset(l);
	l->whole = true;
}

/* Folds up to and without record END. */
enum err_code ledger_fold_on(struct ledger *l, uint64_t end, struct err *e)
{
	uint8_t hash[RECORD_HASH_BYTES];
	bool again;
	enum err_code rc = ERR_OK;

	while (l->next < end && !rc) {
		if (l->fold.has_void_wanted) {
			rc = look_again(l, &again, e);
			if (rc)
				return rc;
			if (again)
				start_over(l);
		}
		rc = ledger_fetch(l, l->next, hash, e);
		if (rc == ERR_NOT_FOUND)
			return ERR_OK;
		if (!rc)
			rc = ledger_take(l, hash, false, e);
	}
	return rc;
}

enum err_code ledger_refresh(struct ledger *l, struct err *e)
{
	enum err_code rc;

	if (l->broken)
		return err_set(e, ERR_STATE, "the ledger could not be read earlier: open it again");
	l->whole = l->next == 0;
	rc = ledger_fold_on(l, UINT64_MAX, e);
	l->whole = false;
	if (!rc)
		rc = fold_settle(&l->fold, e);
	/* A record that could not be fetched leaves the fold as it was; only running out of memory inside of it does
	 * not. */
	if (rc == ERR_NO_MEMORY)
		l->broken = true;
	return rc;
}

void ledger_reset(struct ledger *l)
{
	fold_release(&l->fold);
	l->head = (struct ledger_head){ 0 };
	l->next = 0;
	l->head_unreadable = false;
	l->durable = 0;
	l->from_checkpoint = false;
	l->base = 0;
	l->cache.fresh = true;
	l->cache.state_kind = 0;
	l->cache.cut = l->cache.torn = false;
	buf_clear(&l->cache.entries);
	l->cache.count = 0;
}

enum err_code ledger_new(struct store *s, const struct keys *k, struct ledger **out, struct err *e)
{
	struct ledger *l = mem_zalloc(1, sizeof *l);

	if (!l)
		return err_no_memory(e, sizeof *l);
	l->store = s;
	l->keys = k;
	l->repo = keys_repo(k);
	l->stored = BUF_WITH_MAX(RECORD_BYTES_MAX);
	l->plain = BUF_WITH_MAX(RECORD_BYTES_MAX + KIB);
	l->cache.fresh = true;
	l->checkpoint_every = CHECKPOINT_EVERY;
	*out = l;
	return ERR_OK;
}

enum err_code ledger_make_durable(struct ledger *l, struct err *e)
{
	enum err_code rc;

	if (l->next <= l->durable)
		return ERR_OK;
	rc = store_sync(l->store, record_path(l->head.number).text, e);
	if (rc)
		return err_note(e, "while making ledger record %" PRIu64 " durable", l->head.number);
	l->durable = l->next;
	l->cache.durable_changed = true;
	return ERR_OK;
}

/* The store must still hold the head that we saw last; one that we could not read may have been mended since. */
static enum err_code check_pin(struct ledger *l, struct err *e)
{
	uint64_t number = l->head.number;
	uint8_t hash[RECORD_HASH_BYTES];
	enum err_code rc;

	rc = ledger_fetch(l, number, hash, e);
	if (rc == ERR_NOT_FOUND)
		return ledger_tell_gone(l, "went back", e);
	if (rc)
		return err_note(e, "while reading ledger record %" PRIu64, number);
	if (memcmp(hash, l->head.hash, sizeof hash) != 0 && !l->head_unreadable)
		return ledger_tell_gone(l, "forked", e);
	return ERR_OK;
}

/* What was told when it was folded from the store is told again for as long as it keeps us from writing. */
static void tell_cached(struct ledger *l)
{
	const struct fold_unreadable *first = l->fold.unreadable;

	if (l->fold.doubt_count) {
		while (first->voided)
			first++;
		ledger_tell(l, first->number, NULL,
		            "ledger record %" PRIu64 " cannot be read (%zu in all); " REPAIR_HINT, first->number,
		            l->fold.doubt_count);
	}
	if (l->fold.unknown_count)
		ledger_tell(l, l->fold.unknown_kind, NULL,
		            "ledger record %" PRIu64 " was made by a newer version; reading only",
		            l->fold.unknown_kind);
}

/*
 * Cached judgements are final but for one: a record that could not be read may have been mended, or it was damaged on
 * its way to us only. Then all is read again, as by someone without a cache; else this client would differ from all
 * others for ever.
 */
enum err_code ledger_look_for_mended(struct ledger *l, struct err *e)
{
	for (size_t i = 0; i < l->fold.unreadable_count; i++) {
		const struct fold_unreadable *u = &l->fold.unreadable[i];
		uint8_t hash[RECORD_HASH_BYTES];
		enum err_code rc = ledger_fetch(l, u->number, hash, e);

		if (rc && rc != ERR_NOT_FOUND)
			return err_note(e, "while reading ledger record %" PRIu64, u->number);
		if (!rc && memcmp(hash, u->hash, sizeof hash) != 0) {
			ledger_tell(l, u->number, NULL,
			            "ledger record %" PRIu64
			            " has changed since it could not be read: reading all again",
			            u->number);
			ledger_reset(l);
			return ERR_OK;
		}
	}
	return ERR_OK;
}

static enum err_code open_cache(struct ledger *l, const char *cache_file, struct err *e)
{
	size_t bytes = strlen(cache_file) + 1;
	enum err_code rc;

	l->cache.path = mem_alloc(bytes);
	if (!l->cache.path)
		return err_no_memory(e, bytes);
	memcpy(l->cache.path, cache_file, bytes);
	rc = cache_load(l, e);
	if (rc || !l->next)
		return rc;
	rc = check_pin(l, e);
	if (!rc)
		rc = ledger_look_for_mended(l, e);
	if (!rc && l->next)
		tell_cached(l);
	return rc;
}

enum err_code ledger_open(struct store *s, const struct keys *k, const char *cache_file, ledger_notice notice,
                          void *ctx, struct ledger **out, struct err *e)
{
	return ledger_open_reading(s, k, cache_file, UINT64_MAX, notice, ctx, out, e);
}

enum err_code ledger_open_reading(struct store *s, const struct keys *k, const char *cache_file, uint64_t first_read,
                                  ledger_notice notice, void *ctx, struct ledger **out, struct err *e)
{
	struct ledger *l = NULL;
	enum err_code rc;

	rc = ledger_new(s, k, &l, e);
	if (rc)
		return rc;
	l->notice = notice;
	l->ctx = ctx;
	if (cache_file)
		rc = open_cache(l, cache_file, e);
	if (!rc && l->from_checkpoint && l->base > first_read)
		ledger_reset(l);
	if (!rc && !l->next)
		rc = checkpoint_open(l, first_read, e);
	if (!rc)
		rc = ledger_refresh(l, e);
	if (!rc && !l->next)
		rc = err_set(e, ERR_NO_REPOSITORY, "there is no repository at %s", store_url(s));
	if (rc) {
		err_note(e, "while opening the ledger");
		l->broken = true; /* what it holds must not become the cache */
		ledger_free(&l);
		return rc;
	}
	l->opened_epoch = l->fold.epoch;
	*out = l;
	return ERR_OK;
}

void ledger_free(struct ledger **at)
{
	struct ledger *l = *at;

	if (!l)
		return;
	if (!l->broken)
		cache_flush(l);
	cache_release(&l->cache);
	fold_release(&l->fold);
	buf_release(&l->stored);
	buf_release(&l->plain);
	for (size_t i = 0; i < l->grown_count; i++)
		keys_free(&l->grown[i]);
	mem_free(l);
	*at = NULL;
}

/* ---- what the fold says ---- */

struct ledger_head ledger_head(const struct ledger *l)
{
	return l->head;
}

const struct init_payload *ledger_init(const struct ledger *l)
{
	return &l->fold.init;
}

uint32_t ledger_pack_count(const struct ledger *l)
{
	return (uint32_t)l->fold.pack_count;
}

const struct pack_fact *ledger_pack(const struct ledger *l, uint32_t ordinal)
{
	return ordinal < l->fold.pack_count ? &l->fold.packs[ordinal] : NULL;
}

bool ledger_pack_find(const struct ledger *l, const struct pack_name *name, uint32_t *ordinal)
{
	return fold_pack_find(&l->fold, name, ordinal);
}

size_t ledger_holder_count(const struct ledger *l)
{
	return l->fold.holder_count;
}

const struct holder_payload *ledger_holder(const struct ledger *l, size_t i)
{
	return &l->fold.holders[i];
}

const struct holder_payload *ledger_holder_find(const struct ledger *l, const struct holder_id *holder)
{
	return fold_holder(&l->fold, holder);
}

bool ledger_may_add(const struct ledger *l, const struct account_id *account)
{
	struct holder_id self = keys_holder(l->keys);
	const struct holder_payload *p = fold_signer(&l->fold, &self);

	/* One that is unknown, in doubt, is judged by its record. */
	return !p || fold_account_granted(p, account);
}

size_t ledger_hold_count(const struct ledger *l)
{
	return l->fold.hold_count;
}

const struct hold_fact *ledger_hold(const struct ledger *l, size_t i)
{
	return i < l->fold.hold_count ? &l->fold.holds[i] : NULL;
}

const struct hold_fact *ledger_held(const struct ledger *l, const struct snapshot_fact *s, bool queries)
{
	return fold_held(&l->fold, s, queries);
}

bool ledger_has_query_hold(const struct ledger *l, const struct account_id *account)
{
	for (size_t i = 0; i < l->fold.hold_count; i++) {
		const struct hold_payload *h = &l->fold.holds[i].hold;

		if (l->fold.holds[i].released || !h->query)
			continue;
		if (!account || !h->account_count)
			return true;
		for (size_t a = 0; a < h->account_count; a++)
			if (memcmp(h->accounts[a].bytes, account->bytes, sizeof account->bytes) == 0)
				return true;
	}
	return false;
}

bool ledger_in_doubt(const struct ledger *l)
{
	return l->fold.doubt_count > 0;
}

size_t ledger_snapshot_count(const struct ledger *l)
{
	return l->fold.visible_count;
}

const struct snapshot_fact *ledger_snapshot(const struct ledger *l, size_t i)
{
	return i < l->fold.visible_count ? &l->fold.snapshots[l->fold.visible[i]].fact : NULL;
}

enum session_state ledger_session(const struct ledger *l, uint64_t session)
{
	return fold_session_state(&l->fold, session);
}

size_t ledger_session_count(const struct ledger *l)
{
	return l->fold.session_count;
}

bool ledger_session_at(const struct ledger *l, size_t i, struct session_fact *out)
{
	const struct fold_session *s;

	if (i >= l->fold.session_count)
		return false;
	s = &l->fold.sessions[i];
	*out = (struct session_fact){ s->number, s->holder, s->state, s->last_ms };
	return true;
}

/* ---- check ---- */

static void report(ledger_problem problem, void *ctx, uint64_t number, enum err_code code, const char *text)
{
	struct err what = { 0 };

	err_set(&what, code, "ledger record %" PRIu64 " %s", number, text);
	problem(ctx, number, &what);
}

/* AGAIN was folded from the store just now, up to our head. */
static enum err_code compare(const struct ledger *l, const struct ledger *again, ledger_problem problem, void *ctx,
                             struct err *e)
{
	uint8_t ours[16], theirs[16];
	enum err_code rc;

	for (size_t i = 0; i < again->fold.unreadable_count; i++)
		if (!again->fold.unreadable[i].voided)
			report(problem, ctx, again->fold.unreadable[i].number, ERR_CORRUPT, "cannot be read");
	if (again->next < l->next) {
		report(problem, ctx, again->next, ERR_FORKED, "is gone");
		return ERR_OK;
	}
	if (memcmp(again->head.hash, l->head.hash, sizeof l->head.hash) != 0)
		report(problem, ctx, l->head.number, ERR_FORKED, "is not the one that was read before");
	rc = fold_digest(&l->fold, ours, e);
	if (!rc)
		rc = fold_digest(&again->fold, theirs, e);
	if (!rc && memcmp(ours, theirs, sizeof ours) != 0)
		report(problem, ctx, l->head.number, ERR_CORRUPT, "adds up to something else than what we hold");
	return rc;
}

enum err_code ledger_check(struct ledger *l, ledger_problem problem, void *ctx, struct err *e)
{
	struct ledger *again = NULL;
	enum err_code rc;

	rc = ledger_refresh(l, e);
	if (rc)
		return rc;
	rc = ledger_new(l->store, l->keys, &again, e);
	if (rc)
		return rc;
	again->problem = problem;
	again->ctx = ctx;
	again->whole = true;
	again->held = l;
	rc = checkpoint_check(l, again, ledger_fold_on, problem, ctx, e);
	if (!rc)
		rc = ledger_fold_on(again, l->next, e);
	if (!rc)
		rc = compare(l, again, problem, ctx, e);
	again->broken = true;
	ledger_free(&again);
	return rc ? err_note(e, "while checking the ledger") : ERR_OK;
}
