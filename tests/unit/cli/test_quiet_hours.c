#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cli/quiet_hours.h"

static void hours_of_a_day(void **state)
{
	struct quiet_hours q;
	struct err e;

	(void)state;
	assert_int_equal(quiet_hours_parse("08:00-18:30", &q, &e), ERR_OK);
	assert_false(quiet_hours_at(&q, 8 * 60 - 1));
	assert_true(quiet_hours_at(&q, 8 * 60));
	assert_true(quiet_hours_at(&q, 18 * 60 + 29));
	assert_false(quiet_hours_at(&q, 18 * 60 + 30));
	assert_int_equal(quiet_hours_parse("00:00-24:00", &q, &e), ERR_OK);
	assert_true(quiet_hours_at(&q, 0));
	assert_true(quiet_hours_at(&q, 24 * 60 - 1));
}

static void hours_over_midnight(void **state)
{
	struct quiet_hours q;
	struct err e;

	(void)state;
	assert_int_equal(quiet_hours_parse("22:30-06:00", &q, &e), ERR_OK);
	assert_true(quiet_hours_at(&q, 22 * 60 + 30));
	assert_true(quiet_hours_at(&q, 0));
	assert_true(quiet_hours_at(&q, 5 * 60 + 59));
	assert_false(quiet_hours_at(&q, 6 * 60));
	assert_false(quiet_hours_at(&q, 12 * 60));
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = { "",
		                           "8:00-18:00",
		                           "08:00-25:00",
		                           "08:60-18:00",
		                           "08:00",
		                           "08:00-08:00",
		                           "08:00 18:00",
		                           "24:01-10:00",
		                           "aa:00-18:00",
		                           "08:00-18:00 " };
	struct quiet_hours q = { 1, 2 };
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(quiet_hours_parse(bad[i], &q, &e), ERR_USAGE);
	assert_int_equal(q.from, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hours_of_a_day),
		cmocka_unit_test(hours_over_midnight),
		cmocka_unit_test(what_is_no_time_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
