/* dense: y[n,oc] = b[oc] + sum over the features f of w[oc,f] x[n,f].
 *
 * x is [N, F], or an image [N, C, H, W], or a line, whose features are numbered as flatten would: f
 * = (c*H + h)*W + w. The nests keep c, h, w apart and index the weight by that affine form, so that
 * a flatten before a dense layer costs nothing whatever the image's layout.
 *
 *   dx[n,f]  = sum over oc of w[oc,f] dy[n,oc]
 *   dw[oc,f] = sum over n of dy[n,oc] x[n,f]
 *   db       = channel_sum(dy) */
#include "scale_rows.h"
#include "weight_init.h"
#include "window.h"

/* The features as dims of a nest: [F], [C, W] or [C, H, W]. */
typedef struct {
	int rank;
	const int64_t *extent;
	int dim[MAX_RANK];
} Features;

/* Appends one dim a feature axis; the names are those of a convolution's input. */
static Features feature_dims(Nest *nest, const Shape *x, bool reduce)
{
	static const char *const image[] = {"ic", "ih", "iw"}, *const line[] = {"ic", "iw"};
	const char *const *names = x->rank == 3 ? line : image;
	Features f = {.rank = x->rank - 1, .extent = x->dim + 1};
	for (int d = 0; d < f.rank; d++) f.dim[d] = nest_dim(nest, names[d], f.extent[d], reduce);
	return f;
}

/* The feature's number: row-major over its axes. */
static Affine feature_number(const Features *f)
{
	Affine number = affine_var(f->dim[0]);
	for (int d = 1; d < f->rank; d++)
		number = affine_add(affine_scale(number, f->extent[d]), affine_var(f->dim[d]));
	return number;
}

/* x's indices, image n first. */
static void feature_at(const Features *f, int image, Affine *at)
{
	at[0] = affine_var(image);
	for (int d = 0; d < f->rank; d++) at[1 + d] = affine_var(f->dim[d]);
}

static int load_at(Lower *l, Nest *nest, const char *as, const Value *v, const Affine *at)
{
	Index index[MAX_RANK];
	for (int d = 0; d < v->shape.rank; d++) index[d] = index_of(at[d]);
	return lower_load(l, nest, as, v, index);
}

/* Adds the accumulator sum += a*b. */
static void sum_of_product(Lower *l, Nest *nest, int a, int b)
{
	Arena *arena = lower_arena(l);
	Expr *product = e_op(arena, E_MUL, e_load(arena, a), e_load(arena, b));
	nest_acc(nest, 0, COMBINE_SUM, e_op(arena, E_ADD, e_acc(arena, 0), product));
}

static bool is_flat_or_image(Graph *g, Node *n, int operand)
{
	Shape x = n->in[operand]->shape;
	if (x.rank >= 2) return true;
	return infer_error(g, n,
	    "input is %s, a dense layer expects batch x features, an image or a line",
	    shape_text(g->arena, x));
}

static int64_t features_of(const Shape *x) { return shape_count(*x) / x->dim[0]; }

/* --- dense --------------------------------------------------------------------------------- */

static int dense_states(Graph *g, Node *n, StateSpec *spec)
{
	if (!infer_begin(g, n) || !is_flat_or_image(g, n, 0)) return -1;
	int64_t F = features_of(&n->in[0]->shape), O = attr_int(n, "out");
	Shape weight = shape_of(2, O, F);
	if (!infer_size(g, n, "the weight", weight)) return -1;
	spec[0] = (StateSpec){"weight", STATE_WEIGHT, weight, weight_init(n, (double)F, (double)O)};
	if (!attr_bool(n, "bias")) return 1;
	spec[1] = (StateSpec){"bias", STATE_WEIGHT, shape_of(1, O), bias_init(n, (double)F)};
	return 2;
}

static bool dense_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n) || !is_flat_or_image(g, n, 0)) return false;
	Shape x = n->in[0]->shape, w = n->in[1]->shape;
	int64_t F = features_of(&x), O = attr_int(n, "out");
	if (w.rank == 2 && w.dim[1] != F)
		return infer_error(g, n, "input has %lld features, weight expects %lld", (long long)F,
		    (long long)w.dim[1]);
	if (!shape_same(w, shape_of(2, O, F)))
		return infer_error(g, n, "weight is %s, expected %lldx%lld", shape_text(g->arena, w),
		    (long long)O, (long long)F);
	if (attr_bool(n, "bias") != (n->nin == 3))
		return infer_error(
		    g, n, n->nin == 3 ? "bias is given, but bias = false" : "bias is missing");
	if (n->nin == 3 && !shape_same(n->in[2]->shape, shape_of(1, O)))
		return infer_error(
		    g, n, "bias is %s, expected %lld", shape_text(g->arena, n->in[2]->shape), (long long)O);
	return infer_out(g, n, 0, shape_of(2, x.dim[0], O), TYPE_REAL);
}

