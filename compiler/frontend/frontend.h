/* frontend: a network file in Lua becomes a Model. */
#ifndef CNNC_FRONTEND_H
#define CNNC_FRONTEND_H

#include "../ir.h"
#include "../options.h"

/* Runs opt->file in the sandbox. NULL after errors, which are in `d`. Never prints, never exits;
 * the Lua state is gone when it returns. */
Model *frontend_load(Arena *a, Diag *d, const Options *opt);

#endif
