/* The ledger here is a list of packs: the index asks nothing else of it. */
#include "unit/engine/pack_world.h"

#include <dirent.h>
#include <sys/wait.h>

#include "engine/index/index.h"
#include "engine/index/index_db.h"

#define PER_BLOCK 40

/* ---- a ledger of our own ---- */

struct ledger {
	struct pack_fact facts[64];
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
	(void)l;
	return (struct ledger_head){ .number = 7 };
}

static void commit_pack(struct ledger *l, const struct pack_added *pack)
{
	l->facts[l->count++] =
	        (struct pack_fact){ .pack = *pack, .state = PACK_LIVE, .trusted = true, .committed_at = l->count };
}

/* ---- world ---- */

struct world {
	struct pack_world packs;
	struct ledger ledger;
	struct index *index;
	uint32_t notices, rebuilds;
	char last_notice[ERR_TEXT_MAX + 128];
};

static int open_world(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	pack_world_open(&w->packs);
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;

	index_free(&w->index);
	pack_world_close(&w->packs);
	free(w);
	return 0;
}

static void notice(void *ctx, const char *text)
{
	struct world *w = ctx;

	w->notices++;
	w->rebuilds += strstr(text, "is being rebuilt") != NULL;
	snprintf(w->last_notice, sizeof w->last_notice, "%s", text);
}

static enum err_code try_open(struct world *w, enum index_mode mode)
{
	return index_open(w->packs.index_path, w->packs.store, w->packs.keys, &w->ledger, mode, notice, w, &w->index,
	                  &err);
}

static void reopen(struct world *w, enum index_mode mode)
{
	index_free(&w->index);
	OK(try_open(w, mode));
}

/* A committed pack of BLOCKS blocks with chunks from FIRST on. */
static struct pack_added commit_new(struct world *w, uint32_t first, uint32_t blocks)
{
	struct pack_added added = make_pack(&w->packs, first, blocks, PER_BLOCK);

	commit_pack(&w->ledger, &added);
	return added;
}

static bool find(struct world *w, uint32_t chunk, struct place *out)
{
	struct chunk_id id = chunk_id_of(&w->packs, CLASS_TEXT, chunk);
	bool found;

	OK(index_find(w->index, &id, 1, out, &found, &err));
	return found;
}

/* Every chunk of a pack made by make_pack is found there, and nothing beside it. */
static void assert_pack_found(struct world *w, const struct pack_added *pack, uint32_t first, uint32_t blocks)
{
	uint32_t count = blocks * PER_BLOCK;
	struct chunk_id *ids = malloc(count * sizeof *ids);
	struct place *places = malloc(count * sizeof *places);
	bool *found = malloc(count);
	struct place place;

	for (uint32_t i = 0; i < count; i++)
		ids[i] = chunk_id_of(&w->packs, CLASS_TEXT, first + i);
	OK(index_find(w->index, ids, count, places, found, &err));
	for (uint32_t i = 0; i < count; i++) {
		assert_true(found[i]);
		assert_int_equal(places[i].block, i / PER_BLOCK);
		assert_int_equal(places[i].slot, i % PER_BLOCK);
		assert_memory_equal(&index_pack(w->index, places[i].pack)->name, &pack->name, sizeof pack->name);
	}
	assert_false(find(w, first + count + 1000000, &place));
	free(ids);
	free(places);
	free(found);
}

/* ---- opening and keeping up ---- */

static void an_empty_index_is_certainly_empty(void **state)
{
	struct world *w = *state;
	struct place place;

	OK(try_open(w, INDEX_WRITE));
	assert_int_equal(index_count(w->index), 0);
	assert_false(find(w, 1, &place));
	reopen(w, INDEX_READ);
	assert_int_equal(index_count(w->index), 0);
	assert_int_equal(w->notices, 0);
}

