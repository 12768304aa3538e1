#include "base/mem.h"
#include "engine/index/index_internal.h"

static enum err_code make_room(struct index_memory *m, struct err *e)
{
	uint32_t capacity = m->capacity ? m->capacity * 2 : 1024;
	struct index_memory_place *grown;

	if (m->count < m->capacity)
		return ERR_OK;
	if (m->count >= INDEX_MEMORY_ENTRIES_MAX)
		return err_set(e, ERR_BUSY,
		               "the local index is being written by another process, and lacks more than %u chunks",
		               INDEX_MEMORY_ENTRIES_MAX);
	grown = mem_grow(m->places, capacity * sizeof *grown);
	if (!grown)
		return err_no_memory(e, capacity * sizeof *grown);
	m->places = grown;
	m->capacity = capacity;
	return ERR_OK;
}

enum err_code index_memory_add(struct index_memory *m, const struct index_entry *entry, struct err *e)
{
	uint64_t at;
	enum err_code rc = make_room(m, e);

	if (rc)
		return rc;
	if (idmap_get(&m->first, entry->id.bytes, &at)) {
		while (m->places[at].next)
			at = m->places[at].next - 1;
		m->places[at].next = m->count + 1;
	} else {
		rc = idmap_put(&m->first, entry->id.bytes, m->count, e);
		if (rc)
			return rc;
	}
	m->places[m->count++] = (struct index_memory_place){ entry->place, 0 };
	return ERR_OK;
}

const struct index_memory_place *index_memory_next(const struct index_memory *m, const struct chunk_id *id,
                                                   const struct index_memory_place *previous)
{
	uint64_t at;

	if (previous)
		return previous->next ? &m->places[previous->next - 1] : NULL;
	return m->count && idmap_get(&m->first, id->bytes, &at) ? &m->places[at] : NULL;
}

enum err_code index_memory_entries(const struct index_memory *m, struct buf *out, struct err *e)
{
	enum err_code rc = buf_reserve(out, m->count * sizeof(struct index_entry), e);

	for (size_t i = 0; !rc && i < m->first.slot_count; i++) {
		const struct idmap_slot *slot = &m->first.slots[i];
		struct index_entry entry;

		if (!slot->value)
			continue;
		memcpy(entry.id.bytes, slot->key, ID_BYTES);
		for (uint64_t at = slot->value; !rc && at; at = m->places[at - 1].next) {
			entry.place = m->places[at - 1].place;
			rc = buf_append(out, span_of(&entry, sizeof entry), e);
		}
	}
	return rc;
}

void index_memory_release(struct index_memory *m)
{
	idmap_release(&m->first);
	mem_free(m->places);
	*m = (struct index_memory){ 0 };
}
