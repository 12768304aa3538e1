/*
 * The only file that knows ISA-L. A lost row costs no inversion of a k × k matrix: the rows that are there are encoded
 * (lost ones being zeros), the difference to the stored parity is what the lost ones contribute, and that is a small
 * Cauchy matrix, which always has an inverse.
 */
#include <isa-l/erasure_code.h>
#include <isa-l.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pack/parity_format.h"

#define TABLE_BYTES  32   /* ISA-L's, for each coefficient */
#define ENCODE_BYTES 4096 /* at once: all rows of a slice stay in the cache while ISA-L passes over them */

struct parity_code {
	unsigned k, m;
	uint8_t tables[];
};

static uint8_t coefficient(unsigned k, unsigned i, unsigned j)
{
	return gf_inv((uint8_t)((k + i) ^ j));
}

enum err_code parity_code_open(unsigned k, unsigned m, struct parity_code **out, struct err *e)
{
	size_t bytes = (size_t)k * m * TABLE_BYTES;
	struct parity_code *c = mem_alloc(sizeof *c + bytes);
	uint8_t *matrix = mem_alloc((size_t)k * m);

	if (!c || !matrix) {
		mem_free(c);
		mem_free(matrix);
		return err_no_memory(e, sizeof *c + bytes);
	}
	c->k = k;
	c->m = m;
	for (unsigned i = 0; i < m; i++)
		for (unsigned j = 0; j < k; j++)
			matrix[i * k + j] = coefficient(k, i, j);
	ec_init_tables((int)k, (int)m, matrix, c->tables);
	mem_free(matrix);
	*out = c;
	return ERR_OK;
}

void parity_code_free(struct parity_code **c)
{
	mem_free(*c);
	*c = NULL;
}

/* ISA-L takes tables without const, and changes none of them. */
static void encode(size_t len, unsigned k, unsigned m, const uint8_t *tables, uint8_t **data, uint8_t **out)
{
	uint8_t *from[PARITY_ROWS_MAX], *to[PARITY_ROWS_MAX];

	for (size_t at = 0; at < len; at += ENCODE_BYTES) {
		for (unsigned j = 0; j < k; j++)
			from[j] = data[j] + at;
		for (unsigned i = 0; i < m; i++)
			to[i] = out[i] + at;
		ec_encode_data((int)num_min(len - at, ENCODE_BYTES), (int)k, (int)m, (uint8_t *)(uintptr_t)tables, from,
		               to);
	}
}

void parity_code_encode(const struct parity_code *c, size_t len, uint8_t **data, uint8_t **out)
{
	encode(len, c->k, c->m, c->tables, data, out);
}

/* Encodes DATA to the parity rows ROWS into TO. */
static void encode_rows(unsigned k, size_t len, uint8_t **data, const uint8_t *rows, uint8_t **to, unsigned count,
                        uint8_t *matrix, uint8_t *tables)
{
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < k; j++)
			matrix[i * k + j] = coefficient(k, rows[i], j);
	ec_init_tables((int)k, (int)count, matrix, tables);
	encode(len, k, count, tables, data, to);
}

/* What the lost rows contribute to PARITY becomes the lost rows, in DATA. */
static bool solve(unsigned k, size_t len, uint8_t **data, const uint8_t *lost, const uint8_t *rows, uint8_t **parity,
                  unsigned count, uint8_t *matrix, uint8_t *inverse, uint8_t *tables)
{
	uint8_t *to[PARITY_ROWS_MAX];

	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < count; j++)
			matrix[i * count + j] = coefficient(k, rows[i], lost[j]);
	if (gf_invert_matrix(matrix, inverse, (int)count) != 0)
		return false;
	for (unsigned j = 0; j < count; j++)
		to[j] = data[lost[j]];
	ec_init_tables((int)count, (int)count, inverse, tables);
	encode(len, count, count, tables, parity, to);
	return true;
}

enum err_code parity_code_recover(unsigned k, size_t len, uint8_t **data, const uint8_t *lost, const uint8_t *rows,
                                  uint8_t **parity, unsigned count, uint8_t *scratch, struct err *e)
{
	size_t cells = (size_t)count * k;
	uint8_t *matrix = mem_alloc(cells), *inverse = mem_alloc(cells), *tables = mem_alloc(cells * TABLE_BYTES);
	uint8_t *to[PARITY_ROWS_MAX];
	enum err_code rc = ERR_OK;

	if (!matrix || !inverse || !tables) {
		rc = err_no_memory(e, cells * TABLE_BYTES);
		goto done;
	}
	for (unsigned i = 0; i < count; i++)
		to[i] = scratch + i * len;
	encode_rows(k, len, data, rows, to, count, matrix, tables);
	for (unsigned i = 0; i < count; i++)
		for (size_t at = 0; at < len; at++)
			parity[i][at] ^= to[i][at];
	if (!solve(k, len, data, lost, rows, parity, count, matrix, inverse, tables))
		rc = err_set(e, ERR_CORRUPT, "the parity does not determine %u lost cells", count);
done:
	mem_free(matrix);
	mem_free(inverse);
	mem_free(tables);
	return rc;
}

const char *parity_library_version(void)
{
#define TEXT(x)    #x
#define VERSION(x) TEXT(x)
	return VERSION(ISAL_MAJOR_VERSION) "." VERSION(ISAL_MINOR_VERSION) "." VERSION(ISAL_PATCH_VERSION);
}
