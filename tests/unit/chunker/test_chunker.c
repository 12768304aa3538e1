#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "chunker/base64.h"
#include "chunker/chunker.h"
#include "chunker/cut.h"

/* ---- random ---- */

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dull;
}

static size_t below(size_t n)
{
	return (size_t)(next_random() >> 33) % n;
}

static void seed_from_environment(void)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");

	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	if (!random_state)
		random_state = 1;
	printf("seed %llu (MAILHOLD_TEST_SEED repeats it)\n", (unsigned long long)random_state);
}

/* ---- what a split gives ---- */

#define HELD_MAX 4096

struct split {
	struct buf bytes; /* all chunks behind each other */
	struct buf recipe;
	size_t ends[HELD_MAX];
	enum chunk_kind kinds[HELD_MAX];
	size_t count;
};

static struct chunker *chunker;
static struct err err;

static enum err_code keep(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e)
{
	struct split *s = ctx;

	assert_true(bytes.len >= 1 && bytes.len <= CHUNKER_CHUNK_BYTES_MAX);
	assert_true(s->count < HELD_MAX);
	s->kinds[s->count] = kind;
	s->ends[s->count++] = s->bytes.len + bytes.len;
	return buf_append(&s->bytes, bytes, e);
}

static struct span chunk_at(const struct split *s, size_t i)
{
	size_t from = i ? s->ends[i - 1] : 0;

	return span_of(s->bytes.ptr + from, s->ends[i] - from);
}

/* Feeds X in pieces of 1..PIECE bytes; all at once when PIECE is 0. */
static void split_fed(struct span x, size_t piece, struct split *s)
{
	memset(s, 0, sizeof *s);
	s->bytes.max = s->recipe.max = 64 * MIB;
	chunker_begin(chunker, keep, s);
	while (x.len) {
		size_t n = piece ? num_min(x.len, 1 + below(piece)) : x.len;
		uint8_t *copy = malloc(n); /* exact, so that the sanitizer sees one byte too far; gone after the call */

		memcpy(copy, x.ptr, n);
		assert_int_equal(chunker_feed(chunker, span_of(copy, n), &err), ERR_OK);
		free(copy);
		x = span_skip(x, n);
	}
	assert_int_equal(chunker_finish(chunker, &s->recipe, &err), ERR_OK);
}

static void split_release(struct split *s)
{
	buf_release(&s->bytes);
	buf_release(&s->recipe);
}

struct joined {
	const struct split *split;
	struct buf out;
};

static enum err_code give(void *ctx, uint32_t i, struct span *bytes, struct err *e)
{
	struct joined *j = ctx;

	if (i >= j->split->count)
		return err_set(e, ERR_CORRUPT, "no chunk");
	*bytes = chunk_at(j->split, i);
	return ERR_OK;
}

static enum err_code take(void *ctx, struct span bytes, struct err *e)
{
	return buf_append(&((struct joined *)ctx)->out, bytes, e);
}

static void check_joins(const struct split *s, struct span x)
{
	struct joined j = { s, BUF_EMPTY };
	struct recipe_info info;

	if (recipe_check(buf_span(&s->recipe), &info, &err))
		fail_msg("%s", err.text);
	assert_int_equal(info.total_bytes, x.len);
	assert_int_equal(info.chunk_count, s->count);
	if (recipe_join(buf_span(&s->recipe), give, take, &j, &err))
		fail_msg("%s", err.text);
	assert_true(span_equal(buf_span(&j.out), x));
	buf_release(&j.out);
}

static void check_round_trip(struct span x)
{
	static struct split a, b;

	split_fed(x, 0, &a);
	check_joins(&a, x);
	split_fed(x, 1 + below(below(2) ? 100 : 40000), &b);
	assert_true(span_equal(buf_span(&a.recipe), buf_span(&b.recipe)));
	assert_true(span_equal(buf_span(&a.bytes), buf_span(&b.bytes)));
	assert_int_equal(a.count, b.count);
	assert_memory_equal(a.ends, b.ends, a.count * sizeof a.ends[0]);
	assert_memory_equal(a.kinds, b.kinds, a.count * sizeof a.kinds[0]);
	split_release(&a);
	split_release(&b);
}

/* ---- making items ---- */

