#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/pace.h"

static void bytes_take_their_time(void **state)
{
	struct pace *p = NULL;
	struct err e;
	int64_t now = 1000000;

	(void)state;
	assert_int_equal(pace_open(1000, NULL, &p, &e), ERR_OK);
	assert_int_equal(pace_take(p, 500, now), 0); /* half a second is saved up, and no more */
	assert_int_equal(pace_take(p, 1000, now), 1000);
	assert_int_equal(pace_take(p, 1000, now), 2000);
	assert_int_equal(pace_take(p, 0, now + 2000), 0);
	assert_int_equal(pace_take(p, 1000, now + 3600000), 500);
	pace_free(&p);
	assert_null(p);
	assert_int_equal(pace_take(NULL, 1000, now), 0);
}

/* Whatever the pieces, no more passes in T seconds than T and a half allow. */
static void who_waits_as_told_keeps_the_rate(void **state)
{
	struct pace *p = NULL;
	struct err e;
	int64_t now = 5000;
	uint64_t passed = 0;

	(void)state;
	assert_int_equal(pace_open(100000, NULL, &p, &e), ERR_OK);
	for (unsigned i = 0; now < 105000; i++) {
		uint64_t bytes = 1 + i * 7919 % 16384;

		passed += bytes;
		now += pace_take(p, bytes, now);
	}
	assert_in_range(passed, 100 * 100000 - 20000, 100 * 100000 + 50000 + 2 * 16384);
	pace_free(&p);
}

static void the_slower_of_two_counts(void **state)
{
	struct pace *above = NULL, *a = NULL, *b = NULL;
	struct err e;

	(void)state;
	assert_int_equal(pace_open(1000, NULL, &above, &e), ERR_OK);
	assert_int_equal(pace_open(10000, above, &a, &e), ERR_OK);
	assert_int_equal(pace_open(100, above, &b, &e), ERR_OK);
	assert_int_equal(pace_take(a, 1500, 9000), 1000);
	assert_int_equal(pace_take(b, 250, 9000), 2000);
	assert_int_equal(pace_take(a, 0, 9000), 1250); /* what b took counts, too */
	pace_free(&a);
	pace_free(&b);
	pace_free(&above);
	assert_int_equal(pace_open(0, NULL, &a, &e), ERR_USAGE);
	assert_int_equal(pace_open(PACE_RATE_MAX + 1, NULL, &a, &e), ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_take_their_time),
		cmocka_unit_test(who_waits_as_told_keeps_the_rate),
		cmocka_unit_test(the_slower_of_two_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
