/* --profile: the table that emitted code fills, and the one that people see. */
#define _XOPEN_SOURCE 700
#include "spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Taps that padding leaves: of c1 8 a side for its 3 outputs, of c2 7. */
static const char network[] =
    "local x, label = image('x', 2, 6, 6), class('label', 3)\n"
    "local y = x:conv(param.c1, 4, {kernel = 3, pad = 1, stride = 2}):relu()\n"
    "y = y:conv(param.c2, 5, {kernel = 3, pad = 1}):relu()\n"
    "y = y:flatten():dense(param.fc, 3)\n"
    "return network{output = {scores = y}, loss = y:cross_entropy(label), optimizer = sgd{}}\n";

/* A clock that goes on by one each time: every call takes a second. */
static const char user[] =
    "#include \"net.h\"\n#include <stdio.h>\n"
    "double tick(void);\n"
    "double tick(void)\n{\n\tstatic double now;\n\treturn now += 1;\n}\n"
    "static float vars[NET_VARS], slots[NET_SLOTS + 1], grads[NET_WEIGHTS], x[2 * 72], y[6], "
    "loss;\n"
    "static unsigned char packed[NET_PACKED_BYTES], work[NET_STEP_B2_WORK + NET_INFER_WORK];\n"
    "int main(void)\n{\n"
    "\tint32_t label[2] = {0, 2};\n"
    "\tstruct net_train t = {.vars = vars, .slots = slots, .rate = 0.01f};\n"
    "\tsize_t rows;\n"
    "\tstruct cnnc_profile *row = net_profile(&rows);\n"
    "\tfor (size_t i = 0; i < rows; i++)\n"
    "\t\tif (row[i].calls || row[i].seconds > 0) return 2;\n"
    "\tnet_init(vars, slots, 1);\n"
    "\tnet_pack(vars, packed);\n"
    "\tint bad = net_infer_b1(packed, x, y, work, NULL) + net_infer_b1(packed, x, y, work, NULL)\n"
    "\t\t+ net_eval_b2(vars, x, label, &loss, y, work, NULL)\n"
    "\t\t+ net_gradients_b2(vars, 1, 0, x, label, grads, &loss, y, work, NULL)\n"
    "\t\t+ net_update(&t, grads) + net_step_b2(&t, x, label, &loss, y, work, NULL)\n"
    "\t\t+ net_step_b2(&t, x, label, &loss, y, work, NULL);\n"
    "\tif (bad) return 3;\n"
    "\tfor (size_t i = 0; i < rows; i++)\n"
    "\t\tprintf(\"%s %s %.0f %.0f %.0f %.0f %s|%s\\n\", row[i].entry, row[i].kind,\n"
    "\t\t\t(double)row[i].flops, (double)row[i].bytes, (double)row[i].calls, row[i].seconds,\n"
    "\t\t\trow[i].kernel, row[i].step);\n"
    "\treturn 0;\n}\n";

typedef struct {
	char entry[32], kind[32], kernel[128], step[256];
	double flops, bytes, calls, seconds;
} Row;

enum { ROWS = 256 };

typedef struct {
	Spawn spawn;
	Row row[ROWS];
	int rows;
} Fixture;

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof *f);
	*state = f;
	if (!f || !spawn_open(&f->spawn)) return -1;
	spawn_write(&f->spawn, "net.lua", network);
	spawn_write(&f->spawn, "user.c", user);
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;
	spawn_close(&f->spawn);
	free(f);
	return 0;
}

static void run_user(Fixture *f)
{
	Spawn *s = &f->spawn;
	expect(s, 0, "cnnc --profile net.lua -b infer=1 -b train=2 -o net.c");
	expect(s, 0,
	    "cc -std=c11 -O1 -DCNNC_CLOCK=tick -Wall -Wextra -Werror user.c net.c -lm -o user && "
	    "./user");
	for (const char *line = s->out; *line; line = strchr(line, '\n') + 1) {
		assert_true(f->rows < ROWS);
		Row *r = &f->row[f->rows++];
		if (sscanf(line, "%31s %31s %lf %lf %lf %lf %127[^|]|%255[^\n]", r->entry, r->kind,
		        &r->flops, &r->bytes, &r->calls, &r->seconds, r->kernel, r->step) != 8)
			fail_msg("%s", line);
	}
}

static const Row *find(const Fixture *f, const char *entry, const char *kind, const char *step)
{
	for (int i = 0; i < f->rows; i++)
		if (!strcmp(f->row[i].entry, entry) && !strcmp(f->row[i].kind, kind) &&
		    strstr(f->row[i].step, step))
			return &f->row[i];
	fail_msg("no %s of %s in %s", kind, step, entry);
	return NULL;
}

