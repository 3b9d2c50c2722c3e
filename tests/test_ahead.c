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

/* y is 3.2 MB, z of the first 0.8; what else there is comes from near by. */
enum { LINES_OF_Y = 256 * 56 * 56 * 4 / 64, LINES_OF_Z = 64 * 56 * 56 * 4 / 64 };

static const char pixels[] = "local x = image('x', 4, 56, 56)\n"
                             "local y = x:conv(param.a, 256, {kernel = 1}):relu()\n"
                             "return network{output = {z = y:conv(param.b, 64, {kernel = 1})}}\n";
/* The same of 4 blocks of channels. */
static const char few_blocks[] =
    "local x = image('x', 4, 56, 56)\n"
    "local y = x:conv(param.a, 64, {kernel = 1}):relu()\n"
    "return network{output = {z = y:conv(param.b, 64, {kernel = 1})}}\n";
/* Windows of 3 by 3 that step by two, over 55 of its rows and columns. */
enum { POOLED = 55, WINDOWS = 27, TAPS = 9 };
static const char pooled[] = "local x = image('x', 4, 56, 56)\n"
                             "local y = x:conv(param.a, 256, {kernel = 1}):relu()\n"
                             "local z = y:max_pool(3, {stride = 2})\n"
                             "return network{output = {z = z:conv(param.b, 16, {kernel = 1})}}\n";
static const char residual[] =
    "local x = image('x', 4, 56, 56)\n"
    "local y = x:conv(param.a, 256, {kernel = 1}):relu()\n"
    "local z = x:conv(param.b, 16, {kernel = 1}):relu()\n"
    "return network{output = {\n"
    "  z = (z:conv(param.c, 256, {kernel = 1}) + y):relu():global_avg_pool()}}\n";

static const char chunks[] =
    "local x = image('x', 4, 56, 56)\n"
    "local y = x:conv(param.a, 64, {kernel = 1}):relu()\n"
    "local z = y:conv(param.b, 64, {kernel = 1})\n"
    "return network{output = {z = z:global_avg_pool()}, loss = (z * z):mean()}\n";

/* Of a part of the batch what all tasks read has 0.4 MB. */
enum { LINES_OF_NEAR = 64 * 40 * 40 * 4 / 64 };

#define NEAR_CHUNKS(kernel)                                                                        \
	"local x = image('x', 4, 40, 40)\n"                                                            \
	"local y = x:conv(param.a, 64, {kernel = 1}):relu()\n"                                         \
	"local z = y:conv(param.b, 64, {" kernel "})\n"                                                \
	"return network{output = {z = z:global_avg_pool()}, loss = (z * z):mean()}\n"

static const char near_chunks[] = NEAR_CHUNKS("kernel = 1");
static const char windows[] = NEAR_CHUNKS("kernel = 3, pad = 1");

/* Numbers that cost too much to be made where they are read, and so are written. */
static const char maps[] =
    "local x = image('x', 4, 56, 56)\n"
    "local y = x:conv(param.a, 64, {kernel = 1}):batch_norm(param.n):tanh()\n"
    "local z = y:global_avg_pool()\n"
    "return network{output = {z = z}, loss = (z * z):mean()}\n";

/* A matrix of 2 MB. */
enum { LINES_OF_MATRIX = 512 * 1000 * 4 / 64 };

static const char matrix[] = "local x = image('x', 512, 1, 1)\n"
                             "local z = x:dense(param.a, 1000, {bias = false})\n"
                             "return network{output = {z = z}, loss = (z * z):mean()}\n";

/* Two of 0.4 MB. */
static const char near_matrix[] = "local x = image('x', 304, 1, 1)\n"
                                  "local y = x:dense(param.a, 304):relu()\n"
                                  "local z = y:dense(param.b, 304)\n"
                                  "return network{output = {z = z}, loss = (z * z):mean()}\n";

/* One of 9 MB, whose rows are streams by data. */
enum { LINES_OF_ROWS = 2048 * 1100 * 4 / 64 };

static const char rows[] = "local x = image('x', 4, 1, 1)\n"
                           "local y = x:dense(param.a, 2048, {bias = false}):relu()\n"
                           "local z = y:dense(param.b, 1100, {bias = false})\n"
                           "return network{output = {z = z}, loss = (z * z):mean()}\n";

/* Weights of 2.4 MB, in blocks that some tiles of 7 by 7 pixels read. */
enum { LINES_OF_WEIGHTS = 128 * 512 * 9 * 4 / 64 };

static const char weights[] = "local x = image('x', 128, 7, 7)\n"
                              "local y = x:conv(param.a, 512, {kernel = 3, pad = 1})\n"
                              "return network{output = {z = y}}\n";

