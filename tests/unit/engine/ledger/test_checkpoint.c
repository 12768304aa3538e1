/* Checkpoints: beginning at one gives the fold that all records give, and only the root key is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/engine/ledger/ledger_world.h"

/* Makes one whatever is due. */
static void checkpoint_now(struct ledger *l)
{
	bool made;

	ok(ledger_refresh(l, &err));
	l->checkpoint_every = 0;
	ok(ledger_checkpoint(l, &made, &err));
	assert_true(made);
}

static struct ledger *from_zero(struct world *w)
{
	struct ledger *l = NULL;

	ok(ledger_open_reading(w->store, w->keys, NULL, 0, on_notice, w, &l, &err));
	assert_false(l->from_checkpoint);
	return l;
}

struct objects {
	char names[16][80];
	size_t count;
};

static enum err_code note_object(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	struct objects *o = ctx;

	(void)bytes;
	(void)e;
	assert_true(o->count < 16);
	snprintf(o->names[o->count++], sizeof o->names[0], "%s", name);
	return ERR_OK;
}

static struct objects checkpoints(struct world *w)
{
	struct objects o = { .count = 0 };
	enum err_code rc = store_list(w->store, "checkpoint", note_object, &o, &err);

	assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
	return o;
}

static void swap_object(struct world *w, const char *name, struct span bytes)
{
	ok(store_delete(w->store, name, &err));
	ok(store_put(w->store, name, bytes, &err));
}

/* Any history, a checkpoint at any place in it, more history: by all ways the same fold. */
static void any_history_is_the_same_from_a_checkpoint(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)clock_now_ms() | 1;

	(void)state;
	printf("seed %" PRIu64 " (MAILHOLD_TEST_SEED repeats it)\n", seed);
	for (int round = 0; round < 10; round++) {
		struct world w = world_new();
		struct ledger *l = ledger_of(&w, NULL), *fresh, *cached, *whole;
		uint32_t ordinal;

		commit_one(l, &ordinal);
		for (uint64_t step = dice(&seed) % 80; step-- > 0;)
			(void)!any_step(l, &seed);
		checkpoint_now(l);
		cached = ledger_of(&w, w.cache);
		assert_true(cached->from_checkpoint);
		ledger_free(&cached);
		for (uint64_t step = dice(&seed) % 40; step-- > 0;)
			(void)!any_step(l, &seed);
		fresh = ledger_of(&w, NULL);
		assert_true(fresh->from_checkpoint);
		whole = from_zero(&w);
		same_fold(fresh, whole);
		same_fold(l, whole);
		/* The cache begins at the checkpoint, and is written on and read again. */
		for (int again = 0; again < 2; again++) {
			cached = ledger_of(&w, w.cache);
			assert_true(cached->from_checkpoint);
			same_fold(cached, whole);
			ledger_free(&cached);
		}
		assert_int_equal(w.notices, 0);
		/* A second one is made from a fold that began at the first. */
		checkpoint_now(fresh);
		ledger_free(&l);
		l = ledger_of(&w, NULL);
		assert_true(l->base >= whole->fold.checkpoint_number);
		ok(ledger_refresh(whole, &err));
		same_fold(l, whole);
		ledger_free(&l);
		ledger_free(&fresh);
		ledger_free(&whole);
		world_end(&w);
	}
}

static void one_is_made_when_it_is_due_and_by_a_full_holder(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *poor;
	struct keys *keeper = NULL;
	struct holder_payload p = { .role = HOLDER_KEEPER };
	uint64_t session;
	bool made;

	(void)state;
	ok(keys_new_holder(w.keys, ROLE_KEEPER, &keeper, &err));
	p.holder = keys_holder(keeper);
	memcpy(p.public_key, keys_sign_public(keeper), sizeof p.public_key);
	ok(ledger_put_holder(l, &p, &err));
	for (int i = 0; i < 6; i++)
		ok(ledger_open_session(l, &session, &err));
	l->checkpoint_every = 8;
	ok(ledger_checkpoint(l, &made, &err));
	assert_false(made);
	ok(ledger_open_session(l, &session, &err));
	ok(ledger_open(w.store, keeper, NULL, on_notice, &w, &poor, &err));
	poor->checkpoint_every = 0;
	ok(ledger_checkpoint(poor, &made, &err));
	assert_false(made);
	ok(ledger_checkpoint(l, &made, &err));
	assert_true(made);
	ok(ledger_checkpoint(l, &made, &err));
	assert_false(made);
	assert_int_equal(checkpoints(&w).count, 1);
	ledger_free(&poor);
	/* Who has no root key reads it all the same. */
	ok(ledger_open(w.store, keeper, NULL, on_notice, &w, &poor, &err));
	assert_true(poor->from_checkpoint);
	same_fold(poor, l);
	assert_int_equal(w.notices, 0);
	ledger_free(&poor);
	ledger_free(&l);
	keys_free(&keeper);
	world_end(&w);
}