static void every_step_has_a_row(void **state)
{
	static const char *const entry[] = {
	    "init", "pack", "infer_b1", "eval_b2", "gradients_b2", "step_b2", "update"};
	static const int checks[] = {0, 0, 1, 2, 3, 2, 1};
	Fixture *f = *state;
	run_user(f);
	const char *text = spawn_read(&f->spawn, "net.c");
	int total = 0, calls = 0;
	for (size_t e = 0; e < sizeof entry / sizeof *entry; e++) {
		char line[64];
		int steps = 0, rows = 0;
		snprintf(line, sizeof line, " *   %-16s ", entry[e]);
		contains(text, line);
		steps = atoi(strstr(text, line) + strlen(line));
		for (int i = 0; i < f->rows; i++) rows += !strcmp(f->row[i].entry, entry[e]);
		assert_true(steps > 0);
		/* pack copies vars, too, when inference reads some of them as they are */
		int copies = !strcmp(entry[e], "pack") && strstr(text, "\"vars as they are\"");
		assert_int_equal(rows, steps + checks[e] + copies);
		total += rows;
	}
	assert_int_equal(total, f->rows);
	for (const char *at = text; (at = strstr(at, "\t\trun_timed(&profile[")) != NULL; at++) calls++;
	for (int i = 0; i < f->rows; i++)
		calls -= strcmp(f->row[i].kind, "check") && strcmp(f->row[i].kernel, "memcpy");
	assert_int_equal(calls, 0);
	for (int i = 0; i < f->rows; i++)
		assert_true(!strcmp(f->row[i].kernel, "all_finite") ||
		            !strcmp(f->row[i].kernel, "memcpy") || strstr(text, f->row[i].kernel));
}

static void calls_and_seconds_are_counted(void **state)
{
	Fixture *f = *state;
	run_user(f);
	for (int i = 0; i < f->rows; i++) {
		const Row *r = &f->row[i];
		bool twice = !strcmp(r->entry, "infer_b1") || !strcmp(r->entry, "step_b2");
		double calls = twice ? 2 : 1;
		if (r->calls != calls || r->seconds != calls)
			fail_msg("%s, %s: %.0f calls, %.0f s", r->entry, r->step, r->calls, r->seconds);
	}
}

/* Padding and strides' gaps are no operations; what is read twice is read once. */
static void operations_and_bytes_are_those_of_the_shapes(void **state)
{
	Fixture *f = *state;
	run_user(f);
	const int c1 = 2 * 4 * 2 * 8 * 8, c2 = 2 * 5 * 4 * 7 * 7, fc = 2 * 45 * 3;
	assert_int_equal((int)find(f, "infer_b1", "conv", "c1:")->flops, c1);
	assert_int_equal((int)find(f, "infer_b1", "conv", "c2:")->flops, c2);
	assert_int_equal((int)find(f, "infer_b1", "dense", "fc:")->flops, fc);
	assert_int_equal((int)find(f, "gradients_b2", "conv", "c2:")->flops, 2 * c2);
	assert_int_equal((int)find(f, "gradients_b2", "conv_dx", "c2:")->flops, 2 * c2);
	assert_int_equal((int)find(f, "gradients_b2", "conv_dw", "c2:")->flops, 2 * c2);
	assert_int_equal((int)find(f, "gradients_b2", "conv_dw", "c1:")->flops, 2 * c1);
	assert_int_equal((int)find(f, "update", "sgd", "c1.weight")->flops, 0);
	assert_int_equal((int)find(f, "infer_b1", "conv", "c1:")->bytes,
	    4 * (2 * 6 * 6 + 4 * 2 * 3 * 3 + 4 + 4 * 3 * 3));
	assert_int_equal((int)find(f, "infer_b1", "check", "scores")->bytes, 4 * 3);
	int weights = 4 * 2 * 9 + 4 + 5 * 4 * 9 + 5 + 3 * 45 + 3;
	assert_int_equal((int)find(f, "gradients_b2", "check", "grads")->bytes, 4 * weights);
}

/* Members of a group are told apart: each has a call, and a second for each of its turns. */
static void steps_that_take_turns_are_timed(void **state)
{
	Spawn *s = &((Fixture *)*state)->spawn;
	spawn_write(s, "wide.lua",
	    "local x = image('x', 16, 24, 32)\n"
	    "return network{output = {y = x:conv(param.a, 16, {kernel = 3, pad = 1})}}\n");
	spawn_write(s, "wide_user.c",
	    "#include \"wide.h\"\n#include <stdio.h>\n#include <string.h>\n"
	    "double tick(void);\ndouble tick(void)\n{\n\tstatic double now;\n\treturn now += 1;\n}\n"
	    "static float vars[WIDE_VARS], x[16 * 24 * 32], y[16 * 24 * 32];\n"
	    "static unsigned char packed[WIDE_PACKED_BYTES], work[WIDE_INFER_B1_WORK];\n"
	    "int main(void)\n{\n\tsize_t rows;\n\tstruct cnnc_profile *row = wide_profile(&rows);\n"
	    "\twide_init(vars, vars, 1);\n\twide_pack(vars, packed);\n"
	    "\tif (wide_infer_b1(packed, x, y, work, NULL)) return 2;\n"
	    "\tfor (size_t i = 0; i < rows; i++)\n"
	    "\t\tif (!strcmp(row[i].entry, \"infer_b1\") && !strncmp(row[i].kind, \"wino\", 4))\n"
	    "\t\t\tprintf(\"%s %.0f %.0f %.0f,\", row[i].kind, (double)row[i].calls, row[i].seconds,\n"
	    "\t\t\t\t(double)row[i].flops);\n\treturn 0;\n}\n");
	expect(s, 0, "cnnc --profile wide.lua -o wide.c");
	expect(s, 0,
	    "cc -std=c11 -O1 -DCNNC_CLOCK=tick -Wall -Wextra -Wconversion -Wshadow -Werror wide_user.c "
	    "wide.c -lm -o wide_user && ./wide_user");
	/* 48 tiles, 24 a turn: 2 x 36 x 48 x 16 x 16 operations */
	assert_string_equal(s->out,
	    "wino_rows 1 2 0,wino_columns 1 2 0,wino 1 2 884736,wino_columns 1 2 0,wino_rows 1 2 0,");
}

