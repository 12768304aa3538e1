/* Holds in the ledger: what every reader enforces, whoever signs, and what only a full holder may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/engine/ledger/ledger_world.h"

static struct keys *holder_new(struct world *w, struct ledger *l, enum role role)
{
	struct keys *keys = NULL;
	struct holder_payload p = { .role = role == ROLE_KEEPER ? HOLDER_KEEPER : HOLDER_FULL };

	ok(keys_new_holder(w->keys, role, &keys, &err));
	p.holder = keys_holder(keys);
	memcpy(p.public_key, keys_sign_public(keys), sizeof p.public_key);
	ok(ledger_put_holder(l, &p, &err));
	return keys;
}

static struct hold_payload hold_new(void)
{
	struct hold_payload p = { .epoch = 1, .sealed = SPAN_LIT("sealed label") };

	crypto_random(p.id.bytes, sizeof p.id.bytes);
	return p;
}

/* Appends a record that no honest writer would make, by KEYS, on one snapshot. */
static void put_mark(struct world *w, struct keys *keys, unsigned kind, const struct snapshot_id *id)
{
	struct buf payload = BUF_EMPTY;
	struct record r = { .kind = (uint16_t)(kind | RECORD_CRITICAL) };

	ok(snapshot_ids_encode(id, 1, &payload, &err));
	r.payload = buf_span(&payload);
	put_raw(w, keys, &r);
	buf_release(&payload);
}

static enum snapshot_state state_of(struct ledger *l, const struct snapshot_id *id)
{
	struct fold_snapshot *row;

	ok(ledger_refresh(l, &err));
	row = fold_snapshot_find(&l->fold, id);
	assert_non_null(row);
	return row->fact.state;
}

/* Forged, careless and honest records alike, by either role: the snapshot stays, and one beside it goes. */
static void nobody_takes_away(struct world *w, struct ledger *l, struct keys *keys, const struct snapshot_entry *held,
                              struct snapshot_entry *other)
{
	assert_int_equal(ledger_mark(l, RECORD_FORGET, &held->id, 1, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "hold"));
	put_mark(w, keys, RECORD_FORGET, &held->id);
	put_mark(w, keys, RECORD_EXPIRE, &held->id);
	assert_int_equal(state_of(l, &held->id), SNAPSHOT_LIVE);
	put_mark(w, keys, RECORD_FORGET, &other->id);
	put_mark(w, keys, RECORD_EXPIRE, &other->id);
	assert_int_equal(state_of(l, &other->id), SNAPSHOT_EXPIRED);
}

static void a_held_snapshot_stays_whoever_signs(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache);
	struct keys *keeper = holder_new(&w, l, ROLE_KEEPER);
	struct snapshot_entry held, other[2];
	struct hold_payload p = hold_new();
	uint32_t ordinal;

	(void)state;
	held = commit_one(l, &ordinal);
	p.snapshots = &held.id;
	p.snapshot_count = 1;
	ok(ledger_hold_add(l, &p, &err));
	for (int i = 0; i < 2; i++) {
		other[i] = commit_one(l, &ordinal);
		nobody_takes_away(&w, l, i ? keeper : w.keys, &held, &other[i]);
	}
	ok(ledger_hold_release(l, &p.id, &err));
	assert_int_equal(ledger_hold_release(l, &p.id, &err), ERR_NOT_FOUND);
	assert_int_equal(ledger_hold_add(l, &p, &err), ERR_STATE); /* an id is never taken twice */
	ok(ledger_mark(l, RECORD_FORGET, &held.id, 1, &err));
	assert_int_equal(w.notices, 0);
	ledger_free(&l);
	keys_free(&keeper);
	world_end(&w);
}

static void a_held_account_stays_with_what_is_to_come(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache);
	struct keys *keeper = holder_new(&w, l, ROLE_KEEPER);
	struct account_id account;
	struct hold_payload p = hold_new();
	struct snapshot_entry s, stranger = entry_new();
	uint32_t ordinal;

	(void)state;
	memset(account.bytes, 7, sizeof account.bytes);
	p.accounts = &account;
	p.account_count = 1;
	s = commit_one(l, &ordinal);
	ok(ledger_mark(l, RECORD_FORGET, &s.id, 1, &err));
	ok(ledger_hold_add(l, &p, &err));
	/* What lay in the trash came back with the hold. */
	assert_int_equal(state_of(l, &s.id), SNAPSHOT_LIVE);
	s = commit_one(l, &ordinal);
	memset(stranger.account.bytes, 9, sizeof stranger.account.bytes);
	ok(ledger_commit(l, &(struct commit){ .snapshots = &stranger, .snapshot_count = 1 }, NULL, &err));
	nobody_takes_away(&w, l, keeper, &s, &stranger);
	ledger_free(&l);
	keys_free(&keeper);
	world_end(&w);
}

