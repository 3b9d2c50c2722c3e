/* optimizer: what optimisers share. Operands w, g, hyper, slots...; results the next w, the next
 * slots. hyper [4] = {rate, momentum, decay, t}, t counting steps from 1. */
#ifndef CNNC_OPS_OPTIMIZER_H
#define CNNC_OPS_OPTIMIZER_H

#include "map.h"

enum { OPT_W, OPT_G, OPT_HYPER, OPT_SLOT };                        /* operands */
enum { HYPER_RATE, HYPER_MOMENTUM, HYPER_DECAY, HYPER_T, HYPERS }; /* of hyper */

bool optimizer_infer(Graph *g, Node *n);
/* Slots of the weight's shape, at 0 before the first step. */
int optimizer_slots(Node *n, const char *const *names, int count, StateSpec *spec);
Expr *hyper_load(Lower *l, Nest *nest, const Node *n, int which);

#endif
