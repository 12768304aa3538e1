/*
 * progress: the line on stderr that shows how far a long command is, and the messages that pass above it. The line is
 * drawn only on a terminal; messages may come from any thread.
 */
#ifndef MAILHOLD_CLI_PROGRESS_H
#define MAILHOLD_CLI_PROGRESS_H

#include <pthread.h>

#include "engine/engine.h"

struct progress {
	pthread_mutex_t lock;
	bool shown; /* draw the line at all */
	bool drawn; /* something stands on the line now */
	char phase[32];
	int64_t phase_ms; /* monotonic time at which the stretch began */
	int64_t drawn_ms;
	uint64_t items_total;              /* of this stretch of the phase */
	uint64_t items_first, bytes_first; /* done when the stretch began */
};

void progress_init(struct progress *p, bool shown);
/* An engine_progress_fn; CTX is the struct progress. */
void progress_update(void *ctx, const struct engine_progress *now);
/* Wipes the line; the next update draws it again. */
void progress_clear(struct progress *p);
/* Writes TEXT and a line end to stderr, above the line. */
void progress_say(struct progress *p, const char *text);

/* The text of the line, at most COLUMNS wide: for tests. ELAPSED_MS since the stretch began. */
MUST_CHECK enum err_code progress_text(const struct progress *p, const struct engine_progress *now, int64_t elapsed_ms,
                                       size_t columns, struct buf *out, struct err *e);

#endif
