/* map_reference: the oracles of elementwise operators. Each element of the result in row-major
 * order; each operand's element is found by its own coordinates, with 0 along the axes it lacks.
 * Shares nothing with the nests. */
#include <math.h>

#include "map.h"

/* The element of x that meets element `at` (coordinates) of a result of that rank. */
static int64_t element_of(const Shape *x, int rank, const int64_t *at)
{
	int64_t e = 0;
	for (int d = 0; d < x->rank; d++) {
		int axis = x->rank == 1 && rank > 1 ? 1 : d;
		e = e * x->dim[d] + (x->dim[d] == 1 ? 0 : at[axis]);
	}
	return e;
}

static void coordinates(const Shape *y, int64_t e, int64_t *at)
{
	for (int d = y->rank - 1; d >= 0; d--) {
		at[d] = e % y->dim[d];
		e /= y->dim[d];
	}
}

void map_reference(const Node *n, const double *const *in, double *const *out, MapPlain plain)
{
	const Shape *y = &n->out[0]->shape;
	double p[MAP_NUMBERS], x[MAP_OPERANDS];
	int64_t at[MAX_RANK];
	map_numbers(n, p);
	for (int64_t e = 0; e < shape_count(*y); e++) {
		coordinates(y, e, at);
		for (int k = 0; k < n->nin; k++) x[k] = in[k][element_of(&n->in[k]->shape, y->rank, at)];
		out[0][e] = plain(x, p);
	}
}

static double call(const Expr *e, double x, double y)
{
	switch (e->fn) {
	case FN_EXP: return exp(x);
	case FN_LOG: return log(x);
	case FN_SQRT: return sqrt(x);
	case FN_TANH: return tanh(x);
	case FN_ABS: return fabs(x);
	case FN_POW: return pow(x, y);
	}
	bug("function %d in a map", (int)e->fn);
}

static double value_of(const Expr *e, const double *x)
{
	if (e->kind == E_NUM) return e->number;
	if (e->kind == E_LOAD) return x[e->id];
	if (e->kind == E_SELECT)
		return value_of(e->arg[0], x) != 0 ? value_of(e->arg[1], x) : value_of(e->arg[2], x);
	double u = value_of(e->arg[0], x), v = e->arg[1] ? value_of(e->arg[1], x) : 0;
	switch (e->kind) {
	case E_ADD: return u + v;
	case E_SUB: return u - v;
	case E_MUL: return u * v;
	case E_DIV: return u / v;
	case E_MAX: return u > v ? u : v;
	case E_MIN: return u < v ? u : v;
	case E_GT: return u > v;
	case E_EQ: return u == v;
	case E_NE: return u != v;
	case E_OR: return u != 0 || v != 0;
	case E_AND: return u != 0 && v != 0;
	case E_CALL: return call(e, u, v);
	default: bug("expression %d in a map", (int)e->kind);
	}
}

void map_reference_expr(
    const Node *n, const double *const *in, double *out, const Expr *e, const int *leaf)
{
	const Shape *y = &n->out[0]->shape;
	double x[MAP_OPERANDS + 2] = {0};
	int64_t at[MAX_RANK];
	for (int64_t i = 0; i < shape_count(*y); i++) {
		coordinates(y, i, at);
		for (int k = 0; k < n->nin; k++)
			x[leaf[k]] = in[k][element_of(&n->in[k]->shape, y->rank, at)];
		out[i] = value_of(e, x);
	}
}
