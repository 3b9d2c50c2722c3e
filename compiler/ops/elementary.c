/* Functions of one value: neg, scale, pow, exp, log, sqrt, abs, square.
 *
 * In their gradients x[0] is the operand, x[1] the result y, x[2] its gradient dy. */
#include <math.h>

#include "map.h"

#define Y x[1]
#define DY x[2]
#define READS(values) ((values) | 1u << 2)
enum { OF_X = 1 << 0, OF_Y = 1 << 1 };

#define UNARY(id, word, stem, attributes, text, lines)                                             \
	const OpDesc op_##id = {                                                                       \
	    .name = #id,                                                                               \
	    .sign = word,                                                                              \
	    .doc = text,                                                                               \
	    MAP_FIELDS(1),                                                                             \
	    .attr = attributes,                                                                        \
	    .body = &stem,                                                                             \
	    .reference = stem##_reference,                                                             \
	    .operands = "x",                                                                           \
	    .samples = lines,                                                                          \
	}

/* --- neg: dx = -dy; scale: y = a x + b, dx = a dy ----------------------------------------- */

MAP_BODY(neg_value)
{
	MAP_UNUSED;
	return e_negative(a, x[0]);
}

MAP_BODY(neg_dx)
{
	MAP_UNUSED;
	return e_negative(a, DY);
}

static const MapExpr negative = {
    .name = "neg", .operands = 1, .value = neg_value, .gradient = {{neg_dx, READS(0)}}};

MAP_PLAIN(negative, -x[0])

UNARY(neg, NULL, negative, NULL, "-x.", "x=2x17x3x5\nx=3x20\nx=");

MAP_BODY(scale_value)
{
	Expr *product = e_times(a, e_num(a, p[0]), x[0]);
	return p[1] == 0 ? product : e_plus(a, product, e_num(a, p[1]));
}

MAP_BODY(scale_dx) { return e_times(a, e_num(a, p[0]), DY); }

static const MapExpr line = {
    .name = "scale", .operands = 1, .value = scale_value, .gradient = {{scale_dx, READS(0)}}};

MAP_PLAIN(line, x[0] * p[0] + p[1])

static const Attr line_attrs[] = {ATTR_ANY_REAL("a", 1, 1, "the factor"),
    ATTR_ANY_REAL("b", 0, 2, "what is added"), {.name = NULL}};

UNARY(scale, "a*x+b", line, line_attrs, "a*x + b, of two numbers.",
    "x=2x17x3x5 | a=-0.5 b=3\nx=3x20 | a=2\nx= | a=0.3\nx=1x16x4x4 | b=-1");

/* --- pow: y = x^e; dx = dy e x^(e-1), and 0 for e = 0. The powers that have a shorter form than
 * exp(e log x) take it. */

static Expr *power(Arena *a, Expr *x, double e)
{
	if (e == 0) return e_num(a, 1);
	if (e == 1) return x;
	if (e == 2) return e_times(a, x, x);
	if (e == 3) return e_times(a, e_times(a, x, x), x);
	if (e == 0.5) return e_call(a, FN_SQRT, x, NULL);
	if (e == -1) return e_over(a, e_num(a, 1), x);
	return e_call(a, FN_POW, x, e_num(a, e));
}

MAP_BODY(pow_value) { return power(a, x[0], p[0]); }

MAP_BODY(pow_dx)
{
	if (p[0] == 0) return e_num(a, 0);
	return e_times(a, e_times(a, e_num(a, p[0]), power(a, x[0], p[0] - 1)), DY);
}

static const MapExpr raised = {
    .name = "pow", .operands = 1, .value = pow_value, .gradient = {{pow_dx, READS(OF_X)}}};

MAP_PLAIN(raised, pow(x[0], p[0]))

static const Attr pow_attrs[] = {{.name = "exponent",
                                     .type = ATTR_REAL,
                                     .value = 1,
                                     .min = 1,
                                     .max = 0,
                                     .required = true,
                                     .position = 1,
                                     .doc = "the power, a number"},
    {.name = NULL}};

