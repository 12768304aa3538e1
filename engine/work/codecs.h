/*
 * codecs: a block codec for whoever of several threads reads at the moment. Codecs are big, so there are as many as
 * threads, not as jobs.
 * Thread   codecs_take and codecs_give from any.
 */
#ifndef MAILHOLD_ENGINE_WORK_CODECS_H
#define MAILHOLD_ENGINE_WORK_CODECS_H

#include "engine/object/block.h"

struct codecs {
	void *lock;
	struct block_codec **free; /* those that nobody holds */
	size_t count;
};
#define CODECS_EMPTY ((struct codecs){ NULL, NULL, 0 })
/* COUNT must not be less than the threads that hold one at once. OUT is CODECS_EMPTY; release it in any case. */
MUST_CHECK enum err_code codecs_open(struct codecs *out, size_t count, struct err *e);
void codecs_release(struct codecs *c); /* all must have been given back */
struct block_codec *codecs_take(struct codecs *c);
void codecs_give(struct codecs *c, struct block_codec *codec);

#endif