static void put(struct buf *b, const char *s)
{
	assert_int_equal(buf_append(b, span_cstr(s), &err), ERR_OK);
}

static void put_bytes(struct buf *b, struct span s)
{
	assert_int_equal(buf_append(b, s, &err), ERR_OK);
}

/* Base64 of BYTES with FIRST characters in the first line, LINE in the others (0: no breaks), EOL with its prefix. */
static void put_base64(struct buf *b, struct span bytes, size_t first, size_t line, const char *eol)
{
	uint8_t *chars = malloc(bytes.len / 3 * 4 + 8);
	struct span left = { chars, base64_encode(bytes.ptr, bytes.len, chars) };

	put_bytes(b, span_first(left, line ? first : left.len));
	for (left = span_skip(left, line ? first : left.len); left.len; left = span_skip(left, line)) {
		put(b, eol);
		put_bytes(b, span_first(left, line));
	}
	free(chars);
}

static struct span noise(uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(next_random() >> 40);
	return span_of(to, n);
}

static void put_text(struct buf *b, size_t bytes, const char *eol)
{
	static const char *const words[] = {
		"the",  "mailing", "of", "a:b",  "list,", "=?utf-8?",          "--", "12345",
		"data", "PHOTO:",  "x",  "\xe4", "AAAA",  "longerwordwithout", "\t", "."
	};
	size_t start = b->len;

	while (b->len - start < bytes) {
		put(b, words[below(ARRAY_LEN(words))]);
		put(b, below(12) ? " " : eol);
	}
	put(b, eol);
}

static void put_random_part(struct buf *b)
{
	static uint8_t raw[1 << 20];
	static const size_t lines[] = { 76, 72, 64, 60, 75, 74, 73, 16, 998, 997, 20, 17 };
	static const char *const ends[] = { "\n", "\r\n", "\n ", "\r\n ", "\r\n\t", "\n\t" };
	const char *end = ends[below(6)];
	size_t n = below(10) ? below(5000) : below(20) ? below(50000) : below(700000);
	size_t line = below(10) ? lines[below(ARRAY_LEN(lines))] : 0;
	size_t first = below(2) ? line : 1 + below(998);

	switch (below(7)) {
	case 0:
		put_text(b, below(10) ? below(400) : below(60000), below(2) ? "\n" : "\r\n");
		break;
	case 1:
		put(b, "PHOTO;ENCODING=b:");
		put_base64(b, noise(raw, n), first, line, end);
		put(b, below(3) ? "\r\n" : "\n");
		break;
	case 2:
		put_bytes(b, noise(raw, below(3000)));
		break;
	case 3:
		put(b, "<img src=\"data:image/png;base64,");
		put_base64(b, noise(raw, n), 0, 0, "");
		put(b, "\" />");
		break;
	default:
		put_base64(b, noise(raw, n), first, line, end);
		put(b, below(3) ? below(2) ? "\n" : "\r\n" : "");
	}
	while (b->len && !below(3)) /* damage */
		b->ptr[b->len - 1 - below(num_min(b->len, 3000))] = (uint8_t) "=\n\r A:x\0-"[below(9)];
	if (b->len && !below(6))
		b->len -= below(num_min(b->len, 100));
}

static void joining_what_was_split_gives_the_same_bytes_however_it_was_fed(void **state)
{
	struct buf item = BUF_EMPTY;

	(void)state;
	for (int round = 0; round < 400; round++) {
		buf_clear(&item);
		if (below(2))
			put(&item, below(2) ? "From: a@b\nSubject: x\n\n" : "BEGIN:VCARD\r\nVERSION:3.0\r\n");
		for (size_t parts = below(12); parts > 0; parts--)
			put_random_part(&item);
		check_round_trip(buf_span(&item));
	}
	buf_release(&item);
}

static struct span decoded_of(struct span bytes, size_t line, const char *eol, struct split *s)
{
	struct buf item = BUF_EMPTY;

	put(&item, "From: a@b\r\n\r\n--x\r\n\r\n");
	put_base64(&item, bytes, line, line, eol);
	put(&item, line ? eol : "\n");
	put(&item, "--x--\r\n");
	split_fed(buf_span(&item), 0, s);
	check_joins(s, buf_span(&item));
	buf_release(&item);
	return buf_span(&s->bytes);
}

