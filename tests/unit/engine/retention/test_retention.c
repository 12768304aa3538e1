#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "engine/retention/retention.h"

#define HOUR ((int64_t)3600000)
#define DAY  (24 * HOUR)
#define MANY 512
#define PAST 8192

static struct err err;

/* "2026-11-22 20:15" in the zone. */
static int64_t civil(int y, int m, int d, int h, int min, int zone)
{
	int64_t out;

	assert_true(clock_civil(y, m, d, h, min, 0, zone, &out));
	return out;
}

struct world {
	struct retention_rules rules;
	struct retention_snapshot s[MANY];
	struct retention_past past[PAST];
	struct retention_verdict v[MANY];
	enum retention_brake brakes[4];
	size_t count, past_count;
	int64_t now;
};

static void add(struct world *w, int64_t time_ms, int zone)
{
	w->s[w->count++] = (struct retention_snapshot){ .time_ms = time_ms, .zone_minutes = (int16_t)zone };
}

static void judge(struct world *w)
{
	struct retention_case of;

	if (!w->now)
		w->now = w->s[w->count - 1].time_ms + HOUR;
	of = (struct retention_case){ w->s, w->count, w->past, w->past_count, 4, w->now };
	assert_int_equal(retention_judge(&w->rules, &of, w->v, w->brakes, &err), ERR_OK);
}

/* What stays, as a picture: '#' kept, '.' not. */
static void looks(const struct world *w, const char *picture)
{
	char got[MANY + 1] = "";

	for (size_t i = 0; i < w->count; i++)
		got[i] = w->v[i].keep ? '#' : '.';
	assert_string_equal(got, picture);
}

static bool because(const struct world *w, size_t i, unsigned reason)
{
	return (w->v[i].reasons & RETENTION_BIT(reason)) != 0;
}

static void without_a_rule_nothing_is_judged(void **state)
{
	struct world w = { .count = 0 };

	(void)state;
	add(&w, DAY, 0);
	assert_int_equal(retention_judge(&w.rules,
	                                 &(struct retention_case){
	                                         .snapshots = w.s, .count = 1, .group_count = 1, .now_ms = 2 * DAY },
	                                 w.v, w.brakes, &err),
	                 ERR_USAGE);
}

static void the_last_ones_stay(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 3 };

	(void)state;
	for (int i = 0; i < 6; i++)
		add(&w, i * DAY, 0);
	judge(&w);
	looks(&w, "...###");
	assert_true(because(&w, 5, RETENTION_LAST) && because(&w, 5, RETENTION_NEWEST));
	assert_true(because(&w, 0, RETENTION_NO_RULE));
}

/* Two a day at 06:00 and 18:00 local; the later one stands for its day. */
static void days_end_at_local_midnight(void **state)
{
	static const int zones[] = { 0, 60, -480, 840, -720, 345 };

	(void)state;
	for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
		struct world w = { .rules.count[RETENTION_DAILY] = 3 };

		for (int d = 1; d <= 4; d++) {
			add(&w, civil(2026, 11, d, 0, 5, zones[z]), zones[z]);
			add(&w, civil(2026, 11, d, 23, 55, zones[z]), zones[z]);
		}
		judge(&w);
		looks(&w, "...#.#.#");
	}
}

static void weeks_begin_on_monday(void **state)
{
	struct world w = { .rules.count[RETENTION_WEEKLY] = 2 };

	(void)state;
	for (int d = 12; d <= 24; d++) /* Thursday to Tuesday; Mondays are the 16th and the 23rd */
		add(&w, civil(2026, 11, d, 12, 0, 60), 60);
	judge(&w);
	looks(&w, "..........#.#");
}

