/* sum, mean: over axes, by default over all, so that x:mean() is a scalar, as PyTorch has it.
 *
 * y = f * sum of x over the axes, f = 1 or 1/count. Each x of a y has the derivative f: dx = f *
 * dy, broadcast: sum_dx. The largest over axes is in max.c. */
#include "reduce.h"

#include "map.h"

bool reduce_infer_axes(Graph *g, Node *n, Reduction *r)
{
	if (!infer_begin(g, n)) return false;
	const Shape *x = &n->in[0]->shape;
	uint32_t axes = n->attr[attr_index(n->op, "axes")].axes;
	bool given = axes >> MAX_RANK == 0; /* the defaults have all higher bits */
	for (int d = x->rank; given && d < MAX_RANK; d++)
		if (axes >> d & 1)
			return infer_error(g, n, "input is %s, it has no axis %d", shape_text(g->arena, *x), d);
	*r = reduce_over(n);
	return true;
}

Reduction reduce_over(const Node *n)
{
	uint32_t axes = n->attr[attr_index(n->op, "axes")].axes;
	return reduction_over(&n->in[0]->shape, axes, attr_bool(n, "keep"));
}

/* --- sum, mean ---------------------------------------------------------------------------- */

static bool sum_infer(Graph *g, Node *n)
{
	Reduction r;
	return reduce_infer_axes(g, n, &r) &&
	       infer_out(g, n, 0, reduction_shape(&r, &n->in[0]->shape), TYPE_REAL);
}

static double mean_factor(const Node *n)
{
	Reduction r = reduce_over(n);
	return 1 / (double)reduction_count(&r, &n->in[0]->shape);
}

static void lower_factor(Lower *l, const Node *n, double factor)
{
	Reduction r = reduce_over(n);
	reduction_sum(l, n, &r, n->in[0], n->out[0], factor);
}

static void sum_lower(Lower *l, const Node *n) { lower_factor(l, n, 1); }
static void mean_lower(Lower *l, const Node *n) { lower_factor(l, n, mean_factor(n)); }

AttrValue *reduce_back_attrs(Graph *g, const OpDesc *op, const Node *n)
{
	static const char *const sizes[MAX_RANK] = {"size0", "size1", "size2", "size3"};
	const Shape *x = &n->in[0]->shape;
	AttrValue *attr = attrs_like(g->arena, op, n);
	Reduction r = reduce_over(n);
	attr[attr_index(op, "axes")].axes = r.axes;
	attr_set_int(op, attr, "rank", x->rank);
	for (int d = 0; d < x->rank; d++) attr_set_int(op, attr, sizes[d], x->dim[d]);
	return attr;
}

static void spread_gradient(Grad *grad, const Node *n, double factor)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	AttrValue *attr = reduce_back_attrs(g, &op_sum_dx, n);
	attr[attr_index(&op_sum_dx, "factor")].r = factor;
	grad_add(grad, n, 0, graph_op(g, &op_sum_dx, &dy, 1, attr)->out[0]);
}

static void sum_gradient(Grad *grad, const Node *n) { spread_gradient(grad, n, 1); }
static void mean_gradient(Grad *grad, const Node *n) { spread_gradient(grad, n, mean_factor(n)); }

static void sum_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[0]->shape;
	Reduction r = reduce_over(n);
	for (int64_t e = 0; e < shape_count(n->out[0]->shape); e++) out[0][e] = 0;
	for (int64_t e = 0; e < shape_count(*x); e++) out[0][reduction_element(&r, x, e)] += in[0][e];
}

static void mean_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t results = shape_count(n->out[0]->shape), count = shape_count(n->in[0]->shape) / results;
	sum_reference(n, in, out);
	for (int64_t e = 0; e < results; e++) out[0][e] /= (double)count;
}

static const Attr reduce_attrs[] = {ATTR_REDUCE_AXES, ATTR_KEEP, {.name = NULL}};

