/* The form of nests and expressions, schedules as text, fusion of maps, random numbers. */
#include "nests.h"
#include "../compiler/nest/internal.h"

#include <math.h>
#include <stdlib.h>

/* --- nests -------------------------------------------------------------------------------- */

static void nests_print_as_mathematics(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 1,
	    .IC = 3,
	    .OC = 4,
	    .IH = 6,
	    .IW = 6,
	    .KH = 3,
	    .KW = 3,
	    .stride = 2,
	    .pad = 1,
	    .bias = true,
	    .relu = true,
	    .x = NULL};
	Nest *n = nests_conv(a, &c);
	n->layer = "conv1";
	Text t;
	text_init(&t, a);
	nest_print(n, &t);
	assert_string_equal(t.data,
	    "conv \"conv1\"\n"
	    "  n 1, oc 4, oh 3, ow 3 | ic 3, kh 3, kw 3\n"
	    "  where 0 <= 2*oh+kh-1 < 6\n"
	    "  where 0 <= 2*ow+kw-1 < 6\n"
	    "  a0: sum from 0 of a0 + w[oc,ic,kh,kw]*x[n,ic,2*oh+kh-1,2*ow+kw-1]\n"
	    "  y[n,oc,oh,ow] = max(0, a0 + b[oc])\n");
	text_init(&t, a);
	c.links = nests_lenet_links;
	nest_print(nests_conv_dx(a, &c), &t);
	assert_string_equal(t.data,
	    "conv_dx\n"
	    "  n 1, ic 3, ih 6, iw 6 | oc 4, kh 3, kw 3\n"
	    "  where 2 divides ih-kh+1\n"
	    "  where 0 <= (ih-kh+1)/2 < 3\n"
	    "  where 2 divides iw-kw+1\n"
	    "  where 0 <= (iw-kw+1)/2 < 3\n"
	    "  where mask[oc,ic]\n"
	    "  a0: sum from 0 of a0 + w[oc,ic,kh,kw]*dy[n,oc,(ih-kh+1)/2,(iw-kw+1)/2]\n"
	    "  dx[n,ic,ih,iw] = a0\n");
}

static void expressions_print_with_few_parentheses(void **state)
{
	Arena *a = *state;
	static const char *const names[] = {"n", "c"};
	Expr *x = e_load(a, 0), *y = e_load(a, 1);
	Expr *sum = e_op(a, E_ADD, x, y), *less = e_op(a, E_GT, x, y);
	const struct {
		Expr *e;
		const char *text;
	} cases[] = {
	    {e_op(a, E_MUL, sum, sum), "(load0 + load1)*(load0 + load1)"},
	    {e_op(a, E_SUB, sum, sum), "load0 + load1 - (load0 + load1)"},
	    {e_op(a, E_DIV, e_num(a, 1), e_op(a, E_MUL, x, y)), "1/(load0*load1)"},
	    {e_select(a, e_op(a, E_OR, less, e_op(a, E_NE, x, x)), x, e_index(a, affine_var(1))),
	        "select(load0 > load1 || load0 != load0, load0, index[c])"},
	    {e_call(a, FN_POW, x, e_num(a, -0.75)), "pow(load0, -0.75)"},
	    {e_call(a, FN_TANH, e_acc(a, 1), NULL), "tanh(a1)"},
	    {e_hash(a, 0, 0xabc, affine_var(0)), "hash 0000000000000abc[n]"},
	    {e_table(a, (const double[]){1}, 1, affine_var(0), affine_number(0)), "table[n,0]"},
	};
	for (int i = 0; i < COUNT(cases); i++) {
		Text t;
		text_init(&t, a);
		expr_print(cases[i].e, names, &t);
		assert_string_equal(t.data, cases[i].text);
	}
	assert_true(expr_uses_load(sum, 1));
	assert_false(expr_uses_load(x, 1));
	assert_int_equal(expr_size(cases[0].e, 100), 7);
	assert_true(expr_size(cases[0].e, 3) > 3);
}

static Expr *next_load(void *self, const Expr *e)
{
	return e->kind == E_LOAD ? e_load(self, e->id + 1) : NULL;
}

