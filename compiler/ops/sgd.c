/* sgd: stochastic gradient descent with momentum and decay, in PyTorch's form:
 *
 *   d = g + decay w;  v' = momentum v + d;  w' = w - rate v'
 *   nesterov:                               w' = w - rate (d + momentum v')
 *
 * One nest over the weight's elements with two stores. */
#include "optimizer.h"

static int sgd_slots(Graph *g, Node *n, StateSpec *spec)
{
	static const char *const names[] = {"momentum_buffer"};
	(void)g;
	return optimizer_slots(n, names, COUNT(names), spec);
}

static void sgd_lower(Lower *l, const Node *n)
{
	Arena *a = lower_arena(l);
	const Shape *shape = &n->in[OPT_W]->shape;
	Nest *nest = lower_nest(l, n, "sgd");
	map_dims(nest, shape);
	Expr *rate = hyper_load(l, nest, n, "rate");
	Expr *momentum = hyper_load(l, nest, n, "momentum");
	Expr *decay = hyper_load(l, nest, n, "decay");
	Expr *w = map_load(l, nest, "w", n->in[OPT_W], shape);
	Expr *g = map_load(l, nest, "g", n->in[OPT_G], shape);
	Expr *v = map_load(l, nest, "v", n->in[OPT_SLOT], shape);
	Expr *d = e_plus(a, g, e_times(a, decay, w));
	Expr *next = e_plus(a, e_times(a, momentum, v), d), *step = next;
	if (attr_bool(n, "nesterov")) step = e_plus(a, d, e_times(a, momentum, next));
	nest->inplace = true;
	map_store(l, nest, "w", n->out[0], e_minus(a, w, e_times(a, rate, step)));
	map_store(l, nest, "v", n->out[1], next);
}

static void sgd_reference(const Node *n, const double *const *in, double *const *out)
{
	const double *w = in[OPT_W], *g = in[OPT_G], *v = in[OPT_SLOT], *hyper = in[OPT_HYPER];
	double rate = hyper[0], momentum = hyper[1], decay = hyper[2];
	for (int64_t e = 0; e < shape_count(n->in[OPT_W]->shape); e++) {
		double d = g[e] + decay * w[e];
		out[1][e] = momentum * v[e] + d;
		double step = attr_bool(n, "nesterov") ? d + momentum * out[1][e] : out[1][e];
		out[0][e] = w[e] - rate * step;
	}
}

static const Attr sgd_attrs[] = {RATE_ATTR(0.01),
    {.name = "momentum",
        .type = ATTR_REAL,
        .max = 0.9999999,
        .argument = true,
        .doc = "how much of the last step goes on"},
    DECAY_ATTR,
    {.name = "nesterov", .type = ATTR_BOOL, .doc = "look ahead by the momentum, as Nesterov does"},
    CLIP_ATTRS, {.name = NULL}};

const OpDesc op_sgd = {
    .name = "sgd",
    .doc = "Stochastic gradient descent with momentum and weight decay.",
    .flags = OP_OPTIMIZER | OP_ROWS,
    .min_in = 4,
    .max_in = 4,
    .states = 1,
    .attr = sgd_attrs,
    .state_specs = sgd_slots,
    .infer = optimizer_infer,
    .lower = sgd_lower,
    .reference = sgd_reference,
    .operands = "w g hyper v",
    .samples = "w=6x1x5x5 g=6x1x5x5 hyper=4>0 v=6x1x5x5\n"
               "w=17 g=17 hyper=4>0 v=17\n"
               "w=10x84 g=10x84 hyper=4>0 v=10x84 | nesterov=true\n"
               "w=16x20x3x3 g=16x20x3x3 hyper=4>0 v=16x20x3x3",
};
