/* batch_norm: what its inference, training and gradient share. x is [N, C] or [N, C, H, W];
 * everything else is [C]. */
#ifndef CNNC_OPS_BATCH_NORM_H
#define CNNC_OPS_BATCH_NORM_H

#include "window.h"

/* Operand `x` has channels, and operands first..last-1 are one number a channel. Else reports,
 * false. */
bool norm_check(Graph *g, Node *n, int x, int first, int last);
/* The dims of a nest over x: n c h w, or with `per_channel` c | n h w. Sets x's indices; yields dim
 * c. */
int norm_dims(Nest *nest, const Shape *x, bool per_channel, Index *at);
/* The load of a channel's number. */
Expr *norm_load(Lower *l, Nest *nest, const char *as, const Value *v, int c);
/* 1/sqrt(variance + eps), eps being the node's attribute. */
Expr *norm_inverse(Arena *a, const Node *n, Expr *variance);
/* Numbers a channel: N*H*W. */
int64_t norm_count(const Shape *x);
/* Which channel element i of x belongs to. */
int64_t norm_channel(const Shape *x, int64_t i);

#define ATTR_EPS                                                                                   \
	{                                                                                              \
		.name = "eps", .type = ATTR_REAL, .value = 1e-5, .min = 1e-30, .max = 1,                   \
		.doc = "added to the variance before the square root"                                      \
	}

#endif
