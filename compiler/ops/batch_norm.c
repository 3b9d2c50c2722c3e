/* batch_norm: y = (x - mean)/sqrt(variance + eps) * weight + bias, channel by channel (Ioffe,
 * Szegedy 2015).
 *
 * What mean and variance are depends on the mode, so the node is replaced when a graph is
 * instanced:
 *
 *   inference   the running ones. Two maps over [C] make scale = weight/sqrt(variance + eps) and
 *               shift = bias - mean*scale; y = x*scale + shift is one map over x (map_scale_shift),
 *               the form that a convolution or dense layer before it absorbs. A frozen layer stays
 *               in this form in training.
 *
 *   training    those of the batch: batch_norm_train. The running ones move towards them:
 *               running = (1 - momentum) running + momentum batch, the variance unbiased (divided
 *               by M - 1, not M), as PyTorch has it. Normalising itself takes the biased one.
 *
 * The node as it stands means inference; so do its lower, reference and gradient:
 *   dx = dy*scale;  dweight = sum dy*(x - mean)/sqrt(variance + eps);  dbias = sum dy;
 * no gradient flows to the running statistics, which are no weights. */
#include <math.h>

#include "batch_norm.h"

enum { X, WEIGHT, BIAS, MEAN, VARIANCE, OPERANDS }; /* of batch_norm */

bool norm_check(Graph *g, Node *n, int x, int first, int last)
{
	if (!infer_begin(g, n)) return false;
	Shape shape = n->in[x]->shape;
	if (shape.rank < 2)
		return infer_error(g, n, "input is %s, batch norm expects batch x channels and then any",
		    shape_text(g->arena, shape));
	for (int i = first; i < last; i++)
		if (!shape_same(n->in[i]->shape, shape_of(1, shape.dim[1])))
			return infer_error(g, n, "input has %lld channels, operand %d is %s",
			    (long long)shape.dim[1], i + 1, shape_text(g->arena, n->in[i]->shape));
	return true;
}

int norm_dims(Nest *nest, const Shape *x, bool per_channel, Index *at)
{
	static const char *const image[] = {"n", "c", "h", "w"}, *const line[] = {"n", "c", "w"};
	const char *const *names = x->rank == 3 ? line : image;
	int c = per_channel ? nest_dim(nest, "c", x->dim[1], false) : -1;
	for (int d = 0; d < x->rank; d++) {
		int dim = d == 1 && per_channel ? c : nest_dim(nest, names[d], x->dim[d], per_channel);
		if (d == 1) c = dim;
		at[d] = index_var(dim);
	}
	return c;
}

Expr *norm_load(Lower *l, Nest *nest, const char *as, const Value *v, int c)
{
	return e_load(lower_arena(l), lower_load(l, nest, as, v, (Index[]){index_var(c)}));
}

/* w/sqrt(variance + eps) as one division. */
static Expr *divided(Arena *a, Expr *w, Expr *variance, double eps)
{
	Expr *deviation = e_call(a, FN_SQRT, e_op(a, E_ADD, variance, e_num(a, eps)), NULL);
	return e_op(a, E_DIV, w, deviation);
}

Expr *norm_inverse(Arena *a, const Node *n, Expr *variance)
{
	return divided(a, e_num(a, 1), variance, attr_real(n, "eps"));
}

int64_t norm_count(const Shape *x) { return shape_count(*x) / x->dim[1]; }

int64_t norm_channel(const Shape *x, int64_t i)
{
	int64_t plane = shape_count(*x) / (x->dim[0] * x->dim[1]);
	return i / plane % x->dim[1];
}

/* --- bodies. In a gradient of operands 0..k-1: x[k] is the result, x[k+1] is dy. ----------- */

static Expr *scale_shift_value(Arena *a, Expr *const *x, const double *p)
{
	(void)p;
	return e_op(a, E_ADD, e_op(a, E_MUL, x[0], x[1]), x[2]);
}

