/* Every family of nests through several schedules: trees are proven, and equal to the nest on
 * integers. */
#include "nests.h"

#include <math.h>

#define BLOCKED "a b/8 c d b%8"
#define FORWARD_W "a/16 b/8 c d b%8 a%16"
#define BY_DATA_W "b/16 a/8 c d a%8 b%16"

static const char forward[] =
    "n | oc 16 | oh | tile ow 3 | reg ow | reg oc 8 | vec oc 8 | ic 8 | kh | "
    "cut kw | ic 4 | unroll ic";
static const char by_data[] =
    "n | ic 16 | phase ih 2 | ih | phase iw 2 | tile iw 3 | reg iw | reg ic 8 | "
    "vec ic 8 | oc 8 | phase kh 2 | kh | phase kw 2 | cut kw | oc 4 | unroll oc";

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

/* The convolution by its formula, over logical tensors, against the naive nest. */
static void check_conv_values(const Nest *n, const Conv *c, const Machine *m)
{
	const Buffer *x = nests_buffer(n, "x"), *w = nests_buffer(n, "w"), *y = nests_buffer(n, "y");
	int64_t G = c->groups ? c->groups : 1, S = c->stride ? c->stride : 1,
	        D = c->dilation ? c->dilation : 1;
	for (int64_t i = 0; i < c->N; i++)
		for (int64_t oc = 0; oc < c->OC; oc++)
			for (int64_t oh = 0; oh < nests_conv_oh(c); oh++)
				for (int64_t ow = 0; ow < nests_conv_ow(c); ow++) {
					double sum = 0;
					for (int64_t ic = 0; ic < c->IC / G; ic++)
						for (int64_t kh = 0; kh < c->KH; kh++)
							for (int64_t kw = 0; kw < c->KW; kw++) {
								int64_t ih = oh * S + kh * D - c->pad,
								        iw = ow * S + kw * D - c->pad;
								if (ih < 0 || ih >= c->IH || iw < 0 || iw >= c->IW) continue;
								if (c->links && !c->links[oc * c->IC + ic]) continue;
								int64_t in = oc / (c->OC / G) * (c->IC / G) + ic;
								const int64_t at_x[] = {i, in, ih, iw}, at_w[] = {oc, ic, kh, kw};
								sum += m->memory[x->id][buffer_offset(x, at_x)] *
								       m->memory[w->id][buffer_offset(w, at_w)];
							}
					const int64_t at_y[] = {i, oc, oh, ow};
					assert_true(m->memory[y->id][buffer_offset(y, at_y)] == sum);
				}
}

static void naive_convolution_is_the_formula(void **state)
{
	Arena *a = *state;
	Conv cases[] = {plain, plain, plain, plain, plain};
	cases[1].stride = 2;
	cases[2].dilation = 2;
	cases[3].groups = 2;
	cases[4] = (Conv){.N = 2,
	    .IC = 6,
	    .OC = 16,
	    .IH = 7,
	    .IW = 6,
	    .KH = 5,
	    .KW = 3,
	    .pad = 2,
	    .links = nests_lenet_links};
	for (int i = 0; i < COUNT(cases); i++) {
		Nest *n = nests_conv(a, &cases[i]);
		assert_null(nest_verify(a, n));
		Machine m = nests_machine(a, n);
		run_naive(n, &m);
		check_conv_values(n, &cases[i], &m);
	}
}

static void forward_convolutions(void **state)
{
	Arena *a = *state;
	Conv c = plain;
	nests_same(a, nests_conv(a, &c), forward);
	c.bias = c.residual = c.relu = true;
	nests_same(a, nests_conv(a, &c), forward);
	c = plain;
	c.stride = 2, c.IH = 6;
	nests_same(a, nests_conv(a, &c), forward);
	c = plain;
	c.dilation = 2, c.pad = 2, c.IH = 7, c.IW = 9;
	nests_same(a, nests_conv(a, &c), forward);
	c = plain;
	c.flip = true, c.skew = 16;
	nests_same(a, nests_conv(a, &c), forward);
	c = plain;
	c.OC = 32, c.groups = 2, c.w = "a/16 b/4 c d b%4 a%16";
	nests_same(a, nests_conv(a, &c),
	    "n | g | oc 16 | oh | tile ow 3 | reg ow | reg oc 8 | vec oc 8 | ic 4 | "
	    "kh | cut kw | unroll ic");
}