static void months_quarters_and_years_are_civil(void **state)
{
	struct world w = { .rules.count = {
		                   [RETENTION_MONTHLY] = 3, [RETENTION_QUARTERLY] = 3, [RETENTION_YEARLY] = 3 } };
	static const int months[] = { 1, 2, 3, 4, 6, 7, 9, 10, 12 };
	size_t n = 0;

	(void)state;
	for (int y = 2024; y <= 2026; y++)
		for (size_t m = 0; m < sizeof months / sizeof *months; m++) {
			add(&w, civil(y, months[m], 1, 0, 0, -300), -300);
			n++;
		}
	judge(&w);
	/* 2024: the year's last; 2025 likewise; 2026: June (Q2), September (Q3 and a month), October, December. */
	looks(&w, "........#"
	          "........#"
	          "....#.###");
	assert_true(because(&w, n - 1, RETENTION_MONTHLY) && because(&w, n - 1, RETENTION_QUARTERLY) &&
	            because(&w, n - 1, RETENTION_YEARLY));
	assert_true(because(&w, 8, RETENTION_YEARLY) && !because(&w, 8, RETENTION_QUARTERLY));
	assert_true(because(&w, n - 5, RETENTION_QUARTERLY) && !because(&w, n - 5, RETENTION_MONTHLY));
}

static void february_ends_where_it_does(void **state)
{
	struct world w = { .rules.count[RETENTION_MONTHLY] = 9 };

	(void)state;
	add(&w, civil(1900, 2, 28, 12, 0, 0), 0);
	add(&w, civil(1900, 3, 1, 12, 0, 0), 0);
	add(&w, civil(2000, 2, 29, 12, 0, 0), 0);
	add(&w, civil(2000, 3, 1, 12, 0, 0), 0);
	add(&w, civil(2024, 2, 28, 12, 0, 0), 0);
	add(&w, civil(2024, 2, 29, 12, 0, 0), 0);
	judge(&w);
	looks(&w, "####.#");
}

/* In autumn the hour from 2 to 3 comes twice: both are one local hour, and none is lost around it. */
static void the_hour_that_comes_twice_is_one(void **state)
{
	struct world w = { .rules.count[RETENTION_HOURLY] = 24 };

	(void)state;
	add(&w, civil(2026, 10, 25, 1, 30, 120), 120);
	add(&w, civil(2026, 10, 25, 2, 30, 120), 120);
	add(&w, civil(2026, 10, 25, 2, 30, 60), 60);
	add(&w, civil(2026, 10, 25, 3, 30, 60), 60);
	judge(&w);
	looks(&w, "#.##");
}

/* Flying west the local day comes again; each is counted once. */
static void a_day_that_comes_again_counts_once(void **state)
{
	struct world w = { .rules.count[RETENTION_DAILY] = 2 };

	(void)state;
	add(&w, civil(2026, 5, 4, 12, 0, 600), 600);
	add(&w, civil(2026, 5, 5, 6, 0, 600), 600);
	add(&w, civil(2026, 5, 4, 20, 0, -480), -480);
	add(&w, civil(2026, 5, 5, 9, 0, -480), -480);
	judge(&w);
	looks(&w, "..##");
}

static void within_goes_by_the_newest_snapshot(void **state)
{
	struct world w = { .rules.within_ms = { [RETENTION_LAST] = 2 * DAY, [RETENTION_DAILY] = 5 * DAY } };

	(void)state;
	for (int i = 0; i < 20; i++)
		add(&w, civil(2026, 3, 1, 8, 0, 0) + i * 12 * HOUR, 0);
	/* The runs stopped a year ago: nothing ages away meanwhile. */
	w.now = w.s[19].time_ms + 365 * DAY;
	judge(&w);
	looks(&w, ".........#.#.#.#####");
	assert_true(because(&w, 19, RETENTION_WITHIN) && because(&w, 9, RETENTION_WITHIN + RETENTION_DAILY));
}

static void tags_and_pins_stay(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 1 };

	(void)state;
	for (int i = 0; i < 5; i++)
		add(&w, i * DAY, 0);
	w.s[1].pinned = true;
	w.s[2].tagged = true;
	w.s[3].partial = w.s[3].pinned = true;
	judge(&w);
	looks(&w, ".####");
	assert_true(because(&w, 1, RETENTION_PINNED) && because(&w, 2, RETENTION_TAGGED));
}

