#include "lines.h"

#include <string.h>

void lines_init(struct lines *l, unsigned count)
{
	memset(l, 0, sizeof *l);
	l->count = count;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->given_back, NULL);
}

void lines_release(struct lines *l)
{
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->given_back);
}

unsigned lines_take(struct lines *l, bool *open)
{
	unsigned found = LINES_MAX;

	pthread_mutex_lock(&l->lock);
	while (found == LINES_MAX) {
		for (unsigned i = 0; i < l->count; i++)
			if (!l->busy[i] && (found == LINES_MAX || (l->open[i] && !l->open[found])))
				found = i;
		if (found == LINES_MAX)
			pthread_cond_wait(&l->given_back, &l->lock);
	}
	l->busy[found] = true;
	*open = l->open[found];
	pthread_mutex_unlock(&l->lock);
	return found;
}

void lines_give(struct lines *l, unsigned which, bool open)
{
	pthread_mutex_lock(&l->lock);
	l->busy[which] = false;
	l->open[which] = open;
	pthread_cond_signal(&l->given_back);
	pthread_mutex_unlock(&l->lock);
}
