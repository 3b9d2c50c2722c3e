/* peak: the machine's multiply-adds as a peer of tests/bench/bench.py: what there is to be had
 * while the others are timed, and how much of the processors we get.
 *
 *   peak THREADS [COMMAND OF THE C COMPILER [TARGET]]
 *
 * Answers "info" and "run SECONDS", as common/answer.h says; a call is 1e9 operations of each
 * thread. "issue SECONDS" is the same with instructions that do nothing, 1e9 of each thread. Two
 * threads of one core take these in turns, while multiply-adds leave room for a neighbour's; so
 * they tell whether a core is shared, be it with whom this system knows nothing of. */
#define _POSIX_C_SOURCE 200809L
#include "../../runtime/pool.h"
#include "common/machine.h"

#include <stdlib.h>

typedef struct {
	Peak peak;
	long rounds;
	double done;
} Work;

static void fail(const char *what)
{
	fprintf(stderr, "peak: %s\n", what);
	exit(1);
}

static void work(void *arg, size_t i)
{
	Work *w = arg;
	double done = w->peak(w->rounds);
	if (i == 0) w->done = done;
}

/* As many instructions that do nothing as `rounds` are; returns their number. */
static double idle(long rounds)
{
	enum { COUNT = 64 };
	for (long r = 0; r < rounds; r += COUNT) __asm__ volatile(".rept 64\n\tnop\n\t.endr");
	return (double)((rounds + COUNT - 1) / COUNT * COUNT);
}

static void run(Work *w, Pool *pool, double least)
{
	struct cnnc_pool shared = pool_shared(pool);
	double start = wall_seconds(), cpu = cpu_seconds(), took, done = 0;
	do {
		shared.run(shared.self, work, w, (size_t)pool_threads(pool));
		done += w->done;
		took = wall_seconds() - start;
	} while (took < least);
	cpu = cpu_seconds() - cpu;
	printf("%.9g %.9g\n", took / done * 1e9, cpu / done * 1e9);
}

int main(int argc, char **argv)
{
	jmp_buf out_of_memory;
	char line[128];
	const char *cc = argc > 2 ? argv[2] : "cc -O2", *error;
	Work w = {.rounds = 200000}, issue = {.peak = idle, .rounds = 2000000};
	double least;
	Arena *a = arena_new(0);
	if (argc < 2) fail("usage: peak THREADS [COMPILER [TARGET]]");
	if (!a || setjmp(out_of_memory)) fail("out of memory");
	arena_guard(a, &out_of_memory);
	const Target *t = target_here(a, argc > 3 ? argv[3] : NULL, cc);
	Jit *jit = t ? peak_load(a, t, cc, &w.peak, &error) : NULL;
	if (!jit) fail(t ? error : "no such target runs here");
	Pool *pool = pool_new(atoi(argv[1]));
	if (!pool) fail("no threads");
	while (fgets(line, sizeof line, stdin)) {
		if (!strcmp(line, "info\n"))
			printf("%s\n", t->name);
		else if (sscanf(line, "run %lf", &least) == 1)
			run(&w, pool, least);
		else if (sscanf(line, "issue %lf", &least) == 1)
			run(&issue, pool, least);
		else
			fail(arena_printf(a, "not understood: %s", line));
		fflush(stdout);
	}
	pool_free(pool);
	jit_free(jit);
	arena_free(a);
	return 0;
}
