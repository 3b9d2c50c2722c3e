/* form: what a nest looks like, for those who choose layouts and schedules. Nothing here knows an
 * operator: only loads, stores, dims and how they meet. */
#include "internal.h"

bool load_in_update(const Nest *n, int l)
{
	for (int k = 0; k < n->nacc; k++)
		if (expr_uses_load(n->acc[k].update, l)) return true;
	return false;
}

/* acc + load * load, one accumulator, a sum over some dim. */
Contraction contraction_of(const Nest *n)
{
	Contraction c = {0};
	bool reduces = false;
	for (int d = 0; d < n->ndim; d++) reduces |= n->dim[d].reduce && n->dim[d].extent > 1;
	if (n->nacc != 1 || n->acc[0].combine != COMBINE_SUM || !reduces) return c;
	const Expr *e = n->acc[0].update;
	if (e->kind != E_ADD) return c;
	const Expr *product = e->arg[0]->kind == E_ACC ? e->arg[1] : e->arg[0];
	if (product->kind != E_MUL || product->arg[0]->kind != E_LOAD || product->arg[1]->kind != E_LOAD) return c;
	c.load[0] = product->arg[0]->id;
	c.load[1] = product->arg[1]->id;
	c.is = c.load[0] != c.load[1];
	return c;
}

bool access_moves(const Access *x, int dim)
{
	for (int d = 0; d < x->buffer->rank; d++)
		if (affine_k(&x->at[d].a, dim)) return true;
	return false;
}

int access_position(const Access *x, int dim)
{
	int found = -1;
	for (int d = 0; d < x->buffer->rank; d++) {
		int64_t k = affine_k(&x->at[d].a, dim);
		if (!k) continue;
		if (k != 1 || x->at[d].q != 1 || found >= 0) return -1;
		found = d;
	}
	return found;
}

int64_t buffer_run(const Buffer *b, int position)
{
	if (b->ncomp == 0) return 1;
	const Component *c = &b->comp[b->ncomp - 1];
	if (c->dim != position || c->div != 1) return 1;
	return c->mod ? c->mod : b->room[position];
}

/* Every access that moves with d is at d alone in one position, and no mask or quotient asks for d. */
static bool may_be_lanes(const Nest *n, int d)
{
	for (int k = 0; k < n->nload; k++)
		if (access_moves(&n->load[k], d) && access_position(&n->load[k], d) < 0) return false;
	for (int g = 0; g < n->nguard; g++)
		if (affine_k(&n->guard[g].e[0].a, d) || affine_k(&n->guard[g].e[1].a, d)) return false;
	for (int k = 0; k < n->nstore; k++)
		if (access_position(&n->store[k].to, d) < 0) return false;
	return n->nstore > 0;
}

/* Channels are dim 1 of what leads with a batch, so of two candidates the one wins that is dim 1 of
 * more tensors; in weights' gradients both are, and the first dim of the store wins. */
static int channel_votes(const Nest *n, int d)
{
	int votes = 0;
	for (int k = 0; k < n->nload; k++)
		votes += 2 * (n->load[k].buffer->rank >= 2 && access_position(&n->load[k], d) == 1);
	const Access *to = &n->store[0].to;
	int at = access_position(to, d);
	votes += 2 * (to->buffer->rank >= 2 && at == 1);
	return 2 * votes + (at == 0);
}

int lane_dim(const Nest *n)
{
	int best = -1, most = -1;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce || n->dim[d].extent < 2 || !may_be_lanes(n, d)) continue;
		int votes = channel_votes(n, d);
		if (n->dim[d].extent <= PLAIN_CHANNELS) votes -= 100;
		if (votes > most || best < 0) {
			best = d;
			most = votes;
		}
	}
	return best;
}
