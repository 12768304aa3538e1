/*
 * Repair of packs: whatever is damaged, only what depends on it is lost, all of that is named, nothing gets worse, and
 * what still exists elsewhere comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "unit/engine/work/lab.h"
#include "unit/engine/work/damage.h"

static struct lab l;
static struct heard heard;

static struct repair_report repair(const struct repair_options *o)
{
	struct repair_report report;

	memset(&heard, 0, sizeof heard);
	ok(engine_repair_packs(l.repo, o, hear, &heard, &report, &err));
	assert_int_equal(report.problems, heard.problems);
	return report;
}

static void fill(size_t folders, size_t each)
{
	for (size_t f = 0; f < folders; f++)
		for (size_t i = 0; i < each; i++)
			item_new(&l, &l.now.folders[f], below(60) == 0);
}

static void history(size_t snapshots)
{
	for (size_t i = 0; i < snapshots; i++) {
		fill(3, (20 + below(20)) / SLOWER);
		run_whole(&l, &(struct snapshot_options){ 0 });
	}
}

/* ---- what can still be read ---- */

struct reading {
	struct view *view;
	const struct fake_folder *folder;
	size_t lost, seen;
	struct span path;
	struct buf body, want;
};

static enum err_code read_item(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct reading *r = ctx;
	const struct fake_item *want = NULL;
	uint32_t number = 0;
	struct err why;

	assert_true(fake_key_number(item->key, &number));
	want = find_number(r->folder, number);
	assert_non_null(want);
	r->seen++;
	buf_clear(&r->body);
	if (view_body(r->view, c, item->key, SPAN_EMPTY, gather, &r->body, &why)) {
		r->lost++;
		if (!was_heard(&heard, r->path, item->key))
			fail_msg("%.*s#%.*s is lost, and nobody said so: %s", (int)r->path.len,
			         (const char *)r->path.ptr, (int)item->key.len, (const char *)item->key.ptr, why.text);
		return ERR_OK;
	}
	ok(fake_bytes(want, &r->want, e));
	assert_true(span_equal(buf_span(&r->body), buf_span(&r->want)));
	return ERR_OK;
}

/* Every item is right or was told; gives how many are not. Collections whose pages are lost count as COLLECTIONS. */
static size_t read_everything(size_t *collections)
{
	size_t lost = 0;

	*collections = 0;
	for (size_t s = 0; s < l.count; s++) {
		struct reading r = { .body = BUF_WITH_MAX(64 * MIB) };

		if (view_open(l.repo, &l.ids[s], &r.view, &err)) {
			++*collections;
			continue;
		}
		for (size_t f = 0, c = 0; f < FAKE_FOLDERS; f++) {
			char path[32];

			if (!l.kept[s]->folders[f].there)
				continue;
			r.folder = &l.kept[s]->folders[f];
			r.path = fake_path(f, path);
			*collections += view_items(r.view, c++, false, read_item, &r, &err) != ERR_OK;
		}
		lost += r.lost;
		view_free(&r.view);
		buf_release(&r.body);
		buf_release(&r.want);
	}
	return lost;
}

static bool was_cut_to_nothing;

static void damage_something(void)
{
	uint32_t ordinal = any_live(&l);
	uint64_t bytes = ledger_pack(l.repo->ledger, ordinal)->pack.bytes, left;

	was_cut_to_nothing = false;
	switch (below(6)) {
	case 0:
		pack_remove(&l, ordinal);
		break;
	case 1:
		left = below(bytes);
		was_cut_to_nothing = left == 0;
		pack_cut(&l, ordinal, left);
		break;
	default:
		for (size_t n = 1 + below(4); n > 0; n--)
			pack_flip(&l, ordinal, below(bytes));
	}
}

/* After a repair the packs are whole; what check still tells are lost items and pages, no pack. */
static void packs_are_whole(void)
{
	struct heard after;
	struct check_report r = check_now(&l, &(struct check_options){ .read_data = true }, &after);

	if (r.problems)
		assert_int_equal(strncmp(after.object, "snapshot", 8), 0);
	assert_int_equal(r.objects_gone, 0);
	assert_int_equal(r.verified.never_packs, 0);
}

static uint64_t set_aside_bytes;