static void schedules_without_registers_close_before_the_reduction(void **state)
{
	Arena *a = *state;
	Scheduled *s = nests_same(a, nests_conv(a, &plain), "n | oc | oh | ow | ic | kh | kw");
	Chunk chunk[NEST_DIMS];
	const Tree *t = s->root.at[0];
	while (t->kind == TREE_LOOP) t = t->kid.at[0];
	assert_int_equal(t->kind, TREE_TILE);
	assert_int_equal(tile_chunks(s, t, chunk), 0);
	nests_same(
	    a, nests_conv(a, &plain), "par oc 8 | n | oc | ic 4 | oh | ow | ic | kh | unroll kw");
}

static void chunked_reductions_wait_in_the_output(void **state)
{
	Arena *a = *state;
	Conv c = plain;
	c.IC = 24, c.bias = c.relu = c.residual = true;
	nests_same(a, nests_conv(a, &c),
	    "n | oc 16 | ic 8 | oh | tile ow 3 | reg ow | reg oc 8 | vec oc 8 | kh | "
	    "cut kw | ic 4 | unroll ic");
	c.y = "a b/16 c d b%16";
	/* ragged chunks: 16 and 8 channels, each a piece */
	Scheduled *s = nests_same(a, nests_conv(a, &c),
	    "oc 16 | ic 16 | oh | ow 3 | reg ow | vec oc 16 | kh | "
	    "cut kw | ic 8 | ic");
	Chunk chunk[NEST_DIMS];
	const Tree *t = s->root.at[0];
	while (t->kind == TREE_LOOP) t = t->kid.at[0];
	assert_int_equal(tile_chunks(s, t, chunk), 1);
	assert_string_equal(s->nest->dim[chunk[0].dim].name, "ic");
	assert_int_equal(chunk[0].last, 8);
	/* two dims of the reduction above the tile, one of them twice */
	nests_same(a, nests_conv(a, &c), "ic 16 | kh | oc 8 | ic 8 | oh | reg ow | vec oc 8 | kw | ic");
	/* a piece of a dim, and a reduction that starts inside a register line */
	c.x = NULL, c.w = "a/8 b c d a%8";
	nests_same(a, nests_conv(a, &c), "oc 8 | oh | ow | cut kw | reg ic 12 | vec oc 8 | kh | ic");
	nests_same(a, nests_conv(a, &c), "oc 8 | oh | ow | kw | reg ic 5 | vec oc 8 | kh | ic");
}

