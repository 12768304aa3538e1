/*
 * Check on real repositories: what is damaged is told, once and by name; a part of the data every day goes round; and
 * whoever reads or checks while somebody prunes misses nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/work/survey.h"
#include "unit/engine/work/lab.h"
#include "unit/engine/work/damage.h"

static struct lab l;
static struct heard heard;

static void fill(size_t folders, size_t each)
{
	for (size_t f = 0; f < folders; f++)
		for (size_t i = 0; i < each; i++)
			item_new(&l, &l.now.folders[f], false);
}

/* Packs by packs, each of one run. */
static void make_packs(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fill(1, 8);
		run_whole(&l, &(struct snapshot_options){ 0 });
	}
}

static void an_affected_item_is_told_once_with_its_snapshots(void **state)
{
	struct check_report r;

	(void)state;
	random_start("an_affected_item_is_told_once_with_its_snapshots");
	lab_start(&l);
	fill(2, 100);
	for (int i = 0; i < 3; i++)
		run_whole(&l, &(struct snapshot_options){ 0 });
	repository_is_good(&l);
	assert_true(damage_class(&l, CLASS_ITEM));
	r = check_now(&l, &(struct check_options){ .read_data = true }, &heard);
	assert_int_equal(r.snapshots, 3);
	assert_true(heard.items > 0);
	assert_int_equal(heard.items, r.items_affected);
	assert_int_equal(heard.problems, heard.items + 1); /* and the block */
	for (size_t i = 0; i < heard.count; i++)
		assert_int_equal(heard.rows[i].snapshots, 3);
	/* The pack's tables are whole. */
	r = check_now(&l, &(struct check_options){ .read_data = false }, &heard);
	assert_int_equal(r.problems, 0);
	lab_end(&l);
}

static void a_chunk_with_a_whole_copy_is_not_lost(void **state)
{
	struct check_report r;
	struct prune_report pruned;
	uint32_t before;

	(void)state;
	random_start("a_chunk_with_a_whole_copy_is_not_lost");
	lab_start(&l);
	fill(1, 60);
	run_whole(&l, &(struct snapshot_options){ 0 });
	before = ledger_pack_count(l.repo->ledger);
	/* The condemned original may rot: the copy is what counts. */
	fill(1, 20);
	run_whole(&l, &(struct snapshot_options){ 0 });
	for (int i = 0; i < 20; i++) {
		fill(1, 1);
		run_whole(&l, &(struct snapshot_options){ 0 });
	}
	ok(engine_prune(l.repo, &(struct prune_options){ .wait_ms = PRUNE_WAIT_MS, .max_repack_bytes = UINT64_MAX },
	                &pruned, &err));
	for (uint32_t i = 0; i < before; i++)
		if (ledger_pack(l.repo->ledger, i)->state == PACK_CONDEMNED)
			pack_remove(&l, i);
	r = check_now(&l, &(struct check_options){ .read_data = true }, &heard);
	assert_int_equal(r.problems, 0);
	lab_end(&l);
}

static void a_part_every_day_goes_round(void **state)
{
	struct check_options part = { .read_data = true, .data_percent = 20 };
	struct check_report r;
	uint64_t packs, done = 0;
	int days = 0;

	(void)state;
	random_start("a_part_every_day_goes_round");
	lab_start(&l);
	make_packs(12);
	do {
		r = check_now(&l, &part, &heard);
		packs = r.packs;
		assert_int_equal(r.problems, 0);
		assert_true(r.packs_data >= 1 && r.packs_data < packs);
		done += r.packs_data;
		/* None twice before all were looked at. */
		assert_int_equal(r.verified.packs, done < packs ? done : packs);
		assert_int_equal(r.verified.packs + r.verified.never_packs, packs);
		lab_reopen(&l);
		days++;
	} while (r.verified.never_packs && days < 20);
	assert_true(days >= 2 && days <= 12);
	/* Then from the oldest again: nothing is ever left out. */
	for (int i = 0; i < 12; i++) {
		int64_t oldest = r.verified.oldest_ms;

		usleep(2000);
		r = check_now(&l, &part, &heard);
		assert_true(r.verified.oldest_ms >= oldest);
		assert_int_equal(r.verified.never_packs, 0);
	}
	/* One is enough, however little is asked for. */
	r = check_now(&l, &(struct check_options){ .read_data = true, .data_bytes = 1 }, &heard);
	assert_int_equal(r.packs_data, 1);
	r = check_now(&l, &(struct check_options){ .read_data = true, .data_ms = 1 }, &heard);
	assert_true(r.packs_data >= 1);
	r = check_now(&l, &(struct check_options){ .read_data = true, .data_ms = 60000 }, &heard);
	assert_int_equal(r.packs_data, packs);
	lab_end(&l);
}

static void a_damaged_pack_does_not_count_as_verified(void **state)
{
	struct check_report r;

	(void)state;
	random_start("a_damaged_pack_does_not_count_as_verified");
	lab_start(&l);
	make_packs(4);
	r = check_now(&l, &(struct check_options){ .read_data = true }, &heard);
	assert_int_equal(r.verified.never_packs, 0);
	assert_true(damage_class(&l, CLASS_ITEM));
	r = check_now(&l, &(struct check_options){ .read_data = true }, &heard);
	assert_int_equal(r.verified.never_packs, 1);
	/* It is what a small check looks at first. */
	r = check_now(&l, &(struct check_options){ .read_data = true, .data_bytes = 1 }, &heard);
	assert_true(r.problems > 0);
	lab_end(&l);
}

