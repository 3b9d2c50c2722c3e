/* What schedules the networks get: every contraction of some size runs in vectors, in every entry,
 * for every target that has them. */
#include "../compiler/driver.h"
#include "../compiler/frontend/frontend.h"
#include "../compiler/schedule/schedule.h"
#include "scheduled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <glob.h>
#include <stdio.h>

#include <cmocka.h>

/* The channels that are summed, where both factors have them: a vector may hold parts of the sum.
 */
static int64_t summed_channels(const Nest *n)
{
	int64_t most = 0;
	for (int d = 0; d < n->ndim; d++) {
		int factors = 0, channels = 0;
		for (int k = 0; k < n->nload && n->dim[d].reduce; k++)
			for (int at = 0; at < n->load[k].buffer->rank; at++) {
				factors += affine_k(&n->load[k].at[at].a, d) != 0;
				channels += at == 1 && affine_k(&n->load[k].at[at].a, d) == 1;
			}
		if (factors == 2 && channels) most = MAX(most, n->dim[d].extent);
	}
	return most;
}

/* The longest dim that runs along outputs or channels of what is stored: of fewer than a vector
 * holds, in a buffer that has others beside them, no vector can be made; but where many channels
 * are summed. */
static int64_t most_lanes(const Nest *n)
{
	const Access *to = &n->store[0].to;
	int64_t most = summed_channels(n) >= 32 ? summed_channels(n) : 0;
	int part = n->ndim && strcmp(n->dim[0].name, "part") == 0; /* may lead */
	for (int at = 0; at < MIN(to->buffer->rank, 2 + part); at++)
		for (int d = 0; d < n->ndim; d++)
			if (affine_k(&to->at[at].a, d) == 1) most = MAX(most, n->dim[d].extent);
	return most;
}

static int check_part(const char *file, const Program *program, const Part *p)
{
	enum { SOME = 20000 };
	int seen = 0;
	for (int s = 0; s < p->step.n; s++) {
		const Step *step = &p->step.at[s];
		if (step->macs < SOME) continue;
		for (int t = 0; t < program->ntarget; t++) {
			int lanes = program->target[t]->vector_bytes / 4;
			if (!lanes || most_lanes(step->nest) < MAX(lanes, 8)) continue;
			seen++;
			if (tree_lanes(step->tree[t]) < 2)
				fail_msg("%s, %s: %s is scalar for %s", file, p->name, step->comment,
				    program->target[t]->name);
		}
	}
	return seen;
}

/* A gradient by weights finds the pixels of an image side by side, not those of 16 images. */
static int check_images(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		if (strcmp(n->name, "conv_dw") != 0) continue;
		for (int k = 0; k < n->nload; k++) {
			const Buffer *b = n->load[k].buffer;
			for (int i = 0; i < b->ncomp; i++)
				if (b->comp[i].dim == 0 && b->comp[i].mod)
					fail_msg("%s: %s has images in blocks", file, b->name);
			seen++;
		}
	}
	return seen;
}

static int check_convolutions(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	for (int s = 0; s < p->step.n; s++) {
		const Step *step = &p->step.at[s];
		if (strncmp(step->nest->name, "conv", 4) != 0) continue;
		if (tree_lanes(step->tree[0]) < 2)
			fail_msg("%s, %s: %s is scalar for %s", file, p->name, step->comment,
			    program->target[0]->name);
		seen++;
	}
	return seen;
}

/* Whatever takes some time has parts for several threads. */
static int check_shared(const char *file, const Program *program, const Part *p)
{
	enum { MOVED = 1 << 18, MULTIPLIED = 1 << 23 };
	int seen = 0;
	if (p->kind == ENTRY_PACK) return 0;
	for (int s = 0; s < p->step.n; s++) {
		const Step *step = &p->step.at[s];
		int64_t points = 1;
		for (int d = 0; d < step->nest->ndim; d++) points *= step->nest->dim[d].extent;
		if (points < (step->macs ? MULTIPLIED : MOVED)) continue;
		for (int t = 0; t < program->ntarget; t++)
			if (tree_blocks(step->tree[t]) < 2)
				fail_msg("%s, %s: %s is one task for %s", file, p->name, step->comment,
				    program->target[t]->name);
		seen++;
	}
	return seen;
}

/* Another thread takes longer to begin than these take. */
static int check_little(const char *file, const Program *program, const Part *p)
{
	enum { LITTLE = 1 << 14 };
	int seen = 0;
	for (int s = 0; s < p->step.n; s++) {
		const Step *step = &p->step.at[s];
		if (step->macs == 0 || step->macs >= LITTLE) continue;
		for (int t = 0; t < program->ntarget; t++)
			if (tree_blocks(step->tree[t]) > 1)
				fail_msg("%s, %s: %s is several tasks for %s", file, p->name, step->comment,
				    program->target[t]->name);
		seen++;
	}
	return seen;
}

