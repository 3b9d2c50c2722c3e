/* conv_transpose: the transposed convolution, also called fractionally strided: a convolution of x
 * with stride - 1 zeros between its elements, or seen from the other side, the gradient by data of
 * the convolution that goes from y to x (Zeiler et al. 2010; Dumoulin, Visin 2016, section 4).
 *
 *   y[n,oc,o*stride + k*dilation - pad] sums w[ic,oc,k] x[n,ic,o] over ic, o and k, plus b[oc]
 *   out = (in - 1)*stride - pad before - pad behind + (kernel - 1)*dilation + 1 + output_pad
 *
 * The weight is [ic, oc/groups, kh, kw], as PyTorch has it. A convolution with a stride gives
 * several sizes of input the same output; output_pad says which of them is meant. With pad same
 * the result is the input times the stride.
 *
 * So with the convolution C from y to x: y = C's gradient by data of x, plus the bias; dx = C(dy);
 * dw = C's gradient by weight, with dy for its input and x for its output's gradient. */
#include "conv.h"
#include "scale_rows.h"
#include "weight_init.h"

/* The convolution from y to x. Its ic are y's channels, its oc are x's. */
static Conv turned(const Node *n)
{
	static const int64_t none[2] = {0, 0};
	const Shape *x = &n->in[0]->shape;
	Conv c = conv_of(n, x->dim[0], attr_int(n, "out"), x->dim[1], none, NULL);
	for (int s = 0; s < 2; s++) c.w.out[s] = plane_of(n->in[0]).side[s];
	return c;
}

/* Sets what y's size decides: the size itself, and the pads that depend on it. */
static void fit(const Node *n, Conv *c)
{
	const int64_t *more = attr_pair(n, "output_pad");
	bool same = attr_pads(n, "pad")->mode == PAD_SAME;
	int64_t size[2];
	for (int s = 0; s < 2; s++) {
		bool flat = s == 0 && is_line(n->in[0]);
		int64_t stride = c->w.stride[s], pads = c->w.pad[s] + c->w.after[s];
		size[s] = (c->w.out[s] - 1) * stride - pads + window_span(&c->w, s) + (flat ? 0 : more[s]);
		if (same) size[s] = c->w.out[s] * stride;
	}
	Window w = window_of(n, size, NULL);
	for (int s = 0; s < 2; s++) w.out[s] = c->w.out[s];
	c->w = w;
}

static bool begin(Graph *g, Node *n, Conv *c)
{
	if (!infer_begin(g, n) || !image_check(g, n, 0, "a convolution")) return false;
	*c = turned(n);
	fit(n, c);
	if (c->oc % c->groups || c->ic % c->groups)
		return infer_error(g, n, "%lld input and %lld output channels do not fall into %lld groups",
		    (long long)c->oc, (long long)c->ic, (long long)c->groups);
	const int64_t *more = attr_pair(n, "output_pad"), *in = c->w.in;
	bool same = attr_pads(n, "pad")->mode == PAD_SAME;
	for (int s = is_line(n->in[0]); s < 2; s++) {
		if (more[s] >= c->w.stride[s])
			return infer_error(g, n, "output_pad is %lldx%lld, must be smaller than the stride",
			    (long long)more[0], (long long)more[1]);
		if (same && more[s])
			return infer_error(g, n, "pad = 'same' has its size, output_pad is one too many");
	}
	if (in[0] < 1 || in[1] < 1)
		return infer_error(g, n, "the padding leaves nothing: the result would be %lldx%lld",
		    (long long)in[0], (long long)in[1]);
	return true;
}

static Conv fitted(const Node *n)
{
	Conv c = turned(n);
	fit(n, &c);
	return c;
}

/* The fans are PyTorch's, which takes the weight's second size for inputs. */
static int transpose_states(Graph *g, Node *n, StateSpec *spec)
{
	Conv c;
	if (!begin(g, n, &c)) return -1;
	Shape weight = conv_weight_shape(n->in[0], &c);
	if (!infer_size(g, n, "the weight", weight)) return -1;
	double taps = (double)c.w.kernel[0] * (double)c.w.kernel[1];
	double fan_in = (double)(c.ic / c.groups) * taps, fan_out = (double)c.oc * taps;
	spec[0] = (StateSpec){"weight", STATE_WEIGHT, weight, weight_init(n, fan_in, fan_out)};
	if (!attr_bool(n, "bias")) return 1;
	spec[1] = (StateSpec){"bias", STATE_WEIGHT, shape_of(1, c.ic), bias_init(n, fan_in)};
	return 2;
}

static bool transpose_infer(Graph *g, Node *n)
{
	Conv c;
	if (!begin(g, n, &c)) return false;
	if (!conv_weight_check(g, n, conv_weight_shape(n->in[0], &c), c.ic)) return false;
	return infer_out(g, n, 0, image_shape(n->in[0], c.batch, c.ic, c.w.in), TYPE_REAL);
}

static void transpose_lower(Lower *l, const Node *n)
{
	Conv c = fitted(n);
	conv_back(l, n, &c, n->in[0], n->in[1], n->nin == 3 ? n->in[2] : NULL, n->out[0]);
}

