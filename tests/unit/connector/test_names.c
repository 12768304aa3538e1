#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "connector/files/maildir_name.h"
#include "connector/files/names.h"
#include "connector/files/safe_name.h"

static void names_are_ordered_as_memcmp_orders_keys(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	(void)state;
	printf("seed %u (MAILHOLD_TEST_SEED repeats it)\n", seed);
	srand(seed);
	for (int round = 0; round < 200; round++) {
		struct names n = NAMES_EMPTY;
		struct err e = { 0 };
		size_t count = (size_t)rand() % 600, shared = (size_t)rand() % 40;
		unsigned letters = 1 + (unsigned)rand() % 3;

		for (size_t i = 0; i < count; i++) {
			uint8_t name[NAME_LEN_MAX];
			size_t len = shared + (size_t)rand() % 24;

			memset(name, 'p', shared);
			for (size_t k = shared; k < len; k++)
				name[k] = (uint8_t)(1 + (unsigned)rand() % letters * 127);
			assert_int_equal(names_add(&n, span_of(name, len), len - len / 7, (uint8_t)(rand() & 1),
			                           span_of(name, len / 3), &e),
			                 ERR_OK);
		}
		names_sort(&n);
		for (size_t i = 1; i < n.count; i++) {
			int order = span_compare(names_key(&n, i - 1), names_key(&n, i));

			assert_true(order <= 0);
			if (order == 0 && n.refs[i - 1].mark == n.refs[i].mark)
				assert_true(span_compare(names_name(&n, i - 1), names_name(&n, i)) <= 0);
		}
		for (size_t i = 0; i < n.count; i++) {
			size_t at;

			assert_true(names_find(&n, names_key(&n, i), &at) && at <= i);
			assert_int_equal(names_state(&n, i).len, names_name(&n, i).len / 3);
		}
		names_release(&n);
	}
}

static void a_key_of_its_own_keeps_name_and_state(void **state)
{
	struct names n = NAMES_EMPTY;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(names_add(&n, SPAN_LIT("name:2,S"), 4, 0, SPAN_LIT("state"), &e), ERR_OK);
	assert_int_equal(names_own_key(&n, 0, SPAN_LIT("name/12"), &e), ERR_OK);
	assert_true(span_equal(names_key(&n, 0), SPAN_LIT("name/12")));
	assert_true(span_equal(names_name(&n, 0), SPAN_LIT("name:2,S")));
	assert_true(span_equal(names_state(&n, 0), SPAN_LIT("state")));
	names_release(&n);
}

static void the_base_name_ends_at_the_info(void **state)
{
	static const struct {
		const char *name;
		size_t base;
	} cases[] = { { "1.a:2,S", 3 },   { "1.a;2,S", 3 }, { "1.a!2,", 3 },   { "1.a", 3 },
		      { "1.a:1,x", 3 },   { "a:b:2,S", 3 }, { ":2,S", 4 },     { ":", 1 },
		      { "a:2,b:2,c", 1 }, { "a;b", 3 },     { "1:x;2,S:y", 3 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(maildir_base_length(span_cstr(cases[i].name)), cases[i].base);
}

static void folder_names_become_paths(void **state)
{
	static const char *const cases[][2] = { { "", "INBOX" },
		                                { ".a.b", "a/b" },
		                                { ".a", "a" },
		                                { "x/y", "x/y" },
		                                { "x/.y.z", "x/y/z" },
		                                { "v1.2", "v1.2" },
		                                { ".Entw&APw-rfe", "Entw&APw-rfe" } };
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_EMPTY;

		assert_int_equal(maildir_path(span_cstr(cases[i][0]), &b, &e), ERR_OK);
		assert_true(span_equal(buf_span(&b), span_cstr(cases[i][1])));
		buf_release(&b);
	}
}

static void safe_names_hold_no_way_out_and_stay_apart(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/", "a/../b", "%", "..\x01", "x ", "x." };
	struct err e = { 0 };
	bool changed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (int rule = NAME_EXACT; rule <= NAME_PORTABLE; rule++) {
			struct buf b = BUF_EMPTY;

			assert_int_equal(
			        safe_name(span_cstr(bad[i]), SPAN_EMPTY, (enum name_rule)rule, &b, &changed, &e),
			        ERR_OK);
			assert_true(b.len >= 1 && b.len <= 255);
			assert_null(memchr(b.ptr, '/', b.len));
			assert_false(span_equal(buf_span(&b), SPAN_LIT(".")) ||
			             span_equal(buf_span(&b), SPAN_LIT("..")));
			buf_release(&b);
		}
}

static void long_names_are_cut_and_stay_apart(void **state)
{
	uint8_t name[600];
	struct buf a = BUF_EMPTY, b = BUF_EMPTY;
	struct err e = { 0 };
	bool changed;

	(void)state;
	for (int fill = 0; fill < 2; fill++) {
		memset(name, fill ? 0x01 : 'x', sizeof name);
		buf_clear(&a);
		buf_clear(&b);
		assert_int_equal(safe_name(span_of(name, 600), SPAN_LIT(":2,S"), NAME_PORTABLE, &a, &changed, &e),
		                 ERR_OK);
		assert_true(changed && a.len <= 255);
		name[599] = 'y';
		assert_int_equal(safe_name(span_of(name, 600), SPAN_LIT(":2,S"), NAME_PORTABLE, &b, &changed, &e),
		                 ERR_OK);
		assert_false(span_equal(buf_span(&a), buf_span(&b)));
	}
	buf_release(&a);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_ordered_as_memcmp_orders_keys),
		cmocka_unit_test(a_key_of_its_own_keeps_name_and_state),
		cmocka_unit_test(the_base_name_ends_at_the_info),
		cmocka_unit_test(folder_names_become_paths),
		cmocka_unit_test(safe_names_hold_no_way_out_and_stay_apart),
		cmocka_unit_test(long_names_are_cut_and_stay_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
