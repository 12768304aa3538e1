/*
 * Finding the directory. Normally one read of the pack's last bytes gives the footer and the directory beside it. When
 * the footer is damaged, its other copy, which stands right behind the first directory, is looked for by its magic from
 * the end backwards; the AEAD tells a footer from bytes that look like one.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pack/pack_internal.h"

#define TAIL_BYTES   (32 * KIB)
#define SCAN_BYTES   (256 * KIB)
#define SECTOR_BYTES (4 * KIB)

enum err_code pack_read_range(const struct pack *p, uint64_t offset, size_t len, struct buf *out, struct err *e)
{
	size_t before = out->len;
	uint8_t *at;
	enum err_code rc = buf_extend(out, len, &at, e);

	if (!rc)
		rc = store_get_range(p->store, p->path, offset, len, at, e);
	if (rc)
		out->len = before;
	return rc;
}

/* ---- footer ---- */

enum err_code pack_footer_open(const struct pack *p, struct span stored, uint32_t *epoch, struct pack_footer *out,
                               struct err *e)
{
	uint8_t bound[PACK_AD_BYTES + PACK_FOOTER_CLEAR_BYTES];
	struct buf plain = BUF_EMPTY;
	struct pack_header header;
	struct pack_ad ad;
	uint32_t got;
	enum err_code rc;

	if (stored.len != PACK_FOOTER_BYTES || !pack_footer_clear_decode(stored, &got))
		return err_set(e, ERR_CORRUPT, "the pack has no footer that we know");
	header = pack_header_encode(got, keys_repo(p->keys), &p->what.name);
	ad = pack_ad(&header, PACK_PART_FOOTER, 0);
	memcpy(bound, ad.bytes, PACK_AD_BYTES);
	memcpy(bound + PACK_AD_BYTES, stored.ptr, PACK_FOOTER_CLEAR_BYTES);
	rc = box_open(p->keys, BOX_TABLE, got, span_of(bound, sizeof bound), span_skip(stored, PACK_FOOTER_CLEAR_BYTES),
	              &plain, e);
	if (!rc)
		rc = pack_footer_decode(buf_span(&plain), p->what.bytes, out, e);
	if (!rc)
		*epoch = got;
	buf_release(&plain);
	return rc;
}

bool pack_is_genuine(struct store *store, const struct keys *k, const struct pack_name *name, uint64_t bytes)
{
	struct pack p = { .store = store, .keys = k, .what = { .name = *name, .bytes = bytes } };
	struct buf tail = BUF_EMPTY;
	struct pack_footer footer;
	struct err ignored;
	uint32_t epoch;
	bool genuine = false;

	memcpy(p.path, pack_path(name).text, sizeof p.path);
	if (bytes >= PACK_BYTES_MIN && bytes <= PACK_BYTES_MAX &&
	    !pack_read_range(&p, bytes - PACK_FOOTER_BYTES, PACK_FOOTER_BYTES, &tail, &ignored))
		genuine = pack_footer_open(&p, buf_span(&tail), &epoch, &footer, &ignored) == ERR_OK;
	buf_release(&tail);
	return genuine;
}

static enum err_code try_footer(struct pack *p, struct span stored, struct err *e)
{
	enum err_code rc = pack_footer_open(p, stored, &p->epoch, &p->footer, e);

	if (!rc)
		p->header = pack_header_encode(p->epoch, keys_repo(p->keys), &p->what.name);
	return rc;
}

/* Reads what can be read of a range, sector by sector; the rest is zeros. */
static void read_leaky(const struct pack *p, uint64_t offset, size_t len, uint8_t *dst)
{
	struct err ignored;

	if (!store_get_range(p->store, p->path, offset, len, dst, &ignored))
		return;
	for (size_t at = 0; at < len; at += SECTOR_BYTES) {
		size_t n = num_min(SECTOR_BYTES, len - at);

		if (store_get_range(p->store, p->path, offset + at, n, dst + at, &ignored))
			memset(dst + at, 0, n);
	}
}

/* Tries every place of BYTES that begins like a footer, the last first. */
static enum err_code scan_piece(struct pack *p, struct span bytes, struct err *e)
{
	for (size_t at = bytes.len - PACK_FOOTER_BYTES + 1; at-- > 0;) {
		struct span here = { bytes.ptr + at, PACK_FOOTER_BYTES };
		uint32_t epoch;

		if (here.ptr[0] == 'm' && pack_footer_clear_decode(here, &epoch) && !try_footer(p, here, e))
			return ERR_OK;
	}
	return err_set(e, ERR_CORRUPT, "no footer of the pack opens");
}

