/*
 * stages: how fast each step of a message's way into the repository is, on one thread, each beside its own limit: a
 * plainer call over the same bytes that does the least a step of its kind must do. Numbers are defined in
 * BENCHMARKS.md. usage: stages FOLDER    the files below it, up to 256 MiB
 */
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>
#include <zstd.h>

#include "base/file.h"
#include "base/idmap.h"
#include "chunker/base64.h"
#include "chunker/chunker.h"
#include "chunker/cut.h"
#include "crypto/crypto.h"
#include "engine/index/index_db.h"
#include "engine/ledger/ledger.h"
#include "engine/object/block_internal.h"
#include "engine/page/page.h"

#define INPUT_BYTES_MAX (256 * MIB)
#define ROUNDS          5
#define LEVEL           3 /* the default of snapshots */

struct piece {
	enum chunk_kind kind;
	size_t at, bytes;
};

/* What every stage reads and the next one needs. Pieces lie in CHUNKS one after the other. */
struct bench {
	struct buf mail;    /* all messages */
	struct buf lengths; /* size_t each */
	struct buf chunks;
	struct buf pieces; /* struct piece */
	struct buf ids;    /* struct chunk_id, one for each piece */
	struct buf scratch;
	struct keys *keys;
	struct chunker_params params;
	struct chunker *chunker;
	struct block_codec *codec;
	struct seal_writer *seal;
	struct index_db *db;
	struct idmap table;
	uint64_t sum; /* of what stages found, so that nothing is left out by the compiler */
};

static struct bench b = { .mail.max = INPUT_BYTES_MAX,
	                  .lengths.max = 64 * MIB,
	                  .chunks.max = 2 * INPUT_BYTES_MAX,
	                  .pieces.max = 256 * MIB,
	                  .ids.max = 256 * MIB,
	                  .scratch.max = 2 * INPUT_BYTES_MAX };

static _Noreturn void stop(const char *what, const struct err *e)
{
	fprintf(stderr, "stages: %s: %s\n", what, e->text);
	exit(1);
}

static const struct piece *piece(size_t i)
{
	return (const struct piece *)(const void *)b.pieces.ptr + i;
}

static size_t piece_count(void)
{
	return b.pieces.len / sizeof(struct piece);
}

static struct span piece_bytes(size_t i)
{
	return span_of(b.chunks.ptr + piece(i)->at, piece(i)->bytes);
}

static struct chunk_id *piece_id(size_t i)
{
	return (struct chunk_id *)(void *)b.ids.ptr + i;
}

/* ---- the stages: each does all of its work once and returns the bytes, or things, that it did ---- */

static enum err_code keep_piece(void *ctx, enum chunk_kind kind, struct span bytes, struct err *e)
{
	struct piece one = { kind, b.chunks.len, bytes.len };
	enum err_code rc;

	(void)ctx;
	rc = buf_append(&b.pieces, span_of(&one, sizeof one), e);
	return rc ? rc : buf_append(&b.chunks, bytes, e);
}

static double split(struct err *e)
{
	const size_t *lengths = (const size_t *)(const void *)b.lengths.ptr;
	size_t at = 0;

	buf_clear(&b.chunks);
	buf_clear(&b.pieces);
	for (size_t i = 0; i < b.lengths.len / sizeof *lengths; i++) {
		buf_clear(&b.scratch);
		chunker_begin(b.chunker, keep_piece, NULL);
		if (chunker_feed(b.chunker, span_of(b.mail.ptr + at, lengths[i]), e) ||
		    chunker_finish(b.chunker, &b.scratch, e))
			stop("split", e);
		at += lengths[i];
	}
	return (double)b.mail.len;
}

/* Whoever looks at lines must find their ends. */
static double split_limit(struct err *e)
{
	const uint8_t *p = b.mail.ptr, *end = p + b.mail.len;

	(void)e;
	while (p && p < end) {
		p = memchr(p, '\n', (size_t)(end - p));
		b.sum++;
		p = p ? p + 1 : NULL;
	}
	return (double)b.mail.len;
}

static double encode(struct err *e)
{
	(void)e;
	for (size_t i = 0; i < piece_count(); i++)
		b.sum += base64_encode(b.chunks.ptr + piece(i)->at, piece(i)->bytes, b.scratch.ptr);
	return (double)b.chunks.len;
}

