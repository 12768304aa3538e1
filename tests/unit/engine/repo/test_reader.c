/* Packs of made-up chunks behind a reader. The ledger here is a list of packs: the index asks nothing else of it. */
#include "unit/engine/pack_world.h"

#include <pthread.h>
#include <time.h>

#include "engine/index/index.h"
#include "engine/repo/reader.h"

#define PER_BLOCK 40
#define BLOCKS    6
#define PER_PACK  (BLOCKS * PER_BLOCK)
#define PACKS     5
#define CHUNKS    (PACKS * PER_PACK)
#define THREADS   4

/* ---- a ledger of our own ---- */

struct ledger {
	struct pack_fact facts[PACKS];
	uint32_t count;
};

uint32_t ledger_pack_count(const struct ledger *l)
{
	return l->count;
}

const struct pack_fact *ledger_pack(const struct ledger *l, uint32_t ordinal)
{
	assert_true(ordinal < l->count);
	return &l->facts[ordinal];
}

struct ledger_head ledger_head(const struct ledger *l)
{
	return (struct ledger_head){ .number = l->count };
}

/* ---- world ---- */

struct world {
	struct pack_world packs;
	struct ledger ledger;
	struct index *index;
	struct reader *reader;
};

/* The index knows of the first KNOWN packs. */
static int open_world_with(void **state, uint32_t known)
{
	struct world *w = calloc(1, sizeof *w);

	pack_world_open(&w->packs);
	for (uint32_t p = 0; p < PACKS; p++)
		w->ledger.facts[w->ledger.count++] =
		        (struct pack_fact){ .pack = make_pack(&w->packs, p * PER_PACK, BLOCKS, PER_BLOCK),
			                    .state = PACK_LIVE,
			                    .trusted = true };
	w->ledger.count = known;
	OK(index_open(w->packs.index_path, w->packs.store, w->packs.keys, &w->ledger, INDEX_WRITE, NULL, NULL,
	              &w->index, &err));
	*state = w;
	return 0;
}

static int open_world(void **state)
{
	return open_world_with(state, PACKS);
}

static int open_world_without_last(void **state)
{
	return open_world_with(state, PACKS - 1);
}

static int close_world(void **state)
{
	struct world *w = *state;

	reader_free(&w->reader);
	index_free(&w->index);
	pack_world_close(&w->packs);
	free(w);
	return 0;
}

static void open_reader(struct world *w, size_t cache_bytes)
{
	OK(reader_open(w->packs.store, w->packs.keys, w->index, cache_bytes, &w->reader, &err));
}

static enum err_code get(struct world *w, struct block_codec *codec, uint32_t chunk, struct held_chunk *held,
                         struct err *e)
{
	struct chunk_id id = chunk_id_of(&w->packs, CLASS_TEXT, chunk);

	return reader_get(w->reader, codec, CLASS_TEXT, &id, held, e);
}

static void assert_read(struct world *w, uint32_t chunk)
{
	struct held_chunk held = HELD_CHUNK_NONE;

	OK(get(w, w->packs.codec, chunk, &held, &err));
	assert_true(span_equal(held.bytes, chunk_bytes(chunk)));
	reader_drop(w->reader, &held);
}

/* ---- tests ---- */

static void every_chunk_is_read_whatever_the_cache_holds(void **state)
{
	static const size_t sizes[] = { 0, 20 * KIB, MIB };
	const char *given = getenv("MAILHOLD_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
	struct world *w = *state;

	printf("seed %u (MAILHOLD_TEST_SEED repeats it)\n", seed);
	srand(seed);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		open_reader(w, sizes[i]);
		for (int n = 0; n < 2000; n++)
			assert_read(w, (uint32_t)rand() % CHUNKS);
		reader_free(&w->reader);
	}
}

static void what_lies_in_a_block_that_was_read_needs_no_index(void **state)
{
	struct world *w = *state;
	struct held_chunk held = HELD_CHUNK_NONE;

	open_reader(w, MIB);
	assert_read(w, 0);
	w->ledger.facts[0].state = PACK_CONDEMNED;
	OK(index_update(w->index, &w->ledger, &err));
	for (uint32_t chunk = 0; chunk < PER_BLOCK; chunk++)
		assert_read(w, chunk);
	FAILS(ERR_NOT_FOUND, get(w, w->packs.codec, PER_BLOCK, &held, &err));
	assert_read(w, PER_PACK);
}

static void what_the_cache_gave_up_is_not_found_there(void **state)
{
	struct world *w = *state;
	struct held_chunk held = HELD_CHUNK_NONE;

	open_reader(w, 0);
	assert_read(w, 0);
	w->ledger.facts[0].state = PACK_CONDEMNED;
	OK(index_update(w->index, &w->ledger, &err));
	FAILS(ERR_NOT_FOUND, get(w, w->packs.codec, 0, &held, &err));
}

static void a_block_that_is_held_stays(void **state)
{
	struct world *w = *state;
	struct held_chunk held = HELD_CHUNK_NONE;

	open_reader(w, 0);
	OK(get(w, w->packs.codec, 3, &held, &err));
	for (uint32_t chunk = 0; chunk < CHUNKS; chunk += PER_BLOCK)
		assert_read(w, chunk);
	assert_true(span_equal(held.bytes, chunk_bytes(3)));
	reader_drop(w->reader, &held);
}

struct walker {
	pthread_t thread;
	struct world *world;
	struct chunk_id ids[CHUNKS];
	uint32_t start;
	bool good;
};

