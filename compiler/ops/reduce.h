/* reduce: what sum, mean and max over axes share. */
#ifndef CNNC_OPS_REDUCE_H
#define CNNC_OPS_REDUCE_H

#include "reduction.h"

#define ATTR_REDUCE_AXES                                                                           \
	{                                                                                              \
		.name = "axes", .type = ATTR_AXES, .value = (double)UINT32_MAX, .position = 1,             \
		.doc = "the axes that go; default all of them, the batch included"                         \
	}
#define ATTR_KEEP                                                                                  \
	{                                                                                              \
		.name = "keep", .type = ATTR_BOOL, .doc = "leave the axes in place, with size 1"           \
	}
/* For gradients: the rank and the sizes of the input. */
#define ATTR_REDUCE_RANK                                                                           \
	{                                                                                              \
		.name = "rank", .type = ATTR_INT, .min = 0, .max = MAX_RANK, .doc = "of the input"         \
	}
#define ATTR_REDUCE_SIZE(word)                                                                     \
	{                                                                                              \
		.name = (word), .type = ATTR_INT, .value = 1, .min = 1, .max = 1099511627776.0,            \
		.doc = "of the input"                                                                      \
	}
#define ATTR_REDUCE_SIZES                                                                          \
	ATTR_REDUCE_SIZE("size0"), ATTR_REDUCE_SIZE("size1"), ATTR_REDUCE_SIZE("size2"),               \
	    ATTR_REDUCE_SIZE("size3")

Reduction reduce_over(const Node *n);
/* What infer begins with: checks operand and axes. */
bool reduce_infer_axes(Graph *g, Node *n, Reduction *r);

/* Gradients: attributes for `op` from the reduction n; then, of such a node, the shape of the
 * input, its reduction, and an infer that checks every operand against the reduction's result. */
AttrValue *reduce_back_attrs(Graph *g, const OpDesc *op, const Node *n);
Shape reduce_back_shape(const Node *n);
Reduction reduce_back(const Node *n, const Shape *x);
bool reduce_back_infer(Graph *g, Node *n);

#endif
