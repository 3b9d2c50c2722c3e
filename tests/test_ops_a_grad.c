/* The operators of test_ops_a.c inside graphs, which are run by their oracles: every gradient,
 * through autodiff, against central differences; batch norm by mode; layers that absorb a batch
 * norm. */
#include "../compiler/op.h"
#include "sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const OpDesc *const family[] = {&op_conv, &op_dense, &op_max_pool, &op_avg_pool,
    &op_global_avg_pool, &op_subsample, &op_batch_norm, &op_batch_norm_train, &op_flatten,
    &op_unflatten, &op_concat, &op_slice};

typedef struct {
	Arena *arena;
	jmp_buf out;
	Diag diag;
	Graph *graph;
	uint64_t seed;
} Fixture;

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof *f);
	f->arena = arena_new(0);
	f->seed = 1998;
	*state = f;
	return f->arena ? 0 : -1;
}

static int teardown(void **state)
{
	Fixture *f = *state;
	arena_free(f->arena);
	free(f);
	return 0;
}

#define FIXTURE                                                                                    \
	Fixture *f = *state;                                                                           \
	arena_guard(f->arena, &f->out);                                                                \
	if (setjmp(f->out)) fail_msg("out of memory");                                                 \
	diag_init(&f->diag, f->arena);                                                                 \
	f->graph = graph_new(f->arena, &f->diag, 1, MODE_TRAIN)

static double *numbers(Fixture *f, Shape s) { return NEWS(f->arena, double, shape_count(s)); }

static double **oracle(Fixture *f, const Node *n, double *const *in)
{
	double **out = NEWS(f->arena, double *, MAX_OUT);
	for (int k = 0; k < n->nout; k++) out[k] = numbers(f, n->out[k]->shape);
	n->op->reference(n, (const double *const *)in, out);
	return out;
}

/* --- graphs by their oracles --------------------------------------------------------------- */

/* The numbers of every value of a graph, by node id * MAX_OUT + result; states and inputs are
 * given. */
typedef struct {
	Fixture *f;
	double **of;
} Run;

static double *value_of(const Run *r, const Value *v)
{
	return r->of[v->node->id * MAX_OUT + v->index];
}

static Run run_graph(
    Fixture *f, const Graph *g, double *(*given)(void *self, const Node *n), void *self)
{
	Run r = {f, NEWS(f->arena, double *, g->next_id *MAX_OUT)};
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		double *in[16];
		assert_true(n->nin <= COUNT(in));
		for (int k = 0; k < n->nin; k++) in[k] = value_of(&r, n->in[k]);
		double **out = &r.of[n->id * MAX_OUT];
		if (n->kind == NODE_OP) memcpy(out, oracle(f, n, in), (size_t)n->nout * sizeof *out);
		if (n->kind == NODE_INPUT || n->kind == NODE_READ) out[0] = given(self, n);
		if (n->kind == NODE_CONSTANT) {
			out[0] = numbers(f, n->out[0]->shape);
			memcpy(out[0], n->table, (size_t)shape_count(n->out[0]->shape) * sizeof(double));
		}
	}
	return r;
}

/* loss = sum of y_i . r_i over the operands y0 r0 y1 r1 ...: a scalar that sees every element. The
 * gradient takes dloss = 1 for granted. */
static bool dot_infer(Graph *g, Node *n) { return infer_out(g, n, 0, (Shape){0}, TYPE_REAL); }

static void dot_gradient(Grad *g, const Node *n)
{
	for (int i = 0; i < n->nin; i += 2) grad_add(g, n, i, n->in[i + 1]);
}

static void dot_reference(const Node *n, const double *const *in, double *const *out)
{
	out[0][0] = 0;
	for (int i = 0; i < n->nin; i += 2)
		for (int64_t e = 0; e < shape_count(n->in[i]->shape); e++)
			out[0][0] += in[i][e] * in[i + 1][e];
}

static const OpDesc dot = {.name = "dot",
    .max_in = 2 * MAX_OUT,
    .infer = dot_infer,
    .gradient = dot_gradient,
    .reference = dot_reference};

/* A sample as a network: every operand is a state, those that the operator calls buffers are
 * buffers. */
typedef struct {
	Model model;
	State state[SAMPLE_OPERANDS];
	double *memory[SAMPLE_OPERANDS], *mix[MAX_OUT];
	Node *loss;
} Network;

static double *given(void *self, const Node *n)
{
	Network *net = self;
	return n->kind == NODE_READ ? net->memory[n->state - net->state] : net->mix[n->slot];
}

