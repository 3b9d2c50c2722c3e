/* lrn: local response normalisation across channels (Krizhevsky et al. 2012, 3.3):
 *
 *   s[c] = k + alpha/size * sum over the `size` channels about c of x^2;   y[c] = x[c] s[c]^-beta
 *
 * The channels about c are c - size/2 .. c + (size - 1)/2, as far as they are there. alpha is
 * divided by size, as PyTorch and Caffe have it; with paper=true it is not.
 *
 * Gradient. By dy' / dx = s^-beta where c' = c, and by ds[c']/dx[c] = 2 alpha/size x[c] for every
 * window c' that sees c:
 *   dx[c] = dy[c] s[c]^-beta - 2 beta alpha/size x[c] sum over c' of t[c'],  t = dy x s^-beta / s,
 * a sum over the mirrored window, c - (size - 1)/2 .. c + size/2: the operator channel_window.
 *
 * A window of channels begins anywhere in a vector, and must not ask where channels end. So both
 * sums read a copy with zeros on both sides, which the layout keeps with channels innermost. */
#include <math.h>

#include "map.h"
#include "window.h"

enum { CHANNELS = 1 };

static bool image_infer(Graph *g, Node *n, int results)
{
	if (!infer_begin(g, n)) return false;
	Shape x = n->in[0]->shape;
	if (x.rank < 2)
		return infer_error(
		    g, n, "input is %s, expected batch x channels and then any", shape_text(g->arena, x));
	for (int k = 0; k < results; k++)
		if (!infer_out(g, n, k, x, TYPE_REAL)) return false;
	return true;
}

/* --- nests --------------------------------------------------------------------------------- */

/* The dims of an image whose channels are moved by that much. */
static void moved_dims(Nest *nest, Shape x, int64_t channels, int64_t by, Affine *at)
{
	x.dim[CHANNELS] = channels;
	map_dims(nest, &x);
	for (int d = 0; d < x.rank; d++) at[d] = affine_plus(affine_var(d), d == CHANNELS ? by : 0);
}

static void zero_channels(Lower *l, const Node *n, Value *padded, int64_t first, int64_t count)
{
	Affine at[MAX_RANK];
	if (!count) return;
	Nest *nest = lower_nest(l, n, "zero");
	moved_dims(nest, padded->shape, count, first, at);
	lower_store(l, nest, "y", padded, at, e_num(lower_arena(l), 0));
}

/* x with `before` channels of zeros in front, and size - 1 in all. */
static Value *padded_channels(Lower *l, const Node *n, int64_t size, int64_t before)
{
	Affine at[MAX_RANK];
	Shape shape = n->in[0]->shape;
	int64_t channels = shape.dim[CHANNELS];
	shape.dim[CHANNELS] += size - 1;
	Value *padded = lower_temp(l, "padded", shape);
	zero_channels(l, n, padded, 0, before);
	zero_channels(l, n, padded, before + channels, size - 1 - before);
	Nest *nest = lower_nest(l, n, "copy");
	moved_dims(nest, n->in[0]->shape, channels, before, at);
	Expr *x = map_load(l, nest, "x", n->in[0], &n->in[0]->shape);
	lower_store(l, nest, "y", padded, at, x);
	return padded;
}

/* A nest over x's points that sums over a window of `padded`; what it reads there is *tap. */
static Nest *window_nest(
    Lower *l, const Node *n, const char *name, Value *padded, int64_t size, Expr **tap)
{
	Nest *nest = lower_nest(l, n, name);
	Index at[MAX_RANK];
	map_dims(nest, &n->in[0]->shape);
	int j = nest_dim(nest, "j", size, true);
	for (int d = 0; d < MAX_RANK; d++) at[d] = index_of(affine_var(d));
	at[CHANNELS].a = affine_add(at[CHANNELS].a, affine_var(j));
	*tap = e_load(lower_arena(l), lower_load(l, nest, "x", padded, at));
	return nest;
}

/* --- lrn ----------------------------------------------------------------------------------- */

