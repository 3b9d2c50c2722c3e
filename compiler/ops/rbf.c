/* rbf: y[n,i] = sum over j of (x[n,j] - w[i,j])^2: the squared distance of each image's features to
 * the vector of each class. The output layer of LeNet-5 (LeCun et al. 1998, equation 7), where w is
 * a constant: drawings of the characters, 7x12 numbers of -1 and 1.
 *
 * Gradient: d(x - w)^2 = 2 (x - w) (dx - dw), so
 *   dx[n,j] = 2 sum over i of dy[n,i] (x[n,j] - w[i,j])
 *   dw[i,j] = -2 sum over n of dy[n,i] (x[n,j] - w[i,j])   where w is no constant. */
#include "map.h"

static bool check_table(Graph *g, Node *n, int first)
{
	if (!infer_begin(g, n)) return false;
	Shape x = n->in[first]->shape, w = n->in[first + 1]->shape;
	if (x.rank != 2)
		return infer_error(g, n, "input is %s, expected batch x features; flatten() first",
		    shape_text(g->arena, x));
	if (w.rank != 2 || w.dim[1] != x.dim[1])
		return infer_error(g, n, "input is %s, the table is %s, expected classes x %lld",
		    shape_text(g->arena, x), shape_text(g->arena, w), (long long)x.dim[1]);
	return true;
}

static bool rbf_infer(Graph *g, Node *n)
{
	return check_table(g, n, 0) &&
	       infer_out(
	           g, n, 0, shape_of(2, n->in[0]->shape.dim[0], n->in[1]->shape.dim[0]), TYPE_REAL);
}

/* --- nests: dims n, oc (the class) and ic (the feature), one of them reduced -------------- */

typedef struct {
	Nest *nest;
	int n, oc, ic;
} Dims;

static Dims rbf_dims(Lower *l, const Node *n, const Value *x, const Value *w, char reduced)
{
	Dims d = {.nest = lower_nest(l, n, n->op->name)};
	d.n = nest_dim(d.nest, "n", x->shape.dim[0], reduced == 'n');
	d.oc = nest_dim(d.nest, "oc", w->shape.dim[0], reduced == 'o');
	d.ic = nest_dim(d.nest, "ic", x->shape.dim[1], reduced == 'i');
	return d;
}

static Expr *load_at(Lower *l, const Dims *d, const char *as, const Value *v, int row, int col)
{
	Index at[] = {index_of(affine_var(row)), index_of(affine_var(col))};
	return e_load(lower_arena(l), lower_load(l, d->nest, as, v, at));
}

static Expr *distance(Lower *l, const Dims *d, const Value *x, const Value *w)
{
	Expr *from = load_at(l, d, "x", x, d->n, d->ic);
	return e_minus(lower_arena(l), from, load_at(l, d, "w", w, d->oc, d->ic));
}

/* Sums `term` and stores factor times the sum. */
static void sum_into(Lower *l, const Dims *d, const char *as, const Value *v, int row, int col,
    Expr *term, double factor)
{
	Arena *a = lower_arena(l);
	nest_acc(d->nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), term));
	Affine at[] = {affine_var(row), affine_var(col)};
	lower_store(l, d->nest, as, v, at, e_times(a, e_num(a, factor), e_acc(a, 0)));
}

static void rbf_lower(Lower *l, const Node *n)
{
	Dims d = rbf_dims(l, n, n->in[0], n->in[1], 'i');
	Expr *off = distance(l, &d, n->in[0], n->in[1]);
	sum_into(l, &d, "y", n->out[0], d.n, d.oc, e_times(lower_arena(l), off, off), 1);
}

static void dx_lower(Lower *l, const Node *n)
{
	Dims d = rbf_dims(l, n, n->in[1], n->in[2], 'o');
	Expr *dy = load_at(l, &d, "dy", n->in[0], d.n, d.oc);
	Expr *off = distance(l, &d, n->in[1], n->in[2]);
	sum_into(l, &d, "dx", n->out[0], d.n, d.ic, e_times(lower_arena(l), dy, off), 2);
}

static void dw_lower(Lower *l, const Node *n)
{
	Dims d = rbf_dims(l, n, n->in[1], n->in[2], 'n');
	Expr *dy = load_at(l, &d, "dy", n->in[0], d.n, d.oc);
	Expr *off = distance(l, &d, n->in[1], n->in[2]);
	sum_into(l, &d, "dw", n->out[0], d.oc, d.ic, e_times(lower_arena(l), dy, off), -2);
}

/* --- gradient ----------------------------------------------------------------------------- */

