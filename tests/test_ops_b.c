/* Elementwise operators, reductions, softmax, losses and optimisers, as far as graphs and oracles
 * go: what infer accepts and how it refuses, oracles against numbers made by hand, every gradient
 * through autodiff against central differences, and what the gradients look at. */
#include "../compiler/op.h"
#include "graph_oracle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const OpDesc *const family[] = {&op_map, &op_map_grad, &op_relu, &op_leaky_relu, &op_relu6,
    &op_sigmoid, &op_tanh, &op_scaled_tanh, &op_add, &op_sub, &op_mul, &op_div, &op_maximum,
    &op_minimum, &op_pow, &op_scale, &op_neg, &op_exp, &op_log, &op_sqrt, &op_abs, &op_square,
    &op_sum_to, &op_add_n, &op_sum, &op_mean, &op_sum_dx, &op_max, &op_max_dx, &op_softmax,
    &op_log_softmax, &op_cross_entropy, &op_cross_entropy_dx, &op_map_loss, &op_map_loss_dx,
    &op_mse, &op_rbf, &op_rbf_dx, &op_rbf_dw, &op_sgd, &op_adam};

typedef struct {
	Arena *arena;
	jmp_buf out;
	Diag diag;
	Graph *graph;
} Fixture;

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof *f);
	f->arena = arena_new(0);
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

static void fresh_graph(Fixture *f)
{
	diag_init(&f->diag, f->arena);
	f->graph = graph_new(f->arena, &f->diag, 1, MODE_TRAIN);
	graph_at(f->graph, "layer", (Where){.file = "net.lua", .line = 12});
}

#define FIXTURE                                                                                    \
	Fixture *f = *state;                                                                           \
	arena_guard(f->arena, &f->out);                                                                \
	if (setjmp(f->out)) fail_msg("out of memory");                                                 \
	fresh_graph(f)

static Node *make(Fixture *f, const OpDesc *op, const char *line)
{
	Sample s = sample_parse(f->arena, op, line);
	Value *in[SAMPLE_OPERANDS];
	for (int i = 0; i < s.nin; i++) {
		in[i] = graph_input(f->graph, "in", i, s.type[i], s.shape[i]);
		in[i]->node->classes = s.type[i] == TYPE_LABEL ? s.whole[i] : 0;
	}
	return graph_op(f->graph, op, in, s.nin, s.attr);
}

/* What is reported for a sample: the first message as people read it, "" for none. */
static const char *refusal(Fixture *f, const OpDesc *op, const char *line)
{
	fresh_graph(f);
	Node *n = make(f, op, line);
	assert_int_equal(n->poisoned, f->diag.errors > 0);
	Text t;
	text_init(&t, f->arena);
	diag_print(&f->diag, &t);
	t.data[strcspn(t.data, "\n")] = 0;
	return t.data;
}

static void refused(Fixture *f, const OpDesc *op, const char *line, const char *message)
{
	const char *want = arena_printf(f->arena, "net.lua:12: error: layer: %s", message);
	assert_string_equal(refusal(f, op, line), want);
}

static double **run(Fixture *f, const OpDesc *op, const char *line, double *const *in)
{
	Node *n = make(f, op, line);
	assert_false(n->poisoned);
	return oracle_node(f->arena, n, (const double *const *)in);
}

static void near(double got, double want)
{
	if ((isnan(want) && isnan(got)) || got == want) return;
	if (!(fabs(got - want) <= 1e-12 * MAX(1, fabs(want)))) fail_msg("%.17g, not %.17g", got, want);
}

#define EXPECT(got, ...)                                                                           \
	do {                                                                                           \
		const double want_[] = {__VA_ARGS__};                                                      \
		for (int i_ = 0; i_ < COUNT(want_); i_++) near((got)[i_], want_[i_]);                      \
	} while (0)
#define RUN(op, line, ...) run(f, op, line, (double *[]){__VA_ARGS__})
#define ROW(...) ((double[]){__VA_ARGS__})

