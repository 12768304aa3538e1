/*
 * simulated_disk: what power cuts and failing disks do to a repository and its client. docs/testing.md tells of it.
 *
 *   simulated_disk crashes [--crashes N] …   the power fails after an operation
 *   simulated_disk without [--crashes N] …   each sync that is left out must be found out
 *   simulated_disk faults  [--faults N] …    the n-th call of a command fails
 *   simulated_disk list --scene NAME         the operations of a scene
 *   … [--seed S] [--jobs J] [--scene NAME] [--only EIO|…] [--tell yes]
 */
#include "crashes.h"
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto.h"

struct settings {
	uint64_t count, seed;
	unsigned jobs;
	const char *scene;
	bool tell;
	enum fault only;
};

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* "looking" writes nothing that a crash could tear. */
static bool crashes_in(const struct scene *scene, const struct settings *set)
{
	return (!set->scene || !strcmp(set->scene, scene->name)) && strcmp(scene->name, "looking") != 0;
}

static int crashes(const struct stage *s, const struct settings *set)
{
	uint64_t scenes_run = 0, all = 0, states = 0, repository = 0;
	double begun = seconds();

	for (size_t i = 0; i < scene_count; i++)
		scenes_run += crashes_in(&scenes[i], set);
	for (size_t i = 0; i < scene_count; i++) {
		struct crash_options o = { .crashes = set->count / (scenes_run ? scenes_run : 1) + 1,
			                   .seed = set->seed + i,
			                   .jobs = set->jobs };
		struct crash_report report;
		struct recorded r;
		double since = seconds();

		if (!crashes_in(&scenes[i], set))
			continue;
		scene_record(s, &scenes[i], &r);
		crashes_run(s, &r, &o, &report);
		printf("%-12s %3u commands, %5llu operations: %llu crashes, %llu different states, %.0f s\n",
		       scenes[i].name, r.step_count, (unsigned long long)r.op_count, (unsigned long long)report.crashes,
		       (unsigned long long)report.states, seconds() - since);
		if (report.failures) {
			printf("FAILED: %s\n", report.failure);
			return 1;
		}
		all += report.crashes;
		states += report.states;
		repository += report.repository;
	}
	printf("%llu crashes, %llu different states, %llu of them with a repository: all good; %.0f s\n",
	       (unsigned long long)all, (unsigned long long)states, (unsigned long long)repository, seconds() - begun);
	/* A run that found no repository to judge has proven nothing. */
	return repository * 2 < states || !states;
}

/* Left out, each of these must break a promise. */
static const struct removal {
	const char *what;
	const char *scene;
	struct no_sync rule;
	unsigned from_step;
} removals[] = {
	{ "the bytes of packs", "daily", { DISK_STORE, false, "repo/pack/", false }, 0 },
	{ "the folders of packs", "daily", { DISK_STORE, true, "repo/pack", false }, 0 },
	{ "the bytes of records", "daily", { DISK_STORE, false, "repo/ledger/", false }, 0 },
	{ "the folder of records", "daily", { DISK_STORE, true, "repo/ledger", false }, 0 },
	{ "the bytes of key objects", "keys", { DISK_STORE, false, "repo/key/", false }, 0 },
	{ "the folder of key objects", "keys", { DISK_STORE, true, "repo/key", false }, 0 },
	{ "the folder of the repository", "daily", { DISK_STORE, true, "repo", false }, 0 },
	{ "the bytes of the key file", "daily", { DISK_CLIENT, false, "key", false }, 0 },
	{ "the folder of the key file", "keys", { DISK_CLIENT, true, "", false }, 0 },
	{ "what a killed process has named", "killed", { DISK_STORE, true, "repo/ledger", true }, 6 },
};

static const struct scene *find_scene(const char *name)
{
	for (size_t i = 0; i < scene_count; i++)
		if (!strcmp(scenes[i].name, name))
			return &scenes[i];
	abort();
}

static int list(const struct stage *s, const struct settings *set)
{
	struct recorded r;

	scene_record(s, find_scene(set->scene ? set->scene : "daily"), &r);
	crashes_list(&r);
	return 0;
}

