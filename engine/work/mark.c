/*
 * Each chunk has a bit that says "needed", and two that say "what hangs below was seen": as of a collection, and as of a
 * list of collections, which name other things. They are apart because whoever writes says what a chunk is: one that
 * somebody names as the body of an item may be the tree node of somebody else, and must be walked when it is met there.
 * Nodes, refs and lists are chunks as well, so nothing is read twice, and no table of all ids is needed.
 *
 * Most of the work is pages that changed a little: nearly all ids that they name were named by the page before them. So
 * a bounded memory of ids seen lately keeps them from being looked up again, and those that nothing hangs below are
 * looked up many at once, in order, which the index does by walking instead of seeking. (60 daily states of 6,000
 * messages: of 1.3 million ids named 40 thousand are looked up.)
 */
#include "engine/work/mark.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/snapshot/snapshot.h"

#define FIND_BATCH  256
#define TREE_FANOUT NODE_ENTRIES_MAX

void mark_init(struct mark *m, struct repo *r)
{
	*m = (struct mark){ .repo = r };
}

static void pack_release(struct mark_pack *p)
{
	mem_free(p->starts);
	mem_free(p->sealed);
	mem_free(p->raw);
	mem_free(p->classes);
	mem_free(p->live);
	mem_free(p->walked);
	mem_free(p->moved);
	*p = (struct mark_pack){ 0 };
}

void mark_release(struct mark *m)
{
	for (uint32_t i = 0; i < m->pack_count; i++)
		pack_release(&m->packs[i]);
	mem_free(m->packs);
	mem_free(m->seen);
	buf_release(&m->leaves);
	*m = (struct mark){ 0 };
}

/* ---- the packs' tables ---- */

static enum err_code table_fill(struct mark_pack *p, const struct pack *pack, struct err *e)
{
	uint32_t blocks = pack_block_count(pack), chunks = 0;

	p->starts = mem_zalloc((size_t)blocks + 1, sizeof *p->starts);
	p->sealed = mem_zalloc(blocks, sizeof *p->sealed);
	p->raw = mem_zalloc(blocks, sizeof *p->raw);
	p->classes = mem_zalloc(blocks, 1);
	if (!p->starts || !p->sealed || !p->raw || !p->classes)
		return err_no_memory(e, blocks * sizeof *p->starts);
	for (uint32_t b = 0; b < blocks; b++) {
		const struct block_info *info = pack_block(pack, b);

		p->starts[b] = chunks;
		p->sealed[b] = info->sealed_bytes;
		p->raw[b] = info->raw_bytes;
		p->classes[b] = (uint8_t)info->class;
		chunks += info->chunk_count;
	}
	p->starts[blocks] = chunks;
	p->block_count = blocks;
	p->live = mem_zalloc(chunks / 8 + 1, 1);
	p->walked = mem_zalloc(chunks / 4 + 1, 1);
	p->moved = mem_zalloc(chunks / 8 + 1, 1);
	return p->live && p->walked && p->moved ? ERR_OK : err_no_memory(e, chunks / 8);
}

static enum err_code table_load(struct mark *m, uint32_t ordinal, struct err *e)
{
	const struct pack_fact *fact = ledger_pack(m->repo->ledger, ordinal);
	struct mark_pack *p = &m->packs[ordinal];
	struct pack *pack = NULL;
	enum err_code rc;

	if (fact->state != PACK_LIVE || p->starts || p->damaged)
		return ERR_OK;
	rc = pack_open(m->repo->store, m->repo->keys, &fact->pack, &pack, NULL, e);
	if (rc == ERR_CORRUPT || rc == ERR_NOT_FOUND) {
		p->damaged = true;
		return ERR_OK;
	}
	if (!rc)
		rc = table_fill(p, pack, e);
	pack_free(&pack);
	return rc;
}

static enum err_code load_tables(struct mark *m, struct err *e)
{
	uint32_t count = ledger_pack_count(m->repo->ledger);
	struct mark_pack *grown;
	enum err_code rc = ERR_OK;

	if (count > m->pack_count) {
		grown = mem_grow(m->packs, count * sizeof *grown);
		if (!grown)
			return err_no_memory(e, count * sizeof *grown);
		memset(grown + m->pack_count, 0, (count - m->pack_count) * sizeof *grown);
		m->packs = grown;
		m->pack_count = count;
	}
	for (uint32_t i = 0; !rc && i < count; i++)
		rc = repo_stopped(m->repo) ? repo_cancelled(e) : table_load(m, i, e);
	return rc;
}

/* ---- ids seen lately ---- */

