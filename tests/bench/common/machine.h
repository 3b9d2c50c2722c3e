/* machine: what the benchmarks measure with, and what they measure against. */
#ifndef CNNC_BENCH_MACHINE_H
#define CNNC_BENCH_MACHINE_H

#include "../../../compiler/base.h"
#include "../../../compiler/targets/target.h"

double seconds(void);            /* of a clock that only runs forward */
double cpu_seconds(void);        /* spent by this process */
double median(double *x, int n); /* sorts x */
double clock_rate(void);         /* cycles a second of this processor, 0: unknown */
const char *processor(Arena *a); /* its name, as the system tells it */

/* The C text of `double peak(long rounds)`: multiply-adds that do not wait for each other, with the
 * target's vectors, which emit_prelude() must have named before. Returns how many operations it
 * did. */
void peak_text(const Target *t, Text *out);
typedef double (*Peak)(long rounds);
double peak_rate(Peak peak, long rounds); /* operations a second */

/* Whether kernels for this target run here; asked with the C compiler `cc`. */
bool target_runs(Arena *a, const Target *t, const char *cc);
/* The one named, or for NULL the widest that runs here. NULL: none does. */
const Target *target_here(Arena *a, const char *name, const char *cc);

#endif
