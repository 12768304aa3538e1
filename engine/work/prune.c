/*
 * Prune: expire the trash, mark, condemn what nothing needs, repack what is mostly unused, delete. Every step is whole
 * by itself and begins from what the ledger says, so a run that was killed is simply done again. Order docs/order.md,
 * rules 10 to 16. A record is decided at the head that was marked; when somebody was faster, the mark is brought up to
 * the new head, which only ever adds to it, and the decision made again.
 */
#include "engine/work/prune.h"

#include "base/clock.h"
#include "base/mem.h"
#include "engine/pack/parity.h"
#include "engine/work/hold.h"

#define CONDEMN_BATCH 65536
#define DELETE_BATCH  1024

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

/* The trash forgotten at or before BOUND: what ends into GONE, and what a hold needs into STAY, as struct snapshot_id. */
static enum err_code judge_trash(struct prune *p, int64_t bound, struct buf *gone, struct buf *stay, struct err *e)
{
	struct ledger *l = p->repo->ledger;
	size_t all = ledger_snapshot_count(l), n = 0;
	size_t *rows = mem_zalloc(all, sizeof *rows);
	const struct hold_fact **why = mem_zalloc(all, sizeof *why);
	enum err_code rc = rows && why ? ERR_OK : err_no_memory(e, all * sizeof *rows);

	for (size_t i = 0; !rc && i < all; i++)
		if (ledger_snapshot(l, i)->state == SNAPSHOT_TRASH && ledger_snapshot(l, i)->forgotten_ms <= bound)
			rows[n++] = i;
	if (!rc)
		rc = holds_judge(p->repo, rows, n, why, e);
	for (size_t i = 0; !rc && i < n; i++)
		rc = buf_append(why[i] ? stay : gone, span_of(&ledger_snapshot(l, rows[i])->entry.id, ID16_BYTES), e);
	mem_free(rows);
	mem_free((void *)why);
	return rc;
}

static enum err_code expire_once(struct prune *p, int64_t bound, struct err *e)
{
	struct buf stay = BUF_EMPTY, gone = BUF_EMPTY;
	size_t count = 0;
	uint64_t head;
	enum err_code rc = repo_refresh(p->repo, e);

	head = ledger_head(p->repo->ledger).number;
	if (!rc)
		rc = judge_trash(p, bound, &gone, &stay, e);
	if (!rc)
		rc = ledger_expire_at(p->repo->ledger, bound, head, (const struct snapshot_id *)(const void *)stay.ptr,
		                      stay.len / ID16_BYTES, &count, e);
	p->report->snapshots_expired += count;
	p->report->snapshots_held = stay.len / ID16_BYTES;
	buf_release(&stay);
	buf_release(&gone);
	return rc;
}

static enum err_code expire(struct prune *p, struct err *e)
{
	int64_t bound = p->options->trash_ms ? p->now_ms - p->options->trash_ms : INT64_MAX;
	struct buf stay = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	if (!p->options->dry_run) {
		for (int round = 0; round < PRUNE_ROUNDS_MAX; round++) {
			rc = expire_once(p, bound, e);
			if (rc != ERR_STATE)
				break;
		}
		return rc;
	}
	rc = buf_append(&p->gone, span_of(p->options->without, p->options->without_count * ID16_BYTES), e);
	if (!rc)
		rc = judge_trash(p, bound, &p->gone, &stay, e);
	p->mark.without = (const struct snapshot_id *)(const void *)p->gone.ptr;
	p->mark.without_count = p->gone.len / ID16_BYTES;
	p->report->snapshots_expired = p->mark.without_count;
	p->report->snapshots_held = stay.len / ID16_BYTES;
	buf_release(&stay);
	return rc;
}

/* ---- condemning what nothing needs ---- */

/* The dead ones from *AT on that are still so at the head of the mark: at most CONDEMN_BATCH. */
static enum err_code gather_dead(const struct prune *p, uint32_t *at, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;
	uint32_t n = 0;

	buf_clear(out);
	for (; !rc && *at < p->count && n < CONDEMN_BATCH; ++*at) {
		if (!p->dead[*at] || prune_fact(p, *at)->state != PACK_LIVE || mark_sum(&p->mark, *at).live_chunks)
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
		else if (rc == ERR_STATE && rounds++ < PRUNE_ROUNDS_MAX)
			rc = mark_update(&p->mark, e);
	}
	buf_release(&ordinals);
	return rc;
}

/* ---- deleting ---- */

static enum err_code delete_pack(struct prune *p, const struct pack_name *name, uint64_t bytes, struct err *e)
{
	enum err_code rc = go_on(p, e);

	/* Rule 16. */
	if (!rc)
		rc = store_delete(p->repo->store, parity_path(name).text, e);
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
	enum err_code rc = repo_refresh(p->repo, e);
	uint32_t count = ledger_pack_count(p->repo->ledger);

