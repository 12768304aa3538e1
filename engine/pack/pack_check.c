/*
 * Every byte of a pack is accounted for: the clear header against what it must be, blocks against the directory's
 * hashes, id lists by opening them, the directories and footers against what was used, the rest must be zeros.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pack/pack_internal.h"

#define NOT_ONE_BLOCK UINT32_MAX

struct check {
	struct pack *p;
	pack_problem problem;
	void *ctx;
	struct buf bytes; /* reused for every read */
};

/* Damage is told and the check goes on; what is no fault of the pack ends it. */
static enum err_code told(struct check *c, uint32_t block, enum err_code rc, const char *what, struct err *e)
{
	if (rc != ERR_CORRUPT && rc != ERR_IO && rc != ERR_NOT_FOUND)
		return rc;
	err_note(e, "while checking %s of %s", what, c->p->path);
	c->problem(c->ctx, block, e);
	return ERR_OK;
}

static enum err_code read_into(struct check *c, uint64_t offset, size_t len, struct err *e)
{
	buf_clear(&c->bytes);
	return pack_read_range(c->p, offset, len, &c->bytes, e);
}

static enum err_code check_size(struct check *c, struct err *e)
{
	uint64_t bytes;
	enum err_code rc = store_size(c->p->store, c->p->path, &bytes, e);

	if (!rc && bytes != c->p->what.bytes)
		rc = err_set(e, ERR_CORRUPT, "%" PRIu64 " bytes instead of %" PRIu64, bytes, c->p->what.bytes);
	return told(c, NOT_ONE_BLOCK, rc, "the size", e);
}

static enum err_code check_header(struct check *c, struct err *e)
{
	enum err_code rc = read_into(c, 0, PACK_HEADER_BYTES, e);

	if (!rc && memcmp(c->bytes.ptr, c->p->header.bytes, PACK_HEADER_BYTES) != 0)
		rc = err_set(e, ERR_CORRUPT, "the clear header is not this pack's");
	return told(c, NOT_ONE_BLOCK, rc, "the header", e);
}

static enum err_code check_block(struct check *c, uint32_t block, struct err *e)
{
	const struct block_info *info = &c->p->directory.blocks[block];
	uint8_t hash[BLOCK_HASH_BYTES];
	enum err_code rc = read_into(c, info->offset, info->sealed_bytes, e);

	if (!rc) {
		crypto_digest(buf_span(&c->bytes), hash, sizeof hash);
		if (memcmp(hash, info->hash, sizeof hash) != 0)
			rc = err_set(e, ERR_CORRUPT,
			             "block %" PRIu32 " does not have the hash that the directory gives", block);
	}
	return told(c, block, rc, "a block", e);
}

static enum err_code check_list(struct check *c, uint32_t block, struct err *e)
{
	const struct block_info *info = &c->p->directory.blocks[block];
	struct buf ids = BUF_EMPTY;
	enum err_code rc = read_into(c, info->list_offset, info->list_bytes, e);

	if (!rc)
		rc = pack_list_open(c->p, block, buf_span(&c->bytes), &ids, e);
	buf_release(&ids);
	return told(c, block, rc, "an id list", e);
}

/* One copy of directory and footer; FOOTER stands right behind it. */
static enum err_code check_directory(struct check *c, uint64_t offset, const char *which, struct err *e)
{
	const struct pack *p = c->p;
	uint8_t hash[PACK_HEADER_HASH_BYTES];
	struct pack_footer footer;
	uint32_t epoch;
	enum err_code rc = read_into(c, offset, p->footer.directory_bytes, e);

	if (!rc)
		rc = pack_header_hash(&p->header, buf_span(&c->bytes), hash, e);
	if (!rc && memcmp(hash, p->what.header_hash, sizeof hash) != 0)
		rc = err_set(e, ERR_CORRUPT, "the directory is not the one that the ledger names");
	rc = told(c, NOT_ONE_BLOCK, rc, which, e);
	if (rc)
		return rc;
	rc = read_into(c, offset + p->footer.directory_bytes, PACK_FOOTER_BYTES, e);
	if (!rc) {
		rc = pack_footer_open(p, buf_span(&c->bytes), &epoch, &footer, e);
		if (rc == ERR_WRONG_KEY)
			rc = ERR_CORRUPT;
	}
	return told(c, NOT_ONE_BLOCK, rc, "a footer", e);
}

static enum err_code check_zeros(struct check *c, struct err *e)
{
	const struct pack_footer *f = &c->p->footer;
	uint64_t at = f->first_offset + f->directory_bytes + PACK_FOOTER_BYTES;

	while (at < f->second_offset) {
		size_t n = (size_t)(f->second_offset - at < MIB ? f->second_offset - at : MIB);
		enum err_code rc = read_into(c, at, n, e);

		if (!rc && (c->bytes.ptr[0] != 0 || memcmp(c->bytes.ptr, c->bytes.ptr + 1, n - 1) != 0))
			rc = err_set(e, ERR_CORRUPT, "the padding holds something");
		rc = told(c, NOT_ONE_BLOCK, rc, "the padding", e);
		if (rc)
			return rc;
		at += n;
	}
	return ERR_OK;
}

static enum err_code check_frame(struct check *c, struct err *e)
{
	enum err_code rc = check_size(c, e);

	if (!rc)
		rc = check_header(c, e);
	if (!rc)
		rc = check_directory(c, c->p->footer.first_offset, "the first directory", e);
	if (!rc)
		rc = check_zeros(c, e);
	if (!rc)
		rc = check_directory(c, c->p->footer.second_offset, "the second directory", e);
	return rc;
}

enum err_code pack_check_frame(struct pack *p, pack_problem problem, void *ctx, struct err *e)
{
	struct check c = { p, problem, ctx, BUF_WITH_MAX(BLOCK_RAW_MAX + SEAL_OVERHEAD + PACK_DIRECTORY_BYTES_MAX) };
	enum err_code rc = check_frame(&c, e);

	buf_release(&c.bytes);
	return rc;
}

enum err_code pack_check_bytes(struct pack *p, pack_problem problem, void *ctx, struct err *e)
{
	struct check c = { p, problem, ctx, BUF_WITH_MAX(BLOCK_RAW_MAX + SEAL_OVERHEAD + PACK_DIRECTORY_BYTES_MAX) };
	enum err_code rc = check_frame(&c, e);

	for (uint32_t i = 0; !rc && i < p->directory.block_count; i++)
		rc = check_block(&c, i, e);
	for (uint32_t i = 0; !rc && i < p->directory.block_count; i++)
		rc = check_list(&c, i, e);
	buf_release(&c.bytes);
	return rc;
}