static Expr *scale_shift_dx(Arena *a, Expr *const *x, const double *p)
{
	(void)p;
	return e_op(a, E_MUL, x[4], x[1]);
}

static Expr *scale_shift_dscale(Arena *a, Expr *const *x, const double *p)
{
	(void)p;
	return e_op(a, E_MUL, x[4], x[0]);
}

static Expr *scale_shift_dshift(Arena *a, Expr *const *x, const double *p)
{
	(void)a;
	(void)p;
	return x[4];
}

const MapExpr map_scale_shift = {
    .name = "scale_shift",
    .operands = 3,
    .value = scale_shift_value,
    .gradient = {{scale_shift_dx, 1u << 1 | 1u << 4}, {scale_shift_dscale, 1u << 0 | 1u << 4},
        {scale_shift_dshift, 1u << 4}},
};

/* scale = weight/sqrt(variance + eps); the variance is no weight. p: eps. */
static Expr *scale_value(Arena *a, Expr *const *x, const double *p)
{
	return divided(a, x[0], x[1], p[0]);
}

static Expr *scale_dweight(Arena *a, Expr *const *x, const double *p)
{
	return divided(a, x[3], x[1], p[0]);
}

static const MapExpr norm_scale = {
    .name = "batch_norm_scale",
    .operands = 2,
    .value = scale_value,
    .gradient = {{scale_dweight, 1u << 1 | 1u << 3}},
};

/* shift = bias - mean*scale; the mean is no weight. */
static Expr *shift_value(Arena *a, Expr *const *x, const double *p)
{
	(void)p;
	return e_op(a, E_SUB, x[0], e_op(a, E_MUL, x[1], x[2]));
}

static Expr *shift_dbias(Arena *a, Expr *const *x, const double *p)
{
	(void)a;
	(void)p;
	return x[4];
}

static Expr *shift_dscale(Arena *a, Expr *const *x, const double *p)
{
	(void)p;
	return e_op(a, E_SUB, e_num(a, 0), e_op(a, E_MUL, x[4], x[1]));
}

static const MapExpr norm_shift = {
    .name = "batch_norm_shift",
    .operands = 3,
    .value = shift_value,
    .gradient = {{shift_dbias, 1u << 4}, {NULL, 0}, {shift_dscale, 1u << 1 | 1u << 4}},
};

/* (x - mean)/sqrt(variance + eps), and a product: for the gradient only. */
static Expr *centred_value(Arena *a, Expr *const *x, const double *p)
{
	return divided(a, e_op(a, E_SUB, x[0], x[1]), x[2], p[0]);
}

static const MapExpr centred = {.name = "batch_norm_hat", .operands = 3, .value = centred_value};

static Expr *product_value(Arena *a, Expr *const *x, const double *p)
{
	(void)p;
	return e_op(a, E_MUL, x[0], x[1]);
}

static const MapExpr product = {.name = "product", .operands = 2, .value = product_value};

/* The next running statistic: (1 - p0) old + p0 p1 batch. No gradient flows here. */
static Expr *running_value(Arena *a, Expr *const *x, const double *p)
{
	Expr *kept = e_op(a, E_MUL, e_num(a, 1 - p[0]), x[0]);
	return e_op(a, E_ADD, kept, e_op(a, E_MUL, e_num(a, p[0] * p[1]), x[1]));
}

static const MapExpr running = {.name = "running", .operands = 2, .value = running_value};

/* --- by mode ------------------------------------------------------------------------------- */

static Value *inference(Graph *g, const Node *n, Value *const *in)
{
	double eps = attr_real(n, "eps");
	Value *scale = graph_map(g, &norm_scale, (Value *[]){in[WEIGHT], in[VARIANCE]}, 2, &eps, 1);
	Value *shift = graph_map(g, &norm_shift, (Value *[]){in[BIAS], in[MEAN], scale}, 3, NULL, 0);
	return graph_map(g, &map_scale_shift, (Value *[]){in[X], scale, shift}, 3, NULL, 0);
}

