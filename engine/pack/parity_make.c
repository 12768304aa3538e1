/*
 * Making parity reads the pack back from the store, once from its beginning to its end for the sums, once in columns
 * for the code: how it is cut follows from its length, which nobody knows before it is finished.
 */
#include <inttypes.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/pack/parity_internal.h"

#define SLICE_BYTES (16 * KIB) /* of each row at once: a multiple of every cell's length */

struct making {
	struct store *store;
	const struct parity_order *order;
	struct parity_head head;
	char pack[80];
	struct buf sums;   /* of all cells */
	struct buf parity; /* all parity cells, row by row */
};

static enum err_code sum_cells(struct buf *sums, struct span bytes, uint32_t cell_bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (; !rc && bytes.len; bytes = span_skip(bytes, cell_bytes)) {
		uint8_t sum[PARITY_SUM_BYTES];

		parity_sum(span_first(bytes, cell_bytes), sum);
		rc = buf_append(sums, span_of(sum, sizeof sum), e);
	}
	return rc;
}

/* Sums of the pack's cells, and the hash of the whole. */
static enum err_code sum_pack(struct making *m, struct err *e)
{
	const struct parity_shape *s = &m->head.shape;
	struct hash_stream *hash = hash_stream_open();
	uint8_t *piece = mem_alloc(PARITY_PIECE_BYTES);
	enum err_code rc = hash && piece ? ERR_OK : err_no_memory(e, PARITY_PIECE_BYTES);

	for (uint64_t at = 0; !rc && at < s->pack_bytes; at += PARITY_PIECE_BYTES) {
		size_t n = (size_t)(s->pack_bytes - at < PARITY_PIECE_BYTES ? s->pack_bytes - at : PARITY_PIECE_BYTES);
		size_t whole = (n + s->cell_bytes - 1) / s->cell_bytes * s->cell_bytes;

		rc = store_get_range(m->store, m->pack, at, n, piece, e);
		if (rc)
			break;
		hash_stream_add(hash, span_of(piece, n));
		memset(piece + n, 0, whole - n);
		rc = sum_cells(&m->sums, span_of(piece, whole), s->cell_bytes, e);
	}
	if (!rc)
		hash_stream_end(hash, m->head.pack_hash);
	if (!rc && m->order->pack_hash && memcmp(m->order->pack_hash, m->head.pack_hash, PARITY_HASH_BYTES) != 0)
		rc = err_set(e, ERR_CORRUPT, "%s, read back, is not what was written", m->pack);
	hash_stream_free(&hash);
	mem_free(piece);
	return rc;
}

/* LEN bytes of every row from column AT on to ROWS. */
static enum err_code read_columns(const struct making *m, uint64_t at, size_t len, uint8_t **rows, struct err *e)
{
	const struct parity_shape *s = &m->head.shape;
	uint64_t row_bytes = (uint64_t)s->stripes * s->cell_bytes;
	enum err_code rc = ERR_OK;

	for (unsigned j = 0; !rc && j < s->k; j++) {
		uint64_t from = j * row_bytes + at;
		size_t there =
		        from >= s->pack_bytes ? 0 : (size_t)(s->pack_bytes - from < len ? s->pack_bytes - from : len);

		if (there)
			rc = store_get_range(m->store, m->pack, from, there, rows[j], e);
		memset(rows[j] + there, 0, len - there);
	}
	return rc;
}

static enum err_code encode_columns(struct making *m, const struct parity_code *code, uint8_t *slices, struct err *e)
{
	const struct parity_shape *s = &m->head.shape;
	size_t row_bytes = (size_t)s->stripes * s->cell_bytes;
	uint8_t *rows[PARITY_ROWS_MAX], *out[PARITY_ROWS_MAX];
	enum err_code rc = ERR_OK;

