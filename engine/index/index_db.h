/*
 * index_db: the index's tables in RocksDB; the only file that knows rocksdb/c.h is index_db.c.
 * Format   docs/format/index.md, version 1 (local: not part of the repository).
 * Order    the entries of a pack and the mark that says that the pack is held go in as one atomic unit: one ingested
 * file or one write batch. Whatever a crash leaves, a marked pack has all of its entries.
 * Thread   any; one thread at a
 * time puts.
 */
#ifndef MAILHOLD_ENGINE_INDEX_INDEX_DB_H
#define MAILHOLD_ENGINE_INDEX_INDEX_DB_H

#include "engine/index/index.h"

struct index_db;

struct index_entry {
	struct chunk_id id;
	struct place place;
};

/* A held pack. */
struct index_mark {
	uint32_t number;
	uint32_t chunks;
	struct pack_added pack;
};

/*
 * ERR_NOT_FOUND: read only and there is none. ERR_CORRUPT: damaged, another version, or another repository's. ERR_BUSY:
 * another process has it open for writing. A writer makes what is missing.
 */
MUST_CHECK enum err_code index_db_open(const char *path, struct repo_id repo, bool read_only, struct index_db **out,
                                       struct err *e);
void index_db_free(struct index_db **db); /* what was put is on disk afterwards */

/* Visits every mark; *CLEARING is set for packs whose entries were being removed (MARK's pack is empty then). */
typedef enum err_code (*index_mark_visit)(void *ctx, const struct index_mark *mark, bool clearing, struct err *e);
MUST_CHECK enum err_code index_db_marks(struct index_db *db, index_mark_visit visit, void *ctx, struct err *e);

/* Puts entries and marks as one atomic unit. TEMPORARY is a path beside the database for the sorted file. */
MUST_CHECK enum err_code index_db_put(struct index_db *db, const char *temporary, const struct index_entry *entries,
                                      size_t entry_count, const struct index_mark *marks, size_t mark_count,
                                      struct err *e);

/* Removes every entry of the packs for which DEAD (COUNT numbers) is true, then their marks. */
MUST_CHECK enum err_code index_db_clear(struct index_db *db, const bool *dead, uint32_t count, struct err *e);

/* Walks the places of one id at a time. One thread. */
struct index_cursor;
struct index_cursor *index_cursor_open(struct index_db *db);
/* For many ids that rise: seeking walks on from where it is when that is not far. */
struct index_cursor *index_cursor_open_rising(struct index_db *db);
void index_cursor_free(struct index_cursor **c);
void index_cursor_seek(struct index_cursor *c, const struct chunk_id *id);
/* False at the end, or when damaged: ask index_cursor_error after the last. */
bool index_cursor_next(struct index_cursor *c, struct place *out);
MUST_CHECK enum err_code index_cursor_error(struct index_cursor *c, struct err *e);

#endif
