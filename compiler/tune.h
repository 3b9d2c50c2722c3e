/* tune: schedules by measuring, on the machine that cnnc runs on. */
#ifndef CNNC_TUNE_H
#define CNNC_TUNE_H

#include "driver.h"

/* compile_model, by the decisions of the file opt->tune once the best schedules of this machine for
 * heavy nests that it does not name are added to it. It is made if it is not there. */
Program *tune_model(Arena *a, Diag *d, const Options *opt, Text *dump);

/* tune_race.c: schedules of one nest beside each other. */
typedef struct {
	const Program *program;
	const Part *part; /* whose nest it is */
	const Target *target;
	const char *compiler;
	const Scheduled *const *runner; /* the first is the compiler's choice */
	int n;
	/* found: */
	int best;           /* the fastest; the first, if none is clearly faster */
	double first, time; /* seconds that the first takes for a call, and the best */
} Race;

const char *race_run(Arena *a, Race *r); /* NULL, or why it did not take place */

#endif
