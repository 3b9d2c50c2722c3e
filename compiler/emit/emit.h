/* emit: a program as C text. Shapes, order, offsets and schedules come in; what is decided here is
 * how they are written down, where long sums begin anew (partial.c) and which lines are asked for
 * ahead (ahead.c, slices.c). */
#ifndef CNNC_EMIT_H
#define CNNC_EMIT_H

#include "../program.h"

/* The .c and the .h. `header_name` is what the .c includes ("lenet.h"); NULL, or no name that
 * #include could say: the header's text goes into the .c itself. The same program gives the same
 * bytes. */
void emit_program(Arena *a, const Program *p, const char *header_name, Text *c, Text *h);

/* One scheduled nest as a static function `name(const void *const *arg, size_t block)` for a
 * target; arg[] in the order of kernel_buffers(). For the program printer, the benchmarks and the
 * tests. */
void emit_kernel(
    Arena *a, const Scheduled *s, const Target *t, bool is_double, const char *name, Text *out);
/* The distinct buffers of a nest in argument order: loads in order of first mention, then stores.
 */
int kernel_buffers(const Nest *n, const Buffer **buffer /* [NEST_LOADS + NEST_STORES] */);
/* Types and functions the kernels of a target stand on (vectors, exp, log, tanh, hash). */
void emit_prelude(Text *out, const Target *const *target, int n, bool is_double);

#endif
