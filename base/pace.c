#include "pace.h"

#include <pthread.h>

#include "mem.h"

#define SAVED_US 500000

struct pace {
	uint64_t rate;
	struct pace *above;
	pthread_mutex_t lock;
	int64_t free_us; /* from when on more may pass; under LOCK */
};

enum err_code pace_open(uint64_t bytes_per_s, struct pace *above, struct pace **out, struct err *e)
{
	struct pace *p;

	if (!bytes_per_s || bytes_per_s > PACE_RATE_MAX)
		return err_set(e, ERR_USAGE, "a rate has from 1 B to 1 TiB a second");
	p = mem_zalloc(1, sizeof *p);
	if (!p)
		return err_no_memory(e, sizeof *p);
	p->rate = bytes_per_s;
	p->above = above;
	p->free_us = INT64_MIN;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return ERR_OK;
}

int64_t pace_take(struct pace *p, uint64_t bytes, int64_t now_ms)
{
	int64_t now = now_ms * 1000, wait, above;

	if (!p)
		return 0;
	/* One piece is never so large that a day would not do for it. */
	if (bytes > PACE_RATE_MAX)
		bytes = PACE_RATE_MAX;
	pthread_mutex_lock(&p->lock);
	if (p->free_us < now - SAVED_US)
		p->free_us = now - SAVED_US;
	p->free_us += (int64_t)((double)bytes * 1e6 / (double)p->rate);
	wait = p->free_us > now ? (p->free_us - now + 999) / 1000 : 0;
	pthread_mutex_unlock(&p->lock);
	above = pace_take(p->above, bytes, now_ms);
	return wait > above ? wait : above;
}

void pace_free(struct pace **p)
{
	if (!*p)
		return;
	pthread_mutex_destroy(&(*p)->lock);
	mem_free(*p);
	*p = NULL;
}
