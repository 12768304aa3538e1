#include "faults.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 16

struct task {
	unsigned step;
	enum fault fault;
	unsigned disk;
	uint64_t at;
};

/* Shared by the workers. */
struct shared {
	_Atomic uint32_t next;
	atomic_uint_least64_t faults, hit, failed, failures;
	atomic_bool stop;
	struct {
		uint32_t task;
		char text[2000];
	} jobs[JOBS_MAX];
};

struct run {
	const struct stage *stage;
	const struct recorded *recorded;
	const struct fault_options *options;
	struct shared *shared;
	struct picture before[STEPS_MAX]; /* the disks when a step begins */
	char *answers[STEPS_MAX];         /* what a command prints that nothing hits; NULL where that differs anyway */
	struct task *tasks;
	uint64_t count, capacity;
};

/* ---- what there is to do ---- */

/* Harm and decay are none of the program's commands. */
static bool is_run(const struct recorded *r, unsigned step)
{
	const struct scene *scene = r->scene;

	return scene->steps[step].effect != EFFECT_HARM && scene->steps[step].effect != EFFECT_DECAY &&
	       !scene->steps[step].killed && step >= scene->cut_from;
}

static void take_pictures(struct run *run)
{
	const struct choice all = { .survival = { SURVIVES_ALL, SURVIVES_ALL } };
	struct disks *d = disks_new();
	struct tape_op op;

	while (disks_play(d, &op))
		if (op.kind == TAPE_STEP && is_run(run->recorded, (unsigned)op.offset))
			disks_picture(d, &all, &run->before[op.offset]);
	disks_free(&d);
}

static void add_tasks(struct run *run, unsigned step, enum fault fault, unsigned disk)
{
	for (uint64_t at = 0; at < tape_counted(fault, disk); at++) {
		if (run->count == run->capacity) {
			run->capacity = run->capacity ? 2 * run->capacity : 4096;
			run->tasks = realloc(run->tasks, run->capacity * sizeof *run->tasks);
			if (!run->tasks)
				abort();
		}
		run->tasks[run->count++] = (struct task){ step, fault, disk, at };
	}
}

static void put_before(const struct run *run, unsigned step, const char *name, struct roots *roots)
{
	stage_disks(run->stage, name, roots);
	picture_put(&run->before[step], roots->both);
	tape_move(roots->both);
}

/* It changes nothing, and tells no path of the disks. */
static bool only_looks(const struct step *step)
{
	static const char *const words[] = { "snapshots", "ls ", "diff ", "check ", "key list" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strncmp(step->words, words[i], strlen(words[i])))
			return true;
	return false;
}

/* One run of each command counts its calls. */
static void make_tasks(struct run *run)
{
	char ids[STEPS_MAX][33];
	struct roots roots;

	memcpy(ids, run->recorded->ids, sizeof ids);
	for (unsigned step = 0; step < run->recorded->step_count; step++) {
		struct result result;

		if (!is_run(run->recorded, step))
			continue;
		put_before(run, step, "count", &roots);
		tape_count();
		run_step(run->stage, &roots, &run->recorded->scene->steps[step], ids,
		         key_before(run->recorded->scene, step), false, &result);
		for (enum fault f = FAULT_NONE + 1; f < FAULT_KINDS; f++)
			for (unsigned d = 0; d < DISK_COUNT && (!run->options->only || run->options->only == f); d++)
				add_tasks(run, step, f, d);
		tape_fault(FAULT_NONE, 0, 0);
		if (only_looks(&run->recorded->scene->steps[step])) {
			run->answers[step] = result.out;
			result.out = NULL;
		}
		result_release(&result);
	}
}

static void choose_tasks(struct run *run)
{
	uint64_t seed = run->options->seed;

	for (uint64_t i = run->count; i > 1; i--) {
		uint64_t other = dice_below(&seed, i);
		struct task t = run->tasks[i - 1];

		run->tasks[i - 1] = run->tasks[other];
		run->tasks[other] = t;
	}
	if (run->count > run->options->faults)
		run->count = run->options->faults;
}

