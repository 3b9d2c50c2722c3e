/* global_avg_pool: y[n,c,0,0] = mean over h, w of x[n,c,h,w]. Its own operator, not an avg_pool of
 * the input's size: the gradient is then a plain broadcast, dx[n,c,h,w] = dy[n,c,0,0]/(H*W). */
#include "window.h"

static bool is_image(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	if (n->in[0]->shape.rank == 4) return true;
	return infer_error(g, n, "input is %s, a pooling expects batch x channels x height x width",
	    shape_text(g->arena, n->in[0]->shape));
}

static bool avg_infer(Graph *g, Node *n)
{
	if (!is_image(g, n)) return false;
	const Shape *x = &n->in[0]->shape;
	return infer_out(g, n, 0, shape_of(4, x->dim[0], x->dim[1], (int64_t)1, (int64_t)1), TYPE_REAL);
}

static void avg_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, "global_avg_pool");
	int image = nest_dim(nest, "n", x->dim[0], false), c = nest_dim(nest, "c", x->dim[1], false);
	int h = nest_dim(nest, "ih", x->dim[2], true), w = nest_dim(nest, "iw", x->dim[3], true);
	Index at_x[] = {index_var(image), index_var(c), index_var(h), index_var(w)};
	Affine zero = affine_number(0), at_y[] = {affine_var(image), affine_var(c), zero, zero};
	Expr *load = e_load(a, lower_load(l, nest, "x", n->in[0], at_x));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), load));
	Expr *share = e_num(a, 1 / (double)(x->dim[2] * x->dim[3]));
	lower_store(l, nest, "y", n->out[0], at_y, e_op(a, E_MUL, e_acc(a, 0), share));
}

static void avg_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	AttrValue *attr = graph_attrs(g->arena, &op_global_avg_pool_dx);
	const int64_t *in = plane_of(n->in[0]);
	attr_set_pair(&op_global_avg_pool_dx, attr, "size", in[0], in[1]);
	grad_add(grad, n, 0, graph_op(g, &op_global_avg_pool_dx, &dy, 1, attr)->out[0]);
}

static void avg_reference(const Node *n, const double *const *in, double *const *out)
{
	const int64_t *plane = plane_of(n->in[0]);
	int64_t pixels = plane[0] * plane[1];
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
    .samples = "x=1x1x3x3\nx=2x17x7x7\nx=1x32x4x5\nx=3x20x1x1\nx=2x3x1x6",
};

/* --- gradient ------------------------------------------------------------------------------ */

static bool dx_infer(Graph *g, Node *n)
{
	if (!is_image(g, n)) return false;
	Shape dy = n->in[0]->shape;
	const int64_t *size = attr_pair(n, "size");
	if (dy.dim[2] != 1 || dy.dim[3] != 1)
		return infer_error(g, n, "the output's gradient is %s, height and width must be 1",
		    shape_text(g->arena, dy));
	return infer_out(g, n, 0, shape_of(4, dy.dim[0], dy.dim[1], size[0], size[1]), TYPE_REAL);
}

static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *dx = &n->out[0]->shape;
	Nest *nest = lower_nest(l, n, "global_avg_pool_dx");
	int image = nest_dim(nest, "n", dx->dim[0], false), c = nest_dim(nest, "c", dx->dim[1], false);
	int h = nest_dim(nest, "ih", dx->dim[2], false), w = nest_dim(nest, "iw", dx->dim[3], false);
	Index zero = index_of(affine_number(0)), at_dy[] = {index_var(image), index_var(c), zero, zero};
	Affine at_dx[] = {affine_var(image), affine_var(c), affine_var(h), affine_var(w)};
	Expr *dy = e_load(a, lower_load(l, nest, "dy", n->in[0], at_dy));
	Expr *share = e_num(a, 1 / (double)(dx->dim[2] * dx->dim[3]));
	lower_store(l, nest, "dx", n->out[0], at_dx, e_op(a, E_MUL, dy, share));
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t pixels = n->out[0]->shape.dim[2] * n->out[0]->shape.dim[3];
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
               "dy=3x20x1x1 | size=1\ndy=2x3x1x1 | size=1x6",
};
