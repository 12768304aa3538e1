#include "unit/engine/pack_world.h"

#include <time.h>

#include "base/mem.h"
#include "engine/pack/pack_internal.h"
#include "engine/pack/parity_internal.h"

/* ---- a world with one pack and its parity; every test says what it damages ---- */

static uint64_t seed;
static int rounds = 1; /* times as many: the long run's argument */

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t below(uint64_t n)
{
	return draw() % n;
}

/* Each test from a seed of its own that it prints: MAILHOLD_TEST_SEED repeats it. */
static int open_world(void **state)
{
	static struct pack_world w;
	const char *given = getenv("MAILHOLD_TEST_SEED");

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2 + 1;
	seed = seed ? seed : 1;
	print_message("seed %llu (MAILHOLD_TEST_SEED repeats it)\n", (unsigned long long)seed);
	pack_world_open(&w);
	*state = &w;
	return 0;
}

static int close_world(void **state)
{
	pack_world_close(*state);
	return 0;
}

/* A pack of BLOCKS blocks of 60 chunks, and with PERCENT its parity. */
static struct pack_added protected_pack(struct pack_world *w, uint32_t blocks, unsigned percent)
{
	struct pack_writer *pw = NULL;
	struct pack_added added;

	OK(pack_writer_open(w->store, w->keys, 7, &pw, &err));
	OK(pack_writer_set_parity(pw, percent, &err));
	for (uint32_t b = 0; b < blocks; b++)
		add_block(w, pw, CLASS_TEXT, b * 60, 60);
	OK(pack_writer_finish(&pw, &added, &err));
	return added;
}

static void path_in_store(const struct pack_world *w, const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", w->store_path, name);
}

static int object_file(const struct pack_world *w, const char *name)
{
	char path[256];
	int fd;

	path_in_store(w, name, path);
	chmod(path, 0600);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static struct buf object_bytes(struct pack_world *w, const char *name)
{
	struct buf all = BUF_WITH_MAX(512 * MIB);

	OK(store_get(w->store, name, 512 * MIB, &all, &err));
	return all;
}

static void put_bytes(struct pack_world *w, const char *name, const struct buf *bytes)
{
	int fd = object_file(w, name);

	assert_int_equal(ftruncate(fd, (off_t)bytes->len), 0);
	assert_int_equal(pwrite(fd, bytes->ptr, bytes->len, 0), (ssize_t)bytes->len);
	close(fd);
}

/* Other bytes at every place of a run, so that each touched cell is really damaged. */
static void damage(int fd, uint64_t at, uint64_t len)
{
	uint8_t *bytes = malloc(len ? len : 1);

	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, len, (off_t)at), (ssize_t)len);
	for (uint64_t i = 0; i < len; i++)
		bytes[i] ^= (uint8_t)(1 + below(255));
	assert_int_equal(pwrite(fd, bytes, len, (off_t)at), (ssize_t)len);
	free(bytes);
}

static struct parity_shape shape_of(const struct pack_added *added, unsigned percent)
{
	return parity_shape_for(added->bytes, percent);
}

static void assert_same_object(struct pack_world *w, const char *name, const struct buf *want)
{
	struct buf got = object_bytes(w, name);

	assert_int_equal(got.len, want->len);
	assert_memory_equal(got.ptr, want->ptr, want->len);
	buf_release(&got);
}

/* All blocks read back as they were made; gives how many cells the parity had to mend. */
static uint64_t assert_reads_whole(struct pack_world *w, const struct pack_added *added, uint32_t blocks)
{
	struct pack *p = NULL;
	uint64_t mended;

	OK(pack_open(w->store, w->keys, added, &p, NULL, &err));
	assert_int_equal(pack_block_count(p), blocks);
	for (uint32_t b = 0; b < blocks; b++) {
		struct buf ids = BUF_EMPTY;
		struct block got = { 0 };

		OK(pack_ids(p, b, w->codec, &ids, &err));
		OK(pack_read_block(p, b, w->codec, &got, &err));
		for (uint32_t s = 0; s < 60; s++) {
			struct chunk_id id = chunk_id_of(w, CLASS_TEXT, b * 60 + s);

			assert_true(span_equal(block_chunk(&got, s), chunk_bytes(b * 60 + s)));
			assert_memory_equal(ids.ptr + s * sizeof id, id.bytes, sizeof id);
		}
		block_release(&got);
		buf_release(&ids);
	}
	mended = pack_mended(p);
	pack_free(&p);
	return mended;
}

