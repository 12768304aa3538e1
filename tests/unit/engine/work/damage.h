/* damage: what is done to packs of a lab's repository, and what must be said of it. Include after lab.h. */
#ifndef MAILHOLD_TESTS_ENGINE_DAMAGE_H
#define MAILHOLD_TESTS_ENGINE_DAMAGE_H

#include <fcntl.h>
#include <sys/stat.h>

#include "engine/pack/pack.h"

static inline void pack_file_path(struct lab *l, uint32_t ordinal, char out[200])
{
	snprintf(out, 200, "%s/%s", l->url, pack_path(&ledger_pack(l->repo->ledger, ordinal)->pack.name).text);
}

static inline int pack_open_file(struct lab *l, uint32_t ordinal)
{
	char path[200];
	int fd;

	pack_file_path(l, ordinal, path);
	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static inline void pack_flip(struct lab *l, uint32_t ordinal, uint64_t at)
{
	int fd = pack_open_file(l, ordinal);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

static inline void pack_cut(struct lab *l, uint32_t ordinal, uint64_t bytes)
{
	int fd = pack_open_file(l, ordinal);

	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static inline void pack_remove(struct lab *l, uint32_t ordinal)
{
	char path[200];

	pack_file_path(l, ordinal, path);
	assert_int_equal(unlink(path), 0);
}

/* A live pack, any; UINT32_MAX: there is none. */
static inline uint32_t any_live(struct lab *l)
{
	uint32_t count = ledger_pack_count(l->repo->ledger), start = count ? (uint32_t)below(count) : 0;

	for (uint32_t i = 0; i < count; i++)
		if (ledger_pack(l->repo->ledger, (start + i) % count)->state == PACK_LIVE)
			return (start + i) % count;
	return UINT32_MAX;
}

/* Flips a byte inside a block of CLASS of some live pack; false when no pack has one. */
static inline bool damage_class(struct lab *l, enum block_class class)
{
	for (uint32_t i = 0; i < ledger_pack_count(l->repo->ledger); i++) {
		const struct pack_fact *fact = ledger_pack(l->repo->ledger, i);
		struct pack *p = NULL;
		uint64_t at = 0;

		if (fact->state != PACK_LIVE)
			continue;
		ok(pack_open(l->repo->store, l->repo->keys, &fact->pack, &p, NULL, &err));
		for (uint32_t b = 0; b < pack_block_count(p); b++)
			if (pack_block(p, b)->class == class)
				at = pack_block(p, b)->offset + 7;
		pack_free(&p);
		if (at) {
			pack_flip(l, i, at);
			return true;
		}
	}
	return false;
}

/* What check and repair told. */
struct heard {
	size_t problems, items, count;
	struct {
		char place[64]; /* collection#key */
		uint64_t snapshots;
	} rows[4096];
	char object[200], text[ERR_TEXT_MAX];
	enum err_code code;
};

static inline void hear(void *ctx, const struct check_problem *p)
{
	struct heard *h = ctx;

	h->problems++;
	h->code = p->what->code;
	snprintf(h->object, sizeof h->object, "%s", p->object);
	snprintf(h->text, sizeof h->text, "%s", p->what->text);
	if (!p->snapshots)
		return;
	h->items++;
	if (h->count < ARRAY_LEN(h->rows)) {
		snprintf(h->rows[h->count].place, sizeof h->rows[0].place, "%.*s#%.*s", (int)p->collection.len,
		         (const char *)p->collection.ptr, (int)p->key.len, (const char *)p->key.ptr);
		h->rows[h->count++].snapshots = p->snapshots;
	}
}

static inline bool was_heard(const struct heard *h, struct span collection, struct span key)
{
	char place[64];

	snprintf(place, sizeof place, "%.*s#%.*s", (int)collection.len, (const char *)collection.ptr, (int)key.len,
	         (const char *)key.ptr);
	for (size_t i = 0; i < h->count; i++)
		if (!strcmp(h->rows[i].place, place))
			return true;
	return false;
}

static inline struct check_report check_now(struct lab *l, const struct check_options *o, struct heard *h)
{
	struct check_report report;

	memset(h, 0, sizeof *h);
	ok(engine_check(l->repo, o, hear, h, &report, &err));
	assert_int_equal(report.problems, h->problems);
	return report;
}

#endif