/* The node that assigns s, taken out of the order so that it can follow a new value; or NULL. */
static Node *assign_of(Graph *g, const State *s)
{
	for (int i = 0; i < g->node.n; i++) {
		Node *n = g->node.at[i];
		if (n->kind != NODE_ASSIGN || n->state != s) continue;
		for (int k = i; k + 1 < g->node.n; k++) g->node.at[k] = g->node.at[k + 1];
		g->node.n--;
		return n;
	}
	return NULL;
}

/* Assigns s its next value. A shared layer moves its statistics once for each use, one after
 * another, but a state has one assign: it then takes the last value. */
static void move_running(Graph *g, State *s, Value *old, Value *batch, const double *p)
{
	if (!s) return;
	Node *earlier = assign_of(g, s);
	if (earlier) old = earlier->in[0];
	Value *next = graph_map(g, &running, (Value *[]){old, batch}, 2, p, 2);
	if (!earlier) {
		graph_assign(g, s, next);
		return;
	}
	earlier->in[0] = next;
	vec_push(g->arena, g->node, earlier);
}

static Value *training(Expand *x, const Node *n)
{
	Graph *g = x->graph;
	AttrValue *attr = attrs_like(g->arena, &op_batch_norm_train, n);
	Node *train = graph_op(g, &op_batch_norm_train, x->in, 3, attr);
	if (train->poisoned) return train->out[0];
	double count = (double)norm_count(&x->in[X]->shape), momentum = attr_real(n, "momentum");
	double as_is[] = {momentum, 1}, unbiased[] = {momentum, count / (count - 1)};
	move_running(g, x->state[MEAN], x->in[MEAN], train->out[1], as_is);
	move_running(g, x->state[VARIANCE], x->in[VARIANCE], train->out[2], unbiased);
	return train->out[0];
}

/* A frozen layer keeps its statistics as well as its weights. */
static bool is_frozen(const Expand *x)
{
	const State *w = x->state[WEIGHT], *b = x->state[BIAS], *mean = x->state[MEAN];
	return (mean && mean->frozen) || (w && b && w->frozen && b->frozen);
}

static Value **norm_expand(Expand *x, Node *n)
{
	Value **y = NEWS(x->graph->arena, Value *, 1);
	bool fixed = x->mode == MODE_INFER || is_frozen(x);
	y[0] = fixed ? inference(x->graph, n, x->in) : training(x, n);
	return y;
}

/* --- the descriptor ------------------------------------------------------------------------ */

static int norm_states(Graph *g, Node *n, StateSpec *spec)
{
	if (!norm_check(g, n, X, 1, 1)) return -1;
	Shape channels = shape_of(1, n->in[X]->shape.dim[1]);
	Init zero = {INIT_CONSTANT, 0}, one = {INIT_CONSTANT, 1};
	spec[0] = (StateSpec){"weight", STATE_WEIGHT, channels, one};
	spec[1] = (StateSpec){"bias", STATE_WEIGHT, channels, zero};
	spec[2] = (StateSpec){"running_mean", STATE_BUFFER, channels, zero};
	spec[3] = (StateSpec){"running_var", STATE_BUFFER, channels, one};
	return 4;
}

static bool norm_infer(Graph *g, Node *n)
{
	return norm_check(g, n, X, 1, OPERANDS) && infer_out(g, n, 0, n->in[X]->shape, TYPE_REAL);
}

