#include "engine/index/index_db.h"

#include <inttypes.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/wr.h"

#define KEY_CHUNK       'c'
#define KEY_PACK        'p'
#define KEY_VERSION     'v'
#define PREFIX_BYTES    (1 + ID_BYTES)
#define CHUNK_KEY_BYTES (PREFIX_BYTES + 4)
#define MARK_KEY_BYTES                                                                                                 \
	PREFIX_BYTES /* padded: the iterator asks for the prefix of whatever key follows the last chunk */
#define MARK_BYTES      (8 + 16 + 8 + PACK_HEADER_HASH_BYTES + 4)
#define VALUE_BYTES_MAX 10
#define VERSION_TEXT    "mailhold index 1"
#define VERSION_BYTES   (sizeof VERSION_TEXT - 1 + ID16_BYTES)
/* Below this a write batch is cheaper than a file of its own: measured, see docs/format/index.md. */
#define INGEST_ENTRIES_MIN 8192
#define CLEAR_BATCH        4096
#define CACHE_BYTES        (8 * MIB)
#define MEMTABLE_BYTES     (4 * MIB)

struct index_db {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_cache_t *cache;
	rocksdb_readoptions_t *prefix_reads; /* within one id's prefix, by the filters */
	rocksdb_readoptions_t *scan_reads;
	rocksdb_writeoptions_t *writes;
	uint8_t version[VERSION_BYTES];
};

/* ---- errors ---- */

/* RocksDB's C API tells its status as text only. Frees TEXT. */
static enum err_code db_error(struct err *e, char *text, const char *doing)
{
	static const struct {
		const char *word;
		enum err_code code;
	} known[] = {
		{ "While lock file", ERR_BUSY },      { "lock hold by", ERR_BUSY },
		{ "No space left", ERR_NO_SPACE },    { "Disk quota exceeded", ERR_NO_SPACE },
		{ "Too many open files", ERR_LIMIT }, { "Cannot allocate memory", ERR_NO_MEMORY },
		{ "Permission denied", ERR_DENIED },  { "Read-only file system", ERR_DENIED },
		{ "does not exist", ERR_NOT_FOUND },  { "Corruption", ERR_CORRUPT },
		{ "Invalid argument", ERR_CORRUPT },  { "Not implemented", ERR_CORRUPT },
		{ "No such file", ERR_CORRUPT },
	};
	enum err_code code = ERR_IO;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strstr(text, known[i].word)) {
			code = known[i].code;
			break;
		}
	}
	err_set(e, code, "local index, %s: %.300s", doing, text);
	rocksdb_free(text);
	return code;
}

/* ---- open ---- */

static void set_table(struct index_db *db)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	/* A lookup is "any key with this id in front": the filter holds ids, not keys with a pack number. */
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_block_based_options_set_whole_key_filtering(table, 0);
	rocksdb_block_based_options_set_format_version(table, 5);
	rocksdb_block_based_options_set_block_cache(table, db->cache);
	rocksdb_options_set_block_based_table_factory(db->options, table);
	rocksdb_block_based_options_destroy(table);
}

static void set_options(struct index_db *db, bool read_only)
{
	rocksdb_options_t *o = db->options;

	rocksdb_options_set_create_if_missing(o, !read_only);
	rocksdb_options_set_paranoid_checks(o, 1);
	rocksdb_options_set_prefix_extractor(o, rocksdb_slicetransform_create_fixed_prefix(PREFIX_BYTES));
	rocksdb_options_set_compression(o, rocksdb_no_compression); /* ids do not compress */
	rocksdb_options_set_write_buffer_size(o, MEMTABLE_BYTES);
	rocksdb_options_set_max_write_buffer_number(o, 2);
	/* All files stay open: a reader keeps what a writer deletes beside it. Files grow to 64 MiB, so they are few.
	 */
	rocksdb_options_set_max_open_files(o, -1);
	rocksdb_options_set_max_file_opening_threads(o, 1);
	rocksdb_options_set_max_background_jobs(o, 2);
	/* Says nothing: an error line that cannot be written ends the process, for its log asserts that writes work. */
	rocksdb_options_set_info_log_level(o, 5);
	rocksdb_options_set_keep_log_file_num(o, 1);
	rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	rocksdb_options_set_stats_persist_period_sec(o, 0);
	rocksdb_options_set_manifest_preallocation_size(o, 64 * KIB);
	set_table(db);
}

