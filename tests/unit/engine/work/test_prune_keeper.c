/*
 * Prune with a keeper's key, and what both roles share: blocks that move sealed, limits of waste and time, and that
 * thousands of runs leave few objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/text.h"
#include "engine/pack/pack_internal.h"
#include "engine/work/writer.h"
#include "unit/engine/work/lab.h"

static const struct prune_options tight = { .max_repack_bytes = UINT64_MAX };

static struct prune_report prune(struct repo *r, const struct prune_options *o)
{
	struct prune_report report;

	ok(engine_prune(r, o, &report, &err));
	return report;
}

static void forget(struct lab *l, struct repo *by, size_t i)
{
	ok(engine_forget(by, &l->ids[i], 1, false, &err));
	free(l->kept[i]);
	l->kept[i] = NULL;
}

static void what_is_kept_is_whole(struct lab *l, size_t one_in)
{
	ok(ledger_refresh(l->repo->ledger, &err));
	lab_reopen(l);
	for (size_t i = 0; i < l->count; i++)
		if (l->kept[i])
			same_snapshot(l, &l->ids[i], l->kept[i], one_in);
	repository_is_good(l);
}

static void make_history(struct lab *l, size_t snapshots)
{
	for (size_t i = 0; i < snapshots; i++) {
		change_world(l, (40 + below(300)) / SLOWER);
		run_whole(l, &(struct snapshot_options){ 0 });
		for (size_t f = 0; f < FAKE_FOLDERS; f++)
			for (size_t n = l->now.folders[f].count; n-- > 0;)
				if (l->now.folders[f].items[n].trouble == FAKE_VANISHES)
					item_remove(&l->now.folders[f], n);
	}
}

/* Runs of one item each: small packs. */
static void make_small_packs(struct lab *l, size_t runs)
{
	for (size_t i = 0; i < runs; i++) {
		item_new(l, &l->now.folders[i % 5], false);
		run_whole(l, &(struct snapshot_options){ 0 });
	}
}

/* A keeper of the lab's repository, on a machine of its own. */
static struct repo *keeper_open(struct lab *l)
{
	uint8_t bytes[SLOT_KEY_FILE_BYTES] = { 8 };
	struct slot_options slot = { .kind = SLOT_KEY_FILE, .label = SPAN_LIT("cleaner") };
	struct repo_options o = { .url = l->url, .secret_kind = SLOT_KEY_FILE };
	struct secret *secret = NULL;
	struct repo *keeper = NULL;
	struct holder_id id;
	char cache[100];

	snprintf(cache, sizeof cache, "%s/cache-keeper", l->folder);
	ok(secret_new(span_of(bytes, sizeof bytes), &secret, &err));
	ok(repo_key_add(l->repo, ROLE_KEEPER, secret, &slot, &id, &err));
	o.secret = secret;
	o.cache_folder = cache;
	ok(repo_open(&o, &keeper, &err));
	assert_false(keys_read_names(keeper->keys));
	secret_free(&secret);
	return keeper;
}

/* Does anything of R's live packs stand under a seal that came from elsewhere? */
static size_t carried_seals(struct repo *r)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < ledger_pack_count(r->ledger); i++) {
		struct pack *p = NULL;

		if (ledger_pack(r->ledger, i)->state != PACK_LIVE)
			continue;
		ok(pack_open(r->store, r->keys, &ledger_pack(r->ledger, i)->pack, &p, NULL, &err));
		sum += p->directory.seal_count > 3 ? p->directory.seal_count - 3 : 0;
		pack_free(&p);
	}
	return sum;
}

static void again_changes_nothing(struct repo *r, const struct prune_options *o)
{
	struct prune_report report;
	uint64_t head;

	ok(ledger_refresh(r->ledger, &err));
	head = ledger_head(r->ledger).number;
	report = prune(r, o);
	assert_int_equal(report.packs_unused + report.packs_repacked + report.packs_deleted, 0);
	assert_int_equal(ledger_head(r->ledger).number, head);
}

