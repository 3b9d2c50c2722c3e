/* jit_tcc: compiles in memory with libtcc.
 *
 * Why no system headers: the text needs four of them and little of each; this way the loop works
 * where only cnnc is installed, and libtcc never meets a C library's extensions. What libtcc's code
 * calls (its own run-time library, libm, mem*) is handed over by address, so -nostdlib holds. What
 * libtcc does not have (vectors, target attributes, aligned locals) the emitted text avoids under
 * __TINYC__. */
#include "jit_private.h"

#include <libtcc.h>
#include <math.h>
#include <stdlib.h>

/* The functions of <math.h> that come in double and float: by number of arguments. */
#define MATH(F1, F2)                                                                               \
	F1(exp)                                                                                        \
	F1(exp2)                                                                                       \
	F1(expm1)                                                                                      \
	F1(log)                                                                                        \
	F1(log2)                                                                                       \
	F1(log1p)                                                                                      \
	F1(sqrt)                                                                                       \
	F1(tanh)                                                                                       \
	F1(fabs)                                                                                       \
	F1(floor)                                                                                      \
	F1(ceil)                                                                                       \
	F1(rint)                                                                                       \
	F1(nearbyint)                                                                                  \
	F1(trunc)                                                                                      \
	F1(round)                                                                                      \
	F1(sin)                                                                                        \
	F1(cos)                                                                                        \
	F2(pow)                                                                                        \
	F2(fmod)                                                                                       \
	F2(fmax)                                                                                       \
	F2(fmin)                                                                                       \
	F2(copysign)

#define DECLARE1(name) "double " #name "(double); float " #name "f(float);\n"
#define DECLARE2(name) "double " #name "(double, double); float " #name "f(float, float);\n"

static const char prelude[] =
    "typedef signed char int8_t; typedef short int16_t; typedef int int32_t;\n"
    "typedef long long int64_t; typedef unsigned char uint8_t; typedef unsigned short uint16_t;\n"
    "typedef unsigned int uint32_t; typedef unsigned long long uint64_t;\n"
    "typedef unsigned long size_t; typedef long ptrdiff_t; typedef long intptr_t;\n"
    "typedef unsigned long uintptr_t;\n"
    "#define NULL ((void *)0)\n"
    "#define offsetof(type, field) ((size_t)&((type *)0)->field)\n"
    "#define INT8_MAX 127\n#define INT16_MAX 32767\n#define UINT8_MAX 255\n"
    "#define UINT16_MAX 65535\n#define INT32_MAX 2147483647\n"
    "#define INT32_MIN (-2147483647 - 1)\n#define UINT32_MAX 4294967295u\n"
    "#define INT64_MAX 9223372036854775807ll\n#define INT64_MIN (-9223372036854775807ll - 1)\n"
    "#define UINT64_MAX 18446744073709551615ull\n#define SIZE_MAX 18446744073709551615ul\n"
    "#define UINTPTR_MAX SIZE_MAX\n#define PTRDIFF_MAX 9223372036854775807l\n"
    "#define INT32_C(x) x\n#define UINT32_C(x) x##u\n"
    "#define INT64_C(x) x##ll\n#define UINT64_C(x) x##ull\n"
    "#define INFINITY __inf__\n#define HUGE_VAL ((double)__inf__)\n"
    "#define HUGE_VALF __inf__\n#define NAN __nan__\n"
    "#define isnan(x) ((x) != (x))\n#define isfinite(x) ((x) - (x) == 0)\n"
    "#define isinf(x) ((x) == (x) && (x) - (x) != 0)\n"
    "void *memcpy(void *, const void *, size_t); void *memmove(void *, const void *, size_t);\n"
    "void *memset(void *, int, size_t); int memcmp(const void *, const void *, size_t);\n"
    "size_t strlen(const char *); int strcmp(const char *, const char *);\n"
    "double ldexp(double, int); float ldexpf(float, int);\n"
    "double fma(double, double, double); float fmaf(float, float, float);\n" //
    MATH(DECLARE1, DECLARE2);

_Static_assert(sizeof(size_t) == 8 && sizeof(long) == 8, "the prelude is for 64-bit Unix");

/* Conversions that libtcc compiles to calls. */
static float u64_to_float(uint64_t x) { return (float)x; }
static double u64_to_double(uint64_t x) { return (double)x; }
static uint64_t float_to_u64(float x) { return (uint64_t)x; }
static uint64_t double_to_u64(double x) { return (uint64_t)x; }
static int64_t float_to_i64(float x) { return (int64_t)x; }
static int64_t double_to_i64(double x) { return (int64_t)x; }