static void dense_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, "dense");
	int image = nest_dim(nest, "n", x->dim[0], false);
	int oc = nest_dim(nest, "oc", n->out[0]->shape.dim[1], false);
	Features f = feature_dims(nest, x, true);
	Affine at_x[MAX_RANK], at_w[] = {affine_var(oc), feature_number(&f)};
	feature_at(&f, image, at_x);
	int load_x = load_at(l, nest, "x", n->in[0], at_x);
	sum_of_product(l, nest, load_at(l, nest, "w", n->in[1], at_w), load_x);
	Expr *y = e_acc(a, 0);
	if (n->nin == 3) {
		Affine at_b[] = {affine_var(oc)};
		y = e_op(a, E_ADD, y, e_load(a, load_at(l, nest, "b", n->in[2], at_b)));
	}
	lower_store(l, nest, "y", n->out[0], (Affine[]){affine_var(image), affine_var(oc)}, y);
}

static void dense_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy) return;
	if (grad_wanted(grad, n, 0)) {
		AttrValue *attr = graph_attrs(g->arena, &op_dense_dx);
		if (n->in[0]->shape.rank > 2) attr_set_image(&op_dense_dx, attr, n->in[0]);
		grad_add(grad, n, 0, graph_op(g, &op_dense_dx, (Value *[]){dy, n->in[1]}, 2, attr)->out[0]);
	}
	if (grad_wanted(grad, n, 1))
		grad_add(grad, n, 1, graph_op(g, &op_dense_dw, (Value *[]){n->in[0], dy}, 2, NULL)->out[0]);
	if (n->nin == 3 && grad_wanted(grad, n, 2))
		grad_add(grad, n, 2, graph_op(g, &op_channel_sum, &dy, 1, NULL)->out[0]);
}

static void dense_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t N = n->in[0]->shape.dim[0], F = n->in[1]->shape.dim[1], O = n->in[1]->shape.dim[0];
	for (int64_t i = 0; i < N; i++)
		for (int64_t o = 0; o < O; o++) {
			double sum = 0;
			for (int64_t f = 0; f < F; f++) sum += in[1][o * F + f] * in[0][i * F + f];
			out[0][i * O + o] = n->nin == 3 ? sum + in[2][o] : sum;
		}
}

/* The paper's F6: (120 + 1) weights of 84 units: 10,164 connections. */
static Cost dense_cost(const Node *n)
{
	int64_t weights = shape_count(n->in[1]->shape),
	        biases = n->nin == 3 ? n->in[1]->shape.dim[0] : 0;
	return (Cost){weights + biases, weights, weights + biases};
}

static const Attr dense_attrs[] = {
    {.name = "out",
        .type = ATTR_INT,
        .min = 1,
        .max = SIZE_LIMIT,
        .required = true,
        .position = 1,
        .doc = "number of outputs"},
    {.name = "bias",
        .type = ATTR_BOOL,
        .value = 1,
        .doc = "whether a number is added to each output"},
    ATTR_INIT,
    ATTR_END,
};

const OpDesc op_dense = {
    .name = "dense",
    .doc = "Every output sees every input: a learned matrix, and a bias for each output.",
    .flags = OP_METHOD | OP_STATEFUL | OP_ANY_DIMS,
    .min_in = 2,
    .max_in = 3,
    .states = 2,
    .attr = dense_attrs,
    .state_specs = dense_states,
    .infer = dense_infer,
    .lower = dense_lower,
    .gradient = dense_gradient,
    .reference = dense_reference,
    .cost = dense_cost,
    .absorb = scale_rows_absorb,
    .operands = "x w b",
    .samples = "x=1x7 w=5x7 b=5 | out=5\n"
               "x=3x20 w=17x20 b=17 | out=17\n"
               "x=2x32 w=16x32 | out=16 bias=false\n"
               "x=2x3x4x5 w=10x60 b=10 | out=10\n"
               "x=1x17x2x3 w=20x102 | out=20 bias=false\n"
               "x=4x16x1x1 w=6x16 b=6 | out=6\n"
               "x=2x17x5 w=16x85 b=16 | out=16\n"
               "x=1x1 w=1x1 b=1 | out=1",
};

/* --- by data ------------------------------------------------------------------------------- */

static bool dx_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape dy = n->in[0]->shape, w = n->in[1]->shape;
	if (dy.rank != 2 || w.rank != 2 || dy.dim[1] != w.dim[0])
		return infer_error(g, n, "the output's gradient is %s, weight is %s",
		    shape_text(g->arena, dy), shape_text(g->arena, w));
	Shape dx = shape_of(2, dy.dim[0], w.dim[1]);
	if (attr_int(n, "channels") > 0 && !image_of_attrs(g, n, dy.dim[0], &dx)) return false;
	if (!infer_out(g, n, 0, dx, TYPE_REAL)) return false;
	if (features_of(&dx) == w.dim[1]) return true;
	return infer_error(g, n, "input is %s, weight expects %lld features", shape_text(g->arena, dx),
	    (long long)w.dim[1]);
}

