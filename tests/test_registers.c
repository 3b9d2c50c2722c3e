/* Whether convolutions' tiles fit in a target's registers. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(accumulators_and_products_fit)};
	return cmocka_run_group_tests_name("registers", tests, NULL, NULL);
}
