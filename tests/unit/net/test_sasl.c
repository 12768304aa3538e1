#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <gsasl.h>

#include "net/sasl/sasl.h"

static struct sasl_login login_of(const char *secret)
{
	return (struct sasl_login){
		.user = "us=er,1", .secret = span_cstr(secret), .host = "mail.example.org", .port = "993"
	};
}

static struct sasl *opened(unsigned mechanism, const char *secret)
{
	struct sasl_login l = login_of(secret);
	struct sasl *s = NULL;
	struct err e = { 0 };

	assert_int_equal(sasl_open(mechanism, &l, &s, &e), ERR_OK);
	return s;
}

/* Plain text of what S answers to CHALLENGE, which is plain as well. */
static enum err_code step(struct sasl *s, const char *challenge, char *out, size_t max, struct err *e)
{
	struct buf answer = BUF_EMPTY;
	char *coded = NULL, *plain = NULL;
	size_t len = 0;
	enum err_code rc;

	if (*challenge)
		assert_int_equal(gsasl_base64_to(challenge, strlen(challenge), &coded, &len), GSASL_OK);
	rc = sasl_step(s, span_of(coded, len), &answer, e);
	len = 0;
	if (!rc && answer.len)
		assert_int_equal(gsasl_base64_from((const char *)answer.ptr, answer.len, &plain, &len), GSASL_OK);
	assert_true(len < max);
	if (len)
		memcpy(out, plain, len);
	out[len] = 0;
	gsasl_free(coded);
	gsasl_free(plain);
	buf_wipe(&answer);
	return rc;
}

static void plain_says_everything_at_once(void **state)
{
	struct sasl *s = opened(SASL_PLAIN, "pass word");
	struct buf answer = BUF_EMPTY;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(sasl_step(s, SPAN_EMPTY, &answer, &e), ERR_OK);
	assert_true(span_equal(buf_span(&answer), SPAN_LIT("AHVzPWVyLDEAcGFzcyB3b3Jk")));
	assert_int_equal(sasl_finish(s, &e), ERR_OK);
	buf_wipe(&answer);
	sasl_free(&s);
}

static void login_answers_two_questions(void **state)
{
	struct sasl *s = opened(SASL_LOGIN, "pass word");
	struct err e = { 0 };
	char said[200];

	(void)state;
	assert_false(sasl_client_first(SASL_LOGIN));
	assert_int_equal(step(s, "Username:", said, sizeof said, &e), ERR_OK);
	assert_string_equal(said, "us=er,1");
	assert_int_equal(step(s, "Password:", said, sizeof said, &e), ERR_OK);
	assert_string_equal(said, "pass word");
	sasl_free(&s);
}

/* RFC 7628, 3.1, and https://developers.google.com/gmail/imap/xoauth2-protocol */
static void tokens_are_said_as_the_protocols_want_it(void **state)
{
	struct sasl *s = opened(SASL_OAUTHBEARER, "vF9dft4qmT");
	struct err e = { 0 };
	char said[400];

	(void)state;
	assert_int_equal(step(s, "", said, sizeof said, &e), ERR_OK);
	assert_string_equal(said, "n,a=us=3Der=2C1,\x01host=mail.example.org\x01port=993\x01"
	                          "auth=Bearer vF9dft4qmT\x01\x01");
	assert_int_equal(step(s, "{\"status\":\"401\"}", said, sizeof said, &e), ERR_OK);
	assert_string_equal(said, "\x01");
	assert_true(span_equal(sasl_refusal(s), SPAN_LIT("{\"status\":\"401\"}")));
	assert_int_equal(step(s, "more", said, sizeof said, &e), ERR_CORRUPT);
	sasl_free(&s);
	s = opened(SASL_XOAUTH2, "vF9dft4qmT");
	assert_int_equal(step(s, "", said, sizeof said, &e), ERR_OK);
	assert_string_equal(said, "user=us=er,1\x01"
	                          "auth=Bearer vF9dft4qmT\x01\x01");
	assert_int_equal(step(s, "{}", said, sizeof said, &e), ERR_OK);
	assert_string_equal(said, "");
	sasl_free(&s);
}

static void what_no_login_can_carry_is_refused(void **state)
{
	struct sasl_login l = login_of("a");
	struct sasl *s = NULL;
	struct err e = { 0 };

	(void)state;
	l.secret = SPAN_LIT("a\0b");
	assert_int_equal(sasl_open(SASL_PLAIN, &l, &s, &e), ERR_USAGE);
	l.secret = SPAN_LIT("se cret\x01");
	assert_int_equal(sasl_open(SASL_OAUTHBEARER, &l, &s, &e), ERR_USAGE);
	assert_null(strstr(e.text, "cret"));
	l.user = "ann\x01";
	assert_int_equal(sasl_open(SASL_PLAIN, &l, &s, &e), ERR_USAGE);
	assert_null(s);
}

static void the_best_of_an_offer_is_taken(void **state)
{
	(void)state;
	assert_int_equal(sasl_best(SASL_PLAIN | SASL_LOGIN | SASL_SCRAM_SHA_256 | SASL_XOAUTH2, false),
	                 SASL_SCRAM_SHA_256);
	assert_int_equal(sasl_best(SASL_PLAIN | SASL_XOAUTH2, true), SASL_XOAUTH2);
	assert_int_equal(sasl_best(SASL_PLAIN, true), 0);
	assert_int_equal(sasl_best(0, false), 0);
	assert_int_equal(sasl_named(SPAN_LIT("scram-sha-256")), SASL_SCRAM_SHA_256);
	assert_int_equal(sasl_named(SPAN_LIT("GSSAPI")), 0);
	assert_string_equal(sasl_name(SASL_SCRAM_SHA_1), "SCRAM-SHA-1");
}

