#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/http/http.h"
#include "net/net.h"
#include "net/oauth/oauth.h"
#include "net/oauth/oauth_internal.h"

static enum err_code parse(long status, const char *body, struct oauth_tokens *t, char code[64], struct err *e)
{
	*t = (struct oauth_tokens){ 0 };
	return oauth_token_parse(status, span_cstr(body), t, code, e);
}

static void tokens_are_taken_out_of_the_answer(void **state)
{
	struct oauth_tokens t;
	struct err e = { 0 };
	char code[64];

	(void)state;
	/* RFC 6749, 5.1 */
	assert_int_equal(
	        parse(200,
	              "{\"access_token\":\"2YotnFZFEjr1zCsicMWpAA\",\"token_type\":\"bearer\",\"expires_in\":3600,"
	              "\"refresh_token\":\"tGzv3JOkF0XG5Qx2TlKWIA\",\"example_parameter\":\"example_value\"}",
	              &t, code, &e),
	        ERR_OK);
	assert_string_equal((char *)t.access.ptr, "2YotnFZFEjr1zCsicMWpAA");
	assert_int_equal(t.access.len, 22);
	assert_string_equal((char *)t.refresh.ptr, "tGzv3JOkF0XG5Qx2TlKWIA");
	assert_int_equal(t.lives_ms, 3600000);
	oauth_tokens_wipe(&t);
	assert_int_equal(
	        parse(200, "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":\"60\"}", &t, code, &e),
	        ERR_OK);
	assert_int_equal(t.lives_ms, 60000);
	assert_int_equal(t.refresh.len, 0);
	oauth_tokens_wipe(&t);
	assert_int_equal(parse(200, "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":99999999999}", &t,
	                       code, &e),
	                 ERR_OK);
	assert_true(t.lives_ms <= 366LL * 86400000);
	oauth_tokens_wipe(&t);
}

