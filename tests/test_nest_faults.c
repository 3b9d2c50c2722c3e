/* What schedules may not ask is refused in words, and faults seeded into trees, nests and buffers
 * are caught by the checks, whatever the builder did. */
#include "nests.h"

#define BLOCKED "a b/8 c d b%8"
#define FORWARD_W "a/16 b/8 c d b%8 a%16"

static const char forward[] =
    "n | oc 16 | oh | tile ow 3 | reg ow | reg oc 8 | vec oc 8 | ic 8 | kh | "
    "cut kw | ic 4 | unroll ic";
static const Conv plain = {.N = 1,
    .IC = 8,
    .OC = 16,
    .IH = 5,
    .IW = 7,
    .KH = 3,
    .KW = 3,
    .pad = 1,
    .x = BLOCKED,
    .w = FORWARD_W,
    .y = BLOCKED};

/* --- refusals ----------------------------------------------------------------------------- */

static void schedules_that_do_not_fit_are_refused_in_words(void **state)
{
	Arena *a = *state;
	static const char *const bad[][2] = {
	    {"n | oc | oh | ow | ic | kh", "kw: no line"},
	    {"n | oc | oh | ow | ic | kh | kw 2", "kw: no line for the 2 values left"},
	    {"n | ic | par oc | oh | ow | kh | kw", "par oc: not a leading line"},
	    {"par ic | oc | oh | ow | kh | kw", "par ic: a reduction dim"},
	    {"n | oc 12 | oh | ow | vec oc 8 | ic | kh | kw", "12 values left for 8 lanes"},
	    {"n | oh | ow | vec oc | ic | kh | kw | vec ow", "stand together"},
	    {"n | oh | oc 8 | vec oc 8 | vec ow 7 | ic | kh | kw", "more than one vec line"},
	    {"n | oc | oh | reg ow 2 | ic | ow | kh | kw", "closes the tile"},
	    {"n | oc | oh | ow | unroll ow | ic | kh | kw", "unroll ow"},
	    {"phase kh 2 | n | oc | oh | kh | reg ow | ic | kw", "phase kh"},
	    {"n | oh | ow | vec oc 16 | ic 8 | ic | kh | kw", "not affine"},
	    {"n | tile oc 6 | oh | ow | reg oc | ic | kh | kw", "not affine"},
	    {"n | oc | oh | vec ow 7 | ic 8 | ic | kh | kw", "a guard depends on a lane"},
	    {"pad ic 16 | n | oc | oh | ow | ic | kh | kw", "not a space dim"},
	    {"pad ow 8 | n | oc 8 | oh | ow | vec oc 8 | ic | kh | kw", "pad points"},
	    {"n | oc | oh | oh | ow | zz | kh | kw", "no dim 'zz'"},
	    {"n | oc 0 | oh | ow | ic | kh | kw", "not a positive number"},
	    {"n | oc 99999999999999999999 | oh | ow | ic | kh | kw", "not a positive number"},
	    {"n | tile oc 2 3 | oh | ow | ic | kh | kw", "too long"},
	    {"n | oc 2 x | oh | ow | ic | kh | kw", "'x' is not understood"},
	    {"pad oc 9223372036854775807 | n | oc | oh | ow | ic | kh | kw", "pad points"},
	};
	for (int i = 0; i < COUNT(bad); i++) {
		const char *why = nests_refusal(a, nests_conv(a, &plain), bad[i][0]);
		if (!strstr(why, bad[i][1])) fail_msg("%s: %s", bad[i][0], why);
	}
	Conv c = plain;
	c.OC = 2048, c.w = c.y = NULL;
	nests_refusal(a, nests_conv(a, &c), "n | oh | ow | reg oc | ic | kh | kw");
	c.OC = c.IC = 512, c.IH = c.IW = 64, c.x = NULL;
	nests_refusal(a, nests_conv(a, &c), "n | phase oc | phase oh | ow | ic | kh | kw");
	c.stride = 2, c.IW = 8;
	const char *why =
	    nests_refusal(a, nests_conv_dx(a, &c), "n | ic | ih | vec iw 8 | oc | kh | kw");
	assert_non_null(strstr(why, "a guard depends on a lane"));
}

