/* map: y = body(in...), element by element; and map_grad, the gradient of such a body by one of its
 * operands. Every elementwise operator is one of these in all but name: its descriptor has the
 * body.
 *
 * Broadcasting. The result has the rank of its largest operand; operands of a smaller rank or of
 * size 1 are read again along the axes they lack. Dims match from the front (batch, channels, ...),
 * but a vector [C] runs along the channels. A nest has one space dim for each axis of the result,
 * and no reduction.
 *
 * Gradient. y = f(x0, x1, ...): dxi = dy * df/dxi, which the body gives as an expression of its
 * operands, of y and of dy, and of these reads only some: map_grad takes just those as operands, so
 * that the others may die. Where xi was broadcast, one element of it made several of y, and dxi is
 * the sum over them: graph_sum_to. */
#include "map.h"

const MapExpr *map_body(const Node *n)
{
	if (n->kind != NODE_OP || n->op->infer != map_infer) return NULL;
	for (int i = 0; n->op->attr && n->op->attr[i].name; i++)
		if (n->op->attr[i].type == ATTR_MAP && n->attr[i].map) return n->attr[i].map;
	return n->op->body;
}

void map_numbers(const Node *n, double p[MAP_NUMBERS])
{
	int count = 0;
	for (int i = 0; i < MAP_NUMBERS; i++) p[i] = 0;
	for (int i = 0; n->op->attr && n->op->attr[i].name; i++) {
		if (n->op->attr[i].type != ATTR_REAL) continue;
		if (count == MAP_NUMBERS) bug("%s has too many numbers", n->op->name);
		p[count++] = n->attr[i].r;
	}
}

/* --- broadcasting ------------------------------------------------------------------------- */

/* Sets the axis that dim d of operand k runs along; reports a size that fits no earlier operand's.
 */
static bool widen(Graph *g, Node *n, Shape *y, int *set_by, int k, int d)
{
	const Shape *x = &n->in[k]->shape;
	int axis = map_axis(x->rank, y->rank, d);
	if (x->dim[d] == 1 || x->dim[d] == y->dim[axis]) return true;
	if (y->dim[axis] == 1) {
		y->dim[axis] = x->dim[d];
		set_by[axis] = k;
		return true;
	}
	return infer_error(g, n,
	    "%s and %s do not go together: axis %d is %lld in one and %lld in the "
	    "other",
	    shape_text(g->arena, n->in[set_by[axis]]->shape), shape_text(g->arena, *x), axis,
	    (long long)y->dim[axis], (long long)x->dim[d]);
}

/* Lines and images are not broadcast: it is not said which side of the image a line has. */
static bool mixes_lines(Graph *g, Node *n)
{
	const Shape *line = NULL, *image = NULL;
	for (int k = 0; k < n->nin; k++) {
		if (n->in[k]->shape.rank == 3) line = &n->in[k]->shape;
		if (n->in[k]->shape.rank == 4) image = &n->in[k]->shape;
	}
	if (!line || !image) return false;
	infer_error(g, n, "%s and %s do not go together: lines have no height",
	    shape_text(g->arena, *line), shape_text(g->arena, *image));
	return true;
}

static bool infer_broadcast(Graph *g, Node *n)
{
	Shape y = {0};
	int set_by[MAX_RANK] = {0};
	if (mixes_lines(g, n)) return false;
	for (int k = 0; k < n->nin; k++) y.rank = MAX(y.rank, n->in[k]->shape.rank);
	for (int d = 0; d < y.rank; d++) y.dim[d] = 1;
	for (int k = 0; k < n->nin; k++)
		for (int d = 0; d < n->in[k]->shape.rank; d++)
			if (!widen(g, n, &y, set_by, k, d)) return false;
	return infer_out(g, n, 0, y, TYPE_REAL);
}

bool map_infer(Graph *g, Node *n)
{
	if (!infer_begin(g, n)) return false;
	const MapExpr *body = map_body(n);
	if (body->operands != n->nin)
		bug("%s takes %d operands, got %d", body->name, body->operands, n->nin);
	return infer_broadcast(g, n);
}

/* --- nests -------------------------------------------------------------------------------- */

const char *axis_name(int rank, int d)
{
	static const char *const image[] = {"n", "c", "h", "w"}, *const line[] = {"n", "c", "w"};
	return rank == 1 ? "a" : rank == 3 ? line[d] : image[d];
}

void map_dims(Nest *nest, const Shape *result)
{
	for (int d = 0; d < result->rank; d++)
		nest_dim(nest, axis_name(result->rank, d), result->dim[d], false);
}

Expr *map_load(Lower *l, Nest *nest, const char *as, const Value *v, const Shape *result)
{
	Arena *a = lower_arena(l);
	if (v->node && v->node->kind == NODE_CONSTANT && shape_count(v->shape) == 1)
		return e_num(a, v->node->table[0]);
	Index at[MAX_RANK] = {{.q = 1}};
	for (int d = 0; d < v->shape.rank; d++) {
		int axis = map_axis(v->shape.rank, result->rank, d);
		bool repeated = v->shape.dim[d] != result->dim[axis];
		at[d] = index_of(repeated ? affine_number(0) : affine_var(axis));
	}
	return e_load(a, lower_load(l, nest, as, v, at));
}

