/* options: what the command line asks for. */
#ifndef DIGITS_OPTIONS_H
#define DIGITS_OPTIONS_H

#include "../../runtime/rate.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
	OPTION_DATA,
	OPTION_EPOCHS,
	OPTION_STEPS,
	OPTION_BATCH,
	OPTION_RATE,
	OPTION_SCHEDULE,
	OPTION_MOMENTUM,
	OPTION_DECAY,
	OPTION_PAD,
	OPTION_FLIP,
	OPTION_SEED,
	OPTION_CHECKPOINT,
	OPTION_WEIGHTS,
	OPTION_LOAD,
	OPTION_THREADS,
	OPTIONS
} OptionId;

typedef struct {
	const char *data, *checkpoint, *weights, *load; /* NULL: not asked for */
	uint64_t epochs, steps, batch, pad, flip, seed, threads;
	float rate, momentum, decay;
	RateKind schedule;
	bool given[OPTIONS];
} Options;

/* Fills *o over its defaults. -1: go on; else the program is done, with this status: 0 after
 * --help, 2 after a mistake, which was reported. */
int options_parse(Options *o, int argc, char **argv);

#endif
