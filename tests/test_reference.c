/* Whole networks against PyTorch, in double: outputs, losses, running statistics and every
 * gradient, of those in examples/networks or, with CNNC_CHECK=full, of those in networks/. The
 * numbers, and how they are condensed and described: record() of tests/reference/networks.py. */
#define _XOPEN_SOURCE 700
#include "../compiler/cnnc.h"
#include "../compiler/jit/jit.h"
#include "../runtime/formats/safetensors.h"
#include "jobs.h"
#include "machine.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SIGNS = 8, DIGEST = 1 + SIGNS, LIMIT = 16, SEED = 1, STEP = 1, WEIGHT = 0, BUFFER = 1 };
static const double gate = 1e-11, gradient_gate = 1e-9;

struct tensor {
	const char *name;
	size_t offset, count;
	uint32_t dim[4];
	uint8_t rank, kind;
};

/* An argument of the entries. */
typedef struct {
	const char *name;
	size_t count;
	uint32_t limit; /* its numbers are whole and below; 0: from -1 to 1 */
	bool label, output;
	void *at; /* int32_t for labels, else double */
} Argument;

/* One network, compiled one way, beside what PyTorch says. */
typedef struct {
	Arena *arena;
	const Safetensors *file;
	const char *name, *target, *compiler;
	const char *wrong; /* the first that is */
	cnnc_state *cnnc;
	Jit *jit;
	Argument argument[LIMIT];
	int arguments;
	const char *batch;
	const struct tensor *tensor;
	size_t tensors;
	double *vars, *grads, *loss;
	void *packed, *work;
	void (*pack)(const double *vars, void *packed);
	int (*gradients)(double *vars, double *grads, double *loss, void *const *p, void *work);
	int (*infer)(const void *packed, void *const *p, void *work);
} Fixture;

static bool fault(Fixture *f, const char *message)
{
	if (!f->wrong) f->wrong = message;
	return false;
}

/* --- what the file says -------------------------------------------------------------------------
 */

/* "" and an error when there is no such entry. `what` may be NULL. */
static const char *metadata(Fixture *f, const char *what)
{
	const char *key = what ? arena_printf(f->arena, "%s.%s", f->name, what) : f->name;
	const char *text = safetensors_metadata(f->file, key);
	if (!text) fault(f, arena_printf(f->arena, "the file says nothing of %s", key));
	return text ? text : "";
}

/* The next word of *text, or NULL. */
static const char *next_word(Arena *a, const char **text)
{
	*text += strspn(*text, " ");
	size_t n = strcspn(*text, " ");
	const char *word = n ? arena_printf(a, "%.*s", (int)n, *text) : NULL;
	*text += n;
	return word;
}

/* "x=24576", "label=2#10", "same=4<2", ">logits=20". */
static bool read_argument(Fixture *f, const char *word)
{
	Argument *a = &f->argument[f->arguments];
	char *end;
	if (f->arguments >= LIMIT) return fault(f, "too many arguments");
	a->output = *word == '>';
	word += a->output;
	size_t n = strcspn(word, "=");
	a->name = arena_printf(f->arena, "%.*s", (int)n, word);
	a->count = word[n] ? strtoull(word + n + 1, &end, 10) : 0;
	if (a->count == 0) return fault(f, arena_printf(f->arena, "what is %s?", word));
	a->label = *end == '#';
	if (*end) a->limit = (uint32_t)strtoul(end + 1, NULL, 10);
	f->arguments++;
	return true;
}

static const double *expected(Fixture *f, const char *what, size_t count)
{
	FormatError e;
	const char *name = arena_printf(f->arena, "%s.%s", f->name, what);
	const SafetensorsTensor *t = safetensors_find(f->file, name);
	double *x = NEWS(f->arena, double, count);
	if (!t || t->count != count) {
		fault(f, arena_printf(f->arena, "%s is not %zu numbers", name, count));
		for (size_t i = 0; i < count; i++) x[i] = NAN;
	} else if (!safetensors_doubles(t, x, &e)) {
		fault(f, arena_copy(f->arena, e.text));
	}
	return x;
}

/* --- the network --------------------------------------------------------------------------------
 */

