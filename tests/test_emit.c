/* The printer: every family of nests as C, for every target of this machine, by every compiler
 * there is, against the nest's own meaning. Nests, schedules and trees are proven by others; this
 * is about text. */
#define _XOPEN_SOURCE 700
#include "../compiler/emit/emit.h"
#include "emit_nests.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { TARGETS = 4, CASES_LIMIT = 64, MARGIN = 16 }; /* elements of 8 bytes */
static const char *const target_names[TARGETS] = {"avx512", "avx2", "x86-64", "generic"};

typedef struct {
	Arena *arena;
	jmp_buf out;
	char folder[64];
	/* by precision */
	const char *source[2];
	Scheduled *tree[2][TARGETS][CASES_LIMIT];
} Fixture;

static Fixture *fixture; /* the group's */

static const char *path(const char *name, bool is_double, const char *end)
{
	return arena_printf(
	    fixture->arena, "%s/%s%s%s", fixture->folder, name, is_double ? "64" : "32", end);
}

/* The schedule for a target, with its lanes put in. */
static const char *schedule_text(const NestCase *c, const Target *t, bool is_double)
{
	Text out;
	int lanes = t->vector_bytes / (is_double ? 8 : 4);
	text_init(&out, fixture->arena);
	for (const char *s = lanes || !c->scalar ? c->schedule : c->scalar; *s; s++) {
		if (*s == 'V')
			text_printf(&out, "%d", lanes ? lanes : 4);
		else
			text_addn(&out, s, 1);
	}
	return out.data;
}

static Scheduled *schedule_nest(Nest *n, const NestCase *c, const Target *t, bool is_double)
{
	Schedule schedule;
	Arena *a = fixture->arena;
	const char *wrong = nest_verify(a, n);
	if (!wrong) wrong = schedule_parse(a, n, schedule_text(c, t, is_double), &schedule);
	Scheduled *tree = wrong ? NULL : tree_build(a, n, &schedule, &wrong);
	if (tree) wrong = check_all(a, tree);
	if (wrong) fail_msg("%s for %s: %s", c->name, t->name, wrong);
	return tree;
}

static Scheduled *schedule_case(const NestCase *c, const Target *t, bool is_double)
{
	Nest *n = c->build(fixture->arena);
	/* every other case lies where the printer may take alignment for granted */
	for (int l = 0; l < n->nload; l++)
		n->load[l].buffer->place = (c - nest_cases) % 2 ? PLACE_WORK : PLACE_NONE;
	for (int k = 0; k < n->nstore; k++)
		n->store[k].to.buffer->place = (c - nest_cases) % 2 ? PLACE_PACKED : PLACE_NONE;
	return schedule_nest(n, c, t, is_double);
}

static const char *symbol_of(int i, int target)
{
	char *name = arena_printf(fixture->arena, "%s_%s", nest_cases[i].name, target_names[target]);
	for (char *s = name; *s; s++)
		if (*s == '-') *s = '_';
	return name;
}

/* All kernels for all targets in one file, each with a function that runs its blocks. */
static const char *print_all(bool is_double)
{
	Arena *a = fixture->arena;
	const Target *target[TARGETS];
	Text out;
	text_init(&out, a);
	text_add(
	    &out, "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n");
	for (int t = 0; t < TARGETS; t++) target[t] = target_find(target_names[t]);
	emit_prelude(&out, target, TARGETS, is_double);
	for (int t = 0; t < TARGETS; t++) {
		if (target[t]->guard) text_printf(&out, "#if %s\n", target[t]->guard);
		for (int i = 0; i < nest_case_count; i++) {
			const char *name = symbol_of(i, t);
			Scheduled *tree = schedule_case(&nest_cases[i], target[t], is_double);
			fixture->tree[is_double][t][i] = tree;
			emit_kernel(a, tree, target[t], is_double, name, &out);
			text_printf(&out, "void run_%s(const void *const *arg);\n", name);
			text_printf(&out, "void run_%s(const void *const *arg)\n{\n", name);
			text_printf(&out, "\tfor (size_t i = 0; i < %lld; i++) %s(arg, i);\n}\n",
			    (long long)tree_blocks(tree), name);
		}
		if (target[t]->guard) text_add(&out, "#endif\n");
	}
	const char *file = path("kernels", is_double, ".c");
	assert_null(file_write(a, file, out.data, out.len, false));
	return file;
}

