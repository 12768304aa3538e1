/*
 * view_source: a snapshot of another repository as a source of items, so that they can be split again under our keys. It
 * lists whatever content was not given yet (SEEN, shared by the sources of several snapshots), has no cursors, and one
 * thread fetches.
 */
#ifndef MAILHOLD_ENGINE_WORK_VIEW_SOURCE_H
#define MAILHOLD_ENGINE_WORK_VIEW_SOURCE_H

#include "base/idmap.h"
#include "engine/snapshot/snapshot.h"

/* VIEW and SEEN must outlive it; end it with ops->free. */
MUST_CHECK enum err_code view_source_open(struct view *view, struct idmap *seen, struct item_source **out,
                                          struct err *e);

#endif
