/* reduction: see reduction.h. */
#include "reduction.h"

#include "map.h"

static bool reduces(const Reduction *r, int d) { return r->axes >> d & 1; }

Reduction reduction_over(const Shape *x, uint32_t axes, bool keep)
{
	Reduction r = {.axes = axes & ((UINT32_C(1) << x->rank) - 1)};
	for (int d = 0; d < x->rank; d++) r.place[d] = reduces(&r, d) && !keep ? -1 : r.rank++;
	return r;
}

Reduction reduction_to(const Shape *x, uint32_t axes, int rank)
{
	Reduction r = {.axes = axes, .rank = rank};
	for (int d = 0; d < x->rank; d++) r.place[d] = -1;
	for (int d = 0; d < rank; d++) r.place[map_axis(rank, x->rank, d)] = d;
	return r;
}

Shape reduction_shape(const Reduction *r, const Shape *x)
{
	Shape y = {.rank = r->rank};
	for (int d = 0; d < x->rank; d++)
		if (r->place[d] >= 0) y.dim[r->place[d]] = reduces(r, d) ? 1 : x->dim[d];
	return y;
}

int64_t reduction_count(const Reduction *r, const Shape *x)
{
	int64_t count = 1;
	for (int d = 0; d < x->rank; d++)
		if (reduces(r, d)) count *= x->dim[d];
	return count;
}

void reduction_dims(
    Nest *nest, const Reduction *r, const Shape *x, bool gather, Index *at_x, Affine *at_y)
{
	for (int d = 0; d < r->rank; d++) at_y[d] = affine_number(0);
	for (int d = 0; d < x->rank; d++) {
		int dim = nest_dim(nest, axis_name(x->rank, d), x->dim[d], gather && reduces(r, d));
		at_x[d] = index_of(affine_var(dim));
		if (!reduces(r, d) && r->place[d] >= 0) at_y[r->place[d]] = affine_var(dim);
	}
}

static void one_sum(
    Lower *l, const Node *n, const Reduction *r, const Value *x, const Value *y, double factor)
{
	Arena *a = lower_arena(l);
	Index at_x[MAX_RANK] = {{.q = 1}};
	Affine at_y[MAX_RANK] = {{0}};
	Nest *nest = lower_nest(l, n, n->op->name);
	reduction_dims(nest, r, &x->shape, true, at_x, at_y);
	Expr *load = e_load(a, lower_load(l, nest, "x", x, at_x));
	nest_acc(nest, 0, COMBINE_SUM, e_plus(a, e_acc(a, 0), load));
	lower_store(l, nest, "y", y, at_y, e_times(a, e_acc(a, 0), e_num(a, factor)));
}

void reduction_sum(
    Lower *l, const Node *n, const Reduction *r, const Value *x, const Value *y, double factor)
{
	uint32_t all = (UINT32_C(1) << x->shape.rank) - 1;
	if (x->shape.rank < 2 || r->axes != all || x->shape.dim[0] == 1) {
		one_sum(l, n, r, x, y, factor);
		return;
	}
	Reduction each = reduction_over(&x->shape, all & ~UINT32_C(1), false);
	Value *part = lower_temp(l, "part", reduction_shape(&each, &x->shape));
	Reduction rest = {.axes = 1, .rank = r->rank, .place = {r->rank ? 0 : -1}};
	one_sum(l, n, &each, x, part, 1);
	one_sum(l, n, &rest, part, y, factor);
}

int64_t reduction_element(const Reduction *r, const Shape *x, int64_t e)
{
	int64_t at[MAX_RANK] = {0}, y = 0;
	Shape shape = reduction_shape(r, x);
	for (int d = x->rank - 1; d >= 0; d--) {
		if (!reduces(r, d) && r->place[d] >= 0) at[r->place[d]] = e % x->dim[d];
		e /= x->dim[d];
	}
	for (int d = 0; d < shape.rank; d++) y = y * shape.dim[d] + at[d];
	return y;
}

int64_t reduction_order(const Reduction *r, const Shape *x, int64_t e)
{
	int64_t order = 0, step = 1;
	for (int d = x->rank - 1; d >= 0; d--) {
		if (reduces(r, d)) {
			order += step * (e % x->dim[d]);
			step *= x->dim[d];
		}
		e /= x->dim[d];
	}
	return order;
}
