#include "engine/work/writer.h"

#include <assert.h>

#include "base/idmap.h"
#include "base/mem.h"

#define SEAL_JOBS 4
#define PUT_BATCH 256

/* A block on its way: filled by the owner, sealed by the pool, written by the owner, in order. */
struct seal_job {
	struct pool_job job;
	struct block_draft draft;
	struct block_codec *codec; /* of this job: no two jobs share one */
	struct seal_writer *seal;
	uint64_t counter;
	struct repo_id repo;
	struct block_info info;
	struct buf sealed;
	enum err_code rc;
	struct err e;
};

/* A pack while it is filled and finished. */
struct pack_build {
	struct pool_job job; /* finishing: makes it durable */
	struct pack_writer *writer;
	struct idmap pending; /* ids put for this pack, until the index has them */
	struct buf ids;       /* struct chunk_id, in pack order */
	struct buf per_block; /* uint32_t */
	struct pack_added added;
	bool finishing;
	enum err_code rc;
	struct err e;
};

/*
 * Invariants
 * 1. jobs[first .. first+used) are in flight, oldest first; all belong to builds[current].
 * 2. builds[!current] is either empty or finishing.
 * 3. an id is in pending of a build from the moment it was put until index_add_own succeeded.
 */
struct writer {
	struct repo *repo;
	struct pool *pool;
	bool dry;
	uint64_t session; /* 0: none open */
	struct block_draft drafts[CLASS_END];
	struct seal_job jobs[SEAL_JOBS];
	size_t first, used;
	struct pack_build builds[2];
	unsigned current;
	struct buf added;         /* struct pack_added: finished since the last commit */
	struct buf against;       /* a bit per ledger ordinal */
	struct buf ordinals;      /* uint32_t, rising: made from AGAINST */
	const struct idmap *only; /* writer_keep_only; NULL: everything */
	struct writer_count count;
	uint64_t uncommitted;
	bool dirty;
};

static void run_seal(struct pool_job *job)
{
	struct seal_job *j = (struct seal_job *)(void *)job;

	buf_clear(&j->sealed);
	j->rc = block_seal(j->codec, &j->draft, j->seal, j->counter, j->repo, &j->info, &j->sealed, &j->e);
}

static void run_finish(struct pool_job *job)
{
	struct pack_build *b = (struct pack_build *)(void *)job;

	b->rc = pack_writer_finish(&b->writer, &b->added, &b->e);
}

enum err_code writer_open(struct repo *r, struct pool *pool, int level, bool dry, struct writer **out, struct err *e)
{
	struct writer *w = mem_zalloc(1, sizeof *w);
	enum err_code rc = ERR_OK;

	if (!w)
		return err_no_memory(e, sizeof *w);
	w->repo = r;
	w->pool = pool;
	w->dry = dry;
	for (int c = 1; c < CLASS_END; c++)
		block_draft_init(&w->drafts[c], (enum block_class)c);
	for (size_t i = 0; !rc && i < SEAL_JOBS; i++) {
		w->jobs[i].job.run = run_seal;
		w->jobs[i].repo = keys_repo(r->keys);
		w->jobs[i].sealed = BUF_WITH_MAX(2 * BLOCK_RAW_MAX);
		block_draft_init(&w->jobs[i].draft, CLASS_ITEM);
		if (!dry)
			rc = block_codec_open(level, &w->jobs[i].codec, e);
	}
	for (size_t i = 0; i < 2; i++) {
		w->builds[i].job.run = run_finish;
		w->builds[i].ids.max = w->builds[i].per_block.max = 256 * MIB;
	}
	if (rc) {
		writer_free(&w);
		return rc;
	}
	*out = w;
	return ERR_OK;
}

void writer_free(struct writer **wp)
{
	struct writer *w = *wp;

	if (!w)
		return;
	for (; w->used; w->used--, w->first = (w->first + 1) % SEAL_JOBS)
		pool_wait(w->pool, &w->jobs[w->first].job);
	for (size_t i = 0; i < 2; i++) {
		if (w->builds[i].finishing)
			pool_wait(w->pool, &w->builds[i].job);
		pack_writer_free(&w->builds[i].writer);
		idmap_release(&w->builds[i].pending);
		buf_release(&w->builds[i].ids);
		buf_release(&w->builds[i].per_block);
	}
	for (size_t i = 0; i < SEAL_JOBS; i++) {
		block_draft_release(&w->jobs[i].draft);
		block_codec_free(&w->jobs[i].codec);
		buf_release(&w->jobs[i].sealed);
	}
	for (int c = 1; c < CLASS_END; c++)
		block_draft_release(&w->drafts[c]);
	/* The index still takes these for ours; a later run would lean on packs that no commit will ever name. */
	if (w->added.len)
		repo_drop_index(w->repo);
	buf_release(&w->added);
	buf_release(&w->against);
	buf_release(&w->ordinals);
	mem_free(w);
	*wp = NULL;
}

