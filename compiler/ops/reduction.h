/* reduction: the geometry of sums over axes. Axis d of x either is reduced or stays; the result has
 * its place for it, of size 1 where it was reduced, or none. */
#ifndef CNNC_OPS_REDUCTION_H
#define CNNC_OPS_REDUCTION_H

#include "../op.h"

typedef struct {
	uint32_t axes;       /* bit d: axis d of x is reduced; none beyond its rank */
	int rank;            /* of the result */
	int place[MAX_RANK]; /* the result's dim of axis d, -1: it has none */
} Reduction;

/* Reduced axes stay with size 1 (keep) or go. */
Reduction reduction_over(const Shape *x, uint32_t axes, bool keep);
/* Into a result of this rank that is broadcast to x: the inverse of map_axis(). */
Reduction reduction_to(const Shape *x, uint32_t axes, int rank);
Shape reduction_shape(const Reduction *r, const Shape *x);
int64_t reduction_count(
    const Reduction *r, const Shape *x); /* elements of x for one of the result */
/* A dim of `nest` for each axis of x, numbered like the axes. `gather`: the reduced ones are
 * reduction dims; else all are space. Sets the index of x, and that of the result. */
void reduction_dims(
    Nest *nest, const Reduction *r, const Shape *x, bool gather, Index *at_x, Affine *at_y);
/* y = factor * sum of x. A sum over everything goes by way of sums over each element of the batch,
 * so that it is short chains and can run in parallel. */
void reduction_sum(
    Lower *l, const Node *n, const Reduction *r, const Value *x, const Value *y, double factor);
/* The element of the result that element e of x belongs to: for oracles. */
int64_t reduction_element(const Reduction *r, const Shape *x, int64_t e);
/* Which of those that belong to that element it is, from 0, in row-major order. */
int64_t reduction_order(const Reduction *r, const Shape *x, int64_t e);

#endif