static int group_setup(void **state)
{
	(void)state;
	fixture = calloc(1, sizeof *fixture);
	fixture->arena = arena_new(0);
	if (setjmp(fixture->out)) return -1;
	arena_guard(fixture->arena, &fixture->out);
	strcpy(fixture->folder, "/tmp/cnnc-emit-XXXXXX");
	if (!mkdtemp(fixture->folder) || nest_case_count > CASES_LIMIT) return -1;
	for (int d = 0; d < 2; d++) fixture->source[d] = print_all(d);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", fixture->folder);
	int status = system(command);
	arena_free(fixture->arena);
	free(fixture);
	return status;
}

static bool have(const char *compiler)
{
	char command[128];
	snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", compiler);
	return system(command) == 0;
}

/* --- numbers ------------------------------------------------------------------------------- */

typedef struct {
	const Buffer *buffer;
	double *want;
	unsigned char *block; /* MARGIN elements, the memory, MARGIN elements */
	void *memory;
	bool stored;
} Cell;

static size_t element_size(const Buffer *b, bool is_double)
{
	return b->type == TYPE_LABEL ? 4 : b->type == TYPE_SEED ? 8 : is_double ? 8 : 4;
}

static void put(const Cell *m, int64_t i, double x, bool is_double)
{
	if (m->buffer->type == TYPE_LABEL)
		((int32_t *)m->memory)[i] = (int32_t)x;
	else if (is_double)
		((double *)m->memory)[i] = x;
	else
		((float *)m->memory)[i] = (float)x;
}

static double get(const Cell *m, int64_t i, bool is_double)
{
	return is_double ? ((double *)m->memory)[i] : (double)((float *)m->memory)[i];
}

/* Small whole numbers, so that sums of products are exact in float; labels 0..6. */
static double number(uint64_t *seed, Type type)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	int64_t n = (int64_t)(*seed >> 33) % 7;
	return (double)(type == TYPE_LABEL ? n : n - 3);
}

static void memory_new(Cell *m, const Buffer *b, bool stored, bool is_double, uint64_t *seed)
{
	Arena *a = fixture->arena;
	size_t size = element_size(b, is_double), margin = MARGIN * 8;
	*m = (Cell){.buffer = b, .stored = stored};
	m->want = NEWS(a, double, b->size);
	m->block = aligned_alloc(64, ((size_t)b->size * size + 2 * margin + 63) / 64 * 64);
	memset(m->block, 0xa5, (size_t)b->size * size + 2 * margin);
	m->memory = m->block + margin;
	if (b->type == TYPE_SEED) {
		((uint64_t *)m->memory)[0] = 77;
		((uint64_t *)m->memory)[1] = 5;
		return;
	}
	for (int64_t i = 0; i < b->size; i++) {
		m->want[i] = number(seed, b->type);
		put(m, i, m->want[i], is_double);
	}
}

static bool margins_kept(const Cell *m, bool is_double)
{
	size_t size = (size_t)m->buffer->size * element_size(m->buffer, is_double), margin = MARGIN * 8;
	for (size_t i = 0; i < margin; i++)
		if (m->block[i] != 0xa5 || m->block[margin + size + i] != 0xa5) return false;
	return true;
}

/* Compares the logical elements; room beyond them may hold anything. */
static void compare(const Cell *m, const char *name, bool rounds, bool is_double)
{
	const Buffer *b = m->buffer;
	int64_t at[BUFFER_RANK] = {0};
	double tolerance = !rounds ? 0 : is_double ? 1e-12 : 2e-6;
	for (;;) {
		int64_t i = buffer_offset(b, at);
		double want = m->want[i], have_ = get(m, i, is_double);
		if (fabs(want - have_) > tolerance * fmax(1, fabs(want)) || isnan(have_) != isnan(want))
			fail_msg(
			    "%s: %s[%lld] is %.17g, expected %.17g", name, b->name, (long long)i, have_, want);
		int d = b->rank - 1;
		while (d >= 0 && ++at[d] == b->shape[d]) at[d--] = 0;
		if (d < 0) return;
	}
}

