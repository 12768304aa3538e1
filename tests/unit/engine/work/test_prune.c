/*
 * Prune and retention on real repositories: what stays is whole, what goes is gone, doing it again changes nothing, and
 * others may write at any moment meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "engine/work/prune.h"
#include "unit/engine/work/lab.h"

static const struct prune_options at_once = { .max_unused_percent = PRUNE_UNUSED_PERCENT,
	                                      .max_repack_bytes = UINT64_MAX };

static struct prune_report prune(struct repo *r, const struct prune_options *o)
{
	struct prune_report report;

	ok(engine_prune(r, o, &report, &err));
	return report;
}

static void forget(struct lab *l, size_t i)
{
	ok(engine_forget(l->repo, &l->ids[i], 1, false, &err));
	free(l->kept[i]);
	l->kept[i] = NULL;
}

static void what_is_kept_is_whole(struct lab *l, size_t one_in)
{
	struct view *v;

	for (size_t i = 0; i < l->count; i++)
		if (l->kept[i])
			same_snapshot(l, &l->ids[i], l->kept[i], one_in);
		else
			assert_int_equal(view_open(l->repo, &l->ids[i], &v, &err), ERR_NOT_FOUND);
	repository_is_good(l);
}

static enum err_code add_bytes(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)name;
	(void)e;
	*(uint64_t *)ctx += bytes;
	return ERR_OK;
}

static uint64_t pack_bytes(struct lab *l)
{
	uint64_t sum = 0;

	ok(store_list(l->repo->store, "pack", add_bytes, &sum, &err));
	return sum;
}

/* A second prune finds nothing to do: no pack comes or goes, and the ledger does not grow. */
static void again_changes_nothing(struct lab *l, const struct prune_options *o)
{
	uint64_t before = pack_bytes(l), head = ledger_head(l->repo->ledger).number;
	struct prune_report r = prune(l->repo, o);

	assert_int_equal(r.packs_unused + r.packs_repacked + r.packs_deleted + r.packs_waiting, 0);
	assert_int_equal(pack_bytes(l), before);
	assert_int_equal(ledger_head(l->repo->ledger).number, head);
}

static void make_history(struct lab *l, size_t snapshots)
{
	for (size_t i = 0; i < snapshots; i++) {
		change_world(l, 40 + below(300));
		run_whole(l, &(struct snapshot_options){ .partial_every_bytes = below(3) ? 0 : 300000 });
		for (size_t f = 0; f < FAKE_FOLDERS; f++)
			for (size_t n = l->now.folders[f].count; n-- > 0;)
				if (l->now.folders[f].items[n].trouble == FAKE_VANISHES)
					item_remove(&l->now.folders[f], n);
	}
}

static void half_forgotten_half_whole(void **state)
{
	static struct lab l;
	struct prune_options tight = at_once;
	struct prune_report r;
	uint64_t loose, before;

	(void)state;
	random_start("half_forgotten_half_whole");
	lab_start(&l);
	make_history(&l, 14);
	for (size_t i = 0; i + 1 < l.count; i++)
		if (below(2))
			forget(&l, i);
	before = pack_bytes(&l);
	prune(l.repo, &at_once);
	what_is_kept_is_whole(&l, 3);
	again_changes_nothing(&l, &at_once);
	lab_reopen(&l);
	loose = pack_bytes(&l);
	assert_true(loose <= before);
	/* To the last chunk. Half of a pack may be unused by default, so that takes away at most half; padding aside.
	 */
	tight.max_unused_percent = 0;
	r = prune(l.repo, &tight);
	assert_true(loose <= 2 * pack_bytes(&l) + pack_bytes(&l) / 4 + 16 * KIB * r.packs);
	what_is_kept_is_whole(&l, 3);
	again_changes_nothing(&l, &tight);
	tight.dry_run = true;
	r = prune(l.repo, &tight);
	assert_int_equal(r.chunks, r.chunks_live);
	/* Without any cache the same. */
	repo_free(&l.repo);
	ok(file_remove_tree(l.cache, &err));
	lab_open(&l);
	what_is_kept_is_whole(&l, 5);
	make_history(&l, 2);
	what_is_kept_is_whole(&l, 9);
	lab_end(&l);
}

