/* What schedules do about memory: what goes from step to step without it, what is asked for ahead,
 * and what is copied. */
#include "scheduled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* The steps of groups that hand on some of their buffers row by row, no larger than a row of each
 * task. */
static int check_near(const char *file, const Program *program, const Part *p)
{
	enum { ROW = 2 };
	int seen = 0;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		bool hands = false;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			const Buffer *b = p->buffer.at[nest_access(n, k)->buffer->id]; /* its row's place */
			if (b->folded != UINT32_C(1) << ROW || b->rank != 4) continue;
			hands = true;
			if (b->size > n->dim[0].extent * b->shape[1] * b->shape[3])
				fail_msg(
				    "%s, %s: %s takes %lld numbers", file, p->name, n->name, (long long)b->size);
		}
		if (hands && (n->join != 2 || !p->step.at[s].group))
			fail_msg("%s, %s: %s stands alone", file, p->name, n->name);
		seen += hands;
	}
	return seen;
}

/* Of gradients of local response normalisation, in two entries. */
static void what_is_handed_on_goes_row_by_row(void **state)
{
	static const char near[] = "tests/networks/near.lua";
	(void)state;
	enum { ENTRIES = 2, STEPS = 4 };
	const int pools = 2; /* whose gradients hand on, too */
	assert_int_equal(
	    check_network(near, "auto", WINOGRAD_ALL, 4, check_near), ENTRIES * (3 * STEPS + pools));
	assert_int_equal(check_network(near, "auto", WINOGRAD_ALL, 2, check_near), 0);
	assert_int_equal(check_network("networks/alexnet.lua", "avx512", WINOGRAD_ALL, 16, check_near),
	    ENTRIES * 2 * STEPS);
	/* Convolutions stay as they are, though they hand on as well. */
	const int mean = 1; /* whose gradient hands on, too */
	assert_int_equal(
	    check_text("local y = image('x', 3, 32, 32):conv(param.a, 80, {kernel = 3}):lrn(5)\n"
	               "return network{output = {y = y:global_avg_pool()}, loss = y:mean()}\n",
	        "avx512", 4, check_near),
	    mean + STEPS);
}

/* Copies back to row-major are behind the group that makes what they copy, not amidst it. */
static int check_unpacked(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	(void)program;
	if (p->batch == 1) return 0;
	for (int s = 1; s < p->step.n; s++) {
		if (strcmp(p->step.at[s].nest->name, "unpack") != 0) continue;
		if (p->step.at[s].group) fail_msg("%s, %s: a copy takes turns", file, p->name);
		seen++;
	}
	return seen;
}

/* A map, and two sums along whose channels lanes lie, each an output. */
static void copies_stand_behind_groups(void **state)
{
	(void)state;
	const char *text = "local y = image('x', 16, 64, 64):tanh()\n"
	                   "local mean, sum = y:mean{axes = 'width'}, y:sum{axes = 'width'}\n"
	                   "return network{output = {mean = mean, sum = sum}, loss = sum:mean()}\n";
	enum { ENTRIES = 2, STEPS = 3, OUTPUTS = 2 };
	assert_int_equal(check_text(text, "auto", 4, check_near), ENTRIES * STEPS);
	assert_int_equal(check_text(text, "auto", 4, check_unpacked), ENTRIES * OUTPUTS);
}

/* How many sums are made in parts, each of which has much to do. */
static int check_sums(const char *file, const Program *program, const Part *p)
{
	enum { LEAST_PART = 1024 };
	int seen = 0;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		int64_t points = 1;
		if (!strstr(n->name, "_parts")) continue;
		for (int d = 1; d < n->ndim; d++) points *= n->dim[d].extent;
		if (points < LEAST_PART) fail_msg("%s: parts of %lld points", file, (long long)points);
		seen++;
	}
	return seen;
}

/* A prime number of values has no parts but single ones, which would be copied. */
static void parts_of_sums_are_not_single_values(void **state)
{
	char text[256];
	const int width[] = {16384, 16411};
	(void)state;
	for (int i = 0; i < COUNT(width); i++) {
		snprintf(text, sizeof text,
		    "local y = input('x', 2, %d):sum{axes = 'width'}\n"
		    "return network{output = {y = y}, loss = y:mean()}\n",
		    width[i]);
		assert_int_equal(check_text(text, "auto", 1, check_sums) > 0, i == 0);
	}
}

/* How far ahead the kernels of dense gradients by data ask for weights; of all the same. */
static int rows_ahead(const char *file, const Program *program, const Part *p)
{
	int ahead = 0;
	(void)file;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		if (strcmp(p->step.at[s].nest->name, "dense_dx") != 0) continue;
		const Nest *n = p->step.at[s].tree[0]->nest;
		for (int l = 0; l < n->nload; l++) ahead = MAX(ahead, n->load[l].prefetch);
	}
	return ahead;
}

/* Rows that are pages apart meet in few lines of a cache: those further on in each, not the next
 * eight rows. */
static void rows_that_meet_are_not_asked_for_at_once(void **state)
{
	static const struct {
		int columns, ahead;
	} rows[] = {{1024, 128}, {2048, 128}, {960, 8 * 960}, {1040, 8 * 1040}};
	(void)state;
	for (int i = 0; i < COUNT(rows); i++) {
		char text[256];
		snprintf(text, sizeof text,
		    "local y = input('x', 4):dense(param.a, %d):relu():dense(param.b, 400)\n"
		    "return network{output = {y = y}, loss = y:mean()}\n",
		    rows[i].columns);
		/* without an optimizer one entry has gradients */
		assert_int_equal(check_text(text, "avx512", 1, rows_ahead), rows[i].ahead);
	}
}

/* Training copies no matrix of weights or of gradients: each use of it is one pass, and a step
 * moves it in that of its gradient. */
static int check_copies(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	(void)program;
	if (p->kind != ENTRY_EVAL && p->kind != ENTRY_GRADIENTS && p->kind != ENTRY_STEP) return 0;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			const Buffer *b = p->buffer.at[nest_access(n, k)->buffer->id]; /* no row for it */
			bool weights = b->place == PLACE_VARS || b->place == PLACE_GRADS;
			if (!weights || b->rank != 2 || b->shape[0] < 32) continue;
			if (!n->nacc) fail_msg("%s, %s: %s is copied", file, p->name, b->name);
			seen++;
		}
	}
	return seen;
}

static void matrices_stay_where_they_are(void **state)
{
	(void)state;
	assert_int_equal(
	    check_network("networks/alexnet.lua", "avx2", WINOGRAD_ALL, 1, check_copies), 24);
	assert_int_equal(
	    check_network("networks/alexnet.lua", "avx512", WINOGRAD_ALL, 16, check_copies), 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_handed_on_goes_row_by_row),
	    cmocka_unit_test(copies_stand_behind_groups),
	    cmocka_unit_test(parts_of_sums_are_not_single_values),
	    cmocka_unit_test(rows_that_meet_are_not_asked_for_at_once),
	    cmocka_unit_test(matrices_stay_where_they_are)};
	return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
