#include "unit/engine/pack_world.h"

#include "engine/pack/pack_format.h"
#include "engine/pack/pack_internal.h"

static int open_world(void **state)
{
	static struct pack_world w;

	pack_world_open(&w);
	*state = &w;
	return 0;
}

static int close_world(void **state)
{
	pack_world_close(*state);
	return 0;
}

/* How many of the pack's blocks cannot be read, or hold something else than chunks FIRST and on. */
static uint32_t lost_blocks(struct pack_world *w, struct pack *p, uint32_t first, uint32_t per_block)
{
	uint32_t lost = 0;

	for (uint32_t b = 0; b < pack_block_count(p); b++) {
		struct block got;

		if (pack_read_block(p, b, w->codec, &got, &err)) {
			lost++;
			continue;
		}
		assert_int_equal(got.chunk_count, per_block);
		for (uint32_t s = 0; s < per_block; s++)
			assert_true(span_equal(block_chunk(&got, s), chunk_bytes(first + b * per_block + s)));
		block_release(&got);
	}
	return lost;
}

static void assert_ids(struct pack_world *w, struct pack *p, uint32_t block, enum block_class class, uint32_t first,
                       uint32_t count)
{
	struct buf ids = BUF_EMPTY;

	OK(pack_ids(p, block, w->codec, &ids, &err));
	assert_int_equal(ids.len, count * sizeof(struct chunk_id));
	for (uint32_t i = 0; i < count; i++) {
		struct chunk_id want = chunk_id_of(w, class, first + i);

		assert_memory_equal(ids.ptr + i * sizeof want, want.bytes, sizeof want);
	}
	buf_release(&ids);
}

struct problems {
	uint32_t count, one_block, last;
};

static void count_problem(void *ctx, uint32_t block, const struct err *what)
{
	struct problems *p = ctx;

	assert_true(what->text[0] != 0);
	p->count++;
	p->one_block += block != UINT32_MAX;
	p->last = block;
}

static void a_pack_of_all_classes_reads_back(void **state)
{
	struct pack_world *w = *state;
	struct pack_writer *pw = NULL;
	struct pack_added added;
	struct pack *p = NULL;
	struct problems found = { 0 };
	struct problems *pf = &found;
	bool used_second = true;

	OK(pack_writer_open(w->store, w->keys, 42, &pw, &err));
	for (uint32_t c = 1; c < CLASS_END; c++)
		add_block(w, pw, (enum block_class)c, c * 1000, c * 3);
	assert_true(pack_writer_bytes(pw) > 0);
	OK(pack_writer_finish(&pw, &added, &err));
	assert_int_equal(added.name.session, 42);
	OK(pack_open(w->store, w->keys, &added, &p, &used_second, &err));
	assert_false(used_second);
	assert_int_equal(pack_block_count(p), CLASS_END - 1);
	for (uint32_t c = 1; c < CLASS_END; c++) {
		struct block got;

		assert_int_equal(pack_block(p, c - 1)->class, c);
		OK(pack_read_block(p, c - 1, w->codec, &got, &err));
		for (uint32_t s = 0; s < c * 3; s++)
			assert_true(span_equal(block_chunk(&got, s), chunk_bytes(c * 1000 + s)));
		block_release(&got);
		assert_ids(w, p, c - 1, (enum block_class)c, c * 1000, c * 3);
	}
	OK(pack_check_bytes(p, count_problem, pf, &err));
	assert_int_equal(found.count, 0);
	pack_free(&p);
}

static void the_stored_size_is_a_padme_size_and_the_ledgers(void **state)
{
	struct pack_world *w = *state;

	for (uint32_t blocks = 1; blocks < 40; blocks += 6) {
		struct pack_added added = make_pack(w, blocks, blocks, 50);
		uint64_t bytes;

		OK(store_size(w->store, pack_path(&added.name).text, &bytes, &err));
		assert_int_equal(bytes, added.bytes);
		assert_int_equal(bytes, padme(bytes, 0));
	}
}