static void gradients_by_data(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 1,
	    .IC = 16,
	    .OC = 8,
	    .IH = 7,
	    .IW = 8,
	    .KH = 3,
	    .KW = 3,
	    .stride = 2,
	    .pad = 1,
	    .x = BLOCKED,
	    .w = BY_DATA_W,
	    .y = BLOCKED};
	nests_same(a, nests_conv_dx(a, &c), by_data);
	nests_same(a, nests_conv_dx(a, &c),
	    "phase ih 2 | phase iw 2 | ic 16 | ih | tile iw 3 | reg iw | reg ic 8 | "
	    "vec ic 8 | oc 8 | phase kh 2 | kh | phase kw 2 | cut kw | oc 4 | "
	    "unroll oc");
	nests_same(a, nests_conv_dx(a, &c),
	    "ic | phase ih 2 | ih | phase iw 2 | iw | oc | phase kh 2 | kh | phase "
	    "kw 2 | kw");
	c.w = "c%2 d%2 b/16 a/8 c/2 d/2 a%8 b%16";
	nests_same(a, nests_conv_dx(a, &c), by_data);
	c.w = BY_DATA_W;
	c.KH = c.KW = 1, c.pad = 0, c.IH = c.IW = 4;
	nests_same(a, nests_conv_dx(a, &c), by_data);
	c = (Conv){.N = 1,
	    .IC = 16,
	    .OC = 8,
	    .IH = 5,
	    .IW = 6,
	    .KH = 3,
	    .KW = 3,
	    .pad = 1,
	    .x = BLOCKED,
	    .w = BY_DATA_W,
	    .y = BLOCKED};
	nests_same(a, nests_conv_dx(a, &c),
	    "n | ic 16 | ih | tile iw 3 | reg iw | reg ic 8 | vec ic 8 | oc 8 | kh | "
	    "cut kw | oc 4 | unroll oc");
	c.stride = 3, c.dilation = 2, c.IH = 9;
	nests_same(a, nests_conv_dx(a, &c),
	    "n | ic 16 | phase ih 3 | ih | phase iw 3 | tile iw 3 | reg iw | reg ic 8 | "
	    "vec ic 8 | oc 8 | phase kh 3 | kh | phase kw 3 | cut kw | oc 4 | "
	    "unroll oc");
}

/* Without phases DIVIDES guards and quotients are asked at run time. */
static void strides_without_phases(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 2,
	    .IC = 16,
	    .OC = 8,
	    .IH = 8,
	    .IW = 7,
	    .KH = 3,
	    .KW = 3,
	    .stride = 2,
	    .pad = 1,
	    .x = BLOCKED,
	    .w = BY_DATA_W,
	    .y = BLOCKED};
	for (c.stride = 2; c.stride < 10; c.stride += 3) {
		nests_same(a, nests_conv_dx(a, &c), "n | ic | ih | iw | oc | kh | kw");
		nests_same(a, nests_conv_dx(a, &c),
		    "n | ic 16 | ih | iw | reg ic 8 | vec ic 8 | oc 8 | kh | kw | oc 4 | unroll oc");
		/* one of the two sides only; registers over a side; tiles and cuts by range */
		nests_same(a, nests_conv_dx(a, &c), "n | ic | phase ih 2 | ih | iw | oc | kh | kw");
		nests_same(a, nests_conv_dx(a, &c),
		    "ic 8 | n | tile ih 3 | iw 2 | reg ih | reg iw | vec ic 8 | oc | cut kh | unroll kw");
		nests_same(a, nests_conv_dx(a, &c), "kh | ic 8 | n | ih | iw | vec ic 8 | oc | kw");
	}
	c.stride = 3, c.dilation = 2, c.pad = 3;
	nests_same(a, nests_conv_dx(a, &c), "n | ic | ih | iw | oc | kh | cut kw");
	Pool p = {1, 8, 30, 31, 24, 24, 0, BLOCKED};
	nests_same(a, nests_max_pool_dx(a, &p), "n | c 8 | ih | iw | vec c 8 | kh | kw");
	p.stride = 20, p.pad = 4;
	nests_same(a, nests_max_pool_dx(a, &p), "n | c 8 | ih | iw | vec c 8 | kh | kw");
	p = (Pool){1, 8, 7, 7, 3, 64, 1, BLOCKED};
	nests_same(a, nests_max_pool_dx(a, &p), "n | c 8 | ih | iw | vec c 8 | kh | kw");
	/* a quotient of a dim that the layout takes apart has no address */
	c.y = "c%2 a b c/2 d";
	const char *why = nests_refusal(a, nests_conv_dx(a, &c), "n | ic | ih | iw | oc | kh | kw");
	assert_non_null(strstr(why, "not affine"));
}

