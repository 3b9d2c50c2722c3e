/* take: what one nest computes, written down in another over other dims. Stages that make several
 * nests of one keep its mathematics by it.
 *
 * needs: from's dims over to's, all that the part taken mentions.
 * checked by: nest_verify. */
#include "internal.h"

typedef struct {
	Arena *arena;
	const Affine *of;     /* from's dims */
	int load[NEST_LOADS]; /* from's loads in `to`, those that are needed */
	Expr *const *acc;     /* what stands for from's accumulators; NULL: they stay */
} Taking;

static Taking take_loads(Nest *to, const Nest *from, const Affine *of, uint32_t which)
{
	Taking t = {.arena = to->arena, .of = of};
	for (int l = 0; l < from->nload; l++) {
		const Access *x = &from->load[l];
		Index at[BUFFER_RANK];
		if (!(which >> l & 1)) continue;
		for (int i = 0; i < x->buffer->rank; i++)
			at[i] = (Index){affine_subst(&x->at[i].a, of), x->at[i].q};
		t.load[l] = nest_load(to, x->as, x->buffer, at);
	}
	return t;
}

static Expr *taken_leaf(void *self, const Expr *e)
{
	const Taking *t = self;
	if (e->kind == E_ACC && t->acc) return t->acc[e->id];
	if (e->kind == E_LOAD) return e_load(t->arena, t->load[e->id]);
	if (!e->index) return NULL;
	Expr *copy = e_reindexed(t->arena, e, t->of);
	if (e->kind == E_HASH) copy->id = t->load[e->id];
	return copy;
}

void nest_take_sums(Nest *to, const Nest *from, const Affine *of)
{
	Taking t = take_loads(to, from, of, nest_update_loads(from));
	Rewriting taken = expr_rewriting(to->arena, taken_leaf, &t);
	for (int k = 0; k < from->nacc; k++)
		nest_acc(
		    to, from->acc[k].init, from->acc[k].combine, expr_rewrite(&taken, from->acc[k].update));
}

void nest_take_stores(Nest *to, const Nest *from, const Affine *of, Expr *const *acc)
{
	Taking t = take_loads(to, from, of, nest_store_loads(from));
	Rewriting taken = expr_rewriting(to->arena, taken_leaf, &t);
	t.acc = acc;
	for (int k = 0; k < from->nstore; k++) {
		const Access *x = &from->store[k].to;
		Affine at[BUFFER_RANK];
		for (int i = 0; i < x->buffer->rank; i++) at[i] = affine_subst(&x->at[i].a, of);
		nest_store(to, x->as, x->buffer, at, expr_rewrite(&taken, from->store[k].value));
	}
}

void nest_take_guards(Nest *to, const Nest *from, const Affine *of)
{
	for (int k = 0; k < from->nguard; k++) {
		const Guard *g = &from->guard[k];
		Affine e0 = affine_subst(&g->e[0].a, of);
		if (g->kind == GUARD_RANGE)
			nest_guard_range(to, (Index){e0, g->e[0].q}, g->lo, g->hi);
		else if (g->kind == GUARD_DIVIDES)
			nest_guard_divides(to, e0, g->q);
		else
			nest_guard_mask(to, e0, affine_subst(&g->e[1].a, of), g->table, g->cols);
	}
}
