/* Both LeNets against PyTorch, in double: outputs, every gradient, and a short training. The
 * numbers and how they are condensed: tests/reference/lenet.py. */
#define _POSIX_C_SOURCE 200809L
#include "../compiler/cnnc.h"
#include "../compiler/jit/jit.h"
#include "../runtime/formats/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
	SEED = 7,
	BATCH = 8,
	BATCHES = 4,
	STEPS = 20,
	PROJECTIONS = 32,
	PIXELS = 32 * 32,
	CLASSES = 10
};

/* The emitted interface, as its header has it. */
struct tensor {
	const char *name;
	size_t offset, count;
	uint32_t dim[4];
	uint8_t rank, kind;
};
struct train {
	double *vars, *slots;
	uint64_t seed, step;
	double rate, momentum, decay;
};
typedef struct {
	void (*init)(double *vars, double *slots, uint64_t seed);
	void (*pack)(const double *vars, void *packed);
	int (*infer)(const void *packed, const double *x, double *scores, void *work, const void *pool);
	int (*eval)(const double *vars, const double *x, const int32_t *label, double *loss,
	    double *scores, void *work, const void *pool);
	int (*gradients)(double *vars, uint64_t seed, uint64_t step, const double *x,
	    const int32_t *label, double *grads, double *loss, double *scores, void *work,
	    const void *pool);
	int (*update)(struct train *t, const double *grads);
	int (*step)(struct train *t, const double *x, const int32_t *label, double *loss,
	    double *scores, void *work, const void *pool);
	const struct tensor *tensor;
} Entries;

/* One variant, compiled one way, beside what PyTorch says. */
typedef struct {
	Arena *arena;
	jmp_buf out_of_memory;
	const char *variant, *target, *compiler; /* NULL: libtcc */
	cnnc_state *cnnc;
	Jit *jit;
	Entries lenet;
	Safetensors reference;
	double *vars, *slots, *grads, *x;
	int32_t *label;
	double loss, scores[BATCH * CLASSES];
	void *packed, *work;
} Fixture;

/* --- opening ------------------------------------------------------------------------------ */

/* The number behind `#define LENET_what` in the header. */
static size_t header_number(const Fixture *f, const char *what)
{
	const char *line = arena_printf(f->arena, "#define LENET_%s ", what);
	const char *at = strstr(cnnc_h_text(f->cnnc), line);
	if (!at) fail_msg("no LENET_%s", what);
	return (size_t)strtoull(at + strlen(line), NULL, 10);
}

static void *numbers(const Fixture *f, const char *what)
{
	return arena_alloc(f->arena, header_number(f, what), sizeof(double));
}

static void *bytes(const Fixture *f, const char *what)
{
	return arena_alloc(f->arena, header_number(f, what), 1);
}

static void emit(Fixture *f)
{
	const char *const option[][2] = {{"-D", arena_printf(f->arena, "variant=%s", f->variant)},
	    {"--real", "double"}, {"--target", f->target}, {"-b", "8"}, {"-o", "-"}};
	f->cnnc = cnnc_new();
	assert_non_null(f->cnnc);
	for (int i = 0; i < COUNT(option); i++)
		assert_int_equal(cnnc_option(f->cnnc, option[i][0], option[i][1]), CNNC_DONE);
	if (cnnc_compile_file(f->cnnc, "networks/lenet.lua") != CNNC_DONE)
		fail_msg("%s", cnnc_messages(f->cnnc));
}

static void find(const Fixture *f, void *function, const char *name)
{
	void *found = jit_symbol(f->jit, name);
	if (!found) fail_msg("no %s", name);
	memcpy(function, &found, sizeof found);
}

