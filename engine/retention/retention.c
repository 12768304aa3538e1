/*
 * Each group is walked alone. Forwards: which times count, what shrank, what was finished. Backwards, newest first:
 * each period keeps the first snapshot that it meets. Only what counts can fill a period; what does not count is kept
 * besides.
 */
#include "engine/retention/retention.h"

#include "base/mem.h"

#define HOUR_MS ((int64_t)3600 * 1000)
#define DAY_MS  (24 * HOUR_MS)
#define NONE    INT64_MAX

static const char *const names[RETENTION_REASON_END] = { "last",
	                                                 "hourly",
	                                                 "daily",
	                                                 "weekly",
	                                                 "monthly",
	                                                 "quarterly",
	                                                 "yearly",
	                                                 "within",
	                                                 "within-hourly",
	                                                 "within-daily",
	                                                 "within-weekly",
	                                                 "within-monthly",
	                                                 "within-quarterly",
	                                                 "within-yearly",
	                                                 "tag",
	                                                 "pinned",
	                                                 "hold",
	                                                 "newest",
	                                                 "shrunk",
	                                                 "before-shrunk",
	                                                 "clock",
	                                                 "unfinished",
	                                                 "finished-since",
	                                                 "no-rule" };

const char *retention_reason_name(unsigned reason)
{
	return reason < RETENTION_REASON_END ? names[reason] : "";
}

/* ---- civil time ---- */

