/*
 * Holds on real repositories: whatever rules, forget and prune do, what a hold's query found when it was made is found
 * ever after, and whole; and as few snapshots stay for it as can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/wr.h"
#include "unit/engine/work/lab.h"

static const struct prune_options at_once = { .max_unused_percent = PRUNE_UNUSED_PERCENT,
	                                      .max_repack_bytes = UINT64_MAX };

static void make_history(struct lab *l, size_t snapshots)
{
	for (size_t i = 0; i < snapshots; i++) {
		change_world(l, 40 + below(150));
		run_whole(l, &(struct snapshot_options){ 0 });
		for (size_t f = 0; f < FAKE_FOLDERS; f++)
			for (size_t n = l->now.folders[f].count; n-- > 0;)
				if (l->now.folders[f].items[n].trouble == FAKE_VANISHES)
					item_remove(&l->now.folders[f], n);
	}
}

/* Identities of what a query finds, each a digest, in the order of finding. */
struct found {
	struct chunk_id ids[SNAPSHOTS_KEPT * FAKE_ITEMS];
	size_t count;
};

static enum err_code note(void *ctx, const struct find_hit *hit, struct err *e)
{
	struct found *f = ctx;
	struct buf all = BUF_EMPTY;
	struct wr w = wr_to(&all, e);

	wr_blob(&w, hit->collection);
	wr_blob(&w, hit->item->key);
	wr_bytes(&w, span_of(&hit->item->content, sizeof hit->item->content));
	ok(wr_end(&w));
	assert_true(f->count < sizeof f->ids / sizeof *f->ids);
	crypto_digest(buf_span(&all), f->ids[f->count++].bytes, ID_BYTES);
	buf_release(&all);
	return ERR_OK;
}

static struct found *find_all(struct lab *l, const struct find_query *q)
{
	struct found *f = calloc(1, sizeof *f);

	assert_non_null(f);
	ok(engine_find(l->repo, q, note, f, &err));
	return f;
}

static bool has(const struct found *f, const struct chunk_id *id)
{
	for (size_t i = 0; i < f->count; i++)
		if (chunk_id_equal(&f->ids[i], id))
			return true;
	return false;
}

static struct find_query any_query(void)
{
	static const struct find_query all[] = {
		{ .title = { (const uint8_t *)"topic3", sizeof "topic3" - 1 } },
		{ .from = { (const uint8_t *)"someone2", sizeof "someone2" - 1 },
		  .collection = { (const uint8_t *)"folder-*", sizeof "folder-*" - 1 } },
		{ .any = { (const uint8_t *)"topic1 of 9", sizeof "topic1 of 9" - 1 } },
		{ .title = { (const uint8_t *)"topic", sizeof "topic" - 1 },
		  .collection = { (const uint8_t *)"INBOX", sizeof "INBOX" - 1 } },
		{ .title = { (const uint8_t *)"nobody ever wrote this", sizeof "nobody ever wrote this" - 1 } },
	};
	struct find_query q = all[below(sizeof all / sizeof *all)];

	q.after_ms = INT64_MIN;
	q.before_ms = INT64_MAX;
	return q;
}

/* Of what is live, those that stay because one shrank. */
static size_t shrunk_or_before(struct lab *l)
{
	size_t n = 0;

	for (size_t i = 0; i < ledger_snapshot_count(l->repo->ledger); i++)
		n += ledger_snapshot(l->repo->ledger, i)->entry.flags & SNAPSHOT_SHRUNK ? 2 : 0;
	return n;
}

static size_t live(struct lab *l)
{
	size_t n = 0;

	for (size_t i = 0; i < ledger_snapshot_count(l->repo->ledger); i++)
		n += ledger_snapshot(l->repo->ledger, i)->state == SNAPSHOT_LIVE;
	return n;
}

/* Tries to take away by name, by rules, and out of the trash. */
static void take_away(struct lab *l)
{
	struct forget_policy p = { .keep[KEEP_LAST] = 1 + (uint32_t)below(2), .force = true };
	struct forget_report report;
	struct prune_report pruned;

	for (size_t i = 0; i + 1 < l->count; i++) {
		enum err_code rc = below(2) ? engine_forget(l->repo, &l->ids[i], 1, false, &err) : ERR_OK;

		assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
	}
	ok(engine_forget_policy(l->repo, &p, NULL, NULL, &report, &err));
	ok(engine_prune(l->repo, &at_once, &pruned, &err));
}