/* Within an expression and from one to the next; what is replaced, too. */
static void rewritten_expressions_share_what_was_shared(void **state)
{
	Arena *a = *state;
	Expr *x = e_load(a, 0), *from = e_op(a, E_SUB, x, e_load(a, 1));
	Expr *square = e_op(a, E_MUL, from, from), *sum = e_op(a, E_ADD, from, x);
	Rewriting r = expr_rewriting(a, next_load, a);
	Expr *square2 = expr_rewrite(&r, square), *sum2 = expr_rewrite(&r, sum), *from2 = sum2->arg[0];
	assert_ptr_equal(square2->arg[0], from2);
	assert_ptr_equal(square2->arg[1], from2);
	assert_ptr_equal(sum2->arg[1], from2->arg[0]);
	assert_int_equal(from2->arg[0]->id, 1);
	assert_int_equal(from2->arg[1]->id, 2);
	assert_int_equal(from->arg[0]->id, 0);
}

/* What a sum could take unrounded, and nothing else. */
static void stored_products_are_rounded(void **state)
{
	Arena *a = *state;
	Expr *x = e_load(a, 0), *y = e_load(a, 1), *product = e_op(a, E_MUL, x, y);
	Expr *products[] = {product, e_op(a, E_MUL, e_num(a, -1), product),
	    e_op(a, E_MUL, product, e_num(a, 0.25)), e_op(a, E_MAX, e_num(a, 0), product),
	    e_select(a, e_op(a, E_GT, x, y), x, product)};
	Expr *others[] = {x, e_num(a, 2), e_op(a, E_ADD, product, x), e_op(a, E_DIV, product, y),
	    e_op(a, E_MUL, e_num(a, 0), x), e_op(a, E_MUL, x, e_num(a, -1)),
	    e_select(a, e_op(a, E_GT, product, y), x, y), e_call(a, FN_EXP, product, NULL)};
	for (int i = 0; i < COUNT(products); i++) {
		Expr *stored = e_stored(a, products[i]);
		assert_int_equal(stored->kind, E_ROUND);
		assert_ptr_equal(stored->arg[0], products[i]);
		assert_ptr_equal(e_stored(a, stored), stored);
	}
	for (int i = 0; i < COUNT(others); i++) assert_ptr_equal(e_stored(a, others[i]), others[i]);
}

/* y = (x - 1)(x - 1), of one part or of two. */
static Text form_of_square(Arena *a, bool shared)
{
	const int64_t shape[] = {8};
	Nest *n = nest_new(a, "square");
	Affine i = affine_var(nest_dim(n, "i", shape[0], false));
	Index at[] = {index_of(i)};
	int x = nest_load(n, "x", buffer_new(a, "x", TYPE_REAL, 1, shape), at);
	Expr *from = e_op(a, E_SUB, e_load(a, x), e_num(a, 1));
	Expr *other = shared ? from : e_op(a, E_SUB, e_load(a, x), e_num(a, 1));
	nest_store(n, "y", buffer_new(a, "y", TYPE_REAL, 1, shape), &i, e_op(a, E_MUL, from, other));
	Text form;
	text_init(&form, a);
	nest_form(n, &form);
	return form;
}

/* Texts name what is shared. */
static void forms_tell_what_is_shared(void **state)
{
	Text one = form_of_square(*state, true), again = form_of_square(*state, true),
	     two = form_of_square(*state, false);
	assert_true(one.len == again.len && !memcmp(one.data, again.data, one.len));
	assert_false(one.len == two.len && !memcmp(one.data, two.data, one.len));
}

/* y = table[0][i] x, where mask[0][i] is not 0. */
static Text form_of_table(Arena *a, const double *table, const uint8_t *mask)
{
	const int64_t shape[] = {3};
	Nest *n = nest_new(a, "table");
	Affine i = affine_var(nest_dim(n, "i", shape[0], false));
	Index at[] = {index_of(i)};
	int x = nest_load(n, "x", buffer_new(a, "x", TYPE_REAL, 1, shape), at);
	nest_guard_mask(n, affine_number(0), i, mask, 3);
	Expr *from = e_table(a, table, 3, affine_number(0), i);
	nest_store(
	    n, "y", buffer_new(a, "y", TYPE_REAL, 1, shape), &i, e_op(a, E_MUL, from, e_load(a, x)));
	Text form;
	text_init(&form, a);
	nest_form(n, &form);
	return form;
}

