/* weight_init: initial values of layers with weights, by name of the rule. fan_in: inputs that
 * reach one output; fan_out: outputs that one input reaches. */
#ifndef CNNC_OPS_WEIGHT_INIT_H
#define CNNC_OPS_WEIGHT_INIT_H

#include "../op.h"

#define ATTR_INIT                                                                                  \
	{                                                                                              \
		.name = "init", .type = ATTR_NAME, .choices = "default lecun glorot he he_normal",         \
		.doc = "initial weights: default is uniform within 1/sqrt(fan_in), lecun uniform within "  \
		       "2.4/fan_in (LeCun et al. 1998), glorot uniform within sqrt(6/(fan_in+fan_out)) "   \
		       "(Glorot, Bengio 2010), he uniform within sqrt(6/fan_in), he_normal of deviation "  \
		       "sqrt(2/fan_in) (He et al. 2015); the last three start biases at 0"                 \
	}

Init weight_init(const Node *n, double fan_in, double fan_out);
Init bias_init(const Node *n, double fan_in);

#endif
