/* entries: see entries.h. Networks and their numbers, and the ways by nests. */
#include "../compiler/frontend/frontend.h"
#include "entries_private.h"
#include "op_case.h"

#include <math.h>

/* --- the network and its numbers ---------------------------------------------------------- */

static double *numbers(Arena *a, int64_t count, double scale, uint64_t seed)
{
	double *x = NEWS(a, double, count + 1);
	for (int64_t i = 0; i < count; i++) x[i] = (double)(float)(scale * sample_uniform(&seed));
	return x;
}

static int64_t count_of(Shape s, int64_t batch)
{
	s.dim[0] = batch;
	return shape_count(s);
}

static void make_inputs(Net *net, Arena *a)
{
	const Model *m = net->model;
	net->input = NEWS(a, double *, m->input.n + 1);
	for (int i = 0; i < m->input.n; i++) {
		const Node *n = m->input.at[i];
		int64_t count = count_of(n->out[0]->shape, net->most);
		net->input[i] = numbers(a, count, 1, 3 + (uint64_t)i);
		for (int64_t k = 0; k < count && n->classes; k++)
			net->input[i][k] = (double)((7 * k + 2) % n->classes);
	}
}

/* Near what init would give; running statistics positive and far from 0 and 1. */
static void make_numbers(Net *net, Arena *a)
{
	const Model *m = net->model;
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
	net->hyper[net->hypers++] = NET_STEP + 1;
	make_inputs(net, a);
	net->terms = m->loss.n > 1 ? m->loss.n + 1 : 1;
}

static void set_batches(Net *net, const NetSpec *spec)
{
	bool given = spec->infer[0] > 0;
	net->infer[0] = given ? spec->infer[0] : 1;
	net->infer[1] = given ? spec->infer[1] : 3;
	net->batches = net->infer[1] ? 2 : 1;
	net->train = given ? spec->train : 2;
	net->most = MAX(MAX(net->infer[0], net->infer[1]), net->train);
}

const char *net_open(Net *net, Arena *a, const NetSpec *spec)
{
	Text said;
	*net = (Net){0};
	diag_init(&net->diag, a);
	set_batches(net, spec);
	Options *o = &net->options;
	o->file = spec->file;
	o->target = spec->target;
	o->is_double = spec->is_double;
	o->recompute = spec->recompute;
	if (spec->define) vec_push(a, o->define, spec->define);
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

int frame_field(const Frame *f, const char *name)
{
	for (int i = 0; i < f->fields; i++)
		if (f->name[i] && !strcmp(f->name[i], name)) return i;
	return -1;
}

/* Elements of an output: the most that any entry writes. */
static int64_t output_count(const Net *net, const char *name)
{
	int64_t most = 0;
	for (int i = 0; i < net->program->part.n; i++) {
		const Part *p = net->program->part.at[i];
		for (int k = 0; k < p->arg.n; k++)
			if (p->arg.at[k].output && !strcmp(p->arg.at[k].name, name))
				most = MAX(most, shape_count(p->arg.at[k].shape));
	}
	return most;
}

void frame_new(const Net *net, Arena *a, Frame *f)
{
	const Model *m = net->model;
	f->fields = FIELDS + m->input.n + m->output.n;
	f->of = NEWS(a, double *, f->fields);
	f->name = NEWS(a, const char *, f->fields);
	f->count = NEWS(a, int64_t, f->fields);
	const int64_t count[FIELDS] = {
	    m->vars, m->slots, m->weights, net->program->packed, net->terms, net->hypers};
	memcpy(f->count, count, sizeof count);
	f->name[LOSS] = "loss";
	f->name[HYPER] = "hyper";
	for (int i = 0; i < m->input.n; i++) {
		f->name[FIELDS + i] = m->input.at[i]->name;
		f->count[FIELDS + i] = count_of(m->input.at[i]->out[0]->shape, net->most);
	}
	for (int i = 0; i < m->output.n; i++) {
		f->name[FIELDS + m->input.n + i] = m->output.at[i].name;
		f->count[FIELDS + m->input.n + i] = output_count(net, m->output.at[i].name);
	}
	for (int i = 0; i < f->fields; i++) {
		f->of[i] = NEWS(a, double, f->count[i] + 1);
		fill(f->of[i], NULL, f->count[i]);
	}
	for (int i = 0; i < m->input.n; i++)
		fill(f->of[FIELDS + i], net->input[i], f->count[FIELDS + i]);
	fill(f->of[HYPER], net->hyper, net->hypers);
}

void frame_restart(const Net *net, Frame *f)
{
	fill(f->of[VARS], net->vars, f->count[VARS]);
	fill(f->of[SLOTS], net->slots, f->count[SLOTS]);
}

/* Loss and outputs of an entry, forgotten afterwards. */
static void add_outputs(
    Arena *a, Results *r, const Net *net, Frame *f, EntryKind kind, int64_t batch)
{
	int number;
	const Part *p = program_part(net->program, kind, batch, &number);
	if (kind != ENTRY_INFER)
		add_result(a, r, arena_printf(a, "loss of %s", p->name), f->of[LOSS], net->terms);
	for (int k = 0; k < p->arg.n; k++) {
		const Argument *arg = &p->arg.at[k];
		int field = frame_field(f, arg->name);
		if (!arg->output || field == LOSS) continue;
		const char *name = arena_printf(a, "%s of %s", arg->name, p->name);
		add_result(a, r, name, f->of[field], shape_count(arg->shape));
		fill(f->of[field], NULL, f->count[field]);
	}
	fill(f->of[LOSS], NULL, f->count[LOSS]);
}

Results entries_go(const Net *net, Arena *a, Way way)
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
		add_outputs(a, &r, net, &f, ENTRY_INFER, net->infer[i]);
	}
	way.run(way.self, ENTRY_EVAL, net->train, &f);
	add_outputs(a, &r, net, &f, ENTRY_EVAL, net->train);
	way.run(way.self, ENTRY_GRADIENTS, net->train, &f);
	add_outputs(a, &r, net, &f, ENTRY_GRADIENTS, net->train);
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

