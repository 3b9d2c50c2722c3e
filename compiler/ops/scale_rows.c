/* scale_rows: y[r,...] = x[r,...] * scale[r]: a weight whose outputs are scaled, so that a layer
 * absorbs the batch norm behind it. Inference only, on weights: no gradient is ever asked for. */
#include "scale_rows.h"

static bool scale_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape x = n->in[0]->shape, scale = n->in[1]->shape;
	if (x.rank < 1 || scale.rank != 1 || scale.dim[0] != x.dim[0])
		return infer_error(g, n, "weight is %s, scale is %s", shape_text(g->arena, x),
		    shape_text(g->arena, scale));
	return infer_out(g, n, 0, x, TYPE_REAL);
}

static void scale_lower(Lower *l, const Node *n)
{
	static const char *const names[MAX_RANK] = {"oc", "ic", "kh", "kw"};
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, "scale_rows");
	Index at[MAX_RANK];
	Affine to[MAX_RANK];
	for (int d = 0; d < x->rank; d++) {
		to[d] = affine_var(nest_dim(nest, names[d], x->dim[d], false));
		at[d] = index_of(to[d]);
	}
	Expr *weight = e_load(a, lower_load(l, nest, "x", n->in[0], at));
	Expr *scale = e_load(a, lower_load(l, nest, "s", n->in[1], at)); /* rank 1: reads at[0] only */
	lower_store(l, nest, "y", n->out[0], to, e_op(a, E_MUL, weight, scale));
}

static void scale_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t count = shape_count(n->in[0]->shape), row = count / n->in[0]->shape.dim[0];
	for (int64_t i = 0; i < count; i++) out[0][i] = in[0][i] * in[1][i / row];
}

const OpDesc op_scale_rows = {
    .name = "scale_rows",
    .doc = "Each row of a weight times a number of its own: a layer that absorbs what scales it.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .infer = scale_infer,
    .lower = scale_lower,
    .reference = scale_reference,
    .operands = "x scale",
    .samples = "x=17x3x3x3 scale=17\nx=6x20 scale=6\nx=5 scale=5",
};

Value *absorb_with(Graph *g, Node *n, Value *w, Value *scale, Value *shift)
{
	Value *b = shift;
	if (n->nin == 3)
		b = graph_map(g, &map_scale_shift, (Value *[]){n->in[2], scale, shift}, 3, NULL, 0);
	AttrValue *attr = attrs_like(g->arena, n->op, n);
	attr_set_bool(n->op, attr, "bias", true);
	return graph_op(g, n->op, (Value *[]){n->in[0], w, b}, 3, attr)->out[0];
}

Value *scale_rows_absorb(Graph *g, Node *n, Value *scale, Value *shift)
{
	Value *w = graph_op(g, &op_scale_rows, (Value *[]){n->in[1], scale}, 2, NULL)->out[0];
	return absorb_with(g, n, w, scale, shift);
}
