/*
 * endurance: a repository of two writers and a keeper through years of days. Each night both machines take snapshots at once; every
 * week somebody prunes beside them, by turns with each key; now and then one is killed or stopped on the way. Each day the rules
 * forget, what is live must be what the model has, and one snapshot of any age is compared with it, body by body. Each half year the
 * repository's size is compared with that of a fresh copy of what is live. docs/testing.md tells of it.
 *
 *   endurance [--days N] [--seed S] [--tell]
 */
#include "fake_clock.h"
#include "jobs.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

/*
 * What is promised (docs/testing.md), against a copy of what is live, pruned to the last byte: of the packs that count, right after
 * a prune; and of all that lay there at any time of the week before, with what waited to be deleted.
 */
#define LIVE_FACTOR   1.4
#define PEAK_FACTOR   2.4
#define BYTES_FIXED   (2 * MIB)
#define PACKS_FIXED   64 /* 16 of each of 4 small sizes */
#define RECORDS_A_DAY 10
#define RECORD_BYTES  800
#define CHECKPOINTS   4
#define MEMORY_MIB    128
#define OPEN_WARM_S   0.05
#define OPEN_FRESH_S  2.0
#define PRUNE_EVERY   7
#define MEASURE_EVERY 182
#define MEASURE_FIRST 28
#define CHECK_EVERY   30

static struct years *y;
static unsigned hour;
static bool tells;

/* What jobs took since the last measurement; those without a figure hold models or two repositories in memory. */
static struct cost {
	job_fn job;
	const char *name;
	bool judged;
	unsigned runs;
	double cpu_s;
	long memory_kib; /* the most */
} costs[] = {
	{ job_backup, "snapshots", true, 0, 0, 0 },
	{ job_prune, "prune", true, 0, 0, 0 },
	{ job_forget, "forget", true, 0, 0, 0 },
	{ job_forget_and_list, "forget, list", true, 0, 0, 0 },
	{ job_check, "check of a twentieth", true, 0, 0, 0 },
	{ job_look, "compare one", false, 0, 0, 0 },
	{ job_restore, "restore one", false, 0, 0, 0 },
	{ job_measure, "copy of all", false, 0, 0, 0 },
};

/* What lay there on each of the last days. */
static struct {
	uint64_t packs, bytes;
} lately[PRUNE_EVERY];

PRINTF_LIKE(1, 2) static void broken(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "FAILED on day %u: ", y->day);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "; kept in %s\n", y->folder);
	va_end(args);
	exit(1);
}

/* ---- processes ---- */

static job_fn running[MACHINES];

