/* Convolution, dense, pooling, normalisation and shape operators, as far as graphs and oracles go:
 * what infer accepts and how it refuses, states, costs, and oracles against numbers made by hand.
 * Their gradients and their rewriting by mode are in test_ops_a_grad.c. */
#define _POSIX_C_SOURCE 200809L
#include "../compiler/op.h"
#include "sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const OpDesc *const family[] = {&op_conv, &op_conv_dx, &op_conv_dw, &op_channel_sum,
    &op_dense, &op_dense_dx, &op_dense_dw, &op_scale_rows, &op_max_pool, &op_max_pool_dx,
    &op_avg_pool, &op_avg_pool_dx, &op_global_avg_pool, &op_global_avg_pool_dx, &op_subsample,
    &op_subsample_dx, &op_subsample_da, &op_batch_norm, &op_batch_norm_train, &op_batch_norm_grad,
    &op_flatten, &op_unflatten, &op_concat, &op_slice, &op_slice_dx};

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
	for (int i = 0; i < s.nin; i++) in[i] = graph_input(f->graph, "in", i, TYPE_REAL, s.shape[i]);
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
	char *end = strchr(t.data, '\n');
	if (end) *end = 0;
	return t.data;
}

static void refused(Fixture *f, const OpDesc *op, const char *line, const char *message)
{
	const char *got = refusal(f, op, line);
	const char *want = arena_printf(f->arena, "net.lua:12: error: layer: %s", message);
	assert_string_equal(got, want);
}

/* --- running the oracles ------------------------------------------------------------------- */

static double *numbers(Fixture *f, Shape s) { return NEWS(f->arena, double, shape_count(s)); }

static double **oracle(Fixture *f, const Node *n, double *const *in)
{
	double **out = NEWS(f->arena, double *, MAX_OUT);
	for (int k = 0; k < n->nout; k++) out[k] = numbers(f, n->out[k]->shape);
	n->op->reference(n, (const double *const *)in, out);
	return out;
}

/* The oracle's results of a sample on given operands. */
static double **run(Fixture *f, const OpDesc *op, const char *line, double *const *in)
{
	Node *n = make(f, op, line);
	assert_false(n->poisoned);
	return oracle(f, n, in);
}

static void near(double got, double want, double tolerance)
{
	if ((isnan(want) && isnan(got)) || got == want) return;
	if (!(fabs(got - want) <= tolerance * MAX(1, fabs(want))))
		fail_msg("%.17g, not %.17g", got, want);
}

#define EXPECT(got, ...)                                                                           \
	do {                                                                                           \
		const double want_[] = {__VA_ARGS__};                                                      \
		for (int i_ = 0; i_ < COUNT(want_); i_++) near((got)[i_], want_[i_], 1e-12);               \
	} while (0)

static double *counting(Fixture *f, int n) /* 1, 2, 3, ... */
{
	double *x = NEWS(f->arena, double, n);
	for (int i = 0; i < n; i++) x[i] = i + 1;
	return x;
}

/* --- tests: the table ---------------------------------------------------------------------- */

static void every_operator_is_found_by_its_name(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT(family); i++) assert_ptr_equal(op_find(family[i]->name), family[i]);
	for (int i = 0; i < op_count; i++) assert_ptr_equal(op_find(op_table[i]->name), op_table[i]);
	assert_null(op_find("convolution"));
	assert_null(op_find(""));
	assert_null(op_find(NULL));
}

