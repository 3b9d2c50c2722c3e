/* machine: clock and name of the machine that the benchmarks run on. */
#include "machine.h"
#include "../../../compiler/emit/emit.h"

#include <stdlib.h>

static int by_size(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;
	return (a > b) - (a < b);
}

double median(double *x, int n)
{
	qsort(x, (size_t)n, sizeof *x, by_size);
	return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* Additions that wait for each other: one a cycle on every machine of today. The fastest of a few
 * tries, since whatever disturbs one makes it slower. */
double clock_rate(void)
{
#if defined __GNUC__
#define ADD                                                                                        \
	x += y;                                                                                        \
	__asm__ volatile("" : "+r"(x));
	enum { ADDS = 8, TRIES = 9 };
	const long rounds = 2000000;
	double best = 0;
	for (int k = 0; k < TRIES; k++) {
		unsigned long x = (unsigned long)k, y = 3;
		__asm__ volatile("" : "+r"(y)); /* a number nobody knows */
		double start = cpu_seconds();
		for (long i = 0; i < rounds; i++) { ADD ADD ADD ADD ADD ADD ADD ADD }
		double rate = ADDS * (double)rounds / (cpu_seconds() - start);
		best = MAX(best, rate);
	}
	return best;
#undef ADD
#else
	return 0;
#endif
}

/* The first "model name" of /proc/cpuinfo, where there is one. */
const char *processor(Arena *a)
{
	static const char key[] = "model name";
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");
	const char *name = "unknown processor";
	while (f && fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');
		if (strncmp(line, key, sizeof key - 1) || !colon) continue;
		line[strcspn(line, "\n")] = '\0';
		name = arena_copy(a, colon + 1 + strspn(colon + 1, " "));
		break;
	}
	if (f) fclose(f);
	return name;
}

Jit *peak_load(Arena *a, const Target *t, const char *cc, Peak *peak, const char **error)
{
	Text text;
	text_init(&text, a);
	text_add(&text, "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n"
	                "#include <string.h>\n");
	emit_prelude(&text, &t, 1, false);
	peak_text(t, false, &text);
	Jit *jit = jit_cc(a, text.data, cc, error);
	if (!jit) return NULL;
	*(void **)peak = jit_symbol(jit, "peak");
	if (*peak) return jit;
	*error = "peak is not there";
	jit_free(jit);
	return NULL;
}