/* Every byte flipped, every length cut: refused, and the records say the same. */
static void a_damaged_one_is_not_believed(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *whole = NULL;
	struct buf object = BUF_WITH_MAX(MIB);
	struct objects o;
	struct fold f = { 0 };
	struct ledger_head head;
	uint32_t ordinal;

	(void)state;
	commit_one(l, &ordinal);
	checkpoint_now(l);
	o = checkpoints(&w);
	assert_int_equal(o.count, 1);
	ok(store_get(w.store, o.names[0], MIB, &object, &err));
	ok(checkpoint_decode(l, buf_span(&object), &f, &head, &err));
	fold_release(&f);
	for (size_t i = 0; i < object.len; i++) {
		enum err_code rc;

		object.ptr[i] ^= 1 << i % 8;
		rc = checkpoint_decode(l, buf_span(&object), &f, &head, &err);
		assert_true(rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED);
		object.ptr[i] ^= 1 << i % 8;
		if (i % 16 == 0)
			assert_int_equal(checkpoint_decode(l, span_of(object.ptr, i), &f, &head, &err), ERR_CORRUPT);
	}
	object.ptr[object.len / 2] ^= 1;
	swap_object(&w, o.names[0], buf_span(&object));
	whole = ledger_of(&w, NULL);
	assert_false(whole->from_checkpoint);
	assert_int_equal(w.notices, 1);
	same_fold(l, whole);
	ledger_free(&whole);
	ok(store_delete(w.store, o.names[0], &err));
	whole = ledger_of(&w, NULL);
	same_fold(l, whole);
	buf_release(&object);
	ledger_free(&whole);
	ledger_free(&l);
	world_end(&w);
}

/* Whoever has the structure key alone seals what he likes, and names himself: it is not signed by the root. */
static void a_forged_one_is_not_believed(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *fresh;
	struct buf object = BUF_WITH_MAX(MIB);
	struct objects o;
	uint8_t message[21 + ID16_BYTES + RECORD_HASH_BYTES] = "mailhold checkpoint 1";
	uint8_t chain[2 * RECORD_HASH_BYTES];
	uint32_t ordinal;
	size_t at = 80;

	(void)state;
	commit_one(l, &ordinal);
	checkpoint_now(l);
	o = checkpoints(&w);
	ok(store_get(w.store, o.names[0], MIB, &object, &err));
	/* A signature over the right bytes, by a holder who is not the root. */
	memcpy(message + 21, keys_repo(w.keys).bytes, ID16_BYTES);
	crypto_digest(span_of(object.ptr, 80), chain, RECORD_HASH_BYTES);
	while (object.ptr[at] | object.ptr[at + 1] | object.ptr[at + 2]) {
		size_t bytes = object.ptr[at] | (size_t)object.ptr[at + 1] << 8 | (size_t)object.ptr[at + 2] << 16;

		crypto_digest(span_of(object.ptr + at + 4, bytes), chain + RECORD_HASH_BYTES, RECORD_HASH_BYTES);
		crypto_digest(span_of(chain, sizeof chain), chain, RECORD_HASH_BYTES);
		at += 4 + bytes;
	}
	memcpy(message + 21 + ID16_BYTES, chain, RECORD_HASH_BYTES);
	/* So this is what is signed: the root's own signature is over it. */
	assert_true(sign_verify(keys_root_public(w.keys), span_of(message, sizeof message), object.ptr + at + 4));
	keys_sign(w.keys, span_of(message, sizeof message), object.ptr + at + 4);
	swap_object(&w, o.names[0], buf_span(&object));
	fresh = ledger_of(&w, NULL);
	assert_false(fresh->from_checkpoint);
	assert_non_null(strstr(w.last, "root key did not sign"));
	same_fold(l, fresh);
	buf_release(&object);
	ledger_free(&fresh);
	ledger_free(&l);
	world_end(&w);
}

