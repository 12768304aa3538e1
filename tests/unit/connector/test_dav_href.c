#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "connector/dav/href.h"

static void expect(const char *origin, const char *base, const char *href, const char *path)
{
	struct buf out = BUF_EMPTY;
	struct err e;
	enum err_code rc = href_resolve(origin, span_cstr(base), span_cstr(href), &out, &e);

	if (path ? rc != ERR_OK || !span_equal(buf_span(&out), span_cstr(path)) : rc == ERR_OK)
		fail_msg("%s became %.*s", href, (int)out.len, (const char *)out.ptr);
	buf_release(&out);
}

static void a_href_is_a_path_of_this_server_or_refused(void **state)
{
	(void)state;
	expect("https://h", "/a/", "/dav/x.ics", "/dav/x.ics");
	expect("https://h", "/a/b", "x.ics", "/a/x.ics");
	expect("https://h", "", "x", "/x");
	expect("https://h", "/", "https://H/x", "/x");
	expect("https://h", "/", "https://h:443/x", "/x");
	expect("https://h:8443", "/", "https://h:8443/x", "/x");
	expect("https://h", "/", "//h/x", "/x");
	expect("https://h", "/", "https://h", "/");
	expect("https://h", "/", " /x \n", "/x");
	expect("http://127.0.0.1:8080", "/", "http://127.0.0.1:8080/x%20y", "/x%20y");
	expect("https://h", "/", "http://h/x", NULL);
	expect("https://h", "/", "https://h:8443/x", NULL);
	expect("https://h", "/", "https://h.example.org/x", NULL);
	expect("https://h", "/", "https://u@h/x", NULL);
	expect("https://h", "/", "//other/x", NULL);
	expect("https://h", "/", "mailto:ann@example.org", NULL);
	expect("https://h", "/", "", NULL);
}

static void nothing_leaves_the_request_line_or_climbs(void **state)
{
	(void)state;
	expect("https://h", "/", "/a b\r\nHost: x", "/a%20b%0D%0AHost:%20x");
	expect("https://h", "/", "/\xc3\xbc#x", "/%C3%BC%23x");
	expect("https://h", "/", "/a/../b", NULL);
	expect("https://h", "/", "/a/%2e%2E/b", NULL);
	expect("https://h", "/a/", "../b", NULL);
	expect("https://h", "/", "/a/.", NULL);
	expect("https://h", "/", "/a/...", "/a/...");
	expect("https://h", "/", "/a/..b", "/a/..b");
}

static void canonical(const char *path, const char *want)
{
	struct buf out = BUF_EMPTY;
	struct err e;

	assert_int_equal(href_canonical(span_cstr(path), &out, &e), ERR_OK);
	if (!span_equal(buf_span(&out), span_cstr(want)))
		fail_msg("%s became %.*s", path, (int)out.len, (const char *)out.ptr);
	buf_release(&out);
}

static void the_same_path_has_one_form_and_others_have_another(void **state)
{
	(void)state;
	canonical("/a%20b/%41%c3%BC", "/a b/A\xc3\xbc");
	canonical("/a%2Fb", "/a%2Fb");
	canonical("/a%2fb", "/a%2Fb");
	canonical("/a%252Fb", "/a%252Fb");
	canonical("/a%25%32Fb", "/a%252Fb");
	canonical("/100%25", "/100%");
	canonical("/100%", "/100%");
	canonical("/100%25.ics", "/100%.ics");
	canonical("/%00", "/%00");
	canonical("/%2500", "/%2500");
	canonical("/%2525", "/%2525");
	canonical("/%zz", "/%zz");
}

/* All names of up to six bytes of an alphabet that has every way to be ambiguous: encoded in two ways they have one form, and no two
 * different ones have the same. */
static void encode(const char *name, bool all, char *out)
{
	for (; *name; name++)
		out += all || *name == '/' || *name == '%' ? sprintf(out, "%%%02X", (unsigned char)*name)
		                                           : sprintf(out, "%c", *name);
	*out = 0;
}

static int order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void no_two_names_have_one_form(void **state)
{
	static const char alphabet[] = "%/25F0";
	enum { LENGTH = 5, COUNT = 6 * 6 * 6 * 6 * 6 };
	char **forms = calloc(COUNT, sizeof *forms);

	(void)state;
	assert_non_null(forms);
	for (unsigned n = 0; n < COUNT; n++) {
		char name[LENGTH + 1] = { 0 }, plain[3 * LENGTH + 1], full[3 * LENGTH + 1];
		struct buf a = BUF_EMPTY, b = BUF_EMPTY;
		struct err e;
		unsigned rest = n;

		for (size_t i = 0; i < LENGTH; i++, rest /= 6)
			name[i] = alphabet[rest % 6];
		encode(name, false, plain);
		encode(name, true, full);
		assert_int_equal(href_canonical(span_cstr(plain), &a, &e), ERR_OK);
		assert_int_equal(href_canonical(span_cstr(full), &b, &e), ERR_OK);
		assert_true(span_equal(buf_span(&a), buf_span(&b)));
		forms[n] = strndup((const char *)a.ptr, a.len);
		buf_release(&a);
		buf_release(&b);
	}
	qsort(forms, COUNT, sizeof *forms, order);
	for (unsigned n = 1; n < COUNT; n++)
		assert_string_not_equal(forms[n - 1], forms[n]);
	for (unsigned n = 0; n < COUNT; n++)
		free(forms[n]);
	free(forms);
}

static void the_last_segment(void **state)
{
	(void)state;
	assert_true(span_equal(href_last(SPAN_LIT("/a/b%20c/")), SPAN_LIT("b%20c")));
	assert_true(span_equal(href_last(SPAN_LIT("/")), SPAN_EMPTY));
	assert_true(span_equal(href_last(SPAN_LIT("x")), SPAN_LIT("x")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_href_is_a_path_of_this_server_or_refused),
		cmocka_unit_test(nothing_leaves_the_request_line_or_climbs),
		cmocka_unit_test(the_same_path_has_one_form_and_others_have_another),
		cmocka_unit_test(no_two_names_have_one_form),
		cmocka_unit_test(the_last_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