static double decode(struct err *e)
{
	double bytes = 0;

	(void)e;
	/* one stretch again and again: how fast it is does not hang on the bytes */
	base64_encode(b.chunks.ptr, 48 * KIB, b.scratch.ptr);
	for (size_t done = 0; done < b.chunks.len; done += 48 * KIB) {
		b.sum += base64_decode(b.scratch.ptr, 16 * KIB, b.scratch.ptr + MIB);
		bytes += 48 * KIB;
	}
	return bytes;
}

static double copy(struct err *e)
{
	(void)e;
	for (size_t i = 0; i < piece_count(); i++) {
		memcpy(b.scratch.ptr, b.chunks.ptr + piece(i)->at, piece(i)->bytes);
		b.sum += b.scratch.ptr[piece(i)->bytes / 2];
	}
	return (double)b.chunks.len;
}

static double cut(struct err *e)
{
	size_t at = 0;

	(void)e;
	while (at < b.chunks.len) {
		at += cut_length(b.params.gear, b.chunks.ptr + at, b.chunks.len - at);
		b.sum++;
	}
	return (double)b.chunks.len;
}

/* The hash of every byte, with nothing decided; cutting leaves out what is too near to the last cut. */
static double cut_limit(struct err *e)
{
	uint64_t h = 0;

	(void)e;
	for (size_t i = 0; i < b.chunks.len; i++)
		h = (h << 1) + b.params.gear[b.chunks.ptr[i]];
	b.sum += h;
	return (double)b.chunks.len;
}

#define IDS_AT_ONCE 64

static double name(struct err *e)
{
	struct span plain[IDS_AT_ONCE];

	(void)e;
	for (size_t done = 0; done < piece_count(); done += IDS_AT_ONCE) {
		size_t some = piece_count() - done < IDS_AT_ONCE ? piece_count() - done : IDS_AT_ONCE;

		for (size_t i = 0; i < some; i++)
			plain[i] = piece_bytes(done + i);
		keys_chunk_ids(b.keys, SCOPE_CONTENT, plain, some, piece_id(done));
	}
	return (double)b.chunks.len;
}

static double name_one(struct err *e)
{
	(void)e;
	for (size_t i = 0; i < piece_count(); i++)
		keys_chunk_id(b.keys, SCOPE_CONTENT, piece_bytes(i), piece_id(i));
	return (double)b.chunks.len;
}

/* What libsodium makes of the same chunks, under a key as long as theirs. */
static double name_sodium(struct err *e)
{
	uint8_t digest[ID_BYTES], key[32] = { 1 };

	(void)e;
	for (size_t i = 0; i < piece_count(); i++) {
		crypto_generichash(digest, sizeof digest, piece_bytes(i).ptr, piece_bytes(i).len, key, sizeof key);
		b.sum += digest[0];
	}
	return (double)b.chunks.len;
}

/* What is done with a full block. */
typedef void (*full_block)(struct block_draft *draft, struct err *e);

static void pack_draft(struct block_draft *draft, struct err *e)
{
	struct span packed;
	size_t table_bytes;
	bool smaller;

	if (block_draft_count(draft) == 0)
		return;
	if (block_pack(b.codec, draft, &table_bytes, &packed, &smaller, e))
		stop("compress", e);
	b.sum += packed.len;
	block_draft_clear(draft);
}

static void seal_draft(struct block_draft *draft, struct err *e)
{
	struct block_info info;

	buf_clear(&b.scratch);
	if (block_draft_count(draft) == 0)
		return;
	if (block_seal(b.codec, draft, b.seal, seal_writer_next(b.seal), keys_repo(b.keys), &info, &b.scratch, e))
		stop("block", e);
	b.sum += b.scratch.len;
	block_draft_clear(draft);
}

