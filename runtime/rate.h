/* rate: the learning rate of a step. A schedule is plain data, so it goes into a checkpoint whole.
 */
#ifndef CNNC_RUNTIME_RATE_H
#define CNNC_RUNTIME_RATE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
	RATE_CONSTANT, /* base */
	RATE_STEP,     /* base * factor^(step / every) */
	RATE_COSINE,   /* from base down to `last` at step `total`, along half a cosine: Loshchilov and
	                * Hutter, SGDR, 2017, without restarts */
	RATE_KINDS
} RateKind;

typedef struct {
	RateKind kind;
	float base;
	uint64_t
	    warm_up; /* the first steps climb in a line from base/warm_up to base: Goyal et al. 2017 */
	uint64_t every; /* RATE_STEP; 0: never */
	float factor;
	uint64_t total; /* RATE_COSINE: steps of the whole training */
	float last;
} RateSchedule;

float rate_at(const RateSchedule *s, uint64_t step); /* step counts from 0 */
const char *rate_name(RateKind kind);                /* "cosine" */
bool rate_kind(const char *name, RateKind *kind);    /* false: no such name */

#endif
