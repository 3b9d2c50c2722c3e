/* class_loss: what cross_entropy and map_loss share. z = sign*x over the C classes of an image,
 * label k, perhaps a further class 0 that is never right, of the constant z0 (the floor):
 *
 *   m = max z (and z0);  l = log(sum of e^(z - m) (and e^(z0 - m)));  loss = mean of m + l - sum t
 * z
 *
 * Target t: [c = k], of which smoothing may spread a share over all C classes; sum t = 1, so that
 * the loss of an image is l - sum t (z - m): no large numbers are subtracted, nothing overflows,
 * since of the powers the largest is 1.
 *
 * Gradient: d(m + l)/dz = e^(z - m - l), the softmax, so dz = (e^((z - m) - l) - t)/N * dloss and
 * dx = sign*dz. m and l are kept from the forward pass: the gradient is one map.
 *
 * The label enters only as `c == label[n]`, never as an address. */
#include <math.h>

#include "class_loss.h"
#include "map.h"

static bool check_operands(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape x = n->in[0]->shape, label = n->in[1]->shape;
	if (x.rank != 2)
		return infer_error(g, n, "input is %s, expected batch x classes", shape_text(g->arena, x));
	if (!shape_same(label, shape_of(1, x.dim[0])))
		return infer_error(g, n, "input is %s, label is %s: one label for each image is needed",
		    shape_text(g->arena, x), shape_text(g->arena, label));
	int64_t classes = n->in[1]->node->kind == NODE_INPUT ? n->in[1]->node->classes : 0;
	if (classes > x.dim[1])
		return infer_error(g, n, "input is %s, it has %lld classes, label %s has %lld",
		    shape_text(g->arena, x), (long long)x.dim[1], n->in[1]->node->name, (long long)classes);
	return true;
}

bool class_loss_infer(Graph *g, Node *n)
{
	if (!check_operands(g, n)) return false;
	Shape rows = n->in[1]->shape;
	return infer_out(g, n, 0, (Shape){0}, TYPE_REAL) && infer_out(g, n, 1, rows, TYPE_REAL) &&
	       infer_out(g, n, 2, rows, TYPE_REAL);
}

/* --- forward ------------------------------------------------------------------------------ */

enum { N_DIM, C_DIM }; /* of every nest here */

static Nest *rows_nest(Lower *l, const Node *n, const char *name, bool gather)
{
	const Shape *x = &n->in[0]->shape;
	Nest *nest = lower_nest(l, n, name);
	nest_dim(nest, "n", x->dim[0], false);
	nest_dim(nest, "c", x->dim[1], gather);
	return nest;
}

static Expr *load_z(Lower *l, Nest *nest, const Node *n, const ClassLoss *c)
{
	Arena *a = lower_arena(l);
	Index at[] = {index_of(affine_var(N_DIM)), index_of(affine_var(C_DIM))};
	Expr *x = e_load(a, lower_load(l, nest, "x", n->in[0], at));
	if (c->sign == 1) return x;
	return c->sign == -1 ? e_negative(a, x) : e_times(a, e_num(a, c->sign), x);
}

static Expr *load_row(Lower *l, Nest *nest, const char *as, const Value *v)
{
	Index at[] = {index_of(affine_var(N_DIM))};
	return e_load(lower_arena(l), lower_load(l, nest, as, v, at));
}

static void store_row(Lower *l, Nest *nest, const char *as, const Value *v, Expr *e)
{
	lower_store(l, nest, as, v, (Affine[]){affine_var(N_DIM)}, e);
}

/* hit where the class is the label's, else miss. */
static Expr *by_label(Lower *l, Nest *nest, const Value *label, Expr *hit, Expr *miss)
{
	Arena *a = lower_arena(l);
	Expr *class = e_index(a, affine_var(C_DIM));
	return e_select(a, e_op(a, E_EQ, class, load_row(l, nest, "label", label)), hit, miss);
}

/* t of the class. */
static Expr *target(Lower *l, Nest *nest, const Node *n, const ClassLoss *c)
{
	Arena *a = lower_arena(l);
	double even = c->smoothing / (double)n->in[0]->shape.dim[1];
	Expr *hit = e_num(a, 1 - c->smoothing + even);
	return by_label(l, nest, n->in[1], hit, e_num(a, even));
}

