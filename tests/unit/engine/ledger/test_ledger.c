#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/engine/ledger/ledger_world.h"

static void a_new_ledger_holds_what_init_fixed(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);

	(void)state;
	assert_int_equal(ledger_init(l)->splitter_version, 1);
	assert_int_equal(ledger_init(l)->cutter_version, 2);
	assert_int_equal(ledger_head(l).number, 0);
	assert_int_equal(ledger_create(w.store, w.keys, 1, 2, &err), ERR_EXISTS);
	ledger_free(&l);
	assert_int_equal(w.notices, 0);
	world_end(&w);
}

static void an_empty_store_is_no_repository(void **state)
{
	struct world w = world_new();
	struct ledger *l = NULL;

	(void)state;
	ok(store_delete(w.store, "ledger/0000000000000000", &err));
	assert_int_equal(ledger_open(w.store, w.keys, NULL, on_notice, &w, &l, &err), ERR_NO_REPOSITORY);
	world_end(&w);
}

static void other_keys_do_not_open_it(void **state)
{
	struct world w = world_new();
	struct keys *other;
	struct ledger *l = NULL;

	(void)state;
	ok(keys_new(&other, &err));
	assert_int_equal(ledger_open(w.store, other, NULL, on_notice, &w, &l, &err), ERR_CORRUPT);
	keys_free(&other);
	world_end(&w);
}

static void a_commit_is_seen_by_a_second_reader(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *m = ledger_of(&w, NULL);
	const struct snapshot_fact *fact;
	struct snapshot_entry s;
	uint32_t ordinal;

	(void)state;
	s = commit_one(l, &ordinal);
	ok(ledger_refresh(m, &err));
	assert_int_equal(ledger_snapshot_count(m), 1);
	fact = ledger_snapshot(m, 0);
	assert_memory_equal(fact->entry.id.bytes, s.id.bytes, sizeof s.id.bytes);
	assert_true(span_equal(fact->entry.sealed, s.sealed));
	assert_int_equal(fact->state, SNAPSHOT_LIVE);
	assert_int_equal(fact->committed_at, 2);
	assert_int_equal(ledger_pack_count(m), 1);
	assert_int_equal(ledger_pack(m, 0)->state, PACK_LIVE);
	assert_null(ledger_pack(m, 1));
	assert_null(ledger_snapshot(m, 1));
	assert_int_equal(ledger_session(m, 1), SESSION_ENDED);
	assert_int_equal(ledger_session(m, 99), SESSION_UNKNOWN);
	same_fold(l, m);
	ledger_free(&l);
	ledger_free(&m);
	world_end(&w);
}

static void a_commit_after_fence_or_end_is_refused(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *m = ledger_of(&w, NULL);
	struct snapshot_entry s = entry_new();
	struct commit c = { .added_count = 1, .snapshots = &s, .snapshot_count = 1 };
	struct pack_added p;

	(void)state;
	ok(ledger_open_session(l, &c.session, &err));
	p = pack_new(c.session);
	c.added = &p;
	append_session(m, RECORD_FENCE, c.session);
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	assert_non_null(strstr(err.text, "fenced"));
	assert_int_equal(ledger_session(l, c.session), SESSION_FENCED);
	assert_int_equal(ledger_end_session(l, c.session, &err), ERR_STATE);
	ok(ledger_open_session(l, &c.session, &err));
	ok(ledger_end_session(l, c.session, &err));
	p.name.session = c.session;
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	c.session = 77;
	p.name.session = 77;
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	ledger_free(&l);
	ledger_free(&m);
	world_end(&w);
}

static void a_commit_needs_no_session_when_it_adds_no_pack(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct snapshot_entry s = entry_new();
	struct pack_added p = pack_new(0);
	struct commit c = { .snapshots = &s, .snapshot_count = 1 };
	uint64_t number = 0;

	(void)state;
	ok(ledger_commit(l, &c, &number, &err));
	assert_int_equal(number, 1);
	assert_int_equal(ledger_commit(l, &c, &number, &err), ERR_STATE); /* the id is taken */
	c = (struct commit){ .added = &p, .added_count = 1 };
	assert_int_equal(ledger_commit(l, &c, &number, &err), ERR_STATE);
	c = (struct commit){ .end_session = true };
	assert_int_equal(ledger_commit(l, &c, &number, &err), ERR_STATE);
	assert_int_equal(number, 1);
	ledger_free(&l);
	world_end(&w);
}

static void a_commit_on_a_base_that_is_gone_is_refused(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *m = ledger_of(&w, NULL);
	struct snapshot_entry old, s = entry_new();
	struct commit c = { .snapshots = &s, .snapshot_count = 1 };
	struct buf ids = BUF_EMPTY;
	uint32_t ordinal;

	(void)state;
	old = commit_one(l, &ordinal);
	s.base = old.id;
	ok(ledger_mark(m, RECORD_FORGET, &old.id, 1, &err));
	ok(ledger_commit(l, &c, NULL, &err)); /* in the trash is still a root */
	ok(snapshot_ids_encode(&old.id, 1, &ids, &err));
	ok(ledger_append_bytes(m, RECORD_EXPIRE, buf_span(&ids), NULL, &err));
	crypto_random(s.id.bytes, sizeof s.id.bytes);
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	assert_non_null(strstr(err.text, "base snapshot"));
	crypto_random(s.base.bytes, sizeof s.base.bytes);
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	buf_release(&ids);
	ledger_free(&l);
	ledger_free(&m);
	world_end(&w);
}

static void a_commit_against_a_condemned_pack_is_refused(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *m = ledger_of(&w, NULL);
	struct snapshot_entry s = entry_new();
	uint32_t ordinals[2];
	struct commit c = { .snapshots = &s, .snapshot_count = 1, .against = ordinals, .against_count = 2 };

	(void)state;
	commit_one(l, &ordinals[0]);
	commit_one(l, &ordinals[1]);
	assert_int_equal(append_ordinal(m, RECORD_DROP, 1), ERR_STATE); /* drop before condemn */
	ok(append_ordinal(m, RECORD_CONDEMN, 1));
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	assert_non_null(strstr(err.text, "pack 1 is condemned"));
	assert_int_equal(append_ordinal(m, RECORD_CONDEMN, 1), ERR_STATE);
	ok(append_ordinal(m, RECORD_DROP, 1));
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	assert_int_equal(ledger_pack(l, 1)->state, PACK_DROPPED);
	ordinals[1] = 2;
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	c.against_count = 1;
	ok(ledger_commit(l, &c, NULL, &err));
	ledger_free(&l);
	ledger_free(&m);
	world_end(&w);
}

static void a_pack_name_is_never_taken_twice(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct pack_added p[2];
	struct commit c = { .added = p, .added_count = 2 };

	(void)state;
	ok(ledger_open_session(l, &c.session, &err));
	p[0] = p[1] = pack_new(c.session);
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	c.added_count = 1;
	ok(ledger_commit(l, &c, NULL, &err));
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_STATE);
	assert_int_equal(ledger_pack_count(l), 1);
	ledger_free(&l);
	world_end(&w);
}

