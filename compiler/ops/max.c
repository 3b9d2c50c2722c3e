/* max: the largest element over axes, and which it was: arg, counted in row-major order of these
 * axes, kept for the gradient. NaN passes, and of equal elements the first is taken, as in
 * max_pool: the running maximum is replaced by v where v > m or v is NaN; arg tells -1, "none yet",
 * from a place.
 *
 * Gradient: y is the element at arg, so dx = dy there and 0 elsewhere. */
#include <math.h>

#include "map.h"
#include "reduce.h"

enum { ARG_LIMIT = 1 << 24 }; /* whole numbers up to here are exact in a float */

static bool max_infer(Graph *g, Node *n)
{
	Reduction r;
	if (!reduce_infer_axes(g, n, &r)) return false;
	const Shape *x = &n->in[0]->shape;
	if (reduction_count(&r, x) > ARG_LIMIT)
		return infer_error(g, n, "input is %s, the largest of at most %d elements can be found",
		    shape_text(g->arena, *x), (int)ARG_LIMIT);
	Shape y = reduction_shape(&r, x);
	return infer_out(g, n, 0, y, TYPE_REAL) && infer_out(g, n, 1, y, TYPE_REAL);
}

/* The row-major number of a point over the reduced axes, whose dims are numbered like the axes. */
static Expr *place_number(Arena *a, const Reduction *r, const Shape *x)
{
	Affine place = affine_number(0);
	for (int d = 0; d < x->rank; d++)
		if (r->axes >> d & 1) place = affine_add(affine_scale(place, x->dim[d]), affine_var(d));
	return e_index(a, place);
}

static void max_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Reduction r = reduce_over(n);
	Index at_x[MAX_RANK] = {{.q = 1}};
	Affine at_y[MAX_RANK] = {{0}};
	Nest *nest = lower_nest(l, n, "max");
	reduction_dims(nest, &r, x, true, at_x, at_y);
	Expr *v = e_load(a, lower_load(l, nest, "x", n->in[0], at_x));
	Expr *m = e_acc(a, 0), *arg = e_acc(a, 1);
	Expr *better = e_op(a, E_OR, e_above(a, v, m), e_op(a, E_NE, v, v));
	Expr *taken = e_op(a, E_OR, better, e_op(a, E_EQ, arg, e_num(a, -1)));
	nest_acc(nest, -INFINITY, COMBINE_NONE, e_select(a, better, v, m));
	nest_acc(nest, -1, COMBINE_NONE, e_select(a, taken, place_number(a, &r, x), arg));
	nest->ordered = true;
	lower_store(l, nest, "y", n->out[0], at_y, m);
	lower_store(l, nest, "arg", n->out[1], at_y, arg);
}

static void max_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	AttrValue *attr = reduce_back_attrs(g, &op_max_dx, n);
	grad_add(grad, n, 0, graph_op(g, &op_max_dx, (Value *[]){dy, n->out[1]}, 2, attr)->out[0]);
}

static void max_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[0]->shape;
	Reduction r = reduce_over(n);
	for (int64_t e = 0; e < shape_count(*x); e++) {
		int64_t y = reduction_element(&r, x, e), order = reduction_order(&r, x, e);
		if (order && !(in[0][e] > out[0][y]) && !isnan(in[0][e])) continue;
		out[0][y] = in[0][e];
		out[1][y] = (double)order;
	}
}

static const Attr max_attrs[] = {ATTR_REDUCE_AXES, ATTR_KEEP, {.name = NULL}};

const OpDesc op_max = {
    .name = "max",
    .doc = "The largest element over axes, by default of everything.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = max_attrs,
    .infer = max_infer,
    .lower = max_lower,
    .gradient = max_gradient,
    .reference = max_reference,
    .operands = "x",
    .samples = "x=2x17x3x5\nx=3x20 | axes=1\nx=2x6x4x3 | axes=0,2,3\n"
               "x=2x16x4x3 | axes=2,3 keep=true\nx=3x10 | axes=0 keep=true\nx=\nx=7",
};

/* --- gradient ----------------------------------------------------------------------------- */

static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *dx = &n->out[0]->shape;
	Reduction r = reduce_back(n, dx);
	Nest *nest = lower_nest(l, n, "max_dx");
	Index at_dx[MAX_RANK], at_dy[MAX_RANK] = {{.q = 1}};
	Affine from[MAX_RANK];
	reduction_dims(nest, &r, dx, false, at_dx, from);
	for (int d = 0; d < r.rank; d++) at_dy[d] = index_of(from[d]);
	Expr *dy = e_load(a, lower_load(l, nest, "dy", n->in[0], at_dy));
	Expr *arg = e_load(a, lower_load(l, nest, "arg", n->in[1], at_dy));
	Expr *here = e_op(a, E_EQ, place_number(a, &r, dx), arg);
	map_store(l, nest, "dx", n->out[0], e_select(a, here, dy, e_num(a, 0)));
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *dx = &n->out[0]->shape;
	Reduction r = reduce_back(n, dx);
	for (int64_t e = 0; e < shape_count(*dx); e++) {
		int64_t y = reduction_element(&r, dx, e);
		out[0][e] = (double)reduction_order(&r, dx, e) == in[1][y] ? in[0][y] : 0;
	}
}

static const Attr dx_attrs[] = {
    ATTR_REDUCE_AXES, ATTR_KEEP, ATTR_REDUCE_RANK, ATTR_REDUCE_SIZES, {.name = NULL}};

const OpDesc op_max_dx = {
    .name = "max_dx",
    .doc = "Gradient of max: to the element that was taken.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = dx_attrs,
    .infer = reduce_back_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy arg",
    .samples = "dy= arg=%30 | axes=0,1,2,3 rank=4 size0=2 size1=3 size2=1 size3=5\n"
               "dy=3 arg=3%20 | axes=1 rank=2 size0=3 size1=20\n"
               "dy=6 arg=6%24 | axes=0,2,3 rank=4 size0=2 size1=6 size2=4 size3=3\n"
               "dy=2x17x1x1 arg=2x17x1x1%6 | axes=2,3 keep=true rank=4 size0=2 size1=17 size2=2 "
               "size3=3",
};