/* ---- packs ---- */

static enum err_code need_pack(struct writer *w, struct err *e)
{
	struct pack_build *b = &w->builds[w->current];
	enum err_code rc = ERR_OK;

	if (b->writer)
		return ERR_OK;
	if (!w->session)
		rc = ledger_open_session(w->repo->ledger, &w->session, e);
	if (!rc)
		rc = pack_writer_open(w->repo->store, w->repo->keys, w->session, &b->writer, e);
	return rc ? rc : pack_writer_set_parity(b->writer, ledger_parity_percent(w->repo->ledger), e);
}

/* A pack became durable: the next commit names it, and the index may give its places to this run. */
static enum err_code settle(struct writer *w, struct pack_build *b, struct err *e)
{
	enum err_code rc;

	if (!b->finishing)
		return ERR_OK;
	pool_wait(w->pool, &b->job);
	b->finishing = false;
	if (b->rc) {
		*e = b->e;
		return err_note(e, "while writing a pack");
	}
	rc = buf_append(&w->added, span_of(&b->added, sizeof b->added), e);
	if (!rc)
		rc = index_add_own(w->repo->index, &b->added, (const uint32_t *)(const void *)b->per_block.ptr,
		                   (uint32_t)(b->per_block.len / sizeof(uint32_t)),
		                   (const struct chunk_id *)(const void *)b->ids.ptr, e);
	if (rc)
		return rc;
	w->count.bytes_stored += b->added.bytes;
	w->uncommitted += b->added.bytes;
	idmap_clear(&b->pending);
	buf_clear(&b->ids);
	buf_clear(&b->per_block);
	return ERR_OK;
}

/* Writes the oldest block in flight. */
static enum err_code write_oldest(struct writer *w, struct err *e)
{
	struct pack_build *b = &w->builds[w->current];
	struct seal_job *j = &w->jobs[w->first];
	uint32_t number, chunks = block_draft_count(&j->draft);
	enum err_code rc;

	pool_wait(w->pool, &j->job);
	w->first = (w->first + 1) % SEAL_JOBS;
	w->used--;
	rc = j->rc;
	if (rc == ERR_CORRUPT) {
		/* What was sealed did not open again: memory or processor are in doubt. Once more, then give up. */
		j->counter = seal_writer_next(j->seal);
		run_seal(&j->job);
		rc = j->rc;
	}
	if (rc) {
		*e = j->e;
		return err_note(e, "while sealing a block");
	}
	rc = pack_writer_add(b->writer, &j->info, buf_span(&j->sealed),
	                     (const struct chunk_id *)(const void *)j->draft.ids.ptr, &number, e);
	if (!rc)
		rc = buf_append(&b->ids, buf_span(&j->draft.ids), e);
	if (!rc)
		rc = buf_append(&b->per_block, span_of(&chunks, sizeof chunks), e);
	block_draft_clear(&j->draft);
	return rc;
}

static enum err_code drain(struct writer *w, struct err *e)
{
	enum err_code rc = ERR_OK;

	while (!rc && w->used)
		rc = write_oldest(w, e);
	return rc;
}

/* What still lies in the class buffers goes to the new current pack: its ids are pending there. */
static enum err_code carry_over(struct writer *w, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (int c = 1; c < CLASS_END; c++)
		for (size_t at = 0; !rc && at < w->drafts[c].ids.len; at += sizeof(struct chunk_id))
			rc = idmap_put(&w->builds[w->current].pending, w->drafts[c].ids.ptr + at, 0, e);
	return rc;
}

/* Ends the current pack; another thread makes it durable while the next one is filled. */
static enum err_code end_pack(struct writer *w, struct err *e)
{
	struct pack_build *b = &w->builds[w->current], *other = &w->builds[!w->current];
	enum err_code rc = drain(w, e);