static void repack_adds_and_condemns_in_one_record(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct buf payload = BUF_EMPTY;
	uint32_t old;
	struct pack_added p;
	struct commit c = { .end_session = true, .added_count = 1, .against = &old, .against_count = 1 };

	(void)state;
	commit_one(l, &old);
	ok(ledger_open_session(l, &c.session, &err));
	p = pack_new(c.session);
	c.added = &p;
	c.first_ordinal = 1;
	ok(commit_encode(&c, &payload, &err));
	ok(ledger_append_bytes(l, RECORD_REPACK, buf_span(&payload), NULL, &err));
	assert_int_equal(ledger_pack(l, 0)->state, PACK_CONDEMNED);
	assert_int_equal(ledger_pack(l, 1)->state, PACK_LIVE);
	assert_int_equal(ledger_session(l, c.session), SESSION_ENDED);
	buf_release(&payload);
	ledger_free(&l);
	world_end(&w);
}

static void forget_is_undone_and_pins_protect(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct snapshot_id nobody = { { 1 } };
	struct snapshot_entry s;
	uint32_t ordinal;

	(void)state;
	s = commit_one(l, &ordinal);
	ok(ledger_mark(l, RECORD_FORGET, &s.id, 1, &err));
	assert_int_equal(ledger_snapshot(l, 0)->state, SNAPSHOT_TRASH);
	assert_int_not_equal(ledger_snapshot(l, 0)->forgotten_ms, 0);
	assert_int_equal(ledger_mark(l, RECORD_FORGET, &s.id, 1, &err), ERR_NOT_FOUND);
	assert_int_equal(ledger_mark(l, RECORD_PIN, &s.id, 1, &err), ERR_NOT_FOUND);
	ok(ledger_mark(l, RECORD_UNFORGET, &s.id, 1, &err));
	assert_int_equal(ledger_snapshot(l, 0)->state, SNAPSHOT_LIVE);
	assert_int_equal(ledger_snapshot(l, 0)->forgotten_ms, 0);
	assert_int_equal(ledger_mark(l, RECORD_UNFORGET, &s.id, 1, &err), ERR_NOT_FOUND);
	ok(ledger_mark(l, RECORD_PIN, &s.id, 1, &err));
	assert_true(ledger_snapshot(l, 0)->pinned);
	assert_int_equal(ledger_mark(l, RECORD_FORGET, &s.id, 1, &err), ERR_NOT_FOUND);
	ok(ledger_mark(l, RECORD_UNPIN, &s.id, 1, &err));
	assert_int_equal(ledger_mark(l, RECORD_UNPIN, &s.id, 1, &err), ERR_NOT_FOUND);
	assert_int_equal(ledger_mark(l, RECORD_FORGET, &nobody, 1, &err), ERR_NOT_FOUND);
	assert_int_equal(ledger_mark(l, RECORD_EXPIRE, &s.id, 1, &err), ERR_USAGE);
	ok(ledger_mark(l, RECORD_FORGET, NULL, 0, &err));
	ledger_free(&l);
	world_end(&w);
}

static void a_complete_snapshot_replaces_the_partial_one(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *m;
	struct snapshot_entry part = entry_new(), other = entry_new(), whole = entry_new();
	struct commit c = { .snapshots = &part, .snapshot_count = 1 };

	(void)state;
	part.flags = SNAPSHOT_PARTIAL;
	ok(ledger_commit(l, &c, NULL, &err));
	assert_int_equal(ledger_snapshot_count(l), 1);
	other.replaces = part.id; /* of another account: nothing happens */
	other.account.bytes[0] = 8;
	c.snapshots = &other;
	ok(ledger_commit(l, &c, NULL, &err));
	assert_int_equal(ledger_snapshot_count(l), 2);
	whole.base = whole.replaces = part.id;
	c.snapshots = &whole;
	ok(ledger_commit(l, &c, NULL, &err));
	assert_int_equal(ledger_snapshot_count(l), 2);
	assert_memory_equal(ledger_snapshot(l, 0)->entry.id.bytes, other.id.bytes, ID16_BYTES);
	assert_memory_equal(ledger_snapshot(l, 1)->entry.id.bytes, whole.id.bytes, ID16_BYTES);
	assert_int_equal(ledger_mark(l, RECORD_FORGET, &part.id, 1, &err), ERR_NOT_FOUND);
	m = ledger_of(&w, NULL);
	same_fold(l, m);
	ledger_free(&l);
	ledger_free(&m);
	world_end(&w);
}

/* ---- records that readers must not follow ---- */

static void an_illegal_commit_is_void_for_every_reader(void **state)
{
	struct world w = world_new();
	struct snapshot_entry s = entry_new();
	struct pack_added p = pack_new(55);
	struct commit c = { .session = 55, .added = &p, .added_count = 1, .snapshots = &s, .snapshot_count = 1 };
	struct buf payload = BUF_EMPTY;
	struct record r = { .kind = RECORD_COMMIT | RECORD_CRITICAL };
	struct ledger *l;

	(void)state;
	ok(commit_encode(&c, &payload, &err));
	r.payload = buf_span(&payload);
	put_raw(&w, w.keys, &r);
	l = ledger_of(&w, w.cache);
	assert_int_equal(w.notices, 1);
	assert_non_null(strstr(w.last, "it is void and counts for nobody: a 'snapshot' that was signed by key"));
	assert_int_equal(ledger_snapshot_count(l), 0);
	assert_int_equal(ledger_pack_count(l), 0);
	assert_int_equal(ledger_head(l).number, 1);
	ok(ledger_open_session(l, &c.session, &err)); /* and the ledger goes on */
	ledger_free(&l);
	l = ledger_of(&w, w.cache);
	assert_int_equal(w.notices, 1); /* told once */
	ledger_free(&l);
	buf_release(&payload);
	world_end(&w);
}

static void a_record_of_an_unknown_or_forging_holder_is_void(void **state)
{
	struct world w = world_new();
	struct record r = { .number = 1, .kind = RECORD_OPEN | RECORD_CRITICAL, .holder = keys_holder(w.keys) };
	struct buf bytes = BUF_EMPTY, plain = BUF_EMPTY;
	struct record_signature signature;
	struct ledger *l = ledger_of(&w, NULL);
	struct record got;

	(void)state;
	r.epoch = keys_epoch(w.keys);
	r.holder.bytes[0] ^= 1;
	memcpy(r.prev_hash, l->head.hash, sizeof r.prev_hash);
	ok(record_seal(w.keys, &r, &bytes, &err));
	ok(store_put(w.store, record_path(1).text, buf_span(&bytes), &err));
	ok(record_open(w.keys, 1, buf_span(&bytes), &plain, &got, &signature, &err));
	ok(ledger_refresh(l, &err));
	assert_int_equal(w.notices, 1);
	assert_int_equal(ledger_session(l, 1), SESSION_UNKNOWN);
	ledger_free(&l);
	buf_release(&bytes);
	buf_release(&plain);
	world_end(&w);
}

/* Whoever holds the structure key can seal a record, but not sign it. */
static void a_record_with_a_wrong_signature_is_void(void **state)
{
	struct world w = world_new();
	struct record r = { .number = 1, .kind = RECORD_OPEN | RECORD_CRITICAL };
	struct buf bytes = BUF_EMPTY, forged = BUF_EMPTY, plain = BUF_EMPTY;
	struct ledger *l = ledger_of(&w, NULL);
	struct span clear, sealed;

	(void)state;
	r.epoch = keys_epoch(w.keys);
	r.holder = keys_holder(w.keys);
	memcpy(r.prev_hash, l->head.hash, sizeof r.prev_hash);
	ok(record_seal(w.keys, &r, &bytes, &err));
	clear = span_first(buf_span(&bytes), 40);
	sealed = span_skip(buf_span(&bytes), 40);
	ok(box_open(w.keys, BOX_LEDGER, r.epoch, clear, sealed, &plain, &err));
	plain.ptr[plain.len - 1] ^= 1;
	ok(buf_append(&forged, clear, &err));
	ok(box_seal(w.keys, BOX_LEDGER, r.epoch, clear, buf_span(&plain), &forged, &err));
	ok(store_put(w.store, record_path(1).text, buf_span(&forged), &err));
	ok(ledger_refresh(l, &err));
	assert_int_equal(w.notices, 1);
	assert_non_null(strstr(w.last, "signature"));
	assert_int_equal(ledger_session(l, 1), SESSION_UNKNOWN);
	assert_int_equal(ledger_head(l).number, 1);
	ledger_free(&l);
	buf_release(&bytes);
	buf_release(&forged);
	buf_release(&plain);
	world_end(&w);
}

