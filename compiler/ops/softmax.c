/* softmax, log_softmax: over the channels (axis 1), for each image and pixel.
 *
 *   m = max over c of x;  s = sum over c of e^(x - m);  y = e^(x - m)/s  or  y = (x - m) - log s
 *
 * so that nothing overflows. Gradients, from dyk/dxc = yk ([k = c] - yc) and, of the logarithm,
 * [k = c] - e^yc:
 *   softmax      dx = y (dy - sum over c of dy y)
 *   log_softmax  dx = dy - e^y (sum over c of dy)
 * Both read y and not x; they are maps about one sum over the channels. */
#include <math.h>

#include "map.h"

enum { CHANNELS = 1 };

static bool soft_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape x = n->in[0]->shape;
	if (x.rank < 2)
		return infer_error(
		    g, n, "input is %s, expected batch x channels and then any", shape_text(g->arena, x));
	return infer_out(g, n, 0, x, TYPE_REAL);
}

/* --- nests -------------------------------------------------------------------------------- */

/* One number for each image and pixel: x's shape with one channel. */
static Value *row_temp(Lower *l, const char *name, const Shape *x)
{
	Shape rows = *x;
	rows.dim[CHANNELS] = 1;
	return lower_temp(l, name, rows);
}

/* Dims like x's axes. Sets the index of x and that of a row_temp. */
static void row_dims(Nest *nest, const Shape *x, bool gather, Index *at, Index *row)
{
	for (int d = 0; d < x->rank; d++) {
		int dim = nest_dim(nest, axis_name(x->rank, d), x->dim[d], gather && d == CHANNELS);
		at[d] = index_of(affine_var(dim));
		row[d] = d == CHANNELS ? index_of(affine_number(0)) : at[d];
	}
}

static void store_row(
    Lower *l, Nest *nest, const char *as, const Value *v, const Index *row, Expr *e)
{
	Affine at[MAX_RANK];
	for (int d = 0; d < v->shape.rank; d++) at[d] = row[d].a;
	lower_store(l, nest, as, v, at, e);
}

static void lower_rows(Lower *l, const Node *n, bool logarithm)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Value *peak = row_temp(l, "peak", x), *total = row_temp(l, "total", x);
	Index at[MAX_RANK], row[MAX_RANK];

	Nest *largest = lower_nest(l, n, "row_max");
	row_dims(largest, x, true, at, row);
	Expr *v = e_load(a, lower_load(l, largest, "x", n->in[0], at));
	nest_acc(largest, -INFINITY, COMBINE_MAX, e_op(a, E_MAX, v, e_acc(a, 0)));
	store_row(l, largest, "peak", peak, row, e_acc(a, 0));

	Nest *sums = lower_nest(l, n, "row_sum");
	row_dims(sums, x, true, at, row);
	v = e_load(a, lower_load(l, sums, "x", n->in[0], at));
	Expr *m = e_load(a, lower_load(l, sums, "peak", peak, row));
	Expr *power = e_call(a, FN_EXP, e_minus(a, v, m), NULL);
	nest_acc(sums, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), power));
	Expr *s =
	    logarithm ? e_call(a, FN_LOG, e_acc(a, 0), NULL) : e_over(a, e_num(a, 1), e_acc(a, 0));
	store_row(l, sums, "total", total, row, s);

	Nest *map = lower_nest(l, n, n->op->name);
	row_dims(map, x, false, at, row);
	v = e_load(a, lower_load(l, map, "x", n->in[0], at));
	m = e_load(a, lower_load(l, map, "peak", peak, row));
	s = e_load(a, lower_load(l, map, "total", total, row));
	Expr *over = e_minus(a, v, m);
	map_store(l, map, "y", n->out[0],
	    logarithm ? e_minus(a, over, s) : e_times(a, e_call(a, FN_EXP, over, NULL), s));
}

