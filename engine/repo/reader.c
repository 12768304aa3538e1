#include "engine/repo/reader.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/text.h"

#define BUCKETS        512
#define ID_BUCKETS     16384 /* about as many as there are chunks in the cache */
#define PACKS_OPEN_MAX 256
#define MENDED_MAX     256 /* packs that are told as damaged; more need no telling one by one */

enum block_state { BLOCK_LOADING, BLOCK_READY, BLOCK_FAILED };

/* One chunk of a READY block: its slot is its place among the block's. */
struct known_id {
	struct known_id *in_bucket; /* next */
	struct reader_block *block;
};

/*
 * Invariants: an entry with users > 0 is not freed; READY blocks do not change; bytes counts READY entries only. A READY
 * block has the ids of all its chunks, made once and several at a time by who loaded it, unless our key makes no ids; by
 * them each of its chunks is found without the index. What lay together is mostly read together, so that one question
 * to the index does for a block.
 */
struct reader_block {
	uint32_t pack, number;
	enum block_state state;
	unsigned users;
	struct block block;
	struct chunk_id *ids;               /* NULL: our key makes none */
	struct known_id *known;             /* with IDS, one for each */
	struct err why;                     /* FAILED */
	struct reader_block *in_bucket;     /* next */
	struct reader_block *newer, *older; /* by last use */
};

struct open_pack {
	uint32_t number;
	struct pack *pack;
	unsigned users;
	uint64_t used_at;
};

struct reader {
	struct store *store;
	const struct keys *keys;
	struct index *index;
	size_t cache_bytes, bytes;
	reader_follow follow; /* may be NULL */
	void *follow_ctx;
	atomic_uint_least64_t round; /* of following, at least so many */
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct reader_block *buckets[BUCKETS];
	struct known_id *ids[ID_BUCKETS];
	struct reader_block *newest, *oldest;
	struct open_pack packs[PACKS_OPEN_MAX];
	size_t pack_count;
	uint64_t clock;
	uint32_t mended[MENDED_MAX]; /* numbers of packs that needed their parity */
	size_t mended_count, mended_told;
};

enum err_code reader_open(struct store *store, const struct keys *k, struct index *index, size_t cache_bytes,
                          struct reader **out, struct err *e)
{
	struct reader *r = mem_zalloc(1, sizeof *r);

	if (!r)
		return err_no_memory(e, sizeof *r);
	r->store = store;
	r->keys = k;
	r->index = index;
	r->cache_bytes = cache_bytes;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->loaded, NULL);
	*out = r;
	return ERR_OK;
}

void reader_set_follow(struct reader *r, reader_follow follow, void *ctx)
{
	r->follow = follow;
	r->follow_ctx = ctx;
}

/* ---- the list of blocks, with the lock held ---- */

static struct reader_block **bucket_of(struct reader *r, uint32_t pack, uint32_t number)
{
	return &r->buckets[(pack * 31 + number) % BUCKETS];
}

static void unlink_use(struct reader *r, struct reader_block *b)
{
	*(b->newer ? &b->newer->older : &r->newest) = b->older;
	*(b->older ? &b->older->newer : &r->oldest) = b->newer;
	b->newer = b->older = NULL;
}

static void link_newest(struct reader *r, struct reader_block *b)
{
	b->older = r->newest;
	*(r->newest ? &r->newest->newer : &r->oldest) = b;
	r->newest = b;
}

static size_t block_bytes(const struct reader_block *b)
{
	return b->block.raw.cap + (b->ids ? b->block.chunk_count * (sizeof *b->ids + sizeof *b->known) : 0);
}

static struct known_id **id_bucket(struct reader *r, const struct chunk_id *id)
{
	uint32_t hash; /* an id is a hash already */

	memcpy(&hash, id->bytes, sizeof hash);
	return &r->ids[hash % ID_BUCKETS];
}

static void link_ids(struct reader *r, struct reader_block *b)
{
	for (uint32_t slot = 0; b->ids && slot < b->block.chunk_count; slot++) {
		struct known_id **bucket = id_bucket(r, &b->ids[slot]);

		b->known[slot] = (struct known_id){ .in_bucket = *bucket, .block = b };
		*bucket = &b->known[slot];
	}
}

static void unlink_ids(struct reader *r, struct reader_block *b)
{
	for (uint32_t slot = 0; b->ids && slot < b->block.chunk_count; slot++) {
		struct known_id **p = id_bucket(r, &b->ids[slot]);

		while (*p != &b->known[slot])
			p = &(*p)->in_bucket;
		*p = b->known[slot].in_bucket;
	}
}