	/* Whoever reads through this repository afterwards finds what the fold speaks of. */
	if (!rc)
		rc = index_update(p->repo->index, p->repo->ledger, e);
	if (!rc)
		rc = ledger_may_delete(p->repo->ledger, e);
	for (uint32_t i = 0; !rc && i < count; i++) {
		const struct pack_fact *fact = prune_fact(p, i);

		if (fact->state == PACK_CONDEMNED && p->options->wait_ms &&
		    fact->condemned_ms > p->now_ms - p->options->wait_ms) {
			p->report->packs_waiting++;
			p->report->bytes_waiting += fact->pack.bytes;
		} else if (fact->state == PACK_CONDEMNED && p->report->packs_deleted && prune_is_late(p)) {
			p->report->out_of_time = true;
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
	bool parity_alone; /* seen as parity; its pack is told on its own, if it is there */
};

struct orphans {
	struct prune *prune;
	struct buf found; /* struct orphan */
};

/* Rule F: no commit names it, and none ever can; or it was dropped and has come back. A parity goes as its pack does. */
static enum err_code look_at_object(void *ctx, const char *path, uint64_t bytes, struct err *e)
{
	struct orphans *o = ctx;
	struct ledger *l = o->prune->repo->ledger;
	struct orphan one = { .bytes = bytes };
	uint32_t ordinal;

	if (!pack_name_of_path(path, &one.name)) {
		if (!parity_name_of_path(path, &one.name))
			return ERR_OK;
		one.parity_alone = true;
	}
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
	if (!rc || rc == ERR_NOT_FOUND)
		rc = store_list(p->repo->store, "parity", look_at_object, &o, e);
	if (rc == ERR_NOT_FOUND)
		rc = ERR_OK;
	for (size_t at = 0; !rc && at < o.found.len; at += sizeof(struct orphan)) {
		struct orphan one;

		memcpy(&one, o.found.ptr + at, sizeof one);
		p->report->orphans_deleted += !one.parity_alone;
		if (p->options->dry_run)
			continue;
		if (one.parity_alone)
			rc = store_delete(p->repo->store, parity_path(&one.name).text, e);
		else
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
		const struct pack_fact *fact = prune_fact(p, i);
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
		rc = prune_repack(p, e);
	if (!rc)
		rc = delete_condemned(p, e);
	return rc;
}

static enum err_code run(struct prune *p, struct err *e)
{
	enum err_code rc = repo_need_keep(p->repo, "prune", e);

	if (!rc)
		rc = repo_refresh(p->repo, e);
	if (!rc)
		rc = repo_need_index(p->repo, p->options->dry_run ? INDEX_READ : INDEX_WRITE, e);
	if (!rc)
		rc = fence_silent(p, e);
	if (!rc)
		rc = expire(p, e);
	if (!rc)
		rc = mark_update(&p->mark, e);
	if (!rc)
		rc = prune_plan(p, e);
	if (!rc && p->options->dry_run)
		foresee_deletes(p);
	else if (!rc)
		rc = take_away(p, e);
	if (!rc)
		rc = sweep_orphans(p, e);
	if (!rc && !p->options->dry_run) {
		repo_checkpoint(p->repo);
		rc = ledger_checkpoint_sweep(p->repo->ledger,
		                             p->options->wait_ms ? p->now_ms - p->options->wait_ms : INT64_MAX, e);
	}
	return rc;
}

static enum err_code prune_once(struct repo *r, const struct prune_options *o, int64_t started_ms,
                                struct prune_report *out, bool *fenced, struct err *e)
{
	struct prune p = { .repo = r, .options = o, .report = out, .now_ms = clock_now_ms(), .started_ms = started_ms };
	enum err_code rc;

	memset(out, 0, sizeof *out);
	mark_init(&p.mark, r);
	rc = run(&p, e);
	*fenced = rc == ERR_STATE && p.fenced;
	writer_free(&p.writer);
	pool_free(&p.pool);
	mark_release(&p.mark);
	mem_free(p.dead);
	mem_free(p.victim);
	mem_free(p.order);
	buf_release(&p.gone);
	return rc;
}

/* What was done before a prune began again counts. */
static void add_up(struct prune_report *sum, const struct prune_report *before)
{
	sum->snapshots_expired += before->snapshots_expired;
	sum->sessions_fenced += before->sessions_fenced;
	sum->packs_unused += before->packs_unused;
	sum->bytes_unused += before->bytes_unused;
	sum->packs_repacked += before->packs_repacked;
	sum->bytes_repacked += before->bytes_repacked;
	sum->bytes_copied += before->bytes_copied;
}

enum err_code engine_prune(struct repo *r, const struct prune_options *o, struct prune_report *out, struct err *e)
{
	int64_t started_ms = clock_monotonic_ms();
	struct prune_report before;
	struct repo_info info;
	bool fenced = false;
	enum err_code rc;

	memset(out, 0, sizeof *out);
	if (o->max_unused_percent > 100)
		return err_set(e, ERR_USAGE, "unused space is at most 100 percent");
	rc = prune_once(r, o, started_ms, out, &fenced, e);
	for (int again = 0; fenced && again < PRUNES_AGAIN && !repo_stopped(r); again++) {
		repo_notice(r, ENGINE_REMARK,
		            "somebody else took this prune for one that had died and ended its session; it begins "
		            "again");
		/* What was uploaded in vain is found nowhere from now on, and swept as any orphan. */
		repo_drop_index(r);
		before = *out;
		rc = prune_once(r, o, started_ms, out, &fenced, e);
		add_up(out, &before);
	}
	repo_describe(r, &info);
	memcpy(out->head, info.head, sizeof out->head);
	return rc;
}
