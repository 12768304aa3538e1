/*
 * Prune: expire the trash, mark, condemn what nothing needs, repack what is mostly unused, delete. Every step is whole
 * by itself and begins from what the ledger says, so a run that was killed is simply done again. Order docs/order.md,
 * rules 10 to 16. A record is decided at the head that was marked; when somebody was faster, the mark is brought up to
 * the new head, which only ever adds to it, and the decision made again.
 */
#include "engine/work/mark.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/work/writer.h"

#define CONDEMN_BATCH    65536
#define DELETE_BATCH     1024
#define ROUNDS_MAX       200
#define SMALL_PACK_BYTES (8 * MIB)
#define SMALL_PACKS_MIN  16 /* of one tier */
#define SMALL_TIERS      24 /* sizes by powers of 8, so that a byte moves a few times at most while small packs gather */
#define GROUP_BYTES      (256 * MIB) /* copied between two records */
#define LEVEL            3

struct prune {
	struct repo *repo;
	const struct prune_options *options;
	struct prune_report *report;
	struct mark mark;
	int64_t now_ms;
	bool *dead;   /* by ordinal: nothing in it is needed */
	bool *victim; /* by ordinal: to be repacked */
	uint32_t count;
	struct pool *pool;
	struct writer *writer;
};

static const struct pack_fact *fact_of(const struct prune *p, uint32_t ordinal)
{
	return ledger_pack(p->repo->ledger, ordinal);
}

static enum err_code go_on(const struct prune *p, struct err *e)
{
	return repo_stopped(p->repo) ? repo_cancelled(e) : ERR_OK;
}

/* ---- sessions and trash ---- */

static enum err_code fence_silent(struct prune *p, struct err *e)
{
	struct session_fact s;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && ledger_session_at(p->repo->ledger, i, &s); i++) {
		if (s.state != SESSION_OPEN)
			continue;
		if (p->options->silent_ms && s.last_ms > p->now_ms - p->options->silent_ms) {
			p->report->sessions_open++;
			continue;
		}
		p->report->sessions_fenced++;
		if (!p->options->dry_run)
			rc = ledger_fence(p->repo->ledger, s.number, e);
		/* It ended by itself meanwhile. */
		if (rc == ERR_STATE)
			rc = ERR_OK;
	}
	return rc;
}

static enum err_code expire(struct prune *p, struct err *e)
{
	int64_t bound = p->options->trash_ms ? p->now_ms - p->options->trash_ms : INT64_MAX;
	size_t count = 0;
	enum err_code rc = ERR_OK;

	if (!p->options->dry_run) {
		rc = ledger_expire(p->repo->ledger, bound, &count, e);
		p->report->snapshots_expired = count;
		return rc;
	}
	p->mark.trash_ms = bound;
	p->mark.without = p->options->without;
	p->mark.without_count = p->options->without_count;
	for (size_t i = 0; i < ledger_snapshot_count(p->repo->ledger); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(p->repo->ledger, i);

		p->report->snapshots_expired += fact->state == SNAPSHOT_TRASH && fact->forgotten_ms <= bound;
	}
	p->report->snapshots_expired += p->options->without_count;
	return ERR_OK;
}

/* ---- the plan ---- */

/* What a running session committed may be leaned on by its next commit: taking it away would only make that run fail.
 */
static bool is_in_use(const struct prune *p, uint32_t ordinal)
{
	uint64_t session = fact_of(p, ordinal)->pack.name.session;

	return ledger_session(p->repo->ledger, session) == SESSION_OPEN &&
	       !(p->options->dry_run && p->options->silent_ms == 0);
}

struct candidate {
	uint32_t ordinal;
	struct mark_sum sum;
	bool small;
};

/* The least needed first: they free most for each byte copied. Small ones, which free little, last and oldest first. */
static int by_gain(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	double left = (double)x->sum.live_bytes / (double)(x->sum.bytes + 1);
	double right = (double)y->sum.live_bytes / (double)(y->sum.bytes + 1);

	if (x->small != y->small)
		return x->small - y->small;
	if (!x->small && left != right)
		return left < right ? -1 : 1;
	return x->ordinal < y->ordinal ? -1 : 1;
}

static unsigned tier_of(uint64_t bytes)
{
	unsigned tier = 0;

	for (; bytes >= 8 && tier < SMALL_TIERS - 1; bytes /= 8)
		tier++;
	return tier;
}

