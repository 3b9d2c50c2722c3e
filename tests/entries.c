/* entries: see entries.h. */
#include "entries.h"
#include "../compiler/emit/emit.h"
#include "../compiler/frontend/frontend.h"
#include "../compiler/jit/jit.h"
#include "../runtime/pool.h"
#include "op_case.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* --- the network and its numbers ---------------------------------------------------------- */

static double *numbers(Arena *a, int64_t count, double scale, uint64_t seed)
{
	double *x = NEWS(a, double, count + 1);
	for (int64_t i = 0; i < count; i++) x[i] = (double)(float)(scale * sample_uniform(&seed));
	return x;
}

/* Near what init would give; running statistics positive and far from 0 and 1. */
static void make_numbers(Net *net, Arena *a)
{
	const Model *m = net->model;
	int64_t most = MAX(MAX(net->infer[0], net->infer[1]), net->train), pixels = 1;
	const Shape *x = &m->input.at[0]->out[0]->shape;
	for (int d = 1; d < x->rank; d++) pixels *= x->dim[d];
	net->vars = numbers(a, m->vars, 0.25, 1);
	for (int i = 0; i < m->state.n; i++) {
		const State *s = m->state.at[i];
		for (int64_t e = 0; e < shape_count(s->shape) && s->kind == STATE_BUFFER; e++)
			net->vars[s->offset + e] += 0.75;
	}
	net->slots = numbers(a, m->slots, 0.01, 2); /* none below 0: some are running squares */
	for (int64_t e = 0; e < m->slots; e++) net->slots[e] = fabs(net->slots[e]);
	for (int i = 0; i < m->optimizer.hypers; i++) {
		double as_described = m->optimizer.hyper[i].value;
		net->hyper[net->hypers++] = as_described > 0 ? as_described : 0.01;
	}
	net->hyper[net->hypers++] = 4;
	net->x = numbers(a, most * pixels, 1, 3);
	net->classes = m->output.at[0].value->shape.dim[1];
	net->label = NEWS(a, double, most);
	for (int64_t n = 0; n < most; n++) net->label[n] = (double)((7 * n + 2) % net->classes);
	net->terms = m->loss.n > 1 ? m->loss.n + 1 : 1;
}

const char *net_open(
    Net *net, Arena *a, const char *file, const char *define, const char *target, bool is_double)
{
	Options o = {.file = file, .target = target, .is_double = is_double};
	if (define) vec_push(a, o.define, define);
	return net_open_as(net, a, &o);
}

const char *net_open_as(Net *net, Arena *a, const Options *options)
{
	Text said;
	*net = (Net){.options = *options, .batches = 2, .infer = {1, 3}, .train = 2};
	diag_init(&net->diag, a);
	Options *o = &net->options;
	o->infer_batches = net->batches;
	o->infer_batch[0] = net->infer[0];
	o->infer_batch[1] = net->infer[1];
	o->train_batches = 1;
	o->train_batch[0] = net->train;
	net->model = frontend_load(a, &net->diag, o);
	if (net->model) net->program = compile_program(a, &net->diag, o, net->model, NULL);
	text_init(&said, a);
	diag_print(&net->diag, &said);
	if (!net->program) return said.data;
	make_numbers(net, a);
	return NULL;
}

/* --- one way through all entries ---------------------------------------------------------- */

/* What an entry may read and write; all of it may be given to every entry. */
enum { VARS, SLOTS, GRADS, PACKED, X, LABEL, LOSS, SCORES, HYPER, FIELDS };

typedef struct {
	double *of[FIELDS];
	int64_t count[FIELDS];
} Frame;

typedef struct {
	void *self;
	void (*run)(void *self, EntryKind kind, int64_t batch, Frame *f);
} Way;

static void add_result(Arena *a, Results *r, const char *name, const double *x, int64_t count)
{
	Tensor t = {name, NEWS(a, double, count + 1), count};
	memcpy(t.at, x, (size_t)count * sizeof *x);
	vec_push(a, r->tensor, t);
}

