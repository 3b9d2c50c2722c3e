/* Whether convolutions' tiles fit in a target's registers, and fill them where sums are alone. */
#include "scheduled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The most accumulators of a tile in this tree: its instances, a vector each. */
static int64_t most_accumulators(const Tree *t, int nacc)
{
	int64_t most = 0;
	if (t->kind == TREE_TILE) {
		most = nacc;
		for (int r = 0; r < t->nreg; r++)
			if (!t->reg[r].lanes) most *= t->reg[r].count;
	}
	for (int i = 0; i < t->kid.n; i++) most = MAX(most, most_accumulators(t->kid.at[i], nacc));
	return most;
}

static int64_t most_of_step(const Step *step, const Scheduled *tree)
{
	int64_t most = 0;
	for (int i = 0; i < tree->root.n; i++)
		most = MAX(most, most_accumulators(tree->root.at[i], step->nest->nacc));
	return most;
}

/* Beside accumulators there are two operands, and products and all of a tile's weights where
 * multiplications and additions are not fused. Returns how many tiles use half of the registers. */
static int check_registers(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	for (int s = 0; s < p->step.n; s++)
		for (int t = 0; t < program->ntarget; t++) {
			const Target *target = program->target[t];
			const Step *step = &p->step.at[s];
			int64_t room = target->registers - (target->fuses ? 2 : 6);
			if (strncmp(step->nest->name, "conv", 4) != 0) continue;
			int64_t most = most_of_step(step, step->tree[t]);
			if (most > room)
				fail_msg("%s, %s: %s has %lld accumulators for %s", file, p->name, step->comment,
				    (long long)most, target->name);
			seen += most > room / 2;
		}
	return seen;
}

static void accumulators_and_products_fit(void **state)
{
	static const char *const target[] = {"avx512", "avx2", "x86-64", "neon"};
	(void)state;
	for (int t = 0; t < COUNT(target); t++)
		assert_true(check_network(
		                "networks/resnet.lua", target[t], WINOGRAD_NONE, 2, check_registers) > 100);
}

/* 120 sums of 400 products, one image: two or three vectors of outputs would be as many chains
 * of multiply-adds that wait for one another. */
static int check_chains(const char *file, const Program *program, const Part *p)
{
	enum { IN_FLIGHT = 8 }; /* two units, four cycles each */
	int seen = 0;
	for (int s = 0; p->kind == ENTRY_INFER && s < p->step.n; s++) {
		const Step *step = &p->step.at[s];
		if (!strstr(step->comment, "1x16x5x5 -> 1x120")) continue;
		int64_t most = most_of_step(step, step->tree[0]);
		if (most < IN_FLIGHT)
			fail_msg("%s, %s: %s has %lld accumulators for %s", file, p->name, step->comment,
			    (long long)most, program->target[0]->name);
		seen++;
	}
	return seen;
}

static void sums_that_are_alone_have_private_accumulators(void **state)
{
	(void)state;
	assert_int_equal(
	    check_network("networks/lenet.lua", "avx512", WINOGRAD_ALL, 1, check_chains), 1);
	assert_int_equal(check_network("networks/lenet.lua", "avx2", WINOGRAD_ALL, 1, check_chains), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(accumulators_and_products_fit),
	    cmocka_unit_test(sums_that_are_alone_have_private_accumulators)};
	return cmocka_run_group_tests_name("registers", tests, NULL, NULL);
}