static void run_case(void *library, int i, int t, bool is_double)
{
	const NestCase *c = &nest_cases[i];
	const Scheduled *tree = fixture->tree[is_double][t][i];
	const Buffer *buffer[NEST_LOADS + NEST_STORES];
	Cell memory[NEST_LOADS + NEST_STORES];
	double *by_id[NEST_LOADS + NEST_STORES];
	const void *arg[NEST_LOADS + NEST_STORES];
	int n = kernel_buffers(tree->nest, buffer);
	uint64_t seed = 1;
	for (int b = 0; b < n; b++) {
		bool stored = false;
		for (int k = 0; k < tree->nest->nstore; k++)
			stored |= tree->nest->store[k].to.buffer == buffer[b];
		memory_new(&memory[b], buffer[b], stored, is_double, &seed);
		((Buffer *)buffer[b])->id = b;
		by_id[b] = memory[b].want;
		arg[b] = memory[b].memory;
	}
	run_naive(tree->nest, &(Machine){by_id, 77, 5});
	void (*run)(const void *const *) = NULL;
	const char *name = arena_printf(fixture->arena, "run_%s", symbol_of(i, t));
	*(void **)&run = dlsym(library, name);
	if (!run) fail_msg("%s is missing", name);
	run(arg);
	for (int b = 0; b < n; b++) {
		if (!margins_kept(&memory[b], is_double))
			fail_msg("%s: wrote around %s", name, buffer[b]->name);
		if (buffer[b]->type == TYPE_REAL)
			compare(&memory[b], name, c->rounds && memory[b].stored, is_double);
		free(memory[b].block);
	}
}

static bool target_here(int t, bool vectors)
{
#if defined __x86_64__
	if (t == 0)
		return vectors && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
	if (t == 1) return vectors && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	if (t == 2) return vectors;
#endif
	return t == TARGETS - 1;
}

static void compile_and_run(const char *compiler, const char *command, bool is_double, bool vectors)
{
	if (!have(compiler)) skip();
	const char *library = path(compiler, is_double, ".so");
	const char *line = arena_printf(fixture->arena, "%s -shared -fPIC -o %s %s -lm", command,
	    library, fixture->source[is_double]);
	assert_int_equal(system(line), 0);
	void *loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!loaded) fail_msg("%s", dlerror());
	for (int t = 0; t < TARGETS; t++)
		for (int i = 0; i < nest_case_count && target_here(t, vectors); i++)
			run_case(loaded, i, t, is_double);
	dlclose(loaded);
}

#define RUN_TEST(name, compiler, command, is_double, vectors)                                      \
	static void name(void **state)                                                                 \
	{                                                                                              \
		(void)state;                                                                               \
		compile_and_run(compiler, command, is_double, vectors);                                    \
	}
RUN_TEST(gcc_text_computes_the_nest_in_float, "gcc", "gcc -std=c11 -O2", false, true)
RUN_TEST(gcc_text_computes_the_nest_in_double, "gcc", "gcc -std=gnu11 -O1", true, true)
RUN_TEST(clang_text_computes_the_nest_in_float, "clang", "clang -std=c11 -O2", false, true)
RUN_TEST(clang_text_computes_the_nest_in_double, "clang", "clang -std=c11 -O1", true, true)
RUN_TEST(tcc_text_computes_the_nest_in_float, "tcc", "tcc -Wall -Werror", false, false)
RUN_TEST(tcc_text_computes_the_nest_in_double, "tcc", "tcc -Wall -Werror", true, false)

/* --- the text itself ----------------------------------------------------------------------- */

static void the_text_has_no_warning(void **state)
{
	(void)state;
	static const char *const commands[][2] = {{"gcc", "gcc -std=c11"}, {"gcc", "gcc -std=gnu11"},
	    {"g++", "g++ -x c++ -std=c++17"}, {"clang", "clang -std=c11"},
	    {"clang++", "clang++ -x c++ -std=c++17"}};
	for (int i = 0; i < COUNT(commands); i++) {
		for (int d = 0; d < 2; d++) {
			if (!have(commands[i][0])) continue;
			const char *line = arena_printf(fixture->arena,
			    "%s -Wall -Wextra -Wconversion -Wshadow -Wundef -Wdouble-promotion -Werror "
			    "-fsyntax-only %s",
			    commands[i][1], fixture->source[d]);
			if (system(line) != 0) fail_msg("%s", line);
		}
	}
}