static void a_record_that_does_not_follow_stops_appends(void **state)
{
	struct world w = world_new();
	struct record r = { .number = 1, .kind = RECORD_OPEN | RECORD_CRITICAL };
	struct ledger *l = ledger_of(&w, NULL);
	struct buf bytes = BUF_EMPTY;
	uint64_t session;

	(void)state;
	r.epoch = keys_epoch(w.keys);
	r.holder = keys_holder(w.keys);
	ok(record_seal(w.keys, &r, &bytes, &err));
	ok(store_put(w.store, record_path(1).text, buf_span(&bytes), &err));
	assert_int_equal(ledger_open_session(l, &session, &err), ERR_CORRUPT);
	assert_non_null(strstr(w.last, "does not follow"));
	assert_int_equal(ledger_session(l, 1), SESSION_UNKNOWN);
	ledger_free(&l);
	buf_release(&bytes);
	world_end(&w);
}

static void a_role_bounds_what_a_holder_may_do(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct holder_payload h = { .holder = keys_holder(w.keys), .role = HOLDER_DEPOSIT };
	struct buf payload = BUF_EMPTY;
	struct account_id account = { { 9 } };
	struct snapshot_entry s = entry_new();
	struct commit c = { .snapshots = &s, .snapshot_count = 1 };
	struct holder_payload second = { .role = HOLDER_FULL };

	(void)state;
	memcpy(h.public_key, keys_sign_public(w.keys), 32);
	h.accounts = &account;
	h.account_count = 1;
	ok(holder_encode(&h, &payload, &err));
	assert_int_equal(ledger_append_bytes(l, RECORD_HOLDER, buf_span(&payload), NULL, &err), ERR_STATE);
	buf_clear(&payload);
	memset(second.holder.bytes, 3, sizeof second.holder.bytes);
	ok(holder_encode(&second, &payload, &err));
	ok(ledger_append_bytes(l, RECORD_HOLDER, buf_span(&payload), NULL, &err));
	buf_clear(&payload);
	ok(holder_encode(&h, &payload, &err));
	ok(ledger_append_bytes(l, RECORD_HOLDER, buf_span(&payload), NULL, &err));
	/* A depositor of account 9 now: no holders, no forget, no other account. */
	assert_int_equal(ledger_append_bytes(l, RECORD_HOLDER, buf_span(&payload), NULL, &err), ERR_DENIED);
	assert_int_equal(ledger_commit(l, &c, NULL, &err), ERR_DENIED);
	s.account = account;
	ok(ledger_commit(l, &c, NULL, &err));
	assert_int_equal(ledger_mark(l, RECORD_FORGET, &s.id, 1, &err), ERR_DENIED);
	assert_int_equal(ledger_snapshot_count(l), 1);
	buf_release(&payload);
	ledger_free(&l);
	world_end(&w);
}

/* One more holder of W's repository, with the ledger as that one sees it. */
static struct ledger *join(struct world *w, struct ledger *full, enum role role, struct keys **keys)
{
	struct holder_payload p = { .role = (enum holder_role)role };
	struct ledger *l = NULL;

	ok(keys_new_holder(w->keys, role, keys, &err));
	p.holder = keys_holder(*keys);
	memcpy(p.public_key, keys_sign_public(*keys), sizeof p.public_key);
	ok(ledger_put_holder(full, &p, &err));
	ok(ledger_open(w->store, *keys, NULL, on_notice, w, &l, &err));
	return l;
}

/* REPACK of the packs AGAINST by L's holder; gives the copy's ordinal. */
static uint32_t repack_as(struct ledger *l, const uint32_t *against, size_t count)
{
	struct commit c = { .end_session = true, .added_count = 1, .against = against, .against_count = count };
	struct pack_added p;
	uint64_t number;
	uint32_t ordinal;

	ok(ledger_open_session(l, &c.session, &err));
	p = pack_new(c.session);
	c.added = &p;
	ok(ledger_repack(l, ledger_head(l).number, &c, &number, &err));
	assert_true(ledger_pack_find(l, &p.name, &ordinal));
	return ordinal;
}

static bool is_of(struct ledger *l, uint32_t ordinal, bool trusted, const struct keys *maker)
{
	struct holder_id id = maker ? keys_holder(maker) : (struct holder_id){ { 0 } };
	const struct pack_fact *p;

	ok(ledger_refresh(l, &err));
	p = ledger_pack(l, ordinal);
	return p->trusted == trusted && (trusted || !memcmp(&p->maker, &id, sizeof id));
}

static void a_pack_is_worth_what_its_maker_is_until_it_is_verified(void **state)
{
	struct world w = world_new();
	struct ledger *full = ledger_of(&w, w.cache), *d[2], *keeper;
	struct keys *dk[2], *kk;
	uint32_t ordinals[8];

	(void)state;
	for (int i = 0; i < 2; i++)
		d[i] = join(&w, full, ROLE_DEPOSIT, &dk[i]);
	keeper = join(&w, full, ROLE_KEEPER, &kk);
	commit_one(full, &ordinals[0]);
	commit_one(d[0], &ordinals[1]);
	commit_one(d[0], &ordinals[2]);
	commit_one(d[1], &ordinals[3]);
	assert_true(is_of(keeper, ordinals[0], true, NULL));
	assert_true(is_of(keeper, ordinals[1], false, dk[0]));
	assert_true(is_of(keeper, ordinals[3], false, dk[1]));
	/* Only a full holder vouches, and what a keeper moves is worth no more than it was. */
	assert_int_equal(ledger_verified(d[0], &ordinals[1], 1, &err), ERR_DENIED);
	assert_int_equal(ledger_verified(keeper, &ordinals[1], 1, &err), ERR_DENIED);
	assert_true(is_of(full, repack_as(keeper, NULL, 0), false, NULL));
	ordinals[4] = repack_as(keeper, (uint32_t[]){ ordinals[0], ordinals[1] }, 2);
	assert_true(is_of(full, ordinals[4], false, dk[0]));
	ordinals[5] = repack_as(keeper, (uint32_t[]){ ordinals[3], ordinals[4] }, 2);
	assert_true(is_of(full, ordinals[5], false, NULL));
	ok(ledger_verified(full, (uint32_t[]){ ordinals[2], ordinals[4], ordinals[5] }, 3, &err));
	assert_true(is_of(keeper, ordinals[2], true, NULL));
	assert_false(ledger_pack(keeper, ordinals[4])->trusted); /* condemned: left out */
	ordinals[6] = repack_as(keeper, (uint32_t[]){ ordinals[2], ordinals[5] }, 2);
	assert_true(is_of(full, ordinals[6], true, NULL));
	commit_one(d[1], &ordinals[7]);
	assert_true(is_of(full, repack_as(full, &ordinals[7], 1), true, NULL));
	/* The same from a cache, and a second vouching is none. */
	ordinals[7] = (uint32_t)ledger_head(full).number;
	ok(ledger_verified(full, &ordinals[6], 1, &err));
	assert_int_equal(ledger_head(full).number, ordinals[7]);
	ok(ledger_refresh(keeper, &err));
	ledger_free(&full);
	full = ledger_of(&w, w.cache);
	same_fold(full, keeper);
	ledger_free(&full);
	ledger_free(&keeper);
	for (int i = 0; i < 2; i++) {
		ledger_free(&d[i]);
		keys_free(&dk[i]);
	}
	keys_free(&kk);
	world_end(&w);
}

