/* Affine forms, the sets they run through, layouts and guards, each against plain enumeration. */
#include "nests.h"
#include "../compiler/nest/internal.h"

#include <math.h>
#include <stdlib.h>

static uint64_t random_state;

/* A number in lo..hi, the same ones in every run. */
static int64_t pick(int64_t lo, int64_t hi)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return lo + (int64_t)((random_state >> 33) % (uint64_t)(hi - lo + 1));
}

static Affine random_affine(int vars, int64_t reach)
{
	Affine a = affine_number(pick(-reach, reach));
	for (int v = 0; v < vars; v++)
		if (pick(0, 1)) a = affine_add(a, affine_scale(affine_var(v), pick(-reach, reach)));
	return a;
}

/* Steps value through the box of counts; false after the last point. */
static bool next_point(int64_t *value, const int64_t *count, int vars)
{
	for (int v = vars - 1; v >= 0; v--) {
		if (++value[v] < count[v]) return true;
		value[v] = 0;
	}
	return false;
}

static const char *text_of_affine(Arena *a, Affine e)
{
	static const char *const names[] = {"n", "oh", "kh"};
	Text t;
	text_init(&t, a);
	affine_print(&e, names, &t);
	return t.data;
}

/* --- affine ------------------------------------------------------------------------------- */

static void affine_arithmetic(void **state)
{
	Arena *a = *state;
	Affine e = affine_plus(affine_add(affine_scale(affine_var(1), 2), affine_var(2)), -3);
	assert_string_equal(text_of_affine(a, e), "2*oh+kh-3");
	assert_string_equal(text_of_affine(a, affine_sub(e, e)), "0");
	assert_string_equal(text_of_affine(a, affine_scale(e, -1)), "-2*oh-kh+3");
	assert_string_equal(text_of_affine(a, affine_scale(e, 0)), "0");
	assert_string_equal(text_of_affine(a, affine_fix(&e, 1, 5)), "kh+7");
	assert_int_equal(affine_k(&e, 1), 2);
	assert_int_equal(affine_k(&e, 0), 0);
	Affine of[] = {affine_number(9), affine_add(affine_var(0), affine_var(2)),
	    affine_scale(affine_var(2), -2)};
	assert_string_equal(text_of_affine(a, affine_subst(&e, of)), "2*n-3");
	Affine sum = affine_number(0), before;
	for (int v = 0; v < AFFINE_TERMS; v++) sum = affine_add(sum, affine_var(v));
	before = sum;
	Affine more = affine_var(AFFINE_TERMS);
	assert_false(affine_accumulate(&sum, &more, 1));
	assert_true(affine_same(&sum, &before));
	assert_true(affine_accumulate(&sum, &more, 0));
}

static void affine_range_and_quotient_hold_for_every_point(void **state)
{
	(void)state;
	int exact = 0;
	for (int round = 0; round < 4000; round++) {
		int64_t count[3] = {pick(1, 5), pick(1, 4), pick(1, 3)}, value[3] = {0}, lo, hi;
		int64_t q = pick(1, 6), least = INT64_MAX, most = INT64_MIN;
		Affine e = random_affine(3, 8), d;
		bool divides = affine_div(&e, q, count, &d);
		affine_range(&e, count, &lo, &hi);
		do {
			int64_t x = affine_eval(&e, value), floor = x >= 0 ? x / q : -((-x + q - 1) / q);
			least = MIN(least, x), most = MAX(most, x);
			if (divides) assert_int_equal(affine_eval(&d, value), floor);
		} while (next_point(value, count, 3));
		assert_int_equal(lo, least);
		assert_int_equal(hi, most);
		exact += divides && q > 1;
	}
	assert_true(exact > 500); /* so that the quotients above were looked at */
}

/* --- sets --------------------------------------------------------------------------------- */

