/* optimizer: see optimizer.h. */
#include "optimizer.h"

bool optimizer_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	Shape w = n->in[OPT_W]->shape;
	int64_t least = (int64_t)op_arguments(n->op) + 1, numbers = n->in[OPT_HYPER]->shape.dim[0];
	for (int k = 1; k < n->nin; k++) {
		Shape want = k == OPT_HYPER ? shape_of(1, MAX(numbers, least)) : w;
		if (!shape_same(n->in[k]->shape, want))
			return infer_error(g, n, "weight is %s, operand %d is %s, expected %s",
			    shape_text(g->arena, w), k + 1, shape_text(g->arena, n->in[k]->shape),
			    shape_text(g->arena, want));
	}
	for (int k = 0; k <= n->nin - OPT_SLOT; k++)
		if (!infer_out(g, n, k, w, TYPE_REAL)) return false;
	return true;
}

int optimizer_slots(Node *n, const char *const *names, int count, StateSpec *spec)
{
	Init zero = {INIT_CONSTANT, 0};
	for (int k = 0; k < count; k++)
		spec[k] = (StateSpec){names[k], STATE_SLOT, n->in[OPT_W]->shape, zero};
	return count;
}

static Expr *load_at(Lower *l, Nest *nest, const Node *n, int place)
{
	Index at[] = {index_of(affine_number(place))};
	return e_load(lower_arena(l), lower_load(l, nest, "hyper", n->in[OPT_HYPER], at));
}

Expr *hyper_load(Lower *l, Nest *nest, const Node *n, const char *name)
{
	int index = attr_index(n->op, name), place = 0;
	if (!n->op->attr[index].argument) bug("%s: %s is no argument", n->op->name, name);
	while (op_argument(n->op, place) != index) place++;
	return load_at(l, nest, n, place);
}

Expr *step_load(Lower *l, Nest *nest, const Node *n)
{
	return load_at(l, nest, n, (int)n->in[OPT_HYPER]->shape.dim[0] - 1);
}