static void a_keeper_frees_what_it_cannot_read(void **state)
{
	static struct lab l;
	struct repo *keeper;
	struct prune_report first, r;

	(void)state;
	random_start("a_keeper_frees_what_it_cannot_read");
	lab_start(&l);
	make_history(&l, 4);
	make_small_packs(&l, 56);
	keeper = keeper_open(&l);
	for (size_t i = 0; i + 1 < l.count; i++)
		if (i % 2 == 0)
			forget(&l, keeper, i);
	first = prune(keeper, &tight);
	assert_int_equal(first.snapshots_expired, 30);
	assert_true(first.packs_repacked >= 16 && first.packs_deleted >= first.packs_repacked);
	assert_true(carried_seals(keeper) > 16);
	again_changes_nothing(keeper, &tight);
	what_is_kept_is_whole(&l, 2);
	/* The next runs build on what was carried, and a full key frees what the keeper had to leave. */
	make_history(&l, 2);
	r = prune(l.repo, &tight);
	assert_true(r.chunks >= r.chunks_live);
	r = prune(l.repo, &(struct prune_options){ .dry_run = true, .max_repack_bytes = UINT64_MAX });
	assert_int_equal(r.chunks, r.chunks_live);
	what_is_kept_is_whole(&l, 2);
	/* The keeper's own view follows. */
	again_changes_nothing(keeper, &(struct prune_options){ .max_unused_percent = 100 });
	repo_free(&keeper);
	lab_end(&l);
}

/* The best that a keeper can do: no block without anything needed remains. */
static void a_keeper_leaves_no_block_that_nothing_needs(void **state)
{
	static struct lab l;
	struct repo *keeper;
	struct prune_report before, after;

	(void)state;
	random_start("a_keeper_leaves_no_block_that_nothing_needs");
	lab_start(&l);
	for (int i = 0; i < 200; i++)
		item_new(&l, &l.now.folders[2 + i % 3], false);
	/* Several megabytes each: blocks of their own. */
	for (int i = 0; i < 6; i++)
		item_new(&l, &l.now.folders[1], true);
	run_whole(&l, &(struct snapshot_options){ 0 });
	l.now.folders[1].count = l.now.folders[2].count = 0;
	run_whole(&l, &(struct snapshot_options){ 0 });
	keeper = keeper_open(&l);
	forget(&l, keeper, 0);
	before = prune(keeper, &(struct prune_options){ .dry_run = true, .max_repack_bytes = UINT64_MAX });
	prune(keeper, &tight);
	after = prune(keeper, &(struct prune_options){ .dry_run = true, .max_repack_bytes = UINT64_MAX });
	assert_int_equal(before.chunks_live, after.chunks_live);
	assert_true(after.bytes < before.bytes - 4 * MIB && after.chunks < before.chunks);
	assert_int_equal(after.packs_repacked, 0);
	assert_int_equal(before.bytes_unused_left, after.bytes_unused_left);
	what_is_kept_is_whole(&l, 1);
	repo_free(&keeper);
	lab_end(&l);
}

/* ---- trust ---- */

static uint32_t full_content_block(const struct pack *p)
{
	for (uint32_t b = 0; b < pack_block_count(p); b++) {
		const struct block_info *info = pack_block(p, b);

		if (block_class_scope(info->class) == SCOPE_CONTENT && info->chunk_count > 1 &&
		    info->raw_bytes >= block_class_target(info->class) / 2)
			return b;
	}
	fail_msg("no full block of content");
	return 0;
}

/* What a keeper could do that lies: pack 0 again, with two ids of block LIE exchanged. */
static void repack_with_a_lie(struct repo *keeper)
{
	const struct pack_fact *fact = ledger_pack(keeper->ledger, 0);
	uint32_t ordinal = 0, number;
	struct buf ids = BUF_EMPTY, sealed = BUF_WITH_MAX(PACK_BYTES_MAX);
	struct pack_writer *w = NULL;
	struct pack_added added;
	struct pack *p = NULL;
	struct commit c = { .added = &added, .added_count = 1, .against = &ordinal, .against_count = 1 };
	uint64_t record;

	ok(pack_open(keeper->store, keeper->keys, &fact->pack, &p, NULL, &err));
	ok(ledger_open_session(keeper->ledger, &c.session, &err));
	ok(pack_writer_open(keeper->store, keeper->keys, c.session, &w, &err));
	for (uint32_t b = 0; b < pack_block_count(p); b++) {
		struct chunk_id *id, swap;

		buf_clear(&ids);
		buf_clear(&sealed);
		ok(pack_ids(p, b, keeper->codec, &ids, &err));
		ok(pack_read_sealed(p, b, 1, &sealed, &err));
		id = (struct chunk_id *)(void *)ids.ptr;
		if (b == full_content_block(p)) {
			swap = id[0];
			id[0] = id[1];
			id[1] = swap;
		}
		ok(pack_writer_carry(w, p, b, buf_span(&sealed), id, &number, &err));
	}
	ok(pack_writer_finish(&w, &added, &err));
	ok(ledger_repack(keeper->ledger, ledger_head(keeper->ledger).number, &c, &record, &err));
	ok(ledger_end_session(keeper->ledger, c.session, &err));
	pack_free(&p);
	buf_release(&ids);
	buf_release(&sealed);
}

