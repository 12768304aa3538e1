/* Looking at all cells, and putting a pack's right bytes back. */
#include <inttypes.h>

#include "base/hash.h"
#include "base/idmap.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/pack/parity_internal.h"

static bool is_bad(const struct parity_state *s, uint32_t cell)
{
	return s->bad[cell / 8] & (1 << cell % 8);
}

/* ---- inspect ---- */

/* Cells FIRST to END, which are all of the pack or all of the parity, with PIECE to read into. */
static enum err_code inspect_cells(const struct parity *p, uint32_t first, uint32_t end, uint8_t *piece,
                                   struct parity_state *out, uint64_t *bad, struct err *e)
{
	uint32_t cell_bytes = p->head.shape.cell_bytes, at_once = PARITY_PIECE_BYTES / cell_bytes;
	enum err_code rc = ERR_OK;

	while (!rc && first < end) {
		uint32_t n = end - first < at_once ? end - first : at_once;

		*e = (struct err){ 0 };
		rc = parity_cells_read(p, first, n, piece, e);
		if (!rc && e->code == ERR_IO)
			out->unread = *e;
		for (uint32_t i = 0; !rc && i < n; i++, first++) {
			if (parity_cell_good(p, first, piece + (size_t)i * cell_bytes))
				continue;
			out->bad[first / 8] |= (uint8_t)(1 << first % 8);
			++*bad;
		}
	}
	return rc;
}

static void count_lost_stripes(const struct parity_shape *s, struct parity_state *out)
{
	for (uint32_t stripe = 0; stripe < s->stripes; stripe++) {
		unsigned data = 0, parity = 0;

		for (uint32_t c = stripe; c < s->cells; c += s->stripes)
			data += is_bad(out, c);
		for (uint32_t c = stripe; c < s->m * s->stripes; c += s->stripes)
			parity += is_bad(out, s->cells + c);
		out->stripes_lost += data && data + parity > s->m;
	}
}

enum err_code parity_inspect(const struct parity *p, struct parity_state *out, struct err *e)
{
	const struct parity_shape *s = &p->head.shape;
	struct parity_state got = { .cells = s->cells,
		                    .parity_cells = (uint64_t)s->m * s->stripes,
		                    .stripes = s->stripes,
		                    .copies_damaged = !p->copies_whole };
	uint8_t *piece = mem_alloc(PARITY_PIECE_BYTES);
	uint64_t bytes = 0;
	enum err_code rc;

	got.bad = mem_zalloc(parity_cells_all(s) / 8 + 1, 1);
	rc = piece && got.bad ? store_size(p->store, p->pack, &bytes, e) : err_no_memory(e, PARITY_PIECE_BYTES);
	if (parity_is_loss(rc))
		rc = ERR_OK; /* then all of its cells are */
	got.pack_length_wrong = bytes != s->pack_bytes;
	if (!rc)
		rc = inspect_cells(p, 0, s->cells, piece, &got, &got.cells_bad, e);
	if (!rc)
		rc = inspect_cells(p, s->cells, parity_cells_all(s), piece, &got, &got.parity_cells_bad, e);
	mem_free(piece);
	if (rc) {
		mem_free(got.bad);
		return err_note(e, "while comparing %s with its parity", p->pack);
	}
	count_lost_stripes(s, &got);
	*out = got;
	return ERR_OK;
}

void parity_state_release(struct parity_state *s)
{
	mem_free(s->bad);
	*s = (struct parity_state){ 0 };
}

/* ---- putting back ---- */

/* The cells that were computed, in the order of PLACES: cell number → place. */
struct mended {
	struct idmap places;
	struct buf cells;
};

struct cell_key {
	uint8_t bytes[IDMAP_KEY_BYTES];
};

static struct cell_key cell_key(uint32_t cell)
{
	struct cell_key key = { { 0 } };
	uint64_t mixed = hash64(span_of(&cell, sizeof cell));

	memcpy(key.bytes, &mixed, sizeof mixed); /* the table takes the first bytes as its hash */
	memcpy(key.bytes + sizeof mixed, &cell, sizeof cell);
	return key;
}

static enum err_code keep_stripe(const struct parity *p, uint32_t number, const struct parity_stripe *stripe,
                                 struct mended *m, struct err *e)
{
	const struct parity_shape *s = &p->head.shape;
	enum err_code rc = ERR_OK;

