/* The programs behind `make bench` and `make bench-kernels`: they run, answer as bench.py expects,
 * and find what is to be found. What they measure is nobody's business here. */
#include "spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BENCH "$(dirname \"$(readlink .bin/cnnc)\")/bench/"

static const char network[] =
    "local x, label = image('x', 1, 4, 4), class('label', 3)\n"
    "local y = x:conv(param.conv, 5, {kernel = 3, pad = 1}):relu():flatten():dense(param.fc, 3)\n"
    "return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = sgd{momentum = "
    "0.9}}\n";

/* All weights are zero, so that all scores are, and the loss is the logarithm of the classes. */
static void load_zeros(Spawn *s)
{
	const char *header, *vars;
	spawn_write(s, "net.lua", network);
	expect(s, 0,
	    "cnnc net.lua -b 2 --target generic -o net.c && cc -shared -fPIC net.c -lm -o net.so");
	header = spawn_read(s, "net.h");
	vars = header ? strstr(header, "#define NET_VARS ") : NULL;
	assert_non_null(vars);
	expect(s, 0,
	    "head -c %ld /dev/zero >vars && head -c 128 /dev/zero >x && head -c 8 /dev/zero >label",
	    4 * strtol(vars + strlen("#define NET_VARS "), NULL, 10));
}

/* The answers: who it is, "ok", and two times that are there. */
static void answers(const Spawn *s)
{
	double wall = 0, cpu = 0;
	char name[32];
	if (sscanf(s->out, "cnnc %31s ok %lf %lf", name, &wall, &cpu) != 3 || wall <= 0 || cpu <= 0)
		fail_msg("not the answers that were expected:\n%s%s", s->out, s->err);
}

static void an_emitted_network_is_a_peer(void **state)
{
	Spawn *s = *state;
	load_zeros(s);
	for (int threads = 1; threads <= 2; threads++) {
		expect(s, 0, "printf 'info\\ncheck y\\nrun 0.01\\n' | " BENCH "step . . infer 2 %d 3 0.1",
		    threads);
		answers(s);
		spawn(s, "od -An -v -tf4 y");
		assert_non_null(strstr(s->out, "0"));
		assert_null(strpbrk(s->out, "123456789"));
		expect(s, 0,
		    "printf 'info\\ncheck loss\\nrun 0.01\\n' | " BENCH "step . . train 2 %d 3 0.1",
		    threads);
		answers(s);
		spawn(s, "od -An -N4 -tf4 loss");
		assert_true(strtod(s->out, NULL) > 1.09860 && strtod(s->out, NULL) < 1.09862);
	}
}

static void a_peer_refuses_what_does_not_fit(void **state)
{
	Spawn *s = *state;
	load_zeros(s);
	expect(s, 1, "echo 'run fast' | " BENCH "step . . infer 2 1 3 0.1");
	assert_non_null(strstr(s->err, "not understood: run fast"));
	expect(s, 1, "echo info | " BENCH "step . . infer 3 1 3 0.1");
	expect(s, 1,
	    "head -c 8 vars >few && mv few vars && echo info | " BENCH "step . . infer 2 1 3 0.1");
	assert_non_null(strstr(s->err, "vars has another size"));
}

static void the_peak_is_a_peer(void **state)
{
	Spawn *s = *state;
	double wall = 0, cpu = 0;
	char name[32];
	for (int threads = 1; threads <= 2; threads++) {
		expect(s, 0, "printf 'info\\nrun 0.01\\n' | " BENCH "peak %d", threads);
		assert_int_equal(sscanf(s->out, "%31s %lf %lf", name, &wall, &cpu), 3);
		assert_true(wall > 0 && cpu > 0);
		expect(s, 0, "echo issue 0.01 | " BENCH "peak %d", threads);
		assert_int_equal(sscanf(s->out, "%lf %lf", &wall, &cpu), 2);
		assert_true(wall > 0.01 && wall < 10 && cpu > 0); /* of 1e9: 0.05 with six a cycle */
	}
}

