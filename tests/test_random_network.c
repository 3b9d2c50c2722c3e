/* The networks of the fuzzer: every method of the operator table is among them, so that a new one
 * is fuzzed from its descriptor alone; a seed is a text; some are right in every way. */
#include "network_check.h"

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

static void every_method_is_made(void **state)
{
	bool *made = calloc((size_t)op_count, sizeof *made);
	assert_non_null(made);
	for (uint64_t seed = 1; seed <= 100; seed++) {
		if (network_is_large(seed, network_is_whole(seed))) continue; /* takes seconds to make */
		RandomNetwork r = random_network(*state, seed, network_is_whole(seed), 0);
		for (int i = 0; i < op_count; i++) made[i] |= r.made[i];
	}
	for (int i = 0; i < op_count; i++)
		if (op_table[i]->flags & OP_METHOD && !made[i])
			fail_msg("no random network has the operator %s", op_table[i]->name);
	free(made);
}

static void a_seed_is_a_text(void **state)
{
	for (uint64_t seed = 1; seed < 6; seed++) {
		RandomNetwork one = random_network(*state, seed, false, 0);
		RandomNetwork two = random_network(*state, seed, false, 0);
		RandomNetwork other = random_network(*state, seed + 1, false, 0);
		assert_string_equal(one.text, two.text);
		assert_string_not_equal(one.text, other.text);
	}
}

/* The text as a file, which is gone afterwards. */
static const char *check(Arena *a, const char *text, uint64_t seed, NetworkReport *report)
{
	const char *build = getenv("BUILD");
	const char *path = arena_printf(a, "%s/random.lua", build ? build : "build");
	const char *wrong = file_write(a, path, text, strlen(text), false);
	if (!wrong) wrong = network_check(a, path, seed, report);
	remove(path);
	return wrong;
}

static void some_are_right_in_every_way(void **state)
{
	NetworkReport report = {0};
	for (uint64_t seed = 1; seed <= 6; seed++) {
		RandomNetwork r = random_network(*state, seed, network_is_whole(seed), 0);
		const char *wrong = check(*state, r.text, seed, &report);
		if (wrong) fail_msg("seed %d: %s", (int)seed, wrong);
	}
	assert_true(report.tensors > 60);
	assert_true(report.loose < report.tensors / 10);
	assert_true(report.exact > 3);
	assert_true(report.differences > 10);
}

/* Where LRN's operand lies among zeros, or has to be copied, its gradients are the oracle's. */
static void lrn_of_what_others_read_is_right(void **state)
{
	NetworkReport report = {0};
	for (uint64_t seed = 1; seed <= 4; seed++) {
		const char *wrong = network_check(*state, "tests/networks/lrn.lua", seed, &report);
		if (wrong) fail_msg("seed %d: %s", (int)seed, wrong);
	}
	assert_true(report.tensors > 20);
	assert_true(report.differences > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_method_is_made),
	    cmocka_unit_test(a_seed_is_a_text),
	    cmocka_unit_test(some_are_right_in_every_way),
	    cmocka_unit_test(lrn_of_what_others_read_is_right),
	};
	return cmocka_run_group_tests_name("random_network", tests, setup, teardown);
}