static enum err_code add_bytes(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)ctx;
	(void)name;
	(void)e;
	set_aside_bytes += bytes;
	return ERR_OK;
}

static void only_what_is_damaged_is_lost_and_all_of_it_is_named(void **state)
{
	(void)state;
	random_start("only_what_is_damaged_is_lost_and_all_of_it_is_named");
	for (int round = 0; round < (SLOWER > 1 ? 1 : 3); round++) {
		struct repair_report dry, r;
		size_t collections;

		lab_start(&l);
		history(3);
		lab_reopen(&l);
		damage_something();
		dry = repair(&(struct repair_options){ .dry_run = true });
		r = repair(&(struct repair_options){ 0 });
		assert_int_equal(dry.packs_damaged, r.packs_damaged);
		assert_int_equal(dry.packs_gone, r.packs_gone);
		assert_int_equal(dry.items_affected, r.items_affected);
		assert_true(r.packs_damaged + r.packs_gone == 1);
		set_aside_bytes = 0;
		if (r.packs_damaged)
			ok(store_list(l.repo->store, "damaged", add_bytes, NULL, &err));
		assert_true(set_aside_bytes > 0 || r.packs_gone || was_cut_to_nothing);
		if (r.items_affected == 0)
			assert_int_equal(read_everything(&collections), 0);
		else
			read_everything(&collections);
		packs_are_whole();
		/* Nothing is left to do. */
		r = repair(&(struct repair_options){ 0 });
		assert_int_equal(r.packs_damaged + r.packs_gone + r.chunks_saved, 0);
		/* The source has everything that the newest snapshot has: the next run brings all of it back. */
		run_whole(&l, &(struct snapshot_options){ .rescan = true });
		lab_reopen(&l);
		same_snapshot(&l, &l.ids[l.count - 1], newest(&l), 1);
		lab_end(&l);
	}
}

static void the_next_snapshot_stores_again_what_was_lost(void **state)
{
	struct snapshot_report report;
	struct fake_source *s = calloc(1, sizeof *s);

	(void)state;
	random_start("the_next_snapshot_stores_again_what_was_lost");
	lab_start(&l);
	fill(2, 150);
	run_whole(&l, &(struct snapshot_options){ 0 });
	assert_true(damage_class(&l, CLASS_ITEM));
	assert_true(repair(&(struct repair_options){ 0 }).items_affected > 0);
	lab_reopen(&l);
	fake_source_init(s, &l.now);
	ok(engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err));
	assert_true(report.bytes_stored > 0);
	repository_is_good(&l);
	same_snapshot(&l, &l.ids[0], l.kept[0], 1);
	/* Once is enough. */
	fake_source_init(s, &l.now);
	ok(engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err));
	assert_int_equal(report.bytes_read, 0);
	free(s);
	lab_end(&l);
}

static void lost_items_come_back_from_the_source(void **state)
{
	struct fake_source *s = calloc(1, sizeof *s);
	struct repair_report r;

	(void)state;
	random_start("lost_items_come_back_from_the_source");
	lab_start(&l);
	history(3);
	assert_true(damage_class(&l, CLASS_ITEM));
	assert_true(damage_class(&l, CLASS_BINARY) || damage_class(&l, CLASS_TEXT));
	fake_source_init(s, &l.now);
	s->base.parallel_fetch = true;
	/* What was never taken into a snapshot stays out. */
	fill(1, 50);
	r = repair(&(struct repair_options){ .source = &s->base });
	assert_true(r.chunks_lost > 0);
	assert_int_equal(r.chunks_restored, r.chunks_lost);
	assert_int_equal(r.items_affected, 0);
	repository_is_good(&l);
	for (size_t i = 0; i < l.count; i++)
		same_snapshot(&l, &l.ids[i], l.kept[i], 2);
	free(s);
	lab_end(&l);
}

