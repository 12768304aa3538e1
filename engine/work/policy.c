/* Retention applied: judge the live snapshots, tell each verdict, and forget what no rule keeps. */
#include "engine/work/hold.h"

#include "base/clock.h"
#include "base/mem.h"
#include "engine/retention/retention.h"

_Static_assert((int)KEEP_PERIODS == (int)RETENTION_PERIODS && (int)KEEP_YEARLY == (int)RETENTION_YEARLY,
               "the same periods in the same order");

/* Who keeps what: an account as one holder writes it, so that a stolen key cannot push out what another wrote. */
struct group {
	struct account_id account;
	struct holder_id holder;
};

struct policy {
	struct repo *repo;
	const struct forget_policy *policy;
	struct retention_snapshot *judged;
	struct retention_verdict *verdicts;
	size_t *rows;                 /* in the ledger */
	const struct hold_fact **why; /* the hold that keeps it, or NULL */
	size_t count;
	struct retention_past *past; /* what was forgotten of the same groups */
	size_t past_count;
	uint64_t head; /* ledger record at which holds were looked at */
	struct group *groups;
	enum retention_brake *brakes;
	uint32_t group_count;
};

static enum err_code make_room(struct policy *p, struct err *e)
{
	size_t n = ledger_snapshot_count(p->repo->ledger);

	p->judged = mem_zalloc(n, sizeof *p->judged);
	p->verdicts = mem_zalloc(n, sizeof *p->verdicts);
	p->rows = mem_zalloc(n, sizeof *p->rows);
	p->why = mem_zalloc(n, sizeof *p->why);
	p->past = mem_zalloc(n, sizeof *p->past);
	p->groups = mem_zalloc(n, sizeof *p->groups);
	p->brakes = mem_zalloc(n, sizeof *p->brakes);
	if (!p->judged || !p->verdicts || !p->rows || !p->why || !p->past || !p->groups || !p->brakes)
		return err_no_memory(e, n * sizeof *p->judged);
	return ERR_OK;
}

static void release(struct policy *p)
{
	mem_free(p->judged);
	mem_free(p->verdicts);
	mem_free(p->rows);
	mem_free((void *)p->why);
	mem_free(p->past);
	mem_free(p->groups);
	mem_free(p->brakes);
}

/* GROUP_COUNT when there is none. */
static uint32_t group_find(const struct policy *p, const struct snapshot_entry *entry)
{
	struct group wanted = { entry->account, entry->holder };
	uint32_t g = 0;

	while (g < p->group_count && memcmp(&p->groups[g], &wanted, sizeof wanted) != 0)
		g++;
	return g;
}

static uint32_t group_of(struct policy *p, const struct snapshot_entry *entry)
{
	uint32_t g = group_find(p, entry);

	if (g == p->group_count)
		p->groups[p->group_count++] = (struct group){ entry->account, entry->holder };
	return g;
}

static bool has_tag(struct span tags, struct span wanted)
{
	while (tags.len) {
		const uint8_t *comma = memchr(tags.ptr, ',', tags.len);
		size_t len = comma ? (size_t)(comma - tags.ptr) : tags.len;

		if (span_equal(span_first(tags, len), wanted))
			return true;
		tags = span_skip(tags, len + 1);
	}
	return false;
}

static bool is_tagged(const struct policy *p, struct span tags)
{
	for (size_t i = 0; i < p->policy->keep_tag_count; i++)
		if (has_tag(tags, span_cstr(p->policy->keep_tags[i])))
			return true;
	return false;
}

static enum err_code add_snapshot(struct policy *p, size_t row, struct buf *hold, struct err *e)
{
	const struct snapshot_fact *fact = ledger_snapshot(p->repo->ledger, row);
	struct snapshot_info info = { 0 };
	enum err_code rc = ERR_OK;

