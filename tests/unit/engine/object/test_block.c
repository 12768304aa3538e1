#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/mem.h"
#include "engine/object/block.h"
#include "engine/object/block_internal.h"

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

struct world {
	struct keys *keys;
	struct block_codec *codec;
	struct seal_writer *writer;
	struct seal_id seal;
	struct buf wrapped;
};

static int open_world(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct err e;

	if (!w || crypto_start(&e) || keys_new(&w->keys, &e) || block_codec_open(3, &w->codec, &e) ||
	    seal_writer_open(w->keys, SCOPE_CONTENT, &w->writer, &w->wrapped, &e))
		return -1;
	w->seal = seal_writer_id(w->writer);
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;

	seal_writer_free(&w->writer);
	block_codec_free(&w->codec);
	keys_free(&w->keys);
	buf_release(&w->wrapped);
	free(w);
	return 0;
}

/* A chunk of LEN bytes: text-like, or noise. */
static void make_bytes(uint8_t *to, size_t len, bool noise)
{
	for (size_t i = 0; i < len; i++)
		to[i] = noise ? (uint8_t)(next_random() >> 24) : (uint8_t)("Received: from mx "[next_random() % 18]);
}

static void add_chunk(struct world *w, struct block_draft *d, struct span plain)
{
	struct chunk_id id;
	struct err e;

	keys_chunk_id(w->keys, SCOPE_CONTENT, plain, &id);
	assert_int_equal(block_draft_add(d, &id, plain, &e), ERR_OK);
}

static void make_draft(struct world *w, struct block_draft *d, uint32_t chunks, size_t len_max, bool noise)
{
	uint8_t *bytes = malloc(len_max + 1);

	block_draft_init(d, CLASS_TEXT);
	for (uint32_t i = 0; i < chunks; i++) {
		size_t len = next_random() % (len_max + 1);

		make_bytes(bytes, len, noise);
		add_chunk(w, d, span_of(bytes, len));
	}
	free(bytes);
}

static void seal(struct world *w, const struct block_draft *d, struct block_info *info, struct buf *sealed)
{
	struct err e;

	*info = (struct block_info){ 0 };
	assert_int_equal(
	        block_seal(w->codec, d, w->writer, seal_writer_next(w->writer), keys_repo(w->keys), info, sealed, &e),
	        ERR_OK);
}

static enum err_code open_it(struct world *w, const struct block_info *info, struct span sealed, struct block *out)
{
	struct err e;

	return block_open(w->codec, info, seal_writer_reader(w->writer), &w->seal, keys_repo(w->keys), sealed, out, &e);
}

static void assert_same(const struct block_draft *d, const struct block *b)
{
	size_t at = 0;

	assert_int_equal(b->chunk_count, block_draft_count(d));
	for (uint32_t i = 0; i < b->chunk_count; i++) {
		uint32_t len;

		memcpy(&len, d->lengths.ptr + i * sizeof len, sizeof len);
		assert_true(span_equal(block_chunk(b, i), span_of(d->bytes.ptr + at, len)));
		at += len;
	}
	assert_int_equal(at, d->bytes.len);
	assert_int_equal(block_chunk(b, b->chunk_count).len, 0);
}

static void what_was_sealed_opens_to_the_same_chunks(void **state)
{
	struct world *w = *state;

	for (int round = 0; round < 60; round++) {
		struct buf sealed = BUF_EMPTY;
		struct block_draft d;
		struct block_info info;
		struct block b;

		make_draft(w, &d, 1 + (uint32_t)(next_random() % 300), (size_t)1 << next_random() % 14, round % 3 == 0);
		seal(w, &d, &info, &sealed);
		assert_int_equal(info.sealed_bytes, sealed.len);
		assert_int_equal(open_it(w, &info, buf_span(&sealed), &b), ERR_OK);
		assert_same(&d, &b);
		block_release(&b);
		block_draft_release(&d);
		buf_release(&sealed);
	}
}