static void compile(Fixture *f)
{
	const char *error, *text = cnnc_c_text(f->cnnc);
	f->jit =
	    f->compiler ? jit_cc(f->arena, text, f->compiler, &error) : jit_tcc(f->arena, text, &error);
	if (!f->jit) fail_msg("%s", error);
	find(f, &f->lenet.init, "lenet_init");
	find(f, &f->lenet.pack, "lenet_pack");
	find(f, &f->lenet.infer, "lenet_infer_b8");
	find(f, &f->lenet.eval, "lenet_eval_b8");
	find(f, &f->lenet.gradients, "lenet_gradients_b8");
	find(f, &f->lenet.update, "lenet_update");
	find(f, &f->lenet.step, "lenet_step_b8");
	find(f, &f->lenet.tensor, "lenet_tensors");
}

static void take_memory(Fixture *f)
{
	f->vars = numbers(f, "VARS");
	f->slots = numbers(f, "SLOTS");
	f->grads = numbers(f, "WEIGHTS");
	f->packed = bytes(f, "PACKED_BYTES");
	f->work = bytes(f, "STEP_B8_WORK"); /* the most of all */
	assert_true(header_number(f, "INFER_B8_WORK") <= header_number(f, "STEP_B8_WORK"));
	assert_true(header_number(f, "EVAL_B8_WORK") <= header_number(f, "STEP_B8_WORK"));
	f->x = NEWS(f->arena, double, BATCH *PIXELS);
	f->label = NEWS(f->arena, int32_t, BATCH);
}

static void fixture_open(Fixture *f)
{
	FormatError e;
	emit(f);
	compile(f);
	take_memory(f);
	const char *path = arena_printf(f->arena, "tests/reference/lenet_%s.safetensors", f->variant);
	if (!safetensors_read(path, &f->reference, &e)) fail_msg("%s", e.text);
}

static void fixture_close(Fixture *f)
{
	safetensors_free(&f->reference);
	jit_free(f->jit);
	cnnc_free(f->cnnc);
	arena_free(f->arena);
	free(f);
}

/* --- what the reference was made from ------------------------------------------------------ */

static uint32_t mix(uint32_t i)
{
	uint32_t h = i * 0x9E3779B1u;
	h ^= h >> 15;
	h *= 0x85EBCA77u;
	h ^= h >> 13;
	h *= 0xC2B2AE3Du;
	return h ^ h >> 16;
}

static void load_batch(Fixture *f, uint32_t b)
{
	for (uint32_t i = 0; i < BATCH * PIXELS; i++)
		f->x[i] = (double)(mix(b * BATCH * PIXELS + i) >> 16) / 32768 - 1;
	for (uint32_t i = 0; i < BATCH; i++)
		f->label[i] = (int32_t)(mix(0x10000000u + b * BATCH + i) % CLASSES);
}

static void project(const double *t, size_t n, double *sum)
{
	for (int k = 0; k < PROJECTIONS; k++) sum[k] = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t h = mix(0x20000000u + i);
		for (int k = 0; k < PROJECTIONS; k++) sum[k] += h >> k & 1 ? t[i] : -t[i];
	}
}

static const double *expected(const Fixture *f, const char *name, size_t count)
{
	FormatError e;
	const SafetensorsTensor *t = safetensors_find(&f->reference, name);
	if (!t) fail_msg("the reference has no %s", name);
	if (t->count != count) fail_msg("%s: %zu numbers, expected %zu", name, t->count, count);
	double *x = NEWS(f->arena, double, count);
	if (!safetensors_doubles(t, x, &e)) fail_msg("%s", e.text);
	return x;
}

/* --- comparing ----------------------------------------------------------------------------- */

static double norm(const double *x, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
	return sqrt(sum);
}

/* |got - want| / |want|; NaN fails. */
static void near(
    const char *what, const double *got, const double *want, size_t n, double tolerance)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++) sum += (got[i] - want[i]) * (got[i] - want[i]);
	double distance = sqrt(sum) / norm(want, n);
	if (!(distance <= tolerance))
		fail_msg("%s: distance %g, more than %g", what, distance, tolerance);
}

