/* Convolutions by fewer multiplications: the same numbers as the plain ones, to the rounding that
 * the transforms bring, in the interpreter and as C; which convolutions they are; and faults in the
 * groups that they run in. */
#define _POSIX_C_SOURCE 200809L
#include "machine.h"
#include "op_program.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const double float_gate = 1e-5; /* of the largest output */

/* Forward: whole and ragged tiles, channels that fill no block, many images, few rows at a time, a
 * last row of tiles apart, channels in turns, all tiles at once as the filters are large, both
 * sizes of taps, both ways round, pads of all kinds; and tiles of four points. */
/* Three inputs of 16 for each of 16 outputs. */
#define LINKS                                                                                      \
	"0,1,5/1,2,6/2,3,7/3,4,8/4,5,9/5,6,10/6,7,11/7,8,12/"                                          \
	"8,9,13/9,10,14/10,11,15/0,11,12/1,12,13/2,13,14/3,14,15/0,4,15"

static const char *const forward[] = {
    "x=1x16x12x12 w=16x16x3x3 b=16 | out=16 kernel=3 pad=1",
    "x=2x24x13x11 w=40x24x3x3 b=40 | out=40 kernel=3 pad=1",
    "x=1x16x37x41 w=17x16x3x3 | out=17 kernel=3 pad=0+2x1+1 bias=false",
    "x=6x32x7x7 w=32x32x3x3 b=32 | out=32 kernel=3 pad=1",
    "x=4x16x24x32 w=16x16x3x3 b=16 | out=16 kernel=3 pad=same",
    "x=12x20x8x9 w=33x20x3x3 b=33 | out=33 kernel=3 pad=1",
    "x=1x16x64x32 w=16x16x3x3 b=16 | out=16 kernel=3 pad=1 flip=true",
    "x=3x16x10x14 w=16x16x3x3 b=16 | out=16 kernel=3 pad=full",
    "x=2x26x19x21 w=32x26x5x5 b=32 | out=32 kernel=5 pad=2",
    "x=4x16x10x10 w=32x16x5x5 b=32 | out=32 kernel=5 flip=true",
    "x=1x20x14x13 w=64x20x3x3 b=64 | out=64 kernel=3 pad=1",
    "x=2x32x6x8 w=96x32x5x5 b=96 | out=96 kernel=5 pad=2",
    "x=4x88x13x14 w=88x88x3x3 b=88 | out=88 kernel=3 pad=1",
    "x=2x64x6x6 w=64x64x3x3 b=64 | out=64 kernel=3 pad=1",
    "x=2x96x10x10 w=100x96x3x3 b=100 | out=100 kernel=3 pad=1 flip=true",
    "x=2x16x12x12 w=16x16x3x3 b=16 | out=16 kernel=3 pad=1 links=" LINKS,
};

static const char *const by_data[] = {
    "dy=2x32x14x14 w=32x16x3x3 | size=14 pad=1",
    "dy=1x24x35x33 w=24x17x3x3 | size=35x33 pad=1",
    "dy=5x16x12x10 w=16x16x5x5 | size=16x14",
    "dy=2x16x15x15 w=16x20x3x3 | size=15 pad=1 flip=true",
    "dy=3x18x9x10 w=18x64x3x3 | size=9x10 pad=1",
    "dy=2x72x6x6 w=72x64x3x3 | size=6 pad=1",
};

/* Few tiles and parts of the channels, or all at once; many: bands of one image, images, both; both
 * sizes of taps, pads, ragged tiles and channels. */
static const char *const by_weights[] = {
    "x=4x32x14x14 dy=4x64x14x14 | kernel=3 pad=1",
    "x=9x33x11x8 dy=9x17x11x8 | kernel=3 pad=1",
    "x=1x16x66x70 dy=1x16x66x70 | kernel=3 pad=1",
    "x=12x20x28x25 dy=12x16x27x25 | kernel=3 pad=1+0x1+1",
    "x=2x16x64x41 dy=2x18x64x41 | kernel=3 pad=1",
    "x=3x16x21x22 dy=3x32x21x22 | kernel=5 pad=2",
    "x=4x16x15x15 dy=4x32x15x15 | kernel=3 pad=1 flip=true",
    "x=4x16x16x16 dy=4x16x16x16 | kernel=3 pad=1 links=" LINKS,
};

