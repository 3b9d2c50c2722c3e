/* lenet_step: the emitted LeNet as one of the peers that tests/bench/bench.py times in turn.
 *
 *   lenet_step FOLDER [COMMAND OF THE C COMPILER]
 *
 * Compiles networks/lenet.lua as a user would and writes first weights and data to FOLDER, so that
 * all peers begin with the same. Then it answers lines of the standard input, one line each:
 *
 *   info             what it is
 *   losses B         losses of the first steps with batch B, from the first weights
 *   train B SECONDS  seconds of processor time a step takes, a mean over at least SECONDS
 *   infer B SECONDS  the same for inference
 *
 * A step is forward, loss, backward and SGD with momentum 0.9; one thread. */
#define _POSIX_C_SOURCE 200809L
#include "../../compiler/cnnc.h"
#include "../../compiler/jit/jit.h"
#include "common/machine.h"

#include <stdlib.h>

enum { MOST = 64, PIXELS = 32 * 32, CLASSES = 10, LOSSES = 5 };
static const float RATE = 0.01f, MOMENTUM = 0.9f;

struct train {
	float *vars, *slots;
	uint64_t seed, step;
	float rate, momentum, decay;
};
typedef int Step(struct train *t, const float *x, const int32_t *label, float *loss, float *scores,
    void *work, const void *pool);
typedef int Infer(const void *packed, const float *x, float *scores, void *work, const void *pool);

typedef struct {
	Arena *arena;
	cnnc_state *cnnc;
	Jit *jit;
	void (*init)(float *vars, float *slots, uint64_t seed);
	void (*pack)(const float *vars, void *packed);
	Step *step[2]; /* batch 1, batch 64 */
	Infer *infer[2];
	struct train t;
	float *x, loss, scores[MOST * CLASSES];
	int32_t label[MOST];
	void *packed, *work;
	size_t weights;
} Peer;

static void fail(const char *what)
{
	fprintf(stderr, "lenet_step: %s\n", what);
	exit(1);
}

/* --- compiling ----------------------------------------------------------------------------- */

static size_t header_number(const Peer *p, const char *what)
{
	const char *line = arena_printf(p->arena, "#define LENET_%s ", what);
	const char *at = strstr(cnnc_h_text(p->cnnc), line);
	if (!at) fail(line);
	return (size_t)strtoull(at + strlen(line), NULL, 10);
}

static void find(const Peer *p, void *function, const char *name)
{
	void *found = jit_symbol(p->jit, name);
	if (!found) fail(name);
	memcpy(function, &found, sizeof found);
}

static void compile(Peer *p, const char *cc)
{
	static const char *const option[][2] = {{"-D", "variant=modern"}, {"-b", "1,64"}, {"-o", "-"}};
	const char *error;
	p->cnnc = cnnc_new();
	if (!p->cnnc) fail("out of memory");
	for (int i = 0; i < COUNT(option); i++)
		if (cnnc_option(p->cnnc, option[i][0], option[i][1]) != CNNC_DONE) fail(option[i][0]);
	if (cnnc_compile_file(p->cnnc, "networks/lenet.lua") != CNNC_DONE) fail(cnnc_messages(p->cnnc));
	p->jit = jit_cc(p->arena, cnnc_c_text(p->cnnc), cc, &error);
	if (!p->jit) fail(error);
	find(p, &p->init, "lenet_init");
	find(p, &p->pack, "lenet_pack");
	find(p, &p->step[0], "lenet_step_b1");
	find(p, &p->step[1], "lenet_step_b64");
	find(p, &p->infer[0], "lenet_infer_b1");
	find(p, &p->infer[1], "lenet_infer_b64");
}

/* --- first weights and data ------------------------------------------------------------------ */

static void begin(Peer *p)
{
	p->t.step = 0;
	p->init(p->t.vars, p->t.slots, 1);
	p->pack(p->t.vars, p->packed);
}