/* Wherever they lie. */
static void forms_tell_tables_by_their_numbers(void **state)
{
	const double one[] = {1, 2, 3}, same[] = {1, 2, 3}, other[] = {1, 2, 3.5};
	const uint8_t all[] = {1, 1, 1}, again[] = {1, 1, 1}, some[] = {1, 0, 1};
	Text a = form_of_table(*state, one, all), b = form_of_table(*state, same, again),
	     c = form_of_table(*state, other, all), d = form_of_table(*state, one, some);
	assert_true(a.len == b.len && !memcmp(a.data, b.data, a.len));
	assert_false(a.len == c.len && !memcmp(a.data, c.data, a.len));
	assert_false(a.len == d.len && !memcmp(a.data, d.data, a.len));
}

static void same_accesses_are_one_load(void **state)
{
	Arena *a = *state;
	Nest *n = nest_new(a, "map");
	nest_dim(n, "n", 4, false);
	const int64_t shape[] = {8};
	Buffer *x = buffer_new(a, "x", TYPE_REAL, 1, shape);
	Index at = index_of(affine_var(0)), next = index_of(affine_plus(affine_var(0), 1));
	assert_int_equal(nest_load(n, "x", x, &at), 0);
	assert_int_equal(nest_load(n, "x", x, &next), 1);
	assert_int_equal(nest_load(n, "x", x, &at), 0);
}

/* One thing wrong at a time. */
static void ill_formed_nests_are_refused(void **state)
{
	Arena *a = *state;
	static const char *const expected[] = {NULL, "an empty dim", "no store",
	    "reduction without accumulator", "reduction dim is used outside",
	    "quotient without its guard", "quotient without its guard", "accumulator used before",
	    "a load that it has not", "dim it has not", "condition used as a number",
	    "number where a condition", "table column", "overflow", "an expression is missing",
	    "holds no numbers", "wrong number of operands", "seed read as a number", "overflow",
	    "reduction dim is used outside", "guards nothing", "unsorted", "divisor below 1"};
	Conv c = {.N = 1, .IC = 3, .OC = 4, .IH = 6, .IW = 6, .KH = 3, .KW = 3, .stride = 2, .pad = 1};
	for (int i = 0; i < COUNT(expected); i++) {
		Nest *n = nests_conv_dx(a, &c);
		Expr *x = n->acc[0].update;
		switch (i) {
		case 1: n->dim[2].extent = 0; break;
		case 2: n->nstore = 0; break;
		case 3: n->nacc = 0; break;
		case 4: n->store[0].to.at[1].a = affine_var(4); break;
		case 5: n->guard[0] = n->guard[1]; break;
		case 6: n->load[0].at[2].q = 4; break;
		case 7: n->acc[0].update = e_op(a, E_ADD, x, e_acc(a, 1)); break;
		case 8: n->acc[0].update = e_op(a, E_ADD, x, e_load(a, 2)); break;
		case 9: n->load[1].at[0].a = affine_var(7); break;
		case 10: n->acc[0].update = e_op(a, E_ADD, x, e_op(a, E_GT, x, x)); break;
		case 11: n->acc[0].update = e_select(a, x, x, x); break;
		case 12: nest_guard_mask(n, affine_var(4), affine_var(2), nests_lenet_links, 5); break;
		case 13: n->load[1].at[0].a = affine_scale(affine_var(4), INT64_MAX / 2); break;
		case 14: n->store[0].value = NULL; break;
		case 15: n->store[0].to.buffer->type = TYPE_LABEL; break;
		case 16: n->acc[0].update = e_call(a, FN_EXP, x, x); break;
		case 17: n->load[1].buffer->type = TYPE_SEED; break;
		case 18: n->load[1].at[0].a.c = INT64_MIN; break;
		case 19: n->store[0].value = e_load(a, 1); break;
		case 20:
			n = nests_flatten(a, 1, 2, 3, 4, NULL),
			nest_guard_range(n, index_of(affine_var(1)), 0, 1);
			break;
		case 21: n->load[0].at[2].a.t[0].var = 5; break;
		case 22: n->load[0].at[2].q = 0; break;
		default: break;
		}
		const char *wrong = nest_verify(a, n);
		if (!expected[i])
			assert_null(wrong);
		else if (!wrong || !strstr(wrong, expected[i]))
			fail_msg("case %d: %s, expected %s", i, wrong ? wrong : "accepted", expected[i]);
	}
}

