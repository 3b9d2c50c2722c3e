/* Tuning: what is measured, what is remembered, and that the text follows it. */
#define _XOPEN_SOURCE 700
#include "../compiler/cnnc.h"
#include "spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* One nest to measure, and one that is too small. */
static const char network[] =
    "local x = image('x', 16, 24, 24)\n"
    "return network{output = {y = x:conv(param.a, 32, {kernel = 1}):relu():conv(param.b, 8, "
    "{kernel = 1, stride = 4})}}\n";
static const char other[] = "local x = image('x', 16, 25, 25)\n"
                            "return network{output = {y = x:conv(param.a, 32, {kernel = 1})}}\n";

static int setup(void **state)
{
	if (spawn_setup(state) != 0) return -1;
	spawn_write(*state, "net.lua", network);
	spawn_write(*state, "other.lua", other);
	return 0;
}

static void a_file_is_made_and_followed(void **state)
{
	Spawn *s = *state;
	expect(s, 0, "cnnc --tune=found net.lua && cp net.c tuned.c && cp found first");
	contains(s->err, "[1/1] a: conv 1x16x24x24 -> 1x32x24x24");
	contains(s->err, "found: 1 nest measured for ");
	assert_string_equal(s->out, "");
	expect(s, 0, "grep -c '^conv/[^ ]* .* = ' found");
	assert_string_equal(s->out, "1\n");
	expect(s, 0, "cnnc --decisions=found net.lua && cmp net.c tuned.c");
	assert_string_equal(s->err, "");
	/* What is known is not measured again, and nothing changes. */
	expect(s, 0, "cnnc --tune=found net.lua && cmp net.c tuned.c && cmp found first");
	contains(s->err, "found: nothing to measure for ");
	assert_null(strstr(s->err, "[1/"));
	expect(s, 0, "ls -A");
	assert_string_equal(
	    s->out, ".bin\n.err\n.out\nfirst\nfound\nnet.c\nnet.h\nnet.lua\nother.lua\ntuned.c\n");
}

/* A file serves several networks, and keeps what people wrote into it. */
static void a_second_network_adds_to_it(void **state)
{
	Spawn *s = *state;
	expect(s, 0, "cnnc --tune=found net.lua && (echo '# ours'; cat found) >with && cp with found");
	expect(s, 0, "cnnc --tune=found other.lua");
	contains(s->err, "[1/1] a: conv 1x16x25x25 -> 1x32x25x25");
	assert_null(strstr(s->err, "warning"));
	expect(s, 0, "head -n 2 found | cmp - with && wc -l <found");
	assert_int_equal(atoi(s->out), 3);
	expect(s, 0, "cp found with && cnnc --tune=found net.lua && cmp found with");
	assert_null(strstr(s->err, "warning"));
}

/* A decision of ours stays, whether it is a good one or not. */
static void a_known_nest_keeps_its_schedule(void **state)
{
	Spawn *s = *state;
	expect(s, 0,
	    "cnnc --tune=found net.lua && sed -i 's/ = .*/ = oc | oh | ow | ic/' found && "
	    "cp found slow && cnnc --tune=found net.lua && cmp found slow");
	expect(s, 0, "cnnc --tune=found net.lua --dump=decisions | grep -c '= oc | oh | ow | ic$'");
	assert_string_equal(s->out, "1\n");
}

/* Whatever schedule is followed, results differ by roundings alone. */
static void tuned_results_are_the_same(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "main.c",
	    "#include \"one.h\"\n#include \"two.h\"\n#include <math.h>\n"
	    "enum { IN = 16 * 24 * 24, OUT = 8 * 6 * 6 };\n"
	    "static float vars[ONE_VARS], x[IN], y[OUT], z[OUT];\n"
	    "static char packed[2][1 << 16], work[1 << 20];\n"
	    "int main(void)\n{\n\tint wrong = 0;\n"
	    "\tfor (int i = 0; i < IN; i++) x[i] = (float)(i % 17) - 8;\n"
	    "\tone_init(vars, NULL, 1);\n"
	    "\tone_pack(vars, packed[0]);\n\ttwo_pack(vars, packed[1]);\n"
	    "\tone_infer_b1(packed[0], x, y, work, NULL);\n"
	    "\ttwo_infer_b1(packed[1], x, z, work, NULL);\n"
	    "\tfor (int i = 0; i < OUT; i++) wrong += !(fabsf(y[i] - z[i]) <= 1e-4f);\n"
	    "\treturn wrong || y[0] == 0;\n}\n");
	expect(s, 0,
	    "cnnc net.lua -o one.c --prefix one && "
	    "cnnc --tune=found net.lua -o two.c --prefix two && "
	    "cc -O1 main.c one.c two.c -lm -o main && ./main");
}

static void mistakes_are_told(void **state)
{
	Spawn *s = *state;
	expect(s, 2, "cnnc --tune=found --decisions=found net.lua");
	contains(s->err, "--tune and --decisions exclude each other");
	expect(s, 2, "cnnc --tune=found -i net.lua -e 'x = 1'");
	contains(s->err, "--tune is for networks that are written as C");
	expect(s, 1, "cnnc --tune=no/such/folder net.lua");
	contains(s->err, "no/such/folder");
	expect(s, 1, "PATH= .bin/cnnc --tune=found net.lua");
	contains(s->err, "error: --tune: cc -O2: cannot run cc: ");
	spawn_write(s, "broken", "not a decision\n");
	expect(s, 1, "cnnc --tune=broken net.lua");
	contains(s->err, "broken:1: error: a decision is 'key = text'");
	assert_string_equal(spawn_read(s, "broken"), "not a decision\n");
	expect(s, 0, "cnnc --tune=found net.lua && sed -i 's/ = .*/ = q 3/' found && rm net.[ch]");
	expect(s, 1, "cnnc --tune=found net.lua");
	contains(s->err, "found:1: error: conv/");
	assert_false(spawn_exists(s, "net.c"));
}

/* A library says nothing by itself: all is in its messages. */
static void the_library_prints_nothing(void **state)
{
	Spawn *s = *state;
	char net[128], file[128];
	snprintf(net, sizeof net, "%s/net.lua", s->folder);
	snprintf(file, sizeof file, "%s/found", s->folder);
	cnnc_state *c = cnnc_new();
	assert_int_equal(cnnc_option(c, "--tune", file), CNNC_DONE);
	assert_int_equal(cnnc_compile_file(c, net), CNNC_DONE);
	contains(cnnc_messages(c), "note: [1/1] a: conv");
	assert_non_null(spawn_read(s, "found"));
	cnnc_free(c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, spawn_teardown)

int main(void)
{
	const struct CMUnitTest test[] = {
	    TEST(a_file_is_made_and_followed),
	    TEST(a_second_network_adds_to_it),
	    TEST(a_known_nest_keeps_its_schedule),
	    TEST(tuned_results_are_the_same),
	    TEST(mistakes_are_told),
	    TEST(the_library_prints_nothing),
	};
	return cmocka_run_group_tests(test, NULL, NULL);
}
