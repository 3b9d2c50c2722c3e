/* Maps that go into what reads them: the nests, and which values these are. */
#include "nests.h"
#include "scheduled.h"

#include "../compiler/nest/internal.h"
#include "../compiler/schedule/internal.h"

#include <math.h>
#include <stdio.h>

/* --- nests -------------------------------------------------------------------------------- */

/* y[n,c,h,w] = max(0, (x[n,c,h,w] - mean[c])*s[c]) */
static Nest *map_to(Arena *a, Buffer *y)
{
	static const char *const names[] = {"i", "j", "k", "l"};
	Nest *m = nest_new(a, "map");
	Index at[BUFFER_RANK];
	Affine to[BUFFER_RANK];
	for (int d = 0; d < y->rank; d++) {
		to[d] = affine_var(nest_dim(m, names[d], y->shape[d], false));
		at[d] = index_of(to[d]);
	}
	int x = nest_load(m, "x", buffer_new(a, "x", TYPE_REAL, y->rank, y->shape), at);
	int mean = nest_load(m, "mean", buffer_new(a, "mean", TYPE_REAL, 1, &y->shape[1]), &at[1]);
	int s = nest_load(m, "s", buffer_new(a, "s", TYPE_REAL, 1, &y->shape[1]), &at[1]);
	Expr *from = e_op(a, E_SUB, e_load(a, x), e_load(a, mean));
	nest_store(m, "y", y, to, e_op(a, E_MAX, e_num(a, 0), e_op(a, E_MUL, from, e_load(a, s))));
	return m;
}

static void fill(double *x, int64_t n, int by)
{
	for (int64_t i = 0; i < n; i++) x[i] = (double)(i * by % 17) - 8;
}

/* The reader's buffers and the map's operands, in one memory. */
static Machine both(Arena *a, Nest *reader, const Nest *map)
{
	Machine m = nests_machine(a, reader);
	int count = reader->nload + reader->nstore;
	double **memory = NEWS(a, double *, count + map->nload);
	memcpy(memory, m.memory, (size_t)count * sizeof *memory);
	for (int k = 0; k < map->nload; k++) {
		Buffer *b = map->load[k].buffer;
		b->id = count + k;
		memory[b->id] = NEWS(a, double, b->size);
		fill(memory[b->id], b->size, 5 + k);
	}
	m.memory = memory;
	return m;
}

/* Running the two in order stores what the inlined one stores, which reads no y. */
static void assert_inlined(Arena *a, const char *as, Nest *reader, const char *schedule)
{
	Buffer *y = nests_buffer(reader, as);
	Nest *map = map_to(a, y), *inlined = inline_map(a, map, reader);
	assert_non_null(inlined);
	assert_null(nest_verify(a, inlined));
	assert_true(nest_load_of(inlined, y) < 0);
	Machine m = both(a, reader, map);
	run_naive(map, &m);
	run_naive(reader, &m);
	double *separate[NEST_STORES];
	for (int k = 0; k < reader->nstore; k++) {
		Buffer *out = reader->store[k].to.buffer;
		separate[k] = m.memory[out->id];
		m.memory[out->id] = NEWS(a, double, out->size);
	}
	for (int64_t i = 0; i < y->size; i++) m.memory[y->id][i] = NAN;
	run_naive(inlined, &m);
	for (int k = 0; k < reader->nstore; k++) {
		Buffer *out = reader->store[k].to.buffer;
		size_t bytes = (size_t)out->size * sizeof *separate[k];
		assert_memory_equal(separate[k], m.memory[out->id], bytes);
	}
	nests_same(a, inlined, schedule); /* sets ids of its own */
}

/* out[n,c,w] = x[n,c,w] - x[n,c,6-w] */
static Nest *mirrored(Arena *a)
{
	const int64_t shape[] = {2, 3, 7};
	Nest *n = nest_new(a, "mirror");
	Buffer *x = buffer_new(a, "x", TYPE_REAL, COUNT(shape), shape);
	Index at[COUNT(shape)];
	Affine to[COUNT(shape)];
	static const char *const names[] = {"n", "c", "w"};
	for (int d = 0; d < COUNT(shape); d++) {
		to[d] = affine_var(nest_dim(n, names[d], shape[d], false));
		at[d] = index_of(to[d]);
	}
	int there = nest_load(n, "x", x, at);
	at[2] = index_of(affine_plus(affine_scale(to[2], -1), shape[2] - 1));
	int back = nest_load(n, "x", x, at);
	nest_store(n, "out", buffer_new(a, "out", TYPE_REAL, COUNT(shape), shape), to,
	    e_op(a, E_SUB, e_load(a, there), e_load(a, back)));
	return n;
}