static void build_network(Fixture *f, Network *net, const OpDesc *op, const Sample *s)
{
	Graph *g = f->graph;
	Value *in[SAMPLE_OPERANDS], *dots[2 * MAX_OUT];
	StateSpec spec[MAX_STATES];
	*net = (Network){.model = {.arena = f->arena, .diag = &f->diag, .graph = g}};
	for (int i = 0; i < s->nin; i++) {
		net->state[i] = (State){.name = "x", .kind = STATE_WEIGHT, .shape = s->shape[i]};
		in[i] = graph_read(g, &net->state[i]);
		vec_push(f->arena, net->model.state, &net->state[i]);
		net->memory[i] = sample_numbers(f->arena, s, i, &f->seed);
	}
	Node *n = graph_op(g, op, in, s->nin, s->attr);
	assert_false(n->poisoned);
	int states = op->state_specs ? op->state_specs(g, n, spec) : 0;
	for (int k = 0; k < states; k++) net->state[s->nin - states + k].kind = spec[k].kind;
	int outs = op == &op_max_pool           ? 1 /* arg is constant but for jumps */
	           : op == &op_batch_norm_train ? 3 /* scale is for making results again */
	                                        : n->nout;
	for (int k = 0; k < outs; k++) {
		net->mix[k] = numbers(f, n->out[k]->shape);
		for (int64_t e = 0; e < shape_count(n->out[k]->shape); e++)
			net->mix[k][e] = sample_uniform(&f->seed);
		dots[2 * k] = n->out[k];
		dots[2 * k + 1] = graph_input(g, "mix", k, TYPE_REAL, n->out[k]->shape);
	}
	net->loss = graph_op(g, &dot, dots, 2 * outs, NULL);
	graph_output(g, "loss", OUT_LOSS, 0, NULL, net->loss->out[0]);
}

static double loss_of(Fixture *f, Network *net, Graph *forward)
{
	Run r = run_graph(f, forward, given, net);
	return value_of(&r, net->loss->out[0])[0];
}

/* Moves some elements of every weight and compares. */
static void compare_gradient(Fixture *f, Network *net, const char *name)
{
	Graph forward = *f->graph; /* keeps its length while the backward pass is appended */
	graph_backward(f->graph, &net->model);
	assert_null(graph_verify(f->graph));
	Run r = run_graph(f, f->graph, given, net);
	const double h = 1e-4;
	for (int i = forward.node.n; i < f->graph->node.n; i++) {
		const Node *n = f->graph->node.at[i];
		if (n->kind != NODE_OUTPUT || n->output != OUT_GRADIENT) continue;
		double *x = net->memory[n->state - net->state], *got = value_of(&r, n->in[0]);
		int64_t count = shape_count(n->state->shape), step = count / 24 + 1;
		for (int64_t e = 0; e < count; e += step) {
			double was = x[e], up, down;
			x[e] = was + h, up = loss_of(f, net, &forward);
			x[e] = was - h, down = loss_of(f, net, &forward);
			x[e] = was;
			double want = (up - down) / (2 * h);
			if (!(fabs(got[e] - want) <= 1e-6 * MAX(1, fabs(want))))
				fail_msg("%s: operand %d, element %lld: %.12g, differences give %.12g", name,
				    (int)(n->state - net->state), (long long)e, got[e], want);
		}
	}
}

/* One sample, in an arena of its own: each runs its graph some hundred times. */
static void check_sample(Fixture *outer, const OpDesc *op, const char *line)
{
	Fixture own = {.arena = arena_new(0), .seed = outer->seed}, *at = &own;
	void **state = (void **)&at;
	FIXTURE;
	Sample sample = sample_parse(f->arena, op, line);
	Network net;
	build_network(f, &net, op, &sample);
	compare_gradient(f, &net, arena_printf(f->arena, "%s: %s", op->name, sample.text));
	outer->seed = own.seed;
	arena_free(own.arena);
}

static void gradients_are_those_of_the_oracles(void **state)
{
	FIXTURE;
	for (int i = 0; i < COUNT(family); i++) {
		Sample s;
		assert_non_null(family[i]->gradient);
		for (const char *line = family[i]->samples; sample_next(f->arena, family[i], &line, &s);)
			check_sample(f, family[i], s.text);
	}
}

/* --- batch norm by mode -------------------------------------------------------------------- */

static State channel_state(const char *name, StateKind kind, int64_t channels)
{
	return (State){.name = name, .kind = kind, .shape = shape_of(1, channels)};
}

enum { NORM_STATES = 4 };

