/* update: the optimiser as a graph of its own, and behind the gradients.
 *
 * By itself, gradients and what each step is given go in; weights and slots are read and given
 * their next values. Weights that lie side by side are one row, where the optimiser looks at each
 * number by itself: the update is then a few long loops, however many layers there are.
 *
 * In a step the gradients are what the backward pass makes; each weight is then updated by itself,
 * so that it may move, and its gradient go, before the next one's is there. */
#include "op.h"

typedef struct {
	const Model *m;
	Graph *g;
	const OpDesc *op;
	Value *hyper, *factor; /* the numbers of the step; of clipping, or NULL */
	State **weight;        /* those that are not frozen */
	int weights;
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

/* The gradient of a row of weights, as an input: it has a state, so it is that weight's place in
 * grads. */
static Value *gradient_input(Graph *g, State *w)
{
	Value *v = graph_input(g, w->name, -1, TYPE_REAL, w->shape);
	v->node->state = w;
	return v;
}

/* Updates a row of weights. `slot`: the first weight's, one of each kind. */
static void update_row(Update *u, State *w, Value *gradient, State *const *slot, int slots)
{
	Graph *g = u->g;
	Value *in[3 + MAX_STATES] = {graph_read(g, w)};
	in[1] = graph_clip(g, &u->m->optimizer, gradient, u->factor, u->hyper);
	in[2] = u->hyper;
	for (int k = 0; k < slots; k++) in[3 + k] = graph_read(g, slot[k]);
	Node *next = graph_op(g, u->op, in, 3 + slots, u->m->optimizer.attr);
	if (next->poisoned) return;
	graph_assign(g, w, next->out[0]);
	for (int k = 0; k < slots; k++) graph_assign(g, slot[k], next->out[1 + k]);
}

/* The weights from `at` on that are updated as one; *count: their numbers. */
static int row_end(const Update *u, int at, int64_t *count)
{
	State *const *weight = u->weight;
	int end = at + 1;
	*count = shape_count(weight[at]->shape);
	if (!(u->op->flags & OP_ROWS)) return end;
	for (; end < u->weights && weight[end]->offset == weight[at]->offset + *count; end++)
		*count += shape_count(weight[end]->shape); /* less than all of vars */
	return end;
}

/* How many slots each weight has. */
static int slot_kinds(const Update *u) { return u->weights ? u->m->slot.n / u->weights : 0; }

static void update_weights(Update *u)
{
	const Model *m = u->m;
	Arena *a = m->arena;
	State *const *weight = u->weight;
	int slots = slot_kinds(u);
	for (int i = 0, end; i < u->weights; i = end) {
		int64_t count;
		end = row_end(u, i, &count);
		const char *name = weight[i]->name;
		if (end > i + 1) name = arena_printf(a, "%s to %s", name, weight[end - 1]->name);
		State *slot[MAX_STATES], *row = row_of(u->g, weight[i], name, count);
		for (int k = 0; k < slots; k++)
			slot[k] = row_of(u->g, m->slot.at[k * u->weights + i], name, count);
		graph_at(u->g, row->name, row->where);
		update_row(u, row, gradient_input(u->g, row), slot, slots);
	}
}

static Update update_new(const Model *m, Graph *g)
{
	Update u = {.m = m, .g = g, .op = op_find(m->optimizer.kind)};
	if (!u.op) bug("no optimiser named %s", m->optimizer.kind);
	u.weight = NEWS(m->arena, State *, m->state.n + 1);
	for (int i = 0; i < m->state.n; i++) {
		State *s = m->state.at[i];
		if (s->kind == STATE_WEIGHT && !s->frozen) u.weight[u.weights++] = s;
	}
	return u;
}

/* The numbers of the step, and which it is. */
static Value *hyper_input(const Update *u)
{
	return graph_input(
	    u->g, "hyper", -1, TYPE_REAL, shape_of(1, (int64_t)u->m->optimizer.hypers + 1));
}

Graph *graph_update(const Model *m)
{
	Update u = update_new(m, graph_new(m->arena, m->diag, 1, MODE_TRAIN));
	u.hyper = hyper_input(&u);
	graph_at(u.g, "gradients", m->optimizer.where);
	if (m->weights && clips_norm(&m->optimizer))
		u.factor = graph_clip_factor(u.g, &m->optimizer, all_gradients(u.g, m), u.hyper);
	update_weights(&u);
	return u.g;
}

/* --- a step ------------------------------------------------------------------------------- */

bool may_step_at_once(const Model *m)
{
	return m->optimizer.kind && m->weights && !clips_norm(&m->optimizer) && !m->exposed.n;
}

/* Gradients are no outputs any more: takes these out, in the order of the weights. */
static Value **take_gradients(const Update *u)
{
	Graph *g = u->g;
	Value **gradient = NEWS(g->arena, Value *, u->weights + 1);
	int kept = 0, w = 0;
	for (int i = 0; i < g->node.n; i++) {
		Node *n = g->node.at[i];
		bool is_gradient = n->kind == NODE_OUTPUT && n->output == OUT_GRADIENT;
		if (is_gradient && w < u->weights && n->state == u->weight[w]) gradient[w++] = n->in[0];
		if (is_gradient) continue;
		n->place = kept;
		g->node.at[kept++] = n;
	}
	g->node.n = kept;
	if (w < u->weights) bug("%s has no gradient", u->weight[w]->name);
	return gradient;
}

void graph_step(Graph *g, const Model *m)
{
	Update u = update_new(m, g);
	Value **gradient = take_gradients(&u);
	int slots = slot_kinds(&u);
	u.hyper = hyper_input(&u);
	for (int w = 0; w < u.weights; w++) {
		State *slot[MAX_STATES];
		for (int k = 0; k < slots; k++) slot[k] = m->slot.at[k * u.weights + w];
		graph_at(g, u.weight[w]->name, u.weight[w]->where);
		update_row(&u, u.weight[w], gradient[w], slot, slots);
	}
}