/* --- schedules as text -------------------------------------------------------------------- */

static void schedules_read_back_as_printed(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 4, .IC = 8, .OC = 20, .IH = 6, .IW = 6, .KH = 3, .KW = 3};
	Nest *n = nests_conv(a, &c);
	static const char *const texts[][2] = {
	    {"par n 2 | pad oc 16|for oc 16 |oh| tile ow 6 | reg ow | reg oc 8 | vec oc 8 | ic 4 | "
	     "phase kh 2 | cut kw "
	     "| unroll ic",
	        "pad oc 32 | par n 2 | oc 16 | oh | tile ow 6 | reg ow | reg oc 8 | vec oc 8 | ic 4 | "
	        "phase kh 2 | cut kw "
	        "| unroll ic"},
	    {"", ""},
	    {" | n | ", "n"},
	    {"pad oc 4 | n", "n"},
	};
	for (int i = 0; i < COUNT(texts); i++) {
		Schedule s, again;
		Text t, second;
		text_init(&t, a);
		text_init(&second, a);
		assert_null(schedule_parse(a, n, texts[i][0], &s));
		schedule_print(n, &s, &t);
		assert_string_equal(t.data, texts[i][1]);
		assert_null(schedule_parse(a, n, t.data, &again));
		schedule_print(n, &again, &second);
		assert_string_equal(second.data, t.data);
	}
	Text many;
	Schedule s;
	text_init(&many, a);
	for (int i = 0; i <= SCHEDULE_LINES; i++) text_add(&many, "n|");
	assert_non_null(schedule_parse(a, n, many.data, &s));
	assert_non_null(schedule_parse(a, n, "reg", &s));
	assert_non_null(schedule_parse(a, n, "n -1", &s));
	assert_non_null(schedule_parse(a, n, "pad ic 4", &s));
}

/* --- fusion ------------------------------------------------------------------------------- */

static Expr *double_of(Arena *a, Expr *x) { return e_op(a, E_MUL, x, e_num(a, 2)); }

/* out[n,c,h,w] = 2*y[n,c,h,w] + bias[c] + index(w), a map over y. */
static Nest *map_over(Arena *a, Buffer *y)
{
	static const char *const names[] = {"i", "j", "k", "l"};
	Nest *m = nest_new(a, "map");
	Index at[4];
	Affine to[4];
	for (int d = 0; d < y->rank; d++) {
		nest_dim(m, names[d], y->shape[d], false);
		to[d] = affine_var(d);
		at[d] = index_of(to[d]);
	}
	int x = nest_load(m, "y", y, at);
	int b = nest_load(m, "bias", buffer_new(a, "bias", TYPE_REAL, 1, &y->shape[1]), &at[1]);
	Expr *e = e_op(a, E_ADD, double_of(a, e_load(a, x)), e_load(a, b));
	e = e_op(a, E_ADD, e, e_index(a, affine_var(y->rank - 1)));
	nest_store(m, "out", buffer_new(a, "out", TYPE_REAL, y->rank, y->shape), to, e);
	return m;
}

