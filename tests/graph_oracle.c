/* graph_oracle: see graph_oracle.h. */
#include "graph_oracle.h"

#include <math.h>

double **oracle_node(Arena *a, const Node *n, const double *const *in)
{
	double **out = NEWS(a, double *, MAX_OUT);
	for (int k = 0; k < n->nout; k++) out[k] = NEWS(a, double, shape_count(n->out[k]->shape));
	n->op->reference(n, in, out);
	return out;
}

double *oracle_value(const OracleRun *r, const Value *v)
{
	return r->of[v->node->id * MAX_OUT + v->index];
}

/* The numbers of a node's results. */
static void run_node(Arena *a, OracleRun *r, const Node *n, double *const *given)
{
	double **out = &r->of[n->id * MAX_OUT];
	if (n->kind == NODE_OP) {
		const double **in = NEWS(a, const double *, n->nin + 1);
		for (int k = 0; k < n->nin; k++) in[k] = oracle_value(r, n->in[k]);
		memcpy(out, oracle_node(a, n, in), (size_t)n->nout * sizeof *out);
	} else if (n->nout) {
		size_t bytes = (size_t)shape_count(n->out[0]->shape) * sizeof(double);
		const double *from = n->kind == NODE_CONSTANT ? n->table : *given;
		out[0] = memcpy(arena_alloc(a, 1, bytes + 1), from, bytes);
	}
}

OracleRun oracle_run_touched(Arena *a, const Graph *g, double *(*given)(void *self, const Node *n),
    void (*touch)(void *self, const OracleRun *r, const Value *v), void *self)
{
	OracleRun r = {NEWS(a, double *, g->next_id *MAX_OUT + 1)};
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		double *x = NULL;
		if (n->kind == NODE_INPUT || n->kind == NODE_READ) x = given(self, n);
		run_node(a, &r, n, &x);
		for (int k = 0; touch && k < n->nout; k++) touch(self, &r, n->out[k]);
	}
	return r;
}

OracleRun oracle_run(
    Arena *a, const Graph *g, double *(*given)(void *self, const Node *n), void *self)
{
	return oracle_run_touched(a, g, given, NULL, self);
}

/* --- gradients ---------------------------------------------------------------------------- */

/* loss = y . mix, a scalar that sees every element of y with a weight of its own. Its gradient
 * takes dloss = 1 for granted. */
static bool dot_infer(Graph *g, Node *n) { return infer_out(g, n, 0, (Shape){0}, TYPE_REAL); }

static void dot_gradient(Grad *g, const Node *n) { grad_add(g, n, 0, n->in[1]); }

static void dot_reference(const Node *n, const double *const *in, double *const *out)
{
	out[0][0] = 0;
	for (int64_t e = 0; e < shape_count(n->in[0]->shape); e++) out[0][0] += in[0][e] * in[1][e];
}

static void dot_lower(Lower *l, const Node *n)
{
	static const char *const names[MAX_RANK] = {"a", "b", "c", "d"};
	Arena *a = lower_arena(l);
	Nest *nest = lower_nest(l, n, "dot");
	Index at[MAX_RANK];
	for (int d = 0; d < n->in[0]->shape.rank; d++)
		at[d] = index_of(affine_var(nest_dim(nest, names[d], n->in[0]->shape.dim[d], true)));
	Expr *x = e_load(a, lower_load(l, nest, "x", n->in[0], at));
	Expr *y = e_load(a, lower_load(l, nest, "y", n->in[1], at));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e_op(a, E_MUL, x, y)));
	lower_store(l, nest, "loss", n->out[0], NULL, e_acc(a, 0));
}

static const OpDesc dot = {.name = "dot",
    .min_in = 2,
    .max_in = 2,
    .infer = dot_infer,
    .lower = dot_lower,
    .gradient = dot_gradient,
    .reference = dot_reference};

double *oracle_given(void *network, const Node *n)
{
	OracleNetwork *net = network;
	return net->memory[n->kind == NODE_READ ? n->state - net->state : n->slot];
}

static Value *operand(OracleNetwork *net, const Sample *s, int i)
{
	if (s->type[i] == TYPE_LABEL)
		return graph_input(net->graph, "label", i, TYPE_LABEL, s->shape[i]);
	if (s->type[i] == TYPE_SEED) return graph_input(net->graph, "seed", i, TYPE_SEED, s->shape[i]);
	vec_push(net->model.arena, net->model.state, &net->state[i]);
	return graph_read(net->graph, &net->state[i]);
}

