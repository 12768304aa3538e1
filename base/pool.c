#include "pool.h"
#include "mem.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

enum { JOB_QUEUED = 1, JOB_DONE = 2 };

#define SPIN_LOOKS 1000 /* some ten microseconds */

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a job was queued, or stopping */
	pthread_cond_t done; /* a job finished */
	struct pool_job *first, **last;
	bool stopping;
	unsigned thread_count;
	pthread_t threads[];
};

unsigned pool_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) != 0)
		return 1;
	return CPU_COUNT(&set) > 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* With the lock held. */
static struct pool_job *take(struct pool *p)
{
	struct pool_job *job = p->first;

	if (job) {
		p->first = job->next;
		if (!p->first)
			p->last = &p->first;
	}
	return job;
}

/* With the lock held; lets go of it while the job runs. */
static void run_one(struct pool *p, struct pool_job *job)
{
	pthread_mutex_unlock(&p->lock);
	job->run(job);
	pthread_mutex_lock(&p->lock);
	atomic_store_explicit(&job->state, JOB_DONE, memory_order_release);
	pthread_cond_broadcast(&p->done);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct pool_job *job;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!(job = take(p)) && !p->stopping)
			pthread_cond_wait(&p->work, &p->lock);
		if (!job)
			break;
		run_one(p, job);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum err_code pool_open(unsigned threads, struct pool **out, struct err *e)
{
	struct pool *p;
	sigset_t all, before;

	if (threads > 256)
		threads = 256;
	p = mem_zalloc(1, sizeof *p + threads * sizeof p->threads[0]);
	if (!p)
		return err_no_memory(e, sizeof *p);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);
	p->last = &p->first;
	/* Signals are the main thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (p->thread_count < threads && pthread_create(&p->threads[p->thread_count], NULL, worker, p) == 0)
		p->thread_count++; /* fewer threads than asked still work: waiters help */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	*out = p;
	return ERR_OK;
}

void pool_submit(struct pool *p, struct pool_job *job)
{
	job->next = NULL;
	atomic_store_explicit(&job->state, JOB_QUEUED, memory_order_relaxed);
	pthread_mutex_lock(&p->lock);
	*p->last = job;
	p->last = &job->next;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

bool pool_is_done(const struct pool_job *job)
{
	return atomic_load_explicit(&job->state, memory_order_acquire) == JOB_DONE;
}

/* Most jobs end within microseconds: looking for a moment costs less than going to sleep and being woken. */
static bool done_soon(const struct pool_job *job)
{
	for (int look = 0; look < SPIN_LOOKS; look++) {
		if (pool_is_done(job))
			return true;
		relax();
	}
	return false;
}

void pool_wait(struct pool *p, struct pool_job *job)
{
	bool looked = false;

	if (pool_is_done(job))
		return;
	pthread_mutex_lock(&p->lock);
	while (!pool_is_done(job)) {
		struct pool_job *other = take(p);

		if (other) {
			run_one(p, other);
		} else if (!looked) {
			pthread_mutex_unlock(&p->lock);
			looked = true;
			if (done_soon(job))
				return;
			pthread_mutex_lock(&p->lock);
		} else {
			pthread_cond_wait(&p->done, &p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool **pp)
{
	struct pool *p = *pp;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->done);
	mem_free(p);
	*pp = NULL;
}
