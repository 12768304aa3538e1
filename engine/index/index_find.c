#include <assert.h>

#include "base/mem.h"
#include "engine/index/index_internal.h"

/* Lower is better: committed packs by ordinal, then our own; NO_ORDINAL: does not count. */
static uint32_t rank(const struct index *i, const struct place *place)
{
	const struct known *known;

	if (place->pack >= i->count || !(known = i->packs[place->pack]) || !known->held)
		return NO_ORDINAL;
	if (known->state == KNOWN_LIVE)
		return known->ordinal;
	return known->state == KNOWN_OWN ? NO_ORDINAL - 1 : NO_ORDINAL;
}

struct best {
	struct place *out; /* sorted by rank */
	uint32_t *ranks;
	size_t count, max;
};

static void best_add(const struct index *i, struct best *b, const struct place *place)
{
	uint32_t r = rank(i, place);
	size_t at = b->count;

	if (r == NO_ORDINAL)
		return;
	while (at > 0 && b->ranks[at - 1] > r)
		at--;
	if (at >= b->max)
		return;
	if (b->count < b->max)
		b->count++;
	memmove(b->out + at + 1, b->out + at, (b->count - 1 - at) * sizeof *b->out);
	memmove(b->ranks + at + 1, b->ranks + at, (b->count - 1 - at) * sizeof *b->ranks);
	b->out[at] = *place;
	b->ranks[at] = r;
}

/* All places of one id, in the database and in memory. */
static void look_up(const struct index *i, struct index_cursor *cursor, const struct chunk_id *id, struct best *b)
{
	const struct index_memory_place *held = NULL;
	struct place place;

	if (cursor) {
		index_cursor_seek(cursor, id);
		while (index_cursor_next(cursor, &place))
			best_add(i, b, &place);
	}
	while ((held = index_memory_next(&i->memory, id, held)))
		best_add(i, b, &held->place);
}

static enum err_code cursor_for(const struct index *i, bool rising, struct index_cursor **out, struct err *e)
{
	*out = NULL;
	if (!i->db || !i->db_packs)
		return ERR_OK;
	*out = rising ? index_cursor_open_rising(i->db) : index_cursor_open(i->db);
	return *out ? ERR_OK : err_no_memory(e, 0);
}

static enum err_code find_locked(struct index *i, const struct chunk_id *ids, size_t count, bool rising,
                                 struct place *out, bool *found, struct err *e)
{
	struct index_cursor *cursor;
	enum err_code rc = cursor_for(i, rising, &cursor, e);

	for (size_t j = 0; !rc && j < count; j++) {
		uint32_t ranks;
		struct best b = { &out[j], &ranks, 0, 1 };

		look_up(i, cursor, &ids[j], &b);
		found[j] = b.count > 0;
		if (cursor && !found[j])
			rc = index_cursor_error(cursor, e);
	}
	if (!rc && cursor)
		rc = index_cursor_error(cursor, e);
	index_cursor_free(&cursor);
	return rc;
}

static enum err_code find_all_locked(struct index *i, const struct chunk_id *id, struct best *b, struct err *e)
{
	struct index_cursor *cursor;
	enum err_code rc = cursor_for(i, false, &cursor, e);

	b->count = 0;
	if (!rc)
		look_up(i, cursor, id, b);
	if (!rc && cursor)
		rc = index_cursor_error(cursor, e);
	index_cursor_free(&cursor);
	return rc;
}

static uint64_t count_locked(const struct index *i)
{
	uint64_t sum = 0;

	for (uint32_t j = 0; j < i->count; j++) {
		if (i->packs[j] && i->packs[j]->held && i->packs[j]->state != KNOWN_DEAD)
			sum += i->packs[j]->chunks;
	}
	return sum;
}

/* Takes the lock for a lookup; waits for another thread that makes the index anew (it holds CHANGE until it is done).
 */
static void lock_for_lookup(struct index *i)
{
	pthread_rwlock_rdlock(&i->lock);
	while (i->filling) {
		pthread_rwlock_unlock(&i->lock);
		pthread_mutex_lock(&i->change);
		pthread_mutex_unlock(&i->change);
		pthread_rwlock_rdlock(&i->lock);
	}
}

/* Damage found by a lookup: the index is made anew once, and the lookup done again. */
static enum err_code find(struct index *i, const struct chunk_id *ids, size_t count, bool rising, struct place *out,
                          bool *found, struct err *e)
{
	uint32_t generation;
	enum err_code rc;

	lock_for_lookup(i);
	generation = i->generation;
	rc = find_locked(i, ids, count, rising, out, found, e);
	pthread_rwlock_unlock(&i->lock);
	if (rc == ERR_CORRUPT || rc == ERR_IO) {
		struct err why = *e;

		rc = index_heal(i, generation, &why, e);
		if (rc)
			return rc;
		lock_for_lookup(i);
		rc = find_locked(i, ids, count, rising, out, found, e);
		pthread_rwlock_unlock(&i->lock);
	}
	return rc;
}

enum err_code index_find(struct index *i, const struct chunk_id *ids, size_t count, struct place *out, bool *found,
                         struct err *e)
{
	return find(i, ids, count, false, out, found, e);
}

enum err_code index_find_rising(struct index *i, const struct chunk_id *ids, size_t count, struct place *out,
                                bool *found, struct err *e)
{
	return find(i, ids, count, true, out, found, e);
}

enum err_code index_find_all(struct index *i, const struct chunk_id *id, struct place *out, size_t max, size_t *count,
                             struct err *e)
{
	struct best b = { out, mem_zalloc(max + 1, sizeof *b.ranks), 0, max };
	uint32_t generation;
	enum err_code rc;

	if (!b.ranks)
		return err_no_memory(e, max * sizeof *b.ranks);
	lock_for_lookup(i);
	generation = i->generation;
	rc = find_all_locked(i, id, &b, e);
	pthread_rwlock_unlock(&i->lock);
	if (rc == ERR_CORRUPT || rc == ERR_IO) {
		struct err why = *e;

		rc = index_heal(i, generation, &why, e);
		if (!rc) {
			lock_for_lookup(i);
			rc = find_all_locked(i, id, &b, e);
			pthread_rwlock_unlock(&i->lock);
		}
	}
	mem_free(b.ranks);
	if (!rc)
		*count = b.count;
	return rc;
}

uint64_t index_count(struct index *i)
{
	uint64_t sum;

	pthread_rwlock_rdlock(&i->lock);
	sum = count_locked(i);
	pthread_rwlock_unlock(&i->lock);
	return sum;
}