	for (unsigned i = 0; !rc && i < stripe->lost_count; i++) {
		struct cell_key key = cell_key(stripe->lost[i] * s->stripes + number);

		rc = idmap_put(&m->places, key.bytes, m->cells.len, e);
		if (!rc)
			rc = buf_append(&m->cells, span_of(stripe->rows[stripe->lost[i]], s->cell_bytes), e);
	}
	return rc;
}

/* Computes every lost cell of the pack. */
static enum err_code mend_all(const struct parity *p, const struct parity_state *state, struct mended *m, struct err *e)
{
	const struct parity_shape *s = &p->head.shape;
	struct parity_stripe stripe = { 0 };
	enum err_code rc = parity_stripe_init(p, &stripe, e);

	for (uint32_t number = 0; !rc && number < s->stripes; number++) {
		bool bad = false;

		for (uint32_t c = number; c < s->cells; c += s->stripes)
			bad |= is_bad(state, c);
		if (!bad)
			continue;
		rc = parity_stripe_load(p, number, &stripe, e);
		if (!rc)
			rc = keep_stripe(p, number, &stripe, m, e);
	}
	parity_stripe_release(&stripe);
	return rc;
}

/* N cells from FIRST on as they must be. */
static enum err_code right_cells(const struct parity *p, const struct mended *m, uint32_t first, uint32_t n,
                                 uint8_t *piece, struct err *e)
{
	uint32_t cell_bytes = p->head.shape.cell_bytes;
	enum err_code rc;

	*e = (struct err){ 0 };
	rc = parity_cells_read(p, first, n, piece, e);
	for (uint32_t i = 0; !rc && i < n; i++) {
		struct cell_key key = cell_key(first + i);
		uint8_t *cell = piece + (size_t)i * cell_bytes;
		uint64_t place;

		if (idmap_get(&m->places, key.bytes, &place))
			memcpy(cell, m->cells.ptr + place, cell_bytes);
		if (!parity_cell_good(p, first + i, cell))
			rc = e->code ? e->code : err_set(e, ERR_CORRUPT, "%s changes while it is read", p->pack);
	}
	return rc;
}

static enum err_code write_pack(const struct parity *p, const struct mended *m, struct store_draft *d, struct err *e)
{
	const struct parity_shape *s = &p->head.shape;
	struct hash_stream *stream = hash_stream_open();
	uint8_t *piece = mem_alloc(PARITY_PIECE_BYTES), hash[PARITY_HASH_BYTES];
	uint32_t at_once = PARITY_PIECE_BYTES / s->cell_bytes;
	enum err_code rc = stream && piece ? ERR_OK : err_no_memory(e, PARITY_PIECE_BYTES);

	for (uint32_t first = 0; !rc && first < s->cells; first += at_once) {
		uint32_t n = s->cells - first < at_once ? s->cells - first : at_once;
		uint64_t left = s->pack_bytes - (uint64_t)first * s->cell_bytes;
		size_t len = (size_t)n * s->cell_bytes < left ? (size_t)n * s->cell_bytes : (size_t)left;

		rc = right_cells(p, m, first, n, piece, e);
		if (!rc) {
			hash_stream_add(stream, span_of(piece, len));
			rc = store_draft_write(d, span_of(piece, len), e);
		}
	}
	if (!rc) {
		hash_stream_end(stream, hash);
		if (memcmp(hash, p->head.pack_hash, sizeof hash) != 0)
			rc = err_set(e, ERR_CORRUPT, "what the parity gives is not the pack that it was made of");
	}
	hash_stream_free(&stream);
	mem_free(piece);
	return rc;
}

enum err_code parity_put_back(const struct parity *p, const struct parity_state *state, char *kept, struct err *e)
{
	struct mended m = { .places = IDMAP_EMPTY, .cells = BUF_WITH_MAX(PACK_BYTES_MAX) };
	struct store_draft *d = NULL;
	enum err_code rc = mend_all(p, state, &m, e);

	if (!rc)
		rc = store_draft_open(p->store, &d, e);
	if (!rc)
		rc = write_pack(p, &m, d, e);
	if (!rc)
		rc = store_draft_put_back(&d, p->pack, kept, e);
	store_draft_free(&d);
	idmap_release(&m.places);
	buf_release(&m.cells);
	return rc ? err_note(e, "while putting %s back", p->pack) : ERR_OK;
}