/* --- every descriptor --------------------------------------------------------------------- */

static void every_sample_infers_and_runs(void **state)
{
	FIXTURE;
	uint64_t seed = 1;
	for (int i = 0; i < COUNT(family); i++) {
		const OpDesc *op = family[i];
		assert_ptr_equal(op_find(op->name), op);
		assert_non_null(op->doc);
		assert_non_null(op->lower);
		assert_true(op->gradient || op->flags & (OP_GRADIENT_ONLY | OP_OPTIMIZER));
		Sample s;
		for (const char *line = op->samples; sample_next(f->arena, op, &line, &s);) {
			const char *said = refusal(f, op, s.text);
			if (*said) fail_msg("%s: %s: %s", op->name, s.text, said);
			Node *n = make(f, op, s.text);
			double *in[SAMPLE_OPERANDS];
			for (int k = 0; k < s.nin; k++) in[k] = sample_numbers(f->arena, &s, k, &seed);
			double **out = oracle_node(f->arena, n, (const double *const *)in);
			for (int k = 0; k < n->nout; k++)
				for (int64_t e = 0; e < shape_count(n->out[k]->shape); e++)
					if (!isfinite(out[k][e])) fail_msg("%s: %s", op->name, s.text);
			assert_null(graph_verify(f->graph));
		}
	}
}

static void gradients_are_those_of_the_oracles(void **state)
{
	FIXTURE;
	uint64_t seed = 1998;
	int checked = 0;
	for (int i = 0; i < COUNT(family); i++) {
		Sample s;
		if (!family[i]->gradient) continue;
		for (const char *line = family[i]->samples; sample_next(f->arena, family[i], &line, &s);) {
			const char *wrong = oracle_gradients(f->arena, family[i], &s, &seed);
			if (wrong) fail_msg("%s: %s: %s", family[i]->name, s.text, wrong);
			checked++;
		}
	}
	assert_true(checked > 100);
}

/* --- what infer refuses ------------------------------------------------------------------- */

static void shapes_that_do_not_go_together(void **state)
{
	FIXTURE;
	refused(f, &op_add, "x=2x3x4x4 y=2x5x4x4",
	    "2x3x4x4 and 2x5x4x4 do not go together: axis 1 is 3 in one and 5 in the other");
	refused(f, &op_mul, "x=2x3x4x4 y=4",
	    "2x3x4x4 and 4 do not go together: axis 1 is 3 in one and 4 in the other");
	refused(f, &op_map, "x=1x3 scale=2x3 shift=3x1",
	    "2x3 and 3x1 do not go together: axis 0 is 2 in one and 3 in the other");
	refused(f, &op_add_n, "a=2x3 b=2x3 c=2x4", "operand 1 is 2x3, operand 3 is 2x4");
	refused(f, &op_sum, "x=3x8 | axes=2", "input is 3x8, it has no axis 2");
	refused(f, &op_max, "x=5000x5000",
	    "input is 5000x5000, the largest of at most 16777216 elements can be found");
	refused(f, &op_softmax, "x=7", "input is 7, expected batch x channels and then any");
	refused(f, &op_mse, "x=2x10 t=2x11", "input is 2x10, target is 2x11");
	refused(
	    f, &op_rbf, "x=2x84 w=10x83", "input is 2x84, the table is 10x83, expected classes x 84");
	refused(f, &op_rbf, "x=2x84x1x1 w=10x84",
	    "input is 2x84x1x1, expected batch x features; flatten() first");
	refused(
	    f, &op_sgd, "w=3x4 g=4x3 hyper=4 v=3x4", "weight is 3x4, operand 2 is 4x3, expected 3x4");
	refused(f, &op_adam, "w=3 g=3 hyper=4 m=3 v=3", "weight is 3, operand 3 is 4, expected 5");
	refused(f, &op_max_dx, "dy=3 arg=4 | axes=1 rank=2 size0=3 size1=20",
	    "the output's gradient is 4, the output is 3");
	refused(f, &op_sum_to, "x=2x3 | axes=1 rank=0", "input is 2x3, axis 0 has no place in rank 0");
}

