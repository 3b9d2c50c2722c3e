/* machine: what the benchmarks measure with, and what they measure against. */
#ifndef CNNC_BENCH_MACHINE_H
#define CNNC_BENCH_MACHINE_H

#include "../../../compiler/repl/peak.h"

double median(double *x, int n); /* sorts x */
double clock_rate(void);         /* cycles a second of this processor, 0: unknown */
const char *processor(Arena *a); /* its name, as the system tells it */

#endif