static void chunks_need_a_place_to_wait(void **state)
{
	Arena *a = *state;
	static const char chunked[] = "ic 4 | n | oc | oh | ow | ic | kh | kw";
	Conv c = plain;
	c.residual = true;
	Nest *n = nests_conv(a, &c);
	nests_same(a, n, chunked);
	n->load[2].buffer = n->store[0].to.buffer; /* the residual is where the result goes */
	n->inplace = true;
	nests_same(a, n, "n | oc | oh | ow | ic | kh | kw");
	assert_non_null(strstr(nests_refusal(a, n, chunked), "in place"));
	/* the check alone, on a tree built before the nest changed its mind */
	n->inplace = false;
	n->load[2].buffer = buffer_new(a, "r", TYPE_REAL, 4, n->store[0].to.buffer->shape);
	Scheduled *s = nests_schedule(a, n, chunked);
	n->load[2].buffer = n->store[0].to.buffer;
	n->inplace = true;
	assert_non_null(check_stores(a, s));
	n = nests_row_sum(a, 3, 8); /* two accumulators, a place for each, then for one only */
	nests_same(a, n, "c 4 | n | c");
	n->store[0] = n->store[1];
	n->nstore = 1;
	nests_refusal(a, n, "c 4 | n | c");
}

static void private_accumulators_need_a_way_to_combine(void **state)
{
	Arena *a = *state;
	Nest *n = nests_mean(a, 2, 8, 12, NULL);
	n->acc[0].init = 1;
	nests_refusal(a, n, "c | reg p 4 | n | p");
	nests_same(a, n, "c | p | n");
	n->acc[0].init = 0;
	n->acc[0].combine = COMBINE_NONE;
	nests_refusal(a, n, "c | reg p 4 | n | p");
}

/* --- seeded faults: each must be caught by a check, whatever the builder did -------------- */

static Scheduled *forward_tree(Arena *a, Nest *n, const char *text)
{
	Schedule s;
	const char *error = schedule_parse(a, n, text, &s);
	Scheduled *tree = error ? NULL : tree_build(a, n, &s, &error);
	if (!tree) fail_msg("%s", error);
	return tree;
}

static void a_dropped_guard_is_caught(void **state)
{
	Arena *a = *state;
	for (int g = 0; g < 2; g++) {
		Nest *n = nests_conv(a, &plain);
		n->guard[0] = n->guard[g];
		n->nguard = 1;
		assert_non_null(check_bounds(a, forward_tree(a, n, forward)));
	}
}

/* Of a gradient whose quotients are left to run time: each guard by itself. */
static void a_dropped_guard_of_a_quotient_is_caught(void **state)
{
	Arena *a = *state;
	Conv c = plain;
	c.stride = 2, c.pad = 2, c.KH = c.KW = 5, c.w = c.y = NULL;
	for (int g = 0; g < 4; g++) {
		Nest *n = nests_conv_dx(a, &c);
		assert_int_equal(n->nguard, 4);
		Scheduled *s = forward_tree(a, n, "n | ic | ih | iw | oc | kh | kw");
		assert_null(check_all(a, s));
		n->guard[g] = n->guard[3];
		n->nguard = 3;
		assert_non_null(check_bounds(a, s));
	}
	/* a guard over another form says nothing of this one */
	Nest *n = nests_conv_dx(a, &c);
	Scheduled *s = forward_tree(a, n, "n | ic | ih | iw | oc | kh | kw");
	for (int g = 0; g < 4; g++) n->guard[g].e[0].a.c++;
	assert_non_null(check_bounds(a, s));
}

static void a_buffer_one_column_short_is_caught(void **state)
{
	Arena *a = *state;
	Nest *n = nests_conv(a, &plain);
	Scheduled *s = forward_tree(a, n, forward);
	assert_null(check_all(a, s));
	const int64_t shape[] = {1, 8, 5, 6};
	Buffer *shorter = buffer_new(a, "x", TYPE_REAL, 4, shape);
	assert_true(buffer_layout(shorter, BLOCKED, 0));
	n->load[0].buffer = shorter;
	assert_non_null(check_bounds(a, s));
	/* an unsound layout: two components on one stride */
	n = nests_conv(a, &plain);
	s = forward_tree(a, n, forward);
	n->load[0].buffer->comp[2].stride = n->load[0].buffer->comp[3].stride;
	assert_non_null(check_bounds(a, s));
}

static void an_index_off_by_one_against_its_guard_is_caught(void **state)
{
	Arena *a = *state;
	for (int i = 2; i < 4; i++)
		for (int by = -1; by <= 1; by += 2) {
			Nest *n = nests_conv(a, &plain);
			n->load[0].at[i].a.c += by;
			assert_non_null(check_bounds(a, forward_tree(a, n, forward)));
		}
	Nest *n = nests_conv(a, &plain);
	n->guard[1].hi++;
	assert_non_null(check_bounds(a, forward_tree(a, n, forward)));
}