static enum err_code count_found(void *ctx, const struct pack_found *f, struct err *e)
{
	struct problems *p = ctx;

	(void)e;
	assert_int_equal(f->problem, f->what.text[0] != 0);
	p->count += f->problem;
	p->one_block += !f->whole;
	p->last = f->block;
	return ERR_OK;
}

/* All of a pack, run by run, as check does it. */
static struct problems verify(struct pack *p, struct pack_verifier *v)
{
	struct problems found = { 0 };

	for (uint32_t first = 0; first < pack_block_count(p); first = pack_run_end(p, first))
		OK(pack_verify(p, first, pack_run_end(p, first), true, v, count_found, &found, &err));
	OK(pack_check_frame(p, count_problem, &found, &err));
	return found;
}

static void a_pack_of_many_runs_is_verified_run_by_run(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = make_pack(w, 100, 40, 400);
	struct pack_verifier v;
	struct pack *p = NULL;
	struct problems found;

	pack_verifier_init(&v);
	OK(pack_open(w->store, w->keys, &added, &p, NULL, &err));
	for (uint32_t first = 0; first < 40; first = pack_run_end(p, first))
		assert_true(pack_run_end(p, first) > first && pack_run_end(p, first) <= 40);
	found = verify(p, &v);
	assert_int_equal(found.count, 0);
	assert_int_equal(found.last, 39);
	assert_true(pack_is_genuine(w->store, w->keys, &added.name, added.bytes));
	pack_free(&p);
	pack_verifier_release(&v);
}

#define SMALL_BLOCKS 3
#define SMALL_CHUNKS 4

/* The heart of it: whichever byte goes bad, at most one block is lost, its ids stay known, and the check tells. */
static void any_flipped_byte_costs_at_most_one_block(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = make_pack(w, 100, SMALL_BLOCKS, SMALL_CHUNKS);
	int fd = pack_file(w, &added);
	struct pack_verifier v;
	uint32_t second = 0;

	pack_verifier_init(&v);
	for (uint64_t at = 0; at < added.bytes; at++) {
		struct problems found = { 0 };
		struct pack *p = NULL;
		bool used_second;
		uint32_t lost;

		flip_byte(fd, at);
		OK(pack_open(w->store, w->keys, &added, &p, &used_second, &err));
		second += used_second;
		lost = lost_blocks(w, p, 100, SMALL_CHUNKS);
		assert_true(lost <= 1);
		for (uint32_t b = 0; b < SMALL_BLOCKS; b++)
			assert_ids(w, p, b, CLASS_TEXT, 100 + b * SMALL_CHUNKS, SMALL_CHUNKS);
		OK(pack_check_bytes(p, count_problem, &found, &err));
		assert_int_equal(found.count, 1);
		if (lost)
			assert_int_equal(found.one_block, 1);
		found = verify(p, &v);
		assert_int_equal(found.count, 1);
		if (found.one_block)
			assert_int_equal(lost, 1);
		pack_free(&p);
		flip_byte(fd, at);
	}
	pack_verifier_release(&v);
	assert_true(second > PACK_FOOTER_BYTES); /* the copies at the end: directory and footer */
	close(fd);
}

static void any_bad_sector_leaves_the_directory_readable(void **state)
{
	struct pack_world *w = *state;

	for (uint64_t at = 0;; at += 509) {
		struct pack_added added = make_pack(w, 100, 2, 2);
		struct pack *p = NULL;
		int fd;

		if (at + 4096 > added.bytes)
			break;
		fd = pack_file(w, &added);
		wipe_range(fd, at, 4096);
		OK(pack_open(w->store, w->keys, &added, &p, NULL, &err));
		assert_int_equal(pack_block_count(p), 2);
		pack_free(&p);
		close(fd);
	}
}