static void losses_that_do_not_fit_their_labels(void **state)
{
	FIXTURE;
	const OpDesc *const losses[] = {&op_cross_entropy, &op_map_loss};
	for (int i = 0; i < COUNT(losses); i++) {
		refused(f, losses[i], "x=2x10 label=3<10",
		    "input is 2x10, label is 3: one label for each image is needed");
		refused(
		    f, losses[i], "x=2x10x1x1 label=2<10", "input is 2x10x1x1, expected batch x classes");
		refused(
		    f, losses[i], "x=2x10 label=2<11", "input is 2x10, it has 10 classes, label in has 11");
		refused(f, losses[i], "x=2x10 label=2", "operand 2 holds numbers, not labels");
		refused(f, losses[i], "x=2<10 label=2<10", "operand 1 holds labels, not numbers");
		assert_string_equal(refusal(f, losses[i], "x=2x10 label=2<9"), "");
	}
	refused(f, &op_relu, "x=4<10", "operand 1 holds labels, not numbers");
	refused(
	    f, &op_cross_entropy, "x=2x10 label=2<10 | smoothing=2", "smoothing is 2, must be 0 to 1");
	refused(f, &op_leaky_relu, "x=2 | slope=-1", "slope is -1, must be 0 to 1");
}

static void results_of_broadcasts_and_reductions(void **state)
{
	FIXTURE;
	static const struct {
		const OpDesc *op;
		const char *sample, *shape;
	} cases[] = {
	    {&op_add, "x=2x3x4x5 y=3", "2x3x4x5"},
	    {&op_add, "x=2x1x4x1 y=3x1", NULL},
	    {&op_add, "x=2x1x4x1 y=2x3x1x5", "2x3x4x5"},
	    {&op_add, "x=3 y=3", "3"},
	    {&op_add, "x= y=2x3", "2x3"},
	    {&op_mean, "x=2x3x4x5", "scalar"},
	    {&op_mean, "x=2x3x4x5 | keep=true", "1x1x1x1"},
	    {&op_sum, "x=2x3x4x5 | axes=0,2,3", "3"},
	    {&op_sum, "x=2x3x4x5 | axes=1 keep=true", "2x1x4x5"},
	    {&op_max, "x=2x3x4x5 | axes=2,3", "2x3"},
	    {&op_cross_entropy, "x=2x3 label=2<3", "scalar"},
	    {&op_rbf, "x=2x84 w=10x84", "2x10"},
	};
	for (int i = 0; i < COUNT(cases); i++) {
		fresh_graph(f);
		Node *n = make(f, cases[i].op, cases[i].sample);
		assert_int_equal(n->poisoned, cases[i].shape == NULL);
		if (cases[i].shape)
			assert_string_equal(shape_text(f->arena, n->out[0]->shape), cases[i].shape);
	}
}

/* --- oracles by hand ---------------------------------------------------------------------- */