#define REDUCE_SAMPLES                                                                             \
	"x=2x17x3x5\nx=3x20 | axes=1\nx=2x6x4x3 | axes=0,2,3\nx=2x16x4x3 | axes=2,3 keep=true\n"       \
	"x=3x10 | axes=0 keep=true\nx=2x3x2x2 | keep=true\nx=\nx=7"

const OpDesc op_sum = {
    .name = "sum",
    .doc = "The sum over axes, by default over everything.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = reduce_attrs,
    .infer = sum_infer,
    .lower = sum_lower,
    .gradient = sum_gradient,
    .reference = sum_reference,
    .operands = "x",
    .samples = REDUCE_SAMPLES,
};

const OpDesc op_mean = {
    .name = "mean",
    .doc = "The mean over axes, by default over everything.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = reduce_attrs,
    .infer = sum_infer,
    .lower = mean_lower,
    .gradient = mean_gradient,
    .reference = mean_reference,
    .operands = "x",
    .samples = REDUCE_SAMPLES,
};

/* --- sum_dx ------------------------------------------------------------------------------- */

Shape reduce_back_shape(const Node *n)
{
	static const char *const sizes[MAX_RANK] = {"size0", "size1", "size2", "size3"};
	Shape x = {.rank = (int)attr_int(n, "rank")};
	for (int d = 0; d < x.rank; d++) x.dim[d] = attr_int(n, sizes[d]);
	return x;
}

Reduction reduce_back(const Node *n, const Shape *x)
{
	return reduction_over(x, n->attr[attr_index(n->op, "axes")].axes, attr_bool(n, "keep"));
}

bool reduce_back_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape x = reduce_back_shape(n);
	Reduction r = reduce_back(n, &x);
	Shape y = reduction_shape(&r, &x);
	for (int k = 0; k < n->nin; k++)
		if (!shape_same(n->in[k]->shape, y))
			return infer_error(g, n, "the output's gradient is %s, the output is %s",
			    shape_text(g->arena, n->in[k]->shape), shape_text(g->arena, y));
	return infer_out(g, n, 0, x, TYPE_REAL);
}

static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *dx = &n->out[0]->shape;
	Reduction r = reduce_back(n, dx);
	Nest *nest = lower_nest(l, n, "sum_dx");
	Index at_dx[MAX_RANK], at_dy[MAX_RANK] = {{.q = 1}};
	Affine from[MAX_RANK];
	reduction_dims(nest, &r, dx, false, at_dx, from);
	for (int d = 0; d < r.rank; d++) at_dy[d] = index_of(from[d]);
	bool known = n->in[0]->node->kind == NODE_CONSTANT && shape_count(n->in[0]->shape) == 1;
	Expr *dy = known ? e_num(a, n->in[0]->node->table[0])
	                 : e_load(a, lower_load(l, nest, "dy", n->in[0], at_dy));
	map_store(l, nest, "dx", n->out[0], e_times(a, e_num(a, attr_real(n, "factor")), dy));
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *dx = &n->out[0]->shape;
	Reduction r = reduce_back(n, dx);
	double factor = attr_real(n, "factor");
	for (int64_t e = 0; e < shape_count(*dx); e++)
		out[0][e] = factor * in[0][reduction_element(&r, dx, e)];
}

static const Attr dx_attrs[] = {ATTR_REDUCE_AXES, ATTR_KEEP, ATTR_REDUCE_RANK, ATTR_REDUCE_SIZES,
    ATTR_ANY_REAL("factor", 1, 0, "what dy is multiplied with"), {.name = NULL}};

const OpDesc op_sum_dx = {
    .name = "sum_dx",
    .doc = "Gradient of sum and mean: spread over the axes that were summed.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = 1,
    .attr = dx_attrs,
    .infer = reduce_back_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy",
    .samples = "dy= | axes=0,1,2,3 rank=4 size0=2 size1=17 size2=3 size3=5\n"
               "dy=3 | axes=1 rank=2 size0=3 size1=20 factor=0.05\n"
               "dy=6 | axes=0,2,3 rank=4 size0=2 size1=6 size2=4 size3=3\n"
               "dy=2x16x1x1 | axes=2,3 keep=true rank=4 size0=2 size1=16 size2=4 size3=3",
};
