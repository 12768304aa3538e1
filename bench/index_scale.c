/*
 * index_scale: fills a client's index with invented ids by the path that a snapshot uses (index_add_own, pack by pack),
 * and tells at each power of ten and its threefold how fast entries go in and are found, and what memory and disk they
 * take. Numbers are defined in BENCHMARKS.md. usage: index_scale ENTRIES FOLDER    FOLDER is made, used and removed
 */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/crypto.h"
#include "engine/index/index.h"

#define BLOCKS    64
#define PER_BLOCK 128
#define PER_PACK  ((uint64_t)BLOCKS * PER_BLOCK) /* about as many as 32 MiB of mail have */
#define BATCH     4096                           /* ids of one rising look-up */
#define LOOKUPS   100000

struct world {
	struct store *store;
	struct keys *keys;
	struct ledger *ledger;
	struct index *index;
	struct buf cache; /* path */
	uint64_t entries;
	double looking; /* CPU s of all look-ups so far */
};

static void stop(const char *what, const struct err *e)
{
	fprintf(stderr, "index_scale: %s: %s\n", what, e->text);
	exit(1);
}

/* Ids are keyed hashes: spread evenly, in no order. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static struct chunk_id made_id(uint64_t number)
{
	struct chunk_id id;

	for (size_t i = 0; i < ID_BYTES / 8; i++) {
		uint64_t word = mix(number * 4 + i);

		memcpy(id.bytes + 8 * i, &word, 8);
	}
	return id;
}

/* ---- what it takes ---- */

/* Seconds. CPU is that of the calling thread for look-ups, and for putting all else that the process took: RocksDB merges
 * files in the background, also while ids are looked up. */
struct taken {
	double wall, cpu;
};

static double clock_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct taken now(void)
{
	return (struct taken){ clock_of(CLOCK_MONOTONIC), clock_of(CLOCK_THREAD_CPUTIME_ID) };
}

static struct taken since(struct taken begin)
{
	struct taken end = now();

	return (struct taken){ end.wall - begin.wall, end.cpu - begin.cpu };
}

static uint64_t resident_bytes(void)
{
	unsigned long all = 0, resident = 0;
	FILE *statm = fopen("/proc/self/statm", "r");

	if (!statm || fscanf(statm, "%lu %lu", &all, &resident) != 2)
		resident = 0;
	if (statm)
		fclose(statm);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t disk_bytes;

static int add_size(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)path, (void)where;
	if (kind == FTW_F)
		disk_bytes += (uint64_t)st->st_size;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

/* ---- the work ---- */

static void add_pack(struct world *w)
{
	static uint32_t per_block[BLOCKS];
	static struct chunk_id ids[PER_PACK];
	struct pack_added pack = { .name.session = 1, .bytes = 32 * MIB };
	struct err e;

	memcpy(pack.name.random, &w->entries, sizeof w->entries);
	for (uint32_t block = 0; block < BLOCKS; block++)
		per_block[block] = PER_BLOCK;
	for (uint64_t i = 0; i < PER_PACK; i++)
		ids[i] = made_id(w->entries + i);
	if (index_add_own(w->index, &pack, per_block, BLOCKS, ids, &e))
		stop("adding", &e);
	w->entries += PER_PACK;
}

static struct taken fill_to(struct world *w, uint64_t entries)
{
	struct taken begin = now();

	while (w->entries < entries)
		add_pack(w);
	return (struct taken){ since(begin).wall, clock_of(CLOCK_PROCESS_CPUTIME_ID) - w->looking };
}

/* Looks up LOOKUPS ids that are there, or that are not, each by itself. */
static struct taken look_up(struct world *w, bool there)
{
	struct taken begin = now();
	struct place place;
	struct err e;
	bool found;

	for (uint64_t i = 0; i < LOOKUPS; i++) {
		uint64_t number = mix(i + w->entries) % w->entries;
		struct chunk_id id = made_id(there ? number : number + (UINT64_C(1) << 60));

		if (index_find(w->index, &id, 1, &place, &found, &e))
			stop("looking up", &e);
		if (found != there || (found && place.slot != number % PER_BLOCK)) {
			fprintf(stderr, "index_scale: id %" PRIu64 " is not where it was put\n", number);
			exit(1);
		}
	}
	return since(begin);
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, ID_BYTES);
}

