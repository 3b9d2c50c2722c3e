/* max_pool: y = the largest input of each window; arg = its tap kh*KW + kw, kept for the gradient.
 *
 * The running maximum m starts from the first tap inside the input and is replaced by v where v > m
 * or v is NaN: so NaN passes on, and of equal values the first in row-major order stays. arg tells
 * -1, "none yet", from a tap, so a window of minus infinities has its first tap too.
 *
 * Gradient: y is the input at arg, so dx[i] sums dy[o] over the windows o in which i is the chosen
 * tap: a gather over the few windows that see i, or where windows stand apart over the only one. */
#include <math.h>

#include "pool.h"

static bool max_infer(Graph *g, Node *n)
{
	Window w;
	if (!pool_window(g, n, attr_bool(n, "ceil"), &w)) return false;
	const Shape *x = &n->in[0]->shape;
	Shape y = image_shape(n->in[0], x->dim[0], x->dim[1], w.out);
	return infer_out(g, n, 0, y, TYPE_REAL) && infer_out(g, n, 1, y, TYPE_REAL);
}

static Expr *tap_number(Arena *a, int kh, int kw, const Window *w)
{
	return e_index(a, affine_add(affine_scale(affine_var(kh), w->kernel[1]), affine_var(kw)));
}

static void max_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Window w = pool_forward(n);
	Nest *nest = lower_nest(l, n, "max_pool");
	PoolDims d = pool_dims(nest, n, &w);
	Expr *v = e_load(a, pool_load_taps(l, nest, &d, &w, n->in[0]));
	Expr *m = e_acc(a, 0), *arg = e_acc(a, 1);
	Expr *better = e_op(a, E_OR, e_op(a, E_GT, v, m), e_op(a, E_NE, v, v));
	Expr *taken = e_op(a, E_OR, better, e_op(a, E_EQ, arg, e_num(a, -1)));
	nest_acc(nest, -INFINITY, COMBINE_NONE, e_select(a, better, v, m));
	nest_acc(nest, -1, COMBINE_NONE, e_select(a, taken, tap_number(a, d.kh, d.kw, &w), arg));
	nest->ordered = true;
	pool_store(l, nest, "y", &d, n->out[0], m);
	pool_store(l, nest, "arg", &d, n->out[1], arg);
}

static void max_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	AttrValue *attr = pool_attrs_back(g, &op_max_pool_dx, n);
	grad_add(grad, n, 0, graph_op(g, &op_max_pool_dx, (Value *[]){dy, n->out[1]}, 2, attr)->out[0]);
}

static void max_tap(Oracle *o, int64_t y, int64_t x, int64_t tap)
{
	double v = o->in[0][x], *best = &o->out[0][y], *arg = &o->out[1][y];
	if (*arg >= 0 && !(v > *best) && !isnan(v)) return;
	*best = v;
	*arg = (double)tap;
}

static void max_reference(const Node *n, const double *const *in, double *const *out)
{
	Window w = pool_forward(n);
	pool_clear(n->out[1], out[1], -1);
	Oracle o = {.in = in, .out = out, .w = &w, .at = max_tap};
	pool_each_tap(&o, n->in[0]->shape.dim[0] * n->in[0]->shape.dim[1]);
}

static const Attr max_attrs[] = {
    ATTR_POOL_KERNEL,
    ATTR_POOL_STRIDE,
    ATTR_PAD,
    ATTR_CEIL,
    ATTR_END,
};

const OpDesc op_max_pool = {
    .name = "max_pool",
    .doc = "The largest value of each window.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = max_attrs,
    .infer = max_infer,
    .lower = max_lower,
    .gradient = max_gradient,
    .reference = max_reference,
    .cheap = 2,
    .operands = "x",
    .samples = "x=1x1x4x4 | kernel=2\n"
               "x=2x3x9x7 | kernel=3 stride=2 pad=1\n"
               "x=1x17x6x5 | kernel=3 stride=2\n"
               "x=2x32x5x5 | kernel=3 stride=1 pad=1\n"
               "x=1x20x7x8 | kernel=3 stride=2 ceil=true\n"
               "x=2x5x2x4 | kernel=3 stride=2x3 ceil=true\n"
               "x=1x16x8x6 | kernel=2x3 stride=2x1\n"
               "x=1x6x5x11 | kernel=1x5 stride=1x3 pad=0x2\n"
               "x=1x17x9x8 | kernel=4\n"
               "x=2x5x11x7 | kernel=2 stride=5x4\n"
               "x=1x3x24x50 | kernel=24\n"
               "x=1x20x26x25 | kernel=14x13 stride=12x11 pad=1\n"
               "x=1x5x70x5 | kernel=3 stride=64x1\n"
               "x=1x17x7x6 | kernel=4x3 stride=2 pad=2+1x0+1\n"
               "x=2x16x6x7 | kernel=3 stride=2 pad=same\n"
               "x=2x17x21 | kernel=3 stride=2 pad=1\n"
               "x=1x6x10 | kernel=4 ceil=true\n"
               "x=3x3x1x1 | kernel=1",
};

