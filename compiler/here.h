/* here: what the machine that cnnc runs on can run, and its clocks. */
#ifndef CNNC_HERE_H
#define CNNC_HERE_H

#include "base.h"
#include "targets/target.h"

double cpu_seconds(void);  /* spent by this process: others on the same processor do not count */
double wall_seconds(void); /* of a clock that only runs forward */

/* Whether kernels for this target run here; asked with the C compiler `cc`. */
bool runs_here(Arena *a, const Target *t, const char *cc);
/* The one named, or for NULL the widest that runs here. NULL: none does. */
const Target *target_here(Arena *a, const char *name, const char *cc);

#endif
