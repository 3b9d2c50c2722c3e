/* layer: shapes of layers from well-known networks, for the benchmarks. */
#ifndef CNNC_BENCH_LAYER_H
#define CNNC_BENCH_LAYER_H

#include "../../../compiler/base.h"

typedef struct {
	char name[32];
	int64_t ic, oc, in[2], kernel[2], stride, pad[2], groups;
} Layer;

extern const char layer_table[]; /* one a line */

bool layer_read(const char *line, Layer *y); /* false: not a line of the table */
int64_t layer_out(const Layer *y, int d);    /* height and width of its output */
bool layer_is_dense(const Layer *y);
bool layer_is_image(const Layer *y); /* reads what the user gives, with no gradient */
double layer_flop(
    const Layer *y, int64_t batch); /* multiplications and additions, padded taps too */

#endif
