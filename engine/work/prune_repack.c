/*
 * Repacking. Blocks that are needed as they are move sealed, with their seals: nothing is decompressed or compressed,
 * and a keeper can do it. Blocks that are small or partly unused are opened, and what is needed in them gathers in new
 * ones. A pack is read from front to back, in large ranges.
 *
 * Trust    whoever holds a full key vouches for what lies in packs that it adds: that each chunk is what its id says.
 * So a block of a pack that was made by anybody else is opened and compared first, even if it then moves as it is. A
 * keeper makes no ids and vouches for nothing.
 */
#include "engine/work/prune.h"

#include <stdlib.h>

#include "base/mem.h"

#define GROUP_BYTES (256 * MIB) /* copied between two records */
#define RANGE_BYTES (4 * MIB)   /* read with one request */
#define LEVEL       3

/* A victim while it is copied. */
struct copying {
	struct prune *prune;
	uint32_t ordinal;
	struct mark_pack *table;
	struct pack *pack;
	bool trusted;      /* its ids need not be compared */
	struct buf ids;    /* struct chunk_id: of all blocks, one after the other */
	struct buf sealed; /* blocks [first, end) */
	uint32_t first, end;
};

/* ---- which of it ---- */

static bool made_by_full(const struct ledger *l, uint64_t session)
{
	size_t low = 0, high = ledger_session_count(l);
	const struct holder_payload *holder;
	struct session_fact s = { 0 };

	/* They rise by number. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (!ledger_session_at(l, middle, &s))
			return false;
		if (s.number == session)
			break;
		*(s.number < session ? &low : &high) = s.number < session ? middle + 1 : middle;
	}
	holder = s.number == session ? ledger_holder_find(l, &s.holder) : NULL;
	return holder && holder->role == HOLDER_FULL;
}

/* A manifest is worth moving while a snapshot of it is; one that cannot be read is not. */
static bool manifest_wanted(const struct prune *p, struct span plain)
{
	struct commit_hold hold = { 0 };
	bool wanted = false;

	if (commit_decode(plain, &hold, &(struct err){ 0 }))
		return false;
	for (size_t s = 0; s < hold.commit.snapshot_count; s++)
		for (size_t i = 0; i < ledger_snapshot_count(p->repo->ledger); i++) {
			const struct snapshot_fact *fact = ledger_snapshot(p->repo->ledger, i);

			if (!memcmp(&fact->entry.id, &hold.commit.snapshots[s].id, sizeof fact->entry.id))
				wanted |= fact->state == SNAPSHOT_LIVE || fact->state == SNAPSHOT_TRASH;
		}
	commit_release(&hold);
	return wanted;
}

/* Something in block B is needed and not copied yet. */
static bool has_work(const struct mark_pack *t, uint32_t b)
{
	for (uint32_t i = t->starts[b]; i < t->starts[b + 1]; i++)
		if (!mark_bit(t->moved, i) && (t->classes[b] == CLASS_MANIFEST || mark_bit(t->live, i)))
			return true;
	return false;
}

static bool is_begun(const struct mark_pack *t, uint32_t b)
{
	for (uint32_t i = t->starts[b]; i < t->starts[b + 1]; i++)
		if (mark_bit(t->moved, i))
			return true;
	return false;
}

/* ---- reading ---- */

/* Manifests are a second line of defence: one that cannot be read holds up nobody, and is left behind. */
static enum err_code take_ids(void *ctx, uint32_t block, const struct chunk_id *ids, uint32_t count,
                              const struct err *what, struct err *e)
{
	struct copying *c = ctx;

	if (!ids && c->table->classes[block] != CLASS_MANIFEST && has_work(c->table, block)) {
		*e = *what;
		return what->code;
	}
	for (uint32_t i = c->table->starts[block]; !ids && i < c->table->starts[block + 1]; i++)
		mark_set(c->table->moved, i);
	if (ids)
		memcpy((struct chunk_id *)(void *)c->ids.ptr + c->table->starts[block], ids, count * sizeof *ids);
	return ERR_OK;
}

static enum err_code open_victim(struct copying *c, struct err *e)
{
	struct repo *r = c->prune->repo;
	const struct pack_fact *fact = prune_fact(c->prune, c->ordinal);
	size_t bytes = c->table->starts[c->table->block_count] * sizeof(struct chunk_id);
	uint8_t *at;
	enum err_code rc = pack_open(r->store, r->keys, &fact->pack, &c->pack, NULL, e);

	c->trusted = !keys_read_names(r->keys) || made_by_full(r->ledger, fact->pack.name.session);
	buf_clear(&c->ids);
	if (!rc)
		rc = buf_extend(&c->ids, bytes, &at, e);
	if (rc)
		return rc;
	memset(at, 0, bytes);
	return pack_each_ids(c->pack, r->codec, take_ids, c, e);
}

/* Gives the sealed bytes of block B; reads on as far as there is work without a gap. */
static enum err_code sealed_block(struct copying *c, uint32_t b, struct span *out, struct err *e)
{
	const struct block_info *info = pack_block(c->pack, b), *first;
	enum err_code rc = ERR_OK;

	if (b < c->first || b >= c->end) {
		uint64_t bytes = 0;
		uint32_t end = b;

		while (end < c->table->block_count && (end == b || has_work(c->table, end)) &&
		       (end == b || bytes + c->table->sealed[end] <= RANGE_BYTES))
			bytes += c->table->sealed[end++];
		buf_clear(&c->sealed);
		c->first = c->end = 0;
		rc = pack_read_sealed(c->pack, b, end - b, &c->sealed, e);
		if (rc)
			return rc;
		c->first = b;
		c->end = end;
	}
	first = pack_block(c->pack, c->first);
	*out = span_first(span_skip(buf_span(&c->sealed), (size_t)(info->offset - first->offset)), info->sealed_bytes);
	return rc;
}

/* ---- copying ---- */

static enum err_code check_chunk(const struct prune *p, enum block_class class, const struct chunk_id *id,
                                 struct span plain, struct err *e)
{
	struct chunk_id found;

	if (!keys_read_names(p->repo->keys))
		return ERR_OK;
	keys_chunk_id(p->repo->keys, block_class_scope(class), plain, &found);
	return chunk_id_equal(&found, id) ? ERR_OK : err_set(e, ERR_CORRUPT, "a chunk is not what its id says");
}

/* What is needed of block B goes into new blocks. */
static enum err_code open_block(struct copying *c, uint32_t b, const struct block *block, struct err *e)
{
	struct mark_pack *t = c->table;
	enum block_class class = (enum block_class)t->classes[b];
	const struct chunk_id *ids = (const struct chunk_id *)(const void *)c->ids.ptr;
	enum err_code rc = ERR_OK;

	for (uint32_t i = t->starts[b]; !rc && i < t->starts[b + 1]; i++) {
		struct span plain = block_chunk(block, i - t->starts[b]);

		if (mark_bit(t->moved, i))
			continue;
		if (class == CLASS_MANIFEST ? !manifest_wanted(c->prune, plain) : !mark_bit(t->live, i))
			continue;
		rc = check_chunk(c->prune, class, &ids[i], plain, e);
		if (!rc)
			rc = writer_move(c->prune->writer, class, &ids[i], plain, e);
		if (!rc)
			mark_set(t->moved, i);
	}
	return rc;
}

static enum err_code carry_block(struct copying *c, uint32_t b, struct span sealed, const struct block *block,
                                 struct err *e)
{
	struct mark_pack *t = c->table;
	const struct chunk_id *ids = (const struct chunk_id *)(const void *)c->ids.ptr;
	enum err_code rc = ERR_OK;

	for (uint32_t i = t->starts[b]; !rc && !c->trusted && i < t->starts[b + 1]; i++)
		rc = check_chunk(c->prune, (enum block_class)t->classes[b], &ids[i],
		                 block_chunk(block, i - t->starts[b]), e);
	if (!rc)
		rc = writer_carry(c->prune->writer, c->pack, b, sealed, &ids[t->starts[b]], e);
	for (uint32_t i = t->starts[b]; !rc && i < t->starts[b + 1]; i++)
		mark_set(t->moved, i);
	return rc;
}

static enum err_code copy_sealed(struct copying *c, uint32_t b, struct span sealed, struct err *e)
{
	/* A part of it that is in a new block already is not copied twice. */
	bool carried = prune_fate(c->prune, c->ordinal, b) == BLOCK_CARRIED && !is_begun(c->table, b);
	struct block block = { 0 };
	enum err_code rc = ERR_OK;

	if (!carried || !c->trusted)
		rc = pack_open_sealed(c->pack, b, sealed, c->prune->repo->codec, &block, e);
	if (!rc)
		rc = carried ? carry_block(c, b, sealed, &block, e) : open_block(c, b, &block, e);
	block_release(&block);
	return rc;
}

/* A damaged block that its pack's parity gives back is copied like any other. */
static enum err_code copy_block(struct copying *c, uint32_t b, struct err *e)
{
	struct buf mended = BUF_WITH_MAX(PACK_BYTES_MAX);
	struct span sealed;
	enum err_code rc = sealed_block(c, b, &sealed, e);

	if (!rc)
		rc = copy_sealed(c, b, sealed, e);
	if ((rc == ERR_CORRUPT || rc == ERR_IO) && !pack_mend_sealed(c->pack, b, &mended, &(struct err){ 0 }))
		rc = copy_sealed(c, b, buf_span(&mended), e);
	buf_release(&mended);
	return rc == ERR_CORRUPT && c->table->classes[b] == CLASS_MANIFEST ? ERR_OK : rc;
}

static enum err_code copy_blocks(struct copying *c, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (uint32_t b = 0; !rc && b < c->table->block_count; b++) {
		if (!has_work(c->table, b))
			continue;
		rc = repo_stopped(c->prune->repo) ? repo_cancelled(e) : ERR_OK;
		if (!rc && !c->pack)
			rc = open_victim(c, e);
		if (!rc && has_work(c->table, b))
			rc = copy_block(c, b, e);
	}
	return rc;
}

/* Copies what is needed of a pack. One that cannot be read to the end stays as it is. */
static enum err_code copy_pack(struct prune *p, uint32_t ordinal, struct err *e)
{
	struct copying c = { .prune = p,
		             .ordinal = ordinal,
		             .table = &p->mark.packs[ordinal],
		             .ids = BUF_WITH_MAX(PACK_BYTES_MAX),
		             .sealed = BUF_WITH_MAX(PACK_BYTES_MAX) };
	enum err_code rc = copy_blocks(&c, e);

	/* ERR_WRONG_KEY: of a damaged id list, which our role cannot make again. */
	if (rc == ERR_CORRUPT || rc == ERR_NOT_FOUND || rc == ERR_WRONG_KEY) {
		repo_notice(p->repo, ENGINE_WARNING, "%s stays as it is: %s",
		            pack_path(&prune_fact(p, ordinal)->pack.name).text, e->text);
		p->victim[ordinal] = false;
		rc = ERR_OK;
	}
	pack_free(&c.pack);
	buf_release(&c.ids);
	buf_release(&c.sealed);
	return rc;
}

/* ---- groups ---- */

static int by_ordinal(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

/* The victims [FROM, END) of the order, which one record will condemn. */
struct group {
	uint32_t from, end;
	struct buf ordinals; /* uint32_t, rising: of those that were copied */
};

/* Copies what the mark found in the victims of G and was not copied yet; notes their ordinals. FIRST: G may end early. */
static enum err_code copy_group(struct prune *p, struct group *g, bool first, struct err *e)
{
	struct engine_progress tell = { .phase = "repacking", .items_total = p->victim_count, .what = "packs" };
	enum err_code rc = ERR_OK;

	buf_clear(&g->ordinals);
	for (uint32_t n = g->from; !rc && n < g->end; n++) {
		uint32_t i = p->order[n].ordinal;

		if (!p->victim[i] || prune_fact(p, i)->state != PACK_LIVE)
			continue;
		/* One pack at least, so that a series of short runs comes to its end. */
		if (first && n > g->from && prune_is_late(p)) {
			g->end = n;
			p->report->out_of_time = true;
			break;
		}
		tell.items_done = n + 1;
		repo_tell(p->repo, &tell);
		rc = copy_pack(p, i, e);
		if (!rc && p->victim[i])
			rc = buf_append(&g->ordinals, span_of(&i, sizeof i), e);
	}
	if (!rc && g->ordinals.len)
		qsort(g->ordinals.ptr, g->ordinals.len / sizeof(uint32_t), sizeof(uint32_t), by_ordinal);
	return rc ? rc : writer_flush(p->writer, e);
}

/* Rule 14: the copies are durable, and the record that adds them condemns the originals. */
static enum err_code record_group(struct prune *p, const struct group *g, struct err *e)
{
	struct commit c = { 0 };
	enum err_code rc;

	writer_commit_part(p->writer, g->end == p->victim_count || p->report->out_of_time, &c);
	c.against = (const uint32_t *)(const void *)g->ordinals.ptr;
	c.against_count = g->ordinals.len / sizeof(uint32_t);
	/* Only manifests that nobody wants were left, or somebody else did it. */
	if (!writer_session(p->writer))
		return c.against_count ? ledger_condemn(p->repo->ledger, p->mark.head, c.against, c.against_count,
		                                        &p->mark.head, e)
		                       : ERR_OK;
	c.session = writer_session(p->writer);
	rc = ledger_repack(p->repo->ledger, p->mark.head, &c, &p->mark.head, e);
	if (!rc)
		writer_committed(p->writer, c.end_session);
	return rc;
}

/* Another prune took ours for one that had died. No record of this session counts any more. */
static bool lost_session(struct prune *p)
{
	uint64_t session = writer_session(p->writer);

	p->fenced = session && ledger_session(p->repo->ledger, session) != SESSION_OPEN;
	return p->fenced;
}

/* Repacks the victims of G in one record. G ends where the time did. */
static enum err_code repack_group(struct prune *p, struct group *g, struct err *e)
{
	enum err_code rc = copy_group(p, g, true, e);

	if (!rc)
		rc = record_group(p, g, e);
	/* At the latest the session that we opened for the copies has moved the head. */
	for (int round = 0; rc == ERR_STATE && !lost_session(p) && round < PRUNE_ROUNDS_MAX; round++) {
		rc = mark_update(&p->mark, e);
		if (!rc)
			rc = copy_group(p, g, false, e);
		if (!rc)
			rc = record_group(p, g, e);
	}
	return rc ? rc : index_update(p->repo->index, p->repo->ledger, e);
}

static void leave_the_rest(struct prune *p, uint32_t from)
{
	for (; from < p->victim_count; from++) {
		p->report->packs_repacked--;
		p->report->bytes_repacked -= prune_fact(p, p->order[from].ordinal)->pack.bytes;
		p->report->bytes_unused_left += p->order[from].gain;
	}
}

static enum err_code repack_all(struct prune *p, struct err *e)
{
	struct group g = { 0 };
	enum err_code rc = ERR_OK;

	while (!rc && g.end < p->victim_count && (g.end == 0 || !prune_is_late(p))) {
		uint64_t gathered = 0;

		g.from = g.end;
		while (g.end < p->victim_count && gathered < GROUP_BYTES)
			gathered += mark_sum(&p->mark, p->order[g.end++].ordinal).live_bytes;
		rc = repack_group(p, &g, e);
	}
	p->report->out_of_time |= !rc && g.end < p->victim_count;
	leave_the_rest(p, rc ? g.from : g.end);
	buf_release(&g.ordinals);
	return rc;
}

enum err_code prune_repack(struct prune *p, struct err *e)
{
	unsigned cores = pool_cores();
	enum err_code rc;

	if (!p->victim_count)
		return ERR_OK;
	rc = pool_open(cores > 1 ? cores - 1 : 1, &p->pool, e);
	if (!rc)
		rc = writer_open(p->repo, p->pool, LEVEL, false, &p->writer, e);
	if (!rc)
		rc = repack_all(p, e);
	if (!p->writer)
		return rc;
	/* Whatever stopped us: nobody has to wait for our session. What it uploaded in vain is swept as any orphan. */
	if (writer_session(p->writer))
		(void)!ledger_end_session(p->repo->ledger, writer_session(p->writer), &(struct err){ 0 });
	p->report->bytes_copied = writer_count(p->writer).bytes_stored;
	return rc ? err_note(e, "while repacking") : ERR_OK;
}
