#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "cli/place.h"
#include "item/item.h"

static void check_parse(const char *text, const char *snapshot, const char *collection, const char *key)
{
	struct place p = PLACE_EMPTY;
	struct err e = { 0 };

	if (place_parse(text, &p, &e) != ERR_OK)
		fail_msg("%s: %s", text, e.text);
	assert_string_equal((const char *)p.snapshot.ptr, snapshot);
	assert_int_equal(p.has_collection, collection != NULL);
	assert_int_equal(p.has_key, key != NULL);
	if (collection)
		assert_true(span_equal(buf_span(&p.collection), span_cstr(collection)));
	if (key)
		assert_true(span_equal(buf_span(&p.key), span_cstr(key)));
	place_release(&p);
}

static void check_refused(const char *text)
{
	struct place p = PLACE_EMPTY;
	struct err e = { 0 };

	if (place_parse(text, &p, &e) != ERR_USAGE)
		fail_msg("%s was not refused", text);
	assert_true(e.text[0] != 0);
	place_release(&p);
}

static void a_place_has_up_to_three_parts(void **state)
{
	(void)state;
	check_parse("latest", "latest", NULL, NULL);
	check_parse("latest~2", "latest~2", NULL, NULL);
	check_parse("1a2b3c4d:INBOX", "1a2b3c4d", "INBOX", NULL);
	check_parse("1a2b3c4d:INBOX#1700.M1P2.host", "1a2b3c4d", "INBOX", "1700.M1P2.host");
	check_parse("latest:a/b c#k", "latest", "a/b c", "k");
	check_parse("latest:", "latest", NULL, NULL);
}

static void an_account_may_stand_before_the_snapshot(void **state)
{
	(void)state;
	check_parse("ann@latest:INBOX", "ann@latest", "INBOX", NULL);
	check_parse("ann@example.org@latest:INBOX#a@b", "ann@example.org@latest", "INBOX", "a@b");
	check_parse("ann@2026-11-22T20:15:INBOX", "ann@2026-11-22T20:15", "INBOX", NULL);
	check_parse("ann@example.org@2026-11-22 20:15:03:INBOX", "ann@example.org@2026-11-22 20:15:03", "INBOX", NULL);
}

static void a_time_keeps_its_colons(void **state)
{
	(void)state;
	check_parse("2026-11-22", "2026-11-22", NULL, NULL);
	check_parse("2026-11-22:INBOX", "2026-11-22", "INBOX", NULL);
	check_parse("2026-11-22 20:15", "2026-11-22 20:15", NULL, NULL);
	check_parse("2026-11-22 20:15:INBOX", "2026-11-22 20:15", "INBOX", NULL);
	check_parse("2026-11-22T20:15:03", "2026-11-22T20:15:03", NULL, NULL);
	check_parse("2026-11-22T20:15:03:INBOX", "2026-11-22T20:15:03", "INBOX", NULL);
	check_parse("2026-11-22T20:15:03.123Z:INBOX", "2026-11-22T20:15:03.123Z", "INBOX", NULL);
	check_parse("2026-11-22T20:15:03+01:00:INBOX#k:1", "2026-11-22T20:15:03+01:00", "INBOX", "k:1");
	check_parse("2026-11-22 20:15:03 +01:00:INBOX", "2026-11-22 20:15:03 +01:00", "INBOX", NULL);
	check_parse("2026-11-22T20:15+0100:INBOX", "2026-11-22T20:15+0100", "INBOX", NULL);
	/* Two digits and more are no seconds. */
	check_parse("2026-11-22T20:15:2025", "2026-11-22T20:15", "2025", NULL);
	check_parse("2026-11-22T20:15:%303", "2026-11-22T20:15", "03", NULL);
}

static void percent_codes_are_read_in_collection_and_key(void **state)
{
	(void)state;
	check_parse("latest:a%23b%3ac%25#k%23%01", "latest", "a#b:c%", "k#\x01");
	check_parse("latest:a:b#c#d", "latest", "a:b", "c#d");
	check_refused("latest:a%2");
	check_refused("latest:a#%zz");
}

static void what_has_a_part_missing_is_refused(void **state)
{
	(void)state;
	check_refused("");
	check_refused(":INBOX");
	check_refused("latest:#key");
	check_refused("latest:INBOX#");
}

