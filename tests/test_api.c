/* The embedding API: what a program that holds the compiler as a library may rely on. */
#define _XOPEN_SOURCE 700
#include "../compiler/cnnc.h"
#include "spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char network[] =
    "local x, label = image('x', 1, 4, 4), class('label', 3)\n"
    "local y = x:flatten():dense(param.fc, 3)\n"
    "return network{output = {scores = y}, loss = y:cross_entropy(label), "
    "optimizer = sgd{}}\n";

typedef struct {
	Spawn spawn;
	cnnc_state *cnnc;
	char path[128];
} Fixture;

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof *f);
	*state = f;
	if (!f || !spawn_open(&f->spawn)) return -1;
	spawn_write(&f->spawn, "net.lua", network);
	snprintf(f->path, sizeof f->path, "%s/net.lua", f->spawn.folder);
	f->cnnc = cnnc_new();
	return f->cnnc ? 0 : -1;
}

static int teardown(void **state)
{
	Fixture *f = *state;
	cnnc_free(f->cnnc);
	spawn_close(&f->spawn);
	free(f);
	return 0;
}

static void a_file_becomes_two_texts(void **state)
{
	Fixture *f = *state;
	assert_null(cnnc_c_text(f->cnnc));
	assert_int_equal(cnnc_option(f->cnnc, "-b", "infer=1,8"), CNNC_DONE);
	assert_int_equal(cnnc_option(f->cnnc, "--prefix", "held"), CNNC_DONE);
	assert_int_equal(cnnc_compile_file(f->cnnc, f->path), CNNC_DONE);
	assert_string_equal(cnnc_messages(f->cnnc), "");
	assert_non_null(strstr(cnnc_h_text(f->cnnc), "held_infer_b8("));
	assert_non_null(strstr(cnnc_c_text(f->cnnc), "held_step_b1("));
	assert_string_equal(cnnc_report(f->cnnc), "");
}

static void writing_gives_the_texts(void **state)
{
	Fixture *f = *state;
	char output[128];
	snprintf(output, sizeof output, "%s/out.c", f->spawn.folder);
	assert_int_equal(cnnc_write(f->cnnc), CNNC_USAGE_ERROR); /* nothing compiled yet */
	assert_int_equal(cnnc_option(f->cnnc, "-o", output), CNNC_DONE);
	assert_int_equal(cnnc_option(f->cnnc, "-MD", NULL), CNNC_DONE);
	assert_int_equal(cnnc_compile_file(f->cnnc, f->path), CNNC_DONE);
	assert_false(spawn_exists(&f->spawn, "out.c"));
	assert_int_equal(cnnc_write(f->cnnc), CNNC_DONE);
	assert_string_equal(spawn_read(&f->spawn, "out.c"), cnnc_c_text(f->cnnc));
	assert_string_equal(spawn_read(&f->spawn, "out.h"), cnnc_h_text(f->cnnc));
	assert_true(spawn_exists(&f->spawn, "out.d"));
}

static void mistakes_are_statuses_and_messages(void **state)
{
	Fixture *f = *state;
	assert_int_equal(cnnc_option(f->cnnc, "--taget", "avx2"), CNNC_USAGE_ERROR);
	assert_non_null(strstr(cnnc_messages(f->cnnc), "did you mean '--target'?"));
	assert_int_equal(cnnc_option(f->cnnc, "--target", "avx3"), CNNC_USAGE_ERROR);
	assert_int_equal(cnnc_option(f->cnnc, "-b", NULL), CNNC_USAGE_ERROR);
	assert_int_equal(cnnc_option(f->cnnc, "--inference", "yes"), CNNC_USAGE_ERROR);
	assert_int_equal(cnnc_option(f->cnnc, "--run", "x"), CNNC_USAGE_ERROR);
	assert_int_equal(cnnc_compile_file(f->cnnc, "/no/such/net.lua"), CNNC_INPUT_ERROR);
	assert_non_null(strstr(cnnc_messages(f->cnnc), "/no/such/net.lua"));
	assert_null(cnnc_c_text(f->cnnc));
	/* A wrong option leaves no trace, and the state goes on after any error. */
	assert_int_equal(cnnc_compile_file(f->cnnc, f->path), CNNC_DONE);
	assert_string_equal(cnnc_messages(f->cnnc), "");
	spawn_write(&f->spawn, "net.lua", "return 3\n");
	assert_int_equal(cnnc_compile_file(f->cnnc, f->path), CNNC_INPUT_ERROR);
	assert_non_null(strstr(cnnc_messages(f->cnnc), "error: "));
	assert_null(cnnc_c_text(f->cnnc));
	assert_int_equal(cnnc_write(f->cnnc), CNNC_USAGE_ERROR);
	cnnc_free(NULL);
}

static void states_do_not_disturb_each_other(void **state)
{
	Fixture *f = *state;
	cnnc_state *other = cnnc_new();
	assert_non_null(other);
	assert_int_equal(cnnc_option(other, "--real", "double"), CNNC_DONE);
	assert_int_equal(cnnc_compile_file(f->cnnc, f->path), CNNC_DONE);
	char *before = strdup(cnnc_c_text(f->cnnc));
	assert_int_equal(cnnc_compile_file(other, f->path), CNNC_DONE);
	assert_string_not_equal(cnnc_c_text(other), before);
	cnnc_free(other);
	assert_string_equal(cnnc_c_text(f->cnnc), before);
	/* And compiling again gives the same bytes. */
	assert_int_equal(cnnc_compile_file(f->cnnc, f->path), CNNC_DONE);
	assert_string_equal(cnnc_c_text(f->cnnc), before);
	free(before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_file_becomes_two_texts),
	    TEST(writing_gives_the_texts),
	    TEST(mistakes_are_statuses_and_messages),
	    TEST(states_do_not_disturb_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
