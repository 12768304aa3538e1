#include "lanes.h"

enum err_code dav_lanes_open(const struct dav_login *login, unsigned connections, struct dav_lanes *out, struct err *e)
{
	size_t count = connections ? connections : DAV_LANES;
	enum err_code rc = ERR_OK;

	*out = (struct dav_lanes){ .count = 0 };
	pthread_mutex_init(&out->lock, NULL);
	pthread_cond_init(&out->changed, NULL);
	if (count > DAV_LANES_MAX)
		count = DAV_LANES_MAX;
	while (!rc && out->count < count) {
		rc = dav_open(login, &out->clients[out->count], e);
		out->count += !rc;
	}
	return rc;
}

void dav_lanes_agree(struct dav_lanes *l)
{
	for (size_t i = 1; i < l->count; i++)
		dav_agree(l->clients[i], l->clients[0]);
}

size_t dav_lane_take(struct dav_lanes *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (!l->busy[i]) {
			l->busy[i] = true;
			return i;
		}
	return SIZE_MAX;
}

void dav_lane_return(struct dav_lanes *l, size_t lane)
{
	l->busy[lane] = false;
	pthread_cond_broadcast(&l->changed);
}

/* It stays busy for ever. */
bool dav_lane_give_up(struct dav_lanes *l, size_t lane)
{
	if (lane)
		pthread_cond_broadcast(&l->changed);
	return lane != 0;
}

void dav_lanes_release(struct dav_lanes *l)
{
	for (size_t i = 0; i < l->count; i++)
		dav_free(&l->clients[i]);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->changed);
}
