/* concat, slice, slice_dx: channels of several tensors behind each other, some channels of one, and
 * a slice's gradient. concat    y[n, offset(k) + c, ...] = x_k[n, c, ...];   dx_k = slice(dy,
 * offset(k), channels of x_k) slice     y[n, c, ...] = x[n, start + c, ...];         dx = dy inside
 * the slice, 0 outside: slice_dx Where they can, concat lets its parts be written straight into the
 * result, and a slice is a window of its input; then neither costs anything. */
#include "window.h"

static const char *const dim_names[MAX_RANK] = {"n", "c", "h", "w"};

static bool has_channels(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	if (n->in[0]->shape.rank >= 2) return true;
	return infer_error(
	    g, n, "input is %s, it has no channels", shape_text(g->arena, n->in[0]->shape));
}

/* Elements behind each other between one batch element's channel blocks: H*W. */
static int64_t plane_size(const Shape *x) { return shape_count(*x) / (x->dim[0] * x->dim[1]); }

/* Copies, for each image, `count` channels: to[to_start + c] = from[from_start + c]. */
static void copy_channels(const Shape *to, int64_t to_start, double *y, const Shape *from,
    int64_t from_start, const double *x, int64_t count)
{
	int64_t plane = plane_size(from);
	for (int64_t n = 0; n < from->dim[0]; n++)
		for (int64_t i = 0; i < count * plane; i++)
			y[(n * to->dim[1] + to_start) * plane + i] =
			    x[(n * from->dim[1] + from_start) * plane + i];
}

/* --- concat -------------------------------------------------------------------------------- */

enum { CONCAT_LIMIT = 64 };

static bool concat_infer(Graph *g, Node *n)
{
	if (!has_channels(g, n)) return false;
	Shape y = n->in[0]->shape;
	for (int i = 1; i < n->nin; i++) {
		Shape x = n->in[i]->shape, first = n->in[0]->shape;
		first.dim[1] = x.rank > 1 ? x.dim[1] : 0;
		if (!shape_same(x, first))
			return infer_error(g, n, "part %d is %s, part 1 is %s: all but the channels must agree",
			    i + 1, shape_text(g->arena, x), shape_text(g->arena, n->in[0]->shape));
		y.dim[1] += x.dim[1]; /* at most CONCAT_LIMIT numbers far below 2^63 */
	}
	return infer_out(g, n, 0, y, TYPE_REAL);
}

static void copy_part(Lower *l, const Node *n, int part, int64_t start)
{
	const Value *x = n->in[part];
	Nest *nest = lower_nest(l, n, "concat");
	Index from[MAX_RANK];
	Affine to[MAX_RANK];
	for (int d = 0; d < x->shape.rank; d++) {
		to[d] = affine_var(nest_dim(nest, dim_names[d], x->shape.dim[d], false));
		from[d] = index_of(to[d]);
	}
	to[1] = affine_plus(to[1], start);
	Expr *load = e_load(lower_arena(l), lower_load(l, nest, "x", x, from));
	lower_store(l, nest, "y", n->out[0], to, load);
}

static void concat_lower(Lower *l, const Node *n)
{
	int64_t offset[MAX_RANK] = {0};
	for (int i = 0; i < n->nin; i++) {
		if (!lower_merge(l, n->in[i], n->out[0], offset)) copy_part(l, n, i, offset[1]);
		offset[1] += n->in[i]->shape.dim[1];
	}
}

static Value *slice_of(Graph *g, Value *x, int64_t start, int64_t count)
{
	AttrValue *attr = graph_attrs(g->arena, &op_slice);
	attr_set_int(&op_slice, attr, "start", start);
	attr_set_int(&op_slice, attr, "count", count);
	return graph_op(g, &op_slice, &x, 1, attr)->out[0];
}

static void concat_gradient(Grad *grad, const Node *n)
{
	Value *dy = grad_of(grad, n, 0);
	int64_t start = 0;
	if (!dy) return;
	for (int i = 0; i < n->nin; i++) {
		int64_t count = n->in[i]->shape.dim[1];
		if (grad_wanted(grad, n, i))
			grad_add(grad, n, i, n->nin == 1 ? dy : slice_of(grad_graph(grad), dy, start, count));
		start += count;
	}
}

static void concat_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t start = 0;
	for (int i = 0; i < n->nin; i++) {
		const Shape *x = &n->in[i]->shape;
		copy_channels(&n->out[0]->shape, start, out[0], x, 0, in[i], x->dim[1]);
		start += x->dim[1];
	}
}

const OpDesc op_concat = {
    .name = "concat",
    .doc = "The channels of several tensors behind each other.",
    .flags = OP_METHOD | OP_JOINS,
    .min_in = 1,
    .max_in = CONCAT_LIMIT,
    .infer = concat_infer,
    .lower = concat_lower,
    .gradient = concat_gradient,
    .reference = concat_reference,
    .cheap = 1,
    .operands = "a b c d",
    .samples = "a=1x1x2x3 b=1x2x2x3\n"
               "a=2x16x3x4 b=2x32x3x4\n"
               "a=2x3x5x2 b=2x17x5x2 c=2x6x5x2\n"
               "a=1x20x1x1 b=1x1x1x1 c=1x16x1x1 d=1x3x1x1\n"
               "a=3x5 b=3x17\n"
               "a=2x6x3x3",
};