static void the_same_nest_gives_the_same_bytes(void **state)
{
	(void)state;
	char *before, *after;
	size_t n, m;
	assert_null(file_read(fixture->arena, fixture->source[0], 1 << 24, &before, &n));
	print_all(false);
	assert_null(file_read(fixture->arena, fixture->source[0], 1 << 24, &after, &m));
	assert_int_equal(n, m);
	assert_memory_equal(before, after, n);
}

static int count_lines_with(const char *file, const char *word)
{
	char command[512], line[64] = "";
	snprintf(command, sizeof command, "objdump -d %s | grep -c '%s'", file, word);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof line, p));
	pclose(p);
	return atoi(line);
}

/* -std=c11 would switch contraction off in gcc; and vector maxima are one instruction. */
static void plain_c11_gets_fma_and_max_instructions(void **state)
{
	(void)state;
	if (!have("gcc") || !have("objdump") || !target_here(TARGETS - 2, true)) skip();
	const char *object = path("fma", false, ".o");
	assert_int_equal(system(arena_printf(fixture->arena, "gcc -std=c11 -O2 -c -o %s %s", object,
	                     fixture->source[0])),
	    0);
	assert_true(count_lines_with(object, "vfmadd.*zmm") > 100);
	assert_true(count_lines_with(object, "vfmadd.*ymm") > 100);
	assert_true(count_lines_with(object, "vmaxps.*zmm") > 10);
	assert_true(count_lines_with(object, "vmaxps.*ymm") > 10);
}

static void buffers_are_named_once_loads_first(void **state)
{
	(void)state;
	const Buffer *buffer[NEST_LOADS + NEST_STORES];
	for (int i = 0; i < nest_case_count; i++) {
		if (strcmp(nest_cases[i].name, "adam") != 0) continue;
		Nest *n = nest_cases[i].build(fixture->arena);
		assert_int_equal(kernel_buffers(n, buffer), 5);
		for (int k = 0; k < n->nstore; k++) assert_ptr_not_equal(n->store[k].to.buffer, buffer[0]);
	}
}

/* A hot loop's instructions count where a core is shared: an offset goes through CNNC_KEEP, which
 * is a move, only if what lies there is read in another turn or copy, and would fill registers. */
static void offsets_are_kept_where_loads_come_again(void **state)
{
	static const struct {
		const char *schedule;
		bool again;
	} cases[] = {
	    {"n | oh | tile ow 6 | oc 16 | reg ow | reg oc V | vec oc V | kh | cut kw | ic 16 | ic",
	        false},
	    {"n | oh | tile ow 6 | oc 16 | reg ow | reg oc V | vec oc V | kh | cut kw | ic 2 | unroll "
	     "ic",
	        false},
	    {"n | oh | tile ow 6 | oc 16 | reg ow | reg oc V | vec oc V | ic | kh | cut kw", true},
	    {"n | oh | tile ow 6 | oc 16 | reg ow | reg oc V | vec oc V | ic | kh | unroll kw", true},
	};
	(void)state;
	const Target *t = target_find("avx2");
	for (int i = 0; i < COUNT(cases); i++) {
		NestCase c = nest_cases[0];
		Text out;
		c.schedule = cases[i].schedule;
		text_init(&out, fixture->arena);
		const Scheduled *tree = schedule_nest(c.build(fixture->arena), &c, t, false);
		emit_kernel(fixture->arena, tree, t, false, "kernel", &out);
		if (!strstr(out.data, "CNNC_KEEP(") == cases[i].again)
			fail_msg("%s: %s", c.schedule, out.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_text_has_no_warning),
	    cmocka_unit_test(gcc_text_computes_the_nest_in_float),
	    cmocka_unit_test(gcc_text_computes_the_nest_in_double),
	    cmocka_unit_test(clang_text_computes_the_nest_in_float),
	    cmocka_unit_test(clang_text_computes_the_nest_in_double),
	    cmocka_unit_test(tcc_text_computes_the_nest_in_float),
	    cmocka_unit_test(tcc_text_computes_the_nest_in_double),
	    cmocka_unit_test(plain_c11_gets_fma_and_max_instructions),
	    cmocka_unit_test(offsets_are_kept_where_loads_come_again),
	    cmocka_unit_test(the_same_nest_gives_the_same_bytes),
	    cmocka_unit_test(buffers_are_named_once_loads_first),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
