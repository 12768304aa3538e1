/*
 * The writer keeps what it must know at the end (block entries, sealed id lists) and lets blocks go to the store's
 * draft as they come: large ones directly, small ones gathered.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pack/pack_internal.h"

#define GATHER_BYTES (256 * KIB)
#define HINT_BYTES   (4 * MIB)
#define WRITER_SEALS 3

/* A seal of another pack, whose blocks are carried into this one. */
struct carried_seal {
	struct seal_id id;
	enum scope scope;
	uint32_t epoch;
	size_t wrapped_bytes;
	uint8_t wrapped[SEAL_WRAPPED_MAX];
};

/* Invariant: the directory's seals are our own, in order of their scopes, and then those of CARRIED. */
struct pack_writer {
	const struct keys *keys;
	struct store_draft *draft;
	struct pack_name name;
	uint32_t epoch;
	struct pack_header header;
	struct seal_writer *seals[WRITER_SEALS]; /* by scope, from SCOPE_CONTENT; NULL: not ours to write */
	struct buf wrapped[WRITER_SEALS];
	uint16_t own_seals;
	struct buf carried;  /* struct carried_seal each */
	struct buf blocks;   /* struct block_info each */
	struct buf lists;    /* sealed id lists, one after the other */
	struct buf gathered; /* not yet given to the draft */
	uint64_t offset;     /* header and blocks so far */
	uint64_t written;    /* given to the draft */
	uint64_t hinted;
	bool broken;
};

/* ---- output ---- */

static enum err_code draft_write(struct pack_writer *w, struct span bytes, struct err *e)
{
	enum err_code rc;

	if (!bytes.len)
		return ERR_OK;
	rc = store_draft_write(w->draft, bytes, e);
	if (rc)
		return rc;
	w->written += bytes.len;
	if (w->written - w->hinted >= HINT_BYTES) {
		store_draft_hint(w->draft);
		w->hinted = w->written;
	}
	return ERR_OK;
}

static enum err_code flush(struct pack_writer *w, struct err *e)
{
	enum err_code rc = draft_write(w, buf_span(&w->gathered), e);

	buf_clear(&w->gathered);
	return rc;
}

static enum err_code put(struct pack_writer *w, struct span bytes, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (w->gathered.len + bytes.len > GATHER_BYTES)
		rc = flush(w, e);
	if (rc)
		return rc;
	return bytes.len >= GATHER_BYTES ? draft_write(w, bytes, e) : buf_append(&w->gathered, bytes, e);
}

/* ---- open ---- */

static enum err_code open_seals(struct pack_writer *w, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (int i = 0; !rc && i < WRITER_SEALS; i++) {
		enum scope scope = (enum scope)(SCOPE_CONTENT + i);

		if (scope != SCOPE_STRUCT && !keys_read_names(w->keys))
			continue;
		w->wrapped[i].max = SEAL_WRAPPED_MAX;
		rc = seal_writer_open(w->keys, scope, &w->seals[i], &w->wrapped[i], e);
		w->own_seals++;
	}
	return rc;
}

enum err_code pack_writer_open(struct store *store, const struct keys *k, uint64_t session, struct pack_writer **out,
                               struct err *e)
{
	struct pack_writer *w = mem_zalloc(1, sizeof *w);
	enum err_code rc;

	if (!w)
		return err_no_memory(e, sizeof *w);
	w->keys = k;
	w->name.session = session;
	crypto_random(w->name.random, sizeof w->name.random);
	w->epoch = keys_epoch(k);
	w->header = pack_header_encode(w->epoch, keys_repo(k), &w->name);
	w->carried.max = PACK_SEALS_MAX * sizeof(struct carried_seal);
	w->blocks.max = PACK_BLOCKS_MAX * sizeof(struct block_info);
	w->lists.max = PACK_BYTES_MAX;
	w->gathered.max = GATHER_BYTES;
	w->offset = PACK_HEADER_BYTES;
	rc = open_seals(w, e);
	if (!rc)
		rc = store_draft_open(store, &w->draft, e);
	if (!rc)
		rc = put(w, span_of(w->header.bytes, PACK_HEADER_BYTES), e);
	if (rc) {
		pack_writer_free(&w);
		return err_note(e, "while starting a pack");
	}
	*out = w;
	return ERR_OK;
}