static void kernels_of_layers_are_right(void **state)
{
	Spawn *s = *state;
	expect(s, 0, BENCH "kernels --filter lenet_c --batch 1");
	assert_non_null(strstr(s->out, "lenet_c1 "));
	assert_non_null(strstr(s->out, "5 lines"));
}

static void layers_of_a_network_are_listed(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua", network);
	expect(s, 0, BENCH "shapes net.lua");
	assert_string_equal(s->out, "conv 1 5 4x4 3x3 1 1x1 1\nfc 80 3 1x1 1x1 1 0x0 1\n");
	spawn_write(s, "uneven.lua",
	    "local x = image('x', 4, 8, 8):conv(param.conv, 5, {kernel = 3, stride = {1, 2}})\n"
	    "return network{output = {y = x:conv(param.next, 6, {kernel = 1})}}\n");
	expect(s, 0, BENCH "shapes uneven.lua");
	assert_string_equal(s->out, "next 5 6 6x3 1x1 1 0x0 1\n");
	assert_non_null(strstr(s->err, "conv is left out"));
	expect(s, 1, BENCH "shapes absent.lua");
}

/* A layer's C is made before its answers, and another layer may follow it. */
static void a_layer_is_a_peer(void **state)
{
	static const char lines[] = "printf 'info\\nopen forward 2 a 8 4 1x1 1x1 1 0x0 1\\n%s"
	                            "open weights 1 b 3 16 6x6 3x3 2 1x1 1\\n%s' | " BENCH "layer . %d";
	Spawn *s = *state;
	double wall = 0, cpu = 0;
	for (int threads = 1; threads <= 2; threads++) {
		expect(s, 0, lines, "", "", threads);
		assert_non_null(strstr(s->out, "./a_forward_b2.c\n./b_weights_b1.c\n"));
		expect(s, 0,
		    "for f in a_forward_b2 b_weights_b1; do cc -shared -fPIC $f.c -lm -o $f.so; done");
		expect(s, 0, lines, "check y\\nrun 0.01\\n", "check dw\\nrun 0.01\\n", threads);
		const char *last = strstr(s->out, "./b_weights_b1.c\nok\n");
		assert_non_null(last);
		assert_int_equal(sscanf(last, "%*s ok %lf %lf", &wall, &cpu), 2);
		assert_true(wall > 0 && cpu > 0);
		expect(s, 0, "test $(wc -c <y) = 32 && test $(wc -c <dw) = 1728");
		spawn(s, "od -An -v -tf4 y");
		assert_non_null(strpbrk(s->out, "123456789"));
	}
	expect(s, 1, "echo 'open sideways 1 a 8 4 1x1 1x1 1 0x0 1' | " BENCH "layer . 1");
	assert_non_null(strstr(s->err, "not a layer"));
}

/* Whatever is left out, the network is there. */
static void stages_may_be_left_out(void **state)
{
	static const char *const stage[] = {"none", "fuse", "order", "chunks", "ahead"};
	Spawn *s = *state;
	load_zeros(s);
	for (size_t i = 0; i < sizeof stage / sizeof *stage; i++) {
		expect(s, 0,
		    BENCH "variant %s net.lua -b 2 --target generic -o net.c && "
		          "cc -shared -fPIC net.c -lm -o net.so",
		    stage[i]);
		expect(s, 0, "printf 'info\\ncheck y\\nrun 0.01\\n' | " BENCH "step . . train 2 1 3 0.1");
		answers(s);
	}
	expect(s, 2, BENCH "variant everything net.lua -o net.c");
	expect(s, 2, BENCH "variant fuse net.lua --absent");
	expect(s, 1, BENCH "variant fuse absent.lua -o net.c");
}

int main(void)
{
	const struct CMUnitTest test[] = {
	    cmocka_unit_test_setup_teardown(an_emitted_network_is_a_peer, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        a_peer_refuses_what_does_not_fit, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(the_peak_is_a_peer, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        layers_of_a_network_are_listed, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(a_layer_is_a_peer, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(stages_may_be_left_out, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(kernels_of_layers_are_right, spawn_setup, spawn_teardown),
	};
	return cmocka_run_group_tests(test, NULL, NULL);
}
