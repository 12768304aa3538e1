#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "connector/imap/folder_name.h"

static void expect(const char *name, char delimiter, const char *path)
{
	struct buf out = BUF_EMPTY;
	struct err e;

	assert_int_equal(folder_path(span_cstr(name), delimiter, &out, &e), ERR_OK);
	if (!span_equal(buf_span(&out), span_cstr(path)))
		fail_msg("%s became %.*s", name, (int)out.len, (const char *)out.ptr);
	buf_release(&out);
}

static void names_of_the_rfc(void **state)
{
	(void)state;
	expect("~peter/mail/&U,BTFw-/&ZeVnLIqe-", '/', "~peter/mail/台北/日本語"); /* RFC 3501, 5.1.3 */
	expect("Entw&APw-rfe", '/', "Entwürfe");
	expect("A&-B", '/', "A&B");
	expect("&2D3eAA-", '/', "😀");
	expect("inbox", '/', "INBOX");
	expect("INBOX.Sent.2024", '.', "INBOX/Sent/2024");
	expect("a/b.c", '.', "a%2Fb/c");
	expect("flat/name", 0, "flat%2Fname");
}

static void what_is_no_modified_utf_7_stays(void **state)
{
	(void)state;
	expect("R&D", '/', "R&D"); /* no end */
	expect("R&D.x", '.', "R&D/x");
	expect("&!!-", '/', "&!!-");                /* no base64 */
	expect("&AGEA-", '/', "&AGEA-");            /* ASCII in base64 */
	expect("&2D0-", '/', "&2D0-");              /* half of a pair */
	expect("&3gA-", '/', "&3gA-");              /* the other half */
	expect("&AAA-", '/', "&AAA-");              /* a NUL */
	expect("Entw\xc3\xbcrfe", '/', "Entwürfe"); /* plain UTF-8, as some servers send it */
	expect("", '/', "");
}

static void expect_raw(const char *path, char delimiter, const char *name, bool changed)
{
	struct buf out = BUF_EMPTY;
	bool did;
	struct err e;

	assert_int_equal(folder_raw(span_cstr(path), delimiter, &out, &did, &e), ERR_OK);
	if (!span_equal(buf_span(&out), span_cstr(name)))
		fail_msg("%s became %.*s", path, (int)out.len, (const char *)out.ptr);
	assert_int_equal(did, changed);
	buf_release(&out);
}

static void paths_become_names(void **state)
{
	(void)state;
	expect_raw("~peter/mail/台北/日本語", '/', "~peter/mail/&U,BTFw-/&ZeVnLIqe-", false);
	expect_raw("Entwürfe", '/', "Entw&APw-rfe", false);
	expect_raw("A&B", '/', "A&-B", false);
	expect_raw("😀", '/', "&2D3eAA-", false);
	expect_raw("x/é/y", '.', "x.&AOk-.y", false);
	expect_raw("a%2Fb/c", '.', "a/b.c", false);
	expect_raw("R\xc3&D", '/', "R\xc3&D", false); /* no UTF-8: byte for byte */
	expect_raw("", '/', "", false);
}

static void what_a_name_cannot_hold_is_told(void **state)
{
	(void)state;
	expect_raw("v1.0/x", '.', "v1_0.x", true);
	expect_raw("a%2Fb", '/', "a_b", true);
	expect_raw("a/b", 0, "a_b", true);
	expect_raw("100%*", '/', "100__", true);
	expect_raw("a\tb\x7f", '/', "a_b_", true);
}

/* Any path of printable levels comes back through its name. */
static void every_name_goes_there_and_back(void **state)
{
	static const char *const parts[] = { "a", "&", "ü", "台", "😀", "-", "~", "\"", "\\", " ", "é&", ",", "+" };
	unsigned seed = getenv("MAILHOLD_TEST_SEED") ? (unsigned)atoi(getenv("MAILHOLD_TEST_SEED")) : 1;

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 2000; round++) {
		struct buf path = BUF_EMPTY, raw = BUF_EMPTY, back = BUF_EMPTY;
		struct err e;
		bool changed;

		for (int i = rand() % 12; i >= 0; i--) {
			const char *part = rand() % 6 ? parts[(size_t)rand() % ARRAY_LEN(parts)] : path.len ? "/" : "b";

			assert_int_equal(buf_append(&path, span_cstr(part), &e), ERR_OK);
		}
		assert_int_equal(folder_raw(buf_span(&path), '.', &raw, &changed, &e), ERR_OK);
		assert_int_equal(folder_path(buf_span(&raw), '.', &back, &e), ERR_OK);
		if (changed || !span_equal(buf_span(&path), buf_span(&back)))
			fail_msg("%.*s became %.*s", (int)path.len, (const char *)path.ptr, (int)raw.len,
			         (const char *)raw.ptr);
		buf_release(&path);
		buf_release(&raw);
		buf_release(&back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_rfc),
		cmocka_unit_test(what_is_no_modified_utf_7_stays),
		cmocka_unit_test(paths_become_names),
		cmocka_unit_test(what_a_name_cannot_hold_is_told),
		cmocka_unit_test(every_name_goes_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