static void one_attachment_gives_the_same_chunks_however_its_lines_are_wrapped(void **state)
{
	static uint8_t raw[900001];
	static const size_t sizes[] = { 1024, 1500, 5000, 261000, 900001 };
	static struct split a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct span bytes = noise(raw, sizes[i]);
		static const size_t lines[] = { 76, 72, 64, 75, 0 };

		assert_true(span_equal(decoded_of(bytes, 76, "\n", &a), bytes));
		for (size_t k = 0; k < 10; k++) {
			decoded_of(bytes, lines[k / 2], k & 1 ? "\n" : "\r\n", &b);
			assert_int_equal(a.count, b.count);
			assert_memory_equal(a.ends, b.ends, a.count * sizeof a.ends[0]);
			assert_true(span_equal(buf_span(&a.bytes), buf_span(&b.bytes)));
			assert_int_equal(b.kinds[0], CHUNK_BINARY);
			split_release(&b);
		}
		split_release(&a);
	}
}

static void a_photo_in_a_folded_vcard_is_the_file_that_it_was(void **state)
{
	static uint8_t raw[3001];
	static const char *const ends[] = { "\r\n ", "\n ", "\n\t" };
	static struct split s;

	(void)state;
	for (size_t i = 0; i < 3 * 4; i++) {
		struct span bytes = noise(raw, 3001 - i);
		struct buf item = BUF_EMPTY;
		static const size_t first[] = { 58, 74, 3, 57 };

		put(&item, "BEGIN:VCARD\r\nFN:x\r\nPHOTO;ENCODING=b;TYPE=JPEG:");
		put_base64(&item, bytes, first[i / 3], 74, ends[i % 3]);
		put(&item, "\r\nEND:VCARD\r\n");
		split_fed(buf_span(&item), 0, &s);
		check_joins(&s, buf_span(&item));
		assert_int_equal(s.count, 1);
		assert_true(span_equal(buf_span(&s.bytes), bytes));
		split_release(&s);
		buf_release(&item);
	}
}

static void large_parts_are_cut_by_content_and_small_ones_are_not(void **state)
{
	static uint8_t raw[4 << 20];
	static struct split a, b;
	struct span bytes = noise(raw, sizeof raw);
	size_t same = 0;

	(void)state;
	decoded_of(span_first(bytes, 256 * KIB - 1), 76, "\n", &a);
	assert_int_equal(a.count, 1);
	split_release(&a);
	decoded_of(bytes, 76, "\n", &a);
	for (size_t i = 0; i + 1 < a.count; i++)
		assert_true(chunk_at(&a, i).len > CUT_MIN);
	assert_in_range(bytes.len / a.count, 64 * KIB, 128 * KIB);
	decoded_of(span_skip(bytes, 1000), 76, "\n", &b);
	for (size_t i = 0, k = 0; i < a.count && k < b.count;) {
		size_t from_a = a.ends[i], from_b = b.ends[k] + 1000;

		same += from_a == from_b;
		if (from_a <= from_b)
			i++;
		if (from_b <= from_a)
			k++;
	}
	/* The cuts meet again soon: after two or three chunks as a rule, so that half of them is beyond any bad luck. */
	assert_true(2 * same > a.count);
	split_release(&a);
	split_release(&b);
}

static void every_cut_and_flip_of_a_recipe_is_met_safely(void **state)
{
	struct buf item = BUF_EMPTY;
	static uint8_t raw[2000];
	static struct split s;
	struct recipe_info info;

	(void)state;
	put(&item, "A: b\n\n");
	put_base64(&item, noise(raw, 2000), 76, 76, "\n");
	put(&item, "\n--\n");
	put_base64(&item, noise(raw, 2000), 50, 74, "\r\n ");
	put_text(&item, 5000, "\n");
	split_fed(buf_span(&item), 0, &s);
	for (size_t n = 0; n < s.recipe.len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, s.recipe.ptr, n);
		assert_int_equal(recipe_check(span_of(cut, n), &info, &err), ERR_CORRUPT);
		free(cut);
	}
	for (size_t bit = 0; bit < 8 * s.recipe.len; bit++) {
		struct joined j = { &s, BUF_EMPTY };
		enum err_code rc;

		s.recipe.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rc = recipe_join(buf_span(&s.recipe), give, take, &j, &err);
		assert_true(rc == ERR_OK || rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED);
		if (!recipe_check(buf_span(&s.recipe), &info, &err))
			assert_true(j.out.len <= info.total_bytes && (rc || j.out.len == info.total_bytes));
		s.recipe.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
		buf_release(&j.out);
	}
	split_release(&s);
	buf_release(&item);
}

