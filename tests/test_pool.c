/* The runtime's pool: tasks are done once each, whoever sleeps meanwhile. */
#define _POSIX_C_SOURCE 200809L
#include "../runtime/pool.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { TASKS = 1000 };

typedef struct {
	struct cnnc_pool pool;
	atomic_int done[TASKS];
	atomic_int inner;
} Job;

static void count_task(void *arg, size_t i) { atomic_fetch_add(&((Job *)arg)->done[i], 1); }

static void count_inner(void *arg, size_t i)
{
	(void)i;
	atomic_fetch_add(&((Job *)arg)->inner, 1);
}

static void nest_task(void *arg, size_t i)
{
	Job *j = arg;
	count_task(arg, i);
	j->pool.run(j->pool.self, count_inner, arg, 3);
}

static void pool_runs_each_task_once(void **state)
{
	(void)state;
	for (int threads = 1; threads <= 5; threads++) {
		Pool *p = pool_new(threads);
		assert_non_null(p);
		assert_int_equal(pool_threads(p), threads);
		static Job j;
		memset(&j, 0, sizeof j);
		j.pool = pool_shared(p);
		const size_t sizes[] = {0, 1, 2, 3, 7, TASKS};
		int expected[TASKS] = {0};
		for (int round = 0; round < 300; round++) {
			size_t n = sizes[round % 6];
			j.pool.run(j.pool.self, count_task, &j, n);
			for (size_t i = 0; i < n; i++) expected[i]++;
			for (size_t i = 0; i < TASKS; i += n < TASKS ? 1 : 97)
				assert_int_equal(atomic_load(&j.done[i]), expected[i]);
		}
		for (size_t i = 0; i < TASKS; i++) assert_int_equal(atomic_load(&j.done[i]), expected[i]);
		pool_free(p);
	}
}

static void pool_runs_inside_a_task(void **state)
{
	(void)state;
	static Job j;
	Pool *p = pool_new(3);
	assert_non_null(p);
	j.pool = pool_shared(p);
	j.pool.run(j.pool.self, nest_task, &j, TASKS);
	for (int i = 0; i < TASKS; i++) assert_int_equal(atomic_load(&j.done[i]), 1);
	assert_int_equal(atomic_load(&j.inner), 3 * TASKS);
	pool_free(p);
}

/* Longer than anybody looks on for work, or for others to finish. */
static void sleep_long(void)
{
	const struct timespec time = {.tv_nsec = 60000000};
	nanosleep(&time, NULL);
}

typedef struct {
	Job job;
	pthread_t caller;
	atomic_int others; /* tasks that workers have begun */
} Sleep;

/* The caller waits in its first task until a worker has woken up, whose own takes longer than the
 * caller looks on when all others are done. */
static void late_task(void *arg, size_t i)
{
	Sleep *s = arg;
	bool own = pthread_equal(pthread_self(), s->caller);
	if (!own && !atomic_fetch_add(&s->others, 1)) sleep_long();
	while (own && !atomic_load(&s->others)) sched_yield();
	count_task(&s->job, i);
}

static void pool_wakes_sleepers(void **state)
{
	(void)state;
	static Sleep s;
	Pool *p = pool_new(3);
	assert_non_null(p);
	s.job.pool = pool_shared(p);
	s.caller = pthread_self();
	for (int round = 1; round <= 3; round++) {
		sleep_long();
		atomic_store(&s.others, 0);
		s.job.pool.run(s.job.pool.self, late_task, &s, TASKS);
		for (int i = 0; i < TASKS; i++) assert_int_equal(atomic_load(&s.job.done[i]), round);
	}
	pool_free(p);
}

static void pool_counts_threads(void **state)
{
	(void)state;
	assert_null(pool_new(-1));
	assert_null(pool_new(1 << 20));
	Pool *p = pool_new(0);
	assert_non_null(p);
	assert_true(pool_threads(p) >= 1);
	pool_free(p);
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pool_runs_each_task_once),
	    cmocka_unit_test(pool_runs_inside_a_task), cmocka_unit_test(pool_wakes_sleepers),
	    cmocka_unit_test(pool_counts_threads)};
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