/* Running the two in order gives what the fused one gives, in every buffer that both write. */
static void assert_fused(Arena *a, Nest *into, Nest *map, bool keep, const char *schedule)
{
	Nest *fused = fuse_map(a, into, map, keep);
	assert_non_null(fused);
	assert_null(nest_verify(a, fused));
	assert_int_equal(fused->nstore, into->nstore + keep);
	nests_same(a, fused, schedule);
	/* one memory for the buffers of all three: those of map get numbers behind those of into */
	Machine first = nests_machine(a, into);
	int count = into->nload + into->nstore;
	double **memory = NEWS(a, double *, 3 * count + 8);
	memcpy(memory, first.memory, (size_t)count * sizeof *memory);
	Buffer *out = map->store[0].to.buffer, *bias = nests_buffer(map, "bias");
	bias->id = count;
	out->id = count + 1;
	memory[bias->id] = NEWS(a, double, bias->size);
	for (int64_t i = 0; i < bias->size; i++) memory[bias->id][i] = (double)(3 * i - 4);
	double *separate = memory[out->id] = NEWS(a, double, out->size);
	Machine m = {.memory = memory};
	run_naive(into, &m);
	run_naive(map, &m);
	double *together = memory[out->id] = NEWS(a, double, out->size);
	run_naive(fused, &m);
	assert_memory_equal(separate, together, (size_t)out->size * sizeof *separate);
}

static void maps_fuse_into_what_they_read(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 2, .IC = 3, .OC = 4, .IH = 6, .IW = 5, .KH = 3, .KW = 3, .pad = 1, .relu = true};
	static const char conv_schedule[] = "n | oc | oh | tile ow 4 | reg ow | ic | kh | cut kw";
	Nest *n = nests_conv(a, &c);
	assert_fused(a, n, map_over(a, nests_buffer(n, "y")), false, conv_schedule);
	n = nests_conv(a, &c);
	assert_fused(a, n, map_over(a, nests_buffer(n, "y")), true, conv_schedule);
	c.groups = 1, c.N = 1; /* a dim of size 1 read at 0 */
	n = nests_conv(a, &c);
	Nest *map = map_over(a, nests_buffer(n, "y"));
	map->load[0].at[0] = index_of(affine_number(0));
	assert_fused(a, n, map, false, conv_schedule);
	n = nests_flatten(a, 2, 3, 4, 5, NULL); /* map dims become mixed indices */
	assert_fused(a, n, map_over(a, nests_buffer(n, "y")), false, "n | c | h | w");
	Pool p = {1, 4, 6, 6, 3, 2, 1, NULL}; /* one of two stores */
	n = nests_max_pool(a, &p);
	assert_fused(a, n, map_over(a, nests_buffer(n, "y")), false, "n | c | oh | reg ow | kh | kw");
}

static void forms_that_do_not_fuse_are_left_alone(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 1, .IC = 3, .OC = 4, .IH = 6, .IW = 5, .KH = 3, .KW = 3, .pad = 1};
	Nest *line =
	    nest_new(a, "line"); /* a store that runs from corner to corner, but not everywhere */
	const int64_t square[] = {3, 3};
	const Affine diagonal[] = {affine_var(nest_dim(line, "i", 3, false)), affine_var(0)};
	nest_store(line, "y", buffer_new(a, "y", TYPE_REAL, 2, square), diagonal, e_num(a, 1));
	assert_null(fuse_map(a, line, map_over(a, line->store[0].to.buffer), false));
	for (int i = 0; i < 11; i++) {
		Nest *n = nests_conv(a, &c);
		Buffer *y = n->store[0].to.buffer;
		Nest *m = map_over(a, y);
		const int64_t wide[] = {1, 8, 6, 5};
		switch (i) {
		case 0: m->load[0].at[2].a.c = 1; break;            /* shifted */
		case 1: m->dim[2].extent = 5; break;                /* a part */
		case 2: m->load[0].at[2] = m->load[0].at[3]; break; /* a diagonal */
		case 3:
			n->store[0].to.buffer =
			    buffer_new(a, "w", TYPE_REAL, 4, wide); /* a window of a wider one */
			m->load[0].buffer = n->store[0].to.buffer;
			break;
		case 4: nest_dim(m, "z", 3, false); break; /* a dim that y has not */
		case 5: nest_dim(m, "r", 3, true); break;
		case 6: m->load[0].buffer = buffer_new(a, "other", TYPE_REAL, 4, y->shape); break;
		case 7: m->store[0].to.buffer = n->load[1].buffer; break; /* writes the weights */
		case 8: m->load[1].buffer = y; break;                     /* reads y elsewhere too */
		case 9:                                                   /* too many loads */
			while (n->nload < NEST_LOADS) {
				n->load[n->nload] = n->load[0];
				n->load[n->nload].at[2].a.c += 7 * n->nload;
				n->nload++;
			}
			break;
		default: /* an expression that doubles each time */
			for (int k = 0; k < 9; k++)
				m->store[0].value = e_op(a, E_ADD, m->store[0].value, m->store[0].value);
		}
		if (fuse_map(a, n, m, false)) fail_msg("case %d fused", i);
	}
}

