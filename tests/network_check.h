/* network_check: one network in every way there is, held against the oracles of its operators. See
 * fuzz/fuzz_networks.c for what is compared. */
#ifndef CNNC_TESTS_NETWORK_CHECK_H
#define CNNC_TESTS_NETWORK_CHECK_H

#include "../compiler/op.h"
#include "random_network.h"

typedef struct {
	const char *stage; /* what is being done */
	bool refused;      /* the network is not valid, or gives numbers that are not finite */
	int tensors;       /* compared */
	int loose;         /* of these, so moved by roundings that the gates do not hold */
	int exact;         /* compared to the bit */
	int differences;   /* weights moved, to see what that makes of the loss */
} NetworkReport;

/* Whether seeds stand for networks of whole numbers. */
bool network_is_whole(uint64_t seed);
/* The numbers, batch sizes, targets and compilers are those of the seed. NULL, or what is wrong. */
const char *network_check(Arena *a, const char *file, uint64_t seed, NetworkReport *report);

#endif