static void gradients_by_weights(void **state)
{
	Arena *a = *state;
	Conv c = plain;
	c.N = 2, c.y = "a b/16 c d b%16";
	nests_same(a, nests_conv_dw(a, &c),
	    "n | oh 2 | oc 16 | ic 2 | kh | reg kw | reg ic | reg oc 8 | vec oc 8 | "
	    "oh | cut ow");
	nests_same(a, nests_conv_dw(a, &c),
	    "par oc 16 | par ic 8 | kh | kw | ic 2 | reg ic | vec oc 16 | n | "
	    "oh | cut ow");
}

static void link_tables_are_decided_when_scheduled(void **state)
{
	Arena *a = *state;
	Conv c = {
	    .N = 2, .IC = 6, .OC = 16, .IH = 9, .IW = 12, .KH = 5, .KW = 5, .links = nests_lenet_links};
	Scheduled *s = nests_same(
	    a, nests_conv(a, &c), "n | tile ow 8 | oh | phase oc 16 | reg ow | cut ic | kh | kw");
	assert_int_equal(tree_blocks(s), 1);
	nests_same(a, nests_conv(a, &c), "n | ow 8 | oh | reg oc | vec ow 8 | cut ic | kh | kw");
	c = (Conv){.N = 1,
	    .IC = 6,
	    .OC = 16,
	    .IH = 7,
	    .IW = 9,
	    .KH = 3,
	    .KW = 3,
	    .pad = 1,
	    .links = nests_lenet_links};
	nests_same(
	    a, nests_conv_dx(a, &c), "n | ih | tile iw 4 | reg ic | reg iw | cut oc | kh | cut kw");
	nests_same(a, nests_conv_dw(a, &c), "phase oc | kh | reg ic | reg kw | n | oh | cut ow");
	const char *why = nests_refusal(a, nests_conv(a, &c), "n | oc | oh | ow | ic | kh | kw");
	assert_non_null(strstr(why, "mask"));
}

static void depthwise_and_padded_lanes(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 1,
	    .IC = 16,
	    .OC = 16,
	    .IH = 6,
	    .IW = 8,
	    .KH = 3,
	    .KW = 3,
	    .pad = 1,
	    .groups = 16,
	    .x = BLOCKED,
	    .w = "a/8 b c d a%8",
	    .y = BLOCKED};
	nests_same(a, nests_conv(a, &c), "n | g 8 | oh | tile ow 4 | reg ow | vec g 8 | kh | cut kw");
	c = (Conv){.N = 1,
	    .IC = 3,
	    .OC = 10,
	    .IH = 5,
	    .IW = 7,
	    .KH = 3,
	    .KW = 3,
	    .pad = 1,
	    .w = "a/16 b c d a%16",
	    .y = BLOCKED,
	    .bias = false};
	Scheduled *s = nests_same(a, nests_conv(a, &c),
	    "pad oc 16 | n | oc 16 | oh | tile ow 3 | reg ow | reg oc 8 | "
	    "vec oc 8 | ic | kh | cut kw");
	assert_int_equal(s->extent[1], 16);
	c.y = NULL;
	nests_refusal(
	    a, nests_conv(a, &c), "pad oc 16 | n | oc 16 | oh | ow | vec oc 16 | ic | kh | kw");
	c.y = BLOCKED, c.bias = true; /* b has no room for lanes 10.. */
	nests_refusal(
	    a, nests_conv(a, &c), "pad oc 16 | n | oc 16 | oh | ow | vec oc 16 | ic | kh | kw");
}

