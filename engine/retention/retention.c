/*
 * Each group is walked alone. Forwards: which times count, what shrank, what was finished. Backwards, newest first:
 * each period keeps the first snapshot that it meets. Only what counts can fill a period; what does not count is kept
 * besides.
 */
#include "engine/retention/retention.h"

#include <stdlib.h>

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

struct arrival {
	int64_t time_ms;
	size_t row; /* of the judge, or SIZE_MAX: it is gone */
};

struct judge {
	const struct retention_rules *rules;
	const struct retention_case *of;
	struct retention_verdict *out;
	size_t *rows; /* of the group, in ledger order */
	size_t count;
	bool *counts; /* per row: may fill a period */
	/* For the brake. */
	bool *burst;                    /* per row: came in a burst */
	struct arrival *arrivals;       /* all that ever counted, by time */
	struct retention_verdict *once; /* what else would be judged */
	size_t *settled;                /* rows of the group that are */
};

static const struct retention_snapshot *at(const struct judge *j, size_t i)
{
	return &j->of->snapshots[j->rows[i]];
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
		if (s->time_ms > j->of->now_ms || s->time_ms < last_ms) {
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

/* ---- all rules, one group ---- */

static void judge_group(struct judge *j)
{
	for (size_t i = 0; i < j->count; i++)
		j->out[j->rows[i]] = (struct retention_verdict){ false, 0 };
	walk_forward(j);
	walk_fixed(j);
	for (int p = 0; p < RETENTION_PERIODS; p++)
		walk_period(j, (enum retention_period)p);
	for (size_t i = 0; i < j->count; i++)
		if (!j->out[j->rows[i]].keep && !j->out[j->rows[i]].reasons)
			j->out[j->rows[i]].reasons = RETENTION_BIT(RETENTION_NO_RULE);
}

/* ---- the brake: bursts ---- */

static int by_time(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;

	if (x->time_ms != y->time_ms)
		return x->time_ms < y->time_ms ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static size_t gather_arrivals(struct judge *j, uint32_t group)
{
	size_t n = 0;

	for (size_t i = 0; i < j->count; i++)
		if (j->counts[i])
			j->arrivals[n++] = (struct arrival){ at(j, i)->time_ms, i };
	for (size_t i = 0; i < j->of->past_count; i++)
		if (j->of->past[i].group == group && j->of->past[i].time_ms <= j->of->now_ms)
			j->arrivals[n++] = (struct arrival){ j->of->past[i].time_ms, SIZE_MAX };
	qsort(j->arrivals, n, sizeof *j->arrivals, by_time);
	return n;
}

/*
 * Of each 24 hours that end with an arrival, K: A is the first in them, B the first of the days before that tell what is
 * usual. That history was thinned does not matter, since what is gone has arrived, too.
 */
static void mark_bursts(struct judge *j, size_t n)
{
	const struct arrival *all = j->arrivals;
	size_t a = 0, b = 0, marked = 0;

	memset(j->burst, 0, j->count * sizeof *j->burst);
	for (size_t k = 0; k < n; k++) {
		int64_t fresh, usual;

		while (all[k].time_ms - all[a].time_ms >= DAY_MS)
			a++;
		if (a == 0)
			continue;
		while (all[a - 1].time_ms - all[b].time_ms >= RETENTION_USUAL_DAYS * DAY_MS)
			b++;
		fresh = (int64_t)(k - a + 1);
		usual = (int64_t)(a - b);
		/* fresh / day > TIMES * usual / (from b to a), without fractions */
		if (fresh < RETENTION_BRAKE_MIN || fresh * ((all[a].time_ms - all[b].time_ms) / 1000) <=
		                                           RETENTION_BURST_TIMES * usual * (DAY_MS / 1000))
			continue;
		for (size_t i = a > marked ? a : marked; i <= k; i++)
			if (all[i].row != SIZE_MAX)
				j->burst[all[i].row] = true;
		marked = k + 1;
	}
}

/* Would an older one stay by P if what came in bursts did not count? Days and longer get one each, burst or not. */
static bool burst_pushes(const struct judge *j, enum retention_period p)
{
	uint32_t left = j->rules->count[p];
	int64_t last = NONE;
	bool passed = false;

	for (size_t i = j->count; i-- > 0 && left;) {
		int64_t period = period_of(at(j, i), p);

		passed |= j->burst[i];
		if (!j->counts[i] || j->burst[i] || (p != RETENTION_LAST && period >= last))
			continue;
		if (passed && !j->out[j->rows[i]].keep)
			return true;
		last = period;
		left--;
	}
	return false;
}

/* ---- the brake: how many go ---- */

static void count_going(const struct judge *j, size_t *complete, size_t *going)
{
	*complete = *going = 0;
	for (size_t i = 0; i < j->count; i++) {
		if (at(j, i)->partial)
			continue;
		++*complete;
		*going += !j->out[j->rows[i]].keep;
	}
}

/* How many of those that rules left would go now, had nothing come since. The same rules leave what they left. */
static size_t going_of_settled(const struct judge *j)
{
	struct judge again = *j;
	size_t complete, going;

	again.out = j->once;
	again.rows = j->settled;
	again.count = 0;
	for (size_t i = 0; i < j->count; i++)
		if (at(j, i)->settled)
			again.rows[again.count++] = j->rows[i];
	judge_group(&again); /* over COUNTS, which nobody needs any more */
	count_going(&again, &complete, &going);
	return going;
}

/* The more telling reason first. */
static enum retention_brake brake_of(struct judge *j, uint32_t group)
{
	size_t complete, going;

	count_going(j, &complete, &going);
	if (j->rules->forced || !going)
		return RETENTION_GO;
	mark_bursts(j, gather_arrivals(j, group));
	if (burst_pushes(j, RETENTION_LAST) || burst_pushes(j, RETENTION_HOURLY))
		return RETENTION_BURST;
	if (complete >= RETENTION_BRAKE_MIN && 2 * going > complete)
		return RETENTION_TOO_MANY;
	if (going >= RETENTION_BRAKE_MIN && going_of_settled(j) >= RETENTION_BRAKE_MIN)
		return RETENTION_SUDDEN;
	return RETENTION_GO;
}

/* ---- all groups ---- */

static bool any_rule(const struct retention_rules *rules)
{
	for (int p = 0; p < RETENTION_PERIODS; p++)
		if (rules->count[p] || rules->within_ms[p] > 0)
			return true;
	return rules->tags;
}

static bool make_room(struct judge *j)
{
	size_t count = j->of->count;

	j->rows = mem_zalloc(count, sizeof *j->rows);
	j->counts = mem_zalloc(count, sizeof *j->counts);
	j->burst = mem_zalloc(count, sizeof *j->burst);
	j->arrivals = mem_zalloc(count + j->of->past_count, sizeof *j->arrivals);
	j->once = mem_zalloc(count, sizeof *j->once);
	j->settled = mem_zalloc(count, sizeof *j->settled);
	return j->rows && j->counts && j->burst && j->arrivals && j->once && j->settled;
}

static void release(struct judge *j)
{
	mem_free(j->rows);
	mem_free(j->counts);
	mem_free(j->burst);
	mem_free(j->arrivals);
	mem_free(j->once);
	mem_free(j->settled);
}

enum err_code retention_judge(const struct retention_rules *rules, const struct retention_case *of,
                              struct retention_verdict *out, enum retention_brake *brakes, struct err *e)
{
	struct judge j = { .rules = rules, .of = of, .out = out };
	enum err_code rc = ERR_OK;

	if (!any_rule(rules))
		return err_set(e, ERR_USAGE, "no rule says what to keep");
	if (!make_room(&j))
		rc = err_no_memory(e, of->count * sizeof *j.once);
	for (uint32_t group = 0; !rc && group < of->group_count; group++) {
		j.count = 0;
		for (size_t i = 0; i < of->count; i++)
			if (of->snapshots[i].group == group)
				j.rows[j.count++] = i;
		judge_group(&j);
		brakes[group] = brake_of(&j, group);
	}
	release(&j);
	return rc;
}
