/* shuffle: an order of n things from (seed, epoch), by integer arithmetic alone: the same on every
 * machine, so that a run can be repeated anywhere and resumed from (seed, epoch, place). */
#ifndef CNNC_RUNTIME_SHUFFLE_H
#define CNNC_RUNTIME_SHUFFLE_H

#include <stddef.h>
#include <stdint.h>

/* order[0..n-1] becomes a permutation of 0..n-1, every one as likely; n <= UINT32_MAX. */
void shuffle_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch);

#endif