/* Whom a hold on items binds: everybody but a full holder who has looked, at the newest record. */
static void a_hold_on_items_is_for_those_who_looked(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *late = ledger_of(&w, NULL), *poor;
	struct keys *keeper = holder_new(&w, l, ROLE_KEEPER);
	struct hold_payload p = hold_new();
	struct snapshot_entry s[3];
	struct account_id nobody = { { 99 } };
	uint64_t head, session;
	uint32_t ordinal;
	size_t count;

	(void)state;
	for (int i = 0; i < 3; i++)
		s[i] = commit_one(l, &ordinal);
	p.query = true;
	ok(ledger_hold_add(l, &p, &err));
	assert_true(ledger_has_query_hold(l, NULL) && ledger_has_query_hold(l, &nobody));
	head = ledger_head(l).number;
	put_mark(&w, keeper, RECORD_FORGET, &s[0].id);
	assert_int_equal(state_of(l, &s[0].id), SNAPSHOT_LIVE);
	/* Somebody was faster: nothing is appended. */
	ok(ledger_open_session(late, &session, &err));
	assert_int_equal(ledger_forget_at(l, head, &s[0].id, 1, &err), ERR_STATE);
	assert_int_equal(ledger_mark(l, RECORD_FORGET, &s[0].id, 1, &err), ERR_NOT_FOUND);
	ok(ledger_refresh(l, &err));
	ok(ledger_forget_at(l, ledger_head(l).number, &s[0].id, 1, &err));
	ok(ledger_forget_at(l, ledger_head(l).number, &s[1].id, 1, &err));
	/* The same for the trash. */
	ok(ledger_expire(l, INT64_MAX, &count, &err));
	assert_int_equal(count, 0);
	put_mark(&w, keeper, RECORD_EXPIRE, &s[0].id);
	assert_int_equal(state_of(l, &s[0].id), SNAPSHOT_TRASH);
	ok(ledger_expire_at(l, INT64_MAX, ledger_head(l).number, &s[1].id, 1, &count, &err));
	assert_int_equal(count, 1);
	assert_int_equal(state_of(l, &s[0].id), SNAPSHOT_EXPIRED);
	assert_int_equal(state_of(l, &s[1].id), SNAPSHOT_TRASH);
	/* A keeper who is honest is told so, and not by records that count for nothing. */
	ok(ledger_open(w.store, keeper, NULL, on_notice, &w, &poor, &err));
	assert_int_equal(ledger_forget_at(poor, ledger_head(poor).number, &s[2].id, 1, &err), ERR_NOT_FOUND);
	ok(ledger_expire_at(poor, INT64_MAX, ledger_head(poor).number, NULL, 0, &count, &err));
	assert_int_equal(count, 0);
	ledger_free(&poor);
	ledger_free(&late);
	ledger_free(&l);
	keys_free(&keeper);
	world_end(&w);
}

static void a_held_partial_snapshot_is_not_replaced(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct snapshot_entry part = entry_new(), whole = entry_new();
	struct hold_payload p = hold_new();

	(void)state;
	part.flags = SNAPSHOT_PARTIAL;
	ok(ledger_commit(l, &(struct commit){ .snapshots = &part, .snapshot_count = 1 }, NULL, &err));
	p.query = true;
	ok(ledger_hold_add(l, &p, &err));
	whole.replaces = part.id;
	ok(ledger_commit(l, &(struct commit){ .snapshots = &whole, .snapshot_count = 1 }, NULL, &err));
	assert_int_equal(ledger_snapshot_count(l), 2);
	assert_int_equal(state_of(l, &part.id), SNAPSHOT_LIVE);
	ledger_free(&l);
	world_end(&w);
}

