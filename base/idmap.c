#include "idmap.h"
#include "mem.h"

static size_t home(const struct idmap *m, const uint8_t *key)
{
	uint64_t h;

	memcpy(&h, key, sizeof h);
	return (size_t)h & (m->slot_count - 1);
}

static struct idmap_slot *find(const struct idmap *m, const uint8_t *key)
{
	size_t i = home(m, key);

	while (m->slots[i].value && memcmp(m->slots[i].key, key, IDMAP_KEY_BYTES) != 0)
		i = (i + 1) & (m->slot_count - 1);
	return &m->slots[i];
}

static enum err_code grow(struct idmap *m, struct err *e)
{
	struct idmap bigger = { NULL, m->slot_count ? m->slot_count * 2 : 64, m->used };

	bigger.slots = mem_zalloc(bigger.slot_count, sizeof *bigger.slots);
	if (!bigger.slots)
		return err_no_memory(e, bigger.slot_count * sizeof *bigger.slots);
	for (size_t i = 0; i < m->slot_count; i++)
		if (m->slots[i].value)
			*find(&bigger, m->slots[i].key) = m->slots[i];
	mem_free(m->slots);
	*m = bigger;
	return ERR_OK;
}

enum err_code idmap_put(struct idmap *m, const uint8_t key[IDMAP_KEY_BYTES], uint64_t value, struct err *e)
{
	struct idmap_slot *slot;
	enum err_code rc;

	if (m->used * 4 >= m->slot_count * 3) {
		rc = grow(m, e);
		if (rc)
			return rc;
	}
	slot = find(m, key);
	if (!slot->value) {
		memcpy(slot->key, key, IDMAP_KEY_BYTES);
		m->used++;
	}
	slot->value = value + 1;
	return ERR_OK;
}

bool idmap_get(const struct idmap *m, const uint8_t key[IDMAP_KEY_BYTES], uint64_t *value)
{
	const struct idmap_slot *slot;

	if (!m->used)
		return false;
	slot = find(m, key);
	if (!slot->value)
		return false;
	*value = slot->value - 1;
	return true;
}

void idmap_clear(struct idmap *m)
{
	if (m->slots)
		memset(m->slots, 0, m->slot_count * sizeof *m->slots);
	m->used = 0;
}

void idmap_release(struct idmap *m)
{
	mem_free(m->slots);
	*m = IDMAP_EMPTY;
}
