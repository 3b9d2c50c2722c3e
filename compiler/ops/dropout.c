/* dropout: in training each number is 0 with probability p, else 1/(1 - p) times itself; in
 * inference all are themselves (Srivastava et al. 2014, with the factor in training).
 *
 * Which ones is decided by integer arithmetic of (seed, step, layer, element), see hash_uniform():
 * the same for any number of threads, any target, and for the backward pass, which asks again
 * instead of keeping a mask:
 *   y = x k,  k = u < p ? 0 : 1/(1 - p);   dx = dy k.
 * So the gradient of the operator is the operator itself, applied to dy. */
#include "map.h"

/* --- dropout: replaced when a graph is instanced ------------------------------------------- */

static const Attr attrs[] = {
    {.name = "p",
        .type = ATTR_REAL,
        .value = 0.5,
        .min = 0,
        .max = 0.999,
        .position = 1,
        .doc = "the probability with which a number is left out"},
    {.name = NULL},
};

static bool same_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	return infer_out(g, n, 0, n->in[0]->shape, TYPE_REAL);
}

static const char *layer_name(const Node *n) { return n->layer ? n->layer : "dropout"; }

/* Layers draw other numbers each: by name and, of one name, by how many came before. */
static int64_t layer_key(const Graph *g, const Node *n)
{
	const char *name = layer_name(n);
	uint64_t key = hash_str(name);
	for (int i = 0; i < g->node.n; i++) {
		const Node *x = g->node.at[i];
		key += x->op == &op_dropout_train && !strcmp(layer_name(x), name) ? 2 : 0;
	}
	return (int64_t)(key >> 1);
}

static Value **expand(Expand *x, Node *n)
{
	Value **out = NEWS(x->graph->arena, Value *, 1);
	if (x->mode == MODE_INFER || attr_real(n, "p") == 0) {
		out[0] = x->in[0];
		return out;
	}
	AttrValue *attr = attrs_like(x->graph->arena, &op_dropout_train, n);
	attr_set_int(&op_dropout_train, attr, "layer", layer_key(x->graph, n));
	out[0] = graph_op(x->graph, &op_dropout_train, (Value *[]){x->in[0], x->seed}, 2, attr)->out[0];
	return out;
}

/* The node as it stands means inference. */
static void same_lower(Lower *l, const Node *n)
{
	const Shape *shape = &n->out[0]->shape;
	Nest *nest = lower_nest(l, n, "copy");
	map_dims(nest, shape);
	map_store(l, nest, "y", n->out[0], map_load(l, nest, "x", n->in[0], shape));
}

static void same_gradient(Grad *g, const Node *n)
{
	Value *dy = grad_of(g, n, 0);
	if (dy && grad_wanted(g, n, 0)) grad_add(g, n, 0, dy);
}

static void same_reference(const Node *n, const double *const *in, double *const *out)
{
	for (int64_t i = 0; i < shape_count(n->out[0]->shape); i++) out[0][i] = in[0][i];
}

const OpDesc op_dropout = {
    .name = "dropout",
    .doc = "In training leaves out each number with probability p and scales the others to make up "
           "for it.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .attr = attrs,
    .infer = same_infer,
    .expand = expand,
    .lower = same_lower,
    .gradient = same_gradient,
    .reference = same_reference,
    .operands = "x",
    .samples = "x=2x5x3x3\nx=3x20 | p=0.25",
};

/* --- dropout_train ------------------------------------------------------------------------- */

static void train_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *shape = &n->out[0]->shape;
	Nest *nest = lower_nest(l, n, "dropout");
	double p = attr_real(n, "p");
	Affine element = affine_number(0);
	map_dims(nest, shape);
	for (int d = 0; d < shape->rank; d++)
		element = affine_add(affine_scale(element, shape->dim[d]), affine_var(d));
	Expr *x = map_load(l, nest, "x", n->in[0], shape);
	int seed = lower_load(l, nest, "seed", n->in[1], (Index[]){index_of(affine_number(0))});
	Expr *u = e_hash(a, seed, (uint64_t)attr_int(n, "layer"), element);
	Expr *scaled = e_times(a, x, e_num(a, 1 / (1 - p)));
	map_store(
	    l, nest, "y", n->out[0], e_select(a, e_above(a, e_num(a, p), u), e_num(a, 0), scaled));
}

static void train_gradient(Grad *grad, const Node *n)
{
	Value *dy = grad_of(grad, n, 0);
	if (!dy || !grad_wanted(grad, n, 0)) return;
	Node *again =
	    graph_op(grad_graph(grad), &op_dropout_train, (Value *[]){dy, n->in[1]}, 2, n->attr);
	grad_add(grad, n, 0, again->out[0]);
}

static void train_reference(const Node *n, const double *const *in, double *const *out)
{
	double p = attr_real(n, "p");
	for (int64_t i = 0; i < shape_count(n->out[0]->shape); i++) {
		double u = hash_uniform(
		    (uint64_t)in[1][0], (uint64_t)in[1][1], (uint64_t)attr_int(n, "layer"), (uint64_t)i);
		out[0][i] = u < p ? 0 : in[0][i] / (1 - p);
	}
}

static const Attr train_attrs[] = {
    {.name = "p",
        .type = ATTR_REAL,
        .value = 0.5,
        .min = 0,
        .max = 0.999,
        .doc = "the probability with which a number is left out"},
    {.name = "layer",
        .type = ATTR_INT,
        .min = 1,
        .max = 0,
        .doc = "which numbers are drawn: another for each layer"},
    {.name = NULL},
};

const OpDesc op_dropout_train = {
    .name = "dropout_train",
    .doc = "Zero with probability p, else x/(1 - p), from (seed, step, layer, element).",
    .flags = 0,
    .min_in = 2,
    .max_in = 2,
    .attr = train_attrs,
    .infer = same_infer,
    .lower = train_lower,
    .gradient = train_gradient,
    .reference = train_reference,
    .operands = "x seed",
    .samples = "x=2x17x3x5 seed=2 | p=0.25 layer=77\nx=3x20 seed=2\nx=1x32x4x4 seed=2 | p=0.75",
};
