/* op_case: a sample of an operator on the whole way from graph to schedules, with the numbers that
 * go in and those that its oracle says must come out. */
#ifndef CNNC_TESTS_OP_CASE_H
#define CNNC_TESTS_OP_CASE_H

#include "../compiler/program.h"
#include "sample.h"

/* What stands around the operator, so that its buffers are the user's or ours, its nest alone or
 * fused. In every form the results are those of the bare operator. */
typedef enum {
	FORM_BARE,   /* operands are arguments, as they lie in the user's memory */
	FORM_FUSED,  /* y = op(1*x + 0)*1 + 0: operands lie in work memory, in our layouts */
	FORM_SHARED, /* y is read twice: it lies in work memory too */
	FORMS
} Form;

extern const char *const form_names[FORMS];

typedef struct {
	const OpDesc *op;
	Sample sample;
	const char *name;             /* "conv: x=1x1x5x5 w=6x1x5x5 | kernel=5", for messages */
	State state[SAMPLE_OPERANDS]; /* of the operands that are read as weights */
	bool is_state[SAMPLE_OPERANDS];
	int64_t vars; /* elements of them all */
	int nout;
	Shape out[MAX_OUT];
	const Node *node;
	bool winograd; /* as convolutions of fewer multiplications, where these pay */
} OpCase;

/* NULL when infer refuses the sample. */
OpCase *case_new(Arena *a, const OpDesc *op, const Sample *s);

/* Numbers for one run. Exactly representable as float. */
typedef struct {
	double *in[SAMPLE_OPERANDS];
	double *want[MAX_OUT]; /* by the reference, in double */
} CaseNumbers;

CaseNumbers case_numbers(Arena *a, const OpCase *c, uint64_t seed);
/* Small whole numbers instead, as far as the operand's kind allows. */
CaseNumbers case_whole_numbers(Arena *a, const OpCase *c, uint64_t seed);
/* The operands that are states, where their offsets say; the caller's vars. */
void case_fill_vars(const OpCase *c, const CaseNumbers *n, double *vars);

/* The operator's graph in this form, lowered, fused, laid out, scheduled for the targets, planned
 * and verified. Arguments: the operands that are no states, then the results. *error: what is wrong
 * with it. */
Part *case_part(Arena *a, const OpCase *c, Form form, const char *name, const Target *const *target,
    int ntarget, bool is_double, const char **error);
/* The last stages of the above, for any graph. */
Part *part_compile(Arena *a, const Graph *g, EntryKind kind, const char *name,
    const Target *const *target, int ntarget, bool is_double, const char **error);
/* From nests on. NULL, or what is wrong with it. */
const char *part_finish(
    Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double, bool winograd);
/* The operand or result behind an argument of such a part: results count from SAMPLE_OPERANDS. */
int case_argument(const OpCase *c, int argument);

/* Whether sums, products and comparisons are all that a part does, and everything it computes from
 * whole numbers, of which `largest` tells the largest in each buffer that is given, is a whole
 * number within 2^24: then no order of the operations and no fusing of them changes a bit, in float
 * or double. */
bool part_is_exact(
    Arena *a, const Part *p, double (*largest)(void *self, const Buffer *b), void *self);
/* The same of a part of this case with these numbers. */
bool case_is_exact(Arena *a, const OpCase *c, const Part *p, const CaseNumbers *n);
double numbers_largest(const double *x, int64_t count); /* without signs */

/* What a result is from `want`: the largest distance, relative to the tensor's largest number. */
double tensor_distance(const double *got, const double *want, int64_t count);

#endif
