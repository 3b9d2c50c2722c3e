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
 * a sum over the mirrored window, c - (size - 1)/2 .. c + size/2.
 *
 * A window of channels begins anywhere in a vector, and must not ask where channels end. So sums
 * read x with zeros on both sides, the second result, which the layout keeps with channels
 * innermost: x itself lies there where it can. The gradient reads it, too, and makes s again, which
 * takes no longer than fetching it, and need not be kept. */
#include <math.h>
#include <string.h>

#include "map.h"
#include "window.h"

enum { CHANNELS = 1 };

static bool image_infer(Graph *g, Node *n, const Value *x)
{
	if (!infer_begin(g, n)) return false;
	if (x->shape.rank >= 2) return infer_out(g, n, 0, x->shape, TYPE_REAL);
	return infer_error(g, n, "input is %s, expected batch x channels and then any",
	    shape_text(g->arena, x->shape));
}

/* A node's window: so many channels, of which so many lie before the one that it is for. */
typedef struct {
	int64_t size, before, after;
} Around;

static Around around_of(const Node *n)
{
	int64_t size = attr_int(n, "size");
	return (Around){size, size / 2, size - 1 - size / 2};
}

static double scale_of(const Node *n)
{
	double size = (double)attr_int(n, "size");
	return attr_real(n, "alpha") / (attr_bool(n, "paper") ? 1 : size);
}

/* Of x by `more` channels. */
static Shape with_channels(Shape x, int64_t more)
{
	x.dim[CHANNELS] += more;
	return x;
}

/* --- nests --------------------------------------------------------------------------------- */

static void zero_channels(
    Lower *l, const Node *n, const Value *padded, int64_t first, int64_t count)
{
	Affine at[MAX_RANK];
	Shape zeros = padded->shape;
	if (!count) return;
	Nest *nest = lower_nest(l, n, "zero");
	zeros.dim[CHANNELS] = count;
	map_dims(nest, &zeros);
	for (int d = 0; d < MAX_RANK; d++)
		at[d] = affine_plus(affine_var(d), d == CHANNELS ? first : 0);
	lower_store(l, nest, "y", padded, at, e_num(lower_arena(l), 0));
}

/* Zeros on both sides of the channels. */
static void zero_sides(Lower *l, const Node *n, const Value *padded, int64_t before, int64_t after)
{
	zero_channels(l, n, padded, 0, before);
	zero_channels(l, n, padded, padded->shape.dim[CHANNELS] - after, after);
}

/* At a nest's point, which is one of the unpadded channels, moved by so many of them. */
static void place_in(int64_t by, Affine *at)
{
	for (int d = 0; d < MAX_RANK; d++) at[d] = affine_plus(affine_var(d), d == CHANNELS ? by : 0);
}

static Expr *load_at(Lower *l, Nest *nest, const char *as, const Value *v, const Affine *place)
{
	Index at[MAX_RANK];
	for (int d = 0; d < MAX_RANK; d++) at[d] = index_of(place[d]);
	return e_load(lower_arena(l), lower_load(l, nest, as, v, at));
}

/* x among its zeros: there it is made, or a copy. */
static void put_channels(Lower *l, const Node *n, const Value *padded, int64_t before)
{
	const Value *x = n->in[0];
	Affine at[MAX_RANK];
	if (lower_merge(l, x, padded, (const int64_t[MAX_RANK]){[CHANNELS] = before})) return;
	Nest *nest = lower_nest(l, n, "copy");
	map_dims(nest, &x->shape);
	place_in(before, at);
	lower_store(l, nest, "y", padded, at, map_load(l, nest, "x", x, &x->shape));
}

/* A nest over points of that shape, and the dim of a window. */
static Nest *window_nest(Lower *l, const Node *n, const char *name, Shape shape, int64_t size)
{
	Nest *nest = lower_nest(l, n, name);
	map_dims(nest, &shape);
	nest_dim(nest, "j", size, true);
	return nest;
}

/* The padded value at this turn of the window, the nest's last dim. */
static Expr *load_tap(Lower *l, Nest *nest, const char *as, const Value *padded)
{
	Affine at[MAX_RANK];
	place_in(0, at);
	at[CHANNELS] = affine_add(at[CHANNELS], affine_var(nest->ndim - 1));
	return load_at(l, nest, as, padded, at);
}

