/*
 * snapshot: one account at one time: its details as sealed in the ledger, its list of collections, and views into it.
 * Format   docs/format/snapshot.md, version 1.
 * Thread   one thread at a time per object.
 */
#ifndef MAILHOLD_ENGINE_SNAPSHOT_SNAPSHOT_H
#define MAILHOLD_ENGINE_SNAPSHOT_SNAPSHOT_H

#include "engine/repo/repo.h"

/* ---- details: tagged fields, sealed under BOX_NAMES with the snapshot id as associated data ---- */

/* A snapshot, wherever it was taken. */
struct snapshot_origin {
	struct repo_id repo;
	struct snapshot_id snapshot;
};
struct snapshot_details {
	struct span account, host, source, tags, tool;
	int64_t duration_ms;
	uint64_t collections;
	uint64_t skipped;
	bool copied;                   /* ORIGIN is set */
	bool unfinished;               /* a copy that was interrupted: BEGUN and, unless zeros, REST are set */
	struct snapshot_origin origin; /* what it is a copy of */
	struct snapshot_origin begun;  /* what was being copied */
	struct snapshot_origin rest;   /* what the rest of it is a copy of */
};
MUST_CHECK enum err_code details_encode(const struct snapshot_details *d, struct buf *out, struct err *e);
/* Spans point into FIELDS. */
MUST_CHECK enum err_code details_decode(struct span fields, struct snapshot_details *out, struct err *e);
MUST_CHECK enum err_code details_seal(const struct keys *k, const struct snapshot_id *id,
                                      const struct snapshot_details *d, struct buf *out, struct err *e);

/* ---- the row of a collection in the collection list ---- */

#define ATTRIBUTE_INLINE_MAX      512 /* longer values are chunks of their own */
#define COLLECTION_ATTRIBUTES_MAX 4096
#define COLLECTION_REFS_FIXED     2 /* spine root and state root come first in a collection's ids */

/*
 * Facts: kind, role, attributes. Values over ATTRIBUTE_INLINE_MAX are put as chunks through IO, their ids appended
 * to IDS (struct chunk_id each, after the fixed ones). With IO NULL only their ids are computed.
 */
MUST_CHECK enum err_code collection_facts_encode(const struct chunk_io *io, const struct keys *keys,
                                                 const struct collection *c, struct buf *facts, struct buf *ids,
                                                 struct err *e);
/* Names what FACTS and the chunks of its long values say, for telling whether anything changed. */
MUST_CHECK enum err_code collection_facts_id(const struct keys *keys, struct span facts, const struct chunk_id *values,
                                             size_t count, struct chunk_id *out, struct err *e);
struct collection_state {
	struct span cursor;
	uint64_t items, bytes;
};
MUST_CHECK enum err_code collection_state_encode(const struct collection_state *s, struct buf *out, struct err *e);
MUST_CHECK enum err_code collection_state_decode(struct span state, struct collection_state *out, struct err *e);

/* A collection's row, loaded. */
struct collection_row {
	struct view_collection shown;
	struct page_roots roots;
	struct collection_state state;
	struct span facts;    /* as stored */
	struct chunk_id *ids; /* all of the row */
	uint32_t id_count;
	struct attribute *attributes; /* shown.c.attributes */
	uint32_t *attribute_chunk;    /* per attribute: number in ids, 0 when inline */
	bool attributes_loaded;
	struct buf value_hold; /* long attribute values */
};
/* All rows of a snapshot. Memory follows the number of collections. */
struct collection_table {
	struct collection_row *rows;
	size_t count;
	struct buf *hold; /* memory the spans point into, one per row */
};
#define COLLECTION_TABLE_EMPTY ((struct collection_table){ NULL, 0, NULL })
MUST_CHECK enum err_code collection_table_load(const struct chunk_io *io, const struct page_roots *roots,
                                               struct collection_table *out, struct err *e);
