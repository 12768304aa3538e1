/*
 * Checking at the speed of reading: a run of blocks is read with one request, its id lists with another, and all that
 * can be said of them is said from those bytes. What a request cannot read is asked for block by block, so that a bad
 * sector costs what lies in it.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pack/pack_internal.h"

void pack_verifier_init(struct pack_verifier *v)
{
	*v = (struct pack_verifier){
		.bytes = BUF_WITH_MAX(PACK_RUN_BYTES + BLOCK_RAW_MAX + SEAL_OVERHEAD),
		.lists = BUF_WITH_MAX(PACK_BYTES_MAX),
		.ids = BUF_WITH_MAX(BLOCK_CHUNKS_MAX * sizeof(struct chunk_id)),
	};
}

void pack_verifier_release(struct pack_verifier *v)
{
	block_codec_free(&v->codec);
	block_release(&v->block);
	buf_release(&v->bytes);
	buf_release(&v->lists);
	buf_release(&v->ids);
}

uint32_t pack_run_end(const struct pack *p, uint32_t first)
{
	uint64_t bytes = 0;
	uint32_t end = first;

	while (end < p->directory.block_count &&
	       (end == first || bytes + p->directory.blocks[end].sealed_bytes <= PACK_RUN_BYTES))
		bytes += p->directory.blocks[end++].sealed_bytes;
	return end;
}

/* What is no fault of the pack's bytes ends the check. */
static bool is_damage(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_IO || rc == ERR_NOT_FOUND || rc == ERR_UNSUPPORTED;
}

/* The first problem of a block is the one that is told. */
static void note(struct pack_found *f, const struct err *what, bool whole)
{
	if (!f->problem)
		f->what = *what;
	f->problem = true;
	f->whole &= whole;
}

/* One block's share of a range that was read together, or read by itself when that failed. */
static enum err_code share(struct pack *p, struct span all, uint64_t start, uint64_t offset, uint32_t bytes,
                           struct buf *alone, struct span *out, struct err *e)
{
	enum err_code rc;

	if (all.len) {
		*out = span_first(span_skip(all, (size_t)(offset - start)), bytes);
		return ERR_OK;
	}
	buf_clear(alone);
	rc = pack_read_range(p, offset, bytes, alone, e);
	*out = buf_span(alone);
	return rc;
}

#define IDS_AT_ONCE 256

static enum err_code compare_ids(const struct block *b, const struct keys *k, enum block_class class,
                                 const struct chunk_id *listed, struct err *e)
{
	struct chunk_id ids[IDS_AT_ONCE];

	for (uint32_t done = 0; done < b->chunk_count; done += IDS_AT_ONCE) {
		uint32_t some = (uint32_t)num_min(b->chunk_count - done, IDS_AT_ONCE);

		block_ids(b, k, class, done, some, ids);
		for (uint32_t i = 0; i < some; i++)
			if (memcmp(&ids[i], &listed[done + i], sizeof ids[i]) != 0)
				return err_set(e, ERR_CORRUPT, "chunk %" PRIu32 " is not what its id says", done + i);
	}
	return ERR_OK;
}

static enum err_code make_ids(const struct block *b, const struct keys *k, enum block_class class, struct buf *out,
                              struct err *e)
{
	uint8_t *ids;
	enum err_code rc;

	buf_clear(out);
	rc = buf_extend(out, b->chunk_count * sizeof(struct chunk_id), &ids, e);
	if (!rc)
		block_ids(b, k, class, 0, b->chunk_count, (struct chunk_id *)(void *)ids);
	return rc;
}

/* Unseals, decompresses, and names every chunk; LISTED are the ids of the list, NULL when that is damaged. */
static enum err_code open_block(struct pack *p, struct pack_verifier *v, struct span sealed,
                                const struct chunk_id *listed, struct pack_found *f, struct err *e)
{
	const struct block_info *info = &p->directory.blocks[f->block];
	const struct seal_reader *reader;
	enum err_code rc = pack_seal_reader(p, info->seal, &reader, e);

	if (!rc)
		rc = block_open_again(v->codec, info, reader, &p->directory.seals[info->seal].id, keys_repo(p->keys),
		                      sealed, &v->block, e);
	if (rc)
		return rc;
	f->opened = &v->block;
	return listed ? compare_ids(&v->block, p->keys, info->class, listed, e)
	              : make_ids(&v->block, p->keys, info->class, &v->ids, e);
}

static enum err_code check_hash(const struct block_info *info, struct span sealed, struct err *e)
{
	uint8_t hash[BLOCK_HASH_BYTES];

	crypto_digest(sealed, hash, sizeof hash);
	if (memcmp(hash, info->hash, sizeof hash) != 0)
		return err_set(e, ERR_CORRUPT, "its bytes do not have the hash that the directory gives");
	return ERR_OK;
}

