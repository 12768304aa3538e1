/* Writing out early: syncfs is ours here, counts, and fails when told to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "connector/files/target.h"

#define OK(call) assert_int_equal((call), ERR_OK)

static struct err err;
static atomic_int calls, fails_at; /* the call that fails, from 1; 0: none */

int syncfs(int fd)
{
	int call = atomic_fetch_add(&calls, 1) + 1;

	(void)fd;
	if (call != atomic_load(&fails_at))
		return 0;
	errno = EIO;
	return -1;
}

struct world {
	char path[64];
	struct target target;
};

static int open_world(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	bool found;

	snprintf(w->path, sizeof w->path, "%s/target-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(w->path));
	OK(target_init(&w->target, w->path, NULL, &err));
	OK(target_open(&w->target, true, &found, &err));
	atomic_store(&calls, 0);
	atomic_store(&fails_at, 0);
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;

	target_release(&w->target);
	rmdir(w->path);
	free(w);
	return 0;
}

static void little_is_written_once_at_the_end(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		target_wrote(&w->target, 10 * KIB);
	assert_int_equal(atomic_load(&calls), 0);
	OK(target_sync(&w->target, &err));
	assert_int_equal(atomic_load(&calls), 1);
}

static void much_is_written_before_the_end_and_again_there(void **state)
{
	struct world *w = *state;

	target_wrote(&w->target, 100 * MIB);
	OK(target_sync(&w->target, &err));
	assert_int_equal(atomic_load(&calls), 2);
}

static void what_failed_early_is_told_at_the_end_once(void **state)
{
	struct world *w = *state;

	atomic_store(&fails_at, 1); /* the kernel tells it to this call alone */
	target_wrote(&w->target, 100 * MIB);
	assert_int_equal(target_sync(&w->target, &err), ERR_IO);
	OK(target_sync(&w->target, &err));
}

static void what_fails_at_the_end_is_told(void **state)
{
	struct world *w = *state;

	atomic_store(&fails_at, 1);
	target_wrote(&w->target, 1);
	assert_int_equal(target_sync(&w->target, &err), ERR_IO);
}

static void a_target_that_is_left_waits_for_what_runs(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 10; i++)
		target_wrote(&w->target, 100 * MIB);
	/* close_world frees it: under the sanitizers a thread that still ran would be found out */
	assert_true(atomic_load(&calls) <= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(little_is_written_once_at_the_end, open_world, close_world),
		cmocka_unit_test_setup_teardown(much_is_written_before_the_end_and_again_there, open_world,
		                                close_world),
		cmocka_unit_test_setup_teardown(what_failed_early_is_told_at_the_end_once, open_world, close_world),
		cmocka_unit_test_setup_teardown(what_fails_at_the_end_is_told, open_world, close_world),
		cmocka_unit_test_setup_teardown(a_target_that_is_left_waits_for_what_runs, open_world, close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