/* An empty database, or one of our version and repository. */
static enum err_code check_version(struct index_db *db, struct err *e)
{
	char *failed = NULL;
	size_t len = 0;
	static const uint8_t key[MARK_KEY_BYTES] = { KEY_VERSION };
	char *got = rocksdb_get(db->db, db->scan_reads, (const char *)key, sizeof key, &len, &failed);
	rocksdb_iterator_t *any;
	enum err_code rc = ERR_OK;

	if (failed)
		return db_error(e, failed, "reading its version");
	if (got) {
		if (!span_equal(span_of(got, len), span_of(db->version, VERSION_BYTES)))
			rc = err_set(e, ERR_CORRUPT, "the local index is of another version or repository");
		rocksdb_free(got);
		return rc;
	}
	any = rocksdb_create_iterator(db->db, db->scan_reads);
	rocksdb_iter_seek_to_first(any);
	rocksdb_iter_get_error(any, &failed);
	if (failed)
		rc = db_error(e, failed, "looking for its version");
	else if (rocksdb_iter_valid(any))
		rc = err_set(e, ERR_CORRUPT, "the local index has no version");
	rocksdb_iter_destroy(any);
	return rc;
}

static void make_options(struct index_db *db, struct repo_id repo, bool read_only)
{
	db->options = rocksdb_options_create();
	db->cache = rocksdb_cache_create_lru(CACHE_BYTES);
	db->prefix_reads = rocksdb_readoptions_create();
	db->scan_reads = rocksdb_readoptions_create();
	db->writes = rocksdb_writeoptions_create();
	rocksdb_readoptions_set_prefix_same_as_start(db->prefix_reads, 1);
	rocksdb_readoptions_set_total_order_seek(db->scan_reads, 1);
	rocksdb_readoptions_set_fill_cache(db->scan_reads, 0);
	rocksdb_writeoptions_disable_WAL(db->writes, 1); /* a cache: what a crash takes is read from the packs again */
	memcpy(db->version, VERSION_TEXT, sizeof VERSION_TEXT - 1);
	memcpy(db->version + sizeof VERSION_TEXT - 1, repo.bytes, ID16_BYTES);
	set_options(db, read_only);
}

enum err_code index_db_open(const char *path, struct repo_id repo, bool read_only, struct index_db **out, struct err *e)
{
	struct index_db *db;
	char *failed = NULL;
	struct buf current = BUF_EMPTY;
	enum err_code rc;

	/* RocksDB makes folders and files even for a failed read-only opening: look first. */
	if (read_only) {
		rc = file_join(path, "CURRENT", &current, e);
		if (!rc && access((const char *)current.ptr, F_OK) != 0)
			rc = err_set(e, ERR_NOT_FOUND, "there is no local index at %s", path);
		buf_release(&current);
		if (rc)
			return rc;
	}
	db = mem_zalloc(1, sizeof *db);
	if (!db)
		return err_no_memory(e, sizeof *db);
	make_options(db, repo, read_only);
	db->db = read_only ? rocksdb_open_for_read_only(db->options, path, 0, &failed)
	                   : rocksdb_open(db->options, path, &failed);
	rc = failed ? db_error(e, failed, "opening it") : check_version(db, e);
	if (rc)
		index_db_free(&db);
	else
		*out = db;
	return rc;
}

