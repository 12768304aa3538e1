/*
 * lanes: the connections of one login, so that several threads can ask at once. Each lane is one client, of one thread at a time.
 * Opening them sends nothing; a lane that is never taken is never connected. A lane that the server does not want (too many
 * connections) is given up, and the others go on.
 * Thread   any.
 */
#ifndef MAILHOLD_CONNECTOR_DAV_LANES_H
#define MAILHOLD_CONNECTOR_DAV_LANES_H

#include <pthread.h>

#include "client.h"

#define DAV_LANES     3
#define DAV_LANES_MAX 8

struct dav_lanes {
	pthread_mutex_t
	        lock; /* over the rest, and what of a listing is of bodies.h; never held while something is asked */
	pthread_cond_t changed;
	struct dav_client *clients[DAV_LANES_MAX];
	bool busy[DAV_LANES_MAX];
	size_t count;
	uint64_t held_bytes; /* of bodies that wait to be taken */
};

/* CONNECTIONS 0: DAV_LANES. After a failure OUT is to be released all the same. */
MUST_CHECK enum err_code dav_lanes_open(const struct dav_login *login, unsigned connections, struct dav_lanes *out,
                                        struct err *e);
/* What the first has learned about the login, the others know. */
void dav_lanes_agree(struct dav_lanes *l);
/* With the lock held. SIZE_MAX: none is free now. */
size_t dav_lane_take(struct dav_lanes *l);
void dav_lane_return(struct dav_lanes *l, size_t lane);
/* With the lock held: LANE, which is taken, is not wanted. False when it is the first, which stays. */
bool dav_lane_give_up(struct dav_lanes *l, size_t lane);
void dav_lanes_release(struct dav_lanes *l);

#endif