static void small_packs_are_merged(void **state)
{
	static struct lab l;
	struct prune_report r;

	(void)state;
	random_start("small_packs_are_merged");
	lab_start(&l);
	for (int i = 0; i < 50; i++) {
		item_new(&l, &l.now.folders[i % 5], false);
		run_whole(&l, &(struct snapshot_options){ 0 });
	}
	r = prune(l.repo, &at_once);
	assert_true(r.packs >= 50);
	assert_true(r.packs_repacked >= 16);
	/* Snapshots are older than copies: were they counted twice, chunks would be more. */
	what_is_kept_is_whole(&l, 1);
	r = prune(l.repo, &(struct prune_options){ .max_unused_percent = 100, .dry_run = true });
	assert_true(r.packs < 40);
	again_changes_nothing(&l, &at_once);
	lab_end(&l);
}

static void a_dry_run_changes_nothing_and_tells_the_same(void **state)
{
	static struct lab l;
	struct prune_options dry = at_once;
	struct prune_report told, done;
	uint64_t bytes, head;

	(void)state;
	random_start("a_dry_run_changes_nothing_and_tells_the_same");
	lab_start(&l);
	make_history(&l, 8);
	for (size_t i = 0; i < 6; i++)
		forget(&l, i);
	bytes = pack_bytes(&l);
	head = ledger_head(l.repo->ledger).number;
	dry.dry_run = true;
	told = prune(l.repo, &dry);
	assert_int_equal(pack_bytes(&l), bytes);
	assert_int_equal(ledger_head(l.repo->ledger).number, head);
	done = prune(l.repo, &at_once);
	assert_int_equal(told.snapshots_expired, done.snapshots_expired);
	assert_int_equal(done.snapshots_expired, 6);
	assert_int_equal(told.packs_unused, done.packs_unused);
	assert_int_equal(told.packs_repacked, done.packs_repacked);
	assert_int_equal(told.packs_deleted, done.packs_deleted);
	assert_int_equal(told.chunks_live, done.chunks_live);
	what_is_kept_is_whole(&l, 4);
	lab_end(&l);
}

static void the_trash_and_the_wait_hold(void **state)
{
	static struct lab l;
	struct prune_options o = at_once;
	struct prune_report r;
	uint64_t bytes;

	(void)state;
	random_start("the_trash_and_the_wait_hold");
	lab_start(&l);
	make_history(&l, 6);
	/* In the trash everything stays, and can come back. */
	for (size_t i = 0; i < 5; i++)
		ok(engine_forget(l.repo, &l.ids[i], 1, false, &err));
	o.trash_ms = PRUNE_TRASH_MS;
	o.wait_ms = PRUNE_WAIT_MS;
	o.max_unused_percent = 0;
	r = prune(l.repo, &o);
	assert_int_equal(r.snapshots_expired, 0);
	ok(engine_forget(l.repo, l.ids, 5, true, &err));
	what_is_kept_is_whole(&l, 4);
	/* Condemned packs lie there until the wait is over. */
	prune(l.repo, &at_once);
	for (size_t i = 0; i < 5; i++)
		forget(&l, i);
	o.trash_ms = 0;
	bytes = pack_bytes(&l);
	r = prune(l.repo, &o);
	assert_int_equal(r.snapshots_expired, 5);
	assert_true(r.packs_waiting > 0);
	assert_int_equal(r.packs_deleted, 0);
	assert_true(pack_bytes(&l) >= bytes);
	what_is_kept_is_whole(&l, 4);
	r = prune(l.repo, &at_once);
	assert_true(r.packs_deleted > 0 && r.packs_waiting == 0);
	assert_true(pack_bytes(&l) < bytes);
	what_is_kept_is_whole(&l, 4);
	lab_end(&l);
}