static void without_it_nothing_is_timed(void **state)
{
	static const char *const word[] = {"time.h", "profile", "CLOCK", "timed"};
	Spawn *s = &((Fixture *)*state)->spawn;
	expect(s, 0, "cnnc net.lua && cat net.c net.h");
	for (size_t i = 0; i < sizeof word / sizeof *word; i++) assert_null(strstr(s->out, word[i]));
}

static void the_program_prints_a_table(void **state)
{
	Spawn *s = &((Fixture *)*state)->spawn;
	expect(s, 0, "cnnc --profile net.lua -b infer=1 -b train=2 --target generic");
	static const char *const part[] = {"net on one thread, generic, cc -O2: at most ",
	    "\npack: a mean of ", "\ninfer_b1: a mean of ", "\neval_b2: a mean of ",
	    "\nstep_b2: a mean of ", "  conv: c1: conv 1x2x6x6 -> 1x4x3x3", "  sgd: c1.weight",
	    "  conv, 2\n", "  conv_dw, 2\n", "  all, ", "kind of step"};
	for (size_t i = 0; i < sizeof part / sizeof *part; i++) contains(s->out, part[i]);
	assert_null(strstr(s->out, "init:"));
	assert_string_equal(s->err, "");
	assert_false(spawn_exists(s, "net.c"));
	expect(s, 1, "cnnc --profile net.lua -b 1,2");
	contains(s->err, "one batch size");
	expect(s, 0, "cnnc --profile --summary net.lua");
	contains(s->out, "parameters");
	assert_null(strstr(s->out, "a mean of"));
}

static void a_profile_at_the_prompt_changes_nothing(void **state)
{
	Spawn *s = &((Fixture *)*state)->spawn;
	spawn_write(s, "script.lua",
	    "local ok, message = pcall(function() cnnc.load('net.lua'):profile() end)\n"
	    "assert(not ok and message:find('{profile = true}', 1, true), message)\n"
	    "local net = cnnc.load('net.lua', {profile = true, real = 'double'})\n"
	    "net:init(3)\n"
	    "local w, y = tostring(net:get('c1.weight')), tostring(net:forward(cnnc.zeros(2, 6, 6)))\n"
	    "local text = net:profile(0.01)\n"
	    "assert(text:find('\\nstep_b', 1, true) and text:find('sgd: ', 1, true), text)\n"
	    "assert(w == tostring(net:get('c1.weight')) and net.steps == 0)\n"
	    "assert(y == tostring(net:forward(cnnc.zeros(2, 6, 6))))\n"
	    "local plain = cnnc.load('net.lua', {profile = false})\n"
	    "ok, message = pcall(plain.profile, plain)\n"
	    "assert(not ok and message:find('{profile = true}', 1, true), message)\n"
	    "local infers = cnnc.load('small.lua', {profile = true})\n"
	    "assert(not infers:profile(0.01):find('step_b', 1, true))\n"
	    "local clips = cnnc.load('clips.lua', {profile = true}):profile(0.01)\n"
	    "assert(clips:find('\\nupdate: ', 1, true) and clips:find('\\ngradients_b', 1, true), "
	    "clips)\n");
	spawn_write(s, "clips.lua",
	    "local x, label = image('x', 1, 4, 4), class('label', 2)\n"
	    "local y = x:flatten():dense(param.a, 2)\n"
	    "return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = sgd{clip_norm "
	    "= 1}}\n");
	spawn_write(
	    s, "small.lua", "local x = image('x', 1, 4, 4)\nreturn network{output = {y = x:relu()}}\n");
	expect(s, 0, "cnnc --run script.lua");
	expect(s, 0, "cnnc --profile -i net.lua -e 'io.write(net:profile(0.01))'");
	contains(s->out, "infer_b1: ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(every_step_has_a_row),
	    TEST(calls_and_seconds_are_counted),
	    TEST(operations_and_bytes_are_those_of_the_shapes),
	    TEST(steps_that_take_turns_are_timed),
	    TEST(without_it_nothing_is_timed),
	    TEST(the_program_prints_a_table),
	    TEST(a_profile_at_the_prompt_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
