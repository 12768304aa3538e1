/*
 * Snapshot runs and restores of a scriptable world, compared with a plain model after every step: what the newest
 * snapshot holds, what older ones still hold, what is fetched, what diff, deleted and find say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/engine/work/lab.h"

/* ---- diff, deleted and find against the model ---- */

struct tally {
	size_t added, removed, moved, state, content, collections;
};

static enum err_code count_change(void *ctx, const struct change *c, struct err *e)
{
	struct tally *t = ctx;

	(void)e;
	switch (c->kind) {
	case CHANGE_ADDED:
		t->added++;
		break;
	case CHANGE_REMOVED:
		t->removed++;
		break;
	case CHANGE_MOVED:
		t->moved++;
		break;
	case CHANGE_STATE:
		t->state++;
		break;
	case CHANGE_CONTENT:
		t->content++;
		break;
	default:
		t->collections++;
	}
	return ERR_OK;
}

static bool same_content(const struct fake_item *a, const struct fake_item *b)
{
	return a->size == b->size && (a->size == 0 || a->seed == b->seed);
}

/* Items that only one of the two has, by key. */
static size_t only_in(const struct fake_world *a, const struct fake_world *b, const struct fake_item **out)
{
	size_t count = 0;

	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		for (size_t i = 0; a->folders[f].there && i < a->folders[f].count; i++)
			if (!b->folders[f].there || !find_number(&b->folders[f], a->folders[f].items[i].number))
				out[count++] = &a->folders[f].items[i];
	return count;
}

static struct tally tally_of(const struct fake_world *a, const struct fake_world *b)
{
	static const struct fake_item *added[FAKE_FOLDERS * FAKE_ITEMS], *removed[FAKE_FOLDERS * FAKE_ITEMS];
	struct tally t = { 0 };
	size_t added_count = only_in(b, a, added), removed_count = only_in(a, b, removed);

	for (size_t f = 0; f < FAKE_FOLDERS; f++) {
		t.collections += a->folders[f].there != b->folders[f].there;
		for (size_t i = 0; a->folders[f].there && b->folders[f].there && i < a->folders[f].count; i++) {
			const struct fake_item *x = &a->folders[f].items[i],
			                       *y = find_number(&b->folders[f], x->number);

			if (y && !same_content(x, y))
				t.content++;
			else if (y && (x->flags != y->flags || x->version != y->version))
				t.state++;
		}
	}
	for (size_t i = 0; i < added_count; i++) {
		size_t k = 0;

		while (k < removed_count && !(removed[k] && same_content(removed[k], added[i])))
			k++;
		if (k < removed_count)
			removed[k] = NULL;
		t.moved += k < removed_count;
	}
	t.added = added_count - t.moved;
	t.removed = removed_count - t.moved;
	return t;
}

static void same_diff(struct lab *l, size_t a, size_t b)
{
	struct tally got = { 0 }, want = tally_of(l->kept[a], l->kept[b]);

	ok(engine_diff(l->repo, &l->ids[a], &l->ids[b], count_change, &got, &err));
	assert_int_equal(got.collections, want.collections);
	assert_int_equal(got.content, want.content);
	assert_int_equal(got.state, want.state);
	assert_int_equal(got.moved, want.moved);
	assert_int_equal(got.added, want.added);
	assert_int_equal(got.removed, want.removed);
}

static bool world_has(const struct fake_world *w, const struct fake_item *i)
{
	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		for (size_t k = 0; w->folders[f].there && k < w->folders[f].count; k++)
			if (same_content(&w->folders[f].items[k], i))
				return true;
	return false;
}

static enum err_code count_deleted(void *ctx, const struct deleted_item *d, struct err *e)
{
	(void)d;
	(void)e;
	++*(size_t *)ctx;
	return ERR_OK;
}

static void same_deleted(struct lab *l)
{
	const struct fake_item **gone = calloc(SNAPSHOTS_KEPT * FAKE_ITEMS, sizeof *gone);
	static const struct fake_item *only[FAKE_FOLDERS * FAKE_ITEMS];
	size_t count = 0, got = 0;

	assert_non_null(gone);
	for (size_t s = 0; s + 1 < l->count; s++) {
		size_t n = only_in(l->kept[s], l->kept[s + 1], only);

		for (size_t i = 0; i < n; i++) {
			size_t k = 0;

			while (k < count && !same_content(gone[k], only[i]))
				k++;
			if (k == count && !world_has(newest(l), only[i]) && count < SNAPSHOTS_KEPT * FAKE_ITEMS)
				gone[count++] = only[i];
		}
	}
	ok(engine_deleted(l->repo, "ann", INT64_MIN, count_deleted, &got, &err));
	assert_int_equal(got, count);
	free(gone);
}

