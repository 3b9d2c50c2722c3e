/* jobs: parts of a test that run side by side, each in a process of its own: two at a time, or as
 * many as there are processors. A job that crashes fails like one that says what is wrong. */
#ifndef CNNC_TESTS_JOBS_H
#define CNNC_TESTS_JOBS_H

#include "../compiler/base.h"

typedef struct Job Job;

typedef struct {
	const char *name;
	void *self;
	/* NULL, or what is wrong. The arena dies with the job. */
	const char *(*run)(Job *job, Arena *a, void *self);
} JobSpec;

/* Runs them all. NULL, or what the failed ones said, a paragraph each. */
const char *jobs_run(Arena *a, const JobSpec *spec, int n);
/* What the job is at: named when it crashes. */
void job_at(Job *job, const char *what);

#endif