	/* Only tags need the key that opens names. */
	if (p->policy->keep_tag_count)
		rc = snapshot_show(p->repo, fact, hold, &info, e);
	if (rc)
		return rc;
	p->judged[p->count] = (struct retention_snapshot){ .group = group_of(p, &fact->entry),
		                                           .time_ms = fact->entry.time_ms,
		                                           .zone_minutes = fact->entry.zone_minutes,
		                                           .partial = fact->entry.flags & SNAPSHOT_PARTIAL,
		                                           .shrunk = fact->entry.flags & SNAPSHOT_SHRUNK,
		                                           .pinned = fact->pinned,
		                                           .held = ledger_held(p->repo->ledger, fact, false),
		                                           .tagged = is_tagged(p, info.tags) };
	p->rows[p->count++] = row;
	return ERR_OK;
}

/* Digits that a keeper gives may begin the ids of several accounts. */
static enum err_code check_one_account(const struct policy *p, const struct snapshot_fact *fact, struct err *e)
{
	if (!p->policy->account || !p->count ||
	    !memcmp(&p->groups[0].account, &fact->entry.account, sizeof fact->entry.account))
		return ERR_OK;
	return err_set(e, ERR_USAGE, "the ids of several accounts begin with '%s'; write more digits",
	               p->policy->account);
}

static enum err_code gather(struct policy *p, struct err *e)
{
	struct buf hold = BUF_EMPTY;
	enum err_code rc = make_room(p, e);

	if (!rc && p->policy->keep_tag_count && !keys_read_names(p->repo->keys))
		rc = err_set(
		        e, ERR_DENIED,
		        "this key may not read tags: it is a keeper's; use rules of numbers and times, and `mailhold "
		        "pin` for snapshots that have to stay");
	for (size_t i = 0; !rc && i < ledger_snapshot_count(p->repo->ledger); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(p->repo->ledger, i);

		if (fact->state != SNAPSHOT_LIVE ||
		    (p->policy->account && !snapshot_of_account(p->repo, fact, span_cstr(p->policy->account))))
			continue;
		rc = check_one_account(p, fact, e);
		if (!rc)
			rc = add_snapshot(p, i, &hold, e);
	}
	if (!rc && p->policy->account && !p->count)
		rc = err_set(e, ERR_NOT_FOUND, "there is no snapshot of the account '%s'", p->policy->account);
	buf_release(&hold);
	return rc;
}

/*
 * What is gone of the groups, and who of the others was there when something went. One who cleans up by hand forgets in
 * between, and rules have not seen what came since they ran: so everything within a day of the newest counts as once,
 * and what counts is the time before, if there is one.
 */
#define ONCE_MS ((int64_t)24 * 3600 * 1000)