/* ---- shape and bytes ---- */

static void every_shape_holds_what_it_promises(void **state)
{
	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint64_t bytes =
		        PACK_BYTES_MIN + below(round % 2 ? 2 * MIB : (uint64_t)PACK_BYTES_MAX - PACK_BYTES_MIN);
		unsigned percent = (unsigned)(1 + below(PARITY_PERCENT_MAX));
		struct parity_shape s = parity_shape_for(bytes, percent);
		uint64_t run = bytes * percent / 100;

		assert_true(s.k + s.m <= PARITY_ROWS_MAX && s.m >= 1 && s.m <= s.k && s.stripes % 2 == 1);
		assert_true((uint64_t)s.k * s.stripes >= s.cells && (uint64_t)s.cells * s.cell_bytes >= bytes);
		/* A run of PERCENT anywhere touches at most this many cells, and so many are allowed. */
		assert_true((uint64_t)s.m * s.stripes >= (run + s.cell_bytes - 1) / s.cell_bytes + (run > 0) ||
		            (uint64_t)s.m * s.stripes * s.cell_bytes >= 4096);
		assert_true((uint64_t)s.m * s.stripes * s.cell_bytes >= 4096);
		/* Honest: what it costs is what was asked for, one percent, and a little that counts for small ones only. */
		if (bytes >= MIB)
			assert_true(parity_object_bytes(&s) <= bytes * (percent + 2) / 100 + 16 * KIB);
	}
}

static void a_head_is_told_from_every_flip_and_cut(void **state)
{
	struct parity_head h = { .percent = 10, .shape = parity_shape_for(5 * MIB, 10) }, got;
	struct buf bytes = BUF_EMPTY;

	(void)state;
	OK(parity_head_encode(&h, &bytes, &err));
	assert_int_equal(bytes.len, PARITY_HEAD_BYTES);
	OK(parity_head_decode(buf_span(&bytes), &got, &err));
	assert_int_equal(got.shape.k, h.shape.k);
	for (size_t i = 0; i < bytes.len * 8; i++) {
		bytes.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
		FAILS(ERR_CORRUPT, parity_head_decode(buf_span(&bytes), &got, &err));
		bytes.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t len = 0; len < bytes.len; len++)
		FAILS(ERR_CORRUPT, parity_head_decode(span_of(bytes.ptr, len), &got, &err));
	buf_release(&bytes);
}

/* The code against the page: a plain GF(2^8) over 0x11d, and the sums of the page's rule. */
static uint8_t plain_mul(uint8_t a, uint8_t b)
{
	uint8_t product = 0;

	for (; b; b >>= 1) {
		if (b & 1)
			product ^= a;
		a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1d : 0));
	}
	return product;
}

static void the_code_is_the_one_of_the_page(void **state)
{
	enum { K = 37, M = 9, LEN = 96 };
	static uint8_t data[K][LEN], out[M][LEN];
	uint8_t *rows[K], *outs[M];
	struct parity_code *code = NULL;

	(void)state;
	for (int j = 0; j < K; j++)
		for (int b = 0; b < LEN; b++)
			data[j][b] = (uint8_t)draw();
	for (int j = 0; j < K; j++)
		rows[j] = data[j];
	for (int i = 0; i < M; i++)
		outs[i] = out[i];
	OK(parity_code_open(K, M, &code, &err));
	parity_code_encode(code, LEN, rows, outs);
	parity_code_free(&code);
	for (int i = 0; i < M; i++)
		for (int b = 0; b < LEN; b++) {
			uint8_t want = 0;

			for (int j = 0; j < K; j++) {
				uint8_t inverse = 1;

				while (plain_mul(inverse, (uint8_t)((K + i) ^ j)) != 1)
					inverse++;
				want ^= plain_mul(inverse, data[j][b]);
			}
			assert_int_equal(out[i][b], want);
		}
}