/* Packs that are small and have enough of their like. */
static void choose_small(const struct prune *p, struct candidate *all, size_t count)
{
	size_t tiers[SMALL_TIERS] = { 0 };

	for (size_t i = 0; i < count; i++)
		if (fact_of(p, all[i].ordinal)->pack.bytes < SMALL_PACK_BYTES)
			tiers[tier_of(fact_of(p, all[i].ordinal)->pack.bytes)]++;
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes = fact_of(p, all[i].ordinal)->pack.bytes;

		all[i].small = bytes < SMALL_PACK_BYTES && tiers[tier_of(bytes)] >= SMALL_PACKS_MIN;
	}
}

static bool is_wasteful(const struct prune *p, const struct mark_sum *sum)
{
	uint64_t unused = sum->bytes - sum->live_bytes;

	return unused * 100 > sum->bytes * p->options->max_unused_percent;
}

/* Chooses victims among packs that hold something needed, up to the limit of bytes to copy. */
static void choose_victims(struct prune *p, struct candidate *all, size_t count)
{
	uint64_t copied = 0;

	choose_small(p, all, count);
	for (size_t i = 0; i < count; i++)
		if (is_wasteful(p, &all[i].sum))
			all[i].small = false;
		else if (!all[i].small)
			all[i--] = all[--count];
	if (count)
		qsort(all, count, sizeof *all, by_gain);
	for (size_t i = 0; i < count; i++) {
		if (all[i].sum.live_bytes > p->options->max_repack_bytes - copied)
			break;
		copied += all[i].sum.live_bytes;
		p->victim[all[i].ordinal] = true;
		p->report->packs_repacked++;
		p->report->bytes_repacked += fact_of(p, all[i].ordinal)->pack.bytes;
	}
	if (p->options->dry_run)
		p->report->bytes_copied = copied;
}

static void look_at_pack(struct prune *p, uint32_t ordinal, struct candidate *all, size_t *count)
{
	struct prune_report *out = p->report;
	struct mark_sum sum = mark_sum(&p->mark, ordinal);
	uint64_t bytes = fact_of(p, ordinal)->pack.bytes;

	out->packs++;
	out->bytes += bytes;
	out->chunks += sum.chunks;
	out->chunks_live += sum.live_chunks;
	if (is_in_use(p, ordinal))
		return;
	if (sum.live_chunks) {
		all[(*count)++] = (struct candidate){ .ordinal = ordinal, .sum = sum };
		return;
	}
	p->dead[ordinal] = true;
	out->packs_unused++;
	out->bytes_unused += bytes;
}

static enum err_code make_plan(struct prune *p, struct err *e)
{
	struct candidate *all;
	size_t count = 0;

	p->count = p->mark.pack_count;
	p->dead = mem_zalloc(p->count, sizeof *p->dead);
	p->victim = mem_zalloc(p->count, sizeof *p->victim);
	all = mem_zalloc(p->count, sizeof *all);
	if (!p->dead || !p->victim || !all) {
		mem_free(all);
		return err_no_memory(e, p->count * sizeof *all);
	}
	for (uint32_t i = 0; i < p->count; i++)
		if (fact_of(p, i)->state == PACK_LIVE)
			look_at_pack(p, i, all, &count);
	choose_victims(p, all, count);
	mem_free(all);
	return ERR_OK;
}

/* ---- condemning what nothing needs ---- */

/* The dead ones from *AT on that are still so at the head of the mark: at most CONDEMN_BATCH. */
static enum err_code gather_dead(const struct prune *p, uint32_t *at, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;
	uint32_t n = 0;

	buf_clear(out);
	for (; !rc && *at < p->count && n < CONDEMN_BATCH; ++*at) {
		if (!p->dead[*at] || fact_of(p, *at)->state != PACK_LIVE || mark_sum(&p->mark, *at).live_chunks)
			continue;
		rc = buf_append(out, span_of(at, sizeof *at), e);
		n++;
	}
	return rc;
}

static enum err_code condemn_dead(struct prune *p, struct err *e)
{
	struct buf ordinals = BUF_EMPTY;
	uint32_t from = 0;
	int rounds = 0;
	enum err_code rc = ERR_OK;

