/*
 * prepare: reads one item and makes of it what the repository keeps: chunks with their ids, the item chunk, facts, a
 * summary. The heavy, independent part of a snapshot, run by the pool.
 * Memory   an item of up to PREPARE_WHOLE_MAX is
 * held whole; larger ones are streamed by the owner (prepare_stream).
 */
#ifndef MAILHOLD_ENGINE_WORK_PREPARE_H
#define MAILHOLD_ENGINE_WORK_PREPARE_H

#include "chunker/chunker.h"
#include "engine/work/writer.h"

#define PREPARE_WHOLE_MAX  (2 * MIB)   /* larger items are streamed, one at a time */
#define PREPARE_HEAD_BYTES (256 * KIB) /* of a streamed item, seen by the summary and the anchor */
#define PREPARE_KEEP_BYTES (256 * KIB) /* memory that a job keeps from item to item */

/* Chunkers are big, so there is one per thread that works, not one per job. */
struct prepare_shared {
	const struct keys *keys;
	struct chunker_params params;
	struct chunker **chunkers; /* free ones */
	size_t chunker_count, chunker_made;
	void *lock;
	atomic_size_t bytes_in_flight;
	size_t bytes_max; /* above it, workers leave items to the owner */
};
MUST_CHECK enum err_code prepare_shared_open(const struct keys *k, size_t threads, struct prepare_shared *out,
                                             struct err *e);
void prepare_shared_release(struct prepare_shared *s);

struct prepared_chunk {
	enum block_class class;
	struct chunk_id id;
	size_t offset, len; /* in chunk_bytes */
};

/*
 * Several items may be one job of the pool: only the first of them is submitted and waited for, and leads to the others by
 * NEXT. Their chunks are then named together, which small items need (crypto.h, keys_chunk_ids).
 */
#define PREPARE_TOGETHER_MAX 8

struct item_job {
	struct pool_job job;
	struct item_job *next; /* NULL: the last, or the only one */
	bool leads;            /* submitted itself; for the caller */
	/* in */
	struct prepare_shared *shared;
	struct item_source *source;
	size_t collection;
	const struct item_listing *listing;
	uint64_t place;
	enum item_kind kind; /* of the collection */
	struct span key;
	/* out; good when rc is ERR_OK */
	bool ours;        /* streaming failed in the writer, not in the source */
	enum err_code rc; /* ERR_LIMIT: too large to be held whole, stream it */
	struct err e;
	struct buf facts; /* with the anchor */
	struct buf item;  /* item chunk, plain */
	struct chunk_id item_id;
	struct buf ids; /* struct chunk_id: item chunk, then parts */
	struct buf summary;
	struct buf chunks; /* struct prepared_chunk: parts in order */
	struct buf chunk_bytes;
	uint64_t bytes; /* of all streams */
	/* scratch */
	struct buf body, recipes;
	struct {
		struct span name;
		char name_bytes[256];
		size_t start;
		size_t recipe_end;   /* in RECIPES */
		uint32_t part_count; /* how many ids its recipe uses */
	} streams[ITEM_STREAMS_MAX];
	size_t stream_count;
	size_t counted; /* bytes in flight that are ours */
};
void item_job_init(struct item_job *j);
void item_job_release(struct item_job *j);
/* For the pool: all items from this one on, at most PREPARE_TOGETHER_MAX. */
void item_job_run(struct pool_job *job);
/* Drops what an item left behind, keeps small memory for the next. */
void item_job_clear(struct item_job *j);

/* The same in the caller's thread, in bounded memory whatever the size; parts go to W as they come. */
MUST_CHECK enum err_code prepare_stream(struct item_job *j, struct writer *w, struct err *e);

#endif