/* Held ones stay beside what the rules keep: they fill no period that another would fill, and none falls for them. */
static void held_ones_stay_besides(void **state)
{
	static const struct {
		const char *held, *stays; /* 'h': held; '#': stays */
	} table[] = {
		{ "........", "......##" }, { "h.......", "#.....##" }, { "hh......", "##....##" },
		{ ".......h", "......##" }, { "hhhhhhhh", "########" }, { "...h.h..", "...#.###" },
	};

	(void)state;
	for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
		struct world w = { .rules.count[RETENTION_DAILY] = 2, .rules.forced = true };

		for (int i = 0; i < 8; i++) {
			add(&w, i * DAY + HOUR, 0);
			w.s[i].held = table[t].held[i] == 'h';
		}
		judge(&w);
		looks(&w, table[t].stays);
		for (int i = 0; i < 8; i++)
			assert_int_equal(because(&w, (size_t)i, RETENTION_HELD), w.s[i].held);
		assert_string_equal(retention_reason_name(RETENTION_HELD), "hold");
	}
}

/* What is held does not go, so it is not among the many that a brake counts; a held partial run stays, too. */
static void what_is_held_is_not_counted_as_going(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 3 };

	(void)state;
	for (int i = 0; i < 10; i++)
		add(&w, i * DAY, 0);
	w.s[1].partial = true;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_TOO_MANY);
	assert_false(w.v[1].keep);
	for (int i = 0; i < 5; i++)
		w.s[i].held = true;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
	looks(&w, "#####..###");
}

/*
 * A clock that ran into the future and came back, one that fell back to 1970, one that was a day ahead for three days.
 * What cannot be true stays besides; what comes after it is judged as ever.
 */
static void clock_jumps_take_nothing_away(void **state)
{
	static const struct {
		int64_t jump; /* of snapshots 5 to 7 */
		const char *stays;
	} table[] = {
		{ 0, ".......###" },         { 400 * DAY, "....######" }, { -5000 * DAY, "....######" },
		{ 30 * HOUR, "......####" }, { -1, ".......###" },
	};

	(void)state;
	for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
		struct world w = { .rules.count[RETENTION_DAILY] = 3, .rules.forced = true, .now = 5010 * DAY };

		for (int i = 0; i < 10; i++)
			add(&w, (5000 + i) * DAY + 12 * HOUR + (i >= 5 && i <= 7 ? table[t].jump : 0),
			    i % 2 ? 60 : 120);
		judge(&w);
		looks(&w, table[t].stays);
	}
}

/* Moving a machine between zones, summer time and back: never fewer days than asked for, at every pair of zones. */
static void any_zones_keep_as_many_days_as_asked_for(void **state)
{
	static const int zones[] = { -720, -300, 0, 60, 120, 345, 765, 840 };

	(void)state;
	for (size_t a = 0; a < sizeof zones / sizeof *zones; a++)
		for (size_t b = 0; b < sizeof zones / sizeof *zones; b++) {
			struct world w = { .rules.count[RETENTION_DAILY] = 5, .rules.forced = true };
			size_t kept = 0;

			for (int i = 0; i < 24; i++)
				add(&w, civil(2026, 3, 20, 6, 0, 0) + i * 12 * HOUR, zones[i % 4 < 2 ? a : b]);
			judge(&w);
			for (size_t i = 0; i < w.count; i++)
				kept += w.v[i].keep;
			assert_int_equal(kept, 5);
			assert_true(w.v[23].keep);
		}
}

static void groups_do_not_see_each_other(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 2 };

	(void)state;
	for (int i = 0; i < 9; i++) {
		add(&w, i * DAY, 0);
		w.s[i].group = (uint32_t)i % 3;
	}
	judge(&w);
	looks(&w, "...######");
}

static void unfinished_runs_go_once_a_whole_one_came(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 2 };

	(void)state;
	for (int i = 0; i < 6; i++)
		add(&w, i * DAY, 0);
	w.s[1].partial = w.s[3].partial = w.s[5].partial = true;
	judge(&w);
	looks(&w, "..#.##");
	assert_true(because(&w, 3, RETENTION_FINISHED) && because(&w, 5, RETENTION_UNFINISHED));
	assert_true(because(&w, 4, RETENTION_NEWEST));
}

static void a_shrunk_one_never_pushes_out_the_one_before(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 2 };

	(void)state;
	for (int i = 0; i < 9; i++)
		add(&w, i * DAY, 0);
	w.s[3].shrunk = true;
	judge(&w);
	looks(&w, "..##...##");
	assert_true(because(&w, 2, RETENTION_BEFORE_SHRUNK) && because(&w, 3, RETENTION_SHRUNK));
	/* Nor when it is the newest, nor when several come in a row. */
	w.s[7].shrunk = w.s[8].shrunk = true;
	judge(&w);
	looks(&w, "..##.####");
}

