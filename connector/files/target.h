/*
 * target: the folder that a sink writes below. Nothing is made until the first collection that is not a plan.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_TARGET_H
#define MAILHOLD_CONNECTOR_FILES_TARGET_H

#include <pthread.h>

#include "base/pool.h"
#include "item/item.h"

/*
 * Writing out early: what was put is brought to the disk while more is being put, so that target_sync at the end has
 * little left to wait for. One syncfs at a time, in a thread of its own; an error that it was told is kept for
 * target_sync, because the kernel tells it once.
 */
struct target_early {
	struct pool_job job;
	struct pool *pool; /* NULL until there is enough to write */
	uint64_t bytes;    /* put since the last one began */
	int fd;
	int failed; /* errno */
	bool submitted;
};

struct target {
	char *path;
	char *into; /* safe relative path, "" when everything goes to the target itself */
	int fd;     /* -1 until it was opened */
	pthread_mutex_t lock;
	void **handles; /* guarded by the lock; the things themselves are the sink's */
	size_t handle_count;
	struct target_early early; /* guarded by the lock, but for what its job does */
};

MUST_CHECK enum err_code target_init(struct target *t, const char *path, const char *into, struct err *e);
/* Frees everything but the handles' things. */
void target_release(struct target *t);
/* Opens the folder; with MAKE also makes it. *FOUND false when it is missing and not to be made. */
MUST_CHECK enum err_code target_open(struct target *t, bool make, bool *found, struct err *e);
MUST_CHECK enum err_code target_add(struct target *t, void *thing, size_t *handle, struct err *e);
void *target_get(struct target *t, size_t handle);
/* To be called after BYTES were put: now and then begins to write them to the disk. */
void target_wrote(struct target *t, uint64_t bytes);
/* Writes all that was put to the disk. Nobody puts meanwhile. */
MUST_CHECK enum err_code target_sync(struct target *t, struct err *e);
/* True when folder PATH below the target holds anything; a missing one does not. */
MUST_CHECK enum err_code target_holds_anything(struct target *t, const char *path, bool *out, struct err *e);

#endif
