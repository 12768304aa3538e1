#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/net.h"

static void urls_are_taken_apart(void **state)
{
	struct net_url u;
	struct err e;

	(void)state;
	assert_int_equal(net_url_parse("IMAPS://ann%40example.org@mail.example.org:1993/a%20b", &u, &e), ERR_OK);
	assert_string_equal(u.scheme, "imaps");
	assert_string_equal(u.user, "ann@example.org");
	assert_string_equal(u.host, "mail.example.org");
	assert_string_equal(u.port, "1993");
	assert_string_equal(u.path, "a b");
	assert_int_equal(net_url_parse("imap://ann@b@[2001:db8::1]", &u, &e), ERR_OK);
	assert_string_equal(u.user, "ann@b"); /* the last one separates */
	assert_string_equal(u.host, "2001:db8::1");
	assert_string_equal(u.port, "");
	assert_string_equal(u.path, "");
	assert_int_equal(net_url_parse("imap://host/", &u, &e), ERR_OK);
	assert_string_equal(u.user, "");
}

static void passwords_in_urls_are_refused_and_not_repeated(void **state)
{
	struct net_url u;
	struct err e;

	(void)state;
	assert_int_equal(net_url_parse("imaps://ann:geheim@host", &u, &e), ERR_USAGE);
	assert_null(strstr(e.text, "geheim"));
	assert_int_equal(net_url_parse("imaps://ann%3Ax@host", &u, &e), ERR_OK);
	assert_string_equal(u.user, "ann:x");
}

static void bad_urls_are_told(void **state)
{
	static const char *const bad[] = { "",
		                           "imaps",
		                           "imaps:",
		                           "imaps:/host",
		                           "://host",
		                           "imaps://",
		                           "imaps://a@",
		                           "imaps://h:",
		                           "imaps://h:0",
		                           "imaps://h:99999",
		                           "imaps://h:x",
		                           "imaps://[::1",
		                           "imaps://[::1]x",
		                           "imaps://%00@h",
		                           "averyveryverylongscheme://h" };
	struct net_url u;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (net_url_parse(bad[i], &u, &e) != ERR_USAGE)
			fail_msg("'%s' was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(passwords_in_urls_are_refused_and_not_repeated),
		cmocka_unit_test(bad_urls_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