/* Calls the entries by arrays of pointers. */
static const char *call_text(Fixture *f)
{
	Text t;
	const char *word, *seen = metadata(f, "infer");
	text_init(&t, f->arena);
	text_add(&t,
	    "int call_gradients(double *vars, double *grads, double *loss, void *const *p, void "
	    "*work);\nint call_infer(const void *packed, void *const *p, void *work);\n");
	text_printf(&t,
	    "int call_gradients(double *vars, double *grads, double *loss, void *const *p, void "
	    "*work)\n"
	    "{\n\treturn net_gradients_b%s(vars, %d, %d",
	    f->batch, (int)SEED, (int)STEP);
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < f->arguments; i++)
			if (f->argument[i].output == pass) text_printf(&t, ", p[%d]", i);
		if (pass == 0) text_add(&t, ", grads, loss");
	}
	text_printf(&t,
	    ", work, 0);\n}\nint call_infer(const void *packed, void *const *p, void *work)\n"
	    "{\n\treturn net_infer_b%s(packed",
	    f->batch);
	while ((word = next_word(f->arena, &seen)))
		for (int i = 0; i < f->arguments; i++)
			if (!strcmp(f->argument[i].name, word + (*word == '>'))) text_printf(&t, ", p[%d]", i);
	text_add(&t, ", work, 0);\n}\n");
	return t.data;
}

/* The number behind `#define NET_what` in the header. */
static size_t header_number(Fixture *f, const char *what)
{
	const char *line = arena_printf(f->arena, "#define NET_%s ", what);
	const char *at = strstr(cnnc_h_text(f->cnnc), line);
	if (!at) fault(f, arena_printf(f->arena, "no NET_%s", what));
	return at ? (size_t)strtoull(at + strlen(line), NULL, 10) : 1;
}

static bool option(Fixture *f, const char *name, const char *value)
{
	return cnnc_option(f->cnnc, name, value) == CNNC_DONE || fault(f, cnnc_messages(f->cnnc));
}

static bool emit(Fixture *f)
{
	const char *text = metadata(f, NULL), *word;
	f->cnnc = cnnc_new();
	if (!f->cnnc) return fault(f, "out of memory");
	f->batch = next_word(f->arena, &text);
	const char *file = next_word(f->arena, &text);
	if (!file) return fault(f, "no file");
	while ((word = next_word(f->arena, &text)))
		if (!option(f, "-D", word)) return false;
	if (!option(f, "--prefix", "net") || !option(f, "--real", "double") || !option(f, "-o", "-") ||
	    !option(f, "--target", f->target) || !option(f, "-b", f->batch))
		return false;
	text = metadata(f, "gradients");
	while ((word = next_word(f->arena, &text)))
		if (!read_argument(f, word)) return false;
	return cnnc_compile_file(f->cnnc, file) == CNNC_DONE || fault(f, cnnc_messages(f->cnnc));
}

static void find(Fixture *f, void *function, const char *name)
{
	void *found = jit_symbol(f->jit, name);
	if (!found) fault(f, arena_printf(f->arena, "no %s", name));
	memcpy(function, &found, sizeof found);
}

static bool compile(Fixture *f)
{
	const char *error, *text;
	text = arena_printf(f->arena, "%s%s", cnnc_c_text(f->cnnc), call_text(f));
	f->jit =
	    f->compiler ? jit_cc(f->arena, text, f->compiler, &error) : jit_tcc(f->arena, text, &error);
	if (!f->jit) return fault(f, error);
	find(f, &f->pack, "net_pack");
	find(f, &f->gradients, "call_gradients");
	find(f, &f->infer, "call_infer");
	find(f, &f->tensor, "net_tensors");
	return !f->wrong;
}

/* --- numbers ------------------------------------------------------------------------------------
 */

static uint32_t mix(uint32_t i)
{
	uint32_t h = i * 0x9E3779B1u;
	h ^= h >> 15;
	h *= 0x85EBCA77u;
	h ^= h >> 13;
	h *= 0xC2B2AE3Du;
	return h ^ h >> 16;
}

static double drawn(size_t i) { return (double)(mix((uint32_t)i) >> 16) / 32768 - 1; }

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && !strcmp(s + n - m, end);
}

/* He's weights, uniform; running statistics begin at 0. */
static void draw_weights(const struct tensor *t, double *at)
{
	double fan = 1;
	for (int d = 1; d < t->rank; d++) fan *= t->dim[d];
	double bound = sqrt(6 / fan);
	for (size_t i = 0; i < t->count; i++) {
		double u = drawn(t->offset + i);
		at[i] = t->kind == BUFFER            ? 0
		        : ends_with(t->name, "bias") ? u / 8
		        : t->rank == 1               ? 1 + u / 2
		                                     : u * bound;
	}
}

