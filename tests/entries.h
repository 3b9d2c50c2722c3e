/* entries: all that the entries of a network give for numbers made up here: by the naive nests of
 * its plain graphs, by the schedules of a target, or by emitted C. Networks for these tests have an
 * input x, a label, and an output scores. */
#ifndef CNNC_TESTS_ENTRIES_H
#define CNNC_TESTS_ENTRIES_H

#include "../compiler/driver.h"

typedef struct {
	Diag diag;
	Options options;
	Model *model;
	Program *program;
	double *vars, *slots;          /* before the first entry */
	double *x, *label;             /* for the largest batch */
	int64_t classes, terms;        /* scores, losses */
	double hyper[HYPER_LIMIT + 1]; /* with the step's number, the fourth */
	int hypers;
	int batches; /* of inference: infer */
	int64_t infer[2], train;
} Net;

/* `define` as for -D, or NULL; `target` as for --target. NULL, or what is wrong. */
const char *net_open(
    Net *net, Arena *a, const char *file, const char *define, const char *target, bool is_double);
/* The same by options; batch sizes are set here. */
const char *net_open_as(Net *net, Arena *a, const Options *options);

typedef struct {
	const char *name; /* "scores of infer_b3", "gradient of conv1.weight" */
	double *at;
	int64_t count;
} Tensor;

/* In one order, whoever computed them: init; inference; eval; gradients; update. */
typedef struct {
	Vec(Tensor) tensor;
} Results;

Results net_naive(const Net *net, Arena *a);
Results net_trees(const Net *net, Arena *a, int target); /* of net->program */
/* `compiler` for jit_cc, NULL: libtcc. Checks on the way that a step is gradients and update to the
 * bit, and that a pool of two threads changes no bit. NULL, or what is wrong. */
const char *net_c(const Net *net, Arena *a, const char *compiler, Results *results);
/* NULL, or the tensor that is farthest from what is wanted, relative to its largest number, when
 * that is more than `tolerance`. */
const char *results_differ(Arena *a, const Results *got, const Results *want, double tolerance);

#endif
