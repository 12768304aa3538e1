#include "engine/pack/parity_internal.h"

#include <inttypes.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"

/* ---- open ---- */

static enum err_code head_at(const struct parity *p, const struct pack_name *name, uint64_t offset,
                             struct parity_head *out, struct err *e)
{
	uint8_t bytes[PARITY_HEAD_BYTES];
	struct parity_head got;
	enum err_code rc = store_get_range(p->store, p->path, offset, sizeof bytes, bytes, e);

	if (!rc)
		rc = parity_head_decode(span_of(bytes, sizeof bytes), &got, e);
	if (!rc && (got.name.session != name->session || memcmp(got.name.random, name->random, sizeof name->random)))
		rc = err_set(e, ERR_CORRUPT, "it is the parity of another pack");
	if (!rc)
		*out = got;
	return rc;
}

/* Appends the sums at OFFSET to OUT if they are those of the head. */
static enum err_code sums_at(const struct parity *p, uint64_t offset, struct buf *out, struct err *e)
{
	size_t bytes = parity_sums_bytes(&p->head.shape), before = out->len;
	uint8_t hash[PARITY_HASH_BYTES], *at;
	enum err_code rc = buf_extend(out, bytes, &at, e);

	if (!rc)
		rc = store_get_range(p->store, p->path, offset, bytes, at, e);
	if (!rc) {
		hash128(span_of(at, bytes), hash);
		if (memcmp(hash, p->head.sums_hash, sizeof hash) != 0)
			rc = err_set(e, ERR_CORRUPT, "the sums of the parity are damaged");
	}
	if (rc)
		out->len = before;
	return rc;
}

/* The first copy that is good; *WHOLE is cleared when the other is not. */
static enum err_code find_head(struct parity *p, const struct pack_name *name, uint64_t bytes, struct err *e)
{
	struct parity_head second;
	struct err ignored;
	enum err_code rc = head_at(p, name, 0, &p->head, e), at_end = ERR_CORRUPT;

	if (bytes >= 2 * PARITY_HEAD_BYTES)
		at_end = head_at(p, name, bytes - PARITY_HEAD_BYTES, &second, &ignored);
	if (rc && !at_end && parity_is_loss(rc)) {
		p->head = second;
		rc = ERR_OK;
		at_end = ERR_CORRUPT; /* the other one is not good */
	}
	if (!rc && (at_end || bytes != parity_object_bytes(&p->head.shape)))
		p->copies_whole = false;
	return rc;
}

static enum err_code find_sums(struct parity *p, struct err *e)
{
	const struct parity_shape *s = &p->head.shape;
	uint64_t second = parity_object_bytes(s) - PARITY_HEAD_BYTES - parity_sums_bytes(s);
	struct buf other = BUF_EMPTY;
	struct err ignored;
	enum err_code rc = sums_at(p, PARITY_HEAD_BYTES, &p->sums, e);

	if (rc && !parity_is_loss(rc))
		return rc;
	if (rc)
		p->copies_whole = false;
	if (sums_at(p, second, rc ? &p->sums : &other, &ignored))
		p->copies_whole = false;
	else
		rc = ERR_OK;
	buf_release(&other);
	return rc;
}

enum err_code parity_open(struct store *s, const struct pack_name *name, struct parity **out, struct err *e)
{
	struct parity *p = mem_zalloc(1, sizeof *p);
	uint64_t bytes;
	enum err_code rc;

	if (!p)
		return err_no_memory(e, sizeof *p);
	p->store = s;
	p->copies_whole = true;
	memcpy(p->path, parity_path(name).text, sizeof p->path);
	memcpy(p->pack, pack_path(name).text, sizeof p->pack);
	rc = store_size(s, p->path, &bytes, e);
	if (!rc) {
		rc = find_head(p, name, bytes, e);
		if (!rc)
			rc = find_sums(p, e);
		/* It was there: what cannot be read of it is damage, not absence. */
		if (rc == ERR_IO || rc == ERR_NOT_FOUND)
			rc = e->code = ERR_CORRUPT;
	}
	if (rc) {
		err_note(e, "while opening %s", p->path);
		parity_free(&p);
		return rc;
	}
	*out = p;
	return ERR_OK;
}

void parity_free(struct parity **p)
{
	if (!*p)
		return;
	buf_release(&(*p)->sums);
	mem_free(*p);
	*p = NULL;
}

struct parity_info parity_describe(const struct parity *p)
{
	return (struct parity_info){ .repo = p->head.repo,
		                     .pack_bytes = p->head.shape.pack_bytes,
		                     .parity_bytes = parity_object_bytes(&p->head.shape),
		                     .percent = p->head.percent,
		                     .copies_whole = p->copies_whole };
}