/*
 * A seal that opens vouches for every byte under it, so the directory's hash of the same bytes is compared only by those
 * who cannot open it, or make no ids (8,146 messages: a sixth of the processor time).
 */
static enum err_code check_content(struct pack *p, struct pack_verifier *v, struct span sealed,
                                   const struct chunk_id *listed, struct pack_found *f, struct err *e)
{
	const struct block_info *info = &p->directory.blocks[f->block];
	enum err_code rc = ERR_WRONG_KEY;

	if (keys_read_names(p->keys))
		rc = open_block(p, v, sealed, listed, f, e);
	/* A full key opens all that an honest writer seals. What it cannot open nobody may vouch for (docs/threat_model.md). */
	if (rc == ERR_WRONG_KEY && keys_read_content(p->keys))
		return err_set(e, ERR_CORRUPT, "it is sealed for keys that the repository does not have");
	return rc == ERR_WRONG_KEY ? check_hash(info, sealed, e) : rc;
}

struct run {
	struct pack *p;
	struct pack_verifier *v;
	struct span blocks, lists; /* empty: must be read one by one */
	uint64_t blocks_at, lists_at;
};

/* A damaged block that the parity gives back is whole: it can be had, and repair puts its bytes right. */
static bool parity_gives(struct run *r, uint32_t block, struct buf *sealed, struct pack_found *f)
{
	struct err why;

	return !pack_mend_sealed(r->p, block, sealed, &why) &&
	       !check_content(r->p, r->v, buf_span(sealed), f->ids, f, &why);
}

static enum err_code check_one(struct run *r, uint32_t block, bool data, struct pack_found *f, struct err *e)
{
	const struct block_info *info = &r->p->directory.blocks[block];
	struct pack_verifier *v = r->v;
	struct buf alone = BUF_WITH_MAX(BLOCK_RAW_MAX + SEAL_OVERHEAD);
	struct span part;
	enum err_code rc;

	*f = (struct pack_found){ .block = block, .count = info->chunk_count, .whole = true };
	buf_clear(&v->ids);
	rc = share(r->p, r->lists, r->lists_at, info->list_offset, info->list_bytes, &alone, &part, e);
	if (!rc)
		rc = pack_list_open(r->p, block, part, &v->ids, e);
	if (!rc)
		f->ids = (const struct chunk_id *)(const void *)v->ids.ptr;
	else if (is_damage(rc)) {
		err_note(e, "while reading its id list");
		note(f, e, true);
	}
	if (rc && !is_damage(rc))
		goto done;
	rc = ERR_OK;
	/* What the list does not tell the block does. */
	if (!data && f->ids)
		goto done;
	rc = share(r->p, r->blocks, r->blocks_at, info->offset, info->sealed_bytes, &alone, &part, e);
	if (!rc)
		rc = check_content(r->p, v, part, f->ids, f, e);
	if (is_damage(rc)) {
		bool given = parity_gives(r, block, &alone, f);

		if (given)
			err_note(e, "its parity gives it back");
		note(f, e, given);
		rc = ERR_OK;
	}
	if (!rc && !f->ids && v->ids.len)
		f->ids = (const struct chunk_id *)(const void *)v->ids.ptr;
done:
	buf_release(&alone);
	return rc;
}

/* Reads LEN bytes that may be read in pieces later: damage is no error here. */
static enum err_code read_all(struct pack *p, uint64_t at, uint64_t len, struct buf *out, struct span *got,
                              struct err *e)
{
	enum err_code rc;

	buf_clear(out);
	rc = pack_read_range(p, at, (size_t)len, out, e);
	*got = rc ? SPAN_EMPTY : buf_span(out);
	return is_damage(rc) ? ERR_OK : rc;
}

enum err_code pack_verify(struct pack *p, uint32_t first, uint32_t end, bool data, struct pack_verifier *v,
                          pack_found_visit visit, void *ctx, struct err *e)
{
	const struct block_info *from = &p->directory.blocks[first], *last = &p->directory.blocks[end - 1];
	struct run r = { .p = p, .v = v, .blocks_at = from->offset, .lists_at = from->list_offset };
	struct pack_found *f = mem_zalloc(1, sizeof *f);
	enum err_code rc = f ? ERR_OK : err_no_memory(e, sizeof *f);

	if (!rc && !v->codec)
		rc = block_codec_open(1, &v->codec, e);
	if (!rc)
		rc = read_all(p, r.lists_at, last->list_offset + last->list_bytes - r.lists_at, &v->lists, &r.lists, e);
	if (!rc && data)
		rc = read_all(p, r.blocks_at, last->offset + last->sealed_bytes - r.blocks_at, &v->bytes, &r.blocks, e);
	for (uint32_t b = first; !rc && b < end; b++) {
		rc = check_one(&r, b, data, f, e);
		if (!rc)
			rc = visit(ctx, f, e);
	}
	mem_free(f);
	return rc ? err_note(e, "while checking %s", p->path) : ERR_OK;
}