/*
 * BLAKE2b-128 of two objects that a program written from docs/format/parity.md alone made. Frozen: what version 1 makes of a pack must be made by every later one, or repairing a parity would change it.
 */
static void the_bytes_of_a_parity_stay_what_they_were(void **state)
{
	static const uint8_t want[2][16] = {
		{ 0xd9, 0x9f, 0xd1, 0x02, 0x9a, 0xf8, 0x28, 0xdb, 0x6a, 0x2a, 0x55, 0x45, 0x5e, 0x45, 0x7c, 0x25 },
		{ 0x8a, 0x0f, 0x19, 0x7c, 0xcf, 0x32, 0xdd, 0xcf, 0x58, 0x50, 0xe4, 0x6e, 0x2d, 0x34, 0xf4, 0xc5 },
	};
	struct pack_world *w = *state;
	uint64_t sizes[2] = { 70001, 1300003 }, stored;
	uint8_t got[16];

	for (int i = 0; i < 2; i++) {
		struct parity_order order = { .name = { .session = 3 + (uint64_t)i },
			                      .pack_bytes = sizes[i],
			                      .percent = 8 };
		struct buf pack = BUF_EMPTY, parity;
		uint8_t *at;

		memset(order.name.random, 0x5a, sizeof order.name.random);
		memset(order.repo.bytes, 0xa5, sizeof order.repo.bytes);
		OK(buf_extend(&pack, sizes[i], &at, &err));
		for (uint32_t b = 0, x = 1; b < sizes[i]; b++, x = x * 1664525 + 1013904223)
			at[b] = (uint8_t)(x >> 24);
		OK(store_put(w->store, pack_path(&order.name).text, buf_span(&pack), &err));
		OK(parity_make(w->store, &order, &stored, &err));
		parity = object_bytes(w, parity_path(&order.name).text);
		crypto_digest(buf_span(&parity), got, sizeof got);
		assert_memory_equal(got, want[i], sizeof got);
		buf_release(&pack);
		buf_release(&parity);
	}
}

/* ---- reading ---- */

static void any_run_up_to_the_percentage_is_read_through(void **state)
{
	struct pack_world *w = *state;

	for (unsigned percent = 5; percent <= 20; percent *= 2) {
		struct pack_added added = protected_pack(w, 40, percent);
		struct buf good = object_bytes(w, pack_path(&added.name).text);
		uint64_t run = added.bytes * percent / 100;
		int fd = pack_file(w, &added);

		assert_int_equal(assert_reads_whole(w, &added, 40), 0);
		for (int round = 0; round < 12 * rounds; round++) {
			uint64_t at = round == 0 ? 0 : round == 1 ? added.bytes - run : below(added.bytes - run + 1);

			damage(fd, at, run);
			assert_reads_whole(w, &added, 40);
			put_bytes(w, pack_path(&added.name).text, &good);
		}
		close(fd);
		buf_release(&good);
	}
}

/* The structure of the price: a flip in each place of a pack, and nothing is lost at all. */
static void a_flipped_byte_anywhere_costs_nothing(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 3, 5);
	int fd = pack_file(w, &added);
	uint64_t mended = 0;

	for (uint64_t at = below(7); at < added.bytes; at += 1 + below(60)) {
		flip_byte(fd, at);
		mended += assert_reads_whole(w, &added, 3);
		flip_byte(fd, at);
	}
	assert_true(mended > 10);
	close(fd);
}

static void both_directories_and_both_footers_come_back(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 60, 20);
	struct pack *p = NULL;
	int fd = pack_file(w, &added);

	OK(pack_open(w->store, w->keys, &added, &p, NULL, &err));
	damage(fd, p->footer.first_offset + 5, 200);
	damage(fd, p->footer.second_offset + 5, 200);
	damage(fd, p->footer.first_offset + p->footer.directory_bytes, 100);
	damage(fd, added.bytes - 100, 100);
	pack_free(&p);
	assert_true(assert_reads_whole(w, &added, 60) > 0);
	close(fd);
}

/* ---- repairing ---- */

enum outcome { HEALED, REFUSED };

/* Heals without keys; the pack must be the very same again, or untouched. */
static enum outcome heal(struct pack_world *w, const struct pack_added *added, const struct buf *good)
{
	const char *path = pack_path(&added->name).text;
	struct pack_added name_only = { .name = added->name };
	struct pack_healing h;
	struct buf before = object_bytes(w, path);
	enum err_code rc = pack_heal(w->store, NULL, &name_only, &h, &err);