static const char *build(OracleNetwork *net, const OpDesc *op, const Sample *s)
{
	Value *in[SAMPLE_OPERANDS];
	for (int i = 0; i < s->nin; i++) {
		net->state[i] = (State){.name = "x", .shape = s->shape[i], .offset = net->vars};
		net->vars += shape_count(s->shape[i]);
		in[i] = operand(net, s, i);
	}
	Graph *g = net->graph;
	Node *n = graph_op(g, op, in, s->nin, s->attr);
	if (n->poisoned) return "infer refuses the sample";
	StateSpec spec[MAX_STATES];
	int states = op->state_specs ? op->state_specs(g, n, spec) : 0;
	for (int k = 0; k < states; k++) net->state[s->nin - states + k].kind = spec[k].kind;
	Value *y = n->out[0], *mix = graph_input(g, "mix", SAMPLE_OPERANDS, TYPE_REAL, y->shape);
	net->loss = graph_op(g, &dot, (Value *[]){y, mix}, 2, NULL)->out[0];
	graph_output(g, "loss", OUT_LOSS, 0, NULL, graph_add_n(g, (Value *[]){(Value *)net->loss}, 1));
	return NULL;
}

const char *oracle_network(
    OracleNetwork *net, Arena *a, const OpDesc *op, const Sample *s, uint64_t *seed)
{
	Diag *d = NEW(a, Diag);
	diag_init(d, a);
	*net = (OracleNetwork){.graph = graph_new(a, d, 1, MODE_TRAIN)};
	net->model = (Model){.arena = a, .diag = d, .graph = net->graph};
	const char *wrong = build(net, op, s);
	if (wrong) return wrong;
	for (int i = 0; i < s->nin; i++) net->memory[i] = sample_numbers(a, s, i, seed);
	const Node *y = net->loss->node->in[0]->node;
	int64_t count = shape_count(y->out[0]->shape);
	double *mix = net->memory[SAMPLE_OPERANDS] = NEWS(a, double, count);
	for (int64_t e = 0; e < count; e++) mix[e] = sample_uniform(seed);
	net->forward = *net->graph; /* keeps its length while the backward pass is appended */
	graph_backward(net->graph, &net->model);
	wrong = graph_verify(net->graph);
	return !wrong && d->errors ? "autodiff reports an error" : wrong;
}

/* What the loss is with x[0] moved by this much. In an arena of its own: it is asked for often. */
static double loss_moved(OracleNetwork *net, double *x, double by)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) bug("out of memory");
	arena_guard(a, &out_of_memory);
	double was = *x;
	*x = was + by;
	OracleRun r = oracle_run(a, &net->forward, oracle_given, net);
	*x = was;
	double loss = oracle_value(&r, net->loss)[0];
	arena_free(a);
	return loss;
}

/* By five points: the error is of order h^4, so that h need not be near rounding. */
static double difference(OracleNetwork *net, double *x)
{
	const double h = 1e-4;
	double one = loss_moved(net, x, h) - loss_moved(net, x, -h);
	double two = loss_moved(net, x, 2 * h) - loss_moved(net, x, -2 * h);
	return (8 * one - two) / (12 * h);
}

const char *oracle_differences(OracleNetwork *net, Arena *a, int k, const double *gradient)
{
	int64_t count = shape_count(net->state[k].shape), stride = count / 24 + 1;
	for (int64_t e = 0; e < count; e += stride) {
		double want = difference(net, &net->memory[k][e]);
		if (!(fabs(gradient[e] - want) <= 1e-6 * MAX(1, fabs(want))))
			return arena_printf(a, "operand %d, element %lld: %.12g, differences give %.12g", k,
			    (long long)e, gradient[e], want);
	}
	return NULL;
}

const char *oracle_gradients(Arena *a, const OpDesc *op, const Sample *s, uint64_t *seed)
{
	OracleNetwork *net = NEW(a, OracleNetwork);
	const char *wrong = oracle_network(net, a, op, s, seed);
	if (wrong) return wrong;
	OracleRun r = oracle_run(a, net->graph, oracle_given, net);
	for (int i = net->forward.node.n; i < net->graph->node.n && !wrong; i++) {
		const Node *n = net->graph->node.at[i];
		if (n->kind == NODE_OUTPUT && n->output == OUT_GRADIENT)
			wrong = oracle_differences(
			    net, a, (int)(n->state - net->state), oracle_value(&r, n->in[0]));
	}
	return wrong;
}