static void add_states(Arena *a, Results *r, const char *what, const Net *net, const Frame *f)
{
	const Model *m = net->model;
	for (int i = 0; i < m->state.n; i++) {
		const State *s = m->state.at[i];
		const char *name = arena_printf(a, "%s %s", s->name, what);
		add_result(a, r, name, f->of[VARS] + s->offset, shape_count(s->shape));
	}
	add_result(a, r, arena_printf(a, "slots %s", what), f->of[SLOTS], m->slots);
}

static void add_gradients(Arena *a, Results *r, const Net *net, const Frame *f)
{
	for (int i = 0; i < net->model->state.n; i++) {
		const State *s = net->model->state.at[i];
		const char *name = arena_printf(a, "gradient of %s", s->name);
		if (s->kind == STATE_WEIGHT)
			add_result(a, r, name, f->of[GRADS] + s->offset, shape_count(s->shape));
	}
}

static void fill(double *to, const double *from, int64_t count)
{
	for (int64_t i = 0; i < count; i++) to[i] = from ? from[i] : NAN;
}

static void frame_new(const Net *net, Arena *a, Frame *f)
{
	const Model *m = net->model;
	int64_t most = MAX(MAX(net->infer[0], net->infer[1]), net->train), pixels = 1;
	const Shape *x = &m->input.at[0]->out[0]->shape;
	for (int d = 1; d < x->rank; d++) pixels *= x->dim[d];
	const int64_t count[FIELDS] = {[VARS] = m->vars,
	    [SLOTS] = m->slots,
	    [GRADS] = m->weights,
	    [PACKED] = net->program->packed,
	    [X] = most * pixels,
	    [LABEL] = most,
	    [LOSS] = net->terms,
	    [SCORES] = most * net->classes,
	    [HYPER] = net->hypers};
	for (int i = 0; i < FIELDS; i++) {
		f->count[i] = count[i];
		f->of[i] = NEWS(a, double, count[i] + 1);
		fill(f->of[i], NULL, count[i]);
	}
	fill(f->of[X], net->x, count[X]);
	fill(f->of[LABEL], net->label, count[LABEL]);
	fill(f->of[HYPER], net->hyper, net->hypers);
}

static void frame_restart(const Net *net, Frame *f)
{
	fill(f->of[VARS], net->vars, f->count[VARS]);
	fill(f->of[SLOTS], net->slots, f->count[SLOTS]);
}

/* Loss and scores of an entry, forgotten afterwards. */
static void add_outputs(
    Arena *a, Results *r, const Net *net, Frame *f, const char *of, int64_t batch)
{
	if (strcmp(of, "infer") != 0)
		add_result(a, r, arena_printf(a, "loss of %s", of), f->of[LOSS], net->terms);
	add_result(a, r, arena_printf(a, "scores of %s_b%lld", of, (long long)batch), f->of[SCORES],
	    batch * net->classes);
	fill(f->of[LOSS], NULL, f->count[LOSS]);
	fill(f->of[SCORES], NULL, f->count[SCORES]);
}

static Results go(const Net *net, Arena *a, Way way)
{
	Results r = {{0}};
	Frame f;
	frame_new(net, a, &f);
	way.run(way.self, ENTRY_INIT, 1, &f);
	add_states(a, &r, "after init", net, &f);
	frame_restart(net, &f);
	way.run(way.self, ENTRY_PACK, 1, &f);
	for (int i = 0; i < net->batches; i++) {
		way.run(way.self, ENTRY_INFER, net->infer[i], &f);
		add_outputs(a, &r, net, &f, "infer", net->infer[i]);
	}
	way.run(way.self, ENTRY_EVAL, net->train, &f);
	add_outputs(a, &r, net, &f, "eval", net->train);
	way.run(way.self, ENTRY_GRADIENTS, net->train, &f);
	add_outputs(a, &r, net, &f, "gradients", net->train);
	add_gradients(a, &r, net, &f);
	way.run(way.self, ENTRY_UPDATE, 1, &f);
	add_states(a, &r, "after the update", net, &f);
	return r;
}

