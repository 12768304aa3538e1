#include "engine/work/twins.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"

#define SLOTS_FIRST  1024
#define OF_THIS_RUN  0x80000000u
#define TRIES_MAX    16 /* items with the same size and time that are looked at */
#define CLOCK_OFF_NS (60 * 1000000000LL)

/* Where an item lies: row ROW of collection PLACE of the base or, with OF_THIS_RUN, of the run. HASH 0: a free slot. */
struct slot {
	uint64_t hash;
	uint32_t place, row;
};

struct twins {
	struct run *run;
	struct slot *slots;
	size_t slot_count, used; /* SLOT_COUNT is a power of two */
	bool has_base;           /* the base's items are in */
	struct page_list pages;  /* of the collection with ROOTS */
	struct page_roots roots;
	struct page page;
	size_t page_number; /* SIZE_MAX: none */
};

enum err_code twins_open(struct run *r, struct twins **out, struct err *e)
{
	struct twins *t = mem_zalloc(1, sizeof *t);

	if (!t)
		return err_no_memory(e, sizeof *t);
	t->run = r;
	t->page_number = SIZE_MAX;
	*out = t;
	return ERR_OK;
}

void twins_free(struct twins **t)
{
	if (!*t)
		return;
	page_list_release(&(*t)->pages);
	page_release(&(*t)->page);
	mem_free((*t)->slots);
	mem_free(*t);
	*t = NULL;
}

/* ---- what names an item ---- */

struct name {
	uint64_t hash; /* 0: nothing names it */
	bool is_object;
	struct span object;
	uint64_t bytes, time;
	bool has_bytes, has_time;
};

/* An object id alone, where there is one; else size and time. */
static struct name name_of(struct span facts)
{
	struct name n = { 0 };
	uint64_t both[2];

	n.has_bytes = fields_get_u64(facts, FACT_SIZE, &n.bytes);
	n.has_time = fields_get_u64(facts, FACT_TIME, &n.time);
	n.is_object = fields_get(facts, FACT_OBJECT, &n.object) && n.object.len;
	if (n.is_object) {
		n.hash = hash64(n.object) | 1;
	} else if (n.has_bytes && n.has_time) {
		both[0] = n.bytes;
		both[1] = n.time;
		n.hash = hash64(span_of(both, sizeof both)) | 1;
	}
	return n;
}

static bool same_name(const struct name *a, const struct name *b)
{
	if (a->is_object || b->is_object)
		return a->is_object && b->is_object && span_equal(a->object, b->object) &&
		       (!a->has_bytes || !b->has_bytes || a->bytes == b->bytes);
	return a->bytes == b->bytes && a->time == b->time;
}

/* ---- the table ---- */

static void place_slot(struct slot *slots, size_t count, struct slot slot)
{
	size_t at = slot.hash >> 1 & (count - 1);

	while (slots[at].hash)
		at = (at + 1) & (count - 1);
	slots[at] = slot;
}

static enum err_code add_slot(struct twins *t, struct slot slot, struct err *e)
{
	if (t->used >= t->slot_count / 4 * 3) {
		size_t count = t->slot_count ? t->slot_count * 2 : SLOTS_FIRST;
		struct slot *grown = mem_zalloc(count, sizeof *grown);

		if (!grown)
			return err_no_memory(e, count * sizeof *grown);
		for (size_t i = 0; i < t->slot_count; i++)
			if (t->slots[i].hash)
				place_slot(grown, count, t->slots[i]);
		mem_free(t->slots);
		t->slots = grown;
		t->slot_count = count;
	}
	place_slot(t->slots, t->slot_count, slot);
	t->used++;
	return ERR_OK;
}

enum err_code twins_note(struct twins *t, size_t c, uint64_t row, struct span facts, struct err *e)
{
	struct name n = name_of(facts);

	/*
	 * Two new mails of one size and time are two mails; only an object id says that they are one. What a dry
	 * run puts nobody can read again.
	 */
	if (!n.is_object || c >= OF_THIS_RUN || row > UINT32_MAX || t->run->options->dry_run)
		return ERR_OK;
	return add_slot(t, (struct slot){ n.hash, OF_THIS_RUN | (uint32_t)c, (uint32_t)row }, e);
}

static enum err_code open_pages(struct twins *t, uint32_t place, struct err *e)
{
	const struct page_roots *roots =
	        place & OF_THIS_RUN ? &t->run->collected[place & ~OF_THIS_RUN].roots : &t->run->table.rows[place].roots;
	enum err_code rc;