/* The output is a window of a wider buffer, not at a block's start. */
static void stores_into_a_window(void **state)
{
	Arena *a = *state;
	Conv c = plain;
	c.bias = c.relu = true;
	Nest *n = nests_conv(a, &c);
	const int64_t shape[] = {1, 40, 5, 7};
	Buffer *wide = buffer_new(a, "wide", TYPE_REAL, 4, shape);
	assert_true(buffer_layout(wide, "a b/16 c d b%16", 0));
	n->store[0].to.buffer = wide;
	n->store[0].to.at[1].a = affine_plus(n->store[0].to.at[1].a, 8);
	nests_same(a, n,
	    "n | oc 16 | oh | tile ow 3 | reg oc 8 | reg ow | vec oc 8 | ic 8 | kh | cut kw | ic 4 | "
	    "unroll ic");
	/* padding would write over the window's neighbour */
	c.OC = 12, c.bias = false;
	n = nests_conv(a, &c);
	n->store[0].to.buffer = wide;
	static const char padded[] =
	    "pad oc 16 | n | oc 16 | oh | ow | reg oc 8 | vec oc 8 | ic 8 | ic | kh | kw";
	assert_non_null(strstr(nests_refusal(a, n, padded), "pad points would write"));
	n->store[0].to.at[1].a.c = 28;
	assert_non_null(
	    strstr(nests_refusal(a, n, padded), "not affine")); /* 28 is inside a block of 16 */
	assert_true(buffer_layout(wide, "a b/4 c d b%4", 0));
	nests_refusal(a, n, padded); /* no room behind 40 */
	const int64_t odd[] = {1, 42, 5, 7};
	wide = buffer_new(a, "wide", TYPE_REAL, 4, odd);
	assert_true(buffer_layout(wide, "a b/2 c d b%2", 0));
	n->store[0].to.buffer = wide;
}

static void pooling(void **state)
{
	Arena *a = *state;
	Pool p = {1, 8, 7, 7, 3, 2, 1, BLOCKED};
	static const char *const windows[] = {
	    "n | c 8 | oh | tile ow 2 | reg ow | vec c 8 | kh | cut kw",
	    "n | c 8 | oh | tile ow 4 | reg ow | vec c 8 | kh | unroll kw",
	    "c | oh | ow | unroll kh | unroll kw", "c | oh | ow | kh | kw",
	    "kh | c 8 | oh | ow | vec c 8 | kw 2 | kw"};
	for (int i = 0; i < COUNT(windows); i++) {
		nests_same(a, nests_max_pool(a, &p), windows[i]);
		nests_same(a, nests_avg_pool(a, &p), windows[i]);
	}
	nests_same(a, nests_max_pool_dx(a, &p),
	    "n | c 8 | phase ih 2 | ih | phase iw 2 | tile iw 2 | reg iw | vec c 8 | "
	    "phase kh 2 | kh | phase kw 2 | cut kw");
	nests_same(a, nests_avg_pool(a, &p), "c | oh | ow | kw | kh");
}

static void ordered_reductions_keep_their_order(void **state)
{
	Arena *a = *state;
	Pool p = {1, 8, 7, 7, 3, 2, 1, BLOCKED};
	static const char *const bad[] = {"c | oh | ow | kw | kh", "c | oh | ow | kw 2 | kh | kw",
	    "c | oh | reg ow | reg kw | kh", "c | oh | ow | kh | phase kw 2 | kw",
	    "c | oh | ow | unroll kh | kw"};
	for (int i = 0; i < COUNT(bad); i++) nests_refusal(a, nests_max_pool(a, &p), bad[i]);
	/* the check finds it by itself: build what the builder would refuse */
	for (int i = 0; i < COUNT(bad); i++) {
		Nest *n = nests_max_pool(a, &p);
		n->ordered = false;
		n->acc[0].combine = n->acc[1].combine = COMBINE_MAX;
		Scheduled *s = nests_schedule(a, n, bad[i]);
		n->ordered = true;
		assert_non_null(check_order(a, s));
	}
}

static void maps_and_statistics(void **state)
{
	Arena *a = *state;
	const char *layout = "a b/8 c b%8";
	static const char map[] = "n | c 8 | tile p 4 | reg p | vec c 8";
	nests_same(a, nests_bias_relu(a, 1, 16, 10, layout, false), map);
	nests_same(a, nests_bias_relu(a, 1, 16, 10, layout, true), map);
	nests_same(a, nests_bias_relu(a, 2, 3, 5, NULL, true), "par n | c | p");
	nests_same(a, nests_mean(a, 2, 8, 12, layout), "c 8 | vec c 8 | reg p 3 | n | p");
	nests_same(a, nests_variance(a, 2, 8, 12, layout), "c 8 | vec c 8 | reg p 3 | n | p");
	nests_same(a, nests_variance(a, 2, 8, 12, NULL), "c | reg p 4 | vec p 4 | n");
	nests_same(a, nests_mean(a, 2, 8, 12, NULL), "c 4 | reg c | vec p 12 | n");
}