	/* What was to be carried into it was damaged. */
	if (!rc && b->writer && !pack_writer_blocks(b->writer))
		pack_writer_free(&b->writer);
	if (rc || !b->writer)
		return rc;
	rc = settle(w, other, e);
	if (rc)
		return rc;
	b->finishing = true;
	pool_submit(w->pool, &b->job);
	w->current = !w->current;
	return carry_over(w, e);
}

/* Blocks in flight still have to fit. */
static bool pack_is_full(const struct pack_writer *w)
{
	return pack_writer_bytes(w) >= PACK_BYTES_TARGET || pack_writer_blocks(w) >= PACK_BLOCKS_MAX - SEAL_JOBS;
}

/* ---- blocks ---- */

/* Hands the class buffer over to the pool. */
static enum err_code submit(struct writer *w, enum block_class class, struct err *e)
{
	struct block_draft *d = &w->drafts[class], swap;
	struct seal_job *j;
	enum err_code rc = ERR_OK;

	if (block_draft_count(d) == 0)
		return ERR_OK;
	if (w->builds[w->current].writer && pack_is_full(w->builds[w->current].writer))
		rc = end_pack(w, e);
	if (!rc && w->used == SEAL_JOBS)
		rc = write_oldest(w, e);
	if (!rc)
		rc = need_pack(w, e);
	if (rc)
		return rc;
	j = &w->jobs[(w->first + w->used) % SEAL_JOBS];
	swap = j->draft;
	j->draft = *d;
	*d = swap;
	block_draft_clear(d);
	d->class = class;
	j->seal = pack_writer_seal(w->builds[w->current].writer, class);
	j->counter = seal_writer_next(j->seal);
	w->used++;
	pool_submit(w->pool, &j->job);
	return ERR_OK;
}

/* ERR_LIMIT: the current pack has no room for it. */
static enum err_code carry_into(struct writer *w, const struct pack *from, uint32_t block, struct span sealed,
                                const struct chunk_id *ids, struct err *e)
{
	struct pack_build *b = &w->builds[w->current];
	uint32_t number, chunks = pack_block(from, block)->chunk_count;
	enum err_code rc = buf_reserve(&b->ids, chunks * sizeof *ids, e);

	if (!rc)
		rc = buf_reserve(&b->per_block, sizeof chunks, e);
	if (!rc)
		rc = pack_writer_carry(b->writer, from, block, sealed, ids, &number, e);
	if (!rc)
		rc = buf_append(&b->ids, span_of(ids, chunks * sizeof *ids), e);
	if (!rc)
		rc = buf_append(&b->per_block, span_of(&chunks, sizeof chunks), e);
	return rc;
}

enum err_code writer_carry(struct writer *w, const struct pack *from, uint32_t block, struct span sealed,
                           const struct chunk_id *ids, struct err *e)
{
	enum err_code rc = ERR_OK;

	assert(!w->dry);
	if (w->builds[w->current].writer && pack_is_full(w->builds[w->current].writer))
		rc = end_pack(w, e);
	if (!rc)
		rc = need_pack(w, e);
	if (!rc)
		rc = carry_into(w, from, block, sealed, ids, e);
	if (rc == ERR_LIMIT) {
		rc = end_pack(w, e);
		if (!rc)
			rc = need_pack(w, e);
		if (!rc)
			rc = carry_into(w, from, block, sealed, ids, e);
	}
	if (rc)
		return rc;
	w->count.blocks_carried++;
	w->dirty = true;
	return ERR_OK;
}

/* ---- chunks ---- */

/* Pending already, or of no interest: nothing is to be done for it. */
static bool is_pending(const struct writer *w, const struct chunk_id *id)
{
	uint64_t ignored;

	if (w->only && !idmap_get(w->only, id->bytes, &ignored))
		return true;
	return idmap_get(&w->builds[w->current].pending, id->bytes, &ignored) ||
	       idmap_get(&w->builds[!w->current].pending, id->bytes, &ignored);
}

static enum err_code note_against(struct writer *w, const struct place *place, struct err *e)
{
	uint32_t ordinal;
	enum err_code rc;
	uint8_t *more;