	while (!rc && from < p->count) {
		uint32_t next = from;

		rc = gather_dead(p, &next, &ordinals, e);
		if (!rc && ordinals.len)
			rc = ledger_condemn(p->repo->ledger, p->mark.head, (const uint32_t *)(const void *)ordinals.ptr,
			                    ordinals.len / sizeof(uint32_t), &p->mark.head, e);
		if (!rc)
			from = next;
		else if (rc == ERR_STATE && rounds++ < ROUNDS_MAX)
			rc = mark_update(&p->mark, e);
	}
	buf_release(&ordinals);
	return rc;
}

/* ---- repacking ---- */

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
static bool block_has_work(const struct mark_pack *t, uint32_t b)
{
	for (uint32_t i = t->starts[b]; i < t->starts[b + 1]; i++)
		if (!mark_bit(t->moved, i) && (t->classes[b] == CLASS_MANIFEST || mark_bit(t->live, i)))
			return true;
	return false;
}

static enum err_code copy_chunk(struct prune *p, enum block_class class, const struct chunk_id *id, struct span plain,
                                struct err *e)
{
	struct chunk_id found;

	keys_chunk_id(p->repo->keys, block_class_scope(class), plain, &found);
	if (!chunk_id_equal(&found, id))
		return err_set(e, ERR_CORRUPT, "a chunk is not what its id says");
	return writer_move(p->writer, class, id, plain, e);
}

static enum err_code copy_block(struct prune *p, struct mark_pack *t, struct pack *pack, uint32_t b, struct err *e)
{
	enum block_class class = (enum block_class)t->classes[b];
	struct block block = { 0 };
	struct buf ids = BUF_EMPTY;
	enum err_code rc = pack_ids(pack, b, p->repo->codec, &ids, e);

	if (!rc)
		rc = pack_read_block(pack, b, p->repo->codec, &block, e);
	for (uint32_t i = t->starts[b]; !rc && i < t->starts[b + 1]; i++) {
		uint32_t slot = i - t->starts[b];
		struct span plain = block_chunk(&block, slot);
		const struct chunk_id *id = (const struct chunk_id *)(const void *)ids.ptr + slot;

		if (mark_bit(t->moved, i))
			continue;
		if (class == CLASS_MANIFEST ? !manifest_wanted(p, plain) : !mark_bit(t->live, i))
			continue;
		rc = copy_chunk(p, class, id, plain, e);
		if (!rc)
			mark_set(t->moved, i);
	}
	block_release(&block);
	buf_release(&ids);
	/* Manifests are a second line of defence; a damaged one holds up nobody. */
	return rc == ERR_CORRUPT && class == CLASS_MANIFEST ? ERR_OK : rc;
}

/* Copies what is needed of a pack. One that cannot be read to the end stays as it is. */
static enum err_code copy_pack(struct prune *p, uint32_t ordinal, struct err *e)
{
	struct mark_pack *t = &p->mark.packs[ordinal];
	struct pack *pack = NULL;
	enum err_code rc = ERR_OK;

	for (uint32_t b = 0; !rc && b < t->block_count; b++) {
		if (!block_has_work(t, b))
			continue;
		rc = go_on(p, e);
		if (!rc && !pack)
			rc = pack_open(p->repo->store, p->repo->keys, &fact_of(p, ordinal)->pack, &pack, NULL, e);
		if (!rc)
			rc = copy_block(p, t, pack, b, e);
	}
	if (rc == ERR_CORRUPT || rc == ERR_NOT_FOUND) {
		repo_notice(p->repo, "%s stays as it is: %s", pack_path(&fact_of(p, ordinal)->pack.name).text, e->text);
		p->victim[ordinal] = false;
		rc = ERR_OK;
	}
	pack_free(&pack);
	return rc;
}

/* Copies what the mark found in the victims of FROM to END and was not copied yet; notes their ordinals. */
static enum err_code copy_group(struct prune *p, uint32_t from, uint32_t end, struct buf *ordinals, struct err *e)
{
	enum err_code rc = ERR_OK;

	buf_clear(ordinals);
	for (uint32_t i = from; !rc && i < end; i++) {
		if (!p->victim[i] || fact_of(p, i)->state != PACK_LIVE)
			continue;
		rc = copy_pack(p, i, e);
		if (!rc && p->victim[i])
			rc = buf_append(ordinals, span_of(&i, sizeof i), e);
	}
	return rc ? rc : writer_flush(p->writer, e);
}