/* All pieces into blocks by class, as snapshots do it. */
static double each_block(full_block full, struct err *e)
{
	struct block_draft drafts[2];

	block_draft_init(&drafts[0], CLASS_TEXT);
	block_draft_init(&drafts[1], CLASS_BINARY);
	for (size_t i = 0; i < piece_count(); i++) {
		struct block_draft *draft = &drafts[piece(i)->kind == CHUNK_BINARY];

		if (draft->bytes.len + piece(i)->bytes > block_class_target(draft->class))
			full(draft, e);
		if (block_draft_add(draft, piece_id(i), piece_bytes(i), e))
			stop("block", e);
	}
	for (size_t i = 0; i < 2; i++) {
		full(&drafts[i], e);
		block_draft_release(&drafts[i]);
	}
	return (double)b.chunks.len;
}

/* Laid out and compressed. */
static double compress(struct err *e)
{
	return each_block(pack_draft, e);
}

/* Compressed, sealed, opened and compared. */
static double block_stage(struct err *e)
{
	return each_block(seal_draft, e);
}

static double block_limit(struct err *e)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();

	(void)e;
	for (size_t at = 0; context && at < b.chunks.len; at += MIB)
		b.sum += ZSTD_compressCCtx(context, b.scratch.ptr, ZSTD_compressBound(MIB), b.chunks.ptr + at,
		                           b.chunks.len - at < MIB ? b.chunks.len - at : MIB, LEVEL);
	ZSTD_freeCCtx(context);
	return (double)b.chunks.len;
}

static double seal(struct err *e)
{
	for (size_t at = 0; at < b.chunks.len; at += MIB) {
		struct span plain = span_first(span_skip(buf_span(&b.chunks), at),
		                               b.chunks.len - at < MIB ? b.chunks.len - at : MIB);

		buf_clear(&b.scratch);
		if (seal_writer_seal(b.seal, seal_writer_next(b.seal), span_cstr("stages"), plain, &b.scratch, e))
			stop("seal", e);
	}
	return (double)b.chunks.len;
}

/* The cipher by itself, into memory that is there. */
static double seal_sodium(struct err *e)
{
	uint8_t key[32] = { 1 }, nonce[24] = { 0 };

	(void)e;
	for (size_t at = 0; at < b.chunks.len; at += MIB) {
		size_t len = b.chunks.len - at < MIB ? b.chunks.len - at : MIB;

		crypto_aead_xchacha20poly1305_ietf_encrypt(b.scratch.ptr, NULL, b.chunks.ptr + at, len, NULL, 0, NULL,
		                                           nonce, key);
		b.sum += b.scratch.ptr[0];
	}
	return (double)b.chunks.len;
}

#define INDEX_ENTRIES 1000000u

/* An id that looks like any other: keyed hashes are uniform. */
static struct chunk_id made_id(uint32_t i)
{
	struct chunk_id id;

	crypto_digest(span_of(&i, sizeof i), id.bytes, sizeof id.bytes);
	return id;
}

/* The same in memory alone. */
static double table_put(struct err *e)
{
	idmap_clear(&b.table);
	for (uint32_t i = 0; i < INDEX_ENTRIES; i++)
		if (idmap_put(&b.table, made_id(i).bytes, i, e))
			stop("table", e);
	return INDEX_ENTRIES;
}

static double table_get(struct err *e)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < INDEX_ENTRIES; i++) {
		if (!idmap_get(&b.table, made_id((i * 7919u) % INDEX_ENTRIES).bytes, &value))
			stop("table: an entry is gone", e);
		b.sum += value;
	}
	return INDEX_ENTRIES;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

static char folder[] = P_tmpdir "/stages-XXXXXX";

static double index_put(struct err *e)
{
	struct index_entry *entries = calloc(INDEX_ENTRIES, sizeof *entries);
	struct index_mark mark = { .number = 0, .chunks = INDEX_ENTRIES };
	char path[64], temporary[64];

	if (!entries) {
		fputs("stages: out of memory\n", stderr);
		exit(1);
	}
	for (uint32_t i = 0; i < INDEX_ENTRIES; i++)
		entries[i] = (struct index_entry){ made_id(i), { 0, i / 100, i % 100 } };
	snprintf(path, sizeof path, "%s/index", folder);
	snprintf(temporary, sizeof temporary, "%s/index.sst", folder);
	index_db_free(&b.db);
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	if (index_db_open(path, keys_repo(b.keys), false, &b.db, e) ||
	    index_db_put(b.db, temporary, entries, INDEX_ENTRIES, &mark, 1, e))
		stop("index", e);
	free(entries);
	return INDEX_ENTRIES;
}

