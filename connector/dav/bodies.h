/*
 * bodies: the bytes of resources, fetched many at a time (calendar-multiget, addressbook-multiget: RFC 4791, RFC 6352) or, where
 * that will not do, one by one (GET).
 * Byte for byte  XML may spoil what stands in it, so the first of each collection and run is also fetched by GET and compared, and each
 *          must have the length that the server tells for it (getcontentlength); those that have not are fetched by GET.
 *          Where the first is not the same, all are.
 * Memory   an answer to a multiget has at most BODIES_ANSWER_BYTES_MAX bytes; a larger one is asked for again, with half as many in it.
 *          A resource of up to BODIES_HELD_BYTES_MAX bytes is held whole, a larger one goes to its receiver as it comes.
 * Thread   any. Who would have to wait for what another thread is asking for asks for what comes next meanwhile, over another lane.
 */
#ifndef MAILHOLD_CONNECTOR_DAV_BODIES_H
#define MAILHOLD_CONNECTOR_DAV_BODIES_H

#include "dav_listing.h"
#include "lanes.h"

#define BODIES_ANSWER_BYTES_MAX (16 * MIB)
#define BODIES_HELD_BYTES_MAX   (16 * MIB)
#define BODIES_BATCH            100        /* resources asked for at once, at most */
#define BODIES_AHEAD_BYTES      (16 * MIB) /* that may wait when more is asked for ahead */

/* Entry I of L will be asked for. With the lock held. */
void bodies_want(struct item_listing *l, size_t i);
/*
 * Afterwards entry I is HERE, or LARGE: bodies_stream has it. ERR_VANISHED: it is gone. Others of those that are wanted come with it.
 */
MUST_CHECK enum err_code bodies_get(struct dav_lanes *lanes, struct item_listing *l, size_t i, struct err *e);
/* Gives what is LARGE to TO, and tells how much it was and when it was last modified (DAV_NO_TIME). */
MUST_CHECK enum err_code bodies_stream(struct dav_lanes *lanes, struct item_listing *l, size_t i,
                                       const struct item_receiver *to, uint64_t *bytes, int64_t *modified_s,
                                       struct err *e);
/* Entry I, which is HERE, was taken: its body is let go. */
void bodies_done(struct dav_lanes *lanes, struct item_listing *l, size_t i);

#endif
