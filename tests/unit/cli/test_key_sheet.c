#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <ctype.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli/key_sheet.h"
#include "cli/secret_input.h"

static struct err err;
static uint8_t key[SLOT_KEY_FILE_BYTES];
static char sheet[400];

static int make_sheet(void **state)
{
	size_t len = 0;

	(void)state;
	if (crypto_start(&err))
		return 1;
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)(i * 7 + 1);
	for (unsigned n = 1; n <= KEY_SHEET_LINES; n++) {
		char line[KEY_SHEET_LINE_MAX];

		key_sheet_line(key, n, line);
		len += (size_t)snprintf(sheet + len, sizeof sheet - len, "    %s\n", line);
	}
	return 0;
}

static enum err_code decode(const char *text)
{
	uint8_t got[SLOT_KEY_FILE_BYTES] = { 0 };
	enum err_code rc = key_sheet_decode(span_cstr(text), got, &err);

	if (!rc)
		assert_memory_equal(got, key, sizeof got);
	return rc;
}

static void a_sheet_comes_back(void **state)
{
	char text[600];
	struct secret *s;

	(void)state;
	assert_int_equal(decode(sheet), ERR_OK);
	snprintf(text, sizeof text, "Printed yesterday\r\n%s\nwords: behind it\n10: not a line\n", sheet);
	assert_int_equal(decode(text), ERR_OK);
	/* As a key file it is the same key as its bytes. */
	assert_int_equal(key_file_decode(span_cstr(sheet), &s, &err), ERR_OK);
	assert_true(span_equal(secret_span(s), span_of(key, sizeof key)));
	secret_free(&s);
}

static void spaces_and_case_do_not_matter(void **state)
{
	char text[400], *to = text;

	(void)state;
	for (const char *from = sheet; *from; from++)
		if (*from != ' ' && *from != '/')
			*to++ = (char)toupper((unsigned char)*from);
	*to = 0;
	assert_int_equal(decode(text), ERR_OK);
}

/* Another digit for each: the line is named, or (one in 256, as the page says) the check happens to fit. */
static void a_slip_is_told_with_its_line(void **state)
{
	size_t slips = 0, unseen = 0;

	(void)state;
	for (size_t at = 0; sheet[at]; at++) {
		char text[sizeof sheet], want[20];

		if (!isxdigit((unsigned char)sheet[at]) || sheet[at + 1] == ':')
			continue;
		memcpy(text, sheet, sizeof text);
		text[at] = text[at] == '9' ? '3' : text[at] == 'f' ? 'a' : (char)(text[at] + 1);
		if (text[at] == ':')
			text[at] = '0';
		slips++;
		if (key_sheet_decode(span_cstr(text), (uint8_t[SLOT_KEY_FILE_BYTES]){ 0 }, &err) == ERR_OK) {
			unseen++;
			continue;
		}
		assert_int_equal(err.code, ERR_USAGE);
		snprintf(want, sizeof want, "line %zu ", at / (strlen(sheet) / KEY_SHEET_LINES) + 1);
		assert_non_null(strstr(err.text, want));
	}
	assert_int_equal(slips, KEY_SHEET_LINES * 18);
	assert_true(unseen <= 1);
}

static void lines_that_are_missing_cut_or_renumbered_are_told(void **state)
{
	char text[sizeof sheet];
	size_t line = strlen(sheet) / KEY_SHEET_LINES;

	(void)state;
	assert_int_equal(decode(""), ERR_USAGE);
	assert_int_equal(decode("no key here\n"), ERR_USAGE);
	assert_int_equal(decode(sheet + line), ERR_USAGE);
	assert_non_null(strstr(err.text, "line 1 of the key is missing"));
	for (size_t len = 0; len + 1 < strlen(sheet); len++) {
		memcpy(text, sheet, len);
		text[len] = 0;
		assert_int_equal(decode(text), ERR_USAGE);
	}
	/* Two lines under each other's number. */
	memcpy(text, sheet, sizeof text);
	text[4] = '2';
	text[line + 4] = '1';
	assert_int_equal(decode(text), ERR_USAGE);
	assert_non_null(strstr(err.text, "mistyped"));
	snprintf(text, sizeof text, "1: %0200d\n", 0);
	assert_int_equal(decode(text), ERR_USAGE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sheet_comes_back),
		cmocka_unit_test(spaces_and_case_do_not_matter),
		cmocka_unit_test(a_slip_is_told_with_its_line),
		cmocka_unit_test(lines_that_are_missing_cut_or_renumbered_are_told),
	};

	return cmocka_run_group_tests(tests, make_sheet, NULL);
}