/* --- gradient ------------------------------------------------------------------------------ */

static bool dx_infer(Graph *g, Node *n)
{
	if (!pool_infer_back(g, n, attr_bool(n, "ceil"))) return false;
	if (shape_same(n->in[0]->shape, n->in[1]->shape)) return true;
	return infer_error(g, n, "the output's gradient is %s, its arguments are %s",
	    shape_text(g->arena, n->in[0]->shape), shape_text(g->arena, n->in[1]->shape));
}

static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Window w = pool_backward(n);
	PoolBack d;
	Nest *nest = pool_back(l, n, "max_pool_dx", &w, &d);
	Expr *dy = e_load(a, pool_load_back(l, nest, "dy", &d, &w, n->in[0]));
	Expr *arg = e_load(a, pool_load_back(l, nest, "arg", &d, &w, n->in[1]));
	pool_guard_back(nest, &d, &w);
	Expr *chosen = e_op(a, E_EQ, arg, tap_number(a, d.side[0].tap, d.side[1].tap, &w));
	Expr *part = e_select(a, chosen, dy, e_num(a, 0));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), part));
	pool_store_back(l, nest, &d, &w, n->out[0], e_acc(a, 0));
}

static void dx_tap(Oracle *o, int64_t y, int64_t x, int64_t tap)
{
	if (o->in[1][y] == (double)tap) o->out[0][x] += o->in[0][y];
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	Window w = pool_backward(n);
	pool_clear(n->out[0], out[0], 0);
	Oracle o = {.in = in, .out = out, .w = &w, .at = dx_tap};
	pool_each_tap(&o, n->in[0]->shape.dim[0] * n->in[0]->shape.dim[1]);
}

static const Attr dx_attrs[] = {
    ATTR_POOL_KERNEL,
    ATTR_SIZE,
    ATTR_POOL_STRIDE,
    ATTR_PAD,
    ATTR_CEIL,
    ATTR_END,
};

const OpDesc op_max_pool_dx = {
    .name = "max_pool_dx",
    .doc = "Gradient of max_pool: every output's gradient goes to the input that was chosen.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = dx_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy arg",
    .samples = "dy=1x1x2x2 arg=1x1x2x2%4 | kernel=2 size=4\n"
               "dy=2x3x5x4 arg=2x3x5x4%9 | kernel=3 size=9x7 stride=2 pad=1\n"
               "dy=1x17x2x2 arg=1x17x2x2%9 | kernel=3 size=6x5 stride=2\n"
               "dy=2x32x5x5 arg=2x32x5x5%9 | kernel=3 size=5 stride=1 pad=1\n"
               "dy=1x20x3x4 arg=1x20x3x4%9 | kernel=3 size=7x8 stride=2 ceil=true\n"
               "dy=2x5x1x2 arg=2x5x1x2%9 | kernel=3 size=2x4 stride=2x3 ceil=true\n"
               "dy=1x16x4x4 arg=1x16x4x4%6 | kernel=2x3 size=8x6 stride=2x1\n"
               "dy=1x6x5x4 arg=1x6x5x4%5 | kernel=1x5 size=5x11 stride=1x3 pad=0x2\n"
               "dy=1x17x2x2 arg=1x17x2x2%16 | kernel=4 size=9x8\n"
               "dy=2x5x2x2 arg=2x5x2x2%4 | kernel=2 size=11x7 stride=5x4\n"
               "dy=1x3x1x2 arg=1x3x1x2%576 | kernel=24 size=24x50\n"
               "dy=1x20x2x2 arg=1x20x2x2%182 | kernel=14x13 size=26x25 stride=12x11 pad=1\n"
               "dy=1x5x2x3 arg=1x5x2x3%9 | kernel=3 size=70x5 stride=64x1\n"
               "dy=1x17x4x3 arg=1x17x4x3%12 | kernel=4x3 size=7x6 stride=2 pad=2+1x0+1\n"
               "dy=2x17x11 arg=2x17x11%3 | kernel=3 size=21 stride=2 pad=1",
};
