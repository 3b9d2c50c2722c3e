/* sample: the small cases of a descriptor, as data. See OpDesc.samples for the text. */
#ifndef CNNC_TESTS_SAMPLE_H
#define CNNC_TESTS_SAMPLE_H

#include "../compiler/op.h"

enum { SAMPLE_OPERANDS = 16, SAMPLE_SEED = 7, SAMPLE_STEP = 3 };

typedef struct {
	Shape shape[SAMPLE_OPERANDS];
	Type type[SAMPLE_OPERANDS];
	int64_t whole[SAMPLE_OPERANDS]; /* holds whole numbers 0..whole-1; 0: any number */
	bool positive[SAMPLE_OPERANDS]; /* above 0 and below 1 */
	double offset[SAMPLE_OPERANDS]; /* what they are about; 0 otherwise */
	int nin;
	AttrValue *attr;  /* parallel to op->attr */
	const char *text; /* the line, for messages */
} Sample;

/* `for (const char *s = op->samples; sample_next(a, op, &s, &sample);)`. A faulty line is a bug().
 */
bool sample_next(Arena *a, const OpDesc *op, const char **samples, Sample *sample);
Sample sample_parse(Arena *a, const OpDesc *op, const char *line);
/* Numbers that fit operand k: distinct with near certainty where any number may stand. Advances
 * *seed. */
double *sample_numbers(Arena *a, const Sample *s, int k, uint64_t *seed);
double sample_uniform(uint64_t *seed); /* in [-1, 1) */

#endif