/* Windows as large as the image, and larger than what comes of it. */
static const char whole[] = "local x = image('x', 4, 5, 5)\n"
                            "local y = x:conv(param.a, 128, {kernel = 1}):relu()\n"
                            "local z = y:conv(param.b, 512, {kernel = 5})\n"
                            "return network{output = {z = z}, loss = (z * z):mean()}\n";

static const char infers[] = "#define REGION work\n"
                             "enum { SIZE = NET_INFER_B1_WORK, ROOM = SIZE / 64 * 64 + 64 };\n"
                             "static int call(void *vars, void *packed, void *work)\n"
                             "{\n"
                             "	net_pack(vars, packed);\n"
                             "	return net_infer_b1(packed, x, z, work, NULL);\n"
                             "}\n";
/* y comes first in `work`; a plane of a block is a line longer than its pixels. */
static const char infers_y[] = "#define REGION work\n"
                               "enum { SIZE = 256 * (56 * 56 + 1) * 4 };\n"
                               "enum { ROOM = NET_INFER_B1_WORK / 64 * 64 + 64 };\n"
                               "static int call(void *vars, void *packed, void *work)\n"
                               "{\n"
                               "	net_pack(vars, packed);\n"
                               "	return net_infer_b1(packed, x, z, work, NULL);\n"
                               "}\n";
static const char infers_packed[] =
    "#define REGION packed\n"
    "enum { SIZE = NET_PACKED_BYTES, ROOM = NET_INFER_B1_WORK / 64 * 64 + 64 };\n"
    "static int call(void *vars, void *packed, void *work)\n"
    "{\n"
    "	net_pack(vars, packed);\n"
    "	return net_infer_b1(packed, x, z, work, NULL);\n"
    "}\n";
static const char trains[] =
    "#define REGION work\n"
    "enum { SIZE = NET_GRADIENTS_B4_WORK, ROOM = SIZE / 64 * 64 + 64 };\n"
    "static float grads[NET_WEIGHTS], loss;\n"
    "static int call(void *vars, void *packed, void *work)\n"
    "{\n"
    "	(void)packed;\n"
    "	return net_gradients_b4(vars, 0, 0, x, grads, &loss, z, work, NULL);\n"
    "}\n";

#define TRAINS_MATRIX(n)                                                                           \
	"#define REGION vars\n"                                                                        \
	"#define RESULT grads\n"                                                                       \
	"enum { SIZE = NET_VARS * 4, ROOM = NET_GRADIENTS_B" n "_WORK / 64 * 64 + 64 };\n"             \
	"static float grads[NET_WEIGHTS], loss;\n"                                                     \
	"static int call(void *vars, void *packed, void *work)\n"                                      \
	"{\n"                                                                                          \
	"	(void)packed;\n"                                                                             \
	"	return net_gradients_b" n "(vars, 0, 0, x, grads, &loss, z, work, NULL);\n"                \
	"}\n"

static const char trains_matrix[] = TRAINS_MATRIX("16");
static const char trains_matrix_by_one[] = TRAINS_MATRIX("1");

/* Prints how many lines of a region were asked for, and how often: for what is written, for the
 * first level of the cache, or past it; and what the bytes of a result come to. */
static const char program[] =
    "#include <stddef.h>\n"
    "#include <stdint.h>\n"
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "static unsigned char *region, *seen;\n"
    "static size_t size, total;\n"
    "static void note(const void *at, int store, int level)\n"
    "{\n"
    "	if (store != STORES || level != LEVEL) return;\n"
    "	size_t place = (size_t)((uintptr_t)at - (uintptr_t)region);\n"
    "	if (region && place < size) total++, seen[place / 64] = 1;\n"
    "}\n"
    "#define asked(at, store, level) note(at, store, level)\n"
    "#include \"spied.c\"\n"
    "static float x[4 * 4 * 56 * 56], z[64 * 56 * 56];\n"
    "#include \"call.c\"\n"
    "int main(void)\n"
    "{\n"
    "	size = SIZE;\n"
    "	void *work = aligned_alloc(64, ROOM);\n"
    "	seen = calloc(size / 64 + 1, 1);\n"
    "	float *vars = aligned_alloc(64, ((size_t)NET_VARS * 4 + 63) / 64 * 64);\n"
    "	void *packed = aligned_alloc(64, 1 << 22);\n"
    "	if (!work || !seen || !vars || !packed) return 1;\n"
    "	region = (unsigned char *)REGION;\n"
    "	net_init(vars, NULL, 1);\n"
    "	for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = (float)(i % 7) - 2;\n"
    "	int status = call(vars, packed, work);\n"
    "	size_t lines = 0, sum = 0;\n"
    "#ifdef RESULT\n"
    "	for (size_t i = 0; i < sizeof RESULT; i++) sum = 31 * sum + ((unsigned char *)RESULT)[i];\n"
    "#endif\n"
    "	for (size_t i = 0; i <= size / 64; i++) lines += seen[i];\n"
    "	printf(\"%zu %zu %zu\\n\", lines, total, sum);\n"
    "	return status;\n"
    "}\n";

