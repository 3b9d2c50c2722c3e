/* Another architecture: C that was emitted here, compiled for aarch64 and run by an emulator, held
 * against this machine's own results. NEON kernels, and the plain ones that a file for all x86 has.
 *
 * It takes gcc-aarch64-linux-gnu and qemu-user, which `make check-full` installs; else it is
 * skipped. */
#define _XOPEN_SOURCE 700
#include "machine.h"
#include "spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CROSS "aarch64-linux-gnu-gcc"

/* Writes what the gradients' function makes to a file, or compares it with such a file: the
 * distance of each of loss, outputs and gradients, of the file's length. */
static const char program[] =
    "#include \"net.h\"\n"
    "#include <math.h>\n"
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "enum { BATCH = 3, INPUT = BATCH * 1024, OUTPUT = BATCH * 10 };\n"
    "static real input[INPUT], vars[NET_VARS], slots[NET_SLOTS];\n"
    "static struct { real loss[1], y[OUTPUT], grads[NET_WEIGHTS]; } made, other;\n"
    "static double apart(const real *x, const real *y, size_t n)\n"
    "{\n"
    "\tdouble sum = 0, all = 0;\n"
    "\tfor (size_t i = 0; i < n; i++) {\n"
    "\t\tsum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);\n"
    "\t\tall += (double)y[i] * (double)y[i];\n"
    "\t}\n"
    "\treturn sqrt(sum / all);\n"
    "}\n"
    "int main(int argc, char **argv)\n"
    "{\n"
    "\tstatic const int32_t label[BATCH] = {3, 0, 7};\n"
    "\tvoid *work = aligned_alloc(64, (NET_GRADIENTS_B3_WORK + 63) / 64 * 64 + 64);\n"
    "\tif (!work || argc < 3) return 3;\n"
    "\tfor (int i = 0; i < INPUT; i++) input[i] = (real)(i * 31 % 101 - 50) / 50;\n"
    "\tnet_init(vars, slots, 5);\n"
    "\tif (net_gradients_b3(vars, 1, 0, input, label, made.grads, made.loss, made.y, work, NULL))\n"
    "\t\treturn 4;\n"
    "\tFILE *f = fopen(argv[2], argv[1][0] == 'w' ? \"wb\" : \"rb\");\n"
    "\tif (!f) return 5;\n"
    "\tif (argv[1][0] == 'w') return fwrite(&made, sizeof made, 1, f) != 1 || fclose(f);\n"
    "\tif (fread(&other, sizeof other, 1, f) != 1) return 6;\n"
    "\tprintf(\"%.2e %.2e %.2e\\n\", apart(made.loss, other.loss, 1), apart(made.y, other.y, "
    "OUTPUT),\n"
    "\t\tapart(made.grads, other.grads, NET_WEIGHTS));\n"
    "\treturn 0;\n"
    "}\n";

/* Convolutions that Winograd takes and others, of few channels, in groups, strided and transposed;
 * batch norm, pooling, shortcuts, dense layers. */
static const char network[] =
    "local x, label = image('x', 1, 32, 32), class('label', 10)\n"
    "local y = x:conv(param.a, 6, {kernel = 5}):relu():max_pool{2}\n"
    "y = y:conv(param.b, 32, {kernel = 3, pad = 1}):batch_norm(param.bn):relu()\n"
    "y = y + y:conv(param.c, 32, {kernel = 3, pad = 1}):tanh()\n"
    "y = y:conv(param.d, 24, {kernel = 3, stride = 2, groups = 2}):sigmoid()\n"
    "y = y:conv_transpose(param.e, 16, {kernel = 2, stride = 2}):avg_pool{3}\n"
    "y = y:flatten():dense(param.f, 40):relu():dropout(0.5):dense(param.g, 10)\n"
    "return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = sgd{momentum = "
    "0.9}}\n";

static void compare(Spawn *s, const char *options, const char *real, double gate)
{
	double loss = 1, y = 1, grads = 1;
	spawn_write(s, "net.lua", network);
	spawn_write(s, "main.c", program);
	expect(s, 0, "cnnc net.lua -b train=3 %s", options);
	expect(s, 0,
	    "%s -std=c11 -O2 -Wall -Wextra -Werror -static -Dreal=%s main.c net.c -lm -o there", CROSS,
	    real);
	expect(s, 0, "cnnc net.lua -b train=3 %s --target=auto", options);
	expect(s, 0, "cc -std=c11 -O2 -Dreal=%s main.c net.c -lm -o here && ./here w made", real);
	expect(s, 0, "qemu-aarch64 ./there r made");
	if (sscanf(s->out, "%lf %lf %lf", &loss, &y, &grads) != 3) fail_msg("it says '%s'", s->out);
	if (!(loss <= gate && y <= gate && grads <= gate)) fail_msg("%s: apart by %s", options, s->out);
}

static void skip_without_emulator(Spawn *s)
{
	if (spawn(s, "command -v " CROSS " qemu-aarch64") == 0) return;
	if (check_is_full()) fail_msg("no " CROSS ", or no qemu-aarch64");
	skip();
}

static void neon_kernels_compute_the_same(void **state)
{
	skip_without_emulator(*state);
	compare(*state, "--target=neon --real=double", "double", 1e-12);
	compare(*state, "--target=neon", "float", 2e-5);
}

static void plain_kernels_compute_the_same(void **state)
{
	skip_without_emulator(*state);
	compare(*state, "--target=auto --real=double", "double", 1e-12);
	compare(*state, "--target=auto", "float", 2e-5);
}

/* Its vectors are used, and multiply and add at once. */
static void neon_kernels_multiply_and_add_vectors(void **state)
{
	Spawn *s = *state;
	skip_without_emulator(s);
	spawn_write(s, "net.lua", network);
	expect(s, 0, "cnnc net.lua -b train=3 --target=neon && " CROSS " -O2 -S net.c -o net.s");
	expect(s, 0, "grep -c 'fmla.*4s' net.s");
	assert_true(atoi(s->out) > 500);
}

/* A machine without them says so, and does not guess. */
static void neon_kernels_are_refused_elsewhere(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua", network);
	expect(s, 0, "cnnc net.lua --inference --target=neon && uname -m");
	bool native = strstr(s->out, "aarch64") != NULL;
	expect(s, !native, "cc -c net.c");
	if (!native) contains(s->err, "these kernels are for neon");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, spawn_setup, spawn_teardown)
	static const struct CMUnitTest tests[] = {
	    TEST(neon_kernels_compute_the_same),
	    TEST(plain_kernels_compute_the_same),
	    TEST(neon_kernels_multiply_and_add_vectors),
	    TEST(neon_kernels_are_refused_elsewhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
