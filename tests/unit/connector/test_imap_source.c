/* The IMAP source against a server that is strict about what it is asked and faulty on request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "carry.h"
#include "connector/imap/fetch.h"
#include "connector/imap/imap_source.h"
#include "imap_server.h"

static struct imap_server server;
static unsigned reports;

static int setup(void **state)
{
	(void)state;
	server = (struct imap_server){ .capabilities = "SASL-IR AUTH=PLAIN CONDSTORE",
		                       .uid_validity = 77,
		                       .mod_seq = 9 };
	reports = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	serve_release(&server);
	return 0;
}

static void some_mail(void)
{
	serve_add(&server, 3, "\\Seen $Label", "Subject: one\r\n\r\n1\r\n", 20);
	serve_add(&server, 7, "", "Subject: two\r\n\r\n\0nul and no end", 31);
	serve_add(&server, 4000000000u, "\\Recent", "", 0);
}

static void on_report(void *ctx, const char *what, const struct err *why)
{
	(void)ctx;
	(void)what;
	(void)why;
	reports++;
}

static struct imap_login login_of(void)
{
	static struct imap_transport transport = { &server, serve_read, serve_write };

	return (struct imap_login){ .host = "test",
		                    .port = "",
		                    .user = "nun",
		                    .password = SPAN_LIT("geheim"),
		                    .patience_ms = -1,
		                    .transport = &transport };
}

static struct item_source *open_source(void)
{
	struct imap_login login = login_of();
	struct item_source *s = NULL;
	struct err e = { 0 };
	const struct collection *all;
	size_t count;

	if (imap_source_open(&login, &s, &e))
		fail_msg("%s", e.text);
	s->report = on_report;
	assert_int_equal(s->ops->collections(s, &all, &count, &e), ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(all[0].role, ROLE_INBOX);
	return s;
}

static enum err_code fetch_one(struct item_source *s, const struct item_listing *l, uint64_t place, struct carried *to,
                               struct err *e)
{
	struct item_receiver r = { to, carry_stream, carry_space, carry_add };
	struct buf facts = BUF_EMPTY;
	enum err_code rc;
	uint64_t bytes = 0;

	buf_clear(&to->body);
	rc = s->ops->fetch(s, 0, l, place, &r, &facts, e);
	if (!rc) {
		assert_true(fields_get_u64(buf_span(&facts), FACT_SIZE, &bytes));
		assert_int_equal(bytes, to->body.len);
	}
	buf_release(&facts);
	return rc;
}

/* Everything that is there comes as it is; returns how many messages could not be had. */
static unsigned read_all(struct item_source *s)
{
	struct item_listing *l = NULL;
	struct buf cursor = BUF_EMPTY;
	struct carried got = { 0 };
	uint64_t places[64];
	unsigned failed = 0;
	struct err e = { 0 };
	size_t count;

	if (s->ops->list(s, 0, SPAN_EMPTY, false, &l, &cursor, &e))
		fail_msg("%s", e.text);
	count = s->ops->listing_count(l);
	assert_int_equal(count, server.count - server.hides_last);
	assert_int_equal(cursor.len == 0, server.hides_last);
	for (size_t i = 0; i < count; i++) {
		struct item_entry entry;

		s->ops->listing_get(l, i, &entry);
		places[i] = entry.place;
	}
	assert_int_equal(s->ops->ahead(s, 0, l, places, count, false, &e), ERR_OK);
	for (size_t i = 0; i < count; i++) {
		if (fetch_one(s, l, places[i], &got, &e))
			failed++;
		else if (!span_equal(buf_span(&got.body), buf_span(&server.messages[i].body)))
			fail_msg("message %zu came otherwise", i);
	}
	s->ops->listing_free(&l);
	buf_release(&cursor);
	buf_release(&got.body);
	assert_int_equal(server.offences, 0);
	return failed;
}

static void messages_come_byte_for_byte(void **state)
{
	struct item_source *s;

	(void)state;
	some_mail();
	s = open_source();
	assert_int_equal(read_all(s), 0);
	assert_int_equal(reports, 0);
	assert_true(server.fetches <= 2); /* the listing, and one command for all bodies */
	s->ops->free(&s);
}