static void a_damaged_id_list_is_computed_from_its_block(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = make_pack(w, 5, 4, 30);
	int fd = pack_file(w, &added);
	struct pack *p = NULL;
	struct buf ids = BUF_EMPTY;

	OK(pack_open(w->store, w->keys, &added, &p, NULL, &err));
	flip_byte(fd, pack_block(p, 2)->list_offset + 50);
	assert_ids(w, p, 2, CLASS_TEXT, 65, 30);
	flip_byte(fd, pack_block(p, 2)->offset + 5); /* both */
	FAILS(ERR_CORRUPT, pack_ids(p, 2, w->codec, &ids, &err));
	assert_int_equal(ids.len, 0);
	assert_ids(w, p, 3, CLASS_TEXT, 95, 30);
	buf_release(&ids);
	pack_free(&p);
	close(fd);
}

static enum err_code visit_ids(void *ctx, uint32_t block, const struct chunk_id *ids, uint32_t count,
                               const struct err *what, struct err *e)
{
	uint32_t *seen = ctx;

	(void)e;
	assert_int_equal(block, seen[0]);
	seen[0]++;
	if (ids)
		seen[1] += count;
	else
		assert_int_equal(what->code, ERR_CORRUPT);
	return ERR_OK;
}

static void a_walk_over_all_lists_goes_on_after_a_lost_one(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = make_pack(w, 5, 9, 30);
	int fd = pack_file(w, &added);
	struct pack *p = NULL;
	uint32_t seen[2] = { 0, 0 };

	OK(pack_open(w->store, w->keys, &added, &p, NULL, &err));
	flip_byte(fd, pack_block(p, 4)->list_offset + 50);
	flip_byte(fd, pack_block(p, 4)->offset + 5);
	OK(pack_each_ids(p, w->codec, visit_ids, seen, &err));
	assert_int_equal(seen[0], 9);
	assert_int_equal(seen[1], 8 * 30);
	pack_free(&p);
	close(fd);
}

/* Both packs' directories stay as they are; the block's bytes are another's. */
static void a_block_of_another_pack_or_place_is_refused(void **state)
{
	struct pack_world *w = *state;
	struct pack_added one = make_pack(w, 100, 2, 4), two = make_pack(w, 100, 2, 4);
	int fd_one = pack_file(w, &one), fd_two = pack_file(w, &two);
	struct pack *p = NULL;
	uint8_t bytes[4096];
	size_t len;

	OK(pack_open(w->store, w->keys, &one, &p, NULL, &err));
	len = pack_block(p, 0)->sealed_bytes;
	assert_true(len <= sizeof bytes);
	assert_int_equal(pread(fd_two, bytes, len, (off_t)pack_block(p, 0)->offset), (ssize_t)len);
	assert_int_equal(pwrite(fd_one, bytes, len, (off_t)pack_block(p, 0)->offset), (ssize_t)len);
	assert_int_equal(lost_blocks(w, p, 100, 4), 1);
	/* And a list of the other pack: it does not open here, so the ids come from a block. */
	len = pack_block(p, 1)->list_bytes;
	assert_int_equal(pread(fd_two, bytes, len, (off_t)pack_block(p, 1)->list_offset), (ssize_t)len);
	assert_int_equal(pwrite(fd_one, bytes, len, (off_t)pack_block(p, 1)->list_offset), (ssize_t)len);
	assert_ids(w, p, 1, CLASS_TEXT, 104, 4);
	pack_free(&p);
	close(fd_one);
	close(fd_two);
}

