#include "engine/pack/pack_format.h"

#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/wr.h"

static const uint8_t header_magic[8] = "mh-pack";
static const uint8_t footer_magic[8] = "mh-foot";

#define FOOTER_PLAIN_BYTES (PACK_FOOTER_BYTES - PACK_FOOTER_CLEAR_BYTES - BOX_OVERHEAD)

/* ---- clear header ---- */

static uint8_t *put_le(uint8_t *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
	return at + bytes;
}

struct pack_header pack_header_encode(uint32_t epoch, struct repo_id repo, const struct pack_name *name)
{
	struct pack_header h = { { 0 } };
	uint8_t *at = h.bytes;

	memcpy(at, header_magic, sizeof header_magic);
	at = put_le(at + sizeof header_magic, PACK_VERSION, 2);
	at = put_le(at, 0, 2); /* flags */
	at = put_le(at, epoch, 4);
	memcpy(at, repo.bytes, ID16_BYTES);
	at = put_le(at + ID16_BYTES, name->session, 8);
	memcpy(at, name->random, sizeof name->random);
	assert(at + sizeof name->random + 8 == h.bytes + sizeof h.bytes); /* 8 bytes are kept free */
	return h;
}

struct pack_ad pack_ad(const struct pack_header *h, enum pack_part part, uint32_t block)
{
	struct pack_ad ad;

	memcpy(ad.bytes, h->bytes, PACK_HEADER_BYTES);
	ad.bytes[PACK_HEADER_BYTES] = (uint8_t)part;
	put_le(ad.bytes + PACK_HEADER_BYTES + 1, block, 4);
	return ad;
}

enum err_code pack_header_hash(const struct pack_header *h, struct span directory, uint8_t out[PACK_HEADER_HASH_BYTES],
                               struct err *e)
{
	struct buf whole = BUF_WITH_MAX(PACK_HEADER_BYTES + PACK_DIRECTORY_BYTES_MAX + BOX_OVERHEAD);
	enum err_code rc = buf_append(&whole, span_of(h->bytes, PACK_HEADER_BYTES), e);

	if (!rc)
		rc = buf_append(&whole, directory, e);
	if (!rc)
		crypto_digest(buf_span(&whole), out, PACK_HEADER_HASH_BYTES);
	buf_release(&whole);
	return rc;
}

/* ---- directory ---- */

static void seal_encode(struct wr *w, const struct pack_seal *s)
{
	assert(s->wrapped.len <= SEAL_WRAPPED_MAX);
	wr_bytes(w, span_of(s->id.bytes, ID16_BYTES));
	wr_u8(w, (uint8_t)s->scope);
	wr_u32(w, s->epoch);
	wr_u8(w, (uint8_t)s->wrapped.len);
	wr_bytes(w, s->wrapped);
}

static void block_encode(struct wr *w, const struct block_info *b)
{
	wr_u16(w, b->seal);
	wr_u64(w, b->counter);
	wr_u8(w, (uint8_t)b->class);
	wr_u8(w, b->codec);
	wr_u32(w, 0); /* dictionary */
	wr_u64(w, b->offset);
	wr_u32(w, b->sealed_bytes);
	wr_u32(w, b->raw_bytes);
	wr_u32(w, b->chunk_count);
	wr_bytes(w, span_of(b->hash, BLOCK_HASH_BYTES));
	wr_u64(w, b->list_offset);
	wr_u32(w, b->list_bytes);
}

enum err_code pack_directory_encode(const struct pack_directory *d, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_u32(&w, d->seal_count);
	wr_u32(&w, d->block_count);
	for (uint32_t i = 0; i < d->seal_count; i++)
		seal_encode(&w, &d->seals[i]);
	for (uint32_t i = 0; i < d->block_count; i++)
		block_encode(&w, &d->blocks[i]);
	return wr_end(&w);
}

static enum err_code seal_decode(struct rd *r, struct pack_seal *out, struct err *e)
{
	struct pack_seal got = { 0 };
	uint8_t scope;

	rd_copy(r, got.id.bytes, ID16_BYTES);
	scope = rd_u8(r);
	got.epoch = rd_u32(r);
	got.wrapped = rd_take(r, rd_u8(r));
	if (r->bad)
		return err_set(e, ERR_CORRUPT, "the pack's directory is cut short");
	if (scope == 0 || scope >= SCOPE_END)
		return err_set(e, ERR_UNSUPPORTED, "a seal has unknown scope %u", scope);
	if (got.wrapped.len > SEAL_WRAPPED_MAX)
		return err_set(e, ERR_CORRUPT, "a wrapped key claims %zu bytes", got.wrapped.len);
	got.scope = (enum scope)scope;
	*out = got;
	return ERR_OK;
}