void collection_table_release(struct collection_table *t);
/* The row of PATH (rows are in path order), or NULL. */
struct collection_row *collection_table_find(const struct collection_table *t, struct span path);
/* Fills in attribute values that are chunks of their own. */
MUST_CHECK enum err_code collection_attributes_load(const struct chunk_io *io, struct collection_table *t, size_t i,
                                                    struct err *e);
/* Decodes the facts of a collection; for outside bytes (fuzzed). ATTRIBUTES and CHUNKS are allocated. */
MUST_CHECK enum err_code collection_facts_decode(struct span facts, uint32_t id_count, struct collection *out,
                                                 struct attribute **attributes, uint32_t **chunks, struct err *e);

/* ---- snapshots of the ledger, shown ---- */

/* HOLD receives the opened details that the spans of OUT point into. */
MUST_CHECK enum err_code snapshot_show(const struct repo *r, const struct snapshot_fact *fact, struct buf *hold,
                                       struct snapshot_info *out, struct err *e);
/* The details of FACT, as sealed; OUT's spans point into HOLD. Only with a key that reads names. */
MUST_CHECK enum err_code snapshot_details_of(const struct repo *r, const struct snapshot_fact *fact, struct buf *hold,
                                             struct snapshot_details *out, struct err *e);
/* Live or in the trash. NULL: there is none, or it has ended for good. */
const struct snapshot_fact *snapshot_find(const struct repo *r, const struct snapshot_id *id);
/*
 * Does the snapshot belong to ACCOUNT? A keeper cannot turn names into ids: it knows accounts by their ids alone, and
 * names one by at least its first 4 digits.
 */
bool snapshot_of_account(const struct repo *r, const struct snapshot_fact *fact, struct span account);
/* The newest live snapshot of an account by ledger order; partial ones count when PARTIAL. NULL: none. */
const struct snapshot_fact *snapshot_latest(const struct repo *r, const struct account_id *account, bool partial);

struct view {
	struct repo *repo;
	struct snapshot_info info;
	struct buf info_hold;
	struct page_roots roots;
	struct collection_table table;
	struct chunk_io io;
	struct page page;   /* scratch */
	struct buf summary; /* the last summary chunk read */
	struct chunk_id summary_id;
	bool told_lost_summaries;
	struct buf row_ids; /* list chunks resolved */
};
/* Pages of collection C. */
MUST_CHECK enum err_code view_pages(struct view *v, size_t c, struct page_list *out, struct err *e);
/* Fills OUT from a loaded row of P (facts and state as far as they were loaded; content when refs were). */
MUST_CHECK enum err_code view_row(struct view *v, const struct page *p, uint32_t row, enum item_kind kind,
                                  bool with_summary, struct view_item *out, struct err *e);
/* All chunk ids of a row with refs. Borrowed until the next call. */
MUST_CHECK enum err_code view_row_ids(struct view *v, const struct page_row *row, const struct chunk_id **ids,
                                      uint32_t *count, struct err *e);
/* Finds the page and row of KEY by halving; loads COLUMNS of that page into v->page. */
MUST_CHECK enum err_code view_locate(struct view *v, size_t c, struct span key, unsigned columns, uint32_t *row,
                                     struct err *e);

/* ---- item chunks ---- */

#define ITEM_CHUNK_VERSION 1
struct item_stream {
	struct span name; /* empty: primary */
	struct span recipe;
	const struct chunk_id *ids;
	uint32_t id_count;
};
MUST_CHECK enum err_code item_chunk_encode(const struct item_stream *streams, size_t count, struct buf *out,
                                           struct err *e);
struct item_chunk {
	struct item_stream streams[ITEM_STREAMS_MAX];
	size_t count;
};
MUST_CHECK enum err_code item_chunk_decode(struct span plain, struct item_chunk *out, struct err *e);
/* The class a recipe's part chunks are kept in cannot be told from outside: parts are content, so ids are of that
 * scope. */
#define ITEM_PART_CLASS CLASS_BINARY

#endif