static void a_clock_that_jumps_pushes_nothing_out(void **state)
{
	struct world w = { .rules.count = { [RETENTION_DAILY] = 3 } };

	(void)state;
	for (int i = 0; i < 6; i++)
		add(&w, civil(2026, 6, 1 + i, 12, 0, 0), 0);
	/* Then a clock without a battery, and one far ahead; then good ones. */
	add(&w, civil(1970, 1, 1, 0, 0, 0), 0);
	add(&w, civil(2040, 1, 1, 0, 0, 0), 0);
	add(&w, civil(2040, 1, 2, 0, 0, 0), 0);
	add(&w, civil(2026, 6, 7, 12, 0, 0), 0);
	w.now = civil(2026, 6, 8, 0, 0, 0);
	judge(&w);
	looks(&w, "....######");
	assert_true(because(&w, 6, RETENTION_BAD_CLOCK) && because(&w, 7, RETENTION_BAD_CLOCK));
	/* A pruner whose clock stands far behind believes no newer time, and so forgets nothing that is newer. */
	w.now = civil(2026, 6, 3, 0, 0, 0);
	judge(&w);
	looks(&w, "##########");
}

static void fakes_with_old_times_push_nothing_out(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 3 };

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&w, (1000 + i) * DAY, 0);
	for (int i = 0; i < 20; i++)
		add(&w, i * DAY, 0);
	w.now = 1010 * DAY;
	judge(&w);
	for (int i = 0; i < 3; i++)
		assert_true(because(&w, (size_t)i, RETENTION_LAST));
}

static void more_than_half_at_once_needs_force(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 3 };

	(void)state;
	for (int i = 0; i < 7; i++)
		add(&w, i * DAY, 0);
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO); /* seven are too few to be called many */
	add(&w, 7 * DAY, 0);
	w.now = 0;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_TOO_MANY);
	w.rules.count[RETENTION_LAST] = 4;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
	w.rules.count[RETENTION_LAST] = 1;
	w.rules.forced = true;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
	looks(&w, ".......#");
}

static void a_burst_within_a_day_is_braked(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 30 };

	(void)state;
	for (int i = 0; i < 30; i++)
		add(&w, i * DAY, 0);
	for (int i = 0; i < 12; i++)
		add(&w, 40 * DAY + i * HOUR, 0);
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_BURST);
	w.rules.forced = true;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
}

static void an_hourly_rhythm_is_no_burst(void **state)
{
	struct world w = { .rules.count[RETENTION_LAST] = 200 };

	(void)state;
	for (int i = 0; i < 240; i++)
		add(&w, i * HOUR, 0);
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
	assert_false(w.v[39].keep);
	assert_true(w.v[40].keep);
}

/* Also when prune looks only days later, or nothing but hours is counted; and for as long as it would push. */
static void a_burst_of_some_days_ago_is_braked(void **state)
{
	for (enum retention_period p = RETENTION_LAST; p <= RETENTION_HOURLY; p++) {
		struct world w = { .count = 0 };

		(void)state;
		w.rules.count[p] = 30;
		for (int i = 0; i < 30; i++)
			add(&w, i * DAY, 0);
		for (int i = 0; i < 20; i++)
			add(&w, 29 * DAY + (1 + i) * HOUR, 0);
		for (int i = 0; i < 6; i++)
			add(&w, (30 + i) * DAY, 0);
		judge(&w);
		assert_int_equal(w.brakes[0], RETENTION_BURST);
		/* A month on, what would go without it goes. */
		for (int i = 6; i < 31; i++)
			add(&w, (30 + i) * DAY, 0);
		w.now = 0;
		judge(&w);
		assert_int_not_equal(w.brakes[0], RETENTION_BURST);
	}
}

/* What rules of days keep, a burst does not touch. */
static void a_burst_that_pushes_nothing_is_none(void **state)
{
	struct world w = { .rules.count = { [RETENTION_LAST] = 3, [RETENTION_DAILY] = 60 } };

	(void)state;
	for (int i = 0; i < 40; i++)
		add(&w, i * DAY, 0);
	for (int i = 0; i < 12; i++)
		add(&w, 40 * DAY + i * HOUR, 0);
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
}

