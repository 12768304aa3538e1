/*
 * hash: XXH3 for tables and for comparing what we wrote with what we read. Not for names that others may choose
 * to collide: ids come from crypto.
 */
#ifndef MAILHOLD_BASE_HASH_H
#define MAILHOLD_BASE_HASH_H

#include "span.h"

uint64_t hash64(struct span bytes);
void hash128(struct span bytes, uint8_t out[16]);

/* The same over a stream. */
struct hash_stream;
struct hash_stream *hash_stream_open(void); /* NULL when out of memory */
void hash_stream_add(struct hash_stream *h, struct span bytes);
void hash_stream_end(struct hash_stream *h, uint8_t out[16]);
void hash_stream_free(struct hash_stream **h);

#endif
