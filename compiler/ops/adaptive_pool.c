/* adaptive_avg_pool: means over windows that divide the input evenly, however the sizes go
 * together: on a side of H inputs, window i of O is floor(i H/O) .. ceil((i + 1) H/O) - 1
 * (PyTorch's rule). Windows may overlap, and differ in size by one.
 *
 * Rows and columns are summed one after the other. With m[i,h] = 1 where window i holds row h, and
 * s[i] the size of window i: y[i,j] = sum over w of m[j,w]/s[j] (sum over h of m[i,h]/s[i] x[h,w])
 * The gradient is the same with windows and inputs in each other's place:
 *   dx[h,w] = sum over j of m[j,w]/s[j] (sum over i of m[i,h]/s[i] dy[i,j])
 * m is known at compile time, so only the taps that are there become text. */
#include "window.h"

static int64_t window_first(int64_t i, int64_t in, int64_t out) { return i * in / out; }
static int64_t window_end(int64_t i, int64_t in, int64_t out)
{
	return ((i + 1) * in + out - 1) / out;
}

/* 1 / size of each window. */
static const double *window_shares(Arena *a, int64_t in, int64_t out)
{
	double *share = NEWS(a, double, out);
	for (int64_t i = 0; i < out; i++)
		share[i] = 1 / (double)(window_end(i, in, out) - window_first(i, in, out));
	return share;
}

/* Row by row of what is made: windows hold inputs, or inputs are held by windows. */
static const uint8_t *window_mask(Arena *a, int64_t in, int64_t out, bool backward)
{
	uint8_t *mask = NEWS(a, uint8_t, in * out);
	for (int64_t i = 0; i < out; i++)
		for (int64_t h = window_first(i, in, out); h < window_end(i, in, out); h++)
			mask[backward ? h * out + i : i * in + h] = 1;
	return mask;
}

/* y = the sums of x along one side, a dim of both. */
static void lower_side(
    Lower *l, const Node *n, const Value *x, const Value *y, int side, bool backward)
{
	static const char *const image[] = {"n", "c", "h", "w"}, *const line[] = {"n", "c", "w"};
	const char *const *names = is_line(x) ? line : image;
	Arena *a = lower_arena(l);
	int64_t from = x->shape.dim[side], to = y->shape.dim[side];
	int64_t in = backward ? to : from, out = backward ? from : to;
	Nest *nest = lower_nest(l, n, n->op->name);
	Affine at_y[MAX_RANK];
	Index at_x[MAX_RANK];
	for (int d = 0; d < x->shape.rank; d++)
		at_y[d] = affine_var(nest_dim(nest, names[d], y->shape.dim[d], false));
	int tap = nest_dim(nest, side == x->shape.rank - 1 ? "iw" : "ih", from, true);
	for (int d = 0; d < x->shape.rank; d++)
		at_x[d] = index_of(d == side ? affine_var(tap) : at_y[d]);
	nest_guard_mask(
	    nest, at_y[side], affine_var(tap), window_mask(a, in, out, backward), (int)from);
	Affine window = backward ? affine_var(tap) : at_y[side];
	Expr *share = e_table(a, window_shares(a, in, out), 1, window, affine_number(0));
	Expr *v = e_load(a, lower_load(l, nest, "x", x, at_x));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), e_op(a, E_MUL, share, v)));
	lower_store(l, nest, "y", y, at_y, e_acc(a, 0));
}

static void lower_both(Lower *l, const Node *n, bool backward)
{
	Shape half = n->out[0]->shape;
	if (is_line(n->in[0])) {
		lower_side(l, n, n->in[0], n->out[0], 2, backward);
		return;
	}
	half.dim[3] = n->in[0]->shape.dim[3];
	Value *rows = lower_temp(l, "rows", half);
	lower_side(l, n, n->in[0], rows, 2, backward);
	lower_side(l, n, rows, n->out[0], 3, backward);
}

/* --- the operator -------------------------------------------------------------------------- */

