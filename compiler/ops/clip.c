/* clip: gradients made smaller before the optimiser sees them, as PyTorch's clip_grad_norm_ and
 * clip_grad_value_ do; c is a number of the step, and where it is not above 0 nothing is clipped:
 *
 *   clip_norm    factor = min(1, c/(|g| + 1e-6)), g all gradients as one vector; g' = factor g
 *   clip_value   g' = min(max(g, -c), c)
 *
 * |g| is a sum in fixed parts: each of BLOCKS pieces of the row is summed in LANES interleaved
 * parts, whatever vectors and threads there are; what is left is a part of its own; then all parts.
 * A part may be millions of squares long, so what each addition rounds away is kept and given to
 * the next (Kahan, 1965). Squares that leave the range make |g| infinite and the gradient 0, as
 * there. */
#include <math.h>

#include "optimizer.h"

/* Parts are few, as an update has little memory. */
enum { BLOCKS = 4, LANES = 16, PARTS = BLOCKS * LANES };

static const double margin = 1e-6; /* PyTorch's, against a norm of 0 */

static Expr *number_at(Lower *l, Nest *nest, const Node *n)
{
	Index at[] = {index_of(affine_number(attr_int(n, "at")))};
	return e_load(lower_arena(l), lower_load(l, nest, "hyper", n->in[1], at));
}

static bool clip_infer(Graph *g, Node *n, Shape result)
{
	Shape hyper = n->in[1]->shape;
	int64_t at = attr_int(n, "at");
	if (hyper.rank != 1 || at >= hyper.dim[0])
		return infer_error(
		    g, n, "there is no number %lld in %s", (long long)at, shape_text(g->arena, hyper));
	return infer_out(g, n, 0, result, TYPE_REAL);
}

/* --- clip_factor -------------------------------------------------------------------------- */

static bool factor_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	if (n->in[0]->shape.rank != 1)
		return infer_error(
		    g, n, "the gradients are %s, expected one row", shape_text(g->arena, n->in[0]->shape));
	return clip_infer(g, n, (Shape){0});
}

/* Accumulator 0 is the sum, 1 what it lacks, with the sign changed. */
static void sum_squares(Lower *l, Nest *nest, const Node *n, Affine at)
{
	Arena *a = lower_arena(l);
	Expr *g = e_load(a, lower_load(l, nest, "g", n->in[0], (Index[]){index_of(at)}));
	Expr *sum = e_acc(a, 0), *more = e_minus(a, e_times(a, g, g), e_acc(a, 1));
	Expr *next = e_plus(a, sum, more);
	nest_acc(nest, 0, COMBINE_NONE, next);
	nest_acc(nest, 0, COMBINE_NONE, e_minus(a, e_minus(a, next, sum), more));
}

static Value *lower_parts(Lower *l, const Node *n, int64_t length)
{
	Value *part = lower_temp(l, "part", shape_of(2, (int64_t)BLOCKS, (int64_t)LANES));
	Nest *nest = lower_nest(l, n, "clip_parts");
	int block = nest_dim(nest, "block", BLOCKS, false), lane = nest_dim(nest, "lane", LANES, false);
	Affine i = affine_var(nest_dim(nest, "i", length, true));
	Affine row = affine_add(affine_scale(affine_var(block), length), i);
	sum_squares(l, nest, n, affine_add(affine_scale(row, LANES), affine_var(lane)));
	Affine at[] = {affine_var(block), affine_var(lane)};
	lower_store(l, nest, "part", part, at, e_acc(lower_arena(l), 0));
	return part;
}

static Value *lower_rest(Lower *l, const Node *n, int64_t first, int64_t count)
{
	Affine nowhere[MAX_RANK] = {{0}};
	Value *rest = lower_temp(l, "rest", (Shape){0});
	Nest *nest = lower_nest(l, n, "clip_rest");
	Affine i = affine_var(nest_dim(nest, "i", count, true));
	sum_squares(l, nest, n, affine_plus(i, first));
	lower_store(l, nest, "rest", rest, nowhere, e_acc(lower_arena(l), 0));
	return rest;
}

/* min(1, c/(sqrt(squares) + margin)), or 1. Where the sum has left the range it is infinite, or NaN
 * from what was kept: 0, as x > 0 ? x : 0 makes of a NaN. */
static Expr *factor_of(Lower *l, Nest *nest, const Node *n, Expr *squares)
{
	Arena *a = lower_arena(l);
	Expr *c = number_at(l, nest, n), *one = e_num(a, 1);
	Expr *norm = e_plus(a, e_call(a, FN_SQRT, squares, NULL), e_num(a, margin));
	Expr *factor = e_op(a, E_MIN, one, e_over(a, c, norm));
	factor = e_op(a, E_MAX, factor, e_num(a, 0));
	return e_select(a, e_above(a, c, e_num(a, 0)), factor, one);
}