/* --- by nests ----------------------------------------------------------------------------- */

typedef struct {
	const Net *net;
	Arena *arena;
	int target; /* -1: naive nests of graphs that nothing was done to */
} Nests;

static void run_part(Arena *a, const Part *p, Frame *f, int target)
{
	static const char *const names[FIELDS] = {
	    [X] = "x", [LABEL] = "label", [LOSS] = "loss", [SCORES] = "scores", [HYPER] = "hyper"};
	double **arg = NEWS(a, double *, p->arg.n + 1);
	for (int k = 0; k < p->arg.n; k++)
		for (int i = X; i < FIELDS; i++)
			if (!strcmp(p->arg.at[k].name, names[i])) arg[k] = f->of[i];
	Memory m = {f->of[VARS], f->of[SLOTS], f->of[GRADS], f->of[PACKED], arg, 11,
	    p->kind == ENTRY_INIT ? 0 : 3};
	if (!part_run(a, p, &m, target)) bug("%s has no trees", p->name);
}

static const Part *program_part(const Program *p, EntryKind kind, int64_t batch, int *number)
{
	for (int i = 0; i < p->part.n; i++) {
		if (p->part.at[i]->kind != kind || p->part.at[i]->batch != batch) continue;
		*number = i;
		return p->part.at[i];
	}
	return NULL;
}

/* The part before anything was fused, laid out or packed. */
static Part *plain_part(const Nests *w, EntryKind kind, int64_t batch)
{
	const Model *m = w->net->model;
	Graph *g = NULL;
	Part *p = NULL;
	if (kind == ENTRY_INIT) p = lower_init(w->arena, m);
	if (kind == ENTRY_INFER) g = graph_instance(m, batch, MODE_INFER, false);
	if (kind == ENTRY_EVAL) g = graph_instance(m, batch, MODE_INFER, true);
	if (kind == ENTRY_GRADIENTS) {
		g = graph_instance(m, batch, MODE_TRAIN, true);
		graph_backward(g, m);
	}
	if (kind == ENTRY_UPDATE) g = graph_update(m);
	if (g) p = lower_graph(w->arena, g, kind, "plain");
	if (p) plan_memory(w->arena, p, 8);
	return p;
}

static void nests_run(void *self, EntryKind kind, int64_t batch, Frame *f)
{
	Nests *w = self;
	int number;
	const Part *p = w->target < 0 ? plain_part(w, kind, batch)
	                              : program_part(w->net->program, kind, batch, &number);
	if (p)
		run_part(w->arena, p, f, w->target);
	else if (kind != ENTRY_PACK)
		bug("an entry is missing");
}

Results net_naive(const Net *net, Arena *a)
{
	Nests w = {net, a, -1};
	return go(net, a, (Way){&w, nests_run});
}

Results net_trees(const Net *net, Arena *a, int target)
{
	Nests w = {net, a, target};
	return go(net, a, (Way){&w, nests_run});
}

/* --- by C --------------------------------------------------------------------------------- */

enum { USE_STEP = -1, WORK = HYPER }; /* p[WORK] takes the place of the numbers in `hyper` */

typedef int Use(int entry, void *const *p, const double *hyper, const struct cnnc_pool *pool);

typedef struct {
	const Net *net;
	Arena *arena;
	Use *use;
	size_t packed, work; /* bytes */
	void *pack;
	const struct cnnc_pool *pool;
	bool step; /* gradients are a whole step, and the update does nothing */
	const char *wrong;
} Emitted;

static const char *upper(Arena *a, const char *s)
{
	char *u = arena_copy(a, s);
	for (char *c = u; *c; c++) *c = (char)toupper((unsigned char)*c);
	return u;
}