/* ---- cells ---- */

bool parity_cell_good(const struct parity *p, uint32_t cell, const uint8_t *bytes)
{
	uint8_t sum[PARITY_SUM_BYTES];

	parity_sum(span_of(bytes, p->head.shape.cell_bytes), sum);
	return memcmp(sum, p->sums.ptr + (size_t)cell * PARITY_SUM_BYTES, sizeof sum) == 0;
}

/* Of the pack fewer bytes than the cells have: behind its end are zeros. */
static enum err_code read_once(const struct parity *p, uint32_t first, uint32_t count, uint8_t *dst, struct err *e)
{
	const struct parity_shape *s = &p->head.shape;
	size_t len = (size_t)count * s->cell_bytes, there = len;
	uint64_t at = (uint64_t)first * s->cell_bytes;

	if (first >= s->cells)
		return store_get_range(p->store, p->path, parity_cell_at(s, first - s->cells), len, dst, e);
	if (at + len > s->pack_bytes) {
		there = (size_t)(s->pack_bytes - at);
		memset(dst + there, 0, len - there);
	}
	return store_get_range(p->store, p->pack, at, there, dst, e);
}

enum err_code parity_cells_read(const struct parity *p, uint32_t first, uint32_t count, uint8_t *dst, struct err *e)
{
	uint32_t cell_bytes = p->head.shape.cell_bytes;
	enum err_code rc = read_once(p, first, count, dst, e);

	if (!parity_is_loss(rc))
		return rc;
	for (uint32_t i = 0; i < count; i++) {
		rc = read_once(p, first + i, 1, dst + (size_t)i * cell_bytes, e);
		if (parity_is_loss(rc))
			memset(dst + (size_t)i * cell_bytes, 0, cell_bytes);
		else if (rc)
			return rc;
	}
	return ERR_OK;
}

/* ---- stripes ---- */

enum err_code parity_stripe_init(const struct parity *p, struct parity_stripe *s, struct err *e)
{
	const struct parity_shape *shape = &p->head.shape;
	unsigned rows = shape->k + shape->m;

	s->bytes = mem_alloc((size_t)rows * shape->cell_bytes);
	if (!s->bytes)
		return err_no_memory(e, (size_t)rows * shape->cell_bytes);
	for (unsigned i = 0; i < rows; i++)
		s->rows[i] = s->bytes + (size_t)i * shape->cell_bytes;
	s->lost_count = 0;
	return ERR_OK;
}

void parity_stripe_release(struct parity_stripe *s)
{
	mem_free(s->bytes);
	*s = (struct parity_stripe){ 0 };
}

/* Row ROW of the stripe from CELL; *GOOD: it has its sum. */
static enum err_code load_cell(const struct parity *p, uint32_t cell, struct parity_stripe *s, unsigned row, bool *good,
                               struct err *e)
{
	enum err_code rc;

	*e = (struct err){ 0 };
	rc = parity_cells_read(p, cell, 1, s->rows[row], e);
	if (!rc && e->code == ERR_IO && !s->unread.code)
		s->unread = *e;
	*good = !rc && parity_cell_good(p, cell, s->rows[row]);
	return rc;
}

/* Data rows of stripe NUMBER; lost ones are zeros. */
static enum err_code load_data(const struct parity *p, uint32_t number, struct parity_stripe *s, struct err *e)
{
	const struct parity_shape *shape = &p->head.shape;
	enum err_code rc = ERR_OK;

	s->lost_count = 0;
	s->unread = (struct err){ 0 };
	for (unsigned j = 0; !rc && j < shape->k; j++) {
		uint32_t cell = j * shape->stripes + number;
		bool is_good;

		memset(s->rows[j], 0, shape->cell_bytes);
		if (cell >= shape->cells)
			continue;
		rc = load_cell(p, cell, s, j, &is_good, e);
		if (rc || is_good)
			continue;
		memset(s->rows[j], 0, shape->cell_bytes);
		s->lost[s->lost_count++] = (uint8_t)j;
	}
	return rc;
}

/* As many good parity rows as data rows are lost, behind each other from row k on; USED are their numbers. */
static enum err_code load_parity(const struct parity *p, uint32_t number, struct parity_stripe *s, uint8_t *used,
                                 struct err *e)
{
	const struct parity_shape *shape = &p->head.shape;
	unsigned good = 0;
	enum err_code rc = ERR_OK;