static void a_whole_pack_under_another_name_is_refused(void **state)
{
	struct pack_world *w = *state;
	struct pack_added one = make_pack(w, 100, 2, 4), two = make_pack(w, 100, 2, 4);
	struct buf whole = BUF_EMPTY;
	struct pack *p = NULL;
	int fd = pack_file(w, &two);

	assert_int_equal(one.bytes, two.bytes);
	OK(store_get(w->store, pack_path(&one.name).text, MIB, &whole, &err));
	assert_int_equal(pwrite(fd, whole.ptr, whole.len, 0), (ssize_t)whole.len);
	FAILS(ERR_CORRUPT, pack_open(w->store, w->keys, &two, &p, NULL, &err));
	two = one;
	two.header_hash[3] ^= 1; /* not what the ledger named */
	FAILS(ERR_CORRUPT, pack_open(w->store, w->keys, &two, &p, NULL, &err));
	two = one;
	two.bytes += 4096;
	FAILS(ERR_CORRUPT, pack_open(w->store, w->keys, &two, &p, NULL, &err));
	two = one;
	two.name.random[0] ^= 1;
	FAILS(ERR_NOT_FOUND, pack_open(w->store, w->keys, &two, &p, NULL, &err));
	assert_null(p);
	buf_release(&whole);
	close(fd);
}

static void another_repositorys_keys_do_not_open_it(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = make_pack(w, 100, 2, 4);
	struct keys *other = NULL;
	struct pack *p = NULL;

	OK(keys_new(&other, &err));
	FAILS(ERR_CORRUPT, pack_open(w->store, other, &added, &p, NULL, &err));
	keys_free(&other);
}

static enum err_code count_object(void *ctx, const char *name, uint64_t bytes, struct err *e)
{
	(void)name, (void)bytes, (void)e;
	++*(uint32_t *)ctx;
	return ERR_OK;
}

static void an_unfinished_pack_leaves_nothing(void **state)
{
	struct pack_world *w = *state;
	struct pack_writer *pw = NULL;
	struct pack_added added;
	uint32_t before = 0, after = 0;

	OK(store_list(w->store, "pack", count_object, &before, &err));
	OK(pack_writer_open(w->store, w->keys, 1, &pw, &err));
	add_block(w, pw, CLASS_ITEM, 0, 10);
	pack_writer_free(&pw);
	OK(pack_writer_open(w->store, w->keys, 1, &pw, &err));
	FAILS(ERR_STATE, pack_writer_finish(&pw, &added, &err));
	assert_null(pw);
	OK(store_list(w->store, "pack", count_object, &after, &err));
	assert_int_equal(before, after);
}

/* ---- blocks carried from one pack into another ---- */

/* Carries every block of FROM into PW; RC of the first that does not go. */
static enum err_code carry_all(struct pack_world *w, struct pack_writer *pw, struct pack *from, struct err *e)
{
	struct buf ids = BUF_EMPTY, sealed = BUF_WITH_MAX(PACK_BYTES_MAX);
	enum err_code rc = ERR_OK;

	for (uint32_t b = 0, number; !rc && b < pack_block_count(from); b++) {
		buf_clear(&ids);
		buf_clear(&sealed);
		OK(pack_ids(from, b, w->codec, &ids, &err));
		OK(pack_read_sealed(from, b, 1, &sealed, &err));
		rc = pack_writer_carry(pw, from, b, buf_span(&sealed), (const struct chunk_id *)(const void *)ids.ptr,
		                       &number, e);
	}
	buf_release(&ids);
	buf_release(&sealed);
	return rc;
}

