/* graph_instance: a model's graph again, for a batch size and a mode.
 *
 * Every operator infers anew, so no shape is patched; those with an `expand` hook (batch norm,
 * dropout) put in what the mode asks for. What no output or assign reaches is left to dce. */
#include "ir.h"
#include "op.h"

/* A loss term with its weight: y = p0 x. */
static Expr *weighted_value(Arena *a, Expr *const *x, const double *p)
{
	return e_op(a, E_MUL, e_num(a, p[0]), x[0]);
}

static Expr *weighted_gradient(Arena *a, Expr *const *x, const double *p)
{
	return e_op(a, E_MUL, e_num(a, p[0]), x[2]); /* x[0], y = x[1], dy = x[2] */
}

static const MapExpr weighted = {
    .name = "weighted",
    .operands = 1,
    .value = weighted_value,
    .gradient = {{weighted_gradient, 1u << 2}},
};

typedef struct {
	Graph *to;
	Value **value; /* by old node id * MAX_OUT + result */
	Value *seed;
} Copy;

static Value *mapped(const Copy *c, const Value *v)
{
	Value *new = c->value[v->node->id * MAX_OUT + v->index];
	if (!new) bug("node %d is read before it is copied", v->node->id);
	return new;
}

static void copy_op(Copy *c, Node *n)
{
	Graph *g = c->to;
	Value **in = NEWS(g->arena, Value *, MAX(n->nin, 1));
	State **state = NEWS(g->arena, State *, MAX(n->nin, 1));
	for (int i = 0; i < n->nin; i++) {
		in[i] = mapped(c, n->in[i]);
		/* what only regroups dims is passed over where the reader does not care: flatten, dense */
		const Node *maker = in[i]->node;
		if (i == 0 && n->op->flags & OP_ANY_DIMS && maker->kind == NODE_OP &&
		    maker->op->flags & OP_REGROUP)
			in[i] = maker->in[0];
		if (n->in[i]->node->kind == NODE_READ) state[i] = n->in[i]->node->state;
	}
	Value *const *out;
	if (n->op->expand) {
		Expand x = {.graph = g, .mode = g->mode, .in = in, .seed = c->seed, .state = state};
		out = n->op->expand(&x, n);
	} else {
		out = graph_op(g, n->op, in, n->nin, n->attr)->out;
	}
	for (int k = 0; k < n->nout; k++) c->value[n->id * MAX_OUT + k] = out[k];
}

static void copy_node(Copy *c, Node *n)
{
	Graph *g = c->to;
	Value *v = NULL;
	graph_at(g, n->layer, n->where);
	if (n->kind == NODE_OP) {
		copy_op(c, n);
		return;
	}
	if (n->kind == NODE_INPUT) {
		Shape s = n->out[0]->shape;
		s.dim[0] = g->batch;
		v = graph_input(g, n->name, n->slot, n->out[0]->type, s);
		v->node->classes = n->classes;
	} else if (n->kind == NODE_CONSTANT) {
		v = graph_constant(g, n->name, n->out[0]->shape, n->table);
	} else if (n->kind == NODE_READ) {
		v = graph_read(g, n->state);
	} else {
		bug("a model's graph holds a node of kind %d", n->kind);
	}
	c->value[n->id * MAX_OUT] = v;
}

/* loss[0] is the weighted total; with several terms, loss[1..] are the terms themselves. */
static void add_losses(Copy *c, const Model *m)
{
	Graph *g = c->to;
	int n = m->loss.n;
	Value **term = NEWS(g->arena, Value *, MAX(n, 1));
	for (int i = 0; i < n; i++) {
		term[i] = mapped(c, m->loss.at[i].value);
		if (n > 1) graph_output(g, m->loss.at[i].name, OUT_LOSS, 1 + i, NULL, term[i]);
		double w = m->loss.at[i].weight;
		if (w != 1) term[i] = graph_map(g, &weighted, &term[i], 1, &w, 1);
	}
	if (n > 0) graph_output(g, "loss", OUT_LOSS, 0, NULL, graph_add_n(g, term, n));
}

Graph *graph_instance(const Model *m, int64_t batch, Mode mode, bool want_loss)
{
	Graph *g = graph_new(m->arena, m->diag, batch, mode);
	Copy c = {.to = g, .value = NEWS(m->arena, Value *, MAX_OUT * (m->graph->next_id + 1))};
	if (mode == MODE_TRAIN) c.seed = graph_input(g, "seed", -1, TYPE_SEED, shape_of(1, (int64_t)2));
	for (int i = 0; i < m->graph->node.n; i++) copy_node(&c, m->graph->node.at[i]);
	graph_at(g, NULL, (Where){0});
	if (want_loss) add_losses(&c, m);
	for (int i = 0; i < m->output.n; i++)
		graph_output(
		    g, m->output.at[i].name, OUT_TENSOR, i, NULL, mapped(&c, m->output.at[i].value));
	for (int i = 0; i < m->exposed.n; i++)
		graph_output(
		    g, m->exposed.at[i].name, OUT_EXPOSED, i, NULL, mapped(&c, m->exposed.at[i].value));
	return g;
}

const char *exposed_gradient(Arena *a, const char *name)
{
	return arena_printf(a, "%s_grad", name);
}