/* A large tensor by its projections and its norm. */
static void near_projection(
    const Fixture *f, const char *what, const double *got, size_t n, double tolerance)
{
	double sum[PROJECTIONS], square = 0, length = norm(got, n);
	const double *want = expected(f, arena_printf(f->arena, "project %s", what), PROJECTIONS);
	double size = *expected(f, arena_printf(f->arena, "norm %s", what), 1);
	project(got, n, sum);
	for (int k = 0; k < PROJECTIONS; k++) square += (sum[k] - want[k]) * (sum[k] - want[k]);
	double distance = sqrt(square / PROJECTIONS) / size;
	if (!(distance <= tolerance))
		fail_msg("%s: distance %g, more than %g", what, distance, tolerance);
	if (!(fabs(length - size) <= tolerance * size))
		fail_msg("%s: norm %.17g, not %.17g", what, length, size);
}

static void start(Fixture *f)
{
	double sum[PROJECTIONS];
	f->lenet.init(f->vars, f->slots, SEED);
	project(f->vars, header_number(f, "WEIGHTS"), sum);
	const double *want = expected(f, "project start", PROJECTIONS);
	for (int k = 0; k < PROJECTIONS; k++)
		if (!(fabs(sum[k] - want[k]) <= 1e-9))
			fail_msg("first weights have changed: run tests/reference/lenet.py");
	load_batch(f, 0);
}

/* --- the tests ----------------------------------------------------------------------------- */

static void check_outputs(Fixture *f)
{
	const double *want = expected(f, "scores", BATCH * CLASSES);
	const double *losses = expected(f, "losses", STEPS);
	start(f);
	f->lenet.pack(f->vars, f->packed);
	assert_int_equal(f->lenet.infer(f->packed, f->x, f->scores, f->work, NULL), 0);
	near("inference", f->scores, want, BATCH * CLASSES, 1e-11);
	memset(f->scores, 0, sizeof f->scores);
	assert_int_equal(f->lenet.eval(f->vars, f->x, f->label, &f->loss, f->scores, f->work, NULL), 0);
	near("evaluation", f->scores, want, BATCH * CLASSES, 1e-11);
	near("its loss", &f->loss, losses, 1, 1e-11);
}

static void check_gradients(Fixture *f)
{
	enum { WEIGHT_KIND = 0 };
	size_t tensors = header_number(f, "TENSORS"), weights = 0;
	start(f);
	int status = f->lenet.gradients(
	    f->vars, SEED, 0, f->x, f->label, f->grads, &f->loss, f->scores, f->work, NULL);
	assert_int_equal(status, 0);
	near("scores", f->scores, expected(f, "scores", BATCH * CLASSES), BATCH * CLASSES, 1e-11);
	for (size_t i = 0; i < tensors; i++) {
		const struct tensor *t = &f->lenet.tensor[i];
		const double *got = f->grads + t->offset;
		const char *whole = arena_printf(f->arena, "grad %s", t->name);
		if (t->kind != WEIGHT_KIND) continue;
		weights++;
		if (safetensors_find(&f->reference, whole))
			near(t->name, got, expected(f, whole, t->count), t->count, 1e-9);
		else
			near_projection(f, t->name, got, t->count, 1e-9);
	}
	assert_true(weights >= 10);
}

static double metadata(const Fixture *f, const char *key)
{
	const char *text = safetensors_metadata(&f->reference, key);
	if (!text) fail_msg("the reference has no %s", key);
	return strtod(text, NULL);
}

static void check_training(Fixture *f)
{
	const double *want = expected(f, "losses", STEPS);
	struct train t = {.vars = f->vars,
	    .slots = f->slots,
	    .seed = SEED,
	    .rate = metadata(f, "rate"),
	    .momentum = metadata(f, "momentum")};
	start(f);
	for (uint32_t s = 0; s < STEPS; s++) {
		load_batch(f, s % BATCHES);
		assert_int_equal(f->lenet.step(&t, f->x, f->label, &f->loss, f->scores, f->work, NULL), 0);
		near(arena_printf(f->arena, "loss of step %d", (int)s), &f->loss, &want[s], 1, 1e-9);
	}
	assert_int_equal(t.step, STEPS);
	near_projection(f, "end", f->vars, header_number(f, "WEIGHTS"), 1e-9);
}