/* x [1, 2, 1, 2] through one batch norm, or twice through a shared one, in a model. */
static Model *norm_model(Fixture *f, State *state, bool twice)
{
	static const char *const names[] = {
	    "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"};
	Model *m = NEW(f->arena, Model);
	*m = (Model){.arena = f->arena, .diag = &f->diag, .graph = f->graph};
	Value *in[1 + NORM_STATES];
	in[0] = graph_input(
	    f->graph, "x", 0, TYPE_REAL, shape_of(4, (int64_t)1, (int64_t)2, (int64_t)1, (int64_t)2));
	for (int i = 0; i < NORM_STATES; i++) {
		state[i] = channel_state(names[i], i < 2 ? STATE_WEIGHT : STATE_BUFFER, 2);
		vec_push(f->arena, m->state, &state[i]);
		in[1 + i] = graph_read(f->graph, &state[i]);
	}
	Value *y = graph_op(f->graph, &op_batch_norm, in, 1 + NORM_STATES, NULL)->out[0];
	in[0] = y;
	if (twice) y = graph_op(f->graph, &op_batch_norm, in, 1 + NORM_STATES, NULL)->out[0];
	vec_push(f->arena, m->output, ((Named){"y", y, 1}));
	return m;
}

typedef struct {
	State *state;
	double *memory[NORM_STATES], *x;
} NormMemory;

static double *norm_given(void *self, const Node *n)
{
	NormMemory *m = self;
	return n->kind == NODE_READ ? m->memory[n->state - m->state] : m->x;
}

/* What the graph assigns to a state, or NULL; one assign a state at most. */
static const double *assigned(const Run *r, const Graph *g, const State *s)
{
	const double *next = NULL;
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		if (n->kind != NODE_ASSIGN || n->state != s) continue;
		assert_null(next);
		next = value_of(r, n->in[0]);
	}
	return next;
}

static const double *output_of(const Run *r, const Graph *g)
{
	for (int i = 0; i < g->node.n; i++)
		if (g->node.at[i]->kind == NODE_OUTPUT) return value_of(r, g->node.at[i]->in[0]);
	fail_msg("no output");
	return NULL;
}

static void near(double got, double want)
{
	if (!(fabs(got - want) <= 1e-12 * MAX(1, fabs(want)))) fail_msg("%.17g, not %.17g", got, want);
}

static void batch_norm_by_mode(void **state)
{
	FIXTURE;
	State s[NORM_STATES];
	double w[] = {1, 2}, b[] = {0, 1}, mean[] = {1, 2}, var[] = {4, 9};
	double x[] = {
	    1, 3, 5, 11, 5, 7, 9, 15}; /* batch 2: channel 0 is 1 3 5 7, channel 1 5 11 9 15 */
	NormMemory memory = {s, {w, b, mean, var}, x};
	Model *m = norm_model(f, s, false);

	Graph *infer = graph_instance(m, 2, MODE_INFER, false);
	assert_null(graph_verify(infer));
	Run r = run_graph(f, infer, norm_given, &memory);
	near(output_of(&r, infer)[1], (3 - 1) / sqrt(4 + 1e-5));
	near(output_of(&r, infer)[2], (5 - 2) / sqrt(9 + 1e-5) * 2 + 1);
	for (int i = 0; i < NORM_STATES; i++) assert_null(assigned(&r, infer, &s[i]));

	Graph *train = graph_instance(m, 2, MODE_TRAIN, false);
	assert_null(graph_verify(train));
	r = run_graph(f, train, norm_given, &memory);
	near(output_of(&r, train)[1], (3 - 4) / sqrt(5 + 1e-5));
	near(output_of(&r, train)[2], (5 - 10) / sqrt(13 + 1e-5) * 2 + 1);
	near(assigned(&r, train, &s[2])[0], 0.9 * 1 + 0.1 * 4);
	near(assigned(&r, train, &s[2])[1], 0.9 * 2 + 0.1 * 10);
	near(assigned(&r, train, &s[3])[0], 0.9 * 4 + 0.1 * 20 / 3);
	near(assigned(&r, train, &s[3])[1], 0.9 * 9 + 0.1 * 52 / 3);
	assert_null(assigned(&r, train, &s[0]));
}

static void a_frozen_batch_norm_keeps_its_statistics(void **state)
{
	FIXTURE;
	State s[NORM_STATES];
	double w[] = {1, 2}, b[] = {0, 1}, mean[] = {1, 2}, var[] = {4, 9}, x[] = {1, 3, 5, 11};
	NormMemory memory = {s, {w, b, mean, var}, x};
	Model *m = norm_model(f, s, false);
	s[0].frozen = s[1].frozen = true;
	Graph *train = graph_instance(m, 1, MODE_TRAIN, false);
	assert_null(graph_verify(train));
	Run r = run_graph(f, train, norm_given, &memory);
	near(output_of(&r, train)[1], (3 - 1) / sqrt(4 + 1e-5));
	for (int i = 0; i < NORM_STATES; i++) assert_null(assigned(&r, train, &s[i]));
}

