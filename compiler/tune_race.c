/* tune_race: schedules of one nest, printed and compiled as those of a network, run in turn on the
 * same numbers.
 *
 * Each runs some milliseconds a round, so that what disturbs the machine disturbs all of them; the
 * least time of all rounds counts. Who is faster than the compiler's choice must show it once more,
 * in rounds between the two: the fastest of many owes a part of its lead to luck. */
#include "emit/emit.h"
#include "here.h"
#include "jit/jit.h"
#include "tune.h"

#include <stdlib.h>

enum { RUNNERS = 16 };

typedef void (*Kernel)(const void *const *arg);

typedef struct {
	const Race *race;
	const void *arg[NEST_LOADS + NEST_STORES];
	Kernel run[RUNNERS];
	long calls[RUNNERS]; /* of a round; 0: out of the race */
	double time[RUNNERS];
} Track;

/* --- text -------------------------------------------------------------------------------- */

static const char *race_text(Arena *a, const Race *r)
{
	const Program *p = r->program;
	Text out;
	text_init(&out, a);
	text_add(&out, "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n"
	               "#include <string.h>\n");
	emit_prelude(&out, p->target, p->ntarget, p->is_double);
	for (int i = 0; i < r->n; i++) {
		emit_kernel(
		    a, r->runner[i], r->target, p->is_double, arena_printf(a, "kernel_%d", i), &out);
		text_printf(&out, "void run_%d(const void *const *arg);\n", i);
		text_printf(&out, "void run_%d(const void *const *arg)\n{\n", i);
		text_printf(&out, "\tfor (size_t i = 0; i < %lld; i++) kernel_%d(arg, i);\n}\n",
		    (long long)tree_blocks(r->runner[i]), i);
	}
	return out.data;
}

/* --- numbers ------------------------------------------------------------------------------ */

static void put_number(void *to, int64_t i, double x, bool is_double)
{
	if (is_double)
		((double *)to)[i] = x;
	else
		((float *)to)[i] = (float)x;
}

/* Tables as they are; else numbers from -1 to 1, which stay far from what is slow to compute with.
 * Labels are 0. */
static void fill(const Buffer *b, void *to, bool is_double)
{
	uint32_t h = 1;
	if (b->type != TYPE_REAL) return;
	for (int64_t i = 0; i < b->size; i++) {
		h = h * 1664525 + 1013904223;
		put_number(to, i, b->table ? b->table[i] : (h >> 8) * 0x1p-23 - 1, is_double);
	}
}

enum { LINE = 64 };

static size_t lines_of(int64_t bytes) { return ((size_t)bytes / LINE + 1) * LINE; }

/* Work lies as the planner has put it, since which operands meet in a set of a cache, or are one,
 * is a part of what is measured; all else one behind the other. Returns the memory; NULL: there is
 * none. Pages that nobody uses cost nothing. */
static void *place(Track *t)
{
	bool is_double = t->race->program->is_double;
	const Part *p = t->race->part;
	const Buffer *buffer[NEST_LOADS + NEST_STORES];
	int n = kernel_buffers(t->race->runner[0]->nest, buffer);
	size_t offset[NEST_LOADS + NEST_STORES], lent = lines_of(p->work);
	size_t size = lent + lines_of(p->gradients);
	for (int k = 0; k < n; k++) {
		const Buffer *b = buffer[k];
		int64_t element = is_double || b->type == TYPE_SEED ? 8 : 4;
		offset[k] = (b->lent ? lent : 0) + (size_t)(b->offset * element);
		if (b->place == PLACE_WORK) continue;
		offset[k] = size;
		size += lines_of(b->size * element) + LINE; /* what may be read behind it */
	}
	char *memory = calloc(size + LINE, 1);
	if (!memory) return NULL;
	char *start = memory + LINE - (uintptr_t)memory % LINE;
	for (int k = 0; k < n; k++) {
		t->arg[k] = start + offset[k];
		fill(buffer[k], start + offset[k], is_double);
	}
	return memory;
}

/* --- rounds ------------------------------------------------------------------------------ */

static double time_calls(const Track *t, int i, long calls)
{
	double start = cpu_seconds();
	for (long c = 0; c < calls; c++) t->run[i](t->arg);
	return (cpu_seconds() - start) / (double)calls;
}

static void run_rounds(Track *t, int rounds)
{
	for (int i = 0; i < t->race->n; i++) t->time[i] = 1e30;
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < t->race->n; i++)
			if (t->calls[i]) t->time[i] = MIN(t->time[i], time_calls(t, i, t->calls[i]));
}

/* Who is far behind in a first round need not run the others. Returns how many rounds are worth
 * their time. */
static int qualify(Track *t)
{
	enum { LEAST_ROUNDS = 3, ROUNDS = 15 };
	const double slice = 2e-3, slow = 0.1, far = 1.2, seconds = 2;
	double least = 1e30, sum = 0;
	for (int i = 0; i < t->race->n; i++) {
		t->time[i] = time_calls(t, i, 1); /* caches, and pages that nobody touched */
		if (t->time[i] < slow) t->time[i] = MIN(t->time[i], time_calls(t, i, 1));
		least = MIN(least, t->time[i]);
	}
	for (int i = 0; i < t->race->n; i++) {
		bool runs = !i || t->time[i] < far * least;
		t->calls[i] = runs ? MAX((long)(slice / MAX(t->time[i], 1e-8)), 1) : 0;
		sum += (double)t->calls[i] * t->time[i];
	}
	return (int)MAX(MIN(seconds / sum, ROUNDS), LEAST_ROUNDS);
}

static void compete(Track *t, Race *r)
{
	const double margin = 1.03;
	int rounds = qualify(t);
	run_rounds(t, rounds);
	r->best = 0;
	for (int i = 1; i < r->n; i++)
		if (t->time[i] < t->time[r->best]) r->best = i;
	if (t->time[r->best] * margin > t->time[0]) r->best = 0;
	if (r->best) {
		for (int i = 1; i < r->n; i++)
			if (i != r->best) t->calls[i] = 0;
		run_rounds(t, rounds);
		if (t->time[r->best] * margin > t->time[0]) r->best = 0;
	}
	r->first = t->time[0];
	r->time = t->time[r->best];
}

const char *race_run(Arena *a, Race *r)
{
	const char *error;
	Track t = {.race = r};
	if (r->n > RUNNERS) bug("%d schedules in a race of %d", r->n, RUNNERS);
	Jit *jit = jit_cc(a, race_text(a, r), r->compiler, &error);
	if (!jit) return error;
	void *memory = NULL;
	for (int i = 0; i < r->n; i++) {
		char name[16];
		snprintf(name, sizeof name, "run_%d", i);
		void *address = jit_symbol(jit, name);
		if (!address) error = "a kernel is missing";
		memcpy(&t.run[i], &address, sizeof address);
	}
	if (!error) memory = place(&t);
	if (!error && !memory) error = "out of memory";
	if (!error) compete(&t, r);
	free(memory);
	jit_free(jit);
	return error;
}