static void elementwise_by_hand(void **state)
{
	FIXTURE;
	double x[] = {-2, -0.0, 0.5, 7, NAN};
	EXPECT(RUN(&op_relu, "x=5", x)[0], 0, 0, 0.5, 7, NAN);
	EXPECT(RUN(&op_leaky_relu, "x=5 | slope=0.25", x)[0], -0.5, 0, 0.5, 7, NAN);
	EXPECT(RUN(&op_relu6, "x=5", x)[0], 0, 0, 0.5, 6, NAN);
	EXPECT(RUN(&op_sigmoid, "x=5", x)[0], 1 / (1 + exp(2)), 0.5, 1 / (1 + exp(-0.5)));
	EXPECT(RUN(&op_scale, "x=5 | a=2 b=-1", x)[0], -5, -1, 0, 13, NAN);
	EXPECT(RUN(&op_pow, "x=5 | exponent=2", x)[0], 4, 0, 0.25, 49, NAN);
	EXPECT(RUN(&op_abs, "x=5", x)[0], 2, 0, 0.5, 7, NAN);
	EXPECT(RUN(&op_maximum, "x=5 y=", x, ROW(0))[0], 0, 0, 0.5, 7, NAN);
	EXPECT(RUN(&op_minimum, "x=5 y=", x, ROW(NAN))[0], NAN, NAN, NAN, NAN, NAN);
	/* f(1) = 1 and f(-1) = -1: LeCun et al. 1998, appendix A; 1.7159 and 2/3 are rounded */
	double **y = RUN(&op_scaled_tanh, "x=2", ROW(1, -1));
	assert_true(fabs(y[0][0] - 1) < 1e-4 && y[0][1] == -y[0][0]);
	/* a vector runs along the channels, all else from the front */
	EXPECT(RUN(&op_add, "x=1x2x1x2 y=2", ROW(1, 2, 3, 4), ROW(10, 20))[0], 11, 12, 23, 24);
	EXPECT(RUN(&op_sub, "x=2x1 y=2x2", ROW(1, 2), ROW(1, 2, 3, 4))[0], 0, -1, -1, -2);
	EXPECT(RUN(&op_map, "x=1x2x1x1 scale=2 shift=", ROW(3, 4), ROW(2, 10), ROW(1))[0], 7, 41);
}

static void reductions_by_hand(void **state)
{
	FIXTURE;
	double x[] = {1, 2, 3, 4, 5, 6};
	EXPECT(RUN(&op_sum, "x=2x3", x)[0], 21);
	EXPECT(RUN(&op_mean, "x=2x3", x)[0], 3.5);
	EXPECT(RUN(&op_sum, "x=2x3 | axes=0", x)[0], 5, 7, 9);
	EXPECT(RUN(&op_mean, "x=2x3 | axes=1", x)[0], 2, 5);
	EXPECT(RUN(&op_sum_dx, "dy=3 | axes=0 rank=2 size0=2 size1=3", x)[0], 1, 2, 3, 1, 2, 3);
	EXPECT(RUN(&op_sum_to, "x=1x3x1x2 | axes=0,2,3 rank=1", x)[0], 3, 7, 11);
	EXPECT(RUN(&op_add_n, "a=3 b=3 c=3", x, x + 1, x + 2)[0], 6, 9, 12);
	double **y = RUN(&op_max, "x=2x3 | axes=1", ROW(2, 7, 7, -INFINITY, -INFINITY, -INFINITY));
	EXPECT(y[0], 7, -INFINITY);
	EXPECT(y[1], 1, 0);
	y = RUN(&op_max, "x=2x3 | axes=0", ROW(2, NAN, 1, 3, 4, 1));
	EXPECT(y[0], 3, NAN, 1);
	EXPECT(y[1], 1, 0, 0);
	EXPECT(RUN(&op_max_dx, "dy=2 arg=2 | axes=1 rank=2 size0=2 size1=3", ROW(8, 9), ROW(1, 0))[0],
	    0, 8, 0, 9, 0, 0);
}

