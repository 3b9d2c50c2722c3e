/* adam: Kingma, Ba 2014, in PyTorch's form; t counts steps from 1.
 *
 *   d = g + decay w
 *   m' = beta1 m + (1 - beta1) d;  v' = beta2 v + (1 - beta2) d^2
 *   w' = w - rate/(1 - beta1^t) * m' / ( sqrt(v')/sqrt(1 - beta2^t) + eps )
 *
 * decoupled (AdamW; Loshchilov, Hutter 2017): d = g, and w is first multiplied with 1 - rate decay.
 *
 * The two corrections are the same for all elements: a nest of one point computes them. In float
 * 1 - beta^t would lose most of its digits where beta^t is close to 1; with u = -t log(beta),
 * 1 - e^-u = 2h/(1 + h) for h = tanh(u/2), which loses none. */
#include <math.h>

#include "optimizer.h"

enum { SLOT_M = OPT_SLOT, SLOT_V };

static const double least_beta = 1e-30; /* beta = 0 has no logarithm; this is as good */
#define most_beta 0.9999999             /* below 1 as a float, too */

static int adam_slots(Graph *g, Node *n, StateSpec *spec)
{
	static const char *const names[] = {"exp_avg", "exp_avg_sq"};
	(void)g;
	return optimizer_slots(n, names, COUNT(names), spec);
}

/* 1 - beta^t */
static Expr *correction(Arena *a, Expr *beta, Expr *t)
{
	Expr *log_beta = e_call(a, FN_LOG, e_op(a, E_MAX, beta, e_num(a, least_beta)), NULL);
	Expr *half = e_times(a, e_num(a, -0.5), e_times(a, log_beta, t));
	Expr *h = e_call(a, FN_TANH, half, NULL);
	return e_over(a, e_times(a, e_num(a, 2), h), e_plus(a, e_num(a, 1), h));
}

/* step = rate/(1 - beta1^t), root = 1/sqrt(1 - beta2^t). */
static void lower_bias(Lower *l, const Node *n, const Value *step, const Value *root)
{
	Arena *a = lower_arena(l);
	Affine nowhere[MAX_RANK] = {{0}};
	Nest *nest = lower_nest(l, n, "adam_bias");
	Expr *rate = hyper_load(l, nest, n, "rate"), *t = step_load(l, nest, n);
	Expr *first = correction(a, hyper_load(l, nest, n, "beta1"), t);
	Expr *second = correction(a, hyper_load(l, nest, n, "beta2"), t);
	lower_store(l, nest, "step", step, nowhere, e_over(a, rate, first));
	Expr *deviation = e_call(a, FN_SQRT, second, NULL);
	lower_store(l, nest, "root", root, nowhere, e_over(a, e_num(a, 1), deviation));
}

static void lower_step(Lower *l, const Node *n, const Value *step, const Value *root)
{
	Arena *a = lower_arena(l);
	const Shape *shape = &n->in[OPT_W]->shape;
	Nest *nest = lower_nest(l, n, "adam");
	map_dims(nest, shape);
	Expr *rate = hyper_load(l, nest, n, "rate"), *decay = hyper_load(l, nest, n, "decay");
	Expr *beta1 = hyper_load(l, nest, n, "beta1"), *beta2 = hyper_load(l, nest, n, "beta2");
	Expr *one = e_num(a, 1);
	Expr *w = map_load(l, nest, "w", n->in[OPT_W], shape);
	Expr *d = map_load(l, nest, "g", n->in[OPT_G], shape);
	Expr *m = map_load(l, nest, "m", n->in[SLOT_M], shape);
	Expr *v = map_load(l, nest, "v", n->in[SLOT_V], shape);
	Expr *from = w;
	if (attr_bool(n, "decoupled"))
		from = e_times(a, w, e_minus(a, one, e_times(a, rate, decay)));
	else
		d = e_plus(a, d, e_times(a, decay, w));
	m = e_plus(a, e_times(a, beta1, m), e_times(a, e_minus(a, one, beta1), d));
	Expr *square = e_times(a, e_minus(a, one, beta2), e_times(a, d, d));
	v = e_plus(a, e_times(a, beta2, v), square);
	Expr *deviation =
	    e_times(a, e_call(a, FN_SQRT, v, NULL), map_load(l, nest, "root", root, shape));
	Expr *by = e_over(a, m, e_plus(a, deviation, e_num(a, attr_real(n, "eps"))));
	nest->inplace = true;
	Expr *size = map_load(l, nest, "step", step, shape);
	map_store(l, nest, "w", n->out[0], e_minus(a, from, e_times(a, size, by)));
	map_store(l, nest, "m", n->out[1], m);
	map_store(l, nest, "v", n->out[2], v);
}

