#include "names.h"

#include <assert.h>

#include "base/mem.h"
#include "base/num.h"

#define SMALL_RUN 12

static enum err_code grow(void **ptr, size_t *cap, size_t need, size_t each, size_t first, struct err *e)
{
	size_t next = *cap ? *cap + *cap / 2 : first, bytes;
	void *bigger;

	if (need <= *cap)
		return ERR_OK;
	next = num_max(next, need);
	if (!num_mul_size(next, each, &bytes))
		return err_set(e, ERR_LIMIT, "too many names");
	bigger = mem_grow(*ptr, bytes);
	if (!bigger)
		return err_no_memory(e, bytes);
	*ptr = bigger;
	*cap = next;
	return ERR_OK;
}

static enum err_code arena_room(struct names *n, size_t more, struct err *e)
{
	if (more > UINT32_MAX - n->arena_len)
		return err_set(e, ERR_LIMIT, "the names in one folder take more than 4 GiB");
	return grow((void **)&n->arena, &n->arena_cap, n->arena_len + more, 1, 4096, e);
}

static void arena_put(struct names *n, struct span s)
{
	if (s.len)
		memcpy(n->arena + n->arena_len, s.ptr, s.len);
	n->arena_len += s.len;
}

/* Name, NUL, own key, state length, state. Room was made. */
static uint32_t put_record(struct names *n, struct span name, struct span own_key, struct span state)
{
	uint32_t offset = (uint32_t)n->arena_len;
	uint8_t len[2] = { (uint8_t)state.len, (uint8_t)(state.len >> 8) };

	arena_put(n, name);
	arena_put(n, span_of("", 1));
	arena_put(n, own_key);
	arena_put(n, span_of(len, 2));
	arena_put(n, state);
	return offset;
}

enum err_code names_add(struct names *n, struct span name, size_t key_len, uint8_t mark, struct span state,
                        struct err *e)
{
	enum err_code rc;

	assert(name.len <= NAME_LEN_MAX && key_len <= name.len && state.len <= UINT16_MAX);
	rc = arena_room(n, name.len + state.len + 3, e);
	if (!rc)
		rc = grow((void **)&n->refs, &n->refs_cap, n->count + 1, sizeof *n->refs, 64, e);
	if (rc)
		return rc;
	n->refs[n->count++] = (struct name_ref){ .offset = put_record(n, name, SPAN_EMPTY, state),
		                                 .key_len = (uint16_t)key_len,
		                                 .name_len = (uint8_t)name.len,
		                                 .mark = mark };
	return ERR_OK;
}

enum err_code names_own_key(struct names *n, size_t i, struct span key, struct err *e)
{
	struct name_ref *ref = &n->refs[i];
	struct span name, state;
	enum err_code rc;

	assert(key.len <= UINT16_MAX);
	rc = arena_room(n, names_name(n, i).len + key.len + names_state(n, i).len + 3, e);
	if (rc)
		return rc;
	name = names_name(n, i); /* only now: the arena may have moved */
	state = names_state(n, i);
	ref->offset = put_record(n, name, key, state);
	ref->key_len = (uint16_t)key.len;
	ref->mark |= NAME_OWN_KEY;
	return ERR_OK;
}

static const uint8_t *key_at(const struct names *n, const struct name_ref *ref)
{
	return n->arena + ref->offset + (ref->mark & NAME_OWN_KEY ? ref->name_len + 1u : 0);
}

struct span names_name(const struct names *n, size_t i)
{
	return span_of(n->arena + n->refs[i].offset, n->refs[i].name_len);
}

struct span names_key(const struct names *n, size_t i)
{
	return span_of(key_at(n, &n->refs[i]), n->refs[i].key_len);
}

struct span names_state(const struct names *n, size_t i)
{
	const struct name_ref *ref = &n->refs[i];
	const uint8_t *at = n->arena + ref->offset + ref->name_len + 1 + (ref->mark & NAME_OWN_KEY ? ref->key_len : 0);