struct found {
	size_t hits, in_latest;
};

static enum err_code count_hit(void *ctx, const struct find_hit *hit, struct err *e)
{
	struct found *f = ctx;

	(void)e;
	f->hits++;
	f->in_latest += hit->in_latest;
	return ERR_OK;
}

/* Is the item of snapshot S, with this key and content, the first of its kind? */
static bool seen_before(const struct lab *l, size_t s, size_t f, const struct fake_item *i)
{
	for (size_t k = 0; k < s; k++) {
		const struct fake_folder *folder = &l->kept[k]->folders[f];
		const struct fake_item *other = folder->there ? find_number(folder, i->number) : NULL;

		if (other && same_content(other, i))
			return true;
	}
	return false;
}

static void same_find(struct lab *l)
{
	struct find_query q = { .title = SPAN_LIT("TOPIC3"), .after_ms = INT64_MIN, .before_ms = INT64_MAX };
	struct found got = { 0 }, want = { 0 };

	for (size_t s = 0; s < l->count; s++)
		for (size_t f = 0; f < FAKE_FOLDERS; f++) {
			const struct fake_folder *folder = &l->kept[s]->folders[f];

			for (size_t i = 0; folder->there && i < folder->count; i++) {
				if (!fake_has_header(&folder->items[i]) || fake_topic(folder->items[i].seed) != 3)
					continue;
				want.hits += !seen_before(l, s, f, &folder->items[i]);
				want.in_latest += s + 1 == l->count;
			}
		}
	ok(engine_find(l->repo, &q, count_hit, &got, &err));
	assert_int_equal(got.hits, want.hits);
	assert_int_equal(got.in_latest, want.in_latest);
}

/* ---- the tests ---- */

static void random_steps(const char *name, bool with_cursors, const struct snapshot_options *o, int steps)
{
	static struct lab l;

	random_start(name);
	lab_start(&l);
	l.with_cursors = with_cursors;
	for (int step = 0; step < steps; step++) {
		size_t old;

		change_world(&l, below(4) ? below(30) : 200 + below(400));
		run_whole(&l, o);
		same_snapshot(&l, &l.ids[l.count - 1], newest(&l), 6);
		old = below(l.count);
		same_snapshot(&l, &l.ids[old], l.kept[old], 40);
		same_diff(&l, old, l.count - 1);
		same_diff(&l, l.count - 1, old);
		same_deleted(&l);
		same_find(&l);
		/* Vanished ones are gone for good. */
		for (size_t f = 0; f < FAKE_FOLDERS; f++)
			for (size_t i = l.now.folders[f].count; i-- > 0;)
				if (l.now.folders[f].items[i].trouble == FAKE_VANISHES)
					item_remove(&l.now.folders[f], i);
		if (below(5) == 0)
			ok(file_remove_tree(l.cache, &err));
		if (below(3) == 0)
			lab_reopen(&l);
	}
	lab_reopen(&l);
	for (size_t s = 0; s < l.count; s++)
		same_snapshot(&l, &l.ids[s], l.kept[s], 10);
	repository_is_good(&l);
	lab_end(&l);
}

static void snapshots_equal_their_model(void **state)
{
	(void)state;
	random_steps("snapshots_equal_their_model", false, &(struct snapshot_options){ 0 }, 20);
}

static void snapshots_equal_their_model_with_cursors(void **state)
{
	(void)state;
	random_steps("snapshots_equal_their_model_with_cursors", true, &(struct snapshot_options){ 0 }, 20);
}

static void snapshots_equal_their_model_with_many_partial_commits(void **state)
{
	(void)state;
	random_steps("snapshots_equal_their_model_with_many_partial_commits", true,
	             &(struct snapshot_options){ .partial_every_ms = 1 }, 10);
}