static int without(const struct stage *s, const struct settings *set)
{
	int missed = 0;

	for (size_t i = 0; i < ARRAY_LEN(removals); i++) {
		struct crash_options o = { .crashes = set->count,
			                   .seed = set->seed + i,
			                   .jobs = set->jobs,
			                   .without = &removals[i].rule,
			                   .from_step = removals[i].from_step };
		struct crash_report report;
		struct recorded r;

		scene_record(s, find_scene(removals[i].scene), &r);
		crashes_run(s, &r, &o, &report);
		if (report.failures) {
			const char *line = strchr(report.failure, '\n');

			line = line ? strchr(line + 1, '\n') : NULL;
			printf("without the sync of %s: found at state %llu: %.*s\n", removals[i].what,
			       (unsigned long long)report.states, line ? (int)strcspn(line + 1, "\n") : 0,
			       line ? line + 1 : "");
		} else {
			printf("without the sync of %s: NOT FOUND in %llu states (%llu syncs left out)\n",
			       removals[i].what, (unsigned long long)report.states, (unsigned long long)report.ignored);
			missed++;
		}
	}
	return missed != 0;
}

static int faults(const struct stage *s, const struct settings *set)
{
	uint64_t scenes_run = 0, all = 0, hit = 0, failed = 0;
	double begun = seconds();

	for (size_t i = 0; i < scene_count; i++)
		scenes_run += !set->scene || !strcmp(set->scene, scenes[i].name);
	for (size_t i = 0; i < scene_count; i++) {
		struct fault_options o = { .faults = set->count / (scenes_run ? scenes_run : 1) + 1,
			                   .seed = set->seed + i,
			                   .jobs = set->jobs,
			                   .only = set->only,
			                   .tell = set->tell };
		struct fault_report report;
		struct recorded r;
		double since = seconds();

		if ((set->scene && strcmp(set->scene, scenes[i].name) != 0) || !strcmp(scenes[i].name, "killed"))
			continue;
		scene_record(s, &scenes[i], &r);
		faults_run(s, &r, &o, &report);
		printf("%-12s %llu of %llu faults, %llu met, %llu commands failed, %.0f s\n", scenes[i].name,
		       (unsigned long long)report.faults, (unsigned long long)report.possible,
		       (unsigned long long)report.hit, (unsigned long long)report.failed, seconds() - since);
		if (report.failures) {
			printf("FAILED %llu: %s\n", (unsigned long long)report.failures, report.failure);
			return 1;
		}
		all += report.faults;
		hit += report.hit;
		failed += report.failed;
	}
	printf("%llu faults, %llu met, %llu commands failed and said why: all good; %.0f s\n", (unsigned long long)all,
	       (unsigned long long)hit, (unsigned long long)failed, seconds() - begun);
	/* Threads make some calls come and go; but faults that nobody meets prove nothing. */
	return hit * 10 < all * 8 || !failed;
}

static bool read_settings(int argc, char **argv, struct settings *out)
{
	for (int i = 2; i < argc; i += 2) {
		if (i + 1 == argc)
			return false;
		if (!strcmp(argv[i], "--crashes") || !strcmp(argv[i], "--faults"))
			out->count = strtoull(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--seed"))
			out->seed = strtoull(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--jobs"))
			out->jobs = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--scene"))
			out->scene = argv[i + 1];
		else if (!strcmp(argv[i], "--tell"))
			out->tell = argv[i + 1][0] == 'y';
		else if (!strcmp(argv[i], "--only"))
			for (enum fault f = FAULT_NONE; f < FAULT_KINDS; f++)
				out->only = strcmp(argv[i + 1], fault_name(f)) ? out->only : f;
		else
			return false;
	}
	return out->count && out->jobs && out->jobs <= 16;
}

int main(int argc, char **argv)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	struct settings set = { .count = 1000,
		                .seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL),
		                .jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) };
	const char *const roots[DISK_COUNT] = { "", "" };
	struct stage stage;
	struct err e;
	int rc;

	if (set.jobs > 8)
		set.jobs = 8;
	if (argc < 2 || !read_settings(argc, argv, &set)) {
		fputs("simulated_disk crashes|without|faults|list [--crashes N] [--faults N] [--seed S] [--jobs J] "
		      "[--scene "
		      "NAME]\n",
		      stderr);
		return 2;
	}
	if (crypto_start(&e)) {
		fprintf(stderr, "%s\n", e.text);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	stage_open(&stage);
	tape_start(roots);
	printf("seed %llu (MAILHOLD_TEST_SEED or --seed repeats the choices)\n", (unsigned long long)set.seed);
	if (!strcmp(argv[1], "crashes"))
		rc = crashes(&stage, &set);
	else if (!strcmp(argv[1], "without"))
		rc = without(&stage, &set);
	else if (!strcmp(argv[1], "list"))
		rc = list(&stage, &set);
	else if (!strcmp(argv[1], "faults"))
		rc = faults(&stage, &set);
	else
		rc = 2;
	if (rc == 1 && strcmp(argv[1], "without") != 0)
		printf("kept: %s\n", stage.folder);
	else
		stage_close(&stage);
	return rc;
}