/* A pack that came back from the dead (deletes need not be durable), and one that nobody ever committed. */
static void what_no_commit_names_is_swept(void **state)
{
	static struct lab l;
	struct prune_report r;
	struct buf bytes = BUF_WITH_MAX(64 * MIB);
	struct pack_name name;
	struct pack_path path;
	uint64_t ended, open;

	(void)state;
	random_start("what_no_commit_names_is_swept");
	lab_start(&l);
	make_history(&l, 3);
	path = pack_path(&ledger_pack(l.repo->ledger, 0)->pack.name);
	ok(store_get(l.repo->store, path.text, 64 * MIB, &bytes, &err));
	ok(ledger_open_session(l.repo->ledger, &ended, &err));
	ok(ledger_end_session(l.repo->ledger, ended, &err));
	ok(ledger_open_session(l.repo->ledger, &open, &err));
	name = (struct pack_name){ .session = ended };
	ok(store_put(l.repo->store, pack_path(&name).text, SPAN_LIT("rubbish"), &err));
	name.session = open;
	ok(store_put(l.repo->store, pack_path(&name).text, SPAN_LIT("rubbish"), &err));
	name.session = 1000000; /* not opened yet, as far as we know */
	ok(store_put(l.repo->store, pack_path(&name).text, SPAN_LIT("rubbish"), &err));
	r = prune(l.repo, &(struct prune_options){ .silent_ms = PRUNE_SILENT_MS, .max_unused_percent = 100 });
	assert_int_equal(r.orphans_deleted, 1);
	assert_int_equal(r.sessions_open, 1);
	r = prune(l.repo, &(struct prune_options){ .max_unused_percent = 100 });
	assert_int_equal(r.sessions_fenced, 1);
	assert_int_equal(r.orphans_deleted, 1);
	/* The first pack goes, and comes back. */
	for (size_t i = 0; i < 2; i++)
		forget(&l, i);
	prune(l.repo, &(struct prune_options){ .max_unused_percent = 0, .max_repack_bytes = UINT64_MAX });
	assert_int_equal(store_size(l.repo->store, path.text, &ended, &err), ERR_NOT_FOUND);
	ok(store_put(l.repo->store, path.text, buf_span(&bytes), &err));
	r = prune(l.repo, &at_once);
	assert_int_equal(r.orphans_deleted, 1);
	assert_int_equal(store_size(l.repo->store, path.text, &ended, &err), ERR_NOT_FOUND);
	what_is_kept_is_whole(&l, 4);
	buf_release(&bytes);
	lab_end(&l);
}

/* ---- others meanwhile ---- */

/* Makes another client write when the pruner tells its progress for the N-th time. */
struct meddler {
	struct lab other; /* the same repository through another cache */
	struct lab *lab;
	size_t at, told;
	bool done;
};

static void meddle(void *ctx, const struct engine_progress *p)
{
	struct meddler *m = ctx;

	(void)p;
	m->lab->repo->progress_at = 0; /* we want to hear all of it */
	if (m->told++ != m->at)
		return;
	m->done = true;
	m->other.now = m->lab->now;
	run_whole(&m->other, &(struct snapshot_options){ 0 });
}

static void meddler_start(struct meddler *m, struct lab *l, size_t at)
{
	memset(m, 0, sizeof *m);
	m->lab = l;
	m->at = at;
	m->other = *l;
	m->other.count = 0;
	snprintf(m->other.cache, sizeof m->other.cache, "%s/cache-2", l->folder);
	lab_open(&m->other);
	m->other.ids[0] = l->ids[l->count - 1];
	m->other.kept[0] = l->kept[l->count - 1];
	m->other.count = 1;
	engine_set_progress(l->repo, meddle, m);
	l->repo->progress_at = 0;
}

/* The snapshot that was made meanwhile becomes one of the lab's. */
static void meddler_end(struct meddler *m)
{
	engine_set_progress(m->lab->repo, NULL, NULL);
	if (m->done)
		keep(m->lab, &m->other.ids[1], m->other.kept[1]);
	repo_free(&m->other.repo);
	ok(file_remove_tree(m->other.cache, &err));
}

/*
 * Items go, the snapshot that had them is forgotten and expired, and just when the pruner looks at what is needed
 * somebody else backs up the same items again, deduplicated against packs that are about to be condemned.
 */
static void a_snapshot_in_the_middle_of_a_prune_is_whole(void **state)
{
	static struct lab l;
	static struct meddler m;
	bool more = true;

	(void)state;
	random_start("a_snapshot_in_the_middle_of_a_prune_is_whole");
	for (size_t at = 0; more && at < 24; at++) {
		struct fake_folder gone;

		lab_start(&l);
		for (int i = 0; i < 120; i++)
			item_new(&l, &l.now.folders[i % 5], i == 60);
		run_whole(&l, &(struct snapshot_options){ 0 });
		gone = l.now.folders[1];
		l.now.folders[1].count = 3;
		l.now.folders[2].count /= 2;
		run_whole(&l, &(struct snapshot_options){ 0 });
		forget(&l, 0);
		l.now.folders[1] = gone;
		meddler_start(&m, &l, at);
		prune(l.repo, &(struct prune_options){ .silent_ms = PRUNE_SILENT_MS, .max_repack_bytes = UINT64_MAX });
		more = m.done;
		meddler_end(&m);
		what_is_kept_is_whole(&l, 1);
		prune(l.repo, &at_once);
		what_is_kept_is_whole(&l, 1);
		assert_true(at > 1 || more);
		lab_end(&l);
	}
}

