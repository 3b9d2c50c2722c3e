/* kernels: how fast single layers run, as shares of what the machine can do.
 *
 *   build/bench/kernels [--filter TEXT] [--pass forward|data|weights] [--batch N] [--target NAME]
 *                       [--cc COMMAND] [--schedule TEXT] [--keep FOLDER] [--blocks N] [-v]
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
#include "../../compiler/jit/jit.h"
#include "../../compiler/op.h"
#include "../../compiler/program/internal.h"
#include "../../compiler/schedule/internal.h"
#include "common/layer.h"
#include "common/machine.h"

#include <math.h>
#include <stdlib.h>

enum { FORWARD, BY_DATA, BY_WEIGHTS, PASSES };
static const char *const pass_names[PASSES] = {"forward", "data", "weights"};

typedef struct {
	const char *filter, *target, *cc, *schedule, *keep;
	int pass;      /* -1: all */
	int64_t batch; /* 0: 1 and 16 */
	int blocks;
	bool verbose;
} Settings;

typedef void (*Kernel)(const void *const *arg);

/* One layer on its way. */
typedef struct {
	Arena *arena;
	const Settings *set;
	const Target *target;
	const Layer *layer;
	int pass;
	int64_t batch;
	State weight;
	Diag diag;
	Part *part;
	int step; /* the contraction's */
	Jit *jit;
	Kernel *kernel;    /* by step */
	const void ***arg; /* by step */
	void **own;        /* memory by buffer; WORK: NULL */
	void *work;
	Peak peak;
} Job;

static void fail(const Job *j, const char *why)
{
	fprintf(stderr, "kernels: %s %s: %s\n", j->layer ? j->layer->name : "",
	    j->layer ? pass_names[j->pass] : "", why);
	exit(1);
}

/* --- the graph of one layer ------------------------------------------------------------------ */

/* What another layer made: a map's result, so that its layout is the compiler's to choose. Images
 * come from outside. */
static Value *operand(Graph *g, const char *name, int slot, Shape shape, bool image)
{
	graph_at(g, "feed", (Where){0});
	Value *v = graph_input(g, name, slot, TYPE_REAL, shape);
	if (!image) v = graph_op(g, &op_relu, &v, 1, NULL)->out[0];
	graph_at(g, "layer", (Where){0});
	return v;
}

static void set_window(const OpDesc *op, AttrValue *attr, const Layer *y)
{
	Pads *pads = &attr[attr_index(op, "pad")].pads;
	attr_set_pair(op, attr, "stride", y->stride, y->stride);
	for (int i = 0; i < 2; i++) pads->before[i] = pads->after[i] = y->pad[i];
	attr_set_int(op, attr, "groups", y->groups);
}

static Value *convolution(Job *j, Graph *g, Value *w)
{
	const Layer *y = j->layer;
	Shape in = shape_of(4, j->batch, y->ic, y->in[0], y->in[1]);
	Shape out = shape_of(4, j->batch, y->oc, layer_out(y, 0), layer_out(y, 1));
	const OpDesc *op = j->pass == FORWARD   ? &op_conv
	                   : j->pass == BY_DATA ? &op_conv_dx
	                                        : &op_conv_dw;
	AttrValue *attr = graph_attrs(j->arena, op);
	set_window(op, attr, y);
	if (j->pass == BY_DATA) {
		attr_set_pair(op, attr, "size", y->in[0], y->in[1]);
		return graph_op(g, op, (Value *[]){operand(g, "dy", 0, out, false), w}, 2, attr)->out[0];
	}
	attr_set_pair(op, attr, "kernel", y->kernel[0], y->kernel[1]);
	Value *x = operand(g, "x", 0, in, layer_is_image(y));
	if (j->pass == BY_WEIGHTS)
		return graph_op(g, op, (Value *[]){x, operand(g, "dy", 1, out, false)}, 2, attr)->out[0];
	attr_set_int(op, attr, "out", y->oc);
	attr_set_bool(op, attr, "bias", false);
	return graph_op(g, op, (Value *[]){x, w}, 2, attr)->out[0];
}

