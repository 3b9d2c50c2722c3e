/* machine: what the benchmarks measure with, and what they measure against. */
#ifndef CNNC_BENCH_MACHINE_H
#define CNNC_BENCH_MACHINE_H

#include "../../../compiler/here.h"
#include "../../../compiler/jit/jit.h"
#include "../../../compiler/repl/peak.h"

double median(double *x, int n); /* sorts x */
double clock_rate(void);         /* cycles a second of this processor, 0: unknown */
const char *processor(Arena *a); /* its name, as the system tells it */

/* Compiles the loop of peak_text alone, for floats, with the C compiler `cc`; it is there until
 * jit_free. NULL, and `error` says why. */
Jit *peak_load(Arena *a, const Target *t, const char *cc, Peak *peak, const char **error);

#endif