static void row_losses(void **state)
{
	Arena *a = *state;
	nests_same(a, nests_row_max(a, 3, 16), "n | reg c 4 | c");
	nests_same(a, nests_row_max(a, 3, 18), "n | reg c 6 | vec c 6");
	nests_same(a, nests_row_sum(a, 3, 16), "n | c");
	nests_same(a, nests_row_sum(a, 3, 16), "n | c 4 | c");
	nests_same(a, nests_softmax_grad(a, 3, 16), "n | reg c");
	nests_same(a, nests_softmax_grad(a, 3, 16), "c 4 | c | reg n");
}

/* More of a sum than a vector holds: runs of it, inside blocks of a layout, and a ragged end. */
static void lanes_run_through_a_sum(void **state)
{
	Arena *a = *state;
	static const char *const layouts[] = {NULL, "a b/16 b%16", "b/16 a b%16"};
	for (int i = 0; i < COUNT(layouts); i++) {
		Nest *n = nests_dense(a, 3, 44, 5, NULL);
		if (layouts[i]) assert_true(buffer_layout((Buffer *)nests_buffer(n, "x"), layouts[i], 0));
		nests_same(a, n, "oc | n | vec ic 8 | ic");
		nests_same(a, n, "oc | n | vec ic 8 | ic 2 | unroll ic");
		nests_same(a, n, "oc 4 | tile n 2 | reg n | reg oc | vec ic 8 | ic 2 | unroll ic");
	}
}

/* exp is not exact: private accumulators agree to rounding. */
static void private_accumulators_of_inexact_terms_agree(void **state)
{
	Arena *a = *state;
	Nest *n = nests_row_sum(a, 3, 16);
	Scheduled *s = nests_schedule(a, n, "n | reg c 4 | c");
	Machine naive = nests_machine(a, n), tree = nests_copy(a, n, &naive);
	run_naive(n, &naive);
	run_tree(s, &tree);
	for (int i = 0; i < 3; i++) {
		double x = nests_memory(n, &naive, "loss")[i], y = nests_memory(n, &tree, "loss")[i];
		assert_true(fabs(x - y) <= 1e-12 * fabs(x));
	}
}

static void tables_flatten_dense_and_random(void **state)
{
	Arena *a = *state;
	nests_same(a, nests_winograd_rows(a, 3, 8), "tile th 1 | c 8 | reg xi | vec c 8 | unroll i");
	nests_same(a, nests_winograd_rows(a, 3, 8), "phase th 3 | c 8 | reg xi | vec c 8 | phase i");
	nests_refusal(a, nests_winograd_rows(a, 3, 8), "th | c 8 | reg xi | vec c 8 | i");
	nests_same(a, nests_flatten(a, 2, 16, 3, 5, BLOCKED), "n | c 8 | h | w | reg c");
	nests_same(a, nests_flatten(a, 2, 16, 3, 5, BLOCKED), "par n | h | c | reg w");
	nests_same(
	    a, nests_dense(a, 6, 10, 16, "a/16 b a%16"), "n 3 | reg n | reg oc 8 | vec oc 8 | ic");
	nests_same(a, nests_dropout(a, 4, 9), "par n 2 | n | c");
}

/* --- questions ---------------------------------------------------------------------------- */