	for (unsigned j = 0; j < s->k; j++)
		rows[j] = slices + j * SLICE_BYTES;
	for (size_t at = 0; !rc && at < row_bytes; at += SLICE_BYTES) {
		size_t len = num_min(SLICE_BYTES, row_bytes - at);

		rc = read_columns(m, at, len, rows, e);
		for (unsigned i = 0; i < s->m; i++)
			out[i] = m->parity.ptr + i * row_bytes + at;
		if (!rc)
			parity_code_encode(code, len, rows, out);
	}
	return rc;
}

static enum err_code encode_pack(struct making *m, struct err *e)
{
	const struct parity_shape *s = &m->head.shape;
	size_t bytes = (size_t)s->m * s->stripes * s->cell_bytes;
	uint8_t *slices = mem_alloc(s->k * SLICE_BYTES), *at;
	struct parity_code *code = NULL;
	enum err_code rc = slices ? ERR_OK : err_no_memory(e, s->k * SLICE_BYTES);

	if (!rc)
		rc = parity_code_open(s->k, s->m, &code, e);
	if (!rc)
		rc = buf_extend(&m->parity, bytes, &at, e);
	if (!rc)
		rc = encode_columns(m, code, slices, e);
	if (!rc)
		rc = sum_cells(&m->sums, buf_span(&m->parity), s->cell_bytes, e);
	if (!rc)
		hash128(buf_span(&m->sums), m->head.sums_hash);
	parity_code_free(&code);
	mem_free(slices);
	return rc;
}

static enum err_code write_object(struct making *m, uint64_t *stored, struct err *e)
{
	struct buf head = BUF_WITH_MAX(PARITY_HEAD_BYTES);
	struct store_draft *d = NULL;
	struct parity_head again;
	enum err_code rc = parity_head_encode(&m->head, &head, e);

	if (!rc)
		rc = parity_head_decode(buf_span(&head), &again, e);
	if (!rc)
		rc = store_draft_open(m->store, &d, e);
	if (!rc)
		rc = store_draft_write(d, buf_span(&head), e);
	if (!rc)
		rc = store_draft_write(d, buf_span(&m->sums), e);
	if (!rc)
		rc = store_draft_write(d, buf_span(&m->parity), e);
	if (!rc)
		rc = store_draft_write(d, buf_span(&m->sums), e);
	if (!rc)
		rc = store_draft_write(d, buf_span(&head), e);
	if (!rc && m->order->replace)
		rc = store_draft_put_back(&d, parity_path(&m->order->name).text, NULL, e);
	else if (!rc)
		rc = store_draft_commit(&d, parity_path(&m->order->name).text, e);
	store_draft_free(&d);
	buf_release(&head);
	if (!rc)
		*stored = parity_object_bytes(&m->head.shape);
	return rc;
}

enum err_code parity_make(struct store *s, const struct parity_order *o, uint64_t *stored, struct err *e)
{
	struct making m = { .store = s, .order = o, .sums = BUF_EMPTY, .parity = BUF_WITH_MAX(PACK_BYTES_MAX + MIB) };
	enum err_code rc = ERR_OK;

	if (o->percent == 0 || o->percent > PARITY_PERCENT_MAX)
		rc = err_set(e, ERR_USAGE, "parity is for 1 to %d percent", PARITY_PERCENT_MAX);
	else if (o->pack_bytes < PACK_BYTES_MIN || o->pack_bytes > PACK_BYTES_MAX)
		rc = err_set(e, ERR_CORRUPT, "a pack of %" PRIu64 " bytes cannot be", o->pack_bytes);
	m.head = (struct parity_head){ .repo = o->repo, .name = o->name, .percent = o->percent };
	memcpy(m.pack, pack_path(&o->name).text, sizeof m.pack);
	if (!rc) {
		m.head.shape = parity_shape_for(o->pack_bytes, o->percent);
		rc = sum_pack(&m, e);
	}
	if (!rc)
		rc = encode_pack(&m, e);
	if (!rc)
		rc = write_object(&m, stored, e);
	buf_release(&m.sums);
	buf_release(&m.parity);
	return rc ? err_note(e, "while making the parity of %s", m.pack) : ERR_OK;
}