static int lies_found;

static void count_lies(void *ctx, enum engine_notice_kind kind, const char *text)
{
	(void)ctx;
	(void)kind;
	lies_found += strstr(text, "not what its id says") != NULL;
}

/* A block that is full and wholly needed would move unopened; one that a keeper made is looked into first. */
static void a_full_key_does_not_vouch_for_what_a_keeper_repacked(void **state)
{
	static struct lab l;
	struct repo *keeper;
	uint32_t packs;

	(void)state;
	random_start("a_full_key_does_not_vouch_for_what_a_keeper_repacked");
	lab_start(&l);
	for (int i = 0; i < 60; i++)
		item_new(&l, &l.now.folders[i % 5], i % 10 == 0);
	run_whole(&l, &(struct snapshot_options){ 0 });
	/* Pages of the first snapshot are needed no more, its bodies are. */
	for (size_t f = 0; f < 5; f++)
		item_new(&l, &l.now.folders[f], false);
	run_whole(&l, &(struct snapshot_options){ 0 });
	keeper = keeper_open(&l);
	ok(repo_need_index(keeper, INDEX_READ, &err));
	repack_with_a_lie(keeper);
	repo_free(&keeper);
	lab_reopen(&l);
	forget(&l, l.repo, 0);
	l.repo->notice = count_lies;
	packs = ledger_pack_count(l.repo->ledger);
	prune(l.repo, &tight);
	assert_int_equal(lies_found, 1);
	assert_int_equal(ledger_pack(l.repo->ledger, packs - 1)->state, PACK_LIVE);
	lab_end(&l);
}

/* A snapshot whose one collection names the roots of VICTIM as if they were bodies. */
static struct snapshot_id snapshot_with_false_leaves(struct lab *l, const struct snapshot_entry *victim)
{
	struct chunk_id ids[4] = { { { 0 } }, { { 0 } }, victim->spine_root, victim->state_root };
	struct page_row row = { .key = SPAN_LIT("x"), .facts = SPAN_LIT("f"), .state = SPAN_LIT("s") };
	struct snapshot_entry entry = { .id = { { 66 } }, .account = { { 77 } }, .time_ms = victim->time_ms };
	struct commit c = { 0 };
	struct pool *pool = NULL;
	struct writer *w = NULL;
	struct page_builder *b = NULL;
	struct page_roots roots;
	struct chunk_io io;
	uint64_t items, number;

	ok(repo_need_index(l->repo, INDEX_WRITE, &err));
	ok(pool_open(1, &pool, &err));
	ok(writer_open(l->repo, pool, 3, false, &w, &err));
	io = writer_chunk_io(w);
	ok(page_builder_open(&io, &b, &err));
	ok(page_builder_add(b, &row, ids, 4, SPAN_EMPTY, &err));
	ok(page_builder_roots(b, &roots, &items, &err));
	ok(writer_flush(w, &err));
	writer_commit_part(w, true, &c);
	entry.spine_root = roots.spine;
	entry.state_root = roots.state;
	c.session = writer_session(w);
	c.snapshots = &entry;
	c.snapshot_count = 1;
	ok(ledger_commit(l->repo->ledger, &c, &number, &err));
	writer_committed(w, true);
	page_builder_free(&b);
	writer_free(&w);
	pool_free(&pool);
	return entry.id;
}