static void maps_go_into_what_reads_them(void **state)
{
	Arena *a = *state;
	Pool p = {2, 4, 7, 6, 3, 2, 1, NULL};
	assert_inlined(a, "x", nests_max_pool(a, &p), "n | c | oh | reg ow | kh | kw");
	assert_inlined(a, "x", nests_avg_pool(a, &p), "n | c | oh | reg ow | kh | kw");
	assert_inlined(a, "x", nests_max_pool(a, &(Pool){1, 1, 5, 1, 2, 2, 1, NULL}), "oh | kh | kw");
	assert_inlined(a, "x", nests_bias_relu(a, 2, 3, 4, NULL, false), "n | c | p"); /* another map */
	assert_inlined(a, "x", nests_dropout(a, 3, 4), "n | c");
	assert_inlined(a, "x", mirrored(a), "n | c | w");
	assert_inlined(a, "x", nests_mean(a, 2, 3, 4, NULL), "c | n | p");
	Conv c = {.N = 1, .IC = 3, .OC = 4, .IH = 6, .IW = 5, .KH = 3, .KW = 3, .pad = 1};
	assert_inlined(
	    a, "x", nests_conv(a, &c), "n | oc | oh | tile ow 4 | reg ow | ic | kh | cut kw");
}

static Nest *spoiled(Arena *a, int i, Nest *m, Nest *reader)
{
	Store *to = &m->store[0];
	switch (i) {
	case 0: to->value = e_op(a, E_ADD, to->value, e_index(a, affine_var(1))); break;
	case 1: to->to.at[2].a.c = 1; break;        /* shifted */
	case 2: m->dim[2].extent--; break;          /* a part */
	case 3: to->to.at[2] = to->to.at[3]; break; /* a diagonal */
	case 4: nest_dim(m, "z", 3, false); break;  /* a dim that y has not */
	case 5: nest_acc(m, 0, COMBINE_SUM, e_load(a, 0)); break;
	case 6: nest_guard_range(m, index_of(affine_var(2)), 0, 2); break;
	case 7: m->store[m->nstore++] = m->store[0]; break;
	case 8: reader->load[0].at[2].q = 2; break;
	case 9: /* too many loads */
		while (reader->nload < NEST_LOADS) {
			reader->load[reader->nload] = reader->load[0];
			access_put(a, &reader->load[reader->nload], reader->load[0].buffer, reader->load[0].at);
			reader->load[reader->nload].at[2].a.c += 7 * reader->nload;
			reader->nload++;
		}
		break;
	default: /* an expression that doubles each time */
		for (int k = 0; k < 9; k++) to->value = e_op(a, E_ADD, to->value, to->value);
	}
	return inline_map(a, m, reader);
}

static void other_forms_are_left_alone(void **state)
{
	enum { CASES = 11 };
	Arena *a = *state;
	Pool p = {1, 4, 6, 6, 3, 2, 1, NULL};
	for (int i = 0; i < CASES; i++) {
		Nest *reader = nests_max_pool(a, &p);
		if (spoiled(a, i, map_to(a, nests_buffer(reader, "x")), reader))
			fail_msg("case %d went in", i);
	}
}

/* --- parts -------------------------------------------------------------------------------- */

/* Maps of batch norm, or of a product behind it, that are steps of their own. */
static int count_maps(const char *file, const Program *program, const Part *p)
{
	int seen = 0;
	(void)file;
	(void)program;
	for (int s = 0; s < p->step.n; s++) {
		const char *name = p->step.at[s].nest->name;
		seen += !strcmp(name, "batch_norm_train") || !strcmp(name, "scale");
	}
	return seen;
}