/* Too few channels or tiles, or another form. */
static const char *const plain[] = {
    "x=2x3x32x32 w=32x3x3x3 b=32 | out=32 kernel=3 pad=1",
    "x=1x64x2x2 w=64x64x3x3 b=64 | out=64 kernel=3 pad=1",
    "x=2x32x16x16 w=32x32x3x3 b=32 | out=32 kernel=3 pad=1 stride=2",
    "x=2x32x16x16 w=32x32x3x3 b=32 | out=32 kernel=3 pad=2 dilation=2",
    "x=2x32x16x16 w=32x16x3x3 b=32 | out=32 kernel=3 pad=1 groups=2",
    "x=2x32x16x16 w=32x32x1x1 b=32 | out=32 kernel=1",
    "x=2x32x16x16 w=32x32x1x3 b=32 | out=32 kernel=1x3 pad=0x1",
};

/* By weights: too few tiles for what the weights' way costs, or windows that step. */
static const char *const plain_weights[] = {
    "x=1x64x4x4 dy=1x64x4x4 | kernel=3 pad=1",
    "x=4x3x32x32 dy=4x32x32x32 | kernel=3 pad=1",
    "x=4x32x16x16 dy=4x32x8x8 | kernel=3 pad=1 stride=2",
};

static const char *const target_names[] = {"avx512", "avx2", "x86-64", "generic"};
enum {
	TARGETS = COUNT(target_names),
	FORWARD = COUNT(forward),
	DATA = FORWARD + COUNT(by_data),
	CASES = DATA + COUNT(by_weights)
};

typedef struct {
	Arena *arena;
	const Target *target[TARGETS];
	OpCase *of[CASES];
	CaseNumbers numbers[CASES];
} Fixture;

static OpCase *case_of(Arena *a, const char *op, const char *line)
{
	const OpDesc *desc = op_find(op);
	Sample s = sample_parse(a, desc, line);
	OpCase *c = case_new(a, desc, &s);
	if (!c) fail_msg("infer refuses %s", line);
	c->winograd = true;
	return c;
}

static int setup(void **state)
{
	static jmp_buf out_of_memory;
	Fixture *f = calloc(1, sizeof *f);
	*state = f;
	if (!f) return -1;
	f->arena = arena_new(0);
	if (!f->arena || setjmp(out_of_memory)) return -1;
	arena_guard(f->arena, &out_of_memory);
	for (int t = 0; t < TARGETS; t++) f->target[t] = target_find(target_names[t]);
	for (int i = 0; i < CASES; i++) {
		f->of[i] = i < FORWARD ? case_of(f->arena, "conv", forward[i])
		           : i < DATA  ? case_of(f->arena, "conv_dx", by_data[i - FORWARD])
		                       : case_of(f->arena, "conv_dw", by_weights[i - DATA]);
		f->numbers[i] = case_numbers(f->arena, f->of[i], hash_str(f->of[i]->name));
	}
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;
	arena_free(f->arena);
	free(f);
	return 0;
}

static Part *part_of(Arena *a, const OpCase *c, Form form, const char *name,
    const Target *const *target, int targets)
{
	const char *error;
	Part *p = case_part(a, c, form, name, target, targets, false, &error);
	if (error) fail_msg("%s, %s: %s", c->name, form_names[form], error);
	return p;
}

static bool is_fast(const Part *p)
{
	for (int s = 0; s < p->step.n; s++)
		if (!strncmp(p->step.at[s].nest->name, "wino", 4)) return true;
	return false;
}

/* --- which ---------------------------------------------------------------------------------- */

static void must_be_plain(const Fixture *f, const char *op, const char *line)
{
	const OpCase *c = case_of(f->arena, op, line);
	if (is_fast(part_of(f->arena, c, FORM_FUSED, "case", f->target, TARGETS)))
		fail_msg("%s is not plain", line);
}

static void those_that_gain_are_chosen(void **state)
{
	Fixture *f = *state;
	for (int i = 0; i < CASES; i++) {
		const Part *p = part_of(f->arena, f->of[i], FORM_FUSED, "case", f->target, TARGETS);
		if (!is_fast(p)) fail_msg("%s is plain", f->of[i]->name);
	}
	for (int i = 0; i < COUNT(plain); i++) must_be_plain(f, "conv", plain[i]);
	for (int i = 0; i < COUNT(plain_weights); i++) must_be_plain(f, "conv_dw", plain_weights[i]);
}