void map_store(Lower *l, Nest *nest, const char *as, const Value *v, Expr *e)
{
	Affine at[MAX_RANK] = {{0}};
	for (int d = 0; d < v->shape.rank; d++) at[d] = affine_var(d);
	lower_store(l, nest, as, v, at, e);
}

static const char *const operand_name[MAP_OPERANDS] = {"x", "b", "c", "d", "e", "f"};

void map_lower(Lower *l, const Node *n)
{
	const MapExpr *body = map_body(n);
	const Shape *y = &n->out[0]->shape;
	Nest *nest = lower_nest(l, n, body->name);
	double p[MAP_NUMBERS];
	Expr *x[MAP_OPERANDS];
	map_numbers(n, p);
	map_dims(nest, y);
	for (int k = 0; k < n->nin; k++) x[k] = map_load(l, nest, operand_name[k], n->in[k], y);
	map_store(l, nest, "y", n->out[0], body->value(lower_arena(l), x, p));
}

static void map_oracle(const Node *n, const double *const *in, double *const *out);

#define ATTR_BODY                                                                                  \
	{                                                                                              \
		.name = "body", .type = ATTR_MAP, .doc = "the function of each element"                    \
	}
#define ATTR_P(word) ATTR_ANY_REAL(word, 0, 0, "a number of the body")

static const Attr map_attrs[] = {
    ATTR_BODY, ATTR_P("p0"), ATTR_P("p1"), ATTR_P("p2"), ATTR_P("p3"), {.name = NULL}};

/* Without a body of its own, as in its samples, a map is x*scale + shift. */
const OpDesc op_map = {
    .name = "map",
    .doc = "A function of each element; made by other operators.",
    .min_in = 1,
    .max_in = MAP_OPERANDS,
    .attr = map_attrs,
    .body = &map_scale_shift,
    .infer = map_infer,
    .lower = map_lower,
    .gradient = map_gradient,
    .reference = map_oracle,
    .cheap = 1,
    .operands = "x scale shift",
    .samples = "x=2x17x3x5 scale=17 shift=17\n"
               "x=3x1x4x1 scale=1x6x1x5 shift=3x6\n"
               "x=3x10 scale=3x1 shift=\n"
               "x=1x20x4x4 scale=1 shift=1x20x1x1\n"
               "x=7 scale=7 shift=1\n"
               "x= scale= shift=",
};

/* --- gradient ----------------------------------------------------------------------------- */

/* The operands of a map_grad among x0.., y, dy. Returns how many. */
static int grad_leaves(const MapExpr *body, int by, int *leaf)
{
	int count = 0, dy = body->operands + 1;
	uint32_t reads = body->gradient[by].reads;
	if (!(reads >> dy & 1)) bug("%s: the gradient by operand %d reads no dy", body->name, by);
	for (int k = 0; k <= dy; k++)
		if (reads >> k & 1) leaf[count++] = k;
	return count;
}

static const MapExpr *grad_body(const Node *n, int *by)
{
	const MapExpr *body = n->attr[attr_index(n->op, "body")].map;
	*by = (int)attr_int(n, "by");
	return body ? body : n->op->body;
}

static bool grad_infer(Graph *g, Node *n)
{
	int by, leaf[MAP_OPERANDS + 2];
	const MapExpr *body = grad_body(n, &by);
	if (!infer_begin(g, n)) return false;
	if (!body->gradient[by].by || grad_leaves(body, by, leaf) != n->nin)
		bug("%s: no gradient by operand %d of %d values", body->name, by, n->nin);
	return infer_broadcast(g, n);
}

static void grad_lower(Lower *l, const Node *n)
{
	static const char *const extra[] = {"y", "dy"};
	Arena *a = lower_arena(l);
	int by, leaf[MAP_OPERANDS + 2];
	const MapExpr *body = grad_body(n, &by);
	const Shape *dx = &n->out[0]->shape;
	Nest *nest = lower_nest(l, n, arena_printf(a, "%s_grad", body->name));
	double p[MAP_NUMBERS];
	Expr *x[MAP_OPERANDS + 2] = {0};
	map_numbers(n, p);
	map_dims(nest, dx);
	grad_leaves(body, by, leaf);
	for (int k = 0; k < n->nin; k++) {
		int of = leaf[k] - body->operands;
		const char *as = of < 0 ? operand_name[leaf[k]] : extra[of];
		x[leaf[k]] = map_load(l, nest, as, n->in[k], dx);
	}
	map_store(l, nest, "dx", n->out[0], body->gradient[by].by(a, x, p));
}