static void defaults_and_copies_of_attributes(void **state)
{
	FIXTURE;
	Node *n =
	    make(f, &op_conv, "x=1x4x9x9 w=6x2x3x5 b=6 | out=6 kernel=3x5 stride=2x1 groups=2 init=he");
	assert_int_equal(attr_pads(n, "pad")->before[1], 0);
	assert_int_equal(attr_pair(n, "dilation")[0], 1);
	assert_true(attr_bool(n, "bias"));
	assert_string_equal(attr_name(n, "init"), "he");
	assert_null(attr_links(n, "links"));
	AttrValue *dw = attrs_like(f->arena, &op_conv_dw, n);
	assert_int_equal(dw[attr_index(&op_conv_dw, "kernel")].pair[1], 5);
	assert_int_equal(dw[attr_index(&op_conv_dw, "stride")].pair[0], 2);
	assert_int_equal(dw[attr_index(&op_conv_dw, "groups")].i, 2);
	Node *bn = make(f, &op_batch_norm, "x=1x2 w=2 b=2 mean=2 var=2");
	near(attr_real(bn, "eps"), 1e-5, 0);
	near(attr_real(bn, "momentum"), 0.1, 0);
	Node *plain = make(f, &op_conv, "x=1x1x5x5 w=2x1x3x3 b=2 | out=2 kernel=3");
	assert_string_equal(attr_name(plain, "init"), "default");
}

static void every_sample_infers_and_runs(void **state)
{
	FIXTURE;
	uint64_t seed = 1;
	for (int i = 0; i < COUNT(family); i++) {
		const OpDesc *op = family[i];
		assert_non_null(op->doc);
		assert_non_null(op->lower);
		assert_true(op->gradient || op->flags & OP_GRADIENT_ONLY);
		Sample s;
		for (const char *line = op->samples; sample_next(f->arena, op, &line, &s);) {
			const char *said = refusal(f, op, s.text);
			if (*said) fail_msg("%s: %s: %s", op->name, s.text, said);
			Node *n = make(f, op, s.text);
			double *in[SAMPLE_OPERANDS];
			for (int k = 0; k < s.nin; k++) in[k] = sample_numbers(f->arena, &s, k, &seed);
			double **out = oracle(f, n, in);
			for (int k = 0; k < n->nout; k++)
				for (int64_t e = 0; e < shape_count(n->out[k]->shape); e++)
					if (!isfinite(out[k][e])) fail_msg("%s: %s", op->name, s.text);
		}
	}
}

/* --- tests: what infer refuses ------------------------------------------------------------- */

static void convolutions_that_do_not_fit(void **state)
{
	FIXTURE;
	refused(f, &op_conv, "x=1x3x8x8 w=6x4x3x3 b=6 | out=6 kernel=3",
	    "input has 3 channels, weight expects 4");
	refused(f, &op_conv, "x=1x4x8x8 w=6x3x3x3 b=6 | out=6 kernel=3 groups=2",
	    "input has 4 channels, weight expects 6");
	refused(f, &op_conv, "x=1x3x8x8 w=6x3x5x5 b=6 | out=6 kernel=3",
	    "weight is 6x3x5x5, expected 6x3x3x3");
	refused(f, &op_conv, "x=1x3x8x8 w=6x3x3x3 b=5 | out=6 kernel=3", "bias is 5, expected 6");
	refused(f, &op_conv, "x=1x3x8x8 w=6x3x3x3 | out=6 kernel=3", "bias is missing");
	refused(f, &op_conv, "x=1x3x8x8 w=6x3x3x3 b=6 | out=6 kernel=3 bias=false",
	    "bias is given, but bias = false");
	refused(f, &op_conv, "x=1x6x8x8 w=6x3x3x3 b=6 | out=6 kernel=3 groups=4",
	    "input has 6 channels, not divisible into 4 groups");
	refused(f, &op_conv, "x=1x6x8x8 w=5x3x3x3 b=5 | out=5 kernel=3 groups=2",
	    "output has 5 channels, not divisible into 2 groups");
	refused(f, &op_conv, "x=1x3x4x4 w=6x3x5x5 b=6 | out=6 kernel=5",
	    "input is 4x4 with 0x0 of padding, too small for a kernel of 5x5");
	refused(f, &op_conv, "x=1x3x4x9 w=6x3x3x3 b=6 | out=6 kernel=3 dilation=3 pad=1",
	    "input is 4x9 with 2x2 of padding, too small for a kernel of 3x3, dilated");
	refused(f, &op_conv, "x=3x8 w=6x3x3x3 b=6 | out=6 kernel=3",
	    "input is 3x8, a convolution expects batch x channels x height x width, or of lines "
	    "batch x channels x width");
	refused(f, &op_conv, "x=1x3x8x8 w=2x3x3x3 b=2 | out=2 kernel=3 links=0,3/1",
	    "the link table is for 2 outputs of 4 inputs, the layer has 2 outputs of 3 inputs");
	refused(f, &op_conv, "x=1x2x8x8 w=2x1x3x3 b=2 | out=2 kernel=3 links=0/1 groups=2",
	    "links and 2 groups exclude each other");
}

