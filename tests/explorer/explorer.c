/*
 * explorer: runs the table below through the search and prints what came out. Exit 0 when every run came out as it
 * must: the rules as designed are safe within the bounds, and without any one of them a promise breaks. explorer
 * everything (what the tests run) explorer safe | removals         one half explorer NAME [bound=number …]   one run,
 * with other bounds; its trace, if it finds something Beside the bounds of struct model: seconds (3600 for a single
 * run) and states (in millions).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "search.h"

struct run {
	const char *name, *about;
	bool breaks; /* a violation must be found */
	struct model model;
};

/* What all removals are tried with: enough for every one of them, small enough to be quick. */
#define SMALL .requests = true, .writers = 2, .pruners = 2, .records = 9, .forgets = 1, .stale = 1, .fences = true
#define WITHOUT(bit)                                                                                                   \
	true,                                                                                                          \
	{                                                                                                              \
		SMALL, .removed = (bit)                                                                                \
	}

/* Histories do not count here, so that the ledger may grow as long as anybody has something to say. */
#define EVERYTHING                                                                                                     \
	.writers = 2, .pruners = 2, .records = RECORDS_MAX, .stale = 1, .fences = true, .repacks = true,               \
	.drops = true, .strict = true

static const struct run runs[] = {
	{ "everything",
	  "forget, undo, expire, condemn, fence, repack, drop",
	  false,
	  { EVERYTHING, .forgets = 3, .undos = 2 } },
	{ "void",
	  "writer 1 checks nothing, and readers void what it breaks",
	  false,
	  { EVERYTHING, .forgets = 2, .undos = 1, .voiding = true, .careless = true } },
	{ "requests",
	  "requests take time, and land when their senders are dead",
	  false,
	  { .requests = true,
	    .writers = 2,
	    .pruners = 2,
	    .records = 7,
	    .forgets = 1,
	    .stale = 1,
	    .fences = true,
	    .strict = true } },
	{ "requests-repack",
	  "the same with repacks, and no fence",
	  false,
	  { .requests = true,
	    .writers = 1,
	    .pruners = 2,
	    .records = 8,
	    .forgets = 1,
	    .stale = 1,
	    .repacks = true,
	    .strict = true } },
	{ "power",
	  "visible is not durable; one power cut",
	  false,
	  { .writers = 2, .pruners = 2, .records = 7, .forgets = 1, .power_cuts = 1, .fences = true, .strict = true } },
	{ "power-repack",
	  "the same with repacks, and no fence",
	  false,
	  { .writers = 1,
	    .pruners = 2,
	    .records = 7,
	    .forgets = 1,
	    .power_cuts = 1,
	    .repacks = true,
	    .strict = true } },

	{ "session-check", "a commit does not ask whether its session is open", WITHOUT(REMOVED_SESSION_CHECK) },
	{ "reference-check", "a commit does not ask whether its packs are live", WITHOUT(REMOVED_REFERENCE_CHECK) },
	{ "commit-at-head", "a commit stands behind a later head than it was checked at",
	  WITHOUT(REMOVED_COMMIT_AT_HEAD) },
	{ "mark-at-head", "a condemn stands behind a later head than was marked at", WITHOUT(REMOVED_MARK_AT_HEAD) },
	{ "record-before-delete", "a marked pack is deleted without a record", WITHOUT(REMOVED_RECORD_BEFORE_DELETE) },
	{ "orphan-rule", "a pack that no record names is deleted at once", WITHOUT(REMOVED_ORPHAN_RULE) },
	{ "fresh-pack-names", "what is stored again gets its old name", WITHOUT(REMOVED_FRESH_NAMES) },
	{ "names-kept",
	  "records below a checkpoint are deleted",
	  true,
	  { .requests = true,
	    .writers = 1,
	    .pruners = 2,
	    .records = 9,
	    .forgets = 1,
	    .checkpoints = 1,
	    .removed = REMOVED_NAMES_KEPT } },
	{ "base-check", "a commit does not ask whether its base is still there", WITHOUT(REMOVED_BASE_CHECK) },
	{ "pruner-session",
	  "a pruner repacks without a session",
	  true,
	  { SMALL, .repacks = true, .removed = REMOVED_PRUNER_SESSION } },
	{ "read-outcome",
	  "no answer is taken for success",
	  true,
	  { SMALL, .lost = 1, .removed = REMOVED_READ_OUTCOME } },

	{ "own-kept",
	  "no answer is taken for failure, the writer cleans up",
	  true,
	  { SMALL, .lost = 1, .removed = REMOVED_OWN_KEPT } },
	{ "trash-root", "marking passes over the trash", WITHOUT(REMOVED_TRASH_ROOT) },
	{ "made-durable",
	  "acts on records that a power cut can take back",
	  true,
	  { SMALL, .power_cuts = 1, .removed = REMOVED_MADE_DURABLE } },
	{ "readers-void",
	  "a writer that checks nothing, and readers that do not either",
	  true,
	  { SMALL, .careless = true } },
};
#define RUN_COUNT (sizeof runs / sizeof *runs)

/* ---- bounds from the command line ---- */

struct number_bound {
	const char *name;
	size_t offset;
};
#define BOUND(field)                                                                                                   \
	{                                                                                                              \
#field, offsetof(struct model, field)                                                                  \
	}
static const struct number_bound number_bounds[] = { BOUND(writers), BOUND(pruners),    BOUND(records),
	                                             BOUND(forgets), BOUND(undos),      BOUND(stale),
	                                             BOUND(lost),    BOUND(power_cuts), BOUND(checkpoints) };