static const Step *step_named(const Part *p, const char *name)
{
	for (int s = 0; s < p->step.n; s++)
		if (!strcmp(p->step.at[s].nest->name, name)) return &p->step.at[s];
	fail_msg("there is no %s", name);
	return NULL;
}

static int64_t extent_of(const Nest *n, const char *dim)
{
	for (int d = 0; d < n->ndim; d++)
		if (!strcmp(n->dim[d].name, dim)) return n->dim[d].extent;
	fail_msg("%s has no %s", n->name, dim);
	return 0;
}

/* Filters larger than all tiles are fetched once: for 64 tiles in one turn, which 32 tiles of few
 * channels are not. By weights, two blocks of channels share what a turn reads again. */
static void turns_are_as_large_as_what_they_fetch(void **state)
{
	static const char few[] = "x=4x16x13x14 w=16x16x3x3 b=16 | out=16 kernel=3 pad=1";
	static const char large[] = "x=4x88x13x14 w=88x88x3x3 b=88 | out=88 kernel=3 pad=1";
	static const char weights[] = "x=4x256x14x14 dy=4x256x14x14 | kernel=3 pad=1";
	Fixture *f = *state;
	const char *op[] = {"conv", "conv", "conv_dw"}, *line[] = {few, large, weights};
	const Step *step[3];
	for (int i = 0; i < 3; i++) {
		const OpCase *c = case_of(f->arena, op[i], line[i]);
		step[i] = step_named(part_of(f->arena, c, FORM_FUSED, "case", f->target, TARGETS),
		    i < 2 ? "wino" : "wino_sums");
	}
	assert_int_not_equal(step[0]->group, 0);
	assert_int_equal(extent_of(step[0]->nest, "t"), 32);
	assert_int_equal(step[1]->group, 0);
	assert_int_equal(extent_of(step[1]->nest, "t"), 64);
	assert_int_not_equal(step[2]->group, 0);
	assert_int_equal(extent_of(step[2]->nest, "oc"), 32);
}

/* Where larger tiles would hang over the edge, or weights are many, tiles have four points a side;
 * 36 products of large ones are less where these are whole. */
static void tiles_have_as_many_points_as_pay(void **state)
{
	static const char small[] = "x=2x64x6x6 w=64x64x3x3 b=64 | out=64 kernel=3 pad=1";
	static const char many[] = "x=1x512x14x14 w=512x512x3x3 b=512 | out=512 kernel=3 pad=1";
	static const char large[] = "x=1x64x28x28 w=64x64x3x3 b=64 | out=64 kernel=3 pad=1";
	Fixture *f = *state;
	const char *line[] = {small, many, large};
	for (int i = 0; i < COUNT(line); i++) {
		const OpCase *c = case_of(f->arena, "conv", line[i]);
		const Part *p = part_of(f->arena, c, FORM_FUSED, "case", f->target, TARGETS);
		assert_int_equal(extent_of(step_named(p, "wino")->nest, "e"), i < 2 ? 16 : 36);
	}
}

/* --- by the interpreter --------------------------------------------------------------------- */

static void interpret(const Fixture *f, int i, Part *p, int target, double tolerance)
{
	const OpCase *c = f->of[i];
	const CaseNumbers *n = &f->numbers[i];
	Arena *a = f->arena;
	double **arg = NEWS(a, double *, p->arg.n + 1);
	Memory m = {.vars = NEWS(a, double, c->vars + 1), .arg = arg};
	case_fill_vars(c, n, m.vars);
	for (int k = 0; k < p->arg.n; k++) {
		int64_t count = shape_count(p->arg.at[k].shape);
		arg[k] = p->arg.at[k].output ? NEWS(a, double, count) : n->in[case_argument(c, k)];
		for (int64_t e = 0; e < count && p->arg.at[k].output; e++) arg[k][e] = NAN;
	}
	assert_true(part_run(a, p, &m, target));
	double far = tensor_distance(arg[p->arg.n - 1], n->want[0], shape_count(c->out[0]));
	if (!(far <= tolerance))
		fail_msg("%s, %s: %.3g", c->name, target < 0 ? "naive" : target_names[target], far);
}

