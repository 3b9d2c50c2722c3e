/* uses: which steps read and write each buffer, found in one walk. */
#include "internal.h"

static void add(Arena *a, Steps *list, int step)
{
	if (!list->n || list->at[list->n - 1] != step) vec_push(a, *list, step);
}

Use *part_uses(Arena *a, const Part *p)
{
	Use *use = NEWS(a, Use, p->buffer.n + 1);
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload; k++) add(a, &use[n->load[k].buffer->id].load, s);
		for (int k = 0; k < n->nstore; k++) add(a, &use[n->store[k].to.buffer->id].store, s);
	}
	return use;
}

bool moves_weights(const Nest *n)
{
	for (int k = 0; k < n->nstore; k++) {
		const Buffer *b = n->store[k].to.buffer;
		if ((b->place == PLACE_VARS && b->state->kind == STATE_WEIGHT) || b->place == PLACE_SLOTS)
			return true;
	}
	return false;
}

int first_update(const Part *p)
{
	int s = 0;
	while (s < p->step.n && !moves_weights(p->step.at[s].nest)) s++;
	return s;
}
