/* target: facts of a machine as data. No kernels. */
#ifndef CNNC_TARGET_H
#define CNNC_TARGET_H

#include <stdbool.h>

enum { TARGET_LIMIT = 5 };

typedef struct {
	const char *name;      /* --target's word: avx512, avx2, x86-64, neon, generic */
	const char *attribute; /* gcc's target("..."): NULL: none needed */
	const char *test;      /* run-time test, a C condition; NULL: always there */
	const char *sees_rows; /* run-time test: whether the processor sees rows of a matrix that are
	                        * read side by side as streams; NULL: not known */
	const char *guard;     /* preprocessor condition under which its kernels exist; NULL: always */
	int vector_bytes;      /* 0: scalar text only */
	int registers;         /* vector registers */
	int fma_ports; /* as most of these machines have them; only printed, by tests/bench/kernels.c */
	bool fuses;    /* a*b + c with one rounding, where the compiler may */
	int cache_line;
} Target;

extern const Target *const target_table[];
extern const int target_count;
const Target *target_find(const char *name); /* or NULL */

#endif
