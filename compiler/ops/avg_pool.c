/* avg_pool: y = the mean of each window. With count_pad (as PyTorch has it by default) padding
 * counts as zeros, but not what a last window of `ceil` has beyond it; without, the mean is over
 * the taps inside the input. Either count is a product of a count of rows and one of columns, both
 * the ends of the window less its start.
 *
 * Gradient: each tap weighs 1/count, so dx[i] = sum over the windows o that see i of
 * dy[o]/count[o]. Where counts differ a first nest divides dy by them, which the second gathers. */
#include "pool.h"

/* Taps that window o of a side counts. */
static int64_t taps_of(const Node *n, const Window *w, int side, int64_t o)
{
	int64_t pad = w->pad[side], from = o * w->stride[side] - pad;
	bool pads = attr_bool(n, "count_pad");
	int64_t first = MAX(from, pads ? -pad : 0), in = w->in[side] + (pads ? w->after[side] : 0);
	return MIN(from + w->kernel[side], in) - first;
}

/* Whether the count of taps differs from window to window. */
static bool counts_differ(const Node *n, const Window *w)
{
	for (int s = 0; s < 2; s++)
		for (int64_t o = 0; o < w->out[s]; o++)
			if (taps_of(n, w, s, o) < w->kernel[s]) return true;
	return false;
}

static double whole_window(const Window *w) { return (double)(w->kernel[0] * w->kernel[1]); }

/* taps_of the window at a dim, as numbers: min(from + kernel, end) - max(from, first). */
static Expr *taps_at(Arena *a, const Node *n, const Window *w, int side, int dim)
{
	int64_t pad = w->pad[side], stride = w->stride[side], kernel = w->kernel[side];
	bool pads = attr_bool(n, "count_pad");
	double first = pads ? -(double)pad : 0;
	double end = (double)(w->in[side] + (pads ? w->after[side] : 0));
	Affine from = affine_plus(affine_scale(affine_var(dim), stride), -pad);
	Expr *last = e_op(a, E_MIN, e_index(a, affine_plus(from, kernel)), e_num(a, end));
	return e_op(a, E_SUB, last, e_op(a, E_MAX, e_index(a, from), e_num(a, first)));
}

/* sum / count, at the window of these dims. */
static Expr *mean_of(Arena *a, const Node *n, const Window *w, const PoolDims *d, Expr *sum)
{
	if (!counts_differ(n, w)) return e_op(a, E_MUL, sum, e_num(a, 1 / whole_window(w)));
	Expr *rows = taps_at(a, n, w, 0, d->h), *columns = taps_at(a, n, w, 1, d->w);
	return e_op(a, E_DIV, sum, e_op(a, E_MUL, rows, columns));
}

static bool avg_infer(Graph *g, Node *n)
{
	Window w;
	if (!pool_window(g, n, attr_bool(n, "ceil"), &w)) return false;
	const Shape *x = &n->in[0]->shape;
	return infer_out(g, n, 0, image_shape(n->in[0], x->dim[0], x->dim[1], w.out), TYPE_REAL);
}

static void avg_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Window w = pool_forward(n);
	Nest *nest = lower_nest(l, n, "avg_pool");
	PoolDims d = pool_dims(nest, n, &w);
	Expr *x = e_load(a, pool_load_taps(l, nest, &d, &w, n->in[0]));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), x));
	pool_store(l, nest, "y", &d, n->out[0], mean_of(a, n, &w, &d, e_acc(a, 0)));
}

static void avg_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	AttrValue *attr = pool_attrs_back(g, &op_avg_pool_dx, n);
	grad_add(grad, n, 0, graph_op(g, &op_avg_pool_dx, &dy, 1, attr)->out[0]);
}

/* What output (oh, ow) divides by, counted tap by tap. */
static double divisor(const Node *n, const Window *w, int64_t oh, int64_t ow)
{
	int64_t inside = 0, padded = 0;
	for (int64_t kh = 0; kh < w->kernel[0]; kh++)
		for (int64_t kw = 0; kw < w->kernel[1]; kw++) {
			int64_t ih = oh * w->stride[0] - w->pad[0] + kh,
			        iw = ow * w->stride[1] - w->pad[1] + kw;
			inside += ih >= 0 && ih < w->in[0] && iw >= 0 && iw < w->in[1];
			padded += ih < w->in[0] + w->after[0] && iw < w->in[1] + w->after[1];
		}
	return (double)(attr_bool(n, "count_pad") ? padded : inside);
}