static double scale_of(const Node *n)
{
	double size = (double)attr_int(n, "size");
	return attr_real(n, "alpha") / (attr_bool(n, "paper") ? 1 : size);
}

static bool lrn_infer(Graph *g, Node *n) { return image_infer(g, n, 2); }

/* s^-beta, by square roots where they do. */
static Expr *inverse_power(Arena *a, Expr *s, double beta)
{
	Expr *root = e_call(a, FN_SQRT, s, NULL), *one = e_num(a, 1);
	if (beta == 0.5) return e_over(a, one, root);
	if (beta == 0.75) return e_over(a, one, e_times(a, root, e_call(a, FN_SQRT, root, NULL)));
	return e_call(a, FN_POW, s, e_num(a, -beta));
}

static void lrn_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Expr *tap;
	int64_t size = attr_int(n, "size"), before = size / 2;
	Value *padded = padded_channels(l, n, size, before);
	Nest *nest = window_nest(l, n, "lrn", padded, size, &tap);
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), e_times(a, tap, tap)));
	Index at[MAX_RANK];
	for (int d = 0; d < MAX_RANK; d++)
		at[d] = index_of(affine_plus(affine_var(d), d == CHANNELS ? before : 0));
	Expr *x = e_load(a, lower_load(l, nest, "center", padded, at));
	Expr *sum = e_times(a, e_num(a, scale_of(n)), e_acc(a, 0));
	Expr *s = e_plus(a, e_num(a, attr_real(n, "k")), sum);
	map_store(l, nest, "y", n->out[0], e_times(a, x, inverse_power(a, s, attr_real(n, "beta"))));
	map_store(l, nest, "s", n->out[1], s);
}

/* t = dy x s^-beta/s: x[0] dy, x[1] x, x[2] s; p: beta. */
MAP_BODY(part_value)
{
	return e_over(a, e_times(a, e_times(a, x[0], x[1]), inverse_power(a, x[2], p[0])), x[2]);
}

/* dx = dy s^-beta - f x u: x[0] dy, x[1] x, x[2] s, x[3] u, the sum of t; p: beta, f. */
MAP_BODY(dx_value)
{
	Expr *direct = e_times(a, x[0], inverse_power(a, x[2], p[0]));
	return e_minus(a, direct, e_times(a, e_num(a, p[1]), e_times(a, x[1], x[3])));
}

static const MapExpr part = {.name = "lrn_part", .operands = 3, .value = part_value};
static const MapExpr dx = {.name = "lrn_dx", .operands = 4, .value = dx_value};

static void lrn_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	int64_t size = attr_int(n, "size");
	double p[2] = {attr_real(n, "beta"), 2 * attr_real(n, "beta") * scale_of(n)};
	Value *in[4] = {dy, n->in[0], n->out[1], NULL};
	Value *t = graph_map(g, &part, in, 3, p, 1);
	AttrValue *attr = graph_attrs(g->arena, &op_channel_window);
	attr_set_int(&op_channel_window, attr, "size", size);
	attr_set_int(&op_channel_window, attr, "before", (size - 1) / 2);
	in[3] = graph_op(g, &op_channel_window, &t, 1, attr)->out[0];
	grad_add(grad, n, 0, graph_map(g, &dx, in, 4, p, 2));
}

/* The oracle: the sum over the channels of a window that are there. */
static double window_sum(
    const double *x, const Shape *shape, int64_t i, int64_t first, int64_t size, bool square)
{
	int64_t plane = 1, channels = shape->dim[CHANNELS];
	for (int d = CHANNELS + 1; d < shape->rank; d++) plane *= shape->dim[d];
	int64_t c = i / plane % channels;
	double sum = 0;
	for (int64_t j = c + first; j < c + first + size; j++) {
		double v = j < 0 || j >= channels ? 0 : x[i + (j - c) * plane];
		sum += square ? v * v : v;
	}
	return sum;
}