/* A source that has somebody prune when it is read for the N-th time. */
struct pruning_source {
	struct fake_source fake;
	enum err_code (*fetch)(struct item_source *s, size_t c, const struct item_listing *l, uint64_t place,
	                       const struct item_receiver *to, struct buf *facts, struct err *e);
	struct item_source_ops ops;
	struct repo *pruner;
	struct snapshot_id forgotten; /* just before */
	int at, fetched;
	bool done;
};

static enum err_code fetch_and_prune(struct item_source *base, size_t c, const struct item_listing *l, uint64_t place,
                                     const struct item_receiver *to, struct buf *facts, struct err *e)
{
	struct pruning_source *s = (struct pruning_source *)(void *)base;
	struct prune_options o = { .silent_ms = PRUNE_SILENT_MS, .max_repack_bytes = UINT64_MAX };

	if (s->fetched++ == s->at) {
		s->done = true;
		ok(engine_forget(s->pruner, &s->forgotten, 1, false, e));
		prune(s->pruner, &o);
	}
	return s->fetch(base, c, l, place, to, facts, e);
}

static int begun_again;

static void count_beginnings(void *ctx, enum engine_notice_kind kind, const char *text)
{
	(void)ctx;
	(void)kind;
	begun_again += strstr(text, "begins again") != NULL;
}

static void run_while_pruned(struct lab *l, int at, struct snapshot_id forgotten, struct repo *pruner, bool *done)
{
	static struct pruning_source s;
	struct snapshot_report report;
	struct fake_world *model = expected_of(&l->now, newest(l));

	memset(&s, 0, sizeof s);
	fake_source_init(&s.fake, &l->now);
	s.ops = *s.fake.base.ops;
	s.fetch = s.ops.fetch;
	s.ops.fetch = fetch_and_prune;
	s.fake.base.ops = &s.ops;
	s.fake.base.parallel_fetch = false;
	s.at = at;
	s.forgotten = forgotten;
	s.pruner = pruner;
	l->repo->notice = count_beginnings;
	ok(engine_snapshot(l->repo, &s.fake.base,
	                   &(struct snapshot_options){ .account = "ann", .partial_every_bytes = below(2) ? 0 : 20000 },
	                   &report, &err));
	keep(l, &report.info.id, model);
	*done = s.done;
}

/*
 * The other way round: somebody forgets and prunes, with all the rigour there is, while a run is at work that
 * deduplicates against what goes, or builds on the very snapshot that goes. The run is whole afterwards, if need be
 * because it began again.
 */
static void a_prune_in_the_middle_of_a_run_takes_nothing_from_it(void **state)
{
	static struct lab l, other;
	bool more = true;

	(void)state;
	random_start("a_prune_in_the_middle_of_a_run_takes_nothing_from_it");
	for (int at = 0; more && at < 200; at += 7) {
		struct fake_folder gone;
		size_t victim = (size_t)at / 7 % 2;

		lab_start(&l);
		for (int i = 0; i < 100; i++)
			item_new(&l, &l.now.folders[i % 5], false);
		run_whole(&l, &(struct snapshot_options){ 0 });
		gone = l.now.folders[1];
		l.now.folders[1].count = 3;
		run_whole(&l, &(struct snapshot_options){ 0 });
		l.now.folders[1] = gone;
		for (int i = 0; i < 40; i++)
			item_new(&l, &l.now.folders[2 + i % 3], false);
		other = l;
		snprintf(other.cache, sizeof other.cache, "%s/cache-2", l.folder);
		lab_open(&other);
		run_while_pruned(&l, at, l.ids[victim], other.repo, &more);
		repo_free(&other.repo);
		if (more) {
			free(l.kept[victim]);
			l.kept[victim] = NULL;
		}
		ok(ledger_refresh(l.repo->ledger, &err));
		what_is_kept_is_whole(&l, 1);
		prune(l.repo, &at_once);
		what_is_kept_is_whole(&l, 2);
		lab_end(&l);
	}
	assert_true(begun_again > 0);
}