void pack_writer_free(struct pack_writer **w)
{
	if (!*w)
		return;
	store_draft_free(&(*w)->draft);
	for (int i = 0; i < WRITER_SEALS; i++) {
		seal_writer_free(&(*w)->seals[i]);
		buf_release(&(*w)->wrapped[i]);
	}
	buf_release(&(*w)->carried);
	buf_release(&(*w)->blocks);
	buf_release(&(*w)->lists);
	buf_release(&(*w)->gathered);
	mem_free(*w);
	*w = NULL;
}

struct seal_writer *pack_writer_seal(struct pack_writer *w, enum block_class class)
{
	return w->seals[block_class_scope(class) - SCOPE_CONTENT];
}

/* ---- adding ---- */

uint32_t pack_writer_blocks(const struct pack_writer *w)
{
	return (uint32_t)(w->blocks.len / sizeof(struct block_info));
}

uint64_t pack_writer_bytes(const struct pack_writer *w)
{
	return w->offset + w->lists.len;
}

static uint32_t seal_count(const struct pack_writer *w)
{
	return (uint32_t)(w->own_seals + w->carried.len / sizeof(struct carried_seal));
}

static size_t directory_bytes(uint32_t blocks, uint32_t seals)
{
	return PACK_DIRECTORY_FIXED_BYTES + seals * (size_t)(PACK_SEAL_FIXED_BYTES + SEAL_WRAPPED_MAX) +
	       blocks * (size_t)PACK_BLOCK_ENTRY_BYTES + BOX_OVERHEAD;
}

/* For one block more, which may bring a seal. */
static enum err_code check_room(const struct pack_writer *w, const struct block_info *info, bool brings_seal,
                                struct err *e)
{
	uint32_t blocks = pack_writer_blocks(w) + 1, seals = seal_count(w) + brings_seal;
	uint64_t bytes =
	        pack_writer_bytes(w) + info->sealed_bytes + info->chunk_count * (uint64_t)ID_BYTES + BOX_OVERHEAD;

	bytes += 2 * (uint64_t)directory_bytes(blocks, seals) + PACK_BYTES_MIN;
	if (blocks > PACK_BLOCKS_MAX || seals > PACK_SEALS_MAX || padme(bytes, PACK_BYTES_MIN) > PACK_BYTES_MAX)
		return err_set(e, ERR_LIMIT,
		               "the pack is full with %" PRIu32 " blocks of %" PRIu32 " seals and %" PRIu64 " bytes",
		               blocks - 1, seal_count(w), pack_writer_bytes(w));
	return ERR_OK;
}

static enum err_code seal_list(struct pack_writer *w, const struct block_info *info, const struct chunk_id *ids,
                               uint32_t block, struct err *e)
{
	struct pack_ad ad = pack_ad(&w->header, PACK_PART_LIST, block);

	return box_seal(w->keys, BOX_TABLE, w->epoch, span_of(ad.bytes, sizeof ad.bytes),
	                span_of(ids, info->chunk_count * sizeof *ids), &w->lists, e);
}

/* Appends a block whose ENTRY has its seal; room was made sure of. */
static enum err_code add_block(struct pack_writer *w, struct block_info entry, struct span sealed,
                               const struct chunk_id *ids, uint32_t *block, struct err *e)
{
	uint32_t number = pack_writer_blocks(w);
	enum err_code rc;

	entry.offset = w->offset;
	entry.list_offset = w->lists.len; /* from the first list on; finish moves it behind the blocks */
	rc = seal_list(w, &entry, ids, number, e);
	if (!rc) {
		entry.list_bytes = (uint32_t)(w->lists.len - entry.list_offset);
		rc = buf_append(&w->blocks, span_of(&entry, sizeof entry), e);
	}
	if (!rc)
		rc = put(w, sealed, e);
	if (rc) {
		w->broken = true;
		return err_note(e, "while adding a block to a pack");
	}
	w->offset += sealed.len;
	*block = number;
	return ERR_OK;
}

static enum err_code check_whole(const struct pack_writer *w, struct err *e)
{
	return w->broken ? err_set(e, ERR_STATE, "an earlier write to this pack failed") : ERR_OK;
}

static uint16_t own_seal(const struct pack_writer *w, enum scope scope)
{
	uint16_t number = 0;

	for (int i = 0; i < (int)scope - SCOPE_CONTENT; i++)
		number += w->seals[i] != NULL;
	return number;
}