/* What is asked for: `need` lines, with so many asks. */
typedef struct {
	const char *network, *call, *batch;
	int stores, level;
	size_t need, asks;
} Ask;

/* Of all lines the first few may be missed; half as many more than needed may be asked for. `sees`:
 * the processor sees rows by itself. Returns what the result comes to. */
static size_t check_as(Spawn *s, const char *target, bool sees, const Ask *a)
{
	size_t lines, total, sum;
	if (!target_runs("x86-64")) skip();
	if (!target_runs(target)) return 0;
	spawn_write(s, "net.lua", a->network);
	spawn_write(s, "main.c", program);
	spawn_write(s, "call.c", a->call);
	expect(s, 0, "cnnc net.lua -b %s --target %s --winograd none -o net.c", a->batch, target);
	expect(s, 0,
	    "sed -e 's/__builtin_prefetch(/asked(/' -e 's/__builtin_cpu_is(\"amd\")/%d/' net.c > "
	    "spied.c",
	    sees);
	expect(s, 0, "cc -DSTORES=%d -DLEVEL=%d -O1 main.c -lm -o main", a->stores, a->level);
	expect(s, 0, "./main");
	if (sscanf(s->out, "%zu %zu %zu", &lines, &total, &sum) != 3) fail_msg("'%s'", s->out);
	if (lines < a->need / 100 * 97 || lines > a->need / 100 * 110 || total < a->asks / 100 * 97 ||
	    total > a->asks / 2 * 3)
		fail_msg("%s: %zu lines of %zu, in %zu asks", target, lines, a->need, total);
	return sum;
}

static void check(Spawn *s, const char *target, const Ask *a) { check_as(s, target, false, a); }

static void check_all(Spawn *s, const Ask *a)
{
	check(s, "avx512", a);
	check(s, "avx2", a);
	check(s, "x86-64", a);
}

/* Of so many lines all by each pass over them, which makes 32 or 16 of 64 outputs. */
static void check_passes(Spawn *s, const char *network, const char *call, size_t lines)
{
	enum { WIDE_PASSES = 64 / 32, PASSES = 64 / 16 };
	Ask a = {network, call, "infer=1", 0, 3, lines, WIDE_PASSES * lines};
	check(s, "avx512", &a);
	a.asks = PASSES * lines;
	check(s, "avx2", &a);
	check(s, "x86-64", &a);
}

/* Of 16 blocks two are asked for by nobody. */
static void pixels_of_later_blocks_are_asked_for_in_each_pass(void **state)
{
	check_passes(*state, pixels, infers_y, LINES_OF_Y / 16 * 14);
}

static void pixels_of_few_blocks_are_asked_for_in_each_pass(void **state)
{
	check_passes(*state, few_blocks, infers, LINES_OF_Z);
}

/* By each tap the line that it has in the next row of windows. */
static void rows_of_a_pooling_are_asked_for(void **state)
{
	enum { BLOCKS = 256 / 16, LINES = BLOCKS * POOLED * POOLED };
	check_all(*state,
	    &(Ask){pooled, infers_y, "infer=1", 0, 3, LINES, BLOCKS * WINDOWS * WINDOWS * TAPS});
}

static void stores_are_asked_for_once(void **state)
{
	enum { LINES = LINES_OF_Y + LINES_OF_Z };
	check_all(*state, &(Ask){pixels, infers, "infer=1", 1, 3, LINES, LINES});
}

static void a_residual_is_asked_for_once(void **state)
{
	check_all(*state, &(Ask){residual, infers, "infer=1", 0, 3, LINES_OF_Y, LINES_OF_Y});
}

/* Each task reads x, two of them or four, and its part of dy; dy of the first layer is read once.
 */
static void a_next_chunk_is_asked_for_once(void **state)
{
	enum { EACH = 4 * LINES_OF_Z, WIDE_TASKS = 2, TASKS = 4 };
	Ask a = {chunks, trains, "train=4", 0, 2, 3 * EACH, (WIDE_TASKS + 2) * EACH};
	check(*state, "avx512", &a);
	a.asks = (TASKS + 2) * EACH;
	check(*state, "avx2", &a);
	check(*state, "x86-64", &a);
}