/* ---- SCRAM against the library's own server ---- */

static int know_password(Gsasl *library, Gsasl_session *session, Gsasl_property want)
{
	(void)library;
	if (want != GSASL_PASSWORD)
		return GSASL_NO_CALLBACK;
	return gsasl_property_set(session, GSASL_PASSWORD, "pass word");
}

struct scram {
	Gsasl *library;
	Gsasl_session *session;
	char last[1000]; /* what the server said */
	int code;
};

static void scram_start(struct scram *server)
{
	assert_int_equal(gsasl_init(&server->library), GSASL_OK);
	gsasl_callback_set(server->library, know_password);
	assert_int_equal(gsasl_server_start(server->library, "SCRAM-SHA-256", &server->session), GSASL_OK);
}

static void scram_hear(struct scram *server, const char *said)
{
	char *out = NULL;
	size_t len = 0;

	server->code = gsasl_step(server->session, said, strlen(said), &out, &len);
	assert_true(len < sizeof server->last);
	if (len)
		memcpy(server->last, out, len);
	server->last[len] = 0;
	gsasl_free(out);
}

static void scram_end(struct scram *server)
{
	gsasl_finish(server->session);
	gsasl_done(server->library);
}

static void scram_proves_both_sides(void **state)
{
	struct sasl *s = opened(SASL_SCRAM_SHA_256, "pass word");
	struct scram server = { 0 };
	struct err e = { 0 };
	char said[1000];

	(void)state;
	scram_start(&server);
	assert_int_equal(step(s, "", said, sizeof said, &e), ERR_OK);
	assert_null(strstr(said, "pass"));
	scram_hear(&server, said);
	assert_int_equal(server.code, GSASL_NEEDS_MORE);
	assert_int_equal(step(s, server.last, said, sizeof said, &e), ERR_OK);
	scram_hear(&server, said);
	assert_int_equal(server.code, GSASL_OK);
	/* A server that skips its proof has not proven anything. */
	assert_int_equal(sasl_finish(s, &e), ERR_DENIED);
	assert_int_equal(step(s, server.last, said, sizeof said, &e), ERR_OK);
	assert_int_equal(sasl_finish(s, &e), ERR_OK);
	sasl_free(&s);
	scram_end(&server);
}

static void scram_notices_a_server_without_the_password(void **state)
{
	struct sasl *s = opened(SASL_SCRAM_SHA_256, "pass word");
	struct scram server = { 0 };
	struct err e = { 0 };
	char said[1000];

	(void)state;
	scram_start(&server);
	assert_int_equal(step(s, "", said, sizeof said, &e), ERR_OK);
	scram_hear(&server, said);
	assert_int_equal(step(s, server.last, said, sizeof said, &e), ERR_OK);
	assert_int_not_equal(step(s, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ6rmF9pqV8S7suAoY=", said, sizeof said, &e), ERR_OK);
	assert_int_equal(sasl_finish(s, &e), ERR_DENIED);
	sasl_free(&s);
	scram_end(&server);
}

static void scram_does_not_hash_for_ever(void **state)
{
	struct sasl *s = opened(SASL_SCRAM_SHA_256, "pass word");
	struct err e = { 0 };
	char said[1000], first[1200];
	const char *nonce;

	(void)state;
	assert_int_equal(step(s, "", said, sizeof said, &e), ERR_OK);
	nonce = strstr(said, "r=");
	assert_non_null(nonce);
	snprintf(first, sizeof first, "%sserver,s=QSXCR+Q6sek8bf92,i=4294967295", nonce);
	assert_int_equal(step(s, first, said, sizeof said, &e), ERR_LIMIT);
	snprintf(first, sizeof first, "%sserver,s=QSXCR+Q6sek8bf92,i=99999999999999999999", nonce);
	assert_int_equal(step(s, first, said, sizeof said, &e), ERR_LIMIT);
	sasl_free(&s);
}

static void challenges_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = { "!!!!", "QQ", "=", "A===", "dj1h" };
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct sasl *s = opened(SASL_SCRAM_SHA_256, "pass word");
		struct buf answer = BUF_EMPTY;

		assert_int_equal(sasl_step(s, SPAN_EMPTY, &answer, &e), ERR_OK);
		assert_int_not_equal(sasl_step(s, span_cstr(bad[i]), &answer, &e), ERR_OK);
		buf_wipe(&answer);
		sasl_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_says_everything_at_once),
		cmocka_unit_test(login_answers_two_questions),
		cmocka_unit_test(tokens_are_said_as_the_protocols_want_it),
		cmocka_unit_test(what_no_login_can_carry_is_refused),
		cmocka_unit_test(the_best_of_an_offer_is_taken),
		cmocka_unit_test(scram_proves_both_sides),
		cmocka_unit_test(scram_notices_a_server_without_the_password),
		cmocka_unit_test(scram_does_not_hash_for_ever),
		cmocka_unit_test(challenges_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