static void a_run_without_changes_adds_one_record_and_no_pack(void **state)
{
	static struct lab l;

	(void)state;
	random_start("a_run_without_changes_adds_one_record_and_no_pack");
	for (int with_cursors = 0; with_cursors < 2; with_cursors++) {
		lab_start(&l);
		l.with_cursors = with_cursors;
		for (size_t i = 0; i < 300; i++)
			item_new(&l, any_folder(&l), false);
		run_whole(&l, &(struct snapshot_options){ 0 });
		for (int round = 0; round < 4; round++) {
			uint64_t records = ledger_head(l.repo->ledger).number;
			uint32_t packs = ledger_pack_count(l.repo->ledger);

			run_whole(&l, &(struct snapshot_options){ .rescan = round == 2 });
			assert_int_equal(ledger_head(l.repo->ledger).number, records + 1);
			assert_int_equal(ledger_pack_count(l.repo->ledger), packs);
			same_snapshot(&l, &l.ids[l.count - 1], newest(&l), 100);
			if (round == 1)
				ok(file_remove_tree(l.cache, &err));
			lab_reopen(&l);
			if (round == 2)
				break;
		}
		lab_end(&l);
	}
}

static void nothing_stays_open_after_a_run(void **state)
{
	static struct lab l;

	(void)state;
	random_start("nothing_stays_open_after_a_run");
	lab_start(&l);
	for (int round = 0; round < 4; round++) {
		change_world(&l, 300);
		run_whole(&l, &(struct snapshot_options){ .partial_every_ms = 1 });
		for (uint64_t n = 1; n <= ledger_head(l.repo->ledger).number; n++)
			assert_int_not_equal(ledger_session(l.repo->ledger, n), SESSION_OPEN);
	}
	lab_end(&l);
}

/* Notes in the folder CTX that this item need not be fetched again. */
static enum err_code note_safe(void *ctx, size_t c, const struct view_item *item, struct err *e)
{
	struct fake_folder *safe = ctx;
	uint64_t version = 0;
	uint32_t number = 0;
	size_t at = 0;

	(void)c;
	(void)e;
	assert_true(fake_key_number(item->key, &number));
	assert_true(fields_get_u64(item->state, STATE_VERSION, &version));
	while (at < safe->count && safe->items[at].number != number)
		at++;
	assert_true(at < FAKE_ITEMS);
	safe->count += at == safe->count;
	safe->items[at] = (struct fake_item){ .number = number, .version = (uint32_t)version };
	return ERR_OK;
}

/* What need not be fetched again after an interrupted run: the last complete snapshot and the partial one, together. */
static size_t add_safe(struct lab *l, struct fake_world *safe)
{
	struct account_id account = keys_account(l->repo->keys, SPAN_LIT("ann"));
	const struct snapshot_fact *fact = snapshot_latest(l->repo, &account, true);
	struct view *v = NULL;
	size_t items = 0;

	if (!fact || !(fact->entry.flags & SNAPSHOT_PARTIAL))
		return 0;
	ok(view_open(l->repo, &fact->entry.id, &v, &err));
	for (size_t f = 0; f < FAKE_FOLDERS; f++) {
		char path[32];
		size_t c;

		if (view_find_collection(v, fake_path(f, path), &c, &err))
			continue;
		safe->folders[f].there = true;
		ok(view_items(v, c, false, note_safe, &safe->folders[f], &err));
		items += v->table.rows[c].state.items;
	}
	view_free(&v);
	return items;
}

/* One interrupted run; gives how many items its partial snapshot holds (0: none was made). */
static size_t run_interrupted(struct lab *l, int after, struct fake_world *safe)
{
	struct fake_source *s = calloc(1, sizeof *s);
	struct snapshot_report report;
	struct fake_world *base = newest(l);

	assert_non_null(s);
	fake_source_init(s, &l->now);
	s->stop_after = after;
	s->stop = &l->stop;
	assert_int_equal(
	        engine_snapshot(l->repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err),
	        ERR_CANCELLED);
	l->stop = 0;
	free(s);
	*safe = base ? *base : (struct fake_world){ 0 };
	return add_safe(l, safe);
}