	if (rc) {
		FAILS(ERR_CORRUPT, rc);
		assert_same_object(w, path, &before);
		buf_release(&before);
		return REFUSED;
	}
	assert_same_object(w, path, good);
	if (h.pack_mended) {
		assert_same_object(w, h.kept, &before);
		OK(store_delete(w->store, h.kept, &err));
	}
	buf_release(&before);
	return HEALED;
}

static void random_damage_within_the_code_always_heals(void **state)
{
	struct pack_world *w = *state;

	for (int round = 0; round < 40 * rounds; round++) {
		unsigned percent = (unsigned)(1 + below(30));
		struct pack_added added = protected_pack(w, (uint32_t)(1 + below(30)), percent);
		struct parity_shape s = shape_of(&added, percent);
		struct buf good = object_bytes(w, pack_path(&added.name).text);
		struct buf parity = object_bytes(w, parity_path(&added.name).text);
		int fd = pack_file(w, &added), pfd = object_file(w, parity_path(&added.name).text);

		/* As many lost cells in each stripe as it can take, some of the pack and some of the parity. */
		for (uint32_t stripe = 0; stripe < s.stripes; stripe++) {
			bool lost[PARITY_ROWS_MAX] = { false };

			for (unsigned n = 0; n < s.m; n++) {
				unsigned row = (unsigned)below(s.k + s.m);
				uint32_t cell = row * s.stripes + stripe;

				if (lost[row] || (row < s.k && cell >= s.cells))
					continue;
				lost[row] = true;
				if (row >= s.k)
					damage(pfd, parity_cell_at(&s, (row - s.k) * s.stripes + stripe),
					       1 + below(500));
				else if ((uint64_t)cell * s.cell_bytes + 500 <= added.bytes)
					damage(fd, (uint64_t)cell * s.cell_bytes, 1 + below(500));
			}
		}
		assert_int_equal(heal(w, &added, &good), HEALED);
		assert_same_object(w, parity_path(&added.name).text, &parity);
		close(fd);
		close(pfd);
		buf_release(&good);
		buf_release(&parity);
	}
}

static void above_it_nothing_is_made_worse(void **state)
{
	struct pack_world *w = *state;
	unsigned healed = 0, refused = 0;

	for (int round = 0; round < 60 * rounds; round++) {
		struct pack_added added = protected_pack(w, 25, 5);
		struct buf good = object_bytes(w, pack_path(&added.name).text);
		uint64_t run = added.bytes * (3 + below(25)) / 100;
		int fd = pack_file(w, &added);

		damage(fd, below(added.bytes - run), run);
		if (heal(w, &added, &good) == HEALED) {
			healed++;
		} else {
			refused++;
			assert_true(run > added.bytes * 5 / 100);
		}
		close(fd);
		buf_release(&good);
	}
	assert_true(healed > 0 && refused > 0);
}

static void a_cut_or_grown_pack_gets_its_length_back(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 30, 10);
	struct buf good = object_bytes(w, pack_path(&added.name).text);
	int fd = pack_file(w, &added);

	assert_int_equal(ftruncate(fd, (off_t)(added.bytes - added.bytes / 11)), 0);
	assert_int_equal(heal(w, &added, &good), HEALED);
	close(fd);
	fd = pack_file(w, &added);
	assert_int_equal(ftruncate(fd, (off_t)added.bytes + 3), 0);
	assert_int_equal(heal(w, &added, &good), HEALED);
	close(fd);
	buf_release(&good);
}

