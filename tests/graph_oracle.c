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

OracleRun oracle_run(
    Arena *a, const Graph *g, double *(*given)(void *self, const Node *n), void *self)
{
	OracleRun r = {NEWS(a, double *, g->next_id *MAX_OUT)};
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		double **out = &r.of[n->id * MAX_OUT];
		if (n->kind == NODE_OP) {
			const double **in = NEWS(a, const double *, n->nin + 1);
			for (int k = 0; k < n->nin; k++) in[k] = oracle_value(&r, n->in[k]);
			memcpy(out, oracle_node(a, n, in), (size_t)n->nout * sizeof *out);
		} else if (n->kind == NODE_INPUT || n->kind == NODE_READ) {
			out[0] = given(self, n);
		} else if (n->kind == NODE_CONSTANT) {
			size_t bytes = (size_t)shape_count(n->out[0]->shape) * sizeof(double);
			out[0] = memcpy(arena_alloc(a, 1, bytes), n->table, bytes);
		}
	}
	return r;
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

static const OpDesc dot = {.name = "dot",
    .min_in = 2,
    .max_in = 2,
    .infer = dot_infer,
    .gradient = dot_gradient,
    .reference = dot_reference};

/* A sample as a network: operands of numbers are weights, labels are inputs. */
typedef struct {
	Model model;
	Graph *graph;
	State state[SAMPLE_OPERANDS];
	double *memory[SAMPLE_OPERANDS + 1]; /* the last: mix */
	const Value *loss;
} Network;

static double *given(void *self, const Node *n)
{
	Network *net = self;
	return net->memory[n->kind == NODE_READ ? n->state - net->state : n->slot];
}

static const char *build(Network *net, Arena *a, Diag *d, const OpDesc *op, const Sample *s)
{
	Graph *g = net->graph = graph_new(a, d, 1, MODE_TRAIN);
	Value *in[SAMPLE_OPERANDS];
	net->model = (Model){.arena = a, .diag = d, .graph = g};
	for (int i = 0; i < s->nin; i++) {
		net->state[i] = (State){.name = "x", .kind = STATE_WEIGHT, .shape = s->shape[i]};
		if (s->type[i] == TYPE_LABEL) {
			in[i] = graph_input(g, "label", i, TYPE_LABEL, s->shape[i]);
		} else {
			in[i] = graph_read(g, &net->state[i]);
			vec_push(a, net->model.state, &net->state[i]);
		}
	}
	Node *n = graph_op(g, op, in, s->nin, s->attr);
	if (n->poisoned) return "infer refuses the sample";
	Value *y = n->out[0], *mix = graph_input(g, "mix", SAMPLE_OPERANDS, TYPE_REAL, y->shape);
	net->loss = graph_op(g, &dot, (Value *[]){y, mix}, 2, NULL)->out[0];
	graph_output(g, "loss", OUT_LOSS, 0, NULL, graph_add_n(g, (Value *[]){(Value *)net->loss}, 1));
	return NULL;
}

/* What the loss is with x[0] moved by this much. In an arena of its own: it is asked for often. */
static double loss_moved(Network *net, const Graph *forward, double *x, double by)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) bug("out of memory");
	arena_guard(a, &out_of_memory);
	double was = *x;
	*x = was + by;
	OracleRun r = oracle_run(a, forward, given, net);
	*x = was;
	double loss = oracle_value(&r, net->loss)[0];
	arena_free(a);
	return loss;
}

static const char *compare(
    Network *net, Arena *a, const Graph *forward, const Node *gradient, const double *got)
{
	const double h = 1e-4;
	int operand = (int)(gradient->state - net->state);
	int64_t count = shape_count(gradient->state->shape), stride = count / 24 + 1;
	for (int64_t e = 0; e < count; e += stride) {
		double *x = &net->memory[operand][e];
		double up = loss_moved(net, forward, x, h), down = loss_moved(net, forward, x, -h);
		double want = (up - down) / (2 * h);
		if (!(fabs(got[e] - want) <= 1e-6 * MAX(1, fabs(want))))
			return arena_printf(a, "operand %d, element %lld: %.12g, differences give %.12g",
			    operand, (long long)e, got[e], want);
	}
	return NULL;
}

const char *oracle_gradients(Arena *a, const OpDesc *op, const Sample *s, uint64_t *seed)
{
	Diag diag;
	Network *net = NEW(a, Network);
	diag_init(&diag, a);
	const char *wrong = build(net, a, &diag, op, s);
	if (wrong) return wrong;
	for (int i = 0; i < s->nin; i++) net->memory[i] = sample_numbers(a, s, i, seed);
	const Node *y = net->loss->node->in[0]->node;
	int64_t count = shape_count(y->out[0]->shape);
	double *mix = net->memory[SAMPLE_OPERANDS] = NEWS(a, double, count);
	for (int64_t e = 0; e < count; e++) mix[e] = sample_uniform(seed);

	Graph forward = *net->graph; /* keeps its length while the backward pass is appended */
	graph_backward(net->graph, &net->model);
	wrong = graph_verify(net->graph);
	if (wrong || diag.errors) return wrong ? wrong : "autodiff reports an error";
	OracleRun r = oracle_run(a, net->graph, given, net);
	for (int i = forward.node.n; i < net->graph->node.n && !wrong; i++) {
		const Node *n = net->graph->node.at[i];
		if (n->kind == NODE_OUTPUT && n->output == OUT_GRADIENT)
			wrong = compare(net, a, &forward, n, oracle_value(&r, n->in[0]));
	}
	return wrong;
}