/* One line of the switch that calls the entry. */
static void print_use(const Part *p, int number, const char *net, Text *out)
{
	text_printf(out, "\tcase %d: ", number);
	if (p->kind == ENTRY_INIT) text_printf(out, "%s_init(p[0], p[1], 11); return 0;\n", net);
	if (p->kind == ENTRY_PACK) text_printf(out, "%s_pack(p[0], p[3]); return 0;\n", net);
	if (p->kind == ENTRY_INFER)
		text_printf(out, "return %s_%s(p[3], p[4], p[7], p[8], pool);\n", net, p->name);
	if (p->kind == ENTRY_EVAL)
		text_printf(out, "return %s_%s(p[0], p[4], p[5], p[6], p[7], p[8], pool);\n", net, p->name);
	if (p->kind == ENTRY_GRADIENTS) {
		text_printf(out,
		    "return %s_%s(p[0], t.seed, t.step, p[4], p[5], p[2], p[6], p[7], p[8], pool);\n", net,
		    p->name);
		text_printf(out,
		    "\tcase %d: return %s_step_b%lld(&t, p[4], p[5], p[6], p[7], p[8], pool);\n", USE_STEP,
		    net, (long long)p->batch);
	}
	if (p->kind == ENTRY_UPDATE) text_printf(out, "return %s_update(&t, p[2]);\n", net);
}

static const char *net_text(const Net *net, Arena *a)
{
	Text text, header;
	const char *name = net->model->name, *big = upper(a, name);
	const char *real = net->options.is_double ? "double" : "float";
	text_init(&text, a);
	text_init(&header, a);
	emit_program(a, net->program, NULL, &text, &header);
	text_printf(
	    &text, "extern const size_t sizes[2];\nconst size_t sizes[2] = {%s_PACKED_BYTES, ", big);
	text_printf(&text, "%s_STEP_B%lld_WORK + %s_INFER_WORK};\n", big, (long long)net->train, big);
	text_add(&text,
	    "int use(int entry, void *const *p, const double *hyper, const struct cnnc_pool *pool);\n"
	    "int use(int entry, void *const *p, const double *hyper, const struct cnnc_pool "
	    "*pool)\n{\n");
	text_printf(&text, "\tstruct %s_train t = {(%s *)p[0], (%s *)p[1], 11, (uint64_t)hyper[%d] - 1",
	    name, real, real, net->hypers - 1);
	for (int i = 0; i < net->hypers - 1; i++) text_printf(&text, ", (%s)hyper[%d]", real, i);
	text_add(&text, "};\n\tswitch (entry) {\n");
	for (int i = 0; i < net->program->part.n; i++)
		print_use(net->program->part.at[i], i, name, &text);
	text_add(&text, "\tdefault: return -1;\n\t}\n}\n");
	return text.data;
}

/* Numbers as the program has them: unaligned, labels whole. */
static void *to_real(Emitted *w, const Frame *f, int field)
{
	size_t size = field == LABEL ? 4 : w->net->options.is_double ? 8 : 4;
	char *memory = (char *)arena_alloc(w->arena, (size_t)f->count[field] + 2, size) + size;
	for (int64_t i = 0; i < f->count[field]; i++) {
		double x = f->of[field][i];
		if (field == LABEL)
			((int32_t *)(void *)memory)[i] = (int32_t)x;
		else if (size == 8)
			((double *)(void *)memory)[i] = x;
		else
			((float *)(void *)memory)[i] = (float)x;
	}
	return memory;
}

static void from_real(const Emitted *w, const void *memory, Frame *f, int field)
{
	for (int64_t i = 0; i < f->count[field] && field != LABEL; i++)
		f->of[field][i] = w->net->options.is_double ? ((const double *)memory)[i]
		                                            : (double)((const float *)memory)[i];
}

