/* loose: items copied out of their pages, for results that are told later. */
#ifndef MAILHOLD_ENGINE_WORK_LOOSE_H
#define MAILHOLD_ENGINE_WORK_LOOSE_H

#include "engine/snapshot/snapshot.h"

struct loose_item {
	struct buf bytes; /* key, facts, state, summary, one after the other */
	size_t ends[4];
	struct view_item item;
};
MUST_CHECK enum err_code loose_copy(const struct view_item *item, struct loose_item *out, struct err *e);
/* The item with its spans set; good until release. The struct may have moved since the copy. */
const struct view_item *loose_get(struct loose_item *l);
void loose_release(struct loose_item *l);

#endif