static void names_beyond_their_limits_are_refused(void **state)
{
	char text[COLLECTION_PATH_BYTES_MAX + 16] = "latest:";

	(void)state;
	memset(text + 7, 'a', COLLECTION_PATH_BYTES_MAX + 1);
	check_refused(text);
	text[7 + COLLECTION_PATH_BYTES_MAX] = 0;
	check_parse(text, "latest", text + 7, NULL);
	memcpy(text, "latest:a#", 9);
	memset(text + 9, 'k', ITEM_KEY_BYTES_MAX + 1);
	text[9 + ITEM_KEY_BYTES_MAX + 1] = 0;
	check_refused(text);
}

static uint64_t seed_of_run(void)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	print_message("MAILHOLD_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed * 2 + 1;
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct span random_name(uint64_t *seed, uint8_t *room, size_t max)
{
	size_t len = 1 + next(seed) % max;

	for (size_t i = 0; i < len; i++)
		room[i] = next(seed) % 3 ? (uint8_t)(next(seed) % 128) : (uint8_t)next(seed);
	return span_of(room, len);
}

static void what_is_printed_reads_back_the_same(void **state)
{
	uint64_t seed = seed_of_run();

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint8_t rooms[2][40];
		struct span collection = random_name(&seed, rooms[0], 40), key = random_name(&seed, rooms[1], 40);
		struct buf text = BUF_EMPTY;
		struct place p = PLACE_EMPTY;
		struct err e = { 0 };

		assert_int_equal(place_print(&text, "1a2b3c4d", collection, key, &e), ERR_OK);
		assert_int_equal(buf_append(&text, span_of("", 1), &e), ERR_OK);
		assert_int_equal(place_parse((const char *)text.ptr, &p, &e), ERR_OK);
		assert_true(span_equal(buf_span(&p.collection), collection));
		assert_true(span_equal(buf_span(&p.key), key));
		place_release(&p);
		buf_release(&text);
	}
}

static void what_is_printed_needs_no_quotes(void **state)
{
	struct buf text = BUF_EMPTY, quoted = BUF_EMPTY;
	struct err e;
	uint8_t all[255];

	(void)state;
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (uint8_t)(i + 1);
	assert_int_equal(place_print(&text, "1a2b3c4d", span_of(all, sizeof all), span_of(all, sizeof all), &e),
	                 ERR_OK);
	for (size_t i = 0; i < text.len; i++)
		assert_true(text.ptr[i] > ' ' && text.ptr[i] < 0x7f && !strchr("!\"$&'()*;<>?[\\]^`{|}~", text.ptr[i]));
	assert_int_equal(shell_quote(&quoted, buf_span(&text), &e), ERR_OK);
	assert_true(span_equal(buf_span(&text), buf_span(&quoted)));
	buf_release(&text);
	buf_release(&quoted);
}

static void a_shell_reads_quoted_text_as_one_word(void **state)
{
	static const char *const cases[][2] = { { "/home/ann/Maildir", "/home/ann/Maildir" },
		                                { "/home/ann/my mail", "'/home/ann/my mail'" },
		                                { "it's", "'it'\\''s'" },
		                                { "$(reboot)", "'$(reboot)'" },
		                                { "#x", "'#x'" },
		                                { "", "''" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = BUF_EMPTY;
		struct err e;

		assert_int_equal(shell_quote(&out, span_cstr(cases[i][0]), &e), ERR_OK);
		assert_true(span_equal(buf_span(&out), span_cstr(cases[i][1])));
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_has_up_to_three_parts),
		cmocka_unit_test(an_account_may_stand_before_the_snapshot),
		cmocka_unit_test(a_time_keeps_its_colons),
		cmocka_unit_test(percent_codes_are_read_in_collection_and_key),
		cmocka_unit_test(what_has_a_part_missing_is_refused),
		cmocka_unit_test(names_beyond_their_limits_are_refused),
		cmocka_unit_test(what_is_printed_reads_back_the_same),
		cmocka_unit_test(what_is_printed_needs_no_quotes),
		cmocka_unit_test(a_shell_reads_quoted_text_as_one_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