void index_db_free(struct index_db **db)
{
	if (!*db)
		return;
	if ((*db)->db)
		rocksdb_close((*db)->db); /* flushes what was put without a log */
	rocksdb_readoptions_destroy((*db)->prefix_reads);
	rocksdb_readoptions_destroy((*db)->scan_reads);
	rocksdb_writeoptions_destroy((*db)->writes);
	rocksdb_options_destroy((*db)->options);
	rocksdb_cache_destroy((*db)->cache);
	mem_free(*db);
	*db = NULL;
}

/* ---- keys and values ---- */

static uint8_t *put_be32(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 24);
	at[1] = (uint8_t)(v >> 16);
	at[2] = (uint8_t)(v >> 8);
	at[3] = (uint8_t)v;
	return at + 4;
}

static uint32_t get_be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void chunk_key(const struct index_entry *entry, uint8_t key[CHUNK_KEY_BYTES])
{
	key[0] = KEY_CHUNK;
	memcpy(key + 1, entry->id.bytes, ID_BYTES);
	put_be32(key + PREFIX_BYTES, entry->place.pack);
}

static size_t put_var(uint8_t *at, uint32_t v)
{
	size_t n = 0;

	for (; v > 0x7f; v >>= 7)
		at[n++] = (uint8_t)(v | 0x80);
	at[n++] = (uint8_t)v;
	return n;
}

static size_t chunk_value(const struct place *place, uint8_t value[VALUE_BYTES_MAX])
{
	size_t n = put_var(value, place->block);

	return n + put_var(value + n, place->slot);
}

static void mark_key(uint32_t number, uint8_t key[MARK_KEY_BYTES])
{
	memset(key, 0, MARK_KEY_BYTES);
	key[0] = KEY_PACK;
	put_be32(key + 1, number);
}

static enum err_code mark_encode(const struct index_mark *mark, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_u64(&w, mark->pack.name.session);
	wr_bytes(&w, span_of(mark->pack.name.random, sizeof mark->pack.name.random));
	wr_u64(&w, mark->pack.bytes);
	wr_bytes(&w, span_of(mark->pack.header_hash, PACK_HEADER_HASH_BYTES));
	wr_u32(&w, mark->chunks);
	return wr_end(&w);
}

static enum err_code mark_decode(struct span key, struct span value, struct index_mark *out, bool *clearing,
                                 struct err *e)
{
	struct index_mark got = { 0 };
	struct rd r = rd_of(value);

	if (key.len != MARK_KEY_BYTES)
		return err_set(e, ERR_CORRUPT, "the local index has a pack's key of %zu bytes", key.len);
	got.number = get_be32(key.ptr + 1);
	*clearing = value.len == 0;
	if (!*clearing) {
		got.pack.name.session = rd_u64(&r);
		rd_copy(&r, got.pack.name.random, sizeof got.pack.name.random);
		got.pack.bytes = rd_u64(&r);
		rd_copy(&r, got.pack.header_hash, PACK_HEADER_HASH_BYTES);
		got.chunks = rd_u32(&r);
		if (!rd_done(&r))
			return err_set(e, ERR_CORRUPT, "the local index has a pack's mark of %zu bytes", value.len);
	}
	*out = got;
	return ERR_OK;
}

static struct span iter_key(rocksdb_iterator_t *it)
{
	size_t len;
	const char *at = rocksdb_iter_key(it, &len);

	return span_of(at, len);
}

static struct span iter_value(rocksdb_iterator_t *it)
{
	size_t len;
	const char *at = rocksdb_iter_value(it, &len);

	return span_of(at, len);
}

enum err_code index_db_marks(struct index_db *db, index_mark_visit visit, void *ctx, struct err *e)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator(db->db, db->scan_reads);
	static const uint8_t first = KEY_PACK;
	char *failed = NULL;
	enum err_code rc = ERR_OK;

	rocksdb_iter_seek(it, (const char *)&first, 1);
	for (; !rc && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
		struct index_mark mark;
		bool clearing;

		if (iter_key(it).ptr[0] != KEY_PACK)
			break;
		rc = mark_decode(iter_key(it), iter_value(it), &mark, &clearing, e);
		if (!rc)
			rc = visit(ctx, &mark, clearing, e);
	}
	rocksdb_iter_get_error(it, &failed);
	if (failed)
		rc = db_error(e, failed, "reading its packs");
	rocksdb_iter_destroy(it);
	return rc;
}