static void noise_is_stored_and_text_is_compressed(void **state)
{
	struct world *w = *state;

	for (int noise = 0; noise < 2; noise++) {
		struct buf sealed = BUF_EMPTY;
		struct block_draft d;
		struct block_info info;

		make_draft(w, &d, 20, 60000, noise);
		seal(w, &d, &info, &sealed);
		assert_int_equal(info.codec, noise ? CODEC_STORED : CODEC_ZSTD);
		assert_true(noise ? sealed.len == info.raw_bytes + SEAL_OVERHEAD : sealed.len < info.raw_bytes);
		block_draft_release(&d);
		buf_release(&sealed);
	}
}

static void every_flipped_byte_is_refused(void **state)
{
	struct world *w = *state;
	struct buf sealed = BUF_EMPTY;
	struct block_draft d;
	struct block_info info;
	struct block b;

	make_draft(w, &d, 5, 300, false);
	seal(w, &d, &info, &sealed);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.ptr[i] ^= 1;
		assert_int_equal(open_it(w, &info, buf_span(&sealed), &b), ERR_CORRUPT);
		sealed.ptr[i] ^= 1;
	}
	for (size_t len = 0; len < sealed.len; len++)
		assert_int_equal(open_it(w, &info, span_of(sealed.ptr, len), &b), ERR_CORRUPT);
	block_draft_release(&d);
	buf_release(&sealed);
}

static void every_false_claim_is_refused(void **state)
{
	struct world *w = *state;
	struct buf sealed = BUF_EMPTY;
	struct block_draft d;
	struct block_info info, lie;
	struct repo_id other = { { 1 } };
	struct block b;
	struct err e;

	make_draft(w, &d, 9, 900, false);
	seal(w, &d, &info, &sealed);
	lie = info, lie.counter++;
	assert_int_equal(open_it(w, &lie, buf_span(&sealed), &b), ERR_CORRUPT);
	lie = info, lie.class = CLASS_BINARY;
	assert_int_equal(open_it(w, &lie, buf_span(&sealed), &b), ERR_CORRUPT);
	lie = info, lie.raw_bytes++;
	assert_int_equal(open_it(w, &lie, buf_span(&sealed), &b), ERR_CORRUPT);
	lie = info, lie.raw_bytes = UINT32_MAX;
	assert_int_equal(open_it(w, &lie, buf_span(&sealed), &b), ERR_CORRUPT);
	lie = info, lie.chunk_count--;
	assert_int_equal(open_it(w, &lie, buf_span(&sealed), &b), ERR_CORRUPT);
	lie = info, lie.chunk_count = UINT32_MAX;
	assert_int_equal(open_it(w, &lie, buf_span(&sealed), &b), ERR_CORRUPT);
	lie = info, lie.codec = 2;
	assert_int_equal(open_it(w, &lie, buf_span(&sealed), &b), ERR_UNSUPPORTED);
	lie = info, lie.codec = CODEC_STORED;
	assert_int_equal(open_it(w, &lie, buf_span(&sealed), &b), ERR_CORRUPT);
	assert_int_equal(
	        block_open(w->codec, &info, seal_writer_reader(w->writer), &w->seal, other, buf_span(&sealed), &b, &e),
	        ERR_CORRUPT);
	block_draft_release(&d);
	buf_release(&sealed);
}

/* One frame of LEN zeros under the given parameters, appended to OUT. */
static void make_frame(struct buf *out, size_t len, bool with_size, int window_log)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	uint8_t *zeros = calloc(1, len), *at;
	ZSTD_outBuffer to;
	ZSTD_inBuffer from = { zeros, len, 0 };
	struct err e;

	assert_int_equal(buf_extend(out, ZSTD_compressBound(len), &at, &e), ERR_OK);
	to = (ZSTD_outBuffer){ at, ZSTD_compressBound(len), 0 };
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, with_size);
	if (window_log) {
		ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
		/* Fed piece by piece and of unknown size, so that the window is not cut to the content. */
		assert_false(ZSTD_isError(ZSTD_compressStream2(c, &to, &from, ZSTD_e_continue)));
	}
	assert_int_equal(ZSTD_compressStream2(c, &to, &from, ZSTD_e_end), 0);
	out->len -= to.size - to.pos;
	ZSTD_freeCCtx(c);
	free(zeros);
}

