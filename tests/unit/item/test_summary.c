#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/text.h"
#include "item/item.h"

static struct err err;

static void check_field(struct buf *b, uint32_t tag, const char *want)
{
	struct span got = SPAN_EMPTY;

	if (fields_get(buf_span(b), tag, &got) != (want != NULL))
		fail_msg("field %u %s", tag, want ? "is absent" : "is there");
	if (want && !span_equal(got, span_cstr(want)))
		fail_msg("field %u is '%.*s'", tag, (int)got.len, (const char *)got.ptr);
}

static uint64_t number(struct buf *b, uint32_t tag)
{
	uint64_t got = 0;

	assert_true(fields_get_u64(buf_span(b), tag, &got));
	return got;
}

static struct buf made(enum item_kind kind, struct span s)
{
	struct buf b = BUF_EMPTY;

	assert_int_equal(summary_make(kind, s, s, &b, &err), ERR_OK);
	assert_true(fields_check(buf_span(&b)));
	assert_true(b.len <= SUMMARY_BYTES_MAX);
	return b;
}

static const char message[] =
        "Received: by x\nDate: Sun, 22 Nov 2026 20:15:03 +0100\nFrom: =?utf-8?Q?J=C3=B6rg?= <j@b>\n"
        "To: a@b,\n c@d\nCc: e@f\nSubject: Hello\n again\nMessage-ID: <1@b>\n"
        "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: a/b; name=f.pdf\n\n--x--\n";

static void a_message_is_summed_up(void **state)
{
	struct buf b = made(KIND_MAIL, span_cstr(message));
	int64_t want;

	(void)state;
	assert_true(clock_civil(2026, 11, 22, 20, 15, 3, 60, &want));
	assert_int_equal(number(&b, SUMMARY_DATE), want);
	assert_int_equal(number(&b, SUMMARY_ZONE), 60);
	check_field(&b, SUMMARY_TITLE, "Hello again");
	check_field(&b, SUMMARY_FROM, "Jörg <j@b>");
	check_field(&b, SUMMARY_TO, "a@b, c@d, e@f");
	check_field(&b, SUMMARY_MESSAGE_ID, "1@b");
	check_field(&b, SUMMARY_TO_COUNT, NULL);
	assert_int_equal(number(&b, SUMMARY_KIND), KIND_MAIL);
	assert_int_equal(b.ptr ? 1 : 0, 1);
	struct span files;
	assert_true(fields_get(buf_span(&b), SUMMARY_FILES, &files) && span_equal(files, span_of("f.pdf", 6)));
	buf_release(&b);
}

static void a_long_list_of_recipients_is_cut_and_counted(void **state)
{
	struct buf m = BUF_EMPTY, b;
	struct span to;

	(void)state;
	assert_int_equal(buf_append(&m, SPAN_LIT("To: "), &err), ERR_OK);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(buf_printf(&m, &err, "%s\"x, y\" <%d@b>", i ? ",\n " : "", i), ERR_OK);
	assert_int_equal(buf_append(&m, SPAN_LIT("\n\n"), &err), ERR_OK);
	b = made(KIND_MAIL, buf_span(&m));
	assert_int_equal(number(&b, SUMMARY_TO_COUNT), 5000);
	assert_true(fields_get(buf_span(&b), SUMMARY_TO, &to) && to.len <= 1024 && to.len > 900);
	buf_release(&b);
	buf_release(&m);
}

static void the_largest_summary_stays_under_its_limit(void **state)
{
	struct buf m = BUF_EMPTY, b;
	static const char *const names[] = { "From", "To", "Subject", "Message-ID" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(buf_printf(&m, &err, "%s: ", names[i]), ERR_OK);
		for (int k = 0; k < 5000; k++)
			assert_int_equal(buf_append(&m, SPAN_LIT("\xc3\xa4"), &err), ERR_OK);
		assert_int_equal(buf_append(&m, SPAN_LIT("\n"), &err), ERR_OK);
	}
	for (int k = 0; k < 100; k++)
		assert_int_equal(buf_printf(&m, &err, "\n--x\nContent-Type: a; name=%0200d\n", k), ERR_OK);
	b = made(KIND_MAIL, buf_span(&m));
	assert_true(b.len > 2500);
	buf_release(&b);
	buf_release(&m);
}

