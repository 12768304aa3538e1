/*
 * Copying snapshots to another repository: each is a snapshot run of its own whose source is the snapshot
 * (copy_source.c). What makes it cheap is the base: a snapshot of the target that is a copy of some other snapshot of
 * the source, so that the two of the source tell what differs. Which is a copy of which stands in the details.
 */
#include "engine/work/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/work/copy_source.h"
#include "engine/work/copy_verify.h"

#define RUNS_AGAIN 3

static const struct snapshot_origin nowhere;

static bool same_origin(const struct snapshot_origin *a, const struct snapshot_origin *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

/* A snapshot of either repository, and what it is, wherever it was taken. */
struct known {
	struct snapshot_id id;
	struct account_id account;
	int64_t time_ms;
	uint64_t skipped;                   /* copied: items that it lacks, those included that its origin lacks */
	struct snapshot_origin origin;      /* itself unless copied */
	bool unfinished;                    /* ORIGIN is not all that it is of */
	struct snapshot_origin begun, rest; /* unfinished */
};
struct known_list {
	struct known *rows;
	size_t count;
};

struct copy {
	struct repo *from, *to;
	const struct copy_options *options;
	copy_visit visit;
	void *ctx;
	struct copy_report *report;
	struct known_list have;  /* of FROM, with the trash */
	struct known_list there; /* live ones of TO that we may build on */
	struct copy_verified verified;
};

/* ---- what there is ---- */

static enum err_code known_of(struct repo *r, const struct snapshot_fact *fact, struct known *out, struct err *e)
{
	struct snapshot_details d = { 0 };
	struct buf hold = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	*out = (struct known){ .id = fact->entry.id,
		               .account = fact->entry.account,
		               .time_ms = fact->entry.time_ms,
		               .origin = { keys_repo(r->keys), fact->entry.id } };
	if (fact->entry.flags & SNAPSHOT_COPIED)
		rc = snapshot_details_of(r, fact, &hold, &d, e);
	/* Who lies about its origin would have it stand for another snapshot. */
	if (d.copied && snapshot_believed(r, fact)) {
		out->origin = d.origin;
		out->skipped = d.skipped;
	}
	out->unfinished = d.unfinished;
	out->begun = d.begun;
	out->rest = d.rest;
	buf_release(&hold);
	return rc;
}

/* TARGET: what is there already, and what can be built on; else what can be copied. */
static enum err_code load_known(struct repo *r, bool target, struct known_list *out, struct err *e)
{
	size_t count = ledger_snapshot_count(r->ledger);
	enum err_code rc = ERR_OK;

	out->count = 0;
	mem_free(out->rows);
	out->rows = mem_zalloc(count, sizeof *out->rows);
	if (!out->rows)
		return err_no_memory(e, count * sizeof *out->rows);
	for (size_t i = 0; !rc && i < count; i++) {
		const struct snapshot_fact *fact = ledger_snapshot(r->ledger, i);

		if (target ? fact->state == SNAPSHOT_LIVE && snapshot_believed(r, fact)
		           : fact->state == SNAPSHOT_LIVE || fact->state == SNAPSHOT_TRASH)
			rc = known_of(r, fact, &out->rows[out->count++], e);
	}
	return rc;
}

/* Of several copies of ORIGIN the one that lacks the least, and of those the newest. */
static const struct known *find_origin(const struct known_list *l, const struct snapshot_origin *origin)
{
	const struct known *best = NULL;

	for (size_t i = l->count; i-- > 0;)
		if (!l->rows[i].unfinished && same_origin(&l->rows[i].origin, origin) &&
		    (!best || l->rows[i].skipped < best->skipped))
			best = &l->rows[i];
	return best;
}

/* ---- the base of a copy ---- */

struct base {
	const struct known *row;                    /* of TO; NULL: none */
	struct snapshot_id before[COPY_BEFORE_MAX]; /* of FROM: what it is a copy of */
	size_t before_count;
	struct snapshot_origin rest;
	struct snapshot_id replaces;
	bool completes; /* it is a copy, with gaps, of what is to be copied */
};

/*
 * What an interrupted copy of ORIGIN left, if the snapshots that it was made of are still to be had. When a copy is to
 * be COMPLETEd, one that was built on it: it has all that is there.
 */
static bool base_unfinished(const struct copy *k, const struct known *of, const struct account_id *account,
                            bool complete, struct base *out)
{
	for (size_t i = k->there.count; i-- > 0;) {
		const struct known *t = &k->there.rows[i], *rest = NULL;

		if (!t->unfinished || !same_origin(&t->begun, &of->origin) ||
		    memcmp(&t->account, account, sizeof *account) != 0 || !snapshot_find(k->to, &t->id) ||
		    (complete && !same_origin(&t->rest, &of->origin)))
			continue;
		out->replaces = t->id;
		if (!same_origin(&t->rest, &nowhere)) {
			rest = find_origin(&k->have, &t->rest);
			if (!rest)
				continue;
			out->before[1] = rest->id;
		}
		out->row = t;
		out->before[0] = of->id;
		out->before_count = rest ? 2 : 1;
		out->rest = t->rest;
		return true;
	}
	return false;
}

static uint64_t distance(int64_t a, int64_t b)
{
	return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* The copy that is there, and lacks what could not be read then: only that is fetched. */
static void base_earlier(const struct known *of, const struct known *earlier, struct base *out)
{
	out->row = earlier;
	out->before[0] = of->id;
	out->before_count = 1;
	out->rest = of->origin;
}

/* The copy, in the same account, of the snapshot that is nearest in time. */
static void base_nearest(const struct copy *k, const struct known *of, const struct account_id *account,
                         struct base *out)
{
	for (size_t i = k->there.count; i-- > 0;) {
		const struct known *t = &k->there.rows[i], *same;

		if (t->unfinished || memcmp(&t->account, account, sizeof *account) != 0 ||
		    (out->row && distance(t->time_ms, of->time_ms) >= distance(out->row->time_ms, of->time_ms)))
			continue;
		same = find_origin(&k->have, &t->origin);
		if (!same || !snapshot_find(k->to, &t->id))
			continue;
		out->row = t;
		out->before[0] = same->id;
		out->before_count = 1;
		out->rest = t->origin;
	}
}

/* A partial snapshot that the origin made obsolete is obsolete here, too. */
static void replace_copy(const struct copy *k, const struct snapshot_fact *fact, struct base *out)
{
	struct snapshot_origin old = { keys_repo(k->from->keys), fact->entry.replaces };
	const struct known *t = find_origin(&k->there, &old);

	if (t && memcmp(&out->replaces, &nowhere.snapshot, sizeof out->replaces) == 0)
		out->replaces = t->id;
}

/* ---- one snapshot ---- */

static void tell_skipped(const struct copy *k, const struct snapshot_info *info, const struct err *why)
{
	char what[60];

	snprintf(what, sizeof what, "snapshot %.8s", info->id_hex);
	if (k->options->skipped)
		k->options->skipped(k->options->skipped_ctx, what, why);
}

/* The views that the source needs; views[0] is the snapshot itself. */
struct views {
	struct view *views[1 + COPY_BEFORE_MAX];
};

static void views_close(struct views *v)
{
	for (size_t i = 0; i < ARRAY_LEN(v->views); i++)
		view_free(&v->views[i]);
}

static bool is_damage(enum err_code rc)
{
	return rc == ERR_CORRUPT || rc == ERR_NOT_FOUND;
}

/* An earlier snapshot that cannot be read is no base: then everything is read. */
static enum err_code open_views(struct copy *k, const struct known *of, struct base *base, struct views *v,
                                struct err *e)
{
	enum err_code rc = view_open(k->from, &of->id, &v->views[0], e);

	for (size_t i = 0; !rc && i < base->before_count; i++) {
		struct err why;
		enum err_code got = view_open(k->from, &base->before[i], &v->views[1 + i], &why);

		if (is_damage(got)) {
			base->row = NULL;
			base->before_count = 0;
			base->rest = nowhere;
			base->completes = false;
		} else if (got) {
			*e = why;
			rc = got;
		}
	}
	return rc;
}

static void check_counts(struct copy *k, const struct snapshot_info *info, const struct snapshot_report *run)
{
	struct err why;

	/* A partial snapshot's bytes may be inexact, and of items that are lost the sizes are. */
	if (run->info.items != info->items && !run->info.items_skipped)
		err_set(&why, ERR_CORRUPT, "the copy has %llu items, its origin says %llu",
		        (unsigned long long)run->info.items, (unsigned long long)info->items);
	else if (run->info.bytes != info->bytes && !run->info.items_skipped && !(info->flags & ENGINE_SNAPSHOT_PARTIAL))
		err_set(&why, ERR_CORRUPT, "the items of the copy have %llu bytes, its origin says %llu",
		        (unsigned long long)run->info.bytes, (unsigned long long)info->bytes);
	else
		return;
	k->report->items_differ++;
	tell_skipped(k, info, &why);
}

static enum err_code run_with(struct copy *k, const struct snapshot_fact *fact, const struct known *of,
                              const struct base *base, const struct views *v, struct snapshot_report *out,
                              struct err *e)
{
	struct copied c = { .rest = base->rest,
		            .time_ms = fact->entry.time_ms,
		            .zone_minutes = fact->entry.zone_minutes,
		            .flags = fact->entry.flags,
		            .replaces = base->replaces,
		            .completes = base->completes,
		            .same = copy_source_same,
		            .changed = copy_source_changed };
	struct snapshot_options o = { .compression_level = k->options->compression_level,
		                      .partial_every_ms = k->options->partial_every_ms,
		                      .partial_every_bytes = k->options->partial_every_bytes };
	const struct snapshot_fact *base_fact = base->row ? snapshot_find(k->to, &base->row->id) : NULL;
	struct buf hold = BUF_EMPTY, account = BUF_EMPTY;
	struct item_source *source = NULL;
	enum err_code rc = snapshot_details_of(k->from, fact, &hold, &c.details, e);

	c.details.origin = of->origin;
	c.details.unfinished = false;
	c.base = base_fact ? &base_fact->entry : NULL;
	if (!rc)
		rc = buf_append(&account, c.details.account, e);
	if (!rc)
		rc = buf_append(&account, SPAN_LIT("\0"), e);
	o.account = (const char *)account.ptr;
	if (!rc)
		rc = copy_source_open(v->views[0], v->views + 1, base->before_count, &source, e);
	if (!rc) {
		source->report = k->options->skipped;
		source->report_ctx = k->options->skipped_ctx;
		c.lost = copy_source_lost(source);
		rc = run_copy(k->to, source, &o, &c, out, e);
		k->report->items_read += copy_source_count(source).items;
		k->report->bytes_read += copy_source_count(source).bytes;
		source->ops->free(&source);
	}
	buf_release(&hold);
	buf_release(&account);
	return rc;
}

/* LOST: items that the copy ID is known to lack; MORE: that it has, and FROM is known to lack. */
static enum err_code verify(struct copy *k, struct view *from, const struct snapshot_id *id, uint64_t lost,
                            uint64_t more, uint64_t *items, struct err *e)
{
	struct view *to = NULL;
	uint64_t before = k->verified.items, differ = k->verified.differ;
	struct err why;
	enum err_code rc;

	k->verified.missing = 0;
	k->verified.more = more;
	rc = view_open(k->to, id, &to, e);
	if (!rc)
		rc = copy_verify(from, to, &k->verified, k->options->skipped, k->options->skipped_ctx, e);
	if (!rc && k->verified.missing > lost) {
		k->verified.differ++;
		err_set(&why, ERR_CORRUPT, "the copy lacks %llu items of its origin",
		        (unsigned long long)k->verified.missing);
		tell_skipped(k, view_snapshot(from), &why);
	}
	view_free(&to);
	*items = k->verified.items - before;
	k->report->items_verified += *items;
	k->report->items_differ += k->verified.differ - differ;
	return rc;
}

/* A snapshot to copy. */
struct task {
	const struct snapshot_fact *fact;
	const struct known *of;
	const struct snapshot_info *info;
	const struct known *earlier; /* the copy that TO has, and that lacks something; NULL: none */
};

static enum err_code try_once(struct copy *k, const struct task *t, struct views *v, struct snapshot_report *out,
                              struct err *e)
{
	struct account_id account = keys_account(k->to->keys, t->info->account);
	struct base base = { .completes = t->earlier && snapshot_find(k->to, &t->earlier->id) };
	enum err_code rc;

	if (!base_unfinished(k, t->of, &account, base.completes, &base)) {
		if (base.completes)
			base_earlier(t->of, t->earlier, &base);
		else
			base_nearest(k, t->of, &account, &base);
	}
	replace_copy(k, t->fact, &base);
	rc = open_views(k, t->of, &base, v, e);
	return rc ? rc : run_with(k, t->fact, t->of, &base, v, out, e);
}

static void add_up(struct copy *k, const struct snapshot_report *run)
{
	k->report->copied++;
	k->report->items_skipped += run->info.items_skipped;
	k->report->bytes_stored += run->bytes_stored;
	k->report->chunks_new += run->chunks_new;
	k->report->chunks_known += run->chunks_known;
}

/*
 * The copy that lacked something goes to the trash: the new one has all that it has. It stays when it is pinned or held,
 * or our key may not forget.
 */
static enum err_code set_aside(struct copy *k, const struct known *earlier, struct copy_step *step, struct err *e)
{
	struct err why;
	enum err_code rc = engine_forget(k->to, &earlier->id, 1, false, &why);

	step->instead_of = &earlier->id;
	step->instead_kept = rc != ERR_OK;
	if (!rc || rc == ERR_DENIED || rc == ERR_NOT_FOUND)
		return ERR_OK;
	*e = why;
	return err_note(e, "while forgetting the copy that lacked something");
}

static enum err_code copied(struct copy *k, const struct task *t, struct view *from, const struct snapshot_report *run,
                            struct err *e)
{
	struct copy_step step = { .from = t->info, .verdict = COPY_DONE, .to = &run->info.id, .run = run };
	uint64_t differ = k->report->items_differ;
	enum err_code rc = ERR_OK;

	add_up(k, run);
	check_counts(k, t->info, run);
	if (k->options->verify)
		rc = verify(k, from, &run->info.id, run->info.items_skipped, 0, &step.items_verified, e);
	if (!rc && t->earlier && k->report->items_differ == differ)
		rc = set_aside(k, t->earlier, &step, e);
	return rc || !k->visit ? rc : k->visit(k->ctx, &step, e);
}

/* What is missing in the copy still cannot be read. */
static enum err_code still_lacking(struct copy *k, const struct task *t, struct view *from,
                                   const struct snapshot_report *run, struct err *e)
{
	struct copy_step step = { .from = t->info, .verdict = COPY_LACKING, .to = &t->earlier->id, .run = run };
	enum err_code rc = ERR_OK;

	k->report->lacking++;
	k->report->items_skipped += run->info.items_skipped;
	if (k->options->verify)
		rc = verify(k, from, step.to, run->info.items_skipped, 0, &step.items_verified, e);
	return rc || !k->visit ? rc : k->visit(k->ctx, &step, e);
}

/* ID is a copy that TO has from now on. */
static enum err_code remember(struct copy *k, const struct task *t, const struct snapshot_report *run, struct err *e)
{
	size_t bytes = (k->there.count + 1) * sizeof *k->there.rows;
	struct known *grown = mem_grow(k->there.rows, bytes);

	if (!grown)
		return err_no_memory(e, bytes);
	k->there.rows = grown;
	grown[k->there.count++] = (struct known){ .id = run->info.id,
		                                  .account = keys_account(k->to->keys, t->info->account),
		                                  .time_ms = t->info->time_ms,
		                                  .skipped = t->info->items_skipped + run->info.items_skipped,
		                                  .origin = t->of->origin };
	return ERR_OK;
}

static enum err_code copy_one(struct copy *k, const struct task *t, struct err *e)
{
	static const struct snapshot_id none;
	struct copy_step failed = { .from = t->info, .verdict = COPY_FAILED };
	struct snapshot_report run = { 0 };
	struct views v = { 0 };
	enum err_code rc = try_once(k, t, &v, &run, e);

	for (int again = 0; rc && again < RUNS_AGAIN && run_may_begin_again(k->to, e); again++) {
		views_close(&v);
		rc = load_known(k->to, true, &k->there, e);
		if (!rc)
			rc = try_once(k, t, &v, &run, e);
	}
	if (!rc && !memcmp(&run.info.id, &none, sizeof none)) {
		rc = still_lacking(k, t, v.views[0], &run, e);
	} else if (!rc) {
		rc = remember(k, t, &run, e);
		if (!rc)
			rc = copied(k, t, v.views[0], &run, e);
	} else if (is_damage(rc) && !v.views[0]) {
		k->report->failed++;
		tell_skipped(k, t->info, e);
		rc = k->visit ? k->visit(k->ctx, &failed, e) : ERR_OK;
	}
	views_close(&v);
	return rc;
}

/*
 * What was copied before, perhaps by a run that was stopped before it had compared it. When what we copy from is a copy
 * with gaps itself, TO may have more.
 */
static enum err_code verify_present(struct copy *k, const struct task *t, struct copy_step *step, struct err *e)
{
	const struct snapshot_fact *fact = snapshot_find(k->to, step->to);
	struct buf hold = BUF_EMPTY;
	struct snapshot_info there;
	struct view *from = NULL;
	enum err_code rc = fact ? snapshot_show(k->to, fact, &hold, &there, e) : ERR_OK;

	if (!rc && fact) {
		uint64_t more = t->info->items_skipped - num_min(there.items_skipped, t->info->items_skipped);

		rc = view_open(k->from, &t->of->id, &from, e);
		if (!rc) {
			rc = verify(k, from, step->to, 0, more, &step->items_verified, e);
		} else if (is_damage(rc)) {
			tell_skipped(k, t->info, e);
			rc = ERR_OK;
		}
	}
	view_free(&from);
	buf_release(&hold);
	return rc;
}

/* ---- all ---- */

/* THERE: a copy that has all that its origin has, or NULL. */
static enum err_code pass_over(struct copy *k, const struct task *t, const struct known *there, struct err *e)
{
	struct copy_step step = { .from = t->info, .verdict = there ? COPY_PRESENT : COPY_WOULD };
	enum err_code rc = ERR_OK;

	step.to = there ? &there->id : NULL;
	step.instead_of = t->earlier ? &t->earlier->id : NULL;
	k->report->present += there != NULL;
	k->report->copied += there == NULL;
	if (there && k->options->verify && !k->options->dry_run)
		rc = verify_present(k, t, &step, e);
	return rc || !k->visit ? rc : k->visit(k->ctx, &step, e);
}

static enum err_code one(struct copy *k, const struct known *of, struct err *e)
{
	struct task t = { .fact = snapshot_find(k->from, &of->id), .of = of };
	const struct known *there = find_origin(&k->there, &of->origin);
	struct snapshot_info info;
	struct known earlier; /* what THERE points to may move */
	struct buf hold = BUF_EMPTY;
	enum err_code rc;

	if (!t.fact)
		return err_set(e, ERR_NOT_FOUND, "there is no such snapshot");
	rc = snapshot_show(k->from, t.fact, &hold, &info, e);
	t.info = &info;
	if (!rc && there && there->skipped > info.items_skipped) {
		earlier = *there;
		t.earlier = &earlier;
		there = NULL;
	}
	if (!rc)
		rc = there || k->options->dry_run ? pass_over(k, &t, there, e) : copy_one(k, &t, e);
	buf_release(&hold);
	return rc;
}

static int by_time(const void *a, const void *b)
{
	const struct known *const *x = a, *const *y = b;

	if ((*x)->time_ms != (*y)->time_ms)
		return (*x)->time_ms < (*y)->time_ms ? -1 : 1;
	return (*x > *y) - (*x < *y); /* as in the ledger */
}

static bool is_wanted(const struct copy_options *o, const struct snapshot_id *id)
{
	for (size_t i = 0; i < o->count; i++)
		if (!memcmp(&o->ids[i], id, sizeof *id))
			return true;
	return false;
}

static enum err_code all(struct copy *k, struct err *e)
{
	const struct known **order = mem_zalloc(k->have.count, sizeof(struct known *));
	size_t count = 0;
	enum err_code rc = ERR_OK;

	if (!order)
		return err_no_memory(e, k->have.count * sizeof(struct known *));
	for (size_t i = 0; i < k->have.count; i++)
		if (is_wanted(k->options, &k->have.rows[i].id))
			order[count++] = &k->have.rows[i];
	qsort(order, count, sizeof(struct known *), by_time);
	for (size_t i = 0; !rc && i < count; i++)
		rc = repo_stopped(k->to) ? repo_cancelled(e) : one(k, order[i], e);
	mem_free(order);
	return rc;
}

static enum err_code check_repositories(struct repo *from, struct repo *to, struct err *e)
{
	struct repo_id a = keys_repo(from->keys), b = keys_repo(to->keys);
	enum err_code rc = repo_need_content(from, "copy snapshots from this repository", e);

	if (!rc)
		rc = repo_need_names(to, "copy snapshots to this repository", e);
	if (!rc && !memcmp(&a, &b, sizeof a))
		rc = err_set(e, ERR_USAGE,
		             "both are the same repository, or one is a copy of its files; copy wants another one, "
		             "made with init");
	return rc;
}

enum err_code engine_copy(struct repo *from, struct repo *to, const struct copy_options *o, copy_visit visit, void *ctx,
                          struct copy_report *out, struct err *e)
{
	struct copy k = { .from = from, .to = to, .options = o, .visit = visit, .ctx = ctx, .report = out };
	struct repo_info info;
	enum err_code rc;

	memset(out, 0, sizeof *out);
	rc = check_repositories(from, to, e);
	if (!rc)
		rc = load_known(from, false, &k.have, e);
	if (!rc)
		rc = load_known(to, true, &k.there, e);
	if (!rc && !o->dry_run)
		rc = repo_need_index(from, INDEX_READ, e);
	if (!rc)
		rc = all(&k, e);
	mem_free(k.have.rows);
	mem_free(k.there.rows);
	idmap_release(&k.verified.same);
	if (!rc && k.report->items_differ)
		rc = err_set(e, ERR_CORRUPT, "%llu things in the copies are not as in their origins",
		             (unsigned long long)k.report->items_differ);
	repo_describe(to, &info);
	memcpy(out->head, info.head, sizeof out->head);
	return rc;
}
