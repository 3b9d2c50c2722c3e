/* emit_nests: nests built by hand, each with a schedule, for the tests of the printer. */
#ifndef CNNC_TESTS_EMIT_NESTS_H
#define CNNC_TESTS_EMIT_NESTS_H

#include "../compiler/nest/nest.h"

typedef struct {
	const char *name;
	Nest *(*build)(Arena *a);
	const char *schedule; /* V stands for the target's lanes */
	const char *scalar;   /* for targets without vectors; NULL: the same with V = 4 */
	bool rounds;          /* division or a function: not exact on whole numbers */
} NestCase;

extern const NestCase nest_cases[];
extern const int nest_case_count;

/* y = conv(x, w): see emit_nests.c. */
typedef struct {
	int64_t n, ic, oc, h, w, k, stride, pad, groups;
	const char *layout_x, *layout_w, *layout_y; /* NULL: row-major */
	bool bias, relu, residual, inplace;         /* inplace: y is added to what it holds */
	int64_t into, at; /* channels of the buffer that y is a part of, and where; 0: its own */
} ConvShape;
Nest *conv_nest(Arena *a, ConvShape c);

#endif
