/* batch_norm_train, batch_norm_grad: batch norm with the batch's own statistics, M = N*H*W numbers
 * a channel.
 *
 *   mean = sum x / M;  variance = sum (x - mean)^2 / M   (biased)
 *   inv = 1/sqrt(variance + eps);  hat = (x - mean) inv;  y = w hat + b
 *
 * One pass sums both. For the variance, from a number p among the channel's own (Chan, Golub,
 * LeVeque 1983, shifted data), or its digits would be lost where a mean is large:
 *
 *   variance = sum (x - p)^2 / M - (sum (x - p) / M)^2
 *
 * The second term, d^2, makes the variance's relative error 1 + d^2/variance times that of the
 * sums, whatever the mean is. On average over the numbers that p may be, d^2/variance is 1, so one
 * in R of them has more than R; and none has more than M, since p is one of those whose squares the
 * variance sums.
 *
 * Results are y, mean, variance and scale = w inv, so that y can be made again of x and the others.
 *
 * Gradient. With dhat = w dy and both statistics functions of x:
 *
 *   dvariance = sum dhat (x - mean) * -inv^3/2
 *   dmean = -inv sum dhat              (the variance's share of it is 0)
 *   dx = dhat inv + dvariance 2 (x - mean)/M + dmean/M
 *      = w inv (dy - db/M - hat dw/M)  where db = sum dy and dw = sum dy hat
 *
 * db and dw are the gradients of b and w. One nest sums both and leaves per channel s = w inv and
 * t = -s inv dw/M; a map then gives dx = s (dy - db/M) + t (x - mean). A gradient that reaches the
 * statistics themselves adds dmean/M and dvariance 2 (x - mean)/M. */
#include <math.h>

#include "batch_norm.h"
#include "map.h"

/* --- forward ------------------------------------------------------------------------------- */

static bool train_infer(Graph *g, Node *n)
{
	if (!norm_check(g, n, 0, 1, 3)) return false;
	Shape x = n->in[0]->shape, channels = shape_of(1, x.dim[1]);
	if (norm_count(&x) < 2)
		return infer_error(g, n,
		    "input is %s: batch norm in training needs more than one number "
		    "a channel; use a larger batch",
		    shape_text(g->arena, x));
	return infer_out(g, n, 0, x, TYPE_REAL) && infer_out(g, n, 1, channels, TYPE_REAL) &&
	       infer_out(g, n, 2, channels, TYPE_REAL) && infer_out(g, n, 3, channels, TYPE_REAL);
}

/* x where the sums begin: the middle of the first image. */
static Expr *lower_pivot(Lower *l, Nest *nest, const Value *x, int c)
{
	Index at[MAX_RANK];
	for (int d = 0; d < x->shape.rank; d++)
		at[d] = d == 1 ? index_var(c) : index_of(affine_number(d ? x->shape.dim[d] / 2 : 0));
	return e_load(lower_arena(l), lower_load(l, nest, "pivot", x, at));
}

/* Mean, variance, and scale = w inv for the map that follows. */
static void lower_statistics(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, "batch_norm_stats");
	Index at[MAX_RANK];
	int c = norm_dims(nest, x, true, at);
	Affine to[] = {affine_var(c)};
	Expr *share = e_num(a, 1 / (double)norm_count(x));
	Expr *load = e_load(a, lower_load(l, nest, "x", n->in[0], at));
	Expr *pivot = lower_pivot(l, nest, n->in[0], c);
	Expr *w = norm_load(l, nest, "w", n->in[1], c);
	Expr *from = e_op(a, E_SUB, load, pivot);
	Expr *term[] = {load, from, e_op(a, E_MUL, from, from)}, *average[COUNT(term)];
	for (int k = 0; k < COUNT(term); k++) {
		nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, k), term[k]));
		average[k] = e_op(a, E_MUL, e_acc(a, k), share);
	}
	Expr *variance = e_op(a, E_SUB, average[2], e_op(a, E_MUL, average[1], average[1]));
	variance = e_op(a, E_MAX, e_num(a, 0), variance); /* NaN passes */
	lower_store(l, nest, "mean", n->out[1], to, average[0]);
	lower_store(l, nest, "var", n->out[2], to, variance);
	lower_store(l, nest, "s", n->out[3], to, e_op(a, E_MUL, w, norm_inverse(a, n, variance)));
}

