/* step: what cnnc emitted for a network, as one of the peers that tests/bench/bench.py times in
 * turn.
 *
 *   step FOLDER DATA infer|train BATCH THREADS CLASSES RATE
 *
 * FOLDER has net.so, its header net.h and the first weights, vars; DATA has the images x and the
 * labels label; RATE is that of the steps that are compared. What is checked are outputs, or the
 * losses of the first steps.
 *
 * A training step is forward, loss, backward and SGD with momentum. The network is any with one
 * image, one output and, for training, one label. */
#define _POSIX_C_SOURCE 200809L
#include "../../compiler/cnnc.h"
#include "../../runtime/pool.h"
#include "../../compiler/base.h"
#include "common/answer.h"

#include <dlfcn.h>
#include <stdlib.h>

enum { FIRST_STEPS = 3, MOST_LOSSES = 8 };
/* The steps that are timed are to see the same numbers for ever. */
static const float TIMED_RATE = 1e-7f, MOMENTUM = 0.9f, DECAY = 1e-4f;

struct train {
	float *vars, *slots;
	uint64_t seed, step;
	float rate, momentum, decay;
};
typedef int Step(struct train *t, const float *x, const int32_t *label, float *loss, float *scores,
    void *work, const struct cnnc_pool *pool);
typedef int Infer(
    const void *packed, const float *x, float *scores, void *work, const struct cnnc_pool *pool);

typedef struct {
	Arena *arena;
	const char *folder, *header;
	void *library;
	Step *step; /* one of the two */
	Infer *infer;
	struct train t;
	Pool *pool; /* NULL: one thread */
	struct cnnc_pool tasks, *shared;
	const float *x;
	const int32_t *label;
	float loss[MOST_LOSSES], *scores;
	void *packed, *work;
	size_t count; /* of scores */
	int batch;
} Peer;

static void fail(const char *what)
{
	fprintf(stderr, "step: %s\n", what);
	exit(1);
}

static char *read_whole(const Peer *p, const char *folder, const char *name, size_t *size)
{
	char *data;
	const char *path = arena_printf(p->arena, "%s/%s", folder, name);
	const char *wrong = file_read(p->arena, path, SIZE_MAX / 2, &data, size);
	if (wrong) fail(wrong);
	return data;
}

/* A constant of the header. */
static size_t constant(const Peer *p, const char *name)
{
	const char *line = arena_printf(p->arena, "#define NET_%s ", name);
	const char *at = strstr(p->header, line);
	if (!at) fail(arena_printf(p->arena, "no %s in net.h", name));
	return (size_t)strtoull(at + strlen(line), NULL, 10);
}

static void *function(const Peer *p, const char *name)
{
	void *found = dlsym(p->library, name);
	if (!found) fail(dlerror());
	return found;
}

static void *memory(size_t count, size_t size)
{
	void *m = calloc(count ? count : 1, size);
	if (!m) fail("out of memory");
	return m;
}

static void load_weights(Peer *p)
{
	size_t size, vars = constant(p, "VARS");
	p->t.vars = (float *)(void *)read_whole(p, p->folder, "vars", &size);
	if (size != vars * sizeof *p->t.vars) fail("vars has another size than the network");
}

static void load_inference(Peer *p)
{
	void (*pack)(const float *vars, void *packed);
	*(void **)&pack = function(p, "net_pack");
	*(void **)&p->infer = function(p, arena_printf(p->arena, "net_infer_b%d", p->batch));
	p->packed = memory(constant(p, "PACKED_BYTES"), 1);
	p->work = memory(constant(p, arena_printf(p->arena, "INFER_B%d_WORK", p->batch)), 1);
	pack(p->t.vars, p->packed);
}

static void load_training(Peer *p, float rate)
{
	*(void **)&p->step = function(p, arena_printf(p->arena, "net_step_b%d", p->batch));
	p->work = memory(constant(p, arena_printf(p->arena, "STEP_B%d_WORK", p->batch)), 1);
	p->t.slots = memory(constant(p, "SLOTS"), sizeof *p->t.slots);
	p->t.seed = 1;
	p->t.rate = rate;
	p->t.momentum = MOMENTUM;
	p->t.decay = DECAY;
}

static void load(Peer *p, char **argument)
{
	size_t size;
	int threads = atoi(argument[4]);
	bool train = !strcmp(argument[2], "train");
	p->folder = argument[0];
	p->batch = atoi(argument[3]);
	p->header = read_whole(p, p->folder, "net.h", &size);
	p->library = dlopen(arena_printf(p->arena, "%s/net.so", p->folder), RTLD_NOW | RTLD_LOCAL);
	if (!p->library) fail(dlerror());
	p->x = (const float *)(void *)read_whole(p, argument[1], "x", &size);
	p->label = (const int32_t *)(void *)read_whole(p, argument[1], "label", &size);
	if (size / sizeof *p->label < (size_t)p->batch) fail("fewer labels than the batch");
	p->count = (size_t)p->batch * (size_t)atoi(argument[5]);
	p->scores = memory(p->count, sizeof *p->scores);
	if (threads > 1) {
		p->pool = pool_new(threads);
		if (!p->pool) fail("no threads");
		p->tasks = pool_shared(p->pool);
		p->shared = &p->tasks;
	}
	load_weights(p);
	if (train) load_training(p, strtof(argument[6], NULL));
	if (!train) load_inference(p);
}

static void unload(Peer *p)
{
	pool_free(p->pool);
	free(p->t.slots);
	free(p->packed);
	free(p->work);
	free(p->scores);
	dlclose(p->library);
}

static void call(void *self)
{
	Peer *p = self;
	int status = p->step ? p->step(&p->t, p->x, p->label, p->loss, p->scores, p->work, p->shared)
	                     : p->infer(p->packed, p->x, p->scores, p->work, p->shared);
	if (status != CNNC_OK) fail(arena_printf(p->arena, "a call returned %d", status));
}

static void check(void *self, const char *path)
{
	Peer *p = self;
	float losses[FIRST_STEPS];
	for (int i = 0; i < (p->step ? FIRST_STEPS : 1); i++) {
		call(p);
		losses[i] = p->loss[0];
	}
	p->t.rate = TIMED_RATE;
	const char *data = (const char *)(p->step ? losses : p->scores);
	size_t size = p->step ? sizeof losses : p->count * sizeof *p->scores;
	const char *wrong = file_write(p->arena, path, data, size, false);
	if (wrong) fail(wrong);
}

int main(int argc, char **argv)
{
	jmp_buf out_of_memory;
	Peer *p = calloc(1, sizeof *p);
	if (argc != 8) fail("usage: step FOLDER DATA infer|train BATCH THREADS CLASSES RATE");
	if (!p || !(p->arena = arena_new(0)) || setjmp(out_of_memory)) fail("out of memory");
	arena_guard(p->arena, &out_of_memory);
	load(p, argv + 1);
	const char *info = arena_printf(p->arena, "cnnc %s", cnnc_version());
	answer_all(&(Answers){"step", info, NULL, check, call, p});
	unload(p);
	arena_free(p->arena);
	free(p);
	return 0;
}