/* ---- one task ---- */

/* What a judge tells the worker. */
struct apart {
	struct verdict verdict;
	bool live[STEPS_MAX];
};

struct worker {
	struct apart *apart;
	struct run *run;
	unsigned number;
	char name[24];
	struct task task;
	struct roots roots;
	struct recorded now; /* with what this run made */
	char hit[256], text[1600];
	bool bad;
};

PRINTF_LIKE(2, 3) static void bad(struct worker *w, const char *fmt, ...)
{
	va_list args;

	if (w->bad)
		return;
	w->bad = true;
	va_start(args, fmt);
	vsnprintf(w->text, sizeof w->text, fmt, args);
	va_end(args);
}

static bool copy_field(const char *text, const char *field, char *out, size_t max)
{
	const char *at = strstr(text, field);
	size_t len = at ? strcspn(at + strlen(field), "\"") : 0;

	if (!at || len >= max)
		return false;
	memcpy(out, at + strlen(field), len);
	out[len] = 0;
	return true;
}

/* What an error may be called. Another word would send a person looking in the wrong place. What the disk does not read of
 * a parity is damage of it, as long as that is told, or what mends the one and the other. */
static bool code_fits(const struct task *t, const char *code, const char *message)
{
	const char *own = t->fault == FAULT_ENOSPC || t->fault == FAULT_EDQUOT ? "no-space"
	                  : t->fault == FAULT_EROFS                            ? "denied"
	                                                                       : "io";

	return !strcmp(code, own) || !strcmp(code, "outcome-unknown") ||
	       (!strcmp(own, "io") && !strcmp(code, "corrupt") &&
	        (strstr(message, "Input/output error") || strstr(message, "`mailhold repair parity`")));
}

/* Up to what check tells of times. */
static bool same_answer(const char *a, const char *b)
{
	const char *end_a = strstr(a, "\"verified\""), *end_b = strstr(b, "\"verified\"");
	size_t len_a = end_a ? (size_t)(end_a - a) : strlen(a), len_b = end_b ? (size_t)(end_b - b) : strlen(b);

	return len_a == len_b && memcmp(a, b, len_a) == 0;
}

/* A copy goes on without what it cannot read, and names it. The next run comes back to it. */
static bool is_partial_copy(const struct step *step, const struct result *r)
{
	return r->exit == 3 && step->effect == EFFECT_COPY && strstr(r->err, "{\"skipped\"");
}

static void check_answer(struct worker *w, const struct result *r)
{
	char code[40] = "", message[600] = "", own[40];
	const struct step *step = &w->now.scene->steps[w->task.step];
	const char *answer = w->run->answers[w->task.step];
	unsigned first = 0, count = 0;

	if (r->exit == 0) {
		if (answer && !same_answer(r->out, answer) && !*r->err)
			bad(w, "it says that all went well, and tells something else: %.1000s", r->out);
		if (step->effect == EFFECT_RESTORE && step_mail(w->now.scene, step->subject, &first, &count) &&
		    !mail_came_back(&w->roots, "back", first, count))
			bad(w, "it says that all went well, and not all mail came back");
		return;
	}
	/* Some came back, and what did not is told. */
	if (r->exit == 3 && step->effect == EFFECT_RESTORE && strstr(r->out, "{\"type\":\"failed\""))
		return;
	if (is_partial_copy(step, r))
		return;
	if (r->exit != 1) {
		bad(w, "exit code %d: %.900s", r->exit, r->err);
		return;
	}
	/* One bad thing stops one thing: then a row of what was printed (a problem, or what could not be repaired) tells. */
	if (copy_field(r->out, "\"code\":\"", code, sizeof code)) {
		copy_field(r->out, "\"message\":\"", message, sizeof message);
	} else if (!copy_field(r->err, "{\"error\":{\"code\":\"", code, sizeof code) ||
	           !copy_field(r->err, "\"message\":\"", message, sizeof message)) {
		bad(w, "it fails and does not say why: %.900s", r->err);
		return;
	}
	snprintf(own, sizeof own, "%s", code);
	if (strlen(message) < 20)
		bad(w, "it says too little: %s", message);
	if (!code_fits(&w->task, code, message))
		bad(w, "it calls it '%s': %s", own, message);
}