/* ---- putting ---- */

/* Sorting moves 16 bytes, not 44; 8 bytes of a keyed hash decide nearly always. */
struct sort_key {
	uint64_t first;
	const struct index_entry *entry;
};

static int compare_sort_keys(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;
	int order;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	order = memcmp(x->entry->id.bytes, y->entry->id.bytes, ID_BYTES);
	if (order)
		return order;
	if (x->entry->place.pack != y->entry->place.pack)
		return x->entry->place.pack < y->entry->place.pack ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry; /* the first in the pack stays */
}

static struct sort_key *sort_entries(const struct index_entry *entries, size_t count)
{
	struct sort_key *keys = mem_zalloc(count ? count : 1, sizeof *keys);

	if (!keys)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *id = entries[i].id.bytes;

		keys[i].first = (uint64_t)get_be32(id) << 32 | get_be32(id + 4);
		keys[i].entry = &entries[i];
	}
	qsort(keys, count, sizeof *keys, compare_sort_keys);
	return keys;
}

/* Where entries go: a sorted file or a write batch. Both take keys in rising order here. */
struct sink {
	rocksdb_sstfilewriter_t *file;
	rocksdb_writebatch_t *batch;
	char *failed;
};

static void sink_put(struct sink *s, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	if (s->failed)
		return;
	if (s->file)
		rocksdb_sstfilewriter_put(s->file, (const char *)key, key_len, (const char *)value, value_len,
		                          &s->failed);
	else
		rocksdb_writebatch_put(s->batch, (const char *)key, key_len, (const char *)value, value_len);
}

static void sink_entries(struct sink *s, const struct sort_key *keys, size_t count)
{
	uint8_t key[CHUNK_KEY_BYTES], last[CHUNK_KEY_BYTES] = { 0 }, value[VALUE_BYTES_MAX];

	for (size_t i = 0; i < count; i++) {
		chunk_key(keys[i].entry, key);
		if (i && memcmp(key, last, sizeof key) == 0)
			continue; /* an id twice in one pack: a file takes each key once */
		sink_put(s, key, sizeof key, value, chunk_value(&keys[i].entry->place, value));
		memcpy(last, key, sizeof key);
	}
}

static enum err_code sink_marks(struct index_db *db, struct sink *s, const struct index_mark *marks, size_t count,
                                struct err *e)
{
	static const uint8_t version_key[MARK_KEY_BYTES] = { KEY_VERSION };
	struct buf value = BUF_WITH_MAX(MARK_BYTES);
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < count; i++) {
		uint8_t key[MARK_KEY_BYTES];

		buf_clear(&value);
		mark_key(marks[i].number, key);
		rc = mark_encode(&marks[i], &value, e);
		if (!rc)
			sink_put(s, key, sizeof key, value.ptr, value.len);
	}
	sink_put(s, version_key, sizeof version_key, db->version,
	         VERSION_BYTES); /* with every unit: whatever survives has it */
	buf_release(&value);
	return rc;
}

static void ingest(struct index_db *db, const char *file, char **failed)
{
	rocksdb_ingestexternalfileoptions_t *o = rocksdb_ingestexternalfileoptions_create();

	rocksdb_ingestexternalfileoptions_set_move_files(o, 1);
	rocksdb_ingestexternalfileoptions_set_snapshot_consistency(o, 0);
	rocksdb_ingest_external_file(db->db, &file, 1, o, failed);
	rocksdb_ingestexternalfileoptions_destroy(o);
}

