/* Activations: relu, leaky_relu, relu6, sigmoid, tanh, scaled_tanh. All pass NaN on.
 *
 * Their gradients read the result y and not the input, so the input may die, and may be written
 * over by y. Beside each body stands its derivation. */
#include <math.h>

#include "map.h"

/* Of one operand: x[0] is the input, x[1] the result, x[2] its gradient. */
#define Y x[1]
#define DY x[2]
#define READS_Y (1u << 1 | 1u << 2)

/* --- relu: y = max(0, x), and since 0 > NaN is false, NaN passes. dx = dy where y > 0 (y > 0
 * exactly where x > 0), else 0. */

MAP_BODY(relu_value)
{
	MAP_UNUSED;
	return e_op(a, E_MAX, e_num(a, 0), x[0]);
}

MAP_BODY(relu_dx)
{
	MAP_UNUSED;
	return e_select(a, e_above(a, Y, e_num(a, 0)), DY, e_num(a, 0));
}

static const MapExpr relu = {
    .name = "relu", .operands = 1, .value = relu_value, .gradient = {{relu_dx, READS_Y}}};

MAP_PLAIN(relu, x[0] <= 0 ? 0 : x[0])

const OpDesc op_relu = {
    .name = "relu",
    .doc = "max(x, 0).",
    MAP_FIELDS(1),
    .body = &relu,
    .reference = relu_reference,
    .operands = "x",
    .samples = "x=1x1x1x1\nx=2x17x3x5\nx=3x20\nx=1x32x4x4\nx=6x10x2x3",
};

/* --- leaky_relu: y = x where x > 0, else slope*x. With slope >= 0, y > 0 exactly where x > 0, so
 * that dx = dy where y > 0, else slope*dy (Maas et al. 2013). */

MAP_BODY(leaky_value)
{
	Expr *scaled = e_times(a, e_num(a, p[0]), x[0]);
	return e_select(a, e_above(a, x[0], e_num(a, 0)), x[0], scaled);
}

MAP_BODY(leaky_dx)
{
	Expr *scaled = e_times(a, e_num(a, p[0]), DY);
	return e_select(a, e_above(a, Y, e_num(a, 0)), DY, scaled);
}

static const MapExpr leaky = {
    .name = "leaky_relu", .operands = 1, .value = leaky_value, .gradient = {{leaky_dx, READS_Y}}};

MAP_PLAIN(leaky, x[0] > 0 ? x[0] : p[0] * x[0])

static const Attr leaky_attrs[] = {{.name = "slope",
                                       .type = ATTR_REAL,
                                       .value = 0.01,
                                       .min = 0,
                                       .max = 1,
                                       .position = 1,
                                       .doc = "what x is multiplied with where it is below 0"},
    {.name = NULL}};

const OpDesc op_leaky_relu = {
    .name = "leaky_relu",
    .doc = "x where it is above 0, else slope*x.",
    MAP_FIELDS(1),
    .attr = leaky_attrs,
    .body = &leaky,
    .reference = leaky_reference,
    .operands = "x",
    .samples = "x=2x17x3x5\nx=3x20 | slope=0.25\nx=1x16x4x4 | slope=0",
};

/* --- relu6: y = min(6, max(0, x)); dx = dy where 0 < y < 6, else 0, as PyTorch has it. */

MAP_BODY(relu6_value) { return e_op(a, E_MIN, e_num(a, 6), relu_value(a, x, p)); }

MAP_BODY(relu6_dx)
{
	MAP_UNUSED;
	Expr *inside = e_op(a, E_AND, e_above(a, Y, e_num(a, 0)), e_above(a, e_num(a, 6), Y));
	return e_select(a, inside, DY, e_num(a, 0));
}

static const MapExpr relu6 = {
    .name = "relu6", .operands = 1, .value = relu6_value, .gradient = {{relu6_dx, READS_Y}}};

MAP_PLAIN(relu6, x[0] <= 0 ? 0 : x[0] >= 6 ? 6 : x[0])

const OpDesc op_relu6 = {
    .name = "relu6",
    .doc = "max(x, 0), but at most 6.",
    MAP_FIELDS(1),
    .body = &relu6,
    .reference = relu6_reference,
    .operands = "x",
    .samples = "x=2x17x3x5\nx=3x20\nx=1x16x4x4",
};