/* x, mean, scale, b */
static Expr *normalised(Arena *a, Expr *const *x, const double *p)
{
	(void)p;
	return e_op(a, E_ADD, e_op(a, E_MUL, e_op(a, E_SUB, x[0], x[1]), x[2]), x[3]);
}

static const char *const normalise_operand[] = {"x", "mean", "s", "b"};
static const MapExpr normalise = {.name = "batch_norm_train", .operands = 4, .value = normalised};

static void train_lower(Lower *l, const Node *n)
{
	const Value *from[] = {n->in[0], n->out[1], n->out[3], n->in[2]};
	Expr *x[COUNT(from)];
	lower_statistics(l, n);
	Nest *nest = lower_nest(l, n, normalise.name);
	map_dims(nest, &n->in[0]->shape);
	for (int k = 0; k < COUNT(from); k++)
		x[k] = map_load(l, nest, normalise_operand[k], from[k], &n->in[0]->shape);
	map_store(l, nest, "y", n->out[0], normalised(lower_arena(l), x, NULL));
}

/* With the statistics that are there. */
static Node *train_again(Graph *g, const Node *n, Value *const *in)
{
	Value *from[] = {in[0], n->out[1], n->out[3], in[2]};
	return graph_map(g, &normalise, from, COUNT(from), NULL, 0)->node;
}

/* The share of each x in its channel's mean and variance. p: 1/M. */
static Expr *mean_share(Arena *a, Expr *const *x, const double *p)
{
	return e_op(a, E_MUL, e_num(a, p[0]), x[1]); /* x, dmean */
}

static Expr *variance_share(Arena *a, Expr *const *x, const double *p)
{
	Expr *from_mean = e_op(a, E_SUB, x[0], x[1]); /* x, mean, dvariance */
	return e_op(a, E_MUL, e_op(a, E_MUL, e_num(a, 2 * p[0]), from_mean), x[2]);
}

static const MapExpr dx_by_mean = {.name = "mean_share", .operands = 2, .value = mean_share};
static const MapExpr dx_by_variance = {.name = "var_share", .operands = 3, .value = variance_share};

static void train_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0), *dmean = grad_of(grad, n, 1), *dvar = grad_of(grad, n, 2);
	Value *x = n->in[0], *mean = n->out[1], *variance = n->out[2];
	double share = 1 / (double)norm_count(&x->shape);
	if (dy) {
		AttrValue *attr = attrs_like(g->arena, &op_batch_norm_grad, n);
		Value *in[] = {dy, x, mean, variance, n->in[1]};
		Node *all = graph_op(g, &op_batch_norm_grad, in, 5, attr);
		for (int i = 0; i < 3; i++)
			if (grad_wanted(grad, n, i)) grad_add(grad, n, i, all->out[i]);
	}
	if (!grad_wanted(grad, n, 0)) return;
	if (dmean) grad_add(grad, n, 0, graph_map(g, &dx_by_mean, (Value *[]){x, dmean}, 2, &share, 1));
	if (dvar)
		grad_add(
		    grad, n, 0, graph_map(g, &dx_by_variance, (Value *[]){x, mean, dvar}, 3, &share, 1));
}

