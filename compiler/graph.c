/* graph: building. Nodes are appended in an order in which each reads only what stands before it.
 */
#include "ir.h"
#include "op.h"

Graph *graph_new(Arena *a, Diag *d, int64_t batch, Mode mode)
{
	Graph *g = NEW(a, Graph);
	g->arena = a;
	g->diag = d;
	g->batch = batch;
	g->mode = mode;
	map_init(&g->read, a);
	return g;
}

void graph_at(Graph *g, const char *layer, Where where)
{
	g->layer = layer;
	g->where = where;
}

static Node *add_node(Graph *g, NodeKind kind, Value *const *in, int nin)
{
	Node *n = NEW(g->arena, Node);
	n->kind = kind;
	n->id = g->next_id++;
	n->layer = g->layer;
	n->where = g->where;
	n->nin = nin;
	n->in = NEWS(g->arena, Value *, MAX(nin, 1));
	for (int i = 0; i < nin; i++) {
		n->in[i] = in[i];
		if (in[i] && in[i]->node->poisoned) n->poisoned = true;
	}
	n->place = g->node.n;
	vec_push(g->arena, g->node, n);
	return n;
}

/* The node that reads s; NULL: none, or it is not among the nodes, as when they are put in order
 * anew. */
static Node *find_read(const Graph *g, const State *s)
{
	Node *n = map_get(&g->read, &s, sizeof s);
	if (!n || (n->place < g->node.n && g->node.at[n->place] == n)) return n;
	for (int i = 0; i < g->node.n; i++)
		if (g->node.at[i]->kind == NODE_READ && g->node.at[i]->state == s) return g->node.at[i];
	return NULL;
}

static Value *add_result(Graph *g, Node *n, Type type, Shape shape)
{
	Value *v = NEW(g->arena, Value);
	v->node = n;
	v->index = n->nout;
	v->type = type;
	v->shape = shape;
	n->out[n->nout++] = v;
	return v;
}

Value *graph_input(Graph *g, const char *name, int slot, Type type, Shape shape)
{
	Node *n = add_node(g, NODE_INPUT, NULL, 0);
	n->name = name;
	n->slot = slot;
	return add_result(g, n, type, shape);
}

Value *graph_constant(Graph *g, const char *name, Shape shape, const double *table)
{
	Node *n = add_node(g, NODE_CONSTANT, NULL, 0);
	n->name = name;
	n->table = table;
	return add_result(g, n, TYPE_REAL, shape);
}

Value *graph_read(Graph *g, State *s)
{
	Node *n = find_read(g, s);
	if (n) return n->out[0]; /* one read of a state serves all */
	n = add_node(g, NODE_READ, NULL, 0);
	map_put(&g->read, &s, sizeof s, n);
	n->state = s;
	n->name = s->name;
	return add_result(g, n, TYPE_REAL, s->shape);
}

void graph_assign(Graph *g, State *s, Value *next)
{
	Node *n = add_node(g, NODE_ASSIGN, &next, 1);
	n->state = s;
	n->name = s->name;
}

void graph_output(Graph *g, const char *name, OutputKind kind, int slot, State *of, Value *v)
{
	Node *n = add_node(g, NODE_OUTPUT, &v, 1);
	n->name = name;
	n->output = kind;
	n->slot = slot;
	n->state = of;
}

Node *graph_op(Graph *g, const OpDesc *op, Value *const *in, int nin, const AttrValue *attr)
{
	Node *n = add_node(g, NODE_OP, in, nin);
	n->op = op;
	AttrValue *own = graph_attrs(g->arena, op);
	for (int i = 0; attr && op->attr && op->attr[i].name; i++) own[i] = attr[i];
	n->attr = own;
	if (nin < op->min_in || nin > op->max_in)
		bug("%s takes %d to %d operands, got %d", op->name, op->min_in, op->max_in, nin);
	bool good = !n->poisoned && op->infer(g, n);
	if (!good) {
		n->poisoned = true;
		n->nout = 0;
		for (int k = 0; k < MAX_OUT; k++) add_result(g, n, TYPE_REAL, (Shape){0});
	} else if (n->nout == 0) {
		bug("%s infers no result", op->name);
	}
	return n;
}

Shape shape_of(int rank, ...)
{
	if (rank < 0 || rank > MAX_RANK) bug("a shape of rank %d", rank);
	Shape s = {.rank = rank};
	va_list args;
	va_start(args, rank);
	for (int i = 0; i < rank; i++) s.dim[i] = va_arg(args, int64_t);
	va_end(args);
	return s;
}

int64_t shape_count(Shape s)
{
	int64_t n = 1;
	for (int i = 0; i < s.rank; i++)
		if (!mul_fits(n, s.dim[i], &n)) bug("a shape whose size does not fit 64 bits");
	return n;
}

bool shape_same(Shape a, Shape b)
{
	if (a.rank != b.rank) return false;
	for (int i = 0; i < a.rank; i++)
		if (a.dim[i] != b.dim[i]) return false;
	return true;
}

const char *shape_text(Arena *a, Shape s)
{
	if (s.rank == 0) return "scalar";
	Text t;
	text_init(&t, a);
	for (int i = 0; i < s.rank; i++) text_printf(&t, "%s%lld", i ? "x" : "", (long long)s.dim[i]);
	return t.data;
}

const char *value_text(Arena *a, const Value *v)
{
	const Node *n = v->node;
	const char *what = n->kind == NODE_OP ? n->op->name : n->name ? n->name : "value";
	const char *which = v->index ? arena_printf(a, ".%d", v->index) : "";
	return arena_printf(a, "%%%d%s %s[%s]", n->id, which, what, shape_text(a, v->shape));
}
