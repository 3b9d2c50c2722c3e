/* random: numbers from integer arithmetic alone, the same on every machine: Steele, Lea and Flood's
 * SplitMix64 (OOPSLA 2014). */
#ifndef CNNC_RUNTIME_RANDOM_H
#define CNNC_RUNTIME_RANDOM_H

#include <stdint.h>

/* A number for each number: one of 64 bits that look random. */
static inline uint64_t random_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline uint64_t random_next(uint64_t *state)
{
	return random_mix(*state += 0x9e3779b97f4a7c15u);
}

/* 0..n-1, all equally likely: numbers from the ragged end of 2^64 are drawn again. */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	uint64_t ragged = (UINT64_MAX - n + 1) % n; /* 2^64 mod n */
	for (;;) {
		uint64_t x = random_next(state);
		if (x >= ragged) return x % n;
	}
}

/* Where the numbers of an epoch begin. Both go through the mixer, so that neighbouring seeds and
 * epochs share nothing. */
static inline uint64_t random_epoch(uint64_t seed, uint64_t epoch)
{
	return random_mix(random_mix(seed + 0x9e3779b97f4a7c15u) ^ (epoch + 0x632be59bd9b4e019u));
}

#endif
