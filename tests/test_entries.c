/* Whole networks, every entry: the naive nests of the plain graphs, to which nothing was done, say
 * what must come out; the schedules of every target, run by the interpreter, and emitted C of every
 * compiler there is must give it, in double to 1e-11 of a tensor's largest number. */
#define _POSIX_C_SOURCE 200809L
#include "entries.h"
#include "jobs.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
	const char *name, *file, *define;
	int train; /* its batch where not as always, and that of inference */
} networks[] = {
    {"toy", "tests/networks/toy.lua", NULL, 0},
    {"parts", "tests/networks/parts.lua", NULL, 0},
    {"ragged", "tests/networks/ragged.lua", NULL, 0},
    {"strides", "tests/networks/strides.lua", NULL, 0},
    {"heads", "tests/networks/heads.lua", NULL, 0},
    {"packs", "tests/networks/packs.lua", NULL, 0},
    {"matrix", "tests/networks/matrix.lua", NULL, 0},
    {"ends", "tests/networks/ends.lua", NULL, 0},
    {"lrn", "tests/networks/lrn.lua", NULL, 0},
    {"near", "tests/networks/near.lua", NULL, 4},
    {"inline", "tests/networks/inline.lua", NULL, 4},
    {"cheap", "tests/networks/cheap.lua", NULL, 0},
    {"winograd", "tests/networks/winograd.lua", NULL, 0},
    {"lenet", "networks/lenet.lua", "variant=paper", 0},
    {"lenet, modern", "networks/lenet.lua", "variant=modern", 0},
};
enum { NETWORKS = COUNT(networks) };

static const char *const targets[] = {"avx512", "avx2", "x86-64", "generic"};
enum { TARGETS = COUNT(targets) };

typedef struct {
	Arena *arena;
	Net in_double[NETWORKS], in_float[NETWORKS];
	Results want[NETWORKS];
} Networks;

static NetSpec spec_of(int network, const char *target, bool is_double)
{
	int train = networks[network].train;
	return (NetSpec){.file = networks[network].file,
	    .define = networks[network].define,
	    .target = target,
	    .is_double = is_double,
	    .infer = {train},
	    .train = train};
}

static int setup(void **state)
{
	static jmp_buf out_of_memory;
	Networks *n = calloc(1, sizeof *n);
	n->arena = arena_new(0);
	*state = n;
	if (!n->arena || setjmp(out_of_memory)) return -1;
	arena_guard(n->arena, &out_of_memory);
	for (int i = 0; i < NETWORKS; i++) {
		NetSpec spec = spec_of(i, "auto", true);
		const char *wrong = net_open(&n->in_double[i], n->arena, &spec);
		spec.is_double = false;
		if (!wrong) wrong = net_open(&n->in_float[i], n->arena, &spec);
		if (wrong) fail_msg("%s: %s", networks[i].name, wrong);
		n->want[i] = net_naive(&n->in_double[i], n->arena);
	}
	return 0;
}

static int teardown(void **state)
{
	Networks *n = *state;
	arena_free(n->arena);
	free(n);
	return 0;
}

typedef struct {
	Networks *all;
	int network, target;
	bool is_double;
	const char *compiler; /* NULL: libtcc */
} EntryJob;

static void run_jobs(Networks *n, const JobSpec *spec, int count)
{
	const char *wrong = jobs_run(n->arena, spec, count);
	if (wrong) fail_msg("%s", wrong);
}

static const char *trees_job(Job *job, Arena *a, void *self)
{
	EntryJob *w = self;
	(void)job;
	const Net *net = w->is_double ? &w->all->in_double[w->network] : &w->all->in_float[w->network];
	Results got = net_trees(net, a, w->target);
	return results_differ(a, &got, &w->all->want[w->network], 1e-11);
}

static void schedules_mean_what_the_naive_nests_mean(void **state)
{
	Networks *n = *state;
	EntryJob job[2 * TARGETS * NETWORKS];
	JobSpec spec[2 * TARGETS * NETWORKS];
	int count = check_is_sanitized() ? COUNT(job) / 2 : COUNT(job);
	for (int i = 0; i < count; i++) {
		job[i] = (EntryJob){n, i / TARGETS % NETWORKS, i % TARGETS, i / TARGETS / NETWORKS, NULL};
		const char *name =
		    arena_printf(n->arena, "%s, schedules for %s, %s", networks[job[i].network].name,
		        targets[job[i].target], job[i].is_double ? "double" : "float");
		spec[i] = (JobSpec){name, &job[i], trees_job};
	}
	run_jobs(n, spec, count);
}

