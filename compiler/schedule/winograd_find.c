/* winograd_find: nests that are a convolution of stride 1, with square taps of a size there are
 * matrices for. Forward and by data the window's taps are summed over, by weights its places are:
 *
 *   y[n,oc,oh,ow] = sum over ic, kh, kw of w[oc,ic,kh,kw] x[n,ic,oh + kh - pad,ow + kw - pad]
 *   dw[oc,ic,kh,kw] = sum over n, oh, ow of dy[n,oc,oh,ow] x[n,ic,oh + kh - pad,ow + kw - pad] */
#include "winograd.h"

/* The dim that an index is, with factor 1; -1. */
static int plain_dim(const Index *at, bool offset)
{
	if (at->q != 1 || at->a.n != 1 || at->a.t[0].k != 1 || (at->a.c && !offset)) return -1;
	return at->a.t[0].var;
}

static bool find_side(Found *f, int s)
{
	const Nest *n = f->nest;
	const Affine *at = &n->load[f->x].at[2 + s].a;
	if (n->load[f->x].at[2 + s].q != 1 || at->n != 2) return false;
	int tap = n->dim[at->t[0].var].reduce != f->by_weights ? 0 : 1;
	const Term *t = &at->t[tap], *o = &at->t[1 - tap];
	if (n->dim[t->var].reduce == f->by_weights || n->dim[o->var].reduce != f->by_weights)
		return false;
	if (o->k != 1 || (t->k != 1 && t->k != -1)) return false;
	f->side[s] = o->var;
	f->tap[s] = t->var;
	f->turned[s] = t->k < 0;
	f->first[s] = at->c - (t->k < 0 ? n->dim[t->var].extent - 1 : 0);
	f->lo[s] = 0;
	f->hi[s] = n->load[f->x].buffer->shape[2 + s];
	return true;
}

static bool find_guards(Found *f)
{
	for (int g = 0; g < f->nest->nguard; g++) {
		const Guard *guard = &f->nest->guard[g];
		int side = -1;
		if (guard->kind != GUARD_RANGE || guard->e[0].q != 1) return false;
		for (int s = 0; s < SIDES; s++)
			if (affine_same(&guard->e[0].a, &f->nest->load[f->x].at[2 + s].a)) side = s;
		if (side < 0) return false;
		f->lo[side] = MAX(f->lo[side], guard->lo);
		f->hi[side] = MIN(f->hi[side], guard->hi);
	}
	return true;
}

static bool find_weights(Found *f)
{
	const Nest *n = f->nest;
	f->out = f->out_at = f->in_at = f->tap_at[0] = f->tap_at[1] = -1;
	for (int i = 0; i < 4; i++) {
		int d = plain_dim(&n->load[f->other].at[i], false);
		if (d < 0) return false;
		if (d == f->in)
			f->in_at = i;
		else if (d == f->tap[0])
			f->tap_at[0] = i;
		else if (d == f->tap[1])
			f->tap_at[1] = i;
		else if (!n->dim[d].reduce)
			f->out = d, f->out_at = i;
	}
	return f->in_at >= 0 && f->out_at >= 0 && f->tap_at[0] >= 0 && f->tap_at[1] >= 0;
}

/* The outputs' gradient has the window's places for pixels. */
static bool find_gradient(Found *f)
{
	const Index *at = f->nest->load[f->other].at;
	f->out = plain_dim(&at[1], true);
	if (f->out < 0 || f->out == f->in || f->nest->dim[f->out].reduce) return false;
	if (plain_dim(&at[0], false) != f->image) return false;
	for (int s = 0; s < SIDES; s++)
		if (plain_dim(&at[2 + s], false) != f->side[s]) return false;
	return true;
}

/* Dims that are none of the convolution's count one. */
static bool knows_all(const Found *f)
{
	uint32_t known = UINT32_C(1) << f->image | UINT32_C(1) << f->out | UINT32_C(1) << f->in;
	for (int s = 0; s < SIDES; s++) known |= UINT32_C(1) << f->side[s] | UINT32_C(1) << f->tap[s];
	for (int d = 0; d < f->nest->ndim; d++)
		if (f->nest->dim[d].extent > 1 && !(known >> d & 1)) return false;
	return true;
}

static bool find_with(Found *f, int x, int other)
{
	const Nest *n = f->nest;
	f->x = x;
	f->other = other;
	if (n->load[x].buffer->rank != 4 || n->load[other].buffer->rank != 4) return false;
	f->image = plain_dim(&n->load[x].at[0], false);
	f->in = plain_dim(&n->load[x].at[1], true);
	if (f->image < 0 || f->in < 0) return false;
	f->by_weights = n->dim[f->image].reduce;
	if (n->dim[f->in].reduce == f->by_weights) return false;
	for (int s = 0; s < SIDES; s++)
		if (!find_side(f, s)) return false;
	if (!(f->by_weights ? find_gradient(f) : find_weights(f))) return false;
	if (!find_guards(f) || !knows_all(f)) return false;
	f->taps = n->dim[f->tap[0]].extent;
	return f->taps == n->dim[f->tap[1]].extent && (f->taps == 3 || f->taps == 5);
}

bool winograd_find(const Nest *n, Found *f)
{
	Product c = contraction_of(n);
	*f = (Found){.nest = n, .points = MOST_POINTS};
	if (!c.is || n->acc[0].init != 0 || n->ordered || n->inplace) return false;
	return find_with(f, c.load[0], c.load[1]) || find_with(f, c.load[1], c.load[0]);
}