static void factor_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	Affine nowhere[MAX_RANK] = {{0}};
	int64_t count = n->in[0]->shape.dim[0], length = count / PARTS, left = count % PARTS;
	const Value *part = length ? lower_parts(l, n, length) : NULL;
	const Value *rest = left ? lower_rest(l, n, length * PARTS, left) : NULL;
	Nest *nest = lower_nest(l, n, "clip_factor");
	Expr *squares = NULL;
	if (part) {
		Index at[2];
		at[0] = index_of(affine_var(nest_dim(nest, "block", BLOCKS, true)));
		at[1] = index_of(affine_var(nest_dim(nest, "lane", LANES, true)));
		Expr *load = e_load(a, lower_load(l, nest, "part", part, at));
		nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), load));
		squares = e_acc(a, 0);
	}
	if (rest) {
		Index at[MAX_RANK] = {{.q = 1}};
		Expr *load = e_load(a, lower_load(l, nest, "rest", rest, at));
		squares = squares ? e_plus(a, squares, load) : load;
	}
	lower_store(l, nest, "factor", n->out[0], nowhere, factor_of(l, nest, n, squares));
}

static void factor_reference(const Node *n, const double *const *in, double *const *out)
{
	double squares = 0, c = in[1][attr_int(n, "at")];
	for (int64_t e = 0; e < n->in[0]->shape.dim[0]; e++) squares += in[0][e] * in[0][e];
	out[0][0] = c > 0 ? fmin(1, c / (sqrt(squares) + margin)) : 1;
}

#define ATTR_AT                                                                                    \
	{                                                                                              \
		.name = "at", .type = ATTR_INT, .max = HYPER_LIMIT - 1, .doc = "which of the numbers is c" \
	}
static const Attr clip_attrs[] = {ATTR_AT, {.name = NULL}};

const OpDesc op_clip_factor = {
    .name = "clip_factor",
    .doc = "What gradients are multiplied with, so that all of them together are no longer than c.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = clip_attrs,
    .infer = factor_infer,
    .lower = factor_lower,
    .reference = factor_reference,
    .operands = "g hyper",
    .samples = "g=1 hyper=2>0\n"
               "g=17 hyper=5>0 | at=3\n"
               "g=64 hyper=3>0 | at=2\n"
               "g=1000 hyper=4>0 | at=1\n"
               "g=640 hyper=4 | at=1",
};

/* --- clip_value --------------------------------------------------------------------------- */

static bool value_infer(Graph *g, Node *n)
{
	return infer_begin(g, n) && clip_infer(g, n, n->in[0]->shape);
}

static void value_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *shape = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, "clip_value");
	map_dims(nest, shape);
	Expr *g = map_load(l, nest, "g", n->in[0], shape), *c = number_at(l, nest, n);
	Expr *held = e_op(a, E_MIN, e_op(a, E_MAX, g, e_negative(a, c)), c);
	Expr *clipped = e_select(a, e_above(a, c, e_num(a, 0)), held, g);
	map_store(l, nest, "clipped", n->out[0], clipped);
}

static void value_reference(const Node *n, const double *const *in, double *const *out)
{
	double c = in[1][attr_int(n, "at")];
	for (int64_t e = 0; e < shape_count(n->in[0]->shape); e++)
		out[0][e] = c > 0 ? fmax(-c, fmin(c, in[0][e])) : in[0][e];
}

const OpDesc op_clip_value = {
    .name = "clip_value",
    .doc = "Gradients held between -c and c.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 2,
    .max_in = 2,
    .attr = clip_attrs,
    .infer = value_infer,
    .lower = value_lower,
    .reference = value_reference,
    .operands = "g hyper",
    .samples = "g=17 hyper=4>0 | at=2\n"
               "g=6x1x5x5 hyper=4>0 | at=3\n"
               "g=10x84 hyper=2\n"
               "g=1x1x3x20 hyper=5>0",
};

/* --- in an update ------------------------------------------------------------------------- */

/* Where the number of that name is among those of a step; -1: the description does not ask for it.
 */
static int place_of(const Optimizer *o, const char *name)
{
	for (int i = 0; i < o->hypers; i++)
		if (!strcmp(o->hyper[i].name, name)) return i;
	return -1;
}

static Value *clip(Graph *g, const OpDesc *op, Value *gradient, Value *hyper, int at)
{
	Value *in[] = {gradient, hyper};
	AttrValue *attr = graph_attrs(g->arena, op);
	attr_set_int(op, attr, "at", at);
	return graph_op(g, op, in, 2, attr)->out[0];
}

bool clips_norm(const Optimizer *o) { return place_of(o, "clip_norm") >= 0; }

Value *graph_clip_factor(Graph *g, const Optimizer *o, Value *all, Value *hyper)
{
	return clip(g, &op_clip_factor, all, hyper, place_of(o, "clip_norm"));
}

MAP_BODY(product_value)
{
	MAP_UNUSED;
	return e_times(a, x[0], x[1]);
}
static const MapExpr product = {.name = "clip", .operands = 2, .value = product_value};

Value *graph_clip(Graph *g, const Optimizer *o, Value *gradient, Value *factor, Value *hyper)
{
	int value = place_of(o, "clip_value");
	if (factor) gradient = graph_map(g, &product, (Value *[]){gradient, factor}, 2, NULL, 0);
	return value < 0 ? gradient : clip(g, &op_clip_value, gradient, hyper, value);
}
