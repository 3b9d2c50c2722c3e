/* flatten: a map from whole tensors to whole tensors, element by element, runs over them as rows.
 *
 * needs: buffers that have their places. Each is row-major and read or stored at the map's dims in
 * their order, whole; or at one place only, as numbers of a step are.
 * effect: one dim instead of several, so that vectors run over the ends of all of them; the buffers
 * are stood for by rows of the same numbers at the same place, with the same ids.
 * checked by: nest_verify, and check_partition on the trees made of it. */
#include "internal.h"

typedef struct {
	Arena *arena;
	const Nest *nest;
	int dims, dim[NEST_DIMS]; /* those with more than one value */
	int64_t points;
	int rows;
	const Buffer *tensor[NEST_LOADS + NEST_STORES];
	Buffer *row[NEST_LOADS + NEST_STORES];
} Flatten;

static bool is_row_major(const Buffer *b)
{
	int64_t size = 1;
	for (int d = b->rank - 1; d >= 0; d--) {
		const Component *c = &b->comp[d];
		if (b->ncomp != b->rank || c->dim != d || c->div != 1 || c->mod || c->stride != size ||
		    b->room[d] != b->shape[d])
			return false;
		size *= b->shape[d];
	}
	return !b->folded && !b->within && b->size == size;
}

/* Reads or stores one element, whatever the dims. */
static bool is_single(const Access *x)
{
	for (int d = 0; d < x->buffer->rank; d++)
		if (x->at[d].a.n) return false;
	return true;
}

/* Every dim of the map is a dim of the buffer, in the same order, and there are no others. */
static bool is_whole(const Flatten *f, const Access *x)
{
	int next = 0;
	for (int d = 0; d < x->buffer->rank; d++) {
		const Index *at = &x->at[d];
		if (at->q != 1 || at->a.c) return false;
		if (x->buffer->shape[d] == 1) continue;
		if (next == f->dims || at->a.n != 1 || at->a.t[0].var != f->dim[next] ||
		    at->a.t[0].k != 1 || f->nest->dim[f->dim[next]].extent != x->buffer->shape[d])
			return false;
		next++;
	}
	return next == f->dims && is_row_major(x->buffer);
}

static bool has_no_index(void *self, const Expr *e)
{
	(void)self;
	return !e->index;
}

static bool may_flatten(Flatten *f)
{
	const Nest *n = f->nest;
	if (n->nacc || n->nguard || n->join) return false;
	f->points = 1;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce) return false;
		if (n->dim[d].extent == 1) continue;
		f->dim[f->dims++] = d;
		if (!mul_fits(f->points, n->dim[d].extent, &f->points)) return false;
	}
	for (int k = 0; k < n->nload; k++)
		if (!is_single(&n->load[k]) && !is_whole(f, &n->load[k])) return false;
	for (int k = 0; k < n->nstore; k++)
		if (!is_whole(f, &n->store[k].to) || !expr_visit(n->store[k].value, has_no_index, NULL))
			return false;
	return f->dims > 1;
}

static Buffer *row_of(Flatten *f, const Buffer *b)
{
	for (int k = 0; k < f->rows; k++)
		if (f->tensor[k] == b) return f->row[k];
	Buffer *row = NEW(f->arena, Buffer);
	*row = *b;
	row->rank = 1;
	row->shape[0] = f->points;
	buffer_row_major(row);
	f->tensor[f->rows] = b;
	return f->row[f->rows++] = row;
}

Nest *flatten_map(Arena *a, const Nest *n)
{
	Flatten f = {.arena = a, .nest = n};
	if (!may_flatten(&f)) return (Nest *)n;
	Nest *flat = nest_copy(a, n);
	flat->ndim = 1;
	flat->dim[0].extent = f.points;
	const Index along[] = {index_of(affine_var(0))};
	for (int k = 0; k < n->nload + n->nstore; k++) {
		Access *x = k < n->nload ? &flat->load[k] : &flat->store[k - n->nload].to;
		if (!is_single(x)) access_put(a, x, row_of(&f, x->buffer), along);
	}
	return flat;
}