static void answers_that_give_no_token_are_told_apart(void **state)
{
	static const struct {
		long status;
		const char *body, *code;
		enum err_code rc;
	} bad[] = {
		{ 400, "{\"error\":\"invalid_grant\",\"error_description\":\"gone\"}", "invalid_grant", ERR_DENIED },
		{ 400, "{\"error\":\"authorization_pending\"}", "authorization_pending", ERR_DENIED },
		{ 200, "{\"error\":\"odd\"}", "odd", ERR_DENIED },
		{ 401, "{}", "", ERR_DENIED },
		{ 503, "{}", "", ERR_IO },
		{ 503, "<html>", "", ERR_IO },
		{ 429, "", "", ERR_IO },
		{ 200, "", "", ERR_CORRUPT },
		{ 200, "[]", "", ERR_CORRUPT },
		{ 200, "{\"token_type\":\"Bearer\"}", "", ERR_CORRUPT },
		{ 200, "{\"access_token\":\"se cret\",\"token_type\":\"Bearer\"}", "", ERR_CORRUPT },
		{ 200, "{\"access_token\":\"se\\u0000cret\",\"token_type\":\"Bearer\"}", "", ERR_CORRUPT },
		{ 200, "{\"access_token\":\"\",\"token_type\":\"Bearer\"}", "", ERR_CORRUPT },
		{ 200, "{\"access_token\":\"secret\",\"token_type\":\"mac\"}", "", ERR_UNSUPPORTED },
		{ 200, "{\"access_token\":\"secret\"}", "", ERR_UNSUPPORTED },
		{ 200, "{\"access_token\":\"secret\",\"access_token\":\"secret\",\"token_type\":\"Bearer\"}", "",
		  ERR_CORRUPT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct oauth_tokens t;
		struct err e = { 0 };
		char code[64];

		if (parse(bad[i].status, bad[i].body, &t, code, &e) != bad[i].rc)
			fail_msg("%zu: %d %s", i, e.code, e.text);
		assert_string_equal(code, bad[i].code);
		assert_null(strstr(e.text, "cret"));
		assert_null(t.access.ptr);
	}
}

static void waiting_for_the_user_goes_on_or_ends(void **state)
{
	struct err e = { .retry = ERR_RETRY_LATER };
	int64_t interval = 1000;

	(void)state;
	assert_int_equal(oauth_device_go_on(ERR_DENIED, "authorization_pending", &interval, &e), ERR_OK);
	assert_int_equal(interval, 1000);
	assert_int_equal(oauth_device_go_on(ERR_DENIED, "slow_down", &interval, &e), ERR_OK);
	assert_int_equal(interval, 6000); /* RFC 8628, 3.5: and for all that follow */
	assert_int_equal(oauth_device_go_on(ERR_DENIED, "slow_down", &interval, &e), ERR_OK);
	assert_int_equal(interval, 11000);
	assert_int_equal(oauth_device_go_on(ERR_IO, "", &interval, &e), ERR_OK);
	assert_int_equal(oauth_device_go_on(ERR_DENIED, "access_denied", &interval, &e), ERR_DENIED);
	assert_int_equal(oauth_device_go_on(ERR_DENIED, "expired_token", &interval, &e), ERR_DENIED);
	assert_int_equal(oauth_device_go_on(ERR_CORRUPT, "", &interval, &e), ERR_CORRUPT);
}

static void device_codes_are_taken_out_of_the_answer(void **state)
{
	struct oauth_device d = { 0 };
	struct err e = { 0 };

	(void)state;
	/* RFC 8628, 3.2 */
	assert_int_equal(
	        oauth_device_parse(
	                200,
	                SPAN_LIT("{\"device_code\":\"GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS\","
	                         "\"user_code\":\"WDJB-MJHT\",\"verification_uri\":\"https://example.com/device\","
	                         "\"verification_uri_complete\":\"https://example.com/device?user_code=WDJB-MJHT\","
	                         "\"expires_in\":1800,\"interval\":7}"),
	                &d, &e),
	        ERR_OK);
	assert_string_equal(d.user_code, "WDJB-MJHT");
	assert_string_equal(d.url, "https://example.com/device");
	assert_int_equal(d.interval_ms, 7000);
	assert_int_equal(d.lives_ms, 1800000);
	oauth_device_wipe(&d);
	assert_int_equal(oauth_device_parse(200, SPAN_LIT("{\"device_code\":\"a\",\"user_code\":\"b\"}"), &d, &e),
	                 ERR_CORRUPT);
	assert_int_equal(oauth_device_parse(400, SPAN_LIT("{\"error\":\"unauthorized_client\"}"), &d, &e), ERR_DENIED);
}

static enum err_code redirect(const char *request, char *out, size_t max)
{
	struct buf code = BUF_EMPTY;
	struct err e = { 0 };
	enum err_code rc = oauth_redirect_parse(span_cstr(request), "the-state", &code, &e);

	snprintf(out, max, "%s", rc ? e.text : (const char *)code.ptr);
	buf_wipe(&code);
	return rc;
}

static void only_the_browser_with_our_state_is_heard(void **state)
{
	char out[ERR_TEXT_MAX];

	(void)state;
	assert_int_equal(redirect("GET /?code=a%2Bb+c&state=the-state HTTP/1.1\r\nHost: x\r\n\r\n", out, sizeof out),
	                 ERR_OK);
	assert_string_equal(out, "a+b c");
	assert_int_equal(redirect("GET /?state=the-state&iss=x&code=z HTTP/1.0\r\n\r\n", out, sizeof out), ERR_OK);
	assert_string_equal(out, "z");
	assert_int_equal(redirect("GET /?code=z&state=other HTTP/1.1\r\n\r\n", out, sizeof out), ERR_NOT_FOUND);
	assert_int_equal(redirect("GET /?code=z&state=the-state&state=the-state HTTP/1.1\r\n\r\n", out, sizeof out),
	                 ERR_NOT_FOUND);
	assert_int_equal(redirect("GET /?code=z HTTP/1.1\r\n\r\n", out, sizeof out), ERR_NOT_FOUND);
	assert_int_equal(redirect("POST /?code=z&state=the-state HTTP/1.1\r\n\r\n", out, sizeof out), ERR_NOT_FOUND);
	assert_int_equal(redirect("GET /favicon.ico HTTP/1.1\r\n\r\n", out, sizeof out), ERR_NOT_FOUND);
	assert_int_equal(redirect("GET /?code=z&state=the-state", out, sizeof out), ERR_NOT_FOUND);
	assert_int_equal(redirect("GET /?state=the-state HTTP/1.1\r\n\r\n", out, sizeof out), ERR_DENIED);
	assert_int_equal(redirect("GET /?code=%00&state=the-state HTTP/1.1\r\n\r\n", out, sizeof out), ERR_DENIED);
	assert_int_equal(redirect("GET /?error=access_denied&state=the-state HTTP/1.1\r\n\r\n", out, sizeof out),
	                 ERR_DENIED);
	assert_non_null(strstr(out, "access_denied"));
}

static void presets_are_filled_in(void **state)
{
	struct oauth_provider p = { .preset = "microsoft", .tenant = "example.org", .client_id = "id" };
	struct oauth_client c;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(oauth_client_of(&p, &c, &e), ERR_OK);
	assert_int_equal(c.flow, OAUTH_DEVICE);
	assert_string_equal(c.token_url, "https://login.microsoftonline.com/example.org/oauth2/v2.0/token");
	assert_string_equal(c.device_url, "https://login.microsoftonline.com/example.org/oauth2/v2.0/devicecode");
	p.flow = "client-credentials";
	assert_int_equal(oauth_client_of(&p, &c, &e), ERR_OK);
	assert_string_equal(c.scope, "https://outlook.office365.com/.default");
	p.tenant = "a/../b";
	assert_int_equal(oauth_client_of(&p, &c, &e), ERR_USAGE);
	p = (struct oauth_provider){ .preset = "google", .client_id = "id" };
	assert_int_equal(oauth_client_of(&p, &c, &e), ERR_OK);
	assert_int_equal(c.flow, OAUTH_BROWSER);
	assert_string_equal(c.scope, "https://mail.google.com/");
	p.flow = "device";
	assert_int_equal(oauth_client_of(&p, &c, &e), ERR_USAGE);
}

static void in_clear_only_this_machine_is_talked_to(void **state)
{
	static const char *const good[] = { "https://example.org/token", "HTTPS://example.org", "http://127.0.0.1:80/x",
		                            "http://localhost/x", "http://[::1]:8080/" };
	static const char *const bad[] = { "http://example.org/",
		                           "http://127.0.0.1.example.org/",
		                           "ftp://example.org",
		                           "http://localhost.example.org/",
		                           "https://user@example.org/",
		                           "https:///x",
		                           "example.org",
		                           "http://localhost@example.org/" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(http_url_check(good[i], &e), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(http_url_check(bad[i], &e), ERR_USAGE);
}

static void a_form_holds_any_bytes(void **state)
{
	const struct http_field fields[] = { { "a", SPAN_LIT("x y&z=ä%+") },
		                             { "left-out", SPAN_EMPTY },
		                             { "b", SPAN_LIT("~-._") } };
	struct buf out = BUF_EMPTY;
	struct err e;

	(void)state;
	assert_int_equal(http_form(fields, ARRAY_LEN(fields), &out, &e), ERR_OK);
	assert_true(span_equal(buf_span(&out), SPAN_LIT("a=x%20y%26z%3D%C3%A4%25%2B&b=~-._")));
	buf_release(&out);
}

static void fingerprints_are_read_as_openssl_prints_them(void **state)
{
	uint8_t pin[NET_PIN_BYTES];

	(void)state;
	assert_true(net_pin_parse("SHA256:00:01:02:03:04:05:06:07:08:09:0a:0B:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:"
	                          "19:1a:1b:1c:1d:1e:FF",
	                          pin));
	assert_int_equal(pin[11], 11);
	assert_int_equal(pin[31], 255);
	assert_true(net_pin_parse("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff", pin));
	assert_false(net_pin_parse("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e", pin));
	assert_false(net_pin_parse("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1effff", pin));
	assert_false(net_pin_parse("", pin));
	assert_false(net_pin_parse("xx0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff", pin));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_taken_out_of_the_answer),
		cmocka_unit_test(answers_that_give_no_token_are_told_apart),
		cmocka_unit_test(waiting_for_the_user_goes_on_or_ends),
		cmocka_unit_test(device_codes_are_taken_out_of_the_answer),
		cmocka_unit_test(only_the_browser_with_our_state_is_heard),
		cmocka_unit_test(presets_are_filled_in),
		cmocka_unit_test(in_clear_only_this_machine_is_talked_to),
		cmocka_unit_test(a_form_holds_any_bytes),
		cmocka_unit_test(fingerprints_are_read_as_openssl_prints_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
