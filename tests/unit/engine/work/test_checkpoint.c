/* Checkpoints of the ledger as people meet them: made by a run, used by whoever has no cache, swept by prune. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "unit/engine/work/lab.h"

#define MANY 1000 /* as many records as a checkpoint stands for */

static void many_records(struct lab *l)
{
	uint64_t session;

	for (int i = 0; i < MANY / 2; i++) {
		ok(ledger_open_session(l->repo->ledger, &session, &err));
		ok(ledger_end_session(l->repo->ledger, session, &err));
	}
}

static enum err_code count_one(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)name;
	(void)bytes;
	(void)e;
	++*(size_t *)ctx;
	return ERR_OK;
}

static size_t checkpoints(struct lab *l)
{
	size_t n = 0;
	enum err_code rc = store_list(l->repo->store, "checkpoint", count_one, &n, &err);

	assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
	return n;
}

static void forget_the_cache(struct lab *l)
{
	repo_free(&l->repo);
	ok(file_remove_tree(l->cache, &err));
	lab_open(l);
}

static enum err_code open_expecting(struct lab *l, const char *head)
{
	struct repo_options o = { .url = l->url,
		                  .secret = l->secret,
		                  .secret_kind = SLOT_KEY_FILE,
		                  .cache_folder = l->cache,
		                  .expect_head = head };

	repo_free(&l->repo);
	return repo_open(&o, &l->repo, &err);
}

static void a_run_makes_one_and_everything_goes_on_from_it(void **state)
{
	static struct lab l;
	struct prune_options o = { .max_unused_percent = PRUNE_UNUSED_PERCENT,
		                   .max_repack_bytes = UINT64_MAX,
		                   .wait_ms = PRUNE_WAIT_MS };
	struct prune_report pruned;
	struct repo_info first;
	char wrong[80];

	(void)state;
	random_start("a_run_makes_one_and_everything_goes_on_from_it");
	lab_start(&l);
	change_world(&l, 100);
	run_whole(&l, &(struct snapshot_options){ 0 });
	repo_describe(l.repo, &first);
	assert_int_equal(checkpoints(&l), 0);
	many_records(&l);
	run_whole(&l, &(struct snapshot_options){ 0 });
	assert_int_equal(checkpoints(&l), 1);
	forget_the_cache(&l);
	run_whole(&l, &(struct snapshot_options){ 0 });
	for (size_t i = 0; i < l.count; i++)
		same_snapshot(&l, &l.ids[i], l.kept[i], 5);
	/* A head below the checkpoint is looked for among all records, by who has no cache and by who has. */
	for (int round = 0; round < 2; round++) {
		ok(open_expecting(&l, first.head));
		snprintf(wrong, sizeof wrong, "%s", first.head);
		wrong[strlen(wrong) - 1] = wrong[strlen(wrong) - 1] == '0' ? '1' : '0';
		assert_int_equal(open_expecting(&l, wrong), ERR_FORKED);
		lab_open(&l);
		if (!round)
			forget_the_cache(&l);
	}
	many_records(&l);
	ok(engine_prune(l.repo, &o, &pruned, &err));
	assert_int_equal(checkpoints(&l), 2);
	o.wait_ms = 0;
	ok(engine_prune(l.repo, &o, &pruned, &err));
	assert_int_equal(checkpoints(&l), 1);
	forget_the_cache(&l);
	repository_is_good(&l);
	lab_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_makes_one_and_everything_goes_on_from_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