static void attributes_out_of_range(void **state)
{
	FIXTURE;
	const char *operands = "x=1x3x8x8 w=6x3x3x3 b=6 |";
	const char *const cases[][2] = {
	    {"out=6 kernel=3 stride=0", "stride is 0, must be 1 to 65536"},
	    {"out=6 kernel=3 stride=2x-1", "stride is -1, must be 1 to 65536"},
	    {"out=6 kernel=3 pad=-1", "pad is -1, must be 0 to 65536"},
	    {"out=6 kernel=70000", "kernel is 70000, must be 1 to 65536"},
	    {"out=6 kernel=3 groups=-2", "groups is -2, must be 1 to 16777216"},
	    {"out=-6 kernel=3", "out is -6, must be 1 to 16777216"},
	    {"kernel=3", "out is missing"},
	    {"out=6", "kernel is missing"},
	    {"out=6 kernel=3 init=best",
	        "init is 'best', must be one of: default lecun glorot he he_normal"},
	};
	for (int i = 0; i < COUNT(cases); i++)
		refused(f, &op_conv, arena_printf(f->arena, "%s %s", operands, cases[i][0]), cases[i][1]);
	refused(
	    f, &op_batch_norm, "x=1x2 w=2 b=2 mean=2 var=2 | eps=-1", "eps is -1, must be 1e-30 to 1");
	refused(f, &op_batch_norm, "x=1x2 w=2 b=2 mean=2 var=2 | momentum=nan",
	    "momentum is nan, must be 0 to 1");
}

static void sizes_beyond_reason(void **state)
{
	FIXTURE;
	const char *huge = "x=1x1099511627776x1x1 w=4194304x1x1x1 b=4194304 | out=4194304 kernel=1";
	StateSpec spec[MAX_STATES];
	Sample s = sample_parse(f->arena, &op_conv, huge);
	Value *x = graph_input(f->graph, "x", 0, TYPE_REAL, s.shape[0]);
	Node n = {.kind = NODE_OP, .op = &op_conv, .attr = s.attr, .in = &x, .nin = 1};
	assert_int_equal(op_conv.state_specs(f->graph, &n, spec), -1);
	assert_true(n.poisoned);
	assert_int_equal(f->diag.errors, 1);
	refused(f, &op_global_avg_pool_dx, "dy=1048576x1x1x1 | size=4194304",
	    "the result would be 1048576x1x4194304x4194304, too many elements");
	refused(f, &op_concat, "a=1x0x2x2", "the result would be 1x0x2x2, no size may be below 1");
}