static void live_packs_are_added_at_open_and_at_update(void **state)
{
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 3), two;
	uint32_t ordinal;
	struct place place;

	OK(try_open(w, INDEX_WRITE));
	assert_pack_found(w, &one, 0, 3);
	two = commit_new(w, 5000, 220); /* large enough for a sorted file */
	OK(index_update(w->index, &w->ledger, &err));
	assert_pack_found(w, &one, 0, 3);
	assert_pack_found(w, &two, 5000, 220);
	assert_true(find(w, 5000, &place));
	assert_true(index_pack_ordinal(w->index, place.pack, &ordinal));
	assert_int_equal(ordinal, 1);
	assert_int_equal(index_count(w->index), 223 * PER_BLOCK);
	for (int mode = INDEX_READ; mode <= INDEX_WRITE; mode++) {
		reopen(w, (enum index_mode)mode);
		assert_pack_found(w, &one, 0, 3);
		assert_pack_found(w, &two, 5000, 220);
	}
	assert_int_equal(w->notices, 1); /* the index was not there at first */
	assert_non_null(strstr(w->last_notice, "no local index yet"));
}

static void a_reader_makes_the_index_when_nobody_else_does(void **state)
{
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 3);

	OK(try_open(w, INDEX_READ));
	assert_pack_found(w, &one, 0, 3);
	/* Now without the store: what is written down needs no pack. */
	OK(store_delete(w->packs.store, pack_path(&one.name).text, &err));
	reopen(w, INDEX_READ);
	assert_pack_found(w, &one, 0, 3);
}

static void own_packs_count_at_once_and_later_only_when_committed(void **state)
{
	struct world *w = *state;
	uint32_t per_block[2] = { PER_BLOCK, PER_BLOCK }, ordinal;
	struct pack_added own;
	struct chunk_id ids[2 * PER_BLOCK];
	struct place place;

	OK(try_open(w, INDEX_WRITE));
	own = make_pack(&w->packs, 700, 2, PER_BLOCK);
	for (uint32_t i = 0; i < 2 * PER_BLOCK; i++)
		ids[i] = chunk_id_of(&w->packs, CLASS_TEXT, 700 + i);
	OK(index_add_own(w->index, &own, per_block, 2, ids, &err));
	assert_pack_found(w, &own, 700, 2);
	assert_true(find(w, 701, &place));
	assert_false(index_pack_ordinal(w->index, place.pack, &ordinal));
	FAILS(ERR_EXISTS, index_add_own(w->index, &own, per_block, 2, ids, &err));
	OK(index_update(w->index, &w->ledger, &err)); /* still not committed, still ours */
	assert_pack_found(w, &own, 700, 2);
	for (int mode = INDEX_READ; mode <= INDEX_WRITE; mode++) {
		reopen(w, (enum index_mode)mode); /* a process that died before its commit */
		assert_false(find(w, 701, &place));
		assert_int_equal(index_count(w->index), 0);
	}
	commit_pack(&w->ledger, &own); /* its commit arrived after all */
	OK(index_update(w->index, &w->ledger, &err));
	assert_pack_found(w, &own, 700, 2);
	assert_true(find(w, 701, &place));
	assert_true(index_pack_ordinal(w->index, place.pack, &ordinal));
}

