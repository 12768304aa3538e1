#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "connector/imap/mail_print.h"

static struct mail_print print_of(const char *text, size_t len, size_t piece)
{
	struct mail_printer p;
	struct mail_print out = { .id = mail_id(span_of(text, len)) };
	struct err e;

	assert_int_equal(mail_printer_init(&p, &e), ERR_OK);
	for (size_t at = 0; at < len; at += piece)
		mail_printer_add(&p, span_of(text + at, len - at < piece ? len - at : piece));
	mail_printer_end(&p, &out);
	assert_int_equal(out.bytes, len);
	return out;
}

#define PRINT(text) print_of(text, sizeof(text) - 1, 1 + sizeof(text) / 3)

static bool same(struct mail_print a, struct mail_print b)
{
	return memcmp(a.content, b.content, sizeof a.content) == 0;
}

static void line_ends_last_ends_and_nuls_make_no_other_mail(void **state)
{
	struct mail_print want = PRINT("Subject: a\r\n\r\none\r\n\r\ntwo\r\n");

	(void)state;
	assert_true(same(want, PRINT("Subject: a\n\none\n\ntwo\n")));
	assert_true(same(want, PRINT("Subject: a\r\n\none\n\r\ntwo")));
	assert_true(same(want, PRINT("Subject: a\r\n\r\none\r\n\r\ntwo\r\n\r\n")));
	assert_true(same(PRINT("a\0b"), PRINT("a\x80"
	                                      "b")));
}

static void everything_else_does(void **state)
{
	struct mail_print want = PRINT("Subject: a\r\n\r\none\r\n\r\ntwo\r\n");

	(void)state;
	assert_false(same(want, PRINT("Subject: a\r\n\r\none\r\ntwo\r\n")));
	assert_false(same(want, PRINT("Subject: a\r\n\r\none \r\n\r\ntwo\r\n")));
	assert_false(same(want, PRINT("\r\nSubject: a\r\n\r\none\r\n\r\ntwo\r\n")));
	assert_false(same(PRINT("a\rb"), PRINT("a\nb")));
	assert_false(same(PRINT("a\r"), PRINT("a")));
	assert_false(same(PRINT("a\r\r\nb"), PRINT("a\r\nb")));
}

static void pieces_make_no_difference(void **state)
{
	static const char text[] = "Message-ID: <x@y>\r\n\r\na\r\r\n\n\0\r\nb\r\n\r\n";
	struct mail_print whole = print_of(text, sizeof text - 1, sizeof text);

	(void)state;
	for (size_t piece = 1; piece < sizeof text; piece++) {
		struct mail_print got = print_of(text, sizeof text - 1, piece);

		assert_memory_equal(&got, &whole, sizeof whole);
	}
}

static void a_message_id_is_found_however_it_is_folded(void **state)
{
	uint64_t want = mail_id_of_value(SPAN_LIT("x@y"));

	(void)state;
	assert_int_not_equal(want, 0);
	assert_int_equal(PRINT("Message-ID: <x@y>\r\n\r\n").id, want);
	assert_int_equal(PRINT("From: a\nmessage-id:\n\t<x@y>\nTo: b\n\n").id, want);
	assert_int_equal(PRINT("From: a\r\nMessage-ID: <x@y>").id, want);
	assert_int_equal(PRINT("From: a\r\n\r\nMessage-ID: <x@y>\r\n").id, 0);
	assert_int_equal(PRINT("Message-ID: <>\r\n\r\n").id, 0);
	assert_int_not_equal(PRINT("Message-ID: <z@y>\r\n\r\n").id, want);
}

static void line_ends_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		bool local;
	} cases[] = {
		{ "a\nb\n", true }, { "a\r\nb\n", false }, { "a\r\n", false }, { "", false }, { "a\rb\n", true }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t piece = 1; piece < 7; piece++) {
			struct span text = span_cstr(cases[i].text);
			struct line_ends ends = { 0 };

			for (; text.len; text = span_skip(text, piece))
				line_ends_add(&ends, span_first(text, piece));
			assert_int_equal(line_ends_are_local(&ends), cases[i].local);
		}
}

static void local_line_ends_become_crlf(void **state)
{
	struct buf out = BUF_EMPTY;
	struct err e;

	(void)state;
	assert_int_equal(line_ends_convert(SPAN_LIT("\na\n\nb"), &out, &e), ERR_OK);
	assert_true(span_equal(buf_span(&out), SPAN_LIT("\r\na\r\n\r\nb")));
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_ends_last_ends_and_nuls_make_no_other_mail),
		cmocka_unit_test(everything_else_does),
		cmocka_unit_test(pieces_make_no_difference),
		cmocka_unit_test(a_message_id_is_found_however_it_is_folded),
		cmocka_unit_test(line_ends_are_told_apart),
		cmocka_unit_test(local_line_ends_become_crlf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
