/* global_avg_pool: y[n,c,0,0] = mean over h, w of x[n,c,h,w]. Its own operator, not an avg_pool of
 * the input's size: the gradient is then a plain broadcast, dx[n,c,h,w] = dy[n,c,0,0]/(H*W). */
#include "window.h"

static bool is_image(Graph *g, Node *n)
{
	return infer_begin(g, n) && image_check(g, n, 0, "a pooling");
}

static bool avg_infer(Graph *g, Node *n)
{
	if (!is_image(g, n)) return false;
	const Shape *x = &n->in[0]->shape;
	static const int64_t point[] = {1, 1};
	return infer_out(g, n, 0, image_shape(n->in[0], x->dim[0], x->dim[1], point), TYPE_REAL);
}

static void avg_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Plane p = plane_of(n->in[0]);
	Nest *nest = lower_nest(l, n, "global_avg_pool");
	int image = nest_dim(nest, "n", x->dim[0], false), c = nest_dim(nest, "c", x->dim[1], false);
	int h = nest_dim(nest, "ih", p.side[0], true), w = nest_dim(nest, "iw", p.side[1], true);
	Expr *load = e_load(a, image_load(l, nest, "x", n->in[0], index_var(image), index_var(c),
	                           index_var(h), index_var(w)));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), load));
	Expr *mean = e_op(a, E_MUL, e_acc(a, 0), e_num(a, 1 / (double)(p.side[0] * p.side[1])));
	Affine zero = affine_number(0);
	image_store(l, nest, "y", n->out[0], affine_var(image), affine_var(c), zero, zero, mean);
}

static void avg_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	AttrValue *attr = graph_attrs(g->arena, &op_global_avg_pool_dx);
	attr_set_plane(&op_global_avg_pool_dx, attr, "size", n->in[0]);
	grad_add(grad, n, 0, graph_op(g, &op_global_avg_pool_dx, &dy, 1, attr)->out[0]);
}

static void avg_reference(const Node *n, const double *const *in, double *const *out)
{
	Plane plane = plane_of(n->in[0]);
	int64_t pixels = plane.side[0] * plane.side[1];
	for (int64_t p = 0; p < shape_count(n->out[0]->shape); p++) {
		double sum = 0;
		for (int64_t i = 0; i < pixels; i++) sum += in[0][p * pixels + i];
		out[0][p] = sum / (double)pixels;
	}
}

const OpDesc op_global_avg_pool = {
    .name = "global_avg_pool",
    .doc = "The mean of each channel's plane: height and width become 1.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .infer = avg_infer,
    .lower = avg_lower,
    .gradient = avg_gradient,
    .reference = avg_reference,
    .operands = "x",
    .samples = "x=1x1x3x3\nx=2x17x7x7\nx=1x32x4x5\nx=3x20x1x1\nx=2x3x1x6\nx=2x17x9",
};

/* --- gradient ------------------------------------------------------------------------------ */

static bool dx_infer(Graph *g, Node *n)
{
	if (!is_image(g, n)) return false;
	Shape dy = n->in[0]->shape;
	Plane p = plane_of(n->in[0]);
	if (p.side[0] != 1 || p.side[1] != 1)
		return infer_error(g, n, "the output's gradient is %s, height and width must be 1",
		    shape_text(g->arena, dy));
	Shape dx = image_shape(n->in[0], dy.dim[0], dy.dim[1], attr_pair(n, "size"));
	return infer_out(g, n, 0, dx, TYPE_REAL);
}

static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *dx = &n->out[0]->shape;
	Plane p = plane_of(n->out[0]);
	Nest *nest = lower_nest(l, n, "global_avg_pool_dx");
	int image = nest_dim(nest, "n", dx->dim[0], false), c = nest_dim(nest, "c", dx->dim[1], false);
	int h = nest_dim(nest, "ih", p.side[0], false), w = nest_dim(nest, "iw", p.side[1], false);
	Index zero = index_of(affine_number(0));
	Expr *dy =
	    e_load(a, image_load(l, nest, "dy", n->in[0], index_var(image), index_var(c), zero, zero));
	Expr *part = e_op(a, E_MUL, dy, e_num(a, 1 / (double)(p.side[0] * p.side[1])));
	image_store(l, nest, "dx", n->out[0], affine_var(image), affine_var(c), affine_var(h),
	    affine_var(w), part);
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	Plane p = plane_of(n->out[0]);
	int64_t pixels = p.side[0] * p.side[1];
	for (int64_t i = 0; i < shape_count(n->out[0]->shape); i++)
		out[0][i] = in[0][i / pixels] / (double)pixels;
}

static const Attr dx_attrs[] = {ATTR_SIZE, ATTR_END};

const OpDesc op_global_avg_pool_dx = {
    .name = "global_avg_pool_dx",
    .doc = "Gradient of global_avg_pool: spread evenly over the plane.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = 1,
    .attr = dx_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy",
    .samples = "dy=1x1x1x1 | size=3\ndy=2x17x1x1 | size=7\ndy=1x32x1x1 | size=4x5\n"
               "dy=3x20x1x1 | size=1\ndy=2x3x1x1 | size=1x6\ndy=2x17x1 | size=9",
};