/* Values of a vec line's dim that a tile without lanes takes one by one; adds to *narrow what tiles
 * have less than its lanes. */
static int64_t most_single(const Tree *t, const Line *vec, int *narrow)
{
	int64_t most = 1, lanes = 0;
	for (int r = 0; r < t->nreg && t->kind == TREE_TILE; r++) {
		if (t->reg[r].lanes) lanes = t->reg[r].count;
		if (t->reg[r].dim == vec->dim) most *= t->reg[r].count;
	}
	if (lanes) most = 1;
	*narrow += lanes && lanes < vec->by;
	for (int i = 0; i < t->kid.n; i++) most = MAX(most, most_single(t->kid.at[i], vec, narrow));
	return most;
}

/* Of what is left of a row behind its vectors, three numbers at the most have none. */
static int check_ends(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	for (int s = 0; s < p->step.n; s++)
		for (int t = 0; t < program->ntarget; t++) {
			const Step *step = &p->step.at[s];
			const Scheduled *tree = step->tree[t];
			const Line *vec = NULL;
			for (int i = 0; i < tree->schedule.n && step->macs; i++)
				if (tree->schedule.line[i].kind == LINE_VEC) vec = &tree->schedule.line[i];
			for (int i = 0; i < tree->root.n && vec; i++)
				if (most_single(tree->root.at[i], vec, &seen) >= LEAST_LANES)
					fail_msg("%s, %s: %s is scalar at its ends for %s", file, p->name,
					    step->comment, program->target[t]->name);
		}
	return seen;
}

/* The gradients behind a picture's 3x3 taps are large, and read once: a tile has all channels. */
static int check_pictures(const char *file, const Program *program, const Part *p)
{
	enum { CHANNELS = 3, TAPS = 27 };
	int seen = 0;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		const Schedule *schedule = &p->step.at[s].tree[0]->schedule;
		int64_t tile = 1;
		bool picture = false;
		for (int d = 0; d < n->ndim; d++)
			picture |= !strcmp(n->dim[d].name, "ic") && n->dim[d].extent == CHANNELS;
		if (!picture || strcmp(n->name, "conv_dw") != 0) continue;
		for (int i = 0; i < schedule->n; i++)
			if (schedule->line[i].kind == LINE_REG) tile *= n->dim[schedule->line[i].dim].extent;
		if (tile != TAPS) fail_msg("%s: a tile of %lld taps", file, (long long)tile);
		seen++;
	}
	return seen;
}