#define SEEN_WAYS     4
#define SEEN_SETS_MIN (16u << 10)
#define SEEN_SETS_MAX (512u << 10) /* 2 million ids, 32 MiB */
#define SEEN_ID_BYTES 16           /* of a keyed hash of 32: no two ids that anybody meets begin alike */
#define LEAVES_MAX    ((size_t)256 << 10)

struct mark_seen {
	uint8_t ids[SEEN_WAYS][SEEN_ID_BYTES];
};

/*
 * What was seen at an older head may lie elsewhere now: each update begins with nothing seen. Without memory for it all
 * the same is done, slower.
 */
static void seen_start(struct mark *m)
{
	uint64_t chunks = index_count(m->repo->index);
	uint32_t sets = SEEN_SETS_MIN;

	while (sets < SEEN_SETS_MAX && (uint64_t)sets * SEEN_WAYS < 2 * chunks)
		sets *= 2;
	mem_free(m->seen);
	m->seen = mem_zalloc(sets, sizeof *m->seen);
	m->seen_mask = sets - 1;
}

static void seen_end(struct mark *m)
{
	mem_free(m->seen);
	m->seen = NULL;
	buf_release(&m->leaves);
}

/* How a chunk is met. */
enum met { MET_LEAF = 0, MET_COLLECTION = 1, MET_LIST = 2 };

/* Whether ID was seen so; it is from now on. The oldest of its set makes room. */
static bool seen(struct mark *m, enum met met, const struct chunk_id *id)
{
	uint8_t name[SEEN_ID_BYTES];
	struct mark_seen *set;
	uint32_t hash;

	if (!m->seen)
		return false;
	memcpy(&hash, id->bytes + SEEN_ID_BYTES, sizeof hash);
	set = &m->seen[hash & m->seen_mask];
	memcpy(name, id->bytes, SEEN_ID_BYTES);
	name[0] ^= (uint8_t)met;
	for (int i = 0; i < SEEN_WAYS; i++)
		if (!memcmp(set->ids[i], name, SEEN_ID_BYTES))
			return true;
	memmove(set->ids[1], set->ids[0], sizeof set->ids - SEEN_ID_BYTES);
	memcpy(set->ids[0], name, SEEN_ID_BYTES);
	return false;
}

/* ---- marking ids ---- */

/* FRESH: whether what hangs below was not seen yet; true for leaves. */
static enum err_code mark_place(struct mark *m, enum met met, const struct place *place, bool *fresh, struct err *e)
{
	struct mark_pack *p;
	uint32_t ordinal, bit;

	*fresh = true;
	/* Only in a copy of ours that is not committed yet: it has no table, so what hangs below is walked each time.
	 */
	if (!index_pack_ordinal(m->repo->index, place->pack, &ordinal))
		return ERR_OK;
	p = ordinal < m->pack_count ? &m->packs[ordinal] : NULL;
	if (p && p->damaged)
		return err_set(e, ERR_CORRUPT, "%s cannot be read, and a snapshot needs it",
		               pack_path(&index_pack(m->repo->index, place->pack)->name).text);
	if (!p || place->block >= p->block_count ||
	    place->slot >= p->starts[place->block + 1] - p->starts[place->block])
		return err_set(e, ERR_CORRUPT,
		               "the local index names chunk %u of block %u of pack %u, which is not there", place->slot,
		               place->block, ordinal);
	bit = p->starts[place->block] + place->slot;
	m->chunks_live += !mark_bit(p->live, bit);
	mark_set(p->live, bit);
	if (met == MET_LEAF)
		return ERR_OK;
	*fresh = !mark_bit(p->walked, 2 * bit + (met == MET_LIST));
	mark_set(p->walked, 2 * bit + (met == MET_LIST));
	return ERR_OK;
}

/* Where nobody vouches for a place it is not known which of them has the chunk: none may be thrown away. */
static enum err_code mark_found(struct mark *m, enum met met, const struct chunk_id *id, const struct place *best,
                                bool *fresh, struct err *e)
{
	struct buf places = BUF_EMPTY;
	bool ignored;
	enum err_code rc = mark_place(m, met, best, fresh, e);

	if (rc || !index_has_rivals(m->repo->index) || index_pack_trusted(m->repo->index, best->pack))
		return rc;
	rc = index_find_places(m->repo->index, id, &places, e);
	for (size_t at = 0; !rc && at < places.len; at += sizeof(struct place))
		rc = mark_place(m, met, (const struct place *)(const void *)(places.ptr + at), &ignored, e);
	buf_release(&places);
	return rc;
}

static enum err_code not_there(const struct chunk_id *id, struct err *e)
{
	char hex[2 * ID_BYTES + 1];

