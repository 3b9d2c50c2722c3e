/* pool: a fixed number of threads for the tasks of emitted entries.
 *
 * One job at a time. The caller opens it, takes tasks like every worker, then closes it and waits
 * for the workers that joined. Tasks are shared out in as many runs as there are threads: each
 * takes its own by an atomic counter, then what is left of the others'. One job after the other so
 * leaves the same images to the same thread, in whose caches they are. A worker that wakes too late
 * finds the job closed and goes back to sleep: nobody waits for a sleeper.
 *
 * Entries run many short jobs in a row, and to wake a sleeper takes as long as some of these. So
 * whoever waits first looks on for a moment, some milliseconds, and lets others run in between,
 * since there may be more threads than processors; and who looks on needs no lock to join or leave,
 * since on a lock that is held a moment longer it would sleep after all: jobs of a microsecond took
 * 1.4 times as long. The job is one word: which it is, whether it is open, how many are in it. Only
 * sleepers take the lock: whoever falls asleep says so and then looks at the word once more;
 * whoever changes the word then asks whether somebody sleeps. That rests on all threads seeing the
 * two in one order (memory_order_seq_cst). */
#define _POSIX_C_SOURCE 200809L
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREAD_LIMIT = 1024, LOOKS = 100, TURNS = 2000, LINE = 64 };

/* A thread's own tasks, in a cache line of its own. */
typedef struct {
	_Alignas(LINE) atomic_size_t next; /* the first that nobody has taken */
	size_t end;
} Run;

typedef struct {
	Pool *pool;
	int number; /* from 1 */
	pthread_t thread;
} Worker;

/* A job's word: how many workers have joined and not left, whether it is open, and above that its
 * number, which may begin again: a worker that slept meanwhile misses a job at the most. */
enum { JOINED = 2 * THREAD_LIMIT - 1, OPEN = JOINED + 1, JOB = 2 * OPEN };
_Static_assert((JOINED & OPEN) == 0, "THREAD_LIMIT is a power of two");

struct Pool {
	_Alignas(LINE) atomic_uint job;
	_Alignas(LINE) atomic_bool stop;
	atomic_bool sleeps;      /* a worker, until there is a job */
	atomic_bool waits;       /* the caller, until all have left */
	pthread_mutex_t running; /* held by the caller whose job it is */
	pthread_mutex_t lock;    /* of whoever falls asleep, until it does */
	pthread_cond_t work, idle;
	void (*task)(void *arg, size_t i);
	void *arg;
	Run *run; /* by thread, the caller's first */
	int workers;
	Worker *worker;
};

static void do_tasks(Pool *p, int self)
{
	int threads = p->workers + 1;
	for (int k = 0; k < threads; k++) {
		Run *r = &p->run[(self + k) % threads];
		for (;;) {
			size_t i = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
			if (i >= r->end) break;
			p->task(p->arg, i);
		}
	}
}

static void share_out(Pool *p, size_t n)
{
	size_t threads = (size_t)p->workers + 1, at = 0;
	for (size_t k = 0; k < threads; k++) {
		atomic_store_explicit(&p->run[k].next, at, memory_order_relaxed);
		at += n / threads + (k < n % threads);
		p->run[k].end = at;
	}
}

/* Between two looks: leaves a core to the thread that shares it. */
static void relax(void)
{
#if (defined __x86_64__ || defined __i386__) && defined __GNUC__ && !defined __TINYC__
	__builtin_ia32_pause();
#elif defined __aarch64__ && defined __GNUC__ && !defined __TINYC__
	__asm__ volatile("yield");
#endif
}

static bool is_other(unsigned job, unsigned seen) { return job / JOB != seen / JOB; }

/* Or there will be none. */
static bool has_job(Pool *p, unsigned seen)
{
	return is_other(atomic_load(&p->job), seen) || atomic_load(&p->stop);
}

static bool is_idle(Pool *p, unsigned unused)
{
	(void)unused;
	return !(atomic_load(&p->job) & JOINED);
}

/* A moment's look for a job other than `seen`, or for the last worker to leave one. */
static bool look(Pool *p, bool (*found)(Pool *p, unsigned seen), unsigned seen)
{
	for (int turn = 0; turn < TURNS; turn++) {
		for (int i = 0; i < LOOKS; i++, relax())
			if (found(p, seen)) return true;
		sched_yield();
	}
	return false;
}

