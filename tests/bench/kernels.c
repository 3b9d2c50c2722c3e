/* kernels: how fast single layers run, as shares of what the machine can do.
 *
 *   build/bench/kernels [--filter TEXT] [--pass forward|data|weights] [--batch N] [--target NAME]
 *                       [--cc COMMAND] [--schedule TEXT] [--keep FOLDER] [--blocks N] [-v]
 *                       [--layer "IC OC HxW KxK STRIDE PxP GROUPS"]
 *
 * Each line is one layer, pass and batch, brought through the compiler's own stages (lower, fuse,
 * lay out, schedule, plan, print), compiled by a C compiler and timed on one thread. Operands lie
 * as they do inside a network: what other layers make is laid out by the compiler, weights and
 * images are row-major and copied. The contraction is timed alone; so are the copies around it.
 * Shares are of a loop of independent multiply-adds, timed in turn with the kernel, since clocks
 * wander. Every kernel's result is compared with its nest's meaning, in double, at some points.
 *
 * GF/s count 2 N OC OH OW (IC/groups) KH KW, padded taps included: a kernel that skips them may
 * pass the peak. */
#define _POSIX_C_SOURCE 200809L
#include "../../compiler/emit/emit.h"
#include "../../compiler/program/internal.h"
#include "common/job.h"
#include "common/machine.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
	const char *filter, *target, *cc, *schedule, *keep;
	const char *layer; /* one line, in place of the table; NULL: the table */
	int pass;          /* -1: all */
	int64_t batch;     /* 0: 1 and 16 */
	int blocks;
	bool verbose;
} Settings;

/* One layer on its way. */
typedef struct {
	Job job;
	const Settings *set;
	Jit *jit;
	Peak peak;
} Bench;

/* One after the other, all blocks of some steps. */
static void run_steps(const Job *j, int first, int last)
{
	for (int s = first; s <= last; s++) {
		size_t blocks = (size_t)tree_blocks(j->part->step.at[s].tree[0]);
		for (size_t b = 0; b < blocks; b++) j->code[s](j->arg[s], b);
	}
}

static void keep_text(const Job *j, const char *folder, const char *text)
{
	const char *path = arena_printf(j->arena, "%s/%s_%s_b%lld.c", folder, j->layer->name,
	    pass_names[j->pass], (long long)j->batch);
	const char *wrong = file_write(j->arena, path, text, strlen(text), true);
	if (wrong) job_fail(j, wrong);
}

/* --- what the kernel should have computed -------------------------------------------------- */

static void move_access(Access *x, const Affine *to)
{
	for (int d = 0; d < x->buffer->rank; d++) x->at[d].a = affine_subst(&x->at[d].a, to);
}

/* The nest at one point of its space. */
static Nest *nest_at(Arena *a, const Nest *n, const int64_t *point)
{
	Nest *one = nest_copy(a, n);
	Affine to[NEST_DIMS];
	for (int d = 0; d < n->ndim; d++) {
		to[d] = affine_plus(affine_var(d), n->dim[d].reduce ? 0 : point[d]);
		if (!n->dim[d].reduce) one->dim[d].extent = 1;
	}
	for (int k = 0; k < n->nload; k++) move_access(&one->load[k], to);
	for (int k = 0; k < n->nstore; k++) move_access(&one->store[k].to, to);
	for (int g = 0; g < n->nguard; g++)
		for (int e = 0; e < 2; e++) one->guard[g].e[e].a = affine_subst(&n->guard[g].e[e].a, to);
	return one;
}

static double *in_double(const Job *j, const Buffer *b)
{
	double *x = job_memory(j, (size_t)b->size * sizeof *x);
	const float *from = job_buffer(j, b);
	for (int64_t i = 0; i < b->size; i++) x[i] = from[i];
	return x;
}

/* Runs all steps up to the contraction, then looks at some of its results. */
static void check_results(Job *j)
{
	enum { POINTS = 40 };
	const Nest *n = j->part->step.at[j->step].nest;
	const Buffer *buffer[NEST_LOADS + NEST_STORES], *y = n->store[0].to.buffer;
	int count = kernel_buffers(n, buffer);
	Machine m = {NEWS(j->arena, double *, j->part->buffer.n), 0, 0};
	run_steps(j, 0, j->step);
	for (int k = 0; k < count; k++) m.memory[buffer[k]->id] = in_double(j, buffer[k]);
	double worst = 0, largest = 0;
	for (int p = 0; p < POINTS; p++) {
		int64_t point[NEST_DIMS], at[BUFFER_RANK];
		for (int d = 0; d < n->ndim; d++)
			point[d] =
			    (int64_t)(hash_uniform(1, (uint64_t)p, 0, (uint64_t)d) * (double)n->dim[d].extent);
		run_naive(nest_at(j->arena, n, point), &m);
		for (int d = 0; d < y->rank; d++) at[d] = affine_eval(&n->store[0].to.at[d].a, point);
		int64_t offset = buffer_offset(y, at);
		double want = m.memory[y->id][offset];
		worst = fmax(worst, fabs(job_buffer(j, y)[offset] - want));
		largest = fmax(largest, fabs(want));
	}
	for (int k = 0; k < count; k++) free(m.memory[buffer[k]->id]);
	if (!(worst <= 1e-4 * largest))
		job_fail(j, arena_printf(j->arena, "wrong by %g of %g", worst, largest));
}