static void a_depositor_ends_its_own_partial_snapshots_only(void **state)
{
	struct world w = world_new();
	struct ledger *full = ledger_of(&w, NULL), *l;
	struct snapshot_entry theirs = entry_new(), own = entry_new(), next = entry_new();
	struct commit c = { .snapshots = &theirs, .snapshot_count = 1 };
	struct keys *k;

	(void)state;
	l = join(&w, full, ROLE_DEPOSIT, &k);
	theirs.flags = own.flags = SNAPSHOT_PARTIAL;
	ok(ledger_commit(full, &c, NULL, &err));
	own.replaces = theirs.id;
	c.snapshots = &own;
	ok(ledger_commit(l, &c, NULL, &err));
	assert_int_equal(ledger_snapshot_count(l), 2);
	next.replaces = own.id;
	c.snapshots = &next;
	ok(ledger_commit(l, &c, NULL, &err));
	assert_int_equal(ledger_snapshot_count(l), 2);
	assert_int_equal(ledger_snapshot(l, 1)->maker_role, HOLDER_DEPOSIT);
	assert_int_equal(ledger_snapshot(l, 0)->maker_role, HOLDER_FULL);
	ledger_free(&full);
	ledger_free(&l);
	keys_free(&k);
	world_end(&w);
}

static void an_unknown_critical_kind_stops_appends_only(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache);
	struct record mild = { .kind = 0x123 }, grave = { .kind = 0x123 | RECORD_CRITICAL };
	uint32_t ordinal;
	uint64_t session;

	(void)state;
	commit_one(l, &ordinal);
	put_raw(&w, w.keys, &mild);
	ok(ledger_open_session(l, &session, &err));
	assert_int_equal(w.notices, 0);
	put_raw(&w, w.keys, &grave);
	assert_int_equal(ledger_open_session(l, &session, &err), ERR_UNSUPPORTED);
	assert_int_equal(ledger_snapshot_count(l), 1);
	ledger_free(&l);
	l = ledger_of(&w, w.cache);
	assert_int_equal(ledger_open_session(l, &session, &err), ERR_UNSUPPORTED);
	ledger_free(&l);
	world_end(&w);
}

/* ---- damage ---- */

static void rubbish_at_the_head_stops_appends_until_repaired(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache), *m;
	uint64_t session;
	size_t count = 0;
	uint32_t ordinal;

	(void)state;
	commit_one(l, &ordinal);
	ok(store_put(w.store, record_path(3).text, SPAN_LIT("rubbish"), &err));
	assert_int_equal(ledger_open_session(l, &session, &err), ERR_CORRUPT);
	assert_non_null(strstr(err.text, "ledger record 3"));
	assert_int_equal(w.notices, 1);
	assert_int_equal(ledger_snapshot_count(l), 1);
	ledger_free(&l);
	l = ledger_of(&w, w.cache);
	assert_int_equal(w.notices, 2); /* as long as it hinders */
	ok(ledger_repair(l, &count, &err));
	assert_int_equal(count, 1);
	ok(ledger_open_session(l, &session, &err));
	assert_int_equal(session, 5);
	ok(ledger_repair(l, &count, &err));
	assert_int_equal(count, 0);
	m = ledger_of(&w, NULL);
	same_fold(l, m);
	ledger_free(&l);
	ledger_free(&m);
	m = ledger_of(&w, w.cache);
	ok(ledger_open_session(m, &session, &err));
	ledger_free(&m);
	world_end(&w);
}

/* Replaces the object NUMBER by BYTES. */
static void replace(struct world *w, uint64_t number, struct span bytes)
{
	ok(store_delete(w->store, record_path(number).text, &err));
	ok(store_put(w->store, record_path(number).text, bytes, &err));
}

/* Record 2 is the head, record 1 is not; both may be damaged when a client first reads them and caches its judgement.
 */
static void a_mended_record_counts_again_for_who_saw_it_damaged(void **state)
{
	(void)state;
	for (uint64_t number = 1; number <= 2; number++)
		for (int voided = 0; voided < 2; voided++) {
			struct world w = world_new();
			struct ledger *l = ledger_of(&w, NULL), *m;
			struct buf kept = BUF_EMPTY;
			uint64_t session;
			size_t count;

			commit_one(l, &(uint32_t){ 0 });
			ledger_free(&l);
			ok(store_get(w.store, record_path(number).text, MIB, &kept, &err));
			replace(&w, number, SPAN_LIT("rot"));
			l = ledger_of(&w, w.cache);
			if (voided)
				ok(ledger_repair(l, &count, &err));
			else
				assert_int_equal(ledger_open_session(l, &session, &err), ERR_CORRUPT);
			ledger_free(&l);
			replace(&w, number, buf_span(&kept));
			l = ledger_of(&w, w.cache);
			m = ledger_of(&w, NULL);
			same_fold(l, m);
			assert_int_equal(ledger_snapshot_count(l), 1);
			/* A VOID right behind a head that comes back does not follow from it: now that one is
			 * unreadable. */
			assert_int_equal(ledger_open_session(l, &session, &err),
			                 voided && number == 2 ? ERR_CORRUPT : ERR_OK);
			ledger_free(&l);
			ledger_free(&m);
			buf_release(&kept);
			world_end(&w);
		}
}

static void a_rotted_commit_keeps_the_ordinals_of_later_ones(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *m, *n;
	struct snapshot_entry s = entry_new(), first, third;
	uint32_t ordinals[3];
	struct commit c = { .snapshots = &s, .snapshot_count = 1, .against = &ordinals[2], .against_count = 1 };
	size_t count;

	(void)state;
	first = commit_one(l, &ordinals[0]);     /* 2 */
	s.base = commit_one(l, &ordinals[1]).id; /* 4 */
	third = commit_one(l, &ordinals[2]);     /* 6 */
	ok(ledger_commit(l, &c, NULL, &err));    /* 7, on what 4 brought */
	replace(&w, 4, SPAN_LIT("rot"));
	m = ledger_of(&w, NULL);
	assert_int_equal(ledger_snapshot_count(m), 3);
	assert_int_equal(ledger_pack_count(m), 3);
	assert_int_equal(ledger_pack(m, 1)->state, PACK_DROPPED);
	assert_memory_equal(&ledger_pack(m, 2)->pack, &ledger_pack(l, 2)->pack, sizeof(struct pack_added));
	assert_memory_equal(ledger_snapshot(m, 0)->entry.id.bytes, first.id.bytes, ID16_BYTES);
	assert_memory_equal(ledger_snapshot(m, 1)->entry.id.bytes, third.id.bytes, ID16_BYTES);
	ok(ledger_repair(m, &count, &err));
	assert_int_equal(count, 1);
	/* Whoever had read record 4 while it was good comes to the same view. */
	ok(ledger_refresh(l, &err));
	same_fold(l, m);
	n = ledger_of(&w, NULL);
	same_fold(n, m);
	commit_one(l, &ordinals[0]);
	assert_int_equal(ordinals[0], 3);
	ledger_free(&l);
	ledger_free(&m);
	ledger_free(&n);
	world_end(&w);
}

