#include "take.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "account_source.h"
#include "base/clock.h"
#include "base/text.h"

#define WATCH_MS 200

struct takes {
	struct cli *c;
	struct take *items;
	size_t count;
	take_ended ended;
	void *ctx;
	pthread_mutex_t lock;
	/* under LOCK */
	size_t next, finished;
	struct err stop; /* set: nothing more is begun */
};

static void report(void *ctx, const char *what, const struct err *why)
{
	struct take *t = ctx;
	char text[ERR_TEXT_MAX];

	if (why->code == ERR_CANCELLED)
		return; /* that the run was stopped is told once, and the next one reads it */
	atomic_fetch_add(&t->skipped, 1);
	snprintf(text, sizeof text, "%s%s%s", t->named ? t->options.account : "", t->named ? ": " : "", what);
	cli_report(t->cli, text, why);
}

/* A run that waits for its server looks at nothing but its stop flag: somebody else has to look at the clock. */
static void *watch_hours(void *arg)
{
	struct take *t = arg;
	struct timespec pause = { .tv_nsec = WATCH_MS * 1000000L };

	while (!atomic_load(&t->over)) {
		if (cli_stop || quiet_hours_now(&t->quiet))
			t->stop = 1;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static enum err_code take_opened(struct repo *repo, struct take *t, struct item_source *from, struct err *e)
{
	from->report = report;
	from->report_ctx = t;
	return engine_snapshot(repo, from, &t->options, &t->report, e);
}

/* Runs until it is done, or its quiet hours begin. */
static enum err_code take_watched(struct repo *repo, struct take *t, struct pace *pace, struct err *e)
{
	bool hours = t->quiet.from != t->quiet.to;
	struct item_source *from = NULL;
	pthread_t watcher;
	enum err_code rc;

	if (hours && pthread_create(&watcher, NULL, watch_hours, t))
		return err_set(e, ERR_NO_MEMORY, "cannot start a thread for an account");
	if (hours)
		engine_stop_flag(repo, &t->stop);
	if (t->account->sources.count > 1)
		rc = account_sources_open(t->account, pace, hours ? &t->stop : &cli_stop, &from, e);
	else
		rc = account_source_open(t->account, t->source, t->environment, pace, hours ? &t->stop : &cli_stop,
		                         &from, e);
	if (!rc)
		rc = take_opened(repo, t, from, e);
	if (from)
		from->ops->free(&from);
	engine_stop_flag(repo, &cli_stop);
	atomic_store(&t->over, true);
	if (hours)
		pthread_join(watcher, NULL);
	return rc;
}

static enum err_code take_one(struct repo *repo, struct take *t, struct err *e)
{
	struct pace *own = NULL, *pace = t->pace;
	uint64_t rate = 0;
	enum err_code rc = ERR_OK;

	if (t->quiet_hours)
		rc = quiet_hours_parse(t->quiet_hours, &t->quiet, e);
	if (!rc && quiet_hours_now(&t->quiet))
		return err_set(e, ERR_CANCELLED, "its quiet hours");
	if (!rc && t->account->max_rate)
		rc = rate_parse(t->account->max_rate, &rate, e);
	if (!rc && rate)
		rc = pace_open(rate, t->pace, &own, e);
	if (own)
		pace = own;
	if (!rc)
		rc = take_watched(repo, t, pace, e);
	pace_free(&own);
	return rc ? err_note(e, "taking a snapshot of %s", text_name(span_cstr(t->source)).text) : ERR_OK;
}

/* After these the next account would only fail the same way. */
static bool ends_all(enum err_code rc)
{
	return rc == ERR_CANCELLED || rc == ERR_NO_SPACE || rc == ERR_NO_MEMORY || rc == ERR_FORKED || rc == ERR_BUSY ||
	       rc == ERR_OUTCOME_UNKNOWN;
}

static struct take *next_take(struct takes *all)
{
	struct take *t = NULL;

	pthread_mutex_lock(&all->lock);
	if (!all->stop.code && all->next < all->count)
		t = &all->items[all->next++];
	pthread_mutex_unlock(&all->lock);
	return t;
}

static void end_take(struct takes *all, struct take *t)
{
	struct engine_progress p = { .phase = "accounts", .items_total = all->count, .what = t->options.account };

	pthread_mutex_lock(&all->lock);
	p.items_done = ++all->finished;
	if (t->state == TAKE_FAILED && ends_all(t->why.code) && !all->stop.code)
		all->stop = t->why;
	all->ended(all->ctx, t);
	if (all->count > 1)
		progress_update(&all->c->progress, &p);
	pthread_mutex_unlock(&all->lock);
}

static void work(struct takes *all, struct repo *repo)
{
	struct take *t;

	while ((t = next_take(all))) {
		int64_t begun = clock_monotonic_ms();
		enum err_code rc = take_one(repo, t, &t->why);

		t->state = !rc ? TAKE_DONE : rc == ERR_CANCELLED && !cli_stop ? TAKE_QUIET : TAKE_FAILED;
		t->duration_ms = clock_monotonic_ms() - begun;
		end_take(all, t);
	}
}

struct worker {
	struct takes *all;
	struct repo *repo;
	pthread_t thread;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	work(w->all, w->repo);
	return NULL;
}

/* Handles are opened here, one after the other, so that what fails fails before anything was begun. */
static enum err_code work_together(struct takes *all, unsigned jobs, struct err *e)
{
	struct worker workers[TAKE_JOBS_MAX] = { 0 };
	unsigned opened = 0, started = 0;
	enum err_code rc = ERR_OK;

	for (; !rc && opened < jobs; opened += !rc) {
		workers[opened].all = all;
		rc = repo_open_beside(all->c->repo, &workers[opened].repo, e);
	}
	for (; !rc && started < jobs; started += !rc)
		if (pthread_create(&workers[started].thread, NULL, worker_main, &workers[started]))
			rc = err_set(e, ERR_NO_MEMORY, "cannot start a thread for an account");
	/* Those that run do the work of those that could not be started. */
	if (started)
		rc = ERR_OK;
	for (unsigned i = 0; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned i = 0; i < opened; i++)
		repo_free(&workers[i].repo);
	return rc;
}

enum err_code takes_run(struct cli *c, struct take *takes, size_t count, unsigned jobs, take_ended ended, void *ctx,
                        struct err *e)
{
	struct takes all = { .c = c, .items = takes, .count = count, .ended = ended, .ctx = ctx };
	enum err_code rc = ERR_OK;

	for (size_t i = 0; i < count; i++) {
		takes[i].cli = c;
		takes[i].named = count > 1;
	}
	if (jobs > count)
		jobs = (unsigned)count;
	pthread_mutex_init(&all.lock, NULL);
	if (jobs > 1)
		rc = work_together(&all, jobs, e);
	else
		work(&all, c->repo);
	pthread_mutex_destroy(&all.lock);
	if (!rc && all.stop.code) {
		*e = all.stop;
		rc = e->code;
	}
	return rc;
}
