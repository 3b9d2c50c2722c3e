/* Operators against PyTorch's numbers, in double: result 0 and the gradient by every operand, as
 * the oracles give them, which test_ops holds everything else against. The file and its cases come
 * from tests/reference/operators.py. */
#include "graph_oracle.h"

#include "../runtime/formats/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char reference[] = "tests/reference/operators.safetensors";
static const double gate = 1e-12;

typedef struct {
	Arena *arena;
	Safetensors file;
	int number; /* of the case */
	const OpDesc *op;
	Sample sample;
} Case;

/* The tensor K.WHAT of the case. */
static double *numbers_of(const Case *c, const char *what, int64_t count)
{
	FormatError e;
	const char *name = arena_printf(c->arena, "%d.%s", c->number, what);
	const SafetensorsTensor *t = safetensors_find(&c->file, name);
	if (!t || (int64_t)t->count != count)
		fail_msg("%s: %s is not %lld numbers", reference, name, (long long)count);
	double *x = NEWS(c->arena, double, count);
	if (!safetensors_doubles(t, x, &e)) fail_msg("%s", e.text);
	return x;
}

/* "x" of "x w b" for 0. */
static const char *operand_name(const Case *c, int k)
{
	const char *word = c->op->operands;
	for (; k > 0; k--) word += strcspn(word, " ") + 1;
	return arena_printf(c->arena, "%.*s", (int)strcspn(word, " "), word);
}

static void compare(const Case *c, const char *what, const double *got, int64_t count)
{
	const double *want = numbers_of(c, what, count);
	double far = 0, size = 0;
	for (int64_t i = 0; i < count; i++) {
		far = fmax(far, isnan(got[i]) ? INFINITY : fabs(got[i] - want[i]));
		size = fmax(size, fabs(want[i]));
	}
	if (!(far <= gate * size))
		fail_msg("%s: %s: %s is %.3g off", c->op->name, c->sample.text, what, far / size);
}

static void run_case(Case *c, OracleNetwork *net)
{
	uint64_t seed = 1;
	const char *wrong = oracle_network(net, c->arena, c->op, &c->sample, &seed);
	if (wrong) fail_msg("%s: %s: %s", c->op->name, c->sample.text, wrong);
	const Value *y = net->loss->node->in[0];
	for (int k = 0; k < c->sample.nin; k++)
		net->memory[k] = numbers_of(c, operand_name(c, k), shape_count(c->sample.shape[k]));
	net->memory[SAMPLE_OPERANDS] = numbers_of(c, "dy", shape_count(y->shape));
	OracleRun r = oracle_run(c->arena, net->graph, oracle_given, net);
	compare(c, "y", oracle_value(&r, y), shape_count(y->shape));
	int gradients = 0;
	for (int i = 0; i < net->graph->node.n; i++) {
		const Node *n = net->graph->node.at[i];
		if (n->kind != NODE_OUTPUT || n->output != OUT_GRADIENT) continue;
		const char *name = operand_name(c, (int)(n->state - net->state));
		compare(c, arena_printf(c->arena, "d%s", name), oracle_value(&r, n->in[0]),
		    shape_count(n->state->shape));
		gradients++;
	}
	assert_int_equal(gradients, c->sample.nin);
}

/* The sample of the case's number; false: there are no more. */
static bool next_case(Case *c)
{
	const char *text = safetensors_metadata(&c->file, arena_printf(c->arena, "%d", c->number));
	if (!text) return false;
	const char *colon = strchr(text, ':');
	assert_non_null(colon);
	const char *name = arena_printf(c->arena, "%.*s", (int)(colon - text), text);
	c->op = op_find(name);
	if (!c->op) fail_msg("no operator %s", name);
	c->sample = sample_parse(c->arena, c->op, colon + 2);
	return true;
}

static void operators_are_pytorch_s(void **state)
{
	(void)state;
	FormatError e;
	jmp_buf out_of_memory;
	Case c = {.arena = arena_new(0)};
	if (!c.arena || setjmp(out_of_memory)) fail_msg("out of memory");
	arena_guard(c.arena, &out_of_memory);
	if (!safetensors_read(reference, &c.file, &e)) fail_msg("%s", e.text);
	for (; next_case(&c); c.number++) run_case(&c, NEW(c.arena, OracleNetwork));
	assert_true(c.number >= 40);
	safetensors_free(&c.file);
	arena_free(c.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(operators_are_pytorch_s)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
