/* graph_oracle: whole graphs run by the oracles of their operators, and gradients of a sample,
 * through autodiff, against central differences of its forward pass. */
#ifndef CNNC_TESTS_GRAPH_ORACLE_H
#define CNNC_TESTS_GRAPH_ORACLE_H

#include "sample.h"

/* The numbers of every value of a graph, by node id * MAX_OUT + result. */
typedef struct {
	double **of;
} OracleRun;

/* `given` yields the numbers of an input or a state. */
OracleRun oracle_run(
    Arena *a, const Graph *g, double *(*given)(void *self, const Node *n), void *self);
double *oracle_value(const OracleRun *r, const Value *v);
/* The results of one node on these operands. */
double **oracle_node(Arena *a, const Node *n, const double *const *in);

/* The gradient of (result 0 . random numbers) by every operand of numbers, elements sampled,
 * against differences. NULL, or what differs. */
const char *oracle_gradients(Arena *a, const OpDesc *op, const Sample *s, uint64_t *seed);

#endif