static double index_get(struct err *e)
{
	struct index_cursor *cursor = index_cursor_open(b.db);
	struct place place;

	if (!cursor) {
		fputs("stages: out of memory\n", stderr);
		exit(1);
	}
	for (uint32_t i = 0; i < INDEX_ENTRIES; i++) {
		struct chunk_id id = made_id((i * 7919u) % INDEX_ENTRIES);

		index_cursor_seek(cursor, &id);
		if (!index_cursor_next(cursor, &place))
			stop("index: an entry is gone", e);
		b.sum += place.slot;
	}
	index_cursor_free(&cursor);
	return INDEX_ENTRIES;
}

/* ---- pages ---- */

#define PAGE_ROWS  100000u
#define ROW_IDS    2
#define CHANGE_ONE 1000u /* one row in so many has another state in the second snapshot */

/* Chunks in memory: a length of four bytes before each. */
static struct {
	struct buf bytes;
	struct idmap at;
	struct page_roots roots[2];
} pages = { .bytes.max = 256 * MIB };

static enum err_code pages_get(void *ctx, enum block_class class, const struct chunk_id *id, struct buf *out,
                               struct err *e)
{
	uint64_t at;
	uint32_t len;

	(void)ctx, (void)class;
	if (!idmap_get(&pages.at, id->bytes, &at))
		return err_set(e, ERR_NOT_FOUND, "a chunk is gone");
	memcpy(&len, pages.bytes.ptr + at, sizeof len);
	buf_clear(out);
	return buf_append(out, span_of(pages.bytes.ptr + at + sizeof len, len), e);
}

static enum err_code pages_put(void *ctx, enum block_class class, struct span plain, struct chunk_id *id, struct err *e)
{
	uint32_t len = (uint32_t)plain.len;
	uint64_t at = pages.bytes.len;
	enum err_code rc;

	(void)ctx;
	keys_chunk_id(b.keys, block_class_scope(class), plain, id);
	if (idmap_get(&pages.at, id->bytes, &at))
		return ERR_OK;
	rc = idmap_put(&pages.at, id->bytes, at, e);
	if (!rc)
		rc = buf_append(&pages.bytes, span_of(&len, sizeof len), e);
	return rc ? rc : buf_append(&pages.bytes, plain, e);
}

static struct chunk_io pages_io(void)
{
	return (struct chunk_io){ .keys = b.keys, .get = pages_get, .put = pages_put };
}

/* Row I of snapshot WHICH: key, facts and state as long as a Maildir's. */
static struct page_row made_row(uint32_t i, int which, char text[160], struct chunk_id ids[ROW_IDS])
{
	bool changed = which && i % CHANGE_ONE == 0;

	snprintf(text, 64, "%010u.M%06uP1.home.example.org", i, i % 1000000);
	snprintf(text + 64, 64, "facts of forty bytes, more or less %08x", i * 2654435761u);
	for (uint32_t k = 0; k < ROW_IDS; k++) {
		memset(&ids[k], 0, sizeof ids[k]);
		memcpy(ids[k].bytes, &(uint64_t){ ((uint64_t)i * ROW_IDS + k) * 0x9e3779b97f4a7c15u }, 8);
	}
	return (struct page_row){ .key = span_cstr(text),
		                  .facts = span_cstr(text + 64),
		                  .state = changed ? SPAN_LIT("FS") : SPAN_LIT("S") };
}

static void build_pages(int which, struct err *e)
{
	struct chunk_io io = pages_io();
	struct page_builder *builder;
	struct chunk_id ids[ROW_IDS];
	char text[160];
	uint64_t items;

	if (page_builder_open(&io, &builder, e))
		stop("pages", e);
	for (uint32_t i = 0; i < PAGE_ROWS; i++) {
		struct page_row row = made_row(i, which, text, ids);

		if (page_builder_add(builder, &row, ids, ROW_IDS, span_first(row.facts, 20), e))
			stop("pages", e);
	}
	if (page_builder_roots(builder, &pages.roots[which], &items, e))
		stop("pages", e);
	page_builder_free(&builder);
}

