/* conv: y[n,oc,oh,ow] = b[oc] + sum over ic, kh, kw of w[oc,ic,kh,kw] x[n,ic,ih,iw],
 *       ih = oh*stride + kh*dilation - pad, terms outside x left out. No kernel is turned: this is
 * the cross-correlation that the field calls convolution. With `flip` they are, by 180 degrees:
 *       ih = oh*stride + (KH - 1 - kh)*dilation - pad, convolution as mathematics has it.
 * Lines have one side: y[n,oc,ow] from x[n,ic,iw] and w[oc,ic,kw].
 *
 * With groups, oc and ic run inside a group and the weight is [oc, ic/groups, kh, kw]. With a link
 * table a term exists where the table has a one (LeCun et al. 1998, C3); the weight keeps its full
 * shape and the numbers without a link are never read.
 *
 * Gradients (conv_grad.c), with dy given, i the input that tap k of output o looks at:
 *   dx[n,ic,i]  = sum over oc and all o, k that look at i of w[oc,ic,k] dy[n,oc,o]
 *   dw[oc,ic,k] = sum over n, o of dy[n,oc,o] x[n,ic,i]
 *   db[oc]      = sum over n, o of dy[n,oc,o]: channel_sum */
#include "conv.h"
#include "scale_rows.h"
#include "weight_init.h"

Conv conv_of(
    const Node *n, int64_t batch, int64_t ic, int64_t oc, const int64_t *in, const int64_t *kernel)
{
	return (Conv){
	    .w = window_of(n, in, kernel),
	    .batch = batch,
	    .ic = ic,
	    .oc = oc,
	    .groups = attr_int(n, "groups"),
	    .links = attr_exists(n->op, "links") ? attr_links(n, "links") : NULL,
	};
}

bool conv_check(Graph *g, Node *n, Conv *c)
{
	if (c->ic % c->groups)
		return infer_error(g, n, "input has %lld channels, not divisible into %lld groups",
		    (long long)c->ic, (long long)c->groups);
	if (c->oc % c->groups)
		return infer_error(g, n, "output has %lld channels, not divisible into %lld groups",
		    (long long)c->oc, (long long)c->groups);
	if (c->links && c->groups > 1)
		return infer_error(g, n, "links and %lld groups exclude each other", (long long)c->groups);
	if (c->links && (c->links->rows != c->oc || c->links->cols > c->ic || c->ic > SIZE_LIMIT))
		return infer_error(g, n,
		    "the link table is for %d outputs of %d inputs, the layer has %lld outputs of %lld "
		    "inputs",
		    c->links->rows, c->links->cols, (long long)c->oc, (long long)c->ic);
	return window_fit(g, n, &c->w, false);
}

bool conv_linked(const LinkTable *links, int64_t o, int64_t i)
{
	if (!links) return true;
	return i < links->cols && links->at[o * links->cols + i];
}

void conv_guard_links(Lower *l, Nest *nest, const Conv *c, int oc, int ic)
{
	if (!c->links) return;
	size_t rows = (size_t)c->oc, cols = (size_t)c->ic;
	uint8_t *mask =
	    arena_alloc(lower_arena(l), rows * cols, 1); /* fits: the weight has more elements */
	for (size_t o = 0; o < rows; o++)
		for (size_t i = 0; i < cols; i++)
			mask[o * cols + i] = conv_linked(c->links, (int64_t)o, (int64_t)i);
	nest_guard_mask(nest, affine_var(oc), affine_var(ic), mask, (int)cols);
}

int64_t conv_weights(const Conv *c)
{
	int64_t maps = c->links ? c->links->links : sat_mul(c->oc, c->ic / c->groups);
	return sat_mul(maps, c->w.kernel[0] * c->w.kernel[1]);
}

int64_t conv_macs(const Conv *c) { return sat_mul(conv_weights(c), c->w.out[0] * c->w.out[1]); }

int conv_group_dim(Nest *nest, const Conv *c)
{
	return c->groups > 1 ? nest_dim(nest, "g", c->groups, false) : -1;
}

Affine conv_channel(int g, int64_t per_group, int dim)
{
	if (g < 0) return affine_var(dim);
	return affine_add(affine_scale(affine_var(g), per_group), affine_var(dim));
}

/* --- the descriptor ------------------------------------------------------------------------ */

static Conv forward_of(const Node *n)
{
	const Shape *x = &n->in[0]->shape;
	return conv_of(n, x->dim[0], x->dim[1], attr_int(n, "out"), plane_of(n->in[0]).side, NULL);
}