/* One of another repository, or under another number's name. */
static void one_in_the_wrong_place_is_not_believed(void **state)
{
	struct world w = world_new(), other = world_new();
	struct ledger *l = ledger_of(&w, NULL), *stranger = ledger_of(&other, NULL), *fresh;
	struct buf object = BUF_WITH_MAX(MIB);
	struct checkpoint_payload far = { .after = 99 };
	uint32_t ordinal;

	(void)state;
	commit_one(l, &ordinal);
	checkpoint_now(stranger);
	ok(store_get(other.store, checkpoints(&other).names[0], MIB, &object, &err));
	ok(store_put(w.store, checkpoints(&other).names[0], buf_span(&object), &err));
	fresh = ledger_of(&w, NULL);
	assert_false(fresh->from_checkpoint);
	assert_int_equal(w.notices, 1);
	ledger_free(&fresh);
	checkpoint_now(l);
	buf_clear(&object);
	ok(store_get(w.store, checkpoints(&w).names[checkpoints(&w).count - 1], MIB, &object, &err));
	ok(store_put(w.store, checkpoint_path(&far).text, buf_span(&object), &err));
	fresh = ledger_of(&w, NULL);
	assert_true(fresh->from_checkpoint); /* by the true one */
	same_fold(l, fresh);
	buf_release(&object);
	ledger_free(&fresh);
	ledger_free(&stranger);
	ledger_free(&l);
	world_end(&other);
	world_end(&w);
}

static void a_store_that_went_back_behind_a_checkpoint_is_noticed(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *fresh = NULL;
	uint64_t head;
	uint32_t ordinal;

	(void)state;
	commit_one(l, &ordinal);
	commit_one(l, &ordinal);
	head = ledger_head(l).number;
	checkpoint_now(l);
	for (uint64_t n = head; n <= head + 1; n++)
		ok(store_delete(w.store, record_path(n).text, &err));
	assert_int_equal(ledger_open(w.store, w.keys, NULL, on_notice, &w, &fresh, &err), ERR_FORKED);
	/* Changed is not gone: it may have rotted, and who reads all will see. */
	ok(store_put(w.store, record_path(head).text, SPAN_LIT("rot"), &err));
	fresh = ledger_of(&w, NULL);
	assert_false(fresh->from_checkpoint);
	assert_true(ledger_in_doubt(fresh));
	ledger_free(&fresh);
	ledger_free(&l);
	world_end(&w);
}

/* A record below rots and is voided; one that was voided is mended: as by reading all, both times. */
static void what_changes_below_a_checkpoint_is_seen(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *fresh, *whole;
	struct buf kept = BUF_WITH_MAX(MIB);
	size_t count;
	uint32_t ordinal;

	(void)state;
	commit_one(l, &ordinal);
	commit_one(l, &ordinal);
	ok(store_get(w.store, record_path(2).text, MIB, &kept, &err));
	checkpoint_now(l);
	commit_one(l, &ordinal);
	swap_object(&w, record_path(2).text, SPAN_LIT("rot"));
	whole = from_zero(&w);
	ok(ledger_repair(whole, &count, &err));
	assert_int_equal(count, 1);
	fresh = ledger_of(&w, NULL);
	assert_false(fresh->from_checkpoint);
	same_fold(fresh, whole);
	assert_int_equal(ledger_snapshot_count(fresh), 2);
	/* From a fold that knows: a new checkpoint, which helps again. */
	checkpoint_now(fresh);
	ledger_free(&fresh);
	fresh = ledger_of(&w, NULL);
	assert_true(fresh->from_checkpoint);
	ok(ledger_refresh(whole, &err));
	same_fold(fresh, whole);
	ledger_free(&whole);
	ledger_free(&fresh);
	swap_object(&w, record_path(2).text, buf_span(&kept));
	fresh = ledger_of(&w, NULL);
	whole = from_zero(&w);
	assert_false(fresh->from_checkpoint);
	same_fold(fresh, whole);
	buf_release(&kept);
	ledger_free(&fresh);
	ledger_free(&whole);
	ledger_free(&l);
	world_end(&w);
}

/* A fold in doubt says less than the truth: nobody makes a checkpoint of it. */
static void none_is_made_in_doubt(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	uint32_t ordinal;
	bool made;

	(void)state;
	commit_one(l, &ordinal);
	ok(store_put(w.store, record_path(l->next).text, SPAN_LIT("rot"), &err));
	ok(ledger_refresh(l, &err));
	l->checkpoint_every = 0;
	ok(ledger_checkpoint(l, &made, &err));
	assert_false(made);
	assert_int_equal(checkpoints(&w).count, 0);
	ledger_free(&l);
	world_end(&w);
}