/* s at the nest's point. */
static Expr *sum_of_squares(Lower *l, Nest *nest, const Node *n, const Value *padded)
{
	Arena *a = lower_arena(l);
	Expr *tap = load_tap(l, nest, "x", padded);
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), e_times(a, tap, tap)));
	Expr *sum = e_times(a, e_num(a, scale_of(n)), e_acc(a, 0));
	return e_plus(a, e_num(a, attr_real(n, "k")), sum);
}

/* s^-beta, by square roots where they do. */
static Expr *inverse_power(Arena *a, const Node *n, Expr *s)
{
	double beta = attr_real(n, "beta");
	Expr *root = e_call(a, FN_SQRT, s, NULL), *one = e_num(a, 1);
	if (beta == 0.5) return e_over(a, one, root);
	if (beta == 0.75) return e_over(a, one, e_times(a, root, e_call(a, FN_SQRT, root, NULL)));
	return e_call(a, FN_POW, s, e_num(a, -beta));
}

static Expr *load_center(Lower *l, Nest *nest, const Value *padded, int64_t before)
{
	Affine at[MAX_RANK];
	place_in(before, at);
	return load_at(l, nest, "center", padded, at);
}

/* --- lrn ----------------------------------------------------------------------------------- */

static bool lrn_infer(Graph *g, Node *n)
{
	if (!image_infer(g, n, n->in[0])) return false;
	Shape padded = with_channels(n->in[0]->shape, around_of(n).size - 1);
	return infer_out(g, n, 1, padded, TYPE_REAL);
}

static void lrn_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Value *padded = n->out[1];
	Around w = around_of(n);
	zero_sides(l, n, padded, w.before, w.after);
	put_channels(l, n, padded, w.before);
	Nest *nest = window_nest(l, n, "lrn", n->out[0]->shape, w.size);
	Expr *s = sum_of_squares(l, nest, n, padded), *x = load_center(l, nest, padded, w.before);
	map_store(l, nest, "y", n->out[0], e_times(a, x, inverse_power(a, n, s)));
}

static void lrn_gradient(Grad *grad, const Node *n)
{
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	Value *in[] = {dy, n->out[1]};
	grad_add(grad, n, 0, graph_op(grad_graph(grad), &op_lrn_dx, in, 2, n->attr)->out[0]);
}

/* The oracles: where in `padded` the window of a point of the unpadded shape begins, and how far
 * channels are apart. */
static int64_t window_place(const Shape *shape, Around w, int64_t i, int64_t *apart)
{
	int64_t channels = shape->dim[CHANNELS], plane = 1;
	for (int d = CHANNELS + 1; d < shape->rank; d++) plane *= shape->dim[d];
	int64_t image = i / plane / channels;
	*apart = plane;
	return i + (image * (w.size - 1)) * plane;
}

static double scale_at(const Node *n, const double *padded, int64_t at, int64_t apart)
{
	double sum = 0;
	for (int64_t j = 0; j < attr_int(n, "size"); j++)
		sum += padded[at + j * apart] * padded[at + j * apart];
	return attr_real(n, "k") + scale_of(n) * sum;
}

static void lrn_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[0]->shape;
	Around w = around_of(n);
	int64_t apart, count = shape_count(*x);
	memset(out[1], 0, sizeof(double) * (size_t)shape_count(n->out[1]->shape));
	for (int64_t i = 0; i < count; i++) {
		int64_t at = window_place(x, w, i, &apart);
		out[1][at + w.before * apart] = in[0][i];
	}
	for (int64_t i = 0; i < count; i++) {
		int64_t at = window_place(x, w, i, &apart);
		out[0][i] = in[0][i] * pow(scale_at(n, out[1], at, apart), -attr_real(n, "beta"));
	}
}

static Cost lrn_cost(const Node *n)
{
	int64_t points = shape_count(n->out[0]->shape) / n->out[0]->shape.dim[0];
	return (Cost){.connections = points * attr_int(n, "size")};
}