/* As forward_of, for a node whose result is inferred. */
static Conv fitted(const Node *n)
{
	Conv c = forward_of(n);
	for (int s = 0; s < 2; s++) c.w.out[s] = plane_of(n->out[0]).side[s];
	return c;
}

Shape conv_weight_shape(const Value *x, const Conv *c)
{
	return image_shape(x, c->oc, c->ic / c->groups, c->w.kernel);
}

static bool is_image(Graph *g, Node *n) { return image_check(g, n, 0, "a convolution"); }

/* Links an output has, on average: what the fan-in rules count. */
static double links_per_output(const Conv *c)
{
	if (c->links) return (double)c->links->links / (double)c->oc;
	return (double)(c->ic / c->groups);
}

static int conv_states(Graph *g, Node *n, StateSpec *spec)
{
	if (!infer_begin(g, n) || !is_image(g, n)) return -1;
	Conv c = forward_of(n);
	if (!conv_check(g, n, &c)) return -1;
	Shape weight = conv_weight_shape(n->in[0], &c);
	if (!infer_size(g, n, "the weight", weight)) return -1;
	double taps = (double)c.w.kernel[0] * (double)c.w.kernel[1];
	double fan_in = links_per_output(&c) * taps, fan_out = (double)c.oc * taps;
	spec[0] = (StateSpec){"weight", STATE_WEIGHT, weight, weight_init(n, fan_in, fan_out)};
	if (!attr_bool(n, "bias")) return 1;
	spec[1] = (StateSpec){"bias", STATE_WEIGHT, shape_of(1, c.oc), bias_init(n, fan_in)};
	return 2;
}

bool conv_weight_check(Graph *g, Node *n, Shape weight, int64_t channels)
{
	if (!shape_same(n->in[1]->shape, weight))
		return infer_error(g, n, "weight is %s, expected %s", shape_text(g->arena, n->in[1]->shape),
		    shape_text(g->arena, weight));
	if (attr_bool(n, "bias") != (n->nin == 3))
		return infer_error(
		    g, n, n->nin == 3 ? "bias is given, but bias = false" : "bias is missing");
	if (n->nin == 3 && !shape_same(n->in[2]->shape, shape_of(1, channels)))
		return infer_error(g, n, "bias is %s, expected %lld", shape_text(g->arena, n->in[2]->shape),
		    (long long)channels);
	return true;
}

static bool conv_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n) || !is_image(g, n)) return false;
	Conv c = forward_of(n);
	if (!conv_check(g, n, &c)) return false;
	Shape want = conv_weight_shape(n->in[0], &c), have = n->in[1]->shape;
	if (have.rank == want.rank && have.dim[1] != want.dim[1])
		return infer_error(g, n, "input has %lld channels, weight expects %lld", (long long)c.ic,
		    (long long)(have.dim[1] * c.groups));
	if (!conv_weight_check(g, n, want, c.oc)) return false;
	return infer_out(g, n, 0, image_shape(n->in[0], c.batch, c.oc, c.w.out), TYPE_REAL);
}

void conv_forward(Lower *l, const Node *n, const Conv *c, const Value *x, const Value *w,
    const Value *b, const Value *y)
{
	Arena *a = lower_arena(l);
	Nest *nest = lower_nest(l, n, "conv");
	int image = nest_dim(nest, "n", c->batch, false), g = conv_group_dim(nest, c);
	int oc = nest_dim(nest, "oc", c->oc / c->groups, false);
	int oh = nest_dim(nest, "oh", c->w.out[0], false);
	int ow = nest_dim(nest, "ow", c->w.out[1], false);
	int ic = nest_dim(nest, "ic", c->ic / c->groups, true);
	int kh = nest_dim(nest, "kh", c->w.kernel[0], true);
	int kw = nest_dim(nest, "kw", c->w.kernel[1], true);
	Affine out = conv_channel(g, c->oc / c->groups, oc);
	Index in = index_of(conv_channel(g, c->ic / c->groups, ic));
	Affine ih = window_tap(&c->w, 0, oh, kh), iw = window_tap(&c->w, 1, ow, kw);

	Expr *tap =
	    e_load(a, image_load(l, nest, "x", x, index_var(image), in, index_of(ih), index_of(iw)));
	Expr *weight = e_load(
	    a, image_load(l, nest, "w", w, index_of(out), index_var(ic), index_var(kh), index_var(kw)));
	window_guard_tap(nest, &c->w, 0, ih);
	window_guard_tap(nest, &c->w, 1, iw);
	conv_guard_links(l, nest, c, oc, ic);
	Expr *product = e_op(a, E_MUL, weight, tap);
	Expr *e = e_acc(a, nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), product)));
	if (b) {
		Index at_b[] = {index_of(out)};
		e = e_op(a, E_ADD, e, e_load(a, lower_load(l, nest, "b", b, at_b)));
	}
	image_store(l, nest, "y", y, affine_var(image), out, affine_var(oh), affine_var(ow), e);
}