/* By a keeper, which opens none of them: what comes out opens for whoever could open it before. */
static void carried_blocks_read_as_before(void **state)
{
	struct pack_world *w = *state;
	struct keys *keeper = NULL;
	struct pack_writer *pw = NULL;
	struct pack_added added, from[3];
	struct pack *p = NULL;
	struct block got = { 0 };
	struct problems found = { 0 };

	OK(keys_new_holder(w->keys, ROLE_KEEPER, &keeper, &err));
	OK(pack_writer_open(w->store, keeper, 9, &pw, &err));
	assert_null(pack_writer_seal(pw, CLASS_TEXT));
	assert_null(pack_writer_seal(pw, CLASS_KEYS));
	assert_non_null(pack_writer_seal(pw, CLASS_NODE));
	for (uint32_t i = 0; i < ARRAY_LEN(from); i++) {
		from[i] = make_pack(w, i * 1000, 4, 100);
		OK(pack_open(w->store, keeper, &from[i], &p, NULL, &err));
		FAILS(ERR_WRONG_KEY, pack_read_block(p, 0, w->codec, &got, &err));
		OK(carry_all(w, pw, p, &err));
		pack_free(&p);
	}
	OK(pack_writer_finish(&pw, &added, &err));
	OK(pack_open(w->store, w->keys, &added, &p, NULL, &err));
	assert_int_equal(pack_block_count(p), 12);
	assert_int_equal(p->directory.seal_count, 1 + ARRAY_LEN(from));
	for (uint32_t i = 0; i < 12; i++) {
		uint32_t first = i / 4 * 1000 + i % 4 * 100;

		OK(pack_read_block(p, i, w->codec, &got, &err));
		assert_true(span_equal(block_chunk(&got, 99), chunk_bytes(first + 99)));
		block_release(&got);
		assert_ids(w, p, i, CLASS_TEXT, first, 100);
	}
	OK(pack_check_bytes(p, count_problem, &found, &err));
	assert_int_equal(found.count, 0);
	pack_free(&p);
	keys_free(&keeper);
}

static void a_damaged_block_is_not_carried(void **state)
{
	struct pack_world *w = *state;
	struct pack_added from = make_pack(w, 5, 2, 30), added;
	struct pack_writer *pw = NULL;
	struct buf ids = BUF_EMPTY, sealed = BUF_EMPTY;
	struct pack *p = NULL;
	uint32_t number;

	OK(pack_open(w->store, w->keys, &from, &p, NULL, &err));
	OK(pack_ids(p, 0, w->codec, &ids, &err));
	OK(pack_read_sealed(p, 0, 2, &sealed, &err));
	assert_int_equal(sealed.len, pack_block(p, 0)->sealed_bytes + pack_block(p, 1)->sealed_bytes);
	sealed.ptr[7] ^= 1;
	OK(pack_writer_open(w->store, w->keys, 9, &pw, &err));
	FAILS(ERR_CORRUPT, pack_writer_carry(pw, p, 0, span_first(buf_span(&sealed), pack_block(p, 0)->sealed_bytes),
	                                     (const struct chunk_id *)(const void *)ids.ptr, &number, &err));
	FAILS(ERR_CORRUPT, pack_read_sealed(p, 1, 2, &sealed, &err));
	/* The writer is as good as before. */
	assert_int_equal(pack_writer_blocks(pw), 0);
	sealed.ptr[7] ^= 1;
	OK(pack_writer_carry(pw, p, 0, span_first(buf_span(&sealed), pack_block(p, 0)->sealed_bytes),
	                     (const struct chunk_id *)(const void *)ids.ptr, &number, &err));
	OK(pack_writer_finish(&pw, &added, &err));
	pack_free(&p);
	buf_release(&ids);
	buf_release(&sealed);
}

/* 1,024 seals are the limit: three of the writer's own, and the others. One pack passes for many by names of its seal. */
static void a_pack_is_full_of_seals(void **state)
{
	struct pack_world *w = *state;
	struct pack_added from = make_pack(w, 0, 2, 1), added;
	struct pack_writer *pw = NULL;
	struct pack *p = NULL;
	uint16_t seal;

	OK(pack_open(w->store, w->keys, &from, &p, NULL, &err));
	seal = pack_block(p, 0)->seal;
	OK(pack_writer_open(w->store, w->keys, 9, &pw, &err));
	for (uint32_t i = 0; i < PACK_SEALS_MAX - 3; i++) {
		memcpy(p->directory.seals[seal].id.bytes, &i, sizeof i);
		OK(carry_all(w, pw, p, &err));
	}
	memset(p->directory.seals[seal].id.bytes, 0xff, ID16_BYTES);
	FAILS(ERR_LIMIT, carry_all(w, pw, p, &err));
	pack_free(&p);
	/* Still good. */
	add_block(w, pw, CLASS_TEXT, 0, 1);
	OK(pack_writer_finish(&pw, &added, &err));
	OK(pack_open(w->store, w->keys, &added, &p, NULL, &err));
	assert_int_equal(p->directory.seal_count, PACK_SEALS_MAX);
	assert_int_equal(pack_block_count(p), 2 * (PACK_SEALS_MAX - 3) + 1);
	pack_free(&p);
}