static void an_interrupted_run_keeps_what_it_had(void **state)
{
	static struct lab l;
	static struct fake_world safe;
	size_t kept_at_all = 0;

	(void)state;
	random_start("an_interrupted_run_keeps_what_it_had");
	for (int round = 0; round < 6; round++) {
		struct fake_source *s = calloc(1, sizeof *s);
		struct snapshot_report report;
		struct fake_world *model;

		assert_non_null(s);
		lab_start(&l);
		for (size_t i = 0; i < 300; i++)
			item_new(&l, any_folder(&l), false);
		if (round % 2)
			run_whole(&l, &(struct snapshot_options){ 0 });
		/* New ones come last in each folder; the changed ones lie anywhere. */
		for (size_t i = 0; i < 700; i++)
			item_new(&l, any_folder(&l), false);
		for (size_t i = 0; i < 40; i++) {
			struct fake_folder *f = any_folder(&l);

			f->items[below(f->count)].version = l.next_version++;
		}
		kept_at_all += run_interrupted(&l, 150 + (int)below(500), &safe);
		if (below(2))
			lab_reopen(&l);
		model = expected_of(&l.now, newest(&l));
		fake_source_init(s, &l.now);
		ok(engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err));
		fetched_what_was_needed(&l, &safe, false);
		keep(&l, &report.info.id, model);
		same_snapshot(&l, &report.info.id, model, 10);
		repository_is_good(&l);
		free(s);
		lab_end(&l);
	}
	assert_true(kept_at_all >= 6 * 100);
}

/* The base's items behind the place of a stop need not be fetched again, nor those of small folders done before it. */
static void a_stop_anywhere_leaves_the_rest_safe(void **state)
{
	static struct lab l;
	static struct fake_world safe;

	(void)state;
	random_start("a_stop_anywhere_leaves_the_rest_safe");
	for (int round = 0; round < 4; round++) {
		struct fake_source *s = calloc(1, sizeof *s);
		struct snapshot_report report;
		struct fake_folder *f = &l.now.folders[0];
		size_t kept;

		assert_non_null(s);
		lab_start(&l);
		if (round % 2) {
			/* One folder whose first half changes: the stop comes there. */
			while (f->count < 500)
				item_new(&l, f, false);
			run_whole(&l, &(struct snapshot_options){ 0 });
			for (size_t i = 0; i < 250; i++)
				f->items[i].version = l.next_version++;
		} else {
			/* Folders too small for a look at the clock inside. */
			for (size_t i = 0; i < 250; i++)
				item_new(&l, &l.now.folders[i / 50], false);
		}
		kept = run_interrupted(&l, 200, &safe);
		assert_true(kept >= (round % 2 ? 500 : 150));
		fake_source_init(s, &l.now);
		ok(engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err));
		fetched_what_was_needed(&l, &safe, false);
		for (size_t i = 250; i < f->count; i++)
			assert_false(f->items[i].fetched);
		free(s);
		lab_end(&l);
	}
}

/*
 * A rescan that is stopped leaves a partial snapshot with the rows of its base and a sum of bytes that lacks what was
 * still to be read. The next run finds the same rows: the sum must be theirs.
 */
static void a_stopped_rescan_leaves_no_wrong_sum(void **state)
{
	static struct lab l;
	struct fake_source *s = calloc(1, sizeof *s);
	struct snapshot_report report;

	(void)state;
	assert_non_null(s);
	random_start("a_stopped_rescan_leaves_no_wrong_sum");
	lab_start(&l);
	for (size_t i = 0; i < 500; i++)
		item_new(&l, &l.now.folders[0], false);
	run_whole(&l, &(struct snapshot_options){ 0 });
	fake_source_init(s, &l.now);
	s->stop_after = 200;
	s->stop = &l.stop;
	assert_int_equal(engine_snapshot(l.repo, &s->base,
	                                 &(struct snapshot_options){ .account = "ann", .rescan = true }, &report, &err),
	                 ERR_CANCELLED);
	l.stop = 0;
	s->stop_after = 0;
	ok(engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err));
	same_snapshot(&l, &report.info.id, l.kept[0], 50);
	free(s);
	lab_end(&l);
}

