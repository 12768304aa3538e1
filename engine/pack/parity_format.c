#include "engine/pack/parity_format.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/wr.h"
#include "engine/pack/pack_format.h"

static const uint8_t head_magic[8] = "mh-pari";

#define CODE_CAUCHY_256  1
#define HEAD_KEPT_FREE   8
#define SECTOR_BYTES     4096
#define CELLS_FOR_LARGER 128 /* a pack of fewer cells is cut into smaller ones */

/* ---- names ---- */

struct pack_path parity_path(const struct pack_name *name)
{
	struct pack_path pack = pack_path(name), out;

	snprintf(out.text, sizeof out.text, "parity%s", strchr(pack.text, '/'));
	return out;
}

bool parity_name_of_path(const char *path, struct pack_name *out)
{
	struct pack_path pack;

	if (strncmp(path, "parity/", 7) != 0 || strlen(path) >= sizeof pack.text)
		return false;
	snprintf(pack.text, sizeof pack.text, "pack%s", strchr(path, '/'));
	return pack_name_of_path(pack.text, out);
}

/* ---- shape ---- */

static uint32_t divide_up(uint64_t a, uint64_t b)
{
	return (uint32_t)((a + b - 1) / b);
}

struct parity_shape parity_shape_for(uint64_t pack_bytes, unsigned percent)
{
	struct parity_shape s = { .pack_bytes = pack_bytes, .cell_bytes = PARITY_CELL_MAX, .stripes = 1 };
	uint32_t lost;

	while (s.cell_bytes > PARITY_CELL_MIN && pack_bytes / s.cell_bytes < CELLS_FOR_LARGER)
		s.cell_bytes /= 2;
	s.cells = divide_up(pack_bytes, s.cell_bytes);
	/* A run of that many bytes touches one cell more, and at least a whole sector may go. */
	lost = divide_up((uint64_t)s.cells * percent, 100) + 1;
	lost = (uint32_t)num_max(lost, SECTOR_BYTES / s.cell_bytes);
	/* Odd: damage that comes back every power of two is spread over all stripes. */
	while (divide_up(s.cells, s.stripes) + divide_up(lost, s.stripes) > PARITY_ROWS_MAX)
		s.stripes += 2;
	s.k = divide_up(s.cells, s.stripes);
	s.m = divide_up(lost, s.stripes);
	if (s.m > s.k)
		s.m = s.k;
	return s;
}

/* ---- head ---- */

enum err_code parity_head_encode(const struct parity_head *h, struct buf *out, struct err *e)
{
	uint8_t hash[PARITY_HASH_BYTES];
	size_t start = out->len;
	struct wr w = wr_to(out, e);

	wr_bytes(&w, span_of(head_magic, sizeof head_magic));
	wr_u16(&w, PARITY_VERSION);
	wr_u16(&w, 0); /* flags */
	wr_u32(&w, h->shape.cell_bytes);
	wr_bytes(&w, span_of(h->repo.bytes, ID16_BYTES));
	wr_u64(&w, h->name.session);
	wr_bytes(&w, span_of(h->name.random, sizeof h->name.random));
	wr_u64(&w, h->shape.pack_bytes);
	wr_u32(&w, h->shape.stripes);
	wr_u8(&w, (uint8_t)h->shape.k);
	wr_u8(&w, (uint8_t)h->shape.m);
	wr_u8(&w, (uint8_t)h->percent);
	wr_u8(&w, CODE_CAUCHY_256);
	wr_zeros(&w, HEAD_KEPT_FREE);
	wr_bytes(&w, span_of(h->pack_hash, PARITY_HASH_BYTES));
	wr_bytes(&w, span_of(h->sums_hash, PARITY_HASH_BYTES));
	if (w.rc)
		return w.rc;
	hash128(span_of(out->ptr + start, out->len - start), hash);
	wr_bytes(&w, span_of(hash, sizeof hash));
	return wr_end(&w);
}

/* Every number that is added, multiplied or allocated later meets its limit here. */
static enum err_code shape_check(struct parity_shape *s, struct err *e)
{
	if (s->cell_bytes < PARITY_CELL_MIN || s->cell_bytes > PARITY_CELL_MAX || (s->cell_bytes & (s->cell_bytes - 1)))
		return err_set(e, ERR_CORRUPT, "the parity has cells of %" PRIu32 " bytes", s->cell_bytes);
	if (s->pack_bytes < PACK_BYTES_MIN || s->pack_bytes > PACK_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "the parity is of a pack of %" PRIu64 " bytes", s->pack_bytes);
	s->cells = divide_up(s->pack_bytes, s->cell_bytes);
	if (s->stripes == 0 || s->stripes > s->cells || s->k != divide_up(s->cells, s->stripes) || s->m == 0 ||
	    s->m > s->k || s->k + s->m > PARITY_ROWS_MAX)
		return err_set(e, ERR_CORRUPT,
		               "the parity claims %" PRIu32 " stripes of %u and %u for %" PRIu32 " cells", s->stripes,
		               s->k, s->m, s->cells);
	return ERR_OK;
}

enum err_code parity_head_decode(struct span bytes, struct parity_head *out, struct err *e)
{
	struct parity_head got = { 0 };
	uint8_t hash[PARITY_HASH_BYTES], kept[HEAD_KEPT_FREE], code;
	struct rd r = rd_of(bytes);
	uint16_t version, flags;
	enum err_code rc;

	if (bytes.len != PARITY_HEAD_BYTES ||
	    !span_equal(rd_take(&r, sizeof head_magic), span_of(head_magic, sizeof head_magic)))
		return err_set(e, ERR_CORRUPT, "the parity has no head that we know");
	hash128(span_first(bytes, PARITY_HEAD_BYTES - PARITY_HASH_BYTES), hash);
	if (memcmp(hash, bytes.ptr + PARITY_HEAD_BYTES - PARITY_HASH_BYTES, sizeof hash) != 0)
		return err_set(e, ERR_CORRUPT, "the head of the parity is damaged");
	version = rd_u16(&r);
	flags = rd_u16(&r);
	got.shape.cell_bytes = rd_u32(&r);
	rd_copy(&r, got.repo.bytes, ID16_BYTES);
	got.name.session = rd_u64(&r);
	rd_copy(&r, got.name.random, sizeof got.name.random);
	got.shape.pack_bytes = rd_u64(&r);
	got.shape.stripes = rd_u32(&r);
	got.shape.k = rd_u8(&r);
	got.shape.m = rd_u8(&r);
	got.percent = rd_u8(&r);
	code = rd_u8(&r);
	rd_copy(&r, kept, sizeof kept);
	rd_copy(&r, got.pack_hash, PARITY_HASH_BYTES);
	rd_copy(&r, got.sums_hash, PARITY_HASH_BYTES);
	if (version != PARITY_VERSION || flags || code != CODE_CAUCHY_256)
		return err_set(e, ERR_UNSUPPORTED, "the parity is of version %u, flags %u, code %u", version, flags,
		               code);
	rc = shape_check(&got.shape, e);
	if (!rc)
		*out = got;
	return rc;
}

void parity_sum(struct span cell, uint8_t out[PARITY_SUM_BYTES])
{
	uint64_t sum = hash64(cell);

	for (size_t i = 0; i < PARITY_SUM_BYTES; i++)
		out[i] = (uint8_t)(sum >> (8 * i));
}
