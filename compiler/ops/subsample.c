/* subsample: y[n,c,oh,ow] = a[c] * (sum of the window of x) + b[c].
 *
 * The sub-sampling layer of LeCun et al. 1998, II.B (S2, S4): the inputs of a window are added,
 * times a trainable coefficient, plus a trainable bias; windows touch but do not overlap. The
 * squashing that follows is a layer of its own.
 *
 *   dx[n,c,i] = a[c] * sum of dy[n,c,o] over the windows o that see i
 *   da[c]     = sum over n, o of dy[n,c,o] * (sum of the window of x)
 *   db[c]     = channel_sum(dy) */
#include "pool.h"
#include "weight_init.h"

/* The paper counts a unit's inputs: the window's. */
static int subsample_states(Graph *g, Node *n, StateSpec *spec)
{
	Window w;
	if (!pool_window(g, n, false, &w)) return -1;
	double fan_in = (double)w.kernel[0] * (double)w.kernel[1];
	Shape channels = shape_of(1, n->in[0]->shape.dim[1]);
	spec[0] = (StateSpec){"coefficient", STATE_WEIGHT, channels, weight_init(n, fan_in, 1)};
	spec[1] = (StateSpec){"bias", STATE_WEIGHT, channels, bias_init(n, fan_in)};
	return 2;
}

static bool subsample_infer(Graph *g, Node *n)
{
	static const char *const names[] = {"input", "coefficient", "bias"};
	Window w;
	if (!pool_window(g, n, false, &w)) return false;
	const Shape *x = &n->in[0]->shape;
	for (int i = 1; i < 3; i++)
		if (!shape_same(n->in[i]->shape, shape_of(1, x->dim[1])))
			return infer_error(g, n, "input has %lld channels, %s is %s", (long long)x->dim[1],
			    names[i], shape_text(g->arena, n->in[i]->shape));
	return infer_out(g, n, 0, image_shape(n->in[0], x->dim[0], x->dim[1], w.out), TYPE_REAL);
}

static int load_channel(Lower *l, Nest *nest, const char *as, const Value *v, int c)
{
	return lower_load(l, nest, as, v, (Index[]){index_var(c)});
}

static void subsample_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Window w = pool_forward(n);
	Nest *nest = lower_nest(l, n, "subsample");
	PoolDims d = pool_dims(nest, n, &w);
	Expr *x = e_load(a, pool_load_taps(l, nest, &d, &w, n->in[0]));
	Expr *coefficient = e_load(a, load_channel(l, nest, "a", n->in[1], d.c));
	Expr *bias = e_load(a, load_channel(l, nest, "b", n->in[2], d.c));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), x));
	Expr *y = e_op(a, E_ADD, e_op(a, E_MUL, coefficient, e_acc(a, 0)), bias);
	pool_store(l, nest, "y", &d, n->out[0], y);
}

static void subsample_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy) return;
	if (grad_wanted(grad, n, 0)) {
		AttrValue *attr = pool_attrs_back(g, &op_subsample_dx, n);
		grad_add(
		    grad, n, 0, graph_op(g, &op_subsample_dx, (Value *[]){dy, n->in[1]}, 2, attr)->out[0]);
	}
	if (grad_wanted(grad, n, 1)) {
		AttrValue *attr = attrs_like(g->arena, &op_subsample_da, n);
		grad_add(
		    grad, n, 1, graph_op(g, &op_subsample_da, (Value *[]){n->in[0], dy}, 2, attr)->out[0]);
	}
	if (grad_wanted(grad, n, 2))
		grad_add(grad, n, 2, graph_op(g, &op_channel_sum, &dy, 1, NULL)->out[0]);
}

/* --- oracles: plain sums over windows, plane by plane -------------------------------------- */

static void add_tap(Oracle *o, int64_t y, int64_t x, int64_t tap)
{
	(void)tap;
	o->out[0][y] += o->in[0][x];
}