static enum err_code put_file(struct index_db *db, const char *temporary, const struct sort_key *keys, size_t count,
                              const struct index_mark *marks, size_t mark_count, struct err *e)
{
	rocksdb_envoptions_t *env = rocksdb_envoptions_create();
	struct sink s = { .file = rocksdb_sstfilewriter_create(env, db->options) };
	enum err_code rc = ERR_OK;

	unlink(temporary); /* of a run that was killed */
	rocksdb_sstfilewriter_open(s.file, temporary, &s.failed);
	sink_entries(&s, keys, count);
	rc = sink_marks(db, &s, marks, mark_count, e);
	if (!rc && !s.failed)
		rocksdb_sstfilewriter_finish(s.file, &s.failed);
	if (!rc && !s.failed)
		ingest(db, temporary, &s.failed);
	if (s.failed)
		rc = db_error(e, s.failed, "adding a sorted file");
	rocksdb_sstfilewriter_destroy(s.file);
	rocksdb_envoptions_destroy(env);
	unlink(temporary);
	return rc;
}

static enum err_code put_batch(struct index_db *db, const struct sort_key *keys, size_t count,
                               const struct index_mark *marks, size_t mark_count, struct err *e)
{
	struct sink s = { .batch = rocksdb_writebatch_create() };
	enum err_code rc;

	sink_entries(&s, keys, count);
	rc = sink_marks(db, &s, marks, mark_count, e);
	if (!rc)
		rocksdb_write(db->db, db->writes, s.batch, &s.failed);
	if (s.failed)
		rc = db_error(e, s.failed, "adding entries");
	rocksdb_writebatch_destroy(s.batch);
	return rc;
}

enum err_code index_db_put(struct index_db *db, const char *temporary, const struct index_entry *entries,
                           size_t entry_count, const struct index_mark *marks, size_t mark_count, struct err *e)
{
	struct sort_key *keys = sort_entries(entries, entry_count);
	enum err_code rc;

	if (!keys)
		return err_no_memory(e, entry_count * sizeof *keys);
	if (entry_count >= INGEST_ENTRIES_MIN)
		rc = put_file(db, temporary, keys, entry_count, marks, mark_count, e);
	else
		rc = put_batch(db, keys, entry_count, marks, mark_count, e);
	mem_free(keys);
	return rc;
}

/* ---- clearing ---- */

static enum err_code write_batch(struct index_db *db, rocksdb_writebatch_t *batch, struct err *e)
{
	char *failed = NULL;

	rocksdb_write(db->db, db->writes, batch, &failed);
	rocksdb_writebatch_clear(batch);
	return failed ? db_error(e, failed, "removing entries") : ERR_OK;
}

static bool names_dead(struct span key, const bool *dead, uint32_t count)
{
	uint32_t number;

	if (key.len != CHUNK_KEY_BYTES)
		return false;
	number = get_be32(key.ptr + PREFIX_BYTES);
	return number < count && dead[number];
}

static enum err_code clear_entries(struct index_db *db, rocksdb_writebatch_t *batch, const bool *dead, uint32_t count,
                                   struct err *e)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator(db->db, db->scan_reads);
	char *failed = NULL;
	enum err_code rc = ERR_OK;

	rocksdb_iter_seek_to_first(it);
	for (; !rc && rocksdb_iter_valid(it) && iter_key(it).ptr[0] == KEY_CHUNK; rocksdb_iter_next(it)) {
		struct span key = iter_key(it);

		if (names_dead(key, dead, count))
			rocksdb_writebatch_delete(batch, (const char *)key.ptr, key.len);
		if (rocksdb_writebatch_count(batch) >= CLEAR_BATCH)
			rc = write_batch(db, batch, e);
	}
	rocksdb_iter_get_error(it, &failed);
	if (failed)
		rc = db_error(e, failed, "reading it");
	rocksdb_iter_destroy(it);
	return rc;
}

/*
 * Marks become empty first, so that a run that dies in between leaves no number that means a pack with some of its
 * entries; the next one finds the empty marks and starts over. All of it goes through the same memtable, which loses a
 * tail at most.
 */
