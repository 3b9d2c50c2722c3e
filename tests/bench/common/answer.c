/* answer: the lines of a benchmark's peer. */
#include "answer.h"
#include "../../../compiler/base.h"
#include "../../../compiler/here.h"

#include <stdlib.h>

/* A call that takes longer than so many turns needs no other before it to be as fast as it can. */
enum { SHORT = 3 };

/* `estimate`: what a call takes, 0: unknown. */
static void run(const Answers *a, double least, double *estimate)
{
	long calls = 0;
	if (*estimate < SHORT * least) {
		double start = wall_seconds();
		a->call(a->self);
		*estimate = wall_seconds() - start;
	}
	double start = wall_seconds(), cpu = cpu_seconds(), took;
	do {
		a->call(a->self);
		calls++;
		took = wall_seconds() - start;
	} while (took < least);
	cpu = cpu_seconds() - cpu;
	*estimate = took / (double)calls;
	printf("%.9g %.9g\n", took / (double)calls, cpu / (double)calls);
}

void answer_all(const Answers *a)
{
	char line[4096];
	double least, estimate = 0;
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "info")) {
			printf("%s\n", a->info);
		} else if (a->open && !strncmp(line, "open ", 5)) {
			estimate = 0;
			printf("%s\n", a->open(a->self, line + 5));
		} else if (!strncmp(line, "check ", 6)) {
			a->check(a->self, line + 6);
			printf("ok\n");
		} else if (sscanf(line, "run %lf", &least) == 1) {
			run(a, least, &estimate);
		} else {
			fprintf(stderr, "%s: not understood: %s\n", a->name, line);
			exit(1);
		}
		fflush(stdout);
	}
}
