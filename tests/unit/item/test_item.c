#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "item/item.h"

static void fields_come_back_as_they_were_added(void **state)
{
	struct buf b = BUF_EMPTY;
	struct err e = { 0 };
	struct span got;
	uint64_t number;

	(void)state;
	assert_int_equal(fields_add_u64(&b, FACT_SIZE, 0x1122334455667788u, 8, &e), ERR_OK);
	assert_int_equal(fields_add(&b, FACT_MBOX_FROM, SPAN_LIT("From me\r\n"), &e), ERR_OK);
	assert_int_equal(fields_add(&b, 300, SPAN_EMPTY, &e), ERR_OK);
	assert_true(fields_check(buf_span(&b)));
	assert_true(fields_get_u64(buf_span(&b), FACT_SIZE, &number));
	assert_true(number == 0x1122334455667788u);
	assert_true(fields_get(buf_span(&b), FACT_MBOX_FROM, &got));
	assert_true(span_equal(got, SPAN_LIT("From me\r\n")));
	assert_true(fields_get(buf_span(&b), 300, &got) && got.len == 0);
	assert_false(fields_get(buf_span(&b), FACT_TIME, &got));
	assert_false(fields_get_u64(buf_span(&b), FACT_MBOX_FROM, &number)); /* nine bytes are no number */
	buf_release(&b);
}

static void every_cut_of_fields_is_refused(void **state)
{
	struct buf b = BUF_EMPTY;
	struct err e = { 0 };
	struct span got;

	(void)state;
	assert_int_equal(fields_add(&b, 1, SPAN_LIT("abc"), &e), ERR_OK);
	for (size_t len = 1; len < b.len; len++) {
		assert_false(fields_check(span_of(b.ptr, len)));
		assert_false(fields_get(span_of(b.ptr, len), 1, &got));
	}
	assert_true(fields_check(SPAN_EMPTY));
	buf_release(&b);
}

static void tags_that_do_not_rise_are_refused(void **state)
{
	(void)state;
	assert_false(fields_check(SPAN_LIT("\x02\x00\x01\x00")));
	assert_false(fields_check(SPAN_LIT("\x01\x00\x01\x00")));
	assert_false(fields_check(SPAN_LIT("\xff\xff\xff\xff\x1f\x00"))); /* beyond 32 bits */
	assert_true(fields_check(SPAN_LIT("\x01\x00\x02\x00")));
}

static void a_failed_add_leaves_no_half_field(void **state)
{
	struct buf b = BUF_WITH_MAX(4);
	struct err e = { 0 };

	(void)state;
	assert_int_equal(fields_add(&b, 1, SPAN_LIT("ab"), &e), ERR_OK);
	assert_int_equal(fields_add(&b, 2, SPAN_LIT("abc"), &e), ERR_LIMIT);
	assert_int_equal(b.len, 4);
	assert_true(fields_check(buf_span(&b)));
	buf_release(&b);
}

static void random_bytes_never_lead_outside(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	(void)state;
	printf("seed %u (MAILHOLD_TEST_SEED repeats it)\n", seed);
	srand(seed);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)rand() % 40;
		uint8_t *bytes = malloc(len ? len : 1);
		struct span got;

		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)(rand() % (rand() % 2 ? 8 : 256));
		fields_check(span_of(bytes, len));
		for (uint32_t tag = 0; tag < 12; tag++)
			if (fields_get(span_of(bytes, len), tag, &got))
				assert_true(got.ptr >= bytes && got.ptr + got.len <= bytes + len);
		free(bytes);
	}
}

static void kinds_and_roles_have_names(void **state)
{
	enum item_kind kind;

	(void)state;
	for (unsigned i = KIND_MAIL; i <= KIND_OTHER; i++) {
		assert_true(item_kind_of_name(span_cstr(item_kind_name((enum item_kind)i)), &kind));
		assert_int_equal(kind, i);
	}
	assert_string_equal(item_kind_name((enum item_kind)99), "other");
	assert_false(item_kind_of_name(SPAN_LIT("mailx"), &kind));
	assert_string_equal(collection_role_name(ROLE_NONE), "");
	assert_string_equal(collection_role_name(ROLE_ARCHIVE), "archive");
	assert_string_equal(collection_role_name((enum collection_role)77), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_back_as_they_were_added),
		cmocka_unit_test(every_cut_of_fields_is_refused),
		cmocka_unit_test(tags_that_do_not_rise_are_refused),
		cmocka_unit_test(a_failed_add_leaves_no_half_field),
		cmocka_unit_test(random_bytes_never_lead_outside),
		cmocka_unit_test(kinds_and_roles_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