static void sets_meet_exactly_when_a_value_is_common(void **state)
{
	(void)state;
	int met = 0, apart = 0;
	for (int round = 0; round < 20000; round++) {
		int64_t count[4] = {pick(1, 5), pick(1, 5), pick(1, 5), pick(1, 5)}, value[4] = {0};
		bool held[2][400] = {{false}}, twice[2] = {false}, common = false;
		Digit room[2][AFFINE_TERMS];
		Set set[2];
		for (int s = 0; s < 2; s++) {
			int var = 2 * s;
			Affine e = affine_number(200 + pick(-20, 20));
			e = affine_add(e, affine_scale(affine_var(var), pick(-15, 15)));
			if (pick(0, 1)) e = affine_add(e, affine_scale(affine_var(var + 1), pick(-15, 15)));
			int64_t seen = 0, points = 1;
			for (int t = 0; t < e.n; t++) points *= count[e.t[t].var];
			for (int64_t i = 0; i < points; i++) {
				int64_t rest = i;
				for (int t = 0; t < e.n; t++) {
					value[e.t[t].var] = rest % count[e.t[t].var];
					rest /= count[e.t[t].var];
				}
				int64_t x = affine_eval(&e, value);
				seen += !held[s][x];
				held[s][x] = true;
			}
			twice[s] = seen < points;
			bool proven = set_of(&e, count, room[s], &set[s]);
			assert_false(proven && twice[s]); /* the converse need not hold: mixed radix suffices */
			twice[s] = !proven;
			if (proven) assert_int_equal(set[s].count, seen);
		}
		if (twice[0] || twice[1]) continue;
		for (int x = 0; x < 400; x++) common |= held[0][x] && held[1][x];
		assert_int_equal(sets_meet(&set[0], &set[1]), common);
		*(common ? &met : &apart) += 1;
	}
	assert_true(met > 1000 && apart > 1000);
}

/* --- buffers ------------------------------------------------------------------------------ */

static const char *layout_text(Arena *a, const Buffer *b)
{
	Text t;
	text_init(&t, a);
	buffer_layout_text(b, &t);
	return t.data;
}

static void layouts_map_the_room_one_to_one(void **state)
{
	Arena *a = *state;
	static const char *const layouts[] = {"a b c d", "a b/4 c d b%4", "d c b a", "b c d a",
	    "a/2 b/4 c d b%4 a%2", "c%2 d%2 a b c/2 d/2", "a b/8 c d b/4%2 b%4"};
	const int64_t shape[] = {3, 6, 5, 4};
	for (int l = 0; l < COUNT(layouts); l++)
		for (int64_t skew = 0; skew < 6; skew += 5) {
			Buffer *b = buffer_new(a, "x", TYPE_REAL, 4, shape);
			assert_true(buffer_layout(b, layouts[l], skew));
			assert_string_equal(layout_text(a, b), layouts[l]);
			bool *used = NEWS(a, bool, b->size);
			int64_t at[4] = {0};
			do {
				int64_t offset = buffer_offset(b, at);
				assert_in_range(offset, 0, b->size - 1);
				assert_false(used[offset]);
				used[offset] = true;
			} while (next_point(at, b->room, 4));
			for (int d = 0; d < 4; d++) assert_true(b->room[d] >= shape[d]);
		}
	Buffer *b = buffer_new(a, "x", TYPE_REAL, 4, shape);
	assert_true(buffer_layout(b, "a b/4 c d b%4", 16));
	assert_int_equal(b->room[1], 8);
	assert_int_equal(b->comp[1].stride, 5 * 4 * 4 + 16);
}

static void layouts_that_do_not_cover_are_refused(void **state)
{
	Arena *a = *state;
	static const char *const bad[] = {"", "a b c", "a b c d d", "a b/4 c d", "a b%4 c d",
	    "a b/4 c d b%2", "a b/4 c d b%8", "a b c d e", "a b/0 c d b%0", "a b c d%1 d", "a b/ c d",
	    "A b c d", "a,b c d", "a b/99999999999999999999 c d b%4", "a b c d x", "a b/4 b/4 c d b%4",
	    "a b/4x c d b%4"};
	const int64_t shape[] = {3, 6, 5, 4};
	for (int i = 0; i < COUNT(bad); i++) {
		Buffer *b = buffer_new(a, "x", TYPE_REAL, 4, shape);
		if (buffer_layout(b, bad[i], 0)) fail_msg("accepted %s", bad[i]);
		assert_string_equal(layout_text(a, b), "a b c d"); /* and left alone */
	}
}

static void addresses_are_offsets(void **state)
{
	Arena *a = *state;
	static const char *const layouts[] = {"a b", "a/4 b a%4", "b/2 a/4 a%4 b%2", "a%2 b a/2"};
	int affine = 0;
	for (int round = 0; round < 4000; round++) {
		const int64_t shape[] = {16, 6};
		Buffer *b = buffer_new(a, "x", TYPE_REAL, 2, shape);
		assert_true(buffer_layout(b, layouts[pick(0, 3)], pick(0, 1) * 3));
		int64_t count[3] = {pick(1, 4), pick(1, 4), pick(1, 3)}, value[3] = {0};
		Affine at[2] = {affine_add(affine_scale(affine_var(0), pick(0, 3) ? 4 : 3), affine_var(1)),
		    affine_var(2)};
		if (pick(0, 1)) at[0] = affine_plus(at[0], pick(-3, 3));
		Affine address;
		if (!buffer_address(b, at, count, &address)) continue;
		affine++;
		do {
			const int64_t i[2] = {affine_eval(&at[0], value), affine_eval(&at[1], value)};
			assert_int_equal(affine_eval(&address, value), buffer_offset(b, i));
		} while (next_point(value, count, 3));
	}
	assert_true(affine > 1000);
}

