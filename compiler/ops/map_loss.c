/* map_loss: the discriminative criterion of LeCun et al. 1998, equation 9 (maximum a posteriori):
 *
 *   E = 1/P sum over p of ( y[label] + log( e^-j + sum over i of e^-y[i] ) )
 *
 * with y >= 0 the penalties of the classes, as rbf gives them. It pulls the right class's penalty
 * down and pushes the others up; j > 0 is the penalty of a rubbish class, which keeps those that
 * are large already from being pushed further. With z = -y this is cross entropy over one class
 * more, of the constant z = -j, that is never right: nests, numerics and gradient are
 * class_loss.c's:
 *
 *   dE/dy[i] = ( [i = label] - e^-y[i] / (e^-j + sum of e^-y) ) / P */
#include <math.h>

#include "class_loss.h"

static ClassLoss loss_of(double j)
{
	return (ClassLoss){.sign = -1, .has_floor = true, .floor = -j};
}

static void loss_lower(Lower *l, const Node *n)
{
	ClassLoss c = loss_of(attr_real(n, "j"));
	class_loss_lower(l, n, &c);
}

static void loss_gradient(Grad *grad, const Node *n)
{
	class_loss_gradient(grad, n, &op_map_loss_dx);
}

/* The equation with e^-least taken out of the bracket. */
static void loss_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t P = n->in[0]->shape.dim[0], C = n->in[0]->shape.dim[1];
	double j = attr_real(n, "j"), total = 0;
	for (int64_t p = 0; p < P; p++) {
		const double *y = in[0] + p * C;
		double least = j, sum;
		for (int64_t i = 0; i < C; i++) least = fmin(least, y[i]);
		sum = exp(least - j);
		for (int64_t i = 0; i < C; i++) sum += exp(least - y[i]);
		out[1][p] = -least;
		out[2][p] = log(sum);
		total += y[(int64_t)in[1][p]] - least + log(sum);
	}
	out[0][0] = total / (double)P;
}

static const Attr loss_attrs[] = {{.name = "j",
                                      .type = ATTR_REAL,
                                      .value = 0.1,
                                      .min = 0,
                                      .max = 1e6,
                                      .position = 1,
                                      .doc = "the penalty of the rubbish class"},
    {.name = NULL}};

const OpDesc op_map_loss = {
    .name = "map_loss",
    .doc = "The discriminative loss of LeCun et al. 1998, equation 9, of penalties against labels.",
    .flags = OP_METHOD | OP_LOSS,
    .min_in = 2,
    .max_in = 2,
    .attr = loss_attrs,
    .infer = class_loss_infer,
    .lower = loss_lower,
    .gradient = loss_gradient,
    .reference = loss_reference,
    .operands = "y label",
    .samples = "y=1x2 label=1<2\ny=3x10 label=3<10\ny=2x17 label=2<17 | j=2\n"
               "y=5x20>0 label=5<20 | j=0",
};

/* --- gradient ----------------------------------------------------------------------------- */

static void dx_lower(Lower *l, const Node *n)
{
	ClassLoss c = loss_of(0); /* j is in the kept sums */
	class_loss_dx_lower(l, n, &c);
}

static void dx_reference(const Node *n, const double *const *in, double *const *out)
{
	int64_t P = n->in[0]->shape.dim[0], C = n->in[0]->shape.dim[1];
	for (int64_t p = 0; p < P; p++)
		for (int64_t i = 0; i < C; i++) {
			double likely = exp(-in[0][p * C + i] - in[2][p] - in[3][p]);
			double right = (double)i == in[1][p] ? 1 : 0;
			out[0][p * C + i] = (right - likely) * in[4][0] / (double)P;
		}
}

const OpDesc op_map_loss_dx = {
    .name = "map_loss_dx",
    .doc = "Gradient of map_loss by the penalties.",
    .flags = OP_GRADIENT_ONLY,
    .min_in = 5,
    .max_in = 5,
    .infer = class_loss_dx_infer,
    .lower = dx_lower,
    .reference = dx_reference,
    .operands = "y label peak log_sum dloss",
    .samples = "y=1x2 label=1<2 peak=1 log_sum=1 dloss=\n"
               "y=3x10 label=3<10 peak=3 log_sum=3 dloss=\n"
               "y=2x17 label=2<17 peak=2 log_sum=2 dloss=",
};