static void subsample_reference(const Node *n, const double *const *in, double *const *out)
{
	Window w = pool_forward(n);
	int64_t N = n->in[0]->shape.dim[0], C = n->in[0]->shape.dim[1], pixels = w.out[0] * w.out[1];
	pool_clear(n->out[0], out[0], 0);
	Oracle o = {.in = in, .out = out, .w = &w, .at = add_tap};
	pool_each_tap(&o, N * C);
	for (int64_t i = 0; i < N * C * pixels; i++) {
		int64_t c = i / pixels % C;
		out[0][i] = in[1][c] * out[0][i] + in[2][c];
	}
}

/* The paper's S2: 4 inputs and a bias for each output of 6x14x14: 5,880 connections, 12 parameters.
 */
static Cost subsample_cost(const Node *n)
{
	Window w = pool_forward(n);
	int64_t C = n->in[0]->shape.dim[1], outputs = sat_mul(C, w.out[0] * w.out[1]);
	return (Cost){
	    .connections = sat_mul(outputs, w.kernel[0] * w.kernel[1] + 1),
	    .macs = outputs,
	    .parameters = 2 * C,
	};
}

static const Attr subsample_attrs[] = {ATTR_POOL_KERNEL, ATTR_POOL_STRIDE, ATTR_INIT, ATTR_END};

const OpDesc op_subsample = {
    .name = "subsample",
    .doc = "The sum of each window times a learned coefficient, plus a bias (LeCun et al. 1998).",
    .flags = OP_METHOD | OP_STATEFUL,
    .min_in = 3,
    .max_in = 3,
    .states = 2,
    .attr = subsample_attrs,
    .state_specs = subsample_states,
    .infer = subsample_infer,
    .lower = subsample_lower,
    .gradient = subsample_gradient,
    .reference = subsample_reference,
    .cost = subsample_cost,
    .operands = "x a b",
    .samples = "x=1x1x2x2 a=1 b=1 | kernel=2\n"
               "x=2x6x8x6 a=6 b=6 | kernel=2\n"
               "x=1x17x7x5 a=17 b=17 | kernel=2\n"
               "x=2x16x9x9 a=16 b=16 | kernel=3x2\n"
               "x=1x20x7x8 a=20 b=20 | kernel=3 stride=2\n"
               "x=1x5x11x13 a=5 b=5 | kernel=2 stride=4x5",
};

/* --- by data ------------------------------------------------------------------------------- */

static bool dx_infer(Graph *g, Node *n)
{
	if (!pool_infer_back(g, n, false)) return false;
	if (shape_same(n->in[1]->shape, shape_of(1, n->in[0]->shape.dim[1]))) return true;
	return infer_error(g, n, "the output's gradient is %s, coefficient is %s",
	    shape_text(g->arena, n->in[0]->shape), shape_text(g->arena, n->in[1]->shape));
}

static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Window w = pool_backward(n);
	PoolBack d;
	Nest *nest = pool_back(l, n, "subsample_dx", &w, &d);
	Expr *dy = e_load(a, pool_load_back(l, nest, "dy", &d, &w, n->in[0]));
	Expr *coefficient = e_load(a, load_channel(l, nest, "a", n->in[1], d.c));
	pool_guard_back(nest, &d, &w);
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), dy));
	pool_store_back(l, nest, &d, &w, n->out[0], e_op(a, E_MUL, coefficient, e_acc(a, 0)));
}

static void spread_tap(Oracle *o, int64_t y, int64_t x, int64_t tap)
{
	(void)tap;
	o->out[0][x] += o->in[0][y];
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	Window w = pool_backward(n);
	int64_t N = n->in[0]->shape.dim[0], C = n->in[0]->shape.dim[1], pixels = w.in[0] * w.in[1];
	pool_clear(n->out[0], out[0], 0);
	Oracle o = {.in = in, .out = out, .w = &w, .at = spread_tap};
	pool_each_tap(&o, N * C);
	for (int64_t i = 0; i < N * C * pixels; i++) out[0][i] *= in[1][i / pixels % C];
}

static const Attr dx_attrs[] = {ATTR_POOL_KERNEL, ATTR_SIZE, ATTR_POOL_STRIDE, ATTR_END};

