#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <locale.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/text.h"
#include "cli/output.h"

static void check_safe(struct span in, size_t columns, const char *want, size_t want_used)
{
	struct buf out = BUF_EMPTY;
	struct err e = { 0 };
	size_t used = 0;

	assert_int_equal(output_safe(&out, in, columns, &used, &e), ERR_OK);
	if (!span_equal(buf_span(&out), span_cstr(want)))
		fail_msg("got '%.*s', want '%s'", (int)out.len, (const char *)out.ptr, want);
	assert_int_equal(used, want_used);
	buf_release(&out);
}

static void plain_text_passes(void **state)
{
	(void)state;
	check_safe(SPAN_LIT("Re: 50% off"), 0, "Re: 50% off", 11);
	check_safe(SPAN_LIT("Grüße"), 0, "Grüße", 5);
	check_safe(SPAN_EMPTY, 0, "", 0);
}

static void what_acts_on_a_terminal_does_not_pass(void **state)
{
	(void)state;
	check_safe(SPAN_LIT("a\x1b[31mb"), 0, "a\xef\xbf\xbd[31mb", 7);
	check_safe(SPAN_LIT("a\rb\nc\td"), 0, "a b c d", 7);
	check_safe(SPAN_LIT("a\0b\x7f"), 0,
	           "a\xef\xbf\xbd"
	           "b\xef\xbf\xbd",
	           4);
	check_safe(SPAN_LIT("x\xc2\x9b"
	                    "31m"),
	           0,
	           "x\xef\xbf\xbd"
	           "31m",
	           5);
	check_safe(SPAN_LIT("exe\xe2\x80\xaegpj"), 0, "exe\xef\xbf\xbdgpj", 7); /* U+202E */
	check_safe(SPAN_LIT("\xe2\x81\xa6x\xef\xbb\xbf"), 0, "\xef\xbf\xbdx\xef\xbf\xbd", 3);
}

static void bytes_that_are_no_utf8_do_not_pass(void **state)
{
	(void)state;
	check_safe(SPAN_LIT("\xff\xfe"), 0, "\xef\xbf\xbd\xef\xbf\xbd", 2);
	check_safe(SPAN_LIT("\xc3"), 0, "\xef\xbf\xbd", 1);
	check_safe(SPAN_LIT("\xc0\xaf"), 0, "\xef\xbf\xbd\xef\xbf\xbd", 2);
	check_safe(SPAN_LIT("\xed\xa0\x80"), 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 3);
	check_safe(SPAN_LIT("\xf4\x90\x80\x80"), 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 4);
}

static void a_long_text_is_cut_at_its_columns(void **state)
{
	(void)state;
	check_safe(SPAN_LIT("abcdef"), 6, "abcdef", 6);
	check_safe(SPAN_LIT("abcdefg"), 6, "abcde…", 6);
	check_safe(SPAN_LIT("日本語"), 6, "日本語", 6);
	check_safe(SPAN_LIT("日本語"), 5, "日本…", 5);
	check_safe(SPAN_LIT("日本語"), 4, "日…", 3);
	check_safe(SPAN_LIT("abc"), 1, "…", 1);
}

static void marks_without_width_do_not_pile_up(void **state)
{
	struct buf in = BUF_EMPTY, out = BUF_EMPTY;
	struct err e;
	size_t used;

	(void)state;
	assert_int_equal(buf_append(&in, SPAN_LIT("a"), &e), ERR_OK);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(buf_append(&in, SPAN_LIT("\xcc\x81"), &e), ERR_OK);
	assert_int_equal(output_safe(&out, buf_span(&in), 10, &used, &e), ERR_OK);
	assert_true(out.len < 20);
	buf_release(&in);
	buf_release(&out);
}

static void any_bytes_come_out_as_safe_utf8_of_the_width_asked(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoull(given, NULL, 0) : (unsigned)time(NULL);

	(void)state;
	print_message("MAILHOLD_TEST_SEED=%u\n", seed);
	srandom(seed);
	for (int round = 0; round < 20000; round++) {
		uint8_t in[64];
		size_t len = (size_t)random() % sizeof in, columns = (size_t)random() % 20, used = 0;
		struct buf out = BUF_EMPTY;
		struct err e;

		for (size_t i = 0; i < len; i++)
			in[i] = random() % 2 ? (uint8_t)random()
			                     : (uint8_t)("\xe2\x80\xc2\x1b\xf0\x9f\xcc"[random() % 7]);
		assert_int_equal(output_safe(&out, span_of(in, len), columns, &used, &e), ERR_OK);
		assert_true(text_is_utf8(buf_span(&out)));
		assert_true(columns == 0 || used <= columns);
		for (size_t i = 0; i < out.len; i++)
			assert_true(out.ptr[i] >= 0x20 && out.ptr[i] != 0x7f);
		buf_release(&out);
	}
}

static void numbers_have_commas(void **state)
{
	(void)state;
	assert_string_equal(number_text(0).text, "0");
	assert_string_equal(number_text(999).text, "999");
	assert_string_equal(number_text(8146).text, "8,146");
	assert_string_equal(number_text(1000000).text, "1,000,000");
	assert_string_equal(number_text(UINT64_MAX).text, "18,446,744,073,709,551,615");
}

static void times_are_short_and_may_be_missing(void **state)
{
	(void)state;
	assert_string_equal(time_text(INT64_MIN).text, "-");
	assert_int_equal(strlen(time_text(1700000000000).text), 16);
}

static void json_text_is_always_utf8(void **state)
{
	struct row r = row_new("x");

	(void)state;
	row_text(&r, "title", SPAN_LIT("a\xff\0b"));
	row_name(&r, "key", SPAN_LIT("a\xff\0b#"));
	row_number(&r, "big", UINT64_MAX);
	row_time(&r, "none", INT64_MIN);
	assert_false(r.bad);
	assert_int_equal(json_string_length(json_object_get(r.object, "title")), 6);
	assert_string_equal(json_string_value(json_object_get(r.object, "key")), "a%ff%00b%23");
	assert_true(json_integer_value(json_object_get(r.object, "big")) == INT64_MAX);
	assert_true(json_is_null(json_object_get(r.object, "none")));
	row_drop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_passes),
		cmocka_unit_test(what_acts_on_a_terminal_does_not_pass),
		cmocka_unit_test(bytes_that_are_no_utf8_do_not_pass),
		cmocka_unit_test(a_long_text_is_cut_at_its_columns),
		cmocka_unit_test(marks_without_width_do_not_pile_up),
		cmocka_unit_test(any_bytes_come_out_as_safe_utf8_of_the_width_asked),
		cmocka_unit_test(numbers_have_commas),
		cmocka_unit_test(times_are_short_and_may_be_missing),
		cmocka_unit_test(json_text_is_always_utf8),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