enum err_code index_db_clear(struct index_db *db, const bool *dead, uint32_t count, struct err *e)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	uint8_t key[MARK_KEY_BYTES];
	enum err_code rc;

	for (uint32_t i = 0; i < count; i++) {
		mark_key(i, key);
		if (dead[i])
			rocksdb_writebatch_put(batch, (const char *)key, sizeof key, "", 0);
	}
	rc = write_batch(db, batch, e);
	if (!rc)
		rc = clear_entries(db, batch, dead, count, e);
	for (uint32_t i = 0; !rc && i < count; i++) {
		mark_key(i, key);
		if (dead[i])
			rocksdb_writebatch_delete(batch, (const char *)key, sizeof key);
	}
	if (!rc)
		rc = write_batch(db, batch, e);
	rocksdb_writebatch_destroy(batch);
	return rc;
}

/* ---- looking up ---- */

/* A step costs a twentieth of a seek, and less when many files are merged. */
#define STEPS_MAX 24

struct index_cursor {
	rocksdb_iterator_t *it;
	uint8_t prefix[PREFIX_BYTES];
	bool rising;
	bool placed; /* of a rising one: it stands somewhere */
	bool damaged;
};

struct index_cursor *index_cursor_open(struct index_db *db)
{
	struct index_cursor *c = mem_zalloc(1, sizeof *c);

	if (c)
		c->it = rocksdb_create_iterator(db->db, db->prefix_reads);
	return c;
}

struct index_cursor *index_cursor_open_rising(struct index_db *db)
{
	struct index_cursor *c = mem_zalloc(1, sizeof *c);

	if (c) {
		c->rising = true;
		c->it = rocksdb_create_iterator(db->db, db->scan_reads);
	}
	return c;
}

void index_cursor_free(struct index_cursor **c)
{
	if (!*c)
		return;
	rocksdb_iter_destroy((*c)->it);
	mem_free(*c);
	*c = NULL;
}

/* False when it is further than that. */
static bool walk_to(struct index_cursor *c)
{
	for (int step = 0; step < STEPS_MAX; step++) {
		struct span key;

		if (!rocksdb_iter_valid(c->it))
			return true;
		key = iter_key(c->it);
		if (memcmp(key.ptr, c->prefix, key.len < PREFIX_BYTES ? key.len : PREFIX_BYTES) >= 0)
			return true;
		rocksdb_iter_next(c->it);
	}
	return false;
}

void index_cursor_seek(struct index_cursor *c, const struct chunk_id *id)
{
	c->prefix[0] = KEY_CHUNK;
	memcpy(c->prefix + 1, id->bytes, ID_BYTES);
	if (c->rising && c->placed && walk_to(c))
		return;
	c->placed = true;
	rocksdb_iter_seek(c->it, (const char *)c->prefix, sizeof c->prefix);
}

bool index_cursor_next(struct index_cursor *c, struct place *out)
{
	struct span key;
	struct rd r;
	uint64_t block, slot;

	if (!rocksdb_iter_valid(c->it))
		return false;
	key = iter_key(c->it);
	if (key.len < PREFIX_BYTES || memcmp(key.ptr, c->prefix, PREFIX_BYTES) != 0)
		return false;
	r = rd_of(iter_value(c->it));
	block = rd_var(&r);
	slot = rd_var(&r);
	if (key.len != CHUNK_KEY_BYTES || !rd_done(&r) || block >= PACK_BLOCKS_MAX || slot >= BLOCK_CHUNKS_MAX) {
		c->damaged = true;
		return false;
	}
	*out = (struct place){ get_be32(key.ptr + PREFIX_BYTES), (uint32_t)block, (uint32_t)slot };
	rocksdb_iter_next(c->it);
	return true;
}

enum err_code index_cursor_error(struct index_cursor *c, struct err *e)
{
	char *failed = NULL;

	rocksdb_iter_get_error(c->it, &failed);
	if (failed)
		return db_error(e, failed, "looking up ids");
	return c->damaged ? err_set(e, ERR_CORRUPT, "the local index holds an entry that cannot be") : ERR_OK;
}