/* In a child: the index's library has threads, which a process that forks further commands must not have. */
static void judge_apart(struct worker *w, const struct promise *promise, bool live[STEPS_MAX], struct verdict *out)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		judge_quick(&w->now, promise, &w->roots, w->apart->live, &w->apart->verdict);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	*out = w->apart->verdict;
	memcpy(live, w->apart->live, sizeof w->apart->live);
	if (status) {
		out->good = false;
		snprintf(out->text, sizeof out->text, "the judge died with status %x", (unsigned)status);
	}
}

/* Its answer names a snapshot. */
static bool is_told(const struct step *step)
{
	return step->effect == EFFECT_SNAPSHOT || step->effect == EFFECT_COPY;
}

static void judge_now(struct worker *w, bool told, const char *when, bool live[STEPS_MAX])
{
	unsigned step = w->task.step;
	struct promise promise;
	struct verdict verdict;

	w->now.told[step] = told ? w->now.begun[step] + 1 : UINT64_MAX;
	w->now.loose = is_told(&w->now.scene->steps[step]) ? step : STEPS_MAX;
	scene_read_keys(&w->roots, &w->now);
	scene_promise(&w->now, w->now.begun[step] + 1, &promise);
	judge_apart(w, &promise, live, &verdict);
	if (!verdict.good)
		bad(w, "%s: %s", when, verdict.text);
}

/* The effect of the command is there: true for whoever was told that it failed and asks again. */
static bool is_done(struct worker *w)
{
	struct worker copy = *w;
	bool live[STEPS_MAX];

	copy.bad = false;
	judge_now(&copy, true, "", live);
	return !copy.bad;
}

static void run_again(struct worker *w)
{
	const struct step *step = &w->now.scene->steps[w->task.step];
	bool live[STEPS_MAX];
	struct result r;

	run_step(w->run->stage, &w->roots, step, w->now.ids, key_before(w->now.scene, w->task.step), false, &r);
	if (is_told(step) && r.exit == 0 && !step_id(step, &r, w->now.ids[w->task.step]))
		bad(w, "the second run tells no snapshot");
	/* Half an init leaves objects, and init wants a folder of its own (docs/order.md, 8). */
	if (r.exit != 0 && step->effect != EFFECT_INIT && !is_done(w))
		bad(w, "the same command without the fault ends with %d: %.700s", r.exit, r.err);
	if (!w->bad && step->effect != EFFECT_INIT)
		judge_now(w, true, "after the second run", live);
	result_release(&r);
}

static void do_task(struct worker *w)
{
	const struct step *step = &w->run->recorded->scene->steps[w->task.step];
	bool live[STEPS_MAX];
	struct result r;

	w->bad = false;
	w->now = *w->run->recorded;
	put_before(w->run, w->task.step, w->name, &w->roots);
	tape_fault(w->task.fault, w->task.disk, w->task.at);
	run_step(w->run->stage, &w->roots, step, w->now.ids, key_before(w->now.scene, w->task.step), false, &r);
	snprintf(w->hit, sizeof w->hit, "%s", tape_fault_hit());
	tape_fault(FAULT_NONE, 0, 0);
	atomic_fetch_add(&w->run->shared->faults, 1);
	atomic_fetch_add(&w->run->shared->hit, w->hit[0] != 0);
	atomic_fetch_add(&w->run->shared->failed, r.exit != 0);
	check_answer(w, &r);
	if (is_told(step) && r.exit == 0 && !step_id(step, &r, w->now.ids[w->task.step]))
		bad(w, "it tells no snapshot");
	if (!w->bad && !is_partial_copy(step, &r))
		judge_now(w, r.exit == 0, "after the fault", live);
	if (!w->bad)
		run_again(w);
	if (w->run->options->tell)
		printf("step %u, %s at %llu of %u, %s: exit %d %.300s\n", w->task.step, fault_name(w->task.fault),
		       (unsigned long long)w->task.at, w->task.disk, w->hit, r.exit, r.err);
	result_release(&r);
}

