/* Order and plan: small parts made at random, whose best order is found by trying all of them, and
 * the networks that come with cnnc, whose plans are held against the bytes that live at once. */
#define _POSIX_C_SOURCE 200809L
#include "../compiler/driver.h"
#include "../compiler/program/internal.h"
#include "../compiler/schedule/schedule.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static jmp_buf out_of_memory;

static int setup(void **state)
{
	Arena *a = arena_new(0);
	*state = a;
	if (!a || setjmp(out_of_memory)) return -1;
	arena_guard(a, &out_of_memory);
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

/* --- parts made here ----------------------------------------------------------------------- */

enum { STEPS = 8, OPERANDS = 2 };

/* Step s makes the value s, of size[s] lines, out of earlier ones; the last makes the output. */
typedef struct {
	int n, operands[STEPS], operand[STEPS][OPERANDS];
	int64_t size[STEPS];
} Recipe;

enum { LINE = 16 };

/* A map where the sizes are equal, else a sum of first elements. */
static const Nest *made_nest(Arena *a, Buffer *const *value, const Recipe *r, int s)
{
	Nest *n = nest_new(a, "made");
	Affine i = affine_var(nest_dim(n, "i", value[s]->shape[0], false));
	Expr *e = e_num(a, 1);
	for (int k = 0; k < r->operands[s]; k++) {
		Buffer *x = value[r->operand[s][k]];
		Index at = index_of(x->shape[0] == value[s]->shape[0] ? i : affine_number(0));
		e = e_op(a, E_ADD, e, e_load(a, nest_load(n, "x", x, &at)));
	}
	nest_store(n, "y", value[s], &i, e);
	return n;
}

static Part *part_of(Arena *a, const Recipe *r, const int *order)
{
	Part *p = NEW(a, Part);
	Buffer *value[STEPS];
	p->kind = ENTRY_INFER;
	p->name = "made";
	for (int s = 0; s < r->n; s++) {
		int64_t shape = r->size[s] * LINE;
		value[s] = part_buffer(a, p, arena_printf(a, "value %d", s), TYPE_REAL, 1, &shape,
		    s == r->n - 1 ? PLACE_OUTPUT : PLACE_WORK);
	}
	for (int i = 0; i < r->n; i++) {
		Step step = {.nest = made_nest(a, value, r, order[i]), .comment = "made"};
		vec_push(a, p->step, step);
	}
	return p;
}

/* The bytes that live at once, in lines. */
static int64_t planned(Arena *a, Part *p)
{
	inplace_part(a, p);
	plan_memory(a, p, 4);
	const char *fault = verify_part(a, p);
	if (fault) fail_msg("%s", fault);
	return p->work_lower_bound / LINE / 4;
}

/* The lines that live at the worst step, found apart from the compiler: a value lives from its step
 * to its last reader's; a map lies over an operand of its size that dies there. The output is not
 * ours. */
static int64_t lines_at_worst(const Recipe *r, const int *order)
{
	int64_t worst = 0;
	int at[STEPS], dies[STEPS];
	for (int i = 0; i < r->n; i++) at[order[i]] = dies[order[i]] = i;
	for (int s = 0; s < r->n; s++)
		for (int k = 0; k < r->operands[s]; k++)
			dies[r->operand[s][k]] = MAX(dies[r->operand[s][k]], at[s]);
	for (int i = 0; i < r->n; i++) {
		int s = order[i];
		int64_t lines = 0, over = 0;
		for (int v = 0; v < r->n - 1; v++)
			if (at[v] <= i && dies[v] >= i) lines += r->size[v];
		for (int k = 0; k < r->operands[s] && s != r->n - 1; k++)
			if (dies[r->operand[s][k]] == i && r->size[r->operand[s][k]] == r->size[s])
				over = r->size[s];
		worst = MAX(worst, lines - over);
	}
	return worst;
}

/* The least over all orders that go on from the first n steps of `order`. */
static int64_t least_of_all(const Recipe *r, int *order, int n, unsigned done)
{
	int64_t least = INT64_MAX;
	if (n == r->n) return lines_at_worst(r, order);
	for (int s = 0; s < r->n; s++) {
		bool ready = !(done >> s & 1);
		for (int k = 0; k < r->operands[s]; k++) ready = ready && (done >> r->operand[s][k] & 1);
		if (!ready) continue;
		order[n] = s;
		least = MIN(least, least_of_all(r, order, n + 1, done | 1u << s));
	}
	return least;
}

static const int as_written[STEPS] = {0, 1, 2, 3, 4, 5, 6, 7};

static int64_t as_it_is(Arena *a, const Recipe *r) { return planned(a, part_of(a, r, as_written)); }

static int64_t in_order(Arena *a, const Recipe *r)
{
	Part *p = part_of(a, r, as_written);
	order_part(a, p);
	return planned(a, p);
}

/* Two branches of one value: the first leaves 4 lines, the second needs 20 on its way to 1. Written
 * so, 4 + 20 + 1 live at once; the other way it is 20 + 1 and the value they begin with. */
static void the_hungriest_branch_goes_first(void **state)
{
	Arena *a = *state;
	const Recipe r = {.n = 5,
	    .operands = {0, 1, 1, 1, 2},
	    .operand = {{0}, {0}, {0}, {2}, {1, 3}},
	    .size = {1, 4, 20, 1, 2}};
	assert_int_equal(as_it_is(a, &r), 4 + 20 + 1);
	assert_int_equal(in_order(a, &r), 20 + 1 + 1);
}

/* What is in nobody's way stays where it was. */
static void an_order_that_gains_nothing_changes_nothing(void **state)
{
	Arena *a = *state;
	const Recipe r = {
	    .n = 4, .operands = {0, 0, 1, 2}, .operand = {{0}, {0}, {0}, {1, 2}}, .size = {3, 3, 3, 3}};
	Part *p = part_of(a, &r, as_written);
	Step *was = NEWS(a, Step, p->step.n);
	memcpy(was, p->step.at, (size_t)p->step.n * sizeof *was);
	order_part(a, p);
	for (int s = 0; s < p->step.n; s++) assert_ptr_equal(p->step.at[s].nest, was[s].nest);
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static Recipe random_recipe(uint64_t *random)
{
	static const int64_t sizes[] = {1, 2, 3, 8, 8, 20};
	Recipe r = {.n = 5 + (int)(next_random(random) % (STEPS - 4))};
	bool used[STEPS] = {false};
	for (int s = 0; s < r.n; s++) {
		r.size[s] = sizes[next_random(random) % COUNT(sizes)];
		r.operands[s] = s ? (int)(next_random(random) % (OPERANDS + 1)) : 0;
		for (int k = 0; k < r.operands[s]; k++) {
			r.operand[s][k] = (int)(next_random(random) % (uint64_t)s);
			used[r.operand[s][k]] = true;
		}
	}
	for (int s = r.n - 2, k = 0; s >= 0 && k < OPERANDS;
	     s--) /* nearly nothing is made for nobody */
		if (!used[s]) r.operand[r.n - 1][k++] = s, r.operands[r.n - 1] = k;
	return r;
}

/* Held against every order there is: never worse than it was, and the best in nearly all parts. */
static void orders_are_nearly_always_the_best(void **state)
{
	enum { PARTS = 150 };
	uint64_t random = 1;
	int best = 0, better = 0;
	(void)state;
	for (int i = 0; i < PARTS; i++) {
		Arena *a = arena_new(0);
		if (!a) fail_msg("out of memory");
		arena_guard(a, &out_of_memory);
		Recipe r = random_recipe(&random);
		int order[STEPS];
		int64_t was = as_it_is(a, &r), is = in_order(a, &r), least = least_of_all(&r, order, 0, 0);
		assert_int_equal(was, lines_at_worst(&r, as_written));
		assert_true(is <= was);
		assert_true(is >= least);
		best += is == least;
		better += is < was;
		arena_free(a);
	}
	print_message(
	    "of %d parts %d have the best order, %d a better one than they had\n", PARTS, best, better);
	assert_true(better > PARTS / 4);
	assert_true(best > PARTS * 95 / 100);
}

/* --- networks ------------------------------------------------------------------------------ */

static const struct {
	const char *file, *define;
	int64_t batch[2];
} networks[] = {
    {"lenet", "variant=paper", {1, 16}},
    {"lenet", "variant=modern", {1, 16}},
    {"alexnet", "variant=original", {1, 16}},
    {"alexnet", "variant=torchvision", {1, 16}},
    {"googlenet", "variant=paper", {1, 16}},
    {"googlenet", "variant=torchvision", {1, 16}},
    {"inception_v3", "classes=1000", {2, 16}}, /* one value a channel is not normalised */
    {"resnet", "depth=18", {1, 16}},
    {"resnet", "depth=34", {1, 16}},
    {"resnet", "depth=50", {1, 16}},
    {"resnet", "depth=101", {1, 16}},
    {"resnet", "depth=152", {1, 16}},
    {"resnet_cifar", "depth=20", {1, 16}},
    {"resnet_cifar", "shortcut=B", {1, 16}},
    {"resnet_cifar", "depth=110", {1, 16}},
};

static Program *compiled(Arena *a, Options *o, const char *file, const char *define, int64_t batch)
{
	Diag d;
	diag_init(&d, a);
	o->file = arena_printf(a, "networks/%s.lua", file);
	o->target = "generic";
	vec_push(a, o->define, define);
	o->train_batch[o->train_batches++] = o->infer_batch[o->infer_batches++] = batch;
	Program *p = compile_model(a, &d, o, NULL);
	if (!p) fail_msg("%s does not compile", file);
	return p;
}

/* Every entry's memory is at most a sixteenth larger than what lives at its worst step. */
static void plans_are_near_what_lives_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * COUNT(networks); i++) {
		Arena *a = arena_new(0);
		if (!a) fail_msg("out of memory");
		arena_guard(a, &out_of_memory);
		Options o = {0};
		const Program *p = compiled(
		    a, &o, networks[i / 2].file, networks[i / 2].define, networks[i / 2].batch[i % 2]);
		for (int k = 0; k < p->part.n; k++) {
			const Part *part = p->part.at[k];
			assert_true(part->work >= part->work_lower_bound);
			int64_t plan = part->work + part->gradients,
			        live = part->work_lower_bound + part->gradients;
			if (plan > live + live / 16)
				fail_msg("%s %s, %s: %lld bytes, %lld live at once", networks[i / 2].file,
				    networks[i / 2].define, part->name, (long long)plan, (long long)live);
		}
		arena_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_hungriest_branch_goes_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        an_order_that_gains_nothing_changes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(orders_are_nearly_always_the_best, setup, teardown),
	    cmocka_unit_test_setup_teardown(plans_are_near_what_lives_at_once, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