static void a_chunk_of_the_wrong_length_is_damage(void **state)
{
	struct buf item = BUF_EMPTY;
	static uint8_t raw[2000];
	static struct split s;

	(void)state;
	put_base64(&item, noise(raw, 2000), 76, 76, "\n");
	split_fed(buf_span(&item), 0, &s);
	assert_int_equal(s.count, 1);
	for (int delta = -1; delta <= 1; delta += 2) {
		struct joined j = { &s, BUF_EMPTY };

		put(&s.bytes, "x");
		s.ends[0] = (size_t)(2000 + delta);
		assert_int_equal(recipe_join(buf_span(&s.recipe), give, take, &j, &err), ERR_CORRUPT);
		buf_release(&j.out);
	}
	split_release(&s);
	buf_release(&item);
}

static enum err_code count_only(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e)
{
	(void)kind;
	(void)e;
	*(uint64_t *)ctx += bytes.len;
	return ERR_OK;
}

static enum err_code refuse(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e)
{
	(void)ctx;
	(void)kind;
	(void)bytes;
	return err_set(e, ERR_NO_SPACE, "full");
}

static void a_failed_emit_ends_the_item_and_the_next_begins_anew(void **state)
{
	static uint8_t raw[2000];
	struct buf item = BUF_EMPTY, recipe = BUF_EMPTY;
	enum err_code rc;

	(void)state;
	put_base64(&item, noise(raw, 2000), 76, 76, "\n");
	chunker_begin(chunker, refuse, NULL);
	rc = chunker_feed(chunker, buf_span(&item), &err);
	if (!rc)
		rc = chunker_finish(chunker, &recipe, &err);
	assert_int_equal(rc, ERR_NO_SPACE);
	assert_int_equal(chunker_finish(chunker, &recipe, &err), ERR_STATE);
	check_round_trip(buf_span(&item));
	buf_release(&item);
	buf_release(&recipe);
}

static void vector_and_plain_base64_agree_on_every_byte(void **state)
{
	static uint8_t chars[400], a[320], b[320];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t quads = below(90), n, m;

		for (size_t i = 0; i < 4 * quads; i++)
			chars[i] =
			        (uint8_t) "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[below(64)];
		if (quads && below(2))
			chars[below(4 * quads)] = (uint8_t)below(256);
		n = base64_decode(chars, quads, a);
		m = base64_decode_plain(chars, quads, b);
		assert_int_equal(n, m);
		assert_memory_equal(a, b, 3 * n);
	}
}

/* More runs than a recipe has operations: about 100 MB, fed from one block that ends with a whole run. */
static void more_runs_than_operations_end_in_one_text_part(void **state)
{
	struct buf block = BUF_EMPTY, recipe = BUF_EMPTY;
	static uint8_t raw[1026];
	struct recipe_info info;
	uint64_t sum = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		put_base64(&block, noise(raw, 1026), 684, 684, "\n");
		put(&block, "\n-\n");
	}
	chunker_begin(chunker, count_only, &sum);
	for (int i = 0; i < 350; i++)
		assert_int_equal(chunker_feed(chunker, buf_span(&block), &err), ERR_OK);
	assert_int_equal(chunker_finish(chunker, &recipe, &err), ERR_OK);
	assert_int_equal(recipe_check(buf_span(&recipe), &info, &err), ERR_OK);
	assert_int_equal(info.total_bytes, 350 * block.len);
	assert_in_range(info.chunk_count, 32766, 33500);
	assert_in_range(recipe.len, 1, CHUNKER_RECIPE_BYTES_MAX);
	buf_release(&recipe);
	buf_release(&block);
}

