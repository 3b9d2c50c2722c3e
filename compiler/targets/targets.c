/* targets: the machines that kernels are written for, widest first, so that the first whose test
 * holds is the best. */
#include "target.h"

#include <string.h>

/* tcc defines __GNUC__ and understands neither vector_size nor target(...). */
#define GNU_C "defined __GNUC__ && !defined __TINYC__"
#define IS_AMD "__builtin_cpu_is(\"amd\")"

static const Target avx512 = {
    .name = "avx512",
    .attribute = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma",
    .test = "__builtin_cpu_supports(\"avx512f\") && __builtin_cpu_supports(\"avx512bw\") && "
            "__builtin_cpu_supports(\"avx512dq\") && __builtin_cpu_supports(\"avx512vl\") && "
            "__builtin_cpu_supports(\"avx2\") && __builtin_cpu_supports(\"fma\")",
    .sees_rows = IS_AMD,
    .guard = GNU_C " && defined __x86_64__",
    .vector_bytes = 64,
    .registers = 32,
    .fma_ports = 2,
    .fuses = true,
    .cache_line = 64,
};

static const Target avx2 = {
    .name = "avx2",
    .attribute = "avx2,fma",
    .test = "__builtin_cpu_supports(\"avx2\") && __builtin_cpu_supports(\"fma\")",
    .sees_rows = IS_AMD,
    .guard = GNU_C " && defined __x86_64__",
    .vector_bytes = 32,
    .registers = 16,
    .fma_ports = 2,
    .fuses = true,
    .cache_line = 64,
};

/* SSE2 is part of the architecture; there is no FMA, two ports multiply and add. */
static const Target x86_64 = {
    .name = "x86-64",
    .sees_rows = IS_AMD,
    .guard = GNU_C " && defined __x86_64__",
    .vector_bytes = 16,
    .registers = 16,
    .fma_ports = 2,
    .cache_line = 64,
};

static const Target neon = {
    .name = "neon",
    .guard = GNU_C " && defined __aarch64__",
    .vector_bytes = 16,
    .registers = 32,
    .fma_ports = 2,
    .fuses = true,
    .cache_line = 64,
};

/* Any C11 compiler: scalar text. The register count is that of the poorest common machine. */
static const Target generic = {
    .name = "generic",
    .registers = 16,
    .fma_ports = 1,
    .cache_line = 64,
};

const Target *const target_table[] = {&avx512, &avx2, &x86_64, &neon, &generic};
const int target_count = (int)(sizeof target_table / sizeof target_table[0]);

_Static_assert(sizeof target_table / sizeof target_table[0] <= TARGET_LIMIT, "TARGET_LIMIT");

const Target *target_find(const char *name)
{
	for (int i = 0; i < target_count; i++)
		if (strcmp(target_table[i]->name, name) == 0) return target_table[i];
	return NULL;
}
