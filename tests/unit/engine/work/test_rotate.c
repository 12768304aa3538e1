/*
 * Rotation: everybody who stays goes on, and who was removed reads nothing newer, whatever they kept. What they kept is
 * tried byte by byte.
 */
#include <sodium.h> /* before crypto.h, see crypto_digest there */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>

#include "crypto/keys_internal.h"
#include "engine/ledger/ledger_internal.h"
#include "engine/repo/holders.h"
#include "unit/engine/work/lab.h"

enum { DORA = 0, CARL, BOB, PEOPLE }; /* a depositor, a keeper, and a full holder who will go */
static const enum role roles[PEOPLE] = { ROLE_DEPOSIT, ROLE_KEEPER, ROLE_FULL };

struct story {
	struct lab lab; /* Ann's */
	struct secret *keys[PEOPLE];
	struct holder_id ids[PEOPLE];
	atomic_int notices;
};

static void count_notice(void *ctx, enum engine_notice_kind kind, const char *text)
{
	struct story *s = ctx;

	(void)kind;
	(void)text;
	s->notices++;
}

static enum err_code open_as(struct story *s, int who, struct repo **out)
{
	char cache[100];
	struct repo_options o = { .url = s->lab.url,
		                  .secret = s->keys[who],
		                  .secret_kind = SLOT_KEY_FILE,
		                  .cache_folder = cache,
		                  .notice = count_notice,
		                  .notice_ctx = s };

	snprintf(cache, sizeof cache, "%s-%d", s->lab.cache, who);
	return repo_open(&o, out, &err);
}

static void story_start(struct story *s, const char *name)
{
	memset(s, 0, sizeof *s);
	random_start(name);
	lab_start(&s->lab);
	for (int i = 0; i < PEOPLE; i++) {
		uint8_t bytes[SLOT_KEY_FILE_BYTES] = { 50, (uint8_t)i };

		ok(secret_new(span_of(bytes, sizeof bytes), &s->keys[i], &err));
		ok(repo_key_add(s->lab.repo, roles[i], s->keys[i], &(struct slot_options){ .kind = SLOT_KEY_FILE },
		                &s->ids[i], &err));
	}
}

static void story_end(struct story *s)
{
	for (int i = 0; i < PEOPLE; i++)
		secret_free(&s->keys[i]);
	lab_end(&s->lab);
}

static void rotate(struct story *s, uint32_t want)
{
	uint32_t epoch = 0;

	ok(repo_key_rotate(s->lab.repo, &epoch, &err));
	assert_int_equal(epoch, want);
	lab_reopen(&s->lab);
	assert_int_equal(keys_epoch(s->lab.repo->keys), want);
}

static void act_as(struct story *s, struct repo *who, const struct snapshot_options *o)
{
	struct repo *ann = s->lab.repo;

	s->lab.repo = who;
	engine_stop_flag(who, &s->lab.stop);
	run_whole(&s->lab, o);
	s->lab.repo = ann;
	ok(ledger_refresh(ann->ledger, &err));
}

static void everybody_who_stays_goes_on(void **state)
{
	static struct story s;
	static const struct snapshot_options plain;
	struct check_report report;
	struct repo *dora = NULL, *carl = NULL;
	struct secret *late;
	struct holder_id id;

	(void)state;
	story_start(&s, "everybody_who_stays_goes_on");
	change_world(&s.lab, 40);
	run_whole(&s.lab, &plain);
	for (uint32_t epoch = 2; epoch < 5; epoch++) {
		ok(open_as(&s, DORA, &dora));
		change_world(&s.lab, 10);
		act_as(&s, dora, &plain);
		rotate(&s, epoch);
		/* A process that was at work is told, and nothing of it counts. */
		assert_int_equal(ledger_open_session(dora->ledger, &(uint64_t){ 0 }, &err), ERR_STATE);
		assert_non_null(strstr(err.text, "rotated"));
		repo_free(&dora);
		ok(open_as(&s, DORA, &dora));
		assert_int_equal(keys_epoch(dora->keys), epoch);
		assert_false(keys_read_content(dora->keys));
		change_world(&s.lab, 10);
		act_as(&s, dora, &plain);
		repo_free(&dora);
		ok(open_as(&s, CARL, &carl));
		ok(engine_check(carl, &(struct check_options){ .read_data = true }, no_problem, NULL, &report, &err));
		repo_free(&carl);
	}
	for (size_t i = 0; i < s.lab.count; i++)
		same_snapshot(&s.lab, &s.lab.ids[i], s.lab.kept[i], 3);
	repository_is_good(&s.lab);
	/* The cache is good across epochs: nothing is told, and the same is known. */
	s.notices = 0;
	ok(open_as(&s, CARL, &carl));
	repo_free(&carl);
	ok(open_as(&s, CARL, &carl));
	assert_int_equal(s.notices, 0);
	repo_free(&carl);
	/* Who comes later has the old epochs, too, and the next rotation takes them along. */
	ok(secret_new(SPAN_LIT("0123456789abcdef0123456789abcdef"), &late, &err));
	ok(repo_key_add(s.lab.repo, ROLE_FULL, late, &(struct slot_options){ .kind = SLOT_KEY_FILE }, &id, &err));
	rotate(&s, 5);
	secret_free(&s.lab.secret);
	s.lab.secret = late;
	lab_reopen(&s.lab);
	for (size_t i = 0; i < s.lab.count; i++)
		same_snapshot(&s.lab, &s.lab.ids[i], s.lab.kept[i], 5);
	story_end(&s);
}

