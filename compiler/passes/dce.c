/* dce: removes what no output and no state depends on.
 *
 * needs: nothing.  guarantees: every node is read, or is an output or an assign; the order is kept.
 *   %1 = input x   %2 = input label   %3 = dense %1   %4 = cross_entropy %3, %2   output %3
 *   becomes   %1 = input x   %3 = dense %1   output %3 */
#include "passes.h"

void pass_dce(Graph *g)
{
	bool *live = NEWS(g->arena, bool, g->next_id + 1);
	for (int i = g->node.n - 1; i >= 0; i--) {
		const Node *n = g->node.at[i];
		if (n->kind == NODE_OUTPUT || n->kind == NODE_ASSIGN) live[n->id] = true;
		for (int k = 0; k < n->nin && live[n->id]; k++) live[n->in[k]->node->id] = true;
	}
	int kept = 0;
	for (int i = 0; i < g->node.n; i++)
		if (live[g->node.at[i]->id]) g->node.at[kept++] = g->node.at[i];
	g->node.n = kept;
}
