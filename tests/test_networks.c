/* The networks that come with cnnc: their parameters, as the papers and torchvision count them; and
 * what only a whole network shows of an operator. */
#define _XOPEN_SOURCE 700
#include "../compiler/frontend/frontend.h"
#include "../compiler/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
	const char *file, *define;
	bool inference_only;
	int64_t weights;
} Network;

static const Network networks[] = {
    {"lenet", "variant=paper", false, 60000 + 900}, /* 36 of C3's 96 kernels are not linked */
    {"lenet", "variant=modern", false, 61706},
    {"alexnet", "variant=original", false, 60965224},
    {"alexnet", "lrn=before", false, 60965224},
    {"alexnet", "variant=torchvision", false, 61100840},
    {"googlenet", "variant=paper", true, 6998552},
    {"googlenet", "variant=paper", false, 13378280},
    {"googlenet", "variant=torchvision", true, 6624904},
    {"googlenet", "variant=torchvision", false, 13004888},
    {"inception_v3", "classes=1000", false, 27161264},
    {"inception_v3", "classes=1000", true, 23834568},
    {"inception_v3", "size=298", false, 23834568}, /* too small for the auxiliary classifier */
    {"inception_v3", "size=331", false, 27161264},
    {"resnet", "depth=18", false, 11689512},
    {"resnet", "depth=34", false, 21797672},
    {"resnet", "depth=50", false, 25557032},
    {"resnet", "v1=true", false, 25557032},
    {"resnet", "size=96", false, 25557032},
    {"resnet", "depth=101", false, 44549160},
    {"resnet", "depth=152", false, 60192808},
    {"resnet_cifar", "depth=20", false, 269722},
    {"resnet_cifar", "shortcut=B", false, 272474},
    {"resnet_cifar", "depth=110", false, 1727962},
};

/* Weights of the network, or -1 and what is wrong. */
static int64_t count_weights(const Network *n, char *wrong, size_t room)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	Diag d;
	Text said;
	Options o = {.inference_only = n->inference_only};
	if (!a || setjmp(out_of_memory)) fail_msg("out of memory");
	arena_guard(a, &out_of_memory);
	diag_init(&d, a);
	text_init(&said, a);
	o.file = arena_printf(a, "networks/%s.lua", n->file);
	vec_push(a, o.define, n->define);
	const Model *m = frontend_load(a, &d, &o);
	diag_print(&d, &said);
	snprintf(wrong, room, "%s", said.data ? said.data : "");
	int64_t weights = m ? m->weights : -1;
	arena_free(a);
	return weights;
}

static void parameters_are_those_of_the_papers(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT(networks); i++) {
		const Network *n = &networks[i];
		char wrong[500];
		int64_t weights = count_weights(n, wrong, sizeof wrong);
		if (weights != n->weights || *wrong)
			fail_msg("%s, %s: %lld weights, expected %lld %s", n->file, n->define,
			    (long long)weights, (long long)n->weights, wrong);
	}
}

/* Forward, in training: of five layers, some of one name, none draws the numbers of another. */
static void layers_leave_out_other_numbers_each(void **state)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	Diag d;
	Options o = {.file = "tests/pass/dropout.lua"};
	int64_t drawn[8];
	int layers = 0;
	(void)state;
	if (!a || setjmp(out_of_memory)) fail_msg("out of memory");
	arena_guard(a, &out_of_memory);
	diag_init(&d, a);
	const Model *m = frontend_load(a, &d, &o);
	assert_non_null(m);
	const Graph *g = graph_instance(m, 2, MODE_TRAIN, true);
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		if (n->kind != NODE_OP || strcmp(n->op->name, "dropout_train") != 0) continue;
		drawn[layers] = attr_int(n, "layer");
		for (int k = 0; k < layers; k++) assert_true(drawn[k] != drawn[layers]);
		layers++;
	}
	assert_int_equal(layers, 5);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parameters_are_those_of_the_papers),
	    cmocka_unit_test(layers_leave_out_other_numbers_each),
	};
	return cmocka_run_group_tests_name("networks", tests, NULL, NULL);
}
