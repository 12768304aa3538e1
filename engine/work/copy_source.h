/*
 * copy_source: a snapshot as an item_source, for a run that copies it. It knows which snapshots the run's base is a
 * copy of, and so what need not be fetched: pages that they have, too, are not read beyond keys and states.
 * Memory   keys and states of one collection; facts and content ids of what its pages do not share.
 * Thread   fetch from any; the rest from one at a time.
 */
#ifndef MAILHOLD_ENGINE_WORK_COPY_SOURCE_H
#define MAILHOLD_ENGINE_WORK_COPY_SOURCE_H

#include "engine/snapshot/snapshot.h"

#define COPY_BEFORE_MAX 2

/*
 * V and BEFORE are borrowed, and must outlive the source. BEFORE: what the base is a copy of; two, when it is what an
 * interrupted copy left: its items are of one or the other.
 */
MUST_CHECK enum err_code copy_source_open(struct view *v, struct view *const *before, size_t before_count,
                                          struct item_source **out, struct err *e);
/* For struct copied. */
bool copy_source_same(const struct item_source *s, size_t c, uint64_t items, uint64_t bytes);
bool copy_source_changed(const struct item_listing *l, size_t i);
const uint64_t *copy_source_lost(const struct item_source *s);
/* How many items were fetched; bytes of all their streams. */
struct copy_source_count {
	uint64_t items, bytes;
};
struct copy_source_count copy_source_count(const struct item_source *s);

/* Joins all streams of the item CONTENT of R's repository. STREAM, then WRITEs, for each in order. */
struct copy_join {
	void *ctx;
	enum err_code (*stream)(void *ctx, struct span name, uint64_t bytes, struct err *e);
	enum err_code (*write)(void *ctx, struct span bytes, struct err *e);
};
MUST_CHECK enum err_code copy_join_item(struct repo *r, struct block_codec *codec, const struct chunk_id *content,
                                        const struct copy_join *to, struct err *e);

#endif