struct fencer {
	struct repo *pruner, *other;
	int times, notices;
};

/* Ends whatever session is open while the prune goes on. */
static void fence(void *ctx, const struct engine_progress *p)
{
	struct fencer *f = ctx;
	struct session_fact s;

	(void)p;
	f->pruner->progress_at = 0;
	if (!f->times)
		return;
	ok(ledger_refresh(f->other->ledger, &err));
	for (size_t i = 0; ledger_session_at(f->other->ledger, i, &s); i++) {
		if (s.state != SESSION_OPEN)
			continue;
		ok(ledger_fence(f->other->ledger, s.number, &err));
		f->times--;
		return;
	}
}

static void count_fenced(void *ctx, enum engine_notice_kind kind, const char *text)
{
	struct fencer *f = ctx;

	(void)kind;
	f->notices += strstr(text, "begins again") != NULL;
}

/* TIMES it is taken for dead by others. */
static enum err_code prune_fenced(struct lab *l, int times, struct prune_report *r)
{
	struct prune_options tight = { .max_repack_bytes = UINT64_MAX };
	struct repo_options o = { .url = l->url, .secret = l->secret, .secret_kind = SLOT_KEY_FILE };
	struct fencer f = { .times = times };
	char cache[100];
	enum err_code rc;

	snprintf(cache, sizeof cache, "%s-other", l->cache);
	o.cache_folder = cache;
	ok(repo_open(&o, &f.other, &err));
	f.pruner = l->repo;
	l->repo->notice = count_fenced;
	l->repo->notice_ctx = &f;
	engine_set_progress(l->repo, fence, &f);
	rc = engine_prune(l->repo, &tight, r, &err);
	assert_int_equal(f.times, 0);
	assert_int_equal(f.notices, times > PRUNES_AGAIN ? PRUNES_AGAIN : times);
	repo_free(&f.other);
	lab_reopen(l);
	return rc;
}

static void a_prune_that_was_taken_for_dead_begins_again(void **state)
{
	static struct lab l;
	struct prune_report r;

	(void)state;
	random_start("a_prune_that_was_taken_for_dead_begins_again");
	lab_start(&l);
	make_history(&l, 8);
	for (size_t i = 0; i + 1 < l.count; i += 2)
		forget(&l, i);
	assert_int_equal(prune_fenced(&l, PRUNES_AGAIN + 1, &r), ERR_STATE);
	assert_int_equal(r.packs_repacked, 0);
	what_is_kept_is_whole(&l, 4);
	ok(prune_fenced(&l, 2, &r));
	assert_true(r.packs_repacked > 0);
	what_is_kept_is_whole(&l, 4);
	again_changes_nothing(&l, &(struct prune_options){ .max_repack_bytes = UINT64_MAX });
	lab_end(&l);
}

static void memory_may_run_out_in_a_prune(void **state)
{
	static struct lab l;
	uint64_t step = 1;

	(void)state;
	random_start("memory_may_run_out_in_a_prune");
	lab_start(&l);
	make_history(&l, 4);
	for (size_t i = 0; i < 3; i++)
		forget(&l, i);
	for (uint64_t nth = 1; nth < 100000; nth += step) {
		struct prune_report report;
		enum err_code rc;

		mem_fail_nth(nth);
		rc = engine_prune(l.repo, &(struct prune_options){ .max_repack_bytes = UINT64_MAX }, &report, &err);
		mem_fail_nth(0);
		lab_reopen(&l);
		if (!rc)
			break;
		step = 1 + nth / 20;
	}
	what_is_kept_is_whole(&l, 1);
	prune(l.repo, &at_once);
	what_is_kept_is_whole(&l, 1);
	lab_end(&l);
}

/* ---- retention ---- */

struct told {
	size_t kept, gone, held;
	char reasons[200];
};

static enum err_code note_verdict(void *ctx, const struct forget_verdict *v, struct err *e)
{
	struct told *t = ctx;

	(void)e;
	t->kept += v->keep;
	t->gone += !v->keep && !v->held;
	t->held += v->held;
	snprintf(t->reasons, sizeof t->reasons, "%s", v->reasons);
	return ERR_OK;
}

