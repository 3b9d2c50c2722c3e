/* op_program: many cases in one C program, compiled once by one compiler for one target. */
#ifndef CNNC_TESTS_OP_PROGRAM_H
#define CNNC_TESTS_OP_PROGRAM_H

#include "op_case.h"

typedef struct {
	const OpCase *of;
	const Part *part;
} Compiled;

typedef struct OpProgram OpProgram;

/* `compiler` is a command for jit_cc, NULL: libtcc. *error: what it said. */
OpProgram *op_program_new(Arena *a, const Compiled *c, int n, const Target *target, bool is_double,
    const char *compiler, const char **error);
void op_program_free(OpProgram *p);
/* Runs case i: one tensor for each output of its part, in order, as doubles. With `backwards` by a
 * pool that runs the blocks last to first. NULL, or what is wrong: a status, a write out of place,
 * an operand changed. All memory is given unaligned, and what is written holds NaN before. */
const char *op_program_run(
    Arena *a, const OpProgram *p, int i, const CaseNumbers *n, bool backwards, double **out);

#endif
