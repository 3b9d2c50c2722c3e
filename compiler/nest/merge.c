/* merge: neighbouring dims of a map that walk memory like one become one.
 *
 * needs: space dims d, d+1; in every index, the factor of d is the factor of d+1 times its extent.
 * effect: one dim of the product's extent; the set of points and their elements stay the same.
 * checked by: nest_verify, and check_partition on the trees made of it. */
#include "internal.h"

typedef struct {
	Arena *arena;
	int dim;
	int64_t extent; /* of dim + 1 */
	Affine of[NEST_DIMS];
	bool good;
} Merge;

static void look(Merge *m, const Affine *a)
{
	m->good &= affine_k(a, m->dim) == affine_k(a, m->dim + 1) * m->extent;
}

static bool look_expr(void *self, const Expr *e)
{
	Merge *m = self;
	if (e->index) {
		look(m, &e->index[0]);
		look(m, &e->index[1]);
	}
	return true;
}

/* Without the dim, whose values go into the next; later dims move down by one. */
static void merged_dims(Merge *m, const Nest *n)
{
	for (int d = 0; d < n->ndim; d++) m->of[d] = affine_var(d > m->dim ? d - 1 : d);
	m->of[m->dim] = affine_number(0);
}

static Expr *rewrite_leaf(void *self, const Expr *e)
{
	const Merge *m = self;
	if (!e->index) return NULL;
	return e_reindexed(m->arena, e, m->of);
}

static bool may_merge(Merge *m, const Nest *n)
{
	m->good = true;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = nest_access(n, k);
		for (int d = 0; d < x->buffer->rank; d++) look(m, &x->at[d].a);
	}
	for (int k = 0; k < n->nstore; k++) expr_visit(n->store[k].value, look_expr, m);
	return m->good;
}

static void merge_pair(Merge *m, Nest *n)
{
	int d = m->dim;
	Rewriting rewrite = expr_rewriting(m->arena, rewrite_leaf, m);
	merged_dims(m, n);
	for (int k = 0; k < n->nload + n->nstore; k++) {
		Access *x = k < n->nload ? &n->load[k] : &n->store[k - n->nload].to;
		for (int i = 0; i < x->buffer->rank; i++) x->at[i].a = affine_subst(&x->at[i].a, m->of);
	}
	for (int k = 0; k < n->nstore; k++)
		n->store[k].value = expr_rewrite(&rewrite, n->store[k].value);
	n->dim[d + 1].extent *= n->dim[d].extent; /* no more than the elements of a buffer */
	for (int i = d; i + 1 < n->ndim; i++) n->dim[i] = n->dim[i + 1];
	n->ndim--;
}

Nest *merge_dims(Arena *a, const Nest *n)
{
	Nest *out = NULL;
	if (n->nacc || n->nguard || n->join) return (Nest *)n;
	for (int d = n->ndim - 2; d >= 0; d--) {
		const Nest *now = out ? out : n;
		Merge m = {.arena = a, .dim = d, .extent = now->dim[d + 1].extent};
		if (now->dim[d].reduce || now->dim[d + 1].reduce || !may_merge(&m, now)) continue;
		if (!out) out = nest_copy(a, n);
		merge_pair(&m, out);
	}
	return out ? out : (Nest *)n;
}
