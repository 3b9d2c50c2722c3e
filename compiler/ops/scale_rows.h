/* scale_rows: layers over a weight whose rows are outputs absorb the scale and shift behind them.
 */
#ifndef CNNC_OPS_SCALE_ROWS_H
#define CNNC_OPS_SCALE_ROWS_H

#include "../op.h"

/* OpDesc.absorb of an operator with the operands x, w [outputs, ...], b [outputs] and the attribute
 * bias: scale (w x + b) + shift = (scale w) x + (scale b + shift). */
Value *scale_rows_absorb(Graph *g, Node *n, Value *scale, Value *shift);
/* The same where w, already scaled, is given: another dim of it may be the outputs. */
Value *absorb_with(Graph *g, Node *n, Value *w, Value *scale, Value *shift);

#endif
