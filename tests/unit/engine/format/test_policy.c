/* The policy's fields: what one version does not know it carries over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/format/record.h"

static struct err err;

static void ok(enum err_code rc)
{
	if (rc)
		fail_msg("%s: %s", err_code_name(rc), err.text);
}

static struct span value_of(const struct buf *policy, uint64_t tag)
{
	struct span out = SPAN_EMPTY;

	ok(policy_get(buf_span(policy), tag, &out, &err));
	return out;
}

static void put(struct buf *policy, uint64_t tag, struct span value)
{
	struct buf next = BUF_EMPTY;

	ok(policy_put(buf_span(policy), tag, value, &next, &err));
	buf_release(policy);
	*policy = next;
}

static void fields_are_put_replaced_and_taken_out(void **state)
{
	struct buf policy = BUF_EMPTY;

	(void)state;
	assert_int_equal(value_of(&policy, 1).len, 0);
	put(&policy, 300, SPAN_LIT("of a later version"));
	put(&policy, 1, SPAN_LIT("\x05"));
	put(&policy, 7, SPAN_LIT("between"));
	assert_true(span_equal(value_of(&policy, 1), SPAN_LIT("\x05")));
	put(&policy, 1, SPAN_LIT("\x0a"));
	assert_true(span_equal(value_of(&policy, 1), SPAN_LIT("\x0a")));
	assert_true(span_equal(value_of(&policy, 7), SPAN_LIT("between")));
	put(&policy, 1, SPAN_EMPTY);
	put(&policy, 1, SPAN_EMPTY);
	assert_int_equal(value_of(&policy, 1).len, 0);
	assert_true(span_equal(value_of(&policy, 300), SPAN_LIT("of a later version")));
	/* tag 7, length 7, its value; tag 300 as two bytes */
	assert_int_equal(policy.len, 2 + 7 + 3 + 18);
	buf_release(&policy);
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct span bad[] = {
		{ (const uint8_t *)"\x00\x01x", 3 },          /* tag 0 */
		{ (const uint8_t *)"\x01\x02x", 3 },          /* cut short */
		{ (const uint8_t *)"\x02\x01x\x01\x01x", 6 }, /* falling */
		{ (const uint8_t *)"\x01\x01x\x01\x01x", 6 }, /* twice */
		{ (const uint8_t *)"\x81\x00\x01x", 4 },      /* not the shortest form */
	};
	struct span out = SPAN_LIT("untouched");
	struct buf next = BUF_EMPTY;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(policy_get(bad[i], 1, &out, &err), ERR_CORRUPT);
		assert_int_equal(policy_put(bad[i], 1, SPAN_LIT("x"), &next, &err), ERR_CORRUPT);
		assert_true(span_equal(out, SPAN_LIT("untouched")));
		buf_clear(&next);
	}
	buf_release(&next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_put_replaced_and_taken_out),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