static void each_copy_of_head_and_sums_may_go(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 30, 10);
	struct parity_shape s = shape_of(&added, 10);
	const char *path = parity_path(&added.name).text;
	struct buf good = object_bytes(w, pack_path(&added.name).text), parity = object_bytes(w, path);
	uint64_t second = parity_cell_at(&s, s.m * s.stripes), end = parity_object_bytes(&s);
	uint64_t heads[] = { 3, end - 5 }, sums[] = { PARITY_HEAD_BYTES + 9, second + 9 };

	assert_int_equal(parity.len, end);
	for (size_t i = 0; i < 4; i++) {
		/* One head and one copy of the sums, in all four combinations, and a damaged pack besides. */
		int fd = object_file(w, path), pack = pack_file(w, &added);

		damage(fd, heads[i / 2], 2);
		damage(fd, sums[i % 2], 2);
		damage(pack, below(added.bytes - 300), 300);
		assert_reads_whole(w, &added, 30);
		assert_int_equal(heal(w, &added, &good), HEALED);
		assert_same_object(w, path, &parity);
		close(fd);
		close(pack);
	}
	buf_release(&good);
	buf_release(&parity);
}

static void without_a_good_head_or_sums_it_is_told(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 5, 10), other = protected_pack(w, 5, 10);
	struct parity_shape s = shape_of(&added, 10);
	struct parity *p = NULL;
	struct buf others = object_bytes(w, parity_path(&other.name).text);
	int fd = object_file(w, parity_path(&added.name).text);

	damage(fd, 3, 1);
	damage(fd, parity_object_bytes(&s) - 3, 1);
	FAILS(ERR_CORRUPT, parity_open(w->store, &added.name, &p, &err));
	close(fd);
	put_bytes(w, parity_path(&added.name).text, &others);
	FAILS(ERR_CORRUPT, parity_open(w->store, &added.name, &p, &err));
	assert_non_null(strstr(err.text, "another pack"));
	OK(store_delete(w->store, parity_path(&added.name).text, &err));
	FAILS(ERR_NOT_FOUND, parity_open(w->store, &added.name, &p, &err));
	assert_int_equal(assert_reads_whole(w, &added, 5), 0);
	buf_release(&others);
}

/* ---- a forger ---- */

/* A parity that fits itself and says that the pack holds other bytes, as whoever may write to the store can make one. */
static void forge(struct pack_world *w, const struct pack_added *added, uint64_t at)
{
	const char *path = pack_path(&added->name).text;
	struct buf good = object_bytes(w, path);
	struct parity_order order = { .repo = keys_repo(w->keys),
		                      .name = added->name,
		                      .pack_bytes = added->bytes,
		                      .percent = 10,
		                      .replace = true };
	int fd = pack_file(w, added);
	uint64_t stored;

	damage(fd, at, 60);
	OK(parity_make(w->store, &order, &stored, &err));
	put_bytes(w, path, &good);
	close(fd);
	buf_release(&good);
}

static void forged_parity_never_gives_wrong_bytes(void **state)
{
	struct pack_world *w = *state;

	for (int round = 0; round < 10 * rounds; round++) {
		struct pack_added added = protected_pack(w, 20, 10);
		struct buf good = object_bytes(w, pack_path(&added.name).text);
		struct pack_healing h;
		struct pack *p = NULL;
		struct block got = { 0 };
		int fd;

		OK(pack_open(w->store, w->keys, &added, &p, NULL, &err));
		forge(w, &added, pack_block(p, 3)->offset + below(pack_block(p, 3)->sealed_bytes - 60));
		/* The pack is good: it is read as it is, and healing with keys makes the parity anew and leaves the pack. */
		assert_int_equal(assert_reads_whole(w, &added, 20), 0);
		OK(pack_heal(w->store, w->keys, &added, &h, &err));
		assert_true(h.parity_mended && !h.pack_mended);
		assert_same_object(w, pack_path(&added.name).text, &good);
		/* Damaged where the forgery is, it is lost: told, and never other bytes. */
		forge(w, &added, pack_block(p, 3)->offset);
		fd = pack_file(w, &added);
		flip_byte(fd, pack_block(p, 3)->offset + 10);
		FAILS(ERR_CORRUPT, pack_read_block(p, 3, w->codec, &got, &err));
		FAILS(ERR_CORRUPT, pack_heal(w->store, w->keys, &added, &h, &err));
		assert_false(h.pack_mended || h.parity_mended);
		pack_free(&p);
		close(fd);
		buf_release(&good);
	}
}

/* ---- adding later ---- */

