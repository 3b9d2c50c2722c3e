/* entries: all that the entries of a network give for numbers made up here: by the oracles of its
 * operators, by the naive nests of its plain graphs, by the schedules of a target, or by emitted C.
 * Networks for these tests have a loss and an optimiser, and any inputs and outputs. */
#ifndef CNNC_TESTS_ENTRIES_H
#define CNNC_TESTS_ENTRIES_H

#include "../compiler/driver.h"

typedef struct {
	const char *file, *define; /* as for -D, or NULL */
	const char *target;        /* as for --target */
	bool is_double;
	int64_t infer[2], train; /* batch sizes; none given: 1, 3 and 2. infer[1] 0: only one */
	RecomputeUse recompute;
} NetSpec;

typedef struct {
	Diag diag;
	Options options;
	Model *model;
	Program *program;
	double *vars, *slots;          /* before the first entry */
	double **input;                /* by the model's, for the largest batch; labels whole */
	int64_t terms;                 /* losses */
	double hyper[HYPER_LIMIT + 1]; /* with the step's number, the fourth */
	int hypers;
	int batches; /* of inference: infer */
	int64_t infer[2], train, most;
} Net;

enum { NET_SEED = 11, NET_STEP = 3 }; /* what gradients are asked with */

/* NULL, or what is wrong. */
const char *net_open(Net *net, Arena *a, const NetSpec *spec);

typedef struct {
	const char *name; /* "scores of infer_b3", "gradient of conv1.weight" */
	double *at;
	int64_t count;
} Tensor;

/* In one order, whoever computed them: init; inference; eval; gradients; update. */
typedef struct {
	Vec(Tensor) tensor;
} Results;

/* By the operators' own oracles; first values by nests, as no operator makes them. With `noise`
 * every number, the given ones too, is moved by that much of itself, at random from `seed`: so much
 * do roundings matter. Whole numbers stay as they are. */
Results net_oracles(const Net *net, Arena *a, double noise, uint64_t seed);
Results net_naive(const Net *net, Arena *a);
Results net_trees(const Net *net, Arena *a, int target); /* of net->program */
/* `compiler` for jit_cc, NULL: libtcc. Checks on the way that a step is gradients and update to the
 * bit, that a pool of two threads changes no bit, and that nothing is written but what is said to
 * be; all of that is NaN before. *shared (may be NULL): whether a kernel has blocks for threads.
 * NULL, or what is wrong. */
const char *net_c(const Net *net, Arena *a, const char *compiler, Results *results, bool *shared);
/* The loss of a graph of the model, without its backward pass, by the oracles, for the weights that
 * net->vars holds. */
double net_loss(const Net *net, const Graph *forward);

/* NULL, or the tensor that is farthest from what is wanted, relative to its largest number, when
 * that is more than `tolerance`. */
const char *results_differ(Arena *a, const Results *got, const Results *want, double tolerance);

#endif