static const struct number_bound switch_bounds[] = { BOUND(requests), BOUND(fences),  BOUND(repacks),
	                                             BOUND(drops),    BOUND(voiding), BOUND(careless) };

static bool take_bound(const char *name, unsigned long value, struct model *m)
{
	for (size_t i = 0; i < sizeof number_bounds / sizeof *number_bounds; i++)
		if (strcmp(name, number_bounds[i].name) == 0) {
			*((uint8_t *)m + number_bounds[i].offset) = (uint8_t)value;
			return true;
		}
	for (size_t i = 0; i < sizeof switch_bounds / sizeof *switch_bounds; i++)
		if (strcmp(name, switch_bounds[i].name) == 0) {
			*(bool *)((char *)m + switch_bounds[i].offset) = value != 0;
			return true;
		}
	return false;
}

static bool take_argument(const char *argument, struct model *m, struct search_limits *limits)
{
	const char *equals = strchr(argument, '=');
	char name[32], *end;
	unsigned long value;

	if (!equals || (size_t)(equals - argument) >= sizeof name)
		return false;
	memcpy(name, argument, (size_t)(equals - argument));
	name[equals - argument] = 0;
	value = strtoul(equals + 1, &end, 10);
	if (*end || end == equals + 1 || value > 100000)
		return false;
	if (strcmp(name, "seconds") == 0)
		limits->seconds = (double)value;
	else if (strcmp(name, "states") == 0)
		limits->states = value * 1000000;
	else if (value > 255 || !take_bound(name, value, m))
		return false;
	return m->records >= 2 && m->records <= RECORDS_MAX && m->writers <= WRITERS && m->pruners <= ACTORS - WRITERS;
}

/* ---- running ---- */

static void print_head(void)
{
	printf("%-21s %2s %2s %7s %7s %11s %12s %6s %7s  %s\n", "run", "W", "P", "records", "longest", "states",
	       "steps", "depth", "seconds", "result");
}

/* "Safe" counts only if what could go wrong was done at all. */
static bool is_vacuous(const struct model *m, const struct witness *w)
{
	return (m->writers == 2 && !m->careless && m->records >= 7 && !w->both_writers_done) ||
	       ((m->forgets || m->repacks) && !w->a_pack_deleted) || (m->forgets && !w->a_snapshot_expired) ||
	       (m->repacks && !w->a_copy_published) || (m->power_cuts && !w->a_power_cut);
}

static const char *result_text(const struct search_result *r, bool vacuous)
{
	switch (r->outcome) {
	case OUTCOME_SAFE:
		return vacuous ? "safe, but nothing happened" : "safe, all states seen";
	case OUTCOME_VIOLATION:
		return r->violation;
	case OUTCOME_CUT_OFF:
		return "no violation, cut off";
	default:
		return "out of memory";
	}
}

/* Whether RUN came out as it must. */
static bool run_one(const struct run *run, const struct search_limits *limits, bool cut_off_is_fine)
{
	const struct model *m = &run->model;
	FILE *trace = tmpfile();
	struct search_result r = search(m, limits, trace);
	bool vacuous = is_vacuous(m, &r.witness);
	bool good = run->breaks ? r.outcome == OUTCOME_VIOLATION
	                        : (r.outcome == OUTCOME_SAFE && !vacuous) ||
	                                  (r.outcome == OUTCOME_CUT_OFF && cut_off_is_fine);
	int c;

	printf("%-21s %2d %2d %7d %7u %11" PRIu64 " %12" PRIu64 " %6u %7.1f  %s%s\n", run->name, m->writers, m->pruners,
	       m->records, r.longest, r.states, r.steps, r.depth, r.seconds, result_text(&r, vacuous),
	       good          ? ""
	       : run->breaks ? " (MUST BREAK)"
	                     : " (MUST BE SAFE)");
	if (trace && r.outcome == OUTCOME_VIOLATION) {
		printf("    %s:\n", run->about);
		rewind(trace);
		while ((c = getc(trace)) != EOF)
			putchar(c);
	}
	if (trace)
		fclose(trace);
	fflush(stdout);
	return good;
}

static int run_named(const char *name, int count, char **arguments)
{
	struct search_limits limits = { .states = 200000000, .seconds = 3600 };

	for (size_t i = 0; i < RUN_COUNT; i++) {
		struct run run = runs[i];

		if (strcmp(run.name, name) != 0)
			continue;
		for (int k = 0; k < count; k++)
			if (!take_argument(arguments[k], &run.model, &limits)) {
				fprintf(stderr, "explorer: no such bound: %s\n", arguments[k]);
				return 2;
			}
		print_head();
		return run_one(&run, &limits, true) ? 0 : 1;
	}
	fprintf(stderr, "explorer: there is no run %s; there are:\n", name);
	for (size_t i = 0; i < RUN_COUNT; i++)
		fprintf(stderr, "  %-21s %s\n", runs[i].name, runs[i].about);
	return 2;
}

int main(int argc, char **argv)
{
	const struct search_limits limits = { .states = 20000000, .seconds = 600 };
	bool safe = argc < 2 || strcmp(argv[1], "safe") == 0, removals = argc < 2 || strcmp(argv[1], "removals") == 0;
	bool good = true;

	if (!safe && !removals)
		return run_named(argv[1], argc - 2, argv + 2);
	print_head();
	for (size_t i = 0; i < RUN_COUNT; i++)
		if (runs[i].breaks ? removals : safe)
			good &= run_one(&runs[i], &limits, false);
	return good ? 0 : 1;
}
