/*
 * restock: takes chunks that snapshots need and no pack has any more from where they may still be: a source, or another
 * repository, whose keys may differ. Items are read and split as a snapshot does; only what is missing is kept.
 */
#ifndef MAILHOLD_ENGINE_WORK_RESTOCK_H
#define MAILHOLD_ENGINE_WORK_RESTOCK_H

#include "base/idmap.h"
#include "engine/work/writer.h"

struct restock_count {
	uint64_t chunks, bytes_stored;
};
/*
 * MISSING holds the wanted ids. SOURCE and FROM (its live snapshots, newest first) may be NULL. It ends as soon as
 * nothing is missing; what was found is committed, also when a part of it could not be read (SOURCE->report, or a
 * notice, tells). The index must be open for writing.
 */
MUST_CHECK enum err_code restock_missing(struct repo *r, struct pool *pool, const struct idmap *missing,
                                         struct item_source *source, struct repo *from, struct restock_count *out,
                                         struct err *e);

#endif
