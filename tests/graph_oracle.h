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
/* `touch` may change every value before it is read. */
OracleRun oracle_run_touched(Arena *a, const Graph *g, double *(*given)(void *self, const Node *n),
    void (*touch)(void *self, const OracleRun *r, const Value *v), void *self);
double *oracle_value(const OracleRun *r, const Value *v);
/* The results of one node on these operands. */
double **oracle_node(Arena *a, const Node *n, const double *const *in);

/* A sample as a network: operands of numbers are weights, or buffers where the operator says so,
 * and labels are inputs; the loss is result 0 times random numbers `mix`, summed, so that it sees
 * every element with a weight of its own. */
typedef struct {
	Model model;
	Graph *graph;                 /* with the backward pass */
	Graph forward;                /* what was there before */
	State state[SAMPLE_OPERANDS]; /* by operand; offsets into vars and grads */
	int64_t vars;
	double *memory[SAMPLE_OPERANDS + 1]; /* by operand; the last: mix, input SAMPLE_OPERANDS */
	const Value *loss;
} OracleNetwork;

/* NULL, or what is wrong. */
const char *oracle_network(
    OracleNetwork *net, Arena *a, const OpDesc *op, const Sample *s, uint64_t *seed);
/* For oracle_run: the numbers of a network's memory. */
double *oracle_given(void *network, const Node *n);
/* The network's gradient by operand k, some elements of it, against central differences of the
 * oracles' loss. NULL, or what differs. */
const char *oracle_differences(OracleNetwork *net, Arena *a, int k, const double *gradient);
/* The same for all operands, with the gradients that the oracles of the backward pass give. */
const char *oracle_gradients(Arena *a, const OpDesc *op, const Sample *s, uint64_t *seed);

#endif