/* More than a writer holds in memory: written down in between, and nothing is lost on either side of it. */
static void own_packs_beyond_the_memory_limit_are_written_down(void **state)
{
	enum { PACKS = 20, BLOCKS = 200 };
	struct world *w = *state;
	struct pack_added own[PACKS];
	uint32_t per_block[BLOCKS];
	struct chunk_id *ids = malloc(BLOCKS * PER_BLOCK * sizeof *ids);

	for (uint32_t b = 0; b < BLOCKS; b++)
		per_block[b] = PER_BLOCK;
	OK(try_open(w, INDEX_WRITE));
	for (uint32_t p = 0; p < PACKS; p++) {
		memset(&own[p], 0, sizeof own[p]);
		crypto_random(own[p].name.random, sizeof own[p].name.random);
		for (uint32_t i = 0; i < BLOCKS * PER_BLOCK; i++)
			ids[i] = chunk_id_of(&w->packs, CLASS_TEXT, p * BLOCKS * PER_BLOCK + i);
		OK(index_add_own(w->index, &own[p], per_block, BLOCKS, ids, &err));
		commit_pack(&w->ledger, &own[p]);
	}
	for (int round = 0; round < 2; round++) {
		for (uint32_t p = 0; p < PACKS; p++)
			assert_pack_found(w, &own[p], p * BLOCKS * PER_BLOCK, BLOCKS);
		assert_int_equal(index_count(w->index), PACKS * BLOCKS * PER_BLOCK);
		reopen(w, INDEX_READ); /* there are no packs to read: all is from the database */
	}
	assert_int_equal(w->notices, 0);
	free(ids);
}

static void condemned_packs_do_not_count(void **state)
{
	struct world *w = *state;
	struct pack_added two;
	struct place place;

	commit_new(w, 0, 2);
	two = commit_new(w, 1000, 2);
	OK(try_open(w, INDEX_WRITE));
	w->ledger.facts[0].state = PACK_CONDEMNED;
	assert_true(find(w, 3, &place)); /* as of the last update */
	OK(index_update(w->index, &w->ledger, &err));
	assert_false(find(w, 3, &place));
	assert_pack_found(w, &two, 1000, 2);
	reopen(w, INDEX_READ);
	assert_false(find(w, 3, &place));
	assert_pack_found(w, &two, 1000, 2);
}