static void parity_is_added_to_good_packs_only_and_once(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 20, 0);
	uint64_t stored, again, bytes;
	int fd = pack_file(w, &added);

	flip_byte(fd, 200);
	FAILS(ERR_CORRUPT, pack_protect(w->store, w->keys, &added, 10, &stored, &err));
	FAILS(ERR_NOT_FOUND, store_size(w->store, parity_path(&added.name).text, &bytes, &err));
	flip_byte(fd, 200);
	OK(pack_protect(w->store, w->keys, &added, 10, &stored, &err));
	OK(store_size(w->store, parity_path(&added.name).text, &bytes, &err));
	assert_int_equal(stored, bytes);
	OK(pack_protect(w->store, w->keys, &added, 10, &again, &err));
	assert_int_equal(again, 0);
	OK(pack_protect(w->store, w->keys, &added, 20, &again, &err));
	assert_true(again > stored);
	flip_byte(fd, 200);
	assert_true(assert_reads_whole(w, &added, 20) > 0);
	close(fd);
}

/* Killed between the steps of putting back: a second name under damaged/, the old object in place. */
static void healing_again_after_a_crash_is_fine(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 20, 10);
	struct buf good = object_bytes(w, pack_path(&added.name).text);
	char from[256], folder[256], to[320];
	int fd = pack_file(w, &added);

	flip_byte(fd, 300);
	path_in_store(w, pack_path(&added.name).text, from);
	path_in_store(w, "damaged", folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(to, sizeof to, "%s/killed", folder);
	assert_int_equal(link(from, to), 0);
	assert_int_equal(heal(w, &added, &good), HEALED);
	assert_int_equal(heal(w, &added, &good), HEALED);
	assert_int_equal(assert_reads_whole(w, &added, 20), 0);
	close(fd);
	buf_release(&good);
}

/* What the writer's hash is for: a disk that gives back other bytes than it took must not become the truth. */
static void a_pack_that_reads_back_differently_gets_no_parity(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 5, 0);
	uint8_t hash[PARITY_HASH_BYTES] = { 1 };
	struct parity_order order = { .repo = keys_repo(w->keys),
		                      .name = added.name,
		                      .pack_bytes = added.bytes,
		                      .percent = 5,
		                      .pack_hash = hash };
	uint64_t stored;

	FAILS(ERR_CORRUPT, parity_make(w->store, &order, &stored, &err));
	FAILS(ERR_NOT_FOUND, store_size(w->store, parity_path(&added.name).text, &stored, &err));
}

static void every_allocation_may_fail(void **state)
{
	struct pack_world *w = *state;
	struct pack_added added = protected_pack(w, 4, 10);
	struct buf good = object_bytes(w, pack_path(&added.name).text);
	struct pack_added name_only = { .name = added.name };
	struct pack_healing h;
	enum err_code rc = ERR_NO_MEMORY;
	int fd = pack_file(w, &added);

	flip_byte(fd, 300);
	for (uint64_t n = 1; rc; n++) {
		mem_fail_nth(n);
		rc = pack_heal(w->store, NULL, &name_only, &h, &err);
		mem_fail_nth(0);
		if (rc)
			assert_string_equal(err_code_name(rc), "no-memory");
	}
	assert_same_object(w, pack_path(&added.name).text, &good);
	close(fd);
	buf_release(&good);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

/* An argument: so many times as many rounds. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(every_shape_holds_what_it_promises),
		T(a_head_is_told_from_every_flip_and_cut),
		T(the_code_is_the_one_of_the_page),
		T(the_bytes_of_a_parity_stay_what_they_were),
		T(any_run_up_to_the_percentage_is_read_through),
		T(a_flipped_byte_anywhere_costs_nothing),
		T(both_directories_and_both_footers_come_back),
		T(random_damage_within_the_code_always_heals),
		T(above_it_nothing_is_made_worse),
		T(a_cut_or_grown_pack_gets_its_length_back),
		T(each_copy_of_head_and_sums_may_go),
		T(without_a_good_head_or_sums_it_is_told),
		T(forged_parity_never_gives_wrong_bytes),
		T(parity_is_added_to_good_packs_only_and_once),
		T(healing_again_after_a_crash_is_fine),
		T(a_pack_that_reads_back_differently_gets_no_parity),
		T(every_allocation_may_fail),
	};

	rounds = argc > 1 ? atoi(argv[1]) : 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