static void sleep_until_job(Pool *p, unsigned seen)
{
	pthread_mutex_lock(&p->lock);
	for (;;) {
		atomic_exchange(&p->sleeps, true);
		if (has_job(p, seen)) break;
		pthread_cond_wait(&p->work, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
}

static void wake_sleepers(Pool *p)
{
	if (!atomic_load(&p->sleeps)) return;
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->sleeps, false);
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
}

/* Joins the job that is open; *seen: which it is, or was. */
static bool join(Pool *p, unsigned *seen)
{
	*seen = atomic_load(&p->job);
	while (*seen & OPEN)
		if (atomic_compare_exchange_weak(&p->job, seen, *seen + 1)) return true;
	return false;
}

static void leave(Pool *p)
{
	if ((atomic_fetch_sub(&p->job, 1) & JOINED) > 1 || !atomic_load(&p->waits)) return;
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->idle);
	pthread_mutex_unlock(&p->lock);
}

static void *work(void *self)
{
	const Worker *w = self;
	Pool *p = w->pool;
	unsigned seen = 0;
	for (;;) {
		if (!look(p, has_job, seen)) sleep_until_job(p, seen);
		if (atomic_load(&p->stop)) return NULL;
		if (!join(p, &seen)) continue;
		do_tasks(p, w->number);
		leave(p);
	}
}

static void open_job(Pool *p, void (*task)(void *arg, size_t i), void *arg, size_t n)
{
	p->task = task;
	p->arg = arg;
	share_out(p, n);
	atomic_fetch_add(&p->job, JOB + OPEN);
	wake_sleepers(p);
}

static void close_job(Pool *p)
{
	atomic_fetch_sub(&p->job, OPEN);
	if (look(p, is_idle, 0)) return;
	pthread_mutex_lock(&p->lock);
	atomic_exchange(&p->waits, true);
	while (!is_idle(p, 0)) pthread_cond_wait(&p->idle, &p->lock);
	atomic_store(&p->waits, false);
	pthread_mutex_unlock(&p->lock);
}

static void run(void *self, void (*task)(void *arg, size_t i), void *arg, size_t n)
{
	Pool *p = self;
	if (n < 2 || !p->workers || pthread_mutex_trylock(&p->running) != 0) {
		for (size_t i = 0; i < n; i++) task(arg, i);
		return;
	}
	open_job(p, task, arg, n);
	do_tasks(p, 0);
	close_job(p);
	pthread_mutex_unlock(&p->running);
}

static int processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > THREAD_LIMIT ? THREAD_LIMIT : (int)n;
}

Pool *pool_new(int threads)
{
	if (threads == 0) threads = processors();
	if (threads < 1 || threads > THREAD_LIMIT) return NULL;
	Pool *p = aligned_alloc(LINE, sizeof *p);
	Worker *worker = calloc((size_t)threads, sizeof *worker);
	Run *runs = aligned_alloc(LINE, (size_t)threads * sizeof *runs);
	bool locks = p && worker && runs;
	if (locks) {
		*p = (Pool){.run = runs, .worker = worker};
		/* cannot fail on Linux; where they do, nothing was started yet */
		locks = pthread_mutex_init(&p->running, NULL) == 0 &&
		        pthread_mutex_init(&p->lock, NULL) == 0 && pthread_cond_init(&p->work, NULL) == 0 &&
		        pthread_cond_init(&p->idle, NULL) == 0;
	}
	while (locks && p->workers < threads - 1) {
		Worker *w = &worker[p->workers];
		*w = (Worker){.pool = p, .number = p->workers + 1};
		if (pthread_create(&w->thread, NULL, work, w) != 0) {
			pool_free(p);
			return NULL;
		}
		p->workers++;
	}
	if (locks) return p;
	free(runs);
	free(worker);
	free(p);
	return NULL;
}

void pool_free(Pool *p)
{
	if (!p) return;
	atomic_exchange(&p->stop, true);
	wake_sleepers(p);
	for (int i = 0; i < p->workers; i++) pthread_join(p->worker[i].thread, NULL);
	pthread_cond_destroy(&p->idle);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->running);
	free(p->run);
	free(p->worker);
	free(p);
}

int pool_threads(const Pool *p) { return p->workers + 1; }

struct cnnc_pool pool_shared(Pool *p) { return (struct cnnc_pool){run, p}; }
