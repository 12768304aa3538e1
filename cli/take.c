#include "take.h"

#include <pthread.h>
#include <stdio.h>

#include "account_source.h"
#include "base/clock.h"
#include "base/text.h"

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

	atomic_fetch_add(&t->skipped, 1);
	snprintf(text, sizeof text, "%s%s%s", t->named ? t->options.account : "", t->named ? ": " : "", what);
	cli_report(t->cli, text, why);
}

static enum err_code take_one(struct repo *repo, struct take *t, struct err *e)
{
	struct item_source *from = NULL;
	enum err_code rc = account_source_open(t->account, t->source, t->environment, &from, e);

	if (!rc) {
		from->report = report;
		from->report_ctx = t;
		rc = engine_snapshot(repo, from, &t->options, &t->report, e);
		from->ops->free(&from);
	}
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

		t->state = rc ? TAKE_FAILED : TAKE_DONE;
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
