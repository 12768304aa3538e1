/*
 * page: a collection in a snapshot, as runs of items in key order under two trees.
 * Format   docs/format/page.md, version 1. A page is four column chunks (keys, facts, state: scope sync; refs: scope
 * struct). The spine tree (scope struct) names refs, keys and facts of each page; the state tree, with the same cuts,
 * names the state chunk. Nodes hold ids and counts only, so that marking needs no sync key. Cuts     by a keyed hash of
 * the key, so that two snapshots share what did not change whoever wrote them.
 * Thread   one thread at a time per
 * object.
 */
#ifndef MAILHOLD_ENGINE_PAGE_PAGE_H
#define MAILHOLD_ENGINE_PAGE_PAGE_H

#include "engine/object/block.h"

/* Where column chunks come from and go to. GET replaces the content of OUT; PUT names the chunk and keeps it if it is
 * new. */
struct chunk_io {
	void *ctx;
	const struct keys *keys;
	enum err_code (*get)(void *ctx, enum block_class class, const struct chunk_id *id, struct buf *out,
	                     struct err *e);
	enum err_code (*put)(void *ctx, enum block_class class, struct span plain, struct chunk_id *id, struct err *e);
};

#define PAGE_ITEMS_MIN        32
#define PAGE_ITEMS_MAX        512
#define PAGE_CUT_ONE_IN       64                   /* after the minimum: about 96 items on average */
#define PAGE_COLUMN_BYTES_MAX (64 * KIB)           /* a page ends when a column reaches it */
#define PAGE_CHUNK_BYTES_MAX  (8 * MIB - 64 * KIB) /* hard limit of one encoded column */
#define NODE_ENTRIES_MIN      8
#define NODE_ENTRIES_MAX      128 /* fits the count byte of a node */
#define NODE_CUT_ONE_IN       24  /* fan-out about 32 */
#define NODE_LEVELS_MAX       8
#define REFS_INLINE_MAX       64 /* more ids than this go into list chunks */
#define REFS_PER_ITEM_MAX     (1u << 20)

static inline bool chunk_id_is_zero(const struct chunk_id *id)
{
	static const struct chunk_id zero;

	return memcmp(id, &zero, sizeof zero) == 0;
}

