/*
 * front: what the ways of compressing cost and give, on the chunks of real mail. The files of a folder are split as a snapshot
 * splits them, each chunk counts once, and the chunks of each class are compressed at several levels, in blocks of two sizes,
 * as they come or put in order of likeness within a window. Numbers are defined in BENCHMARKS.md. usage: front FOLDER
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <zstd.h>

#include "base/idmap.h"
#include "chunker/chunker.h"
#include "crypto/crypto.h"

#define INPUT_BYTES_MAX (512 * MIB)
#define LIKENESS_BYTES  64 /* chunks that begin alike lie side by side */

enum class { ITEM, TEXT, BINARY, CLASSES };
static const char *const class_names[CLASSES] = { "item", "text", "binary" };

struct piece {
	size_t at, bytes;
};

/* The chunks of one class, in the order of the snapshot. */
static struct class_chunks {
	struct buf bytes;
	struct buf pieces; /* struct piece */
} classes[CLASSES];

static struct keys *keys;
static struct chunker *chunker;
static struct idmap seen;
static struct buf recipe = { .max = CHUNKER_RECIPE_BYTES_MAX };
static uint64_t input_bytes;

static _Noreturn void stop(const char *what, const struct err *e)
{
	fprintf(stderr, "front: %s: %s\n", what, e->text);
	exit(1);
}

/* ---- the chunks ---- */

static enum err_code keep(enum class class, struct span bytes, struct err *e)
{
	struct class_chunks *to = &classes[class];
	struct piece one = { to->bytes.len, bytes.len };
	struct chunk_id id;
	uint64_t ignored;
	enum err_code rc;

	keys_chunk_id(keys, SCOPE_CONTENT, bytes, &id);
	if (idmap_get(&seen, id.bytes, &ignored))
		return ERR_OK;
	rc = idmap_put(&seen, id.bytes, 0, e);
	if (!rc)
		rc = buf_append(&to->pieces, span_of(&one, sizeof one), e);
	return rc ? rc : buf_append(&to->bytes, bytes, e);
}

static enum err_code keep_part(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e)
{
	(void)ctx;
	return keep(kind == CHUNK_TEXT ? TEXT : BINARY, bytes, e);
}

static void split_file(const char *path)
{
	struct err e = { 0 };
	struct stat st;
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;
	size_t len;

	if (!file || fstat(fileno(file), &st) != 0)
		stop(path, &(struct err){ .text = "cannot be opened" });
	len = (size_t)st.st_size;
	bytes = malloc(len + 1);
	if (!bytes || fread(bytes, 1, len, file) != len)
		stop(path, &(struct err){ .text = "cannot be read" });
	fclose(file);
	buf_clear(&recipe);
	chunker_begin(chunker, keep_part, NULL);
	if (chunker_feed(chunker, span_of(bytes, len), &e) || chunker_finish(chunker, &recipe, &e) ||
	    keep(ITEM, buf_span(&recipe), &e))
		stop(path, &e);
	free(bytes);
}

static char **paths;
static size_t path_count;

static int note_path(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)where;
	if (kind != FTW_F || st->st_size == 0 || input_bytes + (uint64_t)st->st_size > INPUT_BYTES_MAX)
		return 0;
	if (path_count % 1024 == 0)
		paths = realloc(paths, (path_count + 1024) * sizeof *paths);
	if (!paths || !(paths[path_count] = strdup(path)))
		exit(1);
	path_count++;
	input_bytes += (uint64_t)st->st_size;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Folder by folder and in the order of names, as snapshots go. */
static void split_all(const char *folder)
{
	nftw(folder, note_path, 32, FTW_PHYS);
	if (path_count)
		qsort(paths, path_count, sizeof *paths, by_name);
	for (size_t i = 0; i < path_count; i++) {
		split_file(paths[i]);
		free(paths[i]);
	}
	free(paths);
}

/* ---- ways of compressing them ---- */

struct way {
	int level;
	size_t block;
	size_t window; /* chunks within so many bytes are put in order of likeness; 0: as they come */
};