static void every_failed_allocation_is_told(void **state)
{
	struct buf item = BUF_EMPTY;
	static uint8_t raw[3000];
	bool failed = true;

	(void)state;
	put(&item, "A: b\n\n");
	put_base64(&item, noise(raw, sizeof raw), 76, 76, "\n");
	put_text(&item, 30000, "\n");
	for (uint64_t n = 1; failed; n++) {
		struct chunker_params params = { { 0 } };
		struct chunker *c = NULL;
		struct buf recipe = BUF_EMPTY;
		uint64_t sum = 0;
		enum err_code rc;

		mem_fail_nth(n);
		rc = chunker_open(&params, &c, &err);
		if (!rc) {
			chunker_begin(c, count_only, &sum);
			rc = chunker_feed(c, buf_span(&item), &err);
		}
		if (!rc)
			rc = chunker_finish(c, &recipe, &err);
		mem_fail_nth(0);
		assert_true(rc == ERR_OK || rc == ERR_NO_MEMORY);
		failed = rc != ERR_OK;
		assert_true(failed || n > 3);
		chunker_free(&c);
		buf_release(&recipe);
	}
	buf_release(&item);
}

/* ---- time ---- */

static double nanoseconds_per_byte(struct span item)
{
	double best = 1e9;

	for (int round = 0; round < 3; round++) {
		struct buf recipe = BUF_EMPTY;
		struct timespec t0, t1;
		uint64_t sum = 0;

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
		chunker_begin(chunker, count_only, &sum);
		assert_int_equal(chunker_feed(chunker, item, &err), ERR_OK);
		assert_int_equal(chunker_finish(chunker, &recipe, &err), ERR_OK);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
		buf_release(&recipe);
		double ns =
		        ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) / (double)item.len;
		best = ns < best ? ns : best;
	}
	return best;
}

