#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cli/config.h"

static struct config *parsed(const char *text)
{
	struct config *c = NULL;
	struct err e = { 0 };

	if (config_parse(span_cstr(text), "file", true, &c, &e))
		fail_msg("%s", e.text);
	return c;
}

static void sections_and_values_are_read(void **state)
{
	struct config *c =
	        parsed("; a comment\n[repository]\nurl = /mnt/a folder\n\n"
	               "[Account \"ann@example.org\"]\n\tSource =  imaps://ann@h \n"
	               "\tpassword-command = pass \"mail/ann\" # not a comment; nor this\n\ttag=a\n\ttag = b\n"
	               "[account \"a\\\"b\\\\c\"]\r\n\tsource = x\r\n\tpaused = YES\r\n");
	const struct account *a = config_find(c, "ann@example.org");

	(void)state;
	assert_string_equal(config_repository(c)->url, "/mnt/a folder");
	assert_int_equal(config_account_count(c), 2);
	assert_non_null(a);
	assert_int_equal(a->sources.count, 1);
	assert_string_equal(a->sources.items[0], "imaps://ann@h");
	assert_string_equal(a->password_command, "pass \"mail/ann\" # not a comment; nor this");
	assert_int_equal(a->tags.count, 2);
	assert_string_equal(a->tags.items[1], "b");
	assert_false(a->paused);
	a = config_find(c, "a\"b\\c");
	assert_non_null(a);
	assert_string_equal(a->sources.items[0], "x");
	assert_true(a->paused);
	assert_null(config_find(c, "nobody"));
	config_free(&c);
}

static void defaults_give_way_to_what_an_account_says(void **state)
{
	struct config *c = parsed("[account]\npassword-command = c\ntag = t\nauth = plain\n"
	                          "[account \"a\"]\nsource = x\n"
	                          "[account \"b\"]\nsource = y\nkeyring = yes\ntag = u\nauth = login\n");
	const struct account *a = config_account(c, 0), *b = config_account(c, 1);

	(void)state;
	assert_string_equal(a->password_command, "c");
	assert_string_equal(a->tags.items[0], "t");
	assert_string_equal(a->auth, "plain");
	assert_null(b->password_command);
	assert_string_equal(b->keyring, "yes");
	assert_int_equal(b->tags.count, 1);
	assert_string_equal(b->tags.items[0], "u");
	assert_string_equal(b->auth, "login");
	config_free(&c);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "\n\nkey = v", "file, line 3: " },
		{ "[account \"a\"] x\n", "line 1: a section" },
		{ "[account a]\n", "line 1: a section" },
		{ "[]\n", "line 1: a section" },
		{ "[account \"a\"]\nsource = x\n[account]\n", "line 3: [account] says" },
		{ "[repository]\nurl = a\nurl = b\n", "line 3: this section has" },
		{ "[account]\nsource = x\n", "line 2: what all accounts" },
		{ "[account \"\"]\nsource = x\n", "line 1: that is no name" },
		{ "[account \"a\\\"]\nsource = x\n", "line 1: the name has no closing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct config *c = NULL;
		struct err e = { 0 };

		assert_int_equal(config_parse(span_cstr(bad[i].text), "file", true, &c, &e), ERR_USAGE);
		assert_null(c);
		if (!strstr(e.text, bad[i].says))
			fail_msg("%zu: %s", i, e.text);
	}
}

static void a_password_needs_a_private_file(void **state)
{
	static const char text[] = "[account \"a\"]\nsource = x\npassword = geheim\n";
	struct config *c = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(config_parse(span_cstr(text), "file", false, &c, &e), ERR_USAGE);
	assert_null(strstr(e.text, "geheim"));
	assert_int_equal(config_parse(span_cstr(text), "file", true, &c, &e), ERR_OK);
	assert_string_equal(config_account(c, 0)->password, "geheim");
	config_free(&c);
}

static void removing(const char *from, const char *name, const char *want)
{
	struct buf out = BUF_EMPTY;
	struct err e = { 0 };
	bool found = false;

	assert_int_equal(config_remove_account(span_cstr(from), name, &out, &found, &e), ERR_OK);
	assert_true(found);
	assert_int_equal(buf_append(&out, span_of("", 1), &e), ERR_OK);
	assert_string_equal((const char *)out.ptr, want);
	buf_release(&out);
}

static void an_account_goes_with_its_comments_and_no_others(void **state)
{
	struct buf out = BUF_EMPTY;
	struct err e;
	bool found = true;

	(void)state;
	removing("# all\n\n# of a\n[account \"a\"]\nsource = x\n# in a\ntag = t\n\n# of b\n[account \"b\"]\nsource = "
	         "y\n",
	         "a", "# all\n\n# of b\n[account \"b\"]\nsource = y\n");
	removing("[account \"b\"]\nsource = y\n[account \"a\"]\nsource = x\n# the end", "a",
	         "[account \"b\"]\nsource = y\n# the end");
	removing("[account \"a\"]\nsource = x", "a", "");
	removing("[account \"a\\\"b\"]\nsource = x\n[account \"a\"]\nsource = y\n", "a\"b",
	         "[account \"a\"]\nsource = y\n");
	assert_int_equal(config_remove_account(SPAN_LIT("[account \"ab\"]\nsource = x\n"), "a", &out, &found, &e),
	                 ERR_OK);
	assert_false(found);
	buf_release(&out);
}

static void what_cannot_stand_in_a_line_is_not_written(void **state)
{
	static const char *const bad[] = { "", " x", "x ", "a\nb", "\xff" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct config_line line = { "source", bad[i] };
		struct buf out = BUF_EMPTY;

		assert_int_equal(config_add_account(SPAN_EMPTY, "a", &line, 1, &out, &e), ERR_USAGE);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_and_values_are_read),
		cmocka_unit_test(defaults_give_way_to_what_an_account_says),
		cmocka_unit_test(what_is_wrong_is_told_with_its_line),
		cmocka_unit_test(a_password_needs_a_private_file),
		cmocka_unit_test(an_account_goes_with_its_comments_and_no_others),
		cmocka_unit_test(what_cannot_stand_in_a_line_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