static void draw_input(Fixture *f, int number)
{
	Argument *a = &f->argument[number];
	uint32_t start = 0x40000000u + ((uint32_t)number << 24);
	int32_t *label = a->label ? NEWS(f->arena, int32_t, a->count) : NULL;
	double *real = a->label ? NULL : NEWS(f->arena, double, a->count);
	a->at = a->label ? (void *)label : (void *)real;
	for (uint32_t i = 0; i < a->count && !a->output; i++) {
		if (a->label)
			label[i] = (int32_t)(mix(start + i) % a->limit);
		else
			real[i] = a->limit ? mix(start + i) % a->limit : drawn(start + i);
	}
}

static void take_memory(Fixture *f)
{
	const char *infer = arena_printf(f->arena, "INFER_B%s_WORK", f->batch);
	const char *gradients = arena_printf(f->arena, "GRADIENTS_B%s_WORK", f->batch);
	f->tensors = header_number(f, "TENSORS");
	f->vars = NEWS(f->arena, double, header_number(f, "VARS"));
	f->grads = NEWS(f->arena, double, header_number(f, "WEIGHTS"));
	f->loss = NEWS(f->arena, double, LIMIT);
	f->packed = arena_alloc(f->arena, header_number(f, "PACKED_BYTES"), 1);
	f->work = arena_alloc(f->arena, MAX(header_number(f, infer), header_number(f, gradients)), 1);
	for (size_t i = 0; i < f->tensors; i++)
		if (f->tensor[i].kind <= BUFFER) draw_weights(&f->tensor[i], f->vars + f->tensor[i].offset);
	for (int i = 0; i < f->arguments; i++) draw_input(f, i);
}

/* The norm, and SIGNS sums with signs that mix() draws. */
static void digest(const double *x, size_t n, double *out)
{
	for (int k = 0; k < DIGEST; k++) out[k] = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t h = mix(0x20000000u + (uint32_t)i);
		out[0] += x[i] * x[i];
		for (int k = 0; k < SIGNS; k++) out[1 + k] += h >> k & 1 ? x[i] : -x[i];
	}
	out[0] = sqrt(out[0]);
}

/* How far x is from the tensor whose digest is given: the mean square of the sums' differences
 * estimates the squared distance. */
static double distance_from(const double *x, size_t n, const double *want)
{
	double got[DIGEST], square = 0;
	digest(x, n, got);
	for (int k = 1; k < DIGEST; k++) square += (got[k] - want[k]) * (got[k] - want[k]);
	return isnan(square) || !(want[0] > 0)
	           ? INFINITY
	           : fmax(sqrt(square / SIGNS), fabs(got[0] - want[0])) / want[0];
}

static void near(
    Fixture *f, const char *what, const double *x, size_t n, const double *want, double tolerance)
{
	double distance = distance_from(x, n, want);
	if (!(distance <= tolerance))
		fault(
		    f, arena_printf(f->arena, "%s: distance %g, more than %g", what, distance, tolerance));
}

/* --- the tests ----------------------------------------------------------------------------------
 */

static void check_outputs(Fixture *f, const char *what)
{
	size_t outputs = 0, n = 0;
	for (int i = 0; i < f->arguments; i++) outputs += f->argument[i].output;
	const double *want = expected(f, what, outputs * DIGEST);
	for (int i = 0; i < f->arguments; i++) {
		const Argument *a = &f->argument[i];
		if (!a->output) continue;
		near(f, arena_printf(f->arena, "%s: %s", what, a->name), a->at, a->count,
		    want + n++ * DIGEST, gate);
		memset(a->at, 0, a->count * sizeof(double));
	}
}

/* All tensors of the kind, which begin at `from`. */
static void check_tensors(
    Fixture *f, const char *what, int kind, const double *from, double tolerance)
{
	size_t count = 0, n = 0;
	for (size_t i = 0; i < f->tensors; i++) count += f->tensor[i].kind == kind;
	if (count == 0) return;
	const double *want = expected(f, what, count * DIGEST);
	for (size_t i = 0; i < f->tensors; i++) {
		const struct tensor *t = &f->tensor[i];
		if (t->kind != kind) continue;
		near(f, arena_printf(f->arena, "%s: %s", what, t->name), from + t->offset, t->count,
		    want + n++ * DIGEST, tolerance);
	}
}

