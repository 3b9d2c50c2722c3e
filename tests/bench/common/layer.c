/* layer: shapes of layers from well-known networks, for the benchmarks. */
#include "layer.h"

/* name, input channels, output channels, input, kernel, stride, pad, groups. 1x1 of 1x1: dense. */
const char layer_table[] = "resnet_7x7s2     3   64 224x224   7x7 2 3x3 1\n"
                           "resnet_1x1_in   64   64  56x56    1x1 1 0x0 1\n"
                           "resnet_3x3@56   64   64  56x56    3x3 1 1x1 1\n"
                           "resnet_1x1_up   64  256  56x56    1x1 1 0x0 1\n"
                           "resnet_1x1_down 256  64  56x56    1x1 1 0x0 1\n"
                           "resnet_3x3s2   128  128  56x56    3x3 2 1x1 1\n"
                           "resnet_1x1s2   256  512  56x56    1x1 2 0x0 1\n"
                           "resnet_3x3@28  128  128  28x28    3x3 1 1x1 1\n"
                           "resnet_1x1@28  512  128  28x28    1x1 1 0x0 1\n"
                           "resnet_3x3@14  256  256  14x14    3x3 1 1x1 1\n"
                           "resnet_1x1@14 1024  256  14x14    1x1 1 0x0 1\n"
                           "resnet_3x3@7   512  512   7x7     3x3 1 1x1 1\n"
                           "resnet_1x1@7   512 2048   7x7     1x1 1 0x0 1\n"
                           "alexnet_11x11    3   96 227x227 11x11 4 0x0 1\n"
                           "alexnet_5x5g2   96  256  27x27    5x5 1 2x2 2\n"
                           "alexnet_3x3    256  384  13x13    3x3 1 1x1 1\n"
                           "inception_1x7  192  192  17x17    1x7 1 0x3 1\n"
                           "inception_5x5   48   64  35x35    5x5 1 2x2 1\n"
                           "googlenet_5x5   16   32  28x28    5x5 1 2x2 1\n"
                           "cifar_3x3in      3   16  32x32    3x3 1 1x1 1\n"
                           "cifar_3x3@32    16   16  32x32    3x3 1 1x1 1\n"
                           "cifar_3x3@8     64   64   8x8     3x3 1 1x1 1\n"
                           "lenet_c1         1    6  32x32    5x5 1 0x0 1\n"
                           "lenet_c2         6   16  14x14    5x5 1 0x0 1\n"
                           "lenet_fc       400  120   1x1     1x1 1 0x0 1\n"
                           "resnet_fc     2048 1000   1x1     1x1 1 0x0 1\n"
                           "alexnet_fc    9216 4096   1x1     1x1 1 0x0 1\n";

const char *const pass_names[PASSES] = {"forward", "data", "weights"};

bool layer_read(const char *line, Layer *y)
{
	long long v[10];
	int n = sscanf(line, "%63s %lld %lld %lldx%lld %lldx%lld %lld %lldx%lld %lld", y->name, &v[0],
	    &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9]);
	*y = (Layer){.ic = v[0],
	    .oc = v[1],
	    .in = {v[2], v[3]},
	    .kernel = {v[4], v[5]},
	    .stride = v[6],
	    .pad = {v[7], v[8]},
	    .groups = v[9]};
	return n == 11 && sscanf(line, "%63s", y->name) == 1;
}

bool layer_read_case(const char *words, Layer *y, int *pass, int64_t *batch)
{
	char name[16];
	long long size;
	int end = 0;
	if (sscanf(words, "%15s %lld %n", name, &size, &end) != 2 || size < 1) return false;
	for (*pass = 0; *pass < PASSES; ++*pass)
		if (!strcmp(name, pass_names[*pass])) break;
	*batch = size;
	return *pass < PASSES && layer_read(words + end, y);
}

const char *layer_text(Arena *a, const Layer *y)
{
	typedef long long N;
	return arena_printf(a, "%lld %lld %lldx%lld %lldx%lld %lld %lldx%lld %lld", (N)y->ic, (N)y->oc,
	    (N)y->in[0], (N)y->in[1], (N)y->kernel[0], (N)y->kernel[1], (N)y->stride, (N)y->pad[0],
	    (N)y->pad[1], (N)y->groups);
}

int64_t layer_out(const Layer *y, int d)
{
	return (y->in[d] + 2 * y->pad[d] - y->kernel[d]) / y->stride + 1;
}

bool layer_is_dense(const Layer *y) { return y->in[0] * y->in[1] * y->kernel[0] == 1; }
bool layer_is_image(const Layer *y) { return y->ic <= 3 && !layer_is_dense(y); }

double layer_flop(const Layer *y, int64_t batch)
{
	return 2.0 * (double)(batch * y->oc * layer_out(y, 0) * layer_out(y, 1)) *
	       (double)(y->ic / y->groups * y->kernel[0] * y->kernel[1]);
}

void layer_numbers(const Layer *y, int operand, float *x, int64_t n)
{
	enum { INPUT, WEIGHTS };
	bool negative = operand == WEIGHTS || (operand == INPUT && layer_is_image(y));
	for (int64_t i = 0; i < n; i++) {
		uint32_t h = (uint32_t)i + (uint32_t)(operand + 1) * 0x9e3779b9;
		h = (h ^ h >> 16) * 0x85ebca6b;
		h = (h ^ h >> 13) * 0xc2b2ae35;
		float value = (float)((h ^ h >> 16) >> 8) * 0x1p-23f - 1;
		x[i] = negative || value > 0 ? value : 0;
	}
}