struct cost {
	double stored, pack_s, unpack_s; /* MB, seconds of processor time */
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const struct class_chunks *sorting;

static struct span likeness(const struct piece *p)
{
	return span_of(sorting->bytes.ptr + p->at, p->bytes < LIKENESS_BYTES ? p->bytes : LIKENESS_BYTES);
}

static int by_likeness(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int order = span_compare(likeness(x), likeness(y));

	return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* The class's bytes, in the order of WAY. */
static uint8_t *laid_out(const struct class_chunks *c, const struct way *way)
{
	size_t count = c->pieces.len / sizeof(struct piece), bytes = 0, first = 0, window = 0;
	struct piece *pieces = malloc(c->pieces.len + 1);
	uint8_t *out = malloc(c->bytes.len + 1);

	if (!pieces || !out)
		exit(1);
	memcpy(pieces, c->pieces.ptr, c->pieces.len);
	sorting = c;
	for (size_t i = 0; way->window && i < count; i++) {
		window += pieces[i].bytes;
		if (window < way->window && i + 1 < count)
			continue;
		qsort(pieces + first, i + 1 - first, sizeof *pieces, by_likeness);
		first = i + 1;
		window = 0;
	}
	for (size_t i = 0; i < count; i++) {
		memcpy(out + bytes, c->bytes.ptr + pieces[i].at, pieces[i].bytes);
		bytes += pieces[i].bytes;
	}
	free(pieces);
	return out;
}

static struct cost try_way(const struct class_chunks *c, const struct way *way)
{
	size_t bound = ZSTD_compressBound(way->block);
	uint8_t *plain = laid_out(c, way), *packed = malloc(bound), *back = malloc(way->block);
	ZSTD_CCtx *pack = ZSTD_createCCtx();
	ZSTD_DCtx *unpack = ZSTD_createDCtx();
	struct cost cost = { 0 };

	if (!packed || !back || !pack || !unpack)
		exit(1);
	for (size_t at = 0; at < c->bytes.len; at += way->block) {
		size_t len = c->bytes.len - at < way->block ? c->bytes.len - at : way->block;
		double begin = seconds(), between;
		size_t got = ZSTD_compressCCtx(pack, packed, bound, plain + at, len, way->level);

		between = seconds();
		if (ZSTD_isError(got) || ZSTD_decompressDCtx(unpack, back, way->block, packed, got) != len ||
		    memcmp(back, plain + at, len) != 0) {
			fprintf(stderr, "front: zstd gives other bytes back\n");
			exit(1);
		}
		cost.pack_s += between - begin;
		cost.unpack_s += seconds() - between;
		cost.stored += (double)(got < len ? got : len) / 1e6;
	}
	ZSTD_freeCCtx(pack);
	ZSTD_freeDCtx(unpack);
	free(plain);
	free(packed);
	free(back);
	return cost;
}

static void tell_class(enum class class)
{
	static const int levels[] = { -1, 1, 2, 3, 5, 6, 7, 9, 12 };
	static const size_t blocks[] = { MIB, 4 * MIB }, windows[] = { 0, 8 * MIB };
	double raw = (double)classes[class].bytes.len / 1e6;

	printf("\n%s: %zu chunks, %.1f MB\n", class_names[class], classes[class].pieces.len / sizeof(struct piece),
	       raw);
	printf("%5s %5s %8s %9s %7s %7s %9s\n", "level", "MiB", "likeness", "stored MB", "ratio", "pack s", "unpack s");
	for (size_t w = 0; w < ARRAY_LEN(windows); w++)
		for (size_t b = 0; b < ARRAY_LEN(blocks); b++)
			for (size_t l = 0; l < ARRAY_LEN(levels); l++) {
				struct way way = { levels[l], blocks[b], windows[w] };
				struct cost cost = try_way(&classes[class], &way);

				printf("%5d %5zu %8s %9.3f %7.3f %7.3f %9.3f\n", way.level, way.block / MIB,
				       way.window ? "8 MiB" : "-", cost.stored, raw / cost.stored, cost.pack_s,
				       cost.unpack_s);
				fflush(stdout);
			}
}

int main(int argc, char **argv)
{
	struct chunker_params params;
	struct err e = { 0 };

	if (argc != 2) {
		fprintf(stderr, "usage: front FOLDER\n");
		return 2;
	}
	for (int class = 0; class < CLASSES; class ++) {
		classes[class].bytes.max = INPUT_BYTES_MAX;
		classes[class].pieces.max = INPUT_BYTES_MAX;
	}
	if (crypto_start(&e) || keys_new(&keys, &e))
		stop("start", &e);
	keys_gear_table(keys, params.gear);
	if (chunker_open(&params, &chunker, &e))
		stop("start", &e);
	split_all(argv[1]);
	printf("%zu messages, %.1f MB\n", path_count, (double)input_bytes / 1e6);
	for (int class = 0; class < CLASSES; class ++)
		tell_class((enum class) class);
	for (int class = 0; class < CLASSES; class ++) {
		buf_release(&classes[class].bytes);
		buf_release(&classes[class].pieces);
	}
	buf_release(&recipe);
	idmap_release(&seen);
	chunker_free(&chunker);
	keys_free(&keys);
	return 0;
}
