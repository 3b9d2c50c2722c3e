/* random_network: valid networks made at random, as Lua text, from the operator table: every method
 * with the attributes and operands that its descriptor and its samples speak of. What an operator
 * refuses (infer), what is too large, and what gives numbers that are no good to compare is not
 * taken. The same seed gives the same text. */
#ifndef CNNC_TESTS_RANDOM_NETWORK_H
#define CNNC_TESTS_RANDOM_NETWORK_H

#include "../compiler/ir.h"

typedef struct {
	const char *text;
	bool *made; /* by index in op_table: is among the methods */
} RandomNetwork;

typedef struct {
	int64_t train, infer[2]; /* infer[1] may be 0: none */
} Batches;

/* `whole`: all numbers are to be whole ones, as far as that goes. `steps`: of making something; 0:
 * as many as the seed says. With fewer steps, a network begins in the same way. */
RandomNetwork random_network(Arena *a, uint64_t seed, bool whole, int steps);

/* Whether it has images for which schedules do what small ones need not. */
bool network_is_large(uint64_t seed, bool whole);
Batches random_batches(uint64_t seed, bool whole); /* that the network of a seed is for */

/* The numbers of a state or an input of the network, by its name: the same for all networks of one
 * seed. `count` may be more than the batch that the node has. */
void random_state(uint64_t seed, bool whole, const Model *m, const State *s, double *x);
void random_input(uint64_t seed, bool whole, const Node *n, double *x, int64_t count);

/* Evenly from 0..below-1, of a stream. */
uint64_t random_below(uint64_t *stream, uint64_t below);

#endif
