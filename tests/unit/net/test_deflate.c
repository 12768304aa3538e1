/* Compressed connections: two ends talk through pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/deflate.h"

/* One direction: what was written and not read yet. */
struct pipe {
	struct buf bytes;
	size_t at, piece;
};

static enum err_code pipe_read(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e)
{
	struct pipe *p = ctx;
	size_t n = p->bytes.len - p->at;

	(void)e;
	n = n < len ? n : len;
	*got = n < p->piece ? n : p->piece;
	if (*got)
		memcpy(dst, p->bytes.ptr + p->at, *got);
	p->at += *got;
	return ERR_OK;
}

static enum err_code pipe_write(void *ctx, struct span bytes, struct err *e)
{
	return buf_append(&((struct pipe *)ctx)->bytes, bytes, e);
}

static uint32_t draw(uint32_t *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

static struct span text_of(uint32_t *seed, struct buf *out)
{
	struct err e;
	size_t words = draw(seed) >> 18;

	buf_clear(out);
	for (size_t i = 0; i < words; i++)
		assert_int_equal(buf_printf(out, &e, "%u ", draw(seed) >> (8 + i % 20)), ERR_OK);
	assert_int_equal(buf_printf(out, &e, "."), ERR_OK);
	return buf_span(out);
}

static void what_one_end_says_the_other_hears(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	uint32_t seed = given ? (uint32_t)strtoul(given, NULL, 10) : 5;
	struct pipe line = { .bytes = BUF_EMPTY, .piece = 1 };
	struct deflate *a = NULL, *b = NULL;
	struct buf said = BUF_EMPTY;
	struct err e;

	(void)state;
	print_message("seed %u\n", seed);
	assert_int_equal(deflate_open(SPAN_EMPTY, &a, &e), ERR_OK);
	assert_int_equal(deflate_open(SPAN_EMPTY, &b, &e), ERR_OK);
	for (int i = 0; i < 40; i++) {
		struct span text = text_of(&seed, &said);
		size_t heard = 0;

		line.piece = 1 + (draw(&seed) >> (i % 2 ? 30 : 16));
		assert_int_equal(deflate_write(a, pipe_write, &line, text, &e), ERR_OK);
		while (heard < text.len) {
			uint8_t part[3000];
			size_t got, room = 1 + draw(&seed) % sizeof part;

			assert_int_equal(deflate_read(b, pipe_read, &line, part, room, &got, &e), ERR_OK);
			assert_true(got > 0 && heard + got <= text.len);
			assert_memory_equal(part, text.ptr + heard, got);
			heard += got;
		}
	}
	deflate_free(&a);
	deflate_free(&b);
	buf_release(&said);
	buf_release(&line.bytes);
}

static void what_came_early_counts(void **state)
{
	struct pipe line = { .bytes = BUF_EMPTY, .piece = SIZE_MAX }, none = { .bytes = BUF_EMPTY, .piece = 1 };
	struct deflate *a = NULL, *b = NULL;
	uint8_t part[16];
	size_t got;
	struct err e;

	(void)state;
	assert_int_equal(deflate_open(SPAN_EMPTY, &a, &e), ERR_OK);
	assert_int_equal(deflate_write(a, pipe_write, &line, SPAN_LIT("hello"), &e), ERR_OK);
	assert_int_equal(deflate_open(buf_span(&line.bytes), &b, &e), ERR_OK);
	assert_int_equal(deflate_read(b, pipe_read, &none, part, sizeof part, &got, &e), ERR_OK);
	assert_int_equal(got, 5);
	assert_memory_equal(part, "hello", 5);
	assert_int_equal(deflate_read(b, pipe_read, &none, part, sizeof part, &got, &e), ERR_OK);
	assert_int_equal(got, 0); /* closed */
	deflate_free(&a);
	deflate_free(&b);
	buf_release(&line.bytes);
}

static void what_is_not_compressed_is_told(void **state)
{
	struct pipe line = { .bytes = BUF_EMPTY, .piece = SIZE_MAX };
	struct deflate *d = NULL;
	uint8_t part[16];
	size_t got;
	struct err e;

	(void)state;
	assert_int_equal(buf_append(&line.bytes, SPAN_LIT("\xff\xff* OK not compressed"), &e), ERR_OK);
	assert_int_equal(deflate_open(SPAN_EMPTY, &d, &e), ERR_OK);
	assert_int_equal(deflate_read(d, pipe_read, &line, part, sizeof part, &got, &e), ERR_CORRUPT);
	deflate_free(&d);
	buf_release(&line.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_one_end_says_the_other_hears),
		cmocka_unit_test(what_came_early_counts),
		cmocka_unit_test(what_is_not_compressed_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