/* --- time ---------------------------------------------------------------------------------- */

static double time_steps(const Job *j, int first, int last, long calls)
{
	double start = cpu_seconds();
	for (long c = 0; c < calls; c++) run_steps(j, first, last);
	return (cpu_seconds() - start) / (double)calls;
}

/* Calls that take about this long. */
static long calls_for(const Job *j, int first, int last, double time)
{
	double once = time_steps(j, first, last, 1);
	once = fmin(once, time_steps(j, first, last, 1));
	return MAX((long)(time / fmax(once, 1e-8)), 1);
}

static double copy_time(const Job *j)
{
	double sum = 0;
	for (int s = 0; s < j->part->step.n; s++)
		if (job_is_copy(j, s)) sum += time_steps(j, s, s, calls_for(j, s, s, 2e-3));
	return sum;
}

typedef struct {
	double rate, best, share, time, copies;
} Result;

static Result measure(const Bench *of)
{
	const Job *j = &of->job;
	enum { BLOCKS_LIMIT = 101 };
	double rate[BLOCKS_LIMIT], share[BLOCKS_LIMIT], time[BLOCKS_LIMIT];
	int n = MIN(of->set->blocks, BLOCKS_LIMIT);
	long calls = calls_for(j, j->step, j->last, 3e-3);
	const long rounds = 600000; /* about a millisecond */
	for (int b = 0; b < n; b++) {
		double before = peak_rate(of->peak, rounds);
		time[b] = time_steps(j, j->step, j->last, calls);
		double after = peak_rate(of->peak, rounds);
		rate[b] = layer_flop(j->layer, j->batch) / time[b];
		share[b] = rate[b] / ((before + after) / 2);
	}
	Result r = {.rate = median(rate, n), .share = median(share, n), .time = median(time, n)};
	r.best = rate[n - 1]; /* median() has sorted them */
	r.copies = copy_time(j);
	return r;
}

/* --- a line of the table ------------------------------------------------------------------- */

static void load_kernels(Bench *of)
{
	Job *j = &of->job;
	const char *text = job_text(j), *error;
	if (of->set->keep) keep_text(j, of->set->keep, text);
	of->jit = jit_cc(j->arena, text, of->set->cc, &error);
	if (!of->jit) job_fail(j, error);
	j->code = NEWS(j->arena, StepCode, j->part->step.n);
	for (int s = 0; s < j->part->step.n; s++)
		*(void **)&j->code[s] = jit_symbol(of->jit, arena_printf(j->arena, "step_%d", s));
	*(void **)&of->peak = jit_symbol(of->jit, "peak");
}

static void print_details(const Job *j)
{
	Text t;
	text_init(&t, j->arena);
	for (int s = 0; s < j->part->step.n; s++) {
		const Step *step = &j->part->step.at[s];
		text_printf(&t, "    %-8s ", step->nest->name);
		schedule_print(step->nest, &step->tree[0]->schedule, &t);
		text_printf(&t, "\n    %-8s ", "");
		for (int k = 0; k < step->nest->nload + step->nest->nstore; k++) {
			const Access *x = k < step->nest->nload ? &step->nest->load[k]
			                                        : &step->nest->store[k - step->nest->nload].to;
			text_printf(&t, "%s%s(", k ? ", " : "", x->as);
			buffer_layout_text(x->buffer, &t);
			text_add(&t, ")");
		}
		text_add(&t, "\n");
	}
	fputs(t.data, stdout);
}

static void run_layer(const Settings *set, const Target *target, const Layer *y, int pass,
    int64_t batch, double *log_sum)
{
	jmp_buf out_of_memory;
	Bench of = {.set = set};
	Job *j = &of.job;
	*j = (Job){.arena = arena_new(0),
	    .program = "kernels",
	    .target = target,
	    .layer = y,
	    .pass = pass,
	    .batch = batch,
	    .schedule = set->schedule};
	if (!j->arena || setjmp(out_of_memory)) job_fail(j, "out of memory");
	arena_guard(j->arena, &out_of_memory);
	job_compile(j);
	load_kernels(&of);
	job_place(j);
	check_results(j);
	run_steps(j, j->step + 1, j->part->step.n - 1);
	Result r = measure(&of);
	printf("%-16s %-8s %5lld %10.4g %8.1f %8.1f %6.2f %10.4g\n", y->name, pass_names[pass],
	    (long long)batch, r.time * 1e3, r.rate * 1e-9, r.best * 1e-9, r.share, r.copies * 1e3);
	if (set->verbose) print_details(j);
	fflush(stdout);
	*log_sum += log(r.share);
	jit_free(of.jit);
	job_free(j);
	arena_free(j->arena);
}