static void blocks_are_counted_over_all_pieces(void **state)
{
	Arena *a = *state;
	Conv c = plain;
	c.x = c.w = c.y = NULL, c.OC = 40, c.N = 3;
	static const struct {
		const char *text;
		int64_t blocks;
	} cases[] = {{"oc | n | oh | ow | ic | kh | kw", 1}, {"par n | oc | oh | ow | ic | kh | kw", 3},
	    {"par oc 16 | n | oc | oh | ow | ic | kh | kw", 3},
	    {"par oc 16 | par n | oc | oh | ow | ic | kh | kw", 9},
	    {"par oc 32 | ic 5 | n | oc | oh | ow | ic | kh | kw", 2},
	    {"par n 2 | par oc 15 | oc | n | oh | ow | ic | kh | kw", 6}};
	for (int i = 0; i < COUNT(cases); i++)
		assert_int_equal(
		    tree_blocks(nests_same(a, nests_conv(a, &c), cases[i].text)), cases[i].blocks);
}

static int count_tiles(const Tree *t)
{
	int n = t->kind == TREE_TILE;
	for (int i = 0; i < t->kid.n; i++) n += count_tiles(t->kid.at[i]);
	return n;
}

/* Four units: the first and the last have a guard to ask, the two between share a loop. */
static void tiles_at_the_border_are_pieces(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 1, .IC = 2, .OC = 2, .IH = 1, .IW = 8, .KH = 1, .KW = 3, .pad = 1};
	c.IH = 4, c.KH = 3;
	Scheduled *s =
	    nests_same(a, nests_conv(a, &c), "oc | oh | tile ow 2 | reg ow | ic | kh | cut kw");
	assert_int_equal(count_tiles(s->root.at[0]), 3);
	s = nests_same(a, nests_conv(a, &c), "oc | oh | ow 2 | reg ow | ic | kh | cut kw");
	assert_int_equal(count_tiles(s->root.at[0]), 1);
}

static void trees_print_as_they_are(void **state)
{
	Arena *a = *state;
	Conv c = {.N = 1, .IC = 2, .OC = 8, .IH = 4, .IW = 4, .KH = 1, .KW = 3, .pad = 1};
	c.y = BLOCKED, c.pad = 0, c.IW = 6;
	Scheduled *s = nests_schedule(a, nests_conv(a, &c),
	    "par oh 2 | ic 1 | oh | tile ow 2 | reg ow | vec oc 8 | "
	    "kh | unroll kw");
	Text t;
	text_init(&t, a);
	tree_print(s, &t);
	assert_string_equal(t.data,
	    "conv: par oh 2 | ic 1 | oh | tile ow 2 | reg ow | vec oc 8 | kh | unroll kw\n"
	    "  par oh 2\n"
	    "    ic 2\n"
	    "      oh1 2\n"
	    "        tile ow 2\n"
	    "          tile ow1[2] oc<8> in chunks of ic  : oc = oc, oh = 2*oh+oh1, "
	    "ow = 2*ow+ow1\n"
	    "            leaf kw[3]  : oc = oc, oh = 2*oh+oh1, ow = 2*ow+ow1, ic = ic, "
	    "kw = kw\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, nests_setup, nests_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(naive_convolution_is_the_formula),
	    TEST(forward_convolutions),
	    TEST(schedules_without_registers_close_before_the_reduction),
	    TEST(chunked_reductions_wait_in_the_output),
	    TEST(gradients_by_data),
	    TEST(strides_without_phases),
	    TEST(gradients_by_weights),
	    TEST(link_tables_are_decided_when_scheduled),
	    TEST(depthwise_and_padded_lanes),
	    TEST(stores_into_a_window),
	    TEST(pooling),
	    TEST(ordered_reductions_keep_their_order),
	    TEST(maps_and_statistics),
	    TEST(row_losses),
	    TEST(lanes_run_through_a_sum),
	    TEST(private_accumulators_of_inexact_terms_agree),
	    TEST(tables_flatten_dense_and_random),
	    TEST(blocks_are_counted_over_all_pieces),
	    TEST(tiles_at_the_border_are_pieces),
	    TEST(trees_print_as_they_are),
	};
	return cmocka_run_group_tests_name("nest_tree", tests, NULL, NULL);
}