/* Whether dxi is dy itself: no node is needed then. */
static bool passes_dy(Arena *a, const MapExpr *body, int by, const double *p)
{
	Expr *x[MAP_OPERANDS + 2];
	for (int k = 0; k < body->operands + 2; k++) x[k] = e_load(a, k);
	return body->gradient[by].by(a, x, p) == x[body->operands + 1];
}

static Value *map_derivative(Graph *g, const Node *n, int by, Value *dy)
{
	const MapExpr *body = map_body(n);
	int leaf[MAP_OPERANDS + 2], count = grad_leaves(body, by, leaf);
	double p[MAP_NUMBERS];
	map_numbers(n, p);
	if (passes_dy(g->arena, body, by, p)) return dy;
	Value *in[MAP_OPERANDS + 2];
	for (int k = 0; k < count; k++) {
		int of = leaf[k] - n->nin;
		in[k] = of < 0 ? n->in[leaf[k]] : of == 0 ? n->out[0] : dy;
	}
	AttrValue *attr = graph_attrs(g->arena, &op_map_grad);
	attr[attr_index(&op_map_grad, "body")].map = body;
	attr_set_int(&op_map_grad, attr, "by", by);
	int first = attr_index(&op_map_grad, "p0");
	for (int k = 0; k < MAP_NUMBERS; k++) attr[first + k].r = p[k];
	return graph_op(g, &op_map_grad, in, count, attr)->out[0];
}

void map_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	const MapExpr *body = map_body(n);
	Value *dy = grad_of(grad, n, 0);
	if (!dy) return;
	for (int i = 0; i < n->nin && i < MAP_DERIVATIVES; i++)
		if (body->gradient[i].by && grad_wanted(grad, n, i))
			grad_add(grad, n, i, graph_sum_to(g, map_derivative(g, n, i, dy), n->in[i]->shape));
}

static void grad_oracle(const Node *n, const double *const *in, double *const *out);

static const Attr grad_attrs[] = {ATTR_BODY,
    {.name = "by",
        .type = ATTR_INT,
        .min = 0,
        .max = MAP_DERIVATIVES - 1,
        .doc = "the operand whose gradient this is"},
    ATTR_P("p0"), ATTR_P("p1"), ATTR_P("p2"), ATTR_P("p3"), {.name = NULL}};

const OpDesc op_map_grad = {
    .name = "map_grad",
    .doc = "Gradient of an elementwise operator by one of its operands.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 1,
    .max_in = MAP_OPERANDS + 2,
    .attr = grad_attrs,
    .body = &map_scale_shift,
    .infer = grad_infer,
    .lower = grad_lower,
    .reference = grad_oracle,
    .operands = "a dy", /* what the body reads; of x*scale + shift: scale, or x, and dy */
    .samples = "a=17 dy=2x17x3x5\n"
               "a=3x6 dy=3x6x4x5 | by=1\n"
               "a= dy=3x10\n"
               "a=1x20x1x1 dy=1x20x4x4 | by=1",
};

/* --- oracles ------------------------------------------------------------------------------ */

/* The bodies are built anew, in an arena of their own, and walked by map_reference.c. */
static void run_oracle(const Node *n, const double *const *in, double *out, const MapExpr *body,
    Expr *(*build)(Arena *a, Expr *const *x, const double *p), const int *leaf)
{
	double p[MAP_NUMBERS];
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a) bug("out of memory in an oracle");
	if (setjmp(out_of_memory)) bug("out of memory in an oracle");
	arena_guard(a, &out_of_memory);
	Expr *x[MAP_OPERANDS + 2];
	for (int k = 0; k < body->operands + 2; k++) x[k] = e_load(a, k);
	map_numbers(n, p);
	map_reference_expr(n, in, out, build(a, x, p), leaf);
	arena_free(a);
}

static void map_oracle(const Node *n, const double *const *in, double *const *out)
{
	static const int leaf[] = {0, 1, 2, 3, 4, 5};
	const MapExpr *body = map_body(n);
	run_oracle(n, in, out[0], body, body->value, leaf);
}

static void grad_oracle(const Node *n, const double *const *in, double *const *out)
{
	int by, leaf[MAP_OPERANDS + 2];
	const MapExpr *body = grad_body(n, &by);
	grad_leaves(body, by, leaf);
	run_oracle(n, in, out[0], body, body->gradient[by].by, leaf);
}

/* --- building ----------------------------------------------------------------------------- */

Value *graph_map(Graph *g, const MapExpr *body, Value *const *in, int nin, const double *p, int np)
{
	if (np > MAP_NUMBERS) bug("%s has %d numbers", body->name, np);
	AttrValue *attr = graph_attrs(g->arena, &op_map);
	attr[attr_index(&op_map, "body")].map = body;
	int first = attr_index(&op_map, "p0");
	for (int k = 0; k < np; k++) attr[first + k].r = p[k];
	return graph_op(g, &op_map, in, nin, attr)->out[0];
}