UNARY(pow, "^", raised, pow_attrs, "x to the power of a number.",
    "x=2x17x3x5 | exponent=2\nx=3x20>0 | exponent=2.5\nx=1x16x4x4>0 | exponent=-1\n"
    "x=2x3>0 | exponent=0.5\nx=2x5 | exponent=3\nx=2x3>0 | exponent=-0.75\nx=3x4 | exponent=0");

/* --- exp: dx = dy y; log: dx = dy/x; sqrt: dx = dy/(2 y) ---------------------------------- */

MAP_BODY(exp_value)
{
	MAP_UNUSED;
	return e_call(a, FN_EXP, x[0], NULL);
}

MAP_BODY(exp_dx)
{
	MAP_UNUSED;
	return e_times(a, DY, Y);
}

MAP_BODY(log_value)
{
	MAP_UNUSED;
	return e_call(a, FN_LOG, x[0], NULL);
}

MAP_BODY(log_dx)
{
	MAP_UNUSED;
	return e_over(a, DY, x[0]);
}

MAP_BODY(sqrt_value)
{
	MAP_UNUSED;
	return e_call(a, FN_SQRT, x[0], NULL);
}

MAP_BODY(sqrt_dx)
{
	MAP_UNUSED;
	return e_over(a, e_times(a, e_num(a, 0.5), DY), Y);
}

static const MapExpr exponential = {
    .name = "exp", .operands = 1, .value = exp_value, .gradient = {{exp_dx, READS(OF_Y)}}};
static const MapExpr logarithm = {
    .name = "log", .operands = 1, .value = log_value, .gradient = {{log_dx, READS(OF_X)}}};
static const MapExpr root = {
    .name = "sqrt", .operands = 1, .value = sqrt_value, .gradient = {{sqrt_dx, READS(OF_Y)}}};

MAP_PLAIN(exponential, exp(x[0]))
MAP_PLAIN(logarithm, log(x[0]))
MAP_PLAIN(root, sqrt(x[0]))

UNARY(exp, NULL, exponential, NULL, "e to the power of x.", "x=2x17x3x5\nx=3x20\nx=");
UNARY(log, NULL, logarithm, NULL, "The natural logarithm.", "x=2x17x3x5>0\nx=3x20>0\nx=>0");
UNARY(sqrt, NULL, root, NULL, "The square root.", "x=2x17x3x5>0\nx=3x20>0\nx=>0");

/* --- abs: dx = dy sign(x), 0 at 0; square: dx = 2 x dy ------------------------------------ */

MAP_BODY(abs_value)
{
	MAP_UNUSED;
	return e_call(a, FN_ABS, x[0], NULL);
}

MAP_BODY(abs_dx)
{
	MAP_UNUSED;
	Expr *zero = e_num(a, 0);
	Expr *below = e_select(a, e_above(a, zero, x[0]), e_negative(a, DY), zero);
	return e_select(a, e_above(a, x[0], zero), DY, below);
}

MAP_BODY(square_value)
{
	MAP_UNUSED;
	return e_times(a, x[0], x[0]);
}

MAP_BODY(square_dx)
{
	MAP_UNUSED;
	return e_times(a, e_times(a, e_num(a, 2), x[0]), DY);
}

static const MapExpr magnitude = {
    .name = "abs", .operands = 1, .value = abs_value, .gradient = {{abs_dx, READS(OF_X)}}};
static const MapExpr squared = {
    .name = "square", .operands = 1, .value = square_value, .gradient = {{square_dx, READS(OF_X)}}};

MAP_PLAIN(magnitude, fabs(x[0]))
MAP_PLAIN(squared, x[0] * x[0])

UNARY(abs, NULL, magnitude, NULL, "x without its sign.", "x=2x17x3x5\nx=3x20\nx=");
UNARY(square, NULL, squared, NULL, "x*x.", "x=2x17x3x5\nx=3x20\nx=");