static void among_several_places_the_first_committed_wins(void **state)
{
	struct world *w = *state;
	struct pack_added packs[4];
	uint32_t per_block = PER_BLOCK, ordinal;
	struct chunk_id ids[PER_BLOCK];
	struct place places[8], place;
	size_t count;

	for (uint32_t i = 0; i < PER_BLOCK; i++)
		ids[i] = chunk_id_of(&w->packs, CLASS_TEXT, i);
	for (int i = 0; i < 4; i++)
		packs[i] = make_pack(&w->packs, 0, 1, PER_BLOCK);
	OK(try_open(w, INDEX_WRITE));
	OK(index_add_own(w->index, &packs[3], &per_block, 1, ids, &err)); /* number 0, and stays uncommitted */
	OK(index_add_own(w->index, &packs[2], &per_block, 1, ids, &err));
	commit_pack(&w->ledger, &packs[0]);
	commit_pack(&w->ledger, &packs[1]);
	commit_pack(&w->ledger, &packs[2]);
	OK(index_update(w->index, &w->ledger, &err));
	OK(index_find_all(w->index, &ids[5], places, 8, &count, &err));
	assert_int_equal(count, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_memory_equal(&index_pack(w->index, places[i].pack)->name, &packs[i].name, sizeof packs[i].name);
	OK(index_find_all(w->index, &ids[5], places, 2, &count, &err));
	assert_int_equal(count, 2);
	assert_true(find(w, 5, &place));
	assert_true(index_pack_ordinal(w->index, place.pack, &ordinal));
	assert_int_equal(ordinal, 0);
	w->ledger.facts[0].state = PACK_DROPPED;
	OK(index_update(w->index, &w->ledger, &err));
	assert_true(find(w, 5, &place));
	assert_true(index_pack_ordinal(w->index, place.pack, &ordinal));
	assert_int_equal(ordinal, 1);
	reopen(w, INDEX_WRITE);
	OK(index_find_all(w->index, &ids[5], places, 8, &count, &err));
	assert_int_equal(count, 2);
}

/* Packs 0 and 1 are of two depositors, 2 is a full holder's, 3 our own without a commit. */
static void packs_that_nobody_vouches_for_come_last(void **state)
{
	struct world *w = *state;
	struct pack_added packs[4];
	uint32_t per_block = PER_BLOCK;
	struct chunk_id ids[PER_BLOCK];
	struct place places[8];
	struct buf all = BUF_EMPTY;
	static const int want[] = { 2, 3, 0, 1 };
	size_t count;

	for (uint32_t i = 0; i < PER_BLOCK; i++)
		ids[i] = chunk_id_of(&w->packs, CLASS_TEXT, i);
	for (int i = 0; i < 4; i++)
		packs[i] = make_pack(&w->packs, 0, 1, PER_BLOCK);
	for (int i = 0; i < 3; i++)
		commit_pack(&w->ledger, &packs[i]);
	w->ledger.facts[0].trusted = w->ledger.facts[1].trusted = false;
	w->ledger.facts[0].maker.bytes[0] = w->ledger.facts[1].maker.bytes[0] = 7;
	OK(try_open(w, INDEX_WRITE));
	OK(index_add_own(w->index, &packs[3], &per_block, 1, ids, &err));
	assert_false(index_has_rivals(w->index));
	OK(index_find_all(w->index, &ids[5], places, 8, &count, &err));
	assert_int_equal(count, 4);
	for (int i = 0; i < 4; i++) {
		assert_memory_equal(&index_pack(w->index, places[i].pack)->name, &packs[want[i]].name,
		                    sizeof packs[0].name);
		assert_int_equal(index_pack_trusted(w->index, places[i].pack), i < 2);
	}
	OK(index_find_places(w->index, &ids[5], &all, &err));
	assert_int_equal(all.len, 4 * sizeof(struct place));
	assert_memory_equal(all.ptr, places, all.len);
	/* Another maker: now one may lie about the other. Our own packs count, and so does what becomes verified. */
	w->ledger.facts[1].maker.bytes[0] = 8;
	OK(index_update(w->index, &w->ledger, &err));
	assert_true(index_has_rivals(w->index));
	w->ledger.facts[1].maker = keys_holder(w->packs.keys);
	w->ledger.facts[0].trusted = true;
	OK(index_update(w->index, &w->ledger, &err));
	assert_false(index_has_rivals(w->index));
	for (int i = 0; i < 4; i++)
		assert_true(index_pack_trusted(w->index, places[i].pack));
	/* One whose originals were of several. */
	w->ledger.facts[0].trusted = false;
	w->ledger.facts[1].trusted = true;
	OK(index_update(w->index, &w->ledger, &err));
	assert_false(index_has_rivals(w->index));
	w->ledger.facts[0].maker.bytes[0] = 0;
	OK(index_update(w->index, &w->ledger, &err));
	assert_true(index_has_rivals(w->index));
	buf_release(&all);
}

/* ---- two processes ---- */

static void a_second_writer_is_told_that_it_is_busy(void **state)
{
	struct world *w = *state;
	struct index *first;

	OK(try_open(w, INDEX_WRITE));
	first = w->index;
	w->index = NULL;
	FAILS(ERR_BUSY, try_open(w, INDEX_WRITE));
	assert_null(w->index);
	w->index = first;
}

#ifndef __SANITIZE_THREAD__
/* The child writes and waits; we read beside it, also what it has not written down yet. */
static void a_reader_runs_beside_a_writer_of_another_process(void **state)
{
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 60), two;
	int to_child[2], to_parent[2], status;
	char byte = 0;
	pid_t child;

	assert_int_equal(pipe(to_child) | pipe(to_parent), 0);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct world mine = { .packs = w->packs, .ledger = w->ledger };
		bool ok = try_open(&mine, INDEX_WRITE) == ERR_OK && write(to_parent[1], "x", 1) == 1 &&
		          read(to_child[0], &byte, 1) == 1;

		index_free(&mine.index);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(read(to_parent[0], &byte, 1), 1);
	two = commit_new(w, 9000, 2);
	FAILS(ERR_BUSY, try_open(w, INDEX_WRITE));
	OK(try_open(w, INDEX_READ));
	assert_pack_found(w, &one, 0, 60);
	assert_pack_found(w, &two, 9000, 2); /* held in memory */
	assert_int_equal(index_count(w->index), 62 * PER_BLOCK);
	assert_int_equal(write(to_child[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_pack_found(w, &one, 0, 60);
	assert_int_equal(w->notices, 0);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
}
#endif

static void what_a_killed_writer_left_is_whole_or_read_again(void **state)
{
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 220), two = commit_new(w, 20000, 2);
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct world mine = { .packs = w->packs, .ledger = w->ledger };

		_exit(try_open(&mine, INDEX_WRITE) == ERR_OK ? 0 : 1); /* not closed: memory is lost */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	OK(try_open(w, INDEX_WRITE));
	assert_pack_found(w, &one, 0, 220);
	assert_pack_found(w, &two, 20000, 2);
	assert_int_equal(w->rebuilds, 0);
}

/* ---- damage ---- */

typedef void (*file_change)(const char *path);

static void truncate_file(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
}

static void overwrite_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	wipe_range(fd, 0, (size_t)st.st_size);
	close(fd);
}

static void remove_file(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

/* Applies CHANGE to every file of the database whose name ends with or begins with PART. */
static uint32_t damage(struct world *w, const char *part, file_change change)
{
	char path[512];
	struct dirent *entry;
	uint32_t count = 0;
	DIR *folder;

	snprintf(path, sizeof path, "%s/index", w->packs.index_path);
	folder = opendir(path);
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		if (!strstr(entry->d_name, part))
			continue;
		snprintf(path, sizeof path, "%s/index/%s", w->packs.index_path, entry->d_name);
		change(path);
		count++;
	}
	closedir(folder);
	return count;
}

static void a_damaged_index_is_rebuilt_with_a_notice(void **state)
{
	static const struct {
		const char *part;
		file_change change;
	} cases[] = {
		{ ".sst", truncate_file },     { ".sst", overwrite_file },     { ".sst", remove_file },
		{ "MANIFEST", truncate_file }, { "MANIFEST", overwrite_file }, { "MANIFEST", remove_file },
		{ "CURRENT", truncate_file },  { "CURRENT", overwrite_file },
	};
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 60), two = commit_new(w, 5000, 2);

	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		uint32_t before;

		reopen(w, INDEX_WRITE);
		index_free(&w->index);
		before = w->rebuilds;
		assert_true(damage(w, cases[i / 2].part, cases[i / 2].change) > 0);
		OK(try_open(w, i % 2 ? INDEX_WRITE : INDEX_READ));
		assert_pack_found(w, &one, 0, 60);
		assert_pack_found(w, &two, 5000, 2);
		if (w->rebuilds == before)
			fail_msg("no notice after damage %zu", i);
		assert_non_null(strstr(w->last_notice, "2 packs"));
	}
}