static void soft_lower(Lower *l, const Node *n) { lower_rows(l, n, false); }
static void log_lower(Lower *l, const Node *n) { lower_rows(l, n, true); }

/* --- gradients ---------------------------------------------------------------------------- */

static Value *channel_total(Graph *g, Value *x)
{
	AttrValue *attr = graph_attrs(g->arena, &op_sum);
	attr[attr_index(&op_sum, "axes")].axes = UINT32_C(1) << CHANNELS;
	attr_set_bool(&op_sum, attr, "keep", true);
	return graph_op(g, &op_sum, &x, 1, attr)->out[0];
}

/* y (dy - t): x[0] y, x[1] dy, x[2] t. */
MAP_BODY(soft_dx)
{
	MAP_UNUSED;
	return e_times(a, x[0], e_minus(a, x[1], x[2]));
}

/* dy - e^y t */
MAP_BODY(log_dx)
{
	MAP_UNUSED;
	return e_minus(a, x[1], e_times(a, e_call(a, FN_EXP, x[0], NULL), x[2]));
}

static const MapExpr soft_back = {.name = "softmax_dx", .operands = 3, .value = soft_dx};
static const MapExpr log_back = {.name = "log_softmax_dx", .operands = 3, .value = log_dx};

static void soft_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0), *y = n->out[0];
	if (!dy || !grad_wanted(grad, n, 0)) return;
	Value *product = graph_op(g, &op_mul, (Value *[]){dy, y}, 2, NULL)->out[0];
	Value *t = channel_total(g, product);
	grad_add(grad, n, 0, graph_map(g, &soft_back, (Value *[]){y, dy, t}, 3, NULL, 0));
}

static void log_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0), *y = n->out[0];
	if (!dy || !grad_wanted(grad, n, 0)) return;
	Value *t = channel_total(g, dy);
	grad_add(grad, n, 0, graph_map(g, &log_back, (Value *[]){y, dy, t}, 3, NULL, 0));
}

/* --- oracles ------------------------------------------------------------------------------ */

static void rows_reference(const Node *n, const double *x, double *y, bool logarithm)
{
	const Shape *s = &n->in[0]->shape;
	int64_t C = s->dim[CHANNELS], pixels = shape_count(*s) / (s->dim[0] * C);
	for (int64_t i = 0; i < s->dim[0] * pixels; i++) {
		int64_t first = i / pixels * C * pixels + i % pixels;
		double most = x[first], sum = 0;
		for (int64_t c = 1; c < C; c++) most = fmax(most, x[first + c * pixels]);
		for (int64_t c = 0; c < C; c++) sum += exp(x[first + c * pixels] - most);
		for (int64_t c = 0; c < C; c++) {
			double over = x[first + c * pixels] - most;
			y[first + c * pixels] = logarithm ? over - log(sum) : exp(over) / sum;
		}
	}
}

static void soft_reference(const Node *n, const double *const *in, double *const *out)
{
	rows_reference(n, in[0], out[0], false);
}

static void log_reference(const Node *n, const double *const *in, double *const *out)
{
	rows_reference(n, in[0], out[0], true);
}

#define SOFT_SAMPLES "x=1x1\nx=3x10\nx=2x17x3x5\nx=4x20\nx=1x16x4x4\nx=2x17x6"

const OpDesc op_softmax = {
    .name = "softmax",
    .doc = "exp(x) over its sum over the channels: probabilities from scores.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .infer = soft_infer,
    .lower = soft_lower,
    .gradient = soft_gradient,
    .reference = soft_reference,
    .operands = "x",
    .samples = SOFT_SAMPLES,
};

const OpDesc op_log_softmax = {
    .name = "log_softmax",
    .doc = "The logarithm of softmax, computed without it.",
    .flags = OP_METHOD,
    .min_in = 1,
    .max_in = 1,
    .infer = soft_infer,
    .lower = log_lower,
    .gradient = log_gradient,
    .reference = log_reference,
    .operands = "x",
    .samples = SOFT_SAMPLES,
};