/* Values that make sense on their own; places are the business of check_places. */
static enum err_code check_block(const struct block_info *b, uint32_t dictionary, const struct pack_directory *d,
                                 struct err *e)
{
	if (b->class == 0 || b->class >= CLASS_END)
		return err_set(e, ERR_UNSUPPORTED, "a block has unknown class %d", (int)b->class);
	if (b->codec != CODEC_STORED && b->codec != CODEC_ZSTD)
		return err_set(e, ERR_UNSUPPORTED, "a block has unknown codec %u", b->codec);
	if (dictionary)
		return err_set(e, ERR_UNSUPPORTED, "a block needs a dictionary");
	if (b->seal >= d->seal_count || d->seals[b->seal].scope != block_class_scope(b->class))
		return err_set(e, ERR_CORRUPT, "a block of class %s has seal %u", block_class_name(b->class), b->seal);
	if (b->raw_bytes > BLOCK_RAW_MAX || b->chunk_count == 0 || b->chunk_count > BLOCK_CHUNKS_MAX)
		return err_set(e, ERR_CORRUPT, "a block claims %" PRIu32 " bytes in %" PRIu32 " chunks", b->raw_bytes,
		               b->chunk_count);
	if (b->sealed_bytes <= SEAL_OVERHEAD || b->sealed_bytes > b->raw_bytes + SEAL_OVERHEAD)
		return err_set(e, ERR_CORRUPT, "a block of %" PRIu32 " bytes claims %" PRIu32 " sealed ones",
		               b->raw_bytes, b->sealed_bytes);
	if (b->list_bytes != b->chunk_count * (uint64_t)ID_BYTES + BOX_OVERHEAD)
		return err_set(e, ERR_CORRUPT, "the id list of %" PRIu32 " chunks claims %" PRIu32 " bytes",
		               b->chunk_count, b->list_bytes);
	return ERR_OK;
}

static enum err_code block_decode(struct rd *r, const struct pack_directory *d, struct block_info *out, struct err *e)
{
	struct block_info got = { 0 };
	uint32_t dictionary;
	enum err_code rc;

	got.seal = rd_u16(r);
	got.counter = rd_u64(r);
	got.class = (enum block_class)rd_u8(r);
	got.codec = rd_u8(r);
	dictionary = rd_u32(r);
	got.offset = rd_u64(r);
	got.sealed_bytes = rd_u32(r);
	got.raw_bytes = rd_u32(r);
	got.chunk_count = rd_u32(r);
	rd_copy(r, got.hash, BLOCK_HASH_BYTES);
	got.list_offset = rd_u64(r);
	got.list_bytes = rd_u32(r);
	if (r->bad)
		return err_set(e, ERR_CORRUPT, "the pack's directory is cut short");
	rc = check_block(&got, dictionary, d, e);
	if (!rc)
		*out = got;
	return rc;
}

/* Sums stay far below 2^64: at most 65,536 blocks of at most 8 MiB. */
static enum err_code check_places(const struct pack_directory *d, uint64_t directory_offset, struct err *e)
{
	uint64_t at = PACK_HEADER_BYTES;

	for (uint32_t i = 0; i < d->block_count; i++) {
		if (d->blocks[i].offset != at)
			return err_set(e, ERR_CORRUPT, "block %" PRIu32 " lies at %" PRIu64 " instead of %" PRIu64, i,
			               d->blocks[i].offset, at);
		at += d->blocks[i].sealed_bytes;
	}
	for (uint32_t i = 0; i < d->block_count; i++) {
		if (d->blocks[i].list_offset != at)
			return err_set(e, ERR_CORRUPT, "id list %" PRIu32 " lies at %" PRIu64 " instead of %" PRIu64, i,
			               d->blocks[i].list_offset, at);
		at += d->blocks[i].list_bytes;
	}
	if (at != directory_offset)
		return err_set(e, ERR_CORRUPT, "blocks and lists end at %" PRIu64 ", the directory begins at %" PRIu64,
		               at, directory_offset);
	return ERR_OK;
}

static enum err_code directory_counts(struct rd *r, struct pack_directory *out, struct err *e)
{
	uint32_t seals = rd_u32(r), blocks = rd_u32(r);

