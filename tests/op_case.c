/* op_case: see op_case.h. */
#include "op_case.h"
#include "../compiler/schedule/schedule.h"
#include "graph_oracle.h"

#include <math.h>

const char *const form_names[FORMS] = {"bare", "fused", "shared"};

/* --- the case ----------------------------------------------------------------------------- */

/* Weights and running statistics are states; the optimisers' own operands are arguments. */
static void find_states(Arena *a, OpCase *c)
{
	const Sample *s = &c->sample;
	int states = c->op->flags & OP_OPTIMIZER ? 0 : c->op->states;
	for (int i = MAX(s->nin - states, 0); i < s->nin; i++) {
		const char *name = arena_printf(a, "state%d", i);
		c->is_state[i] = i > 0;
		c->state[i] = (State){.name = name, .shape = s->shape[i], .offset = c->vars};
		if (c->is_state[i]) c->vars += shape_count(s->shape[i]);
	}
}

static Value *operand(Graph *g, OpCase *c, int i)
{
	const Sample *s = &c->sample;
	if (c->is_state[i]) return graph_read(g, &c->state[i]);
	Value *v = graph_input(g, "in", i, s->type[i], s->shape[i]);
	v->node->classes = s->type[i] == TYPE_LABEL ? s->whole[i] : 0;
	return v;
}

static Graph *empty_graph(Arena *a)
{
	Diag *d = NEW(a, Diag);
	diag_init(d, a);
	return graph_new(a, d, 1, MODE_TRAIN);
}

OpCase *case_new(Arena *a, const OpDesc *op, const Sample *s)
{
	OpCase *c = NEW(a, OpCase);
	Graph *g = empty_graph(a);
	Value *in[SAMPLE_OPERANDS];
	c->op = op;
	c->sample = *s;
	c->name = arena_printf(a, "%s: %s", op->name, s->text);
	find_states(a, c);
	for (int i = 0; i < s->nin; i++) in[i] = operand(g, c, i);
	const Node *n = graph_op(g, op, in, s->nin, s->attr);
	if (n->poisoned) return NULL;
	c->node = n;
	c->nout = n->nout;
	for (int k = 0; k < n->nout; k++) c->out[k] = n->out[k]->shape;
	return c;
}

static CaseNumbers with_results(Arena *a, const OpCase *c, CaseNumbers n)
{
	double **out = oracle_node(a, c->node, (const double *const *)n.in);
	for (int k = 0; k < c->nout; k++) n.want[k] = out[k];
	return n;
}

CaseNumbers case_numbers(Arena *a, const OpCase *c, uint64_t seed)
{
	CaseNumbers n = {.in = {0}};
	for (int i = 0; i < c->sample.nin; i++) {
		n.in[i] = sample_numbers(a, &c->sample, i, &seed);
		int64_t count = shape_count(c->sample.shape[i]);
		for (int64_t e = 0; e < count; e++) n.in[i][e] = (double)(float)n.in[i][e];
	}
	return with_results(a, c, n);
}

CaseNumbers case_whole_numbers(Arena *a, const OpCase *c, uint64_t seed)
{
	CaseNumbers n = {.in = {0}};
	for (int i = 0; i < c->sample.nin; i++) {
		const Sample *s = &c->sample;
		n.in[i] = sample_numbers(a, s, i, &seed);
		bool free = !s->whole[i] && s->type[i] == TYPE_REAL;
		for (int64_t e = 0; e < shape_count(s->shape[i]) && free; e++)
			n.in[i][e] =
			    s->positive[i] ? ceil(4 * n.in[i][e]) : floor(9 * (n.in[i][e] + 1) / 2) - 4;
	}
	return with_results(a, c, n);
}

void case_fill_vars(const OpCase *c, const CaseNumbers *n, double *vars)
{
	for (int i = 0; i < c->sample.nin; i++) {
		size_t bytes = (size_t)shape_count(c->sample.shape[i]) * sizeof(double);
		if (c->is_state[i]) memcpy(vars + c->state[i].offset, n->in[i], bytes);
	}
}

