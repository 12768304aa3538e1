#include "crashes.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"

#define SEEN_SLOTS (1u << 23) /* a power of two, several times the states of a long run */
#define JOBS_MAX   16
#define TAIL_OPS   12

struct point {
	uint64_t at; /* operations before the cut */
	struct choice choice;
	bool settled; /* what happened before the running command is on the disks for sure */
};

/* Shared by the judges. */
struct shared {
	atomic_uint_least64_t states, repository, failures, ignored;
	atomic_bool stop;
	_Atomic uint32_t next_point;
	struct {
		uint32_t point;
		char text[1000];
	} jobs[JOBS_MAX];
	atomic_uint_least64_t seen[SEEN_SLOTS]; /* hashes of states */
};

struct run {
	const struct stage *stage;
	const struct recorded *recorded;
	const struct crash_options *options;
	struct shared *shared;
	struct point *points;
	uint32_t count;
};

/* ---- which ---- */

/* The first ones of each moment; then the dice. */
static const enum survival corners[][DISK_COUNT] = {
	{ SURVIVES_SYNCED, SURVIVES_ALL },  { SURVIVES_LEAST, SURVIVES_ALL }, { SURVIVES_NAMES, SURVIVES_NAMES },
	{ SURVIVES_ALL, SURVIVES_SYNCED },  { SURVIVES_ALL, SURVIVES_ALL },   { SURVIVES_SYNCED, SURVIVES_SYNCED },
	{ SURVIVES_BYTES, SURVIVES_LEAST },
};

static struct choice draw(uint64_t *seed)
{
	static const enum survival client[] = { SURVIVES_SYNCED, SURVIVES_ALL,  SURVIVES_NAMES, SURVIVES_BYTES,
		                                SURVIVES_SOME,   SURVIVES_SOME, SURVIVES_SOME,  SURVIVES_NOTHING };
	struct choice c = { .survival = { SURVIVES_SOME, SURVIVES_SOME } };

	if (dice_below(seed, 4) == 0)
		c.survival[DISK_STORE] = (enum survival)dice_below(seed, SURVIVES_SOME);
	c.survival[DISK_CLIENT] = client[dice_below(seed, ARRAY_LEN(client))];
	c.seed = dice(seed);
	return c;
}