static void forget_block(struct reader *r, struct reader_block *b)
{
	struct reader_block **p = bucket_of(r, b->pack, b->number);

	while (*p != b)
		p = &(*p)->in_bucket;
	*p = b->in_bucket;
	unlink_use(r, b);
	if (b->state == BLOCK_READY) {
		r->bytes -= block_bytes(b);
		unlink_ids(r, b);
	}
	block_release(&b->block);
	mem_free(b->ids);
	mem_free(b->known);
	mem_free(b);
}

static void evict(struct reader *r)
{
	struct reader_block *b = r->oldest;

	while (b && r->bytes > r->cache_bytes) {
		struct reader_block *newer = b->newer;

		if (b->users == 0)
			forget_block(r, b);
		b = newer;
	}
}

void reader_free(struct reader **rp)
{
	struct reader *r = *rp;

	if (!r)
		return;
	while (r->oldest)
		forget_block(r, r->oldest);
	for (size_t i = 0; i < r->pack_count; i++)
		pack_free(&r->packs[i].pack);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->loaded);
	mem_free(r);
	*rp = NULL;
}

/* ---- packs ---- */

/* With the lock held: a slot for a new pack; closes the one that was unused for longest. NULL: all are in use. */
static struct open_pack *pack_slot(struct reader *r)
{
	struct open_pack *best = NULL;

	if (r->pack_count < PACKS_OPEN_MAX)
		return &r->packs[r->pack_count++];
	for (size_t i = 0; i < r->pack_count; i++)
		if (r->packs[i].users == 0 && (!best || r->packs[i].used_at < best->used_at))
			best = &r->packs[i];
	if (best)
		pack_free(&best->pack);
	return best;
}

static struct open_pack *pack_known(struct reader *r, uint32_t number)
{
	for (size_t i = 0; i < r->pack_count; i++)
		if (r->packs[i].pack && r->packs[i].number == number)
			return &r->packs[i];
	return NULL;
}

