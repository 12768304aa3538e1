#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/progress.h"

static void check(const struct engine_progress *now, int64_t elapsed_ms, size_t columns, const char *want)
{
	struct progress p;
	struct buf out = BUF_EMPTY;
	struct err e;

	progress_init(&p, true);
	assert_int_equal(progress_text(&p, now, elapsed_ms, columns, &out, &e), ERR_OK);
	assert_int_equal(buf_append(&out, span_of("", 1), &e), ERR_OK);
	assert_string_equal((const char *)out.ptr, want);
	buf_release(&out);
}

static void it_tells_done_total_rate_and_time_left(void **state)
{
	struct engine_progress now = { "reading", 1000, 4000, 10 << 20, 40 << 20, "INBOX" };

	(void)state;
	check(&now, 10000, 200, "reading: 1,000 of 4,000, 10.0 MiB of 40.0 MiB, 1.0 MiB/s, 0:30 left  INBOX");
	check(&now, 500, 200, "reading: 1,000 of 4,000, 10.0 MiB of 40.0 MiB  INBOX");
}

static void without_a_total_of_bytes_the_items_tell_the_time(void **state)
{
	struct engine_progress now = { "reading", 1000, 4000, 10 << 20, 0, "INBOX" };

	(void)state;
	check(&now, 10000, 200, "reading: 1,000 of 4,000, 10.0 MiB, 1.0 MiB/s, 0:30 left  INBOX");
}

static void what_is_not_known_is_not_told(void **state)
{
	struct engine_progress now = { "comparing", 5, 0, 0, 0, "" };

	(void)state;
	check(&now, 0, 200, "comparing: 5");
	now.items_done = 5000;
	check(&now, 2000, 200, "comparing: 5,000, 2,500/s");
}

static void it_fits_the_terminal(void **state)
{
	struct engine_progress now = { "reading", 1000, 4000, 0, 0, "a rather long collection name" };

	(void)state;
	check(&now, 0, 30, "reading: 1,000 of 4,000  a ra…");
}

static void long_waits_are_told_in_hours(void **state)
{
	struct engine_progress now = { "reading", 10, 100000, 0, 0, "" };

	(void)state;
	check(&now, 10000, 200, "reading: 10 of 100,000, 1/s, 27:46:30 left");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_tells_done_total_rate_and_time_left),
		cmocka_unit_test(without_a_total_of_bytes_the_items_tell_the_time),
		cmocka_unit_test(what_is_not_known_is_not_told),
		cmocka_unit_test(it_fits_the_terminal),
		cmocka_unit_test(long_waits_are_told_in_hours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