/* Whoever adds snapshots says what a chunk is; what others have below it must not depend on that. */
static void what_one_calls_a_body_is_still_anothers_tree(void **state)
{
	static struct lab l;
	struct snapshot_id eve;

	(void)state;
	random_start("what_one_calls_a_body_is_still_anothers_tree");
	lab_start(&l);
	for (int i = 0; i < 60; i++)
		item_new(&l, &l.now.folders[i % 5], false);
	run_whole(&l, &(struct snapshot_options){ 0 });
	eve = snapshot_with_false_leaves(&l, &ledger_snapshot(l.repo->ledger, 0)->entry);
	lab_reopen(&l);
	/* Nothing changed: the same roots again, and the only ones that stay. */
	run_whole(&l, &(struct snapshot_options){ 0 });
	assert_memory_equal(&ledger_snapshot(l.repo->ledger, 0)->entry.spine_root,
	                    &ledger_snapshot(l.repo->ledger, 2)->entry.spine_root, sizeof(struct chunk_id));
	forget(&l, l.repo, 0);
	prune(l.repo, &tight);
	ok(engine_forget(l.repo, &eve, 1, false, &err));
	prune(l.repo, &tight);
	what_is_kept_is_whole(&l, 1);
	lab_end(&l);
}

/* ---- limits ---- */

/* What is left unused is within the limit, measured by a dry run that knows nothing of the first. */
static void the_limit_of_waste_is_of_all_that_is_left(void **state)
{
	static const unsigned limits[] = { 60, 30, 10, 3, 0 };
	static struct lab l;
	uint64_t left = UINT64_MAX;

	(void)state;
	random_start("the_limit_of_waste_is_of_all_that_is_left");
	lab_start(&l);
	make_history(&l, 10);
	for (size_t i = 0; i + 1 < l.count; i++)
		if (i % 3)
			forget(&l, l.repo, i);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct prune_options o = { .max_unused_percent = limits[i], .max_repack_bytes = UINT64_MAX };
		struct prune_report r = prune(l.repo, &o), seen;

		o.dry_run = true;
		seen = prune(l.repo, &o);
		assert_int_equal(seen.packs_repacked, 0);
		assert_true(seen.bytes_unused_left <= r.bytes_unused_left + MIB / 8);
		assert_true(seen.bytes_unused_left * 100 <= seen.bytes * limits[i]);
		assert_true(seen.bytes_unused_left <= left);
		left = seen.bytes_unused_left;
	}
	assert_int_equal(left, 0);
	what_is_kept_is_whole(&l, 4);
	lab_end(&l);
}

static void a_size_is_a_limit_of_waste_as_well(void **state)
{
	static struct lab l;
	struct prune_options o = { .dry_run = true, .max_repack_bytes = UINT64_MAX };
	uint64_t waste;

	(void)state;
	random_start("a_size_is_a_limit_of_waste_as_well");
	lab_start(&l);
	make_history(&l, 6);
	for (size_t i = 0; i + 1 < l.count; i++)
		forget(&l, l.repo, i);
	o.max_unused_percent = 100;
	waste = prune(l.repo, &o).bytes_unused_left;
	assert_true(waste > 100000);
	o.max_unused_percent = 0;
	o.max_unused_bytes = waste;
	assert_int_equal(prune(l.repo, &o).packs_repacked, 0);
	o.max_unused_bytes = waste / 2;
	assert_true(prune(l.repo, &o).packs_repacked > 0);
	assert_true(prune(l.repo, &o).bytes_unused_left <= waste / 2);
	lab_end(&l);
}

/* Each short run does something and leaves all whole; together they come to the end. */
static void short_prunes_come_to_the_end(void **state)
{
	static struct lab l;
	struct prune_options o = tight;
	struct prune_report r;
	int runs = 0;

	(void)state;
	random_start("short_prunes_come_to_the_end");
	lab_start(&l);
	make_history(&l, 8);
	for (size_t i = 0; i + 1 < l.count; i += 2)
		forget(&l, l.repo, i);
	o.max_duration_ms = 1;
	do {
		r = prune(l.repo, &o);
		assert_true(r.packs_repacked <= 2);
		if (runs++ < 3)
			what_is_kept_is_whole(&l, 8);
		assert_true(runs < 200);
	} while (r.out_of_time || r.packs_repacked);
	assert_true(runs > 3);
	/* What was condemned last may still lie there: deleting is bounded, too. */
	prune(l.repo, &tight);
	again_changes_nothing(l.repo, &tight);
	what_is_kept_is_whole(&l, 3);
	lab_end(&l);
}

/* ---- years ---- */

static enum err_code count_object(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)name;
	(void)bytes;
	(void)e;
	++*(size_t *)ctx;
	return ERR_OK;
}