static void norm_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *shape = &n->in[X]->shape;
	Nest *nest = lower_nest(l, n, "batch_norm");
	Index at[MAX_RANK];
	Affine to[MAX_RANK];
	int c = norm_dims(nest, shape, false, at);
	for (int d = 0; d < shape->rank; d++) to[d] = at[d].a;
	Expr *x = e_load(a, lower_load(l, nest, "x", n->in[X], at));
	Expr *w = norm_load(l, nest, "w", n->in[WEIGHT], c),
	     *b = norm_load(l, nest, "b", n->in[BIAS], c);
	Expr *mean = norm_load(l, nest, "mean", n->in[MEAN], c);
	Expr *variance = norm_load(l, nest, "var", n->in[VARIANCE], c);
	Expr *scale = e_op(a, E_MUL, w, norm_inverse(a, n, variance));
	Expr *y = e_op(a, E_ADD, e_op(a, E_MUL, e_op(a, E_SUB, x, mean), scale), b);
	lower_store(l, nest, "y", n->out[0], to, y);
}

static void norm_gradient(Grad *grad, const Node *n)
{
	Graph *g = grad_graph(grad);
	Value *dy = grad_of(grad, n, 0), *const *in = n->in;
	if (!dy) return;
	double eps = attr_real(n, "eps");
	if (grad_wanted(grad, n, X)) {
		Value *scale = graph_map(g, &norm_scale, (Value *[]){in[WEIGHT], in[VARIANCE]}, 2, &eps, 1);
		grad_add(grad, n, X, graph_map(g, &product, (Value *[]){dy, scale}, 2, NULL, 0));
	}
	if (grad_wanted(grad, n, WEIGHT)) {
		Value *hat = graph_map(g, &centred, (Value *[]){in[X], in[MEAN], in[VARIANCE]}, 3, &eps, 1);
		Value *part = graph_map(g, &product, (Value *[]){dy, hat}, 2, NULL, 0);
		grad_add(grad, n, WEIGHT, graph_op(g, &op_channel_sum, &part, 1, NULL)->out[0]);
	}
	if (grad_wanted(grad, n, BIAS))
		grad_add(grad, n, BIAS, graph_op(g, &op_channel_sum, &dy, 1, NULL)->out[0]);
}

static void norm_reference(const Node *n, const double *const *in, double *const *out)
{
	const Shape *x = &n->in[X]->shape;
	double eps = attr_real(n, "eps");
	for (int64_t i = 0; i < shape_count(*x); i++) {
		int64_t c = norm_channel(x, i);
		double hat = (in[X][i] - in[MEAN][c]) / sqrt(in[VARIANCE][c] + eps);
		out[0][i] = hat * in[WEIGHT][c] + in[BIAS][c];
	}
}

static Cost norm_cost(const Node *n)
{
	const Shape *x = &n->in[X]->shape;
	int64_t elements = shape_count(*x) / x->dim[0];
	return (Cost){.connections = 2 * elements, .macs = elements, .parameters = 2 * x->dim[1]};
}

static const Attr norm_attrs[] = {
    ATTR_EPS,
    {.name = "momentum",
        .type = ATTR_REAL,
        .value = 0.1,
        .min = 0,
        .max = 1,
        .doc = "how far the running statistics move towards a batch's in each training step"},
    ATTR_END,
};

const OpDesc op_batch_norm = {
    .name = "batch_norm",
    .doc = "Each channel brought to mean 0 and variance 1, then scaled and shifted by learned "
           "numbers.",
    .flags = OP_METHOD | OP_STATEFUL,
    .min_in = OPERANDS,
    .max_in = OPERANDS,
    .states = 4,
    .attr = norm_attrs,
    .state_specs = norm_states,
    .infer = norm_infer,
    .expand = norm_expand,
    .lower = norm_lower,
    .gradient = norm_gradient,
    .reference = norm_reference,
    .cost = norm_cost,
    .operands = "x w b mean var",
    .samples = "x=1x1x2x3 w=1 b=1 mean=1 var=1>0\n"
               "x=2x17x4x5 w=17 b=17 mean=17 var=17>0\n"
               "x=2x17x7 w=17 b=17 mean=17 var=17>0\n"
               "x=3x20 w=20 b=20 mean=20 var=20>0 | eps=0.01\n"
               "x=1x32x3x3 w=32 b=32 mean=32 var=32>0 | eps=0.001 momentum=0.5",
};
