/*
 * copy_verify: reads a copied snapshot back and compares it with its origin: collections with their attributes, keys,
 * facts, states, and the bytes of every item. An item that occurs again, in this snapshot or a later one, is compared
 * once.
 * Memory   a page of each; 40 bytes for each distinct item.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_ENGINE_WORK_COPY_VERIFY_H
#define MAILHOLD_ENGINE_WORK_COPY_VERIFY_H

#include "base/idmap.h"
#include "engine/snapshot/snapshot.h"

struct copy_verified {
	struct idmap same; /* content id in FROM: the beginning of that in TO */
	uint64_t items;    /* bodies compared */
	uint64_t differ;   /* told */
	uint64_t missing;  /* items of FROM that TO lacks */
	uint64_t more;     /* so many items that TO has and FROM lacks are no difference, so far */
};
/* REPORT is told of each difference. ERR_CANCELLED, or what FROM's store or TO's says; damage is a difference. */
MUST_CHECK enum err_code copy_verify(struct view *from, struct view *to, struct copy_verified *v, item_report report,
                                     void *ctx, struct err *e);

#endif
