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
	p->groups = mem_zalloc(n, sizeof *p->groups);
	p->brakes = mem_zalloc(n, sizeof *p->brakes);
	if (!p->judged || !p->verdicts || !p->rows || !p->why || !p->groups || !p->brakes)
		return err_no_memory(e, n * sizeof *p->judged);
	return ERR_OK;
}

static void release(struct policy *p)
{
	mem_free(p->judged);
	mem_free(p->verdicts);
	mem_free(p->rows);
	mem_free((void *)p->why);
	mem_free(p->groups);
	mem_free(p->brakes);
}

static uint32_t group_of(struct policy *p, const struct snapshot_entry *entry)
{
	struct group wanted = { entry->account, entry->holder };

	for (uint32_t g = 0; g < p->group_count; g++)
		if (!memcmp(&p->groups[g], &wanted, sizeof wanted))
			return g;
	p->groups[p->group_count] = wanted;
	return p->group_count++;
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

static enum err_code judge_once(struct policy *p, struct err *e)
{
	struct retention_rules rules = { .tags = p->policy->keep_tag_count > 0, .forced = p->policy->force };

	for (int i = 0; i < KEEP_PERIODS; i++) {
		rules.count[i] = p->policy->keep[i];
		rules.within_ms[i] = p->policy->keep_within_ms[i];
	}
	return retention_judge(&rules, p->judged, p->count, p->group_count, clock_now_ms(), p->verdicts, p->brakes, e);
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
	enum err_code rc = judge_once(p, e);

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

/* The name of a group's account, for a notice. */
static void tell_brake(struct policy *p, uint32_t group)
{
	struct buf hold = BUF_EMPTY;
	struct snapshot_info info;
	size_t i = 0;

	while (p->judged[i].group != group)
		i++;
	if (!snapshot_show(p->repo, ledger_snapshot(p->repo->ledger, p->rows[i]), &hold, &info, &(struct err){ 0 }))
		repo_notice(
		        p->repo,
		        "nothing of '%.*s' is forgotten: %s. Look at it with --dry-run; --force does it anyway",
		        info.names_hidden ? 8 : (int)info.account.len,
		        info.names_hidden ? info.account_id_hex : (const char *)info.account.ptr,
		        p->brakes[group] == RETENTION_BURST
		                ? "many snapshots came within a day, far more than usual, and would push older ones out"
		                : "more than half of its snapshots would go at once");
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
	enum err_code rc = ledger_refresh(r->ledger, e);

	memset(out, 0, sizeof *out);
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
