/*
 * One run of blocks is one job: it reads and checks its bytes by itself and leaves what it found in buffers, which the
 * owner tells in the order of submission. A pack's directory is read by the owner, its frame with the last of its runs.
 */
#include "engine/work/survey.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/pool.h"

/* A pack whose runs are on their way. Invariant: freed when none of its runs is left and all were submitted. */
struct begun {
	struct pack *pack;
	struct survey_pack found;
	unsigned runs;
	bool all_submitted;
	bool gone; /* somebody pruned it while we read: nothing more is told */
};

/* What a run found of one block; its ids follow those of the block before in ids. */
struct run_block {
	uint32_t block, count;
	bool has_ids, whole, problem;
	size_t what; /* place in whats, when PROBLEM */
};

struct run {
	struct pool_job job;
	struct begun *begun;
	struct pack_verifier verifier;
	uint32_t first, end;
	bool data;
	struct buf blocks, ids, whats; /* struct run_block, struct chunk_id, struct err */
	enum err_code rc;
	struct err e;
};

struct survey {
	struct repo *repo;
	const struct survey_ops *ops;
	struct pool *pool;
	struct run *runs;
	size_t run_count, first, used;
	struct engine_progress tell;
};

static enum err_code keep_block(void *ctx, const struct pack_found *f, struct err *e)
{
	struct run *r = ctx;
	struct run_block b = { f->block, f->count,   f->ids != NULL,
		               f->whole, f->problem, r->whats.len / sizeof(struct err) };
	enum err_code rc = buf_append(&r->blocks, span_of(&b, sizeof b), e);

	if (!rc && f->ids)
		rc = buf_append(&r->ids, span_of(f->ids, f->count * sizeof *f->ids), e);
	if (!rc && f->problem)
		rc = buf_append(&r->whats, span_of(&f->what, sizeof f->what), e);
	return rc;
}

static void run_job(struct pool_job *job)
{
	struct run *r = (struct run *)(void *)job;

	buf_clear(&r->blocks);
	buf_clear(&r->ids);
	buf_clear(&r->whats);
	r->rc = pack_verify(r->begun->pack, r->first, r->end, r->data, &r->verifier, keep_block, r, &r->e);
}

/* ---- telling ---- */

static const struct pack_fact *fact_of(const struct survey *s, const struct begun *b)
{
	return ledger_pack(s->repo->ledger, b->found.ordinal);
}

static void tell_problem(struct survey *s, struct begun *b, uint32_t block, const struct err *what)
{
	struct pack_path path = pack_path(&fact_of(s, b)->pack.name);
	char object[160];

	if (block == UINT32_MAX)
		snprintf(object, sizeof object, "%s", path.text);
	else
		snprintf(object, sizeof object, "%s block %" PRIu32, path.text, block);
	b->found.damaged = true;
	b->found.beyond_us |= what->code != ERR_CORRUPT && what->code != ERR_NOT_FOUND && what->code != ERR_IO;
	b->found.problems++;
	s->ops->problem(s->ops->ctx, object, what);
}

/* Somebody may have pruned it since: then it is none of our business. */
static enum err_code still_live(struct survey *s, uint32_t ordinal, bool *live, struct err *e)
{
	enum err_code rc = ledger_refresh(s->repo->ledger, e);

	*live = !rc && ledger_pack(s->repo->ledger, ordinal)->state == PACK_LIVE;
	return rc;
}

static enum err_code look_whether_gone(struct survey *s, struct run *r, struct err *e)
{
	const struct err *whats = (const struct err *)(const void *)r->whats.ptr;
	bool live = true;
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && live && i < r->whats.len / sizeof *whats; i++)
		if (whats[i].code == ERR_NOT_FOUND)
			rc = still_live(s, r->begun->found.ordinal, &live, e);
	r->begun->gone |= !live;
	return rc;
}

static enum err_code tell_blocks(struct survey *s, struct run *r, struct err *e)
{
	const struct chunk_id *ids = (const struct chunk_id *)(const void *)r->ids.ptr;
	const struct err *whats = (const struct err *)(const void *)r->whats.ptr;
	const struct run_block *blocks = (const struct run_block *)(const void *)r->blocks.ptr;
	size_t count = r->blocks.len / sizeof *blocks;
	enum err_code rc = look_whether_gone(s, r, e);