static size_t packs_stored(struct lab *l)
{
	size_t count = 0;

	ok(store_list(l->repo->store, "pack", count_object, &count, &err));
	return count;
}

static void run_once(struct lab *l)
{
	struct fake_source *s = calloc(1, sizeof *s);
	struct snapshot_report report;

	assert_non_null(s);
	fake_source_init(s, &l->now);
	ok(engine_snapshot(l->repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err));
	free(s);
}

/*
 * RUNS runs of an item or two each, pruned every 24, by turns with a keeper's and a full key: docs/retention.md promises
 * S / 8 MiB and a twentieth, and 16 packs of each of 4 small sizes.
 */
static void thousands_of_runs_leave_few_packs(void **state)
{
	const char *wanted = getenv("MAILHOLD_PRUNE_RUNS");
	long runs = wanted ? atol(wanted) : 240 / SLOWER;
	struct forget_policy policy = { .keep[KEEP_LAST] = 30, .force = true };
	struct forget_report forgot;
	static struct lab l;
	struct repo *keeper;
	size_t most = 0;

	(void)state;
	random_start("thousands_of_runs_leave_few_packs");
	lab_start(&l);
	keeper = keeper_open(&l);
	for (long run = 1; run <= runs; run++) {
		struct fake_folder *f = &l.now.folders[below(5)];

		if (f->count && below(2))
			item_remove(f, below(f->count));
		item_new(&l, f, false);
		run_once(&l);
		if (run % 24)
			continue;
		ok(engine_forget_policy(keeper, &policy, NULL, NULL, &forgot, &err));
		prune(run % 48 ? keeper : l.repo, &(struct prune_options){ .max_unused_percent = PRUNE_UNUSED_PERCENT,
		                                                           .max_repack_bytes = UINT64_MAX });
		most = packs_stored(&l) > most ? packs_stored(&l) : most;
		lab_reopen(&l); /* the next run is a process of its own */
	}
	print_message("%ld runs: never more than %zu packs after a prune, %zu in the end\n", runs, most,
	              packs_stored(&l));
	assert_true(most <= 64 + 4);
	repository_is_good(&l);
	repo_free(&keeper);
	lab_end(&l);
}

/* ---- rules with a keeper's key ---- */

static void a_keeper_judges_accounts_by_their_ids(void **state)
{
	static struct lab l;
	struct forget_policy p = { .keep[KEEP_LAST] = 2, .force = true };
	struct forget_report r;
	struct repo *keeper;
	const char *tags[] = { "gold" };
	char digits[2 * ID16_BYTES + 1];

	(void)state;
	random_start("a_keeper_judges_accounts_by_their_ids");
	lab_start(&l);
	make_history(&l, 4);
	keeper = keeper_open(&l);
	p.account = "ann";
	assert_int_equal(engine_forget_policy(keeper, &p, NULL, NULL, &r, &err), ERR_NOT_FOUND);
	text_hex(span_of(ledger_snapshot(keeper->ledger, 0)->entry.account.bytes, ID16_BYTES), digits);
	digits[8] = 0;
	p.account = digits;
	/* Tags are sealed: taken for absent they would keep nothing. */
	p.keep_tags = tags;
	p.keep_tag_count = 1;
	assert_int_equal(engine_forget_policy(keeper, &p, NULL, NULL, &r, &err), ERR_DENIED);
	p.keep_tag_count = 0;
	ok(engine_forget_policy(keeper, &p, NULL, NULL, &r, &err));
	assert_int_equal(r.kept + r.forgotten, 4);
	assert_true(r.forgotten > 0);
	repo_free(&keeper);
	lab_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_keeper_frees_what_it_cannot_read),
		cmocka_unit_test(a_keeper_leaves_no_block_that_nothing_needs),
		cmocka_unit_test(a_full_key_does_not_vouch_for_what_a_keeper_repacked),
		cmocka_unit_test(what_one_calls_a_body_is_still_anothers_tree),
		cmocka_unit_test(the_limit_of_waste_is_of_all_that_is_left),
		cmocka_unit_test(a_size_is_a_limit_of_waste_as_well),
		cmocka_unit_test(short_prunes_come_to_the_end),
		cmocka_unit_test(thousands_of_runs_leave_few_packs),
		cmocka_unit_test(a_keeper_judges_accounts_by_their_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