static bool size_infer(Graph *g, Node *n, const char *attr)
{
	if (!infer_begin(g, n) || !image_check(g, n, 0, "a pooling")) return false;
	Shape x = n->in[0]->shape;
	return infer_out(
	    g, n, 0, image_shape(n->in[0], x.dim[0], x.dim[1], attr_pair(n, attr)), TYPE_REAL);
}

static bool pool_infer(Graph *g, Node *n) { return size_infer(g, n, "out"); }
static void pool_lower(Lower *l, const Node *n) { lower_both(l, n, false); }

static void pool_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	AttrValue *attr = graph_attrs(g->arena, &op_adaptive_avg_pool_dx);
	attr_set_plane(&op_adaptive_avg_pool_dx, attr, "size", n->in[0]);
	grad_add(grad, n, 0, graph_op(g, &op_adaptive_avg_pool_dx, &dy, 1, attr)->out[0]);
}

/* Adds every input of every window to y, or spreads every window over dx. */
static void each_tap(const Node *n, const double *from, double *to, bool backward)
{
	Plane large = plane_of(backward ? n->out[0] : n->in[0]);
	Plane small = plane_of(backward ? n->in[0] : n->out[0]);
	const int64_t *in = large.side, *out = small.side;
	int64_t planes = n->in[0]->shape.dim[0] * n->in[0]->shape.dim[1];
	for (int64_t e = 0; e < shape_count(n->out[0]->shape); e++) to[e] = 0;
	for (int64_t o = 0; o < planes * out[0] * out[1]; o++) {
		int64_t i = o / out[1] % out[0], j = o % out[1], plane = o / (out[0] * out[1]);
		int64_t top = window_first(i, in[0], out[0]), bottom = window_end(i, in[0], out[0]);
		int64_t left = window_first(j, in[1], out[1]), right = window_end(j, in[1], out[1]);
		double taps = (double)((bottom - top) * (right - left));
		for (int64_t h = top; h < bottom; h++)
			for (int64_t w = left; w < right; w++) {
				int64_t x = (plane * in[0] + h) * in[1] + w;
				to[backward ? x : o] += from[backward ? o : x] / taps;
			}
	}
}

static void pool_reference(const Node *n, const double *const *in, double *const *out)
{
	each_tap(n, in[0], out[0], false);
}

static const Attr pool_attrs[] = {
    {.name = "out",
        .type = ATTR_PAIR,
        .min = 1,
        .max = 256,
        .required = true,
        .position = 1,
        .doc = "height and width of the output"},
    ATTR_END,
};

const OpDesc op_adaptive_avg_pool = {
    .name = "adaptive_avg_pool",
    .doc = "The mean of windows that divide the input into so many rows and columns.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = pool_attrs,
    .infer = pool_infer,
    .lower = pool_lower,
    .gradient = pool_gradient,
    .reference = pool_reference,
    .operands = "x",
    .samples =
        "x=1x1x4x4 | out=2\nx=2x17x14x14 | out=4\nx=1x32x5x7 | out=3x2\nx=2x3x3x2 | out=5x4\n"
        "x=1x20x6x6 | out=1\nx=2x17x11 | out=4",
};

/* --- gradient ------------------------------------------------------------------------------ */

static bool dx_infer(Graph *g, Node *n) { return size_infer(g, n, "size"); }
static void dx_lower(Lower *l, const Node *n) { lower_both(l, n, true); }

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	each_tap(n, in[0], out[0], true);
}

static const Attr dx_attrs[] = {ATTR_SIZE, ATTR_END};

const OpDesc op_adaptive_avg_pool_dx = {
    .name = "adaptive_avg_pool_dx",
    .doc = "Gradient of adaptive_avg_pool: spread evenly over the windows.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = 1,
    .attr = dx_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy",
    .samples = "dy=1x1x2x2 | size=4\ndy=2x17x4x4 | size=14\ndy=1x32x3x2 | size=5x7\n"
               "dy=2x3x5x4 | size=3x2\ndy=2x17x4 | size=11",
};