/* A source that lost half while a run was cut short is still told. */
static void a_source_that_shrank_is_told_after_an_interruption(void **state)
{
	static struct lab l;
	static struct fake_world safe;
	struct fake_source *s = calloc(1, sizeof *s);
	struct snapshot_report report;

	(void)state;
	assert_non_null(s);
	random_start("a_source_that_shrank_is_told_after_an_interruption");
	lab_start(&l);
	for (size_t i = 0; i < 600; i++)
		item_new(&l, any_folder(&l), false);
	run_whole(&l, &(struct snapshot_options){ 0 });
	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		l.now.folders[f].count = 0;
	for (size_t i = 0; i < 200; i++)
		item_new(&l, any_folder(&l), false);
	run_interrupted(&l, 100, &safe);
	fake_source_init(s, &l.now);
	ok(engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err));
	assert_true(report.info.flags & ENGINE_SNAPSHOT_SHRUNK);
	free(s);
	lab_end(&l);
}

static void nothing_counts_as_gone_because_a_run_was_interrupted(void **state)
{
	static struct lab l;
	static struct fake_world safe;
	struct fake_folder *folder;
	struct find_query q = { .after_ms = INT64_MIN, .before_ms = INT64_MAX };
	struct found found = { 0 };
	size_t gone = 0;

	(void)state;
	random_start("nothing_counts_as_gone_because_a_run_was_interrupted");
	lab_start(&l);
	folder = any_folder(&l);
	for (size_t i = 0; i < 300; i++)
		item_new(&l, folder, false);
	run_whole(&l, &(struct snapshot_options){ 0 });
	/* Every item is fetched again, and the run ends among them. */
	for (size_t i = 0; i < folder->count; i++)
		folder->items[i].version = l.next_version++;
	assert_true(run_interrupted(&l, 150, &safe) > 0);
	ok(engine_deleted(l.repo, "ann", INT64_MIN, count_deleted, &gone, &err));
	assert_int_equal(gone, 0);
	ok(engine_find(l.repo, &q, count_hit, &found, &err));
	assert_true(found.hits >= 250);
	assert_int_equal(found.in_latest, found.hits);
	lab_end(&l);
}

/* ---- restore ---- */

static void same_puts(const struct fake_sink *s, const struct fake_world *want, bool all)
{
	struct buf bytes = BUF_EMPTY;
	size_t expected = 0;

	for (size_t f = 0; f < FAKE_FOLDERS; f++)
		for (size_t i = 0; want->folders[f].there && i < want->folders[f].count; i++)
			expected += !s->refuse_one_in || want->folders[f].items[i].number % s->refuse_one_in != 0;
	if (all)
		assert_int_equal(s->put_count, expected);
	for (size_t p = 0; p < s->put_count; p++) {
		const struct fake_put *put = &s->puts[p];
		const struct fake_item *item = NULL;
		char path[32];

		for (size_t f = 0; f < FAKE_FOLDERS; f++)
			if (span_equal(fake_path(f, path), span_cstr(s->paths[put->handle])))
				item = find_number(&want->folders[f], put->number);
		assert_non_null(item);
		ok(fake_bytes(item, &bytes, &err));
		assert_true(span_equal(buf_span(&bytes), buf_span(&put->bytes)));
		assert_int_equal(item->flags, put->flags);
	}
	buf_release(&bytes);
}

static enum err_code count_failed(void *ctx, const struct restore_step *s, struct err *e)
{
	(void)e;
	*(size_t *)ctx += s->failed != NULL;
	return ERR_OK;
}

static void restore_gives_back_what_was_kept(void **state)
{
	static struct lab l;

	(void)state;
	random_start("restore_gives_back_what_was_kept");
	lab_start(&l);
	for (size_t i = 0; i < 600; i++)
		item_new(&l, any_folder(&l), i < 2);
	run_whole(&l, &(struct snapshot_options){ 0 });
	for (int round = 0; round < 4; round++) {
		struct restore_options o = { .plan_only = round == 3 };
		struct restore_report report;
		struct fake_sink sink;
		struct view *v = NULL;
		size_t told = 0;

		fake_sink_init(&sink);
		sink.refuse_one_in = round == 2 ? 10 : 0;
		lab_reopen(&l);
		ok(view_open(l.repo, &l.ids[0], &v, &err));
		ok(engine_restore(v, &sink.base, &o, count_failed, &told, &report, &err));
		if (o.plan_only) {
			assert_int_equal(sink.calls_that_change, 0);
			assert_false(sink.finished);
			assert_int_equal(report.items_put, 600);
		} else {
			same_puts(&sink, newest(&l), true);
			assert_true(sink.finished);
			assert_int_equal(report.items_put, sink.put_count);
			assert_int_equal(report.items_failed, 600 - sink.put_count);
			assert_int_equal(told, report.items_failed);
			assert_int_equal(report.items_failed != 0, round == 2);
		}
		view_free(&v);
		fake_sink_release(&sink);
	}
	lab_end(&l);
}