static void avg_tap(Oracle *o, int64_t y, int64_t x, int64_t tap)
{
	(void)tap;
	o->out[0][y] += o->in[0][x];
}

static void avg_reference(const Node *n, const double *const *in, double *const *out)
{
	Window w = pool_forward(n);
	int64_t planes = n->in[0]->shape.dim[0] * n->in[0]->shape.dim[1], pixels = w.out[0] * w.out[1];
	pool_clear(n->out[0], out[0], 0);
	Oracle o = {.in = in, .out = out, .w = &w, .at = avg_tap};
	pool_each_tap(&o, planes);
	for (int64_t i = 0; i < planes * pixels; i++)
		out[0][i] /= divisor(n, &w, i % pixels / w.out[1], i % w.out[1]);
}

#define ATTR_COUNT_PAD                                                                             \
	{                                                                                              \
		.name = "count_pad", .type = ATTR_BOOL, .value = 1,                                        \
		.doc = "whether padding counts as zeros of the mean"                                       \
	}

static const Attr avg_attrs[] = {
    ATTR_POOL_KERNEL,
    ATTR_POOL_STRIDE,
    ATTR_PAD,
    ATTR_CEIL,
    ATTR_COUNT_PAD,
    ATTR_END,
};

const OpDesc op_avg_pool = {
    .name = "avg_pool",
    .doc = "The mean of each window.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = avg_attrs,
    .infer = avg_infer,
    .lower = avg_lower,
    .gradient = avg_gradient,
    .reference = avg_reference,
    .cheap = 1,
    .operands = "x",
    .samples = "x=1x1x4x4 | kernel=2\n"
               "x=2x3x9x7 | kernel=3 stride=2 pad=1\n"
               "x=1x17x6x5 | kernel=3 stride=2\n"
               "x=2x32x5x5 | kernel=3 stride=1 pad=1 count_pad=false\n"
               "x=1x20x7x8 | kernel=4x3 stride=3x2 pad=2x1 count_pad=false\n"
               "x=1x16x8x6 | kernel=2x3 stride=2x1\n"
               "x=1x6x5x11 | kernel=1x5 stride=1x3 pad=0x2\n"
               "x=1x17x9x8 | kernel=4\n"
               "x=2x5x11x7 | kernel=2 stride=5x4\n"
               "x=1x3x24x50 | kernel=24\n"
               "x=1x5x26x25 | kernel=14x13 stride=12x11 pad=1 count_pad=false\n"
               "x=2x17x8x7 | kernel=3 stride=2 ceil=true\n"
               "x=1x6x8x7 | kernel=3 stride=2 pad=1 ceil=true\n"
               "x=1x16x8x9 | kernel=3x4 stride=2x3 pad=1 ceil=true count_pad=false\n"
               "x=1x3x7x6 | kernel=4x3 stride=2 pad=2+1x0+1\n"
               "x=2x16x13 | kernel=4 stride=3 pad=same count_pad=false\n"
               "x=1x5x12 | kernel=3",
};

/* --- gradient ------------------------------------------------------------------------------ */

static bool dx_infer(Graph *g, Node *n) { return pool_infer_back(g, n, attr_bool(n, "ceil")); }

/* A nest that yields dy[o]/count[o]. */
static const Value *divided(Lower *l, const Node *n, const Window *w)
{
	Arena *a = lower_arena(l);
	const Shape *shape = &n->in[0]->shape;
	Value *part = lower_temp(l, "dy_by_count", *shape);
	Nest *nest = lower_nest(l, n, "avg_pool_count");
	PoolDims d = {.n = nest_dim(nest, "n", shape->dim[0], false)};
	d.c = nest_dim(nest, "c", shape->dim[1], false);
	d.h = nest_dim(nest, "oh", w->out[0], false);
	d.w = nest_dim(nest, "ow", w->out[1], false);
	Expr *dy = e_load(a, image_load(l, nest, "dy", n->in[0], index_var(d.n), index_var(d.c),
	                         index_var(d.h), index_var(d.w)));
	pool_store(l, nest, "part", &d, part, mean_of(a, n, w, &d, dy));
	return part;
}

