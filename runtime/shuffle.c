/* shuffle: Fisher and Yates' algorithm over Steele, Lea and Flood's SplitMix64 (OOPSLA 2014). */
#include "shuffle.h"

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t next(uint64_t *state) { return mix(*state += 0x9e3779b97f4a7c15u); }

/* 0..n-1, all equally likely: numbers from the ragged end of 2^64 are drawn again. */
static uint64_t below(uint64_t *state, uint64_t n)
{
	uint64_t ragged = (UINT64_MAX - n + 1) % n; /* 2^64 mod n */
	for (;;) {
		uint64_t x = next(state);
		if (x >= ragged) return x % n;
	}
}

void shuffle_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch)
{
	/* both go through the mixer, so that neighbouring seeds and epochs share nothing */
	uint64_t state = mix(mix(seed + 0x9e3779b97f4a7c15u) ^ (epoch + 0x632be59bd9b4e019u));
	for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
	for (size_t i = n; i > 1; i--) {
		size_t k = (size_t)below(&state, i);
		uint32_t other = order[k];
		order[k] = order[i - 1];
		order[i - 1] = other;
	}
}