static void a_calendar_is_summed_up_by_its_first_component(void **state)
{
	struct buf b =
	        made(KIND_EVENT,
	             SPAN_LIT("BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
	                      "END:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:u1\r\nSUMMARY:Team\\, all\r\n"
	                      "DTSTART:20261122T100000Z\r\nDTEND:20261122T110000Z\r\nLOCATION:Room 1\r\n"
	                      "ORGANIZER;CN=\"Ann B\":mailto:a@b\r\nATTENDEE:mailto:c@d\r\nATTENDEE;CN=E:MAILTO:e@f\r\n"
	                      "BEGIN:VALARM\r\nSUMMARY:no\r\nEND:VALARM\r\nEND:VEVENT\r\n"
	                      "BEGIN:VEVENT\r\nUID:u2\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"));

	(void)state;
	check_field(&b, SUMMARY_TITLE, "Team, all");
	check_field(&b, SUMMARY_FROM, "Ann B <a@b>");
	check_field(&b, SUMMARY_TO, "c@d, E <e@f>");
	check_field(&b, SUMMARY_MESSAGE_ID, "u1");
	check_field(&b, SUMMARY_PLACE, "Room 1");
	assert_int_equal(number(&b, SUMMARY_END) - number(&b, SUMMARY_DATE), 3600000);
	assert_int_equal(number(&b, SUMMARY_KIND), KIND_EVENT);
	buf_release(&b);
	b = made(KIND_EVENT, SPAN_LIT("BEGIN:VCALENDAR\nBEGIN:VTODO\nDUE:20261122\nEND:VTODO\nEND:VCALENDAR\n"));
	assert_int_equal(number(&b, SUMMARY_DATE), clock_days(2026, 11, 22) * 86400000);
	assert_int_equal(number(&b, SUMMARY_KIND), KIND_TASK);
	buf_release(&b);
}

static void a_card_is_summed_up(void **state)
{
	struct buf b = made(KIND_CONTACT, SPAN_LIT("BEGIN:VCARD\nitem1.EMAIL;TYPE=home:a@b\nTEL:+1 2\nFN:A\\nB\nUID:x\n"
	                                           "END:VCARD\nBEGIN:VCARD\nFN:C\nEMAIL:no@b\nEND:VCARD\n"));

	(void)state;
	check_field(&b, SUMMARY_TITLE, "A B");
	check_field(&b, SUMMARY_MESSAGE_ID, "x");
	check_field(&b, SUMMARY_CONTACT, "a@b, +1 2");
	buf_release(&b);
}

static void kinds_are_guessed_from_name_and_content(void **state)
{
	(void)state;
	assert_int_equal(item_kind_guess(SPAN_LIT("a.EML"), SPAN_EMPTY), KIND_MAIL);
	assert_int_equal(item_kind_guess(SPAN_LIT("a.vcf"), SPAN_EMPTY), KIND_CONTACT);
	assert_int_equal(item_kind_guess(SPAN_LIT("a.ics"), SPAN_LIT("BEGIN:VCALENDAR\nBEGIN:VTODO\r\n")), KIND_TASK);
	assert_int_equal(item_kind_guess(SPAN_LIT("a.sieve"), SPAN_EMPTY), KIND_RULE);
	assert_int_equal(item_kind_guess(SPAN_LIT("x"), SPAN_LIT("BEGIN:VCALENDAR\nBEGIN:VEVENT\n")), KIND_EVENT);
	assert_int_equal(item_kind_guess(SPAN_LIT("x"), SPAN_LIT("\xef\xbb\xbf"
	                                                         "begin:vcard\n")),
	                 KIND_CONTACT);
	assert_int_equal(item_kind_guess(SPAN_LIT("x"), SPAN_LIT("# hi\n\nrequire [\"fileinto\"];")), KIND_RULE);
	assert_int_equal(item_kind_guess(SPAN_LIT("x"), span_cstr(message)), KIND_MAIL);
	assert_int_equal(item_kind_guess(SPAN_LIT("x"), SPAN_LIT("Name: x\nColour: y\n")), KIND_OTHER);
	assert_int_equal(item_kind_guess(SPAN_LIT("x"), SPAN_LIT("prose\nFrom: x\nTo: y\n")), KIND_OTHER);
	assert_int_equal(item_kind_guess(SPAN_EMPTY, SPAN_EMPTY), KIND_OTHER);
}

static void a_summary_takes_microseconds(void **state)
{
	struct timespec t0, t1;
	struct buf b = BUF_EMPTY;

	(void)state;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	for (int i = 0; i < 10000; i++) {
		buf_clear(&b);
		assert_int_equal(summary_make(KIND_MAIL, span_cstr(message), span_cstr(message), &b, &err), ERR_OK);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	buf_release(&b);
	double us = ((double)(t1.tv_sec - t0.tv_sec) * 1e6 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e3) / 10000;

	printf("%.2f us a summary\n", us);
	assert_true(us < 200); /* generous: sanitizers and shared machines */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_summed_up),
		cmocka_unit_test(a_long_list_of_recipients_is_cut_and_counted),
		cmocka_unit_test(the_largest_summary_stays_under_its_limit),
		cmocka_unit_test(a_calendar_is_summed_up_by_its_first_component),
		cmocka_unit_test(a_card_is_summed_up),
		cmocka_unit_test(kinds_are_guessed_from_name_and_content),
		cmocka_unit_test(a_summary_takes_microseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