static void bombs_and_other_frames_are_refused(void **state)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	uint8_t *dst = malloc(BLOCK_RAW_MAX);
	struct buf frame = BUF_EMPTY;
	struct err e;

	(void)state;
	make_frame(&frame, 100000, true, 0);
	assert_int_equal(block_unpack(d, buf_span(&frame), dst, 100000, &e), ERR_OK);
	assert_int_equal(block_unpack(d, buf_span(&frame), dst, 99999, &e), ERR_CORRUPT);
	assert_int_equal(block_unpack(d, buf_span(&frame), dst, 100001, &e), ERR_CORRUPT);
	assert_int_equal(buf_append(&frame, SPAN_LIT("x"), &e), ERR_OK); /* bytes behind the frame */
	assert_int_equal(block_unpack(d, buf_span(&frame), dst, 100000, &e), ERR_CORRUPT);
	buf_clear(&frame);
	make_frame(&frame, 4 * BLOCK_RAW_MAX, true, 0); /* 32 MiB out of a few bytes */
	assert_int_equal(block_unpack(d, buf_span(&frame), dst, 4 * BLOCK_RAW_MAX, &e), ERR_CORRUPT);
	buf_clear(&frame);
	make_frame(&frame, 1000, false, 0);
	assert_int_equal(block_unpack(d, buf_span(&frame), dst, 1000, &e), ERR_CORRUPT);
	buf_clear(&frame);
	make_frame(&frame, 1000, false, 24);
	assert_int_equal(block_unpack(d, buf_span(&frame), dst, 1000, &e), ERR_CORRUPT);
	assert_int_equal(block_unpack(d, SPAN_EMPTY, dst, 0, &e), ERR_CORRUPT);
	assert_int_equal(block_unpack(d, SPAN_LIT("\x50\x2a\x4d\x18\x00\x00\x00\x00"), dst, 0, &e), ERR_CORRUPT);
	buf_release(&frame);
	free(dst);
	ZSTD_freeDCtx(d);
}

static void a_window_above_8_mib_is_refused_even_with_the_right_size(void **state)
{
	/* Magic, descriptor: 4-byte size, no single segment; window 2^24; size 3; last raw block of 3 bytes. */
	static const uint8_t wide[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x80, 14 << 3, 3, 0, 0, 0, 0x19, 0, 0, 'a', 'b', 'c' };
	uint8_t narrow[sizeof wide], dst[3];
	ZSTD_DCtx *d = ZSTD_createDCtx();
	struct err e;

	(void)state;
	memcpy(narrow, wide, sizeof wide);
	narrow[5] = 13 << 3;
	assert_int_equal(block_unpack(d, span_of(wide, sizeof wide), dst, 3, &e), ERR_CORRUPT);
	assert_int_equal(block_unpack(d, span_of(narrow, sizeof narrow), dst, 3, &e), ERR_OK);
	assert_memory_equal(dst, "abc", 3);
	narrow[5] = 13 << 3 | 1;
	assert_int_equal(block_unpack(d, span_of(narrow, sizeof narrow), dst, 3, &e), ERR_CORRUPT);
	ZSTD_freeDCtx(d);
}

static void a_table_that_does_not_add_up_is_refused(void **state)
{
	static const uint8_t good[] = { 2, 0, 0, 0, 1, 2, 'a', 'b', 'c' };
	uint8_t bad[sizeof good];
	uint32_t starts[4];
	struct err e;

	(void)state;
	assert_int_equal(block_table_decode(span_of(good, sizeof good), 2, starts, &e), ERR_OK);
	assert_int_equal(starts[0], 6);
	assert_int_equal(starts[1], 7);
	assert_int_equal(starts[2], 9);
	for (size_t len = 0; len < sizeof good; len++)
		assert_int_equal(block_table_decode(span_of(good, len), 2, starts, &e), ERR_CORRUPT);
	for (size_t i = 0; i < 6; i++) {
		memcpy(bad, good, sizeof good);
		bad[i]++;
		assert_int_equal(block_table_decode(span_of(bad, sizeof bad), 2, starts, &e), ERR_CORRUPT);
	}
	assert_int_equal(block_table_decode(span_of(good, sizeof good), 1, starts, &e), ERR_CORRUPT);
}

