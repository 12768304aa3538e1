/* memory_chunks: a chunk_io that keeps everything in memory and counts, and a seeded random source, for engine tests.
 */
#ifndef MAILHOLD_TESTS_ENGINE_MEMORY_CHUNKS_H
#define MAILHOLD_TESTS_ENGINE_MEMORY_CHUNKS_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/idmap.h"
#include "base/mem.h"
#include "engine/page/page.h"

struct memory_chunks {
	struct buf *chunks;
	size_t count, cap;
	struct idmap by_id;
	size_t made[CLASS_END]; /* new chunks per class */
	size_t fail_get_at;     /* the n-th get from now fails; 0: never */
};

static inline enum err_code memory_get(void *ctx, enum block_class class, const struct chunk_id *id, struct buf *out,
                                       struct err *e)
{
	struct memory_chunks *m = ctx;
	uint64_t at;

	(void)class;
	if (m->fail_get_at && --m->fail_get_at == 0)
		return err_set(e, ERR_CORRUPT, "the test wants this chunk damaged");
	if (!idmap_get(&m->by_id, id->bytes, &at))
		return err_set(e, ERR_NOT_FOUND, "no such chunk");
	buf_clear(out);
	return buf_append(out, buf_span(&m->chunks[at]), e);
}

static inline enum err_code memory_put(struct memory_chunks *m, const struct keys *keys, enum block_class class,
                                       struct span plain, struct chunk_id *id, struct err *e)
{
	uint64_t at;
	enum err_code rc;

	keys_chunk_id(keys, block_class_scope(class), plain, id);
	if (idmap_get(&m->by_id, id->bytes, &at))
		return ERR_OK;
	if (m->count == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 64;
		m->chunks = realloc(m->chunks, m->cap * sizeof *m->chunks);
		if (!m->chunks)
			abort();
	}
	m->chunks[m->count] = BUF_EMPTY;
	rc = buf_append(&m->chunks[m->count], plain, e);
	if (!rc)
		rc = idmap_put(&m->by_id, id->bytes, m->count, e);
	m->count++;
	m->made[class]++;
	return rc;
}

static inline void memory_release(struct memory_chunks *m)
{
	for (size_t i = 0; i < m->count; i++)
		buf_release(&m->chunks[i]);
	free(m->chunks);
	idmap_release(&m->by_id);
	*m = (struct memory_chunks){ 0 };
}

/* ---- seeded random numbers ---- */

static uint64_t random_state;

static inline uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static inline size_t below(size_t n)
{
	return (size_t)(next_random() % n);
}

static inline void random_start(const char *test)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
	if (!random_state)
		random_state = 1;
	printf("%s: seed %llu (MAILHOLD_TEST_SEED repeats it)\n", test, (unsigned long long)random_state);
}

#endif