static void conv_lower(Lower *l, const Node *n)
{
	Conv c = fitted(n);
	conv_forward(l, n, &c, n->in[0], n->in[1], n->nin == 3 ? n->in[2] : NULL, n->out[0]);
}

static void conv_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy) return;
	if (grad_wanted(grad, n, 0)) {
		AttrValue *attr = attrs_like(g->arena, &op_conv_dx, n);
		attr_set_plane(&op_conv_dx, attr, "size", n->in[0]);
		grad_add(grad, n, 0, graph_op(g, &op_conv_dx, (Value *[]){dy, n->in[1]}, 2, attr)->out[0]);
	}
	if (grad_wanted(grad, n, 1)) {
		AttrValue *attr = attrs_like(g->arena, &op_conv_dw, n);
		grad_add(grad, n, 1, graph_op(g, &op_conv_dw, (Value *[]){n->in[0], dy}, 2, attr)->out[0]);
	}
	if (n->nin == 3 && grad_wanted(grad, n, 2))
		grad_add(grad, n, 2, graph_op(g, &op_channel_sum, &dy, 1, NULL)->out[0]);
}

/* One output from its window. x: one image, w: the output map's kernels. */
static double reference_point(
    const Conv *c, const double *x, const double *w, int64_t o, int64_t oh, int64_t ow)
{
	int64_t per = c->ic / c->groups, first = o / (c->oc / c->groups) * per;
	double sum = 0;
	for (int64_t i = 0; i < per; i++) {
		if (!conv_linked(c->links, o, i)) continue;
		for (int64_t kh = 0; kh < c->w.kernel[0]; kh++)
			for (int64_t kw = 0; kw < c->w.kernel[1]; kw++) {
				int64_t ih = oh * c->w.stride[0] + kh * c->w.dilation[0] - c->w.pad[0];
				int64_t iw = ow * c->w.stride[1] + kw * c->w.dilation[1] - c->w.pad[1];
				if (ih < 0 || ih >= c->w.in[0] || iw < 0 || iw >= c->w.in[1]) continue;
				int64_t tap = (i * c->w.kernel[0] + kh) * c->w.kernel[1] + kw;
				int64_t last = (2 * i + 1) * c->w.kernel[0] * c->w.kernel[1] - 1;
				double weight = w[c->w.flip ? last - tap : tap];
				sum += weight * x[((first + i) * c->w.in[0] + ih) * c->w.in[1] + iw];
			}
	}
	return sum;
}

static void conv_reference(const Node *n, const double *const *in, double *const *out)
{
	Conv c = fitted(n);
	int64_t image = c.ic * c.w.in[0] * c.w.in[1];
	int64_t kernels = c.ic / c.groups * c.w.kernel[0] * c.w.kernel[1];
	double *y = out[0];
	for (int64_t b = 0; b < c.batch; b++)
		for (int64_t o = 0; o < c.oc; o++)
			for (int64_t oh = 0; oh < c.w.out[0]; oh++)
				for (int64_t ow = 0; ow < c.w.out[1]; ow++) {
					double sum =
					    reference_point(&c, in[0] + b * image, in[1] + o * kernels, o, oh, ow);
					*y++ = n->nin == 3 ? sum + in[2][o] : sum;
				}
}

/* The paper's C1: (25 + 1) weights of 6 maps, each used 28x28 times: 122,304 connections. */
static Cost conv_cost(const Node *n)
{
	Conv c = fitted(n);
	int64_t biases = n->nin == 3 ? c.oc : 0, macs = conv_macs(&c);
	return (Cost){
	    .connections = sat_add(macs, sat_mul(biases, c.w.out[0] * c.w.out[1])),
	    .macs = macs,
	    .parameters = sat_add(conv_weights(&c), biases),
	};
}