static const Attr lrn_attrs[] = {
    {.name = "size",
        .type = ATTR_INT,
        .value = 5,
        .min = 1,
        .max = 4096,
        .position = 1,
        .doc = "channels in a window"},
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

/* --- lrn_dx --------------------------------------------------------------------------------- */

enum { DY, PADDED };

static bool dx_infer(Graph *g, Node *n)
{
	if (!image_infer(g, n, n->in[DY])) return false;
	Shape padded = with_channels(n->in[DY]->shape, around_of(n).size - 1);
	if (shape_same(n->in[PADDED]->shape, padded)) return true;
	return infer_error(g, n, "padded is %s, expected %s",
	    shape_text(g->arena, n->in[PADDED]->shape), shape_text(g->arena, padded));
}

/* dy s^-beta in `direct`, and t, which the mirrored window reads: as many zeros before it as x has
 * behind it. */
static const Value *lower_part(Lower *l, const Node *n, Around w, const Value *direct)
{
	Arena *a = lower_arena(l);
	Affine at[MAX_RANK];
	const Value *dy = n->in[DY], *padded = n->in[PADDED];
	const Value *t = lower_temp(l, "t", padded->shape);
	zero_sides(l, n, t, w.after, w.before);
	Nest *nest = window_nest(l, n, "lrn_part", dy->shape, w.size);
	Expr *s = sum_of_squares(l, nest, n, padded), *x = load_center(l, nest, padded, w.before);
	Expr *flow = e_times(a, map_load(l, nest, "dy", dy, &dy->shape), inverse_power(a, n, s));
	place_in(w.after, at);
	lower_store(l, nest, "t", t, at, e_over(a, e_times(a, flow, x), s));
	map_store(l, nest, "direct", direct, flow);
	return t;
}

static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Around w = around_of(n);
	const Shape *shape = &n->out[0]->shape;
	const Value *direct = lower_temp(l, "direct", *shape), *t = lower_part(l, n, w, direct);
	Nest *nest = window_nest(l, n, "lrn_dx", *shape, w.size);
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), load_tap(l, nest, "t", t)));
	Expr *f = e_num(a, 2 * attr_real(n, "beta") * scale_of(n));
	Expr *x = load_center(l, nest, n->in[PADDED], w.before);
	Expr *others = e_times(a, f, e_times(a, x, e_acc(a, 0)));
	Expr *dx = e_minus(a, map_load(l, nest, "direct", direct, shape), others);
	map_store(l, nest, "y", n->out[0], dx);
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *shape = &n->in[DY]->shape;
	Around w = around_of(n);
	double beta = attr_real(n, "beta"), f = 2 * beta * scale_of(n);
	for (int64_t i = 0; i < shape_count(*shape); i++) {
		int64_t apart, at = window_place(shape, w, i, &apart);
		int64_t c = i / apart % shape->dim[CHANNELS];
		double u = 0;
		for (int64_t j = MAX(c - w.after, 0); j <= MIN(c + w.before, shape->dim[CHANNELS] - 1);
		     j++) {
			int64_t there = at + (j - c) * apart;
			double s = scale_at(n, in[PADDED], there, apart);
			u += in[DY][i + (j - c) * apart] * in[PADDED][there + w.before * apart] *
			     pow(s, -beta - 1);
		}
		double s = scale_at(n, in[PADDED], at, apart);
		out[0][i] = in[DY][i] * pow(s, -beta) - f * in[PADDED][at + w.before * apart] * u;
	}
}

const OpDesc op_lrn_dx = {
    .name = "lrn_dx",
    .doc = "The gradient of lrn by its operand, of dy and of that operand with zeros about its "
           "channels.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = lrn_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy padded",
    .samples = "dy=1x1x2x3 padded=1x5x2x3 | alpha=1\n"
               "dy=2x17x3x5 padded=2x21x3x5 | alpha=0.5\n"
               "dy=1x32x4x4 padded=1x35x4x4 | size=4 alpha=1 k=2 paper=true\n"
               "dy=1x48x3x2 padded=1x50x3x2 | size=3 alpha=0.1 beta=1.25\n"
               "dy=1x6x3x2 padded=1x14x3x2 | size=9 alpha=1 beta=0.5\n"
               "dy=2x6 padded=2x8 | size=3 alpha=1\ndy=2x17x5 padded=2x21x5 | alpha=0.5",
};