static inline bool chunk_id_equal(const struct chunk_id *a, const struct chunk_id *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

/* The two roots of a collection. All zeros: no items. */
struct page_roots {
	struct chunk_id spine;
	struct chunk_id state;
};

/* One page as its trees name it. */
struct page_entry {
	struct chunk_id refs, keys, facts, state;
	uint32_t count;
	uint64_t first; /* number of its first item in the collection */
};
struct page_list {
	struct page_entry *entries;
	size_t count, cap;
	uint64_t items;
};
#define PAGE_LIST_EMPTY ((struct page_list){ NULL, 0, 0, 0 })
/* Reads the nodes of both trees. ERR_CORRUPT when they do not fit together. */
MUST_CHECK enum err_code page_list_load(const struct chunk_io *io, const struct page_roots *roots,
                                        struct page_list *out, struct err *e);
void page_list_release(struct page_list *l);

/* ---- one page ---- */

#define SUMMARY_NONE UINT32_MAX
struct page_row {
	struct span key, facts, state;
	const struct chunk_id *ids; /* the item chunk first, then its parts; NULL unless refs were loaded */
	uint32_t id_count;          /* of refs: ids inline, or of list chunks when LISTED */
	bool listed;                /* ids name list chunks (page_ids_expand) */
	uint32_t summary_chunk;     /* into summary_ids; SUMMARY_NONE: no summary */
	uint32_t summary_slot;
};
enum page_columns { PAGE_KEYS = 1, PAGE_FACTS = 2, PAGE_STATE = 4, PAGE_REFS = 8, PAGE_ALL = 15 };
struct page {
	struct page_row *rows;
	uint32_t count;
	struct chunk_id *summary_ids;
	uint32_t summary_count;
	struct buf columns[4]; /* plaintexts the rows point into */
	struct buf arena;      /* keys without their prefixes shared, ids aligned */
	struct buf rows_memory;
};
#define PAGE_EMPTY ((struct page){ 0 })
/* Loads the columns asked for (keys always). Reuses OUT's memory. */
MUST_CHECK enum err_code page_load(const struct chunk_io *io, const struct page_entry *entry, unsigned columns,
                                   struct page *out, struct err *e);
/* Loads refs alone, with the count that the node tells: all that a keeper can read. Keys, facts and states stay empty.
 */
MUST_CHECK enum err_code page_load_refs(const struct chunk_io *io, const struct page_entry *entry, struct page *out,
                                        struct err *e);
void page_release(struct page *p);
/* All ids of a row, list chunks resolved; appends struct chunk_id to OUT. */
MUST_CHECK enum err_code page_ids_expand(const struct chunk_io *io, const struct page_row *row, struct buf *out,
                                         struct err *e);

/* Decoders of single columns for outside bytes (fuzzed); page_load uses them. */
MUST_CHECK enum err_code page_decode_keys(struct span column, struct page *out, struct err *e);
MUST_CHECK enum err_code page_decode_blobs(struct span column, struct page *out, enum page_columns which,
                                           struct err *e);
MUST_CHECK enum err_code page_decode_refs(struct span column, struct page *out, struct err *e);

/*
 * For marking, without the keys: visits every id that a refs column names, row by row; ROW is PAGE_ITEMS_MAX for the
 * summaries. LISTED: the ids are of list chunks (page_list_ids).
 */
typedef enum err_code (*page_refs_visit)(void *ctx, uint32_t row, const struct chunk_id *ids, uint32_t count,
                                         bool listed, struct err *e);
MUST_CHECK enum err_code page_walk_refs(struct span column, page_refs_visit visit, void *ctx, struct err *e);
/* The ids in a list chunk, borrowed from it. */
MUST_CHECK enum err_code page_list_ids(struct span chunk, const struct chunk_id **ids, uint32_t *count, struct err *e);

struct node_entry {
	uint64_t count;
	struct chunk_id ids[3]; /* spine level 0: refs, keys, facts; else the child in ids[0] */
};
struct node {
	uint8_t level;
	uint8_t ids_per_entry;
	uint32_t count;
	struct node_entry entries[NODE_ENTRIES_MAX];
};
MUST_CHECK enum err_code node_decode(struct span bytes, struct node *out, struct err *e);

/* ---- summary chunks: the summaries of the new items of one page in one run ---- */

/* The summary in SLOT; empty when there is none. */
struct span summary_chunk_get(struct span chunk, uint32_t slot);

/* ---- building a collection, item by item in key order ---- */

struct page_builder;
MUST_CHECK enum err_code page_builder_open(const struct chunk_io *io, struct page_builder **out, struct err *e);
void page_builder_free(struct page_builder **b);
/* A row with a summary of its own (may be empty), for items that are new. IDS: item chunk and parts, any number. */
MUST_CHECK enum err_code page_builder_add(struct page_builder *b, const struct page_row *row,
                                          const struct chunk_id *ids, uint32_t id_count, struct span summary,
                                          struct err *e);
/* A row of an old page, with another STATE; its summary reference is carried over. OLD must have keys, facts and refs.
 */
MUST_CHECK enum err_code page_builder_add_old(struct page_builder *b, const struct page *old, uint32_t row,
                                              struct span state, struct err *e);
/* The same content under another KEY, with other FACTS: an item that moved, or is in two places. */
MUST_CHECK enum err_code page_builder_add_as(struct page_builder *b, const struct page *old, uint32_t row,
                                             struct span key, struct span facts, struct span state, struct err *e);
/* True when nothing is gathered for an open page: whole old pages may be taken. */
bool page_builder_at_cut(const struct page_builder *b);
/*
 * Takes a page whole but for its states (COUNT of them, in order). LAST_KEY is its last key. Only when
 * page_builder_at_cut and (the page was not the last of its collection or nothing follows).
 */
MUST_CHECK enum err_code page_builder_take(struct page_builder *b, const struct page_entry *entry, struct span last_key,
                                           const struct span *states, struct err *e);
/* The roots of all that was added so far. Does not end the building: more may follow. */
MUST_CHECK enum err_code page_builder_roots(struct page_builder *b, struct page_roots *out, uint64_t *items,
                                            struct err *e);
/* Remembers where the building stands. PAGE_BUILDER_REWIND goes back there; chunks that were put meanwhile stay put. */
struct page_mark;
MUST_CHECK enum err_code page_builder_mark(const struct page_builder *b, struct page_mark **out, struct err *e);
/* Consumes *MARK (NULL afterwards; a NULL inside changes nothing). */
void page_builder_rewind(struct page_builder *b, struct page_mark **mark);
/* Starts over, keeping memory. */
void page_builder_reset(struct page_builder *b);

#endif