static void check_losses(Fixture *f)
{
	const SafetensorsTensor *t =
	    safetensors_find(f->file, arena_printf(f->arena, "%s.loss", f->name));
	if (!t || t->count > LIMIT) {
		fault(f, "no losses");
		return;
	}
	const double *want = expected(f, "loss", t->count);
	for (size_t i = 0; i < t->count; i++)
		if (!(fabs(f->loss[i] - want[i]) <= gate * fabs(want[i])))
			fault(f, arena_printf(f->arena, "loss %zu: %.17g, not %.17g", i, f->loss[i], want[i]));
}

/* One number of the first gradient that is off is seen: the comparison is not blind. */
static void check_sight(Fixture *f)
{
	const struct tensor *t = f->tensor;
	double want[DIGEST], *x = f->grads + t->offset;
	digest(x, t->count, want);
	x[t->count / 2] += want[0] * gradient_gate * 2;
	if (distance_from(x, t->count, want) <= gradient_gate) fault(f, "a wrong gradient is not seen");
}

static void check_network(Fixture *f)
{
	void *p[LIMIT];
	if (!emit(f) || !compile(f)) return;
	take_memory(f);
	for (int i = 0; i < f->arguments; i++) p[i] = f->argument[i].at;
	if (f->wrong) return;
	if (f->gradients(f->vars, f->grads, f->loss, p, f->work) != 0) fault(f, "gradients fail");
	check_outputs(f, "training");
	check_losses(f);
	check_tensors(f, "gradients", WEIGHT, f->grads, gradient_gate);
	check_sight(f);
	for (size_t i = 0; i < f->tensors; i++) { /* a tenth of the batch's statistics, from 0 */
		const struct tensor *t = &f->tensor[i];
		for (size_t k = 0; k < t->count && t->kind == BUFFER; k++) f->vars[t->offset + k] *= 10;
	}
	check_tensors(f, "statistics", BUFFER, f->vars, gate);
	f->pack(f->vars, f->packed);
	if (f->infer(f->packed, p, f->work) != 0) fault(f, "inference fails");
	check_outputs(f, "inference");
}

static const char *run(Job *job, Arena *a, void *self)
{
	Fixture *f = self;
	f->arena = a;
	job_at(job, f->name);
	check_network(f);
	const char *wrong = f->wrong ? arena_printf(a, "%s, %s, by %s: %s", f->name, f->target,
	                                   f->compiler ? f->compiler : "libtcc", f->wrong)
	                             : NULL;
	jit_free(f->jit);
	cnnc_free(f->cnnc);
	return wrong;
}

/* A way to compile; a compiler NULL: libtcc. */
typedef struct {
	const char *target, *compiler;
} Way;

static const char *wide(void) { return target_runs("avx2") ? "avx2" : "auto"; }

/* All networks of the file, each in these ways. */
static void check_file(const char *path, const Way *way, int ways)
{
	FormatError e;
	Safetensors file;
	jmp_buf out_of_memory;
	Vec(JobSpec) job = {0};
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) fail_msg("out of memory");
	arena_guard(a, &out_of_memory);
	if (!safetensors_read(path, &file, &e)) fail_msg("%s", e.text);
	const char *names = safetensors_metadata(&file, "networks"), *name;
	assert_non_null(names);
	while ((name = next_word(a, &names)))
		for (int w = 0; w < ways; w++) {
			Fixture *f = NEW(a, Fixture);
			*f = (Fixture){
			    .file = &file, .name = name, .target = way[w].target, .compiler = way[w].compiler};
			JobSpec spec = {.name = name, .self = f, .run = run};
			vec_push(a, job, spec);
		}
	assert_true(job.n >= 3);
	const char *wrong = jobs_run(a, job.at, job.n);
	if (wrong) fail_msg("%s", wrong);
	safetensors_free(&file);
	arena_free(a);
}

static void examples_are_pytorch_s(void **state)
{
	const Way way[] = {{wide(), "cc -O1"}, {"generic", NULL}};
	(void)state;
	check_file("tests/reference/examples.safetensors", way, COUNT(way));
}

static void networks_are_pytorch_s(void **state)
{
	const Way way[] = {{wide(), "cc -O1"}};
	(void)state;
	check_file("tests/reference/networks.safetensors", way, COUNT(way));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(examples_are_pytorch_s)};
	const struct CMUnitTest large[] = {cmocka_unit_test(networks_are_pytorch_s)};
	const struct CMUnitTest *run = check_is_full() ? large : tests;
	return _cmocka_run_group_tests("reference", run, 1, NULL, NULL);
}
