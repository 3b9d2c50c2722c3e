/* What the files of the generator share. */
#ifndef CNNC_TESTS_RANDOM_PRIVATE_H
#define CNNC_TESTS_RANDOM_PRIVATE_H

#include "../compiler/op.h"
#include "random_network.h"
#include "sample.h"

/* A value that has a name in the text. */
typedef struct {
	const char *name;
	Value *value;
	int readers;
	bool image; /* an input: cannot be an output */
} Item;

/* A layer whose weights others may have too. */
typedef struct {
	const char *path; /* as the text says it */
	const OpDesc *op;
	AttrValue *attr;
	bool *given;
	int states;
	State *state[MAX_STATES];
} SharedLayer;

typedef struct {
	Arena *arena;
	uint64_t seed, random;
	bool whole, large;
	Diag diag;
	Model model; /* its graph is the network at batch 1, as the frontend makes it */
	Text text;
	Vec(Item) item;
	Vec(SharedLayer) shared;
	Vec(const char *) path; /* of layers, to freeze */
	Vec(Item) term;         /* of the loss: scalars */
	Vec(double) weight;     /* of the terms */
	Batches batch;
	int names;
	bool *made;
} Maker;

/* Attributes of one call. */
typedef struct {
	const OpDesc *op;
	AttrValue *attr;
	bool *given; /* the text says it */
	bool line;   /* the first operand has no height */
} Call;

typedef struct {
	const char *name;
	Value *value;
	int item; /* -1: it is none */
} Operand;

bool chance(Maker *m, int percent);
int64_t pick(Maker *m, int64_t from, int64_t to); /* both included */

/* random_attr.c: attributes for `x` as the first operand. `sample`: whose attributes may be taken;
 * `like`: with how many per cent each is. */
Call random_call(Maker *m, const OpDesc *op, const Sample *sample, const Value *x, int like);
/* The call's attributes, as arguments after others: ", 6, {kernel = 3}"; or without the comma. */
void call_text(Maker *m, const Call *c, bool first, Text *out);

/* random_network.c: each adds lines and items, and gives the item's number, or -1 when it did not
 * go; what was added until then is for the caller to take back. */
int make_call(Maker *m, const Call *c, const Operand *in, int nin, const SharedLayer *layer);
int make_method(Maker *m, const OpDesc *op, int item);
int make_shape(Maker *m, int from, Shape s); /* an item of this shape, but for the batch */

typedef struct {
	int nodes, next_id, states, inputs, items, shared, paths, names;
	size_t text;
	int *readers;
} Mark;
Mark mark(Maker *m);
void take_back(Maker *m, const Mark *to);

/* random_end.c */
bool good_numbers(Maker *m, Value *v); /* for every batch and mode; of the value and before it */
bool make_end(Maker *m);               /* false: the network is not valid as a whole */

#endif