enum err_code pack_writer_add(struct pack_writer *w, const struct block_info *info, struct span sealed,
                              const struct chunk_id *ids, uint32_t *block, struct err *e)
{
	struct block_info entry = *info;
	enum err_code rc = check_whole(w, e);

	assert(sealed.len == info->sealed_bytes && info->chunk_count > 0 && pack_writer_seal(w, info->class));
	if (!rc)
		rc = check_room(w, info, false, e);
	if (rc)
		return rc;
	entry.seal = own_seal(w, block_class_scope(info->class));
	return add_block(w, entry, sealed, ids, block, e);
}

/* ---- carrying ---- */

/* The number of a seal among CARRIED, or how many there are. The newest first: blocks come pack by pack. */
static size_t find_carried(const struct pack_writer *w, const struct seal_id *id)
{
	const struct carried_seal *have = (const struct carried_seal *)(const void *)w->carried.ptr;
	size_t count = w->carried.len / sizeof *have;

	for (size_t i = count; i-- > 0;)
		if (!memcmp(&have[i].id, id, sizeof *id))
			return i;
	return count;
}

static enum err_code take_seal(struct pack_writer *w, const struct pack_seal *from, struct err *e)
{
	struct carried_seal c = {
		.id = from->id, .scope = from->scope, .epoch = from->epoch, .wrapped_bytes = from->wrapped.len
	};

	memcpy(c.wrapped, from->wrapped.ptr, from->wrapped.len);
	return buf_append(&w->carried, span_of(&c, sizeof c), e);
}

enum err_code pack_writer_carry(struct pack_writer *w, const struct pack *from, uint32_t block, struct span sealed,
                                const struct chunk_id *ids, uint32_t *number, struct err *e)
{
	const struct block_info *info = pack_block(from, block);
	const struct pack_seal *seal = &from->directory.seals[info->seal];
	size_t place = find_carried(w, &seal->id);
	bool brings_seal = place == w->carried.len / sizeof(struct carried_seal);
	struct block_info entry = *info;
	uint8_t hash[BLOCK_HASH_BYTES];
	enum err_code rc = check_whole(w, e);

	if (!rc)
		rc = check_room(w, info, brings_seal, e);
	if (rc)
		return rc;
	crypto_digest(sealed, hash, sizeof hash);
	if (sealed.len != info->sealed_bytes || memcmp(hash, info->hash, sizeof hash) != 0)
		return err_set(e, ERR_CORRUPT,
		               "block %" PRIu32 " of %s does not have the hash that the directory gives", block,
		               from->path);
	if (brings_seal)
		rc = take_seal(w, seal, e);
	if (rc)
		return rc;
	entry.seal = (uint16_t)(w->own_seals + place);
	return add_block(w, entry, sealed, ids, number, e);
}

/* ---- finishing ---- */

static void list_seals(const struct pack_writer *w, struct pack_seal *out)
{
	const struct carried_seal *carried = (const struct carried_seal *)(const void *)w->carried.ptr;

	for (int i = 0; i < WRITER_SEALS; i++)
		if (w->seals[i])
			*out++ = (struct pack_seal){ seal_writer_id(w->seals[i]), (enum scope)(SCOPE_CONTENT + i),
				                     w->epoch, buf_span(&w->wrapped[i]) };
	for (size_t i = 0; i < w->carried.len / sizeof *carried; i++)
		*out++ = (struct pack_seal){ carried[i].id, carried[i].scope, carried[i].epoch,
			                     span_of(carried[i].wrapped, carried[i].wrapped_bytes) };
}

/* Block entries as the directory has them, with the lists' places behind the last block. */
static enum err_code encode_directory(struct pack_writer *w, struct buf *plain, struct err *e)
{
	struct pack_directory d = { .seals = mem_zalloc(seal_count(w), sizeof *d.seals),
		                    .seal_count = seal_count(w),
		                    .blocks = (struct block_info *)(void *)w->blocks.ptr,
		                    .block_count = pack_writer_blocks(w) };
	enum err_code rc;

	if (!d.seals)
		return err_no_memory(e, d.seal_count * sizeof *d.seals);
	list_seals(w, d.seals);
	for (uint32_t i = 0; i < d.block_count; i++)
		d.blocks[i].list_offset += w->offset;
	rc = pack_directory_encode(&d, plain, e);
	mem_free(d.seals);
	return rc;
}

/* Seals the directory; it is decoded first, so that what could not be read is not written. */
static enum err_code seal_directory(struct pack_writer *w, struct buf *sealed, struct err *e)
{
	struct buf plain = BUF_WITH_MAX(PACK_DIRECTORY_BYTES_MAX);
	struct pack_directory d = { 0 };
	struct pack_ad ad = pack_ad(&w->header, PACK_PART_DIRECTORY, 0);
	enum err_code rc = encode_directory(w, &plain, e);