static size_t bytes_of(const struct keys *k)
{
	return sizeof *k + k->shape.epochs * sizeof *k->epochs;
}

/* Every run of 32 bytes that K holds as a key of BOX. */
static bool any_bytes_open(const struct keys *k, struct span ad, struct span box)
{
	uint8_t *plain = malloc(box.len);
	bool opened = false;

	assert_non_null(plain);
	for (size_t at = 0; !opened && at + KEY_BYTES <= bytes_of(k); at++)
		opened = aead_open((const uint8_t *)k + at, box.ptr, ad, span_skip(box, NONCE_BYTES), plain);
	free(plain);
	return opened;
}

/* Every run of 32 bytes as the secret key of a share. */
static bool any_bytes_unbox(const struct keys *k, const uint8_t *box_public, struct span sealed)
{
	uint8_t plain[EPOCH_SEALED_BYTES];

	for (size_t at = 0; at + KEY_BYTES <= bytes_of(k); at++)
		if (crypto_box_seal_open(plain, sealed.ptr, sealed.len, box_public, (const uint8_t *)k + at) == 0)
			return true;
	return false;
}

static void record_of(struct repo *r, uint64_t number, struct buf *out)
{
	buf_clear(out);
	ok(store_get(r->store, record_path(number).text, RECORD_BYTES_MAX, out, &err));
}

static bool record_opens(const struct keys *k, const struct buf *record)
{
	return any_bytes_open(k, span_first(buf_span(record), 40), span_skip(buf_span(record), 40));
}