static void other_shapes_that_do_not_fit(void **state)
{
	FIXTURE;
	refused(f, &op_dense, "x=1x400 w=84x120 b=84 | out=84",
	    "input has 400 features, weight expects 120");
	refused(f, &op_dense, "x=4 w=84x12 b=84 | out=84",
	    "input is 4, a dense layer expects batch x features, an image or a line");
	refused(f, &op_dense, "x=2x6 w=5x6 b=5 | out=4", "weight is 5x6, expected 4x6");
	refused(f, &op_dense_dx, "dy=2x10 w=10x60 | channels=3 size=4",
	    "input is 2x3x4x4, weight expects 60 features");
	refused(f, &op_max_pool, "x=1x1x8x8 | kernel=3 pad=2",
	    "pad is 2x2, at most half of the kernel 3x3 is allowed");
	refused(f, &op_max_pool, "x=1x1x2x8 | kernel=4 stride=2 ceil=true",
	    "input is 2x8 with 0x0 of padding, too small for a kernel of 4x4");
	refused(f, &op_avg_pool, "x=4x8 | kernel=3",
	    "input is 4x8, a pooling expects batch x channels x height x width, or of lines batch x "
	    "channels x width");
	refused(f, &op_max_pool_dx, "dy=1x1x3x3 arg=1x1x3x3 | kernel=2 size=8",
	    "the output's gradient is 1x1x3x3, the output is 1x1x4x4");
	refused(f, &op_conv_dx, "dy=1x2x3x3 w=2x1x3x3 | size=8",
	    "the output's gradient is 1x2x3x3, the output is 1x2x6x6");
	refused(
	    f, &op_subsample, "x=1x6x4x4 a=5 b=6 | kernel=2", "input has 6 channels, coefficient is 5");
	refused(
	    f, &op_batch_norm, "x=2x6 w=6 b=6 mean=6 var=5", "input has 6 channels, operand 5 is 5");
	refused(f, &op_batch_norm_train, "x=1x6x1x1 w=6 b=6",
	    "input is 1x6x1x1: batch norm in training needs more than one number a channel; use a "
	    "larger "
	    "batch");
	refused(f, &op_concat, "a=1x2x3x3 b=1x2x3x4",
	    "part 2 is 1x2x3x4, part 1 is 1x2x3x3: all but the channels must agree");
	refused(f, &op_concat, "a=1x2x3x3 b=7",
	    "part 2 is 7, part 1 is 1x2x3x3: all but the channels must agree");
	refused(f, &op_slice, "x=1x6x3x3 | start=4 count=3",
	    "input has 6 channels, the slice takes 3 from number 4 on");
	refused(f, &op_unflatten, "x=2x20 | channels=3 size=2x3",
	    "input is 2x20, the result would be 2x3x2x3");
}

static void labels_are_no_numbers_and_poison_is_silent(void **state)
{
	FIXTURE;
	Value *label = graph_input(f->graph, "label", 0, TYPE_LABEL, shape_of(1, (int64_t)4));
	Node *n = graph_op(f->graph, &op_flatten, &label, 1, NULL);
	assert_true(n->poisoned);
	assert_int_equal(f->diag.errors, 1);
	Node *after = graph_op(f->graph, &op_flatten, &n->out[0], 1, NULL);
	assert_true(after->poisoned);
	assert_int_equal(f->diag.errors, 1);
	assert_false(infer_error(f->graph, after, "never said"));
	assert_int_equal(f->diag.errors, 1);
}

/* --- tests: shapes, states, costs ---------------------------------------------------------- */

static void output_sizes(void **state)
{
	FIXTURE;
	static const struct {
		const OpDesc *op;
		const char *sample;
		int64_t h, w;
	} cases[] = {
	    {&op_conv, "x=1x1x32x32 w=6x1x5x5 b=6 | out=6 kernel=5", 28, 28},
	    {&op_conv, "x=1x1x224x225 w=6x1x7x7 b=6 | out=6 kernel=7 stride=2 pad=3", 112, 113},
	    {&op_conv, "x=1x1x9x9 w=6x1x3x3 b=6 | out=6 kernel=3 stride=2 dilation=2", 3, 3},
	    {&op_max_pool, "x=1x1x112x7 | kernel=3 stride=2 pad=1", 56, 4},
	    {&op_max_pool, "x=1x1x112x7 | kernel=3 stride=2", 55, 3},
	    {&op_max_pool, "x=1x1x112x7 | kernel=3 stride=2 ceil=true", 56, 3},
	    /* a last window that would start in the far pad is none */
	    {&op_max_pool, "x=1x1x5x3 | kernel=2 stride=2 pad=1 ceil=true", 3, 2},
	    {&op_max_pool, "x=1x1x1x7 | kernel=2 stride=3 pad=1 ceil=true", 1, 3},
	    /* rounding up, one window may be larger than the input */
	    {&op_max_pool, "x=1x1x2x1 | kernel=3 stride=2x3 ceil=true", 1, 1},
	    {&op_max_pool, "x=1x1x1x3 | kernel=5 stride=3x5 pad=1 ceil=true", 1, 1},
	    {&op_avg_pool, "x=1x1x5x9 | kernel=2x3", 2, 3},
	};
	for (int i = 0; i < COUNT(cases); i++) {
		Node *n = make(f, cases[i].op, cases[i].sample);
		assert_false(n->poisoned);
		assert_int_equal(n->out[0]->shape.dim[2], cases[i].h);
		assert_int_equal(n->out[0]->shape.dim[3], cases[i].w);
	}
}

