/* verify_reads: nobody reads an element of work memory or of an output before it is written.
 *
 * What an access reaches is a box, a range of logical indices for each of its buffer's dims; a
 * load's box must lie inside the union of those that earlier steps stored. A load's box is cut by
 * the guards that speak of its index; a store's covers all of its space, as stores have no guards.
 * Stores that leave gaps for each other cover the box about them where they are apart and as many
 * as its elements. */
#include "internal.h"

typedef struct {
	int64_t lo[BUFFER_RANK], hi[BUFFER_RANK]; /* both reached */
} Box;

typedef Vec(Box) Boxes;

/* All of a tensor: what is reached of a row that stands for it, as verify_rows() has shown. */
static Box tensor_box(const Buffer *b)
{
	Box box = {{0}, {0}};
	for (int d = 0; d < b->rank; d++) box.hi[d] = b->shape[d] - 1;
	return box;
}

/* b: the buffer that x mentions, as its part knows it. */
static Box access_box(const Nest *n, const Access *x, const Buffer *b)
{
	Box box = {{0}, {0}};
	if (b != x->buffer) return tensor_box(b);
	int64_t count[NEST_DIMS];
	for (int d = 0; d < n->ndim; d++) count[d] = n->dim[d].extent;
	for (int i = 0; i < x->buffer->rank; i++) {
		int64_t lo, hi;
		affine_range(&x->at[i].a, count, &lo, &hi);
		box.lo[i] = floor_div(lo, x->at[i].q);
		box.hi[i] = floor_div(hi, x->at[i].q);
	}
	return box;
}

/* A guard lo <= e < hi says of an index e + c that it is in lo + c .. hi + c - 1. */
static void cut(Box *box, int i, const Index *at, const Guard *g)
{
	if (g->kind != GUARD_RANGE || g->e[0].q != at->q) return;
	Affine c = affine_sub(at->a, g->e[0].a);
	if (c.n || c.c % at->q) return;
	box->lo[i] = MAX(box->lo[i], g->lo + c.c / at->q);
	box->hi[i] = MIN(box->hi[i], g->hi + c.c / at->q - 1);
}

static Box load_box(const Nest *n, const Access *x, const Buffer *b)
{
	Box box = access_box(n, x, b);
	for (int i = 0; i < b->rank && b == x->buffer; i++) {
		box.lo[i] = MAX(box.lo[i], 0);
		box.hi[i] = MIN(box.hi[i], x->buffer->shape[i] - 1);
		for (int g = 0; g < n->nguard; g++) cut(&box, i, &x->at[i], &n->guard[g]);
	}
	return box;
}

static bool is_apart(const Box *x, const Box *y, int rank)
{
	for (int d = 0; d < rank; d++)
		if (x->lo[d] > y->hi[d] || y->lo[d] > x->hi[d]) return true;
	return false;
}

/* Whether `want` lies in the union of n boxes: what the first leaves of it must lie in the others.
 */
static bool is_covered(Box want, const Box *have, int n, int rank)
{
	while (n && is_apart(&want, have, rank)) have++, n--;
	if (!n) return false;
	for (int d = 0; d < rank; d++) {
		Box below = want, above = want;
		below.hi[d] = have->lo[d] - 1;
		above.lo[d] = have->hi[d] + 1;
		if (want.lo[d] < have->lo[d] && !is_covered(below, have + 1, n - 1, rank)) return false;
		if (want.hi[d] > have->hi[d] && !is_covered(above, have + 1, n - 1, rank)) return false;
		want.lo[d] = MAX(want.lo[d], have->lo[d]);
		want.hi[d] = MIN(want.hi[d], have->hi[d]);
	}
	return true;
}

typedef struct {
	const Nest *nest;
	const Access *to;
	Box box; /* about all that it writes */
} Written;

/* What was stored into one buffer. */
typedef struct {
	Boxes box;
	Vec(Written) store;
	bool gaps; /* some left any */
} Stored;

/* The box about `hull` and all stores that reach into it. */
static Box hull_of(const Stored *s, Box hull, int rank)
{
	for (bool again = true; again;) {
		again = false;
		for (int i = 0; i < s->store.n; i++) {
			const Box *box = &s->store.at[i].box;
			if (is_apart(&hull, box, rank)) continue;
			for (int d = 0; d < rank; d++) {
				again |= box->lo[d] < hull.lo[d] || box->hi[d] > hull.hi[d];
				hull.lo[d] = MIN(hull.lo[d], box->lo[d]);
				hull.hi[d] = MAX(hull.hi[d], box->hi[d]);
			}
		}
	}
	return hull;
}

/* The stores within such a box write each of its elements once, every one of them. */
static bool fills(const Stored *s, const Box *hull, int rank)
{
	int64_t points = 0, elements = 1;
	for (int d = 0; d < rank; d++) elements *= hull->hi[d] - hull->lo[d] + 1;
	for (int i = 0; i < s->store.n; i++) {
		const Written *x = &s->store.at[i];
		int64_t own = 1;
		if (is_apart(hull, &x->box, rank)) continue;
		for (int d = 0; d < x->nest->ndim; d++)
			if (!x->nest->dim[d].reduce) own *= x->nest->dim[d].extent;
		points += own; /* check_stores: the map is injective, into a buffer of fewer than 2^60 */
		for (int j = 0; j < i; j++) {
			const Written *y = &s->store.at[j];
			if (!is_apart(&x->box, &y->box, rank) &&
			    !accesses_apart(x->nest, x->to, y->nest, y->to))
				return false;
		}
	}
	return points == elements;
}

static void add_store(Arena *a, Stored *s, const Nest *n, const Access *to, const Buffer *b)
{
	Written made = {n, to, access_box(n, to, b)};
	vec_push(a, s->store, made);
	bool whole = access_is_box(n, to);
	if (whole) vec_push(a, s->box, made.box);
	s->gaps |= !whole;
	if (!s->gaps) return;
	Box hull = hull_of(s, made.box, b->rank);
	if (fills(s, &hull, b->rank)) vec_push(a, s->box, hull);
}

static bool is_written_here(const Part *p, const Buffer *b)
{
	return b->place == PLACE_WORK || b->place == PLACE_OUTPUT ||
	       (b->place == PLACE_PACKED && p->kind == ENTRY_PACK);
}

static bool is_empty(const Box *box, int rank)
{
	for (int d = 0; d < rank; d++)
		if (box->lo[d] > box->hi[d]) return true;
	return false;
}

const char *verify_reads(Arena *a, const Part *p)
{
	Stored *stored = NEWS(a, Stored, p->buffer.n + 1);
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload; k++) {
			const Buffer *b = p->buffer.at[n->load[k].buffer->id];
			if (!is_written_here(p, b)) continue;
			Box box = load_box(n, &n->load[k], b);
			const Boxes *have = &stored[b->id].box;
			if (is_empty(&box, b->rank) || is_covered(box, have->at, have->n, b->rank)) continue;
			return arena_printf(
			    a, "step %d (%s) reads %s before it is written", s, n->name, b->name);
		}
		for (int k = 0; k < n->nstore; k++) {
			int id = n->store[k].to.buffer->id;
			add_store(a, &stored[id], n, &n->store[k].to, p->buffer.at[id]);
		}
	}
	return NULL;
}