static void a_store_that_went_back_or_forked_is_noticed(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache);
	struct buf kept = BUF_EMPTY;
	uint64_t session;
	uint32_t ordinal;

	(void)state;
	commit_one(l, &ordinal);
	ledger_free(&l);
	ok(store_get(w.store, record_path(2).text, MIB, &kept, &err));
	ok(store_delete(w.store, record_path(2).text, &err));
	assert_int_equal(ledger_open(w.store, w.keys, w.cache, on_notice, &w, &l, &err), ERR_FORKED);
	assert_non_null(strstr(err.text, "ends at record 1, and record 2, seen earlier, is gone"));
	assert_non_null(strstr(err.text, "1 snapshots and 1 packs"));
	assert_int_equal(w.notices, 2); /* the snapshot and the pack, by name */
	l = ledger_of(&w, NULL);        /* who never saw it cannot know */
	ok(ledger_open_session(l, &session, &err));
	ledger_free(&l);
	assert_int_equal(ledger_open(w.store, w.keys, w.cache, on_notice, &w, &l, &err), ERR_FORKED);
	assert_non_null(strstr(err.text, "forked"));
	assert_int_equal(w.notices, 4);
	replace(&w, 2, buf_span(&kept));
	l = ledger_of(&w, w.cache);
	assert_int_equal(w.notices, 4); /* nothing more */
	ledger_free(&l);
	buf_release(&kept);
	world_end(&w);
}

static int problems;
static enum err_code problem_code;

static void on_problem(void *ctx, uint64_t number, const struct err *what)
{
	(void)ctx;
	(void)number;
	problems++;
	problem_code = what->code;
}

/* What a stolen deposit key may try with a program of its own: check tells whose key it was, until it is taken away. */
static void what_breaks_a_role_is_told_with_its_key(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct account_id own = { { 9 } };
	struct holder_payload p = { .role = HOLDER_DEPOSIT, .accounts = &own, .account_count = 1 };
	struct snapshot_entry good, foreign = entry_new();
	struct commit c = { .first_ordinal = 1, .snapshots = &foreign, .snapshot_count = 1 };
	struct record forget = { .kind = RECORD_FORGET | RECORD_CRITICAL };
	struct record commit = { .kind = RECORD_COMMIT | RECORD_CRITICAL };
	struct buf payload = BUF_EMPTY;
	struct keys *keys;
	char key[2 * ID16_BYTES + 1];
	uint32_t ordinal;

	(void)state;
	good = commit_one(l, &ordinal);
	ok(keys_new_holder(w.keys, ROLE_DEPOSIT, &keys, &err));
	p.holder = keys_holder(keys);
	text_hex(span_of(p.holder.bytes, ID16_BYTES), key);
	memcpy(p.public_key, keys_sign_public(keys), sizeof p.public_key);
	ok(ledger_put_holder(l, &p, &err));
	ok(snapshot_ids_encode(&good.id, 1, &payload, &err));
	forget.payload = buf_span(&payload);
	put_raw(&w, keys, &forget);
	buf_clear(&payload);
	ok(commit_encode(&c, &payload, &err));
	commit.payload = buf_span(&payload);
	put_raw(&w, keys, &commit);

	w.notices = 0;
	ok(ledger_refresh(l, &err));
	assert_int_equal(w.notices, 2);
	key[8] = 0; /* as key list shows it */
	assert_non_null(strstr(w.last, key));
	assert_non_null(strstr(w.last, "its key is not for this account"));
	assert_int_equal(ledger_snapshot_count(l), 1);
	assert_int_equal(ledger_snapshot(l, 0)->state, SNAPSHOT_LIVE);
	problems = 0;
	ok(ledger_check(l, on_problem, NULL, &err));
	assert_int_equal(problems, 2);

	p.role = HOLDER_REMOVED;
	p.account_count = 0;
	ok(ledger_put_holder(l, &p, &err));
	w.notices = problems = 0;
	ok(ledger_check(l, on_problem, NULL, &err));
	assert_int_equal(problems, 0);
	assert_int_equal(w.notices, 2);
	assert_non_null(strstr(w.last, "removed since"));
	buf_release(&payload);
	keys_free(&keys);
	ledger_free(&l);
	world_end(&w);
}

static void check_finds_a_replaced_record(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct record r = { .number = 2, .kind = RECORD_OPEN | RECORD_CRITICAL };
	struct buf bytes = BUF_EMPTY;
	uint32_t ordinal;

	(void)state;
	commit_one(l, &ordinal);
	commit_one(l, &ordinal);
	problems = 0;
	ok(ledger_check(l, on_problem, NULL, &err));
	assert_int_equal(problems, 0);
	r.epoch = keys_epoch(w.keys);
	r.holder = keys_holder(w.keys);
	ok(store_get(w.store, record_path(1).text, MIB, &bytes, &err));
	crypto_digest(buf_span(&bytes), r.prev_hash, sizeof r.prev_hash);
	buf_clear(&bytes);
	ok(record_seal(w.keys, &r, &bytes, &err));
	replace(&w, 2, buf_span(&bytes));
	ok(ledger_check(l, on_problem, NULL, &err));
	assert_true(problems > 0);
	problems = 0;
	ok(store_delete(w.store, record_path(3).text, &err));
	ok(ledger_check(l, on_problem, NULL, &err));
	assert_true(problems > 0);
	assert_int_equal(problem_code, ERR_FORKED);
	buf_release(&bytes);
	ledger_free(&l);
	world_end(&w);
}

static void a_damaged_cache_gives_a_notice_and_the_same_fold(void **state)
{
	struct world w = world_new();
	struct ledger *l, *m = ledger_of(&w, NULL);
	struct buf good = BUF_EMPTY, bad = BUF_EMPTY;
	uint32_t ordinal;

	(void)state;
	for (int i = 0; i < 3; i++) {
		l = ledger_of(&w, w.cache);
		commit_one(l, &ordinal);
		ledger_free(&l);
	}
	ok(ledger_refresh(m, &err));
	assert_int_equal(w.notices, 0);
	ok(file_read(w.cache, MIB, &good, &err));
	for (size_t at = 0; at < good.len; at += 1 + at % 7) {
		for (int cut = 0; cut < 2; cut++) {
			buf_clear(&bad);
			ok(buf_append(&bad, cut ? span_first(buf_span(&good), at) : buf_span(&good), &err));
			if (!cut)
				bad.ptr[at] ^= 0x40;
			ok(file_replace(w.cache, buf_span(&bad), 0600, false, &err));
			w.notices = 0;
			l = ledger_of(&w, w.cache);
			same_fold(l, m);
			assert_true(cut || w.notices == 1);
			ledger_free(&l);
			w.notices = 0;
			l = ledger_of(&w, w.cache); /* mended */
			same_fold(l, m);
			assert_int_equal(w.notices, 0);
			ledger_free(&l);
		}
	}
	ok(file_replace(w.cache, SPAN_LIT("garbage that was never a cache, longer than its header"), 0600, false,
	                &err));
	l = ledger_of(&w, w.cache);
	assert_int_equal(w.notices, 1);
	same_fold(l, m);
	ledger_free(&l);
	ledger_free(&m);
	buf_release(&good);
	buf_release(&bad);
	world_end(&w);
}

