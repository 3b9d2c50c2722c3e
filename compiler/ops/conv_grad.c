/* conv_dx, conv_dw, channel_sum: the gradients of a convolution, all in gather form.
 *
 * dx: forward, output o adds w[k] dy[o] to input i = o*stride + k*dilation - pad. Turned round,
 * input i is reached through tap k by the output o = (i + pad - k*dilation)/stride, where that
 * quotient is exact and 0 <= o < out. So each dx sums over its own taps, and no two points write
 * one element. Inputs that no window reaches (a ragged end under a stride) get 0. Where windows
 * stand apart, nothing is divided: see window.h. dw: the derivative of y[oc,o] by w[oc,ic,k] is
 * x[ic,i]; it sums over images and pixels. A weight without a link gets 0. db: the derivative of y
 * by its bias is 1, so db sums dy: channel_sum, which dense layers use as well. */
#include "conv.h"

/* --- by data ------------------------------------------------------------------------------- */

static Conv by_data(const Node *n)
{
	const Shape *dy = &n->in[0]->shape, *w = &n->in[1]->shape;
	Conv c = conv_of(n, dy->dim[0], w->dim[1] * attr_int(n, "groups"), w->dim[0],
	    attr_pair(n, "size"), plane_of(n->in[1]).side);
	for (int s = 0; s < 2; s++) c.w.out[s] = plane_of(n->in[0]).side[s];
	return c;
}

static bool both_images(Graph *g, Node *n)
{
	if (!image_check(g, n, 0, "a gradient")) return false;
	if (n->in[0]->shape.rank == n->in[1]->shape.rank) return true;
	return infer_error(g, n, "operands are %s and %s, expected equal dimensions",
	    shape_text(g->arena, n->in[0]->shape), shape_text(g->arena, n->in[1]->shape));
}

/* dy has the shape that the forward convolution gives. */
static bool is_output(Graph *g, Node *n, Conv *c, Shape dy)
{
	if (!conv_check(g, n, c)) return false;
	Shape want = image_shape(n->in[0], c->batch, c->oc, c->w.out);
	if (shape_same(dy, want)) return true;
	return infer_error(g, n, "the output's gradient is %s, the output is %s",
	    shape_text(g->arena, dy), shape_text(g->arena, want));
}

static bool dx_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n) || !both_images(g, n)) return false;
	Conv c = by_data(n);
	if (!is_output(g, n, &c, n->in[0]->shape)) return false;
	return infer_out(g, n, 0, image_shape(n->in[0], c.batch, c.ic, c.w.in), TYPE_REAL);
}

void conv_back(Lower *l, const Node *n, const Conv *c, const Value *y, const Value *w,
    const Value *b, const Value *x)
{
	Arena *a = lower_arena(l);
	BackSide side[2];
	window_back_rest(l, n, &c->w, x, b);
	Nest *nest = lower_nest(l, n, n->op->name);
	int image = nest_dim(nest, "n", c->batch, false), g = conv_group_dim(nest, c);
	int ic = nest_dim(nest, "ic", c->ic / c->groups, false);
	window_back_space(nest, &c->w, side);
	int oc = nest_dim(nest, "oc", c->oc / c->groups, true);
	window_back_taps(nest, &c->w, side);
	Index out = index_of(conv_channel(g, c->oc / c->groups, oc));
	Affine in = conv_channel(g, c->ic / c->groups, ic);

	Expr *from = e_load(a, image_load(l, nest, "dy", y, index_var(image), out,
	                           window_back(&c->w, 0, &side[0]), window_back(&c->w, 1, &side[1])));
	Expr *weight = e_load(a, image_load(l, nest, "w", w, out, index_var(ic), index_var(side[0].tap),
	                             index_var(side[1].tap)));
	for (int s = 0; s < 2; s++) window_guard_back(nest, &c->w, s, &side[s]);
	conv_guard_links(l, nest, c, oc, ic);
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e_op(a, E_MUL, weight, from)));
	Expr *e = e_acc(a, 0);
	if (b) e = e_op(a, E_ADD, e, e_load(a, lower_load(l, nest, "b", b, (Index[]){index_of(in)})));
	image_store(l, nest, "dx", x, affine_var(image), in, window_back_input(&c->w, 0, &side[0]),
	    window_back_input(&c->w, 1, &side[1]), e);
}

static void dx_lower(Lower *l, const Node *n)
{
	Conv c = by_data(n);
	conv_back(l, n, &c, n->in[0], n->in[1], NULL, n->out[0]);
}

/* A point of the forward loop nest: image, output map and its group's input map, pixel, tap. */
typedef struct {
	int64_t image, o, i, oh, ow, kh, kw;
} Point;