static int specs(Fixture *f, const OpDesc *op, const char *line, StateSpec *spec)
{
	Sample s = sample_parse(f->arena, op, line);
	Value *x = graph_input(f->graph, "x", 0, TYPE_REAL, s.shape[0]);
	Node n = {.kind = NODE_OP, .op = op, .attr = s.attr, .in = &x, .nin = 1};
	return op->state_specs(f->graph, &n, spec);
}

static void states_of_layers(void **state)
{
	FIXTURE;
	StateSpec s[MAX_STATES];
	assert_int_equal(specs(f, &op_conv, "x=1x4x9x9 | out=6 kernel=3x5 groups=2", s), 2);
	assert_string_equal(s[0].name, "weight");
	assert_true(
	    shape_same(s[0].shape, shape_of(4, (int64_t)6, (int64_t)2, (int64_t)3, (int64_t)5)));
	assert_true(shape_same(s[1].shape, shape_of(1, (int64_t)6)));
	assert_int_equal(s[0].init.kind, INIT_UNIFORM);
	near(s[0].init.value, 1 / sqrt(30), 1e-15);
	near(s[1].init.value, 1 / sqrt(30), 1e-15);
	assert_int_equal(
	    specs(f, &op_conv, "x=1x4x9x9 | out=6 kernel=3 bias=false init=he_normal", s), 1);
	assert_int_equal(s[0].init.kind, INIT_NORMAL);
	near(s[0].init.value, sqrt(2.0 / 36), 1e-15);
	assert_int_equal(specs(f, &op_dense, "x=1x400 | out=120 init=glorot", s), 2);
	near(s[0].init.value, sqrt(6.0 / 520), 1e-15);
	assert_int_equal(s[1].init.kind, INIT_CONSTANT);
	near(s[1].init.value, 0, 0);
	assert_int_equal(specs(f, &op_dense, "x=1x16x5x5 | out=120 init=lecun", s), 2);
	assert_true(shape_same(s[0].shape, shape_of(2, (int64_t)120, (int64_t)400)));
	near(s[0].init.value, 2.4 / 400, 1e-15);
	assert_int_equal(specs(f, &op_subsample, "x=1x6x28x28 | kernel=2 init=lecun", s), 2);
	assert_string_equal(s[0].name, "coefficient");
	near(s[0].init.value, 0.6, 1e-15);
	assert_int_equal(specs(f, &op_batch_norm, "x=1x6x28x28", s), 4);
	assert_string_equal(s[3].name, "running_var");
	assert_int_equal(s[3].kind, STATE_BUFFER);
	near(s[0].init.value, 1, 0);
	near(s[2].init.value, 0, 0);
	near(s[3].init.value, 1, 0);
}