static struct taken look_up_rising(struct world *w)
{
	static struct chunk_id ids[BATCH];
	static struct place places[BATCH];
	static bool found[BATCH];
	struct taken begin = now();
	struct err e;

	for (uint64_t batch = 0; batch < LOOKUPS / BATCH; batch++) {
		size_t count = 1;

		for (uint64_t i = 0; i < BATCH; i++)
			ids[i] = made_id(mix(batch * BATCH + i + w->entries) % w->entries);
		qsort(ids, BATCH, sizeof *ids, compare_ids);
		for (size_t i = 1; i < BATCH; i++)
			if (memcmp(&ids[i], &ids[count - 1], ID_BYTES) != 0)
				ids[count++] = ids[i];
		if (index_find_rising(w->index, ids, count, places, found, &e))
			stop("looking up", &e);
		for (size_t i = 0; i < count; i++)
			if (!found[i]) {
				fprintf(stderr, "index_scale: an id is gone\n");
				exit(1);
			}
	}
	return since(begin);
}

static void tell(const char *what, uint64_t count, struct taken t)
{
	printf("  %-28s %10.0f /s wall  %10.0f /s CPU\n", what, (double)count / t.wall, (double)count / t.cpu);
}

static void measure(struct world *w, uint64_t added, struct taken filling)
{
	struct taken there = look_up(w, true), absent = look_up(w, false), rising = look_up_rising(w);
	struct rusage used;

	w->looking += there.cpu + absent.cpu + rising.cpu;
	printf("%" PRIu64 " entries\n", w->entries);
	printf("  %-28s %10.0f /s wall  %10.0f /s CPU, of all so far\n", "put", (double)added / filling.wall,
	       (double)w->entries / filling.cpu);
	tell("found, one by one", LOOKUPS, there);
	tell("not found, one by one", LOOKUPS, absent);
	tell("found, 4,096 in order", LOOKUPS / BATCH * BATCH, rising);
	disk_bytes = 0;
	nftw((const char *)w->cache.ptr, add_size, 32, FTW_PHYS);
	getrusage(RUSAGE_SELF, &used);
	printf("  memory %.1f MB, at most %.1f MB; disk %.1f MB, %.1f bytes an entry\n", (double)resident_bytes() / 1e6,
	       (double)used.ru_maxrss * 1024 / 1e6, (double)disk_bytes / 1e6, (double)disk_bytes / (double)w->entries);
	fflush(stdout);
}

static void open_world(struct world *w, const char *folder)
{
	struct buf store = BUF_EMPTY;
	struct err e;

	if (mkdir(folder, 0700) != 0) {
		fprintf(stderr, "index_scale: cannot make %s: %s\n", folder, strerror(errno));
		exit(1);
	}
	if (file_join(folder, "store", &store, &e) || file_join(folder, "cache", &w->cache, &e) || crypto_start(&e) ||
	    keys_new(&w->keys, &e) || store_create((const char *)store.ptr, &w->store, &e) ||
	    ledger_create(w->store, w->keys, 1, 1, &e) ||
	    ledger_open(w->store, w->keys, NULL, NULL, NULL, &w->ledger, &e) ||
	    index_open((const char *)w->cache.ptr, w->store, w->keys, w->ledger, INDEX_WRITE, NULL, NULL, &w->index,
	               &e))
		stop("start", &e);
	buf_release(&store);
}

int main(int argc, char **argv)
{
	struct world w = { 0 };
	uint64_t entries = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;

	if (!entries) {
		fprintf(stderr, "usage: index_scale ENTRIES FOLDER\n");
		return 2;
	}
	open_world(&w, argv[2]);
	for (uint64_t next = 1000000; w.entries < entries; next = next % 3 ? next * 3 : next / 3 * 10) {
		uint64_t before = w.entries;
		struct taken filling = fill_to(&w, next < entries ? next : entries);

		measure(&w, w.entries - before, filling);
	}
	index_free(&w.index);
	ledger_free(&w.ledger);
	keys_free(&w.keys);
	store_free(&w.store);
	buf_release(&w.cache);
	nftw(argv[2], remove_one, 32, FTW_DEPTH | FTW_PHYS);
	return 0;
}
