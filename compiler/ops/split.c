/* split: the channels of a tensor in equal parts, y_k[n, c, ...] = x[n, k*C/parts + c, ...]. The
 * parts are windows of the input and cost nothing.
 *
 * dx is the parts' gradients behind each other; where some part has none, the sum of what slice_dx
 * makes of the others. */
#include "window.h"

static int64_t part_size(const Node *n) { return n->in[0]->shape.dim[1] / attr_int(n, "parts"); }

static bool split_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape y = n->in[0]->shape;
	int64_t parts = attr_int(n, "parts");
	if (y.rank < 2)
		return infer_error(g, n, "input is %s, it has no channels", shape_text(g->arena, y));
	if (y.dim[1] % parts)
		return infer_error(g, n, "input has %lld channels, not divisible into %lld parts",
		    (long long)y.dim[1], (long long)parts);
	y.dim[1] = part_size(n);
	for (int k = 0; k < parts; k++)
		if (!infer_out(g, n, k, y, TYPE_REAL)) return false;
	return true;
}

static void split_lower(Lower *l, const Node *n)
{
	for (int k = 0; k < n->nout; k++) {
		int64_t offset[MAX_RANK] = {0, k * part_size(n)};
		lower_alias(l, n->out[k], n->in[0], offset);
	}
}

static void split_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy[MAX_OUT];
	int parts = 0;
	if (!grad_wanted(grad, n, 0)) return;
	for (int k = 0; k < n->nout; k++) parts += (dy[k] = grad_of(grad, n, k)) != NULL;
	if (parts == n->nout) {
		grad_add(grad, n, 0, graph_op(g, &op_concat, dy, parts, NULL)->out[0]);
		return;
	}
	for (int k = 0; k < n->nout; k++) {
		if (!dy[k]) continue;
		AttrValue *attr = graph_attrs(g->arena, &op_slice_dx);
		attr_set_int(&op_slice_dx, attr, "start", k * part_size(n));
		attr_set_int(&op_slice_dx, attr, "channels", n->in[0]->shape.dim[1]);
		grad_add(grad, n, 0, graph_op(g, &op_slice_dx, &dy[k], 1, attr)->out[0]);
	}
}

static void split_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *y = &n->out[0]->shape;
	int64_t block = shape_count(*y) / y->dim[0];
	for (int64_t i = 0; i < shape_count(n->in[0]->shape); i++) {
		int64_t image = i / block / n->nout, part = i / block % n->nout;
		out[part][image * block + i % block] = in[0][i];
	}
}

static const Attr split_attrs[] = {
    {.name = "parts",
        .type = ATTR_INT,
        .min = 1,
        .max = MAX_OUT,
        .required = true,
        .position = 1,
        .doc = "how many tensors it gives"},
    ATTR_END,
};

const OpDesc op_split = {
    .name = "split",
    .doc = "The channels in equal parts, each a tensor of its own: local a, b = x:split(2).",
    .flags = OP_METHOD | OP_MANY,
    .min_in = 1,
    .max_in = 1,
    .attr = split_attrs,
    .infer = split_infer,
    .lower = split_lower,
    .gradient = split_gradient,
    .reference = split_reference,
    .cheap = MAX_OUT,
    .operands = "x",
    .samples = "x=1x2x2x3 | parts=2\n"
               "x=2x48x3x4 | parts=3\n"
               "x=2x34x5x2 | parts=2\n"
               "x=3x20 | parts=4\n"
               "x=2x64x7 | parts=8\n"
               "x=1x5x3x3 | parts=1",
};