/* LeCun et al. 1998, II.B: connections and trainable parameters of each layer of LeNet-5. */
static void costs_are_those_of_the_paper(void **state)
{
	FIXTURE;
	static const struct {
		const OpDesc *op;
		const char *sample;
		int64_t connections, parameters;
	} layer[] = {
	    {&op_conv, "x=2x1x32x32 w=6x1x5x5 b=6 | out=6 kernel=5", 122304, 156},
	    {&op_subsample, "x=2x6x28x28 a=6 b=6 | kernel=2", 5880, 12},
	    {&op_conv,
	        "x=2x6x14x14 w=16x6x5x5 b=16 | out=16 kernel=5 "
	        "links=0,1,2/1,2,3/2,3,4/3,4,5/0,4,5/0,1,5/"
	        "0,1,2,3/1,2,3,4/2,3,4,5/0,3,4,5/0,1,4,5/0,1,2,5/0,1,3,4/1,2,4,5/0,2,3,5/0,1,2,3,4,5",
	        151600, 1516},
	    {&op_subsample, "x=2x16x10x10 a=16 b=16 | kernel=2", 2000, 32},
	    {&op_conv, "x=2x16x5x5 w=120x16x5x5 b=120 | out=120 kernel=5", 48120, 48120},
	    {&op_dense, "x=2x120 w=84x120 b=84 | out=84", 10164, 10164},
	};
	int64_t total = 0;
	for (int i = 0; i < COUNT(layer); i++) {
		Node *n = make(f, layer[i].op, layer[i].sample);
		assert_false(n->poisoned);
		Cost c = n->op->cost(n);
		assert_int_equal(c.connections, layer[i].connections);
		assert_int_equal(c.parameters, layer[i].parameters);
		total += c.parameters;
	}
	assert_int_equal(total, 60000);
}

/* --- tests: oracles against numbers made by hand ------------------------------------------- */

static void convolution_by_hand(void **state)
{
	FIXTURE;
	/* 1 2 3 / 4 5 6 / 7 8 9 with a kernel that is not symmetric: nothing is turned */
	double w[] = {1, 10, 100, 1000}, b[] = {0.5};
	double *in[] = {counting(f, 9), w, b};
	EXPECT(run(f, &op_conv, "x=1x1x3x3 w=1x1x2x2 b=1 | out=1 kernel=2", in)[0], 5421.5, 6532.5,
	    8754.5, 9865.5);
	EXPECT(run(f, &op_conv, "x=1x1x3x3 w=1x1x2x2 b=1 | out=1 kernel=2 stride=2 pad=1", in)[0],
	    1000.5, 3200.5, 7040.5, 9865.5);
	EXPECT(run(f, &op_conv, "x=1x1x3x3 w=1x1x2x2 b=1 | out=1 kernel=2 dilation=2", in)[0], 9731.5);
	double links[] = {1, 2, 4, 8}, x[] = {1, 10};
	double *two[] = {x, links};
	EXPECT(run(f, &op_conv, "x=1x2x1x1 w=2x2x1x1 | out=2 kernel=1 links=1/0 bias=false", two)[0],
	    20, 4);
	EXPECT(run(f, &op_conv, "x=1x2x1x1 w=4x1x1x1 | out=4 kernel=1 groups=2 bias=false", two)[0], 1,
	    2, 40, 80);
	double image[] = {1, 2}, matrix[] = {3, 4, 5, 6}, bias[] = {7, 8};
	double *dense[] = {image, matrix, bias};
	EXPECT(run(f, &op_dense, "x=1x2x1x1 w=2x2 b=2 | out=2", dense)[0], 18, 25);
}

static void pooling_by_hand(void **state)
{
	FIXTURE;
	double *in[] = {counting(f, 9)};
	double **y = run(f, &op_max_pool, "x=1x1x3x3 | kernel=2 stride=1", in);
	EXPECT(y[0], 5, 6, 8, 9);
	EXPECT(y[1], 3, 3, 3, 3);
	y = run(f, &op_max_pool, "x=1x1x3x3 | kernel=2 ceil=true", in);
	EXPECT(y[0], 5, 6, 8, 9);
	EXPECT(y[1], 3, 2, 1, 0);
	y = run(f, &op_max_pool, "x=1x1x3x3 | kernel=3 stride=2 pad=1", in);
	EXPECT(y[1], 8, 7, 5, 4);
	EXPECT(run(f, &op_avg_pool, "x=1x1x3x3 | kernel=3 stride=2 pad=1", in)[0], 12.0 / 9, 16.0 / 9,
	    24.0 / 9, 28.0 / 9);
	EXPECT(run(f, &op_avg_pool, "x=1x1x3x3 | kernel=3 stride=2 pad=1 count_pad=false", in)[0], 3, 4,
	    6, 7);
	EXPECT(run(f, &op_global_avg_pool, "x=1x1x3x3", in)[0], 5);
	double a[] = {2}, b[] = {-1}, *sub[] = {in[0], a, b};
	EXPECT(run(f, &op_subsample, "x=1x1x3x3 a=1 b=1 | kernel=2", sub)[0], 23);
}