/* Of the first layer dy is asked for, of the second what each task has for itself. */
static void what_all_tasks_read_is_near(void **state)
{
	enum { BOTH = 2 * 4 * LINES_OF_NEAR };
	check_all(*state, &(Ask){near_chunks, trains, "train=4", 0, 2, BOTH, BOTH});
}

/* Each channel of the second layer has a tile for its taps, and all pass over the same rows. */
static void rows_that_all_tiles_pass_over_are_not_asked_for(void **state)
{
	enum { FIRST = 4 * LINES_OF_NEAR };
	check_all(*state, &(Ask){windows, trains, "train=4", 0, 2, FIRST, FIRST});
}

/* The convolution's result and its gradient, normalised numbers and their gradient: four, which
 * have two places. */
static void what_maps_write_is_asked_for(void **state)
{
	enum { EACH = 4 * LINES_OF_Z };
	check_all(*state, &(Ask){maps, trains, "train=4", 1, 3, 2 * EACH, 4 * EACH});
}

/* Where images are the lanes, rows of a tile by the tile before it. */
static void a_matrix_is_asked_for_once(void **state)
{
	check_all(
	    *state, &(Ask){matrix, trains_matrix, "train=16", 0, 2, LINES_OF_MATRIX, LINES_OF_MATRIX});
}

/* What lies so far behind a row's numbers is not the row's any more. */
static void a_matrix_that_is_near_is_not_asked_for(void **state)
{
	check_all(*state, &(Ask){near_matrix, trains_matrix_by_one, "train=1", 0, 3, 0, 0});
}

/* Forward by all processors, by data by those that do not see its rows; the numbers are the same.
 */
static void rows_are_asked_for_where_nobody_sees_them(void **state)
{
	enum { LINES = LINES_OF_ROWS };
	const char *const targets[] = {"avx512", "avx2", "x86-64"};
	Ask all = {rows, trains_matrix_by_one, "train=1", 0, 3, LINES, 2 * LINES};
	Ask forward = {rows, trains_matrix_by_one, "train=1", 0, 3, LINES, LINES};
	for (int i = 0; i < 3; i++) {
		size_t sum = check_as(*state, targets[i], false, &all);
		assert_true(sum != 0 || !target_runs(targets[i]));
		assert_true(sum == check_as(*state, targets[i], true, &forward));
	}
}

/* The first block comes as it is needed, and the tile of the last row has no third row of taps. */
static void a_next_block_of_weights_is_asked_for_once(void **state)
{
	enum { WIDE = 512 / 32, BLOCKS = 512 / 16, SEVENTHS = LINES_OF_WEIGHTS / 21 * 20 };
	Ask a = {weights, infers_packed, "infer=1", 0, 2, SEVENTHS / WIDE * (WIDE - 1), SEVENTHS};
	if (!target_runs("avx2")) skip();
	check(*state, "avx512", &a);
	a.need = SEVENTHS / BLOCKS * (BLOCKS - 1);
	check(*state, "avx2", &a);
}

/* By each of four tiles, the last of which has two of three rows of taps; of both blocks of lanes.
 */
static void weights_from_memory_are_asked_for_by_each_tile(void **state)
{
	enum { ASKS = LINES_OF_WEIGHTS / 3 * 11 };
	Ask a = {weights, infers_packed, "infer=1", 0, 3, LINES_OF_WEIGHTS, ASKS};
	if (!target_runs("avx512")) skip();
	check(*state, "avx512", &a);
}

/* By data, each tile reads taps that no other one does. */
static void taps_of_one_tile_are_not_shared(void **state)
{
	check_all(*state, &(Ask){whole, trains, "train=4", 0, 2, 0, 0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        pixels_of_later_blocks_are_asked_for_in_each_pass, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        pixels_of_few_blocks_are_asked_for_in_each_pass, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        rows_of_a_pooling_are_asked_for, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(stores_are_asked_for_once, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(a_residual_is_asked_for_once, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        a_next_chunk_is_asked_for_once, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(what_all_tasks_read_is_near, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        rows_that_all_tiles_pass_over_are_not_asked_for, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(what_maps_write_is_asked_for, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(a_matrix_is_asked_for_once, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        taps_of_one_tile_are_not_shared, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        a_matrix_that_is_near_is_not_asked_for, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        rows_are_asked_for_where_nobody_sees_them, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        a_next_block_of_weights_is_asked_for_once, spawn_setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(
	        weights_from_memory_are_asked_for_by_each_tile, spawn_setup, spawn_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