static void a_removed_index_is_made_anew(void **state)
{
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 60);

	for (int mode = INDEX_READ; mode <= INDEX_WRITE; mode++) {
		reopen(w, (enum index_mode)mode);
		index_free(&w->index);
		OK(file_remove_tree(w->packs.index_path, &err));
		OK(try_open(w, (enum index_mode)mode));
		assert_pack_found(w, &one, 0, 60);
	}
}

/* Damage that only reading a block of a file meets, while the index is in use. */
static void damage_found_by_a_lookup_is_mended_on_the_spot(void **state)
{
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 220), two = commit_new(w, 20000, 60);

	for (int mode = INDEX_READ; mode <= INDEX_WRITE; mode++) {
		reopen(w, INDEX_WRITE);
		reopen(w, (enum index_mode)mode);
		assert_true(damage(w, ".sst", overwrite_file) > 0);
		assert_pack_found(w, &one, 0, 220);
		assert_pack_found(w, &two, 20000, 60);
	}
	assert_true(w->rebuilds >= 2);
}

static void an_index_of_another_repository_is_not_believed(void **state)
{
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 3), two;
	struct keys *old = w->packs.keys;
	struct place place;

	OK(try_open(w, INDEX_WRITE));
	index_free(&w->index);
	w->packs.keys = NULL;
	OK(keys_new(&w->packs.keys, &err));
	w->ledger.count = 0;
	two = commit_new(w, 3000, 2);
	OK(try_open(w, INDEX_WRITE));
	assert_int_equal(w->rebuilds, 1);
	assert_false(find(w, 1, &place));
	assert_pack_found(w, &two, 3000, 2);
	keys_free(&old);
	(void)one;
}

