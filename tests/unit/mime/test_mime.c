#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/text.h"
#include "mime/mime.h"

static struct err err;

static void check_text(const char *in, size_t max, const char *want)
{
	struct buf out = BUF_EMPTY;

	assert_int_equal(mime_text(span_cstr(in), max, &out, &err), ERR_OK);
	assert_true(text_is_utf8(buf_span(&out)));
	if (!span_equal(buf_span(&out), span_cstr(want)))
		fail_msg("%s: got %.*s, not %s", in, (int)out.len, (const char *)out.ptr, want);
	buf_release(&out);
}

static void text_is_unfolded_decoded_and_clean(void **state)
{
	(void)state;
	check_text("plain  text\r\n\tfolded ", 99, "plain text folded");
	check_text("=?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?4oKs?=", 99, "Grüße€");
	check_text("a =?iso-8859-1?q?=E4_b?= c", 99, "a ä b c");
	check_text("=?windows-1252?Q?=80=93?= =?ISO-8859-15?Q?=A4?=", 99, "€“€");
	check_text("=?utf-8?Q?=E2=82?=\r\n =?utf-8?Q?=AC?=", 99, "€"); /* a character cut in two */
	check_text("=?utf-8*de?Q?x?= y", 99, "x y");
	check_text("=?koi8-r?B?8NLJ18XU?=", 99, "Привет");
	check_text("=?no-such-set?Q?x?= y", 99, "=?no-such-set?Q?x?= y");
	check_text("=?utf-8?X?x?= =?utf-8?Q?x =? ==", 99, "=?utf-8?X?x?= =?utf-8?Q?x =? ==");
	check_text("\xff\xe4 x", 99, "\xef\xbf\xbd\xef\xbf\xbd x");
	check_text("a\x01\x7f\x1b[0m\xc2\x9b"
	           "b",
	           99, "a[0mb");
	check_text("=?utf-8?Q?=00=1B=0A=0Dx?=", 99, "x");
	check_text("\xed\xa0\x80\xc0\x80", 99, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	check_text("", 99, "");
}

static void text_is_cut_between_characters(void **state)
{
	(void)state;
	check_text("äöü", 5, "äö");
	check_text("ab cd", 3, "ab");
	check_text("ab", 0, "");
	check_text("€", 2, "");
}

static void check_date(const char *in, const char *want)
{
	int64_t ms;
	int16_t zone;

	if (!mime_date(span_cstr(in), &ms, &zone)) {
		if (want)
			fail_msg("%s was not understood", in);
		return;
	}
	if (!want || strcmp(clock_format(ms, zone).text, want))
		fail_msg("%s: %s, not %s", in, clock_format(ms, zone).text, want ? want : "refused");
}

static void dates_of_all_ages_are_read(void **state)
{
	(void)state;
	check_date("Sun, 22 Nov 2026 20:15:03 +0100", "2026-11-22 20:15:03 +01:00");
	check_date(" 22 Nov 2026 20:15 -0830 (a (nested\\)) comment)", "2026-11-22 20:15:00 -08:30");
	check_date("Fri, 1 Jan 99 00:00:00 EST", "1999-01-01 00:00:00 -05:00");
	check_date("1 feb 05 1:02:03 GMT", "2005-02-01 01:02:03 +00:00");
	check_date("Mon,\r\n 3 Mar 103 1:02:03 Z", "2003-03-03 01:02:03 +00:00");
	check_date("Tue (x), 29 Feb 2000 23:59:60 PDT", "2000-02-29 23:59:59 -07:00");
	check_date("10-Jun-2005 10:00:00 +0000", "2005-06-10 10:00:00 +00:00");
	check_date("Fri Jun 10 12:00:00 2005", "2005-06-10 12:00:00 +00:00");
	check_date("22 Nov 2026 20:15:03 XYZ", "2026-11-22 20:15:03 +00:00");
	check_date("29 Feb 2001 00:00:00 +0000", NULL);
	check_date("22 Xxx 2026 20:15:03", NULL);
	check_date("22 Nov 99999 20:15:03", NULL);
	check_date("22 Nov 2026 25:15:03", NULL);
	check_date("", NULL);
	check_date("(((((", NULL);
}

static void fields_are_walked_with_their_folds(void **state)
{
	struct span header = SPAN_LIT("From a@b Mon\nA: 1\r\nB :  2\n\t3\r\nbroken line\nC:\n\nD: no\n");
	struct mime_fields it = mime_fields_of(header);
	struct mime_field f;

	(void)state;
	assert_int_equal(mime_header_length(header), header.len - 6);
	assert_true(mime_fields_next(&it, &f) && span_equal(f.name, SPAN_LIT("A")) &&
	            span_equal(f.value, SPAN_LIT("1")));
	assert_true(mime_fields_next(&it, &f) && span_equal(f.name, SPAN_LIT("B")) &&
	            span_equal(f.value, SPAN_LIT("2\n\t3")));
	assert_true(mime_fields_next(&it, &f) && span_equal(f.name, SPAN_LIT("C")) && f.value.len == 0);
	assert_false(mime_fields_next(&it, &f));
	assert_int_equal(mime_header_length(SPAN_LIT("A: b\r\n\r\nx")), 8);
	assert_int_equal(mime_header_length(SPAN_LIT("\nx")), 1);
	assert_int_equal(mime_header_length(SPAN_LIT("A: b")), 4);
	assert_int_equal(mime_header_length(SPAN_EMPTY), 0);
}

static enum err_code join_name(void *ctx, struct span name, struct err *e)
{
	enum err_code rc = buf_append(ctx, name, e);

	return rc ? rc : buf_append(ctx, SPAN_LIT("|"), e);
}

static void check_names(const char *in, const char *want)
{
	struct buf out = BUF_EMPTY;

	assert_int_equal(mime_part_names(span_cstr(in), join_name, &out, &err), ERR_OK);
	if (!span_equal(buf_span(&out), span_cstr(want)))
		fail_msg("%s: got %.*s", in, (int)out.len, (const char *)out.ptr);
	buf_release(&out);
}

static void part_names_are_found_however_they_are_written(void **state)
{
	(void)state;
	check_names("--x\nContent-Type: image/png; name=a.png\n\n--x\nContent-Disposition: attachment;\n"
	            " filename=\"b \\\"c\\\".pdf\"\n\n",
	            "a.png|b \"c\".pdf|");
	check_names("Content-Type: a/b; name=\"one\"\nContent-Disposition: attachment; filename=two\n\n", "two|");
	check_names("Content-Disposition: attachment; filename=two\nContent-Type: a/b; name=\"one\"\n\n", "two|");
	check_names("content-disposition:x;filename*=utf-8''%e2%82%ac%20x", "€ x|");
	check_names("Content-Disposition: x; filename*1=\"b\"; filename*0*=iso-8859-1'de'%E4; filename*2*=%41", "äbA|");
	check_names("Content-Type: x; name=\"=?utf-8?Q?=C3=A4?=.txt\"", "ä.txt|");
	check_names("Content-Type: x; name=\"never ends", "never ends|");
	check_names("Content-Type: x; filename*99999999999999=a; filename*-1=b; =; ;;", "");
	check_names("Content-Type: text/plain\n\nContent here", "");
}

static void content_lines_are_unfolded_and_split(void **state)
{
	struct vobject_lines it = vobject_lines_of(
	        SPAN_LIT("BEGIN:VCARD\r\nitem1.tel;TYPE=\"a:b\";X=1:12\r\n 34\n\t56\r\nnonsense\r\n\r\n.x:1\r\nFN:"));
	struct vobject_line line;
	bool more;

	(void)state;
	assert_int_equal(vobject_lines_next(&it, &line, &more, &err), ERR_OK);
	assert_true(more && span_equal(line.name, SPAN_LIT("BEGIN")) && span_equal(line.value, SPAN_LIT("VCARD")));
	assert_int_equal(vobject_lines_next(&it, &line, &more, &err), ERR_OK);
	assert_true(more && span_equal(line.name, SPAN_LIT("TEL")) &&
	            span_equal(line.params, SPAN_LIT("TYPE=\"a:b\";X=1")) &&
	            span_equal(line.value, SPAN_LIT("123456")));
	assert_int_equal(vobject_lines_next(&it, &line, &more, &err), ERR_OK);
	assert_true(more && span_equal(line.name, SPAN_LIT("X")));
	assert_int_equal(vobject_lines_next(&it, &line, &more, &err), ERR_OK);
	assert_true(more && span_equal(line.name, SPAN_LIT("FN")) && line.value.len == 0);
	assert_int_equal(vobject_lines_next(&it, &line, &more, &err), ERR_OK);
	assert_false(more);
	vobject_lines_release(&it);
}

static void a_line_over_64_kib_is_cut_there(void **state)
{
	struct buf b = BUF_EMPTY;
	struct vobject_lines it;
	struct vobject_line line;
	bool more;

	(void)state;
	assert_int_equal(buf_append(&b, SPAN_LIT("X:"), &err), ERR_OK);
	for (int i = 0; i < 20000; i++)
		assert_int_equal(buf_append(&b, SPAN_LIT("aaaaaaaa\n "), &err), ERR_OK);
	assert_int_equal(buf_append(&b, SPAN_LIT("\nY:1\n"), &err), ERR_OK);
	it = vobject_lines_of(buf_span(&b));
	assert_int_equal(vobject_lines_next(&it, &line, &more, &err), ERR_OK);
	assert_int_equal(line.value.len, 64 * KIB - 2);
	assert_int_equal(vobject_lines_next(&it, &line, &more, &err), ERR_OK);
	assert_true(more && span_equal(line.name, SPAN_LIT("Y")));
	vobject_lines_release(&it);
	buf_release(&b);
}

static void calendar_times_are_read(void **state)
{
	int64_t ms, want;

	(void)state;
	assert_true(clock_civil(2026, 11, 22, 20, 15, 3, 0, &want));
	assert_true(vobject_time(SPAN_LIT("20261122T201503Z"), &ms) && ms == want);
	assert_true(vobject_time(SPAN_LIT("20261122T201503"), &ms) && ms == want);
	assert_true(vobject_time(SPAN_LIT("20261122"), &ms) && ms == clock_days(2026, 11, 22) * 86400000);
	assert_false(vobject_time(SPAN_LIT("2026112"), &ms));
	assert_false(vobject_time(SPAN_LIT("20261322"), &ms));
	assert_false(vobject_time(SPAN_LIT("20261122T2015"), &ms));
	assert_false(vobject_time(SPAN_LIT("20261122T201503X"), &ms));
	assert_false(vobject_time(SPAN_EMPTY, &ms));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_unfolded_decoded_and_clean),
		cmocka_unit_test(text_is_cut_between_characters),
		cmocka_unit_test(dates_of_all_ages_are_read),
		cmocka_unit_test(fields_are_walked_with_their_folds),
		cmocka_unit_test(part_names_are_found_however_they_are_written),
		cmocka_unit_test(content_lines_are_unfolded_and_split),
		cmocka_unit_test(a_line_over_64_kib_is_cut_there),
		cmocka_unit_test(calendar_times_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