static void rbf_gradient(Grad *grad, const Node *n)
{
	const OpDesc *const by[] = {&op_rbf_dx, &op_rbf_dw};
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0);
	if (!dy) return;
	for (int k = 0; k < 2; k++) {
		if (!grad_wanted(grad, n, k)) continue;
		Value *in[] = {dy, n->in[0], n->in[1]};
		grad_add(grad, n, k, graph_op(g, by[k], in, 3, NULL)->out[0]);
	}
}

/* result: the operand whose gradient this is. */
static bool back_infer(Graph *g, Node *n, int result)
{
	if (!check_table(g, n, 1)) return false;
	Shape y = shape_of(2, n->in[1]->shape.dim[0], n->in[2]->shape.dim[0]);
	if (!shape_same(n->in[0]->shape, y))
		return infer_error(g, n, "the output's gradient is %s, the output is %s",
		    shape_text(g->arena, n->in[0]->shape), shape_text(g->arena, y));
	return infer_out(g, n, 0, n->in[result]->shape, TYPE_REAL);
}

static bool dx_infer(Graph *g, Node *n) { return back_infer(g, n, 1); }
static bool dw_infer(Graph *g, Node *n) { return back_infer(g, n, 2); }

/* --- oracles ------------------------------------------------------------------------------ */

static void rbf_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t N = n->in[0]->shape.dim[0], F = n->in[0]->shape.dim[1], C = n->in[1]->shape.dim[0];
	for (int64_t p = 0; p < N; p++)
		for (int64_t i = 0; i < C; i++) {
			double sum = 0;
			for (int64_t j = 0; j < F; j++) {
				double off = in[0][p * F + j] - in[1][i * F + j];
				sum += off * off;
			}
			out[0][p * C + i] = sum;
		}
}

/* Scatters each term of the derivative into dx or dw (the other is NULL). */
static void back_reference(const Node *n, const double *const *in, double *dx, double *dw)
{
	int64_t N = n->in[1]->shape.dim[0], F = n->in[1]->shape.dim[1], C = n->in[2]->shape.dim[0];
	for (int64_t e = 0; dx && e < N * F; e++) dx[e] = 0;
	for (int64_t e = 0; dw && e < C * F; e++) dw[e] = 0;
	for (int64_t p = 0; p < N; p++)
		for (int64_t i = 0; i < C; i++)
			for (int64_t j = 0; j < F; j++) {
				double pull = 2 * (in[1][p * F + j] - in[2][i * F + j]) * in[0][p * C + i];
				if (dx) dx[p * F + j] += pull;
				if (dw) dw[i * F + j] -= pull;
			}
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	back_reference(n, in, out[0], NULL);
}

static void dw_reference(const Node *n, const double *const *in, double *const *out)
{
	back_reference(n, in, NULL, out[0]);
}

/* The paper's output layer: 84 inputs of 10 classes, 840 connections, none of them trained. */
static Cost rbf_cost(const Node *n)
{
	const Shape *w = &n->in[1]->shape;
	int64_t pairs = shape_count(*w);
	bool trained = n->in[1]->node->kind == NODE_READ;
	return (Cost){.connections = pairs, .macs = pairs, .parameters = trained ? pairs : 0};
}

const OpDesc op_rbf = {
    .name = "rbf",
    .doc = "The squared distance to each row of a table: the output layer of LeCun et al. 1998.",
    .flags = OP_METHOD,
    .min_in = 2,
    .max_in = 2,
    .infer = rbf_infer,
    .lower = rbf_lower,
    .gradient = rbf_gradient,
    .reference = rbf_reference,
    .cost = rbf_cost,
    .operands = "x w",
    .samples = "x=1x1 w=1x1\nx=3x84 w=10x84\nx=2x17 w=20x17\nx=5x6 w=3x6\nx=4x16 w=16x16",
};

#define BACK_SAMPLES                                                                               \
	"dy=1x1 x=1x1 w=1x1\ndy=3x10 x=3x84 w=10x84\ndy=2x20 x=2x17 w=20x17\ndy=5x3 x=5x6 w=3x6"

const OpDesc op_rbf_dx = {
    .name = "rbf_dx",
    .doc = "Gradient of rbf by its input.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 3,
    .max_in = 3,
    .infer = dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "dy x w",
    .samples = BACK_SAMPLES,
};

const OpDesc op_rbf_dw = {
    .name = "rbf_dw",
    .doc = "Gradient of rbf by its table.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 3,
    .max_in = 3,
    .infer = dw_infer,
    .lower = dw_lower,
    .reference = dw_reference,
    .operands = "dy x w",
    .samples = BACK_SAMPLES,
};
