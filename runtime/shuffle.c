/* shuffle: Fisher and Yates' algorithm. */
#include "shuffle.h"

#include "random.h"

void shuffle_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch)
{
	uint64_t state = random_epoch(seed, epoch);
	for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
	for (size_t i = n; i > 1; i--) {
		size_t k = (size_t)random_below(&state, i);
		uint32_t other = order[k];
		order[k] = order[i - 1];
		order[i - 1] = other;
	}
}
