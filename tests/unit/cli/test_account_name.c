#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/account_name.h"

static void check(const char *path, const char *want)
{
	struct buf out = BUF_EMPTY;
	struct err e;

	assert_int_equal(account_name_of_path(path, &out, &e), ERR_OK);
	assert_string_equal((const char *)out.ptr, want);
	assert_int_equal(out.len, strlen(want));
	assert_int_equal(account_name_check(want, &e), ERR_OK);
	buf_release(&out);
}

static void the_last_part_names_the_account(void **state)
{
	(void)state;
	check("/var/vmail/ann@example.org", "ann@example.org");
	check("/var/vmail/ann/", "ann");
	check("ann", "ann");
}

static void names_that_say_nothing_are_passed_over(void **state)
{
	(void)state;
	check("/home/ann/Maildir", "ann");
	check("/home/ann/Maildir//", "ann");
	check("/home/ann/mail/.Maildir", "ann");
	check("/Maildir", "Maildir");
	check("/", "mail");
	check("", "mail");
}

static void bytes_that_a_place_cannot_hold_are_replaced(void **state)
{
	(void)state;
	check("/x/a:b#c d\x01", "a_b_c_d_");
}

static void odd_account_names_are_refused(void **state)
{
	char long_name[300];
	struct err e;

	(void)state;
	memset(long_name, 'a', sizeof long_name);
	long_name[ACCOUNT_NAME_BYTES_MAX + 1] = 0;
	assert_int_equal(account_name_check("", &e), ERR_USAGE);
	assert_int_equal(account_name_check("a:b", &e), ERR_USAGE);
	assert_int_equal(account_name_check("a\nb", &e), ERR_USAGE);
	assert_int_equal(account_name_check(long_name, &e), ERR_USAGE);
	assert_int_equal(account_name_check("Ann Smith <ann@example.org>", &e), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_part_names_the_account),
		cmocka_unit_test(names_that_say_nothing_are_passed_over),
		cmocka_unit_test(bytes_that_a_place_cannot_hold_are_replaced),
		cmocka_unit_test(odd_account_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
