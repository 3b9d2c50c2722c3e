/* driver: the pipeline as a readable list. */
#ifndef CNNC_DRIVER_H
#define CNNC_DRIVER_H

#include "options.h"
#include "program.h"

/* Lua file to program: frontend, instances, autodiff, passes, lowering, the stages of
 * schedule/stages.c, plan and schedules, each verified. NULL after errors. With opt->dump, the
 * stage's text goes to `dump`. */
Program *compile_model(Arena *a, Diag *d, const Options *opt, Text *dump);
/* The same from a model that is there already. */
Program *compile_program(Arena *a, Diag *d, const Options *opt, Model *m, Text *dump);

/* summary.c: layers with what they cost, parameters, work and memory; one form for people, one for
 * programs. */
void summary_print(const Program *p, bool json, Text *out);

/* api.c: the same compilation for main, which has its options as data already. They must outlive c.
 */
struct cnnc_state;
int cnnc_compile_options(struct cnnc_state *c, const Options *opt);

#endif