static int maps_behind(const char *front, const char *behind, int64_t batch)
{
	char text[512];
	snprintf(text, sizeof text,
	    "local x = image('x', 16, 64, 64)%s:batch_norm(param.n)\n"
	    "local y = %s\n"
	    "return network{output = {y = y}, loss = y:mean(), optimizer = sgd{}}\n",
	    front, behind);
	return check_text(text, "avx512", batch, count_maps);
}

static int maps_of(const char *behind, int64_t batch)
{
	return maps_behind(":conv(param.a, 16, {kernel = 3, pad = 1})", behind, batch);
}

/* In all entries, whether they take values that there are or make them again. */
static void values_that_memory_would_hold_are_made_where_they_are_read(void **state)
{
	static const char *const stays[] = {
	    "x:relu():max_pool(3, {stride = 1, pad = 1})", /* nine readings of each */
	    "x:tanh():max_pool(3, {stride = 2, pad = 1})", /* not cheap */
	    "x:relu():conv(param.b, 4, {kernel = 2, stride = 2})",
	};
	static const char pooled[] = "x:relu():max_pool(3, {stride = 2, pad = 1})";
	(void)state;
	assert_int_equal(maps_of(pooled, 4), 0);
	assert_int_equal(maps_of("x:relu():avg_pool(2)", 4), 0);
	assert_int_equal(maps_of("(0.3 * x:relu()):avg_pool(2)", 4), 0);
	assert_true(maps_of(pooled, 3) > 0);         /* near enough */
	assert_true(maps_behind("", pooled, 4) > 0); /* of what is copied itself */
	for (int i = 0; i < COUNT(stays); i++)
		if (!maps_of(stays[i], 4)) fail_msg("nobody makes %s", stays[i]);
}

/* y = f(x, mean), z = max(0, y) or, if it `copies`, y, and between them, if it `writes`, another
 * mean. */
static int steps_left(Arena *a, bool writes, bool copies)
{
	const int64_t shape[] = {1, 4, 256, 256};
	Part p = {0};
	Buffer *y = part_buffer(a, &p, "y", TYPE_REAL, COUNT(shape), shape, PLACE_WORK);
	Buffer *z = part_buffer(a, &p, "z", TYPE_REAL, COUNT(shape), shape, PLACE_WORK);
	Nest *map = map_to(a, y), *reader = nest_new(a, "relu"), *other = nest_new(a, "other");
	Index at[COUNT(shape)];
	Affine to[COUNT(shape)];
	for (int k = 0; k < map->nload; k++) {
		Buffer *x = map->load[k].buffer;
		map->load[k].buffer =
		    part_buffer(a, &p, x->name, TYPE_REAL, x->rank, x->shape, k ? PLACE_VARS : PLACE_WORK);
	}
	for (int d = 0; d < COUNT(shape); d++) {
		to[d] = affine_var(nest_dim(reader, "d", shape[d], false));
		at[d] = index_of(to[d]);
	}
	Expr *value = e_load(a, nest_load(reader, "y", y, at));
	nest_store(reader, "z", z, to, copies ? value : e_op(a, E_MAX, e_num(a, 0), value));
	Affine channel[] = {affine_var(nest_dim(other, "c", shape[1], false))};
	nest_store(other, "mean", map->load[1].buffer, channel, e_num(a, 1));
	part_insert(a, &p, 0, map, "map");
	if (writes) part_insert(a, &p, 1, other, "other");
	part_insert(a, &p, p.step.n, reader, "relu");
	inline_part(a, &p);
	return p.step.n;
}

static void what_has_changed_is_not_read_again(void **state)
{
	assert_int_equal(steps_left(*state, false, false), 1);
	assert_int_equal(steps_left(*state, true, false), 3);
}

static void copies_make_nothing(void **state)
{
	assert_int_equal(steps_left(*state, false, true), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(maps_go_into_what_reads_them, nests_setup, nests_teardown),
	    cmocka_unit_test_setup_teardown(other_forms_are_left_alone, nests_setup, nests_teardown),
	    cmocka_unit_test(values_that_memory_would_hold_are_made_where_they_are_read),
	    cmocka_unit_test_setup_teardown(
	        what_has_changed_is_not_read_again, nests_setup, nests_teardown),
	    cmocka_unit_test_setup_teardown(copies_make_nothing, nests_setup, nests_teardown)};
	return cmocka_run_group_tests_name("inline", tests, NULL, NULL);
}