static void make_hostile(struct buf *b, int which)
{
	static uint8_t raw[2000];

	while (b->len < 4 * MIB) {
		switch (which) {
		case 0: /* ordinary mail */
			put_text(b, 4000, "\r\n");
			put_base64(b, noise(raw, 2000), 76, 76, "\r\n");
			put(b, "\r\n");
			break;
		case 1: /* runs that just fail */
			put_base64(b, noise(raw, 1000), 76, 76, "\n");
			put(b, "\n-\n");
			break;
		case 2: /* each line longer than the last */
			put_base64(b, noise(raw, 12 + (b->len % 700)), 0, 0, "");
			put(b, "\n");
			break;
		case 3: /* one value */
			put(b, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
			break;
		case 4: /* no line end */
			put(b, "AAAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAA,");
			break;
		case 5: /* separators only, no line end */
			put(b, ":::::::::::::::::,");
			break;
		case 6: /* shortest runs */
			put_base64(b, noise(raw, 1026), 76, 76, "\n");
			put(b, "\n-\n");
			break;
		case 7: /* folds that never come to anything */
			put(b, "x:AAAA\n AAAAAAAAAAAAAAAAAAAA\n");
			break;
		case 8: /* long lines whose ends look like folded values */
			put_text(b, 1001, "");
			put_base64(b, noise(raw, 300), 0, 0, "");
			put(b, ":AAAA\n");
			for (int i = 0; i < 40; i++)
				put(b, " AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
			break;
		default: /* empty lines */
			put(b, "\n\r\n");
		}
	}
}

static void hostile_input_costs_no_more_than_a_few_times_ordinary_input(void **state)
{
	double ordinary = 0;

	(void)state;
	for (int which = 0; which < 10; which++) {
		struct buf b = BUF_EMPTY;
		double cost;

		put(&b, "A: b\n\n");
		make_hostile(&b, which);
		cost = nanoseconds_per_byte(buf_span(&b));
		printf("input %d: %.2f ns a byte\n", which, cost);
		if (which == 0)
			ordinary = cost > 0.5 ? cost : 0.5;
		else
			assert_true(cost < 40 * ordinary);
		if (which < 4)
			check_round_trip(buf_span(&b));
		buf_release(&b);
	}
}

/* ---- real mail, by hand: MAILHOLD_TEST_CORPUS names folders, separated by ':' ---- */

struct tally {
	size_t files;
	uint64_t bytes, chunks, binary, text, recipe;
	double seconds, join_seconds;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void corpus_file(const char *path, struct tally *t)
{
	static struct split s;
	static struct buf item = { NULL, 0, 0, 512 * MIB };
	struct joined j = { &s, BUF_EMPTY };
	double t0;

	buf_clear(&item);
	assert_int_equal(file_read(path, 512 * MIB, &item, &err), ERR_OK);
	buf_clear(&s.bytes);
	buf_clear(&s.recipe);
	s.count = 0;
	t0 = now();
	chunker_begin(chunker, keep, &s);
	assert_int_equal(chunker_feed(chunker, buf_span(&item), &err), ERR_OK);
	assert_int_equal(chunker_finish(chunker, &s.recipe, &err), ERR_OK);
	t->seconds += now() - t0;
	t0 = now();
	assert_int_equal(recipe_join(buf_span(&s.recipe), give, take, &j, &err), ERR_OK);
	t->join_seconds += now() - t0;
	assert_true(span_equal(buf_span(&j.out), buf_span(&item)));
	buf_release(&j.out);
	t->files++;
	t->bytes += item.len;
	t->recipe += s.recipe.len;
	for (size_t i = 0; i < s.count; i++)
		*(s.kinds[i] == CHUNK_BINARY ? &t->binary : &t->text) += chunk_at(&s, i).len;
	t->chunks += s.count;
}

static void corpus_walk(const char *path, struct tally *t)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		char below_it[4096];
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(below_it, sizeof below_it, "%s/%s", path, entry->d_name);
		if (lstat(below_it, &st))
			continue;
		if (S_ISDIR(st.st_mode))
			corpus_walk(below_it, t);
		else if (S_ISREG(st.st_mode))
			corpus_file(below_it, t);
	}
	closedir(folder);
}

static void real_mail_comes_back_byte_for_byte(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_CORPUS");
	char *list, *at, *path;

	(void)state;
	if (!given)
		skip();
	list = at = strdup(given);
	while ((path = strsep(&at, ":"))) {
		struct tally t = { 0 };

		corpus_walk(path, &t);
		printf("%s: %zu files, %llu bytes; %llu chunks, %llu binary, %llu text, %llu recipe; split %.0f MB/s, "
		       "join %.0f "
		       "MB/s\n",
		       path, t.files, (unsigned long long)t.bytes, (unsigned long long)t.chunks,
		       (unsigned long long)t.binary, (unsigned long long)t.text, (unsigned long long)t.recipe,
		       (double)t.bytes / t.seconds / 1e6, (double)t.bytes / t.join_seconds / 1e6);
	}
	free(list);
}

static int open_chunker(void **state)
{
	struct chunker_params params;
	uint64_t x = 42;

	(void)state;
	for (size_t i = 0; i < 256; i++) {
		x += 0x9e3779b97f4a7c15ull;
		params.gear[i] = hash64(span_of(&x, sizeof x));
	}
	seed_from_environment();
	return chunker_open(&params, &chunker, &err) == ERR_OK ? 0 : -1;
}

static int close_chunker(void **state)
{
	(void)state;
	chunker_free(&chunker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vector_and_plain_base64_agree_on_every_byte),
		cmocka_unit_test(joining_what_was_split_gives_the_same_bytes_however_it_was_fed),
		cmocka_unit_test(one_attachment_gives_the_same_chunks_however_its_lines_are_wrapped),
		cmocka_unit_test(a_photo_in_a_folded_vcard_is_the_file_that_it_was),
		cmocka_unit_test(large_parts_are_cut_by_content_and_small_ones_are_not),
		cmocka_unit_test(every_cut_and_flip_of_a_recipe_is_met_safely),
		cmocka_unit_test(a_chunk_of_the_wrong_length_is_damage),
		cmocka_unit_test(a_failed_emit_ends_the_item_and_the_next_begins_anew),
		cmocka_unit_test(more_runs_than_operations_end_in_one_text_part),
		cmocka_unit_test(every_failed_allocation_is_told),
		cmocka_unit_test(hostile_input_costs_no_more_than_a_few_times_ordinary_input),
		cmocka_unit_test(real_mail_comes_back_byte_for_byte),
	};

	return cmocka_run_group_tests(tests, open_chunker, close_chunker);
}