static void lost_items_come_back_from_another_repository(void **state)
{
	static struct lab other;
	struct repair_report r;

	(void)state;
	random_start("lost_items_come_back_from_another_repository");
	lab_start(&l);
	history(3);
	lab_start(&other);
	other.now = l.now;
	run_whole(&other, &(struct snapshot_options){ 0 });
	assert_true(damage_class(&l, CLASS_ITEM));
	assert_true(damage_class(&l, CLASS_BINARY) || damage_class(&l, CLASS_TEXT));
	r = repair(&(struct repair_options){ .from = other.repo });
	assert_true(r.chunks_lost > 0);
	assert_int_equal(r.chunks_restored, r.chunks_lost);
	assert_int_equal(r.items_affected, 0);
	repository_is_good(&l);
	for (size_t i = 0; i < l.count; i++)
		same_snapshot(&l, &l.ids[i], l.kept[i], 2);
	lab_end(&other);
	lab_end(&l);
}

/* A whole pack lost takes pages along: then the next run builds them anew, and old snapshots find theirs again. */
static void lost_pages_are_built_anew(void **state)
{
	struct snapshot_report report;
	struct fake_source *s = calloc(1, sizeof *s);

	(void)state;
	random_start("lost_pages_are_built_anew");
	lab_start(&l);
	fill(3, 120);
	run_whole(&l, &(struct snapshot_options){ 0 });
	lab_reopen(&l);
	pack_remove(&l, any_live(&l));
	assert_int_equal(repair(&(struct repair_options){ 0 }).packs_gone, 1);
	lab_reopen(&l);
	fake_source_init(s, &l.now);
	ok(engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err));
	repository_is_good(&l);
	same_snapshot(&l, &l.ids[0], l.kept[0], 1);
	free(s);
	lab_end(&l);
}

/* Whatever step fails: nothing that could be read before cannot be read after, and a second run ends it. */
static void a_repair_may_fail_anywhere(void **state)
{
	uint64_t step = 1;

	(void)state;
	random_start("a_repair_may_fail_anywhere");
	lab_start(&l);
	fill(2, 60);
	run_whole(&l, &(struct snapshot_options){ 0 });
	assert_true(damage_class(&l, CLASS_ITEM));
	assert_true(check_now(&l, &(struct check_options){ .read_data = true }, &heard).items_affected > 0);
	for (uint64_t nth = 1; nth < 100000; nth += step) {
		struct repair_report report;
		size_t collections;
		enum err_code rc;

		mem_fail_nth(nth);
		rc = engine_repair_packs(l.repo, &(struct repair_options){ 0 }, NULL, NULL, &report, &err);
		mem_fail_nth(0);
		lab_reopen(&l);
		if (!rc)
			break;
		step = 1 + nth / 12;
		read_everything(&collections);
		assert_int_equal(collections, 0);
	}
	repair(&(struct repair_options){ 0 });
	packs_are_whole();
	lab_end(&l);
}

static void a_snapshot_beside_a_repair_is_whole(void **state)
{
	struct repo_options ro = { .url = l.url, .secret_kind = SLOT_KEY_FILE };
	struct repo *other = NULL;
	char cache[100];
	struct repair_report report;

	(void)state;
	random_start("a_snapshot_beside_a_repair_is_whole");
	lab_start(&l);
	fill(2, 80);
	run_whole(&l, &(struct snapshot_options){ 0 });
	assert_true(damage_class(&l, CLASS_BINARY) || damage_class(&l, CLASS_TEXT));
	/* Another computer repairs between two runs of this one, which has the damaged pack in its index. */
	ro.secret = l.secret;
	snprintf(cache, sizeof cache, "%s/cache2", l.folder);
	ro.cache_folder = cache;
	ok(repo_open(&ro, &other, &err));
	ok(engine_repair_packs(other, &(struct repair_options){ 0 }, hear, &heard, &report, &err));
	assert_int_equal(report.packs_damaged, 1);
	repo_free(&other);
	run_whole(&l, &(struct snapshot_options){ .rescan = true });
	repository_is_good(&l);
	same_snapshot(&l, &l.ids[1], l.kept[1], 1);
	lab_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_damaged_is_lost_and_all_of_it_is_named),
		cmocka_unit_test(the_next_snapshot_stores_again_what_was_lost),
		cmocka_unit_test(lost_items_come_back_from_the_source),
		cmocka_unit_test(lost_items_come_back_from_another_repository),
		cmocka_unit_test(lost_pages_are_built_anew),
		cmocka_unit_test(a_repair_may_fail_anywhere),
		cmocka_unit_test(a_snapshot_beside_a_repair_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
