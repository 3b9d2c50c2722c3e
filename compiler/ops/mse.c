/* mse: the mean of (x - t)^2 over all M elements, as PyTorch's MSELoss.
 *
 *   dx = 2 (x - t)/M * dloss,  dt = -dx: maps, of a scalar dloss.
 *
 * Summed in two steps, for each element of the batch and then over it: short chains. */
#include "map.h"

static bool mse_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	if (!shape_same(n->in[0]->shape, n->in[1]->shape))
		return infer_error(g, n, "input is %s, target is %s", shape_text(g->arena, n->in[0]->shape),
		    shape_text(g->arena, n->in[1]->shape));
	return infer_out(g, n, 0, (Shape){0}, TYPE_REAL);
}

/* The sum of (x - t)^2 over all axes from `first` on; the axes before it are space. */
static void lower_squares(Lower *l, const Node *n, int first, const Value *to, double factor)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, "mse");
	Affine at[MAX_RANK] = {{0}};
	for (int d = 0; d < x->rank; d++) {
		nest_dim(nest, axis_name(x->rank, d), x->dim[d], d >= first);
		at[d] = affine_var(d);
	}
	Expr *off =
	    e_minus(a, map_load(l, nest, "x", n->in[0], x), map_load(l, nest, "t", n->in[1], x));
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), e_times(a, off, off)));
	lower_store(l, nest, "sum", to, at, e_times(a, e_acc(a, 0), e_num(a, factor)));
}

static void mse_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	double factor = 1 / (double)shape_count(*x);
	if (x->rank < 2 || x->dim[0] == 1) {
		lower_squares(l, n, 0, n->out[0], factor);
		return;
	}
	Value *each = lower_temp(l, "each", shape_of(1, x->dim[0]));
	lower_squares(l, n, 1, each, 1);
	Nest *nest = lower_nest(l, n, "loss_mean");
	int image = nest_dim(nest, "n", x->dim[0], true);
	Index at[] = {index_of(affine_var(image))};
	Affine nowhere[MAX_RANK] = {{0}};
	Expr *part = e_load(a, lower_load(l, nest, "each", each, at));
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), part));
	lower_store(l, nest, "loss", n->out[0], nowhere, e_times(a, e_acc(a, 0), e_num(a, factor)));
}

/* p0 (x - t) dloss: x[0], x[1], x[2]. */
MAP_BODY(mse_dx)
{
	Expr *share = e_times(a, e_num(a, p[0]), x[2]);
	return e_times(a, share, e_minus(a, x[0], x[1]));
}

static const MapExpr mse_back = {.name = "mse_dx", .operands = 3, .value = mse_dx};

static void mse_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dloss = grad_of(grad, n, 0);
	if (!dloss) return;
	double share = 2 / (double)shape_count(n->in[0]->shape);
	for (int k = 0; k < 2; k++) {
		if (!grad_wanted(grad, n, k)) continue;
		Value *in[] = {n->in[k], n->in[1 - k], dloss};
		grad_add(grad, n, k, graph_map(g, &mse_back, in, 3, &share, 1));
	}
}

static void mse_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t count = shape_count(n->in[0]->shape);
	double sum = 0;
	for (int64_t e = 0; e < count; e++) sum += (in[0][e] - in[1][e]) * (in[0][e] - in[1][e]);
	out[0][0] = sum / (double)count;
}

const OpDesc op_mse = {
    .name = "mse",
    .doc = "The mean of the squared differences of input and target, over all elements.",
    .flags = OP_METHOD | OP_LOSS,
    .min_in = 2,
    .max_in = 2,
    .infer = mse_infer,
    .lower = mse_lower,
    .gradient = mse_gradient,
    .reference = mse_reference,
    .operands = "x t",
    .samples = "x=1x1 t=1x1\nx=3x10 t=3x10\nx=2x17x3x5 t=2x17x3x5\nx=6 t=6\nx= t=",
};
