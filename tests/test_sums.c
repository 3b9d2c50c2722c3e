/* Long sums in float: thousands of numbers of one sign, whose sum in one accumulator would be off
 * by hundreds of roundings. emit/partial.c sums them in parts; what comes out is held against
 * double. */
#define _POSIX_C_SOURCE 200809L
#include "entries.h"
#include "machine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const double gate = 2e-6; /* relative, in L2, a tensor: some thirty roundings */

/* Pixels about 1, whose deviations are small; statistics begin at 0. */
static void set_numbers(Net *net)
{
	const Shape *s = &net->model->input.at[0]->out[0]->shape;
	int64_t count = net->most * s->dim[1] * s->dim[2] * s->dim[3];
	for (int64_t i = 0; i < count; i++)
		net->input[0][i] = (double)(float)(1 + 0.25 * net->input[0][i]);
	for (int i = 0; i < net->model->state.n; i++) {
		const State *b = net->model->state.at[i];
		for (int64_t e = 0; e < shape_count(b->shape) && b->kind == STATE_BUFFER; e++)
			net->vars[b->offset + e] = 0;
	}
}

static const Tensor *tensor_named(const Results *r, const char *name)
{
	for (int i = 0; i < r->tensor.n; i++)
		if (!strcmp(r->tensor.at[i].name, name)) return &r->tensor.at[i];
	fail_msg("no %s", name);
	return NULL;
}

static double distance(const Tensor *got, const Tensor *want)
{
	double square = 0, size = 0;
	for (int64_t i = 0; i < want->count; i++) {
		square += (got->at[i] - want->at[i]) * (got->at[i] - want->at[i]);
		size += want->at[i] * want->at[i];
	}
	return sqrt(square / size);
}

static void check_sums(const char *target, const char *compiler)
{
	static const char *const names[] = {"norm.running_mean after the update",
	    "norm.running_var after the update", "gradient of conv.weight", "gradient of conv.bias"};
	jmp_buf out_of_memory;
	Net net;
	Results got;
	Arena *a = arena_new(0);
	if (!target_runs(target)) skip();
	if (!a || setjmp(out_of_memory)) fail_msg("out of memory");
	arena_guard(a, &out_of_memory);
	const NetSpec spec = {"tests/networks/sums.lua", NULL, target, .infer = {1, 0}, .train = 2};
	const char *wrong = net_open(&net, a, &spec);
	if (wrong) fail_msg("%s", wrong);
	set_numbers(&net);
	const Results want = net_oracles(&net, a, 0, 0);
	wrong = net_c(&net, a, compiler, &got, NULL);
	if (wrong) fail_msg("%s", wrong);
	for (int i = 0; i < COUNT(names); i++) {
		double far = distance(tensor_named(&got, names[i]), tensor_named(&want, names[i]));
		if (!(far <= gate)) fail_msg("%s, %s: %.2g, more than %.2g", target, names[i], far, gate);
	}
	arena_free(a);
}

static void plain_sums_are_exact(void **state)
{
	(void)state;
	check_sums("generic", NULL);
}

static void vectors_sums_are_exact(void **state)
{
	(void)state;
	check_sums("avx2", "cc -O1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain_sums_are_exact),
	    cmocka_unit_test(vectors_sums_are_exact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