static int by_moment(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	if (x->settled != y->settled)
		return x->settled - y->settled;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* Harm is no command: it is there as a whole, or not yet. */
static uint64_t past_harm(const struct recorded *r, uint64_t at)
{
	unsigned step = scene_step_at(r, at);
	enum effect effect = r->scene->steps[step].effect;

	return (effect == EFFECT_HARM || effect == EFFECT_DECAY) && at > r->begun[step] ? r->told[step] : at;
}

/*
 * All moments in a random order, again and again until there are enough: the n-th round takes the n-th corner, but in a
 * short run, which does not come to a second one, each moment takes any.
 */
static void make_points(struct run *run)
{
	const struct scene *scene = run->recorded->scene;
	unsigned first = scene->cut_from > run->options->from_step ? scene->cut_from : run->options->from_step;
	uint64_t from = first ? run->recorded->begun[first] : 0;
	uint64_t moments = run->recorded->op_count - from + 1, seed = run->options->seed;
	uint64_t *order = calloc(moments, sizeof *order);
	bool brief = run->options->crashes < moments * ARRAY_LEN(corners);

	run->count = (uint32_t)run->options->crashes;
	run->points = calloc(run->count, sizeof *run->points);
	if (!order || !run->points)
		abort();
	for (uint64_t i = 0; i < run->count; i++) {
		uint64_t round = i / moments, at = i % moments;
		struct point *p = &run->points[i];

		for (uint64_t k = 0; at == 0 && k < moments; k++) {
			uint64_t other = dice_below(&seed, k + 1);

			order[k] = order[other];
			order[other] = from + k;
		}
		p->at = past_harm(run->recorded, order[at]);
		p->choice = draw(&seed);
		p->settled = dice_below(&seed, 2);
		if (brief)
			round = dice_below(&seed, 2 * ARRAY_LEN(corners));
		if (round >= ARRAY_LEN(corners))
			continue;
		memcpy(p->choice.survival, corners[round], sizeof corners[round]);
		p->settled = false;
	}
	free(order);
	qsort(run->points, run->count, sizeof *run->points, by_moment);
}

/* True for the first who sees HASH. */
static bool is_new(struct shared *shared, uint64_t hash)
{
	hash += !hash;
	for (uint32_t i = (uint32_t)hash & (SEEN_SLOTS - 1);; i = (i + 1) & (SEEN_SLOTS - 1)) {
		uint_least64_t found = 0;

		if (atomic_compare_exchange_strong(&shared->seen[i], &found, hash))
			return true;
		if (found == hash)
			return false;
	}
}

/* ---- one judge ---- */

struct judge {
	struct run *run;
	unsigned number;
	struct disks *disks;
	uint64_t at; /* operations played */
	unsigned step;
	bool settled;
	struct roots roots;
	char name[24];
};

static void play_to(struct judge *j, uint64_t at, bool settled)
{
	struct tape_op op;

	if (!j->disks || j->settled != settled) {
		disks_free(&j->disks);
		j->disks = disks_new();
		j->settled = settled;
		j->at = 0;
		disks_ignore_syncs(j->disks, j->run->options->without);
	}
	for (; j->at < at && disks_play(j->disks, &op); j->at++)
		for (unsigned d = 0; op.kind == TAPE_STEP && settled && d < DISK_COUNT; d++)
			disks_settle(j->disks, d);
}

static void judge_point(struct judge *j, uint32_t number)
{
	const struct point *point = &j->run->points[number];
	struct shared *shared = j->run->shared;
	struct promise promise;
	struct picture picture;
	struct verdict verdict;
	bool repository, lost = point->choice.survival[DISK_CLIENT] == SURVIVES_NOTHING;
	uint64_t hash;

	play_to(j, point->at, point->settled);
	scene_promise(j->run->recorded, point->at, &promise);
	disks_picture(j->disks, &point->choice, &picture);
	hash = picture_hash(&picture) ^ hash64(span_of(&promise, sizeof promise)) ^ lost;
	if (is_new(shared, hash)) {
		stage_disks(j->run->stage, j->name, &j->roots);
		picture_put(&picture, j->roots.both);
		judge(j->run->stage, j->run->recorded, &promise, &picture, lost, &j->roots, &repository, &verdict);
		atomic_fetch_add(&shared->states, 1);
		atomic_fetch_add(&shared->repository, repository);
		if (!verdict.good) {
			snprintf(shared->jobs[j->number].text, sizeof shared->jobs[0].text, "%s", verdict.text);
			atomic_fetch_add(&shared->failures, 1);
			atomic_store(&shared->stop, true);
			/* The judge has changed what it judged. */
			stage_disks(j->run->stage, j->name, &j->roots);
			picture_put(&picture, j->roots.both);
		}
	}
	picture_release(&picture);
}

/* Points in turns, so that each judge goes forward only and all are busy to the end. */
static _Noreturn void be_a_judge(struct run *run, unsigned number)
{
	struct judge j = { .run = run, .number = number };
	uint32_t point;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(j.name, sizeof j.name, "judge-%u", number);
	while (!atomic_load(&run->shared->stop) &&
	       (point = atomic_fetch_add(&run->shared->next_point, 1)) < run->count) {
		run->shared->jobs[number].point = point;
		judge_point(&j, point);
	}
	if (j.disks)
		atomic_fetch_add(&run->shared->ignored, disks_ignored(j.disks));
	disks_free(&j.disks);
	fflush(NULL);
	_exit(0);
}

/* ---- telling ---- */

static size_t tell_op(uint64_t number, const struct tape_op *op, char *out, size_t max)
{
	int n = snprintf(out, max, "  %llu %s %s%s%s %s ino %llu, %llu+%zu\n", (unsigned long long)number,
	                 op->disk == DISK_STORE ? "store" : "client", tape_kind_name(op->kind), *op->name ? " " : "",
	                 op->name, op->name2, (unsigned long long)op->ino, (unsigned long long)op->offset, op->len);
	return n < 0 || (size_t)n >= max ? max - 1 : (size_t)n;
}

void crashes_list(const struct recorded *r)
{
	struct tape_op op;
	uint64_t at = 0;
	char line[800];

	for (uint64_t i = 0; tape_next(&at, &op); i++) {
		if (op.kind == TAPE_STEP)
			printf("step %llu: %s\n", (unsigned long long)op.offset, r->scene->steps[op.offset].words);
		tell_op(i, &op, line, sizeof line);
		fputs(line, stdout);
	}
}

static void tell_failure(const struct run *run, unsigned job, const char *text, struct crash_report *out)
{
	uint32_t number = run->shared->jobs[job].point;
	const struct point *p = &run->points[number];
	unsigned step = scene_step_at(run->recorded, p->at);
	struct tape_op op;
	uint64_t at = 0;
	size_t used;

	used = (size_t)snprintf(
	        out->failure, sizeof out->failure,
	        "scene '%s', cut after operation %llu of %llu, in step %u (%s)%s\n"
	        "of the store is left: %s; of the client: %s; dice %llx; run seed %llu, point %u of %u\n"
	        "%.900s\nthe operations before:\n",
	        run->recorded->scene->name, (unsigned long long)p->at, (unsigned long long)run->recorded->op_count,
	        step, run->recorded->scene->steps[step].words, p->settled ? ", all earlier steps settled" : "",
	        survival_name(p->choice.survival[DISK_STORE]), survival_name(p->choice.survival[DISK_CLIENT]),
	        (unsigned long long)p->choice.seed, (unsigned long long)run->options->seed, number, run->count, text);
	for (uint64_t i = 0; i < p->at && tape_next(&at, &op); i++)
		if (i + TAIL_OPS >= p->at && used < sizeof out->failure)
			used += tell_op(i, &op, out->failure + used, sizeof out->failure - used);
	if (used < sizeof out->failure)
		snprintf(out->failure + used, sizeof out->failure - used, "what the cut left: %s/judge-%u",
		         run->stage->folder, job);
}

static void wait_for(struct run *run, pid_t pids[], struct crash_report *out)
{
	for (unsigned i = 0; i < run->options->jobs; i++) {
		int status = 0;

		if (waitpid(pids[i], &status, 0) != pids[i])
			abort();
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
			if (run->shared->jobs[i].text[0] && !out->failure[0])
				tell_failure(run, i, run->shared->jobs[i].text, out);
			continue;
		}
		atomic_store(&run->shared->stop, true);
		atomic_fetch_add(&run->shared->failures, 1);
		if (!out->failure[0]) {
			char text[100];

			snprintf(text, sizeof text, "the judge died with status %x: the program crashed",
			         (unsigned)status);
			tell_failure(run, i, text, out);
		}
	}
}

void crashes_run(const struct stage *s, const struct recorded *r, const struct crash_options *o,
                 struct crash_report *out)
{
	struct run run = { .stage = s, .recorded = r, .options = o };
	pid_t pids[JOBS_MAX];

	*out = (struct crash_report){ .crashes = o->crashes };
	run.shared = mmap(NULL, sizeof *run.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
	                  -1, 0);
	if (run.shared == MAP_FAILED || o->jobs > JOBS_MAX)
		abort();
	make_points(&run);
	fflush(NULL);
	for (unsigned i = 0; i < o->jobs; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			be_a_judge(&run, i);
		if (pids[i] < 0)
			abort();
	}
	wait_for(&run, pids, out);
	out->states = atomic_load(&run.shared->states);
	out->repository = atomic_load(&run.shared->repository);
	out->failures = atomic_load(&run.shared->failures);
	out->ignored = atomic_load(&run.shared->ignored);
	if (atomic_load(&run.shared->next_point) < run.count)
		out->crashes = atomic_load(&run.shared->next_point);
	munmap(run.shared, sizeof *run.shared);
	free(run.points);
}