/* The second use starts from what the first one left. */
static void a_shared_batch_norm_moves_once_for_each_use(void **state)
{
	FIXTURE;
	State s[NORM_STATES];
	double w[] = {1, 1}, b[] = {3, 5}, mean[] = {1, 2}, var[] = {4, 9}, x[] = {1, 3, 5, 11};
	NormMemory memory = {s, {w, b, mean, var}, x};
	Graph *train = graph_instance(norm_model(f, s, true), 1, MODE_TRAIN, false);
	assert_null(graph_verify(train));
	Run r = run_graph(f, train, norm_given, &memory);
	near(assigned(&r, train, &s[2])[0], 0.9 * (0.9 * 1 + 0.1 * 2) + 0.1 * 3);
	near(assigned(&r, train, &s[2])[1], 0.9 * (0.9 * 2 + 0.1 * 8) + 0.1 * 5);
}

static void training_on_one_number_a_channel_is_refused(void **state)
{
	FIXTURE;
	Value *in[1 + NORM_STATES];
	State s[NORM_STATES];
	Model *m = norm_model(f, s, false);
	Graph *g = graph_new(f->arena, &f->diag, 1, MODE_TRAIN);
	in[0] = graph_input(g, "x", 0, TYPE_REAL, shape_of(2, (int64_t)1, (int64_t)2));
	for (int i = 0; i < NORM_STATES; i++) in[1 + i] = graph_read(g, &s[i]);
	graph_op(g, &op_batch_norm, in, 1 + NORM_STATES, NULL);
	m->graph = g;
	m->output.n = 0;
	graph_instance(m, 1, MODE_INFER, false);
	graph_instance(m, 2, MODE_TRAIN, false);
	assert_int_equal(f->diag.errors, 0);
	graph_instance(m, 1, MODE_TRAIN, false);
	assert_int_equal(f->diag.errors, 1);
}

/* --- absorbing a scale and a shift --------------------------------------------------------- */

static double *by_slot(void *self, const Node *n) { return ((double **)self)[n->slot]; }

/* layer(x)*scale + shift against the node that the layer offers instead. */
static void check_absorbed(Fixture *f, const OpDesc *op, const char *line)
{
	Sample s = sample_parse(f->arena, op, line);
	Value *in[SAMPLE_OPERANDS];
	double *memory[SAMPLE_OPERANDS + 2];
	f->graph = graph_new(f->arena, &f->diag, 1, MODE_INFER);
	for (int i = 0; i < s.nin; i++) {
		in[i] = graph_input(f->graph, "in", i, TYPE_REAL, s.shape[i]);
		memory[i] = sample_numbers(f->arena, &s, i, &f->seed);
	}
	Node *layer = graph_op(f->graph, op, in, s.nin, s.attr);
	Shape y = layer->out[0]->shape;
	Value *more[3] = {layer->out[0]};
	for (int i = 0; i < 2; i++) {
		more[1 + i] = graph_input(f->graph, "channel", s.nin + i, TYPE_REAL, shape_of(1, y.dim[1]));
		memory[s.nin + i] = numbers(f, more[1 + i]->shape);
		for (int64_t c = 0; c < y.dim[1]; c++) memory[s.nin + i][c] = sample_uniform(&f->seed);
	}
	Value *plain = graph_map(f->graph, &map_scale_shift, more, 3, NULL, 0);
	Value *folded = op->absorb(f->graph, layer, more[1], more[2]);
	assert_non_null(folded);
	assert_ptr_equal(folded->node->op, op);
	assert_null(graph_verify(f->graph));
	Run r = run_graph(f, f->graph, by_slot, memory);
	for (int64_t e = 0; e < shape_count(y); e++)
		near(value_of(&r, folded)[e], value_of(&r, plain)[e]);
}

static void layers_absorb_what_scales_and_shifts_them(void **state)
{
	FIXTURE;
	const OpDesc *const layers[] = {&op_conv, &op_dense};
	for (int i = 0; i < COUNT(layers); i++) {
		Sample s;
		for (const char *line = layers[i]->samples; sample_next(f->arena, layers[i], &line, &s);)
			check_absorbed(f, layers[i], s.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(gradients_are_those_of_the_oracles, setup, teardown),
	    cmocka_unit_test_setup_teardown(batch_norm_by_mode, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_frozen_batch_norm_keeps_its_statistics, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        a_shared_batch_norm_moves_once_for_each_use, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        training_on_one_number_a_channel_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(layers_absorb_what_scales_and_shifts_them, setup, teardown),
	};
	return cmocka_run_group_tests_name("ops_a_grad", tests, NULL, NULL);
}
