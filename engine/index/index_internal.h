/*
 * index_internal: what the parts of the index share: the table of packs, the database, and entries held in memory.
 */
#ifndef MAILHOLD_ENGINE_INDEX_INDEX_INTERNAL_H
#define MAILHOLD_ENGINE_INDEX_INDEX_INTERNAL_H

#include <pthread.h>

#include "base/idmap.h"
#include "engine/index/index_db.h"

/* ---- entries in memory: of packs that a reader cannot write down ---- */

/* About 75 bytes an entry. Above this a reader says that the index is busy. */
#define INDEX_MEMORY_ENTRIES_MAX (1u << 20)
/*
 * A writer keeps its own new packs in memory up to here (about 10 MiB) and writes them down together: one file instead
 * of ten, and lookups need not ask the database while a first snapshot fills an empty one.
 */
#define INDEX_OWN_ENTRIES_MAX (128u << 10)

struct index_memory_place {
	struct place place;
	uint32_t next; /* index + 1 of the next place of the same id, in order of adding; 0 at the end */
};

struct index_memory {
	struct idmap first; /* id → index of its first place */
	struct index_memory_place *places;
	uint32_t count, capacity;
};

/* ERR_BUSY above the limit. */
MUST_CHECK enum err_code index_memory_add(struct index_memory *m, const struct index_entry *entry, struct err *e);
/* The place after PREVIOUS (NULL: the first) of ID; NULL at the end. */
const struct index_memory_place *index_memory_next(const struct index_memory *m, const struct chunk_id *id,
                                                   const struct index_memory_place *previous);
/* Appends every entry to OUT (struct index_entry each). */
MUST_CHECK enum err_code index_memory_entries(const struct index_memory *m, struct buf *out, struct err *e);
void index_memory_release(struct index_memory *m);

/* ---- packs ---- */

#define NO_ORDINAL UINT32_MAX

enum known_state {
	KNOWN_DEAD =
	        0, /* condemned, dropped, or of a session that is neither ours nor committed: its places do not count */
	KNOWN_LIVE,
	KNOWN_OWN /* our own, not committed yet */
};

struct known {
	struct pack_added pack;
	uint32_t ordinal; /* NO_ORDINAL until the ledger lists it */
	uint32_t chunks;
	enum known_state state;
	bool own;     /* added by this process */
	bool trusted; /* by the ledger, for our holder */
	bool held;    /* its entries are in the database or in memory */
	bool pending; /* held in memory by a writer, not written down yet */
	bool told;    /* that it cannot be read */
};

/*
 * Invariants: (1) a number never changes its pack while the index is open, and a struct known never moves; (2)
 * everything below LOCK is read under it and changed under it held exclusively; (3) whoever changes takes CHANGE first,
 * so that packs are read and files written while lookups go on.
 */
struct index {
	struct store *store;
	const struct keys *keys;
	enum index_mode mode;
	struct buf path, temporary, lock_path; /* NUL-terminated */
	int lock_fd;                           /* holds the write lock, or -1 */
	ledger_notice notice;
	void *ctx;
	struct block_codec *codec; /* for id lists that must be computed; made when first needed */
	uint64_t head;             /* newest ledger record that was followed; under CHANGE */
	pthread_mutex_t change;
	pthread_rwlock_t lock;
	/* under LOCK */
	struct index_db *db; /* NULL: everything is in memory */
	struct index_memory memory;
	struct known **packs; /* by number; NULL for numbers out of use */
	uint32_t count, capacity;
	uint32_t generation;  /* changes when DB does */
	bool rivals;          /* see index_has_rivals */
	bool filling;         /* DB is being made anew: what it lacks means nothing yet; lookups wait */
	uint32_t db_packs;    /* packs whose entries are in DB: with none there is nothing to ask */
	struct idmap by_name; /* pack name → number */
};

void index_name_key(const struct pack_name *name, uint8_t key[IDMAP_KEY_BYTES]);
/* Enters PACK under NUMBER (UINT32_MAX: the next). Under LOCK, exclusively. */
MUST_CHECK enum err_code index_learn(struct index *i, uint32_t number, const struct pack_added *pack,
                                     struct known **out, uint32_t *number_out, struct err *e);

/*
 * Reads the id lists of the packs NUMBERS that are not held and puts them into DB, or into memory when DB is NULL. A
 * pack that cannot be read is told once and left out. CHANGE is held.
 */
MUST_CHECK enum err_code index_fill(struct index *i, struct index_db *db, const uint32_t *numbers, uint32_t count,
                                    struct err *e);

/* After ERR_CORRUPT from the database GENERATION: makes it anew from the packs. */
MUST_CHECK enum err_code index_heal(struct index *i, uint32_t generation, const struct err *why, struct err *e);

#endif
