/* machine: clock, peak and targets of the machine that the benchmarks run on. */
#define _POSIX_C_SOURCE 200809L
#include "machine.h"
#include "../../../compiler/jit/jit.h"

#include <stdlib.h>
#include <time.h>

double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The process's own time: others on the same processor do not count. */
double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

/* --- peak ---------------------------------------------------------------------------------- */

/* Twelve accumulators: more than latency times ports of the machines of today, less than registers.
 */
void peak_text(const Target *t, Text *out)
{
	enum { ACCUMULATORS = 12 };
	int lanes = t->vector_bytes / (int)sizeof(float);
	const char *type = lanes ? arena_printf(out->arena, "f32x%d", lanes) : "float";
	text_add(out, "double peak(long rounds);\n");
	if (t->attribute) text_printf(out, "__attribute__((target(\"%s\"))) ", t->attribute);
	text_printf(out, "double peak(long rounds)\n{\n\t%s m = {0}, c = {0}", type);
	for (int k = 0; k < ACCUMULATORS; k++) text_printf(out, ", a%d = {%d}", k, k);
	text_add(out, ";\n\tm += 0.5f;\n\tc += 0.25f;\n\tfor (long i = 0; i < rounds; i++) {\n");
	for (int k = 0; k < ACCUMULATORS; k++) text_printf(out, "\t\ta%d = a%d * m + c;\n", k, k);
	text_add(out, "\t}\n\tfloat sum = 0;\n\tfloat lane[sizeof m / sizeof(float)];\n");
	for (int k = 0; k < ACCUMULATORS; k++)
		text_printf(out, "\tmemcpy(lane, &a%d, sizeof m);\n\tsum += lane[0];\n", k);
	text_printf(out, "\treturn sum < 0 ? -1 : %d.0 * (double)rounds;\n}\n",
	    2 * ACCUMULATORS * MAX(lanes, 1));
}

double peak_rate(Peak peak, long rounds)
{
	double start = cpu_seconds(), operations = peak(rounds);
	return operations / (cpu_seconds() - start);
}

/* --- targets ------------------------------------------------------------------------------- */

bool target_runs(Arena *a, const Target *t, const char *cc)
{
	const char *error;
	const char *text =
	    arena_printf(a, "#if %s\nint runs(void);\nint runs(void) { return %s; }\n#endif\n",
	        t->guard ? t->guard : "1", t->test ? t->test : "1");
	Jit *jit = jit_cc(a, text, cc, &error);
	int (*runs)(void) = NULL;
	if (jit) *(void **)&runs = jit_symbol(jit, "runs");
	bool yes = runs && runs();
	jit_free(jit);
	return yes;
}

const Target *target_here(Arena *a, const char *name, const char *cc)
{
	for (int i = 0; i < target_count; i++) {
		if (name && strcmp(name, target_table[i]->name)) continue;
		if (target_runs(a, target_table[i], cc)) return target_table[i];
	}
	return NULL;
}