static void contractions_run_in_vectors(void **state)
{
	glob_t found = {0};
	int seen = 0;
	(void)state;
	assert_int_equal(glob("networks/*.lua", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		seen += check_network(found.gl_pathv[i], "auto", WINOGRAD_NONE, 64, check_part);
	assert_int_equal(glob("tests/networks/*.lua", GLOB_APPEND, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		for (int none = 0; none < 2; none++)
			seen += check_network(
			    found.gl_pathv[i], "auto", none ? WINOGRAD_NONE : WINOGRAD_ALL, 2, check_part);
	seen += check_network("tests/networks/cheap.lua", "auto", WINOGRAD_NONE, 64, check_part);
	seen += check_network("tests/networks/thin.lua", "auto", WINOGRAD_NONE, 64, check_part);
	globfree(&found);
	assert_true(seen > 20);
}

/* LeNet's convolutions have 6 channels: no other target is there to lend shorter vectors. */
static void few_channels_run_in_vectors_for_one_target(void **state)
{
	static const char *const target[] = {"avx512", "avx2", "x86-64", "neon"};
	(void)state;
	for (int t = 0; t < COUNT(target); t++)
		assert_true(check_network(
		                "networks/lenet.lua", target[t], WINOGRAD_NONE, 2, check_convolutions) > 8);
}

static void images_lie_one_after_the_other(void **state)
{
	(void)state;
	assert_true(
	    check_network("networks/resnet_cifar.lua", "avx2", WINOGRAD_NONE, 16, check_images) > 20);
}

static void gradients_of_pictures_are_read_once(void **state)
{
	(void)state;
	assert_true(
	    check_network("networks/inception_v3.lua", "avx512", WINOGRAD_NONE, 2, check_pictures) > 0);
}

static void threads_share_whatever_takes_time(void **state)
{
	static const char *const file[] = {"lenet", "alexnet", "googlenet", "resnet", "resnet_cifar"};
	static const char *const target[] = {"avx512", "avx2"};
	static const int64_t batch[] = {1, 16};
	int seen = 0;
	(void)state;
	for (int i = 0; i < COUNT(file); i++)
		for (int b = 0; b < COUNT(batch); b++) {
			char path[64];
			snprintf(path, sizeof path, "networks/%s.lua", file[i]);
			for (int t = 0; t < COUNT(target); t++)
				seen += check_network(path, target[t], WINOGRAD_NONE, batch[b], check_shared);
		}
	assert_true(seen > 1000);
}

/* Tiles' turns are shared by four threads at least, where there are as many. */
static int check_groups(const char *file, const Program *program, const Part *p)
{
	enum { TASKS = 4 };
	int seen = 0;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		if (!n->join || nest_turns(n) < TASKS) continue;
		if (n->dim[0].extent < TASKS)
			fail_msg("%s, %s: %s has %lld tasks of %lld turns", file, p->name,
			    p->step.at[s].comment, (long long)n->dim[0].extent, (long long)nest_turns(n));
		seen++;
	}
	return seen;
}

static void threads_share_the_turns_of_groups(void **state)
{
	static const char *const file[] = {"googlenet", "resnet", "inception_v3"};
	(void)state;
	for (int i = 0; i < COUNT(file); i++) {
		char path[64];
		snprintf(path, sizeof path, "networks/%s.lua", file[i]);
		assert_true(check_network(path, "avx512", WINOGRAD_ALL, 16, check_groups) > 20);
	}
}

static int64_t loads_from(const Nest *n, const Buffer *b)
{
	int64_t count = 0;
	for (int l = 0; l < n->nload; l++) count += n->load[l].buffer == b;
	return count;
}

/* Gradients of few weights have parts of the images for tasks, which together are those; gradients
 * by the data of a dense layer parts of the rows. */
static int check_parts(const char *file, const Program *program, const Part *p)
{
	int found = 0;
	(void)program;
	for (int s = 1; s < p->step.n; s++) {
		if (strcmp(p->step.at[s].nest->name, "parts") != 0) continue;
		const Nest *sums = p->step.at[s - 1].nest;
		if (strcmp(sums->dim[0].name, "part") != 0)
			fail_msg("%s: %s has no parts", file, sums->layer);
		const Buffer *sum = sums->store[0].to.buffer;
		assert_int_equal(sums->dim[0].extent, loads_from(p->step.at[s].nest, sum));
		if (tree_blocks(p->step.at[s - 1].tree[0]) % sums->dim[0].extent)
			fail_msg("%s: parts of %s are no tasks", file, sums->layer);
		found++;
	}
	return found;
}

/* Threads get nearly the same of convolutions' gradients by the weights of one image. */
static int check_even(const char *file, const Program *program, const Part *p)
{
	int found = 0;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		if (strcmp(n->name, "conv_dw") != 0) continue;
		int64_t tasks = tree_blocks(p->step.at[s].tree[0]);
		if (tasks % 2 && tasks > 1 && tasks < 8)
			fail_msg("%s: %s has %lld tasks", file, n->layer, (long long)tasks);
		found++;
	}
	return found;
}

/* Masks that phases decide leave lanes to the channels. */
static int check_adaptive(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	for (int s = 0; s < p->step.n; s++) {
		const Step *step = &p->step.at[s];
		if (strncmp(step->nest->name, "adaptive", 8) != 0) continue;
		for (int t = 0; t < program->ntarget; t++)
			if (program->target[t]->vector_bytes && tree_lanes(step->tree[t]) < 2)
				fail_msg("%s, %s: %s is scalar for %s", file, p->name, step->comment,
				    program->target[t]->name);
		seen++;
	}
	return seen;
}

static void adaptive_pooling_runs_in_vectors(void **state)
{
	(void)state;
	int seen = check_network("tests/networks/near.lua", "auto", WINOGRAD_ALL, 4, check_adaptive);
	assert_int_equal(seen, 2 * (1 + 1 + 2 + 2)); /* of rows and of columns, in each entry */
}

static void little_is_one_task(void **state)
{
	(void)state;
	assert_true(
	    check_network("tests/networks/packs.lua", "auto", WINOGRAD_NONE, 2, check_little) > 4);
}

static void ends_of_rows_run_in_vectors(void **state)
{
	(void)state;
	assert_true(check_network("tests/networks/ends.lua", "auto", WINOGRAD_NONE, 1, check_ends) > 8);
	assert_true(
	    check_network("tests/networks/ends.lua", "auto", WINOGRAD_NONE, 16, check_ends) > 8);
}

/* Gradients by data of one image: what nothing else shares has four vectors at once. */
static int check_chains(const char *file, const Program *program, const Part *p)
{
	enum { VECTORS = 4 };
	int seen = 0;
	for (int s = 0; s < p->step.n; s++) {
		const Step *step = &p->step.at[s];
		if (strcmp(step->nest->name, "dense_dx") != 0) continue;
		for (int t = 0; t < program->ntarget; t++) {
			const Schedule *schedule = &step->tree[t]->schedule;
			int64_t width = 0;
			for (int i = 1; i < schedule->n; i++)
				if (schedule->line[i].kind == LINE_REG) width = schedule->line[i - 1].by;
			if (width != VECTORS * tree_lanes(step->tree[t]))
				fail_msg("%s, %s: %s has tiles of %lld for %s", file, p->name, step->comment,
				    (long long)width, program->target[t]->name);
			seen++;
		}
	}
	return seen;
}

static void sums_of_one_image_go_on_side_by_side(void **state)
{
	(void)state;
	assert_true(
	    check_network("networks/alexnet.lua", "avx512", WINOGRAD_NONE, 1, check_chains) > 2);
	assert_true(check_network("networks/alexnet.lua", "avx2", WINOGRAD_NONE, 1, check_chains) > 2);
}

static void gradients_of_one_image_have_even_tasks(void **state)
{
	(void)state;
	assert_true(
	    check_network("networks/googlenet.lua", "avx512", WINOGRAD_NONE, 1, check_even) > 50);
	assert_true(check_network("networks/googlenet.lua", "avx2", WINOGRAD_NONE, 1, check_even) > 50);
}

/* Gradients by weights that go through some rows of an image at a time. */
static int count_chunked(const char *file, const Program *program, const Part *p)
{
	int found = 0;
	(void)file;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		if (strcmp(n->name, "conv_dw") != 0) continue;
		const Schedule *schedule = &p->step.at[s].tree[0]->schedule;
		for (int i = 0; i < schedule->n; i++) {
			const Line *l = &schedule->line[i];
			if (l->kind != LINE_FOR || l->by == 1 || !n->dim[l->dim].reduce) continue;
			found += l->by < n->dim[l->dim].extent;
			break;
		}
	}
	return found;
}

/* Of layers that the second-level cache holds only the one that steps, over 64 KB, in two entries.
 */
static void little_that_windows_step_over_has_chunks(void **state)
{
	static const char network[] = "networks/resnet_cifar.lua";
	(void)state;
	assert_int_equal(check_network(network, "avx512", WINOGRAD_NONE, 1, count_chunked), 2);
	assert_int_equal(check_network(network, "avx2", WINOGRAD_NONE, 1, count_chunked), 2);
}

static void sums_of_much_have_parts(void **state)
{
	(void)state;
	assert_int_equal(
	    check_network("networks/alexnet.lua", "avx512", WINOGRAD_NONE, 1, check_parts), 0);
	assert_true(
	    check_network("networks/alexnet.lua", "avx512", WINOGRAD_NONE, 16, check_parts) > 2);
	assert_int_equal(
	    check_network("networks/lenet.lua", "avx512", WINOGRAD_NONE, 1, check_parts), 0);
	assert_true(check_network("networks/lenet.lua", "avx512", WINOGRAD_NONE, 64, check_parts) > 2);
	assert_true(check_network("networks/resnet.lua", "avx512", WINOGRAD_NONE, 16, check_parts) > 4);
	assert_true(check_network("networks/googlenet.lua", "avx2", WINOGRAD_ALL, 16, check_parts) > 9);
}

/* A mask is decided when scheduled, pair by pair, and there are limits to that. */
static void a_nest_past_the_limits_is_reported_at_its_line(void **state)
{
	static uint8_t mask[300 * 300];
	const int64_t shape[] = {300, 300};
	(void)state;
	Arena *a = arena_new(0);
	Part *p = NEW(a, Part);
	Diag diag;
	Decisions decisions = {.arena = a, .diag = &diag};
	const Target *target = target_find("generic");
	diag_init(&diag, a);
	for (int i = 0; i < COUNT(mask); i++) mask[i] = i % 3 == 0;
	Nest *n = nest_new(a, "links");
	n->layer = "c3";
	n->where = (Where){"net.lua", 7, NULL, 0};
	Affine row = affine_var(nest_dim(n, "a", 300, false)),
	       col = affine_var(nest_dim(n, "b", 300, false));
	nest_guard_mask(n, row, col, mask, 300);
	Buffer *x = buffer_new(a, "x", TYPE_REAL, 2, shape),
	       *y = buffer_new(a, "y", TYPE_REAL, 2, shape);
	const Index at[] = {index_of(row), index_of(col)};
	nest_acc(n, 0, COMBINE_NONE, e_load(a, nest_load(n, "x", x, at)));
	nest_store(n, "y", y, (Affine[]){row, col}, e_acc(a, 0));
	assert_null(nest_verify(a, n));
	Step step = {.nest = n};
	vec_push(a, p->step, step);
	schedule_part(a, p, &target, 1, false, &decisions);
	assert_int_equal(diag.errors, 1);
	Text said;
	text_init(&said, a);
	diag_print(&diag, &said);
	assert_non_null(strstr(said.data, "net.lua:7: error: c3: links is too large"));
	arena_free(a);
}

/* Rows and lines of any length, whatever the blocks of a copy are cut into. */
static void rows_of_any_length_are_copied(void **state)
{
	static const char *const targets[] = {"auto", "avx512", "avx2", "x86-64", "generic"};
	static const int sizes[] = {524288, 524289, 524800, 600000, 999999};
	(void)state;
	for (int t = 0; t < COUNT(targets); t++)
		for (int i = 0; i < COUNT(sizes); i++) {
			char text[256];
			snprintf(text, sizeof text,
			    "local x = input('x', %d)\nlocal y = x:dense(param.a, 10)\n"
			    "return network{output = {y = y, z = (2 * y):dense(param.b, 40):dense(param.c, "
			    "%d)}, loss = y:mean(), optimizer = sgd{}}\n",
			    sizes[i], sizes[i]);
			check_text(text, targets[t], 2, check_part);
		}
}

typedef struct {
	bool (*is)(const Expr *e);
	const Expr *known;
	bool twice;
} Made;

static bool is_difference(const Expr *e) { return e->kind == E_SUB && e->arg[0]->kind == E_LOAD; }

static bool is_root(const Expr *e) { return e->kind == E_CALL && e->fn == FN_SQRT; }

static bool look_at_made(void *self, const Expr *e)
{
	Made *m = self;
	if (!m->is(e)) return true;
	m->twice |= m->known && m->known != e;
	m->known = e;
	return true;
}

/* x - p of a batch norm's sums and its standard deviation, in parts and with updates behind them.
 */
static int made_once(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		Made sums = {is_difference, NULL, false}, stores = {is_root, NULL, false};
		for (int k = 0; k < n->nacc; k++) expr_visit(n->acc[k].update, look_at_made, &sums);
		for (int k = 0; k < n->nstore; k++) expr_visit(n->store[k].value, look_at_made, &stores);
		if (sums.twice || stores.twice)
			fail_msg("%s: %s: %s makes one value twice", file, p->name, n->name);
		seen += (n->nacc > 1 && sums.known) + (n->nstore > 1 && stores.known);
	}
	return seen;
}