static void numbers_are_the_same_in_double(void **state)
{
	Fixture *f = *state;
	for (int i = 0; i < CASES; i++) {
		Form form = i % 2 ? FORM_BARE : FORM_FUSED;
		Part *p = part_of(f->arena, f->of[i], form, "case", f->target, TARGETS);
		for (int t = -1; t < TARGETS; t++) interpret(f, i, p, t, 1e-12);
	}
}

/* --- as C ----------------------------------------------------------------------------------- */

/* false: this machine runs no such code. */
static bool compare_c(Fixture *f, const char *compiler, const char *target)
{
	const Target *of = target_find(target);
	Compiled made[CASES];
	const char *error;
	if (!target_runs(target)) return false;
	for (int i = 0; i < CASES; i++) {
		const char *name = arena_printf(f->arena, "case_b%d", i + 1);
		Part *p = part_of(f->arena, f->of[i], i % 2 ? FORM_FUSED : FORM_BARE, name, &of, 1);
		p->batch = i + 1;
		made[i] = (Compiled){f->of[i], p};
	}
	OpProgram *program = op_program_new(f->arena, made, CASES, of, false, compiler, &error);
	if (!program) fail_msg("%s, %s: %s", compiler ? compiler : "tcc", target, error);
	for (int i = 0; i < CASES; i++)
		for (int backwards = 0; backwards < 2; backwards++) {
			double *out[MAX_OUT];
			error = op_program_run(f->arena, program, i, &f->numbers[i], backwards, out);
			if (error) fail_msg("%s, %s: %s", f->of[i]->name, target, error);
			double far =
			    tensor_distance(out[0], f->numbers[i].want[0], shape_count(f->of[i]->out[0]));
			if (!(far <= float_gate)) fail_msg("%s, %s: %.3g", f->of[i]->name, target, far);
		}
	op_program_free(program);
	return true;
}

static void numbers_are_the_same_by_tcc(void **state)
{
	assert_true(compare_c(*state, NULL, "generic"));
}

static void numbers_are_the_same_by_compilers(void **state)
{
	static const char *const compiler[] = {"gcc -std=c11 -O2", "clang -std=c11 -O1"};
	static const char *const program[] = {"gcc", "clang"};
	int ran = 0;
	for (int i = 0; i < COUNT(compiler); i++)
		for (int t = 0; t + 1 < TARGETS; t++)
			ran += have_program(program[i]) && compare_c(*state, compiler[i], target_names[t]);
	if (!ran) skip();
}

/* --- faults --------------------------------------------------------------------------------- */

/* A part with several tasks and turns, and its step of that name. */
static Part *grouped_part(Fixture *f)
{
	return part_of(f->arena, f->of[4], FORM_FUSED, "case", f->target, TARGETS);
}

static int step_of(const Part *p, const char *name)
{
	int s = 0;
	while (s < p->step.n && strcmp(p->step.at[s].nest->name, name) != 0) s++;
	assert_true(s < p->step.n);
	return s;
}

static Nest *open_nest(Fixture *f, Part *p, int s)
{
	Nest *n = nest_copy(f->arena, p->step.at[s].nest);
	p->step.at[s].nest = n;
	for (int t = 0; t < TARGETS; t++)
		if (p->step.at[s].tree[t]) p->step.at[s].tree[t]->nest = n;
	return n;
}

static void expect(Fixture *f, const Part *p, const char *words)
{
	const char *fault = verify_part(f->arena, p);
	if (!fault || !strstr(fault, words)) fail_msg("%s, not %s", fault ? fault : "no fault", words);
}

static void another_turn_is_caught(void **state)
{
	Fixture *f = *state;
	Part *p = grouped_part(f);
	Nest *n = open_nest(f, p, step_of(p, "wino"));
	assert_true(n->dim[0].extent > 1 && nest_turns(n) > n->dim[0].extent);
	for (int l = 0; l < n->nload; l++)
		if (n->load[l].buffer->folded) n->load[l].at[1] = index_of(affine_number(0));
	expect(f, p, "another turn");
}

