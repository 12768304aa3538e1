/*
 * target: the folder that a sink writes below. Nothing is made until the first collection that is not a plan.
 */
#ifndef MAILHOLD_CONNECTOR_FILES_TARGET_H
#define MAILHOLD_CONNECTOR_FILES_TARGET_H

#include <pthread.h>

#include "item/item.h"

struct target {
	char *path;
	char *into; /* safe relative path, "" when everything goes to the target itself */
	int fd;     /* -1 until it was opened */
	pthread_mutex_t lock;
	void **handles; /* guarded by the lock; the things themselves are the sink's */
	size_t handle_count;
};

MUST_CHECK enum err_code target_init(struct target *t, const char *path, const char *into, struct err *e);
/* Frees everything but the handles' things. */
void target_release(struct target *t);
/* Opens the folder; with MAKE also makes it. *FOUND false when it is missing and not to be made. */
MUST_CHECK enum err_code target_open(struct target *t, bool make, bool *found, struct err *e);
MUST_CHECK enum err_code target_add(struct target *t, void *thing, size_t *handle, struct err *e);
void *target_get(struct target *t, size_t handle);
/* Writes all that was put to the disk: one syncfs. */
MUST_CHECK enum err_code target_sync(struct target *t, struct err *e);
/* True when folder PATH below the target holds anything; a missing one does not. */
MUST_CHECK enum err_code target_holds_anything(struct target *t, const char *path, bool *out, struct err *e);

#endif
