/* prune: stores that nobody reads, and what was computed for them alone.
 *
 * needs: nothing.  guarantees: every work buffer that is stored is read.
 *   max_pool stores the place of each maximum for its gradient; in inference that store and its
 *   accumulator go. */
#include "internal.h"

typedef struct {
	Arena *arena;
	int number[NEST_ACCS]; /* the accumulator's new number, -1: gone */
} Renumber;

static bool is_dead(const int *readers, const Buffer *b)
{
	return b->place == PLACE_WORK && !readers[b->id];
}

/* `by` more readers of all that n reads. */
static void count_readers(int *readers, const Nest *n, int by)
{
	for (int k = 0; k < n->nload; k++) readers[n->load[k].buffer->id] += by;
}

static bool mark_acc(void *self, const Expr *e)
{
	bool *used = self;
	if (e->kind == E_ACC) used[e->id] = true;
	return true;
}

/* Accumulators that a store uses, or the update of one that is used. */
static void used_accs(const Nest *n, bool *used)
{
	for (int k = 0; k < n->nstore; k++) expr_visit(n->store[k].value, mark_acc, used);
	for (int round = 0; round < n->nacc; round++)
		for (int k = 0; k < n->nacc; k++)
			if (used[k]) expr_visit(n->acc[k].update, mark_acc, used);
}

static Expr *renumber_leaf(void *self, const Expr *e)
{
	const Renumber *r = self;
	return e->kind == E_ACC ? e_acc(r->arena, r->number[e->id]) : NULL;
}

static void drop_accs(Arena *a, Nest *n)
{
	bool used[NEST_ACCS] = {false};
	Renumber r = {.arena = a};
	Rewriting renumber = expr_rewriting(a, renumber_leaf, &r);
	int kept = 0;
	used_accs(n, used);
	for (int k = 0; k < n->nacc; k++) r.number[k] = used[k] ? kept++ : -1;
	if (kept == n->nacc || kept == 0) return;
	for (int k = 0; k < n->nacc; k++) {
		if (!used[k]) continue;
		Acc acc = n->acc[k];
		acc.update = expr_rewrite(&renumber, acc.update);
		n->acc[r.number[k]] = acc;
	}
	n->nacc = kept;
	for (int k = 0; k < n->nstore; k++)
		n->store[k].value = expr_rewrite(&renumber, n->store[k].value);
}

/* The step without its dead stores; NULL when nothing is left of it. */
static const Nest *pruned(Arena *a, const int *readers, const Nest *n)
{
	int kept = 0;
	bool keep[NEST_STORES];
	for (int k = 0; k < n->nstore; k++) kept += keep[k] = !is_dead(readers, n->store[k].to.buffer);
	if (kept == n->nstore) return n;
	if (kept == 0) return NULL;
	Nest *copy = nest_copy(a, n);
	copy->nstore = 0;
	for (int k = 0; k < n->nstore; k++)
		if (keep[k]) copy->store[copy->nstore++] = copy->store[k];
	drop_accs(a, copy);
	return copy;
}

/* From the last step to the first, since what a step reads was mostly made before. */
void prune_part(Arena *a, Part *p)
{
	int *readers = NEWS(a, int, p->buffer.n + 1), kept = 0;
	for (int s = 0; s < p->step.n; s++) count_readers(readers, p->step.at[s].nest, 1);
	for (bool changed = true; changed;) {
		changed = false;
		for (int s = p->step.n - 1; s >= 0; s--) {
			const Nest *old = p->step.at[s].nest;
			if (!old) continue;
			p->step.at[s].nest = pruned(a, readers, old);
			changed |= p->step.at[s].nest != old;
			if (!p->step.at[s].nest) count_readers(readers, old, -1);
		}
	}
	for (int s = 0; s < p->step.n; s++)
		if (p->step.at[s].nest) p->step.at[kept++] = p->step.at[s];
	p->step.n = kept;
}