/* Runs a pruner behind every snapshot: a year of hourly ones, thinned as most people do it, and never a brake. */
static void a_thinned_history_is_no_burst(void **state)
{
	static const int every_minutes[] = { 15, 60, 240, 1440 };

	(void)state;
	for (size_t r = 0; r < sizeof every_minutes / sizeof *every_minutes; r++) {
		static struct world w;
		int64_t last_forgotten = -1;

		memset(&w, 0, sizeof w);
		w.rules = (struct retention_rules){ .count = { [RETENTION_LAST] = 28,
			                                       [RETENTION_HOURLY] = 24,
			                                       [RETENTION_DAILY] = 14,
			                                       [RETENTION_MONTHLY] = 24 } };
		for (int run = 0; run < 4000; run++) {
			size_t stay = 0;

			add(&w, (int64_t)run * every_minutes[r] * 60000, 0);
			for (size_t i = 0; i < w.count; i++)
				w.s[i].settled = w.s[i].time_ms <= last_forgotten;
			w.now = w.s[w.count - 1].time_ms;
			judge(&w);
			assert_int_equal(w.brakes[0], RETENTION_GO);
			for (size_t i = 0; i < w.count; i++) {
				if (w.v[i].keep) {
					w.s[stay++] = w.s[i];
					continue;
				}
				last_forgotten = w.now;
				w.past[w.past_count++ % PAST] = (struct retention_past){ 0, w.s[i].time_ms };
			}
			w.count = stay;
		}
		/* Then somebody, or something, takes twenty in an hour. */
		for (int i = 0; i < 60 && every_minutes[r] > 60; i++)
			add(&w, w.now + (i + 1) * 60000, 0);
		w.now = 0;
		judge(&w);
		assert_int_equal(w.brakes[0], every_minutes[r] > 60 ? RETENTION_BURST : RETENTION_GO);
	}
}

/* From daily to hourly: told on the first days, usual after some more. */
static void a_new_rhythm_becomes_usual(void **state)
{
	struct world w = { .rules.count = { [RETENTION_LAST] = 48, [RETENTION_DAILY] = 30 } };
	size_t stay = 0;

	(void)state;
	for (int i = 0; i < 60; i++)
		add(&w, i * DAY, 0);
	for (int i = 1; i <= 48; i++)
		add(&w, 59 * DAY + i * HOUR, 0);
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_BURST);
	for (int i = 49; i <= 14 * 24; i++)
		add(&w, 59 * DAY + i * HOUR, 0);
	/* Those of the first days went in the meantime, with --force, but for one a day. */
	for (size_t i = 0; i < w.count; i++)
		if (w.s[i].time_ms % DAY == 0 || w.s[i].time_ms > 71 * DAY)
			w.s[stay++] = w.s[i];
		else
			w.past[w.past_count++] = (struct retention_past){ 0, w.s[i].time_ms };
	w.count = stay;
	w.now = 0;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
}

/* Rules that were 30 days become 14: sixteen at once, where one a day was usual. */
static void rules_that_suddenly_take_much_need_force(void **state)
{
	struct world w = { .rules.count = { [RETENTION_DAILY] = 30, [RETENTION_MONTHLY] = 24 } };

	(void)state;
	for (int i = 0; i < 24; i++)
		add(&w, civil(2024 + i / 12, 1 + i % 12, 28, 12, 0, 0), 0);
	for (int i = 0; i < 30; i++)
		add(&w, civil(2026, 1, 1 + i, 12, 0, 0), 0);
	for (size_t i = 0; i < w.count; i++)
		w.s[i].settled = true;
	add(&w, civil(2026, 1, 31, 12, 0, 0), 0);
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
	w.rules.count[RETENTION_DAILY] = 14;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_SUDDEN);
	w.rules.count[RETENTION_DAILY] = 24; /* seven are no disaster */
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
	w.rules.count[RETENTION_DAILY] = 14;
	w.rules.forced = true;
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
}