/* Rule 14: the copies are durable, and the record that adds them condemns the originals. */
static enum err_code record_group(struct prune *p, const struct buf *ordinals, bool last, struct err *e)
{
	struct commit c = { 0 };
	enum err_code rc;

	writer_commit_part(p->writer, last, &c);
	c.against = (const uint32_t *)(const void *)ordinals->ptr;
	c.against_count = ordinals->len / sizeof(uint32_t);
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

/* Repacks the victims of FROM to END in one record. */
static enum err_code repack_group(struct prune *p, uint32_t from, uint32_t end, struct err *e)
{
	struct buf ordinals = BUF_EMPTY;
	enum err_code rc = copy_group(p, from, end, &ordinals, e);

	if (!rc)
		rc = record_group(p, &ordinals, end == p->count, e);
	/* At the latest the session that we opened for the copies has moved the head. */
	for (int round = 0; rc == ERR_STATE && round < ROUNDS_MAX; round++) {
		rc = mark_update(&p->mark, e);
		if (!rc)
			rc = copy_group(p, from, end, &ordinals, e);
		if (!rc)
			rc = record_group(p, &ordinals, end == p->count, e);
	}
	buf_release(&ordinals);
	return rc ? rc : index_update(p->repo->index, p->repo->ledger, e);
}

static enum err_code repack_all(struct prune *p, struct err *e)
{
	struct engine_progress tell = { .phase = "repacking",
		                        .items_total = p->report->packs_repacked,
		                        .what = "packs" };
	uint64_t gathered = 0;
	uint32_t from = 0;
	enum err_code rc = ERR_OK;

	for (uint32_t i = 0; !rc && i < p->count; i++) {
		if (p->victim[i]) {
			gathered += mark_sum(&p->mark, i).live_bytes;
			tell.items_done++;
			repo_tell(p->repo, &tell);
		}
		if (gathered < GROUP_BYTES && i + 1 < p->count)
			continue;
		rc = repack_group(p, from, i + 1, e);
		from = i + 1;
		gathered = 0;
	}
	return rc;
}

static enum err_code repack(struct prune *p, struct err *e)
{
	unsigned cores = pool_cores();
	enum err_code rc;

	if (!p->report->packs_repacked)
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

/* ---- deleting ---- */

static enum err_code delete_pack(struct prune *p, const struct pack_name *name, uint64_t bytes, struct err *e)
{
	enum err_code rc = go_on(p, e);

	if (!rc)
		rc = store_delete(p->repo->store, pack_path(name).text, e);
	if (rc)
		return rc;
	p->report->packs_deleted++;
	p->report->bytes_deleted += bytes;
	return ERR_OK;
}

/* Rule 13: the record that condemned it is durable. The one that says it is gone comes after. */
static enum err_code delete_condemned(struct prune *p, struct err *e)
{
	struct buf gone = BUF_EMPTY;
	enum err_code rc = ledger_refresh(p->repo->ledger, e);
	uint32_t count = ledger_pack_count(p->repo->ledger);

	if (!rc)
		rc = ledger_may_delete(p->repo->ledger, e);
	for (uint32_t i = 0; !rc && i < count; i++) {
		const struct pack_fact *fact = fact_of(p, i);

		if (fact->state == PACK_CONDEMNED && p->options->wait_ms &&
		    fact->condemned_ms > p->now_ms - p->options->wait_ms) {
			p->report->packs_waiting++;
			p->report->bytes_waiting += fact->pack.bytes;
		} else if (fact->state == PACK_CONDEMNED) {
			rc = delete_pack(p, &fact->pack.name, fact->pack.bytes, e);
			if (!rc)
				rc = buf_append(&gone, span_of(&i, sizeof i), e);
		}
		if (!rc && gone.len >= DELETE_BATCH * sizeof i) {
			rc = ledger_drop(p->repo->ledger, (const uint32_t *)(const void *)gone.ptr, gone.len / sizeof i,
			                 e);
			buf_clear(&gone);
		}
	}
	/* Also after a failure: what is gone is gone. */
	if (gone.len) {
		struct err second = { 0 };
		enum err_code dropped = ledger_drop(p->repo->ledger, (const uint32_t *)(const void *)gone.ptr,
		                                    gone.len / sizeof(uint32_t), &second);

		if (!rc && dropped) {
			*e = second;
			rc = dropped;
		}
	}
	buf_release(&gone);
	return rc;
}

struct orphan {
	struct pack_name name;
	uint64_t bytes;
};

struct orphans {
	struct prune *prune;
	struct buf found; /* struct orphan */
};

/* Rule F: no commit names it, and none ever can; or it was dropped and has come back. */
static enum err_code look_at_object(void *ctx, const char *path, uint64_t bytes, struct err *e)
{
	struct orphans *o = ctx;
	struct ledger *l = o->prune->repo->ledger;
	struct orphan one = { .bytes = bytes };
	uint32_t ordinal;

