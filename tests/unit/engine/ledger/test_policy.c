/* What the repository is set to: the newest POLICY that makes sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "engine/ledger/ledger_internal.h"

static struct err err;
static char folder[64], cache[80], url[80];
static struct store *store;
static struct keys *keys;

static void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof folder, "%.30s/mailhold-policy-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(folder));
	snprintf(url, sizeof url, "%s/store", folder);
	snprintf(cache, sizeof cache, "%s/cache", folder);
	ok(crypto_start(&err));
	ok(keys_new(&keys, &err));
	ok(store_create(url, &store, &err));
	ok(ledger_create(store, keys, 1, 2, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_free(&store);
	keys_free(&keys);
	ok(file_remove_tree(folder, &err));
	return 0;
}

static struct ledger *open_ledger(const char *cache_file)
{
	struct ledger *l = NULL;

	ok(ledger_open(store, keys, cache_file, NULL, NULL, &l, &err));
	return l;
}

/* As another process sees it, with the cache and without. */
static void everybody_sees(unsigned percent)
{
	for (int round = 0; round < 3; round++) {
		struct ledger *l = open_ledger(round ? cache : NULL);

		assert_int_equal(ledger_parity_percent(l), percent);
		ledger_free(&l);
	}
}

static void the_newest_policy_counts_for_everybody(void **state)
{
	struct ledger *l = open_ledger(NULL);
	uint64_t before;

	(void)state;
	assert_int_equal(ledger_parity_percent(l), 0);
	ok(ledger_set_parity(l, 5, &err));
	everybody_sees(5);
	ok(ledger_set_parity(l, 10, &err));
	before = ledger_head(l).number;
	ok(ledger_set_parity(l, 10, &err));
	assert_int_equal(ledger_head(l).number, before);
	everybody_sees(10);
	ok(ledger_set_parity(l, 0, &err));
	everybody_sees(0);
	assert_int_equal(ledger_set_parity(l, POLICY_PARITY_MAX + 1, &err), ERR_USAGE);
	ledger_free(&l);
}

static void what_a_later_version_set_is_carried_over(void **state)
{
	struct ledger *l = open_ledger(NULL);
	struct span value;

	(void)state;
	ok(ledger_append_bytes(l, RECORD_POLICY, SPAN_LIT("\x01\x01\x63\x09\x03new"), NULL, &err));
	assert_int_equal(ledger_parity_percent(l), POLICY_PARITY_MAX); /* 99 percent is more than we make */
	ok(ledger_set_parity(l, 7, &err));
	ok(policy_get(l->fold.policy, 9, &value, &err));
	assert_true(span_equal(value, SPAN_LIT("new")));
	ledger_free(&l);
	everybody_sees(7);
}

static void one_that_makes_no_sense_changes_nothing(void **state)
{
	struct ledger *l = open_ledger(NULL);

	(void)state;
	ok(ledger_set_parity(l, 5, &err));
	ok(ledger_append_bytes(l, RECORD_POLICY, SPAN_LIT("\x05\x09x"), NULL, &err));
	assert_int_equal(ledger_parity_percent(l), 5);
	everybody_sees(5);
	ok(ledger_set_parity(l, 6, &err));
	everybody_sees(6);
	ledger_free(&l);
}

/* Two processes that set at once: the one that is later folds the other's record first. */
static void settings_of_two_processes_follow_each_other(void **state)
{
	struct ledger *a = open_ledger(NULL), *b = open_ledger(NULL);

	(void)state;
	ok(ledger_set_parity(a, 5, &err));
	ok(ledger_set_parity(b, 10, &err));
	ok(ledger_refresh(a, &err));
	assert_int_equal(ledger_parity_percent(a), 10);
	ledger_free(&a);
	ledger_free(&b);
}

struct loading {
	struct fold fold;
	unsigned last_kind;
};

static enum err_code load_segment(void *ctx, struct span segment, struct err *e)
{
	struct loading *into = ctx;

	return fold_load(&into->fold, &into->last_kind, segment, e);
}

/* A checkpoint and the client's cache are the fold as bytes: who begins there knows the policy, too. */
static void a_saved_fold_holds_the_policy(void **state)
{
	struct ledger *l = open_ledger(NULL);
	struct loading into = { .last_kind = 0 };

	(void)state;
	ok(ledger_append_bytes(l, RECORD_POLICY, SPAN_LIT("\x01\x01\x05\x09\x03new"), NULL, &err));
	ok(fold_save(&l->fold, load_segment, &into, &err));
	assert_int_equal(into.fold.parity_percent, 5);
	assert_true(span_equal(into.fold.policy, l->fold.policy));
	fold_release(&into.fold);
	ledger_free(&l);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_newest_policy_counts_for_everybody),      T(what_a_later_version_set_is_carried_over),
		T(one_that_makes_no_sense_changes_nothing),     T(a_saved_fold_holds_the_policy),
		T(settings_of_two_processes_follow_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
