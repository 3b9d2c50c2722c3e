/* sum_to, add_n: how gradients are brought together.
 *
 *   sum_to  the gradient of a broadcast: the sum over all elements of dy that one element of x made
 *   add_n   the gradient of a value with several readers: their n-ary sum, from first to last; and
 * the total of several losses. Its own gradient is dy for each operand. */
#include "map.h"
#include "reduction.h"

/* --- sum_to ------------------------------------------------------------------------------- */

static Reduction to_reduction(const Node *n)
{
	uint32_t axes = n->attr[attr_index(n->op, "axes")].axes;
	return reduction_to(&n->in[0]->shape, axes, (int)attr_int(n, "rank"));
}

static bool to_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	const Shape *x = &n->in[0]->shape;
	uint32_t axes = n->attr[attr_index(n->op, "axes")].axes;
	int64_t rank = attr_int(n, "rank");
	if (rank > x->rank || axes >> x->rank)
		return infer_error(g, n, "input is %s, cannot be summed to rank %lld over axes beyond it",
		    shape_text(g->arena, *x), (long long)rank);
	Reduction r = to_reduction(n);
	for (int d = 0; d < x->rank; d++)
		if (r.place[d] < 0 && !(axes >> d & 1))
			return infer_error(g, n, "input is %s, axis %d has no place in rank %lld",
			    shape_text(g->arena, *x), d, (long long)rank);
	return infer_out(g, n, 0, reduction_shape(&r, x), TYPE_REAL);
}

static void to_lower(Lower *l, const Node *n)
{
	Reduction r = to_reduction(n);
	reduction_sum(l, n, &r, n->in[0], n->out[0], 1);
}

static void to_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[0]->shape;
	Reduction r = to_reduction(n);
	for (int64_t e = 0; e < shape_count(n->out[0]->shape); e++) out[0][e] = 0;
	for (int64_t e = 0; e < shape_count(*x); e++) out[0][reduction_element(&r, x, e)] += in[0][e];
}

static const Attr to_attrs[] = {
    {.name = "axes", .type = ATTR_AXES, .doc = "the axes that are summed"},
    {.name = "rank", .type = ATTR_INT, .min = 0, .max = MAX_RANK, .doc = "of the result"},
    {.name = NULL}};

const OpDesc op_sum_to = {
    .name = "sum_to",
    .doc = "The gradient of a broadcast: the sum over the axes that were added or widened.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = 1,
    .attr = to_attrs,
    .infer = to_infer,
    .lower = to_lower,
    .reference = to_reference,
    .operands = "x",
    .samples = "x=2x17x3x5 | axes=0,2,3 rank=1\n"
               "x=3x20 | axes=0,1 rank=0\n"
               "x=3x6x4x5 | axes=2,3 rank=2\n"
               "x=2x16x4x3 | axes=0,2,3 rank=4\n"
               "x=3x10 | axes=1 rank=2\n"
               "x=2x3x2x2 | axes=0,1,2,3 rank=4\n"
               "x=7 | axes=0 rank=1",
};

Value *graph_sum_to(Graph *g, Value *x, Shape shape)
{
	if (x->node->poisoned || shape_same(x->shape, shape)) return x;
	const Shape *from = &x->shape;
	uint32_t kept = 0;
	for (int d = 0; d < shape.rank; d++) {
		int axis = map_axis(shape.rank, from->rank, d);
		if (axis >= from->rank || (shape.dim[d] != 1 && shape.dim[d] != from->dim[axis]))
			bug("%s is not %s, broadcast", shape_text(g->arena, *from),
			    shape_text(g->arena, shape));
		if (shape.dim[d] == from->dim[axis]) kept |= UINT32_C(1) << axis;
	}
	AttrValue *attr = graph_attrs(g->arena, &op_sum_to);
	attr[attr_index(&op_sum_to, "axes")].axes = ((UINT32_C(1) << from->rank) - 1) & ~kept;
	attr_set_int(&op_sum_to, attr, "rank", shape.rank);
	return graph_op(g, &op_sum_to, &x, 1, attr)->out[0];
}

/* --- add_n -------------------------------------------------------------------------------- */

enum { ADD_LIMIT = 8 }; /* operands of one node: a nest has place for more after fusion */

static bool add_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	for (int k = 1; k < n->nin; k++)
		if (!shape_same(n->in[0]->shape, n->in[k]->shape))
			return infer_error(g, n, "operand 1 is %s, operand %d is %s",
			    shape_text(g->arena, n->in[0]->shape), k + 1,
			    shape_text(g->arena, n->in[k]->shape));
	return infer_out(g, n, 0, n->in[0]->shape, TYPE_REAL);
}

static void add_lower(Lower *l, const Node *n)
{
	static const char *const names[ADD_LIMIT] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	const Shape *y = &n->out[0]->shape;
	Nest *nest = lower_nest(l, n, "add_n");
	Expr *sum = NULL;
	map_dims(nest, y);
	for (int k = 0; k < n->nin; k++) {
		Expr *x = map_load(l, nest, names[k], n->in[k], y);
		sum = sum ? e_plus(lower_arena(l), sum, x) : x;
	}
	map_store(l, nest, "y", n->out[0], sum);
}

static void add_gradient(Grad *grad, const Node *n)
{
	Value *dy = grad_of(grad, n, 0);
	for (int k = 0; dy && k < n->nin; k++)
		if (grad_wanted(grad, n, k)) grad_add(grad, n, k, dy);
}

static void add_reference(const Node *n, const double *const *in, double *const *out)
{
	for (int64_t e = 0; e < shape_count(n->out[0]->shape); e++) {
		out[0][e] = in[0][e];
		for (int k = 1; k < n->nin; k++) out[0][e] += in[k][e];
	}
}

const OpDesc op_add_n = {
    .name = "add_n",
    .doc = "The sum of several values of one shape; made by gradients and by weighted losses.",
    .min_in = 1,
    .max_in = ADD_LIMIT,
    .infer = add_infer,
    .lower = add_lower,
    .gradient = add_gradient,
    .reference = add_reference,
    .operands = "a b c d e f g h",
    .samples = "a=2x17x3x5 b=2x17x3x5\n"
               "a=3x20 b=3x20 c=3x20\n"
               "a= b= c= d=\n"
               "a=6 b=6 c=6 d=6 e=6 f=6 g=6 h=6",
};

Value *graph_add_n(Graph *g, Value *const *x, int n)
{
	if (n < 1) bug("a sum of nothing");
	Value *sum = x[0];
	for (int at = 1; at < n;) {
		Value *in[ADD_LIMIT] = {sum};
		int count = 1;
		while (at < n && count < ADD_LIMIT) in[count++] = x[at++];
		sum = graph_op(g, &op_add_n, in, count, NULL)->out[0];
	}
	return sum;
}
