/* Activations computed again: the same numbers to the bit, in less memory, and the figure is true.
 */
#define _POSIX_C_SOURCE 200809L
#include "entries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static jmp_buf out_of_memory;

static int setup(void **state)
{
	Arena *a = arena_new(0);
	*state = a;
	if (!a || setjmp(out_of_memory)) return -1;
	arena_guard(a, &out_of_memory);
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static const char *const networks[] = {"toy", "parts", "ragged", "deep", "cheap"};

static void open_net(Net *net, Arena *a, NetSpec spec, const char *name, RecomputeUse recompute)
{
	spec.file = arena_printf(a, "tests/networks/%s.lua", name);
	spec.recompute = recompute;
	const char *wrong = net_open(net, a, &spec);
	if (wrong) fail_msg("%s: %s", name, wrong);
}

static const Part *gradients_of(const Program *p)
{
	for (int i = 0; i < p->part.n; i++)
		if (p->part.at[i]->kind == ENTRY_GRADIENTS) return p->part.at[i];
	fail_msg("no gradients");
	return NULL;
}

static const RecomputeUse uses[] = {RECOMPUTE_CHEAP, RECOMPUTE_ALL};

static void expect_less_work(const Program *program, const Program *kept, RecomputeUse use)
{
	const Part *p = gradients_of(program), *q = gradients_of(kept);
	assert_true(use == RECOMPUTE_CHEAP || p->recomputed > 0);
	assert_true(p->recomputed ? p->work < q->work : p->work == q->work);
	assert_true(p->work_kept == q->work);
	assert_int_equal(q->recomputed, 0);
}

/* Loss, outputs, every gradient, running statistics and what the update makes of them. */
static void nothing_differs_in_a_bit(void **state)
{
	enum { AVX2 = 1 };
	const NetSpec spec = {.target = "auto", .is_double = true};
	Arena *a = *state;
	for (int i = 0; i < COUNT(networks); i++) {
		Net kept, again;
		open_net(&kept, a, spec, networks[i], RECOMPUTE_NONE);
		Results want = net_trees(&kept, a, AVX2);
		for (int u = 0; u < COUNT(uses); u++) {
			open_net(&again, a, spec, networks[i], uses[u]);
			expect_less_work(again.program, kept.program, uses[u]);
			Results got = net_trees(&again, a, AVX2);
			const char *differs = results_differ(a, &got, &want, 0);
			if (differs) fail_msg("%s: %s", networks[i], differs);
		}
	}
}

static void expect_the_same(Arena *a, const NetSpec *spec, const char *name, const char *compiler)
{
	Net kept, again;
	Results got, want;
	open_net(&kept, a, *spec, name, RECOMPUTE_NONE);
	const char *wrong = net_c(&kept, a, compiler, &want, NULL);
	for (int u = 0; u < COUNT(uses) && !wrong; u++) {
		open_net(&again, a, *spec, name, uses[u]);
		assert_true(gradients_of(again.program)->recomputed > 0);
		wrong = net_c(&again, a, compiler, &got, NULL);
		if (!wrong) wrong = results_differ(a, &got, &want, 0);
	}
	if (wrong) fail_msg("%s, %s: %s", name, compiler ? compiler : "libtcc", wrong);
}

/* In float, by the C that is printed; and by a compiler that makes one instruction of a product and
 * a sum, where values could be made with one rounding here and with two there. */
static void emitted_c_differs_in_no_bit(void **state)
{
	static const char *const name[] = {"deep", "cheap", "products"};
	const NetSpec plain = {.target = "generic"}, vectors = {.target = "auto"},
	              large = {.target = "auto", .infer = {4}, .train = 4};
	for (int i = 0; i < COUNT(name); i++) {
		expect_the_same(*state, &plain, name[i], NULL);
		expect_the_same(*state, &vectors, name[i], "cc -O2");
	}
	expect_the_same(*state, &large, "inline", NULL);
	expect_the_same(*state, &large, "inline", "cc -O2");
}

static Program *compiled_as(
    Arena *a, Diag *d, const char *file, RecomputeUse use, int64_t batch, Text *dump)
{
	Options o = {.file = file, .target = "generic", .recompute = use, .dump = "graph"};
	diag_init(d, a);
	o.train_batch[o.train_batches++] = batch;
	return compile_model(a, d, &o, dump);
}

static int64_t macs_of(const Part *p)
{
	int64_t macs = 0;
	for (int s = 0; s < p->step.n; s++) macs += p->step.at[s].macs;
	return macs;
}

/* As a rule one image a convolution is kept, and none is run twice. */
static void cheap_is_nearly_half_of_resnet50(void **state)
{
	Diag d;
	const char *file = "networks/resnet.lua";
	const Program *as_always = compiled_as(*state, &d, file, RECOMPUTE_CHEAP, 16, NULL),
	              *kept = compiled_as(*state, &d, file, RECOMPUTE_NONE, 16, NULL);
	if (!as_always || !kept) fail_msg("it does not compile");
	const Part *p = gradients_of(as_always);
	print_message("%lld bytes instead of %lld\n", (long long)p->work, (long long)p->work_kept);
	assert_true(p->work_kept == gradients_of(kept)->work);
	assert_true(p->work <= p->work_kept / 5 * 3);
	assert_true(macs_of(p) == macs_of(gradients_of(kept)));
}

static int concatenations(Arena *a, RecomputeUse use)
{
	Diag d;
	Text graph;
	int count = 0;
	text_init(&graph, a);
	const Program *p = compiled_as(a, &d, "tests/networks/cheap.lua", use, 2, &graph);
	if (!p) fail_msg("it does not compile");
	char *at = strstr(graph.data, "# gradients"), *end = strstr(at, "# step");
	if (end) *end = '\0';
	for (; (at = strstr(at, "= concat ")); at++) count++;
	return count;
}

/* Of three concatenations one has a part that is kept, which lies in it. */
static void what_lies_in_a_kept_concatenation_is_kept(void **state)
{
	assert_int_equal(
	    concatenations(*state, RECOMPUTE_CHEAP), concatenations(*state, RECOMPUTE_NONE) + 2);
}

static Program *compiled(Arena *a, Diag *d, Options *o, int64_t batch)
{
	diag_init(d, a);
	o->target = "generic";
	o->recompute = RECOMPUTE_ALL;
	o->train_batch[o->train_batches++] = batch;
	return compile_model(a, d, o, NULL);
}

static void resnet50_takes_a_third_less(void **state)
{
	Diag d;
	Options o = {.file = "networks/resnet.lua"};
	const Program *program = compiled(*state, &d, &o, 16);
	if (!program) fail_msg("it does not compile");
	const Part *p = gradients_of(program);
	print_message("%lld bytes instead of %lld\n", (long long)p->work, (long long)p->work_kept);
	assert_true(p->work <= p->work_kept / 3 * 2);
}

/* With a limit no more is done twice than it asks for. */
static void a_limit_is_kept_to(void **state)
{
	Arena *a = *state;
	Diag d;
	Options all = {.file = "tests/networks/deep.lua"}, some = all, none = all;
	const Part *least = gradients_of(compiled(a, &d, &all, 2));
	some.recompute_bytes = least->work + (least->work_kept - least->work) * 3 / 4;
	const Part *p = gradients_of(compiled(a, &d, &some, 2));
	assert_true(p->recomputed > 0 && p->recomputed < least->recomputed);
	assert_true(p->work <= some.recompute_bytes);
	none.recompute_bytes = least->work_kept;
	p = gradients_of(compiled(a, &d, &none, 2));
	assert_int_equal(p->recomputed, 0);
	assert_int_equal(p->work, least->work_kept);
}

static void a_limit_that_is_too_low_is_reported(void **state)
{
	Arena *a = *state;
	Diag d;
	Text said;
	Options all = {.file = "tests/networks/deep.lua"}, low = all;
	const Part *least = gradients_of(compiled(a, &d, &all, 2));
	low.recompute_bytes = least->work - 1;
	assert_null(compiled(a, &d, &low, 2));
	text_init(&said, a);
	diag_print(&d, &said);
	const char *wanted =
	    arena_printf(a, "gradients of batch 2 work in no less than %lld bytes, not in %lld",
	        (long long)least->work, (long long)least->work - 1);
	if (!strstr(said.data, wanted)) fail_msg("%s", said.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(nothing_differs_in_a_bit, setup, teardown),
	    cmocka_unit_test_setup_teardown(emitted_c_differs_in_no_bit, setup, teardown),
	    cmocka_unit_test_setup_teardown(cheap_is_nearly_half_of_resnet50, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_lies_in_a_kept_concatenation_is_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(resnet50_takes_a_third_less, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_limit_is_kept_to, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_limit_that_is_too_low_is_reported, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