static void keys_flags_and_dates_are_told(void **state)
{
	struct item_listing *l = NULL;
	struct buf cursor = BUF_EMPTY, facts = BUF_EMPTY;
	struct carried got = { 0 };
	struct item_receiver to = { &got, carry_stream, carry_space, carry_add };
	struct item_source *s;
	struct item_entry entry;
	struct span flags;
	uint64_t ns = 0, zone = 0;
	struct err e;

	(void)state;
	some_mail();
	s = open_source();
	assert_int_equal(s->ops->list(s, 0, SPAN_EMPTY, false, &l, &cursor, &e), ERR_OK);
	s->ops->listing_get(l, 0, &entry);
	assert_true(span_equal(entry.key, SPAN_LIT("0000000077.0000000003")));
	assert_true(fields_get(entry.state, STATE_FLAGS, &flags));
	assert_true(span_equal(flags, SPAN_LIT("$Label \\Seen"))); /* in one order, whatever the server's */
	s->ops->listing_get(l, 2, &entry);
	assert_true(span_equal(entry.key, SPAN_LIT("0000000077.4000000000")));
	assert_int_equal(entry.state.len, 0); /* \Recent is the session's */
	assert_int_equal(s->ops->fetch(s, 0, l, 0, &to, &facts, &e), ERR_OK);
	assert_true(fields_get_u64(buf_span(&facts), FACT_TIME, &ns));
	assert_true(fields_get_u64(buf_span(&facts), FACT_ZONE, &zone));
	assert_int_equal(ns, 1707295272000000000u); /* 2024-02-07 08:41:12 UTC */
	assert_int_equal(zone, 90);
	s->ops->listing_free(&l);
	buf_release(&cursor);
	buf_release(&facts);
	buf_release(&got.body);
	s->ops->free(&s);
}

static void what_has_not_moved_is_not_opened(void **state)
{
	struct item_listing *l = NULL;
	struct buf cursor = BUF_EMPTY, next = BUF_EMPTY;
	struct item_source *s;
	unsigned fetches;
	struct err e;

	(void)state;
	some_mail();
	s = open_source();
	assert_int_equal(s->ops->list(s, 0, SPAN_EMPTY, false, &l, &cursor, &e), ERR_OK);
	s->ops->listing_free(&l);
	fetches = server.fetches;
	assert_int_equal(s->ops->list(s, 0, buf_span(&cursor), false, &l, &next, &e), ERR_OK);
	assert_null(l);
	assert_int_equal(server.fetches, fetches);
	/* A flag changed. */
	s->ops->free(&s);
	serve_hang_up(&server);
	server.mod_seq++;
	s = open_source();
	assert_int_equal(s->ops->list(s, 0, buf_span(&cursor), false, &l, &next, &e), ERR_OK);
	assert_non_null(l);
	assert_int_equal(s->ops->listing_count(l), 3);
	s->ops->listing_free(&l);
	buf_release(&cursor);
	buf_release(&next);
	s->ops->free(&s);
}

static void odd_but_legal_answers_are_understood(void **state)
{
	(void)state;
	some_mail();
	for (unsigned bits = 0; bits < 16; bits++) {
		struct item_source *s;

		server.backwards = bits & 1;
		server.chatter = bits & 2;
		server.literal8 = bits & 4;
		server.piece = bits & 8 ? 1 : 0;
		serve_hang_up(&server);
		s = open_source();
		assert_int_equal(read_all(s), 0);
		s->ops->free(&s);
	}
}

static void a_broken_connection_is_made_again(void **state)
{
	(void)state;
	some_mail();
	for (size_t cut = 150; cut < 1500; cut += 7) {
		struct item_source *s;

		serve_hang_up(&server);
		server.cut_every = 0;
		s = open_source();
		server.cut_every = server.sent + cut - 150;
		server.cuts_left = 1;
		assert_int_equal(read_all(s), 0);
		s->ops->free(&s);
	}
}

static void a_server_that_is_gone_is_not_waited_for_again_and_again(void **state)
{
	struct item_listing *l = NULL;
	struct buf cursor = BUF_EMPTY;
	struct carried got = { 0 };
	struct item_source *s;
	struct err e;
	unsigned connections;

	(void)state;
	some_mail();
	s = open_source();
	assert_int_equal(s->ops->list(s, 0, SPAN_EMPTY, false, &l, &cursor, &e), ERR_OK);
	server.greeting = "* BYE maintenance\r\n";
	server.cut_every = 1;
	server.cuts_left = SIZE_MAX;
	assert_int_equal(fetch_one(s, l, 0, &got, &e), ERR_IO);
	connections = server.connections;
	assert_true(connections <= 1 + SESSION_TRIES_MIN);
	assert_int_equal(fetch_one(s, l, 1, &got, &e), ERR_IO);
	assert_int_equal(server.connections, connections);
	s->ops->listing_free(&l);
	buf_release(&cursor);
	buf_release(&got.body);
	s->ops->free(&s);
}