static void the_oracles_of_operators_mean_the_same(void **state)
{
	Networks *n = *state;
	for (int i = 0; i < NETWORKS; i++) {
		Results got = net_oracles(&n->in_double[i], n->arena, 0, 0);
		const char *wrong = results_differ(n->arena, &got, &n->want[i], 1e-11);
		if (wrong) fail_msg("%s: %s", networks[i].name, wrong);
	}
}

static const char *c_job(Job *job, Arena *a, void *self)
{
	EntryJob *w = self;
	Net net;
	Results got;
	job_at(job, "compiling");
	const NetSpec spec =
	    spec_of(w->network, w->target < 0 ? "auto" : targets[w->target], w->is_double);
	bool shared = true;
	const char *wrong = net_open(&net, a, &spec);
	if (!wrong) wrong = net_c(&net, a, w->compiler, &got, &shared);
	if (!shared) wrong = "no kernel has blocks to share";
	if (wrong) return wrong;
	return results_differ(a, &got, &w->all->want[w->network], w->is_double ? 1e-11 : 1e-3);
}

/* Every network by this compiler for a target, -1: for all of them, of which the best is taken. Of
 * single targets each network sees one, and in the full check all others. */
static int add_jobs(
    Networks *n, const char *compiler, int target, bool is_double, EntryJob *job, JobSpec *spec)
{
	if (target >= 0 && !target_runs(targets[target])) return 0;
	int count = 0;
	compiler = check_compiler(compiler);
	for (int i = 0; i < NETWORKS; i++) {
		bool short_check = target < 0 || i % TARGETS == target;
		if (short_check == check_is_full()) continue;
		job[count] = (EntryJob){n, i, target, is_double, compiler};
		const char *name =
		    arena_printf(n->arena, "%s, %s, %s, %s", networks[i].name, compiler ? compiler : "tcc",
		        target < 0 ? "all targets" : targets[target], is_double ? "double" : "float");
		spec[count] = (JobSpec){name, &job[count], c_job};
		count++;
	}
	return count;
}

enum { MOST = (TARGETS + 2) * NETWORKS };

#define WARNINGS " -Wall -Wextra -Wconversion -Wshadow -Wundef -Wdouble-promotion -Werror"

static void so_does_c_by_gcc(void **state)
{
	Networks *n = *state;
	EntryJob job[MOST];
	JobSpec spec[MOST];
	int count = 0;
	if (!have_program("gcc")) skip();
	for (int t = 0; t < TARGETS; t++)
		count += add_jobs(n, "gcc -std=c11 -O2", t, true, job + count, spec + count);
	count += add_jobs(n, "gcc -std=c11 -O2" WARNINGS, -1, false, job + count, spec + count);
	run_jobs(n, spec, count);
}

static void so_does_c_by_clang(void **state)
{
	Networks *n = *state;
	EntryJob job[MOST];
	JobSpec spec[MOST];
	if (!have_program("clang")) skip();
	run_jobs(n, spec, add_jobs(n, "clang -std=c11 -O2" WARNINGS, -1, true, job, spec));
}

static void so_does_c_by_tcc(void **state)
{
	Networks *n = *state;
	EntryJob job[MOST];
	JobSpec spec[MOST];
	int count = add_jobs(n, NULL, -1, true, job, spec);
	count += add_jobs(n, NULL, -1, false, job + count, spec + count);
	run_jobs(n, spec, count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_oracles_of_operators_mean_the_same),
	    cmocka_unit_test(schedules_mean_what_the_naive_nests_mean),
	    cmocka_unit_test(so_does_c_by_clang),
	    cmocka_unit_test(so_does_c_by_tcc),
	    cmocka_unit_test(so_does_c_by_gcc),
	};
	size_t first = check_is_full() ? COUNT(tests) - 1 : 0; /* gcc for all targets takes longest */
	return _cmocka_run_group_tests("entries", tests + first, COUNT(tests) - first, setup, teardown);
}