/* Takes a use of the open pack. Opens it under the lock: rare, and small. */
static enum err_code pack_use(struct reader *r, uint32_t number, struct open_pack **out, struct err *e)
{
	struct open_pack *slot;
	struct pack *pack = NULL;
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&r->lock);
	slot = pack_known(r, number);
	if (!slot) {
		rc = pack_open(r->store, r->keys, index_pack(r->index, number), &pack, NULL, e);
		if (!rc && !(slot = pack_slot(r))) {
			pack_free(&pack);
			rc = err_set(e, ERR_LIMIT, "more than %d packs in use at once", PACKS_OPEN_MAX);
		}
		if (!rc)
			*slot = (struct open_pack){ .number = number, .pack = pack };
	}
	if (!rc) {
		slot->users++;
		slot->used_at = ++r->clock;
		*out = slot;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

/* With the lock held. */
static void note_mended(struct reader *r, uint32_t number)
{
	for (size_t i = 0; i < r->mended_count; i++)
		if (r->mended[i] == number)
			return;
	if (r->mended_count < MENDED_MAX)
		r->mended[r->mended_count++] = number;
}

bool reader_next_mended(struct reader *r, struct pack_name *out)
{
	bool more;

	pthread_mutex_lock(&r->lock);
	more = r->mended_told < r->mended_count;
	if (more)
		*out = index_pack(r->index, r->mended[r->mended_told++])->name;
	pthread_mutex_unlock(&r->lock);
	return more;
}

/* ---- blocks ---- */

static enum err_code make_ids(const struct reader *r, enum block_class class, struct reader_block *b, struct err *e)
{
	uint32_t count = b->block.chunk_count;

	if (!keys_read_names(r->keys))
		return ERR_OK;
	b->ids = mem_alloc(count * sizeof *b->ids);
	b->known = mem_alloc(count * sizeof *b->known);
	if (!b->ids || !b->known)
		return err_no_memory(e, count * (sizeof *b->ids + sizeof *b->known));
	block_ids(&b->block, r->keys, class, 0, count, b->ids);
	return ERR_OK;
}

static enum err_code load(struct reader *r, struct block_codec *codec, struct reader_block *b, struct err *e)
{
	struct open_pack *pack;
	enum err_code rc = pack_use(r, b->pack, &pack, e);

	if (rc)
		return rc;
	rc = pack_read_block(pack->pack, b->number, codec, &b->block, e);
	if (!rc)
		rc = make_ids(r, pack_block(pack->pack, b->number)->class, b, e);
	pthread_mutex_lock(&r->lock);
	if (pack_mended(pack->pack))
		note_mended(r, b->pack);
	pack->users--;
	pthread_mutex_unlock(&r->lock);
	return rc;
}

/* With the lock held. */
static struct reader_block *find_block(struct reader *r, uint32_t pack, uint32_t number)
{
	struct reader_block *b = *bucket_of(r, pack, number);

	while (b && (b->pack != pack || b->number != number))
		b = b->in_bucket;
	return b;
}

static struct reader_block *new_block(struct reader *r, uint32_t pack, uint32_t number)
{
	struct reader_block *b = mem_zalloc(1, sizeof *b);
	struct reader_block **bucket = bucket_of(r, pack, number);

	if (!b)
		return NULL;
	b->pack = pack;
	b->number = number;
	b->in_bucket = *bucket;
	*bucket = b;
	link_newest(r, b);
	return b;
}

static void drop_use(struct reader *r, struct reader_block *b)
{
	b->users--;
	if (b->users == 0 && b->state == BLOCK_FAILED)
		forget_block(r, b);
	else if (r->bytes > r->cache_bytes)
		evict(r);
}

/* Gives a READY block with a use taken. */
static enum err_code block_use(struct reader *r, struct block_codec *codec, uint32_t pack, uint32_t number,
                               struct reader_block **out, struct err *e)
{
	struct reader_block *b;
	enum err_code rc;

	pthread_mutex_lock(&r->lock);
	b = find_block(r, pack, number);
	if (b) {
		b->users++;
		unlink_use(r, b);
		link_newest(r, b);
		while (b->state == BLOCK_LOADING)
			pthread_cond_wait(&r->loaded, &r->lock);
	} else {
		b = new_block(r, pack, number);
		if (!b) {
			pthread_mutex_unlock(&r->lock);
			return err_no_memory(e, sizeof *b);
		}
		b->users = 1;
		pthread_mutex_unlock(&r->lock);
		rc = load(r, codec, b, &b->why);
		pthread_mutex_lock(&r->lock);
		b->state = rc ? BLOCK_FAILED : BLOCK_READY;
		if (!rc) {
			r->bytes += block_bytes(b);
			link_ids(r, b);
		}
		pthread_cond_broadcast(&r->loaded);
		evict(r);
	}
	if (b->state == BLOCK_READY) {
		*out = b;
		rc = ERR_OK;
	} else {
		*e = b->why;
		rc = e->code;
		drop_use(r, b);
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

/* Gives a chunk of a block that is in the cache: its bytes were compared with the id when that was made of them. */
static bool get_known(struct reader *r, const struct chunk_id *id, struct held_chunk *out)
{
	struct known_id *known;
	bool found;

	pthread_mutex_lock(&r->lock);
	known = *id_bucket(r, id);
	while (known && memcmp(&known->block->ids[known - known->block->known], id, sizeof *id) != 0)
		known = known->in_bucket;
	found = known != NULL;
	if (found) {
		known->block->users++;
		unlink_use(r, known->block);
		link_newest(r, known->block);
		*out = (struct held_chunk){ .block = known->block,
			                    .bytes = block_chunk(&known->block->block,
			                                         (uint32_t)(known - known->block->known)) };
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}

static enum err_code get_at(struct reader *r, struct block_codec *codec, const struct chunk_id *id,
                            const struct place *place, struct held_chunk *out, struct err *e)
{
	struct held_chunk held = HELD_CHUNK_NONE;
	enum err_code rc = block_use(r, codec, place->pack, place->block, &held.block, e);

	if (rc)
		return rc;
	held.bytes = block_chunk(&held.block->block, place->slot);
	/* A keeper has no key for ids: the id list and the block are each authentic, whether they fit others check. */
	if (held.block->ids && (place->slot >= held.block->block.chunk_count ||
	                        memcmp(&held.block->ids[place->slot], id, sizeof *id) != 0)) {
		reader_drop(r, &held);
		return err_set(e, ERR_CORRUPT, "chunk %u of block %u is not what its id says", place->slot,
		               place->block);
	}
	*out = held;
	return ERR_OK;
}

struct wanted {
	struct reader *reader;
	struct block_codec *codec;
	enum block_class class;
	const struct chunk_id *id;
};

/* Whether another place is worth a try. What nobody vouches for may also be something that no honest writer makes. */
static bool other_may_do(enum err_code rc, bool trusted)
{
	return rc == ERR_CORRUPT || rc == ERR_NOT_FOUND ||
	       (!trusted && (rc == ERR_UNSUPPORTED || rc == ERR_WRONG_KEY || rc == ERR_LIMIT));
}

/* The first of the places behind FIRST that is good. */
static bool get_elsewhere(const struct wanted *w, const struct place *first, struct held_chunk *out)
{
	struct buf places = BUF_EMPTY;
	struct err ignored;
	bool got = false;

	if (index_find_places(w->reader->index, w->id, &places, &ignored) == ERR_OK)
		for (size_t at = 0; !got && at < places.len; at += sizeof(struct place)) {
			const struct place *p = (const struct place *)(const void *)(places.ptr + at);

			got = memcmp(p, first, sizeof *p) != 0 &&
			      get_at(w->reader, w->codec, w->id, p, out, &ignored) == ERR_OK;
		}
	buf_release(&places);
	return got;
}

/*
 * For a keeper, who cannot compare with the id: the places that have it must say the same, or one of their makers lies,
 * and whoever believed the wrong one could throw away what a snapshot needs.
 */
static enum err_code all_agree(const struct wanted *w, struct held_chunk *held, const char *hex, struct err *e)
{
	struct buf places = BUF_EMPTY;
	enum err_code rc = index_find_places(w->reader->index, w->id, &places, e);

	for (size_t at = 0; !rc && at < places.len; at += sizeof(struct place)) {
		const struct place *p = (const struct place *)(const void *)(places.ptr + at);
		struct held_chunk other = HELD_CHUNK_NONE;

		if (get_at(w->reader, w->codec, w->id, p, &other, &(struct err){ 0 }))
			continue;
		if (!span_equal(other.bytes, held->bytes))
			rc = err_set(
			        e, ERR_CORRUPT,
			        "packs of several makers disagree about chunk %s… (%s), and this key cannot tell who "
			        "is right: "
			        "run mailhold check --read-data with a full key",
			        hex, block_class_name(w->class));
		reader_drop(w->reader, &other);
	}
	buf_release(&places);
	if (rc)
		reader_drop(w->reader, held);
	return rc;
}

static enum err_code get_once(struct reader *r, struct block_codec *codec, enum block_class class,
                              const struct chunk_id *id, struct held_chunk *out, struct err *e)
{
	struct wanted w = { r, codec, class, id };
	struct held_chunk held = HELD_CHUNK_NONE;
	struct place first;
	bool found, trusted;
	char hex[2 * ID_BYTES + 1];
	enum err_code rc = index_find(r->index, id, 1, &first, &found, e);

	if (rc)
		return rc;
	text_hex(span_of(id->bytes, 8), hex);
	if (!found)
		return err_set(e, ERR_NOT_FOUND, "chunk %s… (%s) is in no pack of the repository", hex,
		               block_class_name(class));
	trusted = index_pack_trusted(r->index, first.pack);
	rc = get_at(r, codec, id, &first, &held, e);
	/* The first place is damaged or gone: any other will do. */
	if (other_may_do(rc, trusted) && get_elsewhere(&w, &first, &held))
		rc = ERR_OK;
	if (rc)
		return err_note(e, "while reading chunk %s… (%s) from %s", hex, block_class_name(class),
		                pack_path(&index_pack(r->index, first.pack)->name).text);
	if (!trusted && !keys_read_names(r->keys) && index_has_rivals(r->index))
		rc = all_agree(&w, &held, hex, e);
	if (!rc)
		*out = held;
	return rc;
}

enum err_code reader_get(struct reader *r, struct block_codec *codec, enum block_class class, const struct chunk_id *id,
                         struct held_chunk *out, struct err *e)
{
	/* Before the look-up: what another thread brings while we look may have been too late for us. */
	uint64_t before = atomic_load(&r->round), now = before;
	enum err_code rc = get_known(r, id, out) ? ERR_OK : get_once(r, codec, class, id, out, e);
	struct err why;

	if (rc != ERR_NOT_FOUND || !r->follow)
		return rc;
	if (r->follow(r->follow_ctx, &now, &why))
		return err_note(e, "and the newest history could not be read: %s", why.text);
	if (now == before)
		return rc;
	atomic_store(&r->round, now);
	return get_once(r, codec, class, id, out, e);
}

void reader_drop(struct reader *r, struct held_chunk *held)
{
	if (!held->block)
		return;
	pthread_mutex_lock(&r->lock);
	drop_use(r, held->block);
	pthread_mutex_unlock(&r->lock);
	*held = HELD_CHUNK_NONE;
}