	text_hex(span_of(id->bytes, 8), hex);
	return err_set(e, ERR_CORRUPT, "chunk %s… that a snapshot needs is in no pack", hex);
}

/* FRESH tells of each id whether it was not met so before. */
static enum err_code mark_ids(struct mark *m, enum met met, const struct chunk_id *ids, size_t count, bool *fresh,
                              struct err *e)
{
	struct chunk_id wanted[FIND_BATCH];
	struct place places[FIND_BATCH];
	size_t which[FIND_BATCH], n = 0;
	bool found[FIND_BATCH];
	enum err_code rc = ERR_OK;

	for (size_t at = 0; !rc && at < count; at += n) {
		size_t asked = 0;

		n = count - at < FIND_BATCH ? count - at : FIND_BATCH;
		for (size_t i = 0; i < n; i++) {
			fresh[at + i] = false;
			if (seen(m, met, &ids[at + i]))
				continue;
			which[asked] = at + i;
			wanted[asked++] = ids[at + i];
		}
		if (asked)
			rc = index_find(m->repo->index, wanted, asked, places, found, e);
		for (size_t i = 0; !rc && i < asked; i++)
			rc = found[i] ? mark_found(m, met, &wanted[i], &places[i], &fresh[which[i]], e)
			              : not_there(&wanted[i], e);
	}
	return rc;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct chunk_id));
}

/* What was seen may be forgotten, and gathered again. */
static size_t without_twins(struct chunk_id *ids, size_t count)
{
	size_t kept = 1;

	for (size_t i = 1; i < count; i++)
		if (!chunk_id_equal(&ids[i], &ids[kept - 1]))
			ids[kept++] = ids[i];
	return kept;
}

/* Marks the leaves that were gathered. */
static enum err_code mark_leaves(struct mark *m, struct err *e)
{
	struct chunk_id *ids = (struct chunk_id *)(void *)m->leaves.ptr;
	size_t count = m->leaves.len / sizeof *ids;
	struct place *places;
	bool *found, ignored;
	enum err_code rc = ERR_OK;

	if (!count)
		return ERR_OK;
	places = mem_alloc(count * sizeof *places);
	found = mem_alloc(count * sizeof *found);
	if (!places || !found)
		rc = err_no_memory(e, count * sizeof *places);
	if (!rc) {
		qsort(ids, count, sizeof *ids, by_id);
		count = without_twins(ids, count);
		rc = index_find_rising(m->repo->index, ids, count, places, found, e);
	}
	for (size_t i = 0; !rc && i < count; i++)
		rc = found[i] ? mark_found(m, MET_LEAF, &ids[i], &places[i], &ignored, e) : not_there(&ids[i], e);
	mem_free(places);
	mem_free(found);
	buf_clear(&m->leaves);
	return rc;
}

/* Nothing hangs below these: they are marked before the update ends. */
static enum err_code take_leaves(struct mark *m, const struct chunk_id *ids, size_t count, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < count; i++) {
		if (seen(m, MET_LEAF, &ids[i]))
			continue;
		rc = buf_append(&m->leaves, span_of(&ids[i], sizeof ids[i]), e);
		if (!rc && m->leaves.len >= LEAVES_MAX * sizeof *ids)
			rc = mark_leaves(m, e);
	}
	return rc;
}

static enum err_code get(struct mark *m, enum block_class class, const struct chunk_id *id, struct buf *out,
                         struct err *e)
{
	struct chunk_io io = repo_chunk_io(m->repo);

	if (repo_stopped(m->repo))
		return repo_cancelled(e);
	return io.get(io.ctx, class, id, out, e);
}

/* ---- trees ---- */

/* What is walked: a spine tree or a state tree, of a collection or of the list of collections. */
struct tree {
	bool state, list;
};

static enum err_code walk_node(struct mark *m, struct tree tree, const struct chunk_id *id, int level, struct err *e);

/* The roots of a tree, or zeros. */
static enum err_code walk_roots(struct mark *m, const struct page_roots *roots, bool list, struct err *e)
{
	const struct chunk_id *ids[2] = { &roots->spine, &roots->state };
	enum err_code rc = ERR_OK;

	for (int i = 0; !rc && i < 2; i++) {
		bool fresh;

		if (chunk_id_is_zero(ids[i]))
			continue;
		rc = mark_ids(m, list ? MET_LIST : MET_COLLECTION, ids[i], 1, &fresh, e);
		if (!rc && fresh)
			rc = walk_node(m, (struct tree){ .state = i == 1, .list = list }, ids[i], -1, e);
	}
	return rc;
}

