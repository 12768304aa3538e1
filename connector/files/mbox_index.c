#include "mbox_index.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/wr.h"
#include "item/item.h"

static enum err_code add_message(void *ctx, const struct mbox_message *m, struct err *e)
{
	struct mbox_index *x = ctx;
	struct mbox_entry *entry;

	if (x->count == UINT32_MAX)
		return err_set(e, ERR_LIMIT, "more than %u messages in one mbox", UINT32_MAX);
	if (x->count == x->cap) {
		size_t cap = x->cap ? x->cap + x->cap / 2 : 64;
		void *bigger = mem_grow(x->entries, cap * sizeof *x->entries);

		if (!bigger)
			return err_no_memory(e, cap * sizeof *x->entries);
		x->entries = bigger;
		x->cap = cap;
	}
	entry = &x->entries[x->count];
	*entry = (struct mbox_entry){ .offset = m->offset,
		                      .body_bytes = m->body_bytes,
		                      .from_bytes = m->from_bytes,
		                      .tail_bytes = m->tail_bytes };
	entry->key_len = (uint8_t)mbox_key(m->hash, 1, entry->key);
	entry->state[0] = STATE_POSITION;
	entry->state[1] = 8;
	for (size_t i = 0; i < 8; i++)
		entry->state[2 + i] = (uint8_t)((uint64_t)x->count >> (8 * i));
	x->count++;
	return ERR_OK;
}

/* By hash, then by place: messages that are there more than once are numbered in file order. */
static int compare_entries(const void *a, const void *b)
{
	const struct mbox_entry *x = a, *y = b;
	int order = memcmp(x->key, y->key, 32);

	return order ? order : x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void number_twins(struct mbox_index *x)
{
	uint32_t times = 1;

	for (size_t i = 1; i < x->count; i++) {
		struct mbox_entry *entry = &x->entries[i];
		char number[16];

		times = memcmp(entry->key, x->entries[i - 1].key, 32) == 0 ? times + 1 : 1;
		if (times > 1)
			entry->key_len = (uint8_t)(32 + mbox_key_number(times, number));
		if (times > 1)
			memcpy(entry->key + 32, number, entry->key_len - 32u);
	}
}

enum err_code mbox_index_read(struct mbox_index *x, int fd, struct err *e)
{
	enum err_code rc = mbox_split(mbox_read_fd, &fd, add_message, x, e);

	if (rc || x->count == 0)
		return rc;
	qsort(x->entries, x->count, sizeof *x->entries, compare_entries);
	number_twins(x);
	return ERR_OK;
}

bool mbox_index_has(const struct mbox_index *x, struct span key)
{
	size_t low = 0, high = x->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = span_compare(span_of(x->entries[middle].key, x->entries[middle].key_len), key);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

void mbox_index_release(struct mbox_index *x)
{
	mem_free(x->entries);
	*x = MBOX_INDEX_EMPTY;
}