static void a_policy_forgets_into_the_trash(void **state)
{
	static struct lab l;
	struct forget_policy p = { .keep[KEEP_LAST] = 4 };
	struct forget_report r;
	struct told t = { 0 };

	(void)state;
	random_start("a_policy_forgets_into_the_trash");
	lab_start(&l);
	make_history(&l, 7);
	assert_int_equal(engine_forget_policy(l.repo, &(struct forget_policy){ 0 }, NULL, NULL, &r, &err), ERR_USAGE);
	p.account = "bob";
	assert_int_equal(engine_forget_policy(l.repo, &p, NULL, NULL, &r, &err), ERR_NOT_FOUND);
	p.account = "ann";
	p.dry_run = true;
	ok(engine_forget_policy(l.repo, &p, note_verdict, &t, &r, &err));
	assert_int_equal(t.kept + t.gone, 7);
	assert_int_equal(t.gone, r.forgotten);
	assert_non_null(strstr(t.reasons, "newest"));
	for (size_t i = 0; i < l.count; i++)
		same_snapshot(&l, &l.ids[i], l.kept[i], 30);
	p.dry_run = false;
	ok(engine_forget_policy(l.repo, &p, NULL, NULL, &r, &err));
	assert_int_equal(r.forgotten, t.gone);
	for (size_t i = 0; i < 7 - 4 && r.forgotten == 3; i++) {
		free(l.kept[i]);
		l.kept[i] = NULL;
	}
	if (r.forgotten == 3) {
		prune(l.repo, &at_once);
		what_is_kept_is_whole(&l, 5);
	}
	lab_end(&l);
}

static void a_policy_is_held_back(void **state)
{
	static struct lab l;
	struct forget_policy p = { .keep[KEEP_LAST] = 1 };
	struct forget_report r;

	(void)state;
	random_start("a_policy_is_held_back");
	lab_start(&l);
	for (int i = 0; i < 9; i++)
		run_whole(&l, &(struct snapshot_options){ 0 });
	ok(engine_forget_policy(l.repo, &p, NULL, NULL, &r, &err));
	assert_int_equal(r.held, 8);
	assert_int_equal(r.forgotten, 0);
	p.force = true;
	ok(engine_forget_policy(l.repo, &p, NULL, NULL, &r, &err));
	assert_int_equal(r.forgotten, 8);
	assert_int_equal(r.kept, 1);
	lab_end(&l);
}

/* What rules left they leave again; other rules that would take much of it are held back. */
static void rules_that_change_much_are_held_back(void **state)
{
	static struct lab l;
	struct forget_policy p = { .keep[KEEP_LAST] = 20 };
	struct forget_report r;

	(void)state;
	random_start("rules_that_change_much_are_held_back");
	lab_start(&l);
	for (int i = 0; i < 23; i++)
		run_whole(&l, &(struct snapshot_options){ 0 });
	ok(engine_forget_policy(l.repo, &p, NULL, NULL, &r, &err));
	assert_int_equal(r.forgotten, 3);
	run_whole(&l, &(struct snapshot_options){ 0 });
	ok(engine_forget_policy(l.repo, &p, NULL, NULL, &r, &err));
	assert_int_equal(r.forgotten, 1);
	p.keep[KEEP_LAST] = 11;
	ok(engine_forget_policy(l.repo, &p, NULL, NULL, &r, &err));
	assert_int_equal(r.held, 9);
	assert_int_equal(r.forgotten, 0);
	p.force = true;
	ok(engine_forget_policy(l.repo, &p, NULL, NULL, &r, &err));
	assert_int_equal(r.forgotten, 9);
	lab_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_forgotten_half_whole),
		cmocka_unit_test(small_packs_are_merged),
		cmocka_unit_test(a_dry_run_changes_nothing_and_tells_the_same),
		cmocka_unit_test(the_trash_and_the_wait_hold),
		cmocka_unit_test(what_no_commit_names_is_swept),
		cmocka_unit_test(a_snapshot_in_the_middle_of_a_prune_is_whole),
		cmocka_unit_test(a_prune_in_the_middle_of_a_run_takes_nothing_from_it),
		cmocka_unit_test(a_prune_that_was_taken_for_dead_begins_again),
		cmocka_unit_test(memory_may_run_out_in_a_prune),
		cmocka_unit_test(a_policy_forgets_into_the_trash),
		cmocka_unit_test(a_policy_is_held_back),
		cmocka_unit_test(rules_that_change_much_are_held_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