static void two_runs_may_write_the_same_cache(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache), *m, *n;
	uint32_t ordinal;

	(void)state;
	ledger_free(&l);
	l = ledger_of(&w, w.cache);
	m = ledger_of(&w, w.cache);
	commit_one(l, &ordinal);
	commit_one(m, &ordinal);
	ok(ledger_refresh(l, &err));
	commit_one(l, &ordinal);
	n = ledger_of(&w, NULL);
	ledger_free(&m);
	ledger_free(&l);
	l = ledger_of(&w, w.cache);
	same_fold(l, n);
	assert_int_equal(w.notices, 0);
	ledger_free(&l);
	ledger_free(&n);
	world_end(&w);
}

/* ---- racing ---- */

struct racer {
	struct world *w;
	struct snapshot_id ids[40];
	int failed;
	pthread_t thread;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct ledger *l = NULL;
	struct store *store = NULL;
	struct err e = { 0 };

	r->failed = store_open(r->w->url, &store, &e) || ledger_open(store, r->w->keys, NULL, NULL, NULL, &l, &e);
	for (size_t i = 0; i < ARRAY_LEN(r->ids) && !r->failed; i++) {
		struct snapshot_entry s = entry_new();
		struct commit c = { .snapshots = &s, .snapshot_count = 1 };

		r->ids[i] = s.id;
		r->failed = ledger_commit(l, &c, NULL, &e);
	}
	if (r->failed)
		fprintf(stderr, "%s\n", e.text);
	ledger_free(&l);
	store_free(&store);
	return NULL;
}

static void racing_commits_are_all_there_exactly_once(void **state)
{
	struct world w = world_new();
	struct racer racers[3];
	struct ledger *l;
	size_t commits = ARRAY_LEN(racers) * ARRAY_LEN(racers[0].ids);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
		racers[i] = (struct racer){ .w = &w };
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
		pthread_join(racers[i].thread, NULL);
		assert_int_equal(racers[i].failed, 0);
	}
	l = ledger_of(&w, NULL);
	assert_int_equal(ledger_snapshot_count(l), commits);
	assert_int_equal(ledger_head(l).number, commits);
	assert_int_equal(w.notices, 0);
	for (size_t i = 0; i < ARRAY_LEN(racers); i++)
		for (size_t j = 0; j < ARRAY_LEN(racers[i].ids); j++)
			assert_non_null(fold_snapshot_find(&l->fold, &racers[i].ids[j]));
	problems = 0;
	ok(ledger_check(l, on_problem, NULL, &err));
	assert_int_equal(problems, 0);
	ledger_free(&l);
	world_end(&w);
}

/* Somebody else appends between the decision and the create: the decision is made again. */
struct intruder {
	struct ledger *other;
	int calls;
};

static enum err_code decide_late(struct ledger *l, void *ctx, struct buf *payload, struct err *e)
{
	struct intruder *in = ctx;
	uint64_t session;

	(void)l;
	(void)payload;
	if (in->calls++ == 0)
		return ledger_open_session(in->other, &session, e);
	return ERR_OK;
}

static void a_lost_race_is_decided_again(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *m = ledger_of(&w, NULL);
	struct intruder in = { .other = m };
	uint64_t number;

	(void)state;
	ok(ledger_append(l, RECORD_OPEN, decide_late, &in, &number, &err));
	assert_int_equal(in.calls, 2);
	assert_int_equal(number, 2);
	assert_int_equal(ledger_session(l, 1), SESSION_OPEN);
	ledger_free(&l);
	ledger_free(&m);
	world_end(&w);
}

/* A ledger folder that takes nothing: refused for good, and said so. */
static void a_refusing_store_appends_nothing(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	char folder[120];
	uint64_t session;

	(void)state;
	if (geteuid() == 0)
		goto done; /* root may write anywhere */
	snprintf(folder, sizeof folder, "%s/ledger", w.url);
	assert_int_equal(chmod(folder, 0500), 0);
	assert_int_equal(ledger_open_session(l, &session, &err), ERR_DENIED);
	assert_non_null(strstr(err.text, "nothing was appended"));
	assert_int_equal(chmod(folder, 0700), 0);
	ok(ledger_open_session(l, &session, &err));
done:
	ledger_free(&l);
	world_end(&w);
}

/* ---- any history ---- */

/* Two writers take turns, close and open at will, with caches of their own; every way of reading gives one fold. */
static void any_history_has_one_fold(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)clock_now_ms() | 1;
	char caches[2][100];

	(void)state;
	printf("seed %" PRIu64 " (MAILHOLD_TEST_SEED repeats it)\n", seed);
	for (int round = 0; round < 6; round++) {
		struct world w = world_new();
		struct ledger *l[2], *fresh;

		for (int i = 0; i < 2; i++) {
			snprintf(caches[i], sizeof caches[i], "%s%d", w.cache, i);
			l[i] = ledger_of(&w, caches[i]);
		}
		for (int step = 0; step < 80; step++) {
			unsigned who = dice(&seed) % 2;
			enum err_code rc = any_step(l[who], &seed);

			/* Refused for a reason that the rules name, or done. */
			assert_true(rc == ERR_OK || rc == ERR_STATE || rc == ERR_NOT_FOUND);
			if (dice(&seed) % 10 == 0) {
				ledger_free(&l[who]);
				l[who] = ledger_of(&w, caches[who]);
			}
		}
		fresh = ledger_of(&w, NULL);
		for (int i = 0; i < 2; i++) {
			ok(ledger_refresh(l[i], &err));
			same_fold(l[i], fresh);
			ledger_free(&l[i]);
		}
		/* What an honest writer appended is legal for everyone. */
		assert_int_equal(w.notices, 0);
		ledger_free(&fresh);
		world_end(&w);
	}
}

/* Any records of a history may rot: reading goes on, and after the repair all agree and writing goes on. */
static void any_rot_is_survived(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)clock_now_ms() | 1;

	(void)state;
	printf("seed %" PRIu64 " (MAILHOLD_TEST_SEED repeats it)\n", seed);
	for (int round = 0; round < 8; round++) {
		struct world w = world_new();
		struct ledger *old = ledger_of(&w, NULL), *l, *fresh;
		size_t count = 0;
		uint32_t ordinal;

		for (int step = 0; step < 40; step++)
			(void)!any_step(old, &seed);
		commit_one(old, &ordinal);
		for (int i = 0; i < 3; i++)
			/* But for the newest: a client that saw it takes a store that changed it for forked. */
			replace(&w, 1 + dice(&seed) % (ledger_head(old).number - 1), SPAN_LIT("rot"));
		l = ledger_of(&w, w.cache);
		assert_int_equal(ledger_head(l).number, ledger_head(old).number);
		ok(ledger_repair(l, &count, &err));
		assert_in_range(count, 1, 3);
		ok(ledger_refresh(old, &err));
		fresh = ledger_of(&w, NULL);
		same_fold(old, fresh);
		same_fold(l, fresh);
		commit_one(l, &ordinal);
		ledger_free(&l);
		ledger_free(&old);
		ledger_free(&fresh);
		world_end(&w);
	}
}