/* --- bits ------------------------------------------------------------------------------------- */

struct pool {
	void (*run)(void *self, void (*task)(void *arg, size_t i), void *arg, size_t n);
	void *self;
};

static void backwards(void *self, void (*task)(void *arg, size_t i), void *arg, size_t n)
{
	(void)self;
	while (n > 0) task(arg, --n);
}

/* Blocks may run in any order, and a step is its gradients and then the update. */
static void check_bits(Fixture *f)
{
	const struct pool pool = {.run = backwards};
	size_t n = header_number(f, "VARS");
	double *vars = NEWS(f->arena, double, n), loss;
	struct train t = {.vars = f->vars, .slots = f->slots, .rate = 0.01, .momentum = 0.9};
	start(f);
	for (int s = 0; s < 3; s++)
		assert_int_equal(f->lenet.step(&t, f->x, f->label, &loss, f->scores, f->work, NULL), 0);
	memcpy(vars, f->vars, n * sizeof *vars);
	start(f);
	t.step = 0;
	for (int s = 0; s < 3; s++) {
		int status = f->lenet.gradients(
		    f->vars, t.seed, t.step, f->x, f->label, f->grads, &f->loss, f->scores, f->work, &pool);
		assert_int_equal(status, 0);
		assert_int_equal(f->lenet.update(&t, f->grads), 0);
	}
	assert_memory_equal(vars, f->vars, n * sizeof *vars);
	assert_memory_equal(&loss, &f->loss, sizeof loss);
}

/* A wrong weight, gradient or step is seen: the comparisons are not blind. */
static void check_sight(Fixture *f)
{
	double sum[2][PROJECTIONS];
	size_t n = header_number(f, "WEIGHTS");
	start(f);
	project(f->vars, n, sum[0]);
	f->vars[n / 2] += 1e-7;
	project(f->vars, n, sum[1]);
	for (int k = 0; k < PROJECTIONS; k++)
		assert_true(fabs(fabs(sum[1][k] - sum[0][k]) - 1e-7) < 1e-11);
}

static void check_all(const char *variant, const char *target, const char *compiler)
{
	Fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	f->variant = variant;
	f->target = target;
	f->compiler = compiler;
	f->arena = arena_new(0);
	if (!f->arena || setjmp(f->out_of_memory)) fail_msg("out of memory");
	arena_guard(f->arena, &f->out_of_memory);
	fixture_open(f);
	check_outputs(f);
	check_gradients(f);
	check_training(f);
	check_bits(f);
	check_sight(f);
	fixture_close(f);
}

static bool machine_has_avx2(void)
{
#if defined __GNUC__ && defined __x86_64__
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
	return false;
#endif
}

#define TEST_PAIR(name, target, compiler)                                                          \
	static void modern_##name(void **state)                                                        \
	{                                                                                              \
		(void)state;                                                                               \
		check_all("modern", target, compiler);                                                     \
	}                                                                                              \
	static void paper_##name(void **state)                                                         \
	{                                                                                              \
		(void)state;                                                                               \
		check_all("paper", target, compiler);                                                      \
	}

TEST_PAIR(by_libtcc, "auto", NULL)
TEST_PAIR(by_a_system_compiler, "auto", "cc -O2")
TEST_PAIR(in_plain_c, "generic", "cc -O1")
#define NARROW_TARGET (machine_has_avx2() ? "avx2" : "generic")
TEST_PAIR(by_narrower_vectors, NARROW_TARGET, "cc -O2")

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(modern_by_libtcc),
	    cmocka_unit_test(modern_by_a_system_compiler),
	    cmocka_unit_test(modern_in_plain_c),
	    cmocka_unit_test(modern_by_narrower_vectors),
	    cmocka_unit_test(paper_by_libtcc),
	    cmocka_unit_test(paper_by_a_system_compiler),
	    cmocka_unit_test(paper_in_plain_c),
	    cmocka_unit_test(paper_by_narrower_vectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
