/* conv: what convolution and its two gradients share: one geometry, one check, one link mask. */
#ifndef CNNC_OPS_CONV_H
#define CNNC_OPS_CONV_H

#include "window.h"

/* x [batch, ic, in], w [oc, ic/groups, kernel], y [batch, oc, out]. */
typedef struct {
	Window w;
	int64_t batch, ic, oc, groups;
	const LinkTable *links; /* NULL: every output map sees every input map of its group */
} Conv;

/* From the attributes and these sizes; `in` and `kernel` as for window_of. */
Conv conv_of(
    const Node *n, int64_t batch, int64_t ic, int64_t oc, const int64_t *in, const int64_t *kernel);
/* Groups, links and window fit the channels and the input; sets c->w.out. Else reports, false. */
bool conv_check(Graph *g, Node *n, Conv *c);
/* Whether output map o sees input map i. Maps past the table's last column are seen by none. */
bool conv_linked(const LinkTable *links, int64_t o, int64_t i);
/* The links as a guard over the dims oc and ic; nothing without a table. */
void conv_guard_links(Lower *l, Nest *nest, const Conv *c, int oc, int ic);
/* Numbers of the weight that are in use, and the products of one image. Saturating. */
int64_t conv_weights(const Conv *c);
int64_t conv_macs(const Conv *c);
/* dim g where there are several groups, else -1. */
int conv_group_dim(Nest *nest, const Conv *c);
/* A channel's index over all groups: g*per_group + dim. */
Affine conv_channel(int g, int64_t per_group, int dim);

/* [oc, ic/groups, kernel]: the weight's shape, of a layer over `x`. */
Shape conv_weight_shape(const Value *x, const Conv *c);
/* The weight and the bias, where there is one, are of these shapes; else reports, false. */
bool conv_weight_check(Graph *g, Node *n, Shape weight, int64_t channels);
/* The two contractions, b or NULL added. Forward: y from x. Back: x from y, each element once. */
void conv_forward(Lower *l, const Node *n, const Conv *c, const Value *x, const Value *w,
    const Value *b, const Value *y);
void conv_back(Lower *l, const Node *n, const Conv *c, const Value *y, const Value *w,
    const Value *b, const Value *x);
/* Calls `at` for every product of a convolution with the offsets of its x, w and y: what oracles
 * loop over. */
void conv_each_product(const Conv *c,
    void (*at)(const double *const *in, double *out, int64_t x, int64_t w, int64_t y),
    const double *const *in, double *out);

#define ATTR_CONV_OUT                                                                              \
	{                                                                                              \
		.name = "out", .type = ATTR_INT, .min = 1, .max = SIZE_LIMIT, .required = true,            \
		.position = 1, .doc = "number of output channels"                                          \
	}
#define ATTR_BIAS                                                                                  \
	{                                                                                              \
		.name = "bias", .type = ATTR_BOOL, .value = 1,                                             \
		.doc = "whether a number is added to each map"                                             \
	}
#define ATTR_FLIP                                                                                  \
	{                                                                                              \
		.name = "flip", .type = ATTR_BOOL,                                                         \
		.doc = "true convolution: kernels are turned by 180 degrees"                               \
	}
#define ATTR_GROUPS                                                                                \
	{                                                                                              \
		.name = "groups", .type = ATTR_INT, .value = 1, .min = 1, .max = SIZE_LIMIT,               \
		.doc = "channels fall into so many parts that do not see each other"                       \
	}
#define ATTR_LINK_TABLE                                                                            \
	{                                                                                              \
		.name = "links", .type = ATTR_LINKS,                                                       \
		.doc = "which input maps each output map sees (LeCun et al. 1998, table I); default all"   \
	}

#endif