/* --- slice --------------------------------------------------------------------------------- */

static bool slice_infer(Graph *g, Node *n)
{
	if (!has_channels(g, n)) return false;
	Shape y = n->in[0]->shape;
	int64_t start = attr_int(n, "start"), count = attr_int(n, "count");
	if (start + count > y.dim[1])
		return infer_error(g, n,
		    "input has %lld channels, the slice takes %lld from number %lld on",
		    (long long)y.dim[1], (long long)count, (long long)start);
	y.dim[1] = count;
	return infer_out(g, n, 0, y, TYPE_REAL);
}

static void slice_lower(Lower *l, const Node *n)
{
	int64_t offset[MAX_RANK] = {0, attr_int(n, "start")};
	lower_alias(l, n->out[0], n->in[0], offset);
}

static void slice_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	AttrValue *attr = attrs_like(g->arena, &op_slice_dx, n);
	attr_set_int(&op_slice_dx, attr, "channels", n->in[0]->shape.dim[1]);
	grad_add(grad, n, 0, graph_op(g, &op_slice_dx, &dy, 1, attr)->out[0]);
}

static void slice_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *y = &n->out[0]->shape;
	copy_channels(y, 0, out[0], &n->in[0]->shape, attr_int(n, "start"), in[0], y->dim[1]);
}

#define ATTR_START                                                                                 \
	{                                                                                              \
		.name = "start", .type = ATTR_INT, .value = 0, .min = 0, .max = 1e12, .position = 1,       \
		.doc = "first channel, counted from 0"                                                     \
	}

static const Attr slice_attrs[] = {
    ATTR_START,
    {.name = "count",
        .type = ATTR_INT,
        .min = 1,
        .max = 1e12,
        .required = true,
        .position = 2,
        .doc = "number of channels"},
    ATTR_END,
};

const OpDesc op_slice = {
    .name = "slice",
    .doc = "Some neighbouring channels.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = slice_attrs,
    .infer = slice_infer,
    .lower = slice_lower,
    .gradient = slice_gradient,
    .reference = slice_reference,
    .cheap = 1,
    .operands = "x",
    .samples = "x=1x3x2x2 | start=1 count=1\n"
               "x=2x48x3x4 | start=16 count=32\n"
               "x=2x20x5x2 | start=3 count=17\n"
               "x=3x22 | start=5 count=16\n"
               "x=1x6x3x3 | start=0 count=6",
};

/* --- gradient of a slice ------------------------------------------------------------------- */

static bool dx_infer(Graph *g, Node *n)
{
	if (!has_channels(g, n)) return false;
	Shape dx = n->in[0]->shape;
	int64_t start = attr_int(n, "start"), channels = attr_int(n, "channels");
	if (start + dx.dim[1] > channels)
		return infer_error(g, n,
		    "the input has %lld channels, the slice takes %lld from number %lld on",
		    (long long)channels, (long long)dx.dim[1], (long long)start);
	dx.dim[1] = channels;
	return infer_out(g, n, 0, dx, TYPE_REAL);
}

/* No reduction: the update runs once where the guard holds, else the accumulator stays 0. */
static void dx_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *dx = &n->out[0]->shape;
	Nest *nest = lower_nest(l, n, "slice_dx");
	Index from[MAX_RANK];
	Affine to[MAX_RANK];
	for (int d = 0; d < dx->rank; d++) {
		to[d] = affine_var(nest_dim(nest, dim_names[d], dx->dim[d], false));
		from[d] = index_of(to[d]);
	}
	from[1] = index_of(affine_plus(to[1], -attr_int(n, "start")));
	int64_t channels = n->in[0]->shape.dim[1];
	if (channels < dx->dim[1]) nest_guard_range(nest, from[1], 0, channels);
	Expr *dy = e_load(a, lower_load(l, nest, "dy", n->in[0], from));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), dy));
	lower_store(l, nest, "dx", n->out[0], to, e_acc(a, 0));
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *dy = &n->in[0]->shape, *dx = &n->out[0]->shape;
	memset(out[0], 0, (size_t)shape_count(*dx) * sizeof(double));
	copy_channels(dx, attr_int(n, "start"), out[0], dy, 0, in[0], dy->dim[1]);
}

static const Attr dx_attrs[] = {
    ATTR_START,
    {.name = "channels",
        .type = ATTR_INT,
        .min = 1,
        .max = 1e12,
        .required = true,
        .doc = "channels of the input whose gradient this is"},
    ATTR_END,
};

const OpDesc op_slice_dx = {
    .name = "slice_dx",
    .doc = "Gradient of slice: zero outside the slice.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = 1,
    .attr = dx_attrs,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy",
    .samples = "dy=1x1x2x2 | start=1 channels=3\n"
               "dy=2x32x3x4 | start=16 channels=48\n"
               "dy=2x17x5x2 | start=3 channels=20\n"
               "dy=3x16 | start=5 channels=22\n"
               "dy=1x6x3x3 | start=0 channels=6",
};