static void who_expects_a_record_reads_from_it_on(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *reader = NULL;
	uint32_t ordinal;
	uint64_t base;

	(void)state;
	commit_one(l, &ordinal);
	base = ledger_head(l).number;
	checkpoint_now(l);
	ok(ledger_open_reading(w.store, w.keys, w.cache, base, on_notice, &w, &reader, &err));
	assert_true(reader->from_checkpoint);
	ledger_free(&reader);
	/* Neither a checkpoint nor a cache that began at one stands for what is below. */
	ok(ledger_open_reading(w.store, w.keys, w.cache, base - 1, on_notice, &w, &reader, &err));
	assert_false(reader->from_checkpoint);
	same_fold(reader, l);
	ledger_free(&reader);
	ledger_free(&l);
	world_end(&w);
}

struct problems {
	int count;
	char last[ERR_TEXT_MAX];
};

static void on_problem(void *ctx, uint64_t number, const struct err *what)
{
	struct problems *p = ctx;

	(void)number;
	p->count++;
	snprintf(p->last, sizeof p->last, "%s", what->text);
}

static void check_compares_it_with_the_records(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL);
	struct problems p = { 0 };
	struct buf object = BUF_WITH_MAX(MIB);
	struct objects o;
	uint32_t ordinal;

	(void)state;
	commit_one(l, &ordinal);
	checkpoint_now(l);
	commit_one(l, &ordinal);
	ok(ledger_check(l, on_problem, &p, &err));
	assert_int_equal(p.count, 0);
	/* One that the root key signed, and that is wrong: only the records can show it. */
	l->fold.snapshots[0].fact.pinned = true;
	checkpoint_now(l);
	l->fold.snapshots[0].fact.pinned = false;
	ok(ledger_check(l, on_problem, &p, &err));
	assert_int_equal(p.count, 1);
	assert_non_null(strstr(p.last, "is not what the records add up to"));
	o = checkpoints(&w);
	for (size_t i = 0; i < o.count; i++)
		swap_object(&w, o.names[i], SPAN_LIT("rubbish"));
	ok(ledger_check(l, on_problem, &p, &err));
	assert_int_equal(p.count, 2);
	for (size_t i = 0; i < o.count; i++)
		ok(store_delete(w.store, o.names[i], &err));
	ok(ledger_check(l, on_problem, &p, &err));
	assert_int_equal(p.count, 3);
	assert_non_null(strstr(p.last, "missing"));
	buf_release(&object);
	ledger_free(&l);
	world_end(&w);
}

static void older_ones_are_swept_after_a_while(void **state)
{
	struct world w = world_new();
	struct ledger *l = ledger_of(&w, NULL), *fresh;
	uint32_t ordinal;

	(void)state;
	ok(ledger_checkpoint_sweep(l, INT64_MAX, &err));
	for (int i = 0; i < 3; i++) {
		commit_one(l, &ordinal);
		checkpoint_now(l);
	}
	assert_int_equal(checkpoints(&w).count, 3);
	ok(ledger_checkpoint_sweep(l, clock_now_ms() - 3600000, &err));
	assert_int_equal(checkpoints(&w).count, 3);
	ok(ledger_checkpoint_sweep(l, INT64_MAX, &err));
	assert_int_equal(checkpoints(&w).count, 1);
	fresh = ledger_of(&w, NULL);
	assert_true(fresh->from_checkpoint);
	same_fold(fresh, l);
	ledger_free(&fresh);
	/* The newest is gone: what is left stays. */
	ok(store_delete(w.store, checkpoints(&w).names[0], &err));
	commit_one(l, &ordinal);
	ok(ledger_checkpoint_sweep(l, INT64_MAX, &err));
	ledger_free(&l);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_history_is_the_same_from_a_checkpoint),
		cmocka_unit_test(one_is_made_when_it_is_due_and_by_a_full_holder),
		cmocka_unit_test(a_damaged_one_is_not_believed),
		cmocka_unit_test(a_forged_one_is_not_believed),
		cmocka_unit_test(one_in_the_wrong_place_is_not_believed),
		cmocka_unit_test(a_store_that_went_back_behind_a_checkpoint_is_noticed),
		cmocka_unit_test(what_changes_below_a_checkpoint_is_seen),
		cmocka_unit_test(none_is_made_in_doubt),
		cmocka_unit_test(who_expects_a_record_reads_from_it_on),
		cmocka_unit_test(check_compares_it_with_the_records),
		cmocka_unit_test(older_ones_are_swept_after_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