/* Bob kept his keys and a copy of his objects, and reads the store. */
static void who_was_removed_reads_nothing_newer(void **state)
{
	static struct story s;
	struct buf record = BUF_EMPTY, slot = BUF_EMPTY, bundle = BUF_EMPTY;
	struct key_path slot_path, bundle_path;
	struct repo *bob = NULL, *late = NULL;
	uint64_t before, rotated;
	uint32_t epoch, packs;

	(void)state;
	story_start(&s, "who_was_removed_reads_nothing_newer");
	change_world(&s.lab, 60);
	run_whole(&s.lab, &(struct snapshot_options){ 0 });
	ok(open_as(&s, BOB, &bob));
	slot_path = key_path_of(s.ids[BOB], KEY_SLOT);
	bundle_path = key_path_of(s.ids[BOB], KEY_BUNDLE);
	ok(store_get(bob->store, slot_path.text, SLOT_BYTES, &slot, &err));
	ok(store_get(bob->store, bundle_path.text, BUNDLE_BYTES_MAX, &bundle, &err));
	before = ledger_head(bob->ledger).number;
	packs = ledger_pack_count(bob->ledger);
	ok(repo_key_may_rotate(s.lab.repo, &s.ids[BOB], &err));
	ok(repo_key_remove(s.lab.repo, &s.ids[BOB], &err));
	ok(repo_key_rotate(s.lab.repo, &epoch, &err));
	rotated = ledger_head(s.lab.repo->ledger).number;
	lab_reopen(&s.lab);
	change_world(&s.lab, 60);
	run_whole(&s.lab, &(struct snapshot_options){ 0 });
	/* He finds what he could: what was before, and that there was a rotation; his keys fit nothing in it. */
	record_of(s.lab.repo, before, &record);
	assert_true(record_opens(bob->keys, &record));
	record_of(s.lab.repo, rotated, &record);
	assert_true(record_opens(bob->keys, &record));
	for (size_t i = 0; i < ledger_holder_count(s.lab.repo->ledger); i++) {
		const struct holder_payload *h = ledger_holder(s.lab.repo->ledger, i);
		struct span share = fold_epoch_entry(&s.lab.repo->ledger->fold, 2, &h->holder);

		assert_int_equal(share.len, h->role == HOLDER_REMOVED ? 0 : EPOCH_SEALED_BYTES);
		if (share.len)
			assert_false(any_bytes_unbox(bob->keys, h->box_public, share));
		if (!memcmp(&h->holder, &s.lab.repo->ledger->fold.init.holder, sizeof h->holder))
			assert_true(any_bytes_unbox(s.lab.repo->keys, h->box_public, share));
	}
	for (uint64_t n = rotated + 1; n <= ledger_head(s.lab.repo->ledger).number; n++) {
		record_of(s.lab.repo, n, &record);
		assert_true(record_opens(s.lab.repo->keys, &record));
		assert_false(record_opens(bob->keys, &record));
	}
	assert_true(ledger_pack_count(s.lab.repo->ledger) > packs);
	for (uint32_t i = 0; i < ledger_pack_count(s.lab.repo->ledger); i++) {
		struct pack *pack = NULL;
		enum err_code rc =
		        pack_open(bob->store, bob->keys, &ledger_pack(s.lab.repo->ledger, i)->pack, &pack, NULL, &err);

		assert_string_equal(err_code_name(rc), err_code_name(i < packs ? ERR_OK : ERR_WRONG_KEY));
		pack_free(&pack);
	}
	/* Nor does he come in with his objects put back, running or anew. */
	assert_int_equal(ledger_refresh(bob->ledger, &err), ERR_WRONG_KEY);
	ok(store_put(bob->store, slot_path.text, buf_span(&slot), &err));
	ok(store_put(bob->store, bundle_path.text, buf_span(&bundle), &err));
	assert_int_equal(open_as(&s, BOB, &late), ERR_WRONG_KEY);
	assert_non_null(strstr(err.text, "was removed"));
	repo_free(&bob);
	buf_release(&record);
	buf_release(&slot);
	buf_release(&bundle);
	story_end(&s);
}

/* A record under old keys would let Bob read on: it counts for nobody, even when a holder who counts has signed it. */
static void a_record_under_old_keys_is_void(void **state)
{
	static struct story s;
	struct record r = { .kind = RECORD_OPEN | RECORD_CRITICAL, .epoch = 1 };
	struct buf bytes = BUF_EMPTY;
	struct ledger_head head;
	struct repo *bob = NULL;

	(void)state;
	story_start(&s, "a_record_under_old_keys_is_void");
	ok(open_as(&s, BOB, &bob));
	rotate(&s, 2);
	head = ledger_head(s.lab.repo->ledger);
	r.number = head.number + 1;
	r.holder = s.ids[BOB];
	memcpy(r.prev_hash, head.hash, sizeof r.prev_hash);
	ok(record_seal(bob->keys, &r, &bytes, &err));
	ok(store_put(bob->store, record_path(r.number).text, buf_span(&bytes), &err));
	ok(ledger_refresh(s.lab.repo->ledger, &err));
	assert_int_equal(ledger_head(s.lab.repo->ledger).number, r.number);
	assert_int_equal(ledger_session(s.lab.repo->ledger, r.number), SESSION_UNKNOWN);
	/* And the ledger goes on. */
	ok(ledger_open_session(s.lab.repo->ledger, &r.number, &err));
	repo_free(&bob);
	buf_release(&bytes);
	story_end(&s);
}

static void lab_open_another(struct story *s, struct repo **out)
{
	struct repo_options o = { .url = s->lab.url,
		                  .secret = s->lab.secret,
		                  .secret_kind = SLOT_KEY_FILE,
		                  .cache_folder = s->lab.cache,
		                  .notice = count_notice,
		                  .notice_ctx = s,
		                  .wait_ms = 600000 };

	ok(repo_open(&o, out, &err));
}

