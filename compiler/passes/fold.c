/* fold: a scale and shift by channel goes into the weights of the layer before it (batch norm in
 * inference).
 *
 * needs: nothing.  guarantees: the same function up to rounding.
 *   %3 = conv %x, %w   %4 = map scale_shift %3, %s, %t
 *   becomes   %5 = scale_rows %w, %s   %6 = conv %x, %5, %t
 * It asks the operator that made the operand (OpDesc.absorb) and knows none by name. */
#include "passes.h"

typedef struct {
	int *readers;    /* by node id */
	Value **instead; /* by node id * MAX_OUT + result */
} Fold;

static bool foldable(const Fold *f, const Node *n)
{
	if (n->kind != NODE_OP || map_body(n) != &map_scale_shift || n->nin != 3) return false;
	const Node *maker = n->in[0]->node;
	return maker->kind == NODE_OP && maker->op->absorb && f->readers[maker->id] == 1 &&
	       n->in[1]->shape.rank == 1 && n->in[2]->shape.rank == 1;
}

void pass_fold(Graph *g)
{
	if (g->mode != MODE_INFER) return;
	Fold f = {.readers = NEWS(g->arena, int, g->next_id + 1)};
	f.instead = NEWS(g->arena, Value *, MAX_OUT * (g->next_id + 1));
	int n = g->node.n, old_ids = g->next_id;
	Node **old = NEWS(g->arena, Node *, n + 1);
	for (int i = 0; i < n; i++) {
		old[i] = g->node.at[i];
		for (int k = 0; k < old[i]->nin; k++) f.readers[old[i]->in[k]->node->id]++;
	}
	g->node.n = 0; /* rebuilt in order; what absorb makes lands just where it is needed */
	for (int i = 0; i < n; i++) {
		Node *node = old[i];
		for (int k = 0; k < node->nin; k++) {
			const Value *v = node->in[k];
			Value *new = v->node->id < old_ids ? f.instead[v->node->id * MAX_OUT + v->index] : NULL;
			if (new) node->in[k] = new;
		}
		Value *made = NULL;
		if (foldable(&f, node)) {
			Node *maker = node->in[0]->node;
			graph_at(g, maker->layer, maker->where);
			made = maker->op->absorb(g, maker, node->in[1], node->in[2]);
		}
		f.instead[node->id * MAX_OUT] = made;
		if (!made) vec_push(g->arena, g->node, node);
	}
}