static void one_message_that_cannot_be_had_stops_no_other(void **state)
{
	struct item_source *s;

	(void)state;
	some_mail();
	server.refuse_uid = 7;
	s = open_source();
	assert_int_equal(read_all(s), 1);
	s->ops->free(&s);
	serve_hang_up(&server);
	server.refuse_uid = 0;
	server.vanished_uid = 7;
	s = open_source();
	assert_int_equal(read_all(s), 1);
	s->ops->free(&s);
	serve_hang_up(&server);
	server.vanished_uid = 0;
	server.nil_uid = 3;
	s = open_source();
	assert_int_equal(read_all(s), 1);
	s->ops->free(&s);
}

static void a_listing_that_lacks_messages_is_told_and_not_remembered(void **state)
{
	struct item_source *s;

	(void)state;
	some_mail();
	server.hides_last = true;
	s = open_source();
	assert_int_equal(read_all(s), 0);
	assert_int_equal(reports, 1);
	s->ops->free(&s);
}

static void large_messages_come_in_pieces(void **state)
{
	size_t len = FETCH_WHOLE_MAX + FETCH_PIECE_BYTES + 12345;
	char *body = malloc(2 * len);
	struct item_source *s;

	(void)state;
	assert_non_null(body);
	for (size_t i = 0; i < 2 * len; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	serve_add(&server, 1, "", body, len);
	serve_add(&server, 2, "", body, FETCH_WHOLE_MAX + FETCH_PIECE_BYTES); /* ends with a whole piece */
	serve_add(&server, 3, "", "x", 1);
	s = open_source();
	assert_int_equal(read_all(s), 0);
	assert_true(server.fetches >= 8);
	s->ops->free(&s);
	/* And over a line that breaks. */
	serve_hang_up(&server);
	server.cut_every = MIB + MIB / 2;
	server.cuts_left = 3;
	s = open_source();
	assert_int_equal(read_all(s), 0);
	s->ops->free(&s);
	free(body);
}

static void a_folder_that_was_made_anew_gives_no_wrong_message(void **state)
{
	struct item_listing *l = NULL;
	struct buf cursor = BUF_EMPTY;
	struct carried got = { 0 };
	struct item_source *s;
	struct err e;

	(void)state;
	some_mail();
	s = open_source();
	assert_int_equal(s->ops->list(s, 0, SPAN_EMPTY, false, &l, &cursor, &e), ERR_OK);
	server.made_anew = 78;
	server.cut_every = 1;
	server.cuts_left = 1;
	assert_int_equal(fetch_one(s, l, 0, &got, &e), ERR_VANISHED);
	assert_int_equal(fetch_one(s, l, 1, &got, &e), ERR_VANISHED);
	s->ops->listing_free(&l);
	buf_release(&cursor);
	buf_release(&got.body);
	s->ops->free(&s);
}

static void a_wrong_password_is_told_as_such(void **state)
{
	struct imap_login login = login_of();
	struct item_source *s = NULL;
	struct err e;

	(void)state;
	login.password = SPAN_LIT("falsch");
	assert_int_equal(imap_source_open(&login, &s, &e), ERR_DENIED);
	assert_null(s);
	assert_null(strstr(e.text, "falsch"));
	assert_int_equal(server.logins, 1);
}

static void what_is_no_imap_server_is_told(void **state)
{
	struct imap_login login = login_of();
	struct item_source *s = NULL;
	struct err e;

	(void)state;
	server.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n";
	assert_true(imap_source_open(&login, &s, &e) != ERR_OK);
	serve_hang_up(&server);
	server.greeting = "220 mail ESMTP\r\n";
	assert_true(imap_source_open(&login, &s, &e) != ERR_OK);
	assert_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_come_byte_for_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_flags_and_dates_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_not_moved_is_not_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(odd_but_legal_answers_are_understood, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_connection_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_server_that_is_gone_is_not_waited_for_again_and_again, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(one_message_that_cannot_be_had_stops_no_other, setup, teardown),
		cmocka_unit_test_setup_teardown(a_listing_that_lacks_messages_is_told_and_not_remembered, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(large_messages_come_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_was_made_anew_gives_no_wrong_message, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_password_is_told_as_such, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_imap_server_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
