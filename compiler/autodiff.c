/* autodiff: the backward pass as a graph transformation, done early, so that every later pass
 * serves training as much as inference.
 *
 * Reverse mode: dL/dx = sum over the readers of x of (dL/dy)(dy/dx). Nodes are walked backwards;
 * each operator's `gradient` asks for the gradient of its results and adds contributions to its
 * operands. Contributions to one value become one n-ary sum, in the order of the readers in the
 * forward graph. */
#include "ir.h"
#include "op.h"

struct Grad {
	Graph *graph;
	int nodes;    /* forward nodes: those before the backward pass */
	bool *wanted; /* by node id: leads to a weight that is not frozen, or to an exposed value */
	struct Parts {
		Vec(Value *) part; /* contributions, last reader first */
		Value *sum;
		bool done;
	} * of; /* by node id * MAX_OUT + result */
};

Graph *grad_graph(Grad *g) { return g->graph; }

Value *grad_of(Grad *g, const Node *n, int k)
{
	struct Parts *p = &g->of[n->id * MAX_OUT + k];
	if (p->done || p->part.n == 0) return p->sum;
	Value **in_order = NEWS(g->graph->arena, Value *, p->part.n);
	for (int i = 0; i < p->part.n; i++) in_order[i] = p->part.at[p->part.n - 1 - i];
	p->sum = graph_add_n(g->graph, in_order, p->part.n);
	p->done = true;
	return p->sum;
}

bool grad_wanted(Grad *g, const Node *n, int i) { return g->wanted[n->in[i]->node->id]; }

void grad_add(Grad *g, const Node *n, int i, Value *dx)
{
	const Value *x = n->in[i];
	if (!dx || dx->node->poisoned) return;
	if (!shape_same(dx->shape, x->shape))
		bug("%s gives operand %d a gradient of %s, it is %s", n->op->name, i,
		    shape_text(g->graph->arena, dx->shape), shape_text(g->graph->arena, x->shape));
	struct Parts *p = &g->of[x->node->id * MAX_OUT + x->index];
	if (p->done) bug("%s adds to a gradient that was read already", n->op->name);
	vec_push(g->graph->arena, p->part, dx);
}

static bool is_exposed(const Node *n) { return n->kind == NODE_OUTPUT && n->output == OUT_EXPOSED; }

static void mark_wanted(Grad *g)
{
	for (int i = 0; i < g->nodes; i++)
		if (is_exposed(g->graph->node.at[i]))
			g->wanted[g->graph->node.at[i]->in[0]->node->id] = true;
	for (int i = 0; i < g->nodes; i++) {
		const Node *n = g->graph->node.at[i];
		bool w = g->wanted[n->id];
		w = w || (n->kind == NODE_READ && n->state->kind == STATE_WEIGHT && !n->state->frozen);
		for (int k = 0; k < n->nin; k++) w = w || g->wanted[n->in[k]->node->id];
		g->wanted[n->id] = w;
	}
}

static void differentiate(Grad *g, const Node *n)
{
	bool any = false;
	for (int k = 0; k < n->nout; k++) any = any || g->of[n->id * MAX_OUT + k].part.n > 0;
	if (!any || !g->wanted[n->id]) return;
	graph_at(g->graph, n->layer, n->where);
	if (!n->op->gradient) {
		diag_error(g->graph->diag, n->where,
		    "%s has no gradient, and a loss depends on a weight through it", n->op->name);
		return;
	}
	n->op->gradient(g, n);
}

/* What no loss depends on has the gradient zero. */
static Expr *zero_value(Arena *a, Expr *const *x, const double *p)
{
	(void)x;
	(void)p;
	return e_num(a, 0);
}
static const MapExpr zero = {.name = "zero", .operands = 1, .value = zero_value};

static void deliver(Grad *g, const Model *m)
{
	Graph *graph = g->graph;
	for (int i = 0; i < m->state.n; i++) {
		State *s = m->state.at[i];
		if (s->kind != STATE_WEIGHT) continue;
		graph_at(graph, s->name, s->where);
		Value *w = graph_read(graph, s);
		Value *dw = w->node->id < g->nodes && !s->frozen ? grad_of(g, w->node, 0) : NULL;
		if (!dw) dw = graph_map(graph, &zero, &w, 1, NULL, 0);
		graph_output(graph, s->name, OUT_GRADIENT, i, s, dw);
	}
	for (int i = 0; i < g->nodes; i++) {
		const Node *n = graph->node.at[i];
		if (!is_exposed(n)) continue;
		Value *v = n->in[0];
		graph_at(graph, n->name, n->where);
		Value *dv = grad_of(g, v->node, v->index);
		if (!dv) dv = graph_map(graph, &zero, &v, 1, NULL, 0);
		graph_output(
		    graph, exposed_gradient(graph->arena, n->name), OUT_EXPOSED, n->slot, NULL, dv);
	}
}

void graph_backward(Graph *graph, const Model *m)
{
	Grad g = {.graph = graph, .nodes = graph->node.n};
	if (graph->next_id != graph->node.n) bug("the forward graph has holes in its numbering");
	g.wanted = NEWS(graph->arena, bool, g.nodes + 1);
	g.of = arena_alloc(graph->arena, (size_t)(g.nodes + 1) * MAX_OUT, sizeof *g.of);
	mark_wanted(&g);
	for (int i = 0; i < g.nodes; i++) {
		Node *n = graph->node.at[i];
		if (n->kind != NODE_OUTPUT || n->output != OUT_LOSS || n->slot != 0) continue;
		double *one = NEW(graph->arena, double);
		*one = 1;
		graph_at(graph, "loss", n->where);
		Value *dloss = graph_constant(graph, "one", (Shape){0}, one);
		const Value *loss = n->in[0];
		vec_push(graph->arena, g.of[loss->node->id * MAX_OUT + loss->index].part, dloss);
	}
	for (int i = g.nodes - 1; i >= 0; i--)
		if (graph->node.at[i]->kind == NODE_OP) differentiate(&g, graph->node.at[i]);
	deliver(&g, m);
}
