#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/hash.h"
#include "connector/files/mbox_split.h"
#include "base/buf.h"

static enum err_code read_span(void *ctx, uint64_t offset, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	struct span left = span_skip(*(struct span *)ctx, (size_t)offset);

	(void)e;
	*got = left.len < len ? left.len : len;
	if (*got)
		memcpy(dst, left.ptr, *got);
	return ERR_OK;
}

struct split {
	struct span file;
	uint64_t at;
	size_t count;
	struct mbox_message got[64];
};

/* Each message must begin where the last one ended, and its hash must be that of its bytes. */
static enum err_code check_message(void *ctx, const struct mbox_message *m, struct err *e)
{
	struct split *s = ctx;
	uint8_t hash[16];

	(void)e;
	assert_true(m->offset == s->at);
	hash128(span_of(s->file.ptr + m->offset, m->from_bytes + m->body_bytes), hash);
	assert_memory_equal(hash, m->hash, 16);
	s->at += m->from_bytes + m->body_bytes + m->tail_bytes;
	assert_true(s->at <= s->file.len);
	if (s->count < ARRAY_LEN(s->got))
		s->got[s->count] = *m;
	s->count++;
	return ERR_OK;
}

static struct split split(struct span file)
{
	struct split s = { .file = file };
	struct err e = { 0 };

	assert_int_equal(mbox_split(read_span, &file, check_message, &s, &e), ERR_OK);
	assert_true(s.at == file.len);
	return s;
}

#define DATED "From a@b Sat Jan  3 01:05:34 1996\n"

static void an_empty_file_is_an_mbox_without_messages(void **state)
{
	(void)state;
	assert_int_equal(split(SPAN_EMPTY).count, 0);
}

static void what_does_not_begin_with_from_is_refused(void **state)
{
	struct span file = SPAN_LIT("Subject: no mbox\n\nFrom a 01:02\n");
	struct split s = { .file = file };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(mbox_split(read_span, &file, check_message, &s, &e), ERR_UNSUPPORTED);
}

static void messages_are_parted_at_from_lines(void **state)
{
	struct split s = split(SPAN_LIT(DATED "A: 1\n\none\n\n" DATED "B: 2\n\n>From two\n"));

	(void)state;
	assert_int_equal(s.count, 2);
	assert_int_equal(s.got[0].tail_bytes, 1);
	assert_int_equal(s.got[0].body_bytes, 10);
	assert_int_equal(s.got[1].tail_bytes, 0);
}

static void from_in_the_text_is_no_message(void **state)
{
	(void)state;
	assert_int_equal(split(SPAN_LIT(DATED "A: 1\n\nFrom here on\n\nFrom there on\n")).count, 1);
	assert_int_equal(split(SPAN_LIT(DATED "A: 1\n\nyou wrote\nFrom 10:30 on\n")).count, 1);
}

static void a_whole_date_needs_no_empty_line(void **state)
{
	(void)state;
	assert_int_equal(split(SPAN_LIT(DATED "A: 1\n\none\n" DATED "B: 2\n\ntwo\n")).count, 2);
	assert_int_equal(split(SPAN_LIT("From a Sat Jan  3 01:05 MET 1996\n" DATED)).count, 2);
}

static void crlf_tails_have_two_bytes(void **state)
{
	struct split s = split(SPAN_LIT("From a 1:05\r\nA: 1\r\n\r\none\r\n\r\nFrom b 1:06\r\n\r\n"));

	(void)state;
	assert_int_equal(s.count, 2);
	assert_int_equal(s.got[0].tail_bytes, 2);
	assert_int_equal(s.got[1].tail_bytes, 2);
	assert_int_equal(s.got[1].body_bytes, 0);
}

static void a_content_length_that_fits_protects_the_text(void **state)
{
	(void)state;
	assert_int_equal(split(SPAN_LIT(DATED "Content-Length: 37\n\n\n\n" DATED "\n" DATED "B: 2\n\nx\n")).count, 2);
	/* One that leads nowhere is ignored. */
	assert_int_equal(split(SPAN_LIT(DATED "Content-Length: 35\n\n\n\n" DATED "\n" DATED "B: 2\n\nx\n")).count, 3);
	assert_int_equal(split(SPAN_LIT(DATED "Content-Length: 99999999999999999999\n\nx\n\n" DATED)).count, 2);
}

static void a_first_line_too_long_for_one_is_text(void **state)
{
	static uint8_t file[5000];
	struct split s;

	(void)state;
	memset(file, 'x', sizeof file);
	memcpy(file, "From ", 5);
	s = split(span_of(file, sizeof file));
	assert_int_equal(s.count, 1);
	assert_int_equal(s.got[0].from_bytes, 0);
}

static void messages_larger_than_the_window_are_whole(void **state)
{
	size_t big = 3 * MIB + 17, first = strlen(DATED);
	uint8_t *file = malloc(big);
	struct split s;

	(void)state;
	for (size_t i = 0; i < big; i++)
		file[i] = i % 71 == 70 ? '\n' : (uint8_t)('a' + i % 26);
	memcpy(file, DATED, first);
	memcpy(file + 2 * MIB, "\n\n" DATED, first + 2);
	memcpy(file + MIB - 3, "\n\n" DATED, first + 2); /* across the window's edge */
	s = split(span_of(file, big));
	assert_int_equal(s.count, 3);
	assert_true(s.got[2].offset == 2 * MIB + 2);
	free(file);
}

/* Files put together from the pieces that matter, in any order. */
static void any_file_is_the_sum_of_its_messages(void **state)
{
	static const char *const pieces[] = {
		DATED,
		"From x 1:02\n",
		"From \n",
		"\n",
		"\r\n",
		"\n\n",
		">From a\n",
		">>From b 1:02\n",
		"Content-Length: 5\n",
		"content-length: 36\r\n",
		"text",
		"Fro",
		"From ",
		"From a Sat Jan  3 01:05:34 1996\r\n",
		"line\n",
		"\r",
		"\0",
	};
	const char *given = getenv("MAILHOLD_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	(void)state;
	printf("seed %u (MAILHOLD_TEST_SEED repeats it)\n", seed);
	srand(seed);
	for (int round = 0; round < 20000; round++) {
		struct buf file = BUF_EMPTY;
		struct err e = { 0 };

		assert_int_equal(buf_append(&file, SPAN_LIT("From "), &e), ERR_OK);
		for (int i = rand() % 40; i > 0; i--) {
			const char *piece = pieces[(size_t)rand() % ARRAY_LEN(pieces)];

			assert_int_equal(buf_append(&file, span_of(piece, *piece ? strlen(piece) : 1), &e), ERR_OK);
			if (rand() % 200 == 0) {
				uint8_t *at;

				assert_int_equal(buf_extend(&file, (size_t)rand() % (300 * KIB), &at, &e), ERR_OK);
				memset(at, 'y', (size_t)(file.ptr + file.len - at));
			}
		}
		split(buf_span(&file));
		buf_release(&file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_is_an_mbox_without_messages),
		cmocka_unit_test(what_does_not_begin_with_from_is_refused),
		cmocka_unit_test(messages_are_parted_at_from_lines),
		cmocka_unit_test(from_in_the_text_is_no_message),
		cmocka_unit_test(a_whole_date_needs_no_empty_line),
		cmocka_unit_test(crlf_tails_have_two_bytes),
		cmocka_unit_test(a_content_length_that_fits_protects_the_text),
		cmocka_unit_test(a_first_line_too_long_for_one_is_text),
		cmocka_unit_test(messages_larger_than_the_window_are_whole),
		cmocka_unit_test(any_file_is_the_sum_of_its_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
