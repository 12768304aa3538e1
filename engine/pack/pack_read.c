#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pack/pack_internal.h"

/* ---- open ---- */

static enum err_code open_pack(struct pack *p, bool *damaged, struct err *e)
{
	struct buf tail = BUF_EMPTY;
	enum err_code rc = pack_find_footer(p, &tail, damaged, e);

	if (!rc)
		rc = pack_find_directory(p, buf_span(&tail), damaged, e);
	if (!rc) {
		p->opened = mem_zalloc(p->directory.seal_count, sizeof *p->opened);
		if (!p->opened)
			rc = err_no_memory(e, p->directory.seal_count * sizeof *p->opened);
	}
	buf_release(&tail);
	return rc;
}

static struct pack *new_pack(struct store *store, const struct keys *k, const struct pack_added *what, struct err *e)
{
	struct pack *p = mem_zalloc(1, sizeof *p);

	if (!p) {
		(void)!err_no_memory(e, sizeof *p);
		return NULL;
	}
	p->store = store;
	p->keys = k;
	p->what = *what;
	memcpy(p->path, pack_path(&what->name).text, sizeof p->path);
	p->plain.max = PACK_DIRECTORY_BYTES_MAX;
	pthread_mutex_init(&p->lock, NULL);
	atomic_init(&p->mended, 0);
	return p;
}

enum err_code pack_open_mended(struct store *store, const struct keys *k, const struct pack_added *what,
                               struct pack **out, struct err *e)
{
	struct pack *p = new_pack(store, k, what, e);
	bool ignored = false;
	enum err_code rc;

	if (!p)
		return e->code;
	p->parity_tried = true;
	rc = parity_open(store, &what->name, &p->parity, e);
	p->by_parity = !rc;
	if (!rc)
		rc = open_pack(p, &ignored, e);
	if (rc)
		pack_free(&p);
	else
		*out = p;
	return rc;
}

/* Both directories or both footers are damaged: as the parity says that they were, if that can be had and opens. */
static enum err_code open_by_parity(struct store *store, const struct keys *k, const struct pack_added *what,
                                    struct pack **p)
{
	struct pack *mended = NULL;
	enum err_code rc = pack_open_mended(store, k, what, &mended, &(struct err){ 0 });

	if (rc)
		return rc;
	pack_free(p);
	mended->by_parity = false;
	atomic_store(&mended->mended, 1);
	*p = mended;
	return ERR_OK;
}

enum err_code pack_open(struct store *store, const struct keys *k, const struct pack_added *what, struct pack **out,
                        bool *used_second, struct err *e)
{
	struct pack *p = new_pack(store, k, what, e);
	bool damaged = false;
	enum err_code rc;

	if (!p)
		return e->code;
	rc = open_pack(p, &damaged, e);
	if (pack_is_damage(rc) && !open_by_parity(store, k, what, &p))
		rc = ERR_OK;
	if (rc) {
		err_note(e, "while opening %s", p->path);
		pack_free(&p);
		return rc;
	}
	if (used_second)
		*used_second = damaged;
	*out = p;
	return ERR_OK;
}

void pack_free(struct pack **p)
{
	if (!*p)
		return;
	for (uint32_t i = 0; (*p)->opened && i < (*p)->directory.seal_count; i++)
		seal_reader_free(&(*p)->opened[i].reader);
	mem_free((*p)->opened);
	parity_free(&(*p)->parity);
	pack_directory_release(&(*p)->directory);
	buf_release(&(*p)->plain);
	pthread_mutex_destroy(&(*p)->lock);
	mem_free(*p);
	*p = NULL;
}

uint64_t pack_mended(const struct pack *p)
{
	return atomic_load(&p->mended);
}

uint32_t pack_block_count(const struct pack *p)
{
	return p->directory.block_count;
}

const struct block_info *pack_block(const struct pack *p, uint32_t block)
{
	assert(block < p->directory.block_count);
	return &p->directory.blocks[block];
}

/* ---- blocks ---- */

/* Most openings of a pack need none. */
enum err_code pack_seal_reader(struct pack *p, uint16_t seal, const struct seal_reader **out, struct err *e)
{
	const struct pack_seal *s = &p->directory.seals[seal];
	struct pack_opened_seal *o = &p->opened[seal];
	enum err_code rc = ERR_OK;