	if (!pack_name_of_path(path, &one.name))
		return ERR_OK;
	if (ledger_pack_find(l, &one.name, &ordinal)) {
		if (ledger_pack(l, ordinal)->state != PACK_DROPPED)
			return ERR_OK;
	} else {
		enum session_state state = ledger_session(l, one.name.session);

		if (state != SESSION_ENDED && state != SESSION_FENCED)
			return ERR_OK;
	}
	return buf_append(&o->found, span_of(&one, sizeof one), e);
}

static enum err_code sweep_orphans(struct prune *p, struct err *e)
{
	struct orphans o = { .prune = p };
	enum err_code rc = ledger_may_delete(p->repo->ledger, e);

	if (!rc)
		rc = store_list(p->repo->store, "pack", look_at_object, &o, e);
	if (rc == ERR_NOT_FOUND)
		rc = ERR_OK;
	for (size_t at = 0; !rc && at < o.found.len; at += sizeof(struct orphan)) {
		struct orphan one;

		memcpy(&one, o.found.ptr + at, sizeof one);
		p->report->orphans_deleted++;
		if (!p->options->dry_run)
			rc = delete_pack(p, &one.name, one.bytes, e);
	}
	buf_release(&o.found);
	return rc;
}

/* ---- all of it ---- */

/* What a real run would delete at once, and what it would leave for later. */
static void foresee_deletes(struct prune *p)
{
	struct prune_report *out = p->report;

	for (uint32_t i = 0; i < p->count; i++) {
		const struct pack_fact *fact = fact_of(p, i);
		bool condemned = fact->state == PACK_CONDEMNED;

		if (!condemned && !p->dead[i] && !p->victim[i])
			continue;
		if (p->options->wait_ms && (!condemned || fact->condemned_ms > p->now_ms - p->options->wait_ms)) {
			out->packs_waiting++;
			out->bytes_waiting += fact->pack.bytes;
		} else {
			out->packs_deleted++;
			out->bytes_deleted += fact->pack.bytes;
		}
	}
}

static enum err_code take_away(struct prune *p, struct err *e)
{
	enum err_code rc = condemn_dead(p, e);

	if (!rc)
		rc = repack(p, e);
	if (!rc)
		rc = delete_condemned(p, e);
	return rc;
}

static enum err_code run(struct prune *p, struct err *e)
{
	enum err_code rc = repo_need_keep(p->repo, "prune", e);

	if (!rc)
		rc = ledger_refresh(p->repo->ledger, e);
	if (!rc)
		rc = repo_need_index(p->repo, p->options->dry_run ? INDEX_READ : INDEX_WRITE, e);
	if (!rc)
		rc = fence_silent(p, e);
	if (!rc)
		rc = expire(p, e);
	if (!rc)
		rc = mark_update(&p->mark, e);
	if (!rc)
		rc = make_plan(p, e);
	if (!rc && p->options->dry_run)
		foresee_deletes(p);
	else if (!rc)
		rc = take_away(p, e);
	return rc ? rc : sweep_orphans(p, e);
}

enum err_code engine_prune(struct repo *r, const struct prune_options *o, struct prune_report *out, struct err *e)
{
	struct prune p = { .repo = r, .options = o, .report = out, .now_ms = clock_now_ms() };
	struct repo_info info;
	enum err_code rc;

	memset(out, 0, sizeof *out);
	if (o->max_unused_percent > 100)
		return err_set(e, ERR_USAGE, "unused space is at most 100 percent");
	mark_init(&p.mark, r);
	rc = run(&p, e);
	writer_free(&p.writer);
	pool_free(&p.pool);
	mark_release(&p.mark);
	mem_free(p.dead);
	mem_free(p.victim);
	repo_describe(r, &info);
	memcpy(out->head, info.head, sizeof out->head);
	return rc;
}
