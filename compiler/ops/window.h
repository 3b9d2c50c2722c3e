/* window: the geometry that convolution and pooling share. One side at a time: output o and tap k
 * look at input i = o*stride + k*dilation - pad, which exists where 0 <= i < in; going back, input
 * i is seen by output o = (i + pad - k*dilation)/stride where that quotient is exact and 0 <= o <
 * out. Where kernels are flipped, taps are counted from the other end: kernel - 1 - k for k. */
#ifndef CNNC_OPS_WINDOW_H
#define CNNC_OPS_WINDOW_H

#include "image.h"

enum {
	SIDE_LIMIT =
	    1 << 16,         /* of kernels, strides, pads, dilations: keeps every index far from 2^63 */
	SIZE_LIMIT = 1 << 24 /* of channels, groups, heights, widths given as attributes */
};

/* [0] height, [1] width. `pad` is before the input, `after` behind it. */
typedef struct {
	int64_t in[2], kernel[2], stride[2], pad[2], after[2], dilation[2], out[2];
	bool flip;
} Window;

/* The attributes that windows share. Strides without a default of their own are the kernel's. */
#define ATTR_KERNEL                                                                                \
	{                                                                                              \
		.name = "kernel", .type = ATTR_PAIR, .min = 1, .max = SIDE_LIMIT, .required = true,        \
		.doc = "height and width of the window"                                                    \
	}
#define ATTR_POOL_KERNEL                                                                           \
	{                                                                                              \
		.name = "kernel", .type = ATTR_PAIR, .min = 1, .max = SIDE_LIMIT, .required = true,        \
		.position = 1, .doc = "height and width of the window"                                     \
	}
#define ATTR_STRIDE                                                                                \
	{                                                                                              \
		.name = "stride", .type = ATTR_PAIR, .value = 1, .min = 1, .max = SIDE_LIMIT,              \
		.doc = "distance of neighbouring windows"                                                  \
	}
#define ATTR_POOL_STRIDE                                                                           \
	{                                                                                              \
		.name = "stride", .type = ATTR_PAIR, .value = 0, .min = 1, .max = SIDE_LIMIT,              \
		.doc = "distance of neighbouring windows; not given: the kernel's size"                    \
	}
#define ATTR_PAD                                                                                   \
	{                                                                                              \
		.name = "pad", .type = ATTR_PADS, .min = 0, .max = SIDE_LIMIT,                             \
		.doc =                                                                                     \
		    "zeros at the borders: a number, {height, width} of numbers or of {before, after}, "   \
		    "valid (none), same (the size stays, but for strides), full"                           \
	}
#define ATTR_DILATION                                                                              \
	{                                                                                              \
		.name = "dilation", .type = ATTR_PAIR, .value = 1, .min = 1, .max = SIDE_LIMIT,            \
		.doc = "distance of neighbouring taps"                                                     \
	}
#define ATTR_SIZE                                                                                  \
	{                                                                                              \
		.name = "size", .type = ATTR_PAIR, .min = 1, .max = SIZE_LIMIT, .required = true,          \
		.doc = "height and width of the input whose gradient this is"                              \
	}
#define ATTR_END                                                                                   \
	{                                                                                              \
		.name = NULL                                                                               \
	}

/* From the node's attributes of these names (kernel, stride, pad, dilation, flip), where its
 * operator has them; `in` is the input's height and width; `kernel` NULL: the attribute's. Operand
 * 0 says whether it is about lines, whose height, kernel's height and so on are 1. */
Window window_of(const Node *n, const int64_t *in, const int64_t *kernel);
/* Inputs from the first tap of a window to its last. */
int64_t window_span(const Window *w, int side);
/* Sets w->out, rounded down, or up with `ceil` as long as the last window starts inside the input
 * or the pad before it; PyTorch's rule, so with `ceil` one window may be larger than all of the
 * padded input. Reports a kernel that does not fit, false. */
bool window_fit(Graph *g, Node *n, Window *w, bool ceil);

/* The input index of output dim `o` and tap dim `k` on a side (0 rows, 1 columns), and its guard in
 * `nest`, left out where every point holds it. */
Affine window_tap(const Window *w, int side, int o, int k);
void window_guard_tap(Nest *nest, const Window *w, int side, Affine tap);
/* One side of a gradient by the input. Its points are the inputs, and each sums over the taps
 * through which outputs see it. Where windows stand apart, no input is seen twice, and the points
 * are the taps of the outputs instead: nothing is divided, and inputs that nobody sees get zeros
 * from nests of their own. */
typedef struct {
	bool apart;
	int at, tap; /* dims: the input, or the output where apart; the tap */
} BackSide;
/* Makes the dims of space, rows before columns, and later those that sum over taps. */
void window_back_space(Nest *nest, const Window *w, BackSide side[2]);
void window_back_taps(Nest *nest, const Window *w, BackSide side[2]);
/* The output index of a point, its guards (exact, in range), and its input. */
Index window_back(const Window *w, int side, const BackSide *b);
void window_guard_back(Nest *nest, const Window *w, int side, const BackSide *b);
Affine window_back_input(const Window *w, int side, const BackSide *b);
/* The nests for what no point of such a gradient writes in dx: zeros, or if it is not NULL bias[c]
 * in channel c. Each element of dx has one nest that writes it, so that their order does not
 * matter.
 */
void window_back_rest(Lower *l, const Node *n, const Window *w, const Value *dx, const Value *bias);

/* For costs: the largest number where the result does not fit. */
static inline int64_t sat_mul(int64_t a, int64_t b)
{
	int64_t c;
	return mul_fits(a, b, &c) ? c : INT64_MAX;
}

static inline int64_t sat_add(int64_t a, int64_t b)
{
	int64_t c;
	return add_fits(a, b, &c) ? c : INT64_MAX;
}

#endif