static void dx_lower(Lower *l, const Node *n)
{
	const Shape *dx = &n->out[0]->shape;
	Nest *nest = lower_nest(l, n, "dense_dx");
	int image = nest_dim(nest, "n", dx->dim[0], false);
	Features f = feature_dims(nest, dx, false);
	int oc = nest_dim(nest, "oc", n->in[1]->shape.dim[0], true);
	Affine at_dx[MAX_RANK], at_dy[] = {affine_var(image), affine_var(oc)};
	Affine at_w[] = {affine_var(oc), feature_number(&f)};
	feature_at(&f, image, at_dx);
	int load_dy = load_at(l, nest, "dy", n->in[0], at_dy);
	sum_of_product(l, nest, load_at(l, nest, "w", n->in[1], at_w), load_dy);
	lower_store(l, nest, "dx", n->out[0], at_dx, e_acc(lower_arena(l), 0));
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t N = n->in[0]->shape.dim[0], O = n->in[1]->shape.dim[0], F = n->in[1]->shape.dim[1];
	for (int64_t i = 0; i < N * F; i++) out[0][i] = 0;
	for (int64_t i = 0; i < N; i++)
		for (int64_t o = 0; o < O; o++)
			for (int64_t f = 0; f < F; f++)
				out[0][i * F + f] += in[1][o * F + f] * in[0][i * O + o];
}

static Cost dx_cost(const Node *n) { return (Cost){.macs = shape_count(n->in[1]->shape)}; }

static const Attr dx_attrs[] = {
    {.name = "channels",
        .type = ATTR_INT,
        .value = 0,
        .min = 1,
        .max = 1e12,
        .doc = "channels of the input whose gradient this is; not given: it is batch x features"},
    {.name = "size",
        .type = ATTR_PAIR,
        .value = 0,
        .min = 1,
        .max = 1e12,
        .doc = "its height and width"},
    ATTR_LINE,
    ATTR_END,
};

const OpDesc op_dense_dx = {
    .name = "dense_dx",
    .doc = "Gradient of a dense layer by its input.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = dx_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .cost = dx_cost,
    .operands = "dy w",
    .samples = "dy=1x5 w=5x7\n"
               "dy=3x17 w=17x20\n"
               "dy=2x16 w=16x32\n"
               "dy=2x10 w=10x60 | channels=3 size=4x5\n"
               "dy=1x20 w=20x102 | channels=17 size=2x3\n"
               "dy=4x6 w=6x16 | channels=16 size=1\n"
               "dy=2x16 w=16x85 | channels=17 size=5 line=true",
};

/* --- by weights ---------------------------------------------------------------------------- */

static bool dw_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n) || !is_flat_or_image(g, n, 0)) return false;
	Shape x = n->in[0]->shape, dy = n->in[1]->shape;
	if (dy.rank != 2 || dy.dim[0] != x.dim[0])
		return infer_error(g, n, "the output's gradient is %s, input is %s",
		    shape_text(g->arena, dy), shape_text(g->arena, x));
	return infer_out(g, n, 0, shape_of(2, dy.dim[1], features_of(&x)), TYPE_REAL);
}

static void dw_lower(Lower *l, const Node *n)
{
	const Shape *x = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, "dense_dw");
	int oc = nest_dim(nest, "oc", n->in[1]->shape.dim[1], false);
	Features f = feature_dims(nest, x, false);
	int image = nest_dim(nest, "n", x->dim[0], true);
	Affine at_x[MAX_RANK], at_dy[] = {affine_var(image), affine_var(oc)};
	Affine at_dw[] = {affine_var(oc), feature_number(&f)};
	feature_at(&f, image, at_x);
	int load_x = load_at(l, nest, "x", n->in[0], at_x);
	sum_of_product(l, nest, load_at(l, nest, "dy", n->in[1], at_dy), load_x);
	lower_store(l, nest, "dw", n->out[0], at_dw, e_acc(lower_arena(l), 0));
}

static void dw_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t N = n->in[0]->shape.dim[0], O = n->out[0]->shape.dim[0], F = n->out[0]->shape.dim[1];
	for (int64_t i = 0; i < O * F; i++) out[0][i] = 0;
	for (int64_t i = 0; i < N; i++)
		for (int64_t o = 0; o < O; o++)
			for (int64_t f = 0; f < F; f++)
				out[0][o * F + f] += in[1][i * O + o] * in[0][i * F + f];
}

static Cost dw_cost(const Node *n) { return (Cost){.macs = shape_count(n->out[0]->shape)}; }

const OpDesc op_dense_dw = {
    .name = "dense_dw",
    .doc = "Gradient of a dense layer by its weight.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .infer = dw_infer,
    .lower = dw_lower,
    .reference = dw_reference,
    .cost = dw_cost,
    .operands = "x dy",
    .samples = "x=1x7 dy=1x5\n"
               "x=3x20 dy=3x17\n"
               "x=2x32 dy=2x16\n"
               "x=2x3x4x5 dy=2x10\n"
               "x=1x17x2x3 dy=1x20\n"
               "x=4x16x1x1 dy=4x6\n"
               "x=2x17x5 dy=2x16",
};