int case_argument(const OpCase *c, int argument)
{
	for (int i = 0; i < c->sample.nin; i++)
		if (!c->is_state[i] && argument-- == 0) return i;
	return SAMPLE_OPERANDS + argument;
}

/* --- from graph to schedules --------------------------------------------------------------- */

const char *part_finish(
    Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double, bool winograd)
{
	Decisions decisions = {.arena = a};
	simplify_part(a, p, true);
	form_part(a, p, target, ntarget, is_double, winograd);
	plan_memory(a, p, is_double ? 8 : 4);
	schedule_part(a, p, target, ntarget, is_double, &decisions);
	return verify_part(a, p);
}

Part *part_compile(Arena *a, const Graph *g, EntryKind kind, const char *name,
    const Target *const *target, int ntarget, bool is_double, const char **error)
{
	*error = graph_verify(g);
	if (*error) return NULL;
	Part *p = lower_graph(a, g, kind, name);
	*error = part_finish(a, p, target, ntarget, is_double, false);
	return p;
}

/* 1*x + 0: another buffer with the same numbers. */
static Value *same(Graph *g, Value *x)
{
	return x->type == TYPE_REAL ? graph_op(g, op_find("scale"), &x, 1, NULL)->out[0] : x;
}

Part *case_part(Arena *a, const OpCase *c, Form form, const char *name, const Target *const *target,
    int ntarget, bool is_double, const char **error)
{
	Graph *g = empty_graph(a);
	OpCase *own = NEW(a, OpCase); /* its states: a graph may write to them */
	Value *in[SAMPLE_OPERANDS];
	*own = *c;
	for (int i = 0; i < c->sample.nin; i++) {
		in[i] = operand(g, own, i);
		if (form != FORM_BARE && !c->is_state[i]) in[i] = same(g, in[i]);
	}
	Node *n = graph_op(g, c->op, in, c->sample.nin, c->sample.attr);
	for (int k = 0; k < n->nout; k++) {
		Value *y = form == FORM_BARE ? n->out[k] : same(g, n->out[k]);
		graph_output(g, "y", OUT_TENSOR, c->sample.nin + k, NULL, y);
	}
	for (int k = 0; k < n->nout && form == FORM_SHARED; k++) {
		Value *y = graph_op(g, op_find("neg"), &n->out[k], 1, NULL)->out[0];
		graph_output(g, "minus", OUT_TENSOR, c->sample.nin + n->nout + k, NULL, y);
	}
	bool random = false; /* entries with gradients have a seed */
	for (int i = 0; i < c->sample.nin; i++) random |= c->sample.type[i] == TYPE_SEED;
	*error = graph_verify(g);
	if (*error) return NULL;
	Part *p = lower_graph(a, g, random ? ENTRY_GRADIENTS : ENTRY_EVAL, name);
	*error = part_finish(a, p, target, ntarget, is_double, c->winograd);
	return p;
}

/* --- whole numbers -------------------------------------------------------------------------- */

static const double exact_limit = 1 << 24;

typedef struct {
	const Nest *nest;
	const double *of_buffer; /* the largest number in each, by id */
	double acc[NEST_ACCS];
	bool exact;
} Bounds;

static double number_bound(Bounds *b, double x)
{
	if (isinf(x)) return 0; /* the start of a maximum: never stored */
	b->exact &= x == floor(x);
	return fabs(x);
}

static double index_bound(const Bounds *b, const Affine *i)
{
	int64_t count[NEST_DIMS], lo, hi;
	for (int d = 0; d < b->nest->ndim; d++) count[d] = b->nest->dim[d].extent;
	affine_range(i, count, &lo, &hi);
	return fmax(fabs((double)lo), fabs((double)hi));
}