/* The oracle scatters, where the nests gather. */
void conv_each_product(const Conv *c,
    void (*at)(const double *const *, double *, int64_t x, int64_t w, int64_t y),
    const double *const *in, double *out)
{
	int64_t per_i = c->ic / c->groups, per_o = c->oc / c->groups;
	int64_t KH = c->w.kernel[0], KW = c->w.kernel[1], OH = c->w.out[0], OW = c->w.out[1];
	int64_t total = c->batch * c->oc * per_i * OH * OW * KH * KW;
	for (int64_t k = 0; k < total; k++) {
		int64_t rest = k;
		Point p;
		p.kw = rest % KW, rest /= KW;
		p.kh = rest % KH, rest /= KH;
		p.ow = rest % OW, rest /= OW;
		p.oh = rest % OH, rest /= OH;
		p.i = rest % per_i, rest /= per_i;
		p.o = rest % c->oc, p.image = rest / c->oc;
		int64_t ih = p.oh * c->w.stride[0] + p.kh * c->w.dilation[0] - c->w.pad[0];
		int64_t iw = p.ow * c->w.stride[1] + p.kw * c->w.dilation[1] - c->w.pad[1];
		if (ih < 0 || ih >= c->w.in[0] || iw < 0 || iw >= c->w.in[1]) continue;
		if (!conv_linked(c->links, p.o, p.i)) continue;
		int64_t channel = p.o / per_o * per_i + p.i;
		int64_t tap = p.kh * KW + p.kw;
		if (c->w.flip) tap = KH * KW - 1 - tap;
		at(in, out, ((p.image * c->ic + channel) * c->w.in[0] + ih) * c->w.in[1] + iw,
		    (p.o * per_i + p.i) * KH * KW + tap, ((p.image * c->oc + p.o) * OH + p.oh) * OW + p.ow);
	}
}

static void clear(const Value *v, double *at)
{
	for (int64_t i = 0; i < shape_count(v->shape); i++) at[i] = 0;
}

static void dx_product(const double *const *in, double *dx, int64_t x, int64_t w, int64_t y)
{
	dx[x] += in[1][w] * in[0][y];
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	Conv c = by_data(n);
	clear(n->out[0], out[0]);
	conv_each_product(&c, dx_product, in, out[0]);
}

static Cost dx_cost(const Node *n)
{
	Conv c = by_data(n);
	return (Cost){.macs = conv_macs(&c)};
}

static const Attr dx_attrs[] = {
    ATTR_SIZE,
    ATTR_STRIDE,
    ATTR_PAD,
    ATTR_DILATION,
    ATTR_FLIP,
    ATTR_GROUPS,
    ATTR_LINK_TABLE,
    ATTR_END,
};

const OpDesc op_conv_dx = {
    .name = "conv_dx",
    .doc = "Gradient of a convolution by its input.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = dx_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .cost = dx_cost,
    .operands = "dy w",
    .samples = "dy=1x6x1x1 w=6x1x5x5 | size=5\n"
               "dy=2x17x9x7 w=17x3x3x3 | size=9x7 pad=1\n"
               "dy=1x20x6x5 w=20x3x7x7 | size=11x10 stride=2 pad=3\n"
               "dy=2x16x5x6 w=16x17x1x1 | size=5x6\n"
               "dy=1x32x4x4 w=32x20x1x1 | size=8x7 stride=2\n"
               "dy=1x17x4x4 w=17x16x3x3 | size=8x7 stride=2 pad=1\n"
               "dy=2x16x4x5 w=16x32x3x3 | size=4x5 pad=1\n"
               "dy=1x4x9x8 w=4x6x3x3 | size=9x8 pad=2 dilation=2\n"
               "dy=1x5x4x4 w=5x3x3x3 | size=9x9 stride=2 pad=1 dilation=2\n"
               "dy=1x2x3x2 w=2x3x2x2 | size=10x8 stride=3x4 dilation=3x2\n"
               "dy=2x8x7x4 w=8x3x3x2 | size=7x5 pad=1x0 groups=2\n"
               "dy=1x17x3x3 w=17x1x3x3 | size=6 stride=2 pad=1 groups=17\n"
               "dy=2x16x2x3 w=16x17x4x4 | size=9x12 stride=4\n"
               "dy=1x5x3x3 w=5x16x2x1 | size=11x9 stride=4x3\n"
               "dy=1x3x2x2 w=3x4x2x2 | size=9x8 stride=4 dilation=2\n"
               "dy=1x4x1x2 w=4x5x24x24 | size=25x48 stride=24\n"
               "dy=1x6x2x2 w=6x5x3x3 | size=68 stride=64\n"
               "dy=1x16x2x2 w=16x6x14x13 | size=26x25 stride=12x11 pad=1\n"
               "dy=1x6x2x3 w=6x3x3x3 | size=9x11 stride=4 groups=2\n"
               "dy=2x17x3x5 w=17x3x4x3 | size=8x7 stride=3x2 pad=0+2x3+1\n"
               "dy=1x16x7x9 w=16x16x4x4 | size=7x9 pad=same\n"
               "dy=1x20x6x3 w=20x5x3x2 | size=11x8 stride=2x3 pad=same dilation=2x1\n"
               "dy=2x6x5x11 w=6x4x3x4 | size=3x5 pad=full dilation=1x2\n"
               "dy=2x17x5x7 w=17x16x3x2 | size=6x5 pad=1+0x2+1 flip=true\n"
               "dy=1x4x4x2 w=4x3x2x3 | size=9x8 stride=2 dilation=2 groups=2 flip=true\n"
               "dy=2x5x2x3 w=5x16x3x2 | size=9x10 stride=4x3 flip=true\n"
               "dy=2x16x10 w=16x3x5 | size=20 stride=2 pad=2\n"
               "dy=1x4x8 w=4x17x3 | size=9 pad=1+2 dilation=2 flip=true\n"
               "dy=2x16x5 w=16x6x3 | size=17 stride=3\n"
               "dy=2x3x3x3 w=3x4x3x3 | size=7 stride=2 links=0,1/1,2,3/0,3\n"
               "dy=1x6x4x4 w=6x3x5x5 | size=6 pad=1 links=0/1/2/0,1/1,2/0,1,2",
};

