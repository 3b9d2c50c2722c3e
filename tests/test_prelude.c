/* The functions that printed kernels stand on: exp, log, tanh and pow in float against libm's
 * double, over a walk through all floats (a closer one with CNNC_CHECK=full), scalar and on
 * vectors. */
#define _XOPEN_SOURCE 700
#include "../compiler/emit/emit.h"
#include "machine.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { WIDE = 16 }; /* arguments at a time: a multiple of every target's lanes */
typedef void Each(const float *x, float *y);
typedef void EachPair(const float *x, const float *z, float *y);

static struct {
	Arena *arena;
	jmp_buf out;
	char folder[64];
	void *library;
} all;

static const char *const suffixes[] = {"f32", "f32x4", "f32x8", "f32x16"};
static const char *const targets[] = {"generic", "x86-64", "avx2", "avx512"};

static bool here(int t)
{
#if defined __x86_64__
	if (t == 3) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
	if (t == 2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	return true;
#else
	return t == 0;
#endif
}

/* Functions over WIDE floats, called exp_f32x8_each. */
static void print_each(Text *out, int t, const char *function, int operands)
{
	const char *type = t ? suffixes[t] : "float";
	text_printf(out, "void %s_%s_each(const float *x, %sfloat *y);\n", function, suffixes[t],
	    operands == 2 ? "const float *z, " : "");
	if (t == 2) text_add(out, "CNNC_AVX2 ");
	if (t == 3) text_add(out, "CNNC_AVX512 ");
	text_printf(out, "void %s_%s_each(const float *x, %sfloat *y)\n{\n", function, suffixes[t],
	    operands == 2 ? "const float *z, " : "");
	text_printf(out, "\tfor (int i = 0; i < %d; i += (int)(sizeof(%s) / 4))\n", WIDE, type);
	const char *from = t ? "u" : "";
	text_printf(out, "\t\t*(%s%s *)&y[i] = %s_%s(*(const %s%s *)&x[i]", type, from, function,
	    suffixes[t], type, from);
	if (operands == 2) text_printf(out, ", *(const %s%s *)&z[i]", type, from);
	text_add(out, ");\n}\n");
}

static int group_setup(void **state)
{
	(void)state;
	Text out;
	const Target *target[COUNT(targets)];
	all.arena = arena_new(0);
	if (setjmp(all.out)) return -1;
	arena_guard(all.arena, &all.out);
	strcpy(all.folder, "/tmp/cnnc-prelude-XXXXXX");
	if (!mkdtemp(all.folder)) return -1;
	for (int t = 0; t < COUNT(targets); t++) target[t] = target_find(targets[t]);
	text_init(&out, all.arena);
	text_add(
	    &out, "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n");
	emit_prelude(&out, target, COUNT(targets), false);
	for (int t = 0; t < COUNT(targets); t++) {
		if (t) text_add(&out, "#if defined __x86_64__\n");
		print_each(&out, t, "exp", 1);
		print_each(&out, t, "log", 1);
		print_each(&out, t, "tanh", 1);
		print_each(&out, t, "sqrt", 1);
		print_each(&out, t, "abs", 1);
		print_each(&out, t, "pow", 2);
		print_each(&out, t, "max", 2);
		print_each(&out, t, "min", 2);
		if (t) text_add(&out, "#endif\n");
	}
	const char *file = arena_printf(all.arena, "%s/prelude.c", all.folder);
	if (file_write(all.arena, file, out.data, out.len, false)) return -1;
	const char *cc = getenv("CC") ? getenv("CC") : "cc";
	const char *library = arena_printf(all.arena, "%s/prelude.so", all.folder);
	if (system(arena_printf(
	        all.arena, "%s -std=c11 -O2 -shared -fPIC -o %s %s -lm", cc, library, file)))
		return -1;
	all.library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	return all.library ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	char command[128];
	if (all.library) dlclose(all.library);
	snprintf(command, sizeof command, "rm -rf '%s'", all.folder);
	int status = system(command);
	arena_free(all.arena);
	return status;
}

static void *function(const char *name, int t)
{
	char symbol[64];
	snprintf(symbol, sizeof symbol, "%s_%s_each", name, suffixes[t]);
	void *f = dlsym(all.library, symbol);
	if (!f) fail_msg("%s is missing", symbol);
	return f;
}

static float float_of(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* Distance in units of the last place that `want` would have as a float. */
static double ulps(float have, double want)
{
	if (isnan(want)) return isnan(have) ? 0 : INFINITY;
	if (isnan(have)) return INFINITY;
	float nearest = (float)want;
	if (isinf(nearest) || isinf(have)) return nearest == have ? 0 : INFINITY;
	int exponent;
	frexp(want, &exponent);
	double unit = ldexp(1, exponent < -125 ? -149 : exponent - 24);
	return fabs((double)have - want) / unit;
}

static uint32_t stride(void) { return check_is_full() ? 61 : 1021; }

static void measure(const char *name, double (*exact)(double), double bound)
{
	for (int t = 0; t < COUNT(targets); t++) {
		if (!here(t)) continue;
		Each *each;
		*(void **)&each = function(name, t);
		double worst = 0;
		float x[WIDE], y[WIDE], at = 0;
		uint64_t bits = 0, step = stride() * (t ? 1u : 3u);
		while (bits < UINT64_C(1) << 32) {
			for (int i = 0; i < WIDE; i++, bits += step) x[i] = float_of((uint32_t)bits);
			each(x, y);
			for (int i = 0; i < WIDE; i++) {
				double e = ulps(y[i], exact((double)x[i]));
				if (e > worst) worst = e, at = x[i];
			}
		}
		if (getenv("CNNC_VERBOSE"))
			print_message("%s_%s: %.3f ulp at %a\n", name, suffixes[t], worst, (double)at);
		if (worst > bound)
			fail_msg("%s_%s(%a) is off by %g ulp", name, suffixes[t], (double)at, worst);
	}
}

static void exp_is_within_its_bound(void **state)
{
	(void)state;
	measure("exp", exp, 1.03);
}

static void log_is_within_its_bound(void **state)
{
	(void)state;
	measure("log", log, 1.0);
}

static void tanh_is_within_its_bound(void **state)
{
	(void)state;
	measure("tanh", tanh, 1.5);
}

static void sqrt_and_abs_are_exact(void **state)
{
	(void)state;
	measure("sqrt", sqrt, 0.5);
	measure("abs", fabs, 0);
}

static float any_float(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return float_of((uint32_t)(*seed >> 32));
}

static void check_pow(float x, float z, float y, const char *suffix)
{
	double want = pow((double)x, (double)z), e = ulps(y, want);
	if (e > 0.52)
		fail_msg("pow_%s(%a, %a) is %a, off by %g ulp", suffix, (double)x, (double)z, (double)y, e);
	if (want == 0 && !signbit(want) != !signbit(y))
		fail_msg("pow(%a, %a): sign", (double)x, (double)z);
}

static void pow_is_within_its_bound(void **state)
{
	(void)state;
	static const float special[] = {0, -0.0f, 1, -1, 2, -2, 0.5f, -0.5f, 3, -3, 1e30f, -1e30f,
	    1e-40f, -1e-40f, 16777215, 16777216, -16777215, 8388609, 1.5f, -1.5f, INFINITY, -INFINITY,
	    NAN, 127, -149};
	for (int t = 0; t < COUNT(targets); t++) {
		if (!here(t)) continue;
		EachPair *each;
		*(void **)&each = function("pow", t);
		uint64_t seed = 9;
		float x[WIDE], z[WIDE], y[WIDE];
		for (int k = 0; k < COUNT(special) * COUNT(special); k++) {
			for (int i = 0; i < WIDE; i++)
				x[i] = special[k / COUNT(special)], z[i] = special[k % COUNT(special)];
			each(x, z, y);
			for (int i = 0; i < WIDE; i++) check_pow(x[i], z[i], y[i], suffixes[t]);
		}
		for (int k = 0; k < (stride() < 1000 ? 3000000 : 100000); k++) {
			for (int i = 0; i < WIDE; i++) {
				x[i] = any_float(&seed);
				z[i] = any_float(&seed);
				if (i & 1)
					x[i] = fabsf(x[i]), z[i] = remainderf(z[i], 130) / (fabsf(log2f(x[i])) + 0.01f);
			}
			each(x, z, y);
			for (int i = 0; i < WIDE; i++) check_pow(x[i], z[i], y[i], suffixes[t]);
		}
	}
}

static void max_and_min_choose_as_the_comparison_says(void **state)
{
	(void)state;
	static const float special[] = {0, -0.0f, 1, -1, INFINITY, -INFINITY, NAN, 1e-40f};
	for (int t = 0; t < COUNT(targets); t++) {
		if (!here(t)) continue;
		EachPair *max, *min;
		*(void **)&max = function("max", t);
		*(void **)&min = function("min", t);
		for (int k = 0; k < COUNT(special) * COUNT(special); k++) {
			float x[WIDE], z[WIDE], y[WIDE], a = special[k / COUNT(special)],
			                                 b = special[k % COUNT(special)];
			for (int i = 0; i < WIDE; i++) x[i] = a, z[i] = b;
			max(x, z, y);
			float want = a > b ? a : b;
			for (int i = 0; i < WIDE; i++) assert_memory_equal(&y[i], &want, isnan(want) ? 0 : 4);
			for (int i = 0; i < WIDE; i++) assert_int_equal(isnan(want) != 0, isnan(y[i]) != 0);
			min(x, z, y);
			want = a < b ? a : b;
			for (int i = 0; i < WIDE; i++) assert_memory_equal(&y[i], &want, isnan(want) ? 0 : 4);
			for (int i = 0; i < WIDE; i++) assert_int_equal(isnan(want) != 0, isnan(y[i]) != 0);
		}
	}
}

/* Whatever targets a text is for: each has its vectors and those of half and a quarter of the
 * lanes, once, with what kernels call. */
static void any_targets_have_their_narrow_vectors(void **state)
{
	static const char *const names[] = {"avx512", "avx2", "x86-64"};
	static const char *const attributes[] = {"CNNC_AVX512 ", "CNNC_AVX2 ", ""};
	const char *cc = getenv("CC") ? getenv("CC") : "cc";
	const char *file = arena_printf(all.arena, "%s/list.c", all.folder);
	(void)state;
	for (int list = 1; list < 1 << COUNT(names); list++)
		for (int real = 0; real < 2; real++) {
			const Target *target[COUNT(names)];
			int n = 0, widest = 0;
			while (!(list >> widest & 1)) widest++;
			for (int t = widest; t < COUNT(names); t++)
				if (list >> t & 1) target[n++] = target_find(names[t]);
			Text out;
			text_init(&out, all.arena);
			text_add(&out, "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n");
			emit_prelude(&out, target, n, real);
			int lanes = target[0]->vector_bytes / (real ? 8 : 4);
			text_add(&out, "#if defined __x86_64__\n");
			for (int l = lanes; l >= LEAST_LANES; l /= 2) {
				const char *type = arena_printf(all.arena, "f%dx%d", real ? 64 : 32, l);
				text_printf(&out, "void have_%s(%s *x);\n", type, type);
				text_printf(&out, "%svoid have_%s(%s *x) { *x = max_%s(exp_%s(*x), *x); }\n",
				    attributes[widest], type, type, type, type);
			}
			text_add(&out, "#endif\n");
			assert_null(file_write(all.arena, file, out.data, out.len, true));
			if (system(arena_printf(
			        all.arena, "%s -std=c11 -Wall -Werror -fsyntax-only %s", cc, file)))
				fail_msg("list %d of targets, real %d", list, real);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_targets_have_their_narrow_vectors),
	    cmocka_unit_test(exp_is_within_its_bound),
	    cmocka_unit_test(log_is_within_its_bound),
	    cmocka_unit_test(tanh_is_within_its_bound),
	    cmocka_unit_test(sqrt_and_abs_are_exact),
	    cmocka_unit_test(pow_is_within_its_bound),
	    cmocka_unit_test(max_and_min_choose_as_the_comparison_says),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