static void what_a_query_found_is_found_ever_after(void **state)
{
	static struct lab l;

	(void)state;
	random_start("what_a_query_found_is_found_ever_after");
	for (int round = 0; round < 4; round++) {
		struct find_query q = any_query();
		struct hold_options o = { .label = "case 7", .query = &q, .until_ms = 1 };
		struct found *before, *after;
		struct hold_id id;
		size_t bound;

		lab_start(&l);
		make_history(&l, 7);
		if (below(2))
			o.account = "ann";
		before = find_all(&l, &q);
		/* What lies in the trash when the hold is made is no exception. */
		if (below(2))
			ok(engine_forget(l.repo, l.ids, 1 + below(5), false, &err));
		ok(engine_hold_add(l.repo, &o, &id, &err));
		take_away(&l);
		after = find_all(&l, &q);
		for (size_t i = 0; i < before->count; i++)
			if (!has(after, &before->ids[i]))
				fail_msg("of %zu held items number %zu is gone", before->count, i);
		/* No snapshot stays for nothing. */
		bound = before->count + 2 + shrunk_or_before(&l);
		assert_true(live(&l) <= bound);
		for (size_t i = 0; i < l.count; i++)
			if (snapshot_find(l.repo, &l.ids[i]))
				same_snapshot(&l, &l.ids[i], l.kept[i], 10);
		repository_is_good(&l);
		/* Only the release lets it go. */
		ok(engine_hold_remove(l.repo, &id, &err));
		take_away(&l);
		take_away(&l);
		assert_true(live(&l) <= 2 + shrunk_or_before(&l));
		free(before);
		free(after);
		lab_end(&l);
	}
}

/* Each holder looks, and somebody else forgets in between: the ledger refuses, and it is looked at again. */
static void two_who_forget_at_once_leave_one(void **state)
{
	static struct lab l;
	struct repo_options o = { .secret_kind = SLOT_KEY_FILE };
	struct find_query q = { .after_ms = INT64_MIN, .before_ms = INT64_MAX, .title = SPAN_LIT("topic") };
	struct hold_options h = { .label = "case 8", .query = &q, .until_ms = INT64_MIN };
	struct repo *other = NULL;
	struct hold_id id;
	char cache[100];

	(void)state;
	random_start("two_who_forget_at_once_leave_one");
	lab_start(&l);
	while (l.now.folders[0].count < 20)
		item_new(&l, &l.now.folders[0], false);
	for (int i = 0; i < 3; i++)
		run_whole(&l, &(struct snapshot_options){ 0 });
	ok(engine_hold_add(l.repo, &h, &id, &err));
	snprintf(cache, sizeof cache, "%s-2", l.cache);
	o.url = l.url;
	o.secret = l.secret;
	o.cache_folder = cache;
	ok(repo_open(&o, &other, &err));
	/* All three hold the same; two may go, whoever forgets which, but never the third. */
	ok(engine_forget(l.repo, &l.ids[0], 1, false, &err));
	ok(engine_forget(other, &l.ids[1], 1, false, &err));
	assert_int_equal(engine_forget(l.repo, &l.ids[2], 1, false, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "case 8"));
	assert_int_equal(engine_forget(other, &l.ids[2], 1, false, &err), ERR_NOT_FOUND);
	repo_free(&other);
	lab_end(&l);
}

static void a_dry_run_of_prune_counts_what_is_held(void **state)
{
	static struct lab l;
	struct prune_options o = at_once;
	struct prune_report dry, wet;
	struct hold_id id;

	(void)state;
	random_start("a_dry_run_of_prune_counts_what_is_held");
	lab_start(&l);
	make_history(&l, 5);
	ok(engine_hold_add(
	        l.repo,
	        &(struct hold_options){
	                .label = "three", .until_ms = INT64_MIN, .snapshots = l.ids + 1, .snapshot_count = 1 },
	        &id, &err));
	assert_int_equal(engine_forget(l.repo, l.ids, 2, false, &err), ERR_NOT_FOUND);
	ok(engine_forget(l.repo, l.ids, 1, false, &err));
	ok(engine_forget(l.repo, l.ids + 2, 1, false, &err));
	o.dry_run = true;
	ok(engine_prune(l.repo, &o, &dry, &err));
	o.dry_run = false;
	ok(engine_prune(l.repo, &o, &wet, &err));
	assert_int_equal(dry.snapshots_expired, 2);
	assert_int_equal(wet.snapshots_expired, 2);
	assert_int_equal(dry.packs_unused, wet.packs_unused);
	assert_int_equal(live(&l), 3);
	same_snapshot(&l, &l.ids[1], l.kept[1], 1);
	lab_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_query_found_is_found_ever_after),
		cmocka_unit_test(two_who_forget_at_once_leave_one),
		cmocka_unit_test(a_dry_run_of_prune_counts_what_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