/* No file may grow: creating fails each time, and whether it will ever have worked is not ours to say. */
static void giving_up_says_that_the_outcome_is_unknown(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct rlimit before, none;
	uint64_t session;
	enum err_code rc;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	rc = ledger_open_session(l, &session, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	if (rc == ERR_NO_SPACE)
		assert_non_null(strstr(err.text, "nothing was appended"));
	else
		assert_int_equal(rc, ERR_OUTCOME_UNKNOWN);
	assert_int_equal(ledger_head(l).number, 0);
	ok(ledger_open_session(l, &session, &err));
	assert_int_equal(session, 1);
	ledger_free(&l);
	world_end(&w);
}

static void a_commit_that_runs_out_of_memory_is_there_once_or_not_at_all(void **state)
{
	struct world w = world_new();
	enum err_code rc = ERR_NO_MEMORY;
	struct snapshot_entry s = entry_new();
	struct commit c = { .snapshots = &s, .snapshot_count = 1 };
	struct ledger *l;
	uint64_t nth;

	(void)state;
	for (nth = 1; rc && nth < 1000; nth++) {
		size_t before;

		crypto_random(s.id.bytes, sizeof s.id.bytes);
		l = ledger_of(&w, NULL);
		before = ledger_snapshot_count(l);
		mem_fail_nth(nth);
		rc = ledger_commit(l, &c, NULL, &err);
		mem_fail_nth(0);
		ledger_free(&l);
		l = ledger_of(&w, NULL);
		if (!rc)
			assert_int_equal(ledger_snapshot_count(l), before + 1);
		else if (rc == ERR_NO_MEMORY)
			assert_int_equal(ledger_snapshot_count(l), before);
		else
			assert_int_equal(rc, ERR_OUTCOME_UNKNOWN);
		ledger_free(&l);
	}
	assert_int_equal(rc, ERR_OK);
	assert_true(nth > 3);
	world_end(&w);
}

static void every_failed_allocation_leaves_a_ledger_that_can_be_opened(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache);
	uint32_t ordinal;

	(void)state;
	for (int i = 0; i < 4; i++)
		commit_one(l, &ordinal);
	ledger_free(&l);
	for (int cached = 0; cached < 2; cached++) {
		enum err_code rc = ERR_NO_MEMORY;

		for (uint64_t nth = 1; rc && nth < 10000; nth++) {
			mem_fail_nth(nth);
			rc = ledger_open(w.store, w.keys, cached ? w.cache : NULL, NULL, NULL, &l, &err);
			mem_fail_nth(0);
			assert_true(rc == ERR_OK || rc == ERR_NO_MEMORY);
		}
		assert_int_equal(rc, ERR_OK);
		assert_int_equal(ledger_snapshot_count(l), 4);
		ledger_free(&l);
	}
	world_end(&w);
}

/* Not a measurement, only its means: MAILHOLD_LEDGER_RECORDS sets the number; the figures stand in
 * docs/format/ledger.md. */
static enum err_code add_size(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)name;
	(void)e;
	*(uint64_t *)ctx += bytes;
	return ERR_OK;
}

/* The same ledger by somebody without a cache, of all records and from a checkpoint; with how many reads. */
static void opens_from_a_checkpoint(struct world *w)
{
	struct ledger *l = ledger_of(w, NULL), *fresh;
	uint64_t bytes = 0;
	int64_t t0 = clock_monotonic_ms(), t1, t2;
	bool made;

	l->checkpoint_every = 1;
	ok(ledger_checkpoint(l, &made, &err));
	assert_true(made);
	t1 = clock_monotonic_ms();
	ok(store_list(w->store, "checkpoint", add_size, &bytes, &err));
	fresh = ledger_of(w, NULL);
	t2 = clock_monotonic_ms();
	assert_true(fresh->from_checkpoint);
	same_fold(fresh, l);
	printf("a checkpoint of %" PRIu64 " bytes made in %lld ms, opened from in %lld ms: one listing and %" PRIu64
	       " objects read\n",
	       bytes, (long long)(t1 - t0), (long long)(t2 - t1),
	       2 + (fresh->next - 1 - fresh->base) + 1); /* itself, its record, those behind, and the one not there */
	ledger_free(&fresh);
	ledger_free(&l);
}

static void a_long_ledger_opens_from_its_cache(void **state)
{
	const char *given = getenv("MAILHOLD_LEDGER_RECORDS");
	uint64_t records = given ? strtoull(given, NULL, 10) : 300;
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct buf payload = BUF_EMPTY, bytes = BUF_EMPTY;
	uint8_t hash[RECORD_HASH_BYTES];
	int64_t t0, t1, t2, t3;
	uint64_t number;
	uint8_t details[120] = { 5 };

	(void)state;
	memcpy(hash, l->head.hash, sizeof hash);
	ledger_free(&l);
	for (uint64_t n = 1; n <= records; n++) {
		struct snapshot_entry s = entry_new();
		struct commit c = { .snapshots = &s, .snapshot_count = 1 };
		struct record r = { .number = n, .epoch = keys_epoch(w.keys), .holder = keys_holder(w.keys) };
		char path[160];

		s.sealed = span_of(details, sizeof details);
		buf_clear(&payload);
		buf_clear(&bytes);
		ok(commit_encode(&c, &payload, &err));
		memcpy(r.prev_hash, hash, sizeof hash);
		r.kind = RECORD_COMMIT | RECORD_CRITICAL;
		r.payload = buf_span(&payload);
		ok(record_seal(w.keys, &r, &bytes, &err));
		crypto_digest(buf_span(&bytes), hash, sizeof hash);
		snprintf(path, sizeof path, "%s/%s", w.url, record_path(n).text);
		/* Without syncs: a hundred thousand of them would be the measurement. */
		FILE *f = fopen(path, "wb");
		assert_non_null(f);
		assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
		fclose(f);
	}
	t0 = clock_monotonic_ms();
	l = ledger_of(&w, w.cache);
	t1 = clock_monotonic_ms();
	ledger_free(&l);
	t2 = clock_monotonic_ms();
	l = ledger_of(&w, w.cache);
	t3 = clock_monotonic_ms();
	assert_int_equal(ledger_snapshot_count(l), records);
	printf("%" PRIu64 " records: folded in %lld ms, cache written in %lld ms, opened from it in %lld ms\n", records,
	       (long long)(t1 - t0), (long long)(t2 - t1), (long long)(t3 - t2));
	ledger_free(&l);
	t0 = clock_monotonic_ms();
	for (int i = 0; i < 20; i++) {
		struct snapshot_entry s = entry_new();
		struct commit c = { .snapshots = &s, .snapshot_count = 1 };

		l = ledger_of(&w, w.cache);
		ok(ledger_commit(l, &c, &number, &err));
		ledger_free(&l);
	}
	printf("20 times opened, committed once, closed: %lld ms\n", (long long)(clock_monotonic_ms() - t0));
	opens_from_a_checkpoint(&w);
	buf_release(&payload);
	buf_release(&bytes);
	assert_int_equal(w.notices, 0);
	world_end(&w);
}

/* ---- taking away ---- */

