#include "engine/work/known.h"

#include "base/mem.h"

#define SLOTS_MIN 4096

static uint64_t value_of(const struct chunk_id *id)
{
	uint64_t value;

	memcpy(&value, id->bytes, sizeof value);
	return value ? value : 1;
}

static bool put(uint64_t *slots, size_t slot_count, uint64_t value)
{
	size_t at = value & (slot_count - 1);

	while (slots[at] && slots[at] != value)
		at = (at + 1) & (slot_count - 1);
	if (slots[at])
		return false;
	slots[at] = value;
	return true;
}

static enum err_code grow(struct known *k, struct err *e)
{
	size_t wanted = k->slot_count ? 2 * k->slot_count : SLOTS_MIN;
	uint64_t *slots;

	if (wanted > KNOWN_SLOTS_MAX) {
		known_release(k);
		k->full = true;
		return ERR_OK;
	}
	slots = mem_zalloc(wanted, sizeof *slots);
	if (!slots)
		return err_no_memory(e, wanted * sizeof *slots);
	for (size_t i = 0; i < k->slot_count; i++)
		if (k->slots[i])
			put(slots, wanted, k->slots[i]);
	mem_free(k->slots);
	k->slots = slots;
	k->slot_count = wanted;
	return ERR_OK;
}

enum err_code known_add(struct known *k, const struct chunk_id *ids, size_t count, struct err *e)
{
	for (size_t i = 0; i < count && !k->full; i++) {
		if (k->used >= k->slot_count - k->slot_count / 4) {
			enum err_code rc = grow(k, e);

			if (rc || k->full)
				return rc;
		}
		k->used += put(k->slots, k->slot_count, value_of(&ids[i]));
	}
	return ERR_OK;
}

bool known_has(const struct known *k, const struct chunk_id *id)
{
	uint64_t value = value_of(id);
	size_t at = value & (k->slot_count - 1);

	if (!k->slot_count)
		return false;
	while (k->slots[at] && k->slots[at] != value)
		at = (at + 1) & (k->slot_count - 1);
	return k->slots[at] != 0;
}

void known_release(struct known *k)
{
	mem_free(k->slots);
	*k = (struct known){ 0 };
}
