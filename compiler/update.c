/* update: the optimiser's graph. Gradients and what each step is given go in; weights and slots are
 * read and given their next values. Weights that lie side by side are one row, where the optimiser
 * looks at each number by itself: the update is then a few long loops, however many layers there
 * are. */
#include "op.h"

typedef struct {
	const Model *m;
	Graph *g;
	const OpDesc *op;
	Value *hyper, *factor; /* the numbers of the step; of clipping, or NULL */
} Update;

/* All gradients as one row. Those of frozen weights are 0. */
static Value *all_gradients(Graph *g, const Model *m)
{
	State *all = NEW(g->arena, State);
	*all = (State){.name = "grads", .kind = STATE_WEIGHT, .shape = shape_of(1, m->weights)};
	Value *v = graph_input(g, all->name, -1, TYPE_REAL, all->shape);
	v->node->state = all;
	return v;
}

/* `first` and what lies behind it, as one state of `count` numbers. */
static State *row_of(Graph *g, State *first, const char *name, int64_t count)
{
	if (shape_count(first->shape) == count) return first;
	State *row = NEW(g->arena, State);
	*row = *first;
	row->name = name;
	row->shape = shape_of(1, count);
	return row;
}

/* Updates a row of weights. `slot`: the first weight's, one of each kind. */
static void update_row(Update *u, State *w, State *const *slot, int slots)
{
	Graph *g = u->g;
	graph_at(g, w->name, w->where);
	Value *in[3 + MAX_STATES] = {graph_read(g, w)};
	in[1] = graph_input(g, w->name, -1, TYPE_REAL, w->shape);
	in[1]->node->state = w; /* an input that has a state is that weight's place in grads */
	in[1] = graph_clip(g, &u->m->optimizer, in[1], u->factor, u->hyper);
	in[2] = u->hyper;
	for (int k = 0; k < slots; k++) in[3 + k] = graph_read(g, slot[k]);
	Node *next = graph_op(g, u->op, in, 3 + slots, u->m->optimizer.attr);
	if (next->poisoned) return;
	graph_assign(g, w, next->out[0]);
	for (int k = 0; k < slots; k++) graph_assign(g, slot[k], next->out[1 + k]);
}

/* The weights from `at` on that are updated as one; *count: their numbers. */
static int row_end(const Update *u, State *const *weight, int weights, int at, int64_t *count)
{
	int end = at + 1;
	*count = shape_count(weight[at]->shape);
	if (!(u->op->flags & OP_ROWS)) return end;
	for (; end < weights && weight[end]->offset == weight[at]->offset + *count; end++)
		*count += shape_count(weight[end]->shape); /* less than all of vars */
	return end;
}

static void update_weights(Update *u, State *const *weight, int weights)
{
	const Model *m = u->m;
	Arena *a = m->arena;
	int slots = weights ? m->slot.n / weights : 0;
	for (int i = 0, end; i < weights; i = end) {
		int64_t count;
		end = row_end(u, weight, weights, i, &count);
		const char *name = weight[i]->name;
		if (end > i + 1) name = arena_printf(a, "%s to %s", name, weight[end - 1]->name);
		State *slot[MAX_STATES];
		for (int k = 0; k < slots; k++)
			slot[k] = row_of(u->g, m->slot.at[k * weights + i], name, count);
		update_row(u, row_of(u->g, weight[i], name, count), slot, slots);
	}
}

Graph *graph_update(const Model *m)
{
	Update u = {.m = m, .g = graph_new(m->arena, m->diag, 1, MODE_TRAIN)};
	State **weight = NEWS(m->arena, State *, m->state.n + 1);
	int weights = 0;
	u.op = op_find(m->optimizer.kind);
	if (!u.op) bug("no optimiser named %s", m->optimizer.kind);
	Shape numbers = shape_of(1, (int64_t)m->optimizer.hypers + 1); /* and which step it is */
	u.hyper = graph_input(u.g, "hyper", -1, TYPE_REAL, numbers);
	graph_at(u.g, "gradients", m->optimizer.where);
	if (m->weights && clips_norm(&m->optimizer))
		u.factor = graph_clip_factor(u.g, &m->optimizer, all_gradients(u.g, m), u.hyper);
	for (int i = 0; i < m->state.n; i++) {
		State *s = m->state.at[i];
		if (s->kind == STATE_WEIGHT && !s->frozen) weight[weights++] = s;
	}
	update_weights(&u, weight, weights);
	return u.g;
}