/* What a refs column names, sorted by what it is. */
struct refs {
	struct mark *mark;
	bool list;         /* of the list of collections: each row begins with two roots */
	struct buf chunks; /* struct chunk_id: nothing hangs below */
	struct buf lists;  /* struct chunk_id: list chunks */
	struct buf roots;  /* struct page_roots */
};

/* A row of the list of collections: its ids, or those that its list chunks hold. */
static enum err_code take_collection(struct refs *r, const struct chunk_id *ids, uint32_t count, struct err *e)
{
	if (count < COLLECTION_REFS_FIXED)
		return err_set(e, ERR_CORRUPT, "a collection has %u ids", count);
	return buf_append(&r->roots, span_of(ids, sizeof(struct page_roots)), e);
}

static enum err_code take_listed_collection(struct refs *r, const struct chunk_id *ids, uint32_t count, struct err *e)
{
	struct page_row row = { .ids = ids, .id_count = count, .listed = true };
	struct chunk_io io = repo_chunk_io(r->mark->repo);
	struct buf all = BUF_EMPTY;
	enum err_code rc = page_ids_expand(&io, &row, &all, e);
	const struct chunk_id *first = (const struct chunk_id *)(const void *)all.ptr;
	uint32_t n = (uint32_t)(all.len / sizeof *first);

	if (!rc)
		rc = take_collection(r, first, n, e);
	if (!rc)
		rc = buf_append(&r->chunks, span_skip(buf_span(&all), COLLECTION_REFS_FIXED * sizeof *first), e);
	if (!rc)
		rc = buf_append(&r->chunks, span_of(ids, count * sizeof *ids), e);
	buf_release(&all);
	return rc;
}

static enum err_code take_row(void *ctx, uint32_t row, const struct chunk_id *ids, uint32_t count, bool listed,
                              struct err *e)
{
	struct refs *r = ctx;
	enum err_code rc;

	if (row == PAGE_ITEMS_MAX || !r->list)
		return buf_append(listed ? &r->lists : &r->chunks, span_of(ids, count * sizeof *ids), e);
	if (listed)
		return take_listed_collection(r, ids, count, e);
	rc = take_collection(r, ids, count, e);
	return rc ? rc
	          : buf_append(&r->chunks, span_skip(span_of(ids, count * sizeof *ids), sizeof(struct page_roots)), e);
}

static enum err_code walk_list(struct mark *m, const struct chunk_id *id, struct buf *scratch, struct err *e)
{
	const struct chunk_id *ids;
	uint32_t count;
	bool fresh;
	enum err_code rc = mark_ids(m, MET_COLLECTION, id, 1, &fresh, e);

	if (rc || !fresh)
		return rc;
	rc = get(m, CLASS_REFS, id, scratch, e);
	if (!rc)
		rc = page_list_ids(buf_span(scratch), &ids, &count, e);
	return rc ? rc : take_leaves(m, ids, count, e);
}

static enum err_code walk_refs(struct mark *m, bool list, const struct chunk_id *id, struct err *e)
{
	struct refs r = { .mark = m, .list = list };
	struct buf column = BUF_EMPTY;
	enum err_code rc = get(m, CLASS_REFS, id, &column, e);

	if (!rc)
		rc = page_walk_refs(buf_span(&column), take_row, &r, e);
	if (!rc)
		rc = take_leaves(m, (const struct chunk_id *)(const void *)r.chunks.ptr,
		                 r.chunks.len / sizeof(struct chunk_id), e);
	for (size_t at = 0; !rc && at < r.lists.len; at += sizeof(struct chunk_id))
		rc = walk_list(m, (const struct chunk_id *)(const void *)(r.lists.ptr + at), &column, e);
	for (size_t at = 0; !rc && at < r.roots.len; at += sizeof(struct page_roots))
		rc = walk_roots(m, (const struct page_roots *)(const void *)(r.roots.ptr + at), false, e);
	buf_release(&column);
	buf_release(&r.chunks);
	buf_release(&r.lists);
	buf_release(&r.roots);
	return rc;
}

/* A node with the ids below which more hangs, and which of them are new. */
struct opened {
	struct node node;
	uint32_t count;
	struct chunk_id ids[TREE_FANOUT];
	bool fresh[TREE_FANOUT];
};

/* Sorts what entry N names: children and refs to be walked, columns that nothing hangs below. */
static enum err_code sort_entry(struct mark *m, struct tree tree, uint32_t n, struct opened *o, struct err *e)
{
	const struct node *node = &o->node;
	const struct chunk_id *ids = node->entries[n].ids;