static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Window w = pool_backward(n);
	bool differ = counts_differ(n, &w);
	const Value *part = differ ? divided(l, n, &w) : n->in[0];
	PoolBack d;
	Nest *nest = pool_back(l, n, "avg_pool_dx", &w, &d);
	Expr *dy = e_load(a, pool_load_back(l, nest, "dy", &d, &w, part));
	pool_guard_back(nest, &d, &w);
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), dy));
	Expr *dx = e_acc(a, 0);
	if (!differ) dx = e_op(a, E_MUL, dx, e_num(a, 1 / whole_window(&w)));
	pool_store_back(l, nest, &d, &w, n->out[0], dx);
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	Window w = pool_backward(n);
	int64_t planes = n->in[0]->shape.dim[0] * n->in[0]->shape.dim[1];
	const double *dy = in[0];
	pool_clear(n->out[0], out[0], 0);
	for (int64_t plane = 0; plane < planes; plane++)
		for (int64_t oh = 0; oh < w.out[0]; oh++)
			for (int64_t ow = 0; ow < w.out[1]; ow++, dy++)
				for (int64_t kh = 0; kh < w.kernel[0]; kh++)
					for (int64_t kw = 0; kw < w.kernel[1]; kw++) {
						int64_t ih = oh * w.stride[0] - w.pad[0] + kh;
						int64_t iw = ow * w.stride[1] - w.pad[1] + kw;
						if (ih < 0 || ih >= w.in[0] || iw < 0 || iw >= w.in[1]) continue;
						int64_t at = (plane * w.in[0] + ih) * w.in[1] + iw;
						out[0][at] += *dy / divisor(n, &w, oh, ow);
					}
}

static const Attr dx_attrs[] = {
    ATTR_POOL_KERNEL,
    ATTR_SIZE,
    ATTR_POOL_STRIDE,
    ATTR_PAD,
    ATTR_CEIL,
    ATTR_COUNT_PAD,
    ATTR_END,
};

const OpDesc op_avg_pool_dx = {
    .name = "avg_pool_dx",
    .doc = "Gradient of avg_pool: every output's gradient, divided among its window.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = 1,
    .attr = dx_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy",
    .samples = "dy=1x1x2x2 | kernel=2 size=4\n"
               "dy=2x3x5x4 | kernel=3 size=9x7 stride=2 pad=1\n"
               "dy=1x17x2x2 | kernel=3 size=6x5 stride=2\n"
               "dy=2x32x5x5 | kernel=3 size=5 stride=1 pad=1 count_pad=false\n"
               "dy=1x20x3x4 | kernel=4x3 size=7x8 stride=3x2 pad=2x1 count_pad=false\n"
               "dy=1x16x4x4 | kernel=2x3 size=8x6 stride=2x1\n"
               "dy=1x6x5x4 | kernel=1x5 size=5x11 stride=1x3 pad=0x2\n"
               "dy=1x17x2x2 | kernel=4 size=9x8\n"
               "dy=2x5x2x2 | kernel=2 size=11x7 stride=5x4\n"
               "dy=1x3x1x2 | kernel=24 size=24x50\n"
               "dy=1x20x2x2 | kernel=14x13 size=26x25 stride=12x11 pad=1 count_pad=false\n"
               "dy=1x6x5x4 | kernel=3 size=8x7 stride=2 pad=1 ceil=true\n"
               "dy=1x16x5x4 | kernel=3x4 size=8x9 stride=2x3 pad=1 ceil=true count_pad=false\n"
               "dy=1x3x4x3 | kernel=4x3 size=7x6 stride=2 pad=2+1x0+1\n"
               "dy=2x16x5 | kernel=4 size=13 stride=3 pad=same count_pad=false",
};
