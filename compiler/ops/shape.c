/* flatten, unflatten: the same numbers under another shape, in the same row-major order:
 *   flatten    [N, C, H, W] -> [N, C*H*W],  y[n, (c*H + h)*W + w] = x[n,c,h,w]; lines likewise
 *   unflatten  the inverse.
 * Each is the other's gradient. They lower to copies, since the layouts of an image and of a row of
 * features differ in general; a dense layer behind a flatten reads the image itself. */
#include "window.h"

/* The dims n c h w of a copy nest over an image, and the feature's number (c*H + h)*W + w. */
typedef struct {
	Affine image[MAX_RANK], flat[2];
} Copy;

static Copy copy_dims(Nest *nest, const Shape *image)
{
	static const char *const plane[] = {"n", "c", "h", "w"}, *const line[] = {"n", "c", "w"};
	const char *const *names = image->rank == 3 ? line : plane;
	Copy c;
	for (int d = 0; d < image->rank; d++)
		c.image[d] = affine_var(nest_dim(nest, names[d], image->dim[d], false));
	c.flat[0] = c.image[0];
	c.flat[1] = c.image[1];
	for (int d = 2; d < image->rank; d++)
		c.flat[1] = affine_add(affine_scale(c.flat[1], image->dim[d]), c.image[d]);
	return c;
}

/* y[to] = x[from] */
static void copy_nest(Lower *l, Nest *nest, const Node *n, const Affine *from, const Affine *to)
{
	Index at[MAX_RANK];
	for (int d = 0; d < n->in[0]->shape.rank; d++) at[d] = index_of(from[d]);
	Expr *x = e_load(lower_arena(l), lower_load(l, nest, "x", n->in[0], at));
	lower_store(l, nest, "y", n->out[0], to, x);
}

static void copy_reference(const Node *n, const double *const *in, double *const *out)
{
	memcpy(out[0], in[0], (size_t)shape_count(n->in[0]->shape) * sizeof(double));
}

/* --- flatten ------------------------------------------------------------------------------- */

static bool flatten_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape x = n->in[0]->shape;
	if (x.rank < 2)
		return infer_error(g, n, "input is %s, flatten expects a batch", shape_text(g->arena, x));
	return infer_out(g, n, 0, shape_of(2, x.dim[0], shape_count(x) / x.dim[0]), TYPE_REAL);
}

static void flatten_lower(Lower *l, const Node *n)
{
	Nest *nest = lower_nest(l, n, "flatten");
	Copy c = copy_dims(nest, &n->in[0]->shape);
	copy_nest(l, nest, n, c.image, c.flat);
}

static void flatten_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	if (n->in[0]->shape.rank > 2) {
		AttrValue *attr = graph_attrs(g->arena, &op_unflatten);
		attr_set_image(&op_unflatten, attr, n->in[0]);
		dy = graph_op(g, &op_unflatten, &dy, 1, attr)->out[0];
	}
	grad_add(grad, n, 0, dy);
}

const OpDesc op_flatten = {
    .name = "flatten",
    .doc = "Every image as one row of features, channel by channel.",
    .flags = OP_METHOD | OP_REGROUP,
    .min_in = 1,
    .max_in = 1,
    .infer = flatten_infer,
    .lower = flatten_lower,
    .gradient = flatten_gradient,
    .reference = copy_reference,
    .cheap = 1,
    .operands = "x",
    .samples = "x=1x1x2x3\nx=2x17x3x4\nx=3x32x1x1\nx=2x20\nx=2x17x5",
};

/* --- unflatten ----------------------------------------------------------------------------- */

static bool unflatten_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape x = n->in[0]->shape, y;
	if (x.rank != 2)
		return infer_error(
		    g, n, "input is %s, unflatten expects batch x features", shape_text(g->arena, x));
	if (!image_of_attrs(g, n, x.dim[0], &y) || !infer_out(g, n, 0, y, TYPE_REAL)) return false;
	if (shape_count(y) == shape_count(x)) return true;
	return infer_error(g, n, "input is %s, the result would be %s", shape_text(g->arena, x),
	    shape_text(g->arena, y));
}

static void unflatten_lower(Lower *l, const Node *n)
{
	Nest *nest = lower_nest(l, n, "unflatten");
	Copy c = copy_dims(nest, &n->out[0]->shape);
	copy_nest(l, nest, n, c.flat, c.image);
}

static void unflatten_gradient(Grad *grad, const Node *n)
{
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	grad_add(grad, n, 0, graph_op(grad_graph(grad), &op_flatten, &dy, 1, NULL)->out[0]);
}

static const Attr unflatten_attrs[] = {
    {.name = "channels",
        .type = ATTR_INT,
        .min = 1,
        .max = 1e12,
        .required = true,
        .position = 1,
        .doc = "channels of the result"},
    {.name = "size",
        .type = ATTR_PAIR,
        .min = 1,
        .max = 1e12,
        .required = true,
        .position = 2,
        .doc = "height and width of the result"},
    ATTR_LINE,
    ATTR_END,
};

const OpDesc op_unflatten = {
    .name = "unflatten",
    .doc = "Every row of features as an image or a line: the inverse of flatten.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = unflatten_attrs,
    .infer = unflatten_infer,
    .lower = unflatten_lower,
    .gradient = unflatten_gradient,
    .reference = copy_reference,
    .cheap = 1,
    .operands = "x",
    .samples =
        "x=1x6 | channels=1 size=2x3\nx=2x204 | channels=17 size=3x4\nx=3x32 | channels=32 size=1\n"
        "x=2x85 | channels=17 size=5 line=true",
};
