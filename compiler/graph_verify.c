/* graph_verify: what every graph must be, whoever made it. Returns the first fault found, in words.
 */
#include "ir.h"
#include "op.h"

/* `made`: by id, the nodes that stand before n. */
static const char *verify_operands(const Graph *g, const Node *n, const Node *const *made)
{
	for (int k = 0; k < n->nin; k++) {
		const Value *v = n->in[k];
		if (!v || !v->node)
			return arena_printf(g->arena, "node %d: operand %d is nothing", n->id, k);
		if (v->node->id < 0 || v->node->id >= g->next_id || made[v->node->id] != v->node)
			return arena_printf(
			    g->arena, "node %d reads %s before it is made", n->id, value_text(g->arena, v));
		if (v->index >= v->node->nout || v->node->out[v->index] != v)
			return arena_printf(
			    g->arena, "node %d: operand %d is no result of its maker", n->id, k);
	}
	return NULL;
}

/* Infers again on a copy and compares. */
static const char *verify_shapes(const Graph *g, const Node *n)
{
	Diag silent;
	diag_init(&silent, g->arena);
	Graph scratch = *g;
	scratch.diag = &silent;
	Node again = *n;
	again.nout = 0;
	if (!n->op->infer(&scratch, &again))
		return arena_printf(
		    g->arena, "node %d: %s no longer accepts its operands", n->id, n->op->name);
	if (again.nout != n->nout)
		return arena_printf(g->arena, "node %d: %s has %d results, infers %d", n->id, n->op->name,
		    n->nout, again.nout);
	for (int k = 0; k < n->nout; k++)
		if (!shape_same(again.out[k]->shape, n->out[k]->shape) ||
		    again.out[k]->type != n->out[k]->type)
			return arena_printf(g->arena, "node %d: result %d of %s is %s, infers %s", n->id, k,
			    n->op->name, shape_text(g->arena, n->out[k]->shape),
			    shape_text(g->arena, again.out[k]->shape));
	return NULL;
}

static const char *verify_assign(const Graph *g, Node *n, Map *assigned)
{
	if (!shape_same(n->state->shape, n->in[0]->shape))
		return arena_printf(g->arena, "%s is %s and is assigned %s", n->state->name,
		    shape_text(g->arena, n->state->shape), shape_text(g->arena, n->in[0]->shape));
	if (map_get(assigned, &n->state, sizeof n->state))
		return arena_printf(g->arena, "%s is assigned twice", n->state->name);
	map_put(assigned, &n->state, sizeof n->state, n);
	return NULL;
}

const char *graph_verify(const Graph *g)
{
	const Node **made = NEWS(g->arena, const Node *, g->next_id + 1);
	Map assigned; /* nodes by state */
	map_init(&assigned, g->arena);
	for (int i = 0; i < g->node.n; i++) {
		Node *n = g->node.at[i];
		if (n->id < 0 || n->id >= g->next_id)
			return arena_printf(g->arena, "node %d is foreign", n->id);
		if (made[n->id]) return arena_printf(g->arena, "node %d stands twice", n->id);
		const char *fault = verify_operands(g, n, made);
		if (!fault && n->kind == NODE_OP && !n->poisoned) fault = verify_shapes(g, n);
		if (!fault && n->kind == NODE_ASSIGN) fault = verify_assign(g, n, &assigned);
		if (fault) return fault;
		made[n->id] = n;
	}
	return NULL;
}