static void losses_by_hand(void **state)
{
	FIXTURE;
	double half = log(0.5);
	EXPECT(RUN(&op_softmax, "x=1x3", ROW(0, 0, log(2)))[0], 0.25, 0.25, 0.5);
	EXPECT(RUN(&op_log_softmax, "x=1x2", ROW(5, 5))[0], half, half);
	EXPECT(RUN(&op_softmax, "x=1x2", ROW(1e4, -1e4))[0], 1, 0);
	double **y = RUN(&op_cross_entropy, "x=2x3 label=2<3", ROW(0, 0, log(2), 7, 7, 7), ROW(2, 0));
	EXPECT(y[0], (log(2) + log(3)) / 2);
	EXPECT(y[1], log(2), 7);
	/* no overflow, and an impossible class elsewhere does no harm */
	EXPECT(RUN(&op_cross_entropy, "x=1x3 label=1<3", ROW(1e4, 1e4, -INFINITY), ROW(1))[0], log(2));
	/* smoothing 0.3 over 3 classes: 0.8 at the label, 0.1 elsewhere */
	EXPECT(RUN(&op_cross_entropy, "x=1x3 label=1<3 | smoothing=0.3", ROW(0, 0, log(2)), ROW(2))[0],
	    log(4) - 0.8 * log(2));
	EXPECT(RUN(&op_cross_entropy_dx, "x=1x3 label=1<3 peak=1 log_sum=1 dloss=", ROW(0, 0, log(2)),
	           ROW(2), ROW(log(2)), ROW(log(2)), ROW(3))[0],
	    0.75, 0.75, -1.5);
	EXPECT(RUN(&op_mse, "x=2x2 t=2x2", ROW(1, 2, 3, 4), ROW(1, 0, 3, 0))[0], 5);
	EXPECT(RUN(&op_rbf, "x=1x2 w=3x2", ROW(1, -1), ROW(1, -1, -1, -1, -1, 1))[0], 0, 4, 8);
	/* equation 9 as it stands, where nothing overflows; then where e^-y underflows, least y = 5000
	 */
	EXPECT(RUN(&op_map_loss, "y=1x2 label=1<2 | j=0.1", ROW(1, 3), ROW(1))[0],
	    3 + log(exp(-0.1) + exp(-1) + exp(-3)));
	EXPECT(RUN(&op_map_loss, "y=1x2 label=1<2 | j=1e6", ROW(5000, 5000), ROW(0))[0], log(2));
	EXPECT(RUN(&op_map_loss, "y=2x1 label=2<1 | j=0", ROW(0, 5000), ROW(0, 0))[0],
	    (log(2) + 5000) / 2);
}

static void optimisers_by_hand(void **state)
{
	FIXTURE;
	double w[] = {2}, g[] = {0.5}, v[] = {3}, hyper[] = {0.1, 0.9, 0.25, 1}; /* d = 1, v' = 3.7 */
	double **y = RUN(&op_sgd, "w=1 g=1 hyper=4 v=1", w, g, hyper, v);
	EXPECT(y[0], 2 - 0.37);
	EXPECT(y[1], 3.7);
	y = RUN(&op_sgd, "w=1 g=1 hyper=4 v=1 | nesterov=true", w, g, hyper, v);
	EXPECT(y[0], 2 - 0.1 * (1 + 0.9 * 3.7));
	/* after the first step from rest the corrections undo the averages: w moves by rate*sign(d) */
	double first[] = {0.1, 0.9, 0.999, 0.25, 1};
	y = RUN(&op_adam, "w=1 g=1 hyper=5 m=1 v=1 | eps=0", w, g, first, ROW(0), ROW(0));
	EXPECT(y[0], 2 - 0.1);
	EXPECT(y[1], 0.1);
	EXPECT(y[2], 0.001);
	y = RUN(
	    &op_adam, "w=1 g=1 hyper=5 m=1 v=1 | eps=0 decoupled=true", w, g, first, ROW(0), ROW(0));
	EXPECT(y[0], 2 * (1 - 0.1 * 0.25) - 0.1);
	EXPECT(y[1], 0.05);
	/* the second step, beta2 = 0.5, written out */
	double second[] = {0.1, 0.9, 0.5, 0, 2};
	y = RUN(&op_adam, "w=1 g=1 hyper=5 m=1 v=1 | eps=1", w, g, second, ROW(1), ROW(4));
	EXPECT(y[0], 2 - 0.1 * (0.95 / 0.19) / (sqrt(2.125 / 0.75) + 1));
	StateSpec spec[MAX_STATES];
	Node *n = make(f, &op_adam, "w=3x4 g=3x4 hyper=5 m=3x4 v=3x4");
	assert_int_equal(op_adam.state_specs(f->graph, n, spec), op_adam.states);
	assert_int_equal(spec[1].kind, STATE_SLOT);
	assert_true(shape_same(spec[1].shape, n->in[0]->shape));
	assert_int_equal(op_sgd.state_specs(f->graph, n, spec), op_sgd.states);
}