	if (w->only || !index_pack_ordinal(w->repo->index, place->pack, &ordinal))
		return ERR_OK; /* our own pack: the commit adds it */
	if (ordinal / 8 >= w->against.len) {
		size_t grow = ordinal / 8 + 1 - w->against.len;

		rc = buf_extend(&w->against, grow, &more, e);
		if (rc)
			return rc;
		memset(more, 0, grow);
	}
	w->against.ptr[ordinal / 8] |= (uint8_t)(1 << ordinal % 8);
	return ERR_OK;
}

static enum err_code keep_new(struct writer *w, enum block_class class, const struct chunk_id *id, struct span plain,
                              struct err *e)
{
	struct block_draft *d = &w->drafts[class];
	enum err_code rc = ERR_OK;

	w->count.chunks_new++;
	w->count.bytes_new += plain.len;
	w->dirty = true;
	if (w->dry)
		return idmap_put(&w->builds[w->current].pending, id->bytes, 0, e);
	if (block_draft_count(d) &&
	    (d->bytes.len + plain.len > block_class_target(class) + block_class_target(class) / 8 ||
	     block_draft_count(d) == BLOCK_CHUNKS_MAX))
		rc = submit(w, class, e);
	/* After submit: it may have ended the pack that the id would have gone to. */
	if (!rc)
		rc = idmap_put(&w->builds[w->current].pending, id->bytes, 0, e);
	if (!rc)
		rc = block_draft_add(d, id, plain, e);
	if (!rc && d->bytes.len >= block_class_target(class))
		rc = submit(w, class, e);
	return rc;
}

/*
 * May our commit lean on PLACE? It names packs by the ordinals of our own fold, and packs of our session by themselves. A
 * handle beside ours may have put others into the index meanwhile, committed or not.
 */
static bool may_lean_on(const struct writer *w, const struct place *place)
{
	const struct pack_added *pack = index_pack(w->repo->index, place->pack);
	uint32_t ordinal;

	if (!pack || !index_pack_trusted(w->repo->index, place->pack))
		return false;
	if (w->session && pack->name.session == w->session)
		return true;
	return index_pack_ordinal(w->repo->index, place->pack, &ordinal) &&
	       ordinal < ledger_pack_count(w->repo->ledger);
}

#define PLACES_LOOKED_AT 16

/*
 * PLACE is the best that the index has; when it is not ours to lean on, another may be. Who filled an untrusted pack may
 * have put another body under this id.
 */
static enum err_code choose_place(struct writer *w, const struct chunk_id *id, struct place *place, bool *found,
                                  struct err *e)
{
	struct place all[PLACES_LOOKED_AT];
	size_t count = 0;
	enum err_code rc = ERR_OK;

	if (!w->repo->first)
		*found = *found && index_pack_trusted(w->repo->index, place->pack); /* nobody else adds to our index */
	if (!*found || !w->repo->first || may_lean_on(w, place))
		return ERR_OK;
	*found = false;
	rc = index_find_all(w->repo->index, id, all, ARRAY_LEN(all), &count, e);
	for (size_t i = 0; !rc && i < count && !*found; i++)
		if (may_lean_on(w, &all[i])) {
			*place = all[i];
			*found = true;
		}
	return rc;
}

enum err_code writer_put_all(struct writer *w, const struct writer_chunk *chunks, size_t count, struct err *e)
{
	struct chunk_id ids[PUT_BATCH];
	size_t at[PUT_BATCH];
	struct place places[PUT_BATCH];
	bool found[PUT_BATCH];
	enum err_code rc = ERR_OK;

	while (!rc && count) {
		size_t batch = count < PUT_BATCH ? count : PUT_BATCH, asked = 0;

		for (size_t i = 0; i < batch; i++) {
			if (is_pending(w, &chunks[i].id)) {
				w->count.chunks_known++;
				continue;
			}
			at[asked] = i;
			ids[asked++] = chunks[i].id;
		}
		if (asked)
			rc = index_find(w->repo->index, ids, asked, places, found, e);
		for (size_t i = 0; !rc && i < asked; i++) {
			const struct writer_chunk *c = &chunks[at[i]];

			rc = choose_place(w, &c->id, &places[i], &found[i], e);
			if (rc)
				break;
			if (found[i]) {
				w->count.chunks_known++;
				rc = note_against(w, &places[i], e);
			} else if (is_pending(w, &c->id)) {
				w->count.chunks_known++; /* twice in this very batch */
			} else {
				rc = keep_new(w, c->class, &c->id, c->plain, e);
			}
		}
		chunks += batch;
		count -= batch;
	}
	return rc;
}