	pthread_mutex_lock(&p->lock);
	if (!o->tried) {
		rc = seal_reader_open(p->keys, s->scope, s->epoch, &s->id, s->wrapped, &o->reader, &o->failed);
		o->tried = rc != ERR_NO_MEMORY;
	}
	if (!o->reader) {
		*e = o->failed;
		rc = o->failed.code;
	}
	*out = o->reader;
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static enum err_code open_sealed(struct pack *p, uint32_t block, struct span sealed, struct block_codec *c,
                                 struct block *out, struct err *e)
{
	const struct block_info *info = &p->directory.blocks[block];
	const struct seal_reader *reader;
	enum err_code rc = pack_seal_reader(p, info->seal, &reader, e);

	return rc ? rc
	          : block_open(c, info, reader, &p->directory.seals[info->seal].id, keys_repo(p->keys), sealed, out, e);
}

enum err_code pack_mend_sealed(struct pack *p, uint32_t block, struct buf *out, struct err *e)
{
	const struct block_info *info = &p->directory.blocks[block];
	uint8_t hash[BLOCK_HASH_BYTES];
	enum err_code rc;

	buf_clear(out);
	rc = pack_read_mended(p, info->offset, info->sealed_bytes, out, e);
	if (rc)
		return rc;
	crypto_digest(buf_span(out), hash, sizeof hash);
	if (memcmp(hash, info->hash, sizeof hash) != 0)
		rc = err_set(e, ERR_CORRUPT,
		             "what the parity gives for block %" PRIu32 " is not what the directory says", block);
	return rc;
}

/* A block that does not open is read again with the help of the parity. */
static enum err_code read_block(struct pack *p, uint32_t block, struct block_codec *c, struct block *out, struct err *e)
{
	struct buf sealed = BUF_WITH_MAX(BLOCK_RAW_MAX + SEAL_OVERHEAD);
	const struct block_info *info = &p->directory.blocks[block];
	const struct seal_reader *reader;
	/* Before anything is read: whether our role opens it. */
	enum err_code rc = pack_seal_reader(p, info->seal, &reader, e);

	if (rc)
		return rc;
	rc = pack_read_range(p, info->offset, info->sealed_bytes, &sealed, e);
	if (!rc)
		rc = open_sealed(p, block, buf_span(&sealed), c, out, e);
	if (pack_is_damage(rc) && !pack_mend_sealed(p, block, &sealed, &(struct err){ 0 }))
		rc = open_sealed(p, block, buf_span(&sealed), c, out, e);
	buf_release(&sealed);
	return rc;
}

static enum err_code told(const struct pack *p, uint32_t block, enum err_code rc, struct err *e)
{
	return rc ? err_note(e, "while reading block %" PRIu32 " of %s", block, p->path) : ERR_OK;
}

static enum err_code check_number(const struct pack *p, uint64_t block, struct err *e)
{
	if (block < p->directory.block_count)
		return ERR_OK;
	return err_set(e, ERR_CORRUPT, "the pack has %" PRIu32 " blocks", p->directory.block_count);
}

enum err_code pack_read_block(struct pack *p, uint32_t block, struct block_codec *c, struct block *out, struct err *e)
{
	enum err_code rc = check_number(p, block, e);

	if (!rc)
		rc = read_block(p, block, c, out, e);
	return told(p, block, rc, e);
}

enum err_code pack_read_sealed(struct pack *p, uint32_t block, uint32_t count, struct buf *out, struct err *e)
{
	const struct block_info *first = &p->directory.blocks[block], *last = first + count - 1;
	enum err_code rc = check_number(p, (uint64_t)block + count - 1, e);

	/* Blocks lie one behind the other: the directory was refused otherwise. */
	if (!rc)
		rc = pack_read_range(p, first->offset, (size_t)(last->offset + last->sealed_bytes - first->offset), out,
		                     e);
	return told(p, block, rc, e);
}

enum err_code pack_open_sealed(struct pack *p, uint32_t block, struct span sealed, struct block_codec *c,
                               struct block *out, struct err *e)
{
	enum err_code rc = check_number(p, block, e);

	if (!rc)
		rc = open_sealed(p, block, sealed, c, out, e);
	return told(p, block, rc, e);
}

/* ---- id lists ---- */

enum err_code pack_list_open(const struct pack *p, uint32_t block, struct span sealed, struct buf *out, struct err *e)
{
	struct pack_ad ad = pack_ad(&p->header, PACK_PART_LIST, block);

	/* Its length was checked against the chunk count with the directory. */
	return box_open(p->keys, BOX_TABLE, p->epoch, span_of(ad.bytes, sizeof ad.bytes), sealed, out, e);
}

static enum err_code ids_of_block(struct pack *p, uint32_t block, struct block_codec *c, struct buf *out, struct err *e)
{
	struct block got = { 0 };
	uint8_t *at;
	enum err_code rc;