	if (!rc)
		rc = pack_directory_decode(buf_span(&plain), w->offset + w->lists.len, &d, e);
	if (!rc)
		rc = box_seal(w->keys, BOX_TABLE, w->epoch, span_of(ad.bytes, sizeof ad.bytes), buf_span(&plain),
		              sealed, e);
	pack_directory_release(&d);
	buf_release(&plain);
	return rc;
}

static enum err_code seal_footer(struct pack_writer *w, const struct pack_footer *f, struct buf *stored, struct err *e)
{
	struct pack_footer_clear clear = pack_footer_clear_encode(w->epoch);
	struct pack_ad ad = pack_ad(&w->header, PACK_PART_FOOTER, 0);
	struct buf plain = BUF_EMPTY, bound = BUF_EMPTY;
	enum err_code rc = pack_footer_encode(f, &plain, e);

	if (!rc)
		rc = buf_append(&bound, span_of(ad.bytes, sizeof ad.bytes), e);
	if (!rc)
		rc = buf_append(&bound, span_of(clear.bytes, sizeof clear.bytes), e);
	if (!rc)
		rc = buf_append(stored, span_of(clear.bytes, sizeof clear.bytes), e);
	if (!rc)
		rc = box_seal(w->keys, BOX_TABLE, w->epoch, buf_span(&bound), buf_span(&plain), stored, e);
	buf_release(&plain);
	buf_release(&bound);
	return rc;
}

static enum err_code put_zeros(struct pack_writer *w, uint64_t count, struct err *e)
{
	static const uint8_t zeros[16 * KIB];
	enum err_code rc = ERR_OK;

	while (!rc && count) {
		size_t n = num_min((size_t)count, sizeof zeros);

		rc = put(w, span_of(zeros, n), e);
		count -= n;
	}
	return rc;
}

/* Everything behind the blocks. */
static enum err_code put_rest(struct pack_writer *w, struct span directory, struct pack_added *out, struct err *e)
{
	uint64_t lists_end = w->offset + w->lists.len;
	uint64_t least = lists_end + 2 * (directory.len + PACK_FOOTER_BYTES) + PACK_GAP_MIN;
	struct pack_footer f = { .pack_bytes = padme(least, PACK_BYTES_MIN),
		                 .first_offset = lists_end,
		                 .directory_bytes = (uint32_t)directory.len };
	struct buf footer = BUF_WITH_MAX(PACK_FOOTER_BYTES);
	enum err_code rc;

	f.second_offset = f.pack_bytes - PACK_FOOTER_BYTES - directory.len;
	rc = seal_footer(w, &f, &footer, e);
	if (!rc)
		rc = put(w, buf_span(&w->lists), e);
	if (!rc)
		rc = put(w, directory, e);
	if (!rc)
		rc = put(w, buf_span(&footer), e);
	if (!rc)
		rc = put_zeros(w, f.pack_bytes - least + PACK_GAP_MIN, e);
	if (!rc)
		rc = put(w, directory, e);
	if (!rc)
		rc = put(w, buf_span(&footer), e);
	if (!rc)
		rc = flush(w, e);
	buf_release(&footer);
	out->bytes = f.pack_bytes;
	return rc;
}

enum err_code pack_writer_finish(struct pack_writer **w, struct pack_added *out, struct err *e)
{
	struct pack_added made = { .name = (*w)->name };
	struct buf directory = BUF_WITH_MAX(PACK_DIRECTORY_BYTES_MAX + BOX_OVERHEAD);
	enum err_code rc = ERR_OK;

	if ((*w)->broken || !pack_writer_blocks(*w))
		rc = err_set(e, ERR_STATE, "a pack without blocks, or with a failed write, cannot be finished");
	if (!rc)
		rc = seal_directory(*w, &directory, e);
	if (!rc)
		rc = pack_header_hash(&(*w)->header, buf_span(&directory), made.header_hash, e);
	if (!rc)
		rc = put_rest(*w, buf_span(&directory), &made, e);
	if (!rc) {
		assert((*w)->written == made.bytes);
		rc = store_draft_commit(&(*w)->draft, pack_path(&made.name).text, e);
	}
	buf_release(&directory);
	pack_writer_free(w);
	if (rc)
		return err_note(e, "while finishing a pack");
	*out = made;
	return ERR_OK;
}
