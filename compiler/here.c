#define _POSIX_C_SOURCE 200809L
#include "here.h"
#include "jit/jit.h"

#include <time.h>

static double read_clock(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double cpu_seconds(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }
double wall_seconds(void) { return read_clock(CLOCK_MONOTONIC); }

bool runs_here(Arena *a, const Target *t, const char *cc)
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
		if (runs_here(a, target_table[i], cc)) return target_table[i];
	}
	return NULL;
}
