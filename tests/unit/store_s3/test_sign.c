/* Signatures against the examples of Amazon's documentation ("Examples: Signature Calculations"). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/text.h"
#include "net/net.h"
#include "store/s3/sign.h"

static struct err err;
static const struct sign_keys keys = { "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL };

static struct sign_request example(void)
{
	struct sign_request r = {
		.method = "GET", .region = "us-east-1", .host = "examplebucket.s3.amazonaws.com", .path = SPAN_LIT("/")
	};

	net_sha256(SPAN_EMPTY, r.payload);
	assert_true(clock_civil(2013, 5, 24, 0, 0, 0, 0, &r.time_ms));
	return r;
}

static void signature_is(const struct sign_request *r, const char *want)
{
	struct buf out = BUF_EMPTY;
	const char *last;

	assert_int_equal(sign_request(r, &keys, &out, &err), ERR_OK);
	last = (const char *)out.ptr;
	for (size_t at = 0; at < out.len; at += strlen((const char *)out.ptr + at) + 1)
		last = (const char *)out.ptr + at;
	assert_non_null(strstr(last, "Signature="));
	assert_string_equal(strstr(last, "Signature=") + 10, want);
	buf_release(&out);
}

static void a_range_of_an_object(void **state)
{
	static const char *const headers[] = { "range: bytes=0-9", NULL };
	struct sign_request r = example();

	(void)state;
	r.path = SPAN_LIT("/test.txt");
	r.headers = headers;
	signature_is(&r, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void a_query_without_a_value(void **state)
{
	struct sign_request r = example();

	(void)state;
	r.query = SPAN_LIT("lifecycle=");
	signature_is(&r, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void a_listing(void **state)
{
	struct sign_request r = example();

	(void)state;
	r.query = SPAN_LIT("max-keys=2&prefix=J");
	signature_is(&r, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void a_signature_depends_on_all_that_it_is_for(void **state)
{
	static const char *const absent[] = { "if-none-match: *", NULL }, *const copy[] = { "x-amz-copy-source: /b/k",
		                                                                            NULL };
	struct sign_request all[6];
	struct buf outs[6];

	(void)state;
	for (size_t i = 0; i < 6; i++)
		all[i] = example();
	all[1].headers = absent;
	all[2].headers = copy;
	all[3].payload[0] ^= 1;
	all[4].time_ms += 1000;
	all[5].region = "eu-central-1";
	for (size_t i = 0; i < 6; i++) {
		outs[i] = BUF_EMPTY;
		assert_int_equal(sign_request(&all[i], &keys, &outs[i], &err), ERR_OK);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(outs[i].ptr + outs[i].len - 65, outs[j].ptr + outs[j].len - 65, 64);
	}
	for (size_t i = 0; i < 6; i++)
		buf_release(&outs[i]);
}

static void what_is_not_plain_is_encoded(void **state)
{
	struct buf out = BUF_EMPTY;

	(void)state;
	assert_int_equal(text_url(&out, SPAN_LIT("a/b c~+\xc3\xbc"), "/", &err), ERR_OK);
	assert_int_equal(text_url(&out, SPAN_LIT("/\0"), "", &err), ERR_OK);
	assert_int_equal(out.len, strlen("a/b%20c~%2B%C3%BC%2F%00"));
	assert_memory_equal(out.ptr, "a/b%20c~%2B%C3%BC%2F%00", out.len);
	buf_release(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_of_an_object),
		cmocka_unit_test(a_query_without_a_value),
		cmocka_unit_test(a_listing),
		cmocka_unit_test(a_signature_depends_on_all_that_it_is_for),
		cmocka_unit_test(what_is_not_plain_is_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