static void stages_keep_what_is_shared(void **state)
{
	(void)state;
	assert_true(check_text("local x = image('x', 16, 64, 64):conv(param.a, 16, {kernel = 3})\n"
	                       "local y = x:batch_norm(param.n):relu():avg_pool(2)\n"
	                       "return network{output = {y = y}, loss = y:mean(),\n"
	                       "  optimizer = sgd{momentum = 0.9}}\n",
	                "avx512", 4, made_once) >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(contractions_run_in_vectors),
	    cmocka_unit_test(few_channels_run_in_vectors_for_one_target),
	    cmocka_unit_test(images_lie_one_after_the_other),
	    cmocka_unit_test(gradients_of_pictures_are_read_once),
	    cmocka_unit_test(threads_share_whatever_takes_time),
	    cmocka_unit_test(threads_share_the_turns_of_groups),
	    cmocka_unit_test(ends_of_rows_run_in_vectors),
	    cmocka_unit_test(sums_of_one_image_go_on_side_by_side),
	    cmocka_unit_test(gradients_of_one_image_have_even_tasks),
	    cmocka_unit_test(adaptive_pooling_runs_in_vectors), cmocka_unit_test(little_is_one_task),
	    cmocka_unit_test(little_that_windows_step_over_has_chunks),
	    cmocka_unit_test(sums_of_much_have_parts), cmocka_unit_test(stages_keep_what_is_shared),
	    cmocka_unit_test(rows_of_any_length_are_copied),
	    cmocka_unit_test(a_nest_past_the_limits_is_reported_at_its_line)};
	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