static void lower_peak(Lower *l, const Node *n, const ClassLoss *c)
{
	Arena *a = lower_arena(l);
	Nest *nest = rows_nest(l, n, "row_max", true);
	Expr *z = load_z(l, nest, n, c);
	double start = c->has_floor ? c->floor : -INFINITY;
	nest_acc(nest, start, COMBINE_MAX, e_op(a, E_MAX, z, e_acc(a, 0)));
	store_row(l, nest, "peak", n->out[1], e_acc(a, 0));
}

/* l of each image, and its loss. The label's term is chosen, not multiplied, so that a score of
 * minus infinity elsewhere does no harm. */
static void lower_sums(Lower *l, const Node *n, const ClassLoss *c, const Value *loss)
{
	Arena *a = lower_arena(l);
	Nest *nest = rows_nest(l, n, "row_loss", true);
	Expr *z = load_z(l, nest, n, c), *peak = load_row(l, nest, "peak", n->out[1]);
	Expr *over = e_minus(a, z, peak);
	Expr *part = c->smoothing == 0 ? by_label(l, nest, n->in[1], over, e_num(a, 0))
	                               : e_times(a, target(l, nest, n, c), over);
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), e_call(a, FN_EXP, over, NULL)));
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 1), part));
	Expr *sum = e_acc(a, 0);
	if (c->has_floor)
		sum = e_plus(a, sum, e_call(a, FN_EXP, e_minus(a, e_num(a, c->floor), peak), NULL));
	Expr *logarithm = e_call(a, FN_LOG, sum, NULL);
	store_row(l, nest, "log_sum", n->out[2], logarithm);
	store_row(l, nest, "loss", loss, e_minus(a, logarithm, e_acc(a, 1)));
}

static void lower_mean(Lower *l, const Node *n, const Value *each)
{
	Arena *a = lower_arena(l);
	int64_t N = each->shape.dim[0];
	Nest *nest = lower_nest(l, n, "loss_mean");
	nest_dim(nest, "n", N, true);
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), load_row(l, nest, "each", each)));
	Affine nowhere[MAX_RANK] = {{0}};
	lower_store(
	    l, nest, "loss", n->out[0], nowhere, e_times(a, e_acc(a, 0), e_num(a, 1 / (double)N)));
}

void class_loss_lower(Lower *l, const Node *n, const ClassLoss *c)
{
	Value *each = lower_temp(l, "each", n->in[1]->shape);
	lower_peak(l, n, c);
	lower_sums(l, n, c, each);
	lower_mean(l, n, each);
}

/* --- gradient ----------------------------------------------------------------------------- */

void class_loss_gradient(Grad *grad, const Node *n, const OpDesc *dx)
{
	Graph *g = grad_graph(grad);
	Value *dloss = grad_of(grad, n, 0);
	if (!dloss || !grad_wanted(grad, n, 0)) return;
	Value *in[] = {n->in[0], n->in[1], n->out[1], n->out[2], dloss};
	AttrValue *attr = attrs_like(g->arena, dx, n);
	grad_add(grad, n, 0, graph_op(g, dx, in, COUNT(in), attr)->out[0]);
}

bool class_loss_dx_infer(Graph *g, Node *n)
{
	if (!check_operands(g, n)) return false;
	for (int k = 2; k < 4; k++)
		if (!shape_same(n->in[k]->shape, n->in[1]->shape))
			return infer_error(g, n, "label is %s, operand %d is %s",
			    shape_text(g->arena, n->in[1]->shape), k + 1,
			    shape_text(g->arena, n->in[k]->shape));
	if (n->in[4]->shape.rank != 0)
		return infer_error(g, n, "the loss is a scalar, its gradient is %s",
		    shape_text(g->arena, n->in[4]->shape));
	return infer_out(g, n, 0, n->in[0]->shape, TYPE_REAL);
}

void class_loss_dx_lower(Lower *l, const Node *n, const ClassLoss *c)
{
	Arena *a = lower_arena(l);
	const Shape *x = &n->in[0]->shape;
	Nest *nest = rows_nest(l, n, n->op->name, false);
	Expr *z = load_z(l, nest, n, c);
	Expr *over = e_minus(a, z, load_row(l, nest, "peak", n->in[2]));
	Expr *log_p = e_minus(a, over, load_row(l, nest, "log_sum", n->in[3]));
	Expr *wrong = e_minus(a, e_call(a, FN_EXP, log_p, NULL), target(l, nest, n, c));
	Expr *dloss = map_load(l, nest, "dloss", n->in[4], x);
	Expr *share = e_times(a, e_num(a, c->sign / (double)x->dim[0]), dloss);
	map_store(l, nest, "dx", n->out[0], e_times(a, wrong, share));
}