static Value *dense(Job *j, Graph *g, Value *w)
{
	const Layer *y = j->layer;
	Shape in = shape_of(2, j->batch, y->ic), out = shape_of(2, j->batch, y->oc);
	if (j->pass == BY_DATA)
		return graph_op(g, &op_dense_dx, (Value *[]){operand(g, "dy", 0, out, false), w}, 2, NULL)
		    ->out[0];
	Value *x = operand(g, "x", 0, in, false);
	if (j->pass == BY_WEIGHTS)
		return graph_op(g, &op_dense_dw, (Value *[]){x, operand(g, "dy", 1, out, false)}, 2, NULL)
		    ->out[0];
	AttrValue *attr = graph_attrs(j->arena, &op_dense);
	attr_set_int(&op_dense, attr, "out", y->oc);
	attr_set_bool(&op_dense, attr, "bias", false);
	return graph_op(g, &op_dense, (Value *[]){x, w}, 2, attr)->out[0];
}

static Graph *layer_graph(Job *j)
{
	const Layer *y = j->layer;
	diag_init(&j->diag, j->arena);
	Graph *g = graph_new(j->arena, &j->diag, j->batch, MODE_TRAIN);
	Shape w = layer_is_dense(y) ? shape_of(2, y->oc, y->ic)
	                            : shape_of(4, y->oc, y->ic / y->groups, y->kernel[0], y->kernel[1]);
	j->weight = (State){.name = "weight", .kind = STATE_WEIGHT, .shape = w};
	Value *weight = j->pass == BY_WEIGHTS ? NULL : graph_read(g, &j->weight);
	Value *v = layer_is_dense(y) ? dense(j, g, weight) : convolution(j, g, weight);
	if (j->pass == BY_WEIGHTS) {
		graph_output(g, "weight", OUT_GRADIENT, 0, &j->weight, v);
		return g;
	}
	Value *next = graph_op(g, &op_relu, &v, 1, NULL)->out[0];
	graph_output(g, "y", OUT_TENSOR, 0, NULL, next);
	return g;
}

/* --- through the compiler ----------------------------------------------------------------- */

static void override_schedule(Job *j)
{
	Step *s = &j->part->step.at[j->step];
	Schedule schedule;
	const char *wrong = schedule_parse(j->arena, s->nest, j->set->schedule, &schedule);
	Scheduled *made = wrong ? NULL : tree_build(j->arena, s->nest, &schedule, &wrong);
	if (made) wrong = check_all(j->arena, made);
	if (wrong) fail(j, wrong);
	s->tree[0] = made;
}

static bool is_copy(const Step *s)
{
	return !strcmp(s->nest->name, "pack") || !strcmp(s->nest->name, "unpack") ||
	       !strcmp(s->nest->name, "zero") || !strcmp(s->nest->name, "copy");
}

/* The layer itself: neither what feeds it nor a copy. */
static bool is_layer(const Step *s)
{
	return !is_copy(s) && s->nest->layer && !strcmp(s->nest->layer, "layer");
}

static void compile_layer(Job *j)
{
	Graph *g = layer_graph(j);
	Decisions decisions = {.arena = j->arena};
	const char *wrong = j->diag.errors ? j->diag.message.at[0].text : graph_verify(g);
	if (wrong) fail(j, wrong);
	j->part = lower_graph(j->arena, g, ENTRY_GRADIENTS, "layer");
	prune_part(j->arena, j->part);
	fuse_part(j->arena, j->part);
	layout_part(j->arena, j->part);
	inplace_part(j->arena, j->part);
	schedule_part(j->arena, j->part, &j->target, 1, false, &decisions);
	j->step = -1;
	for (int s = 0; s < j->part->step.n; s++)
		if (is_layer(&j->part->step.at[s])) j->step = s;
	if (j->step < 0) fail(j, "no step is the layer's own");
	if (j->set->schedule) override_schedule(j);
	plan_memory(j->arena, j->part, sizeof(float));
	wrong = verify_part(j->arena, j->part);
	if (wrong) fail(j, wrong);
}