static void a_draft_refuses_what_does_not_fit_and_stays_good(void **state)
{
	struct world *w = *state;
	uint8_t *big = calloc(1, BLOCK_RAW_MAX);
	struct buf sealed = BUF_EMPTY;
	struct chunk_id id = { { 0 } };
	struct block_draft d;
	struct block_info info;
	struct block b;
	struct err e;

	block_draft_init(&d, CLASS_TEXT);
	assert_int_equal(block_draft_add(&d, &id, span_of(big, BLOCK_RAW_MAX), &e), ERR_LIMIT);
	assert_int_equal(block_draft_count(&d), 0);
	assert_int_equal(block_draft_add(&d, &id, span_of(big, BLOCK_RAW_MAX - 9), &e), ERR_OK);
	assert_int_equal(block_draft_add(&d, &id, span_of(big, 1), &e), ERR_LIMIT);
	assert_int_equal(block_draft_count(&d), 1);
	seal(w, &d, &info, &sealed);
	assert_int_equal(open_it(w, &info, buf_span(&sealed), &b), ERR_OK);
	assert_same(&d, &b);
	block_release(&b);
	block_draft_clear(&d);
	assert_int_equal(block_seal(w->codec, &d, w->writer, 1, keys_repo(w->keys), &info, &sealed, &e), ERR_STATE);
	for (uint32_t i = 0; i < BLOCK_CHUNKS_MAX; i++)
		assert_int_equal(block_draft_add(&d, &id, SPAN_EMPTY, &e), ERR_OK);
	assert_int_equal(block_draft_add(&d, &id, SPAN_EMPTY, &e), ERR_LIMIT);
	block_draft_release(&d);
	buf_release(&sealed);
	free(big);
}

static void a_block_that_fails_for_want_of_memory_leaves_the_output_alone(void **state)
{
	struct world *w = *state;
	struct block_draft d;
	struct block_info info;
	struct block b;
	struct err e;

	make_draft(w, &d, 50, 3000, false);
	for (uint64_t nth = 1; nth < 40; nth++) {
		struct block_codec *c = NULL;
		struct buf sealed = BUF_EMPTY;
		uint64_t counter = seal_writer_next(w->writer);
		enum err_code rc;

		mem_fail_nth(nth);
		rc = block_codec_open(3, &c, &e);
		if (!rc)
			rc = block_seal(c, &d, w->writer, counter, keys_repo(w->keys), &info, &sealed, &e);
		if (!rc) {
			rc = block_open(c, &info, seal_writer_reader(w->writer), &w->seal, keys_repo(w->keys),
			                buf_span(&sealed), &b, &e);
			if (!rc)
				block_release(&b);
		} else {
			assert_int_equal(sealed.len, 0);
		}
		mem_fail_nth(0);
		assert_true(rc == ERR_OK || rc == ERR_NO_MEMORY);
		block_codec_free(&c);
		buf_release(&sealed);
	}
	block_draft_release(&d);
}

static void every_class_has_scope_name_and_target(void **state)
{
	(void)state;
	for (int c = 1; c < CLASS_END; c++) {
		enum scope scope = block_class_scope((enum block_class)c);

		assert_true(scope >= SCOPE_CONTENT && scope < SCOPE_END);
		assert_non_null(block_class_name((enum block_class)c));
		assert_int_equal(block_class_target((enum block_class)c), scope == SCOPE_CONTENT ? MIB : 64 * KIB);
	}
}

int main(void)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sealed_opens_to_the_same_chunks),
		cmocka_unit_test(noise_is_stored_and_text_is_compressed),
		cmocka_unit_test(every_flipped_byte_is_refused),
		cmocka_unit_test(every_false_claim_is_refused),
		cmocka_unit_test(bombs_and_other_frames_are_refused),
		cmocka_unit_test(a_window_above_8_mib_is_refused_even_with_the_right_size),
		cmocka_unit_test(a_table_that_does_not_add_up_is_refused),
		cmocka_unit_test(a_draft_refuses_what_does_not_fit_and_stays_good),
		cmocka_unit_test(a_block_that_fails_for_want_of_memory_leaves_the_output_alone),
		cmocka_unit_test(every_class_has_scope_name_and_target),
	};

	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u | 1;
	printf("seed %llu (MAILHOLD_TEST_SEED repeats it)\n", (unsigned long long)random_state);
	return cmocka_run_group_tests(tests, open_world, close_world);
}