typedef void (*Code)(void);
typedef float (*Float1)(float);
typedef double (*Double1)(double);
typedef float (*Float2)(float, float);
typedef double (*Double2)(double, double);

static void add_code(TCCState *tcc, const char *name, Code f)
{
	void *address;
	memcpy(
	    &address, &f, sizeof address); /* POSIX: a function's address fits, C alone has no cast */
	tcc_add_symbol(tcc, name, address);
}

static void add_symbols(TCCState *tcc)
{
	/* The assignments choose the C library's function, never a macro or a generic. */
#define ADD(name, Double, Float)                                                                   \
	{                                                                                              \
		Double d = name;                                                                           \
		Float f = name##f;                                                                         \
		add_code(tcc, #name, (Code)d);                                                             \
		add_code(tcc, #name "f", (Code)f);                                                         \
	}
#define ADD1(name) ADD(name, Double1, Float1)
#define ADD2(name) ADD(name, Double2, Float2)
	MATH(ADD1, ADD2)
	const struct {
		const char *name;
		Code f;
	} other[] = {
	    {"ldexp", (Code)ldexp},
	    {"ldexpf", (Code)ldexpf},
	    {"fma", (Code)fma},
	    {"fmaf", (Code)fmaf},
	    {"memcpy", (Code)memcpy},
	    {"memmove", (Code)memmove},
	    {"memset", (Code)memset},
	    {"memcmp", (Code)memcmp},
	    {"strlen", (Code)strlen},
	    {"strcmp", (Code)strcmp},
	    {"__floatundisf", (Code)u64_to_float},
	    {"__floatundidf", (Code)u64_to_double},
	    {"__fixunssfdi", (Code)float_to_u64},
	    {"__fixunsdfdi", (Code)double_to_u64},
	    {"__fixsfdi", (Code)float_to_i64},
	    {"__fixdfdi", (Code)double_to_i64},
	};
	for (int i = 0; i < COUNT(other); i++) add_code(tcc, other[i].name, other[i].f);
}

/* What libtcc says. Not in the arena: its longjmp must not cut through libtcc. */
typedef struct {
	char text[4096];
	size_t n;
} Messages;

static void collect(void *opaque, const char *message)
{
	Messages *m = opaque;
	int n = snprintf(m->text + m->n, sizeof m->text - m->n, "%s%s", m->n ? "\n" : "", message);
	if (n > 0) m->n = MIN(m->n + (size_t)n, sizeof m->text - 1);
}

/* The text without its #include lines; line numbers stay. */
static const char *without_includes(Arena *a, const char *text)
{
	char *copy = arena_copy(a, text);
	for (char *line = copy; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		char *at = line + strspn(line, " \t");
		if (*at != '#') continue;
		at += 1 + strspn(at + 1, " \t");
		if (strncmp(at, "include", 7) == 0) memset(line, ' ', strcspn(line, "\n"));
	}
	return copy;
}

static void *symbol(void *handle, const char *name) { return tcc_get_symbol(handle, name); }
static void close_state(void *handle) { tcc_delete(handle); }

static bool compile(TCCState *tcc, const char *text)
{
	tcc_set_options(tcc, "-nostdlib -nostdinc -Werror -Wimplicit-function-declaration");
	if (tcc_set_output_type(tcc, TCC_OUTPUT_MEMORY) < 0) return false;
	if (tcc_compile_string(tcc, text) < 0) return false;
	add_symbols(tcc);
	return tcc_relocate(tcc, TCC_RELOCATE_AUTO) >= 0;
}

Jit *jit_tcc(Arena *a, const char *text, const char **error)
{
	*error = NULL;
	const char *whole =
	    arena_printf(a, "%s#line 1 \"network.c\"\n%s", prelude, without_includes(a, text));
	TCCState *tcc = tcc_new();
	if (!tcc) {
		*error = "libtcc cannot start: out of memory";
		return NULL;
	}
	Messages messages = {.n = 0};
	tcc_set_error_func(tcc, &messages, collect);
	if (!compile(tcc, whole)) {
		*error =
		    arena_printf(a, "libtcc: %s", messages.n ? messages.text : "failed without a message");
		tcc_delete(tcc);
		return NULL;
	}
	Jit *j = jit_new(tcc, symbol, close_state);
	if (!j) *error = "libtcc: out of memory";
	return j;
}