static void train_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[0]->shape;
	int64_t C = x->dim[1], count = shape_count(*x);
	double M = (double)norm_count(x), eps = attr_real(n, "eps");
	for (int64_t c = 0; c < C; c++) {
		double sum = 0, square = 0;
		for (int64_t i = 0; i < count; i++)
			if (norm_channel(x, i) == c) sum += in[0][i];
		for (int64_t i = 0; i < count; i++)
			if (norm_channel(x, i) == c) square += pow(in[0][i] - sum / M, 2);
		out[1][c] = sum / M;
		out[2][c] = square / M;
		out[3][c] = in[1][c] / sqrt(square / M + eps);
	}
	for (int64_t i = 0; i < count; i++) {
		int64_t c = norm_channel(x, i);
		out[0][i] = in[1][c] * (in[0][i] - out[1][c]) / sqrt(out[2][c] + eps) + in[2][c];
	}
}

static const Attr train_attrs[] = {ATTR_EPS, ATTR_END};

const OpDesc op_batch_norm_train = {
    .name = "batch_norm_train",
    .doc = "Batch norm with the batch's own mean and (biased) variance, which it also yields, and "
           "what it "
           "multiplies with.",
    .flags = 0,
    .min_in = 3,
    .max_in = 3,
    .attr = train_attrs,
    .infer = train_infer,
    .lower = train_lower,
    .gradient = train_gradient,
    .reference = train_reference,
    .cheap = 1,
    .again = train_again,
    .operands = "x w b",
    .samples = "x=1x1x2x3 w=1 b=1\n"
               "x=4x9x8x8+16 w=9 b=9\n"
               "x=2x17x4x5 w=17 b=17\n"
               "x=5x20 w=20 b=20 | eps=0.01\n"
               "x=3x32x1x1 w=32 b=32\n"
               "x=4x9x32x16 w=9 b=9\n"
               "x=2x3x5x7 w=3 b=3 | eps=0.001",
};

/* --- gradient ------------------------------------------------------------------------------ */

enum { DY, X, MEAN, VARIANCE, WEIGHT }; /* operands of batch_norm_grad; results: dx, dw, db */

static bool grad_infer(Graph *g, Node *n)
{
	if (!norm_check(g, n, X, MEAN, WEIGHT + 1)) return false;
	Shape x = n->in[X]->shape, channels = shape_of(1, x.dim[1]);
	if (!shape_same(n->in[DY]->shape, x))
		return infer_error(g, n, "the output's gradient is %s, input is %s",
		    shape_text(g->arena, n->in[DY]->shape), shape_text(g->arena, x));
	return infer_out(g, n, 0, x, TYPE_REAL) && infer_out(g, n, 1, channels, TYPE_REAL) &&
	       infer_out(g, n, 2, channels, TYPE_REAL);
}

/* dw = inv sum dy (x - mean), db = sum dy, and s, t. */
static void lower_sums(Lower *l, const Node *n, const Value *s, const Value *t)
{
	Arena *a = lower_arena(l);
	const Shape *shape = &n->in[X]->shape;
	Nest *nest = lower_nest(l, n, "batch_norm_sums");
	Index at[MAX_RANK];
	int c = norm_dims(nest, shape, true, at);
	Affine to[] = {affine_var(c)};
	Expr *dy = e_load(a, lower_load(l, nest, "dy", n->in[DY], at));
	Expr *x = e_load(a, lower_load(l, nest, "x", n->in[X], at));
	Expr *from_mean = e_op(a, E_SUB, x, norm_load(l, nest, "mean", n->in[MEAN], c));
	Expr *inv = norm_inverse(a, n, norm_load(l, nest, "var", n->in[VARIANCE], c));
	Expr *w = norm_load(l, nest, "w", n->in[WEIGHT], c);
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 0), dy));
	nest_acc(nest, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, 1), e_op(a, E_MUL, dy, from_mean)));
	Expr *dw = e_op(a, E_MUL, e_acc(a, 1), inv), *scale = e_op(a, E_MUL, w, inv);
	Expr *slope = e_op(a, E_MUL, e_op(a, E_MUL, scale, inv), dw);
	lower_store(l, nest, "dw", n->out[1], to, dw);
	lower_store(l, nest, "db", n->out[2], to, e_acc(a, 0));
	lower_store(l, nest, "s", s, to, scale);
	lower_store(
	    l, nest, "t", t, to, e_op(a, E_MUL, slope, e_num(a, -1 / (double)norm_count(shape))));
}

