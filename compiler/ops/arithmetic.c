/* Arithmetic of two values, with broadcasting: add, sub, mul, div, maximum, minimum.
 *
 * In a gradient of two operands: x[2] is the result z, x[3] is its gradient dz. A gradient that is
 * dz itself costs no node. Functions of one value are in elementary.c. */
#include <math.h>

#include "map.h"

#define Z x[2]
#define DZ x[3]
#define READS(operands) ((operands) | 1u << 3)

/* Names one body and its descriptor; what differs is given. */
#define BINARY(id, word, stem, text, lines)                                                        \
	const OpDesc op_##id = {                                                                       \
	    .name = #id,                                                                               \
	    .sign = word,                                                                              \
	    .doc = text,                                                                               \
	    MAP_FIELDS(2),                                                                             \
	    .body = &stem,                                                                             \
	    .reference = stem##_reference,                                                             \
	    .operands = "x y",                                                                         \
	    .samples = lines,                                                                          \
	}

MAP_BODY(same_dz)
{
	MAP_UNUSED;
	return DZ;
}

MAP_BODY(minus_dz)
{
	MAP_UNUSED;
	return e_negative(a, DZ);
}

/* --- z = x + y, z = x - y ----------------------------------------------------------------- */

MAP_BODY(add_value)
{
	MAP_UNUSED;
	return e_plus(a, x[0], x[1]);
}

MAP_BODY(sub_value)
{
	MAP_UNUSED;
	return e_minus(a, x[0], x[1]);
}

static const MapExpr sum = {.name = "add",
    .operands = 2,
    .value = add_value,
    .gradient = {{same_dz, READS(0)}, {same_dz, READS(0)}}};
static const MapExpr difference = {.name = "sub",
    .operands = 2,
    .value = sub_value,
    .gradient = {{same_dz, READS(0)}, {minus_dz, READS(0)}}};

MAP_PLAIN(sum, x[0] + x[1])
MAP_PLAIN(difference, x[0] - x[1])

BINARY(add, "+", sum, "x + y.",
    "x=2x17x3x5 y=2x17x3x5\nx=3x20 y=20\nx=1x16x4x4 y=1x16x1x1\nx= y=\nx=2x6x3x1 y=2x1x3x7");
BINARY(sub, "-", difference, "x - y.",
    "x=2x17x3x5 y=2x17x3x5\nx=3x1 y=3x20\nx=16 y=1x16x4x4\nx= y=3x10\nx= y=");

/* --- z = x y: dx = dz y, dy = dz x -------------------------------------------------------- */

MAP_BODY(mul_value)
{
	MAP_UNUSED;
	return e_times(a, x[0], x[1]);
}

MAP_BODY(mul_dx)
{
	MAP_UNUSED;
	return e_times(a, DZ, x[1]);
}

MAP_BODY(mul_dy)
{
	MAP_UNUSED;
	return e_times(a, DZ, x[0]);
}

static const MapExpr product = {.name = "mul",
    .operands = 2,
    .value = mul_value,
    .gradient = {{mul_dx, READS(1u << 1)}, {mul_dy, READS(1u << 0)}}};

MAP_PLAIN(product, x[0] * x[1])

BINARY(mul, "*", product, "x*y, element by element.",
    "x=2x17x3x5 y=2x17x3x5\nx=3x20 y=20\nx=1x16x4x4 y=\nx=2x3x2x2 y=2x1x2x2\nx= y=");

/* --- z = x/y: dx = dz/y, dy = -dz x/y^2 = -dz z/y ----------------------------------------- */

MAP_BODY(div_value)
{
	MAP_UNUSED;
	return e_over(a, x[0], x[1]);
}

MAP_BODY(div_dx)
{
	MAP_UNUSED;
	return e_over(a, DZ, x[1]);
}

MAP_BODY(div_dy)
{
	MAP_UNUSED;
	return e_negative(a, e_over(a, e_times(a, DZ, Z), x[1]));
}

static const MapExpr quotient = {.name = "div",
    .operands = 2,
    .value = div_value,
    .gradient = {{div_dx, READS(1u << 1)}, {div_dy, READS(1u << 1 | 1u << 2)}}};

MAP_PLAIN(quotient, x[0] / x[1])

BINARY(div, "/", quotient, "x/y, element by element.",
    "x=2x17x3x5 y=2x17x3x5>0\nx=3x20 y=20>0\nx= y=3x10>0\nx=2x3x2x2 y=>0");

/* --- maximum, minimum: NaN of either side passes, so a plain E_MAX(x, y), which passes that of y,
 * is not enough. dz goes to the operand that was taken; to equal ones half each, as PyTorch has it.
 */

static Expr *taken(Arena *a, Expr *const *x, Expr *better)
{
	return e_select(a, e_op(a, E_OR, better, e_op(a, E_NE, x[0], x[0])), x[0], x[1]);
}

/* dz where `better`, half of it where both are equal. */
static Expr *share(Arena *a, Expr *const *x, Expr *better)
{
	Expr *half = e_times(a, e_num(a, 0.5), DZ);
	Expr *equal = e_select(a, e_op(a, E_EQ, x[0], x[1]), half, e_num(a, 0));
	return e_select(a, better, DZ, equal);
}

MAP_BODY(maximum_value)
{
	MAP_UNUSED;
	return taken(a, x, e_above(a, x[0], x[1]));
}

MAP_BODY(minimum_value)
{
	MAP_UNUSED;
	return taken(a, x, e_above(a, x[1], x[0]));
}

MAP_BODY(where_x_above)
{
	MAP_UNUSED;
	return share(a, x, e_above(a, x[0], x[1]));
}

MAP_BODY(where_y_above)
{
	MAP_UNUSED;
	return share(a, x, e_above(a, x[1], x[0]));
}

static const MapExpr larger = {.name = "maximum",
    .operands = 2,
    .value = maximum_value,
    .gradient = {{where_x_above, READS(3)}, {where_y_above, READS(3)}}};
static const MapExpr smaller = {.name = "minimum",
    .operands = 2,
    .value = minimum_value,
    .gradient = {{where_y_above, READS(3)}, {where_x_above, READS(3)}}};

MAP_PLAIN(larger, isnan(x[0]) || isnan(x[1]) ? NAN : fmax(x[0], x[1]))
MAP_PLAIN(smaller, isnan(x[0]) || isnan(x[1]) ? NAN : fmin(x[0], x[1]))

BINARY(maximum, NULL, larger, "The larger of x and y; NaN where either is.",
    "x=2x17x3x5 y=2x17x3x5\nx=3x20 y=20\nx=1x16x4x4 y=");
BINARY(minimum, NULL, smaller, "The smaller of x and y; NaN where either is.",
    "x=2x17x3x5 y=2x17x3x5\nx=3x20 y=20\nx=1x16x4x4 y=");