static double page_write(struct err *e)
{
	buf_clear(&pages.bytes);
	idmap_clear(&pages.at);
	build_pages(0, e);
	return PAGE_ROWS;
}

/* The rows alone, copied to where they could be read again. */
static double page_write_limit(struct err *e)
{
	struct chunk_id ids[ROW_IDS];
	char text[160];

	(void)e;
	for (uint32_t i = 0; i < PAGE_ROWS; i++) {
		(void)made_row(i, 0, text, ids);
		memcpy(b.scratch.ptr + (i % 8192) * 256, text, sizeof text);
		memcpy(b.scratch.ptr + (i % 8192) * 256 + 160, ids, sizeof ids);
		b.sum += b.scratch.ptr[i];
	}
	return PAGE_ROWS;
}

static void load_both(struct page_list lists[2], struct err *e)
{
	struct chunk_io io = pages_io();

	for (int which = 0; which < 2; which++)
		if (page_list_load(&io, &pages.roots[which], &lists[which], e))
			stop("pages", e);
}

/* Looks into the pages that differ, or into all; counts the rows that do. */
static void diff_pages(bool all, struct err *e)
{
	struct chunk_io io = pages_io();
	struct page_list lists[2] = { PAGE_LIST_EMPTY, PAGE_LIST_EMPTY };
	struct page page[2] = { PAGE_EMPTY, PAGE_EMPTY };
	uint64_t differ = 0;

	load_both(lists, e);
	for (size_t p = 0; p < lists[0].count && p < lists[1].count; p++) {
		if (!all && !memcmp(&lists[0].entries[p], &lists[1].entries[p], sizeof lists[0].entries[p]))
			continue;
		for (int which = 0; which < 2; which++)
			if (page_load(&io, &lists[which].entries[p], PAGE_KEYS | PAGE_STATE, &page[which], e))
				stop("pages", e);
		for (uint32_t row = 0; row < page[0].count; row++)
			differ += !span_equal(page[0].rows[row].state, page[1].rows[row].state);
	}
	if (differ != PAGE_ROWS / CHANGE_ONE)
		stop("pages", &(struct err){ .text = "not as many rows differ as were changed" });
	for (int which = 0; which < 2; which++) {
		page_release(&page[which]);
		page_list_release(&lists[which]);
	}
}

static double page_diff(struct err *e)
{
	if (chunk_id_is_zero(&pages.roots[1].spine))
		build_pages(1, e);
	diff_pages(false, e);
	return PAGE_ROWS;
}

static double page_diff_limit(struct err *e)
{
	if (chunk_id_is_zero(&pages.roots[0].spine))
		build_pages(0, e);
	if (chunk_id_is_zero(&pages.roots[1].spine))
		build_pages(1, e);
	diff_pages(true, e);
	return PAGE_ROWS;
}

/* ---- the ledger ---- */

#define LEDGER_DAYS    5000u
#define LEDGER_RECORDS (2u * LEDGER_DAYS) /* each day a session is opened, commits and ends */
#define DETAIL_BYTES   140

static struct {
	struct store *store;
	char url[64], cache[64];
	uint8_t hash[RECORD_HASH_BYTES]; /* of the newest record */
	uint64_t next;
	bool cached;
} ledger;