static const Attr conv_attrs[] = {
    ATTR_CONV_OUT,
    ATTR_KERNEL,
    ATTR_STRIDE,
    ATTR_PAD,
    ATTR_DILATION,
    ATTR_FLIP,
    ATTR_GROUPS,
    ATTR_LINK_TABLE,
    ATTR_BIAS,
    ATTR_INIT,
    ATTR_END,
};

const OpDesc op_conv = {
    .name = "conv",
    .doc = "Convolution of images or lines with learned kernels, and a bias for each output map.",
    .flags = OP_METHOD | OP_STATEFUL,
    .min_in = 2,
    .max_in = 3,
    .states = 2,
    .attr = conv_attrs,
    .state_specs = conv_states,
    .infer = conv_infer,
    .lower = conv_lower,
    .gradient = conv_gradient,
    .reference = conv_reference,
    .cost = conv_cost,
    .absorb = scale_rows_absorb,
    .operands = "x w b",
    .samples = "x=1x1x5x5 w=6x1x5x5 b=6 | out=6 kernel=5\n"
               "x=2x3x9x7 w=17x3x3x3 b=17 | out=17 kernel=3 pad=1\n"
               "x=1x3x11x10 w=20x3x7x7 | out=20 kernel=7 stride=2 pad=3 bias=false\n"
               "x=2x17x5x6 w=16x17x1x1 b=16 | out=16 kernel=1\n"
               "x=1x20x7x7 w=32x20x1x1 | out=32 kernel=1 stride=2 bias=false\n"
               "x=1x16x8x7 w=17x16x3x3 b=17 | out=17 kernel=3 stride=2 pad=1\n"
               "x=2x32x4x5 w=16x32x3x3 b=16 | out=16 kernel=3 pad=1\n"
               "x=1x6x9x8 w=4x6x3x3 b=4 | out=4 kernel=3 pad=2 dilation=2\n"
               "x=1x3x9x9 w=5x3x3x3 b=5 | out=5 kernel=3 stride=2 pad=1 dilation=2\n"
               "x=2x6x7x5 w=8x3x3x2 b=8 | out=8 kernel=3x2 pad=1x0 groups=2\n"
               "x=1x17x6x6 w=17x1x3x3 b=17 | out=17 kernel=3 stride=2 pad=1 groups=17\n"
               "x=1x5x4x13 w=3x5x1x7 b=3 | out=3 kernel=1x7 stride=1x3 pad=0x3\n"
               "x=1x5x9x12 w=4x5x4x4 b=4 | out=4 kernel=4 stride=4\n"
               "x=1x17x11x9 w=5x17x2x1 b=5 | out=5 kernel=2x1 stride=4x3\n"
               "x=1x5x24x26 w=2x5x24x24 b=2 | out=2 kernel=24 stride=24\n"
               "x=1x3x26x25 w=5x3x14x13 b=5 | out=5 kernel=14x13 stride=12x11 pad=1\n"
               "x=2x3x8x7 w=17x3x4x3 b=17 | out=17 kernel=4x3 stride=3x2 pad=0+2x3+1\n"
               "x=1x16x7x9 w=16x16x4x4 b=16 | out=16 kernel=4 pad=same\n"
               "x=1x5x11x8 w=20x5x3x2 b=20 | out=20 kernel=3x2 stride=2x3 pad=same dilation=2x1\n"
               "x=2x4x3x5 w=6x4x3x4 b=6 | out=6 kernel=3x4 pad=full dilation=1x2\n"
               "x=2x16x6x5 w=17x16x3x2 b=17 | out=17 kernel=3x2 pad=1+0x2+1 flip=true\n"
               "x=1x6x9x8 w=4x3x2x3 b=4 | out=4 kernel=2x3 stride=2 dilation=2 groups=2 flip=true\n"
               "x=2x3x20 w=16x3x5 b=16 | out=16 kernel=5 stride=2 pad=2\n"
               "x=1x17x9 w=4x17x3 b=4 | out=4 kernel=3 pad=1+2 dilation=2 flip=true\n"
               "x=2x32x13 w=32x1x4 | out=32 kernel=4 pad=same groups=32 bias=false\n"
               "x=2x4x7x7 w=3x4x3x3 b=3 | out=3 kernel=3 stride=2 links=0,1/1,2,3/0,3\n"
               "x=1x3x6x6 w=6x3x5x5 | out=6 kernel=5 pad=1 links=0/1/2/0,1/1,2/0,1,2 bias=false",
};