/* A computer that was off for the weekend: by its next snapshot much is older than two days, as the rules have it. */
static void a_pause_is_not_sudden(void **state)
{
	struct world w = { .rules = { .within_ms[RETENTION_LAST] = 2 * DAY, .count[RETENTION_DAILY] = 90 } };

	(void)state;
	for (int i = 0; i < 60; i++)
		add(&w, i * DAY, 0);
	for (int i = 1; i <= 48; i++)
		add(&w, 59 * DAY + i * HOUR, 0);
	for (size_t i = 0; i < w.count; i++)
		w.s[i].settled = true;
	add(&w, 64 * DAY, 0);
	judge(&w);
	assert_int_equal(w.brakes[0], RETENTION_GO);
	assert_false(w.v[70].keep);
}

/* Whatever rules and times: the newest complete one of a group stays; with a true clock a second judgement of what
 * stayed agrees. */
static void judging_what_stayed_keeps_it(void **state)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	(void)state;
	printf("judging_what_stayed_keeps_it: seed %u (MAILHOLD_TEST_SEED repeats it)\n", seed);
	srand(seed);
	for (int round = 0; round < 300; round++) {
		struct world w = { .now = 400 * DAY }, again = { .now = 400 * DAY };
		size_t newest[4] = { SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX };
		bool true_clock = round % 2;

		w.rules.count[rand() % RETENTION_PERIODS] = (uint32_t)rand() % 9;
		w.rules.count[rand() % RETENTION_PERIODS] = 1 + (uint32_t)rand() % 9;
		w.rules.within_ms[rand() % RETENTION_PERIODS] = rand() % 90 * DAY;
		for (int i = 0; i < 150; i++) {
			add(&w, i * 2 * DAY + (true_clock ? rand() % 48 : rand() % 1200) * HOUR, rand() % 1600 - 800);
			w.s[i].group = (uint32_t)rand() % 4;
			w.s[i].partial = rand() % 15 == 0;
			w.s[i].shrunk = rand() % 25 == 0;
			if (!w.s[i].partial)
				newest[w.s[i].group] = (size_t)i;
		}
		judge(&w);
		again.rules = w.rules;
		for (size_t i = 0; i < w.count; i++)
			if (w.v[i].keep)
				again.s[again.count++] = w.s[i];
		judge(&again);
		for (size_t i = 0; i < again.count; i++)
			assert_true(!true_clock || again.v[i].keep);
		for (int g = 0; g < 4; g++)
			assert_true(newest[g] == SIZE_MAX || w.v[newest[g]].keep);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_rule_nothing_is_judged),
		cmocka_unit_test(the_last_ones_stay),
		cmocka_unit_test(days_end_at_local_midnight),
		cmocka_unit_test(weeks_begin_on_monday),
		cmocka_unit_test(months_quarters_and_years_are_civil),
		cmocka_unit_test(february_ends_where_it_does),
		cmocka_unit_test(the_hour_that_comes_twice_is_one),
		cmocka_unit_test(a_day_that_comes_again_counts_once),
		cmocka_unit_test(within_goes_by_the_newest_snapshot),
		cmocka_unit_test(tags_and_pins_stay),
		cmocka_unit_test(held_ones_stay_besides),
		cmocka_unit_test(what_is_held_is_not_counted_as_going),
		cmocka_unit_test(clock_jumps_take_nothing_away),
		cmocka_unit_test(any_zones_keep_as_many_days_as_asked_for),
		cmocka_unit_test(groups_do_not_see_each_other),
		cmocka_unit_test(unfinished_runs_go_once_a_whole_one_came),
		cmocka_unit_test(a_shrunk_one_never_pushes_out_the_one_before),
		cmocka_unit_test(a_clock_that_jumps_pushes_nothing_out),
		cmocka_unit_test(fakes_with_old_times_push_nothing_out),
		cmocka_unit_test(more_than_half_at_once_needs_force),
		cmocka_unit_test(a_burst_within_a_day_is_braked),
		cmocka_unit_test(an_hourly_rhythm_is_no_burst),
		cmocka_unit_test(a_burst_of_some_days_ago_is_braked),
		cmocka_unit_test(a_burst_that_pushes_nothing_is_none),
		cmocka_unit_test(a_thinned_history_is_no_burst),
		cmocka_unit_test(a_new_rhythm_becomes_usual),
		cmocka_unit_test(rules_that_suddenly_take_much_need_force),
		cmocka_unit_test(a_pause_is_not_sudden),
		cmocka_unit_test(judging_what_stayed_keeps_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