	if (node->level == 0 && tree.state)
		return take_leaves(m, ids, 1, e);
	o->ids[o->count++] = ids[0];
	return take_leaves(m, ids + 1, node->ids_per_entry - 1u, e);
}

static enum err_code open_node(struct mark *m, struct tree tree, const struct chunk_id *id, int level,
                               struct opened *out, struct err *e)
{
	struct buf bytes = BUF_EMPTY;
	const struct node *n = &out->node;
	enum err_code rc = get(m, CLASS_NODE, id, &bytes, e);

	if (!rc)
		rc = node_decode(buf_span(&bytes), &out->node, e);
	buf_release(&bytes);
	if (rc)
		return rc;
	/* Depth is bounded: a child must be one level below its parent. */
	if ((level >= 0 && n->level != level) || (n->level == 0 && n->ids_per_entry != (tree.state ? 1 : 3)))
		return err_set(e, ERR_CORRUPT, "tree node of level %u stands where another belongs", n->level);
	for (uint32_t i = 0; !rc && i < n->count; i++)
		rc = sort_entry(m, tree, i, out, e);
	return rc ? rc : mark_ids(m, tree.list ? MET_LIST : MET_COLLECTION, out->ids, out->count, out->fresh, e);
}

static enum err_code walk_node(struct mark *m, struct tree tree, const struct chunk_id *id, int level, struct err *e)
{
	struct opened *o = mem_zalloc(1, sizeof *o);
	enum err_code rc;

	if (!o)
		return err_no_memory(e, sizeof *o);
	rc = open_node(m, tree, id, level, o, e);
	for (uint32_t i = 0; !rc && i < o->count; i++) {
		if (!o->fresh[i])
			continue;
		if (o->node.level > 0)
			rc = walk_node(m, tree, &o->ids[i], o->node.level - 1, e);
		else
			rc = walk_refs(m, tree.list, &o->ids[i], e);
	}
	mem_free(o);
	return rc;
}

/* ---- all roots ---- */

static bool is_root(const struct mark *m, const struct snapshot_fact *fact)
{
	if (fact->state != SNAPSHOT_LIVE && fact->state != SNAPSHOT_TRASH)
		return false;
	for (size_t i = 0; i < m->without_count; i++)
		if (!memcmp(&m->without[i], &fact->entry.id, sizeof fact->entry.id))
			return false;
	return true;
}

static enum err_code mark_snapshots(struct mark *m, struct err *e)
{
	size_t count = ledger_snapshot_count(m->repo->ledger);
	struct engine_progress p = { .phase = "marking", .items_total = count, .what = "snapshots" };
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < count; i++) {
		const struct snapshot_fact *fact = ledger_snapshot(m->repo->ledger, i);
		struct page_roots roots = { fact->entry.spine_root, fact->entry.state_root };
		char hex[2 * ID16_BYTES + 1];

		if (!is_root(m, fact))
			continue;
		text_hex(span_of(fact->entry.id.bytes, 4), hex);
		rc = walk_roots(m, &roots, true, e);
		if (rc && rc != ERR_CANCELLED)
			err_note(e, "while marking what snapshot %s needs", hex);
		p.items_done = i + 1;
		repo_tell(m->repo, &p);
	}
	if (!rc)
		rc = mark_leaves(m, e);
	/* Absent or damaged is the same to us: nothing can be said about what hangs below. */
	if (rc == ERR_NOT_FOUND)
		rc = e->code = ERR_CORRUPT;
	return rc;
}

enum err_code mark_update(struct mark *m, struct err *e)
{
	enum err_code rc = repo_refresh(m->repo, e);

	if (!rc)
		rc = index_update(m->repo->index, m->repo->ledger, e);
	if (!rc)
		rc = load_tables(m, e);
	if (!rc) {
		seen_start(m);
		rc = mark_snapshots(m, e);
		seen_end(m);
	}
	if (!rc)
		m->head = ledger_head(m->repo->ledger).number;
	return rc;
}

struct mark_sum mark_sum(const struct mark *m, uint32_t ordinal)
{
	const struct mark_pack *p = &m->packs[ordinal];
	struct mark_sum sum = { 0 };

	for (uint32_t b = 0; b < p->block_count; b++) {
		uint32_t chunks = p->starts[b + 1] - p->starts[b], live = 0;

		if (p->classes[b] == CLASS_MANIFEST || !chunks)
			continue;
		for (uint32_t i = p->starts[b]; i < p->starts[b + 1]; i++)
			live += mark_bit(p->live, i);
		sum.live_chunks += live;
		sum.chunks += chunks;
		sum.bytes += p->sealed[b];
		sum.live_bytes += (uint64_t)p->sealed[b] * live / chunks;
	}
	return sum;
}
