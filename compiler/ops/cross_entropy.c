/* cross_entropy: the mean over the batch of -log softmax(x)[label], from logits x [N, C] and labels
 * [N]; with `smoothing` e, of a target that is 1 - e + e/C at the label and e/C elsewhere (Szegedy
 * et al. 2015, section 7). Nests, numerics and gradient: class_loss.c. */
#include <math.h>

#include "class_loss.h"

static ClassLoss loss_of(const Node *n)
{
	return (ClassLoss){.sign = 1, .smoothing = attr_real(n, "smoothing")};
}

static void ce_lower(Lower *l, const Node *n)
{
	ClassLoss c = loss_of(n);
	class_loss_lower(l, n, &c);
}

static void ce_gradient(Grad *grad, const Node *n)
{
	class_loss_gradient(grad, n, &op_cross_entropy_dx);
}

static double target(double label, int64_t c, int64_t C, double smoothing)
{
	return ((double)c == label ? 1 - smoothing : 0) + smoothing / (double)C;
}

static void ce_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t N = n->in[0]->shape.dim[0], C = n->in[0]->shape.dim[1];
	double smoothing = attr_real(n, "smoothing"), total = 0;
	for (int64_t i = 0; i < N; i++) {
		const double *x = in[0] + i * C;
		double most = x[0], sum = 0, right = 0;
		for (int64_t c = 1; c < C; c++) most = fmax(most, x[c]);
		for (int64_t c = 0; c < C; c++) sum += exp(x[c] - most);
		for (int64_t c = 0; c < C; c++) {
			double t = target(in[1][i], c, C, smoothing);
			if (t != 0) right += t * x[c];
		}
		out[1][i] = most;
		out[2][i] = log(sum);
		total += most + log(sum) - right;
	}
	out[0][0] = total / (double)N;
}

#define ATTR_SMOOTHING                                                                             \
	{                                                                                              \
		.name = "smoothing", .type = ATTR_REAL, .value = 0, .min = 0, .max = 1,                    \
		.doc = "the share of the target that is spread evenly over all classes"                    \
	}

static const Attr ce_attrs[] = {ATTR_SMOOTHING, {.name = NULL}};

const OpDesc op_cross_entropy = {
    .name = "cross_entropy",
    .doc = "Softmax cross-entropy of logits against labels, the mean over the batch.",
    .flags = OP_METHOD | OP_LOSS,
    .min_in = 2,
    .max_in = 2,
    .attr = ce_attrs,
    .infer = class_loss_infer,
    .lower = ce_lower,
    .gradient = ce_gradient,
    .reference = ce_reference,
    .operands = "x label",
    .samples = "x=1x2 label=1<2\nx=3x10 label=3<10\nx=2x17 label=2<17\n"
               "x=5x20 label=5<20 | smoothing=0.1\nx=16x16 label=16<16",
};

/* --- gradient ----------------------------------------------------------------------------- */

static void dx_lower(Lower *l, const Node *n)
{
	ClassLoss c = loss_of(n);
	class_loss_dx_lower(l, n, &c);
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t N = n->in[0]->shape.dim[0], C = n->in[0]->shape.dim[1];
	double smoothing = attr_real(n, "smoothing");
	for (int64_t i = 0; i < N; i++)
		for (int64_t c = 0; c < C; c++) {
			double p = exp(in[0][i * C + c] - in[2][i] - in[3][i]);
			double t = target(in[1][i], c, C, smoothing);
			out[0][i * C + c] = (p - t) * in[4][0] / (double)N;
		}
}

const OpDesc op_cross_entropy_dx = {
    .name = "cross_entropy_dx",
    .doc = "Gradient of cross_entropy by its logits: softmax less target, over the batch.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 5,
    .max_in = 5,
    .attr = ce_attrs,
    .infer = class_loss_dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "x label peak log_sum dloss",
    .samples = "x=1x2 label=1<2 peak=1 log_sum=1 dloss=\n"
               "x=3x10 label=3<10 peak=3 log_sum=3 dloss=\n"
               "x=2x17 label=2<17 peak=2 log_sum=2 dloss= | smoothing=0.1\n"
               "x=5x20 label=5<20 peak=5 log_sum=5 dloss=",
};
