/* layer: shapes of layers from well-known networks, for the benchmarks. */
#ifndef CNNC_BENCH_LAYER_H
#define CNNC_BENCH_LAYER_H

#include "../../../compiler/base.h"

typedef struct {
	char name[64];
	int64_t ic, oc, in[2], kernel[2], stride, pad[2], groups;
} Layer;

extern const char layer_table[]; /* one a line */

enum { FORWARD, BY_DATA, BY_WEIGHTS, PASSES };
extern const char *const pass_names[PASSES];

bool layer_read(const char *line, Layer *y); /* false: not a line of the table */
/* "PASS BATCH LAYER", a pass by its name and a line of the table. */
bool layer_read_case(const char *words, Layer *y, int *pass, int64_t *batch);
const char *layer_text(Arena *a, const Layer *y); /* the line, without the name */
int64_t layer_out(const Layer *y, int d);         /* height and width of its output */
bool layer_is_dense(const Layer *y);
bool layer_is_image(const Layer *y); /* reads what the user gives, with no gradient */
double layer_flop(
    const Layer *y, int64_t batch); /* multiplications and additions, padded taps too */
/* The numbers that all peers compute with: of the input, the weights, the result or their
 * gradients, for operand 0, 1, 2. Another layer made them: they are not negative, but for images
 * and weights. */
void layer_numbers(const Layer *y, int operand, float *x, int64_t n);

#endif