static void grad_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *shape = &n->in[X]->shape, *channels = &n->out[1]->shape;
	Value *vs = lower_temp(l, "batch_norm_s", *channels),
	      *vt = lower_temp(l, "batch_norm_t", *channels);
	lower_sums(l, n, vs, vt);

	Nest *nest = lower_nest(l, n, "batch_norm_dx");
	Index at[MAX_RANK];
	Affine to[MAX_RANK];
	int c = norm_dims(nest, shape, false, at);
	for (int d = 0; d < shape->rank; d++) to[d] = at[d].a;
	Expr *dy = e_load(a, lower_load(l, nest, "dy", n->in[DY], at));
	Expr *x = e_load(a, lower_load(l, nest, "x", n->in[X], at));
	Expr *mean = norm_load(l, nest, "mean", n->in[MEAN], c);
	Expr *db = norm_load(l, nest, "db", n->out[2], c);
	Expr *s = norm_load(l, nest, "s", vs, c), *t = norm_load(l, nest, "t", vt, c);
	Expr *share = e_op(a, E_MUL, db, e_num(a, 1 / (double)norm_count(shape)));
	Expr *left = e_op(a, E_MUL, s, e_op(a, E_SUB, dy, share));
	Expr *right = e_op(a, E_MUL, t, e_op(a, E_SUB, x, mean));
	lower_store(l, nest, "dx", n->out[0], to, e_op(a, E_ADD, left, right));
}

/* Straight from the chain rule, without the shortened form. */
static void grad_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[X]->shape;
	int64_t C = x->dim[1], count = shape_count(*x);
	double M = (double)norm_count(x), eps = attr_real(n, "eps");
	for (int64_t c = 0; c < C; c++) {
		double mean = in[MEAN][c], w = in[WEIGHT][c], inv = 1 / sqrt(in[VARIANCE][c] + eps);
		double dw = 0, db = 0, dmean = 0, dvar = 0;
		for (int64_t i = 0; i < count; i++) {
			if (norm_channel(x, i) != c) continue;
			double dy = in[DY][i], from_mean = in[X][i] - mean;
			db += dy;
			dw += dy * from_mean * inv;
			dmean -= w * dy * inv;
			dvar -= w * dy * from_mean * inv * inv * inv / 2;
		}
		for (int64_t i = 0; i < count; i++) {
			if (norm_channel(x, i) != c) continue;
			out[0][i] = w * in[DY][i] * inv + dvar * 2 * (in[X][i] - mean) / M + dmean / M;
		}
		out[1][c] = dw;
		out[2][c] = db;
	}
}

const OpDesc op_batch_norm_grad = {
    .name = "batch_norm_grad",
    .doc = "Gradients of batch_norm_train by its input, weight and bias.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 5,
    .max_in = 5,
    .attr = train_attrs,
    .infer = grad_infer,
    .lower = grad_lower,
    .reference = grad_reference,
    .operands = "dy x mean var w",
    .samples = "dy=1x1x2x3 x=1x1x2x3 mean=1 var=1>0 w=1\n"
               "dy=2x17x4x5 x=2x17x4x5 mean=17 var=17>0 w=17\n"
               "dy=5x20 x=5x20 mean=20 var=20>0 w=20 | eps=0.01\n"
               "dy=3x32x1x1 x=3x32x1x1 mean=32 var=32>0 w=32\n"
               "dy=4x9x32x16 x=4x9x32x16 mean=9 var=9>0 w=9\n"
               "dy=2x3x5x7 x=2x3x5x7 mean=3 var=3>0 w=3 | eps=0.001",
};