/* Says what the machine can do, and whether that is what its clock, lanes and ports make of it. */
static void print_machine(Arena *a, const Target *t, const char *cc)
{
	const char *error;
	double flop = 0, clock = clock_rate();
	Peak peak;
	Jit *jit = peak_load(a, t, cc, &peak, &error);
	if (!jit) {
		fprintf(stderr, "kernels: the peak loop: %s\n", error);
		exit(1);
	}
	for (int i = 0; i < 9; i++) flop = fmax(flop, peak_rate(peak, 2000000));
	int lanes = MAX(t->vector_bytes / (int)sizeof(float), 1);
	printf("# %s, %s: peak %.1f GF/s", t->name, cc, flop * 1e-9);
	if (clock > 0)
		printf(" at %.2f GHz: %.2f vector multiply-adds of %d lanes a cycle, %d ports",
		    clock * 1e-9, flop / clock / 2 / lanes, lanes, t->fma_ports);
	printf("\n");
	jit_free(jit);
}

/* --- the command --------------------------------------------------------------------------- */

static int usage(void)
{
	fputs(
	    "usage: kernels [--filter TEXT] [--pass forward|data|weights] [--batch N] [--target NAME]\n"
	    "               [--cc COMMAND] [--schedule TEXT] [--keep FOLDER] [--blocks N] [-v]\n"
	    "               [--layer \"IC OC HxW KxK STRIDE PxP GROUPS\"]\n",
	    stderr);
	return 2;
}

static bool read_settings(Settings *s, int argc, char **argv)
{
	*s = (Settings){.cc = "cc -O2", .pass = -1, .blocks = 11};
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(name, "-v")) {
			s->verbose = true;
			continue;
		}
		if (!value) return false;
		i++;
		if (!strcmp(name, "--filter"))
			s->filter = value;
		else if (!strcmp(name, "--target"))
			s->target = value;
		else if (!strcmp(name, "--cc"))
			s->cc = value;
		else if (!strcmp(name, "--schedule"))
			s->schedule = value;
		else if (!strcmp(name, "--keep"))
			s->keep = value;
		else if (!strcmp(name, "--layer"))
			s->layer = value;
		else if (!strcmp(name, "--blocks"))
			s->blocks = atoi(value);
		else if (!strcmp(name, "--batch"))
			s->batch = atoi(value);
		else if (!strcmp(name, "--pass")) {
			for (int p = 0; p < PASSES; p++)
				if (!strcmp(value, pass_names[p])) s->pass = p;
			if (s->pass < 0) return false;
		} else
			return false;
	}
	return s->blocks > 0 && s->batch >= 0;
}

int main(int argc, char **argv)
{
	static const int64_t batches[] = {1, 16};
	Settings set;
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) return 1;
	arena_guard(a, &out_of_memory);
	if (!read_settings(&set, argc, argv)) return usage();
	const Target *target = target_here(a, set.target, set.cc);
	if (!target) {
		fputs("kernels: no such target, or this machine does not run it\n", stderr);
		return 1;
	}
	print_machine(a, target, set.cc);
	printf("%-16s %-8s %5s %10s %8s %8s %6s %10s\n", "layer", "pass", "batch", "ms", "GF/s", "best",
	    "share", "copies ms");
	double log_sum = 0;
	int lines = 0;
	const char *table = set.layer ? arena_printf(a, "layer %s\n", set.layer) : layer_table;
	for (const char *line = table; *line; line = strchr(line, '\n') + 1) {
		Layer y;
		if (!layer_read(line, &y)) return usage();
		if (set.filter && !strstr(y.name, set.filter)) continue;
		for (int pass = 0; pass < PASSES; pass++) {
			if ((set.pass >= 0 && pass != set.pass) || (pass == BY_DATA && layer_is_image(&y)))
				continue;
			for (int b = 0; b < (set.batch ? 1 : COUNT(batches)); b++, lines++)
				run_layer(&set, target, &y, pass, set.batch ? set.batch : batches[b], &log_sum);
		}
	}
	if (lines)
		printf("# %d lines, geometric mean of the shares %.3f\n", lines, exp(log_sum / lines));
	arena_free(a);
	return lines ? 0 : 1;
}