/* --- random numbers ----------------------------------------------------------------------- */

/* The contract with emitted C: these numbers stay. */
static void random_numbers_are_what_they_were(void **state)
{
	(void)state;
	static const struct {
		uint64_t seed, step, key, element;
		uint32_t bits;
	} cases[] = {{UINT64_C(0x0), UINT64_C(0x0), UINT64_C(0x0), UINT64_C(0x0), 0xd6d351},
	    {UINT64_C(0x1), UINT64_C(0x0), UINT64_C(0x0), UINT64_C(0x0), 0x342384},
	    {UINT64_C(0x0), UINT64_C(0x1), UINT64_C(0x0), UINT64_C(0x0), 0x67949a},
	    {UINT64_C(0x0), UINT64_C(0x0), UINT64_C(0x1), UINT64_C(0x0), 0xe42989},
	    {UINT64_C(0x0), UINT64_C(0x0), UINT64_C(0x0), UINT64_C(0x1), 0x26901},
	    {UINT64_C(0x2a), UINT64_C(0x7), UINT64_C(0xcbf29ce484222325), UINT64_C(0x75bcd15),
	        0x475aa6},
	    {UINT64_C(0xffffffffffffffff), UINT64_C(0xffffffffffffffff), UINT64_C(0xffffffffffffffff),
	        UINT64_C(0xffffffffffffffff), 0xd05fa2}};
	for (int i = 0; i < COUNT(cases); i++) {
		double u = hash_uniform(cases[i].seed, cases[i].step, cases[i].key, cases[i].element);
		assert_int_equal((uint32_t)(u * 16777216), cases[i].bits);
	}
}

static void random_numbers_are_uniform(void **state)
{
	(void)state;
	enum { COUNTS = 16, SAMPLES = 64000 };
	for (int by = 0; by < 3; by++) { /* moving element, step, seed */
		int count[COUNTS] = {0};
		double sum = 0, lag = 0, last = 0.5;
		for (uint64_t i = 0; i < SAMPLES; i++) {
			double u = hash_uniform(by == 2 ? i : 1, by == 1 ? i : 1, 42, by == 0 ? i : 1);
			assert_true(u >= 0 && u < 1);
			count[(int)(u * COUNTS)]++;
			sum += u;
			lag += (u - 0.5) * (last - 0.5);
			last = u;
		}
		/* six standard deviations */
		for (int k = 0; k < COUNTS; k++) assert_true(abs(count[k] - SAMPLES / COUNTS) < 6 * 61.3);
		assert_true(fabs(sum / SAMPLES - 0.5) < 6 * 0.00114);
		assert_true(fabs(lag / SAMPLES) < 6 * 0.00033);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, nests_setup, nests_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(nests_print_as_mathematics),
	    TEST(expressions_print_with_few_parentheses),
	    TEST(rewritten_expressions_share_what_was_shared),
	    TEST(stored_products_are_rounded),
	    TEST(forms_tell_what_is_shared),
	    TEST(forms_tell_tables_by_their_numbers),
	    TEST(same_accesses_are_one_load),
	    TEST(ill_formed_nests_are_refused),
	    TEST(schedules_read_back_as_printed),
	    TEST(maps_fuse_into_what_they_read),
	    TEST(forms_that_do_not_fuse_are_left_alone),
	    TEST(random_numbers_are_what_they_were),
	    TEST(random_numbers_are_uniform),
	};
	return cmocka_run_group_tests_name("nest", tests, NULL, NULL);
}
