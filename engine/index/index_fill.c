/*
 * Filling: id lists of packs become entries. Several packs go in together, so that a rebuild writes few large files; a
 * pack is never split between two units (index_db.h, order).
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "engine/index/index_internal.h"

#define UNIT_ENTRIES ((size_t)128 * 1024) /* about 6 MiB, and 2 for sorting */

struct filler {
	struct index *index;
	struct index_db *db; /* NULL: into memory */
	struct buf entries;  /* struct index_entry each */
	struct buf marks;    /* struct index_mark each */
	uint32_t number;     /* of the pack being read */
	struct err failed;   /* why it cannot be taken as read */
};

static void tell(struct index *i, const char *format, const char *text)
{
	char line[ERR_TEXT_MAX + 128];

	if (!i->notice)
		return;
	snprintf(line, sizeof line, "%s%s", format, text);
	i->notice(i->ctx, line);
}

static enum err_code take_ids(void *ctx, uint32_t block, const struct chunk_id *ids, uint32_t count,
                              const struct err *what, struct err *e)
{
	struct filler *f = ctx;
	uint8_t *at;
	enum err_code rc;

	if (!ids) {
		/* Damage stays; what may be better next time must not be marked as held. */
		if (what->code != ERR_CORRUPT && what->code != ERR_WRONG_KEY && what->code != ERR_UNSUPPORTED)
			f->failed = *what;
		tell(f->index, "the index goes without one block: ", what->text);
		return ERR_OK;
	}
	rc = buf_extend(&f->entries, count * sizeof(struct index_entry), &at, e);
	if (rc)
		return rc;
	for (uint32_t slot = 0; slot < count; slot++) {
		struct index_entry entry = { ids[slot], { f->number, block, slot } };

		memcpy(at + slot * sizeof entry, &entry, sizeof entry);
	}
	return ERR_OK;
}

static enum err_code read_lists(struct filler *f, const struct pack_added *what, struct err *e)
{
	struct index *i = f->index;
	struct pack *p = NULL;
	enum err_code rc = ERR_OK;

	f->failed.code = ERR_OK;
	if (!i->codec)
		rc = block_codec_open(3, &i->codec, e);
	if (!rc)
		rc = pack_open(i->store, i->keys, what, &p, NULL, e);
	if (!rc)
		rc = pack_each_ids(p, i->codec, take_ids, f, e);
	pack_free(&p);
	if (!rc && f->failed.code) {
		*e = f->failed;
		rc = f->failed.code;
	}
	return rc;
}

/* Puts what was gathered and publishes it. */
static enum err_code flush(struct filler *f, struct err *e)
{
	const struct index_entry *entries = (const struct index_entry *)(const void *)f->entries.ptr;
	const struct index_mark *marks = (const struct index_mark *)(const void *)f->marks.ptr;
	size_t entry_count = f->entries.len / sizeof *entries, mark_count = f->marks.len / sizeof *marks;
	struct index *i = f->index;
	enum err_code rc = ERR_OK;

	if (f->db && mark_count)
		rc = index_db_put(f->db, (const char *)i->temporary.ptr, entries, entry_count, marks, mark_count, e);
	if (rc)
		return rc;
	pthread_rwlock_wrlock(&i->lock);
	for (size_t j = 0; !rc && !f->db && j < entry_count; j++)
		rc = index_memory_add(&i->memory, &entries[j], e);
	if (f->db)
		i->db_packs += (uint32_t)mark_count;
	for (size_t j = 0; !rc && j < mark_count; j++) {
		i->packs[marks[j].number]->chunks = marks[j].chunks;
		i->packs[marks[j].number]->held = true;
	}
	pthread_rwlock_unlock(&i->lock);
	buf_clear(&f->entries);
	buf_clear(&f->marks);
	return rc;
}

/* Gathers one pack, or tells why not. */
static enum err_code gather(struct filler *f, struct known *known, struct err *e)
{
	size_t before = f->entries.len;
	struct index_mark mark = { .number = f->number, .pack = known->pack };
	enum err_code rc = read_lists(f, &known->pack, e);

	if (rc == ERR_NO_MEMORY || rc == ERR_CANCELLED || rc == ERR_LIMIT)
		return rc;
	if (rc) {
		f->entries.len = before;
		if (!known->told)
			tell(f->index, "the index goes without one pack: ", e->text);
		known->told = true;
		return ERR_OK;
	}
	mark.chunks = (uint32_t)((f->entries.len - before) / sizeof(struct index_entry));
	return buf_append(&f->marks, span_of(&mark, sizeof mark), e);
}

enum err_code index_fill(struct index *i, struct index_db *db, const uint32_t *numbers, uint32_t count, struct err *e)
{
	struct filler f = {
		.index = i, .db = db, .entries = BUF_WITH_MAX(PACK_BYTES_MAX * 2), .marks = BUF_WITH_MAX(PACK_BYTES_MAX)
	};
	enum err_code rc = ERR_OK;

	for (uint32_t j = 0; !rc && j < count; j++) {
		f.number = numbers[j];
		rc = gather(&f, i->packs[f.number], e);
		if (!rc && f.entries.len >= UNIT_ENTRIES * sizeof(struct index_entry))
			rc = flush(&f, e);
	}
	if (!rc)
		rc = flush(&f, e);
	buf_release(&f.entries);
	buf_release(&f.marks);
	return rc;
}
