/* inplace: a map writes over an operand that dies there.
 *
 * needs: a map (no sum, no guard) that stores a buffer of ours for the first time and reads
 * another, of the same shape and layout, for the last time, at the very index it stores.
 * effect: the stored buffer is the operand's: one place less alive at that step.
 * checked by: check_stores (a stored buffer is read only at the same index), verify_part, which
 * knows one buffer then, and here: what every load reads was made by the step that made it before.
 */
#include "internal.h"

typedef struct {
	Arena *arena;
	Part *part;
	Use *use;
	Life *life;
} Inplace;

static bool same_form(const Buffer *x, const Buffer *y)
{
	if (x->rank != y->rank || x->ncomp != y->ncomp || x->size != y->size || x->type != y->type)
		return false;
	for (int d = 0; d < x->rank; d++)
		if (x->shape[d] != y->shape[d]) return false;
	for (int i = 0; i < x->ncomp; i++) {
		const Component *p = &x->comp[i], *q = &y->comp[i];
		if (p->dim != q->dim || p->div != q->div || p->mod != q->mod || p->stride != q->stride)
			return false;
	}
	return true;
}

static bool is_ours(const Buffer *b) { return b->place == PLACE_WORK && !b->fixed; }

bool writes_over(const Nest *n, const Buffer *x, const Buffer *y)
{
	if (n->nacc || n->nguard || n->nstore != 1 || !is_ours(x) || !is_ours(y)) return false;
	return same_form(x, y) && nest_store_of(n, x) < 0 && nest_reads_in_place(n, x, y);
}

static void rename_in(Arena *a, Step *step, const Buffer *old, Buffer *new)
{
	const Nest *n = step->nest;
	if (nest_load_of(n, old) < 0 && nest_store_of(n, old) < 0) return;
	Nest *copy = nest_copy(a, n);
	for (int k = 0; k < n->nload; k++)
		if (copy->load[k].buffer == old) copy->load[k].buffer = new;
	for (int k = 0; k < n->nstore; k++)
		if (copy->store[k].to.buffer == old) copy->store[k].to.buffer = new;
	step->nest = copy;
}

/* Later steps know the operand's buffer instead, which lives on for the stored one. */
static void rename_buffer(Inplace *x, int from_step, const Buffer *old, Buffer *new)
{
	const Steps lists[] = {x->use[old->id].load, x->use[old->id].store};
	for (int i = 0; i < COUNT(lists); i++)
		for (int k = 0; k < lists[i].n; k++) {
			int s = lists[i].at[k];
			if (s >= from_step) rename_in(x->arena, &x->part->step.at[s], old, new);
			if (i == 0)
				vec_push(x->arena, x->use[new->id].load, s);
			else
				vec_push(x->arena, x->use[new->id].store, s);
		}
	Life *to = &x->life[new->id], *from = &x->life[old->id];
	to->last = MAX(to->last, from->last);
	to->last_store = MAX(to->last_store, from->last_store);
	*from = (Life){-1, -1, -1, -1, -1};
}

static bool try_store(Inplace *in, int s, Buffer *y)
{
	const Nest *n = in->part->step.at[s].nest;
	const Life *life = in->life;
	if (life[y->id].first != s || life[y->id].last_store != s) return false;
	for (int k = 0; k < n->nload; k++) {
		Buffer *x = n->load[k].buffer;
		if (life[x->id].last != s || !writes_over(n, x, y)) continue;
		rename_buffer(in, s, y, x);
		((Nest *)in->part->step.at[s].nest)->inplace = true; /* the copy that rename_buffer made */
		return true;
	}
	return false;
}

/* By load, of all steps in their order: the step that stored its buffer last; -1: none. */
static Steps last_makers(Arena *a, const Part *p)
{
	Steps maker = {0};
	int *last = NEWS(a, int, p->buffer.n + 1);
	for (int b = 0; b < p->buffer.n; b++) last[b] = -1;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload; k++) vec_push(a, maker, last[n->load[k].buffer->id]);
		for (int k = 0; k < n->nstore; k++) last[n->store[k].to.buffer->id] = s;
	}
	return maker;
}

static void check_makers(const Part *p, const Steps *before, const Steps *after)
{
	bool same = before->n == after->n;
	for (int i = 0; i < before->n && same; i++) same = before->at[i] == after->at[i];
	if (!same) bug("%s: a step reads what was written over", p->name);
}

void inplace_part(Arena *a, Part *p)
{
	Inplace in = {a, p, part_uses(a, p), NEWS(a, Life, p->buffer.n + 1)};
	const Steps before = last_makers(a, p);
	part_lives(p, in.life);
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		if (n->nstore == 1) try_store(&in, s, n->store[0].to.buffer);
	}
	const Steps after = last_makers(a, p);
	check_makers(p, &before, &after);
}
