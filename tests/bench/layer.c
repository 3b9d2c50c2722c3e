/* layer: single layers as cnnc makes them, as a peer of tests/bench/layers.py.
 *
 *   layer FOLDER THREADS [COMMAND OF THE C COMPILER]
 *
 * Opens "PASS BATCH LAYER", the layer as in common/layer.h: writes its C to FOLDER, and answers
 * with the path, NAME.c. Who asks compiles it to NAME.so, which is loaded when it is needed. What
 * is timed are the steps that make the layer's result, not the copies into layouts; forward and by
 * data they are fused with a ReLU, as the results are: max(0, y). */
#define _POSIX_C_SOURCE 200809L
#include "../../compiler/emit/emit.h"
#include "../../runtime/pool.h"
#include "common/answer.h"
#include "common/job.h"
#include "common/machine.h"

#include <dlfcn.h>
#include <stdlib.h>

typedef struct {
	const char *folder, *library;
	const Target *target;
	Pool *pool; /* NULL: one thread */
	struct cnnc_pool tasks;
	Layer layer;
	Job job;
	void *handle; /* the library's; NULL: not loaded */
} Peer;

static void close_layer(Peer *p)
{
	if (p->handle) {
		job_free(&p->job);
		dlclose(p->handle);
	}
	p->handle = NULL;
	arena_free(p->job.arena);
	p->job = (Job){.program = "layer"};
}

static const char *open_layer(void *self, const char *words)
{
	jmp_buf out_of_memory;
	Peer *p = self;
	Job *j = &p->job;
	close_layer(p);
	j->arena = arena_new(0);
	if (!j->arena || setjmp(out_of_memory)) job_fail(j, "out of memory");
	arena_guard(j->arena, &out_of_memory);
	if (!layer_read_case(words, &p->layer, &j->pass, &j->batch)) job_fail(j, "not a layer");
	j->layer = &p->layer;
	j->target = p->target;
	job_compile(j);
	const char *text = job_text(j);
	const char *stem = arena_printf(j->arena, "%s/%s_%s_b%lld", p->folder, p->layer.name,
	    pass_names[j->pass], (long long)j->batch);
	const char *source = arena_printf(j->arena, "%s.c", stem);
	const char *wrong = file_write(j->arena, source, text, strlen(text), true);
	if (wrong) job_fail(j, wrong);
	p->library = arena_printf(j->arena, "%s.so", stem);
	return source;
}

/* --- running ------------------------------------------------------------------------------ */

typedef struct {
	StepCode code;
	const void *const *arg;
} Task;

static void run_block(void *self, size_t block)
{
	const Task *t = self;
	t->code(t->arg, block);
}

/* As entries of a program do. */
static void run_step(Peer *p, int s)
{
	Task task = {p->job.code[s], p->job.arg[s]};
	const Step *step = &p->job.part->step.at[s];
	size_t blocks = (size_t)tree_blocks(step->tree[0]);
	if (p->pool && blocks > 1 && !step->is_short)
		p->tasks.run(p->tasks.self, run_block, &task, blocks);
	else
		for (size_t b = 0; b < blocks; b++) run_block(&task, b);
}

static const Buffer *result_of(const Peer *p, int s)
{
	return p->job.part->step.at[s].nest->store[0].to.buffer;
}

static void load_layer(Peer *p)
{
	Job *j = &p->job;
	p->handle = dlopen(p->library, RTLD_NOW | RTLD_LOCAL);
	if (!p->handle) job_fail(j, dlerror());
	j->code = NEWS(j->arena, StepCode, j->part->step.n);
	for (int s = 0; s < j->part->step.n; s++)
		*(void **)&j->code[s] = dlsym(p->handle, arena_printf(j->arena, "step_%d", s));
	job_place(j);
}

/* Steps that make the layer's result, with the zeros where no sum is, and what becomes of parts. */
static void call(void *self)
{
	Peer *p = self;
	if (!p->handle) load_layer(p);
	for (int s = 0; s < p->job.part->step.n; s++)
		if (job_is_layer(&p->job, s) || result_of(p, s) == result_of(p, p->job.step))
			run_step(p, s);
}

static void check(void *self, const char *path)
{
	Peer *p = self;
	if (!p->handle) load_layer(p);
	int last = p->job.part->step.n - 1;
	for (int s = 0; s <= last; s++) run_step(p, s);
	const Buffer *y = result_of(p, last);
	const char *data = (const char *)job_buffer(&p->job, y);
	const char *wrong =
	    file_write(p->job.arena, path, data, (size_t)y->size * sizeof(float), false);
	if (wrong) job_fail(&p->job, wrong);
}

int main(int argc, char **argv)
{
	jmp_buf out_of_memory;
	Peer p = {.job.program = "layer"};
	Arena *a = arena_new(0);
	if (argc < 3) job_fail(&p.job, "usage: layer FOLDER THREADS [COMPILER [TARGET]]");
	if (!a || setjmp(out_of_memory)) job_fail(&p.job, "out of memory");
	arena_guard(a, &out_of_memory);
	p.folder = argv[1];
	p.target = target_here(a, argc > 4 ? argv[4] : NULL, argc > 3 ? argv[3] : "cc -O2");
	if (!p.target) job_fail(&p.job, "no such target runs here");
	if (atoi(argv[2]) > 1) {
		p.pool = pool_new(atoi(argv[2]));
		if (!p.pool) job_fail(&p.job, "no threads");
		p.tasks = pool_shared(p.pool);
	}
	const char *info = arena_printf(a, "cnnc %s", CNNC_VERSION);
	answer_all(&(Answers){"layer", info, open_layer, check, call, &p});
	close_layer(&p);
	pool_free(p.pool);
	arena_free(a);
	return 0;
}
