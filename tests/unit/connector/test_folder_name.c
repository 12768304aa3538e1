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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_rfc),
		cmocka_unit_test(what_is_no_modified_utf_7_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