static void lrn_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[0]->shape;
	int64_t size = attr_int(n, "size");
	for (int64_t i = 0; i < shape_count(*x); i++) {
		double sum = window_sum(in[0], x, i, -(size / 2), size, true);
		out[1][i] = attr_real(n, "k") + scale_of(n) * sum;
		out[0][i] = in[0][i] * pow(out[1][i], -attr_real(n, "beta"));
	}
}

static Cost lrn_cost(const Node *n)
{
	int64_t points = shape_count(n->out[0]->shape) / n->out[0]->shape.dim[0];
	return (Cost){.connections = points * attr_int(n, "size")};
}

#define ATTR_WINDOW                                                                                \
	{                                                                                              \
		.name = "size", .type = ATTR_INT, .value = 5, .min = 1, .max = 4096, .position = 1,        \
		.doc = "channels in a window"                                                              \
	}

static const Attr lrn_attrs[] = {
    ATTR_WINDOW,
    {.name = "alpha",
        .type = ATTR_REAL,
        .value = 1e-4,
        .min = 0,
        .max = 1e6,
        .doc = "weight of the squares"},
    {.name = "beta", .type = ATTR_REAL, .value = 0.75, .min = 0, .max = 16, .doc = "the power"},
    {.name = "k", .type = ATTR_REAL, .value = 1, .min = 0, .max = 1e6, .doc = "added to the sum"},
    {.name = "paper",
        .type = ATTR_BOOL,
        .doc = "alpha as the paper has it, not divided by the size"},
    ATTR_END,
};

const OpDesc op_lrn = {
    .name = "lrn",
    .doc = "Local response normalisation: each number divided by a power of the squares about it "
           "in other channels.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = lrn_attrs,
    .infer = lrn_infer,
    .lower = lrn_lower,
    .gradient = lrn_gradient,
    .reference = lrn_reference,
    .cost = lrn_cost,
    .operands = "x",
    .samples = "x=1x1x2x3 | alpha=1\n"
               "x=2x17x3x5 | alpha=0.5\n"
               "x=1x32x4x4 | size=5 alpha=1 k=2 paper=true\n"
               "x=2x6x3x3 | size=4 alpha=2 beta=0.5\n"
               "x=1x48x3x2 | size=3 alpha=0.1 beta=1.25\n"
               "x=1x3x2x2 | size=9 alpha=1\n"
               "x=2x6 | size=3 alpha=1\nx=2x17x5 | alpha=0.5",
};

/* --- channel_window ------------------------------------------------------------------------ */

static bool window_infer(Graph *g, Node *n)
{
	if (!image_infer(g, n, 1)) return false;
	if (attr_int(n, "before") < attr_int(n, "size")) return true;
	return infer_error(g, n, "the window ends before its channel");
}

static void window_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Expr *tap;
	int64_t size = attr_int(n, "size");
	Value *padded = padded_channels(l, n, size, attr_int(n, "before"));
	Nest *nest = window_nest(l, n, "channel_window", padded, size, &tap);
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), tap));
	map_store(l, nest, "y", n->out[0], e_acc(a, 0));
}

static void window_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[0]->shape;
	for (int64_t i = 0; i < shape_count(*x); i++)
		out[0][i] = window_sum(in[0], x, i, -attr_int(n, "before"), attr_int(n, "size"), false);
}

static const Attr window_attrs[] = {
    ATTR_WINDOW,
    {.name = "before",
        .type = ATTR_INT,
        .value = 2,
        .min = 0,
        .max = 4096,
        .doc = "how many of them lie before the channel"},
    ATTR_END,
};

const OpDesc op_channel_window = {
    .name = "channel_window",
    .doc = "The sum over a window of channels; zeros stand beside the first and the last.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = 1,
    .attr = window_attrs,
    .infer = window_infer,
    .lower = window_lower,
    .reference = window_reference,
    .operands = "x",
    .samples = "x=1x1x2x3\nx=2x17x3x5\nx=1x32x4x4 | size=4 before=1\nx=1x6x3x2 | size=9 before=8\n"
               "x=2x6 | size=3 before=1\nx=2x17x5",
};