/* An upper bound of |e|; clears b->exact where a number might not be whole. */
static double bound(Bounds *b, const Expr *e)
{
	double x[3] = {0}, most = 0;
	for (int i = 0; i < 3; i++)
		if (e->arg[i]) x[i] = bound(b, e->arg[i]);
	if (e->kind == E_ACC)
		most = b->acc[e->id];
	else if (e->kind == E_LOAD)
		most = b->of_buffer[b->nest->load[e->id].buffer->id];
	else if (e->kind == E_NUM)
		most = number_bound(b, e->number);
	else if (e->kind == E_INDEX)
		most = index_bound(b, &e->index[0]);
	else if (e->kind == E_ADD || e->kind == E_SUB)
		most = x[0] + x[1];
	else if (e->kind == E_MUL)
		most = x[0] * x[1];
	else if (e->kind == E_MAX || e->kind == E_MIN)
		most = fmax(x[0], x[1]);
	else if (e->kind == E_SELECT)
		most = fmax(x[1], x[2]);
	else if (e->kind == E_CALL && e->fn == FN_ABS)
		most = x[0];
	else if (e->kind < E_GT || e->kind > E_AND)
		b->exact = false;
	b->exact &= most <= exact_limit;
	return most;
}

static void bound_nest(Bounds *b, double *of_buffer)
{
	const Nest *n = b->nest;
	double points = 1;
	for (int d = 0; d < n->ndim; d++) points *= n->dim[d].reduce ? (double)n->dim[d].extent : 1;
	for (int k = 0; k < n->nacc; k++) b->acc[k] = 0;
	for (int k = 0; k < n->nacc; k++) {
		double start = number_bound(b, n->acc[k].init);
		b->acc[k] = fmax(start, bound(b, n->acc[k].update));
		double more = bound(b, n->acc[k].update) - b->acc[k]; /* sums grow, maxima do not */
		b->acc[k] += points * fmax(more, 0);
		b->exact &= b->acc[k] <= exact_limit;
	}
	for (int k = 0; k < n->nstore; k++) {
		double *to = &of_buffer[n->store[k].to.buffer->id];
		*to = fmax(*to, bound(b, n->store[k].value));
	}
}

double numbers_largest(const double *x, int64_t count)
{
	double most = 0;
	for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(x[i]));
	return most;
}

bool part_is_exact(
    Arena *a, const Part *p, double (*largest)(void *self, const Buffer *b), void *self)
{
	double *of_buffer = NEWS(a, double, p->buffer.n + 1);
	Bounds b = {.of_buffer = of_buffer, .exact = true};
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *buffer = p->buffer.at[i];
		bool table = buffer->place == PLACE_TABLE;
		of_buffer[i] = table ? numbers_largest(buffer->table, buffer->size) : largest(self, buffer);
		for (int64_t e = 0; table && e < buffer->size; e++) number_bound(&b, buffer->table[e]);
	}
	for (int s = 0; s < p->step.n && b.exact; s++) {
		b.nest = p->step.at[s].nest;
		bound_nest(&b, of_buffer);
	}
	return b.exact;
}

typedef struct {
	const OpCase *of;
	const CaseNumbers *numbers;
} CaseSource;

static double source_largest(void *self, const Buffer *b)
{
	const CaseSource *w = self;
	const OpCase *c = w->of;
	int i = -1;
	if (b->place == PLACE_INPUT) i = case_argument(c, b->slot);
	for (int k = 0; k < c->sample.nin && b->place == PLACE_VARS; k++)
		if (c->is_state[k] && c->state[k].offset == b->offset) i = k;
	return i < 0 ? 0 : numbers_largest(w->numbers->in[i], shape_count(c->sample.shape[i]));
}

bool case_is_exact(Arena *a, const OpCase *c, const Part *p, const CaseNumbers *n)
{
	CaseSource w = {c, n};
	return part_is_exact(a, p, source_largest, &w);
}

double tensor_distance(const double *got, const double *want, int64_t count)
{
	double far = 0, most = 0;
	for (int64_t i = 0; i < count; i++) {
		most = fmax(most, fabs(want[i]));
		if (!isfinite(got[i])) return INFINITY;
		far = fmax(far, fabs(got[i] - want[i]));
	}
	return far == 0 ? 0 : most == 0 ? INFINITY : far / most;
}