static void only_a_full_holder_makes_and_releases_holds(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *poor, *fresh;
	struct keys *keeper = holder_new(&w, l, ROLE_KEEPER);
	struct hold_payload p = hold_new();
	struct hold_id nobody = { { 1 } };
	struct snapshot_id gone = { { 5 } };
	struct buf payload = BUF_EMPTY;
	struct record r = { .kind = RECORD_UNHOLD | RECORD_CRITICAL };

	(void)state;
	p.query = true;
	ok(ledger_hold_add(l, &p, &err));
	ok(ledger_open(w.store, keeper, NULL, on_notice, &w, &poor, &err));
	assert_int_equal(ledger_hold_release(poor, &p.id, &err), ERR_DENIED);
	crypto_random(p.id.bytes, sizeof p.id.bytes);
	assert_int_equal(ledger_hold_add(poor, &p, &err), ERR_DENIED);
	assert_int_equal(ledger_hold_release(l, &nobody, &err), ERR_NOT_FOUND);
	p.query = false;
	p.snapshots = &gone;
	p.snapshot_count = 1;
	assert_int_equal(ledger_hold_add(l, &p, &err), ERR_NOT_FOUND);
	/* A keeper who forges one all the same: void. */
	ok(unhold_encode(&ledger_hold(l, 0)->hold.id, &payload, &err));
	r.payload = buf_span(&payload);
	put_raw(&w, keeper, &r);
	fresh = ledger_of(&w, NULL);
	assert_int_equal(w.notices, 1);
	assert_non_null(strstr(w.last, "void"));
	assert_int_equal(ledger_hold_count(fresh), 1);
	assert_false(ledger_hold(fresh, 0)->released);
	buf_release(&payload);
	ledger_free(&fresh);
	ledger_free(&poor);
	ledger_free(&l);
	keys_free(&keeper);
	world_end(&w);
}

static void holds_come_back_from_the_cache(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, w.cache), *again;
	struct hold_payload p = hold_new();

	(void)state;
	p.query = true;
	ok(ledger_hold_add(l, &p, &err));
	ledger_free(&l);
	l = ledger_of(&w, w.cache);
	again = ledger_of(&w, NULL);
	same_fold(l, again);
	assert_int_equal(ledger_hold_count(l), 1);
	assert_true(span_equal(ledger_hold(l, 0)->hold.sealed, p.sealed));
	ledger_free(&l);
	ledger_free(&again);
	world_end(&w);
}

static void a_hold_payload_has_one_encoding(void **state)
{
	struct snapshot_id ids[2] = { { { 1 } }, { { 2 } } };
	struct account_id accounts[1] = { { { 3 } } };
	struct hold_payload p = { .id = { { 9 } },
		                  .snapshots = ids,
		                  .snapshot_count = 2,
		                  .accounts = accounts,
		                  .account_count = 1,
		                  .epoch = 7,
		                  .sealed = SPAN_LIT("details") };
	struct hold_payload got;
	struct buf bytes = BUF_EMPTY, again = BUF_EMPTY;

	(void)state;
	ok(hold_encode(&p, &bytes, &err));
	ok(hold_decode(buf_span(&bytes), &got, &err));
	assert_int_equal(got.epoch, 7);
	ok(hold_encode(&got, &again, &err));
	assert_true(span_equal(buf_span(&bytes), buf_span(&again)));
	hold_release(&got);
	for (size_t len = 0; len < bytes.len; len++)
		assert_int_equal(hold_decode(span_of(bytes.ptr, len), &got, &err), ERR_CORRUPT);
	bytes.ptr[16] = 1; /* a query with snapshots */
	assert_int_equal(hold_decode(buf_span(&bytes), &got, &err), ERR_CORRUPT);
	bytes.ptr[16] = 2; /* an unknown flag */
	assert_int_equal(hold_decode(buf_span(&bytes), &got, &err), ERR_CORRUPT);
	buf_clear(&bytes);
	p.snapshot_count = p.account_count = 0; /* nothing at all */
	ok(hold_encode(&p, &bytes, &err));
	assert_int_equal(hold_decode(buf_span(&bytes), &got, &err), ERR_CORRUPT);
	buf_release(&bytes);
	buf_release(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_held_snapshot_stays_whoever_signs),
		cmocka_unit_test(a_held_account_stays_with_what_is_to_come),
		cmocka_unit_test(a_hold_on_items_is_for_those_who_looked),
		cmocka_unit_test(a_held_partial_snapshot_is_not_replaced),
		cmocka_unit_test(only_a_full_holder_makes_and_releases_holds),
		cmocka_unit_test(holds_come_back_from_the_cache),
		cmocka_unit_test(a_hold_payload_has_one_encoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