/* ---- the decoders alone ---- */

static struct pack_directory sample_directory(struct pack_seal *seals, struct block_info *blocks)
{
	static const uint8_t wrapped[48] = { 1, 2, 3 };

	seals[0] = (struct pack_seal){ { { 9 } }, SCOPE_CONTENT, 1, span_of(wrapped, sizeof wrapped) };
	blocks[0] = (struct block_info){ .counter = 5,
		                         .class = CLASS_TEXT,
		                         .codec = CODEC_ZSTD,
		                         .offset = 64,
		                         .sealed_bytes = 100,
		                         .raw_bytes = 200,
		                         .chunk_count = 2,
		                         .list_offset = 164,
		                         .list_bytes = 2 * 32 + BOX_OVERHEAD };
	return (struct pack_directory){ seals, 1, blocks, 1 };
}

static void a_directory_refuses_every_cut_and_every_wrong_number(void **state)
{
	struct pack_seal seals[1];
	struct block_info blocks[1];
	struct pack_directory d = sample_directory(seals, blocks), got = { 0 };
	uint64_t end = 164 + 2 * 32 + BOX_OVERHEAD;
	struct buf plain = BUF_EMPTY, again = BUF_EMPTY;

	(void)state;
	OK(pack_directory_encode(&d, &plain, &err));
	OK(pack_directory_decode(buf_span(&plain), end, &got, &err));
	OK(pack_directory_encode(&got, &again, &err)); /* bytes, not structs: these have padding */
	assert_int_equal(again.len, plain.len);
	assert_memory_equal(again.ptr, plain.ptr, plain.len);
	buf_release(&again);
	pack_directory_release(&got);
	for (size_t len = 0; len < plain.len; len++)
		FAILS(ERR_CORRUPT, pack_directory_decode(span_of(plain.ptr, len), end, &got, &err));
	FAILS(ERR_CORRUPT, pack_directory_decode(buf_span(&plain), end + 1, &got, &err));
#define REFUSES(code, change)                                                                                          \
	do {                                                                                                           \
		d = sample_directory(seals, blocks);                                                                   \
		change;                                                                                                \
		buf_clear(&plain);                                                                                     \
		OK(pack_directory_encode(&d, &plain, &err));                                                           \
		FAILS(code, pack_directory_decode(buf_span(&plain), end, &got, &err));                                 \
	} while (0)
	REFUSES(ERR_CORRUPT, blocks[0].seal = 1);
	REFUSES(ERR_CORRUPT, blocks[0].class = CLASS_REFS); /* of another scope than its seal */
	REFUSES(ERR_UNSUPPORTED, blocks[0].class = CLASS_END);
	REFUSES(ERR_UNSUPPORTED, blocks[0].codec = 2);
	REFUSES(ERR_CORRUPT, blocks[0].offset = 65);
	REFUSES(ERR_CORRUPT, blocks[0].offset = UINT64_MAX);
	REFUSES(ERR_CORRUPT, blocks[0].sealed_bytes = UINT32_MAX);
	REFUSES(ERR_CORRUPT, blocks[0].sealed_bytes = SEAL_OVERHEAD);
	REFUSES(ERR_CORRUPT, blocks[0].raw_bytes = BLOCK_RAW_MAX + 1);
	REFUSES(ERR_CORRUPT, blocks[0].raw_bytes = UINT32_MAX);
	REFUSES(ERR_CORRUPT, blocks[0].chunk_count = 0);
	REFUSES(ERR_CORRUPT, blocks[0].chunk_count = 3);
	REFUSES(ERR_CORRUPT, blocks[0].chunk_count = UINT32_MAX);
	REFUSES(ERR_CORRUPT, blocks[0].list_offset++);
	REFUSES(ERR_CORRUPT, blocks[0].list_bytes++);
	REFUSES(ERR_UNSUPPORTED, seals[0].scope = SCOPE_END);
#undef REFUSES
	memset(plain.ptr, 0xff, 8); /* counts */
	FAILS(ERR_CORRUPT, pack_directory_decode(buf_span(&plain), end, &got, &err));
	buf_release(&plain);
}