static void tasks_in_one_place_are_caught(void **state)
{
	Fixture *f = *state;
	Part *p = grouped_part(f);
	const Nest *n = p->step.at[step_of(p, "wino")].nest;
	Buffer *b = n->store[0].to.buffer;
	assert_int_equal(b->folded, 2);
	b->folded = 3;
	assert_true(buffer_layout(b, "c e/16 d e%16", 0));
	expect(f, p, "other tasks");
}

/* What one member reads and what it writes: in one place of the task's piece, in another's. */
static void others_places_are_caught(void **state)
{
	Fixture *f = *state;
	Part *p = grouped_part(f);
	const Nest *n = p->step.at[step_of(p, "wino")].nest;
	Buffer *read = NULL, *written = n->store[0].to.buffer;
	for (int l = 0; l < n->nload; l++)
		if (n->load[l].buffer->within == written->within) read = n->load[l].buffer;
	assert_non_null(written->within);
	assert_non_null(read);
	int64_t at = written->at, offset = written->offset;
	written->offset += read->at - at;
	written->at = read->at;
	expect(f, p, "meet in a turn");
	written->at = written->comp[0].stride - 16;
	written->offset = offset + written->at - at;
	expect(f, p, "pieces");
}

static void a_reader_outside_of_the_group_is_caught(void **state)
{
	Fixture *f = *state;
	Part *p = grouped_part(f);
	int last = p->step.n - 1;
	while (!p->step.at[last].group) last--;
	p->step.at[last].group = 0;
	expect(f, p, "leaves its group");
}

/* A tree with as many blocks as turns, but of other dims. */
static void blocks_that_are_no_turns_are_caught(void **state)
{
	Fixture *f = *state;
	Part *p = grouped_part(f);
	const Step *step = &p->step.at[step_of(p, "wino")];
	Tree *outer = step->tree[0]->root.at[0], *inner = outer->kid.at[0];
	assert_true(outer->line == LINE_PAR && inner->line == LINE_PAR && outer->dim != inner->dim);
	int dim = outer->dim;
	outer->dim = inner->dim;
	inner->dim = dim;
	assert_non_null(verify_part(f->arena, p));
}

/* Turns are blocks, and a schedule that would have others is none. */
static void schedules_begin_with_turns(void **state)
{
	static const char *const others[] = {"par band 1 | par task 1 | e 1 | t 1 | oc 1 | ic 1",
	    "par task 1 | band 1 | e 1 | t 1 | oc 1 | ic 1",
	    "par task 1 | par band 1 | par e 1 | t 1 | oc 1 | ic 1"};
	Fixture *f = *state;
	const Part *p = grouped_part(f);
	const Nest *n = p->step.at[step_of(p, "wino")].nest;
	const char *error = NULL;
	Schedule s;
	assert_null(
	    schedule_parse(f->arena, n, "par task 1 | par band 1 | e 1 | t 1 | oc 1 | ic 1", &s));
	assert_non_null(tree_build(f->arena, n, &s, &error));
	for (int i = 0; i < COUNT(others); i++) {
		assert_null(schedule_parse(f->arena, n, others[i], &s));
		assert_null(tree_build(f->arena, n, &s, &error));
		assert_non_null(strstr(error, "turns"));
	}
}

static void other_turns_are_caught(void **state)
{
	Fixture *f = *state;
	Part *p = grouped_part(f);
	open_nest(f, p, step_of(p, "wino"))->join--;
	expect(f, p, "joins other dims");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(those_that_gain_are_chosen),
	    cmocka_unit_test(turns_are_as_large_as_what_they_fetch),
	    cmocka_unit_test(tiles_have_as_many_points_as_pay),
	    cmocka_unit_test(numbers_are_the_same_in_double),
	    cmocka_unit_test(numbers_are_the_same_by_tcc),
	    cmocka_unit_test(numbers_are_the_same_by_compilers),
	    cmocka_unit_test(another_turn_is_caught),
	    cmocka_unit_test(tasks_in_one_place_are_caught),
	    cmocka_unit_test(others_places_are_caught),
	    cmocka_unit_test(a_reader_outside_of_the_group_is_caught),
	    cmocka_unit_test(other_turns_are_caught),
	    cmocka_unit_test(blocks_that_are_no_turns_are_caught),
	    cmocka_unit_test(schedules_begin_with_turns),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