static int64_t divide_down(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Months since year 0 of the civil date DAYS after 1970-01-01, by eras of 400 years that begin in March. */
static int64_t month_of(int64_t days)
{
	int64_t shifted = days + 719468, era = divide_down(shifted, 146097), in_era = shifted - era * 146097;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t march_month = (5 * in_year + 2) / 153;

	return (era * 400 + year) * 12 + march_month + 2;
}

/* The number of the period that S lies in; rises with local time. */
static int64_t period_of(const struct retention_snapshot *s, enum retention_period p)
{
	int64_t local = s->time_ms + (int64_t)s->zone_minutes * 60000, days = divide_down(local, DAY_MS);

	switch (p) {
	case RETENTION_HOURLY:
		return divide_down(local, HOUR_MS);
	case RETENTION_DAILY:
		return days;
	case RETENTION_WEEKLY:
		return divide_down(days + 3, 7); /* 1970-01-01 was a Thursday */
	case RETENTION_MONTHLY:
		return month_of(days);
	case RETENTION_QUARTERLY:
		return divide_down(month_of(days), 3);
	case RETENTION_YEARLY:
		return divide_down(month_of(days), 12);
	default:
		return 0;
	}
}

/* ---- one group ---- */

struct judge {
	const struct retention_rules *rules;
	const struct retention_snapshot *all;
	struct retention_verdict *out;
	size_t *rows; /* of the group, in ledger order */
	size_t count;
	bool *counts; /* per row: may fill a period */
	int64_t now_ms;
};

static const struct retention_snapshot *at(const struct judge *j, size_t i)
{
	return &j->all[j->rows[i]];
}

static void keep(struct judge *j, size_t i, unsigned reason)
{
	struct retention_verdict *v = &j->out[j->rows[i]];

	v->keep = true;
	v->reasons |= RETENTION_BIT(reason);
}

/* Which times can be true, and what shrank. */
static void walk_forward(struct judge *j)
{
	int64_t last_ms = INT64_MIN;
	size_t complete = SIZE_MAX;

	for (size_t i = 0; i < j->count; i++) {
		const struct retention_snapshot *s = at(j, i);

		j->counts[i] = false;
		if (s->partial)
			continue;
		if (s->time_ms > j->now_ms || s->time_ms < last_ms) {
			keep(j, i, RETENTION_BAD_CLOCK);
		} else {
			last_ms = s->time_ms;
			j->counts[i] = !s->shrunk;
		}
		/* Both stay until somebody has looked: were the shrunk one forgotten alone, nothing would hold the
		 * other. */
		if (s->shrunk) {
			keep(j, i, RETENTION_SHRUNK);
			if (complete != SIZE_MAX)
				keep(j, complete, RETENTION_BEFORE_SHRUNK);
		}
		complete = i;
	}
}

/* What stays for a reason of its own, newest first. */
static void walk_fixed(struct judge *j)
{
	bool complete_later = false;

	for (size_t i = j->count; i-- > 0;) {
		const struct retention_snapshot *s = at(j, i);

		if (s->pinned)
			keep(j, i, RETENTION_PINNED);
		if (s->held)
			keep(j, i, RETENTION_HELD);
		if (s->tagged)
			keep(j, i, RETENTION_TAGGED);
		if (s->partial && !complete_later)
			keep(j, i, RETENTION_UNFINISHED);
		else if (s->partial && !j->out[j->rows[i]].keep)
			j->out[j->rows[i]].reasons = RETENTION_BIT(RETENTION_FINISHED);
		if (!s->partial && !complete_later)
			keep(j, i, RETENTION_NEWEST);
		complete_later |= !s->partial;
	}
}

/* Since when within_ms[P] keeps: NONE without such a rule, or without a snapshot whose time counts. */
static int64_t within_since(const struct judge *j, enum retention_period p)
{
	if (j->rules->within_ms[p] <= 0)
		return NONE;
	for (size_t i = j->count; i-- > 0;)
		if (j->counts[i])
			return at(j, i)->time_ms - j->rules->within_ms[p];
	return NONE;
}

/* The newest of each period. Zones that change can make local time step back: each period counts once all the same. */
static void walk_period(struct judge *j, enum retention_period p)
{
	int64_t since = within_since(j, p), last = NONE;
	uint32_t left = j->rules->count[p];

	for (size_t i = j->count; i-- > 0 && (left || since != NONE);) {
		int64_t period;

		if (!j->counts[i])
			continue;
		period = period_of(at(j, i), p);
		if (p != RETENTION_LAST && period >= last)
			continue;
		last = period;
		if (left) {
			keep(j, i, p);
			left -= left != UINT32_MAX;
		}
		if (since != NONE && at(j, i)->time_ms >= since)
			keep(j, i, RETENTION_WITHIN + (unsigned)p);
	}
}

/* ---- the brake ---- */

/* Snapshots of the last day, and how many a day had before: over the days between the first and this day, at least one.
 */
static bool is_burst(const struct judge *j, size_t *fresh)
{
	int64_t day_ago = j->now_ms - DAY_MS, first = NONE;
	size_t new_ones = 0, old_ones = 0, days;

	for (size_t i = 0; i < j->count; i++) {
		if (!j->counts[i])
			continue;
		if (first == NONE)
			first = at(j, i)->time_ms;
		if (at(j, i)->time_ms > day_ago)
			new_ones++;
		else
			old_ones++;
	}
	*fresh = new_ones;
	if (new_ones < RETENTION_BRAKE_MIN || !old_ones)
		return false;
	days = 1 + (size_t)((day_ago - first) / DAY_MS);
	/* new > TIMES * old / days, without the fraction */
	return new_ones * days > RETENTION_BURST_TIMES * old_ones;
}

/* Would an older one stay if those of the last day did not count as last ones? A burst does not move the other rules.
 */
static bool burst_pushes(const struct judge *j)
{
	uint32_t left = j->rules->count[RETENTION_LAST];
	size_t fresh;

	if (!left || !is_burst(j, &fresh))
		return false;
	for (size_t i = j->count; i-- > 0 && left;) {
		if (!j->counts[i] || at(j, i)->time_ms > j->now_ms - DAY_MS)
			continue;
		if (!j->out[j->rows[i]].keep)
			return true;
		left--;
	}
	return false;
}

static enum retention_brake brake_of(const struct judge *j)
{
	size_t complete = 0, going = 0;

	if (j->rules->forced)
		return RETENTION_GO;
	for (size_t i = 0; i < j->count; i++) {
		if (at(j, i)->partial)
			continue;
		complete++;
		going += !j->out[j->rows[i]].keep;
	}
	/* The more telling reason first. */
	if (burst_pushes(j))
		return RETENTION_BURST;
	return complete >= RETENTION_BRAKE_MIN && 2 * going > complete ? RETENTION_TOO_MANY : RETENTION_GO;
}

/* ---- all groups ---- */

static void judge_group(struct judge *j)
{
	walk_forward(j);
	walk_fixed(j);
	for (int p = 0; p < RETENTION_PERIODS; p++)
		walk_period(j, (enum retention_period)p);
	for (size_t i = 0; i < j->count; i++)
		if (!j->out[j->rows[i]].keep && !j->out[j->rows[i]].reasons)
			j->out[j->rows[i]].reasons = RETENTION_BIT(RETENTION_NO_RULE);
}

static bool any_rule(const struct retention_rules *rules)
{
	for (int p = 0; p < RETENTION_PERIODS; p++)
		if (rules->count[p] || rules->within_ms[p] > 0)
			return true;
	return rules->tags;
}

enum err_code retention_judge(const struct retention_rules *rules, const struct retention_snapshot *snapshots,
                              size_t count, uint32_t group_count, int64_t now_ms, struct retention_verdict *out,
                              enum retention_brake *brakes, struct err *e)
{
	struct judge j = { .rules = rules, .all = snapshots, .out = out, .now_ms = now_ms };

	if (!any_rule(rules))
		return err_set(e, ERR_USAGE, "no rule says what to keep");
	j.rows = mem_zalloc(count, sizeof *j.rows);
	j.counts = mem_zalloc(count, sizeof *j.counts);
	if (!j.rows || !j.counts) {
		mem_free(j.rows);
		mem_free(j.counts);
		return err_no_memory(e, count * sizeof *j.rows);
	}
	for (size_t i = 0; i < count; i++)
		out[i] = (struct retention_verdict){ false, 0 };
	for (uint32_t group = 0; group < group_count; group++) {
		j.count = 0;
		for (size_t i = 0; i < count; i++)
			if (snapshots[i].group == group)
				j.rows[j.count++] = i;
		judge_group(&j);
		brakes[group] = brake_of(&j);
	}
	mem_free(j.rows);
	mem_free(j.counts);
	return ERR_OK;
}