	for (size_t i = 0; !rc && !r->begun->gone && i < count; i++) {
		const struct run_block *b = &blocks[i];
		struct survey_block found = { .ordinal = r->begun->found.ordinal,
			                      .block = b->block,
			                      .ids = b->has_ids ? ids : NULL,
			                      .count = b->count,
			                      .whole = b->whole,
			                      .data = r->data,
			                      .sealed_bytes = pack_block(r->begun->pack, b->block)->sealed_bytes };

		if (b->problem)
			tell_problem(s, r->begun, b->block, &whats[b->what]);
		rc = s->ops->block(s->ops->ctx, &found, e);
		ids += b->has_ids ? b->count : 0;
	}
	return rc;
}

struct frame {
	struct survey *survey;
	struct begun *begun;
};

static void frame_problem(void *ctx, uint32_t block, const struct err *what)
{
	struct frame *f = ctx;

	tell_problem(f->survey, f->begun, block, what);
}

/* All of a pack was looked at. Consumes B. */
static enum err_code end_pack(struct survey *s, struct begun *b, struct err *e)
{
	struct frame f = { s, b };
	struct err what;
	enum err_code rc = ERR_OK;

	if (b->found.data && b->pack && pack_check_frame(b->pack, frame_problem, &f, &what))
		tell_problem(s, b, UINT32_MAX, &what);
	rc = s->ops->pack(s->ops->ctx, &b->found, e);
	s->tell.items_done++;
	repo_tell(s->repo, &s->tell);
	pack_free(&b->pack);
	mem_free(b);
	return rc;
}

/* ---- runs ---- */

static enum err_code take_oldest(struct survey *s, struct err *e)
{
	struct run *r = &s->runs[s->first];
	struct begun *b = r->begun;
	enum err_code rc;

	pool_wait(s->pool, &r->job);
	s->first = (s->first + 1) % s->run_count;
	s->used--;
	s->tell.bytes_done += r->data ? r->verifier.bytes.len : 0;
	b->runs--;
	if (r->rc) {
		*e = r->e;
		rc = r->rc;
	} else {
		rc = tell_blocks(s, r, e);
	}
	if (!rc && !b->runs && b->all_submitted)
		rc = end_pack(s, b, e);
	else if (rc && !b->runs && b->all_submitted) {
		pack_free(&b->pack);
		mem_free(b);
	}
	return rc;
}

static enum err_code submit_runs(struct survey *s, struct begun *b, struct err *e)
{
	uint32_t count = pack_block_count(b->pack), first = 0;
	enum err_code rc = ERR_OK;

	while (!rc && first < count) {
		struct run *r;

		if (repo_stopped(s->repo))
			rc = repo_cancelled(e);
		if (!rc && s->used == s->run_count)
			rc = take_oldest(s, e);
		if (rc)
			break;
		r = &s->runs[(s->first + s->used++) % s->run_count];
		r->begun = b;
		r->first = first;
		r->end = b->found.data ? pack_run_end(b->pack, first) : count;
		r->data = b->found.data;
		first = r->end;
		b->runs++;
		pool_submit(s->pool, &r->job);
	}
	b->all_submitted = true;
	if (b->runs)
		return rc;
	if (!rc)
		return end_pack(s, b, e);
	pack_free(&b->pack);
	mem_free(b);
	return rc;
}

/* ---- packs ---- */

static enum err_code pack_is_lost(struct survey *s, struct begun *b, const struct err *why, struct err *e)
{
	struct err what = *why;
	bool live;
	enum err_code rc = still_live(s, b->found.ordinal, &live, e);

	if (rc || !live) {
		mem_free(b);
		return rc;
	}
	b->found.missing = what.code == ERR_NOT_FOUND;
	b->found.unreadable = true;
	b->found.beyond_us = what.code == ERR_IO;
	if (b->found.missing)
		err_set(&what, ERR_NOT_FOUND,
		        "the store does not have it, though the ledger names it: somebody deleted it, or an older "
		        "state of the store was put back");
	tell_problem(s, b, UINT32_MAX, &what);
	return end_pack(s, b, e);
}

