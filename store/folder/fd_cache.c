#include "folder_internal.h"
#include "base/hash.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

void fd_cache_init(struct fd_cache *c)
{
	pthread_mutex_init(&c->lock, NULL);
	for (size_t i = 0; i < FD_CACHE_SLOTS; i++)
		c->slots[i].fd = -1;
}

void fd_cache_release(struct fd_cache *c)
{
	for (size_t i = 0; i < FD_CACHE_SLOTS; i++) {
		assert(c->slots[i].readers == 0);
		if (c->slots[i].fd >= 0)
			close(c->slots[i].fd);
	}
	pthread_mutex_destroy(&c->lock);
}

static bool holds(const struct fd_slot *slot, uint64_t hash, const char *name)
{
	return slot->fd >= 0 && !slot->dropped && slot->hash == hash && strcmp(slot->name, name) == 0;
}

struct fd_slot *fd_cache_take(struct fd_cache *c, const char *name)
{
	uint64_t hash = hash64(span_cstr(name));
	struct fd_slot *found = NULL;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < FD_CACHE_SLOTS && !found; i++)
		if (holds(&c->slots[i], hash, name))
			found = &c->slots[i];
	if (found) {
		found->readers++;
		found->used = ++c->tick;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

struct fd_slot *fd_cache_put(struct fd_cache *c, const char *name, int fd)
{
	struct fd_slot *victim = NULL;
	int old = -1;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < FD_CACHE_SLOTS; i++) {
		struct fd_slot *slot = &c->slots[i];

		if (slot->fd >= 0 && slot->readers)
			continue;
		if (!victim || slot->fd < 0 || (victim->fd >= 0 && slot->used < victim->used))
			victim = slot;
		if (slot->fd < 0)
			break;
	}
	if (victim) {
		old = victim->fd;
		*victim =
		        (struct fd_slot){ .hash = hash64(span_cstr(name)), .used = ++c->tick, .fd = fd, .readers = 1 };
		snprintf(victim->name, sizeof victim->name, "%s", name);
	}
	pthread_mutex_unlock(&c->lock);
	if (old >= 0)
		close(old);
	return victim;
}

void fd_cache_give_back(struct fd_cache *c, struct fd_slot *slot)
{
	int close_now = -1;

	pthread_mutex_lock(&c->lock);
	assert(slot->readers > 0);
	if (--slot->readers == 0 && slot->dropped) {
		close_now = slot->fd;
		slot->fd = -1;
		slot->dropped = false;
	}
	pthread_mutex_unlock(&c->lock);
	if (close_now >= 0)
		close(close_now);
}

void fd_cache_drop(struct fd_cache *c, const char *name)
{
	uint64_t hash = hash64(span_cstr(name));
	int closing[FD_CACHE_SLOTS];
	size_t count = 0;

	pthread_mutex_lock(&c->lock);
	/* Two threads that opened the same object at once may have left it in two slots. */
	for (size_t i = 0; i < FD_CACHE_SLOTS; i++) {
		struct fd_slot *slot = &c->slots[i];

		if (!holds(slot, hash, name))
			continue;
		if (slot->readers) {
			slot->dropped = true;
		} else {
			closing[count++] = slot->fd;
			slot->fd = -1;
		}
	}
	pthread_mutex_unlock(&c->lock);
	while (count)
		close(closing[--count]);
}
