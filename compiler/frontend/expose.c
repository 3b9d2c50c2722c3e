/* expose: --expose PATTERN makes outputs of what layers give, for people who compare a network with
 * another tool's, layer by layer.
 *
 * A layer is named as in messages, by its path below param, or by the name an operator was given.
 * It becomes the argument layer1_0_conv1, and what the loss's gradient by it is, in the entry of
 * gradients, layer1_0_conv1_grad. A layer used twice, or a name that is taken, gets _2, _3 behind.
 */
#include "front.h"
#include "../../runtime/formats/pattern.h"

enum { EXPOSE_LIMIT = 48 }; /* with gradients as many arguments again; C promises 127 in all */

/* Nodes whose first result may be looked at: named, with a batch, and in the network. */
static bool is_open(const Node *n, const bool *reached)
{
	return n->kind == NODE_OP && n->layer && reached[n->id] && n->out[0]->shape.rank > 0;
}

static bool is_argument(const Front *f, const char *name)
{
	const Model *m = f->model;
	bool found = !strcmp(name, "loss");
	for (int i = 0; i < m->input.n; i++) found = found || !strcmp(m->input.at[i]->name, name);
	for (int i = 0; i < m->output.n; i++) found = found || !strcmp(m->output.at[i].name, name);
	for (int i = 0; i < m->exposed.n; i++)
		found = found || !strcmp(m->exposed.at[i].name, name) ||
		        !strcmp(exposed_gradient(f->arena, m->exposed.at[i].name), name);
	return found;
}

static const char *argument_name(Front *f, const char *layer)
{
	char *stem = arena_copy(f->arena, layer);
	for (char *c = stem; *c; c++)
		if (*c == '.' || *c == '-') *c = '_';
	const char *name = stem;
	for (int count = 2;; count++) {
		if (!is_argument(f, name) && !is_argument(f, exposed_gradient(f->arena, name))) return name;
		name = arena_printf(f->arena, "%s_%d", stem, count);
	}
}

/* The layers that the pattern means, in the order of the network; how many they were. */
static int expose(Front *f, const char *pattern, const bool *reached, bool *done)
{
	int met = 0;
	for (int i = 0; i < f->graph->node.n; i++) {
		const Node *n = f->graph->node.at[i];
		if (!is_open(n, reached) || !pattern_meets(pattern, n->layer)) continue;
		met++;
		if (done[n->id]) continue;
		done[n->id] = true;
		Named exposed = {argument_name(f, n->layer), n->out[0], 1};
		vec_push(f->arena, f->model->exposed, exposed);
	}
	return met;
}

static void report(Front *f, const char *pattern, const bool *reached)
{
	int n = 0;
	const char **layer = NEWS(f->arena, const char *, f->graph->node.n + 1), *hint = "";
	const char *below = arena_printf(f->arena, "%s.*", pattern);
	for (int i = 0; i < f->graph->node.n; i++) {
		const Node *node = f->graph->node.at[i];
		if (!is_open(node, reached)) continue;
		layer[n++] = node->layer;
		if (pattern_meets(below, node->layer))
			hint = arena_printf(f->arena, "; did you mean '%s'?", below);
	}
	diag_error(f->diag, (Where){0}, "--expose '%s' meets no layer%s", pattern,
	    *hint ? hint : front_hint(f, pattern, layer, n));
}

void expose_finish(Front *f, const bool *reached)
{
	const Options *o = f->options;
	bool *done = NEWS(f->arena, bool, f->graph->next_id + 1);
	for (int i = 0; i < o->expose.n; i++)
		if (!expose(f, o->expose.at[i], reached, done)) report(f, o->expose.at[i], reached);
	if (f->model->exposed.n > EXPOSE_LIMIT)
		diag_error(f->diag, (Where){0},
		    "--expose meets %d layers; at most %d can be looked at at once", f->model->exposed.n,
		    EXPOSE_LIMIT);
}