/* Rotates as soon as the other one says that it waits. The index is free only then. */
static void *rotate_and_let_go(void *ctx)
{
	struct story *s = ctx;
	struct err e = { 0 };
	uint32_t epoch;

	while (atomic_load(&s->notices) == 0)
		usleep(1000);
	if (repo_key_rotate(s->lab.repo, &epoch, &e))
		abort();
	repo_drop_index(s->lab.repo);
	return NULL;
}

/* Who was there before new keys came is told to begin again, and never of damage or a wrong key. */
static void who_meets_new_keys_is_told_to_begin_again(void **state)
{
	static struct story s;
	struct prune_options tight = { .max_repack_bytes = UINT64_MAX };
	struct forget_policy policy = { .keep[KEEP_LAST] = 1 };
	struct forget_report forgot;
	struct prune_report pruned;
	struct check_report checked;
	struct repo *bob = NULL;

	(void)state;
	story_start(&s, "who_meets_new_keys_is_told_to_begin_again");
	change_world(&s.lab, 60);
	run_whole(&s.lab, &(struct snapshot_options){ 0 });
	ok(open_as(&s, BOB, &bob));
	rotate(&s, 2);
	change_world(&s.lab, 60);
	run_whole(&s.lab, &(struct snapshot_options){ 0 });
	ok(engine_prune(s.lab.repo, &tight, &pruned, &err));
	assert_int_equal(
	        engine_check(bob, &(struct check_options){ .read_data = true }, no_problem, NULL, &checked, &err),
	        ERR_STATE);
	assert_non_null(strstr(err.text, "rotated meanwhile; run the command again"));
	assert_int_equal(engine_prune(bob, &tight, &pruned, &err), ERR_STATE);
	assert_non_null(strstr(err.text, "rotated meanwhile; run the command again"));
	assert_int_equal(engine_forget_policy(bob, &policy, NULL, NULL, &forgot, &err), ERR_STATE);
	repo_free(&bob);
	ok(open_as(&s, BOB, &bob));
	ok(engine_check(bob, &(struct check_options){ .read_data = true }, no_problem, NULL, &checked, &err));
	ok(engine_prune(bob, &tight, &pruned, &err));
	repo_free(&bob);
	story_end(&s);
}

/* Who waited for another process of its machine finds new keys when its turn comes. */
static void who_waited_for_the_index_finds_new_keys(void **state)
{
	static struct story s;
	struct repo *waiting = NULL;
	pthread_t other;

	(void)state;
	story_start(&s, "who_waited_for_the_index_finds_new_keys");
	change_world(&s.lab, 60);
	run_whole(&s.lab, &(struct snapshot_options){ 0 });
	lab_open_another(&s, &waiting);
	ok(repo_need_index(s.lab.repo, INDEX_WRITE, &err));
	assert_int_equal(pthread_create(&other, NULL, rotate_and_let_go, &s), 0);
	assert_int_equal(repo_need_index(waiting, INDEX_WRITE, &err), ERR_STATE);
	assert_non_null(strstr(err.text, "rotated meanwhile; run the command again"));
	assert_int_equal(pthread_join(other, NULL), 0);
	repo_free(&waiting);
	story_end(&s);
}

static void only_a_full_holder_rotates(void **state)
{
	static struct story s;
	struct repo *r = NULL;
	uint32_t epoch;

	(void)state;
	story_start(&s, "only_a_full_holder_rotates");
	for (int i = 0; i < BOB; i++) {
		ok(open_as(&s, i, &r));
		assert_int_equal(repo_key_rotate(r, &epoch, &err), ERR_DENIED);
		/* Past the polite refusal: with keys of somebody's making. */
		assert_int_equal(ledger_rotate(r->ledger, s.lab.repo->keys, &err), ERR_DENIED);
		repo_free(&r);
	}
	story_end(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_who_stays_goes_on),
		cmocka_unit_test(who_was_removed_reads_nothing_newer),
		cmocka_unit_test(a_record_under_old_keys_is_void),
		cmocka_unit_test(who_meets_new_keys_is_told_to_begin_again),
		cmocka_unit_test(who_waited_for_the_index_finds_new_keys),
		cmocka_unit_test(only_a_full_holder_rotates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
