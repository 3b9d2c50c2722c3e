/* job: one pass of one layer on its way through the compiler's own stages (lower, fuse, lay out,
 * schedule, plan, print), and the memory that it computes in.
 *
 * Operands lie as they do inside a network: what other layers make is laid out by the compiler,
 * weights and images are row-major and copied. */
#ifndef CNNC_BENCH_JOB_H
#define CNNC_BENCH_JOB_H

#include "../../../compiler/jit/jit.h"
#include "../../../compiler/program.h"
#include "layer.h"

typedef void (*StepCode)(const void *const *arg, size_t block);

typedef struct {
	Arena *arena;
	const char *program; /* for messages */
	const Target *target;
	const Layer *layer;
	int pass;
	int64_t batch;
	const char *schedule; /* in place of the chosen one; NULL: that one */
	State weight;
	Diag diag;
	Part *part;
	int step, last;    /* the contraction's, and the last of the layer's own */
	StepCode *code;    /* by step */
	const void ***arg; /* by step */
	void **own;        /* memory by buffer; WORK: NULL */
	void *work, *lent; /* the arena; what would lie in the gradients' memory */
} Job;

_Noreturn void job_fail(const Job *j, const char *why);
void job_compile(Job *j); /* layer, pass, batch and target to part */
/* The C of all steps: step_0, step_1, ... as StepCode, and the loop of peak_text. */
const char *job_text(Job *j);
void job_place(Job *j); /* memory for all buffers, the operands filled */
void job_free(Job *j);  /* that memory */
/* Neither what feeds the layer nor a copy into its layout or out of it. */
bool job_is_layer(const Job *j, int step);
bool job_is_copy(const Job *j, int step);
const float *job_buffer(const Job *j, const Buffer *b);
void *job_memory(const Job *j, size_t bytes); /* zeros, aligned; malloc's */

#endif
