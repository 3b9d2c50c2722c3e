/* optimizer: what optimisers share. Operands w, g, hyper, slots...; results the next w, the next
 * slots. hyper holds the attributes marked `argument`, in order, then the optional ones that are
 * given, then t, which counts steps from 1.
 *
 * Temporaries are for a few numbers: an update's memory is a local array of the emitted text. */
#ifndef CNNC_OPS_OPTIMIZER_H
#define CNNC_OPS_OPTIMIZER_H

#include "map.h"

enum { OPT_W, OPT_G, OPT_HYPER, OPT_SLOT }; /* operands */

/* The weights' factor is `rate` in every optimiser, so that rate schedules suit all of them. */
#define RATE_ATTR(least)                                                                           \
	{                                                                                              \
		.name = "rate", .type = ATTR_REAL, .value = least, .max = 1e9, .argument = true,           \
		.doc = "how far a step goes"                                                               \
	}
#define DECAY_ATTR                                                                                 \
	{                                                                                              \
		.name = "decay", .type = ATTR_REAL, .max = 1e9, .argument = true,                          \
		.doc = "how strongly weights are drawn to 0"                                               \
	}

/* Every optimiser's; what they ask for happens to its gradients before it sees them. */
#define CLIP_ATTR(word, text)                                                                      \
	{                                                                                              \
		.name = (word), .type = ATTR_REAL, .value = -1, .max = 1e9, .argument = true,              \
		.optional = true, .doc = (text)                                                            \
	}
#define CLIP_ATTRS                                                                                 \
	CLIP_ATTR("clip_norm", "how long all gradients together may be; 0: not clipped"),              \
	    CLIP_ATTR("clip_value", "how large a number of a gradient may be; 0: not clipped")

bool optimizer_infer(Graph *g, Node *n);
/* Slots of the weight's shape, at 0 before the first step. */
int optimizer_slots(Node *n, const char *const *names, int count, StateSpec *spec);
Expr *hyper_load(Lower *l, Nest *nest, const Node *n, const char *name);
Expr *step_load(Lower *l, Nest *nest, const Node *n); /* t */

#endif