	for (unsigned i = 0; !rc && i < shape->m && good < s->lost_count; i++) {
		uint32_t cell = shape->cells + i * shape->stripes + number;
		bool is_good;

		rc = load_cell(p, cell, s, shape->k + good, &is_good, e);
		if (!rc && is_good)
			used[good++] = (uint8_t)i;
	}
	if (rc || good >= s->lost_count)
		return rc;
	err_set(e, s->unread.code ? ERR_IO : ERR_CORRUPT,
	        "stripe %" PRIu32 " has lost %u cells, and the parity gives back %u", number, s->lost_count, good);
	return s->unread.code ? err_note(e, "after: %s", s->unread.text) : e->code;
}

enum err_code parity_stripe_load(const struct parity *p, uint32_t number, struct parity_stripe *s, struct err *e)
{
	const struct parity_shape *shape = &p->head.shape;
	uint8_t used[PARITY_ROWS_MAX], *scratch = NULL;
	enum err_code rc = load_data(p, number, s, e);

	if (!rc && s->lost_count)
		rc = load_parity(p, number, s, used, e);
	if (rc || !s->lost_count)
		return rc;
	scratch = mem_alloc((size_t)s->lost_count * shape->cell_bytes);
	if (!scratch)
		return err_no_memory(e, (size_t)s->lost_count * shape->cell_bytes);
	rc = parity_code_recover(shape->k, shape->cell_bytes, s->rows, s->lost, used, s->rows + shape->k, s->lost_count,
	                         scratch, e);
	mem_free(scratch);
	for (unsigned i = 0; !rc && i < s->lost_count; i++)
		if (!parity_cell_good(p, s->lost[i] * shape->stripes + number, s->rows[s->lost[i]]))
			rc = err_set(e, ERR_CORRUPT, "the parity gives a cell that has not its sum");
	return rc;
}

/* ---- reading ---- */

/* COUNT cells from FIRST on, in CELLS: replaces those that have not their sum. */
static enum err_code mend_cells(const struct parity *p, uint32_t first, uint32_t count, uint8_t *cells,
                                uint64_t *mended, struct err *e)
{
	const struct parity_shape *shape = &p->head.shape;
	struct parity_stripe stripe = { 0 };
	enum err_code rc = ERR_OK;

	for (uint32_t i = 0; !rc && i < count; i++) {
		if (parity_cell_good(p, first + i, cells + (size_t)i * shape->cell_bytes))
			continue;
		if (!stripe.bytes)
			rc = parity_stripe_init(p, &stripe, e);
		if (!rc)
			rc = parity_stripe_load(p, (first + i) % shape->stripes, &stripe, e);
		if (rc)
			break;
		/* All that this stripe lost within the range, at once. */
		for (uint32_t j = i; j < count; j += shape->stripes) {
			memcpy(cells + (size_t)j * shape->cell_bytes, stripe.rows[(first + j) / shape->stripes],
			       shape->cell_bytes);
		}
		for (unsigned l = 0; l < stripe.lost_count; l++) {
			uint32_t cell = stripe.lost[l] * shape->stripes + (first + i) % shape->stripes;

			*mended += cell >= first && cell < first + count;
		}
	}
	parity_stripe_release(&stripe);
	return rc;
}

enum err_code parity_read(const struct parity *p, uint64_t offset, size_t len, uint8_t *dst, uint64_t *mended,
                          struct err *e)
{
	const struct parity_shape *shape = &p->head.shape;
	uint64_t end, count_mended = 0;
	uint32_t first, count;
	uint8_t *cells;
	enum err_code rc;

	if (!num_add(offset, len, &end) || end > shape->pack_bytes)
		return err_set(e, ERR_CORRUPT, "%s has %" PRIu64 " bytes, not %" PRIu64, p->pack, shape->pack_bytes,
		               end);
	if (!len)
		return ERR_OK;
	first = (uint32_t)(offset / shape->cell_bytes);
	count = (uint32_t)((end - 1) / shape->cell_bytes) - first + 1;
	cells = mem_alloc((size_t)count * shape->cell_bytes);
	if (!cells)
		return err_no_memory(e, (size_t)count * shape->cell_bytes);
	rc = parity_cells_read(p, first, count, cells, e);
	if (!rc)
		rc = mend_cells(p, first, count, cells, &count_mended, e);
	if (!rc)
		memcpy(dst, cells + (offset - (uint64_t)first * shape->cell_bytes), len);
	if (!rc && mended)
		*mended += count_mended;
	mem_free(cells);
	return rc ? err_note(e, "while reading %s with its parity", p->pack) : ERR_OK;
}