static bool is_forgotten(const struct snapshot_fact *fact)
{
	return fact->state != SNAPSHOT_LIVE && fact->forgotten_ms && !(fact->entry.flags & SNAPSHOT_PARTIAL);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static enum err_code gather_past(struct policy *p, struct err *e)
{
	const struct ledger *l = p->repo->ledger;
	int64_t *newest = mem_zalloc(p->group_count, sizeof *newest);
	int64_t *before = mem_zalloc(p->group_count, sizeof *before);
	enum err_code rc = newest && before ? ERR_OK : err_no_memory(e, p->group_count * sizeof *newest);

	for (size_t i = 0; !rc && i < ledger_snapshot_count(l); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(l, i);
		uint32_t g = group_find(p, &fact->entry);

		if (g == p->group_count || !is_forgotten(fact))
			continue;
		p->past[p->past_count++] = (struct retention_past){ g, fact->entry.time_ms };
		newest[g] = later(newest[g], fact->forgotten_ms);
	}
	for (size_t i = 0; !rc && i < ledger_snapshot_count(l); i++) {
		const struct snapshot_fact *fact = ledger_snapshot(l, i);
		uint32_t g = group_find(p, &fact->entry);

		if (g < p->group_count && is_forgotten(fact) && fact->forgotten_ms <= newest[g] - ONCE_MS)
			before[g] = later(before[g], fact->forgotten_ms);
	}
	for (size_t i = 0; !rc && i < p->count; i++) {
		uint32_t g = p->judged[i].group;

		p->judged[i].settled =
		        ledger_snapshot(l, p->rows[i])->committed_ms <= (before[g] ? before[g] : newest[g]);
	}
	mem_free(newest);
	mem_free(before);
	return rc;
}

static enum err_code judge_once(struct policy *p, struct err *e)
{
	struct retention_case of = { .snapshots = p->judged,
		                     .count = p->count,
		                     .past = p->past,
		                     .past_count = p->past_count,
		                     .group_count = p->group_count,
		                     .now_ms = clock_now_ms() };
	struct retention_rules rules = { .tags = p->policy->keep_tag_count > 0, .forced = p->policy->force };

	for (int i = 0; i < KEEP_PERIODS; i++) {
		rules.count[i] = p->policy->keep[i];
		rules.within_ms[i] = p->policy->keep_within_ms[i];
	}
	return retention_judge(&rules, &of, p->verdicts, p->brakes, e);
}

/* Of those that would go, what holds need. */
static enum err_code ask_holds(struct policy *p, bool *any, struct err *e)
{
	size_t *rows = mem_zalloc(p->count, sizeof *rows), n = 0;
	const struct hold_fact **why = mem_zalloc(p->count, sizeof *why);
	enum err_code rc = rows && why ? ERR_OK : err_no_memory(e, p->count * sizeof *rows);

	for (size_t i = 0; !rc && i < p->count; i++)
		if (!p->verdicts[i].keep)
			rows[n++] = p->rows[i];
	if (!rc)
		rc = holds_judge(p->repo, rows, n, why, e);
	for (size_t i = 0, at = 0; !rc && i < p->count; i++) {
		if (p->verdicts[i].keep)
			continue;
		p->judged[i].held = why[at++];
		*any |= p->judged[i].held;
	}
	for (size_t i = 0, at = 0; !rc && i < p->count; i++)
		p->why[i] = p->verdicts[i].keep
		                    ? ledger_held(p->repo->ledger, ledger_snapshot(p->repo->ledger, p->rows[i]), false)
		                    : why[at++];
	mem_free(rows);
	mem_free((void *)why);
	return rc;
}

/* Holds on items keep snapshots that rules would let go, as few as they can: so the rules come first, and again. */
static enum err_code judge(struct policy *p, struct err *e)
{
	bool any = false;
	enum err_code rc = gather_past(p, e);

	if (!rc)
		rc = judge_once(p, e);
	p->head = ledger_head(p->repo->ledger).number;
	if (!rc)
		rc = ask_holds(p, &any, e);
	return rc || !any ? rc : judge_once(p, e);
}

/* ---- telling ---- */

static bool is_held(const struct policy *p, size_t i)
{
	return !p->verdicts[i].keep && p->brakes[p->judged[i].group] != RETENTION_GO;
}

static enum err_code tell_one(struct policy *p, size_t i, forget_visit visit, void *ctx, struct err *e)
{
	struct buf hold = BUF_EMPTY, reasons = BUF_EMPTY, label = BUF_EMPTY;
	struct forget_verdict v = { .keep = p->verdicts[i].keep, .held = is_held(p, i) };
	struct snapshot_info info;
	enum err_code rc = snapshot_show(p->repo, ledger_snapshot(p->repo->ledger, p->rows[i]), &hold, &info, e);

	for (unsigned bit = 0; !rc && bit < RETENTION_REASON_END; bit++)
		if (p->verdicts[i].reasons & RETENTION_BIT(bit))
			rc = buf_printf(&reasons, e, "%s%s", reasons.len ? ", " : "", retention_reason_name(bit));
	if (!rc)
		rc = buf_append(&reasons, span_of("", 1), e);
	if (!rc && p->why[i])
		rc = hold_label(p->repo, p->why[i], &label, e);
	v.hold = buf_span(&label);
	v.snapshot = &info;
	v.reasons = (const char *)reasons.ptr;
	if (!rc)
		rc = visit(ctx, &v, e);
	buf_release(&hold);
	buf_release(&reasons);
	buf_release(&label);
	return rc;
}

static const char *brake_text(enum retention_brake brake)
{
	switch (brake) {
	case RETENTION_BURST:
		return ": many came within a day, far more than usual, and push older ones out";
	case RETENTION_SUDDEN:
		return ", far more than usual: most of them stayed the last time that some were forgotten";
	default:
		return ", more than half of them, at once";
	}
}

static void tell_brake(struct policy *p, uint32_t group)
{
	struct buf hold = BUF_EMPTY;
	struct snapshot_info info;
	size_t row = SIZE_MAX, all = 0, going = 0;

	for (size_t i = 0; i < p->count; i++) {
		if (p->judged[i].group != group)
			continue;
		row = p->rows[i];
		all++;
		going += !p->verdicts[i].keep;
	}
	if (!snapshot_show(p->repo, ledger_snapshot(p->repo->ledger, row), &hold, &info, &(struct err){ 0 }))
		repo_notice(
		        p->repo, ENGINE_WARNING,
		        "nothing of '%.*s' is forgotten: of %zu snapshots %zu would go%s. Look at it with --dry-run; "
		        "--force does it anyway",
		        info.names_hidden ? 8 : (int)info.account.len,
		        info.names_hidden ? info.account_id_hex : (const char *)info.account.ptr, all, going,
		        brake_text(p->brakes[group]));
	buf_release(&hold);
}

static enum err_code tell_all(struct policy *p, forget_visit visit, void *ctx, struct forget_report *out, struct err *e)
{
	enum err_code rc = ERR_OK;

	for (size_t i = 0; !rc && i < p->count; i++) {
		out->kept += p->verdicts[i].keep;
		out->held += is_held(p, i);
		out->forgotten += !p->verdicts[i].keep && !is_held(p, i);
		if (visit)
			rc = tell_one(p, i, visit, ctx, e);
	}
	for (uint32_t g = 0; !rc && g < p->group_count; g++)
		if (p->brakes[g] != RETENTION_GO)
			tell_brake(p, g);
	return rc;
}

/* ---- forgetting ---- */

static enum err_code forget(struct policy *p, struct err *e)
{
	struct buf ids = BUF_EMPTY;
	enum err_code rc = ERR_OK;

	/* All ids first: the ledger's rows are good until it grows. */
	for (size_t i = 0; !rc && i < p->count; i++)
		if (!p->verdicts[i].keep && !is_held(p, i))
			rc = buf_append(
			        &ids, span_of(&ledger_snapshot(p->repo->ledger, p->rows[i])->entry.id, ID16_BYTES), e);
	for (size_t at = 0; !rc && at < ids.len; at += COMMIT_SNAPSHOTS_MAX * ID16_BYTES) {
		struct span some = span_first(span_skip(buf_span(&ids), at), COMMIT_SNAPSHOTS_MAX * ID16_BYTES);

		rc = holds_forget(p->repo, p->head, (const struct snapshot_id *)(const void *)some.ptr,
		                  some.len / ID16_BYTES, e);
	}
	buf_release(&ids);
	return rc;
}

enum err_code engine_forget_policy(struct repo *r, const struct forget_policy *policy, forget_visit visit, void *ctx,
                                   struct forget_report *out, struct err *e)
{
	struct policy p = { .repo = r, .policy = policy };
	enum err_code rc = repo_need_keep(r, "forget snapshots", e);

	memset(out, 0, sizeof *out);
	if (!rc)
		rc = repo_refresh(r, e);
	if (!rc)
		rc = gather(&p, e);
	if (!rc)
		rc = judge(&p, e);
	if (!rc)
		rc = tell_all(&p, visit, ctx, out, e);
	if (!rc && !policy->dry_run)
		rc = forget(&p, e);
	release(&p);
	return rc;
}