/* Norms that are whole numbers: of 3, 4 it is 5; of 100 ones 10, and of 200 numbers 1/8 the root of
 * 3.125, in all parts and in the rest. */
static void clipping_by_hand(void **state)
{
	FIXTURE;
	double many[200], held[] = {-3, -1, 0, 0.5, 2}, out[] = {-1, -1, 0, 0.5, 1};
	for (int i = 0; i < 200; i++) many[i] = i < 100 ? 1 : 0;
	EXPECT(RUN(&op_clip_factor, "g=2 hyper=2 | at=1", ROW(3, -4), ROW(9, 1))[0], 1 / 5.000001);
	EXPECT(RUN(&op_clip_factor, "g=2 hyper=1", ROW(3, 4), ROW(7))[0], 1);
	EXPECT(RUN(&op_clip_factor, "g=2 hyper=1", ROW(3, 4), ROW(0))[0], 1);
	EXPECT(RUN(&op_clip_factor, "g=2 hyper=1", ROW(3, 4), ROW(-2))[0], 1);
	EXPECT(RUN(&op_clip_factor, "g=2 hyper=1", ROW(0, 0), ROW(1))[0], 1);
	EXPECT(RUN(&op_clip_factor, "g=200 hyper=1", many, ROW(2))[0], 2 / 10.000001);
	for (int i = 0; i < 200; i++) many[i] = 0.125;
	EXPECT(RUN(&op_clip_factor, "g=200 hyper=1", many, ROW(1))[0], 1 / (sqrt(3.125) + 1e-6));
	double **y = RUN(&op_clip_value, "g=5 hyper=1", held, ROW(1));
	for (int i = 0; i < 5; i++) near(y[0][i], out[i]);
	y = RUN(&op_clip_value, "g=5 hyper=1", held, ROW(0));
	for (int i = 0; i < 5; i++) near(y[0][i], held[i]);
	refused(f, &op_clip_factor, "g=2x2 hyper=1", "the gradients are 2x2, expected one row");
	refused(f, &op_clip_value, "g=2 hyper=1 | at=1", "there is no number 1 in 1");
}

static void costs_are_those_of_the_paper(void **state)
{
	FIXTURE;
	/* LeCun et al. 1998: 340,908 connections in all; the other layers have 340,068 */
	Cost c = op_rbf.cost(make(f, &op_rbf, "x=2x84 w=10x84"));
	assert_int_equal(c.connections, 840);
	assert_int_equal(c.parameters, 0);
}

/* --- what gradients are made of ----------------------------------------------------------- */

/* The gradient by weight `of` of the mean of op(w0, w1...), in f->graph. */
static const Value *mean_gradient(Fixture *f, const OpDesc *op, State *w, int nin, int of)
{
	Value *in[4];
	Model m = {.arena = f->arena, .diag = &f->diag, .graph = f->graph};
	for (int i = 0; i < nin; i++) {
		in[i] = graph_read(f->graph, &w[i]);
		vec_push(f->arena, m.state, &w[i]);
	}
	Value *y = graph_op(f->graph, op, in, nin, NULL)->out[0];
	Value *loss = graph_op(f->graph, &op_mean, &y, 1, NULL)->out[0];
	graph_output(f->graph, "loss", OUT_LOSS, 0, NULL, loss);
	graph_backward(f->graph, &m);
	assert_null(graph_verify(f->graph));
	for (int i = 0; i < f->graph->node.n; i++) {
		const Node *n = f->graph->node.at[i];
		if (n->kind == NODE_OUTPUT && n->output == OUT_GRADIENT && n->state == &w[of])
			return n->in[0];
	}
	fail_msg("no gradient");
	return NULL;
}