static _Noreturn void be_a_worker(struct run *run, unsigned number)
{
	struct worker w = { .run = run, .number = number };
	uint32_t task;

	w.apart = mmap(NULL, sizeof *w.apart, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w.apart == MAP_FAILED)
		abort();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	tape_own_faults();
	snprintf(w.name, sizeof w.name, "worker-%u", number);
	while (!atomic_load(&run->shared->stop) && (task = atomic_fetch_add(&run->shared->next, 1)) < run->count) {
		w.task = run->tasks[task];
		run->shared->jobs[number].task = task;
		do_task(&w);
		if (!w.bad)
			continue;
		snprintf(run->shared->jobs[number].text, sizeof run->shared->jobs[0].text, "%s; hit: %s", w.text,
		         w.hit);
		atomic_fetch_add(&run->shared->failures, 1);
		atomic_store(&run->shared->stop, !run->options->tell);
		if (run->options->tell)
			printf("BAD %s\n", run->shared->jobs[number].text);
	}
	fflush(NULL);
	_exit(0);
}

static void tell_failure(const struct run *run, unsigned job, const char *text, struct fault_report *out)
{
	const struct task *t = &run->tasks[run->shared->jobs[job].task];

	snprintf(out->failure, sizeof out->failure,
	         "scene '%s', step %u (%s): %s at call %llu of the %s\n%s\nthe disks are kept: %s/worker-%u",
	         run->recorded->scene->name, t->step, run->recorded->scene->steps[t->step].words, fault_name(t->fault),
	         (unsigned long long)t->at, t->disk == DISK_STORE ? "store" : "client", text, run->stage->folder, job);
}

static void wait_for(struct run *run, pid_t pids[], struct fault_report *out)
{
	for (unsigned i = 0; i < run->options->jobs; i++) {
		int status = 0;

		if (waitpid(pids[i], &status, 0) != pids[i])
			abort();
		if (status != 0) {
			char text[100];

			snprintf(text, sizeof text, "the judge died with status %x", (unsigned)status);
			atomic_fetch_add(&run->shared->failures, 1);
			tell_failure(run, i, text, out);
		} else if (run->shared->jobs[i].text[0] && !out->failure[0]) {
			tell_failure(run, i, run->shared->jobs[i].text, out);
		}
	}
}

void faults_run(const struct stage *s, const struct recorded *r, const struct fault_options *o,
                struct fault_report *out)
{
	struct run run = { .stage = s, .recorded = r, .options = o };
	pid_t pids[JOBS_MAX];

	*out = (struct fault_report){ 0 };
	run.shared = mmap(NULL, sizeof *run.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.shared == MAP_FAILED || o->jobs > JOBS_MAX)
		abort();
	take_pictures(&run);
	make_tasks(&run);
	out->possible = run.count;
	choose_tasks(&run);
	fflush(NULL);
	for (unsigned i = 0; i < o->jobs; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			be_a_worker(&run, i);
		if (pids[i] < 0)
			abort();
	}
	wait_for(&run, pids, out);
	out->faults = atomic_load(&run.shared->faults);
	out->hit = atomic_load(&run.shared->hit);
	out->failed = atomic_load(&run.shared->failed);
	out->failures = atomic_load(&run.shared->failures);
	for (unsigned i = 0; i < STEPS_MAX; i++)
		free(run.answers[i]);
	for (unsigned i = 0; i < STEPS_MAX; i++)
		picture_release(&run.before[i]);
	free(run.tasks);
	munmap(run.shared, sizeof *run.shared);
}