	if (!memcmp(&t->roots, roots, sizeof *roots))
		return ERR_OK;
	page_list_release(&t->pages);
	t->roots = (struct page_roots){ 0 };
	t->page_number = SIZE_MAX;
	rc = page_list_load(&t->run->io, roots, &t->pages, e);
	if (!rc)
		t->roots = *roots;
	return rc;
}

static enum err_code open_page(struct twins *t, size_t number, unsigned columns, struct err *e)
{
	enum err_code rc = page_load(&t->run->io, &t->pages.entries[number], columns, &t->page, e);

	t->page_number = rc || columns != PAGE_ALL ? SIZE_MAX : number;
	return rc;
}

/* Once: the names of all that the base has. */
static enum err_code need_base(struct twins *t, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (t->has_base || !t->run->has_table)
		return ERR_OK;
	for (size_t b = 0; !rc && b < t->run->table.count && b < OF_THIS_RUN; b++) {
		rc = open_pages(t, (uint32_t)b, e);
		for (size_t p = 0; !rc && p < t->pages.count; p++) {
			rc = open_page(t, p, PAGE_KEYS | PAGE_FACTS, e);
			for (uint32_t row = 0; !rc && row < t->page.count; row++) {
				struct name n = name_of(t->page.rows[row].facts);
				uint64_t number = t->pages.entries[p].first + row;

				if (n.hash && number <= UINT32_MAX)
					rc = add_slot(t, (struct slot){ n.hash, (uint32_t)b, (uint32_t)number }, e);
			}
		}
	}
	t->has_base = !rc;
	return rc;
}

/* ---- asking ---- */

/* What came after the base was made is not in it: for new mail the base is not looked through. */
static bool may_be_in_base(const struct twins *t, const struct name *n)
{
	return t->run->has_base && n->hash &&
	       (!n->has_time || (int64_t)n->time < t->run->base_time_ms * 1000000 + CLOCK_OFF_NS);
}

enum err_code twins_ask(struct twins *t, struct span facts, enum twins_verdict *out, struct err *e)
{
	struct name n = name_of(facts);
	enum err_code rc = may_be_in_base(t, &n) ? need_base(t, e) : ERR_OK;

	*out = TWINS_NONE;
	if (rc || !n.hash || !t->slot_count)
		return rc;
	for (size_t at = n.hash >> 1 & (t->slot_count - 1); t->slots[at].hash; at = (at + 1) & (t->slot_count - 1))
		if (t->slots[at].hash == n.hash) {
			*out = n.is_object ? TWINS_SURE : TWINS_LIKELY;
			break;
		}
	return ERR_OK;
}

/* *FOUND false: its collection is still being built. */
static enum err_code load_row(struct twins *t, const struct slot *slot, uint32_t *row, bool *found, struct err *e)
{
	enum err_code rc = open_pages(t, slot->place, e);
	size_t low = 0, high = t->pages.count;

	*found = !rc && slot->row < t->pages.items;
	if (!*found)
		return rc;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (t->pages.entries[middle].first <= slot->row)
			low = middle;
		else
			high = middle;
	}
	*row = (uint32_t)(slot->row - t->pages.entries[low].first);
	return t->page_number == low ? ERR_OK : open_page(t, low, PAGE_ALL, e);
}

enum err_code twins_find(struct twins *t, struct span facts, const uint8_t *anchor, const struct page **page,
                         uint32_t *row, struct err *e)
{
	struct name n = name_of(facts);
	unsigned tries = 0;
	enum err_code rc = ERR_OK;

	*page = NULL;
	if (!n.hash || !t->slot_count)
		return ERR_OK;
	for (size_t at = n.hash >> 1 & (t->slot_count - 1); t->slots[at].hash && tries < TRIES_MAX;
	     at = (at + 1) & (t->slot_count - 1)) {
		struct span theirs;
		struct name old;
		bool found;

		if (t->slots[at].hash != n.hash)
			continue;
		tries++;
		rc = load_row(t, &t->slots[at], row, &found, e);
		if (rc)
			return rc;
		if (!found)
			continue;
		old = name_of(t->page.rows[*row].facts);
		if (!same_name(&n, &old))
			continue;
		if (!n.is_object && (!anchor || !fields_get(t->page.rows[*row].facts, FACT_ANCHOR, &theirs) ||
		                     !span_equal(theirs, span_of(anchor, 16))))
			continue;
		*page = &t->page;
		return ERR_OK;
	}
	return ERR_OK;
}