	if (!keys_read_names(p->keys))
		return err_set(e, ERR_WRONG_KEY, "this key does not make ids");
	rc = pack_read_block(p, block, c, &got, e);
	if (!rc)
		rc = buf_extend(out, got.chunk_count * sizeof(struct chunk_id), &at, e);
	if (!rc)
		block_ids(&got, p->keys, p->directory.blocks[block].class, 0, got.chunk_count,
		          (struct chunk_id *)(void *)at);
	block_release(&got);
	return rc;
}

/* The list as the parity gives it: a keeper cannot compute it from the block, and it costs less. */
static enum err_code ids_mended(struct pack *p, uint32_t block, struct buf *out)
{
	const struct block_info *info = &p->directory.blocks[block];
	struct buf sealed = BUF_EMPTY;
	struct err ignored;
	enum err_code rc = pack_read_mended(p, info->list_offset, info->list_bytes, &sealed, &ignored);

	if (!rc)
		rc = pack_list_open(p, block, buf_span(&sealed), out, &ignored);
	buf_release(&sealed);
	return rc;
}

/* SEALED may be empty: it could not be read. */
static enum err_code ids_from(struct pack *p, uint32_t block, struct span sealed, struct block_codec *c,
                              struct buf *out, struct err *e)
{
	struct err ignored;
	enum err_code rc = sealed.len ? pack_list_open(p, block, sealed, out, e) : ERR_CORRUPT;

	if (rc != ERR_CORRUPT)
		return rc;
	if (!ids_mended(p, block, out))
		return ERR_OK;
	rc = ids_of_block(p, block, c, out, &ignored);
	if (rc)
		return err_set(e, ignored.code,
		               "the id list of block %" PRIu32 " is damaged, and the block does not open: %.400s",
		               block, ignored.text);
	return ERR_OK;
}

enum err_code pack_ids(struct pack *p, uint32_t block, struct block_codec *c, struct buf *out, struct err *e)
{
	struct buf sealed = BUF_EMPTY;
	const struct block_info *info;
	enum err_code rc;

	if (block >= p->directory.block_count)
		return err_set(e, ERR_CORRUPT, "%s has %" PRIu32 " blocks, not one of number %" PRIu32, p->path,
		               p->directory.block_count, block);
	info = &p->directory.blocks[block];
	rc = pack_read_range(p, info->list_offset, info->list_bytes, &sealed, e);
	if (!rc || rc == ERR_CORRUPT || rc == ERR_IO)
		rc = ids_from(p, block, buf_span(&sealed), c, out, e);
	buf_release(&sealed);
	if (rc)
		err_note(e, "while reading the ids of %s", p->path);
	return rc;
}

/* Reads as many lists as stand in about 4 MiB at once and visits them. *BLOCK moves behind them. */
static enum err_code ids_window(struct pack *p, uint32_t *block, struct block_codec *c, pack_ids_visit visit, void *ctx,
                                struct buf *window, struct buf *ids, struct err *e)
{
	const struct block_info *blocks = p->directory.blocks;
	uint64_t start = blocks[*block].list_offset, end = start;
	uint32_t last = *block;
	enum err_code rc;

	while (last < p->directory.block_count && (last == *block || end - start + blocks[last].list_bytes <= 4 * MIB))
		end += blocks[last++].list_bytes;
	buf_clear(window);
	rc = pack_read_range(p, start, (size_t)(end - start), window, e);
	if (rc && rc != ERR_IO && rc != ERR_CORRUPT)
		return rc;
	rc = ERR_OK;
	for (; !rc && *block < last; ++*block) {
		const struct block_info *b = &blocks[*block];
		struct span sealed =
		        span_first(span_skip(buf_span(window), (size_t)(b->list_offset - start)), b->list_bytes);

		buf_clear(ids);
		rc = sealed.len ? ids_from(p, *block, sealed, c, ids, e) : pack_ids(p, *block, c, ids, e);
		if (rc == ERR_NO_MEMORY)
			return rc;
		rc = visit(ctx, *block, rc ? NULL : (const struct chunk_id *)(const void *)ids->ptr, b->chunk_count,
		           rc ? e : NULL, e);
	}
	return rc;
}

enum err_code pack_each_ids(struct pack *p, struct block_codec *c, pack_ids_visit visit, void *ctx, struct err *e)
{
	struct buf window = BUF_EMPTY, ids = BUF_EMPTY;
	uint32_t block = 0;
	enum err_code rc = ERR_OK;

	while (!rc && block < p->directory.block_count)
		rc = ids_window(p, &block, c, visit, ctx, &window, &ids, e);
	buf_release(&window);
	buf_release(&ids);
	return rc;
}
