/* class_loss: losses of one log-sum-exp over the classes, against a label; see class_loss.c. */
#ifndef CNNC_OPS_CLASS_LOSS_H
#define CNNC_OPS_CLASS_LOSS_H

#include "../op.h"

typedef struct {
	double sign;    /* z = sign*x */
	bool has_floor; /* one more class of z = floor, that no label names */
	double floor;
	double smoothing; /* the share of the target that is spread evenly over all classes */
} ClassLoss;

/* Results: the loss, a scalar; for each image the peak m [N] and the logarithm l [N]. */
bool class_loss_infer(Graph *g, Node *n);
void class_loss_lower(Lower *l, const Node *n, const ClassLoss *c);
/* `dx` takes x, label, m, l and dloss. */
void class_loss_gradient(Grad *grad, const Node *n, const OpDesc *dx);
bool class_loss_dx_infer(Graph *g, Node *n);
void class_loss_dx_lower(Lower *l, const Node *n, const ClassLoss *c);

#endif