/* Without syncs: ten thousand of them would be the measurement. */
static void write_object(const char *name, struct span bytes)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", ledger.url, name);
	file = fopen(path, "wb");
	if (!file || fwrite(bytes.ptr, 1, bytes.len, file) != bytes.len || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

static void add_record(enum record_kind kind, struct span payload, struct err *e)
{
	struct record r = { .number = ledger.next,
		            .epoch = keys_epoch(b.keys),
		            .holder = keys_holder(b.keys),
		            .kind = kind | RECORD_CRITICAL,
		            .payload = payload };
	struct buf stored = BUF_EMPTY;

	memcpy(r.prev_hash, ledger.hash, sizeof r.prev_hash);
	if (record_seal(b.keys, &r, &stored, e))
		stop("ledger", e);
	crypto_digest(buf_span(&stored), ledger.hash, sizeof ledger.hash);
	write_object(record_path(ledger.next++).text, buf_span(&stored));
	buf_release(&stored);
}

/* One pack and one snapshot, and the end of the session. */
static void add_day(uint32_t day, struct err *e)
{
	struct pack_added pack = { .name = { .session = ledger.next }, .bytes = 100000 + day };
	struct snapshot_entry snapshot = { .time_ms = day, .item_count = day, .item_bytes = day };
	struct commit c = { .session = ledger.next,
		            .end_session = true,
		            .first_ordinal = day,
		            .added = &pack,
		            .added_count = 1,
		            .snapshots = &snapshot,
		            .snapshot_count = 1 };
	uint8_t details[DETAIL_BYTES] = { 1 };
	struct buf payload = BUF_EMPTY;

	crypto_random(pack.name.random, sizeof pack.name.random);
	crypto_random(snapshot.id.bytes, sizeof snapshot.id.bytes);
	snapshot.sealed = span_of(details, sizeof details);
	add_record(RECORD_OPEN, SPAN_EMPTY, e);
	if (commit_encode(&c, &payload, e))
		stop("ledger", e);
	add_record(RECORD_COMMIT, buf_span(&payload), e);
	buf_release(&payload);
}

static void need_ledger(struct err *e)
{
	struct buf first = BUF_EMPTY;

	if (ledger.store)
		return;
	snprintf(ledger.url, sizeof ledger.url, "%s/store", folder);
	snprintf(ledger.cache, sizeof ledger.cache, "%s/cache", folder);
	if (store_create(ledger.url, &ledger.store, e) || ledger_create(ledger.store, b.keys, 1, 1, e) ||
	    store_get(ledger.store, record_path(0).text, RECORD_BYTES_MAX, &first, e))
		stop("ledger", e);
	crypto_digest(buf_span(&first), ledger.hash, sizeof ledger.hash);
	buf_release(&first);
	ledger.next = 1;
	for (uint32_t day = 0; day < LEDGER_DAYS; day++)
		add_day(day, e);
}

static void say_nothing(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

static double open_ledger(const char *cache, struct err *e)
{
	struct ledger *l;

	need_ledger(e);
	if (ledger_open(ledger.store, b.keys, cache, say_nothing, NULL, &l, e))
		stop("ledger", e);
	if (ledger_snapshot_count(l) != LEDGER_DAYS)
		stop("ledger", &(struct err){ .text = "snapshots are missing" });
	ledger_free(&l);
	return LEDGER_RECORDS;
}

static double ledger_read(struct err *e)
{
	return open_ledger(NULL, e);
}

/* What nobody can leave out who does not know the records yet. */
static double ledger_read_limit(struct err *e)
{
	uint8_t signature[SIGNATURE_BYTES], body[400] = { 2 };

	(void)e;
	keys_sign(b.keys, span_of(body, sizeof body), signature);
	for (uint32_t i = 0; i < LEDGER_RECORDS; i++)
		b.sum += sign_verify(keys_sign_public(b.keys), span_of(body, sizeof body), signature);
	return LEDGER_RECORDS;
}

static double ledger_warm(struct err *e)
{
	return open_ledger(ledger.cache, e);
}

static double ledger_warm_limit(struct err *e)
{
	struct buf bytes = { .max = 64 * MIB };
	uint8_t key[32] = { 1 }, nonce[24] = { 0 };

	if (!ledger.cached)
		(void)open_ledger(ledger.cache, e);
	ledger.cached = true;
	if (file_read(ledger.cache, 64 * MIB, &bytes, e))
		stop("ledger", e);
	crypto_aead_xchacha20poly1305_ietf_encrypt(b.scratch.ptr, NULL, bytes.ptr, bytes.len, NULL, 0, NULL, nonce,
	                                           key);
	b.sum += b.scratch.ptr[0] + bytes.len;
	buf_release(&bytes);
	return LEDGER_RECORDS;
}

/* ---- running them ---- */

typedef double (*stage_run)(struct err *e);

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The best of ROUNDS, in units a second: what disturbs only ever slows down. */
static double rate(stage_run run)
{
	double best = 0;

	for (int round = 0; run && round < ROUNDS; round++) {
		struct err e = { 0 };
		double begin = seconds(), done = run(&e), took = seconds() - begin;

		if (took > 0 && done / took > best)
			best = done / took;
	}
	return best;
}

static const struct {
	const char *name, *unit, *limit_name;
	double divisor;
	stage_run run, limit;
} stages[] = {
	{ "split, decode, cut", "MB/s", "memchr for line ends", 1e6, split, split_limit },
	{ "cut", "MB/s", "the hash alone", 1e6, cut, cut_limit },
	{ "chunk ids", "MB/s", "memcpy", 1e6, name, copy },
	{ "chunk ids", "MB/s", "libsodium, one by one", 1e6, name, name_sodium },
	{ "chunk ids, one by one", "MB/s", "libsodium, one by one", 1e6, name_one, name_sodium },
	{ "base64 encode", "MB/s", "memcpy", 1e6, encode, copy },
	{ "base64 decode", "MB/s", "memcpy", 1e6, decode, copy },
	{ "compress", "MB/s", "zstd alone", 1e6, compress, block_limit },
	{ "block, checked", "MB/s", "zstd alone", 1e6, block_stage, block_limit },
	{ "seal", "MB/s", "libsodium's cipher alone", 1e6, seal, seal_sodium },
	{ "index put", "k/s", "a table in memory", 1e3, index_put, table_put },
	{ "index get", "k/s", "a table in memory", 1e3, index_get, table_get },
	{ "page write", "k/s", "the rows, copied", 1e3, page_write, page_write_limit },
	{ "page diff, 0.1 % differ", "k/s", "all rows, compared", 1e3, page_diff, page_diff_limit },
	{ "ledger, from the store", "k/s", "signatures alone", 1e3, ledger_read, ledger_read_limit },
	{ "ledger, from its cache", "k/s", "its file, deciphered", 1e3, ledger_warm, ledger_warm_limit },
};

static int load_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	struct err e = { 0 };
	size_t len = (size_t)st->st_size;
	uint8_t *dst;
	FILE *file;

	(void)where;
	if (kind != FTW_F || len == 0 || b.mail.len + len > INPUT_BYTES_MAX)
		return 0;
	file = fopen(path, "rb");
	if (!file)
		return 0;
	if (buf_extend(&b.mail, len, &dst, &e) || buf_append(&b.lengths, span_of(&len, sizeof len), &e))
		stop(path, &e);
	if (fread(dst, 1, len, file) != len)
		stop(path, &e);
	fclose(file);
	return 0;
}

static void prepare(const char *from)
{
	struct err e = { 0 };
	struct buf wrapped = { .max = KIB };
	uint8_t *room;

	if (crypto_start(&e) || keys_new(&b.keys, &e) ||
	    seal_writer_open(b.keys, SCOPE_CONTENT, &b.seal, &wrapped, &e) || block_codec_open(LEVEL, &b.codec, &e))
		stop("start", &e);
	keys_gear_table(b.keys, b.params.gear);
	if (chunker_open(&b.params, &b.chunker, &e) || buf_extend(&b.scratch, 4 * MIB, &room, &e))
		stop("start", &e);
	nftw(from, load_one, 32, FTW_PHYS);
	split(&e);
	if (b.chunks.len < MIB) {
		fprintf(stderr, "stages: %s has too little mail to measure\n", from);
		exit(1);
	}
	if (buf_extend(&b.ids, piece_count() * sizeof(struct chunk_id), &room, &e) || !mkdtemp(folder))
		stop("start", &e);
	name(&e);
	buf_release(&wrapped);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: stages FOLDER\n");
		return 2;
	}
	prepare(argv[1]);
	printf("%zu messages, %.1f MB; %zu parts, %.1f MB\n", b.lengths.len / sizeof(size_t), (double)b.mail.len / 1e6,
	       piece_count(), (double)b.chunks.len / 1e6);
	for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
		double limit = rate(stages[i].limit) / stages[i].divisor;
		double found = rate(stages[i].run) / stages[i].divisor;

		printf("%-24s %8.0f %-5s %5.2f of %-24s %8.0f\n", stages[i].name, found, stages[i].unit, found / limit,
		       stages[i].limit_name, limit);
	}
	index_db_free(&b.db);
	idmap_release(&b.table);
	store_free(&ledger.store);
	idmap_release(&pages.at);
	buf_release(&pages.bytes);
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return b.sum == 0; /* never: it keeps the work from being left out */
}