/* --- sigmoid: y = 1/(1 + e^-x). dy/dx = e^-x/(1 + e^-x)^2 = y (1 - y). */

MAP_BODY(sigmoid_value)
{
	MAP_UNUSED;
	Expr *falling = e_call(a, FN_EXP, e_negative(a, x[0]), NULL);
	return e_over(a, e_num(a, 1), e_plus(a, e_num(a, 1), falling));
}

MAP_BODY(sigmoid_dx)
{
	MAP_UNUSED;
	return e_times(a, DY, e_times(a, Y, e_minus(a, e_num(a, 1), Y)));
}

static const MapExpr sigmoid = {
    .name = "sigmoid", .operands = 1, .value = sigmoid_value, .gradient = {{sigmoid_dx, READS_Y}}};

MAP_PLAIN(sigmoid, 1 / (1 + exp(-x[0])))

const OpDesc op_sigmoid = {
    .name = "sigmoid",
    .doc = "1/(1 + exp(-x)).",
    MAP_FIELDS(1),
    .body = &sigmoid,
    .reference = sigmoid_reference,
    .operands = "x",
    .samples = "x=2x17x3x5\nx=3x20\nx=1x16x4x4",
};

/* --- tanh: dy/dx = 1 - y^2. */

MAP_BODY(tanh_value)
{
	MAP_UNUSED;
	return e_call(a, FN_TANH, x[0], NULL);
}

MAP_BODY(tanh_dx)
{
	MAP_UNUSED;
	return e_times(a, DY, e_minus(a, e_num(a, 1), e_times(a, Y, Y)));
}

static const MapExpr hyperbolic = {
    .name = "tanh", .operands = 1, .value = tanh_value, .gradient = {{tanh_dx, READS_Y}}};

MAP_PLAIN(hyperbolic, tanh(x[0]))

const OpDesc op_tanh = {
    .name = "tanh",
    .doc = "The hyperbolic tangent.",
    MAP_FIELDS(1),
    .body = &hyperbolic,
    .reference = hyperbolic_reference,
    .operands = "x",
    .samples = "x=2x17x3x5\nx=3x20\nx=1x16x4x4",
};

/* --- scaled_tanh: y = A tanh(S x), with A = 1.7159 and S = 2/3 the squashing function of LeCun et
 * al. 1998, II.B and appendix A: f(1) = 1, f(-1) = -1. dy/dx = A S (1 - tanh^2) = S (A - y^2/A). */

MAP_BODY(scaled_value)
{
	Expr *inner = e_times(a, e_num(a, p[1]), x[0]);
	return e_times(a, e_num(a, p[0]), e_call(a, FN_TANH, inner, NULL));
}

MAP_BODY(scaled_dx)
{
	Expr *square = e_times(a, e_num(a, p[1] / p[0]), e_times(a, Y, Y));
	return e_times(a, DY, e_minus(a, e_num(a, p[0] * p[1]), square));
}

static const MapExpr scaled = {.name = "scaled_tanh",
    .operands = 1,
    .value = scaled_value,
    .gradient = {{scaled_dx, READS_Y}}};

MAP_PLAIN(scaled, p[0] * tanh(p[1] * x[0]))

static const Attr scaled_attrs[] = {{.name = "a",
                                        .type = ATTR_REAL,
                                        .value = 1.7159,
                                        .min = 1e-6,
                                        .max = 1e6,
                                        .position = 1,
                                        .doc = "the amplitude"},
    {.name = "s",
        .type = ATTR_REAL,
        .value = 2.0 / 3,
        .min = 1e-6,
        .max = 1e6,
        .position = 2,
        .doc = "the slope at the origin, over the amplitude"},
    {.name = NULL}};

const OpDesc op_scaled_tanh = {
    .name = "scaled_tanh",
    .doc = "a*tanh(s*x): the squashing function of LeCun et al. 1998.",
    MAP_FIELDS(1),
    .attr = scaled_attrs,
    .body = &scaled,
    .reference = scaled_reference,
    .operands = "x",
    .samples = "x=2x6x5x3\nx=3x17\nx=1x16x4x4 | a=1 s=0.5",
};
