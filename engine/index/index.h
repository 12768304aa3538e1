/*
 * index: chunk id → places, in RocksDB on the client; the only home of rocksdb/c.h. A cache: made from packs'
 * directories and id lists alone, brought up to date from the ledger at open, rebuilt with a notice when it is missing,
 * stale, of another version or damaged. Bulk goes in by sorted ingest.
 * Folder   FOLDER/index (RocksDB), made when
 * missing.
 * Thread   lookups from any thread; adding from one at a time.
 */
#ifndef MAILHOLD_ENGINE_INDEX_INDEX_H
#define MAILHOLD_ENGINE_INDEX_INDEX_H

#include "engine/ledger/ledger.h"
#include "engine/pack/pack.h"

struct index;

struct place {
	uint32_t pack; /* the index's own pack number, see index_pack_name */
	uint32_t block;
	uint32_t slot;
};

/* index_mode: a writer holds RocksDB's lock (ERR_BUSY when another process has it); readers run beside it. */
enum index_mode { INDEX_READ = 1, INDEX_WRITE = 2 };

/*
 * Opens it and adds every live pack of L that it does not hold yet, reading their id lists. NOTICE tells of a
 * rebuild. INDEX_READ: what is missing is held in memory for this process when the index cannot be written because
 * another process has it.
 */
MUST_CHECK enum err_code index_open(const char *folder, struct store *store, const struct keys *k,
                                    const struct ledger *l, enum index_mode mode, ledger_notice notice, void *ctx,
                                    struct index **out, struct err *e);
void index_free(struct index **i);
/* "7.8.3": of the RocksDB that it was built with. */
const char *index_library_version(void);

/* Adds live packs that L learned of since; an older L than the newest seen changes nothing. */
MUST_CHECK enum err_code index_update(struct index *i, const struct ledger *l, struct err *e);

/*
 * Adds a pack of our own session that is durable but not committed yet; IDS in pack order: for each block, its chunks.
 * Its places count for this process; for later ones only when the ledger says that the pack is live. Handles of one
 * process that share the index tell the packs of their sessions apart by name: what another session has not committed
 * must not be leaned on.
 */
MUST_CHECK enum err_code index_add_own(struct index *i, const struct pack_added *pack, const uint32_t *chunks_per_block,
                                       uint32_t block_count, const struct chunk_id *ids, struct err *e);

/*
 * Looks up COUNT ids; FOUND[j] says whether OUT[j] is a place whose pack is live (as of the last open or update) or our
 * own. The best place wins: in a pack that we trust (pack_trusted_by), the first committed one; else in one of ours that
 * is not committed yet; else the first committed one of those whose id lists nobody vouches for.
 */
MUST_CHECK enum err_code index_find(struct index *i, const struct chunk_id *ids, size_t count, struct place *out,
                                    bool *found, struct err *e);
/* As index_find for ids that rise, none of them twice: many at once are found much faster. */
MUST_CHECK enum err_code index_find_rising(struct index *i, const struct chunk_id *ids, size_t count, struct place *out,
                                           bool *found, struct err *e);
/* All places of one id, best first, but at most MAX. */
MUST_CHECK enum err_code index_find_all(struct index *i, const struct chunk_id *id, struct place *out, size_t max,
                                        size_t *count, struct err *e);
/*
 * The same into OUT (cleared; struct place each), as many as there are up to INDEX_PLACES_MAX: an untrusted pack may claim
 * any id, and many of them may stand before the one that has it.
 */
#define INDEX_PLACES_MAX 4096
MUST_CHECK enum err_code index_find_places(struct index *i, const struct chunk_id *id, struct buf *out, struct err *e);
/* Whether the pack's id list binds us: trusted, or our own. Only then a chunk in it need not be stored again. */
bool index_pack_trusted(const struct index *i, uint32_t pack);
/*
 * True when live packs that we do not trust come from more than one maker: then one may claim what another has, and who
 * cannot compare with ids has to look at every place.
 */
bool index_has_rivals(const struct index *i);
/* What a place's pack number stands for. Borrowed until index_free. */
const struct pack_added *index_pack(const struct index *i, uint32_t pack);
/* True with its ledger ordinal when committed; false for our own uncommitted pack. */
bool index_pack_ordinal(const struct index *i, uint32_t pack, uint32_t *ordinal);
/* Estimated number of chunks; 0 means certainly empty. */
uint64_t index_count(struct index *i);

#endif