	return span_of(at + 2, (size_t)(at[0] | at[1] << 8));
}

/* ---- order: three-way quicksort on eight bytes of the key at a time, so that long shared beginnings cost once ---- */

static void load_words(const struct names *n, struct name_ref *refs, size_t count, size_t depth)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t bytes[8] = { 0 };
		size_t len = refs[i].key_len;
		uint64_t word;

		if (len > depth)
			memcpy(bytes, key_at(n, &refs[i]) + depth, num_min(len - depth, 8));
		memcpy(&word, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		word = __builtin_bswap64(word);
#endif
		refs[i].word = word;
	}
}

static int compare_ties(const struct names *n, const struct name_ref *a, const struct name_ref *b)
{
	if (a->mark != b->mark)
		return a->mark < b->mark ? -1 : 1;
	return span_compare(span_of(n->arena + a->offset, a->name_len), span_of(n->arena + b->offset, b->name_len));
}

static int compare_refs(const struct names *n, const struct name_ref *a, const struct name_ref *b)
{
	int order = 0;

	if (a->word != b->word)
		return a->word < b->word ? -1 : 1;
	order = span_compare(span_of(key_at(n, a), a->key_len), span_of(key_at(n, b), b->key_len));
	return order ? order : compare_ties(n, a, b);
}

static void sort_small(const struct names *n, struct name_ref *refs, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct name_ref moving = refs[i];
		size_t at = i;

		for (; at > 0 && compare_refs(n, &moving, &refs[at - 1]) < 0; at--)
			refs[at] = refs[at - 1];
		refs[at] = moving;
	}
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
	if (a > b)
		return median(b, a, c);
	return b <= c ? b : a > c ? a : c;
}

/* Same key everywhere: order by mark and name with a plain heap-free shell sort; such runs are tiny unless made so. */
static void sort_ties(const struct names *n, struct name_ref *refs, size_t count)
{
	for (size_t gap = count / 2; gap > 0; gap /= 2)
		for (size_t i = gap; i < count; i++) {
			struct name_ref moving = refs[i];
			size_t at = i;

			for (; at >= gap && compare_ties(n, &moving, &refs[at - gap]) < 0; at -= gap)
				refs[at] = refs[at - gap];
			refs[at] = moving;
		}
}

static void sort_words(const struct names *n, struct name_ref *refs, size_t count, size_t depth, uint64_t seed)
{
	while (count > SMALL_RUN) {
		size_t low = 0, at = 0, high = count;
		uint64_t pivot;

		/* Places drawn anew each round, so that no order of the folder makes it slow. */
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		pivot = median(refs[(seed >> 33) % count].word, refs[(seed >> 13) % count].word, refs[count / 2].word);
		while (at < high) {
			struct name_ref here = refs[at];

			if (here.word < pivot) {
				refs[at++] = refs[low];
				refs[low++] = here;
			} else if (here.word > pivot) {
				refs[at] = refs[--high];
				refs[high] = here;
			} else {
				at++;
			}
		}
		sort_words(n, refs, low, depth, seed);
		/* A word that ends in zero is the end of the key: all of them are equal. */
		if ((pivot & 0xff) == 0) {
			sort_ties(n, refs + low, high - low);
		} else {
			load_words(n, refs + low, high - low, depth + 8);
			sort_words(n, refs + low, high - low, depth + 8, seed);
		}
		refs += high;
		count -= high;
	}
	sort_small(n, refs, count);
}

void names_sort(struct names *n)
{
	load_words(n, n->refs, n->count, 0);
	sort_words(n, n->refs, n->count, 0, 0x9e3779b97f4a7c15u);
}

bool names_find(const struct names *n, struct span key, size_t *at)
{
	size_t low = 0, high = n->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (span_compare(names_key(n, middle), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == n->count || !span_equal(names_key(n, low), key))
		return false;
	*at = low;
	return true;
}

void names_release(struct names *n)
{
	mem_free(n->refs);
	mem_free(n->arena);
	*n = NAMES_EMPTY;
}