static State weight(Shape s) { return (State){.name = "w", .kind = STATE_WEIGHT, .shape = s}; }

static void gradients_of_activations_let_the_input_die(void **state)
{
	FIXTURE;
	const OpDesc *const ops[] = {&op_relu, &op_leaky_relu, &op_relu6, &op_sigmoid, &op_tanh,
	    &op_scaled_tanh, &op_exp, &op_sqrt};
	for (int i = 0; i < COUNT(ops); i++) {
		fresh_graph(f);
		State w = weight(shape_of(1, (int64_t)3));
		const Node *dx = mean_gradient(f, ops[i], &w, 1, 0)->node;
		for (int k = 0; k < dx->nin; k++) assert_int_not_equal(dx->in[k]->node->kind, NODE_READ);
	}
}

static void an_addition_passes_its_gradient_without_a_node(void **state)
{
	FIXTURE;
	State w[] = {weight(shape_of(2, (int64_t)2, (int64_t)3)), weight(shape_of(1, (int64_t)3))};
	const Value *dx = mean_gradient(f, &op_add, w, 2, 0);
	assert_ptr_equal(dx->node->op, &op_sum_dx);
	fresh_graph(f);
	const Value *db = mean_gradient(f, &op_add, w, 2, 1);
	assert_ptr_equal(db->node->op, &op_sum_to);
	assert_ptr_equal(db->node->in[0]->node->op, &op_sum_dx);
}

static void sums_of_many_keep_their_order(void **state)
{
	FIXTURE;
	Value *in[20];
	for (int i = 0; i < COUNT(in); i++)
		in[i] = graph_input(f->graph, "x", i, TYPE_REAL, shape_of(1, (int64_t)2));
	assert_ptr_equal(graph_add_n(f->graph, in, 1), in[0]);
	const Value *sum = graph_add_n(f->graph, in, COUNT(in));
	int next = COUNT(in);
	for (const Value *v = sum; v->node->kind == NODE_OP; v = v->node->in[0])
		for (int k = v->node->nin - 1; k >= (v->node->in[0]->node->kind == NODE_OP); k--)
			assert_ptr_equal(v->node->in[k], in[--next]);
	assert_int_equal(next, 0);
}

static void elementwise_nodes_have_a_body(void **state)
{
	FIXTURE;
	Node *relu = make(f, &op_relu, "x=2x3");
	assert_ptr_equal(map_body(relu), op_relu.body);
	Value *y = graph_map(f->graph, &map_scale_shift,
	    (Value *[]){relu->out[0], relu->out[0], relu->out[0]}, 3, NULL, 0);
	assert_ptr_equal(map_body(y->node), &map_scale_shift);
	assert_null(map_body(make(f, &op_sum, "x=2x3")));
	assert_null(map_body(make(f, &op_map_grad, "a=3 dy=2x3")));
	assert_null(map_body(relu->in[0]->node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_sample_infers_and_runs, setup, teardown),
	    cmocka_unit_test_setup_teardown(gradients_are_those_of_the_oracles, setup, teardown),
	    cmocka_unit_test_setup_teardown(shapes_that_do_not_go_together, setup, teardown),
	    cmocka_unit_test_setup_teardown(losses_that_do_not_fit_their_labels, setup, teardown),
	    cmocka_unit_test_setup_teardown(results_of_broadcasts_and_reductions, setup, teardown),
	    cmocka_unit_test_setup_teardown(elementwise_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(reductions_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(losses_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(optimisers_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(clipping_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(costs_are_those_of_the_paper, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        gradients_of_activations_let_the_input_die, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        an_addition_passes_its_gradient_without_a_node, setup, teardown),
	    cmocka_unit_test_setup_teardown(sums_of_many_keep_their_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(elementwise_nodes_have_a_body, setup, teardown),
	};
	return cmocka_run_group_tests_name("ops_b", tests, NULL, NULL);
}