	if (r->bad)
		return err_set(e, ERR_CORRUPT, "the pack's directory is cut short");
	/* What could not fit into the bytes that are there is refused before it is allocated. */
	if (seals > PACK_SEALS_MAX || blocks > PACK_BLOCKS_MAX ||
	    seals * (uint64_t)PACK_SEAL_FIXED_BYTES + blocks * (uint64_t)PACK_BLOCK_ENTRY_BYTES > r->left.len)
		return err_set(e, ERR_CORRUPT, "the pack's directory claims %" PRIu32 " seals and %" PRIu32 " blocks",
		               seals, blocks);
	out->seals = mem_zalloc(seals, sizeof *out->seals);
	out->blocks = mem_zalloc(blocks, sizeof *out->blocks);
	if (!out->seals || !out->blocks)
		return err_no_memory(e, blocks * sizeof *out->blocks);
	out->seal_count = seals;
	out->block_count = blocks;
	return ERR_OK;
}

enum err_code pack_directory_decode(struct span plain, uint64_t directory_offset, struct pack_directory *out,
                                    struct err *e)
{
	struct pack_directory got = { 0 };
	struct rd r = rd_of(plain);
	enum err_code rc = directory_counts(&r, &got, e);

	for (uint32_t i = 0; !rc && i < got.seal_count; i++)
		rc = seal_decode(&r, &got.seals[i], e);
	for (uint32_t i = 0; !rc && i < got.block_count; i++)
		rc = block_decode(&r, &got, &got.blocks[i], e);
	if (!rc && !rd_done(&r))
		rc = err_set(e, ERR_CORRUPT, "%zu bytes follow the pack's directory", r.left.len);
	if (!rc)
		rc = check_places(&got, directory_offset, e);
	if (rc)
		pack_directory_release(&got);
	else
		*out = got;
	return rc;
}

void pack_directory_release(struct pack_directory *d)
{
	mem_free(d->seals);
	mem_free(d->blocks);
	*d = (struct pack_directory){ 0 };
}

/* ---- footer ---- */

struct pack_footer_clear pack_footer_clear_encode(uint32_t epoch)
{
	struct pack_footer_clear f = { { 0 } };

	memcpy(f.bytes, footer_magic, sizeof footer_magic);
	put_le(f.bytes + 8, PACK_VERSION, 2);
	/* 10: flags 2. 12: parity kind, shard, k, m. 16: parity length 8. */
	put_le(f.bytes + 24, epoch, 4);
	return f;
}

bool pack_footer_clear_decode(struct span bytes, uint32_t *epoch)
{
	struct rd r = rd_of(bytes);

	if (!span_equal(rd_take(&r, sizeof footer_magic), span_of(footer_magic, sizeof footer_magic)) ||
	    rd_u16(&r) != PACK_VERSION)
		return false;
	rd_take(&r, 14); /* flags and parity: for repair, which needs no keys */
	*epoch = rd_u32(&r);
	return !r.bad;
}

enum err_code pack_footer_encode(const struct pack_footer *f, struct buf *out, struct err *e)
{
	struct wr w = wr_to(out, e);

	wr_u64(&w, f->pack_bytes);
	wr_u64(&w, f->first_offset);
	wr_u64(&w, f->second_offset);
	wr_u32(&w, f->directory_bytes);
	wr_zeros(&w, FOOTER_PLAIN_BYTES - 28);
	return wr_end(&w);
}

enum err_code pack_footer_decode(struct span plain, uint64_t pack_bytes, struct pack_footer *out, struct err *e)
{
	struct rd r = rd_of(plain);
	struct pack_footer got;
	uint64_t first_end;

	got.pack_bytes = rd_u64(&r);
	got.first_offset = rd_u64(&r);
	got.second_offset = rd_u64(&r);
	got.directory_bytes = rd_u32(&r);
	rd_take(&r, FOOTER_PLAIN_BYTES - 28); /* kept free */
	if (!rd_done(&r))
		return err_set(e, ERR_CORRUPT, "the pack's footer has %zu bytes", plain.len);
	if (got.pack_bytes != pack_bytes || pack_bytes > PACK_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "the pack has %" PRIu64 " bytes, its footer says %" PRIu64, pack_bytes,
		               got.pack_bytes);
	if (got.directory_bytes > PACK_DIRECTORY_BYTES_MAX + BOX_OVERHEAD || got.directory_bytes < BOX_OVERHEAD)
		return err_set(e, ERR_CORRUPT, "the pack's directory claims %" PRIu32 " bytes", got.directory_bytes);
	if (got.first_offset < PACK_HEADER_BYTES || got.first_offset > pack_bytes || got.second_offset > pack_bytes ||
	    !num_add(got.first_offset, got.directory_bytes + PACK_FOOTER_BYTES + PACK_GAP_MIN, &first_end) ||
	    first_end > got.second_offset || got.second_offset + got.directory_bytes + PACK_FOOTER_BYTES != pack_bytes)
		return err_set(e, ERR_CORRUPT, "the pack's footer places its directories at %" PRIu64 " and %" PRIu64,
		               got.first_offset, got.second_offset);
	*out = got;
	return ERR_OK;
}
