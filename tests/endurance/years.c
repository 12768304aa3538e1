#include "years.h"

#include "base/clock.h"

#define FOLDERS_USED 6

const char *const account_names[ACCOUNTS] = { "ann", "bob", "team" };
const uint32_t keep_rules[KEEP_PERIODS] = {
	[KEEP_LAST] = 3, [KEEP_DAILY] = 21, [KEEP_WEEKLY] = 10, [KEEP_MONTHLY] = 18, [KEEP_YEARLY] = 10
};

/* ---- mail ---- */

static size_t item_count(const struct fake_world *w)
{
	size_t sum = 0;

	for (size_t f = 0; f < FOLDERS_USED; f++)
		sum += w->folders[f].count;
	return sum;
}

/* One more, in INBOX mostly. Every third or so is a mail that another mailbox has as well. */
static void mail_comes(struct years *y, unsigned account)
{
	struct lab *l = &y->mail[account];
	struct fake_folder *to = &l->now.folders[below(4) ? 0 : below(FOLDERS_USED)];
	const struct fake_folder *from = &y->mail[below(ACCOUNTS)].now.folders[0];
	struct fake_item *made;

	if (to->count == FAKE_ITEMS)
		to = &l->now.folders[1 + below(FOLDERS_USED - 1)];
	if (to->count == FAKE_ITEMS)
		return;
	item_new(l, to, below(2000) == 0);
	made = &to->items[to->count - 1];
	if (from->count && below(3) == 0) {
		const struct fake_item *same = &from->items[below(from->count)];

		made->seed = same->seed;
		made->size = same->size;
	}
}

static struct fake_folder *folder_with_mail(struct fake_world *w)
{
	for (;;) {
		struct fake_folder *f = &w->folders[below(FOLDERS_USED)];

		if (f->count)
			return f;
	}
}

/* A mailbox grows for years, and then as much goes as comes. */
static void mail_goes(struct years *y, unsigned account, size_t wanted)
{
	struct lab *l = &y->mail[account];
	size_t going = item_count(&l->now) > wanted ? below(9) : below(3);

	while (going-- > 0 && item_count(&l->now) > 50) {
		struct fake_folder *f = folder_with_mail(&l->now);

		item_remove(f, below(f->count));
	}
}

static void mail_day(struct years *y, unsigned account)
{
	struct lab *l = &y->mail[account];
	size_t coming = below(6) ? below(9) : 0;

	if (below(180) == 0)
		coming += 200; /* an old mailbox is taken over */
	while (coming-- > 0)
		mail_comes(y, account);
	mail_goes(y, account, 500 + y->day / 2);
	for (size_t n = below(6); n-- > 0 && l->now.folders[0].count > 1;)
		item_move(l, &l->now.folders[0], below(l->now.folders[0].count) / 2,
		          &l->now.folders[1 + below(FOLDERS_USED - 1)]);
	for (size_t n = below(12); n-- > 0;) {
		struct fake_folder *f = folder_with_mail(&l->now);

		f->items[below(f->count)].flags++;
	}
	if (below(40) == 0)
		l->now.folders[below(FOLDERS_USED)].stamp++;
	/* The last folder comes and goes. */
	if (below(60) == 0)
		l->now.folders[FOLDERS_USED].there ^= true;
}

/* ---- days ---- */

void years_start(struct years *y, uint64_t seed)
{
	random_state = seed ? seed : 1;
	y->today_ms = clock_days(2027, 1, 1) * DAY_MS;
	for (unsigned a = 0; a < ACCOUNTS; a++) {
		struct lab *l = &y->mail[a];

		for (size_t f = 0; f < FOLDERS_USED; f++)
			l->now.folders[f].there = true;
		for (int n = 0; n < 150; n++)
			mail_comes(y, a);
	}
}

void years_next_day(struct years *y)
{
	y->day++;
	y->today_ms += DAY_MS;
	y->job_seed = next_random() | 1;
	for (unsigned a = 0; a < ACCOUNTS; a++)
		if (below(8))
			mail_day(y, a);
	for (unsigned m = 0; m < MACHINES; m++) {
		struct machine *it = &y->machines[m];

		/* Clocks of machines differ, but never so that two nights come in another order. */
		if (below(30) == 0)
			it->skew_ms = ((int64_t)below(300) - 150) * 60 * 1000;
		if (m < WRITERS && y->day >= it->off_until && below(40) == 0)
			it->off_until = y->day + 1 + (unsigned)below(below(5) ? 2 : 20);
	}
	y->team_machine = (unsigned)below(WRITERS);
}

