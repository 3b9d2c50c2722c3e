/* A training step: weights move in it as soon as they may. That it is gradients and update to the
 * bit is shown by test_entries and test_optimizers, for every network and optimiser. */
#define _XOPEN_SOURCE 700
#include "../compiler/driver.h"
#include "spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const Part *part_of(const Program *p, EntryKind kind)
{
	for (int i = 0; i < p->part.n; i++)
		if (p->part.at[i]->kind == kind) return p->part.at[i];
	return NULL;
}

/* Its gradients take no memory but for one weight at a time: what AlexNet's take is dense layers'.
 */
static void gradients_are_not_kept(void **state)
{
	static jmp_buf out_of_memory;
	static const int64_t batch[] = {1, 16};
	Arena *a = arena_new(0);
	(void)state;
	if (!a || setjmp(out_of_memory)) fail_msg("out of memory");
	arena_guard(a, &out_of_memory);
	for (int i = 0; i < COUNT(batch); i++) {
		Diag d;
		Options o = {.file = "networks/alexnet.lua", .target = "generic"};
		diag_init(&d, a);
		o.train_batch[o.train_batches++] = batch[i];
		const Program *p = compile_model(a, &d, &o, NULL);
		if (!p) fail_msg("it does not compile");
		const Part *step = part_of(p, ENTRY_STEP), *gradients = part_of(p, ENTRY_GRADIENTS);
		int64_t largest = (int64_t)4 * 4096 * 9216;
		assert_int_equal(step->gradients, 0);
		assert_true(step->work <= gradients->work + largest);
		assert_true(step->work < (gradients->work + gradients->gradients) * 2 / 3);
	}
	arena_free(a);
}

static const char network[] =
    "local x, label = image('x', 1, 6, 6), class('label', 3)\n"
    "local y = x:conv(param.c, 4, {kernel = 3}):relu():flatten():dense(param.d, 3)\n"
    "local big = (y * y):exp():exp()\n"
    "return network{output = {scores = y, big = big}, loss = y:cross_entropy(label),\n"
    "  optimizer = sgd{momentum = 0.9}}\n";

static const char user[] =
    "#include \"net.h\"\n#include <math.h>\n#include <stdio.h>\n#include <string.h>\n"
    "static float vars[NET_VARS], slots[NET_SLOTS], was[NET_VARS + NET_SLOTS], x[72];\n"
    "static float loss, scores[6], big[6];\n"
    "static unsigned char work[NET_STEP_B2_WORK];\n"
    "static struct net_train t = {.vars = vars, .slots = slots, .rate = 0.1f, .momentum = 0.5f};\n"
    "static int changed(void)\n{\n"
    "\treturn t.step || memcmp(was, vars, sizeof vars) || memcmp(was + NET_VARS, slots, sizeof "
    "slots);\n"
    "}\n"
    "int main(void)\n{\n"
    "\tconst int32_t label[2] = {0, 2}, none[2] = {0, 3};\n"
    "\tnet_init(vars, slots, 1);\n"
    "\tmemcpy(was, vars, sizeof vars);\n"
    "\tmemcpy(was + NET_VARS, slots, sizeof slots);\n"
    "\tx[7] = (float)NAN; /* all is NaN */\n"
    "\tif (net_step_b2(&t, x, label, &loss, scores, big, work, NULL) != CNNC_NONFINITE) return 1;\n"
    "\tif (changed()) return 2;\n"
    "\tfor (int i = 0; i < 72; i++) x[i] = 40; /* one output is infinite, the loss is not */\n"
    "\tint status = net_step_b2(&t, x, label, &loss, scores, big, work, NULL), large = 0;\n"
    "\tfor (int i = 0; i < 6; i++) large += isinf(big[i]);\n"
    "\tif (status != CNNC_NONFINITE || !isfinite(loss) || !large || changed()) return 3;\n"
    "\tfor (int i = 0; i < 72; i++) x[i] = 0.1f;\n"
    "\tif (net_step_b2(&t, x, none, &loss, scores, big, work, NULL) != CNNC_BAD_LABEL) return 4;\n"
    "\tif (changed()) return 5;\n"
    "\tif (net_step_b2(&t, x, label, &loss, scores, big, work, NULL) != CNNC_OK) return 6;\n"
    "\treturn t.step != 1 || !memcmp(was, vars, sizeof vars);\n}\n";

static void what_is_not_finite_changes_nothing(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua", network);
	spawn_write(s, "user.c", user);
	expect(s, 0, "cnnc net.lua -b train=2");
	expect(s, 0, "cc -std=c11 -O1 -Wall -Wextra -Werror user.c net.c -lm -o user && ./user");
}

/* Where all gradients are looked at first, a step is the two functions. */
static void some_steps_need_all_gradients(void **state)
{
	Spawn *s = *state;
	static const char calls[] = "_gradients_b2(t->vars, t->seed, t->step";
	spawn_write(s, "net.lua", network);
	expect(s, 0, "cnnc net.lua -b train=2 && cat net.c net.h");
	assert_null(strstr(s->out, calls));
	contains(s->out, "Gradients are not looked at");
	expect(s, 0, "cnnc net.lua -b train=2 --expose c && cat net.c");
	contains(s->out, calls);
	expect(s, 0,
	    "sed 's/momentum = 0.9/clip_norm = 1/' net.lua >clips.lua && cnnc clips.lua -b train=2 && "
	    "cat clips.c clips.h");
	contains(s->out, calls);
	contains(s->out, "as from the gradients");
	expect(s, 0,
	    "sed 's/momentum = 0.9/clip_value = 1/' net.lua >clips.lua && cnnc clips.lua -b train=2 && "
	    "cat clips.c");
	assert_null(strstr(s->out, calls));
}

/* Frozen weights do not move; where none do, a step counts and looks at its outputs. */
static void frozen_weights_stay(void **state)
{
	Spawn *s = *state;
	static const char cc[] = "cc -std=c11 -O1 -Wall -Wextra -Wconversion -Wshadow -Werror -c net.c";
	spawn_write(s, "net.lua", network);
	expect(s, 0, "cnnc net.lua -b train=2 --freeze 'c.*' && %s && cat net.c", cc);
	contains(s->out, "/* d.weight: sgd");
	assert_null(strstr(s->out, "/* c.weight: sgd"));
	expect(s, 0, "cnnc net.lua -b train=2 --freeze '*' && %s && cat net.c", cc);
	assert_null(strstr(s->out, ": sgd"));
	contains(s->out, "t->step++;");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, spawn_setup, spawn_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(gradients_are_not_kept),
	    TEST(what_is_not_finite_changes_nothing),
	    TEST(some_steps_need_all_gradients),
	    TEST(frozen_weights_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
