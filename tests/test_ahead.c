/* What emitted kernels ask for ahead: prefetches are made calls that note the lines, and the lines
 * of what comes from far away are to be among them, and not much else. */
#define _XOPEN_SOURCE 700
#include "machine.h"
#include "spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* y is 3.2 MB; what else there is comes from near by. */
enum { LINES = 256 * 56 * 56 * 4 / 64 };

static const char pixels[] = "local x = image('x', 4, 56, 56)\n"
                             "local y = x:conv(param.a, 256, {kernel = 1}):relu()\n"
                             "return network{output = {z = y:conv(param.b, 64, {kernel = 1})}}\n";
static const char residual[] =
    "local x = image('x', 4, 56, 56)\n"
    "local y = x:conv(param.a, 256, {kernel = 1}):relu()\n"
    "local z = x:conv(param.b, 16, {kernel = 1}):relu()\n"
    "return network{output = {\n"
    "  z = (z:conv(param.c, 256, {kernel = 1}) + y):relu():global_avg_pool()}}\n";

/* Prints how many lines of work were asked for, and how often. */
static const char program[] =
    "#include <stddef.h>\n"
    "#include <stdint.h>\n"
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "static unsigned char *work, *seen;\n"
    "static size_t size, total;\n"
    "static void note(const void *at)\n"
    "{\n"
    "	size_t place = (size_t)((uintptr_t)at - (uintptr_t)work);\n"
    "	if (place < size) total++, seen[place / 64] = 1;\n"
    "}\n"
    "#define asked(at, ...) note(at)\n"
    "#include \"spied.c\"\n"
    "int main(void)\n"
    "{\n"
    "	size = (size_t)NET_INFER_B1_WORK;\n"
    "	work = aligned_alloc(64, (size + 63) / 64 * 64);\n"
    "	seen = calloc(size / 64 + 1, 1);\n"
    "	float *vars = aligned_alloc(64, ((size_t)NET_VARS * 4 + 63) / 64 * 64);\n"
    "	void *packed = aligned_alloc(64, ((size_t)NET_PACKED_BYTES + 63) / 64 * 64);\n"
    "	float *x = calloc(4 * 56 * 56, 4), *z = calloc(64 * 56 * 56, 4);\n"
    "	if (!work || !seen || !vars || !packed || !x || !z) return 1;\n"
    "	net_init(vars, NULL, 1);\n"
    "	net_pack(vars, packed);\n"
    "	int status = net_infer_b1(packed, x, z, work, NULL);\n"
    "	size_t lines = 0;\n"
    "	for (size_t i = 0; i <= size / 64; i++) lines += seen[i];\n"
    "	printf(\"%zu %zu\\n\", lines, total);\n"
    "	return status;\n"
    "}\n";

/* Of all lines, which each are asked for `times` times, the first few may be missed; a third more
 * than needed may be asked for. */
static void check(Spawn *s, const char *network, const char *target, size_t times)
{
	size_t lines, total;
	if (!target_runs(target)) return;
	spawn_write(s, "net.lua", network);
	spawn_write(s, "main.c", program);
	expect(s, 0, "cnnc net.lua -b infer=1 --target %s --winograd none -o net.c", target);
	expect(
	    s, 0, "sed 's/__builtin_prefetch(/asked(/' net.c > spied.c && cc -O1 main.c -lm -o main");
	expect(s, 0, "./main");
	if (sscanf(s->out, "%zu %zu", &lines, &total) != 2) fail_msg("'%s'", s->out);
	if (lines < LINES / 100 * 97 || lines > LINES / 100 * 110 || total < times * lines ||
	    total > times * LINES / 3 * 4)
		fail_msg("%s: %zu lines of %d, in %zu asks", target, lines, LINES, total);
}

static void pixels_are_asked_for_in_each_pass(void **state)
{
	enum { WIDE_PASSES = 64 / 32, PASSES = 64 / 16 };
	check(*state, pixels, "avx512", WIDE_PASSES);
	check(*state, pixels, "avx2", PASSES);
	check(*state, pixels, "x86-64", PASSES);
}

static void a_residual_is_asked_for_once(void **state)
{
	check(*state, residual, "avx512", 1);
	check(*state, residual, "avx2", 1);
	check(*state, residual, "x86-64", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        pixels_are_asked_for_in_each_pass, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(a_residual_is_asked_for_once, spawn_setup, spawn_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
