/* map: what elementwise operators share: broadcasting, dims, loads and oracles; see map.c. */
#ifndef CNNC_OPS_MAP_H
#define CNNC_OPS_MAP_H

#include "../op.h"

enum {
	MAP_OPERANDS = 6,    /* of one map */
	MAP_DERIVATIVES = 3, /* operands that may have a gradient */
	MAP_NUMBERS = 4
};

/* The node's ATTR_REAL attributes in order. */
void map_numbers(const Node *n, double p[MAP_NUMBERS]);

/* The axis of a result of that rank along which dim d of an operand runs: its own place from the
 * front, but the only dim of a vector is the channels'. */
static inline int map_axis(int operand_rank, int result_rank, int d)
{
	return operand_rank == 1 && result_rank > 1 ? 1 : d;
}

/* What axis d is called in nests. */
const char *axis_name(int rank, int d);
/* Space dims 0..rank-1 of a nest that has none yet: those of `result`. */
void map_dims(Nest *nest, const Shape *result);
/* v at the nest's point, broadcast to a result of that shape, whose axis d is the nest's dim d. A
 * scalar that is known at compile time becomes a number. */
Expr *map_load(Lower *l, Nest *nest, const char *as, const Value *v, const Shape *result);
void map_store(Lower *l, Nest *nest, const char *as, const Value *v, Expr *e);

/* The oracle of an elementwise operator: plain C for one element, of operands x and numbers p. */
typedef double (*MapPlain)(const double *x, const double *p);
void map_reference(const Node *n, const double *const *in, double *const *out, MapPlain plain);
/* The oracles of `map` and `map_grad`: x[0..nx-1] are the leaves of e; operand k of n is
 * x[leaf[k]].
 */
void map_reference_expr(
    const Node *n, const double *const *in, double *out, const Expr *e, const int *leaf);

/* --- bodies: x*y of numbers is a number, and 1*x is x ------------------------------------- */

static inline Expr *e_plus(Arena *a, Expr *x, Expr *y) { return e_op(a, E_ADD, x, y); }
static inline Expr *e_minus(Arena *a, Expr *x, Expr *y) { return e_op(a, E_SUB, x, y); }
static inline Expr *e_over(Arena *a, Expr *x, Expr *y) { return e_op(a, E_DIV, x, y); }
static inline Expr *e_negative(Arena *a, Expr *x) { return e_minus(a, e_num(a, 0), x); }
static inline Expr *e_above(Arena *a, Expr *x, Expr *y) { return e_op(a, E_GT, x, y); }

static inline Expr *e_times(Arena *a, Expr *x, Expr *y)
{
	if (x->kind == E_NUM && y->kind == E_NUM) return e_num(a, x->number * y->number);
	if (x->kind == E_NUM && x->number == 1) return y;
	if (y->kind == E_NUM && y->number == 1) return x;
	return e_op(a, E_MUL, x, y);
}

/* The two functions of a body and the oracle's, with everything they might need in scope. */
#define MAP_BODY(name) static Expr *name(Arena *a, Expr *const *x, const double *p)
#define MAP_UNUSED ((void)a, (void)x, (void)p)
#define MAP_PLAIN(name, value)                                                                     \
	static double name##_plain(const double *x, const double *p)                                   \
	{                                                                                              \
		(void)x;                                                                                   \
		(void)p;                                                                                   \
		return value;                                                                              \
	}                                                                                              \
	static void name##_reference(const Node *n, const double *const *in, double *const *out)       \
	{                                                                                              \
		map_reference(n, in, out, name##_plain);                                                   \
	}
/* What all elementwise descriptors say alike. */
#define MAP_FIELDS(count)                                                                          \
	.flags = OP_METHOD, .min_in = (count), .max_in = (count), .infer = map_infer,                  \
	.lower = map_lower, .gradient = map_gradient, .cheap = 1

/* A real attribute that may be any number. */
#define ATTR_ANY_REAL(word, preset, at, text)                                                      \
	{                                                                                              \
		.name = (word), .type = ATTR_REAL, .value = (preset), .min = 1, .max = 0,                  \
		.position = (at), .doc = (text)                                                            \
	}

#endif