/* From the end backwards, in pieces that overlap by a footer less one byte. */
static enum err_code scan_footer(struct pack *p, struct err *e)
{
	uint64_t end = p->what.bytes;
	uint8_t *piece = mem_alloc(SCAN_BYTES);
	enum err_code rc = ERR_CORRUPT;

	if (!piece)
		return err_no_memory(e, SCAN_BYTES);
	while (rc && end > PACK_HEADER_BYTES + PACK_FOOTER_BYTES) {
		size_t len = (size_t)(end < SCAN_BYTES ? end : SCAN_BYTES);

		read_leaky(p, end - len, len, piece);
		rc = scan_piece(p, span_of(piece, len), e);
		if (len == end)
			break;
		end -= len - (PACK_FOOTER_BYTES - 1);
	}
	mem_free(piece);
	return rc;
}

enum err_code pack_find_footer(struct pack *p, struct buf *tail, bool *damaged, struct err *e)
{
	size_t len = (size_t)(p->what.bytes < TAIL_BYTES ? p->what.bytes : TAIL_BYTES);
	enum err_code rc;

	if (p->what.bytes < PACK_BYTES_MIN || p->what.bytes > PACK_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "a pack of %" PRIu64 " bytes cannot be", p->what.bytes);
	rc = pack_read_range(p, p->what.bytes - len, len, tail, e);
	if (!rc) {
		rc = try_footer(p, span_skip(buf_span(tail), tail->len - PACK_FOOTER_BYTES), e);
		if (rc == ERR_WRONG_KEY)
			rc = ERR_CORRUPT; /* the epoch is clear text: perhaps it is what was damaged */
	}
	if (rc == ERR_CORRUPT || rc == ERR_IO) {
		struct err first = *e;

		*damaged = true;
		rc = scan_footer(p, e);
		if (rc == ERR_CORRUPT)
			*e = first;
		rc = rc == ERR_CORRUPT ? first.code : rc;
	}
	return rc;
}

/* ---- directory ---- */

static enum err_code directory_try(struct pack *p, struct span sealed, struct err *e)
{
	struct pack_ad ad = pack_ad(&p->header, PACK_PART_DIRECTORY, 0);
	uint8_t hash[PACK_HEADER_HASH_BYTES];
	enum err_code rc;

	rc = pack_header_hash(&p->header, sealed, hash, e);
	if (!rc && memcmp(hash, p->what.header_hash, sizeof hash) != 0)
		rc = err_set(e, ERR_CORRUPT, "the pack's directory is not the one that the ledger names");
	buf_clear(&p->plain);
	if (!rc)
		rc = box_open(p->keys, BOX_TABLE, p->epoch, span_of(ad.bytes, sizeof ad.bytes), sealed, &p->plain, e);
	if (!rc)
		rc = pack_directory_decode(buf_span(&p->plain), p->footer.first_offset, &p->directory, e);
	return rc;
}

/* One copy at OFFSET, out of TAIL (the pack's last bytes) when it lies there. */
static enum err_code directory_at(struct pack *p, uint64_t offset, struct span tail, struct err *e)
{
	struct buf sealed = BUF_WITH_MAX(PACK_DIRECTORY_BYTES_MAX + BOX_OVERHEAD);
	uint64_t tail_at = p->what.bytes - tail.len;
	enum err_code rc;

	if (offset >= tail_at)
		return directory_try(
		        p, span_first(span_skip(tail, (size_t)(offset - tail_at)), p->footer.directory_bytes), e);
	rc = pack_read_range(p, offset, p->footer.directory_bytes, &sealed, e);
	if (!rc)
		rc = directory_try(p, buf_span(&sealed), e);
	buf_release(&sealed);
	return rc;
}

enum err_code pack_find_directory(struct pack *p, struct span tail, bool *damaged, struct err *e)
{
	enum err_code rc = directory_at(p, p->footer.second_offset, tail, e);

	if (rc == ERR_CORRUPT || rc == ERR_IO) {
		struct err first = *e;

		*damaged = true;
		rc = directory_at(p, p->footer.first_offset, tail, e);
		if (rc)
			*e = first;
		rc = rc ? first.code : rc;
	}
	return rc;
}
