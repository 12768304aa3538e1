#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "mime/mend/mend.h"
#include "mime/mime.h"

static struct err err;

static struct mend_report mend_bytes(struct span in, struct buf *out)
{
	struct mend m = MEND_EMPTY;

	assert_int_equal(mend_add(&m, in, out, &err), ERR_OK);
	assert_int_equal(mend_end(&m, out, &err), ERR_OK);
	mend_release(&m);
	return m.did;
}

static void check(struct span in, struct span want, const char *words)
{
	struct buf out = BUF_EMPTY, said = BUF_EMPTY;
	struct mend_report did = mend_bytes(in, &out);

	if (!span_equal(buf_span(&out), want))
		fail_msg("got '%.*s', not '%.*s'", (int)out.len, (const char *)out.ptr, (int)want.len,
		         (const char *)want.ptr);
	assert_int_equal(mend_words(&did, &said, &err), ERR_OK);
	assert_true(span_equal(buf_span(&said), span_cstr(words)));
	buf_release(&out);
	buf_release(&said);
}
#define CHECK(in, want, words) check(SPAN_LIT(in), SPAN_LIT(want), words)

static void what_is_good_stays_as_it_is(void **state)
{
	(void)state;
	CHECK("", "", "");
	CHECK("Subject: a\r\n b\r\n\r\nbody\r\n\r\nno end", "Subject: a\r\n b\r\n\r\nbody\r\n\r\nno end", "");
	CHECK("A: b\r\n\r\n\xff 8-bit in the body\r\n", "A: b\r\n\r\n\xff 8-bit in the body\r\n", "");
}

static void line_ends_become_crlf_and_nuls_something_else(void **state)
{
	(void)state;
	CHECK("A: b\nC: d\n\nx\ny", "A: b\r\nC: d\r\n\r\nx\r\ny", "4 bare line ends");
	CHECK("A: b\rc\r\n\r\nx\ry\r", "A: b c\r\n\r\nx\r\ny\r\n", "3 bare line ends");
	CHECK("A: b\r\r\nC: d\r\n\r\n", "A: b\r\nC: d\r\n\r\n", "1 bare line end");
	CHECK("A: b\0c\r\n\r\nx\0", "A: b c\r\n\r\nx\x80", "2 NULs");
}

static void a_header_is_of_ascii_fields(void **state)
{
	(void)state;
	CHECK("Subject: Gr\xc3\xbc\xc3\x9f"
	      "e \xc3\xa4 b\r\n\r\n",
	      "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_=C3=A4?= b\r\n\r\n", "1 header line of 8-bit bytes");
	CHECK("A:\xe4\r\n\r\n", "A: =?iso-8859-1?Q?=E4?=\r\n\r\n", "1 header line of 8-bit bytes");
	CHECK("From ann Mon\r\nA: b\r\n\r\n", "X-Mended: From ann Mon\r\nA: b\r\n\r\n",
	      "1 header line that is no field");
}

static void encoded_words_read_as_the_text_did(void **state)
{
	struct buf in = BUF_EMPTY, out = BUF_EMPTY, text = BUF_EMPTY, want = BUF_EMPTY;
	struct mime_fields fields;
	struct mime_field field;

	(void)state;
	for (int i = 0; i < 300; i++)
		assert_int_equal(buf_printf(&want, &err, "%sw\xc3\xb6rt%d\xe2\x82\xac", i ? " " : "", i), ERR_OK);
	assert_int_equal(buf_printf(&in, &err, "Subject: %.*s\r\n\r\n", (int)want.len, (char *)want.ptr), ERR_OK);
	assert_int_equal(mend_bytes(buf_span(&in), &out).eight_bit, 1);
	fields = mime_fields_of(buf_span(&out));
	assert_true(mime_fields_next(&fields, &field));
	assert_int_equal(mime_text(field.value, 100000, &text, &err), ERR_OK);
	assert_true(span_equal(buf_span(&text), buf_span(&want)));
	buf_release(&in);
	buf_release(&out);
	buf_release(&text);
	buf_release(&want);
}

static void drop_line_ends(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '\r' && s.ptr[i] != '\n')
			assert_int_equal(buf_append(out, span_of(s.ptr + i, 1), &err), ERR_OK);
}

static void long_lines_are_broken_at_blanks_and_lose_nothing(void **state)
{
	struct buf in = BUF_EMPTY, out = BUF_EMPTY, was = BUF_EMPTY, is = BUF_EMPTY;
	struct mend_report did;

	(void)state;
	assert_int_equal(buf_printf(&in, &err, "A: "), ERR_OK);
	for (int i = 0; i < 400; i++)
		assert_int_equal(buf_printf(&in, &err, "%sname%d@example.org", i ? ", " : "", i), ERR_OK);
	assert_int_equal(buf_printf(&in, &err, "\r\n\r\n"), ERR_OK);
	for (int i = 0; i < 400; i++)
		assert_int_equal(buf_printf(&in, &err, "word%d ", i), ERR_OK);
	did = mend_bytes(buf_span(&in), &out);
	assert_int_equal(did.long_lines, 2);
	for (size_t i = 0, line = 0; i < out.len; i++) {
		line = out.ptr[i] == '\n' ? 0 : line + 1;
		assert_true(line <= MEND_LINE_BYTES_MAX + 1); /* the CR counts, too */
	}
	/* But for line ends it is what it was. */
	drop_line_ends(buf_span(&in), &was);
	drop_line_ends(buf_span(&out), &is);
	assert_true(span_equal(buf_span(&is), buf_span(&was)));
	buf_release(&in);
	buf_release(&out);
	buf_release(&was);
	buf_release(&is);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_good_stays_as_it_is),
		cmocka_unit_test(line_ends_become_crlf_and_nuls_something_else),
		cmocka_unit_test(a_header_is_of_ascii_fields),
		cmocka_unit_test(encoded_words_read_as_the_text_did),
		cmocka_unit_test(long_lines_are_broken_at_blanks_and_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