/* ---- the model ---- */

void years_took(struct years *y, unsigned machine, const struct seen *s)
{
	for (size_t i = 0; i < TAKEN_MAX; i++) {
		struct taken *t = &y->taken[i];

		if (t->live)
			continue;
		*t = (struct taken){
			.live = true, .id = s->id, .account = s->account, .machine = machine, .time_ms = s->time_ms
		};
		t->world = y->mail[s->account].now;
		y->snapshots++;
		return;
	}
	fprintf(stderr, "the model is too small: %d snapshots are kept\n", TAKEN_MAX);
	exit(1);
}

/* Which period T lies in, by the calendar of libc; docs/retention.md says when periods begin. */
static long period_of(const struct taken *t, enum keep_period p)
{
	time_t seconds = (time_t)(t->time_ms / 1000);
	struct tm civil;

	gmtime_r(&seconds, &civil);
	switch (p) {
	case KEEP_DAILY:
		return civil.tm_year * 366L + civil.tm_yday;
	case KEEP_WEEKLY:
		/* The day of its Monday. */
		return (long)(seconds / 86400) - (civil.tm_wday + 6) % 7;
	case KEEP_MONTHLY:
		return civil.tm_year * 12L + civil.tm_mon;
	case KEEP_YEARLY:
		return civil.tm_year;
	default:
		return 0; /* never asked: each is a period of its own */
	}
}

/* The newest of the group that is older than BEFORE_MS. */
static struct taken *older(struct years *y, unsigned account, unsigned machine, int64_t before_ms)
{
	struct taken *best = NULL;

	for (size_t i = 0; i < TAKEN_MAX; i++) {
		struct taken *t = &y->taken[i];

		if (t->live && t->account == account && t->machine == machine && t->time_ms < before_ms &&
		    (!best || t->time_ms > best->time_ms))
			best = t;
	}
	return best;
}

static void forget_group(struct years *y, unsigned account, unsigned machine)
{
	static bool stays[TAKEN_MAX];

	memset(stays, 0, sizeof stays);
	for (int p = 0; p < KEEP_PERIODS; p++) {
		uint32_t left = keep_rules[p];
		struct taken *t = NULL, *next;
		long last = 0;

		for (int64_t at = INT64_MAX; left && (next = older(y, account, machine, at)); at = next->time_ms) {
			if (t && p != KEEP_LAST && period_of(next, (enum keep_period)p) == last)
				continue;
			t = next;
			last = period_of(t, (enum keep_period)p);
			stays[t - y->taken] = true;
			left--;
		}
	}
	for (size_t i = 0; i < TAKEN_MAX; i++) {
		struct taken *t = &y->taken[i];

		if (!t->live || t->account != account || t->machine != machine || stays[i])
			continue;
		t->live = false;
		y->forgotten++;
	}
}

void years_forget(struct years *y)
{
	for (unsigned a = 0; a < ACCOUNTS; a++)
		for (unsigned m = 0; m < WRITERS; m++)
			forget_group(y, a, m);
}

size_t years_live(const struct years *y)
{
	size_t n = 0;

	for (size_t i = 0; i < TAKEN_MAX; i++)
		n += y->taken[i].live;
	return n;
}

struct taken *years_find(struct years *y, const struct snapshot_id *id)
{
	for (size_t i = 0; i < TAKEN_MAX; i++)
		if (y->taken[i].live && memcmp(&y->taken[i].id, id, sizeof *id) == 0)
			return &y->taken[i];
	return NULL;
}

struct taken *years_pick(struct years *y, size_t n)
{
	size_t live = years_live(y);

	if (!live)
		return NULL;
	n %= live;
	for (size_t i = 0; i < TAKEN_MAX; i++)
		if (y->taken[i].live && n-- == 0)
			return &y->taken[i];
	return NULL;
}