const OpDesc op_subsample_dx = {
    .name = "subsample_dx",
    .doc = "Gradient of subsample by its input.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = dx_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy a",
    .samples = "dy=1x1x1x1 a=1 | kernel=2 size=2\n"
               "dy=2x6x4x3 a=6 | kernel=2 size=8x6\n"
               "dy=1x17x3x2 a=17 | kernel=2 size=7x5\n"
               "dy=2x16x3x4 a=16 | kernel=3x2 size=9\n"
               "dy=1x20x3x3 a=20 | kernel=3 size=7x8 stride=2\n"
               "dy=1x5x3x3 a=5 | kernel=2 size=11x13 stride=4x5",
};

/* --- by coefficient ------------------------------------------------------------------------ */

static bool da_infer(Graph *g, Node *n)
{
	Window w;
	if (!pool_window(g, n, false, &w)) return false;
	const Shape *x = &n->in[0]->shape;
	Shape y = image_shape(n->in[0], x->dim[0], x->dim[1], w.out);
	if (!shape_same(n->in[1]->shape, y))
		return infer_error(g, n, "the output's gradient is %s, the output is %s",
		    shape_text(g->arena, n->in[1]->shape), shape_text(g->arena, y));
	return infer_out(g, n, 0, shape_of(1, x->dim[1]), TYPE_REAL);
}

static Window da_window(const Node *n)
{
	Window w = window_of(n, plane_of(n->in[0]).side, NULL);
	for (int s = 0; s < 2; s++) w.out[s] = plane_of(n->in[1]).side[s];
	return w;
}

static void da_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Window w = da_window(n);
	Nest *nest = lower_nest(l, n, "subsample_da");
	PoolDims d;
	d.c = nest_dim(nest, "c", x->dim[1], false);
	d.n = nest_dim(nest, "n", x->dim[0], true);
	d.h = nest_dim(nest, "oh", w.out[0], true);
	d.w = nest_dim(nest, "ow", w.out[1], true);
	d.kh = nest_dim(nest, "kh", w.kernel[0], true);
	d.kw = nest_dim(nest, "kw", w.kernel[1], true);
	Expr *tap = e_load(a, pool_load_taps(l, nest, &d, &w, n->in[0]));
	Expr *dy = e_load(a, image_load(l, nest, "dy", n->in[1], index_var(d.n), index_var(d.c),
	                         index_var(d.h), index_var(d.w)));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e_op(a, E_MUL, dy, tap)));
	lower_store(l, nest, "da", n->out[0], (Affine[]){affine_var(d.c)}, e_acc(a, 0));
}

static void da_reference(const Node *n, const double *const *in, double *const *out)
{
	Window w = da_window(n);
	int64_t N = n->in[0]->shape.dim[0], C = n->in[0]->shape.dim[1];
	const double *dy = in[1];
	pool_clear(n->out[0], out[0], 0);
	for (int64_t plane = 0; plane < N * C; plane++)
		for (int64_t oh = 0; oh < w.out[0]; oh++)
			for (int64_t ow = 0; ow < w.out[1]; ow++) {
				const double *x = in[0] + plane * w.in[0] * w.in[1];
				double sum = 0;
				for (int64_t kh = 0; kh < w.kernel[0]; kh++)
					for (int64_t kw = 0; kw < w.kernel[1]; kw++)
						sum += x[(oh * w.stride[0] + kh) * w.in[1] + ow * w.stride[1] + kw];
				out[0][plane % C] += sum * *dy++;
			}
}

static const Attr da_attrs[] = {ATTR_POOL_KERNEL, ATTR_POOL_STRIDE, ATTR_END};

const OpDesc op_subsample_da = {
    .name = "subsample_da",
    .doc = "Gradient of subsample by its coefficients.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = da_attrs,
    .infer = da_infer,
    .lower = da_lower,
    .reference = da_reference,
    .operands = "x dy",
    .samples = "x=1x1x2x2 dy=1x1x1x1 | kernel=2\n"
               "x=2x6x8x6 dy=2x6x4x3 | kernel=2\n"
               "x=1x17x7x5 dy=1x17x3x2 | kernel=2\n"
               "x=2x16x9x9 dy=2x16x3x4 | kernel=3x2\n"
               "x=1x20x7x8 dy=1x20x3x3 | kernel=3 stride=2",
};