static void a_store_that_ignores_a_dim_is_caught(void **state)
{
	Arena *a = *state;
	Nest *n = nests_conv(a, &plain);
	n->store[0].to.at[3].a = affine_number(0);
	assert_non_null(check_stores(a, forward_tree(a, n, forward)));
	n = nests_bias_relu(a, 2, 4, 6, NULL, false); /* of size 2, the least that matters */
	n->store[0].to.at[0].a = affine_number(0);
	assert_non_null(check_stores(a, forward_tree(a, n, "n | c | p")));
	n = nests_conv(a, &plain); /* two dims on one index */
	n->store[0].to.at[3].a = affine_add(affine_var(2), affine_var(3));
	n->store[0].to.at[2].a = affine_number(0);
	assert_non_null(check_stores(a, forward_tree(a, n, "n | oc | oh | ow | ic | kh | kw")));
	n = nests_flatten(a, 2, 16, 3, 5, NULL); /* rows of 4 for 5 columns */
	n->store[0].to.at[1].a = affine_add(affine_scale(affine_var(2), 4), affine_var(3));
	assert_non_null(check_stores(a, forward_tree(a, n, "n | c | h | w")));
}

/* The kids of the first loop or tile that has several. */
static Tree *parent_of_many(Tree *t)
{
	if (t->kid.n > 1) return t;
	for (int i = 0; i < t->kid.n; i++) {
		Tree *found = parent_of_many(t->kid.at[i]);
		if (found) return found;
	}
	return NULL;
}

static void a_lost_or_doubled_piece_is_caught(void **state)
{
	Arena *a = *state;
	for (int i = 0; i < 2; i++) {
		Scheduled *s = forward_tree(a, nests_conv(a, &plain), forward);
		Tree *t = parent_of_many(s->root.at[0]);
		if (i) {
			t->kid.at[0] = t->kid.at[1];
		} else {
			t->kid.n--;
		}
		assert_non_null(check_partition(a, s));
	}
}

static void a_loop_one_too_long_is_caught(void **state)
{
	Arena *a = *state;
	for (int var = 0; var < 6; var++) {
		Scheduled *s = forward_tree(a, nests_conv(a, &plain), forward);
		Tree *t = s->root.at[0];
		for (int i = 0; i < var && t->kid.n; i++) t = t->kid.at[0];
		if (t->kind != TREE_LOOP) continue;
		s->count[t->var]++;
		assert_non_null(check_partition(a, s));
		t->count++;
		assert_non_null(check_partition(a, s));
	}
}

static void a_base_off_by_one_is_caught(void **state)
{
	Arena *a = *state;
	Scheduled *s = forward_tree(a, nests_conv(a, &plain), forward);
	Tree *t = s->root.at[0];
	while (t->kind != TREE_LEAF) t = t->kid.at[0];
	t->sub[5].c++;
	assert_non_null(check_partition(a, s));
}

static void shift(Tree *t, int d)
{
	if (t->sub) t->sub[d].c++;
	for (int i = 0; i < t->kid.n; i++) shift(t->kid.at[i], d);
}

static void a_dim_off_by_one_throughout_is_caught(void **state)
{
	Arena *a = *state;
	for (int d = 1; d < 7; d++) {
		Scheduled *s = forward_tree(a, nests_conv(a, &plain), forward);
		shift(s->root.at[0], d);
		assert_non_null(check_partition(a, s));
	}
}

static void a_live_piece_called_dead_is_caught(void **state)
{
	Arena *a = *state;
	Scheduled *s = forward_tree(a, nests_conv(a, &plain), forward);
	Tree *t = s->root.at[0];
	while (t->kind != TREE_LEAF) t = t->kid.at[t->kid.n - 1];
	t->dead = true;
	assert_non_null(check_partition(a, s));
}

static void a_parallel_reduction_is_caught(void **state)
{
	Arena *a = *state;
	Conv c = plain;
	c.x = c.w = c.y = NULL;
	Scheduled *s = forward_tree(a, nests_conv(a, &c), "ic 4 | oc | oh | ow | ic | kh | kw");
	s->root.at[0]->line = LINE_PAR;
	assert_non_null(check_stores(a, s));
	s = forward_tree(a, nests_conv(a, &c), "oc | oh | ow | ic | kh | kw");
	s->root.at[0]->kid.at[0]->line = LINE_PAR; /* inside a serial loop */
	assert_non_null(check_stores(a, s));
	s = forward_tree(a, nests_conv(a, &c), "par oc 12 | oc | oh | ow | ic | kh | kw");
	assert_int_equal(s->root.n, 2);
	assert_null(check_stores(a, s));
	s->root.at[1]->line = LINE_FOR; /* beside a block */
	assert_non_null(check_stores(a, s));
}