static const char includes[] =
    "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n";

static const char *layer_text(Job *j)
{
	Text out;
	text_init(&out, j->arena);
	text_add(&out, includes);
	emit_prelude(&out, &j->target, 1, false);
	peak_text(j->target, &out);
	for (int s = 0; s < j->part->step.n; s++) {
		const Step *step = &j->part->step.at[s];
		emit_kernel(j->arena, step->tree[0], j->target, false,
		    arena_printf(j->arena, "kernel_%d", s), &out);
		text_printf(&out, "void step_%d(const void *const *arg);\n", s);
		text_printf(&out, "void step_%d(const void *const *arg)\n{\n", s);
		text_printf(&out, "\tfor (size_t i = 0; i < %lld; i++) kernel_%d(arg, i);\n}\n",
		    (long long)tree_blocks(step->tree[0]), s);
	}
	return out.data;
}

static void keep_text(const Job *j, const char *text)
{
	const char *path = arena_printf(j->arena, "%s/%s_%s_b%lld.c", j->set->keep, j->layer->name,
	    pass_names[j->pass], (long long)j->batch);
	const char *wrong = file_write(j->arena, path, text, strlen(text), true);
	if (wrong) fail(j, wrong);
}

/* --- memory ------------------------------------------------------------------------------- */

static void *memory(const Job *j, size_t bytes)
{
	enum { LINE = 64 };
	void *p = NULL;
	if (bytes > SIZE_MAX - LINE || posix_memalign(&p, LINE, (bytes / LINE + 1) * LINE))
		fail(j, "out of memory");
	memset(p, 0, bytes);
	return p;
}

static void fill(float *x, int64_t n)
{
	uint32_t h = 1;
	for (int64_t i = 0; i < n; i++) {
		h = h * 1664525 + 1013904223;
		x[i] = (float)(h >> 8) * 0x1p-23f - 1;
	}
}

/* WORK lies in one arena as planned; all else has memory of its own, so what gradients lent to it.
 */
static void place_buffers(Job *j)
{
	const Part *p = j->part;
	j->work = memory(j, (size_t)p->work);
	j->own = NEWS(j->arena, void *, p->buffer.n);
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *b = p->buffer.at[i];
		if (b->place == PLACE_WORK && !b->lent) continue;
		j->own[i] = memory(j, (size_t)b->size * sizeof(float));
		fill(j->own[i], b->size);
	}
	j->arg = NEWS(j->arena, const void **, p->step.n);
	for (int s = 0; s < p->step.n; s++) {
		const Buffer *buffer[NEST_LOADS + NEST_STORES];
		int n = kernel_buffers(p->step.at[s].nest, buffer);
		j->arg[s] = NEWS(j->arena, const void *, n);
		for (int k = 0; k < n; k++)
			j->arg[s][k] = j->own[buffer[k]->id] ? j->own[buffer[k]->id]
			                                     : (float *)j->work + buffer[k]->offset;
	}
}

static const float *buffer_at(const Job *j, const Buffer *b)
{
	return j->own[b->id] ? j->own[b->id] : (const float *)j->work + b->offset;
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
	double *x = memory(j, (size_t)b->size * sizeof *x);
	const float *from = buffer_at(j, b);
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
	for (int s = 0; s <= j->step; s++) j->kernel[s](j->arg[s]);
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
		worst = fmax(worst, fabs(buffer_at(j, y)[offset] - want));
		largest = fmax(largest, fabs(want));
	}
	for (int k = 0; k < count; k++) free(m.memory[buffer[k]->id]);
	if (!(worst <= 1e-4 * largest))
		fail(j, arena_printf(j->arena, "wrong by %g of %g", worst, largest));
}

/* --- time ---------------------------------------------------------------------------------- */

