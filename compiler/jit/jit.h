/* jit: C text becomes functions in this process. Two ways with one face: libtcc in memory, at once
 * and with nothing installed; or a system compiler, slow to start and fast to run.
 *
 * A Jit lives until jit_free, apart from any arena: its functions must not be called later. Both
 * ways return NULL with a message in the arena when the text does not compile; neither prints. */
#ifndef CNNC_JIT_H
#define CNNC_JIT_H

#include "../base.h"

typedef struct Jit Jit;

/* Needs no headers and no libraries of a C installation: includes in the text are replaced by what
 * libtcc's C knows of <stdint.h>, <stddef.h>, <string.h> and <math.h>. Warnings are errors. */
Jit *jit_tcc(Arena *a, const char *text, const char **error);
/* `compiler` is a command with its options, words divided by spaces: "cc -O2". Runs it with -shared
 * in a temporary directory (below $TMPDIR or /tmp), which is gone when this returns. */
Jit *jit_cc(Arena *a, const char *text, const char *compiler, const char **error);
void *jit_symbol(const Jit *j, const char *name); /* NULL: there is none */
void jit_free(Jit *j);                            /* NULL is fine */

#endif
