/*
 * A whole parity object from outside, opened from a store as a reader does, beside a pack of 5,000 bytes. The first byte
 * chooses: the head's decoder alone (what decodes encodes to the same bytes, but for what is kept free), or the object
 * with its hashes made right before, so that what lies behind them is reached. Whatever the bytes, nothing but what has
 * its sum is ever given.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "engine/pack/parity_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACK_BYTES 5000

static char folder[64];
static struct store *store;
static struct pack_name name = { .session = 7 };

static void clean_up(void)
{
	struct err e;

	store_free(&store);
	(void)!file_remove_tree(folder, &e);
}

static void start(void)
{
	const char *tmp = getenv("TMPDIR");
	static uint8_t pack[PACK_BYTES];
	struct err e;

	snprintf(folder, sizeof folder, "%.30s/mailhold-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder) || store_create(folder, &store, &e) ||
	    store_put(store, pack_path(&name).text, span_of(pack, sizeof pack), &e))
		abort();
	atexit(clean_up);
}

static void head_alone(struct span bytes)
{
	struct parity_head head;
	struct buf again = BUF_EMPTY;
	struct err e;

	if (parity_head_decode(bytes, &head, &e))
		return;
	assert(head.shape.k + head.shape.m <= PARITY_ROWS_MAX && head.shape.m >= 1);
	assert(parity_object_bytes(&head.shape) <= 4 * (PACK_BYTES_MAX + MIB));
	assert(!parity_head_encode(&head, &again, &e));
	assert(memcmp(again.ptr, bytes.ptr, 72) == 0 && memcmp(again.ptr + 80, bytes.ptr + 80, 32) == 0);
	buf_release(&again);
}

/* Writes OBJECT in place of the parity; the store's door makes objects once, and syncs. */
static void place(struct span object)
{
	char path[256], *slash;
	struct err e;
	int fd;

	(void)!store_delete(store, parity_path(&name).text, &e);
	snprintf(path, sizeof path, "%s/%s", folder, parity_path(&name).text);
	for (slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		(void)!mkdir(path, 0700);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, object.ptr, object.len) != (ssize_t)object.len)
		abort();
	close(fd);
}

static void look(void)
{
	struct parity_state state = { 0 };
	struct parity *p = NULL;
	uint8_t bytes[PACK_BYTES];
	struct err e;

	if (parity_open(store, &name, &p, &e))
		return;
	assert(!parity_inspect(p, &state, &e));
	assert(state.cells_bad <= state.cells && state.parity_cells_bad <= state.parity_cells);
	if (parity_describe(p).pack_bytes == PACK_BYTES && !parity_read(p, 0, PACK_BYTES, bytes, NULL, &e)) {
		uint8_t cell[PARITY_CELL_MAX] = { 0 };

		memcpy(cell, bytes, p->head.shape.cell_bytes);
		assert(parity_cell_good(p, 0, cell));
	}
	parity_state_release(&state);
	parity_free(&p);
}

/* Makes the head's hashes fit what stands there, as a forger would. */
static void fit(uint8_t *object, size_t size)
{
	struct parity_head head;
	struct err e;

	if (size < PARITY_HEAD_BYTES)
		return;
	hash128(span_of(object, PARITY_HEAD_BYTES - PARITY_HASH_BYTES), object + PARITY_HEAD_BYTES - PARITY_HASH_BYTES);
	if (parity_head_decode(span_of(object, PARITY_HEAD_BYTES), &head, &e) ||
	    size < PARITY_HEAD_BYTES + parity_sums_bytes(&head.shape))
		return;
	hash128(span_of(object + PARITY_HEAD_BYTES, parity_sums_bytes(&head.shape)), object + 96);
	hash128(span_of(object, PARITY_HEAD_BYTES - PARITY_HASH_BYTES), object + PARITY_HEAD_BYTES - PARITY_HASH_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *object;

	if (!size)
		return 0;
	object = malloc(size);
	if (!object)
		return 0;
	memcpy(object, data + 1, size - 1);
	if (data[0] % 2 == 0) {
		fit(object, size - 1);
		head_alone(span_of(object, size - 1 < PARITY_HEAD_BYTES ? size - 1 : PARITY_HEAD_BYTES));
	} else {
		if (!store)
			start();
		if (data[0] & 2)
			fit(object, size - 1);
		place(span_of(object, size - 1));
		look();
	}
	free(object);
	return 0;
}