static double time_steps(const Job *j, int first, int last, long calls)
{
	double start = cpu_seconds();
	for (long c = 0; c < calls; c++)
		for (int s = first; s <= last; s++) j->kernel[s](j->arg[s]);
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
		if (is_copy(&j->part->step.at[s])) sum += time_steps(j, s, s, calls_for(j, s, s, 2e-3));
	return sum;
}

typedef struct {
	double rate, best, share, time, copies;
} Result;

static Result measure(const Job *j)
{
	enum { BLOCKS_LIMIT = 101 };
	double rate[BLOCKS_LIMIT], share[BLOCKS_LIMIT], time[BLOCKS_LIMIT];
	int n = MIN(j->set->blocks, BLOCKS_LIMIT);
	long calls = calls_for(j, j->step, j->step, 3e-3);
	const long rounds = 600000; /* about a millisecond */
	for (int b = 0; b < n; b++) {
		double before = peak_rate(j->peak, rounds);
		time[b] = time_steps(j, j->step, j->step, calls);
		double after = peak_rate(j->peak, rounds);
		rate[b] = layer_flop(j->layer, j->batch) / time[b];
		share[b] = rate[b] / ((before + after) / 2);
	}
	Result r = {.rate = median(rate, n), .share = median(share, n), .time = median(time, n)};
	r.best = rate[n - 1]; /* median() has sorted them */
	r.copies = copy_time(j);
	return r;
}

/* --- a line of the table ------------------------------------------------------------------- */

static void load_kernels(Job *j)
{
	const char *text = layer_text(j), *error;
	if (j->set->keep) keep_text(j, text);
	j->jit = jit_cc(j->arena, text, j->set->cc, &error);
	if (!j->jit) fail(j, error);
	j->kernel = NEWS(j->arena, Kernel, j->part->step.n);
	for (int s = 0; s < j->part->step.n; s++)
		*(void **)&j->kernel[s] = jit_symbol(j->jit, arena_printf(j->arena, "step_%d", s));
	*(void **)&j->peak = jit_symbol(j->jit, "peak");
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
	Job j = {.arena = arena_new(0),
	    .set = set,
	    .target = target,
	    .layer = y,
	    .pass = pass,
	    .batch = batch};
	if (!j.arena || setjmp(out_of_memory)) fail(&j, "out of memory");
	arena_guard(j.arena, &out_of_memory);
	compile_layer(&j);
	load_kernels(&j);
	place_buffers(&j);
	check_results(&j);
	for (int s = j.step + 1; s < j.part->step.n; s++) j.kernel[s](j.arg[s]);
	Result r = measure(&j);
	printf("%-16s %-8s %5lld %10.4g %8.1f %8.1f %6.2f %10.4g\n", y->name, pass_names[pass],
	    (long long)batch, r.time * 1e3, r.rate * 1e-9, r.best * 1e-9, r.share, r.copies * 1e3);
	if (set->verbose) print_details(&j);
	fflush(stdout);
	*log_sum += log(r.share);
	jit_free(j.jit);
	free(j.work);
	for (int i = 0; i < j.part->buffer.n; i++) free(j.own[i]);
	arena_free(j.arena);
}

/* Says what the machine can do, and whether that is what its clock, lanes and ports make of it. */
static void print_machine(Arena *a, const Target *t, const char *cc)
{
	Text text;
	const char *error;
	double flop = 0, clock = clock_rate();
	Peak peak = NULL;
	text_init(&text, a);
	text_add(&text, includes);
	emit_prelude(&text, &t, 1, false);
	peak_text(t, &text);
	Jit *jit = jit_cc(a, text.data, cc, &error);
	if (jit) *(void **)&peak = jit_symbol(jit, "peak");
	if (!peak) {
		fprintf(stderr, "kernels: the peak loop: %s\n", jit ? "not found" : error);
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
	    "               [--cc COMMAND] [--schedule TEXT] [--keep FOLDER] [--blocks N] [-v]\n",
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
	for (const char *line = layer_table; *line; line = strchr(line, '\n') + 1) {
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