/* ---- memory that runs out ---- */

static void memory_may_run_out_anywhere(void **state)
{
	static struct lab l;
	size_t failed = 0;

	(void)state;
	random_start("memory_may_run_out_anywhere");
	lab_start(&l);
	for (size_t i = 0; i < 30; i++)
		item_new(&l, any_folder(&l), false);
	run_whole(&l, &(struct snapshot_options){ 0 });
	for (uint64_t n = 1; n < 1200; n += n < 40 ? 1 : 7 + below(30)) {
		struct fake_source *s = calloc(1, sizeof *s);
		struct fake_world *model;
		struct snapshot_report report;
		enum err_code rc;

		assert_non_null(s);
		lab_reopen(&l);
		item_new(&l, any_folder(&l), n == 30);
		model = expected_of(&l.now, newest(&l));
		fake_source_init(s, &l.now);
		mem_fail_nth(n);
		rc = engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report, &err);
		mem_fail_nth(0);
		failed += rc != ERR_OK;
		lab_reopen(&l);
		if (rc)
			ok(engine_snapshot(l.repo, &s->base, &(struct snapshot_options){ .account = "ann" }, &report,
			                   &err));
		same_snapshot(&l, &report.info.id, model, 20);
		if (l.count == SNAPSHOTS_KEPT)
			free(l.kept[--l.count]);
		keep(&l, &report.info.id, model);
		free(s);
	}
	assert_true(failed > 30);
	repository_is_good(&l);
	lab_end(&l);
}

static void memory_may_run_out_in_a_restore(void **state)
{
	static struct lab l;
	size_t failed = 0;

	(void)state;
	random_start("memory_may_run_out_in_a_restore");
	lab_start(&l);
	for (size_t i = 0; i < 30; i++)
		item_new(&l, any_folder(&l), i == 3);
	run_whole(&l, &(struct snapshot_options){ 0 });
	for (uint64_t n = 1; n < 600; n += n < 40 ? 1 : 5 + below(20)) {
		struct restore_report report;
		struct fake_sink sink;
		struct view *v = NULL;
		size_t told = 0;
		enum err_code rc;

		fake_sink_init(&sink);
		lab_reopen(&l);
		mem_fail_nth(n);
		rc = view_open(l.repo, &l.ids[0], &v, &err);
		if (!rc)
			rc = engine_restore(v, &sink.base, &(struct restore_options){ 0 }, count_failed, &told, &report,
			                    &err);
		mem_fail_nth(0);
		failed += rc != ERR_OK;
		/* Whatever was put is right, and success means everything. */
		same_puts(&sink, newest(&l), rc == ERR_OK && report.items_failed == 0);
		view_free(&v);
		fake_sink_release(&sink);
	}
	assert_true(failed > 20);
	lab_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshots_equal_their_model),
		cmocka_unit_test(snapshots_equal_their_model_with_cursors),
		cmocka_unit_test(snapshots_equal_their_model_with_many_partial_commits),
		cmocka_unit_test(a_run_without_changes_adds_one_record_and_no_pack),
		cmocka_unit_test(nothing_stays_open_after_a_run),
		cmocka_unit_test(an_interrupted_run_keeps_what_it_had),
		cmocka_unit_test(a_stop_anywhere_leaves_the_rest_safe),
		cmocka_unit_test(a_stopped_rescan_leaves_no_wrong_sum),
		cmocka_unit_test(a_source_that_shrank_is_told_after_an_interruption),
		cmocka_unit_test(nothing_counts_as_gone_because_a_run_was_interrupted),
		cmocka_unit_test(restore_gives_back_what_was_kept),
		cmocka_unit_test(memory_may_run_out_anywhere),
		cmocka_unit_test(memory_may_run_out_in_a_restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