static void max_pool_keeps_the_first_and_passes_nan(void **state)
{
	FIXTURE;
	double x[] = {7, 7, 7, 7, -INFINITY, -INFINITY, -INFINITY, -INFINITY, 1, NAN, 5, 2},
	       *in[] = {x};
	double **y = run(f, &op_max_pool, "x=3x1x2x2 | kernel=2", in);
	EXPECT(y[0], 7, -INFINITY, NAN);
	EXPECT(y[1], 0, 0, 1);
	double dy[] = {3, 4, 5}, *back[] = {dy, y[1]};
	EXPECT(run(f, &op_max_pool_dx, "dy=3x1x1x1 arg=3x1x1x1 | kernel=2 size=2", back)[0], 3, 0, 0, 0,
	    4, 0, 0, 0, 0, 5, 0, 0);
}

static void shapes_and_norms_by_hand(void **state)
{
	FIXTURE;
	double a[] = {1, 2, 3, 4}, b[] = {5, 6}, *parts[] = {a, b};
	EXPECT(run(f, &op_concat, "a=2x2 b=2x1", parts)[0], 1, 2, 5, 3, 4, 6);
	EXPECT(run(f, &op_slice, "x=2x2 | start=1 count=1", parts)[0], 2, 4);
	EXPECT(run(f, &op_slice_dx, "dy=2x1 | start=1 channels=3", &parts[1])[0], 0, 5, 0, 0, 6, 0);
	EXPECT(run(f, &op_channel_sum, "x=1x2x1x2", parts)[0], 3, 7);
	EXPECT(run(f, &op_scale_rows, "x=2x2 scale=2", parts)[0], 5, 10, 18, 24);
	double x[] = {1, 3, 5, 7}, w[] = {2}, bias[] = {1}, mean[] = {1}, var[] = {3};
	double *train[] = {x, w, bias}, *infer[] = {x, w, bias, mean, var};
	double **y = run(f, &op_batch_norm_train, "x=4x1 w=1 b=1 | eps=1e-30", train);
	EXPECT(y[0], 1 - 6 / sqrt(5), 1 - 2 / sqrt(5), 1 + 2 / sqrt(5), 1 + 6 / sqrt(5));
	EXPECT(y[1], 4);
	EXPECT(y[2], 5);
	EXPECT(run(f, &op_batch_norm, "x=4x1 w=1 b=1 mean=1 var=1 | eps=1", infer)[0], 1, 3, 5, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_operator_is_found_by_its_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(defaults_and_copies_of_attributes, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_sample_infers_and_runs, setup, teardown),
	    cmocka_unit_test_setup_teardown(convolutions_that_do_not_fit, setup, teardown),
	    cmocka_unit_test_setup_teardown(attributes_out_of_range, setup, teardown),
	    cmocka_unit_test_setup_teardown(sizes_beyond_reason, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_shapes_that_do_not_fit, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        labels_are_no_numbers_and_poison_is_silent, setup, teardown),
	    cmocka_unit_test_setup_teardown(output_sizes, setup, teardown),
	    cmocka_unit_test_setup_teardown(states_of_layers, setup, teardown),
	    cmocka_unit_test_setup_teardown(costs_are_those_of_the_paper, setup, teardown),
	    cmocka_unit_test_setup_teardown(convolution_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(pooling_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(max_pool_keeps_the_first_and_passes_nan, setup, teardown),
	    cmocka_unit_test_setup_teardown(shapes_and_norms_by_hand, setup, teardown),
	};
	return cmocka_run_group_tests_name("ops_a", tests, NULL, NULL);
}