static void note_cost(job_fn job, const struct rusage *used)
{
	for (size_t i = 0; i < ARRAY_LEN(costs); i++) {
		struct cost *c = &costs[i];

		if (c->job != job)
			continue;
		c->runs++;
		c->cpu_s += (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) +
		            (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1e6;
		c->memory_kib = used->ru_maxrss > c->memory_kib ? used->ru_maxrss : c->memory_kib;
	}
}

static pid_t start(job_fn job, unsigned machine)
{
	pid_t child;

	running[machine] = job;

	y->outcomes[machine] = (struct outcome){ 0 };
	fflush(NULL);
	child = fork();
	if (child < 0)
		broken("no process can be made");
	if (child == 0) {
		fake_clock_set(y->today_ms + hour * HOUR_MS + y->machines[machine].skew_ms);
		job(y, machine);
		fflush(NULL);
		_exit(0);
	}
	return child;
}

/* True when it was killed. */
static bool finish(pid_t child, unsigned machine)
{
	struct rusage used;
	int status;

	if (wait4(child, &status, 0, &used) != child)
		broken("a process is lost");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	if (status != 0 || !y->outcomes[machine].ended)
		broken("machine %u ended with status %x", machine, status);
	if (y->outcomes[machine].records_void)
		broken("machine %u saw a record that is void", machine);
	note_cost(running[machine], &used);
	return false;
}

static void alone(job_fn job, unsigned machine, unsigned at_hour)
{
	hour = at_hour;
	if (finish(start(job, machine), machine))
		broken("machine %u was killed by somebody else", machine);
}

/* Some time of a job, seldom all of it. */
static void pause_a_little(void)
{
	struct timespec t = { 0, (long)below(60) * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- a night ---- */

static void disturb(pid_t child)
{
	pause_a_little();
	if (below(2)) {
		y->kills += kill(child, SIGKILL) == 0;
		return;
	}
	y->stops += kill(child, SIGSTOP) == 0;
	pause_a_little();
	kill(child, SIGCONT);
}

/* What a machine told of itself, killed or not. */
static void take_in(unsigned machine)
{
	const struct outcome *o = &y->outcomes[machine];

	for (unsigned a = 0; a < ACCOUNTS; a++)
		if (o->took[a])
			years_took(y, machine, &o->run[a]);
}

/* Who was killed may have committed and not told. */
static void adopt(unsigned machine)
{
	alone(job_list, machine == ANN ? BOB : ANN, 6);
	for (size_t i = 0; i < y->seen_count; i++) {
		const struct seen *s = &y->seen[i];
		bool its_own = s->account == (machine == ANN ? MAIL_ANN : MAIL_BOB) ||
		               (s->account == MAIL_TEAM && y->team_machine == machine);

		if (years_find(y, &s->id))
			continue;
		if (!its_own || s->time_ms < y->today_ms - 3 * HOUR_MS)
			broken("a snapshot of %s that nobody took", account_names[s->account]);
		years_took(y, machine, s);
	}
}

static void night(void)
{
	pid_t writers[WRITERS] = { 0 }, pruner = 0;
	unsigned by = (y->day / PRUNE_EVERY) % MACHINES;
	bool killed[WRITERS] = { false };

	hour = 3;
	for (unsigned m = 0; m < WRITERS; m++)
		if (y->machines[m].off_until <= y->day)
			writers[m] = start(job_backup, m);
	/* A machine does one thing after the other here; two at once are what tests/crash/machines has. */
	if (y->day % PRUNE_EVERY == 0 && (by == KEEPER || !writers[by]))
		pruner = start(job_prune, by);
	if (below(8) == 0) {
		pid_t victims[] = { writers[ANN], writers[BOB], pruner };
		pid_t victim = victims[below(3)];

		if (victim)
			disturb(victim);
	}
	for (unsigned m = 0; m < WRITERS; m++) {
		if (!writers[m])
			continue;
		killed[m] = finish(writers[m], m);
		take_in(m);
	}
	if (pruner && !finish(pruner, by))
		y->prunes++;
	for (unsigned m = 0; m < WRITERS; m++)
		if (killed[m])
			adopt(m);
	if (y->day % PRUNE_EVERY == 0 && !pruner) {
		alone(job_prune, by, 5);
		y->prunes++;
	}
}

/* ---- a day ---- */

static void compare_with_model(void)
{
	for (size_t i = 0; i < y->seen_count; i++) {
		const struct taken *t = years_find(y, &y->seen[i].id);

		if (!t)
			broken("a snapshot of %s is live, and the rules let it go or nobody took it",
			       account_names[y->seen[i].account]);
		if (t->account != y->seen[i].account || t->time_ms != y->seen[i].time_ms)
			broken("a snapshot of %s has become another one", account_names[t->account]);
	}
	if (y->seen_count != years_live(y))
		broken("%zu snapshots are live, the model has %zu", y->seen_count, years_live(y));
}

static void look_at_store(void)
{
	uint64_t packs = 0, bytes = 0;
	struct store *s = NULL;

	ok(store_open(y->url, &s, &err));
	job_tally(s, "pack", &packs, &bytes);
	store_free(&s);
	lately[y->day % PRUNE_EVERY].packs = packs;
	lately[y->day % PRUNE_EVERY].bytes = bytes;
}

static void day(void)
{
	unsigned reader = (unsigned)below(WRITERS), by = (unsigned)below(MACHINES);

	look_at_store();
	alone(by == KEEPER ? job_forget : job_forget_and_list, by, 12);
	if (y->outcomes[by].forget.held)
		broken("the brake held back what the rules let go");
	if (by == KEEPER)
		alone(job_list, reader, 15);
	years_forget(y);
	compare_with_model();
	alone(below(30) ? job_look : job_restore, reader, 15);
	if (y->day % CHECK_EVERY == 0)
		alone(job_check, ANN, 16);
	if (y->day % 365 == 0)
		alone(job_rotate, ANN, 17);
}

/* ---- figures ---- */

static void judge_figures(void)
{
	const struct figures *f = &y->now;
	uint64_t packs = 0, bytes = 0, runs = WRITERS + 1;
	double compact = (double)f->compact_bytes;
	double may_packs = LIVE_FACTOR * 1.05 * compact / (8 * MIB) + PACKS_FIXED + (double)(PRUNE_EVERY * runs);

	for (size_t i = 0; i < ARRAY_LEN(lately); i++) {
		packs = lately[i].packs > packs ? lately[i].packs : packs;
		bytes = lately[i].bytes > bytes ? lately[i].bytes : bytes;
	}
	printf("day %4u: %zu of %llu snapshots live; copy of it %llu packs, %.1f MB; here %llu, %.1f MB, %.2f x; at "
	       "most %llu, "
	       "%.1f MB, %.2f x; ledger %llu, %.1f MB; checkpoints %llu, %.2f MB; client %.1f MB; opens in %.1f ms, "
	       "anew in "
	       "%.1f ms",
	       y->day, years_live(y), (unsigned long long)y->snapshots, (unsigned long long)f->compact_packs,
	       compact / 1e6, (unsigned long long)f->live_packs, (double)f->live_bytes / 1e6,
	       (double)f->live_bytes / compact, (unsigned long long)packs, (double)bytes / 1e6, (double)bytes / compact,
	       (unsigned long long)f->records, (double)f->record_bytes / 1e6, (unsigned long long)f->checkpoints,
	       (double)f->checkpoint_bytes / 1e6, (double)f->cache_bytes / 1e6, f->open_warm_s * 1e3,
	       f->open_fresh_s * 1e3);
	fflush(stdout);
	if ((double)f->live_bytes > LIVE_FACTOR * compact + BYTES_FIXED)
		broken("live packs have %.1f MB, a copy %.1f", (double)f->live_bytes / 1e6, compact / 1e6);
	if ((double)bytes > PEAK_FACTOR * compact + BYTES_FIXED)
		broken("%.1f MB lay there, a copy has %.1f", (double)bytes / 1e6, compact / 1e6);
	if ((double)packs > may_packs)
		broken("%llu packs lie there, %.0f may", (unsigned long long)packs, may_packs);
	if (f->records > RECORDS_A_DAY * (uint64_t)y->day + 20)
		broken("the ledger has %llu records", (unsigned long long)f->records);
	if (f->record_bytes > RECORD_BYTES * f->records)
		broken("a record has %llu bytes", (unsigned long long)(f->record_bytes / f->records));
	if (f->checkpoints > CHECKPOINTS)
		broken("there are %llu checkpoints", (unsigned long long)f->checkpoints);
#ifndef ENDURANCE_SANITIZED
	if (f->open_warm_s > OPEN_WARM_S || f->open_fresh_s > OPEN_FRESH_S)
		broken("opening takes %.1f ms, anew %.1f ms", f->open_warm_s * 1e3, f->open_fresh_s * 1e3);
#endif
}

static void judge_costs(void)
{
	for (size_t i = 0; i < ARRAY_LEN(costs); i++) {
		struct cost *c = &costs[i];

		if (!c->runs)
			continue;
		printf("; %s %.0f ms", c->name, c->cpu_s * 1e3 / c->runs);
		if (c->judged)
			printf(" %.0f MB", (double)c->memory_kib * 1024 / 1e6);
#ifndef ENDURANCE_SANITIZED
		if (c->judged && c->memory_kib > MEMORY_MIB * 1024)
			broken("%s took %ld KiB", c->name, c->memory_kib);
#endif
		c->runs = 0;
		c->cpu_s = 0;
		c->memory_kib = 0;
	}
	printf("\n");
	fflush(stdout);
}

static void measure(void)
{
	alone(job_measure, ANN, 20);
	judge_figures();
	judge_costs();
}

/* ---- all of it ---- */

static void live(unsigned days)
{
	alone(job_init, ANN, 1);
	while (y->day < days) {
		years_next_day(y);
		night();
		day();
		if (y->day % MEASURE_EVERY == MEASURE_FIRST)
			measure();
		if (y->day % 365 == 0 || y->day == days)
			alone(job_look_at_all, BOB, 21);
		if (tells)
			printf("day %u: %zu live\n", y->day, years_live(y));
	}
	alone(job_check_all, BOB, 22);
	printf("%u days: %llu snapshots taken, %llu forgotten; %llu compared, %llu restored whole; %llu prunes; %llu "
	       "processes "
	       "killed, %llu stopped\n",
	       days, (unsigned long long)y->snapshots, (unsigned long long)y->forgotten,
	       (unsigned long long)y->looked_at, (unsigned long long)y->restored, (unsigned long long)y->prunes,
	       (unsigned long long)y->kills, (unsigned long long)y->stops);
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	unsigned days = 40;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--days") && i + 1 < argc)
			days = (unsigned)atoi(argv[++i]);
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			setenv("MAILHOLD_TEST_SEED", argv[++i], 1);
		else if (!strcmp(argv[i], "--tell"))
			tells = true;
		else
			return fprintf(stderr, "usage: endurance [--days N] [--seed S] [--tell]\n"), 2;
	}
	setenv("TZ", "UTC", 1);
	setenv("CMOCKA_TEST_ABORT", "1", 1); /* whoever finds something wrong says it and ends */
	y = mmap(NULL, sizeof *y, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (y == MAP_FAILED)
		return 1;
	random_start("endurance");
	snprintf(y->folder, sizeof y->folder, "%.30s/mailhold-years-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(y->folder))
		return 1;
	snprintf(y->url, sizeof y->url, "%s/repo", y->folder);
	years_start(y, next_random());
	live(days);
	ok(file_remove_tree(y->folder, &err));
	munmap(y, sizeof *y);
	return 0;
}