static void what_is_gone_is_named(void **state)
{
	struct check_report r;
	uint32_t gone;
	char path[200];

	(void)state;
	random_start("what_is_gone_is_named");
	lab_start(&l);
	make_packs(3);
	gone = 1;
	pack_file_path(&l, gone, path);
	pack_remove(&l, gone);
	lab_reopen(&l);
	r = check_now(&l, &(struct check_options){ 0 }, &heard);
	assert_int_equal(r.objects_gone, 1);
	assert_true(r.items_affected > 0);
	lab_end(&l);
}

/* ---- beside a prune ---- */

struct other {
	struct repo *repo;
	char cache[90];
};

static void other_open(struct other *o)
{
	struct repo_options ro = { .url = l.url, .secret = l.secret, .secret_kind = SLOT_KEY_FILE };

	snprintf(o->cache, sizeof o->cache, "%s/cache2", l.folder);
	ro.cache_folder = o->cache;
	ok(repo_open(&ro, &o->repo, &err));
}

/* Moves every chunk that is needed into other packs and deletes the old ones. */
static void prune_all_away(struct other *o)
{
	struct prune_options tight = { .max_unused_percent = 0, .max_repack_bytes = UINT64_MAX };
	struct prune_report report;

	ok(engine_prune(o->repo, &tight, &report, &err));
	assert_true(report.packs_deleted > 0);
	assert_true(report.packs_repacked > 0);
}

static void reading_goes_on_while_packs_are_moved(void **state)
{
	struct fake_world *want;
	struct snapshot_id id;
	struct other o = { 0 };

	(void)state;
	random_start("reading_goes_on_while_packs_are_moved");
	lab_start(&l);
	make_packs(20);
	want = newest(&l);
	id = l.ids[l.count - 1];
	ok(engine_forget(l.repo, l.ids, l.count - 1, false, &err));
	lab_reopen(&l);
	other_open(&o);
	/* The reader has its index and one snapshot open, but has not touched the packs of the bodies. */
	{
		struct view *v = NULL;
		struct fake_folder *f = &want->folders[0];

		ok(view_open(l.repo, &id, &v, &err));
		prune_all_away(&o);
		for (size_t i = 0; i < f->count; i++)
			same_body(v, 0, &f->items[i]);
		view_free(&v);
	}
	same_snapshot(&l, &id, want, 1);
	repo_free(&o.repo);
	lab_end(&l);
}

static bool wants_all(void *ctx, uint32_t ordinal)
{
	(void)ctx;
	(void)ordinal;
	return true;
}

static void no_pack_problem(void *ctx, const char *object, const struct err *what)
{
	(void)ctx;
	fail_msg("%s: %s", object, what->text);
}

static enum err_code any_block(void *ctx, const struct survey_block *b, struct err *e)
{
	(void)ctx;
	(void)e;
	assert_true(b->whole);
	return ERR_OK;
}

static enum err_code count_pack(void *ctx, const struct survey_pack *p, struct err *e)
{
	(void)e;
	assert_false(p->damaged);
	++*(size_t *)ctx;
	return ERR_OK;
}

static void a_check_beside_a_prune_finds_nothing_wrong(void **state)
{
	struct check_report r;
	struct other o = { 0 };
	struct buf ordinals = BUF_EMPTY;
	size_t seen = 0;
	struct survey_ops ops = { &seen, wants_all, no_pack_problem, any_block, count_pack };

	(void)state;
	random_start("a_check_beside_a_prune_finds_nothing_wrong");
	lab_start(&l);
	make_packs(20);
	ok(engine_forget(l.repo, l.ids, l.count - 1, false, &err));
	lab_reopen(&l); /* its fold and index are of before the prune */
	ok(repo_need_index(l.repo, INDEX_READ, &err));
	other_open(&o);
	ok(survey_live(l.repo, 0, &ordinals, &err));
	prune_all_away(&o);
	ok(survey(l.repo, (const uint32_t *)(const void *)ordinals.ptr, ordinals.len / sizeof(uint32_t), &ops, &err));
	assert_true(seen < ordinals.len / sizeof(uint32_t));
	buf_release(&ordinals);
	r = check_now(&l, &(struct check_options){ .read_data = true }, &heard);
	if (r.problems)
		fail_msg("%s: %s", heard.object, heard.text);
	repo_free(&o.repo);
	lab_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_affected_item_is_told_once_with_its_snapshots),
		cmocka_unit_test(a_chunk_with_a_whole_copy_is_not_lost),
		cmocka_unit_test(a_part_every_day_goes_round),
		cmocka_unit_test(a_damaged_pack_does_not_count_as_verified),
		cmocka_unit_test(what_is_gone_is_named),
		cmocka_unit_test(reading_goes_on_while_packs_are_moved),
		cmocka_unit_test(a_check_beside_a_prune_finds_nothing_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