static enum err_code do_pack(struct survey *s, uint32_t ordinal, struct err *e)
{
	struct begun *b = mem_zalloc(1, sizeof *b);
	bool used_second = false;
	struct err what;
	enum err_code rc;

	if (!b)
		return err_no_memory(e, sizeof *b);
	b->found.ordinal = ordinal;
	rc = pack_open(s->repo->store, s->repo->keys, &ledger_pack(s->repo->ledger, ordinal)->pack, &b->pack,
	               &used_second, &what);
	if (rc == ERR_NO_MEMORY) {
		mem_free(b);
		*e = what;
		return rc;
	}
	if (rc)
		return pack_is_lost(s, b, &what, e);
	b->found.data = s->ops->wants_data(s->ops->ctx, ordinal);
	if (used_second && !b->found.data) {
		err_set(&what, ERR_CORRUPT, "the second directory is damaged; its copy is fine, nothing is lost");
		tell_problem(s, b, UINT32_MAX, &what);
	}
	return submit_runs(s, b, e);
}

/* ---- door ---- */

static enum err_code survey_open(struct survey *s, struct err *e)
{
	unsigned cores = pool_cores();
	enum err_code rc;

	s->runs = mem_zalloc(SURVEY_RUNS_MAX, sizeof *s->runs);
	if (!s->runs)
		return err_no_memory(e, SURVEY_RUNS_MAX * sizeof *s->runs);
	s->run_count = cores + 2 < SURVEY_RUNS_MAX ? cores + 2 : SURVEY_RUNS_MAX;
	for (size_t i = 0; i < s->run_count; i++) {
		pack_verifier_init(&s->runs[i].verifier);
		s->runs[i].job.run = run_job;
		s->runs[i].ids.max = PACK_BYTES_MAX;
	}
	rc = pool_open(cores > 1 ? cores - 1 : 1, &s->pool, e);
	return rc;
}

/* After an error: waits for what is under way; nothing more is told. */
static void abandon(struct survey *s)
{
	for (; s->used; s->used--, s->first = (s->first + 1) % s->run_count) {
		struct run *r = &s->runs[s->first];
		struct begun *b = r->begun;

		pool_wait(s->pool, &r->job);
		if (--b->runs == 0) {
			pack_free(&b->pack);
			mem_free(b);
		}
	}
}

static void survey_close(struct survey *s)
{
	abandon(s);
	pool_free(&s->pool);
	for (size_t i = 0; s->runs && i < s->run_count; i++) {
		pack_verifier_release(&s->runs[i].verifier);
		buf_release(&s->runs[i].blocks);
		buf_release(&s->runs[i].ids);
		buf_release(&s->runs[i].whats);
	}
	mem_free(s->runs);
}

enum err_code survey(struct repo *r, const uint32_t *ordinals, size_t count, const struct survey_ops *ops,
                     struct err *e)
{
	struct survey s = { .repo = r, .ops = ops };
	enum err_code rc = survey_open(&s, e);

	s.tell = (struct engine_progress){ .phase = "checking", .items_total = count, .what = "packs" };
	for (size_t i = 0; i < count; i++)
		s.tell.bytes_total += ledger_pack(r->ledger, ordinals[i])->pack.bytes;
	for (size_t i = 0; !rc && i < count; i++)
		rc = repo_stopped(r) ? repo_cancelled(e) : do_pack(&s, ordinals[i], e);
	while (!rc && s.used)
		rc = take_oldest(&s, e);
	survey_close(&s);
	return rc;
}

enum err_code survey_live(const struct repo *r, uint32_t first, struct buf *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (uint32_t i = first; !rc && i < ledger_pack_count(r->ledger); i++)
		if (ledger_pack(r->ledger, i)->state == PACK_LIVE)
			rc = buf_append(out, span_of(&i, sizeof i), e);
	return rc;
}