static void a_pack_that_cannot_be_read_is_told_and_left_out(void **state)
{
	struct world *w = *state;
	struct pack_added one = commit_new(w, 0, 3), two = commit_new(w, 1000, 3), three = commit_new(w, 2000, 3);
	struct place place;

	OK(store_delete(w->packs.store, pack_path(&two.name).text, &err));
	OK(try_open(w, INDEX_WRITE));
	assert_int_equal(w->notices, 2); /* a new index, and the pack */
	assert_pack_found(w, &one, 0, 3);
	assert_pack_found(w, &three, 2000, 3);
	assert_false(find(w, 1001, &place));
	OK(index_update(w->index, &w->ledger, &err));
	assert_int_equal(w->notices, 2); /* told once */
}

static void entries_of_dead_packs_are_removed(void **state)
{
	struct world *w = *state;
	struct index_db *db = NULL;
	struct index_entry entries[3] = { { { { 1 } }, { 0, 1, 2 } },
		                          { { { 2 } }, { 1, 3, 4 } },
		                          { { { 1 } }, { 1, 5, 6 } } };
	struct index_mark marks[2] = { { .number = 0, .chunks = 1 }, { .number = 1, .chunks = 2 } };
	bool dead[2] = { true, false };
	struct index_cursor *c;
	struct place place;

	OK(file_make_folders(w->packs.index_path, 0700, &err));
	OK(index_db_open(w->packs.index_path, keys_repo(w->packs.keys), false, &db, &err));
	OK(index_db_put(db, "/nowhere", entries, 3, marks, 2, &err));
	OK(index_db_clear(db, dead, 2, &err));
	c = index_cursor_open(db);
	index_cursor_seek(c, &entries[0].id);
	assert_true(index_cursor_next(c, &place));
	assert_int_equal(place.pack, 1);
	assert_int_equal(place.block, 5);
	assert_false(index_cursor_next(c, &place));
	OK(index_cursor_error(c, &err));
	index_cursor_free(&c);
	index_db_free(&db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
	const struct CMUnitTest tests[] = {
	/* These fork, which RocksDB's background threads do not survive: before this process has any. */
#ifndef __SANITIZE_THREAD__ /* which cannot follow a fork that starts threads */
		TEST(a_reader_runs_beside_a_writer_of_another_process),
#endif
		TEST(what_a_killed_writer_left_is_whole_or_read_again),
		TEST(an_empty_index_is_certainly_empty),
		TEST(live_packs_are_added_at_open_and_at_update),
		TEST(a_reader_makes_the_index_when_nobody_else_does),
		TEST(own_packs_count_at_once_and_later_only_when_committed),
		TEST(own_packs_beyond_the_memory_limit_are_written_down),
		TEST(condemned_packs_do_not_count),
		TEST(among_several_places_the_first_committed_wins),
		TEST(packs_that_nobody_vouches_for_come_last),
		TEST(a_second_writer_is_told_that_it_is_busy),
		TEST(a_damaged_index_is_rebuilt_with_a_notice),
		TEST(a_removed_index_is_made_anew),
		TEST(damage_found_by_a_lookup_is_mended_on_the_spot),
		TEST(an_index_of_another_repository_is_not_believed),
		TEST(a_pack_that_cannot_be_read_is_told_and_left_out),
		TEST(entries_of_dead_packs_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