static void adam_lower(Lower *l, const Node *n)
{
	Value *step = lower_temp(l, "step", (Shape){0}), *root = lower_temp(l, "root", (Shape){0});
	lower_bias(l, n, step, root);
	lower_step(l, n, step, root);
}

static void adam_reference(const Node *n, const double *const *in, double *const *out)
{
	const double *hyper = in[OPT_HYPER];
	double rate = hyper[0], beta1 = hyper[1], beta2 = hyper[2], decay = hyper[3];
	double t = hyper[n->in[OPT_HYPER]->shape.dim[0] - 1];
	double eps = attr_real(n, "eps");
	double first = -expm1(t * log(beta1)), second = -expm1(t * log(beta2));
	for (int64_t e = 0; e < shape_count(n->in[OPT_W]->shape); e++) {
		double w = in[OPT_W][e], d = in[OPT_G][e];
		if (attr_bool(n, "decoupled"))
			w -= rate * decay * w;
		else
			d += decay * w;
		out[1][e] = beta1 * in[SLOT_M][e] + (1 - beta1) * d;
		out[2][e] = beta2 * in[SLOT_V][e] + (1 - beta2) * d * d;
		double hat_m = out[1][e] / first, hat_v = out[2][e] / second;
		out[0][e] = w - rate * hat_m / (sqrt(hat_v) + eps);
	}
}

static const Attr adam_attrs[] = {RATE_ATTR(0.001),
    {.name = "beta1",
        .type = ATTR_REAL,
        .value = 0.9,
        .max = most_beta,
        .argument = true,
        .doc = "how slowly the running mean of the gradient forgets"},
    {.name = "beta2",
        .type = ATTR_REAL,
        .value = 0.999,
        .max = most_beta,
        .argument = true,
        .doc = "how slowly the running square of the gradient forgets"},
    DECAY_ATTR,
    {.name = "eps",
        .type = ATTR_REAL,
        .value = 1e-8,
        .max = 1,
        .doc = "added to the root of the running square"},
    {.name = "decoupled",
        .type = ATTR_BOOL,
        .doc = "weight decay beside the gradient, not within it: AdamW"},
    CLIP_ATTRS, {.name = NULL}};

const OpDesc op_adam = {
    .name = "adam",
    .doc = "Adam, or AdamW with decoupled = true.",
    .flags = OP_OPTIMIZER | OP_ROWS,
    .min_in = 5,
    .max_in = 5,
    .states = 2,
    .attr = adam_attrs,
    .state_specs = adam_slots,
    .infer = optimizer_infer,
    .lower = adam_lower,
    .reference = adam_reference,
    .operands = "w g hyper m v",
    .samples = "w=6x1x5x5 g=6x1x5x5 hyper=5>0 m=6x1x5x5 v=6x1x5x5>0\n"
               "w=17 g=17 hyper=5>0 m=17 v=17>0\n"
               "w=10x84 g=10x84 hyper=5>0 m=10x84 v=10x84>0 | decoupled=true\n"
               "w=16x20x3x3 g=16x20x3x3 hyper=5>0 m=16x20x3x3 v=16x20x3x3>0 | eps=0.001",
};