void frame_run(Arena *a, const Part *p, const Frame *f, int target)
{
	double **arg = NEWS(a, double *, p->arg.n + 1);
	for (int k = 0; k < p->arg.n; k++) {
		int field = frame_field(f, p->arg.at[k].name);
		if (field >= 0) arg[k] = f->of[field];
	}
	Memory m = {f->of[VARS], f->of[SLOTS], f->of[GRADS], f->of[PACKED], arg, NET_SEED,
	    p->kind == ENTRY_INIT ? 0 : NET_STEP};
	if (!part_run(a, p, &m, target)) bug("%s has no trees", p->name);
}

const Part *program_part(const Program *p, EntryKind kind, int64_t batch, int *number)
{
	for (int i = 0; i < p->part.n; i++) {
		if (p->part.at[i]->kind != kind || p->part.at[i]->batch != batch) continue;
		*number = i;
		return p->part.at[i];
	}
	return NULL;
}

Graph *entry_graph(const Net *net, EntryKind kind, int64_t batch)
{
	Graph *g = NULL;
	if (kind == ENTRY_INFER) g = graph_instance(net->model, batch, MODE_INFER, false);
	if (kind == ENTRY_EVAL) g = graph_instance(net->model, batch, MODE_INFER, true);
	if (kind == ENTRY_UPDATE) g = graph_update(net->model);
	if (kind == ENTRY_GRADIENTS) {
		g = graph_instance(net->model, batch, MODE_TRAIN, true);
		graph_backward(g, net->model);
	}
	return g;
}

/* The part before anything was fused, laid out or packed. */
static Part *plain_part(const Nests *w, EntryKind kind, int64_t batch)
{
	Graph *g = entry_graph(w->net, kind, batch);
	Part *p = kind == ENTRY_INIT ? lower_init(w->arena, w->net->model) : NULL;
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
		frame_run(w->arena, p, f, w->target);
	else if (kind != ENTRY_PACK)
		bug("an entry is missing");
}

Results net_naive(const Net *net, Arena *a)
{
	Nests w = {net, a, -1};
	return entries_go(net, a, (Way){&w, nests_run});
}

Results net_trees(const Net *net, Arena *a, int target)
{
	Nests w = {net, a, target};
	return entries_go(net, a, (Way){&w, nests_run});
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