/* --- by weights ---------------------------------------------------------------------------- */

static Conv by_weights(const Node *n)
{
	const Shape *x = &n->in[0]->shape, *dy = &n->in[1]->shape;
	Conv c = conv_of(n, x->dim[0], x->dim[1], dy->dim[1], plane_of(n->in[0]).side, NULL);
	for (int s = 0; s < 2; s++) c.w.out[s] = plane_of(n->in[1]).side[s];
	return c;
}

static bool dw_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n) || !both_images(g, n)) return false;
	Conv c = by_weights(n);
	if (!is_output(g, n, &c, n->in[1]->shape)) return false;
	return infer_out(g, n, 0, conv_weight_shape(n->in[0], &c), TYPE_REAL);
}

static void dw_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Conv c = by_weights(n);
	Nest *nest = lower_nest(l, n, "conv_dw");
	int g = conv_group_dim(nest, &c);
	int oc = nest_dim(nest, "oc", c.oc / c.groups, false);
	int ic = nest_dim(nest, "ic", c.ic / c.groups, false);
	int kh = nest_dim(nest, "kh", c.w.kernel[0], false);
	int kw = nest_dim(nest, "kw", c.w.kernel[1], false);
	int image = nest_dim(nest, "n", c.batch, true);
	int oh = nest_dim(nest, "oh", c.w.out[0], true), ow = nest_dim(nest, "ow", c.w.out[1], true);
	Affine out = conv_channel(g, c.oc / c.groups, oc), in = conv_channel(g, c.ic / c.groups, ic);
	Affine ih = window_tap(&c.w, 0, oh, kh), iw = window_tap(&c.w, 1, ow, kw);

	Expr *x = e_load(a, image_load(l, nest, "x", n->in[0], index_var(image), index_of(in),
	                        index_of(ih), index_of(iw)));
	Expr *dy = e_load(a, image_load(l, nest, "dy", n->in[1], index_var(image), index_of(out),
	                         index_var(oh), index_var(ow)));
	window_guard_tap(nest, &c.w, 0, ih);
	window_guard_tap(nest, &c.w, 1, iw);
	conv_guard_links(l, nest, &c, oc, ic);
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e_op(a, E_MUL, dy, x)));
	image_store(
	    l, nest, "dw", n->out[0], out, affine_var(ic), affine_var(kh), affine_var(kw), e_acc(a, 0));
}

static void dw_product(const double *const *in, double *dw, int64_t x, int64_t w, int64_t y)
{
	dw[w] += in[0][x] * in[1][y];
}

static void dw_reference(const Node *n, const double *const *in, double *const *out)
{
	Conv c = by_weights(n);
	clear(n->out[0], out[0]);
	conv_each_product(&c, dw_product, in, out[0]);
}

static Cost dw_cost(const Node *n)
{
	Conv c = by_weights(n);
	return (Cost){.macs = conv_macs(&c)};
}

static const Attr dw_attrs[] = {
    ATTR_KERNEL,
    ATTR_STRIDE,
    ATTR_PAD,
    ATTR_DILATION,
    ATTR_FLIP,
    ATTR_GROUPS,
    ATTR_LINK_TABLE,
    ATTR_END,
};

