/* run: a part in double, by the meaning of its nests: the oracle that emitted C is held against. */
#include "internal.h"

static double *place_memory(const Memory *m, const Buffer *b)
{
	switch (b->place) {
	case PLACE_VARS: return m->vars + b->offset;
	case PLACE_SLOTS: return m->slots + b->offset;
	case PLACE_GRADS: return m->grads + b->offset;
	case PLACE_PACKED: return m->packed + b->offset;
	case PLACE_INPUT:
	case PLACE_OUTPUT: return m->arg[b->slot];
	default: return NULL;
	}
}

static void run_turn(const Step *step, const Machine *m, int target, int64_t turn)
{
	if (target < 0)
		run_naive_turn(step->nest, m, turn);
	else
		run_tree_turn(step->tree[target], m, turn);
}

bool part_run(Arena *a, const Part *p, const Memory *m, int target)
{
	Machine machine = {
	    .memory = NEWS(a, double *, p->buffer.n + 1), .seed = m->seed, .step = m->step};
	double *work = NEWS(a, double, p->work / 4 + 64);
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *b = p->buffer.at[i];
		double *at = place_memory(m, b);
		if (b->place == PLACE_WORK) at = (b->lent ? m->grads : work) + b->offset;
		if (b->place == PLACE_TABLE) {
			at = NEWS(a, double, b->size);
			memcpy(at, b->table, (size_t)b->size * sizeof *at);
		}
		machine.memory[b->id] = at;
	}
	for (int s = 0, end; s < p->step.n; s = end) {
		end = group_end(p, s);
		int64_t turns = nest_turns(p->step.at[s].nest);
		for (int o = s; o < end; o++)
			if (target >= 0 && !p->step.at[o].tree[target]) return false;
		for (int64_t turn = 0; turn < turns; turn++)
			for (int o = s; o < end; o++) run_turn(&p->step.at[o], &machine, target, turn);
	}
	return true;
}