static void a_footer_refuses_places_that_cannot_be(void **state)
{
	const struct pack_footer good = { 20000, 5000, 20000 - PACK_FOOTER_BYTES - 300, 300 };
	struct pack_footer f, got;
	struct buf plain = BUF_EMPTY;

	(void)state;
	OK(pack_footer_encode(&good, &plain, &err));
	assert_int_equal(plain.len, PACK_FOOTER_BYTES - PACK_FOOTER_CLEAR_BYTES - BOX_OVERHEAD);
	OK(pack_footer_decode(buf_span(&plain), 20000, &got, &err));
	assert_memory_equal(&got, &good, sizeof good - 4);
	FAILS(ERR_CORRUPT, pack_footer_decode(buf_span(&plain), 20001, &got, &err));
	for (size_t len = 0; len < plain.len; len++)
		FAILS(ERR_CORRUPT, pack_footer_decode(span_of(plain.ptr, len), 20000, &got, &err));
#define REFUSES(change)                                                                                                \
	do {                                                                                                           \
		f = good;                                                                                              \
		change;                                                                                                \
		buf_clear(&plain);                                                                                     \
		OK(pack_footer_encode(&f, &plain, &err));                                                              \
		FAILS(ERR_CORRUPT, pack_footer_decode(buf_span(&plain), 20000, &got, &err));                           \
	} while (0)
	REFUSES(f.first_offset = 63);
	REFUSES(f.first_offset = UINT64_MAX);
	REFUSES(f.first_offset = 17000);
	REFUSES(f.second_offset--);
	REFUSES(f.second_offset = UINT64_MAX - 200);
	REFUSES(f.directory_bytes++);
	REFUSES(f.directory_bytes = UINT32_MAX);
	REFUSES(f.directory_bytes = 3);
#undef REFUSES
	buf_release(&plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pack_of_all_classes_reads_back),
		cmocka_unit_test(the_stored_size_is_a_padme_size_and_the_ledgers),
		cmocka_unit_test(a_pack_of_many_runs_is_verified_run_by_run),
		cmocka_unit_test(any_flipped_byte_costs_at_most_one_block),
		cmocka_unit_test(any_bad_sector_leaves_the_directory_readable),
		cmocka_unit_test(a_damaged_id_list_is_computed_from_its_block),
		cmocka_unit_test(a_walk_over_all_lists_goes_on_after_a_lost_one),
		cmocka_unit_test(a_block_of_another_pack_or_place_is_refused),
		cmocka_unit_test(a_whole_pack_under_another_name_is_refused),
		cmocka_unit_test(another_repositorys_keys_do_not_open_it),
		cmocka_unit_test(an_unfinished_pack_leaves_nothing),
		cmocka_unit_test(carried_blocks_read_as_before),
		cmocka_unit_test(a_damaged_block_is_not_carried),
		cmocka_unit_test(a_pack_is_full_of_seals),
		cmocka_unit_test(a_directory_refuses_every_cut_and_every_wrong_number),
		cmocka_unit_test(a_footer_refuses_places_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