static void make_data(Peer *p)
{
	uint32_t h = 1;
	p->x = NEWS(p->arena, float, MOST *PIXELS);
	for (int i = 0; i < MOST * PIXELS; i++) {
		h = h * 1664525 + 1013904223;
		p->x[i] = (float)(h >> 8) * 0x1p-23f - 1;
	}
	for (int i = 0; i < MOST; i++) p->label[i] = i * 7 % CLASSES;
}

static void take_memory(Peer *p)
{
	size_t work = MAX(header_number(p, "STEP_B64_WORK"), header_number(p, "INFER_WORK"));
	p->weights = header_number(p, "WEIGHTS");
	p->t.vars = NEWS(p->arena, float, header_number(p, "VARS"));
	p->t.slots = NEWS(p->arena, float, header_number(p, "SLOTS"));
	p->t.rate = RATE;
	p->t.momentum = MOMENTUM;
	p->packed = NEWS(p->arena, char, header_number(p, "PACKED_BYTES"));
	p->work = NEWS(p->arena, char, work);
}

static void write_file(
    const Peer *p, const char *folder, const char *name, const void *data, size_t size)
{
	const char *wrong =
	    file_write(p->arena, arena_printf(p->arena, "%s/%s", folder, name), data, size, false);
	if (wrong) fail(wrong);
}

/* --- answers --------------------------------------------------------------------------------- */

static void one_step(Peer *p, int which)
{
	if (p->step[which](&p->t, p->x, p->label, &p->loss, p->scores, p->work, NULL))
		fail("a step failed");
}

static void one_inference(Peer *p, int which)
{
	if (p->infer[which](p->packed, p->x, p->scores, p->work, NULL)) fail("an inference failed");
}

static void answer_losses(Peer *p, int which)
{
	begin(p);
	for (int i = 0; i < LOSSES; i++) {
		one_step(p, which);
		printf("%s%.9g", i ? " " : "", (double)p->loss);
	}
	printf("\n");
}

/* A training that went on for thousands of steps would look at other numbers than one that did not:
 * each answer begins at the first weights. */
static void answer_time(Peer *p, void (*run)(Peer *p, int which), int which, double least)
{
	long calls = 0;
	begin(p);
	run(p, which);
	double start = cpu_seconds(), end;
	do {
		for (int i = 0; i < (which ? 1 : 16); i++, calls++) run(p, which);
		end = cpu_seconds();
	} while (end - start < least);
	printf("%.9g\n", (end - start) / (double)calls);
}

static void serve(Peer *p, const char *cc)
{
	char line[128], word[16];
	while (fgets(line, sizeof line, stdin)) {
		int batch = 0, which;
		double least = 0;
		int n = sscanf(line, "%15s %d %lf", word, &batch, &least);
		which = batch == 64;
		if (n == 1 && !strcmp(word, "info"))
			printf("cnnc %s, %s\n", cnnc_version(), cc);
		else if (n == 2 && !strcmp(word, "losses") && (which || batch == 1))
			answer_losses(p, which);
		else if (n == 3 && !strcmp(word, "train") && (which || batch == 1))
			answer_time(p, one_step, which, least);
		else if (n == 3 && !strcmp(word, "infer") && (which || batch == 1))
			answer_time(p, one_inference, which, least);
		else
			fail(arena_printf(p->arena, "not understood: %s", line));
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	jmp_buf out_of_memory;
	Peer *p = calloc(1, sizeof *p);
	const char *cc = argc > 2 ? argv[2] : "cc -O2";
	if (argc < 2) fail("usage: lenet_step FOLDER [COMPILER]");
	if (!p || !(p->arena = arena_new(0)) || setjmp(out_of_memory)) fail("out of memory");
	arena_guard(p->arena, &out_of_memory);
	compile(p, cc);
	take_memory(p);
	make_data(p);
	begin(p);
	write_file(p, argv[1], "vars", p->t.vars, p->weights * sizeof *p->t.vars);
	write_file(p, argv[1], "x", p->x, MOST * PIXELS * sizeof *p->x);
	write_file(p, argv[1], "label", p->label, sizeof p->label);
	serve(p, cc);
	jit_free(p->jit);
	cnnc_free(p->cnnc);
	arena_free(p->arena);
	free(p);
	return 0;
}
