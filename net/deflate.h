/*
 * deflate: both directions of a connection as raw DEFLATE (RFC 1951), the way RFC 4978 lays it below IMAP. Every write ends
 * with a sync flush, so that the other side can read all of it.
 * Thread   one at a time.
 */
#ifndef MAILHOLD_NET_DEFLATE_H
#define MAILHOLD_NET_DEFLATE_H

#include "base/buf.h"

/* As net_read and net_write, of what is below. */
typedef enum err_code (*deflate_source)(void *ctx, uint8_t *dst, size_t len, size_t *got, struct err *e);
typedef enum err_code (*deflate_target)(void *ctx, struct span bytes, struct err *e);

struct deflate;

/* EARLY: compressed bytes that were read already. */
MUST_CHECK enum err_code deflate_open(struct span early, struct deflate **out, struct err *e);
void deflate_free(struct deflate **d);
/* At least one byte, at most LEN; *GOT 0: the other side has closed. ERR_CORRUPT: what came is no DEFLATE. */
MUST_CHECK enum err_code deflate_read(struct deflate *d, deflate_source from, void *ctx, uint8_t *dst, size_t len,
                                      size_t *got, struct err *e);
MUST_CHECK enum err_code deflate_write(struct deflate *d, deflate_target to, void *ctx, struct span bytes,
                                       struct err *e);

#endif