const OpDesc op_conv_dw = {
    .name = "conv_dw",
    .doc = "Gradient of a convolution by its weight.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = dw_attrs,
    .infer = dw_infer,
    .lower = dw_lower,
    .reference = dw_reference,
    .cost = dw_cost,
    .operands = "x dy",
    .samples = "x=1x1x5x5 dy=1x6x1x1 | kernel=5\n"
               "x=2x3x9x7 dy=2x17x9x7 | kernel=3 pad=1\n"
               "x=1x3x11x10 dy=1x20x6x5 | kernel=7 stride=2 pad=3\n"
               "x=2x17x5x6 dy=2x16x5x6 | kernel=1\n"
               "x=1x20x7x7 dy=1x32x4x4 | kernel=1 stride=2\n"
               "x=1x16x8x7 dy=1x17x4x4 | kernel=3 stride=2 pad=1\n"
               "x=2x32x4x5 dy=2x16x4x5 | kernel=3 pad=1\n"
               "x=1x6x9x8 dy=1x4x9x8 | kernel=3 pad=2 dilation=2\n"
               "x=1x3x9x9 dy=1x5x4x4 | kernel=3 stride=2 pad=1 dilation=2\n"
               "x=2x6x7x5 dy=2x8x7x4 | kernel=3x2 pad=1x0 groups=2\n"
               "x=1x17x6x6 dy=1x17x3x3 | kernel=3 stride=2 pad=1 groups=17\n"
               "x=2x3x8x7 dy=2x17x3x5 | kernel=4x3 stride=3x2 pad=0+2x3+1\n"
               "x=1x16x7x9 dy=1x16x7x9 | kernel=4 pad=same\n"
               "x=1x5x11x8 dy=1x20x6x3 | kernel=3x2 stride=2x3 pad=same dilation=2x1\n"
               "x=2x4x3x5 dy=2x6x5x11 | kernel=3x4 pad=full dilation=1x2\n"
               "x=2x16x6x5 dy=2x17x5x7 | kernel=3x2 pad=1+0x2+1 flip=true\n"
               "x=2x3x20 dy=2x16x10 | kernel=5 stride=2 pad=2\n"
               "x=1x17x9 dy=1x4x8 | kernel=3 pad=1+2 dilation=2 flip=true\n"
               "x=2x4x7x7 dy=2x3x3x3 | kernel=3 stride=2 links=0,1/1,2,3/0,3\n"
               "x=1x3x6x6 dy=1x6x4x4 | kernel=5 pad=1 links=0/1/2/0,1/1,2/0,1,2\n"
               "x=4x16x32x28 dy=4x16x32x28 | kernel=1\n"
               "x=2x8x48x50 dy=2x8x48x50 | kernel=3 pad=1\n"
               "x=1x64x32x33 dy=1x8x32x33 | kernel=1\n"
               "x=4x1x54x52 dy=4x6x50x48 | kernel=5\n"
               "x=2x16x48x50 dy=2x3x48x50 | kernel=3 pad=1\n"
               "x=2x16x48x50 dy=2x10x48x50 | kernel=3 pad=1\n"
               "x=4x4x50x48 dy=4x6x48x46 | kernel=3 links=0,1/1,2,3/0,3/2/0,1,2/3",
};

/* --- by bias ------------------------------------------------------------------------------- */

static bool sum_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape x = n->in[0]->shape;
	if (x.rank < 2)
		return infer_error(g, n, "input is %s, a sum by channels expects batch x channels",
		    shape_text(g->arena, x));
	return infer_out(g, n, 0, shape_of(1, x.dim[1]), TYPE_REAL);
}

static void sum_lower(Lower *l, const Node *n)
{
	static const char *const names[MAX_RANK] = {"n", "c", "h", "w"};
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, "channel_sum");
	Index at[MAX_RANK];
	int c = nest_dim(nest, "c", x->dim[1], false);
	for (int d = 0; d < x->rank; d++)
		at[d] = index_var(d == 1 ? c : nest_dim(nest, names[d], x->dim[d], true));
	Expr *load = e_load(a, lower_load(l, nest, "x", n->in[0], at));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), load));
	lower_store(l, nest, "y", n->out[0], (Affine[]){affine_var(c)}, e_acc(a, 0));
}

static void sum_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[0]->shape;
	int64_t C = x->dim[1], plane = shape_count(*x) / (x->dim[0] * C);
	clear(n->out[0], out[0]);
	for (int64_t i = 0; i < shape_count(*x); i++) out[0][i / plane % C] += in[0][i];
}

const OpDesc op_channel_sum = {
    .name = "channel_sum",
    .doc = "Sum over everything but the channels: the gradient of a bias.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = 1,
    .infer = sum_infer,
    .lower = sum_lower,
    .reference = sum_reference,
    .operands = "x",
    .samples = "x=2x6x5x3\nx=1x17x4x4\nx=3x32x1x1\nx=2x10\nx=5x17\nx=1x1x7x9",
};