/* --- guards ------------------------------------------------------------------------------- */

static bool holds(const Guard *g, const int64_t *dim)
{
	int64_t x = affine_eval(&g->e[0].a, dim);
	if (g->kind == GUARD_DIVIDES) return x % g->q == 0;
	if (g->kind == GUARD_MASK) return g->table[x * g->cols + affine_eval(&g->e[1].a, dim)];
	return x % g->e[0].q == 0 && x / g->e[0].q >= g->lo && x / g->e[0].q < g->hi;
}

/* A truth is never wrong; for masks of one variable each, and for ranges without quotient, it is
 * exact. */
static void guard_truth_is_never_wrong(void **state)
{
	(void)state;
	static const uint8_t mask[8 * 8] = {
	    [9] = 1, [10] = 1, [11] = 1, [17] = 1, [18] = 1, [19] = 1, [40] = 1};
	int decided[3] = {0};
	for (int round = 0; round < 20000; round++) {
		Index e[2] = {{.q = 1}, {.q = 1}};
		Guard g = {.kind = (GuardKind)pick(0, 2),
		    .e = e,
		    .q = pick(1, 4),
		    .lo = pick(-4, 4),
		    .table = mask,
		    .cols = 8};
		int64_t count[2] = {pick(1, 4), pick(1, 4)}, value[2] = {0};
		Affine sub[2] = {random_affine(2, 4), random_affine(2, 4)};
		g.hi = g.lo + pick(0, 12);
		g.e[0] = index_div(affine_var(0), g.kind == GUARD_RANGE ? pick(1, 3) : 1);
		g.e[1] = index_of(affine_var(1));
		if (g.kind == GUARD_MASK) {
			sub[0] = affine_plus(affine_scale(affine_var(0), pick(0, 2)), pick(0, 1));
			sub[1] = affine_plus(affine_scale(affine_var(1), pick(0, 2)), pick(0, 1));
		}
		Truth truth = guard_truth(&g, sub, count);
		bool some = false, all = true;
		do {
			const int64_t dim[2] = {affine_eval(&sub[0], value), affine_eval(&sub[1], value)};
			if (g.kind == GUARD_RANGE && dim[0] % g.e[0].q) continue; /* never asked there */
			*(holds(&g, dim) ? &some : &all) = holds(&g, dim);
		} while (next_point(value, count, 2));
		if (truth == NEVER) assert_false(some);
		if (truth == ALWAYS) assert_true(all);
		if (g.kind == GUARD_MASK) assert_int_equal(truth, all ? ALWAYS : some ? MAYBE : NEVER);
		decided[g.kind] += truth != MAYBE;
	}
	for (int k = 0; k < 3; k++) assert_true(decided[k] > 1000);
}

/* Of 1..5 only 2 and 4 have a half. */
static void ranges_of_quotients_round_inwards(void **state)
{
	(void)state;
	Index e[2] = {{.q = 1}, {.q = 1}};
	Guard g = {.kind = GUARD_RANGE, .e = e, .lo = 1, .hi = 3};
	const Affine sub[] = {affine_plus(affine_var(0), 1)};
	const int64_t count[] = {5};
	g.e[0] = index_div(affine_var(0), 2);
	assert_int_equal(guard_truth(&g, sub, count), ALWAYS);
	g.lo = 2;
	assert_int_equal(guard_truth(&g, sub, count), MAYBE);
	g.lo = -4, g.hi = 1;
	assert_int_equal(guard_truth(&g, sub, count), NEVER);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, nests_setup, nests_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(affine_arithmetic),
	    TEST(affine_range_and_quotient_hold_for_every_point),
	    TEST(sets_meet_exactly_when_a_value_is_common),
	    TEST(layouts_map_the_room_one_to_one),
	    TEST(layouts_that_do_not_cover_are_refused),
	    TEST(addresses_are_offsets),
	    TEST(guard_truth_is_never_wrong),
	    TEST(ranges_of_quotients_round_inwards),
	};
	return cmocka_run_group_tests_name("nest_affine", tests, NULL, NULL);
}