/* C finds x's size again: output_pad is smaller than the stride, whose rest is rounded away. */
static void transpose_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy) return;
	if (grad_wanted(grad, n, 0)) {
		AttrValue *attr = attrs_like(g->arena, &op_conv, n);
		attr_set_int(&op_conv, attr, "out", n->in[0]->shape.dim[1]);
		attr_set_bool(&op_conv, attr, "bias", false);
		grad_add(grad, n, 0, graph_op(g, &op_conv, (Value *[]){dy, n->in[1]}, 2, attr)->out[0]);
	}
	if (grad_wanted(grad, n, 1)) {
		AttrValue *attr = attrs_like(g->arena, &op_conv_dw, n);
		grad_add(grad, n, 1, graph_op(g, &op_conv_dw, (Value *[]){dy, n->in[0]}, 2, attr)->out[0]);
	}
	if (n->nin == 3 && grad_wanted(grad, n, 2))
		grad_add(grad, n, 2, graph_op(g, &op_channel_sum, &dy, 1, NULL)->out[0]);
}

/* Channels of the result are the weight's second dim: it is scaled by a map, which broadcasts along
 * that. Channels of several groups are no dim of the weight's own. */
static Value *transpose_absorb(Graph *g, Node *n, Value *scale, Value *shift)
{
	if (attr_int(n, "groups") > 1) return NULL;
	Value *w = graph_op(g, &op_mul, (Value *[]){n->in[1], scale}, 2, NULL)->out[0];
	return absorb_with(g, n, w, scale, shift);
}

static void transpose_product(const double *const *in, double *y, int64_t x, int64_t w, int64_t o)
{
	y[x] += in[1][w] * in[0][o];
}

static void transpose_reference(const Node *n, const double *const *in, double *const *out)
{
	Conv c = fitted(n);
	int64_t pixels = c.w.in[0] * c.w.in[1];
	for (int64_t i = 0; i < shape_count(n->out[0]->shape); i++)
		out[0][i] = n->nin == 3 ? in[2][i / pixels % c.ic] : 0;
	conv_each_product(&c, transpose_product, in, out[0]);
}

static Cost transpose_cost(const Node *n)
{
	Conv c = fitted(n);
	int64_t biases = n->nin == 3 ? c.ic : 0, macs = conv_macs(&c);
	return (Cost){
	    .connections = sat_add(macs, sat_mul(biases, sat_mul(c.w.in[0], c.w.in[1]))),
	    .macs = macs,
	    .parameters = sat_add(conv_weights(&c), biases),
	};
}

static const Attr transpose_attrs[] = {
    ATTR_CONV_OUT,
    ATTR_KERNEL,
    ATTR_STRIDE,
    ATTR_PAD,
    {.name = "output_pad",
        .type = ATTR_PAIR,
        .min = 0,
        .max = SIDE_LIMIT,
        .doc = "rows and columns that the result has more, below and to the right"},
    ATTR_DILATION,
    ATTR_FLIP,
    ATTR_GROUPS,
    ATTR_BIAS,
    ATTR_INIT,
    ATTR_END,
};

const OpDesc op_conv_transpose = {
    .name = "conv_transpose",
    .doc = "Transposed (fractionally strided) convolution: the way back of a convolution's sizes.",
    .flags = OP_METHOD | OP_STATEFUL,
    .min_in = 2,
    .max_in = 3,
    .states = 2,
    .attr = transpose_attrs,
    .state_specs = transpose_states,
    .infer = transpose_infer,
    .lower = transpose_lower,
    .gradient = transpose_gradient,
    .reference = transpose_reference,
    .cost = transpose_cost,
    .absorb = transpose_absorb,
    .operands = "x w b",
    .samples =
        "x=1x1x3x3 w=1x6x5x5 b=6 | out=6 kernel=5\n"
        "x=2x16x4x5 w=16x17x2x2 b=17 | out=17 kernel=2 stride=2\n"
        "x=1x17x5x4 w=17x16x3x3 b=16 | out=16 kernel=3 stride=2 pad=1 output_pad=1\n"
        "x=2x4x3x4 w=4x6x4x4 b=6 | out=6 kernel=4 stride=2 pad=1\n"
        "x=1x5x3x2 w=5x3x2x3 b=3 | out=3 kernel=2x3 stride=4x5 output_pad=3x1\n"
        "x=1x6x4x3 w=6x4x3x2 b=8 | out=8 kernel=3x2 stride=1x2 pad=0+1x1+0 groups=2\n"
        "x=1x3x5x4 w=3x17x3x3 | out=17 kernel=3 pad=same bias=false\n"
        "x=2x16x4x3 w=16x5x3x5 b=5 | out=5 kernel=3x5 stride=2x3 pad=same\n"
        "x=1x4x6x7 w=4x3x3x2 b=3 | out=3 kernel=3x2 stride=2 pad=full\n"
        "x=2x3x4x4 w=3x16x3x3 b=16 | out=16 kernel=3 stride=2 pad=2 dilation=2 output_pad=1\n"
        "x=1x16x3x4 w=16x4x3x3 b=4 | out=4 kernel=3 stride=2 pad=1 flip=true\n"
        "x=2x16x7 w=16x6x4 b=6 | out=6 kernel=4 stride=2 pad=1\n"
        "x=1x17x5 w=17x1x3 b=17 | out=17 kernel=3 stride=4 output_pad=2 groups=17",
};