static void emitted_run(void *self, EntryKind kind, int64_t batch, Frame *f)
{
	Emitted *w = self;
	void *p[FIELDS];
	int number = 0;
	if (w->step && kind == ENTRY_UPDATE) return;
	if (!program_part(w->net->program, kind, batch, &number)) return;
	if (w->step && kind == ENTRY_GRADIENTS) number = USE_STEP;
	for (int i = VARS; i < HYPER; i++) p[i] = i == PACKED ? w->pack : to_real(w, f, i);
	p[WORK] = memset((char *)arena_alloc(w->arena, w->work + 1, 1) + 1, 0xff, w->work);
	int status = w->use(number, p, f->of[HYPER], w->pool);
	if (status && !w->wrong)
		w->wrong = arena_printf(
		    w->arena, "entry %d of batch %lld returns %d", (int)kind, (long long)batch, status);
	for (int i = VARS; i < HYPER; i++)
		if (i != PACKED) from_real(w, p[i], f, i);
}

/* Bits of everything after `from`, but gradients, which a step keeps to itself. */
static const char *same_bits(Arena *a, const Results *x, const Results *y, const char *what)
{
	for (int i = 0; i < x->tensor.n; i++) {
		const Tensor *t = &x->tensor.at[i], *u = &y->tensor.at[i];
		if (!strncmp(t->name, "gradient of", 11) && isnan(u->at[0])) continue;
		if (memcmp(t->at, u->at, (size_t)t->count * sizeof *t->at) != 0)
			return arena_printf(a, "%s: %s changes", what, t->name);
	}
	return NULL;
}

/* Counts how often work was shared. */
typedef struct {
	struct cnnc_pool pool;
	int runs;
} Counted;

static void counted_run(void *self, void (*task)(void *, size_t), void *arg, size_t n)
{
	Counted *c = self;
	c->runs++;
	c->pool.run(c->pool.self, task, arg, n);
}

static const char *use_c(Emitted *w, Results *results)
{
	Arena *a = w->arena;
	*results = go(w->net, a, (Way){w, emitted_run});
	w->step = true;
	Results step = go(w->net, a, (Way){w, emitted_run});
	w->step = false;
	Pool *two = pool_new(2);
	if (!two) return "no pool";
	Counted counted = {pool_shared(two), 0};
	struct cnnc_pool pool = {counted_run, &counted};
	w->pool = &pool;
	Results threads = go(w->net, a, (Way){w, emitted_run});
	pool_free(two);
	if (w->wrong) return w->wrong;
	if (!counted.runs) return "no kernel has blocks to share";
	const char *wrong = same_bits(a, results, &step, "a step for gradients and update");
	return wrong ? wrong : same_bits(a, results, &threads, "two threads");
}

const char *net_c(const Net *net, Arena *a, const char *compiler, Results *results)
{
	const char *error = NULL, *text = net_text(net, a);
	Jit *jit = compiler ? jit_cc(a, text, compiler, &error) : jit_tcc(a, text, &error);
	if (!jit) return error;
	const size_t *sizes = jit_symbol(jit, "sizes");
	Emitted w = {.net = net, .arena = a};
	void *use = jit_symbol(jit, "use");
	memcpy(&w.use, &use, sizeof use);
	if (sizes && use) {
		w.packed = sizes[0];
		w.work = sizes[1];
		w.pack = (char *)arena_alloc(a, w.packed + 1, 1) + 1;
		error = use_c(&w, results);
	} else {
		error = "a symbol is missing";
	}
	jit_free(jit);
	return error;
}

const char *results_differ(Arena *a, const Results *got, const Results *want, double tolerance)
{
	if (got->tensor.n != want->tensor.n) return "other results";
	const char *worst = NULL;
	double most = tolerance;
	for (int i = 0; i < want->tensor.n; i++) {
		const Tensor *g = &got->tensor.at[i], *w = &want->tensor.at[i];
		double far = tensor_distance(g->at, w->at, w->count);
		if (far <= most) continue;
		most = far;
		worst = arena_printf(a, "%s is %.3g off", w->name, far);
	}
	return worst;
}