static void what_takes_away_is_decided_at_the_head_that_was_looked_at(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *other = ledger_of(&w, NULL);
	struct commit c = { .end_session = true, .added_count = 1, .against_count = 1 };
	struct pack_added copy;
	uint32_t one, two, three;
	uint64_t head, number;

	(void)state;
	commit_one(l, &one);
	commit_one(l, &two);
	head = ledger_head(l).number;
	commit_one(other, &three);
	assert_int_equal(ledger_condemn(l, head, &one, 1, &number, &err), ERR_STATE);
	assert_int_equal(ledger_pack(l, one)->state, PACK_LIVE);
	head = ledger_head(l).number;
	assert_int_equal(ledger_pack(l, one)->condemned_ms, 0);
	ok(ledger_condemn(l, head, &one, 1, &head, &err));
	assert_int_equal(head, ledger_head(l).number);
	assert_int_equal(ledger_pack(l, one)->condemned_ms, ledger_head(l).time_ms);
	ok(ledger_open_session(l, &c.session, &err));
	copy = pack_new(c.session);
	c.added = &copy;
	c.against = &two;
	assert_int_equal(ledger_repack(l, head, &c, &number, &err), ERR_STATE); /* the session moved the head */
	ok(ledger_repack(l, ledger_head(l).number, &c, &number, &err));
	assert_int_equal(ledger_pack(l, two)->state, PACK_CONDEMNED);
	assert_true(ledger_pack_find(l, &copy.name, &three));
	assert_int_equal(ledger_pack(l, three)->state, PACK_LIVE);
	assert_int_equal(ledger_session(l, c.session), SESSION_ENDED);
	/* Two droppers: the second leaves out what the first dropped, and appends nothing when none is left. */
	ok(ledger_drop(other, &one, 1, &err));
	ok(ledger_drop(l, (uint32_t[]){ one, two }, 2, &err));
	head = ledger_head(l).number;
	ok(ledger_drop(l, (uint32_t[]){ one, two }, 2, &err));
	assert_int_equal(ledger_head(l).number, head);
	ok(ledger_refresh(other, &err));
	same_fold(l, other);
	ledger_free(&l);
	ledger_free(&other);
	world_end(&w);
}

static void the_trash_expires_by_age_and_pins_do_not(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache);
	struct snapshot_entry a, b, c;
	struct snapshot_id both[2];
	uint32_t ignored;
	uint64_t head;
	size_t count = 99;

	(void)state;
	a = commit_one(l, &ignored);
	b = commit_one(l, &ignored);
	c = commit_one(l, &ignored);
	both[0] = a.id;
	both[1] = b.id;
	ok(ledger_mark(l, RECORD_PIN, &c.id, 1, &err));
	assert_int_equal(ledger_mark(l, RECORD_FORGET, &c.id, 1, &err), ERR_NOT_FOUND);
	ok(ledger_mark(l, RECORD_FORGET, both, 2, &err));
	head = ledger_head(l).number;
	ok(ledger_expire(l, ledger_head(l).time_ms - 1, &count, &err));
	assert_int_equal(count, 0);
	assert_int_equal(ledger_head(l).number, head);
	ok(ledger_mark(l, RECORD_UNFORGET, &b.id, 1, &err));
	ok(ledger_expire(l, INT64_MAX, &count, &err));
	assert_int_equal(count, 1);
	assert_int_equal(ledger_snapshot(l, 0)->state, SNAPSHOT_EXPIRED);
	assert_int_equal(ledger_snapshot(l, 1)->state, SNAPSHOT_LIVE);
	assert_int_equal(ledger_mark(l, RECORD_UNFORGET, &a.id, 1, &err), ERR_NOT_FOUND);
	ledger_free(&l);
	/* The cache says the same. */
	l = ledger_of(&w, w.cache);
	assert_int_equal(ledger_snapshot(l, 0)->state, SNAPSHOT_EXPIRED);
	ledger_free(&l);
	world_end(&w);
}

static void sessions_tell_when_they_last_spoke(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct session_fact s;
	struct commit c = { .added_count = 1 };
	struct pack_added p;
	uint64_t number;

	(void)state;
	assert_false(ledger_session_at(l, 0, &s));
	ok(ledger_open_session(l, &c.session, &err));
	assert_true(ledger_session_at(l, 0, &s));
	assert_int_equal(s.number, c.session);
	assert_int_equal(s.last_ms, ledger_head(l).time_ms);
	p = pack_new(c.session);
	c.added = &p;
	ok(ledger_commit(l, &c, &number, &err));
	assert_true(ledger_session_at(l, 0, &s));
	assert_int_equal(s.last_ms, ledger_head(l).time_ms);
	ok(ledger_may_delete(l, &err));
	ok(ledger_fence(l, c.session, &err));
	assert_int_equal(ledger_session(l, c.session), SESSION_FENCED);
	assert_int_equal(ledger_fence(l, c.session, &err), ERR_STATE);
	assert_int_equal(ledger_session_count(l), 1);
	ledger_free(&l);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_ledger_holds_what_init_fixed),
		cmocka_unit_test(an_empty_store_is_no_repository),
		cmocka_unit_test(other_keys_do_not_open_it),
		cmocka_unit_test(a_commit_is_seen_by_a_second_reader),
		cmocka_unit_test(a_commit_after_fence_or_end_is_refused),
		cmocka_unit_test(a_commit_needs_no_session_when_it_adds_no_pack),
		cmocka_unit_test(a_commit_on_a_base_that_is_gone_is_refused),
		cmocka_unit_test(a_commit_against_a_condemned_pack_is_refused),
		cmocka_unit_test(a_pack_name_is_never_taken_twice),
		cmocka_unit_test(repack_adds_and_condemns_in_one_record),
		cmocka_unit_test(forget_is_undone_and_pins_protect),
		cmocka_unit_test(a_complete_snapshot_replaces_the_partial_one),
		cmocka_unit_test(an_illegal_commit_is_void_for_every_reader),
		cmocka_unit_test(a_record_of_an_unknown_or_forging_holder_is_void),
		cmocka_unit_test(a_record_with_a_wrong_signature_is_void),
		cmocka_unit_test(a_record_that_does_not_follow_stops_appends),
		cmocka_unit_test(a_role_bounds_what_a_holder_may_do),
		cmocka_unit_test(a_pack_is_worth_what_its_maker_is_until_it_is_verified),
		cmocka_unit_test(a_depositor_ends_its_own_partial_snapshots_only),
		cmocka_unit_test(an_unknown_critical_kind_stops_appends_only),
		cmocka_unit_test(rubbish_at_the_head_stops_appends_until_repaired),
		cmocka_unit_test(a_mended_record_counts_again_for_who_saw_it_damaged),
		cmocka_unit_test(a_rotted_commit_keeps_the_ordinals_of_later_ones),
		cmocka_unit_test(a_store_that_went_back_or_forked_is_noticed),
		cmocka_unit_test(check_finds_a_replaced_record),
		cmocka_unit_test(what_breaks_a_role_is_told_with_its_key),
		cmocka_unit_test(a_damaged_cache_gives_a_notice_and_the_same_fold),
		cmocka_unit_test(two_runs_may_write_the_same_cache),
		cmocka_unit_test(racing_commits_are_all_there_exactly_once),
		cmocka_unit_test(a_lost_race_is_decided_again),
		cmocka_unit_test(a_refusing_store_appends_nothing),
		cmocka_unit_test(any_history_has_one_fold),
		cmocka_unit_test(any_rot_is_survived),
		cmocka_unit_test(giving_up_says_that_the_outcome_is_unknown),
		cmocka_unit_test(a_commit_that_runs_out_of_memory_is_there_once_or_not_at_all),
		cmocka_unit_test(every_failed_allocation_leaves_a_ledger_that_can_be_opened),
		cmocka_unit_test(what_takes_away_is_decided_at_the_head_that_was_looked_at),
		cmocka_unit_test(the_trash_expires_by_age_and_pins_do_not),
		cmocka_unit_test(sessions_tell_when_they_last_spoke),
		cmocka_unit_test(a_long_ledger_opens_from_its_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