enum err_code writer_put(struct writer *w, enum block_class class, const struct chunk_id *id, struct span plain,
                         struct err *e)
{
	struct writer_chunk one = { class, *id, plain };

	return writer_put_all(w, &one, 1, e);
}

enum err_code writer_move(struct writer *w, enum block_class class, const struct chunk_id *id, struct span plain,
                          struct err *e)
{
	return is_pending(w, id) ? ERR_OK : keep_new(w, class, id, plain, e);
}

void writer_keep_only(struct writer *w, const struct idmap *only)
{
	w->only = only;
}

static enum err_code io_put(void *ctx, enum block_class class, struct span plain, struct chunk_id *id, struct err *e)
{
	struct writer *w = ctx;

	keys_chunk_id(w->repo->keys, block_class_scope(class), plain, id);
	return writer_put(w, class, id, plain, e);
}

/* In the class buffer, where the newest chunks lie. */
static bool in_draft(const struct block_draft *d, const struct chunk_id *id, struct span *out)
{
	const struct chunk_id *ids = (const struct chunk_id *)(const void *)d->ids.ptr;
	const uint32_t *lengths = (const uint32_t *)(const void *)d->lengths.ptr;
	uint32_t count = block_draft_count(d);
	size_t at = 0;

	for (uint32_t i = 0; i < count; at += lengths[i], i++)
		if (chunk_id_equal(&ids[i], id)) {
			*out = span_of(d->bytes.ptr + at, lengths[i]);
			return true;
		}
	return false;
}

/* What this run put can be read before it is committed: from the class buffer, or once the packs that it is in are durable. */
static enum err_code io_get(void *ctx, enum block_class class, const struct chunk_id *id, struct buf *out,
                            struct err *e)
{
	struct writer *w = ctx;
	struct chunk_io io = repo_chunk_io(w->repo);
	struct span plain;
	enum err_code rc = ERR_OK;

	if (!w->only && is_pending(w, id)) {
		if (in_draft(&w->drafts[class], id, &plain)) {
			buf_clear(out);
			return buf_append(out, plain, e);
		}
		rc = writer_flush(w, e);
	}
	return rc ? rc : io.get(io.ctx, class, id, out, e);
}

struct chunk_io writer_chunk_io(struct writer *w)
{
	return (struct chunk_io){ .ctx = w, .keys = w->repo->keys, .get = io_get, .put = io_put };
}

/* ---- commits ---- */

enum err_code writer_flush(struct writer *w, struct err *e)
{
	enum err_code rc = ERR_OK;

	if (w->dry)
		return ERR_OK;
	buf_clear(&w->ordinals);
	for (int c = 1; !rc && c < CLASS_END; c++)
		rc = submit(w, (enum block_class)c, e);
	if (!rc)
		rc = end_pack(w, e);
	if (!rc)
		rc = settle(w, &w->builds[0], e);
	if (!rc)
		rc = settle(w, &w->builds[1], e);
	for (uint32_t i = 0; !rc && i < w->against.len * 8; i++)
		if (w->against.ptr[i / 8] & (1 << i % 8))
			rc = buf_append(&w->ordinals, span_of(&i, sizeof i), e);
	return rc;
}

bool writer_dirty(const struct writer *w)
{
	return w->dirty;
}

uint64_t writer_uncommitted_bytes(const struct writer *w)
{
	return w->uncommitted;
}

void writer_commit_part(const struct writer *w, bool ending, struct commit *c)
{
	c->session = w->session;
	c->end_session = ending && w->session;
	c->added = (const struct pack_added *)(const void *)w->added.ptr;
	c->added_count = w->added.len / sizeof *c->added;
	c->against = (const uint32_t *)(const void *)w->ordinals.ptr;
	c->against_count = w->ordinals.len / sizeof *c->against;
}

void writer_committed(struct writer *w, bool session_ended)
{
	buf_clear(&w->added);
	buf_clear(&w->against);
	buf_clear(&w->ordinals);
	w->uncommitted = 0;
	w->dirty = false;
	if (session_ended)
		w->session = 0;
}

uint64_t writer_session(const struct writer *w)
{
	return w->session;
}

struct writer_count writer_count(const struct writer *w)
{
	return w->count;
}
