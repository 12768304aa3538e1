#include "engine/work/codecs.h"

#include <pthread.h>

#include "base/mem.h"

#define LEVEL 3 /* they only read */

enum err_code codecs_open(struct codecs *out, size_t count, struct err *e)
{
	pthread_mutex_t *lock = mem_alloc(sizeof *lock);
	enum err_code rc = ERR_OK;

	if (lock)
		pthread_mutex_init(lock, NULL);
	out->lock = lock;
	out->free = mem_zalloc(count, sizeof(struct block_codec *));
	if (!lock || !out->free)
		return err_no_memory(e, count * sizeof(struct block_codec *));
	for (; !rc && out->count < count; out->count += rc == ERR_OK)
		rc = block_codec_open(LEVEL, &out->free[out->count], e);
	return rc;
}

void codecs_release(struct codecs *c)
{
	while (c->count)
		block_codec_free(&c->free[--c->count]);
	mem_free(c->free);
	if (c->lock)
		pthread_mutex_destroy(c->lock);
	mem_free(c->lock);
	*c = CODECS_EMPTY;
}

struct block_codec *codecs_take(struct codecs *c)
{
	struct block_codec *codec;

	pthread_mutex_lock(c->lock);
	codec = c->free[--c->count];
	pthread_mutex_unlock(c->lock);
	return codec;
}

void codecs_give(struct codecs *c, struct block_codec *codec)
{
	pthread_mutex_lock(c->lock);
	c->free[c->count++] = codec;
	pthread_mutex_unlock(c->lock);
}