/* Without assertions: these belong to the thread that runs the test. */
static void *walk(void *arg)
{
	struct walker *k = arg;
	struct block_codec *codec = NULL;
	struct err e;

	k->good = block_codec_open(3, &codec, &e) == ERR_OK;
	for (uint32_t n = 0; k->good && n < 3 * CHUNKS; n++) {
		struct held_chunk held = HELD_CHUNK_NONE;
		struct chunk_id id = k->ids[(k->start + n * 7) % CHUNKS], again;

		k->good = reader_get(k->world->reader, codec, CLASS_TEXT, &id, &held, &e) == ERR_OK;
		if (k->good) {
			keys_chunk_id(k->world->packs.keys, block_class_scope(CLASS_TEXT), held.bytes, &again);
			k->good = memcmp(&id, &again, sizeof id) == 0;
		}
		reader_drop(k->world->reader, &held);
	}
	block_codec_free(&codec);
	return NULL;
}

static void threads_share_a_cache_that_is_too_small(void **state)
{
	static struct walker walkers[THREADS];
	struct world *w = *state;

	open_reader(w, 30 * KIB);
	for (uint32_t t = 0; t < THREADS; t++) {
		walkers[t].world = w;
		walkers[t].start = t * 311;
		for (uint32_t chunk = 0; chunk < CHUNKS; chunk++)
			walkers[t].ids[chunk] = chunk_id_of(&w->packs, CLASS_TEXT, chunk);
		assert_int_equal(pthread_create(&walkers[t].thread, NULL, walk, &walkers[t]), 0);
	}
	for (uint32_t t = 0; t < THREADS; t++) {
		pthread_join(walkers[t].thread, NULL);
		assert_true(walkers[t].good);
	}
}

/* ---- following ---- */

/* Both have looked in vain before the first brings what is new, and the second finds nothing new to bring. */
struct followers {
	struct world *world;
	pthread_barrier_t both;
	pthread_mutex_t lock;
	uint64_t rounds;
};

static enum err_code follow_together(void *ctx, uint64_t *round, struct err *e)
{
	struct followers *f = ctx;
	enum err_code rc = ERR_OK;

	pthread_barrier_wait(&f->both);
	pthread_mutex_lock(&f->lock);
	if (f->world->ledger.count < PACKS) {
		f->world->ledger.count = PACKS;
		rc = index_update(f->world->index, &f->world->ledger, e);
		f->rounds++;
	}
	*round = f->rounds;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

struct follower {
	struct world *world;
	pthread_t thread;
	struct chunk_id id, got;
	enum err_code rc;
	struct err e;
};

static void *read_one(void *arg)
{
	struct follower *f = arg;
	struct held_chunk held = HELD_CHUNK_NONE;
	struct block_codec *codec = NULL;

	f->rc = block_codec_open(3, &codec, &f->e);
	if (!f->rc)
		f->rc = reader_get(f->world->reader, codec, CLASS_TEXT, &f->id, &held, &f->e);
	if (!f->rc)
		keys_chunk_id(f->world->packs.keys, block_class_scope(CLASS_TEXT), held.bytes, &f->got);
	reader_drop(f->world->reader, &held);
	block_codec_free(&codec);
	return NULL;
}

static void what_another_thread_brought_is_news_for_all(void **state)
{
	struct world *w = *state;
	struct followers both = { .world = w };
	struct follower f[2] = { { .world = w, .id = chunk_id_of(&w->packs, CLASS_TEXT, CHUNKS - 1) },
		                 { .world = w, .id = chunk_id_of(&w->packs, CLASS_TEXT, CHUNKS - PER_PACK) } };

	open_reader(w, MIB);
	pthread_barrier_init(&both.both, NULL, 2);
	pthread_mutex_init(&both.lock, NULL);
	reader_set_follow(w->reader, follow_together, &both);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&f[i].thread, NULL, read_one, &f[i]), 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(f[i].thread, NULL);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(f[i].rc, ERR_OK);
		assert_memory_equal(&f[i].got, &f[i].id, sizeof f[i].id);
	}
	assert_int_equal(both.rounds, 1);
	pthread_mutex_destroy(&both.lock);
	pthread_barrier_destroy(&both.both);
}

static enum err_code follow_in_vain(void *ctx, uint64_t *round, struct err *e)
{
	(void)ctx;
	(void)round;
	return err_set(e, ERR_STATE, "the keys are other ones");
}

static void why_it_could_not_follow_is_told(void **state)
{
	struct world *w = *state;
	struct held_chunk held = HELD_CHUNK_NONE;

	open_reader(w, MIB);
	reader_set_follow(w->reader, follow_in_vain, NULL);
	FAILS(ERR_NOT_FOUND, get(w, w->packs.codec, CHUNKS - 1, &held, &err));
	assert_non_null(strstr(err.text, "the keys are other ones"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_chunk_is_read_whatever_the_cache_holds, open_world, close_world),
		cmocka_unit_test_setup_teardown(what_lies_in_a_block_that_was_read_needs_no_index, open_world,
		                                close_world),
		cmocka_unit_test_setup_teardown(what_the_cache_gave_up_is_not_found_there, open_world, close_world),
		cmocka_unit_test_setup_teardown(a_block_that_is_held_stays, open_world, close_world),
		cmocka_unit_test_setup_teardown(threads_share_a_cache_that_is_too_small, open_world, close_world),
		cmocka_unit_test_setup_teardown(what_another_thread_brought_is_news_for_all, open_world_without_last,
		                                close_world),
		cmocka_unit_test_setup_teardown(why_it_could_not_follow_is_told, open_world_without_last, close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