static void lanes_past_an_unpadded_buffer_are_caught(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 1,
	    .IC = 3,
	    .OC = 10,
	    .IH = 5,
	    .IW = 7,
	    .KH = 3,
	    .KW = 3,
	    .pad = 1,
	    .w = "a/16 b c d a%16",
	    .y = BLOCKED};
	Nest *n = nests_conv(a, &c);
	Scheduled *s =
	    forward_tree(a, n, "pad oc 16 | n | oc 16 | oh | ow | reg oc 8 | vec oc 8 | ic | kh | kw");
	assert_null(check_all(a, s));
	buffer_row_major(n->store[0].to.buffer);
	assert_non_null(check_bounds(a, s));
	assert_non_null(check_stores(a, s));
}

static void chunks_out_of_order_are_caught(void **state)
{
	Arena *a = *state;
	Conv c = plain;
	c.x = c.w = c.y = NULL;
	Scheduled *s = forward_tree(a, nests_conv(a, &c), "ic 5 | oc | oh | ow | ic | kh | kw");
	assert_int_equal(s->root.n, 2);
	Tree *first = s->root.at[0];
	s->root.at[0] = s->root.at[1];
	s->root.at[1] = first;
	assert_null(check_partition(a, s));
	assert_non_null(check_order(a, s));
}

static void meeting_stores_and_reads_are_caught(void **state)
{
	Arena *a = *state;
	Nest *n = nests_bias_relu(a, 2, 4, 6, NULL, true);
	static const char text[] = "n | c | p";
	n->inplace = false;
	assert_non_null(check_stores(a, forward_tree(a, n, text)));
	n->inplace = true;
	n->load[2].at[2].a = affine_scale(affine_var(2), -1); /* reads its buffer backwards */
	n->load[2].at[2].a.c = 5;
	assert_non_null(check_stores(a, forward_tree(a, n, text)));
	Conv c = plain; /* the reduction reads its own output */
	c.x = c.w = c.y = NULL, c.OC = 8;
	n = nests_conv(a, &c);
	n->nguard = 0, n->inplace = true;
	n->load[0] = n->store[0].to;
	assert_non_null(check_stores(a, forward_tree(a, n, "n | oc | oh | ow | ic | kh | kw")));
	n = nests_bias_relu(a, 2, 4, 6, NULL, false);
	Affine at[] = {affine_var(0), affine_var(1), affine_var(2)};
	nest_store(n, "y", n->store[0].to.buffer, at, e_num(a, 1)); /* the same element again */
	assert_null(check_stores(a, forward_tree(a, n, text)));
	n->store[1].to.at[2].a.c = 1; /* its neighbour's */
	assert_non_null(check_stores(a, forward_tree(a, n, text)));
	const int64_t wide[] = {2, 4, 12};
	Buffer *y = buffer_new(a, "y", TYPE_REAL, 3, wide);
	n->store[0].to.buffer = n->store[1].to.buffer = y;
	n->store[1].to.at[2].a.c = 6; /* a window beside */
	assert_null(check_stores(a, forward_tree(a, n, text)));
	n->store[0].to.at[2].a = affine_scale(affine_var(2), 2); /* even and odd */
	n->store[1].to.at[2].a = affine_plus(affine_scale(affine_var(2), 2), 1);
	assert_null(check_stores(a, forward_tree(a, n, text)));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, nests_setup, nests_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(schedules_that_do_not_fit_are_refused_in_words),
	    TEST(chunks_need_a_place_to_wait),
	    TEST(private_accumulators_need_a_way_to_combine),
	    TEST(a_dropped_guard_is_caught),
	    TEST(a_dropped_guard_of_a_quotient_is_caught),
	    TEST(a_buffer_one_column_short_is_caught),
	    TEST(an_index_off_by_one_against_its_guard_is_caught),
	    TEST(a_store_that_ignores_a_dim_is_caught),
	    TEST(a_lost_or_doubled_piece_is_caught),
	    TEST(a_loop_one_too_long_is_caught),
	    TEST(a_base_off_by_one_is_caught),
	    TEST(a_dim_off_by_one_throughout_is_caught),
	    TEST(a_live_piece_called_dead_is_caught),
	    TEST(a_parallel_reduction_is_caught),
	    TEST(lanes_past_an_unpadded_buffer_are_caught),
	    TEST(chunks_out_of_order_are_caught),
	    TEST(meeting_stores_and_reads_are_caught),
	};
	return cmocka_run_group_tests_name("nest_faults", tests, NULL, NULL);
}
